/*
 * ancestry.c
 *		Which step a "%" refers to, and which calls are a function's last.
 *
 * Each "%" has a slot: a variable that some step before it must set to its
 * own context, and the number of steps that are still to go back.  A slot that
 * is not found within a part of the tree is handed up to what holds the part.
 *
 * In Order.Product.{"id": %.OrderID}, for example, "%" is the order.  The step
 * Product sets the variable, since the order is the context that it works on,
 * and the steps behind it find the variable in their frame.
 */
#include "postgres.h"

#include "jsonata/jsonata_private.h"

/*
 * Adds a slot to a list, which lies in the same memory as the tree.  Several
 * lists may have one slot: its level is in the slot itself, so that all of
 * them see how far the search has come.
 */
void
saga_jsonata_add_slot(SagaJsonataSlots *slots, SagaJsonataSlot *slot)
{
	if (slots->count >= slots->max)
	{
		slots->max = Max(slots->max * 2, 2);
		slots->slots = slots->slots == NULL ? palloc(slots->max * sizeof(SagaJsonataSlot *)) :
			repalloc(slots->slots, slots->max * sizeof(SagaJsonataSlot *));
	}
	slots->slots[slots->count++] = slot;
}

/*
 * Goes one step back from a "%" towards the step that it refers to.
 *
 * A name or a wildcard is one step.  Another "%" on the way is one more to go
 * back.  Blocks and paths are entered from their end, because their value
 * comes from there.  At level 0 the step is found, and keeps the slot.  The
 * result is false, with the fault S0217, where something has no parent: a
 * literal, for example, or a call.
 */
bool
saga_jsonata_seek_parent(SagaJsonataProcess *p, SagaJsonataNode *node, SagaJsonataSlot *slot)
{
	switch (node->kind)
	{
		case SAGA_JN_NAME:
		case SAGA_JN_WILDCARD:
			slot->level--;
			if (slot->level == 0)
			{
				/* two that refer to one step share its variable */
				if (node->ancestor != NULL)
					p->ancestry.nodes[slot->index]->slot->symbol = node->ancestor->symbol;
				node->ancestor = slot;
				node->tuple = true;
			}
			return true;
		case SAGA_JN_PARENT:
			slot->level++;
			return true;
		case SAGA_JN_BLOCK:
			/* an empty block gives nothing, and is no step */
			if (node->children.count == 0)
				return true;
			node->tuple = true;
			return saga_jsonata_seek_parent(p, node->children.nodes[node->children.count - 1], slot);
		case SAGA_JN_PATH:
			{
				int			i = node->children.count - 1;

				node->tuple = true;
				if (!saga_jsonata_seek_parent(p, node->children.nodes[i--], slot))
					return false;
				while (slot->level > 0 && i >= 0)
					if (!saga_jsonata_seek_parent(p, node->children.nodes[i--], slot))
						return false;
				return true;
			}
		default:
			return saga_jsonata_fault_at(p->fault, node->position, "S0217",
										 "the object that \"%%\" refers to cannot be derived from this expression");
	}
}

/*
 * Hands the slots for which a part has found no step up to the whole, which
 * goes on with the search.  A part that is a "%" itself hands up its own slot.
 */
void
saga_jsonata_push_ancestry(SagaJsonataNode *result, SagaJsonataNode *value)
{
	for (int i = 0; i < value->seeking.count; i++)
		saga_jsonata_add_slot(&result->seeking, value->seeking.slots[i]);
	if (value->kind == SAGA_JN_PARENT)
		saga_jsonata_add_slot(&result->seeking, value->slot);
}

/*
 * Finds the steps that the last step of a path refers to by "%", going back
 * from there.  Slots that lead out of the path are left to what holds it.
 * False means a fault, which saga_jsonata_seek_parent has set.
 */
bool
saga_jsonata_resolve_ancestry(SagaJsonataProcess *p, SagaJsonataNode *path)
{
	SagaJsonataNode **steps = path->children.nodes;
	int			last = path->children.count - 1;
	SagaJsonataSlots slots = {0};

	for (int i = 0; i < steps[last]->seeking.count; i++)
		saga_jsonata_add_slot(&slots, steps[last]->seeking.slots[i]);
	if (steps[last]->kind == SAGA_JN_PARENT)
		saga_jsonata_add_slot(&slots, steps[last]->slot);
	for (int i = 0; i < slots.count; i++)
	{
		SagaJsonataSlot *slot = slots.slots[i];
		int			at = last - 1;

		while (slot->level > 0)
		{
			SagaJsonataNode *step;

			if (at < 0)
			{
				saga_jsonata_add_slot(&path->seeking, slot);
				break;
			}
			step = steps[at--];

			/*
			 * A step with "@$x" hands on the context that it was given, so
			 * that several of them in a row count as one step: the first of
			 * them.
			 */
			while (at >= 0 && step->focus >= 0 && steps[at]->focus >= 0)
				step = steps[at--];
			if (!saga_jsonata_seek_parent(p, step, slot))
				return false;
		}
	}
	return true;
}

/*
 * A call that is the last thing a function does is wrapped into a function
 * without parameters, which the caller's loop unpacks (call.c): so a recursion
 * of that kind needs no stack.
 */
SagaJsonataNode *
saga_jsonata_tail_calls(SagaJsonataNode *node)
{
	SagaJsonataNodes *children = &node->children;
	SagaJsonataNode *thunk;

	/* what is still to be filtered or grouped is not the last thing done */
	if (node->predicates.count > 0 || node->group != NULL || node->keep_array)
		return node;
	switch (node->kind)
	{
		case SAGA_JN_CALL:
			thunk = saga_jsonata_new_node(SAGA_JN_LAMBDA, node->position);
			thunk->thunk = true;
			saga_jsonata_add_node(&thunk->children, node);
			return thunk;
		case SAGA_JN_CONDITION:
			/* both branches may be last, but not the condition */
			for (int i = 1; i < children->count; i++)
				children->nodes[i] = saga_jsonata_tail_calls(children->nodes[i]);
			return node;
		case SAGA_JN_ELVIS:
		case SAGA_JN_COALESCE:
			/* the left side is looked at before it is given */
			children->nodes[1] = saga_jsonata_tail_calls(children->nodes[1]);
			return node;
		case SAGA_JN_BLOCK:
			if (children->count > 0)
				children->nodes[children->count - 1] = saga_jsonata_tail_calls(children->nodes[children->count - 1]);
			return node;
		default:
			return node;
	}
}
