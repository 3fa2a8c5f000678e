\echo Use "ALTER EXTENSION pg_saga UPDATE" to load this file. \quit
-- From 0.1 to 0.2. Each part has what the module of that name changed.

-- ---------- common ----------

-- ---------- name ----------

-- ---------- asl ----------

-- ---------- mapping ----------

-- ---------- queue ----------

-- for the coordinator's turns: what is due of one queue, whatever is due of others
CREATE INDEX timer_queue_wake_at ON saga.timer (queue_id, wake_at);

-- ---------- secret ----------

-- ---------- outbox ----------
ALTER TABLE saga.takeover DROP COLUMN only_row;
COMMENT ON TABLE saga.takeover IS 'which servers, on which timelines, have written the outbox, and since when: what is older than the last of them may have been sent without being on record';

-- ---------- engine ----------

-- ---------- source ----------

-- ---------- worker ----------

-- ---------- doctor ----------

-- ---------- grants ----------
-- Last: nothing for PUBLIC. It also tells every process that the extension has changed (stmt.c).
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA saga FROM PUBLIC;
REVOKE ALL ON ALL PROCEDURES IN SCHEMA saga FROM PUBLIC;
REVOKE ALL ON SCHEMA saga FROM PUBLIC;
