/*
 * result.c
 *		A value as jsonb.
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"

#include "value/value.h"
#include "jsonata/jsonata_private.h"

static bool to_json(SagaJsonataEval *ev, const SagaJsonataValue *v, JsonbValue *json);

/* jsonb has no NUL, and texts of the server are whole characters. */
static bool
set_text(SagaJsonataEval *ev, JsonbValue *json, const char *s, int len)
{
	if (!saga_jsonata_spend_read(ev, len))
		return false;
	if (memchr(s, '\0', len) != NULL)
		return saga_jsonata_fail(ev, "U1004", "the result has a text with \\u0000, which jsonb cannot have");
	if (pg_encoding_verifymbstr(PG_UTF8, s, len) != len)
		return saga_jsonata_fail(ev, "U1004", "the result has a text with half of a surrogate pair, which jsonb cannot have");
	saga_value_set_string(json, s, len);
	return true;
}

/* Sorted by name, as jsonb has them; names are unique already. */
static bool
set_object(SagaJsonataEval *ev, const SagaJsonataValue *v, JsonbValue *json)
{
	int			n = saga_jsonata_count(v);
	const SagaJsonataPair *pairs = v->u.object->pairs;
	bool		sorted = true;

	if (!saga_jsonata_has_room(ev, n, sizeof(JsonbPair)))
		return false;
	json->type = jbvObject;
	json->val.object.nPairs = n;
	json->val.object.pairs = MemoryContextAllocHuge(ev->context, (n + 1) * sizeof(JsonbPair));
	for (int i = 0; i < n; i++)
	{
		JsonbPair  *pair = &json->val.object.pairs[i];

		if (!set_text(ev, &pair->key, pairs[i].name, pairs[i].len) || !to_json(ev, &pairs[i].value, &pair->value))
			return false;
		if (i > 0 && saga_pair_compare(pair - 1, pair) > 0)
			sorted = false;
	}
	if (!sorted)
	{
		if (!saga_jsonata_spend(ev, (int64) n * 2))
			return false;
		qsort(json->val.object.pairs, n, sizeof(JsonbPair), saga_pair_compare);
	}
	return true;
}

static bool
set_array(SagaJsonataEval *ev, const SagaJsonataValue *v, JsonbValue *json)
{
	SagaJsonataValue array = *v;
	SagaJsonataValue *elems = saga_jsonata_elems(ev, &array);

	if (!saga_jsonata_has_room(ev, array.count, sizeof(JsonbValue)))
		return false;
	saga_value_set_array(json, MemoryContextAllocHuge(ev->context, (array.count + 1) * sizeof(JsonbValue)), array.count);
	for (int i = 0; i < array.count; i++)
		if (!to_json(ev, &elems[i], &json->val.array.elems[i]))
			return false;
	return true;
}

static bool
set_number(SagaJsonataEval *ev, const SagaJsonataValue *v, JsonbValue *json)
{
	if (v->flags == 0 && isinf(v->u.number))
		return saga_jsonata_fail(ev, "D1001", "a number is out of range");
	if (v->flags == 0 && isnan(v->u.number))
	{
		json->type = jbvNull;
		return true;
	}
	json->type = jbvNumeric;
	json->val.numeric = saga_jsonata_numeric(v);
	if (json->val.numeric == NULL)
		return saga_jsonata_fail(ev, "D1001", "a number is out of range");
	return saga_jsonata_spend_copy(ev, VARSIZE_ANY(json->val.numeric));
}

/* Parts can be shared, so that a result may have more of them than there were steps to make it. */
static bool
to_json(SagaJsonataEval *ev, const SagaJsonataValue *v, JsonbValue *json)
{
	bool		set;

	switch (v->type)
	{
		case SAGA_JV_BOOL:
			json->type = jbvBool;
			json->val.boolean = v->boolean;
			return saga_jsonata_tick(ev);
		case SAGA_JV_NUMBER:
			return saga_jsonata_tick(ev) && set_number(ev, v, json);
		case SAGA_JV_STRING:
			return saga_jsonata_tick(ev) && set_text(ev, json, v->u.string, v->count);
		case SAGA_JV_FUNCTION:
			if (ev->options->aws)
				return saga_jsonata_fail(ev, "U1004", "the result is or has a function, which JSON cannot have");
			saga_value_set_string(json, "", 0);
			return saga_jsonata_tick(ev);
		case SAGA_JV_ARRAY:
		case SAGA_JV_OBJECT:
			break;
		default:
			json->type = jbvNull;
			return saga_jsonata_tick(ev);
	}
	if (v->flags & SAGA_JV_STORED)
	{
		json->type = jbvBinary;
		json->val.binary.data = v->u.container;
		json->val.binary.len = v->count;
		return saga_jsonata_spend_copy(ev, v->count);
	}
	if (!saga_jsonata_enter(ev))
		return false;
	set = v->type == SAGA_JV_ARRAY ? set_array(ev, v, json) : set_object(ev, v, json);
	saga_jsonata_leave(ev);
	return set;
}

/* NULL and a fault when it is too large.  The result is the only thing that is made in the context. */
Jsonb *
saga_jsonata_to_jsonb(SagaJsonataEval *ev, const SagaJsonataValue *v, MemoryContext context)
{
	SagaFault	fault = {0};
	JsonbValue	json;
	MemoryContext old;
	Jsonb	   *result;

	if (!to_json(ev, v, &json))
		return NULL;
	old = MemoryContextSwitchTo(context);
	result = saga_value_flatten(&json, &fault);
	MemoryContextSwitchTo(old);
	if (result == NULL)
		saga_jsonata_fail(ev, "U1003", "the result is too large for jsonb");
	return result;
}
