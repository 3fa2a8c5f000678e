-- CALL saga.drain() that is cancelled: the call ends, whatever its executions catch, and they go on later.
\set VERBOSITY terse
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on
CREATE SCHEMA cut;
CREATE TABLE cut.enough (x int);
CREATE SEQUENCE cut.called;
CREATE FUNCTION cut.fails(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT FROM cut.enough) THEN
		RETURN '"done"';
	END IF;
	RAISE 'again';
END $$;
-- cancels its own session, as the first call and those from the hundredth on, twenty-five times
CREATE FUNCTION cut.cancels(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF nextval('cut.called') = 1 OR currval('cut.called') BETWEEN 100 AND 124 THEN
		PERFORM pg_cancel_backend(pg_backend_pid());
		PERFORM pg_sleep(600);
	END IF;
	RETURN '"done"';
END $$;
CREATE FUNCTION cut.keeps(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_cancel_backend(pg_backend_pid());
	PERFORM pg_sleep(600);
	RETURN '"slept"';
EXCEPTION WHEN query_canceled THEN
	RETURN '"kept"';
END $$;
CREATE FUNCTION cut.sleeps(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT to_jsonb(pg_sleep(600)::text) $$;
CREATE FUNCTION cut.hurries(i jsonb) RETURNS jsonb LANGUAGE sql SET statement_timeout = '1ms' AS $$ SELECT to_jsonb(pg_sleep(0.1)::text || 'slept') $$;
CREATE FUNCTION cut.make(f text, more jsonb DEFAULT '{}') RETURNS void LANGUAGE sql AS $$
	SELECT saga.create_workflow('cut_' || f, jsonb_build_object('StartAt', 'A', 'States', jsonb_build_object('B', '{"Type": "Pass", "Result": "caught", "End": true}'::jsonb,
		'A', '{"Type": "Task", "End": true, "Retry": [{"ErrorEquals": ["SQL.57014"], "IntervalSeconds": 1}], "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}]}'::jsonb || jsonb_build_object('Resource', 'sql:cut.' || f) || more)))
$$;
CREATE FUNCTION cut.start(f text) RETURNS uuid LANGUAGE sql AS $$ SELECT saga.start_execution('cut_' || f, '{}') $$;
CREATE FUNCTION cut.said(f text) RETURNS SETOF text LANGUAGE sql AS $$ SELECT concat_ws(' ', status, output, error) FROM saga.executions WHERE workflow = 'cut_' || f ORDER BY execution_id $$;

-- a loop for ever, by its Catch
SELECT cut.make('fails', '{"Catch": [{"ErrorEquals": ["Nobody"], "Next": "B"}, {"ErrorEquals": ["States.ALL"], "Next": "A"}]}');
SELECT cut.start('fails') AS id \gset
SET statement_timeout = '1s';
CALL saga.drain();
SELECT cut.said('fails');
CALL saga.drain();
RESET statement_timeout;
-- what it has done until then is done, and it goes on there
INSERT INTO cut.enough VALUES (1);
CALL saga.drain();
SELECT cut.said('fails');
SELECT count(*) > 2 AS went_on FROM saga.execution_history WHERE execution_id = :'id' AND type = 'TaskStateEntered';

-- pg_cancel_backend(): no error of the step, which is called again
SELECT cut.make('cancels');
SELECT cut.start('cancels') IS NOT NULL;
SELECT cut.start('cancels') IS NOT NULL;
CALL saga.drain();
SELECT cut.said('cancels');
SELECT count(*) FROM saga.timer;
CALL saga.drain();
SELECT cut.said('cancels');
SELECT last_value FROM cut.called;
-- many times: it is not given up for that
SELECT setval('cut.called', 99);
SELECT cut.start('cancels') IS NOT NULL;
SELECT 'CALL saga.drain();' FROM generate_series(1, 25) \gexec
SELECT cut.said('cancels');
CALL saga.drain();
SELECT cut.said('cancels');
-- a step that catches it has succeeded; the call ends after it
SELECT cut.make('keeps');
SELECT cut.start('keeps') IS NOT NULL;
CALL saga.drain();
SELECT cut.said('keeps');

-- its own TimeoutSeconds are its own; a statement_timeout that it sets is none
SELECT cut.make('sleeps', '{"TimeoutSeconds": 1, "Catch": [{"ErrorEquals": ["States.Timeout"], "Next": "B"}]}');
SELECT cut.make('hurries');
SELECT cut.start(f) IS NOT NULL FROM unnest('{sleeps,hurries}'::text[]) AS f;
SET statement_timeout = '600s';
CALL saga.drain();
RESET statement_timeout;
SELECT cut.said(f) FROM unnest('{sleeps,hurries}'::text[]) AS f;
SELECT count(*) FROM saga.dead_letters WHERE queue LIKE 'cut\_%';
DROP SCHEMA cut CASCADE;
