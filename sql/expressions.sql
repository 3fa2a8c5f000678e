-- Paths, functions, choice rules and mappings against the server's own operators and functions, over all that a few
-- values can make. Only what differs is shown, and how much was compared.
SET client_encoding = 'UTF8';
SET timezone = 'UTC';
SET extra_float_digits = 3;
\pset null (nothing)

CREATE TEMP TABLE number (n numeric);
INSERT INTO number SELECT unnest('{0,1,-1,2,3,7,10,0.1,-0.1,0.5,1.5,2.5,-2.5,0.25,0.125,-0.125,1.005,2.675,99.995,100,1e10,1e-10,123456789.123456789,-123456789.987654321,9223372036854775807,-9223372036854775808,9223372036854775808,1e30,1e-30,0.30000000000000004}'::numeric[]);
CREATE TEMP TABLE word (t text);
INSERT INTO word SELECT unnest(ARRAY['', 'a', 'A', 'b', 'ab', 'ba', 'aba', 'abab', ' a ', 'Größe', 'größe', 'straße', 'ÄÖÜ', 'é', 'e', 'z', '10', '9', 'a.b', 'a,b,,c', 'naïve café', '日本語', '😀x😀', '%_\', 'INV-2026-03', '  two  blanks ']);
CREATE FUNCTION pg_temp.map(expr text, doc jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	RETURN saga.test_mapping(expr, doc)::text;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN SQLSTATE || ' ' || detail;
END $$;

-- ---------- mappings: numbers ----------
SELECT a.n AS a, op, b.n AS b, server, got FROM number a, number b, LATERAL (VALUES ('+', a.n + b.n), ('-', a.n - b.n), ('*', a.n * b.n)) o(op, server),
	LATERAL (SELECT pg_temp.map('a ' || op || ' b', jsonb_build_object('a', a.n, 'b', b.n)) AS got) g WHERE got::numeric IS DISTINCT FROM server;
-- the sign of a remainder is that of what is divided
SELECT a.n AS a, b.n AS b, mod(a.n, b.n) AS server, got FROM number a, number b, LATERAL (SELECT pg_temp.map('a % b', jsonb_build_object('a', a.n, 'b', b.n)) AS got) g WHERE b.n <> 0 AND got::numeric IS DISTINCT FROM mod(a.n, b.n);
-- a quotient has sixteen digits or more
SELECT a.n AS a, b.n AS b, got FROM number a, number b, LATERAL (SELECT pg_temp.map('a / b', jsonb_build_object('a', a.n, 'b', b.n)) AS got) g
	WHERE b.n <> 0 AND abs(got::numeric - a.n::numeric(200, 100) / b.n) > abs(a.n::numeric(200, 100) / b.n) * 1e-15;
SELECT a.n AS a, op, b.n AS b, server, got FROM number a, number b, LATERAL (VALUES ('<', a.n < b.n), ('<=', a.n <= b.n), ('>', a.n > b.n), ('>=', a.n >= b.n), ('=', a.n = b.n), ('!=', a.n <> b.n)) o(op, server),
	LATERAL (SELECT pg_temp.map('a ' || op || ' b', jsonb_build_object('a', a.n, 'b', b.n)) AS got) g WHERE got::boolean IS DISTINCT FROM server;
SELECT n, f, server, got FROM number, LATERAL (VALUES ('$abs(n)', abs(n)), ('$floor(n)', floor(n)), ('$ceil(n)', ceil(n)), ('-n', -n), ('$sum([n, n, 1])', n + n + 1), ('$number($string(n))', n)) v(f, server),
	LATERAL (SELECT pg_temp.map(f, jsonb_build_object('n', n)) AS got) g WHERE got::numeric IS DISTINCT FROM server AND NOT (f LIKE '%string%' AND abs(got::numeric - n) <= abs(n) * 1e-14);
-- a half goes to the even digit
CREATE FUNCTION pg_temp.half_even(n numeric, digits int) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN abs(n * 10.0 ^ digits - trunc(n * 10.0 ^ digits)) = 0.5 THEN 2 * round(n * 10.0 ^ digits / 2) / 10.0 ^ digits ELSE round(n, digits) END
$$;
SELECT n, digits, pg_temp.half_even(n, digits) AS server, got FROM number, generate_series(-2, 4) digits, LATERAL (SELECT pg_temp.map('$round(n, d)', jsonb_build_object('n', n, 'd', digits)) AS got) g
	WHERE abs(n) < 1e15 AND got::numeric IS DISTINCT FROM pg_temp.half_even(n, digits);
-- away from zero in texts with a number of digits; minor units are exact, or an error
SELECT n, digits, round(n, digits) AS server, got FROM number, generate_series(0, 6) digits, LATERAL (SELECT pg_temp.map('$decimal(n, d)', jsonb_build_object('n', n, 'd', digits)) AS got) g
	WHERE got IS DISTINCT FROM to_jsonb(CASE WHEN round(n, digits) = 0 THEN abs(round(n, digits)) ELSE round(n, digits) END::text)::text;
SELECT n, digits, got FROM number, generate_series(0, 4) digits, LATERAL (SELECT pg_temp.map('$minor(n, d)', jsonb_build_object('n', n, 'd', digits)) AS got) g
	WHERE got ~ '^22023' <> (n * 10::numeric ^ digits <> trunc(n * 10::numeric ^ digits)) AND abs(n) < 1e15 OR got !~ '^22023' AND got::numeric <> n * 10::numeric ^ digits;
-- pictures
SELECT n, picture, server, got FROM number, LATERAL (VALUES ('0', 'FM9999999999990'), ('0.00', 'FM9999999999990.00'), ('#,##0.00', 'FM9,999,999,999,990.00'), ('000.0', 'FM9999999999000.0')) p(picture, format), LATERAL (SELECT replace(to_char(pg_temp.half_even(n, length(substring(picture FROM '\.(0*)'))), format), '-.', '-0.') AS server) s,
	LATERAL (SELECT pg_temp.map('$formatNumber(n, p)', jsonb_build_object('n', n, 'p', picture)) AS got) g WHERE abs(n) < 1e12 AND picture ~ '\.' AND got IS DISTINCT FROM to_jsonb(CASE WHEN server ~ '[1-9]' THEN server ELSE ltrim(server, '-') END)::text;

-- ---------- mappings: texts ----------
SELECT a.t AS a, op, b.t AS b, got FROM word a, word b, LATERAL (VALUES ('<', a.t < b.t COLLATE "C"), ('<=', a.t <= b.t COLLATE "C"), ('>', a.t > b.t COLLATE "C"), ('=', a.t = b.t), ('!=', a.t <> b.t)) o(op, server),
	LATERAL (SELECT pg_temp.map('a ' || op || ' b', jsonb_build_object('a', a.t, 'b', b.t)) AS got) g WHERE got::boolean IS DISTINCT FROM server;
SELECT a.t AS a, f, b.t AS b, server, got FROM word a, word b, LATERAL (VALUES ('$contains(a, b)', to_jsonb(strpos(a.t, b.t) > 0)), ('a & b', to_jsonb(a.t || b.t)), ('$substringBefore(a, b)', to_jsonb(CASE WHEN strpos(a.t, b.t) > 0 THEN left(a.t, strpos(a.t, b.t) - 1) ELSE a.t END)),
		('$substringAfter(a, b)', to_jsonb(CASE WHEN strpos(a.t, b.t) > 0 THEN substr(a.t, strpos(a.t, b.t) + length(b.t)) ELSE a.t END)), ('$replace(a, b, "<>")', to_jsonb(replace(a.t, b.t, '<>'))), ('$join($split(a, b), b)', to_jsonb(a.t)),
		('$count($split(a, b))', to_jsonb(array_length(string_to_array(a.t, b.t), 1)))) v(f, server),
	LATERAL (SELECT pg_temp.map(f, jsonb_build_object('a', a.t, 'b', b.t)) AS got) g WHERE got::jsonb IS DISTINCT FROM server AND b.t <> '' AND NOT (a.t = '' AND f LIKE '%split%');
SELECT t, f, server, got FROM word, LATERAL (VALUES ('$length(t)', to_jsonb(length(t))), ('$uppercase(t)', to_jsonb(replace(translate(upper(t COLLATE "C"), 'äöüéï', 'ÄÖÜÉÏ'), 'ß', 'SS'))), ('$lowercase(t)', to_jsonb(translate(lower(t COLLATE "C"), 'ÄÖÜÉÏ', 'äöüéï'))), ('$trim(t)', to_jsonb(btrim(regexp_replace(t, '\s+', ' ', 'g')))),
		('$string(t)', to_jsonb(t)), ('$boolean(t)', to_jsonb(t <> '')), ('$pad(t, 8, "#")', to_jsonb(rpad(t, greatest(8, length(t)), '#'))), ('$pad(t, -8, "#")', to_jsonb(lpad(t, greatest(8, length(t)), '#'))), ('$split(t, "")', (SELECT coalesce(jsonb_agg(c ORDER BY i), '[]') FROM regexp_split_to_table(t, '') WITH ORDINALITY x(c, i) WHERE c <> ''))) v(f, server),
	LATERAL (SELECT pg_temp.map(f, jsonb_build_object('t', t)) AS got) g WHERE got::jsonb IS DISTINCT FROM server;
-- from each position, and so many characters
SELECT t, i, n, server, got FROM word, generate_series(-4, 4) i, generate_series(-1, 4) n, LATERAL (SELECT to_jsonb(CASE WHEN n <= 0 THEN '' ELSE substr(t, 1 + greatest(CASE WHEN i < 0 THEN length(t) + i ELSE i END, 0), n) END) AS server) s,
	LATERAL (SELECT pg_temp.map('$substring(t, i, n)', jsonb_build_object('t', t, 'i', i, 'n', n)) AS got) g WHERE got::jsonb IS DISTINCT FROM server;
-- dates, of all months and around their ends
SELECT d, server, got FROM (SELECT date '2023-12-28' + i AS d FROM generate_series(0, 800, 3) i UNION SELECT unnest('{2024-02-28,2024-02-29,2024-03-01,1999-12-31,2000-01-01,0001-01-01,9999-12-31}'::date[])) x,
	LATERAL (SELECT to_jsonb(to_char(d, 'DD.MM.YYYY YYYYMMDD')) AS server) s, LATERAL (SELECT pg_temp.map('$date(d, "DD.MM.YYYY YYYYMMDD")', jsonb_build_object('d', to_char(d, 'YYYY-MM-DD'))) AS got) g WHERE got::jsonb IS DISTINCT FROM server;

-- ---------- intrinsic functions ----------
SELECT t, f, server, got FROM word, LATERAL (VALUES ('States.Base64Encode($)', replace(encode(convert_to(t, 'UTF8'), 'base64'), E'\n', '')), ('States.Base64Decode(States.Base64Encode($))', t), ('States.Hash($, ''MD5'')', md5(t)), ('States.Hash($, ''SHA-256'')', encode(sha256(convert_to(t, 'UTF8')), 'hex')),
		('States.Hash($, ''SHA-384'')', encode(sha384(convert_to(t, 'UTF8')), 'hex')), ('States.Hash($, ''SHA-512'')', encode(sha512(convert_to(t, 'UTF8')), 'hex')), ('States.StringToJson(States.JsonToString($))', t)) v(f, server),
	LATERAL (SELECT saga.eval_path(f, to_jsonb(t)) #>> '{}' AS got) g WHERE got IS DISTINCT FROM server;
-- SHA-1 as FIPS 180 has it
SELECT t, saga.eval_path('States.Hash($, ''SHA-1'')', to_jsonb(t)) #>> '{}' AS got FROM (VALUES ('abc', 'a9993e364706816aba3e25717850c26c9cd0d89d'), ('', 'da39a3ee5e6b4b0d3255bfef95601890afd80709'),
	('abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq', '84983e441c3bd26ebaae4aa1f95129e5e54670f1')) v(t, hash) WHERE saga.eval_path('States.Hash($, ''SHA-1'')', to_jsonb(t)) #>> '{}' IS DISTINCT FROM hash;
SELECT a, b, step, got FROM generate_series(-3, 3) a, generate_series(-3, 3) b, unnest('{-2,-1,1,2,5}'::int[]) step, LATERAL (SELECT saga.eval_path(format('States.ArrayRange(%s, %s, %s)', a, b, step), '{}') AS got) g
	WHERE got IS DISTINCT FROM (SELECT coalesce(jsonb_agg(i ORDER BY o), '[]') FROM generate_series(a, b, step) WITH ORDINALITY x(i, o));
SELECT n, size, got FROM generate_series(0, 9) n, generate_series(1, 10) size, LATERAL (SELECT (SELECT coalesce(jsonb_agg(i), '[]') FROM generate_series(1, n) i) AS d) x, LATERAL (SELECT saga.eval_path(format('States.ArrayPartition($, %s)', size), d) AS got) g
	WHERE jsonb_array_length(got) <> ceil(n / size::numeric) OR (SELECT coalesce(jsonb_agg(e ORDER BY o, p), '[]') FROM jsonb_array_elements(got) WITH ORDINALITY a(part, o), jsonb_array_elements(part) WITH ORDINALITY b(e, p)) <> d OR EXISTS (SELECT FROM jsonb_array_elements(got) part WHERE jsonb_array_length(part) > size);
SELECT a.n, b.n, got FROM number a, number b, LATERAL (SELECT saga.eval_path('States.ArrayContains($.l, $.x)', jsonb_build_object('l', jsonb_build_array('x', a.n, NULL), 'x', b.n)) AS got) g WHERE got::boolean IS DISTINCT FROM (a.n = b.n);

-- ---------- paths ----------
CREATE TEMP TABLE doc AS SELECT $${"a": [{"b": 1, "c": [1, 2, 3]}, {"b": 2, "c": []}, {"b": "x", "d": {"b": 5, "c": [9]}}, 7, null, [10, [20, 30]]], "b": {"a": {"b": 0}}, "e": [], "f": "text", "n": null, "Ä b": {"c": true}}$$::jsonb AS d;
-- steps that both languages have, in all orders of three
CREATE TEMP TABLE step (ours text, theirs text);
INSERT INTO step VALUES ('', ''), ('.a', '.a'), ('.b', '.b'), ('.c', '.c'), ('.d', '.d'), ('[''Ä b'']', '."Ä b"'), ('[0]', '[0]'), ('[2]', '[2]'), ('[-1]', '[last]'), ('[*]', '[*]'), ('[0,1]', '[0,1]'), ('[1:3]', '[1 to 2]');
CREATE FUNCTION pg_temp.path(path text, d jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN saga.eval_path(path, d);
EXCEPTION WHEN OTHERS THEN
	RETURN 'nothing';
END $$;
-- strict, as our names and indexes take objects and arrays alone; what is not there is left out
SELECT count(*) AS paths FROM step a, step b, step c;
SELECT '$' || a.ours || b.ours || c.ours AS path, server, got FROM doc, step a, step b, step c,
	LATERAL (SELECT coalesce((SELECT jsonb_agg(x) FROM jsonb_path_query(d, ('strict $' || a.theirs || b.theirs || c.theirs)::jsonpath, '{}', true) x), '[]') AS server) s,
	LATERAL (SELECT pg_temp.path('$' || a.ours || b.ours || c.ours, d) AS got) g
	WHERE (a.ours || b.ours || c.ours) !~ '[*,:]' AND got IS DISTINCT FROM CASE WHEN server = '[]' THEN 'nothing' ELSE (server -> 0)::text END;
-- filters: each comparison of each value with each
SELECT op, v, server, got FROM unnest(ARRAY['==', '!=', '<', '<=', '>', '>=']) op, unnest(ARRAY['1', '2', '1.0', '''x''', 'null', 'true', '0']) v, LATERAL (SELECT '[1, 2, 1.5, "x", "y", "1", null, true, false, 0]'::jsonb AS d) x,
	LATERAL (SELECT coalesce((SELECT jsonb_agg(y) FROM jsonb_path_query(d, ('$[*] ? (@ ' || op || ' ' || replace(v, '''', '"') || ')')::jsonpath) y), '[]') AS server) s, LATERAL (SELECT saga.eval_path('$[?(@ ' || op || ' ' || v || ')]', d) AS got) g
	WHERE op IN ('==', '<', '>') AND v <> 'null' AND v <> 'true' AND got IS DISTINCT FROM server;

-- ---------- choice rules ----------
CREATE FUNCTION pg_temp.choice(operator text, value jsonb, x jsonb) RETURNS boolean LANGUAGE sql AS $$
	SELECT saga.eval_choice(jsonb_build_object('Variable', '$.x', operator, value), jsonb_build_object('x', x))
$$;
SELECT a.n, op, b.n FROM number a, number b, LATERAL (VALUES ('NumericEquals', a.n = b.n), ('NumericLessThan', a.n < b.n), ('NumericLessThanEquals', a.n <= b.n), ('NumericGreaterThan', a.n > b.n), ('NumericGreaterThanEquals', a.n >= b.n)) o(op, server) WHERE pg_temp.choice(op, to_jsonb(b.n), to_jsonb(a.n)) IS DISTINCT FROM server;
SELECT a.t, op, b.t FROM word a, word b, LATERAL (VALUES ('StringEquals', a.t = b.t), ('StringLessThan', a.t < b.t COLLATE "C"), ('StringLessThanEquals', a.t <= b.t COLLATE "C"), ('StringGreaterThan', a.t > b.t COLLATE "C"), ('StringGreaterThanEquals', a.t >= b.t COLLATE "C")) o(op, server) WHERE pg_temp.choice(op, to_jsonb(b.t), to_jsonb(a.t)) IS DISTINCT FROM server;
CREATE TEMP TABLE moment (t text);
INSERT INTO moment SELECT unnest('{2024-02-29T23:59:59Z,2024-03-01T00:59:59+01:00,2024-02-29T18:59:59-05:00,2024-03-01T00:00:00Z,2024-02-29T23:59:59.999999Z,1969-12-31T23:59:59Z,1970-01-01T00:00:00Z,1970-01-01T00:00:00.000001Z,9999-12-31T23:59:59Z,0001-01-01T00:00:00Z}'::text[]);
SELECT a.t, op, b.t FROM moment a, moment b, LATERAL (VALUES ('TimestampEquals', a.t::timestamptz = b.t::timestamptz), ('TimestampLessThan', a.t::timestamptz < b.t::timestamptz), ('TimestampLessThanEquals', a.t::timestamptz <= b.t::timestamptz), ('TimestampGreaterThan', a.t::timestamptz > b.t::timestamptz),
	('TimestampGreaterThanEquals', a.t::timestamptz >= b.t::timestamptz)) o(op, server) WHERE pg_temp.choice(op, to_jsonb(b.t), to_jsonb(a.t)) IS DISTINCT FROM server;
-- patterns: all of up to four characters against all texts of up to four, as a regular expression
CREATE TEMP TABLE pattern AS WITH RECURSIVE p(p) AS (SELECT '' UNION ALL SELECT p || c FROM p, unnest(ARRAY['a', 'b', '*', '\*']) c WHERE length(replace(p, '\*', '+')) < 4) SELECT p FROM p;
CREATE TEMP TABLE subject AS WITH RECURSIVE s(s) AS (SELECT '' UNION ALL SELECT s || c FROM s, unnest(ARRAY['a', 'b', '*']) c WHERE length(s) < 4) SELECT s FROM s;
SELECT count(*) AS compared FROM pattern, subject;
SELECT p, s FROM pattern, subject WHERE pg_temp.choice('StringMatches', to_jsonb(p), to_jsonb(s)) <> (s ~ ('^' || replace(replace(replace(p, '\*', '+'), '*', '.*'), '+', '\*') || '$')) LIMIT 5;
