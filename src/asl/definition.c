/*
 * definition.c
 *		The states of a definition as it was written, for who asks something
 *		else of it than to be run.
 */
#include "postgres.h"

#include "asl/asl.h"
#include "miscadmin.h"
#include "value/doc.h"
#include "value/value.h"

typedef struct Walk
{
	saga_state_fn fn;
	void	   *arg;
} Walk;

static void visit_states(const Walk *walk, JsonbContainer *object, const char *location);

static JsonbContainer *
member_container(JsonbContainer *object, const char *name)
{
	JsonbValue *value = saga_doc_get(object, name);

	return value != NULL && value->type == jbvBinary ? value->val.binary.data : NULL;
}

/* The branches of a Parallel, or the processor of a Map under either of its names. */
static void
visit_below(const Walk *walk, JsonbContainer *state, const char *location)
{
	static const char *const processors[] = {"ItemProcessor", "Iterator"};
	JsonbContainer *branches = member_container(state, "Branches");
	int			i;

	if (branches != NULL && JsonContainerIsArray(branches))
	{
		for (i = 0; i < (int) JsonContainerSize(branches); i++)
		{
			JsonbValue *branch = getIthJsonbValueFromContainer(branches, i);

			if (branch->type == jbvBinary)
				visit_states(walk, branch->val.binary.data, psprintf("%s/Branches/%d", location, i));
		}
	}
	for (i = 0; i < lengthof(processors); i++)
	{
		JsonbContainer *processor = member_container(state, processors[i]);

		if (processor != NULL)
			visit_states(walk, processor, psprintf("%s/%s", location, processors[i]));
	}
}

static void
visit_states(const Walk *walk, JsonbContainer *object, const char *location)
{
	JsonbContainer *states;
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	value;

	check_stack_depth();
	states = JsonContainerIsObject(object) ? member_container(object, "States") : NULL;
	if (states == NULL || !JsonContainerIsObject(states))
		return;
	it = JsonbIteratorInit(states);
	(void) JsonbIteratorNext(&it, &key, true);
	while ((token = JsonbIteratorNext(&it, &key, true)) == WJB_KEY)
	{
		StringInfoData at;

		CHECK_FOR_INTERRUPTS();
		(void) JsonbIteratorNext(&it, &value, true);
		if (value.type != jbvBinary || !JsonContainerIsObject(value.val.binary.data))
			continue;
		initStringInfo(&at);
		appendStringInfo(&at, "%s/States/", location);
		saga_value_append_pointer_name(&at, key.val.string.val, key.val.string.len);
		walk->fn(pnstrdup(key.val.string.val, key.val.string.len), at.data, &value, walk->arg);
		visit_below(walk, value.val.binary.data, at.data);
	}
}

void
saga_definition_each_state(Jsonb *definition, saga_state_fn fn, void *arg)
{
	Walk		walk = {fn, arg};

	visit_states(&walk, &definition->root, "");
}
