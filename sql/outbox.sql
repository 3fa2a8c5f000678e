-- Destinations and the transactional outbox, in one session without any worker and any server:
-- nobody listens on port 1.
\set VERBOSITY terse
SET timezone = 'UTC';

-- ---------- settings: each fault with its JSON path ----------
\set VERBOSITY default
\set SHOW_CONTEXT never
CREATE FUNCTION pg_temp.fault(kind text, settings jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	PERFORM saga.create_destination('wrong', kind, settings);
	RAISE EXCEPTION 'accepted';
EXCEPTION WHEN invalid_parameter_value THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN detail;
END $$;

SELECT s AS http, pg_temp.fault('http', s::jsonb) FROM unnest(ARRAY[
	'[]', '{}', '{"url": 1}', '{"url": "ftp://a/"}', '{"url": "https://"}', '{"url": "https:///x"}',
	'{"url": "https://user:pw@a/"}', '{"url": "https://a/#x"}', '{"url": "https://a:0/"}', '{"url": "https://a:99999/"}',
	'{"url": "https://a:b/"}', '{"url": "https://[::1/"}', '{"url": "https://a b/"}', '{"url": "https://a/b c"}',
	'{"url": "https://a/../b"}', '{"url": "https://a/%2e%2E/b"}', '{"url": "https://a/x%2f..%2fb"}',
	'{"url": "https://a/%zz"}', '{"url": "https://a/{"}', '{"url": "https://a/{}"}', '{"url": "https://a/x\r\ny"}',
	'{"url": "https://a", "colour": "red"}', '{"url": "https://a", "topic_arn": "x"}',
	'{"url": "https://a", "method": "post"}', '{"url": "https://a", "timeout_ms": "1"}',
	'{"url": "https://a", "timeout_ms": 0}', '{"url": "https://a", "timeout_ms": 1.5}',
	'{"url": "https://a", "max_attempts": 1e30}', '{"url": "https://a", "factor": 0.5}',
	'{"url": "https://a", "jitter": "some"}', '{"url": "https://a", "allow_private": 1}',
	'{"url": "https://a", "allow_private": ["10.0.0.0/8", "10.0.0.0/33"]}', '{"url": "https://a", "allow_private": ["localhost"]}',
	'{"url": "https://a", "headers": []}', '{"url": "https://a", "headers": {"X-A": 1}}',
	'{"url": "https://a", "headers": {"X A": "1"}}', '{"url": "https://a", "headers": {"X-A": "1\r\nX-B: 2"}}',
	'{"url": "https://a", "headers": {"X-A": ""}}', '{"url": "https://a", "headers": {"X-A": "1", "x-a": "2"}}',
	'{"url": "https://a", "headers": {"Host": "b"}}', '{"url": "https://a", "headers": {"Content-Length": "1"}}',
	'{"url": "https://a", "headers": {"Authorization": "Bearer abc"}}', '{"url": "https://a", "headers": {"X-Api-Key": "abc"}}',
	'{"url": "https://a", "headers": {"X-A": "{secret:file:relative}"}}', '{"url": "https://a", "headers": {"X-A": "{secret:env:A-B}"}}',
	'{"url": "https://a", "headers": {"X-A": "{secret:vault:x}"}}', '{"url": "https://a", "headers": {"X-A": "{secret:env:A"}}',
	'{"url": "https://a", "idempotency_header": "a b"}', '{"url": "https://a", "ca_file": "x"}'
]) s;
SELECT s AS sns, pg_temp.fault('sns', s::jsonb) FROM unnest(ARRAY[
	'{}', '{"topic_arn": "x"}', '{"topic_arn": "arn:aws:sqs:eu-central-1:1:t"}', '{"topic_arn": "arn:aws:sns::1:t"}',
	'{"topic_arn": "arn:aws:sns:eu-central-1:1:t", "url": "https://a"}',
	'{"topic_arn": "arn:aws:sns:eu-central-1:1:t", "batch": 11}',
	'{"topic_arn": "arn:aws:sns:eu-central-1:1:t", "region": "a/b"}',
	'{"topic_arn": "arn:aws:sns:eu-central-1:1:t", "endpoint_url": "https://a/b"}',
	'{"topic_arn": "arn:aws:sns:eu-central-1:1:t", "credentials": "x"}',
	'{"topic_arn": "arn:aws:sns:eu-central-1:1:t", "credentials": {"access_key": "x"}}',
	'{"topic_arn": "arn:aws:sns:eu-central-1:1:t", "credentials": {"file": "x"}}'
]) s;
SELECT s AS sqs, pg_temp.fault('sqs', s::jsonb) FROM unnest(ARRAY[
	'{}', '{"queue_url": "x"}', '{"queue_url": "https://sqs.eu-central-1.amazonaws.com/"}',
	'{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/q?x=1"}',
	'{"queue_url": "https://queues.example.com/1/q"}',
	'{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/q", "topic_arn": "arn:aws:sns:eu-central-1:1:t"}',
	'{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/q", "batch": 0}',
	'{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/q", "max_bytes": 2000000}',
	'{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/q", "endpoint_url": "https://vpce.example.com/x"}'
]) s;
SELECT saga.create_destination('x', 'smtp', '{}');
SELECT saga.create_destination('a/b', 'http', '{"url": "https://a"}');

-- ---------- making, changing, dropping ----------
SELECT saga.create_destination('books', 'http',
	'{"url": "http://127.0.0.1:1/v1", "allow_private": true, "max_attempts": 2, "base_ms": 1}') > 0 AS made;
SELECT saga.create_destination('books', 'http', '{"url": "https://a"}');
SELECT saga.alter_destination('books', '{"url": 1}');
SELECT saga.alter_destination('none', '{}');
SELECT saga.pause_destination('books');
SELECT destination, kind, paused, waiting, sending, retrying, delivered, failed, last_status FROM saga.outbox_status;
SELECT saga.resume_destination('books');
SELECT q.name, q.kind, d.paused FROM saga.destination d JOIN saga.queue q ON q.queue_id = d.destination_id;

-- ---------- who may do what ----------
CREATE ROLE outbox_owner;
CREATE ROLE outbox_other;
CREATE ROLE outbox_team;
GRANT outbox_team TO outbox_owner;
GRANT USAGE ON SCHEMA saga TO outbox_owner, outbox_other;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA saga TO outbox_owner, outbox_other;
GRANT SELECT ON saga.outbox_status TO outbox_owner, outbox_other;
SET ROLE outbox_owner;
SELECT saga.create_destination('d1', 'http', '{"url": "https://a", "headers": {"Authorization": "{secret:file:/etc/passwd}"}}');
SELECT saga.create_destination('d1', 'http', '{"url": "https://a", "headers": {"X-A": "{secret:env:HOME}"}}');
SELECT saga.create_destination('d1', 'http', '{"url": "http://a", "allow_private": true}');
SELECT saga.create_destination('d1', 'http', '{"url": "https://a", "ca_file": "/x"}');
SELECT saga.create_destination('d1', 'sns', '{"topic_arn": "arn:aws:sns:eu-central-1:1:t"}');
SELECT saga.create_destination('own', 'http', '{"url": "https://example.invalid/own"}') > 0 AS made;
SELECT saga.set_destination_owner('own', 'outbox_other');
SELECT saga.set_destination_owner('own', 'outbox_team');
SELECT saga.alter_destination('books', '{"url": "https://a"}');
SELECT saga.publish_to('books', '{}');
SELECT saga.publish_to('own', '{}');
SELECT saga.publish_to('outbox_team.own', '{}') IS NOT NULL AS accepted;
SELECT destination FROM saga.outbox_status;
SELECT count(*) FROM saga.outbox;
RESET ROLE;
SET ROLE outbox_other;
SELECT saga.pause_destination('outbox_team.own');
SELECT saga.publish_to('outbox_team.own', '{}');
SELECT destination FROM saga.outbox_status;
RESET ROLE;
-- given away with its secret: the new owner uses it, and cannot point it elsewhere
SELECT saga.alter_destination('books', '{"url": "http://127.0.0.1:1/v1", "allow_private": true, "retry": {"deadline_s": 1}, "base_ms": 300, "jitter": "none", "headers": {"Authorization": "Bearer {secret:env:NO_SUCH_VARIABLE}"}}');
SELECT saga.set_destination_owner('books', 'outbox_team');
SET ROLE outbox_owner;
SELECT saga.publish_to('outbox_team.books', '{}') IS NOT NULL AS accepted;
SELECT saga.alter_destination('outbox_team.books', '{"url": "https://mine", "headers": {"X-A": "{secret:env:NO_SUCH_VARIABLE}"}}');
RESET ROLE;

-- ---------- what cannot be sent is refused at once ----------
SELECT saga.publish_to('outbox_team.books', NULL);
SELECT saga.publish_to('nowhere', '{}');
SELECT saga.publish_to('outbox_team.books', '{}', NULL, '{"X-A": "1\n2"}');
SELECT saga.publish_to('outbox_team.books', '{}', NULL, '{"Authorization": "Bearer abc"}');
SELECT saga.publish_to('outbox_team.books', '{}', NULL, '{"Idempotency-Key": "abc"}');
SELECT saga.publish_to('outbox_team.books', '{}', NULL, '{"Transfer-Encoding": "chunked"}');
SELECT saga.publish_to('outbox_team.books', '{}', NULL, '{"X-A": {}}');
SELECT saga.publish_to('outbox_team.books', '{}', NULL, '[]');
SELECT saga.publish_to('outbox_team.books', '{}', repeat('x', 300));
SELECT saga.create_destination('template', 'http', '{"url": "https://example.invalid/{seller.id}/x?n={number}"}') > 0 AS made;
SELECT saga.publish_to('template', '{"seller": {"id": "a"}}');
SELECT saga.publish_to('template', '{"seller": {"id": ".."}, "number": 1}');
SELECT saga.publish_to('template', '{"seller": {"id": "a/b"}, "number": 1.5}') IS NOT NULL AS accepted;
SELECT saga.create_destination('topic', 'sns', '{"topic_arn": "arn:aws:sns:eu-central-1:1:t"}') > 0 AS made;
SELECT saga.create_destination('fifo', 'sns', '{"topic_arn": "arn:aws:sns:eu-central-1:1:t.fifo"}') > 0 AS made;
SELECT saga.publish_to('topic', to_jsonb(repeat('x', 262144)));
SELECT saga.publish_to('topic', to_jsonb(repeat('x', 262144 - 57 + 1)));
SELECT saga.publish_to('topic', to_jsonb(repeat('x', 262144 - 57))) IS NOT NULL AS accepted;
SELECT saga.publish_to('topic', to_jsonb('a' || chr(7)));
SELECT saga.publish_to('topic', to_jsonb(chr(65534)));
SELECT saga.publish_to('topic', '"x"', NULL, '{"saga-message-id": "1"}');
SELECT saga.publish_to('topic', '"x"', NULL, '{"a b": "1"}');
SELECT saga.publish_to('fifo', '"x"');
SELECT saga.publish_to('fifo', '"x"', 'a b');
SELECT saga.publish_to('fifo', '"x"', 'k') IS NOT NULL AS accepted;

-- ---------- the transactional outbox ----------
SELECT saga.pause_destination(format('%s.%I', owner, name)) FROM saga.destination WHERE name <> 'books';
BEGIN;
SELECT saga.publish_to('outbox_team.books', '{"lost": true}') IS NOT NULL AS accepted;
ROLLBACK;
SELECT d.name, o.state, o.attempts, o.request FROM saga.outbox o JOIN saga.destination d USING (destination_id)
 WHERE d.name <> 'topic' ORDER BY o.outbox_id;

-- sending commits
BEGIN;
CALL saga.publish();
ROLLBACK;
CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CALL saga.publish(); END $$;
SELECT pg_temp.f();

-- the secret cannot be read: tried again, then a dead letter; nothing was sent
CALL saga.publish();
SELECT destination, waiting, sending, retrying, failed, last_error FROM saga.outbox_status WHERE destination = 'books';
CREATE PROCEDURE pg_temp.wait_for_dead_letter() LANGUAGE plpgsql AS $$
BEGIN
	WHILE NOT EXISTS (SELECT FROM saga.dead_letter WHERE redriven_at IS NULL) LOOP
		PERFORM pg_sleep(0.02);
		COMMIT;
		CALL saga.publish();
	END LOOP;
END $$;
CALL pg_temp.wait_for_dead_letter();
SELECT kind, reason, cause, receives, body, details FROM saga.dead_letter;
SELECT attempt, class, status, error, answer FROM saga.outbox_attempt ORDER BY started_at;

-- repaired, and sent again: nobody listens there
SELECT saga.alter_destination('outbox_team.books', '{"url": "http://127.0.0.1:1/v1", "allow_private": true, "max_attempts": 1, "base_ms": 1}');
SELECT dead_letter_id AS letter FROM saga.dead_letter \gset
SELECT saga.redrive(:'letter'::uuid) = (SELECT message_id FROM saga.dead_letter) AS same;
CALL saga.publish();
SELECT reason, cause LIKE 'Failed to connect to 127.0.0.1 port 1%' AS refused, receives FROM saga.dead_letter WHERE redriven_at IS NULL;
SELECT state, attempts, last_class, idempotency_key = outbox_id AS keyed FROM saga.outbox o JOIN saga.destination d USING (destination_id) WHERE d.name = 'books';

-- addresses are judged after the name was resolved
SELECT saga.alter_destination('outbox_team.books', jsonb_build_object('url', u, 'max_attempts', 5)) IS NOT NULL AS changed,
	saga.publish_to('outbox_team.books', to_jsonb(u)) IS NOT NULL AS accepted
 FROM unnest(ARRAY['http://127.0.0.1:1/']) u;
CALL saga.publish();
SELECT saga.alter_destination('outbox_team.books', '{"url": "http://localhost:1/", "max_attempts": 5}');
SELECT saga.publish_to('outbox_team.books', '"localhost"') IS NOT NULL;
CALL saga.publish();
SELECT saga.alter_destination('outbox_team.books', '{"url": "http://[::ffff:127.0.0.1]:1/", "max_attempts": 5}');
SELECT saga.publish_to('outbox_team.books', '"mapped"') IS NOT NULL;
CALL saga.publish();
SELECT saga.alter_destination('outbox_team.books', '{"url": "http://2130706433:1/", "max_attempts": 5, "allow_private": ["10.0.0.0/8"]}');
SELECT saga.publish_to('outbox_team.books', '"number"') IS NOT NULL;
CALL saga.publish();
SELECT o.request -> 'Body' AS body, o.state, o.attempts, o.last_error FROM saga.outbox o JOIN saga.destination d USING (destination_id)
 WHERE d.name = 'books' AND o.last_class = 'fatal' ORDER BY o.outbox_id;

-- ---------- dropping ----------
SELECT saga.drop_destination('topic');
SELECT saga.drop_destination('outbox_team.books');
SELECT saga.drop_destination('outbox_team.books');
SELECT count(*) FROM saga.queue WHERE name = 'destination/books';
SELECT saga.drop_queue('destination/topic');

DELETE FROM saga.outbox;
SELECT saga.drop_destination(format('%s.%I', owner, name)) FROM saga.destination;
SELECT count(*) FROM saga.message m WHERE m.kind = 'o';
SET pg_saga.keep_owners = off;
DROP OWNED BY outbox_owner, outbox_other;
DROP ROLE outbox_owner, outbox_other, outbox_team;
