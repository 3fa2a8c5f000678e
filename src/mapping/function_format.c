/*
 * function_format.c
 *		$formatNumber: pictures like "#,##0.00", as XPath's format-number and
 *		JSONata read them, without exponents and without groups of different
 *		sizes.
 *
 * A picture is cut at ";" into one for positive and one for negative numbers,
 * each into a prefix, digits and a suffix.  parse_picture() reads it, also to
 * check a literal when the expression is saved; append_number() writes a
 * number by it.  parse_* return NULL, or what is wrong.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "mapping/mapping_private.h"

#define DIGITS		"0123456789"
#define PER_MILLE	"\xe2\x80\xb0"

#define INVALID		"the picture is not valid"

typedef struct Picture
{
	char	   *prefix;
	char	   *suffix;
	int			min_integer;	/* digits before the point, filled up with zeroes */
	int			min_fraction;	/* digits behind it that are always written */
	int			max_fraction;	/* more are rounded away */
	int			group;			/* 0: no separators */
	bool		has_point;
	int			factor;			/* 1, or 100 and 1000 for percent and per mille */
} Picture;

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* How many digits, with '#' or without, are in a text. */
static int
count_digits(const char *s, bool optional)
{
	int			n = 0;

	for (; *s != '\0'; s++)
		n += is_digit(*s) || (optional && *s == '#');
	return n;
}

/*
 * How often a text holds another; they may overlap, which for the marks that
 * are counted here makes no difference.
 */
static int
count_text(const char *s, const char *what)
{
	int			n = 0;

	for (s = strstr(s, what); s != NULL; s = strstr(s + 1, what))
		n++;
	return n;
}

/*
 * The greatest common divisor; gcd(a, 0) is a, which lets find_group() begin
 * with 0.
 */
static int
gcd(int a, int b)
{
	return b == 0 ? a : gcd(b, a % b);
}

/* The distance between separators, when they are all of one. */
static const char *
find_group(const char *integer, int *group)
{
	int			positions[64];
	int			n = 0;

	*group = 0;
	for (const char *s = strchr(integer, ','); s != NULL; s = strchr(s + 1, ','))
	{
		if (n == lengthof(positions))
			return "the picture has too many separators";
		positions[n++] = count_digits(s, true);
		*group = gcd(positions[n - 1], *group);
	}
	for (int i = 1; i <= n; i++)
	{
		bool		found = false;

		for (int j = 0; j < n; j++)
			found |= positions[j] == i * *group;
		if (!found)
			return "groups of different sizes are not supported in mappings";
	}
	return NULL;
}

/*
 * Reads what stands before the point: "#" may be filled or not, and must not
 * come behind a digit that must be.
 */
static const char *
parse_integer(const char *integer, Picture *picture)
{
	const char *optional = strchr(integer, '#');

	if (optional != NULL && count_digits(pnstrdup(integer, optional - integer), false) > 0)
		return INVALID;
	picture->min_integer = count_digits(integer, false);
	return find_group(integer, &picture->group);
}

/*
 * Reads what stands behind the point, where it is the other way round: digits
 * that must be there come first.
 */
static const char *
parse_fraction(const char *fraction, Picture *picture)
{
	const char *optional = strrchr(fraction, '#');

	if (strchr(fraction, ',') != NULL)
		return "separators behind the point are not supported in mappings";
	if (optional != NULL && count_digits(optional, false) > 0)
		return INVALID;
	picture->min_fraction = count_digits(fraction, false);
	picture->max_fraction = count_digits(fraction, true);
	return NULL;
}

/*
 * Reads the digits of a picture, which it changes: the point becomes the end
 * of the first half.  A picture that asks for no digit at all gets one, as in
 * XPath, so that no number becomes an empty text.
 */
static const char *
parse_active(char *active, Picture *picture)
{
	char	   *point = strchr(active, '.');
	int			n;
	const char *error;

	if (strchr(active, 'e') != NULL)
		return "exponents are not supported in mappings";
	if (strspn(active, DIGITS ".,#") != strlen(active) || count_digits(active, true) == 0 ||
		count_text(active, ".") > 1 || strstr(active, ",,") != NULL || strstr(active, ",.") != NULL ||
		strstr(active, ".,") != NULL)
		return INVALID;
	picture->has_point = point != NULL;
	if (point != NULL)
		*point = '\0';
	n = strlen(active);
	if (n > 0 && active[n - 1] == ',')
		return INVALID;
	error = parse_integer(active, picture);
	if (error == NULL && point != NULL)
		error = parse_fraction(point + 1, picture);
	if (picture->min_integer == 0 && picture->max_fraction == 0)
		picture->min_integer = 1;
	if (picture->min_integer == 0 && picture->min_fraction == 0)
		picture->min_fraction = 1;
	return error;
}

/*
 * Cuts one half of a picture into what stands before the digits, the digits
 * and what comes behind.  One percent or per mille sign anywhere multiplies
 * the number.
 */
static const char *
parse_part(const char *text, Picture *picture)
{
	int			percents = count_text(text, "%");
	int			per_milles = count_text(text, PER_MILLE);
	int			start = strcspn(text, DIGITS ".,#");
	int			end = strlen(text);

	memset(picture, 0, sizeof(*picture));
	if (percents + per_milles > 1 || text[start] == '\0')
		return INVALID;
	picture->factor = percents > 0 ? 100 : per_milles > 0 ? 1000 : 1;
	/* there is a digit at text[start], so that this ends */
	while (strchr(DIGITS ".,#", text[end - 1]) == NULL)
		end--;
	if (text[end] == 'e')
		return INVALID;
	picture->prefix = pnstrdup(text, start);
	picture->suffix = pstrdup(text + end);
	return parse_active(pnstrdup(text + start, end - start), picture);
}

/* The second part of a picture is for negative numbers. */
static const char *
parse_picture(const char *s, int len, Picture *pictures)
{
	char	   *text;
	char	   *second;
	const char *error;

	if (len > 1000)
		return "the picture is too long";
	text = pnstrdup(s, len);
	second = strchr(text, ';');
	if (second != NULL)
	{
		*second++ = '\0';
		if (strchr(second, ';') != NULL)
			return INVALID;
	}
	error = parse_part(text, &pictures[0]);
	if (error != NULL)
		return error;
	if (second != NULL)
		return parse_part(second, &pictures[1]);
	pictures[1] = pictures[0];
	pictures[1].prefix = psprintf("-%s", pictures[0].prefix);
	return NULL;
}

/*
 * NULL, or what is wrong with a picture, as it is told when the expression is
 * saved.
 */
const char *
saga_map_picture_check(const char *s, int len)
{
	Picture		pictures[2];

	return parse_picture(s, len, pictures);
}

/*
 * Writes the number, which is rounded already and loses its sign here,
 * because the choice of the picture says it.  Zeroes at the end of the
 * fraction fall away down to min_fraction.
 */
static void
append_number(StringInfo buf, const Picture *picture, Numeric number)
{
	Numeric		absolute = DatumGetNumeric(DirectFunctionCall1(numeric_abs, NumericGetDatum(number)));
	Datum		scaled = DirectFunctionCall2(numeric_round, NumericGetDatum(absolute), Int32GetDatum(picture->max_fraction));
	char	   *whole = DatumGetCString(DirectFunctionCall1(numeric_out, scaled));
	char	   *fraction = strchr(whole, '.');
	int			nwhole;
	int			nfraction = 0;
	int			missing;
	int			digits;

	if (fraction != NULL)
	{
		*fraction++ = '\0';
		nfraction = strlen(fraction);
		while (nfraction > 0 && fraction[nfraction - 1] == '0')
			nfraction--;
	}
	whole += strspn(whole, "0");
	nwhole = strlen(whole);
	missing = Max(picture->min_integer - nwhole, 0);
	digits = nwhole + missing;
	for (int i = 0; i < digits; i++)
	{
		if (i > 0 && picture->group > 0 && (digits - i) % picture->group == 0)
			appendStringInfoChar(buf, ',');
		appendStringInfoChar(buf, i < missing ? '0' : whole[i - missing]);
	}
	missing = Max(picture->min_fraction - nfraction, 0);
	if (!picture->has_point || nfraction + missing == 0)
		return;
	appendStringInfoChar(buf, '.');
	appendBinaryStringInfo(buf, fraction, nfraction);
	for (int i = 0; i < missing; i++)
		appendStringInfoChar(buf, '0');
}

/*
 * $formatNumber(number, picture): multiplies for percents, rounds half to
 * even as JSONata does, and writes.
 */
bool
saga_map_format_number(SagaMapCall *call)
{
	const SagaMapValue *v = &call->args[0];
	const SagaMapValue *text = &call->args[1];
	Picture		pictures[2];
	Picture    *picture = pictures;
	SagaMapValue scaled;
	StringInfoData buf;
	const char *error;

	if (v->type == SAGA_MAP_NOTHING)
		return true;
	if (text->type == SAGA_MAP_NOTHING)
		return saga_map_call_error(call, "needs a picture");
	error = parse_picture(text->u.string, text->count, pictures);
	if (!saga_map_charge(call->ev, 20) || !saga_map_charge_bytes(call->ev, (int64) text->count * 8))
		return false;
	if (error != NULL)
		return saga_map_call_error(call, "cannot use its picture: %s", error);
	if (saga_numeric_compare(v->u.number, int64_to_numeric(0)) < 0)
		picture = &pictures[1];
	if (!saga_map_arithmetic(call->ev, '*', v->u.number, int64_to_numeric(picture->factor), &scaled))
		return false;
	initStringInfo(&buf);
	appendStringInfoString(&buf, picture->prefix);
	append_number(&buf, picture, saga_map_round_even(scaled.u.number, picture->max_fraction));
	appendStringInfoString(&buf, picture->suffix);
	saga_map_set_string(call->result, buf.data, buf.len);
	return true;
}
