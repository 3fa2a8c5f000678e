/*
 * clone.c
 *		A copy of a value that shares no object with it, for what changes one.
 */
#include "postgres.h"

#include "jsonata/jsonata_private.h"

/*
 * Copies objects and arrays down to the last.  Functions become empty texts
 * and elements that are nothing become null, because the reference makes the
 * copy by way of JSON text.
 */
bool
saga_jsonata_clone(SagaJsonataEval *ev, const SagaJsonataValue *v, SagaJsonataValue *result)
{
	SagaJsonataValue in = *v;
	SagaJsonataList list = {0};

	if (in.type == SAGA_JV_FUNCTION)
	{
		saga_jsonata_set_string(result, "", 0);
		return true;
	}
	if (in.type == SAGA_JV_NOTHING)
		in.type = SAGA_JV_NULL;
	*result = in;
	/* texts and numbers are never changed, and may be shared */
	if (in.type != SAGA_JV_ARRAY && in.type != SAGA_JV_OBJECT)
		return saga_jsonata_tick(ev);
	if (!saga_jsonata_enter(ev))
		return false;
	if (in.type == SAGA_JV_ARRAY)
	{
		SagaJsonataValue *elems = saga_jsonata_elems(ev, &in);

		for (int i = 0; i < in.count; i++)
		{
			SagaJsonataValue elem;

			if (!saga_jsonata_clone(ev, &elems[i], &elem) || !saga_jsonata_push(ev, &list, &elem))
				return false;
		}
		saga_jsonata_set_array(result, &list, 0);
	}
	else
	{
		int			n = saga_jsonata_count(&in);
		SagaJsonataPair *pairs = saga_jsonata_pairs(ev, &in);
		SagaJsonataObject *object;

		if (pairs == NULL || !saga_jsonata_has_room(ev, n, sizeof(SagaJsonataPair)))
			return false;
		object = saga_jsonata_new_object(ev, n);
		for (int i = 0; i < n; i++)
		{
			SagaJsonataValue member;

			if (!saga_jsonata_clone(ev, &pairs[i].value, &member) ||
				!saga_jsonata_put(ev, object, pairs[i].name, pairs[i].len, &member))
				return false;
		}
		saga_jsonata_set_object(result, object);
		if (ev->trace != NULL && !saga_jsonata_trace_object(ev, result, &in))
			return false;
	}
	saga_jsonata_leave(ev);
	return true;
}
