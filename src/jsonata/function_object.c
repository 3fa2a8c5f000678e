/*
 * function_object.c
 *		Functions on objects, and on values of any type.
 */
#include "postgres.h"

#include "jsonata/function_private.h"

/* ---------- objects ---------- */

/* Names of members, each once; of the objects in an array, too. */
static bool
collect_keys(SagaJsonataEval *ev, const SagaJsonataValue *v, SagaJsonataObject *names)
{
	SagaJsonataValue in = *v;
	SagaJsonataValue nothing = {0};

	if (in.type == SAGA_JV_ARRAY)
	{
		SagaJsonataValue *elems = saga_jsonata_elems(ev, &in);

		if (!saga_jsonata_enter(ev))
			return false;
		for (int i = 0; i < in.count; i++)
			if (!saga_jsonata_tick(ev) || !collect_keys(ev, &elems[i], names))
				return false;
		saga_jsonata_leave(ev);
	}
	else if (in.type == SAGA_JV_OBJECT)
	{
		int			n = saga_jsonata_count(&in);
		SagaJsonataPair *pairs = saga_jsonata_pairs(ev, &in);

		for (int i = 0; i < n; i++)
			if (pairs == NULL || !saga_jsonata_spend_read(ev, pairs[i].len + 16) ||
				!saga_jsonata_put(ev, names, pairs[i].name, pairs[i].len, &nothing))
				return false;
	}
	return true;
}

bool
saga_jsonata_fn_keys(SagaJsonataCall *call)
{
	SagaJsonataObject *names = saga_jsonata_new_object(call->ev, 0);
	SagaJsonataList list = {0};

	if (!collect_keys(call->ev, &call->args[0], names))
		return false;
	for (int i = 0; i < names->count; i++)
	{
		SagaJsonataValue name;

		saga_jsonata_set_string(&name, names->pairs[i].name, names->pairs[i].len);
		if (!saga_jsonata_push(call->ev, &list, &name))
			return false;
	}
	saga_jsonata_set_array(call->result, &list, SAGA_JV_SEQUENCE);
	return true;
}

bool
saga_jsonata_fn_lookup(SagaJsonataCall *call)
{
	if (call->args[1].type != SAGA_JV_STRING)
		return true;
	return saga_jsonata_lookup(call->ev, &call->args[0], call->args[1].u.string, call->args[1].count, call->result);
}

/* An object for each member; arrays are taken apart. */
static bool
spread(SagaJsonataEval *ev, const SagaJsonataValue *v, SagaJsonataList *list)
{
	SagaJsonataValue in = *v;

	if (in.type == SAGA_JV_ARRAY)
	{
		SagaJsonataValue *elems = saga_jsonata_elems(ev, &in);

		if (!saga_jsonata_enter(ev))
			return false;
		for (int i = 0; i < in.count; i++)
			if (!saga_jsonata_tick(ev) || !spread(ev, &elems[i], list))
				return false;
		saga_jsonata_leave(ev);
		return true;
	}
	if (in.type == SAGA_JV_OBJECT)
	{
		int			n = saga_jsonata_count(&in);
		SagaJsonataPair *pairs = saga_jsonata_pairs(ev, &in);

		for (int i = 0; i < n; i++)
		{
			SagaJsonataObject *object = saga_jsonata_new_object(ev, 1);
			SagaJsonataValue value;

			if (pairs == NULL || !saga_jsonata_spend(ev, 2) ||
				!saga_jsonata_put(ev, object, pairs[i].name, pairs[i].len, &pairs[i].value))
				return false;
			saga_jsonata_set_object(&value, object);
			if (!saga_jsonata_push(ev, list, &value))
				return false;
		}
		return true;
	}
	return saga_jsonata_is_nothing(&in) || saga_jsonata_push(ev, list, &in);
}

/*
 * $spread.  An object gives a sequence, so that a single member comes without
 * an array.  For an array the reference appends one result to the other, which
 * gives a plain array.
 */
bool
saga_jsonata_fn_spread(SagaJsonataCall *call)
{
	SagaJsonataList list = {0};
	SagaJsonataValue *v = &call->args[0];

	if (v->type != SAGA_JV_ARRAY && v->type != SAGA_JV_OBJECT)
	{
		*call->result = *v;
		return true;
	}
	if (!spread(call->ev, v, &list))
		return false;
	saga_jsonata_set_array(call->result, &list, v->type == SAGA_JV_OBJECT || list.count == 0 ? SAGA_JV_SEQUENCE : 0);
	return true;
}

/* Of members with one name the last counts. */
bool
saga_jsonata_fn_merge(SagaJsonataCall *call)
{
	SagaJsonataEval *ev = call->ev;
	SagaJsonataObject *object;
	SagaJsonataValue *elems;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	object = saga_jsonata_new_object(ev, 0);
	elems = saga_jsonata_elems(ev, &call->args[0]);
	for (int i = 0; i < call->args[0].count; i++)
	{
		int			n = saga_jsonata_count(&elems[i]);
		SagaJsonataPair *pairs = saga_jsonata_pairs(ev, &elems[i]);

		for (int j = 0; j < n; j++)
			if (pairs == NULL || !saga_jsonata_spend_read(ev, pairs[j].len + 16) ||
				!saga_jsonata_put(ev, object, pairs[j].name, pairs[j].len, &pairs[j].value))
				return false;
	}
	saga_jsonata_set_object(call->result, object);
	return saga_jsonata_tick(ev);
}

/* ---------- any value ---------- */

bool
saga_jsonata_fn_exists(SagaJsonataCall *call)
{
	saga_jsonata_set_bool(call->result, !saga_jsonata_is_nothing(&call->args[0]));
	return true;
}

bool
saga_jsonata_fn_boolean(SagaJsonataCall *call)
{
	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	saga_jsonata_set_bool(call->result, saga_jsonata_boolean(call->ev, &call->args[0]));
	return true;
}

bool
saga_jsonata_fn_not(SagaJsonataCall *call)
{
	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	saga_jsonata_set_bool(call->result, !saga_jsonata_boolean(call->ev, &call->args[0]));
	return true;
}

bool
saga_jsonata_fn_type(SagaJsonataCall *call)
{
	/* in the order of SagaJsonataType */
	static const char *const names[] = {"", "null", "boolean", "number", "string", "array", "object", "function", ""};

	/* nothing has no type, and gives nothing */
	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	saga_jsonata_set_cstring(call->result, names[call->args[0].type]);
	return true;
}

/* A message of the expression's own. */
static bool
fail_with(SagaJsonataCall *call, const SagaJsonataValue *message, const char *code, const char *otherwise)
{
	if (message->type != SAGA_JV_STRING || message->count == 0)
		return saga_jsonata_fail(call->ev, code, "%s", otherwise);
	return saga_jsonata_fail(call->ev, code, "%.*s", Min(message->count, 10000), message->u.string);
}

bool
saga_jsonata_fn_error(SagaJsonataCall *call)
{
	return fail_with(call, &call->args[0], "D3137", "$error was called");
}

/*
 * $assert gives nothing when its condition is true, and fails when it is false
 * or missing.
 */
bool
saga_jsonata_fn_assert(SagaJsonataCall *call)
{
	if (call->args[0].type == SAGA_JV_BOOL && call->args[0].boolean)
		return true;
	return fail_with(call, &call->args[1], "D3141", "$assert failed");
}

bool
saga_jsonata_fn_clone(SagaJsonataCall *call)
{
	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	return saga_jsonata_clone(call->ev, &call->args[0], call->result);
}
