/*
 * eval.c
 *		What a node of the tree gives: the reference's evaluate(), and how an
 *		evaluation begins and ends.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "jsonata/jsonata_private.h"

/* ---------- nodes ---------- */

/* A literal; in an evaluation with decimals the digits of it as they are written. */
static void
eval_number(SagaJsonataEval *ev, const SagaJsonataNode *node, SagaJsonataValue *result)
{
	if (ev->options->decimal && node->numeric != NULL)
		saga_jsonata_set_numeric(result, node->numeric);
	else
		*result = node->value;
}

/* "$" is the context; a document that is an array stands for itself. */
static void
eval_variable(SagaJsonataEval *ev, const SagaJsonataNode *node, const SagaJsonataValue *input, SagaJsonataFrame *frame,
			  SagaJsonataValue *result)
{
	if (node->value.count > 0)
		saga_jsonata_variable(ev, frame, node->symbol, result);
	else if (input->type == SAGA_JV_ARRAY && (input->flags & SAGA_JV_WRAPPER) && input->count > 0)
		saga_jsonata_element(input, 0, result);
	else
		*result = *input;
}

/* Items are put one behind the other; those that are written as arrays stay arrays. */
static bool
eval_array(SAGA_JSONATA_EVAL_ARGS)
{
	SagaJsonataList list = {0};
	SagaJsonataValue item;
	uint8		flags = node->cons_array ? SAGA_JV_CONS : 0;

	/* a single range, or a single array, need not be copied */
	if (node->children.count == 1 && node->children.nodes[0]->kind != SAGA_JN_ARRAY)
	{
		if (!saga_jsonata_eval_node(ev, node->children.nodes[0], input, frame, &item))
			return false;
		if (item.type == SAGA_JV_ARRAY)
		{
			*result = item;
			/* no longer a sequence, which might become its only element */
			result->flags = (item.flags & (SAGA_JV_STORED | SAGA_JV_RANGE)) | flags;
			return true;
		}
		if (!saga_jsonata_is_nothing(&item) && !saga_jsonata_push(ev, &list, &item))
			return false;
		saga_jsonata_set_array(result, &list, flags);
		return true;
	}
	for (int i = 0; i < node->children.count; i++)
	{
		const SagaJsonataNode *child = node->children.nodes[i];

		if (!saga_jsonata_eval_node(ev, child, input, frame, &item))
			return false;
		if (saga_jsonata_is_nothing(&item))
			continue;
		if (item.type == SAGA_JV_ARRAY && child->kind != SAGA_JN_ARRAY ?
			!saga_jsonata_push_all(ev, &list, &item) : !saga_jsonata_push(ev, &list, &item))
			return false;
	}
	saga_jsonata_set_array(result, &list, flags);
	return true;
}

/* -x.  Nothing stays nothing; D1002: x is no number. */
static bool
eval_negation(SAGA_JSONATA_EVAL_ARGS)
{
	SagaJsonataValue value;
	bool		fails = false;

	if (!saga_jsonata_eval_node(ev, node->children.nodes[0], input, frame, &value))
		return false;
	if (saga_jsonata_is_nothing(&value))
		return true;
	if (!saga_jsonata_is_numeric(ev, &value, &fails))
		return saga_jsonata_fail_at(ev, node, "D1002", "cannot negate a value that is no number");
	return saga_jsonata_negate(ev, &value, result) || saga_jsonata_failed_at(ev, node);
}

/*
 * "a ?: b" and "a ?? b" as well, which look at their first value and then give
 * it.
 */
static bool
eval_condition(SAGA_JSONATA_EVAL_ARGS)
{
	SagaJsonataNode **children = node->children.nodes;
	SagaJsonataValue condition;

	if (!saga_jsonata_eval_node(ev, children[0], input, frame, &condition))
		return false;
	if (node->kind == SAGA_JN_CONDITION)
	{
		if (saga_jsonata_boolean(ev, &condition))
			return saga_jsonata_eval_node(ev, children[1], input, frame, result);
		return node->children.count < 3 || saga_jsonata_eval_node(ev, children[2], input, frame, result);
	}
	if (node->kind == SAGA_JN_ELVIS ? saga_jsonata_boolean(ev, &condition) : !saga_jsonata_is_nothing(&condition))
	{
		*result = condition;
		return true;
	}
	return saga_jsonata_eval_node(ev, children[1], input, frame, result);
}

/* The last expression counts; variables end with the block. */
static bool
eval_block(SAGA_JSONATA_EVAL_ARGS)
{
	SagaJsonataFrame *inner = frame;

	if (node->binds)
		inner = saga_jsonata_frame(ev, frame, 4);
	for (int i = 0; i < node->children.count; i++)
	{
		saga_jsonata_set_nothing(result);
		if (!saga_jsonata_eval_node(ev, node->children.nodes[i], input, inner, result))
			return false;
	}
	return true;
}

/*
 * $x := value.  The variable belongs to the nearest frame, mostly that of the
 * block around it.  The value is that of the expression as well.
 */
static bool
eval_bind(SAGA_JSONATA_EVAL_ARGS)
{
	if (!saga_jsonata_eval_node(ev, node->children.nodes[0], input, frame, result))
		return false;
	saga_jsonata_bind(ev, frame, node->symbol, result);
	return true;
}

/*
 * Evaluates a node by its kind, with *result set to nothing before.
 * Predicates and a group of the node are the caller's task.
 */
static bool
dispatch(SAGA_JSONATA_EVAL_ARGS)
{
	switch (node->kind)
	{
		case SAGA_JN_PATH:
			return saga_jsonata_eval_path(ev, node, input, frame, result);
		case SAGA_JN_BINARY:
			return saga_jsonata_eval_binary(ev, node, input, frame, result);
		case SAGA_JN_NEGATE:
			return eval_negation(ev, node, input, frame, result);
		case SAGA_JN_ARRAY:
			return eval_array(ev, node, input, frame, result);
		case SAGA_JN_OBJECT:
			return saga_jsonata_eval_group(ev, node, input, frame, result);
		case SAGA_JN_NAME:
			return saga_jsonata_lookup(ev, input, node->value.u.string, node->value.count, result);
		case SAGA_JN_NUMBER:
			eval_number(ev, node, result);
			return true;
		case SAGA_JN_STRING:
		case SAGA_JN_VALUE:
			*result = node->value;
			return true;
		case SAGA_JN_VARIABLE:
			eval_variable(ev, node, input, frame, result);
			return true;
		case SAGA_JN_PARENT:
			/* a step before it has set the variable, see ancestry.c */
			saga_jsonata_variable(ev, frame, node->slot->symbol, result);
			return true;
		case SAGA_JN_WILDCARD:
			return saga_jsonata_wildcard(ev, input, result);
		case SAGA_JN_DESCENDANT:
			return saga_jsonata_descendants(ev, input, result);
		case SAGA_JN_CONDITION:
		case SAGA_JN_ELVIS:
		case SAGA_JN_COALESCE:
			return eval_condition(ev, node, input, frame, result);
		case SAGA_JN_BLOCK:
			return eval_block(ev, node, input, frame, result);
		case SAGA_JN_BIND:
			return eval_bind(ev, node, input, frame, result);
		case SAGA_JN_REGEX:
			return saga_jsonata_eval_regex(ev, node, input, frame, result);
		case SAGA_JN_CALL:
			return saga_jsonata_eval_call(ev, node, input, frame, result);
		case SAGA_JN_PARTIAL:
			return saga_jsonata_eval_partial(ev, node, input, frame, result);
		case SAGA_JN_LAMBDA:
			return saga_jsonata_eval_lambda(ev, node, input, frame, result);
		case SAGA_JN_APPLY:
			return saga_jsonata_eval_apply(ev, node, input, frame, result);
		case SAGA_JN_TRANSFORM:
			return saga_jsonata_eval_transform(ev, node, input, frame, result);
		default:
			return saga_jsonata_fail_at(ev, node, "S0206", "unknown kind of expression");
	}
}

/* Frequent nodes to whose value there is nothing left to apply. */
static inline bool
is_leaf(const SagaJsonataNode *node)
{
	return (node->kind == SAGA_JN_VARIABLE || node->kind == SAGA_JN_STRING || node->kind == SAGA_JN_NUMBER) &&
		node->predicates.count == 0 && node->group == NULL;
}

/*
 * Evaluates a node for a context: first by its kind, then its predicates one
 * after the other, then its group.  In the end a sequence of one element
 * becomes that element, and an empty one nothing.
 *
 * After a fault the level is not left.  That does no harm, since nothing goes
 * on after a fault.
 */
bool
saga_jsonata_eval_node(SAGA_JSONATA_EVAL_ARGS)
{
	saga_jsonata_set_nothing(result);
	if (!saga_jsonata_enter(ev))
		return saga_jsonata_failed_at(ev, node);
	if (!dispatch(ev, node, input, frame, result))
		return false;
	if (!is_leaf(node))
	{
		for (int i = 0; i < node->predicates.count; i++)
			if (!saga_jsonata_eval_filter(ev, node->predicates.nodes[i]->children.nodes[0], frame, result))
				return false;
		/* a path makes its groups itself, while it still has tuples */
		if (node->group != NULL && node->kind != SAGA_JN_PATH)
		{
			SagaJsonataValue grouped = *result;

			if (!saga_jsonata_eval_group(ev, node->group, &grouped, frame, result))
				return false;
		}
	}
	if (result->type == SAGA_JV_ARRAY && (result->flags & (SAGA_JV_SEQUENCE | SAGA_JV_TUPLES)) == SAGA_JV_SEQUENCE)
	{
		/* "[]" behind the expression: it stays an array */
		if (node->keep_array)
			result->flags |= SAGA_JV_KEEP;
		saga_jsonata_unwrap(result);
	}
	saga_jsonata_leave(ev);
	return true;
}

/* ---------- compiling ---------- */

/* Blocks that bind variables need a frame; others do without. */
static bool
mark_binds(SagaJsonataNode *node)
{
	bool		binds = node->kind == SAGA_JN_BIND;

	for (int i = 0; i < node->children.count; i++)
		binds |= mark_binds(node->children.nodes[i]);
	for (int i = 0; i < node->predicates.count; i++)
		binds |= mark_binds(node->predicates.nodes[i]);
	for (int i = 0; i < node->stages.count; i++)
		binds |= mark_binds(node->stages.nodes[i]);
	if (node->group != NULL)
		binds |= mark_binds(node->group);
	node->binds = binds;
	return binds;
}

/*
 * Parses and processes a text, and adds the names that are in it to *names.
 * $eval uses it as well, with the names of the evaluation.  The result is NULL
 * after a fault; U1003: the text is too long.
 */
SagaJsonataNode *
saga_jsonata_compile_into(SagaJsonataNames *names, const char *text, int len, SagaJsonataFault *fault)
{
	SagaJsonataScanner scanner = {text, len, 0, names, fault};
	SagaJsonataProcess process = {names, fault};
	SagaJsonataNode *root;

	if (len > SAGA_JSONATA_MAX_SOURCE)
	{
		(void) saga_jsonata_fault_at(fault, 0, "U1003", "the expression is longer than %d bytes", SAGA_JSONATA_MAX_SOURCE);
		return NULL;
	}
	if (!saga_jsonata_parse(&scanner, &root))
		return NULL;
	root = saga_jsonata_process(&process, root);
	if (root == NULL)
		return NULL;
	/* a "%" that goes back further than there are steps */
	if (root->kind == SAGA_JN_PARENT || root->seeking.count > 0)
	{
		(void) saga_jsonata_fault_at(fault, root->position, "S0217",
									 "the object that \"%%\" refers to cannot be derived from this expression");
		return NULL;
	}
	mark_binds(root);
	saga_jsonata_find_builtins(names);
	return root;
}

/*
 * Compiles an expression in CurrentMemoryContext, which has all parts of it:
 * there is no function that frees one.  Evaluations do not change it, so that
 * it can be used any number of times.  NULL: a fault was set.
 */
SagaJsonata *
saga_jsonata_compile(const char *text, int len, SagaJsonataFault *fault)
{
	SagaJsonata *expr = palloc0(sizeof(SagaJsonata));

	expr->text = pnstrdup(text, len);
	expr->len = len;
	expr->names.context = CurrentMemoryContext;
	expr->root = saga_jsonata_compile_into(&expr->names, expr->text, len, fault);
	return expr->root != NULL ? expr : NULL;
}

/* ---------- one evaluation ---------- */

/* What the expression does not name needs no value, unless $eval may name it. */
static void
bind_by_name(SagaJsonataEval *ev, const char *name, int len, const SagaJsonataValue *value)
{
	int			symbol = ev->has_eval ? saga_jsonata_symbol_of(ev->names, name, len) :
	saga_jsonata_symbol_find(ev->names, name, len);

	if (symbol >= 0)
		saga_jsonata_bind(ev, ev->frame, symbol, value);
}

/* What a binding stands for; false: a fault was set. */
static bool
binding_value(SagaJsonataEval *ev, const SagaJsonataBinding *binding, SagaJsonataValue *value)
{
	SagaJsonataObject *object;

	if (binding->value != NULL)
	{
		saga_jsonata_from_jsonb(binding->value, value);
		return true;
	}
	if (binding->part != NULL)
	{
		saga_jsonata_from_json(binding->part, value);
		return true;
	}
	object = saga_jsonata_new_object(ev, binding->nmembers);
	for (int i = 0; i < binding->nmembers; i++)
	{
		const SagaJsonataBinding *member = &binding->members[i];
		SagaJsonataValue inner;

		if (!binding_value(ev, member, &inner) ||
			!saga_jsonata_put(ev, object, member->name, strlen(member->name), &inner))
			return false;
	}
	saga_jsonata_set_object(value, object);
	return true;
}

/*
 * Binds what the caller hands over in the outermost frame: single values
 * first, then the members of a JSON text, which replace those of the same
 * name.  D3137: the text is no object.
 */
static bool
bind_variables(SagaJsonataEval *ev)
{
	const SagaJsonataOptions *options = ev->options;
	SagaJsonataValue value;

	for (int i = 0; i < options->nbindings; i++)
	{
		if (!binding_value(ev, &options->bindings[i], &value))
			return false;
		bind_by_name(ev, options->bindings[i].name, strlen(options->bindings[i].name), &value);
	}
	if (options->variables == NULL)
		return true;
	if (!saga_jsonata_read(ev, options->variables, options->variables_len, &value))
		return false;
	if (value.type != SAGA_JV_OBJECT)
		return saga_jsonata_fail(ev, "D3137", "the variables are no JSON object");
	for (int i = 0; i < value.u.object->count; i++)
	{
		SagaJsonataPair *pair = &value.u.object->pairs[i];

		bind_by_name(ev, pair->name, pair->len, &pair->value);
	}
	return true;
}

/*
 * $eval adds names to those of the expression, which may serve several
 * evaluations at once: then this one has a copy.
 */
static void
own_names(SagaJsonataEval *ev, const SagaJsonata *expr)
{
	SagaJsonataNames *names;

	ev->names = unconstify(SagaJsonataNames *, &expr->names);
	ev->has_eval = saga_jsonata_symbol_find(&expr->names, "eval", 4) >= 0;
	if (!ev->has_eval)
		return;
	names = palloc(sizeof(SagaJsonataNames));
	*names = expr->names;
	names->context = ev->context;
	names->max = names->count + 8;
	names->symbols = palloc(names->max * sizeof(*names->symbols));
	memcpy(names->symbols, expr->names.symbols, names->count * sizeof(*names->symbols));
	ev->names = names;
}

/* The document as the context: one that is an array is the only element of a list. */
static bool
start(SagaJsonataEval *ev, const SagaJsonata *expr, SagaJsonataValue *input)
{
	int			root = saga_jsonata_symbol_find(ev->names, "$", 1);

	ev->root = *input;
	ev->frame = saga_jsonata_frame(ev, NULL, 4);
	if (!bind_variables(ev))
		return false;
	/* "$$" needs no value where nothing can name it */
	if (root < 0 && ev->has_eval)
		root = saga_jsonata_symbol_of(ev->names, "$", 1);
	if (root >= 0)
		saga_jsonata_bind(ev, ev->frame, root, input);
	if (input->type == SAGA_JV_ARRAY)
	{
		if (!saga_jsonata_sequence_of(ev, input, input))
			return false;
		input->flags |= SAGA_JV_WRAPPER;
	}
	return true;
}

/* All memory of the evaluation goes; a fault's message stays. */
static void
finish(SagaJsonataEval *ev, MemoryContext old)
{
	MemoryContextSwitchTo(old);
	if (ev->fault->code[0] != '\0' && ev->fault->message != NULL)
		ev->fault->message = pstrdup(ev->fault->message);
	MemoryContextDelete(ev->context);
}

/*
 * Prepares an evaluation and switches to a memory context of its own.  The
 * result is the context of the caller, for finish().  That is its parent, so
 * that nothing is left behind when the server raises an error in between.
 */
static MemoryContext
begin(SagaJsonataEval *ev, const SagaJsonata *expr, const SagaJsonataOptions *options, SagaJsonataFault *fault)
{
	MemoryContext old;

	memset(ev, 0, sizeof(*ev));
	ev->options = options;
	ev->fault = fault;
	ev->text = expr->text;
	ev->random = options->seed;
	ev->context = AllocSetContextCreate(CurrentMemoryContext, "saga jsonata", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(ev->context);
	saga_jsonata_start_limits(ev);
	own_names(ev, expr);
	return old;
}

/*
 * The code of the fault is looked at in the end, because a comparison that
 * fails says just false, and the expression may have ended before anything was
 * counted.
 */
static bool
evaluate(SagaJsonataEval *ev, const SagaJsonata *expr, SagaJsonataValue *input, SagaJsonataValue *result)
{
	return start(ev, expr, input) && saga_jsonata_eval_node(ev, expr->root, input, ev->frame, result) &&
		ev->fault->code[0] == '\0';
}

/*
 * Evaluates for a jsonb document; NULL: the context is nothing.  *result is in
 * the caller's memory context.  It is NULL, and the answer true, when the
 * expression gives nothing; false: a fault was set.
 */
bool
saga_jsonata_eval(const SagaJsonata *expr, Jsonb *document, const SagaJsonataOptions *options, Jsonb **result,
				  SagaJsonataFault *fault)
{
	SagaJsonataEval ev;
	MemoryContext old = begin(&ev, expr, options, fault);
	SagaJsonataValue input = {0};
	SagaJsonataValue value = {0};
	bool		done;

	*result = NULL;
	if (document != NULL)
		saga_jsonata_from_jsonb(document, &input);
	done = evaluate(&ev, expr, &input, &value);
	if (done && !saga_jsonata_is_nothing(&value))
	{
		*result = saga_jsonata_to_jsonb(&ev, &value, old);
		done = *result != NULL;
	}
	finish(&ev, old);
	return done;
}

/*
 * The same from JSON text to JSON text, which is appended to out.  *defined is
 * false when the expression gives nothing.  After a fault out may have a part
 * of the result, which the caller must not use.
 */
bool
saga_jsonata_eval_json(const SagaJsonata *expr, const char *document, int len, const SagaJsonataOptions *options,
					   StringInfo out, bool *defined, SagaJsonataFault *fault)
{
	SagaJsonataEval ev;
	MemoryContext old = begin(&ev, expr, options, fault);
	SagaJsonataValue input = {0};
	SagaJsonataValue value = {0};
	bool		done;

	done = (document == NULL || saga_jsonata_read(&ev, document, len, &input)) && evaluate(&ev, expr, &input, &value);
	*defined = done && !saga_jsonata_is_nothing(&value);
	if (*defined)
		done = saga_jsonata_append_result(&ev, out, &value) && fault->code[0] == '\0';
	finish(&ev, old);
	return done;
}
