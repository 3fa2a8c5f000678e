-- What an answer means and what follows on it (classify.c and retry_after.c of src/endpoint, flow.c and settle.c of src/outbox): the whole life of a
-- message, an answer after the other.  Pauses are not random here.
CREATE EXTENSION pg_saga_test;
SET search_path = saga_test, public;
CREATE FUNCTION pg_temp.with(more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT '{"url": "https://pay.example/payments", "base_ms": 1000, "factor": 2, "cap_ms": 60000, "jitter": "none", "max_attempts": 4}'::jsonb || more
$$;
-- Its life in a line: what was asked, what it meant, and what comes next.
CREATE FUNCTION pg_temp.life(more jsonb, message jsonb, answers jsonb) RETURNS TABLE (at int, what text, next text, error text) LANGUAGE sql AS $$
	SELECT at, asked || ': ' || class || CASE WHEN uncertain THEN ' in doubt' ELSE '' END, coalesce(next || ' in ' || delay || CASE WHEN epoch > 0 THEN ', key ' || epoch ELSE '' END, verdict),
		error || ': ' || cause FROM saga_test.message(pg_temp.with(more), message, answers)
$$;

-- ---------- what a status means ----------
SELECT status, (SELECT class || ', ' || verdict FROM message(pg_temp.with(), '{}', jsonb_build_array(jsonb_build_object('status', status)))) AS means
FROM unnest('{101,200,204,299,301,400,401,402,403,404,408,409,410,422,425,429,500,501,502,503,504,507,599}'::int[]) AS status;
SELECT transport, (SELECT class || ', ' || verdict FROM message(pg_temp.with(), '{}', jsonb_build_array(jsonb_build_object('transport', transport)))) AS means
FROM unnest('{lost,not sent,refused}'::text[]) AS transport;
-- A 503 that says when to come again has turned the request away before it looked at it.
SELECT asked, class, next, delay, uncertain FROM message(pg_temp.with(), '{}', '[{"status": 503, "header": "Retry-After: 7"}]');
-- Redirects are not followed.
SELECT class, cause FROM message(pg_temp.with(), '{}', '[{"status": 302, "header": "Location: https://other.example/", "body": "moved"}]');

-- ---------- how long it waits ----------
SELECT * FROM pg_temp.life('{"max_attempts": 9}', '{}', (SELECT jsonb_agg('{"status": 500}'::jsonb) FROM generate_series(1, 9)));
-- What the server asks for, as far as the settings let it.
SELECT header, (SELECT delay FROM message(pg_temp.with(), '{}', jsonb_build_array(jsonb_build_object('status', 429, 'header', header)))) AS delay
FROM unnest('{Retry-After: 30,Retry-After: 1.5,Retry-After: 0,Retry-After: -5,Retry-After: soon,"Retry-After: Thu, 01 Jan 1970 00:00:00 GMT",Retry-After: 1e99,Retry-After: 1e999,Retry-After: 999999999999,Retry-After: nan,Retry-After: 0x1F}'::text[]) AS header;
SELECT delay FROM message(pg_temp.with('{"retry_after": {"header": "X-Wait", "max_s": 20}}'), '{}', '[{"status": 429, "header": "X-Wait: 30"}]');
SELECT delay FROM message(pg_temp.with('{"retry_after": {"body_regex": "again in ([0-9]+) s"}}'), '{}', '[{"status": 429, "body": "Try again in 55 seconds"}]');
SELECT delay FROM message(pg_temp.with('{"retry_after": {"default_s": 40}}'), '{}', '[{"status": 429}]');

-- ---------- a key protects a repetition, as long as the server knows it ----------
SELECT * FROM pg_temp.life('{}', '{}', '[{"status": 500}, {"transport": "lost"}, {"status": 200}]');
-- without one nothing is sent again that may have been done
SELECT * FROM pg_temp.life('{"idempotency": {"in": "none"}}', '{}', '[{"status": 500}]');
SELECT * FROM pg_temp.life('{"idempotency": {"in": "none"}}', '{}', '[{"status": 429}, {"transport": "not sent"}, {"status": 200}]');
SELECT * FROM pg_temp.life('{"idempotency": {"in": "none"}, "method": "GET"}', '{}', '[{"status": 500}, {"status": 200}]');
SELECT * FROM pg_temp.life('{"idempotency": {"in": "none"}, "uncertain_as": "retry"}', '{}', '[{"status": 500}, {"status": 200}]');
-- a minute before its end is too late
SELECT * FROM pg_temp.life('{"idempotency": {"ttl_s": 120}, "base_ms": 30000}', '{}', '[{"status": 500}, {"status": 500}, {"status": 500}]');
-- an answer in between that says "no effect" ends no doubt of the one before
SELECT * FROM pg_temp.life('{"max_attempts": 2}', '{}', '[{"status": 500}, {"status": 429}]');
SELECT * FROM pg_temp.life('{}', '{}', '[{"status": 500}, {"status": 400, "body": "no"}]');

-- ---------- "I have this already" ----------
SELECT * FROM pg_temp.life('{}', '{}', '[{"status": 409}]');
SELECT * FROM pg_temp.life('{}', '{}', '[{"status": 500}, {"status": 409}, {"status": 200}]');

-- ---------- a look-up ----------
CREATE FUNCTION pg_temp.lookup(more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('lookup', '{"url": "/payments", "found": "items[0]", "delay_ms": 0}'::jsonb || more)
$$;
SELECT * FROM pg_temp.life(pg_temp.lookup(), '{}', '[{"transport": "lost"}, {"body": {"items": [{"id": 1}]}}]');
-- it found nothing: the request is made again, and not as one in doubt
SELECT * FROM pg_temp.life(pg_temp.lookup(), '{}', '[{"transport": "lost"}, {"body": {"items": []}}, {"status": 200}]');
SELECT * FROM pg_temp.life(pg_temp.lookup(), '{}', '[{"transport": "lost"}, {"status": 404}, {"status": 200}]');
-- what does not say that it is not there says nothing
SELECT what, (SELECT string_agg(l.what || ' -> ' || l.next, '; ' ORDER BY at) FROM pg_temp.life(pg_temp.lookup(), '{}', jsonb_build_array('{"transport": "lost"}'::jsonb, answer)) AS l)
FROM (VALUES ('a gateway''s page', '{"status": 404, "type": "text/html", "body": "<h1>Not Found</h1>"}'::jsonb),
	('text that is no JSON', '{"status": 200, "body": "oops"}'), ('another object', '{"status": 200, "body": {"error": "x"}}'),
	('busy', '{"status": 503}'), ('cut off', '{"status": 200, "body": {"items": []}, "truncated": true}'),
	('not what it says to be', '{"status": 200, "body": {"items": []}, "unreadable": "it is not in the characters that it says"}'), ('a refusal', '{"status": 403}'),
	('credentials', '{"status": 401}')) AS v(what, answer);
-- of three equal failures and nothing found, the failure is kept under the key: another one
SELECT * FROM pg_temp.life(pg_temp.lookup() || '{"max_attempts": 9}', '{}',
	'[{"status": 500}, {"status": 404}, {"status": 500}, {"status": 404}, {"status": 500}, {"status": 404}, {"status": 200}]');
-- the settings were altered since: that nothing was found there proves nothing
SELECT * FROM pg_temp.life(pg_temp.lookup() || '{"idempotency": {"in": "none"}}', '{"altered_ms": 50}', '[{"transport": "lost"}, {"status": 404}]');
-- what it found is another message's
SELECT * FROM pg_temp.life(pg_temp.lookup() || '{"idempotency": {"in": "none"}}', '{}', '[{"transport": "lost"}, {"body": {"items": [{"id": 1}]}, "foreign": true}]');
SELECT * FROM pg_temp.life(pg_temp.lookup(), '{}', '[{"transport": "lost"}, {"body": {"items": [{"id": 1}]}, "foreign": true}, {"status": 200, "body": {"items": [{"id": 2}]}}]');
-- it is another one by what the settings say
SELECT * FROM pg_temp.life(pg_temp.lookup('{"same": {"path": "amount", "equals": 5}}'), '{}', '[{"transport": "lost"}, {"body": {"items": [{"id": 1}], "amount": 6}}]');
-- all attempts are used up, and the look-up has the last word
SELECT * FROM pg_temp.life(pg_temp.lookup() || '{"max_attempts": 1}', '{}', '[{"transport": "lost"}, {"status": 404}]');
SELECT * FROM pg_temp.life(pg_temp.lookup() || '{"max_attempts": 1}', '{}', '[{"transport": "lost"}, {"status": 500}]');
-- a request of the task's own is not what the look-up asks for
SELECT * FROM pg_temp.life(pg_temp.lookup() || '{"idempotency": {"in": "none"}}', '{"request": {"Path": "/other"}}', '[{"transport": "lost"}]');

-- ---------- a poll ----------
CREATE FUNCTION pg_temp.poll() RETURNS jsonb LANGUAGE sql AS $$
	SELECT '{"classify": [{"status": [202], "as": "pending"}],
		"poll": {"url": "/jobs", "path": "state", "success": ["done"], "fatal": ["broken"], "every_ms": 5000, "deadline_s": 30}}'::jsonb
$$;
SELECT * FROM pg_temp.life(pg_temp.poll(), '{}', '[{"status": 202}, {"body": {"state": "running"}}, {"status": 500}, {"body": {"state": "done"}}]');
SELECT * FROM pg_temp.life(pg_temp.poll(), '{}', '[{"status": 202}, {"body": {"state": "broken"}}]');
SELECT * FROM pg_temp.life(pg_temp.poll(), '{}', (SELECT '[{"status": 202}]'::jsonb || jsonb_agg('{"body": {"state": "running"}}'::jsonb) FROM generate_series(1, 9)));

-- ---------- credentials are no failure of the message ----------
SELECT * FROM pg_temp.life('{"max_attempts": 1}', '{}', '[{"status": 401}, {"status": 401}, {"status": 401}, {"status": 200}]');

-- ---------- rules of the settings come first ----------
SELECT * FROM pg_temp.life('{"classify": [{"status": [422], "body": {"path": "code", "equals": "again"}, "as": "retry"}, {"status": [200], "body": {"path": "ok", "equals": false}, "as": "fatal"}]}', '{}',
	'[{"status": 422, "body": {"code": "again"}}, {"status": 200, "body": {"ok": false}}]');

-- ---------- what an answer of success has to say ----------
SELECT * FROM pg_temp.life('{"capture": {"id": "id"}}', '{}', '[{"body": {"id": 7}}]');
-- done, and not readable: under the same key the same would come
SELECT * FROM pg_temp.life('{"capture": {"id": "id"}}', '{}', '[{"body": {"no": 7}}]');
SELECT * FROM pg_temp.life('{"capture": {"id": "id"}}' || pg_temp.lookup(), '{}', '[{"body": {"no": 7}}, {"body": {"items": [{"id": 7}], "id": 7}}]');

-- ---------- undoing ----------
CREATE FUNCTION pg_temp.undo(more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('compensate', '{"url": "/refunds"}'::jsonb || more)
$$;
SELECT * FROM pg_temp.life(pg_temp.undo(), '{"compensate": true}', '[{"status": 200}]');
-- refused: in another way, where there is one, with attempts of its own
SELECT * FROM pg_temp.life(pg_temp.undo('{"else": {"url": "/credits"}}') || '{"max_attempts": 2}', '{"compensate": true}',
	'[{"status": 429}, {"status": 409}, {"status": 500}, {"status": 500}]');
-- not when the first one may have been done
SELECT * FROM pg_temp.life(pg_temp.undo('{"else": {"url": "/credits"}}'), '{"compensate": true}', '[{"status": 500}, {"status": 404}]');
-- unless the server tells apart what is undone already
SELECT * FROM pg_temp.life(pg_temp.undo('{"else": {"url": "/credits"}, "already_done": {"status": [410]}}'), '{"compensate": true}', '[{"status": 500}, {"status": 404}, {"status": 200}]');
SELECT * FROM pg_temp.life(pg_temp.undo('{"already_done": {"status": [410]}}'), '{"compensate": true}', '[{"status": 500}, {"status": 410}]');

-- ---------- its time is over ----------
SELECT * FROM pg_temp.life('{"retry": {"deadline_s": 3}}', '{}', '[{"status": 429}, {"status": 429}]');

-- ---------- nobody waits for it any more: it is found out how it went ----------
SELECT * FROM pg_temp.life(pg_temp.lookup(), '{}', '[{"transport": "lost", "unwanted": true}, {"body": {"items": [{"id": 1}]}}]');
SELECT * FROM pg_temp.life(pg_temp.lookup(), '{}', '[{"transport": "lost", "unwanted": true}, {"status": 404}]');
-- a refusal: nothing was done
SELECT * FROM pg_temp.life('{}', '{}', '[{"status": 400, "unwanted": true}]');
-- the same request under the same key, where the server knows it for a time that is named
SELECT * FROM pg_temp.life('{"idempotency": {"ttl_s": 3600}}', '{}', '[{"transport": "lost", "unwanted": true}, {"status": 200}]');
SELECT * FROM pg_temp.life('{}', '{}', '[{"transport": "lost", "unwanted": true}]');
SELECT * FROM pg_temp.life('{"settle": {"by": "person"}}' || pg_temp.lookup(), '{}', '[{"transport": "lost", "unwanted": true}]');
-- and not for ever
SELECT * FROM pg_temp.life(pg_temp.lookup() || '{"settle": {"deadline_s": 60}}', '{}', '[{"transport": "lost", "unwanted": true}, {"status": 500}, {"status": 500, "takes": 61000}, {"status": 500}]');
