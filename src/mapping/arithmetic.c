/*
 * arithmetic.c
 *		What operators make of numbers: each pays for its digits, and its result
 *		is within the range of numbers or an error.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "mapping/mapping_private.h"

#define CALL2(fn, a, b) DatumGetNumeric(DirectFunctionCall2(fn, NumericGetDatum(a), NumericGetDatum(b)))

bool
saga_map_set_result(SagaMapEval *ev, SagaMapValue *v, Numeric number)
{
	number = saga_map_trim_scale(number);
	if (!saga_map_in_range(number))
		return saga_map_error(ev, "a number is out of range");
	saga_map_set_number(v, number);
	return true;
}

/* Each digit of one with each of the other; a quotient has digits of its own. */
static bool
charge_digits(SagaMapEval *ev, char op, int64 a, int64 b)
{
	switch (op)
	{
		case '+':
		case '-':
			return true;
		case '*':
			return saga_map_charge(ev, a * b / 256);
		default:
			return saga_map_charge(ev, (a + 64) * b / 32);
	}
}

bool
saga_map_arithmetic(SagaMapEval *ev, char op, Numeric a, Numeric b, SagaMapValue *result)
{
	if (!saga_map_charge_number(ev, a) || !saga_map_charge_number(ev, b))
		return false;
	if (!saga_map_in_range(a) || !saga_map_in_range(b))
		return saga_map_error(ev, "a number is out of range");
	if (!charge_digits(ev, op, VARSIZE_ANY(a), VARSIZE_ANY(b)))
		return false;
	switch (op)
	{
		case '+':
			return saga_map_set_result(ev, result, saga_map_add(a, b));
		case '-':
			return saga_map_set_result(ev, result, CALL2(numeric_sub, a, b));
		case '*':
			return saga_map_set_result(ev, result, CALL2(numeric_mul, a, b));
		default:
			if (saga_numeric_compare(b, int64_to_numeric(0)) == 0)
				return saga_map_error(ev, "division by zero");
			if (op == '/')
				return saga_map_set_result(ev, result, CALL2(numeric_div, a, b));
			return saga_map_set_result(ev, result, CALL2(numeric_mod, a, b));
	}
}
