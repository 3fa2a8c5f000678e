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
	'the invoice workflow as it is shipped; change it and give it to saga.create_workflow(''invoice'', ...), as its owner, to run your own';

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
		%1$s.invoice_approval_limit TO %2$s', schema, owner);
	EXECUTE format('GRANT UPDATE (execution_id, attempts) ON %1$s.invoice_submission TO %2$s', schema, owner);
	EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %1$s.invoice_approval TO %2$s', schema, owner);
	EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %1$s.invoice,
		%1$s.invoice_line, %1$s.invoice_vat TO %2$s', schema, owner);
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_grant_steps(regrole) IS 'grants a role what the steps of the invoice workflow need';

-- The same as saga.create_source makes for a queue "invoice".
CREATE FUNCTION @extschema@.invoice_inbox_definition() RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_build_object('Comment', 'One message that a source took.', 'StartAt', 'Take', 'States',
		jsonb_build_object('Take', jsonb_build_object('Type', 'Task', 'End', true, 'Resource', 'sql:@extschema@.invoice_inbox')))
$$;
COMMENT ON FUNCTION @extschema@.invoice_inbox_definition() IS 'the workflow of documents that a source brings, as it is shipped';

CREATE FUNCTION @extschema@.invoice_workflow_owner() RETURNS regrole
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT w.owner FROM saga.workflow w WHERE w.workflow_id = @extschema@.invoice_workflow_id()
$$;
COMMENT ON FUNCTION @extschema@.invoice_workflow_owner() IS 'owner of the invoice workflow; null when there is none yet';

-- The id of the owner's workflow of this name: the one that he has, else the present one, given to him
-- with what is under way, else a new one. A definition that is not as shipped may do anything. So it is
-- taken, or given, only by the role whose work it is; anybody else has to look at it first.
CREATE FUNCTION @extschema@.invoice_setup_workflow(owner regrole, name text, definition jsonb, present integer) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	found_one record;
BEGIN
	SELECT w.* INTO found_one FROM saga.workflows w
		WHERE w.owner = invoice_setup_workflow.owner AND w.name = invoice_setup_workflow.name OR w.workflow_id = present
		ORDER BY w.owner = invoice_setup_workflow.owner DESC LIMIT 1;
	IF NOT FOUND THEN
		PERFORM saga.create_workflow(name, definition, owner);
		RETURN (SELECT w.workflow_id FROM saga.workflows w
				WHERE w.owner = invoice_setup_workflow.owner AND w.name = invoice_setup_workflow.name);
	END IF;
	IF found_one.owner = owner AND found_one.workflow_id = present THEN
		RETURN present;
	END IF;
	IF found_one.definition IS DISTINCT FROM definition AND found_one.owner <> quote_ident(current_user)::regrole THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('workflow "%s" of role "%s" has another definition than the one that is shipped', name, found_one.owner),
			DETAIL = 'Invoices would go through it.',
			HINT = CASE WHEN found_one.owner = owner
				THEN format('Look at saga.workflows; role "%s" itself can call invoice_setup, or choose another role.', owner)
				ELSE format('Look at saga.workflows, then SELECT saga.set_workflow_owner(%L, %L, definition_hash).',
					format('%s.%I', found_one.owner, name), owner) END;
	END IF;
	IF found_one.owner <> owner THEN
		PERFORM saga.set_workflow_owner(format('%s.%I', found_one.owner, found_one.name), owner, found_one.definition_hash);
	END IF;
	RETURN found_one.workflow_id;
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_setup_workflow(regrole, text, jsonb, integer) IS 'a part of invoice_setup: one of the two workflows';

CREATE FUNCTION @extschema@.invoice_setup_for(owner regrole) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	present @extschema@.invoice_setting;
	workflow integer;
	inbox integer;
BEGIN
	-- One at a time: two first submitters would make two versions. On a table that nobody but its owner
	-- may write to, so that nobody else can take this lock, and in a mode that no reader holds up.
	LOCK TABLE @extschema@.invoice_document_history IN SHARE UPDATE EXCLUSIVE MODE;
	SELECT s.* INTO present FROM @extschema@.invoice_setting s WHERE s.current;
	workflow := @extschema@.invoice_setup_workflow(owner, 'invoice', @extschema@.invoice_definition(), present.workflow_id);
	inbox := @extschema@.invoice_setup_workflow(owner, 'invoice-inbox', @extschema@.invoice_inbox_definition(), present.inbox_workflow_id);
	UPDATE @extschema@.invoice_setting s SET current = false WHERE s.current AND s.workflow_id <> workflow;
	INSERT INTO @extschema@.invoice_setting AS s (workflow_id, inbox_workflow_id, current) VALUES (workflow, inbox, true)
		ON CONFLICT ON CONSTRAINT invoice_setting_pkey DO UPDATE SET current = true, inbox_workflow_id = excluded.inbox_workflow_id
		WHERE (s.current, s.inbox_workflow_id) IS DISTINCT FROM (true, excluded.inbox_workflow_id);
	PERFORM @extschema@.invoice_grant_steps(owner);
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_setup_for(regrole) IS 'what invoice_setup does, for any role';

-- A superuser's rights are not what the steps need, and should not have them by mistake.
CREATE FUNCTION @extschema@.invoice_setup(owner regrole DEFAULT NULL) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	owner := coalesce(owner, @extschema@.invoice_workflow_owner());
	IF owner IS NULL AND (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'a superuser must name the role that the steps of invoices run as',
			HINT = format('CREATE ROLE invoice_owner LOGIN; SELECT %s.invoice_setup(''invoice_owner'');', '@extschema@');
	END IF;
	PERFORM @extschema@.invoice_setup_for(coalesce(owner, quote_ident(current_user)::regrole));
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_setup(regrole) IS
	'makes the workflows "invoice" and "invoice-inbox" of a role, with the rights that their steps need, and lets invoices go through them; those of another role are given to it, with what is under way.
owner: default the one that there is, else the caller; a superuser must name one.
Errors: invalid_parameter_value (a superuser without a role), object_not_in_prerequisite_state (a workflow of another definition than the one that is shipped, which is not the caller''s)';
