/*
 * group.c
 *		{name: value}: objects, and groups of what a path gives.
 *
 * Items are put into groups by the names that they give; then the value of
 * each group is made with all of its items as the context.  An object is the
 * same with a single item.
 */
#include "postgres.h"

#include "jsonata/jsonata_private.h"

/*
 * What becomes one member: its name, and the items that have given the name.
 */
typedef struct Group
{
	SagaJsonataValue name;
	int			pair;			/* which of the expressions has named it */
	SagaJsonataList list;		/* more items than one */
	SagaJsonataValue data;		/* the first */
} Group;

/* All groups, in the order in which their names came up. */
typedef struct Groups
{
	Group	   *groups;
	int			count;
	int			max;
	SagaJsonataObject *index;	/* name: number of the group */
} Groups;

/*
 * Begins a group with its first item.  A larger array is a new one, as the
 * first few groups lie on the stack of saga_jsonata_eval_group, and the memory
 * of an evaluation is not given back.
 */
static bool
new_group(SagaJsonataEval *ev, Groups *groups, const SagaJsonataValue *name, int pair, const SagaJsonataValue *item)
{
	SagaJsonataValue number;
	Group	   *group;

	if (groups->count >= groups->max)
	{
		Group	   *more;

		groups->max = Max(groups->max * 2, 4);
		if (!saga_jsonata_has_room(ev, groups->max, sizeof(Group)))
			return false;
		more = saga_jsonata_alloc(ev, groups->max * sizeof(Group));
		memcpy(more, groups->groups, groups->count * sizeof(Group));
		groups->groups = more;
	}
	group = &groups->groups[groups->count];
	memset(group, 0, sizeof(*group));
	group->name = *name;
	group->pair = pair;
	group->data = *item;
	saga_jsonata_set_number(&number, groups->count++);
	return saga_jsonata_put(ev, groups->index, name->u.string, name->count, &number);
}

/*
 * Adds a further item, as the reference's append() does: an array adds its
 * elements, and nothing adds nothing.  The first item becomes a part of a list
 * only when there is a second one, so that it is no array when it is alone.
 */
static bool
add_to_group(SagaJsonataEval *ev, Group *group, const SagaJsonataValue *item)
{
	if (saga_jsonata_is_nothing(item))
		return true;
	if (group->list.count == 0 && !saga_jsonata_is_nothing(&group->data) &&
		!(group->data.type == SAGA_JV_ARRAY ? saga_jsonata_push_all(ev, &group->list, &group->data) :
		  saga_jsonata_push(ev, &group->list, &group->data)))
		return false;
	if (!(item->type == SAGA_JV_ARRAY ? saga_jsonata_push_all(ev, &group->list, item) :
		  saga_jsonata_push(ev, &group->list, item)))
		return false;
	saga_jsonata_set_array(&group->data, &group->list, 0);
	return true;
}

/*
 * Puts an item into a group for each name that it gives; a name that is
 * nothing is left out.  T1003: the name is no string.  D1009: two of the
 * expressions for names give the same one, so that it is not clear which value
 * belongs to it.
 */
static bool
group_item(SagaJsonataEval *ev, const SagaJsonataNode *node, const SagaJsonataValue *item, SagaJsonataFrame *frame,
		   Groups *groups)
{
	const SagaJsonataValue *context = item;

	if (item->type == SAGA_JV_TUPLE)
	{
		context = &item->u.tuple->at;
		frame = saga_jsonata_tuple_frame(ev, frame, item->u.tuple);
	}
	for (int i = 0; i < node->children.count; i += 2)
	{
		SagaJsonataValue name;
		SagaJsonataValue *there;
		Group	   *group;

		if (!saga_jsonata_eval_node(ev, node->children.nodes[i], context, frame, &name))
			return false;
		if (saga_jsonata_is_nothing(&name))
			continue;
		if (name.type != SAGA_JV_STRING)
			return saga_jsonata_fail_at(ev, node, "T1003", "the name of an object's member must be a string");
		if (!saga_jsonata_spend_read(ev, name.count))
			return false;
		there = saga_jsonata_slot(groups->index, name.u.string, name.count);
		if (there == NULL)
		{
			if (!new_group(ev, groups, &name, i, item))
				return false;
			continue;
		}
		group = &groups->groups[(int) there->u.number];
		if (group->pair != i)
			return saga_jsonata_fail_at(ev, node, "D1009", "two members of an object have the same name");
		if (!add_to_group(ev, group, item))
			return false;
	}
	return true;
}

/* The tuples of a group as one: each variable has the values of all. */
static bool
reduce_tuples(SagaJsonataEval *ev, SagaJsonataValue *data, SagaJsonataTuple **result)
{
	SagaJsonataValue *elems;
	SagaJsonataTuple *tuple;
	SagaJsonataList *lists;
	int			n;

	if (data->type == SAGA_JV_TUPLE)
	{
		*result = data->u.tuple;
		return true;
	}
	elems = data->u.elems;
	n = elems[0].u.tuple->count + 1;

	/*
	 * tuples of one stream have the same variables, but for those that had
	 * nothing to bind
	 */
	tuple = saga_jsonata_alloc(ev, sizeof(SagaJsonataTuple) + n * sizeof(SagaJsonataVariable));
	*tuple = *elems[0].u.tuple;
	tuple->variables = (SagaJsonataVariable *) (tuple + 1);
	memcpy(tuple->variables, elems[0].u.tuple->variables, (n - 1) * sizeof(SagaJsonataVariable));
	lists = saga_jsonata_alloc(ev, n * sizeof(SagaJsonataList));
	memset(lists, 0, n * sizeof(SagaJsonataList));
	for (int v = 0; v < n; v++)
	{
		SagaJsonataValue *target = v < n - 1 ? &tuple->variables[v].value : &tuple->at;

		for (int i = 0; i < data->count; i++)
		{
			SagaJsonataTuple *one = elems[i].u.tuple;
			const SagaJsonataValue *value = v < n - 1 ? NULL : &one->at;

			for (int k = 0; value == NULL && k < one->count; k++)
				if (one->variables[k].symbol == tuple->variables[v].symbol)
					value = &one->variables[k].value;
			if (!saga_jsonata_spend(ev, 1 + one->count / 4))
				return false;
			if (value == NULL || saga_jsonata_is_nothing(value))
				continue;
			if (!(value->type == SAGA_JV_ARRAY ? saga_jsonata_push_all(ev, &lists[v], value) :
				  saga_jsonata_push(ev, &lists[v], value)))
				return false;
		}
		saga_jsonata_set_array(target, &lists[v], 0);
	}
	*result = tuple;
	return true;
}

/* The member that a group becomes. */
static bool
finish_group(SagaJsonataEval *ev, const SagaJsonataNode *node, Group *group, bool tuples, SagaJsonataFrame *frame,
			 SagaJsonataObject *object)
{
	const SagaJsonataValue *context = &group->data;
	SagaJsonataTuple *tuple;
	SagaJsonataValue value;

	if (tuples)
	{
		if (!reduce_tuples(ev, &group->data, &tuple))
			return false;
		context = &tuple->at;
		frame = saga_jsonata_tuple_frame(ev, frame, tuple);
	}
	if (!saga_jsonata_eval_node(ev, node->children.nodes[group->pair + 1], context, frame, &value))
		return false;
	if (saga_jsonata_is_nothing(&value))
		return true;
	return saga_jsonata_put(ev, object, group->name.u.string, group->name.count, &value);
}

/*
 * Evaluates {name: value, ...} for an item, or for all items of an array.  All
 * names are evaluated before the first of the values is, because a value can
 * be made only when its group is complete.
 */
bool
saga_jsonata_eval_group(SAGA_JSONATA_EVAL_ARGS)
{
	Group		few[8];
	Groups		groups = {few, 0, lengthof(few)};
	SagaJsonataValue nothing = {0};
	SagaJsonataValue items = *input;
	SagaJsonataValue *elems;
	bool		tuples = items.type == SAGA_JV_ARRAY && (items.flags & SAGA_JV_TUPLES);
	SagaJsonataObject *object;

	groups.index = saga_jsonata_new_object(ev, node->children.count / 2);
	if (items.type != SAGA_JV_ARRAY)
	{
		if (!group_item(ev, node, input, frame, &groups))
			return false;
	}
	else
	{
		elems = saga_jsonata_elems(ev, &items);

		/*
		 * an empty array makes an object as well, as if nothing were its only
		 * element
		 */
		if (items.count == 0 && !tuples && !group_item(ev, node, &nothing, frame, &groups))
			return false;
		for (int i = 0; i < items.count; i++)
			if (!group_item(ev, node, &elems[i], frame, &groups))
				return false;
	}
	object = saga_jsonata_new_object(ev, groups.count);
	for (int i = 0; i < groups.count; i++)
		if (!finish_group(ev, node, &groups.groups[i], tuples, frame, object))
			return false;
	saga_jsonata_set_object(result, object);
	if (ev->trace != NULL && !saga_jsonata_trace_object(ev, result, &items))
		return false;
	return saga_jsonata_tick(ev);
}
