/*
 * cursor.c
 *		A cursor over the JSON text of a document: where it is, what is there.
 *
 * Values that nobody reads are skipped with a counter of their nesting, but
 * checked for what jsonb could not keep, since an accepted document is stored
 * as jsonb.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "invoice/decimal_private.h"
#include "invoice/reader_private.h"

#define MAX_PLACE_NAME 200		/* bytes of a name in a location: a row of the report must stay short */

/* ---------- where we are ---------- */

char *
saga_cursor_place(const SagaCursor *r)
{
	StringInfoData buf;
	int			i;
	int			j;
	int			len;

	initStringInfo(&buf);
	for (i = 0; i < r->depth; i++)
	{
		const SagaCursorStep *step = &r->path[i];

		appendStringInfoChar(&buf, '/');
		if (step->name == NULL)
			appendStringInfo(&buf, "%d", step->index);
		len = step->name != NULL && step->len > MAX_PLACE_NAME ? pg_mbcliplen(step->name, step->len, MAX_PLACE_NAME) : step->len;
		for (j = 0; step->name && j < len; j++)
		{
			if (step->name[j] == '~')
				appendStringInfoString(&buf, "~0");
			else if (step->name[j] == '/')
				appendStringInfoString(&buf, "~1");
			else
				appendStringInfoChar(&buf, step->name[j]);
		}
		if (step->name && len < step->len)
			appendStringInfoString(&buf, "...");
	}
	return buf.data;
}

void
saga_cursor_enter(SagaCursor *r, const char *name, int len, int index)
{
	Assert(r->depth < SAGA_CURSOR_MAX_PATH);
	r->path[r->depth].name = name;
	r->path[r->depth].len = len;
	r->path[r->depth].index = index;
	r->depth++;
}

void
saga_cursor_malformed(SagaCursor *r, const char *found, const char *expected)
{
	MemoryContext old = saga_report_begin(r->report);

	saga_report(r->report, "INV-FORM", SAGA_FATAL, saga_cursor_place(r), "found %s, expected %s", found, expected);
	MemoryContextSwitchTo(old);
}

void
saga_cursor_unstorable(SagaCursor *r, const char *found, const char *expected)
{
	r->report->unstorable = true;
	saga_cursor_malformed(r, found, expected);
}

void
saga_cursor_not_json(SagaCursor *r)
{
	r->report->unstorable = true;
	if (!r->broken)
		saga_cursor_malformed(r, "text that is not JSON", "a JSON document");
	r->broken = true;
	r->p = r->end;
}

/* ---------- tokens ---------- */

char
saga_cursor_peek(SagaCursor *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\t' || *r->p == '\r'))
		r->p++;
	return r->p < r->end ? *r->p : '\0';
}

bool
saga_cursor_accept(SagaCursor *r, char c)
{
	if (saga_cursor_peek(r) != c)
		return false;
	r->p++;
	return true;
}

/* False: these are not four hexadecimal digits. */
static bool
read_hex4(const char *p, const char *end, pg_wchar *result)
{
	int			i;

	*result = 0;
	if (end - p < 4)
		return false;
	for (i = 0; i < 4; i++)
	{
		if (!isxdigit((unsigned char) p[i]))
			return false;
		*result = *result * 16 + (isdigit((unsigned char) p[i]) ? p[i] - '0' : (p[i] | 0x20) - 'a' + 10);
	}
	return true;
}

/*
 * \uXXXX at p, already past the u.  Returns the number of characters it
 * takes, 0 when jsonb would refuse it.  Outside UTF-8 databases an escape
 * beyond ASCII stays as it is written: its text is only compared and shown.
 */
static int
decode_unicode(SagaCursor *r, const char *p, StringInfo buf)
{
	unsigned char utf8[8];
	pg_wchar	c;
	pg_wchar	low;
	int			used = 4;

	if (!read_hex4(p, r->end, &c) || c == 0)
		return 0;
	if (is_utf16_surrogate_second(c))
		return 0;
	if (is_utf16_surrogate_first(c))
	{
		if (r->end - p < 10 || p[4] != '\\' || p[5] != 'u' || !read_hex4(p + 6, r->end, &low) ||
			!is_utf16_surrogate_second(low))
			return 0;
		c = surrogate_pair_to_codepoint(c, low);
		used = 10;
	}
	if (buf == NULL)
		return used;
	if (c < 0x80)
		appendStringInfoChar(buf, (char) c);
	else if (!r->utf8)
		appendBinaryStringInfo(buf, p - 2, used + 2);
	else
	{
		unicode_to_utf8(c, utf8);
		appendBinaryStringInfo(buf, (char *) utf8, pg_utf_mblen(utf8));
	}
	return used;
}

/* The rest of a string that has escapes; buf NULL: only look. */
static bool
decode_string(SagaCursor *r, StringInfo buf)
{
	static const char escapes[] = "\"\\/bfnrt";
	static const char meanings[] = "\"\\/\b\f\n\r\t";
	bool		storable = true;

	while (r->p < r->end && *r->p != '"')
	{
		const char *found;
		int			used;

		if (*r->p != '\\')
		{
			if (buf)
				appendStringInfoChar(buf, *r->p);
			r->p++;
			continue;
		}
		r->p++;
		if (r->p == r->end)
			break;
		if (*r->p == 'u')
		{
			r->p++;
			used = decode_unicode(r, r->p, buf);
			if (used == 0)
				storable = false;
			r->p += used;
			continue;
		}
		found = strchr(escapes, *r->p);
		if (found == NULL || *found == '\0')
			break;
		if (buf)
			appendStringInfoChar(buf, meanings[found - escapes]);
		r->p++;
	}
	return storable;
}

int
saga_cursor_string(SagaCursor *r, bool want, const char **text)
{
	StringInfoData buf;
	const char *start;
	bool		storable = true;

	if (!saga_cursor_accept(r, '"'))
	{
		saga_cursor_not_json(r);
		*text = "";
		return 0;
	}
	start = r->p;
	while (r->p < r->end && *r->p != '"' && *r->p != '\\')
		r->p++;
	*text = start;
	buf.len = r->p - start;
	if (r->p < r->end && *r->p == '\\')
	{
		if (want)
		{
			initStringInfo(&buf);
			appendBinaryStringInfo(&buf, start, r->p - start);
		}
		storable = decode_string(r, want ? &buf : NULL);
		if (want)
			*text = buf.data;
	}
	if (r->p >= r->end || *r->p != '"')
		saga_cursor_not_json(r);
	else
		r->p++;
	if (!storable)
		saga_cursor_unstorable(r, "an escape such as \\u0000 that is no character", "text");
	return buf.len;
}

int
saga_cursor_word(SagaCursor *r, const char **text)
{
	saga_cursor_peek(r);
	*text = r->p;
	while (r->p < r->end && (isalnum((unsigned char) *r->p) || *r->p == '-' || *r->p == '+' || *r->p == '.'))
		r->p++;
	if (r->p == *text)
		saga_cursor_not_json(r);
	return r->p - *text;
}

void
saga_cursor_skip(SagaCursor *r)
{
	int			nesting = 0;
	bool		too_deep = false;

	do
	{
		char		c = saga_cursor_peek(r);
		const char *text;
		int			len;

		if (c == '\0')
			saga_cursor_not_json(r);
		else if (c == '"')
			saga_cursor_string(r, false, &text);
		else if (c == '{' || c == '[')
		{
			r->p++;
			nesting++;
			if (nesting > SAGA_INVOICE_MAX_NESTING && !too_deep)
			{
				saga_cursor_unstorable(r, "objects and arrays nested too deep",
									   psprintf("at most %d levels", SAGA_INVOICE_MAX_NESTING));
				too_deep = true;
			}
		}
		else if (c == '}' || c == ']')
		{
			if (nesting == 0)
			{
				saga_cursor_not_json(r);
				return;
			}
			r->p++;
			nesting--;
		}
		else if (c == ',' || c == ':')
			r->p++;
		else
		{
			len = saga_cursor_word(r, &text);
			if ((*text == '-' || isdigit((unsigned char) *text)) && !saga_decimal_storable(text, len))
				saga_cursor_unstorable(r, "a number beyond all use", "a number that can be stored");
		}
		CHECK_FOR_INTERRUPTS();
	} while (nesting > 0 && !r->broken);
}

const char *
saga_cursor_kind(SagaCursor *r)
{
	switch (saga_cursor_peek(r))
	{
		case '{':
			return "an object";
		case '[':
			return "an array";
		case '"':
			return "a string";
		case 't':
		case 'f':
			return "a boolean";
		case 'n':
			return "null";
		default:
			return "a number";
	}
}
