/*
 * object.c
 *		Objects: those that an expression has made, and those that are stored.
 *
 * Members keep the order in which they came.  A small object is searched from
 * its start; a large one has an index by hash.
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "jsonata/jsonata_private.h"

/* From so many members on, an object has an index. */
#define INDEX_FROM		12

SagaJsonataObject *
saga_jsonata_new_object(SagaJsonataEval *ev, int members)
{
	SagaJsonataObject *object = saga_jsonata_alloc(ev, sizeof(SagaJsonataObject));

	memset(object, 0, sizeof(*object));
	object->max = members;
	if (members > 0)
		object->pairs = saga_jsonata_alloc(ev, members * sizeof(SagaJsonataPair));
	return object;
}

/* Where a member is in the index, or would be. */
static int
index_place(const SagaJsonataObject *object, const char *name, int len)
{
	uint32		mask = object->nindex - 1;
	uint32		place = hash_bytes((const unsigned char *) name, len) & mask;

	for (;;)
	{
		int			i = object->index[place];

		if (i < 0 || (object->pairs[i].len == len && memcmp(object->pairs[i].name, name, len) == 0))
			return place;
		place = (place + 1) & mask;
	}
}

/* At most half of it is used, so that a search ends soon. */
static bool
make_index(SagaJsonataEval *ev, SagaJsonataObject *object)
{
	int			size = object->nindex > 0 ? object->nindex : 32;

	while (size < object->max * 2)
		size *= 2;
	if (!saga_jsonata_has_room(ev, size, sizeof(int)))
		return false;
	object->index = saga_jsonata_alloc(ev, size * sizeof(int));
	object->nindex = size;
	memset(object->index, 0xff, size * sizeof(int));
	for (int i = 0; i < object->count; i++)
		object->index[index_place(object, object->pairs[i].name, object->pairs[i].len)] = i;
	return true;
}

SagaJsonataValue *
saga_jsonata_slot(const SagaJsonataObject *object, const char *name, int len)
{
	if (object->index != NULL)
	{
		int			i = object->index[index_place(object, name, len)];

		return i < 0 ? NULL : &object->pairs[i].value;
	}
	for (int i = 0; i < object->count; i++)
	{
		SagaJsonataPair *pair = &object->pairs[i];

		if (pair->len == len && memcmp(pair->name, name, len) == 0)
			return &pair->value;
	}
	return NULL;
}

/* A member that is there already keeps its place. */
bool
saga_jsonata_put(SagaJsonataEval *ev, SagaJsonataObject *object, const char *name, int len, const SagaJsonataValue *value)
{
	SagaJsonataValue *there = saga_jsonata_slot(object, name, len);
	SagaJsonataPair *pair;

	if (there != NULL)
	{
		*there = *value;
		return true;
	}
	if (object->count >= object->max)
	{
		SagaJsonataPair *pairs;

		object->max = Max(object->max * 2, 4);
		if (!saga_jsonata_has_room(ev, object->max, sizeof(SagaJsonataPair)))
			return false;
		pairs = saga_jsonata_alloc(ev, object->max * sizeof(SagaJsonataPair));
		if (object->count > 0)
			memcpy(pairs, object->pairs, object->count * sizeof(SagaJsonataPair));
		object->pairs = pairs;
		if (object->index != NULL && !make_index(ev, object))
			return false;
	}
	pair = &object->pairs[object->count];
	pair->name = name;
	pair->len = len;
	pair->value = *value;
	object->count++;
	if (object->index != NULL)
		object->index[index_place(object, name, len)] = object->count - 1;
	else if (object->count >= INDEX_FROM)
		return make_index(ev, object);
	return true;
}

/* Those behind it move up, and an index is made anew. */
void
saga_jsonata_remove(SagaJsonataEval *ev, SagaJsonataObject *object, const char *name, int len)
{
	SagaJsonataValue *there = saga_jsonata_slot(object, name, len);
	int			i;

	if (there == NULL)
		return;
	i = (SagaJsonataPair *) ((char *) there - offsetof(SagaJsonataPair, value)) - object->pairs;
	(void) saga_jsonata_spend(ev, object->count / 4);
	memmove(&object->pairs[i], &object->pairs[i + 1], (object->count - i - 1) * sizeof(SagaJsonataPair));
	object->count--;
	if (object->index != NULL)
		(void) make_index(ev, object);
}

/* What lies in a jsonb, as its functions tell it: a scalar, or jbvBinary. */
void
saga_jsonata_from_json(const JsonbValue *json, SagaJsonataValue *v)
{
	saga_jsonata_set_nothing(v);
	switch (json->type)
	{
		case jbvNull:
			v->type = SAGA_JV_NULL;
			break;
		case jbvBool:
			saga_jsonata_set_bool(v, json->val.boolean);
			break;
		case jbvNumeric:
			saga_jsonata_set_numeric(v, json->val.numeric);
			break;
		case jbvString:
			saga_jsonata_set_string(v, json->val.string.val, json->val.string.len);
			break;
		default:
			v->u.container = json->val.binary.data;
			v->type = JsonContainerIsArray(v->u.container) ? SAGA_JV_ARRAY : SAGA_JV_OBJECT;
			v->flags = SAGA_JV_STORED;
			v->count = json->val.binary.len;
			break;
	}
}

/* False when there is no such member; *result stays as it was. */
bool
saga_jsonata_member(const SagaJsonataValue *object, const char *name, int len, SagaJsonataValue *result)
{
	SagaJsonataValue *there;

	if (object->flags & SAGA_JV_STORED)
	{
		JsonbContainer *container = object->u.container;
		JsonbValue	json;

		if (getKeyJsonValueFromContainer(container, name, len, &json) == NULL)
			return false;
		saga_jsonata_from_json(&json, result);
		return true;
	}
	there = saga_jsonata_slot(object->u.object, name, len);
	if (there == NULL)
		return false;
	*result = *there;
	return true;
}

SagaJsonataPair *
saga_jsonata_pairs(SagaJsonataEval *ev, const SagaJsonataValue *object)
{
	int			n = saga_jsonata_count(object);
	SagaJsonataPair *pairs;
	SagaJsonataWalk walk;

	if ((object->flags & SAGA_JV_STORED) == 0)
	{
		static SagaJsonataPair none;

		/* never NULL, which would mean a fault to callers */
		return n == 0 ? &none : object->u.object->pairs;
	}
	if (!saga_jsonata_has_room(ev, n, sizeof(SagaJsonataPair)))
		return NULL;
	pairs = saga_jsonata_alloc(ev, (n + 1) * sizeof(SagaJsonataPair));
	saga_jsonata_walk_start(&walk, object);
	for (int i = 0; i < n; i++)
	{
		SagaJsonataValue name;

		saga_jsonata_walk_next(&walk, &name);
		pairs[i].name = name.u.string;
		pairs[i].len = name.count;
	}
	for (int i = 0; i < n; i++)
		saga_jsonata_walk_next(&walk, &pairs[i].value);
	return pairs;
}
