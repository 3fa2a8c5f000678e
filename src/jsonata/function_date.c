/*
 * function_date.c
 *		$date: an ISO date or timestamp in another form.  The parts are those
 *		that are written there: nothing is converted to another time zone.
 *
 * read_date() takes the text apart into six numbers, of which a missing time
 * is zeroes; apply_picture() puts them together again.  A fraction of a
 * second and the zone are checked and forgotten, as no picture can ask for
 * them.
 */
#include "postgres.h"

#include "utils/datetime.h"

#include "jsonata/function_private.h"

typedef enum Part
{
	PART_YEAR,
	PART_MONTH,
	PART_DAY,
	PART_HOUR,
	PART_MINUTE,
	PART_SECOND
} Part;

#define PARTS (PART_SECOND + 1)

static const struct
{
	const char *text;
	Part		part;
	int			digits;
}			patterns[] =

{
	{"YYYY", PART_YEAR, 4},
	{"MM", PART_MONTH, 2},
	{"DD", PART_DAY, 2},
	{"HH24", PART_HOUR, 2},
	{"MI", PART_MINUTE, 2},
	{"SS", PART_SECOND, 2},
};

/* ---------- pictures ---------- */

/*
 * Appends what the picture makes of the parts.  Returns what is wrong with it,
 * or NULL.
 */
static const char *
apply_picture(const char *s, const char *end, const int *parts, StringInfo out)
{
	while (s < end)
	{
		int			i;
		const char *close;

		for (i = 0; i < lengthof(patterns); i++)
			if (end - s >= strlen(patterns[i].text) && strncmp(s, patterns[i].text, strlen(patterns[i].text)) == 0)
				break;
		if (i < lengthof(patterns))
		{
			appendStringInfo(out, "%0*d", patterns[i].digits, parts[patterns[i].part]);
			s += strlen(patterns[i].text);
		}
		else if (*s == '"')
		{
			close = memchr(s + 1, '"', end - s - 1);
			if (close == NULL)
				return "a quote in the picture has no end";
			appendBinaryStringInfo(out, s + 1, close - s - 1);
			s = close + 1;
		}
		else if ((*s >= 'A' && *s <= 'Z') || (*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9'))
			return "a picture has YYYY, MM, DD, HH24, MI, SS; other letters and digits must be in double quotes";
		else
		{
			appendStringInfoChar(out, *s);
			s++;
		}
	}
	return NULL;
}

/* ---------- texts ---------- */

/* Reads n digits and, if there is to be one, the character before them. */
static bool
read_part(const char **s, char before, int n, int *value)
{
	const char *p = *s;

	if (before != '\0' && *p++ != before)
		return false;
	*value = 0;
	for (int i = 0; i < n; i++)
	{
		if (*p < '0' || *p > '9')
			return false;
		*value = *value * 10 + (*p++ - '0');
	}
	*s = p;
	return true;
}

/*
 * Skips a zone, if there is one.  "Z", "+hh:mm" or "-hh:mm"; without one the
 * text must end here.
 */
static bool
read_zone(const char **s)
{
	int			hours,
				minutes;

	if (**s == 'Z')
	{
		(*s)++;
		return true;
	}
	if (**s != '+' && **s != '-')
		return **s == '\0';
	return read_part(s, **s, 2, &hours) && read_part(s, ':', 2, &minutes) && hours < 24 && minutes < 60;
}

/*
 * Reads hh:mm, then :ss, a fraction and a zone if they are there.  A blank
 * may stand for the "T".  Leap seconds (:60) are refused.
 */
static bool
read_time(const char **s, int *parts)
{
	if (**s != 'T' && **s != ' ')
		return false;
	if (!read_part(s, **s, 2, &parts[PART_HOUR]) || !read_part(s, ':', 2, &parts[PART_MINUTE]))
		return false;
	if (**s == ':')
	{
		if (!read_part(s, ':', 2, &parts[PART_SECOND]))
			return false;
		if (**s == '.')
		{
			int			digits = strspn(*s + 1, "0123456789");

			if (digits == 0)
				return false;
			*s += 1 + digits;
		}
	}
	return read_zone(s) && parts[PART_HOUR] < 24 && parts[PART_MINUTE] < 60 && parts[PART_SECOND] < 60;
}

/*
 * Reads the whole text, which must end behind the date or time.  A day that
 * the month does not have is refused, by PostgreSQL's own table of days.
 */
static bool
read_date(const char *s, int *parts)
{
	if (!read_part(&s, '\0', 4, &parts[PART_YEAR]) || !read_part(&s, '-', 2, &parts[PART_MONTH]) ||
		!read_part(&s, '-', 2, &parts[PART_DAY]))
		return false;
	if (*s != '\0' && !read_time(&s, parts))
		return false;
	return *s == '\0' && parts[PART_YEAR] >= 1 && parts[PART_MONTH] >= 1 && parts[PART_MONTH] <= 12 && parts[PART_DAY] >= 1 &&
		parts[PART_DAY] <= day_tab[isleap(parts[PART_YEAR])][parts[PART_MONTH] - 1];
}

/*
 * $date(text, picture).  Only the fraction of a second can make the text
 * long, so that it is bounded before it is copied.
 */
bool
saga_jsonata_fn_date(SagaJsonataCall *call)
{
	const SagaJsonataValue *v = &call->args[0];
	const SagaJsonataValue *picture = &call->args[1];
	int			parts[PARTS] = {0};
	StringInfoData buf;
	const char *error;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	if (saga_jsonata_is_nothing(picture))
		return saga_jsonata_fail(call->ev, "D3137", "$date needs a picture");
	if (v->count > 100 || !read_date(pnstrdup(v->u.string, v->count), parts))
		return saga_jsonata_fail(call->ev, "D3110", "$date needs a date or time such as \"2026-01-31\" or \"2026-01-31T12:00:00Z\"");
	/* a part of four letters becomes as many digits */
	if (!saga_jsonata_spend(call->ev, 10 + picture->count / 2))
		return false;
	initStringInfo(&buf);
	error = apply_picture(picture->u.string, picture->u.string + picture->count, parts, &buf);
	if (error != NULL)
		return saga_jsonata_fail(call->ev, "D3137", "$date cannot use its picture: %s", error);
	saga_jsonata_set_buffer(call->ev, call->result, &buf);
	return true;
}
