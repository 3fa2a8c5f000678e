-- An execution is found by its id in a few looks, however many workflows there are: anybody may make many.
SELECT count(saga.create_workflow('w' || i, '{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}'))
	FROM generate_series(1, 400) i;
SELECT saga.start_execution('w7', '{"n": 7}') AS begun \gset
SELECT saga.start_execution('w8', '{"n": 8}') AS later \gset
-- as a batch in trouble leaves it
WITH late AS (DELETE FROM saga.message WHERE message_id = :'later' RETURNING *)
	INSERT INTO saga.timer (queue_id, message_id, wake_at, sent_at, version, kind, body, headers)
	SELECT queue_id, message_id, 'infinity', sent_at, version, kind, body, headers FROM late;
ANALYZE saga.message, saga.timer, saga.workflow;

-- looks into the indexes of the two tables, in this transaction
CREATE FUNCTION pg_temp.looks() RETURNS bigint LANGUAGE sql AS $$
	SELECT sum(pg_stat_get_xact_numscans(indexrelid)) FROM pg_index
		WHERE indrelid IN ('saga.message'::regclass, 'saga.timer'::regclass)
$$;
CREATE FUNCTION pg_temp.few_looks(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	before bigint := pg_temp.looks();
	said text;
BEGIN
	BEGIN
		EXECUTE statement INTO said;
	EXCEPTION WHEN OTHERS THEN
		said := regexp_replace(SQLERRM, '[0-9a-f-]{36}', 'ID');
	END;
	RETURN format('%s, %s looks', said, CASE WHEN pg_temp.looks() - before < 30 THEN 'few' ELSE pg_temp.looks() - before || '' END);
END $$;

SELECT pg_temp.few_looks(format('SELECT workflow FROM saga.executions WHERE execution_id = %L', :'begun'));
SELECT pg_temp.few_looks(format('SELECT workflow FROM saga.executions WHERE execution_id = %L', :'later'));
SELECT pg_temp.few_looks('SELECT count(*) FROM saga.executions WHERE execution_id = saga.make_id()');
SELECT pg_temp.few_looks('SELECT saga.stop_execution(saga.make_id())');
SELECT pg_temp.few_looks(format('SELECT saga.replace_execution(saga.make_id(), %L)', :'begun'));
-- ids that were made here may be those of starts that nobody else can see yet
SELECT pg_temp.few_looks(format('SELECT saga.start_execution(''w9'', ''{}'', NULL::text, %L::uuid)', :'begun'));
SELECT pg_temp.few_looks(format('SELECT saga.start_execution(''w9'', ''{}'', NULL::text, %L::uuid)', :'later'));
SELECT pg_temp.few_looks(format('SELECT saga.stop_execution(%L)', :'begun'));
SELECT pg_temp.few_looks(format('SELECT saga.stop_execution(%L)', :'later'));
SELECT workflow, status, input FROM saga.executions ORDER BY workflow;
