-- SET ROLE x; CALL saga.drain(): nothing of what x's steps do stays in the session, which is another role's.
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET timezone = 'UTC';
CREATE ROLE hygiene_x;
GRANT USAGE ON SCHEMA saga TO hygiene_x;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA saga TO hygiene_x;
CREATE SCHEMA hyg AUTHORIZATION hygiene_x;
GRANT USAGE ON SCHEMA hyg TO PUBLIC;
CREATE TABLE public.audit (x text);

SET ROLE hygiene_x;
CREATE TABLE hyg.seen (who name, what text);
CREATE SEQUENCE hyg.seq;
CREATE FUNCTION hyg.trap() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO hyg.seen VALUES (current_user, 'trigger ' || tg_table_name); RETURN NEW; END $$;
CREATE FUNCTION hyg.trap(text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN INSERT INTO hyg.seen VALUES (current_user, 'type'); RETURN true; END $$;
CREATE TABLE hyg.deferred (x int);
CREATE FUNCTION hyg.late() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	CREATE TEMP TABLE IF NOT EXISTS audit (x text);
	PREPARE late AS SELECT 1;
	DECLARE late CURSOR WITH HOLD FOR SELECT current_user;
	PERFORM pg_advisory_lock(5);
	RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON hyg.deferred DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hyg.late();
CREATE FUNCTION hyg.run(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE s text; r text;
BEGIN
	FOR s IN SELECT jsonb_array_elements_text(input->'sql') LOOP
		IF s LIKE 'SELECT%' THEN EXECUTE s INTO r; ELSE EXECUTE s; END IF;
	END LOOP;
	RETURN to_jsonb(r);
END $$;
SELECT saga.create_workflow('hyg', '{"StartAt": "S", "States": {"S": {"Type": "Task", "Resource": "sql:hyg.run", "End": true}}}');
RESET ROLE;

CREATE VIEW public.left_over AS
	SELECT 'temporary object' AS kind, count(*) FROM pg_depend
	 WHERE refclassid = 'pg_namespace'::regclass AND refobjid = pg_my_temp_schema() HAVING count(*) > 0
	UNION ALL SELECT 'prepared statement ' || name, 1 FROM pg_prepared_statements
	UNION ALL SELECT 'cursor ' || name, 1 FROM pg_cursors WHERE name <> ''
	UNION ALL SELECT 'listens to ' || c, 1 FROM pg_listening_channels() c
	UNION ALL SELECT 'advisory lock', count(*) FROM pg_locks
	 WHERE locktype = 'advisory' AND pid = pg_backend_pid() HAVING count(*) > 0;

-- what the steps do, and how it ends
CREATE PROCEDURE public.attempt(VARIADIC sql text[]) LANGUAGE plpgsql AS $$
DECLARE
	id uuid := saga.start_execution('hygiene_x.hyg', jsonb_build_object('sql', sql));
	e record;
BEGIN
	COMMIT;
	SET ROLE hygiene_x;
	CALL saga.drain();
	RESET ROLE;
	SELECT * INTO e FROM saga.executions WHERE execution_id = id;
	RAISE INFO '% % % %', coalesce(e.status, 'nothing'), e.error, e.cause, e.output;
END $$;

-- a table with a trigger under the name of one of the caller's
CALL public.attempt('CREATE TEMP TABLE audit (x text)',
	'CREATE TRIGGER t BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION hyg.trap()', 'GRANT ALL ON audit TO PUBLIC',
	$$INSERT INTO audit VALUES ('x')$$, 'SELECT count(*)::text FROM audit');
INSERT INTO audit VALUES ('for public.audit');
-- a type under the name of a system's, views, functions
CALL public.attempt('CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (hyg.trap(value))',
	'CREATE DOMAIN pg_temp.int8 AS pg_catalog.int8', 'CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS $f$SELECT 1$f$',
	'CREATE TEMP VIEW pg_class AS SELECT 1', 'CREATE TEMP SEQUENCE s', 'SELECT nextval(''s'')');
SELECT 'x'::text, 1::int8;
SELECT to_regtype('pg_temp.text'), to_regproc('pg_temp.f'), to_regclass('pg_temp.pg_class');
-- what is not transactional
CALL public.attempt('PREPARE p AS SELECT 1', 'DECLARE c CURSOR WITH HOLD FOR SELECT current_user', 'SELECT pg_advisory_lock(1)',
	'SELECT pg_advisory_lock_shared(2, 3)', 'SELECT nextval(''hyg.seq'')', 'SET work_mem = ''99MB''', 'SET hyg.own = ''x''');
SHOW work_mem;
SELECT current_setting('hyg.own', true) = '' AS reset;
SELECT lastval();
-- and when it fails
CALL public.attempt('CREATE TEMP TABLE audit (x text)', 'PREPARE p AS SELECT 1', 'DECLARE c CURSOR WITH HOLD FOR SELECT current_user',
	'SELECT pg_advisory_lock(1)', 'SELECT 1/0');
-- in a deferred trigger
CALL public.attempt('INSERT INTO hyg.deferred VALUES (1)');
CALL public.attempt('LISTEN ch');
SELECT * FROM public.left_over;
SELECT * FROM hyg.seen;

-- one after the other in one batch: nothing of the one is there for the other
SELECT count(saga.start_execution('hygiene_x.hyg', '{"sql": ["CREATE TEMP TABLE audit (x text)", "PREPARE p AS SELECT 1"]}')) FROM generate_series(1, 3);
SET ROLE hygiene_x;
CALL saga.drain();
RESET ROLE;
SELECT status, count(*) FROM saga.executions WHERE workflow = 'hyg' AND input->'sql'->>1 LIKE 'PREPARE%' GROUP BY 1;

-- the caller's own prepared statements stay, and steps cannot do away with them
PREPARE mine AS SELECT 'mine';
LISTEN mine;
CALL public.attempt('DEALLOCATE mine');
CALL public.attempt('DEALLOCATE ALL', 'UNLISTEN *', 'PREPARE other AS SELECT 1', 'DEALLOCATE other', 'PREPARE other AS SELECT 2', 'DEALLOCATE ALL',
	'PREPARE other AS SELECT 3');
CALL public.attempt('PREPARE mine AS SELECT 1');
EXECUTE mine;
SELECT * FROM public.left_over;
DEALLOCATE mine;
UNLISTEN *;

-- what steps could reach is refused, and none of it lost
\set VERBOSITY default
CREATE TEMP TABLE own (x int);
CALL public.attempt('DROP TABLE own');
RESET ROLE;
DROP TABLE own;
CREATE TYPE pg_temp.own AS (x int);
CALL public.attempt('SELECT 1');
RESET ROLE;
DROP TYPE pg_temp.own;
BEGIN;
DECLARE own CURSOR WITH HOLD FOR SELECT 'only for the caller';
COMMIT;
CALL public.attempt('FETCH own');
RESET ROLE;
FETCH own;
CLOSE own;
SELECT pg_advisory_lock(7);
CALL public.attempt('SELECT pg_advisory_unlock_all()');
RESET ROLE;
SELECT pg_advisory_unlock(7);
DO $$
DECLARE r record;
BEGIN
	SET ROLE hygiene_x;
	FOR r IN SELECT 1 LOOP
		CALL saga.drain();
	END LOOP;
END $$;
RESET ROLE;
-- they wait, and run now
CALL public.attempt('SELECT ''done''');
SELECT status, count(*) FROM saga.executions WHERE workflow = 'hyg' AND input->'sql'->>0 ~ 'own|unlock' GROUP BY 1 ORDER BY 1;

-- also when the session was given to the role
SELECT saga.start_execution('hygiene_x.hyg', '{"sql": ["CREATE TEMP TABLE audit (x text)"]}') IS NOT NULL AS started;
SET SESSION AUTHORIZATION hygiene_x;
CALL saga.drain();
RESET SESSION AUTHORIZATION;
SELECT * FROM public.left_over;

-- in a session of the owner's own it is his
SELECT saga.create_workflow('own', '{"StartAt": "S", "States": {"S": {"Type": "Task", "Resource": "sql:hyg.run", "End": true}}}');
SELECT saga.start_execution('own', '{"sql": ["CREATE TEMP TABLE own (x int)", "PREPARE own AS SELECT 1"]}') IS NOT NULL AS started;
CALL saga.drain();
SELECT kind, count > 0 AS there FROM public.left_over ORDER BY 1;
