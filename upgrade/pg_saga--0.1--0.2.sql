\echo Use "ALTER EXTENSION pg_saga UPDATE" to load this file. \quit
-- From 0.1 to 0.2. Each part has what the module of that name changed.

-- ---------- common ----------
SET LOCAL search_path = pg_catalog, pg_temp;
CREATE FUNCTION saga.owner_only() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'saga_owner_only';
COMMENT ON FUNCTION saga.owner_only() IS
'statement trigger of the tables that decide with whose rights something runs: only the functions of the extension write them, and who has the rights of its owner';

-- ---------- name ----------
CREATE TABLE saga.object_grant (
	kind text NOT NULL CHECK (kind IN ('workflow', 'queue', 'destination', 'activity', 'source', 'secret')),
	object_id integer NOT NULL,
	role regrole NOT NULL,
	"right" text NOT NULL CHECK ("right" IN ('start', 'operate', 'read', 'use')),
	granted_by regrole NOT NULL,
	granted_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (kind, object_id, role, "right")
);
COMMENT ON TABLE saga.object_grant IS 'rights that owners granted to other roles; shown by saga.grants';
SELECT pg_extension_config_dump('saga.object_grant', 'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = role)');
CREATE FUNCTION saga.grant(kind text, name text, role regrole, "right" text) RETURNS void
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_grant';
COMMENT ON FUNCTION saga.grant(text, text, regrole, text) IS
'lets another role use what one owns, without being a member of the owner.
kind: workflow, queue, destination, activity, source, secret. right:
start: start executions of a workflow;
operate: stop, answer and redrive executions; receive, delete, purge and redrive messages of a queue; pause and resume a destination or source, redrive its messages; take the tasks of an activity and answer them;
read: see it, and what it did, in the views;
use: send to a queue; publish to a destination, name it in a definition; name an activity in a definition; refer to a secret in settings (and so send it to a server of one''s choice: grant it to whom you would tell it).
What is granted ends with the object, and when it gets another owner.
Errors: undefined_object (not the caller''s), invalid_parameter_value (no such kind, or right of that kind)';
CREATE FUNCTION saga.revoke(kind text, name text, role regrole, "right" text) RETURNS void
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_revoke';
COMMENT ON FUNCTION saga.revoke(text, text, regrole, text) IS
'takes back what saga.grant gave; nothing happens when it was not granted. What the role began meanwhile goes on';

-- ---------- asl ----------
CREATE FUNCTION saga.test_state(definition jsonb, input jsonb DEFAULT '{}', state text DEFAULT NULL, mock jsonb DEFAULT NULL,
	context jsonb DEFAULT NULL, variables jsonb DEFAULT NULL, options jsonb DEFAULT '{}')
RETURNS jsonb
AS 'MODULE_PATHNAME', 'saga_test_state'
LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION saga.test_state(jsonb, jsonb, text, jsonb, jsonb, jsonb, jsonb) IS
'runs one state by itself, as the API TestState of AWS does, and tells what becomes of it: status (SUCCEEDED, FAILED, RETRIABLE, CAUGHT_ERROR), output, error, cause, nextState, and inspectionData.
definition: the state; or a machine, of which "state" names one, also inside a Map or Parallel. mock, what a Task, Map or Parallel comes to: {"result"} or {"errorOutput": {"error", "cause"}}, with "fieldValidationMode".
context: takes the place of $$; variables: an object. options: "inspectionLevel" (INFO, DEBUG, TRACE), "stateConfiguration" (retrierRetryCount, mapIterationFailureCount, errorCausedByState, mapItemReaderData), "start_time", "seed".
Errors: invalid_parameter_value, invalid_json_text, undefined_object (no such state)';
CREATE FUNCTION saga.simulate_coverage(definition jsonb, runs jsonb[])
RETURNS TABLE(location text, kind text, state text, target text, hits bigint)
AS 'MODULE_PATHNAME', 'saga_simulate_coverage'
LANGUAGE C STRICT STABLE PARALLEL SAFE;
COMMENT ON FUNCTION saga.simulate_coverage(jsonb, jsonb[]) IS
'which states and ways of a definition a set of dry runs comes to, and how often; what hits says 0 of, none does. runs: what saga.simulate is given, {"input", "responses", "options"}, each may be left out.
A row for each State, and each Choice, Default, Next, End, Retry, Catch and Compensate of it, in branches and items too; location: a JSON pointer into the definition; target: the state that it leads to.
Errors: invalid_parameter_value, whose context says the number of the run, from 1 on';

REVOKE ALL ON FUNCTION saga.test_state(jsonb, jsonb, text, jsonb, jsonb, jsonb, jsonb), saga.simulate_coverage(jsonb, jsonb[]) FROM PUBLIC;

-- ---------- value ----------

-- ---------- expressions, templates and conditions of destinations ----------

-- ---------- jsonata ----------
CREATE FUNCTION saga.jsonata(expression text, document jsonb, bindings jsonb DEFAULT '{}', numbers text DEFAULT 'double')
RETURNS jsonb
AS 'MODULE_PATHNAME', 'saga_jsonata'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION saga.jsonata(text, jsonb, jsonb, text) IS
	'what a JSONata expression makes of a document; NULL: undefined; bindings: {"name": value} for $name; numbers: double, or decimal for exact ones';

CREATE FUNCTION saga.jsonata_json(expression text, document json, bindings json DEFAULT '{}', numbers text DEFAULT 'double')
RETURNS json
AS 'MODULE_PATHNAME', 'saga_jsonata_json'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION saga.jsonata_json(text, json, json, text) IS
	'as saga.jsonata, with members in the order in which they are written or made, and numbers with the digits they are written with';

CREATE FUNCTION saga.jsonata_volatile(expression text, document jsonb, bindings jsonb DEFAULT '{}', numbers text DEFAULT 'double')
RETURNS jsonb
AS 'MODULE_PATHNAME', 'saga_jsonata_volatile'
LANGUAGE C VOLATILE PARALLEL SAFE;
COMMENT ON FUNCTION saga.jsonata_volatile(text, jsonb, jsonb, text) IS
	'as saga.jsonata, for expressions with $now, $millis, $random or $shuffle, which give something else each time';

-- ---------- queue ----------
-- names are unique per owner
ALTER TABLE saga.queue DROP CONSTRAINT queue_name_key, ADD UNIQUE (owner, name), ADD COLUMN dead_letter_queue_id integer,
	DROP CONSTRAINT queue_kind_check, ADD CHECK (kind IN ('q', 'w', 'd', 'a'));
COMMENT ON TABLE saga.queue IS 'queues: q = messages read with saga.receive, w = executions of a workflow, d = outbox messages of a destination, a = tasks of an activity that no worker has';
UPDATE saga.queue q SET dead_letter_queue_id = d.queue_id FROM saga.queue d WHERE d.name = q.dead_letter_queue AND d.kind = 'q';
CREATE INDEX queue_dead_letter_queue ON saga.queue (dead_letter_queue_id) WHERE dead_letter_queue_id IS NOT NULL;
CREATE INDEX timer_queue_wake_at ON saga.timer (queue_id, wake_at);
CREATE INDEX message_start ON saga.message (message_id) WHERE kind = 's';
CREATE INDEX timer_start ON saga.timer (message_id) WHERE kind = 's';
COMMENT ON FUNCTION saga.create_queue(text, interval, integer, text, boolean, interval) IS
'makes a queue that belongs to the current user, returns its id.
visibility_timeout: how long a received message stays hidden; max_receives: how often it is given out before it becomes a dead letter (0: no limit);
dead_letter_queue: a plain queue that the caller may use, which takes such messages instead of saga.dead_letters.
Errors: duplicate_object, undefined_object (dead_letter_queue), feature_not_supported (fifo, retention)';
COMMENT ON FUNCTION saga.send(text, jsonb, interval, text, text, jsonb) IS
'puts a message into a queue when the transaction commits, returns its id; with a delay it can be received only after that time.
headers: a JSON object. Errors: undefined_object (also of a queue that the caller may not use), wrong_object_type (queue of a workflow or destination), feature_not_supported (group_id, dedup_id)';
COMMENT ON FUNCTION saga.drop_queue(text) IS
'drops a queue with its messages and dead letters; false if there is none of that name. Waits some seconds (or the lock_timeout) for transactions that use it, and nobody waits behind that.
Errors: object_in_use (another queue names it as dead_letter_queue), lock_not_available (transactions that use it do not end), wrong_object_type';
COMMENT ON FUNCTION saga.redrive(uuid) IS
'sends a dead letter back to where it failed; returns the id of the message or execution. A message is sent again. An execution goes on in its place where it failed, as by saga.redrive_execution, and its id is returned; where that is not known (nothing was kept of its run, it had not begun, or its version was made for another owner) it is started anew, as another execution, with a notice. Cast the argument to uuid.
Errors: undefined_object (also of one that the caller may not redrive), object_not_in_prerequisite_state (already redriven; or the execution has left something that was not undone, or that nobody knows of; or another one has started it)';

CREATE FUNCTION saga.redrive(dead_letter_id uuid, force boolean) RETURNS uuid
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_redrive_force';
COMMENT ON FUNCTION saga.redrive(uuid, boolean) IS
'the same; with force also of an execution that has left something which was not undone, or of which nobody knows: its entries in not_compensated are closed, as unknown, and neither settled nor undone any more; the old idempotency key is used again only for the same request of which nobody knows, while the server knows the key';

CREATE FUNCTION saga.redrive_anew(dead_letter_id uuid, input jsonb DEFAULT NULL, force boolean DEFAULT false) RETURNS uuid
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_redrive_anew';
COMMENT ON FUNCTION saga.redrive_anew(uuid, jsonb, boolean) IS
'as saga.redrive, but an execution does not go on where it failed: another one is started from the beginning, with the newest version of its workflow, and its id is returned. input: of the new one; null: that of the old one. force: as of saga.redrive. A message is sent again, and takes no input.
Errors: those of saga.redrive; invalid_parameter_value (an input for a message)';
CREATE OR REPLACE VIEW saga.queues WITH (security_barrier) AS
	SELECT q.name,
		CASE q.kind WHEN 'q' THEN 'queue' WHEN 'w' THEN 'workflow' WHEN 'a' THEN 'activity' ELSE 'destination' END AS kind,
		q.owner, m.ready, t.delayed, t.in_flight, d.dead,
		least(m.oldest_at, t.oldest_at) AS oldest_at,
		q.visibility_timeout, q.max_receives,
		(SELECT CASE WHEN t.owner = q.owner THEN t.name ELSE format('%s.%I', t.owner, t.name) END
			FROM saga.queue t WHERE t.queue_id = q.dead_letter_queue_id) AS dead_letter_queue,
		q.queue_id
	FROM saga.queue q
	CROSS JOIN LATERAL (SELECT count(*) AS ready, min(sent_at) AS oldest_at
		FROM saga.message WHERE queue_id = q.queue_id) m
	CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE lease IS NULL) AS delayed,
			count(*) FILTER (WHERE lease IS NOT NULL) AS in_flight, min(sent_at) AS oldest_at
		FROM saga.timer WHERE queue_id = q.queue_id) t
	CROSS JOIN LATERAL (SELECT count(*) AS dead
		FROM saga.dead_letter WHERE queue_id = q.queue_id AND redriven_at IS NULL) d
	WHERE pg_has_role(q.owner, 'USAGE')
		OR EXISTS (SELECT FROM saga.object_grant g
			WHERE g.kind = CASE q.kind WHEN 'q' THEN 'queue' WHEN 'w' THEN 'workflow' WHEN 'a' THEN 'activity' ELSE 'destination' END
				AND g.object_id = q.queue_id AND g."right" = 'read' AND pg_has_role(g.role, 'USAGE'));
COMMENT ON VIEW saga.queues IS 'queues of roles that the current user is a member of, and those that he was granted to read; the counts are exact, and take the time to count';
CREATE OR REPLACE VIEW saga.all_dead_letters AS
	SELECT d.dead_letter_id, q.name AS queue, d.message_id,
		CASE d.kind WHEN 'm' THEN 'message' WHEN 'o' THEN 'outbox' ELSE 'execution' END AS kind,
		d.reason, d.cause, d.receives, d.sent_at, d.failed_at, d.redriven_at, d.redriven_as,
		d.body, d.headers, d.details, q.owner, d.queue_id
	FROM saga.dead_letter d JOIN saga.queue q USING (queue_id);
CREATE OR REPLACE VIEW saga.dead_letters WITH (security_barrier) AS
	SELECT d.dead_letter_id, d.queue, d.message_id, d.kind, d.reason, d.cause, d.receives, d.sent_at,
		d.failed_at, d.redriven_at, d.redriven_as, d.body, d.headers, d.details, d.owner
	FROM saga.all_dead_letters d
	WHERE pg_has_role(d.owner, 'USAGE')
		OR EXISTS (SELECT FROM saga.object_grant g
			WHERE g.kind = CASE d.kind WHEN 'message' THEN 'queue' WHEN 'outbox' THEN 'destination' ELSE 'workflow' END
				AND g.object_id = d.queue_id AND g."right" = 'read' AND pg_has_role(g.role, 'USAGE'));
COMMENT ON VIEW saga.dead_letters IS 'what failed for good, of queues of roles that the current user is a member of, and those that he was granted to read; redriven_at is null while it waits for a person';
ALTER TABLE saga.queue DROP COLUMN dead_letter_queue;
COMMENT ON FUNCTION saga.redrive(text, text, integer) IS
'sends the dead letters of a queue or workflow back, oldest first, each as saga.redrive(dead_letter_id) does: those of one reason, or all; at most max. Returns how many. Those that have no way back, or have left something that was not undone, stay: a notice says how many, and another one how many executions could not go on where they failed and were started anew';

-- ---------- secret ----------
ALTER TABLE saga.secret DROP CONSTRAINT secret_pkey;
ALTER TABLE saga.secret ADD COLUMN secret_id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, ADD UNIQUE (owner, name);
SELECT pg_extension_config_dump('saga.secret_secret_id_seq', '');
-- copies, which are fetched anew
TRUNCATE saga.token;
ALTER TABLE saga.token ADD COLUMN owner regrole NOT NULL, ADD COLUMN destination_id integer NOT NULL,
	ADD COLUMN written_at timestamptz NOT NULL;
CREATE INDEX token_owner ON saga.token (owner, written_at);
COMMENT ON FUNCTION saga.set_secret(text, text) IS 'makes a secret of the caller''s, or replaces its value (another''s is written owner.name, and needs the privileges of the owner). Once it runs no error logs the value, and pg_stat_activity does not show it. What logs statements does log it: log_statement, log_min_duration_statement and its kin and auto_explain, whose lines show parameters as well, and pg_stat_statements where the call is inside a DO or CALL. Switch them off in the session (a superuser: SET LOCAL), and take care that the call is not refused before it runs: a mistake in it, no right to the function, a failed transaction';
CREATE OR REPLACE VIEW saga.secrets WITH (security_barrier) AS
SELECT s.name, s.owner, s.created_at, s.changed_at
FROM saga.secret s
WHERE pg_catalog.pg_has_role(s.owner, 'USAGE')
	OR EXISTS (SELECT FROM saga.object_grant g WHERE g.kind = 'secret' AND g.object_id = s.secret_id
		AND g."right" = 'use' AND pg_catalog.pg_has_role(g.role, 'USAGE'));
COMMENT ON VIEW saga.secrets IS 'your secrets, and those that you were granted to use: their names, never their values';

-- ---------- outbox ----------
CREATE TRIGGER destination_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON saga.object_grant
	FOR EACH STATEMENT EXECUTE FUNCTION saga.destination_changed();
ALTER TABLE saga.outbox ADD COLUMN sent_class text, ADD COLUMN unwanted_since timestamptz,
	ADD COLUMN outcome text NOT NULL DEFAULT 'never_left'
		CHECK (outcome IN ('never_left', 'no_effect', 'done', 'in_doubt')),
	ADD COLUMN outcome_by text, ADD COLUMN outcome_at timestamptz,
	ADD COLUMN accepted boolean NOT NULL DEFAULT false, ADD COLUMN captured_hash bigint,
	ADD COLUMN heir uuid, ADD COLUMN taken_up_as uuid;
CREATE INDEX outbox_heir ON saga.outbox (heir) WHERE heir IS NOT NULL;
-- what the earlier version has recorded; of what it had given up nobody looked
UPDATE saga.outbox SET outcome = CASE WHEN state = 'delivered' THEN 'done'
		WHEN uncertain OR phase = 'poll' OR last_class IN ('uncertain', 'pending') OR doubted AND state <> 'failed' THEN 'in_doubt'
		ELSE 'no_effect' END, outcome_by = 'answer', outcome_at = coalesce(finished_at, last_sent_at)
	WHERE attempts > 0;
-- a look-up of the earlier version proves nothing of what was sent after it
UPDATE saga.outbox SET uncertain = true WHERE state = 'waiting' AND doubted AND NOT uncertain AND phase <> 'poll';
-- a failure in doubt that its execution has not read yet is to say so
UPDATE saga.message m SET body = m.body || '{"in_doubt": true}' FROM saga.outbox o
	WHERE m.kind = 'e' AND jsonb_typeof(m.body) = 'object' AND m.body ? 'error' AND m.target = o.execution_id
		AND m.body -> 'task' = to_jsonb(o.task_id) AND o.state = 'failed' AND o.outcome = 'in_doubt' AND o.op <> 'p';
UPDATE saga.timer m SET body = m.body || '{"in_doubt": true}' FROM saga.outbox o
	WHERE m.kind = 'e' AND jsonb_typeof(m.body) = 'object' AND m.body ? 'error' AND m.target = o.execution_id
		AND m.body -> 'task' = to_jsonb(o.task_id) AND o.state = 'failed' AND o.outcome = 'in_doubt' AND o.op <> 'p';
-- as far as look-ups capture what answers do
UPDATE saga.outbox SET captured_hash = jsonb_hash_extended(captured, 0)
	WHERE captured IS NOT NULL AND NOT compensate AND state IN ('waiting', 'delivered');
CREATE INDEX outbox_captured ON saga.outbox (destination_id, captured_hash)
	WHERE captured_hash IS NOT NULL AND state IN ('waiting', 'delivered');
CREATE INDEX outbox_unwanted ON saga.outbox (destination_id, outbox_id) WHERE unwanted_since IS NOT NULL AND state = 'waiting';
CREATE INDEX outbox_unknown ON saga.outbox (destination_id, outbox_id)
	WHERE outcome = 'in_doubt' AND workflow_id IS NOT NULL AND state IN ('failed', 'withdrawn');
-- also for what became of the calls that an execution gave up
DROP INDEX saga.outbox_execution;
CREATE INDEX outbox_execution ON saga.outbox (execution_id, task_id)
	WHERE execution_id IS NOT NULL;
ALTER TABLE saga.destination DROP CONSTRAINT destination_name_key, ADD UNIQUE (owner, name);
ALTER TABLE saga.takeover DROP COLUMN only_row,
	ADD COLUMN database_id oid, ADD COLUMN table_id oid, ADD COLUMN files_id bigint;
-- where that is, is noted by the first publisher
UPDATE saga.takeover SET database_id = 0, table_id = 0, files_id = 0;
ALTER TABLE saga.takeover ALTER COLUMN database_id SET NOT NULL, ALTER COLUMN table_id SET NOT NULL, ALTER COLUMN files_id SET NOT NULL;
CREATE FUNCTION saga.doubt_outbox(since timestamptz) RETURNS bigint
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_doubt_outbox';
COMMENT ON FUNCTION saga.doubt_outbox(timestamptz) IS
'after a snapshot of the storage was taken back: what waits may have been sent since then, and is looked up before it is sent again, where the destination says how. Returns how much of it there is';
-- an argument more; what was granted on the old one is moved at the end
ALTER FUNCTION saga.set_destination_owner(text, regrole) RENAME TO replaced_set_destination_owner;
CREATE FUNCTION saga.set_destination_owner(name text, role regrole, definition_hash text DEFAULT NULL) RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'saga_set_destination_owner';
COMMENT ON TABLE saga.takeover IS 'which servers, on which timelines, in which databases and files, have written the outbox, and since when: what is older than the last of them may have been sent without being on record';
COMMENT ON FUNCTION saga.set_destination_owner(text, regrole, text) IS
'gives a destination to another role; definition_hash: as in saga.destinations, required where the caller is not himself the owner. Rights that were granted on it end';
CREATE OR REPLACE VIEW saga.outbox_status WITH (security_barrier) AS
SELECT d.name AS destination, d.kind, d.paused,
	greatest(w.waiting - t.sending - t.retrying, 0) AS waiting, t.sending, t.retrying,
	f.delivered, f.failed, f.withdrawn, w.oldest_waiting,
	l.last_status, l.last_error, f.last_success_at, d.owner
FROM saga.destination d
CROSS JOIN LATERAL (
	SELECT count(*) AS waiting, min(o.created_at) AS oldest_waiting
	FROM saga.outbox o WHERE o.destination_id = d.destination_id AND o.state = 'waiting') w
CROSS JOIN LATERAL (
	SELECT count(*) FILTER (WHERE t.lease IS NOT NULL) AS sending,
		count(*) FILTER (WHERE t.lease IS NULL) AS retrying
	FROM saga.timer t WHERE t.queue_id = d.destination_id) t
CROSS JOIN LATERAL (
	SELECT count(*) FILTER (WHERE o.state = 'delivered') AS delivered,
		count(*) FILTER (WHERE o.state = 'failed') AS failed,
		count(*) FILTER (WHERE o.state = 'withdrawn') AS withdrawn,
		max(o.finished_at) FILTER (WHERE o.state = 'delivered') AS last_success_at
	FROM saga.outbox o WHERE o.destination_id = d.destination_id) f
LEFT JOIN LATERAL (
	SELECT o.last_status, o.last_error
	FROM saga.outbox o WHERE o.destination_id = d.destination_id AND o.last_sent_at IS NOT NULL
	ORDER BY o.last_sent_at DESC LIMIT 1) l ON true
WHERE pg_catalog.pg_has_role(d.owner, 'USAGE')
	OR EXISTS (SELECT FROM saga.object_grant g WHERE g.kind = 'destination' AND g.object_id = d.destination_id
		AND g."right" = 'read' AND pg_catalog.pg_has_role(g.role, 'USAGE'));
CREATE OR REPLACE VIEW saga.destinations WITH (security_barrier) AS
SELECT d.name, d.kind, d.owner,
	CASE WHEN d.paused THEN 'paused'
		WHEN s.pause_until > now() OR s.breaker <> 'closed' THEN 'held'
		ELSE 'open' END AS state,
	CASE WHEN d.paused THEN 'saga.pause_destination'
		WHEN s.pause_until > now() THEN 'the server asked for a pause'
		WHEN s.breaker <> 'closed' AND s.breaker_reason = 'auth' THEN 'credentials were refused'
		WHEN s.breaker <> 'closed' THEN 'too many requests failed'
		WHEN current_setting('pg_saga.publishers', true) = '0' THEN 'pg_saga.publishers is 0' END AS reason,
	d.paused, coalesce(s.breaker, 'closed') AS breaker,
	CASE WHEN s.pause_until > now() OR s.breaker <> 'closed'
		THEN greatest(CASE WHEN s.pause_until > now() THEN s.pause_until END, s.breaker_until) END AS hold_until,
	d.settings #>> '{limits,group}' AS limit_group,
	d.settings -> 'limits' AS limits,
	-- null: no limit of this kind, so nothing is counted
	r.minute AS started_last_minute, r.hour AS started_last_hour, r.day AS started_last_day,
	t.in_flight, greatest(w.waiting - t.in_flight - t.retrying, 0) AS waiting, t.retrying, w.oldest_waiting,
	s.last_success_at, s.last_error, s.last_error_at,
	d.settings, d.created_at, d.changed_at,
	encode(sha256(convert_to(d.settings::text, 'UTF8')), 'hex') AS definition_hash
FROM saga.destination d
LEFT JOIN saga.destination_state s ON s.limit_key = d.limit_key
CROSS JOIN LATERAL (
	SELECT count(*) AS waiting, min(o.created_at) AS oldest_waiting
	FROM saga.outbox o WHERE o.destination_id = d.destination_id AND o.state = 'waiting') w
CROSS JOIN LATERAL (
	SELECT count(*) FILTER (WHERE t.lease IS NOT NULL) AS in_flight,
		count(*) FILTER (WHERE t.lease IS NULL) AS retrying
	FROM saga.timer t WHERE t.queue_id = d.destination_id) t
CROSS JOIN LATERAL (
	SELECT (SELECT coalesce(sum(n), 0) FROM unnest(s.minute_starts[1:30 - age.minute]) n HAVING s.minute_starts IS NOT NULL) AS minute,
		(SELECT coalesce(sum(n), 0) FROM unnest(s.hour_starts[1:30 - age.hour]) n HAVING s.hour_starts IS NOT NULL) AS hour,
		(SELECT coalesce(sum(n), 0) FROM unnest(s.day_starts[1:30 - age.day]) n HAVING s.day_starts IS NOT NULL) AS day
	-- how many buckets, of 2 s, 2 min, 48 min since 2000, the newest is behind
	FROM (SELECT greatest(floor(e.s / 2) - s.minute_bucket, 0)::integer AS minute,
			greatest(floor(e.s / 120) - s.hour_bucket, 0)::integer AS hour,
			greatest(floor(e.s / 2880) - s.day_bucket, 0)::integer AS day
		FROM (SELECT extract(epoch FROM now() - timestamptz '2000-01-01 00:00:00+00') AS s) e) age) r
WHERE pg_catalog.pg_has_role(d.owner, 'USAGE')
	OR EXISTS (SELECT FROM saga.object_grant g WHERE g.kind = 'destination' AND g.object_id = d.destination_id
		AND g."right" = 'read' AND pg_catalog.pg_has_role(g.role, 'USAGE'));

COMMENT ON FUNCTION saga.drop_destination(text) IS 'drops a destination for which nothing waits, and of which no execution has a call that has not been settled or undone, with the record of what it was sent';
CREATE FUNCTION saga.drop_destination(name text, force boolean) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_drop_destination_force';
COMMENT ON FUNCTION saga.drop_destination(text, boolean) IS 'the same; with force also one of which executions have calls that are being settled, or have not been undone: how those went is unknown then';

CREATE VIEW saga.in_doubt WITH (security_barrier) AS
SELECT d.name AS destination, d.owner, count(*) AS messages, min(coalesce(o.unwanted_since, o.last_sent_at)) AS oldest,
	coalesce(d.settings #>> '{settle,by}', CASE WHEN d.kind <> 'http' THEN 'undo' WHEN d.settings ? 'lookup' THEN 'lookup'
		WHEN d.settings #> '{idempotency,ttl_s}' IS NOT NULL THEN 'resend' ELSE 'person' END) AS settled_by,
	CASE WHEN d.paused THEN 'saga.pause_destination'
		WHEN max(s.pause_until) > now() THEN 'the server asked for a pause'
		WHEN max(s.breaker) <> 'closed' AND max(s.breaker_reason) = 'auth' THEN 'credentials were refused'
		WHEN max(s.breaker) <> 'closed' THEN 'too many requests failed' END AS held_by
FROM saga.outbox o JOIN saga.destination d USING (destination_id)
	LEFT JOIN saga.destination_state s ON s.limit_key = d.limit_key
WHERE o.state = 'waiting' AND o.unwanted_since IS NOT NULL
	AND (pg_catalog.pg_has_role(d.owner, 'USAGE')
		OR EXISTS (SELECT FROM saga.object_grant g WHERE g.kind = 'destination' AND g.object_id = d.destination_id
			AND g."right" = 'read' AND pg_catalog.pg_has_role(g.role, 'USAGE')))
GROUP BY d.destination_id, d.name, d.owner, d.settings, d.kind, d.paused;
COMMENT ON VIEW saga.in_doubt IS 'your destinations: calls that executions have given up, and of which it is being found out whether they were done';

-- ---------- engine ----------
ALTER TABLE saga.continuation DROP COLUMN trouble;
ALTER TABLE saga.workflow DROP CONSTRAINT workflow_name_key, ADD UNIQUE (owner, name),
	ADD COLUMN oldest integer NOT NULL DEFAULT 1;
CREATE TABLE saga.alias (
	workflow_id integer NOT NULL,
	alias text NOT NULL,
	routing jsonb NOT NULL,				-- {version: weight}
	published_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (workflow_id, alias)
);
COMMENT ON TABLE saga.alias IS 'names for versions of a workflow, which saga.start_execution knows as workflow:alias';
SELECT pg_extension_config_dump('saga.alias', '');
CREATE TRIGGER owner_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON saga.alias
	FOR EACH STATEMENT EXECUTE FUNCTION saga.owner_only();
CREATE FUNCTION saga.diff_workflow(name text, definition jsonb)
	RETURNS TABLE(state text, location text, change text, members text[], executions bigint)
	LANGUAGE c STRICT STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_diff_workflow';
COMMENT ON FUNCTION saga.diff_workflow(text, jsonb) IS
'what a definition would change in the newest version of a workflow that the caller may read: a row for each state that is added, gone, changed (members: in what) or moved to another place, in branches and processors too, and one with a null state for what is around them.
executions: how many that have not ended stand in it, of any version; with a null state, all of the workflow';

CREATE FUNCTION saga.apply_workflow(name text, definition jsonb, dry_run boolean DEFAULT false, strict boolean DEFAULT false)
	RETURNS TABLE(version integer, changed boolean, diagnostics jsonb)
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_apply_workflow';
COMMENT ON FUNCTION saga.apply_workflow(text, jsonb, boolean, boolean) IS
'saga.create_workflow, unless the newest version has this definition already: then nothing happens. Returns the newest version, whether it was made, and the warnings about it, also those of saga.check_workflow, which with strict are an error (undefined_object). dry_run: the same answer, and nothing is made';

CREATE FUNCTION saga.rollback_workflow(name text, version integer DEFAULT NULL) RETURNS integer
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_rollback_workflow';
COMMENT ON FUNCTION saga.rollback_workflow(text, integer) IS
'makes the definition of a version, by default of the one before the newest, the newest again: as a new version, which is returned. Twice is back again. Running executions keep theirs; what names mean is looked up as for any new version. Raises undefined_object when there is no such version, or it was made for another owner';

CREATE FUNCTION saga.move_executions(workflow text, from_version integer, to_version integer, "limit" integer DEFAULT 1000, after uuid DEFAULT NULL)
	RETURNS TABLE(execution_id uuid, moved boolean, reason text)
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_move_executions';
COMMENT ON FUNCTION saga.move_executions(text, integer, integer, integer, uuid) IS
'the executions of a version of a workflow of the caller''s that wait, in the order of their ids, go over to another version, which they go on with: a row for each, with the reason if it stays. One goes when each state that it stands in, in branches and items too, and each that it may have to undo is there with the same type, in the same place and with its handler.
One that is being run stays, and is not waited for. Up to limit rows (10000 at most), behind the id "after". What has not begun, or has ended, has no row. Raises invalid_parameter_value, undefined_object (no such version, or to_version was made for another owner), object_not_in_prerequisite_state (in a step)';

CREATE FUNCTION saga.check_workflow(name text)
	RETURNS TABLE(severity text, code text, location text, message text, hint text)
	LANGUAGE c STRICT STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_check_workflow';
COMMENT ON FUNCTION saga.check_workflow(text) IS
'what saga.validate finds in the newest version of a workflow of the caller''s, and what it asks for that its owner would not find now (UNBOUND_RESOURCE): ARNs that stand for nothing, functions that are missing, have another signature or that he may not call, destinations, queues and workflows. hint: the statement that would mend it';

CREATE FUNCTION saga.check_workflow(definition jsonb)
	RETURNS TABLE(severity text, code text, location text, message text, hint text)
	LANGUAGE c STRICT STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_check_definition';
COMMENT ON FUNCTION saga.check_workflow(jsonb) IS
'the same for a definition, as if it were a workflow of the caller''s';

CREATE FUNCTION saga.publish_alias(workflow text, alias text, routing jsonb) RETURNS void
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_publish_alias';
COMMENT ON FUNCTION saga.publish_alias(text, text, jsonb) IS
'makes or changes an alias of a workflow of the caller''s: saga.start_execution(''workflow:alias'') and StateMachineArn start one of its versions, as often as the weights say, {"3": 90, "4": 10}, which make 100 together. "workflow:3" is that version, without an alias. Raises invalid_parameter_value, undefined_object (no such version, or made for another owner)';

CREATE FUNCTION saga.drop_alias(workflow text, alias text) RETURNS boolean
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_drop_alias';
COMMENT ON FUNCTION saga.drop_alias(text, text) IS
'takes an alias of a workflow of the caller''s away; false when there is none';
CREATE FUNCTION saga.workflow_diagram(workflow text, format text DEFAULT 'mermaid', execution uuid DEFAULT NULL) RETURNS text
	LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_workflow_diagram';
COMMENT ON FUNCTION saga.workflow_diagram(text, text, uuid) IS
'the newest version of a workflow that the caller may read, as a state diagram of Mermaid or (format dot) a graph of Graphviz. With an execution, that version which it runs: each state in the colour of what became of it (succeeded, caught, failed, running, aborted), with its visits and attempts, and the way it took, as far as it is committed';

CREATE FUNCTION saga.workflow_diagram(definition jsonb, format text DEFAULT 'mermaid', execution uuid DEFAULT NULL) RETURNS text
	LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_definition_diagram';
COMMENT ON FUNCTION saga.workflow_diagram(jsonb, text, uuid) IS
'the same of a definition; what an execution did is shown at the states of the same name';
ALTER TABLE saga.resource ADD COLUMN resource_id integer GENERATED BY DEFAULT AS IDENTITY UNIQUE,
	ADD COLUMN function_name text GENERATED ALWAYS AS (substring(arn, ':function:(.+)$')) STORED;
DROP TRIGGER resource_changed ON saga.resource;
-- an argument more; what was granted on the old one is moved at the end
ALTER FUNCTION saga.set_workflow_owner(text, regrole) RENAME TO replaced_set_workflow_owner;
CREATE FUNCTION saga.set_workflow_owner(name text, role regrole, definition_hash text DEFAULT NULL) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_set_workflow_owner';
COMMENT ON TABLE saga.workflow IS 'workflows; each has a queue of the same owner, name and id';
CREATE INDEX resource_function_name ON saga.resource (created_by, function_name);
COMMENT ON TABLE saga.resource IS 'what an ARN in a definition stands for here, for the workflows of the role that said so, and of those who have it in pg_saga.owner_path';
CREATE TABLE saga.reference (
	referrer text NOT NULL CHECK (referrer IN ('workflow', 'destination', 'source')),
	referrer_id integer NOT NULL,
	version integer NOT NULL,			-- of a workflow, else 0
	kind text NOT NULL CHECK (kind IN ('queue', 'destination', 'activity', 'workflow', 'secret', 'binding')),
	name text NOT NULL,					-- as the definition or the settings have it
	object_id integer NOT NULL,
	-- of a secret, which a dump leaves out and its owner sets again under another id
	object_owner regrole,
	object_name text,
	-- whose granted right it rests on, and ends with; null: of who had the privileges of the secret's owner
	used_by regrole,
	PRIMARY KEY (referrer, referrer_id, version, kind, name),
	CHECK (kind <> 'secret' OR object_owner IS NOT NULL AND object_name IS NOT NULL)
);
CREATE INDEX reference_object ON saga.reference (kind, object_id);
CREATE INDEX reference_secret ON saga.reference (object_owner, object_name) WHERE kind = 'secret';
COMMENT ON TABLE saga.reference IS 'what the names in a definition, or in settings, meant when it was made';
CREATE TRIGGER destination_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON saga.reference
	FOR EACH STATEMENT EXECUTE FUNCTION saga.destination_changed();
CREATE TABLE saga.given_id (
	execution_id uuid PRIMARY KEY
);
COMMENT ON TABLE saga.given_id IS 'ids of executions that were given to saga.start_execution, not made there, each is used once; and ids made from task tokens, from their answer until it is taken';
-- by this bit ids are known that are looked for here, and in the tables of executions, but not in each queue
INSERT INTO saga.given_id
	SELECT message_id FROM saga.message WHERE kind = 's' AND get_byte(uuid_send(message_id), 8) & 32 = 0
	UNION SELECT message_id FROM saga.timer WHERE kind = 's' AND get_byte(uuid_send(message_id), 8) & 32 = 0;
SELECT pg_extension_config_dump('saga.resource_resource_id_seq', '');
SELECT pg_extension_config_dump('saga.reference', '');
CREATE TABLE saga.activity_task (
	execution_id uuid NOT NULL,
	task_id integer NOT NULL,
	activity_id integer NOT NULL,		-- the id of its queue
	message_id uuid NOT NULL,			-- in that queue, while no worker has it
	scheduled_at timestamptz NOT NULL,
	worker text,
	started_at timestamptz,				-- a worker has it since
	PRIMARY KEY (execution_id, task_id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX activity_task_activity ON saga.activity_task (activity_id);
COMMENT ON TABLE saga.activity_task IS 'tasks of activities that executions wait for; an activity is a queue of kind a';
SELECT pg_extension_config_dump('saga.activity_task', '');
CREATE FUNCTION saga.create_activity(name text) RETURNS integer
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_create_activity';
COMMENT ON FUNCTION saga.create_activity(text) IS
'makes an activity that belongs to the current user, returns its id; of one that is there only the id. A Task names it in an ARN that ends in :activity:NAME, and workers take its tasks with saga.get_activity_task. Others need a right (saga.grant): use to name it in a definition, operate to be a worker';

CREATE FUNCTION saga.drop_activity(name text) RETURNS boolean
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_drop_activity';
COMMENT ON FUNCTION saga.drop_activity(text) IS
'drops an activity; false if there is none of that name. Waits some seconds (or the lock_timeout) for transactions that use it, workers that wait for a task too, and nobody waits behind that.
Errors: object_in_use (executions wait for tasks of it), lock_not_available (transactions that use it do not end)';

CREATE FUNCTION saga.get_activity_task(activity text, worker text DEFAULT NULL, wait interval DEFAULT '60 s')
	RETURNS TABLE (task_token text, input jsonb)
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1 AS 'MODULE_PATHNAME', 'saga_get_activity_task';
COMMENT ON FUNCTION saga.get_activity_task(text, text, interval) IS
'takes the oldest task of an activity, or none when the wait is over. With the commit it is the caller''s for good; after a rollback another worker gets it. Answer it with saga.send_task_success or saga.send_task_failure, and say saga.send_task_heartbeat meanwhile.
worker: a name for the history and saga.activities, 80 characters at most. wait: up to 60 seconds, if there is no task yet; the transaction stays open meanwhile, and must be READ COMMITTED.
Errors: undefined_object (also of one that the caller has no right to operate)';
SELECT pg_extension_config_dump('saga.given_id', '');
COMMENT ON FUNCTION saga.create_workflow(text, jsonb) IS
'makes a workflow of the caller''s, or a new version of it (another''s is written owner.name, and needs the privileges of the owner), from a definition in Amazon States Language; returns the version. Running executions keep theirs. Raises invalid_parameter_value with the JSON pointer of each fault';
CREATE FUNCTION saga.create_workflow(name text, definition jsonb, owner regrole) RETURNS integer
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_create_workflow_for';
COMMENT ON FUNCTION saga.create_workflow(text, jsonb, regrole) IS
'the same for another role, which owns the workflow and whose rights its steps have; the caller must be able to become that role';
COMMENT ON FUNCTION saga.set_workflow_owner(text, regrole, text) IS
'gives a workflow to another role, whose rights its steps then have; the caller must own it (a superuser writes owner.name) and be able to become the role.
definition_hash: as in saga.workflows; required where the caller is not himself the owner, so that nobody gives away what he has not looked at. Rights that were granted on it end.
What names in its definitions mean is looked up again, for the new owner.
Errors: undefined_object, invalid_parameter_value (no hash), object_not_in_prerequisite_state (another definition, or executions of an older one), duplicate_object, insufficient_privilege';
COMMENT ON FUNCTION saga.bind_resource(text, text) IS
'says what an ARN in a definition stands for here (sql:schema.function ...), for workflows of the caller, and of those who have him in pg_saga.owner_path';
COMMENT ON FUNCTION saga.stop_execution(uuid, text, text, boolean) IS
'ends an execution: status ABORTED, after its compensations unless compensate is false. One that waits, or has not begun, is stopped in this transaction; in one that runs the step is cancelled at commit, and what the run has not committed is undone. Raises object_not_in_prerequisite_state when it has ended';
COMMENT ON FUNCTION saga.start_execution(text, jsonb, text, uuid) IS
'starts an execution when the transaction commits, and returns its id. The same name again with the same input returns the same id; with another input it raises unique_violation. A caller who needs the id beforehand takes one from saga.make_id() and gives it here, once: it raises unique_violation if there is such an execution, or one is being started';
CREATE FUNCTION saga.start_execution(workflow_id integer, input jsonb DEFAULT '{}', name text DEFAULT NULL, id uuid DEFAULT NULL) RETURNS uuid
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_start_execution_by_id';
COMMENT ON FUNCTION saga.start_execution(integer, jsonb, text, uuid) IS
'the same for a workflow by its id (saga.workflows), which no other workflow of the same name can take the place of';
CREATE FUNCTION saga.redrive_execution(id uuid, input jsonb DEFAULT NULL, force boolean DEFAULT false) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_redrive_execution';
COMMENT ON FUNCTION saga.redrive_execution(uuid, jsonb, boolean) IS
'lets an execution that has FAILED, TIMED_OUT or was ABORTED go on in its place: the same id, version and history; retries and time limits begin anew. It enters the state again in which it failed, with the input and the variables of then, or the first one of those that were undone.
input: of that state instead. force: although not_compensated has an entry, which is closed; what is known to be there stays done.
Errors: undefined_object (also of one that the caller may not operate, and of a version that is gone), object_not_in_prerequisite_state (it has not ended, has succeeded, was started by another one, has another one in its place, has left something, or nothing was kept), invalid_parameter_value (an input for several states)';
CREATE FUNCTION saga.replace_execution(ended uuid, by uuid) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_replace_execution';
COMMENT ON FUNCTION saga.replace_execution(uuid, uuid) IS
'what saga.redrive does with force, for who has started another execution in the place of one that has ended, with another input say: what the ended one has left is closed, and where nobody knew of a call and the other one makes the same, it goes on under the old key. In the transaction that starts it. Raises object_not_in_prerequisite_state where a call is in flight, or being undone';

CREATE FUNCTION saga.settle(message_id uuid, outcome text, output jsonb DEFAULT NULL) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_settle';
COMMENT ON FUNCTION saga.settle(uuid, text, jsonb) IS
'says how a call in doubt went, when nobody else can know: outcome is done or no_effect. While its execution waits for it, that is the answer, with output as its result. After the end, done runs the handler of the state, as an execution of its own, and when that has succeeded the entry of not_compensated goes; no_effect takes it away at once: it was not done, or has been undone by hand (with the id of the execution: what it lists without message). unknown, with the id of an execution that has ended, closes all that it lists: nothing of it is found out or undone any more. Raises object_not_in_prerequisite_state where it is known already, is in flight, or is being undone';
CREATE FUNCTION saga.settle(destination text, outcome text, before timestamptz) RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_settle_destination';
COMMENT ON FUNCTION saga.settle(text, text, timestamptz) IS
'the same for all calls of a destination of the caller''s that executions have given up before a time: no_effect, they were not done; unknown, nobody finds out any more; ask, those that nobody could find out about, of executions that have ended, are asked for once more (what was done is undone then). What somebody else is working at is passed over, and for no_effect what is in flight. Returns how many';

CREATE FUNCTION saga.settle(message text, outcome text, value text) RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_settle_text';
COMMENT ON FUNCTION saga.settle(text, text, text) IS
'what three literals without a cast are: message_id, outcome and output, or destination, outcome and before';
ALTER TABLE saga.continuation ADD COLUMN waiting_for text;
ALTER TABLE saga.workflow_version ADD COLUMN reads_bodies boolean NOT NULL GENERATED ALWAYS AS (definition::text LIKE '%ResponseBody%') STORED;
CREATE INDEX workflow_version_reads_bodies ON saga.workflow_version (workflow_id) WHERE reads_bodies;
ALTER TABLE saga.execution ADD COLUMN not_compensated jsonb, ADD COLUMN effects jsonb, ADD COLUMN left_over jsonb;
CREATE INDEX execution_left_over ON saga.execution (workflow_id, version) WHERE left_over IS NOT NULL;
ALTER TABLE saga.continuation ADD COLUMN children_id uuid, ADD COLUMN child_index bigint, ADD COLUMN child_items integer;
ALTER TABLE saga.continuation ADD COLUMN waits text, ADD COLUMN waiting_since timestamptz, ADD COLUMN waiting_until timestamptz,
	ADD COLUMN attempt integer, ADD COLUMN last_error text, ADD COLUMN failed_state text;
-- as far as their frozen runs say it: the rest is there when they go on
UPDATE saga.continuation c SET (waits, attempt) = (
	SELECT string_agg(DISTINCT CASE t ->> 'phase' WHEN 'wait' THEN 'timer' WHEN 'retry' THEN 'retry'
			WHEN 'open' THEN CASE WHEN t ? 'token' THEN 'callback' ELSE 'call' END ELSE 'worker' END, ','),
		max(coalesce((t ->> 'retry_count')::integer, 0) + 1)
	FROM jsonb_array_elements(c.run -> 'threads') t WHERE t ->> 'phase' NOT IN ('held', 'children'));
CREATE INDEX continuation_children ON saga.continuation (children_id) WHERE children_id IS NOT NULL;
ALTER TABLE saga.execution ADD COLUMN children_id uuid, ADD COLUMN child_index bigint, ADD COLUMN undo jsonb;
ALTER TABLE saga.execution ADD COLUMN failed_state text;
CREATE INDEX execution_children ON saga.execution (children_id, child_index) WHERE children_id IS NOT NULL;
CREATE INDEX execution_undo ON saga.execution (children_id, stopped_at) WHERE undo IS NOT NULL;
CREATE TABLE saga.children (
	children_id uuid PRIMARY KEY,
	parent_id uuid NOT NULL,
	task_id integer NOT NULL,			-- of the parent's run, which waits for them
	call_id integer NOT NULL,			-- the visit of its state
	parent_workflow_id integer NOT NULL,	-- whose queue hears of them
	workflow_id integer NOT NULL,		-- theirs
	version integer NOT NULL,
	map_state text,						-- whose items they are; null: it is one execution
	name text,							-- as the parent's history has it
	answer "char",						-- of one execution: 1 as .sync says it, 2 as .sync:2
	phase "char" NOT NULL DEFAULT 'r',	-- r run, s too many have failed and the others are stopped, d ended, c being closed, x closed
	undo boolean NOT NULL DEFAULT false,	-- while being closed: those that have succeeded are undone
	close_id uuid,						-- the execution whose task waits until they are closed: the parent, or what undoes it
	close_task integer,
	concurrency integer,				-- null: no limit
	tolerated bigint NOT NULL DEFAULT 0,	-- so many items may fail
	children bigint NOT NULL,			-- executions: in all, begun, ended
	started bigint NOT NULL DEFAULT 0,
	ended bigint NOT NULL DEFAULT 0,
	items bigint NOT NULL,				-- items: in all, and how they ended
	succeeded bigint NOT NULL DEFAULT 0,
	failed bigint NOT NULL DEFAULT 0,
	aborted bigint NOT NULL DEFAULT 0,
	undoing uuid,						-- the execution that undoes one of them
	undone bigint NOT NULL DEFAULT 0,
	not_undone bigint NOT NULL DEFAULT 0,
	error text,							-- of the last failure, or what they are closed for
	cause text,
	writer jsonb,						-- where their results go; null: to the parent
	started_at timestamptz NOT NULL DEFAULT now(),
	stopped_at timestamptz,
	UNIQUE (parent_id, task_id)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE saga.children IS 'executions that another one has started and waits for: one, or those of the items of a distributed Map';

CREATE TABLE saga.map_item (
	children_id uuid NOT NULL,
	child_index bigint NOT NULL,		-- of the first; the others follow
	items integer[] NOT NULL,			-- of each: for how many items it is
	inputs jsonb[] NOT NULL,
	PRIMARY KEY (children_id, child_index)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE saga.map_item IS 'inputs of executions of a distributed Map that have not begun, some in a row';
CREATE TABLE saga.redrive_point (
	execution_id uuid PRIMARY KEY,
	workflow_id integer NOT NULL,
	point jsonb,						-- the run as it was when it failed, as a frozen run; null: it goes on, or has succeeded
	ended jsonb,						-- what its end has said: counters, and what was not undone
	redrives integer NOT NULL DEFAULT 0,
	redriven_at timestamptz				-- the last time
) WITH (toast_tuple_target = 8160);
COMMENT ON TABLE saga.redrive_point IS 'what saga.redrive_execution needs of executions that have failed, and how often they were redriven';
SELECT pg_extension_config_dump('saga.children', '');
SELECT pg_extension_config_dump('saga.map_item', '');
SELECT pg_extension_config_dump('saga.redrive_point', '');
CREATE OR REPLACE VIEW saga.all_executions AS
	SELECT e.execution_id, w.name AS workflow, e.version, e.name,
		CASE e.status WHEN 's' THEN 'SUCCEEDED' WHEN 'f' THEN 'FAILED' WHEN 't' THEN 'TIMED_OUT' ELSE 'ABORTED' END AS status,
		e.input, e.output, e.error, e.cause, e.started_at, e.stopped_at, NULL::text AS current_state,
		e.parent_id, e.compensated, w.owner, w.workflow_id, e.not_compensated, e.effects, NULL::text AS waiting_for, e.children_id,
		NULL::timestamptz AS waiting_since, NULL::timestamptz AS waiting_until, NULL::integer AS attempt,
		nullif(concat_ws(': ', e.error, nullif(e.cause, '')), '') AS last_error, e.failed_state
	FROM saga.execution e JOIN saga.workflow w USING (workflow_id)
	UNION ALL
	SELECT c.execution_id, w.name, c.version, c.name,
		CASE c.status WHEN 'c' THEN 'COMPENSATING' ELSE 'RUNNING' END,
		c.input, NULL, NULL, NULL, c.started_at, NULL, c.current_state, c.parent_id, NULL, w.owner, w.workflow_id,
		NULL, NULL,
		-- an outcome, and what its branches wait for, each once; what is due, or answered, waits for a worker alone
		nullif(concat_ws('; ', c.waiting_for, (SELECT string_agg(DISTINCT CASE
				WHEN what IN ('timer', 'retry') AND c.waiting_until <= now() THEN 'worker'
				WHEN what IN ('call', 'callback') THEN coalesce((SELECT string_agg(DISTINCT concat('destination ', d.name,
						' (' || CASE WHEN d.paused THEN 'saga.pause_destination'
							WHEN s.pause_until > now() THEN 'the server asked for a pause'
							WHEN s.breaker <> 'closed' AND s.breaker_reason = 'auth' THEN 'credentials were refused'
							WHEN s.breaker <> 'closed' THEN 'too many requests failed'
							WHEN current_setting('pg_saga.publishers', true) = '0' THEN 'pg_saga.publishers is 0' END || ')'), ', ')
					FROM saga.outbox o JOIN saga.destination d USING (destination_id) LEFT JOIN saga.destination_state s ON s.limit_key = d.limit_key
					WHERE o.execution_id = c.execution_id AND o.state = 'waiting' AND o.unwanted_since IS NULL AND o.op <> 'p'),
					CASE what WHEN 'call' THEN 'worker' ELSE 'token' END)
				ELSE what END, ', ')
			FROM unnest(string_to_array(coalesce(c.waits, CASE WHEN c.waiting_for IS NULL THEN 'worker' END), ',')) what)), ''),
		c.children_id, coalesce(c.waiting_since, c.parked_at),
		CASE WHEN c.waits LIKE '%call%' THEN least(c.waiting_until, (SELECT min(t.wake_at)
				FROM saga.outbox o JOIN saga.timer t ON t.queue_id = o.destination_id AND t.message_id = o.outbox_id AND t.lease IS NULL
				WHERE o.execution_id = c.execution_id AND o.state = 'waiting'))
			ELSE c.waiting_until END,
		c.attempt,
		coalesce(CASE WHEN c.waits LIKE '%call%' THEN (SELECT o.last_error FROM saga.outbox o
				WHERE o.execution_id = c.execution_id AND o.state = 'waiting' AND o.last_error IS NOT NULL ORDER BY o.last_sent_at DESC LIMIT 1) END,
			c.last_error), c.failed_state
	FROM saga.continuation c JOIN saga.workflow w USING (workflow_id)
	UNION ALL
	SELECT m.message_id, w.name, m.version, m.headers ->> 'name', 'RUNNING', m.body, NULL, NULL, NULL,
		m.sent_at, NULL, NULL, NULL, NULL, w.owner, w.workflow_id, NULL, NULL, 'worker', (m.headers ->> 'children')::uuid,
		m.sent_at, NULL, NULL, NULL, NULL
	FROM saga.workflow w JOIN saga.message m ON m.queue_id = w.workflow_id
	WHERE m.kind = 's'
	UNION ALL
	SELECT t.message_id, w.name, t.version, t.headers ->> 'name', 'RUNNING', t.body, NULL, NULL, NULL,
		t.sent_at, NULL, NULL, NULL, NULL, w.owner, w.workflow_id, NULL, NULL,
		CASE WHEN t.wake_at > now() THEN 'timer' ELSE 'worker' END, (t.headers ->> 'children')::uuid,
		t.sent_at, t.wake_at, NULL, NULL, NULL
	FROM saga.workflow w JOIN saga.timer t ON t.queue_id = w.workflow_id
	WHERE t.kind = 's';
CREATE OR REPLACE VIEW saga.executions WITH (security_barrier) AS
	SELECT e.execution_id, e.workflow, e.version, e.name, e.status, e.input, e.output, e.error, e.cause,
		e.started_at, e.stopped_at, e.current_state, e.parent_id, e.compensated, e.owner,
		e.workflow_id, e.not_compensated,
		-- calls that were given up and are not undone: what became of them is in their records
		(SELECT jsonb_agg(f || jsonb_build_object('outcome', CASE WHEN EXISTS (SELECT FROM saga.timer t
					WHERE t.queue_id = o.destination_id AND t.message_id = o.outbox_id AND t.lease IS NOT NULL)
				THEN 'in_doubt' ELSE o.outcome END) ORDER BY n)
			FROM jsonb_array_elements(e.effects) WITH ORDINALITY x(f, n)
				LEFT JOIN saga.outbox o ON o.execution_id = e.execution_id AND o.outbox_id = (f ->> 'message_id')::uuid) AS effects,
		-- in a step, as the workers' sessions say; else what holds it up; a worker is needed by all that have not ended (saga_worker_owner_problem)
		CASE WHEN e.status IN ('RUNNING', 'COMPENSATING') THEN CASE WHEN e.execution_id = ANY (ARRAY(
			SELECT substr(a.query, 11, 36)::uuid FROM pg_stat_activity a
			WHERE a.datname = current_database() AND a.backend_type = 'pg_saga worker' AND a.state = 'active' AND a.query LIKE 'execution %')) THEN 'step'
			ELSE coalesce(nullif(concat_ws('; ', nullif(e.waiting_for, 'worker'), (SELECT 'a worker: ' || CASE
			WHEN NOT EXISTS (SELECT FROM pg_settings WHERE name = 'pg_saga.max_databases')
				THEN 'pg_saga is not in shared_preload_libraries, and only CALL saga.drain() runs it'
			WHEN current_setting('pg_saga.databases', true) <> '' AND NOT EXISTS (
				SELECT FROM unnest(string_to_array(current_setting('pg_saga.databases', true), ',')) n, btrim(n) t
				WHERE current_database() = CASE WHEN t LIKE '"%"' THEN replace(btrim(t, '"'), '""', '"') ELSE t END)
				THEN 'this database is not in pg_saga.databases'
			WHEN current_setting('pg_saga.workers', true) = '0' THEN 'pg_saga.workers is 0'
			WHEN r.oid IS NULL THEN format('role %s does not exist', e.owner::oid)
			WHEN NOT r.rolcanlogin AND current_setting('server_version_num')::integer < 170000
				THEN format('role "%s" is not permitted to log in, which workers need before PostgreSQL 17', r.rolname)
			WHEN NOT has_database_privilege(r.oid, current_database(), 'CONNECT')
				THEN format('role "%s" has no CONNECT privilege on this database', r.rolname) END
			FROM (SELECT) one LEFT JOIN pg_roles r ON r.oid = e.owner)), ''), e.waiting_for) END END AS waiting_for,
		(SELECT c.parent_id FROM saga.children c WHERE c.children_id = e.children_id) AS started_by,
		(SELECT c.children_id FROM saga.children c WHERE c.children_id = e.children_id AND c.map_state IS NOT NULL) AS map_run_id,
		coalesce((SELECT p.redrives FROM saga.redrive_point p WHERE p.execution_id = e.execution_id AND p.workflow_id = e.workflow_id), 0) AS redrive_count,
		(SELECT p.redriven_at FROM saga.redrive_point p WHERE p.execution_id = e.execution_id AND p.workflow_id = e.workflow_id) AS redrive_date,
		CASE WHEN r.reason IS NULL THEN 'REDRIVABLE' ELSE 'NOT_REDRIVABLE' END AS redrive_status,
		r.reason AS redrive_status_reason,
		CASE WHEN e.status IN ('RUNNING', 'COMPENSATING') AND e.execution_id = ANY (ARRAY(
			SELECT substr(a.query, 11, 36)::uuid FROM pg_stat_activity a
			WHERE a.datname = current_database() AND a.backend_type = 'pg_saga worker' AND a.state = 'active' AND a.query LIKE 'execution %'))
			THEN (SELECT min(a.state_change) FROM pg_stat_activity a WHERE a.datname = current_database() AND a.backend_type = 'pg_saga worker'
				AND a.query LIKE concat('execution ', e.execution_id, ' %'))
			ELSE e.waiting_since END AS waiting_since,
		e.waiting_until, e.attempt, e.last_error, e.failed_state
	FROM saga.all_executions e
	-- what saga.redrive_execution would say
	CROSS JOIN LATERAL (SELECT CASE
		WHEN e.status IN ('RUNNING', 'COMPENSATING', 'SUCCEEDED') THEN format('Execution is %s and cannot be redriven', e.status)
		WHEN e.children_id IS NOT NULL THEN 'Execution is redriven with the one that has started it'
		WHEN e.parent_id IS NOT NULL THEN 'Execution undoes another one and cannot be redriven'
		WHEN EXISTS (SELECT FROM saga.dead_letter d WHERE d.message_id = e.execution_id AND d.queue_id = e.workflow_id AND d.kind = 's'
			AND d.redriven_as <> e.execution_id) THEN 'Execution has another one in its place'
		WHEN EXISTS (SELECT FROM saga.children c WHERE c.parent_id = e.execution_id AND c.phase NOT IN ('d', 'x'))
			THEN 'Execution has started others that have not ended'
		WHEN NOT EXISTS (SELECT FROM saga.redrive_point p WHERE p.execution_id = e.execution_id AND p.workflow_id = e.workflow_id
			AND p.point IS NOT NULL AND p.ended IS NOT NULL) THEN 'Nothing was kept of the execution''s run'
		WHEN coalesce(e.not_compensated @? '$[*] ? (@.type() == "object" && !exists(@.closed))', false)
			THEN 'Execution has left something that was not undone, and is redriven with force only' END AS reason) r
	WHERE pg_has_role(e.owner, 'USAGE')
		OR EXISTS (SELECT FROM saga.object_grant g WHERE g.kind = 'workflow' AND g.object_id = e.workflow_id
			AND g."right" = 'read' AND pg_has_role(g.role, 'USAGE'));
COMMENT ON VIEW saga.executions IS
'executions of the workflows whose owner the current user is a member of, and those that he was granted to read: those that have ended, that wait, and that have not begun (RUNNING without a current state). waiting_for: worker (it is ready), step (a worker is in one of its steps, as its session tells those who may see it), retry, timer (a Wait), token, activity, child, destination NAME (with what holds it), several of them where branches wait; outcome of STATE, a call that was given up; and, behind a semicolon, why no worker can run it (a worker: ...). waiting_since, waiting_until: when that began, and when it is over by itself, or the time limit; attempt: of the state, the one under way or the next; last_error: of the attempt before, of the last request, or why it has failed or is being undone; failed_state: the innermost state that has failed, or in which it was ended. started_by: the execution that waits for it; map_run_id: of saga.map_runs, whose items it is for; parent_id: the one that it undoes; redrive_status: what saga.redrive_execution would do now (REDRIVABLE, or NOT_REDRIVABLE with its reason)';
CREATE VIEW saga.map_runs WITH (security_barrier) AS
	SELECT c.children_id AS map_run_id, c.name, c.parent_id AS execution_id, w.name AS workflow, c.map_state AS state,
		CASE WHEN c.phase IN ('r', 's') THEN 'RUNNING' WHEN c.phase = 'c' THEN 'COMPENSATING' WHEN c.failed > c.tolerated THEN 'FAILED'
			WHEN c.aborted > 0 THEN 'ABORTED' ELSE 'SUCCEEDED' END AS status,
		c.items AS total, c.items - c.succeeded - c.failed - c.aborted AS unfinished, c.children - c.started AS pending, c.started - c.ended AS running,
		c.succeeded, c.failed, c.aborted, c.undone, c.not_undone, c.tolerated, c.concurrency AS max_concurrency, c.error, c.cause, c.started_at, c.stopped_at, w.owner
	FROM saga.children c JOIN saga.workflow w ON w.workflow_id = c.parent_workflow_id
	WHERE c.map_state IS NOT NULL AND (pg_has_role(w.owner, 'USAGE')
		OR EXISTS (SELECT FROM saga.object_grant g WHERE g.kind = 'workflow' AND g.object_id = w.workflow_id
			AND g."right" = 'read' AND pg_has_role(g.role, 'USAGE')));
COMMENT ON VIEW saga.map_runs IS
'distributed Maps: how many items there are, and how they ended; pending and running count executions, of which one may have a batch of items, and so do undone and not_undone, of those that had succeeded when their parent failed. The executions are in saga.executions, with this map_run_id. error: of the last item that failed';
CREATE OR REPLACE VIEW saga.execution_history WITH (security_barrier) AS
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
	WHERE pg_has_role(w.owner, 'USAGE')
		OR EXISTS (SELECT FROM saga.object_grant g WHERE g.kind = 'workflow' AND g.object_id = w.workflow_id
			AND g."right" = 'read' AND pg_has_role(g.role, 'USAGE'));
CREATE VIEW saga.workflows WITH (security_barrier) AS
	SELECT w.workflow_id, w.owner, w.name, w.version,
		encode(sha256(convert_to(v.definition::text, 'UTF8')), 'hex') AS definition_hash,
		v.definition, v.created_by, v.created_at
	FROM saga.workflow w JOIN saga.workflow_version v USING (workflow_id, version)
	WHERE pg_has_role(w.owner, 'USAGE')
		OR EXISTS (SELECT FROM saga.object_grant g WHERE g.kind = 'workflow' AND g.object_id = w.workflow_id
			AND g."right" = 'read' AND pg_has_role(g.role, 'USAGE'));
COMMENT ON VIEW saga.workflows IS
'the newest version of each workflow whose owner the current user is a member of, or that he was granted to read; definition_hash is what saga.set_workflow_owner asks for';

CREATE VIEW saga.activities WITH (security_barrier) AS
	SELECT q.queue_id AS activity_id, q.owner, substr(q.name, 10) AS name, t.waiting, t.taken,
		t.oldest_waiting_at, t.oldest_taken_at, t.workers, q.created_at
	FROM saga.queue q
	CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE started_at IS NULL) AS waiting, count(started_at) AS taken,
			min(scheduled_at) FILTER (WHERE started_at IS NULL) AS oldest_waiting_at, min(started_at) AS oldest_taken_at,
			array_agg(DISTINCT worker ORDER BY worker) FILTER (WHERE worker IS NOT NULL) AS workers
		FROM saga.activity_task WHERE activity_id = q.queue_id) t
	WHERE q.kind = 'a' AND (pg_has_role(q.owner, 'USAGE')
		OR EXISTS (SELECT FROM saga.object_grant g WHERE g.kind = 'activity' AND g.object_id = q.queue_id
			AND g."right" = 'read' AND pg_has_role(g.role, 'USAGE')));
COMMENT ON VIEW saga.activities IS
'activities whose owner the current user is a member of, and those that he was granted to read: tasks that wait for a worker, tasks that workers have, and the names of those workers';
CREATE VIEW saga.aliases WITH (security_barrier) AS
	SELECT w.owner, w.name AS workflow, a.alias, a.routing, a.published_at, w.workflow_id
	FROM saga.alias a JOIN saga.workflow w USING (workflow_id)
	WHERE pg_has_role(w.owner, 'USAGE')
		OR EXISTS (SELECT FROM saga.object_grant g WHERE g.kind = 'workflow' AND g.object_id = w.workflow_id
			AND g."right" = 'read' AND pg_has_role(g.role, 'USAGE'));
COMMENT ON VIEW saga.aliases IS
'aliases of the workflows whose owner the current user is a member of, or that he was granted to read';

-- what is known of executions
DROP INDEX saga.execution_workflow, saga.continuation_workflow;
CREATE INDEX continuation_workflow ON saga.continuation (workflow_id, execution_id NULLS FIRST);
CREATE INDEX execution_workflow ON saga.execution (workflow_id, status, execution_id NULLS FIRST);
CREATE INDEX continuation_compensating ON saga.continuation (workflow_id, execution_id NULLS FIRST) WHERE status = 'c';
CREATE FUNCTION saga.wait_execution(id uuid, timeout interval DEFAULT '20 s') RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_wait_execution';
COMMENT ON FUNCTION saga.wait_execution(uuid, interval) IS
'waits until an execution has ended, whose start was committed, and returns what saga.describe_execution says of it then; null when the time is over, of which there are 5 minutes at most (0: a look). The statement''s snapshot stays as long. Raises object_not_in_prerequisite_state in REPEATABLE READ and SERIALIZABLE, in a transaction that has written something, and in a step';

CREATE PROCEDURE saga.wait_execution(id uuid, timeout interval, INOUT result jsonb)
	LANGUAGE c AS 'MODULE_PATHNAME', 'saga_wait_execution_committing';
COMMENT ON PROCEDURE saga.wait_execution(uuid, interval, jsonb) IS
'the same for any time (null: as long as it takes): CALL saga.wait_execution(id, timeout, NULL) commits first, and holds neither a snapshot nor a lock while it waits. Not in a transaction block';

CREATE PROCEDURE saga.start_sync_execution(workflow text, input jsonb, INOUT result jsonb DEFAULT NULL, name text DEFAULT NULL,
		timeout interval DEFAULT NULL, id uuid DEFAULT NULL)
	LANGUAGE c AS 'MODULE_PATHNAME', 'saga_start_sync_execution';
COMMENT ON PROCEDURE saga.start_sync_execution(text, jsonb, jsonb, text, interval, uuid) IS
'starts an execution as saga.start_execution does, commits that, and waits until it has ended; the result is what saga.describe_execution says of it then, or when the timeout is over (status RUNNING). Needs the rights start and read. Holds neither a snapshot nor a lock while it waits. Not in a transaction block. A caller who is cancelled leaves the execution running';

CREATE FUNCTION saga.describe_execution(id uuid) RETURNS jsonb
	LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_describe_execution';
COMMENT ON FUNCTION saga.describe_execution(uuid) IS
'an execution as one document: its row of saga.executions, the columns as members, for who may see that row. Raises undefined_object when there is none';

CREATE TYPE saga.execution_summary AS (
	execution_id uuid,
	workflow text,
	owner regrole,
	version integer,
	name text,
	status text,
	started_at timestamptz,
	stopped_at timestamptz,
	current_state text,
	error text,
	started_by uuid,
	map_run_id uuid
);
COMMENT ON TYPE saga.execution_summary IS 'a row of saga.list_executions: columns of saga.executions without the documents';

CREATE FUNCTION saga.list_executions(workflow text DEFAULT NULL, status text DEFAULT NULL, since timestamptz DEFAULT NULL,
		until timestamptz DEFAULT NULL, after uuid DEFAULT NULL, "limit" integer DEFAULT 100, input_contains text DEFAULT NULL, started_by uuid DEFAULT NULL)
	RETURNS SETOF saga.execution_summary
	LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_list_executions';
COMMENT ON FUNCTION saga.list_executions(text, text, timestamptz, timestamptz, uuid, integer, text, uuid) IS
'a page of the executions that the caller sees in saga.executions, the newest first, by their ids: of one workflow or all, of one status, whose id was made from since on and before until. The next page is behind the last execution_id of this one (after => id). input_contains: a text that the input has in it; needs since, status or started_by, as all inputs there are read. started_by: only those that this execution has started and waits, or has waited, for, by the index of children; WHERE started_by = ... on saga.executions reads all executions';

-- ---------- source ----------
CREATE TRIGGER source_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON saga.object_grant
	FOR EACH STATEMENT EXECUTE FUNCTION saga.source_changed();
CREATE TRIGGER source_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON saga.reference
	FOR EACH STATEMENT EXECUTE FUNCTION saga.source_changed();
ALTER TABLE saga.source DROP CONSTRAINT source_name_key, ADD UNIQUE (owner, name), ADD COLUMN queue_id integer;
UPDATE saga.source s SET queue_id = coalesce((SELECT q.queue_id FROM saga.queue q WHERE q.name = s.queue), 0);
ALTER TABLE saga.source ALTER COLUMN queue_id SET NOT NULL;
-- an argument more; what was granted on the old one is moved at the end
ALTER FUNCTION saga.set_source_owner(text, regrole) RENAME TO replaced_set_source_owner;
CREATE FUNCTION saga.set_source_owner(name text, role regrole, definition_hash text DEFAULT NULL) RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'saga_set_source_owner';
COMMENT ON FUNCTION saga.set_inbox(text, text) IS
'a source for this queue hands each message to schema.function(jsonb input, jsonb context) returns jsonb: input has the body as a text, source, source_message_id, sent_at, trace, group_id and attributes.
The function runs as a step of the workflow QUEUE-inbox, which saga.create_source makes for the owner of the source unless he has one; an error of it makes a dead letter';
CREATE FUNCTION saga.create_source(name text, kind text, settings jsonb, queue text, owner regrole) RETURNS integer
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_create_source_for';
COMMENT ON FUNCTION saga.create_source(text, text, jsonb, text, regrole) IS
'the same for another role, who owns the source and, of an inbox, its workflow; the queue is what its name means for that role. The caller must be able to become it';
COMMENT ON FUNCTION saga.set_source_owner(text, regrole, text) IS
'gives a source to another role, which must be allowed to use its queue; definition_hash: as in saga.sources, required where the caller is not himself the owner';
CREATE OR REPLACE VIEW saga.sources WITH (security_barrier) AS
SELECT s.name, s.kind, s.owner,
	(SELECT CASE WHEN q.owner = s.owner THEN q.name ELSE format('%s.%I', q.owner, q.name) END
		FROM saga.queue q WHERE q.queue_id = s.queue_id) AS queue,
	s.settings ->> 'queue_url' AS queue_url,
	CASE WHEN s.paused THEN 'paused' WHEN current_setting('pg_saga.sources', true) = 'off' THEN 'off' ELSE coalesce(t.state, 'starting') END AS state,
	t.received, t.inserted, t.duplicates, t.dead, t.last_received_at, t.last_error, t.last_error_at,
	encode(sha256(convert_to(s.settings::text, 'UTF8')), 'hex') AS definition_hash
FROM saga.source s LEFT JOIN saga.source_status t USING (source_id)
WHERE pg_catalog.pg_has_role(s.owner, 'USAGE')
	OR EXISTS (SELECT FROM saga.object_grant g WHERE g.kind = 'source' AND g.object_id = s.source_id
		AND g."right" = 'read' AND pg_catalog.pg_has_role(g.role, 'USAGE'));
COMMENT ON VIEW saga.sources IS
'your sources, and those that you were granted to read. state: receiving; full: the queue has max_queued messages, or max_dead_letters dead letters; failing: see last_error; paused; off: pg_saga.sources is; starting: no process has served it yet; definition_hash is what saga.set_source_owner asks for';
ALTER TABLE saga.source DROP COLUMN queue;

-- ---------- grants of objects ----------
CREATE VIEW saga.grants WITH (security_barrier) AS
	SELECT g.kind, o.owner, o.name, g.role, g."right", g.granted_by, g.granted_at
	FROM saga.object_grant g
	JOIN (SELECT 'queue' AS kind, q.queue_id AS id, q.owner, q.name FROM saga.queue q WHERE q.kind = 'q'
		UNION ALL SELECT 'workflow', w.workflow_id, w.owner, w.name FROM saga.workflow w
		UNION ALL SELECT 'activity', a.queue_id, a.owner, substr(a.name, 10) FROM saga.queue a WHERE a.kind = 'a'
		UNION ALL SELECT 'destination', d.destination_id, d.owner, d.name FROM saga.destination d
		UNION ALL SELECT 'source', s.source_id, s.owner, s.name FROM saga.source s
		UNION ALL SELECT 'secret', c.secret_id, c.owner, c.name FROM saga.secret c) o
		ON o.kind = g.kind AND o.id = g.object_id
	WHERE pg_has_role(o.owner, 'USAGE') OR pg_has_role(g.role, 'USAGE');
COMMENT ON VIEW saga.grants IS 'rights that were granted with saga.grant: on what you own, and to you';

-- ---------- what names meant ----------
-- In 0.1 a name meant the one object that had it, if its user had the privileges of the owner (a
-- superuser has all). What definitions and settings named so is found by its id now. Longer texts, of
-- endpoints say, do not fit into the index: they are looked up when they are used, as in the engine.
INSERT INTO saga.reference (referrer, referrer_id, version, kind, name, object_id, object_owner, object_name)
	SELECT DISTINCT r.referrer, r.id, 0, 'secret', n.name, coalesce(c.secret_id, 0), coalesce(c.owner, r.owner), n.name
	FROM (SELECT 'destination' AS referrer, d.destination_id AS id, d.owner, d.settings FROM saga.destination d
		UNION ALL SELECT 'source', s.source_id, s.owner, s.settings FROM saga.source s) r
	CROSS JOIN LATERAL (
		SELECT (regexp_matches(r.settings::text, '\{secret:([A-Za-z0-9_.-]+)\}', 'g'))[1]
		UNION SELECT r.settings #>> '{auth,refresh_token}'
		UNION SELECT r.settings #>> '{credentials,secret}') n (name)
	LEFT JOIN saga.secret c ON c.name = n.name
	WHERE octet_length(n.name) <= 2000;

INSERT INTO saga.reference (referrer, referrer_id, version, kind, name, object_id)
	SELECT 'destination', d.destination_id, 0, 'destination', o.name, o.destination_id
	FROM saga.destination d JOIN saga.destination o ON o.name = d.settings #>> '{compensate,else}'
	WHERE pg_has_role(d.owner, o.owner, 'USAGE') AND octet_length(o.name) <= 2000;

-- of tasks: "saga:NAME/path", the ARN of a topic, the URL of a queue or of an endpoint, NAME to publish to.
-- Of several that lead to an endpoint one's own is meant, not that of somebody whose privileges one has.
-- Joins on equal texts, as anybody may have made many tasks and many destinations.
WITH task AS MATERIALIZED (
	SELECT DISTINCT w.workflow_id, w.owner, v.version, m.key AS member, m.value #>> '{}' AS text,
		CASE WHEN m.key = 'Destination' THEN m.value #>> '{}'
			WHEN m.key = 'ApiEndpoint' THEN substring(m.value #>> '{}', '^(?:saga|destination):([^/?#]*)')
			ELSE substring(m.value #>> '{}', '^(?:saga|destination):(.*)$') END AS name,
		lower(substring(m.value #>> '{}', '^[^:/?#]+://[^/?#]*')) AS server
	FROM saga.workflow w JOIN saga.workflow_version v USING (workflow_id),
		jsonb_path_query(v.definition, '$.** ? (@.type() == "object")') o, jsonb_each(o) m
	WHERE m.key IN ('ApiEndpoint', 'TopicArn', 'QueueUrl', 'Destination') AND jsonb_typeof(m.value) = 'string'
		AND octet_length(m.value #>> '{}') <= 2000),
endpoint AS MATERIALIZED (
	SELECT d.destination_id AS id, d.owner, u.url, lower(substring(u.url, '^[^:/?#]+://[^/?#]*')) AS server
	FROM saga.destination d, LATERAL (SELECT coalesce(d.settings ->> 'url', d.settings #>> '{request,url}')) u (url)
	WHERE d.kind = 'http'),
meant AS (
	SELECT t.*, 'queue' AS kind, q.name AS object_name, q.queue_id AS id, q.owner AS object_owner
		FROM task t JOIN saga.queue q ON q.name = t.name AND q.kind = 'q' WHERE t.member = 'QueueUrl'
	UNION ALL SELECT t.*, 'destination', d.name, d.destination_id, d.owner
		FROM task t JOIN saga.destination d ON d.name = t.name
	UNION ALL SELECT t.*, 'destination', coalesce(t.name, t.text), d.destination_id, d.owner
		FROM task t JOIN saga.destination d ON d.settings ->> 'topic_arn' = t.text WHERE t.member = 'TopicArn' AND d.kind = 'sns'
	UNION ALL SELECT t.*, 'destination', coalesce(t.name, t.text), d.destination_id, d.owner
		FROM task t JOIN saga.destination d ON d.settings ->> 'queue_url' = t.text WHERE t.member = 'QueueUrl' AND d.kind = 'sqs'
	UNION ALL SELECT t.*, 'destination', t.text, e.id, e.owner
		FROM task t JOIN endpoint e ON e.server = t.server WHERE t.member = 'ApiEndpoint' AND t.name IS NULL AND starts_with(t.text, e.url))
INSERT INTO saga.reference (referrer, referrer_id, version, kind, name, object_id)
	SELECT DISTINCT ON (m.workflow_id, m.version, m.kind, m.object_name) 'workflow', m.workflow_id, m.version, m.kind, m.object_name, m.id
	FROM meant m
	WHERE pg_has_role(m.owner, m.object_owner, 'USAGE')
	ORDER BY m.workflow_id, m.version, m.kind, m.object_name, m.object_owner <> m.owner, m.id;

-- what a superuser bound counted for all, behind what the owner bound himself
INSERT INTO saga.reference (referrer, referrer_id, version, kind, name, object_id)
	SELECT DISTINCT ON (t.workflow_id, t.version, t.arn) 'workflow', t.workflow_id, t.version, 'binding', t.arn, r.resource_id
	FROM (SELECT w.workflow_id, w.owner, v.version, m.key = 'FunctionName' AS is_function,
			regexp_replace(m.value #>> '{}', '\.(waitForTaskToken|sync:2|sync)$', '') AS arn
		FROM saga.workflow w JOIN saga.workflow_version v USING (workflow_id),
			jsonb_path_query(v.definition, '$.** ? (@.type() == "object")') o, jsonb_each(o) m
		WHERE m.key IN ('Resource', 'FunctionName') AND jsonb_typeof(m.value) = 'string') t
	JOIN saga.resource r ON r.arn = t.arn OR t.is_function AND r.function_name = t.arn
	JOIN pg_roles c ON c.oid = r.created_by
	WHERE (r.created_by = t.owner OR c.rolsuper) AND octet_length(t.arn) <= 2000
	ORDER BY t.workflow_id, t.version, t.arn, r.created_by <> t.owner, r.arn;

-- Bindings of superusers counted for all, and still do where an expression makes the name.
DO $$
DECLARE
	binders CONSTANT text := (SELECT string_agg(DISTINCT quote_ident(c.rolname), ', ')
		FROM saga.resource r JOIN pg_roles c ON c.oid = r.created_by WHERE c.rolsuper);
BEGIN
	IF binders IS NOT NULL THEN
		EXECUTE format('ALTER DATABASE %I SET pg_saga.owner_path = %L', current_database(), concat_ws(', ', '"$user"', binders));
	END IF;
END
$$;

-- A name that a program uses meant the object of anybody whose rights the program's role has. That is no reason to go
-- on so: who is a member of an owner need not trust him, and who made him one (before version 16 any owner could) may
-- be somebody whose objects he would then use unawares. So an administrator is told, and decides.
DO $$
DECLARE
	binders CONSTANT text := (SELECT string_agg(DISTINCT quote_ident(c.rolname), ', ')
		FROM saga.resource r JOIN pg_roles c ON c.oid = r.created_by WHERE c.rolsuper);
	shown CONSTANT integer := 50;
	commands text[];
BEGIN
	SELECT array_agg(format('ALTER ROLE %I IN DATABASE %I SET pg_saga.owner_path = %L;', m.member, current_database(),
			concat_ws(', ', '"$user"', m.owners, binders)) ORDER BY m.member)
		INTO commands
		FROM (SELECT m.rolname AS member, string_agg(quote_ident(o.rolname), ', ' ORDER BY o.rolname) AS owners
			FROM pg_roles m JOIN pg_roles o ON o.oid <> m.oid AND NOT o.rolsuper AND pg_has_role(m.oid, o.oid, 'USAGE')
			WHERE NOT m.rolsuper AND (m.rolcanlogin OR EXISTS (SELECT FROM saga.queue q WHERE q.owner = m.oid))
				AND o.oid IN (SELECT q.owner FROM saga.queue q UNION SELECT s.owner FROM saga.source s
					UNION SELECT c.owner FROM saga.secret c)
			GROUP BY m.rolname) m;
	IF commands IS NOT NULL THEN
		-- an extension's script shows no notices
		RAISE WARNING 'bare names mean one''s own objects now: % roles could use those of other owners without naming the owner', cardinality(commands)
			USING DETAIL = array_to_string(commands[1:shown], E'\n') || CASE WHEN cardinality(commands) > shown THEN E'\n...' ELSE '' END,
				HINT = 'Run such a command for a role whose programs or steps do so and which trusts these owners as itself, or write owner.name there.';
	END IF;
END
$$;

-- ---------- worker ----------
-- columns more
ALTER VIEW saga.workers RENAME TO replaced_workers;
ALTER FUNCTION saga.worker_status() RENAME TO replaced_worker_status;
CREATE FUNCTION saga.worker_status(OUT pid integer, OUT type text, OUT database name, OUT owner name,
	OUT state text, OUT started_at timestamptz, OUT last_active timestamptz,
	OUT batches bigint, OUT done bigint, OUT errors bigint, OUT reason text,
	OUT busy_since timestamptz, OUT overstays boolean,
	OUT workflow text, OUT execution_id uuid, OUT current_state text, OUT step_since timestamptz)
	RETURNS SETOF record LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'saga_worker_status';
CREATE VIEW saga.workers AS SELECT * FROM saga.worker_status();
COMMENT ON FUNCTION saga.worker_status() IS 'rows of saga.workers';
COMMENT ON VIEW saga.workers IS
'the processes of pg_saga; and with state waiting those that cannot be started, with the reason: of an owner whose executions cannot run, or without an owner.
busy_since: when a worker began its batch, another one its turn; null: it waits. overstays: of a worker, it has been in it for longer than a batch takes, so it is in a long step. workflow, execution_id: what a worker of this database runs at this moment; current_state: of its last step; step_since: when that began; null: it is in none';

-- ---------- doctor ----------
CREATE VIEW saga.doctor_objects WITH (security_barrier) AS
	SELECT o.kind, o.name, o.owner, o.settings,
		CASE WHEN o.owner = (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) THEN o.name
			ELSE pg_catalog.format('%s.%I', o.owner, o.name) END AS written,
		pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(o.definition::text, 'UTF8')), 'hex') AS definition_hash,
		o.refused,
		-- what its settings refer to, and is not there
		CASE WHEN o.settings IS NOT NULL THEN ARRAY(SELECT pg_catalog.jsonb_build_object('owner', f.object_owner::text, 'name', f.object_name)
			FROM saga.reference f
			WHERE f.referrer = o.kind AND f.referrer_id = o.id AND f.kind = 'secret'
				AND NOT EXISTS (SELECT FROM saga.secret s WHERE s.owner = f.object_owner AND s.name = f.object_name)
			ORDER BY 1) END AS missing_secrets
	FROM (
		SELECT 'workflow' AS kind, w.name, w.owner, NULL::jsonb AS settings, v.definition, w.workflow_id AS id, false AS refused
		FROM saga.workflow w JOIN saga.workflow_version v USING (workflow_id, version)
		UNION ALL
		SELECT 'queue', q.name, q.owner, NULL, NULL, q.queue_id, false FROM saga.queue q WHERE q.kind = 'q'
		UNION ALL
		SELECT 'activity', pg_catalog.substr(q.name, 10), q.owner, NULL, NULL, q.queue_id, false FROM saga.queue q WHERE q.kind = 'a'
		UNION ALL
		SELECT 'destination', d.name, d.owner, d.settings, d.settings, d.destination_id, coalesce(t.breaker <> 'closed' AND t.breaker_reason = 'auth', false)
		FROM saga.destination d LEFT JOIN saga.destination_state t ON t.limit_key = d.limit_key
		UNION ALL
		SELECT 'source', s.name, s.owner, s.settings, s.settings, s.source_id, false FROM saga.source s
		UNION ALL
		SELECT 'secret', s.name, s.owner, NULL, NULL, s.secret_id, false FROM saga.secret s) o
	WHERE pg_catalog.pg_has_role(o.owner, 'USAGE');
COMMENT ON VIEW saga.doctor_objects IS 'what saga.doctor() looks at: everything that has an owner whose rights the current user has; written: its name as he has to write it';
CREATE FUNCTION saga.doctor(OUT "check" text, OUT severity text, OUT what text, OUT command text)
RETURNS SETOF record
LANGUAGE plpgsql STABLE PARALLEL UNSAFE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $doctor$
#variable_conflict use_column
DECLARE
	extensions CONSTANT name[] := '{pg_saga,pg_invoice}';
	-- null when pg_invoice is absent
	invoice_schema CONSTANT regnamespace := (SELECT e.extnamespace FROM pg_extension e WHERE e.extname = 'pg_invoice');
	mend_setting CONSTANT text := 'ALTER SYSTEM SET %s = %L; SELECT pg_catalog.pg_reload_conf()';
	-- its sizes of shared memory are settings only where they have an effect; on a standby nothing runs
	runs CONSTANT boolean := NOT pg_is_in_recovery() AND EXISTS (SELECT FROM pg_settings s WHERE s.name = 'pg_saga.max_queues');
	-- a transaction that is open for longer than this
	old CONSTANT interval := '1 hour';
	needed integer;
	missing text[] := '{}';
BEGIN
	-- ---------- schemas and rights ----------

	-- Who can create in a schema can put functions in front of those that somebody else means.
	RETURN QUERY
		SELECT 'schema_create', CASE WHEN n.nspname = 'public' AND n.oid IS DISTINCT FROM invoice_schema THEN 'warning' ELSE 'error' END,
			format('%s may create in schema %I', g.grantee, n.nspname),
			format('REVOKE CREATE ON SCHEMA %I FROM %s', n.nspname, g.grantee)
		FROM pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a,
			LATERAL (SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END) g (grantee)
		WHERE a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner
			AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = a.grantee AND r.rolsuper)
			AND (n.oid = invoice_schema OR n.nspname = 'saga' OR n.nspname = 'public'
				AND (SELECT s.reset_val ~ E'\\mpublic\\M' FROM pg_settings s WHERE s.name = 'search_path'))
		ORDER BY 3;

	RETURN QUERY
		SELECT 'schema_owner', 'warning',
			format('schema %I, whose functions run as %s, belongs to %s, who is no superuser', n.nspname, e.extowner::regrole, r.rolname),
			format('ALTER SCHEMA %I OWNER TO %s', n.nspname, e.extowner::regrole)
		FROM pg_extension e JOIN pg_namespace n ON n.oid = CASE e.extname WHEN 'pg_saga' THEN 'saga'::regnamespace ELSE e.extnamespace END
			JOIN pg_roles r ON r.oid = n.nspowner
		WHERE e.extname = ANY (extensions) AND n.nspowner <> e.extowner AND NOT r.rolsuper
			-- it stands for the owner of the database
			AND NOT (r.rolname = 'pg_database_owner' AND EXISTS (
				SELECT FROM pg_database d JOIN pg_roles o ON o.oid = d.datdba WHERE d.datname = current_database() AND o.rolsuper))
		ORDER BY 3;

	RETURN QUERY
		SELECT 'public_grant', 'error',
			format('PUBLIC has %s on %s %s', string_agg(DISTINCT a.privilege_type, ', '), lower(o.kind), o.name),
			format('REVOKE ALL ON %s %s FROM PUBLIC', o.kind, o.name)
		FROM (
			SELECT 'ROUTINE' AS kind, p.oid::regprocedure::text AS name, 'pg_proc'::regclass AS class, p.oid,
				coalesce(p.proacl, acldefault('f', p.proowner)) AS acl
			FROM pg_proc p
			UNION ALL
			SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass::text, 'pg_class', c.oid,
				c.relacl || (SELECT array_agg(x) FROM pg_attribute t, unnest(t.attacl) x WHERE t.attrelid = c.oid)
			FROM pg_class c
			UNION ALL
			SELECT 'SCHEMA', quote_ident(n.nspname), 'pg_namespace', n.oid, n.nspacl FROM pg_namespace n) o
			JOIN pg_depend m ON m.classid = o.class AND m.objid = o.oid AND m.deptype = 'e' AND m.refclassid = 'pg_extension'::regclass
			JOIN pg_extension e ON e.oid = m.refobjid AND e.extname = ANY (extensions),
			aclexplode(o.acl) a
		WHERE a.grantee = 0
		GROUP BY o.kind, o.name
		ORDER BY 3;

	-- The tables hold everybody's messages and secrets, the views all_... have no filter.
	RETURN QUERY
		SELECT 'table_grant', 'error',
			format('%s has %s on %s, which holds what is everybody''s', a.grantee::regrole, string_agg(DISTINCT a.privilege_type, ', '), c.oid::regclass),
			format('REVOKE ALL ON %s FROM %s', c.oid::regclass, a.grantee::regrole)
		FROM pg_class c, aclexplode(c.relacl || (SELECT array_agg(x) FROM pg_attribute t, unnest(t.attacl) x WHERE t.attrelid = c.oid)) a
		WHERE c.relnamespace = 'saga'::regnamespace AND (c.relkind IN ('r', 'p') OR c.relkind = 'v' AND c.relname LIKE E'all\\_%')
			AND a.grantee NOT IN (0, c.relowner)
		GROUP BY c.oid, a.grantee
		ORDER BY 3;

	-- They have every right on every table and view of the server; row security is all that is between them and those of saga.
	RETURN QUERY
		SELECT 'server_role', CASE WHEN b.bypasses THEN 'error' ELSE 'warning' END,
			format('%s is a member of %s, and so %s', m.member::regrole, m.roleid::regrole, CASE m.roleid::regrole::text
				WHEN 'pg_read_all_data' THEN CASE WHEN b.bypasses THEN 'reads all tables of saga, with the secrets (BYPASSRLS)'
					ELSE 'reads the payloads of everybody (saga.all_executions)' END
				ELSE CASE WHEN b.bypasses THEN 'writes tables of saga that hold work of everybody (BYPASSRLS)'
					ELSE 'can lock all tables of saga, and write those that steps of everybody work with' END END),
			format('REVOKE %s FROM %s', m.roleid::regrole, m.member::regrole)
		FROM (SELECT DISTINCT a.roleid, a.member FROM pg_auth_members a) m JOIN pg_roles r ON r.oid = m.member,
			LATERAL (SELECT EXISTS (SELECT FROM pg_roles x WHERE x.rolbypassrls AND NOT x.rolsuper AND pg_has_role(x.oid, m.member, 'MEMBER'))) b (bypasses)
		WHERE m.roleid IN ('pg_read_all_data'::regrole, 'pg_write_all_data'::regrole) AND NOT r.rolsuper
		ORDER BY 3;

	-- ---------- owners ----------

	-- The steps of a superuser's workflow are a superuser's.
	RETURN QUERY
		SELECT 'superuser_owner',
			CASE WHEN o.kind = 'workflow' AND o.name IN ('invoice', 'invoice-inbox') AND invoice_schema IS NOT NULL THEN 'error' ELSE 'warning' END,
			format('%s "%s" belongs to %s, a superuser', o.kind, o.name, r.rolname),
			-- which gives both away
			CASE WHEN o.kind = 'workflow' AND invoice_schema IS NOT NULL AND (o.name = 'invoice' OR o.name = 'invoice-inbox'
					AND EXISTS (SELECT FROM saga.doctor_objects i WHERE i.kind = 'workflow' AND i.name = 'invoice' AND i.owner = o.owner))
				THEN format('SELECT %s.invoice_setup(%L)', invoice_schema, 'app_owner')
				ELSE format('SELECT saga.set_%s_owner(%L, %L%s)', o.kind, o.written, 'app_owner', ', ' || quote_literal(h.hash)) END
		FROM saga.doctor_objects o CROSS JOIN LATERAL (SELECT CASE WHEN o.written <> o.name THEN o.definition_hash END) h (hash)
			JOIN pg_roles r ON r.oid = o.owner
		WHERE r.rolsuper AND o.kind IN ('workflow', 'destination', 'source')
		ORDER BY o.kind, o.name;

	RETURN QUERY
		SELECT 'dropped_owner', 'error',
			format('%s "%s" belongs to role %s, which was dropped', o.kind, o.name, o.owner::oid),
			CASE WHEN o.kind IN ('workflow', 'destination', 'source')
				THEN format('SELECT saga.set_%s_owner(%L, %L, %L)', o.kind, o.written, 'app_owner', o.definition_hash)
				ELSE format('SELECT saga.drop_%s(%L)', o.kind, o.written) END
		FROM saga.doctor_objects o
		WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = o.owner)
		ORDER BY o.kind, o.name;

	-- Later a worker needs no right to log in.
	RETURN QUERY
		SELECT 'owner_login', 'error',
			format('workflow "%s" does not run: its owner %s may not log in', min(o.name), o.owner)
				|| CASE WHEN count(*) > 1 THEN format('; nor do %s others', count(*) - 1) ELSE '' END,
			format('ALTER ROLE %s LOGIN', o.owner)
		FROM saga.doctor_objects o JOIN pg_roles r ON r.oid = o.owner
		WHERE o.kind = 'workflow' AND NOT r.rolcanlogin AND current_setting('server_version_num')::integer < 170000
		GROUP BY o.owner
		ORDER BY 3;

	RETURN QUERY
		SELECT 'owner_connect', 'error',
			format('workflow "%s" does not run: its owner %s has no CONNECT privilege on this database', min(o.name), o.owner)
				|| CASE WHEN count(*) > 1 THEN format('; nor do %s others', count(*) - 1) ELSE '' END,
			format('GRANT CONNECT ON DATABASE %I TO %s', current_database(), o.owner)
		FROM saga.doctor_objects o JOIN pg_roles r ON r.oid = o.owner
		WHERE o.kind = 'workflow' AND NOT has_database_privilege(r.oid, current_database(), 'CONNECT')
		GROUP BY o.owner
		ORDER BY 3;

	-- ---------- destinations and sources ----------

	-- A dump has no secrets (pg_saga.dump_secrets).
	RETURN QUERY
		SELECT 'credentials', 'error', format('%s "%s" refers to the secret "%s" of %s, which is not there', o.kind, o.name, m.secret ->> 'name', m.secret ->> 'owner'),
			format(CASE WHEN m.secret ->> 'owner' = quote_ident(current_user) THEN 'SELECT saga.set_secret(%2$L, %3$L)'
				ELSE 'SET ROLE %1$s; SELECT saga.set_secret(%2$L, %3$L); RESET ROLE' END, m.secret ->> 'owner', m.secret ->> 'name', 'its value')
		FROM saga.doctor_objects o, unnest(o.missing_secrets) m (secret)
		ORDER BY 3;

	RETURN QUERY
		SELECT 'credentials', 'error', format('destination "%s" is held, as its server has refused the credentials: set them anew (saga.set_secret)', o.name),
			format('SELECT saga.resume_destination(%L)', o.written)
		FROM saga.doctor_objects o
		WHERE o.refused
		ORDER BY o.name;

	RETURN QUERY
		SELECT 'allow_private', 'notice',
			format('%s "%s" may reach addresses of the private network: %s', o.kind, o.name, o.settings -> 'allow_private'),
			format('SELECT saga.alter_%s(%L, %L)', o.kind, o.written, o.settings - 'allow_private')
		FROM saga.doctor_objects o
		WHERE o.kind IN ('destination', 'source') AND coalesce(o.settings -> 'allow_private', 'null') NOT IN ('null', 'false', '[]')
		ORDER BY o.kind, o.name;

	RETURN QUERY
		SELECT 'plain_http', 'warning',
			format('%s "%s" sends a secret over http://, where it can be read on its way', o.kind, o.name),
			format('SELECT saga.alter_%s(%L, %L)', o.kind, o.written, replace((o.settings - 'allow_http')::text, '"http://', '"https://'))
		FROM saga.doctor_objects o
		WHERE o.settings::text LIKE '%"http://%' AND (o.settings::text LIKE '%{secret:%' OR o.settings ?| '{auth,credentials}')
		ORDER BY o.kind, o.name;

	-- ---------- what the log would show of SELECT saga.set_secret(...), its parameters too ----------

	RETURN QUERY
		WITH loud (name, pattern, quiet, severity) AS (VALUES
			('log_statement', '^all$', 'ddl', 'warning'),
			('log_min_duration_statement', '^[^-]', '-1', 'warning'),
			('log_min_duration_sample', '^[^-]', '-1', 'warning'),
			('log_transaction_sample_rate', '[1-9]', '0', 'warning'),
			('log_parameter_max_length_on_error', '^(-|0*[1-9])', '0', 'warning'),
			('auto_explain.log_min_duration', '^[^-]', '-1', 'warning'),
			('pgaudit.log', E'(?i)\\m(all|read|function|misc)\\M', 'ddl, role', 'warning'),
			-- only when it waits long for a lock
			('log_lock_waits', '^on$', 'off', 'notice'))
		SELECT 'secret_log', l.severity, format('%s = %s%s: the log can show the value of a secret that is set', l.name, s.value, s.of), s.command
		FROM loud l, LATERAL (
			SELECT p.reset_val AS value, '' AS of, format(mend_setting, l.name, l.quiet) AS command
			FROM pg_settings p WHERE p.name = l.name
			UNION ALL
			SELECT split_part(c, '=', 2), ' of ' || concat_ws(' in ', t.role, t.database),
				concat_ws(' ', 'ALTER', t.role || coalesce(' IN ' || t.database, ''), CASE WHEN t.role IS NULL THEN t.database END, 'RESET', l.name)
			FROM pg_db_role_setting d, unnest(d.setconfig) c, LATERAL (SELECT
				CASE WHEN d.setrole = 0 AND d.setdatabase = 0 THEN 'ROLE ALL' WHEN d.setrole <> 0 THEN 'ROLE ' || d.setrole::regrole END,
				(SELECT 'DATABASE ' || quote_ident(b.datname) FROM pg_database b WHERE b.oid = d.setdatabase)) t (role, database)
			WHERE split_part(c, '=', 1) = l.name
				AND (d.setdatabase = 0 OR d.setdatabase = (SELECT b.oid FROM pg_database b WHERE b.datname = current_database()))) s
		WHERE s.value ~ l.pattern
		ORDER BY 3;

	-- ---------- processes and versions ----------

	-- Shown to superusers and pg_read_all_settings only.
	RETURN QUERY
		SELECT 'preload', 'warning', 'pg_saga is not in shared_preload_libraries: nothing runs by itself (needs a restart)',
			(SELECT 'ALTER SYSTEM SET shared_preload_libraries = ' || string_agg(quote_literal(btrim(l, ' "')), ', ' ORDER BY n)
			 FROM regexp_split_to_table(concat_ws(',', nullif(s.reset_val, ''), 'pg_saga'), ',') WITH ORDINALITY l (l, n))
		FROM pg_settings s
		WHERE s.name = 'shared_preload_libraries' AND s.reset_val !~ E'\\mpg_saga\\M';

	-- The launcher, in each database a coordinator with its workers, publishers and the process for the
	-- sources; and the server's own launcher of logical replication. Null when the library is not loaded.
	SELECT 1 + greatest(1, (SELECT count(DISTINCT a.datname) FROM pg_stat_activity a WHERE a.backend_type = 'pg_saga coordinator'))
			* (1 + current_setting('pg_saga.workers', true)::integer + current_setting('pg_saga.publishers', true)::integer
				+ current_setting('pg_saga.sources', true)::boolean::integer)
		INTO needed;
	RETURN QUERY
		SELECT 'processes', 'error', format('%s = %s does not suffice for the %s processes that pg_saga has by its settings (needs a restart)', s.name, s.reset_val, needed),
			format('ALTER SYSTEM SET %s = %s', s.name, needed + t.others)
		FROM (VALUES ('max_worker_processes', 1), ('pg_saga.max_processes', 0)) t (name, others) JOIN pg_settings s USING (name)
		WHERE s.reset_val::integer < needed + t.others
		ORDER BY 3;

	-- Parallel queries take places from the same number, and anybody can keep them for as long as his query runs.
	RETURN QUERY
		SELECT 'parallel', 'warning', format('%s = %s leaves no place for the %s processes of pg_saga when parallel queries run (%s = %s; needs a restart)',
				s.name, s.reset_val, needed, p.name, p.reset_val),
			format('ALTER SYSTEM SET %s = %s', s.name, needed + 1 + p.reset_val::integer)
		FROM pg_settings s JOIN pg_settings p ON s.name = 'max_worker_processes' AND p.name = 'max_parallel_workers'
		WHERE s.reset_val::integer < needed + 1 + p.reset_val::integer;

	-- What is missing at this moment: who starts processes says so. Others than ours may have the server's places.
	IF runs AND has_function_privilege('saga.worker_status()', 'EXECUTE') THEN
		missing := ARRAY(SELECT w.type FROM saga.worker_status() w
			WHERE w.state = 'waiting' AND w.database = current_database() AND w.owner IS NULL AND w.reason LIKE E'pg\\_saga.%');
		RETURN QUERY
			WITH status AS MATERIALIZED (SELECT * FROM saga.worker_status())
			SELECT 'missing', 'error', m.what, format('ALTER SYSTEM SET max_worker_processes = %s', s.reset_val::integer + needed)
			FROM (
				SELECT format('a %s cannot be started: %s (needs a restart)', CASE w.type WHEN 'source' THEN 'process for sources' ELSE w.type END, w.reason)
				FROM status w
				WHERE w.state = 'waiting' AND w.owner IS NULL AND w.reason LIKE E'%max\\_worker\\_processes%'
					AND coalesce(w.database, current_database()) = current_database()
				UNION ALL
				-- the server did not say why
				SELECT format('the launcher does not run, nor does anything else by itself: it ended a moment ago, or max_worker_processes = %s had no place for it (needs a restart)', s.reset_val)
				FROM pg_settings s
				WHERE s.name = 'max_worker_processes' AND NOT EXISTS (SELECT FROM status w WHERE w.type = 'launcher')) m (what),
				pg_settings s
			WHERE s.name = 'max_worker_processes'
			ORDER BY 3;
	END IF;

	-- The owner of a database may want it so: saga.drain() and saga.publish() do the same in a session.
	RETURN QUERY
		SELECT 'switched_off', CASE WHEN t.type = ANY (missing) THEN 'warning' ELSE 'notice' END,
			format('%s = %s: %s', s.name, s.reset_val, t.what) || CASE WHEN t.type = ANY (missing) THEN ', and something waits' ELSE '' END,
			format(mend_setting, s.name, s.boot_val)
		FROM (VALUES ('worker', 'pg_saga.workers', '0', 'no execution runs by itself'),
				('publisher', 'pg_saga.publishers', '0', 'no message is sent by itself'),
				('source', 'pg_saga.sources', 'off', 'no message is taken from sources')) t (type, name, off, what)
			JOIN pg_settings s ON s.name = t.name AND s.reset_val = t.off
		WHERE runs
		ORDER BY 3;
	RETURN QUERY
		SELECT 'switched_off', 'warning',
			format('pg_saga.databases = %s does not name this database: nothing runs here by itself', s.reset_val),
			format(mend_setting, s.name, s.reset_val || ', ' || quote_ident(current_database()))
		FROM pg_settings s
		WHERE runs AND s.name = 'pg_saga.databases' AND s.reset_val <> '' AND NOT EXISTS (
			SELECT FROM unnest(string_to_array(s.reset_val, ',')) n, btrim(n) t
			WHERE current_database() = CASE WHEN t LIKE '"%"' THEN replace(btrim(t, '"'), '""', '"') ELSE t END);

	-- Nothing of ours can look into these, so that none of their own views, nor anything else, says that work stands still there.
	RETURN QUERY
		WITH named (name) AS (
			SELECT CASE WHEN t LIKE '"%"' THEN replace(btrim(t, '"'), '""', '"') ELSE t END
			FROM pg_settings s, unnest(string_to_array(s.reset_val, ',')) n, btrim(n) t
			WHERE runs AND s.name = 'pg_saga.databases' AND t <> '')
		SELECT 'databases', CASE WHEN n.name IS NULL AND d.datname <> current_database() THEN 'warning' ELSE 'error' END,
			CASE WHEN d.datconnlimit = -2 THEN format('database %I is half gone, as its DROP DATABASE was interrupted: what pg_saga has there stands still', d.datname)
				ELSE format('database %I allows no connections: what pg_saga has there stands still', d.datname) END,
			CASE WHEN d.datconnlimit = -2 THEN format('DROP DATABASE %I', d.datname)
				ELSE format('ALTER DATABASE %I ALLOW_CONNECTIONS true', d.datname) END
		FROM pg_database d LEFT JOIN named n ON n.name = d.datname
		WHERE runs AND (NOT d.datallowconn OR d.datconnlimit = -2)
			AND (n.name IS NOT NULL OR NOT d.datistemplate AND NOT EXISTS (SELECT FROM named))
		UNION ALL
		SELECT 'databases', 'error', format('pg_saga.databases names %I, which does not exist: one that was renamed is not served under its new name', n.name),
			format(mend_setting, 'pg_saga.databases', (SELECT string_agg(quote_ident(o.name), ', ') FROM named o JOIN pg_database d ON d.datname = o.name))
		FROM named n
		WHERE NOT EXISTS (SELECT FROM pg_database d WHERE d.datname = n.name)
		ORDER BY 3;

	-- Work goes on without a place in shared memory, but what is ready must be looked for. Processes say whether one is missing.
	IF has_function_privilege('saga.worker_status()', 'EXECUTE') THEN
		RETURN QUERY
			WITH missing (name, what, needed) AS (
				SELECT 'pg_saga.max_databases', format('%s no place in shared memory', CASE count(*) WHEN 1 THEN 'a database has' ELSE count(*) || ' databases have' END),
					(SELECT count(*) FROM pg_database d WHERE d.datallowconn)
				FROM saga.worker_status() w WHERE w.type = 'coordinator' AND w.reason LIKE '%pg_saga.max_databases%'
				HAVING count(*) > 0
				UNION ALL
				SELECT 'pg_saga.max_queues', 'all places for queues in shared memory are taken',
					(SELECT count(*) FROM saga.doctor_objects o WHERE o.kind IN ('workflow', 'queue', 'destination', 'activity'))
				FROM saga.worker_status() w WHERE w.type = 'launcher' AND w.reason LIKE '%pg_saga.max_queues%')
			SELECT 'places', 'warning', format('%s by %s = %s: what is ready in others is found late (needs a restart)', m.what, m.name, s.reset_val),
				format('ALTER SYSTEM SET %s = %s', m.name, least(greatest(2 * s.reset_val::bigint, m.needed), s.max_val::bigint))
			FROM missing m JOIN pg_settings s ON s.name = m.name
			ORDER BY 3;
	END IF;

	-- Rows that were deleted stay as long as a transaction could see them, and queues are slow to read.
	RETURN QUERY
		SELECT 'xmin', 'warning', x.what || ': what was deleted meanwhile cannot be vacuumed, and queues get slower', x.command
		FROM (
			SELECT format('session %s of %s is in a transaction since %s', a.pid, coalesce(a.usename, a.backend_type), date_trunc('second', a.xact_start)),
				format('SELECT pg_terminate_backend(%s)', a.pid)
			FROM pg_stat_activity a
			WHERE a.xact_start < now() - old AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL) AND a.pid <> pg_backend_pid()
				AND a.backend_type IS DISTINCT FROM 'autovacuum worker'
			UNION ALL
			SELECT format('transaction %L was prepared at %s by %s, in database %s', p.gid, date_trunc('second', p.prepared), p.owner, p.database),
				format('ROLLBACK PREPARED %L', p.gid)
			FROM pg_prepared_xacts p
			WHERE p.prepared < now() - old
			UNION ALL
			SELECT format('replication slot %s needs rows since transaction %s', r.slot_name, coalesce(r.xmin, r.catalog_xmin)),
				format('SELECT pg_drop_replication_slot(%L)', r.slot_name)
			FROM pg_replication_slots r
			WHERE greatest(age(r.xmin), age(r.catalog_xmin)) > 10000000) x (what, command)
		ORDER BY 3;

	-- Without pg_cron in the server the jobs are rows in a table; of its jobs everybody sees his own.
	IF to_regclass('cron.job') IS NOT NULL AND has_schema_privilege('cron', 'USAGE') AND has_table_privilege('cron.job', 'SELECT') THEN
		RETURN QUERY
			SELECT 'cron', 'error', 'pg_cron is not in shared_preload_libraries: no job is run (needs a restart)',
				(SELECT 'ALTER SYSTEM SET shared_preload_libraries = ' || string_agg(quote_literal(btrim(l, ' "')), ', ' ORDER BY n)
				 FROM regexp_split_to_table(concat_ws(',', nullif(s.reset_val, ''), 'pg_cron'), ',') WITH ORDINALITY l (l, n))
			FROM pg_settings s
			WHERE s.name = 'shared_preload_libraries' AND s.reset_val !~ E'\\mpg_cron\\M';
		RETURN QUERY EXECUTE $jobs$
			SELECT 'cron', 'warning', format('job %s of pg_cron, %s, is switched off', j.jobid, j.command),
				format('SELECT cron.alter_job(%s, active => true)', j.jobid)
			FROM cron.job j
			WHERE NOT j.active AND j.database = current_database() AND j.command ~ E'saga\\.|invoice_'
			ORDER BY 3 $jobs$;
		IF to_regclass('cron.job_run_details') IS NOT NULL AND has_table_privilege('cron.job_run_details', 'SELECT') THEN
			RETURN QUERY EXECUTE $runs$
				SELECT 'cron', 'warning', format('job %s of pg_cron, %s, failed at %s: %s', j.jobid, j.command, date_trunc('second', d.end_time), d.return_message),
					format('SELECT * FROM cron.job_run_details WHERE jobid = %s ORDER BY runid DESC', j.jobid)
				FROM cron.job j CROSS JOIN LATERAL (SELECT r.status, r.end_time, r.return_message FROM cron.job_run_details r
					WHERE r.jobid = j.jobid ORDER BY r.runid DESC LIMIT 1) d
				WHERE d.status = 'failed' AND j.database = current_database() AND j.command ~ E'saga\\.|invoice_'
				ORDER BY 3 $runs$;
		END IF;
	END IF;

	RETURN QUERY
		SELECT 'version', 'error', format('%s is version %s in this database, and %s on the server', e.extname, e.extversion, a.default_version),
			format('ALTER EXTENSION %I UPDATE', e.extname)
		FROM pg_extension e JOIN pg_available_extensions a ON a.name = e.extname
		WHERE e.extname = ANY (extensions)
			AND CASE WHEN e.extversion || a.default_version ~ '^[0-9.]+$'
				THEN string_to_array(e.extversion, '.')::integer[] < string_to_array(a.default_version, '.')::integer[] END
		ORDER BY 3;
END
$doctor$;
COMMENT ON FUNCTION saga.doctor() IS
'what is wrong or dangerous in this installation: severity error, warning or notice, and the SQL that mends it. Without rows all is well. Who is no superuser sees what concerns the roles whose rights he has; it needs SELECT on saga.doctor_objects too';

-- ---------- grants ----------
-- Nothing for anybody but the owner. Functions are PUBLIC's until they are revoked; and who is named in ALTER DEFAULT PRIVILEGES,
-- for tables of an application, has them on these too. Of what this script has made alone (it is a member since this transaction):
-- what an extension's script does to the rights on an object makes all of them the extension's own, and pg_dump would leave out
-- what was granted on the others.
DO $$
DECLARE
	made record;
BEGIN
	FOR made IN
		SELECT o.kind, o.name, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee
		FROM (
			SELECT 'ROUTINE' AS kind, p.oid::regprocedure::text AS name, 'pg_proc'::regclass AS class, p.oid, p.proowner AS owner,
				coalesce(p.proacl, acldefault('f', p.proowner)) AS acl
			FROM pg_proc p
			UNION ALL
			SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass::text, 'pg_class'::regclass, c.oid, c.relowner, c.relacl
			FROM pg_class c
			UNION ALL
			SELECT 'SCHEMA', quote_ident(n.nspname), 'pg_namespace'::regclass, n.oid, n.nspowner, n.nspacl FROM pg_namespace n) o
			JOIN pg_depend m ON m.classid = o.class AND m.objid = o.oid AND m.deptype = 'e' AND m.refclassid = 'pg_extension'::regclass
			JOIN pg_extension e ON e.oid = m.refobjid AND e.extname = 'pg_saga',
			aclexplode(o.acl) a
		WHERE a.grantee <> o.owner
			AND age(m.xmin) <= 0
	LOOP
		EXECUTE format('REVOKE ALL ON %s %s FROM %s CASCADE', made.kind, made.name, made.grantee);
	END LOOP;
END
$$;

-- What was granted on the functions and the view that were made anew, also with the grant option, by whom, and to PUBLIC:
-- an update takes nothing away that an administrator gave (saga.doctor() tells him of PUBLIC). Moved with its
-- dependencies, not granted: what an extension's script grants would be the extension's own, and left out by pg_dump.
DO $$
DECLARE
	moved record;
BEGIN
	FOR moved IN
		SELECT o.oid::regprocedure AS old, n.oid::regprocedure AS new, o.proacl AS acl, o.proowner::regrole AS owner
		FROM pg_proc o JOIN pg_proc n ON n.pronamespace = o.pronamespace AND 'replaced_' || n.proname = o.proname
		WHERE o.pronamespace = 'saga'::regnamespace
	LOOP
		EXECUTE format('ALTER FUNCTION %s OWNER TO %s', moved.new, moved.owner);
		EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', moved.new);
		UPDATE pg_proc SET proacl = moved.acl WHERE oid = moved.new;
		UPDATE pg_shdepend SET objid = moved.new WHERE classid = 'pg_proc'::regclass AND objid = moved.old AND deptype = 'a'
			AND dbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database());
	END LOOP;
	EXECUTE format('ALTER VIEW saga.workers OWNER TO %s', (SELECT c.relowner::regrole FROM pg_class c WHERE c.oid = 'saga.replaced_workers'::regclass));
	UPDATE pg_class SET relacl = (SELECT o.relacl FROM pg_class o WHERE o.oid = 'saga.replaced_workers'::regclass)
		WHERE oid = 'saga.workers'::regclass;
	UPDATE pg_attribute a SET attacl = o.attacl FROM pg_attribute o
		WHERE a.attrelid = 'saga.workers'::regclass AND o.attrelid = 'saga.replaced_workers'::regclass AND o.attname = a.attname;
	UPDATE pg_shdepend SET objid = 'saga.workers'::regclass WHERE classid = 'pg_class'::regclass AND objid = 'saga.replaced_workers'::regclass
		AND deptype = 'a' AND dbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database());
END
$$;
DROP VIEW saga.replaced_workers;
DROP FUNCTION saga.replaced_worker_status(), saga.replaced_set_destination_owner(text, regrole),
	saga.replaced_set_workflow_owner(text, regrole), saga.replaced_set_source_owner(text, regrole);

-- What decides with whose rights something runs.
CREATE TRIGGER owner_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON saga.object_grant
	FOR EACH STATEMENT EXECUTE FUNCTION saga.owner_only();
CREATE TRIGGER owner_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON saga.queue
	FOR EACH STATEMENT EXECUTE FUNCTION saga.owner_only();
CREATE TRIGGER owner_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON saga.secret
	FOR EACH STATEMENT EXECUTE FUNCTION saga.owner_only();
CREATE TRIGGER owner_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON saga.token
	FOR EACH STATEMENT EXECUTE FUNCTION saga.owner_only();
CREATE TRIGGER owner_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON saga.destination
	FOR EACH STATEMENT EXECUTE FUNCTION saga.owner_only();
CREATE TRIGGER owner_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON saga.takeover
	FOR EACH STATEMENT EXECUTE FUNCTION saga.owner_only();
CREATE TRIGGER owner_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON saga.workflow
	FOR EACH STATEMENT EXECUTE FUNCTION saga.owner_only();
CREATE TRIGGER owner_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON saga.workflow_version
	FOR EACH STATEMENT EXECUTE FUNCTION saga.owner_only();
CREATE TRIGGER owner_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON saga.resource
	FOR EACH STATEMENT EXECUTE FUNCTION saga.owner_only();
CREATE TRIGGER owner_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON saga.reference
	FOR EACH STATEMENT EXECUTE FUNCTION saga.owner_only();
CREATE TRIGGER owner_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON saga.source
	FOR EACH STATEMENT EXECUTE FUNCTION saga.owner_only();
CREATE TRIGGER owner_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON saga.inbox
	FOR EACH STATEMENT EXECUTE FUNCTION saga.owner_only();

-- Without a policy only the owner of a table, that is our own statements and the views, and who bypasses
-- row security sees rows in it or makes any: not so pg_read_all_data and pg_write_all_data, which have every right.
DO $$
DECLARE
	saga_table regclass;
BEGIN
	FOR saga_table IN
		SELECT c.oid FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
			JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
		WHERE e.extname = 'pg_saga' AND c.relkind = 'r'
	LOOP
		EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', saga_table);
	END LOOP;
END
$$;
-- It tells every process that the extension has changed (statement.c).
UPDATE pg_namespace SET nspname = nspname WHERE oid = 'saga'::regnamespace;
