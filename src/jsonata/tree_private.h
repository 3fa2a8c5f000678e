/*
 * tree_private.h
 *		The tree of an expression, and what reads it from a text.
 */
#ifndef SAGA_JSONATA_TREE_PRIVATE_H
#define SAGA_JSONATA_TREE_PRIVATE_H

#include "jsonata/jsonata.h"
#include "jsonata/value_private.h"

typedef enum SagaJsonataKind
{
	SAGA_JN_END,				/* of the text */
	SAGA_JN_OPERATOR,			/* a token that is none of the following (yet) */
	SAGA_JN_NAME,
	SAGA_JN_VARIABLE,
	SAGA_JN_STRING,
	SAGA_JN_NUMBER,
	SAGA_JN_VALUE,				/* true, false, null */
	SAGA_JN_REGEX,
	SAGA_JN_WILDCARD,
	SAGA_JN_DESCENDANT,
	SAGA_JN_PARENT,
	SAGA_JN_BINARY,				/* children: left, right */
	SAGA_JN_NEGATE,				/* children: operand */
	SAGA_JN_ARRAY,				/* children: items */
	SAGA_JN_OBJECT,				/* children: name and value in turn */
	SAGA_JN_GROUP,				/* before it is processed: left, then as OBJECT */
	SAGA_JN_SORT,				/* children: terms; before it is processed the left side first */
	SAGA_JN_TERM,				/* children: expression */
	SAGA_JN_BLOCK,
	SAGA_JN_CONDITION,			/* children: condition, then, else */
	SAGA_JN_ELVIS,				/* children: left, else */
	SAGA_JN_COALESCE,			/* children: left, else */
	SAGA_JN_BIND,				/* children: value */
	SAGA_JN_CALL,				/* children: procedure, arguments */
	SAGA_JN_PARTIAL,			/* children: procedure, arguments; "?" is an OPERATOR */
	SAGA_JN_LAMBDA,				/* children: parameters, and body last */
	SAGA_JN_TRANSFORM,			/* children: pattern, update, delete */
	SAGA_JN_APPLY,				/* children: left, right */
	SAGA_JN_PATH,				/* children: steps */
	SAGA_JN_FILTER,				/* among predicates and stages; children: expression */
	SAGA_JN_INDEX				/* among stages; symbol */
} SagaJsonataKind;

/* Operators of one character are that character. */
typedef enum SagaJsonataOp
{
	SAGA_JO_NE = 256,
	SAGA_JO_LE,
	SAGA_JO_GE,
	SAGA_JO_AND,
	SAGA_JO_OR,
	SAGA_JO_IN,
	SAGA_JO_RANGE,
	SAGA_JO_BIND,
	SAGA_JO_DESCENDANTS,
	SAGA_JO_CHAIN,
	SAGA_JO_ELVIS,
	SAGA_JO_COALESCE
} SagaJsonataOp;

typedef struct SagaJsonataNodes
{
	SagaJsonataNode **nodes;
	int			count;
	int			max;
} SagaJsonataNodes;

/* What a "%" refers to: a variable that some step before it sets. */
typedef struct SagaJsonataSlot
{
	int			symbol;
	int			level;			/* so many steps are still to go back */
	int			index;			/* of all in the expression */
} SagaJsonataSlot;

typedef struct SagaJsonataSlots
{
	SagaJsonataSlot **slots;
	int			count;
	int			max;
} SagaJsonataSlots;

struct SagaJsonataNode
{
	SagaJsonataKind kind;
	int			op;				/* BINARY, OPERATOR */
	int			position;		/* in the text, in bytes */
	int			symbol;			/* VARIABLE, BIND, INDEX: the variable; -1: none */
	int			focus;			/* "@$x"; -1: none */
	int			index;			/* "#$x"; -1: none */
	int			height;			/* of the tree from here down, before it is processed */
	bool		keep_array;		/* a[] */
	bool		cons_array;		/* ARRAY that is not flattened; BLOCK: contains one */
	bool		keep_singleton; /* PATH: a step keeps arrays */
	bool		tuple;			/* a step that makes, or is given, tuples */
	bool		thunk;			/* LAMBDA around a tail call */
	bool		binds;			/* BLOCK: needs a frame */
	bool		descending;		/* TERM */
	SagaJsonataValue value;		/* NAME, VARIABLE: the name; literals */
	Numeric		numeric;		/* NUMBER: the literal as a decimal; NULL: the double is exact */
	SagaJsonataNodes children;
	SagaJsonataNodes predicates;	/* applied to the node's result ... */
	SagaJsonataNodes stages;	/* ... to the result of each turn of a step */
	SagaJsonataNode *group;
	SagaJsonataSlot *slot;		/* PARENT */
	SagaJsonataSlot *ancestor;	/* a step whose context is referred to */
	SagaJsonataSlots seeking;	/* parents that are not found below here */
	SagaJsonataSignature *signature;	/* LAMBDA */
	SagaJsonataRegex *regex;
};

/* Names of variables, so that frames compare numbers. */
typedef struct SagaJsonataNames
{
	MemoryContext context;
	int			count;
	int			max;
	struct SagaJsonataSymbol_
	{
		const char *name;
		int			len;
		const SagaJsonataBuiltin *builtin;	/* of that name, unless a frame has it */
	}		   *symbols;
	int			nparents;		/* "%" in all of the text */
} SagaJsonataNames;

struct SagaJsonata
{
	char	   *text;
	int			len;
	SagaJsonataNode *root;
	SagaJsonataNames names;
};

/* ---------- the text of an expression (scan.c, parse*.c, process.c, ancestry.c, signature.c) ---------- */

typedef struct SagaJsonataScanner
{
	const char *text;
	int			len;
	int			pos;
	SagaJsonataNames *names;
	SagaJsonataFault *fault;
} SagaJsonataScanner;

/* infix: a "/" divides, it does not begin a regular expression. */
extern bool saga_jsonata_scan(SagaJsonataScanner *s, bool infix, SagaJsonataNode **token);
extern const char *saga_jsonata_op_text(int op, char *buf); /* buf has room for two bytes */
extern SagaJsonataNode *saga_jsonata_new_node(SagaJsonataKind kind, int position);
extern void saga_jsonata_add_node(SagaJsonataNodes *nodes, SagaJsonataNode *node);
extern bool saga_jsonata_fault_at(SagaJsonataFault *fault, int position, const char *code, const char *fmt, ...)
			pg_attribute_printf(4, 5);

/* For messages: the token as it is written, palloc'd. */
extern char *saga_jsonata_token_text(const SagaJsonataNode *token);

extern bool saga_jsonata_parse(SagaJsonataScanner *s, SagaJsonataNode **root);

/* The reference's processAST; NULL and a fault. */
typedef struct SagaJsonataProcess
{
	SagaJsonataNames *names;
	SagaJsonataFault *fault;
	SagaJsonataNodes ancestry;	/* all parents */
} SagaJsonataProcess;

extern SagaJsonataNode *saga_jsonata_process(SagaJsonataProcess *p, SagaJsonataNode *node);
extern bool saga_jsonata_seek_parent(SagaJsonataProcess *p, SagaJsonataNode *node, SagaJsonataSlot *slot);
extern void saga_jsonata_push_ancestry(SagaJsonataNode *result, SagaJsonataNode *value);
extern bool saga_jsonata_resolve_ancestry(SagaJsonataProcess *p, SagaJsonataNode *path);
extern void saga_jsonata_add_slot(SagaJsonataSlots *slots, SagaJsonataSlot *slot);
extern SagaJsonataNode *saga_jsonata_tail_calls(SagaJsonataNode *node);

/* What compiles: names and the tree, in CurrentMemoryContext. */
extern SagaJsonataNode *saga_jsonata_compile_into(SagaJsonataNames *names, const char *text, int len, SagaJsonataFault *fault);

/* definition: "<s-n?:b>"; position is its place in the text */
extern SagaJsonataSignature *saga_jsonata_signature_parse(const char *definition, int len, int position,
														  SagaJsonataFault *fault);

#endif							/* SAGA_JSONATA_TREE_PRIVATE_H */
