/*
 * function_text.c
 *		Functions on texts that know nothing of patterns.
 */
#include "postgres.h"

#include <math.h>

#include "jsonata/function_private.h"

/* A part of the first argument. */
static bool
part_result(SagaJsonataCall *call, const char *s, int len)
{
	saga_jsonata_set_string(call->result, s, len);
	return true;
}

/*
 * Makes the text in the buffer the result, which takes the buffer's memory
 * over.  done is what the helper has answered: when it is false, the fault
 * that it has set stays.  D2015: the text is too long.
 */
static bool
buffer_result(SagaJsonataCall *call, bool done, const StringInfoData *buf)
{
	if (!done)
		return saga_jsonata_fail(call->ev, "D3141", "%s failed", call->builtin->name);
	if (buf->len > SAGA_JSONATA_MAX_TEXT)
		return saga_jsonata_fail(call->ev, "D2015", "a text gets longer than %d bytes", SAGA_JSONATA_MAX_TEXT);
	saga_jsonata_set_buffer(call->ev, call->result, buf);
	return true;
}

bool
saga_jsonata_fn_string(SagaJsonataCall *call)
{
	StringInfoData buf;
	bool		fails = false;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	if (call->args[0].type == SAGA_JV_STRING)
	{
		*call->result = call->args[0];
		return true;
	}
	if (call->args[0].type == SAGA_JV_NUMBER && call->args[0].flags == 0 &&
		(isinf(call->args[0].u.number) || isnan(call->args[0].u.number)))
		return saga_jsonata_fail(call->ev, "D3001", "$string cannot make a text of a number that is out of range");
	initStringInfo(&buf);
	if (!saga_jsonata_append_string(call->ev, &buf, &call->args[0], saga_jsonata_boolean(call->ev, &call->args[1])))
		return false;
	return !fails && buffer_result(call, true, &buf);
}

bool
saga_jsonata_fn_substring(SagaJsonataCall *call)
{
	SagaJsonataSlice slice;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	if (!saga_jsonata_spend_read(call->ev, call->args[0].count))
		return false;
	slice = saga_jsonata_substring(call->args[0].u.string, call->args[0].count,
								   saga_jsonata_is_nothing(&call->args[1]) ? 0 : saga_jsonata_double(&call->args[1]),
								   saga_jsonata_is_nothing(&call->args[2]) ? NAN : saga_jsonata_double(&call->args[2]));
	return part_result(call, slice.s, slice.len);
}

/* Where the second argument is in the first; -1: nowhere. */
static bool
find(SagaJsonataCall *call, int *at)
{
	if (!saga_jsonata_spend_read(call->ev, call->args[0].count))
		return false;
	*at = saga_jsonata_find(call->args[0].u.string, call->args[0].count, call->args[1].u.string, call->args[1].count, 0);
	return true;
}

/* The whole text where there is nothing to find. */
bool
saga_jsonata_fn_substring_before(SagaJsonataCall *call)
{
	int			at;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	*call->result = call->args[0];
	if (call->args[1].type != SAGA_JV_STRING)
		return true;
	if (!find(call, &at))
		return false;
	return at < 0 || part_result(call, call->args[0].u.string, at);
}

bool
saga_jsonata_fn_substring_after(SagaJsonataCall *call)
{
	SagaJsonataValue *text = &call->args[0];
	int			at;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	*call->result = *text;
	if (call->args[1].type != SAGA_JV_STRING)
		return true;
	if (!find(call, &at))
		return false;
	at += call->args[1].count;
	return at < call->args[1].count || part_result(call, text->u.string + at, text->count - at);
}

/* What $lowercase and $uppercase have in common. */
static bool
change_case(SagaJsonataCall *call, bool upper)
{
	StringInfoData buf;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	if (!saga_jsonata_spend(call->ev, call->args[0].count / 4))
		return false;
	initStringInfo(&buf);
	return buffer_result(call, saga_jsonata_change_case(call->args[0].u.string, call->args[0].count, upper, &buf,
														call->ev->fault), &buf);
}

bool
saga_jsonata_fn_lowercase(SagaJsonataCall *call)
{
	return change_case(call, false);
}

bool
saga_jsonata_fn_uppercase(SagaJsonataCall *call)
{
	return change_case(call, true);
}

bool
saga_jsonata_fn_length(SagaJsonataCall *call)
{
	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	saga_jsonata_set_number(call->result, saga_jsonata_length(call->args[0].u.string, call->args[0].count));
	return saga_jsonata_spend_read(call->ev, call->args[0].count);
}

bool
saga_jsonata_fn_trim(SagaJsonataCall *call)
{
	StringInfoData buf;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	if (!saga_jsonata_spend_read(call->ev, call->args[0].count * 2))
		return false;
	initStringInfo(&buf);
	saga_jsonata_trim(call->args[0].u.string, call->args[0].count, &buf);
	return buffer_result(call, true, &buf);
}

bool
saga_jsonata_fn_pad(SagaJsonataCall *call)
{
	const SagaJsonataValue *fill = &call->args[2];
	StringInfoData buf;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	if (saga_jsonata_is_nothing(&call->args[1]))
	{
		*call->result = call->args[0];
		return true;
	}
	initStringInfo(&buf);
	return buffer_result(call, saga_jsonata_pad(call->args[0].u.string, call->args[0].count, saga_jsonata_double(&call->args[1]),
												fill->type == SAGA_JV_STRING ? fill->u.string : NULL, fill->count,
												&call->ev->work, &buf, call->ev->fault), &buf);
}

bool
saga_jsonata_fn_join(SagaJsonataCall *call)
{
	SagaJsonataValue *separator = &call->args[1];
	SagaJsonataValue *elems;
	StringInfoData buf;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	elems = saga_jsonata_elems(call->ev, &call->args[0]);
	initStringInfo(&buf);
	for (int i = 0; i < call->args[0].count; i++)
	{
		int			more = elems[i].count + separator->count;

		if (!saga_jsonata_spend(call->ev, 1 + more / 64))
			return false;
		/* before it is appended, so that no such text is ever made */
		if (buf.len + more > SAGA_JSONATA_MAX_TEXT)
			return saga_jsonata_fail(call->ev, "D2015", "a text gets longer than %d bytes", SAGA_JSONATA_MAX_TEXT);
		if (i > 0 && separator->count > 0)
			appendBinaryStringInfo(&buf, separator->u.string, separator->count);
		if (elems[i].count > 0)
			appendBinaryStringInfo(&buf, elems[i].u.string, elems[i].count);
	}
	return buffer_result(call, true, &buf);
}

/* ---------- encodings ---------- */

bool
saga_jsonata_fn_base64_encode(SagaJsonataCall *call)
{
	StringInfoData buf;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	if (!saga_jsonata_spend_read(call->ev, call->args[0].count * 2))
		return false;
	initStringInfo(&buf);
	saga_jsonata_base64_encode(call->args[0].u.string, call->args[0].count, &buf);
	return buffer_result(call, true, &buf);
}

bool
saga_jsonata_fn_base64_decode(SagaJsonataCall *call)
{
	StringInfoData buf;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	if (!saga_jsonata_spend_read(call->ev, call->args[0].count * 2))
		return false;
	initStringInfo(&buf);
	saga_jsonata_base64_decode(call->args[0].u.string, call->args[0].count, &buf);
	return buffer_result(call, true, &buf);
}

/*
 * What the four functions on URLs have in common.  component: it is a part of
 * a URL, in which characters like "/" are encoded as well.
 */
static bool
url(SagaJsonataCall *call, bool component,
	bool (*convert) (const char *s, int len, bool component, StringInfo out, SagaJsonataFault *fault))
{
	StringInfoData buf;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	if (!saga_jsonata_spend_read(call->ev, call->args[0].count * 3))
		return false;
	initStringInfo(&buf);
	return buffer_result(call, convert(call->args[0].u.string, call->args[0].count, component, &buf, call->ev->fault), &buf);
}

bool
saga_jsonata_fn_encode_url_component(SagaJsonataCall *call)
{
	return url(call, true, saga_jsonata_encode_url);
}

bool
saga_jsonata_fn_encode_url(SagaJsonataCall *call)
{
	return url(call, false, saga_jsonata_encode_url);
}

bool
saga_jsonata_fn_decode_url_component(SagaJsonataCall *call)
{
	return url(call, true, saga_jsonata_decode_url);
}

bool
saga_jsonata_fn_decode_url(SagaJsonataCall *call)
{
	return url(call, false, saga_jsonata_decode_url);
}
