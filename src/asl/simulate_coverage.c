/*
 * simulate_coverage.c
 *		saga.simulate_coverage(): which states and ways of a definition a set
 *		of dry runs has come to.
 *
 * What a run tells on its way (SagaRunEnv.took) is counted by state, and laid
 * beside the definition as it was written: so there is a row for what no run
 * has come to, and what the compiler has made up has none.
 */
#include "postgres.h"

#include "common/compat.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "asl/simulate_private.h"
#include "value/doc.h"

PG_FUNCTION_INFO_V1(saga_simulate_coverage);

/* Of one state, by what is told of it. */
typedef struct StateCounts
{
	int64		entered;
	int64		left;
	int64		undone;
	int64	   *choices;		/* by place */
	int64	   *retriers;
	int64	   *catchers;
} StateCounts;

typedef struct SagaCoverage
{
	const SagaMachine *machine;
	StateCounts *counts;		/* of each state of the machine */
	SagaMachine *machines[2];	/* that run: STANDARD, EXPRESS; NULL: none has asked for it */
	ReturnSetInfo *rsinfo;
} SagaCoverage;

/* ---------- counting ---------- */

/* With nothing counted.  Raises when the definition is not valid. */
static SagaCoverage *
make_coverage(Jsonb *definition)
{
	SagaCoverage *coverage = palloc0(sizeof(SagaCoverage));
	const SagaMachine *machine = saga_simulation_compile(definition, false);

	coverage->machine = coverage->machines[0] = unconstify(SagaMachine *, machine);
	coverage->counts = palloc0(sizeof(StateCounts) * Max(machine->nstates, 1));
	for (int i = 0; i < machine->nstates; i++)
	{
		const SagaState *state = machine->states[i];
		StateCounts *counts = &coverage->counts[i];

		counts->choices = palloc0(sizeof(int64) * Max(state->nchoices, 1));
		counts->retriers = palloc0(sizeof(int64) * Max(state->nretriers, 1));
		counts->catchers = palloc0(sizeof(int64) * Max(state->ncatchers, 1));
	}
	return coverage;
}

/* That of the state of this name; each state of the definition has one. */
static StateCounts *
counts_of(const SagaCoverage *coverage, const SagaState *state)
{
	const SagaMachine *machine = coverage->machine;
	SagaState **found = bsearch(&state, machine->states, machine->nstates, sizeof(SagaState *), saga_compare_states);

	return &coverage->counts[found - machine->states];
}

/* SagaRunEnv.took */
static void
count(void *arg, const struct SagaState *state, SagaCovered way, int index)
{
	StateCounts *counts = counts_of(((SagaSimulation *) arg)->coverage, state);

	switch (way)
	{
		case SAGA_COVERED_ENTERED:
			counts->entered++;
			break;
		case SAGA_COVERED_LEFT:
			counts->left++;
			break;
		case SAGA_COVERED_CHOICE:
			counts->choices[index]++;
			break;
		case SAGA_COVERED_RETRY:
			counts->retriers[index]++;
			break;
		case SAGA_COVERED_CATCH:
			counts->catchers[index]++;
			break;
		case SAGA_COVERED_UNDONE:
			counts->undone++;
			break;
	}
}

/* ---------- the runs ---------- */

/* A member of a run, which may be left out. */
static Jsonb *
run_member(Jsonb *run, const char *name)
{
	JsonbValue *value = saga_doc_get(&run->root, name);

	return value != NULL ? saga_jsonb_from_value(value) : saga_jsonb_empty_object();
}

/* Raises for members that nobody reads: a typing error would leave the input empty. */
static void
check_run(Jsonb *run)
{
	static const char *const known[] = {"input", "responses", "options"};
	int			n = 0;

	for (int i = 0; JB_ROOT_IS_OBJECT(run) && i < lengthof(known); i++)
		n += saga_doc_get(&run->root, known[i]) != NULL;
	if (!JB_ROOT_IS_OBJECT(run) || n < (int) JB_ROOT_COUNT(run))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a run is an object with \"input\", \"responses\" and \"options\"")));
}

/* compiled: where machines live, longer than this run. */
static void
run_once(SagaCoverage *coverage, Jsonb *definition, Jsonb *run, MemoryContext compiled)
{
	SagaSimulation sim = {.coverage = coverage};
	int			express;

	check_run(run);
	saga_simulation_set(&sim, run_member(run, "input"), run_member(run, "responses"), run_member(run, "options"));
	sim.env.took = count;
	express = sim.env.express ? 1 : 0;
	if (coverage->machines[express] == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(compiled);

		coverage->machines[express] = saga_simulation_compile(definition, sim.env.express);
		MemoryContextSwitchTo(old);
	}
	sim.machine = coverage->machines[express];
	saga_simulation_run(&sim);
}

/* Beside an error: the number of the run. */
static void
which_run(void *arg)
{
	errcontext("run %d of the coverage", *(int *) arg);
}

/* Each in memory of its own; what is wrong with one is said with its number, from 1 on. */
static void
run_all(SagaCoverage *coverage, Jsonb *definition, ArrayType *runs)
{
	MemoryContext compiled = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(compiled, "saga simulation", ALLOCSET_DEFAULT_SIZES);
	ErrorContextCallback callback;
	Datum	   *elements;
	bool	   *nulls;
	int			n;
	int			number = 0;

	deconstruct_array(runs, JSONBOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
	callback.previous = error_context_stack;
	callback.callback = which_run;
	callback.arg = &number;
	error_context_stack = &callback;
	for (int i = 0; i < n; i++)
	{
		number = i + 1;
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a run must not be null")));
		MemoryContextSwitchTo(context);
		run_once(coverage, definition, DatumGetJsonbP(elements[i]), compiled);
		MemoryContextSwitchTo(compiled);
		MemoryContextReset(context);
	}
	error_context_stack = callback.previous;
	MemoryContextDelete(context);
}

/* ---------- the rows ---------- */

/* A row of the result; target: NULL where it leads nowhere. */
static void
put_row(const SagaCoverage *coverage, const char *location, const char *kind, const char *state, const char *target,
		int64 hits)
{
	Datum		values[5] = {0};
	bool		nulls[5] = {0};

	values[0] = CStringGetTextDatum(location);
	values[1] = CStringGetTextDatum(kind);
	values[2] = CStringGetTextDatum(state);
	nulls[3] = target == NULL;
	if (target != NULL)
		values[3] = CStringGetTextDatum(target);
	values[4] = Int64GetDatum(hits);
	tuplestore_putvalues(coverage->rsinfo->setResult, coverage->rsinfo->setDesc, values, nulls);
}

/* A member of the state that is a transition, if it is there. */
static void
put_member(const SagaCoverage *coverage, const char *location, const char *name, JsonbContainer *state, const char *member,
		   int64 hits)
{
	if (saga_doc_get(state, member) != NULL)
		put_row(coverage, psprintf("%s/%s", location, member), member, name, saga_doc_get_string(state, member), hits);
}

/* state: as it was written; it is valid, so that it has what the compiled one has. */
static void
put_state(const char *name, const char *location, const JsonbValue *value, void *arg)
{
	const SagaCoverage *coverage = arg;
	const SagaState *state = saga_machine_find(coverage->machine, name);
	const StateCounts *counts = counts_of(coverage, state);
	JsonbContainer *written = value->val.binary.data;

	put_row(coverage, location, "State", name, NULL, counts->entered);
	for (int i = 0; i < state->nchoices; i++)
		put_row(coverage, psprintf("%s/Choices/%d", location, i), "Choice", name, state->choices[i].next->name,
				counts->choices[i]);
	put_member(coverage, location, name, written, "Default", counts->left);
	if (state->type != SAGA_STATE_CHOICE)
		put_member(coverage, location, name, written, "Next", counts->left);
	if (state->next == NULL && state->type != SAGA_STATE_CHOICE)
		put_member(coverage, location, name, written, "End", counts->left);
	for (int i = 0; i < state->nretriers; i++)
		put_row(coverage, psprintf("%s/Retry/%d", location, i), "Retry", name, NULL, counts->retriers[i]);
	for (int i = 0; i < state->ncatchers; i++)
		put_row(coverage, psprintf("%s/Catch/%d", location, i), "Catch", name, state->catchers[i].next->name,
				counts->catchers[i]);
	put_member(coverage, location, name, written, "Compensate", counts->undone);
}

/* simulate_coverage(definition jsonb, runs jsonb[]) */
Datum
saga_simulate_coverage(PG_FUNCTION_ARGS)
{
	Jsonb	   *definition = PG_GETARG_JSONB_P(0);
	SagaCoverage *coverage = make_coverage(definition);

	run_all(coverage, definition, PG_GETARG_ARRAYTYPE_P(1));
	saga_init_srf(fcinfo);
	coverage->rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	saga_definition_each_state(definition, put_state, coverage);
	return (Datum) 0;
}
