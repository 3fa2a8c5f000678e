/*
 * compare.c
 *		What is true, what is the same, what is equal.
 *
 * All of these say false after a fault; the next step that is counted tells
 * the caller.
 */
#include "postgres.h"

#include <math.h>

#include "jsonata/jsonata_private.h"

static bool array_boolean(SagaJsonataEval *ev, const SagaJsonataValue *v);

/*
 * What the value is as a condition, and what $boolean gives.  Nothing, null,
 * 0, empty strings, arrays and objects, and functions are false; so is an
 * array all of whose elements are.
 */
bool
saga_jsonata_boolean(SagaJsonataEval *ev, const SagaJsonataValue *v)
{
	bool		fails = false;

	switch (v->type)
	{
		case SAGA_JV_BOOL:
			return v->boolean;
		case SAGA_JV_STRING:
			return v->count > 0;
		case SAGA_JV_NUMBER:
			return saga_jsonata_is_numeric(ev, v, &fails) && saga_jsonata_double(v) != 0;
		case SAGA_JV_OBJECT:
			return saga_jsonata_count(v) > 0;
		case SAGA_JV_ARRAY:
			return array_boolean(ev, v);
		default:
			return false;
	}
}

/* Every element is looked at, as in the reference, until one is true. */
static bool
array_boolean(SagaJsonataEval *ev, const SagaJsonataValue *v)
{
	SagaJsonataValue array = *v;
	SagaJsonataValue *elems = saga_jsonata_elems(ev, &array);
	bool		result = false;

	if (!saga_jsonata_enter(ev))
		return false;
	for (int i = 0; i < array.count && !result; i++)
		result = saga_jsonata_tick(ev) && saga_jsonata_boolean(ev, &elems[i]);
	saga_jsonata_leave(ev);
	return result;
}

/*
 * Strings of the same length are charged for before their bytes are compared.
 */
static bool
strings_equal(SagaJsonataEval *ev, const SagaJsonataValue *a, const SagaJsonataValue *b)
{
	return a->count == b->count && saga_jsonata_spend_read(ev, a->count) &&
		memcmp(a->u.string, b->u.string, a->count) == 0;
}

/* JavaScript's ===: arrays, objects and functions are the same only in the same place. */
bool
saga_jsonata_same(SagaJsonataEval *ev, const SagaJsonataValue *a, const SagaJsonataValue *b)
{
	if (a->type != b->type)
		return false;
	switch (a->type)
	{
		case SAGA_JV_BOOL:
			return a->boolean == b->boolean;
		case SAGA_JV_NUMBER:
			return saga_jsonata_number_compare(ev, a, b) == 0;
		case SAGA_JV_STRING:
			return strings_equal(ev, a, b);
		case SAGA_JV_ARRAY:
			return a->count == b->count && a->u.elems == b->u.elems;
		case SAGA_JV_OBJECT:
		case SAGA_JV_FUNCTION:
			return a->u.object == b->u.object;
		default:
			return true;
	}
}

/*
 * Compares element by element.  left and right are copies, as unpacking a
 * stored array changes the value.
 */
static bool
arrays_equal(SagaJsonataEval *ev, const SagaJsonataValue *a, const SagaJsonataValue *b)
{
	SagaJsonataValue left = *a;
	SagaJsonataValue right = *b;
	SagaJsonataValue *x,
			   *y;

	if (saga_jsonata_count(a) != saga_jsonata_count(b))
		return false;
	x = saga_jsonata_elems(ev, &left);
	y = saga_jsonata_elems(ev, &right);
	/* it is NULL for some empty arrays, and after a fault */
	if (x == NULL || y == NULL)
		return left.count == 0 && right.count == 0;
	for (int i = 0; i < left.count; i++)
		if (!saga_jsonata_equal(ev, &x[i], &y[i]))
			return false;
	return true;
}

/* The order of members does not matter. */
static bool
objects_equal(SagaJsonataEval *ev, const SagaJsonataValue *a, const SagaJsonataValue *b)
{
	int			n = saga_jsonata_count(a);
	SagaJsonataPair *pairs;

	if (n != saga_jsonata_count(b))
		return false;
	pairs = saga_jsonata_pairs(ev, a);
	if (pairs == NULL)
		return false;
	for (int i = 0; i < n; i++)
	{
		SagaJsonataValue other;

		if (!saga_jsonata_spend_read(ev, pairs[i].len * 2) ||
			!saga_jsonata_member(b, pairs[i].name, pairs[i].len, &other) ||
			!saga_jsonata_equal(ev, &pairs[i].value, &other))
			return false;
	}
	return true;
}

/* Compares by content, for "=" and for $distinct among others. */
bool
saga_jsonata_equal(SagaJsonataEval *ev, const SagaJsonataValue *a, const SagaJsonataValue *b)
{
	bool		result;

	if (a->type != b->type)
		return false;
	if (a->type != SAGA_JV_ARRAY && a->type != SAGA_JV_OBJECT)
		return saga_jsonata_tick(ev) && saga_jsonata_same(ev, a, b);

	/*
	 * The same place in memory needs no further look.  A range has a number
	 * where others have a pointer, so that both must be ranges, or none.
	 */
	if (saga_jsonata_same(ev, a, b) && (a->flags & SAGA_JV_RANGE) == (b->flags & SAGA_JV_RANGE))
		return true;
	if (!saga_jsonata_enter(ev))
		return false;
	result = a->type == SAGA_JV_ARRAY ? arrays_equal(ev, a, b) : objects_equal(ev, a, b);
	saga_jsonata_leave(ev);
	return result;
}
