-- Requests per time (src/limit/rate.c): exact in every window, not on the average.
CREATE EXTENSION pg_saga_test;

-- How many of the starts lie in the window that begins with one of them, at most.
CREATE FUNCTION pg_temp.most(limits jsonb, n int, window_ms int) RETURNS bigint LANGUAGE sql AS $$
	WITH starts AS MATERIALIZED (SELECT at FROM saga_test.rate_starts(limits, n) AS s(at))
	SELECT max(c) FROM (SELECT count(*) OVER (ORDER BY at RANGE BETWEEN CURRENT ROW AND window_ms - 1 FOLLOWING) AS c FROM starts) AS counts
$$;
CREATE FUNCTION pg_temp.takes(limits jsonb, n int) RETURNS text LANGUAGE sql AS $$
	SELECT round(max(at) / 1000) || ' s' FROM saga_test.rate_starts(limits, n) AS s(at)
$$;

-- ---------- no window has more, however late each of them starts ----------
SELECT n, pg_temp.most(jsonb_build_object('per_second', n), 5 * n + 20, 1000) <= n AS kept FROM unnest('{1,2,3,10,50,999}'::int[]) AS n;
SELECT n, pg_temp.most(jsonb_build_object('per_minute', n), 4 * n + 10, 60000) <= n AS kept FROM unnest('{1,7,30,100}'::int[]) AS n;
SELECT n, pg_temp.most(jsonb_build_object('per_hour', n), 3 * n + 10, 3600000) <= n AS kept FROM unnest('{1,60,500}'::int[]) AS n;
SELECT n, pg_temp.most(jsonb_build_object('per_day', n), 3 * n + 10, 86400000) <= n AS kept FROM unnest('{1,1000}'::int[]) AS n;
-- all of them at once
WITH l AS (SELECT '{"per_second": 5, "per_minute": 60, "per_hour": 600}'::jsonb AS limits)
SELECT pg_temp.most(limits, 1500, 1000) <= 5 AS second, pg_temp.most(limits, 1500, 60000) <= 60 AS minute,
	pg_temp.most(limits, 1500, 3600000) <= 600 AS hour FROM l;

-- ---------- and it is used: not much less than that ----------
SELECT pg_temp.takes('{"per_second": 10}', 100) AS ten_seconds, pg_temp.takes('{"per_minute": 60}', 121) AS two_minutes,
	pg_temp.takes('{"per_hour": 100}', 201) AS two_hours;

-- ---------- one ask after the other ----------
-- A distance, and so far ahead that the row is not written for each.
SELECT * FROM saga_test.rate('{"per_second": 20}', '[{"at": 0, "want": 10}, {"at": 10, "want": 10}, {"at": 60, "want": 10}, {"at": 2000, "want": 1}]');
-- What is granted and not used is not counted.
SELECT * FROM saga_test.rate('{"per_minute": 5}', '[{"at": 0, "want": 10, "use": 2}, {"at": 1000, "want": 10, "use": 3}, {"at": 2000, "want": 1}]');
-- "until" is when there is room: one of the five then, not before.
SELECT * FROM saga_test.rate('{"per_minute": 5}', '[{"at": 0, "want": 5}, {"at": 2000, "want": 1}, {"at": 62499, "want": 1}, {"at": 62500, "want": 9}]');

-- ---------- a clock that is set back ----------
-- By an hour: nobody waits an hour.
SELECT * FROM saga_test.rate('{"per_second": 2}', '[{"at": 3600000}, {"at": 0}, {"at": 100}, {"at": 600}]');
SELECT * FROM saga_test.rate('{"per_minute": 2}', '[{"at": 3600000, "want": 2}, {"at": 0, "want": 2}, {"at": 70000, "want": 2}]');
-- By a little: what was counted holds.
SELECT * FROM saga_test.rate('{"per_minute": 2}', '[{"at": 10000, "want": 2}, {"at": 9000, "want": 2}]');
-- Forward by a year: as if nothing had been sent.
SELECT * FROM saga_test.rate('{"per_minute": 2}', '[{"at": 0, "want": 2}, {"at": 2000000000, "want": 2}]');

-- ---------- none ----------
SELECT * FROM saga_test.rate('{}', '[{"at": 0, "want": 1000}]');
