-- app: what a person does with an invoice on its way.
--
-- All of these are SECURITY DEFINER: a clerk needs EXECUTE on the function and
-- no right on the tables or the workflow behind it. They run nothing of the
-- caller's.

-- The submission, locked, so that two decisions on one invoice come one after the other.
CREATE FUNCTION @extschema@.invoice_lock(tracking_id uuid) RETURNS @extschema@.invoice_submission
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	submission @extschema@.invoice_submission;
BEGIN
	-- before the row, as who changes the scope of numbers takes them in this order
	LOCK TABLE @extschema@.invoice_submission IN ROW EXCLUSIVE MODE;
	SELECT * INTO submission FROM @extschema@.invoice_submission s
		WHERE s.tracking_id = invoice_lock.tracking_id FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE undefined_object USING
			MESSAGE = format('invoice %s does not exist', tracking_id),
			HINT = 'Give the id that invoice_submit returned.';
	END IF;
	RETURN submission;
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_lock(uuid) IS 'locks and returns a submission; raises when there is none';

-- Closes the open approval and returns its token.
CREATE FUNCTION @extschema@.invoice_decide(tracking_id uuid, decision text, note text) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	submission @extschema@.invoice_submission := @extschema@.invoice_lock(tracking_id);
	token text;
BEGIN
	UPDATE @extschema@.invoice_approval a
		SET decided_at = clock_timestamp(), decision = invoice_decide.decision,
			decided_by = session_user, note = invoice_decide.note
		WHERE a.tracking_id = submission.tracking_id AND a.execution_id = submission.execution_id
			AND a.decided_at IS NULL
		RETURNING a.token INTO token;
	IF NOT FOUND THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('invoice %s is not held', tracking_id),
			DETAIL = format('Its status is "%s".', @extschema@.invoice_status(tracking_id)),
			HINT = 'The view invoice_held lists what waits for a decision.';
	END IF;
	RETURN token;
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_decide(uuid, text, text) IS 'notes a decision on a held invoice and returns the task token to answer';

CREATE FUNCTION @extschema@.invoice_approve(tracking_id uuid) RETURNS void
LANGUAGE plpgsql STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM saga.send_task_success(@extschema@.invoice_decide(tracking_id, 'approved'::text, NULL::text),
		jsonb_build_object('decision', 'approved', 'by', session_user));
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_approve(uuid) IS 'lets a held invoice go on';

CREATE FUNCTION @extschema@.invoice_reject(tracking_id uuid, reason text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF tracking_id IS NULL OR coalesce(reason, '') !~ E'\\S' THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'rejecting an invoice needs its tracking id and a reason',
			HINT = 'The reason is what invoice_dlq shows as the cause.';
	END IF;
	PERFORM saga.send_task_failure(@extschema@.invoice_decide(tracking_id, 'rejected'::text, reason),
		'InvoiceRejected', reason);
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_reject(uuid, text) IS 'ends a held invoice as rejected: it becomes a dead letter with the reason';

CREATE FUNCTION @extschema@.invoice_cancel(tracking_id uuid) RETURNS void
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
COMMENT ON FUNCTION @extschema@.invoice_cancel(uuid) IS 'stops an invoice that is not completed; what was done is undone in reverse order';

-- Puts a corrected document in the place of the old one.
CREATE FUNCTION @extschema@.invoice_correct(submission @extschema@.invoice_submission, corrected json,
	original json, source_format text, source_format_version integer) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
<<corrected_one>>
DECLARE
	key record;
	number_key text;
	alike boolean;
	earlier uuid;
BEGIN
	SELECT k.*, @extschema@.invoice_number_scope(k.type_code, k.issue_date,
			(SELECT t.number_with FROM @extschema@.invoice_setting t WHERE t.current)) AS number_scope
		INTO key FROM @extschema@.invoice_document_key(corrected) k;
	number_key := @extschema@.invoice_number_key(key.number);
	IF (key.seller_key, key.number, key.number_scope) <> (submission.seller_key, submission.number, submission.number_scope) THEN
		earlier := @extschema@.invoice_earlier(key.seller_key, key.number, key.number_scope, corrected, original, source_format);
		IF earlier IS NOT NULL THEN
			RAISE unique_violation USING
				MESSAGE = format('the corrected document was already submitted as %s', earlier);
		END IF;
	END IF;
	-- under another number it is in doubt for what is there
	alike := submission.possible_duplicate
		AND (key.seller_key, number_key, key.number_scope)
			IS NOT DISTINCT FROM (submission.seller_key, submission.number_key, submission.number_scope)
		OR @extschema@.invoice_looks_alike(submission.tracking_id, key.seller_key, number_key, key.number_scope);
	INSERT INTO @extschema@.invoice_document_history (tracking_id, document, original, source_format, source_format_version)
		VALUES (submission.tracking_id, submission.document, submission.original, submission.source_format, submission.source_format_version);
	UPDATE @extschema@.invoice_submission s
		SET seller_key = key.seller_key, number = key.number, seller = key.seller, buyer = key.buyer,
			currency = key.currency, document = corrected, type_code = key.type_code, issue_date = key.issue_date,
			credit_note = key.credit_note, number_scope = key.number_scope,
			number_key = corrected_one.number_key, possible_duplicate = alike, original = invoice_correct.original,
			source_format = invoice_correct.source_format, source_format_version = invoice_correct.source_format_version
		WHERE s.tracking_id = submission.tracking_id;
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_correct(@extschema@.invoice_submission, json, json, text, integer) IS
	'replaces the document of a submission, and what it was made of, and keeps the old one';

CREATE FUNCTION @extschema@.invoice_retry(tracking_id uuid, corrected json, force boolean, format text) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	submission @extschema@.invoice_submission := @extschema@.invoice_lock(tracking_id);
	dead_execution uuid := submission.execution_id;
	status text := @extschema@.invoice_status(tracking_id);
	reading record;
BEGIN
	IF submission.superseded_at IS NOT NULL THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('invoice %s cannot be retried', tracking_id),
			DETAIL = 'Another document of the same seller and number has taken its place.';
	END IF;
	IF status NOT IN ('failed', 'rejected', 'cancelled') THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('invoice %s cannot be retried', tracking_id),
			DETAIL = format('Its status is "%s".', status),
			HINT = 'Only an invoice that failed, was rejected or was cancelled can be retried.';
	END IF;
	IF NOT coalesce(force, false) AND (@extschema@.invoice_standing(submission.execution_id, submission.left_by, false) IS NOT NULL OR EXISTS (
		SELECT FROM @extschema@.invoice_dlq d WHERE d.tracking_id = invoice_retry.tracking_id AND NOT d.compensated)) THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('invoice %s has not been undone completely', tracking_id),
			DETAIL = 'A payment, credit or booking of an earlier attempt may still stand; a retry would make it again.',
			HINT = 'Find out what became of it (invoice_dlq shows what is left) and say so with saga.settle; or undo it by hand, then call invoice_retry with force => true.';
	END IF;
	IF format IS NOT NULL AND corrected IS NULL THEN
		corrected := submission.original;
		IF corrected IS NULL THEN
			RAISE invalid_parameter_value USING
				MESSAGE = format('invoice %s was not read with a format', tracking_id),
				HINT = 'Give the document that the format is to be applied to.';
		END IF;
	END IF;
	IF corrected IS NOT NULL THEN
		IF format IS NULL THEN
			PERFORM @extschema@.invoice_correct(submission, corrected, NULL::json, NULL::text, NULL::integer);
		ELSE
			SELECT f.* INTO reading FROM @extschema@.invoice_format_now(format) f;
			PERFORM @extschema@.invoice_correct(submission, @extschema@.invoice_format_document(reading.expression, corrected, format, true),
				corrected, format, reading.version);
		END IF;
	END IF;
	-- what it has left stands until it is taken up, whatever becomes of this attempt
	UPDATE @extschema@.invoice_submission s SET execution_id = saga.make_id(), attempts = s.attempts + 1,
			left_by = CASE WHEN @extschema@.invoice_standing(dead_execution, '{}'::uuid[], true) IS NULL THEN s.left_by ELSE s.left_by || dead_execution END
		WHERE s.tracking_id = submission.tracking_id
		RETURNING s.* INTO submission;
	-- another one that looks alike may have been approved since
	IF NOT submission.possible_duplicate AND @extschema@.invoice_looks_alike(submission.tracking_id,
			submission.seller_key, submission.number_key, submission.number_scope) THEN
		UPDATE @extschema@.invoice_submission s SET possible_duplicate = true WHERE s.tracking_id = submission.tracking_id;
	END IF;
	PERFORM saga.start_execution(@extschema@.invoice_workflow_id(), jsonb_build_object('tracking_id', submission.tracking_id,
		'number', submission.number, 'seller', submission.seller), NULL, submission.execution_id);
	-- what it has left is not undone any more: it would be what this one does; and the same request keeps
	-- its key, where nobody knew whether it had been done
	PERFORM saga.replace_execution(dead_execution, submission.execution_id);
	RETURN submission.tracking_id;
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_retry(uuid, json, boolean, text) IS
	'as invoice_retry(tracking_id, corrected, force); format: the corrected document is the sender''s, null the one that is kept, and is read with the format as it is now';

CREATE FUNCTION @extschema@.invoice_retry(tracking_id uuid, corrected json DEFAULT NULL, force boolean DEFAULT false) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN @extschema@.invoice_retry(tracking_id, corrected, force, NULL::text);
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_retry(uuid, json, boolean) IS
	'starts a dead invoice again under the same tracking id, with a corrected document if one is given; force: although something of the last attempt was not undone';
