-- endpoint: where messages may go.

CREATE TABLE saga.destination (
	destination_id integer PRIMARY KEY,	-- the id of its queue, "destination/NAME"
	name text NOT NULL,
	kind text NOT NULL CHECK (kind IN ('http', 'sns', 'sqs')),
	owner regrole NOT NULL,
	settings jsonb NOT NULL,
	paused boolean NOT NULL DEFAULT false,
	-- destinations of one owner can have their limits in common
	limit_key text NOT NULL GENERATED ALWAYS AS (coalesce(
		'group ' || owner::oid::text || ' ' || nullif(settings #>> '{limits,group}', ''),
		'destination ' || destination_id::text)) STORED,
	created_at timestamptz NOT NULL DEFAULT now(),
	changed_at timestamptz NOT NULL DEFAULT now(),
	UNIQUE (owner, name)
);
COMMENT ON TABLE saga.destination IS 'where outbox messages go; secrets are references to files or environment variables, never values';

SELECT pg_extension_config_dump('saga.destination', '');

CREATE TRIGGER owner_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON saga.destination
	FOR EACH STATEMENT EXECUTE FUNCTION saga.owner_only();

CREATE FUNCTION saga.destination_changed() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'saga_destination_changed';
CREATE TRIGGER destination_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON saga.destination
	FOR EACH STATEMENT EXECUTE FUNCTION saga.destination_changed();
-- what its secrets mean: a restore brings these tables after saga.destination
CREATE TRIGGER destination_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON saga.object_grant
	FOR EACH STATEMENT EXECUTE FUNCTION saga.destination_changed();
COMMENT ON FUNCTION saga.destination_changed() IS 'makes every session forget what it knows of destinations';
