/*
 * machine_find.c
 *		States by name, and the names of their types.
 */
#include "postgres.h"

#include "asl/machine_private.h"

static const char *const saga_type_names[SAGA_STATE_TYPES] = {
	"Task", "Pass", "Choice", "Wait", "Succeed", "Fail", "Parallel", "Map"
};

const char *
saga_state_type_name(SagaStateType type)
{
	return saga_type_names[type];
}

/* False: no type is called so. */
bool
saga_state_type_of(const char *name, SagaStateType *type)
{
	int			i;

	for (i = 0; i < SAGA_STATE_TYPES; i++)
	{
		if (strcmp(name, saga_type_names[i]) == 0)
		{
			*type = i;
			return true;
		}
	}
	return false;
}

/* jsonb's order of keys: by length, then by bytes */
static int
compare_keys(const char *a, const char *b)
{
	size_t		alen = strlen(a);
	size_t		blen = strlen(b);

	if (alen != blen)
		return alen < blen ? -1 : 1;
	return memcmp(a, b, alen);
}

/* By name, for qsort: the order of all states of a machine. */
int
saga_asl_compare_states(const void *a, const void *b)
{
	return strcmp((*(SagaState *const *) a)->name, (*(SagaState *const *) b)->name);
}

/* Binary search among states that are sorted as "compare" says. */
static SagaState *
search(SagaState **states, int nstates, const char *name,
	   int (*compare) (const char *, const char *))
{
	int			low = 0;
	int			high = nstates;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		int			order = compare(name, states[middle]->name);

		if (order == 0)
			return states[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* NULL: there is none of this name in the States object. */
SagaState *
saga_asl_states_find(const SagaStates *scope, const char *name)
{
	return search(scope->states, scope->nstates, name, compare_keys);
}

/* The same in the whole machine, when it is compiled. */
SagaState *
saga_machine_find(const SagaMachine *machine, const char *name)
{
	return search(machine->states, machine->nstates, name, strcmp);
}
