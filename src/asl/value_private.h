/*
 * value_private.h
 *		What the files behind value.h share.
 *
 * Work is done on JsonbValue: a scalar, a jbvBinary that points into the
 * caller's jsonb, or (the result of a call, a template, a path with many
 * matches) a jbvArray or jbvObject whose members are such values again.
 * saga_value_flatten turns any of them into one jsonb with one copy of each
 * byte.  Pairs of a jbvObject are sorted and unique, as jsonb wants them.
 */
#ifndef SAGA_VALUE_PRIVATE_H
#define SAGA_VALUE_PRIVATE_H

#include "lib/stringinfo.h"

#include "asl/value.h"

/* jsonb cannot hold more; nothing that we build gets bigger */
#define SAGA_VALUE_MAX_SIZE		JENTRY_OFFLENMASK

/* parentheses and calls inside each other, in a text */
#define SAGA_MAX_NESTING		100

/* ---------- values (jsonb.c) ---------- */

/* Walks over the members of an array or object, of any representation. */
typedef struct SagaChildren
{
	const JsonbValue *parent;
	JsonbIterator *it;			/* jbvBinary */
	int			next;			/* jbvArray, jbvObject */
	bool		is_object;
	JsonbValue	key;
	JsonbValue	value;
} SagaChildren;

extern void saga_children_start(SagaChildren *c, const JsonbValue *parent);
extern bool saga_children_next(SagaChildren *c);

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
extern bool saga_fault(SagaFault *fault, const char *error, const char *fmt,...) pg_attribute_printf(3, 4);

/* ---------- values as text (jsonb_text.c) ---------- */

/*
 * JSON without blanks; with java, as Java prints maps and lists:
 * {a=1, b=[x, y]}.  Stops, and returns false, once buf is longer than limit.
 */
extern bool saga_value_text(StringInfo buf, const JsonbValue *v, bool java, Size limit);

/* A name within a JSON pointer. */
extern void saga_append_pointer_name(StringInfo buf, const char *name, int len);

/* A JSON number of that length, if numeric can hold it. */
extern bool saga_numeric_parse(const char *s, int len, Numeric *result);

/* How many bytes of s a JSON number takes up; 0: none. */
extern int	saga_number_length(const char *s);

/* ---------- reading texts (path_parse.c) ---------- */

typedef struct SagaScanner
{
	const char *text;
	const char *pos;
	int			nesting;
	bool		in_filter;		/* operators end a name */
	char	   *error;			/* the first */
} SagaScanner;

extern bool saga_scan_error(SagaScanner *s, const char *fmt,...) pg_attribute_printf(2, 3);
extern void saga_scan_blanks(SagaScanner *s);
extern bool saga_scan_word(SagaScanner *s, const char *word);	/* skips it if it is next */

/* ---------- paths ---------- */

typedef struct SagaFilter SagaFilter;

typedef enum SagaStepKind
{
	SAGA_STEP_NAME,
	SAGA_STEP_NAMES,
	SAGA_STEP_INDEX,
	SAGA_STEP_INDEXES,
	SAGA_STEP_SLICE,
	SAGA_STEP_WILDCARD,
	SAGA_STEP_FILTER
} SagaStepKind;

typedef struct SagaStep
{
	SagaStepKind kind;
	bool		descend;		/* after "..": in every container from here down */
	int			count;			/* names, indexes */
	JsonbValue *names;
	int32	   *indexes;
	bool		has_from,
				has_to;
	int32		from,
				to;
	SagaFilter *filter;
} SagaStep;

typedef enum SagaPathFunction
{
	SAGA_PATH_NO_FUNCTION,
	SAGA_PATH_LENGTH,
	SAGA_PATH_KEYS,
	SAGA_PATH_MIN,
	SAGA_PATH_MAX,
	SAGA_PATH_SUM,
	SAGA_PATH_AVG,
	SAGA_PATH_FIRST,
	SAGA_PATH_LAST
} SagaPathFunction;

struct SagaPath
{
	char	   *text;
	SagaPathRoot root;
	bool		definite;		/* at most one match: its value, not an array */
	int			nsteps;
	SagaStep   *steps;			/* of "$name.a" the first step is the variable's name */
	SagaPathFunction function;
};

typedef enum SagaFilterKind
{
	SAGA_FILTER_OR,
	SAGA_FILTER_AND,
	SAGA_FILTER_NOT,
	SAGA_FILTER_EXISTS,
	SAGA_FILTER_EQ,
	SAGA_FILTER_NE,
	SAGA_FILTER_LT,
	SAGA_FILTER_LE,
	SAGA_FILTER_GT,
	SAGA_FILTER_GE,
	SAGA_FILTER_REGEX,
	SAGA_FILTER_IN,
	SAGA_FILTER_NIN,
	SAGA_FILTER_SUBSETOF,
	SAGA_FILTER_ANYOF,
	SAGA_FILTER_NONEOF,
	SAGA_FILTER_CONTAINS,
	SAGA_FILTER_SIZE,
	SAGA_FILTER_EMPTY
} SagaFilterKind;

typedef struct SagaOperand
{
	SagaPath   *path;			/* NULL: the value */
	JsonbValue	value;
} SagaOperand;

struct SagaFilter
{
	SagaFilterKind kind;
	SagaFilter *left,			/* OR, AND, NOT */
			   *right;
	SagaOperand a,				/* the others */
				b;
	text	   *regex;
	int			regex_flags;
};

/* Is the result one value, rather than the array of all matches? */
static inline bool
saga_path_is_single(const SagaPath *path)
{
	return path->definite || path->function != SAGA_PATH_NO_FUNCTION;
}

/* Reads a path at s->pos, up to the first character that cannot belong to it. */
extern SagaPath *saga_path_scan(SagaScanner *s);

/* What stands between "[?(" and ")]" (path_filter.c). */
extern SagaFilter *saga_filter_scan(SagaScanner *s);

/* A string in the quotes that s->pos is at, with JavaScript's escapes. */
extern bool saga_scan_quoted(SagaScanner *s, JsonbValue *result);

typedef enum SagaFound
{
	SAGA_FOUND,
	SAGA_MISSING,
	SAGA_FAULT					/* it would take too long or too much */
} SagaFound;

/* Bounds what one evaluation may visit: "$..*..*..*" explodes. */
typedef struct SagaBudget
{
	int64		nodes;
	Size		bytes;
	bool		spent;
} SagaBudget;

extern SagaFound saga_path_value(const SagaPath *path, const SagaScope *scope,
								 JsonbValue *result, SagaFault *fault);
extern SagaFound saga_path_value_from(const SagaPath *path, const SagaScope *scope,
									  const JsonbValue *current, SagaBudget *budget,
									  JsonbValue *result);
extern bool saga_filter_match(const SagaFilter *filter, const SagaScope *scope,
							  const JsonbValue *current, SagaBudget *budget);

/* What the path looks into, as JSON, cut to a length that suits a message. */
extern char *saga_path_input(const SagaPath *path, const SagaScope *scope);

/* The fault of a path that leads nowhere; field may be NULL. */
extern bool saga_path_missing(const SagaPath *path, const char *field, const SagaScope *scope,
							  SagaFault *fault);

/* ---------- expressions ---------- */

typedef enum SagaExprKind
{
	SAGA_EXPR_PATH,
	SAGA_EXPR_LITERAL,
	SAGA_EXPR_CALL
} SagaExprKind;

typedef struct SagaIntrinsic SagaIntrinsic;

struct SagaExpr
{
	SagaExprKind kind;
	char	   *text;			/* CALL: for messages */
	SagaPath   *path;
	JsonbValue	literal;
	const char *raw;			/* LITERAL string: as written, escapes and all; else NULL */
	int			raw_len;
	const SagaIntrinsic *intrinsic;
	int			nargs;
	SagaExpr  **args;
};

/* field: the member's name, for messages; may be NULL */
extern bool saga_expr_value(const SagaExpr *expr, const char *field, const SagaScope *scope,
							JsonbValue *result, SagaFault *fault);

/* ---------- intrinsic functions ---------- */

typedef struct SagaCall
{
	const SagaExpr *expr;
	const SagaScope *scope;
	const JsonbValue *args;
	int			nargs;
	JsonbValue *result;
	SagaFault  *fault;
} SagaCall;

struct SagaIntrinsic
{
	const char *name;			/* without "States." */
	int			min_args;
	int			max_args;		/* -1: any number */
	bool		(*eval) (SagaCall *call);
};

extern const SagaIntrinsic *saga_intrinsic_find(const char *name, int len);

/* States.IntrinsicFailure: returns false. */
extern bool saga_call_fault(SagaCall *call, const char *fmt,...) pg_attribute_printf(2, 3);
extern bool saga_call_string(SagaCall *call, int arg, const JsonbValue **result);
extern bool saga_call_array(SagaCall *call, int arg, const JsonbValue **result);
extern bool saga_call_int(SagaCall *call, int arg, int64 *result);	/* rounded half up */

extern bool saga_intrinsic_array(SagaCall *call);
extern bool saga_intrinsic_array_partition(SagaCall *call);
extern bool saga_intrinsic_array_contains(SagaCall *call);
extern bool saga_intrinsic_array_range(SagaCall *call);
extern bool saga_intrinsic_array_get_item(SagaCall *call);
extern bool saga_intrinsic_array_length(SagaCall *call);
extern bool saga_intrinsic_array_unique(SagaCall *call);
extern bool saga_intrinsic_format(SagaCall *call);
extern bool saga_intrinsic_string_to_json(SagaCall *call);
extern bool saga_intrinsic_json_to_string(SagaCall *call);
extern bool saga_intrinsic_json_merge(SagaCall *call);
extern bool saga_intrinsic_base64_encode(SagaCall *call);
extern bool saga_intrinsic_base64_decode(SagaCall *call);
extern bool saga_intrinsic_hash(SagaCall *call);
extern bool saga_intrinsic_string_split(SagaCall *call);
extern bool saga_intrinsic_math_random(SagaCall *call);
extern bool saga_intrinsic_math_add(SagaCall *call);
extern bool saga_intrinsic_uuid(SagaCall *call);

#endif							/* SAGA_VALUE_PRIVATE_H */
