/*
 * eval.c
 *		The value of an expression.
 *
 * The order of things here (when a sequence of one element becomes that
 * element, when arrays are flattened) is that of JSONata's own evaluator.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "mapping/mapping_private.h"

/* Ten thousand lines with dozens of parts each; a quarter of a second. */
#define MAX_STEPS	5000000

/* A node takes its time even if it does nothing. */
#define STEPS_PER_NODE	4

bool
saga_map_error_at(SagaMapEval *ev, const SagaMapNode *node, const char *message, const SagaMapValue *value)
{
	return saga_map_error(ev, "%s%s%s at position %d", message, value != NULL ? ", not " : "",
						  value != NULL ? saga_map_type_name(value) : "",
						  pg_mbstrlen_with_len(ev->mapping->text, node->offset) + 1);
}

/* ---------- filters ---------- */

static bool
filter_by_number(SagaMapEval *ev, Numeric number, SagaMapValue *input, SagaMapValue *result)
{
	int64		index = saga_map_floor(number);
	SagaMapValue element;
	SagaMapList list = {0};

	if (index < 0)
		index += input->count;
	if (index >= 0 && index < input->count)
	{
		saga_map_element(input, (int) index, &element);
		if (element.type == SAGA_MAP_ARRAY)
		{
			*result = element;
			return true;
		}
		if (element.type != SAGA_MAP_NOTHING && !saga_map_push(ev, &list, &element))
			return false;
	}
	saga_map_set_array(result, &list, SAGA_MAP_SEQUENCE);
	return true;
}

/* Adds the item as often as one of the numbers is its index. */
static bool
push_if_index(SagaMapEval *ev, SagaMapList *list, const SagaMapValue *numbers, int n,
			  const SagaMapValue *item, int index, int count)
{
	for (int i = 0; i < n; i++)
	{
		int64		wanted;

		if (!saga_map_charge(ev, 8) || !saga_map_charge_number(ev, numbers[i].u.number))
			return false;
		wanted = saga_map_floor(numbers[i].u.number);
		if (wanted < 0)
			wanted += count;
		if (wanted == index && !saga_map_push(ev, list, item))
			return false;
	}
	return true;
}

static bool
are_numbers(const SagaMapValue *elems, int n)
{
	for (int i = 0; i < n; i++)
		if (elems[i].type != SAGA_MAP_NUMBER)
			return false;
	return true;
}

static bool
filter(SagaMapEval *ev, const SagaMapNode *predicate, SagaMapValue *value)
{
	SagaMapValue input = *value;
	SagaMapValue *elems;
	SagaMapList list = {0};

	if (input.type != SAGA_MAP_ARRAY && !saga_map_sequence_of(ev, value, &input))
		return false;
	if (predicate->kind == SAGA_MAP_LITERAL && predicate->literal.type == SAGA_MAP_NUMBER)
		return filter_by_number(ev, predicate->literal.u.number, &input, value);
	elems = saga_map_elems(ev, &input);
	for (int i = 0; i < input.count; i++)
	{
		SagaMapValue verdict;
		SagaMapValue *numbers = &verdict;
		int			n = 1;

		if (!saga_map_eval_node(ev, predicate, &elems[i], &verdict))
			return false;
		if (verdict.type == SAGA_MAP_ARRAY)
		{
			numbers = saga_map_elems(ev, &verdict);
			n = verdict.count;
		}
		if (are_numbers(numbers, n))
		{
			if (!push_if_index(ev, &list, numbers, n, &elems[i], i, input.count))
				return false;
		}
		else if (saga_map_boolean(ev, &verdict) && !saga_map_push(ev, &list, &elems[i]))
			return false;
	}
	saga_map_set_array(value, &list, SAGA_MAP_SEQUENCE);
	return true;
}

/* ---------- paths ---------- */

static bool
eval_step(SagaMapEval *ev, const SagaMapNode *step, SagaMapValue *input, bool last, SagaMapValue *result)
{
	SagaMapList results = {0};
	SagaMapList flat = {0};
	SagaMapValue *elems;

	/* the first step can have given one thing: JSONata maps over nothing then */
	if (input->type == SAGA_MAP_STRING || input->type == SAGA_MAP_NULL)
		return saga_map_error_at(ev, step, "a step after a constructed array that gave a string or null is not supported in mappings",
								 NULL);
	elems = input->type == SAGA_MAP_ARRAY ? saga_map_elems(ev, input) : NULL;
	for (int i = 0; elems != NULL && i < input->count; i++)
	{
		SagaMapValue v;

		if (!saga_map_eval_node(ev, step, &elems[i], &v))
			return false;
		for (int j = 0; j < step->stages.count; j++)
			if (!filter(ev, step->stages.nodes[j], &v))
				return false;
		if (v.type != SAGA_MAP_NOTHING && !saga_map_push(ev, &results, &v))
			return false;
	}
	if (last && results.count == 1 && results.elems[0].type == SAGA_MAP_ARRAY &&
		(results.elems[0].flags & SAGA_MAP_SEQUENCE) == 0)
	{
		*result = results.elems[0];
		return true;
	}
	for (int i = 0; i < results.count; i++)
	{
		SagaMapValue *v = &results.elems[i];

		if (v->type == SAGA_MAP_ARRAY && (v->flags & SAGA_MAP_CONS) == 0 ?
			!saga_map_push_all(ev, &flat, v) : !saga_map_push(ev, &flat, v))
			return false;
	}
	saga_map_set_array(result, &flat, SAGA_MAP_SEQUENCE);
	return true;
}

static bool
eval_path(SagaMapEval *ev, const SagaMapNode *path, const SagaMapValue *input, SagaMapValue *result)
{
	const SagaMapNode *first = path->children.nodes[0];
	SagaMapValue sequence = *input;

	if ((input->type != SAGA_MAP_ARRAY || first->kind == SAGA_MAP_CONTEXT || first->kind == SAGA_MAP_ROOT) &&
		!saga_map_sequence_of(ev, input, &sequence))
		return false;
	for (int i = 0; i < path->children.count; i++)
	{
		const SagaMapNode *step = path->children.nodes[i];

		if (i == 0 && (step->cons_array || step->cons_block))
		{
			if (!saga_map_eval_node(ev, step, &sequence, result))
				return false;
		}
		else if (!eval_step(ev, step, &sequence, i == path->children.count - 1, result))
			return false;
		if (result->type == SAGA_MAP_NOTHING ||
			((result->type == SAGA_MAP_ARRAY || result->type == SAGA_MAP_STRING) && result->count == 0))
			break;
		sequence = *result;
	}
	if (path->keep_singleton && result->type == SAGA_MAP_ARRAY)
	{
		if ((result->flags & SAGA_MAP_CONS) && !(result->flags & SAGA_MAP_SEQUENCE))
		{
			SagaMapValue array = *result;

			if (!saga_map_sequence_of(ev, &array, result))
				return false;
		}
		result->flags |= SAGA_MAP_KEEP;
	}
	return true;
}

/* ---------- nodes ---------- */

/* The value before its filters. */
static bool
eval_kind(SagaMapEval *ev, const SagaMapNode *node, const SagaMapValue *input, SagaMapValue *result)
{
	switch (node->kind)
	{
		case SAGA_MAP_LITERAL:
			*result = node->literal;
			return true;
		case SAGA_MAP_NAME:
			return saga_map_lookup(ev, input, node->literal.u.string, node->literal.count, result);
		case SAGA_MAP_CONTEXT:
			*result = (input->flags & SAGA_MAP_WRAPPER) ? input->u.elems[0] : *input;
			return true;
		case SAGA_MAP_ROOT:
			*result = ev->root;
			return true;
		case SAGA_MAP_PATH:
			return eval_path(ev, node, input, result);
		case SAGA_MAP_ARRAY_OF:
			return saga_map_eval_array(ev, node, input, result);
		case SAGA_MAP_OBJECT_OF:
			return saga_map_eval_object(ev, node, input, result);
		case SAGA_MAP_BLOCK:
			return node->children.count == 0 || saga_map_eval_node(ev, node->children.nodes[0], input, result);
		case SAGA_MAP_NEGATE:
			return saga_map_eval_negation(ev, node, input, result);
		case SAGA_MAP_BINARY:
			return saga_map_eval_binary(ev, node, input, result);
		case SAGA_MAP_CONDITION:
			return saga_map_eval_condition(ev, node, input, result);
		case SAGA_MAP_CALL:
			return saga_map_eval_call(ev, node, input, result);
	}
	return false;
}

bool
saga_map_eval_node(SagaMapEval *ev, const SagaMapNode *node, const SagaMapValue *input, SagaMapValue *result)
{
	check_stack_depth();

	saga_map_set_nothing(result);
	if (!saga_map_charge(ev, STEPS_PER_NODE) || !eval_kind(ev, node, input, result))
		return false;
	for (int i = 0; i < node->predicates.count; i++)
		if (!filter(ev, node->predicates.nodes[i], result))
			return false;
	if (result->type == SAGA_MAP_ARRAY && (result->flags & SAGA_MAP_SEQUENCE))
	{
		if (node->keep_array)
			result->flags |= SAGA_MAP_KEEP;
		if (result->count == 0)
			saga_map_set_nothing(result);
		else if (result->count == 1 && (result->flags & SAGA_MAP_KEEP) == 0)
		{
			SagaMapValue only = saga_map_elems(ev, result)[0];

			*result = only;
		}
	}
	return true;
}

static bool
evaluate(SagaMapEval *ev, Jsonb *doc, Jsonb **result)
{
	SagaMapValue input;
	SagaMapValue v;
	JsonbValue	json;

	saga_map_set_nothing(&ev->root);
	if (doc != NULL)
	{
		saga_jsonb_value(doc, &json);
		saga_map_from_json(&json, &ev->root);
	}
	input = ev->root;
	if (input.type == SAGA_MAP_ARRAY)
	{
		if (!saga_map_sequence_of(ev, &ev->root, &input))
			return false;
		input.flags |= SAGA_MAP_WRAPPER;
	}
	if (!saga_map_eval_node(ev, ev->mapping->root, &input, &v))
		return false;
	*result = NULL;
	if (ev->error != NULL)
		return false;
	if (v.type == SAGA_MAP_NOTHING)
		return true;
	*result = saga_map_to_jsonb(ev, &v);
	return *result != NULL;
}

bool
saga_mapping_eval(const SagaMapping *mapping, Jsonb *doc, Jsonb **result, char **error)
{
	SagaMapEval ev = {0};
	MemoryContext old;
	bool		ok;

	ev.mapping = mapping;
	ev.steps = MAX_STEPS;
	ev.caller = CurrentMemoryContext;
	ev.context = AllocSetContextCreate(CurrentMemoryContext, "mapping", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(ev.context);
	ok = evaluate(&ev, doc, result);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(ev.context);
	*error = ev.error;
	return ok;
}
