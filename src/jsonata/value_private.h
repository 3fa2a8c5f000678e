/*
 * value_private.h
 *		Values during the evaluation of an expression: what they are made of.
 */
#ifndef SAGA_JSONATA_VALUE_PRIVATE_H
#define SAGA_JSONATA_VALUE_PRIVATE_H

#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "jsonata/text_private.h"

typedef struct SagaJsonataEval SagaJsonataEval;
typedef struct SagaJsonataNode SagaJsonataNode;
typedef struct SagaJsonataFrame SagaJsonataFrame;
typedef struct SagaJsonataBuiltin SagaJsonataBuiltin;
typedef struct SagaJsonataSignature SagaJsonataSignature;

/* ---------- values ---------- */

typedef enum SagaJsonataType
{
	SAGA_JV_NOTHING,			/* JSONata's undefined */
	SAGA_JV_NULL,
	SAGA_JV_BOOL,
	SAGA_JV_NUMBER,
	SAGA_JV_STRING,
	SAGA_JV_ARRAY,
	SAGA_JV_OBJECT,
	SAGA_JV_FUNCTION,
	SAGA_JV_TUPLE				/* one of a tuple stream: never seen by an expression */
} SagaJsonataType;

/* flags of arrays and objects */
#define SAGA_JV_STORED		0x01	/* lies in a jsonb as it is */
#define SAGA_JV_SEQUENCE	0x02	/* made by a path: of one element it is that element */
#define SAGA_JV_KEEP		0x04	/* a sequence that stays an array */
#define SAGA_JV_CONS		0x08	/* made by [...] within a path: is not flattened */
#define SAGA_JV_WRAPPER		0x10	/* holds the document, which is an array */
#define SAGA_JV_TUPLES		0x20	/* a tuple stream */
#define SAGA_JV_RANGE		0x40	/* count integers from u.first on */

/* flags of numbers, which are doubles without one */
#define SAGA_JV_NUMERIC		0x01
#define SAGA_JV_DIGITS		0x02	/* JSON text */

/* flag of functions: handed over as an argument, so that it does not see the context of its call */
#define SAGA_JV_CLOSURE		0x01

typedef struct SagaJsonataValue SagaJsonataValue;
typedef struct SagaJsonataObject SagaJsonataObject;
typedef struct SagaJsonataFunction SagaJsonataFunction;
typedef struct SagaJsonataTuple SagaJsonataTuple;

/*
 * Small, and copied freely.  What it points to is shared and never changed,
 * except objects that a transform has cloned for itself.
 */
struct SagaJsonataValue
{
	uint8		type;
	uint8		flags;
	bool		boolean;
	int			count;			/* bytes of a string, of digits or of what is stored; elements of other arrays; else see trace.c */
	union
	{
		const char *string;		/* DIGITS too; without a NUL at the end */
		double		number;
		Numeric		numeric;
		double		first;		/* RANGE */
		SagaJsonataValue *elems;
		SagaJsonataObject *object;
		JsonbContainer *container;	/* STORED */
		SagaJsonataFunction *function;
		SagaJsonataTuple *tuple;
	}			u;
};

typedef struct SagaJsonataPair
{
	const char *name;
	int			len;
	SagaJsonataValue value;
} SagaJsonataPair;

/* An object that is not stored.  Members are in the order in which they came. */
struct SagaJsonataObject
{
	int			count;
	int			max;
	SagaJsonataPair *pairs;
	int		   *index;			/* of large ones: places in pairs by hash, -1: free */
	int			nindex;			/* a power of two */
};

/* Elements of an array that is being made. */
typedef struct SagaJsonataList
{
	SagaJsonataValue *elems;
	int			count;
	int			max;
} SagaJsonataList;

/* A variable, by the number of its name. */
typedef struct SagaJsonataVariable
{
	int			symbol;
	SagaJsonataValue value;
} SagaJsonataVariable;

struct SagaJsonataTuple
{
	SagaJsonataValue at;		/* "@": what the next step works on */
	int			count;
	SagaJsonataVariable *variables;
};

struct SagaJsonataFrame
{
	SagaJsonataFrame *parent;
	int			count;
	int			max;			/* 0: variables are somebody else's */
	SagaJsonataVariable *variables;
};

typedef enum SagaJsonataFunctionKind
{
	SAGA_JF_LAMBDA,
	SAGA_JF_BUILTIN,
	SAGA_JF_PARTIAL,			/* of a builtin */
	SAGA_JF_CHAIN,				/* f ~> g */
	SAGA_JF_TRANSFORM,
	SAGA_JF_REGEX,
	SAGA_JF_NEXT				/* next() of a match */
} SagaJsonataFunctionKind;

/* LAMBDA has the first part only: tail calls make many. */
struct SagaJsonataFunction
{
	SagaJsonataFunctionKind kind;
	bool		thunk;			/* LAMBDA: a tail call that is to be made */
	int			arity;
	int			nparams;		/* LAMBDA, PARTIAL: what is still to be given */
	const SagaJsonataSignature *signature;	/* NULL: none */
	const SagaJsonataNode *node;	/* LAMBDA: body, or a call; TRANSFORM */
	SagaJsonataFrame *frame;	/* LAMBDA, TRANSFORM */
	int		   *params;			/* LAMBDA: symbols; PARTIAL: places in bound */
	SagaJsonataValue input;		/* LAMBDA; NEXT: the subject */
	const SagaJsonataBuiltin *builtin;	/* BUILTIN, PARTIAL */
	int			nbound;			/* PARTIAL */
	SagaJsonataValue *bound;	/* PARTIAL: all arguments; CHAIN: f and g */
	SagaJsonataRegex *regex;	/* REGEX, NEXT */
	SagaJsonataMatch match;		/* NEXT: after this */
};

#endif							/* SAGA_JSONATA_VALUE_PRIVATE_H */
