/*
 * path.c
 *		Paths: steps, and the filters behind them.
 *
 * The order in which lists are made, flattened and unwrapped is the reference
 * implementation's (evaluatePath, evaluateStep, evaluateFilter): what a path
 * gives depends on it.
 */
#include "postgres.h"

#include "jsonata/jsonata_private.h"

/* ---------- filters ---------- */

/* a[0], a[-1] */
static bool
filter_by_index(SagaJsonataEval *ev, int64 index, const SagaJsonataValue *input, SagaJsonataValue *result)
{
	SagaJsonataList list = {0};
	int			n = saga_jsonata_count(input);
	SagaJsonataValue item;

	if (index < 0)
		index += n;
	if (index >= 0 && index < n)
	{
		if ((input->flags & SAGA_JV_STORED) && !saga_jsonata_spend(ev, index / 16))
			return false;
		saga_jsonata_element(input, index, &item);
		if (item.type == SAGA_JV_ARRAY)
		{
			*result = item;
			return true;
		}
		if (!saga_jsonata_is_nothing(&item) && !saga_jsonata_push(ev, &list, &item))
			return false;
	}
	saga_jsonata_set_array(result, &list, SAGA_JV_SEQUENCE | (input->flags & SAGA_JV_TUPLES));
	return saga_jsonata_tick(ev);
}

static bool
is_array_of_numbers(SagaJsonataEval *ev, SagaJsonataValue *v, bool *fails)
{
	SagaJsonataValue *elems;

	if (v->type != SAGA_JV_ARRAY)
		return false;
	elems = saga_jsonata_elems(ev, v);
	for (int i = 0; i < v->count; i++)
		if (!saga_jsonata_tick(ev) || !saga_jsonata_is_numeric(ev, &elems[i], fails))
			return false;
	return true;
}

/* Pushes the item as often as the indexes name it, or once if the value is true. */
static bool
filter_item(SagaJsonataEval *ev, SagaJsonataValue *value, const SagaJsonataValue *item, int index, int n,
			SagaJsonataList *list)
{
	bool		fails = false;
	SagaJsonataValue *elems = value;
	int			count = 1;

	if (value->type == SAGA_JV_BOOL)
		return !value->boolean || saga_jsonata_push(ev, list, item);
	if (is_array_of_numbers(ev, value, &fails))
	{
		elems = value->u.elems;
		count = value->count;
	}
	else if (!saga_jsonata_is_numeric(ev, value, &fails))
		return !fails && (!saga_jsonata_boolean(ev, value) || saga_jsonata_push(ev, list, item));
	if (fails)
		return false;
	for (int i = 0; i < count; i++)
	{
		int64		wanted = saga_jsonata_floor(&elems[i]);

		if ((wanted < 0 ? wanted + n : wanted) == index && !saga_jsonata_push(ev, list, item))
			return false;
	}
	return true;
}

/* *v is what is filtered, and then what is left. */
bool
saga_jsonata_eval_filter(SagaJsonataEval *ev, const SagaJsonataNode *predicate, SagaJsonataFrame *frame, SagaJsonataValue *v)
{
	SagaJsonataValue input = *v;
	SagaJsonataList list = {0};
	bool		tuples = input.type == SAGA_JV_ARRAY && (input.flags & SAGA_JV_TUPLES);
	SagaJsonataValue *elems;

	if (input.type != SAGA_JV_ARRAY && !saga_jsonata_sequence_of(ev, v, &input))
		return false;
	if (predicate->kind == SAGA_JN_NUMBER)
		return filter_by_index(ev, saga_jsonata_floor(&predicate->value), &input, v);
	elems = saga_jsonata_elems(ev, &input);
	for (int i = 0; i < input.count; i++)
	{
		const SagaJsonataValue *context = &elems[i];
		SagaJsonataFrame *inner = frame;
		SagaJsonataValue value;

		if (tuples)
		{
			context = &elems[i].u.tuple->at;
			inner = saga_jsonata_tuple_frame(ev, frame, elems[i].u.tuple);
		}
		if (!saga_jsonata_eval_node(ev, predicate, context, inner, &value) ||
			!filter_item(ev, &value, &elems[i], i, input.count, &list))
			return false;
	}
	saga_jsonata_set_array(v, &list, SAGA_JV_SEQUENCE | (tuples ? SAGA_JV_TUPLES : 0));
	return saga_jsonata_tick(ev);
}

/* "[b]" behind a step, and "#$i" behind one of these. */
bool
saga_jsonata_eval_stages(SagaJsonataEval *ev, const SagaJsonataNodes *stages, SagaJsonataFrame *frame, SagaJsonataValue *v)
{
	for (int i = 0; i < stages->count; i++)
	{
		const SagaJsonataNode *stage = stages->nodes[i];

		if (stage->kind == SAGA_JN_FILTER)
		{
			if (!saga_jsonata_eval_filter(ev, stage->children.nodes[0], frame, v))
				return false;
			continue;
		}
		for (int j = 0; v->type == SAGA_JV_ARRAY && j < v->count; j++)
		{
			SagaJsonataTuple *tuple = v->u.elems[j].type == SAGA_JV_TUPLE ? v->u.elems[j].u.tuple : NULL;
			SagaJsonataVariable *variables;

			if (tuple == NULL)
				continue;
			if (!saga_jsonata_spend(ev, tuple->count + 1))
				return false;
			variables = saga_jsonata_alloc(ev, (tuple->count + 1) * sizeof(SagaJsonataVariable));
			if (tuple->count > 0)
				memcpy(variables, tuple->variables, tuple->count * sizeof(SagaJsonataVariable));
			variables[tuple->count].symbol = stage->symbol;
			saga_jsonata_set_number(&variables[tuple->count].value, j);
			tuple->variables = variables;
			tuple->count++;
		}
	}
	return true;
}

/* ---------- steps ---------- */

/* What the turns of a step have given so far. */
typedef struct Gathering
{
	SagaJsonataList list;		/* flattened */
	SagaJsonataValue first;		/* not in the list yet, as it may be all */
	int			turns;			/* that gave something */
} Gathering;

static bool
push_flattened(SagaJsonataEval *ev, SagaJsonataList *list, const SagaJsonataValue *v)
{
	if (v->type == SAGA_JV_ARRAY && (v->flags & SAGA_JV_CONS) == 0)
		return saga_jsonata_push_all(ev, list, v);
	return saga_jsonata_push(ev, list, v);
}

static bool
gather(SagaJsonataEval *ev, Gathering *g, const SagaJsonataValue *v)
{
	if (g->turns++ == 0)
	{
		g->first = *v;
		return true;
	}
	if (g->turns == 2 && !push_flattened(ev, &g->list, &g->first))
		return false;
	return push_flattened(ev, &g->list, v);
}

/* An array that is all that the last step gives stays as it is. */
static bool
gathered(SagaJsonataEval *ev, Gathering *g, bool last, SagaJsonataValue *result)
{
	if (g->turns == 1)
	{
		if (last && g->first.type == SAGA_JV_ARRAY && (g->first.flags & SAGA_JV_SEQUENCE) == 0)
		{
			*result = g->first;
			return true;
		}
		if (!push_flattened(ev, &g->list, &g->first))
			return false;
	}
	saga_jsonata_set_array(result, &g->list, SAGA_JV_SEQUENCE);
	return true;
}

/* One turn; a name needs no evaluation of its own. */
static inline bool
eval_turn(SagaJsonataEval *ev, const SagaJsonataNode *step, const SagaJsonataValue *item, SagaJsonataFrame *frame,
		  SagaJsonataValue *value)
{
	if (step->kind != SAGA_JN_NAME || step->group != NULL || step->predicates.count > 0)
		return saga_jsonata_eval_node(ev, step, item, frame, value);
	if (!saga_jsonata_lookup(ev, item, step->value.u.string, step->value.count, value))
		return false;
	if (step->keep_array && value->type == SAGA_JV_ARRAY && (value->flags & SAGA_JV_SEQUENCE))
		value->flags |= SAGA_JV_KEEP;
	saga_jsonata_unwrap(value);
	return true;
}

/* A step for each element of *list, and what all of them give in its place. */
static bool
eval_step(SagaJsonataEval *ev, const SagaJsonataNode *step, SagaJsonataFrame *frame, bool last, SagaJsonataValue *list)
{
	SagaJsonataValue input = *list;
	SagaJsonataValue *elems;
	Gathering	g = {0};

	if (step->kind == SAGA_JN_SORT)
		return saga_jsonata_eval_sort(ev, step, &input, frame, list) &&
			saga_jsonata_eval_stages(ev, &step->stages, frame, list);
	elems = input.type == SAGA_JV_ARRAY ? saga_jsonata_elems(ev, &input) : NULL;
	for (int i = 0; elems != NULL && i < input.count; i++)
	{
		SagaJsonataValue value;

		if (!eval_turn(ev, step, &elems[i], frame, &value) ||
			!saga_jsonata_eval_stages(ev, &step->stages, frame, &value))
			return false;
		if (!saga_jsonata_is_nothing(&value) && !gather(ev, &g, &value))
			return false;
	}
	return gathered(ev, &g, last, list) && saga_jsonata_tick(ev);
}

/*
 * Names one after the other as long as each leads to a single value: what
 * most paths are.  *from is the step where lists begin, and *v its input.
 */
static bool
eval_names(SagaJsonataEval *ev, const SagaJsonataNode *path, SagaJsonataValue *v, int *from)
{
	int			i;

	for (i = 0; i < path->children.count && v->type == SAGA_JV_OBJECT; i++)
	{
		const SagaJsonataNode *step = path->children.nodes[i];
		SagaJsonataValue found = {0};

		if (step->kind != SAGA_JN_NAME || step->stages.count > 0 || step->predicates.count > 0 || step->tuple ||
			step->keep_array || step->group != NULL)
			break;
		(void) saga_jsonata_member(v, step->value.u.string, step->value.count, &found);
		*v = found;
	}
	/* one that is not taken apart is a single value for the next step */
	if (i < path->children.count && v->type == SAGA_JV_ARRAY && (v->flags & SAGA_JV_CONS) &&
		!saga_jsonata_sequence_of(ev, v, v))
		return false;
	*from = i;
	return saga_jsonata_spend(ev, i);
}

/* The tuples, or what they are about. */
static bool
from_tuples(SagaJsonataEval *ev, bool keep, SagaJsonataValue *tuples)
{
	SagaJsonataList list = {0};

	if (keep)
		return true;
	for (int i = 0; i < tuples->count; i++)
		if (!saga_jsonata_tick(ev) || !saga_jsonata_push(ev, &list, &tuples->u.elems[i].u.tuple->at))
			return false;
	saga_jsonata_set_array(tuples, &list, SAGA_JV_SEQUENCE);
	return true;
}

/* All steps from one on; *list is their input and then their result. */
static bool
eval_steps(SagaJsonataEval *ev, const SagaJsonataNode *path, int from, SagaJsonataFrame *frame, SagaJsonataValue *list,
		   SagaJsonataValue *tuples, bool *is_tuples)
{
	bool		made = false;
	int			n = path->children.count;

	for (int i = from; i < n; i++)
	{
		const SagaJsonataNode *step = path->children.nodes[i];

		*is_tuples |= step->tuple;
		if (i == 0 && step->cons_array)
		{
			SagaJsonataValue input = *list;

			if (!saga_jsonata_eval_node(ev, step, &input, frame, list))
				return false;
		}
		else if (*is_tuples)
		{
			if (!saga_jsonata_eval_tuple_step(ev, step, list, tuples, &made, frame))
				return false;
		}
		else if (!eval_step(ev, step, frame, i == n - 1, list))
			return false;
		if (!*is_tuples && (saga_jsonata_is_nothing(list) ||
							(list->type == SAGA_JV_ARRAY && saga_jsonata_count(list) == 0)))
			break;
	}
	return true;
}

static bool
finish_path(SagaJsonataEval *ev, const SagaJsonataNode *path, SagaJsonataFrame *frame, SagaJsonataValue *list,
			const SagaJsonataValue *tuples, SagaJsonataValue *result)
{
	*result = *list;
	if (path->keep_singleton && result->type == SAGA_JV_ARRAY)
	{
		if ((result->flags & SAGA_JV_CONS) && (result->flags & SAGA_JV_SEQUENCE) == 0 &&
			!saga_jsonata_sequence_of(ev, list, result))
			return false;
		result->flags |= SAGA_JV_KEEP;
	}
	if (path->group != NULL)
	{
		SagaJsonataValue input = tuples != NULL ? *tuples : *result;

		return saga_jsonata_eval_group(ev, path->group, &input, frame, result);
	}
	return true;
}

bool
saga_jsonata_eval_path(SAGA_JSONATA_EVAL_ARGS)
{
	SagaJsonataValue list = *input;
	SagaJsonataValue tuples = {0};
	bool		is_tuples = false;
	int			from = 0;
	int			n = node->children.count;

	if (list.type == SAGA_JV_OBJECT && !eval_names(ev, node, &list, &from))
		return false;
	if (from == n || (from > 0 && saga_jsonata_is_nothing(&list)))
	{
		/* an array that the last step gives is the result as it is */
		if (!saga_jsonata_is_nothing(&list) && list.type != SAGA_JV_ARRAY && (node->keep_singleton || node->group != NULL) &&
			!saga_jsonata_sequence_of(ev, &list, &list))
			return false;
		if (list.type == SAGA_JV_ARRAY && (list.flags & SAGA_JV_SEQUENCE))
			list.flags &= ~SAGA_JV_KEEP;
		if (saga_jsonata_is_nothing(&list) && node->group != NULL)
		{
			list.type = SAGA_JV_ARRAY;
			list.flags = SAGA_JV_SEQUENCE;
		}
		return finish_path(ev, node, frame, &list, NULL, result);
	}
	if ((list.type != SAGA_JV_ARRAY || (from == 0 && node->children.nodes[0]->kind == SAGA_JN_VARIABLE)) &&
		!saga_jsonata_sequence_of(ev, &list, &list))
		return false;
	if (from > 0)
	{
		/* what steps give is a sequence, and an empty one ends the path */
		list.flags = (list.flags & (SAGA_JV_STORED | SAGA_JV_RANGE)) | SAGA_JV_SEQUENCE;
		if (saga_jsonata_count(&list) == 0)
			return finish_path(ev, node, frame, &list, NULL, result);
	}
	if (!eval_steps(ev, node, from, frame, &list, &tuples, &is_tuples))
		return false;
	if (is_tuples)
	{
		list = tuples;
		if (!from_tuples(ev, node->tuple, &list))
			return false;
	}
	return finish_path(ev, node, frame, &list, is_tuples ? &tuples : NULL, result);
}
