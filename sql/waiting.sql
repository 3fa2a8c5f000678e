-- What saga.executions says an execution waits for, since when, until when, which attempt it is, what went wrong and
-- where. That a worker is in a step is in t/171_seen.pl, the outcome of a call that was given up in t/111_settled.pl.
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA waits;
SET search_path = waits, public;
CREATE FUNCTION bad(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'no stock of %', i ->> 'item' USING ERRCODE = 'P4711', DETAIL = 'it was sold', HINT = 'call Joe';
END $$;
CREATE FUNCTION fine(i jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT i';
SELECT saga.create_queue('waits_queue') > 0 AS made;
SELECT saga.create_activity('waits_activity') > 0 AS made;
SELECT saga.create_destination('waits_pay', 'http', '{"url": "https://127.0.0.1:1"}') > 0 AS made;
CREATE FUNCTION flow(name text, states jsonb) RETURNS uuid LANGUAGE sql AS $$
	SELECT saga.start_execution(name, '{"item": "bolt"}')
	FROM saga.create_workflow(name, jsonb_build_object('StartAt', 'A', 'States', states)) $$;

SELECT flow('waits timer', '{"A": {"Type": "Wait", "Seconds": 86400, "End": true}}') AS timer \gset
SELECT flow('waits retry', '{"A": {"Type": "Task", "Resource": "sql:waits.bad", "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 3600}], "End": true}}') AS retry \gset
SELECT flow('waits token', '{"A": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "TimeoutSeconds": 3600,
	"Parameters": {"QueueUrl": "saga:waits_queue", "MessageBody": {"token.$": "$$.Task.Token"}}, "End": true}}') AS token \gset
SELECT flow('waits activity', '{"A": {"Type": "Task", "Resource": "arn:aws:states:eu-central-1:1:activity:waits_activity", "End": true}}') AS activity \gset
SELECT flow('waits call', '{"A": {"Type": "Task", "Resource": "arn:aws:states:::http:invoke",
	"Parameters": {"ApiEndpoint": "saga:waits_pay/x", "Method": "POST", "RequestBody": {}}, "End": true}}') AS call \gset
SELECT flow('waits parent', '{"A": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync", "Parameters": {"StateMachineArn": "waits timer", "Input": {}}, "End": true}}') AS parent \gset
SELECT flow('waits both', '{"A": {"Type": "Parallel", "End": true, "Branches": [
	{"StartAt": "B", "States": {"B": {"Type": "Wait", "Seconds": 86400, "End": true}}},
	{"StartAt": "C", "States": {"C": {"Type": "Task", "Resource": "arn:aws:states:eu-central-1:1:activity:waits_activity", "End": true}}}]}}') AS both_ \gset
SELECT flow('waits limit', '{"A": {"Type": "Wait", "Seconds": 86400, "End": true}}') AS limit_ \gset
CREATE TEMP VIEW seen AS
	SELECT workflow, status, current_state,
		-- nobody serves this database
		regexp_replace(regexp_replace(waiting_for, '; a worker: .*| \(pg_saga.publishers is 0\)', ''), 'a worker: .*', 'a worker') AS waiting_for, waiting_since <= now() AS since,
		CASE WHEN waiting_until IS NOT NULL THEN round(extract(epoch FROM waiting_until - waiting_since)) END AS seconds,
		attempt, last_error, failed_state
	FROM saga.executions WHERE workflow LIKE 'waits %';
-- not begun
SELECT * FROM seen WHERE workflow = 'waits timer';
CALL saga.drain();
SELECT * FROM seen ORDER BY workflow COLLATE "C", seconds;
-- of one execution as a document
SELECT saga.describe_execution(:'retry') ->> 'last_error' AS error, saga.describe_execution(:'retry') ->> 'attempt' AS attempt;

-- ---------- what holds a destination ----------
SELECT saga.pause_destination('waits_pay');
SELECT waiting_for FROM seen WHERE workflow = 'waits call';
SELECT saga.resume_destination('waits_pay');

-- ---------- answered, and not gone on with yet ----------
SELECT saga.send_task_success((SELECT body ->> 'token' FROM saga.receive('waits_queue')), '{}');
UPDATE saga.continuation SET waiting_until = now() WHERE execution_id = :'limit_';
SELECT waiting_for FROM seen WHERE workflow = 'waits limit';

-- ---------- what failed, and where ----------
SELECT flow('waits fails', '{"A": {"Type": "Task", "Resource": "sql:waits.fine", "Compensate": "Undo", "Next": "P"},
	"P": {"Type": "Parallel", "End": true, "Branches": [{"StartAt": "In", "States": {"In": {"Type": "Task", "Resource": "sql:waits.bad", "End": true}}}]},
	"Undo": {"Type": "Task", "Resource": "arn:aws:states:eu-central-1:1:activity:waits_activity"}}') AS fails \gset
SELECT flow('waits says', '{"A": {"Type": "Fail", "Error": "No", "Cause": "no more"}}') AS says \gset
SELECT flow('waits caught', '{"A": {"Type": "Task", "Resource": "sql:waits.bad", "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "F"}], "End": true}, "F": {"Type": "Fail", "Error": "Late"}}') AS caught \gset
CALL saga.drain();
SELECT saga.stop_execution(:'both_', 'Stop', 'by hand', false);
CALL saga.drain();
SELECT workflow, status, waiting_for, attempt, last_error, failed_state FROM seen WHERE failed_state IS NOT NULL ORDER BY workflow COLLATE "C";
SELECT saga.stop_execution(:'fails', 'Enough', 'by hand', false);
CALL saga.drain();
SELECT workflow, status, last_error, failed_state FROM seen WHERE workflow = 'waits fails';
-- the same in the dead letter, with all that the error has said
SELECT jsonb_pretty(details - '{compensated,not_compensated,version,status}'::text[]) AS details FROM saga.dead_letters WHERE message_id = :'fails';
SELECT type, details - 'resource' - 'resourceType' AS details FROM saga.execution_history WHERE execution_id = :'fails' AND type = 'TaskFailed';
-- of a name that a step has given there is nothing more to say
SELECT details ? 'context' AS context, details ->> 'failed_state' AS state FROM saga.dead_letters WHERE message_id = :'says';

-- ---------- pages of what one has started ----------
SELECT count(*) = 1 AND bool_and(started_by = :'parent') AS of_parent FROM saga.list_executions(started_by => :'parent');
SELECT count(*) FROM saga.list_executions(started_by => :'parent', status => 'RUNNING');
SELECT count(*) FROM saga.list_executions(started_by => :'parent', status => 'SUCCEEDED');
SELECT count(*) FROM saga.list_executions(started_by => :'parent', workflow => 'waits call');
SELECT count(*) FROM saga.list_executions(started_by => :'timer');
SELECT execution_id AS child FROM saga.list_executions(started_by => :'parent') \gset
SELECT count(*) FROM saga.list_executions(started_by => :'parent', after => :'child');
SELECT count(*) FROM saga.list_executions(started_by => :'parent', input_contains => '{}');
SELECT saga.stop_execution(:'child', 'Stop', 'by hand');
CALL saga.drain();
SELECT status, error FROM saga.list_executions(started_by => :'parent');
SELECT status, error FROM saga.list_executions(started_by => :'parent', status => 'ABORTED');
