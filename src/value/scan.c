/*
 * scan.c
 *		What the readers of paths and expressions have in common.
 *
 * A scanner reads a text that ends with a NUL, at s->pos.  The first error
 * stays, and all return false after it, so that a reader can hand it up
 * without looking at it.  Positions in messages count characters from 1.
 */
#include "postgres.h"

#include "common/text.h"
#include "mb/pg_wchar.h"
#include "value/scan.h"

/*
 * The position is s->pos: who wants another one moves it before.  Always
 * false.
 */
bool
saga_scan_error(SagaScanner *s, const char *fmt, ...)
{
	va_list		args;
	char	   *message;

	if (s->error != NULL)
		return false;
	va_start(args, fmt);
	message = saga_vformat(fmt, args);
	va_end(args);
	s->error = psprintf("%s at position %d", message, pg_mbstrlen_with_len(s->text, s->pos - s->text) + 1);
	return false;
}

/* JSON's white space. */
void
saga_scan_blanks(SagaScanner *s)
{
	while (*s->pos == ' ' || *s->pos == '\t' || *s->pos == '\n' || *s->pos == '\r')
		s->pos++;
}

/*
 * A plain prefix: the caller looks at what comes behind, where that matters.
 */
bool
saga_scan_word(SagaScanner *s, const char *word)
{
	size_t		len = strlen(word);

	if (strncmp(s->pos, word, len) != 0)
		return false;
	s->pos += len;
	return true;
}

/* The four digits after "\u". */
static int
scan_hex4(const char *p)
{
	int			n = 0;

	for (int i = 0; i < 4; i++)
	{
		int			digit = saga_hex_digit(p[i]);

		if (digit < 0)
			return -1;
		n = n * 16 + digit;
	}
	return n;
}

/*
 * At the "u" of an escape; leaves s->pos at its last digit.  Of a surrogate
 * pair both halves are read.
 */
static bool
scan_unicode_escape(SagaScanner *s, StringInfo buf)
{
	int			c = scan_hex4(s->pos + 1);
	unsigned char utf8[5];

	if (c < 0)
		return saga_scan_error(s, "\"\\u\" must be followed by four hexadecimal digits");
	if (is_utf16_surrogate_first(c) && s->pos[5] == '\\' && s->pos[6] == 'u')
	{
		int			second = scan_hex4(s->pos + 7);

		if (second < 0 || !is_utf16_surrogate_second(second))
			return saga_scan_error(s, "invalid surrogate pair");
		c = surrogate_pair_to_codepoint(c, second);
		s->pos += 6;
	}
	if (c == 0 || is_utf16_surrogate_first(c) || is_utf16_surrogate_second(c))
		return saga_scan_error(s, "this character cannot be part of a text");
	if (c >= 0x80 && GetDatabaseEncoding() != PG_UTF8)
		return saga_scan_error(s, "escapes above \\u007F need a database in UTF-8");
	unicode_to_utf8(c, utf8);
	appendBinaryStringInfo(buf, (char *) utf8, pg_utf_mblen(utf8));
	s->pos += 4;
	return true;
}

/*
 * s->pos is behind the closing quote afterwards.  An escaped character
 * without a meaning of its own stands for itself.
 */
bool
saga_scan_quoted(SagaScanner *s, JsonbValue *result)
{
	char		quote = *s->pos++;
	StringInfoData buf;

	initStringInfo(&buf);
	for (; *s->pos != quote; s->pos++)
	{
		static const char escapes[] = "b\bf\fn\nr\rt\t";
		const char *escape;

		if (*s->pos == '\0')
			return saga_scan_error(s, "the string has no end");
		if (*s->pos != '\\')
		{
			appendStringInfoChar(&buf, *s->pos);
			continue;
		}
		s->pos++;
		if (*s->pos == '\0')
			return saga_scan_error(s, "the string has no end");
		if (*s->pos == 'u')
		{
			if (!scan_unicode_escape(s, &buf))
				return false;
			continue;
		}
		escape = strchr("bfnrt", *s->pos) ? strchr(escapes, *s->pos) : NULL;
		appendStringInfoChar(&buf, escape ? escape[1] : *s->pos);
	}
	s->pos++;
	saga_value_set_string(result, buf.data, buf.len);
	return true;
}
