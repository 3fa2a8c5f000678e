/*
 * timestamp.c
 *		RFC 3339 timestamps, read without the session's time zone or DateStyle.
 *
 * The readers below take a pointer that they move, and the end.  All fields
 * have the number of digits that RFC 3339 asks for; there are no leap
 * seconds, and no year before 0000 can be written.
 */
#include "postgres.h"

#include "utils/datetime.h"

#include "value/value.h"

/* n digits at *p; -1 if there are fewer */
static int
digits(const char **p, const char *end, int n)
{
	int			value = 0;

	if (end - *p < n)
		return -1;
	for (int i = 0; i < n; i++, (*p)++)
	{
		if (**p < '0' || **p > '9')
			return -1;
		value = value * 10 + (**p - '0');
	}
	return value;
}

/* Skips the character if it comes next. */
static bool
literal(const char **p, const char *end, char c)
{
	if (*p >= end || **p != c)
		return false;
	(*p)++;
	return true;
}

/* Up to nine digits after the point, as nanoseconds. */
static bool
parse_fraction(const char **p, const char *end, int *nanos)
{
	int			n = 0;

	*nanos = 0;
	if (!literal(p, end, '.'))
		return true;
	while (*p < end && **p >= '0' && **p <= '9')
	{
		if (++n > 9)
			return false;
		*nanos = *nanos * 10 + (*(*p)++ - '0');
	}
	if (n == 0)
		return false;
	for (; n < 9; n++)
		*nanos *= 10;
	return true;
}

/*
 * "Z", or hours and minutes, as seconds east of Greenwich.  Offsets beyond 18
 * hours are refused.
 */
static bool
parse_offset(const char **p, const char *end, int *seconds)
{
	int			sign = *p < end && **p == '-' ? -1 : 1;
	int			hour,
				minute;

	*seconds = 0;
	if (literal(p, end, 'Z'))
		return true;
	if (!literal(p, end, '+') && !literal(p, end, '-'))
		return false;
	hour = digits(p, end, 2);
	if (!literal(p, end, ':'))
		return false;
	minute = digits(p, end, 2);
	if (hour < 0 || hour > 18 || minute < 0 || minute > 59)
		return false;
	*seconds = sign * (hour * SECS_PER_HOUR + minute * SECS_PER_MINUTE);
	return true;
}

/*
 * False when the text is none.  Arithmetic is done on days and seconds, which
 * needs no table of time zones.
 */
bool
saga_timestamp_parse(const char *text, int len, TimestampTz *result, int *nanoseconds)
{
	const char *p = text;
	const char *end = text + len;
	int			year,
				month,
				day,
				hour,
				minute,
				second,
				nanos,
				offset;
	int64		days;

	if ((year = digits(&p, end, 4)) < 0 || !literal(&p, end, '-') ||
		(month = digits(&p, end, 2)) < 1 || month > 12 || !literal(&p, end, '-') ||
		(day = digits(&p, end, 2)) < 1 || day > day_tab[isleap(year)][month - 1] ||
		!literal(&p, end, 'T') ||
		(hour = digits(&p, end, 2)) < 0 || hour > 23 || !literal(&p, end, ':') ||
		(minute = digits(&p, end, 2)) < 0 || minute > 59 || !literal(&p, end, ':') ||
		(second = digits(&p, end, 2)) < 0 || second > 59 ||
		!parse_fraction(&p, end, &nanos) || !parse_offset(&p, end, &offset) || p != end)
		return false;

	days = date2j(year, month, day) - POSTGRES_EPOCH_JDATE;
	*result = ((days * SECS_PER_DAY + hour * SECS_PER_HOUR + minute * SECS_PER_MINUTE + second - offset)
			   * USECS_PER_SEC) + nanos / 1000;
	if (nanoseconds != NULL)
		*nanoseconds = nanos % 1000;
	return true;
}
