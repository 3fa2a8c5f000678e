-- Caches of rows (src/common/table_cache.c): when a row is read, and when what was read is freed.
CREATE EXTENSION pg_saga_test;
SET search_path = saga_test, public;
INSERT INTO thing VALUES (1), (2), (3), (1001), (2001);

-- ---------- a row is read once, until the table has changed ----------
SELECT cache_get('pinnable', 1), cache_get('pinnable', 2), cache_get('pinnable', 1) AS again, cache_state();
SELECT cache_change();
SELECT cache_get('pinnable', 1), cache_state();

-- a dropped value stays until the end of the transaction
BEGIN;
SELECT cache_get('pinnable', 1), cache_state();
SELECT cache_change();
SELECT cache_get('pinnable', 1), cache_state();
SAVEPOINT s;
SELECT cache_change();
SELECT cache_get('pinnable', 1), cache_state();
ROLLBACK TO s;
SELECT cache_get('pinnable', 1) AS "as the change was undone", cache_state();
COMMIT;
SELECT cache_state();

-- ---------- a pinned one stays until it is unpinned ----------
SELECT cache_pin(2), cache_pin(2);
SELECT cache_change();
SELECT cache_get('pinnable', 2), cache_state();
SELECT cache_state();
SELECT cache_unpin();
SELECT cache_state();
SELECT cache_unpin();
SELECT cache_state();
-- unpinned where it was dropped, and where it was not
BEGIN;
SELECT cache_pin(2);
SELECT cache_change();
SELECT cache_get('pinnable', 2), cache_unpin(), cache_state();
ROLLBACK;
SELECT cache_state();
SELECT cache_pin(2), cache_unpin(), cache_state();

-- ---------- what is not there ----------
SELECT cache_get('pinnable', 5), cache_knows('pinnable', 5), cache_state();
-- is kept where the cache says so, as far as there is room
SELECT cache_get('small', 5), cache_get('small', 6), cache_get('small', 7), cache_state();
SELECT cache_knows('small', 5), cache_knows('small', 6), cache_knows('small', 7), cache_get('small', 3), cache_knows('small', 3);
SELECT cache_change();
SELECT cache_knows('small', 5), cache_get('small', 7), cache_knows('small', 7), cache_get('small', 1), cache_state();

-- asked for again: as it is now, though nothing has told that it has changed
INSERT INTO thing VALUES (7);
SELECT cache_get('small', 7) AS missing, cache_load(7) IS NOT NULL AS found, cache_get('small', 7) IS NOT NULL AS known;
-- and there is room again for another
SELECT cache_get('small', 5), cache_get('small', 6), cache_get('small', 8), cache_knows('small', 5), cache_knows('small', 6), cache_knows('small', 8);
-- by the other key, always what was read last
SELECT cache_get('small', 2) = cache_get('small', -2) AS same, cache_get('small', 2) = cache_load(2) AS older, cache_get('small', 2) = cache_get('small', -2) AS same;

-- ---------- while it is read the table changes ----------
SELECT cache_get('pinnable', 1001) IS NOT NULL AS got, cache_knows('pinnable', 1001);
SELECT cache_get('small', 1001) IS NOT NULL AS got, cache_knows('small', 1001), cache_state();
-- or it cannot be read
SELECT cache_get('pinnable', 2001);
SELECT cache_get('pinnable', 2), cache_state();

-- ---------- of an old snapshot nothing is kept ----------
SELECT current_database() AS db \gset
\setenv DB :db
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM thing;
\! psql -X -q -d "$DB" -c "INSERT INTO saga_test.thing VALUES (4)"
SELECT count(*) AS "as before", cache_get('pinnable', 4) IS NOT NULL AS got FROM thing;
COMMIT;

-- ---------- one whose values outlive the transaction ----------
\c
SET search_path = saga_test, public;
SELECT cache_get('outliving', 1), cache_get('outliving', 2), cache_state();
SELECT cache_change();
SELECT cache_get('outliving', 1), cache_state();
SELECT cache_state();
SELECT cache_free(false);
SELECT cache_state();
SELECT cache_change();
SELECT cache_get('outliving', 2), cache_get('outliving', 3), cache_state();
SELECT cache_free(false);
SELECT cache_state();
\c
SET search_path = saga_test, public;
SELECT cache_get('outliving', 1), cache_get('outliving', 2), cache_get('outliving', 3), cache_state();
SELECT cache_free(true);
SELECT cache_knows('outliving', 1), cache_knows('outliving', 2), cache_knows('outliving', 3), cache_state();

-- ---------- made again, the table is another one ----------
SELECT cache_get('pinnable', 1), cache_knows('pinnable', 1);
ALTER EXTENSION pg_saga_test DROP TABLE thing;
DROP TABLE thing;
CREATE TABLE thing AS SELECT 1 AS id;
SELECT cache_knows('pinnable', 1), cache_get('pinnable', 1), cache_knows('pinnable', 1);
SELECT cache_change();
SELECT cache_knows('pinnable', 1);
