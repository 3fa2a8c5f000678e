-- Five small plpgsql steps, as an application would write them: check, calculate, three inserts.
CREATE SCHEMA app;
CREATE TABLE app.l1 (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payload jsonb NOT NULL, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE app.ledger (invoice_no text PRIMARY KEY, supplier text NOT NULL, net numeric NOT NULL, tax numeric NOT NULL, gross numeric NOT NULL, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE app.payment (invoice_no text PRIMARY KEY, amount numeric NOT NULL, due date NOT NULL, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE app.notice (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, invoice_no text NOT NULL UNIQUE, kind text NOT NULL, body jsonb NOT NULL, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE app.hot (id int PRIMARY KEY, n bigint NOT NULL DEFAULT 0) WITH (fillfactor = 50);
INSERT INTO app.hot SELECT generate_series(1, 200);

CREATE FUNCTION app.validate(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF i ->> 'invoice_no' IS NULL OR jsonb_array_length(i -> 'lines') = 0
		OR EXISTS (SELECT 1 FROM jsonb_array_elements(i -> 'lines') l WHERE (l ->> 'qty')::numeric <= 0) THEN
		RETURN saga.failure('Invalid', 'no number, no lines, or a quantity that is not positive');
	END IF;
	RETURN '{"ok": true}';
END $$;

CREATE FUNCTION app.totals(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT jsonb_build_object('net', sum(qty * price)::text, 'tax', round(sum(qty * price * tax), 2)::text,
			'gross', round(sum(qty * price * (1 + tax)), 2)::text)
		FROM jsonb_to_recordset(i -> 'lines') l(qty numeric, price numeric, tax numeric));
END $$;

CREATE FUNCTION app.ledger(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO app.ledger (invoice_no, supplier, net, tax, gross)
		VALUES (i ->> 'invoice_no', i ->> 'supplier', (i #>> '{totals,net}')::numeric,
			(i #>> '{totals,tax}')::numeric, (i #>> '{totals,gross}')::numeric);
	RETURN '{"ok": true}';
END $$;

CREATE FUNCTION app.payment(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO app.payment (invoice_no, amount, due)
		VALUES (i ->> 'invoice_no', (i #>> '{totals,gross}')::numeric, (i ->> 'due')::date);
	RETURN '{"ok": true}';
END $$;

CREATE FUNCTION app.notice(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO app.notice (invoice_no, kind, body)
		VALUES (i ->> 'invoice_no', 'invoice.processed',
			jsonb_build_object('invoice_no', i ->> 'invoice_no', 'gross', i #>> '{totals,gross}'));
	RETURN '{"ok": true}';
END $$;

-- two updates of rows that everybody wants, in random order
CREATE FUNCTION app.hot(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	UPDATE app.hot SET n = n + 1 WHERE id = 1 + floor(random() * (i ->> 'rows')::int)::int;
	UPDATE app.hot SET n = n + 1 WHERE id = 1 + floor(random() * (i ->> 'rows')::int)::int;
	RETURN NULL;
END $$;

SELECT saga.create_workflow('five', '{
	"StartAt": "Validate",
	"States": {
		"Validate": {"Type": "Task", "Resource": "sql:app.validate", "ResultPath": null, "Next": "Totals"},
		"Totals": {"Type": "Task", "Resource": "sql:app.totals", "ResultPath": "$.totals", "Next": "Ledger"},
		"Ledger": {"Type": "Task", "Resource": "sql:app.ledger", "ResultPath": null, "Next": "Payment"},
		"Payment": {"Type": "Task", "Resource": "sql:app.payment", "ResultPath": null, "Next": "Notice"},
		"Notice": {"Type": "Task", "Resource": "sql:app.notice", "ResultPath": null, "End": true}
	}}');
SELECT saga.create_workflow('noop', '{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}');
SELECT saga.create_workflow('hot', '{"StartAt": "H", "States": {"H": {"Type": "Task", "Resource": "sql:app.hot", "End": true}}}');

-- N copies of one invoice of about 0.9 kB, each with its own number
CREATE FUNCTION app.invoice(n int) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('invoice_no', 'INV-' || lpad(n::text, 8, '0'), 'supplier', 'SUP-' || lpad((n % 500)::text, 5, '0'),
		'supplier_name', 'Muster Foerdertechnik GmbH & Co. KG', 'currency', 'EUR', 'issued', '2026-11-02', 'due', '2026-12-02',
		'iban', 'DE02120300000000202051', 'po', 'PO-2026-' || n % 9999, 'lines',
		(SELECT jsonb_agg(jsonb_build_object('line', k, 'sku', 'SKU-' || 1000 + (n * 7 + k) % 9000,
			'text', 'Maintenance of conveyor unit, month ' || k || ', incl. travel', 'qty', 1 + (n + k) % 9,
			'price', 12.5 + k * 3.25, 'tax', 0.19, 'account', '4400-' || k)) FROM generate_series(1, 5) k))
$$;
