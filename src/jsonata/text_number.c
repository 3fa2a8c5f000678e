/*
 * text_number.c
 *		Numbers as JavaScript reads, rounds and prints them.
 *
 * A number is printed with the fewest digits that read back as the same
 * double.  The server's Ryu gives them but for one rule of its own: it avoids
 * decimals that lie exactly between two doubles, which JavaScript prints.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "common/shortest_dec.h"
#include "common/text.h"
#include "utils/builtins.h"

#include "jsonata/text_private.h"
#include "value/value.h"

/* 2^53: up to here every integer is a double. */
#define MAX_EXACT		9007199254740992.0

/* Doubles whose shortest decimal may lie between two of them are all smaller. */
#define MAX_MIDPOINT	1e45

/* Decimals have no more digits behind the point after rounding. */
#define MAX_SCALE		1000
#define MAX_WHOLE		400

#define CALL1(fn, a) DatumGetNumeric(DirectFunctionCall1(fn, NumericGetDatum(a)))
#define CALL2(fn, a, b) DatumGetNumeric(DirectFunctionCall2(fn, NumericGetDatum(a), NumericGetDatum(b)))

/* A number as 0.DIGITS times ten to the power of "point". */
typedef struct Decimal
{
	char		digits[DOUBLE_SHORTEST_DECIMAL_LEN];
	int			ndigits;
	int			point;
} Decimal;

/* Takes a number of C's as it is written, without a sign: d.ddd, d.ddde+dd. */
static void
take_decimal(const char *text, int len, Decimal *decimal)
{
	int			whole = 0;
	bool		in_fraction = false;
	int			exponent = 0;

	decimal->ndigits = 0;
	for (int i = 0; i < len; i++)
	{
		char		c = text[i];

		if (c == '.')
			in_fraction = true;
		else if (c == 'e')
		{
			exponent = atoi(text + i + 1);
			break;
		}
		else if (decimal->ndigits == 0 && c == '0')
			/* no digit of it, but a place behind the point */
			whole -= in_fraction;
		else
		{
			decimal->digits[decimal->ndigits++] = c;
			whole += !in_fraction;
		}
	}
	decimal->point = whole + exponent;
	while (decimal->ndigits > 1 && decimal->digits[decimal->ndigits - 1] == '0')
		decimal->ndigits--;
}

/* The shortest decimal of a number that is finite and greater than zero. */
static void
shortest_decimal(double number, Decimal *decimal)
{
	char		text[DOUBLE_SHORTEST_DECIMAL_LEN];

	take_decimal(text, double_to_shortest_decimal_buf(number, text), decimal);

	/*
	 * Digits are taken off as long as the rest reads back as the same number.
	 */
	while (number >= MAX_EXACT && number < MAX_MIDPOINT && decimal->ndigits > 1)
	{
		char		shorter[DOUBLE_SHORTEST_DECIMAL_LEN + 8];

		snprintf(shorter, sizeof(shorter), "%.*e", decimal->ndigits - 2, number);
		if (strtod(shorter, NULL) != number)
			break;
		take_decimal(shorter, strlen(shorter), decimal);
	}
}

/* Digits and point as Number.prototype.toString() puts them. */
static int
write_decimal(const Decimal *decimal, char *buf)
{
	int			k = decimal->ndigits;
	int			n = decimal->point;
	char	   *p = buf;

	/* Very large and very small numbers: d.ddde+21, d.ddde-7. */
	if (n > 21 || n <= -6)
	{
		*p++ = decimal->digits[0];
		if (k > 1)
		{
			*p++ = '.';
			memcpy(p, decimal->digits + 1, k - 1);
			p += k - 1;
		}
		return p - buf + sprintf(p, "e%c%d", n > 0 ? '+' : '-', abs(n - 1));
	}
	/* Below one there are up to five zeroes behind the point: 0.00000ddd. */
	if (n <= 0)
	{
		*p++ = '0';
		*p++ = '.';
		memset(p, '0', -n);
		p += -n;
		memcpy(p, decimal->digits, k);
		return p - buf + k;
	}

	/*
	 * The rest is ddd, ddd000 or d.ddd, as the point lies behind, beyond or
	 * within the digits.
	 */
	memcpy(p, decimal->digits, Min(k, n));
	p += Min(k, n);
	if (k < n)
	{
		memset(p, '0', n - k);
		p += n - k;
	}
	else if (k > n)
	{
		*p++ = '.';
		memcpy(p, decimal->digits + n, k - n);
		p += k - n;
	}
	return p - buf;
}

int
saga_jsonata_number_text(double number, char *buf)
{
	Decimal		decimal;
	int			len = 0;

	if (isnan(number))
		return strlcpy(buf, "NaN", SAGA_JSONATA_NUMBER_TEXT);
	if (isinf(number))
		return strlcpy(buf, number > 0 ? "Infinity" : "-Infinity", SAGA_JSONATA_NUMBER_TEXT);
	if (number == 0)
		return strlcpy(buf, "0", SAGA_JSONATA_NUMBER_TEXT);
	if (number < 0)
		buf[len++] = '-';
	shortest_decimal(fabs(number), &decimal);
	len += write_decimal(&decimal, buf + len);
	buf[len] = '\0';
	return len;
}

/*
 * The C library goes to the even neighbour when there are two at the same
 * distance, JavaScript to the larger one: then the number lies just below the
 * middle for the C library.
 */
double
saga_jsonata_fifteen_digits(double number)
{
	Decimal		decimal;
	char		text[64];

	if (!isfinite(number) || number == 0 || number == floor(number))
		return number;
	shortest_decimal(fabs(number), &decimal);
	/* nothing to round: so few digits stay the nearest at fifteen places */
	if (decimal.ndigits <= 15)
		return number;
	snprintf(text, sizeof(text), "%.30e", fabs(number));
	if (strncmp(text + 16, "5000000000000000", 16) == 0)
		number = number > 0 ? nextafter(number, DBL_MAX) : nextafter(number, -DBL_MAX);
	snprintf(text, sizeof(text), "%.14e", number);
	return strtod(text, NULL);
}

/* ---------- reading ---------- */

/* ASCII digits only, and independent of the locale, unlike isdigit(). */
static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* How many digits s begins with. */
static int
count_digits(const char *s, const char *end)
{
	int			n = 0;

	while (s + n < end && is_digit(s[n]))
		n++;
	return n;
}

/* -?digits[.digits][e[+-]digits], zeroes in front allowed. */
static bool
is_decimal(const char *s, int len)
{
	const char *end = s + len;
	int			n;

	if (s < end && *s == '-')
		s++;
	n = count_digits(s, end);
	if (n == 0)
		return false;
	s += n;
	if (s < end && *s == '.')
	{
		n = count_digits(s + 1, end);
		if (n == 0)
			return false;
		s += n + 1;
	}
	if (s < end && (*s == 'e' || *s == 'E'))
	{
		s++;
		if (s < end && (*s == '-' || *s == '+'))
			s++;
		n = count_digits(s, end);
		if (n == 0)
			return false;
		s += n;
	}
	return s == end;
}

/* The bits that a digit is of in 0x, 0o and 0b; 0: it is no such number. */
static int
radix_bits(const char *s, int len)
{
	if (len < 3 || s[0] != '0')
		return 0;
	switch (s[1])
	{
		case 'x':
		case 'X':
			return 4;
		case 'o':
		case 'O':
			return 3;
		case 'b':
		case 'B':
			return 1;
		default:
			return 0;
	}
}

/*
 * Digits of four, three or one bits.  What does not fit the integer is left
 * as one bit that says whether it was zero, so that it is rounded once, right.
 */
static bool
parse_radix(const char *s, int len, int bits, double *number)
{
	uint64		value = 0;
	int			exponent = 0;

	for (int i = 2; i < len; i++)
	{
		int			digit = saga_hex_digit(s[i]);

		if (digit < 0 || digit >= 1 << bits)
			return false;
		/* Another digit might not fit. */
		if (value >> 59 != 0)
		{
			exponent += bits;
			value |= digit != 0;
		}
		else
			value = value << bits | digit;
	}
	*number = ldexp((double) value, exponent);
	return isfinite(*number);
}

bool
saga_jsonata_parse_number(const char *s, int len, double *number)
{
	char		small[64];
	char	   *copy = small;
	int			bits = radix_bits(s, len);

	if (bits > 0)
		return parse_radix(s, len, bits, number);
	if (!is_decimal(s, len))
		return false;

	/*
	 * strtod() needs a NUL byte at the end, which texts here do not have.
	 * Numbers are short as a rule, so that nothing is allocated for them.
	 */
	if (len >= sizeof(small))
		copy = palloc(len + 1);
	memcpy(copy, s, len);
	copy[len] = '\0';
	*number = strtod(copy, NULL);
	if (copy != small)
		pfree(copy);
	return isfinite(*number);
}

/*
 * A decimal of a text that is known to be one: numeric_in() raises for others.
 */
static Numeric
numeric_from_text(const char *text)
{
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/* What a double cannot hold, a decimal is not read as either. */
bool
saga_jsonata_parse_numeric(const char *s, int len, Numeric *number)
{
	double		rough;
	bool		negative = len > 0 && *s == '-';
	StringInfoData text;
	bool		ok;

	if (!saga_jsonata_parse_number(s, len, &rough))
		return false;

	/*
	 * A number of another base is taken from the double; of decimals all
	 * digits are kept.
	 */
	initStringInfo(&text);
	if (radix_bits(s, len) > 0)
		appendStringInfo(&text, "%.0f", rough);
	else
	{
		s += negative;
		len -= negative;
		/* JSON knows no zeroes in front */
		for (; len > 1 && s[0] == '0' && is_digit(s[1]); s++)
			len--;
		if (negative)
			appendStringInfoChar(&text, '-');
		appendBinaryStringInfo(&text, s, len);
	}
	ok = saga_numeric_parse(text.data, text.len, number);
	pfree(text.data);
	return ok;
}

/* ---------- rounding ---------- */

/* Half goes to the even neighbour. */
static double
round_half_even(double number)
{
	double		below = floor(number);
	double		rest = number - below;

	if (rest > 0.5 || (rest == 0.5 && fmod(below, 2) != 0))
		below += 1;
	/* no negative zero */
	return below == 0 ? 0 : below;
}

/* Ten to the power of so much more, in the number's text: no digit of it changes. */
static double
shift_point(double number, int places)
{
	char		text[SAGA_JSONATA_NUMBER_TEXT + 16];
	int			len;
	char	   *e;

	if (!isfinite(number))
		return number;
	len = saga_jsonata_number_text(number, text);
	e = memchr(text, 'e', len);
	if (e != NULL)
	{
		places += atoi(e + 1);
		len = e - text;
	}
	snprintf(text + len, sizeof(text) - len, "e%d", places);
	return strtod(text, NULL);
}

double
saga_jsonata_round(double number, int digits)
{
	if (digits == 0)
		return round_half_even(number);

	/*
	 * beyond that everything is 0 or infinite, and sums of them must not
	 * overflow
	 */
	digits = Max(Min(digits, 10000), -10000);
	number = shift_point(round_half_even(shift_point(number, digits)), -digits);
	return number == 0 ? 0 : number;
}

Numeric
saga_jsonata_round_numeric(Numeric number, int digits)
{
	Numeric		rounded,
				unit,
				twice;

	/*
	 * beyond that nothing is left to round, and numeric_round would take its
	 * time
	 */
	digits = Max(Min(digits, MAX_SCALE), -MAX_WHOLE);
	rounded = DatumGetNumeric(DirectFunctionCall2(numeric_round, NumericGetDatum(number), Int32GetDatum(digits)));
	unit = numeric_from_text(psprintf("1e%d", -digits));
	twice = CALL2(numeric_mul, CALL1(numeric_abs, CALL2(numeric_sub, rounded, number)), int64_to_numeric(2));
	if (saga_numeric_compare(twice, unit) == 0)
	{
		/* rounded is even when half of it is a whole number of units */
		Numeric		rest = CALL2(numeric_mod, rounded, CALL2(numeric_mul, unit, int64_to_numeric(2)));

		/* numeric_round went away from zero */
		if (saga_numeric_compare(rest, int64_to_numeric(0)) != 0)
			rounded = saga_numeric_compare(rounded, number) > 0 ?
				CALL2(numeric_sub, rounded, unit) : CALL2(numeric_add, rounded, unit);
	}
	return CALL1(numeric_trim_scale, rounded);
}

/* ---------- decimals as text ---------- */

/* As JavaScript writes numbers: digits, or d.ddde+21, d.ddde-7 when they would be many. */
char *
saga_jsonata_numeric_text(Numeric number)
{
	char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(CALL1(numeric_trim_scale, number))));
	const char *sign = *text == '-' ? "-" : "";
	char	   *whole = text + strlen(sign);
	int			nwhole = strcspn(whole, ".");
	char	   *fraction = whole + nwhole + (whole[nwhole] == '.');
	int			zeroes = strspn(fraction, "0");
	StringInfoData digits;
	int			exponent;

	initStringInfo(&digits);

	/*
	 * All digits are put in one row; the exponent tells where the point was.
	 */
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

/* ---------- other bases ---------- */

/*
 * The digits of a whole number, the last one first.  Beyond 2^53, where it has
 * gaps, places that it does not say are zeroes, as V8 has them.
 */
static void
append_radix(StringInfo out, double number, int radix)
{
	/* The largest double has 1024 digits to the base of 2. */
	char		digits[1100];
	int			n = 0;

	while (number >= MAX_EXACT)
	{
		number /= radix;
		digits[n++] = '0';
	}
	do
	{
		double		rest = fmod(number, radix);

		digits[n++] = "0123456789abcdefghijklmnopqrstuvwxyz"[(int) rest];
		number = (number - rest) / radix;
	} while (number > 0);
	while (n > 0)
		appendStringInfoChar(out, digits[--n]);
}

bool
saga_jsonata_format_base(double number, double radix, StringInfo out, SagaJsonataFault *fault)
{
	char		text[SAGA_JSONATA_NUMBER_TEXT];

	number = round_half_even(number);
	radix = round_half_even(radix);
	if (!(radix >= 2 && radix <= 36))
	{
		saga_jsonata_number_text(radix, text);
		return saga_jsonata_fault(fault, "D3100", "the base of $formatBase must be between 2 and 36, and was %s", text);
	}
	/* Infinity and NaN have no digits in any base. */
	if (radix == 10 || !isfinite(number))
	{
		saga_jsonata_number_text(number, text);
		appendStringInfoString(out, text);
		return true;
	}
	if (number < 0)
		appendStringInfoChar(out, '-');
	append_radix(out, fabs(number), (int) radix);
	return true;
}
