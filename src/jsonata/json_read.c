/*
 * json_read.c
 *		JSON text as a value, with the order of its members and the digits of
 *		its numbers.
 *
 * Strings without escapes and all numbers are left where they are in the
 * text.  The grammar is JSON's own, so that a text of unknown origin can be
 * read too.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "common/text.h"
#include "jsonata/jsonata_private.h"

typedef struct Reader
{
	SagaJsonataEval *ev;
	const char *pos;
	const char *end;
	bool		traced;			/* the document, whose values are numbered */
	int			parent;			/* the number of what the next value is in, and its place there */
	const char *name;
	int			len;
	int			index;
} Reader;

static bool read_value(Reader *r, SagaJsonataValue *v);

static void
skip_blanks(Reader *r)
{
	while (r->pos < r->end && (*r->pos == ' ' || *r->pos == '\n' || *r->pos == '\r' || *r->pos == '\t'))
		r->pos++;
}

/* Skips the character, which must be next, and blanks behind it. */
static bool
expect(Reader *r, char c)
{
	if (r->pos >= r->end || *r->pos != c)
		return false;
	r->pos++;
	skip_blanks(r);
	return true;
}

/* The four digits of \u; -1: they are none. */
static int
read_unit(const char *s, const char *end)
{
	int			unit = 0;

	if (end - s < 4)
		return -1;
	for (int i = 0; i < 4; i++)
	{
		int			digit = saga_hex_digit(s[i]);

		if (digit < 0)
			return -1;
		unit = unit * 16 + digit;
	}
	return unit;
}

/* At "\": the character it stands for goes to *out, of which it moves the end. */
static bool
read_escape(Reader *r, char **out)
{
	static const char names[] = "\"\\/bfnrt";
	static const char values[] = "\"\\/\b\f\n\r\t";
	const char *found;
	int			unit;

	if (r->end - r->pos < 2)
		return false;
	found = r->pos[1] != '\0' ? strchr(names, r->pos[1]) : NULL;
	if (found != NULL)
	{
		*(*out)++ = values[found - names];
		r->pos += 2;
		return true;
	}
	unit = r->pos[1] == 'u' ? read_unit(r->pos + 2, r->end) : -1;
	if (unit < 0)
		return false;
	r->pos += 6;
	if (unit >= 0xD800 && unit <= 0xDBFF && r->end - r->pos >= 6 && r->pos[0] == '\\' && r->pos[1] == 'u')
	{
		int			low = read_unit(r->pos + 2, r->end);

		if (low >= 0xDC00 && low <= 0xDFFF)
		{
			unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
			r->pos += 6;
		}
	}
	unicode_to_utf8(unit, (unsigned char *) *out);
	*out += pg_utf_mblen((unsigned char *) *out);
	return true;
}

static bool
read_string(Reader *r, const char **s, int *len)
{
	const char *start = r->pos + 1;
	char	   *buf,
			   *out;

	for (r->pos++; r->pos < r->end && *r->pos != '"' && *r->pos != '\\'; r->pos++)
		if ((unsigned char) *r->pos < ' ')
			return false;
	*s = start;
	*len = r->pos - start;
	if (r->pos < r->end && *r->pos == '"')
	{
		r->pos++;
		return saga_jsonata_spend_read(r->ev, *len);
	}
	/* what is left can only get shorter */
	if (!saga_jsonata_has_room(r->ev, r->end - start, 1))
		return false;
	{
		const char *close = r->pos;

		while (close < r->end && *close != '"')
			close += *close == '\\' && close + 1 < r->end ? 2 : 1;
		if (close >= r->end)
			return false;
		buf = out = saga_jsonata_alloc(r->ev, close - start + 4);
	}
	memcpy(buf, start, *len);
	out += *len;
	while (r->pos < r->end && *r->pos != '"')
	{
		if ((unsigned char) *r->pos < ' ')
			return false;
		if (*r->pos != '\\')
			*out++ = *r->pos++;
		else if (!read_escape(r, &out))
			return false;
	}
	if (r->pos >= r->end)
		return false;
	r->pos++;
	*s = buf;
	*len = out - buf;
	return saga_jsonata_spend_read(r->ev, *len * 2);
}

static bool
read_digits(Reader *r)
{
	const char *start = r->pos;

	while (r->pos < r->end && *r->pos >= '0' && *r->pos <= '9')
		r->pos++;
	return r->pos > start;
}

/*
 * Whole numbers that a double and a decimal both hold become doubles at once;
 * all others stay digits.
 */
static bool
read_number(Reader *r, SagaJsonataValue *v)
{
	const char *start = r->pos;
	bool		whole = true;

	if (*r->pos == '-')
		r->pos++;
	if (r->pos < r->end && *r->pos == '0')
		r->pos++;
	else if (!read_digits(r))
		return false;
	if (r->pos < r->end && *r->pos == '.')
	{
		whole = false;
		r->pos++;
		if (!read_digits(r))
			return false;
	}
	if (r->pos < r->end && (*r->pos == 'e' || *r->pos == 'E'))
	{
		whole = false;
		r->pos++;
		if (r->pos < r->end && (*r->pos == '+' || *r->pos == '-'))
			r->pos++;
		if (!read_digits(r))
			return false;
	}
	if (whole && r->pos - start <= 15 && !(*start == '-' && start[1] == '0'))
	{
		int64		number = 0;

		for (const char *p = start + (*start == '-'); p < r->pos; p++)
			number = number * 10 + (*p - '0');
		saga_jsonata_set_number(v, (double) (*start == '-' ? -number : number));
		return true;
	}
	saga_jsonata_set_string(v, start, r->pos - start);
	v->type = SAGA_JV_NUMBER;
	v->flags = SAGA_JV_DIGITS;
	return saga_jsonata_spend_read(r->ev, v->count);
}

static bool
read_array(Reader *r, SagaJsonataValue *v)
{
	SagaJsonataList list = {0};

	if (!expect(r, '['))
		return false;
	if (r->pos < r->end && *r->pos != ']')
	{
		do
		{
			SagaJsonataValue elem;

			r->name = NULL;
			r->index = list.count;
			if (!read_value(r, &elem) || !saga_jsonata_push(r->ev, &list, &elem))
				return false;
		} while (expect(r, ','));
	}
	if (!expect(r, ']'))
		return false;
	saga_jsonata_set_array(v, &list, 0);
	return true;
}

/* Of members with one name the last counts, as in JavaScript. */
static bool
read_object(Reader *r, SagaJsonataValue *v)
{
	SagaJsonataObject *object = saga_jsonata_new_object(r->ev, 4);

	if (!expect(r, '{'))
		return false;
	if (r->pos < r->end && *r->pos != '}')
	{
		do
		{
			const char *name;
			int			len;
			SagaJsonataValue member;

			if (r->pos >= r->end || *r->pos != '"' || !read_string(r, &name, &len))
				return false;
			skip_blanks(r);
			r->name = name;
			r->len = len;
			if (!expect(r, ':') || !read_value(r, &member) || !saga_jsonata_put(r->ev, object, name, len, &member))
				return false;
		} while (expect(r, ','));
	}
	if (!expect(r, '}'))
		return false;
	saga_jsonata_set_object(v, object);
	return true;
}

static bool
read_word(Reader *r, const char *word)
{
	int			len = strlen(word);

	if (r->end - r->pos < len || memcmp(r->pos, word, len) != 0)
		return false;
	r->pos += len;
	return true;
}

/* A value of any kind. */
static bool
read_any(Reader *r, SagaJsonataValue *v)
{
	const char *s;
	int			len;
	bool		read;

	switch (*r->pos)
	{
		case '{':
			read = read_object(r, v);
			break;
		case '[':
			read = read_array(r, v);
			break;
		case '"':
			read = read_string(r, &s, &len);
			if (read)
				saga_jsonata_set_string(v, s, len);
			break;
		case 't':
			saga_jsonata_set_bool(v, true);
			read = read_word(r, "true");
			break;
		case 'f':
			saga_jsonata_set_bool(v, false);
			read = read_word(r, "false");
			break;
		case 'n':
			v->type = SAGA_JV_NULL;
			read = read_word(r, "null");
			break;
		default:
			read = (*r->pos == '-' || (*r->pos >= '0' && *r->pos <= '9')) && read_number(r, v);
			break;
	}
	return read;
}

/* A value and the blanks behind it. */
static bool
read_value(Reader *r, SagaJsonataValue *v)
{
	saga_jsonata_set_nothing(v);
	if (r->pos >= r->end || !saga_jsonata_enter(r->ev))
		return false;
	if (!r->traced)
	{
		if (!read_any(r, v))
			return false;
	}
	else
	{
		int			parent = r->parent;
		int			node = saga_jsonata_trace_next(r->ev, parent, r->name, r->len, r->index);

		r->parent = node;
		if (node == 0 || !read_any(r, v) || !saga_jsonata_trace_read(r->ev, node, v))
			return false;
		r->parent = parent;
	}
	saga_jsonata_leave(r->ev);
	skip_blanks(r);
	return true;
}

static bool
read_text(Reader *r, SagaJsonataValue *result)
{
	skip_blanks(r);
	return read_value(r, result) && r->pos == r->end;
}

bool
saga_jsonata_read_foreign(SagaJsonataEval *ev, const char *json, int len, SagaJsonataValue *result)
{
	Reader		r = {ev, json, json + len};

	return read_text(&r, result);
}

bool
saga_jsonata_read(SagaJsonataEval *ev, const char *json, int len, SagaJsonataValue *result)
{
	return saga_jsonata_read_foreign(ev, json, len, result) ||
		saga_jsonata_fail(ev, "D3137", "the document is no JSON");
}

bool
saga_jsonata_read_document(SagaJsonataEval *ev, const char *json, int len, SagaJsonataValue *result)
{
	Reader		r = {ev, json, json + len, .traced = ev->trace != NULL};

	return read_text(&r, result) || saga_jsonata_fail(ev, "D3137", "the document is no JSON");
}
