-- app: what people look at. The views show all invoices to whoever may read
-- them: the rights that count are those on the view.

-- Rule ids out of a cause; null when it has none (a changed workflow may say
-- anything there).
CREATE FUNCTION @extschema@.invoice_violated_rules(cause text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN ARRAY(SELECT jsonb_array_elements_text(cause::jsonb->'rules'));
EXCEPTION WHEN OTHERS THEN
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_violated_rules(text) IS 'ids of the violated rules in the cause of InvoiceInvalid';

CREATE VIEW @extschema@.invoice_tracking AS
	SELECT s.tracking_id, s.number, s.seller, s.buyer,
		CASE
			WHEN e.status = 'SUCCEEDED' OR e.status IS NULL AND i.status = 'valid' THEN 'completed'
			WHEN e.status = 'COMPENSATING' THEN 'undoing'
			WHEN e.status = 'ABORTED' AND e.error = 'InvoiceCancelled' THEN 'cancelled'
			WHEN e.error = 'InvoiceRejected' THEN 'rejected'
			WHEN e.status = 'RUNNING' AND a.token IS NOT NULL THEN 'held'
			WHEN e.status = 'RUNNING' AND e.current_state IS NULL THEN 'queued'
			WHEN e.status = 'RUNNING' THEN 'processing'
			ELSE 'failed'
		END AS status,
		e.current_state AS current_step, s.attempts, s.currency,
		coalesce(i.payable, a.payable) AS payable,
		e.error, s.submitted_at, e.stopped_at AS finished_at, m.source_message_id,
		s.type_code, s.issue_date,
		CASE WHEN s.credit_note THEN -coalesce(i.payable, a.payable) ELSE coalesce(i.payable, a.payable) END AS signed_payable,
		e.waiting_for, e.waiting_since, e.waiting_until, e.attempt, e.last_error, e.failed_state, s.source_format, s.source_format_version
	FROM @extschema@.invoice_submission s
		-- OFFSET 0: looks each one up by its key; a join would read all executions for one invoice. In one
		-- workflow after the other: an equality goes down to the queue, and not to those of all workflows.
		LEFT JOIN LATERAL (SELECT x.status, x.error, x.current_state, x.stopped_at, x.waiting_for,
				x.waiting_since, x.waiting_until, x.attempt, x.last_error, x.failed_state
			FROM (SELECT DISTINCT t.workflow_id FROM @extschema@.invoice_setting t) w
				CROSS JOIN LATERAL (SELECT v.* FROM saga.all_executions v
					WHERE v.workflow_id = w.workflow_id AND v.execution_id = s.execution_id OFFSET 0) x) e ON true
		LEFT JOIN @extschema@.invoice i ON i.tracking_id = s.tracking_id
		LEFT JOIN @extschema@.invoice_approval a ON a.tracking_id = s.tracking_id
			AND a.execution_id = s.execution_id AND a.decided_at IS NULL
		LEFT JOIN @extschema@.invoice_source_message m ON m.tracking_id = s.tracking_id;
COMMENT ON VIEW @extschema@.invoice_tracking IS
	'every submitted invoice and where it is; one that came through a source under several ids has a row for each';
COMMENT ON COLUMN @extschema@.invoice_tracking.source_message_id IS
	'the id that the client was given when the invoice came through a source: the MessageId of SQS; null when it did not';
COMMENT ON COLUMN @extschema@.invoice_tracking.status IS
	'queued: not begun; processing; held: waits for invoice_approve or invoice_reject; undoing: failed or cancelled, what was done is being undone; completed; failed or rejected: see invoice_dlq; cancelled';
COMMENT ON COLUMN @extschema@.invoice_tracking.current_step IS 'state of the workflow that it is in; null when it has not begun or has ended';
COMMENT ON COLUMN @extschema@.invoice_tracking.attempts IS '1, and one more for each invoice_retry';
COMMENT ON COLUMN @extschema@.invoice_tracking.payable IS 'amount due as computed; null before it is held or saved';
COMMENT ON COLUMN @extschema@.invoice_tracking.signed_payable IS 'payable, that of a credit note negative: what can be summed up';
COMMENT ON COLUMN @extschema@.invoice_tracking.waiting_for IS
	'what it waits for, as in saga.executions: worker (it is ready), destination NAME (payments, accounting) with what holds that, retry, token (of invoice_approve and invoice_reject); outcome of STATE: of a call that was given up, most often by one that is undoing, it is being found out whether it was done, see saga.in_doubt; null when it has ended';
COMMENT ON COLUMN @extschema@.invoice_tracking.waiting_since IS 'since when it waits for that';
COMMENT ON COLUMN @extschema@.invoice_tracking.waiting_until IS 'when it goes on by itself, as a request is sent again, or its time is over; null: neither';
COMMENT ON COLUMN @extschema@.invoice_tracking.attempt IS 'of the step that it is in: the one that is under way, or comes next; attempts counts those of the invoice';
COMMENT ON COLUMN @extschema@.invoice_tracking.last_error IS 'of the last request or attempt of that step, or what the invoice has failed with';
COMMENT ON COLUMN @extschema@.invoice_tracking.failed_state IS 'state of the workflow in which it has failed, or was cancelled; null: in none';
COMMENT ON COLUMN @extschema@.invoice_tracking.error IS 'name of the error that ended it: InvoiceInvalid, InvoiceRejected, InvoiceCancelled, or one of the workflow engine';

CREATE FUNCTION @extschema@.invoice_status(tracking_id uuid) RETURNS text
LANGUAGE sql STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT t.status FROM @extschema@.invoice_tracking t WHERE t.tracking_id = $1
$$;
COMMENT ON FUNCTION @extschema@.invoice_status(uuid) IS 'status of an invoice as in invoice_tracking';

CREATE VIEW @extschema@.invoice_held AS
	SELECT a.tracking_id, s.number, s.seller, s.buyer, a.currency, a.payable, a.reason, a.held_at,
		coalesce(a.messages, string_to_array(a.reason, ', ')) AS messages, s.document,
		s.original, s.source_format, s.source_format_version
	FROM @extschema@.invoice_approval a
		JOIN @extschema@.invoice_submission s ON s.tracking_id = a.tracking_id AND s.execution_id = a.execution_id
	WHERE a.decided_at IS NULL
		AND EXISTS (SELECT FROM (SELECT DISTINCT t.workflow_id FROM @extschema@.invoice_setting t) w
			CROSS JOIN LATERAL (SELECT FROM saga.all_executions e
				WHERE e.workflow_id = w.workflow_id AND e.execution_id = a.execution_id AND e.status = 'RUNNING' OFFSET 0) x OFFSET 0);
COMMENT ON VIEW @extschema@.invoice_held IS 'invoices that wait for invoice_approve or invoice_reject';
COMMENT ON COLUMN @extschema@.invoice_held.reason IS 'ids of the warnings, or "above the limit"';
COMMENT ON COLUMN @extschema@.invoice_held.messages IS
	'the reasons in words: rule, place in the document (a JSON pointer), and what is wrong there';

-- A function of its own for the words would need a right that those who may read the view do not have.
CREATE VIEW @extschema@.invoice_dlq AS
	SELECT s.tracking_id, s.number, s.seller, d.reason, c.cause, r.rules, s.attempts, d.failed_at,
		d.reason <> 'Saga.CompensationFailed' AND NOT EXISTS (SELECT FROM saga.execution e
				CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(e.not_compensated) WHEN 'array' THEN e.not_compensated ELSE '[]' END) x
			WHERE e.execution_id = ANY (s.left_by) AND NOT EXISTS (SELECT FROM saga.outbox o WHERE o.execution_id = e.execution_id
				AND o.outbox_id::text = x->>'message_id' AND o.taken_up_as IS NOT NULL)) AS compensated, s.document,
		(SELECT min(m.source_message_id) FROM @extschema@.invoice_source_message m WHERE m.tracking_id = s.tracking_id)
			AS source_message_id,
		-- rules: it is JSON
		CASE WHEN r.rules IS NOT NULL AND jsonb_typeof(d.cause::jsonb->'violations') = 'array'
			THEN ARRAY(SELECT concat_ws(': ', concat_ws(' ', v->>'rule', nullif(v->>'location', '')), v->>'message')
				FROM jsonb_array_elements(d.cause::jsonb->'violations') WITH ORDINALITY AS a (v, n) ORDER BY n)
			ELSE ARRAY[c.cause] END AS messages,
		d.details->>'failed_state' AS failed_state,
		s.original, s.source_format, s.source_format_version
	FROM saga.all_dead_letters d
		JOIN @extschema@.invoice_submission s ON s.execution_id = d.message_id
			AND s.tracking_id = CASE WHEN d.body->>'tracking_id' ~ '^[0-9a-f-]{36}$' THEN (d.body->>'tracking_id')::uuid END
		CROSS JOIN LATERAL (SELECT CASE WHEN d.reason <> 'Saga.CompensationFailed' THEN d.cause
			ELSE concat_ws('; ', concat_ws(': ', d.details->>'error', d.cause),
				'not undone: ' || (SELECT string_agg((n->>'state') ||
										CASE n->>'outcome' WHEN 'unknown' THEN ' (nobody knows whether it is there)' ELSE '' END, ', ')
								   FROM jsonb_array_elements(d.details->'not_compensated') AS n))
			END AS cause) c
		CROSS JOIN LATERAL (SELECT @extschema@.invoice_violated_rules(d.cause) AS rules) r
	WHERE d.queue_id = ANY (ARRAY(SELECT t.workflow_id FROM @extschema@.invoice_setting t)) AND d.kind = 'execution'
		-- one that was redriven goes on in its place, with the same execution
		AND d.redriven_as IS DISTINCT FROM d.message_id
UNION ALL
	SELECT NULL, NULL, NULL, d.reason, d.cause, NULL, d.receives, d.failed_at, true,
		to_json(d.body->>'body'), d.body->>'source_message_id', ARRAY[d.cause], NULL, NULL, d.body->>'format', NULL
	FROM saga.all_dead_letters d
	WHERE d.queue_id = ANY (ARRAY(SELECT t.inbox_workflow_id FROM @extschema@.invoice_setting t)) AND d.kind = 'execution' AND d.redriven_at IS NULL;
COMMENT ON VIEW @extschema@.invoice_dlq IS
	'invoices that failed for good and wait for a person, see invoice_retry; those without tracking_id came through a source and are no invoices, or not acceptable ones, see saga.redrive';
COMMENT ON COLUMN @extschema@.invoice_dlq.source_message_id IS
	'the (first) id that the client was given when it came through a source; null when it did not';
COMMENT ON COLUMN @extschema@.invoice_dlq.document IS 'as received; what is no invoice as a text';
COMMENT ON COLUMN @extschema@.invoice_dlq.reason IS
	'InvoiceInvalid, InvoiceRejected, an error of the payment or accounting service (States.Http.StatusCode.422 ...) or of the workflow engine; Saga.CompensationFailed: something could not be undone';
COMMENT ON COLUMN @extschema@.invoice_dlq.failed_state IS 'state of the workflow in which it has failed: Validate, Pay, Book ...; null: it is no invoice';
COMMENT ON COLUMN @extschema@.invoice_dlq.cause IS 'for InvoiceInvalid JSON with the violated rules and their places, else text';
COMMENT ON COLUMN @extschema@.invoice_dlq.rules IS 'ids of the violated rules; null when it did not fail for them';
COMMENT ON COLUMN @extschema@.invoice_dlq.compensated IS 'whether everything that had been done has been undone, also of earlier attempts';
COMMENT ON COLUMN @extschema@.invoice_tracking.source_format IS 'the format that has made it of a sender''s document; null when it was submitted as it is';
COMMENT ON COLUMN @extschema@.invoice_tracking.source_format_version IS 'the version of the format, see invoice_source_formats';
COMMENT ON COLUMN @extschema@.invoice_held.original IS 'the sender''s document that a format has made it of; null when it was submitted as it is';
COMMENT ON COLUMN @extschema@.invoice_dlq.original IS 'the sender''s document that a format has made it of; null when it was submitted as it is, or is no invoice';
COMMENT ON COLUMN @extschema@.invoice_dlq.messages IS
	'what is wrong in words: of each violation its rule, its place in the document (a JSON pointer) and what is wrong there; else the cause';
