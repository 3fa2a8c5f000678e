\echo Use "ALTER EXTENSION pg_saga UPDATE" to load this file. \quit
-- From 0.1 to 0.2. Each part has what the module of that name changed.

-- ---------- common ----------

-- ---------- name ----------

-- ---------- asl ----------

-- ---------- mapping ----------

-- ---------- queue ----------

-- ---------- secret ----------

-- ---------- outbox ----------

-- ---------- engine ----------

-- ---------- source ----------

-- ---------- worker ----------
DROP VIEW saga.workers;
DROP FUNCTION saga.worker_status();
CREATE FUNCTION saga.worker_status(OUT pid integer, OUT type text, OUT database name, OUT owner name,
	OUT state text, OUT started_at timestamptz, OUT last_active timestamptz,
	OUT batches bigint, OUT done bigint, OUT errors bigint, OUT reason text,
	OUT busy_since timestamptz, OUT overstays boolean)
RETURNS SETOF record LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'saga_worker_status';
COMMENT ON FUNCTION saga.worker_status() IS 'rows of saga.workers';
CREATE VIEW saga.workers AS SELECT * FROM saga.worker_status();
COMMENT ON VIEW saga.workers IS
'the processes of pg_saga, and the owners whose executions cannot run, with the reason.
busy_since: of a worker, when its batch began; overstays: it has been in it for longer than a batch takes, so it is in a long step';

-- ---------- doctor ----------

-- ---------- grants ----------
-- Last: nothing for PUBLIC. It also tells every process that the extension has changed (stmt.c).
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA saga FROM PUBLIC;
REVOKE ALL ON ALL PROCEDURES IN SCHEMA saga FROM PUBLIC;
REVOKE ALL ON SCHEMA saga FROM PUBLIC;
