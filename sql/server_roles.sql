-- Roles of the server that read or write every table: nothing of schema saga is theirs.
\set VERBOSITY terse
\set SHOW_CONTEXT never
CREATE ROLE server_owner LOGIN;
CREATE ROLE server_writer;
CREATE ROLE server_bypass BYPASSRLS;
CREATE ROLE server_reader;
GRANT pg_read_all_data, pg_write_all_data TO server_writer, server_bypass;
GRANT pg_read_all_data TO server_reader;
GRANT USAGE ON SCHEMA saga TO server_owner;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA saga TO server_owner;
SET ROLE server_owner;
SELECT saga.create_workflow('w', '{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}');
SELECT saga.create_queue('q') > 0 AS made;
SELECT saga.create_destination('d', 'http', '{"url": "https://a.invalid/"}') > 0 AS made;
SELECT saga.set_secret('key', 'Xk-0815-secret');
SELECT saga.start_execution('w') IS NOT NULL AND saga.send('q', '{"a": 1}') IS NOT NULL AND saga.publish_to('d', '{}') IS NOT NULL AS accepted;
RESET ROLE;
CREATE TABLE before AS SELECT w::text AS row FROM saga.workflow w UNION ALL SELECT v::text FROM saga.workflow_version v UNION ALL SELECT q::text FROM saga.queue q
	UNION ALL SELECT s::text FROM saga.secret s UNION ALL SELECT d::text FROM saga.destination d UNION ALL SELECT m::text FROM saga.message m UNION ALL SELECT o::text FROM saga.outbox o;

-- what a role gets to do to a table, or to a view that passes it on; as itself, with each of three statements
CREATE FUNCTION writes(name regclass, filtered boolean) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	columns text := (SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute
		WHERE attrelid = name AND attnum > 0 AND NOT attisdropped AND attgenerated = '');
	one text := (SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = name AND attnum > 0 AND NOT attisdropped AND attgenerated = '' LIMIT 1);
	n bigint;
	statement text;
BEGIN
	FOREACH statement IN ARRAY ARRAY[
		format('INSERT INTO %s (%s) SELECT %2$s FROM server_row.%s', name, columns, quote_ident((SELECT relname FROM pg_class WHERE oid = name))),
		format('UPDATE %s SET %s = %2$s', name, one), format('DELETE FROM %s', name)]
	LOOP
		BEGIN
			EXECUTE statement;
			GET DIAGNOSTICS n = ROW_COUNT;
			IF n > 0 THEN
				RETURN NEXT format('%s: %s rows', statement, n);
			ELSIF NOT filtered THEN
				RETURN NEXT format('%s: not refused', statement);
			END IF;
		EXCEPTION WHEN insufficient_privilege THEN
		END;
	END LOOP;
END $$;
-- a row of each table, or one that is all null
CREATE SCHEMA server_row;
GRANT USAGE ON SCHEMA server_row TO server_writer, server_bypass;
DO $$
DECLARE
	t name;
BEGIN
	FOR t IN SELECT relname FROM pg_class WHERE relnamespace = 'saga'::regnamespace AND relkind = 'r'
	LOOP
		EXECUTE format('CREATE TABLE server_row.%I AS SELECT r.* FROM (SELECT) s LEFT JOIN saga.%1$I r ON true LIMIT 1', t);
	END LOOP;
END $$;
CREATE VIEW guarded AS SELECT tgrelid FROM pg_trigger WHERE tgfoid = 'saga.owner_only()'::regprocedure;
CREATE VIEW tables AS SELECT c.oid::regclass AS name FROM pg_class c WHERE relnamespace = 'saga'::regnamespace AND relkind = 'r';
SELECT count(*) > 20 AS many FROM tables;

-- row security keeps them from all tables: they find no row, and make none
SET ROLE server_writer;
SELECT w FROM tables t, writes(t.name, t.name NOT IN (SELECT tgrelid FROM guarded)) w ORDER BY 1;
-- without it, from those that decide whose rights are used
SET ROLE server_bypass;
SELECT w FROM guarded, writes(tgrelid, false) w ORDER BY 1;
UPDATE saga.workflow SET owner = 10;
UPDATE saga.workflow_version SET definition = '{}' WHERE false;
COPY saga.queue (name) FROM stdin;
\.
-- a view that writes its table is no way round
SELECT saga_view.oid::regclass AS writable FROM pg_class saga_view
WHERE relnamespace = 'saga'::regnamespace AND relkind = 'v' AND pg_relation_is_updatable(oid, false) <> 0 ORDER BY 1;
SET ROLE server_writer;
UPDATE saga.secrets SET owner = 'server_writer';
DELETE FROM saga.secrets;

-- and nothing is read, but in the views without a filter
SET ROLE server_reader;
SELECT count(*) FROM saga.secret;
SELECT count(*) FROM saga.message;
SELECT count(*) FROM pg_stats WHERE schemaname = 'saga' AND tablename = 'secret';
SELECT count(*) FROM saga.executions;
SELECT workflow FROM saga.all_executions;
SET row_security = off;
SELECT count(*) FROM saga.secret;
RESET row_security;
RESET ROLE;

SELECT count(*) AS changed FROM (SELECT * FROM before EXCEPT ALL (SELECT w::text AS row FROM saga.workflow w UNION ALL SELECT v::text FROM saga.workflow_version v UNION ALL SELECT q::text FROM saga.queue q
	UNION ALL SELECT s::text FROM saga.secret s UNION ALL SELECT d::text FROM saga.destination d UNION ALL SELECT m::text FROM saga.message m UNION ALL SELECT o::text FROM saga.outbox o)) c;
-- no table is without row security, nor has a policy
SELECT t.name FROM tables t JOIN pg_class c ON c.oid = t.name WHERE NOT relrowsecurity OR relforcerowsecurity OR EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid);

-- who may: the owner of the extension, by hand too
BEGIN;
UPDATE saga.workflow SET created_at = created_at WHERE owner = 'server_owner'::regrole;
TRUNCATE saga.token;
ROLLBACK;
-- and the trigger is of no other use
SELECT saga.owner_only();

SET client_min_messages = warning;
DROP VIEW guarded, tables;
DROP TABLE before;
DROP FUNCTION writes(regclass, boolean);
DROP SCHEMA server_row CASCADE;
SET pg_saga.keep_owners = off;
DROP OWNED BY server_owner, server_writer, server_bypass, server_reader;
DROP ROLE server_owner, server_writer, server_bypass, server_reader;
