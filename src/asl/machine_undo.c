/*
 * machine_undo.c
 *		What undoes the children of a state: a handler that no definition names.
 *
 * Executions that a state has started and waits for, and the items of a
 * distributed Map, are undone when their parent fails: each of them knows how.
 * So such a state has a handler as if a Compensate had named it, unless one
 * does; and a Map that has one, too, for when it has failed.  A frozen run names it like any state, so that its name must be the
 * same whenever this version is compiled.
 */
#include "postgres.h"

#include "asl/machine_private.h"

/* A name that no state has: of its undo, or of its items. */
static char *
undo_name(const SagaMachine *machine, const char *what, const char *name)
{
	char	   *result = psprintf("%s of %s", what, name);

	while (saga_machine_find(machine, result) != NULL)
		result = psprintf("%s'", result);
	return result;
}

/* The handler; it calls the engine, which tells the children. */
static SagaState *
undo_state(const SagaMachine *machine, SagaState *state)
{
	SagaState  *undo = palloc0(sizeof(SagaState));

	undo->type = SAGA_STATE_TASK;
	undo->name = undo_name(machine, "undo", state->name);
	undo->scope = state->scope;
	undo->wait_ms = -1;
	undo->is_handler = true;
	undo->resource.kind = SAGA_RES_UNDO_CHILDREN;
	undo->resource.name = undo->resource.text = pstrdup("saga:undo");
	undo->resource_type = pstrdup("saga");
	undo->resource_action = pstrdup("undo");
	return undo;
}

/*
 * A Compensate undoes a Map that has completed.  Of one that has failed some
 * items may have succeeded: they stand in the list by this state, which no
 * definition names and nobody enters.
 */
static SagaState *
failed_map(const SagaMachine *machine, SagaState *state)
{
	SagaState  *failed = palloc0(sizeof(SagaState));

	failed->type = SAGA_STATE_MAP;
	failed->name = undo_name(machine, "items", state->name);
	failed->scope = state->scope;
	failed->wait_ms = -1;
	failed->map = state->map;
	failed->compensate = undo_state(machine, state);
	return failed;
}

/* For every state with children; in the machine's context. */
void
saga_machine_add_undo(SagaMachine *machine)
{
	SagaState **states = palloc(sizeof(SagaState *) * 3 * Max(machine->nstates, 1));
	int			nstates = machine->nstates;
	int			i;

	for (i = 0; i < machine->nstates; i++)
	{
		SagaState  *state = machine->states[i];

		states[i] = state;
		if (!SAGA_HAS_CHILDREN(state))
			continue;
		machine->has_children = true;
		if (state->is_handler)
			continue;
		if (state->compensate == NULL)
		{
			state->compensate = undo_state(machine, state);
			states[nstates++] = state->compensate;
		}
		else if (state->type == SAGA_STATE_MAP)
		{
			state->map->failed = failed_map(machine, state);
			states[nstates++] = state->map->failed;
			states[nstates++] = state->map->failed->compensate;
		}
	}
	qsort(states, nstates, sizeof(SagaState *), saga_asl_compare_states);
	machine->states = states;
	machine->nstates = nstates;
}

bool
saga_machine_has_children(const SagaMachine *machine)
{
	return machine->has_children;
}
