/*
 * check.c
 *		What can be told of an expression before it is evaluated.
 *
 * For settings that are stored and evaluated when nobody looks: the language
 * finds out only when it gets there that a function does not exist, and a
 * variable that nobody has set is nothing.
 */
#include "postgres.h"

#include "jsonata/jsonata_private.h"

/* One that the expression names; those that it sets come in any order. */
typedef struct MentionedName
{
	char	   *name;
	int			position;
	bool		is_set;
} MentionedName;

typedef struct Mentioned
{
	MentionedName *names;
	int			count;
	int			max;
} Mentioned;

/* For saga_jsonata_mentions: each name once, as it is read first. */
static void
collect(void *arg, const SagaJsonataMention *mention)
{
	Mentioned  *all = arg;

	for (int i = 0; i < all->count; i++)
	{
		if (strcmp(all->names[i].name, mention->name) == 0)
		{
			all->names[i].is_set |= mention->is_set;
			return;
		}
	}
	if (all->count >= all->max)
	{
		all->max = Max(all->max * 2, 8);
		all->names = all->names == NULL ? palloc(all->max * sizeof(MentionedName)) : repalloc(all->names, all->max * sizeof(MentionedName));
	}
	all->names[all->count].name = pstrdup(mention->name);
	all->names[all->count].position = mention->position;
	all->names[all->count].is_set = mention->is_set;
	all->count++;
}

static bool
is_bound(const SagaJsonataOptions *options, const char *name)
{
	for (int i = 0; i < options->nbindings; i++)
		if (strcmp(options->bindings[i].name, name) == 0)
			return true;
	return strcmp(name, "$") == 0;
}

/* One that nothing in the expression sets; where it is set, and where that is seen, is not looked at. */
static bool
check_name(const MentionedName *name, const SagaJsonataOptions *options, SagaJsonataFault *fault)
{
	const SagaJsonataBuiltin *builtin = saga_jsonata_builtin_find(name->name, strlen(name->name));

	if (name->is_set || is_bound(options, name->name))
		return true;
	if (builtin != NULL)
		builtin = saga_jsonata_builtin_in_flavour(options, builtin);
	if (builtin == NULL)
		return saga_jsonata_fault_at(fault, name->position, "T1006", "there is no function or variable $%s", name->name);
	if (builtin->is_volatile && options->immutable)
		return saga_jsonata_fault_at(fault, name->position, "U1005", "%s gives something else each time, which is not allowed here",
									 builtin->name);
	return true;
}

bool
saga_jsonata_check(const SagaJsonata *expr, const SagaJsonataOptions *options, SagaJsonataFault *fault)
{
	Mentioned	all = {0};

	saga_jsonata_mentions(expr, collect, &all);
	for (int i = 0; i < all.count; i++)
		if (!check_name(&all.names[i], options, fault))
			return false;
	return true;
}
