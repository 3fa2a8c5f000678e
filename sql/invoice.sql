-- The invoice application in one session: what is refused, and each way through the workflow.
-- Requests go to a function in place of the network.
\set VERBOSITY default
\set SHOW_CONTEXT never

CREATE FUNCTION doc(number text, change jsonb DEFAULT '{}') RETURNS json LANGUAGE sql AS $$
	SELECT jsonb_strip_nulls('{"number": "", "issue_date": "2025-03-01", "due_date": "2025-03-31", "type_code": "380", "currency": "EUR",
		"seller": {"name": "Lindqvist AB", "vat_id": "SE556677889901", "address": {"country": "SE"}},
		"buyer": {"name": "Weber GmbH", "address": {"country": "DE"}},
		"lines": [{"id": "1", "name": "Oak table", "quantity": "2", "unit_code": "C62", "unit_price": "149.90",
			"vat_category": "S", "vat_rate": "25"},
			{"id": "2", "name": "Delivery", "quantity": 1, "unit_code": "C62", "unit_price": 20.00,
			"vat_category": "S", "vat_rate": 25}]}'::jsonb || jsonb_build_object('number', number) || change)::json
$$;

-- what is refused
SELECT invoice_submit('[1]');
SELECT invoice_submit('{"seller": {"name": "A"}}');
SELECT invoice_submit('{"number": " ", "seller": {"name": "A"}}');
SELECT invoice_submit('{"number": {"a": 1}, "seller": {"name": "A"}}');
SELECT invoice_submit('{"number": "1"}');
SELECT invoice_submit('{"number": "1", "seller": {"name": null, "ids": [{}]}}');
SELECT invoice_submit(json_build_object('number', repeat('9', 501), 'seller', json_build_object('name', 'A')));
SET pg_invoice.max_document_size = '1kB';
SELECT invoice_submit(json_build_object('number', '1', 'seller', json_build_object('name', 'A'), 'x', repeat('x', 1000)));
RESET pg_invoice.max_document_size;
SELECT invoice_submit(NULL);
SELECT invoice_submit_batch(NULL);
SELECT invoice_submit_batch('[null]');
SELECT count(*) FROM invoice_submission;

-- who the seller is: one spelling for each kind of identifier; what text cannot hold stays escaped
SELECT k.number, k.seller_key, k.seller, k.buyer, k.currency
FROM (VALUES
	(1, '{"number": "1", "seller": {"name": "A", "vat_id": "de 123.456-789", "legal_registration_id": "HRB 1"}}'::json),
	(2, '{"number": 7, "seller": {"legal_registration_id": "hrb 12-3", "name": "A"}, "currency": "EUR"}'),
	(3, '{"number": " x ", "seller": {"ids": [{"scheme": "0088", "id": "40 00"}, {"id": "2"}]}, "buyer": {"name": "B"}}'),
	(4, '{"number": "1", "seller": {"ids": [{"id": "n-1"}], "vat_id": ""}}'),
	(5, '{"number": "1", "seller": {"name": "  Big\t  Shop "}}'),
	(6, '{"x": "\u0000", "number": "a\u0000b", "seller": {"name": "\ud800 \u00e9\ud83d\ude00\""}}'),
	(7, '{"lines": [{"number": "no", "seller": 1}], "n\u0075mber": "yes", "seller": {"a": {"name": "no"}, "name": "yes"}}'),
	(8, '{"number": "first", "number": "last", "seller": {"name": "A"}, "n": 1e999999}')) AS d (n, doc),
	invoice_document_key(doc) AS k
ORDER BY n;

-- the workflow is made by the first submission
SELECT count(*) FROM saga.workflow WHERE name = 'invoice';
SELECT invoice_submit(doc('A-1')) AS a1 \gset
SELECT count(*) FROM saga.workflow WHERE name = 'invoice';
SELECT number, seller, buyer, status, current_step, attempts, currency, payable, error,
	submitted_at <= clock_timestamp() AS submitted, finished_at
FROM invoice_tracking WHERE tracking_id = :'a1';

-- the same again; the same in another layout; the same number with other content
SELECT invoice_submit(doc('A-1')) = :'a1' AS same_text, invoice_submit(json_strip_nulls(doc('A-1'))) = :'a1' AS same_json;
\set VERBOSITY terse
DO $$
BEGIN
	PERFORM invoice_submit(doc('A-1', '{"currency": "SEK"}'));
EXCEPTION WHEN unique_violation THEN
	RAISE NOTICE '%', replace(sqlerrm, (SELECT tracking_id::text FROM invoice_tracking WHERE number = 'A-1'), '(its id)');
END
$$;
\set VERBOSITY default
SELECT count(*) FROM invoice_submission;

-- a batch is all or nothing
SELECT count(*) FROM invoice_submit_batch(json_build_array(doc('A-1'), doc('B-1'), doc('B-2')));
SELECT invoice_submit_batch(json_build_array(doc('B-3'), doc('B-4'), '{"number": "B-5"}'::json));
SELECT invoice_submit_batch('{}');
SELECT number FROM invoice_submission ORDER BY number;

-- the shipped definition is valid and stops at the network: it has no destination yet
SELECT * FROM saga.validate(invoice_definition());
CALL saga.drain('invoice');
SELECT number, status, error FROM invoice_tracking ORDER BY number;
SELECT number, reason, cause, rules, attempts, compensated, document->>'number' AS document FROM invoice_dlq ORDER BY number;
SELECT number, settlement, status, voided_at IS NULL AS standing FROM invoice ORDER BY number;

-- one's own definition: a function stands for HTTP and SNS
CREATE TABLE request (n serial, endpoint text, body jsonb);
CREATE FUNCTION network(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	n integer;
	number text := coalesce(input#>>'{RequestBody,number}', '');
BEGIN
	INSERT INTO request (endpoint, body) VALUES (coalesce(input->>'ApiEndpoint', input->>'TopicArn'),
		coalesce(input->'RequestBody', (input->'Message') - 'tracking_id') - 'reference') RETURNING request.n INTO n;
	IF input->>'ApiEndpoint' LIKE 'saga:accounting/v1/%s' AND number LIKE 'BAD%' THEN
		RETURN saga.failure('States.Http.StatusCode.422', 'no such account');
	ELSIF input->>'ApiEndpoint' LIKE '%/refund' AND input#>>'{RequestBody,reason}' = 'States.Http.StatusCode.422'
		AND EXISTS (SELECT FROM request WHERE body->>'number' = 'BAD-REFUND') THEN
		RETURN saga.failure('States.Http.StatusCode.409', 'too late');
	END IF;
	RETURN jsonb_build_object('StatusCode', 201, 'ResponseBody', jsonb_build_object('id', 'r' || n), 'MessageId', 'm' || n);
END
$$;
SELECT saga.create_workflow('invoice', replace(replace(invoice_definition()::text,
	'arn:aws:states:::http:invoke', 'sql:public.network'), 'arn:aws:states:::sns:publish', 'sql:public.network')::jsonb);

-- a retry finds the new version, and is for the dead only
SELECT invoice_retry(:'a1') = :'a1' AS same_id;
SELECT status, attempts FROM invoice_tracking WHERE tracking_id = :'a1';
SELECT count(*) FROM invoice_dlq WHERE tracking_id = :'a1';
CALL saga.drain('invoice');
SELECT status, attempts, payable, error FROM invoice_tracking WHERE tracking_id = :'a1';
SELECT endpoint, body FROM request ORDER BY n;
SELECT seller_key, number, seller, buyer, type_code, currency, issue_date, due_date, line_total, tax_exclusive,
	tax_total, tax_inclusive, payable, settlement, status FROM invoice WHERE tracking_id = :'a1';
SELECT line, line_id, name, quantity, unit_code, unit_price, net_amount, vat_category, vat_rate
FROM invoice_line WHERE tracking_id = :'a1' ORDER BY line;
SELECT position, category, rate, taxable_amount, tax_amount FROM invoice_vat WHERE tracking_id = :'a1' ORDER BY position;
\set VERBOSITY terse
CREATE FUNCTION error_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text; message text; detail text; hint text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN regexp_replace(concat_ws(' | ', state, message, detail, hint), '[0-9a-f]{8}-[0-9a-f-]{27}', '(id)', 'g');
END
$$;
SELECT error_of(format('SELECT invoice_retry(%L)', :'a1'));
SELECT error_of(format('SELECT invoice_cancel(%L)', :'a1'));
SELECT error_of(format('SELECT invoice_approve(%L)', :'a1'));
SELECT error_of(format('SELECT invoice_reject(%L, %L)', :'a1', ' '));
SELECT error_of('SELECT invoice_retry(''00000000-0000-0000-0000-000000000000'')');
TRUNCATE request RESTART IDENTITY;

-- a credit note gives a credit; a negative invoice too; nothing due does neither
SELECT count(*) FROM invoice_submit_batch(json_build_array(
	doc('C-1', '{"type_code": "381"}'),
	doc('C-2', '{"prepaid_amount": "500"}'),
	doc('C-3', '{"prepaid_amount": "399.75"}')));
CALL saga.drain('invoice');
-- a negative amount is turned round only by a person
SELECT invoice_approve(tracking_id), number, reason FROM invoice_held;
CALL saga.drain('invoice');
SELECT number, status, payable FROM invoice_tracking WHERE number LIKE 'C-%' ORDER BY 1;
SELECT number, settlement FROM invoice WHERE number LIKE 'C-%' ORDER BY 1;
SELECT endpoint, body->>'number' AS number, body->>'amount' AS amount, body->>'total' AS total FROM request ORDER BY 2, n;
TRUNCATE request RESTART IDENTITY;

-- wrong in itself: the rules are in the dead letter; nothing was done; corrected it goes on
SELECT invoice_submit('{"number": "D-1", "seller": {"name": "Lindqvist AB", "vat_id": "SE556677889901"}, "x": "\u0000"}') AS d1 \gset
CALL saga.drain('invoice');
SELECT status, error, payable FROM invoice_tracking WHERE tracking_id = :'d1';
SELECT reason, rules, compensated, cause::jsonb#>'{violations,0}' AS first, document->>'number' AS number
FROM (SELECT reason, rules, compensated, cause, replace(document::text, '\u0000', '')::json AS document
	  FROM invoice_dlq WHERE tracking_id = :'d1') AS d;
SELECT invoice_retry(:'d1', doc('D-1')) = :'d1' AS same_id;
CALL saga.drain('invoice');
SELECT status, attempts, error, payable FROM invoice_tracking WHERE tracking_id = :'d1';
SELECT count(*) FROM invoice_dlq WHERE tracking_id = :'d1';
SELECT document FROM invoice_document_history WHERE tracking_id = :'d1';

-- dead ones make room for another document, not for themselves
SELECT invoice_submit('{"number": "D-2", "seller": {"name": "S"}}') AS d2 \gset
CALL saga.drain('invoice');
SELECT invoice_submit('{"number": "D-2", "seller": {"name": "S"}}') = :'d2' AS same;
SELECT invoice_submit('{"number": "D-2", "seller": {"name": "S"}, "note": 1}') <> :'d2' AS another;
SELECT error_of(format('SELECT invoice_retry(%L)', :'d2'));
CALL saga.drain('invoice');
SELECT status, error FROM invoice_tracking WHERE number = 'D-2' ORDER BY submitted_at;
-- a correction must not take another invoice's number
SELECT error_of(format('SELECT invoice_retry(%L, doc(%L, %L))', tracking_id, 'A-1', '{"currency": "SEK"}'))
FROM invoice_tracking WHERE number = 'D-2' AND tracking_id <> :'d2';
SELECT error_of(format('SELECT invoice_retry(%L, doc(%L))', tracking_id, 'A-1'))
FROM invoice_tracking WHERE number = 'D-2' AND tracking_id <> :'d2';

-- the booking is refused: the payment comes back, the tables say void
TRUNCATE request RESTART IDENTITY;
SELECT invoice_submit(doc('BAD-1')) AS bad \gset
CALL saga.drain('invoice');
SELECT endpoint, body->>'amount' AS amount, body->>'reason' AS reason FROM request ORDER BY n;
SELECT status, error, payable FROM invoice_tracking WHERE tracking_id = :'bad';
SELECT reason, cause, rules, compensated FROM invoice_dlq WHERE tracking_id = :'bad';
SELECT status, voided_at IS NOT NULL AS voided FROM invoice WHERE tracking_id = :'bad';
-- the refund is refused as well: no retry before a person has undone it
SELECT invoice_submit(doc('BAD-REFUND')) AS bad \gset
CALL saga.drain('invoice');
SELECT reason, cause, compensated FROM invoice_dlq WHERE tracking_id = :'bad';
SELECT error_of(format('SELECT invoice_retry(%L)', :'bad'));
SELECT invoice_retry(:'bad', doc('GOOD-NOW'), force => true) = :'bad' AS same_id;
-- what the first attempt has left cannot be undone by a late word any more: it would be the new one's
SELECT x->>'state' AS state, x->>'outcome' AS outcome, x->>'closed' AS closed
FROM saga.execution, jsonb_array_elements(not_compensated) x WHERE execution_id = :'bad';
SELECT error_of(format('SELECT saga.settle(%L, ''no_effect'')', :'bad')) ~ 'known already' AS refused;
CALL saga.drain('invoice');
SELECT number, status, attempts FROM invoice_tracking WHERE tracking_id = :'bad';

-- held: by a warning (no due date), or above the limit
SELECT invoice_submit(doc('H-1', '{"due_date": null}')) AS h1 \gset
SELECT invoice_set_approval_limit('eur', 399), invoice_set_approval_limit('default', 1000000);
SELECT invoice_submit(doc('H-2')) AS h2 \gset
SELECT invoice_submit(doc('H-3')) AS h3 \gset
SELECT invoice_submit(doc('H-4', '{"currency": "SEK"}')) AS h4 \gset
SELECT * FROM invoice_approval_limit ORDER BY 1;
CALL saga.drain('invoice');
SELECT number, status, current_step, payable FROM invoice_tracking WHERE number LIKE 'H-%' ORDER BY 1;
SELECT number, seller, buyer, currency, payable, reason FROM invoice_held ORDER BY 1;
SELECT invoice_approve(:'h1');
SELECT error_of(format('SELECT invoice_approve(%L)', :'h1'));
SELECT invoice_reject(:'h2', 'ordered twice');
SELECT invoice_cancel(:'h3');
CALL saga.drain('invoice');
SELECT number, status, error FROM invoice_tracking WHERE number LIKE 'H-%' ORDER BY 1;
SELECT number, reason, cause, rules FROM invoice_dlq WHERE number LIKE 'H-%' ORDER BY 1;
SELECT error_of(format('SELECT invoice_cancel(%L)', :'h3'));
SELECT s.number, a.decision, a.decided_by = session_user AS by_me, a.note
FROM invoice_approval a JOIN invoice_submission s USING (tracking_id) ORDER BY 1;
SELECT count(*) FROM invoice_held;
SELECT invoice_set_approval_limit('EUR', NULL), invoice_set_approval_limit('default', NULL);
SELECT error_of('SELECT invoice_set_approval_limit(''euro'', 1)');
SELECT error_of('SELECT invoice_set_approval_limit(''EUR'', -1)');
SELECT count(*) FROM invoice_approval_limit;
-- what was cancelled or rejected can be retried
SELECT invoice_retry(:'h2') = :'h2' AS h2, invoice_retry(:'h3') = :'h3' AS h3;
CALL saga.drain('invoice');
SELECT number, status, attempts FROM invoice_tracking WHERE number IN ('H-2', 'H-3') ORDER BY 1;

-- a dead letter redriven by the engine: the execution goes on in its place, unless something of it still stands
SELECT invoice_submit(doc('BAD-REFUND')) AS bad \gset
CALL saga.drain('invoice');
SELECT error_of(format('SELECT saga.redrive(%L::uuid)', dead_letter_id)) ~ 'has left something that was not undone' AS refused FROM saga.dead_letters WHERE message_id = :'bad';
SELECT saga.redrive(dead_letter_id, force => true) IS NOT NULL AS redriven FROM saga.dead_letters WHERE message_id = :'bad';
CALL saga.drain('invoice');
SELECT status, attempts FROM invoice_tracking WHERE tracking_id = :'bad';
SELECT reason, attempts FROM invoice_dlq WHERE tracking_id = :'bad';
SELECT redrive_count FROM saga.executions WHERE input->>'tracking_id' = :'bad';
TRUNCATE request RESTART IDENTITY;
SELECT invoice_submit(doc('BAD-2')) AS bad \gset
CALL saga.drain('invoice');
SELECT saga.redrive(dead_letter_id) IS NOT NULL AS redriven FROM saga.dead_letters WHERE message_id = :'bad';
CALL saga.drain('invoice');
SELECT status, attempts FROM invoice_tracking WHERE tracking_id = :'bad';
SELECT reason, attempts, compensated FROM invoice_dlq WHERE tracking_id = :'bad';
SELECT endpoint, count(*) FROM request WHERE body->>'number' = 'BAD-2' GROUP BY 1 ORDER BY 1;
-- its number has been given to another document, or looks like that of one, since it was undone: nothing is paid
CREATE FUNCTION redriven(id uuid) RETURNS boolean LANGUAGE sql AS
	$$ SELECT saga.redrive(dead_letter_id) = id FROM saga.dead_letters WHERE message_id = id AND redriven_at IS NULL $$;
SELECT invoice_submit(doc('BAD-3')) AS bad \gset
SELECT invoice_submit(doc('BAD-4')) AS alike \gset
CALL saga.drain('invoice');
SELECT invoice_submit((doc('BAD-3')::jsonb || '{"due_date": "2027-01-01"}')::json) <> :'bad' AS another, invoice_submit(doc('BAD 4')) <> :'alike' AS another;
TRUNCATE request;
SELECT redriven(:'bad') AS superseded, redriven(:'alike') AS alike;
SELECT status, redrive_count FROM saga.executions WHERE execution_id IN (:'bad', :'alike');
CALL saga.drain('invoice');
SELECT number, status, error FROM invoice_tracking WHERE tracking_id IN (:'bad', :'alike') ORDER BY 1;
SELECT number, reason, compensated FROM invoice_dlq WHERE tracking_id IN (:'bad', :'alike') ORDER BY 1;
SELECT count(*) FROM request WHERE body->>'number' IN ('BAD-3', 'BAD-4') AND endpoint LIKE '%/payments';
SELECT invoice_retry(:'alike') = :'alike' AS retried;
CALL saga.drain('invoice');
SELECT status, attempts, (SELECT reason FROM invoice_approval a WHERE a.tracking_id = t.tracking_id AND decided_at IS NULL) FROM invoice_tracking t WHERE tracking_id = :'alike';
SELECT invoice_reject(:'alike', 'twice');
CALL saga.drain('invoice');
-- redriven it asks once more
SELECT redriven((SELECT execution_id FROM invoice_submission WHERE tracking_id = :'alike')) AS itself;
CALL saga.drain('invoice');
SELECT status, attempts FROM invoice_tracking WHERE tracking_id = :'alike';
SELECT invoice_reject(:'alike', 'again');
CALL saga.drain('invoice');
-- one that was stopped and is tried again does not go on beside that
SELECT invoice_submit(doc('BAD-5')) AS bad \gset
SELECT invoice_cancel(:'bad');
CALL saga.drain('invoice');
SELECT invoice_retry(:'bad') = :'bad' AS retried;
SELECT error_of(format('SELECT saga.redrive_execution(%L)', :'bad')) ~ 'nothing was kept of its run' AS refused;
CALL saga.drain('invoice');

-- no pg_cron here
SELECT error_of('SELECT invoice_schedule(''0 6 1 * *'')');
SELECT invoice_unschedule();
CALL invoice_process();

-- roles: nothing for PUBLIC; submitting and deciding need EXECUTE alone
SELECT p.oid::regprocedure FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
WHERE p.proname LIKE 'invoice\_%' AND a.grantee = 0;
SELECT c.oid::regclass, a.privilege_type FROM pg_class c, aclexplode(c.relacl) a
WHERE c.relname LIKE 'invoice%' AND a.grantee = 0;
-- everything says what it is
SELECT pg_describe_object(d.classid, d.objid, 0) AS without_comment FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
WHERE e.extname = 'pg_invoice' AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
	AND d.classid IN ('pg_class'::regclass, 'pg_proc'::regclass)
	AND obj_description(d.objid, d.classid::regclass::name) IS NULL;
CREATE ROLE regress_invoice_owner LOGIN;
CREATE ROLE regress_invoice_shop;
CREATE ROLE regress_invoice_clerk;
SELECT invoice_setup('regress_invoice_owner');
SELECT owner FROM saga.workflow WHERE name = 'invoice';
GRANT ALL ON TABLE request TO regress_invoice_owner;
GRANT ALL ON SEQUENCE request_n_seq TO regress_invoice_owner;
GRANT EXECUTE ON FUNCTION invoice_submit(json), invoice_submit_batch(json) TO regress_invoice_shop;
GRANT SELECT ON invoice_tracking, invoice_held, invoice_dlq TO regress_invoice_clerk;
GRANT EXECUTE ON FUNCTION invoice_approve(uuid), invoice_reject(uuid, text), invoice_cancel(uuid),
	invoice_retry(uuid, json, boolean), invoice_violated_rules(text) TO regress_invoice_clerk;
SET SESSION AUTHORIZATION regress_invoice_shop;
SELECT invoice_submit(doc('R-1', '{"due_date": null}')) AS r1 \gset
SELECT count(*) FROM invoice_submit_batch(json_build_array(doc('R-2'), doc('R-3', '{"lines": []}')));
SELECT * FROM invoice_submission;
SELECT invoice_approve(:'r1');
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION regress_invoice_owner;
CALL invoice_process();
SELECT error_of('UPDATE invoice_submission SET document = NULL');
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION regress_invoice_clerk;
SELECT number, status, payable FROM invoice_tracking WHERE number LIKE 'R-%' ORDER BY 1;
SELECT number, reason, rules FROM invoice_dlq WHERE number LIKE 'R-%';
SELECT invoice_approve(tracking_id) FROM invoice_held;
SELECT invoice_submit(doc('R-4'));
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION regress_invoice_owner;
CALL invoice_process();
RESET SESSION AUTHORIZATION;
SELECT number, status FROM invoice_tracking WHERE number LIKE 'R-%' ORDER BY 1;
