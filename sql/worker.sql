-- Settings, saga.workers and saga.drain(), in one session without any worker.
\set VERBOSITY terse
SET timezone = 'UTC';

-- a worker takes over what ALTER ROLE ... SET says, so nothing is for everyone to set but what says
-- whose objects a bare name means, and counts for nobody else than who set it
SELECT name, context FROM pg_settings
 WHERE name LIKE 'pg\_saga.%' AND context NOT IN ('postmaster', 'sighup', 'superuser') ORDER BY name COLLATE "C";
SET pg_saga.no_such_setting = 1;
SET pg_saga.workers = 4;
SET pg_saga.batch_size = 0;
SET pg_saga.batch_size = 3;
CREATE ROLE drain_owner;
CREATE ROLE drain_other;
GRANT USAGE ON SCHEMA saga TO drain_owner, drain_other;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA saga TO drain_owner, drain_other;
GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA saga TO drain_owner, drain_other;
GRANT CREATE ON SCHEMA public TO drain_owner, drain_other;
SET ROLE drain_owner;
SET pg_saga.batch_size = 1;
RESET ROLE;

-- no worker here
SELECT count(*) FROM saga.workers WHERE database = current_database();

-- drain: commits, so not in a transaction block or function
BEGIN;
CALL saga.drain();
ROLLBACK;
CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CALL saga.drain(); END $$;
SELECT pg_temp.f();
DROP FUNCTION pg_temp.f();
DO $$ BEGIN CALL saga.drain(); END $$;
CALL saga.drain(max => -1);
CALL saga.drain('no such queue');

CREATE TABLE public.drained (x int, who name DEFAULT current_user, level text DEFAULT current_setting('transaction_isolation'));
GRANT INSERT ON public.drained TO drain_owner, drain_other;
CREATE FUNCTION public.drain_step(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.drained (x) VALUES ((input->>'x')::int);
	RETURN input;
END $$;
CREATE FUNCTION public.drain_escape(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE input->>'do';
	RETURN to_jsonb(current_user::text);
END $$;

SET ROLE drain_owner;
SELECT saga.create_workflow('drain_mine',
	'{"StartAt": "S", "States": {"S": {"Type": "Task", "Resource": "sql:public.drain_step", "End": true}}}');
SELECT saga.create_workflow('drain_second',
	'{"StartAt": "S", "States": {"S": {"Type": "Task", "Resource": "sql:public.drain_step", "End": true}}}');
SELECT saga.create_workflow('drain_escape',
	'{"StartAt": "S", "States": {"S": {"Type": "Task", "Resource": "sql:public.drain_escape", "End": true}}}');
SET ROLE drain_other;
SELECT saga.create_workflow('drain_foreign',
	'{"StartAt": "S", "States": {"S": {"Type": "Task", "Resource": "sql:public.drain_step", "End": true}}}');
RESET ROLE;

SELECT count(saga.start_execution('drain_owner.drain_mine', jsonb_build_object('x', x))) FROM generate_series(1, 10) x;
SELECT count(saga.start_execution('drain_owner.drain_second', jsonb_build_object('x', x))) FROM generate_series(11, 15) x;
SELECT count(saga.start_execution('drain_other.drain_foreign', jsonb_build_object('x', x))) FROM generate_series(21, 22) x;

-- one queue, a limit, then the rest; never what another role owns
SET ROLE drain_owner;
CALL saga.drain('drain_mine', 4);
RESET ROLE;
SELECT count(*) FROM saga.message m JOIN saga.queue q USING (queue_id) WHERE q.name = 'drain_mine';
SELECT count(*) FROM public.drained;
SET ROLE drain_owner;
CALL saga.drain('drain_second');
CALL saga.drain('drain_foreign');
-- the caller's isolation level is not the steps'
SET default_transaction_isolation = serializable;
SET default_transaction_read_only = on;
CALL saga.drain();
SHOW transaction_isolation;
RESET default_transaction_isolation;
RESET default_transaction_read_only;
RESET ROLE;
SELECT min(x), max(x), count(*), min(who), max(who), min(level), max(level) FROM public.drained;

-- nothing of somebody else's: not even a superuser's call runs it
CALL saga.drain();
SELECT count(*) FROM public.drained;
SET ROLE drain_other;
CALL saga.drain(NULL, 1);
RESET ROLE;
SELECT x, who FROM public.drained WHERE x > 20 ORDER BY x;

-- the session is not the owner's: a step does not become whose it is
SELECT count(saga.start_execution('drain_owner.drain_escape', jsonb_build_object('do', d)))
  FROM unnest(ARRAY['RESET ROLE', 'SET ROLE NONE', 'RESET SESSION AUTHORIZATION',
	'SET SESSION AUTHORIZATION DEFAULT', 'SELECT 1']) d;
SET ROLE drain_owner;
CALL saga.drain();
SELECT current_user;
RESET ROLE;
SELECT input->>'do' AS step, status, error, output FROM saga.executions
 WHERE workflow = 'drain_escape' ORDER BY execution_id;
-- and the session is as free as before
SELECT current_user = session_user AS reset_works;

-- a step that waits: its timer is fired by the call
SET ROLE drain_owner;
SELECT saga.create_workflow('drain_wait',
	'{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 0, "Next": "S"},
	  "S": {"Type": "Task", "Resource": "sql:public.drain_step", "End": true}}}');
SELECT count(saga.start_execution('drain_wait', '{"x": 30}'));
CALL saga.drain();
CALL saga.drain();
RESET ROLE;
SELECT x FROM public.drained WHERE x = 30;

DROP TABLE public.drained;
DROP FUNCTION public.drain_step, public.drain_escape;
