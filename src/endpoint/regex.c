/*
 * regex.c
 *		Regular expressions of settings, and what they may cost.
 *
 * All answers of all owners are looked at in one process, so that an
 * expression is short, only the beginning of a text is searched, and a search
 * that takes too long finds nothing.
 */
#include "postgres.h"

#include "endpoint/encoding_private.h"
#include "endpoint/regex_private.h"
#include "mb/pg_wchar.h"

#define MAX_LENGTH		1000

/* Of one search: a tenth of a second at most. */
#define MAX_STEPS		2000000

SagaJsonataRegex *
saga_endpoint_regex_compile(const char *text, int len, const char **error)
{
	SagaJsonataFault fault = {{0}};
	SagaJsonataRegex *regex;
	StringInfoData pattern;
	const char *utf8;
	const char *wrong;
	bool		caseless;

	*error = NULL;
	if (len > MAX_LENGTH)
	{
		*error = psprintf("is too long for a regular expression: it may have %d bytes", MAX_LENGTH);
		return NULL;
	}
	initStringInfo(&pattern);
	if (!saga_endpoint_to_utf8(text, len, &utf8, &len))
		wrong = "it cannot be written in UTF-8";
	else if (saga_endpoint_regex_translate(utf8, len, &pattern, &caseless, &wrong))
	{
		regex = saga_jsonata_regex_compile_plain(pattern.data, pattern.len, caseless ? "i" : "", &fault);
		if (regex != NULL)
			return regex;
		wrong = fault.message;
	}
	*error = psprintf("is no regular expression: %s", wrong);
	return NULL;
}

bool
saga_endpoint_regex_search(SagaJsonataRegex *regex, const char *text, int len, int most, const char **group, int *group_len)
{
	SagaJsonataFault fault = {{0}};
	const char *utf8;

	if (len > most)
		len = pg_mbcliplen(text, len, most);
	return pg_verify_mbstr(GetDatabaseEncoding(), text, len, true) && saga_endpoint_to_utf8(text, len, &utf8, &len) &&
		saga_jsonata_regex_search(regex, utf8, len, MAX_STEPS, group, group_len, &fault);
}
