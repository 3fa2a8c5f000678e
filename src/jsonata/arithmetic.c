/*
 * arithmetic.c
 *		"+", "-", "*", "/" and "%", of doubles and of decimals.
 *
 * Doubles are computed with as JavaScript does: what goes beyond their range
 * is an infinity, which is a fault where it is used next.  Decimals are exact,
 * but for quotients; their range is that of doubles, and a division by zero
 * is a fault at once.
 */
#include "postgres.h"

#include <math.h>

#include "utils/builtins.h"

#include "value/value.h"
#include "jsonata/jsonata_private.h"

/* A double goes to 1.8e308. */
#define MAX_INTEGER_DIGITS	309
#define MAX_SCALE			1000

/* A quotient that has no end has so many places at least; one that has fewer is exact. */
#define QUOTIENT_SCALE		20

/* Sums and products of whole numbers below this are exact as doubles. */
#define MAX_EXACT			9007199254740992.0

#define CALL1(fn, a) DatumGetNumeric(DirectFunctionCall1(fn, NumericGetDatum(a)))
#define CALL2(fn, a, b) DatumGetNumeric(DirectFunctionCall2(fn, NumericGetDatum(a), NumericGetDatum(b)))

/* Digits behind the point, zeroes at the end included. */
static int
scale_of(Numeric number)
{
	return DatumGetInt32(DirectFunctionCall1(numeric_scale, NumericGetDatum(number)));
}

/*
 * A number of more digits would be Infinity as a double, or make texts of a
 * length that nobody expects.  That many digits take less than this in memory,
 * and such numbers are written out to count; 1e300 takes a few bytes.
 */
static bool
in_range(Numeric number)
{
	if (numeric_is_nan(number) || numeric_is_inf(number) || scale_of(number) > MAX_SCALE)
		return false;
	return fabs(DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(number)))) <= 1.7976931348623157e308;
}

/* Without zeroes at the end; false and a fault when it is out of range. */
bool
saga_jsonata_set_decimal(SagaJsonataEval *ev, SagaJsonataValue *v, Numeric number)
{
	number = CALL1(numeric_trim_scale, number);
	if (!in_range(number))
		return saga_jsonata_fail(ev, "D1001", "a number is out of range");
	saga_jsonata_set_numeric(v, number);
	return true;
}

/* An operand; charged for by its size, as digits are looked at one by one. */
static bool
operand(SagaJsonataEval *ev, const SagaJsonataValue *v, Numeric *number)
{
	*number = saga_jsonata_numeric(v);
	if (*number == NULL || !in_range(*number))
		return saga_jsonata_fail(ev, "D1001", "a number is out of range");
	return saga_jsonata_spend(ev, 4 + VARSIZE_ANY(*number) / 2);
}

/*
 * Computes with all digits.  The operands are charged for before that, because
 * a product or a quotient takes time by the product of their lengths.  A
 * division by zero, and a result that is out of range, are the fault D1001.
 */
static bool
decimal_arithmetic(SagaJsonataEval *ev, int op, const SagaJsonataValue *a, const SagaJsonataValue *b, SagaJsonataValue *result)
{
	Numeric		x,
				y;

	if (!operand(ev, a, &x) || !operand(ev, b, &y))
		return false;
	if (!saga_jsonata_spend(ev, VARSIZE_ANY(x) * VARSIZE_ANY(y) / 256))
		return false;
	if ((op == '/' || op == '%') && saga_numeric_compare(y, int64_to_numeric(0)) == 0)
		return saga_jsonata_fail(ev, "D1001", "a number is divided by zero");
	switch (op)
	{
		case '+':
			x = CALL2(numeric_add, x, y);
			break;
		case '-':
			x = CALL2(numeric_sub, x, y);
			break;
		case '*':
			x = CALL2(numeric_mul, x, y);
			break;
		case '/':

			/*
			 * numeric_div() gives as many places as its operands have, or
			 * some 16 digits in all: of a large amount none after the point
			 */
			if (scale_of(x) < QUOTIENT_SCALE)
				x = DatumGetNumeric(DirectFunctionCall2(numeric_round, NumericGetDatum(x), Int32GetDatum(QUOTIENT_SCALE)));
			x = CALL2(numeric_div, x, y);
			break;
		default:
			x = CALL2(numeric_mod, x, y);
			break;
	}
	return saga_jsonata_set_decimal(ev, result, x);
}

/*
 * Both operands are numbers.  Without decimals they are doubles, and any
 * result is allowed, NaN and infinities included.  In an evaluation with
 * decimals, operands without flags are whole numbers that are exact as
 * doubles.  They can be added, subtracted and multiplied as doubles, which is
 * much faster, as long as the result is small enough to be exact as well.  A
 * quotient or a remainder is always computed as a decimal.
 */
bool
saga_jsonata_arithmetic(SagaJsonataEval *ev, int op, const SagaJsonataValue *a, const SagaJsonataValue *b,
						SagaJsonataValue *result)
{
	double		x,
				y;

	if (ev->options->decimal && (op == '/' || op == '%' || a->flags != 0 || b->flags != 0))
		return decimal_arithmetic(ev, op, a, b, result);
	x = saga_jsonata_double(a);
	y = saga_jsonata_double(b);
	saga_jsonata_set_nothing(result);
	result->type = SAGA_JV_NUMBER;
	switch (op)
	{
		case '+':
			result->u.number = x + y;
			break;
		case '-':
			result->u.number = x - y;
			break;
		case '*':
			result->u.number = x * y;
			break;
		case '/':
			result->u.number = x / y;
			break;
		default:
			result->u.number = fmod(x, y);
			break;
	}

	/*
	 * too large for a double: the operands are exact, and are computed with
	 * once more
	 */
	if (ev->options->decimal && fabs(result->u.number) > MAX_EXACT)
	{
		SagaJsonataValue left,
					right;

		saga_jsonata_set_number(&left, x);
		saga_jsonata_set_number(&right, y);
		return decimal_arithmetic(ev, op, &left, &right, result);
	}
	return true;
}

/*
 * Negates a number.  With decimals 0.0 is added, which makes 0 of -0, as there
 * is no decimal "-0".
 */
bool
saga_jsonata_negate(SagaJsonataEval *ev, const SagaJsonataValue *v, SagaJsonataValue *result)
{
	Numeric		number;

	if (!ev->options->decimal || v->flags == 0)
	{
		double		d = -saga_jsonata_double(v);

		saga_jsonata_set_number(result, ev->options->decimal ? d + 0.0 : d);
		return true;
	}
	if (!operand(ev, v, &number))
		return false;
	return saga_jsonata_set_decimal(ev, result, CALL2(numeric_sub, int64_to_numeric(0), number));
}

/* ---------- as text ---------- */

/*
 * Appends a number as $string has it.  Doubles are cut to fifteen digits, as
 * in the reference, so that 0.1 + 0.2 is written as 0.3; decimals have all
 * their digits.  NaN is written as null, an infinity is the fault D1001.
 */
bool
saga_jsonata_append_number(SagaJsonataEval *ev, StringInfo buf, const SagaJsonataValue *v)
{
	char		text[SAGA_JSONATA_NUMBER_TEXT];
	double		d;

	if (ev->options->decimal && v->flags != 0)
	{
		Numeric		number;

		if (!operand(ev, v, &number))
			return false;
		appendStringInfoString(buf, saga_jsonata_numeric_text(number));
		return true;
	}
	d = saga_jsonata_double(v);
	if (isinf(d))
		return saga_jsonata_fail(ev, "D1001", "a number is out of range");
	if (isnan(d))
	{
		appendStringInfoString(buf, "null");
		return true;
	}
	appendBinaryStringInfo(buf, text, saga_jsonata_number_text(saga_jsonata_fifteen_digits(d), text));
	return true;
}

/*
 * Appends a number as it is in the result of the evaluation: with all its
 * digits.  Those that were read from JSON text and never computed with are
 * copied as they came.
 */
bool
saga_jsonata_append_result_number(SagaJsonataEval *ev, StringInfo buf, const SagaJsonataValue *v)
{
	char		text[SAGA_JSONATA_NUMBER_TEXT];

	if (v->flags & SAGA_JV_DIGITS)
	{
		if (!saga_jsonata_spend_copy(ev, v->count))
			return false;
		appendBinaryStringInfo(buf, v->u.string, v->count);
	}
	else if (v->flags & SAGA_JV_NUMERIC)
	{
		char	   *digits = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(v->u.numeric)));

		appendStringInfoString(buf, digits);
		return saga_jsonata_spend_read(ev, strlen(digits));
	}
	else if (isinf(v->u.number))
		return saga_jsonata_fail(ev, "D1001", "a number is out of range");
	else if (isnan(v->u.number))
		appendStringInfoString(buf, "null");
	else
		appendBinaryStringInfo(buf, text, saga_jsonata_number_text(v->u.number, text));
	return true;
}
