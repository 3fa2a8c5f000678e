/*
 * text_words.c
 *		Numbers in English words, written and read.
 */
#include "postgres.h"

#include <math.h>

#include "jsonata/text_wide_private.h"

/* Ordinals are these with "th", but for those that the second table has. */
static const char *const small_numbers[] = {
	"Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten",
	"Eleven", "Twelve", "Thirteen", "Fourteen", "Fifteen", "Sixteen", "Seventeen", "Eighteen", "Nineteen"
};
static const char *const small_ordinals[] = {
	"Zeroth", "First", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth", "Ninth", "Tenth",
	"Eleventh", "Twelfth", "Thirteenth", "Fourteenth", "Fifteenth", "Sixteenth", "Seventeenth", "Eighteenth", "Nineteenth"
};
static const char *const tens[] = {"Twenty", "Thirty", "Forty", "Fifty", "Sixty", "Seventy", "Eighty", "Ninety"};
static const char *const powers[] = {"Thousand", "Million", "Billion", "Trillion"};

/* ---------- writing ---------- */

static void write_part(double number, bool follows, bool ordinal, StringInfo out);

/* What is left behind a word, or the ending that makes the word an ordinal. */
static void
write_rest(double rest, bool ordinal, StringInfo out)
{
	if (rest > 0)
		write_part(rest, true, ordinal, out);
	else if (ordinal)
		appendStringInfoString(out, "th");
}

/* 20 to 99. */
static void
write_tens(int number, bool ordinal, StringInfo out)
{
	const char *word = tens[number / 10 - 2];

	if (number % 10 > 0)
		appendStringInfo(out, "%s-%s", word, (ordinal ? small_ordinals : small_numbers)[number % 10]);
	else if (ordinal)
		appendStringInfo(out, "%.*sieth", (int) strlen(word) - 1, word);
	else
		appendStringInfoString(out, word);
}

/*
 * A number, which is the first part or follows another one.  Beyond the last
 * word the number of trillions is a number in words again: a double has some
 * twenty-five of them inside each other at most.
 */
static void
write_part(double number, bool follows, bool ordinal, StringInfo out)
{
	double		factor,
				count;
	int			power;

	if (follows)
		appendStringInfoString(out, number < 100 ? " and " : ", ");
	if (number < 20)
		appendStringInfoString(out, (ordinal ? small_ordinals : small_numbers)[(int) number]);
	else if (number < 100)
		write_tens((int) number, ordinal, out);
	else if (number < 1000)
	{
		appendStringInfo(out, "%s Hundred", small_numbers[(int) (number / 100)]);
		write_rest(fmod(number, 100), ordinal, out);
	}
	else
	{
		power = Min((int) floor(log10(number) / 3), lengthof(powers));
		factor = pow(10, power * 3);
		count = floor(number / factor);
		write_part(count, false, false, out);
		appendStringInfo(out, " %s", powers[power - 1]);
		write_rest(number - count * factor, ordinal, out);
	}
}

/* A whole number that is not negative. */
void
saga_jsonata_write_words(double number, bool ordinal, StringInfo out)
{
	write_part(number, false, ordinal, out);
}

/* ---------- reading ---------- */

/* Whether the text is a word and an ending, whatever the word's letters. */
static bool
is_word(const char *s, int len, const char *word, int word_len, const char *ending)
{
	return len == word_len + strlen(ending) && pg_strncasecmp(s, word, word_len) == 0 &&
		memcmp(s + word_len, ending, strlen(ending)) == 0;
}

/* NaN: no word of a number. */
static double
word_value(const char *s, int len)
{
	for (int i = 0; i < lengthof(small_numbers); i++)
		if (is_word(s, len, small_numbers[i], strlen(small_numbers[i]), "") ||
			is_word(s, len, small_ordinals[i], strlen(small_ordinals[i]), ""))
			return i;
	for (int i = 0; i < lengthof(tens); i++)
		if (is_word(s, len, tens[i], strlen(tens[i]), "") || is_word(s, len, tens[i], strlen(tens[i]) - 1, "ieth"))
			return (i + 2) * 10;
	if (is_word(s, len, "Hundred", 7, "") || is_word(s, len, "Hundred", 7, "th"))
		return 100;
	for (int i = 0; i < lengthof(powers); i++)
		if (is_word(s, len, powers[i], strlen(powers[i]), "") || is_word(s, len, powers[i], strlen(powers[i]), "th"))
			return pow(10, (i + 1) * 3);
	return NAN;
}

/* What \s of a regular expression matches in ASCII. */
static bool
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Bytes of what stands between two words, here; 0: nothing. */
static int
separator_length(const char *s, int left)
{
	if (left >= 2 && s[0] == ',' && is_blank(s[1]))
		return 2;
	if (left >= 5 && is_blank(s[0]) && memcmp(s + 1, "and", 3) == 0 && is_blank(s[4]))
		return 5;
	/* The reference splits at a backslash, too. */
	return left >= 1 && (is_blank(s[0]) || s[0] == '\\' || s[0] == '-') ? 1 : 0;
}

/*
 * "two thousand, one hundred and five": a word below hundred is added to what
 * has been read, a larger one multiplies it; what has reached a thousand is
 * put aside, and all is added in the end.
 */
double
saga_jsonata_read_words(const char *s, int len)
{
	double		sum = 0;
	double		last = 0;
	int			from = 0;

	for (int i = 0; i <= len; i++)
	{
		int			separator = i < len ? separator_length(s + i, len - i) : 1;
		double		value;

		if (separator == 0)
			continue;

		/*
		 * An unknown word is NaN, and takes the second way below: all that
		 * comes of it is NaN then.
		 */
		value = word_value(s + from, i - from);
		if (value < 100)
		{
			if (last >= 1000)
			{
				sum += last;
				last = 0;
			}
			last += value;
		}
		else
			last *= value;
		from = i + separator;
		i = from - 1;
	}
	return sum + last;
}

void
saga_jsonata_words_pattern(StringInfo out)
{
	for (int i = 0; i < lengthof(small_numbers); i++)
		appendStringInfo(out, "%s|%s|", small_numbers[i], small_ordinals[i]);
	for (int i = 0; i < lengthof(tens); i++)
		appendStringInfo(out, "%s|%.*sieth|", tens[i], (int) strlen(tens[i]) - 1, tens[i]);
	for (int i = 0; i < lengthof(powers); i++)
		appendStringInfo(out, "%s|%sth|", powers[i], powers[i]);
	appendStringInfoString(out, "Hundred|Hundredth");
}
