\echo Use "ALTER EXTENSION pg_invoice UPDATE" to load this file. \quit
-- From 0.1 to 0.2.

-- PostgreSQL runs this with the target schema in the path, in which others may be allowed to create
-- functions and operators.
SET LOCAL search_path = pg_catalog, pg_temp;

-- The names of workflows are looked up below, and are unique in that of 0.1 alone.
DO $$
BEGIN
	IF to_regclass('saga.object_grant') IS NULL THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = 'pg_invoice 0.2 needs pg_saga 0.2',
			HINT = 'Run ALTER EXTENSION pg_saga UPDATE first.';
	END IF;
END
$$;

-- ---------- rules ----------
ALTER FUNCTION @extschema@.invoice_codes() ROWS 3500;

-- ---------- app ----------
ALTER TABLE @extschema@.invoice_setting RENAME TO invoice_approval_limit;
ALTER INDEX @extschema@.invoice_setting_pkey RENAME TO invoice_approval_limit_pkey;
-- The script of 0.1 ran without that line. What it may have found in the target schema instead of in
-- pg_catalog is made again: the marks for pg_dump, an operator, and what the views call (below).
ALTER TABLE @extschema@.invoice_approval_limit DROP CONSTRAINT invoice_setting_approval_limit_check;
ALTER TABLE @extschema@.invoice_approval_limit
	ADD CONSTRAINT invoice_approval_limit_approval_limit_check CHECK (approval_limit >= 0);

CREATE TABLE @extschema@.invoice_setting (
	workflow_id integer,
	inbox_workflow_id integer,
	current boolean NOT NULL,
	set_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	number_with text[] NOT NULL DEFAULT '{}' CHECK (number_with <@ '{kind,year}'),
	PRIMARY KEY (workflow_id, inbox_workflow_id)
);
CREATE UNIQUE INDEX invoice_setting_current ON @extschema@.invoice_setting (current) WHERE current;
COMMENT ON TABLE @extschema@.invoice_setting IS 'the workflows of invoices, made by invoice_setup; earlier ones stay, as their invoices do';
COMMENT ON COLUMN @extschema@.invoice_setting.workflow_id IS 'in saga.workflows: what an invoice goes through';
COMMENT ON COLUMN @extschema@.invoice_setting.inbox_workflow_id IS 'what a document goes through that a source brings';
COMMENT ON COLUMN @extschema@.invoice_setting.current IS 'what is submitted or retried now goes to it';
COMMENT ON COLUMN @extschema@.invoice_setting.number_with IS
	'what, beside seller and number, tells two invoices apart: kind (type_code), year (of issue_date); see invoice_set_number_scope';

ALTER TABLE @extschema@.invoice_submission
	ADD COLUMN type_code text,
	ADD COLUMN issue_date date,
	ADD COLUMN credit_note boolean NOT NULL DEFAULT false,
	ADD COLUMN number_scope text NOT NULL DEFAULT '',
	ADD COLUMN number_key text,
	ADD COLUMN possible_duplicate boolean NOT NULL DEFAULT false,
	ADD COLUMN left_by uuid[] NOT NULL DEFAULT '{}',
	ADD COLUMN original json,
	ADD COLUMN source_format text,
	ADD COLUMN source_format_version integer;
ALTER TABLE @extschema@.invoice_document_history
	ADD COLUMN original json,
	ADD COLUMN source_format text,
	ADD COLUMN source_format_version integer;
ALTER TABLE @extschema@.invoice_approval ADD COLUMN messages text[];
COMMENT ON COLUMN @extschema@.invoice_approval.messages IS 'the same in words, each with its place in the document';
COMMENT ON COLUMN @extschema@.invoice_submission.type_code IS 'kind of the document; null when it is longer than a code';
COMMENT ON COLUMN @extschema@.invoice_submission.issue_date IS 'null when it is no date';
COMMENT ON COLUMN @extschema@.invoice_submission.credit_note IS 'whether type_code is one of a credit note, whose amounts are positive and mean the opposite';
COMMENT ON COLUMN @extschema@.invoice_submission.number_scope IS
	'what else tells two invoices of one seller and number apart, see invoice_set_number_scope; empty by default';
COMMENT ON COLUMN @extschema@.invoice_submission.number_key IS
	'the number in one spelling, see invoice_number_key: numbers of one key look alike';
COMMENT ON COLUMN @extschema@.invoice_submission.possible_duplicate IS
	'another invoice of the seller had a number that looks alike, or it made room for one and something of it may stand: a person is asked (INV-DUPLICATE)';
COMMENT ON COLUMN @extschema@.invoice_submission.original IS 'what a format has made the document of, as received; null when it was submitted as it is';
COMMENT ON COLUMN @extschema@.invoice_submission.source_format IS 'that format';
COMMENT ON COLUMN @extschema@.invoice_submission.source_format_version IS 'and its version, see invoice_source_formats';

SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice_submission'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice_document_history'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice_approval'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice_approval_limit'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice_setting'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice_line'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice_vat'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice_source_message'::pg_catalog.regclass, '');

-- ---------- formats ----------
-- Versions stay, as the documents do that were read with them: what an invoice was made of can be
-- found, and its making told again.
CREATE TABLE @extschema@.invoice_format (
	name text,
	version integer,
	expression text NOT NULL,
	made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	made_by text NOT NULL DEFAULT session_user,
	current boolean NOT NULL DEFAULT true,
	PRIMARY KEY (name, version)
);
CREATE UNIQUE INDEX invoice_format_current ON @extschema@.invoice_format (name) WHERE current;
COMMENT ON TABLE @extschema@.invoice_format IS 'formats of senders, see invoice_source_format';
COMMENT ON COLUMN @extschema@.invoice_format.version IS 'counted from 1; versions are never changed nor removed';
COMMENT ON COLUMN @extschema@.invoice_format.expression IS 'JSONata: what it makes of a sender''s document is the invoice';
COMMENT ON COLUMN @extschema@.invoice_format.current IS 'documents are read with it now; none of a format that was dropped';
SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice_format'::pg_catalog.regclass, '');

CREATE TABLE @extschema@.invoice_format_of_source (
	source_id integer PRIMARY KEY,
	format text NOT NULL
);
COMMENT ON TABLE @extschema@.invoice_format_of_source IS 'the formats of documents that sources bring, see invoice_set_source_format';
COMMENT ON COLUMN @extschema@.invoice_format_of_source.source_id IS 'in saga.source';
SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice_format_of_source'::pg_catalog.regclass, '');

CREATE FUNCTION @extschema@.invoice_format_check(expression text) RETURNS void
AS 'MODULE_PATHNAME', 'saga_invoice_format_check'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.invoice_format_check(text) IS
	'a part of invoice_source_format: raises for what is no expression of JSONata, or names a function or variable that there is not';

CREATE FUNCTION @extschema@.invoice_format_document(expression text, original json, format text, complete boolean) RETURNS json
AS 'MODULE_PATHNAME', 'saga_invoice_format_document'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION @extschema@.invoice_format_document(text, json, text, boolean) IS
	'what the expression of a format, which is named in messages, makes of a document; complete: raises when it has no number or no seller';

-- Two arrays as long as that of the locations, with nulls where nothing is known.
CREATE FUNCTION @extschema@.invoice_sender_places(expression text, original json, document json, locations text[],
	OUT senders text[], OUT notes text[])
AS 'MODULE_PATHNAME', 'saga_invoice_sender_places'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2000;
COMMENT ON FUNCTION @extschema@.invoice_sender_places(text, json, json, text[]) IS
	'where in the sender''s document places of the invoice come from that its format has made of it, as JSON pointers and in words';

-- Rules of invoice_check with what they are about in the sender's document.
CREATE FUNCTION @extschema@.invoice_with_senders(rules jsonb, expression text, original json, document json) RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(jsonb_agg(v.rule || jsonb_strip_nulls(jsonb_build_object('sender', p.sender,
			'message', (v.rule->>'message') || ' (' || p.note || ')')) ORDER BY v.n), '[]')
		FROM jsonb_array_elements(rules) WITH ORDINALITY AS v (rule, n)
			LEFT JOIN (SELECT u.* FROM @extschema@.invoice_sender_places(expression, original, document,
					ARRAY(SELECT coalesce(r->>'location', '') FROM jsonb_array_elements(rules) WITH ORDINALITY AS a (r, n) ORDER BY a.n)) s
				CROSS JOIN LATERAL unnest(s.senders, s.notes) WITH ORDINALITY AS u (sender, note, n)) p USING (n)
$$;
COMMENT ON FUNCTION @extschema@.invoice_with_senders(jsonb, text, json, json) IS
	'rules of invoice_check, where it is known with the place in the sender''s document: sender, and at the end of the message';

-- SECURITY DEFINER: steps of the workflow's owner call it, who may not have been granted anything on formats when it
-- came with an update. It takes an id, and evaluates what is stored.
CREATE FUNCTION @extschema@.invoice_name_senders(tracking_id uuid, rules jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	submission record;
BEGIN
	SELECT s.document, s.original, f.expression INTO submission
		FROM @extschema@.invoice_submission s
			JOIN @extschema@.invoice_format f ON f.name = s.source_format AND f.version = s.source_format_version
		WHERE s.tracking_id = invoice_name_senders.tracking_id AND s.original IS NOT NULL;
	IF NOT FOUND THEN
		RETURN rules;
	END IF;
	RETURN @extschema@.invoice_with_senders(rules, submission.expression, submission.original, submission.document);
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_name_senders(uuid, jsonb) IS
	'rules of invoice_check for a submission with the places in its sender''s document, if a format has made it';

-- The version that documents are read with now.
CREATE FUNCTION @extschema@.invoice_format_now(name text, OUT version integer, OUT expression text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	SELECT f.version, f.expression INTO version, expression
		FROM @extschema@.invoice_format f WHERE f.name = invoice_format_now.name AND f.current;
	IF NOT FOUND THEN
		RAISE undefined_object USING
			MESSAGE = CASE WHEN name IS NULL THEN 'the format of a document must not be null' ELSE format('format "%s" does not exist', name) END,
			HINT = 'The view invoice_source_formats lists formats; invoice_source_format makes one.';
	END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_format_now(text) IS 'the current version of a format; raises when there is none';

-- SECURITY DEFINER: who defines formats needs EXECUTE on this function and no right on the table. An expression is
-- evaluated without rights and reads nothing but the document.
CREATE FUNCTION @extschema@.invoice_source_format(name text, expression text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
<<made>>
DECLARE
	present @extschema@.invoice_format;
	version integer;
BEGIN
	IF coalesce(name, '') !~ E'\\S' OR length(name) > 200 THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'a format needs a name of at most 200 characters',
			HINT = 'It is what invoice_submit is given as format.';
	END IF;
	IF expression IS NULL THEN
		RAISE null_value_not_allowed USING
			MESSAGE = format('format "%s" needs an expression', name),
			HINT = 'Use invoice_drop_source_format to drop one.';
	END IF;
	PERFORM @extschema@.invoice_format_check(expression);
	-- one at a time; who reads is not held up
	LOCK TABLE @extschema@.invoice_format IN SHARE ROW EXCLUSIVE MODE;
	SELECT * INTO present FROM @extschema@.invoice_format f WHERE f.name = invoice_source_format.name AND f.current;
	IF present.expression = expression THEN
		RETURN present.version;
	END IF;
	SELECT coalesce(max(f.version), 0) + 1 INTO version FROM @extschema@.invoice_format f WHERE f.name = invoice_source_format.name;
	UPDATE @extschema@.invoice_format f SET current = false WHERE f.name = invoice_source_format.name AND f.current;
	INSERT INTO @extschema@.invoice_format (name, version, expression)
		VALUES (invoice_source_format.name, made.version, invoice_source_format.expression);
	RETURN version;
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_source_format(text, text) IS
	'makes a format, or the next version of one: an expression of JSONata that makes an invoice of a sender''s document. Returns the version; the same expression again makes none.
Numbers are decimals; $minor, $decimal and $date are there as in destinations; $now, $millis, $random and $shuffle are not.
Errors: invalid_parameter_value (the name; no expression: JSONata''s code is in the message, the place in the detail), null_value_not_allowed';

CREATE FUNCTION @extschema@.invoice_drop_source_format(name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER	-- as invoice_source_format
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM @extschema@.invoice_format_now(name);
	UPDATE @extschema@.invoice_format f SET current = false WHERE f.name = invoice_drop_source_format.name AND f.current;
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_drop_source_format(text) IS
	'lets no more documents be read with a format; its versions stay for those that were.
Errors: undefined_object';

CREATE VIEW @extschema@.invoice_source_formats AS
	SELECT f.name, f.version, f.current, f.expression, f.made_at, f.made_by
	FROM @extschema@.invoice_format f;
COMMENT ON VIEW @extschema@.invoice_source_formats IS 'all versions of all formats; current: documents are read with it now';

-- SECURITY DEFINER: as invoice_submit; nothing is written.
CREATE FUNCTION @extschema@.invoice_read_document(document json, format text) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	expression text;
BEGIN
	SELECT f.expression INTO expression FROM @extschema@.invoice_format_now(format) f;
	RETURN @extschema@.invoice_format_document(expression, document, format, false);
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_read_document(json, text) IS
	'the invoice that a format makes of a sender''s document; nothing is submitted.
Errors: undefined_object (no such format), invalid_parameter_value (the document cannot be read), program_limit_exceeded (it takes too much)';

CREATE FUNCTION @extschema@.invoice_validate(document json, format text,
	OUT rule text, OUT level text, OUT location text, OUT message text, OUT sender text)
RETURNS SETOF record
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 5	-- as invoice_read_document
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	expression text;
	made json;
BEGIN
	SELECT f.expression INTO expression FROM @extschema@.invoice_format_now(format) f;
	IF document IS NULL THEN
		RETURN;
	END IF;
	made := @extschema@.invoice_format_document(expression, document, format, false);
	RETURN QUERY SELECT v->>'rule', v->>'level', v->>'location', v->>'message', v->>'sender'
		FROM jsonb_array_elements(@extschema@.invoice_with_senders(
			(SELECT jsonb_agg(to_jsonb(r)) FROM @extschema@.invoice_validate(made) r), expression, document, made)) WITH ORDINALITY AS a (v, n)
		ORDER BY n;
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_validate(json, text) IS
	'every violated rule of the invoice that a format makes of a sender''s document; location is a place in the invoice, sender where that comes from in the document: both JSON pointers; sender is null where it is not known.
Errors: as invoice_read_document';

-- ---------- submit ----------
DROP FUNCTION @extschema@.invoice_document_key(json);
DROP FUNCTION @extschema@.invoice_earlier(text, text, json);
DROP FUNCTION @extschema@.invoice_correct(@extschema@.invoice_submission, json);

CREATE FUNCTION @extschema@.invoice_document_key(document json, OUT tracking_id uuid, OUT number text,
	OUT seller_key text, OUT seller text, OUT buyer text, OUT currency text, OUT type_code text, OUT issue_date date,
	OUT credit_note boolean)
AS 'MODULE_PATHNAME', 'saga_invoice_document_key'
LANGUAGE C STRICT VOLATILE PARALLEL SAFE;

COMMENT ON FUNCTION @extschema@.invoice_document_key(json) IS
	'number, parties, kind and date of a document, and a new tracking id; raises for what invoice_submit refuses';

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

CREATE FUNCTION @extschema@.invoice_workflow_id() RETURNS integer
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT s.workflow_id FROM @extschema@.invoice_setting s WHERE s.current
$$;

COMMENT ON FUNCTION @extschema@.invoice_workflow_id() IS 'id of the workflow that invoices go through; null before invoice_setup';

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

CREATE OR REPLACE FUNCTION @extschema@.invoice_is_dead(execution uuid) RETURNS boolean
LANGUAGE sql STABLE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (SELECT FROM saga.all_executions e
				   WHERE e.workflow_id = ANY (ARRAY(SELECT t.workflow_id FROM @extschema@.invoice_setting t))
					AND e.execution_id = execution AND e.status IN ('FAILED', 'TIMED_OUT', 'ABORTED'))
		AND @extschema@.invoice_standing(execution, '{}'::uuid[], false) IS NULL
$$;

COMMENT ON FUNCTION @extschema@.invoice_is_dead(uuid) IS 'whether an execution of an invoice has ended without success, and nothing that it did may stand';

CREATE FUNCTION @extschema@.invoice_in_the_way(execution uuid, left_by uuid[], superseded boolean) RETURNS boolean
LANGUAGE sql STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT NOT superseded AND NOT @extschema@.invoice_is_dead(execution) OR @extschema@.invoice_standing(execution, left_by, true) IS NOT NULL
$$;

COMMENT ON FUNCTION @extschema@.invoice_in_the_way(uuid, uuid[], boolean) IS
	'whether another invoice, of a number that looks alike, could be paid or booked twice for what this execution does, or it and those before it have left';

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
CREATE OR REPLACE FUNCTION @extschema@.invoice_submit(document json) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN @extschema@.invoice_accept(document, NULL::json, NULL::text, NULL::integer);
END
$$;

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

-- no worker stays for who has the same number and leaves his transaction open
-- The format of a document from a source: what the message says, which is one of a batch, or what its source
-- has. A name is one of the inbox's owner, if he has a source that is called so.
CREATE FUNCTION @extschema@.invoice_inbox_format(input jsonb) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(input->>'format', (SELECT f.format
		FROM @extschema@.invoice_format_of_source f
			JOIN saga.source s ON s.source_id = f.source_id
			JOIN saga.workflow w ON w.workflow_id = s.queue_id
		WHERE s.name = input->>'source' AND s.queue_id = ANY (ARRAY(SELECT t.inbox_workflow_id FROM @extschema@.invoice_setting t))
		ORDER BY s.owner = w.owner DESC, s.source_id LIMIT 1))
$$;
COMMENT ON FUNCTION @extschema@.invoice_inbox_format(jsonb) IS 'the format of a document that came through a source; null: it is an invoice';

-- SECURITY DEFINER: it runs as a step of whoever made the source, who needs no
-- right on the tables. It runs nothing of the caller's. Who has the same number may leave his transaction
-- open: no worker stays for that, the message is tried again.
CREATE OR REPLACE FUNCTION @extschema@.invoice_inbox(input jsonb, context jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
	document json;
	invoice json;
	format text := @extschema@.invoice_inbox_format(input);
	now record;
	tracking uuid;
	message text;
	detail text;
BEGIN
	-- What invoice_submit would refuse. Nothing is written here, so the block costs next to nothing.
	BEGIN
		document := (input->>'body')::json;
		IF format IS NULL THEN
			invoice := document;
		ELSE
			SELECT f.* INTO now FROM @extschema@.invoice_format_now(format) f;
			invoice := @extschema@.invoice_format_document(now.expression, document, format, true);
		END IF;
		PERFORM @extschema@.invoice_document_key(invoice);
	EXCEPTION WHEN data_exception OR program_limit_exceeded OR configuration_limit_exceeded OR undefined_object THEN
		GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
		RETURN saga.failure('InvoiceUnreadable', concat_ws(': ', message, nullif(detail, '')));
	END;
	IF document IS NULL THEN
		RETURN saga.failure('InvoiceUnreadable', 'the message has no body');
	END IF;
	IF format IS NULL THEN
		tracking := @extschema@.invoice_submit(document);
	ELSE
		tracking := @extschema@.invoice_accept(invoice, document, format, now.version);
	END IF;
	INSERT INTO @extschema@.invoice_source_message (source_message_id, tracking_id, source, sent_at)
		VALUES (input->>'source_message_id', tracking, input->>'source', (input->>'sent_at')::timestamptz)
		ON CONFLICT ON CONSTRAINT invoice_source_message_pkey DO NOTHING;
	RETURN jsonb_build_object('tracking_id', tracking);
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_inbox(jsonb, jsonb) IS
	'takes a document from a source as invoice_submit does, by the format of the source if it has one, and notes the id it came under; what is no invoice becomes a dead letter with its reason';

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

CREATE OR REPLACE FUNCTION @extschema@.invoice_submit_batch(documents json) RETURNS SETOF uuid
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY SELECT b.tracking_id FROM @extschema@.invoice_submit_batch(documents, 'refuse'::text, NULL::text) b ORDER BY b.index;
END
$$;

-- What is there gets its key. Of numbers that look alike the first one stays the first; a later one that is
-- still on its way is held.
UPDATE @extschema@.invoice_submission s
	SET type_code = k.type_code, issue_date = k.issue_date, credit_note = k.credit_note,
		number_key = @extschema@.invoice_number_key(s.number)
	FROM @extschema@.invoice_submission d CROSS JOIN LATERAL @extschema@.invoice_document_key(d.document) k
	WHERE d.tracking_id = s.tracking_id;
UPDATE @extschema@.invoice_submission s SET possible_duplicate = true
	FROM (SELECT a.tracking_id, row_number() OVER (PARTITION BY a.seller_key, a.number_key ORDER BY a.submitted_at, a.tracking_id) AS n
		FROM @extschema@.invoice_submission a WHERE a.superseded_at IS NULL) o
	WHERE s.tracking_id = o.tracking_id AND o.n > 1;
DROP INDEX @extschema@.invoice_submission_number;
CREATE UNIQUE INDEX invoice_submission_number ON @extschema@.invoice_submission (seller_key, number, number_scope)
	WHERE superseded_at IS NULL;
CREATE UNIQUE INDEX invoice_submission_first ON @extschema@.invoice_submission (seller_key, number_key, number_scope)
	WHERE superseded_at IS NULL AND NOT possible_duplicate;
CREATE INDEX invoice_submission_duplicate ON @extschema@.invoice_submission (seller_key, number_key, number_scope)
	WHERE possible_duplicate;

-- ---------- source ----------
CREATE OR REPLACE FUNCTION @extschema@.invoice_source(name text, settings jsonb, kind text DEFAULT 'sqs') RETURNS integer
LANGUAGE plpgsql STRICT
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM @extschema@.invoice_setup(NULL::regrole);
	RETURN saga.create_source(name, kind, settings, 'invoice', @extschema@.invoice_workflow_owner());
END
$$;

COMMENT ON FUNCTION @extschema@.invoice_source(text, jsonb, text) IS
	'makes a source of invoices that belongs, as the workflow of its inbox, to the owner of the invoice workflow';

CREATE FUNCTION @extschema@.invoice_set_source_format(source text, format text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
<<made>>
DECLARE
	source_id integer;
BEGIN
	SELECT s.source_id INTO source_id FROM saga.source s
		WHERE s.name = source AND s.owner = @extschema@.invoice_workflow_owner() AND s.inbox;
	IF source_id IS NULL THEN
		RAISE undefined_object USING
			MESSAGE = format('the owner of the invoice workflow has no source "%s" of invoices', source),
			HINT = 'invoice_source makes one.';
	END IF;
	DELETE FROM @extschema@.invoice_format_of_source f WHERE f.source_id = made.source_id;
	IF format IS NOT NULL THEN
		PERFORM @extschema@.invoice_format_now(format);
		INSERT INTO @extschema@.invoice_format_of_source VALUES (source_id, format);
	END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_set_source_format(text, text) IS
	'says that the documents of a source, which invoice_source has made, are of a format; null: that they are invoices.
Errors: undefined_object (the source or the format)';

-- ---------- steps ----------
CREATE OR REPLACE FUNCTION @extschema@.invoice_set_approval_limit(currency text, amount numeric) RETURNS void
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

CREATE OR REPLACE FUNCTION @extschema@.invoice_step_validate(input jsonb, context jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tracking uuid := input->>'tracking_id';
	execution uuid := context#>>'{Execution,Id}';
	submission record;
	result jsonb;
	rules jsonb;
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
		rules := result->'rules';
		-- not there after an update, until invoice_setup has been called
		IF submission.original IS NOT NULL AND has_function_privilege('@extschema@.invoice_name_senders(uuid, jsonb)', 'EXECUTE') THEN
			rules := @extschema@.invoice_name_senders(tracking, rules);
		END IF;
		RETURN saga.failure('InvoiceInvalid', @extschema@.invoice_invalid_cause(rules));
	END IF;
	RETURN jsonb_build_object('tracking_id', tracking, 'number', submission.number,
		'seller', jsonb_build_object('id', submission.seller_key, 'name', submission.seller),
		'buyer', submission.buyer, 'currency', submission.currency,
		'type_code', submission.document->>'type_code', 'warnings', result->'warnings');
END
$$;
CREATE OR REPLACE FUNCTION @extschema@.invoice_step_calculate(input jsonb) RETURNS jsonb
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

CREATE OR REPLACE FUNCTION @extschema@.invoice_step_hold(input jsonb, context jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tracking uuid := input->>'tracking_id';
	submission record;
	approval_limit numeric;
	alike text;
	words jsonb;
	rules jsonb;
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
	rules := @extschema@.invoice_check(submission.document)->'rules';
	IF submission.original IS NOT NULL AND has_function_privilege('@extschema@.invoice_name_senders(uuid, jsonb)', 'EXECUTE') THEN
		rules := @extschema@.invoice_name_senders(tracking, rules);
	END IF;
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
						FROM jsonb_array_elements(rules) AS v
						WHERE v->>'level' = 'warning' AND input->'warnings' ? (v->>'rule')
					  UNION ALL SELECT w || (words->>w) FROM jsonb_array_elements_text(input->'warnings') AS w WHERE words ? w));
	RETURN 'null';
END
$$;
CREATE OR REPLACE FUNCTION @extschema@.invoice_step_save(input jsonb) RETURNS jsonb
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

-- ---------- workflow ----------
COMMENT ON FUNCTION @extschema@.invoice_definition() IS
	'the invoice workflow as it is shipped; change it and give it to saga.create_workflow(''invoice'', ...), as its owner, to run your own';

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
		%1$s.invoice_is_credit_note(text), %1$s.invoice_is_dead(uuid), %1$s.invoice_name_senders(uuid, jsonb),
		%1$s.invoice_inbox(jsonb, jsonb) TO %2$s', schema, owner);
	EXECUTE format('GRANT EXECUTE ON ROUTINE saga.drain(text, integer), saga.publish(),
		%1$s.invoice_process(), %1$s.invoice_ready(),
		%1$s.invoice_schedule(text), %1$s.invoice_unschedule() TO %2$s', schema, owner);
	EXECUTE format('GRANT SELECT ON saga.executions, saga.dead_letters, saga.queues, %1$s.invoice_submission,
		%1$s.invoice_approval_limit TO %2$s', schema, owner);
	EXECUTE format('GRANT UPDATE (execution_id, attempts) ON %1$s.invoice_submission TO %2$s', schema, owner);
	EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %1$s.invoice_approval TO %2$s', schema, owner);
	EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %1$s.invoice,
		%1$s.invoice_line, %1$s.invoice_vat TO %2$s', schema, owner);
END
$$;

CREATE FUNCTION @extschema@.invoice_inbox_definition() RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_build_object('Comment', 'One message that a source took.', 'StartAt', 'Take', 'States',
		jsonb_build_object('Take', jsonb_build_object('Type', 'Task', 'End', true, 'Resource', 'sql:@extschema@.invoice_inbox')))
$$;

COMMENT ON FUNCTION @extschema@.invoice_inbox_definition() IS 'the workflow of documents that a source brings, as it is shipped';

CREATE OR REPLACE FUNCTION @extschema@.invoice_workflow_owner() RETURNS regrole
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT w.owner FROM saga.workflow w WHERE w.workflow_id = @extschema@.invoice_workflow_id()
$$;

CREATE FUNCTION @extschema@.invoice_setup_lock() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	LOCK TABLE @extschema@.invoice_document_history IN SHARE UPDATE EXCLUSIVE MODE;
END
$$;

COMMENT ON FUNCTION @extschema@.invoice_setup_lock() IS 'a part of invoice_setup: waits until nobody else is at it';

CREATE FUNCTION @extschema@.invoice_setup_workflow(owner regrole, name text, definition jsonb, present integer) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning	-- what a step needs is granted after it, and destinations are made later
AS $$
DECLARE
	caller regrole := quote_ident(current_user)::regrole;
	found_one record;
	full_name text;
BEGIN
	SELECT w.* INTO found_one FROM saga.workflows w
		WHERE w.owner = invoice_setup_workflow.owner AND w.name = invoice_setup_workflow.name OR w.workflow_id = present
		ORDER BY w.owner = invoice_setup_workflow.owner DESC LIMIT 1;
	IF NOT FOUND THEN
		PERFORM saga.create_workflow(name, definition, owner);
		RETURN (SELECT w.workflow_id FROM saga.workflows w
				WHERE w.owner = invoice_setup_workflow.owner AND w.name = invoice_setup_workflow.name);
	END IF;
	full_name := format('%s.%I', found_one.owner, name);
	IF found_one.definition IS DISTINCT FROM definition AND found_one.owner <> caller
		AND NOT (found_one.owner = owner AND found_one.workflow_id IS NOT DISTINCT FROM present) THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('workflow %s has another definition than the one that is shipped', full_name),
			DETAIL = 'Invoices would go through it.',
			HINT = 'Look at saga.workflows, then ' || CASE WHEN found_one.owner = owner
				THEN format('SELECT saga.create_workflow(%L, %s(), %L); after invoice_setup it can have its own again.', name,
					'@extschema@.' || CASE name WHEN 'invoice' THEN 'invoice_definition' ELSE 'invoice_inbox_definition' END, owner)
				ELSE format('SELECT saga.set_workflow_owner(%L, %L, definition_hash).', full_name, owner) END;
	END IF;
	IF found_one.owner <> owner THEN
		-- an owner gives his own, whatever versions are under way
		PERFORM saga.set_workflow_owner(full_name, owner, CASE WHEN found_one.owner <> caller THEN found_one.definition_hash END);
	END IF;
	RETURN found_one.workflow_id;
END
$$;

COMMENT ON FUNCTION @extschema@.invoice_setup_workflow(regrole, text, jsonb, integer) IS 'a part of invoice_setup: one of the two workflows';

CREATE FUNCTION @extschema@.invoice_setup_sources(owner regrole, inbox integer) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM saga.set_source_owner(format('%s.%I', s.owner, s.name), invoice_setup_sources.owner,
			encode(sha256(convert_to(s.settings::text, 'UTF8')), 'hex'))
		FROM saga.source s
		WHERE s.queue_id = invoice_setup_sources.inbox AND s.inbox AND s.owner <> invoice_setup_sources.owner
			AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = s.owner AND pg_has_role(r.oid, invoice_setup_sources.owner, 'USAGE'))
			AND NOT EXISTS (SELECT FROM saga.object_grant g WHERE g.kind = 'workflow' AND g.object_id = s.queue_id
				AND g."right" = 'start' AND g.role = s.owner);
END
$$;

COMMENT ON FUNCTION @extschema@.invoice_setup_sources(regrole, integer) IS 'a part of invoice_setup: the sources of the inbox';

CREATE FUNCTION @extschema@.invoice_setup_for(owner regrole) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	present @extschema@.invoice_setting;
	workflow integer;
	inbox integer;
BEGIN
	SELECT s.* INTO present FROM @extschema@.invoice_setting s WHERE s.current;
	workflow := @extschema@.invoice_setup_workflow(owner, 'invoice'::text, @extschema@.invoice_definition(), present.workflow_id);
	inbox := @extschema@.invoice_setup_workflow(owner, 'invoice-inbox'::text, @extschema@.invoice_inbox_definition(), present.inbox_workflow_id);
	PERFORM @extschema@.invoice_setup_sources(owner, inbox);
	IF (workflow, inbox) IS DISTINCT FROM (present.workflow_id, present.inbox_workflow_id) THEN
		UPDATE @extschema@.invoice_setting s SET current = false WHERE s.current;
		INSERT INTO @extschema@.invoice_setting (workflow_id, inbox_workflow_id, current, number_with)
			VALUES (workflow, inbox, true, coalesce(present.number_with, '{}'))
			ON CONFLICT ON CONSTRAINT invoice_setting_pkey DO UPDATE
				SET current = true, set_at = clock_timestamp(), number_with = excluded.number_with;
	END IF;
	PERFORM @extschema@.invoice_grant_steps(owner);
EXCEPTION WHEN unique_violation THEN
	-- it is locked, so this is one that came after the snapshot of a REPEATABLE READ transaction
	RAISE serialization_failure USING
		MESSAGE = 'could not serialize access due to a concurrent invoice_setup',
		HINT = 'The transaction might succeed if retried.';
END
$$;

COMMENT ON FUNCTION @extschema@.invoice_setup_for(regrole) IS 'what invoice_setup does, for any role';

CREATE OR REPLACE FUNCTION @extschema@.invoice_setup(owner regrole DEFAULT NULL) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	set_up text := 'SELECT @extschema@.invoice_setup(''invoice_owner'');';
BEGIN
	PERFORM @extschema@.invoice_setup_lock();
	owner := coalesce(owner, @extschema@.invoice_workflow_owner());
	IF owner IS NULL THEN
		owner := quote_ident(current_user)::regrole;
		IF (SELECT r.rolsuper FROM pg_roles r WHERE r.oid = owner) THEN
			RAISE invalid_parameter_value USING
				MESSAGE = 'a superuser must name the role that the steps of invoices run as',
				HINT = 'CREATE ROLE invoice_owner LOGIN; ' || set_up;
		END IF;
	ELSIF NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = owner) THEN
		RAISE undefined_object USING
			MESSAGE = format('role %s, which would own the workflow of invoices, does not exist', owner::oid),
			HINT = 'Name another one: ' || set_up;
	END IF;
	PERFORM @extschema@.invoice_setup_for(owner);
END
$$;

COMMENT ON FUNCTION @extschema@.invoice_setup(regrole) IS
	'makes the workflows "invoice" and "invoice-inbox" of a role, with the rights that their steps need, and lets invoices go through them; those of another role are given to it, with what is under way and the sources that fill them, unless it has its own.
owner: default the one that there is, else the caller; a superuser must name one.
Errors: invalid_parameter_value (a superuser without a role), undefined_object (it was dropped), object_not_in_prerequisite_state (a workflow of another definition than the one that is shipped, which is not the caller''s)';

-- What was found by its name is found by its id now. In 0.1 a name was one workflow's, the oldest, whose
-- ever that was: it is taken when its owner has what invoice_setup granted, or was dropped. So is the
-- inbox, when it is the same owner's or as it is made.
DO $$
DECLARE
	workflow record;
	inbox integer;
BEGIN
	SELECT w.* INTO workflow FROM saga.workflow w WHERE w.name = 'invoice' ORDER BY w.workflow_id LIMIT 1;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	IF NOT has_table_privilege(workflow.owner, '@extschema@.invoice_submission'::regclass, 'SELECT')
		AND EXISTS (SELECT FROM pg_roles r WHERE r.oid = workflow.owner) THEN
		RAISE WARNING USING
			MESSAGE = format('invoices do not go through the workflow "invoice" of role %s any more, which may not read them', workflow.owner),
			HINT = 'SELECT @extschema@.invoice_setup(''invoice_owner'');';
		RETURN;
	END IF;
	SELECT i.workflow_id INTO inbox
		FROM saga.workflow i JOIN saga.workflow_version v USING (workflow_id, version)
		WHERE i.name = 'invoice-inbox'
			AND (i.owner = workflow.owner OR v.definition = @extschema@.invoice_inbox_definition())
		ORDER BY i.owner = workflow.owner DESC, i.workflow_id LIMIT 1;
	INSERT INTO @extschema@.invoice_setting (workflow_id, inbox_workflow_id, current)
		VALUES (workflow.workflow_id, coalesce(inbox, 0), true);
END
$$;

-- 0.1 let another document take a number of which something may stand.
UPDATE @extschema@.invoice_submission s SET possible_duplicate = true
	WHERE s.superseded_at IS NOT NULL AND NOT s.possible_duplicate
		AND @extschema@.invoice_standing(s.execution_id, s.left_by, true) IS NOT NULL;

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
	IF tracking_id IS NULL OR coalesce(reason, '') !~ E'\\S' THEN
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

CREATE OR REPLACE FUNCTION @extschema@.invoice_retry(tracking_id uuid, corrected json DEFAULT NULL, force boolean DEFAULT false) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN @extschema@.invoice_retry(tracking_id, corrected, force, NULL::text);
END
$$;

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

CREATE OR REPLACE FUNCTION @extschema@.invoice_lock(tracking_id uuid) RETURNS @extschema@.invoice_submission
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

CREATE OR REPLACE VIEW @extschema@.invoice_held AS
	SELECT a.tracking_id, s.number, s.seller, s.buyer, a.currency, a.payable, a.reason, a.held_at,
		coalesce(a.messages, string_to_array(a.reason, ', ')) AS messages, s.document,
		s.original, s.source_format, s.source_format_version
	FROM @extschema@.invoice_approval a
		JOIN @extschema@.invoice_submission s ON s.tracking_id = a.tracking_id AND s.execution_id = a.execution_id
	WHERE a.decided_at IS NULL
		AND EXISTS (SELECT FROM (SELECT DISTINCT t.workflow_id FROM @extschema@.invoice_setting t) w
			CROSS JOIN LATERAL (SELECT FROM saga.all_executions e
				WHERE e.workflow_id = w.workflow_id AND e.execution_id = a.execution_id AND e.status = 'RUNNING' OFFSET 0) x OFFSET 0);

CREATE OR REPLACE VIEW @extschema@.invoice_dlq AS
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
COMMENT ON COLUMN @extschema@.invoice_dlq.compensated IS 'whether everything that had been done has been undone, also of earlier attempts';

COMMENT ON COLUMN @extschema@.invoice_tracking.signed_payable IS 'payable, that of a credit note negative: what can be summed up';
COMMENT ON COLUMN @extschema@.invoice_tracking.waiting_for IS
	'what it waits for, as in saga.executions: worker (it is ready), destination NAME (payments, accounting) with what holds that, retry, token (of invoice_approve and invoice_reject); outcome of STATE: of a call that was given up, most often by one that is undoing, it is being found out whether it was done, see saga.in_doubt; null when it has ended';
COMMENT ON COLUMN @extschema@.invoice_tracking.waiting_since IS 'since when it waits for that';
COMMENT ON COLUMN @extschema@.invoice_tracking.waiting_until IS 'when it goes on by itself, as a request is sent again, or its time is over; null: neither';
COMMENT ON COLUMN @extschema@.invoice_tracking.attempt IS 'of the step that it is in: the one that is under way, or comes next; attempts counts those of the invoice';
COMMENT ON COLUMN @extschema@.invoice_tracking.last_error IS 'of the last request or attempt of that step, or what the invoice has failed with';
COMMENT ON COLUMN @extschema@.invoice_tracking.failed_state IS 'state of the workflow in which it has failed, or was cancelled; null: in none';
COMMENT ON COLUMN @extschema@.invoice_held.messages IS
	'the reasons in words: rule, place in the document (a JSON pointer), and what is wrong there';
COMMENT ON COLUMN @extschema@.invoice_tracking.source_format IS 'the format that has made it of a sender''s document; null when it was submitted as it is';
COMMENT ON COLUMN @extschema@.invoice_tracking.source_format_version IS 'the version of the format, see invoice_source_formats';
COMMENT ON COLUMN @extschema@.invoice_held.original IS 'the sender''s document that a format has made it of; null when it was submitted as it is';
COMMENT ON COLUMN @extschema@.invoice_dlq.original IS 'the sender''s document that a format has made it of; null when it was submitted as it is, or is no invoice';
COMMENT ON COLUMN @extschema@.invoice_dlq.failed_state IS 'state of the workflow in which it has failed: Validate, Pay, Book ...; null: it is no invoice';
COMMENT ON COLUMN @extschema@.invoice_dlq.messages IS
	'what is wrong in words: of each violation its rule, its place in the document (a JSON pointer) and what is wrong there; else the cause';

-- ---------- process ----------
CREATE OR REPLACE FUNCTION @extschema@.invoice_ready() RETURNS boolean
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
	-- the caller's own, as that is what he can work on
	SELECT EXISTS (SELECT FROM saga.queues q
				   WHERE q.owner = quote_ident(current_user)::regrole AND q.name = 'invoice' AND q.ready > 0)
$$;

CREATE OR REPLACE PROCEDURE @extschema@.invoice_process()
LANGUAGE plpgsql
AS $$
BEGIN
	-- Each round does all that is ready, and replies make work for the next; an
	-- invoice needs four. The bound is for workers that keep the queue filled.
	FOR round IN 1..100 LOOP
		-- a bare name is the caller's own: nobody else's workflow can be meant
		CALL saga.drain('invoice');
		CALL saga.publish();
		EXIT WHEN NOT @extschema@.invoice_ready();
	END LOOP;
END
$$;

-- ---------- grants ----------
-- Nothing for anybody but the owner. Functions are PUBLIC's until they are revoked; and who is named in ALTER DEFAULT PRIVILEGES,
-- for tables of an application, has them on these too. Of what this script has made alone (it is a member since this transaction):
-- what an extension's script does to the rights on an object makes all of them the extension's own, and pg_dump would leave out
-- what was granted on the others.
DO $$
DECLARE
	made record;
BEGIN
	FOR made IN
		SELECT o.kind, o.name, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::pg_catalog.regrole::text END AS grantee
		FROM (
			SELECT 'ROUTINE' AS kind, p.oid::pg_catalog.regprocedure::text AS name, 'pg_catalog.pg_proc'::pg_catalog.regclass AS class, p.oid, p.proowner AS owner,
				coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner)) AS acl
			FROM pg_catalog.pg_proc p
			UNION ALL
			SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::pg_catalog.regclass::text, 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid, c.relowner, c.relacl
			FROM pg_catalog.pg_class c
			UNION ALL
			SELECT 'SCHEMA', pg_catalog.quote_ident(n.nspname), 'pg_catalog.pg_namespace'::pg_catalog.regclass, n.oid, n.nspowner, n.nspacl FROM pg_catalog.pg_namespace n) o
			JOIN pg_catalog.pg_depend m ON m.classid = o.class AND m.objid = o.oid AND m.deptype = 'e' AND m.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
			JOIN pg_catalog.pg_extension e ON e.oid = m.refobjid AND e.extname = 'pg_invoice',
			pg_catalog.aclexplode(o.acl) a
		WHERE a.grantee <> o.owner
			AND pg_catalog.age(m.xmin) <= 0
	LOOP
		EXECUTE pg_catalog.format('REVOKE ALL ON %s %s FROM %s CASCADE', made.kind, made.name, made.grantee);
	END LOOP;
END
$$;
