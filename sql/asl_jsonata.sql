-- States whose QueryLanguage is JSONata: each field, what it may look at, and how it fails.
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET client_min_messages = warning;

-- one state, of a machine in JSONata
CREATE FUNCTION pg_temp.one(type text, fields jsonb) RETURNS jsonb LANGUAGE sql AS
  $$ SELECT jsonb_build_object('QueryLanguage', 'JSONata', 'StartAt', 'A', 'States', jsonb_build_object('A',
     jsonb_build_object('Type', type) || CASE WHEN type IN ('Succeed', 'Fail', 'Choice') THEN '{}' ELSE '{"End": true}'::jsonb END || fields,
     'B', '{"Type": "Pass", "End": true}'::jsonb)
     - CASE WHEN fields::text LIKE '%"Next": "B"%' OR fields::text LIKE '%"Default": "B"%' THEN '' ELSE 'B' END) $$;
-- what it comes to, without the words around a cause
CREATE FUNCTION pg_temp.run(definition jsonb, input jsonb DEFAULT '{}', answers jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS
  $$ SELECT coalesce(r ->> 'output', CASE WHEN r -> 'output' = 'null' THEN 'null' END, (r ->> 'error') || coalesce(': ' || regexp_replace(r ->> 'cause', '^An error occurred while executing the state ''\w+'' \(entered at the event id #\d+\)\. ', ''), ''), r::text)
     FROM saga.simulate(definition, input, answers, '{"start_time": "2026-01-02T03:04:05.678Z"}') r $$;
CREATE FUNCTION pg_temp.faults(definition jsonb) RETURNS TABLE (location text, message text) LANGUAGE sql AS
  $$ SELECT location, message FROM saga.validate(definition) $$;
CREATE FUNCTION pg_temp.pass(output jsonb, input jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS
  $$ SELECT pg_temp.run(pg_temp.one('Pass', jsonb_build_object('Output', output)), input) $$;

-- what is an expression, and what is not
SELECT o, pg_temp.pass(o, '{"a": [1, 2], "b c": null}') FROM unnest(ARRAY['"{% $states.input.a %}"', '"{%$sum($states.input.a)%}"', '" {% 1 %} "', '"$states.input"', '"%{ 1 }%"', '1', 'null', 'true', '[]', '{}',
  '[1, "{% 1 + 1 %}", ["{% $states.input.`b c` %}"]]', '{"x": {"y": "{% $states.input.a[1] %}"}, "{% 1 %}": 1}', '"{% null %}"', '"{% \"{% 1 %}\" %}"', '"{% [] %}"', '"{% $states.input.a[0] = 1 ? 12.50 : \"no\" %}"']::jsonb[]) o;
SELECT f.* FROM unnest(ARRAY['"{% 1"', '"1 %}"', '" {% 1 %}"', '"{% 1 %} "', '"{%}"', '"{%%}"', '"{% 1 + %}"', '{"a": [1, {"b/c": "{% ( %}"}]}', '"{% /a[/ %}"', '"{% é + %}"']::jsonb[]) o,
  pg_temp.faults(pg_temp.one('Pass', jsonb_build_object('Output', o))) f;

-- a number that is only handed on keeps its digits; what is computed is a double
SELECT pg_temp.pass('{"same": "{% $states.input.n %}", "in": "{% $states.input %}", "sum": "{% 0.1 + 0.2 %}", "more": "{% $states.input.n + 1 %}", "fixed": 1.10}', '{"n": 12345678901234567890.123456789012345}');

-- $states, its members, and where each may be named
SELECT pg_temp.run(pg_temp.one(t, '{"Output": "{% $keys($states) ~> $sort %}"}' || f::jsonb), '[1]', '{"A": [{"output": 1}]}') AS keys, t
FROM (VALUES ('Pass', '{}'), ('Succeed', '{}'), ('Wait', '{"Seconds": 0}'), ('Choice', '{"Choices": [{"Condition": false, "Next": "B"}], "Default": "B"}'), ('Task', '{"Resource": "sql:a.b"}'),
  ('Parallel', '{"Branches": [{"StartAt": "X", "States": {"X": {"Type": "Succeed"}}}]}'), ('Map', '{"ItemProcessor": {"StartAt": "X", "States": {"X": {"Type": "Succeed"}}}}')) v(t, f);
SELECT pg_temp.pass('"{% $exists($lookup($states, ''result'')) %}"'), pg_temp.pass('"{% $states.other ? 1 : 2 %}"'), pg_temp.pass('"{% $exists($) or $exists($$) %}"'),
  pg_temp.pass('"{% $states.context.Execution.Input.a %}"', '{"a": 7}'), pg_temp.pass('"{% $states.context.(State.Name & State.EnteredTime) %}"'), pg_temp.pass('"{% $lookup($states, ''input'') %}"', '3');
SELECT f.* FROM (VALUES ('Pass', '{"Output": "{% $states.result %}"}'), ('Pass', '{"Assign": {"a": "{% $states.errorOutput.Error %}"}}'), ('Task', '{"Resource": "sql:a.b", "Arguments": {"x": ["{% 1 + $states.result.y %}"]}}'),
  ('Task', '{"Resource": "sql:a.b", "Output": "{% $states.errorOutput %}", "Catch": [{"ErrorEquals": ["States.ALL"], "Output": "{% $states.result %}", "Next": "B"}]}'),
  ('Task', '{"Resource": "sql:a.b", "TimeoutSeconds": "{% $states.result.s %}"}'), ('Choice', '{"Choices": [{"Condition": "{% $map([1], function($x) { $states.result }) %}", "Next": "B"}]}'),
  ('Pass', '{"Output": "{% ($states := 1; $states) %}"}'), ('Pass', '{"Output": "{% $map([1], function($states) { 1 }) %}"}'), ('Pass', '{"Output": "{% $states.input@$states.a %}"}')) v(t, f), pg_temp.faults(pg_temp.one(t, f::jsonb)) f;

-- expressions that fail
SELECT pg_temp.pass(to_jsonb('{% ' || e || ' %}')) FROM unnest(ARRAY['$nothing', '$states.input.a', '1 + "a"', '$nothing(1)', '$eval("1")', 'function($x) { $x }', '{"a": function($x) { $x }}', '$sum', '$error("no")', '$assert(false, "not so")', '$string(1/0)',
  '($f := function($n) { 1 + $f($n) }; $f(1))', '$match("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", /^(a+)+$/)', '[1..1e9]', '"\u0000"']) e;
-- the expression in a message is cut off
SELECT length(pg_temp.pass(to_jsonb('{% $nothing(' || repeat(' ', 100000) || ') %}')));

-- chance and time: those of the run
SELECT pg_temp.pass('{"now": "{% $now() %}", "millis": "{% $millis() %}", "later": "{% $fromMillis($millis()) %}"}'), pg_temp.pass('"{% $random() %}"') = pg_temp.pass('"{% $random() %}"') AS seeded,
  pg_temp.pass('"{% [$random(), $uuid()] %}"') ~ '^\[0\.\d+, "[0-9a-f-]{36}"\]$' AS made, pg_temp.pass('"{% $random(42) = $random(42) %}"');
SELECT count(DISTINCT u) FROM jsonb_array_elements(pg_temp.pass('["{% $uuid() %}", "{% $uuid() %}", "{% $uuid() %}"]')::jsonb) u;
-- what Step Functions adds
SELECT pg_temp.pass('["{% $partition([1..5], 2) %}", "{% $range(0, 9, 3) %}", "{% $range(1, 9, 9) %}", "{% $hash(''abc'', ''SHA-1'') %}", "{% $parse(''{\"a\": [1.50]}'') %}"]');

-- Assign: all see what was there before, and both languages share the variables
SELECT pg_temp.run('{"StartAt": "A", "States": {"A": {"Type": "Pass", "Assign": {"x": 1, "list.$": "$.list"}, "Next": "B"},
  "B": {"Type": "Pass", "QueryLanguage": "JSONata", "Assign": {"x": "{% $x + 1 %}", "y": "{% $x %}", "sum": "{% $sum($list) %}"}, "Output": {"x": "{% $x %}"}, "Next": "C"},
  "C": {"Type": "Pass", "Parameters": {"x.$": "$x", "y.$": "$y", "sum.$": "$sum", "before.$": "$.x"}, "End": true}}}', '{"list": [1, 2.5]}');
-- a branch reads what is around it, and keeps what it assigns to itself
SELECT pg_temp.run('{"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Pass", "Assign": {"x": 1}, "Next": "P"},
  "P": {"Type": "Parallel", "Next": "E", "Branches": [{"StartAt": "L", "States": {"L": {"Type": "Pass", "Assign": {"x": "{% $x + 1 %}"}, "Next": "L2"}, "L2": {"Type": "Pass", "Output": "{% $x %}", "End": true}}},
    {"StartAt": "R", "States": {"R": {"Type": "Pass", "Output": "{% $x %}", "End": true}}}]}, "E": {"Type": "Pass", "Output": "{% $append($states.input, $x) %}", "End": true}}}');
SELECT f.* FROM unnest(ARRAY['{"states": 1}', '{"1a": 1}', '{"a-b": 1}', '{"": 1}', '{"a.$": "$.a"}', '[1]', '"{% {} %}"', '{"é_1": 1}', jsonb_build_object(repeat('a', 81), 1)]::jsonb[]) a, pg_temp.faults(pg_temp.one('Pass', jsonb_build_object('Assign', a))) f;

-- Choice
CREATE FUNCTION pg_temp.choice(condition jsonb, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS
  $$ SELECT pg_temp.one('Choice', jsonb_build_object('Choices', jsonb_build_array(jsonb_build_object('Condition', condition, 'Next', 'B', 'Output', 'taken'))) || more) $$;
SELECT c, pg_temp.run(pg_temp.choice(c, '{"Default": "B", "Output": "{% ''default of '' & $string($states.input) %}"}'), '{"n": 5}') FROM unnest(ARRAY['true', 'false', '"{% $states.input.n > 3 %}"', '"{% $states.input.n > 5 %}"', '"{% $states.input.n %}"', '"{% $states.input.m %}"', '"{% \"true\" %}"']::jsonb[]) c;
SELECT pg_temp.run(pg_temp.choice('false'));
SELECT f.* FROM unnest(ARRAY['"true"', '1', 'null', '{}']::jsonb[]) c, pg_temp.faults(pg_temp.choice(c)) f;
SELECT f.* FROM pg_temp.faults(pg_temp.one('Choice', '{"Choices": [{"Variable": "$.a", "IsPresent": true, "Next": "B"}]}')) f;
SELECT f.* FROM pg_temp.faults('{"StartAt": "A", "States": {"A": {"Type": "Choice", "Choices": [{"Condition": "{% true %}", "Next": "B"}]}, "B": {"Type": "Succeed"}}}') f;

-- Wait
SELECT s, pg_temp.run(pg_temp.one('Wait', jsonb_build_object('Seconds', s)), '{"n": 2}') FROM unnest(ARRAY['0', '"{% $states.input.n - 2 %}"', '"{% 1.5 %}"', '"{% -1 %}"', '"{% 1e9 %}"', '"{% \"1\" %}"', '"{% $states.input.m %}"']::jsonb[]) s;
SELECT s, pg_temp.run(pg_temp.one('Wait', jsonb_build_object('Timestamp', s)), '{"n": 2}') FROM unnest(ARRAY['"2026-01-01T00:00:00Z"', '"{% $fromMillis($millis()) %}"', '"{% 1 %}"', '"{% \"2026-01-01\" %}"']::jsonb[]) s;
SELECT s, f.* FROM unnest(ARRAY['{"Seconds": "1"}', '{"Seconds": "{% 1"}', '{"Timestamp": "soon"}', '{"SecondsPath": "$.a"}', '{"Seconds": "{% 1 %}", "Timestamp": "{% 1 %}"}', '{}']::jsonb[]) s, pg_temp.faults(pg_temp.one('Wait', s)) f;

-- Fail
SELECT pg_temp.run(pg_temp.one('Fail', f), '{"e": "Closed", "n": 1}') FROM unnest(ARRAY['{"Error": "E", "Cause": "c"}', '{"Error": "{% $states.input.e %}", "Cause": "{% ''it is '' & $lowercase($states.input.e) %}"}', '{"Error": "{% $states.input.n %}"}', '{"Cause": "{% $nothing %}"}']::jsonb[]) f;

-- Task: arguments, limits, credentials, output
CREATE FUNCTION pg_temp.task(fields jsonb, answers jsonb DEFAULT '{"A": [{"output": {"r": [1, 2]}}]}', input jsonb DEFAULT '{"n": 1, "role": "r"}') RETURNS text LANGUAGE sql AS
  $$ SELECT pg_temp.run(pg_temp.one('Task', '{"Resource": "sql:a.b"}' || fields), input, answers) $$;
SELECT pg_temp.run(pg_temp.one('Task', '{"Resource": "sql:a.b"}' || f), '{"n": 1}')::jsonb -> 'task' ->> 'input' FROM unnest(ARRAY['{}', '{"Arguments": {"a": "{% $states.input.n %}", "b": [1, "{% 2 %}"]}}', '{"Arguments": "{% $states.input.n %}"}', '{"Arguments": null}', '{"Arguments": [1]}']::jsonb[]) f;
SELECT pg_temp.task('{}'), pg_temp.task('{"Output": {"of": "{% $states.input.n %}", "is": "{% $states.result.r[1] %}"}}'), pg_temp.task('{"Credentials": {"RoleArn": "{% $states.input.role %}"}, "TimeoutSeconds": "{% $states.input.n + 1 %}", "HeartbeatSeconds": "{% $states.input.n %}"}');
SELECT pg_temp.task('{"Arguments": {"a": {"b": "{% $states.input.m %}"}}}'), pg_temp.task('{"Credentials": {"RoleArn": "{% $states.input.m %}"}}'), pg_temp.task('{"TimeoutSeconds": "{% 0 %}"}'), pg_temp.task('{"HeartbeatSeconds": "{% \"1\" %}"}');
SELECT f.* FROM unnest(ARRAY['{"Credentials": {}}', '{"TimeoutSecondsPath": "$.a"}', '{"InputPath": "$", "Parameters": {}, "ResultSelector": {}, "ResultPath": "$", "OutputPath": "$"}', '{"Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.a", "Next": "B"}]}',
  '{"TimeoutSeconds": 0}', '{"Items": []}', '{"Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": "{% 1 %}"}]}']::jsonb[]) t, pg_temp.faults(pg_temp.one('Task', '{"Resource": "sql:a.b"}' || t)) f;
SELECT f.* FROM unnest(ARRAY['{"Result": 1}', '{"Arguments": {}}']::jsonb[]) t, pg_temp.faults(pg_temp.one('Pass', t)) f;
SELECT f.* FROM pg_temp.faults('{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:a.b", "Arguments": {}, "Output": 1, "End": true}}}') f;

-- Catch: with and without Output; an error of an expression is caught and tried again like any other, unless the call is done
SELECT pg_temp.task(c || '{"Retry": [{"ErrorEquals": ["Busy"], "MaxAttempts": 1}]}', a) FROM unnest(ARRAY['{"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}]}',
  '{"Catch": [{"ErrorEquals": ["States.ALL"], "Output": {"was": "{% $states.input.n %}", "is": "{% $states.errorOutput %}", "all": "{% $count($keys($states)) %}"}, "Next": "B"}]}',
  '{"Catch": [{"ErrorEquals": ["States.ALL"], "Output": "{% $nothing %}", "Next": "B"}]}', '{"Output": "{% $nothing %}", "Catch": [{"ErrorEquals": ["States.QueryEvaluationError"], "Output": "{% $states.errorOutput.Error %}", "Next": "B"}]}']::jsonb[]) c,
  unnest(ARRAY['{"A": [{"error": "Broken", "cause": "c"}]}', '{"A": [{"error": "Busy"}, {"output": 1}]}']::jsonb[]) a;
SELECT r ->> 'status', (SELECT string_agg(e ->> 'type' || coalesce(' ' || (e -> 'details' ->> 'location') || ' of ' || (e -> 'details' ->> 'state'), ''), ', ' ORDER BY n) FROM jsonb_array_elements(r -> 'events') WITH ORDINALITY x(e, n))
FROM saga.simulate(pg_temp.one('Task', '{"Resource": "sql:a.b", "Arguments": {"a": "{% $nothing %}"}, "Retry": [{"ErrorEquals": ["States.QueryEvaluationError"], "MaxAttempts": 1}], "Catch": [{"ErrorEquals": ["States.ALL"], "Output": 1, "Next": "B"}]}')) r;
SELECT pg_temp.run('{"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:a.b", "Catch": [{"ErrorEquals": ["States.ALL"], "Assign": {"why": "{% $states.errorOutput.Error %}", "of": "{% $states.input %}"}, "Next": "B"}], "End": true},
  "B": {"Type": "Pass", "Output": ["{% $why %}", "{% $of %}"], "End": true}}}', '7', '{"A": [{"error": "Broken"}]}');

-- Parallel: arguments are every branch's input
SELECT pg_temp.run(pg_temp.one('Parallel', '{"Arguments": {"a": "{% $states.input.n + 1 %}"}, "Output": "{% $states.result.a %}", "Branches": [{"StartAt": "X", "States": {"X": {"Type": "Succeed"}}}, {"StartAt": "Y", "States": {"Y": {"Type": "Succeed", "Output": {"a": "{% $states.input.a * 10 %}"}}}}]}'), '{"n": 1}');

-- Map
CREATE FUNCTION pg_temp.map(fields jsonb, input jsonb DEFAULT '[3, 4]', processor jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS
  $$ SELECT pg_temp.run(pg_temp.one('Map', fields || jsonb_build_object('ItemProcessor', '{"StartAt": "X", "States": {"X": {"Type": "Choice", "Choices": [{"Condition": "{% $states.input = 9 %}", "Next": "Y"}], "Default": "Z"}, "Y": {"Type": "Fail", "Error": "Nine"}, "Z": {"Type": "Pass", "End": true}}}' || processor)), input) $$;
SELECT pg_temp.map('{}'), pg_temp.map('{}', '{"a": 1}'), pg_temp.map('{"Items": [1, "{% 1 + 1 %}", "x"]}'), pg_temp.map('{"Items": "{% $states.input.a %}"}', '{"a": [5]}'), pg_temp.map('{"Items": "{% $states.input.a %}"}', '{"a": {"b": 1}}'), pg_temp.map('{"Items": "{% [] %}"}');
SELECT pg_temp.map('{"ItemSelector": {"i": "{% $states.context.Map.Item.Index %}", "v": "{% $states.context.Map.Item.Value * 2 %}", "all": "{% $count($states.input) %}"}}'), pg_temp.map('{"ItemSelector": "{% $states.context.Map.Item.Value & \"\" %}"}'), pg_temp.map('{"ItemSelector": {"a": "{% $nothing %}"}}');
SELECT m, pg_temp.map(m, '[1, 9, 2]') FROM unnest(ARRAY['{"ToleratedFailureCount": "{% 1 %}"}', '{"ToleratedFailureCount": "{% 0 %}"}', '{"ToleratedFailurePercentage": "{% 100/3 %}"}', '{"ToleratedFailurePercentage": "{% 50.5 %}"}', '{"ToleratedFailurePercentage": "{% 101 %}"}', '{"ToleratedFailurePercentage": "{% \"1\" %}"}', '{"MaxConcurrency": "{% 0.5 %}"}', '{"MaxConcurrency": "{% -1 %}"}', '{"ToleratedFailureCount": "{% null %}"}']::jsonb[]) m;
SELECT f.* FROM unnest(ARRAY['{"Items": 1}', '{"ItemsPath": "$.a"}', '{"MaxConcurrency": "1"}', '{"MaxConcurrencyPath": "$.a", "ToleratedFailureCountPath": "$.a", "ToleratedFailurePercentagePath": "$.a"}', '{"ToleratedFailurePercentage": 101}', '{"Items": ["{% ( %}"]}', '{"Items": [], "Parameters": {}}']::jsonb[]) m,
  pg_temp.faults(pg_temp.one('Map', m || '{"ItemProcessor": {"StartAt": "X", "States": {"X": {"Type": "Succeed"}}}}')) f;
-- thousands of items, with the input named for each of them
SELECT length(pg_temp.map('{"Items": "{% [1..5000] %}", "ItemSelector": {"i": "{% $states.context.Map.Item.Index %}", "n": "{% $states.input.n %}"}}', jsonb_build_object('n', 1, 'x', repeat('x', 200000))));
-- what a distributed one says of its items
SELECT f.* FROM unnest(ARRAY['{"ItemReader": {"Resource": "sql:a.b", "Parameters": {}}}', '{"ItemReader": {"Resource": "sql:a.b", "Arguments": {"a": "{% ) %}"}, "ReaderConfig": {"MaxItemsPath": "$.a"}}}', '{"ItemBatcher": {"MaxItemsPerBatchPath": "$.a"}}', '{"ItemBatcher": {"MaxItemsPerBatch": "{% 2 %}", "BatchInput": "{% $states.input %}"}, "ItemReader": {"Resource": "sql:a.b", "Arguments": "{% $states.input %}", "ReaderConfig": {"MaxItems": "{% 1 %}"}}}',
  '{"ResultWriter": {"Resource": "saga:table", "Parameters": {}}}', '{"ItemReader": {"Resource": "sql:a.b"}, "Items": []}']::jsonb[]) m,
  pg_temp.faults(pg_temp.one('Map', m || '{"ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "X", "States": {"X": {"Type": "Succeed"}}}}')) f;

-- languages in one another: a state has its own, else its processor's, else the machine's
SELECT f.* FROM (VALUES ('JSONata', 'JSONPath', NULL), ('JSONPath', 'JSONata', NULL), ('JSONPath', NULL, 'JSONata'), ('JSONata', NULL, 'JSONPath'), ('JSONata', 'jsonata', NULL), ('JSONPath', 'JSONata', 'JSONata')) v(machine, state, processor),
  pg_temp.faults(jsonb_strip_nulls(jsonb_build_object('QueryLanguage', machine, 'StartAt', 'M', 'States', jsonb_build_object('M', jsonb_build_object('Type', 'Map', 'QueryLanguage', state, 'End', true, 'ItemProcessor', jsonb_build_object('QueryLanguage', processor, 'StartAt', 'X', 'States', '{"X": {"Type": "Succeed", "Output": "{% 1 %}"}}'::jsonb)))))) f;

-- compensation: a handler sees what it undoes
SELECT r ->> 'error', r -> 'compensated', (SELECT e -> 'details' ->> 'parameters' FROM jsonb_array_elements(r -> 'events') e WHERE e -> 'details' ? 'compensates' AND e ->> 'type' = 'TaskScheduled')
FROM saga.simulate('{"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:a.b", "Arguments": {"n": "{% $states.input.n %}"}, "Assign": {"id": "{% $states.result.id %}"}, "Compensate": "U", "Next": "F"},
  "U": {"Type": "Task", "Resource": "sql:a.c", "Arguments": {"id": "{% $states.input.output.id %}", "n": "{% $states.input.input.n %}", "because": "{% $states.input.error.Error %}"}}, "F": {"Type": "Fail", "Error": "{% ''No'' & $id %}"}}}', '{"n": 1}', '{"A": [{"output": {"id": 7}}], "U": [{"output": 1}]}') r;

-- other functions over such a machine: what is covered, a diagram, one state alone
SELECT saga.test_state('{"QueryLanguage": "JSONata", "Type": "Map", "Items": "{% $states.input.v %}", "ItemSelector": {"x": "{% $states.context.Map.Item.Value %}"}, "ItemBatcher": {"MaxItemsPerBatch": "{% 2 %}", "BatchInput": {"b": "{% $count($states.input.v) %}"}},
  "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "X", "States": {"X": {"Type": "Succeed"}}}, "Output": "{% $count($states.result) %}", "End": true}', '{"v": [1, 2, 3]}', mock => '{"result": [1, 2]}', options => '{"inspectionLevel": "DEBUG"}') - 'x' AS map;
SELECT saga.test_state('{"QueryLanguage": "JSONata", "Type": "Task", "Resource": "sql:a.b", "Arguments": {"a": "{% $v %}"}, "Output": "{% $states.result.r + $v %}", "Assign": {"v": "{% $v + 1 %}"}, "Next": "B"}', '{}', mock => '{"result": {"r": 1}}', variables => '{"v": 2}', options => '{"inspectionLevel": "DEBUG"}');
SELECT saga.test_state('{"QueryLanguage": "JSONata", "Type": "Task", "Resource": "sql:a.b", "Arguments": {"a": "{% $v %}"}, "End": true}', '{}', mock => '{"result": 1}', options => '{"inspectionLevel": "DEBUG"}');
