-- Intrinsic functions, paths and conditions of workflows at their bounds, and what is said of those that are wrong.
-- What they do when all is well is in asl_value.
\pset format unaligned
\pset tuples_only on

-- A line is what a Pass state has as a parameter; shown with its value, or the error and its cause.
CREATE FUNCTION pg_temp.each(lines text, input jsonb DEFAULT '{"a": [1, 2, 3], "t": "text", "n": null, "big": 1e30, "o": {"x": 1}, "s": "a,b;c"}') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	e text;
	d jsonb;
	r jsonb;
	wrong text;
BEGIN
	FOREACH e IN ARRAY string_to_array(btrim(lines, E'\n'), E'\n') LOOP
		d := jsonb_build_object('StartAt', 'A', 'States', jsonb_build_object('A', jsonb_build_object('Type', 'Pass', 'End', true, 'Parameters', jsonb_build_object('is.$', e))));
		SELECT string_agg(message, '; ') INTO wrong FROM saga.validate(d) WHERE severity = 'ERROR';
		IF wrong IS NOT NULL THEN
			RETURN NEXT left(e, 100) || '  ->  invalid: ' || left(wrong, 300);
			CONTINUE;
		END IF;
		r := saga.simulate(d, input, '{}', '{"start_time": "2026-01-02T03:04:05.678Z"}');
		RETURN NEXT left(e, 100) || '  ->  ' || left(coalesce(r #>> '{output,is}', CASE WHEN r ->> 'status' = 'SUCCEEDED' THEN 'null' ELSE
			(r ->> 'error') || ': ' || regexp_replace(r ->> 'cause', '^An error occurred while executing the state ''A'' \(entered at the event id #2\)\. ', '') END), 300);
	END LOOP;
END $$;

\echo -- arrays
SELECT pg_temp.each($x$
States.Array()
States.Array(1)
States.Array($.n, $.t, 'x', true, -1.5)
States.Array(States.Array(States.Array()))
States.ArrayPartition($.a, 2)
States.ArrayPartition($.a, 0)
States.ArrayPartition($.a, -1)
States.ArrayPartition($.a, 1.5)
States.ArrayPartition($.a, 100)
States.ArrayPartition($.t, 1)
States.ArrayPartition($.a)
States.ArrayPartition($.a, 1, 2)
States.ArrayPartition($.none, 1)
States.ArrayContains($.a, 2)
States.ArrayContains($.a, '2')
States.ArrayContains($.a, null)
States.ArrayContains(States.Array($.n), null)
States.ArrayContains(States.Array($.o), $.o)
States.ArrayContains($.t, 't')
States.ArrayRange(1, 9, 2)
States.ArrayRange(9, 1, -2)
States.ArrayRange(1, 9, -2)
States.ArrayRange(1, 1, 1)
States.ArrayRange(1, 9, 0)
States.ArrayRange(1, 1000, 1)
States.ArrayRange(1, 1001, 1)
States.ArrayRange(1.2, 3, 1)
States.ArrayRange('1', 3, 1)
States.ArrayRange(-9223372036854775808, 9223372036854775807, 9223372036854775807)
States.ArrayGetItem($.a, 0)
States.ArrayGetItem($.a, 2)
States.ArrayGetItem($.a, 3)
States.ArrayGetItem($.a, -1)
States.ArrayGetItem($.a, 0.5)
States.ArrayGetItem($.t, 0)
States.ArrayLength($.a)
States.ArrayLength(States.Array())
States.ArrayLength($.t)
States.ArrayLength($.n)
States.ArrayUnique(States.Array(1, 1.0, '1', $.n, $.n, $.o, $.o))
States.ArrayUnique($.t)
States.ArrayUnique(States.Array())
$x$);

\echo -- texts
SELECT pg_temp.each($x$
States.Format('{}', $.t)
States.Format('{} {}', $.t)
States.Format('{}', $.t, $.t)
States.Format('no place')
States.Format('{}', $.n)
States.Format('{}', $.a)
States.Format('{}', $.o)
States.Format('{} {} {}', 1.50, true, -0)
States.Format('\{\} {}', $.t)
States.Format('it\'s {}', $.t)
States.Format('\\ {}', $.t)
States.Format('\q', $.t)
States.Format('{', $.t)
States.Format('}', $.t)
States.Format('{x}', $.t)
States.Format($.t, 1)
States.Format(1)
States.Format()
States.StringSplit($.s, ',')
States.StringSplit($.s, ',;')
States.StringSplit($.s, '')
States.StringSplit('', ',')
States.StringSplit(',,a,', ',')
States.StringSplit($.a, ',')
States.StringSplit($.s, 1)
States.StringSplit($.s)
States.Base64Encode('')
States.Base64Encode('ä€')
States.Base64Encode(1)
States.Base64Decode('w6TigqwK')
States.Base64Decode('')
States.Base64Decode('a')
States.Base64Decode('****')
States.Base64Decode('/w==')
States.Base64Decode('AA==')
States.Base64Decode($.n)
States.Hash('x', 'MD5')
States.Hash('x', 'SHA-1')
States.Hash('x', 'SHA-256')
States.Hash('x', 'SHA-384')
States.Hash('x', 'SHA-512')
States.Hash('x', 'sha-256')
States.Hash('x', $.n)
States.Hash($.o, 'MD5')
States.Hash(1, 'MD5')
States.Hash('x')
$x$);

\echo -- documents and numbers
SELECT pg_temp.each($x$
States.JsonToString($.o)
States.JsonToString($.n)
States.JsonToString($.none)
States.StringToJson('{"a": [1, null, "\u00e4"]}')
States.StringToJson('')
States.StringToJson('{')
States.StringToJson('nul')
States.StringToJson('1 2')
States.StringToJson('"\u0000"')
States.StringToJson('1e400')
States.StringToJson(1)
States.JsonMerge($.o, $.o, false)
States.JsonMerge($.o, $.o, true)
States.JsonMerge($.o, $.o)
States.JsonMerge($.o, $.o, 'no')
States.JsonMerge($.o, $.o, $.n)
States.JsonMerge($.o, $.a, false)
States.JsonMerge($.n, $.o, false)
States.MathAdd(1, 2)
States.MathAdd(1, -1)
States.MathAdd(2147483647, 1)
States.MathAdd(-2147483648, -1)
States.MathAdd(1.4, 1)
States.MathAdd(1.5, 1)
States.MathAdd('1', 1)
States.MathAdd($.n, 1)
States.MathAdd($.big, 1)
States.MathAdd(1)
States.MathRandom(1, 2)
States.MathRandom(1, 1)
States.MathRandom(2, 1)
States.MathRandom(1, 1000, 7)
States.MathRandom(1, 'x')
States.MathRandom(1)
States.UUID(1)
States.ArrayLength(States.StringSplit(States.UUID(), '-'))
States.Nothing(1)
States.format('{}', 1)
States.Format('{}', States.Nothing(1))
States.
States
States.Array(
States.Array)
States.Array(1
States.Array(1,)
States.Array(,1)
States.Array(1 2)
States.Array('a)
States.Array("a")
States.Array(1) x
States.Array($.a[?(@ > 1)])
$x$);
SELECT right(e, 60) FROM pg_temp.each(repeat('States.Array(', 9) || '1' || repeat(')', 9)) e;
SELECT right(e, 160) FROM pg_temp.each(repeat('States.Array(', 11) || '1' || repeat(')', 11)) e;
SELECT right(e, 60) FROM pg_temp.each('States.Base64Encode($.x)', jsonb_build_object('x', repeat('x', 10000))) e;
SELECT right(e, 160) FROM pg_temp.each('States.Base64Encode($.x)', jsonb_build_object('x', repeat('x', 10001))) e;
SELECT right(e, 160) FROM pg_temp.each('States.Hash($.x, ''MD5'')', jsonb_build_object('x', repeat('x', 10001))) e;

\echo -- paths
SELECT pg_temp.each($x$
$
$.
$..
$..x
$.a
$.a[0]
$.a[-1]
$.a[3]
$.a[-4]
$.a[0,2]
$.a[0,9]
$.a[0:2]
$.a[:2]
$.a[1:]
$.a[:]
$.a[::2]
$.a[2:0]
$.a[-2:]
$.a[*]
$.a[]
$.a[
$.a[x]
$.a['x']
$.a[1.5]
$.a[99999999999]
$['a']
$['a'
$['a
$["a"][0]
$['a','t']
$['a',]
$['\u0061']
$['\u00zz']
$['\ud800']
$['']
$.o.x
$.o.x.y
$.o['x']['y']
$.t.length()
$.a.length()
$.a.sum()
$.a.min()
$.a.max()
$.a.avg()
$.o.keys()
$.a.size()
$.a.first()
$.a[?(@ == 1)]
$.a[?(@ > 1 && @ < 3)]
$.a[?(@ < 2 || @ > 2)]
$.a[?(!(@ == 1))]
$.a[?(@ in [1, 3])]
$.a[?(@ nin [1, 3])]
$.a[?(@ in 1)]
$.a[?(@ in [1, 3)]
$.a[?(@ =~ /1/)]
$.t[?(@ =~ /1)]
$.a[?(@.x)]
$.a[?()]
$.a[?(@ ==)]
$.a[?(@ = 1)]
$.a[?(@ == 1]
$.a[?(@ == $.o.x)]
$.a[?($.o.x == 1)]
$..[?(@.x == 1)]
$.none
$.n
$.n.x
$$
$$.State.Name
$$.State.EnteredTime
$$.Execution.Id
$$.None
$$.
$none
$none.x
$1
a
.a
$a.
$ .a
$. a
$.a [0]
$.ä
$.a-b
$.a b
$x$);
