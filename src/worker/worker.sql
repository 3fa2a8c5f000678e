-- worker: processes, poison.

CREATE TABLE saga.suspect (
	execution_id uuid PRIMARY KEY,
	crashes integer NOT NULL,
	last_at timestamptz NOT NULL
);
COMMENT ON TABLE saga.suspect IS 'executions that were running when the server crashed; a row goes when its execution ran well';
SELECT pg_extension_config_dump('saga.suspect', '');

CREATE FUNCTION saga.worker_status(OUT pid integer, OUT type text, OUT database name, OUT owner name,
	OUT state text, OUT started_at timestamptz, OUT last_active timestamptz,
	OUT batches bigint, OUT done bigint, OUT errors bigint, OUT reason text,
	OUT busy_since timestamptz, OUT overstays boolean,
	OUT workflow text, OUT execution_id uuid, OUT current_state text, OUT step_since timestamptz)
RETURNS SETOF record LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'saga_worker_status';
COMMENT ON FUNCTION saga.worker_status() IS 'rows of saga.workers';

CREATE VIEW saga.workers AS SELECT * FROM saga.worker_status();
COMMENT ON VIEW saga.workers IS
'the processes of pg_saga; and with state waiting those that cannot be started, with the reason: of an owner whose executions cannot run, or without an owner.
busy_since: when a worker began its batch, another one its turn; null: it waits. overstays: of a worker, it has been in it for longer than a batch takes, so it is in a long step. workflow, execution_id: what a worker of this database runs at this moment; current_state: of its last step; step_since: when that began; null: it is in none';

CREATE PROCEDURE saga.drain(queue text DEFAULT NULL, max integer DEFAULT NULL)
LANGUAGE C AS 'MODULE_PATHNAME', 'saga_drain';
COMMENT ON PROCEDURE saga.drain(text, integer) IS 'process what is ready in the caller''s own workflow queues, in this session, committing per batch';
