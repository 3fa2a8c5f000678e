-- app: submitting.

CREATE FUNCTION @extschema@.invoice_document_key(document json, OUT tracking_id uuid, OUT number text,
	OUT seller_key text, OUT seller text, OUT buyer text, OUT currency text)
AS 'MODULE_PATHNAME', 'saga_invoice_document_key'
LANGUAGE C STRICT VOLATILE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.invoice_document_key(json) IS
	'number and parties of a document, and a new tracking id; raises for what invoice_submit refuses';

CREATE FUNCTION @extschema@.invoice_same_document(a json, b json) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN a::text = b::text OR a::jsonb = b::jsonb;
EXCEPTION WHEN OTHERS THEN
	-- jsonb takes less than json: then only the text can tell
	RETURN false;
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_same_document(json, json) IS 'whether two documents say the same';

CREATE FUNCTION @extschema@.invoice_workflow_id() RETURNS integer
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT s.workflow_id FROM @extschema@.invoice_setting s WHERE s.current
$$;
COMMENT ON FUNCTION @extschema@.invoice_workflow_id() IS 'id of the workflow that invoices go through; null before invoice_setup';

-- dead: its execution ended without success. Of the workflows of invoices alone: when retention has
-- removed an execution, anybody can give its id to one of his own. SECURITY DEFINER: a step asks this
-- about an execution that may be of an earlier owner's workflow.
CREATE FUNCTION @extschema@.invoice_is_dead(execution uuid) RETURNS boolean
LANGUAGE sql STABLE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (SELECT FROM saga.all_executions e
				   WHERE e.workflow_id = ANY (ARRAY(SELECT t.workflow_id FROM @extschema@.invoice_setting t))
					AND e.execution_id = execution AND e.status IN ('FAILED', 'TIMED_OUT', 'ABORTED'))
$$;
COMMENT ON FUNCTION @extschema@.invoice_is_dead(uuid) IS 'whether an execution of an invoice has ended without success';

-- The submission that holds a number: null when there is none (any more), or
-- when it was dead and has made room; raises when it is another document.
CREATE FUNCTION @extschema@.invoice_earlier(seller_key text, number text, document json) RETURNS uuid
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	earlier @extschema@.invoice_submission;
BEGIN
	SELECT * INTO earlier FROM @extschema@.invoice_submission s
		WHERE s.seller_key = invoice_earlier.seller_key AND s.number = invoice_earlier.number
			AND s.superseded_at IS NULL
		FOR UPDATE;
	IF NOT FOUND OR @extschema@.invoice_same_document(earlier.document, document) THEN
		RETURN earlier.tracking_id;
	END IF;
	IF NOT @extschema@.invoice_is_dead(earlier.execution_id) THEN
		RAISE unique_violation USING
			MESSAGE = format('invoice "%s" of this seller was already submitted with other content as %s',
							 number, earlier.tracking_id),
			HINT = 'A changed invoice needs a number of its own, unless the earlier one has failed or was cancelled.',
			TABLE = 'invoice_submission', CONSTRAINT = 'invoice_submission_number';
	END IF;
	UPDATE @extschema@.invoice_submission s SET superseded_at = clock_timestamp()
		WHERE s.tracking_id = earlier.tracking_id;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_earlier(text, text, json) IS
	'the earlier submission of the same document; null when there is none in the way';

-- SECURITY DEFINER: who submits needs EXECUTE on this function and no right on
-- any table, workflow or queue. It runs nothing of the caller's.
CREATE FUNCTION @extschema@.invoice_submit(document json) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	key record;
	earlier uuid;
	workflow_id integer;
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
	workflow_id := @extschema@.invoice_workflow_id();
	IF workflow_id IS NULL THEN
		-- nobody has called invoice_setup: the owner of this function is the owner
		PERFORM @extschema@.invoice_setup_lock();
		IF @extschema@.invoice_workflow_id() IS NULL THEN
			PERFORM @extschema@.invoice_setup_for(quote_ident(current_user)::regrole);
		END IF;
		workflow_id := @extschema@.invoice_workflow_id();
	END IF;
	key.tracking_id := saga.start_execution(workflow_id, jsonb_build_object('tracking_id', key.tracking_id,
		'number', key.number, 'seller', key.seller), NULL, key.tracking_id);
	RETURN key.tracking_id;
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_submit(json) IS
	'takes an invoice and returns its tracking id; the same document again returns the same id';

-- By what a batch is put in order; error instead, when invoice_submit would refuse the document whatever
-- there is already. Nothing is written here, so the block costs next to nothing.
CREATE FUNCTION @extschema@.invoice_batch_key(document json, OUT seller_key text, OUT number text, OUT error text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	message text;
	detail text;
BEGIN
	SELECT k.seller_key, k.number INTO seller_key, number FROM @extschema@.invoice_document_key(document) k;
EXCEPTION WHEN data_exception OR program_limit_exceeded OR configuration_limit_exceeded THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	error := concat_ws(': ', message, nullif(detail, ''));
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_batch_key(json) IS
	'seller and number of a document in a batch, or why it is refused';

-- As a message that a source brought: the inbox tries it once more, and its dead letter can be redriven.
CREATE FUNCTION @extschema@.invoice_bury(document json) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	inbox integer;
BEGIN
	FOR round IN 1..2 LOOP
		SELECT w.workflow_id INTO inbox
			FROM @extschema@.invoice_setting s JOIN saga.workflow w ON w.workflow_id = s.inbox_workflow_id
			WHERE s.current;
		EXIT WHEN FOUND;
		-- nobody has called invoice_setup, or it was that of a version without an inbox
		PERFORM @extschema@.invoice_setup_lock();
		PERFORM @extschema@.invoice_setup_for(
			coalesce(@extschema@.invoice_workflow_owner(), quote_ident(current_user)::regrole));
	END LOOP;
	PERFORM saga.start_execution(inbox, jsonb_build_object('body', document::text,
		'source_message_id', saga.make_id()::text, 'sent_at', clock_timestamp()), NULL::text, NULL::uuid);
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_bury(json) IS 'makes a dead letter of a document that invoice_submit has refused, as the inbox does';

-- SECURITY DEFINER: as invoice_submit. Numbers are taken in one order, whatever that of the documents:
-- each waits for who has it until its transaction ends, and two batches that took them in opposite order
-- would wait for each other.
CREATE FUNCTION @extschema@.invoice_submit_batch(documents json, on_error text)
RETURNS TABLE (index integer, tracking_id uuid, error text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	element record;
	ids uuid[];
	errors text[];
	state text;
	message text;
	detail text;
	hint text;
BEGIN
	IF on_error IS NULL OR on_error NOT IN ('refuse', 'skip', 'dead_letter') THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('on_error of invoice_submit_batch cannot be %L', on_error),
			HINT = 'It is refuse, skip or dead_letter.';
	END IF;
	IF json_typeof(documents) IS DISTINCT FROM 'array' THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'invoice batch is not a JSON array',
			HINT = 'Use invoice_submit for a single invoice.';
	END IF;
	ids := array_fill(NULL::uuid, ARRAY[json_array_length(documents)]);
	errors := array_fill(NULL::text, ARRAY[json_array_length(documents)]);
	FOR element IN
		SELECT d.n, d.document, k.error
			FROM json_array_elements(documents) WITH ORDINALITY AS d (document, n)
				CROSS JOIN LATERAL @extschema@.invoice_batch_key(d.document) k
			ORDER BY k.seller_key COLLATE "C" NULLS FIRST, k.number COLLATE "C" NULLS FIRST, d.n
	LOOP
		index := element.n - 1;
		IF on_error = 'refuse' THEN
			ids[element.n] := @extschema@.invoice_submit(element.document);
			CONTINUE;
		END IF;
		IF element.error IS NULL THEN
			BEGIN
				ids[element.n] := @extschema@.invoice_submit(element.document);
			EXCEPTION WHEN unique_violation OR data_exception OR program_limit_exceeded OR configuration_limit_exceeded THEN
				GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
				element.error := concat_ws(': ', message, nullif(detail, ''));
			END;
		END IF;
		IF element.error IS NOT NULL AND on_error = 'dead_letter' THEN
			PERFORM @extschema@.invoice_bury(element.document);
		END IF;
		errors[element.n] := element.error;
	END LOOP;
	RETURN QUERY SELECT (u.n - 1)::integer, u.id, u.error FROM unnest(ids, errors) WITH ORDINALITY AS u (id, error, n) ORDER BY u.n;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	IF index IS NULL THEN
		RAISE;
	END IF;
	RAISE USING ERRCODE = state, MESSAGE = format('document %s of the batch: %s', index, message),
		DETAIL = concat_ws(' ', nullif(detail, ''), 'Nothing of the batch was accepted; documents are counted from 0.'),
		HINT = coalesce(nullif(hint, ''), CASE WHEN on_error = 'refuse' THEN 'Correct that document or leave it out.' ELSE 'Try again.' END);
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_submit_batch(json, text) IS
	'submits each element of an array: one row each, in order, counted from 0.
on_error: refuse (one that is refused refuses all), skip (the others are accepted; the row says why this one is not) or dead_letter (the same, and it becomes a row of invoice_dlq, like one that a source brought).
Errors: invalid_parameter_value (no array, another on_error); with refuse those of invoice_submit';

CREATE FUNCTION @extschema@.invoice_submit_batch(documents json) RETURNS SETOF uuid
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY SELECT b.tracking_id FROM @extschema@.invoice_submit_batch(documents, 'refuse'::text) b ORDER BY b.index;
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_submit_batch(json) IS
	'submits each element of an array and returns their tracking ids in order; one that is refused refuses all';
