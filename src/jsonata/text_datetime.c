/*
 * text_datetime.c
 *		$fromMillis: a time as a picture says.
 */
#include "postgres.h"

#include <math.h>

#include "jsonata/text_datetime_private.h"

/* Where the time is: hours and minutes as the reference takes them, the sign in both. */
typedef struct Zone
{
	int			hours;
	int			minutes;
} Zone;

/* +hhmm or -hhmm.  "-0530" is -6 hours and -30 minutes: the reference divides so. */
static bool
read_zone(const char *s, int len, Zone *zone, SagaJsonataFault *fault)
{
	double		offset = saga_jsonata_parse_int(s, len);

	if (!(fabs(offset) < 1000000))
		return saga_jsonata_fault(fault, "D3137", "a time zone must be written as +hhmm or -hhmm");
	zone->hours = (int) floor(offset / 100);
	zone->minutes = (int) fmod(offset, 100);
	return true;
}

/*
 * Appends a word of ASCII in upper or lower case. Names are kept in title
 * case, so that they are appended as they are for that.
 */
static void
append_in_case(StringInfo out, const char *s, int len, SagaJsonataCase letters)
{
	for (int i = 0; i < len; i++)
		appendStringInfoChar(out, letters == SAGA_JSONATA_UPPER ? pg_ascii_toupper(s[i]) :
							 letters == SAGA_JSONATA_LOWER ? pg_ascii_tolower(s[i]) : s[i]);
}

/* Months and days of the week have names, cut to the width. */
static bool
write_name(const SagaJsonataTime *time, const SagaJsonataTimePart *part, StringInfo out, SagaJsonataFault *fault)
{
	int			value = saga_jsonata_component(time, part->component);
	const char *name;
	int			len;

	if (part->component == 'M' || part->component == 'x')
		name = saga_jsonata_months[value - 1];
	else if (part->component == 'F')
		name = saga_jsonata_weekdays[value];
	else
		return saga_jsonata_name_fault(part, fault);
	len = strlen(name);
	if (part->width_max >= 0)
		len = Min(len, part->width_max);
	append_in_case(out, name, len, part->names);
	return true;
}

/*
 * Writes a component as a number. A year is cut to its last digits when the
 * picture has so few: "[Y01]" makes 26 of 2026.
 */
static bool
write_number(const SagaJsonataTime *time, const SagaJsonataTimePart *part, StringInfo out, SagaJsonataFault *fault)
{
	double		value = saga_jsonata_component(time, part->component);

	if (part->component == 'Y' && part->year_digits >= 0)
		value = fmod(value, pow(10, part->year_digits));
	return saga_jsonata_write_integer(value, NULL, &part->integer, out, fault);
}

/* Hours, and minutes if there are any, or both in four digits. */
static bool
write_offset(const Zone *zone, const SagaJsonataTimePart *part, StringInfo out, SagaJsonataFault *fault)
{
	const SagaJsonataIntegerPicture *picture = &part->integer;
	int			offset = zone->hours * 100 + zone->minutes;

	/*
	 * With a separator, or three or four digits, hours and minutes are
	 * written as one number: 530 for five and a half hours.
	 */
	if (picture->group > 0 || picture->mandatory == 3 || picture->mandatory == 4)
		return saga_jsonata_write_integer(offset, NULL, picture, out, fault);
	if (picture->mandatory != 1 && picture->mandatory != 2)
		return saga_jsonata_fault(fault, "D3134", "a time zone is written with one to four digits");
	if (!saga_jsonata_write_integer(zone->hours, NULL, picture, out, fault))
		return false;

	/*
	 * The picture has digits for the hours only, and minutes are written just
	 * when there are any.
	 */
	if (zone->minutes != 0)
		appendStringInfo(out, ":%s%02d", zone->minutes < 0 ? "-" : "", abs(zone->minutes));
	return true;
}

/*
 * Writes the offset from UTC, with "GMT" in front for the component "z". A
 * minus comes with the number, a plus does not.
 */
static bool
write_zone(const Zone *zone, const SagaJsonataTimePart *part, StringInfo out, SagaJsonataFault *fault)
{
	int			begin = out->len;
	int			offset = zone->hours * 100 + zone->minutes;

	if (part->component == 'z')
		appendStringInfoString(out, "GMT");
	if (offset >= 0)
		appendStringInfoChar(out, '+');
	if (!write_offset(zone, part, out, fault))
		return false;

	/*
	 * The offset is written all the same before it gives way to "Z", as a
	 * picture that is wrong for it is to be told in any zone.
	 */
	if (offset == 0 && part->z_for_zero)
	{
		out->len = begin;
		appendStringInfoChar(out, 'Z');
	}
	return true;
}

/*
 * Writes one part of the picture, a literal or a component. False: its
 * presentation does not go with the component.
 */
static bool
write_part(const SagaJsonataTime *time, const Zone *zone, const SagaJsonataTimePart *part, StringInfo out,
		   SagaJsonataFault *fault)
{
	switch (part->component)
	{
		case '\0':
			appendBinaryStringInfo(out, part->literal, part->literal_len);
			return true;
		case 'Z':
		case 'z':
			return write_zone(zone, part, out, fault);
		case 'P':
			append_in_case(out, time->hour >= 12 ? "pm" : "am", 2,
						   part->has_names && part->names == SAGA_JSONATA_UPPER ? SAGA_JSONATA_UPPER : SAGA_JSONATA_LOWER);
			return true;
		case 'C':
		case 'E':
			/* the calendar and the era */
			appendStringInfoString(out, "ISO");
			return true;
		default:
			if (part->has_names)
				return write_name(time, part, out, fault);
			return write_number(time, part, out, fault);
	}
}

/* [Y0001]-[M01]-[D01]T[H01]:[m01]:[s01].[f001][Z01:01t], which is what most want. */
static void
write_iso(const SagaJsonataTime *time, const Zone *zone, StringInfo out)
{
	int			offset = zone->hours * 100 + zone->minutes;
	int			year = time->year % 10000;

	appendStringInfo(out, "%s%04d-%02d-%02dT%02d:%02d:%02d.%03d", year < 0 ? "-" : "", abs(year), time->month + 1, time->day,
					 time->hour, time->minute, time->second, time->milli);
	if (offset == 0)
		appendStringInfoChar(out, 'Z');
	else
		appendStringInfo(out, "%c%02d:%02d", offset < 0 ? '-' : '+', abs(offset) / 100, abs(offset) % 100);
}

bool
saga_jsonata_format_datetime(double millis, const char *picture, int len, const char *zone, int zone_len, StringInfo out,
							 SagaJsonataFault *fault)
{
	Zone		offset = {0, 0};
	SagaJsonataTime time;
	SagaJsonataTimePicture parsed;

	/*
	 * Faults are told in this order: the zone, the picture, the time. Then
	 * all components are those of the zone, as the time is moved by its
	 * offset before it is taken apart.
	 */
	if (zone != NULL && !read_zone(zone, zone_len, &offset, fault))
		return false;
	if (picture != NULL && !saga_jsonata_time_picture(picture, len, &parsed, fault))
		return false;
	if (!saga_jsonata_take_time(millis + (60 * offset.hours + offset.minutes) * 60000.0, &time))
		return saga_jsonata_fault(fault, "D3137", "the number is no time: it is more than 100 million days from 1970");
	if (picture == NULL)
	{
		write_iso(&time, &offset, out);
		return true;
	}
	for (int i = 0; i < parsed.nparts; i++)
	{
		if (!write_part(&time, &offset, &parsed.parts[i], out, fault))
			return false;
	}
	return true;
}
