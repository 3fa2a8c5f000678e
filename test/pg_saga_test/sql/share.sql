-- How a publisher's requests are shared out (src/outbox/share.c): over owners first, then over the destinations of each.
CREATE EXTENSION pg_saga_test;

-- A destination has at most twice what its owner could have still, and an owner at most twice what is free: so both leave room.
SELECT * FROM saga_test.share('{"max": 90, "candidates": [{"owner": 1, "destination": 1}]}');
SELECT * FROM saga_test.share('{"max": 90, "candidates": [{"owner": 1, "destination": 1}, {"owner": 1, "destination": 2}]}');
-- Whoever has more destinations has more of them, and there is room for a third owner still.
SELECT owner, sum(places), count(*) FROM saga_test.share('{"max": 90, "candidates": [{"owner": 1, "destination": 1}, {"owner": 2, "destination": 2},
	{"owner": 2, "destination": 3}, {"owner": 2, "destination": 4}]}') GROUP BY owner ORDER BY owner;
-- In whatever order they have their turn.
SELECT owner, sum(places), count(*) FROM saga_test.share('{"max": 90, "last_served": 3, "candidates": [{"owner": 2, "destination": 1}, {"owner": 2, "destination": 2},
	{"owner": 2, "destination": 3}, {"owner": 1, "destination": 4}]}') GROUP BY owner ORDER BY owner;
-- However many hang, whoever comes new has some.
SELECT * FROM saga_test.share('{"max": 90, "flying": [{"owner": 1, "destination": 1, "n": 40}, {"owner": 1, "destination": 2, "n": 20}],
	"candidates": [{"owner": 1, "destination": 1}, {"owner": 2, "destination": 3}]}');
SELECT * FROM saga_test.share('{"max": 9, "flying": [{"owner": 1, "destination": 1, "n": 4}, {"owner": 2, "destination": 2, "n": 3}],
	"candidates": [{"owner": 1, "destination": 1}, {"owner": 2, "destination": 2}, {"owner": 3, "destination": 3}]}');
-- None is left, which is nobody's crowd.
SELECT * FROM saga_test.share('{"max": 4, "flying": [{"owner": 1, "destination": 1, "n": 4}], "candidates": [{"owner": 2, "destination": 2}]}');
-- In CALL saga.publish() all are the caller's.
SELECT * FROM saga_test.share('{"max": 9, "in_call": true, "candidates": [{"owner": 1, "destination": 1}, {"owner": 1, "destination": 2}]}');

-- ---------- never more than a destination's or a group's concurrency ----------
SELECT * FROM saga_test.share('{"max": 90, "candidates": [{"owner": 1, "destination": 1, "concurrency": 3}, {"owner": 1, "destination": 2, "concurrency": 50}]}');
SELECT * FROM saga_test.share('{"max": 90, "flying": [{"owner": 1, "destination": 1, "n": 2}], "candidates": [{"owner": 1, "destination": 1, "concurrency": 3}]}');
SELECT * FROM saga_test.share('{"max": 90, "candidates": [{"owner": 1, "destination": 1, "concurrency": 1, "group": "g"}, {"owner": 1, "destination": 2, "concurrency": 1, "group": "g"}]}');
-- Their turn goes round.
SELECT * FROM saga_test.share('{"max": 90, "last_served": 1, "candidates": [{"owner": 1, "destination": 1, "concurrency": 1, "group": "g"}, {"owner": 1, "destination": 2, "concurrency": 1, "group": "g"}]}');
-- The places are given back: nothing is left of them.
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid();

-- ---------- memory for long requests ----------
-- so many requests of a size, of a destination, one after the other
CREATE FUNCTION pg_temp.asks(owner int, destination int, bytes int, n int) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_agg(jsonb_build_object('owner', owner, 'destination', destination, 'bytes', bytes)) FROM generate_series(1, n)
$$;
CREATE FUNCTION pg_temp.memory(VARIADIC asks jsonb[]) RETURNS TABLE (owner int, destination int, had bigint, asked bigint) LANGUAGE sql AS $$
	SELECT owner, destination, sum(asked) FILTER (WHERE has), count(*)
		FROM saga_test.memory(jsonb_build_object('limit', 90, 'asks', (SELECT jsonb_agg(a) FROM unnest(asks) u, jsonb_array_elements(u) a)))
		GROUP BY owner, destination ORDER BY owner, destination
$$;

-- A destination that is alone has two thirds of what its owner may have, who has two thirds of all.
SELECT * FROM pg_temp.memory(pg_temp.asks(1, 1, 1, 90));
-- With others of the same owner: each leaves some to the next one.
SELECT * FROM pg_temp.memory(pg_temp.asks(1, 1, 1, 90), pg_temp.asks(1, 2, 1, 90), pg_temp.asks(1, 3, 1, 90), pg_temp.asks(1, 4, 1, 90));
-- Somebody else has room beside all of them.
SELECT * FROM pg_temp.memory(pg_temp.asks(1, 1, 1, 90), pg_temp.asks(1, 2, 1, 90), pg_temp.asks(1, 3, 1, 90), pg_temp.asks(2, 4, 1, 90), pg_temp.asks(3, 5, 1, 90));
-- However long: one of each of two destinations, of each owner.
SELECT * FROM saga_test.memory('{"limit": 90, "asks": [{"owner": 1, "destination": 1, "bytes": 89}, {"owner": 1, "destination": 1, "bytes": 89},
	{"owner": 1, "destination": 2, "bytes": 100}, {"owner": 1, "destination": 3, "bytes": 2}, {"owner": 1, "destination": 3, "bytes": 0},
	{"owner": 2, "destination": 4, "bytes": 1000}, {"owner": 2, "destination": 4, "bytes": 1}, {"owner": 2, "destination": 5, "bytes": 1}]}');
-- A short one is not counted, and is sent beside anything.
SELECT * FROM saga_test.memory('{"limit": 1, "asks": [{"bytes": 5}, {"bytes": 0}, {"bytes": 1}]}');
-- Of two destinations with large ones the second has its own, and then as much as is left.
SELECT * FROM pg_temp.memory(pg_temp.asks(1, 1, 16, 5), pg_temp.asks(1, 2, 16, 5), pg_temp.asks(1, 3, 16, 5), pg_temp.asks(1, 4, 4, 5));
