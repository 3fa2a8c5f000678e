/*
 * parse.c
 *		The tree of an expression, by the operators' binding power: Pratt's
 *		algorithm, in the steps of the reference implementation.
 *
 * What comes out is the tree as it is written; process.c makes paths of it.
 * A token is an operand ("prefix") or stands behind one ("infix"), and its
 * function completes the node that the scanner has made of it.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "jsonata/jsonata_private.h"

/* How high a tree may get, as one of 1 + 1 + 1 + ... does without any nesting. */
#define MAX_HEIGHT		1000

typedef struct Parser
{
	SagaJsonataScanner *scanner;
	SagaJsonataNode *node;		/* the token that is next */
	int			nesting;
} Parser;

static SagaJsonataNode *expression(Parser *p, int power);

static bool
fail(Parser *p, int position, const char *code, const char *message)
{
	return saga_jsonata_fault_at(p->scanner->fault, position, code, "%s", message);
}

static bool
next_is(Parser *p, int op)
{
	return p->node->kind == SAGA_JN_OPERATOR && p->node->op == op;
}

/* To the next token, past one of this kind if one is asked for (0: any). */
static bool
advance(Parser *p, int op, bool infix)
{
	char		buf[2];

	if (op != 0 && !next_is(p, op))
		return saga_jsonata_fault_at(p->scanner->fault, p->node->position,
									 p->node->kind == SAGA_JN_END ? "S0203" : "S0202",
									 p->node->kind == SAGA_JN_END ? "expected \"%s\" before %s" : "expected \"%s\", got %s",
									 saga_jsonata_op_text(op, buf), saga_jsonata_token_text(p->node));
	return saga_jsonata_scan(p->scanner, infix, &p->node);
}

/* A child, which may be missing after a fault. */
static bool
add(SagaJsonataNode *node, SagaJsonataNode *child)
{
	if (child == NULL)
		return false;
	saga_jsonata_add_node(&node->children, child);
	node->height = Max(node->height, child->height + 1);
	return true;
}

/* One more expression as a child. */
static bool
add_expression(Parser *p, SagaJsonataNode *node, int power)
{
	return add(node, expression(p, power));
}

/* ---------- operands ---------- */

static SagaJsonataNode *
parse_block(Parser *p, SagaJsonataNode *node)
{
	node->kind = SAGA_JN_BLOCK;
	while (!next_is(p, ')'))
	{
		if (!add_expression(p, node, 0))
			return NULL;
		if (!next_is(p, ';'))
			break;
		if (!advance(p, ';', false))
			return NULL;
	}
	return advance(p, ')', true) ? node : NULL;
}

static SagaJsonataNode *
parse_array(Parser *p, SagaJsonataNode *node)
{
	node->kind = SAGA_JN_ARRAY;
	while (!next_is(p, ']'))
	{
		SagaJsonataNode *item = expression(p, 0);

		if (item == NULL)
			return NULL;
		if (next_is(p, SAGA_JO_RANGE))
		{
			SagaJsonataNode *range = saga_jsonata_new_node(SAGA_JN_BINARY, p->node->position);

			range->op = SAGA_JO_RANGE;
			if (!add(range, item) || !advance(p, SAGA_JO_RANGE, false) || !add_expression(p, range, 0))
				return NULL;
			item = range;
		}
		if (!add(node, item))
			return NULL;
		if (!next_is(p, ','))
			break;
		if (!advance(p, ',', false))
			return NULL;
		/* a comma wants an item: "[1,]" is not an array */
		if (next_is(p, ']'))
			return add_expression(p, node, 0) ? node : NULL;
	}
	return advance(p, ']', true) ? node : NULL;
}

/* Names and values in turn, from behind the brace to behind the other. */
static bool
parse_pairs(Parser *p, SagaJsonataNode *node)
{
	if (!next_is(p, '}'))
	{
		for (;;)
		{
			if (!add_expression(p, node, 0) || !advance(p, ':', false) || !add_expression(p, node, 0))
				return false;
			if (!next_is(p, ','))
				break;
			if (!advance(p, ',', false))
				return false;
		}
	}
	return advance(p, '}', true);
}

static SagaJsonataNode *
parse_transform(Parser *p, SagaJsonataNode *node)
{
	node->kind = SAGA_JN_TRANSFORM;
	if (!add_expression(p, node, 0) || !advance(p, '|', false) || !add_expression(p, node, 0))
		return NULL;
	if (next_is(p, ',') && (!advance(p, ',', false) || !add_expression(p, node, 0)))
		return NULL;
	return advance(p, '|', false) ? node : NULL;
}

/* The reference's nud(): what a token is where an operand stands. */
static SagaJsonataNode *
parse_operand(Parser *p, SagaJsonataNode *node)
{
	if (node->kind != SAGA_JN_OPERATOR)
		return node;
	switch (node->op)
	{
		case SAGA_JO_AND:
		case SAGA_JO_OR:
		case SAGA_JO_IN:
			return node;
		case '-':
			node->kind = SAGA_JN_NEGATE;
			return add_expression(p, node, 70) ? node : NULL;
		case '*':
			node->kind = SAGA_JN_WILDCARD;
			return node;
		case SAGA_JO_DESCENDANTS:
			node->kind = SAGA_JN_DESCENDANT;
			return node;
		case '%':
			node->kind = SAGA_JN_PARENT;
			return node;
		case '(':
			return parse_block(p, node);
		case '[':
			return parse_array(p, node);
		case '{':
			node->kind = SAGA_JN_OBJECT;
			return parse_pairs(p, node) ? node : NULL;
		case '|':
			return parse_transform(p, node);
		default:
			(void) saga_jsonata_fault_at(p->scanner->fault, node->position, "S0211",
										 "%s cannot be used as a unary operator", saga_jsonata_token_text(node));
			return NULL;
	}
}

/* ---------- what stands behind an operand ---------- */

/* The reference's lbp: 0 where a token ends an expression. */
static int
binding_power(const SagaJsonataNode *node)
{
	if (node->kind != SAGA_JN_OPERATOR)
		return 0;
	switch (node->op)
	{
		case '[':
		case '(':
		case '@':
		case '#':
			return 80;
		case '.':
			return 75;
		case '{':
			return 70;
		case '*':
		case '/':
		case '%':
			return 60;
		case '+':
		case '-':
		case '&':
			return 50;
		case '=':
		case '<':
		case '>':
		case '^':
		case SAGA_JO_NE:
		case SAGA_JO_LE:
		case SAGA_JO_GE:
		case SAGA_JO_IN:
		case SAGA_JO_CHAIN:
		case SAGA_JO_ELVIS:
		case SAGA_JO_COALESCE:
			return 40;
		case SAGA_JO_AND:
			return 30;
		case SAGA_JO_OR:
			return 25;
		case '?':
			return 20;
		case SAGA_JO_BIND:
			return 10;
		default:
			return 0;
	}
}

/* "<...>" behind the parameters: whatever tokens it is made of, the text of it. */
static bool
parse_signature(Parser *p, SagaJsonataNode *node)
{
	int			start = p->node->position;
	int			depth = 1;
	int			end;

	while (depth > 0 && !next_is(p, '{') && p->node->kind != SAGA_JN_END)
	{
		if (!advance(p, 0, false))
			return false;
		if (next_is(p, '>'))
			depth--;
		else if (next_is(p, '<'))
			depth++;
	}
	end = p->node->position + 1;
	if (!advance(p, '>', false))
		return false;
	node->signature = saga_jsonata_signature_parse(p->scanner->text + start, end - start, start, p->scanner->fault);
	return node->signature != NULL;
}

/* "function" and its parameters are there; its body is the last child. */
static SagaJsonataNode *
parse_lambda(Parser *p, SagaJsonataNode *node)
{
	/* the first child is the word "function" */
	node->children.count--;
	memmove(node->children.nodes, node->children.nodes + 1, node->children.count * sizeof(SagaJsonataNode *));
	for (int i = 0; i < node->children.count; i++)
	{
		SagaJsonataNode *param = node->children.nodes[i];

		if (param->kind != SAGA_JN_VARIABLE)
		{
			(void) saga_jsonata_fault_at(p->scanner->fault, param->position, "S0208",
										 "parameter %d of a function must be a variable, which starts with \"$\"", i + 1);
			return NULL;
		}
	}
	node->kind = SAGA_JN_LAMBDA;
	if (next_is(p, '<') && !parse_signature(p, node))
		return NULL;
	if (!advance(p, '{', false) || !add_expression(p, node, 0) || !advance(p, '}', false))
		return NULL;
	return node;
}

static bool
is_word(const SagaJsonataNode *node, const char *word)
{
	return node->kind == SAGA_JN_NAME && node->value.count == strlen(word) &&
		memcmp(node->value.u.string, word, node->value.count) == 0;
}

static SagaJsonataNode *
parse_call(Parser *p, SagaJsonataNode *node, SagaJsonataNode *left)
{
	node->kind = SAGA_JN_CALL;
	if (!add(node, left))
		return NULL;
	if (!next_is(p, ')'))
	{
		for (;;)
		{
			if (next_is(p, '?'))
			{
				node->kind = SAGA_JN_PARTIAL;
				if (!add(node, p->node) || !advance(p, '?', false))
					return NULL;
			}
			else if (!add_expression(p, node, 0))
				return NULL;
			if (!next_is(p, ','))
				break;
			if (!advance(p, ',', false))
				return NULL;
		}
	}
	if (!advance(p, ')', true))
		return NULL;
	return is_word(left, "function") || is_word(left, "\xce\xbb") ? parse_lambda(p, node) : node;
}

/* "a[]" keeps what is a list of one a list. */
static SagaJsonataNode *
parse_predicate(Parser *p, SagaJsonataNode *node, SagaJsonataNode *left)
{
	if (next_is(p, ']'))
	{
		SagaJsonataNode *step = left;

		while (step->kind == SAGA_JN_BINARY && step->op == '[')
			step = step->children.nodes[0];
		step->keep_array = true;
		return advance(p, ']', false) ? left : NULL;
	}
	node->kind = SAGA_JN_BINARY;
	if (!add(node, left) || !add_expression(p, node, 0) || !advance(p, ']', true))
		return NULL;
	return node;
}

static SagaJsonataNode *
parse_sort(Parser *p, SagaJsonataNode *node, SagaJsonataNode *left)
{
	node->kind = SAGA_JN_SORT;
	if (!add(node, left) || !advance(p, '(', false))
		return NULL;
	for (;;)
	{
		SagaJsonataNode *term = saga_jsonata_new_node(SAGA_JN_TERM, p->node->position);

		term->descending = next_is(p, '>');
		if ((next_is(p, '<') || next_is(p, '>')) && !advance(p, p->node->op, false))
			return NULL;
		if (!add_expression(p, term, 0) || !add(node, term))
			return NULL;
		if (!next_is(p, ','))
			break;
		if (!advance(p, ',', false))
			return NULL;
	}
	return advance(p, ')', false) ? node : NULL;
}

static SagaJsonataNode *
parse_bind(Parser *p, SagaJsonataNode *node, SagaJsonataNode *left)
{
	if (left->kind != SAGA_JN_VARIABLE)
	{
		fail(p, left->position, "S0212", "the left side of \":=\" must be a variable, which starts with \"$\"");
		return NULL;
	}
	node->kind = SAGA_JN_BIND;
	node->symbol = left->symbol;
	/* one less, as it groups from the right */
	return add_expression(p, node, 9) ? node : NULL;
}

/* "a@$x", "a#$i" */
static SagaJsonataNode *
parse_focus(Parser *p, SagaJsonataNode *node, SagaJsonataNode *left)
{
	node->kind = SAGA_JN_BINARY;
	if (!add(node, left) || !add_expression(p, node, 80))
		return NULL;
	if (node->children.nodes[1]->kind != SAGA_JN_VARIABLE)
	{
		(void) saga_jsonata_fault_at(p->scanner->fault, node->children.nodes[1]->position, "S0214",
									 "the right side of \"%c\" must be a variable, which starts with \"$\"", node->op);
		return NULL;
	}
	return node;
}

static SagaJsonataNode *
parse_condition(Parser *p, SagaJsonataNode *node, SagaJsonataNode *left)
{
	node->kind = SAGA_JN_CONDITION;
	if (!add(node, left) || !add_expression(p, node, 0))
		return NULL;
	if (next_is(p, ':') && (!advance(p, ':', false) || !add_expression(p, node, 0)))
		return NULL;
	return node;
}

/* The reference's led(): what a token makes of the operand before it. */
static SagaJsonataNode *
parse_operator(Parser *p, SagaJsonataNode *node, SagaJsonataNode *left)
{
	switch (node->op)
	{
		case '(':
			return parse_call(p, node, left);
		case '[':
			return parse_predicate(p, node, left);
		case '{':
			node->kind = SAGA_JN_GROUP;
			return add(node, left) && parse_pairs(p, node) ? node : NULL;
		case '^':
			return parse_sort(p, node, left);
		case SAGA_JO_BIND:
			return parse_bind(p, node, left);
		case '@':
		case '#':
			return parse_focus(p, node, left);
		case '?':
			return parse_condition(p, node, left);
		case SAGA_JO_ELVIS:
		case SAGA_JO_COALESCE:
			node->kind = node->op == SAGA_JO_ELVIS ? SAGA_JN_ELVIS : SAGA_JN_COALESCE;
			return add(node, left) && add_expression(p, node, 0) ? node : NULL;
		default:
			{
				int			power = binding_power(node);

				node->kind = node->op == SAGA_JO_CHAIN ? SAGA_JN_APPLY : SAGA_JN_BINARY;
				return add(node, left) && add_expression(p, node, power) ? node : NULL;
			}
	}
}

/* An operand and whatever binds it stronger than power. */
static SagaJsonataNode *
expression(Parser *p, int power)
{
	SagaJsonataNode *token = p->node;
	SagaJsonataNode *left;

	if (++p->nesting > SAGA_JSONATA_MAX_NESTING || stack_is_too_deep())
	{
		fail(p, token->position, "U1001", "the expression is nested too deep");
		return NULL;
	}
	if (!advance(p, 0, true))
		return NULL;
	left = parse_operand(p, token);
	while (left != NULL && power < binding_power(p->node))
	{
		token = p->node;
		if (!advance(p, 0, false))
			return NULL;
		left = parse_operator(p, token, left);
		if (left != NULL && left->height > MAX_HEIGHT)
		{
			fail(p, token->position, "U1001", "the expression is nested too deep");
			return NULL;
		}
	}
	p->nesting--;
	return left;
}

bool
saga_jsonata_parse(SagaJsonataScanner *s, SagaJsonataNode **root)
{
	Parser		p = {s};

	if (!advance(&p, 0, false))
		return false;
	*root = expression(&p, 0);
	if (*root == NULL)
		return false;
	if (p.node->kind != SAGA_JN_END)
		return saga_jsonata_fault_at(s->fault, p.node->position, "S0201", "syntax error at %s",
									 saga_jsonata_token_text(p.node));
	return true;
}
