-- app: the workflow itself. The definition is src/invoice/invoice.asl.json.

CREATE FUNCTION invoice_definition() RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
	-- the name of the schema may need quotes, and these a backslash in JSON
	SELECT replace($definition$
@invoice.asl.json@
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
