/*
 * function_higher.c
 *		Functions that take a function.
 *
 * It is called with as many arguments as it has parameters, of those that
 * there are: the value, its place, and the whole.
 */
#include "postgres.h"

#include "jsonata/function_private.h"

/* Calls a function that was given as an argument, without a context. */
bool
saga_jsonata_call_with(SagaJsonataCall *call, const SagaJsonataValue *function, const SagaJsonataValue *args, int nargs,
					   SagaJsonataValue *result)
{
	saga_jsonata_set_nothing(result);
	return saga_jsonata_spend(call->ev, 2) &&
		saga_jsonata_apply(call->ev, function, NULL, args, nargs, NULL, call->frame, result);
}

/*
 * How many arguments it takes; 0 for what is no function, whose call fails.
 */
static int
arity_of(const SagaJsonataValue *function)
{
	return function->type == SAGA_JV_FUNCTION ? function->u.function->arity : 0;
}

/*
 * Calls the second argument for one element of the first.  Even a function
 * without parameters gets the element, as in the reference.
 */
static bool
call_for_element(SagaJsonataCall *call, const SagaJsonataValue *elem, int index, SagaJsonataValue *result)
{
	const SagaJsonataValue *function = &call->args[1];
	SagaJsonataValue args[3];

	args[0] = *elem;
	saga_jsonata_set_number(&args[1], index);
	args[2] = call->args[0];
	return saga_jsonata_call_with(call, function, args, Max(Min(arity_of(function), 3), 1), result);
}

/*
 * $map.  Values that are nothing are left out.  The result is a sequence, as
 * that of $filter is: a single value comes without an array.
 */
bool
saga_jsonata_fn_map(SagaJsonataCall *call)
{
	SagaJsonataList list = {0};
	SagaJsonataValue *elems;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	elems = saga_jsonata_elems(call->ev, &call->args[0]);
	for (int i = 0; i < call->args[0].count; i++)
	{
		SagaJsonataValue value;

		if (!call_for_element(call, &elems[i], i, &value))
			return false;
		if (!saga_jsonata_is_nothing(&value) && !saga_jsonata_push(call->ev, &list, &value))
			return false;
	}
	saga_jsonata_set_array(call->result, &list, SAGA_JV_SEQUENCE);
	return true;
}

bool
saga_jsonata_fn_filter(SagaJsonataCall *call)
{
	SagaJsonataList list = {0};
	SagaJsonataValue *elems;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	elems = saga_jsonata_elems(call->ev, &call->args[0]);
	for (int i = 0; i < call->args[0].count; i++)
	{
		SagaJsonataValue value;

		if (!call_for_element(call, &elems[i], i, &value))
			return false;
		if (saga_jsonata_boolean(call->ev, &value) && !saga_jsonata_push(call->ev, &list, &elems[i]))
			return false;
	}
	saga_jsonata_set_array(call->result, &list, SAGA_JV_SEQUENCE);
	return true;
}

/*
 * $single: the only element for which the function is true.  Without a
 * function the array must have one element.  D3138: there are more, D3139:
 * there is none.
 */
bool
saga_jsonata_fn_single(SagaJsonataCall *call)
{
	SagaJsonataValue *elems;
	bool		found = false;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	elems = saga_jsonata_elems(call->ev, &call->args[0]);
	for (int i = 0; i < call->args[0].count; i++)
	{
		SagaJsonataValue value;

		if (call->args[1].type == SAGA_JV_FUNCTION)
		{
			if (!call_for_element(call, &elems[i], i, &value))
				return false;
			if (!saga_jsonata_boolean(call->ev, &value))
				continue;
		}
		if (found)
			return saga_jsonata_fail(call->ev, "D3138", "$single found more than one matching value");
		*call->result = elems[i];
		found = true;
	}
	return found || saga_jsonata_fail(call->ev, "D3139", "$single found no matching value");
}

/*
 * $reduce.  The third argument is the value to begin with; without it the
 * first element is, and the function is called for the others only.
 */
bool
saga_jsonata_fn_reduce(SagaJsonataCall *call)
{
	const SagaJsonataValue *function = &call->args[1];
	int			arity = arity_of(function);
	SagaJsonataValue *elems;
	SagaJsonataValue args[4];
	int			i = 0;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	if (arity < 2)
		return saga_jsonata_fail(call->ev, "D3050", "argument 2 of $reduce must be a function of at least two arguments");
	elems = saga_jsonata_elems(call->ev, &call->args[0]);
	*call->result = call->args[2];
	if (saga_jsonata_is_nothing(&call->args[2]) && call->args[0].count > 0)
		*call->result = elems[i++];
	for (; i < call->args[0].count; i++)
	{
		SagaJsonataValue value;

		args[0] = *call->result;
		args[1] = elems[i];
		saga_jsonata_set_number(&args[2], i);
		args[3] = call->args[0];
		if (!saga_jsonata_call_with(call, function, args, Min(arity, 4), &value))
			return false;
		*call->result = value;
	}
	return true;
}

/* The same for members of an object: the value, its name, and the whole. */
static bool
call_for_member(SagaJsonataCall *call, const SagaJsonataPair *pair, SagaJsonataValue *result)
{
	const SagaJsonataValue *function = &call->args[1];
	SagaJsonataValue args[3];

	args[0] = pair->value;
	saga_jsonata_set_string(&args[1], pair->name, pair->len);
	args[2] = call->args[0];
	return saga_jsonata_call_with(call, function, args, Max(Min(arity_of(function), 3), 1), result);
}

bool
saga_jsonata_fn_sift(SagaJsonataCall *call)
{
	SagaJsonataPair *pairs;
	SagaJsonataObject *object;
	int			n;

	if (call->args[0].type != SAGA_JV_OBJECT)
		return true;
	n = saga_jsonata_count(&call->args[0]);
	pairs = saga_jsonata_pairs(call->ev, &call->args[0]);
	object = saga_jsonata_new_object(call->ev, 0);
	for (int i = 0; pairs != NULL && i < n; i++)
	{
		SagaJsonataValue value;

		if (!call_for_member(call, &pairs[i], &value))
			return false;
		if (saga_jsonata_boolean(call->ev, &value) &&
			!saga_jsonata_put(call->ev, object, pairs[i].name, pairs[i].len, &pairs[i].value))
			return false;
	}
	if (object->count > 0)
		saga_jsonata_set_object(call->result, object);
	return pairs != NULL;
}

bool
saga_jsonata_fn_each(SagaJsonataCall *call)
{
	SagaJsonataList list = {0};
	SagaJsonataPair *pairs = NULL;
	int			n = 0;

	if (call->args[0].type == SAGA_JV_OBJECT)
	{
		n = saga_jsonata_count(&call->args[0]);
		pairs = saga_jsonata_pairs(call->ev, &call->args[0]);
	}
	for (int i = 0; pairs != NULL && i < n; i++)
	{
		SagaJsonataValue value;

		if (!call_for_member(call, &pairs[i], &value))
			return false;
		if (!saga_jsonata_is_nothing(&value) && !saga_jsonata_push(call->ev, &list, &value))
			return false;
	}
	saga_jsonata_set_array(call->result, &list, SAGA_JV_SEQUENCE);
	return true;
}

/* ---------- $sort ---------- */

/* JavaScript's truth, in which every array and object is true. */
static bool
is_true(const SagaJsonataValue *v)
{
	switch (v->type)
	{
		case SAGA_JV_NOTHING:
		case SAGA_JV_NULL:
			return false;
		case SAGA_JV_BOOL:
			return v->boolean;
		case SAGA_JV_NUMBER:
			return saga_jsonata_double(v) != 0;
		case SAGA_JV_STRING:
			return v->count > 0;
		default:
			return true;
	}
}

/*
 * Does b belong before a?  The function of the expression says so, by what
 * JavaScript takes for true, since the reference does not convert it.
 */
static bool
swap_by_function(SagaJsonataEval *ev, const SagaJsonataValue *a, const SagaJsonataValue *b, void *arg, bool *swap)
{
	SagaJsonataCall *call = arg;
	SagaJsonataValue args[2] = {*a, *b};
	SagaJsonataValue value;

	if (!saga_jsonata_call_with(call, &call->args[1], args, 2, &value))
		return false;
	*swap = is_true(&value);
	return true;
}

/*
 * Orders numbers by size and strings as JavaScript does.  a and b have the
 * same type, as saga_jsonata_fn_sort has checked.
 */
static bool
swap_by_value(SagaJsonataEval *ev, const SagaJsonataValue *a, const SagaJsonataValue *b, void *arg, bool *swap)
{
	if (a->type == SAGA_JV_NUMBER)
		*swap = saga_jsonata_number_compare(ev, a, b) == 1;
	else
		*swap = saga_jsonata_compare(a->u.string, a->count, b->u.string, b->count) > 0;
	return a->type == SAGA_JV_NUMBER || saga_jsonata_spend_read(ev, Min(a->count, b->count));
}

/* Without a function only numbers, or only strings, have an order. */
bool
saga_jsonata_fn_sort(SagaJsonataCall *call)
{
	bool		by_function = call->args[1].type == SAGA_JV_FUNCTION;
	SagaJsonataList list = {0};

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	if (saga_jsonata_count(&call->args[0]) <= 1)
	{
		*call->result = call->args[0];
		return true;
	}
	if (!saga_jsonata_push_all(call->ev, &list, &call->args[0]))
		return false;
	for (int i = 0; !by_function && i < list.count; i++)
	{
		int			type = list.elems[i].type;

		if (!saga_jsonata_tick(call->ev))
			return false;
		if ((type != SAGA_JV_NUMBER && type != SAGA_JV_STRING) || type != list.elems[0].type)
			return saga_jsonata_fail(call->ev, "D3070", "$sort without a function takes only strings, or only numbers");
	}
	if (!saga_jsonata_merge_sort(call->ev, list.elems, list.count, by_function ? swap_by_function : swap_by_value, call))
		return false;
	saga_jsonata_set_array(call->result, &list, 0);
	return true;
}
