/*
 * text_case.c
 *		$uppercase and $lowercase, the same in every database.
 *
 * The database's own collation would not do: under "C" it knows ASCII alone.
 * The C library's C.UTF-8 has Unicode's mappings of one character to one;
 * those of one to several, and the final sigma, are here.
 */
#include "postgres.h"

#include <locale.h>
#include <wctype.h>

#include "mb/pg_wchar.h"

#include "jsonata/text_private.h"

#define DOTTED_I	0x0130
#define SIGMA		0x03a3
#define FINAL_SIGMA	0x03c2
#define IOTA		0x0399

/* The upper case of U+1F80 to U+1FAF, letters with a iota below, has a rule and needs no table. */
#define FIRST_IOTA	0x1f80
#define LAST_IOTA	0x1faf

typedef struct Special
{
	pg_wchar	c;
	pg_wchar	upper[3];
} Special;

/* From Unicode's SpecialCasing.txt: in order of the characters. */
static const Special specials[] = {
	{0x00df, {0x0053, 0x0053}}, {0x0149, {0x02bc, 0x004e}}, {0x01f0, {0x004a, 0x030c}}, {0x0390, {0x0399, 0x0308, 0x0301}},
	{0x03b0, {0x03a5, 0x0308, 0x0301}}, {0x0587, {0x0535, 0x0552}}, {0x1e96, {0x0048, 0x0331}}, {0x1e97, {0x0054, 0x0308}},
	{0x1e98, {0x0057, 0x030a}}, {0x1e99, {0x0059, 0x030a}}, {0x1e9a, {0x0041, 0x02be}}, {0x1f50, {0x03a5, 0x0313}},
	{0x1f52, {0x03a5, 0x0313, 0x0300}}, {0x1f54, {0x03a5, 0x0313, 0x0301}}, {0x1f56, {0x03a5, 0x0313, 0x0342}}, {0x1fb2, {0x1fba, 0x0399}},
	{0x1fb3, {0x0391, 0x0399}}, {0x1fb4, {0x0386, 0x0399}}, {0x1fb6, {0x0391, 0x0342}}, {0x1fb7, {0x0391, 0x0342, 0x0399}},
	{0x1fbc, {0x0391, 0x0399}}, {0x1fc2, {0x1fca, 0x0399}}, {0x1fc3, {0x0397, 0x0399}}, {0x1fc4, {0x0389, 0x0399}},
	{0x1fc6, {0x0397, 0x0342}}, {0x1fc7, {0x0397, 0x0342, 0x0399}}, {0x1fcc, {0x0397, 0x0399}}, {0x1fd2, {0x0399, 0x0308, 0x0300}},
	{0x1fd3, {0x0399, 0x0308, 0x0301}}, {0x1fd6, {0x0399, 0x0342}}, {0x1fd7, {0x0399, 0x0308, 0x0342}}, {0x1fe2, {0x03a5, 0x0308, 0x0300}},
	{0x1fe3, {0x03a5, 0x0308, 0x0301}}, {0x1fe4, {0x03a1, 0x0313}}, {0x1fe6, {0x03a5, 0x0342}}, {0x1fe7, {0x03a5, 0x0308, 0x0342}},
	{0x1ff2, {0x1ffa, 0x0399}}, {0x1ff3, {0x03a9, 0x0399}}, {0x1ff4, {0x038f, 0x0399}}, {0x1ff6, {0x03a9, 0x0342}},
	{0x1ff7, {0x03a9, 0x0342, 0x0399}}, {0x1ffc, {0x03a9, 0x0399}}, {0xfb00, {0x0046, 0x0046}}, {0xfb01, {0x0046, 0x0049}},
	{0xfb02, {0x0046, 0x004c}}, {0xfb03, {0x0046, 0x0046, 0x0049}}, {0xfb04, {0x0046, 0x0046, 0x004c}}, {0xfb05, {0x0053, 0x0054}},
	{0xfb06, {0x0053, 0x0054}}, {0xfb13, {0x0544, 0x0546}}, {0xfb14, {0x0544, 0x0535}}, {0xfb15, {0x0544, 0x053b}},
	{0xfb16, {0x054e, 0x0546}}, {0xfb17, {0x0544, 0x053d}}
};

typedef struct Range
{
	pg_wchar	from;
	pg_wchar	to;
} Range;

/* Marks and signs between letters, which do not end a word for the final sigma. */
static const Range ignorable[] = {
	{0x0027, 0x0027}, {0x002e, 0x002e}, {0x003a, 0x003a}, {0x005e, 0x005e}, {0x0060, 0x0060}, {0x00a8, 0x00a8},
	{0x00ad, 0x00ad}, {0x00af, 0x00af}, {0x00b4, 0x00b4}, {0x00b7, 0x00b8}, {0x02b0, 0x036f}, {0x0375, 0x0375},
	{0x0387, 0x0387}, {0x0483, 0x0489}, {0x0591, 0x05bd}, {0x064b, 0x065f}, {0x1dc0, 0x1dff}, {0x200b, 0x200f},
	{0x2018, 0x2019}, {0x2024, 0x2024}, {0x2027, 0x2027}, {0x202a, 0x202e}, {0x2060, 0x2064}, {0x20d0, 0x20f0},
	{0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xfeff, 0xfeff}
};

/* A cache: made once in a process, never freed. */
static locale_t unicode_locale = (locale_t) 0;

/*
 * Returns (locale_t) 0 where the system has no C.UTF-8; it is asked again at
 * the next call then.
 */
static locale_t
get_locale(void)
{
	if (unicode_locale == (locale_t) 0)
		unicode_locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t) 0);
	return unicode_locale;
}

/*
 * For bsearch(): the key is a character, and the element a whole entry of the
 * table.
 */
static int
compare_special(const void *a, const void *b)
{
	pg_wchar	ca = *(const pg_wchar *) a;
	pg_wchar	cb = ((const Special *) b)->c;

	return ca < cb ? -1 : ca > cb;
}

/* The character at i, whose bytes may be cut off at the end: then the byte itself. */
static pg_wchar
char_at(const char *s, int len, int i, int *size)
{
	*size = pg_utf_mblen((const unsigned char *) s + i);
	if (*size > len - i)
	{
		*size = 1;
		return (unsigned char) s[i];
	}
	return utf8_to_unicode((const unsigned char *) s + i);
}

/*
 * Whether a character is passed over when the letters beside a sigma are
 * looked for. The table is short, and only a sigma makes us look into it.
 */
static bool
is_ignorable(pg_wchar c)
{
	for (int i = 0; i < lengthof(ignorable); i++)
		if (c >= ignorable[i].from && c <= ignorable[i].to)
			return true;
	return false;
}

/* A letter that has another case. */
static bool
is_cased(pg_wchar c)
{
	return towupper_l(c, get_locale()) != c || towlower_l(c, get_locale()) != c;
}

/* Whether the next character that counts, in front of or behind a sigma, is a letter. */
static bool
has_letter(const char *s, int len, int i, bool before)
{
	for (;;)
	{
		pg_wchar	c;
		int			size;

		if (before)
		{
			do
				/* Go back to the first byte of the character in front. */
				i--;
			while (i >= 0 && ((unsigned char) s[i] & 0xC0) == 0x80);
			if (i < 0)
				return false;
		}
		else if (i >= len)
			return false;
		c = char_at(s, len, i, &size);
		if (!is_ignorable(c))
			return is_cased(c);
		if (!before)
			i += size;
	}
}

/* Appends a character as UTF-8, whatever the encoding of the database is. */
static void
append_char(StringInfo out, pg_wchar c)
{
	unsigned char utf8[5];

	unicode_to_utf8(c, utf8);
	appendBinaryStringInfo(out, (char *) utf8, pg_utf_mblen(utf8));
}

/*
 * Appends the upper case of a character, which may be up to three characters.
 * The table comes before the C library, which knows only mappings to a single
 * one. The caller has checked that there is a locale.
 */
static void
append_upper(StringInfo out, pg_wchar c)
{
	const Special *special;

	if (c >= FIRST_IOTA && c <= LAST_IOTA)
	{
		/*
		 * eight small ones, eight large ones: both become the large one
		 * without its iota, and a iota
		 */
		static const pg_wchar large[] = {0x1f08, 0x1f28, 0x1f68};

		append_char(out, large[(c - FIRST_IOTA) / 16] + c % 8);
		append_char(out, IOTA);
		return;
	}
	special = bsearch(&c, specials, lengthof(specials), sizeof(Special), compare_special);
	if (special == NULL)
		append_char(out, towupper_l(c, get_locale()));
	else
		for (int i = 0; i < lengthof(special->upper) && special->upper[i] != 0; i++)
			append_char(out, special->upper[i]);
}

/* The character is s[i], of "size" bytes. */
static void
append_lower(StringInfo out, pg_wchar c, const char *s, int len, int i, int size)
{
	if (c == DOTTED_I)
		appendStringInfoString(out, "i\xcc\x87");
	else if (c == SIGMA && has_letter(s, len, i, true) && !has_letter(s, len, i + size, false))
		append_char(out, FINAL_SIGMA);
	else
		append_char(out, towlower_l(c, get_locale()));
}

bool
saga_jsonata_change_case(const char *s, int len, bool upper, StringInfo out, SagaJsonataFault *fault)
{
	int			size;

	for (int i = 0; i < len; i += size)
	{
		pg_wchar	c;

		/* ASCII needs no locale, so that it works on every system. */
		if (!IS_HIGHBIT_SET(s[i]))
		{
			appendStringInfoChar(out, upper ? pg_ascii_toupper(s[i]) : pg_ascii_tolower(s[i]));
			size = 1;
			continue;
		}
		if (get_locale() == (locale_t) 0)
			return saga_jsonata_fault(fault, "D3001", "%s is not supported here for letters beyond a to z",
									  upper ? "$uppercase" : "$lowercase");
		c = char_at(s, len, i, &size);

		/*
		 * Halves of surrogate pairs and bytes that are no whole character
		 * have no case, and the C library must not see them: they are copied.
		 */
		if (c < 0x80 || (c >= 0xd800 && c <= 0xdfff) || size == 1)
			appendBinaryStringInfo(out, s + i, size);
		else if (upper)
			append_upper(out, c);
		else
			append_lower(out, c, s, len, i, size);
	}
	return true;
}
