/*
 * jsonpath_sql.c
 *		SQL functions that evaluate a single path, template or rule.  They
 *		make a person's experiments, and our tests, independent of a machine.
 *
 * A fault becomes an error here, with its name in the message and its cause
 * as detail: in a workflow Retry and Catch would see it.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "jsonpath/jsonpath.h"

PG_FUNCTION_INFO_V1(saga_eval_path);
PG_FUNCTION_INFO_V1(saga_eval_template);
PG_FUNCTION_INFO_V1(saga_eval_choice);
PG_FUNCTION_INFO_V1(saga_eval_result_path);

/* Raises when the system has no random bits to give. */
static uint64
random_bits(void *arg)
{
	uint64		bits;

	if (!pg_strong_random(&bits, sizeof(bits)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	return bits;
}

/*
 * The scope's callback for "$$", when the context was passed as an argument;
 * NULL: none.
 */
static Jsonb *
given_context(void *arg, const JsonbValue *member)
{
	return arg;
}

/* The arguments after the first; false if there is no input. */
static bool
get_scope(FunctionCallInfo fcinfo, SagaScope *scope)
{
	memset(scope, 0, sizeof(*scope));
	scope->random = random_bits;
	scope->context = given_context;
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		return false;
	scope->data = PG_GETARG_JSONB_P(1);
	if (!PG_ARGISNULL(2))
		scope->context_arg = PG_GETARG_JSONB_P(2);
	if (!PG_ARGISNULL(3))
		scope->variables = PG_GETARG_JSONB_P(3);
	return true;
}

/* Raises; location is a JSON pointer, or NULL where there is only one text. */
static void
report_parse_error(const char *what, const char *error, const char *location)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid %s", what),
			 location == NULL ? errdetail("%s.", error) :
			 errdetail("At \"%s\": %s.", location, error)));
}

/* Raises if there is a fault, else does nothing. */
static void
report_fault(const SagaFault *fault)
{
	if (fault->error != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("evaluation failed with %s", fault->error),
				 errdetail("%s", fault->cause)));
}

/*
 * saga.eval_path(path, input, context, variables): a path or a call, as the
 * value of a ".$" member.
 */
Datum
saga_eval_path(PG_FUNCTION_ARGS)
{
	SagaScope	scope;
	SagaFault	fault = {0};
	SagaExpr   *expr;
	Jsonb	   *result;
	char	   *error;

	if (!get_scope(fcinfo, &scope))
		PG_RETURN_NULL();
	expr = saga_expr_parse(text_to_cstring(PG_GETARG_TEXT_PP(0)), &error);
	if (expr == NULL)
		report_parse_error("path or intrinsic function call", error, NULL);
	result = saga_expr_eval(expr, &scope, &fault);
	report_fault(&fault);
	PG_RETURN_JSONB_P(result);
}

/*
 * saga.eval_template(template, input, context, variables): what Parameters or
 * ResultSelector make of the input.
 */
Datum
saga_eval_template(PG_FUNCTION_ARGS)
{
	SagaScope	scope;
	SagaFault	fault = {0};
	SagaTemplate *tmpl;
	JsonbValue	value;
	Jsonb	   *result;
	char	   *error;
	char	   *location;

	if (!get_scope(fcinfo, &scope))
		PG_RETURN_NULL();
	saga_jsonb_value(PG_GETARG_JSONB_P(0), &value);
	tmpl = saga_template_parse(&value, &error, &location);
	if (tmpl == NULL)
		report_parse_error("payload template", error, location);
	result = saga_template_eval(tmpl, &scope, &fault);
	report_fault(&fault);
	PG_RETURN_JSONB_P(result);
}

/*
 * saga.eval_choice(rule, input, context, variables): whether a rule of a
 * Choice state applies.
 */
Datum
saga_eval_choice(PG_FUNCTION_ARGS)
{
	SagaScope	scope;
	SagaFault	fault = {0};
	SagaRule   *rule;
	JsonbValue	value;
	bool		result;
	char	   *error;
	char	   *location;

	if (!get_scope(fcinfo, &scope))
		PG_RETURN_NULL();
	saga_jsonb_value(PG_GETARG_JSONB_P(0), &value);
	rule = saga_jsonpath_rule_parse(&value, &error, &location);
	if (rule == NULL)
		report_parse_error("choice rule", error, location);
	result = saga_jsonpath_rule_eval(rule, &scope, &fault);
	report_fault(&fault);
	PG_RETURN_BOOL(result);
}

/*
 * saga.eval_result_path(path, input, result): what a state's ResultPath makes
 * of the two.
 */
Datum
saga_eval_result_path(PG_FUNCTION_ARGS)
{
	SagaFault	fault = {0};
	SagaPath   *path;
	Jsonb	   *result;
	char	   *error;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	path = saga_path_parse(text_to_cstring(PG_GETARG_TEXT_PP(0)), &error);
	if (path == NULL)
		report_parse_error("path", error, NULL);
	result = saga_path_put(path, PG_GETARG_JSONB_P(1), PG_GETARG_JSONB_P(2), &fault);
	report_fault(&fault);
	PG_RETURN_JSONB_P(result);
}
