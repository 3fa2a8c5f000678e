/*
 * value.h
 *		Values: what expressions over jsonb work on, and their text.
 *
 * Work is done on JsonbValue: a scalar, a jbvBinary that points into the
 * caller's jsonb, or (the result of a call, a template, a path with many
 * matches) a jbvArray or jbvObject whose members are such values again.
 * saga_value_flatten turns any of them into one jsonb with one copy of each
 * byte.  Pairs of a jbvObject are sorted and unique, as jsonb wants them.
 *
 * Pure: no table, no GUC, no clock.  Everything is allocated in
 * CurrentMemoryContext.  Nothing here raises for what a definition or its data
 * can contain; it fills a SagaFault instead (out of memory and a stack that is
 * too deep do raise).
 */
#ifndef SAGA_VALUE_H
#define SAGA_VALUE_H

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

/* An error as Retry and Catch see it.  Callers pass it zeroed; it is only set on failure. */
typedef struct SagaFault
{
	const char *error;			/* "States.Runtime", ...; NULL: no fault */
	char	   *cause;			/* for people */
	const char *location;		/* of an expression in JSONata: the field it stands in; else NULL */
} SagaFault;

/* jsonb cannot hold more; nothing that we build gets bigger */
#define SAGA_VALUE_MAX_SIZE		JENTRY_OFFLENMASK

/* ---------- values (jsonb.c) ---------- */

/* Walks over the members of an array or object, of any representation. */
typedef struct SagaValueChildren
{
	const JsonbValue *parent;
	JsonbIterator *it;			/* jbvBinary */
	int			next;			/* jbvArray, jbvObject */
	bool		is_object;
	JsonbValue	key;
	JsonbValue	value;
} SagaValueChildren;

extern void saga_value_children_start(SagaValueChildren *c, const JsonbValue *parent);
extern bool saga_value_children_next(SagaValueChildren *c);

extern bool saga_value_is_array(const JsonbValue *v);
extern bool saga_value_is_object(const JsonbValue *v);
extern int	saga_value_count(const JsonbValue *v);	/* members of an array or object */
extern bool saga_value_element(const JsonbValue *array, int64 index, JsonbValue *result);
extern bool saga_value_member(const JsonbValue *object, const char *name, int len, JsonbValue *result);
extern int	saga_value_compare(const JsonbValue *a, const JsonbValue *b);	/* some total order */
extern int	saga_string_compare(const JsonbValue *a, const JsonbValue *b);	/* by code point */
extern int	saga_numeric_compare(Numeric a, Numeric b);
extern const char *saga_value_type_name(const JsonbValue *v);

extern void saga_value_set_string(JsonbValue *v, const char *s, int len);
extern void saga_value_set_int(JsonbValue *v, int64 n);
extern void saga_value_set_array(JsonbValue *v, JsonbValue *elems, int n);
extern int	saga_pair_compare(const void *a, const void *b);	/* of JsonbPair, by name */

/* An upper bound for the size of the jsonb. */
extern Size saga_value_size(const JsonbValue *v);

/* NULL and a fault when it is too large for a jsonb. */
extern Jsonb *saga_value_flatten(const JsonbValue *v, SagaFault *fault);

/* A fault's cause.  Returns false, for "return saga_fault(...)". */
extern bool saga_fault(SagaFault *fault, const char *error, const char *fmt, ...) pg_attribute_printf(3, 4);

/* ---------- values as text (jsonb_text.c) ---------- */

/*
 * JSON without blanks; with java, as Java prints maps and lists:
 * {a=1, b=[x, y]}.  Stops, and returns false, once buf is longer than limit.
 */
extern bool saga_value_text(StringInfo buf, const JsonbValue *v, bool java, Size limit);

/* A name within a JSON pointer. */
extern void saga_value_append_pointer_name(StringInfo buf, const char *name, int len);

/* A JSON number of that length, if numeric can hold it. */
extern bool saga_numeric_parse(const char *s, int len, Numeric *result);

/* How many bytes of s a JSON number takes up; 0: none. */
extern int	saga_number_length(const char *s);

/* ---------- times (timestamp.c) ---------- */

/*
 * RFC 3339, strictly: "2016-03-14T01:59:00.5Z", "...+01:00".  The nanoseconds
 * below the result's microsecond go to *nanoseconds, unless that is NULL.
 */
extern bool saga_timestamp_parse(const char *text, int len, TimestampTz *result, int *nanoseconds);

/* ---------- small help with jsonb (jsonb.c) ---------- */

extern void saga_jsonb_value(const Jsonb *jsonb, JsonbValue *value);	/* no copy; scalars as such */
extern Jsonb *saga_jsonb_from_value(const JsonbValue *value);	/* a copy; scalars too */
extern Jsonb *saga_jsonb_null(void);
extern Jsonb *saga_jsonb_empty_object(void);
extern bool saga_jsonb_get(const Jsonb *object, const char *name, JsonbValue *value);
extern char *saga_jsonb_get_string(const Jsonb *object, const char *name);	/* NULL if absent or no string */
extern char *saga_jsonb_to_cstring(const Jsonb *value); /* JSON without blanks */

/* text -> jsonb; NULL instead of an error when it is no JSON or jsonb cannot hold it */
extern Jsonb *saga_jsonb_parse(const char *text, int len);

#endif							/* SAGA_VALUE_H */
