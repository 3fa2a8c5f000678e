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

-- One at a time: of two first submitters one waits, and finds what the other made. On a table that
-- nobody but its owner may write to, so that nobody else can take this lock, and in a mode that no
-- reader holds up.
CREATE FUNCTION @extschema@.invoice_setup_lock() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	LOCK TABLE @extschema@.invoice_document_history IN SHARE UPDATE EXCLUSIVE MODE;
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_setup_lock() IS 'a part of invoice_setup: waits until nobody else is at it';

-- The id of the owner's workflow of this name: the one that he has, else the present one, given to him
-- with what is under way, else a new one. A definition that is not as shipped may do anything. So it is
-- taken, or given, only by the role whose work it is; anybody else has to look at it first.
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

-- The sources of an inbox that was given away go with it: their owner may not fill it any more.
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

-- A superuser's rights are not what the steps need, and should not have them by mistake.
CREATE FUNCTION @extschema@.invoice_setup(owner regrole DEFAULT NULL) RETURNS void
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
