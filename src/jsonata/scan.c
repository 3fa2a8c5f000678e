/*
 * scan.c
 *		The tokens of an expression, cut as JSONata cuts them.
 *
 * A token is a node, which the parser completes.  A keyword is one by its
 * place only: "and" is returned as an operator with its text, and the parser
 * takes it for a name where an operand stands.
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "common/text.h"
#include "value/value.h"
#include "jsonata/jsonata_private.h"

/* These, and blanks, end a name. */
#define OPERATORS	".[]{}()@#;:?+-*/%|=<>^&!~,"
#define BLANKS		" \t\n\r\v"

static const struct
{
	const char *text;
	int			op;
}			double_operators[] =

{
	{"..", SAGA_JO_RANGE},
	{":=", SAGA_JO_BIND},
	{"!=", SAGA_JO_NE},
	{">=", SAGA_JO_GE},
	{"<=", SAGA_JO_LE},
	{"**", SAGA_JO_DESCENDANTS},
	{"~>", SAGA_JO_CHAIN},
	{"?:", SAGA_JO_ELVIS},
	{"??", SAGA_JO_COALESCE},
};

bool
saga_jsonata_fault_at(SagaJsonataFault *fault, int position, const char *code, const char *fmt, ...)
{
	va_list		args;

	if (fault->code[0] != '\0')
		return false;
	strlcpy(fault->code, code, sizeof(fault->code));
	fault->position = position;
	va_start(args, fmt);
	fault->message = saga_vformat(fmt, args);
	va_end(args);
	return false;
}

const char *
saga_jsonata_op_text(int op, char *buf)
{
	for (int i = 0; i < lengthof(double_operators); i++)
		if (double_operators[i].op == op)
			return double_operators[i].text;
	switch (op)
	{
		case SAGA_JO_AND:
			return "and";
		case SAGA_JO_OR:
			return "or";
		case SAGA_JO_IN:
			return "in";
		default:
			buf[0] = (char) op;
			buf[1] = '\0';
			return buf;
	}
}

SagaJsonataNode *
saga_jsonata_new_node(SagaJsonataKind kind, int position)
{
	SagaJsonataNode *node = palloc0(sizeof(SagaJsonataNode));

	node->kind = kind;
	node->position = position;
	node->symbol = node->focus = node->index = -1;
	return node;
}

void
saga_jsonata_add_node(SagaJsonataNodes *nodes, SagaJsonataNode *node)
{
	if (nodes->count >= nodes->max)
	{
		nodes->max = Max(nodes->max * 2, 2);
		nodes->nodes = nodes->nodes == NULL ? palloc(nodes->max * sizeof(SagaJsonataNode *)) :
			repalloc(nodes->nodes, nodes->max * sizeof(SagaJsonataNode *));
	}
	nodes->nodes[nodes->count++] = node;
}

/* The character at a place; 0 behind the end, where no text of the server has one. */
static char
at(const SagaJsonataScanner *s, int pos)
{
	return pos < s->len ? s->text[pos] : '\0';
}

static bool
is_one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

/* Comments are blanks too, as in C, and do not nest. */
static bool
skip_blanks(SagaJsonataScanner *s)
{
	for (;;)
	{
		int			start;

		while (is_one_of(at(s, s->pos), BLANKS))
			s->pos++;
		if (at(s, s->pos) != '/' || at(s, s->pos + 1) != '*')
			return true;
		start = s->pos;
		for (s->pos += 2; at(s, s->pos) != '*' || at(s, s->pos + 1) != '/'; s->pos++)
			if (s->pos >= s->len)
				return saga_jsonata_fault_at(s->fault, start, "S0106", "the comment has no end");
		s->pos += 2;
	}
}

/* Does the slash end the regular expression: is it behind an even number of backslashes? */
static bool
is_closing(const SagaJsonataScanner *s, int start, int depth)
{
	int			backslashes = 0;

	if (at(s, s->pos) != '/' || depth != 0)
		return false;
	while (s->pos - backslashes > start && s->text[s->pos - backslashes - 1] == '\\')
		backslashes++;
	return backslashes % 2 == 0;
}

/* Behind the first slash.  One within brackets does not end it. */
static bool
scan_regex(SagaJsonataScanner *s, SagaJsonataNode *token)
{
	int			start = s->pos;
	int			depth = 0;

	for (; s->pos < s->len; s->pos++)
	{
		char		c = s->text[s->pos];
		bool		escaped = s->pos > start && s->text[s->pos - 1] == '\\';

		if (is_closing(s, start, depth))
		{
			int			len = s->pos - start;
			char		flags[3] = "";

			if (len == 0)
				return saga_jsonata_fault_at(s->fault, token->position, "S0301", "the regular expression is empty");
			for (s->pos++; at(s, s->pos) == 'i' || at(s, s->pos) == 'm'; s->pos++)
				if (strchr(flags, s->text[s->pos]) == NULL)
					flags[strlen(flags)] = s->text[s->pos];
			token->kind = SAGA_JN_REGEX;
			saga_jsonata_set_string(&token->value, s->text + start, len);
			token->regex = saga_jsonata_regex_compile(s->text + start, len, flags, s->fault);
			if (token->regex == NULL && s->fault->position < 0)
				s->fault->position = token->position;
			return token->regex != NULL;
		}
		if (is_one_of(c, "([{") && !escaped)
			depth++;
		if (is_one_of(c, ")]}") && !escaped)
			depth--;
	}
	return saga_jsonata_fault_at(s->fault, token->position, "S0302", "the regular expression has no closing \"/\"");
}

/* A unit of UTF-16; the second half of a pair joins the first if that is just before it. */
static void
append_unit(StringInfo buf, int unit)
{
	unsigned char utf8[4];
	unsigned char *last = (unsigned char *) buf->data + buf->len - 3;

	if (unit >= 0xDC00 && unit <= 0xDFFF && buf->len >= 3 && last[0] == 0xED && last[1] >= 0xA0 && last[1] <= 0xAF)
	{
		int			high = 0xD000 | (last[1] & 0x3F) << 6 | (last[2] & 0x3F);

		buf->len -= 3;
		unit = 0x10000 + ((high - 0xD800) << 10) + (unit - 0xDC00);
	}
	unicode_to_utf8(unit, utf8);
	appendBinaryStringInfo(buf, (char *) utf8, pg_utf_mblen(utf8));
}

/* At the character behind "\". */
static bool
scan_escape(SagaJsonataScanner *s, StringInfo buf)
{
	static const char names[] = "\"\\/bfnrt";
	static const char values[] = "\"\\/\b\f\n\r\t";
	char		c = at(s, s->pos);
	int			unit = 0;

	if (is_one_of(c, names))
	{
		appendStringInfoChar(buf, values[strchr(names, c) - names]);
		s->pos++;
		return true;
	}
	if (c != 'u')
		return saga_jsonata_fault_at(s->fault, s->pos, "S0103", "unsupported escape sequence in a string");
	for (int i = 1; i <= 4; i++)
	{
		int			digit = saga_hex_digit(at(s, s->pos + i));

		if (digit < 0)
			return saga_jsonata_fault_at(s->fault, s->pos, "S0104", "\"\\u\" must be followed by four hexadecimal digits");
		unit = unit * 16 + digit;
	}
	append_unit(buf, unit);
	s->pos += 5;
	return true;
}

/* A string in single or double quotes with JSON's escapes. */
static bool
scan_string(SagaJsonataScanner *s, SagaJsonataNode *token)
{
	char		quote = s->text[s->pos++];
	StringInfoData buf;

	initStringInfo(&buf);
	for (;;)
	{
		int			start = s->pos;

		while (s->pos < s->len && s->text[s->pos] != quote && s->text[s->pos] != '\\')
			s->pos++;
		appendBinaryStringInfo(&buf, s->text + start, s->pos - start);
		if (s->pos >= s->len)
			return saga_jsonata_fault_at(s->fault, token->position, "S0101", "the string has no closing quote");
		if (s->text[s->pos++] == quote)
			break;
		if (!scan_escape(s, &buf))
			return false;
	}
	token->kind = SAGA_JN_STRING;
	saga_jsonata_set_string(&token->value, buf.data, buf.len);
	return true;
}

/*
 * Without a sign: that is an operator.  1..3 is read as 1, "..", 3, because a
 * point belongs to a number only with a digit behind it; zeroes in front end
 * it, as in JSON.  Its digits are kept, for evaluations with decimals.
 */
static bool
scan_number(SagaJsonataScanner *s, SagaJsonataNode *token)
{
	const char *text = s->text + s->pos;
	int			len = 0;
	int			left = s->len - s->pos;
	double		number;
	bool		whole;			/* by its digits alone */
	bool		exact;			/* the double is a whole number */

#define IS_DIGIT(i) ((i) < left && text[i] >= '0' && text[i] <= '9')
	while (IS_DIGIT(len))
	{
		len++;
		if (text[0] == '0')
			break;
	}
	whole = !(len < left && (text[len] == '.' || text[len] == 'e' || text[len] == 'E'));
	if (len < left && text[len] == '.' && IS_DIGIT(len + 1))
		for (len++; IS_DIGIT(len); len++)
			;
	if (len < left && (text[len] == 'e' || text[len] == 'E'))
	{
		int			digits = len + 1 + (len + 1 < left && (text[len + 1] == '+' || text[len + 1] == '-'));

		if (IS_DIGIT(digits))
			for (len = digits; IS_DIGIT(len); len++)
				;
	}
#undef IS_DIGIT
	if (!saga_jsonata_parse_number(text, len, &number) || isinf(number))
		return saga_jsonata_fault_at(s->fault, token->position, "S0102", "the number is out of range");
	s->pos += len;
	token->kind = SAGA_JN_NUMBER;
	saga_jsonata_set_number(&token->value, number);
	exact = number == floor(number) && fabs(number) <= 1e15;
	if (!exact || !whole)
	{
		Numeric		numeric;

		if (!saga_numeric_parse(text, len, &numeric))
			return saga_jsonata_fault_at(s->fault, token->position, "S0102", "the number is out of range");

		/*
		 * 0.99999999999999999999 is no whole number, though as a double it is
		 * one
		 */
		if (!exact || saga_numeric_compare(numeric, int64_to_numeric((int64) number)) != 0)
			token->numeric = numeric;
	}
	return true;
}

/* A name in backquotes, as it stands: there are no escapes. */
static bool
scan_quoted_name(SagaJsonataScanner *s, SagaJsonataNode *token)
{
	const char *start = s->text + s->pos + 1;
	const char *end = memchr(start, '`', s->len - s->pos - 1);

	if (end == NULL)
		return saga_jsonata_fault_at(s->fault, token->position, "S0105", "the quoted name has no closing \"`\"");
	token->kind = SAGA_JN_NAME;
	saga_jsonata_set_string(&token->value, start, end - start);
	s->pos = end + 1 - s->text;
	return true;
}

/* A name, a variable, a keyword or one of true, false, null. */
static void
scan_word(SagaJsonataScanner *s, SagaJsonataNode *token)
{
	static const struct
	{
		const char *word;
		SagaJsonataKind kind;
		int			op;
	}			words[] =
	{
		{"and", SAGA_JN_OPERATOR, SAGA_JO_AND},
		{"or", SAGA_JN_OPERATOR, SAGA_JO_OR},
		{"in", SAGA_JN_OPERATOR, SAGA_JO_IN},
		{"true", SAGA_JN_VALUE, 0},
		{"false", SAGA_JN_VALUE, 0},
		{"null", SAGA_JN_VALUE, 0},
	};
	const char *start = s->text + s->pos;
	int			len = 0;

	while (s->pos + len < s->len && !is_one_of(start[len], OPERATORS BLANKS))
		len++;
	s->pos += len;
	if (*start == '$')
	{
		token->kind = SAGA_JN_VARIABLE;
		saga_jsonata_set_string(&token->value, start + 1, len - 1);
		token->symbol = saga_jsonata_symbol_of(s->names, start + 1, len - 1);
		return;
	}
	token->kind = SAGA_JN_NAME;
	saga_jsonata_set_string(&token->value, start, len);
	for (int i = 0; i < lengthof(words); i++)
	{
		if (strlen(words[i].word) != len || strncmp(start, words[i].word, len) != 0)
			continue;
		token->kind = words[i].kind;
		token->op = words[i].op;
		if (token->kind == SAGA_JN_VALUE && *start == 'n')
			token->value.type = SAGA_JV_NULL;
		else if (token->kind == SAGA_JN_VALUE)
			saga_jsonata_set_bool(&token->value, *start == 't');
	}
}

/*
 * False after a fault.  Two characters that are one operator go before the
 * single ones.
 */
bool
saga_jsonata_scan(SagaJsonataScanner *s, bool infix, SagaJsonataNode **result)
{
	SagaJsonataNode *token;
	char		c;

	CHECK_FOR_INTERRUPTS();

	if (!skip_blanks(s))
		return false;
	*result = token = saga_jsonata_new_node(SAGA_JN_END, s->pos);
	if (s->pos >= s->len)
		return true;
	c = s->text[s->pos];
	if (c == '/' && !infix)
	{
		s->pos++;
		return scan_regex(s, token);
	}
	token->kind = SAGA_JN_OPERATOR;
	for (int i = 0; i < lengthof(double_operators); i++)
	{
		if (c == double_operators[i].text[0] && at(s, s->pos + 1) == double_operators[i].text[1])
		{
			token->op = double_operators[i].op;
			s->pos += 2;
			return true;
		}
	}
	if (is_one_of(c, OPERATORS))
	{
		token->op = c;
		s->pos++;
		return true;
	}
	if (c == '"' || c == '\'')
		return scan_string(s, token);
	if (c >= '0' && c <= '9')
		return scan_number(s, token);
	if (c == '`')
		return scan_quoted_name(s, token);
	scan_word(s, token);
	return true;
}

char *
saga_jsonata_token_text(const SagaJsonataNode *token)
{
	char		buf[2];

	switch (token->kind)
	{
		case SAGA_JN_END:
			return pstrdup("the end of the expression");
		case SAGA_JN_OPERATOR:
			return psprintf("\"%s\"", saga_jsonata_op_text(token->op, buf));
		case SAGA_JN_NAME:
			return psprintf("\"%s\"", pnstrdup(token->value.u.string, token->value.count));
		case SAGA_JN_VARIABLE:
			return psprintf("\"$%s\"", pnstrdup(token->value.u.string, token->value.count));
		case SAGA_JN_STRING:
			return pstrdup("a string");
		case SAGA_JN_NUMBER:
			return pstrdup("a number");
		case SAGA_JN_REGEX:
			return pstrdup("a regular expression");
		default:
			return pstrdup("a value");
	}
}
