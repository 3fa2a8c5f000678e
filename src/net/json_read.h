/*
 * json_read.h
 *		Reading foreign JSON outside a transaction: answers of services.
 *
 * Values are json-c's and belong to the document, which goes with the memory
 * context that was current when it was read.  All functions take NULL, a
 * value that is not there or null, and then find nothing.
 */
#ifndef SAGA_NET_JSON_READ_H
#define SAGA_NET_JSON_READ_H

typedef struct json_object SagaJson;

/* text has a NUL behind it; *ok false: it is no JSON. */
extern const SagaJson *saga_json_read(const char *text, size_t len, bool *ok);

extern bool saga_json_is_object(const SagaJson *value);

/* A member of an object, an element of an array; NULL: there is none. */
extern const SagaJson *saga_json_member(const SagaJson *object, const char *name);
extern int	saga_json_length(const SagaJson *array);
extern const SagaJson *saga_json_element(const SagaJson *array, int i);

/* The text of a string; NULL: it is none.  len may be NULL. */
extern const char *saga_json_string(const SagaJson *value, size_t *len);
extern const char *saga_json_member_string(const SagaJson *object, const char *name);
extern bool saga_json_is_true(const SagaJson *value);

/* All members of an object.  fn may raise. */
typedef void (*saga_json_member_fn) (const char *name, const SagaJson *value, void *arg);
extern void saga_json_each(const SagaJson *object, saga_json_member_fn fn, void *arg);

#endif							/* SAGA_NET_JSON_READ_H */
