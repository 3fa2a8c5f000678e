-- Foreign JSON as jsonb (src/net/jsonb_read.c), against the server's own parser: what that takes is taken, and is the same; what
-- it refuses is refused. Only what differs is shown.
CREATE EXTENSION pg_saga_test;
CREATE FUNCTION pg_temp.parsed(t text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN t::jsonb;
EXCEPTION WHEN OTHERS THEN
	RETURN NULL;
END $$;
CREATE FUNCTION pg_temp.differ(VARIADIC texts text[]) RETURNS TABLE (text text, server jsonb, got jsonb) LANGUAGE sql AS $$
	SELECT left(t, 60), pg_temp.parsed(t), saga_test.foreign_json(convert_to(t, 'UTF8')) FROM unnest(texts) t
		WHERE pg_temp.parsed(t) IS DISTINCT FROM saga_test.foreign_json(convert_to(t, 'UTF8'))
$$;

-- ---------- structure ----------
SELECT * FROM pg_temp.differ('', ' ', E'\n', '{}', '[]', ' {} ', E'\t[\n]\r ', '{', '}', '[', ']', '{]', '[}', '{}{}', '[] []', '[[]', '[]]', '{"a"}', '{"a":}', '{"a":1', '{"a":1,}', '{,}', '{"a":1,,"b":2}', '{"a" 1}', '{a:1}', '{''a'':1}', '{1:2}', '{null:1}', '{"a":1 "b":2}',
	'{"a"::1}', '{:1}', '[1,]', '[,1]', '[,]', '[1 2]', '[1,,2]', '[1:2]', '["a":1]', '{"a":1}}', '[1]]', '1 2', '"a" "b"', '1,', ',', ':', 'null', ' null ', 'nul', 'nulll', 'NULL', 'Null', 'true', 'tru', 'truee', 'TRUE', 'false', 'fals', 'falsee', 'undefined', 'NaN', 'Infinity', '-Infinity',
	'[null]', '[nul]', '[true,false,null]', '{"a":true}', '{"a":tru}', '[1]x', 'x[1]', '[1]//', '/**/[]', '[1/**/]', '#[]', E'[1\x0b]', E'[\x0c]', '[ ]', E'\ufeff[]', '[1]\', '{"a":{"b":{"c":[[[{"d":1}]]]}}}',
	'{"a":1,"a":2}', '{"a":1,"b":2,"a":3}', '{"":1}', '{"":{"":{"":[]}}}', '{"b":1,"a":2,"aa":3}', '{"\u0061":1,"a":2}');
-- ---------- strings ----------
SELECT * FROM pg_temp.differ('""', '"', '"a', 'a"', '"a""', '"\"', '"\\"', '"\\\"', '"\a"', '"\0"', '"\x41"', '"\''"', '"\/"', '"\b\f\n\r\t\"\\"', '"\u"', '"\u0"', '"\u00"', '"\u004"', '"\u0041"', '"\U0041"', '"\u004g"', '"\u 041"', '"\u0000"', '"a\u0000b"', '["\u0000"]', '{"\u0000":1}',
	'"\ud83d\ude00"', '"\ud83d"', '"\ude00"', '"\ud83d\ud83d"', '"\ude00\ud83d"', '"\ud83dx"', '"\ud83d\n"', '"\ud83d\u0041"', '"\ud800\udc00"', '"\udbff\udfff"', '"\ue000"', '"\uffff"', '"\uFFFE"', '"\u2028\u2029"', '"ä€😀"', E'"a\nb"', E'"a\tb"', E'"\x01"', E'"\x1f"', E'"\x7f"', E'"\x20"',
	'"\u0001"', '"\u001f"', '"' || repeat('a', 100000) || '"', '"' || repeat('\u00e4', 1000) || '"', '"' || repeat('\\', 1000) || '"', '"' || repeat('\\', 999) || '\"', '{"' || repeat('k', 10000) || '":1}', '{"a\"b":1}', '{"a\u00e4":1,"aä":2}', '["a","b","c"]', '"\u00E4"', '"\u00e4"');
-- each character behind a backslash, and each that is not written out
SELECT d.* FROM generate_series(1, 127) n, LATERAL pg_temp.differ('"\' || chr(n) || '"', '"' || chr(n) || '"', '[' || chr(n) || ']', chr(n) || '1', '1' || chr(n)) d;
-- ---------- numbers ----------
SELECT * FROM pg_temp.differ('0', '-0', '00', '01', '-01', '-', '+1', '--1', '1', '-1', '12345678901234567890', '0.0', '0.', '.0', '.', '-.5', '1.', '1.5', '1.50', '1.500000', '-1.5', '1e1', '1E1', '1e+1', '1e-1', '1e', '1e+', '1e-', '1e+-1', '1ee1', '1e1.0', '1.e1', '1.5e10', '1.5e-10', '0e0', '0e5', '-0e5', '0e-5', '0.00e3',
	'1e5', '1e17', '1e18', '1e19', '1e20', '123e-2', '123e-3', '123e-4', '1.23e2', '1.23e1', '1.23e5', '100e-2', '1e-17', '1e-20', '1e100', '1e-100', '1e1000', '1e-1000', '9223372036854775807', '9223372036854775808', '-9223372036854775808', '-9223372036854775809', '999999999999999999', '1000000000000000000', '0.1', '0.10', '0.01',
	'0.000000000000000001', '123456789.987654321', '1x', '1 1', '[1.]', '[-]', '[1e]', '[01]', '[1,2.5,-3e2]', '{"a":-0.0}', '1_0', '0x1', '1f', '1d', '1L', '0b1', '1e131072', '1e-20000', repeat('1', 1000), '0.' || repeat('1', 1000), repeat('9', 131072), repeat('9', 131073), '-' || repeat('1', 500) || '.' || repeat('2', 500) || 'e-100');
-- digits, points and exponents of all lengths
SELECT d.* FROM generate_series(1, 40) digits, generate_series(0, 4) behind, unnest(ARRAY['', 'e0', 'e3', 'e-3', 'E+20', 'e-25']) e, LATERAL pg_temp.differ(left(repeat('1234567890', 5), digits) || CASE WHEN behind > 0 THEN '.' || right(repeat('9876543210', 5), behind * 9) ELSE '' END || e) d;
-- ---------- depth ----------
SELECT n, saga_test.foreign_json(convert_to(repeat('[', n) || repeat(']', n), 'UTF8')) IS NOT NULL AS arrays, saga_test.foreign_json(convert_to(repeat('{"a":', n) || '1' || repeat('}', n), 'UTF8')) IS NOT NULL AS objects, saga_test.foreign_json(convert_to(repeat('[', n), 'UTF8')) IS NOT NULL AS open
	FROM unnest('{1,2,63,64,65,100,500,1000,1001,100000}'::int[]) n;
-- ---------- many things ----------
SELECT * FROM pg_temp.differ((SELECT jsonb_agg(i)::text FROM generate_series(1, 10000) i), (SELECT jsonb_object_agg('k' || i, i)::text FROM generate_series(1, 5000) i), (SELECT string_agg('{"a":' || i || ',"b":["x",{}]}', ',') FROM generate_series(1, 3) i), (SELECT '[' || string_agg('{"a":' || i || ',"b":["x",{}]}', ',') || ']' FROM generate_series(1, 3000) i));
-- each beginning and each text without one of its characters, of one that has everything
SELECT count(*), count(*) FILTER (WHERE pg_temp.parsed(t) IS DISTINCT FROM saga_test.foreign_json(convert_to(t, 'UTF8'))) AS differ
	FROM (VALUES ('{"a": [1, -2.5e+3, true, null, "x\u00e4\ud83d\ude00\n"], "b\"": {"c": [], "d": {}}, "": false}')) s(s), generate_series(1, length(s)) n, LATERAL (VALUES (left(s, n)), (overlay(s PLACING '' FROM n FOR 1)), (overlay(s PLACING '}' FROM n FOR 1)), (overlay(s PLACING '"' FROM n FOR 1)),
	(overlay(s PLACING '\' FROM n FOR 1)), (overlay(s PLACING ',' FROM n FOR 1)), (overlay(s PLACING '0' FROM n FOR 0))) t(t);
-- bytes that are no UTF-8
SELECT b, saga_test.foreign_json(b) FROM unnest(ARRAY['\x22ff22', '\x22c322', '\x22c0af22', '\x22eda08022', '\x22f490808022', '\x2200', '\x22610062', '\x5b315d00', '\x00', '\x5b0031005d']::bytea[]) b WHERE saga_test.foreign_json(b) IS NOT NULL;

-- ---------- leniently ----------
-- what jsonb cannot hold is kept as it is written; what is no JSON is not read
SELECT t, saga_test.foreign_json(convert_to(t, 'UTF8'), true) FROM unnest(ARRAY['"a\u0000b"', '{"\u0000": 1}', '"\ud83d"', '"\ude00x"', '1e400000', '-1e-400000', '[NaN]', '[Infinity, -Infinity]', '{"a": NaN}', 'nan', '[1,]', '{', '"\u00"', '[01]', '"ok"', '[1, "\ud800\u0041"]', '"\ud83d\ude00"']) t;
