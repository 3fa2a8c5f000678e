-- Paths, intrinsic functions, templates and choice rules of workflows.
\pset format unaligned
\pset tuples_only on

CREATE TEMP TABLE doc AS SELECT $${
	"shop": {
		"name": "Zur Möwe",
		"books": [
			{"id": 1, "price": 8.95, "tags": ["a", "b"], "isbn": "x-1"},
			{"id": 2, "price": 12.99, "tags": [], "sold": true},
			{"id": 3, "price": 22, "tags": ["c"], "isbn": null}
		],
		"bike": {"price": 19.950, "a.b": "dot", "it's": 1}
	},
	"empty": {}, "none": null, "n": [10, 20, 30, 40], "deep": [[1, [2]], {"price": "free"}]
}$$::jsonb AS d;

-- evaluates each path, one line each; errors as text
CREATE FUNCTION pg_temp.try(expr text, input jsonb DEFAULT NULL) RETURNS text AS $$
DECLARE
	detail text;
BEGIN
	RETURN saga.eval_path(expr, coalesce(input, (SELECT d FROM doc)), '{"Execution": {"Name": "run"}}',
						  '{"v": {"a": [5, 6]}, "größe": 3}');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN sqlstate || ' ' || sqlerrm || ': ' || detail;
END $$ LANGUAGE plpgsql;

CREATE FUNCTION pg_temp.try_all(VARIADIC exprs text[]) RETURNS SETOF text AS $$
	SELECT e || ' -> ' || pg_temp.try(e) FROM unnest(exprs) WITH ORDINALITY AS t(e, i) ORDER BY i
$$ LANGUAGE sql;

-- ---------- paths with one match ----------
SELECT saga.eval_path('$', d) = d FROM doc;
SELECT pg_temp.try_all('$.shop.name', '$[''shop''].name', '$["shop"]["name"]', '$.shop.books[0].price',
	'$.shop.books[-1].id', '$.shop.bike[''a.b'']', '$.shop.bike.a\.b', '$.shop.bike[''it\''s'']',
	'$[ ''n'' ][ 2 ]', '$.none', '$.empty', '$.n[1]');
SELECT pg_temp.try_all('$$.Execution.Name', '$$', '$v.a[1]', '$v', '$größe');
SELECT pg_temp.try('$.ключ-с_знаками:@x', '{"ключ-с_знаками:@x": "да"}');
SELECT pg_temp.try('$[''\u00e9\n'']', '{"é\n": 1}');
SELECT pg_temp.try('$', '"a scalar"'), pg_temp.try('$', 'null'), pg_temp.try('$[0]', '"no array"');

-- an object of the members that are there
SELECT pg_temp.try_all('$.shop.bike[''price'',''a.b'',''nothing'',''price'']', '$.empty[''a'',''b'']');

-- nothing there
SELECT pg_temp.try_all('$.shop.nothing', '$.n[4]', '$.n[-5]', '$.n.x', '$.shop[0]', '$$.State.Name',
	'$undefined.a', '$v.b', '$.n[2147483647]', '$.n[-2147483648]');

-- ---------- paths with any number of matches ----------
SELECT pg_temp.try_all('$.n[*]', '$.empty[*]', '$.nothing[*].x', '$.n[1:]', '$.n[:-1]', '$.n[-3:2]', '$.n[1:1]',
	'$.n[:]', '$.n[7:9]', '$.n[0,-1]', '$.n[0,9,0]', '$.shop.books[*].id', '$.shop.books.*.isbn',
	'$.shop[''name'',''nothing''].x', '$.shop.books[0:2][''id'',''sold'']', '$..price', '$..[0]', '$.deep..*',
	'$..tags[0]', '$.none[*]', '$.shop.name.*');

-- ---------- filters ----------
SELECT pg_temp.try_all('$.shop.books[?(@.price < 10)].id', '$.shop.books[?(@.price >= 12.99)].id',
	'$.shop.books[?(@.isbn)].id', '$.shop.books[?(!@.isbn)].id', '$.shop.books[?(@.isbn == null)].id',
	'$.shop.books[?(@.sold == true || @.price > 20 && @.id != 1)].id',
	'$.shop.books[?((@.sold == true || @.price > 20) && !(@.id == 3))].id',
	'$.shop.books[?(@.price>$.shop.bike.price)].id', '$.shop.books[?(@.id == $v.a.length())].id',
	'$.shop.books[?(@.id in [1, 3, ''x''])].id', '$.shop.books[?(@.id nin [1])].id',
	'$.shop.books[?(@.tags contains ''c'')].id', '$.shop.books[?(@.isbn contains ''-'')].id',
	'$.shop.books[?(@.tags size 2)].id', '$.shop.books[?(@.tags empty true)].id',
	'$.shop.books[?(@.tags subsetof [''a'', ''b'', ''c''])].id', '$.shop.books[?(@.tags anyof [''b'', ''c''])].id',
	'$.shop.books[?(@.tags noneof [''b''])].id', '$.shop.books[?(@.isbn =~ /X-\d+/i)].id',
	'$.shop.books[?(@.isbn =~ /-/)].id', '$.n[?(@ > 15 && @ < 35)]', '$..[?(@.price > 15)].price',
	'$.shop.bike[?(@.price == 19.95)][''a.b'']', '$.shop.books[?(@.id == ''1'')].id',
	'$.shop.books[?(@.missing != 1)].id', '$.shop.books[?(@..nothing)].id', '$.n[?(''a'' < ''b'')]',
	'$.deep[?(@ == [1, [2]])]');

-- long chains and deep constants cost neither stack nor memory
SELECT pg_temp.try('$[?(@ == 0' || repeat(' && @ < 1', 100000) || repeat(' || @ == 2', 100000) || ')]', '[0, 1, 2]');
SELECT saga.eval_template(t, '{"x": 1}') = replace(t::text, '"y.$": "$.x"', '"y": 1')::jsonb
	FROM (SELECT (repeat('{"a":[', 2000) || '"' || repeat('x', 100000) || '", {"y.$": "$.x"}' || repeat(']}', 2000))::jsonb AS t) AS s;

-- ---------- functions of paths ----------
SELECT pg_temp.try_all('$.n.length()', '$.shop.books[*].length()', '$.shop.length()', '$.empty.keys()', '$.shop.keys()',
	'$.n.min()', '$.n.max()', '$.n.sum()', '$.n.avg()', '$..price.max()', '$.n.first()', '$.shop.books[*].id.last()',
	'$.shop.name.length()', '$.empty.sum()', '$.nothing[*].first()');

-- ---------- what is no path ----------
SELECT pg_temp.try_all('', 'a', ' $', '$.', '$..', '$.a.', '$.a b', '$.a[', '$.a[]', '$.a[''b', '$.a[''b''', '$[0:1:1]',
	'$[1,]', '$[99999999999]', '$[a]', '$[?@.a]', '$[?(@.a]', '$[?(@.a ==)]', '$[?(1)]', '$[?(@.a ~ 1)]',
	'$[?(@.a =~ /(/)]', '$[?(@.a =~ /x)]', '$[?(@.a == 1e999999)]', '$.a.stddev()', '$.a.length().b', '$.a.length(1)',
	'$..length()', '@.a', '$[''\ud800'']', '$[''\u0000'']', '$$$', '$1');
SELECT left(pg_temp.try('$[?(' || repeat('(', 200) || '@.a' || repeat(')', 200) || ')]'), 90);
SELECT left(pg_temp.try('$' || repeat('[0]', 1001)), 90);

-- one evaluation does not take all memory or all day
SELECT pg_temp.try(repeat('$..*', 1) || repeat('..*', 5), (repeat('[', 300) || repeat(']', 300))::jsonb);

-- ---------- intrinsic functions ----------
SELECT pg_temp.try_all('States.Array()', 'States.Array(1, -2.50, 1e2, ''it\''s'', true, false, null, $.n[0], States.Array($.empty))',
	'States.ArrayPartition($.n, 3)', 'States.ArrayPartition($.n, 2.4)', 'States.ArrayPartition($.n, 0)',
	'States.ArrayPartition($.n, 99999999999)', 'States.ArrayPartition($.shop, 1)',
	'States.ArrayContains($.n, 20.0)', 'States.ArrayContains($.deep, $.deep[1])', 'States.ArrayContains(States.Array(States.Array()), States.Array())',
	'States.ArrayContains($.none, 1)',
	'States.ArrayRange(1, 9, 4)', 'States.ArrayRange(5, 1, -2)', 'States.ArrayRange(1, 0, 1)', 'States.ArrayRange(0, 1, 0)',
	'States.ArrayRange(9223372036854775805, 9223372036854775806, 1)', 'States.ArrayRange(1, 1001, 1)', 'States.ArrayRange(1, 1e300, 1)',
	'States.ArrayGetItem($.n, 3)', 'States.ArrayGetItem($.n, 4)', 'States.ArrayGetItem($.n, -1)', 'States.ArrayGetItem($.n, ''0'')',
	'States.ArrayLength($.n)', 'States.ArrayLength($.shop)', 'States.ArrayLength($.nothing)',
	'States.ArrayUnique(States.Array(3, 1, 3.0, ''3'', null, $.n, null, 1, $.n))');
SELECT jsonb_array_length(saga.eval_path('States.ArrayRange(1, 1000, 1)', '{}'));
SELECT pg_temp.try_all('States.Format(''no placeholder'')', 'States.Format(''{} \{\} \\{} {'', 1.10, $.shop.bike)',
	'States.Format(''{}{}'', 1)', 'States.Format(''{}'', 1, 2)', 'States.Format($.shop.name)', 'States.Format($.n, 1)',
	'States.Format(''{} {} {}'', null, true, $.deep)',
	'States.JsonToString($.shop.bike)', 'States.JsonToString(''quo"te\\'')', 'States.StringToJson('' '')',
	'States.StringToJson(''[1.0, "\\u00e9"]'')', 'States.StringToJson(''[1,]'')', 'States.StringToJson(''1e999999'')',
	'States.StringToJson(''"\\u0000"'')', 'States.StringToJson(''\{"a": 1, "a": 2\}'')', 'States.StringToJson(1)',
	'States.JsonMerge($.shop.bike, States.StringToJson(''{"price": 1, "z": 2}''), false)',
	'States.JsonMerge($.empty, $.empty, false)', 'States.JsonMerge($.empty, $.empty, true)', 'States.JsonMerge($.n, $.empty, false)');
SELECT pg_temp.try('States.Format($, 1, 2)', '"a {} \\{} {} \\\\"');
SELECT left(pg_temp.try('States.StringToJson($)', to_jsonb(repeat('[', 1001) || repeat(']', 1001))), 100);
SELECT length(pg_temp.try('States.StringToJson($)', to_jsonb(repeat('[', 1000) || repeat(']', 1000))));
SELECT pg_temp.try_all('States.Base64Encode($.shop.name)', 'States.Base64Decode(States.Base64Encode($.shop.name))',
	'States.Base64Encode('''')', 'States.Base64Decode(''####'')', 'States.Base64Decode(''/w=='')', 'States.Base64Decode(''AA=='')',
	'States.Hash('''', ''MD5'')', 'States.Hash(''abc'', ''SHA-1'')', 'States.Hash(''abc'', ''SHA-384'')', 'States.Hash(''abc'', ''sha-1'')',
	'States.Hash($.n, ''MD5'')',
	'States.StringSplit(''añbñc'', ''ñ'')', 'States.StringSplit('',,a,;b;,'', '',;'')', 'States.StringSplit(''abc'', '''')',
	'States.StringSplit('''', '','')',
	'States.MathAdd(1.5, -0.5)', 'States.MathAdd(-2.5, 2.49)', 'States.MathAdd(9223372036854775806, 1)',
	'States.MathAdd(9223372036854775806, 2)', 'States.MathAdd(1e100000, 1)', 'States.MathAdd(-1e100000, 1)', 'States.MathAdd(''1'', 1)',
	'States.MathRandom(1, 1)', 'States.MathRandom(7, 8)');
SELECT saga.eval_path('States.Hash($, ''SHA-256'')', '"Möwe"') #>> '{}' = encode(sha256(convert_to('Möwe', 'UTF8')), 'hex'),
	saga.eval_path('States.Hash($, ''SHA-512'')', '"Möwe"') #>> '{}' = encode(sha512(convert_to('Möwe', 'UTF8')), 'hex');
SELECT bool_and(n BETWEEN -3 AND 3), count(DISTINCT n)
	FROM generate_series(1, 500), LATERAL (SELECT saga.eval_path('States.MathRandom(-3, 4)', '{}')::int AS n) AS r;
SELECT count(DISTINCT saga.eval_path('States.MathRandom(0, 1000000, 42)', '{}')) FROM generate_series(1, 10);
SELECT count(DISTINCT u), bool_and(u ~ '^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$')
	FROM generate_series(1, 100), LATERAL (SELECT saga.eval_path('States.UUID()', '{}') #>> '{}' AS u) AS r;

-- found when the definition is read
SELECT pg_temp.try_all('States.Nothing()', 'States.Array', 'States.Array(', 'States.Array(1', 'States.Array(1,)', 'States.Array(a)',
	'States.Array(''a)', 'States.Array(''a\n'')', 'States.Array("a")', 'States.Array(1) x', 'States.UUID(1)', 'States.MathRandom(1)',
	'States.Format()', 'States.Array($.a[)', 'States.Array(01)', 'States.Array(1e999999)', '''text''', '12');
SELECT left(pg_temp.try(repeat('States.Array(', 200) || repeat(')', 200)), 90);

-- ---------- templates ----------
CREATE FUNCTION pg_temp.try_template(template jsonb) RETURNS text AS $$
DECLARE
	detail text;
BEGIN
	RETURN saga.eval_template(template, (SELECT d FROM doc));
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN sqlstate || ' ' || sqlerrm || ': ' || left(detail, 200);
END $$ LANGUAGE plpgsql;

SELECT pg_temp.try_template('{"a.$": "$.n", "b": {"c": [1, {"d.$": "$.shop.name"}, "$.n"], "e": {}}, "z": "$.n"}');
SELECT pg_temp.try_template('{"longest": 1, "a.$": "$.n[0]", "bb.$": "$.n[1]", "b": null}');
SELECT pg_temp.try_template('"$.n"'), pg_temp.try_template('[]'), pg_temp.try_template('[{".$": "$.n[0]"}, [[{"x.$": "$.none"}]]]');
SELECT pg_temp.try_template('{"all.$": "$", "again.$": "$"}')::jsonb = jsonb_build_object('all', d, 'again', d) FROM doc;
SELECT pg_temp.try_template('{"x": {"a/b": [0, {"y.$": "$."}]}}');
SELECT pg_temp.try_template('{"x.$": 1}');
SELECT pg_temp.try_template('{"x.$": "$.n", "x": 1}');
SELECT pg_temp.try_template('{"x": {"y.$": "$.nothing"}}');
SELECT pg_temp.try_template('{"x.$": "States.ArrayGetItem($.n, 9)"}');
-- more members than one stride of jsonb's offsets, mixed, against the server's own builder
SELECT pg_temp.try_template(jsonb_object_agg('k' || i || CASE WHEN i % 3 = 0 THEN '.$' ELSE '' END,
			CASE WHEN i % 3 = 0 THEN to_jsonb('$.n'::text) WHEN i % 3 = 1 THEN to_jsonb(i * 1.50) ELSE to_jsonb('t'::text) END))::jsonb =
		jsonb_object_agg('k' || i,
			CASE WHEN i % 3 = 0 THEN '[10, 20, 30, 40]' WHEN i % 3 = 1 THEN to_jsonb(i * 1.50) ELSE to_jsonb('t'::text) END)
	FROM generate_series(1, 200) AS i;
-- the same bytes, too: equal values hash alike and compress alike
SELECT pg_column_size(saga.eval_template(jsonb_build_object('a.$', '$', 'b', jsonb_build_object('c.$', '$.n')), d)) =
	pg_column_size(jsonb_build_object('a', d, 'b', jsonb_build_object('c', d->'n'))) FROM doc;

-- ---------- choice rules ----------
CREATE FUNCTION pg_temp.choice(rule jsonb, input jsonb) RETURNS text AS $$
DECLARE
	detail text;
BEGIN
	RETURN saga.eval_choice(rule, input, NULL, '{"v": 2}');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN sqlstate || ' ' || sqlerrm || ': ' || detail;
END $$ LANGUAGE plpgsql;

-- each operator on less, equal, greater and another type
CREATE TEMP TABLE operand (type text, operator_type text, less jsonb, equal jsonb, greater jsonb);
INSERT INTO operand VALUES
	('String', 'String', '"Z"', '"a"', '"é"'),
	('Numeric', 'Numeric', '-1e400', '0.1', '1e100000'),
	('Timestamp', 'Timestamp', '"2024-02-29T23:59:59.123456788Z"', '"2024-02-29T23:59:59.123456789Z"', '"2024-03-01T00:00:00+00:00"');
SELECT type || op, string_agg(pg_temp.choice(jsonb_build_object('Variable', '$.x', type || op, equal), jsonb_build_object('x', x)), ' ' ORDER BY n),
		string_agg(pg_temp.choice(jsonb_build_object('Variable', '$.x', type || op || 'Path', '$.y'), jsonb_build_object('x', x, 'y', equal)), ' ' ORDER BY n)
	FROM operand, unnest('{LessThan,LessThanEquals,Equals,GreaterThanEquals,GreaterThan}'::text[]) WITH ORDINALITY AS o(op, o),
		LATERAL (VALUES (1, less), (2, equal), (3, greater), (4, 'null'), (5, '[]')) AS v(n, x)
	GROUP BY type, op, o ORDER BY type, o;
SELECT pg_temp.choice('{"Variable": "$.x", "BooleanEquals": true}', x), pg_temp.choice('{"Variable": "$.x", "BooleanEqualsPath": "$.x"}', x)
	FROM (VALUES (1, '{"x": true}'::jsonb), (2, '{"x": false}'), (3, '{"x": "true"}')) AS v(n, x) ORDER BY n;
-- the other side has another type
SELECT pg_temp.choice('{"Variable": "$.x", "NumericEqualsPath": "$.y"}', '{"x": 1, "y": "1"}');

SELECT op, string_agg(left(pg_temp.choice(jsonb_build_object('Variable', '$.x', op, true), input), 5) || '/' ||
			left(pg_temp.choice(jsonb_build_object('Variable', '$.x', op, false), input), 5), ' ' ORDER BY n)
	FROM unnest('{IsNull,IsPresent,IsNumeric,IsString,IsBoolean,IsTimestamp}'::text[]) WITH ORDINALITY AS o(op, o),
		LATERAL (VALUES (1, '{"x": null}'::jsonb), (2, '{"x": 1e9}'), (3, '{"x": "s"}'), (4, '{"x": false}'),
			(5, '{"x": "2024-01-01T00:00:00Z"}'), (6, '{}')) AS v(n, input)
	GROUP BY op, o ORDER BY o;
SELECT pg_temp.choice('{"Variable": "$.x[?(@.a)]", "IsPresent": true}', '{"x": [{"a": 1}]}'),
	pg_temp.choice('{"Variable": "$.x[?(@.a)]", "IsPresent": true}', '{"x": [1]}'),
	pg_temp.choice('{"Variable": "$v", "NumericEquals": 2}', '{}'),
	pg_temp.choice('{"Variable": "$w", "IsPresent": false}', '{}');
SELECT pg_temp.choice('{"Variable": "$.x", "StringEquals": "a"}', '{}');
SELECT pg_temp.choice('{"Variable": "$.x", "StringEqualsPath": "$.y"}', '{"x": "a"}');

SELECT t, pg_temp.choice('{"Variable": "$", "IsTimestamp": true}', to_jsonb(t))
	FROM unnest('{2024-02-29T00:00:00Z,2023-02-29T00:00:00Z,2024-01-01T00:00:00.1Z,2024-01-01T00:00:00.Z,2024-01-01T00:00:00.1234567890Z,
		2024-01-01T24:00:00Z,2024-01-01T00:60:00Z,2024-01-01T00:00:60Z,2024-01-01T00:00Z,2024-01-01t00:00:00Z,2024-01-01T00:00:00z,
		2024-01-01T00:00:00,2024-01-01 00:00:00Z,2024-01-01T00:00:00+01:00,2024-01-01T00:00:00-0100,2024-01-01T00:00:00+25:00,
		2024-00-01T00:00:00Z,2024-13-01T00:00:00Z,24-01-01T00:00:00Z,0000-02-29T00:00:00Z,9999-12-31T23:59:59.999999999Z}'::text[]) AS t;
-- does not depend on the session
SET timezone = 'Asia/Tokyo';
SET datestyle = 'German';
SELECT pg_temp.choice('{"Variable": "$", "TimestampEquals": "2024-06-30T22:30:00Z"}', '"2024-07-01T00:30:00+02:00"');
RESET timezone;
RESET datestyle;

SELECT pattern, string_agg(pg_temp.choice(jsonb_build_object('Variable', '$', 'StringMatches', pattern), to_jsonb(t)), ' ' ORDER BY n)
	FROM unnest(ARRAY['*', '', 'a*', '*a', 'a*a', '**', 'a\*a', 'a\\*', 'a\a', '*é*', 'ab*cab*cd']) WITH ORDINALITY AS p(pattern, o),
		unnest(ARRAY['', 'a', 'aa', 'a*a', 'a\x', 'a\a', 'xéy', 'abcabcabcabcd']) WITH ORDINALITY AS t(t, n)
	GROUP BY pattern, o ORDER BY o;
SELECT pg_temp.choice(jsonb_build_object('Variable', '$', 'StringMatches', repeat('*a', 50) || 'b'), to_jsonb(repeat('a', 20000)));

-- stops at the first that decides, so the guard keeps the fault away
SELECT pg_temp.choice('{"And": [{"Variable": "$.x", "IsPresent": true}, {"Variable": "$.x", "NumericEquals": 1}]}', '{}'),
	pg_temp.choice('{"Or": [{"Variable": "$.x", "IsPresent": false}, {"Variable": "$.x", "NumericEquals": 1}]}', '{}'),
	pg_temp.choice('{"Not": {"Variable": "$.x", "NumericEquals": 1}}', '{"x": 2}'),
	pg_temp.choice('{"Not": {"Or": [{"And": [{"Not": {"Variable": "$.x", "NumericEquals": 1}}]}]}}', '{"x": 1}'),
	pg_temp.choice('{"Not": {"Variable": "$.x", "NumericEquals": 1}}', '{}');

-- what is no rule
SELECT pg_temp.choice(rule::jsonb, '{}') FROM unnest(ARRAY['1', '{}', '{"Next": "A", "Comment": "c"}', '{"StringEquals": "a"}', '{"Variable": "$.x"}',
	'{"Variable": "x", "IsNull": true}', '{"Variable": "$.x", "IsNull": 1}', '{"Variable": "$.x", "StringEquals": 1}',
	'{"Variable": "$.x", "NumericEquals": "1"}', '{"Variable": "$.x", "TimestampLessThan": "today"}', '{"Variable": "$.x", "BooleanEquals": null}',
	'{"Variable": "$.x", "StringEqualsPath": "y"}', '{"Variable": "$.x", "StringEqualsPath": 1}', '{"Variable": "$.x", "StringMatchesPath": "$.y"}',
	'{"Variable": "$.x", "IsNullPath": "$.y"}', '{"Variable": "$.x", "NumericEqual": 1}', '{"Variable": "$.x", "IsNull": true, "IsString": true}',
	'{"And": []}', '{"And": {}}', '{"Not": []}', '{"Or": [{"Variable": "$.x", "IsNull": true}, {"Not": {"Variable": "$.x", "a/b~": 1}}]}',
	'{"And": [{"Variable": "$.x", "IsNull": true, "Next": "A"}]}', '{"Variable": "$.x", "And": [{"Variable": "$.x", "IsNull": true}]}']) AS rule;

-- ---------- ResultPath ----------
CREATE FUNCTION pg_temp.put(path text, input jsonb, result jsonb DEFAULT '"new"') RETURNS text AS $$
DECLARE
	detail text;
BEGIN
	RETURN saga.eval_result_path(path, input, result);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN sqlstate || ' ' || sqlerrm || ': ' || detail;
END $$ LANGUAGE plpgsql;

SELECT pg_temp.put('$', '{"a": 1}'), pg_temp.put('$.a', '{}'), pg_temp.put('$.b', '{"a": 1, "b": 2, "c": 3, "aa": 4}'),
	pg_temp.put('$.x.y.z', '{"x": {"a": [1]}, "w": {}}', '{"k": [null]}'), pg_temp.put('$[''a b''].c', '{"a b": {"c": {"d": 1}}}'),
	pg_temp.put('$.a[1].b', '{"a": [0, {"b": 1, "c": 2}, 3]}'), pg_temp.put('$[0]', '[1, 2]', '[]');
SELECT pg_temp.put(path, '{"a": [1], "s": "text", "n": null}') FROM unnest(ARRAY['$.a.b', '$.a[1]', '$.s.x', '$.n.x', '$[0]', '$.new[0]', '$.a[-1]', '$.a[*]',
	'$..a', '$.a[0:1]', '$.a[0,1]', '$[''a'',''b'']', '$.a.length()', '$$', '$$.x', '$v', '$v.a', 'x']) AS path;
SELECT pg_temp.put('$.a', '"scalar"'), pg_temp.put('$.a', '[]');

-- no argument, no result
SELECT saga.eval_path(NULL, '{}') IS NULL, saga.eval_template('{}', NULL) IS NULL, saga.eval_choice(NULL, NULL) IS NULL,
	saga.eval_result_path('$', NULL, '{}') IS NULL;
