/*
 * run_distributed.c
 *		A distributed Map: its items are executions of their own, and the Map
 *		waits for them as for one call.
 *
 * The caller is asked once, and told everything: where the items are, how many
 * may run at once, how many may fail.  So neither the run nor its history
 * grows with them.  When the state is given up, its children are too; that is
 * the caller's, who is asked as for any call (saga_asl_call_fate).
 */
#include "postgres.h"

#include "asl/run_private.h"

/* ---------- the call ---------- */

/* What a payload of the state makes of its data; NULL stays NULL.  False, and *fault is set: it fails. */
static bool
map_payload(SagaRun *run, SagaThread *thread, const SagaPayload *payload, Jsonb **result, SagaFault *fault)
{
	*result = NULL;
	if (payload == NULL)
		return true;
	*result = saga_asl_payload_apply(run, thread, payload, thread->data, SAGA_SEES_INPUT, fault);
	return *result != NULL;
}

/* A number that is fixed or at a path; it must be positive. */
static bool
map_number(SagaRun *run, SagaThread *thread, const SagaPathField *field, const char *name, int64 fixed,
		   int64 *number, SagaFault *fault)
{
	JsonbValue	value;

	*number = fixed;
	if (!SAGA_FIELD_IS_DYNAMIC(field))
		return true;
	if (!saga_asl_map_count(run, thread, field, name, number, fault))
		return false;
	if (*number > 0)
		return true;
	if (field->query != NULL)
	{
		saga_value_set_int(&value, *number);
		return saga_asl_query_value_fault(field->query, "is not positive", saga_jsonb_from_value(&value), fault);
	}
	fault->error = "States.Runtime";
	fault->cause = psprintf("The %s field refers to a value that is not positive: %s", name, field->text);
	return false;
}

/* MaxItems of the reader, which may be at a path: 0 is all of them, and what is less is the reader's failure. */
static bool
map_max_items(SagaRun *run, SagaThread *thread, int64 *number, SagaFault *fault)
{
	const SagaPathField *field = &thread->state->map->max_items_path;
	Jsonb	   *value;
	JsonbValue	scalar;

	*number = thread->state->map->max_items;
	if (!SAGA_FIELD_IS_DYNAMIC(field))
		return true;
	value = saga_asl_field_value(run, thread, field, "MaxItemsPath", fault);
	if (value == NULL)
		return false;
	if (saga_asl_jsonb_scalar(value, &scalar) &&
		saga_asl_number_to_int64(&scalar, PG_INT32_MIN, PG_INT32_MAX, number) == SAGA_NUMBER_OK)
		return true;
	if (field->query != NULL)
		return saga_asl_query_type_fault(field->query, "integer", value, fault);
	saga_asl_map_value_fault(fault, "MaxItemsPath", field, value, "integer");
	return false;
}

/* Everything but the items and their limits. */
static bool
map_call_fields(SagaRun *run, SagaThread *thread, SagaMapCall *call, SagaFault *fault)
{
	const SagaMapFields *fields = thread->state->map;

	call->reader = fields->reader;
	call->reader_config = &fields->reader_config;
	call->writer = fields->writer;
	return map_payload(run, thread, fields->reader_parameters, &call->reader_input, fault) &&
		map_payload(run, thread, fields->batch_input, &call->batch_input, fault) &&
		map_payload(run, thread, fields->writer_parameters, &call->writer_input, fault) &&
		map_max_items(run, thread, &call->max_items, fault) &&
		map_number(run, thread, &fields->batch_items_path, "MaxItemsPerBatchPath", fields->batch_items,
				   &call->batch_items, fault) &&
		map_number(run, thread, &fields->batch_bytes_path, "MaxInputBytesPerBatchPath", fields->batch_bytes,
				   &call->batch_bytes, fault);
}

/* It begins, or goes on after the run was redriven. */
static void
log_map_run(SagaRun *run, SagaThread *thread, const char *name)
{
	bool		again = thread->redriven_task != 0;
	SagaEventRecord *record = saga_asl_log(run, thread, again ? SAGA_EVENT_MAP_RUN_REDRIVEN : SAGA_EVENT_MAP_RUN_STARTED);

	record->strings[0] = name;
	if (again)
		record->numbers[0] = (int64) run->redrives + 1;
}

/* Asks the caller to run the items; "call" has them, or nothing if they are read, and their limits. */
SagaTransition
saga_distributed_step(SagaRun *run, SagaThread *thread, SagaMapCall *call, SagaAction *action)
{
	SagaFault	fault = {0};

	if (!map_call_fields(run, thread, call, &fault))
		return saga_next_fault(thread, &fault);
	thread->phase = SAGA_PHASE_OPEN;
	thread->task_id = run->next_task++;
	thread->submitted = false;
	thread->answer = NULL;
	thread->answered = false;
	thread->deadline = thread->heartbeat_at = DT_NOEND;
	run->last_task = thread;
	call->name = psprintf("%s/%s:%d", run->env.execution_id,
						  thread->state->map->label != NULL ? thread->state->map->label : thread->state->name,
						  thread->task_id);
	log_map_run(run, thread, call->name);

	action->kind = SAGA_ACTION_TASK;
	action->task_id = thread->task_id;
	action->call_id = thread->call_id;
	action->state_name = thread->state->name;
	action->input = thread->data;
	action->undone_later = true;
	action->map = call;
	action->redrives = thread->redriven_task;

	/*
	 * a Map has no TimeoutSeconds: what reads its items has as long as the
	 * execution, and is not cancelled a moment before that, as it would be
	 * the Map that failed then
	 */
	if (run->deadline != DT_NOEND)
		action->timeout_ms = Max((run->deadline - run->now + 999) / 1000, 1);
	thread->redriven_task = 0;
	return saga_next_call(thread);
}

/* ---------- answers ---------- */

/* All items have ended, with no more failures than may be. */
SagaTransition
saga_distributed_succeeded(SagaRun *run, SagaThread *thread, Jsonb *output)
{
	(void) saga_asl_log(run, thread, SAGA_EVENT_MAP_RUN_SUCCEEDED);
	(void) saga_asl_log(run, thread, SAGA_EVENT_MAP_SUCCEEDED);
	thread->phase = SAGA_PHASE_ATTEMPT;
	return saga_next_complete(thread, output);
}

/* Too many have failed, or the items could not be read.  Those that succeeded are undone if the run fails. */
SagaTransition
saga_distributed_failed(SagaRun *run, SagaThread *thread, const SagaTaskError *error)
{
	SagaEventRecord *record = saga_asl_log(run, thread, SAGA_EVENT_MAP_RUN_FAILED);
	SagaFailure failure = {.of_item = true};

	failure.error = saga_asl_copy_text(error->error);
	failure.cause = saga_asl_copy_text(error->cause);
	record->strings[0] = failure.error;
	record->strings[1] = failure.cause;
	thread->phase = SAGA_PHASE_ATTEMPT;
	if (thread->submitted && thread->state->compensate != NULL)
	{
		SagaDone   *done = saga_done_push(run, thread, saga_jsonb_null());

		if (thread->state->map->failed != NULL)
			done->state = thread->state->map->failed;
	}
	return saga_next_fail(thread, &failure);
}
