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

-- ---------- regular expressions ----------

-- what would take too long finds nothing
CREATE FUNCTION pg_temp.try_regex(regex text, subject text DEFAULT 'x') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	RETURN saga.test_condition(jsonb_build_object('body', jsonb_build_object('matches', regex)), 200, NULL, subject);
EXCEPTION WHEN invalid_parameter_value THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN detail;
END $$;
SELECT left(regex, 40) AS regex, pg_temp.try_regex(regex) FROM unnest(ARRAY['(?=a*c)x', '(?!a)x', '(?<=a)x', '(?<!a)x', '(a)\1', 'a**',
	'((a?){30}){30}', '((a{1,255}){1,255})', '(a?){255}', '[ab]{255}[cd]{255}[ef]{255}[gh]{255}', '(?x)((a?) {20}){20}', E'(?x)(a? # )\n) {255}', '((a?)(?#x){20}){20}', '(?b)\(a*\)\{200\}', '(?e)[\]{200}(x{200}){200}[\]',
	repeat('(a|', 200) || repeat(')*', 200), repeat('a*b?', 200), repeat('x', 1001)]) regex;
SELECT regex, pg_temp.try_regex(regex, repeat('a', 60000) || 'c') FROM unnest(ARRAY['^(a+)+$', '^(a|aa)+$', '(a*)*b', '(?=(a+)+b)a', '^(a?){30}{0}(.*)*x$', '(.*?,){11}P']) regex;
-- and what people write is not
SELECT regex, pg_temp.try_regex(regex, 'error "6140": at 2026-01-31T12:00:00Z, 0f8fad5b-d9cb-469f-a165-70867728950e, not [ab] ') FROM unnest(ARRAY[
	'[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}', '(?i)ERROR\s+"?(61[34]\d|7\d{3})"?', '\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?Z', '^.{1,150}$', '[[:alpha:]]+ "[^"]{1,100}"', '\[(a|b)+\]', '[]x[]']) regex;
-- of a long text the beginning is searched
SELECT pg_temp.try_regex('b', repeat('a', 65535) || 'b'), pg_temp.try_regex('b', repeat('a', 65536) || 'b'), pg_temp.try_regex('a$', repeat('ä', 32767) || 'aä');

-- the same of destinations
CREATE FUNCTION pg_temp.try_settings(settings jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	PERFORM saga.create_destination('bounds', 'http', '{"url": "https://example.invalid/"}' || settings);
	PERFORM saga.drop_destination('bounds');
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(' ', SQLSTATE, coalesce(nullif(detail, ''), SQLERRM));
END $$;
SELECT left(settings::text, 70) AS settings, pg_temp.try_settings(settings) FROM unnest(ARRAY[
	'{"classify": [{"status": [200], "body": {"matches": "(?=a*c)x"}, "as": "fatal"}]}',
	'{"lookup": {"url": "/x", "found": "id", "same": {"path": "id", "matches": "((a?){30}){30}"}}}',
	'{"retry_after": {"body_regex": "in ([0-9]+) seconds"}}', '{"retry_after": {"body_regex": "in (?:about )*([0-9]+)?"}}', '{"retry_after": {"body_regex": "^((caa|ca|aa|aaaa|b)*)([0-9])?$"}}',
	'{"retry_after": {"body_regex": "([0-9]{2}){3}"}}', '{"retry_after": {"body_regex": "(?=x)([0-9]+)"}}', '{"retry_after": {"body_regex": "seconds"}}']::jsonb[]) settings;
SELECT pg_temp.try_settings(jsonb_build_object('classify', jsonb_agg(jsonb_build_object('body', jsonb_build_object('contains', 'x' || i), 'as', 'fatal')))) FROM generate_series(1, 101) i;
SELECT pg_temp.try_settings(jsonb_build_object('classify', jsonb_agg(jsonb_build_object('body', jsonb_build_object('path', 'x', 'in', x), 'as', 'fatal'))))
	FROM (SELECT jsonb_agg(i) x FROM generate_series(1, 900) i) x, generate_series(1, 3);
SELECT pg_temp.try_settings(jsonb_build_object('classify', jsonb_agg(jsonb_build_object('body', jsonb_build_object('matches', 'a'), 'as', 'fatal')))) FROM generate_series(1, 21) i;

-- ---------- settings ----------

-- large ones are refused before they are looked at
SELECT regexp_replace(pg_temp.try_settings(jsonb_build_object('headers', jsonb_object_agg('h' || i, 'x'))), 'take \d+', 'take ...') FROM generate_series(1, 60000) i;
SELECT regexp_replace(pg_temp.try_settings(jsonb_build_object('comment', repeat('x', 70000))), 'take \d+', 'take ...');
SELECT pg_temp.try_settings(jsonb_build_object('comment', repeat('x', 60000)));
SELECT saga.create_destination('large', 'http', '{"url": "https://example.invalid/"}') > 0 AS made;
SELECT saga.alter_destination('large', jsonb_build_object('like', 'large', 'comment', repeat('x', 70000)));
SELECT saga.alter_destination('large', jsonb_build_object('like', 'large', 'comment', repeat('x', 40000)));
SELECT saga.alter_destination('large', jsonb_build_object('like', 'large', 'headers', jsonb_build_object('x', repeat('y', 8000)), 'method', 'PUT', 'request', jsonb_build_object('body', jsonb_build_object('template', repeat('z', 30000)))));
SELECT saga.create_source('bounds', 'sqs', jsonb_build_object('queue_url', 'https://sqs.eu-central-1.amazonaws.com/1/x', 'region', repeat('x', 70000)), 'bounds');
-- what is stored is read as before
UPDATE saga.destination SET settings = settings || jsonb_build_object('comment', repeat('x', 200000)) WHERE name = 'large';
SELECT saga.publish_to('large', '{}') IS NOT NULL AS published;
-- many of one thing, or one twice
SELECT pg_temp.try_settings(jsonb_build_object('headers', jsonb_object_agg('h' || i, 'x'))) FROM generate_series(1, 101) i;
SELECT pg_temp.try_settings(jsonb_build_object('headers', jsonb_object_agg('h' || i, 'x'))) FROM generate_series(1, 100) i;
SELECT pg_temp.try_settings('{"headers": {"X-Other": "1", "x-one": "1", "X-One": "2"}}');
SELECT pg_temp.try_settings('{"headers": {"x-one": "1"}, "request": {"headers": {"X-One": "2"}}}');
SELECT pg_temp.try_settings(jsonb_build_object('headers', jsonb_object_agg('h' || i, '{secret:a' || i || '}'))) FROM generate_series(1, 17) i;

-- ---------- messages ----------

SELECT saga.create_destination('form', 'http', '{"url": "https://example.invalid/", "request": {"content_type": "form"}}') > 0 AS made;
CREATE FUNCTION pg_temp.try_message(payload jsonb, headers jsonb DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	RETURN saga.publish_to('form', payload, headers => headers) IS NOT NULL;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(' ', SQLSTATE, SQLERRM, nullif(detail, ''));
END $$;
SELECT pg_temp.try_message('{}', jsonb_object_agg('h' || i, 'x')) FROM generate_series(1, 60000) i;
SELECT pg_temp.try_message((repeat('{"' || repeat('k', 1000) || '":', 3000) || '1' || repeat('}', 3000))::jsonb);
SELECT pg_temp.try_message('{"a": {"b": [1, {"c": 2}]}}');
