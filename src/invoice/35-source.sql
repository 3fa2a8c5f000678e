-- app: documents that a source brings (saga.create_source(..., queue => 'invoice')).

CREATE TABLE @extschema@.invoice_source_message (
	source_message_id text CONSTRAINT invoice_source_message_pkey PRIMARY KEY,
	tracking_id uuid NOT NULL,
	source text,
	sent_at timestamptz,
	accepted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX invoice_source_message_tracking ON @extschema@.invoice_source_message (tracking_id);
COMMENT ON TABLE @extschema@.invoice_source_message IS
	'the ids under which documents came through a source, such as the MessageId that SQS gave the client';
COMMENT ON COLUMN @extschema@.invoice_source_message.source_message_id IS 'what the client was given';
COMMENT ON COLUMN @extschema@.invoice_source_message.source IS 'name in saga.sources';
SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice_source_message'::pg_catalog.regclass, '');

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
CREATE FUNCTION @extschema@.invoice_inbox(input jsonb, context jsonb) RETURNS jsonb
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

SELECT saga.set_inbox('invoice', '@extschema@.invoice_inbox');

-- In place of saga.create_source(name, kind, settings, 'invoice'), whose caller owns the inbox.
CREATE FUNCTION @extschema@.invoice_source(name text, settings jsonb, kind text DEFAULT 'sqs') RETURNS integer
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
