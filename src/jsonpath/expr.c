/*
 * expr.c
 *		The value of a ".$" member: a path or a call of an intrinsic function.
 *
 *		call: 'States.' name '(' [arg (',' arg)*] ')'
 *		arg:  path | call | 'text' | number | true | false | null
 *
 * Parsing and evaluation share nothing but SagaExpr: begin reading with
 * saga_expr_parse and saga_expr_value.  An expression is parsed once, when a
 * definition is saved or loaded, and knows by then which function it calls
 * and that the number of arguments is right; types are looked at by the
 * functions themselves.  The text of a call is kept for the messages of its
 * failure.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/builtins.h"

#include "jsonpath/jsonpath_private.h"

#define PREFIX	"States."

static SagaExpr *scan_call(SagaScanner *s);

/* ---------- parsing ---------- */

/*
 * Text in single quotes.  Only \' \{ \} and \\ are escapes.  The text as it
 * is written is kept as well: States.Format tells "{}" from "\{\}".
 */
static bool
scan_text(SagaScanner *s, SagaExpr *expr)
{
	StringInfoData buf;
	const char *start = ++s->pos;

	initStringInfo(&buf);
	for (; *s->pos != '\''; s->pos++)
	{
		if (*s->pos == '\0')
			return saga_scan_error(s, "the text has no closing quote");
		if (*s->pos == '\\')
		{
			s->pos++;
			if (*s->pos == '\0' || strchr("'{}\\", *s->pos) == NULL)
				return saga_scan_error(s, "only \\', \\{, \\} and \\\\ can be escaped");
		}
		appendStringInfoChar(&buf, *s->pos);
	}
	expr->kind = SAGA_EXPR_LITERAL;
	expr->raw = pnstrdup(start, s->pos - start);
	expr->raw_len = s->pos - start;
	saga_value_set_string(&expr->literal, buf.data, buf.len);
	s->pos++;
	return true;
}

/*
 * Anything that begins none of the other arguments comes here, so that the
 * message names all that could stand there.
 */
static bool
scan_number(SagaScanner *s, SagaExpr *expr)
{
	int			len = saga_number_length(s->pos);

	if (len == 0)
		return saga_scan_error(s, "a path, a text in single quotes, a number or a function was expected");
	expr->kind = SAGA_EXPR_LITERAL;
	expr->literal.type = jbvNumeric;
	if (!saga_numeric_parse(s->pos, len, &expr->literal.val.numeric))
		return saga_scan_error(s, "the number is too large");
	s->pos += len;
	return true;
}

/*
 * Reads an argument, or the expression as a whole.  Calls can be nested down
 * to SAGA_MAX_NESTING, which scan_call() counts.
 */
static SagaExpr *
scan_arg(SagaScanner *s)
{
	SagaExpr   *expr;
	bool		ok = true;

	saga_scan_blanks(s);
	if (strncmp(s->pos, PREFIX, strlen(PREFIX)) == 0)
		return scan_call(s);

	expr = palloc0(sizeof(SagaExpr));
	if (*s->pos == '$')
	{
		expr->kind = SAGA_EXPR_PATH;
		expr->path = saga_path_scan(s);
		ok = expr->path != NULL;
	}
	else if (*s->pos == '\'')
		ok = scan_text(s, expr);
	else if (saga_scan_word(s, "null"))
	{
		expr->kind = SAGA_EXPR_LITERAL;
		expr->literal.type = jbvNull;
	}
	else if (saga_scan_word(s, "true") || saga_scan_word(s, "false"))
	{
		expr->kind = SAGA_EXPR_LITERAL;
		expr->literal.type = jbvBool;
		/* "true" and "false" differ in the last letter but one */
		expr->literal.val.boolean = s->pos[-2] == 'u';
	}
	else
		ok = scan_number(s, expr);
	return ok ? expr : NULL;
}

/* Reads the arguments behind "(", the closing one included. */
static bool
scan_args(SagaScanner *s, SagaExpr *expr)
{
	int			max = 4;

	expr->args = palloc(max * sizeof(SagaExpr *));
	saga_scan_blanks(s);
	if (saga_scan_word(s, ")"))
		return true;
	for (;;)
	{
		SagaExpr   *arg = scan_arg(s);

		if (arg == NULL)
			return false;
		if (expr->nargs == max)
		{
			max *= 2;
			expr->args = repalloc(expr->args, max * sizeof(SagaExpr *));
		}
		expr->args[expr->nargs++] = arg;
		saga_scan_blanks(s);
		if (saga_scan_word(s, ")"))
			return true;
		if (!saga_scan_word(s, ","))
			return saga_scan_error(s, "\",\" or \")\" was expected");
	}
}

/* The message ends with a comma, since the scanner adds the position. */
static bool
check_arg_count(SagaScanner *s, const SagaExpr *expr)
{
	const SagaIntrinsic *f = expr->intrinsic;

	if (expr->nargs >= f->min_args && (f->max_args < 0 || expr->nargs <= f->max_args))
		return true;
	if (f->max_args < 0)
		return saga_scan_error(s, "wrong number of arguments for States.%s: %d, but it takes at least %d,",
							   f->name, expr->nargs, f->min_args);
	if (f->min_args == f->max_args)
		return saga_scan_error(s, "wrong number of arguments for States.%s: %d, but it takes %d,",
							   f->name, expr->nargs, f->min_args);
	return saga_scan_error(s, "wrong number of arguments for States.%s: %d, but it takes %d to %d,",
						   f->name, expr->nargs, f->min_args, f->max_args);
}

/*
 * Reads a call at "States.".  The nesting is not counted down on errors,
 * since nothing is read after one.
 */
static SagaExpr *
scan_call(SagaScanner *s)
{
	SagaExpr   *expr = palloc0(sizeof(SagaExpr));
	const char *start = s->pos;
	int			len;

	if (++s->nesting > SAGA_MAX_NESTING)
	{
		saga_scan_error(s, "nested too deep");
		return NULL;
	}
	s->pos += strlen(PREFIX);
	len = strspn(s->pos, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
	expr->kind = SAGA_EXPR_CALL;
	expr->intrinsic = saga_intrinsic_find(s->pos, len);
	if (expr->intrinsic == NULL)
	{
		saga_scan_error(s, "there is no intrinsic function \"States.%.*s\"", len, s->pos);
		return NULL;
	}
	s->pos += len;
	saga_scan_blanks(s);
	if (!saga_scan_word(s, "("))
	{
		saga_scan_error(s, "\"(\" was expected");
		return NULL;
	}
	if (!scan_args(s, expr) || !check_arg_count(s, expr))
		return NULL;
	expr->text = pnstrdup(start, s->pos - start);
	s->nesting--;
	return expr;
}

/*
 * NULL and *error when the whole text is no expression.  Blanks may stand
 * behind a call, not behind a path.
 */
SagaExpr *
saga_expr_parse(const char *text, char **error)
{
	SagaScanner s = {.text = text, .pos = text};
	SagaExpr   *expr = NULL;

	if (*text == '$' || strncmp(text, PREFIX, strlen(PREFIX)) == 0)
		expr = scan_arg(&s);
	else
		saga_scan_error(&s, "a path or a call of an intrinsic function was expected");
	if (expr != NULL && expr->kind == SAGA_EXPR_CALL)
		saga_scan_blanks(&s);
	if (expr != NULL && *s.pos != '\0')
		saga_scan_error(&s, "the expression ends before this character");
	*error = s.error;
	return s.error == NULL ? expr : NULL;
}

/* ---------- evaluation ---------- */

/* The fault of a path argument that leads nowhere, in AWS's words. */
static bool
arg_missing(const SagaExpr *call, const SagaPath *path, const SagaScope *scope, SagaFault *fault)
{
	return saga_fault(fault, "States.Runtime",
					  "The function '%s' had the following error: The JsonPath argument for the field '%s' could not be found in the input '%s'",
					  call->text, path->text, saga_path_input(path, scope));
}

/*
 * What calls give stays until the end of the evaluation, and a template of a
 * hundred kilobytes can have thousands of them, each with a large result.
 */
#define MAX_MEMORY	((Size) 512 * 1024 * 1024)

/*
 * Looked at before each part is evaluated; the limit may be passed by what a
 * single part takes.
 */
static bool
has_memory(SagaFault *fault)
{
	return MemoryContextMemAllocated(CurrentMemoryContext, false) < MAX_MEMORY ||
		saga_fault(fault, "States.DataLimitExceeded", "The evaluation takes more than %zu bytes of memory.", MAX_MEMORY);
}

/*
 * Evaluates the arguments from left to right and calls the function.  The
 * arguments may point into the scope's documents, the result into the
 * arguments.
 */
static bool
call_value(const SagaExpr *expr, const SagaScope *scope, JsonbValue *result, SagaFault *fault)
{
	JsonbValue *args = palloc(Max(expr->nargs, 1) * sizeof(JsonbValue));
	SagaCall	call;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();

	if (!has_memory(fault))
		return false;
	for (int i = 0; i < expr->nargs; i++)
	{
		const SagaExpr *arg = expr->args[i];
		SagaFound	found;

		switch (arg->kind)
		{
			case SAGA_EXPR_LITERAL:
				args[i] = arg->literal;
				break;
			case SAGA_EXPR_CALL:
				if (!call_value(arg, scope, &args[i], fault))
					return false;
				break;
			case SAGA_EXPR_PATH:
				found = saga_path_value(arg->path, scope, &args[i], fault);
				if (found == SAGA_MISSING)
					return arg_missing(expr, arg->path, scope, fault);
				if (found == SAGA_FAULT)
					return false;
				break;
		}
	}
	call.expr = expr;
	call.scope = scope;
	call.args = args;
	call.nargs = expr->nargs;
	call.result = result;
	call.fault = fault;
	return expr->intrinsic->eval(&call);
}

/*
 * False and a fault when there is no value.  *result may point into the
 * scope's documents: it is valid as long as these.
 */
bool
saga_expr_value(const SagaExpr *expr, const char *field, const SagaScope *scope,
				JsonbValue *result, SagaFault *fault)
{
	SagaFound	found;

	if (expr->kind == SAGA_EXPR_CALL)
		return call_value(expr, scope, result, fault);
	if (!has_memory(fault))
		return false;
	found = saga_path_value(expr->path, scope, result, fault);
	if (found == SAGA_MISSING)
		return saga_path_missing(expr->path, field, scope, fault);
	return found == SAGA_FOUND;
}

/*
 * As saga_expr_value, but makes a jsonb of it; a plain "$" is the document
 * itself.
 */
Jsonb *
saga_expr_eval(const SagaExpr *expr, const SagaScope *scope, SagaFault *fault)
{
	JsonbValue	v;

	if (expr->kind == SAGA_EXPR_PATH)
		return saga_path_eval(expr->path, scope, fault);
	if (!call_value(expr, scope, &v, fault))
		return NULL;
	return saga_value_flatten(&v, fault);
}
