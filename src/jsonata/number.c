/*
 * number.c
 *		Numbers: doubles, decimals of a stored document, digits of a text.
 *
 * A number keeps the form in which it came until something computes with it,
 * so that what an expression only passes on has all its digits.  In an
 * evaluation with doubles each operation makes doubles of its operands.  In
 * one with decimals it makes decimals; a double there is always a whole
 * number that it holds exactly, such as a count.
 */
#include "postgres.h"

#include <math.h>

#include "utils/builtins.h"

#include "value/value.h"
#include "jsonata/jsonata_private.h"

/* Up to here a double holds each whole number. */
#define MAX_EXACT		9007199254740992.0

/* numeric's own digits are of base 10000: see numeric.c of the server */
#define NBASE_DIGITS	4

/*
 * The short format of numeric, which nearly all stored numbers have: two bytes
 * with sign, scale and weight, then digits.  Only read here, to spare the
 * detour over text that the server's own conversion takes.
 */
#define SHORT_FLAG			0x8000
#define SHORT_SIGN			0x2000
#define SHORT_WEIGHT_SIGN	0x0040
#define SHORT_WEIGHT		0x003F
#define SPECIAL				0xC000

static const double powers_of_ten[] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
};

/*
 * Exact when all digits fit into 53 bits and the power of ten is one that a
 * double holds: the product or quotient of two exact numbers is rounded once,
 * as reading the digits is.  False for all others.
 */
static bool
quick_double(Numeric number, double *result)
{
	const char *data = VARDATA_ANY(number);
	int			size = VARSIZE_ANY_EXHDR(number);
	uint16		header;
	int			weight,
				ndigits,
				exponent;
	uint64		digits = 0;

	memcpy(&header, data, sizeof(header));
	if ((header & SPECIAL) != SHORT_FLAG)
		return false;
	ndigits = (size - sizeof(header)) / sizeof(int16);
	weight = ((header & SHORT_WEIGHT_SIGN) ? ~SHORT_WEIGHT : 0) | (header & SHORT_WEIGHT);
	if (ndigits > 4)
		return false;
	for (int i = 0; i < ndigits; i++)
	{
		int16		digit;

		memcpy(&digit, data + sizeof(header) + i * sizeof(int16), sizeof(digit));
		digits = digits * 10000 + digit;
	}
	if (digits > (UINT64CONST(1) << 53))
		return false;
	exponent = (weight + 1 - ndigits) * NBASE_DIGITS;
	if (exponent < -22 || exponent > 22)
		return false;
	*result = exponent < 0 ? (double) digits / powers_of_ten[-exponent] : (double) digits * powers_of_ten[exponent];
	if (header & SHORT_SIGN)
		*result = -*result;
	return true;
}

/* Beyond a double's range it is an infinity and raises nothing. */
static double
numeric_to_double(Numeric number)
{
	double		result;

	if (quick_double(number, &result))
		return result;
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(number)));
}

double
saga_jsonata_double(const SagaJsonataValue *v)
{
	if (likely(v->flags == 0))
		return v->u.number;
	if (v->flags & SAGA_JV_NUMERIC)
		return numeric_to_double(v->u.numeric);
	else
	{
		char		buf[64];
		char	   *copy = v->count < sizeof(buf) ? buf : palloc(v->count + 1);

		memcpy(copy, v->u.string, v->count);
		copy[v->count] = '\0';
		return strtod(copy, NULL);
	}
}

/* "-12.345" as -12345 and 3 digits behind the point; false for what has an exponent. */
static bool
split_digits(const char *text, int64 *digits, int *scale)
{
	bool		negative = *text == '-';
	bool		behind = false;

	*digits = 0;
	*scale = 0;
	for (text += negative; *text != '\0'; text++)
	{
		if (*text == '.')
			behind = true;
		else if (*text < '0' || *text > '9')
			return false;
		else
		{
			/*
			 * the shortest text of a double has 17 digits, but zeroes may
			 * fill it up
			 */
			if (*digits > PG_INT64_MAX / 10 - 1)
				return false;
			*digits = *digits * 10 + (*text - '0');
			*scale += behind;
		}
	}
	if (negative)
		*digits = -*digits;
	return true;
}

/* Through the shortest text that gives the double again, as JavaScript prints it. */
Numeric
saga_jsonata_double_numeric(double number)
{
	char		buf[SAGA_JSONATA_NUMBER_TEXT];
	int64		digits;
	int			scale;

	if (number == floor(number) && fabs(number) <= MAX_EXACT)
		return int64_to_numeric((int64) number);
	if (isnan(number) || isinf(number))
		strcpy(buf, "NaN");
	else
		saga_jsonata_number_text(number, buf);
	/* quicker than reading the text */
	if (split_digits(buf, &digits, &scale))
		return int64_div_fast_to_numeric(digits, scale);
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(buf), ObjectIdGetDatum(InvalidOid),
											   Int32GetDatum(-1)));
}

/* NULL: more digits than a numeric can have. */
Numeric
saga_jsonata_numeric(const SagaJsonataValue *v)
{
	Numeric		number;

	if (v->flags & SAGA_JV_NUMERIC)
		return v->u.numeric;
	if ((v->flags & SAGA_JV_DIGITS) == 0)
		return saga_jsonata_double_numeric(v->u.number);
	return saga_numeric_parse(v->u.string, v->count, &number) ? number : NULL;
}

/*
 * True for numbers; a NaN is none, and an infinity is a fault then, as the
 * reference has it.  Decimals are always within range.
 */
bool
saga_jsonata_is_numeric(SagaJsonataEval *ev, const SagaJsonataValue *v, bool *fails)
{
	double		number;

	if (v->type != SAGA_JV_NUMBER)
		return false;
	if (v->flags & SAGA_JV_NUMERIC && !numeric_is_nan(v->u.numeric))
		return true;
	number = saga_jsonata_double(v);
	if (isinf(number))
	{
		*fails = true;
		return saga_jsonata_fail(ev, "D1001", "a number is out of range");
	}
	return !isnan(number);
}

int64
saga_jsonata_floor(const SagaJsonataValue *v)
{
	double		d = floor(saga_jsonata_double(v));

	return (int64) Max(Min(d, (double) PG_INT32_MAX), (double) PG_INT32_MIN);
}

bool
saga_jsonata_is_integer(const SagaJsonataValue *v)
{
	double		d;

	if (v->type != SAGA_JV_NUMBER)
		return false;
	d = saga_jsonata_double(v);
	return d == floor(d) && !isinf(d);
}

/* -1, 0, 1; 2: they have no order, as one is NaN. */
int
saga_jsonata_number_compare(SagaJsonataEval *ev, const SagaJsonataValue *a, const SagaJsonataValue *b)
{
	double		x,
				y;

	if (ev->options->decimal && ((a->flags | b->flags) & (SAGA_JV_NUMERIC | SAGA_JV_DIGITS)))
	{
		Numeric		m = saga_jsonata_numeric(a);
		Numeric		n = saga_jsonata_numeric(b);

		if (m == NULL || n == NULL)
			return 2;
		return saga_numeric_compare(m, n);
	}
	x = saga_jsonata_double(a);
	y = saga_jsonata_double(b);
	return x < y ? -1 : x > y ? 1 : x == y ? 0 : 2;
}
