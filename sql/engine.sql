-- engine: workflows, executions and steps, run in this session by saga.drain()
CREATE EXTENSION IF NOT EXISTS pg_saga;
SET client_min_messages = warning;
CREATE SCHEMA app;
CREATE TABLE app.log (at serial, what text);

CREATE FUNCTION app.note(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO app.log (what) VALUES (i ->> 'what');
	RETURN jsonb_build_object('noted', i ->> 'what');
END $$;
CREATE FUNCTION app.undo(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO app.log (what) VALUES ('undo ' || (i #>> '{input,what}') || ' because ' || (i #>> '{error,Error}'));
	RETURN NULL;
END $$;
CREATE FUNCTION app.boom(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO app.log (what) VALUES ('boom, must be rolled back');
	RAISE EXCEPTION 'no luck' USING ERRCODE = 'P0042', DETAIL = 'none at all';
END $$;

-- runs a queue until this execution has ended: its waits and retries are a second each
CREATE PROCEDURE app.drain_until_ended(queue text, id uuid) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 3000 LOOP
		CALL saga.drain(queue);
		EXIT WHEN EXISTS (SELECT FROM saga.execution WHERE execution_id = id);
		COMMIT;
		PERFORM pg_catalog.pg_sleep(0.01);
	END LOOP;
END $$;

-- ---------- definitions ----------
\set SHOW_CONTEXT never
SELECT saga.create_workflow('bad', '{"StartAt": "Nowhere", "States": {"A": {"Type": "Task", "Resource": "sql:app.note", "Next": "B"}}}');
SELECT saga.create_workflow('bad', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:note", "End": true}}}');
SELECT saga.create_workflow('', '{}');
SELECT saga.create_workflow('large', jsonb_build_object('Comment', repeat('x', 3000000), 'StartAt', 'A', 'States', '{"A": {"Type": "Succeed"}}'::jsonb));
BEGIN;
SET LOCAL pg_saga.definition_limit = '3MB';
SELECT saga.create_workflow('large', jsonb_build_object('Comment', repeat('x', 3000000), 'StartAt', 'A', 'States', '{"A": {"Type": "Succeed"}}'::jsonb));
ROLLBACK;
SELECT saga.create_workflow('one', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:app.note", "End": true}}}');

-- ---------- one step ----------
SELECT saga.start_execution('one', '{"what": "first"}') AS id \gset
SELECT status, current_state, output FROM saga.executions WHERE execution_id = :'id';
CALL saga.drain();
SELECT status, output, error, started_at <= stopped_at AS ordered FROM saga.executions WHERE execution_id = :'id';
SELECT event_id, previous_event_id, type, details FROM saga.execution_history WHERE execution_id = :'id' ORDER BY event_id;
SELECT what FROM app.log ORDER BY at;
SELECT count(*) FROM saga.message;

-- what is rolled back was never there
BEGIN;
SELECT count(saga.start_execution('one', '{"what": "never"}'));
ROLLBACK;
CALL saga.drain();
SELECT count(*) FROM saga.executions;

-- errors of the caller
SELECT saga.start_execution('nothing', '{}');
SELECT saga.start_execution(NULL, '{}');
SELECT saga.start_execution('one', NULL);
\set VERBOSITY sqlstate
SELECT saga.stop_execution(:'id');
\set VERBOSITY default
SELECT saga.stop_execution('00000000-0000-7000-8000-000000000000');

-- names: the same input is the same execution
SELECT saga.start_execution('one', '{"what": "named"}', 'n1') AS id1 \gset
SELECT saga.start_execution('one', '{"what": "named"}', 'n1') = :'id1' AS same_before;
CALL saga.drain();
SELECT saga.start_execution('one', '{"what": "named"}', 'n1') = :'id1' AS same_after;
\set VERBOSITY sqlstate
SELECT saga.start_execution('one', '{"what": "other"}', 'n1');
\set VERBOSITY default
SELECT name, status FROM saga.executions WHERE execution_id = :'id1';

-- ---------- versions: what was started keeps its own ----------
SELECT saga.start_execution('one', '{"what": "old"}') AS old \gset
SELECT saga.create_workflow('one', '{"StartAt": "B", "States": {"B": {"Type": "Pass", "Result": "new", "End": true}}}');
SELECT saga.start_execution('one', '{"what": "new"}') AS new \gset
CALL saga.drain();
SELECT version, output FROM saga.executions WHERE execution_id IN (:'old', :'new') ORDER BY version;

-- ---------- a step that raises ----------
TRUNCATE app.log;
SELECT saga.create_workflow('fails', '{"StartAt": "A", "States": {
	"A": {"Type": "Task", "Resource": "sql:app.note", "ResultPath": "$.a", "Compensate": "UndoA", "Next": "B"},
	"B": {"Type": "Task", "Resource": "sql:app.boom", "End": true},
	"UndoA": {"Type": "Task", "Resource": "sql:app.undo"}}}');
SELECT saga.start_execution('fails', '{"what": "x"}') AS id \gset
CALL saga.drain();
SELECT status, error, cause, compensated FROM saga.executions WHERE execution_id = :'id';
SELECT what FROM app.log ORDER BY at;
SELECT queue, kind, reason, cause, details - 'version' AS details FROM saga.dead_letters WHERE message_id = :'id';

-- Retry and Catch
TRUNCATE app.log;
CREATE TABLE app.tries (n int);
INSERT INTO app.tries VALUES (0);
CREATE SEQUENCE app.attempts;
CREATE FUNCTION app.third_time(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF nextval('app.attempts') < 4 THEN		-- the optimistic run counts too: a sequence is not rolled back
		PERFORM saga.fail('Busy', 'not yet');
	END IF;
	RETURN '"done"';
END $$;
SELECT saga.create_workflow('retries', '{"StartAt": "A", "States": {
	"A": {"Type": "Task", "Resource": "sql:app.third_time", "End": true,
		"Retry": [{"ErrorEquals": ["Busy"], "IntervalSeconds": 1, "MaxAttempts": 5, "BackoffRate": 1}]}}}');
SELECT saga.start_execution('retries') AS id \gset
CALL saga.drain();
SELECT status, current_state FROM saga.executions WHERE execution_id = :'id';
CALL app.drain_until_ended('retries', :'id');
SELECT status, output FROM saga.executions WHERE execution_id = :'id';

SELECT saga.create_workflow('catches', '{"StartAt": "A", "States": {
	"A": {"Type": "Task", "Resource": "sql:app.boom", "End": true,
		"Catch": [{"ErrorEquals": ["SQL.P0042"], "ResultPath": "$.error", "Next": "C"}]},
	"C": {"Type": "Pass", "End": true}}}');
SELECT saga.start_execution('catches', '{"k": 1}') AS id \gset
CALL saga.drain();
SELECT status, output FROM saga.executions WHERE execution_id = :'id';
SELECT count(*) FROM app.log;

-- saga.failure: the same without a rollback, and nobody else's data is taken for it
CREATE FUNCTION app.refuse(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO app.log (what) VALUES ('refused');
	RETURN saga.failure('Refused', 'because');
END $$;
CREATE FUNCTION app.echo(i jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT i';
SELECT saga.create_workflow('refuses', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:app.refuse", "End": true}}}');
SELECT saga.create_workflow('echo', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:app.echo", "End": true}}}');
SELECT saga.start_execution('refuses') AS id \gset
SELECT saga.start_execution('echo', '{"saga.failure": "1", "error": "E", "cause": "c"}') AS id2 \gset
CALL saga.drain();
SELECT status, error, cause FROM saga.executions WHERE execution_id = :'id';
SELECT status, output FROM saga.executions WHERE execution_id = :'id2';
SELECT what FROM app.log;

-- a step that cannot be called
SELECT saga.create_workflow('missing', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:app.missing", "End": true}}}');
CREATE FUNCTION app.wrong(i jsonb) RETURNS text LANGUAGE sql AS 'SELECT ''x''';
SELECT saga.create_workflow('wrong', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:app.wrong", "End": true}}}');
SELECT saga.start_execution('missing') AS id \gset
SELECT saga.start_execution('wrong') AS id2 \gset
CALL saga.drain();
SELECT error, cause FROM saga.executions WHERE execution_id IN (:'id', :'id2') ORDER BY error;

-- the context object, and a SQL NULL
CREATE FUNCTION app.who(i jsonb, c jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT jsonb_build_object('state', c #> '{State,Name}', 'workflow', c #> '{StateMachine,Name}', 'id', c #> '{Execution,Id}') $$;
CREATE FUNCTION app.nothing(i jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb';
SELECT saga.create_workflow('who', '{"StartAt": "A", "States": {
	"A": {"Type": "Task", "Resource": "sql:app.who", "ResultPath": "$.who", "Next": "B"},
	"B": {"Type": "Task", "Resource": "sql:app.nothing", "ResultPath": "$.null", "End": true}}}');
SELECT saga.start_execution('who') AS id \gset
CALL saga.drain();
SELECT output #>> '{who,id}' = :'id' AS own_id, output #> '{who,state}' AS state, output #> '{who,workflow}' AS workflow,
	output -> 'null' AS null FROM saga.executions WHERE execution_id = :'id';

-- ---------- TimeoutSeconds of a step ----------
CREATE FUNCTION app.slow(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_catalog.pg_sleep(60);
	RETURN NULL;
END $$;
SELECT saga.create_workflow('slow', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:app.slow", "TimeoutSeconds": 1, "End": true}}}');
SELECT saga.start_execution('slow') AS id \gset
SELECT now() AS t0 \gset
CALL saga.drain();
SELECT status, error, clock_timestamp() - :'t0' < interval '20 s' AS in_time FROM saga.executions WHERE execution_id = :'id';

-- ---------- a SQL function that raises in the middle of a batch ----------
CREATE TABLE app.numbers (n int PRIMARY KEY);
CREATE FUNCTION app.insert_number(i jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ INSERT INTO app.numbers VALUES ((i ->> 'n')::int) RETURNING to_jsonb(n) $$;
SELECT saga.create_workflow('numbers', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:app.insert_number", "End": true}}}');
SELECT count(saga.start_execution('numbers', jsonb_build_object('n', CASE WHEN g IN (7, 20, 21) THEN 1 ELSE g END)))
	FROM generate_series(1, 40) g;
CALL saga.drain('numbers');
SELECT status, error, count(*) FROM saga.executions WHERE workflow = 'numbers' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*), min(n), max(n) FROM app.numbers;

-- ---------- deferred constraints: the failing one is its own execution's failure ----------
CREATE TABLE app.parent (id int PRIMARY KEY);
CREATE TABLE app.child (id int REFERENCES app.parent DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION app.family(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO app.child VALUES ((i ->> 'n')::int);
	IF (i ->> 'n')::int % 5 <> 0 THEN
		INSERT INTO app.parent VALUES ((i ->> 'n')::int);
	END IF;
	RETURN NULL;
END $$;
SELECT saga.create_workflow('family', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:app.family", "End": true}}}');
SELECT count(saga.start_execution('family', jsonb_build_object('n', g))) FROM generate_series(1, 20) g;
CALL saga.drain('family');
SELECT status, error, count(*) FROM saga.executions WHERE workflow = 'family' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*) FROM app.child;

-- settings of a step are gone after it
CREATE FUNCTION app.settings(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE before text := current_setting('search_path');
BEGIN
	PERFORM set_config('search_path', 'app', false), set_config('work_mem', '77MB', false);
	RETURN to_jsonb(before);
END $$;
SELECT saga.create_workflow('settings', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:app.settings", "End": true}}}');
SELECT count(saga.start_execution('settings')) FROM generate_series(1, 3);
CALL saga.drain('settings');
SELECT DISTINCT output FROM saga.executions WHERE workflow = 'settings';
SHOW search_path;

-- ---------- Wait, and an early stop ----------
SELECT saga.create_workflow('waits', '{"StartAt": "W", "States": {"W": {"Type": "Wait", "SecondsPath": "$.w", "Next": "P"}, "P": {"Type": "Pass", "End": true}}}');
SELECT saga.start_execution('waits', '{"w": 3600}') AS id \gset
SELECT saga.start_execution('waits', '{"w": 1}') AS id2 \gset
CALL saga.drain('waits');
SELECT status, current_state FROM saga.executions WHERE execution_id = :'id';
SELECT wake_at - now() > interval '50 min' AS in_an_hour FROM saga.timer WHERE message_id = :'id';
SELECT saga.stop_execution(:'id', 'Enough', 'said so');
CALL saga.drain('waits');
SELECT status, error, cause FROM saga.executions WHERE execution_id = :'id';
SELECT count(*) FROM saga.timer WHERE message_id = :'id';
SELECT count(*) AS dead FROM saga.dead_letters WHERE message_id = :'id';
CALL app.drain_until_ended('waits', :'id2');
SELECT status, output FROM saga.executions WHERE execution_id = :'id2';
SELECT event_id, previous_event_id, type FROM saga.execution_history WHERE execution_id = :'id2' ORDER BY event_id;
-- a stop that comes before the start was run
SELECT saga.start_execution('waits') AS id \gset
SELECT saga.stop_execution(:'id');
CALL saga.drain('waits');
SELECT status FROM saga.executions WHERE execution_id = :'id';

-- ---------- task tokens ----------
CREATE TABLE app.held (token text);
CREATE FUNCTION app.hold(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO app.held VALUES (i ->> 'token') RETURNING 'null'::jsonb $$;
SELECT saga.create_workflow('holds', '{"StartAt": "H", "States": {"H": {"Type": "Task", "Resource": "sql:app.hold.waitForTaskToken",
	"Parameters": {"token.$": "$$.Task.Token"}, "ResultPath": "$.answer", "End": true}}}');
SELECT saga.start_execution('holds') AS id \gset
CALL saga.drain('holds');
SELECT status, current_state FROM saga.executions WHERE execution_id = :'id';
SELECT token FROM app.held \gset
SELECT saga.send_task_success('nonsense', '{}');
SELECT saga.send_task_heartbeat(:'token');
-- a part of it is none: nobody finds one digit after the other
SELECT saga.send_task_heartbeat(left(:'token', -31));
SELECT saga.send_task_success(left(:'token', -1), '{}');
\set VERBOSITY terse
SELECT saga.send_task_heartbeat(left(:'token', -1) || CASE right(:'token', 1) WHEN '0' THEN '1' ELSE '0' END) IS NULL AS known;
\set VERBOSITY default
SELECT saga.send_task_success(:'token', '{"ok": 1}');
CALL saga.drain('holds');
SELECT status, output FROM saga.executions WHERE execution_id = :'id';
\set VERBOSITY sqlstate
SELECT saga.send_task_success(:'token', '{"ok": 2}');
SELECT saga.send_task_success(regexp_replace(:'token', '.$', 'x'), '{}');
\set VERBOSITY default
TRUNCATE app.held;
SELECT saga.start_execution('holds') AS id \gset
CALL saga.drain('holds');
SELECT saga.send_task_failure((SELECT token FROM app.held), 'Rejected', 'not today');
CALL saga.drain('holds');
SELECT status, error, cause FROM saga.executions WHERE execution_id = :'id';

-- ---------- compensation: reverse order, and one that fails for good ----------
TRUNCATE app.log;
CREATE FUNCTION app.undo_fails(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN PERFORM saga.fail('CannotUndo', 'it is gone'); END $$;
SELECT saga.create_workflow('undoes', '{"StartAt": "A", "States": {
	"A": {"Type": "Task", "Resource": "sql:app.note", "Parameters": {"what": "A"}, "Compensate": "UA", "Next": "B"},
	"B": {"Type": "Task", "Resource": "sql:app.note", "Parameters": {"what": "B"}, "Compensate": "UB", "Next": "C"},
	"C": {"Type": "Task", "Resource": "sql:app.note", "Parameters": {"what": "C"}, "Compensate": "UC", "Next": "F"},
	"F": {"Type": "Fail", "Error": "Over", "Cause": "the end"},
	"UA": {"Type": "Task", "Resource": "sql:app.undo"},
	"UB": {"Type": "Task", "Resource": "sql:app.undo_fails"},
	"UC": {"Type": "Task", "Resource": "sql:app.undo"}}}');
SELECT saga.start_execution('undoes') AS id \gset
CALL saga.drain('undoes');
SELECT status, error, cause, compensated FROM saga.executions WHERE execution_id = :'id';
SELECT what FROM app.log ORDER BY at;
SELECT reason, details -> 'not_compensated' AS not_compensated FROM saga.dead_letters WHERE message_id = :'id';

-- ---------- more steps than subtransactions: a careful run comes back ----------
CREATE FUNCTION app.long(n int) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('StartAt', 'S1', 'States', jsonb_object_agg('S' || g,
		jsonb_build_object('Type', 'Task', 'Resource', 'sql:app.echo') ||
		CASE WHEN g < n THEN jsonb_build_object('Next', 'S' || g + 1)
		ELSE '{"Resource": "sql:app.boom", "End": true, "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.e", "Next": "End"}]}' END)
		|| '{"End": {"Type": "Succeed"}}')
	FROM generate_series(1, n) g $$;
SELECT saga.create_workflow('long', app.long(150));
SELECT saga.start_execution('long') AS id \gset
CALL saga.drain('long');
SELECT status, output #> '{e,Error}' AS caught FROM saga.executions WHERE execution_id = :'id';
SELECT count(*), count(DISTINCT event_id), max(event_id) FROM saga.execution_history WHERE execution_id = :'id';

-- ---------- ARNs of a definition exported from AWS ----------
SELECT saga.create_workflow('lambda', '{"StartAt": "A", "States": {
	"A": {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:111111111111:function:echo", "Next": "B"},
	"B": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "echo", "Payload.$": "$"}, "End": true}}}');
SELECT saga.start_execution('lambda', '{"x": 1}') AS id \gset
CALL saga.drain('lambda');
SELECT status, error, cause FROM saga.executions WHERE execution_id = :'id';
SELECT saga.bind_resource('arn:aws:lambda:us-east-1:111111111111:function:echo', 'sql:app.echo');
SELECT saga.start_execution('lambda', '{"x": 1}') AS id \gset
CALL saga.drain('lambda');
SELECT status, output FROM saga.executions WHERE execution_id = :'id';
SELECT saga.bind_resource('arn:x', 'http://example.com/');

-- ---------- a local queue as a step ----------
SELECT saga.create_queue('inbox') > 0 AS made;
SELECT saga.create_workflow('sender', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage",
	"Parameters": {"QueueUrl": "saga:inbox", "MessageBody.$": "$"}, "ResultPath": null, "End": true}}}');
SELECT count(saga.start_execution('sender', '{"hello": "world"}'));
CALL saga.drain('sender');
SELECT body FROM saga.receive('inbox');

-- ---------- a dead letter is redriven anew: another execution with the same input, of the newest version ----------
SELECT dead_letter_id AS letter, message_id AS failed FROM saga.dead_letters WHERE queue = 'refuses' \gset
SELECT saga.create_workflow('refuses', '{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}');
SELECT saga.redrive_anew(:'letter'::uuid) AS again \gset
SELECT :'again' <> :'failed' AS another;
CALL saga.drain('refuses');
SELECT status FROM saga.executions WHERE execution_id = :'again';
SELECT redriven_at IS NOT NULL AS redriven, redriven_as = :'again' AS as_it FROM saga.dead_letters WHERE dead_letter_id = :'letter';

-- ---------- rights ----------
CREATE ROLE saga_test_a LOGIN;
CREATE ROLE saga_test_b LOGIN;
GRANT USAGE ON SCHEMA saga, app TO saga_test_a, saga_test_b;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA saga TO saga_test_a, saga_test_b;
GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA saga TO saga_test_a, saga_test_b;
GRANT SELECT ON saga.executions, saga.execution_history, saga.dead_letters TO saga_test_a, saga_test_b;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA app FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.echo TO saga_test_a;
SET ROLE saga_test_a;
SELECT saga.create_workflow('mine', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:app.echo", "Next": "B"},
	"B": {"Type": "Task", "Resource": "sql:app.note", "End": true}}}');
SELECT saga.start_execution('mine', '{"what": "a"}') AS id \gset
SELECT saga.start_execution('one', '{}');
SELECT saga.create_workflow('postgres.one', '{"StartAt": "B", "States": {"B": {"Type": "Succeed"}}}');
SELECT saga.set_workflow_owner('mine', 'saga_test_b');
SET ROLE saga_test_b;
SELECT saga.start_execution('mine', '{}');
\set VERBOSITY sqlstate
SELECT saga.stop_execution(:'id');
\set VERBOSITY default
SELECT count(*) FROM saga.executions;
CALL saga.drain();
CALL saga.drain('mine');
SELECT * FROM saga.message;
SET ROLE saga_test_a;
-- nobody else's work is run, and a step has the owner's rights only
CALL saga.drain();
SELECT workflow, status, error, cause FROM saga.executions;
RESET ROLE;
SELECT count(*) AS public_functions FROM pg_proc p, aclexplode(coalesce(proacl, acldefault('f', proowner))) a
	WHERE pronamespace = 'saga'::regnamespace AND a.grantee = 0;

-- ---------- the end ----------
DROP EXTENSION pg_saga CASCADE;
DROP SCHEMA app CASCADE;
SET pg_saga.keep_owners = off;
DROP OWNED BY saga_test_a, saga_test_b;
DROP ROLE saga_test_a, saga_test_b;
-- for the tests that follow in this database
CREATE EXTENSION pg_saga;
CREATE EXTENSION pg_invoice;
