-- What is true of the life of every message (src/endpoint/classify.c, src/outbox/flow.c, verdict.c), whatever is answered in
-- whatever order: all sequences of four answers, for destinations of each kind.  What breaks a rule is shown.
CREATE EXTENSION pg_saga_test;
SET search_path = saga_test, public;

CREATE TEMP TABLE destination (kind text, settings jsonb);
INSERT INTO destination SELECT kind, '{"url": "https://pay.example/payments", "base_ms": 1000, "factor": 3, "cap_ms": 5000, "jitter": "none", "max_attempts": 3}'::jsonb || more FROM (VALUES
	('key', '{}'::jsonb),
	('key for two minutes', '{"idempotency": {"ttl_s": 120}, "base_ms": 40000, "cap_ms": 40000}'),
	('no key', '{"idempotency": {"in": "none"}}'),
	('no key, safe', '{"idempotency": {"in": "none"}, "method": "GET"}'),
	('key and look-up', '{"lookup": {"url": "/payments", "found": "items[0]", "delay_ms": 0}}'),
	('look-up', '{"idempotency": {"in": "none"}, "lookup": {"url": "/payments", "found": "items[0]", "delay_ms": 0}}'),
	('poll', '{"idempotency": {"in": "none"}, "classify": [{"status": [202], "as": "pending"}], "poll": {"url": "/jobs", "path": "state", "success": ["done"], "fatal": ["broken"], "every_ms": 5000, "deadline_s": 30}}'),
	('hint', '{"retry_hint_header": "Should-Retry"}'),
	('deadline', '{"retry": {"deadline_s": 3}}')) d(kind, more);

CREATE TEMP TABLE answer (name text, a jsonb);
INSERT INTO answer VALUES
	('done', '{"status": 200, "body": {"state": "done", "items": [{"id": 1}]}}'),
	('none', '{"status": 200, "body": {"state": "running", "items": []}}'),
	('accepted', '{"status": 202}'),
	('refused', '{"status": 400, "header": "Should-Retry: true"}'),
	('not there', '{"status": 404}'),
	('credentials', '{"status": 401}'),
	('there already', '{"status": 409}'),
	('later', '{"status": 503, "header": "Retry-After: 7"}'),
	('broken', '{"status": 500, "header": "Should-Retry: false"}'),
	('lost', '{"transport": "lost"}'),
	('not sent', '{"transport": "not sent"}');

-- each life, a row for each answer that was asked for
CREATE TEMP TABLE life AS
	SELECT kind, s.names, row_number() OVER (PARTITION BY kind, s.names ORDER BY m.at) AS n, m.*
	FROM destination, (SELECT concat_ws(', ', a.name, b.name, c.name, d.name) AS names, jsonb_build_array(a.a, b.a, c.a, d.a) AS answers FROM answer a, answer b, answer c, answer d) s,
		message(settings, '{}', s.answers) m;
CREATE TEMP TABLE step AS SELECT *, lead(asked) OVER w AS asked_next, lead(at) OVER w AS at_next, lag(uncertain) OVER w AS was_uncertain, lag(epoch) OVER w AS epoch_before, min(at) FILTER (WHERE asked = 'send') OVER w AS sent_at,
		count(*) FILTER (WHERE asked = 'send' AND class NOT IN ('auth', 'retry')) OVER (PARTITION BY kind, names) AS sends, bool_or(class = 'uncertain' AND asked = 'send') OVER (PARTITION BY kind, names ORDER BY n) AS doubted,
		names || ' / ' || n AS where_
	FROM life WINDOW w AS (PARTITION BY kind, names ORDER BY n);
SELECT kind, count(DISTINCT names) AS lives, count(*) > 20000 AS many FROM life GROUP BY kind ORDER BY kind;

-- Nothing that may have been done is sent again, where neither a key nor the request itself makes that harmless.
SELECT DISTINCT kind, where_, asked, class, next FROM step WHERE kind IN ('no key', 'look-up', 'poll') AND uncertain AND next = 'send' LIMIT 5;
-- Under a key it is, but not when the server may have forgotten that.  (What waits for credentials is looked at once more when it is made: composing.c.)
SELECT DISTINCT kind, where_, at_next - sent_at AS after FROM step WHERE kind = 'key for two minutes' AND uncertain AND class <> 'auth' AND asked_next = 'send' AND at_next - sent_at > 60000 LIMIT 5;
SELECT count(*) > 0 AS sent_again FROM step WHERE kind LIKE 'key%' AND uncertain AND asked_next = 'send';
-- Doubt is ended by an answer of success, by "I have this already" or by a look-up, and by nothing else.
SELECT kind, where_, asked, class, verdict FROM step WHERE was_uncertain AND NOT uncertain AND verdict <> 'delivered' AND asked NOT IN ('lookup', 'poll') LIMIT 5;
SELECT kind, where_, asked, class, verdict FROM step WHERE doubted AND NOT uncertain AND verdict = 'failed' AND kind NOT LIKE '%look-up' LIMIT 5;
-- What fails in doubt has the error of its last answer, or says that nobody can find out; what does not, does not. A poll is doubt.
SELECT DISTINCT error FROM step WHERE verdict = 'failed' AND uncertain ORDER BY error;
SELECT kind, where_, error FROM step WHERE verdict = 'failed' AND NOT uncertain AND error = 'Saga.Uncertain' AND asked <> 'poll' LIMIT 5;
-- Only a good answer, or what was found, makes it delivered; and both do.
SELECT DISTINCT asked, class FROM step WHERE verdict = 'delivered' ORDER BY asked, class;
SELECT kind, where_, asked, class FROM step WHERE class = 'success' AND verdict <> 'delivered' AND asked = 'send' LIMIT 5;
-- No more attempts than there may be, and that one is not made again is said.
SELECT kind, where_, sends FROM step WHERE sends > 3 LIMIT 5;
SELECT kind, where_, verdict, next FROM step WHERE (verdict = 'again') <> (next IS NOT NULL) OR (next IS NULL) <> (delay IS NULL) LIMIT 5;
-- What comes next is what was said to come, in the time that was said.
SELECT kind, where_, next, asked_next FROM step WHERE asked_next IS NOT NULL AND asked_next <> next LIMIT 5;
SELECT kind, where_, at, delay, at_next FROM step WHERE at_next IS NOT NULL AND at_next <> at + 100 + delay LIMIT 5;
-- No pause is longer than the settings have it, but where the server asks for more; and none is negative.
SELECT kind, where_, class, delay FROM step WHERE delay < 0 OR delay > CASE WHEN kind = 'key for two minutes' THEN 40000 WHEN kind = 'poll' THEN 30000 ELSE 7000 END AND class <> 'auth' LIMIT 5;
-- Another key only where nothing is in doubt, or where the server keeps a failure under the old one.
SELECT kind, where_, epoch_before, epoch FROM step WHERE epoch < epoch_before LIMIT 5;
SELECT kind, count(*) FROM step WHERE epoch > coalesce(epoch_before, 0) AND kind NOT LIKE '%look-up' GROUP BY kind;
-- Refused credentials are no attempt of the message, and never its end.
SELECT kind, where_, verdict FROM step WHERE class = 'auth' AND verdict <> 'again' AND kind <> 'deadline' LIMIT 5;
-- A refusal is the end, if nothing before is in doubt; with a hint of the server's it may not be.
SELECT kind, where_, asked, class, verdict, next FROM step WHERE class = 'fatal' AND asked = 'send' AND verdict = 'again' AND NOT uncertain LIMIT 5;
-- Nothing is asked that the settings do not have.
SELECT DISTINCT kind, asked FROM life ORDER BY kind, asked;

-- ---------- undoing: the same, of the handler's own request ----------
CREATE TEMP TABLE undone AS
	SELECT s.kind, s.names, row_number() OVER (PARTITION BY s.kind, s.names ORDER BY m.at) AS n, m.*
	FROM (SELECT kind, more, concat_ws(', ', a.name, b.name, c.name) AS names, jsonb_build_array(a.a, b.a, c.a) AS answers FROM answer a, answer b, answer c, (VALUES
			('undo', '{"compensate": {"url": "/refunds"}}'::jsonb), ('undo or else', '{"compensate": {"url": "/refunds", "else": {"url": "/credits"}}}'),
			('undo once', '{"idempotency": {"in": "none"}, "compensate": {"url": "/refunds"}}')) k(kind, more)) s,
		message((SELECT settings FROM destination WHERE kind = 'key') || more, '{"compensate": true}', s.answers) m;
SELECT DISTINCT kind, asked FROM undone ORDER BY kind, asked;
-- the other way is not taken while the first may have been done
SELECT names, n, asked, class, next FROM undone WHERE asked = 'send' AND next = 'else' AND uncertain LIMIT 5;
SELECT kind, names, n, asked, class, next FROM undone WHERE kind = 'undo once' AND uncertain AND next = 'send' LIMIT 5;
SELECT DISTINCT kind, asked, class FROM undone WHERE verdict = 'delivered' ORDER BY kind, asked, class;
