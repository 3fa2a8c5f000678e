/*
 * expression.c
 *		{"body": {"expr": "..."}}: a body by an expression of JSONata.
 *
 * Numbers are exact decimals, and there are functions for amounts and dates.
 * The result depends on the message alone: a body is made anew for each
 * attempt, and must then be the same.  A process that serves all owners makes
 * it, so that work and memory of one are bounded.
 */
#include "postgres.h"

#include "endpoint/encoding_private.h"
#include "endpoint/expression_private.h"
#include "jsonata/jsonata.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"
#include "value/value.h"

/* A quarter of a second's work; the clock is for a machine that is far too slow for that. */
#define MAX_STEPS			5000000
#define MAX_MILLISECONDS	30000
#define MAX_BYTES			((Size) 256 * 1024 * 1024)

struct SagaExpression
{
	char	   *text;			/* UTF-8 */
	SagaJsonata *compiled;
};

static const SagaJsonataOptions options = {
	.decimal = true,
	.money = true,
	.immutable = true,
	.limits = {.steps = MAX_STEPS, .milliseconds = MAX_MILLISECONDS, .bytes = MAX_BYTES}
};

/* "T2001: the left side of "+" must be a number at character 3" */
static char *
fault_text(const char *text, const SagaJsonataFault *fault)
{
	const char *message = fault->message;
	int			len = strlen(message);
	int			characters = 0;

	if (!saga_endpoint_from_utf8(message, len, &message, &len))
		message = "it cannot be told in the encoding of the database";
	if (fault->position < 0)
		return psprintf("%s: %s", fault->code, message);
	for (int i = 0; i < fault->position && text[i] != '\0'; i++)
		characters += (text[i] & 0xc0) != 0x80;
	return psprintf("%s: %s at character %d", fault->code, message, characters + 1);
}

SagaExpression *
saga_endpoint_expression_compile(const char *text, char **error)
{
	SagaExpression *expression = palloc(sizeof(SagaExpression));
	SagaJsonataFault fault = {{0}};
	const char *utf8;
	int			len;

	*error = NULL;
	if (!saga_endpoint_to_utf8(text, strlen(text), &utf8, &len))
	{
		*error = pstrdup("the text cannot be written in UTF-8");
		return NULL;
	}
	expression->text = pnstrdup(utf8, len);
	expression->compiled = saga_jsonata_compile(expression->text, len, &fault);
	if (expression->compiled != NULL && saga_jsonata_check(expression->compiled, &options, &fault))
		return expression;
	*error = fault_text(expression->text, &fault);
	return NULL;
}

/*
 * For databases in another encoding: message and result are JSON text in
 * between.  False without a fault: a character is missing in one of the two.
 */
static bool
eval_converted(const SagaExpression *expression, Jsonb *message, Jsonb **result, SagaJsonataFault *fault)
{
	StringInfoData out;
	const char *text = NULL;
	int			len = 0;
	bool		defined;

	if (message != NULL)
	{
		text = JsonbToCString(NULL, &message->root, VARSIZE(message));
		if (!saga_endpoint_to_utf8(text, strlen(text), &text, &len))
			return false;
	}
	initStringInfo(&out);
	if (!saga_jsonata_eval_json(expression->compiled, text, len, &options, &out, &defined, fault))
		return false;
	if (!defined)
		return true;
	if (!saga_endpoint_from_utf8(out.data, out.len, &text, &len))
		return false;
	*result = saga_jsonb_parse(text, len);
	return *result != NULL;
}

bool
saga_endpoint_expression_eval(const SagaExpression *expression, Jsonb *message, Jsonb **result, char **error)
{
	SagaJsonataFault fault = {{0}};

	*result = NULL;
	*error = NULL;
	if (GetDatabaseEncoding() == PG_UTF8 ? saga_jsonata_eval(expression->compiled, message, &options, result, &fault) :
		eval_converted(expression, message, result, &fault))
		return true;
	*error = fault.code[0] != '\0' ? fault_text(expression->text, &fault) :
		pstrdup("a character of the message or the result is missing in UTF-8 or in the encoding of the database");
	return false;
}
