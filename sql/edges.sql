-- Edges of the engine and its queues: lengths of names, letters without a way back, memory of a run.
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = notice;

-- a name has 80 characters, however many bytes these have
SELECT saga.create_workflow(repeat('ü', 80), '{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}');
SELECT saga.create_workflow(repeat('😀', 80), '{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}');
SELECT saga.create_workflow(repeat('x', 81), '{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}');
SELECT saga.start_execution(repeat('ü', 80), '1', repeat('😀', 80)) = saga.start_execution(repeat('ü', 80), '1', repeat('😀', 80)) AS same;
SELECT saga.start_execution(repeat('ü', 80), '1', repeat('x', 81));
SELECT saga.create_queue(repeat('ü', 200)) > 0 AS created;

-- what is not done is not accepted
SELECT saga.create_queue('kept', retention => '1 day');

-- redrive of a queue passes over what has no way back
SELECT saga.create_workflow('mended', '{"StartAt": "A", "States": {"A": {"Type": "Fail", "Error": "No"}}}');
SELECT saga.start_execution('mended', '1') IS NOT NULL AS started;
INSERT INTO saga.message (queue_id, id, message_id, sent_at, kind, target, receives, body)
  SELECT workflow_id, saga.make_id(), saga.make_id(), now(), 'e', saga.make_id(), 1000, '{"stop": {}}' FROM saga.workflow WHERE name = 'mended';
SELECT saga.start_execution('mended', '2') IS NOT NULL AS started;
CALL saga.drain('mended');
SELECT reason, body FROM saga.dead_letters WHERE queue = 'mended' ORDER BY dead_letter_id;
SELECT saga.redrive('mended');
SELECT reason, body, redriven_at IS NOT NULL AS redriven FROM saga.dead_letters WHERE queue = 'mended' ORDER BY dead_letter_id;
SELECT saga.redrive(dead_letter_id) FROM saga.dead_letters WHERE queue = 'mended' AND reason = 'Saga.OrphanEvent';
CALL saga.drain('mended');
SELECT saga.redrive('mended', max => 1);
SELECT count(*) FROM saga.dead_letters WHERE queue = 'mended' AND redriven_at IS NULL;

-- an owner's queues without work do not end a drain
SELECT count(saga.create_workflow('idle' || i, '{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}')) FROM generate_series(1, 50) i;
SELECT saga.start_execution('idle50') AS id \gset
CALL saga.drain();
SELECT status FROM saga.executions WHERE execution_id = :'id';

-- a run that keeps too much comes back later
CREATE FUNCTION large(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('n', (i ->> 'n')::int - 1, 'text', repeat('x', 190000)) $$;
SELECT saga.create_workflow('large', '{"StartAt": "A", "States": {
  "A": {"Type": "Task", "Resource": "sql:public.large", "Next": "B"},
  "B": {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericGreaterThan": 0, "Next": "A"}], "Default": "C"},
  "C": {"Type": "Succeed", "OutputPath": "$.n"}}}');
SELECT saga.start_execution('large', '{"n": 600}') AS id \gset
CALL saga.drain('large');
SELECT status, output, (SELECT count(*) > 1 FROM saga.history h WHERE h.execution_id = e.execution_id) AS parked
  FROM saga.executions e WHERE execution_id = :'id';

-- a step stops another execution of its batch, which has not begun, which is half done, or which has ended there; and its own
CREATE TABLE stop_log (x text);
CREATE FUNCTION stop_note(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO stop_log VALUES (i ->> 'x') RETURNING i $$;
CREATE FUNCTION stop_undo(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO stop_log VALUES ((i #>> '{input,x}') || ' undone') RETURNING i $$;
CREATE FUNCTION stop_other(i jsonb, c jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  IF i ? 'stop' THEN
    PERFORM saga.stop_execution((i ->> 'stop')::uuid, 'Enough', 'by a step');
  END IF;
  IF i ? 'own' THEN
    PERFORM saga.stop_execution((c #>> '{Execution,Id}')::uuid);
  END IF;
  RETURN i;
END $$;
SELECT saga.create_workflow('stopping', '{"StartAt": "A", "States": {
  "A": {"Type": "Task", "Resource": "sql:public.stop_note", "Compensate": "U", "Next": "W"},
  "W": {"Type": "Choice", "Choices": [{"Variable": "$.wait", "IsPresent": true, "Next": "Wait"}], "Default": "S"},
  "Wait": {"Type": "Wait", "Seconds": 86400, "Next": "S"},
  "S": {"Type": "Task", "Resource": "sql:public.stop_other", "End": true},
  "U": {"Type": "Task", "Resource": "sql:public.stop_undo"}}}');
SELECT saga.make_id() AS before, saga.make_id() AS a, saga.make_id() AS half, saga.make_id() AS b, saga.make_id() AS own, saga.make_id() AS after \gset
BEGIN;
SELECT saga.start_execution('stopping', '{"x": "half", "wait": true}', id => :'half') = :'half' AS half,
  saga.start_execution('stopping', '{"x": "before"}', id => :'before') = :'before' AS before,
  saga.start_execution('stopping', jsonb_build_object('x', 'a', 'stop', :'after'), id => :'a') = :'a' AS a,
  saga.start_execution('stopping', jsonb_build_object('x', 'b', 'stop', :'half'), id => :'b') = :'b' AS b,
  saga.start_execution('stopping', jsonb_build_object('x', 'c', 'stop', :'before')) IS NOT NULL AS c,
  saga.start_execution('stopping', '{"x": "own", "own": true}', id => :'own') = :'own' AS own,
  saga.start_execution('stopping', '{"x": "after"}', id => :'after') = :'after' AS after;
COMMIT;
CALL saga.drain('stopping');
SELECT input ->> 'x' AS x, status, error, regexp_replace(cause, '[0-9a-f]{8}-[-0-9a-f]*', 'ID') AS cause, compensated
  FROM saga.executions WHERE workflow = 'stopping' ORDER BY 1;
SELECT x FROM stop_log ORDER BY x;
