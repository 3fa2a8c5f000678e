\echo Use "ALTER EXTENSION pg_saga UPDATE" to load this file. \quit
-- From 0.1 to 0.2. Each part has what the module of that name changed.

-- ---------- common ----------

-- ---------- name ----------

-- ---------- asl ----------

-- ---------- mapping ----------

-- ---------- queue ----------

-- ---------- secret ----------
-- a member that does not inherit has no part in what the role owns
CREATE OR REPLACE VIEW saga.secrets WITH (security_barrier) AS
SELECT s.name, s.owner, s.created_at, s.changed_at
FROM saga.secret s
WHERE pg_catalog.pg_has_role(s.owner, 'USAGE');

-- ---------- outbox ----------
-- a member that does not inherit has no part in what the role owns
CREATE OR REPLACE VIEW saga.outbox_status WITH (security_barrier) AS
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
WHERE pg_catalog.pg_has_role(d.owner, 'USAGE');
CREATE OR REPLACE VIEW saga.destinations WITH (security_barrier) AS
SELECT d.name, d.kind, d.owner,
	CASE WHEN d.paused THEN 'paused'
		WHEN s.pause_until > now() OR s.breaker <> 'closed' THEN 'held'
		ELSE 'open' END AS state,
	CASE WHEN d.paused THEN 'saga.pause_destination'
		WHEN s.pause_until > now() THEN 'the server asked for a pause'
		WHEN s.breaker <> 'closed' AND s.breaker_reason = 'auth' THEN 'credentials were refused'
		WHEN s.breaker <> 'closed' THEN 'too many requests failed' END AS reason,
	d.paused, coalesce(s.breaker, 'closed') AS breaker,
	CASE WHEN s.pause_until > now() OR s.breaker <> 'closed'
		THEN greatest(CASE WHEN s.pause_until > now() THEN s.pause_until END, s.breaker_until) END AS hold_until,
	d.settings #>> '{limits,group}' AS limit_group,
	d.settings -> 'limits' AS limits,
	-- null: no limit of this kind, so nothing is counted
	r.minute AS started_last_minute, r.hour AS started_last_hour, r.day AS started_last_day,
	t.in_flight, greatest(w.waiting - t.in_flight - t.retrying, 0) AS waiting, t.retrying, w.oldest_waiting,
	s.last_success_at, s.last_error, s.last_error_at,
	d.settings, d.created_at, d.changed_at
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
WHERE pg_catalog.pg_has_role(d.owner, 'USAGE');

-- ---------- engine ----------

-- ---------- source ----------
-- a member that does not inherit has no part in what the role owns
CREATE OR REPLACE VIEW saga.sources WITH (security_barrier) AS
SELECT s.name, s.kind, s.owner, s.queue, s.settings ->> 'queue_url' AS queue_url,
	CASE WHEN s.paused THEN 'paused' ELSE coalesce(t.state, 'starting') END AS state,
	t.received, t.inserted, t.duplicates, t.dead, t.last_received_at, t.last_error, t.last_error_at
FROM saga.source s LEFT JOIN saga.source_status t USING (source_id)
WHERE pg_catalog.pg_has_role(s.owner, 'USAGE');

-- ---------- worker ----------

-- ---------- doctor ----------

-- ---------- grants ----------
-- Last: nothing for PUBLIC. It also tells every process that the extension has changed (stmt.c).
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA saga FROM PUBLIC;
REVOKE ALL ON ALL PROCEDURES IN SCHEMA saga FROM PUBLIC;
REVOKE ALL ON SCHEMA saga FROM PUBLIC;
