/*
 * jsonb_read.c
 *		Foreign JSON as jsonb: one pass, no recursion, and no more memory than
 *		jsonb itself takes.
 *
 * The server's own parser would do, but for two things that a process which
 * serves many owners needs: it is not interrupted, however long the text is,
 * and the network is served meanwhile.  The grammar is that of RFC 8259, as
 * the server has it.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "net/http_private.h"
#include "net/json.h"
#include "net/jsonb_read_private.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

/* So many values between two looks at what else there is to do. */
#define TOKENS_PER_BREATH 4096

/* Digits of a number that an int64 surely holds. */
#define SMALL_DIGITS 18

/*
 * 1e131071 takes eight bytes, and a hundred thousand when it is written out,
 * as jsonb does.  So many digits of all its numbers may a text have that are
 * not there: more is not read as JSON.
 */
#define MAX_HIDDEN_DIGITS (1024 * 1024)

typedef struct Reader
{
	const char *p;
	const char *end;			/* a NUL is there */
	JsonbParseState *state;
	int			depth;
	int			tokens;
	int64		hidden_digits;	/* that exponents stand for */
	bool		lenient;		/* what jsonb cannot hold is kept as it is written */
	bool		in_object[SAGA_JSON_MAX_DEPTH];
} Reader;

/* Ends at the NUL at the latest. */
static void
skip_space(Reader *reader)
{
	while (*reader->p == ' ' || *reader->p == '\t' || *reader->p == '\n' || *reader->p == '\r')
		reader->p++;
}

/* ---------- scalars; false: it is none ---------- */

/* Four hexadecimal digits; less than 0: there are others. */
static int
hex4(const char *p)
{
	int			value = 0;
	int			i;

	for (i = 0; i < 4; i++)
	{
		char		c = p[i];

		if (c >= '0' && c <= '9')
			value = value * 16 + c - '0';
		else if (c >= 'a' && c <= 'f')
			value = value * 16 + c - 'a' + 10;
		else if (c >= 'A' && c <= 'F')
			value = value * 16 + c - 'A' + 10;
		else
			return -1;
	}
	return value;
}

/* Four digits that are no character in the server. */
static bool
keep_escape(Reader *reader, StringInfo out)
{
	if (!reader->lenient)
		return false;
	appendStringInfoString(out, "\\u");
	appendBinaryStringInfo(out, reader->p, 4);
	reader->p += 4;
	return true;
}

/* Behind "\u": a character, or half of one and the other half; jsonb has no NUL. */
static bool
read_unicode(Reader *reader, StringInfo out)
{
	unsigned char buffer[MAX_UNICODE_EQUIVALENT_STRING + 1];
	int			code = hex4(reader->p);

	if (code < 0)
		return false;
	if (code == 0 || is_utf16_surrogate_second(code))
		return keep_escape(reader, out);
	if (is_utf16_surrogate_first(code))
	{
		int			second = reader->p[4] == '\\' && reader->p[5] == 'u' ? hex4(reader->p + 6) : -1;

		if (second < 0 || !is_utf16_surrogate_second(second))
			return keep_escape(reader, out);
		reader->p += 4;
		code = surrogate_pair_to_codepoint(code, second);
		reader->p += 6;
	}
	else
		reader->p += 4;
	pg_unicode_to_server(code, buffer);
	appendStringInfoString(out, (char *) buffer);
	return true;
}

/* What follows a backslash.  False: it is no escape of JSON. */
static bool
read_escape(Reader *reader, StringInfo out)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	char		c = *reader->p;
	const char *known = c != '\0' ? strchr(from, c) : NULL;

	if (c == '\0')
		return false;
	reader->p++;
	if (c == 'u')
		return read_unicode(reader, out);
	if (known == NULL)
		return false;
	appendStringInfoChar(out, to[known - from]);
	return true;
}

/* Without an escape it is a part of the text. */
static bool
read_string(Reader *reader, JsonbValue *value)
{
	const char *from = ++reader->p;
	StringInfoData out;

	value->type = jbvString;
	while ((unsigned char) *reader->p >= ' ' && *reader->p != '"' && *reader->p != '\\')
		reader->p++;
	if (*reader->p == '"')
	{
		value->val.string.val = unconstify(char *, from);
		value->val.string.len = reader->p++ - from;
		return true;
	}
	initStringInfo(&out);
	for (;;)
	{
		appendBinaryStringInfo(&out, from, reader->p - from);
		if (*reader->p == '"')
			break;
		if (*reader->p++ != '\\' || !read_escape(reader, &out))
			return false;
		from = reader->p;
		while ((unsigned char) *reader->p >= ' ' && *reader->p != '"' && *reader->p != '\\')
			reader->p++;
	}
	reader->p++;
	value->val.string.val = out.data;
	value->val.string.len = out.len;
	return true;
}

/* Returns how many there were. */
static int
skip_digits(Reader *reader)
{
	const char *from = reader->p;

	while (*reader->p >= '0' && *reader->p <= '9')
		reader->p++;
	return reader->p - from;
}

/* Behind "e". */
static bool
read_exponent(Reader *reader)
{
	const char *from;

	if (*reader->p == '+' || *reader->p == '-')
		reader->p++;
	from = reader->p;
	if (skip_digits(reader) == 0)
		return false;
	while (*from == '0')
		from++;
	/* numeric has no more digits than that */
	if (reader->p - from > 6)
		return false;
	if (reader->p > from)
		reader->hidden_digits += strtol(from, NULL, 10);
	return reader->hidden_digits <= MAX_HIDDEN_DIGITS;
}

/* A number as JSON writes it, with no zeroes in front. */
static bool
read_number(Reader *reader, JsonbValue *value)
{
	const char *from = reader->p;
	bool		negative = *from == '-';
	bool		whole = true;
	int			digits;

	reader->p += negative;
	digits = skip_digits(reader);
	if (digits == 0 || (digits > 1 && from[negative] == '0'))
		return false;
	if (*reader->p == '.')
	{
		whole = false;
		reader->p++;
		if (skip_digits(reader) == 0)
			return false;
	}
	if (*reader->p == 'e' || *reader->p == 'E')
	{
		whole = false;
		reader->p++;
		if (!read_exponent(reader))
			return false;
	}
	/* most numbers are small integers, which need no parser */
	value->type = jbvNumeric;
	if (whole && digits <= SMALL_DIGITS)
	{
		int64		number = 0;
		const char *p;

		for (p = from + negative; p < reader->p; p++)
			number = number * 10 + (*p - '0');
		value->val.numeric = int64_to_numeric(negative ? -number : number);
	}
	else
		value->val.numeric = DatumGetNumeric(DirectFunctionCall3(numeric_in,
																 CStringGetDatum(pnstrdup(from, reader->p - from)),
																 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	return true;
}

/* False: something else is there. */
static bool
read_word(Reader *reader, const char *word)
{
	size_t		len = strlen(word);

	if (strncmp(reader->p, word, len) != 0)
		return false;
	reader->p += len;
	return true;
}

/* What some write for numbers that JSON has not. */
static bool
read_no_number(Reader *reader, JsonbValue *value)
{
	static const char *const words[] = {"NaN", "Infinity", "-Infinity"};
	int			i;

	for (i = 0; reader->lenient && i < lengthof(words); i++)
	{
		if (!read_word(reader, words[i]))
			continue;
		value->type = jbvString;
		value->val.string.val = unconstify(char *, words[i]);
		value->val.string.len = strlen(words[i]);
		return true;
	}
	return false;
}

/* Anything but an object or an array. */
static bool
read_scalar(Reader *reader, JsonbValue *value)
{
	switch (*reader->p)
	{
		case '"':
			return read_string(reader, value);
		case 't':
		case 'f':
			value->type = jbvBool;
			value->val.boolean = *reader->p == 't';
			return read_word(reader, value->val.boolean ? "true" : "false");
		case 'n':
			value->type = jbvNull;
			return read_word(reader, "null");
		default:
			return read_no_number(reader, value) || read_number(reader, value);
	}
}

/* ---------- objects and arrays ---------- */

/* A text of megabytes is not all that this process has to do. */
static void
breathe(Reader *reader)
{
	if (++reader->tokens % TOKENS_PER_BREATH != 0)
		return;
	CHECK_FOR_INTERRUPTS();
	saga_http_attend();
}

/* The name of a member, and its colon. */
static bool
read_key(Reader *reader)
{
	JsonbValue	key;

	skip_space(reader);
	if (*reader->p != '"' || !read_string(reader, &key))
		return false;
	skip_space(reader);
	if (*reader->p++ != ':')
		return false;
	pushJsonbValue(&reader->state, WJB_KEY, &key);
	return true;
}

/* An object or an array begins.  False: too many are inside each other. */
static bool
open_container(Reader *reader)
{
	bool		object = *reader->p++ == '{';

	if (reader->depth == SAGA_JSON_MAX_DEPTH)
		return false;
	reader->in_object[reader->depth++] = object;
	pushJsonbValue(&reader->state, object ? WJB_BEGIN_OBJECT : WJB_BEGIN_ARRAY, NULL);
	return true;
}

/* The innermost one ends; the outermost one is returned as the value. */
static JsonbValue *
close_container(Reader *reader)
{
	bool		object = reader->in_object[--reader->depth];

	reader->p++;
	return pushJsonbValue(&reader->state, object ? WJB_END_OBJECT : WJB_END_ARRAY, NULL);
}

/* Does the innermost object or array end here? */
static bool
is_end(const Reader *reader)
{
	return *reader->p == (reader->in_object[reader->depth - 1] ? '}' : ']');
}

/* One value behind another: where it ends, so may what it is in.  *root is set when all has ended. */
static bool
read_end(Reader *reader, JsonbValue **root)
{
	for (;;)
	{
		skip_space(reader);
		if (*reader->p == ',')
		{
			reader->p++;
			return !reader->in_object[reader->depth - 1] || read_key(reader);
		}
		if (!is_end(reader))
			return false;
		*root = close_container(reader);
		if (reader->depth == 0)
			return true;
		*root = NULL;
	}
}

/* An object or an array, with all that is in it. */
static JsonbValue *
read_container(Reader *reader)
{
	JsonbValue *root = NULL;

	while (root == NULL)
	{
		breathe(reader);
		skip_space(reader);
		if (*reader->p == '{' || *reader->p == '[')
		{
			if (!open_container(reader))
				return NULL;
			skip_space(reader);
			if (!is_end(reader))
			{
				if (reader->in_object[reader->depth - 1] && !read_key(reader))
					return NULL;
				continue;
			}
			root = close_container(reader);
			if (reader->depth == 0)
				break;
			root = NULL;
		}
		else
		{
			JsonbValue	value;

			if (!read_scalar(reader, &value))
				return NULL;
			pushJsonbValue(&reader->state, reader->in_object[reader->depth - 1] ? WJB_VALUE : WJB_ELEM, &value);
		}
		if (!read_end(reader, &root))
			return NULL;
	}
	return root;
}

Jsonb *
saga_net_jsonb_read(const char *text, size_t len, bool lenient)
{
	Reader		reader = {.p = text, .end = text + len, .lenient = lenient};
	JsonbValue *root;
	JsonbValue	scalar;

	skip_space(&reader);
	if (*reader.p == '{' || *reader.p == '[')
		root = read_container(&reader);
	else
		root = read_scalar(&reader, &scalar) ? &scalar : NULL;
	if (root == NULL)
		return NULL;
	skip_space(&reader);
	/* something behind the value, or a NUL within the text */
	if (reader.p != reader.end)
		return NULL;
	return JsonbValueToJsonb(root);
}
