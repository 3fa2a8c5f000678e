-- What functions say when they are called wrongly: SQLSTATE, message, detail and hint.
SET client_encoding = 'UTF8';
CREATE FUNCTION pg_temp.says(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	detail text;
	hint text;
BEGIN
	EXECUTE statement INTO result;
	RETURN coalesce(regexp_replace(result, '[0-9a-f]{8}-[0-9a-f-]{27}', 'ID', 'g'), '(null)');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN regexp_replace(concat_ws(' | ', SQLSTATE || ' ' || SQLERRM, nullif(detail, ''), nullif(hint, '')), '[0-9a-f]{8}-[0-9a-f-]{27}', 'ID', 'g');
END $$;
CREATE FUNCTION pg_temp.say(VARIADIC statements text[]) RETURNS TABLE (statement text, says text) LANGUAGE sql AS $$
	SELECT left(regexp_replace(s, '[0-9a-f]{8}-[0-9a-f-]{27}', 'ID', 'g'), 150), pg_temp.says('SELECT ' || s) FROM unnest(statements) WITH ORDINALITY u(s, n) ORDER BY n
$$;
\pset format unaligned
\pset tuples_only on

-- ---------- nothing but nulls ----------
-- each function, with a null for each argument: nothing, or an error that names the argument; never a crash, or one of the server's own
SELECT p.oid::regprocedure, pg_temp.says(format('SELECT %s(%s)', p.oid::regproc, (SELECT string_agg('NULL::' || format_type(t, NULL), ', ' ORDER BY i) FROM unnest(p.proargtypes) WITH ORDINALITY a(t, i))))
	FROM pg_proc p WHERE pronamespace = 'saga'::regnamespace AND prokind = 'f' AND prorettype <> 'trigger'::regtype AND pronargs > 0
	ORDER BY p.oid::regprocedure::text COLLATE "C";
-- what only a trigger may call
SELECT p.oid::regprocedure, pg_temp.says(format('SELECT %s()', p.oid::regproc)) FROM pg_proc p WHERE pronamespace = 'saga'::regnamespace AND prorettype = 'trigger'::regtype ORDER BY 1;
CREATE TABLE pg_temp.rows (n int);
CREATE TRIGGER rows BEFORE INSERT ON pg_temp.rows FOR EACH ROW EXECUTE FUNCTION saga.owner_only();

-- ---------- names that mean nothing ----------
SELECT * FROM pg_temp.say('saga.workflow_version(''none'')', 'saga.start_execution(''none'')', 'saga.start_execution(0)', 'saga.start_execution(-1)', 'saga.set_workflow_owner(''none'', current_user::regrole)',
	'saga.alter_destination(''none'', ''{}'')', 'saga.set_destination_owner(''none'', current_user::regrole)', 'saga.pause_destination(''none'')', 'saga.resume_destination(''none'')', 'saga.drop_destination(''none'')', 'saga.publish_to(''none'', ''{}'')',
	'saga.send(''none'', ''{}'')', 'saga.send_batch(''none'', ARRAY[''{}''::jsonb])', '(saga.receive(''none'')).body', 'saga.delete(''none'', ARRAY[]::uuid[])', 'saga.change_visibility(''none'', ARRAY[]::uuid[], ''1 s'')', 'saga.purge(''none'')', 'saga.drop_queue(''none'')',
	'saga.redrive(''none''::text)', 'saga.redrive(saga.make_id())', 'saga.redrive(saga.make_id(), true)', 'saga.redrive_anew(saga.make_id())', 'saga.alter_source(''none'', ''{}'')', 'saga.pause_source(''none'')', 'saga.resume_source(''none'')', 'saga.drop_source(''none'')', 'saga.set_source_owner(''none'', current_user::regrole)',
	'saga.drop_secret(''none'')', 'saga.grant(''queue'', ''none'', current_user::regrole, ''use'')', 'saga.revoke(''queue'', ''none'', current_user::regrole, ''use'')', 'saga.settle(''none'', ''unknown'', now())', 'saga.settle(saga.make_id(), ''done'')', 'saga.stop_execution(saga.make_id())',
	'saga.set_inbox(''none'', ''public.none'')', 'saga.create_source(''s'', ''sqs'', ''{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/q"}'', ''nowhere'')');
-- names that cannot be one
SELECT left(n, 20), left(pg_temp.says(format('SELECT saga.create_queue(%L)', n)), 150) AS queue, left(pg_temp.says(format('SELECT saga.create_workflow(%L, ''{}'')', n)), 100) AS workflow,
		left(pg_temp.says(format('SELECT saga.create_destination(%L, ''http'', ''{"url": "https://a"}'')', n)), 150) AS destination
	FROM unnest(ARRAY['', ' ', 'a b', 'a/b', 'a.b.c', '.', 'a.', '.a', '"', '"a', '"a"b', 'nobody.a', repeat('n', 200), E'a\nb']) n;
SELECT * FROM pg_temp.say('saga.grant(''table'', ''a'', current_user::regrole, ''use'')', 'saga.grant(''queue'', ''a'', current_user::regrole, ''eat'')', 'saga.grant(''workflow'', ''a'', current_user::regrole, ''use'')', 'saga.grant('''', '''', current_user::regrole, '''')');

-- ---------- executions ----------
SELECT saga.create_workflow('asks', '{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3600, "Next": "P"}, "P": {"Type": "Pass", "End": true}}}');
SELECT saga.create_workflow('quick', '{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}');
SELECT saga.start_execution('asks', '{"n": 1}', 'first') AS waits \gset
SELECT saga.start_execution('quick', '{}', 'second') AS ended \gset
CALL saga.drain();
SELECT workflow, status FROM saga.executions ORDER BY workflow;
SELECT * FROM pg_temp.say('saga.start_execution(''asks'', ''{"n": 1}'', ''first'') = ' || quote_literal(:'waits'), 'saga.start_execution(''asks'', ''{"n": 2}'', ''first'')', 'saga.start_execution(''asks'', ''{}'', '''')', format('saga.start_execution(''asks'', ''{}'', %L)', repeat('n', 1000)),
	format('saga.start_execution(''quick'', ''{}'', NULL::text, %L)', :'ended'), format('saga.start_execution(''quick'', ''{}'', NULL::text, %L)', :'waits'), 'saga.start_execution(''asks'', ''{}'', NULL::text, ''00000000-0000-4000-8000-000000000000'')',
	'split_part(saga.start_execution(''asks'', ''{}'', NULL::text, ''ffffffff-ffff-7fff-bfff-ffffffffffff'')::text, ''-'', 1)', format('saga.start_execution(''asks'', to_jsonb(repeat(''x'', 20000000)))'),
	format('saga.stop_execution(%L)', :'ended'), format('saga.replace_execution(%L, %L)', :'waits', :'ended'), format('saga.replace_execution(%L, %L)', :'waits', :'waits'));
-- said of calls that nobody waits for, or in words that are none
SELECT * FROM pg_temp.say('saga.settle(saga.make_id(), ''maybe'')', 'saga.settle(saga.make_id(), ''ask'')', 'saga.settle(saga.make_id(), ''done'', to_jsonb(repeat(''x'', 20000000)))', format('saga.settle(%L::uuid, ''unknown'')', :'waits'),
	format('saga.settle(%L::uuid, ''done'')', :'ended'), format('saga.settle(%L::uuid, ''no_effect'')', :'ended'), 'saga.settle(''x'', ''done'', ''{}'')', 'saga.settle(''x'', ''unknown'', ''yesterday or so'')');
-- tokens
SELECT left(regexp_replace(t, '[0-9a-f]{8}-[0-9a-f-]{27}', 'ID'), 50), pg_temp.says(format('SELECT saga.send_task_success(%L, ''{}'')', t)) AS success, pg_temp.says(format('SELECT saga.send_task_heartbeat(%L)', t)) AS heartbeat
	FROM unnest(ARRAY['', 'x', '1.2.3.4', '1.' || :'waits' || '.0.', '999999.' || :'waits' || '.0.abc', repeat('1', 5000)]) t;
-- steps that are called by hand
SELECT * FROM pg_temp.say('saga.fail(NULL)', 'saga.failure(NULL)', 'saga.fail(''Mine'', ''because'')', 'saga.failure(''Mine'', ''because'') ? ''x''', 'saga.fail('''', NULL)');
SELECT * FROM pg_temp.say('saga.bind_resource('''', ''sql:a.b'')', 'saga.bind_resource(''arn:a'', ''sql:b'')', 'saga.bind_resource(''arn:a'', ''x'')', 'saga.bind_resource(''arn:a'', NULL)', format('saga.bind_resource(%L, ''sql:a.b'')', 'arn:' || repeat('x', 5000)), format('saga.bind_resource(''arn:a'', %L)', 'sql:a.' || repeat('x', 5000)));

-- ---------- queues ----------
SELECT saga.create_queue('q'), saga.create_queue('letters');
SELECT * FROM pg_temp.say('saga.create_queue(''q'')', 'saga.create_queue(''r'', visibility_timeout => ''-1 s'')', 'saga.create_queue(''r'', visibility_timeout => ''1000 years'')', 'saga.create_queue(''r'', max_receives => -1)', 'saga.create_queue(''r'', dead_letter_queue => ''none'')',
	'saga.create_queue(''r'', dead_letter_queue => ''r'')', 'saga.create_queue(''r'', retention => ''-1 day'')', 'saga.send(''q'', NULL) IS NULL', 'saga.send(''q'', ''{}'', ''-1 s'')', 'saga.send(''q'', ''{}'', ''1000 years'')', 'saga.send(''q'', to_jsonb(repeat(''x'', 20000000)))',
	'saga.send(''q'', ''{}'', headers => ''[]'')', 'saga.send(''q'', ''{}'', group_id => ''g'')', 'saga.send_batch(''q'', ARRAY[NULL]::jsonb[])', 'saga.send_batch(''q'', ARRAY[]::jsonb[])', 'saga.send_batch(''q'', ARRAY[[''{}'', ''{}''], [''{}'', ''{}'']]::jsonb[])', '(saga.receive(''q'', 0)).body', '(saga.receive(''q'', -1)).body',
	'(saga.receive(''q'', 1000000)).body', '(saga.receive(''q'', 1, ''-1 s'')).body', '(saga.receive(''q'', 1, NULL, ''-1 s'')).body', 'saga.delete(''q'', ARRAY[NULL]::uuid[])', 'saga.delete(''q'', NULL)', 'saga.change_visibility(''q'', ARRAY[saga.make_id()], ''-1 s'')', 'saga.change_visibility(''q'', ARRAY[saga.make_id()], ''1 s'')',
	'saga.redrive(''q'', max => 0)', 'saga.redrive(''q'', max => -1)', 'saga.send(''asks'', ''{}'')', '(saga.receive(''asks'')).body', 'saga.purge(''asks'')', 'saga.drop_queue(''destination/x'')');
-- a letter that is back already
INSERT INTO saga.dead_letter (dead_letter_id, queue_id, message_id, kind, reason, receives, failed_at, body) SELECT '01900000-0000-7000-8000-000000000001', queue_id, '01900000-0000-7000-8000-000000000002', 'm', 'Test', 1, now(), '{}' FROM saga.queue WHERE name = 'q';
SELECT saga.redrive('01900000-0000-7000-8000-000000000001'::uuid) IS NOT NULL AS redriven;
SELECT * FROM pg_temp.say('saga.redrive(''01900000-0000-7000-8000-000000000001''::uuid)', 'saga.redrive(''01900000-0000-7000-8000-000000000001''::uuid, true)', 'saga.redrive_anew(''01900000-0000-7000-8000-000000000001''::uuid)', 'saga.redrive_anew(''01900000-0000-7000-8000-000000000001''::uuid, ''{}'')', 'saga.redrive(''q''::text)');

-- ---------- destinations and what they are tried with ----------
SELECT * FROM pg_temp.say('saga.create_destination(''d'', ''smtp'', ''{}'')', 'saga.create_destination(''d'', ''http'', ''[]'')', 'saga.create_destination(''d'', ''http'', ''{}'')', 'saga.create_destination(''d'', ''http'', ''{"url": 1}'')', 'saga.create_destination(''d'', ''http'', ''{"url": "https://a", "colour": "red"}'')',
	'saga.test_condition(''{"header": {"name": "X", "equals": "1"}}'', 200, ''{"X": 1}'', '''')', 'saga.test_condition(''{"header": {"name": "X", "equals": "1"}}'', 200, ''[]'', '''')', 'saga.test_condition(''{}'', 200, NULL, '''')', 'saga.test_condition(''{"status": 1}'', 200, NULL, '''')', 'saga.test_condition(''[]'', 200, NULL, '''')',
	'saga.test_mapping('''', ''{}'')', 'saga.test_mapping(''a b'', ''{}'')', 'saga.test_mapping(''1 / 0'', ''{}'')', 'saga.test_template(''{"a": "{b}"}'', ''{}'')', 'saga.test_template(''{"a": "{"}'', ''{}'')', 'saga.jsonata('''', ''{}'')', 'saga.jsonata(''1 + "a"'', ''{}'')', 'saga.jsonata(''1'', ''{}'', ''[]'')', 'saga.jsonata(''1'', ''{}'', numbers => ''float'')', 'saga.jsonata(''$now()'', ''{}'')', 'saga.jsonata_json(''1'', ''{}'', ''[]'')', 'saga.eval_path(''$.'', ''{}'')', 'saga.eval_path(''$.a'', ''{}'')', 'saga.eval_choice(''{}'', ''{}'')',
	'saga.eval_template(''{"a.$": "b"}'', ''{}'')', 'saga.eval_result_path(''$$.a'', ''{}'', ''{}'')', 'saga.simulate(''{}'')', 'saga.simulate(''[]'')', 'saga.validate(''{}'')', 'saga.validate(''{}'', ''EXPENSIVE'')');
SELECT * FROM pg_temp.say('saga.set_secret(''k'', '''')', E'saga.set_secret(''k'', E''a\\nb'')', 'saga.set_secret(''k'', repeat(''x'', 20000))', 'saga.set_secret('''', ''x'')', 'saga.set_secret(''a}b'', ''x'')', 'saga.set_secret(''file:a'', ''x'')');

-- ---------- settings ----------
ALTER SYSTEM SET pg_saga.proxy = 'proxy.example:3128';
ALTER SYSTEM SET pg_saga.proxy = 'socks5://proxy.example:1080';
ALTER SYSTEM SET pg_saga.proxy = 'http://user:pw@proxy.example:3128';
ALTER SYSTEM SET pg_saga.ca_file = 'relative.pem';
ALTER SYSTEM SET pg_saga.databases = '"unclosed';
SET pg_saga.owner_path = '"unclosed';
SET pg_saga.owner_path = 'a,,b';

-- ---------- rights ----------
CREATE ROLE messages_nobody;
GRANT USAGE ON SCHEMA saga TO messages_nobody;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA saga TO messages_nobody;
SET ROLE messages_nobody;
SELECT * FROM pg_temp.say('saga.send(''postgres.q'', ''{}'')', format('saga.stop_execution(%L)', :'waits'), format('saga.stop_execution(%L)', :'ended'), format('saga.replace_execution(%L, %L)', :'ended', :'waits'), 'saga.redrive(''01900000-0000-7000-8000-000000000001''::uuid)', 'saga.doubt_outbox(now())',
	'saga.set_inbox(''x'', ''a.b'')', 'saga.create_destination(''d'', ''http'', ''{"url": "http://10.0.0.1/", "allow_private": ["10.0.0.0/8"]}'')',
	'saga.create_destination(''d'', ''http'', ''{"url": "https://a", "headers": {"x": "{secret:file:/etc/passwd}"}}'')', 'saga.create_destination(''d'', ''http'', ''{"url": "https://a", "headers": {"x": "{secret:env:HOME}"}}'')');
RESET ROLE;
DROP OWNED BY messages_nobody;
DROP ROLE messages_nobody;
