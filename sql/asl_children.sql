-- Executions that others start, and distributed Maps: what comes back, what fails, what is stopped and undone.
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on
CREATE SCHEMA kids;
SET search_path = kids, public;
CREATE TABLE book (at int GENERATED ALWAYS AS IDENTITY, what text);
CREATE FUNCTION note(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO kids.book (what) VALUES (coalesce(i ->> 'do', 'do') || ' ' || coalesce(i ->> 'n', i::text));
	IF (i ->> 'n')::int % 10 = 7 THEN
		PERFORM saga.fail('Seven', 'no sevens');
	END IF;
	RETURN i;
END $$;
-- the input of a handler is {"input", "output", "error"}
CREATE FUNCTION undo(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF i #>> '{input,stuck}' IS NOT NULL THEN
		PERFORM saga.fail('Stuck', 'it cannot be undone');
	END IF;
	INSERT INTO kids.book (what) VALUES ('undo ' || (i #>> '{input,n}'));
	RETURN i;
END $$;
CREATE FUNCTION items(i jsonb) RETURNS SETOF jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('n', n) FROM generate_series(1, (i ->> 'to')::int) AS n $$;
CREATE FUNCTION broken(i jsonb) RETURNS SETOF jsonb LANGUAGE sql AS $$ SELECT to_jsonb(1 / n) FROM generate_series(5, 0, -1) AS n $$;
CREATE TABLE lines (n int PRIMARY KEY, price numeric(10, 2));
INSERT INTO lines SELECT n, n * 1.10 FROM generate_series(1, 5) AS n;
CREATE FUNCTION task(more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$ SELECT '{"Type": "Task", "Resource": "sql:kids.note", "End": true}'::jsonb || more $$;
CREATE FUNCTION handler() RETURNS jsonb LANGUAGE sql AS $$ SELECT '{"Type": "Task", "Resource": "sql:kids.undo"}'::jsonb $$;
-- what an execution comes to: its status, output or error, what was undone, what stands in the book
CREATE FUNCTION run(workflow text, input jsonb DEFAULT '{}') RETURNS uuid LANGUAGE sql AS $$ SELECT saga.start_execution('kids_' || workflow, input) $$;
CREATE FUNCTION said(id uuid) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' ', status, CASE jsonb_typeof(output) WHEN 'object' THEN output - '{StartDate,StopDate,ExecutionArn,Name}'::text[] ELSE output END, error, regexp_replace(cause, '[0-9a-f]{8}-[-0-9a-f]{27}|[0-9]{13}', '...', 'g'),
		'compensated ' || compensated::text, 'not ' || not_compensated::text) FROM saga.executions WHERE execution_id = id
	UNION ALL SELECT string_agg(what, ', ' ORDER BY at) FROM kids.book
	UNION ALL SELECT string_agg(concat_ws(' ', m.status, 'total', m.total, 'ok', m.succeeded, 'failed', m.failed, 'aborted', m.aborted, 'open', m.unfinished), ', ') FROM saga.map_runs m WHERE execution_id = id
$$;
CREATE FUNCTION make(name text, definition jsonb) RETURNS void LANGUAGE sql AS $$ SELECT saga.create_workflow('kids_' || name, definition) $$;
CREATE FUNCTION machine(states jsonb, first text DEFAULT 'A') RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('StartAt', first, 'States', states) $$;

-- ---------- startExecution ----------
SELECT make('child', machine(jsonb_build_object('A', task('{"Compensate": "U", "End": false, "Next": "B"}'), 'B', task('{"Parameters": {"do": "check", "n.$": "$.n"}}'), 'U', handler())));
SELECT make('waits', machine('{"A": {"Type": "Wait", "Seconds": 3600, "Next": "B"}, "B": {"Type": "Succeed"}}'));
CREATE FUNCTION starts(how text, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS
	$$ SELECT jsonb_build_object('Type', 'Task', 'Resource', 'arn:aws:states:::states:startExecution' || how, 'Parameters', '{"StateMachineArn.$": "$.of", "Input.$": "$.in"}'::jsonb, 'End', true) || more $$;
SELECT make('async', machine(jsonb_build_object('A', starts(''))));
SELECT make('sync', machine(jsonb_build_object('A', starts('.sync'))));
SELECT make('sync2', machine(jsonb_build_object('A', starts('.sync:2', '{"ResultSelector": {"status.$": "$.Status", "out.$": "$.Output"}}'))));
SELECT make('token', machine(jsonb_build_object('A', starts('.waitForTaskToken', '{"Parameters": {"StateMachineArn": "kids_tells", "Input": {"token.$": "$$.Task.Token"}}}'))));
CREATE FUNCTION tell(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT to_jsonb(saga.send_task_success(i ->> 'token', '"told"')::text) $$;
SELECT make('tells', machine('{"A": {"Type": "Task", "Resource": "sql:kids.tell", "End": true}}'));
SELECT run('sync', '{"of": "kids_child", "in": {"n": 1}}') AS a, run('sync2', '{"of": "arn:aws:states:eu-west-1:123456789012:stateMachine:kids_child", "in": {"n": 2}}') AS b,
	run('sync', '{"of": "kids_child", "in": {"n": 7}}') AS c, run('sync', '{"of": "kids_none", "in": null}') AS d, run('token') AS e, run('async', '{"of": "kids_child", "in": {"n": 3}}') AS f \gset
CALL saga.drain();
SELECT said(id) FROM unnest(ARRAY[:'a', :'b', :'c', :'d', :'e', :'f']::uuid[]) AS id;
SELECT workflow, status, started_by IN (:'a', :'b', :'c') AS started_by, map_run_id FROM saga.executions WHERE workflow IN ('kids_child', 'kids_tells') ORDER BY execution_id;
TRUNCATE book;
-- the name: given once, it is another one's execution
SELECT make('named', machine(jsonb_build_object('A', starts('.sync', '{"Parameters": {"StateMachineArn": "kids_child", "Name": "one", "Input": {"n": 1}}}'))));
SELECT run('named') AS a \gset
CALL saga.drain();
SELECT run('named') AS b \gset
CALL saga.drain();
SELECT said(:'a') LIMIT 1;
SELECT said(:'b') LIMIT 1;
TRUNCATE book;
-- the parent fails after its child has succeeded: what the child did is undone, and no Compensate has to say so
SELECT make('later', machine(jsonb_build_object('A', starts('.sync', '{"End": false, "Next": "B", "ResultPath": null}'), 'B', '{"Type": "Fail", "Error": "Late"}'::jsonb)));
SELECT run('later', '{"of": "kids_child", "in": {"n": 1}}') AS a \gset
CALL saga.drain();
SELECT said(:'a');
TRUNCATE book;
-- what cannot be undone is said by both
SELECT run('later', '{"of": "kids_child", "in": {"n": 1, "stuck": true}}') AS a \gset
CALL saga.drain();
SELECT said(:'a');
SELECT d.queue, d.reason, (d.details #> '{not_compensated,0}') - '{message_id,key}'::text[] FROM saga.dead_letters d WHERE d.reason = 'Saga.CompensationFailed' ORDER BY 1;
TRUNCATE book;
-- a Compensate of its own takes the place of that
SELECT make('own', machine(jsonb_build_object('A', starts('.sync', '{"End": false, "Next": "B", "ResultPath": null, "Compensate": "U"}'), 'B', '{"Type": "Fail", "Error": "Late"}'::jsonb,
	'U', '{"Type": "Task", "Resource": "sql:kids.note", "Parameters": {"do": "own", "n": 1}}'::jsonb)));
SELECT run('own', '{"of": "kids_child", "in": {"n": 1}}') AS a \gset
CALL saga.drain();
SELECT said(:'a');
TRUNCATE book;
-- grandchildren
SELECT make('grand', machine(jsonb_build_object('A', starts('.sync', '{"ResultPath": null, "Parameters": {"StateMachineArn": "kids_sync", "Input": {"of": "kids_child", "in": {"n": 5}}}, "End": false, "Next": "B"}'), 'B', '{"Type": "Fail", "Error": "Late"}'::jsonb)));
SELECT run('grand') AS a \gset
CALL saga.drain();
SELECT said(:'a');
TRUNCATE book;
-- stopped, the child is too
SELECT run('sync', '{"of": "kids_waits", "in": {}}') AS a \gset
CALL saga.drain();
SELECT saga.stop_execution(:'a', 'Enough', 'why');
CALL saga.drain();
SELECT workflow, status, error FROM saga.executions WHERE execution_id = :'a' OR started_by = :'a' ORDER BY execution_id;
-- its branch goes with another one
SELECT make('branches', machine(jsonb_build_object('A', jsonb_build_object('Type', 'Parallel', 'End', true, 'Branches', jsonb_build_array(
	machine(jsonb_build_object('B', starts('.sync', '{"Parameters": {"StateMachineArn": "kids_waits"}}')), 'B'), machine('{"C": {"Type": "Fail", "Error": "C"}}', 'C'))))));
SELECT run('branches') AS a \gset
CALL saga.drain();
CALL saga.drain();
SELECT workflow, status, error FROM saga.executions WHERE execution_id = :'a' OR started_by = :'a' ORDER BY execution_id;

-- who waits for another's execution sees its result, and stops it: start alone is not enough
CREATE ROLE saga_kids_parent;
GRANT USAGE ON SCHEMA saga TO saga_kids_parent;
GRANT EXECUTE ON PROCEDURE saga.drain(text, integer) TO saga_kids_parent;
SELECT saga.create_workflow('kids_other', machine(jsonb_build_object('A', starts('.sync:2', jsonb_build_object('Parameters', jsonb_build_object('StateMachineArn', current_user || '.kids_child', 'Input', '{"n": 4}'::jsonb),
	'ResultSelector', '{"s.$": "$.Status"}'::jsonb)))), 'saga_kids_parent');
SELECT saga.grant('workflow', 'kids_child', 'saga_kids_parent', 'start');
SELECT saga.start_execution('saga_kids_parent.kids_other') AS a \gset
SET ROLE saga_kids_parent;
CALL saga.drain();
RESET ROLE;
SELECT status, error, cause FROM saga.executions WHERE execution_id = :'a';
SELECT saga.grant('workflow', 'kids_child', 'saga_kids_parent', r) FROM unnest('{read,operate}'::text[]) AS r;
SELECT saga.start_execution('saga_kids_parent.kids_other') AS a \gset
SET ROLE saga_kids_parent;
CALL saga.drain();
RESET ROLE;
CALL saga.drain();
SET ROLE saga_kids_parent;
CALL saga.drain();
RESET ROLE;
SELECT status, output FROM saga.executions WHERE execution_id = :'a';
TRUNCATE book;

-- ---------- a distributed Map ----------
CREATE FUNCTION map(fields jsonb, item jsonb DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS $$
	SELECT machine(jsonb_build_object('A', '{"Type": "Map", "End": true}'::jsonb || jsonb_build_object('ItemProcessor', jsonb_build_object('StartAt', 'I', 'ProcessorConfig', '{"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}'::jsonb,
		'States', coalesce(item, jsonb_build_object('I', task('{"Compensate": "U"}'), 'U', handler())))) || fields))
$$;
SELECT make('map', map('{"ItemsPath": "$.a", "ItemSelector": {"n.$": "$$.Map.Item.Value", "i.$": "$$.Map.Item.Index", "x.$": "$.x"}}'));
SELECT run('map', '{"a": [1, 2, 3], "x": true}') AS a, run('map', '{"a": [], "x": 1}') AS b, run('map', '{"a": [1], "y": 1}') AS c, run('map', '{"a": 1}') AS d \gset
CALL saga.drain();
SELECT said(id) FROM unnest(ARRAY[:'a', :'b', :'c', :'d']::uuid[]) AS id;
TRUNCATE book;
-- one fails: the Map does, and what the others did is undone with the execution; a Catch keeps it
SELECT run('map', '{"a": [1, 7, 3], "x": true}') AS a \gset
CALL saga.drain();
SELECT said(:'a');
TRUNCATE book;
SELECT make('caught', jsonb_set(map('{"MaxConcurrency": 1, "Catch": [{"ErrorEquals": ["States.ExceedToleratedFailureThreshold"], "Next": "C"}], "ItemSelector": {"n.$": "$$.Map.Item.Value"}}'), '{States,C}', '{"Type": "Pass", "End": true}'));
SELECT run('caught', '[1, 7, 3]') AS a \gset
CALL saga.drain();
SELECT said(:'a');
TRUNCATE book;
-- a Compensate of its own is for a Map that has completed: of one that has failed the items are undone as ever
SELECT make('map_own', jsonb_set(jsonb_set(map('{"MaxConcurrency": 1, "End": false, "Next": "B", "Compensate": "U2", "ItemSelector": {"n.$": "$$.Map.Item.Value"}}'), '{States,B}', '{"Type": "Fail", "Error": "Late"}'), '{States,U2}', task() - 'End' || '{"Parameters": {"do": "own", "n": 1}}'));
SELECT run('map_own', '[1, 7, 3]') AS a, run('map_own', '[1, 2]') AS b \gset
CALL saga.drain();
SELECT said(id) FROM unnest(ARRAY[:'a', :'b']::uuid[]) AS id;
TRUNCATE book;
-- tolerated: the result has the failure in its place
SELECT make('tolerant', map('{"ItemSelector": {"n.$": "$$.Map.Item.Value"}, "ToleratedFailurePercentage": 34}'));
SELECT run('tolerant', '[1, 7, 3]') AS a \gset
CALL saga.drain();
SELECT said(:'a');
TRUNCATE book;
-- so many at once, and no more
SELECT make('few', map('{"MaxConcurrency": 2}', '{"I": {"Type": "Wait", "Seconds": 3600, "End": true}}'));
SELECT run('few', '[1, 2, 3, 4]') AS a \gset
CALL saga.drain();
SELECT status, total, pending, running, unfinished, max_concurrency FROM saga.map_runs WHERE execution_id = :'a';
-- stopped: those that run are, and the others do not begin
SELECT saga.stop_execution(:'a');
CALL saga.drain();
SELECT said(:'a');
SELECT status, error, count(*) FROM saga.executions WHERE started_by = :'a' GROUP BY 1, 2;
SELECT count(*) FROM saga.map_item;
-- rows of inputs are begun whole: under a limit they are short; and what is in them comes out in order, with the last batch shorter than the others
SELECT make('wide', map('{"MaxConcurrency": 50, "ItemBatcher": {"MaxItemsPerBatch": 2}}', '{"I": {"Type": "Wait", "Seconds": 3600, "End": true}}'));
SELECT run('wide', (SELECT jsonb_agg(n) FROM generate_series(1, 301) AS n)) AS a \gset
CALL saga.drain();
SELECT total, pending, running FROM saga.map_runs WHERE execution_id = :'a';
SELECT count(*), min(cardinality(inputs)), max(cardinality(inputs)), sum((SELECT sum(n) FROM unnest(items) AS n)) FROM saga.map_item;
SELECT saga.stop_execution(:'a');
CALL saga.drain();
SELECT succeeded, failed, aborted, unfinished FROM saga.map_runs WHERE execution_id = :'a';
SELECT make('long', map('{"ItemBatcher": {"MaxItemsPerBatch": 2}}', '{"I": {"Type": "Pass", "OutputPath": "$.Items", "End": true}}'));
SELECT run('long', (SELECT jsonb_agg(n) FROM generate_series(1, 2501) AS n)) AS a \gset
CALL saga.drain();
SELECT status, (SELECT jsonb_agg(i) FROM jsonb_array_elements(output) WITH ORDINALITY AS b(batch, n), jsonb_array_elements(batch) AS i) = input AS in_order,
	jsonb_array_length(output) FROM saga.executions WHERE execution_id = :'a';
SELECT total, succeeded, pending, running, unfinished FROM saga.map_runs WHERE execution_id = :'a';
-- items of a function, of a table; batches
SELECT make('reads', map('{"ItemReader": {"Resource": "sql:kids.items", "Parameters": {"to.$": "$.to"}}, "ItemSelector": {"n.$": "$$.Map.Item.Value.n"}}'));
SELECT make('most', map('{"ItemReader": {"Resource": "sql:kids.items", "Parameters": {"to": 1000000}, "ReaderConfig": {"MaxItems": 3}}}'));
SELECT make('broken', map('{"ItemReader": {"Resource": "sql:kids.broken"}}'));
SELECT make('table', map('{"ItemReader": {"Resource": "saga:table", "Parameters": {"Table": "kids.lines", "OrderBy": "n"}}, "ItemBatcher": {"MaxItemsPerBatch": 2, "BatchInput": {"x": 1}}, "ItemSelector": {"price.$": "$$.Map.Item.Value.price"}}', '{"I": {"Type": "Pass", "End": true}}'));
SELECT run('reads', '{"to": 4}') AS a, run('most') AS b, run('broken') AS c, run('table') AS d \gset
CALL saga.drain();
SELECT said(id) FROM unnest(ARRAY[:'a', :'b', :'c', :'d']::uuid[]) AS id;
SELECT count(*) FROM saga.map_item;
TRUNCATE book;
-- one that cannot be selected, after thousands that could: the Map fails, and nothing of its items stays
CREATE FUNCTION one_short(i jsonb) RETURNS SETOF jsonb LANGUAGE sql AS $$ SELECT CASE WHEN n < 2500 THEN jsonb_build_object('n', n) ELSE '{}' END FROM generate_series(1, 2500) AS n $$;
SELECT make('short', map('{"ItemReader": {"Resource": "sql:kids.one_short"}, "ItemSelector": {"n.$": "$$.Map.Item.Value.n"}}'));
SELECT run('short') AS a \gset
CALL saga.drain();
SELECT status, error FROM saga.executions WHERE execution_id = :'a';
SELECT count(*) FROM saga.map_item;
-- a name is what it is in SQL; what reads has as long as the execution, and is cancelled then
SELECT make('folded', map('{"ItemReader": {"Resource": "sql:Kids.Items", "Parameters": {"to": 2}}, "ItemSelector": {"n.$": "$$.Map.Item.Value.n"}}'));
CREATE FUNCTION slow(i jsonb) RETURNS SETOF jsonb LANGUAGE sql AS $$ SELECT to_jsonb(pg_sleep(600)::text) $$;
SELECT make('slow', map('{"ItemReader": {"Resource": "sql:kids.slow"}}') || '{"TimeoutSeconds": 1}');
SELECT run('folded') AS a, run('slow') AS b \gset
CALL saga.drain();
SELECT said(:'a');
SELECT status, error, stopped_at - started_at < '60 s' AS soon FROM saga.executions WHERE execution_id = :'b';
TRUNCATE book;
-- results go to a table, those that failed too; and what its triggers refuse is the Map's failure
CREATE TABLE result (map_run_id uuid, index bigint PRIMARY KEY, execution_id uuid, status text, output jsonb CHECK (output IS DISTINCT FROM '3'), error text, cause text);
SELECT make('writes', map('{"ItemSelector": {"n.$": "$$.Map.Item.Value"}, "ToleratedFailureCount": 1, "ResultWriter": {"Resource": "saga:table", "Parameters": {"Table": "kids.result"}}}'));
SELECT make('refused', map('{"ResultWriter": {"Resource": "saga:table", "Parameters": {"Table": "kids.result"}}}', '{"I": {"Type": "Pass", "End": true}}'));
SELECT run('writes', '[1, 7, 5]') AS a, run('refused', '[2, 3]') AS b \gset
CALL saga.drain();
SELECT status, regexp_replace(output::text, '[-0-9a-f]{36}', '...'), error, regexp_replace(cause, 'row contains.*', '...') FROM saga.executions WHERE execution_id IN (:'a', :'b') ORDER BY execution_id;
SELECT index, status, output, error, cause, map_run_id = (SELECT r.map_run_id FROM saga.map_runs r WHERE r.execution_id = :'a') AS its_run FROM result ORDER BY index;
TRUNCATE book;
-- the history of the parent names its children and does not grow with them
SELECT make('many', map('{"ItemReader": {"Resource": "sql:kids.items", "Parameters": {"to": 1200}}}', '{"I": {"Type": "Pass", "End": true}}'));
SELECT run('many') AS a \gset
CALL saga.drain();
SELECT status, jsonb_array_length(output) FROM saga.executions WHERE execution_id = :'a';
SELECT type, regexp_replace(details ->> 'mapRunArn', '^[-0-9a-f]{36}', '...') FROM saga.execution_history WHERE execution_id = :'a' AND type LIKE 'Map%' ORDER BY event_id;
DROP SCHEMA kids CASCADE;
