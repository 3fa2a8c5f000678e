-- What is true of pauses and breakers (src/limit/hold.c), whatever happens in whatever order: all sequences of four things that
-- may happen, ten seconds apart.  What breaks a rule is shown.
CREATE EXTENSION pg_saga_test;

CREATE TEMP TABLE thing (name text, step jsonb);
INSERT INTO thing VALUES
	('nothing', '{}'),
	('good', '{"successes": 5}'),
	('bad', '{"failures": 5}'),
	('passed', '{"probe": "passed", "successes": 1}'),
	('failed', '{"probe": "failed", "failures": 1}'),
	('void', '{"probe": "void"}'),
	('gone', '{"dead": true}'),
	('refused', '{"auth": true}'),
	('pause', '{"pause_ms": 15000}'),
	('resumed', '{"resume": true}');
CREATE TEMP TABLE step AS
	SELECT kind, names, h.*, things[h.n] AS thing, lag(h.breaker) OVER w AS breaker_before, lag(h.probe) OVER w AS probe_before, lag(h.at) OVER w AS at_before,
		-- how long the pause lasts that was asked for last
		max(h.at + 15000) FILTER (WHERE things[h.n] = 'pause') OVER w AS paused_until
	FROM (SELECT kind, limits, concat_ws(', ', a.name, b.name, c.name, d.name) AS names, ARRAY[a.name, b.name, c.name, d.name] AS things,
			jsonb_build_array(a.step::jsonb || '{"at": 0}', b.step || '{"at": 10000}', c.step || '{"at": 20000}', d.step || '{"at": 30000}') AS steps
		FROM thing a, thing b, thing c, thing d, (VALUES
			('breaker', '{"window_s": 60, "min_requests": 4, "share": 0.5, "open_s": 20}'::jsonb),
			('none', '{}')) l(kind, limits)) s,
		LATERAL (SELECT row_number() OVER (ORDER BY x.at) AS n, x.* FROM saga_test.hold(limits, steps) x) h
	WINDOW w AS (PARTITION BY kind, names ORDER BY h.n);
SELECT kind, count(*) FROM step GROUP BY kind ORDER BY kind;
SELECT kind, breaker, reason, probe, count(*) > 0 AS seen FROM step GROUP BY kind, breaker, reason, probe ORDER BY kind, breaker, reason, probe;

-- Whoever may probe is held by nothing, and there is something to find out.
SELECT kind, names, n FROM step WHERE probe AND (held_until IS NOT NULL OR breaker = 'closed') LIMIT 5;
-- Nobody else does, as long as that one is under way: until its result, its process's end, or its time.
SELECT kind, names, n FROM step WHERE probe AND probe_before AND thing NOT IN ('passed', 'failed', 'void', 'gone', 'resumed') AND at < at_before + 30000 LIMIT 5;
-- What is not closed holds, or is probed.
SELECT kind, names, n, breaker FROM step WHERE breaker <> 'closed' AND NOT probe AND held_until IS NULL LIMIT 5;
-- A hold has an end that is to come: not later than what asked for it, refused credentials five minutes at most.
SELECT kind, names, n, at, held_until FROM step WHERE held_until <= at OR held_until > at + 300000 LIMIT 5;
SELECT kind, names, n, at, held_until FROM step WHERE held_until > at + greatest(30000, 15000) AND reason IS DISTINCT FROM 'auth' LIMIT 5;
-- It opens for failures, refused credentials or a probe that failed, and for nothing else.
SELECT kind, names, n, breaker_before, breaker FROM step WHERE coalesce(breaker_before, 'closed') = 'closed' AND breaker <> 'closed' AND thing NOT IN ('bad', 'failed', 'refused') LIMIT 5;
-- Without a breaker only refused credentials open it.
SELECT names, n FROM step WHERE kind = 'none' AND breaker <> 'closed' AND names !~ 'refused' LIMIT 5;
-- It closes for a probe that passed, or because a person says so.
SELECT kind, names, n, breaker_before, breaker FROM step WHERE breaker_before <> 'closed' AND breaker = 'closed' AND thing NOT IN ('passed', 'resumed') LIMIT 5;
-- That person is right, whatever was before; a pause that the server has asked for stays.
SELECT kind, names, n, breaker, held_until FROM step WHERE thing = 'resumed' AND (breaker <> 'closed' OR held_until IS NOT NULL AND names !~ 'pause.*resumed' OR probe) LIMIT 5;
-- Closed it is held by a pause alone, and by that until its end.
SELECT kind, names, n, at, held_until, paused_until FROM step WHERE breaker = 'closed' AND held_until IS DISTINCT FROM CASE WHEN paused_until > at THEN paused_until END LIMIT 5;
SELECT kind, names, n, at, held_until FROM step WHERE thing = 'pause' AND NOT coalesce(held_until >= at + 15000, false) LIMIT 5;
-- A slow start is there after an outage that ended well, and only then.
SELECT kind, names, n, slow_from FROM step WHERE slow_from IS NOT NULL AND names !~ 'passed|resumed|pause' LIMIT 5;
