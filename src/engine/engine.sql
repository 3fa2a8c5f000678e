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
	created_by regrole NOT NULL,
	arn text NOT NULL,
	resource text NOT NULL,
	PRIMARY KEY (created_by, arn)
);
COMMENT ON TABLE saga.resource IS 'what an ARN in a definition stands for here, for the workflows of the role that said so (of a superuser: for all)';

CREATE TABLE saga.execution_name (
	workflow_id integer NOT NULL,
	name text NOT NULL,
	execution_id uuid NOT NULL,
	PRIMARY KEY (workflow_id, name)
);
COMMENT ON TABLE saga.execution_name IS 'names given to saga.start_execution: the same name again is the same execution';

CREATE TABLE saga.given_id (
	execution_id uuid PRIMARY KEY
);
COMMENT ON TABLE saga.given_id IS 'ids of executions that were given to saga.start_execution, not made there: each is used once';

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
) WITH (toast_tuple_target = 8160,		-- compressing each row costs more than all its steps
	autovacuum_vacuum_insert_scale_factor = 0.5, autovacuum_analyze_scale_factor = 0.2);
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
SELECT pg_extension_config_dump('saga.given_id', '');
SELECT pg_extension_config_dump('saga.continuation', '');
SELECT pg_extension_config_dump('saga.execution', '');
SELECT pg_extension_config_dump('saga.history', '');

-- caches of other sessions
CREATE TRIGGER workflow_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON saga.workflow
	FOR EACH STATEMENT EXECUTE FUNCTION saga.invalidate_cache();
CREATE TRIGGER resource_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON saga.resource
	FOR EACH STATEMENT EXECUTE FUNCTION saga.invalidate_cache();

-- ---------- workflows ----------

CREATE FUNCTION saga.create_workflow(name text, definition jsonb) RETURNS integer
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_create_workflow';
COMMENT ON FUNCTION saga.create_workflow(text, jsonb) IS
'makes a workflow, or a new version of one that the caller owns, from a definition in Amazon States Language; returns the version. Running executions keep theirs. Raises invalid_parameter_value with the JSON pointer of each fault';

CREATE FUNCTION saga.workflow_version(name text) RETURNS integer
	LANGUAGE c STRICT STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_workflow_version';
COMMENT ON FUNCTION saga.workflow_version(text) IS
'the newest version of a workflow, which new executions run; null when there is no such workflow';

CREATE FUNCTION saga.set_workflow_owner(name text, role regrole) RETURNS void
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_set_workflow_owner';
COMMENT ON FUNCTION saga.set_workflow_owner(text, regrole) IS
'gives a workflow to another role, whose rights its steps then have; the caller must own it and be a member of the role';

CREATE FUNCTION saga.bind_resource(arn text, resource text) RETURNS void
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_bind_resource';
COMMENT ON FUNCTION saga.bind_resource(text, text) IS
'says what an ARN in a definition stands for here (sql:schema.function ...), for workflows of the caller; what a superuser binds counts for all';

-- ---------- executions ----------

CREATE FUNCTION saga.start_execution(workflow text, input jsonb DEFAULT '{}', name text DEFAULT NULL, id uuid DEFAULT NULL) RETURNS uuid
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_start_execution';
COMMENT ON FUNCTION saga.start_execution(text, jsonb, text, uuid) IS
'starts an execution when the transaction commits, and returns its id. The same name again with the same input returns the same id; with another input it raises unique_violation. A caller who needs the id beforehand takes one from saga.make_id() and gives it here, once: it raises unique_violation if there is such an execution, or one is being started';

CREATE FUNCTION saga.stop_execution(id uuid, error text DEFAULT NULL, cause text DEFAULT NULL, compensate boolean DEFAULT true) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_stop_execution';
COMMENT ON FUNCTION saga.stop_execution(uuid, text, text, boolean) IS
'asks an execution to end: status ABORTED, after its compensations unless compensate is false. Raises object_not_in_prerequisite_state when it has ended';

CREATE FUNCTION saga.send_task_success(token text, output jsonb) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_send_task_success';
COMMENT ON FUNCTION saga.send_task_success(text, jsonb) IS
'answers a task that waits for its token ($$.Task.Token); output is its result. Raises object_not_in_prerequisite_state when it does not wait any more';

CREATE FUNCTION saga.send_task_failure(token text, error text DEFAULT NULL, cause text DEFAULT NULL) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_send_task_failure';
COMMENT ON FUNCTION saga.send_task_failure(text, text, text) IS
'fails a task that waits for its token, with an error that Retry and Catch see';

CREATE FUNCTION saga.send_task_heartbeat(token text) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_send_task_heartbeat';
COMMENT ON FUNCTION saga.send_task_heartbeat(text) IS
'says that work on a task goes on: its HeartbeatSeconds begin anew';

-- ---------- inside steps ----------

CREATE FUNCTION saga.fail(error text, cause text DEFAULT NULL) RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'saga_fail';
COMMENT ON FUNCTION saga.fail(text, text) IS
'raises a business error: what the step did is rolled back, and its Retry and Catch see the name and the cause';

CREATE FUNCTION saga.failure(error text, cause text DEFAULT NULL) RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_failure';
COMMENT ON FUNCTION saga.failure(text, text) IS
'a step that returns this has failed with that name and cause. Unlike saga.fail() it rolls nothing back: it is cheaper, and what the step wrote stays';

-- ---------- views ----------

-- ANY (ARRAY ...): so that a look-up by id goes down the index of each queue, and does not walk all of it
CREATE VIEW saga.all_executions AS
	SELECT e.execution_id, w.name AS workflow, e.version, e.name,
		CASE e.status WHEN 's' THEN 'SUCCEEDED' WHEN 'f' THEN 'FAILED' WHEN 't' THEN 'TIMED_OUT' ELSE 'ABORTED' END AS status,
		e.input, e.output, e.error, e.cause, e.started_at, e.stopped_at, NULL::text AS current_state,
		e.parent_id, e.compensated, w.owner
	FROM saga.execution e JOIN saga.workflow w USING (workflow_id)
	UNION ALL
	SELECT c.execution_id, w.name, c.version, c.name,
		CASE c.status WHEN 'c' THEN 'COMPENSATING' ELSE 'RUNNING' END,
		c.input, NULL, NULL, NULL, c.started_at, NULL, c.current_state, c.parent_id, NULL, w.owner
	FROM saga.continuation c JOIN saga.workflow w USING (workflow_id)
	UNION ALL
	SELECT m.id, w.name, m.version, m.headers ->> 'name', 'RUNNING', m.body, NULL, NULL, NULL,
		m.sent_at, NULL, NULL, NULL, NULL, w.owner
	FROM saga.workflow w JOIN saga.message m ON m.queue_id = w.workflow_id
	WHERE m.kind = 's' AND m.id = m.message_id AND m.queue_id = ANY (ARRAY(SELECT workflow_id FROM saga.workflow))
	UNION ALL
	SELECT m.message_id, w.name, m.version, m.headers ->> 'name', 'RUNNING', m.body, NULL, NULL, NULL,
		m.sent_at, NULL, NULL, NULL, NULL, w.owner
	FROM saga.workflow w JOIN saga.message m ON m.queue_id = w.workflow_id
	WHERE m.kind = 's' AND m.id <> m.message_id AND m.queue_id = ANY (ARRAY(SELECT workflow_id FROM saga.workflow))
	UNION ALL
	SELECT t.message_id, w.name, t.version, t.headers ->> 'name', 'RUNNING', t.body, NULL, NULL, NULL,
		t.sent_at, NULL, NULL, NULL, NULL, w.owner
	FROM saga.workflow w JOIN saga.timer t ON t.queue_id = w.workflow_id
	WHERE t.kind = 's' AND t.queue_id = ANY (ARRAY(SELECT workflow_id FROM saga.workflow));
COMMENT ON VIEW saga.all_executions IS
'executions of all workflows: for the views of applications, which decide themselves who may see what. Not to be granted to anyone';

CREATE VIEW saga.executions WITH (security_barrier) AS
	SELECT e.execution_id, e.workflow, e.version, e.name, e.status, e.input, e.output, e.error, e.cause,
		e.started_at, e.stopped_at, e.current_state, e.parent_id, e.compensated
	FROM saga.all_executions e
	WHERE pg_has_role(e.owner, 'USAGE');
COMMENT ON VIEW saga.executions IS
'executions of the workflows whose owner the current user is a member of: those that have ended, that wait, and that have not begun (RUNNING without a current state)';

CREATE VIEW saga.execution_history WITH (security_barrier) AS
	SELECT r.execution_id, h.event_id, h.previous_event_id, h.type, h."timestamp", h.details
	FROM (
		SELECT e.execution_id, e.workflow_id, e.history AS events, e.input, e.output FROM saga.execution e
		UNION ALL
		SELECT h.execution_id, coalesce(c.workflow_id, e.workflow_id), h.events, coalesce(c.input, e.input), NULL
		FROM saga.history h
			LEFT JOIN saga.continuation c ON c.execution_id = h.execution_id
			LEFT JOIN saga.execution e ON e.execution_id = h.execution_id
	) r
	JOIN saga.workflow w ON w.workflow_id = r.workflow_id
	CROSS JOIN LATERAL saga.history_events(r.events, r.input, r.output) h
	WHERE pg_has_role(w.owner, 'USAGE');
COMMENT ON VIEW saga.execution_history IS
'what happened in executions, named as in the AWS API; select by execution_id and order by event_id';
