-- Pauses and breakers (src/limit/hold.c), and how many requests at once there are after an outage (limit.c).
CREATE EXTENSION pg_saga_test;

-- ---------- the breaker ----------
-- Not before min_requests, then at the share; one probe when its time is over, and closed again when that passes.
SELECT * FROM saga_test.hold('{"window_s": 60, "min_requests": 4, "share": 0.5, "open_s": 30}',
	'[{"at": 0, "failures": 3}, {"at": 1000, "successes": 2}, {"at": 2000, "failures": 1}, {"at": 31999},
	  {"at": 32000}, {"at": 33000, "probe": "passed"}, {"at": 34000, "failures": 1}]');
-- What was counted before the window does not count.
SELECT * FROM saga_test.hold('{"window_s": 60, "min_requests": 4, "share": 0.5, "open_s": 30}',
	'[{"at": 0, "failures": 3}, {"at": 61000, "failures": 3}, {"at": 62000, "failures": 1}]');
-- A probe that fails opens it for as long again.
SELECT * FROM saga_test.hold('{"window_s": 60, "min_requests": 1, "share": 0.1, "open_s": 30}',
	'[{"at": 0, "failures": 1}, {"at": 30000}, {"at": 31000, "failures": 1, "probe": "failed"}, {"at": 61000}]');
-- While one is under way nobody else sends; when it is void, or its process is gone, another one may.
SELECT * FROM saga_test.hold('{"window_s": 60, "min_requests": 1, "share": 0.1, "open_s": 30}',
	'[{"at": 0, "failures": 1}, {"at": 30000}, {"at": 31000}, {"at": 32000, "probe": "void"}, {"at": 33000}, {"at": 34000, "dead": true},
	  {"at": 34001}, {"at": 64002}]');
-- The result of a probe from before a person said "resume" decides nothing.
SELECT * FROM saga_test.hold('{"window_s": 60, "min_requests": 9, "share": 0.9, "open_s": 30}',
	'[{"at": 0, "failures": 9}, {"at": 30000}, {"at": 31000, "resume": true}, {"at": 32000, "failures": 1, "probe": "failed"}]');
-- Without a breaker failures open none.
SELECT * FROM saga_test.hold('{}', '[{"at": 0, "failures": 1000}]');

-- ---------- refused credentials: also without a breaker, twice as long each time ----------
SELECT * FROM saga_test.hold('{}', '[{"at": 0, "auth": true}, {"at": 1000}, {"at": 1500, "auth": true, "probe": "failed"}, {"at": 3500},
	{"at": 4000, "auth": true, "probe": "failed"}, {"at": 8000}, {"at": 8100, "probe": "passed"}]');
-- Up to five minutes.
SELECT max(held_until - at) FROM saga_test.hold('{}', (SELECT jsonb_agg(s ORDER BY n, m) FROM generate_series(1, 20) AS n,
	LATERAL (VALUES (1, jsonb_build_object('at', n * 1000000, 'auth', true, 'probe', 'failed')), (2, jsonb_build_object('at', n * 1000000 + 900000))) AS v(m, s)));
-- A probe that fails otherwise: a second, as nobody asked for a breaker.
SELECT * FROM saga_test.hold('{}', '[{"at": 0, "auth": true}, {"at": 1000}, {"at": 1500, "failures": 1, "probe": "failed"}]');

-- ---------- pauses that the server asks for ----------
SELECT * FROM saga_test.hold('{}', '[{"at": 0, "pause_ms": 5000}, {"at": 1000, "pause_ms": 1000}, {"at": 2000, "pause_ms": 60000}, {"at": 61999}, {"at": 62000}]');

-- ---------- a clock that was set back: no hold lasts longer than it was meant to ----------
SELECT * FROM saga_test.hold('{"window_s": 60, "min_requests": 1, "share": 0.1, "open_s": 30}',
	'[{"at": 100000, "failures": 1, "pause_ms": 5000}, {"at": 0}, {"at": 5000}, {"at": 30000}]');

-- ---------- places ----------
SELECT saga_test.places('{"concurrency": 10}', '[0, 1000]');
SELECT saga_test.places('{"concurrency": 10, "slow_start_s": 9}', '[0, 999, 1000, 5000, 8999, 9000, 100000]');
-- a clock that was set back to before the outage
SELECT saga_test.places('{"concurrency": 10, "slow_start_s": 9}', '[-5000]');
SELECT saga_test.places('{"concurrency": 1, "slow_start_s": 9}', '[0, 5000, 9000]');
