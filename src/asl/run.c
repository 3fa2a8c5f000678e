/*
 * run.c
 *		A run as its caller sees it: start, next, answers, stop.
 *
 * Nothing is called back and nothing is waited for: each function changes the
 * run and returns.  saga_run_next() lets every thread go on until it needs
 * the caller.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "asl/run_private.h"

/*
 * A machine may loop for ever without a task.  After so many steps the caller
 * gets control back, with a wake-up time that has already come.
 */
#define SAGA_MAX_STEPS 10000

const char *
saga_status_name(SagaStatus status)
{
	switch (status)
	{
		case SAGA_RUNNING:
			return "RUNNING";
		case SAGA_SUCCEEDED:
			return "SUCCEEDED";
		case SAGA_FAILED:
			return "FAILED";
		case SAGA_TIMED_OUT:
			return "TIMED_OUT";
		case SAGA_ABORTED:
			return "ABORTED";
		case SAGA_COMPENSATING:
			return "COMPENSATING";
	}
	return NULL;				/* keep compilers quiet */
}

/* ---------- threads ---------- */

SagaThread *
saga_thread_new(SagaRun *run, SagaThread *parent, int branch)
{
	SagaThread *thread = palloc0(sizeof(SagaThread));

	thread->id = run->next_thread++;
	thread->parent = parent;
	thread->branch = branch;
	thread->wake_at = DT_NOEND;
	thread->deadline = DT_NOEND;
	thread->heartbeat_at = DT_NOEND;
	dlist_push_tail(&run->threads, &thread->node);
	return thread;
}

void
saga_thread_ready(SagaRun *run, SagaThread *thread, SagaPhase phase)
{
	thread->phase = phase;
	if (!thread->is_ready)
		dlist_push_tail(&run->ready, &thread->ready_node);
	thread->is_ready = true;
}

void
saga_thread_unready(SagaThread *thread)
{
	if (thread->is_ready)
		dlist_delete(&thread->ready_node);
	thread->is_ready = false;
}

/* Takes a thread out of the run, with all its branches. */
void
saga_thread_drop(SagaRun *run, SagaThread *thread)
{
	int			i;

	check_stack_depth();
	for (i = 0; i < thread->nchildren; i++)
	{
		if (thread->children[i] != NULL)
			saga_thread_drop(run, thread->children[i]);
	}
	thread->nchildren = 0;
	saga_cut(run, thread);
	saga_thread_unready(thread);
	dlist_delete(&thread->node);
	if (thread->parent != NULL)
		thread->parent->children[thread->branch] = NULL;
	if (run->last_task == thread)
		run->last_task = NULL;
	if (run->current == thread)
		run->current = NULL;
	if (run->root == thread)
		run->root = NULL;
	if (run->handler == thread)
		run->handler = NULL;
	pfree(thread);
}

void
saga_run_drop_threads(SagaRun *run)
{
	if (run->root != NULL)
		saga_thread_drop(run, run->root);
	if (run->handler != NULL)
		saga_thread_drop(run, run->handler);
}

/* ---------- time ---------- */

/* Never past what a timestamp can be. */
TimestampTz
saga_time_add_ms(TimestampTz at, int64 ms)
{
	if (TIMESTAMP_NOT_FINITE(at) || ms >= (END_TIMESTAMP - at) / 1000)
		return DT_NOEND;
	return at + ms * 1000;
}

void
saga_run_set_timer(SagaRun *run, TimestampTz at)
{
	if (at < run->next_timer)
		run->next_timer = at;
}

/* When a thread wants to be woken; DT_NOEND: not by time. */
static TimestampTz
saga_thread_timer(const SagaThread *thread)
{
	switch (thread->phase)
	{
		case SAGA_PHASE_WAIT:
		case SAGA_PHASE_RETRY:
			return thread->wake_at;
		case SAGA_PHASE_OPEN:
			return Min(thread->deadline, thread->heartbeat_at);
		case SAGA_PHASE_ENTER:
		case SAGA_PHASE_ATTEMPT:
		case SAGA_PHASE_HELD:
		case SAGA_PHASE_CHILDREN:
			break;
	}
	return DT_NOEND;
}

/* The thread whose timer is the earliest; also makes next_timer exact. */
static SagaThread *
saga_earliest(SagaRun *run)
{
	SagaThread *earliest = NULL;
	dlist_iter	iter;

	run->next_timer = run->status == SAGA_RUNNING && !run->decided ? run->deadline : DT_NOEND;
	dlist_foreach(iter, &run->threads)
	{
		SagaThread *thread = dlist_container(SagaThread, node, iter.cur);
		TimestampTz at = saga_thread_timer(thread);

		if (at < run->next_timer)
		{
			run->next_timer = at;
			earliest = thread;
		}
	}
	return earliest;
}

/* Fires what is due, in the order of time: one timer can undo another. */
static void
saga_fire_timers(SagaRun *run)
{
	while (run->next_timer <= run->now)
	{
		SagaThread *thread = saga_earliest(run);

		CHECK_FOR_INTERRUPTS();
		if (run->next_timer > run->now)
			return;
		if (thread == NULL)
		{
			/* the machine's own */
			char	   *cause = psprintf("The execution did not end within " INT64_FORMAT " seconds (TimeoutSeconds).",
										 run->machine->timeout_ms / 1000);

			saga_run_finish(run, run->root, SAGA_TIMED_OUT, "States.Timeout", cause);
			continue;
		}
		switch (thread->phase)
		{
			case SAGA_PHASE_WAIT:
				saga_thread_leave(run, thread, thread->data, thread->state->next,
								  thread->state->assign, thread->data);
				break;
			case SAGA_PHASE_RETRY:
				saga_thread_ready(run, thread, SAGA_PHASE_ATTEMPT);
				break;
			case SAGA_PHASE_OPEN:
				saga_task_time_out(run, thread, thread->heartbeat_at < thread->deadline);
				break;
			default:
				elog(ERROR, "unexpected timer in phase %d", thread->phase);
		}
	}
}

/* ---------- history ---------- */

SagaEventRecord *
saga_log(SagaRun *run, SagaThread *thread, SagaEventType type)
{
	SagaEventRecord *record = saga_history_add(&run->history, type);

	record->timestamp = run->now;
	record->previous_id = thread->last_event;
	thread->last_event = run->history.next_id - 1;
	return record;
}

bytea *
saga_run_history(SagaRun *run, Jsonb *input, Jsonb *output)
{
	return saga_history_encode(&run->history, input, output);
}

int64
saga_run_event_count(const SagaRun *run)
{
	return run->history.next_id - 1;
}

/* ---------- the end ---------- */

/* The last event, and the status that stays. */
void
saga_run_end(SagaRun *run, int64 last_event, SagaStatus status, const char *error, const char *cause)
{
	SagaEventType type = SAGA_EVENT_EXECUTION_FAILED;
	SagaEventRecord *record;

	/* what an end without waiting gives up is listed by its caller */
	run->status = status;
	saga_run_drop_threads(run);
	run->error = error;
	run->cause = cause;
	run->next_timer = DT_NOEND;
	if (status == SAGA_SUCCEEDED)
		type = SAGA_EVENT_EXECUTION_SUCCEEDED;
	else if (status == SAGA_TIMED_OUT)
		type = SAGA_EVENT_EXECUTION_TIMED_OUT;
	else if (status == SAGA_ABORTED)
		type = SAGA_EVENT_EXECUTION_ABORTED;
	record = saga_history_add(&run->history, type);
	record->timestamp = run->now;
	record->previous_id = last_event;
	if (status == SAGA_SUCCEEDED)
		record->values[0] = run->output;
	else
	{
		record->strings[0] = error;
		record->strings[1] = cause;
	}
}

/*
 * The run has failed in "thread": compensate, if anything is to be undone or
 * may have to be, then end.
 */
void
saga_run_finish(SagaRun *run, SagaThread *thread, SagaStatus status,
				const char *error, const char *cause)
{
	int64		last_event = thread->last_event;
	SagaFailure failure = {.error = error, .cause = cause};

	run->status = SAGA_COMPENSATING;
	run->final_status = status;
	run->error = error;
	run->cause = cause;
	run->cut = &failure;
	/* a handler that undoes what was given up earlier goes on */
	saga_thread_drop(run, run->root);
	run->cut = NULL;
	saga_compensation_start(run, last_event);
}

/* The path has succeeded.  What it gave up on its way is found out, and undone, before the end. */
void
saga_run_succeed(SagaRun *run, SagaThread *thread, Jsonb *output)
{
	int64		last_event = thread->last_event;

	run->output = output;
	if (!saga_has_debts(run) && run->handler == NULL)
	{
		saga_run_end(run, last_event, SAGA_SUCCEEDED, NULL, NULL);
		return;
	}
	run->decided = true;
	run->last_event = last_event;
	saga_thread_drop(run, run->root);
	saga_undo_next(run);
}

/* ---------- start and go on ---------- */

SagaRun *
saga_run_start(const SagaMachine *machine, const SagaRunEnv *env, Jsonb *input, TimestampTz now)
{
	SagaRun    *run = palloc0(sizeof(SagaRun));
	SagaEventRecord *record;

	run->context = CurrentMemoryContext;
	run->machine = machine;
	run->env = *env;
	run->now = now;
	run->input = input;
	run->status = SAGA_RUNNING;
	run->deadline = machine->timeout_ms > 0 ? saga_time_add_ms(now, machine->timeout_ms) : DT_NOEND;
	run->next_timer = run->deadline;
	run->next_thread = 1;
	run->next_task = 1;
	run->next_call = 1;
	dlist_init(&run->threads);
	dlist_init(&run->ready);
	saga_history_init(&run->history, run->context, 1, env->express);

	record = saga_history_add(&run->history, SAGA_EVENT_EXECUTION_STARTED);
	record->timestamp = now;
	record->strings[0] = env->role;
	record->values[0] = input;

	run->root = saga_thread_new(run, NULL, 0);
	run->root->state = machine->root->start;
	run->root->input = input;
	saga_thread_ready(run, run->root, SAGA_PHASE_ENTER);
	return run;
}

static Jsonb *
saga_names_to_jsonb(List *names)
{
	JsonbParseState *state = NULL;
	ListCell   *lc;

	if (names == NIL)
		return NULL;
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	foreach(lc, names)
		saga_jsonb_push_string(&state, WJB_ELEM, lfirst(lc));
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

static bool
saga_run_is_over(const SagaRun *run)
{
	return run->status != SAGA_RUNNING && run->status != SAGA_COMPENSATING;
}

static void
saga_action_finished(SagaRun *run, SagaAction *action)
{
	action->kind = SAGA_ACTION_FINISHED;
	action->status = run->status;
	action->output = run->output;
	action->error = run->error;
	action->cause = run->cause;
	action->compensated = saga_names_to_jsonb(run->compensated);
	action->not_compensated = saga_undone_to_jsonb(run->not_compensated);
	action->left = saga_run_left(run);
	action->effects = saga_effects_to_jsonb(run->effects);
}

static void
saga_action_park(SagaRun *run, SagaAction *action, bool at_once)
{
	if (!at_once)
		(void) saga_earliest(run);
	action->kind = SAGA_ACTION_PARK;
	action->wake_at = at_once ? run->now : run->next_timer;
}

void
saga_run_next(SagaRun *run, TimestampTz now, SagaAction *action)
{
	MemoryContext old = MemoryContextSwitchTo(run->context);
	int			steps = 0;

	memset(action, 0, sizeof(SagaAction));
	action->wake_at = DT_NOEND;
	run->now = now;
	if (run->next_timer <= now && !saga_run_is_over(run))
		saga_fire_timers(run);
	for (;;)
	{
		SagaThread *thread;

		CHECK_FOR_INTERRUPTS();
		if (saga_run_is_over(run))
		{
			saga_action_finished(run, action);
			break;
		}
		if (dlist_is_empty(&run->ready))
		{
			saga_action_park(run, action, false);
			break;
		}
		if (++steps > SAGA_MAX_STEPS)
		{
			saga_action_park(run, action, true);
			break;
		}
		thread = dlist_head_element(SagaThread, ready_node, &run->ready);
		saga_thread_unready(thread);
		if (saga_thread_step(run, thread, action))
			break;
	}
	MemoryContextSwitchTo(old);
}

/* ---------- from outside ---------- */

/* The event that a stop or a kill follows. */
static int64
saga_run_last_event(const SagaRun *run)
{
	const SagaThread *thread = run->root != NULL ? run->root : run->handler;

	return thread != NULL ? thread->last_event : run->last_event;
}

static char *
saga_copy_text(const char *text)
{
	return text != NULL ? pstrdup(text) : NULL;
}

/* Ends now.  What is done, or may be, and is not undone is listed with this reason. */
static void
saga_run_end_now(SagaRun *run, SagaStatus status, const char *error, const char *cause, const char *reason,
				 const char *why)
{
	int64		last_event = saga_run_last_event(run);

	run->status = status;
	if (run->root != NULL)
		saga_thread_drop(run, run->root);
	saga_compensation_give_up(run, reason, why);
	saga_run_end(run, last_event, status, error, cause);
}

void
saga_run_stop(SagaRun *run, const char *error, const char *cause, bool compensate, TimestampTz now)
{
	MemoryContext old = MemoryContextSwitchTo(run->context);

	run->now = now;
	error = saga_copy_text(error);
	cause = saga_copy_text(cause);
	if (run->decided && run->status == SAGA_RUNNING && compensate)
	{
		/* it has succeeded: only the waiting ends */
		saga_forget_debts(run);
		saga_undo_next(run);
	}
	else if (run->decided && run->status == SAGA_RUNNING)
		saga_run_end_now(run, SAGA_SUCCEEDED, NULL, NULL, "Saga.Stopped", cause);
	else if (run->status == SAGA_RUNNING && compensate)
		saga_run_finish(run, run->root, SAGA_ABORTED, error, cause);
	else if (run->status == SAGA_RUNNING)
		saga_run_end_now(run, SAGA_ABORTED, error, cause, "Saga.Stopped", cause);
	else if (run->status == SAGA_COMPENSATING && !compensate && run->final_status == SAGA_SUCCEEDED)
		saga_run_end_now(run, SAGA_ABORTED, error, cause, error != NULL ? error : "Saga.Stopped", cause);
	else if (run->status == SAGA_COMPENSATING && !compensate)
		saga_run_end_now(run, run->final_status, run->error, run->cause, error != NULL ? error : "Saga.Stopped", cause);
	MemoryContextSwitchTo(old);
}

void
saga_run_give_up(SagaRun *run, const char *error, const char *cause, TimestampTz now)
{
	MemoryContext old = MemoryContextSwitchTo(run->context);

	run->now = now;
	if (run->status == SAGA_RUNNING && run->decided)
		saga_run_end_now(run, SAGA_SUCCEEDED, NULL, NULL, saga_copy_text(error), saga_copy_text(cause));
	else if (run->status == SAGA_RUNNING)
		saga_run_finish(run, run->root, SAGA_FAILED, saga_copy_text(error), saga_copy_text(cause));
	MemoryContextSwitchTo(old);
}

void
saga_run_kill(SagaRun *run, const char *error, const char *cause, TimestampTz now)
{
	MemoryContext old = MemoryContextSwitchTo(run->context);

	run->now = now;
	error = saga_copy_text(error);
	cause = saga_copy_text(cause);
	if (run->decided)
		saga_run_end_now(run, SAGA_SUCCEEDED, NULL, NULL, error, cause);
	else if (!saga_run_is_over(run))
		saga_run_end_now(run, SAGA_FAILED, error, cause, error, cause);
	MemoryContextSwitchTo(old);
}

SagaStatus
saga_run_status(const SagaRun *run)
{
	return run->status;
}

const char *
saga_run_current_state(const SagaRun *run)
{
	const SagaThread *thread = run->root != NULL ? run->root : run->handler;

	if (thread == NULL)
		return run->ndone > 0 ? run->done[run->ndone - 1].state->name : NULL;
	return thread->state->name;
}
