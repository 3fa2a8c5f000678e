/*
 * text_calendar.c
 *		Dates and weeks, as JavaScript and ISO 8601 count them.
 *
 * Milliseconds since 1970 in a double, as in JavaScript: 100 million days to
 * either side are times, and anything else is none.
 */
#include "postgres.h"

#include <math.h>

#include "jsonata/text_datetime_private.h"

#define MAX_MILLIS	8.64e15
#define MAX_YEAR	300000

const char *const saga_jsonata_months[12] = {
	"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"
};

const char *const saga_jsonata_weekdays[8] = {
	"", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"
};

/* Days since 1970 of a date of the Gregorian calendar; years are counted from March, so that February is the last month. */
static int64
days_of(int year, int month, int day)
{
	int			y = month < 2 ? year - 1 : year;
	int			era = (y >= 0 ? y : y - 399) / 400;
	int			year_of_era = y - era * 400;
	int			day_of_year = (153 * ((month + 10) % 12) + 2) / 5 + day - 1;

	return (int64) era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

/* The reverse. */
static void
date_of(int64 days, SagaJsonataTime *time)
{
	int64		shifted = days + 719468;
	int64		era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
	int			day_of_era = (int) (shifted - era * 146097);
	int			year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int			day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int			month = (5 * day_of_year + 2) / 153;

	time->day = day_of_year - (153 * month + 2) / 5 + 1;
	time->month = (month + 2) % 12;
	time->year = (int) (year_of_era + era * 400) + (time->month < 2);
}

double
saga_jsonata_clip_time(double millis)
{
	return fabs(millis) <= MAX_MILLIS ? millis : NAN;
}

bool
saga_jsonata_take_time(double millis, SagaJsonataTime *time)
{
	int64		days;
	int			rest;

	if (!(fabs(millis) <= MAX_MILLIS))
		return false;

	/*
	 * A fraction of a millisecond is cut off towards 1970, as JavaScript
	 * does.
	 */
	millis = trunc(millis);

	/*
	 * The days are rounded down, so that the rest is not negative before 1970
	 * either.
	 */
	days = (int64) floor(millis / SAGA_JSONATA_DAY_MS);
	rest = (int) (millis - days * SAGA_JSONATA_DAY_MS);
	memset(time, 0, sizeof(*time));
	time->millis = millis;
	date_of(days, time);

	/*
	 * The first day of 1970 was a Thursday, which is 4; the 7 more keep the
	 * remainder of a negative number of days from being negative.
	 */
	time->weekday = (int) ((days % 7 + 11) % 7);
	time->hour = rest / 3600000;
	time->minute = rest / 60000 % 60;
	time->second = rest / 1000 % 60;
	time->milli = rest % 1000;
	return true;
}

double
saga_jsonata_days(double year, double month, double day)
{
	int			m;

	year = trunc(year);
	month = trunc(month);
	day = trunc(day);
	/* also for NaN */
	if (!(fabs(year) < MAX_YEAR && fabs(month) < MAX_YEAR && fabs(day) < 1e9))
		return NAN;

	/*
	 * Months outside of 0 to 11 belong to years before or after; days may be
	 * any number, as they are only added.
	 */
	year += floor(month / 12);
	m = (int) (month - floor(month / 12) * 12);
	return (double) days_of((int) year, m, 1) + day - 1;
}

double
saga_jsonata_utc(double year, double month, double day)
{
	double		whole = trunc(year);

	return saga_jsonata_days(whole >= 0 && whole <= 99 ? whole + 1900 : whole, month, day) * SAGA_JSONATA_DAY_MS;
}

/* ---------- weeks ---------- */

/*
 * The Monday of the week with the first Thursday of a year (month 0) or of
 * any month.
 */
static double
first_week(int year, int month)
{
	double		first = saga_jsonata_utc(year, month, 1);
	int			weekday = (int) (((int64) (first / SAGA_JSONATA_DAY_MS) % 7 + 11) % 7);

	/*
	 * ISO 8601 counts Sunday as the last day of its week. The first day lies
	 * in the first week unless it comes after Thursday.
	 */
	if (weekday == 0)
		weekday = 7;
	return first + (weekday > 4 ? 8 - weekday : 1 - weekday) * SAGA_JSONATA_DAY_MS;
}

/* The week that a day is in, counted from one that begins a year or month. */
static double
weeks_since(double start, double day)
{
	return (day - start) / (SAGA_JSONATA_DAY_MS * 7) + 1;
}

/*
 * The week in the year, or in the month.  The last days may belong to the next
 * one's first week, the first days to the last week of the one before.
 */
static int
week_of(const SagaJsonataTime *time, bool in_month)
{
	int			months = in_month ? time->month : 0;
	int			step = in_month ? 1 : 12;
	double		today = saga_jsonata_utc(time->year, time->month, time->day);
	double		week = weeks_since(first_week(time->year, months), today);

	/*
	 * Week 53, or 5, exists only when the next year, or month, has not begun
	 * its first week by then.
	 */
	if (week > (in_month ? 4 : 52))
	{
		if (today >= first_week(time->year + (months + step) / 12, (months + step) % 12))
			week = 1;
	}
	else if (week < 1)
		week = weeks_since(first_week(time->year - (months < step), (months - step + 12) % 12), today);
	return (int) floor(week);
}

/* The year that the week belongs to. */
static int
week_year(const SagaJsonataTime *time)
{
	if (time->millis < first_week(time->year, 0))
		return time->year - 1;
	return time->millis >= first_week(time->year + 1, 0) ? time->year + 1 : time->year;
}

/* The month that the week belongs to, 1 to 12. */
static int
week_month(const SagaJsonataTime *time)
{
	int			next = (time->month + 1) % 12;

	if (time->millis < first_week(time->year, time->month))
		return (time->month + 11) % 12 + 1;
	return time->millis >= first_week(time->year + (next == 0), next) ? next + 1 : time->month + 1;
}

int
saga_jsonata_component(const SagaJsonataTime *time, char component)
{
	switch (component)
	{
		case 'Y':
			return time->year;
		case 'M':
			return time->month + 1;
		case 'D':
			return time->day;
		case 'd':
			return (int) (days_of(time->year, time->month, time->day) - days_of(time->year, 0, 1)) + 1;
		case 'F':
			return time->weekday == 0 ? 7 : time->weekday;
		case 'W':
			return week_of(time, false);
		case 'w':
			return week_of(time, true);
		case 'X':
			return week_year(time);
		case 'x':
			return week_month(time);
		case 'H':
			return time->hour;
		case 'h':
			return time->hour % 12 == 0 ? 12 : time->hour % 12;
		case 'm':
			return time->minute;
		case 's':
			return time->second;
		default:
			/* Only 'f' is left of the components that callers ask for. */
			return time->milli;
	}
}
