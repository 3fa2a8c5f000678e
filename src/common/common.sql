-- common: the search path, until the end of this script, and the schema.
SET LOCAL search_path = pg_catalog, pg_temp;
-- A plain CREATE: one that somebody else made first is not taken over.
CREATE SCHEMA saga;
COMMENT ON SCHEMA saga IS 'pg_saga: queues, workflows, outbox';
