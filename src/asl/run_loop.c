/*
 * run_loop.c
 *		The loop: what a thread does next, until it needs the caller or waits.
 *
 * This is the one place that knows every type of state and every transition.
 * What happens is done elsewhere, by functions that return what is next; so
 * none of them calls another that might free its thread or end the run.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "asl/run_private.h"

/* ---------- transitions ---------- */

/* A thread is at its end: a handler, a branch, an item, or the machine. */
static SagaTransition
thread_end(SagaRun *run, SagaThread *thread, Jsonb *output)
{
	if (thread == run->handler)
		return saga_compensation_succeeded(run, output);
	if (thread->parent == NULL)
		return saga_run_succeed(run, output);
	if (thread->parent->state->type == SAGA_STATE_MAP)
		return saga_asl_map_item_ended(run, thread, output);
	return saga_asl_parallel_branch_ended(run, thread, output);
}

/* A state has failed for good: so has its handler, its branch, its item, or the run. */
static SagaTransition
thread_give_up(SagaRun *run, SagaThread *thread, const SagaFailure *failure)
{
	if (thread == run->handler)
		return saga_compensation_failed(run, failure);
	if (thread->parent != NULL && thread->parent->state->type == SAGA_STATE_MAP)
		return saga_asl_map_item_failed(run, thread, failure);
	if (thread->parent != NULL)
		return saga_asl_parallel_branch_failed(run, thread, failure);
	run->report = failure->report;
	return saga_run_fail(run, SAGA_FAILED, failure->error, failure->cause, failure->state);
}

/*
 * Carries out a transition, and those that follow from it.  What is to be
 * undone is looked at when nothing follows any more: only then it is known
 * whether the path lives.
 */
void
saga_run_follow(SagaRun *run, SagaTransition next)
{
	bool		undo = next.undo;

	while (next.kind != SAGA_NEXT_NOTHING && next.kind != SAGA_NEXT_CALL)
	{
		switch (next.kind)
		{
			case SAGA_NEXT_COMPLETE:
				next = saga_state_complete(run, next.thread, next.value);
				break;
			case SAGA_NEXT_LEAVE:
				next = saga_state_leave(run, &next);
				break;
			case SAGA_NEXT_END:
				next = thread_end(run, next.thread, next.value);
				break;
			case SAGA_NEXT_FAIL:
				next = saga_state_fail(run, next.thread, next.failure);
				break;
			case SAGA_NEXT_GIVE_UP:
				next = thread_give_up(run, next.thread, next.failure);
				break;
			case SAGA_NEXT_NOTHING:
			case SAGA_NEXT_CALL:
				break;
		}
		undo |= next.undo;
	}
	if (undo)
		saga_asl_undo_next(run);
}

/* ---------- one step of a thread ---------- */

/* A visit of the state begins. */
static void
thread_enter(SagaRun *run, SagaThread *thread)
{
	SagaEventRecord *record = saga_asl_log(run, thread, SAGA_EVENT_STATE_ENTERED + thread->state->type);

	record->strings[0] = thread->state->name;
	record->values[0] = thread->input;
	saga_run_took(run, thread->state, SAGA_COVERED_ENTERED, 0);
	thread->entered_at = run->now;
	thread->entered_event = thread->last_event;
	thread->call_id = run->next_call++;
	thread->retry_count = 0;
	thread->attempts = NULL;
	thread->attempts_size = 0;
	thread->resume = thread->answered = false;
	thread->last_error = NULL;
	thread->task_id = 0;
	thread->fallen = NULL;
}

/* What the state does; a Task asks the caller by *action. */
static SagaTransition
state_step(SagaRun *run, SagaThread *thread, SagaAction *action)
{
	SagaFault	fault = {0};
	Jsonb	   *selected;

	/*
	 * it takes InputPath and Parameters itself, after its token is there for
	 * them
	 */
	if (thread->state->type == SAGA_STATE_TASK)
		return saga_task_step(run, thread, action);
	if (!saga_thread_input(run, thread, &selected, &fault))
		return saga_next_fault(thread, &fault);
	switch (thread->state->type)
	{
		case SAGA_STATE_PASS:
			return saga_asl_pass_step(run, thread);
		case SAGA_STATE_CHOICE:
			return saga_asl_choice_step(run, thread);
		case SAGA_STATE_WAIT:
			return saga_asl_wait_step(run, thread);
		case SAGA_STATE_SUCCEED:
			return saga_asl_succeed_step(run, thread);
		case SAGA_STATE_FAIL:
			return saga_asl_fail_step(run, thread);
		case SAGA_STATE_PARALLEL:
			return saga_asl_parallel_step(run, thread);
		case SAGA_STATE_MAP:
			return saga_asl_map_step(run, thread, action);
		case SAGA_STATE_TASK:
			break;
	}
	elog(ERROR, "unexpected state type %d", thread->state->type);
}

/* Lets a thread that is ready do what it can; true when *action asks the caller for something. */
bool
saga_run_step(SagaRun *run, SagaThread *thread, SagaAction *action)
{
	SagaTransition next;

	saga_thread_unready(thread);
	if (thread->phase == SAGA_PHASE_CHILDREN)
	{
		/* a Map that was redriven */
		saga_run_follow(run, saga_asl_map_go_on(run, thread));
		return false;
	}
	if (thread->phase == SAGA_PHASE_ENTER)
		thread_enter(run, thread);
	thread->phase = SAGA_PHASE_ATTEMPT;
	thread->since = run->now;
	if (!thread->resume)
		thread->token = NULL;
	if (run->current == thread)
		run->context_object = run->map_object = NULL;
	next = state_step(run, thread, action);
	saga_run_follow(run, next);
	return next.kind == SAGA_NEXT_CALL;
}

/* ---------- timers ---------- */

/* NULL: the machine's own time limit. */
static SagaTransition
timer_fired(SagaRun *run, SagaThread *thread)
{
	if (thread == NULL)
		return saga_run_fail(run, SAGA_TIMED_OUT, "States.Timeout",
							 psprintf("The execution did not end within " INT64_FORMAT " seconds (TimeoutSeconds).",
									  run->machine->timeout_ms / 1000), NULL);
	switch (thread->phase)
	{
		case SAGA_PHASE_WAIT:
			return saga_asl_wait_is_over(thread);
		case SAGA_PHASE_RETRY:
			saga_thread_ready(run, thread, SAGA_PHASE_ATTEMPT);
			return saga_next_nothing();
		case SAGA_PHASE_OPEN:
			return saga_task_time_out(run, thread);
		default:
			elog(ERROR, "unexpected timer in phase %d", thread->phase);
	}
}

/* Fires what is due, in the order of time: one timer can undo another. */
void
saga_run_fire_timers(SagaRun *run)
{
	while (run->next_timer <= run->now)
	{
		SagaThread *thread = saga_run_earliest(run);

		CHECK_FOR_INTERRUPTS();
		if (run->next_timer > run->now)
			return;
		saga_run_follow(run, timer_fired(run, thread));
	}
}
