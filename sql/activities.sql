-- Activities in one session: their names, tasks that wait, are taken, answered, given back, and let go.
-- Workers beside each other, and workers that are lost, are in t/150_activities.pl and t/151_activity_workers.pl.
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\pset format unaligned
\pset null '-'

CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
	detail text;
	hint text;
BEGIN
	EXECUTE 'SELECT (' || statement || ')::text' INTO answer;
	RETURN answer;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, ''), nullif(hint, ''));
END $$;
CREATE FUNCTION pg_temp.each(VARIADIC statements text[]) RETURNS TABLE (statement text, gives text) LANGUAGE sql AS
	$$SELECT left(s, 90), pg_temp.try(s) FROM unnest(statements) WITH ORDINALITY u(s, n) ORDER BY n$$;

-- ---------- names ----------

SELECT saga.create_activity('paint') AS id \gset
SELECT saga.create_activity('paint') = :id AS same, kind, name FROM saga.queues;
SELECT * FROM pg_temp.each($$saga.create_activity('')$$, $$saga.create_activity(repeat('x', 81))$$, $$saga.create_activity(NULL)$$, $$saga.create_activity(E'a\nb')$$,
	$$saga.create_activity(repeat('ä', 80)) > 0$$, $$saga.drop_activity(repeat('ä', 80))$$, $$saga.drop_activity(repeat('ä', 80))$$, $$saga.drop_activity('')$$, $$saga.drop_activity(NULL)$$);
-- its queue is nobody's to send to or to receive from
SELECT * FROM pg_temp.each($$saga.send('activity/paint', '1')$$, $$(SELECT count(*) FROM saga.receive('activity/paint'))$$, $$saga.purge('activity/paint')$$, $$saga.delete('activity/paint', '{}')$$,
	$$saga.drop_queue('activity/paint')$$, $$saga.create_queue('activity/paint')$$, $$(SELECT count(*) FROM saga.send_batch('activity/paint', ARRAY['1'::jsonb]))$$, $$saga.change_visibility('activity/paint', '{}', '1 s')$$);

-- ---------- taking: arguments ----------

SELECT * FROM pg_temp.each($$saga.get_activity_task(NULL)$$, $$saga.get_activity_task('')$$, $$saga.get_activity_task('nowhere', NULL, '0')$$, $$saga.get_activity_task('paint', repeat('w', 81), '0')$$,
	$$saga.get_activity_task('paint', 'w', '-1 s')$$, $$saga.get_activity_task('paint', 'w', '60.001 s')$$, $$saga.get_activity_task('paint', 'w', '1000 years')$$,
	$$(SELECT count(*) FROM saga.get_activity_task('paint', repeat('ä', 80), '0'))$$, $$(SELECT count(*) FROM saga.get_activity_task('paint', '', NULL))$$,
	$$(SELECT count(*) FROM saga.get_activity_task('paint', 'w', '1 ms'))$$);

-- ---------- a task ----------

CREATE FUNCTION pg_temp.workflow(name text, more jsonb DEFAULT '{}') RETURNS integer LANGUAGE sql AS $$
	SELECT saga.create_workflow(name, jsonb_build_object('StartAt', 'Paint', 'States', jsonb_build_object('Paint',
		'{"Type": "Task", "Resource": "arn:aws:states:eu-central-1:123456789012:activity:paint", "End": true}'::jsonb || more)))
$$;
SELECT pg_temp.workflow('painted'), pg_temp.workflow('again', '{"Retry": [{"ErrorEquals": ["Dry"], "IntervalSeconds": 1, "MaxAttempts": 1}]}');
SELECT saga.start_execution('painted', '{"colour": "red"}') AS red \gset
CALL saga.drain();
SELECT ready, delayed, in_flight FROM saga.queues WHERE name = 'activity/paint';
SELECT status, current_state FROM saga.executions WHERE execution_id = :'red';
-- it is used: the activity stays
SELECT * FROM pg_temp.each($$saga.drop_activity('paint')$$);
-- taken and given back by a rollback, it is the next one's
BEGIN;
SELECT input, task_token IS NOT NULL AS has_token FROM saga.get_activity_task('paint', 'first', '0');
SELECT count(*) AS taken_again FROM saga.get_activity_task('paint', 'first', '0');
ROLLBACK;
SELECT task_token AS token, input FROM saga.get_activity_task('paint', 'Käthe', '0') \gset
SELECT :'input'::jsonb AS input, length(split_part(:'token', '.', 4)) AS secret, split_part(:'token', '.', 2) = :'red' AS of_it, split_part(:'token', '.', 5)::int = :id AS of_activity;
SELECT count(*) AS left_over FROM saga.get_activity_task('paint', 'second', '0');
CALL saga.drain();
SELECT type, details -> 'workerName' AS worker FROM saga.execution_history WHERE execution_id = :'red' AND type LIKE 'Activity%' ORDER BY event_id;
SELECT name, waiting, taken, workers FROM saga.activities;
-- tokens that are none, or another one's
SELECT regexp_replace(gives, '[0-9a-f]{8}-[0-9a-f-]{27}', 'ID', 'g') AS gives FROM pg_temp.each($$saga.send_task_heartbeat('')$$, $$saga.send_task_heartbeat('x')$$, $$saga.send_task_success('1.2.3.4', '1')$$, $$saga.send_task_failure(repeat('9', 5000))$$,
	'saga.send_task_heartbeat(NULL)', $$saga.send_task_success(NULL, '1')$$, $$saga.send_task_failure(NULL)$$,
	format('saga.send_task_success(%L, NULL)', :'token'), format('saga.send_task_success(%L, %L)', left(:'token', -1), '1'), format('saga.send_task_success(%L, %L)', :'token' || '0', '1')) e;
-- of the right form, with another secret
SELECT regexp_replace(pg_temp.try(format('saga.send_task_success(%L, %L)', regexp_replace(:'token', '[0-9a-f]{32}', repeat('0', 32)), '1')), '[0-9a-f]{8}-[0-9a-f-]{27}', 'ID', 'g') AS guessed;
-- alive, then done, and done once
SELECT saga.send_task_heartbeat(:'token') IS NOT NULL AS heard;
CALL saga.drain();
SELECT saga.send_task_success(:'token', '{"done": true}') IS NOT NULL AS done;
SELECT pg_temp.try(format('saga.send_task_success(%L, %L)', :'token', '2')) ~ '^55000' AS not_twice;
CALL saga.drain();
SELECT status, output FROM saga.executions WHERE execution_id = :'red';
SELECT regexp_replace(pg_temp.try(format('saga.send_task_heartbeat(%L)', :'token')), '[0-9a-f-]{36}', 'ID', 'g') AS too_late;

-- ---------- failures ----------

SELECT saga.start_execution('painted', '1') AS fails, saga.start_execution('painted', '2') AS bare, saga.start_execution('again', '3') AS tried \gset
CALL saga.drain();
SELECT saga.send_task_failure(task_token, CASE input WHEN '1' THEN 'Dry' WHEN '3' THEN 'Dry' END, CASE input WHEN '1' THEN 'no "paint" ä' END) IS NOT NULL AS told
	FROM (SELECT t.* FROM generate_series(1, 3) n, LATERAL saga.get_activity_task('paint', NULL, '0 s'::interval * n) t) t;
CALL saga.drain();
SELECT status, error, cause FROM saga.executions WHERE execution_id IN (:'fails', :'bare', :'tried') ORDER BY execution_id;
-- between two attempts there is no task to take
SELECT count(*) AS tasks FROM saga.get_activity_task('paint', NULL, '0');
SELECT saga.stop_execution(:'tried') IS NOT NULL AS stopped;

-- ---------- let go ----------

-- stopped while it waits: no worker gets it
SELECT saga.start_execution('painted', '4') AS stopped \gset
CALL saga.drain();
SELECT saga.stop_execution(:'stopped', 'Enough', 'of it') IS NOT NULL AS stopped;
CALL saga.drain();
SELECT count(*) AS tasks FROM saga.get_activity_task('paint', NULL, '0');
SELECT status, error, cause FROM saga.executions WHERE execution_id = :'stopped';
-- stopped while a worker has it: his answer is refused
SELECT saga.start_execution('painted', '5') AS stopped \gset
CALL saga.drain();
SELECT task_token AS token FROM saga.get_activity_task('paint', NULL, '0') \gset
SELECT saga.stop_execution(:'stopped') IS NOT NULL AS stopped;
CALL saga.drain();
SELECT regexp_replace(pg_temp.try(format('saga.send_task_success(%L, %L)', :'token', '1')), '[0-9a-f-]{36}', 'ID', 'g') AS refused;
-- nothing waits any more, so it goes
SELECT count(*) FROM saga.activity_task;
SELECT saga.drop_activity('paint'), saga.drop_activity('paint') AS again;
-- a task for an activity that is not there fails
SELECT saga.start_execution('painted', '6') AS lost \gset
CALL saga.drain();
SELECT status, error, cause FROM saga.executions WHERE execution_id = :'lost';
