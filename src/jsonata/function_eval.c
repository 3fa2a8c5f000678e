/*
 * function_eval.c
 *		$eval: an expression that is a text of another one.
 *
 * It is compiled and evaluated within the same limits, and its faults say
 * that they come from there.  A limit that is exceeded stays what it is.
 */
#include "postgres.h"

#include "jsonata/function_private.h"

/*
 * Turns a fault into one of $eval's: its code becomes a part of the message,
 * and the position, which would be one in the inner text, is left to the
 * caller.  Limits (U..., D1012) keep their codes, because they end the
 * evaluation as a whole.
 */
static bool
fail_within(SagaJsonataCall *call, const char *code, const char *what)
{
	SagaJsonataFault *fault = call->ev->fault;

	if (fault->code[0] != 'U' && strcmp(fault->code, "D1012") != 0)
	{
		fault->message = psprintf("%s: %s: %s", what, fault->code, fault->message);
		strlcpy(fault->code, code, sizeof(fault->code));
	}
	fault->position = -1;
	return saga_jsonata_fail(call->ev, code, "%s", what);
}

/*
 * The context is the second argument, or else that of the call.  Variables are
 * those that the call itself sees.  D3120: the text cannot be compiled; D3121:
 * it fails.
 */
bool
saga_jsonata_fn_eval(SagaJsonataCall *call)
{
	SagaJsonataEval *ev = call->ev;
	SagaJsonataValue *text = &call->args[0];
	SagaJsonataValue input = {0};
	SagaJsonataNode *root;
	const char *outer = ev->text;
	bool		done;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	/* a tree takes some hundred bytes for one of the text */
	if (!saga_jsonata_enter(ev) || !saga_jsonata_spend(ev, text->count * 2))
		return false;
	if (call->input != NULL)
		input = *call->input;
	if (!saga_jsonata_is_nothing(&call->args[1]))
	{
		input = call->args[1];
		/* an array is one value for the first step, as a document is */
		if (input.type == SAGA_JV_ARRAY && (input.flags & SAGA_JV_SEQUENCE) == 0)
		{
			if (!saga_jsonata_sequence_of(ev, &input, &input))
				return false;
			input.flags |= SAGA_JV_WRAPPER;
		}
	}
	root = saga_jsonata_compile_into(ev->names, text->u.string, text->count, ev->fault);
	if (root == NULL)
		return fail_within(call, "D3120", "the text given to $eval is no expression");
	/* positions in the inner text say nothing about the outer one */
	ev->text = NULL;
	done = saga_jsonata_eval_node(ev, root, &input, call->frame, call->result) && ev->fault->code[0] == '\0';
	ev->text = outer;
	if (!done)
		return fail_within(call, "D3121", "the expression given to $eval failed");
	saga_jsonata_leave(ev);
	return true;
}
