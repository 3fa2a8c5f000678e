/*
 * doc.c
 *		Small helpers to read and build jsonb documents.
 *
 * For documents that are read once and built member by member, by the
 * server's own functions: what comes back is the server's representation.
 * Expressions, which need speed and must not raise, use jsonb.c beside this.
 * Text that is returned is copied into the current context.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "value/doc.h"

/* All numbers of a document may have so many digits that are written and not stored. */
#define MAX_HIDDEN_DIGITS	(1024 * 1024)

/* What nearly all numbers are below, and their scales. */
#define PLAIN_NUMBER		INT64CONST(1000000000000000000)
#define PLAIN_SCALE			50

/*
 * Also NULL for a doc that is NULL, so that look-ups can be chained.  The
 * value points into the document.
 */
JsonbValue *
saga_doc_get(JsonbContainer *doc, const char *name)
{
	if (doc == NULL || !JsonContainerIsObject(doc))
		return NULL;
	return getKeyJsonValueFromContainer(doc, name, strlen(name), NULL);
}

/* A member of another type counts as missing. */
char *
saga_doc_get_string(JsonbContainer *doc, const char *name)
{
	JsonbValue *value = saga_doc_get(doc, name);

	if (value == NULL || value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/* Of a member as look-ups give it: containers are jbvBinary there. */
bool
saga_doc_is_object(const JsonbValue *value)
{
	return value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data);
}

/* A scalar document is stored as an array of one; it is no array. */
bool
saga_doc_is_array(const JsonbValue *value)
{
	return value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data) &&
		!JsonContainerIsScalar(value->val.binary.data);
}

/*
 * Numbers with all their digits: saga_doc_can_be_written() says beforehand
 * whether they are too many.
 */
char *
saga_doc_text(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(numeric_out,
													   NumericGetDatum(value->val.numeric)));
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		default:
			return NULL;
	}
}

Jsonb *
saga_doc_merge(Jsonb *first, Jsonb *second)
{
	if (first == NULL || second == NULL)
		return first != NULL ? first : second;
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(first), JsonbPGetDatum(second)));
}

bool
saga_doc_contains(Jsonb *array, const JsonbValue *value)
{
	return IsAJsonbScalar(value) &&
		findJsonbValueFromContainer(&array->root, JB_FARRAY, unconstify(JsonbValue *, value)) != NULL;
}

/*
 * True for numbers whose text cannot be much longer than what is stored;
 * without writing it.
 */
static bool
is_plain(Numeric number)
{
	Datum		size = DirectFunctionCall1(numeric_abs, NumericGetDatum(number));

	return DatumGetInt32(DirectFunctionCall1(numeric_scale, size)) <= PLAIN_SCALE &&
		DatumGetBool(DirectFunctionCall2(numeric_lt, size, NumericGetDatum(int64_to_numeric(PLAIN_NUMBER))));
}

/* 1e131071 takes a few bytes, and a hundred thousand when it is written out. */
static int64
hidden_digits(Numeric number)
{
	char	   *text;
	int64		written;

	if (is_plain(number))
		return 0;
	text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));
	written = strlen(text);
	pfree(text);
	return Max(written - 2 * (int64) VARSIZE_ANY(number), 0);
}

/* The numbers are counted together: a document may have many of them. */
bool
saga_doc_can_be_written(const JsonbValue *value)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	item;
	int64		hidden = 0;

	if (value->type != jbvBinary)
		return true;
	it = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &item, false)) != WJB_DONE)
	{
		CHECK_FOR_INTERRUPTS();
		if ((token == WJB_VALUE || token == WJB_ELEM) && item.type == jbvNumeric)
			hidden += hidden_digits(item.val.numeric);
		if (hidden > MAX_HIDDEN_DIGITS)
			return false;
	}
	return true;
}

/* A container is written from where it is: it may be large. */
void
saga_doc_append_json(StringInfo out, const JsonbValue *value)
{
	Jsonb	   *doc;

	if (value->type == jbvBinary)
	{
		(void) JsonbToCString(out, value->val.binary.data, value->val.binary.len);
		return;
	}
	doc = JsonbValueToJsonb(unconstify(JsonbValue *, value));
	(void) JsonbToCString(out, &doc->root, VARSIZE(doc));
	pfree(doc);
}

char *
saga_doc_json(const JsonbValue *value)
{
	StringInfoData out;

	initStringInfo(&out);
	saga_doc_append_json(&out, value);
	return out.data;
}

/* Adds a whole jsonb, scalar or not, as one value or element. */
void
saga_jsonb_push(JsonbParseState **state, JsonbIteratorToken token, Jsonb *value)
{
	JsonbValue	v;

	if (!JsonbExtractScalar(&value->root, &v))
	{
		v.type = jbvBinary;
		v.val.binary.data = &value->root;
		v.val.binary.len = VARSIZE(value) - VARHDRSZ;
	}
	pushJsonbValue(state, token, &v);
}

void
saga_jsonb_push_key(JsonbParseState **state, const char *name)
{
	saga_jsonb_push_string(state, WJB_KEY, name);
}

void
saga_jsonb_push_string(JsonbParseState **state, JsonbIteratorToken token, const char *value)
{
	JsonbValue	v;

	if (value == NULL)
		v.type = jbvNull;
	else
	{
		v.type = jbvString;
		v.val.string.val = unconstify(char *, value);
		v.val.string.len = strlen(value);
	}
	pushJsonbValue(state, token, &v);
}

void
saga_jsonb_push_int64(JsonbParseState **state, JsonbIteratorToken token, int64 value)
{
	JsonbValue	v;

	v.type = jbvNumeric;
	v.val.numeric = int64_to_numeric(value);
	pushJsonbValue(state, token, &v);
}

void
saga_doc_push_value(JsonbParseState **state, const char *name, const JsonbValue *value)
{
	saga_jsonb_push_key(state, name);
	pushJsonbValue(state, WJB_VALUE, unconstify(JsonbValue *, value));
}

void
saga_doc_push_string(JsonbParseState **state, const char *name, const char *text)
{
	saga_jsonb_push_key(state, name);
	saga_jsonb_push_string(state, WJB_VALUE, text);
}

void
saga_doc_push_bool(JsonbParseState **state, const char *name, bool boolean)
{
	JsonbValue	value;

	value.type = jbvBool;
	value.val.boolean = boolean;
	saga_doc_push_value(state, name, &value);
}

void
saga_doc_push_int(JsonbParseState **state, const char *name, int64 number)
{
	saga_jsonb_push_key(state, name);
	saga_jsonb_push_int64(state, WJB_VALUE, number);
}

void
saga_doc_push_jsonb(JsonbParseState **state, const char *name, Jsonb *doc)
{
	saga_jsonb_push_key(state, name);
	saga_jsonb_push(state, WJB_VALUE, doc);
}

/*
 * A name is copied for each call, with a NUL at its end; the value points
 * into the document.
 */
void
saga_doc_each(JsonbContainer *object, saga_doc_member_fn fn, void *arg)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	item;

	if (object == NULL || !JsonContainerIsObject(object))
		return;
	it = JsonbIteratorInit(object);
	(void) JsonbIteratorNext(&it, &item, true); /* WJB_BEGIN_OBJECT */
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_END_OBJECT)
	{
		char	   *name;

		CHECK_FOR_INTERRUPTS();
		Assert(token == WJB_KEY);
		name = pnstrdup(item.val.string.val, item.val.string.len);
		token = JsonbIteratorNext(&it, &item, true);
		Assert(token == WJB_VALUE);
		fn(name, &item, arg);
	}
}
