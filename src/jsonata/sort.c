/*
 * sort.c
 *		"^(terms)", and the sorting that $sort uses too.
 */
#include "postgres.h"

#include "jsonata/jsonata_private.h"

/* Merges two runs that lie one behind the other in from. */
static bool
merge(SagaJsonataEval *ev, const SagaJsonataValue *from, int left, int middle, int right, SagaJsonataValue *to,
	  saga_jsonata_swap_fn compare, void *arg)
{
	int			i = left;
	int			j = middle;

	for (int k = left; k < right; k++)
	{
		bool		swap = false;

		if (i < middle && j < right)
		{
			if (!saga_jsonata_tick(ev) || !compare(ev, &from[i], &from[j], arg, &swap))
				return false;
		}
		else
			swap = i >= middle;
		to[k] = swap ? from[j++] : from[i++];
	}
	return true;
}

bool
saga_jsonata_merge_sort(SagaJsonataEval *ev, SagaJsonataValue *elems, int n, saga_jsonata_swap_fn compare, void *arg)
{
	SagaJsonataValue *from = elems;
	SagaJsonataValue *to;

	if (n < 2)
		return true;
	if (!saga_jsonata_has_room(ev, n, sizeof(SagaJsonataValue)))
		return false;
	to = saga_jsonata_alloc(ev, n * sizeof(SagaJsonataValue));
	for (int width = 1; width < n; width *= 2)
	{
		SagaJsonataValue *swap = from;

		for (int left = 0; left < n; left += 2 * width)
			if (!merge(ev, from, left, Min(left + width, n), Min(left + 2 * width, n), to, compare, arg))
				return false;
		from = to;
		to = swap;
	}
	if (from != elems)
		memcpy(elems, from, n * sizeof(SagaJsonataValue));
	return true;
}

/* ---------- order by ---------- */

typedef struct Ordering
{
	const SagaJsonataNode *node;
	SagaJsonataFrame *frame;
	SagaJsonataValue *items;	/* in their first order; what is sorted are their numbers */
	SagaJsonataValue *terms;	/* of each item; made when they are needed */
	bool	   *known;
} Ordering;

/* A term of an item is looked at often, and made once. */
static bool
term_of(SagaJsonataEval *ev, Ordering *o, int item, int term, SagaJsonataValue **result)
{
	int			at = item * o->node->children.count + term;
	const SagaJsonataValue *context = &o->items[item];
	SagaJsonataFrame *frame = o->frame;

	*result = &o->terms[at];
	if (o->known[at])
		return true;
	if (context->type == SAGA_JV_TUPLE)
	{
		frame = saga_jsonata_tuple_frame(ev, frame, context->u.tuple);
		context = &context->u.tuple->at;
	}
	o->known[at] = true;
	return saga_jsonata_eval_node(ev, o->node->children.nodes[term]->children.nodes[0], context, frame, *result);
}

static bool
is_comparable(const SagaJsonataValue *v)
{
	return v->type == SAGA_JV_STRING || v->type == SAGA_JV_NUMBER;
}

/* What is nothing goes last, however the term is sorted. */
static bool
swap_items(SagaJsonataEval *ev, const SagaJsonataValue *a, const SagaJsonataValue *b, void *arg, bool *swap)
{
	Ordering   *o = arg;

	for (int i = 0; i < o->node->children.count; i++)
	{
		SagaJsonataValue *x,
				   *y;
		int			order;

		if (!term_of(ev, o, (int) a->u.number, i, &x) || !term_of(ev, o, (int) b->u.number, i, &y))
			return false;
		if (saga_jsonata_is_nothing(x) && saga_jsonata_is_nothing(y))
			continue;
		if (saga_jsonata_is_nothing(x) || saga_jsonata_is_nothing(y))
		{
			*swap = saga_jsonata_is_nothing(x);
			return true;
		}
		if (!is_comparable(x) || !is_comparable(y))
			return saga_jsonata_fail_at(ev, o->node, "T2008", "what is sorted by must be a number or a string");
		if (x->type != y->type)
			return saga_jsonata_fail_at(ev, o->node, "T2007", "a number and a string cannot be sorted together");
		if (x->type == SAGA_JV_NUMBER)
			order = saga_jsonata_number_compare(ev, x, y);
		else
		{
			if (!saga_jsonata_spend_read(ev, Min(x->count, y->count)))
				return false;
			order = saga_jsonata_compare(x->u.string, x->count, y->u.string, y->count);
		}
		if (order == 0)
			continue;
		*swap = (order > 0) != o->node->children.nodes[i]->descending;
		return true;
	}
	*swap = false;
	return true;
}

/* A list of one is not looked at, so that what is in it may be anything. */
bool
saga_jsonata_eval_sort(SAGA_JSONATA_EVAL_ARGS)
{
	SagaJsonataValue in = *input;
	SagaJsonataList list = {0};
	Ordering	o = {node, frame};
	SagaJsonataValue *numbers;
	int			n = in.type == SAGA_JV_ARRAY ? saga_jsonata_count(&in) : 0;
	int			terms = node->children.count;

	if (n <= 1)
	{
		*result = in;
		return true;
	}
	o.items = saga_jsonata_elems(ev, &in);
	if (!saga_jsonata_has_room(ev, (int64) n * (terms + 2), sizeof(SagaJsonataValue)))
		return false;
	o.terms = saga_jsonata_alloc(ev, n * terms * sizeof(SagaJsonataValue));
	o.known = saga_jsonata_alloc(ev, n * terms);
	memset(o.known, false, n * terms);
	numbers = saga_jsonata_alloc(ev, n * sizeof(SagaJsonataValue));
	for (int i = 0; i < n; i++)
		saga_jsonata_set_number(&numbers[i], i);
	if (!saga_jsonata_merge_sort(ev, numbers, n, swap_items, &o))
		return false;
	for (int i = 0; i < n; i++)
		if (!saga_jsonata_push(ev, &list, &o.items[(int) numbers[i].u.number]))
			return false;
	saga_jsonata_set_array(result, &list, in.flags & SAGA_JV_TUPLES ? SAGA_JV_SEQUENCE | SAGA_JV_TUPLES : 0);
	return true;
}
