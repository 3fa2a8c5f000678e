/*
 * function_money.c
 *		$minor and $decimal: amounts as other systems want them.
 *
 * Both take a number, or a text that reads as one, and compute with decimals
 * whatever the evaluation does: digits of money are never lost.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "value/value.h"
#include "jsonata/function_private.h"

/* More than any currency has. */
#define MAX_AMOUNT_DIGITS	20

/*
 * The amount of the first argument.  In a text an exponent and other forms
 * that $number reads are refused: nobody writes an amount of money so.
 */
static bool
get_amount(SagaJsonataCall *call, SagaJsonataValue *amount)
{
	const SagaJsonataValue *v = &call->args[0];
	SagaJsonataEval *ev = call->ev;
	Numeric		number;
	int			digits = 0;

	if (v->type == SAGA_JV_NUMBER)
		number = saga_jsonata_numeric(v);
	else
	{
		if (!saga_jsonata_spend_read(ev, (int64) v->count * 4))
			return false;
		for (int i = 0; i < v->count; i++)
		{
			if (v->u.string[i] >= '0' && v->u.string[i] <= '9')
				digits++;
			else if (v->u.string[i] != '.' && (v->u.string[i] != '-' || i > 0))
				break;
			if (i == v->count - 1 && digits > 0 && saga_jsonata_parse_numeric(v->u.string, v->count, &number))
				return saga_jsonata_set_decimal(ev, amount, number);
		}
		return saga_jsonata_fail(ev, "D3030", "%s needs a decimal number", call->builtin->name);
	}
	if (number == NULL || numeric_is_nan(number))
		return saga_jsonata_fail(ev, "D1001", "a number is out of range");
	return saga_jsonata_set_decimal(ev, amount, number);
}

/* How many digits it is to have behind the point; two unless it is said. */
static bool
get_digits(SagaJsonataCall *call, int *digits)
{
	const SagaJsonataValue *v = &call->args[1];
	double		n = saga_jsonata_is_nothing(v) ? 2 : saga_jsonata_double(v);

	if (!(n >= 0 && n <= MAX_AMOUNT_DIGITS) || n != (int) n)
		return saga_jsonata_fail(call->ev, "D3137", "%s takes a whole number of digits from 0 to %d",
								 call->builtin->name, MAX_AMOUNT_DIGITS);
	*digits = (int) n;
	return true;
}

/*
 * $minor(amount, digits): 12.34 becomes 1234, the minor units that payment
 * APIs take.  An amount with more digits is refused, since no rounding of
 * money is right for everybody.
 */
bool
saga_jsonata_fn_minor(SagaJsonataCall *call)
{
	SagaJsonataValue amount;
	Datum		scaled;
	int64		factor = 1;
	int			digits;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	if (!get_amount(call, &amount) || !get_digits(call, &digits) || !saga_jsonata_spend(call->ev, 8))
		return false;
	scaled = NumericGetDatum(saga_jsonata_numeric(&amount));
	/* in two steps, as 10^20 is no int64 */
	for (int i = 0; i < digits; i++)
	{
		factor *= 10;
		if (i % 10 == 9 || i == digits - 1)
		{
			scaled = DirectFunctionCall2(numeric_mul, scaled, NumericGetDatum(int64_to_numeric(factor)));
			factor = 1;
		}
	}
	if (saga_numeric_compare(DatumGetNumeric(scaled), DatumGetNumeric(DirectFunctionCall1(numeric_floor, scaled))) != 0)
		return saga_jsonata_fail(call->ev, "D3137", "$minor gets an amount with more than %d digits after the point", digits);
	return saga_jsonata_set_decimal(call->ev, call->result, DatumGetNumeric(scaled));
}

/*
 * $decimal(amount, digits): a text with exactly so many digits.  numeric_round
 * goes away from zero at one half, as one does with money.
 */
bool
saga_jsonata_fn_decimal(SagaJsonataCall *call)
{
	SagaJsonataValue amount;
	Datum		rounded;
	int			digits;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	if (!get_amount(call, &amount) || !get_digits(call, &digits))
		return false;
	rounded = DirectFunctionCall2(numeric_round, NumericGetDatum(saga_jsonata_numeric(&amount)), Int32GetDatum(digits));
	saga_jsonata_set_cstring(call->result, DatumGetCString(DirectFunctionCall1(numeric_out, rounded)));
	return saga_jsonata_spend_read(call->ev, call->result->count);
}
