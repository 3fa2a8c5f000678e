/*
 * run_parallel.c
 *		What a Parallel does: all of its branches at once, until all have ended
 *		or one has failed.
 */
#include "postgres.h"

#include "asl/run_private.h"

/* Starts every branch with the state's data. */
SagaTransition
saga_asl_parallel_step(SagaRun *run, SagaThread *thread)
{
	const SagaState *state = thread->state;
	int			i;

	(void) saga_asl_log(run, thread, SAGA_EVENT_PARALLEL_STARTED);
	thread->phase = SAGA_PHASE_CHILDREN;
	(void) saga_thread_fork(thread, state->nbranches);
	for (i = 0; i < state->nbranches; i++)
		(void) saga_fork_start(run, thread, i, state->branches[i], thread->data);
	return saga_next_nothing();
}

/* "thread" is that of the branch, and is gone afterwards. */
SagaTransition
saga_asl_parallel_branch_ended(SagaRun *run, SagaThread *thread, Jsonb *output)
{
	SagaThread *parent = thread->parent;

	saga_fork_ended(run, thread, output);
	if (parent->fork->nopen > 0)
		return saga_next_nothing();
	saga_done_begin_with(run, parent);
	return saga_next_complete(parent, saga_fork_results(parent));
}

/* A branch has failed: its siblings are given up, and the Parallel fails. */
SagaTransition
saga_asl_parallel_branch_failed(SagaRun *run, SagaThread *thread, const SagaFailure *failure)
{
	SagaThread *parent = thread->parent;
	SagaFailure own = *failure;

	saga_fork_remember(run, parent);
	saga_fork_failed(run, thread, failure);
	saga_fork_cut(run, parent, failure);
	parent->phase = SAGA_PHASE_ATTEMPT;
	own.from_branch = true;
	own.of_item = own.in_doubt = own.unknown = own.of_task = own.completed = false;
	own.location = NULL;
	return saga_next_fail(parent, &own);
}
