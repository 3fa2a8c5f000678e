/*
 * json_private.h
 *		What the files that include json-c share.
 */
#ifndef SAGA_NET_JSON_PRIVATE_H
#define SAGA_NET_JSON_PRIVATE_H

struct json_object;

/*
 * False: it is no JSON.  The object is the caller's to put, also then; a null
 * is a NULL pointer.
 */
extern bool saga_json_parse(const char *text, size_t len, struct json_object **object);

#endif							/* SAGA_NET_JSON_PRIVATE_H */
