/*
 * operator.c
 *		Operators between two values.
 */
#include "postgres.h"

#include "jsonata/jsonata_private.h"

/* A fault of the operator's stands at the operator. */
static bool
arithmetic(SagaJsonataEval *ev, const SagaJsonataNode *node, const SagaJsonataValue *left, const SagaJsonataValue *right,
		   SagaJsonataValue *result)
{
	bool		fails = false;

	if (!saga_jsonata_is_nothing(left) && !saga_jsonata_is_numeric(ev, left, &fails))
		return saga_jsonata_fail_at(ev, node, "T2001", "the left side of \"%c\" must be a number", node->op);
	if (!saga_jsonata_is_nothing(right) && !saga_jsonata_is_numeric(ev, right, &fails))
		return saga_jsonata_fail_at(ev, node, "T2002", "the right side of \"%c\" must be a number", node->op);
	if (saga_jsonata_is_nothing(left) || saga_jsonata_is_nothing(right))
		return true;
	return saga_jsonata_arithmetic(ev, node->op, left, right, result) || saga_jsonata_failed_at(ev, node);
}

static bool
is_comparable(const SagaJsonataValue *v)
{
	return v->type == SAGA_JV_NOTHING || v->type == SAGA_JV_STRING || v->type == SAGA_JV_NUMBER;
}

static bool
comparison(SagaJsonataEval *ev, const SagaJsonataNode *node, const SagaJsonataValue *left, const SagaJsonataValue *right,
		   SagaJsonataValue *result)
{
	char		buf[2];
	int			order;

	if (!is_comparable(left) || !is_comparable(right))
		return saga_jsonata_fail_at(ev, node, "T2010", "both sides of \"%s\" must be numbers or strings",
									saga_jsonata_op_text(node->op, buf));
	if (saga_jsonata_is_nothing(left) || saga_jsonata_is_nothing(right))
		return true;
	if (left->type != right->type)
		return saga_jsonata_fail_at(ev, node, "T2009", "the values on both sides of \"%s\" must be of the same type",
									saga_jsonata_op_text(node->op, buf));
	if (left->type == SAGA_JV_NUMBER)
		order = saga_jsonata_number_compare(ev, left, right);
	else
	{
		if (!saga_jsonata_spend_read(ev, Min(left->count, right->count)))
			return false;
		order = saga_jsonata_compare(left->u.string, left->count, right->u.string, right->count);
	}
	switch (node->op)
	{
		case '<':
			saga_jsonata_set_bool(result, order < 0);
			break;
		case '>':
			saga_jsonata_set_bool(result, order > 0 && order != 2);
			break;
		case SAGA_JO_LE:
			saga_jsonata_set_bool(result, order <= 0);
			break;
		default:
			saga_jsonata_set_bool(result, order >= 0 && order != 2);
			break;
	}
	return true;
}

/* Both as text; nothing is the empty one. */
static bool
concat(SagaJsonataEval *ev, const SagaJsonataValue *left, const SagaJsonataValue *right, SagaJsonataValue *result)
{
	StringInfoData buf;

	if (left->type == SAGA_JV_STRING && right->type == SAGA_JV_STRING)
	{
		int			len = left->count + right->count;
		char	   *text;

		if (len > SAGA_JSONATA_MAX_TEXT)
			return saga_jsonata_fail(ev, "D2015", "a text gets longer than %d bytes", SAGA_JSONATA_MAX_TEXT);
		if (!saga_jsonata_spend_copy(ev, len) || !saga_jsonata_has_room(ev, len, 1))
			return false;
		text = saga_jsonata_alloc(ev, len + 1);
		memcpy(text, left->u.string, left->count);
		memcpy(text + left->count, right->u.string, right->count);
		saga_jsonata_set_string(result, text, len);
		return true;
	}
	initStringInfo(&buf);
	if ((!saga_jsonata_is_nothing(left) && !saga_jsonata_append_string(ev, &buf, left, false)) ||
		(!saga_jsonata_is_nothing(right) && !saga_jsonata_append_string(ev, &buf, right, false)))
		return false;
	saga_jsonata_set_buffer(ev, result, &buf);
	return true;
}

/* Only its bounds are kept, until somebody looks at the elements. */
static bool
range(SagaJsonataEval *ev, const SagaJsonataNode *node, const SagaJsonataValue *left, const SagaJsonataValue *right,
	  SagaJsonataValue *result)
{
	double		first,
				size;

	if (!saga_jsonata_is_nothing(left) && !saga_jsonata_is_integer(left))
		return saga_jsonata_fail_at(ev, node, "T2003", "the left side of \"..\" must be an integer");
	if (!saga_jsonata_is_nothing(right) && !saga_jsonata_is_integer(right))
		return saga_jsonata_fail_at(ev, node, "T2004", "the right side of \"..\" must be an integer");
	if (saga_jsonata_is_nothing(left) || saga_jsonata_is_nothing(right))
		return true;
	first = saga_jsonata_double(left);
	size = saga_jsonata_double(right) - first + 1;
	if (size <= 0)
		return true;
	if (size > SAGA_JSONATA_MAX_ELEMENTS)
		return saga_jsonata_fail_at(ev, node, "D2014", "a range has more than %d elements", SAGA_JSONATA_MAX_ELEMENTS);
	saga_jsonata_set_nothing(result);
	result->type = SAGA_JV_ARRAY;
	result->flags = SAGA_JV_SEQUENCE | SAGA_JV_RANGE;
	result->count = (int) size;
	result->u.first = first;
	return true;
}

static bool
includes(SagaJsonataEval *ev, const SagaJsonataValue *left, const SagaJsonataValue *right, SagaJsonataValue *result)
{
	SagaJsonataValue array = *right;
	SagaJsonataValue *elems = &array;
	int			n = 1;
	bool		found = false;

	if (saga_jsonata_is_nothing(left) || saga_jsonata_is_nothing(right))
		n = 0;
	else if (array.type == SAGA_JV_ARRAY)
	{
		elems = saga_jsonata_elems(ev, &array);
		n = array.count;
	}
	for (int i = 0; i < n && !found; i++)
	{
		if (!saga_jsonata_tick(ev))
			return false;
		found = saga_jsonata_same(ev, left, &elems[i]);
	}
	saga_jsonata_set_bool(result, found);
	return true;
}

/* The right side is looked at only if the left does not decide. */
static bool
logic(SAGA_JSONATA_EVAL_ARGS)
{
	SagaJsonataValue value;
	bool		decides = node->op == SAGA_JO_OR;

	if (!saga_jsonata_eval_node(ev, node->children.nodes[0], input, frame, &value))
		return false;
	if (saga_jsonata_boolean(ev, &value) == decides)
	{
		saga_jsonata_set_bool(result, decides);
		return true;
	}
	if (!saga_jsonata_eval_node(ev, node->children.nodes[1], input, frame, &value))
		return false;
	saga_jsonata_set_bool(result, saga_jsonata_boolean(ev, &value));
	return true;
}

/* What is looked at on both sides. */
static bool
operate(SagaJsonataEval *ev, const SagaJsonataNode *node, const SagaJsonataValue *left, const SagaJsonataValue *right,
		SagaJsonataValue *result)
{
	switch (node->op)
	{
		case '+':
		case '-':
		case '*':
		case '/':
		case '%':
			return arithmetic(ev, node, left, right, result);
		case '=':
		case SAGA_JO_NE:
			if (saga_jsonata_is_nothing(left) || saga_jsonata_is_nothing(right))
				saga_jsonata_set_bool(result, false);
			else
				saga_jsonata_set_bool(result, saga_jsonata_equal(ev, left, right) == (node->op == '='));
			return true;
		case '<':
		case '>':
		case SAGA_JO_LE:
		case SAGA_JO_GE:
			return comparison(ev, node, left, right, result);
		case '&':
			return concat(ev, left, right, result) || saga_jsonata_failed_at(ev, node);
		case SAGA_JO_RANGE:
			return range(ev, node, left, right, result);
		case SAGA_JO_IN:
			return includes(ev, left, right, result);
		default:
			return saga_jsonata_fail_at(ev, node, "S0204", "unknown operator");
	}
}

bool
saga_jsonata_eval_binary(SAGA_JSONATA_EVAL_ARGS)
{
	SagaJsonataValue sides[2];

	if (node->op == SAGA_JO_AND || node->op == SAGA_JO_OR)
		return logic(ev, node, input, frame, result);
	if (!saga_jsonata_eval_node(ev, node->children.nodes[0], input, frame, &sides[0]) ||
		!saga_jsonata_eval_node(ev, node->children.nodes[1], input, frame, &sides[1]))
		return false;
	if (operate(ev, node, &sides[0], &sides[1], result))
		return ev->trace == NULL || saga_jsonata_trace_made(ev, result, sides, 2);
	if (ev->trace != NULL)
	{
		/* T2001, T2003 and T2002, T2004: it is about one of them */
		char		last = ev->fault->code[4];
		bool		one = strncmp(ev->fault->code, "T200", 4) == 0 && last >= '1' && last <= '4';

		saga_jsonata_trace_failed(ev, one ? &sides[(last - '1') % 2] : sides, one ? 1 : 2);
	}
	return false;
}
