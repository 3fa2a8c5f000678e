-- versions of a workflow: what would change, a new one only when it is new, the way back, aliases;
-- and what a definition asks for that is not there
\set VERBOSITY default
\pset format unaligned
\pset null '(null)'
CREATE SCHEMA app;
CREATE FUNCTION app.echo(i jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT i';
CREATE FUNCTION app.number(i jsonb) RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint';

-- ---------- apply ----------
\set one '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:app.echo", "Next": "P"}, "P": {"Type": "Parallel", "Branches": [{"StartAt": "B", "States": {"B": {"Type": "Pass", "Result": 1, "End": true}}}], "Next": "M"}, "M": {"Type": "Map", "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Task", "Resource": "sql:app.echo", "End": true}}}, "End": true}}}'
\set two '{"Comment": "two", "StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:app.echo", "TimeoutSeconds": 9, "Comment": "longer", "Next": "M"}, "N~/": {"Type": "Pass", "End": true}, "M": {"Type": "Map", "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Task", "Resource": "sql:app.echo", "Retry": [{"ErrorEquals": ["States.ALL"]}], "End": true}}}, "Next": "N~/"}}}'
SELECT * FROM saga.apply_workflow('w', :'one', dry_run => true);
SELECT count(*) FROM saga.workflows WHERE name = 'w';
SELECT * FROM saga.apply_workflow('w', :'one');
SELECT * FROM saga.apply_workflow('w', :'one');
SELECT * FROM saga.apply_workflow('w', :'two', dry_run => true);
SELECT name, version FROM saga.workflows WHERE name = 'w';
SELECT * FROM saga.apply_workflow('w', '{"StartAt": "X", "States": {}}');

-- ---------- diff ----------
SELECT * FROM saga.diff_workflow('w', :'one');
SELECT * FROM saga.diff_workflow('w', :'two');
SELECT * FROM saga.diff_workflow('none', :'two');
SELECT * FROM saga.diff_workflow('w', '{"StartAt": "X", "States": {}}');
-- executions stand in the states of branches and of items, too
SELECT saga.create_workflow('waits', '{"StartAt": "P", "States": {"P": {"Type": "Parallel", "Branches": [{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 9999, "End": true}}}], "Next": "M"}, "M": {"Type": "Pass", "End": true}}}');
SELECT count(saga.start_execution('waits')) FROM generate_series(1, 3);
CALL saga.drain('waits');
SELECT count(saga.start_execution('waits')) FROM generate_series(1, 2);
SELECT * FROM saga.diff_workflow('waits', '{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 9, "Next": "M"}, "M": {"Type": "Pass", "End": true}}}');

-- ---------- back ----------
SELECT * FROM saga.apply_workflow('w', :'two');
SELECT saga.rollback_workflow('w');
SELECT version, definition = :'one' AS is_one FROM saga.workflows WHERE name = 'w';
SELECT saga.rollback_workflow('w');
SELECT saga.rollback_workflow('w', 1);
SELECT version, definition = :'one' AS is_one FROM saga.workflows WHERE name = 'w';
SELECT saga.rollback_workflow('w', 6);
SELECT saga.rollback_workflow('w', 0);
SELECT saga.rollback_workflow(NULL);
SELECT saga.rollback_workflow('waits');

-- ---------- what is not there ----------
\set unbound '{"StartAt": "L", "States": {"L": {"Type": "Task", "Resource": "arn:aws:lambda:eu-central-1:1:function:hello:3", "Next": "I"}, "I": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "hello:live", "Payload.$": "$"}, "Next": "P"}, "P": {"Type": "Parallel", "Branches": [{"StartAt": "S", "States": {"S": {"Type": "Task", "Resource": "sql:app.missing", "Next": "N"}, "N": {"Type": "Task", "Resource": "sql:app.number", "End": true}}}], "Next": "H"}, "H": {"Type": "Task", "Resource": "saga:publish", "Parameters": {"Destination": "no", "Payload": 1}, "Next": "Q"}, "Q": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Parameters": {"QueueUrl": "saga:noq", "MessageBody": 1}, "Next": "C"}, "C": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution", "Parameters": {"StateMachineArn": "arn:aws:states:eu-central-1:1:stateMachine:child:live"}, "Next": "E"}, "E": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Parameters": {"QueueUrl.$": "$.q", "MessageBody": 1}, "Next": "R"}, "R": {"Type": "Pass", "Result": {"Type": "Task", "Resource": "sql:app.not_asked_for"}, "Next": "SELF"}, "SELF": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution", "Parameters": {"StateMachineArn": "unbound"}, "End": true}}}'
SELECT * FROM saga.apply_workflow('unbound', :'unbound', strict => true);
SELECT count(*) FROM saga.workflows WHERE name = 'unbound';
SELECT saga.create_workflow('unbound', :'unbound');
SELECT version, changed, jsonb_array_length(diagnostics), diagnostics -> 0 AS first FROM saga.apply_workflow('unbound', :'unbound');
SELECT severity, code, location, message FROM saga.check_workflow('unbound');
-- one that is made after the lines that it is told
SELECT saga.bind_resource('arn:aws:lambda:eu-central-1:1:function:hello', 'sql:app.echo');
CREATE FUNCTION app.missing(i jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT i';
DROP FUNCTION app.number;
CREATE FUNCTION app.number(i jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT i';
SELECT saga.create_destination('no', 'http', '{"url": "https://a.invalid/"}') > 0 AS made;
SELECT saga.create_queue('noq') > 0 AS made;
SELECT saga.create_workflow('child', '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}');
SELECT * FROM saga.check_workflow('unbound');
SELECT severity, code, location, hint FROM saga.check_workflow('{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:app.gone", "Next": "B"}}}'::jsonb);
-- names that are none, or that would end a statement
CREATE SCHEMA "App; x";
SELECT location, message, hint FROM saga.check_workflow(jsonb_build_object('StartAt', 'S0', 'States', (SELECT jsonb_object_agg('S' || n, jsonb_build_object('Type', 'Task', 'Resource', r, 'End', true))
	FROM unnest(ARRAY['sql:a.b.c', 'sql:a.b; DROP TABLE t', 'sql:"a.b', 'sql:"App; x".f', 'arn:aws:lambda:eu-central-1:1:function:o''x', 'arn:aws:states:eu-central-1:1:activity:none']) WITH ORDINALITY x(r, n)))) WHERE code = 'UNBOUND_RESOURCE';
DROP SCHEMA "App; x";
SELECT location, message, hint FROM saga.check_workflow(jsonb_build_object('StartAt', 'S0', 'States', (SELECT jsonb_object_agg('S' || n, jsonb_build_object('Type', 'Task', 'Resource', 'arn:aws:states:::states:startExecution', 'Parameters', jsonb_build_object('StateMachineArn', r), 'End', true))
	FROM unnest(ARRAY['"a.b', '', ':', 'child:', 'child:7', 'no''ne:live', '{% $a %}', 'saga:child']) WITH ORDINALITY x(r, n)))) WHERE code = 'UNBOUND_RESOURCE';
SELECT location, message, hint FROM saga.check_workflow(jsonb_build_object('StartAt', 'S0', 'States', (SELECT jsonb_object_agg('S' || n, jsonb_build_object('Type', 'Task', 'Resource', 'arn:aws:states:::lambda:invoke', 'Parameters', jsonb_build_object('FunctionName', r), 'End', true))
	FROM unnest(ARRAY['', ':', ':x', 'hello:', '1:function:hello:x', 'hello']) WITH ORDINALITY x(r, n)))) WHERE code = 'UNBOUND_RESOURCE';
-- the rights that count are the owner's
CREATE ROLE versions_owner;
GRANT USAGE ON SCHEMA saga TO versions_owner;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA saga TO versions_owner;
GRANT SELECT ON saga.aliases, saga.workflows TO versions_owner;
SELECT saga.create_workflow('theirs', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:app.echo", "End": true}}}', 'versions_owner');
SELECT location, hint FROM saga.check_workflow('versions_owner.theirs');
GRANT USAGE ON SCHEMA app TO versions_owner;
SELECT location, hint FROM saga.check_workflow('versions_owner.theirs');

-- what a distributed Map reads and writes
CREATE FUNCTION app.items(i jsonb) RETURNS SETOF jsonb LANGUAGE sql AS 'SELECT i';
CREATE FUNCTION app.anything(a anyelement, n integer DEFAULT 1) RETURNS SETOF anyelement LANGUAGE sql AS 'SELECT a';
CREATE FUNCTION app.of_text(t text) RETURNS SETOF text LANGUAGE sql AS 'SELECT t';
CREATE FUNCTION app.nothing() RETURNS SETOF text LANGUAGE sql AS $$ SELECT '' $$;
CREATE TABLE app.items_table (i integer);
CREATE FUNCTION pg_temp.over(reader jsonb, writer jsonb DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT jsonb_build_object('StartAt', 'M', 'States', jsonb_build_object('M', jsonb_strip_nulls(jsonb_build_object('Type', 'Map', 'ItemReader', reader, 'ResultWriter', writer, 'End', true,
		'ItemProcessor', '{"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "I", "States": {"I": {"Type": "Succeed"}}}'::jsonb)))) $$;
SELECT r, severity, location, message, hint FROM unnest(ARRAY['items', 'anything', 'of_text', 'nothing', 'gone', 'items_table', 'Items', '"Items"']) WITH ORDINALITY x(r, n)
	LEFT JOIN LATERAL saga.check_workflow(pg_temp.over(jsonb_build_object('Resource', 'sql:app.' || r))) ON true ORDER BY n;
SELECT r, severity, location, message, hint FROM unnest(ARRAY['app.items_table', 'app.gone', 'no schema', 'no.schema', '{% $t %}']) WITH ORDINALITY x(r, n)
	LEFT JOIN LATERAL saga.check_workflow(pg_temp.over(jsonb_build_object('Resource', 'saga:table', 'Parameters', jsonb_build_object('Table', r)),
		jsonb_build_object('Resource', 'saga:table', 'Parameters', jsonb_build_object('Table', r)))) ON true ORDER BY n, location;
SELECT count(*) FROM saga.check_workflow(pg_temp.over('{"Resource": "saga:table", "Parameters": {"Table.$": "$.t"}}'));
-- as the owner may
REVOKE EXECUTE ON FUNCTION app.items FROM PUBLIC;
SELECT saga.create_workflow('over', pg_temp.over('{"Resource": "sql:app.items"}', '{"Resource": "saga:table", "Parameters": {"Table": "app.items_table"}}'), 'versions_owner');
SELECT location, message, hint FROM saga.check_workflow('versions_owner.over') ORDER BY 1;
GRANT EXECUTE ON FUNCTION app.items TO versions_owner;
GRANT INSERT (i) ON app.items_table TO versions_owner;
SELECT count(*) FROM saga.check_workflow('versions_owner.over');
SELECT saga.apply_workflow('over', pg_temp.over('{"Resource": "sql:app.gone"}'), strict => true);

-- ---------- versions and aliases of functions ----------
SELECT saga.create_workflow('calls', '{"StartAt": "A", "States": {
	"A": {"Type": "Task", "Resource": "arn:aws:lambda:eu-central-1:1:function:hello:3", "Parameters": {"by": "arn"}, "ResultPath": "$.a", "Next": "B"},
	"B": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "hello:live", "Payload": "name"}, "ResultPath": "$.b", "Next": "C"},
	"C": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "arn:aws:lambda:eu-central-1:1:function:hello:$LATEST", "Payload": "latest"}, "ResultPath": "$.c", "End": true}}}');
SELECT saga.start_execution('calls') AS id \gset
CALL saga.drain('calls');
SELECT status, output #> '{a}' AS a, output #> '{b,Payload}' AS b, output #> '{c,Payload}' AS c, cause FROM saga.executions WHERE execution_id = :'id';
-- its own binding comes first
CREATE FUNCTION app.own(i jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT ''"own"''::jsonb';
SELECT saga.bind_resource('arn:aws:lambda:eu-central-1:1:function:hello:live', 'sql:app.own');
SELECT saga.apply_workflow('calls', definition || '{"Comment": "names are looked up anew"}') FROM saga.workflows WHERE name = 'calls';
SELECT saga.start_execution('calls') AS id \gset
CALL saga.drain('calls');
SELECT status, output #> '{a}' AS a, output #> '{b,Payload}' AS b, output #> '{c,Payload}' AS c, cause FROM saga.executions WHERE execution_id = :'id';
-- every other function
SELECT saga.create_workflow('other', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "other", "Payload": "any"}, "OutputPath": "$.Payload", "End": true}}}');
SELECT saga.bind_resource('arn:aws:states:::lambda:invoke', 'sql:app.echo');
SELECT count(*) FROM saga.check_workflow('other');
SELECT saga.create_workflow('other', definition) FROM saga.workflows WHERE name = 'other';
SELECT saga.start_execution('other') AS id \gset
CALL saga.drain('other');
SELECT status, output, cause FROM saga.executions WHERE execution_id = :'id';
SELECT saga.bind_resource('arn:aws:lambda:eu-central-1:1:function:other', 'sql:app.own');
SELECT saga.start_execution('other') AS id \gset
CALL saga.drain('other');
SELECT status, output, cause FROM saga.executions WHERE execution_id = :'id';

-- ---------- aliases ----------
\set v '{"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": "one", "End": true}}}'
SELECT saga.create_workflow('aliased', jsonb_set(:'v', '{States,A,Result}', to_jsonb(n))) FROM generate_series(1, 3) n;
SELECT saga.publish_alias('aliased', 'live', '{"1": 90, "2": 10}');
SELECT saga.publish_alias('aliased', 'live', '{"2": 100}');
SELECT saga.publish_alias('aliased', 'both', '{"1": 50, "3": 50}');
SELECT saga.publish_alias('aliased', 'half', '{"1": 50}');
SELECT saga.publish_alias('aliased', 'half', '{"1": 50.5, "2": 49.5}');
SELECT saga.publish_alias('aliased', 'half', '{"1": 150, "2": -50}');
SELECT saga.publish_alias('aliased', 'half', '{"x": 100}');
SELECT saga.publish_alias('aliased', 'half', '{"4": 100}');
SELECT saga.publish_alias('aliased', 'half', '{}');
SELECT saga.publish_alias('aliased', 'half', '[100]');
SELECT saga.publish_alias('aliased', '12', '{"1": 100}');
SELECT saga.publish_alias('aliased', 'a:b', '{"1": 100}');
SELECT saga.publish_alias('none', 'live', '{"1": 100}');
SELECT workflow, alias, routing FROM saga.aliases ORDER BY alias;
CREATE TEMP TABLE lives AS SELECT saga.start_execution('aliased:live') AS id FROM generate_series(1, 5);
SELECT version, count(*) FROM saga.executions JOIN lives ON id = execution_id GROUP BY 1;
SELECT saga.start_execution('aliased:1') AS id \gset
SELECT version FROM saga.executions WHERE execution_id = :'id';
SELECT saga.start_execution('aliased') AS id \gset
SELECT version FROM saga.executions WHERE execution_id = :'id';
CREATE TEMP TABLE started AS SELECT saga.start_execution('aliased:both') AS id FROM generate_series(1, 200);
SELECT version, count(*) > 40 AS many FROM saga.executions JOIN started ON id = execution_id GROUP BY 1 ORDER BY 1;
SELECT saga.start_execution('aliased:4');
SELECT saga.start_execution('aliased:0');
SELECT saga.start_execution('aliased:none');
SELECT saga.start_execution('aliased:');
SELECT saga.start_execution(':');
SELECT saga.start_execution('"aliased:1');
SELECT saga.start_execution('none:live');
-- of a child
SELECT saga.create_workflow('parent', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "Parameters": {"StateMachineArn": "arn:aws:states:eu-central-1:1:stateMachine:aliased:live"}, "OutputPath": "$.Output", "Next": "B"}, "B": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution", "Parameters": {"StateMachineArn": "aliased:none"}, "End": true}}}');
SELECT saga.start_execution('parent') AS id \gset
CALL saga.drain();
SELECT status, error, left(cause, 48) AS cause FROM saga.executions WHERE execution_id = :'id';
SELECT details ->> 'output' AS output FROM saga.execution_history WHERE execution_id = :'id' AND type = 'TaskStateExited';
SELECT saga.drop_alias('aliased', 'both'), saga.drop_alias('aliased', 'both');
-- what another owner made is not started by any of these ways
SELECT saga.set_workflow_owner('aliased', 'versions_owner');
SET ROLE versions_owner;
SELECT * FROM saga.aliases;
SELECT saga.start_execution('aliased:1');
SELECT saga.start_execution('aliased:live');
SELECT saga.publish_alias('aliased', 'live', '{"1": 100}');
SELECT saga.rollback_workflow('aliased');
SELECT saga.start_execution('aliased:3') IS NOT NULL AS started;
SELECT saga.publish_alias('waits', 'live', '{"1": 100}');
RESET ROLE;
SELECT saga.drop_destination('no');
SET pg_saga.keep_owners = off;
DROP OWNED BY versions_owner;
DROP ROLE versions_owner;
DROP SCHEMA app CASCADE;
