-- What keeps an owner's answers within bounds: foreign JSON is read as the server reads it.
CREATE FUNCTION pg_temp.foreign_json(text) RETURNS jsonb LANGUAGE c STRICT AS '$libdir/pg_saga', 'saga_test_jsonb_read';
CREATE FUNCTION pg_temp.servers_json(text) RETURNS jsonb LANGUAGE plpgsql AS $$
	BEGIN RETURN $1::jsonb; EXCEPTION WHEN OTHERS THEN RETURN NULL; END $$;
-- a number that is too large raises in both
CREATE FUNCTION pg_temp.our_json(text) RETURNS jsonb LANGUAGE plpgsql AS $$
	BEGIN RETURN pg_temp.foreign_json($1); EXCEPTION WHEN OTHERS THEN RETURN NULL; END $$;

CREATE TEMP TABLE texts (id int GENERATED ALWAYS AS IDENTITY, text text);
INSERT INTO texts (text) VALUES
	('null'), (' true '), ('false'), ('"a"'), ('1'), ('-0'), ('0'), ('01'), ('-'), ('1.'), ('.5'), ('1.50'), ('1e5'), ('1E-5'), ('1e'), ('+1'),
	('123456789012345678'), ('1234567890123456789'), ('-99999999999999999999999999'), ('1e400000'), ('NaN'), ('Infinity'), ('nul'), ('nulls'),
	('tru'), (''), (' '), ('[]'), ('{}'), ('[ ]'), ('{ }'), ('[1,2]'), ('[1,]'), ('[,1]'), ('[1 2]'), ('[1'), ('['), ('{'), ('{"a"'), ('{"a":'), ('{"a":1'),
	('{"a":1,}'), ('{"a" : 1 , "b":[{"c":null}, [], {}]}'), ('{"a":1,"a":2}'), ('{a:1}'), ('{1:1}'), ('{"a":1 "b":2}'), ('[1]]'), ('[1}'), ('{"a":1]'),
	('[1] x'), (E'[1,\n\t2]\r\n'), ('"\u00e4\ud83d\ude00\"\\\/\b\f\n\r\t"'), ('"\ud83d"'), ('"\ude00"'), ('"\ud83dx"'), ('"\ud83d\u0041"'), ('"\u0000"'), ('"\u12"'),
	('"\x"'), ('"\'), ('"'), ('"a'), (E'"a\nb"'), (E'"\x01"'), ('"ä€😀"'), ('["a\"b", "c\\"]'), ('{"k\u00e4": "v"}'), ('[true,false,null]'), ('[tru]'),
	(repeat('[', 200) || repeat(']', 200)), (repeat('{"a":', 150) || '1' || repeat('}', 150)), ('[' || repeat('1,', 10000) || '1]'), ('"' || repeat('a', 100000) || '"');
SELECT id, left(text, 30) AS text, pg_temp.our_json(text), pg_temp.servers_json(text)
FROM texts WHERE pg_temp.our_json(text) IS DISTINCT FROM pg_temp.servers_json(text) ORDER BY id;
-- a few digits with an exponent stand for a hundred thousand: some of them are read, and not thousands
SELECT pg_temp.foreign_json('[1e131071, 1E-16383]') = '[1e131071, 1e-16383]' AS large_numbers,
	pg_temp.foreign_json('[' || repeat('1e131071,', 9) || '1]') IS NULL AS too_many,
	pg_temp.foreign_json('[' || repeat('1e+00300,', 4000) || '1]') IS NULL AS too_many_smaller_ones,
	pg_temp.foreign_json('[' || repeat('1.5e-9,', 100000) || '1e0000000000001]') IS NOT NULL AS usual_ones;
-- how deep is ours to say
SELECT pg_temp.our_json(repeat('[', 201) || repeat(']', 201)) IS NULL AS too_deep;
SELECT count(*), count(pg_temp.our_json(text)) AS json FROM texts;

-- the same with a byte gone, doubled or another one
SELECT setseed(0.5);
CREATE TEMP TABLE mutated AS
	SELECT CASE (random() * 2)::int
		WHEN 0 THEN overlay(text PLACING '' FROM at FOR 1)
		WHEN 1 THEN overlay(text PLACING substr(text, at, 1) || substr(text, at, 1) FROM at FOR 1)
		ELSE overlay(text PLACING substr('{}[],:"\u0123456789 .eE+-tfn', 1 + (random() * 26)::int, 1) FROM at FOR 1) END AS text
	FROM (SELECT text, 1 + (random() * (length(text) - 1))::int AS at FROM texts, generate_series(1, 60) WHERE length(text) BETWEEN 1 AND 60) t;
SELECT text, pg_temp.our_json(text), pg_temp.servers_json(text)
FROM mutated WHERE pg_temp.our_json(text) IS DISTINCT FROM pg_temp.servers_json(text);

-- it can be cancelled
SET statement_timeout = '200ms';
SELECT count(pg_temp.foreign_json('[' || repeat('1,', 20000000) || '1]')) AS long;
RESET statement_timeout;
