/*
 * number.c
 *		Numbers of expressions: exact decimals, within the range that
 *		JSONata's have.  Nothing here knows of an evaluation.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "mapping/mapping_private.h"

/* A double goes to 1.8e308. */
#define MAX_INTEGER_DIGITS	309
#define MAX_SCALE			1000

#define CALL1(fn, a) DatumGetNumeric(DirectFunctionCall1(fn, NumericGetDatum(a)))
#define CALL2(fn, a, b) DatumGetNumeric(DirectFunctionCall2(fn, NumericGetDatum(a), NumericGetDatum(b)))

static char *
numeric_text(Numeric number)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));
}

/* 10^exponent */
static Numeric
power_of_ten(int exponent)
{
	char	   *text = psprintf("1e%d", exponent);

	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/* Caches, made once in a process: what nearly every number lies between. */
static Numeric common_min = NULL;
static Numeric common_max = NULL;

static void
make_common_range(void)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	common_min = int64_to_numeric(-INT64CONST(1000000000000000000));
	common_max = int64_to_numeric(INT64CONST(1000000000000000000));
	MemoryContextSwitchTo(old);
}

static int
scale_of(Numeric number)
{
	return DatumGetInt32(DirectFunctionCall1(numeric_scale, NumericGetDatum(number)));
}

static bool
is_common(Numeric number)
{
	if (common_max == NULL)
		make_common_range();
	return saga_numeric_compare(number, common_min) > 0 && saga_numeric_compare(number, common_max) < 0;
}

/* 1e131071 takes a few bytes, and a hundred thousand when it is written out, some times over. */
int64
saga_map_written_size(Numeric number)
{
	if (is_common(number))
		return VARSIZE_ANY(number) * 4 + scale_of(number);
	return strlen(numeric_text(number)) * 4;
}

bool
saga_map_in_range(Numeric number)
{
	if (scale_of(number) > MAX_SCALE)
		return false;
	if (is_common(number))
		return true;
	return strcspn(numeric_text(CALL1(numeric_abs, number)), ".") <= MAX_INTEGER_DIGITS;
}

Numeric
saga_map_add(Numeric a, Numeric b)
{
	return CALL2(numeric_add, a, b);
}

Numeric
saga_map_trim_scale(Numeric number)
{
	return CALL1(numeric_trim_scale, number);
}

Numeric
saga_map_negate(Numeric number)
{
	return CALL2(numeric_sub, int64_to_numeric(0), number);
}

double
saga_map_double(Numeric number)
{
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(number)));
}

int64
saga_map_floor(Numeric number)
{
	double		d = floor(saga_map_double(number));

	return (int64) Max(Min(d, (double) PG_INT32_MAX), (double) PG_INT32_MIN);
}

/* Half goes to the even neighbour. */
Numeric
saga_map_round_even(Numeric number, int digits)
{
	Numeric		rounded,
				unit,
				twice;

	digits = Max(Min(digits, MAX_SCALE), -MAX_INTEGER_DIGITS - 1);
	rounded = DatumGetNumeric(DirectFunctionCall2(numeric_round, NumericGetDatum(number), Int32GetDatum(digits)));
	unit = power_of_ten(-digits);
	twice = CALL2(numeric_mul, CALL1(numeric_abs, CALL2(numeric_sub, rounded, number)), int64_to_numeric(2));
	if (saga_numeric_compare(twice, unit) == 0)
	{
		/* rounded is even when half of it is a whole number of units */
		Numeric		rest = CALL2(numeric_mod, rounded, CALL2(numeric_mul, unit, int64_to_numeric(2)));

		if (saga_numeric_compare(rest, int64_to_numeric(0)) != 0)
			rounded = saga_numeric_compare(rounded, number) > 0 ?
				CALL2(numeric_sub, rounded, unit) : CALL2(numeric_add, rounded, unit);
	}
	return CALL1(numeric_trim_scale, rounded);
}

bool
saga_map_parse_number(const char *s, int len, Numeric *result)
{
	char	   *copy = pnstrdup(s, len);
	char	   *digits = copy + (*copy == '-');
	int			zeroes = strspn(digits, "0");
	bool		found;

	/* JSON knows no zeroes in front */
	if (zeroes > 0 && (digits[zeroes] < '0' || digits[zeroes] > '9'))
		zeroes--;
	memmove(digits, digits + zeroes, strlen(digits) - zeroes + 1);
	found = saga_numeric_parse(copy, strlen(copy), result);
	pfree(copy);
	return found;
}

/* ---------- as text ---------- */

/*
 * As JavaScript writes numbers: digits, or d.ddde+21, d.ddde-7 when they
 * would be many.
 */
char *
saga_map_number_text(Numeric number)
{
	char	   *text = numeric_text(CALL1(numeric_trim_scale, number));
	const char *sign = *text == '-' ? "-" : "";
	char	   *whole = text + strlen(sign);
	int			nwhole = strcspn(whole, ".");
	char	   *fraction = whole + nwhole + (whole[nwhole] == '.');
	int			zeroes = strspn(fraction, "0");
	StringInfoData digits;
	int			exponent;

	initStringInfo(&digits);
	if (nwhole > 21)
	{
		appendBinaryStringInfo(&digits, whole, nwhole);
		appendStringInfoString(&digits, fraction);
		exponent = nwhole - 1;
	}
	else if (whole[0] == '0' && zeroes >= 6 && fraction[zeroes] != '\0')
	{
		appendStringInfoString(&digits, fraction + zeroes);
		exponent = -zeroes - 1;
	}
	else
		return text;
	while (digits.len > 1 && digits.data[digits.len - 1] == '0')
		digits.data[--digits.len] = '\0';
	return psprintf("%s%c%s%se%c%d", sign, digits.data[0], digits.len > 1 ? "." : "", digits.data + 1,
					exponent < 0 ? '-' : '+', abs(exponent));
}
