-- outbox: destinations, the messages for them, and how they went.

CREATE TABLE saga.destination (
	destination_id integer PRIMARY KEY,	-- the id of its queue, "destination/NAME"
	name text NOT NULL UNIQUE,
	kind text NOT NULL CHECK (kind IN ('http', 'sns')),
	owner regrole NOT NULL,
	settings jsonb NOT NULL,
	paused boolean NOT NULL DEFAULT false,
	created_at timestamptz NOT NULL DEFAULT now(),
	changed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE saga.destination IS 'where outbox messages go; secrets are references to files or environment variables, never values';

-- Orders the messages of one ordering key; a clock could go back.
CREATE SEQUENCE saga.outbox_position;

CREATE TABLE saga.outbox (
	destination_id integer NOT NULL,
	outbox_id uuid NOT NULL,
	op "char" NOT NULL,					-- p publish, h http task, s sns task
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
	PRIMARY KEY (destination_id, outbox_id)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.2);
-- what a withdrawal looks for
CREATE INDEX outbox_execution ON saga.outbox (execution_id)
	WHERE state = 'waiting' AND execution_id IS NOT NULL;
-- the head of each ordering key
CREATE INDEX outbox_ordering ON saga.outbox (destination_id, ordering_key, position)
	WHERE state = 'waiting' AND ordering_key IS NOT NULL;
-- what still waits, counted by outbox_status and looked at before a destination is dropped
CREATE INDEX outbox_waiting ON saga.outbox (destination_id, created_at) WHERE state = 'waiting';
COMMENT ON TABLE saga.outbox IS 'outbox messages: the request, how often it was sent, the answer; when it may be sent is a row of the destination''s queue';

CREATE TABLE saga.outbox_attempt (
	destination_id integer NOT NULL,
	outbox_id uuid NOT NULL,
	attempt integer NOT NULL,
	started_at timestamptz NOT NULL,
	ended_at timestamptz NOT NULL,
	phase text NOT NULL DEFAULT 'send',	-- send, lookup, poll, else
	class text NOT NULL,
	status integer,
	error text,
	answer text,						-- its first characters
	key text,							-- as it was sent
	retry_after_ms bigint,				-- as the server asked
	publisher integer,					-- its process
	PRIMARY KEY (destination_id, outbox_id, started_at)
);
COMMENT ON TABLE saga.outbox_attempt IS 'requests of outbox messages but the one that delivered it, which is in saga.outbox';

-- A new publisher gives back at once what a dead one had in flight.
CREATE INDEX timer_outbox_lease ON saga.timer (lease) WHERE kind = 'o' AND lease IS NOT NULL;

SELECT pg_extension_config_dump('saga.destination', '');
SELECT pg_extension_config_dump('saga.outbox_position', '');
SELECT pg_extension_config_dump('saga.outbox', '');
SELECT pg_extension_config_dump('saga.outbox_attempt', '');

CREATE FUNCTION saga.destination_changed() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'saga_destination_changed';
CREATE TRIGGER destination_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON saga.destination
	FOR EACH STATEMENT EXECUTE FUNCTION saga.destination_changed();
COMMENT ON FUNCTION saga.destination_changed() IS 'makes every session forget what it knows of destinations';

CREATE FUNCTION saga.create_destination(name text, kind text, settings jsonb) RETURNS integer
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_create_destination';
COMMENT ON FUNCTION saga.create_destination(text, text, jsonb) IS 'makes a place that outbox messages can be sent to: http or sns';
CREATE FUNCTION saga.alter_destination(name text, settings jsonb) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_alter_destination';
COMMENT ON FUNCTION saga.alter_destination(text, jsonb) IS 'replaces the settings of a destination';
CREATE FUNCTION saga.set_destination_owner(name text, role regrole) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_set_destination_owner';
COMMENT ON FUNCTION saga.set_destination_owner(text, regrole) IS 'gives a destination to another role';
CREATE FUNCTION saga.pause_destination(name text) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_pause_destination';
COMMENT ON FUNCTION saga.pause_destination(text) IS 'messages wait, nothing more is sent';
CREATE FUNCTION saga.resume_destination(name text) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_resume_destination';
COMMENT ON FUNCTION saga.resume_destination(text) IS 'undoes saga.pause_destination';
CREATE FUNCTION saga.drop_destination(name text) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_drop_destination';
COMMENT ON FUNCTION saga.drop_destination(text) IS 'drops a destination for which nothing waits, with the record of what it was sent';

CREATE FUNCTION saga.publish_to(destination text, payload jsonb, ordering_key text DEFAULT NULL,
		headers jsonb DEFAULT NULL) RETURNS uuid
	LANGUAGE c AS 'MODULE_PATHNAME', 'saga_publish_to';
COMMENT ON FUNCTION saga.publish_to(text, jsonb, text, jsonb) IS 'transactional outbox: sends the payload when, and only when, this transaction commits';

-- No SET clause and not SECURITY DEFINER: either makes its commits fail.
CREATE PROCEDURE saga.publish()
	LANGUAGE c AS 'MODULE_PATHNAME', 'saga_publish';
COMMENT ON PROCEDURE saga.publish() IS 'sends, in this session, what is ready for the destinations of the caller';

CREATE VIEW saga.outbox_status WITH (security_barrier) AS
SELECT d.name AS destination, d.kind, d.paused,
	greatest(w.waiting - t.sending - t.retrying, 0) AS waiting, t.sending, t.retrying,
	f.delivered, f.failed, f.withdrawn, w.oldest_waiting,
	l.last_status, l.last_error, f.last_success_at
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
WHERE pg_catalog.pg_has_role(d.owner, 'MEMBER');
COMMENT ON VIEW saga.outbox_status IS 'your destinations: what waits, what was sent, the last answer';
