/*
 * json.h
 *		Is a foreign text JSON?  Looked at outside a transaction; what passes is
 *		still given to jsonb's own parser.
 */
#ifndef SAGA_NET_JSON_H
#define SAGA_NET_JSON_H

/* Not deeper than this; PostgreSQL's parser recurses, and its limit is the stack's. */
#define SAGA_JSON_MAX_DEPTH 200

extern bool saga_json_check(const char *text, size_t len);

#endif							/* SAGA_NET_JSON_H */
