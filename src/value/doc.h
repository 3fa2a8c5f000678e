/*
 * doc.h
 *		Small helpers to read and build jsonb documents.
 */
#ifndef SAGA_VALUE_DOC_H
#define SAGA_VALUE_DOC_H

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

/* A member of an object; NULL when it is not there or doc is no object. */
extern JsonbValue *saga_doc_get(JsonbContainer *doc, const char *name);

/* The member's text when it is a string, else NULL. */
extern char *saga_doc_get_string(JsonbContainer *doc, const char *name);

extern bool saga_doc_is_object(const JsonbValue *value);
extern bool saga_doc_is_array(const JsonbValue *value);

/* Text of a string, number or boolean; NULL for null, arrays and objects. */
extern char *saga_doc_text(const JsonbValue *value);

/* All members of both, those of the second where both have one; either may be NULL. */
extern Jsonb *saga_doc_merge(Jsonb *first, Jsonb *second);

/* Is this scalar, of this type, an element of the array? */
extern bool saga_doc_contains(Jsonb *array, const JsonbValue *value);

/*
 * Has its text a size that fits what is stored?  1e131071 has a hundred
 * thousand digits that are not.  Asked before a process that serves all makes
 * text of it.
 */
extern bool saga_doc_can_be_written(const JsonbValue *value);

/* JSON text of any value. */
extern char *saga_doc_json(const JsonbValue *value);
extern void saga_doc_append_json(StringInfo out, const JsonbValue *value);

/*
 * Building, whose begin and end the caller pushes.  The token says what it is:
 * WJB_VALUE after a key, or WJB_ELEM.  A text that is NULL is a JSON null, and
 * stays the caller's until the document is made; a whole jsonb may be a scalar.
 */
extern void saga_jsonb_push_key(JsonbParseState **state, const char *name);
extern void saga_jsonb_push(JsonbParseState **state, JsonbIteratorToken token, Jsonb *value);
extern void saga_jsonb_push_string(JsonbParseState **state, JsonbIteratorToken token, const char *value);
extern void saga_jsonb_push_int64(JsonbParseState **state, JsonbIteratorToken token, int64 value);

/* The same of members: key and value. */
extern void saga_doc_push_value(JsonbParseState **state, const char *name, const JsonbValue *value);
extern void saga_doc_push_string(JsonbParseState **state, const char *name, const char *text);
extern void saga_doc_push_int(JsonbParseState **state, const char *name, int64 number);
extern void saga_doc_push_bool(JsonbParseState **state, const char *name, bool boolean);
extern void saga_doc_push_jsonb(JsonbParseState **state, const char *name, Jsonb *doc);

/* All members of an object, in jsonb's order. */
typedef void (*saga_doc_member_fn) (const char *name, JsonbValue *value, void *arg);
extern void saga_doc_each(JsonbContainer *object, saga_doc_member_fn fn, void *arg);

#endif							/* SAGA_VALUE_DOC_H */
