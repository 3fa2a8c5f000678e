/*
 * number.c
 *		Numbers, times and sizes of jsonb values, checked: nothing here raises
 *		for a value that a document can contain.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "asl/machine_private.h"

static bool
numeric_less(Numeric a, Numeric b)
{
	return DatumGetBool(DirectFunctionCall2(numeric_lt, NumericGetDatum(a), NumericGetDatum(b)));
}

/*
 * jsonb numbers may have a hundred thousand digits, so the range is tested
 * on numerics, before any conversion.
 */
SagaNumberFault
saga_asl_number_to_int64(const JsonbValue *value, int64 min, int64 max, int64 *result)
{
	Numeric		number;
	Datum		whole;

	if (value->type != jbvNumeric)
		return SAGA_NUMBER_NO_NUMBER;
	number = value->val.numeric;
	if (numeric_is_nan(number) || numeric_is_inf(number))
		return SAGA_NUMBER_NO_NUMBER;
	if (numeric_less(number, int64_to_numeric(min)))
		return SAGA_NUMBER_TOO_SMALL;
	if (numeric_less(int64_to_numeric(max), number))
		return SAGA_NUMBER_TOO_LARGE;
	whole = DirectFunctionCall2(numeric_trunc, NumericGetDatum(number), Int32GetDatum(0));
	if (!DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(number), whole)))
		return SAGA_NUMBER_NO_INTEGER;
	*result = DatumGetInt64(DirectFunctionCall1(numeric_int8, whole));
	return SAGA_NUMBER_OK;
}

/* Out of range becomes an infinity. */
bool
saga_asl_number_to_double(const JsonbValue *value, double *result)
{
	if (value->type != jbvNumeric)
		return false;
	*result = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
												 NumericGetDatum(value->val.numeric)));
	return true;
}

/* "2026-01-31T12:00:00.123Z", as in the context object. */
char *
saga_asl_format_rfc3339(TimestampTz timestamp)
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
saga_asl_jsonb_scalar(const Jsonb *jsonb, JsonbValue *result)
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
saga_asl_jsonb_exceeds(Jsonb *jsonb, int64 limit)
{
	char	   *text;
	bool		result;

	if (limit <= 0 || VARSIZE(jsonb) < limit / 8)
		return false;
	text = saga_jsonb_to_cstring(jsonb);
	result = strlen(text) > limit;
	pfree(text);
	return result;
}
