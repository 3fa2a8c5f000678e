/*
 * path_eval.c
 *		Evaluates a JSONPath over jsonb in place.
 *
 * A definite path (names and indexes only) is followed step by step in a
 * loop.  Any other is walked: walk() handles the step that a node has come to
 * and calls itself for what the step selects; what has passed all steps is
 * collected.  Values are never copied: matches point into the document.
 *
 * Every visit takes from the budget, which filters within the path share.
 * When it is spent everything returns as soon as it can, and the result is
 * SAGA_FAULT: a path of a few characters could otherwise run for hours.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "jsonpath/jsonpath_private.h"

/* What one evaluation may visit; a second's work or so. */
#define MAX_NODES		INT64CONST(5000000)

/* Of an input in a fault's cause. */
#define MAX_CAUSE_INPUT		2000

typedef struct Walk
{
	const SagaPath *path;
	const SagaScope *scope;
	SagaBudget *budget;
	JsonbValue *items;			/* the matches so far */
	int			nitems;
	int			max_items;
} Walk;

static void walk(Walk *w, int step_no, const JsonbValue *node);

/* ---------- one match at most ---------- */

/* A negative index counts from the end: -1 is the last. */
static bool
element_from_end(const JsonbValue *array, int32 index, JsonbValue *result)
{
	int64		i = index;

	if (i < 0)
		i += saga_value_count(array);
	return saga_value_element(array, i, result);
}

/* $['a','b'] at the end: an object of those that are there */
static bool
pick_members(const SagaStep *step, const JsonbValue *object, JsonbValue *result)
{
	JsonbPair  *pairs = palloc(step->count * sizeof(JsonbPair));
	int			n = 0;
	int			unique = 0;

	if (!saga_value_is_object(object))
		return false;
	for (int i = 0; i < step->count; i++)
	{
		if (saga_value_member(object, step->names[i].val.string.val,
							  step->names[i].val.string.len, &pairs[n].value))
			pairs[n++].key = step->names[i];
	}
	/* pairs must be sorted and unique, and the path may name a member twice */
	qsort(pairs, n, sizeof(JsonbPair), saga_pair_compare);
	for (int i = 0; i < n; i++)
	{
		if (i == 0 || saga_pair_compare(&pairs[unique - 1], &pairs[i]) != 0)
			pairs[unique++] = pairs[i];
	}
	result->type = jbvObject;
	result->val.object.pairs = pairs;
	result->val.object.nPairs = unique;
	return true;
}

/*
 * False: a step leads nowhere.  No budget is needed, as the path has
 * MAX_STEPS at most.
 */
static bool
definite_value(const SagaPath *path, const JsonbValue *root, JsonbValue *result)
{
	JsonbValue	node = *root;

	for (int i = 0; i < path->nsteps; i++)
	{
		const SagaStep *step = &path->steps[i];
		JsonbValue	next;
		bool		found;

		if (step->kind == SAGA_STEP_NAME)
			found = saga_value_member(&node, step->names[0].val.string.val,
									  step->names[0].val.string.len, &next);
		else if (step->kind == SAGA_STEP_INDEX)
			found = element_from_end(&node, step->indexes[0], &next);
		else
			found = pick_members(step, &node, &next);
		if (!found)
			return false;
		node = next;
	}
	*result = node;
	return true;
}

/* ---------- any number of matches ---------- */

/*
 * Adds a match.  Its size counts as if it were copied, because the array of
 * all matches will be a jsonb in the end.
 */
static void
collect(Walk *w, const JsonbValue *node)
{
	Size		size = saga_value_size(node);

	if (size > w->budget->bytes || w->nitems >= MaxAllocSize / sizeof(JsonbValue) / 2)
	{
		w->budget->spent = true;
		return;
	}
	w->budget->bytes -= size;
	if (w->nitems == w->max_items)
	{
		w->max_items = w->max_items == 0 ? 8 : 2 * w->max_items;
		if (w->items == NULL)
			w->items = palloc(w->max_items * sizeof(JsonbValue));
		else
			w->items = repalloc(w->items, w->max_items * sizeof(JsonbValue));
	}
	w->items[w->nitems++] = *node;
}

/*
 * Elements from..to - 1; bounds beyond the array are cut to it, as in Python.
 */
static void
walk_slice(Walk *w, int step_no, const JsonbValue *node)
{
	const SagaStep *step = &w->path->steps[step_no];
	int64		count = saga_value_count(node);
	int64		from = step->has_from ? step->from : 0;
	int64		to = step->has_to ? step->to : count;

	if (from < 0)
		from = Max(from + count, 0);
	if (to < 0)
		to += count;
	to = Min(to, count);
	for (int64 i = from; i < to && !w->budget->spent; i++)
	{
		JsonbValue	v;

		if (saga_value_element(node, i, &v))
			walk(w, step_no + 1, &v);
	}
}

/* All members of an array or object, or those that the filter takes. */
static void
walk_children(Walk *w, int step_no, const JsonbValue *node, const SagaFilter *filter)
{
	SagaValueChildren c;

	saga_value_children_start(&c, node);
	while (!w->budget->spent && saga_value_children_next(&c))
	{
		JsonbValue	v = c.value;

		if (filter == NULL || saga_filter_match(filter, w->scope, &v, w->budget))
			walk(w, step_no + 1, &v);
	}
}

/* Applies a step to one node, without its "..". */
static void
walk_step(Walk *w, int step_no, const JsonbValue *node)
{
	const SagaStep *step = &w->path->steps[step_no];
	JsonbValue	v;

	switch (step->kind)
	{
		case SAGA_STEP_NAME:
		case SAGA_STEP_NAMES:
			if (step->kind == SAGA_STEP_NAMES && step_no == w->path->nsteps - 1)
			{
				if (pick_members(step, node, &v))
					walk(w, step_no + 1, &v);
				break;
			}
			for (int i = 0; i < step->count; i++)
				if (saga_value_member(node, step->names[i].val.string.val,
									  step->names[i].val.string.len, &v))
					walk(w, step_no + 1, &v);
			break;
		case SAGA_STEP_INDEX:
		case SAGA_STEP_INDEXES:
			for (int i = 0; i < step->count; i++)
				if (element_from_end(node, step->indexes[i], &v))
					walk(w, step_no + 1, &v);
			break;
		case SAGA_STEP_SLICE:
			if (saga_value_is_array(node))
				walk_slice(w, step_no, node);
			break;
		case SAGA_STEP_WILDCARD:
			if (!IsAJsonbScalar(node))
				walk_children(w, step_no, node, NULL);
			break;
		case SAGA_STEP_FILTER:
			/* of an array it picks elements; anything else it takes or leaves */
			if (saga_value_is_array(node) && !step->descend)
				walk_children(w, step_no, node, step->filter);
			else if (saga_filter_match(step->filter, w->scope, node, w->budget))
				walk(w, step_no + 1, node);
			break;
	}
}

/*
 * "..": applies the step to this node and to everything below it, parents
 * before their children.
 */
static void
walk_descend(Walk *w, int step_no, const JsonbValue *node)
{
	SagaValueChildren c;

	check_stack_depth();

	if (--w->budget->nodes < 0)
		w->budget->spent = true;
	if (w->budget->spent)
		return;
	walk_step(w, step_no, node);
	if (IsAJsonbScalar(node))
		return;
	saga_value_children_start(&c, node);
	while (!w->budget->spent && saga_value_children_next(&c))
	{
		JsonbValue	v = c.value;

		walk_descend(w, step_no, &v);
	}
}

/* Takes a node that has passed the steps before step_no. */
static void
walk(Walk *w, int step_no, const JsonbValue *node)
{
	check_stack_depth();

	if (--w->budget->nodes < 0)
		w->budget->spent = true;
	if (w->budget->spent)
		return;
	if (step_no == w->path->nsteps)
		collect(w, node);
	else if (w->path->steps[step_no].descend)
		walk_descend(w, step_no, node);
	else
		walk_step(w, step_no, node);
}

/* ---------- functions ---------- */

/* A sum may have 150,000 digits, so its size counts, not the number of terms. */
static bool
add_number(Numeric *sum, Numeric n, bool owned, SagaBudget *budget)
{
	bool		failed = false;
	Numeric		old = *sum;

	*sum = numeric_add_opt_error(old, n, &failed);
	if (owned)
		pfree(old);
	if (failed)
		return false;
	if (VARSIZE_ANY(*sum) > budget->bytes)
		budget->spent = true;
	else
		budget->bytes -= VARSIZE_ANY(*sum);
	return !budget->spent;
}

/*
 * min, max, sum or avg of the numbers in an array; others are passed over.
 * False: there are none, or the result is too large.
 */
static bool
fold_numbers(SagaPathFunction function, const JsonbValue *array, SagaBudget *budget, JsonbValue *result)
{
	SagaValueChildren c;
	Numeric		acc = NULL;
	int64		n = 0;
	bool		failed = false;

	saga_value_children_start(&c, array);
	while (!failed && saga_value_children_next(&c))
	{
		if (c.value.type != jbvNumeric)
			continue;
		n++;
		if (acc == NULL)
			acc = c.value.val.numeric;
		else if (function == SAGA_PATH_MIN || function == SAGA_PATH_MAX)
		{
			int			cmp = saga_numeric_compare(c.value.val.numeric, acc);

			if (function == SAGA_PATH_MIN ? cmp < 0 : cmp > 0)
				acc = c.value.val.numeric;
		}
		else

			/*
			 * up to the second number acc is the document's own, which must
			 * not be freed
			 */
			failed = !add_number(&acc, c.value.val.numeric, n > 2, budget);
	}
	if (!failed && function == SAGA_PATH_AVG && n > 0)
	{
		acc = numeric_div_opt_error(acc, int64_to_numeric(n), &failed);
		if (!failed)
			acc = DatumGetNumeric(DirectFunctionCall1(numeric_trim_scale, NumericGetDatum(acc)));
	}
	if (failed || n == 0)
		return false;
	result->type = jbvNumeric;
	result->val.numeric = acc;
	return true;
}

/* The names in jsonb's order, shorter ones first. */
static bool
object_keys(const JsonbValue *object, JsonbValue *result)
{
	SagaValueChildren c;
	JsonbValue *elems = palloc(Max(saga_value_count(object), 1) * sizeof(JsonbValue));
	int			n = 0;

	saga_value_children_start(&c, object);
	while (saga_value_children_next(&c))
		elems[n++] = c.key;
	saga_value_set_array(result, elems, n);
	return true;
}

/* A function works on the path's value: of many matches, on their array. */
static bool
apply_function(SagaPathFunction function, const JsonbValue *v, SagaBudget *budget, JsonbValue *result)
{
	switch (function)
	{
		case SAGA_PATH_LENGTH:
			if (IsAJsonbScalar(v))
				return false;
			saga_value_set_int(result, saga_value_count(v));
			return true;
		case SAGA_PATH_KEYS:
			return saga_value_is_object(v) && object_keys(v, result);
		case SAGA_PATH_FIRST:
			return saga_value_element(v, 0, result);
		case SAGA_PATH_LAST:
			return saga_value_element(v, (int64) saga_value_count(v) - 1, result);
		default:
			return saga_value_is_array(v) && fold_numbers(function, v, budget, result);
	}
}

/* ---------- evaluation ---------- */

/* The name that a path begins with, when nothing else of its document matters; else NULL. */
static const JsonbValue *
first_name(const SagaPath *path)
{
	const SagaStep *step = path->steps;

	if (!path->definite || path->nsteps == 0 || step->kind != SAGA_STEP_NAME)
		return NULL;
	return &step->names[0];
}

/*
 * NULL: there is no such document.  The context is built when a path first
 * asks for it, as most never do.
 */
static Jsonb *
root_jsonb(const SagaPath *path, const SagaScope *scope)
{
	switch (path->root)
	{
		case SAGA_ROOT_DATA:
			return scope->data;
		case SAGA_ROOT_CONTEXT:
			return scope->context ? scope->context(scope->context_arg, first_name(path)) : NULL;
		case SAGA_ROOT_VARIABLE:
			return scope->variables;
		case SAGA_ROOT_CURRENT:
			break;
	}
	return NULL;
}

/* What the path begins at; within a filter "@" is the node that is tested. */
static bool
root_value(const SagaPath *path, const SagaScope *scope, const JsonbValue *current, JsonbValue *result)
{
	Jsonb	   *root;

	if (path->root == SAGA_ROOT_CURRENT)
	{
		Assert(current != NULL);
		*result = *current;
		return true;
	}
	root = root_jsonb(path, scope);
	if (root == NULL)
		return false;
	saga_jsonb_value(root, result);
	return true;
}

/*
 * As saga_path_value, with the budget and the current node of the path around
 * it.  SAGA_FAULT means that the budget is spent: the caller says so in its
 * own words.
 */
SagaFound
saga_path_value_from(const SagaPath *path, const SagaScope *scope, const JsonbValue *current,
					 SagaBudget *budget, JsonbValue *result)
{
	JsonbValue	root;
	JsonbValue	v;
	bool		found = root_value(path, scope, current, &root);

	if (path->definite)
		found = found && definite_value(path, &root, &v);
	else
	{
		Walk		w = {.path = path, .scope = scope, .budget = budget};

		if (found)
			walk(&w, 0, &root);
		if (budget->spent)
			return SAGA_FAULT;
		saga_value_set_array(&v, w.items, w.nitems);
		found = true;
	}
	if (!found)
		return SAGA_MISSING;
	if (path->function != SAGA_PATH_NO_FUNCTION &&
		!apply_function(path->function, &v, budget, &v))
		return budget->spent ? SAGA_FAULT : SAGA_MISSING;
	*result = v;
	return SAGA_FOUND;
}

/*
 * The value itself, pointing into the document where it can.  SAGA_MISSING
 * leaves the fault to the caller, who knows what the path was for.
 */
SagaFound
saga_path_value(const SagaPath *path, const SagaScope *scope, JsonbValue *result, SagaFault *fault)
{
	SagaBudget	budget = {.nodes = MAX_NODES, .bytes = SAGA_VALUE_MAX_SIZE};
	SagaFound	found = saga_path_value_from(path, scope, NULL, &budget, result);

	if (found == SAGA_FAULT)
		saga_fault(fault, "States.DataLimitExceeded",
				   "The path '%s' matches too much or takes too long.", path->text);
	return found;
}

/* A path as "$['a'][0]", as in AWS's messages. */
static char *
normal_form(const SagaPath *path)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, path->root == SAGA_ROOT_CONTEXT ? "$$" : "$");
	for (int i = 0; i < path->nsteps; i++)
	{
		const SagaStep *step = &path->steps[i];

		if (step->kind == SAGA_STEP_NAME && !step->descend)
			appendStringInfo(&buf, "['%.*s']", step->names[0].val.string.len,
							 step->names[0].val.string.val);
		else if (step->kind == SAGA_STEP_INDEX && !step->descend)
			appendStringInfo(&buf, "[%d]", step->indexes[0]);
		else
			return path->text;
	}
	return buf.data;
}

/*
 * A message is read by people and stored in a history, so that it must not
 * grow with the data.
 */
char *
saga_path_input(const SagaPath *path, const SagaScope *scope)
{
	StringInfoData input;
	JsonbValue	root;

	initStringInfo(&input);
	if (root_value(path, scope, NULL, &root) &&
		!saga_value_text(&input, &root, false, MAX_CAUSE_INPUT))
	{
		input.len = pg_mbcliplen(input.data, input.len, MAX_CAUSE_INPUT);
		input.data[input.len] = '\0';
		appendStringInfoString(&input, "...");
	}
	return input.data;
}

/*
 * Always false.  Of a variable it says that it is not defined, rather than
 * that the path is wrong, if that is all.
 */
bool
saga_path_missing(const SagaPath *path, const char *field, const SagaScope *scope, SagaFault *fault)
{
	JsonbValue	root;

	if (path->root == SAGA_ROOT_VARIABLE &&
		(scope->variables == NULL ||
		 !saga_jsonb_get(scope->variables,
						 pnstrdup(path->steps[0].names[0].val.string.val,
								  path->steps[0].names[0].val.string.len), &root)))
		return saga_fault(fault, "States.Runtime", "The variable '$%.*s' is not defined%s%s%s.",
						  path->steps[0].names[0].val.string.len, path->steps[0].names[0].val.string.val,
						  field ? " (field '" : "", field ? field : "", field ? "')" : "");
	if (field == NULL)
		return saga_fault(fault, "States.Runtime", "Invalid path '%s' : No results for path: %s",
						  path->text, normal_form(path));
	return saga_fault(fault, "States.Runtime",
					  "The JSONPath '%s' specified for the field '%s' could not be found in the input '%s'",
					  path->text, field, saga_path_input(path, scope));
}

/* "$" and the like give the document without a copy. */
Jsonb *
saga_path_eval_field(const SagaPath *path, const char *field, const SagaScope *scope, SagaFault *fault)
{
	JsonbValue	v;

	if (path->nsteps == 0 && path->function == SAGA_PATH_NO_FUNCTION)
	{
		Jsonb	   *root = root_jsonb(path, scope);

		if (root != NULL)
			return root;
	}
	switch (saga_path_value(path, scope, &v, fault))
	{
		case SAGA_FOUND:
			return saga_value_flatten(&v, fault);
		case SAGA_MISSING:
			saga_path_missing(path, field, scope, fault);
			return NULL;
		default:
			return NULL;
	}
}

/* For InputPath and OutputPath, whose message has another form. */
Jsonb *
saga_path_eval(const SagaPath *path, const SagaScope *scope, SagaFault *fault)
{
	return saga_path_eval_field(path, NULL, scope, fault);
}
