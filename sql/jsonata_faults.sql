-- What JSONata says of an expression that is wrong, or of a value that a function cannot take: each fault with its words.
-- What the language does when nothing is wrong is in jsonata.
\pset format unaligned
\pset tuples_only on
SET statement_timeout = '120s';

CREATE FUNCTION pg_temp.try(expression text, document jsonb DEFAULT '{"a": [1, 2, 3], "t": "text", "o": {"x": 1, "y": "z"}, "e": [], "n": null}', bindings jsonb DEFAULT '{}', numbers text DEFAULT 'double')
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	RETURN coalesce(saga.jsonata(expression, document, bindings, numbers)::text, 'undefined');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, ''), nullif(hint, ''));
END $$;
-- A line of the text is an expression; each is shown with what it gives.
CREATE FUNCTION pg_temp.each(lines text, numbers text DEFAULT 'double') RETURNS SETOF text LANGUAGE sql AS $$
	SELECT left(e, 100) || '  ->  ' || left(pg_temp.try(e, numbers => numbers), 300)
	FROM string_to_table(btrim(lines, E'\n'), E'\n') WITH ORDINALITY u(e, n) ORDER BY n
$$;

\echo -- what cannot be read
SELECT pg_temp.each($x$
a +
+ a
a b
(a
[1, 2
{"a" 1}
{"a": 1
{1: 2}
{a: 1}{b: 2}
a.b{c: d}{e: f}
a{b: c}[0]
a[
a]
a.
a..b
a.[
"text
'text
"\q"
"\u12"
"\u12g4"
`name
/* comment
/regex
//
/a/x
/a/gi
$
$$
$$$
%
%.a
a.%.%
@a
a@$b[0]@$c
a@1
a#1
a#$i#$j
a^b
a^(b
a^()
a^(<)
|a|b
|a|b|c|d|
|$|{"a": 1}|
|$|{"a": 1}, ["x"]|
function
function(
function($x
function($x){
function(x){1}
function($x, $x){$x}
λ($x){$x}
function($x)<n{$x}
function($x)<q>{$x}
function($x)<(sn{$x}
function($x)<(a<s>n)>{$x}
function($x)<s<n>>{$x}
a ? b :
a ? : c
a :=1
1 := 2
$x :=
1e
1e400
-1e400
1.
.5
0x10
00
a and
and and and
in
in in in
or or or
a in
;
(;)
(1;;2)
()
,
[,]
[1,]
[..]
[1..]
[1..2..3]
..
*
**
***
* * *
a.*.**
!
!=
a ! b
a != b
a == b
a = = b
~>
a ~>
~> $f
a ~> 1
a ~> $sum ~> 2
1 ~> function($x){$x + 1} ~> $string
?
a ?
$f(?)
$sum(?)
$substring(?, 1)("text")
$substring("text", ?, ?)(1, 2)
1(2)
"f"()
a()
$nothing()
$sum(1)(2)
$sum
$sum()
$sum(1, 2)
$now(1, 2, 3)
$x
$eval("1 +")
$eval("a")
$eval("$sum(a)")
$eval("a", {"a": 7})
$eval(1)
$eval(nothing)
$eval("")
$eval("$eval(\"$eval(\\\"1+1\\\")\")")
$x$);

\echo -- operators and what they cannot take
SELECT pg_temp.each($x$
1 + "a"
"a" + 1
a + 1
o + 1
1 + n
nothing + 1
1 + nothing
1 - true
"1" * "2"
1 / 0
-1 / 0
0 / 0
1 % 0
5 % -3
5.5 % 2
-"a"
-nothing
-a
-n
--1
1 < "a"
"a" < 1
true < false
n < n
a < a
nothing < 1
1 >= nothing
[1..n]
["a".."b"]
[1.5..3]
[1..3.5]
[1..nothing]
[nothing..1]
[3..1]
[1..1]
[-2..2]
[1..10000001]
1 in n
n in [n]
"a" & o & a
a & nothing
function($x){$x} & "a"
a[true]
a[false]
a["0"]
a[nothing]
a[0.9]
a[-0.9]
a[1e10]
a[[0, 2]]
a[[-1, 0, 0]]
a[$ > 1][0]
a^(o)
a^(n)
[1, "a"]^($)
["b", 1]^(>$)
[true, false]^($)
[{"k": 2}, {"k": "1"}]^(k)
[{"k": 2}, {}]^(k)
[[1], [2]]^($)
a{$: 1}
a{nothing: 1}
a{"x": $}
a{"x" & $: $}
[{"k": "x"}, {"k": "x"}]{k: 1, "x": 2}
{"a": 1, "a": 2}
{nothing: 1}
{"a": function(){1}}
[function(){1}]
function($x){$x}
$sum ~> $string
o ~> |$|{"x": 2}|
o ~> |$|{"w": 2}, "x"|
o ~> |$|{"w": 2}, ["x", "y"]|
o ~> |$|{"w": 2}, 1|
o ~> |$|{"w": 2}, [1]|
o ~> |$|1|
o ~> |$|nothing|
o ~> |nothing|{"a": 1}|
1 ~> |$|{"a": 1}|
nothing ~> |$|{"a": 1}|
($clone := 1; o ~> |$|{"a": 1}|)
($clone := function($x){{"c": 1}}; o ~> |$|{"a": 1}|)
nothing ~> $sum
($f := function($n){$n < 1 ? 0 : $f($n - 1)}; $f(1000))
($f := function($n){$n < 1 ? 0 : 1 + $f($n - 1)}; $f(100))
($f := function(){$f()}; $f())
($f := function(){1 + $f()}; $f())
$x$);

\echo -- signatures
SELECT pg_temp.each($x$
function($x)<n>{$x}("a")
function($x)<n>{$x}(1)
function($x)<n?>{$x}()
function($x)<s-n>{$x}("a")
function($x, $y)<sn>{$y}("a", "b")
function($x, $y)<sn?>{$y}("a")
function($x)<b>{$x}(1)
function($x)<l>{$x}(null)
function($x)<l>{$x}(1)
function($x)<a>{$x}(1)
function($x)<a<n>>{$x}(["a"])
function($x)<a<n>>{$x}([1])
function($x)<a<s>>{$x}("a")
function($x)<o>{$x}([])
function($x)<o>{$x}({})
function($x)<f>{$x(1)}(function($y){$y})
function($x)<f>{$x}(1)
function($x)<(sn)>{$x}(true)
function($x)<(sn)>{$x}(1)
function($x)<j>{$x}($sum)
function($x)<x>{$x}($sum) = nothing
function($x)<u>{$x}(1)
function($x)<s+>{$x}("a", "b")
function($x)<n+:n>{$x}("a")
function($x)<n>{$x}(1, 2)
function($x){$x}(1, 2)
function($x, $y){$y}(1)
$map(a, function($v)<s>{$v})
$x$);

\echo -- texts
SELECT pg_temp.each($x$
$string(nothing)
$string("a")
$string($sum)
$string(1e21)
$string(0.1 + 0.2)
$string(a, true)
$string(a, "yes")
$string({"f": $sum})
$string(-0)
$string(1/3)
$length()
$length(1)
$length(nothing)
$length("")
$length("𝒳é")
$length(["a"])
$substring(1, 2)
$substring("text", "1")
$substring("text", 4)
$substring("text", -2)
$substring("text", -9)
$substring("text", 1, 0)
$substring("text", 1, -1)
$substring("text", 1.9, 1.9)
$substring("a𝒳b", 1, 1)
$substring(nothing, 1)
$substringBefore(1, "a")
$substringBefore("text", 1)
$substringBefore("text", "")
$substringBefore("text", "z")
$substringAfter("text", "")
$substringAfter("text", "z")
$substringAfter("text", "t")
$substringAfter(1, "a")
$uppercase(1)
$uppercase("straße")
$lowercase("ÄÉ")
$lowercase(nothing)
$trim(1)
$trim("  a  b\n\tc ")
$trim("")
$pad("a", 5, "")
$pad("a", 5, "#-")
$pad("a", -5, "#-")
$pad("abc", 2)
$pad("a", 1e9)
$pad("a", "5")
$pad(1, 5)
$pad("𝒳", -3, "é")
$contains(1, "a")
$contains("text", 1)
$contains("text", "")
$contains("text", /T/)
$contains("text", /T/i)
$contains(nothing, "a")
$contains("text", function($s){nothing})
$contains("text", function($s){1})
$contains("text", function($s){{"match": "x", "start": 0}})
$split("a,b", 1)
$split("a,b", "")
$split("a,b", ",", -1)
$split("a,b", ",", "1")
$split("a,b", ",", 0)
$split("a,b", ",", 1.9)
$split("", ",")
$split("", "")
$split("a,,b", ",")
$split("a1b22c", /[0-9]+/)
$split("a1b", /[0-9]*/)
$split(nothing, ",")
$join(a)
$join("a")
$join(["a", 1])
$join(["a", "b"], 1)
$join([], ",")
$join(nothing)
$join(["a"], ",")
$match("text", "t")
$match("text", /t/, -1)
$match("text", /t/, "1")
$match("text", /t/, 0)
$match("text", /t/, 1)
$match("text", /(t)(e)?/)
$match("text", /z/)
$match("text", /z*/)
$match(nothing, /z/)
$match("text", function($s){{"match": "x"}})
$replace("text", "t", 1)
$replace("text", "", "x")
$replace("text", "t", "$0")
$replace("text", /t/, "[$0]")
$replace("text", /(t)/, "$1$2$$")
$replace("text", /(e)(x)/, "$2$1$12")
$replace("text", "t", "s", -1)
$replace("text", "t", "s", 1)
$replace("text", "t", "s", 0)
$replace("text", "t", "s", "1")
$replace("text", /t/, function($m){$m.match & "!"})
$replace("text", /t/, function($m){1})
$replace("text", /x*/, "y")
$replace(1, "t", "s")
$replace(nothing, "t", "s")
$replace("text", 1, "s")
$base64encode(1)
$base64encode("é")
$base64decode("w6k=")
$base64decode("w6k")
$base64decode("!!!")
$base64decode(1)
$encodeUrlComponent("a b/é?")
$encodeUrl("https://x.example/a b?é=1&c")
$encodeUrlComponent("\ud800")
$encodeUrl("\udc00x")
$decodeUrlComponent("%c3%a9%20")
$decodeUrlComponent("%c3")
$decodeUrlComponent("%zz")
$decodeUrl("%")
$decodeUrl("https://x.example/%3f%20")
$decodeUrlComponent(1)
$x$);

\echo -- numbers
SELECT pg_temp.each($x$
$number("a")
$number("")
$number(" 1 ")
$number("0x1F")
$number("0b101")
$number("0o17")
$number("0xG")
$number("1e400")
$number("-1.5e3")
$number("+1")
$number(".5")
$number(true)
$number(null)
$number(a)
$number(nothing)
$number()
$abs(-3)
$abs("a")
$abs(nothing)
$floor(-1.5)
$ceil(-1.5)
$floor("1")
$round(2.5)
$round(3.5)
$round(-2.5)
$round(1.005, 2)
$round(1250, -2)
$round(1350, -2)
$round(1, "2")
$round(nothing, 2)
$round(1e300, 5)
$power(2, 0.5)
$power(2, -1)
$power(-8, 1/3)
$power(10, 400)
$power("2", 2)
$power(0, 0)
$sqrt(-1)
$sqrt(2)
$sqrt("4")
$random(1)
$random() < 1
$sum("a")
$sum(["a"])
$sum([])
$sum(nothing)
$sum([1, nothing, 2])
$sum([1, null])
$max([])
$max("a")
$max([1, "a"])
$max(3)
$min([3, -1])
$min(nothing)
$average([])
$average([1, 2])
$average(["a"])
$count(nothing)
$count(1)
$count([[]])
$count([], 1)
$formatBase(10, 2)
$formatBase(-255, 16)
$formatBase(2.5, 2)
$formatBase(3.5, 2)
$formatBase(10, 1)
$formatBase(10, 37)
$formatBase(10, 36)
$formatBase(10, 2.5)
$formatBase("10")
$formatBase(nothing)
$formatNumber(1234.5, "#,##0.00")
$formatNumber(1234.5, "0.0;(0.0)")
$formatNumber(-1234.5, "0.0;(0.0)")
$formatNumber(0.14, "01%")
$formatNumber(0.14, "001‰")
$formatNumber(1234.5678, "00.000e0")
$formatNumber(1234, "#")
$formatNumber(0, "#")
$formatNumber(0, ".0")
$formatNumber(5, "a0b")
$formatNumber(12345, "#;#;#")
$formatNumber(1, "0.0.0")
$formatNumber(1, "0%%")
$formatNumber(1, "0‰‰")
$formatNumber(1, "0%‰")
$formatNumber(1, "abc")
$formatNumber(1, "0a0")
$formatNumber(1, "0,.0")
$formatNumber(1, "0.,0")
$formatNumber(1, "0,")
$formatNumber(1, "0,,0")
$formatNumber(1, "0#")
$formatNumber(1, "0.#0")
$formatNumber(1, "0e0%")
$formatNumber(1, "0e#")
$formatNumber(1, "")
$formatNumber(1, 1)
$formatNumber("1", "0")
$formatNumber(nothing, "0")
$formatNumber(1234.5, "#.##0,00", {"decimal-separator": ",", "grouping-separator": "."})
$formatNumber(-5, "0", {"minus-sign": "~"})
$formatNumber(5, "٠", {"zero-digit": "٠"})
$formatNumber(5, "0", {"zero-digit": "ab"})
$formatNumber(5, "0", {"decimal-separator": 1})
$formatNumber(5, "0", 1)
$formatInteger(1999, "I")
$formatInteger(3999999, "i")
$formatInteger(-4, "I")
$formatInteger(0, "A")
$formatInteger(28, "a")
$formatInteger(12, "w")
$formatInteger(12, "W;o")
$formatInteger(1e15, "w")
$formatInteger(21, "Ww;o")
$formatInteger(1234567, "#,##0")
$formatInteger(1234567, "0001")
$formatInteger(3, "0;o")
$formatInteger(113, "1;o")
$formatInteger(3, "٠0")
$formatInteger(3, "α")
$formatInteger(3, "")
$formatInteger(3, "#")
$formatInteger("3", "0")
$formatInteger(nothing, "0")
$formatInteger(3.7, "0")
$parseInteger("MCMXCIX", "I")
$parseInteger("XIIII", "I")
$parseInteger("ab", "a")
$parseInteger("twelve thousand and three", "w")
$parseInteger("twelfth", "w;o")
$parseInteger("1,234", "#,##0")
$parseInteger("x", "0")
$parseInteger("", "0")
$parseInteger("3", "α")
$parseInteger("forty tow", "w")
$parseInteger(3, "0")
$parseInteger(nothing, "0")
$x$);
-- decimals are exact, and as long as they are
SELECT pg_temp.each($x$
0.1 + 0.2
1 / 3
1 / 0
10 % 3
1e-30 + 1
$round(1.005, 2)
$round(2.5)
$sum([0.1, 0.2, 0.3])
$average([1, 2])
$power(2, 100)
$power(2, 0.5)
$sqrt(2)
$number("0.1000")
$string(0.1000)
$formatNumber(12345678901234567890.55, "#,##0.00")
$formatBase(255, 16)
12345678901234567890 = 12345678901234567891
1e131071 * 10
$x$, numbers => 'decimal');
SELECT pg_temp.try('1', numbers => 'float');
SELECT pg_temp.try('1', numbers => NULL);
SELECT pg_temp.try('a', bindings => '[]');
SELECT pg_temp.try('$a & $b', bindings => '{"a": 1, "b": null}');
SELECT pg_temp.try('$sum', bindings => '{"sum": 5}');
SELECT pg_temp.try('$', NULL), pg_temp.try(NULL), pg_temp.try('');

\echo -- dates
SELECT pg_temp.each($x$
$toMillis("2025-02-29")
$toMillis("2024-02-29T24:00:00Z")
$toMillis("2024-02-29T23:59:60Z")
$toMillis("2024-02-29")
$toMillis("2024-02")
$toMillis("2024")
$toMillis("2024-02-29T12:30:15.123+01:30")
$toMillis("yesterday")
$toMillis("")
$toMillis(1)
$toMillis(nothing)
$toMillis("29/02/2024", "[D01]/[M01]/[Y0001]")
$toMillis("30/02/2024", "[D01]/[M01]/[Y0001]")
$toMillis("29.2.24", "[D].[M].[Y01]")
$toMillis("Thursday 29th February 2024", "[FNn] [D1o] [MNn] [Y]")
$toMillis("11:59 pm", "[h]:[m01] [Pn]")
$toMillis("2024 W09", "[X0001] W[W01]")
$toMillis("2024-060", "[Y0001]-[d001]")
$toMillis("12", "[D]")
$toMillis("2024", "[Q]")
$toMillis("2024", "[Y")
$toMillis("x", "[Y]")
$fromMillis(0)
$fromMillis(-1)
$fromMillis(1e18)
$fromMillis(8.64e15)
$fromMillis(8.64e15 + 1)
$fromMillis("0")
$fromMillis(nothing)
$fromMillis(0, "[Y0001]-[M01]-[D01]T[H01]:[m01]:[s01].[f001][Z]", "+0530")
$fromMillis(0, "[Y]", "0530")
$fromMillis(0, "[Y]", "+530")
$fromMillis(0, "[Y]", "Z")
$fromMillis(0, "[Z0101t]")
$fromMillis(0, "[z]", "-0700")
$fromMillis(0, "[FNn], [D1o] [MNn,3-3] [YI]")
$fromMillis(0, "[H#1]:[h]:[P]:[PN]:[Pn]")
$fromMillis(0, "[W]/[w]/[X]/[x]/[d]/[F1]/[E]/[C]")
$fromMillis(0, "[[literal]]")
$fromMillis(0, "[Q]")
$fromMillis(0, "[Y")
$fromMillis(0, "]")
$fromMillis(0, "[YN]")
$fromMillis(0, "[M1,2-1]")
$fromMillis(0, "[s,*-3]")
$fromMillis(0, "")
$fromMillis(0, 1)
$now("[Q]")
$exists($now())
$type($millis())
$x$);

\echo -- arrays, objects, functions
SELECT pg_temp.each($x$
$append(1, 2)
$append([1], nothing)
$append(nothing, nothing)
$append(1)
$exists()
$exists(nothing)
$exists(n)
$exists($sum)
$sort([3, 1, 2])
$sort(["b", "a"])
$sort([1, "a"])
$sort([{"a": 1}])
$sort([3, 1, 2], function($l, $r){$l < $r})
$sort([3, 1, 2], 1)
$sort(nothing)
$sort(1)
$reverse(a)
$reverse(1)
$reverse(nothing)
$shuffle([1])
$distinct([1, "1", 1, [1], [1]])
$distinct(1)
$distinct(nothing)
$zip(a, ["x", "y"])
$zip(a, nothing)
$zip(1, 2)
$zip()
$keys(o)
$keys([{"a": 1}, {"b": 2, "a": 3}])
$keys(1)
$keys({})
$lookup(o, "x")
$lookup([{"a": 1}, {"a": 2}], "a")
$lookup(o, 1)
$lookup(1, "x")
$spread(o)
$spread([{"a": 1}, 2])
$spread("x")
$merge([{"a": 1}, {"a": 2, "b": 3}])
$merge([1])
$merge(o)
$merge([])
$merge(nothing)
$each(o, function($v, $k){$k & "=" & $v})
$each(1, function($v){$v})
$each(o, 1)
$each({}, function($v){$v})
$sift(o, function($v, $k){$k = "x"})
$sift(o, function($v){false})
$sift(o, 1)
$map(a, function($v, $i, $all){$v * $i + $count($all)})
$map(a, 1)
$map(nothing, $string)
$map(1, $string)
$map(a, $substring)
$filter(a, function($v){$v > 1})
$filter(a, 1)
$filter(1, function($v){true})
$filter(nothing, function($v){true})
$single(a, function($v){$v = 2})
$single(a, function($v){$v > 1})
$single(a, function($v){$v > 9})
$single(a)
$single([7])
$single([])
$single(a, 1)
$reduce(a, function($x, $y){$x + $y})
$reduce(a, function($x, $y){$x + $y}, 10)
$reduce(a, function($x){$x})
$reduce([], function($x, $y){$x})
$reduce([], function($x, $y){$x}, 5)
$reduce(nothing, function($x, $y){$x})
$reduce(a, 1)
$type(1)
$type(nothing)
$type(n)
$type(a)
$type($sum)
$type(/a/)
$boolean("")
$boolean("0")
$boolean(0)
$boolean([0, false])
$boolean([0, 1])
$boolean({})
$boolean($sum)
$boolean(nothing)
$not(nothing)
$not(1)
$error()
$error("mine")
$error(1)
$assert(true)
$assert(false)
$assert(false, "mine")
$assert(1)
$assert(nothing)
$x$);

\echo -- functions of the Amazon States Language
-- these are there in workflows alone
CREATE FUNCTION pg_temp.in_state(lines text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT e || '  ->  ' || coalesce(r -> 'output' ->> 'is', concat_ws(': ', r ->> 'error', regexp_replace(r ->> 'cause', '^An error occurred while executing the state ''A'' \(entered at the event id #2\)\. ', '')))
	FROM string_to_table(btrim(lines, E'\n'), E'\n') WITH ORDINALITY u(e, n),
		saga.simulate(jsonb_build_object('QueryLanguage', 'JSONata', 'StartAt', 'A', 'States', jsonb_build_object('A', jsonb_build_object('Type', 'Pass', 'End', true,
			'Output', jsonb_build_object('is', '{% ' || e || ' %}'))))) r
	ORDER BY n
$$;
SELECT pg_temp.in_state($x$
$partition([1, 2, 3, 4, 5], 2)
$partition([1], 0)
$partition([1], -1)
$partition([1], 1.5)
$partition([], 2)
$partition(1, 2)
$partition([1], "2")
$partition(nothing, 2)
$range(1, 10, 3)
$range(10, 1, -4)
$range(1, 10, 0)
$range(1, 1, 1)
$range(5, 1, 1)
$range(1, 1e9, 1)
$range("1", 2, 1)
$range(1, 2)
$range(0.5, 2, 0.5)
$hash("x", "MD5")
$hash("x", "SHA-1")
$hash("x", "SHA-256")
$hash("x", "SHA-384") = $hash("x", "SHA-384")
$length($hash("x", "SHA-512"))
$hash("x", "sha1")
$hash("x", "CRC")
$hash("x")
$hash(1, "MD5")
$hash(nothing, "MD5")
$parse("{\"a\": [1, null]}")
$parse("{")
$parse("")
$parse("1 2")
$parse(1)
$parse(nothing)
$length($uuid())
$uuid(1)
$random(1) = $random(1)
$random("a")
$partition([[1], [2]], 1)
$range(1, 1000, 1)[-1]
$states.input.x
$states.nothing
$eval("1")
$x$);


\echo -- functions of mappings
-- of a destination's expressions: decimals and dates
CREATE FUNCTION pg_temp.mapped(lines text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	e text;
	detail text;
BEGIN
	FOREACH e IN ARRAY string_to_array(btrim(lines, E'\n'), E'\n') LOOP
		BEGIN
			RETURN NEXT e || '  ->  ' || coalesce(saga.test_mapping(e, '{"day": "2025-03-01", "n": 1.10, "t": "x"}')::text, 'nothing');
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
			RETURN NEXT concat_ws(' ', e || '  -> ', SQLSTATE, SQLERRM, detail);
		END;
	END LOOP;
END $$;
SELECT pg_temp.mapped($x$
$decimal(n)
$decimal("1.10")
$decimal("1,10")
$decimal(1, 2)
$decimal(t)
$decimal(n, 0)
$decimal(nothing)
$decimal(2.345, 2)
$decimal(2.355, 2)
$decimal(-0.5, 0)
$decimal(1, -1)
$decimal(1, 1.5)
$decimal(1, 1000)
$date(day, "DD.MM.YYYY")
$date(day)
$date(day, "")
$date(day, "YYYYMMDD")
$date("2025-03-01T23:05:09Z", "HH24:MI:SS")
$date(day, "YYYY-MM-DD\"T\"HH24:MI:SS")
$date(day, "Mon YYYY")
$date(day, "YY")
$date(day, "\"open")
$date("2025-02-29", "YYYY")
$date("yesterday", "YYYY")
$date(1, "YYYY")
$date(nothing, "YYYY")
$date(day, 1)
$now()
$eval("1")
$nothing()
(1
%
""
{}
[]
null
$x$);

\echo -- regular expressions
SELECT pg_temp.each($x$
$match("aa", /(a)\1/)
$contains("x", /[/)
$contains("x", /(/)
$contains("x", /)/)
$contains("x", /*/)
$contains("x", /a**/)
$contains("x", /a{2,1}/)
$contains("x", /\/)
$contains("a/b", /a\/b/)
$contains("a\nb", /a.b/)
$contains("a\nb", /^b/)
$contains("a\nb", /^b/m)
$contains("é", /\u00e9/)
$contains("é", /^.$/)
$contains("𝒳", /^.$/)
$contains("aB", /b/i)
$contains("x", /(?<=x)/)
$contains("xy", /x(?=y)/)
$contains("xy", /x(?!y)/)
$contains("x", /(?<n>x)/)
$contains("x", /\p{L}/)
$contains("x", /[[:alpha:]]/)
$contains("x", /\bx\b/)
$contains("x", /$^/)
$contains("x", //)
$contains("x", /a{100000}/)
/a/("banana")
/a/("x")
/a/(1)
/a/("banana").next().start
$x$);
SELECT left(pg_temp.try('$contains("' || repeat('a', 40) || 'b", /^(a+)+$/)'), 200);
SELECT left(pg_temp.try('$contains("x", /' || repeat('a', 100000) || '/)'), 200);
SELECT left(pg_temp.try('$fromMillis(0, "' || repeat('x', 100000) || '")'), 200);
SELECT left(pg_temp.try(repeat('(', 20000) || '1' || repeat(')', 20000)), 200);
SELECT left(pg_temp.try('"' || repeat('x', 2000000) || '"'), 200);
SELECT left(pg_temp.try('$count($replace("' || repeat('x', 60000) || '", "x", "' || repeat('y', 60000) || '"))'), 200);
SELECT left(pg_temp.try('"\u0000"'), 200), left(pg_temp.try('$length("\u0000")'), 200), left(pg_temp.try('{"\ud800": 1}'), 200);
