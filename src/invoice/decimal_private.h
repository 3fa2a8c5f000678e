/*
 * decimal_private.h
 *		Exact arithmetic on PostgreSQL's numeric, without fmgr in sight.
 *
 * No operation here can overflow: decimals of a document have at most
 * SAGA_DECIMAL_MAX_DIGITS digits on each side of the point.
 */
#ifndef SAGA_DECIMAL_PRIVATE_H
#define SAGA_DECIMAL_PRIVATE_H

#include "common/compat.h"

#include "utils/builtins.h"
#include "utils/numeric.h"

#include "invoice/invoice_private.h"

static inline Numeric
dec_add(Numeric a, Numeric b)
{
	return numeric_add_opt_error(a, b, NULL);
}

static inline Numeric
dec_sub(Numeric a, Numeric b)
{
	return numeric_sub_opt_error(a, b, NULL);
}

static inline Numeric
dec_mul(Numeric a, Numeric b)
{
	return numeric_mul_opt_error(a, b, NULL);
}

static inline int
dec_cmp(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a), NumericGetDatum(b)));
}

/* half away from zero */
static inline Numeric
dec_round(Numeric a, int decimals)
{
	return DatumGetNumeric(DirectFunctionCall2(numeric_round, NumericGetDatum(a),
											   Int32GetDatum(decimals)));
}

static inline Numeric
dec_abs(Numeric a)
{
	return DatumGetNumeric(DirectFunctionCall1(numeric_abs, NumericGetDatum(a)));
}

static inline Numeric
dec_distance(Numeric a, Numeric b)
{
	return dec_abs(dec_sub(a, b));
}

/* 19 and 19.00 are one rate: without trailing zeros */
static inline Numeric
dec_trim(Numeric a)
{
	return DatumGetNumeric(DirectFunctionCall1(numeric_trim_scale, NumericGetDatum(a)));
}

static inline char *
dec_text(Numeric a)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(a)));
}

/* an absent amount in a sum */
static inline Numeric
dec_value(const SagaDecimal *a, Numeric if_absent)
{
	return a->value ? a->value : if_absent;
}

extern Numeric saga_decimal_constant(const char *text);
extern bool saga_decimal_parse(const char *text, int len, SagaDecimal *result);
extern bool saga_decimal_storable(const char *text, int len);
extern Numeric saga_decimal_divide(Numeric a, Numeric b, int decimals);
extern Numeric saga_decimal_percent(Numeric a, Numeric percent);
extern bool saga_decimal_equal(const SagaCheck *check, Numeric a, Numeric b);

#endif							/* SAGA_DECIMAL_PRIVATE_H */
