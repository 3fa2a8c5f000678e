\echo Use "ALTER EXTENSION pg_invoice UPDATE" to load this file. \quit
-- From 0.1 to 0.2.

-- PostgreSQL runs this with the target schema in the path, in which others may be allowed to create
-- functions and operators.
SET LOCAL search_path = pg_catalog, pg_temp;

-- ---------- app ----------
-- The script of 0.1 ran without that line. What it may have found in the target schema instead of in
-- pg_catalog is made again: the marks for pg_dump, an operator, and what the views call (below).
SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice_submission'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice_document_history'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice_approval'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice_setting'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice_line'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice_vat'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice_source_message'::pg_catalog.regclass, '');
ALTER TABLE @extschema@.invoice_setting DROP CONSTRAINT invoice_setting_approval_limit_check;
ALTER TABLE @extschema@.invoice_setting
	ADD CONSTRAINT invoice_setting_approval_limit_check CHECK (approval_limit >= 0);

-- ---------- submit ----------
CREATE OR REPLACE FUNCTION @extschema@.invoice_submit(document json) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	key record;
	earlier uuid;
BEGIN
	IF document IS NULL THEN
		RAISE null_value_not_allowed USING MESSAGE = 'invoice document must not be null';
	END IF;
	key := @extschema@.invoice_document_key(document);
	LOOP
		-- waits for a concurrent submitter of the same number
		INSERT INTO @extschema@.invoice_submission
			(tracking_id, execution_id, seller_key, number, seller, buyer, currency, document)
			VALUES (key.tracking_id, key.tracking_id, key.seller_key, key.number,
					key.seller, key.buyer, key.currency, document)
			ON CONFLICT (seller_key, number) WHERE superseded_at IS NULL DO NOTHING;
		EXIT WHEN FOUND;
		earlier := @extschema@.invoice_earlier(key.seller_key, key.number, document);
		IF earlier IS NOT NULL THEN
			RETURN earlier;
		END IF;
	END LOOP;
	IF saga.workflow_version('invoice') IS NULL THEN
		PERFORM @extschema@.invoice_setup(NULL::regrole);
	END IF;
	key.tracking_id := saga.start_execution('invoice', jsonb_build_object('tracking_id', key.tracking_id,
		'number', key.number, 'seller', key.seller), NULL, key.tracking_id);
	RETURN key.tracking_id;
END
$$;

-- ---------- source ----------
CREATE OR REPLACE FUNCTION @extschema@.invoice_source(name text, settings jsonb, kind text DEFAULT 'sqs') RETURNS integer
LANGUAGE plpgsql STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	id integer := saga.create_source(name, kind, settings, 'invoice');
	owner regrole;
BEGIN
	PERFORM @extschema@.invoice_setup(NULL::regrole);
	owner := @extschema@.invoice_workflow_owner();
	IF owner <> quote_ident(current_user)::regrole THEN
		PERFORM saga.set_workflow_owner('invoice-inbox', owner);
		PERFORM saga.set_source_owner(name, owner);
	END IF;
	RETURN id;
END
$$;

-- ---------- workflow ----------
CREATE OR REPLACE FUNCTION @extschema@.invoice_grant_steps(owner regrole) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- not part of a format: it may have a % in it
	schema text := '@extschema@';
BEGIN
	EXECUTE format('GRANT USAGE ON SCHEMA saga, %1$s TO %2$s', schema, owner);
	EXECUTE format('GRANT EXECUTE ON FUNCTION saga.failure(text, text),
		%1$s.invoice_step_validate(jsonb, jsonb), %1$s.invoice_step_calculate(jsonb),
		%1$s.invoice_step_hold(jsonb, jsonb), %1$s.invoice_step_save(jsonb),
		%1$s.invoice_step_void(jsonb), %1$s.invoice_check(json),
		%1$s.invoice_calculate(json), %1$s.invoice_invalid_cause(jsonb),
		%1$s.invoice_is_credit_note(text), %1$s.invoice_is_dead(uuid),
		%1$s.invoice_inbox(jsonb, jsonb) TO %2$s', schema, owner);
	EXECUTE format('GRANT EXECUTE ON ROUTINE saga.drain(text, integer), saga.publish(),
		%1$s.invoice_process(), %1$s.invoice_ready(),
		%1$s.invoice_schedule(text), %1$s.invoice_unschedule() TO %2$s', schema, owner);
	EXECUTE format('GRANT SELECT ON saga.executions, saga.dead_letters, saga.queues, %1$s.invoice_submission,
		%1$s.invoice_setting TO %2$s', schema, owner);
	EXECUTE format('GRANT UPDATE (execution_id, attempts) ON %1$s.invoice_submission TO %2$s', schema, owner);
	EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %1$s.invoice_approval TO %2$s', schema, owner);
	EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %1$s.invoice,
		%1$s.invoice_line, %1$s.invoice_vat TO %2$s', schema, owner);
END
$$;

CREATE OR REPLACE FUNCTION @extschema@.invoice_setup(owner regrole DEFAULT NULL) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	present regrole;
BEGIN
	-- One at a time: two first submitters would make two versions. On a table that nobody but its owner
	-- may write to, so that nobody else can take this lock, and in a mode that no reader holds up.
	LOCK TABLE @extschema@.invoice_document_history IN SHARE UPDATE EXCLUSIVE MODE;
	present := @extschema@.invoice_workflow_owner();
	IF present IS NULL THEN
		PERFORM saga.create_workflow('invoice', @extschema@.invoice_definition());
		present := quote_ident(current_user)::regrole;
	END IF;
	IF owner <> present THEN
		PERFORM saga.set_workflow_owner('invoice', owner);
		present := owner;
	END IF;
	PERFORM @extschema@.invoice_grant_steps(present);
END
$$;

-- ---------- control ----------
CREATE OR REPLACE FUNCTION @extschema@.invoice_approve(tracking_id uuid) RETURNS void
LANGUAGE plpgsql STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM saga.send_task_success(@extschema@.invoice_decide(tracking_id, 'approved'::text, NULL::text),
		jsonb_build_object('decision', 'approved', 'by', session_user));
END
$$;

CREATE OR REPLACE FUNCTION @extschema@.invoice_reject(tracking_id uuid, reason text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF tracking_id IS NULL OR coalesce(reason, '') !~ '\S' THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'rejecting an invoice needs its tracking id and a reason',
			HINT = 'The reason is what invoice_dlq shows as the cause.';
	END IF;
	PERFORM saga.send_task_failure(@extschema@.invoice_decide(tracking_id, 'rejected'::text, reason),
		'InvoiceRejected', reason);
END
$$;

CREATE OR REPLACE FUNCTION @extschema@.invoice_cancel(tracking_id uuid) RETURNS void
LANGUAGE plpgsql STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	submission @extschema@.invoice_submission := @extschema@.invoice_lock(tracking_id);
	status text := @extschema@.invoice_status(tracking_id);
BEGIN
	IF status NOT IN ('queued', 'processing', 'held') THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('invoice %s cannot be cancelled', tracking_id),
			DETAIL = format('Its status is "%s".', status),
			-- never null, which RAISE takes for an error of its own
			HINT = CASE WHEN status = 'completed' THEN 'What is booked is corrected with a credit note.'
				ELSE 'It has ended, or is being undone.' END;
	END IF;
	UPDATE @extschema@.invoice_approval a
		SET decided_at = clock_timestamp(), decision = 'withdrawn', decided_by = session_user, note = 'cancelled'
		WHERE a.tracking_id = submission.tracking_id AND a.decided_at IS NULL;
	PERFORM saga.stop_execution(submission.execution_id, 'InvoiceCancelled',
		format('cancelled by %s', session_user), true);
END
$$;

-- ---------- views ----------
CREATE OR REPLACE VIEW @extschema@.invoice_tracking AS
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
		e.error, s.submitted_at, e.stopped_at AS finished_at, m.source_message_id
	FROM @extschema@.invoice_submission s
		-- OFFSET 0: looks each one up by its key; a join would read all executions for one invoice
		LEFT JOIN LATERAL (SELECT x.status, x.error, x.current_state, x.stopped_at
			FROM saga.all_executions x
			WHERE x.workflow = 'invoice' AND x.execution_id = s.execution_id OFFSET 0) e ON true
		LEFT JOIN @extschema@.invoice i ON i.tracking_id = s.tracking_id
		LEFT JOIN @extschema@.invoice_approval a ON a.tracking_id = s.tracking_id
			AND a.execution_id = s.execution_id AND a.decided_at IS NULL
		LEFT JOIN @extschema@.invoice_source_message m ON m.tracking_id = s.tracking_id;

CREATE OR REPLACE VIEW @extschema@.invoice_held AS
	SELECT a.tracking_id, s.number, s.seller, s.buyer, a.currency, a.payable, a.reason, a.held_at
	FROM @extschema@.invoice_approval a
		JOIN @extschema@.invoice_submission s ON s.tracking_id = a.tracking_id AND s.execution_id = a.execution_id
	WHERE a.decided_at IS NULL
		AND EXISTS (SELECT FROM saga.all_executions e
			WHERE e.workflow = 'invoice' AND e.execution_id = a.execution_id AND e.status = 'RUNNING' OFFSET 0);

CREATE OR REPLACE VIEW @extschema@.invoice_dlq AS
	SELECT s.tracking_id, s.number, s.seller, d.reason,
		CASE WHEN d.reason <> 'Saga.CompensationFailed' THEN d.cause
			ELSE concat_ws('; ', concat_ws(': ', d.details->>'error', d.cause),
				'not undone: ' || (SELECT string_agg(n->>'state', ', ')
								   FROM jsonb_array_elements(d.details->'not_compensated') AS n))
		END AS cause,
		@extschema@.invoice_violated_rules(d.cause) AS rules, s.attempts, d.failed_at,
		d.reason <> 'Saga.CompensationFailed' AS compensated, s.document,
		(SELECT min(m.source_message_id) FROM @extschema@.invoice_source_message m WHERE m.tracking_id = s.tracking_id)
			AS source_message_id
	FROM saga.all_dead_letters d
		JOIN @extschema@.invoice_submission s ON s.execution_id = d.message_id
			AND s.tracking_id = CASE WHEN d.body->>'tracking_id' ~ '^[0-9a-f-]{36}$' THEN (d.body->>'tracking_id')::uuid END
	WHERE d.queue = 'invoice' AND d.kind = 'execution'
UNION ALL
	SELECT NULL, NULL, NULL, d.reason, d.cause, NULL, d.receives, d.failed_at, true,
		to_json(d.body->>'body'), d.body->>'source_message_id'
	FROM saga.all_dead_letters d
	WHERE d.queue = 'invoice-inbox' AND d.kind = 'execution' AND d.redriven_at IS NULL;

-- ---------- grants ----------
-- Last: nothing for PUBLIC. Functions are PUBLIC's until they are revoked.
DO $$
DECLARE
	routine regprocedure;
BEGIN
	FOR routine IN
		SELECT d.objid::regprocedure
		FROM pg_catalog.pg_depend d
		WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.deptype = 'e'
			AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
			AND d.refobjid = (SELECT e.oid FROM pg_catalog.pg_extension e WHERE e.extname = 'pg_invoice')
	LOOP
		EXECUTE pg_catalog.format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', routine);
	END LOOP;
END
$$;
