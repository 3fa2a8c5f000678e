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

/* Each is a microsecond or less: seconds, not minutes. */
#define MAX_STEPS	10000000

static bool eval_node(SagaMapEval *ev, const SagaMapNode *node, const SagaMapValue *input, SagaMapValue *result);

static bool
error_at(SagaMapEval *ev, const SagaMapNode *node, const char *message, const SagaMapValue *value)
{
	return saga_map_error(ev, "%s%s%s at position %d", message, value != NULL ? ", not " : "",
						  value != NULL ? saga_map_type_name(value) : "",
						  pg_mbstrlen_with_len(ev->mapping->text, node->offset) + 1);
}

/* createSequence(v) */
static bool
sequence_of(SagaMapEval *ev, const SagaMapValue *v, SagaMapValue *result)
{
	SagaMapList list = {0};

	if (!saga_map_push(ev, &list, v))
		return false;
	saga_map_set_array(result, &list, SAGA_MAP_SEQUENCE);
	return true;
}

/* ---------- names ---------- */

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
		(void) saga_map_member(input, name, len, result);
		return saga_map_tick(ev);
	}
	if (input->type != SAGA_MAP_ARRAY)
		return true;
	elems = saga_map_elems(&array);
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

/* ---------- filters ---------- */

static bool
filter_by_number(SagaMapEval *ev, Numeric number, SagaMapValue *input, SagaMapValue *result)
{
	int64		index = saga_map_floor(number);
	SagaMapValue *elems = saga_map_elems(input);
	SagaMapList list = {0};

	if (index < 0)
		index += input->count;
	if (index >= 0 && index < input->count)
	{
		if (elems[index].type == SAGA_MAP_ARRAY)
		{
			*result = elems[index];
			return true;
		}
		if (elems[index].type != SAGA_MAP_NOTHING && !saga_map_push(ev, &list, &elems[index]))
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
		int64		wanted = saga_map_floor(numbers[i].u.number);

		if (wanted < 0)
			wanted += count;
		if (!saga_map_tick(ev) || (wanted == index && !saga_map_push(ev, list, item)))
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

	if (input.type != SAGA_MAP_ARRAY && !sequence_of(ev, value, &input))
		return false;
	if (predicate->kind == SAGA_MAP_LITERAL && predicate->literal.type == SAGA_MAP_NUMBER)
		return filter_by_number(ev, predicate->literal.u.number, &input, value);
	elems = saga_map_elems(&input);
	for (int i = 0; i < input.count; i++)
	{
		SagaMapValue verdict;
		SagaMapValue *numbers = &verdict;
		int			n = 1;

		if (!eval_node(ev, predicate, &elems[i], &verdict))
			return false;
		if (verdict.type == SAGA_MAP_ARRAY)
		{
			numbers = saga_map_elems(&verdict);
			n = verdict.count;
		}
		if (are_numbers(numbers, n))
		{
			if (!push_if_index(ev, &list, numbers, n, &elems[i], i, input.count))
				return false;
		}
		else if (saga_map_boolean(&verdict) && !saga_map_push(ev, &list, &elems[i]))
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
		return error_at(ev, step, "a step that follows a constructed array is not supported in mappings for", input);
	elems = input->type == SAGA_MAP_ARRAY ? saga_map_elems(input) : NULL;
	for (int i = 0; elems != NULL && i < input->count; i++)
	{
		SagaMapValue v;

		if (!eval_node(ev, step, &elems[i], &v))
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
		!sequence_of(ev, input, &sequence))
		return false;
	for (int i = 0; i < path->children.count; i++)
	{
		const SagaMapNode *step = path->children.nodes[i];

		if (i == 0 && (step->cons_array || step->cons_block))
		{
			if (!eval_node(ev, step, &sequence, result))
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

			if (!sequence_of(ev, &array, result))
				return false;
		}
		result->flags |= SAGA_MAP_KEEP;
	}
	return true;
}

/* ---------- constructors ---------- */

static bool
eval_array(SagaMapEval *ev, const SagaMapNode *node, const SagaMapValue *input, SagaMapValue *result)
{
	SagaMapList list = {0};

	for (int i = 0; i < node->children.count; i++)
	{
		const SagaMapNode *item = node->children.nodes[i];
		SagaMapValue v;

		if (!eval_node(ev, item, input, &v))
			return false;
		if (v.type == SAGA_MAP_ARRAY && item->kind != SAGA_MAP_ARRAY_OF ? !saga_map_push_all(ev, &list, &v) :
			v.type != SAGA_MAP_NOTHING && !saga_map_push(ev, &list, &v))
			return false;
	}
	saga_map_set_array(result, &list, node->cons_array ? SAGA_MAP_CONS : 0);
	return true;
}

/* One member of an object to be, with what its value is to be made of. */
typedef struct Group
{
	SagaMapValue name;
	SagaMapValue data;
	const SagaMapNode *value;
} Group;

static bool
add_to_groups(SagaMapEval *ev, const SagaMapNode *node, Group *groups, int *ngroups,
			  const SagaMapNode *name_node, const SagaMapNode *value_node, const SagaMapValue *item)
{
	SagaMapValue name;

	if (!eval_node(ev, name_node, item, &name))
		return false;
	if (name.type == SAGA_MAP_NOTHING)
		return true;
	if (name.type != SAGA_MAP_STRING)
		return error_at(ev, name_node, "the name of a member must be a string", &name);
	for (int i = 0; i < *ngroups; i++)
	{
		SagaMapValue data = groups[i].data;

		if (!saga_map_tick(ev))
			return false;
		if (!saga_map_equal(&groups[i].name, &name))
			continue;
		if (groups[i].value != value_node)
			return error_at(ev, name_node, "two members of an object have the same name", NULL);
		return saga_map_append(ev, &data, item, &groups[i].data);
	}
	groups[*ngroups].name = name;
	groups[*ngroups].data = *item;
	groups[(*ngroups)++].value = value_node;
	return true;
}

/*
 * Where the context is an array, members of all its elements come together in
 * one object; those with one name have their elements appended.
 */
static bool
eval_object(SagaMapEval *ev, const SagaMapNode *node, const SagaMapValue *input, SagaMapValue *result)
{
	SagaMapValue array = *input;
	SagaMapValue *elems;
	Group	   *groups;
	int			ngroups = 0;
	SagaMapPair *pairs;
	int			npairs = 0;

	if (input->type != SAGA_MAP_ARRAY || input->count == 0)
	{
		SagaMapValue nothing = {SAGA_MAP_NOTHING};

		if (!sequence_of(ev, input->type == SAGA_MAP_ARRAY ? &nothing : input, &array))
			return false;
	}
	if ((int64) array.count * node->children.count > 1000000)
		return error_at(ev, node, "an object gets too many members", NULL);
	elems = saga_map_elems(&array);
	groups = palloc((array.count * node->children.count / 2 + 1) * sizeof(Group));
	for (int i = 0; i < array.count; i++)
		for (int j = 0; j < node->children.count; j += 2)
			if (!add_to_groups(ev, node, groups, &ngroups, node->children.nodes[j],
							   node->children.nodes[j + 1], &elems[i]))
				return false;
	pairs = palloc((ngroups + 1) * sizeof(SagaMapPair));
	for (int i = 0; i < ngroups; i++)
	{
		SagaMapPair *pair = &pairs[npairs];

		if (!eval_node(ev, groups[i].value, &groups[i].data, &pair->value))
			return false;
		pair->name = groups[i].name.u.string;
		pair->len = groups[i].name.count;
		if (pair->value.type != SAGA_MAP_NOTHING)
			npairs++;
	}
	saga_map_set_nothing(result);
	result->type = SAGA_MAP_OBJECT;
	result->count = npairs;
	result->u.pairs = pairs;
	return true;
}

/* ---------- operators ---------- */

static bool
eval_arithmetic(SagaMapEval *ev, const SagaMapNode *node, const SagaMapValue *left,
				const SagaMapValue *right, SagaMapValue *result)
{
	if (left->type != SAGA_MAP_NOTHING && left->type != SAGA_MAP_NUMBER)
		return error_at(ev, node, "the left side must be a number", left);
	if (right->type != SAGA_MAP_NOTHING && right->type != SAGA_MAP_NUMBER)
		return error_at(ev, node, "the right side must be a number", right);
	if (left->type == SAGA_MAP_NOTHING || right->type == SAGA_MAP_NOTHING)
		return true;
	if (!saga_map_arithmetic(ev, (char) node->op, left->u.number, right->u.number, result))
	{
		char	   *message = ev->error;

		ev->error = NULL;
		return error_at(ev, node, message, NULL);
	}
	return true;
}

static bool
can_be_ordered(const SagaMapValue *v)
{
	return v->type == SAGA_MAP_NOTHING || v->type == SAGA_MAP_NUMBER || v->type == SAGA_MAP_STRING;
}

static bool
eval_order(SagaMapEval *ev, const SagaMapNode *node, const SagaMapValue *left,
		   const SagaMapValue *right, SagaMapValue *result)
{
	int			cmp;

	if (!can_be_ordered(left) || !can_be_ordered(right))
		return error_at(ev, node, "only numbers and strings have an order", can_be_ordered(left) ? right : left);
	if (left->type == SAGA_MAP_NOTHING || right->type == SAGA_MAP_NOTHING)
		return true;
	if (left->type != right->type)
		return error_at(ev, node, "a number and a string have no order", NULL);
	cmp = left->type == SAGA_MAP_NUMBER ? saga_numeric_compare(left->u.number, right->u.number) :
		saga_map_string_compare(left, right);
	saga_map_set_bool(result, node->op == '<' ? cmp < 0 : node->op == '>' ? cmp > 0 :
					  node->op == SAGA_MAP_LE ? cmp <= 0 : cmp >= 0);
	return true;
}

/* JSONata asks here whether two arrays or objects are the same one: we have no such thing. */
static bool
eval_in(SagaMapEval *ev, const SagaMapNode *node, SagaMapValue *left, SagaMapValue *right, SagaMapValue *result)
{
	SagaMapValue *elems = right;
	int			n = 1;
	bool		found = false;

	saga_map_set_bool(result, false);
	if (left->type == SAGA_MAP_NOTHING || right->type == SAGA_MAP_NOTHING)
		return true;
	if (left->type == SAGA_MAP_ARRAY || left->type == SAGA_MAP_OBJECT)
		return error_at(ev, node, "\"in\" is not supported in mappings for", left);
	if (right->type == SAGA_MAP_ARRAY)
	{
		elems = saga_map_elems(right);
		n = right->count;
	}
	for (int i = 0; i < n && !found; i++)
	{
		if (!saga_map_tick(ev))
			return false;
		found = saga_map_equal(&elems[i], left);
	}
	saga_map_set_bool(result, found);
	return true;
}

static bool
eval_concat(SagaMapEval *ev, const SagaMapNode *node, SagaMapValue *left, SagaMapValue *right, SagaMapValue *result)
{
	StringInfoData buf;

	initStringInfo(&buf);
	if (left->type != SAGA_MAP_NOTHING && !saga_map_append_text(ev, &buf, left, false))
		return false;
	if (right->type != SAGA_MAP_NOTHING && !saga_map_append_text(ev, &buf, right, false))
		return false;
	saga_map_set_string(result, buf.data, buf.len);
	return true;
}

static bool
eval_binary(SagaMapEval *ev, const SagaMapNode *node, const SagaMapValue *input, SagaMapValue *result)
{
	SagaMapValue left,
				right;

	if (!eval_node(ev, node->children.nodes[0], input, &left))
		return false;
	if (node->op == SAGA_MAP_AND || node->op == SAGA_MAP_OR)
	{
		bool		verdict = saga_map_boolean(&left);

		if (verdict == (node->op == SAGA_MAP_AND))
		{
			if (!eval_node(ev, node->children.nodes[1], input, &right))
				return false;
			verdict = saga_map_boolean(&right);
		}
		saga_map_set_bool(result, verdict);
		return true;
	}
	if (!eval_node(ev, node->children.nodes[1], input, &right))
		return false;
	switch (node->op)
	{
		case '=':
		case SAGA_MAP_NE:
			saga_map_set_bool(result, left.type != SAGA_MAP_NOTHING && right.type != SAGA_MAP_NOTHING &&
							  saga_map_equal(&left, &right) == (node->op == '='));
			return true;
		case '<':
		case '>':
		case SAGA_MAP_LE:
		case SAGA_MAP_GE:
			return eval_order(ev, node, &left, &right, result);
		case SAGA_MAP_IN:
			return eval_in(ev, node, &left, &right, result);
		case '&':
			return eval_concat(ev, node, &left, &right, result);
		default:
			return eval_arithmetic(ev, node, &left, &right, result);
	}
}

static bool
eval_negation(SagaMapEval *ev, const SagaMapNode *node, const SagaMapValue *input, SagaMapValue *result)
{
	SagaMapValue v;

	if (!eval_node(ev, node->children.nodes[0], input, &v))
		return false;
	if (v.type == SAGA_MAP_NOTHING)
		return true;
	if (v.type != SAGA_MAP_NUMBER)
		return error_at(ev, node, "\"-\" needs a number", &v);
	return saga_map_set_result(ev, result, saga_map_negate(v.u.number));
}

static bool
eval_condition(SagaMapEval *ev, const SagaMapNode *node, const SagaMapValue *input, SagaMapValue *result)
{
	SagaMapValue v;

	if (!eval_node(ev, node->children.nodes[0], input, &v))
		return false;
	if (saga_map_boolean(&v))
		return eval_node(ev, node->children.nodes[1], input, result);
	if (node->children.count > 2)
		return eval_node(ev, node->children.nodes[2], input, result);
	return true;
}

static bool
eval_call(SagaMapEval *ev, const SagaMapNode *node, const SagaMapValue *input, SagaMapValue *result)
{
	SagaMapValue args[SAGA_MAP_MAX_ARGS];

	for (int i = 0; i < node->children.count; i++)
		if (!eval_node(ev, node->children.nodes[i], input, &args[i]))
			return false;
	return saga_map_call(ev, node, args, node->children.count, input, result);
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
			return eval_array(ev, node, input, result);
		case SAGA_MAP_OBJECT_OF:
			return eval_object(ev, node, input, result);
		case SAGA_MAP_BLOCK:
			return node->children.count == 0 || eval_node(ev, node->children.nodes[0], input, result);
		case SAGA_MAP_NEGATE:
			return eval_negation(ev, node, input, result);
		case SAGA_MAP_BINARY:
			return eval_binary(ev, node, input, result);
		case SAGA_MAP_CONDITION:
			return eval_condition(ev, node, input, result);
		case SAGA_MAP_CALL:
			return eval_call(ev, node, input, result);
	}
	return false;
}

static bool
eval_node(SagaMapEval *ev, const SagaMapNode *node, const SagaMapValue *input, SagaMapValue *result)
{
	check_stack_depth();

	saga_map_set_nothing(result);
	if (!saga_map_tick(ev) || !eval_kind(ev, node, input, result))
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
			SagaMapValue only = saga_map_elems(result)[0];

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
		if (!sequence_of(ev, &ev->root, &input))
			return false;
		input.flags |= SAGA_MAP_WRAPPER;
	}
	if (!eval_node(ev, ev->mapping->root, &input, &v))
		return false;
	*result = NULL;
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
