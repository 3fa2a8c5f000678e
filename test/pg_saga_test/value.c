/*
 * value.c
 *		Values that expressions work on, their text, numbers and times; ids; and
 *		foreign bytes that become such values.
 */
#include "fake.h"

#include "common/clock.h"
#include "common/common.h"
#include "fmgr.h"
#include "net/charset_private.h"
#include "net/foreign.h"
#include "net/jsonb_read_private.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "value/value.h"

/* ---------- values ---------- */

/* The same value with nothing of the jsonb's own containers in it. */
static void
take_apart(const JsonbValue *from, JsonbValue *to)
{
	SagaValueChildren children;
	int			i = 0;

	*to = *from;
	if (from->type != jbvBinary)
		return;
	saga_value_children_start(&children, from);
	if (saga_value_is_object(from))
	{
		to->type = jbvObject;
		to->val.object.nPairs = saga_value_count(from);
		to->val.object.pairs = palloc0(sizeof(JsonbPair) * Max(to->val.object.nPairs, 1));
		while (saga_value_children_next(&children))
		{
			to->val.object.pairs[i].key = children.key;
			take_apart(&children.value, &to->val.object.pairs[i++].value);
		}
		return;
	}
	to->type = jbvArray;
	to->val.array.rawScalar = false;
	to->val.array.nElems = saga_value_count(from);
	to->val.array.elems = palloc0(sizeof(JsonbValue) * Max(to->val.array.nElems, 1));
	while (saga_value_children_next(&children))
		take_apart(&children.value, &to->val.array.elems[i++]);
}

PG_FUNCTION_INFO_V1(saga_test_rebuild);

/* Taken apart, and made one jsonb again. */
Datum
saga_test_rebuild(PG_FUNCTION_ARGS)
{
	JsonbValue	whole;
	JsonbValue	parts;
	SagaFault	fault = {0};
	Jsonb	   *result;

	saga_jsonb_value(PG_GETARG_JSONB_P(0), &whole);
	take_apart(&whole, &parts);
	result = saga_value_flatten(&parts, &fault);
	if (result == NULL)
		elog(ERROR, "%s: %s", fault.error, fault.cause);
	if (VARSIZE(result) > saga_value_size(&parts) + VARHDRSZ)
		elog(ERROR, "it is larger than its size was said to be at most");
	PG_RETURN_JSONB_P(result);
}

PG_FUNCTION_INFO_V1(saga_test_compare);

/* -1, 0 or 1; as they are, and taken apart. */
Datum
saga_test_compare(PG_FUNCTION_ARGS)
{
	JsonbValue	a;
	JsonbValue	b;
	JsonbValue	b_parts;
	int			result;

	saga_jsonb_value(PG_GETARG_JSONB_P(0), &a);
	saga_jsonb_value(PG_GETARG_JSONB_P(1), &b);
	take_apart(&b, &b_parts);
	result = saga_value_compare(&a, &b);
	result = (result > 0) - (result < 0);
	if ((saga_value_compare(&a, &b_parts) > 0) - (saga_value_compare(&a, &b_parts) < 0) != result)
		elog(ERROR, "a value that is taken apart compares otherwise");
	PG_RETURN_INT32(result);
}

PG_FUNCTION_INFO_V1(saga_test_value_text);

/* NULL: it is longer than the limit. */
Datum
saga_test_value_text(PG_FUNCTION_ARGS)
{
	StringInfoData out;
	JsonbValue	value;
	JsonbValue	parts;

	initStringInfo(&out);
	saga_jsonb_value(PG_GETARG_JSONB_P(0), &value);
	take_apart(&value, &parts);
	if (!saga_value_text(&out, &parts, PG_GETARG_BOOL(1), PG_GETARG_INT32(2)))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(out.data));
}

PG_FUNCTION_INFO_V1(saga_test_value_element);

Datum
saga_test_value_element(PG_FUNCTION_ARGS)
{
	JsonbValue	array;
	JsonbValue	parts;
	JsonbValue	element;
	bool		found;

	saga_jsonb_value(PG_GETARG_JSONB_P(0), &array);
	take_apart(&array, &parts);
	found = saga_value_element(&array, PG_GETARG_INT64(1), &element);
	if (saga_value_element(&parts, PG_GETARG_INT64(1), &element) != found)
		elog(ERROR, "an array that is taken apart has other elements");
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(saga_jsonb_from_value(&element));
}

/* ---------- numbers and times ---------- */

PG_FUNCTION_INFO_V1(saga_test_number_length);

Datum
saga_test_number_length(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(saga_number_length(text_to_cstring(PG_GETARG_TEXT_PP(0))));
}

PG_FUNCTION_INFO_V1(saga_test_timestamp);

/* Whole seconds since 2000, and the nanoseconds behind them; NULL: it is none. */
Datum
saga_test_timestamp(PG_FUNCTION_ARGS)
{
	char	   *data = text_to_cstring(PG_GETARG_TEXT_PP(0));
	TimestampTz at;
	int			nanoseconds;
	int64		us;

	if (!saga_timestamp_parse(data, strlen(data), &at, &nanoseconds))
		PG_RETURN_NULL();
	us = at % USECS_PER_SEC;
	if (us < 0)
		us += USECS_PER_SEC;
	PG_RETURN_TEXT_P(cstring_to_text(psprintf(INT64_FORMAT ".%06d%03d", (at - us) / USECS_PER_SEC, (int) us, nanoseconds)));
}

PG_FUNCTION_INFO_V1(saga_test_backoff);

Datum
saga_test_backoff(PG_FUNCTION_ARGS)
{
	int64		first = PG_GETARG_INT64(0);
	int			failures = PG_GETARG_INT32(1);
	int64		most = PG_GETARG_INT64(2);
	int64		whole = saga_backoff(first, failures, most);

	for (int i = 0; i < 100; i++)
	{
		int64		jittered = saga_backoff_jittered(first, failures, most);

		if (jittered < whole / 2 || jittered > whole)
			elog(ERROR, "jittered " INT64_FORMAT " of " INT64_FORMAT, jittered, whole);
	}
	PG_RETURN_INT64(whole);
}

/* ---------- ids ---------- */

PG_FUNCTION_INFO_V1(saga_test_uuid_previous);

Datum
saga_test_uuid_previous(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *result = palloc(sizeof(pg_uuid_t));

	*result = saga_uuid_previous(PG_GETARG_UUID_P(0));
	PG_RETURN_UUID_P(result);
}

PG_FUNCTION_INFO_V1(saga_test_uuid_time);

Datum
saga_test_uuid_time(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(saga_uuid_time(PG_GETARG_UUID_P(0)));
}

PG_FUNCTION_INFO_V1(saga_test_uuid_parse);

Datum
saga_test_uuid_parse(PG_FUNCTION_ARGS)
{
	pg_uuid_t	id;

	if (!saga_uuid_parse(text_to_cstring(PG_GETARG_TEXT_PP(0)), &id))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(saga_uuid_to_cstring(&id)));
}

/* ---------- what is foreign ---------- */

PG_FUNCTION_INFO_V1(saga_test_foreign_text);

Datum
saga_test_foreign_text(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);

	PG_RETURN_TEXT_P(cstring_to_text(saga_foreign_text(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), PG_GETARG_INT32(1))));
}

PG_FUNCTION_INFO_V1(saga_test_foreign_json);

/* NULL: it is no JSON, or none that jsonb can hold. */
Datum
saga_test_foreign_json(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);
	size_t		len = VARSIZE_ANY_EXHDR(bytes);
	char	   *text = palloc(len + 1);
	Jsonb	   *result;

	memcpy(text, VARDATA_ANY(bytes), len);
	text[len] = '\0';
	result = saga_foreign_json(text, len, PG_GETARG_BOOL(1));
	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(result);
}

PG_FUNCTION_INFO_V1(saga_test_charset);

/* In UTF-8; NULL: nobody can say which characters these are. */
Datum
saga_test_charset(PG_FUNCTION_ARGS)
{
	char	   *type = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bytea	   *bytes = PG_GETARG_BYTEA_PP(1);
	size_t		len = VARSIZE_ANY_EXHDR(bytes);
	char	   *text = palloc(len + 1);
	char	   *converted;
	size_t		converted_len;
	size_t		size;
	bytea	   *result;

	memcpy(text, VARDATA_ANY(bytes), len);
	text[len] = '\0';
	switch (saga_charset_to_utf8(type[0] != '\0' ? type : NULL, text, &len, &converted, &converted_len, &size))
	{
		case SAGA_CHARSET_UNREADABLE:
			PG_RETURN_NULL();
		case SAGA_CHARSET_KEPT:
			result = palloc(VARHDRSZ + len);
			SET_VARSIZE(result, VARHDRSZ + len);
			memcpy(VARDATA(result), text, len);
			PG_RETURN_BYTEA_P(result);
		case SAGA_CHARSET_CONVERTED:
			break;
	}
	if (converted[converted_len] != '\0' || converted_len >= size)
		elog(ERROR, "what was converted has no NUL behind it");
	result = palloc(VARHDRSZ + converted_len);
	SET_VARSIZE(result, VARHDRSZ + converted_len);
	memcpy(VARDATA(result), converted, converted_len);
	free(converted);
	PG_RETURN_BYTEA_P(result);
}
