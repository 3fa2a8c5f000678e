-- Values, their text, numbers and times; ids; and foreign bytes that become such values. The server's own types are what
-- they are compared with: only what differs is shown, and how many there were.
CREATE EXTENSION pg_saga_test;
SET timezone = 'UTC';
\pset null (none)

-- ---------- values ----------
CREATE TEMP TABLE value (n int GENERATED ALWAYS AS IDENTITY, v jsonb);
INSERT INTO value (v) SELECT v::jsonb FROM unnest(ARRAY['null', 'true', 'false', '0', '-0.0', '1', '1.0', '1.50', '-1', '1e10', '1e-10', '9223372036854775807', '9223372036854775808', '-1e400', '1e400', '123456789012345678901234567890.12345',
	'""', '"a"', '"A"', '"aa"', '"b"', '"ä"', '"z"', '"Z"', '"￿"', '"😀"', '"1"', '"null"', '" "', '"\u0001"', '"\"\\\b\f\n\r\t/"', '"\u2028"', '"\u007f"',
	'[]', '[null]', '[[]]', '[[], []]', '[1]', '[1, 2]', '[2, 1]', '["1"]', '[{}]', '[1, [2, [3, [4, []]]]]', '[1.0]', '[true, false, null]',
	'{}', '{"a": 1}', '{"a": 1.0}', '{"a": 2}', '{"b": 1}', '{"A": 1}', '{"a": 1, "b": 2}', '{"aa": 1, "b": 2}', '{"": 0}', '{"a": {}}', '{"a": []}', '{"a": {"b": {"c": [{"d": null}]}}}', '{"ä": 1, "z": 2}', '{"a b": 1, "a\"b": 2}', '{"10": 1, "9": 2}']) v;
INSERT INTO value (v) SELECT jsonb_agg(i) FROM generate_series(1, 100) i;
INSERT INTO value (v) SELECT jsonb_object_agg('k' || i, i) FROM generate_series(1, 100) i;
INSERT INTO value (v) SELECT jsonb_object_agg(repeat('k', i), jsonb_build_array(repeat('v', i * 7), i, NULL, i % 2 = 0)) FROM generate_series(1, 70) i;
INSERT INTO value (v) SELECT (repeat('[', 500) || repeat(']', 500))::jsonb;
INSERT INTO value (v) SELECT (repeat('{"a": ', 500) || '1' || repeat('}', 500))::jsonb;
INSERT INTO value (v) SELECT to_jsonb(repeat('long', 10000));
SELECT count(*) FROM value;
-- taken apart and made one again it is the same, byte for byte
SELECT n, left(v::text, 50) FROM value WHERE saga_test.rebuild(v) <> v OR jsonb_send(saga_test.rebuild(v)) <> jsonb_send(v);
-- an order: of two that differ one is the smaller, whichever way round; what jsonb takes for equal is, and nothing else
SELECT a.v, b.v, saga_test.compare(a.v, b.v) FROM value a, value b WHERE saga_test.compare(a.v, b.v) <> -saga_test.compare(b.v, a.v) OR (saga_test.compare(a.v, b.v) = 0) <> (a.v = b.v);
-- and whoever is below one that is below a third, is below that
SELECT a.v, b.v, c.v FROM value a, value b, value c WHERE a.n <= 60 AND b.n <= 60 AND c.n <= 60
	AND saga_test.compare(a.v, b.v) <= 0 AND saga_test.compare(b.v, c.v) <= 0 AND saga_test.compare(a.v, c.v) > 0;
-- numbers as numbers, texts by code point
SELECT a.v, b.v FROM value a, value b WHERE jsonb_typeof(a.v) = 'number' AND jsonb_typeof(b.v) = 'number'
	AND saga_test.compare(a.v, b.v) <> sign((a.v #>> '{}')::numeric - (b.v #>> '{}')::numeric);
SELECT a.v, b.v FROM value a, value b WHERE jsonb_typeof(a.v) = 'string' AND jsonb_typeof(b.v) = 'string' AND a.n < 60 AND b.n < 60
	AND saga_test.compare(a.v, b.v) <> CASE WHEN convert_to(a.v #>> '{}', 'UTF8') < convert_to(b.v #>> '{}', 'UTF8') THEN -1 WHEN a.v = b.v THEN 0 ELSE 1 END;
-- elements, from the first on
SELECT v, i FROM value, generate_series(-4, 4) i WHERE jsonb_typeof(v) = 'array' AND saga_test.element(v, i) IS DISTINCT FROM CASE WHEN i >= 0 THEN v -> i END;
SELECT saga_test.element('[1, 2]', 9223372036854775807), saga_test.element('[1, 2]', -9223372036854775808);

-- ---------- their text ----------
-- it is the same value, and no blank is outside of a string
SELECT n, left(v::text, 50), left(saga_test.value_text(v), 50) AS got FROM value WHERE saga_test.value_text(v)::jsonb <> v OR regexp_replace(saga_test.value_text(v), '"(\\.|[^"\\])*"', '', 'g') ~ '\s' OR length(saga_test.value_text(v)) > length(v::text);
SELECT saga_test.value_text('{"a": [1, "x y", null, true, {"b": {}}], "c": "\"\\\n\u0001/ä😀"}'), saga_test.value_text('{"a": [1, "x y", null, true, {"b": {}}], "c": "q\"\n"}', true), saga_test.value_text('"top"', true), saga_test.value_text('1.50', true);
-- it stops behind the limit, and not before
SELECT n, "limit" FROM value, generate_series(0, 40) "limit" WHERE (saga_test.value_text(v, false, "limit") IS NULL) <> (octet_length(saga_test.value_text(v)) > "limit") AND octet_length(saga_test.value_text(v)) < 100;

-- ---------- numbers ----------
CREATE TEMP TABLE number (t text);
INSERT INTO number SELECT unnest(ARRAY['0', '-0', '1', '12', '-12', '0.5', '-0.5', '1.25', '1e5', '1E5', '1e+5', '1e-5', '1.5e10', '-1.5E-10', '0e0', '0.0e00', '00', '01', '-01', '.5', '5.', '5.e1', '+1', '-', '--1', 'e1', '1e', '1e+', '1e-', '1e1.5', '1.2.3',
	'', ' 1', '1 ', '1x', '0x10', '1_000', '1,5', 'NaN', 'Infinity', '-Infinity', '١', '1e999999999999', '0.0000000000000000000000000000001', repeat('9', 1000), '1' || repeat('0', 5000) || '.5']);
-- as long as the longest beginning that is a number of JSON; none where it begins another one and does not end it
SELECT left(t, 20), saga_test.number_length(t) AS got FROM number WHERE saga_test.number_length(t) <> CASE
	WHEN t ~ '^-?0[0-9]' OR t ~ '^-?[0-9]+\.([^0-9]|$)' OR t ~ '^-?[0-9]+(\.[0-9]+)?[eE][+-]?([^0-9+-]|$)' THEN 0
	ELSE coalesce(length(substring(t FROM '^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?')), 0) END;
SELECT count(*) FROM number;

-- ---------- times ----------
CREATE TEMP TABLE moment (t text);
INSERT INTO moment SELECT unnest(ARRAY['2024-02-29T23:59:59Z', '2024-02-29T23:59:59.5Z', '2024-02-29T23:59:59.123456Z', '2000-01-01T00:00:00+00:00', '2000-01-01T00:00:00-00:00', '1999-12-31T23:59:59.999999Z', '1970-01-01T00:00:00Z', '0001-01-01T00:00:00Z', '9999-12-31T23:59:59Z',
	'2024-06-30T12:00:00+14:00', '2024-06-30T12:00:00-12:30', '2024-06-30T00:00:00+00:01', '2024-12-31T23:59:59-15:59', '2024-01-01T00:00:00+15:59', '2100-02-28T01:02:03Z', '1900-03-01T00:00:00Z']);
SELECT t, saga_test.seconds_of(t) AS got FROM moment WHERE split_part(saga_test.seconds_of(t), '.', 1)::numeric + ('0.' || split_part(saga_test.seconds_of(t), '.', 2))::numeric IS DISTINCT FROM (extract(epoch FROM t::timestamptz) - 946684800)::numeric;
SELECT saga_test.seconds_of('2024-12-31T23:59:59-23:59'), saga_test.seconds_of('2024-01-01T00:00:00+23:59');
-- the nanoseconds below a microsecond
SELECT t, saga_test.seconds_of(t) FROM unnest(ARRAY['2000-01-01T00:00:00.1Z', '2000-01-01T00:00:00.000000001Z', '2000-01-01T00:00:00.123456789Z', '2000-01-01T00:00:00.999999999Z', '1999-12-31T23:59:59.000000001Z', '2000-01-01T00:00:00.0000000001Z']) t;
-- no other form
SELECT t, saga_test.seconds_of(t) FROM unnest(ARRAY['', '2024-01-01', '2024-01-01T00:00:00', '2024-01-01T00:00Z', '2024-01-01 00:00:00Z', '2024-1-01T00:00:00Z', '24-01-01T00:00:00Z', '2024-01-01T0:00:00Z', '2024-01-01T00:00:00.Z', '2024-01-01T00:00:00,5Z', '2024-01-01T00:00:00z',
	'2024-01-01t00:00:00Z', '2024-01-01T00:00:00+0100', '2024-01-01T00:00:00+01', '2024-01-01T00:00:00+1:00', '2024-01-01T00:00:00+24:00', '2024-01-01T00:00:00+01:60', '2024-01-01T00:00:00 Z', ' 2024-01-01T00:00:00Z', '2024-01-01T00:00:00Z ', '2023-02-29T00:00:00Z', '2100-02-29T00:00:00Z',
	'2024-04-31T00:00:00Z', '2024-00-10T00:00:00Z', '2024-13-10T00:00:00Z', '2024-01-00T00:00:00Z', '2024-01-32T00:00:00Z', '2024-01-01T24:00:00Z', '2024-01-01T00:60:00Z', '2024-01-01T00:00:60Z', '2024-01-01T00:00:61Z', '-2024-01-01T00:00:00Z', '+2024-01-01T00:00:00Z',
	'10000-01-01T00:00:00Z', 'now', 'infinity', '2024-01-01T00:00:00UTC', '2024-01-01T00:00:00ZZ', '２024-01-01T00:00:00Z']) t WHERE saga_test.seconds_of(t) IS NOT NULL;

-- ---------- pauses ----------
-- doubled each time, up to the most: however far that is from the first
SELECT failures, saga_test.backoff(10, failures, 60000) AS got FROM generate_series(0, 80) failures WHERE saga_test.backoff(10, failures, 60000) <> least(10::numeric * 2 ^ failures, 60000);
SELECT saga_test.backoff(1, 2147483647, 9223372036854775807) > 0, saga_test.backoff(0, 5, 100), saga_test.backoff(100, 0, 50), saga_test.backoff(1, 62, 9223372036854775807), saga_test.backoff(3, 62, 9223372036854775807), saga_test.backoff(1, 30, 86400000), saga_test.backoff(10, 24, 86400000), saga_test.backoff(5, -1, 100);

-- ---------- ids ----------
SELECT id, saga_test.uuid_previous(id) FROM unnest('{00000000-0000-0000-0000-000000000000,00000000-0000-0000-0000-000000000001,00000000-0000-0000-0000-000000000100,00000001-0000-0000-0000-000000000000,01a22971-0a46-7a76-a695-d4be54170f00,ffffffff-ffff-ffff-ffff-ffffffffffff}'::uuid[]) id;
SELECT saga_test.uuid_time('00000000-0000-7000-8000-000000000000'), saga_test.uuid_time('017f22e2-79b0-7cc3-98c4-dc0c0c07398f'), saga_test.uuid_time('ffffffff-ffff-7fff-bfff-ffffffffffff') > '9999-12-31', saga_test.uuid_time('00000000-0000-4000-8000-000000000000');
SELECT t, saga_test.uuid_parse(t) FROM unnest(ARRAY['01a22971-0a46-7a76-a695-d4be54170f48', '01A22971-0A46-7A76-A695-D4BE54170F48', '01a229710a467a76a695d4be54170f48', '{01a22971-0a46-7a76-a695-d4be54170f48}', '', 'x', '01a22971-0a46-7a76-a695-d4be54170f4', '01a22971-0a46-7a76-a695-d4be54170f480',
	'01a22971-0a46-7a76-a695-d4be54170f4g', ' 01a22971-0a46-7a76-a695-d4be54170f48', '01a22971-0a46-7a76-a695-d4be54170f48 ', '01a22971_0a46_7a76_a695_d4be54170f48']) t;

-- ---------- foreign texts ----------
SELECT b, saga_test.foreign_text(b) FROM unnest(ARRAY['', 'plain', 'Größe 😀', E'\\x61ff62', E'\\x61c3', E'\\xc0af', E'\\xeda080', E'\\xf4908080', E'\\xe282', E'\\x610062', E'\\xefbbbf61', E'\\x80', E'\\xf09f98']::bytea[]) b;
-- cut between characters
SELECT n, saga_test.foreign_text(convert_to('aä€😀z', 'UTF8'), n) FROM generate_series(0, 12) n;
-- each byte alone and in company
SELECT n FROM generate_series(0, 255) n WHERE NOT saga_test.foreign_text(set_byte('\x612061'::bytea, 1, n)) ~ CASE WHEN n BETWEEN 1 AND 127 THEN '^a.a$' ELSE '^a.+a$|^a.$' END;

-- what Content-Type says, what stands at the beginning, and what is valid
SELECT type, data, convert_from(saga_test.charset(type, data), 'UTF8') AS text FROM (VALUES
	('', 'Größe'::bytea), ('text/plain; charset=utf-8', convert_to('Größe', 'UTF8')), ('text/plain; charset=iso-8859-1', convert_to('Größe', 'LATIN1')), ('text/plain; charset=latin1', convert_to('Größe', 'LATIN1')), ('text/plain; charset="ISO-8859-15"', convert_to('5 €', 'LATIN9')),
	('text/html;charset=windows-1252', convert_to('„5 €“', 'WIN1252')), ('text/plain; charset=koi8-r', convert_to('да', 'KOI8R')), ('text/plain; charset=Shift_JIS', convert_to('日本', 'SJIS')), ('text/plain; charset=euc-jp', convert_to('日本', 'EUC_JP')), ('text/plain; charset=gbk', convert_to('中文', 'GBK')),
	('text/plain; charset=big5', convert_to('中文', 'BIG5')), ('application/json', '\xfeff007b007d'), ('application/json', '\xfffe7b007d00'), ('application/json', '\x007b007d'), ('application/json', '\x7b007d00'), ('application/json', '\xefbbbf7b7d'), ('text/plain', '\xefbbbf61'),
	('text/plain; charset=utf-16le', '\x61006200'), ('text/plain; charset=utf-16', '\xfeff00610062'), ('text/plain; charset=us-ascii', '\x6162'), ('text/plain; charset=martian', '\x6162'), ('text/plain; charset=martian', '\x61ff'), ('text/plain; charset=iso-8859-12', '\x61e4'),
	('text/plain; charset=iso-8859-99', '\x61e4'), ('text/plain; charset=utf-7', '\x2b4147452d'), ('text/plain; charset=', '\x6162'), ('text/plain; charset', '\x6162'), ('text/plain; format=flowed; charset=iso-8859-1', '\xe4'), ('text/plain', '\x61e4'), ('application/json', '\x22e422'),
	('application/json; charset=iso-8859-1', '\x22e422'), ('text/plain; charset=utf-8', '\xe4')) t(type, data) WHERE saga_test.charset(type, data) IS NULL OR saga_test.charset(type, data) IN (SELECT convert_to(convert_from(saga_test.charset(type, data), 'UTF8'), 'UTF8'));
