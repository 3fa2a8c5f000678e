-- executions that wait go over to another version of their workflow
\set VERBOSITY default
\pset format unaligned
\pset null '(null)'
CREATE SCHEMA app;
CREATE FUNCTION app.echo(i jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT i';
CREATE FUNCTION app.undo(i jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT i';
CREATE FUNCTION app.no(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN PERFORM saga.fail('No', 'not today'); END $$;
-- the token of the task that an execution waits for
CREATE TABLE app.token (name text, token text);
CREATE FUNCTION app.ask(i jsonb, context jsonb) RETURNS jsonb LANGUAGE sql AS $$
	INSERT INTO app.token VALUES (context #>> '{Execution,Name}', context #>> '{Task,Token}');
	SELECT i;
$$;
CREATE FUNCTION pg_temp.answer(execution text) RETURNS void LANGUAGE sql AS
	$$ SELECT saga.send_task_success(t.token, '"answered"') FROM app.token t WHERE t.name = execution $$;
-- what has become of the executions of a workflow
CREATE FUNCTION pg_temp.moved(workflow text, from_version integer, to_version integer)
	RETURNS TABLE (name text, moved boolean, reason text) LANGUAGE sql AS
	$$ SELECT e.name, m.moved, m.reason FROM saga.move_executions($1, $2, $3) m JOIN saga.executions e USING (execution_id) ORDER BY 1 $$;

-- ---------- what goes, and how it goes on ----------
\set one '{"StartAt": "Ask", "States": {"Ask": {"Type": "Task", "Resource": "sql:app.ask.waitForTaskToken", "ResultPath": "$.answer", "Next": "W"}, "W": {"Type": "Wait", "Seconds": 9999, "Next": "End"}, "End": {"Type": "Pass", "Result": "one", "End": true}}}'
\set two '{"StartAt": "New", "States": {"New": {"Type": "Pass", "Next": "Ask"}, "Ask": {"Type": "Task", "Resource": "sql:app.ask.waitForTaskToken", "ResultSelector": {"selected.$": "$"}, "ResultPath": "$.x", "Next": "Other"}, "Other": {"Type": "Pass", "Parameters": {"two.$": "$"}, "End": true}}}'
SELECT saga.create_workflow('w', :'one'), saga.create_workflow('w', :'two');
SELECT saga.start_execution('w:1', '{"n": 1}', 'asks') AS id \gset
SELECT saga.start_execution('w:1', '{"n": 2}', 'stays') AS stays \gset
CALL saga.drain('w');
SELECT execution_id = :'id' AS it, moved, reason FROM saga.move_executions('w', 1, 2, 1);
SELECT name, version, status, current_state FROM saga.executions WHERE workflow = 'w' ORDER BY name;
SELECT pg_temp.answer('asks'), pg_temp.answer('stays');
CALL saga.drain('w');
SELECT name, version, status, current_state FROM saga.executions WHERE workflow = 'w' ORDER BY name;
SELECT version, status, output FROM saga.executions WHERE execution_id = :'id';
-- where the other one stands now there is nothing in version 2
SELECT * FROM pg_temp.moved('w', 1, 2);
SELECT saga.stop_execution(:'stays');
SELECT type, details ->> 'name' AS name FROM saga.execution_history WHERE execution_id = :'id' ORDER BY event_id;
SELECT count(*) FROM saga.move_executions('w', 1, 2);

-- pages
SELECT count(saga.start_execution('w:1', '{}', 'page' || n)) FROM generate_series(1, 5) n;
CALL saga.drain('w');
SELECT count(*) AS rows, max(execution_id::text) AS last FROM saga.move_executions('w', 1, 2, 2) \gset
SELECT :rows AS rows, count(*) AS next, count(*) FILTER (WHERE moved) AS moved FROM saga.move_executions('w', 1, 2, after => :'last');
SELECT version, count(*) FROM saga.executions WHERE workflow = 'w' AND name LIKE 'page%' GROUP BY 1;
-- and back, in one transaction that nothing is left of
BEGIN;
SELECT count(*) FILTER (WHERE moved) AS moved FROM saga.move_executions('w', 2, 1) ;
ROLLBACK;
SELECT version, count(*) FROM saga.executions WHERE workflow = 'w' AND name LIKE 'page%' GROUP BY 1;

-- ---------- what stays, and why ----------
-- one state, and what it may be elsewhere
CREATE TABLE app.other (n integer GENERATED ALWAYS AS IDENTITY, workflow text, old jsonb, new jsonb);
\set ask '{"Type": "Task", "Resource": "sql:app.ask.waitForTaskToken", "End": true}'
\set wait '{"Type": "Wait", "Seconds": 9999, "End": true}'
\set pass '{"Type": "Pass", "End": true}'
\set undo '{"Type": "Task", "Resource": "sql:app.undo"}'
CREATE FUNCTION pg_temp.machine(start text, states jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT jsonb_build_object('StartAt', start, 'States', states) $$;
CREATE FUNCTION pg_temp.state(type text, more jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT jsonb_build_object('Type', type, 'End', true) || more $$;
INSERT INTO app.other (workflow, old, new) VALUES
	('gone', pg_temp.machine('A', jsonb_build_object('A', :'wait'::jsonb)), pg_temp.machine('B', jsonb_build_object('B', :'wait'::jsonb))),
	('type', pg_temp.machine('A', jsonb_build_object('A', :'wait'::jsonb)), pg_temp.machine('A', jsonb_build_object('A', :'pass'::jsonb))),
	('call', pg_temp.machine('A', jsonb_build_object('A', :'ask'::jsonb)), pg_temp.machine('A', jsonb_build_object('A', :'ask'::jsonb || '{"Resource": "sql:app.echo"}'))),
	('undo is new', pg_temp.machine('A', jsonb_build_object('A', :'ask'::jsonb)),
		pg_temp.machine('A', jsonb_build_object('A', :'ask'::jsonb || '{"Compensate": "U"}', 'U', :'undo'::jsonb))),
	('undo is gone', pg_temp.machine('A', jsonb_build_object('A', :'ask'::jsonb || '{"Compensate": "U"}', 'U', :'undo'::jsonb)),
		pg_temp.machine('A', jsonb_build_object('A', :'ask'::jsonb))),
	('branch', pg_temp.machine('P', jsonb_build_object('P', pg_temp.state('Parallel', jsonb_build_object('Branches', jsonb_build_array(pg_temp.machine('A', jsonb_build_object('A', :'wait'::jsonb)), pg_temp.machine('B', jsonb_build_object('B', :'wait'::jsonb))))))),
		pg_temp.machine('P', jsonb_build_object('P', pg_temp.state('Parallel', jsonb_build_object('Branches', jsonb_build_array(pg_temp.machine('B', jsonb_build_object('B', :'wait'::jsonb)), pg_temp.machine('A', jsonb_build_object('A', :'wait'::jsonb)))))))),
	('branches', pg_temp.machine('P', jsonb_build_object('P', pg_temp.state('Parallel', jsonb_build_object('Branches', jsonb_build_array(pg_temp.machine('A', jsonb_build_object('A', :'wait'::jsonb))))))),
		pg_temp.machine('P', jsonb_build_object('P', pg_temp.state('Parallel', jsonb_build_object('Branches', jsonb_build_array(pg_temp.machine('A', jsonb_build_object('A', :'wait'::jsonb)), pg_temp.machine('B', jsonb_build_object('B', :'wait'::jsonb)))))))),
	('out of it', pg_temp.machine('P', jsonb_build_object('P', pg_temp.state('Parallel', jsonb_build_object('Branches', jsonb_build_array(pg_temp.machine('A', jsonb_build_object('A', :'wait'::jsonb))))))),
		pg_temp.machine('A', jsonb_build_object('A', :'wait'::jsonb))),
	('item', pg_temp.machine('M', jsonb_build_object('M', pg_temp.state('Map', jsonb_build_object('ItemsPath', '$.items', 'ItemProcessor', pg_temp.machine('A', jsonb_build_object('A', :'wait'::jsonb)))))),
		pg_temp.machine('M', jsonb_build_object('M', pg_temp.state('Map', jsonb_build_object('ItemsPath', '$.items', 'ItemProcessor', pg_temp.machine('B', jsonb_build_object('B', :'wait'::jsonb))))))),
	('item that fits', pg_temp.machine('M', jsonb_build_object('M', pg_temp.state('Map', jsonb_build_object('ItemsPath', '$.items', 'ItemProcessor', pg_temp.machine('A', jsonb_build_object('A', :'wait'::jsonb)))))),
		pg_temp.machine('M', jsonb_build_object('M', pg_temp.state('Map', jsonb_build_object('ItemsPath', '$.items', 'MaxConcurrency', 1, 'ItemProcessor', pg_temp.machine('A', jsonb_build_object('A', :'wait'::jsonb - 'End' || '{"Next": "B"}', 'B', :'pass'::jsonb))))))),
	('retriers', pg_temp.machine('A', jsonb_build_object('A', pg_temp.state('Task', '{"Resource": "sql:app.no", "Retry": [{"ErrorEquals": ["No"], "IntervalSeconds": 9999}]}'))),
		pg_temp.machine('A', jsonb_build_object('A', pg_temp.state('Task', '{"Resource": "sql:app.no", "Retry": [{"ErrorEquals": ["Yes"]}, {"ErrorEquals": ["No"], "IntervalSeconds": 9999}]}')))),
	('done', pg_temp.machine('A', jsonb_build_object('A', '{"Type": "Task", "Resource": "sql:app.echo", "Compensate": "U", "Next": "W"}'::jsonb, 'U', :'undo'::jsonb, 'W', :'wait'::jsonb)),
		pg_temp.machine('A', jsonb_build_object('A', '{"Type": "Task", "Resource": "sql:app.echo", "Next": "W"}'::jsonb, 'W', :'wait'::jsonb))),
	('done and gone', pg_temp.machine('A', jsonb_build_object('A', '{"Type": "Task", "Resource": "sql:app.echo", "Compensate": "U", "Next": "W"}'::jsonb, 'U', :'undo'::jsonb, 'W', :'wait'::jsonb)),
		pg_temp.machine('W', jsonb_build_object('W', :'wait'::jsonb))),
	('done that fits', pg_temp.machine('A', jsonb_build_object('A', '{"Type": "Task", "Resource": "sql:app.echo", "Compensate": "U", "Next": "W"}'::jsonb, 'U', :'undo'::jsonb, 'W', :'wait'::jsonb)),
		pg_temp.machine('A', jsonb_build_object('A', '{"Type": "Task", "Resource": "sql:app.ask", "Compensate": "V", "Next": "W"}'::jsonb, 'V', :'undo'::jsonb, 'W', :'wait'::jsonb))),
	('handler', pg_temp.machine('A', jsonb_build_object('A', :'wait'::jsonb)),
		pg_temp.machine('S', jsonb_build_object('S', '{"Type": "Task", "Resource": "sql:app.echo", "Compensate": "A", "End": true}'::jsonb, 'A', :'undo'::jsonb)));
SELECT count(saga.create_workflow(workflow, old)) FROM app.other;
SELECT count(saga.start_execution(workflow, '{"items": [1, 2]}', workflow)) FROM app.other;
CALL saga.drain();
SELECT count(saga.create_workflow(workflow, new)) FROM app.other;
SELECT m.* FROM app.other o CROSS JOIN LATERAL pg_temp.moved(o.workflow, 1, 2) m ORDER BY n;
-- what was refused is as it was
SELECT o.workflow, e.version, e.status FROM app.other o JOIN saga.executions e USING (workflow) WHERE e.version = 2 OR e.status <> 'RUNNING' ORDER BY n;

-- ---------- one that is undone ----------
SELECT saga.create_workflow('undone', pg_temp.machine('A', jsonb_build_object('A', '{"Type": "Task", "Resource": "sql:app.echo", "Compensate": "U", "Next": "F"}'::jsonb,
	'U', '{"Type": "Task", "Resource": "sql:app.ask.waitForTaskToken"}'::jsonb, 'F', '{"Type": "Fail", "Error": "Never"}'::jsonb)));
SELECT saga.create_workflow('undone', pg_temp.machine('A', jsonb_build_object('A', '{"Type": "Task", "Resource": "sql:app.echo", "Compensate": "V", "End": true}'::jsonb,
	'V', '{"Type": "Task", "Resource": "sql:app.ask.waitForTaskToken"}'::jsonb)));
SELECT saga.create_workflow('undone', pg_temp.machine('A', jsonb_build_object('A', '{"Type": "Task", "Resource": "sql:app.echo", "Compensate": "V", "Next": "B"}'::jsonb,
	'V', '{"Type": "Task", "Resource": "sql:app.undo"}'::jsonb, 'B', '{"Type": "Task", "Resource": "sql:app.echo", "Compensate": "U", "End": true}'::jsonb,
	'U', '{"Type": "Task", "Resource": "sql:app.ask.waitForTaskToken"}'::jsonb)));
SELECT saga.create_workflow('undone', pg_temp.machine('A', jsonb_build_object('A', '{"Type": "Task", "Resource": "sql:app.no", "Compensate": "U", "End": true}'::jsonb,
	'U', '{"Type": "Task", "Resource": "sql:app.ask.waitForTaskToken", "Retry": [{"ErrorEquals": ["States.ALL"]}]}'::jsonb)));
SELECT saga.start_execution('undone:1', '{}', 'undone') AS id \gset
CALL saga.drain('undone');
SELECT * FROM pg_temp.moved('undone', 1, 2);
SELECT * FROM pg_temp.moved('undone', 1, 3);
SELECT * FROM pg_temp.moved('undone', 1, 4);
SELECT pg_temp.answer('undone');
CALL saga.drain('undone');
SELECT version, status, error, compensated FROM saga.executions WHERE execution_id = :'id';

-- ---------- a distributed Map: it, and its items ----------
CREATE FUNCTION pg_temp.over(processor jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT pg_temp.machine('M', jsonb_build_object('M', pg_temp.state('Map', jsonb_build_object('ItemsPath', '$.items', 'MaxConcurrency', 1,
		'ItemProcessor', '{"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}'::jsonb || processor)))) $$;
SELECT saga.create_workflow('over', pg_temp.over(pg_temp.machine('I', '{"I": {"Type": "Task", "Resource": "sql:app.ask.waitForTaskToken", "End": true}}')));
SELECT saga.create_workflow('over', pg_temp.over(pg_temp.machine('I', '{"I": {"Type": "Task", "Resource": "sql:app.ask.waitForTaskToken", "Next": "J"}, "J": {"Type": "Pass", "Result": "two", "End": true}}')));
SELECT saga.create_workflow('over', pg_temp.machine('M', '{"M": {"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Task", "Resource": "sql:app.ask.waitForTaskToken", "End": true}}}, "End": true}}'));
SELECT saga.start_execution('over:1', '{"items": [1, 2]}', 'over') AS id \gset
CALL saga.drain('over');
SELECT moved, reason FROM saga.move_executions('over', 1, 3) ORDER BY execution_id;
SELECT moved, reason FROM saga.move_executions('over', 1, 2) ORDER BY execution_id;
-- the second item begins in the version that the Map has gone over to
DO $$ BEGIN PERFORM saga.send_task_success(token, '"answered"') FROM app.token WHERE name NOT IN (SELECT name FROM saga.executions WHERE map_run_id IS NULL AND name IS NOT NULL); END $$;
TRUNCATE app.token;
CALL saga.drain('over');
SELECT e.version, e.status, e.output FROM saga.executions e WHERE workflow = 'over' AND map_run_id IS NOT NULL ORDER BY e.started_at, e.execution_id;
SELECT count(saga.send_task_success(token, '"answered"')) FROM app.token;
CALL saga.drain('over');
SELECT version, status, output FROM saga.executions WHERE execution_id = :'id';

-- ---------- who asks, and for what ----------
SELECT saga.move_executions('w', 1, 3);
SELECT saga.move_executions('w', 0, 2);
SELECT saga.move_executions('w', 2, 2);
SELECT saga.move_executions('none', 1, 2);
SELECT saga.move_executions('w', 1, NULL);
SELECT saga.move_executions('w', 1, 2, 0);
SELECT saga.move_executions('w', 1, 2, 10001);
CREATE FUNCTION app.mover(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT to_jsonb(count(*)) FROM saga.move_executions('w', 1, 2) $$;
SELECT saga.create_workflow('mover', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:app.mover", "End": true}}}');
SELECT saga.start_execution('mover') AS id \gset
CALL saga.drain('mover');
SELECT status, error, cause FROM saga.executions WHERE execution_id = :'id';
-- what another owner made is left, and not gone to
CREATE ROLE move_owner;
GRANT USAGE ON SCHEMA saga TO move_owner;
GRANT EXECUTE ON FUNCTION saga.move_executions(text, integer, integer, integer, uuid) TO move_owner;
SET ROLE move_owner;
SELECT saga.move_executions('w', 2, 1);
RESET ROLE;
SELECT saga.set_workflow_owner('w', 'move_owner');
SET ROLE move_owner;
SELECT saga.move_executions('w', 2, 1);
SELECT count(*) FROM saga.move_executions('w', 1, 2);
RESET ROLE;
SELECT count(saga.stop_execution(execution_id, compensate => false)) > 0 AS stopped FROM saga.executions WHERE status IN ('RUNNING', 'COMPENSATING') AND map_run_id IS NULL;
SET pg_saga.keep_owners = off;
DROP OWNED BY move_owner;
DROP ROLE move_owner;
DROP SCHEMA app CASCADE;
