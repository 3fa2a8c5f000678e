-- The way back of a dead letter of an execution: it goes on in its place, or another one is started.
CREATE SCHEMA rl;
CREATE TABLE rl.log (n int GENERATED ALWAYS AS IDENTITY, what text);
CREATE TABLE rl.broken (what text PRIMARY KEY);
CREATE FUNCTION rl.step(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM rl.broken WHERE what = i ->> 'what') THEN
    RETURN saga.failure('Broken', i ->> 'what');
  END IF;
  INSERT INTO rl.log (what) VALUES (concat(i ->> 'what', i ->> 'with'));
  RETURN '{}';
END $$;
CREATE FUNCTION rl.undo(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT rl.step(jsonb_build_object('what', 'undo ' || (i #>> '{input,what}'))) $$;
-- A, which is undone, then B; more states behind these
CREATE FUNCTION rl.definition(more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('StartAt', 'A', 'States', jsonb_build_object(
    'A', '{"Type": "Task", "Resource": "sql:rl.step", "Parameters": {"what": "a", "with.$": "$.with"}, "ResultPath": null, "Compensate": "U", "Next": "B"}'::jsonb,
    'B', '{"Type": "Task", "Resource": "sql:rl.step", "Parameters": {"what": "b"}, "ResultPath": null, "End": true}'::jsonb || more,
    'U', '{"Type": "Task", "Resource": "sql:rl.undo"}'::jsonb)) $$;
CREATE FUNCTION rl.did() RETURNS text LANGUAGE sql AS $$ WITH gone AS (DELETE FROM rl.log RETURNING *) SELECT string_agg(what, ', ' ORDER BY n) FROM gone $$;
CREATE FUNCTION rl.letter(id uuid) RETURNS uuid LANGUAGE sql AS $$ SELECT dead_letter_id FROM saga.dead_letters WHERE message_id = id AND redriven_at IS NULL $$;
-- what it says, without the ids in it
CREATE FUNCTION rl.try(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE hint text;
BEGIN
  EXECUTE 'SELECT ' || call;
  RETURN 'done';
EXCEPTION WHEN object_not_in_prerequisite_state OR invalid_parameter_value OR undefined_object THEN
  GET STACKED DIAGNOSTICS hint = pg_exception_hint;
  RETURN regexp_replace(concat_ws(' / ', sqlerrm, hint), '[0-9a-f-]{36}', 'ID', 'g');
END $$;
\set VERBOSITY terse
SET client_min_messages = warning;
SELECT saga.create_workflow('w', rl.definition());

-- ---------- in its place, from the first state that was undone ----------
INSERT INTO rl.broken VALUES ('b');
SELECT saga.start_execution('w', '{"with": 1}', 'named') AS id \gset
CALL saga.drain();
SELECT rl.did(), status, compensated FROM saga.executions WHERE execution_id = :'id';
-- the newest version is not its own
SELECT saga.create_workflow('w', rl.definition('{"Comment": "newer"}'));
SELECT saga.redrive(rl.letter(:'id')) = :'id' AS itself;
SELECT status, version, redrive_count FROM saga.executions WHERE execution_id = :'id';
CALL saga.drain();
SELECT rl.did(), status FROM saga.executions WHERE execution_id = :'id';
SELECT count(*), count(redriven_at), count(*) FILTER (WHERE redriven_as = message_id) AS as_itself FROM saga.dead_letters WHERE message_id = :'id';
-- once
SELECT rl.try(format('saga.redrive(%L::uuid)', (SELECT min(dead_letter_id::text) FROM saga.dead_letters WHERE message_id = :'id')));
TRUNCATE rl.broken;
-- a literal without a cast is text, and one letter all the same
SELECT rl.letter(:'id') AS letter \gset
SELECT saga.redrive(:'letter');
CALL saga.drain();
SELECT rl.did(), status, version, name, redrive_count FROM saga.executions WHERE execution_id = :'id';
SELECT count(*) FILTER (WHERE type = 'ExecutionRedriven') AS redriven, count(*) FILTER (WHERE type = 'ExecutionStarted') AS started
FROM saga.execution_history WHERE execution_id = :'id';

-- ---------- anew: another one, of the newest version, with another input if there is one ----------
INSERT INTO rl.broken VALUES ('b');
SELECT saga.start_execution('w:1', '{"with": 1}') AS id \gset
CALL saga.drain();
TRUNCATE rl.broken, rl.log;
SELECT saga.redrive_anew(rl.letter(:'id'), '{"with": "out"}') AS other \gset
CALL saga.drain();
SELECT execution_id = :'id' AS old, status, version, input FROM saga.executions WHERE execution_id IN (:'id', :'other') ORDER BY 1;
SELECT rl.did(), (SELECT redriven_as = :'other' FROM saga.dead_letters WHERE message_id = :'id') AS as_other;
SELECT rl.try(format('saga.redrive_execution(%L)', :'id'));

-- ---------- what it has left ----------
INSERT INTO rl.broken VALUES ('b'), ('undo a');
SELECT saga.start_execution('w', '{"with": 2}') AS id \gset
CALL saga.drain();
SELECT rl.did(), status, not_compensated -> 0 ->> 'state' AS stands FROM saga.executions WHERE execution_id = :'id';
SELECT rl.try(format('saga.redrive(%L::uuid)', rl.letter(:'id')));
SELECT rl.try(format('saga.redrive_anew(%L::uuid)', rl.letter(:'id')));
TRUNCATE rl.broken;
-- by force it goes on behind what stands
SELECT saga.redrive(rl.letter(:'id'), force => true) = :'id' AS itself;
CALL saga.drain();
SELECT rl.did(), status, not_compensated FROM saga.executions WHERE execution_id = :'id';

-- ---------- many ----------
INSERT INTO rl.broken VALUES ('b');
SELECT count(saga.start_execution('w', jsonb_build_object('with', n), 'many ' || n)) FROM generate_series(1, 203) n;
CALL saga.drain();
INSERT INTO rl.broken VALUES ('undo a');
SELECT saga.start_execution('w', '{"with": 0}', 'stands') IS NOT NULL AS started;
CALL saga.drain();
TRUNCATE rl.broken, rl.log;
SET client_min_messages = notice;
UPDATE saga.redrive_point SET point = NULL WHERE execution_id = (SELECT execution_id FROM saga.executions WHERE name = 'many 7');
SELECT saga.redrive('w', 'Broken', 150);
SELECT saga.redrive('w');
SET client_min_messages = warning;
CALL saga.drain();
SELECT status, redrive_count, count(*) FROM saga.executions WHERE name LIKE 'many %' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*), count(DISTINCT what) FROM rl.log WHERE what LIKE 'a%';
SELECT name, redriven_at IS NULL AS waits FROM saga.dead_letters JOIN saga.executions ON execution_id = message_id WHERE name IN ('many 7', 'stands') ORDER BY 1;
TRUNCATE rl.log;

-- ---------- where nothing tells where it could go on ----------
SET client_min_messages = notice;
\set VERBOSITY default
CREATE FUNCTION rl.without(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  letter uuid := (SELECT dead_letter_id FROM saga.dead_letters WHERE redriven_at IS NULL AND reason = 'Broken');
  id uuid := (SELECT message_id FROM saga.dead_letters WHERE dead_letter_id = letter);
BEGIN
  EXECUTE change USING id;
  SET LOCAL client_min_messages = warning;
  RETURN CASE WHEN saga.redrive(letter) = id THEN 'itself' ELSE 'another one' END;
END $$;
CREATE PROCEDURE rl.fails() LANGUAGE plpgsql AS $$
BEGIN
  TRUNCATE rl.broken;
  INSERT INTO rl.broken VALUES ('b');
  PERFORM saga.start_execution('w', '{"with": 3}');
  COMMIT;
  CALL saga.drain();
  TRUNCATE rl.broken, rl.log;
END $$;
CALL rl.fails();
SELECT rl.without('UPDATE saga.redrive_point SET point = NULL WHERE execution_id = $1');
CALL saga.drain();
SELECT rl.did();
CALL rl.fails();
SELECT rl.without('DELETE FROM saga.execution WHERE execution_id = $1');
CALL saga.drain();
SELECT rl.did();
CALL rl.fails();
UPDATE saga.workflow SET oldest = 3 WHERE name = 'w';
SELECT saga.create_workflow('w', rl.definition('{"Comment": "newest"}'));
SELECT rl.without('');
CALL saga.drain();
SELECT rl.did();
-- one that is refused before it begins
SELECT saga.start_execution('w', '{"with": 4}') AS id \gset
INSERT INTO saga.dead_letter (dead_letter_id, queue_id, message_id, kind, reason, receives, failed_at, body)
  SELECT saga.make_id(), workflow_id, :'id', 's', 'Saga.DuplicateExecution', 1, now(), '{"with": 5}' FROM saga.workflow WHERE name = 'w';
CALL saga.drain();
SELECT saga.redrive(rl.letter(:'id')) <> :'id' AS another;
CALL saga.drain();
SELECT rl.did();

-- ---------- a child ----------
SELECT saga.create_workflow('parent', '{"StartAt": "S", "States": {"S": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2",
  "Parameters": {"StateMachineArn": "w", "Input": {"with": 6}}, "End": true}}}');
INSERT INTO rl.broken VALUES ('b'), ('undo a');
SELECT saga.start_execution('parent') AS id \gset
CALL saga.drain();
SELECT execution_id AS child FROM saga.executions WHERE started_by = :'id' \gset
SELECT rl.try(format('saga.redrive(%L::uuid)', rl.letter(:'child')));
SELECT rl.try(format('saga.redrive(%L::uuid, true)', rl.letter(:'child')));
TRUNCATE rl.broken, rl.log;
SELECT saga.redrive_anew(rl.letter(:'child'), force => true) <> :'child' AS another;
SELECT saga.redrive(rl.letter(:'id')) = :'id' AS itself;
CALL saga.drain();
SELECT rl.did(), status FROM saga.executions WHERE execution_id = :'id';

-- ---------- a message ----------
SELECT saga.create_queue('q', max_receives => 1) > 0 AS made;
SELECT saga.send('q', '{"n": 1}') AS id \gset
SELECT (saga.receive('q', visibility_timeout => '0 s')).body;
SELECT (saga.receive('q')).body;
SELECT rl.try(format('saga.redrive_anew(%L::uuid, ''{}'')', rl.letter(:'id')));
SELECT saga.redrive_anew(rl.letter(:'id')) = :'id' AS itself;

-- ---------- who may ----------
CREATE ROLE rl_stranger;
GRANT USAGE ON SCHEMA rl, saga TO rl_stranger;
GRANT EXECUTE ON FUNCTION saga.redrive_anew TO rl_stranger;
SELECT min(dead_letter_id::text) AS letter FROM saga.dead_letters \gset
SET ROLE rl_stranger;
SELECT rl.try(format('saga.redrive_anew(%L::uuid)', :'letter'));
RESET ROLE;
REVOKE ALL ON SCHEMA rl, saga FROM rl_stranger;
REVOKE ALL ON FUNCTION saga.redrive_anew FROM rl_stranger;
DROP ROLE rl_stranger;
