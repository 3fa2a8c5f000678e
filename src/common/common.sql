-- common: the search path, until the end of this script, and the schema.
SET LOCAL search_path = pg_catalog, pg_temp;
-- A plain CREATE: one that somebody else made first is not taken over.
CREATE SCHEMA saga;
COMMENT ON SCHEMA saga IS 'pg_saga: queues, workflows, outbox';

CREATE FUNCTION saga.owner_only() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'saga_owner_only';
COMMENT ON FUNCTION saga.owner_only() IS
'statement trigger of the tables that decide with whose rights something runs: only the functions of the extension write them, and who has the rights of its owner';
