/*
 * parse.c
 *		Expressions: a subset of JSONata, read by operator precedence.
 *
 * The tree is the one that JSONata builds: a chain of "." is one path of
 * steps, [...] after a step filters each of its turns, [...] after anything
 * else filters the whole.  What JSONata knows and we do not is refused here
 * by name, never read as something else.
 */
#include "postgres.h"

#include "common/text.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "mapping/mapping_private.h"

#define MAX_EXPRESSION_LENGTH	(1024 * 1024)
#define MAX_TREE_DEPTH			500

#define BP_FILTER	80
#define BP_CALL		80
#define BP_MAP		75
#define BP_GROUP	70
#define BP_NEGATE	70
#define BP_TIMES	60
#define BP_PLUS		50
#define BP_COMPARE	40
#define BP_AND		30
#define BP_OR		25
#define BP_CONDITION	20
#define BP_BIND		10

typedef struct Parser
{
	SagaScanner scanner;
	SagaMapToken token;			/* the next one */
} Parser;

static SagaMapNode *parse_expression(Parser *p, int binding);

/* ---------- errors ---------- */

/* For "return error_at(...)": always NULL. */
static SagaMapNode *error_at(Parser *p, int offset, const char *fmt, ...) pg_attribute_printf(3, 4);

static SagaMapNode *
error_at(Parser *p, int offset, const char *fmt, ...)
{
	va_list		args;
	char	   *message;

	va_start(args, fmt);
	message = saga_vformat(fmt, args);
	va_end(args);
	p->scanner.pos = p->scanner.text + offset;
	saga_scan_error(&p->scanner, "%s", message);
	return NULL;
}

static SagaMapNode *
unsupported(Parser *p, int offset, const char *what)
{
	return error_at(p, offset, "%s not supported in mappings", what);
}

static bool
advance(Parser *p)
{
	return saga_map_scan(&p->scanner, &p->token);
}

static SagaMapNode *
unexpected(Parser *p, const SagaMapToken *token)
{
	char		buf[2];

	if (token->op == SAGA_MAP_END)
		return error_at(p, token->offset, "the expression ends too early");
	if (token->op >= SAGA_MAP_TOKEN_NAME)
		return error_at(p, token->offset, "an operator was expected");
	return error_at(p, token->offset, "\"%s\" was not expected", saga_map_op_text(token->op, buf));
}

static bool
expect(Parser *p, char op)
{
	if (p->token.op == op)
		return advance(p);
	if (p->token.op == SAGA_MAP_RANGE)
		unsupported(p, p->token.offset, "ranges (\"..\") are");
	else if (p->token.op == ';')
		unsupported(p, p->token.offset, "several expressions in parentheses are");
	else
		error_at(p, p->token.offset, "\"%c\" was expected", op);
	return false;
}

/* ---------- nodes ---------- */

static SagaMapNode *
new_node(SagaMapNodeKind kind, int offset)
{
	SagaMapNode *node = palloc0(sizeof(SagaMapNode));

	node->kind = kind;
	node->offset = offset;
	node->depth = 1;
	return node;
}

static bool
add_to(Parser *p, SagaMapNode *parent, SagaMapNodes *nodes, SagaMapNode *child)
{
	if (child == NULL)
		return false;
	if (nodes->count >= nodes->max)
	{
		nodes->max = Max(nodes->max * 2, 4);
		nodes->nodes = nodes->nodes == NULL ? palloc(nodes->max * sizeof(SagaMapNode *)) :
			repalloc(nodes->nodes, nodes->max * sizeof(SagaMapNode *));
	}
	nodes->nodes[nodes->count++] = child;
	parent->depth = Max(parent->depth, child->depth + 1);
	if (parent->depth > MAX_TREE_DEPTH)
	{
		error_at(p, child->offset, "the expression has too many parts inside each other");
		return false;
	}
	return true;
}

static bool
add_child(Parser *p, SagaMapNode *parent, SagaMapNode *child)
{
	return add_to(p, parent, &parent->children, child);
}

static SagaMapNode *
last_step(SagaMapNode *path)
{
	return path->children.nodes[path->children.count - 1];
}

/* A name is always a path of one step. */
static SagaMapNode *
name_path(Parser *p, const SagaMapToken *token)
{
	SagaMapNode *path = new_node(SAGA_MAP_PATH, token->offset);
	SagaMapNode *name = new_node(SAGA_MAP_NAME, token->offset);

	name->literal = token->value;
	return add_child(p, path, name) ? path : NULL;
}

/* ---------- what begins an expression ---------- */

static SagaMapNode *
parse_object(Parser *p, int offset)
{
	SagaMapNode *node = new_node(SAGA_MAP_OBJECT_OF, offset);

	if (p->token.op != '}')
	{
		for (;;)
		{
			if (!add_child(p, node, parse_expression(p, 0)) || !expect(p, ':') ||
				!add_child(p, node, parse_expression(p, 0)))
				return NULL;
			if (p->token.op != ',')
				break;
			if (!advance(p))
				return NULL;
		}
	}
	return expect(p, '}') ? node : NULL;
}

/* Up to the closing character, which is skipped. */
static bool
parse_list(Parser *p, SagaMapNode *node, char close)
{
	if (p->token.op != close)
	{
		for (;;)
		{
			if (p->token.op == '?')
			{
				unsupported(p, p->token.offset, "partial application is");
				return false;
			}
			if (!add_child(p, node, parse_expression(p, 0)))
				return false;
			if (p->token.op != ',')
				break;
			if (!advance(p))
				return false;
		}
	}
	return expect(p, close);
}

static bool
starts_with_array(const SagaMapNode *node)
{
	return (node->kind == SAGA_MAP_ARRAY_OF && node->cons_array) ||
		(node->kind == SAGA_MAP_BLOCK && node->cons_block) ||
		(node->kind == SAGA_MAP_PATH && starts_with_array(node->children.nodes[0]));
}

static SagaMapNode *
parse_block(Parser *p, int offset)
{
	SagaMapNode *node = new_node(SAGA_MAP_BLOCK, offset);
	SagaMapNode *inner;

	if (p->token.op != ')')
	{
		inner = parse_expression(p, 0);
		if (!add_child(p, node, inner))
			return NULL;
		node->cons_block = starts_with_array(inner);
	}
	return expect(p, ')') ? node : NULL;
}

static SagaMapNode *
parse_negation(Parser *p, int offset)
{
	SagaMapNode *operand = parse_expression(p, BP_NEGATE);
	SagaMapNode *node;

	if (operand == NULL)
		return NULL;
	if (operand->kind == SAGA_MAP_LITERAL && operand->literal.type == SAGA_MAP_NUMBER)
	{
		operand->literal.u.number = saga_map_negate(operand->literal.u.number);
		return operand;
	}
	node = new_node(SAGA_MAP_NEGATE, offset);
	return add_child(p, node, operand) ? node : NULL;
}

static SagaMapNode *
parse_variable(Parser *p, const SagaMapToken *token)
{
	const SagaMapValue *name = &token->value;

	if (p->token.op != '(')
	{
		if (name->count == 0)
			return new_node(SAGA_MAP_CONTEXT, token->offset);
		if (name->count == 1 && name->u.string[0] == '$')
			return new_node(SAGA_MAP_ROOT, token->offset);
		return error_at(p, token->offset, "the variable $%.*s is not supported in mappings",
						name->count, name->u.string);
	}
	else
	{
		SagaMapNode *node = new_node(SAGA_MAP_CALL, token->offset);
		const char *error;
		char	   *message;

		node->function = saga_map_function_find(name->u.string, name->count);
		if (node->function == NULL)
			return error_at(p, token->offset, "the function $%.*s is not supported in mappings",
							name->count, name->u.string);
		if (!advance(p) || !parse_list(p, node, ')'))
			return NULL;
		if (!saga_map_function_takes(node->function, node->children.count, &message))
			return error_at(p, token->offset, "%s", message);
		error = saga_map_function_check(node->function, node->children.nodes, node->children.count);
		if (error != NULL)
			return error_at(p, token->offset, "$%s: %s", node->function->name, error);
		return node;
	}
}

static bool
is_text(const SagaMapValue *v, const char *text)
{
	return v->count == strlen(text) && memcmp(v->u.string, text, v->count) == 0;
}

static SagaMapNode *
parse_operand(Parser *p, const SagaMapToken *token)
{
	SagaMapNode *node;

	switch (token->op)
	{
		case SAGA_MAP_TOKEN_NAME:
			if (p->token.op == '(')
			{
				if (is_text(&token->value, "function") || is_text(&token->value, "\xce\xbb"))
					return unsupported(p, token->offset, "functions of one's own are");
				return error_at(p, token->offset, "a function's name begins with \"$\"");
			}
			return name_path(p, token);
		case SAGA_MAP_AND:
		case SAGA_MAP_OR:
		case SAGA_MAP_IN:
			return name_path(p, token);
		case SAGA_MAP_TOKEN_VARIABLE:
			return parse_variable(p, token);
		case SAGA_MAP_TOKEN_LITERAL:
			node = new_node(SAGA_MAP_LITERAL, token->offset);
			node->literal = token->value;
			return node;
		case '{':
			return parse_object(p, token->offset);
		case '[':
			node = new_node(SAGA_MAP_ARRAY_OF, token->offset);
			return parse_list(p, node, ']') ? node : NULL;
		case '(':
			return parse_block(p, token->offset);
		case '-':
			return parse_negation(p, token->offset);
		case '/':
			return unsupported(p, token->offset, "regular expressions are");
		case '*':
			return unsupported(p, token->offset, "the wildcard \"*\" is");
		case SAGA_MAP_DESCENDANTS:
			return unsupported(p, token->offset, "the wildcard \"**\" is");
		case '%':
			return unsupported(p, token->offset, "the parent operator \"%\" is");
		case '|':
			return unsupported(p, token->offset, "the transform operator \"|\" is");
		default:
			return unexpected(p, token);
	}
}

/* ---------- what follows an expression ---------- */

static int
binding_power(int op)
{
	switch (op)
	{
		case '[':
		case '(':
		case '@':
		case '#':
			return BP_FILTER;
		case '.':
			return BP_MAP;
		case '{':
			return BP_GROUP;
		case '*':
		case '/':
		case '%':
			return BP_TIMES;
		case '+':
		case '-':
		case '&':
			return BP_PLUS;
		case '=':
		case '<':
		case '>':
		case '^':
		case SAGA_MAP_NE:
		case SAGA_MAP_LE:
		case SAGA_MAP_GE:
		case SAGA_MAP_IN:
		case SAGA_MAP_CHAIN:
		case SAGA_MAP_DEFAULT:
		case SAGA_MAP_COALESCE:
			return BP_COMPARE;
		case SAGA_MAP_AND:
			return BP_AND;
		case SAGA_MAP_OR:
			return BP_OR;
		case '?':
			return BP_CONDITION;
		case SAGA_MAP_BIND:
			return BP_BIND;
		default:
			return 0;
	}
}

static SagaMapNode *
parse_filter(Parser *p, SagaMapNode *left)
{
	SagaMapNode *target = left;
	SagaMapNode *predicate;
	SagaMapNodes *list = &left->predicates;

	if (left->kind == SAGA_MAP_PATH)
	{
		target = last_step(left);
		list = &target->stages;
	}
	if (p->token.op == ']')
	{
		target->keep_array = true;
		if (left->kind == SAGA_MAP_PATH)
			left->keep_singleton = true;
		if (!advance(p))
			return NULL;
		/* where JSONata expects a regular expression */
		return p->token.op == '/' ? unsupported(p, p->token.offset, "\"/\" right after \"[]\" is") : left;
	}
	predicate = parse_expression(p, 0);
	if (!add_to(p, target, list, predicate) || !expect(p, ']'))
		return NULL;
	left->depth = Max(left->depth, target->depth + 1);
	return left;
}

/* A string is a name where a step stands; other literals cannot be one. */
static bool
check_step(Parser *p, SagaMapNode *step)
{
	if (step->kind != SAGA_MAP_LITERAL)
		return true;
	if (step->literal.type == SAGA_MAP_STRING)
	{
		step->kind = SAGA_MAP_NAME;
		return true;
	}
	error_at(p, step->offset, "a number, true, false or null cannot be a step of a path");
	return false;
}

static SagaMapNode *
parse_map(Parser *p, SagaMapNode *left)
{
	SagaMapNode *path = left;
	SagaMapNode *right = parse_expression(p, BP_MAP);

	if (right == NULL)
		return NULL;
	if (left->kind != SAGA_MAP_PATH)
	{
		path = new_node(SAGA_MAP_PATH, left->offset);
		if (!check_step(p, left) || !add_child(p, path, left))
			return NULL;
	}
	if (right->kind == SAGA_MAP_PATH)
	{
		for (int i = 0; i < right->children.count; i++)
			if (!add_child(p, path, right->children.nodes[i]))
				return NULL;
	}
	else
	{
		right->stages = right->predicates;
		memset(&right->predicates, 0, sizeof(right->predicates));
		if (!check_step(p, right) || !add_child(p, path, right))
			return NULL;
	}
	path->keep_singleton |= left->keep_array | right->keep_array |
		(right->kind == SAGA_MAP_PATH && right->keep_singleton);
	if (path->children.nodes[0]->kind == SAGA_MAP_ARRAY_OF)
		path->children.nodes[0]->cons_array = true;
	if (last_step(path)->kind == SAGA_MAP_ARRAY_OF)
		last_step(path)->cons_array = true;
	return path;
}

static SagaMapNode *
parse_condition(Parser *p, int offset, SagaMapNode *left)
{
	SagaMapNode *node = new_node(SAGA_MAP_CONDITION, offset);

	if (!add_child(p, node, left) || !add_child(p, node, parse_expression(p, 0)))
		return NULL;
	if (p->token.op == ':' && (!advance(p) || !add_child(p, node, parse_expression(p, 0))))
		return NULL;
	return node;
}

static SagaMapNode *
parse_rest(Parser *p, const SagaMapToken *token, SagaMapNode *left)
{
	SagaMapNode *node;

	switch (token->op)
	{
		case '[':
			return parse_filter(p, left);
		case '.':
			return parse_map(p, left);
		case '?':
			return parse_condition(p, token->offset, left);
		case '(':
			return unsupported(p, token->offset, "calling a computed function is");
		case '{':
			return unsupported(p, token->offset, "grouping (\"{\" after a value) is");
		case '^':
			return unsupported(p, token->offset, "sorting (\"^\") is");
		case '@':
		case '#':
			return unsupported(p, token->offset, "binding a variable is");
		case SAGA_MAP_BIND:
			return unsupported(p, token->offset, "assigning a variable is");
		case SAGA_MAP_CHAIN:
			return unsupported(p, token->offset, "the operator \"~>\" is");
		case SAGA_MAP_DEFAULT:
			return unsupported(p, token->offset, "the operator \"?:\" is");
		case SAGA_MAP_COALESCE:
			return unsupported(p, token->offset, "the operator \"??\" is");
		default:
			node = new_node(SAGA_MAP_BINARY, token->offset);
			node->op = token->op;
			if (!add_child(p, node, left) ||
				!add_child(p, node, parse_expression(p, binding_power(token->op))))
				return NULL;
			return node;
	}
}

/* ---------- expressions ---------- */

static SagaMapNode *
parse_expression(Parser *p, int binding)
{
	SagaMapToken token = p->token;
	SagaMapNode *left;

	check_stack_depth();

	if (++p->scanner.nesting > SAGA_MAX_NESTING)
		return error_at(p, token.offset, "the expression has too many parts inside each other");
	if (!advance(p))
		return NULL;
	left = parse_operand(p, &token);
	while (left != NULL && binding < binding_power(p->token.op))
	{
		token = p->token;
		if (!advance(p))
			return NULL;
		left = parse_rest(p, &token, left);
	}
	p->scanner.nesting--;
	return left;
}

SagaMapping *
saga_mapping_parse(const char *text, char **error)
{
	SagaMapping *mapping = palloc0(sizeof(SagaMapping));
	Parser		p;

	memset(&p, 0, sizeof(p));
	if (strlen(text) > MAX_EXPRESSION_LENGTH)
	{
		*error = psprintf("the expression is longer than %d bytes", MAX_EXPRESSION_LENGTH);
		return NULL;
	}
	mapping->text = pstrdup(text);
	p.scanner.text = p.scanner.pos = mapping->text;
	if (advance(&p))
	{
		mapping->root = parse_expression(&p, 0);
		if (mapping->root != NULL && p.token.op == ';')
			mapping->root = unsupported(&p, p.token.offset, "a sequence of expressions is");
		else if (mapping->root != NULL && p.token.op != SAGA_MAP_END)
			mapping->root = unexpected(&p, &p.token);
	}
	*error = p.scanner.error;
	return mapping->root != NULL ? mapping : NULL;
}
