-- JSONata with what only callers in C can ask for: the flavour of Step Functions, limits, a time and a seed of their own.
CREATE EXTENSION pg_saga_test;
\pset format unaligned
\pset tuples_only on
CREATE FUNCTION pg_temp.aws(VARIADIC expressions text[]) RETURNS TABLE (expression text, gives jsonb) LANGUAGE sql AS $$
	SELECT e, saga_test.jsonata_eval(e, NULL, '{"aws": true, "seed": 7, "states": {"input": {"n": 3}}}') FROM unnest(expressions) WITH ORDINALITY u(e, n) ORDER BY n
$$;

-- ---------- Step Functions ----------
SELECT * FROM pg_temp.aws('$states.input.n + 1', '$partition([1..7], 3)', '$partition([], 2)', '$partition([1], 0)', '$partition("x", 1)', '$range(0, 10, 2)', '$range(5, 1, -2)', '$range(1, 2, 0)', '$range(0, 1, 0.25)', '$range(1, 1e8, 1)',
	'$hash("hello", "SHA-256")', '$hash("hello", "MD5")', '$hash("hello", "CRC")', '$random(5) = $random(5)', '$random(5) = $random(6)', '$random() < 1', '$length($uuid())', '$uuid() = $uuid()', '$match($uuid(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/) ~> $count',
	'$parse("{\"a\": [1, 2.50, null]}")', '$parse("{a: 1}")', '$parse("[1] x")', '$parse("\"\\u00e9\\n\"")', '$parse("")', '$eval("1")', '$sum([1, 2])');
-- what they add is not there otherwise
SELECT saga_test.jsonata_eval('$exists($partition) or $exists($uuid) or $exists($parse)'), saga_test.jsonata_eval('$random(1)', NULL, '{"seed": 1}') ->> 'code', saga_test.jsonata_eval('$eval("1")');
SELECT saga_test.jsonata_eval(e, NULL, '{"aws": true, "immutable": true}') ->> 'code' FROM unnest(ARRAY['$uuid()', '$random()', '$random(1)', '$now()', '$map([1], $uuid)']) e;

-- ---------- a time and a seed of the caller's ----------
SELECT saga_test.jsonata_eval('[$millis(), $now(), $now("[Y]")]', NULL, '{"now": 1510067557121}');
SELECT saga_test.jsonata_eval('[$random(), $shuffle([1..5])]', NULL, '{"seed": 1}') = saga_test.jsonata_eval('[$random(), $shuffle([1..5])]', NULL, '{"seed": 1}'),
	saga_test.jsonata_eval('$random()', NULL, '{"seed": 1}') = saga_test.jsonata_eval('$random()', NULL, '{"seed": 2}');

-- ---------- limits ----------
SELECT saga_test.jsonata_eval('($f := function($n) {$n = 0 ? 1 : $n * $f($n - 1)}; $string($f(' || n || ')))', NULL, '{"depth": 302}') FROM unnest(ARRAY[50, 99, 110, 1000]) n;
SELECT saga_test.jsonata_eval('($f := function($n) {$n = 0 ? "done" : $f($n - 1)}; $f(10000))', NULL, '{"depth": 20}');
SELECT saga_test.jsonata_eval('$count([1..1000].($ * 2))', NULL, jsonb_build_object('steps', n)) FROM unnest(ARRAY[100, 1000, 100000]) n;
SELECT saga_test.jsonata_eval('$count([1..10000].{"n": $})', NULL, jsonb_build_object('bytes', n)) FROM unnest(ARRAY[10000, 100000, 100000000]) n;
SELECT saga_test.jsonata_eval('($f := function($n) {$f($n + 1)}; $f(1))', NULL, '{"milliseconds": 20, "steps": 1e15, "bytes": 1e10}') ->> 'code';
-- where a fault is
SELECT saga_test.jsonata_eval('1 + (2 - "x")'), saga_test.jsonata_eval('$eval("1 + ''x''")');
