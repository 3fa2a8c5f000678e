-- app: submitting.

CREATE FUNCTION @extschema@.invoice_document_key(document json, OUT tracking_id uuid, OUT number text,
	OUT seller_key text, OUT seller text, OUT buyer text, OUT currency text, OUT type_code text, OUT issue_date date,
	OUT credit_note boolean)
AS 'MODULE_PATHNAME', 'saga_invoice_document_key'
LANGUAGE C STRICT VOLATILE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.invoice_document_key(json) IS
	'number, parties, kind and date of a document, and a new tracking id; raises for what invoice_submit refuses';

-- One spelling for what a person takes for the same number: compatible forms of a character (full width,
-- no-break space) are one, letters in upper case, and without blanks, invisible characters, hyphens and
-- dashes, dots, slashes and underscores. If nothing is left, the number itself.
CREATE FUNCTION @extschema@.invoice_number_key(number text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- E: the caller may have switched standard_conforming_strings off
	-- beyond ASCII, of Unicode 16: Cc, Cf, White_Space, Default_Ignorable_Code_Point, and two that are drawn as blanks
	unseen text := E'\\u0080-\\u00A0\\u00AD\\u034F\\u0600-\\u0605\\u061C\\u06DD\\u070F\\u0890\\u0891\\u08E2\\u115F\\u1160\\u1680\\u17B4\\u17B5'
		|| E'\\u180B-\\u180F\\u2000-\\u200F\\u2028-\\u202F\\u205F-\\u206F\\u2800\\u3000\\u3164\\uFE00-\\uFE0F\\uFEFF\\uFFA0\\uFFF0-\\uFFFB'
		|| E'\\U000110BD\\U000110CD\\U00013430-\\U0001343F\\U0001BCA0-\\U0001BCA3\\U0001D159\\U0001D173-\\U0001D17A\\U000E0000-\\U000E0FFF';
	-- Pd, Dash, and what is drawn as a hyphen, a minus or a slash
	dashes text := E'\\u02D7\\u058A\\u05BE\\u1400\\u1806\\u2010-\\u2015\\u2043\\u2044\\u2053\\u207B\\u208B\\u2212\\u2215\\u2796\\u2E17\\u2E1A\\u2E3A\\u2E3B'
		|| E'\\u2E40\\u2E5D\\u301C\\u3030\\u30A0\\uFE31\\uFE32\\uFE58\\uFE63\\uFF0D\\U00010D6E\\U00010EAD';
	key text := number;
BEGIN
	IF getdatabaseencoding() = 'UTF8' AND octet_length(number) > length(number) THEN
		-- again without them: a letter and its accent may have been apart
		key := normalize(regexp_replace(normalize(number, NFKC), '[' || unseen || dashes || ']', '', 'g'), NFKC);
	END IF;
	-- ASCII first: there are languages in which an i is no I
	key := upper(upper(regexp_replace(key, E'[\\s\\x01-\\x1F\\x7F/\\\\._-]', '', 'g') COLLATE "C") COLLATE "default");
	IF key = '' THEN
		key := number;
	END IF;
	-- normalization can make it longer than an index takes
	RETURN CASE WHEN octet_length(key) <= 500 THEN key
		ELSE encode(sha256(convert_to(key, getdatabaseencoding())), 'hex') END;
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_number_key(text) IS
	'an invoice number in one spelling: numbers that differ in case, blanks, invisible characters, hyphens and dashes, dots, slashes, underscores or the width of characters have the same';

-- In PL/pgSQL, which plans it once a session: a function in SQL would be planned for each invoice.
CREATE FUNCTION @extschema@.invoice_number_scope(type_code text, issue_date date, number_with text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN concat_ws(' ', CASE WHEN 'kind' = ANY (number_with) THEN 'kind=' || coalesce(type_code, '') END,
		CASE WHEN 'year' = ANY (number_with) THEN 'year=' || coalesce(extract(year FROM issue_date)::text, '') END);
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_number_scope(text, date, text[]) IS
	'what tells two invoices of one seller and number apart, as invoice_setting.number_with says';

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

-- What of an execution may stand, in words. An entry is open until it is undone, somebody has said that
-- nothing is there, or it is closed (src/engine/entry.c). In two places: an execution that ended in 0.1
-- has its list in the dead letter alone.
CREATE FUNCTION @extschema@.invoice_standing(execution uuid, left_by uuid[], closed boolean) RETURNS text
LANGUAGE sql STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT string_agg(DISTINCT concat(coalesce(x->>'state', x#>>'{}'), ' (',
			CASE x->>'outcome' WHEN 'done' THEN 'done' ELSE 'nobody knows whether it is there' END,
			', message ' || (x->>'message_id'), ')'), ', ')
		FROM (SELECT e.execution_id, e.not_compensated AS list FROM saga.execution e
				WHERE e.execution_id = ANY (left_by || execution) AND e.workflow_id = ANY (ARRAY(SELECT t.workflow_id FROM @extschema@.invoice_setting t))
			UNION ALL SELECT d.message_id, d.details->'not_compensated' FROM saga.all_dead_letters d
				WHERE d.message_id = ANY (left_by || execution) AND d.queue_id = ANY (ARRAY(SELECT t.workflow_id FROM @extschema@.invoice_setting t))) l
			CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(l.list) WHEN 'array' THEN l.list ELSE '[]' END) x
		WHERE (closed OR NOT x ? 'closed') AND NOT EXISTS (SELECT FROM saga.outbox o
			WHERE o.execution_id = l.execution_id AND o.outbox_id::text = x->>'message_id' AND o.taken_up_as IS NOT NULL)
$$;
COMMENT ON FUNCTION @extschema@.invoice_standing(uuid, uuid[], boolean) IS
	'what an execution of an invoice has done, or may have, and nobody has undone; null when there is nothing. left_by: and earlier ones of the same invoice, but for the calls that a later one has taken up. closed: also what nobody finds out any more (saga.settle says unknown, force)';

-- dead: its execution ended without success, and nothing that it did may stand. Of the workflows of invoices alone: when retention has
-- removed an execution, anybody can give its id to one of his own. SECURITY DEFINER: a step asks this
-- about an execution that may be of an earlier owner's workflow.
CREATE FUNCTION @extschema@.invoice_is_dead(execution uuid) RETURNS boolean
LANGUAGE sql STABLE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (SELECT FROM saga.all_executions e
				   WHERE e.workflow_id = ANY (ARRAY(SELECT t.workflow_id FROM @extschema@.invoice_setting t))
					AND e.execution_id = execution AND e.status IN ('FAILED', 'TIMED_OUT', 'ABORTED'))
		AND @extschema@.invoice_standing(execution, '{}'::uuid[], false) IS NULL
$$;
COMMENT ON FUNCTION @extschema@.invoice_is_dead(uuid) IS 'whether an execution of an invoice has ended without success, and nothing that it did may stand';

-- What is closed frees the number, but a person looks at who takes it.
CREATE FUNCTION @extschema@.invoice_in_the_way(execution uuid, left_by uuid[], superseded boolean) RETURNS boolean
LANGUAGE sql STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT NOT superseded AND NOT @extschema@.invoice_is_dead(execution) OR @extschema@.invoice_standing(execution, left_by, true) IS NOT NULL
$$;
COMMENT ON FUNCTION @extschema@.invoice_in_the_way(uuid, uuid[], boolean) IS
	'whether another invoice, of a number that looks alike, could be paid or booked twice for what this execution does, or it and those before it have left';

-- The submission that holds a number: null when there is none (any more), or
-- when it was dead and has made room; raises when it is another document. One
-- of which something may stand keeps its number, until a person has found out.
CREATE FUNCTION @extschema@.invoice_earlier(seller_key text, number text, number_scope text, document json,
	original json, source_format text) RETURNS uuid
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	earlier @extschema@.invoice_submission;
	standing text;
BEGIN
	SELECT * INTO earlier FROM @extschema@.invoice_submission s
		WHERE s.seller_key = invoice_earlier.seller_key AND s.number = invoice_earlier.number
			AND s.number_scope = invoice_earlier.number_scope AND s.superseded_at IS NULL
		FOR UPDATE;
	IF NOT FOUND OR @extschema@.invoice_same_document(earlier.document, document) THEN
		RETURN earlier.tracking_id;
	END IF;
	IF NOT @extschema@.invoice_is_dead(earlier.execution_id) THEN
		-- a sender's document that comes again, and is read in another way since
		IF earlier.source_format = invoice_earlier.source_format AND @extschema@.invoice_same_document(earlier.original, original) THEN
			RETURN earlier.tracking_id;
		END IF;
		standing := @extschema@.invoice_standing(earlier.execution_id, earlier.left_by, false);
		IF standing IS NOT NULL THEN
			RAISE unique_violation USING
				MESSAGE = format('invoice "%s" of this seller was already submitted with other content as %s, of which something may still stand',
								 number, earlier.tracking_id),
				DETAIL = format('It ended without success, and this has not been undone: %s.', standing),
				HINT = format('Find out what became of it and say so with saga.settle: "no_effect" when nothing is there, "done" to undo it. Then submit this one again. Or give it to invoice_retry(%L, document, force => true).',
							  earlier.tracking_id),
				TABLE = 'invoice_submission', CONSTRAINT = 'invoice_submission_number';
		END IF;
		RAISE unique_violation USING
			MESSAGE = format('invoice "%s" of this seller was already submitted with other content as %s',
							 number, earlier.tracking_id),
			HINT = 'A changed invoice needs a number of its own, unless the earlier one has failed or was cancelled.',
			TABLE = 'invoice_submission', CONSTRAINT = 'invoice_submission_number';
	END IF;
	UPDATE @extschema@.invoice_submission s SET superseded_at = clock_timestamp(),
			possible_duplicate = s.possible_duplicate OR @extschema@.invoice_standing(s.execution_id, s.left_by, true) IS NOT NULL
		WHERE s.tracking_id = earlier.tracking_id;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_earlier(text, text, text, json, json, text) IS
	'the earlier submission of the same document, or of the same sender''s document; null when there is none in the way';

-- Whether a live invoice of the seller, other than this one, has a number that looks alike. A dead one that
-- was the first is not in the way: it is a possible duplicate from now on, should it be retried. One that
-- was closed with something that may stand is, also when it has made room.
CREATE FUNCTION @extschema@.invoice_looks_alike(self uuid, seller_key text, number_key text, number_scope text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	first @extschema@.invoice_submission;
BEGIN
	SELECT * INTO first FROM @extschema@.invoice_submission s
		WHERE s.seller_key = invoice_looks_alike.seller_key AND s.number_key = invoice_looks_alike.number_key
			AND s.number_scope = invoice_looks_alike.number_scope
			AND s.superseded_at IS NULL AND NOT s.possible_duplicate AND s.tracking_id <> self
		FOR NO KEY UPDATE;
	IF FOUND THEN
		IF NOT @extschema@.invoice_is_dead(first.execution_id) THEN
			RETURN true;
		END IF;
		UPDATE @extschema@.invoice_submission s SET possible_duplicate = true WHERE s.tracking_id = first.tracking_id;
	END IF;
	RETURN EXISTS (SELECT FROM @extschema@.invoice_submission s
		WHERE s.seller_key = invoice_looks_alike.seller_key AND s.number_key = invoice_looks_alike.number_key
			AND s.number_scope = invoice_looks_alike.number_scope
			AND s.possible_duplicate AND s.tracking_id <> self
			AND @extschema@.invoice_in_the_way(s.execution_id, s.left_by, s.superseded_at IS NOT NULL));
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_looks_alike(uuid, text, text, text) IS
	'whether another invoice of the seller, which is not dead or has left something, has a number that looks alike';

-- What all ways of submitting come to. original: what the version of a format has made the document of.
CREATE FUNCTION @extschema@.invoice_accept(document json, original json, source_format text, source_format_version integer) RETURNS uuid
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
<<submitted>>
DECLARE
	key record;
	number_key text;
	alike boolean := false;
	earlier uuid;
	workflow_id integer;
BEGIN
	IF document IS NULL THEN
		RAISE null_value_not_allowed USING MESSAGE = 'invoice document must not be null';
	END IF;
	-- what invoice_set_number_scope holds: the setting stays as it is read now
	LOCK TABLE @extschema@.invoice_submission IN ROW EXCLUSIVE MODE;
	SELECT k.*, @extschema@.invoice_number_scope(k.type_code, k.issue_date,
			(SELECT t.number_with FROM @extschema@.invoice_setting t WHERE t.current)) AS number_scope
		INTO key FROM @extschema@.invoice_document_key(document) k;
	number_key := @extschema@.invoice_number_key(key.number);
	LOOP
		-- waits for a concurrent submitter of the same number, or one that looks alike
		INSERT INTO @extschema@.invoice_submission
			(tracking_id, execution_id, seller_key, number, seller, buyer, currency, document,
			 type_code, issue_date, credit_note, number_scope, number_key, original, source_format, source_format_version,
			 possible_duplicate)
			VALUES (key.tracking_id, key.tracking_id, key.seller_key, key.number,
					key.seller, key.buyer, key.currency, document,
					key.type_code, key.issue_date, key.credit_note, key.number_scope, number_key, original, source_format, source_format_version,
					alike OR EXISTS (SELECT FROM @extschema@.invoice_submission s
						WHERE s.seller_key = key.seller_key AND s.number_key = submitted.number_key
							AND s.number_scope = key.number_scope
							AND s.possible_duplicate
							AND @extschema@.invoice_in_the_way(s.execution_id, s.left_by, s.superseded_at IS NOT NULL)))
			ON CONFLICT DO NOTHING;
		EXIT WHEN FOUND;
		earlier := @extschema@.invoice_earlier(key.seller_key, key.number, key.number_scope, document, original, source_format);
		IF earlier IS NOT NULL THEN
			RETURN earlier;
		END IF;
		alike := @extschema@.invoice_looks_alike(key.tracking_id, key.seller_key, number_key, key.number_scope);
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
COMMENT ON FUNCTION @extschema@.invoice_accept(json, json, text, integer) IS
	'a part of invoice_submit: takes an invoice, and what it was made of; null when it was not made of anything';

-- SECURITY DEFINER: who submits needs EXECUTE on this function and no right on
-- any table, workflow or queue. It runs nothing of the caller's.
CREATE FUNCTION @extschema@.invoice_submit(document json) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN @extschema@.invoice_accept(document, NULL::json, NULL::text, NULL::integer);
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_submit(json) IS
	'takes an invoice and returns its tracking id; the same document again returns the same id';

-- SECURITY DEFINER: as invoice_submit. The expression of a format is evaluated without rights, and reads nothing
-- but the document.
CREATE FUNCTION @extschema@.invoice_submit(document json, format text) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	now record;
BEGIN
	IF document IS NULL THEN
		RAISE null_value_not_allowed USING MESSAGE = 'invoice document must not be null';
	END IF;
	SELECT f.* INTO now FROM @extschema@.invoice_format_now(format) f;
	RETURN @extschema@.invoice_accept(@extschema@.invoice_format_document(now.expression, document, format, true),
		document, format, now.version);
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_submit(json, text) IS
	'takes a sender''s document that a format makes an invoice of, and returns its tracking id; the same document again returns the same id.
Errors: those of invoice_submit and invoice_read_document';

-- Who submits keeps the table until his transaction ends, and he may leave it open: whoever waits for him
-- stands in the way of all the others. So it is asked for a moment at a time, and they pass in between.
CREATE FUNCTION @extschema@.invoice_lock_submissions(limit_ms integer) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms'
AS $$
BEGIN
	FOR left_ms IN REVERSE limit_ms..1 BY 500 LOOP
		BEGIN
			LOCK TABLE @extschema@.invoice_submission IN SHARE ROW EXCLUSIVE MODE;
			RETURN;
		EXCEPTION WHEN lock_not_available THEN
			PERFORM pg_sleep(0.4);
		END;
	END LOOP;
	RAISE lock_not_available USING
		MESSAGE = 'invoices are being submitted by transactions that have not ended',
		DETAIL = 'Nobody waited behind this.',
		HINT = format('End them (see pg_locks, pg_stat_activity and pg_prepared_xacts) and try again; to wait longer than %s ms, set lock_timeout.', limit_ms);
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_lock_submissions(integer) IS
	'a part of invoice_set_number_scope: keeps others from submitting until the transaction ends';

-- Every submission gets its scope anew, so nobody submits meanwhile.
CREATE FUNCTION @extschema@.invoice_set_number_scope(number_with text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	twice record;
BEGIN
	IF number_with IS NULL OR NOT number_with <@ '{kind,year}' THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('numbers of invoices cannot be told apart by %L', number_with),
			HINT = 'Give an array of ''kind'', ''year'', both or none.';
	END IF;
	PERFORM @extschema@.invoice_setup_lock();
	-- without a lock_timeout of one's own as long as for other locks that many share
	PERFORM @extschema@.invoice_lock_submissions(coalesce(
		(SELECT nullif(g.setting, '0')::integer FROM pg_settings g WHERE g.name = 'lock_timeout'), 5000));
	UPDATE @extschema@.invoice_setting t
		SET number_with = ARRAY(SELECT DISTINCT p FROM unnest(invoice_set_number_scope.number_with) p ORDER BY p) WHERE t.current;
	IF NOT FOUND THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = 'there is no workflow of invoices yet',
			HINT = 'Call invoice_setup first.';
	END IF;
	SELECT min(s.seller) AS seller, s.number INTO twice FROM @extschema@.invoice_submission s
		WHERE s.superseded_at IS NULL
		GROUP BY s.seller_key, s.number, @extschema@.invoice_number_scope(s.type_code, s.issue_date, invoice_set_number_scope.number_with)
		HAVING count(*) > 1 LIMIT 1;
	IF FOUND THEN
		RAISE unique_violation USING
			MESSAGE = format('invoices of one seller and number would not be told apart any more, such as "%s" of "%s"', twice.number, twice.seller);
	END IF;
	-- the first of those that look alike now stays it
	UPDATE @extschema@.invoice_submission s SET possible_duplicate = true
		FROM (SELECT a.tracking_id, row_number() OVER (PARTITION BY a.seller_key, a.number_key,
					@extschema@.invoice_number_scope(a.type_code, a.issue_date, invoice_set_number_scope.number_with)
				ORDER BY a.submitted_at, a.tracking_id) AS n
			FROM @extschema@.invoice_submission a WHERE a.superseded_at IS NULL AND NOT a.possible_duplicate) o
		WHERE s.tracking_id = o.tracking_id AND o.n > 1;
	UPDATE @extschema@.invoice_submission s
		SET number_scope = @extschema@.invoice_number_scope(s.type_code, s.issue_date, invoice_set_number_scope.number_with);
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_set_number_scope(text[]) IS
	'says what the same number is: that of the same seller ({}, as it is at first), the same kind of document (kind: type_code) and the same year (year: of issue_date).
Errors: invalid_parameter_value, object_not_in_prerequisite_state (before invoice_setup), unique_violation (invoices would not be told apart any more), lock_not_available (somebody who submits does not end his transaction)';

-- By what a batch is put in order; error instead, when invoice_submit would refuse the document whatever
-- there is already. Nothing is written here, so the block costs next to nothing.
CREATE FUNCTION @extschema@.invoice_batch_key(document json, format text, expression text,
	OUT sort_key text[], OUT error text, OUT invoice json)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	message text;
	detail text;
BEGIN
	invoice := CASE WHEN format IS NULL THEN document ELSE @extschema@.invoice_format_document(expression, document, format, true) END;
	SELECT ARRAY[k.seller_key, @extschema@.invoice_number_key(k.number),
			@extschema@.invoice_number_scope(k.type_code, k.issue_date,
				(SELECT t.number_with FROM @extschema@.invoice_setting t WHERE t.current)), k.number]
		INTO sort_key FROM @extschema@.invoice_document_key(invoice) k;
EXCEPTION WHEN data_exception OR program_limit_exceeded OR configuration_limit_exceeded THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	error := concat_ws(': ', message, nullif(detail, ''));
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_batch_key(json, text, text) IS
	'seller and number of a document in a batch, numbers that look alike side by side, and the invoice that it is, by a format that may be null; or why it is refused';

-- As a message that a source brought: the inbox tries it once more, and its dead letter can be redriven.
CREATE FUNCTION @extschema@.invoice_bury(document json, format text) RETURNS void
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
	PERFORM saga.start_execution(inbox, jsonb_strip_nulls(jsonb_build_object('body', document::text,
		'source_message_id', saga.make_id()::text, 'sent_at', clock_timestamp(), 'format', format)), NULL::text, NULL::uuid);
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_bury(json, text) IS 'makes a dead letter of a document that invoice_submit has refused, as the inbox does';

-- SECURITY DEFINER: as invoice_submit. Numbers are taken in one order, whatever that of the documents:
-- each waits for who has it until its transaction ends, and two batches that took them in opposite order
-- would wait for each other.
CREATE FUNCTION @extschema@.invoice_submit_batch(documents json, on_error text, format text)
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
	format_version integer;
	expression text;
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
	IF format IS NOT NULL THEN
		SELECT f.version, f.expression INTO format_version, expression FROM @extschema@.invoice_format_now(format) f;
	END IF;
	ids := array_fill(NULL::uuid, ARRAY[json_array_length(documents)]);
	errors := array_fill(NULL::text, ARRAY[json_array_length(documents)]);
	FOR element IN
		SELECT d.n, d.document, k.error, k.invoice
			FROM json_array_elements(documents) WITH ORDINALITY AS d (document, n)
				CROSS JOIN LATERAL @extschema@.invoice_batch_key(d.document, format, expression) k
			ORDER BY k.sort_key COLLATE "C" NULLS FIRST, d.n
	LOOP
		index := element.n - 1;
		IF on_error = 'refuse' THEN
			IF format IS NOT NULL AND element.error IS NOT NULL THEN
				element.invoice := @extschema@.invoice_format_document(expression, element.document, format, true);
			END IF;
			ids[element.n] := @extschema@.invoice_accept(element.invoice,
				CASE WHEN format IS NOT NULL THEN element.document END, format, format_version);
			CONTINUE;
		END IF;
		IF element.error IS NULL THEN
			BEGIN
				ids[element.n] := @extschema@.invoice_accept(element.invoice,
					CASE WHEN format IS NOT NULL THEN element.document END, format, format_version);
			EXCEPTION WHEN unique_violation OR data_exception OR program_limit_exceeded OR configuration_limit_exceeded THEN
				GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
				element.error := concat_ws(': ', message, nullif(detail, ''));
			END;
		END IF;
		IF element.error IS NOT NULL AND on_error = 'dead_letter' THEN
			PERFORM @extschema@.invoice_bury(element.document, format);
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
COMMENT ON FUNCTION @extschema@.invoice_submit_batch(json, text, text) IS
	'submits each element of an array: one row each, in order, counted from 0. format: the elements are documents of a sender, of which it makes one invoice each; null: they are invoices.
on_error: refuse (one that is refused refuses all), skip (the others are accepted; the row says why this one is not) or dead_letter (the same, and it becomes a row of invoice_dlq, like one that a source brought).
Errors: invalid_parameter_value (no array, another on_error), undefined_object (no such format); with refuse those of invoice_submit';

CREATE FUNCTION @extschema@.invoice_submit_batch(documents json, on_error text)
RETURNS TABLE (index integer, tracking_id uuid, error text)
LANGUAGE plpgsql SECURITY DEFINER	-- as invoice_submit
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY SELECT b.* FROM @extschema@.invoice_submit_batch(documents, on_error, NULL::text) b;
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_submit_batch(json, text) IS
	'as invoice_submit_batch(documents, on_error, format), of invoices';

CREATE FUNCTION @extschema@.invoice_submit_batch(documents json) RETURNS SETOF uuid
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY SELECT b.tracking_id FROM @extschema@.invoice_submit_batch(documents, 'refuse'::text, NULL::text) b ORDER BY b.index;
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_submit_batch(json) IS
	'submits each element of an array and returns their tracking ids in order; one that is refused refuses all';
