-- Which processes a coordinator starts, asks to leave and cancels (src/worker/pool.c, pool_worker.c), one turn at a time.
-- An owner is a number; a process that has no "busy" is idle; times are ms.  With batches of 100 ms, who is busy for more
-- than 200 ms overstays.
CREATE EXTENSION pg_saga_test;
SET search_path = saga_test, public;

-- ---------- an owner with something to do, and no worker ----------
SELECT pool_turn('{"ready": [10]}');
-- it is on its way: not one more
SELECT pool_turn('{"ready": [10], "pending": [10], "now": 50}');
-- it is there, and was woken
SELECT pool_turn('{"ready": [10], "procs": [{"pid": 1, "owner": 10}], "now": 6000}');
-- busy: one more, as there is room
SELECT pool_turn('{"ready": [10], "procs": [{"pid": 1, "owner": 10, "busy": 5}], "now": 6100}');
-- nobody is ready
SELECT pool_turn('{"procs": [{"pid": 1, "owner": 10, "busy": 5}], "now": 6200}');
\c -
SET search_path = saga_test, public;

-- ---------- no room ----------
-- somebody who is idle leaves, not who is busy
SELECT pool_turn('{"ready": [12], "procs": [{"pid": 1, "owner": 10, "busy": 5}, {"pid": 2, "owner": 11}]}');
-- he is about to: nobody else is asked
SELECT pool_turn('{"ready": [12], "procs": [{"pid": 1, "owner": 10, "busy": 5}, {"pid": 2, "owner": 11, "busy": 3, "leaving": true}]}');
-- all are busy: one of who has two
SELECT pool_turn('{"workers": 3, "ready": [12], "procs": [{"pid": 1, "owner": 10, "busy": 5}, {"pid": 2, "owner": 11, "busy": 5}, {"pid": 3, "owner": 11, "busy": 3}]}');
-- each has one: who has run longest, but not before he has had his turn
SELECT pool_turn('{"ready": [12], "procs": [{"pid": 1, "owner": 10, "busy": 5, "up": 3000}, {"pid": 2, "owner": 11, "busy": 5, "up": 5000}]}');
SELECT pool_turn('{"ready": [12], "procs": [{"pid": 1, "owner": 10, "busy": 5, "up": 300}, {"pid": 2, "owner": 11, "busy": 5, "up": 500}]}');
-- one more for an owner who has one takes nobody's place
SELECT pool_turn('{"ready": [10], "procs": [{"pid": 1, "owner": 10, "busy": 5}, {"pid": 2, "owner": 11, "busy": 5}]}');
-- pg_saga.workers is smaller now: idle ones first
SELECT pool_turn('{"workers": 1, "procs": [{"pid": 1, "owner": 10, "busy": 5}, {"pid": 2, "owner": 11}, {"pid": 3, "owner": 12}]}');
SELECT pool_turn('{"workers": 0, "ready": [10], "procs": [{"pid": 1, "owner": 10, "busy": 5}]}');

-- ---------- who overstays counts as absent ----------
-- an owner who has none gets one beside them, up to twice as many
SELECT pool_turn('{"ready": [12], "procs": [{"pid": 1, "owner": 10, "busy": 900}, {"pid": 2, "owner": 11, "busy": 5}]}');
\c -
SET search_path = saga_test, public;
SELECT pool_turn('{"ready": [14], "procs": [{"pid": 1, "owner": 10, "busy": 900}, {"pid": 2, "owner": 11, "busy": 900}, {"pid": 3, "owner": 12, "busy": 900}, {"pid": 4, "owner": 13, "busy": 900}]}');
-- the same owner, all of whose workers overstay, does not
SELECT pool_turn('{"ready": [10], "procs": [{"pid": 1, "owner": 10, "busy": 900}, {"pid": 2, "owner": 10, "busy": 900}]}');
-- they are back, and are too many
SELECT pool_turn('{"procs": [{"pid": 1, "owner": 10, "busy": 5}, {"pid": 2, "owner": 11, "busy": 5}, {"pid": 3, "owner": 12}]}');
-- too many, and as many of them overstay: who has overstayed longest goes when its step ends
SELECT pool_turn('{"procs": [{"pid": 1, "owner": 10, "busy": 900}, {"pid": 2, "owner": 11, "busy": 5}, {"pid": 3, "owner": 12, "busy": 700}]}');

-- ---------- pg_saga.step_timeout ----------
-- nobody waits: a step takes what it takes
SELECT pool_turn('{"step_timeout": 1000, "procs": [{"pid": 1, "owner": 10, "busy": 5000, "step": 5000}]}');
-- others do, and there is no room even so
SELECT pool_turn('{"workers": 1, "step_timeout": 1000, "ready": [12], "procs": [{"pid": 1, "owner": 10, "busy": 5000, "step": 5000}, {"pid": 2, "owner": 11, "busy": 600, "step": 600}]}');
-- it was cancelled, and has two seconds to end; then with its process
SELECT pool_turn('{"workers": 1, "step_timeout": 1000, "ready": [12], "procs": [{"pid": 1, "owner": 10, "busy": 5500, "step": 5500, "cancelled": 500}, {"pid": 2, "owner": 11, "busy": 5}]}');
SELECT pool_turn('{"workers": 1, "step_timeout": 1000, "ready": [12], "procs": [{"pid": 1, "owner": 10, "busy": 7500, "step": 7500, "cancelled": 2100}, {"pid": 2, "owner": 11, "busy": 5}]}');
-- its execution was stopped, and it goes on
SELECT pool_turn('{"procs": [{"pid": 1, "owner": 10, "busy": 5000, "step": 5000, "stopped": 100}]}');
SELECT pool_turn('{"procs": [{"pid": 1, "owner": 10, "busy": 5000, "step": 5000, "stopped": 2100}]}');
\c -
SET search_path = saga_test, public;

-- ---------- turns: who was served least lately comes first ----------
SELECT pool_turn('{"workers": 1, "ready": [10]}');
SELECT pool_turn('{"workers": 1, "ready": [10, 11], "now": 10000, "told": true}');
SELECT pool_turn('{"workers": 1, "ready": [10, 11, 12], "now": 20000, "told": true}');
SELECT pool_turn('{"workers": 1, "ready": [10, 11, 12], "now": 30000, "told": true}');
\c -
SET search_path = saga_test, public;

-- ---------- starts that fail ----------
SELECT pool_turn('{"ready": [10], "now": 0}');
-- it has ended at once: a pause, twice as long each time
SELECT pool_turn('{"ready": [10], "now": 100}');
SELECT pool_turn('{"ready": [10], "now": 299}');
SELECT pool_turn('{"ready": [10], "now": 300}');
SELECT pool_turn('{"ready": [10], "now": 400}');
-- another owner does not wait for it
SELECT pool_turn('{"ready": [10, 11], "now": 500}');
-- a right was changed: it is tried at once
SELECT pool_turn('{"ready": [10], "pending": [11], "now": 600, "roles": 1}');
-- somebody told it to end, which is no failure
\c -
SET search_path = saga_test, public;
SELECT pool_turn('{"ready": [10], "now": 0}');
SELECT pool_turn('{"ready": [10], "now": 100, "told": true}');
-- it lasted: neither is that
SELECT pool_turn('{"ready": [10], "now": 6000}');
\c -
SET search_path = saga_test, public;
-- an owner who can have no session
SELECT pool_turn('{"ready": [10, 11], "problems": {"10": "role does not exist"}}');
SELECT pool_turn('{"ready": [10], "problems": {"10": "role does not exist"}, "pending": [11], "now": 100}');
\c -
SET search_path = saga_test, public;
-- the server has no room for a process, which is said until it has, or nobody needs one
SELECT pool_turn('{"ready": [10], "full": true}');
SELECT pool_turn('{"ready": [10], "destinations": [11], "sources": true, "full": true, "now": 1000}');
SELECT pool_turn('{"destinations": [11], "full": true, "now": 2000}');
SELECT pool_turn('{"ready": [10], "now": 3000}');

-- ---------- publishers ----------
\c -
SET search_path = saga_test, public;
SELECT pool_turn('{"destinations": [10]}');
SELECT pool_turn('{"destinations": [10, 11], "pending": [0], "publishers": 2, "now": 10}');
SELECT pool_turn('{"destinations": [10, 11], "procs": [{"type": "publisher", "pid": 1}], "publishers": 2, "now": 20}');
SELECT pool_turn('{"destinations": [10, 11], "procs": [{"type": "publisher", "pid": 1, "busy": 1}], "publishers": 2, "now": 30}');
SELECT pool_turn('{"destinations": [10, 11], "procs": [{"type": "publisher", "pid": 1, "busy": 1}, {"type": "publisher", "pid": 2, "busy": 1}], "publishers": 1, "now": 6000}');
SELECT pool_turn('{"destinations": [10], "procs": [{"type": "publisher", "pid": 1, "busy": 1}], "publishers": 0, "now": 6100}');

-- ---------- sources ----------
SELECT pool_turn('{"now": 70000}');
SELECT pool_turn('{"sources": true, "now": 140000}');

-- ---------- there are to be none, and there is something to do ----------
\c -
SET search_path = saga_test, public;
SELECT pool_turn('{"workers": 0, "publishers": 0, "sources_off": true}');
SELECT pool_turn('{"workers": 0, "publishers": 0, "sources_off": true, "ready": [10], "destinations": [11], "now": 1000}');
SELECT pool_turn('{"workers": 0, "publishers": 0, "sources_off": true, "sources": true, "now": 140000}');
