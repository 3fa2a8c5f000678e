/*
 * value.c
 *		Values during the evaluation of an expression.
 *
 * What comes from the document stays in its jsonb until somebody looks at the
 * members of an array; what an expression makes is a tree of its own, whose
 * arrays know how they were made.
 *
 * Values are small and copied freely; what they point to is shared and never
 * changed, so that the same part may stand in several places.  The parts lie
 * in the document or in the evaluation's context, and none is freed by
 * itself.
 *
 * Whatever reads all of a value pays for it first (limit.c), since a stored
 * document comes for free and can be large.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "mapping/mapping_private.h"

#define MAX_ELEMENTS		(2 * 1024 * 1024)

/* ---------- setting ---------- */

/*
 * The other setters begin with this, so that no flag of an earlier value
 * stays.
 */
void
saga_map_set_nothing(SagaMapValue *v)
{
	memset(v, 0, sizeof(*v));
}

void
saga_map_set_bool(SagaMapValue *v, bool boolean)
{
	saga_map_set_nothing(v);
	v->type = SAGA_MAP_BOOL;
	v->boolean = boolean;
}

void
saga_map_set_number(SagaMapValue *v, Numeric number)
{
	saga_map_set_nothing(v);
	v->type = SAGA_MAP_NUMBER;
	v->u.number = number;
}

/* The text is not copied and need not be terminated. */
void
saga_map_set_string(SagaMapValue *v, const char *s, int len)
{
	saga_map_set_nothing(v);
	v->type = SAGA_MAP_STRING;
	v->u.string = s;
	v->count = len;
}

/*
 * Takes the list's elements over: the list is not to be added to afterwards.
 */
void
saga_map_set_array(SagaMapValue *v, const SagaMapList *list, uint8 flags)
{
	saga_map_set_nothing(v);
	v->type = SAGA_MAP_ARRAY;
	v->flags = flags;
	v->u.elems = list->elems;
	v->count = list->count;
}

/*
 * Points into the jsonb, which must outlive the evaluation.  Only what an
 * iterator or a look-up gives can come here, so that arrays and objects are
 * always jbvBinary.
 */
void
saga_map_from_json(const JsonbValue *json, SagaMapValue *v)
{
	saga_map_set_nothing(v);
	switch (json->type)
	{
		case jbvNull:
			v->type = SAGA_MAP_NULL;
			break;
		case jbvBool:
			saga_map_set_bool(v, json->val.boolean);
			break;
		case jbvNumeric:
			saga_map_set_number(v, json->val.numeric);
			break;
		case jbvString:
			saga_map_set_string(v, json->val.string.val, json->val.string.len);
			break;
		case jbvBinary:
			v->type = JsonContainerIsArray(json->val.binary.data) ? SAGA_MAP_ARRAY : SAGA_MAP_OBJECT;
			v->flags = SAGA_MAP_STORED;
			v->count = JsonContainerSize(json->val.binary.data);
			v->size = json->val.binary.len;
			v->u.container = json->val.binary.data;
			break;
		default:
			elog(ERROR, "unexpected type of jsonb value: %d", (int) json->type);
	}
}

/* ---------- arrays ---------- */

/* parent is the caller's, because the iterator keeps a pointer to it. */
static void
children_start(SagaValueChildren *c, const SagaMapValue *stored, JsonbValue *parent)
{
	parent->type = jbvBinary;
	parent->val.binary.data = stored->u.container;
	parent->val.binary.len = stored->size;
	saga_value_children_start(c, parent);
}

SagaMapValue *
saga_map_elems(SagaMapEval *ev, SagaMapValue *array)
{
	SagaValueChildren c;
	JsonbValue	parent;
	SagaMapValue *elems;
	int			n = 0;

	if ((array->flags & SAGA_MAP_STORED) == 0)
		return array->u.elems;
	if (!saga_map_has_room(ev, array->count, sizeof(SagaMapValue)))
	{
		array->flags &= ~SAGA_MAP_STORED;
		array->count = 0;
		array->u.elems = NULL;
		return NULL;
	}
	/* never NULL, which would mean an error to callers */
	elems = palloc((array->count + 1) * sizeof(SagaMapValue));
	children_start(&c, array, &parent);
	while (saga_value_children_next(&c))
		saga_map_from_json(&c.value, &elems[n++]);
	Assert(n == array->count);
	array->flags &= ~SAGA_MAP_STORED;
	array->u.elems = elems;
	return elems;
}

void
saga_map_element(SagaMapValue *array, int index, SagaMapValue *result)
{
	JsonbValue	parent;
	JsonbValue	element;

	if ((array->flags & SAGA_MAP_STORED) == 0)
	{
		*result = array->u.elems[index];
		return;
	}
	parent.type = jbvBinary;
	parent.val.binary.data = array->u.container;
	parent.val.binary.len = array->size;
	(void) saga_value_element(&parent, index, &element);
	saga_map_from_json(&element, result);
}

/* Not counted as a step: whoever loops has counted. */
bool
saga_map_push(SagaMapEval *ev, SagaMapList *list, const SagaMapValue *v)
{
	if (list->count >= list->max)
	{
		if (list->max >= MAX_ELEMENTS)
			return saga_map_error(ev, "an array gets more than %d elements", MAX_ELEMENTS);
		list->max = Max(list->max * 2, 4);
		if (list->elems == NULL)
			list->elems = palloc(list->max * sizeof(SagaMapValue));
		else
			list->elems = repalloc(list->elems, list->max * sizeof(SagaMapValue));
	}
	list->elems[list->count++] = *v;
	return true;
}

/*
 * The array is unpacked in place, so that a second turn need not do it again.
 */
bool
saga_map_push_all(SagaMapEval *ev, SagaMapList *list, SagaMapValue *array)
{
	SagaMapValue *elems = saga_map_elems(ev, array);

	for (int i = 0; i < array->count; i++)
		if (!saga_map_tick(ev) || !saga_map_push(ev, list, &elems[i]))
			return false;
	return true;
}

/* ---------- objects ---------- */

/*
 * False when there is no such member, or no steps are left; *result stays as
 * it was.  Members of a stored object are found by a binary search, those of
 * others one by one.
 */
bool
saga_map_member(SagaMapEval *ev, const SagaMapValue *object, const char *name, int len, SagaMapValue *result)
{
	JsonbValue	json;

	if (!saga_map_charge_bytes(ev, len))
		return false;
	if (object->flags & SAGA_MAP_STORED)
	{
		if (getKeyJsonValueFromContainer(object->u.container, name, len, &json) == NULL)
			return false;
		saga_map_from_json(&json, result);
		return true;
	}
	for (int i = 0; i < object->count; i++)
	{
		SagaMapPair *pair = &object->u.pairs[i];

		/* a name of another length costs next to nothing */
		if (i % 16 == 15 && !saga_map_tick(ev))
			return false;
		if (pair->len == len && !saga_map_charge_bytes(ev, len))
			return false;
		if (pair->len == len && memcmp(pair->name, name, len) == 0)
		{
			*result = pair->value;
			return true;
		}
	}
	return false;
}

SagaMapPair *
saga_map_pairs(SagaMapEval *ev, const SagaMapValue *object)
{
	SagaValueChildren c;
	JsonbValue	parent;
	SagaMapPair *pairs;
	int			n = 0;

	if ((object->flags & SAGA_MAP_STORED) == 0)
		return object->u.pairs;
	if (!saga_map_has_room(ev, object->count, sizeof(SagaMapPair)))
		return NULL;
	pairs = palloc((object->count + 1) * sizeof(SagaMapPair));
	children_start(&c, object, &parent);
	while (saga_value_children_next(&c))
	{
		pairs[n].name = c.key.val.string.val;
		pairs[n].len = c.key.val.string.len;
		saga_map_from_json(&c.value, &pairs[n++].value);
	}
	Assert(n == object->count);
	return pairs;
}

/* ---------- comparing ---------- */

bool
saga_map_boolean(SagaMapEval *ev, SagaMapValue *v)
{
	SagaMapValue *elems;

	check_stack_depth();

	if (!saga_map_tick(ev))
		return false;

	switch (v->type)
	{
		case SAGA_MAP_BOOL:
			return v->boolean;
		case SAGA_MAP_NUMBER:
			return saga_numeric_compare(v->u.number, int64_to_numeric(0)) != 0;
		case SAGA_MAP_STRING:
		case SAGA_MAP_OBJECT:
			return v->count > 0;
		case SAGA_MAP_ARRAY:
			elems = saga_map_elems(ev, v);
			for (int i = 0; i < v->count; i++)
				if (saga_map_boolean(ev, &elems[i]))
					return true;
			return false;
		default:
			return false;
	}
}

/* JavaScript compares 16-bit units: what has two of them comes before U+E000 and above. */
int
saga_map_string_compare(SagaMapEval *ev, const SagaMapValue *a, const SagaMapValue *b)
{
	const unsigned char *s = (const unsigned char *) a->u.string;
	const unsigned char *t = (const unsigned char *) b->u.string;
	int			len = Min(a->count, b->count);

	if (!saga_map_charge_bytes(ev, len))
		return 0;
	for (int i = 0; i < len; i++)
	{
		if (s[i] == t[i])
			continue;
		if (s[i] >= 0xee && t[i] >= 0xee && (s[i] >= 0xf0) != (t[i] >= 0xf0))
			return s[i] >= 0xf0 ? -1 : 1;
		return s[i] < t[i] ? -1 : 1;
	}
	return a->count < b->count ? -1 : a->count > b->count;
}

/*
 * Names are unique on both sides, so that with equal counts one direction is
 * enough.
 */
static bool
objects_equal(SagaMapEval *ev, const SagaMapValue *a, const SagaMapValue *b)
{
	SagaMapPair *pairs;
	SagaMapValue other;

	if (a->count != b->count)
		return false;
	pairs = saga_map_pairs(ev, a);
	if (pairs == NULL)
		return false;
	for (int i = 0; i < a->count; i++)
		if (!saga_map_member(ev, b, pairs[i].name, pairs[i].len, &other) ||
			!saga_map_equal(ev, &pairs[i].value, &other))
			return false;
	return true;
}

bool
saga_map_equal(SagaMapEval *ev, SagaMapValue *a, SagaMapValue *b)
{
	SagaMapValue *x,
			   *y;

	check_stack_depth();

	if (!saga_map_tick(ev) || a->type != b->type)
		return false;
	switch (a->type)
	{
		case SAGA_MAP_BOOL:
			return a->boolean == b->boolean;
		case SAGA_MAP_NUMBER:
			return saga_map_charge_number(ev, a->u.number) && saga_numeric_compare(a->u.number, b->u.number) == 0;
		case SAGA_MAP_STRING:
			return a->count == b->count && saga_map_charge_bytes(ev, a->count) &&
				memcmp(a->u.string, b->u.string, a->count) == 0;
		case SAGA_MAP_ARRAY:
			if (a->count != b->count)
				return false;
			x = saga_map_elems(ev, a);
			y = saga_map_elems(ev, b);
			if (ev->error != NULL)
				return false;
			for (int i = 0; i < a->count; i++)
				if (!saga_map_equal(ev, &x[i], &y[i]))
					return false;
			return true;
		case SAGA_MAP_OBJECT:
			return objects_equal(ev, a, b);
		default:
			return true;
	}
}

/*
 * With its article, for messages such as "not a string"; in the order of
 * SagaMapType.
 */
const char *
saga_map_type_name(const SagaMapValue *v)
{
	static const char *const names[] = {"nothing", "null", "a boolean", "a number", "a string", "an array", "an object"};

	return names[v->type];
}

/* ---------- as text ---------- */

/* As JSON with its escapes; the caller counts the bytes. */
static void
append_quoted(StringInfo buf, const char *s, int len)
{
	JsonbValue	json;

	saga_value_set_string(&json, s, len);
	(void) saga_value_text(buf, &json, false, MaxAllocSize);
}

/* Elements are quoted, as the text of an array is JSON. */
static bool
append_array(SagaMapEval *ev, StringInfo buf, SagaMapValue *v)
{
	SagaMapValue *elems = saga_map_elems(ev, v);

	appendStringInfoChar(buf, '[');
	for (int i = 0; i < v->count; i++)
	{
		if (i > 0)
			appendStringInfoChar(buf, ',');
		if (!saga_map_append_text(ev, buf, &elems[i], true))
			return false;
	}
	appendStringInfoChar(buf, ']');
	return true;
}

/*
 * Members in the order in which they were made, not jsonb's, as JavaScript
 * keeps it.
 */
static bool
append_object(SagaMapEval *ev, StringInfo buf, SagaMapValue *v)
{
	SagaMapPair *pairs = saga_map_pairs(ev, v);

	if (pairs == NULL)
		return false;
	appendStringInfoChar(buf, '{');
	for (int i = 0; i < v->count; i++)
	{
		if (i > 0)
			appendStringInfoChar(buf, ',');
		if (!saga_map_charge_bytes(ev, pairs[i].len))
			return false;
		append_quoted(buf, pairs[i].name, pairs[i].len);
		appendStringInfoChar(buf, ':');
		if (!saga_map_append_text(ev, buf, &pairs[i].value, true))
			return false;
	}
	appendStringInfoChar(buf, '}');
	return true;
}

/*
 * Numbers are written as JavaScript does.  The limit is looked at before a
 * string is copied, and after anything else, which is short.
 */
bool
saga_map_append_text(SagaMapEval *ev, StringInfo buf, SagaMapValue *v, bool quoted)
{
	check_stack_depth();

	if (!saga_map_tick(ev))
		return false;
	switch (v->type)
	{
		case SAGA_MAP_STRING:
			if (buf->len + v->count > SAGA_MAP_MAX_TEXT)
				break;
			if (quoted ? !saga_map_charge_bytes(ev, v->count) : !saga_map_charge_copy(ev, v->count))
				return false;
			if (quoted)
				append_quoted(buf, v->u.string, v->count);
			else
				appendBinaryStringInfo(buf, v->u.string, v->count);
			return true;
		case SAGA_MAP_NUMBER:
			if (!saga_map_charge_number(ev, v->u.number))
				return false;
			appendStringInfoString(buf, saga_map_number_text(v->u.number));
			break;
		case SAGA_MAP_BOOL:
			appendStringInfoString(buf, v->boolean ? "true" : "false");
			break;
		case SAGA_MAP_ARRAY:
			return append_array(ev, buf, v);
		case SAGA_MAP_OBJECT:
			return append_object(ev, buf, v);
		default:
			appendStringInfoString(buf, "null");
			break;
	}
	if (buf->len > SAGA_MAP_MAX_TEXT || v->type == SAGA_MAP_STRING)
		return saga_map_error(ev, "a text gets longer than %d bytes", SAGA_MAP_MAX_TEXT);
	return true;
}

/* ---------- the result ---------- */

/* Parts can be shared, so that a result may have more of them than there were steps to make it. */
static bool
to_json(SagaMapEval *ev, const SagaMapValue *v, JsonbValue *json)
{
	check_stack_depth();

	if (!saga_map_tick(ev))
		return false;
	if (v->flags & SAGA_MAP_STORED)
	{
		json->type = jbvBinary;
		json->val.binary.data = v->u.container;
		json->val.binary.len = v->size;
		return saga_map_charge_bytes(ev, v->size);
	}
	switch (v->type)
	{
		case SAGA_MAP_BOOL:
			json->type = jbvBool;
			json->val.boolean = v->boolean;
			break;
		case SAGA_MAP_NUMBER:
			json->type = jbvNumeric;
			json->val.numeric = v->u.number;
			return saga_map_charge_number(ev, v->u.number);
		case SAGA_MAP_STRING:
			saga_value_set_string(json, v->u.string, v->count);
			return saga_map_charge_bytes(ev, v->count);
		case SAGA_MAP_ARRAY:
			saga_value_set_array(json, palloc((v->count + 1) * sizeof(JsonbValue)), v->count);
			for (int i = 0; i < v->count; i++)
				if (!to_json(ev, &v->u.elems[i], &json->val.array.elems[i]))
					return false;
			break;
		case SAGA_MAP_OBJECT:
			json->type = jbvObject;
			json->val.object.nPairs = v->count;
			json->val.object.pairs = palloc((v->count + 1) * sizeof(JsonbPair));
			for (int i = 0; i < v->count; i++)
			{
				JsonbPair  *pair = &json->val.object.pairs[i];

				saga_value_set_string(&pair->key, v->u.pairs[i].name, v->u.pairs[i].len);
				if (!saga_map_charge_bytes(ev, v->u.pairs[i].len) ||
					!to_json(ev, &v->u.pairs[i].value, &pair->value))
					return false;
			}
			return saga_map_sort(ev, json->val.object.pairs, v->count, sizeof(JsonbPair), saga_pair_compare);
		default:
			json->type = jbvNull;
			break;
	}
	return true;
}

/*
 * NULL and an error when it is too large.  The result is the only thing that
 * is made in the caller's context.
 */
Jsonb *
saga_map_to_jsonb(SagaMapEval *ev, const SagaMapValue *v)
{
	SagaFault	fault = {0};
	JsonbValue	json;
	MemoryContext old;
	Jsonb	   *result;

	if (!to_json(ev, v, &json))
		return NULL;
	old = MemoryContextSwitchTo(ev->caller);
	result = saga_value_flatten(&json, &fault);
	MemoryContextSwitchTo(old);
	if (result == NULL)
		saga_map_error(ev, "the result is too large");
	return result;
}
