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
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/scansup.h"

#include "invoice/decimal_private.h"
#include "invoice/reader_private.h"

static void read_object(SagaCursor *r, const SagaShape *shape, char *result);

/* Is there nothing but white space in it? */
static bool
is_blank(const char *text, int len)
{
	while (len > 0 && scanner_isspace(text[len - 1]))
		len--;
	return len == 0;
}

/*
 * A member that should be a string.  A number or a boolean in its place is
 * malformed, but its text is kept, so that one mistake is not also reported
 * as an absent member.
 */
static int
read_text(SagaCursor *r, const SagaMember *member, const char **text)
{
	char		c = saga_cursor_peek(r);
	const char *start = r->p;

	if (c == '"')
		return saga_cursor_string(r, member->kind != SAGA_MEMBER_NOTE, text);
	if (c != 'n' || member->kind != SAGA_MEMBER_TEXT_OR_NULL)
		saga_cursor_malformed(r, saga_cursor_kind(r), "a string");
	saga_cursor_skip(r);
	*text = start;
	return (c == '{' || c == '[' || c == 'n') ? 0 : r->p - start;
}

/* A member that should be a day of the calendar. */
static void
read_day(SagaCursor *r, const SagaMember *member, SagaDay *day)
{
	const char *text;
	int			len = read_text(r, member, &text);

	day->text = is_blank(text, len) ? NULL : pnstrdup(text, len);
	day->day = day->text ? saga_invoice_day_parse(day->text) : 0;
	if (day->text && day->day == 0)
	{
		MemoryContext old = saga_report_begin(r->report);

		saga_report(r->report, "INV-DATE", SAGA_FATAL, saga_cursor_place(r),
					"found %s, expected a day of the calendar as YYYY-MM-DD", saga_report_quote(text, len));
		MemoryContextSwitchTo(old);
	}
}

/* A member that should be a number, as a string or as a number of JSON. */
static void
read_decimal(SagaCursor *r, SagaDecimal *decimal)
{
	const char *text;
	char		c = saga_cursor_peek(r);
	int			len;

	memset(decimal, 0, sizeof(*decimal));
	if (c == '{' || c == '[' || c == 't' || c == 'f' || c == 'n')
	{
		saga_cursor_malformed(r, saga_cursor_kind(r), "a decimal as string or number");
		decimal->given = (c != 'n');
		saga_cursor_skip(r);
		return;
	}
	if (c == '"')
		len = saga_cursor_string(r, true, &text);
	else
	{
		len = saga_cursor_word(r, &text);
		if (!saga_decimal_storable(text, len))
			r->report->unstorable = true;
	}
	if (!saga_decimal_parse(text, len, decimal))
	{
		MemoryContext old = saga_report_begin(r->report);

		saga_report(r->report, "INV-NUM", SAGA_FATAL, saga_cursor_place(r),
					"found %s, expected a decimal such as \"1234.50\" (a point, no thousands separator, at most %d digits before and after it)",
					saga_report_quote(text, len), SAGA_DECIMAL_MAX_DIGITS);
		MemoryContextSwitchTo(old);
	}
}

/* Room for one more entry; NULL when there are too many. */
static char *
append_entry(SagaCursor *r, SagaList *list, Size size)
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
expect_object(SagaCursor *r)
{
	if (saga_cursor_peek(r) == '{')
		return true;
	saga_cursor_malformed(r, saga_cursor_kind(r), "an object");
	saga_cursor_skip(r);
	return false;
}

/*
 * An array.  One entry of the list each, also for what is not an object, so
 * that the index is that of the document.
 */
static void
read_list(SagaCursor *r, const SagaMember *member, SagaList *list)
{
	bool		full = false;
	int			index = 0;
	char	   *entry;

	list->n = 0;
	if (saga_cursor_peek(r) != '[')
	{
		saga_cursor_malformed(r, saga_cursor_kind(r), "an array");
		saga_cursor_skip(r);
		return;
	}
	r->p++;
	if (saga_cursor_accept(r, ']'))
		return;
	do
	{
		CHECK_FOR_INTERRUPTS();
		saga_cursor_enter(r, NULL, 0, index++);
		if (member->kind == SAGA_MEMBER_NOTES)
		{
			static const SagaMember note = {NULL, SAGA_MEMBER_NOTE};
			const char *text;

			read_text(r, &note, &text);
		}
		else if ((entry = append_entry(r, list, member->shape->size)) == NULL)
		{
			if (!full)
				saga_cursor_malformed(r, "too many entries",
									  psprintf("at most %d in an array and %d in all", SAGA_INVOICE_MAX_ENTRIES,
											   SAGA_INVOICE_MAX_OBJECTS));
			full = true;
			saga_cursor_skip(r);
		}
		else if (expect_object(r))
			read_object(r, member->shape, entry);
		r->depth--;
	} while (saga_cursor_accept(r, ','));
	if (!saga_cursor_accept(r, ']'))
		saga_cursor_not_json(r);
}

/* The value of a member that we know goes into the struct of its object. */
static void
read_member(SagaCursor *r, const SagaMember *member, char *object)
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

/* NULL: it is none of those that we know. */
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
read_object(SagaCursor *r, const SagaShape *shape, char *result)
{
	r->p++;
	if (saga_cursor_accept(r, '}'))
		return;
	do
	{
		const SagaMember *member = NULL;
		const char *name;
		int			len;

		len = saga_cursor_string(r, true, &name);
		if (!saga_cursor_accept(r, ':'))
			saga_cursor_not_json(r);
		if (r->broken)
			return;
		if (len > 0)
			member = find_member(shape, name, len);
		saga_cursor_enter(r, name, len, 0);
		if (member)
			read_member(r, member, result);
		else
			saga_cursor_skip(r);
		r->depth--;
	} while (saga_cursor_accept(r, ','));
	if (!saga_cursor_accept(r, '}'))
		saga_cursor_not_json(r);
}

bool
saga_invoice_read_document(const char *text, int len, const SagaShape *shape, void *result, SagaReport *report)
{
	SagaCursor	reader;

	memset(&reader, 0, sizeof(reader));
	reader.p = text;
	reader.end = text + len;
	reader.report = report;
	reader.utf8 = (GetDatabaseEncoding() == PG_UTF8);

	if (!expect_object(&reader))
		return false;
	read_object(&reader, shape, result);
	if (saga_cursor_peek(&reader) != '\0')
		saga_cursor_not_json(&reader);
	return true;
}
