/*
 * mention.c
 *		What variables an expression names, so that a caller binds no others,
 *		and can tell which of them it may not look at.
 *
 * Names are all that is looked at: whether the expression itself gives one of
 * them a value, and where that is seen, is not.
 */
#include "postgres.h"

#include "jsonata/jsonata_private.h"

typedef struct Mentions
{
	const SagaJsonataNames *names;
	saga_jsonata_mention_fn fn;
	void	   *arg;
} Mentions;

static void mentions_of(Mentions *m, const SagaJsonataNode *node);

/* Tells what each of these nodes mentions. */
static void
mentions_of_all(Mentions *m, const SagaJsonataNodes *nodes)
{
	for (int i = 0; i < nodes->count; i++)
		mentions_of(m, nodes->nodes[i]);
}

/* A variable that the node sets; -1: it sets none. */
static void
tell_set(Mentions *m, int symbol, const SagaJsonataNode *node)
{
	SagaJsonataMention mention = {.position = node->position, .is_set = true};

	if (symbol < 0)
		return;
	mention.name = m->names->symbols[symbol].name;
	m->fn(m->arg, &mention);
}

/* Is the node more than its name, so that what follows it is not a member of it alone? */
static bool
is_more(const SagaJsonataNode *node)
{
	return node->stages.count > 0 || node->predicates.count > 0 || node->group != NULL || node->focus >= 0 ||
		node->index >= 0;
}

/* A variable; steps: those of its path, from the one behind it on. */
static void
tell_variable(Mentions *m, const SagaJsonataNode *node, SagaJsonataNode **steps, int nsteps)
{
	SagaJsonataMention mention = {.position = node->position};

	/* "$" is the context */
	if (node->value.count == 0)
		return;
	mention.name = m->names->symbols[node->symbol].name;
	if (is_more(node))
		nsteps = 0;
	for (int i = 0; i < nsteps && steps[i]->kind == SAGA_JN_NAME && mention.nsteps < SAGA_JSONATA_MENTIONED_STEPS; i++)
	{
		mention.steps[mention.nsteps++] = pnstrdup(steps[i]->value.u.string, steps[i]->value.count);
		if (is_more(steps[i]))
			break;
	}
	m->fn(m->arg, &mention);
	for (int i = 0; i < mention.nsteps; i++)
		pfree(unconstify(char *, mention.steps[i]));
}

/* What the node says beside its children. */
static void
mentions_around(Mentions *m, const SagaJsonataNode *node)
{
	tell_set(m, node->focus, node);
	tell_set(m, node->index, node);
	mentions_of_all(m, &node->predicates);
	mentions_of_all(m, &node->stages);
	if (node->group != NULL)
		mentions_of(m, node->group);
}

/* The first step of a path may be a variable, and those behind it its members. */
static void
mentions_of_path(Mentions *m, const SagaJsonataNode *path)
{
	const SagaJsonataNode *first = path->children.nodes[0];

	if (first->kind != SAGA_JN_VARIABLE)
	{
		mentions_of_all(m, &path->children);
		return;
	}
	tell_variable(m, first, path->children.nodes + 1, path->children.count - 1);
	mentions_around(m, first);
	for (int i = 1; i < path->children.count; i++)
		mentions_of(m, path->children.nodes[i]);
}

/* The tree is no deeper than the compiler lets it be (SAGA_JSONATA_MAX_NESTING). */
static void
mentions_of(Mentions *m, const SagaJsonataNode *node)
{
	if (node == NULL)
		return;
	switch (node->kind)
	{
		case SAGA_JN_VARIABLE:
			tell_variable(m, node, NULL, 0);
			break;
		case SAGA_JN_PATH:
			mentions_of_path(m, node);
			break;
		case SAGA_JN_BIND:
		case SAGA_JN_INDEX:
			tell_set(m, node->symbol, node);
			mentions_of_all(m, &node->children);
			break;
		case SAGA_JN_LAMBDA:
			for (int i = 0; i < node->children.count - 1; i++)
				tell_set(m, node->children.nodes[i]->symbol, node);
			mentions_of(m, node->children.nodes[node->children.count - 1]);
			break;
		default:
			mentions_of_all(m, &node->children);
			break;
	}
	mentions_around(m, node);
}

void
saga_jsonata_mentions(const SagaJsonata *expr, saga_jsonata_mention_fn fn, void *arg)
{
	Mentions	m = {.names = &expr->names, .fn = fn, .arg = arg};

	mentions_of(&m, expr->root);
}
