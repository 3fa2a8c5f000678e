/*
 * run.c
 *		A run as its caller sees it: start, next, answers, stop.
 *
 * Nothing is called back and nothing is waited for: each function finds the
 * thread that is meant, lets the floors below change the run, and returns.
 * What happens to a thread is carried out by the loop in run_loop.c.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "asl/run_private.h"

/*
 * A machine may loop for ever without a task.  After so many steps, or when
 * they have taken so much memory, the caller gets control back, with a wake-up
 * time that has already come: it may go on, or freeze the run, so that neither
 * its memory nor its history grows with the length of the loop.
 */
#define SAGA_MAX_STEPS 1000
#define SAGA_MAX_STEP_BYTES ((Size) 8 * 1024 * 1024)

/* ---------- start and go on ---------- */

/* The run lives in the context that is current now; its first event is noted. */
static SagaRun *
start(const SagaMachine *machine, const SagaStates *scope, const SagaRunEnv *env, Jsonb *input, TimestampTz now)
{
	SagaRun    *run = palloc0(sizeof(SagaRun));
	SagaEventRecord *record;

	run->context = CurrentMemoryContext;
	run->machine = machine;
	run->env = *env;
	run->now = now;
	run->input = input;
	run->status = SAGA_RUNNING;
	/* an item has as much time as its Map */
	run->deadline = machine->timeout_ms > 0 && scope == machine->root ? saga_asl_time_add_ms(now, machine->timeout_ms) : DT_NOEND;
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
	run->root->state = scope->start;
	run->root->input = input;
	saga_thread_ready(run, run->root, SAGA_PHASE_ENTER);
	return run;
}

SagaRun *
saga_run_start(const SagaMachine *machine, const SagaRunEnv *env, Jsonb *input, TimestampTz now)
{
	return start(machine, machine->root, env, input, now);
}

/* It must be a distributed Map of the machine. */
SagaRun *
saga_run_start_item(const SagaMachine *machine, const char *map_state, const SagaRunEnv *env, Jsonb *input,
					TimestampTz now)
{
	const SagaState *state = saga_machine_find(machine, map_state);

	if (state == NULL || state->type != SAGA_STATE_MAP)
		elog(ERROR, "state \"%s\" is no Map", map_state);
	return start(machine, state->branches[0], env, input, now);
}

/* at_once: only to let the caller do something else in between. */
static void
action_park(SagaRun *run, SagaAction *action, bool at_once)
{
	if (!at_once)
		(void) saga_run_earliest(run);
	action->kind = SAGA_ACTION_PARK;
	action->wake_at = at_once ? run->now : run->next_timer;
}

/* Steps whatever is ready, in turn, until the caller is needed or nothing is ready. */
void
saga_run_next(SagaRun *run, TimestampTz now, SagaAction *action)
{
	MemoryContext old = MemoryContextSwitchTo(run->context);
	Size		most = MemoryContextMemAllocated(run->context, false) + SAGA_MAX_STEP_BYTES;
	int			steps = 0;

	memset(action, 0, sizeof(SagaAction));
	action->wake_at = DT_NOEND;
	run->now = now;
	if (run->next_timer <= now && !saga_run_is_over(run))
		saga_run_fire_timers(run);
	/* one that begins with what another has done may have nothing to undo */
	if (run->status == SAGA_COMPENSATING && run->handler == NULL)
		saga_asl_undo_next(run);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (saga_run_is_over(run))
		{
			saga_run_report(run, action);
			break;
		}
		if (dlist_is_empty(&run->ready))
		{
			action_park(run, action, false);
			break;
		}
		if (++steps > SAGA_MAX_STEPS ||
			(steps > 1 && MemoryContextMemAllocated(run->context, false) > most))
		{
			action_park(run, action, true);
			break;
		}
		if (saga_run_step(run, dlist_head_element(SagaThread, ready_node, &run->ready), action))
			break;
	}
	MemoryContextSwitchTo(old);
}

/* ---------- answers ---------- */

int
saga_run_find_token(SagaRun *run, const char *token)
{
	const SagaThread *thread = saga_thread_of_token(run, token);

	return thread != NULL ? thread->task_id : saga_debt_of_token(run, token);
}

void
saga_run_task_parked(SagaRun *run, int task_id, Jsonb *output, TimestampTz now)
{
	SagaThread *thread = saga_thread_of_task(run, task_id);
	MemoryContext old = MemoryContextSwitchTo(run->context);

	run->now = now;
	if (thread != NULL)
		saga_task_parked(run, thread, output);
	MemoryContextSwitchTo(old);
}

/* One of output and error.  The answer is for the thread that has the call open, or for one that was given up. */
static bool
run_answer(SagaRun *run, int task_id, Jsonb *output, const SagaTaskError *error, TimestampTz now)
{
	SagaThread *thread = saga_thread_of_task(run, task_id);
	MemoryContext old = MemoryContextSwitchTo(run->context);
	bool		taken = true;

	run->now = now;
	if (output != NULL)
		output = saga_asl_copy_value(output);
	if (thread == NULL)
	{
		taken = saga_debt_answered(run, task_id, output, error);
		if (taken)
			saga_run_follow(run, saga_next_undo());
	}
	else if (output != NULL)
		saga_run_follow(run, saga_task_succeeded(run, thread, output));
	else
		saga_run_follow(run, saga_task_failed(run, thread, error));
	MemoryContextSwitchTo(old);
	return taken;
}

bool
saga_run_task_succeeded(SagaRun *run, int task_id, Jsonb *output, TimestampTz now)
{
	return run_answer(run, task_id, output, NULL, now);
}

bool
saga_run_task_failed(SagaRun *run, int task_id, const SagaTaskError *error, TimestampTz now)
{
	return run_answer(run, task_id, NULL, error, now);
}

bool
saga_run_task_heartbeat(SagaRun *run, int task_id, TimestampTz now)
{
	SagaThread *thread = saga_thread_of_task(run, task_id);

	if (thread == NULL)
		return false;
	run->now = now;
	saga_task_heartbeat(run, thread);
	return true;
}

bool
saga_run_task_started(SagaRun *run, int task_id, const char *worker, TimestampTz now)
{
	SagaThread *thread = saga_thread_of_task(run, task_id);
	MemoryContext old;

	if (thread == NULL)
		return false;
	old = MemoryContextSwitchTo(run->context);
	run->now = now;
	saga_task_started(run, thread, worker);
	MemoryContextSwitchTo(old);
	return true;
}

/* ---------- from outside ---------- */

/* What it means depends on how far the run is: one that has succeeded or failed already keeps that. */
void
saga_run_stop(SagaRun *run, const char *error, const char *cause, bool compensate, TimestampTz now)
{
	MemoryContext old = MemoryContextSwitchTo(run->context);

	run->now = now;
	error = saga_asl_copy_text(error);
	cause = saga_asl_copy_text(cause);
	if (run->decided && run->status == SAGA_RUNNING && compensate)
	{
		/* it has succeeded: only the waiting ends */
		saga_asl_forget_debts(run);
		saga_run_follow(run, saga_next_undo());
	}
	else if (run->decided && run->status == SAGA_RUNNING)
		saga_run_end_now(run, SAGA_SUCCEEDED, NULL, NULL, "Saga.Stopped", cause);
	else if (run->status == SAGA_RUNNING && compensate)
		saga_run_follow(run, saga_run_fail(run, SAGA_ABORTED, error, cause, NULL));
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
		saga_run_end_now(run, SAGA_SUCCEEDED, NULL, NULL, saga_asl_copy_text(error), saga_asl_copy_text(cause));
	else if (run->status == SAGA_RUNNING)
		saga_run_follow(run, saga_run_fail(run, SAGA_FAILED, saga_asl_copy_text(error), saga_asl_copy_text(cause), NULL));
	MemoryContextSwitchTo(old);
}

/* A run that has succeeded, and only waits for what it gave up, keeps its success. */
void
saga_run_kill(SagaRun *run, const char *error, const char *cause, TimestampTz now)
{
	MemoryContext old = MemoryContextSwitchTo(run->context);

	run->now = now;
	error = saga_asl_copy_text(error);
	cause = saga_asl_copy_text(cause);
	if (run->decided)
		saga_run_end_now(run, SAGA_SUCCEEDED, NULL, NULL, error, cause);
	else if (!saga_run_is_over(run))
		saga_run_end_now(run, SAGA_FAILED, error, cause, error, cause);
	MemoryContextSwitchTo(old);
}

/* ---------- what is known of it ---------- */

SagaStatus
saga_run_status(const SagaRun *run)
{
	return run->status;
}

Jsonb *
saga_run_context(SagaRun *run, int task_id)
{
	SagaThread *thread = saga_thread_of_task(run, task_id);
	MemoryContext old;
	Jsonb	   *result;

	if (thread == NULL)
		return NULL;
	old = MemoryContextSwitchTo(run->context);
	result = saga_thread_context(run, thread);
	MemoryContextSwitchTo(old);
	return result;
}

Jsonb *
saga_run_item_input(SagaRun *run, int task_id, const SagaMapItem *item, const char **error, const char **cause)
{
	SagaThread *thread = saga_thread_of_task(run, task_id);
	MemoryContext old;
	SagaFault	fault = {0};
	Jsonb	   *input;

	if (thread == NULL || thread->state->type != SAGA_STATE_MAP)
		elog(ERROR, "task %d is no Map that is open", task_id);
	input = saga_asl_item_input(run, thread, item, &fault);
	if (input != NULL)
		return input;
	old = MemoryContextSwitchTo(run->context);
	*error = saga_asl_copy_text(fault.error != NULL ? fault.error : "States.Runtime");
	*cause = saga_state_cause(thread, fault.cause);
	MemoryContextSwitchTo(old);
	return NULL;
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
