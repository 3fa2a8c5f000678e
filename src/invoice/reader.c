/*
 * reader.c
 *		Reads JSON text into structs, driven by the tables of shapes.c.
 *
 * Not through jsonb, because jsonb raises for what a document may contain
 * (\u0000, 1e999999, deep nesting) and because one pass over the text is all
 * we need.  The text was accepted by the json type, so it is well formed;
 * should it not be (a json value made without its input function), the
 * reader stops at the first surprise and reports it.
 *
 * Only known members recurse, and their nesting is that of the shapes.
 * Unknown members are skipped with a counter, but checked for what jsonb
 * could not keep, since an accepted document is stored as jsonb.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/scansup.h"

#include "invoice/decimal_private.h"
#include "invoice/reader_private.h"

#define MAX_PATH 16				/* shapes nest 5 deep, each step may be a list */
#define MAX_PLACE_NAME 200		/* bytes of a name in a location: a row of the report must stay short */

typedef struct PathStep
{
	const char *name;			/* NULL: an index */
	int			len;
	int			index;
} PathStep;

typedef struct Reader
{
	const char *p;
	const char *end;
	SagaReport *report;
	bool		utf8;
	bool		broken;			/* not JSON: stop */
	int			objects;
	int			depth;
	PathStep	path[MAX_PATH];
} Reader;

static void read_object(Reader *r, const SagaShape *shape, char *result);

/* ---------- where we are ---------- */

/* Where the reader is, as a JSON pointer into the document. */
static char *
location(const Reader *r)
{
	StringInfoData buf;
	int			i;
	int			j;
	int			len;

	initStringInfo(&buf);
	for (i = 0; i < r->depth; i++)
	{
		const PathStep *step = &r->path[i];

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

/* Goes into a member (name) or an element (index) of what is being read.  The depth of our own shapes is bounded. */
static void
enter(Reader *r, const char *name, int len, int index)
{
	Assert(r->depth < MAX_PATH);
	r->path[r->depth].name = name;
	r->path[r->depth].len = len;
	r->path[r->depth].index = index;
	r->depth++;
}

/* A finding that something of another kind stands where the reader is.  What follows is read on. */
static void
malformed(Reader *r, const char *found, const char *expected)
{
	MemoryContext old = saga_report_begin(r->report);

	saga_report(r->report, "INV-FORM", SAGA_FATAL, location(r), "found %s, expected %s", found, expected);
	MemoryContextSwitchTo(old);
}

/* The document holds something that jsonb would raise for. */
static void
unstorable(Reader *r, const char *found, const char *expected)
{
	r->report->unstorable = true;
	malformed(r, found, expected);
}

/* The text is no JSON from here on: one finding says so, and nothing more is read. */
static void
not_json(Reader *r)
{
	r->report->unstorable = true;
	if (!r->broken)
		malformed(r, "text that is not JSON", "a JSON document");
	r->broken = true;
	r->p = r->end;
}

/* ---------- tokens ---------- */

/* The next character that is not white space; 0 at the end. */
static char
peek(Reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\t' || *r->p == '\r'))
		r->p++;
	return r->p < r->end ? *r->p : '\0';
}

/* Passes over the character if it is the next one. */
static bool
accept(Reader *r, char c)
{
	if (peek(r) != c)
		return false;
	r->p++;
	return true;
}

/* The four digits of a \u escape. */
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
decode_unicode(Reader *r, const char *p, StringInfo buf)
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
decode_string(Reader *r, StringInfo buf)
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

/*
 * Reads a string.  *text is its start: in the document when there is nothing
 * to decode, else a copy.  Without want, escapes are only checked.  A string
 * that jsonb cannot keep is reported at the current path.
 */
static int
read_string(Reader *r, bool want, const char **text)
{
	StringInfoData buf;
	const char *start;
	bool		storable = true;

	if (!accept(r, '"'))
	{
		not_json(r);
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
		not_json(r);
	else
		r->p++;
	if (!storable)
		unstorable(r, "an escape such as \\u0000 that is no character", "text");
	return buf.len;
}

/* A number, true, false or null. */
static int
read_word(Reader *r, const char **text)
{
	peek(r);
	*text = r->p;
	while (r->p < r->end && (isalnum((unsigned char) *r->p) || *r->p == '-' || *r->p == '+' || *r->p == '.'))
		r->p++;
	if (r->p == *text)
		not_json(r);
	return r->p - *text;
}

/* A value that nobody reads: whatever is in it, jsonb must be able to keep it. */
static void
skip_value(Reader *r)
{
	int			nesting = 0;
	bool		too_deep = false;

	do
	{
		char		c = peek(r);
		const char *text;
		int			len;

		if (c == '\0')
			not_json(r);
		else if (c == '"')
			read_string(r, false, &text);
		else if (c == '{' || c == '[')
		{
			r->p++;
			nesting++;
			if (nesting > SAGA_INVOICE_MAX_NESTING && !too_deep)
			{
				unstorable(r, "objects and arrays nested too deep",
						   psprintf("at most %d levels", SAGA_INVOICE_MAX_NESTING));
				too_deep = true;
			}
		}
		else if (c == '}' || c == ']')
		{
			if (nesting == 0)
			{
				not_json(r);
				return;
			}
			r->p++;
			nesting--;
		}
		else if (c == ',' || c == ':')
			r->p++;
		else
		{
			len = read_word(r, &text);
			if ((*text == '-' || isdigit((unsigned char) *text)) && !saga_number_storable(text, len))
				unstorable(r, "a number beyond all use", "a number that can be stored");
		}
		CHECK_FOR_INTERRUPTS();
	} while (nesting > 0 && !r->broken);
}

/* ---------- members ---------- */

/* A text of blanks alone says nothing: such a member counts as missing. */
static bool
is_blank(const char *text, int len)
{
	while (len > 0 && scanner_isspace(text[len - 1]))
		len--;
	return len == 0;
}

/* What a value is, for a message. */
static const char *
kind_found(Reader *r)
{
	switch (peek(r))
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

/*
 * A member that should be a string.  A number or a boolean in its place is
 * malformed, but its text is kept, so that one mistake is not also reported
 * as an absent member.
 */
static int
read_text(Reader *r, const SagaMember *member, const char **text)
{
	char		c = peek(r);
	const char *start = r->p;

	if (c == '"')
		return read_string(r, member->kind != SAGA_MEMBER_NOTE, text);
	if (c != 'n' || member->kind != SAGA_MEMBER_TEXT_OR_NULL)
		malformed(r, kind_found(r), "a string");
	skip_value(r);
	*text = start;
	return (c == '{' || c == '[' || c == 'n') ? 0 : r->p - start;
}

/* A day of the calendar; of what is none the text is kept, with a finding, so that it does not count as missing. */
static void
read_day(Reader *r, const SagaMember *member, SagaDay *day)
{
	const char *text;
	int			len = read_text(r, member, &text);

	day->text = is_blank(text, len) ? NULL : pnstrdup(text, len);
	day->day = day->text ? saga_day_parse(day->text) : 0;
	if (day->text && day->day == 0)
	{
		MemoryContext old = saga_report_begin(r->report);

		saga_report(r->report, "INV-DATE", SAGA_FATAL, location(r),
					"found %s, expected a day of the calendar as YYYY-MM-DD", saga_quote_found(text, len));
		MemoryContextSwitchTo(old);
	}
}

/* A decimal as string or number.  What cannot be one has a finding, and counts as given: its absence is another fault. */
static void
read_decimal(Reader *r, SagaDecimal *decimal)
{
	const char *text;
	char		c = peek(r);
	int			len;

	memset(decimal, 0, sizeof(*decimal));
	if (c == '{' || c == '[' || c == 't' || c == 'f' || c == 'n')
	{
		malformed(r, kind_found(r), "a decimal as string or number");
		decimal->given = (c != 'n');
		skip_value(r);
		return;
	}
	if (c == '"')
		len = read_string(r, true, &text);
	else
	{
		len = read_word(r, &text);
		if (!saga_number_storable(text, len))
			r->report->unstorable = true;
	}
	if (!saga_decimal_parse(text, len, decimal))
	{
		MemoryContext old = saga_report_begin(r->report);

		saga_report(r->report, "INV-NUM", SAGA_FATAL, location(r),
					"found %s, expected a decimal such as \"1234.50\" (a point, no thousands separator, at most %d digits before and after it)",
					saga_quote_found(text, len), SAGA_DECIMAL_MAX_DIGITS);
		MemoryContextSwitchTo(old);
	}
}

/* Room for one more entry; NULL when there are too many. */
static char *
append_entry(Reader *r, SagaList *list, Size size)
{
	if (list->n >= SAGA_INVOICE_MAX_ENTRIES || r->objects >= SAGA_INVOICE_MAX_OBJECTS)
		return NULL;
	r->objects++;
	if (list->n == list->max)
	{
		list->max = Max(4, list->max * 2);
		list->items = list->items ? repalloc(list->items, list->max * size) : palloc(list->max * size);
	}
	list->n++;
	return (char *) memset(list->items + (list->n - 1) * size, 0, size);
}

/* The object at the cursor, or a report of what is there in its place. */
static bool
expect_object(Reader *r)
{
	if (peek(r) == '{')
		return true;
	malformed(r, kind_found(r), "an object");
	skip_value(r);
	return false;
}

/*
 * An array.  One entry of the list each, also for what is not an object, so
 * that the index is that of the document.
 */
static void
read_list(Reader *r, const SagaMember *member, SagaList *list)
{
	bool		full = false;
	int			index = 0;
	char	   *entry;

	list->n = 0;
	if (peek(r) != '[')
	{
		malformed(r, kind_found(r), "an array");
		skip_value(r);
		return;
	}
	r->p++;
	if (accept(r, ']'))
		return;
	do
	{
		CHECK_FOR_INTERRUPTS();
		enter(r, NULL, 0, index++);
		if (member->kind == SAGA_MEMBER_NOTES)
		{
			static const SagaMember note = {NULL, SAGA_MEMBER_NOTE};
			const char *text;

			read_text(r, &note, &text);
		}
		else if ((entry = append_entry(r, list, member->shape->size)) == NULL)
		{
			if (!full)
				malformed(r, "too many entries",
						  psprintf("at most %d in an array and %d in all", SAGA_INVOICE_MAX_ENTRIES,
								   SAGA_INVOICE_MAX_OBJECTS));
			full = true;
			skip_value(r);
		}
		else if (expect_object(r))
			read_object(r, member->shape, entry);
		r->depth--;
	} while (accept(r, ','));
	if (!accept(r, ']'))
		not_json(r);
}

/* Reads the value of a member to its place in the object, by the kind that its shape says. */
static void
read_member(Reader *r, const SagaMember *member, char *object)
{
	char	   *target = object + member->offset;
	const char *text;
	int			len;

	switch (member->kind)
	{
		case SAGA_MEMBER_TEXT:
		case SAGA_MEMBER_TEXT_OR_NULL:
			len = read_text(r, member, &text);
			*(char **) target = is_blank(text, len) ? NULL : pnstrdup(text, len);
			break;
		case SAGA_MEMBER_NOTE:
			read_text(r, member, &text);
			break;
		case SAGA_MEMBER_DAY:
			read_day(r, member, (SagaDay *) target);
			break;
		case SAGA_MEMBER_DECIMAL:
			read_decimal(r, (SagaDecimal *) target);
			break;
		case SAGA_MEMBER_OBJECT:
			*(char **) target = NULL;
			if (expect_object(r))
			{
				*(char **) target = palloc0(member->shape->size);
				read_object(r, member->shape, *(char **) target);
			}
			break;
		case SAGA_MEMBER_NOTES:
			{
				SagaList	none = {0};

				read_list(r, member, &none);
				break;
			}
		case SAGA_MEMBER_LIST:
			if (member->given > 0)
				*(bool *) (object + member->given) = true;
			read_list(r, member, (SagaList *) target);
			break;
	}
}

/* The member of this name; NULL: the shape has none. */
static const SagaMember *
find_member(const SagaShape *shape, const char *name, int len)
{
	int			i;

	for (i = 0; i < shape->nmembers; i++)
	{
		const char *known = shape->members[i].name;

		if (known[0] == name[0] && strncmp(known, name, len) == 0 && known[len] == '\0')
			return &shape->members[i];
	}
	return NULL;
}

/* At the "{" of an object. */
static void
read_object(Reader *r, const SagaShape *shape, char *result)
{
	r->p++;
	if (accept(r, '}'))
		return;
	do
	{
		const SagaMember *member = NULL;
		const char *name;
		int			len;

		len = read_string(r, true, &name);
		if (!accept(r, ':'))
			not_json(r);
		if (r->broken)
			return;
		if (len > 0)
			member = find_member(shape, name, len);
		enter(r, name, len, 0);
		if (member)
			read_member(r, member, result);
		else
			skip_value(r);
		r->depth--;
	} while (accept(r, ','));
	if (!accept(r, '}'))
		not_json(r);
}

bool
saga_read_document(const char *text, int len, const SagaShape *shape, void *result, SagaReport *report)
{
	Reader		reader;

	memset(&reader, 0, sizeof(reader));
	reader.p = text;
	reader.end = text + len;
	reader.report = report;
	reader.utf8 = (GetDatabaseEncoding() == PG_UTF8);

	if (!expect_object(&reader))
		return false;
	read_object(&reader, shape, result);
	if (peek(&reader) != '\0')
		not_json(&reader);
	return true;
}
