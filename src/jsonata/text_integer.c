/*
 * text_integer.c
 *		$formatInteger and $parseInteger: pictures of XPath's fn:format-integer.
 */
#include "postgres.h"

#include <math.h>

#include "utils/builtins.h"

#include "common/text.h"
#include "jsonata/text_wide_private.h"

/* A larger Roman number is a row of M, longer than anybody reads. */
#define MAX_ROMAN	10000000.0

/* Bytes that are read as one number without looking for interrupts. */
#define MAX_READ	(1024 * 1024)

/* The zeroes of decimal digits; each has its nine others behind it. */
static const pg_wchar zeroes[] = {
	0x0030, 0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66,
	0x0de6, 0x0e50, 0x0ed0, 0x0f20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50,
	0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10
};

/* ---------- the picture ---------- */

/* The zero of the digit's family; 0: it is no digit. */
static pg_wchar
zero_of(pg_wchar c)
{
	for (int i = 0; i < lengthof(zeroes); i++)
		if (c >= zeroes[i] && c <= zeroes[i] + 9)
			return zeroes[i];
	return 0;
}

/* Pictures that are a word, and no digits. */
static bool
read_named(const char *s, int len, SagaJsonataIntegerPicture *picture)
{
	static const struct
	{
		const char *name;
		SagaJsonataIntegerKind kind;
		SagaJsonataCase letters;
	}			named[] =

	{
		{"A", SAGA_JSONATA_LETTERS, SAGA_JSONATA_UPPER},
		{"a", SAGA_JSONATA_LETTERS, SAGA_JSONATA_LOWER},
		{"I", SAGA_JSONATA_ROMAN, SAGA_JSONATA_UPPER},
		{"i", SAGA_JSONATA_ROMAN, SAGA_JSONATA_LOWER},
		{"W", SAGA_JSONATA_WORDS, SAGA_JSONATA_UPPER},
		{"w", SAGA_JSONATA_WORDS, SAGA_JSONATA_LOWER},
		{"Ww", SAGA_JSONATA_WORDS, SAGA_JSONATA_TITLE},
	};

	for (int i = 0; i < lengthof(named); i++)
	{
		if (strlen(named[i].name) != len || memcmp(named[i].name, s, len) != 0)
			continue;
		picture->kind = named[i].kind;
		picture->letters = named[i].letters;
		return true;
	}
	return false;
}

/* Digits, "#" for those that may be missing, and anything else between groups of them: from the right. */
static bool
read_digits(const char *s, int len, SagaJsonataIntegerPicture *picture, SagaJsonataFault *fault)
{
	SagaJsonataWide wide = saga_jsonata_wide(s, len);
	int			mandatory = 0;
	int			position = 0;

	picture->positions = palloc(sizeof(int) * (wide.len + 1));
	picture->separators = palloc(sizeof(pg_wchar) * (wide.len + 1));
	for (int i = wide.len - 1; i >= 0; i--)
	{
		pg_wchar	zero = zero_of(wide.chars[i]);

		if (zero != 0)
		{
			/*
			 * Digits of two families (D3131) would leave open which one to
			 * write with.
			 */
			if (mandatory > 0 && zero != picture->zero)
				return saga_jsonata_fault(fault, "D3131", "all digits of the picture \"%.*s\" must be of one family", len, s);
			picture->zero = zero;
			mandatory++;
			position++;
		}
		else if (wide.chars[i] == '#')
		{
			picture->optional++;
			position++;
		}
		else
		{
			picture->positions[picture->nseparators] = position;
			picture->separators[picture->nseparators++] = wide.chars[i];
		}
	}
	if (mandatory == 0)
	{
		picture->kind = SAGA_JSONATA_SEQUENCE;
		return true;
	}
	picture->mandatory = mandatory;
	return true;
}

/* Groups are of one size only when one character separates them all. */
static int
group_size(const SagaJsonataIntegerPicture *picture)
{
	for (int i = 1; i < picture->nseparators; i++)
		if (picture->separators[i] != picture->separators[0])
			return 0;
	return saga_jsonata_regular_group(picture->positions, picture->nseparators);
}

/*
 * Reads a picture of an integer, which ends with ";o" for an ordinal. The
 * result refers to the text of the picture, so that it must not outlive it;
 * its arrays are in CurrentMemoryContext. A picture without digits is not
 * refused here but where it is used.
 */
bool
saga_jsonata_integer_picture(const char *s, int len, SagaJsonataIntegerPicture *picture, SagaJsonataFault *fault)
{
	int			semicolon = len - 1;

	if (!saga_jsonata_check_picture(len, fault))
		return false;
	memset(picture, 0, sizeof(*picture));
	/* Pictures that are words or letters have no number of digits. */
	picture->mandatory = -1;
	while (semicolon >= 0 && s[semicolon] != ';')
		semicolon--;
	if (semicolon >= 0)
	{
		picture->ordinal = semicolon + 1 < len && s[semicolon + 1] == 'o';
		len = semicolon;
	}
	picture->token = s;
	picture->token_len = len;
	if (read_named(s, len, picture))
		return true;
	if (!read_digits(s, len, picture, fault))
		return false;
	if (picture->kind == SAGA_JSONATA_DECIMAL)
		picture->group = group_size(picture);
	return true;
}

/*
 * The fault (D3130) of a picture that is neither digits nor one of the known
 * words. Always false, for the caller to return.
 */
bool
saga_jsonata_sequence_fault(const SagaJsonataIntegerPicture *picture, SagaJsonataFault *fault)
{
	return saga_jsonata_fault(fault, "D3130", "numbers as a sequence that starts with \"%.*s\" are not supported",
							  picture->token_len, picture->token);
}

/* ---------- writing ---------- */

/* As columns of a spreadsheet are named. */
static void
write_letters(double number, char first, StringInfo out)
{
	char		letters[256];
	int			n = 0;

	/* a double has 219 of them at most */
	for (; number > 0 && n < sizeof(letters); number = floor((number - 1) / 26))
		letters[n++] = (char) (first + (int) fmod(number - 1, 26));
	while (n > 0)
		appendStringInfoChar(out, letters[--n]);
}

/*
 * Writes a Roman number. False (D2015): it would have more than ten thousand
 * M, which nobody wants and which take time.
 */
static bool
write_roman(double number, bool upper, StringInfo out, SagaJsonataFault *fault)
{
	static const struct
	{
		int			value;
		const char *upper;
		const char *lower;
	}			numerals[] =

	{
		{1000, "M", "m"}, {900, "CM", "cm"}, {500, "D", "d"}, {400, "CD", "cd"}, {100, "C", "c"}, {90, "XC", "xc"},
		{50, "L", "l"}, {40, "XL", "xl"}, {10, "X", "x"}, {9, "IX", "ix"}, {5, "V", "v"}, {4, "IV", "iv"}, {1, "I", "i"},
	};

	if (number > MAX_ROMAN)
		return saga_jsonata_fault(fault, "D2015", "the number is too large for a Roman one");
	for (int i = 0; i < lengthof(numerals); i++)
		for (; number >= numerals[i].value; number -= numerals[i].value)
			appendStringInfoString(out, upper ? numerals[i].upper : numerals[i].lower);
	return true;
}

/*
 * Writes the number in words. They come in title case and are changed where
 * they stand, behind what was appended before.
 */
static void
write_words(double number, const SagaJsonataIntegerPicture *picture, StringInfo out)
{
	int			from = out->len;

	saga_jsonata_write_words(number, picture->ordinal, out);
	if (picture->letters == SAGA_JSONATA_TITLE)
		return;
	for (int i = from; i < out->len; i++)
		out->data[i] = picture->letters == SAGA_JSONATA_UPPER ? pg_ascii_toupper(out->data[i]) : pg_ascii_tolower(out->data[i]);
}

/*
 * Separators of groups of different sizes, the leftmost first.  A number that
 * has fewer digits than that gets it in front; then the rest of the
 * characters is counted from the right, as the reference does.
 */
static void
separate_irregular(SagaJsonataWide *wide, const SagaJsonataIntegerPicture *picture)
{
	for (int i = picture->nseparators - 1; i >= 0; i--)
	{
		int			at = wide->len - picture->positions[i];

		if (at < 0)
		{
			/* what stands before the last -at characters is lost there */
			int			lost = Max(wide->len + at, 0);

			memmove(wide->chars, wide->chars + lost, (wide->len - lost) * sizeof(pg_wchar));
			wide->len -= lost;
		}
		saga_jsonata_wide_insert(wide, at, &picture->separators[i], 1);
	}
}

/*
 * Puts the same separator between groups of the same size. It begins at the
 * left, so that what is to the right of a place has no separators yet when it
 * is counted.
 */
static void
separate_regular(SagaJsonataWide *wide, const SagaJsonataIntegerPicture *picture)
{
	int			n = (wide->len - 1) / picture->group;

	for (int i = n; i > 0; i--)
		saga_jsonata_wide_insert(wide, wide->len - i * picture->group, &picture->separators[0], 1);
}

/* 1st, 2nd, 3rd; but 11th, 12th, 13th. */
static const char *
ordinal_ending(const SagaJsonataWide *wide)
{
	pg_wchar	last = wide->chars[wide->len - 1];

	if (wide->len > 1 && wide->chars[wide->len - 2] == '1')
		return "th";
	return last == '1' ? "st" : last == '2' ? "nd" : last == '3' ? "rd" : "th";
}

/*
 * Writes digits in the picture's family, with zeroes in front up to the number
 * that must be there, and with separators.
 */
static void
write_digits(const char *digits, const SagaJsonataIntegerPicture *picture, StringInfo out)
{
	SagaJsonataWide wide = saga_jsonata_wide("", 0);
	int			n = strlen(digits);

	for (int i = n; i < picture->mandatory; i++)
		saga_jsonata_wide_char(&wide, picture->zero);
	for (int i = 0; i < n; i++)
		saga_jsonata_wide_char(&wide, digits[i] >= '0' && digits[i] <= '9' ? picture->zero + (digits[i] - '0') : (pg_wchar) digits[i]);
	if (picture->group > 0)
		separate_regular(&wide, picture);
	else
		separate_irregular(&wide, picture);
	saga_jsonata_append_wide(out, wide.chars, wide.len);
	if (picture->ordinal)
		appendStringInfoString(out, ordinal_ending(&wide));
}

bool
saga_jsonata_write_integer(double number, const char *digits, const SagaJsonataIntegerPicture *picture, StringInfo out,
						   SagaJsonataFault *fault)
{
	char		text[SAGA_JSONATA_NUMBER_TEXT];

	if (picture->kind == SAGA_JSONATA_SEQUENCE)
		return saga_jsonata_sequence_fault(picture, fault);
	if (!isfinite(number))
		return saga_jsonata_fault(fault, "D1001", "the number is out of range");
	/* The sign goes before words and letters as well. */
	if (number < 0)
		appendStringInfoChar(out, '-');
	number = fabs(number);
	switch (picture->kind)
	{
		case SAGA_JSONATA_LETTERS:
			write_letters(number, picture->letters == SAGA_JSONATA_UPPER ? 'A' : 'a', out);
			return true;
		case SAGA_JSONATA_ROMAN:
			return write_roman(number, picture->letters == SAGA_JSONATA_UPPER, out, fault);
		case SAGA_JSONATA_WORDS:
			write_words(number, picture, out);
			return true;
		default:
			break;
	}
	/* Doubles have the digits that JavaScript prints. */
	if (digits == NULL)
	{
		saga_jsonata_number_text(number, text);
		digits = text;
	}
	write_digits(digits, picture, out);
	return true;
}

bool
saga_jsonata_format_integer(double number, const char *picture, int len, StringInfo out, SagaJsonataFault *fault)
{
	SagaJsonataIntegerPicture parsed;

	return saga_jsonata_integer_picture(picture, len, &parsed, fault) &&
		saga_jsonata_write_integer(floor(number), NULL, &parsed, out, fault);
}

/* All digits are kept where the picture has digits; words and letters are those of a double. */
bool
saga_jsonata_format_integer_numeric(Numeric number, const char *picture, int len, StringInfo out, SagaJsonataFault *fault)
{
	Datum		whole = DirectFunctionCall1(numeric_floor, NumericGetDatum(number));
	char	   *digits = DatumGetCString(DirectFunctionCall1(numeric_out, whole));
	SagaJsonataIntegerPicture parsed;

	return saga_jsonata_integer_picture(picture, len, &parsed, fault) &&
		saga_jsonata_write_integer(DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, whole)),
								   digits + (*digits == '-'), &parsed, out, fault);
}

/* ---------- reading ---------- */

/*
 * The number of a column of a spreadsheet. Characters that are no such letters
 * are not refused, as in the reference, and make odd numbers.
 */
static double
read_letters(const char *s, int len, char first)
{
	SagaJsonataWide wide = saga_jsonata_wide(s, len);
	double		number = 0;

	for (int i = 0; i < wide.len; i++)
		number = number * 26 + ((double) wide.chars[i] - first + 1);
	return number;
}

/* The value of a Roman digit in upper case; -1: it is none. */
static int
roman_value(char c)
{
	switch (c)
	{
		case 'M':
			return 1000;
		case 'D':
			return 500;
		case 'C':
			return 100;
		case 'L':
			return 50;
		case 'X':
			return 10;
		case 'V':
			return 5;
		case 'I':
			return 1;
		default:
			return -1;
	}
}

/* From the right: a letter that is less than one behind it is taken off. */
static double
read_roman(const char *s, int len, bool upper)
{
	double		number = 0;
	int			max = 1;

	for (int i = len - 1; i >= 0; i--)
	{
		int			value = roman_value(upper ? s[i] : pg_ascii_toupper(s[i]));

		if (value < 0)
			return NAN;
		if (value < max)
			number -= value;
		else
		{
			max = value;
			number += value;
		}
	}
	return number;
}

double
saga_jsonata_parse_int(const char *s, int len)
{
	const char *end = s + len;
	bool		negative;
	StringInfoData digits;
	double		number = NAN;
	int			n = 0;

	while (s < end && (*s == ' ' || (*s >= '\t' && *s <= '\r')))
		s++;
	negative = s < end && *s == '-';
	if (s < end && (*s == '-' || *s == '+'))
		s++;
	initStringInfo(&digits);

	/*
	 * strtod() reads hexadecimal digits by itself behind "0x". It gets no
	 * more than what parseInt() would take, and so no fraction or exponent.
	 */
	if (end - s > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') && saga_hex_digit(s[2]) >= 0)
	{
		for (n = 2; s + n < end && saga_hex_digit(s[n]) >= 0; n++);
	}
	else
		for (; s + n < end && s[n] >= '0' && s[n] <= '9'; n++);
	appendBinaryStringInfo(&digits, s, n);
	if (n > 0)
		number = strtod(digits.data, NULL);
	pfree(digits.data);
	return negative ? -number : number;
}

/*
 * Whether a character is passed over in digits. With groups of one size it is
 * the comma, whatever separates them in the picture, as in the reference.
 */
static bool
is_separator(const SagaJsonataIntegerPicture *picture, pg_wchar c)
{
	if (picture->group > 0)
		return c == ',';
	for (int i = 0; i < picture->nseparators; i++)
		if (picture->separators[i] == c)
			return true;
	return false;
}

/* Separators may stand anywhere; of an ordinal the two last letters are no digits. */
static double
read_digits_of(const char *s, int len, const SagaJsonataIntegerPicture *picture)
{
	SagaJsonataWide wide = saga_jsonata_wide(s, len);
	StringInfoData digits;
	double		number;

	if (picture->ordinal)
		wide.len = Max(wide.len - 2, 0);
	initStringInfo(&digits);
	for (int i = 0; i < wide.len; i++)
	{
		pg_wchar	c = wide.chars[i];

		if (is_separator(picture, c))
			continue;

		/*
		 * Anything that is no digit of the family ends the number: "x" stands
		 * for it.
		 */
		if (picture->zero != '0')
			c = c >= picture->zero && c <= picture->zero + 9 ? c - picture->zero + '0' : 'x';
		appendStringInfoChar(&digits, c < 0x80 ? (char) c : 'x');
	}
	number = saga_jsonata_parse_int(digits.data, digits.len);
	pfree(digits.data);
	return number;
}

double
saga_jsonata_read_integer(const char *s, int len, const SagaJsonataIntegerPicture *picture)
{
	char	   *lower;

	switch (picture->kind)
	{
		case SAGA_JSONATA_LETTERS:
			return read_letters(s, len, picture->letters == SAGA_JSONATA_UPPER ? 'A' : 'a');
		case SAGA_JSONATA_ROMAN:
			return read_roman(s, len, picture->letters == SAGA_JSONATA_UPPER);
		case SAGA_JSONATA_WORDS:
			lower = pnstrdup(s, len);
			for (int i = 0; i < len; i++)
				lower[i] = pg_ascii_tolower(lower[i]);
			return saga_jsonata_read_words(lower, len);
		default:
			return read_digits_of(s, len, picture);
	}
}

bool
saga_jsonata_parse_integer(const char *s, int len, const char *picture, int picture_len, double *number,
						   SagaJsonataFault *fault)
{
	SagaJsonataIntegerPicture parsed;

	if (!saga_jsonata_integer_picture(picture, picture_len, &parsed, fault))
		return false;

	/*
	 * This is told before the text is looked at; a text that is no number is
	 * no fault, but NaN.
	 */
	if (parsed.kind == SAGA_JSONATA_SEQUENCE)
		return saga_jsonata_sequence_fault(&parsed, fault);
	if (len > MAX_READ)
		return saga_jsonata_fault(fault, "D2015", "the text is too long for $parseInteger");
	*number = saga_jsonata_read_integer(s, len, &parsed);
	return true;
}
