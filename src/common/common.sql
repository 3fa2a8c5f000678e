-- common: the schema. A plain CREATE: one that somebody else made first is not taken over.
CREATE SCHEMA saga;
COMMENT ON SCHEMA saga IS 'pg_saga: queues, workflows, outbox';
