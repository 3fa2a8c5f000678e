/*
 * call.c
 *		Functions: how they are made, partially applied, chained and called.
 *
 * A call that is the last thing a function does comes back as a thunk, and
 * saga_jsonata_apply makes it in a loop: such a recursion needs no stack.
 */
#include "postgres.h"

#include "jsonata/jsonata_private.h"

/*
 * Makes a function, and a value of it in *result.  It lives until the end of
 * the evaluation.  A lambda has only the members before "builtin", as each
 * tail call makes one: nothing may touch the others.
 */
static SagaJsonataFunction *
new_function(SagaJsonataEval *ev, SagaJsonataFunctionKind kind, SagaJsonataValue *result)
{
	Size		size = kind == SAGA_JF_LAMBDA ? offsetof(SagaJsonataFunction, builtin) : sizeof(SagaJsonataFunction);
	SagaJsonataFunction *f = saga_jsonata_alloc(ev, size);

	memset(f, 0, size);
	f->kind = kind;
	saga_jsonata_set_nothing(result);
	result->type = SAGA_JV_FUNCTION;
	result->u.function = f;
	return f;
}

/*
 * Makes a closure: the body and the parameters, the frame in which other names
 * are looked up, and the context that "$" is within the body.  Both are those
 * of the place where the lambda is written, whoever calls it.  A thunk is made
 * in the same way, and has a call as its body.
 */
bool
saga_jsonata_eval_lambda(SAGA_JSONATA_EVAL_ARGS)
{
	SagaJsonataFunction *f = new_function(ev, SAGA_JF_LAMBDA, result);

	f->thunk = node->thunk;
	f->node = node->children.nodes[node->children.count - 1];
	f->frame = frame;
	f->input = *input;
	f->signature = node->signature;
	f->nparams = f->arity = node->children.count - 1;
	if (f->nparams > 0)
	{
		f->params = saga_jsonata_alloc(ev, f->nparams * sizeof(int));
		for (int i = 0; i < f->nparams; i++)
			f->params[i] = node->children.nodes[i]->symbol;
	}
	return saga_jsonata_tick(ev);
}

/*
 * What a message calls the function: "$name", or the name of the step in its
 * place, or "a function" where there is no name.  procedure is the node that
 * gave the function; NULL: not known.
 */
static const char *
name_of(const SagaJsonataNode *procedure)
{
	const SagaJsonataNode *named = procedure;

	if (procedure == NULL)
		return "a function";
	if (procedure->kind == SAGA_JN_PATH)
		named = procedure->children.nodes[0];
	if (named->kind == SAGA_JN_VARIABLE)
		return psprintf("$%.*s", named->value.count, named->value.u.string);
	if (named->kind == SAGA_JN_NAME)
		return psprintf("%.*s", named->value.count, named->value.u.string);
	return "a function";
}

/* A value is called that is no function: a fault that names it where it has a name. */
static const char *
no_function(const SagaJsonataNode *procedure)
{
	const char *name = name_of(procedure);

	return psprintf("%s is no function", strcmp(name, "a function") == 0 ? "what is called" : name);
}

/* ---------- calling ---------- */

/*
 * The parent of the new frame is the frame of the closure, not that of the
 * caller.  An argument that is missing is bound to nothing, so that it hides a
 * variable of that name further out; arguments without a parameter are
 * ignored.
 */
static bool
apply_lambda(SagaJsonataEval *ev, const SagaJsonataFunction *f, const SagaJsonataValue *args, int nargs,
			 SagaJsonataValue *result)
{
	SagaJsonataFrame *frame = saga_jsonata_frame(ev, f->frame, f->nparams);
	SagaJsonataValue nothing = {0};

	for (int i = 0; i < f->nparams; i++)
		saga_jsonata_bind(ev, frame, f->params[i], i < nargs ? &args[i] : &nothing);
	return saga_jsonata_eval_node(ev, f->node, &f->input, frame, result);
}

/*
 * Calls a builtin some of whose arguments were given before.  f->bound has all
 * of them in their order, f->params the places that were left open.  They are
 * filled in a copy, because f may be called again.  The signature is checked
 * only now, when the list is complete.
 */
static bool
apply_partial(SagaJsonataEval *ev, const SagaJsonataFunction *f, const SagaJsonataValue *args, int nargs,
			  const SagaJsonataValue *input, SagaJsonataFrame *frame, SagaJsonataValue *result)
{
	SagaJsonataValue *all = saga_jsonata_alloc(ev, (f->nbound + 1) * sizeof(SagaJsonataValue));

	if (f->nbound > 0)
		memcpy(all, f->bound, f->nbound * sizeof(SagaJsonataValue));
	for (int i = 0; i < f->nparams && i < nargs; i++)
		all[f->params[i]] = args[i];
	return saga_jsonata_builtin_call(ev, f->builtin, all, f->nbound, input, frame, result);
}

/*
 * Calls f ~> g: g gets what f makes of the first argument.  A chain can
 * consist of chains, so that it counts as a level.
 */
static bool
apply_chain(SagaJsonataEval *ev, const SagaJsonataFunction *f, const SagaJsonataValue *args, int nargs,
			SagaJsonataFrame *frame, SagaJsonataValue *result)
{
	SagaJsonataValue between = {0};

	if (!saga_jsonata_enter(ev))
		return false;
	if (!saga_jsonata_apply(ev, &f->bound[0], NULL, args, Min(nargs, 1), NULL, frame, &between) ||
		!saga_jsonata_apply(ev, &f->bound[1], NULL, &between, 1, NULL, frame, result))
		return false;
	saga_jsonata_leave(ev);
	return true;
}

/*
 * Makes one call, like the reference's applyInner().  The result may be a
 * thunk, which saga_jsonata_apply goes on with.  What is no function is the
 * fault T1006, in which procedure gives the name.
 */
static bool
apply_once(SagaJsonataEval *ev, const SagaJsonataValue *function, const SagaJsonataNode *procedure, const SagaJsonataValue *args, int nargs,
		   const SagaJsonataValue *input, SagaJsonataFrame *frame, SagaJsonataValue *result)
{
	const SagaJsonataFunction *f;
	SagaJsonataValue *valid = unconstify(SagaJsonataValue *, args);

	saga_jsonata_set_nothing(result);
	if (function->type != SAGA_JV_FUNCTION)
		return saga_jsonata_fail(ev, "T1006", "%s", no_function(procedure));
	f = function->u.function;

	/*
	 * Signatures may take a missing argument from the context.  A function
	 * that was handed over as an argument is not given one.
	 */
	if (function->flags & SAGA_JV_CLOSURE)
		input = NULL;
	/* it checks its arguments itself */
	if (f->kind == SAGA_JF_BUILTIN)
		return saga_jsonata_builtin_call(ev, f->builtin, valid, nargs, input, frame, result);
	if (f->signature != NULL &&
		!saga_jsonata_signature_validate(ev, f->signature, name_of(procedure), args, nargs, input, &valid, &nargs))
		return false;
	switch (f->kind)
	{
		case SAGA_JF_LAMBDA:
			return apply_lambda(ev, f, valid, nargs, result);
		case SAGA_JF_PARTIAL:
			return apply_partial(ev, f, valid, nargs, input, frame, result);
		case SAGA_JF_CHAIN:
			return apply_chain(ev, f, valid, nargs, frame, result);
		case SAGA_JF_TRANSFORM:
			return saga_jsonata_transform(ev, f, &valid[0], result);
		default:
			return saga_jsonata_regex_call(ev, f, valid, nargs, result);
	}
}

/* Values of the arguments of a call; functions among them do not see the context of their own calls. */
static bool
eval_arguments(SagaJsonataEval *ev, const SagaJsonataNode *node, const SagaJsonataValue *input, SagaJsonataFrame *frame,
			   SagaJsonataValue *args)
{
	for (int i = 1; i < node->children.count; i++)
	{
		SagaJsonataValue *arg = &args[i - 1];

		if (!saga_jsonata_eval_node(ev, node->children.nodes[i], input, frame, arg))
			return false;
		if (arg->type == SAGA_JV_FUNCTION)
			arg->flags |= SAGA_JV_CLOSURE;
	}
	return true;
}

/* Is it a call that is still to be made, rather than a value? */
static bool
is_thunk(const SagaJsonataValue *v)
{
	return v->type == SAGA_JV_FUNCTION && v->u.function->thunk;
}

/*
 * Calls a function, and then what its result asks to be called, until there is
 * a value.  As this is a loop, tail calls need neither stack nor levels: an
 * endless recursion ends when steps or memory run out.
 */
bool
saga_jsonata_apply(SagaJsonataEval *ev, const SagaJsonataValue *function, const SagaJsonataNode *procedure,
				   const SagaJsonataValue *args, int nargs, const SagaJsonataValue *input, SagaJsonataFrame *frame, SagaJsonataValue *result)
{
	if (!apply_once(ev, function, procedure, args, nargs, input, frame, result))
		return false;
	while (is_thunk(result))
	{
		const SagaJsonataFunction *thunk = result->u.function;
		const SagaJsonataNode *call = thunk->node;
		SagaJsonataValue next;
		SagaJsonataValue *values;
		int			n = call->children.count - 1;

		/*
		 * all parts of the call are evaluated in the frame in which it is
		 * written
		 */
		if (!saga_jsonata_eval_node(ev, call->children.nodes[0], &thunk->input, thunk->frame, &next))
			return false;
		values = saga_jsonata_alloc(ev, (n + 1) * sizeof(SagaJsonataValue));
		if (!eval_arguments(ev, call, &thunk->input, thunk->frame, values))
			return false;
		if (!apply_once(ev, &next, call->children.nodes[0], values, n, &thunk->input, frame, result))
			return saga_jsonata_failed_at(ev, call);
	}
	return true;
}

/* Would the name of a step be one of a function, with a "$" before it? */
static bool
forgot_dollar(SagaJsonataEval *ev, const SagaJsonataNode *procedure, SagaJsonataFrame *frame)
{
	const SagaJsonataNode *step;
	SagaJsonataValue value;
	int			symbol;

	if (procedure->kind != SAGA_JN_PATH)
		return false;
	step = procedure->children.nodes[0];
	if (step->kind != SAGA_JN_NAME)
		return false;
	symbol = saga_jsonata_symbol_find(ev->names, step->value.u.string, step->value.count);
	if (symbol < 0)
		return saga_jsonata_builtin_find(step->value.u.string, step->value.count) != NULL;
	saga_jsonata_variable(ev, frame, symbol, &value);
	return !saga_jsonata_is_nothing(&value);
}

/*
 * The reference's evaluateFunction().  applied is the left side of "~>", which
 * becomes the first argument; NULL: there is none.  The function is evaluated
 * before its arguments.
 */
static bool
eval_call(SagaJsonataEval *ev, const SagaJsonataNode *node, const SagaJsonataValue *input, SagaJsonataFrame *frame,
		  const SagaJsonataValue *applied, SagaJsonataValue *result)
{
	const SagaJsonataNode *procedure = node->children.nodes[0];
	SagaJsonataValue function;
	SagaJsonataValue few[4];
	SagaJsonataValue *args = few;
	int			first = applied != NULL ? 1 : 0;
	int			n = node->children.count - 1 + first;

	if (!saga_jsonata_eval_node(ev, procedure, input, frame, &function))
		return false;
	if (saga_jsonata_is_nothing(&function) && forgot_dollar(ev, procedure, frame))
		return saga_jsonata_fail_at(ev, node, "T1005", "%s is no function; is $%s meant?", name_of(procedure), name_of(procedure));
	/* most calls have few arguments, and take no memory for them */
	if (n > lengthof(few))
	{
		if (!saga_jsonata_has_room(ev, n, sizeof(SagaJsonataValue)))
			return false;
		args = saga_jsonata_alloc(ev, n * sizeof(SagaJsonataValue));
	}
	if (applied != NULL)
		args[0] = *applied;
	if (!eval_arguments(ev, node, input, frame, args + first))
		return false;
	if (!saga_jsonata_spend(ev, 4))
		return false;
	return saga_jsonata_apply(ev, &function, procedure, args, n, input, frame, result) || saga_jsonata_failed_at(ev, node);
}

bool
saga_jsonata_eval_call(SAGA_JSONATA_EVAL_ARGS)
{
	return eval_call(ev, node, input, frame, NULL, result);
}

/* ---------- f(?, x) ---------- */

/* Is it the "?" of an argument that is left open? */
static bool
is_placeholder(const SagaJsonataNode *node)
{
	return node->kind == SAGA_JN_OPERATOR && node->op == '?';
}

/*
 * Makes a lambda of the parameters that are left open.  The others are bound
 * in a frame between that of the closure and those of later calls; the ones
 * that are not written at all are bound to nothing.  The new lambda has no
 * signature, as that of f describes the whole list.
 */
static void
partial_lambda(SagaJsonataEval *ev, const SagaJsonataNode *node, const SagaJsonataFunction *f, const SagaJsonataValue *args,
			   SagaJsonataValue *result)
{
	SagaJsonataFunction *partial = new_function(ev, SAGA_JF_LAMBDA, result);
	SagaJsonataValue nothing = {0};

	partial->node = f->node;
	partial->input = f->input;
	partial->frame = saga_jsonata_frame(ev, f->frame, f->nparams);
	partial->params = saga_jsonata_alloc(ev, (f->nparams + 1) * sizeof(int));
	for (int i = 0; i < f->nparams; i++)
	{
		bool		given = i + 1 < node->children.count;

		if (given && is_placeholder(node->children.nodes[i + 1]))
			partial->params[partial->nparams++] = f->params[i];
		else
			saga_jsonata_bind(ev, partial->frame, f->params[i], given ? &args[i] : &nothing);
	}
	partial->arity = partial->nparams;
}

/*
 * Makes a PARTIAL of a builtin: bound has a place for each argument that is
 * written, params says which of the places are open.  When f is a PARTIAL
 * already, the arguments go to the places that are open in it.  f itself stays
 * as it is.
 */
static void
partial_builtin(SagaJsonataEval *ev, const SagaJsonataNode *node, const SagaJsonataFunction *f, const SagaJsonataValue *args,
				SagaJsonataValue *result)
{
	SagaJsonataFunction *partial = new_function(ev, SAGA_JF_PARTIAL, result);
	int			nargs = node->children.count - 1;
	int			places = f->kind == SAGA_JF_PARTIAL ? f->nparams : nargs;

	partial->builtin = f->builtin;
	partial->nbound = f->kind == SAGA_JF_PARTIAL ? f->nbound : nargs;
	partial->bound = saga_jsonata_alloc(ev, (partial->nbound + 1) * sizeof(SagaJsonataValue));
	partial->params = saga_jsonata_alloc(ev, (places + 1) * sizeof(int));
	if (f->kind == SAGA_JF_PARTIAL)
		memcpy(partial->bound, f->bound, f->nbound * sizeof(SagaJsonataValue));
	else
		memset(partial->bound, 0, (nargs + 1) * sizeof(SagaJsonataValue));
	for (int i = 0; i < places && i < nargs; i++)
	{
		int			place = f->kind == SAGA_JF_PARTIAL ? f->params[i] : i;

		if (is_placeholder(node->children.nodes[i + 1]))
			partial->params[partial->nparams++] = place;
		else
			partial->bound[place] = args[i];
	}
	partial->arity = partial->nparams;
}

/*
 * f(?, x).  The arguments are evaluated before the function, unlike in a call:
 * the order decides which of two faults is reported.
 */
bool
saga_jsonata_eval_partial(SAGA_JSONATA_EVAL_ARGS)
{
	const SagaJsonataNode *procedure = node->children.nodes[0];
	int			n = node->children.count - 1;
	SagaJsonataValue *args;
	SagaJsonataValue function;
	const SagaJsonataFunction *f;

	if (!saga_jsonata_has_room(ev, n, sizeof(SagaJsonataValue)))
		return false;
	args = saga_jsonata_alloc(ev, (n + 1) * sizeof(SagaJsonataValue));
	for (int i = 0; i < n; i++)
	{
		saga_jsonata_set_nothing(&args[i]);
		if (!is_placeholder(node->children.nodes[i + 1]) &&
			!saga_jsonata_eval_node(ev, node->children.nodes[i + 1], input, frame, &args[i]))
			return false;
	}
	if (!saga_jsonata_eval_node(ev, procedure, input, frame, &function))
		return false;
	if (saga_jsonata_is_nothing(&function) && forgot_dollar(ev, procedure, frame))
		return saga_jsonata_fail_at(ev, node, "T1007", "%s is no function; is $%s meant?", name_of(procedure), name_of(procedure));
	f = function.type == SAGA_JV_FUNCTION ? function.u.function : NULL;
	if (f != NULL && f->kind == SAGA_JF_LAMBDA)
		partial_lambda(ev, node, f, args, result);
	else if (f != NULL && (f->kind == SAGA_JF_BUILTIN || f->kind == SAGA_JF_PARTIAL))
		partial_builtin(ev, node, f, args, result);
	/* f(?) of a chain, for example: it takes one argument, as f does */
	else if (f != NULL && n == 1)
		*result = function;
	else
		return saga_jsonata_fail_at(ev, node, "T1008", "%s", no_function(procedure));
	return true;
}

/* ---------- a ~> f ---------- */

/*
 * a ~> f.  When f is written as a call, a becomes the first of its arguments.
 * When a is a function itself, the two become one function, a chain.  In all
 * other cases f is called with a; T2006: f is no function.
 */
bool
saga_jsonata_eval_apply(SAGA_JSONATA_EVAL_ARGS)
{
	const SagaJsonataNode *right = node->children.nodes[1];
	SagaJsonataValue left,
				function;

	if (!saga_jsonata_eval_node(ev, node->children.nodes[0], input, frame, &left))
		return false;
	if (right->kind == SAGA_JN_CALL)
		return eval_call(ev, right, input, frame, &left, result);
	if (!saga_jsonata_eval_node(ev, right, input, frame, &function))
		return false;
	if (function.type != SAGA_JV_FUNCTION)
		return saga_jsonata_fail_at(ev, node, "T2006", "the right side of \"~>\" must be a function");
	if (left.type == SAGA_JV_FUNCTION)
	{
		SagaJsonataFunction *chain = new_function(ev, SAGA_JF_CHAIN, result);

		chain->arity = 1;
		chain->bound = saga_jsonata_alloc(ev, 2 * sizeof(SagaJsonataValue));
		chain->bound[0] = left;
		chain->bound[1] = function;
		return saga_jsonata_tick(ev);
	}
	return saga_jsonata_apply(ev, &function, right, &left, 1, NULL, frame, result) ||
		saga_jsonata_failed_at(ev, node);
}
