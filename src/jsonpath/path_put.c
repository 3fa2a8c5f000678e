/*
 * path_put.c
 *		ResultPath: puts a value into a copy of a document.  Only the
 *		containers on the way are taken apart; the rest is copied whole.
 *
 * Each put_*() handles one step of the path and makes the new container
 * around what put_value() gives for the rest.  Values point into the target,
 * which stays as it is; saga_value_flatten makes the copy at the end.  The
 * recursion is as deep as the path is long.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "jsonpath/jsonpath_private.h"

static bool put_value(const SagaPath *path, int step_no, const JsonbValue *target,
					  const JsonbValue *value, JsonbValue *result, SagaFault *fault);

/* For "return put_fault(...)": always false. */
static bool
put_fault(const SagaPath *path, SagaFault *fault)
{
	return saga_fault(fault, "States.ResultPathMatchFailure",
					  "Unable to apply ResultPath '%s' to the state's input: "
					  "a step of the path meets something that cannot have that member.", path->text);
}

/* target NULL: a new object */
static bool
put_member(const SagaPath *path, int step_no, const JsonbValue *target,
		   const JsonbValue *value, JsonbValue *result, SagaFault *fault)
{
	JsonbPair	pair = {.key = path->steps[step_no].names[0]};
	JsonbPair  *pairs;
	JsonbValue	old;
	int			n = 0;
	bool		found;
	bool		placed = false;

	if (target != NULL && !saga_value_is_object(target))
		return put_fault(path, fault);
	found = target != NULL && saga_value_member(target, pair.key.val.string.val,
												pair.key.val.string.len, &old);
	if (!put_value(path, step_no + 1, found ? &old : NULL, value, &pair.value, fault))
		return false;

	pairs = palloc(((target ? saga_value_count(target) : 0) + 1) * sizeof(JsonbPair));
	if (target != NULL)
	{
		SagaValueChildren c;

		saga_value_children_start(&c, target);
		while (saga_value_children_next(&c))
		{
			JsonbPair	child = {.key = c.key, .value = c.value};
			int			cmp = placed ? 1 : saga_pair_compare(&child, &pair);

			if (cmp >= 0 && !placed)
			{
				pairs[n++] = pair;
				placed = true;
			}
			if (cmp != 0)
				pairs[n++] = child;
		}
	}
	if (!placed)
		pairs[n++] = pair;
	result->type = jbvObject;
	result->val.object.pairs = pairs;
	result->val.object.nPairs = n;
	return true;
}

/* An element can be replaced but not added: the index must be there. */
static bool
put_element(const SagaPath *path, int step_no, const JsonbValue *target,
			const JsonbValue *value, JsonbValue *result, SagaFault *fault)
{
	int32		index = path->steps[step_no].indexes[0];
	JsonbValue *elems;
	SagaValueChildren c;
	int			n = 0;

	if (target == NULL || !saga_value_is_array(target) || index >= saga_value_count(target))
		return put_fault(path, fault);
	elems = palloc(saga_value_count(target) * sizeof(JsonbValue));
	saga_value_children_start(&c, target);
	while (saga_value_children_next(&c))
		elems[n++] = c.value;
	if (!put_value(path, step_no + 1, &elems[index], value, &elems[index], fault))
		return false;
	saga_value_set_array(result, elems, n);
	return true;
}

/* target NULL: nothing is there yet. */
static bool
put_value(const SagaPath *path, int step_no, const JsonbValue *target,
		  const JsonbValue *value, JsonbValue *result, SagaFault *fault)
{
	check_stack_depth();

	if (step_no == path->nsteps)
	{
		*result = *value;
		return true;
	}
	if (path->steps[step_no].kind == SAGA_STEP_NAME)
		return put_member(path, step_no, target, value, result, fault);
	return put_element(path, step_no, target, value, result, fault);
}

/* "$" replaces the whole target, without a copy. */
Jsonb *
saga_path_put(const SagaPath *path, Jsonb *target, Jsonb *value, SagaFault *fault)
{
	JsonbValue	target_value,
				new_value,
				result;

	if (path->root != SAGA_ROOT_DATA || !saga_path_is_reference(path))
	{
		saga_fault(fault, "States.ResultPathMatchFailure",
				   "The ResultPath '%s' is no reference path.", path->text);
		return NULL;
	}
	if (path->nsteps == 0)
		return value;
	saga_jsonb_value(target, &target_value);
	saga_jsonb_value(value, &new_value);
	if (!put_value(path, 0, &target_value, &new_value, &result, fault))
		return NULL;
	return saga_value_flatten(&result, fault);
}
