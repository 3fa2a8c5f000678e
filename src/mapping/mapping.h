/*
 * mapping.h
 *		The mapping language of destinations: expressions that make a request
 *		out of a message.
 *
 * Pure: no table, no GUC, no clock.  Everything is allocated in
 * CurrentMemoryContext; what was parsed may be used any number of times, also
 * from another context.  Nothing here raises for what a text or a document
 * can contain: an error is a message for people, without a final full stop,
 * of a text with the position of the fault (out of memory and a stack that is
 * too deep do raise).
 */
#ifndef SAGA_MAPPING_H
#define SAGA_MAPPING_H

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

/* ---------- expressions (parse.c, eval.c, function*.c) ---------- */

/* {"body": {"expr": "..."}}: a subset of JSONata, see README.md. */
typedef struct SagaMapping SagaMapping;

/* NULL, and a message with the position. */
extern SagaMapping *saga_mapping_parse(const char *text, char **error);

/*
 * True: *result is the value, or NULL for nothing.  False: *error says why.
 * A NULL document is nothing, as "$" and for every name.
 */
extern bool saga_mapping_eval(const SagaMapping *mapping, Jsonb *doc, Jsonb **result, char **error);

/* ---------- regular expressions (regex.c) ---------- */

/* How much its bounds make of an expression. */
typedef struct SagaRegexCost
{
	double		atoms;			/* characters, or what stands for one */
	double		choices;		/* quantifiers, alternatives */
	int			groups;			/* that capture */
	bool		repeats_group;	/* one of them, which costs far more than the rest */
} SagaRegexCost;

typedef enum SagaRegexVerdict
{
	SAGA_REGEX_OK,
	SAGA_REGEX_WRONG,
	SAGA_REGEX_TOO_COSTLY		/* earlier versions took it, so that one may be stored */
} SagaRegexVerdict;

/* The flags are those of pg_regcomp; *error goes on after the name of what it is about. */
extern SagaRegexVerdict saga_regex_check(const char *text, int len, int flags, SagaRegexCost *cost, const char **error);

#endif							/* SAGA_MAPPING_H */
