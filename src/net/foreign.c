/*
 * foreign.c
 *		Foreign bytes as text and jsonb of ours.
 *
 * The server's own parsers decide, in a subtransaction, so that what they
 * refuse fails that one answer, not the whole batch.  So does an answer that
 * they cannot hold, whatever the error is called.
 */
#include "postgres.h"

#include "common/common.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "net/foreign.h"
#include "net/http_private.h"
#include "net/jsonb_read_private.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* False: it raised. */
static bool
attempt(saga_attempt_fn fn, void *arg)
{
	ErrorData  *error = saga_common_attempt(fn, arg);

	if (error == NULL)
		return true;
	FreeErrorData(error);
	return false;
}

#define REPLACEMENT "\xEF\xBF\xBD"

/*
 * The server's check reads all that it is given before it says where the
 * first fault is: of an answer full of faults it gets a little at a time.
 */
#define SAGA_CHECKED_AT_ONCE	64

/* So many faults between two looks at what else there is to do. */
#define SAGA_FAULTS_PER_BREATH	4096

/* How much of it, from the beginning, is valid UTF-8 without NUL. */
static size_t
valid_length(const char *text, size_t len)
{
	size_t		valid = 0;

	len = Min(len, MaxAllocSize);
	while (valid < len)
	{
		/*
		 * another one that follows is found at once; a character may be cut
		 * off at the end of a part
		 */
		const char *p = text + valid;
		int			part = (int) Min(len - valid, SAGA_CHECKED_AT_ONCE);
		int			n = pg_encoding_verifymbchar(PG_UTF8, p, part) < 0 ? 0 :
		pg_encoding_verifymbstr(PG_UTF8, p, part);

		if (n == 0)
			break;
		valid += n;
	}
	return valid;
}

/* Valid UTF-8 without NUL: what is not becomes U+FFFD. */
static char *
valid_utf8(const char *text, size_t len, size_t max_bytes)
{
	StringInfoData out;
	size_t		i = 0;
	int			faults = 0;

	initStringInfo(&out);
	for (;;)
	{
		size_t		room = max_bytes - out.len;
		int			valid = (int) valid_length(text + i, len - i);
		int			n = valid <= room ? valid : pg_encoding_mbcliplen(PG_UTF8, text + i, valid, (int) room);

		appendBinaryStringInfo(&out, text + i, n);
		i += n;

		/*
		 * one that begins within the limit may end behind it, as it always
		 * did
		 */
		if (n < valid || i >= len || (size_t) out.len >= max_bytes)
			return out.data;
		appendStringInfoString(&out, REPLACEMENT);
		i++;
		if (++faults % SAGA_FAULTS_PER_BREATH == 0)
		{
			CHECK_FOR_INTERRUPTS();
			saga_http_attend();
		}
	}
}

typedef struct Conversion
{
	char	   *from;			/* UTF-8 */
	char	   *text;			/* in the server's encoding */
	bool		lenient;
	Jsonb	   *doc;
} Conversion;

/* Raises for characters that the server's encoding does not have. */
static void
convert_text(void *arg)
{
	Conversion *conversion = arg;

	conversion->text = pg_any_to_server(conversion->from, strlen(conversion->from), PG_UTF8);
}

/* The text in the server's encoding first, as jsonb has that. */
static void
convert_json(void *arg)
{
	Conversion *conversion = arg;

	convert_text(arg);
	conversion->doc = saga_net_jsonb_read(conversion->text, strlen(conversion->text), conversion->lenient);
}

char *
saga_foreign_text(const char *text, size_t len, size_t max_bytes)
{
	Conversion	conversion = {0};
	char	   *p;

	conversion.from = valid_utf8(text, len, max_bytes);
	/* no conversion: what is valid UTF-8 is good as it is */
	if (GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII)
		return conversion.from;
	if (attempt(convert_text, &conversion))
		return conversion.text;
	for (p = conversion.from; *p; p++)
	{
		if (IS_HIGHBIT_SET(*p))
			*p = '?';
	}
	return conversion.from;
}

char *
saga_foreign_text_of(char *text, size_t len)
{
	if (GetDatabaseEncoding() == PG_UTF8 && len < MaxAllocSize && valid_length(text, len) == len)
		return text;
	return saga_foreign_text(text, len, SIZE_MAX);
}

Jsonb *
saga_foreign_json(const char *text, size_t len, bool lenient)
{
	MemoryContext old = CurrentMemoryContext;
	MemoryContext scratch;
	Conversion	conversion = {0};
	Jsonb	   *doc = NULL;

	if (len >= MaxAllocSize || valid_length(text, len) < len)
		return NULL;
	/* what the document is made of takes many times its size */
	scratch = AllocSetContextCreate(old, "saga foreign json", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(scratch);
	conversion.from = unconstify(char *, text);
	conversion.lenient = lenient;
	if (attempt(convert_json, &conversion) && conversion.doc != NULL)
	{
		doc = MemoryContextAllocExtended(old, VARSIZE(conversion.doc), MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
		if (doc != NULL)
			memcpy(doc, conversion.doc, VARSIZE(conversion.doc));
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return doc;
}
