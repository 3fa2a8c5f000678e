/*
 * json_write.c
 *		Values as JSON text: as $string makes it, and as a result.
 *
 * The two differ in numbers (fifteen digits here, all there) and in blanks.
 * Functions are empty strings in both, and what is nothing within an array is
 * null.  A document that is an array stands for itself where its wrapper is
 * written.
 */
#include "postgres.h"

#include "jsonata/jsonata_private.h"

typedef struct Writer
{
	SagaJsonataEval *ev;
	StringInfo	buf;
	bool		result;
	bool		pretty;
	int			indent;
} Writer;

static bool write_value(Writer *w, const SagaJsonataValue *v);

static bool
too_long(SagaJsonataEval *ev)
{
	return saga_jsonata_fail(ev, "D2015", "a text gets longer than %d bytes", SAGA_JSONATA_MAX_TEXT);
}

/* Half of a surrogate pair is three bytes that are no UTF-8. */
static bool
is_surrogate(const char *s, int len)
{
	return len >= 3 && (unsigned char) s[0] == 0xED && (unsigned char) s[1] >= 0xA0;
}

/* As JSON.stringify does: short escapes where there are some. */
static bool
write_string(Writer *w, const char *s, int len)
{
	static const char hex[] = "0123456789abcdef";
	int			from = 0;
	StringInfo	buf = w->buf;

	if (buf->len + len > SAGA_JSONATA_MAX_TEXT)
		return too_long(w->ev);
	if (!saga_jsonata_spend_read(w->ev, len))
		return false;
	appendStringInfoCharMacro(buf, '"');
	for (int i = 0; i < len; i++)
	{
		unsigned char c = s[i];
		const char *escape = NULL;

		if (c >= ' ' && c != '"' && c != '\\' && !(c == 0xED && is_surrogate(s + i, len - i)))
			continue;
		appendBinaryStringInfo(buf, s + from, i - from);
		from = i + 1;
		switch (c)
		{
			case '"':
				escape = "\\\"";
				break;
			case '\\':
				escape = "\\\\";
				break;
			case '\b':
				escape = "\\b";
				break;
			case '\f':
				escape = "\\f";
				break;
			case '\n':
				escape = "\\n";
				break;
			case '\r':
				escape = "\\r";
				break;
			case '\t':
				escape = "\\t";
				break;
			case 0xED:
				appendStringInfo(buf, "\\u%04x",
								 0xD000 | ((unsigned char) s[i + 1] & 0x3F) << 6 | ((unsigned char) s[i + 2] & 0x3F));
				i += 2;
				from = i + 1;
				continue;
			default:
				appendStringInfoString(buf, "\\u00");
				appendStringInfoCharMacro(buf, hex[c >> 4]);
				appendStringInfoCharMacro(buf, hex[c & 15]);
				continue;
		}
		appendStringInfoString(buf, escape);
	}
	appendBinaryStringInfo(buf, s + from, len - from);
	appendStringInfoCharMacro(buf, '"');
	return true;
}

/* Before a member or element, and before the bracket that ends them. */
static void
write_break(Writer *w)
{
	if (!w->pretty)
		return;
	appendStringInfoCharMacro(w->buf, '\n');
	appendStringInfoSpaces(w->buf, w->indent * 2);
}

static bool
write_array(Writer *w, const SagaJsonataValue *v)
{
	SagaJsonataValue array = *v;
	SagaJsonataValue *elems = saga_jsonata_elems(w->ev, &array);

	appendStringInfoCharMacro(w->buf, '[');
	w->indent++;
	for (int i = 0; i < array.count; i++)
	{
		if (i > 0)
			appendStringInfoCharMacro(w->buf, ',');
		write_break(w);
		if (!write_value(w, &elems[i]))
			return false;
	}
	w->indent--;
	if (array.count > 0)
		write_break(w);
	appendStringInfoCharMacro(w->buf, ']');
	return true;
}

/* Members in the order in which they were made. */
static bool
write_object(Writer *w, const SagaJsonataValue *v)
{
	SagaJsonataPair *pairs = saga_jsonata_pairs(w->ev, v);
	int			n = saga_jsonata_count(v);

	if (pairs == NULL)
		return false;
	appendStringInfoCharMacro(w->buf, '{');
	w->indent++;
	for (int i = 0; i < n; i++)
	{
		if (i > 0)
			appendStringInfoCharMacro(w->buf, ',');
		write_break(w);
		if (!write_string(w, pairs[i].name, pairs[i].len))
			return false;
		appendStringInfoCharMacro(w->buf, ':');
		if (w->pretty)
			appendStringInfoCharMacro(w->buf, ' ');
		if (!write_value(w, &pairs[i].value))
			return false;
	}
	w->indent--;
	if (n > 0)
		write_break(w);
	appendStringInfoCharMacro(w->buf, '}');
	return true;
}

static bool
write_scalar(Writer *w, const SagaJsonataValue *v)
{
	switch (v->type)
	{
		case SAGA_JV_NUMBER:
			return w->result ? saga_jsonata_append_result_number(w->ev, w->buf, v) :
				saga_jsonata_append_number(w->ev, w->buf, v);
		case SAGA_JV_STRING:
			return write_string(w, v->u.string, v->count);
		case SAGA_JV_BOOL:
			appendStringInfoString(w->buf, v->boolean ? "true" : "false");
			return true;
		case SAGA_JV_FUNCTION:
			appendStringInfoString(w->buf, "\"\"");
			return true;
		default:
			appendStringInfoString(w->buf, "null");
			return true;
	}
}

static bool
write_value(Writer *w, const SagaJsonataValue *v)
{
	bool		written;

	if (w->buf->len > SAGA_JSONATA_MAX_TEXT)
		return too_long(w->ev);
	if (v->type != SAGA_JV_ARRAY && v->type != SAGA_JV_OBJECT)
		return saga_jsonata_tick(w->ev) && write_scalar(w, v);
	if (!saga_jsonata_enter(w->ev))
		return false;
	written = v->type == SAGA_JV_ARRAY ? write_array(w, v) : write_object(w, v);
	saga_jsonata_leave(w->ev);
	return written;
}

bool
saga_jsonata_append_string(SagaJsonataEval *ev, StringInfo buf, const SagaJsonataValue *v, bool pretty)
{
	Writer		w = {ev, buf, false, pretty, 0};
	SagaJsonataValue array;

	if (v->type == SAGA_JV_STRING)
	{
		if (buf->len + v->count > SAGA_JSONATA_MAX_TEXT)
			return too_long(ev);
		if (!saga_jsonata_spend_copy(ev, v->count))
			return false;
		appendBinaryStringInfo(buf, v->u.string, v->count);
		return true;
	}
	if (v->type == SAGA_JV_FUNCTION)
		return true;
	if (v->type == SAGA_JV_ARRAY && (v->flags & SAGA_JV_WRAPPER) && v->count > 0)
	{
		saga_jsonata_element(v, 0, &array);
		v = &array;
	}
	return write_value(&w, v);
}

bool
saga_jsonata_string(SagaJsonataEval *ev, const SagaJsonataValue *v, SagaJsonataValue *result)
{
	StringInfoData buf;

	if (v->type == SAGA_JV_STRING || v->type == SAGA_JV_NOTHING)
	{
		SagaJsonataValue same = *v;

		*result = same;
		return true;
	}
	initStringInfo(&buf);
	if (!saga_jsonata_append_string(ev, &buf, v, false))
		return false;
	saga_jsonata_set_buffer(ev, result, &buf);
	return true;
}

bool
saga_jsonata_append_result(SagaJsonataEval *ev, StringInfo buf, const SagaJsonataValue *v)
{
	Writer		w = {ev, buf, true, false, 0};

	return write_value(&w, v);
}
