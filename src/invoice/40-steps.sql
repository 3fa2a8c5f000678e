-- app: the steps of the workflow. They run in a session of the workflow's
-- owner, with its rights. The document stays in invoice_submission; the state
-- holds only what a choice or a request needs.

CREATE FUNCTION @extschema@.invoice_set_approval_limit(currency text, amount numeric) RETURNS void
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
		DELETE FROM @extschema@.invoice_approval_limit s WHERE s.currency = code;
	ELSIF amount < 0 OR amount IN ('NaN', 'Infinity') THEN
		RAISE invalid_parameter_value USING MESSAGE = format('approval limit cannot be %s', amount);
	ELSE
		INSERT INTO @extschema@.invoice_approval_limit AS s VALUES (code, amount)
			ON CONFLICT ON CONSTRAINT invoice_approval_limit_pkey DO UPDATE SET approval_limit = excluded.approval_limit;
	END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_set_approval_limit(text, numeric) IS
	'holds invoices of a currency (or ''default'') whose payable amount is above this one; null: no limit';

-- The cause of InvoiceInvalid: the ids of all violated rules, and the first
-- hundred violations with their places.
CREATE FUNCTION @extschema@.invoice_invalid_cause(violations jsonb) RETURNS text
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
COMMENT ON FUNCTION @extschema@.invoice_invalid_cause(jsonb) IS 'the cause of the failure InvoiceInvalid, as JSON text';

CREATE FUNCTION @extschema@.invoice_step_validate(input jsonb, context jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tracking uuid := input->>'tracking_id';
	execution uuid := context#>>'{Execution,Id}';
	submission record;
	result jsonb;
BEGIN
	IF (context#>>'{Execution,RedriveCount}')::integer > 0 THEN
		-- it goes on after its end: who submits its number now has taken its place, or finds it alive
		PERFORM FROM @extschema@.invoice_submission s WHERE s.tracking_id = tracking FOR NO KEY UPDATE;
	END IF;
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
COMMENT ON FUNCTION @extschema@.invoice_step_validate(jsonb, jsonb) IS
	'step: all rules; fails with InvoiceInvalid and the violated ones, else returns parties, currency and warnings';

-- Adds to the state: kind (invoice or credit-note), totals, postings (the
-- amount of each VAT group), due (the sign of what is payable) with amount
-- (without its sign), and above_limit.
CREATE FUNCTION @extschema@.invoice_step_calculate(input jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	document json;
	doubts text[] := '{}';
	alike boolean;
	totals jsonb;
	payable numeric;
	above boolean;
BEGIN
	-- the first of numbers that look alike is one in doubt too, when another one was approved and stands
	SELECT s.document, @extschema@.invoice_calculate(s.document), s.possible_duplicate OR EXISTS (
			SELECT FROM @extschema@.invoice_submission o JOIN @extschema@.invoice i ON i.tracking_id = o.tracking_id
			WHERE o.seller_key = s.seller_key AND o.number_key = s.number_key AND o.number_scope = s.number_scope
				AND o.possible_duplicate AND o.tracking_id <> s.tracking_id AND i.status = 'valid')
		INTO document, totals, alike
		FROM @extschema@.invoice_submission s WHERE s.tracking_id = (input->>'tracking_id')::uuid;
	payable := totals->>'payable';
	SELECT abs(payable) > s.approval_limit INTO above
		FROM @extschema@.invoice_approval_limit s
		WHERE s.currency IN (input->>'currency', 'default')
		ORDER BY s.currency = 'default' LIMIT 1;
	-- Reasons to ask a person that are no rules: the document is valid, but money could go the wrong way (a
	-- credit note with negative amounts is most often meant as a credit), twice (a number that was typed in
	-- another way), or a VAT return lack an amount. Not in a function of its own: after an update the
	-- workflow's owner would have no right to it.
	IF alike THEN
		doubts := doubts || 'INV-DUPLICATE'::text;
	END IF;
	IF payable < 0 THEN
		doubts := doubts || 'INV-SIGN'::text;
	END IF;
	IF btrim(document->>'tax_currency', E' \t\n\r\f') <> ''
		AND (document->>'tax_currency' = document->>'currency' OR document#>>'{totals,tax_total_accounting}' IS NULL) THEN
		doubts := doubts || 'INV-TAX-CURRENCY'::text;
	END IF;
	RETURN input || jsonb_build_object(
		'warnings', coalesce(input->'warnings', '[]') || to_jsonb(doubts),
		'kind', CASE WHEN @extschema@.invoice_is_credit_note(input->>'type_code') THEN 'credit-note' ELSE 'invoice' END,
		'totals', totals - '{lines,vat_breakdown}'::text[],
		'postings', (SELECT jsonb_agg(jsonb_build_object('vat_category', v->'category', 'vat_rate', v->'rate', 'amount', v->'taxable_amount'))
					 FROM jsonb_array_elements(totals->'vat_breakdown') AS v),
		'due', sign(payable), 'amount', abs(payable)::text,
		'above_limit', coalesce(above, false));
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_step_calculate(jsonb) IS 'step: the totals, what is due, and whether it is above the limit';

CREATE FUNCTION @extschema@.invoice_step_hold(input jsonb, context jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tracking uuid := input->>'tracking_id';
	submission record;
	approval_limit numeric;
	alike text;
	words jsonb;
BEGIN
	-- the step began anew (Retry): the token before this one is void
	UPDATE @extschema@.invoice_approval a SET decided_at = clock_timestamp(), decision = 'withdrawn'
		WHERE a.tracking_id = tracking AND a.decided_at IS NULL;
	IF (context#>>'{Execution,RedriveCount}')::integer > 0 THEN
		PERFORM FROM @extschema@.invoice_submission s WHERE s.tracking_id = tracking FOR NO KEY UPDATE;
	END IF;
	SELECT s.* INTO submission FROM @extschema@.invoice_submission s WHERE s.tracking_id = tracking;
	IF submission.superseded_at IS NOT NULL THEN
		RETURN saga.failure('InvoiceUnknown', format('another submission has taken the place of %s', tracking));
	END IF;
	SELECT s.approval_limit INTO approval_limit FROM @extschema@.invoice_approval_limit s
		WHERE s.currency IN (input->>'currency', 'default')
		ORDER BY s.currency = 'default' LIMIT 1;
	-- In two parts, each of which has its index. What one has left is not asked of a function of ours: after
	-- an update the workflow's owner would have no right to it.
	SELECT string_agg(f.one, ', ') INTO alike FROM (
		SELECT format('"%s" (%s)', o.number, concat(o.tracking_id, '; may still stand: ' || l.words)) AS one
		FROM (SELECT d.* FROM @extschema@.invoice_submission d
				WHERE d.seller_key = submission.seller_key AND d.number_key = submission.number_key
					AND d.number_scope = submission.number_scope AND NOT d.possible_duplicate AND d.superseded_at IS NULL
			UNION ALL SELECT d.* FROM @extschema@.invoice_submission d
				WHERE d.seller_key = submission.seller_key AND d.number_key = submission.number_key
					AND d.number_scope = submission.number_scope AND d.possible_duplicate) o
			CROSS JOIN LATERAL (
				SELECT string_agg(DISTINCT concat(x->>'state', CASE WHEN x->>'outcome' IS DISTINCT FROM 'done' THEN ' (nobody knows whether it is there)' END), ', ') AS words
				FROM (SELECT e.not_compensated AS list FROM saga.executions e WHERE e.execution_id = ANY (o.left_by || o.execution_id)
						UNION ALL SELECT n.details->'not_compensated' FROM saga.dead_letters n WHERE n.message_id = ANY (o.left_by || o.execution_id)) k
					CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(k.list) WHEN 'array' THEN k.list ELSE '[]' END) x) l
		WHERE o.tracking_id <> tracking AND (o.superseded_at IS NULL OR l.words IS NOT NULL)
		LIMIT 20) f;
	-- what the reasons are in words, as far as they are ours
	words := jsonb_build_object(
		'INV-DUPLICATE', concat(' /number: the number looks like that of another invoice of this seller', ': ' || alike),
		'INV-SIGN', format(' /totals/payable: %s %s is due: a credit note has positive amounts, and an invoice seldom a negative one', input->>'payable', input->>'currency'),
		'INV-TAX-CURRENCY', ' /tax_currency: ' || CASE WHEN submission.document->>'tax_currency' = submission.document->>'currency'
			THEN 'it is the currency of the invoice' ELSE 'the VAT in it (/totals/tax_total_accounting) is missing' END);
	INSERT INTO @extschema@.invoice_approval (token, tracking_id, execution_id, reason, currency, payable, messages)
		VALUES (input->>'token', tracking, (context#>>'{Execution,Id}')::uuid,
				(SELECT string_agg(r, ', ')
				 FROM (SELECT 'above the limit' AS r WHERE (input->'above_limit')::boolean
					   UNION ALL SELECT jsonb_array_elements_text(input->'warnings')) AS reasons),
				input->>'currency', (input->>'payable')::numeric,
				ARRAY(SELECT concat('above the limit /totals/payable: ', input->>'payable', ' ', input->>'currency', ' is due, the limit is ' || approval_limit)
						WHERE (input->'above_limit')::boolean
					  UNION ALL SELECT concat_ws(' ', v->>'rule', nullif(v->>'location', '')) || ': ' || (v->>'message')
						FROM jsonb_array_elements(@extschema@.invoice_check(submission.document)->'rules') AS v
						WHERE v->>'level' = 'warning' AND input->'warnings' ? (v->>'rule')
					  UNION ALL SELECT w || (words->>w) FROM jsonb_array_elements_text(input->'warnings') AS w WHERE words ? w));
	RETURN 'null';
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_step_hold(jsonb, jsonb) IS
	'step: notes that an invoice waits for a person, with the task token that invoice_approve and invoice_reject answer';

CREATE FUNCTION @extschema@.invoice_step_save(input jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tracking uuid := input->>'tracking_id';
	submission record;
	saved boolean;
	document jsonb;
	totals jsonb;
BEGIN
	SELECT s.* INTO STRICT submission FROM @extschema@.invoice_submission s WHERE s.tracking_id = tracking;
	document := submission.document;
	totals := @extschema@.invoice_calculate(submission.document);

	-- an earlier attempt may have saved it, and been undone; or this one, which goes on after its end
	saved := EXISTS (SELECT FROM @extschema@.invoice i WHERE i.tracking_id = tracking);
	IF saved THEN
		SELECT s.* INTO STRICT submission FROM @extschema@.invoice_submission s WHERE s.tracking_id = tracking FOR NO KEY UPDATE;
		IF submission.possible_duplicate
			AND EXISTS (SELECT FROM saga.executions e WHERE e.execution_id = submission.execution_id AND e.redrive_count > 0)
			AND NOT EXISTS (SELECT FROM @extschema@.invoice_approval a WHERE a.tracking_id = tracking
				AND a.execution_id = submission.execution_id AND a.decision = 'approved' AND a.reason LIKE '%INV-DUPLICATE%') THEN
			RETURN saga.failure('InvoiceDuplicate',
				format('another invoice with a number like that of %s was submitted since; invoice_retry asks a person', tracking));
		END IF;
	END IF;
	IF submission.superseded_at IS NOT NULL THEN
		RETURN saga.failure('InvoiceUnknown', format('another submission has taken the place of %s', tracking));
	END IF;
	IF saved THEN
		DELETE FROM @extschema@.invoice i WHERE i.tracking_id = tracking;
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
COMMENT ON FUNCTION @extschema@.invoice_step_save(jsonb) IS 'step: writes the tables invoice, invoice_line and invoice_vat';

CREATE FUNCTION @extschema@.invoice_step_void(input jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE @extschema@.invoice i SET status = 'void', voided_at = clock_timestamp()
		WHERE i.tracking_id = (input#>>'{input,tracking_id}')::uuid;
	RETURN 'null';
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_step_void(jsonb) IS 'compensation of invoice_step_save: marks the saved invoice void';
