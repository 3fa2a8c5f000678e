\echo Use "CREATE EXTENSION pg_invoice CASCADE" to load this file. \quit
-- Rules and arithmetic.  None of these raises for what a document contains:
-- it is reported, under INV-FORM when it is not even an invoice.

-- Every violated rule, one row a place.  location is a JSON pointer.
CREATE FUNCTION invoice_validate(document json,
	OUT rule text, OUT level text, OUT location text, OUT message text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'saga_invoice_validate'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 5;
COMMENT ON FUNCTION invoice_validate(json) IS
	'every violated rule of a document, one row a place; level is fatal or warning, location a JSON pointer';

-- The figures of an invoice, computed from its lines, allowances and charges;
-- NULL when the document is not a JSON object.  Figures of a document with
-- fatal rules mean nothing.
CREATE FUNCTION invoice_calculate(document json)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'saga_invoice_calculate'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION invoice_calculate(json) IS 'the figures of an invoice, computed from its lines, allowances and charges';

-- Both in one pass: {"rules": [{rule, level, location, message}], "fatal": bool,
-- "warnings": [rule], "totals": figures, null when fatal}.  At most 100 places
-- of one rule are listed, and then how many more there are.
CREATE FUNCTION invoice_check(document json)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'saga_invoice_check'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION invoice_check(json) IS 'violated rules, warnings and figures of a document in one pass';

-- Can the document become jsonb?  Not with \u0000 in a text, a number such as
-- 1e999999, nesting beyond reason or 64 MB of text; INV-FORM or INV-NUM then
-- says where.
CREATE FUNCTION invoice_storable(document json)
RETURNS boolean
AS 'MODULE_PATHNAME', 'saga_invoice_storable'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 500;
COMMENT ON FUNCTION invoice_storable(json) IS 'whether jsonb can hold the document';

-- The code lists that the rules use.
CREATE FUNCTION invoice_codes(OUT list text, OUT code text, OUT minor_unit int)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'saga_invoice_codes'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 600;
COMMENT ON FUNCTION invoice_codes() IS 'the code lists that the rules use';

-- A credit note carries positive amounts; its type gives the sign.
CREATE FUNCTION invoice_is_credit_note(type_code text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'saga_invoice_is_credit_note'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION invoice_is_credit_note(text) IS 'whether a type code is one of a credit note';
-- app: what is submitted, held and saved.

CREATE TABLE invoice_submission (
	tracking_id uuid PRIMARY KEY,
	execution_id uuid NOT NULL,			-- the one that works on it now, or did last
	seller_key text NOT NULL,
	number text NOT NULL,
	seller text,
	buyer text,
	currency text,
	attempts integer NOT NULL DEFAULT 1,
	submitted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	superseded_at timestamptz,
	document json NOT NULL
) WITH (autovacuum_vacuum_insert_scale_factor = 0.5, autovacuum_analyze_scale_factor = 0.2);
CREATE UNIQUE INDEX invoice_submission_number ON invoice_submission (seller_key, number)
	WHERE superseded_at IS NULL;
COMMENT ON TABLE invoice_submission IS 'documents as received, one row for each tracking id';
COMMENT ON COLUMN invoice_submission.tracking_id IS 'what invoice_submit returned; the id of the first execution';
COMMENT ON COLUMN invoice_submission.execution_id IS 'the execution that works on it now, or did last';
COMMENT ON COLUMN invoice_submission.seller_key IS
	'who the seller is: vat:, reg: or id: with the VAT id, legal registration id or first identifier in upper case without blanks, dots and hyphens; else name: with the name in lower case';
COMMENT ON COLUMN invoice_submission.attempts IS 'executions so far: 1, and one more for each retry';
COMMENT ON COLUMN invoice_submission.superseded_at IS
	'when it made room for another document of the same seller and number, having failed; such a one cannot be retried';
COMMENT ON COLUMN invoice_submission.document IS 'as received, or as last corrected with invoice_retry';

CREATE TABLE invoice_document_history (
	tracking_id uuid NOT NULL,
	replaced_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	replaced_by text NOT NULL DEFAULT session_user,
	document json NOT NULL,
	PRIMARY KEY (tracking_id, replaced_at)
);
COMMENT ON TABLE invoice_document_history IS 'documents that invoice_retry replaced with a corrected one';

CREATE TABLE invoice_approval (
	token text PRIMARY KEY,
	tracking_id uuid NOT NULL,
	execution_id uuid NOT NULL,
	reason text NOT NULL,
	currency text,
	payable numeric,
	held_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	decided_at timestamptz,
	decision text CHECK (decision IN ('approved', 'rejected', 'withdrawn')),
	decided_by text,
	note text,
	CHECK ((decided_at IS NULL) = (decision IS NULL))
);
CREATE INDEX invoice_approval_tracking ON invoice_approval (tracking_id);
CREATE INDEX invoice_approval_open ON invoice_approval (held_at) WHERE decided_at IS NULL;
COMMENT ON TABLE invoice_approval IS 'invoices that were held for a person, and what the person decided';
COMMENT ON COLUMN invoice_approval.token IS 'task token of the waiting step';
COMMENT ON COLUMN invoice_approval.reason IS 'why it was held: ids of the warnings, or that it is above the limit';
COMMENT ON COLUMN invoice_approval.decision IS
	'approved or rejected by a person; withdrawn: cancelled, or the step began anew';

CREATE TABLE invoice_setting (
	currency text PRIMARY KEY,
	approval_limit numeric NOT NULL CHECK (approval_limit >= 0)
);
COMMENT ON TABLE invoice_setting IS 'amounts above which an invoice is held, see invoice_set_approval_limit';
COMMENT ON COLUMN invoice_setting.currency IS 'ISO 4217 code, or default for all others';

-- No foreign keys between the tables below: one function writes them, and a
-- check for each line would cost more than the line.
CREATE TABLE invoice (
	tracking_id uuid PRIMARY KEY,
	seller_key text NOT NULL,
	number text NOT NULL,
	seller text,
	buyer text,
	type_code text,
	currency text,
	issue_date date,
	due_date date,
	line_total numeric NOT NULL,
	allowance_total numeric NOT NULL,
	charge_total numeric NOT NULL,
	tax_exclusive numeric NOT NULL,
	tax_total numeric NOT NULL,
	tax_inclusive numeric NOT NULL,
	prepaid numeric NOT NULL,
	rounding numeric NOT NULL,
	payable numeric NOT NULL,
	settlement text NOT NULL,
	status text NOT NULL CHECK (status IN ('valid', 'void')),
	saved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	voided_at timestamptz
);
CREATE INDEX invoice_number ON invoice (seller_key, number);
COMMENT ON TABLE invoice IS 'invoices and credit notes that passed the rules, with their totals';
COMMENT ON COLUMN invoice.settlement IS 'payment: it is paid; credit: a credit is given; none: nothing is due';
COMMENT ON COLUMN invoice.status IS 'void: the work behind it failed or was cancelled and has been undone';

CREATE TABLE invoice_line (
	tracking_id uuid NOT NULL,
	line integer NOT NULL,
	line_id text,
	name text,
	quantity numeric,
	unit_code text,
	unit_price numeric,
	price_base_quantity numeric,
	net_amount numeric NOT NULL,
	vat_category text,
	vat_rate numeric,
	PRIMARY KEY (tracking_id, line)
);
COMMENT ON TABLE invoice_line IS 'lines of invoices';
COMMENT ON COLUMN invoice_line.line IS 'position in the document, from 1';
COMMENT ON COLUMN invoice_line.line_id IS 'the id that the document gives it';

CREATE TABLE invoice_vat (
	tracking_id uuid NOT NULL,
	position integer NOT NULL,
	category text NOT NULL,
	rate numeric,
	taxable_amount numeric NOT NULL,
	tax_amount numeric NOT NULL,
	PRIMARY KEY (tracking_id, position)
);
COMMENT ON TABLE invoice_vat IS 'VAT breakdown of invoices';

SELECT pg_extension_config_dump('invoice_submission', '');
SELECT pg_extension_config_dump('invoice_document_history', '');
SELECT pg_extension_config_dump('invoice_approval', '');
SELECT pg_extension_config_dump('invoice_setting', '');
SELECT pg_extension_config_dump('invoice', '');
SELECT pg_extension_config_dump('invoice_line', '');
SELECT pg_extension_config_dump('invoice_vat', '');
-- app: submitting.

CREATE FUNCTION invoice_document_key(document json, OUT tracking_id uuid, OUT number text,
	OUT seller_key text, OUT seller text, OUT buyer text, OUT currency text)
AS 'MODULE_PATHNAME', 'saga_invoice_document_key'
LANGUAGE C STRICT VOLATILE PARALLEL SAFE;
COMMENT ON FUNCTION invoice_document_key(json) IS
	'number and parties of a document, and a new tracking id; raises for what invoice_submit refuses';

CREATE FUNCTION invoice_same_document(a json, b json) RETURNS boolean
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
COMMENT ON FUNCTION invoice_same_document(json, json) IS 'whether two documents say the same';

-- dead: its execution ended without success
CREATE FUNCTION invoice_is_dead(execution uuid) RETURNS boolean
LANGUAGE sql STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (SELECT FROM saga.executions e
				   WHERE e.workflow = 'invoice' AND e.execution_id = execution AND e.status IN ('FAILED', 'TIMED_OUT', 'ABORTED'))
$$;
COMMENT ON FUNCTION invoice_is_dead(uuid) IS 'whether an execution has ended without success';

-- The submission that holds a number: null when there is none (any more), or
-- when it was dead and has made room; raises when it is another document.
CREATE FUNCTION invoice_earlier(seller_key text, number text, document json) RETURNS uuid
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
COMMENT ON FUNCTION invoice_earlier(text, text, json) IS
	'the earlier submission of the same document; null when there is none in the way';

-- SECURITY DEFINER: who submits needs EXECUTE on this function and no right on
-- any table, workflow or queue. It runs nothing of the caller's.
CREATE FUNCTION invoice_submit(document json) RETURNS uuid
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
		PERFORM @extschema@.invoice_setup();
	END IF;
	key.tracking_id := saga.start_execution('invoice', jsonb_build_object('tracking_id', key.tracking_id,
		'number', key.number, 'seller', key.seller), NULL, key.tracking_id);
	RETURN key.tracking_id;
END
$$;
COMMENT ON FUNCTION invoice_submit(json) IS
	'takes an invoice and returns its tracking id; the same document again returns the same id';

CREATE FUNCTION invoice_submit_batch(documents json) RETURNS SETOF uuid
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
COMMENT ON FUNCTION invoice_submit_batch(json) IS
	'submits each element of an array and returns their tracking ids in order; one that is refused refuses all';
-- app: documents that a source brings (saga.create_source(..., queue => 'invoice')).

CREATE TABLE invoice_source_message (
	source_message_id text PRIMARY KEY,
	tracking_id uuid NOT NULL,
	source text,
	sent_at timestamptz,
	accepted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX invoice_source_message_tracking ON invoice_source_message (tracking_id);
COMMENT ON TABLE invoice_source_message IS
	'the ids under which documents came through a source, such as the MessageId that SQS gave the client';
COMMENT ON COLUMN invoice_source_message.source_message_id IS 'what the client was given';
COMMENT ON COLUMN invoice_source_message.source IS 'name in saga.sources';
SELECT pg_extension_config_dump('invoice_source_message', '');

-- SECURITY DEFINER: it runs as a step of whoever made the source, who needs no
-- right on the tables. It runs nothing of the caller's.
CREATE FUNCTION invoice_inbox(input jsonb, context jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	document json;
	tracking uuid;
	message text;
	detail text;
BEGIN
	-- What invoice_submit would refuse. Nothing is written here, so the block costs next to nothing.
	BEGIN
		document := (input->>'body')::json;
		PERFORM @extschema@.invoice_document_key(document);
	EXCEPTION WHEN data_exception OR program_limit_exceeded OR configuration_limit_exceeded THEN
		GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
		RETURN saga.failure('InvoiceUnreadable', concat_ws(': ', message, nullif(detail, '')));
	END;
	IF document IS NULL THEN
		RETURN saga.failure('InvoiceUnreadable', 'the message has no body');
	END IF;
	tracking := @extschema@.invoice_submit(document);
	INSERT INTO @extschema@.invoice_source_message (source_message_id, tracking_id, source, sent_at)
		VALUES (input->>'source_message_id', tracking, input->>'source', (input->>'sent_at')::timestamptz)
		ON CONFLICT ON CONSTRAINT invoice_source_message_pkey DO NOTHING;
	RETURN jsonb_build_object('tracking_id', tracking);
END
$$;
COMMENT ON FUNCTION invoice_inbox(jsonb, jsonb) IS
	'takes a document from a source as invoice_submit does, and notes the id it came under; what is no invoice becomes a dead letter with its reason';

SELECT saga.set_inbox('invoice', '@extschema@.invoice_inbox');

-- In place of saga.create_source(name, kind, settings, 'invoice'), whose caller owns the inbox.
CREATE FUNCTION invoice_source(name text, settings jsonb, kind text DEFAULT 'sqs') RETURNS integer
LANGUAGE plpgsql STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	id integer := saga.create_source(name, kind, settings, 'invoice');
	owner regrole;
BEGIN
	PERFORM @extschema@.invoice_setup();
	owner := @extschema@.invoice_workflow_owner();
	IF owner <> quote_ident(current_user)::regrole THEN
		PERFORM saga.set_workflow_owner('invoice-inbox', owner);
		PERFORM saga.set_source_owner(name, owner);
	END IF;
	RETURN id;
END
$$;
COMMENT ON FUNCTION invoice_source(text, jsonb, text) IS
	'makes a source of invoices that belongs, with the workflow of its inbox, to the owner of the invoice workflow';
-- app: the steps of the workflow. They run in a session of the workflow's
-- owner, with its rights. The document stays in invoice_submission; the state
-- holds only what a choice or a request needs.

CREATE FUNCTION invoice_set_approval_limit(currency text, amount numeric) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	code text := CASE WHEN currency = 'default' THEN currency ELSE upper(currency) END;
BEGIN
	IF code IS NULL OR code !~ '^(default|[A-Z]{3})$' THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('"%s" is not a currency', currency),
			HINT = 'Give a code of three letters, or ''default'' for all that have no limit of their own.';
	END IF;
	IF amount IS NULL THEN
		DELETE FROM @extschema@.invoice_setting s WHERE s.currency = code;
	ELSIF amount < 0 OR amount IN ('NaN', 'Infinity') THEN
		RAISE invalid_parameter_value USING MESSAGE = format('approval limit cannot be %s', amount);
	ELSE
		INSERT INTO @extschema@.invoice_setting AS s VALUES (code, amount)
			ON CONFLICT ON CONSTRAINT invoice_setting_pkey DO UPDATE SET approval_limit = excluded.approval_limit;
	END IF;
END
$$;
COMMENT ON FUNCTION invoice_set_approval_limit(text, numeric) IS
	'holds invoices of a currency (or ''default'') whose payable amount is above this one; null: no limit';

-- The cause of InvoiceInvalid: the ids of all violated rules, and the first
-- hundred violations with their places.
CREATE FUNCTION invoice_invalid_cause(violations jsonb) RETURNS text
LANGUAGE sql IMMUTABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_build_object(
		'rules', jsonb_agg(DISTINCT v->'rule'),
		'violations', jsonb_agg(v - 'level' ORDER BY n) FILTER (WHERE n <= 100))::text
	FROM (SELECT v, row_number() OVER (ORDER BY ord) AS n
		  FROM jsonb_array_elements(violations) WITH ORDINALITY AS a (v, ord)
		  WHERE v->>'level' = 'fatal') AS fatal
$$;
COMMENT ON FUNCTION invoice_invalid_cause(jsonb) IS 'the cause of the failure InvoiceInvalid, as JSON text';

CREATE FUNCTION invoice_step_validate(input jsonb, context jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tracking uuid := input->>'tracking_id';
	execution uuid := context#>>'{Execution,Id}';
	submission record;
	result jsonb;
BEGIN
	SELECT s.* INTO submission FROM @extschema@.invoice_submission s WHERE s.tracking_id = tracking;
	IF NOT FOUND OR submission.superseded_at IS NOT NULL THEN
		RETURN saga.failure('InvoiceUnknown',
			format('there is no submission %s, or another one has taken its place', tracking));
	END IF;
	IF submission.execution_id <> execution THEN
		-- a dead letter was redriven: this execution takes the invoice over
		IF EXISTS (SELECT FROM saga.dead_letters d
				   WHERE d.message_id = submission.execution_id AND d.reason = 'Saga.CompensationFailed') THEN
			RETURN saga.failure('InvoiceNotUndone',
				format('execution %s has not been undone completely; see invoice_retry', submission.execution_id));
		END IF;
		UPDATE @extschema@.invoice_submission s SET execution_id = execution, attempts = s.attempts + 1
			WHERE s.tracking_id = tracking AND s.execution_id = submission.execution_id
				AND @extschema@.invoice_is_dead(s.execution_id);
		IF NOT FOUND THEN
			RETURN saga.failure('InvoiceUnknown',
				format('execution %s works on submission %s', submission.execution_id, tracking));
		END IF;
	END IF;
	result := @extschema@.invoice_check(submission.document);
	IF (result->'fatal')::boolean THEN
		RETURN saga.failure('InvoiceInvalid', @extschema@.invoice_invalid_cause(result->'rules'));
	END IF;
	RETURN jsonb_build_object('tracking_id', tracking, 'number', submission.number,
		'seller', jsonb_build_object('id', submission.seller_key, 'name', submission.seller),
		'buyer', submission.buyer, 'currency', submission.currency,
		'type_code', submission.document->>'type_code', 'warnings', result->'warnings');
END
$$;
COMMENT ON FUNCTION invoice_step_validate(jsonb, jsonb) IS
	'step: all rules; fails with InvoiceInvalid and the violated ones, else returns parties, currency and warnings';

-- Adds to the state: kind (invoice or credit-note), totals, postings (the
-- amount of each VAT group), due (the sign of what is payable) with amount
-- (without its sign), and above_limit.
CREATE FUNCTION invoice_step_calculate(input jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	totals jsonb;
	payable numeric;
	above boolean;
BEGIN
	SELECT @extschema@.invoice_calculate(s.document) INTO totals
		FROM @extschema@.invoice_submission s WHERE s.tracking_id = (input->>'tracking_id')::uuid;
	payable := totals->>'payable';
	SELECT abs(payable) > s.approval_limit INTO above
		FROM @extschema@.invoice_setting s
		WHERE s.currency IN (input->>'currency', 'default')
		ORDER BY s.currency = 'default' LIMIT 1;
	RETURN input || jsonb_build_object(
		'kind', CASE WHEN @extschema@.invoice_is_credit_note(input->>'type_code') THEN 'credit-note' ELSE 'invoice' END,
		'totals', totals - '{lines,vat_breakdown}'::text[],
		'postings', (SELECT jsonb_agg(jsonb_build_object('vat_category', v->'category', 'vat_rate', v->'rate', 'amount', v->'taxable_amount'))
					 FROM jsonb_array_elements(totals->'vat_breakdown') AS v),
		'due', sign(payable), 'amount', abs(payable)::text,
		'above_limit', coalesce(above, false));
END
$$;
COMMENT ON FUNCTION invoice_step_calculate(jsonb) IS 'step: the totals, what is due, and whether it is above the limit';

CREATE FUNCTION invoice_step_hold(input jsonb, context jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tracking uuid := input->>'tracking_id';
BEGIN
	-- the step began anew (Retry): the token before this one is void
	UPDATE @extschema@.invoice_approval a SET decided_at = clock_timestamp(), decision = 'withdrawn'
		WHERE a.tracking_id = tracking AND a.decided_at IS NULL;
	INSERT INTO @extschema@.invoice_approval (token, tracking_id, execution_id, reason, currency, payable)
		VALUES (input->>'token', tracking, (context#>>'{Execution,Id}')::uuid,
				(SELECT string_agg(r, ', ')
				 FROM (SELECT 'above the limit' AS r WHERE (input->'above_limit')::boolean
					   UNION ALL SELECT jsonb_array_elements_text(input->'warnings')) AS reasons),
				input->>'currency', (input->>'payable')::numeric);
	RETURN 'null';
END
$$;
COMMENT ON FUNCTION invoice_step_hold(jsonb, jsonb) IS
	'step: notes that an invoice waits for a person, with the task token that invoice_approve and invoice_reject answer';

CREATE FUNCTION invoice_step_save(input jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tracking uuid := input->>'tracking_id';
	submission record;
	document jsonb;
	totals jsonb;
BEGIN
	SELECT s.* INTO STRICT submission FROM @extschema@.invoice_submission s WHERE s.tracking_id = tracking;
	document := submission.document;
	totals := @extschema@.invoice_calculate(submission.document);

	-- an earlier attempt may have saved it, and been undone
	DELETE FROM @extschema@.invoice i WHERE i.tracking_id = tracking;
	IF FOUND THEN
		DELETE FROM @extschema@.invoice_line l WHERE l.tracking_id = tracking;
		DELETE FROM @extschema@.invoice_vat v WHERE v.tracking_id = tracking;
	END IF;

	INSERT INTO @extschema@.invoice
		SELECT tracking, submission.seller_key, submission.number, submission.seller, submission.buyer,
			document->>'type_code', submission.currency,
			(document->>'issue_date')::date, (document->>'due_date')::date,
			t.line_total, t.allowance_total, t.charge_total, t.tax_exclusive, t.tax_total, t.tax_inclusive,
			t.prepaid, t.rounding, t.payable, coalesce(input->>'settlement', 'none'), 'valid'
		FROM jsonb_to_record(totals) AS t (line_total numeric, allowance_total numeric, charge_total numeric,
			tax_exclusive numeric, tax_total numeric, tax_inclusive numeric, prepaid numeric,
			rounding numeric, payable numeric);
	INSERT INTO @extschema@.invoice_line
		SELECT tracking, l.n, l.line->>'id', l.line->>'name', (l.line->>'quantity')::numeric,
			l.line->>'unit_code', (l.line->>'unit_price')::numeric, (l.line->>'price_base_quantity')::numeric,
			(totals->'lines'->>(l.n::integer - 1))::numeric,
			l.line->>'vat_category', (l.line->>'vat_rate')::numeric
		FROM jsonb_array_elements(document->'lines') WITH ORDINALITY AS l (line, n);
	INSERT INTO @extschema@.invoice_vat
		SELECT tracking, v.n, v.vat->>'category', (v.vat->>'rate')::numeric,
			(v.vat->>'taxable_amount')::numeric, (v.vat->>'tax_amount')::numeric
		FROM jsonb_array_elements(totals->'vat_breakdown') WITH ORDINALITY AS v (vat, n);
	RETURN 'null';
END
$$;
COMMENT ON FUNCTION invoice_step_save(jsonb) IS 'step: writes the tables invoice, invoice_line and invoice_vat';

CREATE FUNCTION invoice_step_void(input jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE @extschema@.invoice i SET status = 'void', voided_at = clock_timestamp()
		WHERE i.tracking_id = (input#>>'{input,tracking_id}')::uuid;
	RETURN 'null';
END
$$;
COMMENT ON FUNCTION invoice_step_void(jsonb) IS 'compensation of invoice_step_save: marks the saved invoice void';
-- app: the workflow itself. The definition is src/invoice/invoice.asl.json.

CREATE FUNCTION invoice_definition() RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
	-- the name of the schema may need quotes, and these a backslash in JSON
	SELECT replace($definition$
{
  "Comment": "An invoice from its document to payment, accounting and announcement. What fails after Save is undone in reverse order.",
  "StartAt": "Validate",
  "TimeoutSeconds": 7776000,
  "States": {
    "Validate": {
      "Comment": "All rules. Fails with InvoiceInvalid; the cause lists the violated rules.",
      "Type": "Task",
      "Resource": "sql:invoice_step_validate",
      "TimeoutSeconds": 60,
      "Next": "Calculate"
    },
    "Calculate": {
      "Comment": "Totals, what is due, and whether that is above the approval limit.",
      "Type": "Task",
      "Resource": "sql:invoice_step_calculate",
      "TimeoutSeconds": 60,
      "Next": "Needs a person"
    },
    "Needs a person": {
      "Comment": "Action A: nothing to look at, straight on. Action B: any warning, or a large amount, waits for a person.",
      "Type": "Choice",
      "Choices": [
        {"Variable": "$.warnings[0]", "IsPresent": true, "Next": "Hold"},
        {"Variable": "$.above_limit", "BooleanEquals": true, "Next": "Hold"}
      ],
      "Default": "What is due"
    },
    "Hold": {
      "Comment": "invoice_approve and invoice_reject answer the token.",
      "Type": "Task",
      "Resource": "sql:invoice_step_hold.waitForTaskToken",
      "Parameters": {
        "tracking_id.$": "$.tracking_id",
        "token.$": "$$.Task.Token",
        "warnings.$": "$.warnings",
        "above_limit.$": "$.above_limit",
        "currency.$": "$.currency",
        "payable.$": "$.totals.payable"
      },
      "ResultPath": "$.approval",
      "TimeoutSeconds": 2592000,
      "Catch": [{"ErrorEquals": ["States.Timeout"], "ResultPath": null, "Next": "Nobody decided"}],
      "Next": "What is due"
    },
    "Nobody decided": {
      "Type": "Fail",
      "Error": "InvoiceRejected",
      "Cause": "nobody approved it within 30 days"
    },
    "What is due": {
      "Comment": "An invoice is paid, a credit note gives a credit; a negative amount turns it round.",
      "Type": "Choice",
      "Choices": [
        {"Variable": "$.due", "NumericEquals": 0, "Next": "Nothing due"},
        {
          "Or": [
            {"And": [{"Variable": "$.kind", "StringEquals": "invoice"}, {"Variable": "$.due", "NumericEquals": 1}]},
            {"And": [{"Variable": "$.kind", "StringEquals": "credit-note"}, {"Variable": "$.due", "NumericEquals": -1}]}
          ],
          "Next": "Take the payment"
        }
      ],
      "Default": "Give a credit"
    },
    "Take the payment": {"Type": "Pass", "Result": "payment", "ResultPath": "$.settlement", "Next": "Save"},
    "Give a credit": {"Type": "Pass", "Result": "credit", "ResultPath": "$.settlement", "Next": "Save"},
    "Nothing due": {"Type": "Pass", "Result": "none", "ResultPath": "$.settlement", "Next": "Save"},
    "Save": {
      "Comment": "Tables invoice, invoice_line and invoice_vat.",
      "Type": "Task",
      "Resource": "sql:invoice_step_save",
      "ResultPath": null,
      "TimeoutSeconds": 60,
      "Compensate": "Void",
      "Next": "Settle"
    },
    "Void": {
      "Type": "Task",
      "Resource": "sql:invoice_step_void"
    },
    "Settle": {
      "Type": "Choice",
      "Choices": [
        {"Variable": "$.settlement", "StringEquals": "payment", "Next": "Pay"},
        {"Variable": "$.settlement", "StringEquals": "credit", "Next": "Credit"}
      ],
      "Default": "Which document"
    },
    "Pay": {
      "Type": "Task",
      "Resource": "arn:aws:states:::http:invoke",
      "Parameters": {
        "ApiEndpoint": "saga:payments/v1/payments",
        "Method": "POST",
        "RequestBody": {
          "reference.$": "$.tracking_id",
          "number.$": "$.number",
          "seller.$": "$.seller",
          "buyer.$": "$.buyer",
          "currency.$": "$.currency",
          "amount.$": "$.amount"
        }
      },
      "ResultSelector": {"id.$": "$.ResponseBody.id"},
      "ResultPath": "$.paid",
      "TimeoutSeconds": 172800,
      "Compensate": "Refund",
      "Next": "Which document"
    },
    "Refund": {
      "Type": "Task",
      "Resource": "arn:aws:states:::http:invoke",
      "Parameters": {
        "ApiEndpoint.$": "States.Format('saga:payments/v1/payments/{}/refund', $.output.ResponseBody.id)",
        "Method": "POST",
        "RequestBody": {"reason.$": "$.error.Error"}
      },
      "TimeoutSeconds": 172800
    },
    "Credit": {
      "Type": "Task",
      "Resource": "arn:aws:states:::http:invoke",
      "Parameters": {
        "ApiEndpoint": "saga:payments/v1/credits",
        "Method": "POST",
        "RequestBody": {
          "reference.$": "$.tracking_id",
          "number.$": "$.number",
          "seller.$": "$.seller",
          "buyer.$": "$.buyer",
          "currency.$": "$.currency",
          "amount.$": "$.amount"
        }
      },
      "ResultSelector": {"id.$": "$.ResponseBody.id"},
      "ResultPath": "$.credited",
      "TimeoutSeconds": 172800,
      "Compensate": "Reverse the credit",
      "Next": "Which document"
    },
    "Reverse the credit": {
      "Type": "Task",
      "Resource": "arn:aws:states:::http:invoke",
      "Parameters": {
        "ApiEndpoint.$": "States.Format('saga:payments/v1/credits/{}/reverse', $.output.ResponseBody.id)",
        "Method": "POST",
        "RequestBody": {"reason.$": "$.error.Error"}
      },
      "TimeoutSeconds": 172800
    },
    "Which document": {
      "Type": "Choice",
      "Choices": [{"Variable": "$.kind", "StringEquals": "credit-note", "Next": "Book the credit note"}],
      "Default": "Book the invoice"
    },
    "Book the invoice": {
      "Type": "Task",
      "Resource": "arn:aws:states:::http:invoke",
      "Parameters": {
        "ApiEndpoint": "saga:accounting/v1/invoices",
        "Method": "POST",
        "RequestBody": {
          "number.$": "$.number",
          "currency.$": "$.currency",
          "seller.$": "$.seller",
          "buyer.$": "$.buyer",
          "total.$": "$.totals.tax_inclusive",
          "tax.$": "$.totals.tax_total",
          "lines.$": "$.postings"
        }
      },
      "ResultSelector": {"id.$": "$.ResponseBody.id"},
      "ResultPath": "$.booked",
      "TimeoutSeconds": 172800,
      "Compensate": "Void the booking",
      "Next": "Announce"
    },
    "Void the booking": {
      "Type": "Task",
      "Resource": "arn:aws:states:::http:invoke",
      "Parameters": {
        "ApiEndpoint.$": "States.Format('saga:accounting/v1/invoices/{}/void', $.output.ResponseBody.id)",
        "Method": "POST",
        "RequestBody": {"reason.$": "$.error.Error"}
      },
      "TimeoutSeconds": 172800
    },
    "Book the credit note": {
      "Type": "Task",
      "Resource": "arn:aws:states:::http:invoke",
      "Parameters": {
        "ApiEndpoint": "saga:accounting/v1/credit-notes",
        "Method": "POST",
        "RequestBody": {
          "number.$": "$.number",
          "currency.$": "$.currency",
          "seller.$": "$.seller",
          "buyer.$": "$.buyer",
          "total.$": "$.totals.tax_inclusive",
          "tax.$": "$.totals.tax_total",
          "lines.$": "$.postings"
        }
      },
      "ResultSelector": {"id.$": "$.ResponseBody.id"},
      "ResultPath": "$.booked",
      "TimeoutSeconds": 172800,
      "Compensate": "Void the credit note",
      "Next": "Announce"
    },
    "Void the credit note": {
      "Type": "Task",
      "Resource": "arn:aws:states:::http:invoke",
      "Parameters": {
        "ApiEndpoint.$": "States.Format('saga:accounting/v1/credit-notes/{}/void', $.output.ResponseBody.id)",
        "Method": "POST",
        "RequestBody": {"reason.$": "$.error.Error"}
      },
      "TimeoutSeconds": 172800
    },
    "Announce": {
      "Type": "Task",
      "Resource": "arn:aws:states:::sns:publish",
      "Parameters": {
        "TopicArn": "saga:invoice-events",
        "Message": {
          "event": "invoice.booked",
          "tracking_id.$": "$.tracking_id",
          "number.$": "$.number",
          "kind.$": "$.kind",
          "seller.$": "$.seller",
          "buyer.$": "$.buyer",
          "currency.$": "$.currency",
          "payable.$": "$.totals.payable",
          "settlement.$": "$.settlement",
          "booking.$": "$.booked.id"
        }
      },
      "ResultSelector": {"message_id.$": "$.MessageId"},
      "ResultPath": "$.announced",
      "TimeoutSeconds": 172800,
      "Next": "Done"
    },
    "Done": {"Type": "Succeed"}
  }
}
$definition$, 'sql:invoice_', 'sql:' || trim('"' FROM to_json('@extschema@.'::text)::text) || 'invoice_')::jsonb
$function$;
COMMENT ON FUNCTION invoice_definition() IS
	'the invoice workflow as it is shipped; change it and give it to saga.create_workflow(''invoice'', ...) to run your own';

-- What the owner of the workflow needs for its steps, and no more.
CREATE FUNCTION invoice_grant_steps(owner regrole) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	EXECUTE format('GRANT USAGE ON SCHEMA saga, @extschema@ TO %s', owner);
	EXECUTE format('GRANT EXECUTE ON FUNCTION saga.failure(text, text),
		@extschema@.invoice_step_validate(jsonb, jsonb), @extschema@.invoice_step_calculate(jsonb),
		@extschema@.invoice_step_hold(jsonb, jsonb), @extschema@.invoice_step_save(jsonb),
		@extschema@.invoice_step_void(jsonb), @extschema@.invoice_check(json),
		@extschema@.invoice_calculate(json), @extschema@.invoice_invalid_cause(jsonb),
		@extschema@.invoice_is_credit_note(text), @extschema@.invoice_is_dead(uuid),
		@extschema@.invoice_inbox(jsonb, jsonb) TO %s', owner);
	EXECUTE format('GRANT EXECUTE ON ROUTINE saga.drain(text, integer), saga.publish(),
		@extschema@.invoice_process(), @extschema@.invoice_ready(),
		@extschema@.invoice_schedule(text), @extschema@.invoice_unschedule() TO %s', owner);
	EXECUTE format('GRANT SELECT ON saga.executions, saga.dead_letters, saga.queues, @extschema@.invoice_submission,
		@extschema@.invoice_setting TO %s', owner);
	EXECUTE format('GRANT UPDATE (execution_id, attempts) ON @extschema@.invoice_submission TO %s', owner);
	EXECUTE format('GRANT SELECT, INSERT, UPDATE ON @extschema@.invoice_approval TO %s', owner);
	EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON @extschema@.invoice,
		@extschema@.invoice_line, @extschema@.invoice_vat TO %s', owner);
END
$$;
COMMENT ON FUNCTION invoice_grant_steps(regrole) IS 'grants a role what the steps of the invoice workflow need';

CREATE FUNCTION invoice_workflow_owner() RETURNS regrole
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT w.owner FROM saga.workflow w WHERE w.name = 'invoice'
$$;
COMMENT ON FUNCTION invoice_workflow_owner() IS 'owner of the invoice workflow; null when there is none yet';

CREATE FUNCTION invoice_setup(owner regrole DEFAULT NULL) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	present regrole;
BEGIN
	-- one at a time: two first submitters would make two versions
	PERFORM pg_advisory_xact_lock('@extschema@.invoice_submission'::regclass::oid::bigint);
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
COMMENT ON FUNCTION invoice_setup(regrole) IS
	'makes the workflow invoice unless it is there, and gives it to a role (default: the caller) with the rights that its steps need';
-- app: what a person does with an invoice on its way.
--
-- All of these are SECURITY DEFINER: a clerk needs EXECUTE on the function and
-- no right on the tables or the workflow behind it. They run nothing of the
-- caller's.

-- The submission, locked, so that two decisions on one invoice come one after the other.
CREATE FUNCTION invoice_lock(tracking_id uuid) RETURNS invoice_submission
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	submission @extschema@.invoice_submission;
BEGIN
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
COMMENT ON FUNCTION invoice_lock(uuid) IS 'locks and returns a submission; raises when there is none';

-- Closes the open approval and returns its token.
CREATE FUNCTION invoice_decide(tracking_id uuid, decision text, note text) RETURNS text
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
COMMENT ON FUNCTION invoice_decide(uuid, text, text) IS 'notes a decision on a held invoice and returns the task token to answer';

CREATE FUNCTION invoice_approve(tracking_id uuid) RETURNS void
LANGUAGE plpgsql STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM saga.send_task_success(@extschema@.invoice_decide(tracking_id, 'approved', NULL),
		jsonb_build_object('decision', 'approved', 'by', session_user));
END
$$;
COMMENT ON FUNCTION invoice_approve(uuid) IS 'lets a held invoice go on';

CREATE FUNCTION invoice_reject(tracking_id uuid, reason text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF tracking_id IS NULL OR coalesce(reason, '') !~ '\S' THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'rejecting an invoice needs its tracking id and a reason',
			HINT = 'The reason is what invoice_dlq shows as the cause.';
	END IF;
	PERFORM saga.send_task_failure(@extschema@.invoice_decide(tracking_id, 'rejected', reason),
		'InvoiceRejected', reason);
END
$$;
COMMENT ON FUNCTION invoice_reject(uuid, text) IS 'ends a held invoice as rejected: it becomes a dead letter with the reason';

CREATE FUNCTION invoice_cancel(tracking_id uuid) RETURNS void
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
			HINT = CASE WHEN status = 'completed' THEN 'What is booked is corrected with a credit note.' END;
	END IF;
	UPDATE @extschema@.invoice_approval a
		SET decided_at = clock_timestamp(), decision = 'withdrawn', decided_by = session_user, note = 'cancelled'
		WHERE a.tracking_id = submission.tracking_id AND a.decided_at IS NULL;
	PERFORM saga.stop_execution(submission.execution_id, 'InvoiceCancelled',
		format('cancelled by %s', session_user), true);
END
$$;
COMMENT ON FUNCTION invoice_cancel(uuid) IS 'stops an invoice that is not completed; what was done is undone in reverse order';

-- Puts a corrected document in the place of the old one.
CREATE FUNCTION invoice_correct(submission invoice_submission, corrected json) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	key record := @extschema@.invoice_document_key(corrected);
	earlier uuid;
BEGIN
	IF (key.seller_key, key.number) <> (submission.seller_key, submission.number) THEN
		earlier := @extschema@.invoice_earlier(key.seller_key, key.number, corrected);
		IF earlier IS NOT NULL THEN
			RAISE unique_violation USING
				MESSAGE = format('the corrected document was already submitted as %s', earlier);
		END IF;
	END IF;
	INSERT INTO @extschema@.invoice_document_history (tracking_id, document)
		VALUES (submission.tracking_id, submission.document);
	UPDATE @extschema@.invoice_submission s
		SET seller_key = key.seller_key, number = key.number, seller = key.seller, buyer = key.buyer,
			currency = key.currency, document = corrected
		WHERE s.tracking_id = submission.tracking_id;
END
$$;
COMMENT ON FUNCTION invoice_correct(invoice_submission, json) IS 'replaces the document of a submission and keeps the old one';

CREATE FUNCTION invoice_retry(tracking_id uuid, corrected json DEFAULT NULL, force boolean DEFAULT false) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	submission @extschema@.invoice_submission := @extschema@.invoice_lock(tracking_id);
	status text := @extschema@.invoice_status(tracking_id);
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
	IF NOT coalesce(force, false) AND EXISTS (
		SELECT FROM @extschema@.invoice_dlq d WHERE d.tracking_id = invoice_retry.tracking_id AND NOT d.compensated) THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('invoice %s has not been undone completely', tracking_id),
			DETAIL = 'A payment, credit or booking of the last attempt may still stand; a retry would make it again.',
			HINT = 'Undo it by hand (invoice_dlq shows what is left), then call invoice_retry with force => true.';
	END IF;
	IF corrected IS NOT NULL THEN
		PERFORM @extschema@.invoice_correct(submission, corrected);
	END IF;
	UPDATE @extschema@.invoice_submission s SET execution_id = saga.make_id(), attempts = s.attempts + 1
		WHERE s.tracking_id = submission.tracking_id
		RETURNING s.* INTO submission;
	PERFORM saga.start_execution('invoice', jsonb_build_object('tracking_id', submission.tracking_id,
		'number', submission.number, 'seller', submission.seller), NULL, submission.execution_id);
	RETURN submission.tracking_id;
END
$$;
COMMENT ON FUNCTION invoice_retry(uuid, json, boolean) IS
	'starts a dead invoice again under the same tracking id, with a corrected document if one is given; force: although something of the last attempt was not undone';
-- app: what people look at. The views show all invoices to whoever may read
-- them: the rights that count are those on the view.

-- Rule ids out of a cause; null when it has none (a changed workflow may say
-- anything there).
CREATE FUNCTION invoice_violated_rules(cause text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN ARRAY(SELECT jsonb_array_elements_text(cause::jsonb->'rules'));
EXCEPTION WHEN OTHERS THEN
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION invoice_violated_rules(text) IS 'ids of the violated rules in the cause of InvoiceInvalid';

CREATE VIEW invoice_tracking AS
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
	FROM invoice_submission s
		-- OFFSET 0: looks each one up by its key; a join would read all executions for one invoice
		LEFT JOIN LATERAL (SELECT x.status, x.error, x.current_state, x.stopped_at
			FROM saga.all_executions x
			WHERE x.workflow = 'invoice' AND x.execution_id = s.execution_id OFFSET 0) e ON true
		LEFT JOIN invoice i ON i.tracking_id = s.tracking_id
		LEFT JOIN invoice_approval a ON a.tracking_id = s.tracking_id
			AND a.execution_id = s.execution_id AND a.decided_at IS NULL
		LEFT JOIN invoice_source_message m ON m.tracking_id = s.tracking_id;
COMMENT ON VIEW invoice_tracking IS
	'every submitted invoice and where it is; one that came through a source under several ids has a row for each';
COMMENT ON COLUMN invoice_tracking.source_message_id IS
	'the id that the client was given when the invoice came through a source: the MessageId of SQS; null when it did not';
COMMENT ON COLUMN invoice_tracking.status IS
	'queued: not begun; processing; held: waits for invoice_approve or invoice_reject; undoing: failed or cancelled, what was done is being undone; completed; failed or rejected: see invoice_dlq; cancelled';
COMMENT ON COLUMN invoice_tracking.current_step IS 'state of the workflow that it is in; null when it has not begun or has ended';
COMMENT ON COLUMN invoice_tracking.attempts IS '1, and one more for each invoice_retry';
COMMENT ON COLUMN invoice_tracking.payable IS 'amount due as computed; null before it is held or saved';
COMMENT ON COLUMN invoice_tracking.error IS 'name of the error that ended it: InvoiceInvalid, InvoiceRejected, InvoiceCancelled, or one of the workflow engine';

CREATE FUNCTION invoice_status(tracking_id uuid) RETURNS text
LANGUAGE sql STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT t.status FROM @extschema@.invoice_tracking t WHERE t.tracking_id = $1
$$;
COMMENT ON FUNCTION invoice_status(uuid) IS 'status of an invoice as in invoice_tracking';

CREATE VIEW invoice_held AS
	SELECT a.tracking_id, s.number, s.seller, s.buyer, a.currency, a.payable, a.reason, a.held_at
	FROM invoice_approval a
		JOIN invoice_submission s ON s.tracking_id = a.tracking_id AND s.execution_id = a.execution_id
	WHERE a.decided_at IS NULL
		AND EXISTS (SELECT FROM saga.all_executions e
			WHERE e.workflow = 'invoice' AND e.execution_id = a.execution_id AND e.status = 'RUNNING' OFFSET 0);
COMMENT ON VIEW invoice_held IS 'invoices that wait for invoice_approve or invoice_reject';
COMMENT ON COLUMN invoice_held.reason IS 'ids of the warnings, or "above the limit"';

CREATE VIEW invoice_dlq AS
	SELECT s.tracking_id, s.number, s.seller, d.reason,
		CASE WHEN d.reason <> 'Saga.CompensationFailed' THEN d.cause
			ELSE concat_ws('; ', concat_ws(': ', d.details->>'error', d.cause),
				'not undone: ' || (SELECT string_agg(n->>'state', ', ')
								   FROM jsonb_array_elements(d.details->'not_compensated') AS n))
		END AS cause,
		invoice_violated_rules(d.cause) AS rules, s.attempts, d.failed_at,
		d.reason <> 'Saga.CompensationFailed' AS compensated, s.document,
		(SELECT min(m.source_message_id) FROM invoice_source_message m WHERE m.tracking_id = s.tracking_id)
			AS source_message_id
	FROM saga.all_dead_letters d
		JOIN invoice_submission s ON s.execution_id = d.message_id
			AND s.tracking_id = CASE WHEN d.body->>'tracking_id' ~ '^[0-9a-f-]{36}$' THEN (d.body->>'tracking_id')::uuid END
	WHERE d.queue = 'invoice' AND d.kind = 'execution'
UNION ALL
	SELECT NULL, NULL, NULL, d.reason, d.cause, NULL, d.receives, d.failed_at, true,
		to_json(d.body->>'body'), d.body->>'source_message_id'
	FROM saga.all_dead_letters d
	WHERE d.queue = 'invoice-inbox' AND d.kind = 'execution' AND d.redriven_at IS NULL;
COMMENT ON VIEW invoice_dlq IS
	'invoices that failed for good and wait for a person, see invoice_retry; those without tracking_id came through a source and are no invoices, or not acceptable ones, see saga.redrive';
COMMENT ON COLUMN invoice_dlq.source_message_id IS
	'the (first) id that the client was given when it came through a source; null when it did not';
COMMENT ON COLUMN invoice_dlq.document IS 'as received; what is no invoice as a text';
COMMENT ON COLUMN invoice_dlq.reason IS
	'InvoiceInvalid, InvoiceRejected, an error of the payment or accounting service (States.Http.StatusCode.422 ...) or of the workflow engine; Saga.CompensationFailed: something could not be undone';
COMMENT ON COLUMN invoice_dlq.cause IS 'for InvoiceInvalid JSON with the violated rules and their places, else text';
COMMENT ON COLUMN invoice_dlq.rules IS 'ids of the violated rules; null when it did not fail for them';
COMMENT ON COLUMN invoice_dlq.compensated IS 'whether everything that had been done has been undone';
-- app: the run without background workers, and its schedule.

CREATE FUNCTION invoice_ready() RETURNS boolean
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (SELECT FROM saga.queues q WHERE q.name = 'invoice' AND q.ready > 0)
$$;
COMMENT ON FUNCTION invoice_ready() IS 'whether an invoice, or a reply to one, waits to be worked on now';

-- No SET clause and no SECURITY DEFINER: either would make COMMIT fail.
CREATE PROCEDURE invoice_process()
LANGUAGE plpgsql
AS $$
BEGIN
	-- Each round does all that is ready, and replies make work for the next; an
	-- invoice needs four. The bound is for workers that keep the queue filled.
	FOR round IN 1..100 LOOP
		CALL saga.drain('invoice');
		CALL saga.publish();
		EXIT WHEN NOT @extschema@.invoice_ready();
	END LOOP;
END
$$;
COMMENT ON PROCEDURE invoice_process() IS
	'does the work on invoices that is ready now, as the owner of the workflow; needs no background worker and does no harm beside them';

CREATE FUNCTION invoice_schedule(cron text) RETURNS bigint
LANGUAGE plpgsql STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	job bigint;
	database text;
BEGIN
	IF NOT EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_cron') THEN
		IF pg_has_role('pg_read_all_settings', 'USAGE') THEN
			database := current_setting('cron.database_name', true);
		END IF;
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = 'invoices cannot be scheduled without pg_cron in this database',
			HINT = CASE
				WHEN database IS NULL THEN
					'Ask an administrator to add pg_cron to shared_preload_libraries and to create the extension in this database.'
				WHEN database = current_database() THEN 'Run CREATE EXTENSION pg_cron.'
				ELSE format('In the database "%s" run SELECT cron.schedule_in_database(%L, %L, %L, %L, %L).',
					database, 'invoice', cron, 'CALL @extschema@.invoice_process()', current_database(), current_user)
			END;
	END IF;
	EXECUTE 'SELECT cron.schedule($1, $2, $3)' INTO job
		USING 'invoice', cron, 'CALL @extschema@.invoice_process()';
	RETURN job;
END
$$;
COMMENT ON FUNCTION invoice_schedule(text) IS
	'lets pg_cron call invoice_process() on a schedule such as ''0 6 1 * *'', as the current user; once more replaces the schedule. Returns the id of the job';

CREATE FUNCTION invoice_unschedule() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	job bigint;
BEGIN
	IF NOT EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_cron') THEN
		RETURN false;
	END IF;
	EXECUTE 'SELECT jobid FROM cron.job WHERE jobname = $1 AND username = current_user' INTO job USING 'invoice';
	IF job IS NOT NULL THEN
		EXECUTE 'SELECT cron.unschedule($1)' USING job;
	END IF;
	RETURN job IS NOT NULL;
END
$$;
COMMENT ON FUNCTION invoice_unschedule() IS 'removes the schedule of the current user; false if there was none';
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
