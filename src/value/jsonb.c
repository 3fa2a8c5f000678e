/*
 * jsonb.c
 *		Values: reading jsonb in place, and writing one with few copies.
 *
 * The server's JsonbValueToJsonb takes a nested container apart to its
 * scalars and builds it again.  A container has the same layout at any
 * depth (its parts are aligned relative to a start that is itself aligned),
 * so saga_value_flatten copies its bytes.
 *
 * Begin reading with saga_value_flatten and write_value() for writing, with
 * saga_value_children_next for reading.  Every reader takes all representations of
 * a value (see value.h), so that callers need not ask which one they have.
 * Sizes are computed beforehand (saga_value_size), so that the writer has one
 * buffer and looks at no bound.
 */
#include "postgres.h"

#include "common/text.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "value/value.h"

typedef struct Writer
{
	char	   *data;			/* large enough: see saga_value_size */
	Size		len;
} Writer;

static void write_value(Writer *w, JEntry *type, const JsonbValue *v);

/*
 * A later fault takes the place of an earlier one, whose message stays in its
 * context.
 */
bool
saga_fault(SagaFault *fault, const char *error, const char *fmt, ...)
{
	va_list		args;
	char	   *message;

	va_start(args, fmt);
	message = saga_vformat(fmt, args);
	va_end(args);
	fault->error = error;
	fault->cause = message;
	return false;
}

/* ---------- reading ---------- */

/* A jbvBinary that holds a lone scalar becomes that scalar. */
static void
unwrap(JsonbValue *v)
{
	if (v->type == jbvBinary && JsonContainerIsScalar(v->val.binary.data))
	{
		JsonbValue	scalar;

		if (JsonbExtractScalar(v->val.binary.data, &scalar))
			*v = scalar;
	}
}

void
saga_jsonb_value(const Jsonb *jsonb, JsonbValue *value)
{
	value->type = jbvBinary;
	value->val.binary.data = (JsonbContainer *) &jsonb->root;
	value->val.binary.len = VARSIZE(jsonb) - VARHDRSZ;
	unwrap(value);
}

bool
saga_value_is_array(const JsonbValue *v)
{
	return v->type == jbvArray ||
		(v->type == jbvBinary && JsonContainerIsArray(v->val.binary.data));
}

bool
saga_value_is_object(const JsonbValue *v)
{
	return v->type == jbvObject ||
		(v->type == jbvBinary && JsonContainerIsObject(v->val.binary.data));
}

int
saga_value_count(const JsonbValue *v)
{
	switch (v->type)
	{
		case jbvArray:
			return v->val.array.nElems;
		case jbvObject:
			return v->val.object.nPairs;
		case jbvBinary:
			return JsonContainerSize(v->val.binary.data);
		default:
			return 0;
	}
}

/* False when there is no such element; only the pointers of it are copied. */
bool
saga_value_element(const JsonbValue *array, int64 index, JsonbValue *result)
{
	if (!saga_value_is_array(array) || index < 0 || index >= saga_value_count(array))
		return false;
	if (array->type == jbvArray)
		*result = array->val.array.elems[index];
	else
	{
		JsonbValue *v = getIthJsonbValueFromContainer(array->val.binary.data, (uint32) index);

		*result = *v;
		pfree(v);
	}
	return true;
}

/* False when there is no such member, or when it is no object. */
bool
saga_value_member(const JsonbValue *object, const char *name, int len, JsonbValue *result)
{
	if (object->type == jbvBinary)
		return JsonContainerIsObject(object->val.binary.data) &&
			getKeyJsonValueFromContainer(object->val.binary.data, name, len, result) != NULL;
	if (object->type == jbvObject)
	{
		for (int i = 0; i < object->val.object.nPairs; i++)
		{
			const JsonbPair *pair = &object->val.object.pairs[i];

			if (pair->key.val.string.len == len && memcmp(pair->key.val.string.val, name, len) == 0)
			{
				*result = pair->value;
				return true;
			}
		}
	}
	return false;
}

/*
 * The parent is referred to and must stay as it is, so it may not be c->value
 * itself.  Of a scalar there are no members; the caller has looked.
 */
void
saga_value_children_start(SagaValueChildren *c, const JsonbValue *parent)
{
	JsonbValue	ignored;

	c->parent = parent;
	c->it = NULL;
	c->next = 0;
	c->is_object = saga_value_is_object(parent);
	if (parent->type == jbvBinary)
	{
		c->it = JsonbIteratorInit(parent->val.binary.data);
		(void) JsonbIteratorNext(&c->it, &ignored, true);
	}
}

/* False: there are no more.  key is set for objects only. */
bool
saga_value_children_next(SagaValueChildren *c)
{
	const JsonbValue *parent = c->parent;

	CHECK_FOR_INTERRUPTS();

	if (parent->type == jbvArray)
	{
		if (c->next >= parent->val.array.nElems)
			return false;
		c->value = parent->val.array.elems[c->next++];
		return true;
	}
	if (parent->type == jbvObject)
	{
		if (c->next >= parent->val.object.nPairs)
			return false;
		c->key = parent->val.object.pairs[c->next].key;
		c->value = parent->val.object.pairs[c->next++].value;
		return true;
	}
	if (c->it == NULL)
		return false;
	switch (JsonbIteratorNext(&c->it, &c->value, true))
	{
		case WJB_KEY:
			c->key = c->value;
			/* nested containers are skipped, and come as jbvBinary */
			(void) JsonbIteratorNext(&c->it, &c->value, true);
			return true;
		case WJB_ELEM:
			return true;
		default:
			c->it = NULL;
			return false;
	}
}

/* In UTF-8 bytes sort as code points do. */
int
saga_string_compare(const JsonbValue *a, const JsonbValue *b)
{
	int			alen = a->val.string.len;
	int			blen = b->val.string.len;
	int			cmp = memcmp(a->val.string.val, b->val.string.val, Min(alen, blen));

	if (cmp == 0 && alen != blen)
		cmp = alen < blen ? -1 : 1;
	return cmp;
}

/* NaN and infinities have an order too, though JSON has none of them. */
int
saga_numeric_compare(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a), NumericGetDatum(b)));
}

/*
 * What was made is flattened first, anew for each comparison: callers that
 * compare often do so once.
 */
static JsonbContainer *
as_container(const JsonbValue *v)
{
	if (v->type == jbvBinary)
		return v->val.binary.data;
	return &saga_jsonb_from_value(v)->root;
}

/*
 * Scalars before containers, scalars of one type together; containers by the
 * server's order.  It is total, but means nothing except that 0 is equal.
 */
int
saga_value_compare(const JsonbValue *a, const JsonbValue *b)
{
	bool		a_scalar = IsAJsonbScalar(a);
	bool		b_scalar = IsAJsonbScalar(b);

	if (a_scalar != b_scalar)
		return a_scalar ? -1 : 1;
	if (!a_scalar)
		return compareJsonbContainers(as_container(a), as_container(b));
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	switch (a->type)
	{
		case jbvString:
			return saga_string_compare(a, b);
		case jbvNumeric:
			return saga_numeric_compare(a->val.numeric, b->val.numeric);
		case jbvBool:
			return (int) a->val.boolean - (int) b->val.boolean;
		default:
			return 0;
	}
}

/* As messages of AWS name types. */
const char *
saga_value_type_name(const JsonbValue *v)
{
	switch (v->type)
	{
		case jbvNull:
			return "null";
		case jbvString:
			return "string";
		case jbvNumeric:
			return "number";
		case jbvBool:
			return "boolean";
		default:
			return saga_value_is_array(v) ? "array" : "object";
	}
}

/* ---------- making ---------- */

/* The text is referred to, and need not be terminated. */
void
saga_value_set_string(JsonbValue *v, const char *s, int len)
{
	v->type = jbvString;
	v->val.string.val = unconstify(char *, s);
	v->val.string.len = len;
}

/* The number is allocated in the current context. */
void
saga_value_set_int(JsonbValue *v, int64 n)
{
	v->type = jbvNumeric;
	v->val.numeric = int64_to_numeric(n);
}

/* The elements are referred to, not copied. */
void
saga_value_set_array(JsonbValue *v, JsonbValue *elems, int n)
{
	v->type = jbvArray;
	v->val.array.elems = elems;
	v->val.array.nElems = n;
	v->val.array.rawScalar = false;
}

/* jsonb's order of names: shorter first, then by bytes */
int
saga_pair_compare(const void *a, const void *b)
{
	const JsonbValue *ka = &((const JsonbPair *) a)->key;
	const JsonbValue *kb = &((const JsonbPair *) b)->key;

	if (ka->val.string.len != kb->val.string.len)
		return ka->val.string.len < kb->val.string.len ? -1 : 1;
	return memcmp(ka->val.string.val, kb->val.string.val, ka->val.string.len);
}

/* Each part may need up to three bytes of padding before it. */
Size
saga_value_size(const JsonbValue *v)
{
	Size		size = sizeof(uint32) + sizeof(JEntry) + 3;

	check_stack_depth();

	switch (v->type)
	{
		case jbvString:
			return size + v->val.string.len;
		case jbvNumeric:
			return size + VARSIZE_ANY(v->val.numeric);
		case jbvBinary:
			return size + v->val.binary.len;
		case jbvArray:
			for (int i = 0; i < v->val.array.nElems; i++)
				size += saga_value_size(&v->val.array.elems[i]);
			return size;
		case jbvObject:
			for (int i = 0; i < v->val.object.nPairs; i++)
				size += saga_value_size(&v->val.object.pairs[i].key) +
					saga_value_size(&v->val.object.pairs[i].value);
			return size;
		default:
			return size;
	}
}

/* saga_value_size has seen to it that there is room. */
static void
write_bytes(Writer *w, const void *data, Size len)
{
	memcpy(w->data + w->len, data, len);
	w->len += len;
}

/* The buffer starts aligned, so its offsets are aligned as addresses are. */
static void
write_padding(Writer *w)
{
	while (w->len != INTALIGN(w->len))
		w->data[w->len++] = '\0';
}

/*
 * Every 32nd entry holds where its data ends, the others how long they are:
 * that is what makes random access and compression both good enough.
 */
static void
set_entry(JEntry *entries, int index, JEntry type, Size len, Size total)
{
	if (index % JB_OFFSET_STRIDE == 0)
		entries[index] = type | (JEntry) total | JENTRY_HAS_OFF;
	else
		entries[index] = type | (JEntry) len;
}

/*
 * Also writes a scalar document, which is an array of one with a flag.  The
 * entries come first, so that their place is kept until the data behind them
 * is written.
 */
static void
write_array(Writer *w, const JsonbValue *elems, int n, uint32 flags)
{
	uint32		header = n | flags;
	JEntry	   *entries;
	Size		start;

	write_bytes(w, &header, sizeof(header));
	entries = (JEntry *) (w->data + w->len);
	w->len += n * sizeof(JEntry);
	start = w->len;
	for (int i = 0; i < n; i++)
	{
		Size		before = w->len;
		JEntry		type;

		write_value(w, &type, &elems[i]);
		set_entry(entries, i, type, w->len - before, w->len - start);
	}
}

/* All names, and then all values, as jsonb has them. */
static void
write_object(Writer *w, const JsonbPair *pairs, int n)
{
	uint32		header = n | JB_FOBJECT;
	JEntry	   *entries;
	Size		start;

	write_bytes(w, &header, sizeof(header));
	entries = (JEntry *) (w->data + w->len);
	w->len += 2 * n * sizeof(JEntry);
	start = w->len;
	for (int i = 0; i < 2 * n; i++)
	{
		Size		before = w->len;
		JEntry		type;

		Assert(i == 0 || i >= n || saga_pair_compare(&pairs[i - 1], &pairs[i]) < 0);
		write_value(w, &type, i < n ? &pairs[i].key : &pairs[i - n].value);
		set_entry(entries, i, type, w->len - before, w->len - start);
	}
}

/*
 * Writes the data of one value and sets the type for its entry.  Containers
 * are padded before, as numerics are; the padding counts as part of the
 * value.
 */
static void
write_value(Writer *w, JEntry *type, const JsonbValue *v)
{
	check_stack_depth();

	switch (v->type)
	{
		case jbvNull:
			*type = JENTRY_ISNULL;
			break;
		case jbvString:
			*type = JENTRY_ISSTRING;
			write_bytes(w, v->val.string.val, v->val.string.len);
			break;
		case jbvNumeric:
			*type = JENTRY_ISNUMERIC;
			write_padding(w);
			write_bytes(w, v->val.numeric, VARSIZE_ANY(v->val.numeric));
			break;
		case jbvBool:
			*type = v->val.boolean ? JENTRY_ISBOOL_TRUE : JENTRY_ISBOOL_FALSE;
			break;
		case jbvArray:
			*type = JENTRY_ISCONTAINER;
			write_padding(w);
			write_array(w, v->val.array.elems, v->val.array.nElems, JB_FARRAY);
			break;
		case jbvObject:
			*type = JENTRY_ISCONTAINER;
			write_padding(w);
			write_object(w, v->val.object.pairs, v->val.object.nPairs);
			break;
		case jbvBinary:
			if (JsonContainerIsScalar(v->val.binary.data))
			{
				JsonbValue	scalar = *v;

				unwrap(&scalar);
				write_value(w, type, &scalar);
				break;
			}
			*type = JENTRY_ISCONTAINER;
			write_padding(w);
			write_bytes(w, v->val.binary.data, v->val.binary.len);
			break;
		default:
			elog(ERROR, "unexpected type of jsonb value: %d", (int) v->type);
	}
}

/*
 * In the current context.  The buffer may be larger than the result, as
 * padding is estimated.
 */
Jsonb *
saga_value_flatten(const JsonbValue *v, SagaFault *fault)
{
	Size		size = VARHDRSZ + sizeof(uint32) + saga_value_size(v);
	Jsonb	   *result;
	Writer		w;

	if (size > SAGA_VALUE_MAX_SIZE)
	{
		saga_fault(fault, "States.DataLimitExceeded",
				   "The result has a size of %zu bytes, more than a value can have.", size);
		return NULL;
	}
	w.data = palloc(size);
	w.len = VARHDRSZ;
	if (IsAJsonbScalar(v) || (v->type == jbvBinary && JsonContainerIsScalar(v->val.binary.data)))
		write_array(&w, v, 1, JB_FARRAY | JB_FSCALAR);
	else
	{
		JEntry		ignored;

		write_value(&w, &ignored, v);
	}
	result = (Jsonb *) w.data;
	SET_VARSIZE(result, w.len);
	return result;
}

/* ---------- for others ---------- */

/*
 * For values that come from a document already, so that they cannot be too
 * large for one.
 */
Jsonb *
saga_jsonb_from_value(const JsonbValue *value)
{
	SagaFault	fault = {0};
	Jsonb	   *result = saga_value_flatten(value, &fault);

	if (result == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("value is too large for jsonb")));
	return result;
}

Jsonb *
saga_jsonb_null(void)
{
	JsonbValue	v;

	v.type = jbvNull;
	return saga_jsonb_from_value(&v);
}

Jsonb *
saga_jsonb_empty_object(void)
{
	JsonbValue	v;

	v.type = jbvObject;
	v.val.object.nPairs = 0;
	v.val.object.pairs = NULL;
	return saga_jsonb_from_value(&v);
}

/* False when it is not there, or when the jsonb is no object. */
bool
saga_jsonb_get(const Jsonb *object, const char *name, JsonbValue *value)
{
	JsonbValue	v;

	saga_jsonb_value(object, &v);
	return saga_value_member(&v, name, strlen(name), value);
}

char *
saga_jsonb_get_string(const Jsonb *object, const char *name)
{
	JsonbValue	v;

	if (!saga_jsonb_get(object, name, &v) || v.type != jbvString)
		return NULL;
	return pnstrdup(v.val.string.val, v.val.string.len);
}
