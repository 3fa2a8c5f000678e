-- engine: workflows and executions.

CREATE TABLE saga.workflow (
	workflow_id integer PRIMARY KEY,	-- the id of its queue
	name text NOT NULL UNIQUE,
	owner regrole NOT NULL,
	version integer NOT NULL,			-- the newest one, which new executions run
	created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE saga.workflow IS 'workflows; each has a queue of the same name and id';

CREATE TABLE saga.workflow_version (
	workflow_id integer NOT NULL,
	version integer NOT NULL,
	definition jsonb NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	created_by text NOT NULL,
	PRIMARY KEY (workflow_id, version)
);
COMMENT ON TABLE saga.workflow_version IS 'definitions in Amazon States Language, never changed once made';

CREATE TABLE saga.resource (
	arn text PRIMARY KEY,
	resource text NOT NULL,
	created_by regrole NOT NULL
);
COMMENT ON TABLE saga.resource IS 'what an ARN in a definition stands for here';

CREATE TABLE saga.execution_name (
	workflow_id integer NOT NULL,
	name text NOT NULL,
	execution_id uuid NOT NULL,
	PRIMARY KEY (workflow_id, name)
);
COMMENT ON TABLE saga.execution_name IS 'names given to saga.start_execution: the same name again is the same execution';

CREATE TABLE saga.continuation (
	execution_id uuid PRIMARY KEY,
	workflow_id integer NOT NULL,
	version integer NOT NULL,
	name text,
	status "char" NOT NULL,				-- r running, c compensating
	current_state text,
	started_at timestamptz NOT NULL,
	parked_at timestamptz NOT NULL,
	trouble integer NOT NULL DEFAULT 0,	-- engine's trouble in a row, see engine/README.md
	runs integer NOT NULL DEFAULT 1,
	parent_id uuid,
	input jsonb,
	run jsonb NOT NULL					-- the frozen run
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX continuation_workflow ON saga.continuation (workflow_id, execution_id);
COMMENT ON TABLE saga.continuation IS 'executions that wait for something';

CREATE TABLE saga.execution (
	execution_id uuid PRIMARY KEY,
	workflow_id integer NOT NULL,
	version integer NOT NULL,
	started_at timestamptz NOT NULL,
	stopped_at timestamptz NOT NULL,
	status "char" NOT NULL,				-- s succeeded, f failed, t timed out, a aborted
	runs integer NOT NULL DEFAULT 1,
	name text,
	parent_id uuid,
	error text,
	cause text,
	input jsonb,
	output jsonb,
	compensated jsonb,
	history bytea						-- events of the last run; earlier runs are in saga.history
) WITH (autovacuum_vacuum_insert_scale_factor = 0.5, autovacuum_analyze_scale_factor = 0.2);
CREATE INDEX execution_workflow ON saga.execution (workflow_id, execution_id);
COMMENT ON TABLE saga.execution IS 'executions that have ended';

CREATE TABLE saga.history (
	execution_id uuid NOT NULL,
	run integer NOT NULL,
	events bytea NOT NULL,
	PRIMARY KEY (execution_id, run)
);
COMMENT ON TABLE saga.history IS 'events of the runs before the last one of each execution, one row a run';

SELECT pg_extension_config_dump('saga.workflow', '');
SELECT pg_extension_config_dump('saga.workflow_version', '');
SELECT pg_extension_config_dump('saga.resource', '');
SELECT pg_extension_config_dump('saga.execution_name', '');
SELECT pg_extension_config_dump('saga.continuation', '');
SELECT pg_extension_config_dump('saga.execution', '');
SELECT pg_extension_config_dump('saga.history', '');
