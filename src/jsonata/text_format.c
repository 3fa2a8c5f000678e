/*
 * text_format.c
 *		$formatNumber: a number written as a picture says.
 *
 * The number is scaled and rounded as a double or as a decimal; from its
 * digits on both are written alike.  The text is built as the reference
 * implementation builds it, one change after the other, as some pictures show
 * what it does with places that lie outside of a short number.
 */
#include "postgres.h"

#include <math.h>

#include "utils/builtins.h"

#include "jsonata/text_picture_private.h"
#include "value/value.h"

/* A double goes to 1.8e308, and a decimal must not be longer either. */
#define MAX_WHOLE		400

#define CALL1(fn, a) DatumGetNumeric(DirectFunctionCall1(fn, NumericGetDatum(a)))
#define CALL2(fn, a, b) DatumGetNumeric(DirectFunctionCall2(fn, NumericGetDatum(a), NumericGetDatum(b)))

/* A number that is ready to be written. */
typedef struct Scaled
{
	char	   *digits;			/* of its absolute value, with all places of the fraction */
	int			exponent;
} Scaled;

/* ---------- doubles ---------- */

/* Moves the point until so many digits stand in front of it, or a power of ten does. */
static double
scale_mantissa(double number, int scaling, int *exponent)
{
	double		most = pow(10, scaling);
	double		least = pow(10, scaling - 1);

	*exponent = 0;
	if (number == 0 || !isfinite(number))
		return number;
	for (; fabs(number) < least; (*exponent)--)
		number *= 10;
	for (; fabs(number) > most && isfinite(most); (*exponent)++)
		number /= 10;
	return number;
}

/* As Number.prototype.toFixed() does, which gives up beyond 1e21. */
static char *
fixed_text(double number, int places)
{
	char	   *text;

	if (number >= 1e21)
	{
		text = palloc(SAGA_JSONATA_NUMBER_TEXT);
		saga_jsonata_number_text(number, text);
		return text;
	}
	text = palloc(places + 32);
	snprintf(text, places + 32, "%.*f", places, number);
	return text;
}

/*
 * Makes digits of a double: it is multiplied by 100 or 1000 for percent or per
 * mille, brought to its exponent, and rounded as $round does.
 */
static Scaled
scale_double(double number, const SagaJsonataPicture *picture)
{
	Scaled		scaled = {NULL, 0};

	number *= picture->factor;
	if (picture->min_exponent > 0)
		number = scale_mantissa(number, picture->scaling, &scaled.exponent);
	scaled.digits = fixed_text(fabs(saga_jsonata_round(number, picture->max_fraction)), picture->max_fraction);
	return scaled;
}

/* ---------- decimals ---------- */

/* The digits of a decimal, palloc'd. */
static char *
numeric_text(Numeric number)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));
}

/* Ten to a power, which may be negative; a decimal holds it exactly. */
static Numeric
power_of_ten(int exponent)
{
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(psprintf("1e%d", exponent)),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/* Digits in front of the point; of what is below one, less than one: 0 of 0.1, -1 of 0.01. */
static int
whole_digits(const char *text)
{
	int			whole = strcspn(text, ".");

	if (text[0] != '0')
		return whole;
	return text[whole] == '.' ? -(int) strspn(text + whole + 1, "0") : 0;
}

/* As scale_mantissa does; what comes from above stops at a power of ten. */
static Numeric
scale_numeric_mantissa(Numeric number, int scaling, int *exponent)
{
	char	   *text = numeric_text(CALL1(numeric_trim_scale, CALL1(numeric_abs, number)));
	int			shift = scaling - whole_digits(text);

	*exponent = 0;
	if (strcmp(text, "0") == 0)
		return number;
	if (shift < 0 && text[0] == '1' && text[1 + strspn(text + 1, "0")] == '\0')
		shift++;
	*exponent = -shift;
	return CALL2(numeric_mul, number, power_of_ten(shift));
}

/* As scale_double does, without losing a digit of a decimal. */
static Scaled
scale_numeric(Numeric number, const SagaJsonataPicture *picture)
{
	Scaled		scaled = {NULL, 0};
	Datum		rounded;

	number = CALL2(numeric_mul, number, int64_to_numeric(picture->factor));
	if (picture->min_exponent > 0)
		number = scale_numeric_mantissa(number, picture->scaling, &scaled.exponent);
	number = CALL1(numeric_abs, saga_jsonata_round_numeric(number, picture->max_fraction));

	/*
	 * The number is rounded already, half to even, but has lost the zeroes at
	 * its end: this gives it all places of the fraction again.
	 */
	rounded = DirectFunctionCall2(numeric_round, NumericGetDatum(number), Int32GetDatum(picture->max_fraction));
	scaled.digits = DatumGetCString(DirectFunctionCall1(numeric_out, rounded));
	return scaled;
}

/* ---------- writing ---------- */

/* A place as JavaScript's slice() takes it: a negative one counts from the end. */
static int
slice_place(const SagaJsonataWide *text, int at)
{
	return at < 0 ? at + text->len : at;
}

/* Puts a separator of groups at a place, which may count from the end. */
static void
insert_group(SagaJsonataWide *text, int at, const SagaJsonataSigns *signs)
{
	const SagaJsonataWide *sign = &signs->wide[SAGA_JSONATA_GROUPING_SEPARATOR];

	saga_jsonata_wide_insert(text, slice_place(text, at), sign->chars, sign->len);
}

/* Puts n zeroes at a place; none when n is negative. */
static void
insert_zeroes(SagaJsonataWide *text, int at, int n, const SagaJsonataSigns *signs)
{
	for (int i = 0; i < n; i++)
		saga_jsonata_wide_insert(text, at, &signs->zero, 1);
}

/*
 * A digit in the family of the zero that the options give. Other characters,
 * such as the exponent of a very large double, stay.
 */
static pg_wchar
own_digit(const SagaJsonataSigns *signs, char c)
{
	return c >= '0' && c <= '9' ? signs->zero + (c - '0') : (pg_wchar) c;
}

/* The digits without zeroes at either end, and a point, always. */
static void
take_digits(SagaJsonataWide *text, const char *digits, const SagaJsonataSigns *signs)
{
	const SagaJsonataWide *point = &signs->wide[SAGA_JSONATA_DECIMAL_SEPARATOR];
	int			n = strlen(digits);
	bool		has_point = strchr(digits, '.') != NULL;

	digits += strspn(digits, "0");
	n = strlen(digits);
	while (has_point && n > 0 && digits[n - 1] == '0')
		n--;
	for (int i = 0; i < n; i++)
	{
		if (digits[i] == '.')
			saga_jsonata_wide_insert(text, text->len, point->chars, point->len);
		else
			saga_jsonata_wide_char(text, own_digit(signs, digits[i]));
	}
	if (!has_point)
		saga_jsonata_wide_insert(text, text->len, point->chars, point->len);
}

/*
 * Where the point is. Each insertion in front of it moves it, so that it is
 * looked for anew after those.
 */
static int
find_point(const SagaJsonataWide *text, const SagaJsonataSigns *signs)
{
	const SagaJsonataWide *point = &signs->wide[SAGA_JSONATA_DECIMAL_SEPARATOR];

	return saga_jsonata_wide_find(text, point->chars, point->len, 0);
}

/* Zeroes where the picture has digits. */
static void
fill_up(SagaJsonataWide *text, const SagaJsonataPicture *picture, const SagaJsonataSigns *signs)
{
	int			point = find_point(text, signs);
	int			left = picture->min_whole - point;
	int			right = picture->min_fraction - (text->len - point - 1);

	insert_zeroes(text, text->len, right, signs);
	insert_zeroes(text, 0, left, signs);
}

/*
 * Puts the separators of groups in, and takes the point off when it is not
 * wanted: until here the text always has one.
 */
static void
separate_groups(SagaJsonataWide *text, const SagaJsonataPicture *picture, const SagaJsonataSigns *signs)
{
	int			point = find_point(text, signs);

	if (picture->group > 0)
	{
		for (int n = (point - 1) / picture->group, i = 1; i <= n; i++)
			insert_group(text, point - i * picture->group, signs);
	}
	else
		for (int i = 0; i < picture->nwhole_groups; i++)
			insert_group(text, point++ - picture->whole_groups[i], signs);
	point = find_point(text, signs);
	for (int i = 0; i < picture->nfraction_groups; i++)
		insert_group(text, picture->fraction_groups[i] + point + 1, signs);
	point = find_point(text, signs);
	if (!picture->has_point || point == text->len - 1)
		text->len = Max(text->len - 1, 0);
}

/* Appends the exponent with at least the picture's number of digits. */
static void
write_exponent(SagaJsonataWide *text, int exponent, const SagaJsonataPicture *picture, const SagaJsonataSigns *signs)
{
	const SagaJsonataWide *sign = &signs->wide[SAGA_JSONATA_EXPONENT_SEPARATOR];
	const SagaJsonataWide *minus = &signs->wide[SAGA_JSONATA_MINUS_SIGN];
	char		digits[16];
	int			n = snprintf(digits, sizeof(digits), "%d", abs(exponent));

	saga_jsonata_wide_insert(text, text->len, sign->chars, sign->len);
	if (exponent < 0)
		saga_jsonata_wide_insert(text, text->len, minus->chars, minus->len);
	insert_zeroes(text, text->len, picture->min_exponent - n, signs);
	for (int i = 0; i < n; i++)
		saga_jsonata_wide_char(text, own_digit(signs, digits[i]));
}

/*
 * Writes the scaled number between prefix and suffix. "minus": it is negative,
 * and the picture has no second part for such numbers, so that a sign in front
 * tells it.
 */
static void
write_number(const Scaled *scaled, const SagaJsonataPicture *picture, bool minus, const SagaJsonataSigns *signs, StringInfo out)
{
	SagaJsonataWide text = saga_jsonata_wide("", 0);
	const SagaJsonataWide *sign = &signs->wide[SAGA_JSONATA_MINUS_SIGN];

	take_digits(&text, scaled->digits, signs);
	fill_up(&text, picture, signs);
	separate_groups(&text, picture, signs);
	if (picture->min_exponent > 0)
		write_exponent(&text, scaled->exponent, picture, signs);
	if (minus)
		saga_jsonata_append_wide(out, sign->chars, sign->len);
	saga_jsonata_append_wide(out, picture->text.chars, picture->prefix);
	saga_jsonata_append_wide(out, text.chars, text.len);
	saga_jsonata_append_wide(out, picture->text.chars + picture->suffix, picture->text.len - picture->suffix);
}

bool
saga_jsonata_format_number(double number, const char *picture, int len, const SagaJsonataSymbols *symbols, StringInfo out,
						   SagaJsonataFault *fault)
{
	SagaJsonataSigns signs;
	SagaJsonataPicture pictures[2];
	bool		negative = !(number >= 0);
	const SagaJsonataPicture *chosen;
	Scaled		scaled;
	int			n;

	saga_jsonata_signs(symbols, &signs);

	/*
	 * A picture that is wrong is told before a number that is. Of two
	 * pictures the second one is for negative numbers.
	 */
	if (!saga_jsonata_read_picture(picture, len, &signs, pictures, &n, fault))
		return false;
	if (!isfinite(number))
		return saga_jsonata_fault(fault, "D1001", "the number is out of range");
	chosen = &pictures[negative ? n - 1 : 0];
	scaled = scale_double(number, chosen);
	write_number(&scaled, chosen, negative && n == 1, &signs, out);
	return true;
}

bool
saga_jsonata_format_numeric(Numeric number, const char *picture, int len, const SagaJsonataSymbols *symbols, StringInfo out,
							SagaJsonataFault *fault)
{
	SagaJsonataSigns signs;
	SagaJsonataPicture pictures[2];
	bool		negative = saga_numeric_compare(number, int64_to_numeric(0)) < 0;
	const SagaJsonataPicture *chosen;
	Scaled		scaled;
	int			n;

	saga_jsonata_signs(symbols, &signs);
	if (!saga_jsonata_read_picture(picture, len, &signs, pictures, &n, fault))
		return false;

	/*
	 * A decimal may have many thousands of digits, and pictures are worked
	 * through a digit at a time.
	 */
	if (whole_digits(numeric_text(CALL1(numeric_abs, number))) > MAX_WHOLE)
		return saga_jsonata_fault(fault, "D1001", "the number is out of range");
	chosen = &pictures[negative ? n - 1 : 0];
	scaled = scale_numeric(number, chosen);
	write_number(&scaled, chosen, negative && n == 1, &signs, out);
	return true;
}
