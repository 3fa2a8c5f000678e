/*
 * text_time_picture.c
 *		Pictures of XPath's fn:format-dateTime: "[Y0001]-[M01]-[D01] at [h]:[m01]".
 *
 * What is in brackets is a marker: a letter for the component, how it is
 * presented, and behind a comma its least and greatest width.
 */
#include "postgres.h"

#include <math.h>

#include "jsonata/text_datetime_private.h"

/* Longer numbers are nothing that a picture needs. */
#define MAX_WIDTH	1000

/*
 * Adds a part without a component, which is a literal. The pointer is good
 * until the next part is added, as the array may move.
 */
static SagaJsonataTimePart *
add_part(SagaJsonataTimePicture *picture)
{
	SagaJsonataTimePart *part;

	if (picture->nparts == picture->max)
	{
		picture->max = Max(picture->max * 2, 16);
		picture->parts = picture->parts == NULL ? palloc(mul_size(picture->max, sizeof(SagaJsonataTimePart))) :
			repalloc(picture->parts, mul_size(picture->max, sizeof(SagaJsonataTimePart)));
	}
	part = &picture->parts[picture->nparts++];
	memset(part, 0, sizeof(*part));
	part->width_max = -1;
	part->year_digits = -1;
	return part;
}

/* Text between markers, in which "]]" is "]". */
static void
add_literal(SagaJsonataTimePicture *picture, const char *s, int len)
{
	SagaJsonataTimePart *part;

	if (len <= 0)
		return;
	part = add_part(picture);
	part->literal = palloc(len + 1);
	for (int i = 0; i < len; i++)
	{
		part->literal[part->literal_len++] = s[i];
		if (s[i] == ']' && i + 1 < len && s[i + 1] == ']')
			i++;
	}
}

/* How a component is presented when the marker does not say it; NULL: there is no such component. */
static const char *
default_presentation(char component)
{
	if (component != '\0' && strchr("YMDdWwXxHhf", component) != NULL)
		return "1";
	if (component != '\0' && strchr("FPCE", component) != NULL)
		return "n";
	if (component == 'm' || component == 's')
		return "01";
	return component == 'Z' || component == 'z' ? "01:01" : NULL;
}

/* A width; -1: any. */
static int
read_width(const char *s, int len)
{
	double		width = saga_jsonata_parse_int(s, len);

	return width >= 0 ? (int) Min(width, MAX_WIDTH) : -1;
}

/* Digits that a number has at least, and of a year at most. */
static void
set_widths(SagaJsonataTimePart *part, int min)
{
	SagaJsonataIntegerPicture *integer = &part->integer;

	if (integer->mandatory >= 0 && integer->mandatory < min)
		integer->mandatory = min;
	if (part->component != 'Y')
		return;
	if (part->width_max >= 0)
	{
		part->year_digits = part->width_max;
		integer->mandatory = part->width_max;
	}
	else if (integer->mandatory + integer->optional >= 2)
		part->year_digits = integer->mandatory + integer->optional;
}

/*
 * A number of digits right behind another one: how many that has must be
 * certain for them to be read.
 */
static void
fix_previous(SagaJsonataTimePicture *picture)
{
	SagaJsonataTimePart *previous;

	/*
	 * Text between two numbers is a part of its own, so that the previous
	 * part is a number only when nothing is between them.
	 */
	if (picture->nparts < 2)
		return;
	previous = &picture->parts[picture->nparts - 2];
	if (previous->has_integer)
		previous->integer.parse_width = Max(previous->integer.mandatory, 0);
}

/* The presentation of a component, with the letter behind it that changes it. */
static bool
read_presentation(SagaJsonataTimePicture *picture, SagaJsonataTimePart *part, const char *s, int len, int min,
				  SagaJsonataFault *fault)
{
	char		modifier = '\0';

	if (len > 1 && strchr("atco", s[len - 1]) != NULL)
		modifier = s[--len];
	part->z_for_zero = modifier == 't';
	if (s[0] == 'n' || s[0] == 'N')
	{
		part->has_names = true;
		part->names = s[0] == 'n' ? SAGA_JSONATA_LOWER :
			len > 1 && s[1] == 'n' ? SAGA_JSONATA_TITLE : SAGA_JSONATA_UPPER;
	}
	else if (strchr("YMDdFWwXxHhmsf", part->component) != NULL)
	{
		if (!saga_jsonata_integer_picture(s, len, &part->integer, fault))
			return false;
		/* a semicolon of the presentation's own goes first, as there */
		if (modifier != '\0')
			part->integer.ordinal = modifier == 'o';
		part->has_integer = true;
		set_widths(part, min);
		fix_previous(picture);
	}
	if (part->component == 'Z' || part->component == 'z')
	{
		part->has_integer = true;
		return saga_jsonata_integer_picture(s, len, &part->integer, fault);
	}
	return true;
}

/* Blanks within a marker mean nothing. */
static int
copy_marker(const char *s, int len, char *marker)
{
	int			n = 0;

	for (int i = 0; i < len; i++)
		if (s[i] != ' ' && !(s[i] >= '\t' && s[i] <= '\r'))
			marker[n++] = s[i];
	/* The NUL byte ends it for strchr(); the caller has made room for it. */
	marker[n] = '\0';
	return n;
}

/* What stands between "[" and "]". */
static bool
add_marker(SagaJsonataTimePicture *picture, const char *s, int len, SagaJsonataFault *fault)
{
	SagaJsonataTimePart *part = add_part(picture);
	char	   *marker = palloc(len + 1);
	const char *presentation;
	const char *comma;
	int			n = copy_marker(s, len, marker);
	int			min = -1;

	presentation = default_presentation(marker[0]);
	if (presentation == NULL)
		return saga_jsonata_fault(fault, "D3132", "there is no component \"%.*s\" of a time: [%s]",
								  n > 0 ? pg_utf_mblen((unsigned char *) marker) : 0, marker, marker);
	part->component = marker[0];

	/*
	 * The last comma begins the width; any before it belong to the
	 * presentation, where they separate digits.
	 */
	comma = strrchr(marker, ',');
	if (comma != NULL)
	{
		const char *dash = strchr(comma, '-');

		min = read_width(comma + 1, dash != NULL ? dash - comma - 1 : strlen(comma + 1));
		if (dash != NULL)
			part->width_max = read_width(dash + 1, strlen(dash + 1));
		n = comma - marker;
	}
	if (n > 1)
		return read_presentation(picture, part, marker + 1, n - 1, min, fault);
	return read_presentation(picture, part, presentation, strlen(presentation), min, fault);
}

/*
 * Reads a picture into its parts, which are in CurrentMemoryContext. "[[" is a
 * bracket that begins no marker. False: D3132 for an unknown component, D3135
 * for a marker without an end, or a fault of the picture of a number.
 */
bool
saga_jsonata_time_picture(const char *s, int len, SagaJsonataTimePicture *picture, SagaJsonataFault *fault)
{
	int			start = 0;

	memset(picture, 0, sizeof(*picture));
	if (!saga_jsonata_check_picture(len, fault))
		return false;
	for (int i = 0; i < len; i++)
	{
		const char *close;

		if (s[i] != '[')
			continue;
		if (i + 1 < len && s[i + 1] == '[')
		{
			/*
			 * The first bracket of the two belongs to the text, the other one
			 * goes.
			 */
			add_literal(picture, s + start, i + 1 - start);
			start = i + 2;
			i++;
			continue;
		}
		add_literal(picture, s + start, i - start);
		close = memchr(s + i, ']', len - i);
		if (close == NULL)
			return saga_jsonata_fault(fault, "D3135", "a \"[\" in the picture has no \"]\": %.*s", len - i, s + i);
		if (!add_marker(picture, s + i + 1, close - s - i - 1, fault))
			return false;
		i = close - s;
		start = i + 1;
	}
	add_literal(picture, s + start, len - start);
	return true;
}

/*
 * The fault (D3133) of a component that is to be written as a name and has
 * none. Always false, for the caller to return.
 */
bool
saga_jsonata_name_fault(const SagaJsonataTimePart *part, SagaJsonataFault *fault)
{
	return saga_jsonata_fault(fault, "D3133", "the component %c of a time has no names, months and days have", part->component);
}
