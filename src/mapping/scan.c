/*
 * scan.c
 *		The tokens of an expression, cut as JSONata cuts them.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "mapping/mapping_private.h"

/* These, and blanks, end a name. */
#define OPERATORS	".[]{}()@#;:?+-*/%|=<>^!~&,"
#define BLANKS		" \t\n\r\v"

static const struct
{
	const char *text;
	int			op;
}			double_operators[] =

{
	{"..", SAGA_MAP_RANGE},
	{":=", SAGA_MAP_BIND},
	{"!=", SAGA_MAP_NE},
	{">=", SAGA_MAP_GE},
	{"<=", SAGA_MAP_LE},
	{"**", SAGA_MAP_DESCENDANTS},
	{"~>", SAGA_MAP_CHAIN},
	{"?:", SAGA_MAP_DEFAULT},
	{"??", SAGA_MAP_COALESCE},
};

static bool
skip_blanks(SagaScanner *s)
{
	for (;;)
	{
		const char *start;

		s->pos += strspn(s->pos, BLANKS);
		if (strncmp(s->pos, "/*", 2) != 0)
			return true;
		start = s->pos;
		s->pos = strstr(s->pos + 2, "*/");
		if (s->pos == NULL)
		{
			s->pos = start;
			return saga_scan_error(s, "the comment has no end");
		}
		s->pos += 2;
	}
}

static bool
scan_string(SagaScanner *s, SagaMapToken *token)
{
	char		quote = *s->pos;
	const char *start = s->pos;
	JsonbValue	string;

	/* saga_scan_quoted takes more escapes than JSONata does */
	for (s->pos++; *s->pos != quote && *s->pos != '\0'; s->pos++)
	{
		if (*s->pos != '\\')
			continue;
		if (s->pos[1] == '\0' || strchr("\"\\/bfnrtu", s->pos[1]) == NULL)
			return saga_scan_error(s, "unsupported escape sequence in a string");
		s->pos++;
	}
	s->pos = start;
	if (!saga_scan_quoted(s, &string))
		return false;
	token->op = SAGA_MAP_TOKEN_LITERAL;
	token->is_string = true;
	saga_map_set_string(&token->value, string.val.string.val, string.val.string.len);
	return true;
}

static bool
scan_number(SagaScanner *s, SagaMapToken *token)
{
	int			len = 0;
	Numeric		number;

	/* JSON's numbers, cut where they stop being some */
	while (s->pos[len] >= '0' && s->pos[len] <= '9')
	{
		len++;
		if (s->pos[0] == '0')
			break;
	}
	if (s->pos[len] == '.' && s->pos[len + 1] >= '0' && s->pos[len + 1] <= '9')
		len += 1 + strspn(s->pos + len + 1, "0123456789");
	if (s->pos[len] == 'e' || s->pos[len] == 'E')
	{
		int			sign = s->pos[len + 1] == '+' || s->pos[len + 1] == '-';
		int			digits = strspn(s->pos + len + 1 + sign, "0123456789");

		if (digits > 0)
			len += 1 + sign + digits;
	}
	if (!saga_map_parse_number(s->pos, len, &number) || !saga_map_in_range(number))
		return saga_scan_error(s, "the number is out of range");
	s->pos += len;
	token->op = SAGA_MAP_TOKEN_LITERAL;
	token->is_number = true;
	saga_map_set_number(&token->value, saga_map_trim_scale(number));
	return true;
}

static bool
scan_quoted_name(SagaScanner *s, SagaMapToken *token)
{
	const char *end = strchr(s->pos + 1, '`');

	if (end == NULL)
		return saga_scan_error(s, "the quoted name has no end");
	token->op = SAGA_MAP_TOKEN_NAME;
	saga_map_set_string(&token->value, s->pos + 1, end - s->pos - 1);
	s->pos = end + 1;
	return true;
}

static bool
scan_word(SagaScanner *s, SagaMapToken *token)
{
	static const struct
	{
		const char *word;
		int			op;
	}			words[] =
	{
		{"and", SAGA_MAP_AND},
		{"or", SAGA_MAP_OR},
		{"in", SAGA_MAP_IN},
	};
	const char *start = s->pos;
	int			len = strcspn(start, OPERATORS BLANKS);

	if (memchr(start, '"', len) != NULL || memchr(start, '\'', len) != NULL || memchr(start, '`', len) != NULL)
		return saga_scan_error(s, "a quote within a name is not supported in mappings");
	s->pos += len;
	if (*start == '$')
	{
		token->op = SAGA_MAP_TOKEN_VARIABLE;
		saga_map_set_string(&token->value, start + 1, len - 1);
		return true;
	}
	/* as a name, too, where an operand stands */
	saga_map_set_string(&token->value, start, len);
	for (int i = 0; i < lengthof(words); i++)
	{
		if (strlen(words[i].word) == len && strncmp(start, words[i].word, len) == 0)
		{
			token->op = words[i].op;
			return true;
		}
	}
	token->op = SAGA_MAP_TOKEN_LITERAL;
	if (len == 4 && strncmp(start, "true", len) == 0)
		saga_map_set_bool(&token->value, true);
	else if (len == 5 && strncmp(start, "false", len) == 0)
		saga_map_set_bool(&token->value, false);
	else if (len == 4 && strncmp(start, "null", len) == 0)
		token->value.type = SAGA_MAP_NULL;
	else
		token->op = SAGA_MAP_TOKEN_NAME;
	return true;
}

bool
saga_map_scan(SagaScanner *s, SagaMapToken *token)
{
	CHECK_FOR_INTERRUPTS();

	memset(token, 0, sizeof(*token));
	if (!skip_blanks(s))
		return false;
	token->offset = s->pos - s->text;
	if (*s->pos == '\0')
		return true;			/* SAGA_MAP_END */
	for (int i = 0; i < lengthof(double_operators); i++)
	{
		if (strncmp(s->pos, double_operators[i].text, 2) == 0)
		{
			token->op = double_operators[i].op;
			s->pos += 2;
			return true;
		}
	}
	if (strchr(OPERATORS, *s->pos) != NULL)
	{
		token->op = *s->pos++;
		return true;
	}
	if (*s->pos == '"' || *s->pos == '\'')
		return scan_string(s, token);
	if (*s->pos >= '0' && *s->pos <= '9')
		return scan_number(s, token);
	if (*s->pos == '`')
		return scan_quoted_name(s, token);
	return scan_word(s, token);
}

const char *
saga_map_op_text(int op, char *buf)
{
	switch (op)
	{
		case SAGA_MAP_NE:
			return "!=";
		case SAGA_MAP_LE:
			return "<=";
		case SAGA_MAP_GE:
			return ">=";
		case SAGA_MAP_AND:
			return "and";
		case SAGA_MAP_OR:
			return "or";
		case SAGA_MAP_IN:
			return "in";
		case SAGA_MAP_RANGE:
			return "..";
		case SAGA_MAP_BIND:
			return ":=";
		case SAGA_MAP_DESCENDANTS:
			return "**";
		case SAGA_MAP_CHAIN:
			return "~>";
		case SAGA_MAP_DEFAULT:
			return "?:";
		case SAGA_MAP_COALESCE:
			return "??";
		default:
			buf[0] = (char) op;
			buf[1] = '\0';
			return buf;
	}
}
