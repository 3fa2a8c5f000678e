/*
 * guarded.c
 *		What every kind of task has in common: its answer at once, and the
 *		savepoint around code of a user's.
 */
#include "postgres.h"

#include "access/xact.h"
#include "engine/batch_private.h"
#include "engine/engine_private.h"
#include "engine/step_private.h"
#include "engine/task_private.h"
#include "engine/workflow_private.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

void
saga_engine_task_answer(SagaJob *job, const SagaAction *action, Jsonb *output, const char *error, const char *cause)
{
	TimestampTz now = GetCurrentTimestamp();
	SagaTaskError failure = {.error = error, .cause = cause, .report = saga_step_take_report()};

	if (output == NULL)
		saga_run_task_failed(job->run, action->task_id, &failure, now);
	else if (action->token)
		saga_run_task_parked(job->run, action->task_id, output, now);
	else
		saga_run_task_succeeded(job->run, action->task_id, output, now);
}

/* With a savepoint: what it raises is the task's failure, unless it is the engine's trouble. */
static Jsonb *
call_carefully(SagaBatch *batch, SagaJob *job, const SagaAction *action, SagaTaskFunction function, void *arg,
			   const char **error, char **cause)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	Jsonb	   *volatile output = NULL;

	BeginInternalSubTransaction(NULL);
	batch->subxacts++;
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		output = function(job, action, arg, error, cause);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		saga_step_error(edata, error, cause);
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		saga_step_reset(batch->context);
		if (saga_errcode_is_infrastructure(edata->sqlerrcode) && !saga_step_timed_out)
			ReThrowError(edata);
		FreeErrorData(edata);
		output = NULL;
	}
	PG_END_TRY();
	return output;
}

/*
 * The optimistic run notes which task it is in: if that one ran out of time,
 * the careful run does not wait for it a second time.
 */
Jsonb *
saga_engine_task_guarded(SagaBatch *batch, SagaJob *job, const SagaAction *action, SagaTaskFunction function, void *arg,
						 const char **error, char **cause)
{
	saga_execution_tell_step(batch, action->state_name);
	(void) saga_step_take_report();
	if (!job->careful)
	{
		job->current_task = action->task_id;
		return function(job, action, arg, error, cause);
	}
	if (job->timed_out_task == action->task_id)
	{
		job->timed_out_task = -1;
		saga_step_timeout_error(job->overstayed, job->cancelled, error, cause);
		return NULL;
	}
	return call_carefully(batch, job, action, function, arg, error, cause);
}

/* What the ARN meant when the version was made, or means now; NULL: nothing. */
const SagaResource *
saga_engine_task_binding(const SagaJob *job, const char *arn, bool by_function_name)
{
	int32		id = saga_workflow_meant(job->queue->queue_id, job->version, SAGA_OBJECT_BINDING, arn);
	const SagaResource *bound = id != 0 ? saga_binding_by_id(id) : NULL;

	return bound != NULL ? bound : saga_binding_find(arn, by_function_name, job->queue->owner, &id);
}

/* A document among a task's parameters: a text that holds JSON is that JSON, as AWS's APIs take it. */
Jsonb *
saga_engine_task_document(Jsonb *parameters, const char *name, Jsonb *absent)
{
	JsonbValue	v;
	Jsonb	   *parsed = NULL;

	if (!saga_jsonb_get(parameters, name, &v) || v.type == jbvNull)
		return absent;
	if (v.type == jbvString)
		parsed = saga_jsonb_parse(v.val.string.val, v.val.string.len);
	return parsed != NULL ? parsed : saga_jsonb_from_value(&v);
}
