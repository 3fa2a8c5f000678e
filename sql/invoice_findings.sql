-- What a person reads who has sent an invoice that is wrong: rule, place and words of each finding.
-- Which rules there are is in invoice_rules; here each is broken alone, with the least change.
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on

CREATE TEMP TABLE base AS SELECT '{
	"number": "T-1", "issue_date": "2025-03-01", "due_date": "2025-03-31", "type_code": "380", "currency": "EUR",
	"seller": {"name": "Mill", "vat_id": "DE123456789", "address": {"country": "DE"}, "ids": [{"id": "M-7", "scheme": "0088"}]},
	"buyer": {"name": "Baker", "vat_id": "FR12345678901", "address": {"country": "FR"}, "electronic_address": {"id": "b@baker.example", "scheme": "EM"}},
	"payment": {"means_code": "58", "accounts": [{"id": "DE89370400440532013000"}]},
	"allowances": [{"amount": "5.00", "base_amount": "50.00", "percent": "10", "reason": "Friend", "vat_category": "S", "vat_rate": "19"}],
	"charges": [{"amount": "5.00", "reason": "Freight", "vat_category": "S", "vat_rate": "19"}],
	"lines": [{"id": "1", "name": "Flour", "quantity": "10", "unit_code": "KGM", "unit_price": "1.50", "net_amount": "15.00",
			   "vat_category": "S", "vat_rate": "19"},
			  {"id": "2", "name": "Bran", "quantity": "4", "unit_code": "KGM", "unit_price": "0.50", "gross_price": "0.60",
			   "price_discount": "0.10", "net_amount": "2.00", "vat_category": "S", "vat_rate": "7"}],
	"vat_breakdown": [{"category": "S", "rate": "19", "taxable_amount": "15.00", "tax_amount": "2.85"},
					  {"category": "S", "rate": "7", "taxable_amount": "2.00", "tax_amount": "0.14"}],
	"totals": {"line_total": "17.00", "allowance_total": "5.00", "charge_total": "5.00", "tax_exclusive": "17.00",
			   "tax_total": "2.99", "tax_inclusive": "19.99", "payable": "19.99"}}'::jsonb AS doc;

-- The base with one place changed: a value put there, or (NULL) the member taken away.
CREATE FUNCTION pg_temp.changed(path text, value jsonb) RETURNS jsonb LANGUAGE sql AS
	$$SELECT CASE WHEN value IS NULL THEN doc #- string_to_array(path, '/') ELSE jsonb_set(doc, string_to_array(path, '/'), value) END FROM base$$;
-- Its findings, one a line.
CREATE FUNCTION pg_temp.findings(doc jsonb) RETURNS text LANGUAGE sql AS
	$$SELECT coalesce(string_agg(format('  %s%s %s: %s', CASE level WHEN 'warning' THEN '(warning) ' ELSE '' END, rule, location, message), E'\n' ORDER BY n), '  nothing')
	    FROM invoice_validate(doc::json) WITH ORDINALITY AS v(rule, level, location, message, n)$$;
CREATE FUNCTION pg_temp.case(n int, path text, value jsonb) RETURNS text LANGUAGE sql AS
	$$SELECT path || ' ' || coalesce(value::text, 'absent') || E'\n' || pg_temp.findings(pg_temp.changed(path, value))$$;

SELECT 'base' || E'\n' || pg_temp.findings(doc) FROM base;

\echo -- the document
SELECT pg_temp.case(n::int, path, value) FROM ROWS FROM (unnest(ARRAY[
	'number', 'issue_date', 'issue_date', 'issue_date', 'issue_date', 'due_date',
	'due_date', 'due_date', 'type_code', 'type_code', 'currency', 'currency',
	'tax_currency', 'tax_currency', 'tax_point_date_code', 'tax_point_date_code',
	'invoicing_period', 'invoicing_period', 'invoicing_period', 'invoicing_period',
	'preceding_invoices', 'preceding_invoices', 'delivery', 'delivery', 'lines', 'note',
	'notes', 'notes', 'number', 'number'],
	ARRAY[
	NULL, NULL, '"2025-02-29"', '"2024-02-29"', '"20250301"', 'null',
	'"2025-04-31"', '{}', NULL, '"999"', NULL, '"EURO"',
	'"XXY"', '"EUR"', '"5"', '"99"',
	'{}', '{"start_date": "2025-02-02", "end_date": "2025-02-01"}', '{"start_date": "2025-02-01", "end_date": "2025-02-01"}', '{"end_date": "x"}',
	'[{}]', '[{"number": "T-0"}, {"issue_date": "2025-01-01"}]', '{"address": {}}', '{"address": {"country": "ZZ"}}', '[]', '"a"',
	'"a"', '["a", 1]', '7', '["T"]']::jsonb[])) WITH ORDINALITY c(path, value, n);

\echo -- the parties
SELECT pg_temp.case(n::int, path, value) FROM ROWS FROM (unnest(ARRAY[
	'seller', 'seller/name', 'seller/address', 'seller/address/country', 'seller/address/country', 'seller/vat_id',
	'seller/vat_id', 'seller/vat_id', 'seller/ids/0/scheme', 'seller/ids/0/scheme', 'seller/ids/0/scheme', 'seller/electronic_address',
	'buyer', 'buyer/name', 'buyer/address', 'buyer/address/country', 'buyer/address/country', 'buyer/vat_id',
	'buyer/electronic_address/scheme', 'buyer/electronic_address/scheme', 'buyer/electronic_address/id', 'buyer/ids',
	'tax_representative', 'tax_representative', 'tax_representative',
	'payee', 'payee', 'payee', 'payee', 'seller'],
	ARRAY[
	NULL, NULL, NULL, NULL, '"Germany"', NULL,
	'"EL123456789"', '"123"', '"0000"', '"SEPA"', '"00888"', '{"id": "m@mill.example"}',
	NULL, '" "', NULL, NULL, '"fr"', '"XX1"',
	NULL, '"XX"', NULL, '[{"id": "1", "scheme": "9999"}]',
	'{}', '{"name": "R", "address": {}}', '{"name": "R", "address": {"country": "DE"}, "vat_id": "DE1"}',
	'{}', '{"name": "Mill"}', '{"name": "Bank", "id": "M-7"}', '{"name": "Bank", "id": "M-8"}', '{"name": "M", "ids": [{"id": "1", "scheme": "SEPA"}], "address": {"country": "DE"}}']::jsonb[])) WITH ORDINALITY c(path, value, n);

\echo -- the payment
SELECT pg_temp.case(n::int, path, value) FROM ROWS FROM (unnest(ARRAY[
	'payment', 'payment/means_code', 'payment/means_code', 'payment/accounts', 'payment/accounts', 'payment/accounts/0/id',
	'payment/accounts/0/id', 'payment/accounts/0/id', 'payment/card', 'payment/card', 'payment/card', 'payment/means_code',
	'payment', 'payment', 'payment', 'due_date', 'payment'],
	ARRAY[
	NULL, NULL, '"999"', NULL, '[{}]', '"DE89370400440532013001"',
	'"de89 3704 0044 0532 0130 00"', '"DE"', '{"number": "1234567890"}', '{"number": "12345678901"}', '{"number": "äöüäöüäöüä"}', '"30"',
	'{"means_code": "30"}', '{"means_code": "59"}', '{"means_code": "49", "direct_debit": {"mandate_id": "M1"}}', NULL, '[]']::jsonb[])) WITH ORDINALITY c(path, value, n);

\echo -- the lines
SELECT pg_temp.case(n::int, path, value) FROM ROWS FROM (unnest(ARRAY[
	'lines/0/id', 'lines/1/id', 'lines/0/name', 'lines/0/quantity', 'lines/0/unit_code', 'lines/0/unit_code',
	'lines/0/unit_price', 'lines/0/vat_category', 'lines/0/vat_category', 'lines/0/unit_price', 'lines/1/gross_price', 'lines/1/gross_price',
	'lines/0/price_base_quantity', 'lines/0/price_base_quantity', 'lines/0/price_base_quantity', 'lines/0/net_amount', 'lines/0/net_amount',
	'lines/0/net_amount', 'lines/0/period', 'lines/0/period', 'lines/0/vat_rate', 'lines/0/vat_rate', 'lines/0/vat_rate', 'lines/0/vat_rate', 'lines/0/quantity', 'lines/0/quantity'],
	ARRAY[
	NULL, '"1"', '""', NULL, NULL, '"kilo"',
	NULL, NULL, '"Q"', '"-1.50"', '"-0.60"', '"0.70"',
	'"0"', '"-1"', '"10"', '"15.001"', '"15.10"',
	'"15.01"', '{}', '{"start_date": "2025-03-02", "end_date": "2025-03-01"}', NULL, '"0"', '"-19"', '"x"', '"1e1"', 'true']::jsonb[])) WITH ORDINALITY c(path, value, n);
-- a period of a line lies within that of the document, to the day
SELECT range || E'\n' || pg_temp.findings(jsonb_set(pg_temp.changed('invoicing_period', '{"start_date": "2025-02-01", "end_date": "2025-02-28"}'), '{lines,1,period}',
		jsonb_build_object('start_date', split_part(range, ' ', 1), 'end_date', split_part(range, ' ', 2))))
	FROM unnest(ARRAY['2025-02-01 2025-02-28', '2025-01-31 2025-02-28', '2025-02-01 2025-03-01', '2025-01-31 2025-03-01']) range;

\echo -- allowances and charges
SELECT pg_temp.case(n::int, path, value) FROM ROWS FROM (unnest(ARRAY[
	'allowances/0/amount', 'allowances/0/amount', 'allowances/0/amount', 'allowances/0/amount', 'allowances/0/base_amount', 'allowances/0/base_amount', 'allowances/0/percent',
	'allowances/0/reason', 'allowances/0/reason_code', 'allowances/0/reason_code', 'allowances/0/vat_category', 'allowances/0/vat_category', 'allowances/0/vat_rate',
	'charges/0/amount', 'charges/0/amount', 'charges/0/reason', 'charges/0/reason_code', 'charges/0/reason_code', 'charges/0/vat_category', 'charges/0/vat_category', 'charges/0/vat_rate',
	'charges/0/base_amount', 'lines/0/allowances', 'lines/0/charges', 'lines/0/allowances', 'lines/0/charges', 'lines/0/allowances', 'lines/0/charges', 'lines/0/allowances'],
	ARRAY[
	NULL, '"5.005"', '"5.02"', '"5.03"', NULL, '"50.005"', NULL,
	NULL, '"95"', '"FC"', NULL, '"?"', NULL,
	NULL, '"5.001"', NULL, '"FC"', '"ZZZZ"', NULL, '"y"', '"0"',
	'"50"', '[{}]', '[{}]', '[{"amount": "0.001", "reason": "r"}]', '[{"amount": "0.001", "reason": "r", "base_amount": "1.001", "percent": "1"}]',
	'[{"amount": "0.00", "reason_code": "FC"}]', '[{"amount": "0.00", "reason_code": "95"}]', '[{"amount": "1.00", "reason": "r"}]']::jsonb[])) WITH ORDINALITY c(path, value, n);

\echo -- the VAT breakdown
SELECT pg_temp.case(n::int, path, value) FROM ROWS FROM (unnest(ARRAY[
	'vat_breakdown', 'vat_breakdown', 'vat_breakdown/0', 'vat_breakdown/0/category', 'vat_breakdown/0/category', 'vat_breakdown/0/category',
	'vat_breakdown/0/rate', 'vat_breakdown/0/rate', 'vat_breakdown/0/taxable_amount', 'vat_breakdown/0/taxable_amount',
	'vat_breakdown/0/taxable_amount', 'vat_breakdown/0/taxable_amount', 'vat_breakdown/0/taxable_amount', 'vat_breakdown/0/tax_amount', 'vat_breakdown/0/tax_amount',
	'vat_breakdown/0/tax_amount', 'vat_breakdown/0/tax_amount', 'vat_breakdown/0/tax_amount', 'vat_breakdown/0/exemption_reason',
	'vat_breakdown/0/exemption_reason_code', 'vat_breakdown/0/exemption_reason_code'],
	ARRAY[
	NULL, '[]', NULL, NULL, '"Q"', '"Z"',
	NULL, '"18"', NULL, '"15.001"',
	'"15.99"', '"16.00"', '"14.00"', NULL, '"2.851"',
	'"2.86"', '"3.84"', '"3.85"', '"why"',
	'"vatex-eu-ic"', '"VATEX-NO"']::jsonb[])) WITH ORDINALITY c(path, value, n);

\echo -- the totals
SELECT pg_temp.case(n::int, path, value) FROM ROWS FROM (unnest(ARRAY[
	'totals', 'totals', 'totals/line_total', 'totals/line_total', 'totals/allowance_total', 'totals/allowance_total', 'totals/charge_total', 'totals/charge_total',
	'totals/tax_exclusive', 'totals/tax_exclusive', 'totals/tax_total', 'totals/tax_total', 'totals/tax_inclusive', 'totals/tax_inclusive',
	'totals/payable', 'totals/payable', 'totals/payable', 'tax_currency', 'totals/tax_total_accounting', 'prepaid_amount', 'prepaid_amount', 'prepaid_amount', 'rounding_amount', 'rounding_amount', 'rounding_amount'],
	ARRAY[
	NULL, '{}', NULL, '"17.01"', NULL, '"4.99"', NULL, '"5.01"',
	NULL, '"17.001"', NULL, '"3.00"', NULL, '"20.00"',
	NULL, '"19.98"', '"19.990"', '"USD"', '"1.234"', '"19.99"', '"0.001"', '"-1"', '"0.01"', '"0.001"', '"x"']::jsonb[])) WITH ORDINALITY c(path, value, n);

\echo -- categories of VAT
-- Everything on the invoice has this category and rate; without totals, so that amounts are computed.
CREATE FUNCTION pg_temp.of_category(category text, rate text, more jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
	SELECT category || ' ' || coalesce(rate, '-') || ' ' || more || E'\n' || pg_temp.findings((doc - '{totals,vat_breakdown}'::text[]) || more || jsonb_build_object(
		'lines', jsonb_build_array(doc #> '{lines,0}' || jsonb_strip_nulls(jsonb_build_object('vat_category', category)) || jsonb_build_object('vat_rate', rate)),
		'allowances', jsonb_build_array(doc #> '{allowances,0}' || jsonb_build_object('vat_category', category, 'vat_rate', rate)),
		'charges', jsonb_build_array(doc #> '{charges,0}' || jsonb_build_object('vat_category', category, 'vat_rate', rate)))) FROM base
$$;
SELECT pg_temp.of_category(category, rate) FROM unnest('{S,L,M,Z,E,AE,K,G,B}'::text[]) category, unnest('{0,19}'::text[]) rate;
SELECT pg_temp.of_category('O', NULL);
SELECT pg_temp.of_category('O', '0');
-- who has to be known to the office
SELECT pg_temp.of_category(category, CASE category WHEN 'S' THEN '19' ELSE '0' END, jsonb_build_object(
		'seller', '{"name": "Mill", "ids": [{"id": "1"}], "address": {"country": "DE"}}'::jsonb || coalesce(s, '{}'),
		'buyer', '{"name": "Baker", "address": {"country": "FR"}}'::jsonb || coalesce(b, '{}'),
		'vat_breakdown', jsonb_build_array(jsonb_build_object('category', category, 'rate', CASE category WHEN 'S' THEN '19' ELSE '0' END)
			|| CASE category WHEN 'S' THEN '{}'::jsonb ELSE '{"exemption_reason": "r"}' END),
		'delivery', '{"date": "2025-03-01", "address": {"country": "FR"}}'::jsonb))
	FROM (VALUES ('S', NULL, NULL), ('S', '{"tax_registration_id": "7"}', NULL), ('AE', '{"vat_id": "DE1"}', NULL),
		('AE', '{"tax_registration_id": "7"}', '{"legal_registration_id": "8"}'), ('K', '{"tax_registration_id": "7"}', '{"vat_id": "FR1"}'),
		('K', '{"vat_id": "DE1"}', '{"legal_registration_id": "8"}'), ('K', '{"vat_id": "DE1"}', '{"vat_id": "FR1"}'),
		('G', '{"tax_registration_id": "7"}', NULL), ('G', '{"vat_id": "DE1"}', NULL)) v(category, seller, buyer),
	LATERAL (SELECT seller::jsonb, buyer::jsonb) AS j(s, b);
-- an intra-community supply says when and where to
SELECT pg_temp.of_category('K', '0', jsonb_build_object('vat_breakdown', '[{"category": "K", "rate": "0", "exemption_reason": "r"}]'::jsonb) || more)
	FROM unnest(ARRAY['{}', '{"delivery": {"date": "2025-03-01"}}', '{"delivery": {"address": {"country": "FR"}}, "invoicing_period": {"end_date": "2025-03-01"}}']::jsonb[]) more;
-- outside the scope of VAT nothing else is
SELECT pg_temp.findings(doc || '{"vat_breakdown": [{"category": "O", "exemption_reason": "r"}, {"category": "S", "rate": "19"}]}' - '{totals}'::text[]) FROM base;
-- one row of a category without rates, with the sum of all that has it, and without tax
SELECT rows::text || E'\n' || pg_temp.findings((doc || jsonb_build_object('vat_breakdown', rows, 'allowances', '[]'::jsonb, 'charges', '[]'::jsonb,
		'lines', jsonb_build_array(doc #> '{lines,0}' || '{"vat_category": "Z", "vat_rate": "0"}'),
		'totals', '{"line_total": "15.00", "tax_exclusive": "15.00", "tax_total": "0.00", "tax_inclusive": "15.00", "payable": "15.00"}'::jsonb)))
	FROM base, unnest(ARRAY['[{"category": "Z", "rate": "0", "taxable_amount": "15.00", "tax_amount": "0.00"}]',
		'[{"category": "Z", "rate": "0", "taxable_amount": "14.99", "tax_amount": "0.00"}]',
		'[{"category": "Z", "rate": "0", "taxable_amount": "15.00", "tax_amount": "0.01"}]',
		'[{"category": "Z", "rate": "0", "taxable_amount": "15.00", "tax_amount": "0.00"}, {"category": "Z", "rate": "0", "taxable_amount": "15.00", "tax_amount": "0.00"}]',
		'[{"category": "Z", "rate": "0", "taxable_amount": "15.00", "tax_amount": "0.00"}, {"category": "S", "rate": "19", "taxable_amount": "0.00", "tax_amount": "0.00"}]']::jsonb[]) rows;

\echo -- what is no document at all
SELECT text || E'\n' || coalesce((SELECT string_agg(format('  %s %s: %s', rule, location, message), E'\n') FROM invoice_validate(text::json) WHERE rule LIKE 'INV-%'), '  nothing of form')
	FROM unnest(ARRAY['null', '1', '"x"', '[]', 'true', '{"number": {"a": 1}}', '{"lines": {}}', '{"lines": [1]}', '{"lines": [[]]}', '{"seller": []}', '{"seller": {"address": "x"}}',
		'{"prepaid_amount": "1,5"}', '{"prepaid_amount": "1.5 "}', '{"prepaid_amount": ""}', '{"prepaid_amount": "+1"}', '{"prepaid_amount": ".5"}', '{"prepaid_amount": "5."}', '{"prepaid_amount": "NaN"}',
		'{"prepaid_amount": 1e400}', '{"prepaid_amount": -0}', '{"prepaid_amount": null}', '{"unknown": 1}', '{"number": "1", "number": "2"}']) text;
