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
