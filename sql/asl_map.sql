-- Map: its fields, items, concurrency, tolerance, and what is undone, by saga.simulate() and on the engine.
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on
CREATE FUNCTION pg_temp.map(fields jsonb, item jsonb DEFAULT '{"I": {"Type": "Pass", "End": true}}', more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('StartAt', 'M', 'States', jsonb_build_object('M', '{"Type": "Map", "End": true}'::jsonb ||
		jsonb_build_object('ItemProcessor', jsonb_build_object('StartAt', 'I', 'States', item)) || fields) || more)
$$;
CREATE FUNCTION pg_temp.faults(definition jsonb) RETURNS SETOF text LANGUAGE sql AS
	$$ SELECT format('%s at %s: %s', code, location, message) FROM saga.validate(definition) $$;
-- The answers as they are, and again frozen and thawed wherever it waits.
CREATE FUNCTION pg_temp.run(definition jsonb, input jsonb, responses jsonb DEFAULT '{}', options jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', r ->> 'status', r -> 'output', r ->> 'error', r ->> 'cause', 'compensated ' || (r -> 'compensated')::text, 'not ' || (r -> 'not_compensated')::text,
		CASE WHEN r <> saga.simulate(definition, input, responses, options || '{"freeze": true}') THEN 'DIFFERS WHEN FROZEN' END)
	FROM saga.simulate(definition, input, responses, options) AS r
$$;
CREATE FUNCTION pg_temp.events(definition jsonb, input jsonb, responses jsonb DEFAULT '{}', options jsonb DEFAULT '{}') RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' ', e ->> 'id', '<' || (e ->> 'previous_id'), e ->> 'type', e -> 'details' ->> 'name', e -> 'details' ->> 'index', e -> 'details' ->> 'length', e -> 'details' ->> 'error')
	FROM saga.simulate(definition, input, responses, options) AS r, jsonb_array_elements(r -> 'events') WITH ORDINALITY AS x(e, n) ORDER BY n
$$;

-- definitions
SELECT * FROM pg_temp.faults(pg_temp.map('{}'));
SELECT * FROM pg_temp.faults('{"StartAt": "M", "States": {"M": {"Type": "Map", "End": true}}}');
SELECT * FROM pg_temp.faults('{"StartAt": "M", "States": {"M": {"Type": "Map", "End": true, "ItemProcessor": 1}}}');
SELECT * FROM pg_temp.faults('{"StartAt": "M", "States": {"M": {"Type": "Map", "End": true, "Iterator": {"StartAt": "X", "States": {"I": {"Type": "Pass", "End": true}}, "Other": 1}}}}');
SELECT * FROM pg_temp.faults(pg_temp.map('{"Iterator": {}, "ItemSelector": {}, "Parameters": {}, "MaxConcurrency": 1, "MaxConcurrencyPath": "$", "ToleratedFailureCount": 1, "ToleratedFailureCountPath": "$", "ToleratedFailurePercentage": 1, "ToleratedFailurePercentagePath": "$"}'));
SELECT * FROM pg_temp.faults(pg_temp.map('{"ItemsPath": 1, "ItemSelector": {"a.$": "b"}, "MaxConcurrency": -1, "ToleratedFailureCount": 1.5, "ToleratedFailurePercentage": 100.5, "Branches": [], "Resource": "sql:a.b"}'));
SELECT * FROM pg_temp.faults(pg_temp.map('{"ItemsPath": "a", "MaxConcurrencyPath": null, "ToleratedFailureCount": -1, "ToleratedFailurePercentage": "1", "Label": 1}'));
SELECT label, (SELECT string_agg(f, '; ') FROM pg_temp.faults(pg_temp.map(jsonb_build_object('Label', label))) AS f)
FROM unnest(ARRAY['', 'a', 'Größe-1.2!', 'a b', 'a/b', E'a\u0085b', repeat('x', 40), repeat('x', 41)]) AS label;
SELECT config, (SELECT string_agg(f, '; ') FROM pg_temp.faults(jsonb_set(pg_temp.map('{}'), '{States,M,ItemProcessor,ProcessorConfig}', config)) AS f)
FROM unnest('{1,"{\"Mode\": \"INLINE\"}","{\"Mode\": \"OTHER\"}","{\"Mode\": \"INLINE\", \"ExecutionType\": \"STANDARD\"}","{\"Mode\": \"DISTRIBUTED\"}","{\"Mode\": \"DISTRIBUTED\", \"ExecutionType\": \"OTHER\", \"More\": 1}"}'::jsonb[]) AS config;
-- names are unique in the whole machine, and a processor is no place to go to
SELECT * FROM pg_temp.faults(pg_temp.map('{}', '{"I": {"Type": "Pass", "Next": "M"}}'));
SELECT * FROM pg_temp.faults(pg_temp.map('{"End": false, "Next": "I"}', '{"I": {"Type": "Pass", "End": true}}', '{"I": {"Type": "Succeed"}}'));

-- items: from the data, from a path, from the context and a variable; none; what is no array
SELECT pg_temp.run(pg_temp.map('{}'), '[1, "a", null, {"b": []}, [2]]');
SELECT pg_temp.run(pg_temp.map('{"InputPath": "$.a", "ItemsPath": "$.b", "ResultSelector": {"all.$": "$", "one.$": "$[1]"}, "ResultPath": "$.r", "OutputPath": "$.r"}'), '{"a": {"b": [1, 2]}}');
SELECT pg_temp.run(pg_temp.map('{"ItemsPath": "$$.Execution.Input.x[*].y"}'), '{"x": [{"y": 1}, {"y": 2}]}');
SELECT pg_temp.run(jsonb_set(pg_temp.map('{"ItemsPath": "$v"}', '{"I": {"Type": "Pass", "End": true}}', '{"S": {"Type": "Pass", "Assign": {"v": [3, 4]}, "Next": "M"}}'), '{StartAt}', '"S"'), '{}');
SELECT pg_temp.run(pg_temp.map('{}'), '[]');
SELECT pg_temp.run(pg_temp.map('{"ItemsPath": "$.a"}'), i) FROM unnest('{"{}","{\"a\": 1}","{\"a\": {}}","{\"a\": null}"}'::jsonb[]) AS i;
SELECT pg_temp.run(pg_temp.map('{}'), '{"a": 1}');

-- ItemSelector sees the state's data and the item; so do the states of the processor, those of the nearest Map
SELECT pg_temp.run(pg_temp.map('{"ItemsPath": "$.a", "ItemSelector": {"i.$": "$$.Map.Item.Index", "v.$": "$$.Map.Item.Value", "x.$": "$.x", "state.$": "$$.State.Name", "all.$": "$$.Map"}}'), '{"a": [7, 8], "x": true}');
SELECT pg_temp.run(pg_temp.map('{"Parameters": {"v.$": "$$.Map.Item.Value"}}', '{"I": {"Type": "Pass", "Parameters": {"in.$": "$.v", "i.$": "$$.Map.Item.Index", "keys.$": "$$[?(@.Item)]", "state.$": "$$.State.Name"}, "End": true}}'), '[7, 8]');
SELECT pg_temp.run(pg_temp.map('{}', jsonb_build_object('I', pg_temp.map('{}', '{"I": {"Type": "Pass", "End": true}}') #> '{States,M}' #- '{ItemProcessor,States}' ||
	'{"ItemSelector": {"outer.$": "$$.Map.Item.Index"}, "ItemProcessor": {"StartAt": "J", "States": {"J": {"Type": "Pass", "Parameters": {"at.$": "$$.Map.Item.Index", "of.$": "$.outer"}, "End": true}}}}')), '[["a"], ["b", "c"], []]');
SELECT pg_temp.run(pg_temp.map('{"End": false, "Next": "N"}', '{"I": {"Type": "Pass", "End": true}}', '{"N": {"Type": "Pass", "Parameters": {"m.$": "$$.Map.Item.Value"}, "End": true}}'), '[1]');
SELECT pg_temp.run(pg_temp.map('{"ItemSelector": {"v.$": "$$.Map.Item.Value.n"}}'), '[{"n": 1}, {"m": 1}]');

-- what an item assigns is its own
SELECT pg_temp.run(jsonb_set(pg_temp.map('{"End": false, "Next": "N"}', '{"I": {"Type": "Pass", "Assign": {"seen.$": "$"}, "Next": "J"}, "J": {"Type": "Pass", "Parameters": {"v.$": "$v", "seen.$": "$seen"}, "End": true}}',
	'{"S": {"Type": "Pass", "Assign": {"v": 9}, "Next": "M"}, "N": {"Type": "Pass", "Parameters": {"r.$": "$", "v.$": "$v"}, "End": true}}'), '{StartAt}', '"S"'), '[1, 2]');

-- concurrency: what runs at once is in the order of events
SELECT string_agg(e, ', ') FROM pg_temp.events(pg_temp.map('{"MaxConcurrency": 1}'), '[1, 2]') AS e;
SELECT string_agg(e, ', ') FROM pg_temp.events(pg_temp.map('{"MaxConcurrency": 2}'), '[1, 2, 3]') AS e;
SELECT string_agg(e, ', ') FROM pg_temp.events(pg_temp.map('{"MaxConcurrencyPath": "$.n", "ItemsPath": "$.a"}'), '{"n": 0, "a": [1, 2]}') AS e;
SELECT n, (SELECT count(*) FROM (SELECT e, bool_or(e LIKE '%Entered I') OVER (ORDER BY i) AS entered
	FROM pg_temp.events(pg_temp.map(jsonb_build_object('MaxConcurrency', n)), (SELECT jsonb_agg(i) FROM generate_series(1, 100) AS i)) WITH ORDINALITY AS e(e, i)) AS x
	WHERE NOT entered AND e LIKE '%MapIterationStarted%') AS at_once
FROM unnest('{0,39,41}'::int[]) AS n;
SELECT pg_temp.run(pg_temp.map('{"MaxConcurrencyPath": "$.n", "ItemsPath": "$.a"}'), jsonb_build_object('a', '[1]'::jsonb, 'n', n)) FROM unnest('{-1,1.5,"\"x\"","{}",null}'::jsonb[]) AS n;
-- the longest waits do not hold the others up: 3 at a time, 10 items of 10 seconds, and one that takes 60
SELECT r ->> 'status' AS status, (e -> -1 ->> 'timestamp')::timestamptz - (e -> 0 ->> 'timestamp')::timestamptz AS took
FROM saga.simulate(pg_temp.map('{"MaxConcurrency": 3}', '{"I": {"Type": "Wait", "SecondsPath": "$", "End": true}}'), '[60, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10]', '{}', '{"freeze": true}') AS r, LATERAL (SELECT r -> 'events') AS x(e);

-- failures: the first one is the Map's; Retry begins anew, Catch goes on
\set task '{"I": {"Type": "Task", "Resource": "sql:a.f", "End": true}}'
SELECT pg_temp.run(pg_temp.map('{"MaxConcurrency": 1}', :'task'), '[1, 2, 3]', '{"I": ["echo", {"error": "E", "cause": "why"}]}');
SELECT string_agg(e, ', ') FROM pg_temp.events(pg_temp.map('{"Retry": [{"ErrorEquals": ["E"]}], "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "C"}]}', :'task', '{"C": {"Type": "Pass", "End": true}}'), '[1, 2]',
	'{"I": [{"output": 1, "after": 5}, {"error": "E"}, {"output": 1, "after": 5}, {"error": "F"}]}') AS e;
SELECT pg_temp.run(pg_temp.map('{"Retry": [{"ErrorEquals": ["States.TaskFailed"]}], "Catch": [{"ErrorEquals": ["States.BranchFailed"], "Next": "C"}, {"ErrorEquals": ["States.TaskFailed"], "Next": "D"}]}', :'task', '{"C": {"Type": "Pass", "End": true}, "D": {"Type": "Pass", "End": true}}'), '[1]',
	'{"I": {"error": "E", "cause": "why"}}');

-- tolerance: by number, by share, by both; and their paths
SELECT t, n, pg_temp.run(pg_temp.map(t || '{"MaxConcurrency": 1}', :'task'), (SELECT jsonb_agg(i) FROM generate_series(1, 4) AS i),
	jsonb_build_object('I', (SELECT jsonb_agg(CASE WHEN i <= n THEN '{"error": "E", "cause": "why"}' ELSE '"echo"' END::jsonb) FROM generate_series(1, 4) AS i)))
FROM unnest('{"{\"ToleratedFailureCount\": 2}","{\"ToleratedFailurePercentage\": 50}","{\"ToleratedFailureCount\": 4, \"ToleratedFailurePercentage\": 49.9}","{\"ToleratedFailureCount\": 0}","{\"ToleratedFailurePercentage\": 100}"}'::jsonb[]) AS t, generate_series(1, 4) AS n;
SELECT i, pg_temp.run(pg_temp.map('{"ItemsPath": "$.a", "ToleratedFailureCountPath": "$.c", "ToleratedFailurePercentagePath": "$.p"}', :'task'), '{"a": [1, 2], "c": 2, "p": 100}' || i, '{"I": [{"error": "E"}, "echo"]}')
FROM unnest('{"{}","{\"c\": 0}","{\"p\": 10}","{\"c\": -1}","{\"c\": \"x\"}","{\"p\": 100.1}","{\"p\": {}}","{\"c\": null}"}'::jsonb[]) AS i;

-- what is undone: all items, the last completion first; of an item that is tolerated its own, at once, and no other one's
\set pays '{"I": {"Type": "Task", "Resource": "sql:a.pay", "Compensate": "Refund", "Next": "J"}, "J": {"Type": "Task", "Resource": "sql:a.book", "Compensate": "Unbook", "End": true}, "Refund": {"Type": "Task", "Resource": "sql:a.refund"}, "Unbook": {"Type": "Task", "Resource": "sql:a.unbook"}}'
SELECT pg_temp.run(pg_temp.map('{"MaxConcurrency": 1}', :'pays'), '[1, 2]', '{"I": "echo", "J": ["echo", {"error": "E"}], "Refund": "echo", "Unbook": "echo"}');
SELECT string_agg(e, ', ') FROM pg_temp.events(pg_temp.map('{"MaxConcurrency": 1, "ToleratedFailureCount": 1}', :'pays'), '[1, 2, 3]', '{"I": "echo", "J": ["echo", {"error": "E"}, "echo"], "Refund": {"output": 1, "after": 3}, "Unbook": "echo"}') AS e;
SELECT pg_temp.run(pg_temp.map('{"MaxConcurrency": 1, "ToleratedFailureCount": 1}', :'pays'), '[1, 2, 3]', '{"I": "echo", "J": ["echo", {"error": "E"}, "echo"], "Refund": {"output": 1, "after": 3}, "Unbook": "echo"}');
-- a handler that fails is listed though the run succeeds, and a Map that fails later undoes what is left
SELECT pg_temp.run(pg_temp.map('{"MaxConcurrency": 1, "ToleratedFailureCount": 1}', :'pays'), '[1, 2, 3]', '{"I": "echo", "J": ["echo", {"error": "E"}, "echo"], "Refund": {"error": "R"}, "Unbook": "echo"}');
SELECT pg_temp.run(pg_temp.map('{"MaxConcurrency": 1, "ToleratedFailureCount": 1}', :'pays'), '[1, 2, 3]', '{"I": "echo", "J": ["echo", {"error": "E"}, {"error": "F"}], "Refund": "echo", "Unbook": "echo"}');
-- within a tolerant Map, what an inner one has done is the outer item's
SELECT pg_temp.run(pg_temp.map('{"MaxConcurrency": 1, "ToleratedFailureCount": 1}', jsonb_build_object('I', jsonb_build_object('Type', 'Map', 'ToleratedFailureCount', 1, 'MaxConcurrency', 1, 'Next', 'K',
	'ItemProcessor', jsonb_build_object('StartAt', 'X', 'States', replace(replace(:'pays', '"I"', '"X"'), '"J"', '"Y"')::jsonb)), 'K', '{"Type": "Task", "Resource": "sql:a.k", "End": true}'::jsonb)),
	'[[1, 2], [3]]', '{"X": "echo", "Y": ["echo", {"error": "E"}, "echo"], "K": [{"error": "F"}, "echo"], "Refund": {"output": 1, "after": 2}, "Unbook": "echo"}');

-- stopped while items wait
SELECT pg_temp.run(pg_temp.map('{"MaxConcurrency": 2}', :'pays'), '[1, 2, 3]', '{"I": ["echo", {"output": 1, "after": 60}, "echo"], "J": {"output": 1, "after": 20}, "Refund": "echo", "Unbook": "echo"}', '{"stop": {"after": 30, "error": "S"}}');

-- on the engine: more items than a transaction has savepoints, each in a step of its own, with waits between
CREATE SCHEMA map_test;
CREATE TABLE map_test.seen (item int, xid text DEFAULT pg_catalog.pg_current_xact_id()::text);
CREATE FUNCTION map_test.see(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO map_test.seen VALUES ((i ->> 'n')::int);
	IF (i ->> 'n')::int % 100 = 7 THEN
		RAISE EXCEPTION 'no sevens' USING ERRCODE = 'raise_exception';
	END IF;
	RETURN to_jsonb((i ->> 'n')::int * 2);
END $$;
SELECT saga.create_workflow('map_test', pg_temp.map('{"ItemSelector": {"n.$": "$$.Map.Item.Value"}, "ToleratedFailureCountPath": "$$.Execution.Input[0]"}',
	'{"I": {"Type": "Task", "Resource": "sql:map_test.see", "End": true}}')) AS version;
SELECT saga.start_execution('map_test', (SELECT jsonb_agg(n) FROM generate_series(10, 509) AS n)) AS id \gset
CALL saga.drain();
SELECT status, jsonb_array_length(output) AS results, output -> 0 AS first, output -> 97 AS failed, output -> 499 AS last FROM saga.executions WHERE execution_id = :'id';
SELECT count(*) AS seen, count(DISTINCT item) AS items, count(DISTINCT xid) BETWEEN 2 AND 100 AS in_some_transactions FROM map_test.seen;
SELECT type, count(*) FROM saga.execution_history WHERE execution_id = :'id' GROUP BY type ORDER BY min(event_id), type;
SELECT saga.start_execution('map_test', '[0, 1, 2, 7]') AS id \gset
CALL saga.drain();
SELECT status, error, cause FROM saga.executions WHERE execution_id = :'id';
-- so many at once, and no more: a setting where MaxConcurrency says nothing or more
SELECT saga.create_workflow('map_many', pg_temp.map('{}', '{"I": {"Type": "Wait", "Seconds": 3600, "End": true}}')) AS version;
SELECT saga.create_workflow('map_more', pg_temp.map('{"MaxConcurrency": 60}', '{"I": {"Type": "Wait", "Seconds": 3600, "End": true}}')) AS version;
SELECT saga.start_execution('map_many', (SELECT jsonb_agg(n) FROM generate_series(1, 100) AS n)) AS id \gset
CALL saga.drain();
SELECT count(*) FROM saga.execution_history WHERE execution_id = :'id' AND type = 'MapIterationStarted';
SET pg_saga.map_concurrency = 70;
SELECT saga.start_execution('map_many', (SELECT jsonb_agg(n) FROM generate_series(1, 100) AS n)) AS id, saga.start_execution('map_more', (SELECT jsonb_agg(n) FROM generate_series(1, 100) AS n)) AS more \gset
CALL saga.drain();
SELECT count(*) FROM saga.execution_history WHERE execution_id = :'id' AND type = 'MapIterationStarted';
SELECT count(*) FROM saga.execution_history WHERE execution_id = :'more' AND type = 'MapIterationStarted';
RESET pg_saga.map_concurrency;
DROP SCHEMA map_test CASCADE;
