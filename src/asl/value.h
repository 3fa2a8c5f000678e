/*
 * value.h
 *		Values of the Amazon States Language: paths, intrinsic functions,
 *		payload templates and comparisons over jsonb.
 *
 * Pure: no table, no GUC, no clock, no source of randomness of its own.
 * Everything is allocated in CurrentMemoryContext.  Nothing here raises for
 * what a definition or its data can contain; it fills a SagaFault instead
 * (out of memory and a stack that is too deep do raise).
 */
#ifndef SAGA_VALUE_H
#define SAGA_VALUE_H

#include "utils/jsonb.h"

/* An error as Retry and Catch see it. */
typedef struct SagaFault
{
	const char *error;			/* "States.Runtime", ...; NULL: no fault */
	char	   *cause;			/* for people */
} SagaFault;

/* What an expression may look at. */
typedef struct SagaScope
{
	Jsonb	   *data;			/* "$" */
	Jsonb	   *(*context) (void *arg); /* "$$", built when first asked for */
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

/* The value at a path; NULL and a fault when there is none. */
extern Jsonb *saga_path_eval(const SagaPath *path, const SagaScope *scope, SagaFault *fault);

/* The same, but "not there" is no fault: returns false. */
extern bool saga_path_find(const SagaPath *path, const SagaScope *scope, Jsonb **result);

/* ResultPath: a copy of target with value put in at path, members made as needed. */
extern Jsonb *saga_path_put(const SagaPath *path, Jsonb *target, Jsonb *value, SagaFault *fault);

/* A path or an intrinsic function call, as in the value of a "x.$" member. */
typedef struct SagaExpr SagaExpr;

extern SagaExpr *saga_expr_parse(const char *text, char **error);
extern Jsonb *saga_expr_eval(const SagaExpr *expr, const SagaScope *scope, SagaFault *fault);

/*
 * A payload template (Parameters, ResultSelector): members whose name ends
 * in ".$" are expressions.  On error *location is a JSON pointer below the
 * template's own root.
 */
typedef struct SagaTemplate SagaTemplate;

extern SagaTemplate *saga_template_parse(const JsonbValue *value, char **error, char **location);
extern Jsonb *saga_template_eval(const SagaTemplate *tmpl, const SagaScope *scope, SagaFault *fault);

/* A Choice rule (with And, Or, Not), without its Next. */
typedef struct SagaRule SagaRule;

extern SagaRule *saga_rule_parse(const JsonbValue *value, char **error, char **location);
extern bool saga_rule_eval(const SagaRule *rule, const SagaScope *scope, SagaFault *fault);

/* Small help with jsonb. */
extern Jsonb *saga_jsonb_from_value(const JsonbValue *value);	/* a copy; scalars too */
extern Jsonb *saga_jsonb_from_string(const char *s);	/* a JSON string */
extern Jsonb *saga_jsonb_null(void);
extern Jsonb *saga_jsonb_empty_object(void);
extern bool saga_jsonb_get(const Jsonb *object, const char *name, JsonbValue *value);
extern char *saga_jsonb_get_string(const Jsonb *object, const char *name); /* NULL if absent or no string */
extern char *saga_jsonb_to_cstring(const Jsonb *value);
/* text -> jsonb; NULL instead of an error when it is no JSON or jsonb cannot hold it */
extern Jsonb *saga_jsonb_parse(const char *text, int len);

#endif							/* SAGA_VALUE_H */
