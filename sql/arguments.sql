-- Arguments at and beyond their bounds, of functions that people call: each is refused with its name and what is allowed.
-- What queues refuse is in queue, activities in activities, settings of destinations in outbox_settings.
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on

CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
	detail text;
	hint text;
BEGIN
	EXECUTE 'SELECT (' || statement || ')::text' INTO answer;
	RETURN coalesce(left(answer, 200), 'null');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN left(concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, ''), nullif(hint, '')), 400);
END $$;
-- A line of the text is a call of a function of saga; each is shown with what it gives.
CREATE FUNCTION pg_temp.each(lines text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT left(e, 110) || '  ->  ' || pg_temp.try('saga.' || e)
	FROM string_to_table(btrim(lines, E'\n'), E'\n') WITH ORDINALITY u(e, n) ORDER BY n
$$;
CREATE FUNCTION public.noop(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';

\echo -- workflows: names and definitions
SELECT pg_temp.each($x$
create_workflow('w', '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}')
create_workflow('', '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}')
create_workflow(repeat('ä', 80), '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}')
create_workflow(repeat('ä', 81), '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}')
create_workflow(E'a\tb', '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}')
create_workflow('w2', NULL)
create_workflow(NULL, '{}')
create_workflow('w2', '{}')
create_workflow('w2', '[]')
create_workflow('w2', 'null')
create_workflow('w2', '{"StartAt": "A", "States": {}}')
create_workflow('w2', '{"StartAt": "B", "States": {"A": {"Type": "Succeed"}}}')
create_workflow('w2', '{"StartAt": "A", "States": {"A": {"Type": "Pass"}}}')
create_workflow('w2', '{"StartAt": "A", "States": {"A": {"Type": "Nap", "End": true}}}')
create_workflow('w2', jsonb_build_object('StartAt', 'A', 'Comment', repeat('x', 2100000), 'States', '{"A": {"Type": "Succeed"}}'::jsonb))
create_workflow('w2', '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}', 'nobody'::regrole)
create_workflow('w2', '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}', NULL)
workflow_version('w')
workflow_version('')
workflow_version(NULL)
diff_workflow('none', '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}')
diff_workflow('w', NULL)
diff_workflow('w', '{}')
diff_workflow(NULL, '{}')
apply_workflow('w', '{}')
apply_workflow('w', NULL)
apply_workflow(NULL, '{}')
apply_workflow('w', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:none.none", "End": true}}}', strict => true)
rollback_workflow('none')
rollback_workflow('w', 2)
rollback_workflow('w', -1)
move_executions('w', 1, 1)
move_executions('w', 0, 1)
move_executions('none', 1, 1)
move_executions('w', 1, 1, 0)
move_executions('w', 1, 1, -1)
check_workflow('none')
check_workflow(NULL::text)
check_workflow('{}'::jsonb)
check_workflow(NULL::jsonb)
publish_alias('w', 'live', '{"1": 100}')
publish_alias('w', 'live', '{"1": 99}')
publish_alias('w', 'live', '{"1": 101}')
publish_alias('w', 'live', '{"1": 100, "2": 0}')
publish_alias('w', 'live', '{"0": 100}')
publish_alias('w', 'live', '{"01": 100}')
publish_alias('w', 'live', '{"2147483648": 100}')
publish_alias('w', 'live', '{"1": "100"}')
publish_alias('w', 'live', '{"1": 99.5}')
publish_alias('w', 'live', '{"1": -1}')
publish_alias('w', 'live', '{}')
publish_alias('w', 'live', '[1]')
publish_alias('w', 'live', NULL)
publish_alias('w', '', '{"1": 100}')
publish_alias('w', '7', '{"1": 100}')
publish_alias('w', '7a', '{"1": 100}')
publish_alias('w', 'ä', '{"1": 100}')
publish_alias('w', repeat('a', 80), '{"1": 100}')
publish_alias('w', repeat('a', 81), '{"1": 100}')
drop_alias('w', 'none')
drop_alias('w', '7a')
drop_alias('none', 'live')
drop_alias('w', NULL)
workflow_diagram('w', 'svg')
workflow_diagram('w', NULL)
workflow_diagram('w', 'dot', '00000000-0000-0000-0000-000000000000')
workflow_diagram('{}'::jsonb)
set_workflow_owner('w', NULL)
set_workflow_owner('w', current_user::regrole, 'x')
validate('{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}', 'FAST')
validate('{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}', NULL)
validate('{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}', 'EXPRESS')
$x$);

\echo -- bindings
SELECT pg_temp.each($x$
bind_resource('arn:aws:lambda:eu-central-1:123456789012:function:f', 'sql:public.noop')
bind_resource('arn:aws:lambda:eu-central-1:123456789012:function:f', 'public.noop')
bind_resource('arn:aws:lambda:eu-central-1:123456789012:function:f', '')
bind_resource('arn:aws:lambda:eu-central-1:123456789012:function:f', 'sql:noop')
bind_resource('arn:aws:lambda:eu-central-1:123456789012:function:f', 'sql:')
bind_resource('arn:aws:lambda:eu-central-1:123456789012:function:f', 'saga:none')
bind_resource('arn:aws:lambda:eu-central-1:123456789012:function:f', 'arn:aws:lambda:eu-central-1:123456789012:function:f')
bind_resource('', 'sql:public.noop')
bind_resource('f', 'sql:public.noop')
bind_resource('arn:', 'sql:public.noop')
bind_resource(NULL, 'sql:public.noop')
bind_resource(repeat('a', 5000), 'sql:public.noop')
bind_resource('arn:aws:lambda:eu-central-1:123456789012:function:f', NULL)
bind_resource('arn:aws:lambda:eu-central-1:123456789012:function:none', NULL)
$x$);

\echo -- executions
SELECT saga.start_execution('w', '{}', 'done') AS done \gset
CALL saga.drain();
SELECT pg_temp.each($x$
start_execution(NULL::text)
start_execution('w', NULL) IS NOT NULL
start_execution('w', '{}', '')
start_execution('w', '{}', repeat('ä', 80)) IS NOT NULL
start_execution('w', '{}', repeat('ä', 81))
start_execution('w', '{}', NULL, '00000000-0000-0000-0000-000000000000')
start_execution('w', '{}', NULL, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
start_execution('w', '{}', NULL, '12345678-1234-4234-8234-123456789012')
start_execution('w', '{}', NULL, '018f0000-0000-7000-8000-000000000001')
start_execution('w', '{}', NULL, '018f0000-0000-7000-8000-000000000001')
start_execution('w', '{"n": 2}', NULL, '018f0000-0000-7000-8000-000000000001')
start_execution('w', '{}', NULL, 'ffffffff-ffff-7000-8000-000000000001')
start_execution('w:1') IS NOT NULL
start_execution('w:2')
start_execution('w:0')
start_execution('w:01')
start_execution('w:')
start_execution('w:live') IS NOT NULL
start_execution('w:none')
start_execution(':1')
start_execution('w:99999999999')
start_execution(NULL::integer)
start_execution('w', to_jsonb(repeat('x', 300000))) IS NOT NULL
stop_execution('00000000-0000-0000-0000-000000000000')
stop_execution(NULL)
stop_execution('018f0000-0000-7000-8000-000000000001', repeat('e', 257))
stop_execution('12345678-1234-4234-8234-123456789012', '', '')
stop_execution('12345678-1234-4234-8234-123456789012')
stop_execution('12345678-1234-4234-8234-123456789012', NULL, NULL, NULL)
redrive_execution('00000000-0000-0000-0000-000000000000')
replace_execution('00000000-0000-0000-0000-000000000000', '12345678-1234-4234-8234-123456789012')
replace_execution(NULL, NULL)
describe_execution('00000000-0000-0000-0000-000000000000')
wait_execution('00000000-0000-0000-0000-000000000000')
wait_execution('12345678-1234-4234-8234-123456789012', '-1 s')
wait_execution('12345678-1234-4234-8234-123456789012', '301 s')
wait_execution('12345678-1234-4234-8234-123456789012', NULL) ->> 'status'
list_executions("limit" => -1)
list_executions("limit" => NULL) IS NULL
list_executions('none')
list_executions('w', 'DONE')
list_executions('w', 'succeeded')
list_executions('w', '')
fail('')
fail('Mine')
fail('Mine', 'because "ä"')
fail(repeat('e', 300))
failure('') - 'saga.failure'
failure('Mine') - 'saga.failure'
failure('Mine', 'because "ä"') - 'saga.failure'
settle('00000000-0000-0000-0000-000000000000', 'done')
settle('00000000-0000-0000-0000-000000000000'::uuid, 'maybe')
settle('00000000-0000-0000-0000-000000000000'::uuid, NULL)
settle(NULL::uuid, 'done')
settle('none', 'no_effect', now())
settle('none', 'done', now())
settle('none', NULL::text, now())
settle('none', 'no_effect', NULL::timestamptz)
settle('x', 'done', 'y')
redrive('00000000-0000-0000-0000-000000000000'::uuid)
redrive('00000000-0000-0000-0000-000000000000', true)
redrive_anew('00000000-0000-0000-0000-000000000000')
redrive_anew(NULL)
redrive('none')
redrive('w', 'Saga.None', 1)
redrive('w', NULL, 0)
$x$);
SELECT saga.describe_execution(:'done') ->> 'status', saga.start_execution('w', '{}', 'done') = :'done' AS same;

\echo -- secrets
SELECT pg_temp.each($x$
set_secret('key', 'value')
set_secret('key', repeat('v', 65536))
set_secret('key', '')
set_secret('key', NULL)
set_secret('', 'v')
set_secret(NULL, 'v')
set_secret(repeat('k', 301), 'v')
set_secret('a{b', 'v')
set_secret(E'a\nb', 'v')
set_secret('ключ', 'v')
drop_secret('key')
drop_secret('key')
drop_secret('')
drop_secret(NULL)
$x$);

\echo -- rights
SELECT pg_temp.each($x$
grant('queue', 'none', current_user::regrole, 'read')
grant('thing', 'w', current_user::regrole, 'read')
grant('workflow', 'w', current_user::regrole, 'eat')
grant('workflow', 'w', NULL, 'read')
grant('workflow', NULL, current_user::regrole, 'read')
grant(NULL, 'w', current_user::regrole, 'read')
grant('workflow', 'w', current_user::regrole, NULL)
grant('workflow', 'w', current_user::regrole, 'send')
grant('workflow', 'w', current_user::regrole, '')
grant('workflow', '', current_user::regrole, 'read')
grant('workflow', 'nobody.w', current_user::regrole, 'read')
grant('WORKFLOW', 'w', current_user::regrole, 'read')
revoke('workflow', 'w', current_user::regrole, 'read')
revoke('workflow', 'none', current_user::regrole, 'read')
revoke('workflow', 'w', current_user::regrole, 'eat')
revoke('thing', 'w', current_user::regrole, 'read')
revoke('workflow', 'w', NULL, 'read')
$x$);

\echo -- destinations
SELECT pg_temp.each($x$
create_destination('d', 'http', '{"url": "https://d.example/"}')
create_destination('d', 'http', '{"url": "https://d.example/"}')
create_destination('', 'http', '{"url": "https://d.example/"}')
create_destination(repeat('d', 201), 'http', '{"url": "https://d.example/"}')
create_destination(E'a\nb', 'http', '{"url": "https://d.example/"}')
create_destination(NULL, 'http', '{}')
create_destination('e', NULL, '{}')
create_destination('e', 'http', NULL)
create_destination('e', 'ftp', '{}')
create_destination('e', 'HTTP', '{"url": "https://d.example/"}')
create_destination('e', 'http', '[]')
create_destination('e', 'http', '{}')
create_destination('e', 'http', '{"url": "https://d.example/", "colour": "red"}')
create_destination('e', 'http', '{"url": "ftp://d.example/"}')
create_destination('e', 'http', '{"url": ""}')
create_destination('e', 'http', '{"url": 7}')
create_destination('e', 'http', jsonb_build_object('url', 'https://d.example/' || repeat('x', 3000000)))
create_destination('e', 'sns', '{}')
create_destination('e', 'sns', '{"topic_arn": "x"}')
create_destination('e', 'sqs', '{}')
create_destination('e', 'sqs', '{"queue_url": "x"}')
alter_destination('d', '{}')
alter_destination('d', NULL)
alter_destination(NULL, '{}')
pause_destination(NULL)
resume_destination('d')
resume_destination('d')
publish_to('none', '1')
publish_to('d', NULL)
publish_to(NULL, '1')
publish_to('d', '1', '') IS NOT NULL
publish_to('d', '1', repeat('k', 100000))
set_destination_owner('d', NULL)
doubt_outbox(NULL)
doubt_outbox('infinity')
doubt_outbox('-infinity')
drop_destination(NULL)
drop_destination('none', NULL)
drop_destination('d', true)
drop_destination('d')
$x$);

\echo -- sources
SELECT saga.create_queue('inbox') > 0;
SELECT pg_temp.each($x$
create_source('s', 'sqs', '{"queue_url": "https://sqs.eu-central-1.amazonaws.com/123456789012/q"}', 'inbox') > 0
create_source('s', 'sqs', '{"queue_url": "https://sqs.eu-central-1.amazonaws.com/123456789012/q"}', 'inbox')
create_source('', 'sqs', '{}', 'inbox')
create_source('t', 'kafka', '{}', 'inbox')
create_source('t', 'sqs', '{}', 'inbox')
create_source('t', 'sqs', '[]', 'inbox')
create_source('t', 'sqs', '{"queue_url": "x"}', 'inbox')
create_source('t', 'sqs', '{"queue_url": "https://sqs.eu-central-1.amazonaws.com/123456789012/q"}', 'none')
create_source('t', 'sqs', '{"queue_url": "https://sqs.eu-central-1.amazonaws.com/123456789012/q"}', NULL)
create_source(NULL, 'sqs', '{}', 'inbox')
create_source('t', NULL, '{}', 'inbox')
create_source('t', 'sqs', NULL, 'inbox')
alter_source('s', '{}')
alter_source('s', NULL)
resume_source('s')
set_source_owner('s', NULL)
set_inbox('none', 'sql:public.noop')
set_inbox('inbox', 'sql:public.noop')
set_inbox('inbox', '')
set_inbox(NULL, 'sql:public.noop')
drop_source('s')
drop_source('s')
drop_source(NULL)
$x$);

\echo -- procedures
CREATE FUNCTION pg_temp.call(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN statement || '  ->  done';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN left(concat_ws(' | ', statement || '  ->  ' || SQLSTATE, SQLERRM, nullif(detail, ''), nullif(hint, '')), 400);
END $$;
-- they commit, which a function cannot
SELECT pg_temp.call(c) FROM unnest(ARRAY['CALL saga.drain()', 'CALL saga.publish()', 'CALL saga.wait_execution(NULL, NULL, NULL)', 'CALL saga.start_sync_execution(''w'', ''{}'')']) c;
CALL saga.drain('none');
CALL saga.drain('inbox');
CALL saga.drain('w', 0);
CALL saga.drain('w', -1);
CALL saga.drain('w', 1);
CALL saga.drain(NULL, NULL);
CALL saga.wait_execution(NULL, '1 s', NULL);
CALL saga.wait_execution('00000000-0000-0000-0000-000000000000', '1 s', NULL);
CALL saga.wait_execution('12345678-1234-4234-8234-123456789012', '-1 s', NULL);
CALL saga.start_sync_execution('none', '{}');
CALL saga.start_sync_execution(NULL, '{}');
CALL saga.start_sync_execution('w', '{}', name => '');
BEGIN;
CALL saga.drain();
ROLLBACK;
