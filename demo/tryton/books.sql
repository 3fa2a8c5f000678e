-- Our side of the books: which ids Tryton gave to companies, taxes and buyers, and the step of the
-- workflow that turns an invoice into Tryton's own form. Variables: map, the JSON of "tryton.js
-- setup"; owner, the role that the workflow belongs to.

CREATE SCHEMA books;
CREATE TABLE books.company (
	currency text PRIMARY KEY,
	company integer NOT NULL,
	currency_id integer NOT NULL,
	journal integer NOT NULL,
	receivable integer NOT NULL,
	revenue integer NOT NULL,
	tax integer NOT NULL
);
CREATE TABLE books.tax (company integer, rate numeric, tax integer NOT NULL, PRIMARY KEY (company, rate));
CREATE TABLE books.buyer (key text PRIMARY KEY, party integer NOT NULL, address integer NOT NULL);

INSERT INTO books.company
	SELECT c.* FROM jsonb_array_elements(:'map'::jsonb->'companies') AS m,
		jsonb_to_record(m || jsonb_build_object('currency', m->'code', 'currency_id', m->'currency'))
			AS c (currency text, company integer, currency_id integer, journal integer,
				receivable integer, revenue integer, tax integer);
INSERT INTO books.tax
	SELECT (m->>'company')::integer, t.key::numeric, t.value::integer
	FROM jsonb_array_elements(:'map'::jsonb->'companies') AS m, jsonb_each_text(m->'taxes') AS t;
INSERT INTO books.buyer
	SELECT b.* FROM jsonb_to_recordset(:'map'::jsonb->'buyers') AS b (key text, party integer, address integer);

CREATE FUNCTION books.buyer_key(buyer json) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN coalesce(buyer->>'vat_id', buyer->>'legal_registration_id', buyer->>'name');

-- Tryton takes control characters in texts of several lines only.
CREATE FUNCTION books.one_line(text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN btrim(regexp_replace($1, '[\s[:cntrl:]]+', ' ', 'g'));

-- What is booked: every line, and document allowances and charges as lines of their own.
CREATE FUNCTION books.lines(tracking uuid) RETURNS TABLE (line integer, name text, amount numeric)
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT l.line, coalesce(l.name, l.line_id), l.net_amount FROM invoice_line l WHERE l.tracking_id = tracking
	UNION ALL
	SELECT t.line, t.name, t.amount
	FROM invoice i, LATERAL (VALUES (NULL::integer, 'Allowances', - i.allowance_total), (NULL, 'Charges', i.charge_total)) AS t (line, name, amount)
	WHERE i.tracking_id = tracking AND t.amount <> 0;
END;

-- VAT is booked as we calculated it, to the cent. A credit note is an invoice the other way round.
CREATE FUNCTION books.entry(input jsonb) RETURNS jsonb
LANGUAGE plpgsql
AS $$
DECLARE
	tracking uuid := input->>'tracking_id';
	factor numeric := CASE input->>'kind' WHEN 'credit-note' THEN -1 ELSE 1 END;
	document json;
	c books.company;
	b books.buyer;
BEGIN
	SELECT s.document INTO STRICT document FROM invoice_submission s WHERE s.tracking_id = tracking;
	SELECT * INTO c FROM books.company WHERE currency = input->>'currency';
	IF NOT FOUND THEN
		RETURN saga.failure('CurrencyUnknown', format('there are no books in %s', input->>'currency'));
	END IF;
	SELECT * INTO b FROM books.buyer WHERE key = books.buyer_key(document->'buyer');
	IF NOT FOUND THEN
		RETURN saga.failure('BuyerUnknown', format('the books do not know %s', books.buyer_key(document->'buyer')));
	END IF;
	RETURN input || jsonb_build_object('entry', jsonb_build_object('company', c.company,
		'total', (factor * (input#>>'{totals,tax_inclusive}')::numeric)::text, 'values', jsonb_build_object(
			'type', 'out', 'number', books.one_line(input->>'number'), 'reference', books.one_line(input#>>'{seller,id}'),
			'description', tracking, 'invoice_date', document->>'issue_date', 'journal', c.journal, 'currency', c.currency_id,
			'party', b.party, 'invoice_address', b.address, 'account', c.receivable,
			'lines', jsonb_build_array(jsonb_build_array('create',
				(SELECT jsonb_agg(jsonb_build_object('type', 'line', 'description', l.name, 'quantity', factor::text,
					'unit_price', l.amount::text, 'account', c.revenue, 'currency', c.currency_id) ORDER BY l.line)
				 FROM books.lines(tracking) AS l))),
			'taxes', jsonb_build_array(jsonb_build_array('create',
				(SELECT coalesce(jsonb_agg(jsonb_build_object('manual', true,
					'description', v.category || coalesce(' ' || v.rate || '%', ''), 'account', c.tax, 'tax', t.tax,
					'base', (factor * v.taxable_amount)::text, 'amount', (factor * v.tax_amount)::text) ORDER BY v.position), '[]')
				 FROM invoice_vat v LEFT JOIN books.tax t ON t.company = c.company AND t.rate = coalesce(v.rate, 0)
				 WHERE v.tracking_id = tracking))))));
END
$$;
COMMENT ON FUNCTION books.entry(jsonb) IS 'step: adds entry: the invoice as Tryton takes it (values), its company there, and the total';

GRANT USAGE ON SCHEMA books TO :"owner";
GRANT SELECT ON ALL TABLES IN SCHEMA books TO :"owner";
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA books TO :"owner";
