-- outbox: the messages for destinations, and how they went; destinations as people manage them.

-- Orders the messages of one ordering key; a clock could go back.
CREATE SEQUENCE saga.outbox_position;

CREATE TABLE saga.outbox (
	destination_id integer NOT NULL,
	outbox_id uuid NOT NULL,
	op "char" NOT NULL,					-- p publish, h http task, s sns task, q sqs task
	state text NOT NULL DEFAULT 'waiting'
		CHECK (state IN ('waiting', 'delivered', 'failed', 'withdrawn')),
	only_submit boolean NOT NULL DEFAULT false,
	workflow_id integer,				-- who waits; null: nobody
	execution_id uuid,
	task_id integer,
	compensate boolean NOT NULL DEFAULT false,	-- undoes what an earlier message did
	idempotency_key uuid NOT NULL,
	key_epoch integer NOT NULL DEFAULT 0,	-- raised when the server keeps a failure under the key
	ordering_key text,
	position bigint,					-- with an ordering key
	attempts integer NOT NULL DEFAULT 0,	-- requests of any kind, the last one recorded
	sends integer NOT NULL DEFAULT 0,	-- those of them that count against max_attempts
	phase text NOT NULL DEFAULT 'send' CHECK (phase IN ('send', 'poll', 'else')),
	phase_tries integer NOT NULL DEFAULT 0,	-- failures of look-up or poll, refused credentials
	uncertain boolean NOT NULL DEFAULT false,	-- a request may have had its effect
	doubted boolean NOT NULL DEFAULT false,	-- it was uncertain once, though a look-up found nothing
	same_failures integer NOT NULL DEFAULT 0,	-- the same failure in a row under one key
	pending_since timestamptz,
	captured jsonb,						-- values kept from answers
	last_status integer,
	last_class text,
	last_error text,
	sent_status integer,				-- those of the last request with an effect, whatever was asked since
	sent_error text,
	created_at timestamptz NOT NULL,
	first_sent_at timestamptz,
	last_sent_at timestamptz,
	finished_at timestamptz,
	request jsonb NOT NULL,
	response jsonb,
	sent_class text,					-- as sent_status
	unwanted_since timestamptz,			-- the state was given up: if it was done it will be undone
	outcome text NOT NULL DEFAULT 'never_left'	-- what is known of it when nothing is in flight
		CHECK (outcome IN ('never_left', 'no_effect', 'done', 'in_doubt')),
	outcome_by text,					-- what that rests on: answer, replay, lookup, poll, token, withdrawal, person
	outcome_at timestamptz,
	accepted boolean NOT NULL DEFAULT false,	-- the server said that it was done, and what else it said cannot be read
	captured_hash bigint,				-- of those values that a look-up finds too, or of what it asks
	heir uuid,							-- nobody knew of it when this execution was started for its own, and may take it up
	taken_up_as uuid,					-- the message that goes on with it, under its key
	PRIMARY KEY (destination_id, outbox_id)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.2);
-- what a withdrawal looks for, the call of a task, and what became of the calls that an execution gave up
CREATE INDEX outbox_execution ON saga.outbox (execution_id, task_id)
	WHERE execution_id IS NOT NULL;
-- the head of each ordering key
CREATE INDEX outbox_ordering ON saga.outbox (destination_id, ordering_key, position)
	WHERE state = 'waiting' AND ordering_key IS NOT NULL;
-- what still waits, counted by outbox_status and looked at before a destination is dropped
CREATE INDEX outbox_waiting ON saga.outbox (destination_id, created_at) WHERE state = 'waiting';
-- whose is what a look-up found
CREATE INDEX outbox_captured ON saga.outbox (destination_id, captured_hash)
	WHERE captured_hash IS NOT NULL AND state IN ('waiting', 'delivered');
-- what is being found out
CREATE INDEX outbox_unwanted ON saga.outbox (destination_id, outbox_id) WHERE unwanted_since IS NOT NULL AND state = 'waiting';
-- what nobody could find out
CREATE INDEX outbox_unknown ON saga.outbox (destination_id, outbox_id)
	WHERE outcome = 'in_doubt' AND workflow_id IS NOT NULL AND state IN ('failed', 'withdrawn');
-- what an execution may take up
CREATE INDEX outbox_heir ON saga.outbox (heir) WHERE heir IS NOT NULL;
COMMENT ON TABLE saga.outbox IS 'outbox messages: the request, how often it was sent, the answer; when it may be sent is a row of the destination''s queue';

CREATE TABLE saga.outbox_attempt (
	destination_id integer NOT NULL,
	outbox_id uuid NOT NULL,
	attempt integer NOT NULL,
	started_at timestamptz NOT NULL,
	ended_at timestamptz NOT NULL,
	class text NOT NULL,
	status integer,
	error text,
	answer text,						-- its first characters
	phase text NOT NULL DEFAULT 'send',	-- send, lookup, poll, else
	key text,							-- as it was sent
	retry_after_ms bigint,				-- as the server asked
	publisher integer,					-- its process
	headers jsonb,						-- of the answer, where a server says its own id of the request
	PRIMARY KEY (destination_id, outbox_id, started_at)
);
COMMENT ON TABLE saga.outbox_attempt IS 'requests of outbox messages but the one that delivered it, which is in saga.outbox';

-- Where what is on record was written (takeover.c).
CREATE TABLE saga.takeover (
	system_identifier bigint NOT NULL,
	timeline bigint NOT NULL,
	at timestamptz NOT NULL,			-- when another state became this one
	database_id oid NOT NULL,
	table_id oid NOT NULL,				-- of this table: a restore makes another one
	files_id bigint NOT NULL			-- of the data directory: a copy has others
);
COMMENT ON TABLE saga.takeover IS 'which servers, on which timelines, in which databases and files, have written the outbox, and since when: what is older than the last of them may have been sent without being on record';

-- A new publisher gives back at once what a dead one had in flight.
CREATE INDEX timer_outbox_lease ON saga.timer (lease) WHERE kind = 'o' AND lease IS NOT NULL;

SELECT pg_extension_config_dump('saga.outbox_position', '');
SELECT pg_extension_config_dump('saga.outbox', '');
SELECT pg_extension_config_dump('saga.outbox_attempt', '');
SELECT pg_extension_config_dump('saga.takeover', '');

CREATE TRIGGER owner_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON saga.takeover
	FOR EACH STATEMENT EXECUTE FUNCTION saga.owner_only();

CREATE FUNCTION saga.create_destination(name text, kind text, settings jsonb) RETURNS integer
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_create_destination';
COMMENT ON FUNCTION saga.create_destination(text, text, jsonb) IS 'makes a place that outbox messages can be sent to: http, sns or sqs';
CREATE FUNCTION saga.alter_destination(name text, settings jsonb) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_alter_destination';
COMMENT ON FUNCTION saga.alter_destination(text, jsonb) IS 'replaces the settings of a destination';
CREATE FUNCTION saga.set_destination_owner(name text, role regrole, definition_hash text DEFAULT NULL) RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'saga_set_destination_owner';
COMMENT ON FUNCTION saga.set_destination_owner(text, regrole, text) IS
'gives a destination to another role; definition_hash: as in saga.destinations, required where the caller is not himself the owner. Rights that were granted on it end';
CREATE FUNCTION saga.pause_destination(name text) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_pause_destination';
COMMENT ON FUNCTION saga.pause_destination(text) IS 'messages wait, nothing more is sent';
CREATE FUNCTION saga.resume_destination(name text) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_resume_destination';
COMMENT ON FUNCTION saga.resume_destination(text) IS 'undoes saga.pause_destination';
CREATE FUNCTION saga.drop_destination(name text) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_drop_destination';
COMMENT ON FUNCTION saga.drop_destination(text) IS 'drops a destination for which nothing waits, and of which no execution has a call that has not been settled or undone, with the record of what it was sent';
CREATE FUNCTION saga.drop_destination(name text, force boolean) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_drop_destination_force';
COMMENT ON FUNCTION saga.drop_destination(text, boolean) IS 'the same; with force also one of which executions have calls that are being settled, or have not been undone: how those went is unknown then';

CREATE FUNCTION saga.publish_to(destination text, payload jsonb, ordering_key text DEFAULT NULL,
		headers jsonb DEFAULT NULL) RETURNS uuid
	LANGUAGE c AS 'MODULE_PATHNAME', 'saga_publish_to';
COMMENT ON FUNCTION saga.publish_to(text, jsonb, text, jsonb) IS 'transactional outbox: sends the payload when, and only when, this transaction commits';

-- No SET clause and not SECURITY DEFINER: either makes its commits fail.
CREATE PROCEDURE saga.publish()
	LANGUAGE c AS 'MODULE_PATHNAME', 'saga_publish';
COMMENT ON PROCEDURE saga.publish() IS 'sends, in this session, what is ready for the destinations of the caller';

CREATE FUNCTION saga.doubt_outbox(since timestamptz) RETURNS bigint
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_doubt_outbox';
COMMENT ON FUNCTION saga.doubt_outbox(timestamptz) IS
'after a snapshot of the storage was taken back: what waits may have been sent since then, and is looked up before it is sent again, where the destination says how. Returns how much of it there is';

CREATE VIEW saga.outbox_status WITH (security_barrier) AS
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
COMMENT ON VIEW saga.outbox_status IS 'your destinations: what waits, what was sent, the last answer';

CREATE VIEW saga.destinations WITH (security_barrier) AS
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
COMMENT ON VIEW saga.destinations IS 'your destinations: what holds them, their limits, what waits and is in flight, how the last requests went';

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
