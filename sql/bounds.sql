-- Work for one message or one answer is counted or linear, and can be interrupted.
SET statement_timeout = '60s';

-- ---------- expressions ----------

-- searching takes a time that grows with the lengths, not with their product
CREATE TEMP TABLE searched AS
	SELECT jsonb_build_object('x', repeat('a', 4000000), 'y', repeat('a', 2000000) || 'b') AS doc;
SELECT saga.test_mapping('$contains(x, y)', doc) FROM searched;
SELECT saga.test_mapping('$length($substringBefore(x, y))', doc) FROM searched;
SELECT saga.test_mapping('$length($substringAfter(x, y))', doc) FROM searched;
SELECT saga.test_mapping('$count($split(x, y))', doc) FROM searched;
SELECT saga.test_mapping('$length($replace(x, y, ""))', doc) FROM searched;

-- what is found is still what was found, across the windows of the search as well
SELECT bool_and(saga.test_mapping('$length($substringBefore(x, "needle"))',
								  jsonb_build_object('x', repeat('n', at) || 'needle' || repeat('e', 100))) = to_jsonb(at)) AS found
	FROM generate_series(65520, 65550) at;
SELECT saga.test_mapping('[$count($split(x, ",")), $length($replace(x, ",", "")), $contains(x, ",,")]',
						 jsonb_build_object('x', repeat('part,', 50000)));

-- each byte that is read, copied or compared is counted
CREATE TEMP TABLE counted AS
	SELECT jsonb_build_object('x', repeat('ä', 50000), 'y', repeat('a', 255) || 'b', 'n', ('0.' || repeat('7', 900))::numeric,
							  'l', (SELECT jsonb_agg(i) FROM generate_series(1, 5000) i)) AS doc;
SELECT saga.test_mapping('$count(l.($length($$.x)))', doc) FROM counted;
SELECT saga.test_mapping('$count(l.($contains($$.x, $$.y)))', doc) FROM counted;
SELECT saga.test_mapping('$count(l.($substring($$.x, 25000, 1)))', doc) FROM counted;
SELECT saga.test_mapping('$count(l.($uppercase($$.x)))', doc) FROM counted;
SELECT saga.test_mapping('$count(l.($trim($$.x)))', doc) FROM counted;
SELECT saga.test_mapping('l[$$.x < $$.x]', doc) FROM counted;
SELECT saga.test_mapping('l[$$.x = $$.x & ""]', doc) FROM counted;
SELECT saga.test_mapping('$sum(l.($$.n / (1 - $$.n)))', doc) FROM counted;

-- parts that a result shares are counted each time they are in it
\set VERBOSITY terse
SELECT saga.test_mapping('$' || repeat('.{"a": $, "b": $}', 60), '{}');
\set VERBOSITY default
SELECT saga.test_mapping('$string($' || repeat('.{"a": $, "b": $}', 60) || ')', '{}');
SELECT saga.test_mapping('$count([$' || repeat('.{"a": $, "b": $}', 60) || ' = $' || repeat('.{"a": $, "b": $}', 60) || '])', '{}');

-- tens of thousands of lines are no work at all
SELECT jsonb_array_length(saga.test_mapping('lines.{"id": id, "amount": $decimal(net * 1.19), "text": $uppercase(text) & "!"}',
	jsonb_build_object('lines', (SELECT jsonb_agg(jsonb_build_object('id', i, 'net', i * 1.25, 'text', 'Line ' || i)) FROM generate_series(1, 20000) i))));
