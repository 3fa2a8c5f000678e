/*
 * transform.c
 *		| pattern | update, delete |: a function that gives a changed copy.
 *
 * The copy is made of objects of its own, which are the only ones that are
 * ever changed; what the pattern finds in it are these very objects.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "jsonata/jsonata_private.h"

bool
saga_jsonata_eval_transform(SAGA_JSONATA_EVAL_ARGS)
{
	static SagaJsonataSignature *signature = NULL;	/* cache, made once in a process */
	SagaJsonataFunction *f = saga_jsonata_alloc(ev, sizeof(SagaJsonataFunction));

	if (signature == NULL)
	{
		SagaJsonataFault fault = {{0}};
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		signature = saga_jsonata_signature_parse("<(oa):o>", 8, 0, &fault);
		MemoryContextSwitchTo(old);
	}
	memset(f, 0, sizeof(*f));
	f->kind = SAGA_JF_TRANSFORM;
	f->arity = 1;
	f->node = node;
	f->frame = frame;
	f->signature = signature;
	saga_jsonata_set_nothing(result);
	result->type = SAGA_JV_FUNCTION;
	result->u.function = f;
	return saga_jsonata_tick(ev);
}

/* $clone(), unless the expression has one of its own. */
static bool
copy(SagaJsonataEval *ev, const SagaJsonataFunction *f, const SagaJsonataValue *object, SagaJsonataValue *result)
{
	int			symbol = saga_jsonata_symbol_find(ev->names, "clone", 5);
	SagaJsonataValue function;

	if (symbol < 0)
		return saga_jsonata_clone(ev, object, result);
	saga_jsonata_variable(ev, f->frame, symbol, &function);
	if (function.type != SAGA_JV_FUNCTION)
		return saga_jsonata_fail_at(ev, f->node, "T2013", "$clone, which a transform copies its argument with, is no function");
	return saga_jsonata_apply(ev, &function, NULL, object, 1, NULL, f->frame, result);
}

static bool
update_match(SagaJsonataEval *ev, const SagaJsonataFunction *f, const SagaJsonataValue *match)
{
	const SagaJsonataNode *node = f->node->children.nodes[1];
	SagaJsonataValue update;
	SagaJsonataPair *pairs;
	int			n;

	if (!saga_jsonata_eval_node(ev, node, match, f->frame, &update))
		return false;
	if (saga_jsonata_is_nothing(&update))
		return true;
	if (update.type != SAGA_JV_OBJECT)
		return saga_jsonata_fail_at(ev, node, "T2011", "the update of a transform must be an object");
	if (match->type != SAGA_JV_OBJECT || (match->flags & SAGA_JV_STORED))
		return true;
	n = saga_jsonata_count(&update);
	pairs = saga_jsonata_pairs(ev, &update);
	for (int i = 0; pairs != NULL && i < n; i++)
		if (!saga_jsonata_spend_read(ev, pairs[i].len + 16) ||
			!saga_jsonata_put(ev, match->u.object, pairs[i].name, pairs[i].len, &pairs[i].value))
			return false;
	return pairs != NULL;
}

static bool
delete_from_match(SagaJsonataEval *ev, const SagaJsonataFunction *f, const SagaJsonataValue *match)
{
	const SagaJsonataNode *node;
	SagaJsonataValue names;
	SagaJsonataValue *elems = &names;
	int			n = 1;

	if (f->node->children.count < 3)
		return true;
	node = f->node->children.nodes[2];
	if (!saga_jsonata_eval_node(ev, node, match, f->frame, &names))
		return false;
	if (saga_jsonata_is_nothing(&names))
		return true;
	if (names.type == SAGA_JV_ARRAY)
	{
		elems = saga_jsonata_elems(ev, &names);
		n = names.count;
	}
	for (int i = 0; i < n; i++)
		if (elems[i].type != SAGA_JV_STRING)
			return saga_jsonata_fail_at(ev, node, "T2012", "what a transform deletes must be strings");
	for (int i = 0; i < n; i++)
	{
		if (match->type == SAGA_JV_OBJECT && (match->flags & SAGA_JV_STORED) == 0)
			saga_jsonata_remove(ev, match->u.object, elems[i].u.string, elems[i].count);
		if (!saga_jsonata_spend_read(ev, elems[i].count + 16))
			return false;
	}
	return true;
}

bool
saga_jsonata_transform(SagaJsonataEval *ev, const SagaJsonataFunction *f, const SagaJsonataValue *object,
					   SagaJsonataValue *result)
{
	SagaJsonataValue matches;
	SagaJsonataValue *elems = &matches;
	int			n = 1;

	saga_jsonata_set_nothing(result);
	if (saga_jsonata_is_nothing(object))
		return true;
	if (!copy(ev, f, object, result) ||
		!saga_jsonata_eval_node(ev, f->node->children.nodes[0], result, f->frame, &matches))
		return false;
	if (saga_jsonata_is_nothing(&matches))
		return true;
	if (matches.type == SAGA_JV_ARRAY)
	{
		elems = saga_jsonata_elems(ev, &matches);
		n = matches.count;
	}
	for (int i = 0; i < n; i++)
		if (!update_match(ev, f, &elems[i]) || !delete_from_match(ev, f, &elems[i]))
			return false;
	return true;
}
