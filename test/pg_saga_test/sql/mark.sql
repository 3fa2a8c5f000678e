-- The low-water mark (src/queue/mark.c, shmem.c) in shared memory of this session: see src/queue/README.md for the proof.
CREATE EXTENSION pg_saga_test;
SET search_path = saga_test, public;
SELECT mark_world();

-- ---------- a claim advances it to the last row that it saw ----------
BEGIN;
SELECT claim_begin(0, 1);
SELECT slot(1);
SELECT claim_end(0, 10);
SELECT slot(1);
COMMIT;
SELECT mark(1);
-- one that finds nothing leaves it, and the flag that it has taken stays clear
BEGIN;
SELECT claim_begin(0, 1);
SELECT claim_end(0, NULL);
COMMIT;
SELECT slot(1);
-- when it is rolled back its rows are to be had again
BEGIN;
SELECT claim_begin(0, 1);
SELECT claim_end(0, 20);
SELECT mark(1);
ROLLBACK;
SELECT slot(1);
-- one that never came to its end (its statement raised) frees its entry, and pushes
BEGIN;
SELECT claim_begin(0, 1);
ROLLBACK;
SELECT slot(1);

-- ---------- what is inserted counts from its commit on ----------
BEGIN;
SELECT claim_begin(0, 1);
SELECT claim_end(0, 30);
COMMIT;
SELECT clear_ready(1);
BEGIN;
SELECT note('inserted', 1, 12), note('inserted', 1, 11), note('inserted', 1, 13);
SELECT slot(1);
COMMIT;
SELECT slot(1);
-- an aborted one never was
BEGIN;
SELECT claim_begin(0, 1);
SELECT claim_end(0, 30);
COMMIT;
BEGIN;
SELECT note('inserted', 1, 5);
ROLLBACK;
SELECT mark(1);
-- what was left in its place is claimable after either end
BEGIN;
SELECT note('kept', 1, 25);
COMMIT;
SELECT mark(1);
BEGIN;
SELECT note('kept', 1, 24);
ROLLBACK;
SELECT mark(1);
-- what was locked only after an abort
BEGIN;
SELECT note('locked', 1, 20);
COMMIT;
SELECT mark(1);
BEGIN;
SELECT note('locked', 1, 20);
ROLLBACK;
SELECT mark(1);

-- ---------- a commit between a claim's statement and its end caps it ----------
SELECT mark_world();
BEGIN;
SELECT claim_begin(0, 1);
SELECT note('push', 1, 7);
SELECT claim_end(0, 10);
SELECT mark(1);
COMMIT;
-- without the caps message 7 is lost until the next sweep
SELECT mark_world(8, 1);
BEGIN;
SELECT claim_begin(0, 1);
SELECT note('push', 1, 7);
SELECT claim_end(0, 10);
SELECT mark(1);
COMMIT;
-- nor may an abort, or a row that was left in its place, be forgotten
SELECT mark_world(8, 2);
BEGIN;
SELECT claim_begin(0, 1);
SELECT claim_end(0, 10);
ROLLBACK;
SELECT mark(1);
SELECT mark_world(8, 4);
BEGIN;
SELECT claim_begin(0, 1);
SELECT claim_end(0, 10);
SELECT note('kept', 1, 5);
COMMIT;
SELECT mark(1);
-- two at a time: the later one's end does not undo the cap of the first
SELECT mark_world();
BEGIN;
SELECT claim_begin(0, 1), claim_begin(1, 1);
SELECT slot(1);
SELECT note('push', 1, 7);
SELECT claim_end(0, 10);
SELECT claim_begin(2, 1);
SELECT claim_end(1, 12), claim_end(2, 9);
SELECT slot(1);
COMMIT;

-- ---------- sixteen entries: the next claim starts at the mark, and advances nothing ----------
SELECT mark_world();
CREATE FUNCTION pg_temp.many(n int) RETURNS SETOF bigint LANGUAGE sql AS 'SELECT saga_test.claim_begin(0, 1) FROM generate_series(1, n)';
BEGIN;
SELECT max(m) FROM pg_temp.many(16) AS m;
SELECT slot(1);
SELECT claim_begin(1, 1);
SELECT claim_end(1, 99);
SELECT slot(1);
ROLLBACK;
SELECT slot(1);

-- ---------- savepoints ----------
SELECT mark_world();
BEGIN;
SELECT claim_begin(0, 1);
SELECT claim_end(0, 50);
COMMIT;
-- rolled back to: what was inserted is not pushed
BEGIN;
SAVEPOINT a;
SELECT note('inserted', 1, 10);
ROLLBACK TO a;
COMMIT;
SELECT mark(1);
-- released: at the end of the transaction
BEGIN;
SAVEPOINT a;
SELECT note('inserted', 1, 40);
RELEASE a;
SELECT mark(1);
COMMIT;
SELECT mark(1);
-- what was locked in it is to be had at once, and again at the end: a level above may have locked it before
BEGIN;
SELECT note('locked', 1, 30);
SAVEPOINT a;
SELECT note('locked', 1, 30);
ROLLBACK TO a;
SELECT mark(1);
SELECT claim_begin(0, 1);
SELECT claim_end(0, 60);
SELECT mark(1);
COMMIT;
SELECT mark(1);
-- a claim that began in it ends with it
BEGIN;
SAVEPOINT a;
SELECT claim_begin(0, 1);
ROLLBACK TO a;
SELECT slot(1)->'claims' AS claims;
COMMIT;

-- ---------- an old snapshot advances nothing ----------
SELECT mark_world();
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT claim_begin(0, 1);
SELECT claim_end(0, 10);
SELECT slot(1);
COMMIT;

-- ---------- prepared: whichever way it ends pushes, so that PREPARE itself pushes nothing ----------
SELECT mark_world();
BEGIN;
SELECT claim_begin(0, 1);
SELECT claim_end(0, 10);
COMMIT;
BEGIN;
SELECT note('inserted', 1, 5);
PREPARE TRANSACTION 'mark_test';
SELECT mark(1);
ROLLBACK PREPARED 'mark_test';

-- ---------- slots that are taken away ----------
SELECT mark_world(2);
SELECT make(1), make(2);
-- both are ready: the third one has none, and is counted
SELECT make(3), slot(3);
SELECT clear_ready(1);
SELECT make(3), slot(1), slot(3);
-- not while a claim is in it
SELECT clear_ready(2), clear_ready(3);
BEGIN;
SELECT claim_begin(0, 2), claim_begin(1, 3);
SELECT make(4);
SELECT claim_end(0, 10);
SELECT make(4);
SELECT claim_end(1, NULL);
SELECT make(4), slot(2)->'mark' AS of_2, slot(4)->'mark' AS of_4;
COMMIT;
-- a claim of a queue that was dropped in between frees no entry of the one that has its slot now
SELECT mark_world(1);
BEGIN;
SELECT claim_begin(0, 1);
SELECT forget(1);
SELECT make(2);
SELECT claim_begin(1, 2);
SELECT claim_end(0, 50);
SELECT slot(2);
ROLLBACK;
SELECT slot(2);
-- one is forgotten when its drop commits, and not when it is rolled back
SELECT clear_ready(2);
BEGIN;
SAVEPOINT a;
SELECT note('dropped', 2, 0);
ROLLBACK TO a;
COMMIT;
SELECT slot(2) IS NULL AS gone;
BEGIN;
SAVEPOINT a;
SELECT note('dropped', 2, 0);
RELEASE a;
SELECT slot(2) IS NULL AS gone;
COMMIT;
SELECT slot(2) IS NULL AS gone;
-- one that is read with saga.receive takes only the place of another such
SELECT mark_world(1);
SELECT make(1), clear_ready(1);
SELECT make(100);
SELECT mark_world(1);
SELECT make(100), make(101), slot(100) IS NULL AS gone;
