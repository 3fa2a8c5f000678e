-- Sources in one session, without any process: settings, rights, inboxes, what is dropped.
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET timezone = 'UTC';

-- ---------- settings: each fault with its JSON path ----------
SELECT saga.create_queue('letters') > 0 AS made;
CREATE FUNCTION pg_temp.fault(settings jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	PERFORM saga.create_source('wrong', 'sqs', settings, 'letters');
	RAISE EXCEPTION 'accepted';
EXCEPTION WHEN invalid_parameter_value THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN detail;
END $$;
SELECT m AS member, pg_temp.fault(jsonb_build_object('queue_url', 'https://sqs.eu-central-1.amazonaws.com/1/q') || m::jsonb)
FROM unnest(ARRAY[
	'{"queue_url": null}', '{"queue_url": 1}', '{"queue_url": "https://sqs.eu-central-1.amazonaws.com"}',
	'{"queue_url": "https://queues.example.com/1/q"}', '{"region": "a b"}', '{"endpoint_url": "https://a/b?c"}',
	'{"credentials": {"file": "x"}}', '{"credentials": {"key": "x"}}', '{"allow_private": 1}', '{"allow_private": ["x"]}',
	'{"ca_file": "x"}', '{"max_queued": 0}', '{"max_queued": 1.5}', '{"max_dead_letters": 0}', '{"wait_s": 21}', '{"batch": 11}', '{"receives": 0}',
	'{"visibility_timeout_s": 1}', '{"unwrap_sns": "yes"}', '{"content": "xml"}', '{"content": 1}',
	'{"topic_arn": "x"}', '{"url": "x"}', '{"max_attempts": 1}', '{"Colour": "red"}'
]) m;
SELECT pg_temp.fault('[]');

-- ---------- what may be named ----------
\set settings '{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/q"}'
SELECT saga.create_source('a b', 'sqs', :'settings', 'letters');
SELECT saga.create_source('in', 'kafka', :'settings', 'letters');
SELECT saga.create_source('in', 'sqs', :'settings', 'nothing');
SELECT saga.create_destination('out', 'http', '{"url": "https://example.invalid"}') > 0 AS made;
SELECT saga.create_source('in', 'sqs', :'settings', 'destination/out');
SELECT saga.create_source('in', 'sqs', :'settings', 'letters') > 0 AS made;
SELECT saga.create_source('in', 'sqs', :'settings', 'letters');
SELECT saga.create_source('in', 'sqs', NULL, 'letters');
SELECT name, kind, queue, queue_url, state, received, last_error FROM saga.sources;
SELECT saga.alter_source('in', '{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/other", "content": "text"}');
SELECT saga.alter_source('in', '{}');
SELECT saga.alter_source('nothing', '{}');
SELECT saga.pause_source('in');
SELECT name, queue_url, state FROM saga.sources;
SELECT saga.resume_source('in');
SELECT name, state FROM saga.sources;

-- ---------- workflows and inboxes ----------
SELECT saga.create_workflow('w', '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}');
SELECT saga.create_source('w', 'sqs', :'settings', 'w') > 0 AS made;
SELECT saga.set_inbox('app', 'no_schema');
CREATE FUNCTION public.take(input jsonb, context jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT input - 'sent_at' $$;
SELECT saga.set_inbox('app', 'public.take');
SELECT saga.create_source('app', 'sqs', :'settings', 'app') > 0 AS made;
SELECT saga.create_source('app2', 'sqs', :'settings', 'app') > 0 AS made;
SELECT name, queue FROM saga.sources ORDER BY name;
SELECT w.name, w.version, v.definition FROM saga.workflow w JOIN saga.workflow_version v USING (workflow_id) WHERE name = 'app-inbox';
SELECT queue, handler, from_extension FROM saga.inbox ORDER BY queue;

-- ---------- invoices: the inbox of pg_invoice ----------
SELECT saga.create_source('invoices', 'sqs', :'settings', 'invoice') > 0 AS made;
SELECT queue FROM saga.sources WHERE name = 'invoices';
CREATE FUNCTION pg_temp.letter(id text, body text) RETURNS void LANGUAGE sql AS $$
	SELECT saga.start_execution('invoice-inbox', jsonb_build_object('body', body, 'source', 'invoices',
		'source_message_id', id, 'sent_at', '2025-03-01T12:00:00.5+00:00'));
$$;
\set document '{"number": "N-1", "seller": {"name": "Lindqvist AB"}, "n": "\\u0000", "amount": 1.50}'
SELECT pg_temp.letter('m1', :'document');
SELECT pg_temp.letter('m2', :'document');
SELECT pg_temp.letter('m3', 'no json');
SELECT pg_temp.letter('m4', '[]');
SELECT pg_temp.letter('m5', NULL);
SELECT pg_temp.letter('m6', '{"number": "N-1", "seller": {"name": "Lindqvist AB"}}');
SELECT pg_temp.letter('m7', repeat('[', 100000));
CALL saga.drain('invoice-inbox');
SELECT number, source_message_id, status FROM invoice_tracking ORDER BY source_message_id;
SELECT count(DISTINCT tracking_id) FROM invoice_tracking;
SELECT document::text = :'document' AS as_it_came FROM invoice_submission;
SELECT source, sent_at FROM invoice_source_message ORDER BY source_message_id;
SELECT source_message_id, tracking_id, reason,
	left(regexp_replace(cause, '[0-9a-f]{8}-[0-9a-f-]{27}', 'ID'), 90) AS cause, compensated, left(document #>> '{}', 20) AS document
FROM invoice_dlq ORDER BY source_message_id;
SELECT invoice_submit(:'document') = (SELECT min(tracking_id::text) FROM invoice_tracking)::uuid AS same;

-- ---------- rights ----------
CREATE ROLE source_reader;
CREATE ROLE source_other;
GRANT USAGE ON SCHEMA saga TO source_reader, source_other;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA saga TO source_reader, source_other;
GRANT SELECT ON saga.sources TO source_reader, source_other;
SET ROLE source_reader;
SELECT count(*) FROM saga.sources;
SELECT saga.create_queue('mine') > 0 AS made;
SELECT saga.create_source('r', 'sqs', :'settings', 'mine');
SELECT saga.create_source('r', 'sqs', jsonb_build_object('credentials', '{"file": "/x"}'::jsonb) || :'settings', 'mine');
SELECT saga.create_source('r', 'sqs', jsonb_build_object('credentials', '{"secret": "x"}'::jsonb) || :'settings', 'mine');
SELECT saga.pause_source('in');
SELECT saga.drop_source('in');
SELECT saga.alter_source('in', :'settings');
SELECT saga.set_inbox('app', 'public.take');
RESET ROLE;
GRANT pg_read_server_files TO source_reader;
SET ROLE source_reader;
SELECT saga.create_source('r', 'sqs', :'settings', 'letters');
SELECT saga.create_source('r', 'sqs', :'settings', 'mine') > 0 AS made;
SELECT saga.set_source_owner('r', 'source_other');
RESET ROLE;
GRANT source_other TO source_reader;
SET ROLE source_reader;
SELECT saga.set_source_owner('r', 'source_other');
RESET ROLE;
SELECT name, owner FROM saga.source WHERE name = 'r';
SET ROLE source_other;
SELECT name FROM saga.sources;
SELECT saga.drop_source('r');
RESET ROLE;
SELECT proname FROM pg_proc WHERE pronamespace = 'saga'::regnamespace AND proname ~ 'source|inbox'
	AND has_function_privilege('public', oid, 'EXECUTE');
SELECT relname FROM pg_class WHERE relnamespace = 'saga'::regnamespace AND relname ~ 'source|inbox'
	AND relkind IN ('r', 'v', 'S') AND has_any_column_privilege('public', oid, 'SELECT');

-- ---------- dropping ----------
INSERT INTO saga.source_seen SELECT source_id, 'x', saga.make_id(), now() FROM saga.source;
SELECT saga.drop_source(name) FROM saga.source ORDER BY name;
SELECT (SELECT count(*) FROM saga.source), (SELECT count(*) FROM saga.source_seen), (SELECT count(*) FROM saga.source_status);
SELECT saga.drop_source('in');
SELECT saga.drop_queue('source_reader.mine');
SET pg_saga.keep_owners = off;
DROP OWNED BY source_reader, source_other;
DROP ROLE source_reader, source_other;
