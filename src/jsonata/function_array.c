/*
 * function_array.c
 *		Functions on arrays that call no other function.
 */
#include "postgres.h"

#include <math.h>

#include "jsonata/function_private.h"

bool
saga_jsonata_fn_append(SagaJsonataCall *call)
{
	return saga_jsonata_append(call->ev, &call->args[0], &call->args[1], call->result);
}

bool
saga_jsonata_fn_reverse(SagaJsonataCall *call)
{
	SagaJsonataList list = {0};

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	if (saga_jsonata_count(&call->args[0]) <= 1)
	{
		*call->result = call->args[0];
		return true;
	}
	if (!saga_jsonata_push_all(call->ev, &list, &call->args[0]) || !saga_jsonata_spend(call->ev, list.count / 4))
		return false;
	for (int i = 0, j = list.count - 1; i < j; i++, j--)
	{
		SagaJsonataValue swap = list.elems[i];

		list.elems[i] = list.elems[j];
		list.elems[j] = swap;
	}
	saga_jsonata_set_array(call->result, &list, 0);
	return true;
}

/* Fisher and Yates's. */
bool
saga_jsonata_fn_shuffle(SagaJsonataCall *call)
{
	SagaJsonataList list = {0};

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	if (saga_jsonata_count(&call->args[0]) <= 1)
	{
		*call->result = call->args[0];
		return true;
	}
	if (!saga_jsonata_push_all(call->ev, &list, &call->args[0]) || !saga_jsonata_spend(call->ev, list.count))
		return false;
	for (int i = list.count - 1; i > 0; i--)
	{
		int			j = (int) (saga_jsonata_random_number(call->ev) * (i + 1));
		SagaJsonataValue swap = list.elems[i];

		list.elems[i] = list.elems[j];
		list.elems[j] = swap;
	}
	saga_jsonata_set_array(call->result, &list, 0);
	return true;
}

/*
 * Strings, and numbers as doubles, are looked up in an index; what is left is
 * compared with all that is there already.
 */
typedef struct Seen
{
	SagaJsonataObject *strings;
	SagaJsonataObject *numbers;
	SagaJsonataList others;
} Seen;

/*
 * Says by *new whether the value differs from all before, and remembers it if
 * so.  The result is false only after a fault.  A double is looked up by its
 * bytes.  With decimals equal numbers may have different bytes, so that they
 * are compared instead.
 */
static bool
is_new(SagaJsonataCall *call, Seen *seen, const SagaJsonataValue *v, bool *new)
{
	SagaJsonataEval *ev = call->ev;
	SagaJsonataObject *index = v->type == SAGA_JV_STRING ? seen->strings : seen->numbers;
	const char *name = v->u.string;
	int			len = v->count;

	*new = false;
	if (v->type == SAGA_JV_STRING || (v->type == SAGA_JV_NUMBER && !ev->options->decimal))
	{
		if (v->type == SAGA_JV_NUMBER)
		{
			double	   *d = saga_jsonata_alloc(ev, sizeof(double));

			/* no two zeroes */
			*d = saga_jsonata_double(v) + 0.0;
			name = (char *) d;
			len = sizeof(double);
		}
		if (!saga_jsonata_spend(ev, 2 + len / 16))
			return false;
		*new = saga_jsonata_slot(index, name, len) == NULL;
		return !*new || saga_jsonata_put(ev, index, name, len, v);
	}
	for (int i = 0; i < seen->others.count; i++)
	{
		if (saga_jsonata_equal(ev, v, &seen->others.elems[i]))
			return true;
		if (!saga_jsonata_tick(ev))
			return false;
	}
	*new = true;
	return saga_jsonata_push(ev, &seen->others, v);
}

/*
 * Keeps the first of values that are equal, in the order in which they came.
 * What is no array is given as it is, and a sequence stays one.
 */
bool
saga_jsonata_fn_distinct(SagaJsonataCall *call)
{
	SagaJsonataEval *ev = call->ev;
	SagaJsonataList list = {0};
	SagaJsonataValue *elems;
	Seen		seen = {0};

	if (call->args[0].type != SAGA_JV_ARRAY || saga_jsonata_count(&call->args[0]) <= 1)
	{
		*call->result = call->args[0];
		return true;
	}
	seen.strings = saga_jsonata_new_object(ev, 0);
	seen.numbers = saga_jsonata_new_object(ev, 0);
	elems = saga_jsonata_elems(ev, &call->args[0]);
	for (int i = 0; i < call->args[0].count; i++)
	{
		bool		new;

		if (!is_new(call, &seen, &elems[i], &new) || (new && !saga_jsonata_push(ev, &list, &elems[i])))
			return false;
	}
	saga_jsonata_set_array(call->result, &list, call->args[0].flags & SAGA_JV_SEQUENCE);
	return true;
}

/* The first of each, the second of each, as far as the shortest goes. */
bool
saga_jsonata_fn_zip(SagaJsonataCall *call)
{
	SagaJsonataEval *ev = call->ev;
	SagaJsonataList list = {0};
	int			n = PG_INT32_MAX;

	for (int i = 0; i < call->nargs; i++)
	{
		n = Min(n, call->args[i].type == SAGA_JV_ARRAY ? saga_jsonata_count(&call->args[i]) : 0);
		/* unpacks what is stored, so that the elements can be read below */
		if (call->args[i].type == SAGA_JV_ARRAY && saga_jsonata_elems(ev, &call->args[i]) == NULL)
			n = 0;
	}
	for (int i = 0; i < n && call->nargs > 0; i++)
	{
		SagaJsonataList tuple = {0};
		SagaJsonataValue value;

		for (int j = 0; j < call->nargs; j++)
			if (!saga_jsonata_tick(ev) || !saga_jsonata_push(ev, &tuple, &call->args[j].u.elems[i]))
				return false;
		saga_jsonata_set_array(&value, &tuple, 0);
		if (!saga_jsonata_push(ev, &list, &value))
			return false;
	}
	saga_jsonata_set_array(call->result, &list, 0);
	return true;
}
