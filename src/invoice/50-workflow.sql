-- app: the workflow itself. The definition is src/invoice/invoice.asl.json.

CREATE FUNCTION @extschema@.invoice_definition() RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
	-- the name of the schema may need quotes, and these a backslash in JSON
	SELECT replace($definition$
@invoice.asl.json@
$definition$, 'sql:invoice_', 'sql:' || trim('"' FROM to_json('@extschema@.'::text)::text) || 'invoice_')::jsonb
$function$;
COMMENT ON FUNCTION @extschema@.invoice_definition() IS
	'the invoice workflow as it is shipped; change it and give it to saga.create_workflow(''invoice'', ...) to run your own';

-- What the owner of the workflow needs for its steps, and no more.
CREATE FUNCTION @extschema@.invoice_grant_steps(owner regrole) RETURNS void
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
		%1$s.invoice_is_credit_note(text), %1$s.invoice_is_dead(uuid),
		%1$s.invoice_inbox(jsonb, jsonb) TO %2$s', schema, owner);
	EXECUTE format('GRANT EXECUTE ON ROUTINE saga.drain(text, integer), saga.publish(),
		%1$s.invoice_process(), %1$s.invoice_ready(),
		%1$s.invoice_schedule(text), %1$s.invoice_unschedule() TO %2$s', schema, owner);
	EXECUTE format('GRANT SELECT ON saga.executions, saga.dead_letters, saga.queues, %1$s.invoice_submission,
		%1$s.invoice_setting TO %2$s', schema, owner);
	EXECUTE format('GRANT UPDATE (execution_id, attempts) ON %1$s.invoice_submission TO %2$s', schema, owner);
	EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %1$s.invoice_approval TO %2$s', schema, owner);
	EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %1$s.invoice,
		%1$s.invoice_line, %1$s.invoice_vat TO %2$s', schema, owner);
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_grant_steps(regrole) IS 'grants a role what the steps of the invoice workflow need';

CREATE FUNCTION @extschema@.invoice_workflow_owner() RETURNS regrole
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT w.owner FROM saga.workflow w WHERE w.name = 'invoice'
$$;
COMMENT ON FUNCTION @extschema@.invoice_workflow_owner() IS 'owner of the invoice workflow; null when there is none yet';

CREATE FUNCTION @extschema@.invoice_setup(owner regrole DEFAULT NULL) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	present regrole;
BEGIN
	-- One at a time: two first submitters would make two versions. On a table that nobody but its owner
	-- may write to, so that nobody else can take this lock, and in a mode that no reader holds up.
	LOCK TABLE @extschema@.invoice_document_history IN SHARE UPDATE EXCLUSIVE MODE;
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
COMMENT ON FUNCTION @extschema@.invoice_setup(regrole) IS
	'makes the workflow invoice unless it is there, and gives it to a role (default: the caller) with the rights that its steps need';
