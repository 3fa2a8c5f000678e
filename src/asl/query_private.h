/*
 * query_private.h
 *		Values of a definition with expressions of JSONata in them.
 *
 * In a state whose QueryLanguage is JSONata each text "{% ... %}" in a field
 * is an expression, at any depth of the field's value; everything else stands
 * for itself.  An expression sees the variables, and $states: the state's
 * input, the context object, and what it was compiled to see beside them.
 */
#ifndef SAGA_QUERY_PRIVATE_H
#define SAGA_QUERY_PRIVATE_H

#include "asl/machine_private.h"
#include "jsonata/jsonata.h"

#define SAGA_QUERY_ERROR		"States.QueryEvaluationError"

/* What $states has beside "input" and "context". */
typedef enum SagaSees
{
	SAGA_SEES_INPUT,			/* nothing */
	SAGA_SEES_RESULT,			/* "result": of a call, the branches or the items */
	SAGA_SEES_ERROR				/* "errorOutput": what a Catch was given */
} SagaSees;

typedef enum SagaQueryKind
{
	SAGA_QUERY_CONSTANT,		/* there is no expression in it */
	SAGA_QUERY_EXPRESSION,
	SAGA_QUERY_ARRAY,
	SAGA_QUERY_OBJECT
} SagaQueryKind;

/* What an expression asks for; the rest need not be made. */
#define SAGA_WANTS_STATES	0x01
#define SAGA_WANTS_INPUT	0x02
#define SAGA_WANTS_MADE		0x04	/* result or errorOutput */
#define SAGA_WANTS_CONTEXT	0x08
#define SAGA_WANTS_MAP		0x10	/* of the context object, what it tells of a Map's item */
#define SAGA_WANTS_CHANCE	0x20

/* Lives as long as its machine, and is never changed. */
struct SagaQuery
{
	SagaQueryKind kind;
	const char *field;			/* where it stands, below its state: "Output/total" */

	Jsonb	   *constant;		/* CONSTANT, of a whole field; else NULL, and it is this: */
	JsonbValue	value;

	/* EXPRESSION */
	const char *text;			/* without the marks and the blanks around it */
	SagaJsonata *expr;
	int			wants;
	List	   *variables;		/* of char *: names, each once */

	/* ARRAY, OBJECT */
	int			nmembers;
	SagaQuery **members;
	JsonbValue *names;			/* OBJECT: in jsonb's order */
};

/* What a query is evaluated over. */
typedef struct SagaQueryScope
{
	const SagaScope *scope;		/* the context object, variables, chance */
	Jsonb	   *input;
	SagaSees	sees;
	Jsonb	   *made;			/* the result, or the error; NULL: neither */
	TimestampTz now;
} SagaQueryScope;

/* Its value; NULL, and a fault (States.QueryEvaluationError). */
extern Jsonb *saga_asl_query_eval(const SagaQuery *query, const SagaQueryScope *scope, SagaFault *fault);

/* The expression has given a value of another type than "expected".  Returns false. */
extern bool saga_asl_query_type_fault(const SagaQuery *query, const char *expected, const Jsonb *value, SagaFault *fault);

/* The same for a value that is not as it has to be; what: "is not positive". */
extern bool saga_asl_query_value_fault(const SagaQuery *query, const char *what, const Jsonb *value, SagaFault *fault);

#endif							/* SAGA_QUERY_PRIVATE_H */
