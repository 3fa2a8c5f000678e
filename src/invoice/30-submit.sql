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

CREATE FUNCTION @extschema@.invoice_submit_batch(documents json) RETURNS SETOF uuid
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	element json;
	index integer := 0;
	state text;
	message text;
	detail text;
	hint text;
BEGIN
	IF json_typeof(documents) IS DISTINCT FROM 'array' THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'invoice batch is not a JSON array',
			HINT = 'Use invoice_submit for a single invoice.';
	END IF;
	FOR element IN SELECT json_array_elements(documents) LOOP
		RETURN NEXT @extschema@.invoice_submit(element);
		index := index + 1;
	END LOOP;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	IF element IS NULL THEN
		RAISE;
	END IF;
	RAISE USING ERRCODE = state, MESSAGE = format('document %s of the batch: %s', index, message),
		DETAIL = concat_ws(' ', nullif(detail, ''), 'Nothing of the batch was accepted; documents are counted from 0.'),
		HINT = coalesce(nullif(hint, ''), 'Correct that document or leave it out.');
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_submit_batch(json) IS
	'submits each element of an array and returns their tracking ids in order; one that is refused refuses all';
