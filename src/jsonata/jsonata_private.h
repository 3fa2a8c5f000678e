/*
 * jsonata_private.h
 *		What the files behind jsonata.h share: values, frames, one evaluation
 *		and what it may cost.
 *
 * The evaluator follows the reference implementation step by step, names
 * included, because what a path gives depends on details of how that one
 * builds its arrays: see README.md, "Arrays".
 */
#ifndef SAGA_JSONATA_PRIVATE_H
#define SAGA_JSONATA_PRIVATE_H

#include "jsonata/tree_private.h"

/* ---------- one evaluation ---------- */

struct SagaJsonataEval
{
	const SagaJsonataOptions *options;
	SagaJsonataNames *names;	/* the expression's, or a copy that $eval adds to */
	bool		has_eval;
	SagaJsonataFault *fault;	/* its message in context, until the end */
	MemoryContext context;		/* its own, deleted at the end */
	SagaJsonataValue root;		/* "$$" */
	SagaJsonataFrame *frame;	/* the outermost */
	const char *text;			/* of the expression, for positions; NULL within $eval */
	int64		steps;			/* what is left */
	int64		next_look;		/* when so many are left, memory and time are looked at */
	int			depth;
	int			max_depth;
	Size		max_bytes;
	double		deadline;		/* of the clock, in microseconds; 0: none */
	uint64		random;
	char	   *room;			/* of saga_jsonata_alloc */
	Size		room_left;
	SagaJsonataWork work;		/* these steps, for what knows of no evaluation */
};

#define SAGA_JSONATA_MAX_ELEMENTS	10000000
#define SAGA_JSONATA_MAX_NESTING	500 /* of parentheses and operators, in a text */
#define SAGA_JSONATA_MAX_SOURCE		(1024 * 1024)

/* ---------- limits (limit.c) ---------- */

/* Sets the first fault.  Returns false, for "return saga_jsonata_fail(...)". */
extern bool saga_jsonata_fail(SagaJsonataEval *ev, const char *code, const char *fmt, ...) pg_attribute_printf(3, 4);

/* As before, and sets the position unless it is known. */
extern bool saga_jsonata_fail_at(SagaJsonataEval *ev, const SagaJsonataNode *node, const char *code, const char *fmt, ...)
			pg_attribute_printf(4, 5);

/* The position of a fault that has none.  Returns false. */
extern bool saga_jsonata_failed_at(SagaJsonataEval *ev, const SagaJsonataNode *node);

extern bool saga_jsonata_look(SagaJsonataEval *ev);
extern void saga_jsonata_start_limits(SagaJsonataEval *ev);

/*
 * Counts work before it is done; false and a fault when there is no more
 * left.  Nothing that takes longer the larger its operands are may go
 * uncounted.
 */
static inline bool
saga_jsonata_spend(SagaJsonataEval *ev, int64 steps)
{
	ev->steps -= steps;
	return likely(ev->steps > ev->next_look) || saga_jsonata_look(ev);
}

static inline bool
saga_jsonata_tick(SagaJsonataEval *ev)
{
	return saga_jsonata_spend(ev, 1);
}

/* Bytes that are read, compared or searched one by one; bytes that are only copied. */
#define saga_jsonata_spend_read(ev, bytes) saga_jsonata_spend(ev, (int64) (bytes) / 16)
#define saga_jsonata_spend_copy(ev, bytes) saga_jsonata_spend(ev, (int64) (bytes) / 64)

/* Counts n of something, and looks whether there is room for them, before it is taken. */
extern bool saga_jsonata_has_room(SagaJsonataEval *ev, int64 n, Size size);

/* One level deeper: for whatever calls itself.  Pair each that was true with a leave. */
extern bool saga_jsonata_enter(SagaJsonataEval *ev);
#define saga_jsonata_leave(ev) ((void) (ev)->depth--)

/* Memory until the end of the evaluation; never NULL.  Large things ask saga_jsonata_has_room before. */
extern void *saga_jsonata_alloc(SagaJsonataEval *ev, Size size);

/* ---------- values (value.c, object.c) ---------- */

static inline void
saga_jsonata_set_nothing(SagaJsonataValue *v)
{
	memset(v, 0, sizeof(*v));
}

static inline bool
saga_jsonata_is_nothing(const SagaJsonataValue *v)
{
	return v->type == SAGA_JV_NOTHING;
}

extern void saga_jsonata_set_bool(SagaJsonataValue *v, bool boolean);
extern void saga_jsonata_set_number(SagaJsonataValue *v, double number);
extern void saga_jsonata_set_numeric(SagaJsonataValue *v, Numeric number);
extern void saga_jsonata_set_string(SagaJsonataValue *v, const char *s, int len);	/* not copied */
extern void saga_jsonata_set_cstring(SagaJsonataValue *v, const char *s);
extern void saga_jsonata_set_buffer(SagaJsonataEval *ev, SagaJsonataValue *v, const StringInfoData *buf);
extern void saga_jsonata_set_array(SagaJsonataValue *v, const SagaJsonataList *list, uint8 flags);
extern void saga_jsonata_set_object(SagaJsonataValue *v, SagaJsonataObject *object);
extern void saga_jsonata_from_jsonb(Jsonb *jsonb, SagaJsonataValue *v);
extern void saga_jsonata_from_json(const JsonbValue *json, SagaJsonataValue *v);

/* Elements of an array, members of an object. */
extern int	saga_jsonata_count(const SagaJsonataValue *v);

/* Walks over what is stored: elements, or names and then values of an object. */
typedef struct SagaJsonataWalk
{
	JsonbContainer *container;
	char	   *data;
	int			next;
	uint32		offset;
} SagaJsonataWalk;

extern void saga_jsonata_walk_start(SagaJsonataWalk *walk, const SagaJsonataValue *stored);
extern void saga_jsonata_walk_next(SagaJsonataWalk *walk, SagaJsonataValue *v);

/* An array that has its elements in memory; NULL and a fault when that is too much. */
extern SagaJsonataValue *saga_jsonata_elems(SagaJsonataEval *ev, SagaJsonataValue *array);

/* One element, which must be there. */
extern void saga_jsonata_element(const SagaJsonataValue *array, int index, SagaJsonataValue *result);

extern bool saga_jsonata_push(SagaJsonataEval *ev, SagaJsonataList *list, const SagaJsonataValue *v);
extern bool saga_jsonata_push_all(SagaJsonataEval *ev, SagaJsonataList *list, const SagaJsonataValue *array);

/* JSONata's createSequence(): of one value, or of none when it is nothing and empty is said. */
extern bool saga_jsonata_sequence_of(SagaJsonataEval *ev, const SagaJsonataValue *v, SagaJsonataValue *result);

extern SagaJsonataObject *saga_jsonata_new_object(SagaJsonataEval *ev, int members);
extern bool saga_jsonata_put(SagaJsonataEval *ev, SagaJsonataObject *object, const char *name, int len,
							 const SagaJsonataValue *value);
extern void saga_jsonata_remove(SagaJsonataEval *ev, SagaJsonataObject *object, const char *name, int len);

/* The pair's value, to be changed in place; NULL: there is none. */
extern SagaJsonataValue *saga_jsonata_slot(const SagaJsonataObject *object, const char *name, int len);
extern bool saga_jsonata_member(const SagaJsonataValue *object, const char *name, int len, SagaJsonataValue *result);

/* The pairs of an object as an array that may be read only; NULL and a fault if that is too much. */
extern SagaJsonataPair *saga_jsonata_pairs(SagaJsonataEval *ev, const SagaJsonataValue *object);

/* ---------- numbers (number.c, arithmetic.c) ---------- */

extern double saga_jsonata_double(const SagaJsonataValue *v);
extern Numeric saga_jsonata_numeric(const SagaJsonataValue *v);
extern Numeric saga_jsonata_double_numeric(double number);	/* NaN for what JSON cannot have */

/* What the reference's isNumeric says: NaN is none, Infinity a fault (*fails). */
extern bool saga_jsonata_is_numeric(SagaJsonataEval *ev, const SagaJsonataValue *v, bool *fails);

/* Its place in an array: rounded down, cut to what fits. */
extern int64 saga_jsonata_floor(const SagaJsonataValue *v);
extern int	saga_jsonata_number_compare(SagaJsonataEval *ev, const SagaJsonataValue *a, const SagaJsonataValue *b); /* 2: NaN */
extern bool saga_jsonata_is_integer(const SagaJsonataValue *v);

/* A number of the document as the evaluation computes with it. */
extern bool saga_jsonata_set_decimal(SagaJsonataEval *ev, SagaJsonataValue *v, Numeric number);

/* The double that a function gives, as the evaluation has numbers. */
extern bool saga_jsonata_arithmetic(SagaJsonataEval *ev, int op, const SagaJsonataValue *a, const SagaJsonataValue *b,
									SagaJsonataValue *result);
extern bool saga_jsonata_negate(SagaJsonataEval *ev, const SagaJsonataValue *v, SagaJsonataValue *result);

/* As $string has it: fifteen digits of a double, or all of a decimal. */
extern bool saga_jsonata_append_number(SagaJsonataEval *ev, StringInfo buf, const SagaJsonataValue *v);

/* As it is in a result; "null" for NaN. */
extern bool saga_jsonata_append_result_number(SagaJsonataEval *ev, StringInfo buf, const SagaJsonataValue *v);

/* ---------- comparing (compare.c) ---------- */

extern bool saga_jsonata_boolean(SagaJsonataEval *ev, const SagaJsonataValue *v);	/* nothing is false */
extern bool saga_jsonata_same(SagaJsonataEval *ev, const SagaJsonataValue *a, const SagaJsonataValue *b);	/* === */
extern bool saga_jsonata_equal(SagaJsonataEval *ev, const SagaJsonataValue *a, const SagaJsonataValue *b);

/* ---------- JSON text (json_read.c, json_write.c), jsonb (result.c) ---------- */

extern bool saga_jsonata_read(SagaJsonataEval *ev, const char *json, int len, SagaJsonataValue *result);

/* Text that may be anything: false without a fault when it is no JSON. */
extern bool saga_jsonata_read_foreign(SagaJsonataEval *ev, const char *json, int len, SagaJsonataValue *result);

/* As $string makes it. */
extern bool saga_jsonata_append_string(SagaJsonataEval *ev, StringInfo buf, const SagaJsonataValue *v, bool pretty);
extern bool saga_jsonata_string(SagaJsonataEval *ev, const SagaJsonataValue *v, SagaJsonataValue *result);

/* As the result of the evaluation. */
extern bool saga_jsonata_append_result(SagaJsonataEval *ev, StringInfo buf, const SagaJsonataValue *v);
extern Jsonb *saga_jsonata_to_jsonb(SagaJsonataEval *ev, const SagaJsonataValue *v, MemoryContext context);

/* ---------- sequences (sequence.c) ---------- */

/* The member of an object, or those of all objects in an array. */
extern bool saga_jsonata_lookup(SagaJsonataEval *ev, const SagaJsonataValue *input, const char *name, int len,
								SagaJsonataValue *result);

/* The elements of the one and then those of the other; nothing adds nothing. */
extern bool saga_jsonata_append(SagaJsonataEval *ev, const SagaJsonataValue *a, const SagaJsonataValue *b,
								SagaJsonataValue *result);
extern bool saga_jsonata_wildcard(SagaJsonataEval *ev, const SagaJsonataValue *input, SagaJsonataValue *result);
extern bool saga_jsonata_descendants(SagaJsonataEval *ev, const SagaJsonataValue *input, SagaJsonataValue *result);

/* A sequence of one element is that element, one of none is nothing. */
extern void saga_jsonata_unwrap(SagaJsonataValue *v);

/* ---------- arguments (signature.c) ---------- */

/*
 * The arguments that a function gets: made arrays of, filled up with the
 * context.  T0410 to T0412.  *valid has room for nargs and all parameters.
 */
extern bool saga_jsonata_signature_validate(SagaJsonataEval *ev, const SagaJsonataSignature *signature, const char *name,
											const SagaJsonataValue *args, int nargs, const SagaJsonataValue *context,
											SagaJsonataValue **valid, int *nvalid);

/* ---------- variables (frame.c) ---------- */

extern int	saga_jsonata_symbol_of(SagaJsonataNames *names, const char *name, int len);
extern int	saga_jsonata_symbol_find(const SagaJsonataNames *names, const char *name, int len); /* -1: none */
extern SagaJsonataFrame *saga_jsonata_frame(SagaJsonataEval *ev, SagaJsonataFrame *parent, int variables);
extern SagaJsonataFrame *saga_jsonata_tuple_frame(SagaJsonataEval *ev, SagaJsonataFrame *parent, const SagaJsonataTuple *tuple);
extern void saga_jsonata_bind(SagaJsonataEval *ev, SagaJsonataFrame *frame, int symbol, const SagaJsonataValue *value);
extern bool saga_jsonata_frame_find(const SagaJsonataFrame *frame, int symbol, SagaJsonataValue *result);

/* ---------- evaluation ---------- */

#define SAGA_JSONATA_EVAL_ARGS \
	SagaJsonataEval *ev, const SagaJsonataNode *node, const SagaJsonataValue *input, SagaJsonataFrame *frame, \
	SagaJsonataValue *result

/* What a node gives for a context, the reference's evaluate(); false: a fault was set. */
extern bool saga_jsonata_eval_node(SAGA_JSONATA_EVAL_ARGS); /* eval.c */
extern bool saga_jsonata_eval_path(SAGA_JSONATA_EVAL_ARGS); /* path.c */
extern bool saga_jsonata_eval_stages(SagaJsonataEval *ev, const SagaJsonataNodes *stages, SagaJsonataFrame *frame,
									 SagaJsonataValue *v);
extern bool saga_jsonata_eval_filter(SagaJsonataEval *ev, const SagaJsonataNode *predicate, SagaJsonataFrame *frame,
									 SagaJsonataValue *v);
extern bool saga_jsonata_eval_tuple_step(SagaJsonataEval *ev, const SagaJsonataNode *step, const SagaJsonataValue *input,
										 SagaJsonataValue *tuples, bool *made, SagaJsonataFrame *frame);	/* tuple.c */
extern bool saga_jsonata_eval_group(SAGA_JSONATA_EVAL_ARGS);	/* group.c */
extern bool saga_jsonata_eval_sort(SAGA_JSONATA_EVAL_ARGS); /* sort.c */
extern bool saga_jsonata_eval_binary(SAGA_JSONATA_EVAL_ARGS);	/* operator.c */
extern bool saga_jsonata_eval_call(SAGA_JSONATA_EVAL_ARGS); /* call.c */
extern bool saga_jsonata_eval_partial(SAGA_JSONATA_EVAL_ARGS);
extern bool saga_jsonata_eval_apply(SAGA_JSONATA_EVAL_ARGS);
extern bool saga_jsonata_eval_lambda(SAGA_JSONATA_EVAL_ARGS);
extern bool saga_jsonata_eval_transform(SAGA_JSONATA_EVAL_ARGS);	/* transform.c */
extern bool saga_jsonata_transform(SagaJsonataEval *ev, const SagaJsonataFunction *transform, const SagaJsonataValue *object,
								   SagaJsonataValue *result);

/* A copy that shares nothing with it. */
extern bool saga_jsonata_clone(SagaJsonataEval *ev, const SagaJsonataValue *v, SagaJsonataValue *result);

/* Sorts in place, stable; compare says whether b goes before a.  No fault when it returns true. */
typedef bool (*saga_jsonata_swap_fn) (SagaJsonataEval *ev, const SagaJsonataValue *a, const SagaJsonataValue *b, void *arg,
									  bool *swap);
extern bool saga_jsonata_merge_sort(SagaJsonataEval *ev, SagaJsonataValue *elems, int n, saga_jsonata_swap_fn compare, void *arg);

/* Calls a function with a context, which may be NULL; procedure, for messages, too. */
extern bool saga_jsonata_apply(SagaJsonataEval *ev, const SagaJsonataValue *function, const SagaJsonataNode *procedure,
							   const SagaJsonataValue *args, int nargs, const SagaJsonataValue *input,
							   SagaJsonataFrame *frame, SagaJsonataValue *result);

/* ---------- functions (function.c and others) ---------- */

typedef struct SagaJsonataCall
{
	SagaJsonataEval *ev;
	const SagaJsonataBuiltin *builtin;
	SagaJsonataValue *args;		/* at least as many as the signature names */
	int			nargs;
	const SagaJsonataValue *input;	/* the context; NULL: none */
	SagaJsonataFrame *frame;
	SagaJsonataValue *result;	/* nothing, when called */
} SagaJsonataCall;

typedef enum SagaJsonataFlavour
{
	SAGA_JB_ALL,
	SAGA_JB_AWS,				/* in Step Functions only */
	SAGA_JB_NOT_AWS,
	SAGA_JB_MONEY				/* where money is written for others */
} SagaJsonataFlavour;

struct SagaJsonataBuiltin
{
	const char *name;			/* with the $ */
	bool		(*eval) (SagaJsonataCall *call);
	const char *definition;
	int			arity;			/* as JavaScript has it, for what calls functions with as many */
	SagaJsonataFlavour flavour;
	bool		is_volatile;
};

extern const SagaJsonataBuiltin *saga_jsonata_builtin_find(const char *name, int len);
extern const SagaJsonataBuiltin *saga_jsonata_builtin_in_flavour(const SagaJsonataOptions *options,
																 const SagaJsonataBuiltin *builtin);
extern void saga_jsonata_find_builtins(SagaJsonataNames *names);
extern void saga_jsonata_variable(SagaJsonataEval *ev, const SagaJsonataFrame *frame, int symbol, SagaJsonataValue *result);
extern bool saga_jsonata_builtin_call(SagaJsonataEval *ev, const SagaJsonataBuiltin *builtin, SagaJsonataValue *args, int nargs,
									  const SagaJsonataValue *input, SagaJsonataFrame *frame, SagaJsonataValue *result);

/* A match as an object, for what a regular expression gives when it is called (function_match.c). */
extern bool saga_jsonata_regex_call(SagaJsonataEval *ev, const SagaJsonataFunction *f, const SagaJsonataValue *args, int nargs,
									SagaJsonataValue *result);
extern bool saga_jsonata_eval_regex(SAGA_JSONATA_EVAL_ARGS);

#endif							/* SAGA_JSONATA_PRIVATE_H */
