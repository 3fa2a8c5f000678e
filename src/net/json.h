/*
 * json.h
 *		Foreign JSON.
 */
#ifndef SAGA_NET_JSON_H
#define SAGA_NET_JSON_H

/* Not deeper than this; PostgreSQL's parser recurses, and its limit is the stack's. */
#define SAGA_JSON_MAX_DEPTH 200

typedef struct SagaJsonMember
{
	const char *name;
	char	   *text;			/* palloc'd, UTF-8; NULL: not there, null, or no scalar */
} SagaJsonMember;

/*
 * Reads members of an object: strings as they are, numbers and booleans as
 * they are written.  Of the texts no other copy is left than what json-c's
 * own parser has freed.  False: this is no JSON object.
 */
extern bool saga_json_get_members(const char *text, size_t len, SagaJsonMember *members, int n);

#endif							/* SAGA_NET_JSON_H */
