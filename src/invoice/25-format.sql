-- app: formats, which make an invoice of a sender's own document.

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
