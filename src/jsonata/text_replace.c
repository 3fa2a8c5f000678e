/*
 * text_replace.c
 *		$split, $replace and what they look for, a text or a regular expression.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "jsonata/text_private.h"

/* A step is so many bytes that are searched, or copied. */
#define BYTES_SEARCHED		16
#define BYTES_COPIED		64

/* Searched between two looks for interrupts. */
#define BYTES_AT_ONCE		(1024 * 1024)

/*
 * The C library searches in linear time, whatever the texts.  It does so a
 * window at a time, which takes no longer than a millisecond.
 */
int
saga_jsonata_find(const char *s, int len, const char *part, int part_len, int from)
{
	int64		window = (int64) BYTES_AT_ONCE + part_len;

	if (part_len == 0)
		return from <= len ? from : -1;
	for (int64 at = from; at + part_len <= len; at += BYTES_AT_ONCE)
	{
		const char *found = memmem(s + at, Min(window, len - at), part, part_len);

		if (found != NULL)
			return found - s;
		CHECK_FOR_INTERRUPTS();
	}
	return -1;
}

/*
 * Counts going over a text once. It is enough for all searches of a loop, as
 * each of them begins where the one before has ended.
 */
static bool
charge_search(const SagaJsonataWork *work, int len)
{
	return saga_jsonata_charge(work, 2 + len / BYTES_SEARCHED);
}

/* The limit is a number, and what is counted may stay below a fraction of one. */
static bool
within_limit(double limit, int n)
{
	return limit == SAGA_JSONATA_NO_LIMIT || n < limit;
}

/* ---------- $split ---------- */

typedef struct Parts
{
	SagaJsonataSlice *parts;
	int			n;
	int			max;
} Parts;

/*
 * Adds a part, which stays where it is in the text. The array grows in
 * CurrentMemoryContext. False: no more work is allowed.
 */
static bool
add_part(Parts *parts, const char *s, int len, const SagaJsonataWork *work)
{
	if (!saga_jsonata_charge(work, 1))
		return false;
	if (parts->n == parts->max)
	{
		parts->max = Max(parts->max * 2, 8);
		parts->parts = parts->parts == NULL ? palloc(parts->max * sizeof(SagaJsonataSlice)) :
			repalloc_huge(parts->parts, mul_size(parts->max, sizeof(SagaJsonataSlice)));
	}
	parts->parts[parts->n].s = s;
	parts->parts[parts->n++].len = len;
	return true;
}

/* Each character is a part; of an empty text there are none. */
static bool
split_characters(const char *s, int len, double limit, const SagaJsonataWork *work, Parts *parts)
{
	int			next;

	for (int i = 0; i < len && within_limit(limit, parts->n); i = next)
	{
		for (next = i + 1; next < len && ((unsigned char) s[next] & 0xC0) == 0x80; next++);
		if (!add_part(parts, s + i, next - i, work))
			return false;
	}
	return true;
}

/*
 * $split with a string; with an empty separator each character is a part.
 * False: no more work is allowed.
 */
static bool
split_text(const char *s, int len, const SagaJsonataSlice *separator, double limit, const SagaJsonataWork *work, Parts *parts)
{
	int			from = 0;

	/* as String.split() takes it: a whole number */
	if (limit != SAGA_JSONATA_NO_LIMIT)
		limit = floor(limit);
	if (separator->len == 0)
		return split_characters(s, len, limit, work, parts);
	if (!charge_search(work, len))
		return false;
	while (within_limit(limit, parts->n))
	{
		int			at = saga_jsonata_find(s, len, separator->s, separator->len, from);

		if (!add_part(parts, s + from, (at < 0 ? len : at) - from, work))
			return false;
		if (at < 0)
			break;
		from = at + separator->len;
	}
	return true;
}

/*
 * $split with a regular expression. What follows the last match is a part as
 * well, if the limit allows it.
 */
static bool
split_regex(const char *s, int len, SagaJsonataRegex *regex, double limit, const SagaJsonataWork *work, Parts *parts,
			SagaJsonataFault *fault)
{
	SagaJsonataMatch match;
	bool		matched;
	int			from = 0;

	/*
	 * Nothing is wanted: the expression must not be matched, as that could
	 * fail.
	 */
	if (!within_limit(limit, 0))
		return true;
	if (!saga_jsonata_regex_exec(regex, s, len, 0, work, &match, &matched, fault))
		return false;
	while (matched && within_limit(limit, parts->n))
	{
		if (!add_part(parts, s + from, match.start - from, work))
			return false;
		from = match.end;
		if (!saga_jsonata_regex_next(regex, s, len, work, &match, &matched, fault))
			return false;
	}
	if (within_limit(limit, parts->n))
		return add_part(parts, s + from, len - from, work);
	return true;
}

bool
saga_jsonata_split(const char *s, int len, const SagaJsonataSlice *separator, SagaJsonataRegex *regex, double limit,
				   const SagaJsonataWork *work, SagaJsonataSlice **parts, int *nparts, SagaJsonataFault *fault)
{
	Parts		found = {NULL, 0, 0};

	if (separator != NULL ? !split_text(s, len, separator, limit, work, &found) :
		!split_regex(s, len, regex, limit, work, &found, fault))
		return false;
	*parts = found.parts;
	*nparts = found.n;
	return true;
}

/* ---------- $replace ---------- */

/* Digits of the number of groups: so many may follow a "$". */
static int
count_digits(int n)
{
	int			digits = 1;

	for (; n >= 10; n /= 10)
		digits++;
	return digits;
}

/* Up to so many digits at a place as a number; -1: there is none. */
static int
read_number(const char *s, int left, int max)
{
	int			number = -1;

	for (int i = 0; i < Min(left, max) && s[i] >= '0' && s[i] <= '9'; i++)
		number = Max(number, 0) * 10 + (s[i] - '0');
	return number;
}

/*
 * What "$" and digits stand for; returns the bytes that were read behind the
 * "$".  Without digits it is a "$".  A number that there is no group for is
 * read with a digit less, and then stands for nothing.
 */
static int
append_group(StringInfo out, const char *s, int left, const SagaJsonataSlice *groups, int ngroups)
{
	int			max = count_digits(ngroups);
	int			group = read_number(s, left, max);

	if (max > 1 && group > ngroups)
		group = read_number(s, left, max - 1);
	if (group < 0)
	{
		appendStringInfoChar(out, '$');
		return 0;
	}
	if (group >= 1 && group <= ngroups && groups[group - 1].s != NULL)
		appendBinaryStringInfo(out, groups[group - 1].s, groups[group - 1].len);
	/* as many as the number is printed with: of "01" one */
	return count_digits(group);
}

void
saga_jsonata_append_replacement(StringInfo out, const char *replacement, int len, const SagaJsonataSlice *match,
								const SagaJsonataSlice *groups, int ngroups)
{
	for (int i = 0; i < len;)
	{
		if (replacement[i] != '$')
			appendStringInfoChar(out, replacement[i++]);
		else if (i + 1 < len && replacement[i + 1] == '$')
		{
			appendStringInfoChar(out, '$');
			i += 2;
		}
		else if (i + 1 < len && replacement[i + 1] == '0')
		{
			appendBinaryStringInfo(out, match->s, match->len);
			i += 2;
		}
		else
			i += 1 + append_group(out, replacement + i + 1, len - i - 1, groups, ngroups);
	}
}

/* Counts what was appended since the last time, before more is. */
static bool
check_room(StringInfo out, int *counted, int more, const SagaJsonataWork *work, SagaJsonataFault *fault)
{
	if ((int64) out->len + more > SAGA_JSONATA_MAX_TEXT)
		return saga_jsonata_fault(fault, "D2015", "the result of $replace is too long");

	/*
	 * What is appended next is counted in advance, and again by the next
	 * call: the estimate is on the safe side.
	 */
	if (!saga_jsonata_charge(work, 1 + (int64) (out->len - *counted + more) / BYTES_COPIED))
		return false;
	*counted = out->len;
	return true;
}

/*
 * $replace with a string, which is not empty. "$" has no meaning in the
 * replacement then. False: the result would be too long (D2015), or no more
 * work is allowed.
 */
static bool
replace_text(const char *s, int len, const SagaJsonataSlice *pattern, const char *replacement, int replacement_len,
			 double limit, const SagaJsonataWork *work, StringInfo out, SagaJsonataFault *fault)
{
	int			from = 0;
	int			counted = out->len;

	if (!charge_search(work, len))
		return false;
	for (int n = 0; within_limit(limit, n); n++)
	{
		int			at = saga_jsonata_find(s, len, pattern->s, pattern->len, from);

		if (at < 0)
			break;
		if (!check_room(out, &counted, at - from + replacement_len, work, fault))
			return false;
		appendBinaryStringInfo(out, s + from, at - from);
		appendBinaryStringInfo(out, replacement, replacement_len);
		from = at + pattern->len;
	}
	if (!check_room(out, &counted, len - from, work, fault))
		return false;
	appendBinaryStringInfo(out, s + from, len - from);
	return true;
}

/* What one match can become at most: each two bytes of the replacement may be the longest group. */
static int64
longest_replacement(const SagaJsonataMatch *match, int replacement_len)
{
	int			longest = match->end - match->start;

	for (int i = 0; i < match->ngroups; i++)
		longest = Max(longest, match->groups[i].len);
	return replacement_len + (int64) longest * (replacement_len / 2);
}

/*
 * $replace with a regular expression. How long a replacement gets is not known
 * before it is made, so that there must be room for the longest one.
 */
static bool
replace_regex(const char *s, int len, SagaJsonataRegex *regex, const char *replacement, int replacement_len, double limit,
			  const SagaJsonataWork *work, StringInfo out, SagaJsonataFault *fault)
{
	SagaJsonataMatch match;
	bool		matched = false;
	int			from = 0;
	int			counted = out->len;
	int			n = 0;

	if (within_limit(limit, 0) && !saga_jsonata_regex_exec(regex, s, len, 0, work, &match, &matched, fault))
		return false;
	for (; matched && within_limit(limit, n); n++)
	{
		SagaJsonataSlice whole = {s + match.start, match.end - match.start};
		int64		longest = longest_replacement(&match, replacement_len);

		if (longest > SAGA_JSONATA_MAX_TEXT)
			return saga_jsonata_fault(fault, "D2015", "the result of $replace is too long");
		if (!check_room(out, &counted, match.start - from + (int) longest, work, fault))
			return false;
		appendBinaryStringInfo(out, s + from, match.start - from);
		saga_jsonata_append_replacement(out, replacement, replacement_len, &whole, match.groups, match.ngroups);
		from = match.end;
		if (!saga_jsonata_regex_next(regex, s, len, work, &match, &matched, fault))
			return false;
	}
	if (!check_room(out, &counted, len - from, work, fault))
		return false;
	appendBinaryStringInfo(out, s + from, len - from);
	return true;
}

bool
saga_jsonata_replace(const char *s, int len, const SagaJsonataSlice *pattern, SagaJsonataRegex *regex,
					 const char *replacement, int replacement_len, double limit, const SagaJsonataWork *work, StringInfo out,
					 SagaJsonataFault *fault)
{
	if (pattern != NULL)
	{
		if (pattern->len == 0)
			return saga_jsonata_fault(fault, "D3010", "argument 2 of $replace must not be an empty string");
		return replace_text(s, len, pattern, replacement, replacement_len, limit, work, out, fault);
	}
	return replace_regex(s, len, regex, replacement, replacement_len, limit, work, out, fault);
}
