/*
 * encoding.c
 *		Texts of the database in UTF-8 and back.
 *
 * JSONata and regular expressions work on UTF-8, messages are in the encoding
 * of the database.  The server's own functions raise for a character that the
 * other encoding does not have; here it is an answer.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "endpoint/encoding_private.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

static bool
convert(const char *text, int len, int from, int to, const char **result, int *result_len)
{
	Oid			function;
	Size		room = (Size) len * MAX_CONVERSION_GROWTH + 1;
	char	   *buf;

	*result = text;
	*result_len = len;
	if (from == to)
		return true;
	/* nobody knows what the bytes mean, but they may well be UTF-8 */
	if (from == PG_SQL_ASCII || to == PG_SQL_ASCII)
		return pg_encoding_verifymbstr(PG_UTF8, text, len) == len;
	function = FindDefaultConversionProc(from, to);
	if (!OidIsValid(function) || room > MaxAllocSize)
		return false;
	buf = palloc(room);
	if (pg_do_encoding_conversion_buf(function, from, to, (unsigned char *) unconstify(char *, text), len,
									  (unsigned char *) buf, (int) room, true) != len)
		return false;
	*result = buf;
	*result_len = strlen(buf);
	return true;
}

bool
saga_endpoint_to_utf8(const char *text, int len, const char **result, int *result_len)
{
	return convert(text, len, GetDatabaseEncoding(), PG_UTF8, result, result_len);
}

bool
saga_endpoint_from_utf8(const char *text, int len, const char **result, int *result_len)
{
	return convert(text, len, PG_UTF8, GetDatabaseEncoding(), result, result_len);
}
