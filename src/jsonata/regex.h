/*
 * regex.h
 *		Regular expressions by PCRE2, for who has no expression of JSONata around
 *		them: how they are interrupted and what they may cost is the same.
 *
 * Texts and patterns are UTF-8.  Nothing is raised for what they can hold.
 */
#ifndef SAGA_JSONATA_REGEX_H
#define SAGA_JSONATA_REGEX_H

#include "jsonata/fault.h"

/* A compiled one, for any number of searches, one at a time. */
typedef struct SagaJsonataRegex SagaJsonataRegex;

/*
 * pattern is in the syntax of PCRE2, but for \u and \x, which are followed by
 * four and two digits.  A dot is any character, "$" the end of the text;
 * flags: "i" for either case, or "".  It lives as long as
 * CurrentMemoryContext.  NULL and S0303: it is none, and the
 * message says only why.
 */
extern SagaJsonataRegex *saga_jsonata_regex_compile_plain(const char *pattern, int len, const char *flags,
														  SagaJsonataFault *fault);

/* Groups that capture. */
extern int	saga_jsonata_regex_ngroups(const SagaJsonataRegex *regex);

/*
 * Is it in the text, which must be valid UTF-8?  *group is then what the first
 * group has captured, in the text; NULL: it has no part in the match.  False
 * with a fault, D1012, when it takes more than so many steps of some 50 ns.
 */
extern bool saga_jsonata_regex_search(SagaJsonataRegex *regex, const char *text, int len, int64 steps,
									  const char **group, int *group_len, SagaJsonataFault *fault);

#endif							/* SAGA_JSONATA_REGEX_H */
