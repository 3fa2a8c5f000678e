/*
 * sequence.c
 *		How a path puts values together: members by their name, arrays one
 *		behind the other, all members, all descendants, as the reference
 *		implementation does it.
 *
 * A sequence is an array that remembers that a path made it: eval.c makes
 * nothing of an empty one and its element of one with a single element.  All
 * these push elements by value and share what they point to.
 */
#include "postgres.h"

#include "jsonata/jsonata_private.h"

void
saga_jsonata_unwrap(SagaJsonataValue *v)
{
	int			n;

	if (v->type != SAGA_JV_ARRAY || (v->flags & (SAGA_JV_SEQUENCE | SAGA_JV_TUPLES)) != SAGA_JV_SEQUENCE)
		return;
	n = saga_jsonata_count(v);
	if (n == 0)
		saga_jsonata_set_nothing(v);
	else if (n == 1 && (v->flags & SAGA_JV_KEEP) == 0)
	{
		SagaJsonataValue one;

		saga_jsonata_element(v, 0, &one);
		*v = one;
	}
}

/* Goes into arrays of arrays, and adds what it finds to the list. */
static bool
lookup_in_array(SagaJsonataEval *ev, const SagaJsonataValue *input, const char *name, int len, SagaJsonataList *list)
{
	SagaJsonataValue array = *input;
	SagaJsonataValue *elems;

	elems = saga_jsonata_elems(ev, &array);
	for (int i = 0; i < array.count; i++)
	{
		const SagaJsonataValue *elem = &elems[i];
		SagaJsonataValue found;

		if (!saga_jsonata_tick(ev))
			return false;
		if (elem->type == SAGA_JV_OBJECT)
		{
			if (saga_jsonata_member(elem, name, len, &found) &&
				!(found.type == SAGA_JV_ARRAY ? saga_jsonata_push_all(ev, list, &found) :
				  saga_jsonata_push(ev, list, &found)))
				return false;
		}
		else if (elem->type == SAGA_JV_ARRAY)
		{
			if (!saga_jsonata_enter(ev) || !lookup_in_array(ev, elem, name, len, list))
				return false;
			saga_jsonata_leave(ev);
		}
	}
	return true;
}

/*
 * Members that are arrays have their elements added, so that what is found in
 * an array is one flat sequence.
 */
bool
saga_jsonata_lookup(SagaJsonataEval *ev, const SagaJsonataValue *input, const char *name, int len, SagaJsonataValue *result)
{
	SagaJsonataList list = {0};
	SagaJsonataValue in = *input;

	saga_jsonata_set_nothing(result);
	if (in.type == SAGA_JV_OBJECT)
	{
		(void) saga_jsonata_member(&in, name, len, result);
		return saga_jsonata_spend(ev, 1 + len / 16);
	}
	if (in.type != SAGA_JV_ARRAY)
		return true;
	if (!lookup_in_array(ev, &in, name, len, &list))
		return false;
	saga_jsonata_set_array(result, &list, SAGA_JV_SEQUENCE);
	return true;
}

/*
 * With one side nothing the other comes back as it is, sequence or not; two
 * values always make a plain array.
 */
bool
saga_jsonata_append(SagaJsonataEval *ev, const SagaJsonataValue *a, const SagaJsonataValue *b, SagaJsonataValue *result)
{
	const SagaJsonataValue *parts[] = {a, b};
	SagaJsonataList list = {0};

	if (saga_jsonata_is_nothing(a) || saga_jsonata_is_nothing(b))
	{
		SagaJsonataValue one = saga_jsonata_is_nothing(a) ? *b : *a;

		*result = one;
		return true;
	}
	for (int i = 0; i < 2; i++)
	{
		if (parts[i]->type == SAGA_JV_ARRAY ? !saga_jsonata_push_all(ev, &list, parts[i]) :
			!saga_jsonata_push(ev, &list, parts[i]))
			return false;
	}
	saga_jsonata_set_array(result, &list, 0);
	return true;
}

/* All that is in an array, however deep. */
static bool
push_flat(SagaJsonataEval *ev, SagaJsonataList *list, const SagaJsonataValue *v)
{
	SagaJsonataValue array = *v;
	SagaJsonataValue *elems;

	if (v->type != SAGA_JV_ARRAY)
		return saga_jsonata_tick(ev) && saga_jsonata_push(ev, list, v);
	if (!saga_jsonata_enter(ev))
		return false;
	elems = saga_jsonata_elems(ev, &array);
	for (int i = 0; i < array.count; i++)
		if (!push_flat(ev, list, &elems[i]))
			return false;
	saga_jsonata_leave(ev);
	return true;
}

/*
 * The result stops being a sequence with the first member that is an array,
 * as appending does that in the reference.
 */
bool
saga_jsonata_wildcard(SagaJsonataEval *ev, const SagaJsonataValue *input, SagaJsonataValue *result)
{
	SagaJsonataValue in = *input;
	SagaJsonataList list = {0};
	uint8		flags = SAGA_JV_SEQUENCE;
	int			n;
	SagaJsonataPair *pairs = NULL;
	SagaJsonataValue *elems = NULL;

	if (in.type == SAGA_JV_ARRAY && (in.flags & SAGA_JV_WRAPPER) && in.count > 0)
		saga_jsonata_element(input, 0, &in);
	if (in.type == SAGA_JV_OBJECT)
		pairs = saga_jsonata_pairs(ev, &in);
	else if (in.type == SAGA_JV_ARRAY)
		elems = saga_jsonata_elems(ev, &in);
	n = pairs != NULL || elems != NULL ? saga_jsonata_count(&in) : 0;
	for (int i = 0; i < n; i++)
	{
		const SagaJsonataValue *member = pairs != NULL ? &pairs[i].value : &elems[i];

		if (member->type == SAGA_JV_ARRAY)
			flags = 0;
		if (!push_flat(ev, &list, member))
			return false;
	}
	saga_jsonata_set_array(result, &list, flags);
	return saga_jsonata_tick(ev);
}

static bool
push_descendants(SagaJsonataEval *ev, SagaJsonataList *list, const SagaJsonataValue *v)
{
	SagaJsonataValue array = *v;

	if (v->type != SAGA_JV_ARRAY && !saga_jsonata_push(ev, list, v))
		return false;
	if (v->type != SAGA_JV_ARRAY && v->type != SAGA_JV_OBJECT)
		return saga_jsonata_tick(ev);
	if (!saga_jsonata_enter(ev))
		return false;
	if (v->type == SAGA_JV_ARRAY)
	{
		SagaJsonataValue *elems = saga_jsonata_elems(ev, &array);

		for (int i = 0; i < array.count; i++)
			if (!push_descendants(ev, list, &elems[i]))
				return false;
	}
	else
	{
		SagaJsonataPair *pairs = saga_jsonata_pairs(ev, v);

		for (int i = 0; pairs != NULL && i < saga_jsonata_count(v); i++)
			if (!push_descendants(ev, list, &pairs[i].value))
				return false;
	}
	saga_jsonata_leave(ev);
	return true;
}

bool
saga_jsonata_descendants(SagaJsonataEval *ev, const SagaJsonataValue *input, SagaJsonataValue *result)
{
	SagaJsonataList list = {0};

	saga_jsonata_set_nothing(result);
	if (saga_jsonata_is_nothing(input))
		return true;
	if (!push_descendants(ev, &list, input))
		return false;
	if (list.count == 1)
		*result = list.elems[0];
	else
		saga_jsonata_set_array(result, &list, SAGA_JV_SEQUENCE);
	return true;
}
