/*
 * value.c
 *		Values during the evaluation of an expression.
 *
 * What comes from a stored document stays in its jsonb until somebody looks
 * at the elements of an array; what an expression makes is a tree of its own,
 * whose arrays know how they were made.
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

#include "jsonata/jsonata_private.h"

/* ---------- setting ---------- */

void
saga_jsonata_set_bool(SagaJsonataValue *v, bool boolean)
{
	saga_jsonata_set_nothing(v);
	v->type = SAGA_JV_BOOL;
	v->boolean = boolean;
}

void
saga_jsonata_set_number(SagaJsonataValue *v, double number)
{
	saga_jsonata_set_nothing(v);
	v->type = SAGA_JV_NUMBER;
	v->u.number = number;
}

void
saga_jsonata_set_numeric(SagaJsonataValue *v, Numeric number)
{
	saga_jsonata_set_nothing(v);
	v->type = SAGA_JV_NUMBER;
	v->flags = SAGA_JV_NUMERIC;
	v->u.numeric = number;
}

/* The text need not be terminated. */
void
saga_jsonata_set_string(SagaJsonataValue *v, const char *s, int len)
{
	saga_jsonata_set_nothing(v);
	v->type = SAGA_JV_STRING;
	v->u.string = s;
	v->count = len;
}

void
saga_jsonata_set_cstring(SagaJsonataValue *v, const char *s)
{
	saga_jsonata_set_string(v, s, strlen(s));
}

/* The buffer is the value's from now on.  A short text does not keep a long one. */
void
saga_jsonata_set_buffer(SagaJsonataEval *ev, SagaJsonataValue *v, const StringInfoData *buf)
{
	char	   *text = buf->data;

	if (buf->len < 512)
	{
		text = saga_jsonata_alloc(ev, buf->len + 1);
		memcpy(text, buf->data, buf->len + 1);
		pfree(buf->data);
	}
	saga_jsonata_set_string(v, text, buf->len);
}

/* Takes the list's elements over: the list is not to be added to afterwards. */
void
saga_jsonata_set_array(SagaJsonataValue *v, const SagaJsonataList *list, uint8 flags)
{
	saga_jsonata_set_nothing(v);
	v->type = SAGA_JV_ARRAY;
	v->flags = flags;
	v->u.elems = list->elems;
	v->count = list->count;
}

void
saga_jsonata_set_object(SagaJsonataValue *v, SagaJsonataObject *object)
{
	saga_jsonata_set_nothing(v);
	v->type = SAGA_JV_OBJECT;
	v->u.object = object;
}

/* ---------- what is stored ---------- */

/*
 * Reads the layout of jsonb directly, as an iterator of the server's would
 * allocate, and finding elements by number starts over each time.
 */
void
saga_jsonata_walk_start(SagaJsonataWalk *walk, const SagaJsonataValue *stored)
{
	JsonbContainer *container = stored->u.container;

	walk->container = container;
	walk->next = 0;
	walk->offset = 0;
	walk->data = (char *) &container->children[JsonContainerSize(container) << (JsonContainerIsObject(container) ? 1 : 0)];
}

void
saga_jsonata_walk_next(SagaJsonataWalk *walk, SagaJsonataValue *v)
{
	JEntry		entry = walk->container->children[walk->next++];
	uint32		start = walk->offset;
	uint32		end = JBE_HAS_OFF(entry) ? JBE_OFFLENFLD(entry) : start + JBE_OFFLENFLD(entry);
	uint32		aligned = INTALIGN(start);

	walk->offset = end;
	saga_jsonata_set_nothing(v);
	if (JBE_ISSTRING(entry))
	{
		v->type = SAGA_JV_STRING;
		v->u.string = walk->data + start;
		v->count = end - start;
	}
	else if (JBE_ISNUMERIC(entry))
	{
		v->type = SAGA_JV_NUMBER;
		v->flags = SAGA_JV_NUMERIC;
		v->u.numeric = (Numeric) (walk->data + aligned);
	}
	else if (JBE_ISNULL(entry))
		v->type = SAGA_JV_NULL;
	else if (JBE_ISBOOL(entry))
		saga_jsonata_set_bool(v, JBE_ISBOOL_TRUE(entry));
	else
	{
		v->u.container = (JsonbContainer *) (walk->data + aligned);
		v->type = JsonContainerIsArray(v->u.container) ? SAGA_JV_ARRAY : SAGA_JV_OBJECT;
		v->flags = SAGA_JV_STORED;
		v->count = end - aligned;
	}
}

/* Points into the jsonb, which must outlive the evaluation. */
void
saga_jsonata_from_jsonb(Jsonb *jsonb, SagaJsonataValue *v)
{
	JsonbContainer *root = &jsonb->root;
	SagaJsonataWalk walk;

	saga_jsonata_set_nothing(v);
	v->u.container = root;
	v->type = JsonContainerIsObject(root) ? SAGA_JV_OBJECT : SAGA_JV_ARRAY;
	v->flags = SAGA_JV_STORED;
	v->count = VARSIZE(jsonb) - VARHDRSZ;
	if (JsonContainerIsScalar(root))
	{
		/* a scalar is the only element of an array */
		saga_jsonata_walk_start(&walk, v);
		saga_jsonata_walk_next(&walk, v);
	}
}

/* ---------- arrays ---------- */

int
saga_jsonata_count(const SagaJsonataValue *v)
{
	if (v->flags & SAGA_JV_STORED)
		return JsonContainerSize(v->u.container);
	return v->type == SAGA_JV_OBJECT ? v->u.object->count : v->count;
}

/* What has been counted at once takes a while when it is millions. */
static inline void
hear_interrupts(int i)
{
	if (unlikely((i & 0x7FFF) == 0x7FFF))
		CHECK_FOR_INTERRUPTS();
}

/* All elements of what is stored, or of a range. */
static void
unpack(const SagaJsonataValue *array, SagaJsonataValue *elems)
{
	int			n = saga_jsonata_count(array);

	if (array->flags & SAGA_JV_STORED)
	{
		SagaJsonataWalk walk;

		saga_jsonata_walk_start(&walk, array);
		for (int i = 0; i < n; i++)
		{
			hear_interrupts(i);
			saga_jsonata_walk_next(&walk, &elems[i]);
		}
		return;
	}
	for (int i = 0; i < n; i++)
	{
		hear_interrupts(i);
		saga_jsonata_set_number(&elems[i], array->u.first + i);
	}
}

/* Stored ones and ranges are unpacked in place, so that a second turn need not do it again. */
SagaJsonataValue *
saga_jsonata_elems(SagaJsonataEval *ev, SagaJsonataValue *array)
{
	int			n = saga_jsonata_count(array);
	SagaJsonataValue *elems;

	if ((array->flags & (SAGA_JV_STORED | SAGA_JV_RANGE)) == 0)
		return array->u.elems;
	if (!saga_jsonata_has_room(ev, n, sizeof(SagaJsonataValue)))
	{
		array->flags &= ~(SAGA_JV_STORED | SAGA_JV_RANGE);
		array->count = 0;
		array->u.elems = NULL;
		return NULL;
	}
	/* never NULL, which would mean a fault to callers */
	elems = saga_jsonata_alloc(ev, (n + 1) * sizeof(SagaJsonataValue));
	unpack(array, elems);
	array->flags &= ~(SAGA_JV_STORED | SAGA_JV_RANGE);
	array->count = n;
	array->u.elems = elems;
	return elems;
}

/* Of a stored array, this begins at its start: for one element, not for all. */
void
saga_jsonata_element(const SagaJsonataValue *array, int index, SagaJsonataValue *result)
{
	SagaJsonataWalk walk;

	if (array->flags & SAGA_JV_RANGE)
		saga_jsonata_set_number(result, array->u.first + index);
	else if (array->flags & SAGA_JV_STORED)
	{
		saga_jsonata_walk_start(&walk, array);
		for (int i = 0; i < index; i++)
		{
			JEntry		entry = walk.container->children[i];

			walk.offset = JBE_HAS_OFF(entry) ? JBE_OFFLENFLD(entry) : walk.offset + JBE_OFFLENFLD(entry);
		}
		walk.next = index;
		saga_jsonata_walk_next(&walk, result);
	}
	else
		*result = array->u.elems[index];
}

/* Makes room for so many more. */
static bool
grow(SagaJsonataEval *ev, SagaJsonataList *list, int more)
{
	SagaJsonataValue *elems;
	int			max;

	if (more > SAGA_JSONATA_MAX_ELEMENTS - list->count)
		return saga_jsonata_fail(ev, "D2015", "an array gets more than %d elements", SAGA_JSONATA_MAX_ELEMENTS);
	max = Max(list->count + more, list->max < 4 ? 4 : list->max * 2);
	if (!saga_jsonata_has_room(ev, max, sizeof(SagaJsonataValue)))
		return false;
	elems = saga_jsonata_alloc(ev, max * sizeof(SagaJsonataValue));
	if (list->count > 0)
		memcpy(elems, list->elems, list->count * sizeof(SagaJsonataValue));

	/*
	 * large ones lie by themselves (saga_jsonata_alloc), and would take up
	 * half of the memory
	 */
	if (list->max * sizeof(SagaJsonataValue) > 64 * 1024)
		pfree(list->elems);
	list->elems = elems;
	list->max = max;
	return true;
}

/* Not counted as a step: whoever loops has counted. */
bool
saga_jsonata_push(SagaJsonataEval *ev, SagaJsonataList *list, const SagaJsonataValue *v)
{
	if (list->count >= list->max && !grow(ev, list, 1))
		return false;
	list->elems[list->count++] = *v;
	return true;
}

/* Elements go from where they lie straight into the list. */
bool
saga_jsonata_push_all(SagaJsonataEval *ev, SagaJsonataList *list, const SagaJsonataValue *array)
{
	int			n = saga_jsonata_count(array);

	if (list->max - list->count < n && !grow(ev, list, n))
		return false;
	if (!saga_jsonata_spend(ev, n / 4))
		return false;
	if (array->flags & (SAGA_JV_STORED | SAGA_JV_RANGE))
		unpack(array, list->elems + list->count);
	else if (n > 0)
		memcpy(list->elems + list->count, array->u.elems, n * sizeof(SagaJsonataValue));
	list->count += n;
	return true;
}

bool
saga_jsonata_sequence_of(SagaJsonataEval *ev, const SagaJsonataValue *v, SagaJsonataValue *result)
{
	SagaJsonataValue one = *v;

	saga_jsonata_set_nothing(result);
	result->type = SAGA_JV_ARRAY;
	result->flags = SAGA_JV_SEQUENCE;
	result->count = 1;
	result->u.elems = saga_jsonata_alloc(ev, sizeof(SagaJsonataValue));
	result->u.elems[0] = one;
	return true;
}
