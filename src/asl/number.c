/*
 * number.c
 *		Numbers, times and sizes of jsonb values, checked: nothing here raises
 *		for a value that a document can contain.
 */
#include "postgres.h"

#include <ctype.h>

#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "asl/machine.h"

static bool
saga_numeric_less(Numeric a, Numeric b)
{
	return DatumGetBool(DirectFunctionCall2(numeric_lt, NumericGetDatum(a), NumericGetDatum(b)));
}

/*
 * jsonb numbers may have a hundred thousand digits, so the range is tested
 * on numerics, before any conversion.
 */
SagaNumberFault
saga_number_to_int64(const JsonbValue *value, int64 min, int64 max, int64 *result)
{
	Numeric		number;
	Datum		whole;

	if (value->type != jbvNumeric)
		return SAGA_NUMBER_NO_NUMBER;
	number = value->val.numeric;
	if (numeric_is_nan(number) || numeric_is_inf(number))
		return SAGA_NUMBER_NO_NUMBER;
	if (saga_numeric_less(number, int64_to_numeric(min)))
		return SAGA_NUMBER_TOO_SMALL;
	if (saga_numeric_less(int64_to_numeric(max), number))
		return SAGA_NUMBER_TOO_LARGE;
	whole = DirectFunctionCall2(numeric_trunc, NumericGetDatum(number), Int32GetDatum(0));
	if (!DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(number), whole)))
		return SAGA_NUMBER_NO_INTEGER;
	*result = DatumGetInt64(DirectFunctionCall1(numeric_int8, whole));
	return SAGA_NUMBER_OK;
}

/* Out of range becomes an infinity. */
bool
saga_number_to_double(const JsonbValue *value, double *result)
{
	if (value->type != jbvNumeric)
		return false;
	*result = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
												 NumericGetDatum(value->val.numeric)));
	return true;
}

/* Reads exactly "count" digits. */
static bool
saga_read_digits(const char **text, int count, int *result)
{
	int			value = 0;

	while (count-- > 0)
	{
		if (!isdigit((unsigned char) **text))
			return false;
		value = value * 10 + (*(*text)++ - '0');
	}
	*result = value;
	return true;
}

static bool
saga_read_char(const char **text, char wanted)
{
	if (**text != wanted)
		return false;
	(*text)++;
	return true;
}

/* A fraction of a second; digits past the microsecond are dropped. */
static bool
saga_read_fraction(const char **text, int64 *micros)
{
	int64		scale = USECS_PER_SEC / 10;

	*micros = 0;
	if (**text != '.')
		return true;
	(*text)++;
	if (!isdigit((unsigned char) **text))
		return false;
	while (isdigit((unsigned char) **text))
	{
		*micros += (*(*text)++ - '0') * scale;
		scale /= 10;
	}
	return true;
}

/* The part after the seconds: Z or an offset, as microseconds east of UTC. */
static bool
saga_read_offset(const char **text, int64 *micros)
{
	int			hours;
	int			minutes;
	int			sign;

	*micros = 0;
	if (saga_read_char(text, 'Z'))
		return true;
	if (**text != '+' && **text != '-')
		return false;
	sign = *(*text)++ == '-' ? -1 : 1;
	if (!saga_read_digits(text, 2, &hours) || !saga_read_char(text, ':') ||
		!saga_read_digits(text, 2, &minutes) || hours > 18 || minutes > 59)
		return false;
	*micros = sign * (hours * USECS_PER_HOUR + minutes * USECS_PER_MINUTE);
	return true;
}

/*
 * RFC 3339, with an upper-case T and Z, as the language asks for.  Not
 * timestamptz's own input: that takes far more, and raises.
 */
bool
saga_parse_rfc3339(const char *text, TimestampTz *result)
{
	int			year,
				month,
				day,
				hour,
				minute,
				second;
	int64		fraction;
	int64		offset;

	if (!saga_read_digits(&text, 4, &year) || !saga_read_char(&text, '-') ||
		!saga_read_digits(&text, 2, &month) || !saga_read_char(&text, '-') ||
		!saga_read_digits(&text, 2, &day) || !saga_read_char(&text, 'T') ||
		!saga_read_digits(&text, 2, &hour) || !saga_read_char(&text, ':') ||
		!saga_read_digits(&text, 2, &minute) || !saga_read_char(&text, ':') ||
		!saga_read_digits(&text, 2, &second) ||
		!saga_read_fraction(&text, &fraction) || !saga_read_offset(&text, &offset) ||
		*text != '\0')
		return false;
	if (month < 1 || month > MONTHS_PER_YEAR || day < 1 ||
		day > day_tab[isleap(year)][month - 1] || hour > 23 || minute > 59 || second > 59)
		return false;
	*result = (int64) (date2j(year, month, day) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY +
		hour * USECS_PER_HOUR + minute * USECS_PER_MINUTE + second * USECS_PER_SEC +
		fraction - offset;
	return true;
}

/* "2026-01-31T12:00:00.123Z", as in the context object. */
char *
saga_format_rfc3339(TimestampTz timestamp)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (TIMESTAMP_NOT_FINITE(timestamp) ||
		timestamp2tm(timestamp, NULL, &tm, &fsec, NULL, NULL) != 0)
		return pstrdup("");
	return psprintf("%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year, tm.tm_mon, tm.tm_mday,
					tm.tm_hour, tm.tm_min, tm.tm_sec, (int) (fsec / 1000));
}

bool
saga_jsonb_scalar(const Jsonb *jsonb, JsonbValue *result)
{
	if (!JB_ROOT_IS_SCALAR(jsonb))
		return false;
	return JsonbExtractScalar((JsonbContainer *) &jsonb->root, result);
}

/*
 * Is the value's JSON text, without optional blanks, longer than the limit?
 * The text of a small value is not made: it is at most a few times as long as
 * its binary form (numbers with many zeroes apart).
 */
bool
saga_jsonb_exceeds(Jsonb *jsonb, int64 limit)
{
	char	   *text;
	int64		length = 0;
	bool		in_string = false;
	const char *p;

	if (limit <= 0 || VARSIZE(jsonb) < limit / 8)
		return false;
	text = JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));
	for (p = text; *p; p++)
	{
		if (*p == ' ' && !in_string)
			continue;
		length++;
		if (*p == '\\')
		{
			p++;
			length++;
		}
		else if (*p == '"')
			in_string = !in_string;
	}
	pfree(text);
	return length > limit;
}

/* Adds a whole jsonb, scalar or not, as one value or element. */
void
saga_jsonb_push(JsonbParseState **state, JsonbIteratorToken token, Jsonb *value)
{
	JsonbValue	v;

	if (!saga_jsonb_scalar(value, &v))
	{
		v.type = jbvBinary;
		v.val.binary.data = &value->root;
		v.val.binary.len = VARSIZE(value) - VARHDRSZ;
	}
	pushJsonbValue(state, token, &v);
}

void
saga_jsonb_push_key(JsonbParseState **state, const char *name)
{
	saga_jsonb_push_string(state, WJB_KEY, name);
}

void
saga_jsonb_push_string(JsonbParseState **state, JsonbIteratorToken token, const char *value)
{
	JsonbValue	v;

	if (value == NULL)
		v.type = jbvNull;
	else
	{
		v.type = jbvString;
		v.val.string.val = unconstify(char *, value);
		v.val.string.len = strlen(value);
	}
	pushJsonbValue(state, token, &v);
}

void
saga_jsonb_push_int64(JsonbParseState **state, JsonbIteratorToken token, int64 value)
{
	JsonbValue	v;

	v.type = jbvNumeric;
	v.val.numeric = int64_to_numeric(value);
	pushJsonbValue(state, token, &v);
}
