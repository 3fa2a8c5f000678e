/*
 * intrinsic_array.c
 *		Intrinsic functions on arrays.
 *
 * The bytes of elements are never copied: a result is an array of JsonbValue
 * that point into the arguments.  Only where elements are compared with each
 * other is the array made a single jsonb first, because each comparison would
 * otherwise make one.
 */
#include "postgres.h"

#include "common/int.h"
#include "miscadmin.h"
#include "storage/shmem.h"

#include "jsonpath/jsonpath_private.h"

#define MAX_RANGE_ITEMS		1000

/* The elements as a plain C array. */
static JsonbValue *
elements(const JsonbValue *array, int *n)
{
	SagaValueChildren c;
	JsonbValue *elems;

	if (array->type == jbvArray)
	{
		*n = array->val.array.nElems;
		return array->val.array.elems;
	}
	elems = palloc_extended(mul_size(Max(saga_value_count(array), 1), sizeof(JsonbValue)),
							MCXT_ALLOC_HUGE);
	*n = 0;
	saga_value_children_start(&c, array);
	while (saga_value_children_next(&c))
		elems[(*n)++] = c.value;
	return elems;
}

/* As one jsonb, so that comparing elements needs no more memory. */
static bool
flatten(SagaCall *call, JsonbValue *v)
{
	Jsonb	   *jsonb;

	if (v->type != jbvArray && v->type != jbvObject)
		return true;
	jsonb = saga_value_flatten(v, call->fault);
	if (jsonb == NULL)
		return false;
	saga_jsonb_value(jsonb, v);
	return true;
}

/* States.Array: the arguments themselves are the elements. */
bool
saga_intrinsic_array(SagaCall *call)
{
	saga_value_set_array(call->result, unconstify(JsonbValue *, call->args), call->nargs);
	return true;
}

/*
 * States.ArrayPartition: parts share the elements of the argument; the last
 * one may be shorter.
 */
bool
saga_intrinsic_array_partition(SagaCall *call)
{
	const JsonbValue *array;
	JsonbValue *elems;
	JsonbValue *parts;
	int64		size;
	int			n;
	int			nparts = 0;

	if (!saga_jsonpath_call_array(call, 0, &array) || !saga_jsonpath_call_int(call, 1, &size))
		return false;
	if (size <= 0)
		return saga_jsonpath_call_fault(call, "The chunk size must be a positive integer");
	elems = elements(array, &n);
	/* from here on it fits an int, as start + size must */
	size = Min(size, Max(n, 1));
	parts = palloc_extended(mul_size(n / size + 1, sizeof(JsonbValue)), MCXT_ALLOC_HUGE);
	for (int start = 0; start < n; start += size)
	{
		CHECK_FOR_INTERRUPTS();
		saga_value_set_array(&parts[nparts++], &elems[start], Min(size, n - start));
	}
	saga_value_set_array(call->result, parts, nparts);
	return true;
}

/* States.ArrayContains: equal as JSON, so that 1 and 1.0 are the same. */
bool
saga_intrinsic_array_contains(SagaCall *call)
{
	const JsonbValue *checked;
	JsonbValue	array = call->args[0];
	JsonbValue	wanted = call->args[1];
	SagaValueChildren c;

	if (!saga_jsonpath_call_array(call, 0, &checked) || !flatten(call, &array) || !flatten(call, &wanted))
		return false;
	call->result->type = jbvBool;
	call->result->val.boolean = false;
	saga_value_children_start(&c, &array);
	while (!call->result->val.boolean && saga_value_children_next(&c))
		call->result->val.boolean = saga_value_compare(&c.value, &wanted) == 0;
	return true;
}

/*
 * States.ArrayRange: both ends are included, and more than a thousand items
 * are refused, as at AWS.
 */
bool
saga_intrinsic_array_range(SagaCall *call)
{
	int64		from,
				to,
				step;
	JsonbValue *elems;
	int			n = 0;

	if (!saga_jsonpath_call_int(call, 0, &from) || !saga_jsonpath_call_int(call, 1, &to) ||
		!saga_jsonpath_call_int(call, 2, &step))
		return false;
	if (step == 0)
		return saga_jsonpath_call_fault(call, "The step must not be 0");
	elems = palloc(MAX_RANGE_ITEMS * sizeof(JsonbValue));
	while (step > 0 ? from <= to : from >= to)
	{
		if (n == MAX_RANGE_ITEMS)
			return saga_jsonpath_call_fault(call, "The range has more than %d items", MAX_RANGE_ITEMS);
		saga_value_set_int(&elems[n++], from);
		/* no further number exists, so the range ends here */
		if (pg_add_s64_overflow(from, step, &from))
			break;
	}
	saga_value_set_array(call->result, elems, n);
	return true;
}

/* States.ArrayGetItem: counted from 0, and not from the end. */
bool
saga_intrinsic_array_get_item(SagaCall *call)
{
	const JsonbValue *array;
	int64		index;

	if (!saga_jsonpath_call_array(call, 0, &array) || !saga_jsonpath_call_int(call, 1, &index))
		return false;
	if (!saga_value_element(array, index, call->result))
		return saga_jsonpath_call_fault(call, "The index " INT64_FORMAT " is out of bounds for an array of %d items",
										index, saga_value_count(array));
	return true;
}

bool
saga_intrinsic_array_length(SagaCall *call)
{
	const JsonbValue *array;

	if (!saga_jsonpath_call_array(call, 0, &array))
		return false;
	saga_value_set_int(call->result, saga_value_count(array));
	return true;
}

typedef struct UniqueItem
{
	JsonbValue	value;
	int			position;
} UniqueItem;

/*
 * By value; of equals the one that came first, as qsort keeps no order of its
 * own.
 */
static int
compare_items(const void *a, const void *b)
{
	const UniqueItem *ia = a;
	const UniqueItem *ib = b;
	int			cmp = saga_value_compare(&ia->value, &ib->value);

	CHECK_FOR_INTERRUPTS();

	if (cmp == 0)
		cmp = ia->position < ib->position ? -1 : 1;
	return cmp;
}

/* Back to the order of the argument. */
static int
compare_positions(const void *a, const void *b)
{
	int			pa = ((const UniqueItem *) a)->position;
	int			pb = ((const UniqueItem *) b)->position;

	return pa < pb ? -1 : pa > pb;
}

/* Sorted, so that it is not quadratic; the first of equals keeps its place. */
bool
saga_intrinsic_array_unique(SagaCall *call)
{
	const JsonbValue *checked;
	JsonbValue	array = call->args[0];
	JsonbValue *elems;
	UniqueItem *items;
	int			n;
	int			unique = 0;

	if (!saga_jsonpath_call_array(call, 0, &checked) || !flatten(call, &array))
		return false;
	elems = elements(&array, &n);
	items = palloc_extended(mul_size(Max(n, 1), sizeof(UniqueItem)), MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
	{
		items[i].value = elems[i];
		items[i].position = i;
	}
	qsort(items, n, sizeof(UniqueItem), compare_items);
	for (int i = 0; i < n; i++)
	{
		if (i == 0 || saga_value_compare(&items[unique - 1].value, &items[i].value) != 0)
			items[unique++] = items[i];
	}
	qsort(items, unique, sizeof(UniqueItem), compare_positions);
	for (int i = 0; i < unique; i++)

		/*
		 * elements() has made this array: after flatten() the argument is no
		 * jbvArray, whose own elements it would return
		 */
		elems[i] = items[i].value;
	saga_value_set_array(call->result, elems, unique);
	return true;
}
