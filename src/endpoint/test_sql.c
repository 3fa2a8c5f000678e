/*
 * test_sql.c
 *		SQL functions that evaluate a single expression, condition or
 *		template: for people who write a destination, and for our tests.
 *
 * What would be told as an error of a destination or a delivery is raised
 * here, because somebody waits for the answer.
 */
#include "postgres.h"

#include "endpoint/condition_private.h"
#include "endpoint/expression_private.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "value/value.h"

PG_FUNCTION_INFO_V1(saga_test_mapping);
PG_FUNCTION_INFO_V1(saga_test_condition);
PG_FUNCTION_INFO_V1(saga_test_template);

/* NULL for an SQL NULL, which these functions take as "there is none". */
static Jsonb *
get_jsonb(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : PG_GETARG_JSONB_P(arg);
}

/*
 * saga.test_mapping(expression, document): NULL when the expression gives
 * nothing.
 */
Datum
saga_test_mapping(PG_FUNCTION_ARGS)
{
	SagaExpression *expression;
	Jsonb	   *result;
	char	   *error;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	expression = saga_endpoint_expression_compile(text_to_cstring(PG_GETARG_TEXT_PP(0)), &error);
	if (expression == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid expression"),
				 errdetail("%s.", error)));
	if (!saga_endpoint_expression_eval(expression, get_jsonb(fcinfo, 1), &result, &error))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot evaluate the expression"),
				 errdetail("%s.", error)));
	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(result);
}

/* {"Name": "value"} as header lines. */
static char *
make_head(Jsonb *headers)
{
	StringInfoData buf;
	SagaValueChildren c;
	JsonbValue	value;

	initStringInfo(&buf);
	saga_jsonb_value(headers, &value);
	if (!saga_value_is_object(&value))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("headers must be a JSON object")));
	saga_value_children_start(&c, &value);
	while (saga_value_children_next(&c))
	{
		if (c.value.type != jbvString)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the value of a header must be a JSON string")));
		appendStringInfo(&buf, "%.*s: %.*s\r\n", c.key.val.string.len, c.key.val.string.val,
						 c.value.val.string.len, c.value.val.string.val);
	}
	return buf.data;
}

/*
 * saga.test_condition(condition, status, headers, body, message).  The body
 * comes as text and is parsed here, as one that came over the network would
 * be.
 */
Datum
saga_test_condition(PG_FUNCTION_ARGS)
{
	SagaCondition *condition;
	SagaAnswerView answer = {0};
	Jsonb	   *headers = get_jsonb(fcinfo, 2);
	char	   *path;
	char	   *error;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	condition = saga_condition_parse(&PG_GETARG_JSONB_P(0)->root, "$", NULL, &path, &error);
	if (condition == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid condition"),
				 errdetail("%s %s.", path, error)));
	if (saga_condition_cost(condition)->refused != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid condition"),
				 errdetail("%s.", saga_condition_cost(condition)->refused)));
	answer.status = PG_GETARG_INT32(1);
	answer.head = headers != NULL ? make_head(headers) : NULL;
	if (!PG_ARGISNULL(3))
	{
		answer.text = text_to_cstring(PG_GETARG_TEXT_PP(3));
		answer.text_len = strlen(answer.text);
		answer.doc = saga_jsonb_parse(answer.text, (int) answer.text_len);
	}
	PG_RETURN_BOOL(saga_condition_holds(condition, &answer, get_jsonb(fcinfo, 4)));
}

/* saga.test_template(template, message) */
Datum
saga_test_template(PG_FUNCTION_ARGS)
{
	Jsonb	   *template = get_jsonb(fcinfo, 0);
	Jsonb	   *result;
	const char *error;
	char	   *path;
	char	   *missing;

	if (template == NULL)
		PG_RETURN_NULL();
	error = saga_endpoint_json_template_check(template, "$", &path);
	if (error != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid template"),
				 errdetail("%s %s.", path, error)));
	if (!saga_endpoint_json_template_fill(template, get_jsonb(fcinfo, 1), &result, &missing))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the template cannot be filled in"),
				 missing == NULL ? errdetail("The result is too large.") :
				 errdetail("There is nothing at \"%s\" in the message, or it has no text.", missing)));
	PG_RETURN_JSONB_P(result);
}
