-- The rules and the arithmetic of invoices, on documents made for this test.
-- The published examples are in t/010_invoice_examples.pl.
SET client_min_messages = warning;

-- A valid invoice, changed: members added or replaced at the top, or removed.
CREATE TEMP TABLE base AS SELECT '{
	"number": "T-1", "issue_date": "2025-03-01", "due_date": "2025-03-31", "type_code": "380", "currency": "EUR",
	"seller": {"name": "Mill", "vat_id": "DE123456789", "address": {"country": "DE"}},
	"buyer": {"name": "Baker", "vat_id": "FR12345678901", "address": {"country": "FR"}},
	"lines": [{"id": "1", "name": "Flour", "quantity": "10", "unit_code": "KGM", "unit_price": "1.50",
			   "vat_category": "S", "vat_rate": "19"}]}'::jsonb AS doc;
CREATE FUNCTION pg_temp.changed(patch jsonb, removed text[] DEFAULT '{}') RETURNS json LANGUAGE sql AS
	$$SELECT ((doc || patch) - removed)::json FROM base$$;
CREATE FUNCTION pg_temp.line(patch jsonb, removed text[] DEFAULT '{}') RETURNS json LANGUAGE sql AS
	$$SELECT (doc || jsonb_build_object('lines', jsonb_build_array((doc->'lines'->0 || patch) - removed)))::json FROM base$$;
CREATE FUNCTION pg_temp.violated(doc json) RETURNS text LANGUAGE sql AS
	$$SELECT string_agg(CASE level WHEN 'warning' THEN 'W ' ELSE '' END || rule || ' ' || location, ', ' ORDER BY n)
	    FROM invoice_validate(doc) WITH ORDINALITY AS v(rule, level, location, message, n)$$;

SELECT * FROM invoice_validate((SELECT doc::json FROM base));
SELECT jsonb_pretty(invoice_check((SELECT doc::json FROM base)));

-- Declared figures of the base.
CREATE TEMP TABLE declared AS SELECT '{
	"vat_breakdown": [{"category": "S", "rate": "19", "taxable_amount": "15.00", "tax_amount": "2.85"}],
	"totals": {"line_total": "15.00", "tax_exclusive": "15.00", "tax_total": "2.85", "tax_inclusive": "17.85",
			   "payable": "17.85"}}'::jsonb AS doc;
SELECT invoice_check(pg_temp.changed(doc)) = invoice_check(pg_temp.changed('{}')) AS same FROM declared;

-- Presence, form and codes.
SELECT what, pg_temp.violated(doc) FROM (VALUES
	('empty', '{}'::json),
	('blank', pg_temp.changed('{"number": " ", "currency": "", "type_code": "\t"}')),
	('no parties', pg_temp.changed('{}', '{seller,buyer}')),
	('no country', pg_temp.changed('{"seller": {"name": "M", "ids": [{"id": "1"}], "tax_registration_id": "2", "address": {}}}')),
	('not identified', pg_temp.changed('{"seller": {"name": "M", "ids": [{"id": "1", "scheme": "SEPA"}], "tax_registration_id": "2", "address": {"country": "DE"}}}')),
	('codes', pg_temp.changed('{"type_code": "1", "currency": "EURO", "tax_currency": "X", "buyer": {"name": "B", "vat_id": "12", "address": {"country": "XX"}}}')),
	('payee is seller', pg_temp.changed('{"payee": {"name": "Mill"}}')),
	('payee', pg_temp.changed('{"payee": {"name": "Bank"}}')),
	('representative', pg_temp.changed('{"tax_representative": {}}')),
	('electronic address', pg_temp.changed('{"buyer": {"name": "B", "address": {"country": "FR"}, "electronic_address": {"id": "1", "scheme": null}}}')),
	('dates', pg_temp.changed('{"issue_date": "2023-02-29", "due_date": "31.03.2025", "tax_point_date": "2024-02-29"}')),
	('tax point', pg_temp.changed('{"tax_point_date": "2025-01-01", "tax_point_date_code": "5"}')),
	('periods', pg_temp.changed('{"invoicing_period": {"start_date": "2025-02-01", "end_date": "2025-01-31"}}')),
	('empty period', pg_temp.changed('{"invoicing_period": {}}')),
	('line outside', (pg_temp.line('{"period": {"start_date": "2025-01-31", "end_date": "2025-03-01"}}')::jsonb
		|| '{"invoicing_period": {"start_date": "2025-02-01", "end_date": "2025-02-28"}}')::json),
	('preceding', pg_temp.changed('{"preceding_invoices": [{"number": "1"}, {"issue_date": "x"}]}')),
	('delivery', pg_temp.changed('{"delivery": {"address": {"city": "Lyon"}}}')),
	('payment', pg_temp.changed('{"payment": {"accounts": [{}], "card": {"number": "12345678901"}}}')),
	('transfer', pg_temp.changed('{"payment": {"means_code": "30"}}')),
	('wrong IBAN', pg_temp.changed('{"payment": {"means_code": "58", "accounts": [{"id": "DE80 0000 0000 1234 5678 90"}]}}')),
	('right IBAN', pg_temp.changed('{"payment": {"means_code": "58", "accounts": [{"id": "DE79 0000 0000 1234 5678 90"}]}}')),
	('debit', pg_temp.changed('{"payment": {"means_code": "59", "direct_debit": {}}}')),
	('no term', pg_temp.changed('{}', '{due_date}')),
	('no lines', pg_temp.changed('{"lines": []}')),
	('empty line', pg_temp.changed('{"lines": [{}]}')),
	('prices', pg_temp.line('{"unit_price": "-1", "gross_price": "-2", "price_base_quantity": "0"}')),
	('gross price', pg_temp.line('{"gross_price": "2.00", "price_discount": "0.40"}')),
	('same id', pg_temp.changed((SELECT jsonb_build_object('lines', doc->'lines' || (doc->'lines')) FROM base)))
	) AS t(what, doc);

-- Allowances and charges.
SELECT what, pg_temp.violated(doc) FROM (VALUES
	('document', pg_temp.changed('{"allowances": [{}], "charges": [{"amount": "1.001", "base_amount": "1.001", "vat_category": "X"}]}')),
	('line', pg_temp.line('{"allowances": [{}], "charges": [{"amount": "1.001", "percent": "10"}]}')),
	('percentage', pg_temp.line('{"allowances": [{"amount": "1.53", "base_amount": "10", "percent": "15", "reason": "a"}]}')),
	('within 0.02', pg_temp.line('{"allowances": [{"amount": "1.52", "base_amount": "10", "percent": "15", "reason": "a"}]}'))
	) AS t(what, doc);

-- Sums of the sender.
SELECT what, pg_temp.violated(pg_temp.changed(jsonb_set(doc, path, value))) FROM declared, (VALUES
	('nothing', '{totals}'::text[], '{}'::jsonb),
	('no breakdown', '{vat_breakdown}', '[]'),
	('line total', '{totals,line_total}', '"15.01"'),
	('allowances', '{totals,allowance_total}', '"0.01"'),
	('charges', '{totals,charge_total}', '"0.01"'),
	('without tax', '{totals,tax_exclusive}', '"15.01"'),
	('tax', '{totals,tax_total}', '"2.86"'),
	('with tax', '{totals,tax_inclusive}', '"17.86"'),
	('due', '{totals,payable}', '17.84'),
	('same due', '{totals,payable}', '17.850'),
	('decimals', '{totals,payable}', '"17.851"'),
	('row', '{vat_breakdown,0}', '{}'),
	('row, 0.99 off', '{vat_breakdown,0,tax_amount}', '"3.84"'),
	('row, 1.00 off', '{vat_breakdown,0,tax_amount}', '"3.85"'),
	('base, 0.99 off', '{vat_breakdown,0,taxable_amount}', '"14.01"'),
	('base, 1.00 off', '{vat_breakdown,0,taxable_amount}', '"14.00"'),
	('reason', '{vat_breakdown,0,exemption_reason}', '"none"'),
	('other rate', '{vat_breakdown,0,rate}', '"19.0"'),
	('tax currency', '{tax_currency}', '"SEK"')
	) AS t(what, path, value);
SELECT pg_temp.violated(pg_temp.line('{"net_amount": "15.03"}')) AS off, pg_temp.violated(pg_temp.line('{"net_amount": "15.02"}')) AS near,
	   pg_temp.violated(pg_temp.line('{"net_amount": "15.001"}')) AS decimals;

-- VAT categories: on a line without a row, then as they should be.
SELECT category, pg_temp.violated((pg_temp.line(jsonb_build_object('vat_category', category, 'vat_rate', '5'))::jsonb
		|| '{"seller": {"name": "Mill", "legal_registration_id": "1", "address": {"country": "DE"}},
			 "buyer": {"name": "Baker", "address": {"country": "FR"}}}')::json)
  FROM unnest('{S,Z,E,AE,K,G,O,L,M,B,X}'::text[]) AS category;
SELECT category, pg_temp.violated((pg_temp.line(jsonb_build_object('vat_category', category, 'vat_rate', 0),
			CASE category WHEN 'O' THEN '{vat_rate}'::text[] ELSE '{}' END)::jsonb
		|| jsonb_build_object('vat_breakdown', jsonb_build_array(jsonb_build_object('category', category, 'rate', '0', 'exemption_reason', 'r')),
			'delivery', '{"date": "2025-02-28", "address": {"country": "FR"}}'::jsonb)
		|| CASE category WHEN 'O' THEN '{"seller": {"name": "Mill", "legal_registration_id": "1", "address": {"country": "DE"}},
			"buyer": {"name": "Baker", "address": {"country": "FR"}}}'::jsonb ELSE '{}' END)::json)
  FROM unnest('{Z,E,AE,K,G,O,L,M}'::text[]) AS category;
-- O does not mix.
SELECT pg_temp.violated(pg_temp.changed('{"vat_breakdown": [{"category": "O", "exemption_reason": "r"}, {"category": "S", "rate": 19}],
	"allowances": [{"amount": 1, "reason": "a", "vat_category": "S", "vat_rate": 19}]}'));

-- Arithmetic: halves go away from zero, in each currency's minor unit; a
-- quotient is rounded once (2.00499999999999999999 is 2.00, not 2.01).
SELECT currency, price, base, r->'lines'->>0 AS net, r->'vat_breakdown'->0->>'tax_amount' AS tax, r->>'payable' AS payable
  FROM (VALUES ('EUR', '2.345', '1'), ('EUR', '-2.345', '1'), ('EUR', '2.344999', '1'), ('JPY', '10.5', '1'), ('JPY', '-10.5', '1'),
			   ('KWD', '1.0005', '1'), ('CLF', '1.00005', '1'), ('EUR', '14.034999999999999999', '7'), ('EUR', '14.035', '7'),
			   ('EUR', '-14.035', '7'), ('EUR', '1e-39', '3'), ('XXXX', '0.005', '1')) AS t(currency, price, base),
	   LATERAL (SELECT invoice_calculate((pg_temp.line(jsonb_build_object('unit_price', price, 'quantity', '1', 'price_base_quantity', base,
		'vat_rate', '50'))::jsonb || jsonb_build_object('currency', currency))::json) AS r) AS c;

-- Groups, allowances, charges, prepaid and rounding; a credit note has positive amounts.
SELECT jsonb_pretty(invoice_calculate('{"type_code": "381", "currency": "EUR", "prepaid_amount": 10, "rounding_amount": "-0.03",
	"lines": [{"quantity": 3, "unit_price": "33.333", "vat_category": "S", "vat_rate": "19.00",
			   "allowances": [{"amount": "1"}, {"amount": "0.5"}], "charges": [{"amount": 0.25}]},
			  {"quantity": 1, "unit_price": 5, "vat_category": "S", "vat_rate": 7},
			  {"quantity": 1, "unit_price": 5, "vat_category": "E", "vat_rate": 0},
			  {"net_amount": "-7.00", "vat_category": "S", "vat_rate": 19},
			  {"quantity": 1, "unit_price": 5, "vat_category": "O", "vat_rate": 3}],
	"allowances": [{"amount": 2, "vat_category": "S", "vat_rate": 19}], "charges": [{"amount": "1e1", "vat_category": "AE"}]}'));
SELECT invoice_is_credit_note('381'), invoice_is_credit_note('380'), invoice_calculate('[]'), invoice_calculate(NULL);

-- A member of the wrong JSON type, and numbers that are none.
SELECT rule, location, message FROM invoice_validate('{"number": 1, "issue_date": null, "type_code": true, "currency": {}, "notes": ["a", 1],
	"seller": [], "lines": {}, "allowances": [1], "totals": "no", "payment": {"accounts": [[]]}, "prepaid_amount": [],
	"buyer": {"ids": [{"id": null, "scheme": null}], "contact": {"name": 1}}}') WHERE rule = 'INV-FORM';
SELECT found, v.rule, v.location, invoice_storable(doc) FROM unnest(array['"12,50"', '"1.234,50"', '"NaN"', '"Infinity"', '"0x1F"', '"1_000"', '"+5"', '".5"', '"5."', '""',
		'"1e999999"', '1e999999', '1e-999999', '"1e41"', '0e99', '" 1.5 "', '1E+2', '"-0"', 'true', repeat('9', 41)]) AS found,
	 LATERAL (SELECT ('{"prepaid_amount": ' || found || '}')::json) AS d(doc)
	 LEFT JOIN LATERAL (SELECT * FROM invoice_validate(doc) WHERE rule LIKE 'INV%') AS v ON true;
-- What jsonb would refuse, known member or not.
SELECT v.rule, v.location, v.message, invoice_storable(doc)
  FROM (VALUES ('[]'::json), ('null'), ('"text"'), ('{"number": "a\u0000b"}'), ('{"x": {"y": ["\ud800"]}}'), ('{"a/b~c\u0000": 1}'), ('{"x": 1e200000}'),
			   (('{"x": ' || repeat('[', 1500) || repeat(']', 1500) || '}')::json)) AS t(doc),
	   LATERAL (SELECT * FROM invoice_validate(doc) WHERE rule LIKE 'INV%') AS v;
-- Unknown members are ignored, escaped names are names, the last duplicate counts.
SELECT pg_temp.violated(regexp_replace(pg_temp.changed('{"x": {"lines": [1e300, {"a": null}]}, "lins": 5}')::text,
	'"number"', '"number": 5, "n\\u0075mber"')::json);
SELECT invoice_calculate('{"prepaid_amount": "1", "prepaid_amount": "2"}')->>'prepaid' AS last;

-- Many lines: every place is reported, invoice_check keeps 100 of a rule.
CREATE TEMP TABLE long AS SELECT pg_temp.changed(jsonb_build_object('lines', (SELECT jsonb_agg(jsonb_build_object(
	'id', 'same', 'quantity', 1, 'unit_price', '0.01', 'name', 'n', 'vat_category', 'S', 'vat_rate', 1 + n)) FROM generate_series(1, 20000) AS n))) AS doc;
SELECT rule, level, count(*) FROM long, invoice_validate(doc) GROUP BY 1, 2 ORDER BY 1;
SELECT r->>'rule' AS rule, count(*), max(r->>'message') FILTER (WHERE r->>'location' = '') AS rest
  FROM long, jsonb_array_elements(invoice_check(doc)->'rules') AS r GROUP BY 1 ORDER BY 1;
SELECT r->>'line_total' AS line_total, jsonb_array_length(r->'vat_breakdown') AS groups, r->'vat_breakdown'->0->>'rate' AS first
  FROM long, invoice_calculate(doc) AS r;

SELECT list, count(*), min(code COLLATE "C"), max(code COLLATE "C"), count(DISTINCT minor_unit) FROM invoice_codes() GROUP BY 1 ORDER BY 1;

-- Prices are compared exactly; a period without a day is none.
SELECT pg_temp.violated(pg_temp.line('{"unit_price": "0.0014", "gross_price": "0.0010"}')) AS price;
SELECT DISTINCT rule FROM invoice_validate('{"lines": [{"vat_category": "K", "vat_rate": 0}], "tax_point_date_code": "35",
	"invoicing_period": {}}') WHERE rule = 'BR-IC-11';
-- The VAT in the accounting currency alone leaves the other sums to us; without it, or with the same currency, a person looks.
SELECT rule FROM invoice_validate(pg_temp.changed('{"tax_currency": "SEK", "totals": {"tax_total_accounting": "215.401"}}'::jsonb)) WHERE rule ~ '^BR-(1[2-5]|53|CO-1|DEC)';
BEGIN;
INSERT INTO invoice_submission (tracking_id, execution_id, seller_key, number, document)
	SELECT id, id, 'doubts', n, jsonb_build_object('lines', jsonb_build_array(jsonb_build_object('net_amount', net))) || doc
	  FROM (VALUES ('none', '{"tax_currency": " "}'::jsonb, 0),
		('no amount', '{"tax_currency": "SEK", "currency": "EUR"}', 1),
		('amount', '{"tax_currency": "SEK", "currency": "EUR", "totals": {"tax_total_accounting": "1"}}', 1),
		('same', '{"tax_currency": "EUR", "currency": "EUR", "totals": {"tax_total_accounting": "1"}}', 1),
		('sign', '{"type_code": "381"}', -0.01),
		('both', '{"tax_currency": "SEK"}', -1)) AS t(n, doc, net), CAST(md5(n) AS uuid) AS id;
SELECT number, invoice_step_calculate(jsonb_build_object('tracking_id', tracking_id, 'warnings', '["BR-CO-25"]'::jsonb))->'warnings' AS reasons
  FROM invoice_submission WHERE seller_key = 'doubts' ORDER BY 1;
ROLLBACK;

-- Codes of the longer lists: what is there, and what is not.
SELECT what, pg_temp.violated(doc) FROM (VALUES
	('unit', pg_temp.line('{"unit_code": "Stück"}')), ('unit in lower case', pg_temp.line('{"unit_code": "kgm"}')), ('package', pg_temp.line('{"unit_code": "XPK"}')),
	('exemption', pg_temp.changed('{"vat_breakdown": [{"category": "S", "rate": "19", "exemption_reason_code": "NONSENSE"}]}')),
	('in lower case', pg_temp.changed('{"vat_breakdown": [{"category": "S", "rate": "19", "exemption_reason_code": "vatex-eu-132-1g"}]}')),
	('allowances', pg_temp.changed('{"allowances": [{"amount": "1", "vat_category": "S", "vat_rate": "19", "reason_code": "95"}, {"amount": "1", "vat_category": "S", "vat_rate": "19", "reason_code": "FC"}],
		"charges": [{"amount": "1", "vat_category": "S", "vat_rate": "19", "reason_code": "FC"}, {"amount": "1", "vat_category": "S", "vat_rate": "19", "reason_code": "95"},
			{"amount": "1", "vat_category": "S", "vat_rate": "19", "reason_code": "freight"}]}')),
	('of a line', pg_temp.line('{"allowances": [{"amount": "1", "reason_code": "1"}], "charges": [{"amount": "1", "reason_code": "1"}]}')),
	('identifiers', pg_temp.changed('{"buyer": {"name": "B", "address": {"country": "FR"}, "ids": [{"id": "1", "scheme": "0088"}, {"id": "2", "scheme": "0999"}, {"id": "3", "scheme": "XR03"}, {"id": "4"}]}}')),
	('addresses', pg_temp.changed('{"buyer": {"name": "B", "address": {"country": "FR"}, "electronic_address": {"id": "1", "scheme": "9999"}},
		"seller": {"name": "M", "vat_id": "DE123456789", "address": {"country": "DE"}, "electronic_address": {"id": "1", "scheme": "9958"}}}')),
	('tax point', pg_temp.changed('{"tax_point_date_code": "432"}')), ('of CII', pg_temp.changed('{"tax_point_date_code": "72"}')), ('neither', pg_temp.changed('{"tax_point_date_code": "1"}'))
	) AS t(what, doc);
