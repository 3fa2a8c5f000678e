\echo Use "ALTER EXTENSION pg_saga UPDATE" to load this file. \quit
-- From 0.1 to 0.2. Each part has what the module of that name changed.

-- ---------- common ----------

-- ---------- name ----------

-- ---------- asl ----------

-- ---------- mapping ----------

-- ---------- queue ----------

-- ---------- secret ----------
COMMENT ON FUNCTION saga.set_secret(text, text) IS 'makes a secret of the caller''s, or replaces its value. Once it runs no error logs the value, and pg_stat_activity does not show it. What logs statements does log it: log_statement, log_min_duration_statement and its kin and auto_explain, whose lines show parameters as well, and pg_stat_statements where the call is inside a DO or CALL. Switch them off in the session (a superuser: SET LOCAL), and take care that the call is not refused before it runs: a mistake in it, no right to the function, a failed transaction';

-- ---------- outbox ----------

-- ---------- engine ----------
CREATE TABLE saga.given_id (
	execution_id uuid PRIMARY KEY
);
COMMENT ON TABLE saga.given_id IS 'ids of executions that were given to saga.start_execution, not made there: each is used once';
SELECT pg_extension_config_dump('saga.given_id', '');
COMMENT ON FUNCTION saga.start_execution(text, jsonb, text, uuid) IS
'starts an execution when the transaction commits, and returns its id. The same name again with the same input returns the same id; with another input it raises unique_violation. A caller who needs the id beforehand takes one from saga.make_id() and gives it here, once: it raises unique_violation if there is such an execution, or one is being started';

-- ---------- source ----------

-- ---------- worker ----------

-- ---------- doctor ----------

-- ---------- grants ----------
-- Last: nothing for PUBLIC. It also tells every process that the extension has changed (stmt.c).
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA saga FROM PUBLIC;
REVOKE ALL ON ALL PROCEDURES IN SCHEMA saga FROM PUBLIC;
REVOKE ALL ON SCHEMA saga FROM PUBLIC;
