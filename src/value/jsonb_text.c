/*
 * jsonb_text.c
 *		Values from text and as text, without raising for what the text is.
 *
 * The server's own input functions raise, which needs a subtransaction to
 * survive.  So a text is looked at here first: whatever passes json_fits()
 * and the server's parser is given to jsonb_in, which can then only fail for
 * want of memory.  Numbers pass number_fits() before numeric_in.
 */
#include "postgres.h"

#include "common/jsonapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "common/compat.h"
#include "value/value.h"

/* numeric's own limits: digits before and after the decimal point */
#define MAX_INTEGER_DIGITS		131072
#define MAX_FRACTION_DIGITS		16383

/* As deep as other readers of JSON go, and far from the stack's end. */
#define MAX_JSON_DEPTH			1000

/* Texts longer than this could make a jsonb that is too large. */
#define MAX_JSON_TEXT			(64 * 1024 * 1024)

/* ---------- writing ---------- */

/* In quotes, with JSON's escapes: what needs none is copied in one piece. */
static void
append_string(StringInfo buf, const char *s, int len)
{
	const char *end = s + len;

	appendStringInfoCharMacro(buf, '"');
	while (s < end)
	{
		const char *plain = s;

		while (s < end && (unsigned char) *s >= ' ' && *s != '"' && *s != '\\')
			s++;
		appendBinaryStringInfo(buf, plain, s - plain);
		if (s == end)
			break;
		switch (*s)
		{
			case '"':
				appendStringInfoString(buf, "\\\"");
				break;
			case '\\':
				appendStringInfoString(buf, "\\\\");
				break;
			case '\b':
				appendStringInfoString(buf, "\\b");
				break;
			case '\f':
				appendStringInfoString(buf, "\\f");
				break;
			case '\n':
				appendStringInfoString(buf, "\\n");
				break;
			case '\r':
				appendStringInfoString(buf, "\\r");
				break;
			case '\t':
				appendStringInfoString(buf, "\\t");
				break;
			default:
				appendStringInfo(buf, "\\u%04x", (unsigned char) *s);
				break;
		}
		s++;
	}
	appendStringInfoCharMacro(buf, '"');
}

/*
 * The limit is looked at behind each member, so that at most one scalar too
 * many is written.
 */
static bool
append_container(StringInfo buf, const JsonbValue *v, bool java, Size limit)
{
	SagaValueChildren c;
	bool		first = true;

	saga_value_children_start(&c, v);
	appendStringInfoChar(buf, c.is_object ? '{' : '[');
	while (saga_value_children_next(&c))
	{
		if (!first)
			appendStringInfoString(buf, java ? ", " : ",");
		first = false;
		if (c.is_object && java)
		{
			appendBinaryStringInfo(buf, c.key.val.string.val, c.key.val.string.len);
			appendStringInfoChar(buf, '=');
		}
		else if (c.is_object)
		{
			append_string(buf, c.key.val.string.val, c.key.val.string.len);
			appendStringInfoChar(buf, ':');
		}
		if (!saga_value_text(buf, &c.value, java, limit))
			return false;
	}
	appendStringInfoChar(buf, c.is_object ? '}' : ']');
	return buf->len <= limit;
}

/* Numbers are written with the digits that they have: 1.50 stays 1.50. */
bool
saga_value_text(StringInfo buf, const JsonbValue *v, bool java, Size limit)
{
	check_stack_depth();

	switch (v->type)
	{
		case jbvNull:
			appendStringInfoString(buf, "null");
			break;
		case jbvString:
			if (java)
				appendBinaryStringInfo(buf, v->val.string.val, v->val.string.len);
			else
				append_string(buf, v->val.string.val, v->val.string.len);
			break;
		case jbvNumeric:
			{
				char	   *s = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(v->val.numeric)));

				appendStringInfoString(buf, s);
				pfree(s);
				break;
			}
		case jbvBool:
			appendStringInfoString(buf, v->val.boolean ? "true" : "false");
			break;
		default:
			return append_container(buf, v, java, limit);
	}
	return buf->len <= limit;
}

/* Without a limit but that of memory. */
char *
saga_jsonb_to_cstring(const Jsonb *value)
{
	StringInfoData buf;
	JsonbValue	v;

	initStringInfo(&buf);
	saga_jsonb_value(value, &v);
	saga_value_text(&buf, &v, false, MaxAllocSize);
	return buf.data;
}

/* RFC 6901: "~" and "/" are escaped. */
void
saga_value_append_pointer_name(StringInfo buf, const char *name, int len)
{
	for (int i = 0; i < len; i++)
	{
		if (name[i] == '~')
			appendStringInfoString(buf, "~0");
		else if (name[i] == '/')
			appendStringInfoString(buf, "~1");
		else
			appendStringInfoChar(buf, name[i]);
	}
}

/* ---------- reading ---------- */

/*
 * The text is terminated by something that is no digit, its NUL at the
 * latest.
 */
static int
count_digits(const char *s)
{
	int			n = 0;

	while (s[n] >= '0' && s[n] <= '9')
		n++;
	return n;
}

/* Zeroes in front and a point without digits are no JSON: 0 then. */
int
saga_number_length(const char *s)
{
	const char *p = s;
	int			n;

	if (*p == '-')
		p++;
	n = count_digits(p);
	if (n == 0 || (n > 1 && *p == '0'))
		return 0;
	p += n;
	if (*p == '.')
	{
		n = count_digits(p + 1);
		if (n == 0)
			return 0;
		p += 1 + n;
	}
	if (*p == 'e' || *p == 'E')
	{
		int			sign = p[1] == '+' || p[1] == '-';

		n = count_digits(p + 1 + sign);
		if (n == 0)
			return 0;
		p += 1 + sign + n;
	}
	return p - s;
}

/* Does numeric hold this JSON number?  It raises otherwise. */
static bool
number_fits(const char *s)
{
	int			before,
				after = 0;
	long		exponent = 0;

	if (*s == '-')
		s++;
	before = count_digits(s);
	s += before;
	if (*s == '.')
	{
		after = count_digits(s + 1);
		s += 1 + after;
	}
	if (*s == 'e' || *s == 'E')
	{
		if (count_digits(s + 1) > 9 || ((s[1] == '-' || s[1] == '+') && count_digits(s + 2) > 9))
			return false;
		exponent = strtol(s + 1, NULL, 10);
	}
	return before + exponent <= MAX_INTEGER_DIGITS &&
		after - exponent <= MAX_FRACTION_DIGITS &&
		before <= MAX_INTEGER_DIGITS && after <= MAX_FRACTION_DIGITS;
}

/* The text need not be terminated; numeric_in gets only what it can hold. */
bool
saga_numeric_parse(const char *s, int len, Numeric *result)
{
	char	   *copy = pnstrdup(s, len);

	if (len == 0 || saga_number_length(copy) != len || !number_fits(copy))
		return false;
	*result = DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(copy),
												  ObjectIdGetDatum(InvalidOid),
												  Int32GetDatum(-1)));
	pfree(copy);
	return true;
}

/*
 * What the server's parser accepts but then raises for: numbers that numeric
 * cannot hold, and nesting down to the end of the stack.  The text need not
 * be JSON yet.
 */
static bool
json_fits(const char *s)
{
	int			depth = 0;
	bool		utf8 = GetDatabaseEncoding() == PG_UTF8;

	for (; *s != '\0'; s++)
	{
		if (*s == '"')
		{
			for (s++; *s != '"'; s++)
			{
				if (*s == '\\')
				{
					s++;

					/*
					 * before 16 the lexer raises for what the database cannot
					 * hold
					 */
					if (*s == 'u' && !utf8 && (strncmp(s, "u00", 3) != 0 || s[3] > '7'))
						return false;
				}
				if (*s == '\0')
					return false;
			}
		}
		else if (*s == '[' || *s == '{')
		{
			if (++depth > MAX_JSON_DEPTH)
				return false;
		}
		else if (*s == ']' || *s == '}')
			depth--;
		else if (*s == '-' || (*s >= '0' && *s <= '9'))
		{
			int			len = saga_number_length(s);

			if (len == 0 || !number_fits(s))
				return false;
			s += len - 1;
		}
	}
	return true;
}

/*
 * The server's parser runs without actions first: jsonb_in would raise for a
 * fault of syntax.
 */
Jsonb *
saga_jsonb_parse(const char *text, int len)
{
	char	   *copy;
	JsonLexContext *lex;
	Jsonb	   *result = NULL;

	/* bytes of a network can be in no encoding at all */
	if (len > MAX_JSON_TEXT || !pg_verify_mbstr(GetDatabaseEncoding(), text, len, true))
		return NULL;
	copy = pnstrdup(text, len);
	if (json_fits(copy))
	{
		/* with escapes, so that it looks at \u sequences, too */
		lex = saga_make_json_lexer(copy, len, true);
		if (pg_parse_json(lex, &nullSemAction) == JSON_SUCCESS)
			result = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(copy)));
	}
	pfree(copy);
	return result;
}
