/*
 * tuple.c
 *		Steps that bind variables to what they come across: "@$x", "#$i", and
 *		those that a "%" refers to.
 *
 * Such a path hands on a stream of tuples: the value that the next step works
 * on ("@" in the reference), and variables.
 */
#include "postgres.h"

#include "jsonata/jsonata_private.h"

static SagaJsonataTuple *
new_tuple(SagaJsonataEval *ev, const SagaJsonataValue *at, int variables)
{
	SagaJsonataTuple *tuple = saga_jsonata_alloc(ev, sizeof(SagaJsonataTuple) + variables * sizeof(SagaJsonataVariable));

	tuple->at = *at;
	tuple->count = 0;
	tuple->variables = (SagaJsonataVariable *) (tuple + 1);
	return tuple;
}

/* There must be room for it. */
static void
set_variable(SagaJsonataTuple *tuple, int symbol, const SagaJsonataValue *value)
{
	int			i;

	for (i = 0; i < tuple->count && tuple->variables[i].symbol != symbol; i++)
		;
	if (i == tuple->count)
		tuple->count++;
	tuple->variables[i].symbol = symbol;
	tuple->variables[i].value = *value;
}

static bool
push_tuple(SagaJsonataEval *ev, SagaJsonataList *list, SagaJsonataTuple *tuple)
{
	SagaJsonataValue v = {0};

	v.type = SAGA_JV_TUPLE;
	v.u.tuple = tuple;
	return saga_jsonata_push(ev, list, &v);
}

/* The tuple that one value of a step makes of the one before. */
static bool
extend(SagaJsonataEval *ev, const SagaJsonataNode *step, const SagaJsonataTuple *before, const SagaJsonataValue *value,
	   int position, SagaJsonataList *list)
{
	bool		is_tuple = value->type == SAGA_JV_TUPLE;
	int			room = before->count + (is_tuple ? value->u.tuple->count : 3);
	SagaJsonataTuple *tuple;

	if (!saga_jsonata_spend(ev, 1 + room))
		return false;
	tuple = new_tuple(ev, &before->at, room);
	memcpy(tuple->variables, before->variables, before->count * sizeof(SagaJsonataVariable));
	tuple->count = before->count;
	if (is_tuple)
	{
		tuple->at = value->u.tuple->at;
		for (int i = 0; i < value->u.tuple->count; i++)
			set_variable(tuple, value->u.tuple->variables[i].symbol, &value->u.tuple->variables[i].value);
		return push_tuple(ev, list, tuple);
	}
	if (step->focus >= 0)
		set_variable(tuple, step->focus, value);
	else
		tuple->at = *value;
	if (step->index >= 0)
	{
		SagaJsonataValue number;

		saga_jsonata_set_number(&number, position);
		set_variable(tuple, step->index, &number);
	}
	if (step->ancestor != NULL)
		set_variable(tuple, step->ancestor->symbol, &before->at);
	return push_tuple(ev, list, tuple);
}

/* A sort makes tuples of a list, or puts those that are there into order. */
static bool
sort_tuples(SagaJsonataEval *ev, const SagaJsonataNode *step, const SagaJsonataValue *input, bool made,
			SagaJsonataFrame *frame, SagaJsonataValue *tuples)
{
	SagaJsonataValue sorted;
	SagaJsonataValue *elems;
	SagaJsonataList list = {0};

	if (made)
	{
		if (!saga_jsonata_eval_sort(ev, step, tuples, frame, &sorted))
			return false;
		*tuples = sorted;
		return true;
	}
	if (!saga_jsonata_eval_sort(ev, step, input, frame, &sorted))
		return false;
	elems = saga_jsonata_elems(ev, &sorted);
	for (int i = 0; i < sorted.count; i++)
	{
		SagaJsonataTuple *tuple = new_tuple(ev, &elems[i], 1);
		SagaJsonataValue number;

		saga_jsonata_set_number(&number, i);
		if (step->index >= 0)
			set_variable(tuple, step->index, &number);
		if (!saga_jsonata_spend(ev, 2) || !push_tuple(ev, &list, tuple))
			return false;
	}
	saga_jsonata_set_array(tuples, &list, SAGA_JV_SEQUENCE | SAGA_JV_TUPLES);
	return true;
}

/* The tuples of a list that has none yet. */
static bool
make_tuples(SagaJsonataEval *ev, const SagaJsonataValue *input, SagaJsonataValue *tuples)
{
	SagaJsonataValue array = *input;
	SagaJsonataValue *elems = array.type == SAGA_JV_ARRAY ? saga_jsonata_elems(ev, &array) : NULL;
	SagaJsonataList list = {0};

	for (int i = 0; elems != NULL && i < array.count; i++)
		if (!saga_jsonata_spend(ev, 2) || !push_tuple(ev, &list, new_tuple(ev, &elems[i], 0)))
			return false;
	saga_jsonata_set_array(tuples, &list, SAGA_JV_SEQUENCE | SAGA_JV_TUPLES);
	return true;
}

/* One step: *tuples are those before it, if any are made, and then those behind it. */
bool
saga_jsonata_eval_tuple_step(SagaJsonataEval *ev, const SagaJsonataNode *step, const SagaJsonataValue *input,
							 SagaJsonataValue *tuples, bool *made, SagaJsonataFrame *frame)
{
	SagaJsonataList list = {0};

	if (step->kind == SAGA_JN_SORT)
	{
		bool		had_some = *made;

		*made = true;
		return sort_tuples(ev, step, input, had_some, frame, tuples) &&
			saga_jsonata_eval_stages(ev, &step->stages, frame, tuples);
	}
	if (!*made && !make_tuples(ev, input, tuples))
		return false;
	*made = true;
	for (int i = 0; i < tuples->count; i++)
	{
		SagaJsonataTuple *tuple = tuples->u.elems[i].u.tuple;
		SagaJsonataFrame *inner = saga_jsonata_tuple_frame(ev, frame, tuple);
		SagaJsonataValue value;
		SagaJsonataValue *elems = &value;
		int			n = 1;

		if (!saga_jsonata_eval_node(ev, step, &tuple->at, inner, &value))
			return false;
		if (saga_jsonata_is_nothing(&value))
			continue;
		if (value.type == SAGA_JV_ARRAY)
		{
			elems = saga_jsonata_elems(ev, &value);
			n = value.count;
		}
		for (int j = 0; j < n; j++)
			if (!extend(ev, step, tuple, &elems[j], j, &list))
				return false;
	}
	saga_jsonata_set_array(tuples, &list, SAGA_JV_SEQUENCE | SAGA_JV_TUPLES);
	return saga_jsonata_eval_stages(ev, &step->stages, frame, tuples);
}
