-- Whose workflows invoices go through: invoice_setup for a first, the same and another role, over definitions
-- that were changed, and without one.
\set VERBOSITY default
\set SHOW_CONTEXT never

CREATE ROLE regress_setup_one LOGIN;
CREATE ROLE regress_setup_two LOGIN;
CREATE ROLE regress_setup_gone LOGIN;
CREATE ROLE regress_setup_squatter LOGIN;
GRANT USAGE ON SCHEMA saga TO PUBLIC;
GRANT EXECUTE ON FUNCTION saga.create_workflow(text, jsonb) TO regress_setup_one, regress_setup_two, regress_setup_squatter;
SELECT current_user AS admin \gset
CREATE SCHEMA test;
-- an administrator's name is any
CREATE FUNCTION test.role_name(role regrole) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN r.rolsuper THEN '(superuser)' WHEN r.oid IS NULL THEN '(dropped)' ELSE r.rolname END
	FROM (SELECT role) x LEFT JOIN pg_catalog.pg_roles r ON r.oid = x.role $$;
CREATE FUNCTION test.error_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text; message text; detail text; hint text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN regexp_replace(concat_ws(' | ', state, message, nullif(detail, ''), nullif(hint, '')), '(role) \d+', '\1 OID', 'g');
END
$$;
CREATE VIEW test.present AS
	SELECT test.role_name(w.owner) AS owner, w.name, w.version, s.current,
		w.definition IN (invoice_definition(), invoice_inbox_definition()) AS shipped
	FROM invoice_setting s JOIN saga.workflows w ON w.workflow_id IN (s.workflow_id, s.inbox_workflow_id)
	ORDER BY s.set_at, w.name, w.owner;
CREATE FUNCTION test.doc(number text) RETURNS json LANGUAGE sql AS $$
	SELECT json_build_object('number', number, 'seller', json_build_object('name', 'Setup')) $$;
\set other '{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}'

-- somebody has the names already, with another definition; nothing of that counts
SET SESSION AUTHORIZATION regress_setup_squatter;
SELECT saga.create_workflow(name, :'other') FROM unnest(ARRAY['invoice', 'invoice-inbox']) name;
RESET SESSION AUTHORIZATION;

-- a superuser says whose it is to be
SELECT invoice_setup();
SELECT invoice_setup(NULL);
SELECT invoice_source('front-door', '{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/invoices"}');
SELECT test.error_of('SELECT invoice_setup(''4000000000'')');
SELECT count(*) FROM invoice_setting;
SELECT invoice_workflow_id(), invoice_workflow_owner();

-- for a role: both workflows, and the rights of their steps
SELECT invoice_setup('regress_setup_one');
SELECT * FROM test.present;
SELECT r, has_table_privilege(r, 'invoice_submission', 'SELECT') AS reads, has_table_privilege(r, 'invoice_submission', 'INSERT') AS writes,
	has_table_privilege(r, 'invoice', 'INSERT') AS saves, has_function_privilege(r, 'invoice_inbox(jsonb, jsonb)', 'EXECUTE') AS takes
FROM unnest(ARRAY['regress_setup_one', 'regress_setup_two', 'regress_setup_squatter']) r;
-- it is what saga.create_source makes for an inbox, and a source finds it
SELECT invoice_source('front-door', '{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/invoices"}') > 0 AS made;
SELECT test.error_of('SELECT invoice_source(''front-door'', ''{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/invoices"}'')');
SELECT name, owner, queue FROM saga.sources;
SELECT saga.create_source('other', 'sqs', '{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/other"}', 'invoice', 'regress_setup_two') > 0 AS made;
SELECT count(DISTINCT w.definition), count(*) FROM saga.workflows w WHERE w.name = 'invoice-inbox' AND w.owner <> 'regress_setup_squatter'::regrole;
SELECT saga.drop_source('regress_setup_two.other');

-- again, by name or not: nothing new
SELECT set_at AS before FROM invoice_setting \gset
SELECT invoice_setup('regress_setup_one'), invoice_setup();
SELECT * FROM test.present;
SELECT set_at = :'before' AS same FROM invoice_setting;

-- the owner's own definition stays, and is nobody's business but his
SELECT invoice_submit(test.doc('1')) AS id1 \gset
SET SESSION AUTHORIZATION regress_setup_one;
SELECT saga.create_workflow('invoice', :'other');
RESET SESSION AUTHORIZATION;
SELECT invoice_setup(), invoice_setup('regress_setup_one');
SELECT invoice_submit(test.doc('2')) AS id2 \gset
SELECT * FROM test.present;

-- to another role, who has an inbox of its own from above: it must be looked at, as the steps become that role's
SELECT invoice_setup('regress_setup_two');
SELECT definition_hash AS hash FROM saga.workflows WHERE name = 'invoice' AND owner = 'regress_setup_one'::regrole \gset
SELECT test.error_of('SELECT saga.set_workflow_owner(''regress_setup_one.invoice'', ''regress_setup_two'')');
-- and what began with the one before would go on with that
SELECT test.error_of(format('SELECT saga.set_workflow_owner(''regress_setup_one.invoice'', ''regress_setup_two'', %L)', :'hash'));
SELECT invoice_cancel(:'id1');
\c - regress_setup_one
CALL saga.drain();
\c - :admin
SELECT saga.set_workflow_owner('regress_setup_one.invoice', 'regress_setup_two', :'hash');
SELECT invoice_setup('regress_setup_two');
SELECT * FROM test.present;
-- that of the former inbox is still shown
SELECT owner, queue FROM saga.sources WHERE name = 'front-door';
SELECT number, status FROM invoice_tracking ORDER BY number;

-- to a role that has both: invoices on their way stay where they are
SELECT invoice_submit(test.doc('3')) AS id3 \gset
SELECT saga.create_workflow('invoice', invoice_definition(), 'regress_setup_one');
SELECT invoice_setup('regress_setup_one');
SELECT * FROM test.present;
SELECT invoice_submit(test.doc('4')) AS id4 \gset
SELECT w.owner, e.input ->> 'number' AS number, e.status FROM saga.executions e JOIN saga.workflows w USING (workflow_id) ORDER BY 2;
\c - regress_setup_one
CALL invoice_process();
\c - regress_setup_two
CALL invoice_process();
\c - :admin
SELECT number, status FROM invoice_tracking ORDER BY number;
SELECT number, reason FROM invoice_dlq ORDER BY number;
-- each knows what of the other's has failed
SELECT invoice_is_dead(tracking_id) FROM invoice_submission ORDER BY number;
SELECT invoice_submit(test.doc('4')) = :'id4' AS same;

-- an execution that is no invoice's frees no number, though it has the id of one
DELETE FROM saga.execution WHERE execution_id = :'id3';
SET SESSION AUTHORIZATION regress_setup_squatter;
SELECT saga.create_workflow('fail', '{"StartAt": "A", "States": {"A": {"Type": "Fail"}}}');
RESET SESSION AUTHORIZATION;
GRANT EXECUTE ON FUNCTION saga.start_execution(text, jsonb, text, uuid) TO regress_setup_squatter;
GRANT EXECUTE ON PROCEDURE saga.drain(text, integer) TO regress_setup_squatter;
\c - regress_setup_squatter
SELECT saga.start_execution('fail', '{}', NULL, :'id3') = :'id3' AS same;
CALL saga.drain();
\c - :admin
SELECT status FROM saga.executions WHERE execution_id = :'id3';
SELECT invoice_is_dead(:'id3');
SELECT regexp_replace(test.error_of($$SELECT invoice_submit('{"number": "3", "seller": {"name": "Setup"}, "note": "other"}')$$), 'as [0-9a-f-]{36}', 'as (id)');

-- a definition of the role's own that nobody looked at
SELECT saga.create_workflow(name, :'other', 'regress_setup_gone') FROM unnest(ARRAY['invoice', 'invoice-inbox']) name;
SELECT invoice_setup('regress_setup_gone');
SELECT saga.create_workflow('invoice', public.invoice_definition(), 'regress_setup_gone');
SELECT invoice_setup('regress_setup_gone');
SELECT saga.create_workflow('invoice-inbox', public.invoice_inbox_definition(), 'regress_setup_gone');
SELECT invoice_setup('regress_setup_gone');
SELECT * FROM test.present WHERE current;
SELECT invoice_source('back-door', '{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/back"}') > 0 AS made;

-- the owner is dropped: another one gets what was his, the source too
SET pg_saga.keep_owners = off;
DROP OWNED BY regress_setup_gone;
DROP ROLE regress_setup_gone;
SELECT test.error_of('SELECT invoice_setup()');
CREATE ROLE regress_setup_next LOGIN;
SELECT invoice_setup('regress_setup_next');
SELECT * FROM test.present WHERE current;
SELECT name, owner, queue FROM saga.sources WHERE name = 'back-door';

-- without any setup the first invoice has the workflows made for the owner of the extension
DROP SCHEMA test CASCADE;
DROP EXTENSION pg_saga CASCADE;
CREATE EXTENSION pg_saga;
CREATE EXTENSION pg_invoice;
CREATE ROLE regress_setup_shop LOGIN;
GRANT EXECUTE ON FUNCTION invoice_submit(json) TO regress_setup_shop;
SET SESSION AUTHORIZATION regress_setup_shop;
SELECT invoice_submit(json_build_object('number', '1', 'seller', json_build_object('name', 'Setup'))) IS NOT NULL AS accepted;
RESET SESSION AUTHORIZATION;
SELECT w.name, r.rolsuper FROM saga.workflows w JOIN pg_roles r ON r.oid = w.owner ORDER BY 1;
-- which the doctor says, with the command that mends it
SELECT severity, regexp_replace(what, 'to .*, a', 'to X, a') AS what, command FROM saga.doctor() WHERE what LIKE 'workflow "invoice%' ORDER BY what;
SELECT invoice_setup('regress_setup_one'), invoice_setup('regress_setup_one');
SELECT severity, what FROM saga.doctor() WHERE what LIKE 'workflow "invoice%';
SELECT w.name, w.owner FROM saga.workflows w ORDER BY 1;
SELECT number, status FROM invoice_tracking;

-- who submits may not set up, nor call its parts
SET SESSION AUTHORIZATION regress_setup_shop;
SELECT invoice_setup('regress_setup_shop');
SELECT invoice_setup_for('regress_setup_shop');
SELECT invoice_setup_lock();
SELECT invoice_setup_sources('regress_setup_shop', 1);
RESET SESSION AUTHORIZATION;
