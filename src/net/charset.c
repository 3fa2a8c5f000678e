/*
 * charset.c
 *		Texts of foreign servers in UTF-8, whatever they were written in.
 *
 * An answer is converted where it arrives, outside a transaction and before
 * secrets are looked for in it, so that whoever reads it has one encoding to
 * deal with.  PostgreSQL's own conversions need a transaction and raise, so
 * this is iconv's work.  It gets names from a short list only: a server must
 * not choose which of the C library's modules are loaded into this process.
 */
#include "postgres.h"

#include <iconv.h>

#include "mb/pg_wchar.h"
#include "net/charset_private.h"
#include "utils/memutils.h"

#define REPLACEMENT			"\xEF\xBF\xBD"

/* No character of one byte takes more in UTF-8, and none of more bytes three times as many. */
#define SAGA_MAX_GROWTH		3

#define SAGA_MAX_CHARSET	40

bool
saga_charset_is_utf8(const char *text, size_t len)
{
	return len <= MaxAllocSize && pg_encoding_verifymbstr(PG_UTF8, text, (int) len) == (int) len;
}

/* ---------- what Content-Type says ---------- */

/* application/json, application/problem+json, application/x-amz-json-1.0 ... */
static bool
names(const char *type, const char *word)
{
	size_t		end = strcspn(type, "; \t");
	size_t		len = strlen(word);

	for (size_t i = 0; i + len <= end; i++)
		if (pg_strncasecmp(type + i, word, len) == 0)
			return true;
	return false;
}

/* Of bytes that are no text nobody asks for characters. */
static bool
is_text(const char *type)
{
	return type[0] == '\0' || names(type, "text/") || names(type, "json") || names(type, "xml") ||
		names(type, "javascript") || names(type, "x-www-form-urlencoded");
}

/* The charset, in lower case; empty: there is none. */
static void
get_charset(const char *type, char *charset)
{
	const char *p = type;
	size_t		n = 0;

	charset[0] = '\0';
	while ((p = strchr(p, ';')) != NULL)
	{
		p += 1 + strspn(p + 1, " \t");
		if (pg_strncasecmp(p, "charset", 7) != 0)
			continue;
		p += 7 + strspn(p + 7, " \t");
		if (*p != '=')
			continue;
		p += 1 + strspn(p + 1, " \t\"'");
		while (p[n] != '\0' && strchr(";, \t\"'", p[n]) == NULL && n < SAGA_MAX_CHARSET - 1)
		{
			charset[n] = pg_ascii_tolower((unsigned char) p[n]);
			n++;
		}
		charset[n] = '\0';
		return;
	}
}

/* ---------- names ---------- */

/* Is it a name of UTF-8, or of what UTF-8 holds as it is? */
static bool
is_utf8_name(const char *charset)
{
	return strcmp(charset, "utf-8") == 0 || strcmp(charset, "utf8") == 0 || strcmp(charset, "us-ascii") == 0 ||
		strcmp(charset, "ascii") == 0;
}

/* As iconv calls it, what is written to "name"; false: it is not on the list. */
static bool
find_name(const char *charset, char *name)
{
	/* where two are named alike, the larger one, as browsers take it */
	static const char *const others[][2] = {
		{"latin1", "ISO-8859-1"}, {"latin-1", "ISO-8859-1"}, {"l1", "ISO-8859-1"},
		{"koi8-r", "KOI8-R"}, {"koi8-u", "KOI8-U"}, {"tis-620", "TIS-620"}, {"macintosh", "MACINTOSH"},
		{"shift_jis", "CP932"}, {"shift-jis", "CP932"}, {"sjis", "CP932"}, {"x-sjis", "CP932"}, {"windows-31j", "CP932"},
		{"euc-jp", "EUC-JP"}, {"x-euc-jp", "EUC-JP"},
		{"euc-kr", "CP949"}, {"ks_c_5601-1987", "CP949"}, {"ksc5601", "CP949"},
		{"gb2312", "GBK"}, {"gbk", "GBK"}, {"x-gbk", "GBK"}, {"gb18030", "GB18030"},
		{"big5", "BIG5"}, {"big5-hkscs", "BIG5-HKSCS"},
		{"utf-32le", "UTF-32LE"}, {"utf-32be", "UTF-32BE"}
	};
	static const char *const pages[] = {"windows-", "cp", "cp-", "ibm", "x-cp"};
	static const int numbers[] = {437, 850, 852, 866, 874, 932, 936, 949, 950, 1250, 1251, 1252, 1253, 1254, 1255, 1256, 1257, 1258};
	int			number = 0;
	int			end = 0;

	if (sscanf(charset, "iso-8859-%2d%n", &number, &end) == 1 || sscanf(charset, "iso8859-%2d%n", &number, &end) == 1 ||
		sscanf(charset, "iso_8859-%2d%n", &number, &end) == 1)
	{
		snprintf(name, SAGA_MAX_CHARSET, "ISO-8859-%d", number);
		return charset[end] == '\0' && number >= 1 && number <= 16 && number != 12;
	}
	for (int i = 0; i < lengthof(pages); i++)
	{
		size_t		len = strlen(pages[i]);

		if (strncmp(charset, pages[i], len) != 0 || sscanf(charset + len, "%4d%n", &number, &end) != 1 ||
			charset[len + end] != '\0')
			continue;
		snprintf(name, SAGA_MAX_CHARSET, "CP%d", number);
		for (int j = 0; j < lengthof(numbers); j++)
			if (number == numbers[j])
				return true;
	}
	for (int i = 0; i < lengthof(others); i++)
	{
		if (strcmp(charset, others[i][0]) != 0)
			continue;
		strlcpy(name, others[i][1], SAGA_MAX_CHARSET);
		return true;
	}
	return false;
}

/* ---------- conversions ---------- */

/* NULL: no memory. */
static char *
make_room(size_t len, size_t *size)
{
	*size = SAGA_MAX_GROWTH * len + 1;
	return len < MaxAllocHugeSize / SAGA_MAX_GROWTH - 1 ? malloc(*size) : NULL;
}

/* Converts a whole text by iconv; half of one is none. */
static SagaCharsetResult
convert(const char *name, const char *text, size_t len, char **converted, size_t *converted_len, size_t *size)
{
	iconv_t		cd = iconv_open("UTF-8", name);
	char	   *in = unconstify(char *, text);
	size_t		in_left = len;
	char	   *out;
	size_t		out_left;
	bool		ok;

	if (cd == (iconv_t) -1)
		return SAGA_CHARSET_UNREADABLE;
	*converted = out = make_room(len, size);
	out_left = *size - 1;
	ok = out != NULL && iconv(cd, &in, &in_left, &out, &out_left) != (size_t) -1 &&
		iconv(cd, NULL, NULL, &out, &out_left) != (size_t) -1 && in_left == 0;
	iconv_close(cd);
	if (ok)
	{
		*out = '\0';
		*converted_len = out - *converted;
		/* some charsets have a NUL, and a text in the server does not */
		ok = saga_charset_is_utf8(*converted, *converted_len);
	}
	if (ok)
		return SAGA_CHARSET_CONVERTED;
	/* there may be secrets in it */
	if (*converted != NULL)
		explicit_bzero(*converted, *size);
	free(*converted);
	*converted = NULL;
	return SAGA_CHARSET_UNREADABLE;
}

/* Who says Latin-1 and sends what has no characters there means Windows-1252. */
static SagaCharsetResult
convert_named(const char *name, const char *text, size_t len, char **converted, size_t *converted_len, size_t *size)
{
	size_t		i = 0;

	if (strcmp(name, "ISO-8859-1") == 0)
	{
		while (i < len && ((unsigned char) text[i] < 0x80 || (unsigned char) text[i] > 0x9f))
			i++;
		if (i < len && convert("CP1252", text, len, converted, converted_len, size) == SAGA_CHARSET_CONVERTED)
			return SAGA_CHARSET_CONVERTED;
	}
	return convert(name, text, len, converted, converted_len, size);
}

/* One unit of UTF-16, in either order of its bytes. */
static int
unit_at(const unsigned char *p, bool big)
{
	return big ? p[0] << 8 | p[1] : p[1] << 8 | p[0];
}

/*
 * What is none is U+FFFD, and the whole unreadable: but it is converted all
 * the same, since nobody would find a secret between NUL bytes.
 */
static SagaCharsetResult
convert_utf16(bool big, const char *text, size_t len, char **converted, size_t *converted_len, size_t *size)
{
	const unsigned char *p = (const unsigned char *) text;
	const unsigned char *end = p + len / 2 * 2;
	char	   *out = make_room(len, size);
	bool		faults = len % 2 != 0;

	*converted = out;
	if (out == NULL)
		return SAGA_CHARSET_UNREADABLE;
	while (p < end)
	{
		pg_wchar	c = unit_at(p, big);

		p += 2;
		if (is_utf16_surrogate_first(c) && p < end && is_utf16_surrogate_second(unit_at(p, big)))
		{
			c = surrogate_pair_to_codepoint(c, unit_at(p, big));
			p += 2;
		}
		if (c == 0 || is_utf16_surrogate_first(c) || is_utf16_surrogate_second(c))
		{
			faults = true;
			memcpy(out, REPLACEMENT, strlen(REPLACEMENT));
		}
		else
			unicode_to_utf8(c, (unsigned char *) out);
		out += pg_utf_mblen((unsigned char *) out);
	}
	*out = '\0';
	*converted_len = out - *converted;
	return faults ? SAGA_CHARSET_UNREADABLE : SAGA_CHARSET_CONVERTED;
}

/* What is not UTF-8, in an encoding that the server of this database knows to be its own. */
static SagaCharsetResult
convert_own(const char *text, size_t len, char **converted, size_t *converted_len, size_t *size)
{
	int			encoding = GetDatabaseEncoding();
	char		name[SAGA_MAX_CHARSET];
	const char *own = pg_encoding_to_char(encoding);

	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII || len > MaxAllocSize ||
		pg_encoding_verifymbstr(encoding, text, (int) len) < (int) len)
		return SAGA_CHARSET_UNREADABLE;
	/* WIN1252 is CP1252 elsewhere */
	if (strncmp(own, "WIN", 3) == 0)
		snprintf(name, sizeof(name), "CP%s", own + 3);
	else
		strlcpy(name, own, sizeof(name));
	for (char *p = name; *p != '\0'; p++)
		if (*p == '_')
			*p = '-';
	return convert(name, text, len, converted, converted_len, size);
}

/* ---------- which ---------- */

/* The first two characters of JSON, and of XML, are ASCII. */
static bool
looks_like_utf16(const char *text, size_t len, bool *big)
{
	if (len < 2 || (text[0] == '\0') == (text[1] == '\0'))
		return false;
	*big = text[0] == '\0';
	return true;
}

SagaCharsetResult
saga_charset_to_utf8(const char *content_type, char *text, size_t *len, char **converted, size_t *converted_len,
					 size_t *size)
{
	const char *type = content_type != NULL ? content_type : "";
	char		charset[SAGA_MAX_CHARSET];
	char		name[SAGA_MAX_CHARSET];
	bool		big = false;

	*converted = NULL;
	*converted_len = *size = 0;
	get_charset(type, charset);
	if (*len == 0 || (!is_text(type) && charset[0] == '\0'))
		return SAGA_CHARSET_KEPT;
	if (*len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
	{
		*len -= 3;
		memmove(text, text + 3, *len + 1);
		return saga_charset_is_utf8(text, *len) ? SAGA_CHARSET_KEPT : SAGA_CHARSET_UNREADABLE;
	}
	if (*len >= 2 && (memcmp(text, "\xFF\xFE", 2) == 0 || memcmp(text, "\xFE\xFF", 2) == 0))
		return convert_utf16(text[0] == '\xFE', text + 2, *len - 2, converted, converted_len, size);
	if (looks_like_utf16(text, *len, &big))
		return convert_utf16(big, text, *len, converted, converted_len, size);
	if (strcmp(charset, "utf-16be") == 0 || strcmp(charset, "utf-16le") == 0)
		return convert_utf16(strcmp(charset, "utf-16be") == 0, text, *len, converted, converted_len, size);

	/*
	 * JSON is UTF-8, whatever Content-Type says, and nothing else looks like
	 * it by accident
	 */
	if ((charset[0] == '\0' || is_utf8_name(charset) || names(type, "json")) && saga_charset_is_utf8(text, *len))
		return SAGA_CHARSET_KEPT;
	if (find_name(charset, name))
		return convert_named(name, text, *len, converted, converted_len, size);
	/* of UTF-16 that does not begin with ASCII, the order that is usual */
	if (strcmp(charset, "utf-16") == 0 || strcmp(charset, "ucs-2") == 0)
		return convert_utf16(false, text, *len, converted, converted_len, size);
	if (saga_charset_is_utf8(text, *len))
		return SAGA_CHARSET_KEPT;
	return convert_own(text, *len, converted, converted_len, size);
}
