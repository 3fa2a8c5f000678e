/*
 * jsonata_sql.c
 *		saga.jsonata() and the like.
 *
 * What would be a fault of a caller in C is raised here, because somebody
 * waits for the answer.
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "value/value.h"
#include "jsonata/call_site.h"

PG_FUNCTION_INFO_V1(saga_jsonata);
PG_FUNCTION_INFO_V1(saga_jsonata_json);
PG_FUNCTION_INFO_V1(saga_jsonata_volatile);

/* What jsonata_volatile is for is a hint. */
static void
raise_fault(const SagaJsonataFault *fault, const text * expression)
{
	saga_jsonata_raise(fault, VARDATA_ANY(expression), VARSIZE_ANY_EXHDR(expression), NULL, NULL,
					   strcmp(fault->code, "U1005") == 0 ? "Call saga.jsonata_volatile, which allows it." : NULL);
}

static SagaJsonata *
get_expression(FunctionCallInfo fcinfo, text * expression)
{
	return saga_jsonata_at_call_site(fcinfo->flinfo, VARDATA_ANY(expression), VARSIZE_ANY_EXHDR(expression), NULL);
}

static void
check_encoding(void)
{
	if (GetDatabaseEncoding() != PG_UTF8)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("JSONata works in databases with the encoding UTF8 only")));
}

/* "double" or "decimal" */
static bool
is_decimal(FunctionCallInfo fcinfo, int arg)
{
	text	   *numbers;
	int			len;

	if (PG_ARGISNULL(arg))
		return false;
	numbers = PG_GETARG_TEXT_PP(arg);
	len = VARSIZE_ANY_EXHDR(numbers);
	if (len == 7 && memcmp(VARDATA_ANY(numbers), "decimal", 7) == 0)
		return true;
	if (len != 6 || memcmp(VARDATA_ANY(numbers), "double", 6) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid kind of numbers \"%s\"", text_to_cstring(numbers)),
				 errhint("Kinds are \"double\" and \"decimal\".")));
	return false;
}

static void
bindings_error(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("bindings must be a JSON object")));
}

/* {"name": value} */
static void
read_bindings(Jsonb *bindings, SagaJsonataOptions *options)
{
	SagaJsonataBinding *list;
	SagaValueChildren c;
	JsonbValue	value;

	if (bindings == NULL)
		return;
	saga_jsonb_value(bindings, &value);
	if (!saga_value_is_object(&value))
		bindings_error();
	list = palloc0((saga_value_count(&value) + 1) * sizeof(SagaJsonataBinding));
	saga_value_children_start(&c, &value);
	while (saga_value_children_next(&c))
	{
		list[options->nbindings].name = pnstrdup(c.key.val.string.val, c.key.val.string.len);
		list[options->nbindings++].value = saga_jsonb_from_value(&c.value);
	}
	options->bindings = list;
}

static Datum
evaluate(FunctionCallInfo fcinfo, SagaJsonataOptions *options)
{
	SagaJsonataFault fault = {{0}};
	Jsonb	   *bindings;
	Jsonb	   *result;
	text	   *expression;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	check_encoding();
	expression = PG_GETARG_TEXT_PP(0);
	options->decimal = is_decimal(fcinfo, 3);
	bindings = PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2);
	read_bindings(bindings, options);
	if (!saga_jsonata_eval(get_expression(fcinfo, expression), PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1), options,
						   &result, &fault))
		raise_fault(&fault, expression);
	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(result);
}

/* saga.jsonata(expression, document, bindings, numbers) */
Datum
saga_jsonata(PG_FUNCTION_ARGS)
{
	SagaJsonataOptions options = {0};

	options.immutable = true;
	return evaluate(fcinfo, &options);
}

/* saga.jsonata_volatile(expression, document, bindings, numbers) */
Datum
saga_jsonata_volatile(PG_FUNCTION_ARGS)
{
	SagaJsonataOptions options = {0};

	/* whole milliseconds since 1970, of this moment */
	options.now = (double) ((GetCurrentTimestamp() +
							 (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY) / 1000);
	if (!pg_strong_random(&options.seed, sizeof(options.seed)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not get random bytes")));
	return evaluate(fcinfo, &options);
}

/* saga.jsonata_json(expression, document, bindings, numbers) */
Datum
saga_jsonata_json(PG_FUNCTION_ARGS)
{
	SagaJsonataOptions options = {0};
	SagaJsonataFault fault = {{0}};
	StringInfoData out;
	text	   *expression;
	text	   *document = NULL;
	bool		defined;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	check_encoding();
	expression = PG_GETARG_TEXT_PP(0);
	options.immutable = true;
	options.decimal = is_decimal(fcinfo, 3);
	if (!PG_ARGISNULL(1))
		document = PG_GETARG_TEXT_PP(1);
	if (!PG_ARGISNULL(2))
	{
		text	   *bindings = PG_GETARG_TEXT_PP(2);

		options.variables = VARDATA_ANY(bindings);
		options.variables_len = VARSIZE_ANY_EXHDR(bindings);
		if (options.variables[strspn(options.variables, " \t\r\n")] != '{')
			bindings_error();
	}
	initStringInfo(&out);
	if (!saga_jsonata_eval_json(get_expression(fcinfo, expression), document == NULL ? NULL : VARDATA_ANY(document),
								document == NULL ? 0 : VARSIZE_ANY_EXHDR(document), &options, &out, &defined, &fault))
		raise_fault(&fault, expression);
	if (!defined)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}
