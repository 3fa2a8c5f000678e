/*
 * run_move.c
 *		Could a parked run go on with another machine?
 *
 * A frozen run names states, and what it keeps of each is as long as that state
 * is: results by branch, attempts by retrier, the step that is to be undone and
 * its handler.  So it fits another machine when each of these is there with the
 * same type, in the same place, and as much around it as is kept.  What is only
 * read when the state goes on (Next, Parameters, Catch, times) may differ: that
 * is what somebody moves it for.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "asl/run_private.h"

/*
 * What a comparison is about, and what it has found. Reasons are allocated in
 * CurrentMemoryContext.
 */
typedef struct Fit
{
	const SagaMachine *other;
	char	   *reason;			/* NULL: it fits, so far */
} Fit;

/* The state of this name in the other machine; NULL, and the reason is set: it is not there, or is something else. */
static const SagaState *
find_same(Fit *fit, const SagaState *state)
{
	const SagaState *other = saga_machine_find(fit->other, state->name);

	if (other == NULL)
		fit->reason = psprintf("state \"%s\" does not exist in the other version", state->name);
	else if (other->type != state->type)
	{
		fit->reason = psprintf("state \"%s\" is a %s, and a %s in the other version", state->name,
							   saga_state_type_name(state->type), saga_state_type_name(other->type));
		other = NULL;
	}
	return other;
}

/* Which branch of the state around it a States object is. */
static int
branch_of(const SagaStates *scope)
{
	int			i;

	for (i = 0; i < scope->owner->nbranches; i++)
	{
		if (scope->owner->branches[i] == scope)
			return i;
	}
	return -1;
}

/* Are its items executions of their own? */
static bool
is_distributed(const SagaState *state)
{
	return state->map != NULL && state->map->distributed;
}

/* In branches and processors of the same states, up to the machine. */
static bool
is_same_place(const SagaStates *scope, const SagaStates *other)
{
	for (; scope->owner != NULL; scope = scope->owner->scope, other = other->owner->scope)
	{
		if (other->owner == NULL || strcmp(scope->owner->name, other->owner->name) != 0 ||
			scope->owner->type != other->owner->type || branch_of(scope) != branch_of(other) ||
			is_distributed(scope->owner) != is_distributed(other->owner))
			return false;
	}
	/* The other state must have been led up to its machine, too. */
	return other->owner == NULL;
}

/* Would the same be called, and its answer come the same way? */
static bool
is_same_resource(const SagaState *state, const SagaState *other)
{
	if (state->type != SAGA_STATE_TASK)
		return true;
	return state->resource.kind == other->resource.kind && strcmp(state->resource.text, other->resource.text) == 0;
}

/* The handler that the engine makes for executions that a state has started, or one that a definition names. */
static bool
undoes_children(const SagaState *state)
{
	return state->compensate != NULL && state->compensate->resource.kind == SAGA_RES_UNDO_CHILDREN;
}

/*
 * What a thread keeps of a call that is out, or of threads below it, is made
 * for this state as it is: the answer's way, and what a handler is given.
 */
static void
check_open(Fit *fit, const SagaThread *thread, const SagaState *other)
{
	const SagaState *state = thread->state;

	if (!is_same_resource(state, other))
		fit->reason = psprintf("the call of state \"%s\" is out, and its Resource is \"%s\" in the other version",
							   state->name, other->resource.text);
	else if (is_distributed(state) != is_distributed(other))
		fit->reason = psprintf("state \"%s\" is open, and its Map is %s in the other version", state->name,
							   is_distributed(other) ? "distributed" : "inline");
	else if ((state->compensate != NULL) != (other->compensate != NULL) || undoes_children(state) != undoes_children(other))
		fit->reason = psprintf("state \"%s\" is open, and has %s Compensate in the other version", state->name,
							   other->compensate == NULL || undoes_children(other) ? "no" : "a");
	else if (state->type == SAGA_STATE_PARALLEL && state->nbranches != other->nbranches)
		fit->reason = psprintf("state \"%s\" is open, and has %d branches in the other version", state->name, other->nbranches);
}

/* Where a thread stands, and what it keeps of that state. */
static void
check_thread(Fit *fit, const SagaThread *thread)
{
	const SagaState *state = thread->state;
	const SagaState *other = find_same(fit, state);

	if (other == NULL)
		return;

	/*
	 * A state that is not open keeps no more than its place and its attempts;
	 * only one with a call or threads of its own has to be compared further.
	 */
	if (state->is_handler != other->is_handler || !is_same_place(state->scope, other->scope))
		fit->reason = psprintf("state \"%s\" stands in another place in the other version", state->name);
	else if (thread->attempts != NULL && state->nretriers != other->nretriers)
		fit->reason = psprintf("state \"%s\" has been tried again, and has %d retriers in the other version", state->name,
							   other->nretriers);
	else if (thread->phase == SAGA_PHASE_OPEN || thread->phase == SAGA_PHASE_CHILDREN || thread->resume ||
			 thread->answer != NULL)
		check_open(fit, thread, other);
}

/* What is to be undone needs its handler; "handler": the one that runs. */
static void
check_done(Fit *fit, const SagaDone *done, const SagaThread *handler)
{
	const SagaState *state = done->state;
	const SagaState *other = find_same(fit, state);

	if (other == NULL)
		return;
	if (other->compensate == NULL || undoes_children(state) != undoes_children(other))
		fit->reason = psprintf("state \"%s\" may have to be undone, and has %s Compensate in the other version",
							   state->name, other->compensate == NULL || undoes_children(other) ? "no" : "a");
	else if (done->kind == SAGA_DONE_OWED && !is_same_resource(state, other))
		fit->reason = psprintf("how the call of state \"%s\" went is being found out, and its Resource is \"%s\" in the other version",
							   state->name, other->resource.text);
	else if (handler != NULL && strcmp(handler->state->name, other->compensate->name) != 0)
		fit->reason = psprintf("state \"%s\" is being undone by \"%s\", and would be by \"%s\" in the other version",
							   state->name, handler->state->name, other->compensate->name);
}

/* All that may be undone yet, or could be after the end. */
static void
check_undone(Fit *fit, const SagaRun *run)
{
	ListCell   *lc;
	int			i;

	/*
	 * An item that is being undone now depends on the name of its handler,
	 * too.
	 */
	for (i = 0; i < run->ndone && fit->reason == NULL; i++)
		check_done(fit, &run->done[i], run->handler != NULL && run->done[i].call_id == run->undoing ? run->handler : NULL);
	foreach(lc, run->not_compensated)
	{
		const SagaUndone *undone = lfirst(lc);

		if (undone->done != NULL && fit->reason == NULL)
			check_done(fit, undone->done, NULL);
	}
}

/*
 * The run is thawed with its own machine first, as only that knows what its
 * parts are. Nothing is evaluated, so that an empty environment will do. The
 * first thing that does not fit is told.
 */
char *
saga_run_misfit(const SagaMachine *machine, const SagaMachine *other, Jsonb *frozen)
{
	SagaRunEnv	env = {0};
	SagaRun    *run = saga_run_thaw(machine, &env, frozen);
	Fit			fit = {.other = other};
	dlist_iter	iter;

	dlist_foreach(iter, &run->threads)
	{
		CHECK_FOR_INTERRUPTS();
		check_thread(&fit, dlist_container(SagaThread, node, iter.cur));
		if (fit.reason != NULL)
			return fit.reason;
	}
	check_undone(&fit, run);

	/*
	 * whatever this file does not know of raises here, and not in a worker
	 * for ever
	 */
	if (fit.reason == NULL)
		(void) saga_run_thaw(other, &env, frozen);
	return fit.reason;
}
