/*
 * function_case.c
 *		$uppercase and $lowercase, the same in every database.
 *
 * The database's own collation would not do: under "C" it knows ASCII alone.
 * The C library's C.UTF-8 has Unicode's mappings of one character to one.
 * Those of one to several, or that depend on the context, are refused, but
 * for the one that is common.
 */
#include "postgres.h"

#include <locale.h>
#include <wctype.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "mapping/mapping_private.h"

#define SHARP_S		0x00df

typedef struct Range
{
	pg_wchar	from;
	pg_wchar	to;
} Range;

/* From Unicode's SpecialCasing.txt. */
static const Range special_upper[] = {
	{0x0149, 0x0149}, {0x01f0, 0x01f0}, {0x0390, 0x0390}, {0x03b0, 0x03b0}, {0x0587, 0x0587},
	{0x1e96, 0x1e9a}, {0x1f50, 0x1f56}, {0x1f80, 0x1fff}, {0xfb00, 0xfb17}
};
static const Range special_lower[] = {{0x0130, 0x0130}, {0x03a3, 0x03a3}};

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
 * True for a character whose other case is several characters or depends on
 * its neighbours: towupper_l would give a wrong answer for it.
 */
static bool
is_special(pg_wchar c, bool upper)
{
	const Range *ranges = upper ? special_upper : special_lower;
	int			n = upper ? lengthof(special_upper) : lengthof(special_lower);

	for (int i = 0; i < n; i++)
		if (c >= ranges[i].from && c <= ranges[i].to)
			return true;
	return false;
}

/*
 * Appends the other case of one character beyond ASCII.  The C library's wide
 * characters are code points in this locale only, so that databases in other
 * encodings are refused and not changed wrongly.
 */
static bool
append_changed(SagaMapCall *call, StringInfo buf, const char *s, bool upper)
{
	pg_wchar	c;
	unsigned char utf8[5];

	if (GetDatabaseEncoding() != PG_UTF8 || get_locale() == (locale_t) 0)
		return saga_map_call_error(call, "is not supported here for letters beyond a to z");
	c = utf8_to_unicode((const unsigned char *) s);
	if (upper && c == SHARP_S)
	{
		appendStringInfoString(buf, "SS");
		return true;
	}
	if (is_special(c, upper))
		return saga_map_call_error(call, "is not supported in mappings for the character U+%04X", c);
	c = upper ? towupper_l(c, get_locale()) : towlower_l(c, get_locale());
	unicode_to_utf8(c, utf8);
	appendBinaryStringInfo(buf, (char *) utf8, pg_utf_mblen(utf8));
	return true;
}

/*
 * What $uppercase and $lowercase share.  ASCII letters need no locale and
 * work in every database.
 */
bool
saga_map_change_case(SagaMapCall *call, bool upper)
{
	const SagaMapValue *v = &call->args[0];
	StringInfoData buf;
	int			len;

	/* letter by letter, unlike what is only copied */
	if (!saga_map_charge_bytes(call->ev, (int64) v->count * 4))
		return false;
	initStringInfo(&buf);
	for (int i = 0; i < v->count; i += len)
	{
		const char *s = v->u.string + i;

		/*
		 * a string is valid in the encoding of the database, yet never read
		 * beyond its end
		 */
		len = Min(pg_mblen(s), v->count - i);
		if (i % 4096 < len)
			CHECK_FOR_INTERRUPTS();
		if (IS_HIGHBIT_SET(*s))
		{
			if (!append_changed(call, &buf, s, upper))
				return false;
		}
		else
			appendStringInfoChar(&buf, upper ? pg_ascii_toupper(*s) : pg_ascii_tolower(*s));
	}
	saga_map_set_string(call->result, buf.data, buf.len);
	return true;
}
