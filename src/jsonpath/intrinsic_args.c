/*
 * intrinsic_args.c
 *		Arguments of intrinsic functions, and what is said of wrong ones.
 *
 * The functions here check one argument, count it from 1 in messages as AWS
 * does, and return false with the fault set, so that callers can chain them.
 */
#include "postgres.h"

#include "common/text.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "jsonpath/jsonpath_private.h"

/*
 * The whole call is shown as it is written, so that a nested one can be told
 * from the one around it.
 */
bool
saga_jsonpath_call_fault(SagaCall *call, const char *fmt, ...)
{
	va_list		args;
	char	   *message;

	va_start(args, fmt);
	message = saga_vformat(fmt, args);
	va_end(args);
	return saga_fault(call->fault, "States.IntrinsicFailure",
					  "The function '%s' had the following error: %s", call->expr->text, message);
}

/* *result points to the argument, which is not copied. */
bool
saga_jsonpath_call_string(SagaCall *call, int arg, const JsonbValue **result)
{
	*result = &call->args[arg];
	if ((*result)->type != jbvString)
		return saga_jsonpath_call_fault(call, "Argument %d must be a string, but was: %s",
										arg + 1, saga_value_type_name(*result));
	return true;
}

/* *result points to the argument, in whatever representation it has. */
bool
saga_jsonpath_call_array(SagaCall *call, int arg, const JsonbValue **result)
{
	*result = &call->args[arg];
	if (!saga_value_is_array(*result))
		return saga_jsonpath_call_fault(call, "Argument %d must be an array, but was: %s",
										arg + 1, saga_value_type_name(*result));
	return true;
}

/* floor(n + 0.5), as Java's Math.round; compared first, as numeric_int8 raises. */
static bool
round_numeric(Numeric n, int64 *result)
{
	Numeric		half;
	bool		failed = false;

	if (saga_numeric_compare(n, int64_to_numeric(PG_INT64_MIN)) < 0 ||
		saga_numeric_compare(n, int64_to_numeric(PG_INT64_MAX)) >= 0)
		return false;
	half = int64_div_fast_to_numeric(5, 1);
	n = numeric_add_opt_error(n, half, &failed);
	if (failed)
		return false;
	*result = DatumGetInt64(DirectFunctionCall1(numeric_int8,
												DirectFunctionCall1(numeric_floor, NumericGetDatum(n))));
	return true;
}

/*
 * Fractions are rounded, as AWS's functions do with every number that they
 * count with.
 */
bool
saga_jsonpath_call_int(SagaCall *call, int arg, int64 *result)
{
	const JsonbValue *v = &call->args[arg];

	if (v->type != jbvNumeric)
		return saga_jsonpath_call_fault(call, "Argument %d must be a number, but was: %s",
										arg + 1, saga_value_type_name(v));
	if (!round_numeric(v->val.numeric, result))
		return saga_jsonpath_call_fault(call, "Argument %d is out of range", arg + 1);
	return true;
}
