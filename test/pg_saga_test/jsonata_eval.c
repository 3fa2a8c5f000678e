/*
 * jsonata_eval.c
 *		An evaluation of JSONata with options that no SQL function has: the
 *		flavour of Step Functions, and limits.
 *
 * A fault is {"code": "U1001"}, with a position if it has one.
 */
#include "fake.h"

#include "fmgr.h"
#include "jsonata/jsonata.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "value/doc.h"
#include "value/value.h"

PG_FUNCTION_INFO_V1(saga_test_jsonata_eval);

static double
number_option(Jsonb *options, const char *name)
{
	JsonbValue *value = saga_doc_get(&options->root, name);

	if (value == NULL || value->type != jbvNumeric)
		return 0;
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(value->val.numeric)));
}

static bool
flag_option(Jsonb *options, const char *name)
{
	JsonbValue *value = saga_doc_get(&options->root, name);

	return value != NULL && value->type == jbvBool && value->val.boolean;
}

/* jsonata_eval(expression, document, {"aws": true, "states": {...}, "depth": 302, ...}) */
Datum
saga_test_jsonata_eval(PG_FUNCTION_ARGS)
{
	text	   *expression = PG_GETARG_TEXT_PP(0);
	Jsonb	   *options = PG_GETARG_JSONB_P(2);
	SagaJsonataOptions o = {0};
	SagaJsonataBinding states = {"states", NULL};
	SagaJsonataFault fault = {{0}};
	SagaJsonata *expr;
	JsonbValue *value = saga_doc_get(&options->root, "states");
	Jsonb	   *result;
	char	   *said;

	o.aws = flag_option(options, "aws");
	o.decimal = flag_option(options, "decimal");
	o.immutable = flag_option(options, "immutable");
	o.now = number_option(options, "now");
	o.seed = (uint64) number_option(options, "seed");
	o.limits.steps = (int64) number_option(options, "steps");
	o.limits.depth = (int) number_option(options, "depth");
	o.limits.bytes = (Size) number_option(options, "bytes");
	o.limits.milliseconds = (int64) number_option(options, "milliseconds");
	if (value != NULL)
	{
		states.value = saga_jsonb_from_value(value);
		o.bindings = &states;
		o.nbindings = 1;
	}
	expr = saga_jsonata_compile(VARDATA_ANY(expression), VARSIZE_ANY_EXHDR(expression), &fault);
	if (expr != NULL && saga_jsonata_eval(expr, PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1), &o, &result, &fault))
	{
		if (result == NULL)
			PG_RETURN_NULL();
		PG_RETURN_JSONB_P(result);
	}
	said = psprintf("{\"code\": \"%s\", \"position\": %d}", fault.code, fault.position);
	PG_RETURN_JSONB_P(saga_jsonb_parse(said, strlen(said)));
}
