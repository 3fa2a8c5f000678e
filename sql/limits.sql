-- Limits of destinations in one session: rates, groups, breaker, credentials, pauses, and the view
-- of them. Nobody listens on port 1.
SET timezone = 'UTC';
\set VERBOSITY terse

CREATE FUNCTION pg_temp.make(name text, settings jsonb) RETURNS boolean LANGUAGE sql AS $$
	SELECT saga.create_destination(name, 'http', '{"url": "http://127.0.0.1:1/", "allow_private": true, "max_attempts": 1}' || settings) > 0
$$;
CREATE FUNCTION pg_temp.publish(name text, n integer) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(saga.publish_to(name, to_jsonb(i))) FROM generate_series(1, n) i
$$;
CREATE VIEW pg_temp.messages AS
SELECT d.name, o.state, o.attempts, count(*) FROM saga.outbox o JOIN saga.destination d USING (destination_id)
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- ---------- a rate ----------
SELECT pg_temp.make('minutely', '{"limits": {"per_minute": 2, "breaker": false}}');
SELECT pg_temp.publish('minutely', 3);
CALL saga.publish();
SELECT * FROM pg_temp.messages;
SELECT name, state, reason, breaker, limits, started_last_minute, started_last_hour, in_flight, waiting, retrying,
	oldest_waiting < now() AS old, last_success_at, last_error LIKE 'States.Http.Socket: Failed to connect%' AS failed
FROM saga.destinations;
-- it is what it was, whoever asks
CALL saga.publish();
SELECT * FROM pg_temp.messages;
SELECT saga.alter_destination('minutely', settings || '{"limits": {"per_minute": 3, "per_hour": 10, "per_day": 3, "per_second": 1000, "breaker": false}}')
FROM saga.destination;
CALL saga.publish();
SELECT * FROM pg_temp.messages;
SELECT started_last_minute, started_last_hour, started_last_day, waiting FROM saga.destinations;
-- nothing is counted that is not limited
SELECT saga.alter_destination('minutely', settings || '{"limits": {"per_day": 3, "breaker": false}}') FROM saga.destination;
SELECT pg_temp.publish('minutely', 3);
CALL saga.publish();
SELECT started_last_minute, started_last_hour, started_last_day, waiting FROM saga.destinations;

-- ---------- a group ----------
SELECT pg_temp.make('left', '{"limits": {"group": "tenant", "per_hour": 3, "breaker": false}}'),
	pg_temp.make('right', '{"limits": {"group": "tenant", "per_hour": 3, "breaker": false}}');
SELECT pg_temp.publish('left', 1);
CALL saga.publish();
SELECT pg_temp.publish('left', 2), pg_temp.publish('right', 2);
CALL saga.publish();
SELECT state, sum(count) FROM pg_temp.messages WHERE name IN ('left', 'right') GROUP BY state ORDER BY state;
SELECT name, limit_group, started_last_hour FROM saga.destinations WHERE name IN ('left', 'right') ORDER BY name;
-- of another owner: another group
CREATE ROLE limits_other;
GRANT SELECT ON saga.destinations TO limits_other;
GRANT USAGE ON SCHEMA saga TO limits_other;
SELECT saga.set_destination_owner('right', 'limits_other');
SELECT name, started_last_hour FROM saga.destinations WHERE name IN ('left', 'right') ORDER BY name;
SET ROLE limits_other;
SELECT name, owner, limit_group FROM saga.destinations;
SELECT count(*) FROM saga.destination_state;
RESET ROLE;

-- ---------- the breaker ----------
SELECT pg_temp.make('sick', '{"limits": {"concurrency": 1, "breaker": {"min_requests": 3, "open_s": 3600}}}');
SELECT pg_temp.publish('sick', 6);
CALL saga.publish();
SELECT * FROM pg_temp.messages WHERE name = 'sick';
SELECT state, reason, breaker, hold_until > now() + interval '59 minutes' AS held, in_flight, waiting FROM saga.destinations WHERE name = 'sick';
CALL saga.publish();
SELECT * FROM pg_temp.messages WHERE name = 'sick';
-- its time is over: one is tried
UPDATE saga.destination_state SET breaker_until = now() WHERE breaker = 'open';
CALL saga.publish();
SELECT * FROM pg_temp.messages WHERE name = 'sick';
SELECT state, breaker FROM saga.destinations WHERE name = 'sick';
-- closed by hand
SELECT saga.resume_destination('sick');
SELECT state, reason, breaker, hold_until FROM saga.destinations WHERE name = 'sick';
CALL saga.publish();
SELECT * FROM pg_temp.messages WHERE name = 'sick';

-- ---------- credentials ----------
SELECT pg_temp.make('locked', '{"headers": {"X-Api-Key": "{secret:env:NO_SUCH_VARIABLE}"}, "limits": {"concurrency": 1}}');
SELECT pg_temp.publish('locked', 3);
CALL saga.publish();
SELECT state, reason, breaker, last_error LIKE '%NO_SUCH_VARIABLE%' AS told FROM saga.destinations WHERE name = 'locked';
SELECT state, attempts, count FROM pg_temp.messages WHERE name = 'locked' AND attempts = 0;

-- ---------- a pause ----------
SELECT saga.pause_destination('locked');
SELECT state, reason, paused FROM saga.destinations WHERE name = 'locked';
SELECT saga.resume_destination('locked');
SELECT state, reason, paused FROM saga.destinations WHERE name = 'locked';
UPDATE saga.destination_state s SET pause_until = now() + interval '1 hour' FROM saga.destination d
 WHERE d.limit_key = s.limit_key AND d.name = 'locked';
CALL saga.publish();
SELECT state, reason, hold_until > now() AS held FROM saga.destinations WHERE name = 'locked';
SELECT state, attempts, count FROM pg_temp.messages WHERE name = 'locked' AND attempts = 0;

-- ---------- what is left ----------
DELETE FROM saga.outbox;
SELECT saga.drop_destination(format('%s.%I', owner, name)) FROM saga.destination;
SELECT count(*) FROM saga.destination_state;
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid();
SET pg_saga.keep_owners = off;
DROP OWNED BY limits_other;
DROP ROLE limits_other;
