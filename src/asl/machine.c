/*
 * machine.c
 *		Compiles a definition: States objects, transitions, what is reached.
 *
 * The states of a States object are made first, by name, and filled in
 * afterwards, so that every transition is a pointer from the start.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "asl/check_private.h"

/* As at AWS; it also bounds what a message quotes. */
#define SAGA_MAX_NAME_CHARS 80

/* ---------- one States object ---------- */

/* Reads Type; false, and a diagnostic, if it is none. */
static bool
check_type(SagaCheck *check, const JsonbValue *object, const SagaLocation *at, SagaState *state)
{
	char	   *text = saga_check_string(check, object, at, "Type", true);

	if (text == NULL)
		return false;
	if (saga_state_type_of(text, &state->type))
		return true;
	saga_check_member_error(check, at, "Type", SAGA_SCHEMA_FAULT,
							"The field 'Type' should have one of these values: "
							"[Task, Wait, Pass, Succeed, Fail, Choice, Parallel, Map]");
	return false;
}

/* Makes the states of "scope", with nothing but their names. */
static void
register_states(SagaCheck *check, SagaStates *scope, const JsonbValue *states,
				const SagaLocation *at)
{
	SagaMachine *machine = check->machine;
	JsonbIterator *it = JsonbIteratorInit(states->val.binary.data);
	JsonbIteratorToken token;
	JsonbValue	value;

	scope->states = palloc(sizeof(SagaState *) * JsonContainerSize(states->val.binary.data));
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		SagaState  *state;
		SagaLocation here = {.up = at};

		if (token != WJB_KEY)
			continue;
		state = palloc0(sizeof(SagaState));
		state->name = saga_asl_string_of(&value);
		state->scope = scope;
		state->wait_ms = -1;
		here.name = state->name;
		if (pg_mbstrlen(state->name) > SAGA_MAX_NAME_CHARS)
			saga_check_error(check, &here, SAGA_SCHEMA_FAULT,
							 "State names must be at most %d characters", SAGA_MAX_NAME_CHARS);
		scope->states[scope->nstates++] = state;

		if ((machine->nstates & (machine->nstates - 1)) == 0)
		{
			int			size = Max(8, machine->nstates * 2);

			if (machine->states == NULL)
				machine->states = palloc(sizeof(SagaState *) * size);
			else
				machine->states = repalloc(machine->states, sizeof(SagaState *) * size);
		}
		machine->states[machine->nstates++] = state;
	}
}

/*
 * Marks what can be reached from the start.  A stack of its own: a chain of
 * states may be longer than the C stack is deep.
 */
static void
mark_reached(SagaStates *scope)
{
	SagaState **stack = palloc(sizeof(SagaState *) * (scope->nstates + 1));
	int			depth = 0;
	int			i;

#define SAGA_REACH(target) \
	do { \
		if ((target) != NULL && !(target)->reached) \
		{ \
			(target)->reached = true; \
			stack[depth++] = (target); \
		} \
	} while (0)

	SAGA_REACH(scope->start);
	while (depth > 0)
	{
		SagaState  *state = stack[--depth];

		SAGA_REACH(state->next);
		for (i = 0; i < state->nchoices; i++)
			SAGA_REACH(state->choices[i].next);
		for (i = 0; i < state->ncatchers; i++)
			SAGA_REACH(state->catchers[i].next);
	}
#undef SAGA_REACH
	pfree(stack);
}

/* Each state has to be reached by a transition, or by Compensate alone. */
static void
check_reached(SagaCheck *check, SagaStates *scope, const SagaLocation *at)
{
	int			i;

	mark_reached(scope);
	for (i = 0; i < scope->nstates; i++)
	{
		SagaState  *state = scope->states[i];
		SagaLocation here = {.up = at, .name = state->name};

		if (state->is_handler && state->reached)
			saga_check_error(check, &here, SAGA_SCHEMA_FAULT,
							 "State \"%s\" is named by Compensate and can be reached in no other way",
							 state->name);
		else if (!state->is_handler && !state->reached)
			saga_check_error(check, &here, SAGA_TARGET_FAULT,
							 "State \"%s\" is not reachable.", state->name);
	}
}

static SagaStates *states_compile(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
								  SagaState *owner);

/* Branches of a Parallel: each is a States object of its own. */
static void
branches_compile(SagaCheck *check, SagaState *state, const JsonbValue *object,
				 const SagaLocation *at)
{
	static const char *const known[] = {"StartAt", "States", "Comment"};
	SagaLocation list_at = {.up = at, .name = "Branches"};
	JsonbValue	list;
	int			count;
	int			i;

	if (!saga_asl_member(object, "Branches", &list))
	{
		saga_check_error(check, at, SAGA_SCHEMA_FAULT, "The field 'Branches' is required but was missing");
		return;
	}
	if (!saga_check_array(check, object, at, "Branches", &list))
		return;
	count = JsonContainerSize(list.val.binary.data);
	if (count == 0)
	{
		saga_check_error(check, &list_at, SAGA_SCHEMA_FAULT, "Value cannot be empty");
		return;
	}
	state->branches = palloc0(sizeof(SagaStates *) * count);
	for (i = 0; i < count; i++)
	{
		SagaLocation here = {.up = &list_at, .index = i};
		JsonbValue *element = getIthJsonbValueFromContainer(list.val.binary.data, i);

		if (!saga_asl_is_object(element))
		{
			saga_check_error(check, &here, SAGA_SCHEMA_FAULT, "Expected value of type Object");
			continue;
		}
		saga_check_known(check, element, &here, known, lengthof(known));
		state->branches[state->nbranches++] = states_compile(check, element, &here, state);
	}
}

/* The States object that a Map runs for each item. */
static void
processor_compile(SagaCheck *check, SagaState *state, const JsonbValue *object,
				  const SagaLocation *at)
{
	static const char *const known[] = {"StartAt", "States", "Comment", "QueryLanguage", "ProcessorConfig"};
	JsonbValue	processor;
	const char *name = saga_asl_map_processor(object, &processor);
	SagaLocation here = {.up = at, .name = name};
	bool		outer = check->inner_jsonata;

	if (name == NULL)
		saga_check_error(check, at, SAGA_SCHEMA_FAULT, "The field 'ItemProcessor' is required but was missing");
	else if (!saga_asl_is_object(&processor))
		saga_check_error(check, &here, SAGA_SCHEMA_FAULT, "Expected value of type Object");
	else
	{
		saga_check_known(check, &processor, &here, known, lengthof(known));
		saga_compile_processor(check, state, &processor, &here);
		saga_compile_items(check, state, object, at);
		if (!saga_check_language(check, &processor, &here, &check->inner_jsonata))
			return;
		state->branches = palloc0(sizeof(SagaStates *));
		state->branches[state->nbranches++] = states_compile(check, &processor, &here, state);
		check->inner_jsonata = outer;
	}
}

/*
 * Fills in the states of "scope", whose names are known.  Handlers are linked
 * first, since a handler is compiled by rules of its own.
 */
static void
fill_states(SagaCheck *check, SagaStates *scope, const JsonbValue *states, const SagaLocation *at)
{
	int			i;

	for (i = 0; i < scope->nstates; i++)
	{
		SagaState  *state = scope->states[i];
		SagaLocation here = {.up = at, .name = state->name};
		JsonbValue	value;

		saga_asl_member(states, state->name, &value);
		if (saga_asl_is_object(&value))
			saga_compile_compensate(check, state, &value, &here);
	}
	for (i = 0; i < scope->nstates; i++)
	{
		SagaState  *state = scope->states[i];
		SagaLocation here = {.up = at, .name = state->name};
		JsonbValue	value;

		CHECK_FOR_INTERRUPTS();
		saga_asl_member(states, state->name, &value);
		if (!saga_asl_is_object(&value))
			saga_check_error(check, &here, SAGA_SCHEMA_FAULT, "Expected value of type Object");
		else if (check_type(check, &value, &here, state) &&
				 saga_state_compile(check, state, &value, &here))
		{
			if (state->type == SAGA_STATE_PARALLEL)
				branches_compile(check, state, &value, &here);
			else if (state->type == SAGA_STATE_MAP)
				processor_compile(check, state, &value, &here);
		}
	}
}

/*
 * Reads StartAt and States of "object" (the machine or a branch).  Returns
 * NULL when there is nothing to go on with.
 */
static SagaStates *
states_compile(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
			   SagaState *owner)
{
	SagaStates *scope = palloc0(sizeof(SagaStates));
	SagaLocation states_at = {.up = at, .name = "States"};
	JsonbValue	states;
	JsonbValue	start;
	bool		failed_before = check->failed;

	check_stack_depth();
	scope->owner = owner;
	if (!saga_asl_member(object, "StartAt", &start))
		saga_check_error(check, at, SAGA_SCHEMA_FAULT, "These fields are required: [StartAt]");
	if (!saga_asl_member(object, "States", &states))
	{
		saga_check_error(check, at, SAGA_SCHEMA_FAULT, "These fields are required: [States]");
		return NULL;
	}
	if (!saga_asl_is_object(&states))
	{
		saga_check_error(check, &states_at, SAGA_SCHEMA_FAULT, "Expected value of type Object");
		return NULL;
	}
	if (JsonContainerSize(states.val.binary.data) == 0)
		saga_check_error(check, &states_at, SAGA_SCHEMA_FAULT, "Value cannot be empty");
	register_states(check, scope, &states, &states_at);
	scope->start = saga_check_target(check, object, at, "StartAt", scope);

	fill_states(check, scope, &states, &states_at);

	/*
	 * After a fault of another kind what cannot be reached is mostly its
	 * echo.
	 */
	if (scope->start != NULL && check->failed == failed_before)
		check_reached(check, scope, &states_at);
	return scope;
}

/* ---------- the machine ---------- */

/* Names are unique in the whole machine, branches included. */
static void
check_duplicates(SagaCheck *check, const SagaLocation *at)
{
	SagaMachine *machine = check->machine;
	int			i;

	if (machine->nstates == 0)
		return;
	qsort(machine->states, machine->nstates, sizeof(SagaState *), saga_asl_compare_states);
	for (i = 1; i < machine->nstates; i++)
	{
		if (strcmp(machine->states[i - 1]->name, machine->states[i]->name) == 0)
			saga_check_error(check, at, SAGA_DUPLICATE_FAULT,
							 "Duplicate state name: %s", machine->states[i]->name);
	}
}

/* Returns false when the rest is in a language that is not known here. */
static bool
check_top(SagaCheck *check, const JsonbValue *object, const SagaLocation *at)
{
	static const char *const known[] = {
		"StartAt", "States", "Comment", "TimeoutSeconds", "Version", "QueryLanguage"
	};
	char	   *text;
	int64		seconds;
	bool		jsonata = false;
	bool		known_language;

	saga_check_known(check, object, at, known, lengthof(known));
	(void) saga_check_string(check, object, at, "Comment", false);
	text = saga_check_string(check, object, at, "Version", false);
	if (text != NULL && strcmp(text, "1.0") != 0)
		saga_check_member_error(check, at, "Version", SAGA_SCHEMA_FAULT,
								"The only supported version is 1.0");
	known_language = saga_check_language(check, object, at, &jsonata);
	check->whole_jsonata = check->inner_jsonata = jsonata;
	if (saga_check_integer(check, object, at, "TimeoutSeconds", 1, SAGA_MAX_SECONDS, &seconds))
		check->machine->timeout_ms = seconds * 1000;
	return known_language;
}

static int
compare_resources(const void *a, const void *b)
{
	return strcmp((*(SagaState *const *) a)->resource.text, (*(SagaState *const *) b)->resource.text);
}

/* Every resource that a Task names, once each. */
static void
collect_resources(SagaMachine *machine)
{
	SagaState **tasks = palloc(sizeof(SagaState *) * Max(machine->nstates, 1));
	int			ntasks = 0;
	int			i;

	for (i = 0; i < machine->nstates; i++)
	{
		if (machine->states[i]->resource.text != NULL)
			tasks[ntasks++] = machine->states[i];
	}
	qsort(tasks, ntasks, sizeof(SagaState *), compare_resources);
	for (i = 0; i < ntasks; i++)
	{
		if (i == 0 || compare_resources(&tasks[i - 1], &tasks[i]) != 0)
			machine->resources = lappend(machine->resources, &tasks[i]->resource);
	}
	pfree(tasks);
}

/*
 * The machine is made in a context of its own, which goes when a diagnostic is
 * an error; diagnostics are made in the caller's.  "check" says by which rules.
 */
static SagaMachine *
compile_by(SagaCheck *check, Jsonb *definition, List **diagnostics)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "saga machine",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	SagaMachine *machine = palloc0(sizeof(SagaMachine));
	SagaLocation at = {0};
	JsonbValue	object;

	check->machine = machine;
	check->diagnostics_context = old;
	machine->context = context;
	if (!JB_ROOT_IS_OBJECT(definition))
		saga_check_error(check, &at, SAGA_SCHEMA_FAULT, "Expected value of type Object");
	else
	{
		/*
		 * Texts are copied out; binary parts must live as long as the
		 * machine.
		 */
		Jsonb	   *copy = palloc(VARSIZE(definition));

		memcpy(copy, definition, VARSIZE(definition));
		object.type = jbvBinary;
		object.val.binary.data = &copy->root;
		object.val.binary.len = VARSIZE(copy) - VARHDRSZ;
		if (check_top(check, &object, &at))
		{
			machine->root = states_compile(check, &object, &at, NULL);
			check_duplicates(check, &at);
			collect_resources(machine);
			if (!check->failed && !check->testing)
				saga_machine_add_undo(machine);
		}
	}
	MemoryContextSwitchTo(old);

	*diagnostics = check->diagnostics;
	if (check->failed)
	{
		MemoryContextDelete(context);
		return NULL;
	}
	return machine;
}

SagaMachine *
saga_machine_compile_type(Jsonb *definition, bool express, List **diagnostics)
{
	SagaCheck	check = {.express = express};

	return compile_by(&check, definition, diagnostics);
}

SagaMachine *
saga_machine_compile_test(Jsonb *definition, bool alone, List **diagnostics)
{
	SagaCheck	check = {.testing = true, .alone = alone};

	return compile_by(&check, definition, diagnostics);
}

SagaMachine *
saga_machine_compile(Jsonb *definition, List **diagnostics)
{
	return saga_machine_compile_type(definition, false, diagnostics);
}

List *
saga_machine_resources(const SagaMachine *machine)
{
	return machine->resources;
}
