/*
 * text_datetime_parse.c
 *		$toMillis: a time that is written in ISO 8601, or as a picture says.
 *
 * A picture becomes a regular expression with a group for each part, as in the
 * reference implementation, so that texts are divided between parts as there.
 * Components that are missing are those of the present time when they are
 * greater than all that are there, and the least when they are smaller.
 */
#include "postgres.h"

#include <math.h>

#include "common/text.h"
#include "jsonata/text_datetime_private.h"

/* The letters of all components. */
#define COMPONENTS		"YXMxWwdDFPHhmsfZz"
#define NCOMPONENTS		((int) sizeof(COMPONENTS) - 1)

/* What was read. */
typedef struct Components
{
	bool		any;			/* also one without a value */
	bool		is_there[NCOMPONENTS];
	double		value[NCOMPONENTS];
} Components;

/* ---------- ISO 8601 ---------- */

/* ASCII digits only, and independent of the locale, unlike isdigit(). */
static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads exactly n digits. */
static bool
take_digits(const char **s, const char *end, int n, int *value)
{
	if (end - *s < n)
		return false;
	*value = 0;
	for (int i = 0; i < n; i++)
	{
		if (!is_digit((*s)[i]))
			return false;
		*value = *value * 10 + ((*s)[i] - '0');
	}
	*s += n;
	return true;
}

/* One character, and then two digits. */
static bool
take_field(const char **s, const char *end, char before, int *value)
{
	const char *at = *s + 1;

	if (*s == end || **s != before || !take_digits(&at, end, 2, value))
		return false;
	*s = at;
	return true;
}

/* Thh:mm:ss[.digits]; what is behind the third digit is cut off. */
static bool
take_iso_time(const char **s, const char *end, double *millis)
{
	int			hour,
				minute,
				second;
	double		fraction = 0;
	double		unit = 100;

	if (!take_field(s, end, 'T', &hour) || !take_field(s, end, ':', &minute) || !take_field(s, end, ':', &second))
		return false;
	if (*s < end && **s == '.')
	{
		if (++(*s) == end || !is_digit(**s))
			return false;
		for (; *s < end && is_digit(**s); (*s)++, unit = unit == 1 ? 0 : unit / 10)
			fraction += unit * (**s - '0');
	}
	*millis = hour * 3600000.0 + minute * 60000.0 + second * 1000.0 + fraction;
	/* 24:00:00 is the end of a day, and nothing of that day comes after it. */
	return hour <= 24 && minute < 60 && second < 60 && *millis <= SAGA_JSONATA_DAY_MS;
}

/* Z, +hh:mm or +hhmm. */
static bool
take_iso_zone(const char **s, const char *end, bool has_time, double *millis)
{
	char		sign = **s;
	int			hours,
				minutes;

	if (sign == 'Z')
	{
		(*s)++;
		return true;
	}
	/* A date without a time takes no zone but "Z". */
	if (!has_time || !take_field(s, end, sign, &hours))
		return false;
	if (*s < end && **s == ':')
		(*s)++;
	if (!take_digits(s, end, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*millis -= (sign == '-' ? -1 : 1) * (hours * 60 + minutes) * 60000.0;
	/* Any character has been read as the sign so far. */
	return sign == '+' || sign == '-';
}

/* What the reference takes and JavaScript then understands; without a zone it is UTC. */
static bool
parse_iso(const char *s, int len, double *millis)
{
	const char *end = s + len;
	double		time = 0;
	bool		has_time;
	int			year;
	int			month = 1;
	int			day = 1;

	if (!take_digits(&s, end, 4, &year))
		return false;

	/*
	 * Month and day may be missing. The day is not compared with the length
	 * of its month: behind the end of February the days go on in March.
	 */
	if (take_field(&s, end, '-', &month) && (month < 1 || month > 12))
		return false;
	if (take_field(&s, end, '-', &day) && (day < 1 || day > 31))
		return false;
	has_time = s < end && *s == 'T';
	if (has_time && !take_iso_time(&s, end, &time))
		return false;
	if (s < end && !take_iso_zone(&s, end, has_time, &time))
		return false;
	if (s < end)
		return false;
	*millis = saga_jsonata_days(year, month - 1, day) * SAGA_JSONATA_DAY_MS + time;
	return true;
}

/* ---------- a picture as a regular expression ---------- */

/* Letters and digits and what is beyond ASCII mean themselves. */
static void
append_quoted(StringInfo pattern, const char *s, int len)
{
	for (int i = 0; i < len; i++)
	{
		if (!IS_HIGHBIT_SET(s[i]) && !saga_is_ascii_alnum(s[i]) && s[i] > ' ')
			appendStringInfoChar(pattern, '\\');
		appendStringInfoChar(pattern, s[i]);
	}
}

/* The only kind of separator, which stands between hours and minutes; NULL: none. */
static const pg_wchar *
zone_separator(const SagaJsonataTimePart *part)
{
	return part->integer.group > 0 ? &part->integer.separators[0] : NULL;
}

/*
 * Appends what matches a number that is written as the picture says. It has no
 * groups of its own: parts are found by the numbers of their groups. False
 * (D3130): the picture is of a kind that cannot be read.
 */
static bool
append_integer_pattern(StringInfo pattern, const SagaJsonataIntegerPicture *picture, SagaJsonataFault *fault)
{
	bool		upper = picture->letters == SAGA_JSONATA_UPPER;

	switch (picture->kind)
	{
		case SAGA_JSONATA_LETTERS:
			appendStringInfoString(pattern, upper ? "[A-Z]+" : "[a-z]+");
			return true;
		case SAGA_JSONATA_ROMAN:
			appendStringInfoString(pattern, upper ? "[MDCLXVI]+" : "[mdclxvi]+");
			return true;
		case SAGA_JSONATA_WORDS:
			appendStringInfoString(pattern, "(?:");
			saga_jsonata_words_pattern(pattern);
			appendStringInfoString(pattern, "|and|[-, ])+");
			return true;
		case SAGA_JSONATA_DECIMAL:

			/*
			 * Another number follows without anything between: only the count
			 * of digits tells where this one ends.
			 */
			if (picture->parse_width > 0)
				appendStringInfo(pattern, "[0-9]{%d}", picture->parse_width);
			else
				appendStringInfoString(pattern, "[0-9]+");
			if (picture->ordinal)
				appendStringInfoString(pattern, "(?:th|st|nd|rd)");
			return true;
		default:
			return saga_jsonata_sequence_fault(picture, fault);
	}
}

/*
 * Appends what matches one part of the picture. False (D3133): it is to be a
 * name, and the component has none.
 */
static bool
append_part_pattern(StringInfo pattern, const SagaJsonataTimePart *part, SagaJsonataFault *fault)
{
	const pg_wchar *separator;
	StringInfoData utf8;

	switch (part->component)
	{
		case '\0':
			append_quoted(pattern, part->literal, part->literal_len);
			return true;
		case 'Z':
		case 'z':
			appendStringInfoString(pattern, part->component == 'z' ? "GMT[-+][0-9]+" : "[-+][0-9]+");
			separator = zone_separator(part);
			if (separator == NULL)
				return true;
			initStringInfo(&utf8);
			saga_jsonata_append_wide(&utf8, separator, 1);
			append_quoted(pattern, utf8.data, utf8.len);
			appendStringInfoString(pattern, "[0-9]+");
			return true;
		case 'f':
			appendStringInfoString(pattern, "[0-9]+");
			return true;
		default:
			if (part->has_integer)
				return append_integer_pattern(pattern, &part->integer, fault);
			if (strchr("MxFP", part->component) == NULL)
				return saga_jsonata_name_fault(part, fault);
			appendStringInfoString(pattern, "[a-zA-Z]+");
			return true;
	}
}

/* ---------- components of a text ---------- */

/*
 * The place of a component's letter. It must be one of COMPONENTS;
 * append_part_pattern() has refused pictures with others.
 */
static int
component_index(char component)
{
	return strchr(COMPONENTS, component) - COMPONENTS;
}

/* The value of a component; 0 for one that has never been set. */
static double
component_value(const Components *c, char component)
{
	return c->value[component_index(component)];
}

/* Gives a component a value, in place of one that it may have had. */
static void
set_component(Components *c, char component, double value)
{
	c->is_there[component_index(component)] = true;
	c->value[component_index(component)] = value;
}

/* Of several names that are alike when they are cut to the width, the last one counts. */
static bool
read_name(const SagaJsonataTimePart *part, const SagaJsonataSlice *text, double *value)
{
	const char *const *names = part->component == 'F' ? saga_jsonata_weekdays + 1 : saga_jsonata_months;
	int			n = part->component == 'F' ? 7 : 12;
	bool		found = false;

	/* Half days are no names of the tables: "pm" is 1 and "am" is 0. */
	if (part->component == 'P')
	{
		found = text->len == 2 && (memcmp(text->s, "pm", 2) == 0 || memcmp(text->s, "PM", 2) == 0);
		*value = found;
		return found || (text->len == 2 && (memcmp(text->s, "am", 2) == 0 || memcmp(text->s, "AM", 2) == 0));
	}
	for (int i = 0; i < n; i++)
	{
		int			len = strlen(names[i]);

		if (part->width_max > 0)
			len = Min(len, part->width_max);
		if (len == text->len && memcmp(names[i], text->s, len) == 0)
		{
			*value = i + 1;
			found = true;
		}
	}
	return found;
}

/* Minutes to the east; the minutes of the text are added also where the hours are negative, as the reference does. */
static double
read_zone(const SagaJsonataTimePart *part, SagaJsonataSlice text)
{
	const pg_wchar *separator = zone_separator(part);
	const char *at = text.s;

	if (part->component == 'z')
	{
		text.s += 3;
		text.len -= 3;
	}
	if (separator == NULL)
	{
		if (text.len <= 3)
			return saga_jsonata_parse_int(text.s, text.len) * 60;
		return saga_jsonata_parse_int(text.s, 3) * 60 + saga_jsonata_parse_int(text.s + 3, text.len - 3);
	}
	/* behind the sign and the first digits */
	for (at = text.s + 1; at < text.s + text.len && is_digit(*at); at++);
	return saga_jsonata_parse_int(text.s, at - text.s) * 60 +
		saga_jsonata_parse_int(at + pg_utf_mblen((const unsigned char *) at), text.s + text.len - at - pg_utf_mblen((const unsigned char *) at));
}

/* The first three digits behind the point, in milliseconds. */
static double
read_fraction(const SagaJsonataSlice *text)
{
	char		digits[8];

	snprintf(digits, sizeof(digits), "0.%.*s", Min(text->len, 3), text->s);
	return strtod(digits, NULL) * 1000;
}

/*
 * Takes what a part has matched into the components. A name that does not
 * exist is no fault: its component is missing then, and is filled in.
 */
static void
read_part(const SagaJsonataTimePart *part, const SagaJsonataSlice *text, Components *c)
{
	double		value;

	if (part->component == '\0')
		return;
	c->any = true;
	if (part->component == 'Z' || part->component == 'z')
		set_component(c, part->component, read_zone(part, *text));
	else if (part->component == 'f')
		set_component(c, 'f', read_fraction(text));
	else if (part->has_integer)
		set_component(c, part->component, saga_jsonata_read_integer(text->s, text->len, &part->integer));
	else if (read_name(part, text, &value))
		set_component(c, part->component, value);
	else
		c->is_there[component_index(part->component)] = false;
}

/* ---------- from components to a time ---------- */

/*
 * Whether all components that are there, of these letters, are among those of
 * one way to say a date or time, and at least one is.  Zero counts as not
 * there, as in the reference.
 */
static bool
is_of_kind(const Components *c, const char *letters, const char *kind)
{
	bool		any = false;

	for (; *letters != '\0'; letters++)
	{
		double		value = component_value(c, *letters);

		if (!c->is_there[component_index(*letters)] || value == 0 || isnan(value))
			continue;
		if (strchr(kind, *letters) == NULL)
			return false;
		any = true;
	}
	return any;
}

/* Fills in what is missing, from the greatest component to the smallest; a gap is a fault. */
static bool
fill_in(Components *c, const char *letters, double now, SagaJsonataFault *fault)
{
	bool		started = false;
	bool		ended = false;
	SagaJsonataTime time;

	if (!saga_jsonata_take_time(now, &time))
		saga_jsonata_take_time(0, &time);
	for (; *letters != '\0'; letters++)
	{
		if (c->is_there[component_index(*letters)])
		{
			started = true;
			if (ended)
				return saga_jsonata_fault(fault, "D3136", "the picture has too few components to tell a time");
		}
		else if (started)
		{
			set_component(c, *letters, strchr("MDd", *letters) != NULL ? 1 : 0);
			ended = true;
		}
		else

			/*
			 * "pm" is no number there, so that the half of the day is not
			 * that of now
			 */
			set_component(c, *letters, *letters == 'P' ? 0 : saga_jsonata_component(&time, *letters));
	}
	return true;
}

/* Month and day of a day of the year; one beyond its end stays in the year, as in the reference. */
static void
take_day_of_year(Components *c)
{
	double		first = saga_jsonata_utc(component_value(c, 'Y'), 0, 1);
	SagaJsonataTime time;

	if (!saga_jsonata_take_time(first + (component_value(c, 'd') - 1) * SAGA_JSONATA_DAY_MS, &time))
	{
		set_component(c, 'D', NAN);
		return;
	}
	set_component(c, 'M', time.month + 1);
	set_component(c, 'D', time.day);
}

/*
 * The hour of the day, 0 to 23. With half days, the hour 12 is the first one
 * of its half.
 */
static double
hour_of(const Components *c, bool half_days)
{
	double		hour;

	if (!half_days)
		return component_value(c, 'H');
	hour = component_value(c, 'h');
	if (hour == 12)
		hour = 0;
	return component_value(c, 'P') == 1 ? hour + 12 : hour;
}

/* The date is told as YMD or Yd; weeks are known to it, but no dates are made of them.  NaN: no time. */
static bool
compose(Components *c, double now, double *millis, SagaJsonataFault *fault)
{
	/*
	 * Ways to tell a date: year, month and day; year and day of the year;
	 * month and week in it; year and week in it. The first way that fits is
	 * taken.
	 */
	bool		date_a = is_of_kind(c, "YXMxWwdD", "YMD");
	bool		date_b = !date_a && is_of_kind(c, "YXMxWwdD", "Yd");
	bool		date_c = is_of_kind(c, "YXMxWwdD", "Xxw");
	bool		date_d = !date_c && is_of_kind(c, "YXMxWwdD", "XW");
	bool		half_days = !is_of_kind(c, "PHhmsf", "Hmsf") && is_of_kind(c, "PHhmsf", "Phmsf");
	char		letters[16];
	double		day;
	double		zone = 0;

	/* The components that fill_in() goes through, the greatest first. */
	snprintf(letters, sizeof(letters), "%s%s", date_b ? "YD" : date_c ? "XxwF" : date_d ? "XWF" : "YMD",
			 half_days ? "Phmsf" : "Hmsf");
	if (!fill_in(c, letters, now, fault))
		return false;
	if (date_c || date_d)
		return saga_jsonata_fault(fault, "D3136", "a time cannot be told from weeks");
	if (date_b)
		take_day_of_year(c);
	day = saga_jsonata_utc(component_value(c, 'Y'), component_value(c, 'M') > 0 ? component_value(c, 'M') - 1 : 0,
						   component_value(c, 'D'));
	*millis = day + trunc(hour_of(c, half_days)) * 3600000 + trunc(component_value(c, 'm')) * 60000 +
		trunc(component_value(c, 's')) * 1000 + trunc(component_value(c, 'f'));

	/*
	 * An offset of zero in "Z" counts as none, so that one in "z" is taken
	 * then.
	 */
	if (c->is_there[component_index('Z')] && component_value(c, 'Z') != 0)
		zone = component_value(c, 'Z');
	else if (c->is_there[component_index('z')])
		zone = component_value(c, 'z');
	*millis = saga_jsonata_clip_time(*millis) - zone * 60000;
	return true;
}

/*
 * Reads the text as the picture says. *matched is false when the text does not
 * look so, which is no fault: $toMillis has no result then. The expression and
 * its pattern are left to the memory context of the caller.
 */
static bool
parse_picture(const char *s, int len, const SagaJsonataTimePicture *picture, double now, const SagaJsonataWork *work,
			  double *millis, bool *matched, SagaJsonataFault *fault)
{
	StringInfoData pattern;
	SagaJsonataRegex *regex;
	SagaJsonataMatch match;
	Components	c = {0};

	initStringInfo(&pattern);
	appendStringInfoChar(&pattern, '^');
	for (int i = 0; i < picture->nparts; i++)
	{
		appendStringInfoChar(&pattern, '(');
		if (!append_part_pattern(&pattern, &picture->parts[i], fault))
			return false;
		appendStringInfoChar(&pattern, ')');
	}
	appendStringInfoChar(&pattern, '$');

	/*
	 * The case of letters makes no difference in the match; what reads a part
	 * may still ask for it.
	 */
	regex = saga_jsonata_regex_compile(pattern.data, pattern.len, "i", fault);
	if (regex == NULL || !saga_jsonata_regex_exec(regex, s, len, 0, work, &match, matched, fault))
		return false;
	if (!*matched)
		return true;

	/*
	 * Each part is one group, in the same order, as no pattern of a part has
	 * groups of its own.
	 */
	for (int i = 0; i < picture->nparts; i++)
		read_part(&picture->parts[i], &match.groups[i], &c);
	*matched = c.any;
	if (!c.any)
		return true;
	if (!compose(&c, now, millis, fault))
		return false;
	*matched = !isnan(*millis);
	return true;
}

bool
saga_jsonata_parse_datetime(const char *s, int len, const char *picture, int picture_len, double now,
							const SagaJsonataWork *work, double *millis, bool *matched, SagaJsonataFault *fault)
{
	SagaJsonataTimePicture parsed;

	if (picture == NULL)
	{
		*matched = parse_iso(s, len, millis);
		if (!*matched)
			return saga_jsonata_fault(fault, "D3110", "the argument of $toMillis must be a timestamp of ISO 8601");
		return true;
	}
	return saga_jsonata_time_picture(picture, picture_len, &parsed, fault) &&
		parse_picture(s, len, &parsed, now, work, millis, matched, fault);
}
