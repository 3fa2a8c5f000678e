/*
 * jsonpath.h
 *		JSONPath as the Amazon States Language has it: paths, intrinsic
 *		functions, payload templates and comparisons over jsonb.
 *
 * Pure: no table, no GUC, no clock, no source of randomness of its own.
 * Everything is allocated in CurrentMemoryContext, and what a definition or its
 * data can contain is a SagaFault and no error, as in value.h.
 */
#ifndef SAGA_JSONPATH_H
#define SAGA_JSONPATH_H

#include "value/value.h"

/* What an expression may look at. */
typedef struct SagaScope
{
	Jsonb	   *data;			/* "$" */
	Jsonb	   *(*context) (void *arg, const JsonbValue *member);	/* "$$"; may have this member alone, if not NULL */
	void	   *context_arg;
	Jsonb	   *variables;		/* "$name": an object, or NULL */
	uint64		(*random) (void *arg);	/* 64 random bits (States.UUID, ...) */
	void	   *random_arg;
} SagaScope;

/*
 * A parsed JSONPath: "$", "$.a[0]", "$$.Execution.Id", "$var.a".
 * saga_path_parse returns NULL and sets *error (a message for people) when
 * the text is no path.  A reference path (ResultPath) has only names and
 * indexes, never wildcards, slices, filters or "..".
 */
typedef struct SagaPath SagaPath;

extern SagaPath *saga_path_parse(const char *text, char **error);
extern bool saga_path_is_reference(const SagaPath *path);

typedef enum SagaPathRoot
{
	SAGA_ROOT_DATA,				/* "$" */
	SAGA_ROOT_CONTEXT,			/* "$$" */
	SAGA_ROOT_VARIABLE,			/* "$name" */
	SAGA_ROOT_CURRENT			/* "@", only within a filter */
} SagaPathRoot;

extern SagaPathRoot saga_path_root(const SagaPath *path);

/*
 * The value at a path; NULL and a fault (States.Runtime) when there is none.
 * A path with at most one match gives its value, any other an array of its
 * matches, which may be empty and is never a fault.  "$" is scope->data
 * itself, not a copy.
 *
 * With a field's name ("SecondsPath") the cause says "The JSONPath '...'
 * specified for the field 'SecondsPath' could not be found in the input
 * '...'", else (InputPath, OutputPath) "Invalid path '...' : No results for
 * path: ...".
 */
extern Jsonb *saga_path_eval(const SagaPath *path, const SagaScope *scope, SagaFault *fault);
extern Jsonb *saga_path_eval_field(const SagaPath *path, const char *field,
								   const SagaScope *scope, SagaFault *fault);

/* ResultPath: a copy of target with value put in at path, members made as needed. */
extern Jsonb *saga_path_put(const SagaPath *path, Jsonb *target, Jsonb *value, SagaFault *fault);

/* A path or an intrinsic function call, as in the value of a "x.$" member. */
typedef struct SagaExpr SagaExpr;

extern SagaExpr *saga_expr_parse(const char *text, char **error);
extern Jsonb *saga_expr_eval(const SagaExpr *expr, const SagaScope *scope, SagaFault *fault);

/*
 * A payload template (Parameters, ResultSelector): members whose name ends
 * in ".$" are expressions.  On error *location is a JSON pointer below the
 * template's own root, to the object that holds the wrong member (where AWS
 * points, too; the message names the member).
 */
typedef struct SagaTemplate SagaTemplate;

extern SagaTemplate *saga_template_parse(const JsonbValue *value, char **error, char **location);
extern Jsonb *saga_template_eval(const SagaTemplate *tmpl, const SagaScope *scope, SagaFault *fault);

/*
 * A Choice rule (with And, Or, Not).  Its Next, Assign, Output and Comment
 * are the caller's.  On error *location is a JSON pointer below the rule.
 * A comparison of other types than it is for is false; a Variable that is
 * not there is a fault, except for IsPresent.
 */
typedef struct SagaRule SagaRule;

extern SagaRule *saga_jsonpath_rule_parse(const JsonbValue *value, char **error, char **location);
extern bool saga_jsonpath_rule_eval(const SagaRule *rule, const SagaScope *scope, SagaFault *fault);

#endif							/* SAGA_JSONPATH_H */
