-- A batch of invoices in which some are refused: all refused, left out, or made dead letters.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE FUNCTION doc(number text, change jsonb DEFAULT '{}') RETURNS json LANGUAGE sql AS
	$$SELECT (jsonb_build_object('number', number, 'seller', '{"name": "Batch"}'::jsonb) || change)::json$$;
-- ids are new each time
CREATE FUNCTION said(text) RETURNS text LANGUAGE sql AS $$SELECT regexp_replace($1, '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', '(id)', 'g')$$;
CREATE TEMP TABLE batch AS SELECT json_build_array(doc('B-9'), doc('B-1', '{"note": "other"}'), '7'::json, doc('B-2'), doc(' '), doc('B-2'),
	doc('B-2', '{"note": "again"}'), NULL) AS documents;
SELECT invoice_submit(doc('B-1')) IS NOT NULL AS first;

SELECT * FROM invoice_submit_batch('[]', NULL);
SELECT * FROM invoice_submit_batch('[]', 'Skip');
SELECT * FROM invoice_submit_batch('{}', 'skip');
SELECT * FROM invoice_submit_batch(NULL, 'skip');
SELECT * FROM invoice_submit_batch('[]', 'skip');
-- what is no invoice by itself is told first
SELECT * FROM invoice_submit_batch((SELECT documents FROM batch), 'refuse');
SELECT count(*) FROM invoice_submission;
-- not what else may go wrong: that is no document's fault
BEGIN;
CREATE FUNCTION pg_temp.full_disk() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE disk_full USING MESSAGE = 'no room'; END$$;
CREATE TRIGGER full_disk BEFORE INSERT ON invoice_submission FOR EACH ROW WHEN (new.number = 'B-2') EXECUTE FUNCTION pg_temp.full_disk();
SELECT * FROM invoice_submit_batch((SELECT documents FROM batch), 'skip');
ROLLBACK;

SELECT b.index, b.tracking_id IS NOT NULL AS accepted, said(b.error) AS error FROM batch, invoice_submit_batch(documents, 'skip') b;
SELECT number, document->>'note' AS note FROM invoice_submission ORDER BY 1;
SELECT count(*) FROM invoice_dlq;

-- the same, with dead letters; what is accepted is known already
SELECT b.index, s.number, said(b.error) AS error
  FROM batch, invoice_submit_batch(documents, 'dead_letter') b LEFT JOIN invoice_submission s USING (tracking_id) ORDER BY 1;
CALL saga.drain('invoice-inbox');
SELECT tracking_id, reason, said(cause) AS cause, document, source_message_id ~ '^[0-9a-f-]{36}$' AS has_id
  FROM invoice_dlq WHERE tracking_id IS NULL ORDER BY document::text COLLATE "C";
-- mended by what came later: the other B-1 is dead
SELECT invoice_cancel(tracking_id) FROM invoice_submission WHERE number = 'B-1';
CALL saga.drain('invoice');
SELECT saga.redrive(dead_letter_id) IS NOT NULL AS redriven FROM saga.dead_letters WHERE body->>'body' LIKE '%B-1%' AND queue = 'invoice-inbox';
CALL saga.drain('invoice-inbox');
SELECT number, document->>'note' AS note, superseded_at IS NOT NULL AS superseded FROM invoice_submission WHERE number = 'B-1' ORDER BY submitted_at;
SELECT count(*) FROM invoice_tracking WHERE number = 'B-1' AND source_message_id IS NOT NULL;

-- one that is larger than what a step may return
SELECT invoice_submit(doc('B-11')) IS NOT NULL AS first;
SELECT said(error) AS error FROM invoice_submit_batch(json_build_array(doc('B-11', jsonb_build_object('note', repeat('x', 900000)))), 'dead_letter');
CALL saga.drain('invoice-inbox');
SELECT reason, length(document::text) > 900000 AS whole FROM invoice_dlq WHERE document::text LIKE '%xxxxxxxxxx%';

-- who submits needs EXECUTE on one function
CREATE ROLE regress_invoice_batch;
GRANT EXECUTE ON FUNCTION invoice_submit_batch(json) TO regress_invoice_batch;
SET SESSION AUTHORIZATION regress_invoice_batch;
SELECT count(*) FROM invoice_submit_batch(json_build_array(json_build_object('number', 'B-10', 'seller', '{"name": "Batch"}'::json)));
SELECT count(*) FROM invoice_submit_batch('[]', 'skip');
RESET SESSION AUTHORIZATION;
