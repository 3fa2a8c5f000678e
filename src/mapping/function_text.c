/*
 * function_text.c
 *		Functions on strings.  A character is a code point, as in JSONata's
 *		own $length and $substring.
 *
 * Results are often parts of an argument and point into it, as nothing is
 * changed in place.  Whoever copies or searches pays for it first; a search
 * that runs out of steps says "not found", and the evaluation fails at its
 * end with the error that was set.  No result is longer than
 * SAGA_MAP_MAX_TEXT.
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "mapping/mapping_private.h"

/* What JavaScript searches for when there is nothing to search for. */
#define UNDEFINED "undefined"

#define SEARCH_WINDOW	((Size) 65536)

static const SagaMapValue undefined = {.type = SAGA_MAP_STRING, .count = sizeof(UNDEFINED) - 1, .u.string = UNDEFINED};

/* The error of whatever would make a text beyond the limit; always false. */
static bool
too_long(SagaMapCall *call)
{
	return saga_map_call_error(call, "makes a text longer than %d bytes", SAGA_MAP_MAX_TEXT);
}

/* The strings among the arguments are each read a few times at most. */
static bool
charge_texts(SagaMapCall *call)
{
	for (int i = 0; i < SAGA_MAP_MAX_ARGS; i++)
		if (call->args[i].type == SAGA_MAP_STRING && !saga_map_charge_bytes(call->ev, call->args[i].count))
			return false;
	return true;
}

/* Reads the whole text: the caller has paid for that. */
static int
count_characters(const SagaMapValue *v)
{
	return pg_mbstrlen_with_len(v->u.string, v->count);
}

/* Where the n-th character begins. */
static int
offset_of(const SagaMapValue *v, int n)
{
	const char *s = v->u.string;
	const char *end = s + v->count;

	while (n-- > 0 && s < end)
		s += pg_mblen(s);
	return Min(s - v->u.string, v->count);
}

/*
 * Where what is searched for is, from an offset on, which is where a
 * character begins; -1: nowhere, or there are no steps left.
 *
 * The C library's memmem takes a time that grows with the two lengths, never
 * with their product.  It gets windows of the text, so that this can be
 * interrupted.  In encodings other than UTF-8 what it finds may begin in the
 * middle of a character.
 */
static int
find(SagaMapCall *call, const SagaMapValue *v, const SagaMapValue *what, int from)
{
	const char *end = v->u.string + v->count;
	const char *s = v->u.string + from;
	const char *character = s;
	bool		bytes = pg_database_encoding_max_length() == 1 || GetDatabaseEncoding() == PG_UTF8;

	if (what->count == 0)
		return from;
	while (end - s >= what->count)
	{
		Size		window = Min((Size) (end - s), Max((Size) what->count * 4, SEARCH_WINDOW));
		const char *found;

		/* it looks at all of what it searches for first */
		if (!saga_map_charge_bytes(call->ev, what->count))
			return -1;
		found = memmem(s, window, what->u.string, what->count);
		/* at its worst it takes longer for a byte than others do */
		if (!saga_map_charge_bytes(call->ev, (int64) (found != NULL ? found - s : window) * 2))
			return -1;
		if (found == NULL)
		{
			s += window - what->count + 1;
			continue;
		}
		while (!bytes && character < found)
			character += pg_mblen(character);
		if (bytes || character == found)
			return found - v->u.string;
		s = character;
	}
	return -1;
}

/* ---------- parts ---------- */

/* As JavaScript's slice(from, to) sees a position. */
static int
slice_position(double position, int length)
{
	position = trunc(position);
	if (position < 0)
		position = Max(position + length, 0);
	return (int) Min(position, (double) length);
}

/*
 * $substring(text, start, length), by the arithmetic of JSONata's own: a
 * start before the beginning is the beginning, a negative one counts from the
 * end, a length of zero or less gives "".
 */
bool
saga_map_substring(SagaMapCall *call)
{
	const SagaMapValue *v = &call->args[0];
	const SagaMapValue *start_arg = &call->args[1];
	const SagaMapValue *length_arg = &call->args[2];
	double		start;
	double		end;
	int			length;
	int			from,
				to;

	if (v->type == SAGA_MAP_NOTHING)
		return true;
	if (!charge_texts(call))
		return false;
	length = count_characters(v);
	start = start_arg->type == SAGA_MAP_NUMBER ? saga_map_double(start_arg->u.number) : 0;
	end = length;
	if (length + start < 0)
		start = 0;
	if (length_arg->type == SAGA_MAP_NUMBER)
	{
		double		wanted = saga_map_double(length_arg->u.number);

		if (wanted <= 0 || start_arg->type != SAGA_MAP_NUMBER)
		{
			saga_map_set_string(call->result, "", 0);
			return true;
		}
		end = start >= 0 ? start + wanted : length + start + wanted;
	}
	from = slice_position(start, length);
	to = Max(slice_position(end, length), from);
	from = offset_of(v, from);
	to = offset_of(v, to);
	saga_map_set_string(call->result, v->u.string + from, to - from);
	return true;
}

/* $substringBefore: without a find, all of the text. */
bool
saga_map_substring_before(SagaMapCall *call)
{
	const SagaMapValue *v = &call->args[0];
	int			at;

	if (v->type == SAGA_MAP_NOTHING)
		return true;
	at = find(call, v, call->args[1].type == SAGA_MAP_NOTHING ? &undefined : &call->args[1], 0);
	saga_map_set_string(call->result, v->u.string, at >= 0 ? at : v->count);
	return true;
}

/*
 * $substringAfter: without a find, all of the text.  JSONata searches for the
 * word "undefined" when there is nothing to search for; should that be found,
 * what it returns makes no sense, and we say so.
 */
bool
saga_map_substring_after(SagaMapCall *call)
{
	const SagaMapValue *v = &call->args[0];
	const SagaMapValue *what = &call->args[1];
	int			at;

	if (v->type == SAGA_MAP_NOTHING)
		return true;
	if (what->type == SAGA_MAP_NOTHING)
	{
		if (find(call, v, &undefined, 0) >= 0)
			return saga_map_call_error(call, "has nothing to search for");
		*call->result = *v;
		return true;
	}
	at = find(call, v, what, 0);
	at = at >= 0 ? at + what->count : 0;
	saga_map_set_string(call->result, v->u.string + at, v->count - at);
	return true;
}

/* $length, in code points. */
bool
saga_map_length(SagaMapCall *call)
{
	if (!charge_texts(call))
		return false;
	if (call->args[0].type != SAGA_MAP_NOTHING)
		saga_map_set_number(call->result, int64_to_numeric(count_characters(&call->args[0])));
	return true;
}

/* $contains: of nothing, or for nothing, it is nothing. */
bool
saga_map_contains(SagaMapCall *call)
{
	if (call->args[0].type != SAGA_MAP_NOTHING && call->args[1].type != SAGA_MAP_NOTHING)
		saga_map_set_bool(call->result, find(call, &call->args[0], &call->args[1], 0) >= 0);
	return true;
}

/* ---------- changed ---------- */

/* Both check only for nothing: function_case.c does the work. */
bool
saga_map_uppercase(SagaMapCall *call)
{
	return call->args[0].type == SAGA_MAP_NOTHING || saga_map_change_case(call, true);
}

bool
saga_map_lowercase(SagaMapCall *call)
{
	return call->args[0].type == SAGA_MAP_NOTHING || saga_map_change_case(call, false);
}

/* Also makes one blank of many within. */
bool
saga_map_trim(SagaMapCall *call)
{
	const SagaMapValue *v = &call->args[0];
	char	   *trimmed;
	int			len = 0;

	if (v->type == SAGA_MAP_NOTHING)
		return true;
	if (!charge_texts(call))
		return false;
	trimmed = palloc(v->count + 1);
	for (int i = 0; i < v->count; i++)
	{
		char		c = v->u.string[i];

		if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
		{
			if (len > 0 && trimmed[len - 1] != ' ')
				trimmed[len++] = ' ';
		}
		else
			trimmed[len++] = c;
	}
	if (len > 0 && trimmed[len - 1] == ' ')
		len--;
	saga_map_set_string(call->result, trimmed, len);
	return true;
}

/*
 * Appends so many characters, repeating the fill and cutting its last turn.
 * The caller has looked at the limit and paid.
 */
static void
append_fill(StringInfo buf, const SagaMapValue *fill, int characters)
{
	int			width = count_characters(fill);

	enlargeStringInfo(buf, characters / width * fill->count);
	if (fill->count == 1)
	{
		memset(buf->data + buf->len, fill->u.string[0], characters);
		buf->len += characters;
		buf->data[buf->len] = '\0';
		return;
	}
	for (; characters >= width; characters -= width)
	{
		CHECK_FOR_INTERRUPTS();
		appendBinaryStringInfo(buf, fill->u.string, fill->count);
	}
	appendBinaryStringInfo(buf, fill->u.string, offset_of(fill, characters));
}

/*
 * $pad(text, width, fill): a negative width puts the fill in front.  A text
 * that is as wide already stays as it is.
 */
bool
saga_map_pad(SagaMapCall *call)
{
	static const SagaMapValue blank = {.type = SAGA_MAP_STRING, .count = 1, .u.string = " "};
	const SagaMapValue *v = &call->args[0];
	const SagaMapValue *fill = call->args[2].type == SAGA_MAP_STRING && call->args[2].count > 0 ? &call->args[2] : &blank;
	double		width = call->args[1].type == SAGA_MAP_NUMBER ? trunc(saga_map_double(call->args[1].u.number)) : 0;
	StringInfoData padding;
	double		missing;

	if (v->type == SAGA_MAP_NOTHING)
		return true;
	if (!charge_texts(call))
		return false;
	missing = fabs(width) - count_characters(v);
	if (missing <= 0)
	{
		*call->result = *v;
		return true;
	}
	/* in double, where the product of two large counts cannot overflow */
	if (missing * fill->count + v->count > SAGA_MAP_MAX_TEXT)
		return too_long(call);
	if (!saga_map_charge_copy(call->ev, (int64) (missing * fill->count) + v->count))
		return false;
	initStringInfo(&padding);
	if (width > 0)
		appendBinaryStringInfo(&padding, v->u.string, v->count);
	append_fill(&padding, fill, (int) missing);
	if (width < 0)
		appendBinaryStringInfo(&padding, v->u.string, v->count);
	saga_map_set_string(call->result, padding.data, padding.len);
	return true;
}

/* "$replace and $split do this at most n times"; -1: always. */
static bool
get_limit(SagaMapCall *call, const SagaMapValue *limit, bool up, int64 *result)
{
	double		n;

	*result = -1;
	if (limit->type != SAGA_MAP_NUMBER)
		return true;
	n = saga_map_double(limit->u.number);
	if (n < 0)
		return saga_map_call_error(call, "needs a limit that is not negative");
	*result = (int64) Min(up ? ceil(n) : trunc(n), (double) PG_INT32_MAX);
	return true;
}

/* $replace(text, what, by, limit): what was put in is not searched again. */
bool
saga_map_replace(SagaMapCall *call)
{
	const SagaMapValue *v = &call->args[0];
	const SagaMapValue *what = &call->args[1];
	const SagaMapValue *by = &call->args[2];
	int64		limit;
	StringInfoData buf;
	int			from = 0;
	int			at;

	if (v->type == SAGA_MAP_NOTHING)
		return true;
	if (what->type == SAGA_MAP_NOTHING || what->count == 0)
		return saga_map_call_error(call, "needs a text to search for that is not empty");
	if (by->type == SAGA_MAP_NOTHING)
		return saga_map_call_error(call, "needs a text to put in");
	if (!get_limit(call, &call->args[3], true, &limit))
		return false;
	initStringInfo(&buf);
	while (limit != 0 && (at = find(call, v, what, from)) >= 0)
	{
		if ((Size) buf.len + (at - from) + by->count > SAGA_MAP_MAX_TEXT)
			return too_long(call);
		if (!saga_map_tick(call->ev) || !saga_map_charge_copy(call->ev, by->count))
			return false;
		appendBinaryStringInfo(&buf, v->u.string + from, at - from);
		appendBinaryStringInfo(&buf, by->u.string, by->count);
		from = at + what->count;
		if (limit > 0)
			limit--;
	}
	if (!saga_map_charge_copy(call->ev, v->count - from))
		return false;
	appendBinaryStringInfo(&buf, v->u.string + from, v->count - from);
	saga_map_set_string(call->result, buf.data, buf.len);
	return true;
}

/* ---------- lists ---------- */

/* Up to the next separator, or, if that is empty, one character; -1: no further one. */
static int
next_part(SagaMapCall *call, const SagaMapValue *v, const SagaMapValue *separator, int from)
{
	if (separator->count > 0)
		return find(call, v, separator, from);
	from += pg_mblen(v->u.string + from);
	return from < v->count ? from : -1;
}

/*
 * $split(text, separator, limit): the limit is on parts, and the rest is
 * dropped, as in JSONata.  An empty separator cuts between characters; an
 * empty text then has no parts.
 */
bool
saga_map_split(SagaMapCall *call)
{
	const SagaMapValue *v = &call->args[0];
	const SagaMapValue *separator = &call->args[1];
	int64		limit;
	SagaMapList list = {0};
	int			from = 0;

	if (v->type == SAGA_MAP_NOTHING)
		return true;
	if (!get_limit(call, &call->args[2], false, &limit))
		return false;
	if (separator->type == SAGA_MAP_NOTHING && limit != 0)
		return saga_map_call_error(call, "needs a separator");
	while (limit != 0 && (v->count > 0 || separator->count > 0))
	{
		int			at = next_part(call, v, separator, from);
		SagaMapValue part;

		saga_map_set_string(&part, v->u.string + from, (at >= 0 ? at : v->count) - from);
		if (!saga_map_tick(call->ev) || !saga_map_push(call->ev, &list, &part))
			return false;
		if (at < 0)
			break;
		from = at + separator->count;
		if (limit > 0)
			limit--;
	}
	saga_map_set_array(call->result, &list, 0);
	return true;
}

/*
 * $join(texts, separator): check_array() has seen to it that all are strings.
 */
bool
saga_map_join(SagaMapCall *call)
{
	const SagaMapValue *separator = &call->args[1];
	SagaMapValue *elems;
	StringInfoData buf;

	if (call->args[0].type == SAGA_MAP_NOTHING)
		return true;
	elems = saga_map_elems(call->ev, &call->args[0]);
	initStringInfo(&buf);
	for (int i = 0; i < call->args[0].count; i++)
	{
		if (!saga_map_tick(call->ev) ||
			!saga_map_charge_copy(call->ev, (int64) elems[i].count + separator->count))
			return false;
		if ((Size) buf.len + elems[i].count + separator->count > SAGA_MAP_MAX_TEXT)
			return too_long(call);
		if (i > 0 && separator->type == SAGA_MAP_STRING)
			appendBinaryStringInfo(&buf, separator->u.string, separator->count);
		appendBinaryStringInfo(&buf, elems[i].u.string, elems[i].count);
	}
	saga_map_set_string(call->result, buf.data, buf.len);
	return true;
}
