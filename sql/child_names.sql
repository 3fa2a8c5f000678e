-- Workflows that a definition starts: what their names mean, and whose a Name is after a redrive.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA cn;
CREATE ROLE cn_team;
CREATE ROLE cn_alice;
GRANT USAGE ON SCHEMA saga, cn TO cn_team, cn_alice;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA saga TO cn_team, cn_alice;
GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA saga TO cn_team, cn_alice;
GRANT SELECT ON saga.executions TO cn_team, cn_alice;
CREATE FUNCTION cn.says(what text) RETURNS jsonb LANGUAGE sql AS
  $$ SELECT jsonb_build_object('StartAt', 'A', 'States', jsonb_build_object('A', jsonb_build_object('Type', 'Pass', 'Result', what, 'End', true))) $$;
CREATE FUNCTION cn.starts(arn text) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('StartAt', 'S', 'States', jsonb_build_object('S', jsonb_build_object(
  'Type', 'Task', 'Resource', 'arn:aws:states:::states:startExecution.sync:2', 'Parameters', jsonb_build_object('StateMachineArn', arn), 'OutputPath', '$.Output', 'End', true))) $$;

-- ---------- what a name meant when the definition was made ----------
SET ROLE cn_team;
SELECT saga.create_workflow('callee', cn.says('team'));
SELECT saga.publish_alias('callee', 'live', '{"1": 100}');
SELECT count(saga.grant('workflow', 'callee', 'cn_alice', r)) FROM unnest('{start,read,operate}'::text[]) r;
SET ROLE cn_alice;
SET pg_saga.owner_path = 'cn_team';
SELECT saga.create_workflow('plain', cn.starts('callee'));
SELECT saga.create_workflow('arn', cn.starts('arn:aws:states:eu-central-1:1:stateMachine:callee'));
SELECT saga.create_workflow('alias', cn.starts('saga:callee:live'));
SELECT saga.create_workflow('computed', jsonb_set(cn.starts('x'), '{States,S,Parameters}', '{"StateMachineArn.$": "$"}'));
RESET pg_saga.owner_path;
RESET ROLE;
SELECT w.name, r.kind, r.name AS named, (SELECT o.owner || '.' || o.name FROM saga.workflow o WHERE o.workflow_id = r.object_id) AS meant
FROM saga.reference r JOIN saga.workflow w ON w.workflow_id = r.referrer_id AND r.referrer = 'workflow' WHERE w.owner = 'cn_alice'::regrole ORDER BY 1;
-- one's own of that name, made later, is not what was meant
SET ROLE cn_alice;
SELECT saga.create_workflow('callee', cn.says('own'));
SELECT count(saga.start_execution(w)) FROM unnest('{plain,arn,alias}'::text[]) w;
SELECT count(saga.start_execution('computed', to_jsonb(c))) FROM unnest('{callee,cn_team.callee,cn_team.callee:live}'::text[]) c;
CALL saga.drain();
SET ROLE cn_team;
CALL saga.drain();
SET ROLE cn_alice;
CALL saga.drain();
SELECT workflow, status, output, input FROM saga.executions WHERE workflow <> 'callee' ORDER BY execution_id;
-- nor does a right that was taken back make it that
RESET ROLE;
DELETE FROM saga.object_grant;
SET ROLE cn_alice;
SELECT saga.start_execution('plain') AS id \gset
CALL saga.drain();
SELECT status, error FROM saga.executions WHERE execution_id = :'id';
RESET ROLE;

-- ---------- a Name, when its parent is redriven ----------
CREATE TABLE cn.broken AS SELECT true AS is;
CREATE FUNCTION cn.step(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT CASE WHEN EXISTS (SELECT FROM cn.broken) THEN saga.failure('Broken', 'x') ELSE '"done"' END $$;
SELECT saga.create_workflow('child', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:cn.step", "End": true}}}');
SELECT saga.create_workflow('parent', jsonb_set(cn.starts('child'), '{States,S,Parameters,Name}', '"fixed"'));
SELECT saga.create_workflow('retries', jsonb_set(jsonb_set(cn.starts('child'), '{States,S,Parameters,Name}', '"retried"'), '{States,S,Retry}',
  '[{"ErrorEquals": ["States.TaskFailed"], "MaxAttempts": 1, "IntervalSeconds": 1, "BackoffRate": 1}]'));
SELECT saga.start_execution('parent') AS id \gset
CALL saga.drain();
SELECT status, error FROM saga.executions WHERE execution_id = :'id';
-- it fails again, so that two of that name have failed
SELECT saga.redrive_execution(:'id');
CALL saga.drain();
SELECT status, error FROM saga.executions WHERE execution_id = :'id';
TRUNCATE cn.broken;
SELECT saga.redrive_execution(:'id');
CALL saga.drain();
SELECT status, output FROM saga.executions WHERE execution_id = :'id';
SELECT name, status FROM saga.executions WHERE workflow = 'child' ORDER BY execution_id;
-- the name is that of the last one
SELECT saga.start_execution('child', '{}', 'fixed') = (SELECT execution_id FROM saga.executions WHERE workflow = 'child' AND status = 'SUCCEEDED') AS last;
-- another one's is not for the taking
INSERT INTO cn.broken VALUES (true);
SELECT saga.start_execution('parent') AS id \gset
CALL saga.drain();
SELECT status, error FROM saga.executions WHERE execution_id = :'id';
-- nor is that of an attempt before, for a Retry
SELECT saga.start_execution('retries') AS id \gset
CREATE PROCEDURE cn.run(id uuid) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. 3000 LOOP
    CALL saga.drain();
    EXIT WHEN EXISTS (SELECT FROM saga.execution WHERE execution_id = id);
    COMMIT;
    PERFORM pg_catalog.pg_sleep(0.01);
  END LOOP;
END $$;
CALL cn.run(:'id');
SELECT status, error FROM saga.executions WHERE execution_id = :'id';

