/*
 * mapping_private.h
 *		What the files behind mapping.h share.
 *
 * The evaluator follows the reference implementation of JSONata step by step,
 * names included, because what a path gives depends on details of how that
 * one builds its arrays: see README.md, "Arrays".
 */
#ifndef SAGA_MAPPING_PRIVATE_H
#define SAGA_MAPPING_PRIVATE_H

#include "utils/numeric.h"

#include "value/scan.h"
#include "mapping/mapping.h"

/* ---------- one evaluation ---------- */

typedef enum SagaMapType
{
	SAGA_MAP_NOTHING,			/* JSONata's undefined */
	SAGA_MAP_NULL,
	SAGA_MAP_BOOL,
	SAGA_MAP_NUMBER,
	SAGA_MAP_STRING,
	SAGA_MAP_ARRAY,
	SAGA_MAP_OBJECT
} SagaMapType;

/* flags of arrays and objects */
#define SAGA_MAP_STORED		0x01	/* lies in a jsonb as it is; all others have elements or pairs */
#define SAGA_MAP_SEQUENCE	0x02	/* made by a path: of one element it is that element */
#define SAGA_MAP_KEEP		0x04	/* a sequence that stays an array */
#define SAGA_MAP_CONS		0x08	/* made by [...] within a path: is not flattened */
#define SAGA_MAP_WRAPPER	0x10	/* holds the document, which is an array */

typedef struct SagaMapPair SagaMapPair;
typedef struct SagaMapValue SagaMapValue;

struct SagaMapValue
{
	SagaMapType type;
	uint8		flags;
	bool		boolean;
	int			count;			/* bytes of a string, members of others */
	int			size;			/* SAGA_MAP_STORED: bytes */
	union
	{
		const char *string;
		Numeric		number;
		SagaMapValue *elems;
		SagaMapPair *pairs;
		JsonbContainer *container;	/* SAGA_MAP_STORED */
	}			u;
};

struct SagaMapPair
{
	const char *name;
	int			len;
	SagaMapValue value;
};

/* Elements of an array that is being made. */
typedef struct SagaMapList
{
	SagaMapValue *elems;
	int			count;
	int			max;
} SagaMapList;

/* One evaluation. */
typedef struct SagaMapEval
{
	const SagaMapping *mapping;
	SagaMapValue root;			/* "$$" */
	MemoryContext context;		/* its own, deleted at the end */
	int64		steps;			/* what is left */
	char	   *error;			/* the first, in the caller's context */
	MemoryContext caller;
} SagaMapEval;

#define SAGA_MAP_MAX_TEXT	(64 * 1024 * 1024)

/* ---------- limits and errors (limit.c) ---------- */

/* Sets the first error.  Returns false, for "return saga_map_error(...)". */
extern bool saga_map_error(SagaMapEval *ev, const char *fmt, ...) pg_attribute_printf(2, 3);

/*
 * Count work before it is done, a step being some 50 ns of it; false and an
 * error when there is no more left, or too much memory went.  Nothing that
 * takes longer the larger its operands are may go uncounted: a publisher
 * evaluates for all owners.  No work between two calls takes long, so that
 * these are also where an evaluation can be interrupted.
 */
extern bool saga_map_charge(SagaMapEval *ev, int64 steps);
extern bool saga_map_charge_bytes(SagaMapEval *ev, int64 bytes);	/* to be read one by one, or searched */
extern bool saga_map_charge_copy(SagaMapEval *ev, int64 bytes);
extern bool saga_map_tick(SagaMapEval *ev); /* one step */

/* Counts what looking at all digits of a number takes. */
extern bool saga_map_charge_number(SagaMapEval *ev, Numeric number);

/* Counts n of something, and looks whether there is room for them, before it is taken. */
extern bool saga_map_has_room(SagaMapEval *ev, int n, Size size);

/* As qsort; compares each time with less work left, and sorts no further when there is none. */
extern bool saga_map_sort(SagaMapEval *ev, void *base, size_t n, size_t size, int (*compare) (const void *, const void *));

/* ---------- values (value.c) ---------- */

extern void saga_map_from_json(const JsonbValue *json, SagaMapValue *v);
extern Jsonb *saga_map_to_jsonb(SagaMapEval *ev, const SagaMapValue *v);
extern void saga_map_set_nothing(SagaMapValue *v);
extern void saga_map_set_bool(SagaMapValue *v, bool boolean);
extern void saga_map_set_number(SagaMapValue *v, Numeric number);
extern void saga_map_set_string(SagaMapValue *v, const char *s, int len);
extern void saga_map_set_array(SagaMapValue *v, const SagaMapList *list, uint8 flags);

/*
 * The elements of an array, which is no longer stored afterwards.  If that is
 * too much there is an error, and none are left in it.
 */
extern SagaMapValue *saga_map_elems(SagaMapEval *ev, SagaMapValue *array);

/* One element, which must be there. */
extern void saga_map_element(SagaMapValue *array, int index, SagaMapValue *result);

extern bool saga_map_push(SagaMapEval *ev, SagaMapList *list, const SagaMapValue *v);
extern bool saga_map_push_all(SagaMapEval *ev, SagaMapList *list, SagaMapValue *array);
extern bool saga_map_member(SagaMapEval *ev, const SagaMapValue *object, const char *name, int len, SagaMapValue *result);

/* The pairs of an object as an array that may be read only; NULL and an error if that is too much. */
extern SagaMapPair *saga_map_pairs(SagaMapEval *ev, const SagaMapValue *object);

/* Both count steps; when there are no more, they say false, and the evaluation fails at its end. */
extern bool saga_map_boolean(SagaMapEval *ev, SagaMapValue *v); /* nothing is false */
extern bool saga_map_equal(SagaMapEval *ev, SagaMapValue *a, SagaMapValue *b);
extern int	saga_map_string_compare(SagaMapEval *ev, const SagaMapValue *a, const SagaMapValue *b);
extern const char *saga_map_type_name(const SagaMapValue *v);

/* As $string makes it; false and an error when it is too long. */
extern bool saga_map_append_text(SagaMapEval *ev, StringInfo buf, SagaMapValue *v, bool quoted);

/* ---------- sequences (sequence.c) ---------- */

/* JSONata's createSequence(): of one value. */
extern bool saga_map_sequence_of(SagaMapEval *ev, const SagaMapValue *v, SagaMapValue *result);

/* The member of an object, or those of all objects in an array. */
extern bool saga_map_lookup(SagaMapEval *ev, const SagaMapValue *input, const char *name, int len, SagaMapValue *result);

/* The elements of the one and then those of the other; nothing adds nothing. */
extern bool saga_map_append(SagaMapEval *ev, const SagaMapValue *a, const SagaMapValue *b, SagaMapValue *result);

/* ---------- numbers (number.c) ---------- */

extern Numeric saga_map_add(Numeric a, Numeric b);
extern Numeric saga_map_trim_scale(Numeric number);
extern Numeric saga_map_negate(Numeric number);
extern double saga_map_double(Numeric number);	/* for positions and counts only */
extern int64 saga_map_floor(Numeric number);	/* cut to the range of int32 */
extern Numeric saga_map_round_even(Numeric number, int digits);
extern bool saga_map_in_range(Numeric number);
extern int64 saga_map_written_size(Numeric number); /* bytes that are handled where it becomes text */

/* -?digits[.digits][e[+-]digits], leading zeroes allowed */
extern bool saga_map_parse_number(const char *s, int len, Numeric *result);

/* As JavaScript writes it. */
extern char *saga_map_number_text(Numeric number);

/* ---------- arithmetic (arithmetic.c) ---------- */

/* Without zeroes at the end; false and an error when it has too many digits. */
extern bool saga_map_set_result(SagaMapEval *ev, SagaMapValue *v, Numeric number);

/* "+", "-", "*", "/" or "%"; false and an error when a number is out of range. */
extern bool saga_map_arithmetic(SagaMapEval *ev, char op, Numeric a, Numeric b, SagaMapValue *result);

/* ---------- expressions (parse.c) ---------- */

typedef enum SagaMapNodeKind
{
	SAGA_MAP_LITERAL,
	SAGA_MAP_NAME,				/* only as a step */
	SAGA_MAP_CONTEXT,			/* $ */
	SAGA_MAP_ROOT,				/* $$ */
	SAGA_MAP_PATH,				/* steps */
	SAGA_MAP_ARRAY_OF,			/* [items] */
	SAGA_MAP_OBJECT_OF,			/* {name: value}: name and value in turn */
	SAGA_MAP_BLOCK,				/* (expression) */
	SAGA_MAP_NEGATE,
	SAGA_MAP_BINARY,
	SAGA_MAP_CONDITION,
	SAGA_MAP_CALL
} SagaMapNodeKind;

typedef enum SagaMapOp
{
	SAGA_MAP_END = 0,
	/* operators of one character are that character */
	SAGA_MAP_NE = 256,
	SAGA_MAP_LE,
	SAGA_MAP_GE,
	SAGA_MAP_AND,
	SAGA_MAP_OR,
	SAGA_MAP_IN,
	/* not supported, but told apart */
	SAGA_MAP_RANGE,
	SAGA_MAP_BIND,
	SAGA_MAP_DESCENDANTS,
	SAGA_MAP_CHAIN,
	SAGA_MAP_DEFAULT,
	SAGA_MAP_COALESCE,
	/* no operators */
	SAGA_MAP_TOKEN_NAME,
	SAGA_MAP_TOKEN_VARIABLE,
	SAGA_MAP_TOKEN_LITERAL
} SagaMapOp;

typedef struct SagaMapFunction SagaMapFunction;
typedef struct SagaMapNode SagaMapNode;

typedef struct SagaMapNodes
{
	SagaMapNode **nodes;
	int			count;
	int			max;
} SagaMapNodes;

struct SagaMapNode
{
	SagaMapNodeKind kind;
	int			op;				/* BINARY */
	int			offset;			/* in the text, for messages */
	int			depth;			/* of the tree from here down */
	bool		keep_array;		/* a[] */
	bool		cons_array;		/* ARRAY_OF that is not flattened */
	bool		cons_block;		/* BLOCK: starts with one */
	bool		keep_singleton; /* PATH: a step keeps arrays */
	SagaMapValue literal;		/* LITERAL, NAME */
	SagaMapNodes children;		/* operands, items, steps or arguments */
	SagaMapNodes predicates;	/* applied to the node's result ... */
	SagaMapNodes stages;		/* ... to the result of each turn of a step */
	const SagaMapFunction *function;	/* CALL */
};

struct SagaMapping
{
	char	   *text;
	SagaMapNode *root;			/* the whole expression */
};

/* The next token (scan.c). */
typedef struct SagaMapToken
{
	int			op;
	int			offset;
	bool		is_string;		/* LITERAL: may be a name in a path */
	bool		is_number;
	SagaMapValue value;			/* NAME, VARIABLE (without $), LITERAL */
} SagaMapToken;

extern bool saga_map_scan(SagaScanner *s, SagaMapToken *token);

/* An operator as it is written; buf has room for two bytes. */
extern const char *saga_map_op_text(int op, char *buf);

/* ---------- evaluation (eval.c, operator.c) ---------- */

/* What a node gives for a context, JSONata's evaluate(); false: an error was set. */
#define SAGA_MAP_EVAL_ARGS \
	SagaMapEval *ev, const SagaMapNode *node, const SagaMapValue *input, SagaMapValue *result

extern bool saga_map_eval_node(SAGA_MAP_EVAL_ARGS);
extern bool saga_map_eval_array(SAGA_MAP_EVAL_ARGS);
extern bool saga_map_eval_object(SAGA_MAP_EVAL_ARGS);
extern bool saga_map_eval_binary(SAGA_MAP_EVAL_ARGS);
extern bool saga_map_eval_negation(SAGA_MAP_EVAL_ARGS);
extern bool saga_map_eval_condition(SAGA_MAP_EVAL_ARGS);
extern bool saga_map_eval_call(SAGA_MAP_EVAL_ARGS);

/* "MESSAGE, not a number at position N"; without a value only the message. */
extern bool saga_map_error_at(SagaMapEval *ev, const SagaMapNode *node, const char *message, const SagaMapValue *value);

/* ---------- functions (function.c and others) ---------- */

#define SAGA_MAP_MAX_ARGS	4

typedef struct SagaMapCall
{
	SagaMapEval *ev;
	const SagaMapNode *node;
	SagaMapValue args[SAGA_MAP_MAX_ARGS];	/* absent ones are nothing */
	SagaMapValue *result;		/* nothing, when called */
} SagaMapCall;

/*
 * What JSONata's signatures say: types, as letters (s string, n number,
 * b boolean, o object, a array of anything or one thing, x anything).
 */
typedef struct SagaMapParam
{
	const char *types;
	char		elements;		/* of an array: 's', 'n', 'o'; 0: any */
	bool		context;		/* the context value when it is left out */
	bool		optional;
} SagaMapParam;

struct SagaMapFunction
{
	const char *name;
	bool		(*eval) (SagaMapCall *call);
	SagaMapParam params[SAGA_MAP_MAX_ARGS];
	int			supported;		/* arguments that we know; 0: all of params */
};

extern const SagaMapFunction *saga_map_function_find(const char *name, int len);
extern bool saga_map_function_takes(const SagaMapFunction *function, int nargs, char **error);

/* A picture that is a literal is looked at when the expression is parsed. */
extern const char *saga_map_function_check(const SagaMapFunction *function, SagaMapNode *const *args, int nargs);
extern bool saga_map_call(SagaMapEval *ev, const SagaMapNode *node, const SagaMapValue *args, int nargs,
						  const SagaMapValue *context, SagaMapValue *result);

/* "$name ...": an error of the call's. */
extern bool saga_map_call_error(SagaMapCall *call, const char *fmt, ...) pg_attribute_printf(2, 3);

extern const char *saga_map_picture_check(const char *s, int len);
extern const char *saga_map_date_picture_check(const char *s, int len);

/* function_text.c */
extern bool saga_map_substring(SagaMapCall *call);
extern bool saga_map_substring_before(SagaMapCall *call);
extern bool saga_map_substring_after(SagaMapCall *call);
extern bool saga_map_uppercase(SagaMapCall *call);
extern bool saga_map_lowercase(SagaMapCall *call);
extern bool saga_map_trim(SagaMapCall *call);
extern bool saga_map_length(SagaMapCall *call);
extern bool saga_map_pad(SagaMapCall *call);
extern bool saga_map_contains(SagaMapCall *call);
extern bool saga_map_replace(SagaMapCall *call);
extern bool saga_map_split(SagaMapCall *call);
extern bool saga_map_join(SagaMapCall *call);

/* function_case.c */
extern bool saga_map_change_case(SagaMapCall *call, bool upper);

/* function_number.c */
extern bool saga_map_number(SagaMapCall *call);
extern bool saga_map_abs(SagaMapCall *call);
extern bool saga_map_floor_of(SagaMapCall *call);
extern bool saga_map_ceil(SagaMapCall *call);
extern bool saga_map_round(SagaMapCall *call);
extern bool saga_map_sum(SagaMapCall *call);
extern bool saga_map_minor(SagaMapCall *call);
extern bool saga_map_decimal(SagaMapCall *call);

/* function_format.c */
extern bool saga_map_format_number(SagaMapCall *call);

/* function_date.c */
extern bool saga_map_date(SagaMapCall *call);

#endif							/* SAGA_MAPPING_PRIVATE_H */
