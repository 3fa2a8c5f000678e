-- An execution that has failed goes on in its place: saga.redrive_execution.
CREATE SCHEMA rd;
CREATE TABLE rd.log (n int GENERATED ALWAYS AS IDENTITY, what text);
CREATE TABLE rd.broken (what text PRIMARY KEY);
-- a step: notes its name, and fails while that is broken
CREATE FUNCTION rd.step(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM rd.broken WHERE what = i ->> 'what') THEN
    RETURN saga.failure('Broken', i ->> 'what');
  END IF;
  INSERT INTO rd.log (what) VALUES (i ->> 'what');
  RETURN jsonb_build_object('did', i ->> 'what', 'redrives', i -> 'redrives');
END $$;
CREATE FUNCTION rd.undo(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM rd.broken WHERE what = 'undo ' || (i #>> '{input,what}')) THEN
    RETURN saga.failure('Stuck', i #>> '{input,what}');
  END IF;
  INSERT INTO rd.log (what) VALUES ('undo ' || (i #>> '{input,what}'));
  RETURN '{}';
END $$;
-- a Task of a definition
CREATE FUNCTION rd.task(what text, next text DEFAULT NULL, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('Type', 'Task', 'Resource', 'sql:rd.step', 'Parameters', jsonb_build_object('what', what),
    'ResultPath', '$.' || replace(what, ' ', '')) || CASE WHEN next IS NULL THEN '{"End": true}' ELSE jsonb_build_object('Next', next) END || more $$;
CREATE FUNCTION rd.handler() RETURNS jsonb LANGUAGE sql AS $$ SELECT '{"Type": "Task", "Resource": "sql:rd.undo"}'::jsonb $$;
CREATE FUNCTION rd.break(VARIADIC what text[]) RETURNS void LANGUAGE sql AS $$ INSERT INTO rd.broken SELECT unnest(what) ON CONFLICT DO NOTHING $$;
CREATE FUNCTION rd.mend() RETURNS void LANGUAGE sql AS $$ DELETE FROM rd.broken $$;
CREATE FUNCTION rd.did() RETURNS text LANGUAGE sql AS $$ WITH gone AS (DELETE FROM rd.log RETURNING *) SELECT string_agg(what, ', ' ORDER BY n) FROM gone $$;
CREATE VIEW rd.ended AS SELECT execution_id, status, error, output, compensated, not_compensated, redrive_count AS n, redrive_status AS redrive,
  redrive_status_reason AS reason FROM saga.executions;
-- what it says, without the ids in it
CREATE FUNCTION rd.try(id uuid, input jsonb DEFAULT NULL, force boolean DEFAULT false) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  hint text;
BEGIN
  PERFORM saga.redrive_execution(id, input, force);
  RETURN 'redriven';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
  RETURN regexp_replace(sqlstate || ' ' || sqlerrm || E'\n' || hint, '[0-9a-f-]{36}', 'ID', 'g');
END $$;
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = notice;

-- ---------- from the failed state, where nothing was undone ----------
SELECT saga.create_workflow('plain', jsonb_build_object('StartAt', 'A', 'TimeoutSeconds', 1000, 'States', jsonb_build_object(
  'A', rd.task('a', 'B', '{"Assign": {"v": "of a"}}'),
  'B', rd.task('b', 'C', '{"Parameters": {"what": "b", "v.$": "$v"}, "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1, "BackoffRate": 1}]}'),
  'C', '{"Type": "Pass", "Parameters": {"all.$": "$", "v.$": "$v", "redrives.$": "$$.Execution.RedriveCount"}, "End": true}'::jsonb)));
SELECT rd.break('b');
CREATE PROCEDURE rd.run(queue text, id uuid) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. 3000 LOOP
    CALL saga.drain(queue);
    EXIT WHEN EXISTS (SELECT FROM saga.execution WHERE execution_id = id);
    COMMIT;
    PERFORM pg_catalog.pg_sleep(0.01);
  END LOOP;
END $$;
SELECT saga.start_execution('plain', '{"x": 1}', 'the plain one') AS id \gset
SELECT rd.try(:'id');
CALL rd.run('plain', :'id');
SELECT rd.did(), * FROM rd.ended WHERE execution_id = :'id' \gset was_
SELECT :'was_did' AS did, :'was_status' AS status, :'was_error' AS error, :'was_redrive' AS redrive;
-- it fails once more, with all of its retries, and the step is replaced
SELECT saga.redrive_execution(:'id');
SELECT status, current_state, redrive_count, redrive_date IS NOT NULL AS dated, redrive_status, redrive_status_reason FROM saga.executions WHERE execution_id = :'id';
SELECT reason, redriven_as = :'id' AS itself FROM saga.dead_letters WHERE message_id = :'id';
CALL rd.run('plain', :'id');
SELECT rd.did(), status, error, n, redrive FROM rd.ended WHERE execution_id = :'id';
SELECT count(*), count(redriven_at) FROM saga.dead_letters WHERE message_id = :'id';
CREATE OR REPLACE FUNCTION rd.step(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM rd.broken WHERE what = i ->> 'what') AND i ->> 'what' <> 'b' THEN
    RETURN saga.failure('Broken', i ->> 'what');
  END IF;
  INSERT INTO rd.log (what) VALUES (i ->> 'what');
  RETURN jsonb_build_object('did', i ->> 'what');
END $$;
-- the newest version is another one: it keeps its own
SELECT saga.create_workflow('plain', '{"StartAt": "Other", "States": {"Other": {"Type": "Succeed"}}}');
SELECT saga.redrive_execution(:'id');
CALL rd.run('plain', :'id');
SELECT rd.did(), status, output, n, redrive, reason FROM rd.ended WHERE execution_id = :'id';
SELECT type, details - 'input' - 'output' - 'cause' - 'roleArn' - 'parameters' - 'assignedVariables' AS details FROM saga.execution_history
  WHERE execution_id = :'id' ORDER BY event_id;
SELECT count(*) = max(event_id) AS none_is_missing FROM saga.execution_history WHERE execution_id = :'id';
SELECT saga.describe_execution(:'id') -> 'redrive_count' AS redrive_count;
SELECT rd.try(:'id');
SELECT rd.try(saga.make_id());
SELECT saga.redrive_execution(NULL);
-- nothing is kept of one that has succeeded
SELECT point, ended, redrives FROM saga.redrive_point WHERE execution_id = :'id';
SELECT saga.start_execution('plain') AS id \gset
CALL saga.drain('plain');
SELECT status, (SELECT count(*) FROM saga.redrive_point p WHERE p.execution_id = e.execution_id) AS kept FROM saga.executions e WHERE execution_id = :'id';

-- ---------- where handlers ran: from the first that was undone ----------
SELECT saga.create_workflow('undone', jsonb_build_object('StartAt', 'N', 'States', jsonb_build_object(
  'N', rd.task('n', 'A', '{"Assign": {"v": 1}}'), 'A', rd.task('a', 'B', '{"Compensate": "U", "Assign": {"v": 2}}'),
  'B', rd.task('b', 'C', '{"Compensate": "U", "Assign": {"v": 3}}'), 'C', rd.task('c', 'D'), 'D', rd.task('d', 'E', '{"Compensate": "U"}'),
  'E', '{"Type": "Pass", "Parameters": {"all.$": "$", "v.$": "$v"}, "End": true}'::jsonb, 'U', rd.handler())));
SELECT rd.break('d');
SELECT saga.start_execution('undone') AS id \gset
CALL saga.drain('undone');
SELECT rd.did(), status, compensated, redrive FROM rd.ended WHERE execution_id = :'id';
SELECT saga.redrive_execution(:'id');
CALL saga.drain('undone');
SELECT rd.did(), status, compensated, n FROM rd.ended WHERE execution_id = :'id';
SELECT rd.mend();
SELECT saga.redrive_execution(:'id');
CALL saga.drain('undone');
SELECT rd.did(), status, output, compensated, not_compensated, n FROM rd.ended WHERE execution_id = :'id';

-- a handler that fails: refused, but by force; what stands stays done, and a later failure undoes it
SELECT rd.break('d', 'undo a');
SELECT saga.start_execution('undone') AS id \gset
CALL saga.drain('undone');
SELECT rd.did(), status, compensated, not_compensated, redrive, reason FROM rd.ended WHERE execution_id = :'id';
SELECT rd.try(:'id');
SELECT saga.redrive_execution(:'id', force => true);
DELETE FROM rd.broken WHERE what = 'undo a';
CALL saga.drain('undone');
SELECT rd.did(), status, compensated, not_compensated, n FROM rd.ended WHERE execution_id = :'id';
-- nobody has left anything now
SELECT rd.mend();
SELECT saga.redrive_execution(:'id');
CALL saga.drain('undone');
SELECT rd.did(), status, compensated, not_compensated, n FROM rd.ended WHERE execution_id = :'id';
SELECT reason, details ->> 'status' AS status, redriven_at IS NOT NULL AS redriven FROM saga.dead_letters WHERE message_id = :'id' ORDER BY dead_letter_id;
-- the other way round: what was done behind it stands, is done once more, and the record says so
SELECT rd.break('d', 'undo b');
SELECT saga.start_execution('undone') AS id \gset
CALL saga.drain('undone');
SELECT rd.mend();
SELECT saga.redrive_execution(:'id', force => true);
CALL saga.drain('undone');
SELECT rd.did(), status, compensated, not_compensated FROM rd.ended WHERE execution_id = :'id';
-- somebody has undone it himself: then it is done anew
SELECT rd.break('d', 'undo b');
SELECT saga.start_execution('undone') AS id \gset
CALL saga.drain('undone');
SELECT rd.mend();
SELECT saga.settle(:'id', 'no_effect');
SELECT saga.redrive_execution(:'id');
CALL saga.drain('undone');
SELECT rd.did(), status, compensated, not_compensated FROM rd.ended WHERE execution_id = :'id';

-- stopped without compensation: everything stands
SELECT saga.create_workflow('stopped', jsonb_build_object('StartAt', 'A', 'States', jsonb_build_object(
  'A', rd.task('a', 'W', '{"Compensate": "U"}'), 'W', '{"Type": "Wait", "SecondsPath": "$.s", "Next": "B"}'::jsonb, 'B', rd.task('b'), 'U', rd.handler())));
SELECT saga.start_execution('stopped', '{"s": 100000}') AS id \gset
CALL saga.drain('stopped');
SELECT rd.try(:'id');
SELECT saga.stop_execution(:'id', 'Enough', compensate => false);
SELECT status, redrive, not_compensated FROM rd.ended WHERE execution_id = :'id';
SELECT saga.redrive_execution(:'id', '{"s": 0}', true);
CALL saga.drain('stopped');
SELECT rd.did(), status, output, not_compensated FROM rd.ended WHERE execution_id = :'id';
-- stopped with compensation: from the beginning
SELECT saga.start_execution('stopped', '{"s": 100000}') AS id \gset
CALL saga.drain('stopped');
SELECT saga.stop_execution(:'id', 'Enough');
CALL saga.drain('stopped');
SELECT rd.did(), status, compensated FROM rd.ended WHERE execution_id = :'id';
SELECT saga.redrive_execution(:'id', '{"s": 0}');
CALL saga.drain('stopped');
SELECT rd.did(), status, output, compensated FROM rd.ended WHERE execution_id = :'id';

-- a time limit begins anew
SELECT saga.create_workflow('late', '{"StartAt": "W", "TimeoutSeconds": 1, "States": {"W": {"Type": "Wait", "SecondsPath": "$.s", "End": true}}}');
SELECT saga.start_execution('late', '{"s": 5000}') AS id \gset
CALL rd.run('late', :'id');
SELECT status, redrive FROM rd.ended WHERE execution_id = :'id';
SELECT saga.redrive_execution(:'id', '{"s": 0}');
CALL saga.drain('late');
SELECT status, output, n FROM rd.ended WHERE execution_id = :'id';

-- a Fail state fails again
SELECT saga.create_workflow('fails', '{"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "No"}}}');
SELECT saga.start_execution('fails') AS id \gset
CALL saga.drain('fails');
SELECT saga.redrive_execution(:'id');
CALL saga.drain('fails');
SELECT status, error, n FROM rd.ended WHERE execution_id = :'id';

-- ---------- Parallel ----------
SELECT saga.create_workflow('parallel', jsonb_build_object('StartAt', 'P', 'States', jsonb_build_object('P', jsonb_build_object('Type', 'Parallel', 'End', true,
  'ResultSelector', '{"n.$": "States.ArrayLength($)"}'::jsonb, 'Branches', jsonb_build_array(
  jsonb_build_object('StartAt', 'A1', 'States', jsonb_build_object('A1', rd.task('a1', 'A2'), 'A2', rd.task('a2'))),
  jsonb_build_object('StartAt', 'B1', 'States', jsonb_build_object('B1', rd.task('b1', 'B2'), 'B2', rd.task('b2', 'B3'), 'B3', rd.task('b3'))),
  jsonb_build_object('StartAt', 'C1', 'States', jsonb_build_object('C1', rd.task('c1', 'C2'), 'C2', '{"Type": "Wait", "Seconds": 100000, "Next": "C3"}'::jsonb, 'C3', rd.task('c3'))))))));
SELECT rd.break('b2');
SELECT saga.start_execution('parallel') AS id \gset
CALL saga.drain('parallel');
SELECT rd.did(), status, redrive FROM rd.ended WHERE execution_id = :'id';
SELECT rd.mend();
-- two states are entered again
SELECT rd.try(:'id', '{}');
SELECT saga.redrive_execution(:'id');
CALL saga.drain('parallel');
SELECT rd.did(), status, current_state FROM saga.executions WHERE execution_id = :'id';
SELECT details ->> 'name' AS entered FROM saga.execution_history WHERE execution_id = :'id' AND type LIKE '%StateEntered'
  AND event_id > (SELECT event_id FROM saga.execution_history WHERE execution_id = :'id' AND type = 'ExecutionRedriven') ORDER BY event_id;
SELECT saga.stop_execution(:'id');
CALL saga.drain('parallel');

-- a branch that had ended, and where something was undone, runs again from there
SELECT saga.create_workflow('branches', jsonb_build_object('StartAt', 'P', 'States', jsonb_build_object('P', jsonb_build_object('Type', 'Parallel', 'Next', 'D',
  'ResultSelector', '{"n.$": "States.ArrayLength($)"}'::jsonb, 'Branches', jsonb_build_array(
  jsonb_build_object('StartAt', 'A1', 'States', jsonb_build_object('A1', rd.task('a1', 'A2'), 'A2', rd.task('a2', 'A3', '{"Compensate": "AU"}'), 'A3', rd.task('a3'), 'AU', rd.handler())),
  jsonb_build_object('StartAt', 'B1', 'States', jsonb_build_object('B1', rd.task('b1'))),
  jsonb_build_object('StartAt', 'C1', 'States', jsonb_build_object('C1', rd.task('c1', 'C2'), 'C2', rd.task('c2', 'C3'), 'C3', rd.task('c3', 'C4'), 'C4', rd.task('c4'))))),
  'D', rd.task('d'))));
SELECT rd.break('c4');
SELECT saga.start_execution('branches') AS id \gset
CALL saga.drain('branches');
SELECT rd.did(), status, compensated FROM rd.ended WHERE execution_id = :'id';
SELECT rd.mend();
SELECT saga.redrive_execution(:'id');
CALL saga.drain('branches');
SELECT rd.did(), status, output, compensated FROM rd.ended WHERE execution_id = :'id';
-- when the Parallel had ended, it is run as a whole
SELECT rd.break('d');
SELECT saga.start_execution('branches') AS id \gset
CALL saga.drain('branches');
SELECT rd.did(), status, compensated FROM rd.ended WHERE execution_id = :'id';
SELECT rd.mend();
SELECT saga.redrive_execution(:'id');
CALL saga.drain('branches');
SELECT rd.did(), status, output, compensated FROM rd.ended WHERE execution_id = :'id';

-- a caught failure of a Parallel, whose branches are not gone on with
SELECT saga.create_workflow('caught', jsonb_build_object('StartAt', 'P', 'States', jsonb_build_object('P', jsonb_build_object('Type', 'Parallel', 'End', true,
  'Catch', '[{"ErrorEquals": ["States.ALL"], "Next": "D"}]'::jsonb, 'Branches', jsonb_build_array(
  jsonb_build_object('StartAt', 'A1', 'States', jsonb_build_object('A1', rd.task('a1', 'A2', '{"Compensate": "AU"}'), 'A2', rd.task('a2'), 'AU', rd.handler())))),
  'D', rd.task('d'))));
SELECT rd.break('a2', 'd');
SELECT saga.start_execution('caught') AS id \gset
CALL saga.drain('caught');
SELECT rd.did(), status, compensated FROM rd.ended WHERE execution_id = :'id';
SELECT rd.mend();
SELECT saga.redrive_execution(:'id');
CALL saga.drain('caught');
SELECT rd.did(), status, output FROM rd.ended WHERE execution_id = :'id';

-- ---------- Map ----------
SELECT saga.create_workflow('map', jsonb_build_object('StartAt', 'M', 'States', jsonb_build_object('M', jsonb_build_object('Type', 'Map', 'End', true, 'MaxConcurrency', 2,
  'ItemProcessor', jsonb_build_object('StartAt', 'X', 'States', jsonb_build_object('X', jsonb_build_object('Type', 'Task', 'Resource', 'sql:rd.step', 'Next', 'Y',
  'Parameters', '{"what.$": "States.Format(''x{}'', $)"}'::jsonb, 'ResultPath', NULL), 'Y', jsonb_build_object('Type', 'Task', 'Resource', 'sql:rd.step', 'End', true,
  'Parameters', '{"what.$": "States.Format(''y{}'', $)"}'::jsonb, 'ResultSelector', '{"d.$": "$.did"}'::jsonb)))))));
SELECT rd.break('y3');
SELECT saga.start_execution('map', '[1, 2, 3, 4, 5]') AS id \gset
CALL saga.drain('map');
SELECT rd.did(), status, error FROM rd.ended WHERE execution_id = :'id';
SELECT rd.mend();
SELECT saga.redrive_execution(:'id');
CALL saga.drain('map');
SELECT rd.did(), status, output FROM rd.ended WHERE execution_id = :'id';

-- some failures are tolerated: those items run again as well
SELECT saga.create_workflow('tolerant', jsonb_build_object('StartAt', 'M', 'States', jsonb_build_object('M', jsonb_build_object('Type', 'Map', 'End', true, 'MaxConcurrency', 1,
  'ToleratedFailureCount', 1, 'ItemProcessor', jsonb_build_object('ProcessorConfig', '{"Mode": "INLINE"}'::jsonb, 'StartAt', 'X', 'States', jsonb_build_object('X', jsonb_build_object('Type', 'Task', 'Resource', 'sql:rd.step', 'End', true,
  'Parameters', '{"what.$": "States.Format(''x{}'', $)"}'::jsonb, 'ResultSelector', '{"d.$": "$.did"}'::jsonb)))))));
SELECT rd.break('x2', 'x4');
SELECT saga.start_execution('tolerant', '[1, 2, 3, 4, 5]') AS id \gset
CALL saga.drain('tolerant');
SELECT rd.did(), status, error FROM rd.ended WHERE execution_id = :'id';
SELECT rd.mend();
SELECT saga.redrive_execution(:'id');
CALL saga.drain('tolerant');
SELECT rd.did(), status, output FROM rd.ended WHERE execution_id = :'id';

-- ---------- executions that it has started ----------
SELECT saga.create_workflow('child', jsonb_build_object('StartAt', 'A', 'States', jsonb_build_object('A', rd.task('child'))));
SELECT saga.create_workflow('parent', jsonb_build_object('StartAt', 'S', 'States', jsonb_build_object(
  'S', '{"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "Parameters": {"StateMachineArn": "child", "Input": {}}, "ResultPath": "$.c", "Next": "B"}'::jsonb,
  'B', rd.task('b', 'C'), 'C', '{"Type": "Pass", "OutputPath": "$.b.did", "End": true}'::jsonb)));
-- the child fails: another one is started
SELECT rd.break('child');
SELECT saga.start_execution('parent') AS id \gset
CALL saga.drain();
SELECT rd.did(), status, error FROM rd.ended WHERE execution_id = :'id';
SELECT execution_id AS child FROM saga.executions WHERE started_by = :'id' \gset
SELECT regexp_replace(redrive_status_reason, '[0-9a-f-]{36}', 'ID') FROM saga.executions WHERE execution_id = :'child';
SELECT rd.try(:'child');
SELECT rd.mend();
SELECT saga.redrive_execution(:'id');
CALL saga.drain();
SELECT rd.did(), status, output FROM rd.ended WHERE execution_id = :'id';
SELECT status, count(*) FROM saga.executions WHERE started_by = :'id' GROUP BY status ORDER BY status;
-- the child has succeeded, and had nothing to undo: it stands
SELECT rd.break('b');
UPDATE rd.broken SET what = 'bb' WHERE what = 'b';
SELECT saga.create_workflow('parent', jsonb_build_object('StartAt', 'S', 'States', jsonb_build_object(
  'S', '{"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "Parameters": {"StateMachineArn": "child", "Input": {}}, "ResultPath": "$.c", "Next": "B"}'::jsonb,
  'B', rd.task('bb', 'C'), 'C', '{"Type": "Pass", "OutputPath": "$.bb.did", "End": true}'::jsonb)));
SELECT saga.start_execution('parent') AS id \gset
CALL saga.drain();
SELECT rd.did(), status, error FROM rd.ended WHERE execution_id = :'id';
SELECT rd.mend();
SELECT saga.redrive_execution(:'id');
CALL saga.drain();
SELECT rd.did(), status, output FROM rd.ended WHERE execution_id = :'id';

-- the child is undone: it is started anew
SELECT saga.create_workflow('child', jsonb_build_object('StartAt', 'A', 'States', jsonb_build_object('A', rd.task('child', more => '{"Compensate": "U"}'), 'U', rd.handler())));
SELECT rd.break('bb');
SELECT saga.start_execution('parent') AS id \gset
CALL saga.drain();
SELECT rd.did(), status, error FROM rd.ended WHERE execution_id = :'id';
SELECT rd.mend();
SELECT saga.redrive_execution(:'id');
CALL saga.drain();
SELECT rd.did(), status, output FROM rd.ended WHERE execution_id = :'id';

-- a distributed Map: items that have succeeded keep their results, all others run; the last of them had not begun
SELECT saga.create_workflow('distributed', jsonb_build_object('StartAt', 'M', 'States', jsonb_build_object('M', jsonb_build_object('Type', 'Map', 'End', true, 'MaxConcurrency', 1,
  'ItemProcessor', jsonb_build_object('ProcessorConfig', '{"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}'::jsonb, 'StartAt', 'X', 'States', jsonb_build_object('X', jsonb_build_object('Type', 'Task', 'Resource', 'sql:rd.step', 'End', true,
  'Parameters', '{"what.$": "States.Format(''x{}'', $)"}'::jsonb, 'ResultSelector', '{"d.$": "$.did"}'::jsonb)))))));
SELECT rd.break('x3');
SELECT saga.start_execution('distributed', '[1, 2, 3, 4, 5]') AS id \gset
CALL saga.drain();
SELECT rd.did(), status, error FROM rd.ended WHERE execution_id = :'id';
SELECT status, total, pending, succeeded, failed, aborted FROM saga.map_runs WHERE execution_id = :'id';
SELECT saga.redrive_execution(:'id');
CALL saga.drain();
SELECT rd.did(), status, n FROM rd.ended WHERE execution_id = :'id';
SELECT rd.mend();
SELECT saga.redrive_execution(:'id');
CALL saga.drain();
SELECT rd.did(), status, output FROM rd.ended WHERE execution_id = :'id';
SELECT status, total, pending, succeeded, failed, aborted FROM saga.map_runs WHERE execution_id = :'id' ORDER BY map_run_id;
SELECT type, details - 'mapRunArn' AS details FROM saga.execution_history WHERE execution_id = :'id' AND type ~ 'MapRun|Redriven' AND type <> 'MapRunFailed' ORDER BY event_id;
-- where some were undone, all run again
SELECT saga.create_workflow('distributed', jsonb_build_object('StartAt', 'M', 'States', jsonb_build_object('M', jsonb_build_object('Type', 'Map', 'End', true, 'MaxConcurrency', 1,
  'ItemProcessor', jsonb_build_object('ProcessorConfig', '{"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}'::jsonb, 'StartAt', 'X', 'States', jsonb_build_object('X', jsonb_build_object('Type', 'Task', 'Resource', 'sql:rd.step', 'End', true,
  'Parameters', '{"what.$": "States.Format(''x{}'', $)"}'::jsonb, 'Compensate', 'U', 'ResultSelector', '{"d.$": "$.did"}'::jsonb), 'U', rd.handler()))))));
SELECT rd.break('x2');
SELECT saga.start_execution('distributed', '[1, 2]') AS id \gset
CALL saga.drain();
SELECT rd.did(), status, error FROM rd.ended WHERE execution_id = :'id';
SELECT rd.mend();
SELECT saga.redrive_execution(:'id');
CALL saga.drain();
SELECT rd.did(), status, output FROM rd.ended WHERE execution_id = :'id';

-- a child that has left something is not begun anew before that is settled
SELECT saga.create_workflow('child', jsonb_build_object('StartAt', 'A', 'States', jsonb_build_object('A', rd.task('ca', 'B', '{"Compensate": "U"}'), 'B', rd.task('cb'), 'U', rd.handler())));
SELECT saga.create_workflow('middle', '{"StartAt": "S", "States": {"S": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "Parameters": {"StateMachineArn": "child", "Input": {}}, "End": true}}}');
SELECT saga.create_workflow('parent', jsonb_build_object('StartAt', 'S', 'States', jsonb_build_object(
  'S', '{"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "Parameters": {"StateMachineArn.$": "$.of", "Input": {}}, "ResultPath": null, "Next": "B"}'::jsonb,
  'B', rd.task('b', 'C'), 'C', '{"Type": "Pass", "OutputPath": "$.b.did", "End": true}'::jsonb)));
CREATE FUNCTION rd.left_by_child(id uuid) RETURNS TABLE (execution_id uuid, message_id text, closed text) LANGUAGE sql AS $$
  WITH RECURSIVE t AS (SELECT e.execution_id, e.not_compensated FROM saga.executions e WHERE e.started_by = id
    UNION ALL SELECT e.execution_id, e.not_compensated FROM saga.executions e JOIN t ON e.started_by = t.execution_id)
  SELECT t.execution_id, x ->> 'message_id', x ->> 'closed' FROM t, jsonb_array_elements(t.not_compensated) x $$;
SELECT rd.break('cb', 'undo ca');
SELECT saga.start_execution('parent', '{"of": "child"}') AS one, saga.start_execution('parent', '{"of": "middle"}') AS two \gset
CALL saga.drain();
SELECT status, not_compensated FROM rd.ended WHERE execution_id IN (:'one', :'two');
SELECT rd.mend(), rd.did();
SELECT rd.try(:'one') UNION ALL SELECT rd.try(:'two');
SELECT rd.did(), status FROM rd.ended WHERE execution_id = :'one';
SELECT saga.redrive('parent') AS parents;
-- by force: what it has left is closed
SELECT rd.try(:'two', force => true);
SELECT closed FROM rd.left_by_child(:'two');
-- settled, no force is needed
SELECT count(saga.settle(execution_id, 'no_effect')) FROM rd.left_by_child(:'one');
SELECT rd.try(:'one');
CALL saga.drain();
SELECT status, output FROM rd.ended WHERE execution_id IN (:'one', :'two');
SELECT rd.did();
-- one whose failure was caught is not begun anew, and not in the way
SELECT saga.create_workflow('parent', jsonb_build_object('StartAt', 'S', 'States', jsonb_build_object(
  'S', '{"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "Parameters": {"StateMachineArn": "child", "Input": {}}, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}], "Next": "B"}'::jsonb,
  'B', rd.task('bb', 'C'), 'C', '{"Type": "Pass", "OutputPath": "$.bb.did", "End": true}'::jsonb)));
SELECT rd.break('bb', 'cb', 'undo ca');
SELECT saga.start_execution('parent') AS id \gset
CALL saga.drain();
SELECT rd.mend(), rd.did();
SELECT count(*), count(closed) FROM rd.left_by_child(:'id');
SELECT rd.try(:'id');
CALL saga.drain();
SELECT rd.did(), status, output FROM rd.ended WHERE execution_id = :'id';
SELECT count(*), count(closed) FROM rd.left_by_child(:'id');

-- ---------- who may, and what else is in the way ----------
SELECT saga.start_execution('fails') AS id \gset
CALL saga.drain('fails');
CREATE ROLE rd_stranger;
GRANT USAGE ON SCHEMA rd, saga TO rd_stranger;
SET ROLE rd_stranger;
SELECT rd.try(:'id');
RESET ROLE;
GRANT EXECUTE ON FUNCTION saga.redrive_execution TO rd_stranger;
SET ROLE rd_stranger;
SELECT rd.try(:'id');
RESET ROLE;
-- who forces it closes what its children have left: for that he needs the right on their workflow, too
SELECT rd.break('cb', 'undo ca');
SELECT saga.start_execution('middle') AS of_two \gset
CALL saga.drain();
SELECT rd.mend(), rd.did();
SELECT saga.grant('workflow', 'middle', 'rd_stranger', 'operate');
SET ROLE rd_stranger;
SELECT rd.try(:'of_two');
SELECT rd.try(:'of_two', force => true);
RESET ROLE;
SELECT count(*), count(closed) FROM rd.left_by_child(:'of_two');
SELECT saga.grant('workflow', 'child', 'rd_stranger', 'operate');
SET ROLE rd_stranger;
SELECT rd.try(:'of_two', force => true);
RESET ROLE;
CALL saga.drain();
SELECT rd.did(), status FROM rd.ended WHERE execution_id = :'of_two';
-- what it has started goes on, and is undone yet: not before that has ended
SELECT saga.create_workflow('waits', '{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3600, "End": true}}}');
SELECT saga.create_workflow('of_waits', '{"StartAt": "C", "States": {"C": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync", "Parameters": {"StateMachineArn": "waits"}, "End": true}}}');
SELECT saga.start_execution('of_waits') AS of_waits \gset
CALL saga.drain();
SELECT saga.stop_execution(:'of_waits');
SELECT status, redrive, reason FROM rd.ended WHERE execution_id = :'of_waits';
SELECT rd.try(:'of_waits', force => true);
CALL saga.drain();
SELECT status, redrive, reason FROM rd.ended WHERE execution_id = :'of_waits';
SELECT rd.try(:'of_waits');
SELECT saga.stop_execution(:'of_waits');
CALL saga.drain();
-- another one was started for its dead letter, of the newest version
SELECT saga.redrive_anew(dead_letter_id) AS other FROM saga.dead_letters WHERE message_id = :'id' \gset
SELECT rd.try(:'id', force => true);
SELECT redrive, reason FROM rd.ended WHERE execution_id = :'id';
CALL saga.drain('fails');
-- a letter of one that was redriven has gone its way
SELECT saga.redrive_execution(:'other');
SELECT set_config('rd.id', dead_letter_id::text, false) = '' AS none FROM saga.dead_letters WHERE message_id = :'other';
DO $$ BEGIN PERFORM saga.redrive(current_setting('rd.id')::uuid); EXCEPTION WHEN object_not_in_prerequisite_state THEN
  RAISE NOTICE '%', replace(sqlerrm, current_setting('rd.id'), 'ID'); END $$;
CALL saga.drain('fails');
SELECT status, n FROM rd.ended WHERE execution_id = :'other';

-- what an earlier version has ended has no point
DELETE FROM saga.redrive_point WHERE execution_id = :'other';
SELECT redrive, reason FROM rd.ended WHERE execution_id = :'other';
-- a version that was made for another owner
SELECT saga.start_execution('fails') AS id \gset
CALL saga.drain('fails');
UPDATE saga.workflow SET oldest = 2 WHERE name = 'fails';
SELECT rd.try(:'id');
UPDATE saga.workflow SET oldest = 1 WHERE name = 'fails';

REVOKE ALL ON SCHEMA rd, saga FROM rd_stranger;
REVOKE ALL ON FUNCTION saga.redrive_execution FROM rd_stranger;
DROP ROLE rd_stranger;
