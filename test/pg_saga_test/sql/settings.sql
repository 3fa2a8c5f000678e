-- Settings of destinations (src/endpoint/settings*.c): each number at the ends of what it may be and just behind them, each
-- member as something else than it should be, and members that nobody knows.  What is not as it should be is shown.
CREATE EXTENSION pg_saga_test;

-- whatever can be set, set
CREATE TEMP TABLE base AS SELECT '{
	"url": "https://pay.example/payments",
	"method": "POST",
	"timeout_ms": 1000,
	"connect_timeout_ms": 1000,
	"max_response_bytes": 1000,
	"request": {"timeout_ms": 1000, "connect_timeout_ms": 1000, "max_response_bytes": 1000},
	"retry": {"max_attempts": 5, "base_ms": 100, "factor": 2, "cap_ms": 1000, "jitter": "full", "deadline_s": 60},
	"retry_after": {"header": "Retry-After", "body_regex": "in (\\d+) s", "default_s": 1, "max_s": 60},
	"limits": {"group": "g", "concurrency": 5, "per_second": 1, "per_minute": 1, "per_hour": 1, "per_day": 1, "slow_start_s": 1,
		"breaker": {"window_s": 60, "min_requests": 5, "failure_share": 0.5, "open_s": 10}},
	"idempotency": {"in": "header", "name": "Key", "prefix": "", "max_len": 100, "ttl_s": 600},
	"lookup": {"url": "/payments", "found": "items[0]", "delay_ms": 5},
	"poll": {"url": "/jobs", "path": "state", "success": ["done"], "fatal": ["broken"], "every_ms": 5000, "deadline_s": 30},
	"settle": {"by": "lookup", "deadline_s": 60},
	"compensate": {"url": "/refunds", "timeout_ms": 1000}
}'::jsonb AS settings;
CREATE FUNCTION pg_temp.fault(settings jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM saga_test.message_json(settings, '{}', '[]');
	RETURN NULL;
EXCEPTION WHEN internal_error THEN
	RETURN SQLERRM;
END $$;
CREATE FUNCTION pg_temp.with(path text, value jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_set(settings, string_to_array(path, '.'), value) FROM base $$;
CREATE FUNCTION pg_temp.fault(path text, value jsonb) RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.fault(pg_temp.with(path, value)) $$;
SELECT pg_temp.fault(settings) FROM base;

-- ---------- numbers ----------
CREATE TEMP TABLE number (path text, lowest numeric, highest numeric, whole boolean DEFAULT true);
INSERT INTO number (path, lowest, highest) VALUES
	('timeout_ms', 1, 900000),
	('connect_timeout_ms', 1, 300000),
	('max_response_bytes', 1, 67108864),
	('request.timeout_ms', 1, 900000),
	('request.connect_timeout_ms', 1, 300000),
	('request.max_response_bytes', 1, 67108864),
	('compensate.timeout_ms', 1, 900000),
	('retry.max_attempts', 1, 10000),
	('retry.base_ms', 1, 86400000),
	('retry.cap_ms', 1, 86400000),
	('retry.deadline_s', 0, 31622400),
	('retry_after.default_s', 0, 604800),
	('retry_after.max_s', 0, 604800),
	('limits.concurrency', 1, 1000),
	('limits.per_second', 0, 1000000),
	('limits.per_minute', 0, 10000000),
	('limits.per_hour', 0, 100000000),
	('limits.per_day', 0, 1000000000),
	('limits.slow_start_s', 0, 3600),
	('limits.breaker.window_s', 0, 86400),
	('limits.breaker.min_requests', 1, 100000),
	('limits.breaker.open_s', 1, 86400),
	('idempotency.max_len', 16, 1024),
	('idempotency.ttl_s', 0, 315360000),
	('lookup.delay_ms', 0, 3600000),
	('poll.every_ms', 1, 86400000),
	('poll.deadline_s', 1, 31622400),
	('settle.deadline_s', 0, 31622400);
INSERT INTO number VALUES
	('retry.factor', 1, 100, false),
	('limits.breaker.failure_share', 0.01, 1, false);
-- at its ends it may be
SELECT path, n, fault FROM number, LATERAL unnest(ARRAY[lowest, highest]) n, LATERAL (SELECT pg_temp.fault(path, to_jsonb(n)) AS fault) f WHERE fault IS NOT NULL;
-- behind them it may not, and the fault names it and what it may be
SELECT path, n, fault FROM number, LATERAL (VALUES (lowest - CASE WHEN whole THEN 1 ELSE 0.001 END), (highest + CASE WHEN whole THEN 1 ELSE 0.001 END), (-1), (1e12), (1e300), (-1e300)) v(n),
	LATERAL (SELECT pg_temp.fault(path, to_jsonb(n)) AS fault) f
	WHERE n NOT BETWEEN lowest AND highest AND fault IS DISTINCT FROM format('$.%s must be between %s and %s', path, lowest, highest);
-- a part of one is none
SELECT path, fault FROM number, LATERAL (SELECT pg_temp.fault(path, to_jsonb(lowest + 0.5)) AS fault) f WHERE whole <> (fault IS NOT NULL);
-- written otherwise it is the same number
SELECT path, fault FROM number, LATERAL (SELECT pg_temp.fault(path, (lowest || '.0')::jsonb) AS fault) f WHERE whole AND fault IS NOT NULL;
-- nothing else is a number
SELECT path, v, fault FROM number, unnest(ARRAY['"5"', 'true', '[]', '{}', '""', '[5]']::jsonb[]) v, LATERAL (SELECT pg_temp.fault(path, v) AS fault) f
	WHERE coalesce(fault, '') !~ ('^' || regexp_replace('$.' || path, '([.$])', '\\\1', 'g') || ' must be ');
SELECT count(*) FROM number;
-- null is as if it were not there
SELECT path, pg_temp.fault(path, 'null') AS fault FROM number WHERE pg_temp.fault(path, 'null') IS DISTINCT FROM (SELECT pg_temp.fault(settings #- string_to_array(path, '.')) FROM base);

-- ---------- texts, objects and lists ----------
CREATE TEMP TABLE member (path text, kind text);
INSERT INTO member VALUES
	('url', 'text'),
	('method', 'text'),
	('request', 'object'),
	('retry', 'object'),
	('retry.jitter', 'text'),
	('retry_after', 'object'),
	('retry_after.header', 'text'),
	('retry_after.body_regex', 'text'),
	('limits', 'object'),
	('limits.group', 'text'),
	('idempotency', 'object'),
	('idempotency.in', 'text'),
	('idempotency.name', 'text'),
	('idempotency.prefix', 'text'),
	('lookup', 'object'),
	('lookup.url', 'text'),
	('lookup.found', 'text'),
	('poll', 'object'),
	('poll.url', 'text'),
	('poll.path', 'text'),
	('settle', 'object'),
	('settle.by', 'text'),
	('compensate', 'object'),
	('compensate.url', 'text');
SELECT path, v, fault FROM member, LATERAL (VALUES ('1'::jsonb, 'number'), ('true', 'number'), ('[]', 'list'), ('{}', 'object'), ('"\u0001"', 'text'), ('""', 'text')) x(v, is_a), LATERAL (SELECT pg_temp.fault(path, v) AS fault) f
	WHERE is_a <> kind AND (fault IS NULL OR strpos(fault, '$.' || path) <> 1);
SELECT path, pg_temp.fault(path, 'null') AS fault FROM member WHERE pg_temp.fault(path, 'null') IS DISTINCT FROM (SELECT pg_temp.fault(settings #- string_to_array(path, '.')) FROM base);
-- values that end a poll: one or several; a breaker may be true, for what is usual
SELECT path, v, pg_temp.fault(path, v) FROM unnest('{poll.success,poll.fatal}'::text[]) path, unnest(ARRAY['"done"', '["a", "b"]', '[]', '1', '[1, true, null]', '{}', '[{}]', '[[]]']::jsonb[]) v;
SELECT v, pg_temp.fault('limits.breaker', v) FROM unnest(ARRAY['true', 'false', '{}', '1', '"on"', '[]']::jsonb[]) v;
-- empty or with a control character it is refused as well, where it names something
SELECT path, v, pg_temp.fault(path, v) FROM member, unnest(ARRAY['""', '"\u0001"', '" "', '"a\nb"']::jsonb[]) v WHERE kind = 'text' ORDER BY path, v;
-- of each object: a member that nobody knows, one in other letters, and one more of what it has
SELECT path, fault FROM (SELECT '' AS path UNION SELECT path || '.' FROM member WHERE kind = 'object') o, unnest('{colour,URL,Timeout_ms,"",timeout-ms,"url "}'::text[]) name,
	LATERAL (SELECT pg_temp.fault(CASE WHEN path = '' THEN settings || jsonb_build_object(name, 1) ELSE jsonb_set(settings, string_to_array(rtrim(path, '.'), '.'), (settings #> string_to_array(rtrim(path, '.'), '.')) || jsonb_build_object(name, 1)) END) AS fault FROM base) f
	WHERE coalesce(fault, '') !~ 'is not a setting';
-- what must be there
SELECT path, pg_temp.fault((SELECT settings #- string_to_array(path, '.') FROM base)) AS fault FROM unnest('{url,method,lookup.url,lookup.found,poll.url,poll.path,poll.success,poll.fatal,compensate.url,idempotency.in,idempotency.name,settle.by,limits.group}'::text[]) path ORDER BY path;
-- what does not go together
SELECT what, pg_temp.fault(settings || more) AS fault FROM base, (VALUES
	('no retries beyond the first, and pauses', '{"retry": {"max_attempts": 1, "base_ms": 5000, "cap_ms": 1}}'::jsonb),
	('GET with a body', '{"method": "GET", "request": {"body": {"template": {"a": 1}}}}'),
	('a key in the body of a form', '{"idempotency": {"in": "body", "path": "a.b"}, "request": {"content_type": "form"}}'),
	('two kinds of body', '{"request": {"body": {"template": {}, "expr": "a"}}}'),
	('a poll without what is pending', '{"classify": []}'),
	('settled by a look-up that there is not', '{"lookup": null}'),
	('settled by nobody', '{"settle": {"by": "nobody"}}'),
	('jitter of another kind', '{"retry": {"jitter": "some"}}'),
	('a method of its own', '{"method": "BREW"}'),
	('a URL of its own for http', '{"url": "http://pay.example/"}'),
	('a header that is a secret', '{"headers": {"Authorization": "Bearer abc"}}'),
	('a header that is ours', '{"headers": {"Host": "other"}}'),
	('a key in a header that is ours', '{"idempotency": {"in": "header", "name": "Content-Length"}}'),
	('an expression that is wrong', '{"request": {"body": {"expr": "a +"}}}'),
	('a regular expression without a group', '{"retry_after": {"body_regex": "in [0-9]+ s"}}'),
	('a class that is none', '{"classify": [{"status": 500, "as": "maybe"}]}'),
	('a rule without condition', '{"classify": [{"as": "fatal"}]}'),
	('a rule without class', '{"classify": [{"status": 500}]}'),
	('rules that are no list', '{"classify": {"status": 500, "as": "fatal"}}')) v(what, more);
