/*
 * process.c
 *		Makes of the tree as it is written the one that is evaluated: the
 *		reference's processAST.
 *
 * "." and "[" become paths, which are lists of steps with their filters; "%"
 * learns which step it refers to (ancestry.c); the last call of a function
 * becomes a tail call.  Nodes are changed in place, as each is visited once.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "jsonata/jsonata_private.h"

static SagaJsonataNode *
fail(SagaJsonataProcess *p, int position, const char *code, const char *message)
{
	(void) saga_jsonata_fault_at(p->fault, position, code, "%s", message);
	return NULL;
}

/* A path of one step. */
static SagaJsonataNode *
path_of(SagaJsonataNode *step)
{
	SagaJsonataNode *path = saga_jsonata_new_node(SAGA_JN_PATH, step->position);

	saga_jsonata_add_node(&path->children, step);
	return path;
}

static SagaJsonataNode *
last_step(SagaJsonataNode *node)
{
	return node->kind == SAGA_JN_PATH ? node->children.nodes[node->children.count - 1] : node;
}

/* Processes children from one on, and takes their parents over if asked to. */
static bool
process_children(SagaJsonataProcess *p, SagaJsonataNode *node, int from, bool ancestry)
{
	for (int i = from; i < node->children.count; i++)
	{
		SagaJsonataNode *child = saga_jsonata_process(p, node->children.nodes[i]);

		if (child == NULL)
			return false;
		node->children.nodes[i] = child;
		if (ancestry)
			saga_jsonata_push_ancestry(node, child);
	}
	return true;
}

/* Literals as steps: strings are names, others make no sense. */
static bool
check_steps(SagaJsonataProcess *p, SagaJsonataNode *path)
{
	for (int i = 0; i < path->children.count; i++)
	{
		SagaJsonataNode *step = path->children.nodes[i];

		if (step->kind == SAGA_JN_NUMBER || step->kind == SAGA_JN_VALUE)
			return fail(p, step->position, "S0213", "a literal value cannot be a step of a path") != NULL;
		if (step->kind == SAGA_JN_STRING)
			step->kind = SAGA_JN_NAME;
		if (step->keep_array)
			path->keep_singleton = true;
	}
	return true;
}

/* a.b */
static SagaJsonataNode *
process_map(SagaJsonataProcess *p, SagaJsonataNode *node)
{
	SagaJsonataNode *left = saga_jsonata_process(p, node->children.nodes[0]);
	SagaJsonataNode *path,
			   *right;

	if (left == NULL)
		return NULL;
	path = left->kind == SAGA_JN_PATH ? left : path_of(left);
	if (left->kind == SAGA_JN_PARENT)
		saga_jsonata_add_slot(&path->seeking, left->slot);
	right = saga_jsonata_process(p, node->children.nodes[1]);
	if (right == NULL)
		return NULL;
	if (right->kind == SAGA_JN_PATH)
	{
		for (int i = 0; i < right->children.count; i++)
			saga_jsonata_add_node(&path->children, right->children.nodes[i]);
	}
	else
	{
		if (right->predicates.count > 0)
		{
			right->stages = right->predicates;
			memset(&right->predicates, 0, sizeof(right->predicates));
		}
		saga_jsonata_add_node(&path->children, right);
	}
	if (!check_steps(p, path))
		return NULL;

	/*
	 * an array that begins a path is made once; one that ends it is not taken
	 * apart
	 */
	if (path->children.nodes[0]->kind == SAGA_JN_ARRAY)
		path->children.nodes[0]->cons_array = true;
	if (last_step(path)->kind == SAGA_JN_ARRAY)
		last_step(path)->cons_array = true;
	return saga_jsonata_resolve_ancestry(p, path) ? path : NULL;
}

/* Parents within a predicate of the step, or of what is before it. */
static bool
predicate_ancestry(SagaJsonataProcess *p, SagaJsonataNode *step, SagaJsonataNode *predicate)
{
	if (predicate->seeking.count == 0)
		return true;
	for (int i = 0; i < predicate->seeking.count; i++)
	{
		SagaJsonataSlot *slot = predicate->seeking.slots[i];

		if (slot->level == 1)
		{
			if (!saga_jsonata_seek_parent(p, step, slot))
				return false;
		}
		else
			slot->level--;
	}
	saga_jsonata_push_ancestry(step, predicate);
	return true;
}

/* a[b] */
static SagaJsonataNode *
process_filter(SagaJsonataProcess *p, SagaJsonataNode *node)
{
	SagaJsonataNode *result = saga_jsonata_process(p, node->children.nodes[0]);
	SagaJsonataNode *step,
			   *predicate,
			   *filter;

	if (result == NULL)
		return NULL;
	step = last_step(result);
	if (step->group != NULL)
		return fail(p, node->position, "S0209", "a predicate cannot follow a grouping expression in a step");
	predicate = saga_jsonata_process(p, node->children.nodes[1]);
	if (predicate == NULL || !predicate_ancestry(p, step, predicate))
		return NULL;
	filter = saga_jsonata_new_node(SAGA_JN_FILTER, node->position);
	saga_jsonata_add_node(&filter->children, predicate);
	saga_jsonata_add_node(result->kind == SAGA_JN_PATH ? &step->stages : &step->predicates, filter);
	return result;
}

/* a{name: value} */
static SagaJsonataNode *
process_group(SagaJsonataProcess *p, SagaJsonataNode *node)
{
	SagaJsonataNode *result = saga_jsonata_process(p, node->children.nodes[0]);
	SagaJsonataNode *group;

	if (result == NULL)
		return NULL;
	if (result->group != NULL)
		return fail(p, node->position, "S0210", "a step can have only one grouping expression");
	group = saga_jsonata_new_node(SAGA_JN_OBJECT, node->position);
	for (int i = 1; i < node->children.count; i++)
	{
		SagaJsonataNode *child = saga_jsonata_process(p, node->children.nodes[i]);

		if (child == NULL)
			return NULL;
		saga_jsonata_add_node(&group->children, child);
	}
	result->group = group;
	return result;
}

/* a^(b): the node becomes a step that holds the terms */
static SagaJsonataNode *
process_sort(SagaJsonataProcess *p, SagaJsonataNode *node)
{
	SagaJsonataNode *result = saga_jsonata_process(p, node->children.nodes[0]);

	if (result == NULL)
		return NULL;
	if (result->kind != SAGA_JN_PATH)
		result = path_of(result);
	node->children.count--;
	memmove(node->children.nodes, node->children.nodes + 1, node->children.count * sizeof(SagaJsonataNode *));
	for (int i = 0; i < node->children.count; i++)
	{
		SagaJsonataNode *term = node->children.nodes[i];

		if (!process_children(p, term, 0, false))
			return NULL;
		saga_jsonata_push_ancestry(node, term->children.nodes[0]);
	}
	saga_jsonata_add_node(&result->children, node);
	return saga_jsonata_resolve_ancestry(p, result) ? result : NULL;
}

/* a@$x */
static SagaJsonataNode *
process_focus(SagaJsonataProcess *p, SagaJsonataNode *node)
{
	SagaJsonataNode *result = saga_jsonata_process(p, node->children.nodes[0]);
	SagaJsonataNode *step;

	if (result == NULL)
		return NULL;
	step = last_step(result);
	if (step->stages.count > 0 || step->predicates.count > 0)
		return fail(p, node->position, "S0215", "a context variable must be bound before the predicates of a step");
	if (step->kind == SAGA_JN_SORT)
		return fail(p, node->position, "S0216", "a context variable must be bound before a step is sorted");
	if (node->keep_array)
		step->keep_array = true;
	step->focus = node->children.nodes[1]->symbol;
	step->tuple = true;
	return result;
}

/* a#$i */
static SagaJsonataNode *
process_index(SagaJsonataProcess *p, SagaJsonataNode *node)
{
	SagaJsonataNode *result = saga_jsonata_process(p, node->children.nodes[0]);
	SagaJsonataNode *step;

	if (result == NULL)
		return NULL;
	step = last_step(result);
	if (result->kind != SAGA_JN_PATH)
	{
		result = path_of(result);
		step->stages = step->predicates;
		memset(&step->predicates, 0, sizeof(step->predicates));
	}
	if (step->stages.count == 0)
		step->index = node->children.nodes[1]->symbol;
	else
	{
		SagaJsonataNode *stage = saga_jsonata_new_node(SAGA_JN_INDEX, node->position);

		stage->symbol = node->children.nodes[1]->symbol;
		saga_jsonata_add_node(&step->stages, stage);
	}
	step->tuple = true;
	return result;
}

static SagaJsonataNode *
process_binary(SagaJsonataProcess *p, SagaJsonataNode *node)
{
	switch (node->op)
	{
		case '.':
			return process_map(p, node);
		case '[':
			return process_filter(p, node);
		case '@':
			return process_focus(p, node);
		case '#':
			return process_index(p, node);
		default:
			return process_children(p, node, 0, true) ? node : NULL;
	}
}

/* "-" of a literal is a literal. */
static SagaJsonataNode *
process_negation(SagaJsonataProcess *p, SagaJsonataNode *node)
{
	SagaJsonataNode *operand = saga_jsonata_process(p, node->children.nodes[0]);

	if (operand == NULL)
		return NULL;
	if (operand->kind == SAGA_JN_NUMBER)
	{
		operand->value.u.number = -operand->value.u.number;
		if (operand->numeric != NULL)
			operand->numeric = DatumGetNumeric(DirectFunctionCall1(numeric_uminus, NumericGetDatum(operand->numeric)));
		return operand;
	}
	node->children.nodes[0] = operand;
	saga_jsonata_push_ancestry(node, operand);
	return node;
}

/* A block that begins a path with an array, or is one, is not taken apart either. */
static SagaJsonataNode *
process_block(SagaJsonataProcess *p, SagaJsonataNode *node)
{
	if (!process_children(p, node, 0, true))
		return NULL;
	for (int i = 0; i < node->children.count; i++)
	{
		SagaJsonataNode *part = node->children.nodes[i];

		if (part->cons_array || (part->kind == SAGA_JN_PATH && part->children.nodes[0]->cons_array))
			node->cons_array = true;
	}
	return node;
}

static SagaJsonataNode *
process_lambda(SagaJsonataProcess *p, SagaJsonataNode *node)
{
	int			last = node->children.count - 1;
	SagaJsonataNode *body = saga_jsonata_process(p, node->children.nodes[last]);

	if (body == NULL)
		return NULL;
	node->children.nodes[last] = saga_jsonata_tail_calls(body);
	return node;
}

static SagaJsonataNode *
process_parent(SagaJsonataProcess *p, SagaJsonataNode *node)
{
	char		label[16];

	/* no variable is called so, as "!" ends a name */
	snprintf(label, sizeof(label), "!%d", p->names->nparents++);
	node->slot = palloc0(sizeof(SagaJsonataSlot));
	node->slot->symbol = saga_jsonata_symbol_of(p->names, label, strlen(label));
	node->slot->level = 1;
	node->slot->index = p->ancestry.count;
	saga_jsonata_add_node(&p->ancestry, node);
	return node;
}

static SagaJsonataNode *
process_name(SagaJsonataNode *node)
{
	SagaJsonataNode *path = path_of(node);

	node->kind = SAGA_JN_NAME;
	path->keep_singleton = node->keep_array;
	return path;
}

/* Arguments, and then what is called, as the order decides about parents. */
static SagaJsonataNode *
process_call(SagaJsonataProcess *p, SagaJsonataNode *node)
{
	SagaJsonataNode *procedure;

	if (!process_children(p, node, 1, true))
		return NULL;
	procedure = saga_jsonata_process(p, node->children.nodes[0]);
	if (procedure == NULL)
		return NULL;
	node->children.nodes[0] = procedure;
	return node;
}

static SagaJsonataNode *
process_node(SagaJsonataProcess *p, SagaJsonataNode *node)
{
	switch (node->kind)
	{
		case SAGA_JN_BINARY:
			return process_binary(p, node);
		case SAGA_JN_GROUP:
			return process_group(p, node);
		case SAGA_JN_SORT:
			return process_sort(p, node);
		case SAGA_JN_NEGATE:
			return process_negation(p, node);
		case SAGA_JN_BLOCK:
			return process_block(p, node);
		case SAGA_JN_ARRAY:
		case SAGA_JN_OBJECT:
		case SAGA_JN_CONDITION:
		case SAGA_JN_ELVIS:
		case SAGA_JN_COALESCE:
		case SAGA_JN_BIND:
			return process_children(p, node, 0, true) ? node : NULL;
		case SAGA_JN_TRANSFORM:
			return process_children(p, node, 0, false) ? node : NULL;
		case SAGA_JN_APPLY:
			if (!process_children(p, node, 0, false))
				return NULL;
			if (node->children.nodes[0]->keep_array || node->children.nodes[1]->keep_array)
				node->keep_array = true;
			return node;
		case SAGA_JN_CALL:
		case SAGA_JN_PARTIAL:
			return process_call(p, node);
		case SAGA_JN_LAMBDA:
			return process_lambda(p, node);
		case SAGA_JN_NAME:
			return process_name(node);
		case SAGA_JN_PARENT:
			return process_parent(p, node);
		case SAGA_JN_OPERATOR:
			if (node->op == SAGA_JO_AND || node->op == SAGA_JO_OR || node->op == SAGA_JO_IN)
				return process_name(node);
			if (node->op == '?')
				return node;
			return fail(p, node->position, "S0201", "syntax error");
		case SAGA_JN_END:
			return fail(p, node->position, "S0207", "unexpected end of the expression");
		default:
			return node;
	}
}

SagaJsonataNode *
saga_jsonata_process(SagaJsonataProcess *p, SagaJsonataNode *node)
{
	bool		keep_array = node->keep_array;
	SagaJsonataNode *result = process_node(p, node);

	if (result != NULL && keep_array)
		result->keep_array = true;
	return result;
}
