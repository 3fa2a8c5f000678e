/*
 * text_regex_syntax.c
 *		What PCRE2 reads in another way than JavaScript, changed into what
 *		means the same to it.
 *
 * Escapes that JavaScript does not know are the letter itself: "\A" is an "A"
 * and no start of the text.  "\s" knows Unicode's blanks, "\v" is one
 * character, "[" within a class is no more than that, and nothing begins with
 * "(*".
 */
#include "postgres.h"

#include "common/text.h"
#include "mb/pg_wchar.h"

#include "jsonata/text_regex_private.h"

/* Letters whose escapes mean the same to both, "u" and "x" with PCRE2_ALT_BSUX. */
#define COMMON_ESCAPES	"bBcdDfknrtuwWx"

/* What JavaScript's \s has beside the blanks of ASCII: as it stands within a class. */
#define MORE_BLANKS \
	"\xc2\xa0" "\xef\xbb\xbf" "\xe1\x9a\x80" "\xe2\x80\x80-\xe2\x80\x8a" "\xe2\x80\xa8" "\xe2\x80\xa9" \
	"\xe2\x80\xaf" "\xe2\x81\x9f" "\xe3\x80\x80"

/* \uXXXX: the unit; -1: it is none. */
static int
unit_at(const char *s, const char *end)
{
	int			unit = 0;

	if (end - s < 6 || s[0] != '\\' || s[1] != 'u')
		return -1;
	for (int i = 2; i < 6; i++)
	{
		int			digit = saga_hex_digit(s[i]);

		if (digit < 0)
			return -1;
		unit = unit * 16 + digit;
	}
	return unit;
}

/* Two escapes that are one character beyond U+FFFF; 0: they are none. */
static pg_wchar
pair_at(const char *s, const char *end)
{
	int			high = unit_at(s, end);
	int			low = high >= 0xd800 && high <= 0xdbff ? unit_at(s + 6, end) : -1;

	if (low < 0xdc00 || low > 0xdfff)
		return 0;
	return 0x10000 + ((pg_wchar) (high - 0xd800) << 10) + (low - 0xdc00);
}

/* What begins with a backslash; returns the bytes that were read. */
static int
translate_escape(const char *s, const char *end, bool in_class, StringInfo out)
{
	pg_wchar	pair = pair_at(s, end);
	char		c = s[1];

	if (pair != 0)
	{
		unsigned char utf8[5];

		unicode_to_utf8(pair, utf8);
		appendBinaryStringInfo(out, (char *) utf8, pg_utf_mblen(utf8));
		return 12;
	}

	/*
	 * Blanks beyond ASCII are added to those that PCRE2 knows. Within a class
	 * they can be added, but "\S" cannot be narrowed, so that it stays as
	 * PCRE2 has it.
	 */
	if (c == 's')
		appendStringInfo(out, in_class ? "\\s" MORE_BLANKS : "[\\s" MORE_BLANKS "]");
	else if (c == 'S' && !in_class)
		appendStringInfoString(out, "[^\\s" MORE_BLANKS "]");
	else if (c == 'v')
		appendStringInfoString(out, "\\x0b");
	else if (c == '0')
		/* no octal numbers, whatever digits come next */
		appendStringInfoString(out, "\\x00");
	else if ((c == 'B' && in_class) || (saga_is_ascii_alnum(c) && !(c >= '1' && c <= '9') && c != 'S' &&
										strchr(COMMON_ESCAPES, c) == NULL))
		appendStringInfoChar(out, c);
	else
	{
		appendStringInfoChar(out, '\\');
		appendStringInfoChar(out, c);
	}
	return 2;
}

bool
saga_jsonata_regex_translate(const char *pattern, int len, StringInfo out, SagaJsonataFault *fault)
{
	const char *s = pattern;
	const char *end = pattern + len;
	bool		in_class = false;

	while (s < end)
	{
		if (*s == '\\')
		{
			if (s + 1 == end)
				return saga_jsonata_fault(fault, "S0303", "a regular expression ends with a backslash");
			s += translate_escape(s, end, in_class, out);
			continue;
		}

		/*
		 * PCRE2 reads "(*" as the beginning of a verb, such as
		 * (*LIMIT_MATCH=1), which an expression must not be able to give.
		 */
		if (*s == '(' && !in_class && s + 1 < end && s[1] == '*')
			return saga_jsonata_fault(fault, "S0303", "there is nothing to repeat in front of \"*\" in a regular expression");
		if (*s == '[' && in_class)
			appendStringInfoChar(out, '\\');
		else if (*s == '[')
		{
			/*
			 * A "]" right behind this ends an empty class, in JavaScript and
			 * with the options that text_regex.c compiles with.
			 */
			in_class = true;
			appendStringInfoChar(out, *s++);
			if (s < end && *s == '^')
				appendStringInfoChar(out, *s++);
			continue;
		}
		else if (*s == ']')
			in_class = false;
		appendStringInfoChar(out, *s++);
	}
	return true;
}
