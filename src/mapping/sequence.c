/*
 * sequence.c
 *		How a path puts values together: sequences, members by their name,
 *		arrays one behind the other, as JSONata's own evaluator does it.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "mapping/mapping_private.h"

/* createSequence(v) */
bool
saga_map_sequence_of(SagaMapEval *ev, const SagaMapValue *v, SagaMapValue *result)
{
	SagaMapList list = {0};

	if (!saga_map_push(ev, &list, v))
		return false;
	saga_map_set_array(result, &list, SAGA_MAP_SEQUENCE);
	return true;
}

bool
saga_map_lookup(SagaMapEval *ev, const SagaMapValue *input, const char *name, int len, SagaMapValue *result)
{
	SagaMapValue array = *input;
	SagaMapValue *elems;
	SagaMapList list = {0};

	check_stack_depth();

	saga_map_set_nothing(result);
	if (input->type == SAGA_MAP_OBJECT)
	{
		(void) saga_map_member(ev, input, name, len, result);
		return saga_map_tick(ev);
	}
	if (input->type != SAGA_MAP_ARRAY)
		return true;
	elems = saga_map_elems(ev, &array);
	for (int i = 0; i < array.count; i++)
	{
		SagaMapValue found;

		if (!saga_map_tick(ev) || !saga_map_lookup(ev, &elems[i], name, len, &found))
			return false;
		if (found.type == SAGA_MAP_ARRAY ? !saga_map_push_all(ev, &list, &found) :
			found.type != SAGA_MAP_NOTHING && !saga_map_push(ev, &list, &found))
			return false;
	}
	saga_map_set_array(result, &list, SAGA_MAP_SEQUENCE);
	return true;
}

bool
saga_map_append(SagaMapEval *ev, const SagaMapValue *a, const SagaMapValue *b, SagaMapValue *result)
{
	const SagaMapValue *parts[] = {a, b};
	SagaMapList list = {0};

	if (a->type == SAGA_MAP_NOTHING || b->type == SAGA_MAP_NOTHING)
	{
		*result = a->type == SAGA_MAP_NOTHING ? *b : *a;
		return true;
	}
	for (int i = 0; i < 2; i++)
	{
		SagaMapValue part = *parts[i];

		if (part.type == SAGA_MAP_ARRAY ? !saga_map_push_all(ev, &list, &part) :
			!saga_map_push(ev, &list, &part))
			return false;
	}
	saga_map_set_array(result, &list, 0);
	return true;
}
