/*
 * run_task.c
 *		Task states: calls, their time limits, and the answers.
 *
 * An answer is for the thread that has the call open; who finds that thread,
 * and carries out what is next, is run.c.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "asl/run_private.h"

/* ---------- events ---------- */

/* Notes an event of the call, under the name that events of its family have. */
static SagaEventRecord *
log_task(SagaRun *run, SagaThread *thread, SagaTaskEvent event)
{
	static const SagaEventType bases[] = {
		[SAGA_FAMILY_TASK] = SAGA_EVENT_TASK,
		[SAGA_FAMILY_LAMBDA] = SAGA_EVENT_LAMBDA,
		[SAGA_FAMILY_ACTIVITY] = SAGA_EVENT_ACTIVITY
	};
	const SagaState *state = thread->state;
	SagaEventRecord *record = saga_asl_log(run, thread, bases[state->family] + event);

	if (state->family == SAGA_FAMILY_TASK)
	{
		record->strings[0] = state->resource_type;
		record->strings[1] = state->resource_action;
	}
	else if (event == SAGA_TASK_SCHEDULED)
		record->strings[1] = state->resource.text;
	if (thread == run->handler)
		record->strings[2] = saga_asl_undoing(run)->state->name;
	return record;
}

/* ---------- the call ---------- */

/* TimeoutSeconds and HeartbeatSeconds, fixed or from the state's input. */
static bool
task_limits(SagaRun *run, SagaThread *thread, Jsonb *selected, int64 *timeout_ms,
			SagaFault *fault)
{
	const SagaState *state = thread->state;
	int64		seconds;

	*timeout_ms = state->timeout_ms;
	thread->heartbeat_ms = state->heartbeat_ms;
	if (SAGA_FIELD_IS_DYNAMIC(&state->timeout_path))
	{
		if (!saga_asl_seconds_at(run, thread, &state->timeout_path, "TimeoutSecondsPath", 1, selected,
								 &seconds, fault))
			return false;
		*timeout_ms = seconds * 1000;
	}
	if (SAGA_FIELD_IS_DYNAMIC(&state->heartbeat_path))
	{
		if (!saga_asl_seconds_at(run, thread, &state->heartbeat_path, "HeartbeatSecondsPath", 1,
								 selected, &seconds, fault))
			return false;
		thread->heartbeat_ms = seconds * 1000;
	}
	return true;
}

/* Credentials are not used, but a fault in them is the task's, as at AWS. */
static bool
task_credentials(SagaRun *run, SagaThread *thread, Jsonb *selected, SagaFault *fault)
{
	return thread->state->credentials == NULL ||
		saga_asl_payload_apply(run, thread, thread->state->credentials, selected, SAGA_SEES_INPUT, fault) != NULL;
}

static bool
is_activity(const SagaThread *thread)
{
	return thread->state->resource.kind == SAGA_RES_ACTIVITY;
}

/* The time for the next heartbeat, if there is a limit, begins now. */
static void
start_heartbeat(SagaRun *run, SagaThread *thread)
{
	thread->heartbeat_at = thread->heartbeat_ms > 0 ?
		saga_asl_time_add_ms(run->now, thread->heartbeat_ms) : DT_NOEND;
	saga_run_set_timer(run, thread->heartbeat_at);
}

/*
 * The time limit of an attempt, and that of its first heartbeat, begin now: an
 * activity's, whose worker may be long in coming, only when one has taken it.
 */
static void
start_clocks(SagaRun *run, SagaThread *thread, int64 timeout_ms)
{
	thread->deadline = timeout_ms > 0 ? saga_asl_time_add_ms(run->now, timeout_ms) : DT_NOEND;
	thread->heartbeat_at = DT_NOEND;
	saga_run_set_timer(run, thread->deadline);
	if (!is_activity(thread))
		start_heartbeat(run, thread);
}

/* The events of a call that begins; an activity has started only when a worker of it says so. */
static void
log_call(SagaRun *run, SagaThread *thread, int64 timeout_ms)
{
	SagaEventRecord *record = log_task(run, thread, SAGA_TASK_SCHEDULED);

	record->values[0] = thread->data;
	record->numbers[0] = timeout_ms > 0 ? timeout_ms / 1000 + 1 : 0;
	record->numbers[1] = thread->heartbeat_ms > 0 ? thread->heartbeat_ms / 1000 + 1 : 0;
	if (thread->state->family != SAGA_FAMILY_ACTIVITY)
		(void) log_task(run, thread, SAGA_TASK_STARTED);
}

/* The call is out, or goes on ("resume"): the caller is told what to do. */
static SagaTransition
task_open(SagaRun *run, SagaThread *thread, bool resume, SagaAction *action)
{
	thread->phase = SAGA_PHASE_OPEN;
	start_clocks(run, thread, thread->timeout_ms);
	log_call(run, thread, thread->timeout_ms);
	run->last_task = thread;

	action->kind = SAGA_ACTION_TASK;
	action->task_id = thread->task_id;
	action->call_id = thread->call_id;
	action->compensation = thread == run->handler;
	action->undoes = action->compensation ? saga_asl_undoing(run)->task_id : 0;
	action->resume = resume;
	action->state_name = thread->state->name;
	action->resource = &thread->state->resource;
	action->input = thread->data;
	action->token = thread->token;
	action->timeout_ms = thread->timeout_ms;
	action->commit = thread->state->commit;
	action->undone_later = thread->state->compensate != NULL;
	return saga_next_call(thread);
}

/*
 * One attempt.  After a call in doubt it is the same one, with the same
 * parameters, whatever they would be now.
 */
SagaTransition
saga_task_step(SagaRun *run, SagaThread *thread, SagaAction *action)
{
	const SagaResource *resource = &thread->state->resource;
	SagaTransition next;
	SagaFault	fault = {0};
	Jsonb	   *selected;

	if (thread->resume)
	{
		action->answered = thread->answered;
		thread->resume = thread->answered = false;
		return task_open(run, thread, true, action);
	}

	/*
	 * what an earlier attempt of an activity may have done is not undone by
	 * another one
	 */
	if (!is_activity(thread) || thread->retry_count == 0)
		thread->answer = NULL;
	thread->answered = false;
	thread->task_id = run->next_task++;
	thread->submitted = false;
	if (resource->wait_for_token || resource->sync != 0 || is_activity(thread))
		thread->token = run->env.make_token(run->env.arg, thread->task_id, resource);
	if (!saga_thread_input(run, thread, &selected, &fault) ||
		!task_limits(run, thread, selected, &thread->timeout_ms, &fault) ||
		!task_credentials(run, thread, selected, &fault))
		return saga_next_fault(thread, &fault);
	if (saga_asl_held_by_debt(run, thread, &next))
		return next;
	return task_open(run, thread, false, action);
}

/* ---------- answers ---------- */

/* What was called is under way: a callback or a child's end is waited for. */
static void
note_submitted(SagaRun *run, SagaThread *thread, Jsonb *output)
{
	if (thread->submitted)
		return;
	thread->submitted = true;
	if (thread->state->resource.wait_for_token || thread->state->resource.sync != 0)
		log_task(run, thread, SAGA_TASK_SUBMITTED)->values[0] = output;
}

/* The call is made, and its answer comes later.  output: what a step said that took the token; or NULL. */
void
saga_task_parked(SagaRun *run, SagaThread *thread, Jsonb *output)
{
	/* it is needed when the callback does not come, to undo the step */
	if (output != NULL && thread->state->compensate != NULL)
		thread->answer = saga_asl_copy_value(output);
	note_submitted(run, thread, NULL);
}

/* A worker has the task of an activity: it must let itself be heard from now on. */
void
saga_task_started(SagaRun *run, SagaThread *thread, const char *worker)
{
	if (!is_activity(thread) || thread->submitted)
		return;
	thread->submitted = true;
	log_task(run, thread, SAGA_TASK_STARTED)->strings[0] = saga_asl_copy_text(worker);
	start_heartbeat(run, thread);
}

/* What a result that is too large is said to come from. */
static const char *
task_display_name(const SagaState *state)
{
	if (strncmp(state->resource.text, "arn:aws:states:::", 17) == 0)
		return state->resource_type;
	return state->resource.text;
}

/* The event, and on to Retry and Catch. */
static SagaTransition
task_fail(SagaRun *run, SagaThread *thread, const SagaFailure *failure)
{
	const char *error = failure->error;
	SagaFailure own = *failure;
	bool		timed_out = error != NULL &&
	(strcmp(error, "States.Timeout") == 0 || strcmp(error, "States.HeartbeatTimeout") == 0);
	SagaEventRecord *record = log_task(run, thread,
									   timed_out ? SAGA_TASK_TIMED_OUT :
									   failure->report != NULL ? SAGA_TASK_REPORTED : SAGA_TASK_FAILED);

	record->strings[3] = error;
	record->strings[4] = failure->cause;
	if (!timed_out)
		record->values[0] = failure->report;
	thread->phase = SAGA_PHASE_ATTEMPT;
	own.of_task = true;
	return saga_next_fail(thread, &own);
}

/* The call has answered; "output" is the run's own copy. */
SagaTransition
saga_task_succeeded(SagaRun *run, SagaThread *thread, Jsonb *output)
{
	SagaFault	fault = {0};

	if (thread->state->type == SAGA_STATE_MAP)
		return saga_distributed_succeeded(run, thread, output);
	/* also when the next attempt would be due only later: it is the same call */
	saga_thread_unready(thread);
	thread->resume = thread->answered = false;
	/* nobody reads what a handler says */
	if (thread != run->handler &&
		!saga_check_limit(run, task_display_name(thread->state), output, &fault))
	{
		SagaFailure failure = {.error = fault.error, .cause = fault.cause, .completed = true};

		/* it was done all the same */
		if (thread->state->compensate != NULL)
			(void) saga_done_push(run, thread, output);
		return task_fail(run, thread, &failure);
	}
	log_task(run, thread, SAGA_TASK_SUCCEEDED)->values[0] = output;
	thread->phase = SAGA_PHASE_ATTEMPT;
	if (thread == run->handler)
		return saga_next_end(thread, output);
	return saga_next_complete(thread, output);
}

/*
 * A time limit or a heartbeat is overdue.  As recorded at AWS, the latter is
 * States.Timeout too.
 */
SagaTransition
saga_task_time_out(SagaRun *run, SagaThread *thread)
{
	bool		heartbeat = thread->heartbeat_at < thread->deadline;
	SagaFailure failure = {.error = "States.Timeout", .heartbeat = heartbeat};
	SagaOutside call;
	SagaFate	fate = saga_asl_call_fate(run, thread, SAGA_WISH_RETRY, &call);

	if (fate == SAGA_FATE_ANSWERED)
	{
		/* what is on record counts, though its event is still on its way */
		thread->deadline = thread->heartbeat_at = DT_NOEND;
		return saga_next_nothing();
	}
	if (fate >= SAGA_FATE_DONE)
	{
		/*
		 * it is known as long as the visit lasts, whatever its next attempts
		 * say
		 */
		if (is_activity(thread))
			thread->answer = saga_jsonb_null();
		failure.in_doubt = true;
		failure.unknown = fate == SAGA_FATE_UNKNOWN;
		failure.other = "Saga.Uncertain";
	}
	if (heartbeat)
		failure.cause = psprintf("The task of the state '%s' sent no heartbeat for " INT64_FORMAT " seconds (HeartbeatSeconds).",
								 thread->state->name, thread->heartbeat_ms / 1000);
	else
		failure.cause = psprintf("The task of the state '%s' did not end in time (TimeoutSeconds).",
								 thread->state->name);
	return task_fail(run, thread, &failure);
}

/* As long as AWS lets it be: a message that holds all of its input must not keep a Catch from its work. */
static char *
copy_cause(const char *cause)
{
	return pnstrdup(cause, pg_mbcharcliplen(cause, strlen(cause), SAGA_MAX_CAUSE));
}

/* The call has failed. */
SagaTransition
saga_task_failed(SagaRun *run, SagaThread *thread, const SagaTaskError *error)
{
	SagaFailure failure = {0};
	SagaOutside call;

	if (thread->state->type == SAGA_STATE_MAP)
		return saga_distributed_failed(run, thread, error);
	if (thread->resume)
	{
		/*
		 * the next attempt goes on with it, or is another one when this had
		 * no effect
		 */
		thread->answered = error->in_doubt;
		thread->resume = error->in_doubt;
		return saga_next_nothing();
	}
	thread->answered = true;
	failure.in_doubt = error->in_doubt;
	if (error->in_doubt)
		failure.unknown = saga_asl_call_fate(run, thread, SAGA_WISH_RETRY, &call) == SAGA_FATE_UNKNOWN;
	failure.error = saga_asl_copy_text(error->error);
	failure.cause = error->cause != NULL ? copy_cause(error->cause) : NULL;
	failure.other = saga_asl_copy_text(error->other);
	if (error->report != NULL && !is_activity(thread))
		failure.report = saga_asl_copy_value(error->report);

	/*
	 * this attempt has done nothing, but the worker of an earlier one was
	 * lost
	 */
	failure.in_doubt |= is_activity(thread) && thread->answer != NULL;
	if (failure.in_doubt && failure.other == NULL)
		failure.other = "Saga.Uncertain";
	return task_fail(run, thread, &failure);
}

/* The time for the next heartbeat begins anew. */
void
saga_task_heartbeat(SagaRun *run, SagaThread *thread)
{
	if (thread->heartbeat_ms > 0)
		start_heartbeat(run, thread);
}
