/*
 * decimal.c
 *		Decimals: from JSON to numeric, exact division, comparison.
 */
#include "postgres.h"

#include "invoice/decimal_private.h"

/* What a number looks like, found without computing it. */
typedef struct NumberForm
{
	int			length;			/* characters of the number itself */
	int			whole;			/* digits before the point, without leading zeros */
	int			fraction;		/* digits after it */
	int			last;			/* digits after the last that is not zero */
	int			exponent;		/* clamped to +-1000000 */
	bool		zero;
} NumberForm;

/* White space of JSON, and no other. */
static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/*
 * -?digits(.digits)?([eE][+-]?digits)?, all of the text.  numeric_in takes
 * more ("NaN", ".5", "+5", and from version 16 "0x1F" and "1_000"), so its
 * opinion is not asked.
 */
static bool
scan_number(const char *text, int len, NumberForm *form)
{
	const char *p = text;
	const char *end = text + len;
	bool		negative;

	memset(form, 0, sizeof(*form));
	form->zero = true;
	if (p < end && *p == '-')
		p++;
	if (p == end || !isdigit((unsigned char) *p))
		return false;
	for (; p < end && isdigit((unsigned char) *p); p++)
	{
		if (*p != '0')
			form->zero = false;
		if (!form->zero)
			form->whole++;
		form->last = (*p == '0') ? form->last + 1 : 0;
	}
	if (p < end && *p == '.')
	{
		p++;
		if (p == end || !isdigit((unsigned char) *p))
			return false;
		for (; p < end && isdigit((unsigned char) *p); p++)
		{
			if (*p != '0')
				form->zero = false;
			form->fraction++;
			form->last = (*p == '0') ? form->last + 1 : 0;
		}
	}
	if (p < end && (*p == 'e' || *p == 'E'))
	{
		p++;
		negative = (p < end && *p == '-');
		if (p < end && (*p == '-' || *p == '+'))
			p++;
		if (p == end || !isdigit((unsigned char) *p))
			return false;
		for (; p < end && isdigit((unsigned char) *p); p++)
			form->exponent = Min(form->exponent * 10 + (*p - '0'), 1000000);
		if (negative)
			form->exponent = -form->exponent;
	}
	form->length = p - text;
	return p == end;
}

/*
 * Reads an amount.  False: not a decimal, or beyond the limits of invoice_private.h;
 * result then is given without a value.
 */
bool
saga_decimal_parse(const char *text, int len, SagaDecimal *result)
{
	char		buffer[SAGA_DECIMAL_MAX_LENGTH + 1];
	NumberForm	form;

	result->given = true;
	result->value = NULL;
	result->scale = 0;

	while (len > 0 && is_blank(text[0]))
	{
		text++;
		len--;
	}
	while (len > 0 && is_blank(text[len - 1]))
		len--;
	if (len > SAGA_DECIMAL_MAX_LENGTH || !scan_number(text, len, &form))
		return false;
	if (form.exponent > 2 * SAGA_DECIMAL_MAX_DIGITS || form.exponent < -2 * SAGA_DECIMAL_MAX_DIGITS ||
		form.whole + form.exponent > SAGA_DECIMAL_MAX_DIGITS ||
		form.fraction - form.exponent > SAGA_DECIMAL_MAX_DIGITS)
		return false;

	memcpy(buffer, text, len);
	buffer[len] = '\0';
	result->value = saga_decimal_constant(buffer);
	if (!form.zero)
		result->scale = Max(form.fraction - form.exponent - form.last, 0);
	return true;
}

/*
 * Can jsonb keep this JSON number?  numeric has 131072 digits before the
 * point and 16383 after it; the margin is for the digits of one group.
 */
bool
saga_decimal_storable(const char *text, int len)
{
	NumberForm	form;

	return scan_number(text, len, &form) &&
		form.exponent >= -16000 && form.exponent <= 100000 &&
		form.whole + form.exponent <= 131000 &&
		form.fraction - form.exponent <= 16383 && form.fraction <= 16383;
}

/* A number of ours, as text: it is always valid. */
Numeric
saga_decimal_constant(const char *text)
{
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/*
 * a / b (b > 0) rounded half away from zero.  numeric's own division rounds
 * its quotient, and rounding that again can go wrong; so divide integers:
 * floor((2 |a| 10^decimals + b) / 2b).
 */
Numeric
saga_decimal_divide(Numeric a, Numeric b, int decimals)
{
	Numeric		two = int64_to_numeric(2);
	Numeric		shift = saga_decimal_constant(psprintf("1e%d", decimals));
	Numeric		unit = saga_decimal_constant(psprintf("1e-%d", decimals));
	Numeric		dividend = dec_add(dec_mul(dec_mul(two, dec_abs(a)), shift), b);
	Datum		quotient = DirectFunctionCall2(numeric_div_trunc, NumericGetDatum(dividend),
											   NumericGetDatum(dec_mul(two, b)));
	Numeric		result = dec_mul(DatumGetNumeric(quotient), unit);

	if (dec_cmp(a, int64_to_numeric(0)) < 0)
		result = DatumGetNumeric(DirectFunctionCall1(numeric_uminus, NumericGetDatum(result)));
	return result;
}

/* a * percent / 100, exact: a product keeps all decimals, a quotient does not */
Numeric
saga_decimal_percent(Numeric a, Numeric percent)
{
	return dec_mul(dec_mul(a, percent), saga_decimal_constant("0.01"));
}

/* Equality of amounts: at max(2, minor unit) decimals. */
bool
saga_decimal_equal(const SagaCheck *check, Numeric a, Numeric b)
{
	return dec_cmp(a, b) == 0 ||
		dec_cmp(dec_round(a, check->compare), dec_round(b, check->compare)) == 0;
}
