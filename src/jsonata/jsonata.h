/*
 * jsonata.h
 *		JSONata: expressions that query and transform JSON.
 *
 * Pure: no table, no setting, no source of randomness, no clock but for a
 * limit of time; what an evaluation may look at is in its options.  Nothing here raises for what an
 * expression or a document can contain, it fills a SagaJsonataFault (out of
 * memory does raise, and so does an interrupt).  README.md has the language.
 */
#ifndef SAGA_JSONATA_H
#define SAGA_JSONATA_H

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

#include "jsonata/fault.h"

/* A compiled expression, for any number of evaluations. */
typedef struct SagaJsonata SagaJsonata;

/* What one evaluation may cost.  Each is looked at all along; 0: the default. */
typedef struct SagaJsonataLimits
{
	int64		steps;			/* some 50 ns each */
	int			depth;			/* evaluations in one another, as recursion makes them */
	int64		milliseconds;	/* of the clock; the default is none */
	Size		bytes;			/* of memory */
} SagaJsonataLimits;

#define SAGA_JSONATA_DEFAULT_STEPS	INT64CONST(20000000)
#define SAGA_JSONATA_DEFAULT_DEPTH	1500
#define SAGA_JSONATA_DEFAULT_BYTES	((Size) 256 * 1024 * 1024)

/*
 * A variable of the caller's, or a member of one that is an object put
 * together for the evaluation: "value" if it is there, else "part", else the
 * members.  Nothing is copied, and all must outlive the evaluation.
 */
typedef struct SagaJsonataBinding
{
	const char *name;			/* without the $ */
	Jsonb	   *value;
	const JsonbValue *part;		/* of a jsonb: a scalar, or jbvBinary */
	int			nmembers;
	const struct SagaJsonataBinding *members;
} SagaJsonataBinding;

typedef struct SagaJsonataOptions
{
	bool		decimal;		/* numbers are exact decimals, not doubles */
	bool		aws;			/* the functions of Step Functions; no $eval */
	bool		money;			/* $minor, $decimal, $date */
	bool		immutable;		/* refuse what is not determined by the arguments */
	double		now;			/* $millis(): milliseconds since 1970 */
	uint64		seed;			/* of $random, $shuffle, $uuid */
	SagaJsonataLimits limits;
	int			nbindings;
	const SagaJsonataBinding *bindings;
	const char *variables;		/* JSON text of an object: more of them by name; NULL: none */
	int			variables_len;
} SagaJsonataOptions;

/*
 * In CurrentMemoryContext, the text is copied; NULL and a fault when it is no
 * expression.  text is UTF-8.
 */
extern SagaJsonata *saga_jsonata_compile(const char *text, int len, SagaJsonataFault *fault);

/*
 * What can be told of an expression before it is evaluated with these options:
 * false and T1006 when it names a function or variable that there is not,
 * U1005 when one is named that gives something else each time and must not.
 */
extern bool saga_jsonata_check(const SagaJsonata *expr, const SagaJsonataOptions *options, SagaJsonataFault *fault);

/*
 * The document is jsonb, or json text (valid, UTF-8), or NULL: no input.  The
 * result lies in CurrentMemoryContext; *result NULL and true: undefined.
 * saga_jsonata_eval gives jsonb, saga_jsonata_eval_json appends JSON text with
 * members in the order in which they were made.
 */
extern bool saga_jsonata_eval(const SagaJsonata *expr, Jsonb *document, const SagaJsonataOptions *options,
							  Jsonb **result, SagaJsonataFault *fault);
extern bool saga_jsonata_eval_json(const SagaJsonata *expr, const char *document, int len,
								   const SagaJsonataOptions *options, StringInfo out, bool *defined,
								   SagaJsonataFault *fault);

/* ---------- what an expression asks for ---------- */

#define SAGA_JSONATA_MENTIONED_STEPS	4

/*
 * A variable that an expression names, functions of the language among them.
 * steps: the names that follow it, as many as are kept: two of "$a.b.c[0]".
 * Without any the expression may look at all of it.
 */
typedef struct SagaJsonataMention
{
	const char *name;			/* without the $ */
	int			position;		/* in the expression, in bytes; -1: not known */
	bool		is_set;			/* the expression gives it a value: ":=", a parameter, "@", "#" */
	int			nsteps;
	const char *steps[SAGA_JSONATA_MENTIONED_STEPS];
} SagaJsonataMention;

typedef void (*saga_jsonata_mention_fn) (void *arg, const SagaJsonataMention *mention);

/* Tells every one of them, some more than once.  What they point to goes when the function returns. */
extern void saga_jsonata_mentions(const SagaJsonata *expr, saga_jsonata_mention_fn fn, void *arg);

#endif							/* SAGA_JSONATA_H */
