/*
 * run_fork.c
 *		The threads below a state: how they start, end, fail and are cut off.
 *
 * A fork is what a type of state with threads of its own has in common with
 * the next one; which threads it starts, when, and what it makes of their
 * ends is the type's: run_parallel.c, run_map.c.  Each thread begins with its parent's
 * variables, and what it assigns is its own: it goes with the thread.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "asl/run_private.h"
#include "value/doc.h"

/* Starts the thread at this place of the parent's fork, in the States object "scope". */
SagaThread *
saga_fork_start(SagaRun *run, SagaThread *parent, int branch, const SagaStates *scope, Jsonb *input)
{
	SagaThread *thread = saga_thread_new(run, parent, branch);

	parent->fork->threads[branch] = thread;
	thread->state = scope->start;
	thread->input = input;
	thread->variables = parent->variables;
	thread->last_event = parent->last_event;
	saga_thread_ready(run, thread, SAGA_PHASE_ENTER);
	return thread;
}

/* A thread has left its last state: its result is kept, and it goes.  The parent's events follow its. */
void
saga_fork_ended(SagaRun *run, SagaThread *thread, Jsonb *output)
{
	SagaThread *parent = thread->parent;

	parent->fork->results[thread->branch] = output;
	parent->fork->nopen--;
	parent->last_event = thread->last_event;
	saga_thread_drop(run, thread);
}

static void log_aborted(SagaRun *run, SagaThread *thread);

/* The same for a thread that is given up; of an item of a Map this is noted too. */
static void
log_given_up(SagaRun *run, SagaThread *thread)
{
	log_aborted(run, thread);
	if (thread->parent->state->type == SAGA_STATE_MAP)
	{
		SagaEventRecord *record = saga_asl_log(run, thread, SAGA_EVENT_ITERATION_ABORTED);

		record->strings[0] = thread->parent->state->name;
		record->numbers[0] = (int64) thread->branch + 1;
	}
}

/* Notes that a thread's state ends without having been left, those below it first. */
static void
log_aborted(SagaRun *run, SagaThread *thread)
{
	const SagaFork *fork = thread->fork;
	int			i;

	check_stack_depth();
	for (i = 0; fork != NULL && i < fork->size; i++)
	{
		if (fork->threads[i] != NULL)
			log_given_up(run, fork->threads[i]);
	}
	if (thread->phase == SAGA_PHASE_ENTER)
		return;					/* not entered yet */
	switch (thread->state->type)
	{
		case SAGA_STATE_TASK:
		case SAGA_STATE_WAIT:
		case SAGA_STATE_PARALLEL:
		case SAGA_STATE_MAP:
			if (thread->state->type == SAGA_STATE_MAP && thread->phase == SAGA_PHASE_OPEN)
				(void) saga_asl_log(run, thread, SAGA_EVENT_MAP_RUN_ABORTED);
			saga_asl_log(run, thread, SAGA_EVENT_STATE_ABORTED + thread->state->type)->strings[0] =
				thread->state->name;
			break;
		default:
			break;				/* AWS has no such event for the others */
	}
}

/* A thread has failed: it goes, and the parent's events follow its. */
void
saga_fork_failed(SagaRun *run, SagaThread *thread, const SagaFailure *failure)
{
	SagaThread *parent = thread->parent;

	log_aborted(run, thread);
	parent->last_event = thread->last_event;
	parent->fork->nopen--;
	saga_thread_cut(run, thread, failure);
}

/* Gives up all threads of the parent's that are left, with their calls, and the fork with them. */
void
saga_fork_cut(SagaRun *run, SagaThread *parent, const SagaFailure *failure)
{
	SagaFork   *fork = parent->fork;
	int			i;

	for (i = 0; i < fork->size; i++)
	{
		if (fork->threads[i] == NULL)
			continue;
		log_given_up(run, fork->threads[i]);
		saga_thread_cut(run, fork->threads[i], failure);
	}
	parent->fork = NULL;
}

/* The results of a fork all of whose threads have ended, as one array; the fork goes. */
Jsonb *
saga_fork_results(SagaThread *parent)
{
	const SagaFork *fork = parent->fork;
	JsonbValue	array;

	saga_doc_array(&array, fork->results, fork->size);
	parent->fork = NULL;
	return saga_jsonb_from_value(&array);
}
