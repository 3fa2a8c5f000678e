-- JSONata: saga.jsonata, saga.jsonata_json and saga.jsonata_volatile; the language by example, numbers, order, limits.
\pset format unaligned
\pset tuples_only on
SET statement_timeout = '120s';

CREATE TABLE shop AS SELECT '{"name": "Kiosk",
	"orders": [
		{"id": 7, "items": [{"sku": "pen", "price": 1.50, "qty": 4}, {"sku": "pad", "price": 3.20, "qty": 1}]},
		{"id": 9, "items": [{"sku": "ink", "price": 12, "qty": 2}, {"sku": "pen", "price": 1.40, "qty": 10}]}],
	"owner": {"first": "Ada", "last": "Byron"}, "tags": ["a", "b", "c"], "none": null, "open": true}'::jsonb AS doc;
-- each expression with what it gives, or its error
CREATE FUNCTION pg_temp.try(expression text, document jsonb DEFAULT NULL, bindings jsonb DEFAULT '{}', numbers text DEFAULT 'double')
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	RETURN coalesce(saga.jsonata(expression, coalesce(document, (SELECT doc FROM shop)), bindings, numbers)::text, 'undefined');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, ''), nullif(hint, ''));
END $$;
CREATE FUNCTION pg_temp.show(VARIADIC expressions text[]) RETURNS TABLE (expression text, gives text) LANGUAGE sql AS $$
	SELECT left(e, 120), left(pg_temp.try(e), 400) FROM unnest(expressions) WITH ORDINALITY u(e, n) ORDER BY n
$$;

-- ---------- paths, filters, sequences ----------
SELECT * FROM pg_temp.show('name', '$.name', '$$.name', '`name`', '"name"', 'nothing', 'none', 'orders.id', 'orders[0].id', 'orders[-1].id', '(orders.items.sku)[1]', 'orders.items[0].sku',
	'orders.items[sku = "pen"].qty', 'orders.items[[0, 1]].sku', 'orders.items[qty > 100]', 'orders.items[qty = 2]', 'orders.items[qty = 2][]', 'tags[]', 'name[]', 'owner.*', '*.first', '**.price', '$count(**)',
	'orders.items.{"sku": sku, "total": price * qty}', 'orders.[id, $count(items)]', 'orders.(items.qty)', '[orders.id, 1, [2, 3]]', '[1..4]', '[1..3, 8..9]', 'orders.items#$i[sku = "pen"].$i',
	'orders@$o.$o.items.{"order": $o.id, "sku": sku}', 'orders.items.{"sku": sku, "order": %.id}', 'orders.items[%.id = 9].sku', 'orders.items[price > 1.45]@$a.$a.sku');
SELECT * FROM pg_temp.show('orders.items^(price).sku', 'orders.items^(>qty, sku).sku', 'orders^(-id).id', 'orders.items^(>%.id, sku).sku', 'orders.items{sku: $sum(qty)}', 'orders.items{sku: qty[]}', 'orders@$o.$o.items{sku: [$o.id]}', 'orders.items@$i^(>$i.qty).$i.sku',
	'{"a": 1, "b": nothing, "c": null}', '{}', 'orders.id{"x": $}');

-- ---------- operators ----------
SELECT * FROM pg_temp.show('1 + 2 * 3 - 4 / 8', '7 % 4', '-7 % 4', '-owner', '- (3)', '"a" & 1 & true & null & nothing & [1, 2]', '1 = 1', '"1" = 1', '[1, {"a": 2}] = [1, {"a": 2}]', '1 != 2', 'nothing = nothing', 'nothing != 1', '1 < 2', '"a" < "b"', '2 >= nothing',
	'"b" in tags', '5 in 5', 'open and name', 'none or nothing', 'open ? "yes" : "no"', 'none ? "yes"', 'nothing ?: "default"', 'name ?: "default"', 'none ?: 1', 'nothing ?? "default"', 'none ?? "default"', '(1; 2; 3)', '()', '($x := 2; $y := $x + 1; $x * $y)',
	'/* nothing */ 5 /* else */', 'and', 'true', '"\u00e9\n\ud83d\ude00"', '''single''');

-- ---------- functions of one's own ----------
SELECT * FROM pg_temp.show('($f := function($x, $y) {$x + $y}; $f(1, 2))', 'λ($x) {$x * 2}(4)', '($add := function($x) {function($y) {$x + $y}}; $add(3)(4))', '($f := function($n) {$n <= 1 ? 1 : $n * $f($n - 1)}; $f(10))',
	'($loop := function($n, $sum) {$n = 0 ? $sum : $loop($n - 1, $sum + $n)}; $loop(20000, 0))', '($even := function($n) {$n = 0 ? true : $odd($n - 1)}; $odd := function($n) {$n = 0 ? false : $even($n - 1)}; $even(5001))',
	'($half := $substring(?, 0, 2); $half(name))', '($add := function($x, $y) {$x - $y}; $less := $add(?, 2); $less(10))', '($f := $substring(?, ?, 2); $g := $f(?, 1); $g("abcdef"))',
	'name ~> $uppercase ~> $length', '"a,b" ~> $split(",") ~> $join("-")', '($shout := $uppercase ~> $trim; $shout(" hey "))', '($x := 1; ($x := 2); $x)', '($f := function($s)<s-:s> {$s & "!"}; name.$f())', '($f := function($a)<a<n>:n> {$sum($a)}; $f(3))',
	'($f := function($a)<a<n>:n> {$sum($a)}; $f("x"))', '($f := function($n)<n:n> {$n}; $f("x"))', 'function($x)<q<s>:n> {$x}', '($f := function($o)<(os)n?:x> {$type($o)}; [$f({}), $f("", 1)])',
	'$map([1..3], function($v, $i, $a) {$v * 10 + $i + $count($a)})', '$filter(tags, function($v) {$v != "b"})', '$reduce([1..5], function($a, $b) {$a * $b})', '$reduce([1..3], function($a, $b) {$a + $b}, 100)', '$single(orders, function($o) {$o.id = 9}).id',
	'$sift(owner, function($v, $k) {$k = "last"})', '$each(owner, function($v, $k) {$k & "=" & $v})', '$sort(orders.items, function($l, $r) {$l.price > $r.price}).sku', '$sort(["b", "a"])', '$sort([3, 1, 2])', '$map(tags, $uppercase)',
	'$ ~> |orders.items|{"total": price * qty}, "qty"|', '$ ~> |owner|{"first": "A."}|', '(owner ~> |$|{}, ["first"]|).last', '$string(function($x) {$x})', 'function($x) {$x}', '{"f": $sum}', '$type($sum)');

-- ---------- the functions of the language ----------
SELECT * FROM pg_temp.show('$sum([1, 2.5])', '$count(nothing)', '$count("x")', '$max([3, 10, 2])', '$min([])', '$average([1, 2, 6])', '$string(3.14)', '$string({"b": 1, "a": [true, null]})', '$string([1, 2], true)', '$number("-12.50")', '$number("0x1F")', '$number(true)',
	'$floor(-1.5)', '$ceil(1.2)', '$abs(-3)', '$round(2.5)', '$round(3.5)', '$round(123.456, 2)', '$round(1250, -2)', '$sqrt(2)', '$power(2, 10)', '$formatNumber(12345.6, "#,##0.00")', '$formatNumber(0.5, "0%")', '$formatBase(255, 16)', '$formatInteger(2026, "I")', '$formatInteger(21, "w")', '$parseInteger("twelve", "w")',
	'$length("日本😀")', '$substring("hello", -3, 2)', '$substringBefore("a=b=c", "=")', '$substringAfter("a=b=c", "=")', '$uppercase("straße")', '$lowercase("ÄÖ")', '$trim("  a   b ")', '$pad("7", -3, "0")', '$contains("abc", /B/i)', '$split("a1b22c", /\d+/)', '$split("a b c", " ", 2)', '$join(["x", "y"], "/")',
	'$match("ab12cd3", /([a-z]+)(\d)/)', '$replace("2026-01-02", /(\d+)-(\d+)-(\d+)/, "$3.$2.$1")', '$replace("abab", "a", "x", 1)', '$replace("price 12", /\d+/, function($m) {$string($number($m.match) * 2)})', '/b+/("abbc").end', '$base64encode("hello")', '$base64decode("aGVsbG8=")', '$encodeUrlComponent("a b&ü")', '$decodeUrl("a%20b")',
	'$keys(owner)', '$lookup(owner, "last")', '$append(tags, "d")', '$exists(none)', '$exists(nothing)', '$spread(owner)', '$merge([{"a": 1}, {"b": 2}, {"a": 3}])', '$reverse(tags)', '$distinct([1, "1", 1, {"a": 1}, {"a": 1}, [1], null, null])', '$zip([1, 2, 3], ["a", "b"])', '$boolean([0, 0])', '$not("")', '$type([1])',
	'$eval("name & ''!''")', '$eval("x + 1", {"x": 2})', '$clone(owner)', '$fromMillis(0)', '$fromMillis(1510067557121, "[D01].[M01].[Y] [H]:[m] [z]", "+0200")', '$toMillis("2017-11-07T15:12:37.121Z")', '$toMillis("07.11.2017", "[D].[M].[Y]")', '$error("mine")', '$assert(open, "is open")', '$assert(none = 1, "not so")');

-- ---------- errors: code, place ----------
SELECT * FROM pg_temp.show('', '1 +', '1 + "a"', 'ä + 1 - "x"', 'name.', '(1', '[1, 2', '{"a" 1}', '"abc', '"\q"', '/abc', 'a /* b', '`a', '1e400', '1 2', 'a ** b', '1.5.a', '%', 'function(x) {1}', '$x := 5 := 6', '5 := 6', 'a@b', 'a[0]@$x', 'a{"b": 1}{"c": 2}', 'sum([1])', 'unknown(1)', 'unknown(?)', '$uppercase(1)', '$sum(tags)',
	'{"a": 1, "a": 2}', '{1: 2}', '1 < "a"', 'owner < 1', '[1..2.5]', '[1..20000000]', '"x" ~> 5', 'orders^(owner).id', 'tags^($ = "a" ? 1 : "x")', '$sort([1, "a"])', '$single(tags)', '$power(-1, 0.5)', '$sqrt(-1)', '$number("x")', '1 / 0', '1 / 0 + 1', '$split("a", "", -1)', '$replace("a", "", "b")', '$eval("1 +")', '$eval("$error(''x'')")', '$replace("a", /(/, "b")', '/(?<x>a)\k<x>/("aa").match', '| a | 5 |', '$ ~> | owner | 5 |');

-- ---------- documents and variables ----------
SELECT saga.jsonata(NULL, '{}') IS NULL, saga.jsonata('$exists($)', NULL), saga.jsonata('$', 'null'), saga.jsonata('nothing', '{}') IS NULL, saga.jsonata('$', '5'), saga.jsonata('$[1]', '[1, 2]'), saga.jsonata('$count($)', '[1, 2]'), saga.jsonata('a', '[{"a": 1}, {"a": 2}]');
SELECT saga.jsonata('$x + $y.a', NULL, '{"x": 1, "y": {"a": 2}}'), saga.jsonata('$states.input.a', NULL, '{"states": {"input": {"a": 1}}}'), saga.jsonata('$x', NULL, NULL) IS NULL, saga.jsonata('$eval("$x")', NULL, '{"x": 3}');
SELECT pg_temp.try('1', '{}', '[]'), pg_temp.try('1', '{}', '{}', 'float');
SELECT saga.jsonata_json('1', '{}', '[]');
-- one call site, several expressions and documents
SELECT saga.jsonata(e, d) FROM (VALUES ('a', '{"a": 1}'::jsonb), ('a', '{"a": 2}'), ('a + 1', '{"a": 2}'), ('a', '{"a": 3}')) v(e, d);

-- ---------- numbers ----------
-- doubles as the language says, or exact decimals; what is only passed on keeps its digits in both
SELECT n, saga.jsonata(e, '{"x": 119.00, "big": 12345678901234567890.12, "l": [0.1, 0.2]}', '{}', n)
	FROM unnest(ARRAY['double', 'decimal']) n, unnest(ARRAY['0.1 + 0.2', '$sum(l)', 'x * 1.19', 'x', '[x, big]', 'big', 'big + 1', '$string(big)', '$string(x)', '10 / 4', '2 / 3', '$round(2.345, 2)', '$average(l)', '$max(l)', '0.1 + 0.2 = 0.3', '-0.10', '9007199254740993', '9007199254740992 + 1', '1e21', '$formatNumber(big, "#,##0.00")', '$number("0.10")', '$floor(big)', 'l[$ = 0.1]', '$distinct([1.0, 1, 1.00])', '22 / 7', '$sqrt(2)', '$power(1.1, 2)', '7.5 % 2']) WITH ORDINALITY u(e, i) ORDER BY i, n DESC;
-- of large amounts too: quotients have twenty places at least, and literals are what is written
SELECT e, pg_temp.try(e, '{"cents": 1234567890123456789, "a": 12631713243027.53, "x": 123456789012345.999}', '{}', 'decimal')
	FROM unnest(ARRAY['cents / 100', 'a / 1.19', '$round(a / 1.19, 2)', '$average([123456789012345678901.23, 123456789012345678901.24])', '1 / 3', 'x', '123456789012345.999', 'x = 123456789012345.999', '$floor(123456789.99999999999)', '[0.9999999999999999999999999999, 1.0, 2.00, 1e2]', '1e-400 > 0']) e;
SELECT pg_temp.try('1 / 0', NULL, '{}', 'decimal'), pg_temp.try('1e308 * 10', NULL, '{}', 'decimal'), pg_temp.try('$reduce([1..100], function($a, $b) {$a * 1.23456789e9})', NULL, '{}', 'decimal');
SELECT pg_temp.try('x', jsonb_build_object('x', 1e400)), pg_temp.try('x + 1', jsonb_build_object('x', 1e400)) , pg_temp.try('x + 1', jsonb_build_object('x', 1e400), '{}', 'decimal');

-- ---------- order of members, digits: json ----------
SELECT saga.jsonata_json(e, '{"z": 1.50, "a": {"y": 1e3, "b": 2}, "z": 2.500, "n": 12345678901234567890.10}') FROM unnest(ARRAY['$', 'a', '$keys()', '{"q": z, "a": 1, "m": n}', '$string($)', '$merge([a, {"c": 1}])', '$spread(a)', 'a ~> |$|{"c": 3, "y": 0}|', '$each(a, function($v, $k) {$k})']) e;
SELECT saga.jsonata_json('"\u0000\ud800"', NULL), saga.jsonata_json('$v', NULL, '{"v": {"z": 1, "a": 2.0}}'), saga.jsonata_json('x', '{"x": "a\u0000b\ud83d\ude00\n"}'), saga.jsonata_json('$length(x)', '{"x": "a\u0000b\ud83d\ude00\n"}');
SELECT * FROM pg_temp.show('"\u0000"', '"\ud800"');

-- ---------- what is not immutable ----------
SELECT * FROM pg_temp.show('$now()', '$millis()', '$random()', '$shuffle([1, 2])', '$eval("$now()")', '$map([1], $millis)', '($f := $random; $f())', '$exists($now)');
SELECT abs(saga.jsonata_volatile('$millis()', NULL)::bigint - extract(epoch FROM clock_timestamp()) * 1000) < 60000, saga.jsonata_volatile('$now()', NULL)::text ~ '^"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"$',
	saga.jsonata_volatile('$millis() = $millis()', NULL), saga.jsonata_volatile('$sort($shuffle([1..5]))', NULL), saga.jsonata_volatile('$random() < 1', NULL), saga.jsonata_volatile('$eval("$millis()") > 0', NULL);
SELECT count(DISTINCT saga.jsonata_volatile('$random()', to_jsonb(i))) FROM generate_series(1, 20) i;

-- ---------- limits ----------
-- recursion, nesting
SELECT * FROM pg_temp.show('($f := function($n) {1 + $f($n)}; $f(1))', repeat('(', 10000) || repeat(')', 10000), repeat('[', 10000) || repeat(']', 10000), '1' || repeat(' + 1', 10000), 'a' || repeat('.a', 10000), repeat('-', 10000) || '1', repeat('{"a":', 10000), 'a' || repeat('[0', 10000),
	'1' || repeat(' + 1', 900), repeat('(', 400) || '1' || repeat(')', 400), '($e := "$eval($e)"; $eval($e))', '$ ~> |owner|{"x": $}|', '($f := function($x) {[$f([$x])]}; $f(1))');
SELECT pg_temp.try(e, (repeat('[', 5000) || repeat(']', 5000))::jsonb) FROM unnest(ARRAY['$count(**)', '$string($)', '$ = [$]', '$boolean($)', 'a', '$clone($)', '$keys($)', '*']) e;
SELECT length(saga.jsonata('$', (repeat('[', 5000) || repeat(']', 5000))::jsonb)::text);
SELECT saga.jsonata_json('$', (repeat('[', 5000) || repeat(']', 5000))::json);
-- what grows: doubled texts and arrays, shared parts written out, ranges, patterns
SELECT * FROM pg_temp.show('$reduce([1..60], function($a, $b) {$a & $a}, "x")', '$count($reduce([1..60], function($a, $b) {$append($a, $a)}, [1]))', '$string($' || repeat('.{"a": $, "b": $}', 60) || ')', '$pad("x", 1e9)', '$count([1..1e7].$string())',
	'$match("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", /^(a+)+$/)', '($f := function() {$f()}; $f())', '$join([1..1e6].("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"))');
-- a range is only bounds until somebody looks
SELECT * FROM pg_temp.show('$count([1..1e7])', '$sum([1..1e6])', '[1..1e7][-1]', '$max([1..10])', '[5..1]');
-- a fault leaves nothing behind, and interrupts are heard
SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'saga jsonata';
SET statement_timeout = '10ms';
SELECT saga.jsonata('$count([1..10000].$count([1..1000].$string()))', NULL);
RESET statement_timeout;
DROP TABLE shop;
