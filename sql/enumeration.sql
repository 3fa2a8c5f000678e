-- Every object of the two extensions, and whatever else is in schema saga: who may use it, and what
-- that is checked by. One that is not in the list below, or listed and not there, is shown. New objects
-- get a line each, sorted, and for a function with decision "owner" the call that a stranger is refused.
--
--   routines  owner    checks rights on what it names: a stranger is refused (the call is tried below)
--             own      makes what belongs to the caller, or works on the caller's own
--             admin    for who has the rights of the extension's owner (the call is tried below)
--             pure     computes from its arguments, reads nothing
--             open     tells what everybody who may call it may know: the line says what
--             rows     shows rows that the caller may see
--             invoker  SQL or PL/pgSQL with the caller's own rights
--             definer  SECURITY DEFINER: the line says why that gives nothing away
--             commits  as invoker, without SET search_path, which would make COMMIT fail: all it names has its schema
--             trigger  refuses to be called
--   views     filtered security_barrier, and a filter that asks for the rights of the owner
--             rows     over a function that filters
--             all      shows everything, to be granted with care: without a grant at first
--   tables, sequences  nobody
--   types     row      of a set-returning function, no more than a list of columns
--   default values that are no constants and no time; triggers; anything else: a word why
\set VERBOSITY terse
\set SHOW_CONTEXT never
-- the list itself is not in the output, so that a new line needs no change there
\set ECHO none
CREATE SCHEMA decided;
CREATE TABLE decided.decision (type text, object text, decision text, by text);
INSERT INTO decided.decision VALUES
	('composite type', 'saga.execution_summary', 'row', NULL),
	('default value', 'public.invoice_document_history.replaced_by', 'session', 'who called invoice_retry'),
	('default value', 'public.invoice_format.made_by', 'session', 'who called invoice_source_format'),
	('default value', 'saga.destination.limit_key', 'generated', 'of the row itself, with functions of pg_catalog'),
	('default value', 'saga.resource.function_name', 'generated', 'of the row itself, with functions of pg_catalog'),
	('default value', 'saga.workflow_version.reads_bodies', 'generated', 'of the row itself, with operators of pg_catalog'),
	('function', 'public.invoice_accept(json,json,text,integer)', 'invoker', NULL),
	('function', 'public.invoice_approve(uuid)', 'definer', 'a clerk needs EXECUTE and no right on tables; takes an id, runs nothing of the caller''s'),
	('function', 'public.invoice_batch_key(json,text,text)', 'invoker', NULL),
	('function', 'public.invoice_bury(json,text)', 'invoker', NULL),
	('function', 'public.invoice_calculate(json)', 'pure', NULL),
	('function', 'public.invoice_cancel(uuid)', 'definer', 'as invoice_approve'),
	('function', 'public.invoice_check(json)', 'pure', NULL),
	('function', 'public.invoice_codes()', 'pure', NULL),
	('function', 'public.invoice_correct(public.invoice_submission,json,json,text,integer)', 'invoker', NULL),
	('function', 'public.invoice_decide(uuid,text,text)', 'invoker', NULL),
	('function', 'public.invoice_definition()', 'pure', NULL),
	('function', 'public.invoice_document_key(json)', 'pure', NULL),
	('function', 'public.invoice_drop_source_format(text)', 'definer', 'as invoice_source_format'),
	('function', 'public.invoice_earlier(text,text,text,json,json,text)', 'invoker', NULL),
	('function', 'public.invoice_format_check(text)', 'pure', NULL),
	('function', 'public.invoice_format_document(text,json,text,boolean)', 'pure', NULL),
	('function', 'public.invoice_format_now(text)', 'invoker', NULL),
	('function', 'public.invoice_grant_steps(regrole)', 'invoker', NULL),
	('function', 'public.invoice_inbox(jsonb,jsonb)', 'definer', 'step of the owner of a source, who needs no right on tables; takes a document, runs nothing of the caller''s'),
	('function', 'public.invoice_inbox_definition()', 'pure', NULL),
	('function', 'public.invoice_in_the_way(uuid,uuid[],boolean)', 'invoker', NULL),
	('function', 'public.invoice_inbox_format(jsonb)', 'invoker', NULL),
	('function', 'public.invoice_invalid_cause(jsonb)', 'pure', NULL),
	('function', 'public.invoice_is_credit_note(text)', 'pure', NULL),
	('function', 'public.invoice_is_dead(uuid)', 'definer', 'a step of the workflow''s owner; takes an id, tells whether that execution of an invoice has failed'),
	('function', 'public.invoice_lock(uuid)', 'invoker', NULL),
	('function', 'public.invoice_lock_submissions(integer)', 'invoker', NULL),
	('function', 'public.invoice_looks_alike(uuid,text,text,text)', 'invoker', NULL),
	('function', 'public.invoice_name_senders(uuid,jsonb)', 'definer', 'a step of the workflow''s owner; takes an id, and tells what the sender of that invoice calls the members that rules are about'),
	('function', 'public.invoice_number_key(text)', 'pure', NULL),
	('function', 'public.invoice_number_scope(text,date,text[])', 'pure', NULL),
	('function', 'public.invoice_read_document(json,text)', 'definer', 'who submits needs no right on tables; evaluates a stored expression of JSONata, which has no rights'),
	('function', 'public.invoice_ready()', 'invoker', NULL),
	('function', 'public.invoice_reject(uuid,text)', 'definer', 'as invoice_approve; the reason is kept as text'),
	('function', 'public.invoice_retry(uuid,json,boolean)', 'definer', 'as invoice_approve; the document is kept as a text and validated by the workflow'),
	('function', 'public.invoice_retry(uuid,json,boolean,text)', 'definer', 'as invoice_retry(uuid,json,boolean); the document is read by a stored expression of JSONata'),
	('function', 'public.invoice_same_document(json,json)', 'pure', NULL),
	('function', 'public.invoice_schedule(text)', 'invoker', NULL),
	('function', 'public.invoice_sender_places(text,json,json,text[])', 'pure', NULL),
	('function', 'public.invoice_set_approval_limit(text,numeric)', 'invoker', NULL),
	('function', 'public.invoice_set_number_scope(text[])', 'invoker', NULL),
	('function', 'public.invoice_set_source_format(text,text)', 'invoker', NULL),
	('function', 'public.invoice_setup(regrole)', 'invoker', NULL),
	('function', 'public.invoice_setup_for(regrole)', 'invoker', NULL),
	('function', 'public.invoice_setup_lock()', 'invoker', NULL),
	('function', 'public.invoice_setup_sources(regrole,integer)', 'invoker', NULL),
	('function', 'public.invoice_setup_workflow(regrole,text,jsonb,integer)', 'invoker', NULL),
	('function', 'public.invoice_source(text,jsonb,text)', 'invoker', NULL),
	('function', 'public.invoice_source_format(text,text)', 'definer', 'who defines formats needs EXECUTE and no right on tables; keeps an expression of JSONata, which has no rights'),
	('function', 'public.invoice_standing(uuid,uuid[],boolean)', 'invoker', NULL),
	('function', 'public.invoice_status(uuid)', 'invoker', NULL),
	('function', 'public.invoice_step_calculate(jsonb)', 'invoker', NULL),
	('function', 'public.invoice_step_hold(jsonb,jsonb)', 'invoker', NULL),
	('function', 'public.invoice_step_save(jsonb)', 'invoker', NULL),
	('function', 'public.invoice_step_validate(jsonb,jsonb)', 'invoker', NULL),
	('function', 'public.invoice_step_void(jsonb)', 'invoker', NULL),
	('function', 'public.invoice_storable(json)', 'pure', NULL),
	('function', 'public.invoice_submit(json)', 'definer', 'who submits needs EXECUTE and no right on tables; takes a document, runs nothing of the caller''s'),
	('function', 'public.invoice_submit(json,text)', 'definer', 'as invoice_submit; the document is read by a stored expression of JSONata'),
	('function', 'public.invoice_submit_batch(json)', 'definer', 'as invoice_submit'),
	('function', 'public.invoice_submit_batch(json,text)', 'definer', 'as invoice_submit'),
	('function', 'public.invoice_submit_batch(json,text,text)', 'definer', 'as invoice_submit'),
	('function', 'public.invoice_unschedule()', 'invoker', NULL),
	('function', 'public.invoice_validate(json)', 'pure', NULL),
	('function', 'public.invoice_validate(json,text)', 'definer', 'as invoice_read_document'),
	('function', 'public.invoice_violated_rules(text)', 'pure', NULL),
	('function', 'public.invoice_with_senders(jsonb,text,json,json)', 'pure', NULL),
	('function', 'public.invoice_workflow_id()', 'invoker', NULL),
	('function', 'public.invoice_workflow_owner()', 'invoker', NULL),
	('function', 'saga."grant"(text,text,regrole,text)', 'owner', $$saga.grant('queue', '@enum-q', 'enum_stranger', 'use')$$),
	('function', 'saga.alter_destination(text,jsonb)', 'owner', $$saga.alter_destination('@enum-d', '{"url": "https://a.invalid/"}')$$),
	('function', 'saga.alter_source(text,jsonb)', 'owner', $$saga.alter_source('@enum-s', (SELECT source FROM things))$$),
	('function', 'saga.apply_workflow(text,jsonb,boolean,boolean)', 'owner', $$saga.apply_workflow('@enum-w', '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}')$$),
	('function', 'saga.bind_resource(text,text)', 'own', 'counts for workflows of the caller, and of those who have him in pg_saga.owner_path'),
	('function', 'saga.change_visibility(text,uuid[],interval)', 'owner', $$saga.change_visibility('@enum-q', ARRAY[(SELECT message FROM things)], '1 s')$$),
	('function', 'saga.check_workflow(jsonb)', 'own', 'what the caller would find himself'),
	('function', 'saga.check_workflow(text)', 'owner', $$saga.check_workflow('@enum-w')$$),
	('function', 'saga.create_activity(text)', 'own', 'has no settings'),
	('function', 'saga.create_destination(text,text,jsonb)', 'own', 'files, private addresses, AWS credentials of the server: pg_read_server_files'),
	('function', 'saga.create_queue(text,interval,integer,text,boolean,interval)', 'own', 'dead_letter_queue: one that the caller may use'),
	('function', 'saga.create_source(text,text,jsonb,text)', 'own', 'as create_destination; a queue or workflow that the caller may use'),
	('function', 'saga.create_source(text,text,jsonb,text,regrole)', 'admin', $$saga.create_source('enum-s3', 'sqs', (SELECT source FROM things), 'enum-q', 'postgres')$$),
	('function', 'saga.create_workflow(text,jsonb)', 'owner', $$saga.create_workflow('@enum-w', '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}')$$),
	('function', 'saga.create_workflow(text,jsonb,regrole)', 'admin', $$saga.create_workflow('enum-w3', '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}', 'postgres')$$),
	('function', 'saga.delete(text,uuid[])', 'owner', $$saga.delete('@enum-q', ARRAY[(SELECT message FROM things)])$$),
	('function', 'saga.describe_execution(uuid)', 'owner', $$saga.describe_execution((SELECT execution FROM things))$$),
	('function', 'saga.destination_changed()', 'trigger', NULL),
	('function', 'saga.diff_workflow(text,jsonb)', 'owner', $$saga.diff_workflow('@enum-w', '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}')$$),
	('function', 'saga.doctor()', 'invoker', 'and SELECT on saga.doctor_objects'),
	('function', 'saga.doubt_outbox(timestamp with time zone)', 'admin', $$saga.doubt_outbox('2000-01-01')$$),
	('function', 'saga.drop_activity(text)', 'owner', $$saga.drop_activity('@enum-a')$$),
	('function', 'saga.drop_alias(text,text)', 'owner', $$saga.drop_alias('@enum-w', 'live')$$),
	('function', 'saga.drop_destination(text,boolean)', 'owner', $$saga.drop_destination('@enum-d', true)$$),
	('function', 'saga.drop_destination(text)', 'owner', $$saga.drop_destination('@enum-d')$$),
	('function', 'saga.drop_queue(text)', 'owner', $$saga.drop_queue('@enum-q2')$$),
	('function', 'saga.drop_secret(text)', 'owner', $$saga.drop_secret('@enum-key')$$),
	('function', 'saga.drop_source(text)', 'owner', $$saga.drop_source('@enum-s')$$),
	('function', 'saga.eval_choice(jsonb,jsonb,jsonb,jsonb)', 'pure', NULL),
	('function', 'saga.eval_path(text,jsonb,jsonb,jsonb)', 'pure', NULL),
	('function', 'saga.eval_result_path(text,jsonb,jsonb)', 'pure', NULL),
	('function', 'saga.eval_template(jsonb,jsonb,jsonb,jsonb)', 'pure', NULL),
	('function', 'saga.fail(text,text)', 'pure', NULL),
	('function', 'saga.failure(text,text)', 'pure', NULL),
	('function', 'saga.get_activity_task(text,text,interval)', 'owner', $$saga.get_activity_task('@enum-a', NULL, '0 s')$$),
	('function', 'saga.history_events(bytea,jsonb,jsonb)', 'pure', NULL),
	('function', 'saga.invalidate_cache()', 'trigger', NULL),
	('function', 'saga.jsonata(text,jsonb,jsonb,text)', 'pure', NULL),
	('function', 'saga.jsonata_json(text,json,json,text)', 'pure', NULL),
	('function', 'saga.jsonata_volatile(text,jsonb,jsonb,text)', 'pure', NULL),
	('function', 'saga.list_executions(text,text,timestamp with time zone,timestamp with time zone,uuid,integer,text,uuid)', 'rows', 'what the caller sees in saga.executions'),
	('function', 'saga.make_id()', 'pure', NULL),
	('function', 'saga.move_executions(text,integer,integer,integer,uuid)', 'owner', $$saga.move_executions('@enum-w', 1, 2)$$),
	('function', 'saga.owner_only()', 'trigger', NULL),
	('function', 'saga.pause_destination(text)', 'owner', $$saga.pause_destination('@enum-d')$$),
	('function', 'saga.pause_source(text)', 'owner', $$saga.pause_source('@enum-s')$$),
	('function', 'saga.publish_alias(text,text,jsonb)', 'owner', $$saga.publish_alias('@enum-w', 'live', '{"1": 100}')$$),
	('function', 'saga.publish_to(text,jsonb,text,jsonb)', 'owner', $$saga.publish_to('@enum-d', '{}')$$),
	('function', 'saga.purge(text)', 'owner', $$saga.purge('@enum-q')$$),
	('function', 'saga.receive(text,integer,interval,interval)', 'owner', $$saga.receive('@enum-q')$$),
	('function', 'saga.redrive(text,text,integer)', 'owner', $$saga.redrive('@enum-w')$$),
	('function', 'saga.redrive(uuid,boolean)', 'owner', $$saga.redrive((SELECT dead_letter FROM things), true)$$),
	('function', 'saga.redrive(uuid)', 'owner', $$saga.redrive((SELECT dead_letter FROM things))$$),
	('function', 'saga.redrive_anew(uuid,jsonb,boolean)', 'owner', $$saga.redrive_anew((SELECT dead_letter FROM things))$$),
	('function', 'saga.redrive_execution(uuid,jsonb,boolean)', 'owner', $$saga.redrive_execution((SELECT failed FROM things))$$),
	('function', 'saga.replace_execution(uuid,uuid)', 'owner', $$saga.replace_execution(saga.make_id(), (SELECT execution FROM things))$$),
	('function', 'saga.resume_destination(text)', 'owner', $$saga.resume_destination('@enum-d')$$),
	('function', 'saga.resume_source(text)', 'owner', $$saga.resume_source('@enum-s')$$),
	('function', 'saga.revoke(text,text,regrole,text)', 'owner', $$saga.revoke('queue', '@enum-q', 'enum_stranger', 'use')$$),
	('function', 'saga.rollback_workflow(text,integer)', 'owner', $$saga.rollback_workflow('@enum-w', 1)$$),
	('function', 'saga.secret_changed()', 'trigger', NULL),
	('function', 'saga.send(text,jsonb,interval,text,text,jsonb)', 'owner', $$saga.send('@enum-q', '{}')$$),
	('function', 'saga.send_batch(text,jsonb[],interval,jsonb)', 'owner', $$saga.send_batch('@enum-q', '{}')$$),
	('function', 'saga.send_task_failure(text,text,text)', 'owner', $$saga.send_task_failure((SELECT token FROM things), 'E')$$),
	('function', 'saga.send_task_heartbeat(text)', 'owner', $$saga.send_task_heartbeat((SELECT token FROM things))$$),
	('function', 'saga.settle(text,text,text)', 'owner', $$saga.settle('@enum-d', 'unknown', '2000-01-01')$$),
	('function', 'saga.settle(text,text,timestamp with time zone)', 'owner', $$saga.settle('@enum-d', 'unknown', timestamptz '2000-01-01')$$),
	('function', 'saga.settle(uuid,text,jsonb)', 'owner', $$saga.settle('00000000-0000-0000-0000-000000000001', 'done')$$),
	('function', 'saga.send_task_success(text,jsonb)', 'owner', $$saga.send_task_success((SELECT token FROM things), '{}')$$),
	('function', 'saga.set_destination_owner(text,regrole,text)', 'owner', $$saga.set_destination_owner('@enum-d', 'enum_owner')$$),
	('function', 'saga.set_inbox(text,text)', 'admin', $$saga.set_inbox('enum', 'enum.hold')$$),
	('function', 'saga.set_secret(text,text)', 'owner', $$saga.set_secret('@enum-key', 'x')$$),
	('function', 'saga.set_source_owner(text,regrole,text)', 'owner', $$saga.set_source_owner('@enum-s', 'enum_owner')$$),
	('function', 'saga.set_workflow_owner(text,regrole,text)', 'owner', $$saga.set_workflow_owner('@enum-w', 'enum_owner')$$),
	('function', 'saga.simulate(jsonb,jsonb,jsonb,jsonb)', 'pure', NULL),
	('function', 'saga.simulate_coverage(jsonb,jsonb[])', 'pure', NULL),
	('function', 'saga.source_changed()', 'trigger', NULL),
	('function', 'saga.start_execution(integer,jsonb,text,uuid)', 'owner', $$saga.start_execution((SELECT workflow FROM things))$$),
	('function', 'saga.start_execution(text,jsonb,text,uuid)', 'owner', $$saga.start_execution('@enum-w')$$),
	('function', 'saga.stop_execution(uuid,text,text,boolean)', 'owner', $$saga.stop_execution((SELECT execution FROM things))$$),
	('function', 'saga.test_condition(jsonb,integer,jsonb,text,jsonb)', 'pure', NULL),
	('function', 'saga.test_mapping(text,jsonb)', 'pure', NULL),
	('function', 'saga.test_state(jsonb,jsonb,text,jsonb,jsonb,jsonb,jsonb)', 'pure', NULL),
	('function', 'saga.test_template(jsonb,jsonb)', 'pure', NULL),
	('function', 'saga.validate(jsonb,text)', 'pure', NULL),
	('function', 'saga.wait_execution(uuid,interval)', 'owner', $$saga.wait_execution((SELECT execution FROM things), '0')$$),
	('function', 'saga.worker_status()', 'rows', 'of owners whose rights the caller has, and processes of this database that serve nobody in particular'),
	('function', 'saga.workflow_diagram(jsonb,text,uuid)', 'owner', $$saga.workflow_diagram('{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}'::jsonb, 'dot', (SELECT execution FROM things))$$),
	('function', 'saga.workflow_diagram(text,text,uuid)', 'owner', $$saga.workflow_diagram('@enum-w')$$),
	('function', 'saga.workflow_version(text)', 'rows', 'of workflows that the caller may start, operate or read; null otherwise'),
	('procedure', 'public.invoice_process()', 'commits', NULL),
	('procedure', 'saga.drain(text,integer)', 'own', 'executions of workflows that the caller is the owner of'),
	('procedure', 'saga.publish()', 'own', 'messages of destinations whose owner''s rights the caller has'),
	('procedure', 'saga.start_sync_execution(text,jsonb,jsonb,text,interval,uuid)', 'own', 'executions of workflows that the caller may start and read'),
	('procedure', 'saga.wait_execution(uuid,interval,jsonb)', 'own', 'executions that the caller may read'),
	('schema', 'saga', 'nobody', NULL),
	('sequence', 'saga.outbox_position', 'nobody', NULL),
	('sequence', 'saga.queue_queue_id_seq', 'nobody', NULL),
	('sequence', 'saga.resource_resource_id_seq', 'nobody', NULL),
	('sequence', 'saga.secret_secret_id_seq', 'nobody', NULL),
	('sequence', 'saga.source_source_id_seq', 'nobody', NULL),
	('table', 'public.invoice', 'nobody', NULL),
	('table', 'public.invoice_approval', 'nobody', NULL),
	('table', 'public.invoice_approval_limit', 'nobody', NULL),
	('table', 'public.invoice_document_history', 'nobody', NULL),
	('table', 'public.invoice_format', 'nobody', NULL),
	('table', 'public.invoice_format_of_source', 'nobody', NULL),
	('table', 'public.invoice_line', 'nobody', NULL),
	('table', 'public.invoice_setting', 'nobody', NULL),
	('table', 'public.invoice_source_message', 'nobody', NULL),
	('table', 'public.invoice_submission', 'nobody', NULL),
	('table', 'public.invoice_vat', 'nobody', NULL),
	('table', 'saga.activity_task', 'nobody', NULL),
	('table', 'saga.alias', 'nobody', NULL),
	('table', 'saga.continuation', 'nobody', NULL),
	('table', 'saga.dead_letter', 'nobody', NULL),
	('table', 'saga.destination', 'nobody', NULL),
	('table', 'saga.destination_state', 'nobody', NULL),
	('table', 'saga.execution', 'nobody', NULL),
	('table', 'saga.execution_name', 'nobody', NULL),
	('table', 'saga.given_id', 'nobody', NULL),
	('table', 'saga.history', 'nobody', NULL),
	('table', 'saga.children', 'nobody', NULL),
	('table', 'saga.map_item', 'nobody', NULL),
	('table', 'saga.inbox', 'nobody', NULL),
	('table', 'saga.message', 'nobody', NULL),
	('table', 'saga.object_grant', 'nobody', NULL),
	('table', 'saga.outbox', 'nobody', NULL),
	('table', 'saga.outbox_attempt', 'nobody', NULL),
	('table', 'saga.queue', 'nobody', NULL),
	('table', 'saga.redrive_point', 'nobody', NULL),
	('table', 'saga.reference', 'nobody', NULL),
	('table', 'saga.resource', 'nobody', NULL),
	('table', 'saga.secret', 'nobody', NULL),
	('table', 'saga.source', 'nobody', NULL),
	('table', 'saga.source_seen', 'nobody', NULL),
	('table', 'saga.source_status', 'nobody', NULL),
	('table', 'saga.suspect', 'nobody', NULL),
	('table', 'saga.takeover', 'nobody', NULL),
	('table', 'saga.timer', 'nobody', NULL),
	('table', 'saga.token', 'nobody', NULL),
	('table', 'saga.workflow', 'nobody', NULL),
	('table', 'saga.workflow_version', 'nobody', NULL),
	('trigger', 'destination_changed on saga.destination', 'cache', 'the sessions'' own: makes them forget'),
	('trigger', 'destination_changed on saga.object_grant', 'cache', NULL),
	('trigger', 'destination_changed on saga.reference', 'cache', NULL),
	('trigger', 'invalidate_cache on saga.queue', 'cache', NULL),
	('trigger', 'owner_only on saga.alias', 'rights', NULL),
	('trigger', 'owner_only on saga.destination', 'rights', NULL),
	('trigger', 'owner_only on saga.inbox', 'rights', NULL),
	('trigger', 'owner_only on saga.object_grant', 'rights', NULL),
	('trigger', 'owner_only on saga.queue', 'rights', NULL),
	('trigger', 'owner_only on saga.reference', 'rights', NULL),
	('trigger', 'owner_only on saga.resource', 'rights', NULL),
	('trigger', 'owner_only on saga.secret', 'rights', NULL),
	('trigger', 'owner_only on saga.source', 'rights', NULL),
	('trigger', 'owner_only on saga.takeover', 'rights', NULL),
	('trigger', 'owner_only on saga.token', 'rights', NULL),
	('trigger', 'owner_only on saga.workflow', 'rights', NULL),
	('trigger', 'owner_only on saga.workflow_version', 'rights', NULL),
	('trigger', 'secret_changed on saga.secret', 'cache', NULL),
	('trigger', 'source_changed on saga.object_grant', 'cache', NULL),
	('trigger', 'source_changed on saga.reference', 'cache', NULL),
	('trigger', 'source_changed on saga.source', 'cache', NULL),
	('trigger', 'workflow_changed on saga.workflow', 'cache', NULL),
	('type', 'saga.execution_summary', 'row', NULL),
	('view', 'public.invoice_dlq', 'all', 'clerks'),
	('view', 'public.invoice_held', 'all', 'clerks'),
	('view', 'public.invoice_source_formats', 'all', 'who defines formats'),
	('view', 'public.invoice_tracking', 'all', 'clerks'),
	('view', 'saga.activities', 'filtered', NULL),
	('view', 'saga.aliases', 'filtered', NULL),
	('view', 'saga.all_dead_letters', 'all', 'for views of applications'),
	('view', 'saga.all_executions', 'all', 'for views of applications'),
	('view', 'saga.dead_letters', 'filtered', NULL),
	('view', 'saga.destinations', 'filtered', NULL),
	('view', 'saga.doctor_objects', 'filtered', NULL),
	('view', 'saga.execution_history', 'filtered', NULL),
	('view', 'saga.executions', 'filtered', NULL),
	('view', 'saga.map_runs', 'filtered', NULL),
	('view', 'saga.grants', 'filtered', NULL),
	('view', 'saga.in_doubt', 'filtered', NULL),
	('view', 'saga.outbox_status', 'filtered', NULL),
	('view', 'saga.queues', 'filtered', NULL),
	('view', 'saga.secrets', 'filtered', NULL),
	('view', 'saga.sources', 'filtered', NULL),
	('view', 'saga.workers', 'rows', 'saga.worker_status()'),
	('view', 'saga.workflows', 'filtered', NULL);
\set ECHO all

-- ---------- what there is ----------
-- names with their schemas
SET search_path = pg_catalog, decided;
CREATE VIEW decided.member AS
	SELECT d.classid, d.objid, e.extowner
	FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
	WHERE e.extname IN ('pg_saga', 'pg_invoice');
CREATE TABLE decided.there AS
	SELECT i.type, CASE WHEN o.classid = 'pg_proc'::regclass THEN o.objid::regprocedure::text ELSE i.identity END AS object, o.classid, o.objid
	FROM (
		SELECT classid, objid FROM member
		-- in the schema without being a member; what hangs on a table comes with it
		UNION SELECT 'pg_class'::regclass, oid FROM pg_class WHERE relnamespace = 'saga'::regnamespace AND relkind NOT IN ('i', 'I')
		UNION SELECT 'pg_proc'::regclass, oid FROM pg_proc WHERE pronamespace = 'saga'::regnamespace
		UNION SELECT 'pg_operator'::regclass, oid FROM pg_operator WHERE oprnamespace = 'saga'::regnamespace
		UNION SELECT 'pg_type'::regclass, t.oid FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
			WHERE t.typnamespace = 'saga'::regnamespace AND t.typelem = 0 AND coalesce(c.relkind, 'c') = 'c'
		UNION SELECT 'pg_trigger'::regclass, t.oid FROM pg_trigger t JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = t.tgrelid WHERE NOT t.tgisinternal
		UNION SELECT 'pg_rewrite'::regclass, r.oid FROM pg_rewrite r JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = r.ev_class WHERE r.rulename <> '_RETURN'
		UNION SELECT 'pg_policy'::regclass, p.oid FROM pg_policy p JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = p.polrelid
		UNION SELECT 'pg_default_acl'::regclass, oid FROM pg_default_acl WHERE defaclnamespace IN (0, 'saga'::regnamespace)
		UNION SELECT 'pg_event_trigger'::regclass, oid FROM pg_event_trigger
	) o, pg_identify_object(o.classid, o.objid, 0) i
	UNION ALL
	-- constants and times are nobody's concern
	SELECT 'default value', a.attrelid::regclass || '.' || quote_ident(a.attname), 'pg_attrdef'::regclass, d.oid
	FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = d.adrelid
	WHERE pg_get_expr(d.adbin, d.adrelid) !~ $re$^(-?[0-9.]+|true|false|now\(\)|clock_timestamp\(\)|('[^']*'|NULL)::[a-z" ]+(\[\])?)$$re$;

SELECT coalesce(t.type, d.type) AS type, coalesce(t.object, d.object) AS object,
	CASE WHEN t.object IS NULL THEN 'decided, but not there' ELSE 'there, but not decided' END AS fault
FROM there t FULL JOIN decision d ON d.type = t.type AND d.object = t.object
WHERE t.object IS NULL OR d.object IS NULL ORDER BY 1, 2;
SELECT type, object FROM decision GROUP BY 1, 2 HAVING count(*) > 1;
SELECT type, decision, 'no decision of this kind' AS fault FROM decision GROUP BY 1, 2
EXCEPT SELECT type, d, 'no decision of this kind' FROM (VALUES
	('function', '{owner,own,admin,pure,open,rows,invoker,definer,commits,trigger}'::text[]), ('procedure', '{owner,own,invoker,commits}'), ('view', '{filtered,rows,all}'),
	('table', '{nobody}'), ('sequence', '{nobody}'), ('schema', '{nobody}'), ('default value', '{session,generated}'), ('trigger', '{cache,rights}'),
	('type', '{row}'), ('composite type', '{row}')) k (type, decisions), unnest(decisions) d;

-- ---------- what each decision means ----------
-- nothing is granted to anybody
SELECT t.type, t.object, a.grantee, a.privilege_type
FROM there t
	LEFT JOIN pg_proc p ON t.classid = 'pg_proc'::regclass AND p.oid = t.objid
	LEFT JOIN pg_class c ON t.classid = 'pg_class'::regclass AND c.oid = t.objid
	LEFT JOIN pg_namespace n ON t.classid = 'pg_namespace'::regclass AND n.oid = t.objid,
	aclexplode(coalesce(CASE WHEN p.oid IS NOT NULL THEN coalesce(p.proacl, acldefault('f', p.proowner)) END, n.nspacl,
		c.relacl || (SELECT array_agg(x) FROM pg_attribute a, unnest(a.attacl) x WHERE a.attrelid = c.oid))) a
WHERE a.grantee <> coalesce(p.proowner, c.relowner, n.nspowner) ORDER BY 1, 2;

-- all is the extension's owner's
SELECT t.type, t.object FROM there t JOIN member m USING (classid, objid), LATERAL (
	SELECT proowner FROM pg_proc WHERE t.classid = 'pg_proc'::regclass AND oid = t.objid
	UNION ALL SELECT relowner FROM pg_class WHERE t.classid = 'pg_class'::regclass AND oid = t.objid
	UNION ALL SELECT nspowner FROM pg_namespace WHERE t.classid = 'pg_namespace'::regclass AND oid = t.objid) o (owner)
WHERE o.owner <> m.extowner ORDER BY 1, 2;

CREATE VIEW decided.routine AS
	SELECT d.object, d.decision, d.by, l.lanname, p.*
	FROM decision d JOIN there t USING (type, object) JOIN pg_proc p ON p.oid = t.objid AND t.classid = 'pg_proc'::regclass JOIN pg_language l ON l.oid = p.prolang;
SELECT object, 'SECURITY DEFINER without a defence' AS fault FROM routine WHERE prosecdef AND (decision <> 'definer' OR by IS NULL)
UNION ALL SELECT object, 'is not SECURITY DEFINER' FROM routine WHERE NOT prosecdef AND decision = 'definer'
UNION ALL SELECT object, 'search_path is not pinned' FROM routine
	WHERE lanname <> 'c' AND decision <> 'commits' AND NOT coalesce(proconfig @> ARRAY['search_path=pg_catalog, pg_temp'], false)
UNION ALL SELECT object, 'SET clause and COMMIT' FROM routine WHERE decision = 'commits' AND proconfig IS NOT NULL
UNION ALL SELECT object, 'language ' || lanname FROM routine WHERE lanname NOT IN ('c', 'sql', 'plpgsql')
UNION ALL SELECT object, 'cannot check rights in language ' || lanname FROM routine WHERE lanname <> 'c' AND decision IN ('owner', 'own', 'admin', 'rows')
UNION ALL SELECT object, 'runs with the rights of the server, not of the caller' FROM routine WHERE lanname = 'c' AND decision IN ('invoker', 'definer', 'commits')
UNION ALL SELECT object, 'a trigger function, or not one' FROM routine WHERE (decision = 'trigger') <> (prorettype = 'trigger'::regtype)
UNION ALL SELECT object, 'without a call, or a word' FROM routine WHERE decision IN ('owner', 'own', 'admin', 'open', 'rows') AND by IS NULL
UNION ALL SELECT object, 'variadic, or with a support function' FROM routine WHERE provariadic <> 0 OR prosupport <> 0
ORDER BY 1, 2;

SELECT d.object, 'no security_barrier, or no filter' AS fault
FROM decision d JOIN there t USING (type, object) JOIN pg_class c ON c.oid = t.objid
WHERE d.decision = 'filtered' AND NOT coalesce(c.reloptions @> '{security_barrier=true}', false)
	OR d.decision = 'filtered' AND pg_get_viewdef(c.oid) !~ 'pg_has_role\([a-z_.]+::oid, ''USAGE''|pg_has_role\(\([a-z_.]+\)::oid, ''USAGE''';
-- views run their functions as the reader, their tables as their owner
SELECT t.object, 'security_invoker' AS fault FROM there t JOIN pg_class c ON c.oid = t.objid AND t.classid = 'pg_class'::regclass
WHERE c.relkind = 'v' AND c.reloptions::text LIKE '%security_invoker%';
SET search_path = public, decided;

-- ---------- a stranger who may call everything ----------
CREATE ROLE enum_owner LOGIN;
CREATE ROLE enum_stranger;
-- what the settings of a source ask for is had by both: it is not what the stranger lacks
GRANT pg_read_server_files TO enum_owner, enum_stranger;
GRANT USAGE ON SCHEMA saga TO enum_owner, enum_stranger;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA saga TO enum_owner, enum_stranger;
CREATE SCHEMA enum AUTHORIZATION enum_owner;
CREATE TABLE things (token text, execution uuid, dead_letter uuid, message uuid, source jsonb, workflow integer, failed uuid);
GRANT ALL ON things TO enum_owner;
GRANT SELECT ON things TO enum_stranger;
SET ROLE enum_owner;
CREATE FUNCTION enum.hold(i jsonb, c jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ INSERT INTO public.things VALUES (i ->> 'token', (c #>> '{Execution,Id}')::uuid, NULL, NULL,
		'{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/q", "credentials": {"secret": "enum-aws"}}') RETURNING 'null'::jsonb $$;
SELECT saga.create_queue('enum-q') > 0 AND saga.create_queue('enum-q2') > 0 AND saga.create_activity('enum-a') > 0 AS made;
SELECT saga.set_secret('enum-key', 'Xk-0815-secret');
SELECT saga.set_secret('enum-aws', '{"access_key_id": "A", "secret_access_key": "S"}');
SELECT saga.create_destination('enum-d', 'http', '{"url": "https://a.invalid/"}') > 0 AS made;
SELECT saga.create_destination('enum-d2', 'http', '{"url": "https://a.invalid/"}') > 0 AS made;
SELECT saga.create_workflow('enum-w', '{"StartAt": "C", "States": {"C": {"Type": "Choice", "Choices": [{"Variable": "$.fail", "IsPresent": true, "Next": "F"}], "Default": "T"},
	"F": {"Type": "Fail", "Error": "E"}, "T": {"Type": "Task", "Resource": "sql:enum.hold.waitForTaskToken", "Parameters": {"token.$": "$$.Task.Token"}, "HeartbeatSeconds": 600, "End": true}}}');
SELECT saga.rollback_workflow('enum-w', 1) AS version;
SELECT saga.start_execution('enum-w', i) IS NOT NULL AS accepted FROM unnest('{"{}", "{\"fail\": 1}"}'::jsonb[]) i;
SELECT saga.send('enum-q', '{}') IS NOT NULL AS accepted;
-- in a session of its own, as the steps' role
\c - enum_owner
CALL saga.drain();
\c - postgres
SET search_path = public, decided;
\set VERBOSITY terse
\set SHOW_CONTEXT never
UPDATE things SET dead_letter = (SELECT dead_letter_id FROM saga.dead_letter), failed = (SELECT message_id FROM saga.dead_letter), message = (SELECT message_id FROM saga.message WHERE kind = 'm'),
	workflow = (SELECT workflow_id FROM saga.workflow WHERE name = 'enum-w');
-- a call in doubt
INSERT INTO saga.outbox (destination_id, outbox_id, op, workflow_id, execution_id, task_id, idempotency_key, created_at, request, uncertain)
	SELECT destination_id, '00000000-0000-0000-0000-000000000001', 'h', workflow, execution, 99, execution, now(), '{}', true
	FROM things, saga.destination d WHERE d.name = 'enum-d2';
SET ROLE enum_owner;
SELECT saga.create_source('enum-s', 'sqs', source, 'enum-q') > 0 AS made FROM things;
RESET ROLE;
SELECT count(*) AS things, bool_and(token IS NOT NULL AND dead_letter IS NOT NULL AND message IS NOT NULL) AS complete FROM things;

-- what became of a call: "passed" when it did something to what is the owner's; all is undone
CREATE FUNCTION owned() RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT string_agg(t, '; ' ORDER BY t) FROM (
		SELECT q::text FROM saga.queue q WHERE owner = 'enum_owner'::regrole UNION ALL SELECT s::text FROM saga.secret s WHERE owner = 'enum_owner'::regrole
		UNION ALL SELECT w::text FROM saga.workflow w WHERE owner = 'enum_owner'::regrole) o (t) $$;
CREATE FUNCTION tried(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	before text := owned();
BEGIN
	EXECUTE 'SELECT ' || call;
	-- of that name there may be one of the caller's, then, or none
	RAISE '%', CASE WHEN call ~ 'set_secret|create_workflow|apply_workflow|drop_queue|drop_activity' AND owned() = before THEN 'without effect' ELSE 'passed' END USING ERRCODE = 'SA000';
EXCEPTION
	WHEN SQLSTATE 'SA000' THEN RETURN SQLERRM;
	WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE TABLE attempt (object text, decision text, call text, bare boolean, who name, answer text);
GRANT SELECT, INSERT ON attempt TO enum_owner, enum_stranger;
-- by its bare name, and by that with its owner
CREATE VIEW calls AS
	SELECT object, decision, replace(by, '@', v) AS call, v = '' AS bare FROM decision, unnest(ARRAY['', 'enum_owner.']) v
	WHERE decision IN ('owner', 'admin') AND (by LIKE '%@%' OR v = '');
GRANT SELECT ON calls TO enum_owner, enum_stranger;
SET ROLE enum_owner;
INSERT INTO attempt SELECT object, decision, call, bare, current_user, tried(call) FROM calls;
SET ROLE enum_stranger;
INSERT INTO attempt SELECT object, decision, call, bare, current_user, tried(call) FROM calls;
RESET ROLE;
SELECT who, count(*) > 30 AS many FROM attempt WHERE answer = 'passed' GROUP BY 1;
-- the owner is not refused what it calls by its bare name
SELECT object, answer AS fault FROM attempt WHERE who = 'enum_owner' AND decision = 'owner' AND bare AND answer <> 'passed' ORDER BY 1;
SELECT who, object, call, answer AS fault FROM attempt WHERE (who = 'enum_stranger' OR decision = 'admin')
	AND answer !~ '^(42501|42704)|^22023 invalid (message for destination|name of a|task token)|^without effect' ORDER BY 1, 2;

DROP SCHEMA enum CASCADE;
DROP VIEW calls;
DROP TABLE attempt, things;
DROP FUNCTION tried(text), owned();
SET pg_saga.keep_owners = off;
DROP OWNED BY enum_owner, enum_stranger;
DROP ROLE enum_owner, enum_stranger;
