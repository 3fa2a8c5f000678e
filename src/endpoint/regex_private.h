/*
 * regex_private.h
 *		Regular expressions in settings: "matches" of a condition, "body_regex".
 */
#ifndef SAGA_ENDPOINT_REGEX_PRIVATE_H
#define SAGA_ENDPOINT_REGEX_PRIVATE_H

#include "lib/stringinfo.h"

#include "jsonata/regex.h"

/* It lives as long as CurrentMemoryContext.  NULL: *error goes on after the name of what it is about. */
extern SagaJsonataRegex *saga_endpoint_regex_compile(const char *text, int len, const char **error);

/*
 * Is it in the first part of the text, of which no more than "most" bytes are
 * searched?  False too when the text is not valid in the database's encoding,
 * or the search takes too long.  *group: what the first group has, NULL for
 * nothing; UTF-8.
 */
extern bool saga_endpoint_regex_search(SagaJsonataRegex *regex, const char *text, int len, int most, const char **group,
									   int *group_len);

/* The same expression for PCRE2 (regex_syntax.c). */
extern bool saga_endpoint_regex_translate(const char *text, int len, StringInfo out, bool *caseless, const char **error);

#endif							/* SAGA_ENDPOINT_REGEX_PRIVATE_H */
