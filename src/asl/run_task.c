/*
 * run_task.c
 *		Task states: calls, their time limits, and the answers.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "asl/run_private.h"

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
		record->strings[2] = saga_undoing(run)->state->name;
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

/* The call is out, or goes on. */
static void
saga_task_open(SagaRun *run, SagaThread *thread, bool resume, SagaAction *action)
{
	thread->phase = SAGA_PHASE_OPEN;
	saga_start_clocks(run, thread, thread->timeout_ms);
	saga_log_call(run, thread, thread->timeout_ms);
	run->last_task = thread;

	action->kind = SAGA_ACTION_TASK;
	action->task_id = thread->task_id;
	action->call_id = thread->call_id;
	action->compensation = thread == run->handler;
	action->undoes = action->compensation ? run->undoing : 0;
	action->resume = resume;
	action->state_name = thread->state->name;
	action->resource = &thread->state->resource;
	action->input = thread->data;
	action->token = thread->token;
	action->timeout_ms = thread->timeout_ms;
	action->commit = thread->state->commit;
	action->undone_later = thread->state->compensate != NULL;
}

/*
 * After a call in doubt the next attempt is the same one, with the same
 * parameters, whatever they would be now.
 */
bool
saga_task_begin(SagaRun *run, SagaThread *thread, SagaAction *action)
{
	const SagaResource *resource = &thread->state->resource;
	SagaFault	fault = {0};
	Jsonb	   *selected;

	if (thread->resume)
	{
		action->answered = thread->answered;
		thread->resume = thread->answered = false;
		saga_task_open(run, thread, true, action);
		return true;
	}
	thread->answer = NULL;
	thread->answered = false;
	thread->task_id = run->next_task++;
	thread->submitted = false;
	if (resource->wait_for_token || resource->sync != 0)
		thread->token = run->env.make_token(run->env.arg, thread->task_id);
	if (!saga_thread_input(run, thread, &selected, &fault) ||
		!saga_task_limits(run, thread, selected, &thread->timeout_ms, &fault) ||
		!saga_task_credentials(run, thread, selected, &fault))
	{
		saga_thread_fault(run, thread, &fault);
		return false;
	}
	if (saga_held_by_debt(run, thread))
		return false;
	saga_task_open(run, thread, false, action);
	return true;
}

/* ---------- answers ---------- */

/* Open, or between two attempts of the same call. */
static bool
saga_is_out(const SagaThread *thread)
{
	return thread->phase == SAGA_PHASE_OPEN || thread->resume;
}

static SagaThread *
saga_find_task(SagaRun *run, int task_id)
{
	dlist_iter	iter;

	if (run->last_task != NULL && run->last_task->task_id == task_id && saga_is_out(run->last_task))
		return run->last_task;
	dlist_foreach(iter, &run->threads)
	{
		SagaThread *thread = dlist_container(SagaThread, node, iter.cur);

		if (saga_is_out(thread) && thread->task_id == task_id)
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

		if (saga_is_out(thread) && thread->token != NULL && strcmp(thread->token, token) == 0)
			return thread->task_id;
	}
	return saga_debt_of_token(run, token);
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

static Jsonb *
saga_copy_value(const Jsonb *value)
{
	Jsonb	   *copy = palloc(VARSIZE(value));

	memcpy(copy, value, VARSIZE(value));
	return copy;
}

void
saga_run_task_parked(SagaRun *run, int task_id, Jsonb *output, TimestampTz now)
{
	SagaThread *thread = saga_find_task(run, task_id);
	MemoryContext old = MemoryContextSwitchTo(run->context);

	run->now = now;
	if (thread != NULL)
	{
		/* it is needed when the callback does not come, to undo the step */
		if (output != NULL && thread->state->compensate != NULL)
			thread->answer = saga_copy_value(output);
		saga_note_submitted(run, thread, NULL);
	}
	MemoryContextSwitchTo(old);
}

static const char *
saga_task_display_name(const SagaState *state)
{
	if (strncmp(state->resource.text, "arn:aws:states:::", 17) == 0)
		return state->resource_type;
	return state->resource.text;
}

bool
saga_run_task_succeeded(SagaRun *run, int task_id, Jsonb *output, TimestampTz now)
{
	SagaThread *thread = saga_find_task(run, task_id);
	SagaFault	fault = {0};
	MemoryContext old = MemoryContextSwitchTo(run->context);

	run->now = now;
	if (thread == NULL)
	{
		bool		owed = saga_debt_answered(run, task_id, saga_copy_value(output), NULL);

		MemoryContextSwitchTo(old);
		return owed;
	}
	/* also when the next attempt would be due only later: it is the same call */
	saga_thread_unready(thread);
	thread->resume = thread->answered = false;
	/* nobody reads what a handler says */
	if (thread != run->handler &&
		!saga_check_limit(run, saga_task_display_name(thread->state), output, &fault))
	{
		SagaFailure failure = {.error = fault.error, .cause = fault.cause, .completed = true};

		/* it was done all the same */
		if (thread->state->compensate != NULL)
			(void) saga_done_push(run, thread, saga_copy_value(output));
		saga_task_fail(run, thread, &failure);
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
	SagaFailure own = *failure;
	bool		timed_out = error != NULL &&
	(strcmp(error, "States.Timeout") == 0 || strcmp(error, "States.HeartbeatTimeout") == 0);
	SagaEventRecord *record = saga_log_task(run, thread,
											timed_out ? SAGA_TASK_TIMED_OUT : SAGA_TASK_FAILED);

	record->strings[3] = error;
	record->strings[4] = failure->cause;
	thread->phase = SAGA_PHASE_ATTEMPT;
	own.of_task = true;
	saga_thread_fail(run, thread, &own);
}

/* As recorded at AWS, an overdue heartbeat is States.Timeout too. */
void
saga_task_time_out(SagaRun *run, SagaThread *thread, bool heartbeat)
{
	SagaFailure failure = {.error = "States.Timeout", .heartbeat = heartbeat};
	SagaFate	fate;
	SagaOutside call;
	char	   *cause;

	fate = saga_call_fate(run, thread, SAGA_WISH_RETRY, &call);
	if (fate == SAGA_FATE_ANSWERED)
	{
		/* what is on record counts, though its event is still on its way */
		thread->deadline = thread->heartbeat_at = DT_NOEND;
		return;
	}
	if (fate >= SAGA_FATE_DONE)
	{
		failure.in_doubt = true;
		failure.unknown = fate == SAGA_FATE_UNKNOWN;
		failure.other = "Saga.Uncertain";
	}
	if (heartbeat)
		cause = psprintf("The task of the state '%s' sent no heartbeat for " INT64_FORMAT " seconds (HeartbeatSeconds).",
						 thread->state->name, thread->heartbeat_ms / 1000);
	else
		cause = psprintf("The task of the state '%s' did not end in time (TimeoutSeconds).",
						 thread->state->name);
	failure.cause = cause;
	saga_task_fail(run, thread, &failure);
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
	SagaOutside call;
	MemoryContext old = MemoryContextSwitchTo(run->context);

	run->now = now;
	if (thread == NULL)
	{
		bool		owed = saga_debt_answered(run, task_id, NULL, error);

		MemoryContextSwitchTo(old);
		return owed;
	}
	if (thread->resume)
	{
		/*
		 * the next attempt goes on with it, or is another one when this had
		 * no effect
		 */
		thread->answered = error->in_doubt;
		thread->resume = error->in_doubt;
		MemoryContextSwitchTo(old);
		return true;
	}
	thread->answered = true;
	failure.in_doubt = error->in_doubt;
	if (error->in_doubt)
		failure.unknown = saga_call_fate(run, thread, SAGA_WISH_RETRY, &call) == SAGA_FATE_UNKNOWN;
	failure.error = saga_copy_text(error->error);
	failure.cause = error->cause != NULL ? copy_cause(error->cause) : NULL;
	failure.other = saga_copy_text(error->other);
	if (error->in_doubt && failure.other == NULL)
		failure.other = "Saga.Uncertain";
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
