/*
 * run_task.c
 *		Task states: calls, their time limits, and the answers.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "asl/run.h"

/* ---------- events ---------- */

static SagaEventRecord *
saga_log_task(SagaRun *run, SagaThread *thread, SagaTaskEvent event)
{
	static const SagaEventType bases[] = {
		[SAGA_FAMILY_TASK] = SAGA_EVENT_TASK,
		[SAGA_FAMILY_LAMBDA] = SAGA_EVENT_LAMBDA,
		[SAGA_FAMILY_ACTIVITY] = SAGA_EVENT_ACTIVITY
	};
	const SagaState *state = thread->state;
	SagaEventRecord *record = saga_log(run, thread, bases[state->family] + event);

	if (state->family == SAGA_FAMILY_TASK)
	{
		record->strings[0] = state->resource_type;
		record->strings[1] = state->resource_action;
	}
	else if (event == SAGA_TASK_SCHEDULED)
		record->strings[1] = state->resource.text;
	if (thread == run->handler)
		record->strings[2] = run->done[run->ndone - 1].state->name;
	return record;
}

/* ---------- the call ---------- */

/* TimeoutSeconds and HeartbeatSeconds, fixed or from the state's input. */
static bool
saga_task_limits(SagaRun *run, SagaThread *thread, Jsonb *selected, int64 *timeout_ms,
				 SagaFault *fault)
{
	const SagaState *state = thread->state;
	int64		seconds;

	*timeout_ms = state->timeout_ms;
	thread->heartbeat_ms = state->heartbeat_ms;
	if (state->timeout_path.path != NULL)
	{
		if (!saga_seconds_at(run, thread, &state->timeout_path, "TimeoutSecondsPath", 1, selected,
							 &seconds, fault))
			return false;
		*timeout_ms = seconds * 1000;
	}
	if (state->heartbeat_path.path != NULL)
	{
		if (!saga_seconds_at(run, thread, &state->heartbeat_path, "HeartbeatSecondsPath", 1,
							 selected, &seconds, fault))
			return false;
		thread->heartbeat_ms = seconds * 1000;
	}
	return true;
}

static bool
saga_task_credentials(SagaRun *run, SagaThread *thread, Jsonb *selected, SagaFault *fault)
{
	SagaScope	scope;

	if (thread->state->credentials == NULL)
		return true;
	saga_scope_init(run, thread, selected, &scope);
	return saga_template_eval(thread->state->credentials, &scope, fault) != NULL;
}

static void
saga_start_clocks(SagaRun *run, SagaThread *thread, int64 timeout_ms)
{
	thread->deadline = timeout_ms > 0 ? saga_time_add_ms(run->now, timeout_ms) : DT_NOEND;
	thread->heartbeat_at = thread->heartbeat_ms > 0 ?
		saga_time_add_ms(run->now, thread->heartbeat_ms) : DT_NOEND;
	saga_run_set_timer(run, Min(thread->deadline, thread->heartbeat_at));
}

static void
saga_log_call(SagaRun *run, SagaThread *thread, int64 timeout_ms)
{
	SagaEventRecord *record = saga_log_task(run, thread, SAGA_TASK_SCHEDULED);

	record->values[0] = thread->data;
	record->numbers[0] = timeout_ms > 0 ? timeout_ms / 1000 + 1 : 0;
	record->numbers[1] = thread->heartbeat_ms > 0 ? thread->heartbeat_ms / 1000 + 1 : 0;
	if (thread->state->family != SAGA_FAMILY_ACTIVITY)
		(void) saga_log_task(run, thread, SAGA_TASK_STARTED);
}

bool
saga_task_begin(SagaRun *run, SagaThread *thread, SagaAction *action)
{
	const SagaResource *resource = &thread->state->resource;
	SagaFault	fault = {0};
	Jsonb	   *selected;
	int64		timeout_ms;

	thread->task_id = run->next_task++;
	thread->submitted = false;
	if (resource->wait_for_token || resource->sync != 0)
		thread->token = run->env.make_token(run->env.arg, thread->task_id);
	if (!saga_thread_input(run, thread, &selected, &fault) ||
		!saga_task_limits(run, thread, selected, &timeout_ms, &fault) ||
		!saga_task_credentials(run, thread, selected, &fault))
	{
		saga_thread_fault(run, thread, &fault);
		return false;
	}
	thread->phase = SAGA_PHASE_OPEN;
	saga_start_clocks(run, thread, timeout_ms);
	saga_log_call(run, thread, timeout_ms);
	run->last_task = thread;

	action->kind = SAGA_ACTION_TASK;
	action->task_id = thread->task_id;
	action->call_id = thread->call_id;
	action->compensation = thread == run->handler;
	action->state_name = thread->state->name;
	action->resource = resource;
	action->input = thread->data;
	action->token = thread->token;
	action->timeout_ms = timeout_ms;
	action->commit = thread->state->commit;
	return true;
}

/* ---------- answers ---------- */

static SagaThread *
saga_find_task(SagaRun *run, int task_id)
{
	dlist_iter	iter;

	if (run->last_task != NULL && run->last_task->task_id == task_id &&
		run->last_task->phase == SAGA_PHASE_OPEN)
		return run->last_task;
	dlist_foreach(iter, &run->threads)
	{
		SagaThread *thread = dlist_container(SagaThread, node, iter.cur);

		if (thread->phase == SAGA_PHASE_OPEN && thread->task_id == task_id)
			return thread;
	}
	return NULL;
}

int
saga_run_find_token(SagaRun *run, const char *token)
{
	dlist_iter	iter;

	dlist_foreach(iter, &run->threads)
	{
		SagaThread *thread = dlist_container(SagaThread, node, iter.cur);

		if (thread->phase == SAGA_PHASE_OPEN && thread->token != NULL &&
			strcmp(thread->token, token) == 0)
			return thread->task_id;
	}
	return 0;
}

/* What was called is under way: a callback or a child's end is waited for. */
static void
saga_note_submitted(SagaRun *run, SagaThread *thread, Jsonb *output)
{
	if (thread->submitted)
		return;
	thread->submitted = true;
	if (thread->state->resource.wait_for_token || thread->state->resource.sync != 0)
		saga_log_task(run, thread, SAGA_TASK_SUBMITTED)->values[0] = output;
}

void
saga_run_task_parked(SagaRun *run, int task_id, TimestampTz now)
{
	SagaThread *thread = saga_find_task(run, task_id);

	run->now = now;
	if (thread != NULL)
		saga_note_submitted(run, thread, NULL);
}

static const char *
saga_task_display_name(const SagaState *state)
{
	if (strncmp(state->resource.text, "arn:aws:states:::", 17) == 0)
		return state->resource_type;
	return state->resource.text;
}

static Jsonb *
saga_copy_value(const Jsonb *value)
{
	Jsonb	   *copy = palloc(VARSIZE(value));

	memcpy(copy, value, VARSIZE(value));
	return copy;
}

bool
saga_run_task_succeeded(SagaRun *run, int task_id, Jsonb *output, TimestampTz now)
{
	SagaThread *thread = saga_find_task(run, task_id);
	SagaFault	fault = {0};
	MemoryContext old;

	if (thread == NULL)
		return false;
	old = MemoryContextSwitchTo(run->context);
	run->now = now;
	if (!saga_check_limit(run, saga_task_display_name(thread->state), output, &fault))
	{
		/* it was done all the same */
		if (thread != run->handler && thread->state->compensate != NULL)
			saga_done_add(run, thread, saga_copy_value(output));
		saga_task_fail(run, thread, &(SagaFailure) {.error = fault.error,.cause = fault.cause});
	}
	else
	{
		Jsonb	   *copy = saga_copy_value(output);

		saga_log_task(run, thread, SAGA_TASK_SUCCEEDED)->values[0] = copy;
		thread->phase = SAGA_PHASE_ATTEMPT;
		if (thread == run->handler)
			saga_compensation_succeeded(run);
		else
			saga_thread_complete(run, thread, copy);
	}
	MemoryContextSwitchTo(old);
	return true;
}

void
saga_task_fail(SagaRun *run, SagaThread *thread, const SagaFailure *failure)
{
	const char *error = failure->error;
	bool		timed_out = error != NULL &&
		(strcmp(error, "States.Timeout") == 0 || strcmp(error, "States.HeartbeatTimeout") == 0);
	SagaEventRecord *record = saga_log_task(run, thread,
											timed_out ? SAGA_TASK_TIMED_OUT : SAGA_TASK_FAILED);

	record->strings[3] = error;
	record->strings[4] = failure->cause;
	thread->phase = SAGA_PHASE_ATTEMPT;
	saga_thread_fail(run, thread, failure);
}

/* As recorded at AWS, an overdue heartbeat is States.Timeout too. */
void
saga_task_time_out(SagaRun *run, SagaThread *thread, bool heartbeat)
{
	char	   *cause;

	if (heartbeat)
		cause = psprintf("The task of the state '%s' sent no heartbeat for " INT64_FORMAT " seconds (HeartbeatSeconds).",
						 thread->state->name, thread->heartbeat_ms / 1000);
	else
		cause = psprintf("The task of the state '%s' did not end in time (TimeoutSeconds).",
						 thread->state->name);
	saga_let_go(run, thread);
	saga_task_fail(run, thread, &(SagaFailure) {.error = "States.Timeout",.cause = cause,.heartbeat = heartbeat});
}

static char *
saga_copy_text(const char *text)
{
	return text != NULL ? pstrdup(text) : NULL;
}

/* As long as AWS lets it be: a message that holds all of its input must not keep a Catch from its work. */
static char *
copy_cause(const char *cause)
{
	return pnstrdup(cause, pg_mbcharcliplen(cause, strlen(cause), SAGA_MAX_CAUSE));
}

bool
saga_run_task_failed(SagaRun *run, int task_id, const SagaTaskError *error, TimestampTz now)
{
	SagaThread *thread = saga_find_task(run, task_id);
	SagaFailure failure = {0};
	MemoryContext old;

	if (thread == NULL)
		return false;
	old = MemoryContextSwitchTo(run->context);
	run->now = now;
	failure.error = saga_copy_text(error->error);
	failure.cause = error->cause != NULL ? copy_cause(error->cause) : NULL;
	failure.other = saga_copy_text(error->other);
	if (error->in_doubt)
		saga_let_go(run, thread);
	saga_task_fail(run, thread, &failure);
	MemoryContextSwitchTo(old);
	return true;
}

bool
saga_run_task_heartbeat(SagaRun *run, int task_id, TimestampTz now)
{
	SagaThread *thread = saga_find_task(run, task_id);

	if (thread == NULL)
		return false;
	run->now = now;
	if (thread->heartbeat_ms > 0)
	{
		thread->heartbeat_at = saga_time_add_ms(now, thread->heartbeat_ms);
		saga_run_set_timer(run, thread->heartbeat_at);
	}
	return true;
}

Jsonb *
saga_run_context(SagaRun *run, int task_id)
{
	SagaThread *thread = saga_find_task(run, task_id);
	MemoryContext old;
	Jsonb	   *result;

	if (thread == NULL)
		return NULL;
	old = MemoryContextSwitchTo(run->context);
	result = saga_thread_context(run, thread);
	MemoryContextSwitchTo(old);
	return result;
}
