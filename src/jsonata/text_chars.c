/*
 * text_chars.c
 *		Characters of a text: counted, cut out, compared, filled up.
 *
 * JSONata counts code points, JavaScript UTF-16 units.  The first byte of a
 * character alone tells its length here, so that nothing is read beyond the
 * end of a text which is cut within one.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "jsonata/text_private.h"

/* Between two looks for interrupts. */
#define BYTES_AT_ONCE	(1024 * 1024)

/*
 * Counts work that is about to be done. False: no more is allowed, and the
 * owner of the callback has filled its fault, so that the caller only returns.
 * Without a counter everything is allowed.
 */
bool
saga_jsonata_charge(const SagaJsonataWork *work, int64 steps)
{
	return work == NULL || work->charge(work->arg, steps);
}

/* A byte that is not the first one of its character. */
static inline bool
is_continuation(char c)
{
	return ((unsigned char) c & 0xC0) == 0x80;
}

int
saga_jsonata_length(const char *s, int len)
{
	int			n = 0;

	for (int i = 0; i < len; i++)
		n += !is_continuation(s[i]);
	return n;
}

/* Four bytes are two units. */
int
saga_jsonata_utf16_length(const char *s, int len)
{
	int			n = 0;

	for (int i = 0; i < len; i++)
		n += !is_continuation(s[i]) + ((unsigned char) s[i] >= 0xF0);
	return n;
}

/*
 * The order of UTF-8 is that of code points.  In UTF-16 what lies beyond
 * U+FFFF begins with D800 to DBFF, and so comes before U+E000 to U+FFFF:
 * before the first bytes EE and EF.
 */
int
saga_jsonata_compare(const char *a, int alen, const char *b, int blen)
{
	int			n = Min(alen, blen);
	int			i = 0;
	unsigned char ca,
				cb;

	/* whatever comes first: one byte differs there, or one text is over */
	if (memcmp(a, b, n) == 0)
		return alen < blen ? -1 : alen > blen;
	while (a[i] == b[i])
		i++;
	ca = (unsigned char) a[i];
	cb = (unsigned char) b[i];
	if (ca >= 0xEE && cb >= 0xEE && (ca >= 0xF0) != (cb >= 0xF0))
		return ca >= 0xF0 ? -1 : 1;
	return ca < cb ? -1 : 1;
}

/* The place of a character, counted from the place "from"; the end when there are fewer. */
static int
skip_chars(const char *s, int len, int from, int64 n)
{
	int			i = from;

	while (i < len && n > 0)
	{
		i++;
		while (i < len && is_continuation(s[i]))
			i++;
		n--;
	}
	return i;
}

/* As JavaScript takes an index: without a fraction, NaN is 0. */
static double
to_index(double number)
{
	return isnan(number) ? 0 : trunc(number);
}

/* As Array.slice() takes one: from the end when negative, cut to what is there. */
static int64
slice_index(double index, int n)
{
	index = to_index(index);
	if (index < 0)
		return (int64) Max(index + n, 0);
	return (int64) Min(index, (double) n);
}

SagaJsonataSlice
saga_jsonata_substring(const char *s, int len, double start, double length)
{
	int			n = saga_jsonata_length(s, len);
	SagaJsonataSlice part = {s, 0};
	int64		first;
	int64		last = n;
	int			from;

	/*
	 * A start further to the left than the first character is the first one.
	 */
	if (n + start < 0)
		start = 0;
	if (!isnan(length))
	{
		if (length <= 0)
			return part;

		/*
		 * The end is computed from the start as it was given, with its
		 * fraction, and only then made a whole number: 0.5 and 0.5 are one
		 * character.
		 */
		last = slice_index(start >= 0 ? start + length : n + start + length, n);
	}
	first = slice_index(start, n);
	if (first >= last)
		return part;
	from = skip_chars(s, len, 0, first);
	part.s = s + from;
	part.len = skip_chars(s, len, from, last - first) - from;
	return part;
}

/* So many characters of the fill, again and again. */
static void
append_fill(StringInfo out, const char *fill, int fill_len, int64 n)
{
	int			fill_chars = Max(saga_jsonata_length(fill, fill_len), 1);

	for (int64 done = 0; n >= fill_chars; n -= fill_chars, done += fill_len)
	{
		if (done >= BYTES_AT_ONCE)
		{
			CHECK_FOR_INTERRUPTS();
			done = 0;
		}
		appendBinaryStringInfo(out, fill, fill_len);
	}
	/* What is left is less than the whole fill: its first characters. */
	appendBinaryStringInfo(out, fill, skip_chars(fill, fill_len, 0, n));
}

bool
saga_jsonata_pad(const char *s, int len, double width, const char *fill, int fill_len,
				 const SagaJsonataWork *work, StringInfo out, SagaJsonataFault *fault)
{
	double		missing = fabs(to_index(width)) - saga_jsonata_length(s, len);

	if (fill == NULL || fill_len == 0)
	{
		fill = " ";
		fill_len = 1;
	}
	if (missing <= 0)
	{
		appendBinaryStringInfo(out, s, len);
		return true;
	}
	/* a character has four bytes at most */
	if (missing * Min(fill_len, 4) + len > SAGA_JSONATA_MAX_TEXT)
		return saga_jsonata_fault(fault, "D2015", "the result of $pad is too long");
	if (!saga_jsonata_charge(work, (int64) missing / 4))
		return false;
	if (width > 0)
		appendBinaryStringInfo(out, s, len);
	append_fill(out, fill, fill_len, (int64) missing);
	if (width < 0)
		appendBinaryStringInfo(out, s, len);
	return true;
}

/* Of Unicode's blanks these are meant, as in the reference. */
static inline bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

void
saga_jsonata_trim(const char *s, int len, StringInfo out)
{
	/*
	 * The caller may have appended something before, which is no word of this
	 * text.
	 */
	int			begin = out->len;

	for (int i = 0; i < len;)
	{
		int			word = i;

		while (i < len && !is_blank(s[i]))
			i++;
		if (i > word)
		{
			if (out->len > begin)
				appendStringInfoChar(out, ' ');
			appendBinaryStringInfo(out, s + word, i - word);
		}
		while (i < len && is_blank(s[i]))
			i++;
	}
}
