/*
 * regex_syntax.c
 *		Regular expressions of settings, which are in the syntax of the server's
 *		own (advanced ones), changed into what means the same to PCRE2.
 *
 * An expression is read once from its beginning to its end and written anew;
 * what PCRE2 would read in another way, or take for something of its own, is
 * written so that it does not: each character that is none of a construct of
 * ours is escaped.  What is wrong in a way that PCRE2 sees too, as parentheses
 * that do not pair, is left to it.
 */
#include "postgres.h"

#include "common/text.h"
#include "endpoint/regex_private.h"
#include "mb/pg_wchar.h"

/* The bound of a repetition, as the server has it. */
#define MAX_BOUND	255

typedef struct Reader
{
	const char *s;
	const char *end;
	StringInfo	out;
	bool		expanded;		/* (?x): blanks and comments mean nothing */
	bool		dot_stops;		/* (?n), (?p): not at the end of a line */
	bool		lines;			/* (?n), (?w): "^" and "$" are those of lines */
	bool		can_repeat;		/* the last item can have a quantifier */
	int			groups;			/* that capture, so far */
	const char *error;
} Reader;

/* For "return wrong(...)": always false. */
static bool
wrong(Reader *r, const char *error)
{
	r->error = error;
	return false;
}

static bool
is_at(const Reader *r, const char *text)
{
	return r->end - r->s >= (ptrdiff_t) strlen(text) && strncmp(r->s, text, strlen(text)) == 0;
}

static bool
is_digit_at(const Reader *r, int offset)
{
	return r->end - r->s > offset && r->s[offset] >= '0' && r->s[offset] <= '9';
}

/* A character that stands for itself, within brackets too. */
static bool
put_char(Reader *r, pg_wchar c)
{
	unsigned char utf8[5];

	if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return wrong(r, "an escape is no character");
	if (c < ' ' || c == 0x7f)
		appendStringInfo(r->out, "\\x%02x", (int) c);
	else if (c < 0x80 && !saga_is_ascii_alnum((char) c) && c != '_')
		appendStringInfo(r->out, "\\%c", (char) c);
	else
	{
		unicode_to_utf8(c, utf8);
		appendBinaryStringInfo(r->out, (char *) utf8, pg_utf_mblen(utf8));
	}
	return true;
}

/* The next character of the expression, for itself. */
static bool
put_next(Reader *r)
{
	pg_wchar	c = utf8_to_unicode((const unsigned char *) r->s);

	r->s += pg_utf_mblen((const unsigned char *) r->s);
	return put_char(r, c);
}

/* ---------- escapes ---------- */

/* Up to so many digits of this base behind the pointer; false: there are fewer than wanted. */
static bool
read_digits(Reader *r, int base, int least, int most, pg_wchar *value)
{
	int			n = 0;

	*value = 0;
	for (; n < most && r->s < r->end; n++)
	{
		int			digit = saga_hex_digit(*r->s);

		if (digit < 0 || digit >= base)
			break;
		*value = Min(*value * base + digit, 0x110000);
		r->s++;
	}
	return n >= least;
}

/* An escape that is one character; false without an error: it is another one. */
static bool
read_char_escape(Reader *r, char c, pg_wchar *value)
{
	static const struct
	{
		char		letter;
		pg_wchar	value;
	}			simple[] =
	{
		{'a', 7}, {'b', 8}, {'B', '\\'}, {'e', 27}, {'f', 12}, {'n', 10}, {'r', 13}, {'t', 9}, {'v', 11}
	};

	for (int i = 0; i < lengthof(simple); i++)
	{
		*value = simple[i].value;
		if (simple[i].letter == c)
			return true;
	}
	switch (c)
	{
		case 'c':
			if (r->s == r->end)
				return wrong(r, "an escape has no end");
			*value = *r->s++ & 0x1f;
			return true;
		case 'u':
			return read_digits(r, 16, 4, 4, value) || wrong(r, "\"\\u\" needs four hexadecimal digits");
		case 'U':
			return read_digits(r, 16, 8, 8, value) || wrong(r, "\"\\U\" needs eight hexadecimal digits");
		case 'x':
			return read_digits(r, 16, 1, PG_INT32_MAX, value) || wrong(r, "\"\\x\" needs hexadecimal digits");
		case '0':
			return read_digits(r, 8, 0, 2, value);
		default:
			return false;
	}
}

/* A constraint, which has no width; NULL: it is none. */
static const char *
constraint(char c)
{
	switch (c)
	{
		case 'A':
			return "\\A";
		case 'Z':
			return "\\z";
		case 'm':
			return "\\b(?=\\w)";
		case 'M':
			return "\\b(?<=\\w)";
		case 'y':
			return "\\b";
		case 'Y':
			return "\\B";
		default:
			return NULL;
	}
}

/*
 * \1 to \9 are what a group has captured; more digits are if there are so many
 * groups, and an octal number else.
 */
static bool
translate_number(Reader *r)
{
	const char *start = r->s;
	int			n = 0;
	pg_wchar	c;

	for (; is_digit_at(r, 0) && n < 1000; r->s++)
		n = n * 10 + (*r->s - '0');
	if (r->s == start + 1 || n <= r->groups)
	{
		/* in parentheses, as a digit may follow */
		appendStringInfo(r->out, "(?:\\%d)", n);
		return true;
	}
	r->s = start;
	if (!read_digits(r, 8, 1, 3, &c))
		return wrong(r, "a back reference is to no group");
	return put_char(r, c);
}

/* What begins with a backslash. */
static bool
translate_escape(Reader *r, bool in_brackets)
{
	pg_wchar	value;
	char		c;

	r->s++;
	if (r->s == r->end)
		return wrong(r, "it ends with a backslash");
	c = *r->s;
	if (!saga_is_ascii_alnum(c))
		return put_next(r);
	if (c >= '1' && c <= '9' && !in_brackets)
		return translate_number(r);
	r->s++;
	if (strchr("dswDSW", c) != NULL)
	{
		appendStringInfo(r->out, "\\%c", c);
		return true;
	}
	if (read_char_escape(r, c, &value))
		return put_char(r, value);
	if (r->error != NULL)
		return false;
	if (constraint(c) == NULL || in_brackets)
		return wrong(r, "an escape is not known");
	appendStringInfoString(r->out, constraint(c));
	r->can_repeat = false;
	return true;
}

/* ---------- brackets ---------- */

/* "[:alpha:]", "[.-.]", "[=a=]" within brackets; the pointer is at the inner bracket. */
static bool
translate_element(Reader *r)
{
	char		kind = r->s[1];
	const char *start = r->s + 2;
	const char *close = start;

	while (close < r->end && !(close[0] == kind && r->end - close > 1 && close[1] == ']'))
		close++;
	if (close >= r->end)
		return wrong(r, "brackets [] do not pair");
	r->s = close + 2;
	if (kind == ':')
	{
		/* PCRE2 knows the same names, and more that are not meant to be there */
		appendStringInfo(r->out, "[:%.*s:]", (int) (close - start), start);
		return start < close && saga_is_ascii_alnum(*start) ? true : wrong(r, "there is no such class of characters");
	}
	if (start == close || start + pg_utf_mblen((const unsigned char *) start) != close)
		return wrong(r, "a character must not be given by its name");
	return put_char(r, utf8_to_unicode((const unsigned char *) start));
}

/* The whole of a bracket expression. */
static bool
translate_brackets(Reader *r)
{
	bool		first = true;

	if (is_at(r, "[[:<:]]") || is_at(r, "[[:>:]]"))
	{
		appendStringInfoString(r->out, constraint(r->s[3] == '<' ? 'm' : 'M'));
		r->s += strlen("[[:<:]]");
		r->can_repeat = false;
		return true;
	}
	appendStringInfoChar(r->out, *r->s++);
	if (r->s < r->end && *r->s == '^')
	{
		appendStringInfoChar(r->out, *r->s++);
		if (r->dot_stops)
			appendStringInfoString(r->out, "\\n");
	}
	for (; r->s < r->end && (first || *r->s != ']'); first = false)
	{
		bool		done;

		if (*r->s == '\\')
			done = translate_escape(r, true);
		else if (*r->s == '[' && r->end - r->s > 1 && strchr(":.=", r->s[1]) != NULL)
			done = translate_element(r);
		else if (*r->s == '-' && !first && r->end - r->s > 1 && r->s[1] != ']')
		{
			/* a range */
			appendStringInfoChar(r->out, *r->s++);
			done = true;
		}
		else
			done = put_next(r);
		if (!done)
			return false;
	}
	if (r->s >= r->end)
		return wrong(r, "brackets [] do not pair");
	appendStringInfoChar(r->out, *r->s++);
	return true;
}

/* ---------- quantifiers and groups ---------- */

/* "{m}", "{m,}", "{m,n}" */
static bool
translate_bound(Reader *r)
{
	const char *start = r->s++;
	int			bounds[2] = {0, 0};
	int			n = 0;

	for (;; r->s++)
	{
		for (; is_digit_at(r, 0); r->s++)
			bounds[n] = Min(bounds[n] * 10 + (*r->s - '0'), MAX_BOUND + 1);
		if (n > 0 || !is_at(r, ","))
			break;
		n = 1;
	}
	if (!is_at(r, "}"))
		return wrong(r, "braces {} do not pair");
	if (bounds[0] > MAX_BOUND || bounds[1] > MAX_BOUND || (n == 1 && r->s[-1] != ',' && bounds[0] > bounds[1]))
		return wrong(r, psprintf("a bound must be from 0 to %d, and the second not less than the first", MAX_BOUND));
	r->s++;
	appendBinaryStringInfo(r->out, start, r->s - start);
	return true;
}

/* "*", "+", "?" or a bound, and the "?" behind it. */
static bool
translate_quantifier(Reader *r)
{
	if (!r->can_repeat)
		return wrong(r, "there is nothing to repeat in front of a quantifier");
	if (*r->s == '{')
	{
		if (!translate_bound(r))
			return false;
	}
	else
		appendStringInfoChar(r->out, *r->s++);
	if (is_at(r, "?"))
		appendStringInfoChar(r->out, *r->s++);
	r->can_repeat = false;
	return true;
}

/* An opening parenthesis and what it means. */
static bool
translate_group(Reader *r)
{
	static const char *const kinds[] = {"(?:", "(?=", "(?!", "(?<=", "(?<!"};

	if (is_at(r, "(?#"))
	{
		const char *close = memchr(r->s, ')', r->end - r->s);

		/* what comes next belongs to what was before it */
		r->s = close != NULL ? close + 1 : r->end;
		return true;
	}
	r->can_repeat = false;
	for (int i = 0; i < lengthof(kinds); i++)
	{
		if (is_at(r, kinds[i]))
		{
			appendStringInfoString(r->out, kinds[i]);
			r->s += strlen(kinds[i]);
			return true;
		}
	}
	if (is_at(r, "(?"))
		return wrong(r, "a group begins with (?:, (?=, (?!, (?<= or (?<!");
	r->groups++;
	appendStringInfoChar(r->out, *r->s++);
	return true;
}

/* ---------- the whole ---------- */

/* One item; what it leaves of can_repeat is for the next one. */
static bool
translate_item(Reader *r)
{
	char		c = *r->s;

	if (c == '*' || c == '+' || c == '?' || (c == '{' && is_digit_at(r, 1)))
		return translate_quantifier(r);
	if (r->expanded && (c == '#' || isspace((unsigned char) c)))
	{
		while (c == '#' && r->s < r->end && *r->s != '\n')
			r->s++;
		if (r->s < r->end)
			r->s++;
		return true;
	}
	if (c == '(')
		return translate_group(r);
	r->can_repeat = true;
	if (c == '\\')
		return translate_escape(r, false);
	if (c == '[')
		return translate_brackets(r);
	if (c == '.' || c == '^' || c == '$' || c == '|')
		r->s++;
	switch (c)
	{
		case '.':
			appendStringInfoString(r->out, r->dot_stops ? "[^\\n]" : ".");
			return true;
		case '^':
			r->can_repeat = false;
			appendStringInfoString(r->out, r->lines ? "(?<![^\\n])" : "\\A");
			return true;
		case '$':
			r->can_repeat = false;
			appendStringInfoString(r->out, r->lines ? "(?![^\\n])" : "\\z");
			return true;
		case '|':
			r->can_repeat = false;
			appendStringInfoChar(r->out, c);
			return true;
		case ')':
			appendStringInfoChar(r->out, *r->s++);
			return true;
		default:
			return put_next(r);
	}
}

/* "(?i)" and the like, at the beginning only. */
static bool
read_options(Reader *r, bool *caseless, bool *literal)
{
	const char *p;

	if (!is_at(r, "(?"))
		return true;
	for (p = r->s + 2; p < r->end && *p >= 'a' && *p <= 'z'; p++);
	if (p == r->s + 2 || p == r->end || *p != ')')
		return true;
	for (r->s += 2; r->s < p; r->s++)
	{
		switch (*r->s)
		{
			case 'c':
			case 'i':
				*caseless = *r->s == 'i';
				break;
			case 'm':
			case 'n':
			case 'p':
			case 's':
			case 'w':
				r->dot_stops = *r->s != 's' && *r->s != 'w';
				r->lines = *r->s != 's' && *r->s != 'p';
				break;
			case 'q':
				*literal = true;
				break;
			case 't':
			case 'x':
				r->expanded = *r->s == 'x';
				break;
			default:
				return wrong(r, "it must be in the advanced syntax, with options among c, i, m, n, p, q, s, t, w and x");
		}
	}
	r->s++;
	return true;
}

/*
 * False, and what is wrong.  text is UTF-8, and so is what is appended.
 */
bool
saga_endpoint_regex_translate(const char *text, int len, StringInfo out, bool *caseless, const char **error)
{
	Reader		r = {.s = text, .end = text + len, .out = out};
	bool		literal = false;
	bool		done = true;

	*caseless = false;
	if (is_at(&r, "***="))
	{
		literal = true;
		r.s += 4;
	}
	else
	{
		if (is_at(&r, "***:"))
			r.s += 4;
		done = read_options(&r, caseless, &literal);
	}
	while (done && r.s < r.end)
		done = literal ? put_next(&r) : translate_item(&r);
	*error = r.error;
	return done;
}
