/*
 * jsonpath_private.h
 *		What the files behind jsonpath.h share.
 */
#ifndef SAGA_JSONPATH_PRIVATE_H
#define SAGA_JSONPATH_PRIVATE_H

#include "jsonpath/jsonpath.h"
#include "value/scan.h"

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
	int32	   *indexes;		/* negative ones count from the end */
	bool		has_from,
				has_to;
	int32		from,			/* of a slice; without one, that end of the array */
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

extern const char *saga_path_text(const SagaPath *path);	/* as written */

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

typedef enum SagaFound
{
	SAGA_FOUND,
	SAGA_MISSING,
	SAGA_FAULT					/* it would take too long or too much */
} SagaFound;

/* Bounds what one evaluation may visit: "$..*..*..*" explodes. */
typedef struct SagaBudget
{
	int64		nodes;			/* that may still be visited */
	Size		bytes;			/* that matches and sums may still take */
	bool		spent;			/* nothing more may be visited: all give up */
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
extern bool saga_jsonpath_call_fault(SagaCall *call, const char *fmt, ...) pg_attribute_printf(2, 3);
extern bool saga_jsonpath_call_string(SagaCall *call, int arg, const JsonbValue **result);
extern bool saga_jsonpath_call_array(SagaCall *call, int arg, const JsonbValue **result);
extern bool saga_jsonpath_call_int(SagaCall *call, int arg, int64 *result); /* rounded half up */

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

#endif							/* SAGA_JSONPATH_PRIVATE_H */
