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

-- SECURITY DEFINER: it runs as a step of whoever made the source, who needs no
-- right on the tables. It runs nothing of the caller's. Who has the same number may leave his transaction
-- open: no worker stays for that, the message is tried again.
CREATE FUNCTION @extschema@.invoice_inbox(input jsonb, context jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms'
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
COMMENT ON FUNCTION @extschema@.invoice_inbox(jsonb, jsonb) IS
	'takes a document from a source as invoice_submit does, and notes the id it came under; what is no invoice becomes a dead letter with its reason';

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
