/*
 * text_datetime_private.h
 *		Times, and pictures of them.
 */
#ifndef SAGA_JSONATA_TEXT_DATETIME_PRIVATE_H
#define SAGA_JSONATA_TEXT_DATETIME_PRIVATE_H

#include "jsonata/text_wide_private.h"

/* ---------- the calendar (text_calendar.c) ---------- */

#define SAGA_JSONATA_DAY_MS		86400000.0

/* As JavaScript has them: month 0 to 11, weekday 0 (Sunday) to 6. */
typedef struct SagaJsonataTime
{
	double		millis;			/* since 1970, UTC */
	int			year;
	int			month;
	int			day;
	int			weekday;
	int			hour;
	int			minute;
	int			second;
	int			milli;
} SagaJsonataTime;

/* False: no time that JavaScript has. */
extern bool saga_jsonata_take_time(double millis, SagaJsonataTime *time);

/* Days since 1970; all may be outside of their ranges.  NaN: no date. */
extern double saga_jsonata_days(double year, double month, double day);

/* As Date.UTC() in milliseconds: of years 0 to 99 it makes 1900 to 1999. */
extern double saga_jsonata_utc(double year, double month, double day);

/* NaN unless JavaScript has such a time. */
extern double saga_jsonata_clip_time(double millis);

/* The value of a component that is a number: one of YMDdFWwXxHhmsf. */
extern int	saga_jsonata_component(const SagaJsonataTime *time, char component);

extern const char *const saga_jsonata_months[12];
extern const char *const saga_jsonata_weekdays[8];	/* 1, Monday, to 7 */

/* ---------- pictures (text_time_picture.c) ---------- */

typedef struct SagaJsonataTimePart
{
	char		component;		/* '\0': a literal */
	char	   *literal;
	int			literal_len;
	bool		has_names;
	SagaJsonataCase names;
	bool		has_integer;
	SagaJsonataIntegerPicture integer;
	bool		z_for_zero;		/* "t": Z for no offset */
	int			width_max;		/* -1: none */
	int			year_digits;	/* -1: all */
} SagaJsonataTimePart;

typedef struct SagaJsonataTimePicture
{
	SagaJsonataTimePart *parts;
	int			nparts;
	int			max;
} SagaJsonataTimePicture;

extern bool saga_jsonata_time_picture(const char *picture, int len, SagaJsonataTimePicture *result, SagaJsonataFault *fault);

extern bool saga_jsonata_name_fault(const SagaJsonataTimePart *part, SagaJsonataFault *fault);

#endif							/* SAGA_JSONATA_TEXT_DATETIME_PRIVATE_H */
