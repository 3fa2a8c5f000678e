/*
 * operator.c
 *		The value of a constructor, an operator or a call.
 *
 * Each function is one kind of node and is called by saga_map_eval_node(),
 * which has charged for the node, set *result to nothing and will apply the
 * node's filters.  Most operators give nothing where an operand is nothing;
 * they return true then without touching *result.
 */
#include "postgres.h"

#include "mapping/mapping_private.h"

/* ---------- constructors ---------- */

/*
 * [a, b, ...]: an item that is itself written as [...] stays an array in it,
 * the elements of any other array are put in one by one, and an item that
 * gives nothing is left out.
 */
bool
saga_map_eval_array(SagaMapEval *ev, const SagaMapNode *node, const SagaMapValue *input, SagaMapValue *result)
{
	SagaMapList list = {0};

	for (int i = 0; i < node->children.count; i++)
	{
		const SagaMapNode *item = node->children.nodes[i];
		SagaMapValue v;

		if (!saga_map_eval_node(ev, item, input, &v))
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

/*
 * Finds or makes the member that a name belongs to, and adds the item to what
 * its value will be made of.  Two of the object's own pairs may not make the
 * same name: which of them should count?
 */
static bool
add_to_groups(SagaMapEval *ev, Group *groups, int *ngroups,
			  const SagaMapNode *name_node, const SagaMapNode *value_node, const SagaMapValue *item)
{
	SagaMapValue name;

	if (!saga_map_eval_node(ev, name_node, item, &name))
		return false;
	if (name.type == SAGA_MAP_NOTHING)
		return true;
	if (name.type != SAGA_MAP_STRING)
		return saga_map_error_at(ev, name_node, "the name of a member must be a string", &name);
	for (int i = 0; i < *ngroups; i++)
	{
		SagaMapValue data = groups[i].data;

		if (!saga_map_tick(ev))
			return false;
		if (!saga_map_equal(ev, &groups[i].name, &name))
			continue;
		if (groups[i].value != value_node)
			return saga_map_error_at(ev, name_node, "two members of an object have the same name", NULL);
		return saga_map_append(ev, &data, item, &groups[i].data);
	}
	/* the array has room for each pair of each element, so for this as well */
	groups[*ngroups].name = name;
	groups[*ngroups].data = *item;
	groups[(*ngroups)++].value = value_node;
	return true;
}

/*
 * Where the context is an array, members of all its elements come together in
 * one object; those with one name have their elements appended.
 */
bool
saga_map_eval_object(SagaMapEval *ev, const SagaMapNode *node, const SagaMapValue *input, SagaMapValue *result)
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

		if (!saga_map_sequence_of(ev, input->type == SAGA_MAP_ARRAY ? &nothing : input, &array))
			return false;
	}

	/*
	 * names are compared with each other, so that the work grows with the
	 * square; steps bound it, this the memory
	 */
	if ((int64) array.count * node->children.count > 1000000)
		return saga_map_error_at(ev, node, "an object gets too many members", NULL);
	elems = saga_map_elems(ev, &array);
	groups = palloc((array.count * node->children.count / 2 + 1) * sizeof(Group));
	for (int i = 0; i < array.count; i++)
		for (int j = 0; j < node->children.count; j += 2)
			if (!add_to_groups(ev, groups, &ngroups, node->children.nodes[j],
							   node->children.nodes[j + 1], &elems[i]))
				return false;
	pairs = palloc((ngroups + 1) * sizeof(SagaMapPair));
	for (int i = 0; i < ngroups; i++)
	{
		SagaMapPair *pair = &pairs[npairs];

		if (!saga_map_eval_node(ev, groups[i].value, &groups[i].data, &pair->value))
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

/*
 * "+", "-", "*", "/" and "%": the error of the arithmetic gets the operator's
 * position.
 */
static bool
eval_arithmetic(SagaMapEval *ev, const SagaMapNode *node, const SagaMapValue *left,
				const SagaMapValue *right, SagaMapValue *result)
{
	if (left->type != SAGA_MAP_NOTHING && left->type != SAGA_MAP_NUMBER)
		return saga_map_error_at(ev, node, "the left side must be a number", left);
	if (right->type != SAGA_MAP_NOTHING && right->type != SAGA_MAP_NUMBER)
		return saga_map_error_at(ev, node, "the right side must be a number", right);
	if (left->type == SAGA_MAP_NOTHING || right->type == SAGA_MAP_NOTHING)
		return true;
	if (!saga_map_arithmetic(ev, (char) node->op, left->u.number, right->u.number, result))
	{
		char	   *message = ev->error;

		ev->error = NULL;
		return saga_map_error_at(ev, node, message, NULL);
	}
	return true;
}

/*
 * Nothing passes here and makes the comparison nothing, after the other
 * side's type was looked at.
 */
static bool
can_be_ordered(const SagaMapValue *v)
{
	return v->type == SAGA_MAP_NOTHING || v->type == SAGA_MAP_NUMBER || v->type == SAGA_MAP_STRING;
}

/*
 * "<", ">", "<=" and ">=": strings by their UTF-16 units, as JavaScript
 * compares them.
 */
static bool
eval_order(SagaMapEval *ev, const SagaMapNode *node, const SagaMapValue *left,
		   const SagaMapValue *right, SagaMapValue *result)
{
	int			cmp;

	if (!can_be_ordered(left) || !can_be_ordered(right))
		return saga_map_error_at(ev, node, "only numbers and strings have an order", can_be_ordered(left) ? right : left);
	if (left->type == SAGA_MAP_NOTHING || right->type == SAGA_MAP_NOTHING)
		return true;
	if (left->type != right->type)
		return saga_map_error_at(ev, node, "a number and a string have no order", NULL);
	if (left->type == SAGA_MAP_NUMBER && !saga_map_charge_number(ev, left->u.number))
		return false;
	cmp = left->type == SAGA_MAP_NUMBER ? saga_numeric_compare(left->u.number, right->u.number) :
		saga_map_string_compare(ev, left, right);
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
		return saga_map_error_at(ev, node, "\"in\" with an array or object on its left is not supported in mappings", NULL);
	if (right->type == SAGA_MAP_ARRAY)
	{
		elems = saga_map_elems(ev, right);
		n = right->count;
	}
	for (int i = 0; i < n && !found; i++)
	{
		if (!saga_map_tick(ev))
			return false;
		found = saga_map_equal(ev, &elems[i], left);
	}
	saga_map_set_bool(result, found);
	return true;
}

/* "&": nothing is the empty text here, unlike with the other operators. */
static bool
eval_concat(SagaMapEval *ev, SagaMapValue *left, SagaMapValue *right, SagaMapValue *result)
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

/*
 * The right side of "and" and "or" is evaluated only if it decides; of all
 * other operators both sides are.  "=" and "!=" with nothing on a side are
 * false, both.
 */
bool
saga_map_eval_binary(SagaMapEval *ev, const SagaMapNode *node, const SagaMapValue *input, SagaMapValue *result)
{
	SagaMapValue left,
				right;

	if (!saga_map_eval_node(ev, node->children.nodes[0], input, &left))
		return false;
	if (node->op == SAGA_MAP_AND || node->op == SAGA_MAP_OR)
	{
		bool		verdict = saga_map_boolean(ev, &left);

		if (verdict == (node->op == SAGA_MAP_AND))
		{
			if (!saga_map_eval_node(ev, node->children.nodes[1], input, &right))
				return false;
			verdict = saga_map_boolean(ev, &right);
		}
		saga_map_set_bool(result, verdict);
		return true;
	}
	if (!saga_map_eval_node(ev, node->children.nodes[1], input, &right))
		return false;
	switch (node->op)
	{
		case '=':
		case SAGA_MAP_NE:
			saga_map_set_bool(result, left.type != SAGA_MAP_NOTHING && right.type != SAGA_MAP_NOTHING &&
							  saga_map_equal(ev, &left, &right) == (node->op == '='));
			return true;
		case '<':
		case '>':
		case SAGA_MAP_LE:
		case SAGA_MAP_GE:
			return eval_order(ev, node, &left, &right, result);
		case SAGA_MAP_IN:
			return eval_in(ev, node, &left, &right, result);
		case '&':
			return eval_concat(ev, &left, &right, result);
		default:
			return eval_arithmetic(ev, node, &left, &right, result);
	}
}

/*
 * "-" before something that is no literal: parse.c has made negative numbers
 * of those.
 */
bool
saga_map_eval_negation(SagaMapEval *ev, const SagaMapNode *node, const SagaMapValue *input, SagaMapValue *result)
{
	SagaMapValue v;

	if (!saga_map_eval_node(ev, node->children.nodes[0], input, &v))
		return false;
	if (v.type == SAGA_MAP_NOTHING)
		return true;
	if (v.type != SAGA_MAP_NUMBER)
		return saga_map_error_at(ev, node, "\"-\" needs a number", &v);
	return saga_map_charge_number(ev, v.u.number) && saga_map_set_result(ev, result, saga_map_negate(v.u.number));
}

/*
 * "a ? b : c": only the branch that is taken is evaluated, and a missing one
 * gives nothing.
 */
bool
saga_map_eval_condition(SagaMapEval *ev, const SagaMapNode *node, const SagaMapValue *input, SagaMapValue *result)
{
	SagaMapValue v;

	if (!saga_map_eval_node(ev, node->children.nodes[0], input, &v))
		return false;
	if (saga_map_boolean(ev, &v))
		return saga_map_eval_node(ev, node->children.nodes[1], input, result);
	if (node->children.count > 2)
		return saga_map_eval_node(ev, node->children.nodes[2], input, result);
	return true;
}

/*
 * All arguments are evaluated, in order, before the function is called; the
 * parser has made sure that there are no more than fit.
 */
bool
saga_map_eval_call(SagaMapEval *ev, const SagaMapNode *node, const SagaMapValue *input, SagaMapValue *result)
{
	SagaMapValue args[SAGA_MAP_MAX_ARGS];

	for (int i = 0; i < node->children.count; i++)
		if (!saga_map_eval_node(ev, node->children.nodes[i], input, &args[i]))
			return false;
	return saga_map_call(ev, node, args, node->children.count, input, result);
}
