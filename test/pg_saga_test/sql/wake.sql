-- Places of processes in shared memory, and who is woken (src/queue/proc.c).  With batches of 100 ms, who is busy for more
-- than 200 ms overstays.
CREATE EXTENSION pg_saga_test;
SET search_path = saga_test, public;

-- ---------- places ----------
-- sessions take none of those that background processes have
SELECT wake('{"procs": [{"type": "receiver"}, {"type": "launcher"}, {"type": "drain"}, {"type": "coordinator"}, {"type": "receiver"}]}');
-- the first that is free is taken, and nobody looks behind the last one
SELECT wake('{"procs": [{"type": "receiver"}, {"type": "receiver"}, {"type": "receiver"}, {"type": "drain"}], "gone": [3, 1]}');
SELECT wake('{"procs": [{"type": "receiver"}, {"type": "receiver"}, {"type": "receiver"}, {"type": "drain"}], "gone": [2, 0], "come": {"type": "receiver"}}');
SELECT wake('{"procs": [{"type": "receiver"}, {"type": "receiver"}], "gone": [0, 1]}');
SELECT wake('{"procs": [{"type": "receiver"}, {"type": "receiver"}], "gone": [1, 0], "come": {"type": "drain"}}');
-- as many as there can be sessions
SELECT jsonb_array_length(w -> 'places') = (w ->> 'in_use_to')::int AS all_of_them
FROM wake((SELECT jsonb_build_object('procs', jsonb_agg('{"type": "receiver"}'::jsonb)) FROM generate_series(1, current_setting('max_connections')::int))) w;

-- ---------- who is woken ----------
-- one who receives from that queue, the first that sleeps
SELECT wake('{"kind": "q", "queue": 2, "procs": [{"type": "receiver", "queue": 1}, {"type": "receiver", "queue": 2, "awake": true}, {"type": "receiver", "queue": 2}, {"type": "receiver", "queue": 2}]}') -> 'woken' AS woken;
-- nobody has to see to it that somebody comes
SELECT wake('{"kind": "q", "queue": 2, "procs": [{"type": "launcher"}, {"type": "coordinator"}, {"type": "drain"}]}') -> 'woken' AS woken;
-- a worker of the owner; or the coordinator, or the launcher
SELECT wake('{"kind": "w", "owner": 10, "procs": [{"type": "launcher"}, {"type": "coordinator"}, {"type": "worker", "owner": 11}, {"type": "worker", "owner": 10}]}') -> 'woken' AS woken;
SELECT wake('{"kind": "w", "owner": 10, "procs": [{"type": "launcher"}, {"type": "coordinator"}, {"type": "worker", "owner": 11}]}') -> 'woken' AS woken;
SELECT wake('{"kind": "w", "owner": 10, "procs": [{"type": "launcher"}, {"type": "worker", "owner": 11}]}') -> 'woken' AS woken;
-- all of them are busy: the coordinator watches
SELECT wake('{"kind": "w", "owner": 10, "procs": [{"type": "coordinator"}, {"type": "worker", "owner": 10, "busy": 5}]}') -> 'woken' AS woken;
-- a publisher of anybody's, which looks again before it sleeps
SELECT wake('{"kind": "d", "owner": 10, "procs": [{"type": "coordinator"}, {"type": "publisher", "busy": 5}, {"type": "publisher"}]}') -> 'woken' AS woken;
SELECT wake('{"kind": "d", "owner": 10, "procs": [{"type": "coordinator"}, {"type": "publisher", "busy": 5}]}') -> 'woken' AS woken;
-- it has been in one turn for long: it counts as absent
SELECT wake('{"kind": "d", "owner": 10, "procs": [{"type": "coordinator"}, {"type": "publisher", "busy": 100000}]}') -> 'woken' AS woken;
SELECT wake('{"kind": "d", "owner": 10, "procs": [{"type": "coordinator"}, {"type": "publisher", "busy": 100000}, {"type": "publisher", "busy": 5}]}') -> 'woken' AS woken;
-- but there is to be no other
SELECT wake('{"kind": "d", "owner": 10, "publishers": 1, "procs": [{"type": "coordinator"}, {"type": "publisher", "busy": 100000}]}') -> 'woken' AS woken;
DROP EXTENSION pg_saga_test;
