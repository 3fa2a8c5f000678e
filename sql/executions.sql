-- One execution as a document, pages of many, and what of waiting can be seen in one session. Waiting itself
-- is in t/154_wait.pl, the cost of pages in t/155_pages.pl.
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on
CREATE SCHEMA told;
SET search_path = told, public;
CREATE FUNCTION say(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF i ? 'fail' THEN
		PERFORM saga.fail('Refused', 'as asked');
	END IF;
	RETURN jsonb_build_object('said', i -> 'n');
END $$;
-- what a statement says that fails; ids differ each time
CREATE FUNCTION error(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'nothing';
EXCEPTION WHEN OTHERS THEN
	RETURN regexp_replace(sqlerrm, '[0-9a-f]{8}-[-0-9a-f]{27}', 'ID');
END $$;
CREATE ROLE told_reader;
CREATE ROLE told_stranger;
GRANT USAGE ON SCHEMA saga, told TO told_reader, told_stranger;
GRANT EXECUTE ON FUNCTION saga.describe_execution, saga.list_executions, saga.wait_execution(uuid, interval) TO told_reader, told_stranger;
GRANT EXECUTE ON PROCEDURE saga.wait_execution(uuid, interval, jsonb), saga.start_sync_execution TO told_reader, told_stranger;
SELECT saga.create_workflow('told', '{"StartAt": "Say", "States": {"Say": {"Type": "Task", "Resource": "sql:told.say", "End": true}}}');
SELECT saga.create_workflow('told_waits', '{"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 100000, "End": true}}}');
SELECT saga.create_workflow('told_undoes', '{"StartAt": "Do", "States": {
	"Do": {"Type": "Task", "Resource": "sql:told.say", "Compensate": "Undo", "Next": "No"}, "No": {"Type": "Fail", "Error": "No"},
	"Undo": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
		"Parameters": {"QueueUrl": "saga:told_queue", "MessageBody": {"token.$": "$$.Task.Token"}}}}}');
SELECT saga.create_queue('told_queue');

-- ---------- describe ----------
SELECT saga.start_execution('told', '{"n": 1}', 'first') AS done \gset
SELECT saga.start_execution('told', '{"n": 2, "fail": true}') AS failed \gset
SELECT saga.start_execution('told_waits', '{"n": 3}') AS waits \gset
SELECT saga.start_execution('told_undoes', '{"n": 4}') AS undoes \gset
SELECT saga.describe_execution(:'done') ->> 'status' AS "has not begun";
CALL saga.drain();
SELECT saga.start_execution('told', '{"n": 5}') AS pending \gset
-- the members are the columns of saga.executions
SELECT every(saga.describe_execution(e.execution_id) = to_jsonb(e)), count(*) FROM saga.executions e WHERE workflow LIKE 'told%';
SELECT k, v FROM jsonb_each(saga.describe_execution(:'done')) d (k, v) WHERE k IN ('workflow', 'version', 'name', 'status', 'input', 'output', 'error') ORDER BY k;
SELECT k, v FROM jsonb_each(saga.describe_execution(:'failed')) d (k, v) WHERE k IN ('status', 'output', 'error', 'cause') ORDER BY k;
SELECT d ->> 'status', d ->> 'current_state', d ->> 'stopped_at' FROM saga.describe_execution(:'waits') d;
SELECT saga.describe_execution('01900000-0000-7000-8000-000000000000');
SELECT saga.describe_execution(NULL);

-- ---------- pages ----------
CREATE FUNCTION of(id uuid) RETURNS text LANGUAGE sql AS
	$$ SELECT coalesce((SELECT input ->> 'n' FROM saga.executions WHERE execution_id = id), '?') $$;
\set some 'string_agg(told.of(execution_id), '' '' ORDER BY execution_id DESC)'
SELECT :some FROM saga.list_executions();
SELECT workflow, owner = current_user::regrole, version, name, status, started_at <= now(), stopped_at IS NOT NULL, current_state, error
FROM saga.list_executions() ORDER BY execution_id DESC;
-- as they come
SELECT array_agg(execution_id) = array_agg(execution_id ORDER BY execution_id DESC) FROM (SELECT execution_id FROM saga.list_executions()) x;
SELECT status, :some FROM unnest('{RUNNING,COMPENSATING,SUCCEEDED,FAILED,TIMED_OUT,ABORTED}'::text[]) s, saga.list_executions(status => s) GROUP BY 1 ORDER BY 1;
SELECT :some FROM saga.list_executions('told');
SELECT :some FROM saga.list_executions('told', 'RUNNING');
SELECT :some FROM saga.list_executions("limit" => 2);
SELECT :some FROM saga.list_executions("limit" => 2, after => :'undoes');
SELECT :some FROM saga.list_executions("limit" => 2, after => :'failed');
SELECT :some FROM saga.list_executions(after => :'done');
-- by the time that ids are made of
SELECT :some FROM saga.list_executions(since => now() - interval '1 hour');
SELECT :some FROM saga.list_executions(until => now() - interval '1 hour');
SELECT :some FROM saga.list_executions(since => '-infinity', until => 'infinity');
SELECT :some FROM saga.list_executions(since => 'infinity');
SELECT :some FROM saga.list_executions(until => '-infinity');
SELECT :some FROM saga.list_executions(since => '1969-01-01', until => '200000-01-01');
SELECT count(*) FROM saga.list_executions(until => (SELECT min(started_at) FROM saga.executions WHERE workflow LIKE 'told%'));
-- the text of inputs, in a window
SELECT :some FROM saga.list_executions(since => now() - interval '1 hour', input_contains => '"n": 3');
SELECT :some FROM saga.list_executions('told', 'FAILED', input_contains => 'fail');
SELECT :some FROM saga.list_executions('told', 'RUNNING', input_contains => '5');
SELECT :some FROM saga.list_executions(input_contains => 'fail');
SELECT :some FROM saga.list_executions(status => 'DONE');
SELECT :some FROM saga.list_executions('no such workflow');
SELECT :some FROM saga.list_executions("limit" => 1001);
SELECT :some FROM saga.list_executions("limit" => 0);
-- a start that has come back after trouble has a position that is not its id, and waits among the timers before that
BEGIN;
UPDATE saga.message SET id = saga.make_id() WHERE message_id = :'pending';
SELECT :some FROM saga.list_executions('told', 'RUNNING');
WITH m AS (DELETE FROM saga.message WHERE message_id = :'pending' RETURNING *)
INSERT INTO saga.timer (queue_id, message_id, wake_at, sent_at, kind, version, body) SELECT queue_id, message_id, 'infinity', sent_at, kind, version, body FROM m;
SELECT :some FROM saga.list_executions('told', 'RUNNING');
ROLLBACK;

-- ---------- rights ----------
SET ROLE told_stranger;
SELECT count(*) FROM saga.list_executions();
SELECT count(*) FROM saga.list_executions('told');
SELECT told.error(format('SELECT saga.describe_execution(%L)', :'done'));
SELECT told.error(format('SELECT saga.wait_execution(%L)', :'done'));
CALL saga.start_sync_execution('told', '{}');
RESET ROLE;
SELECT saga.grant('workflow', 'told', 'told_reader', 'read');
SELECT format('%I.told', current_user) AS named \gset
SET ROLE told_reader;
SELECT count(*) FROM saga.list_executions();
SELECT count(*) FROM saga.list_executions(:'named');
SELECT saga.describe_execution(:'done') -> 'output';
SELECT saga.wait_execution(:'done') -> 'output';
SELECT told.error(format('SELECT saga.describe_execution(%L)', :'waits'));
CALL saga.start_sync_execution(:'named', '{}');
RESET ROLE;
SELECT saga.revoke('workflow', 'told', 'told_reader', 'read');
SELECT saga.grant('workflow', 'told', 'told_reader', 'start');
SET ROLE told_reader;
CALL saga.start_sync_execution(:'named', '{}');
RESET ROLE;

-- ---------- waiting ----------
-- what has ended is there at once, in any transaction
SELECT saga.wait_execution(:'done') = saga.describe_execution(:'done');
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT saga.wait_execution(:'failed') ->> 'error';
COMMIT;
CALL saga.wait_execution(:'failed', NULL, NULL)
\g |sed -E 's/.*"error": "([A-Za-z]+)".*/\1/'
-- the time is over
SELECT saga.wait_execution(:'waits', '1 ms') IS NULL;
SELECT saga.wait_execution(:'waits', '0') IS NULL;
CALL saga.wait_execution(:'waits', '1 ms', NULL);
-- where it cannot work
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT saga.wait_execution(:'waits');
ROLLBACK;
BEGIN;
SELECT saga.start_execution('told', '{"n": 6}') AS never \gset
SELECT saga.wait_execution(:'never');
ROLLBACK;
SELECT error(format('SELECT saga.wait_execution(%L)', :'never'));
SELECT saga.wait_execution(:'waits', '5 minutes 1 second');
SELECT saga.wait_execution(:'waits', '-1 s');
SELECT saga.wait_execution(NULL);
BEGIN;
CALL saga.wait_execution(:'waits', '1 ms', NULL);
ROLLBACK;
BEGIN;
CALL saga.start_sync_execution('told', '{"n": 7}');
ROLLBACK;
CREATE FUNCTION waits_within(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT saga.wait_execution((i ->> 'id')::uuid) $$;
SELECT saga.create_workflow('told_within', '{"StartAt": "Say", "States": {"Say": {"Type": "Task", "Resource": "sql:told.waits_within", "End": true}}}');
SELECT saga.start_execution('told_within', jsonb_build_object('id', :'waits')) AS within \gset
CALL saga.drain('told_within');
SELECT error, cause FROM saga.executions WHERE execution_id = :'within';

-- ---------- start and wait ----------
-- nobody runs it here: the start is committed, and the time is over
CALL saga.start_sync_execution('told', '{"n": 8}', NULL, 'sync', '1 ms')
\g |sed -E 's/.*"status": "([A-Z]+)".*/\1/'
CALL saga.drain();
-- the same name again is the same execution, which has ended
CALL saga.start_sync_execution('told', '{"n": 8}', name => 'sync')
\g |sed -E 's/.*"output": (\{[^}]*\}).*"status": "([A-Z]+)".*/\1 \2/'
DO $$
DECLARE
	answer jsonb;
BEGIN
	CALL saga.start_sync_execution('told', '{"n": 8}', answer, 'sync');
	RAISE WARNING 'in a DO: %', answer -> 'output';
END $$;
CALL saga.start_sync_execution('no such workflow', '{}');
CALL saga.start_sync_execution('told', NULL);

SELECT saga.stop_execution(:'waits');
SELECT saga.wait_execution(:'waits') ->> 'status';
DROP SCHEMA told CASCADE;
DROP OWNED BY told_reader, told_stranger;
DROP ROLE told_reader, told_stranger;
