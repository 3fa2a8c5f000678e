/*
 * absent.c
 *		What the target does not come to: exact decimals and jsonb.
 *
 * No header of the server is read here, as it says what these take.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define ABSENT(name) \
	void name(void); \
	void name(void) { fprintf(stderr, "%s is not here\n", #name); abort(); }

ABSENT(DirectFunctionCall2Coll)
ABSENT(DirectFunctionCall3Coll)
ABSENT(numeric_out)
ABSENT(numeric_in)
ABSENT(numeric_trim_scale)
ABSENT(numeric_mul)
ABSENT(numeric_abs)
ABSENT(numeric_float8_no_overflow)
ABSENT(numeric_sub)
ABSENT(numeric_round)
ABSENT(numeric_mod)
ABSENT(numeric_is_nan)
ABSENT(numeric_is_inf)
ABSENT(numeric_floor)
ABSENT(numeric_ceil)
ABSENT(numeric_add)
ABSENT(numeric_div)
ABSENT(numeric_uminus)
ABSENT(numeric_scale)
ABSENT(numeric_power)
ABSENT(numeric_sqrt)
ABSENT(int64_to_numeric)
ABSENT(int64_div_fast_to_numeric)
ABSENT(getKeyJsonValueFromContainer)
ABSENT(JsonbIteratorInit)
ABSENT(JsonbIteratorNext)
ABSENT(saga_numeric_compare)
ABSENT(saga_pair_compare)
ABSENT(saga_value_flatten)
ABSENT(saga_value_set_array)
ABSENT(saga_value_set_string)

extern void *palloc(size_t size);

/* The scanner keeps each number as a decimal, too, at which nothing looks; a minus changes it. */
bool		saga_numeric_parse(const char *s, int len, void **number);

bool
saga_numeric_parse(const char *s, int len, void **number)
{
	*number = palloc(1);
	return true;
}

void	   *DirectFunctionCall1Coll(void (*function) (void), unsigned collation, void *arg);

void *
DirectFunctionCall1Coll(void (*function) (void), unsigned collation, void *arg)
{
	if (function != numeric_uminus)
		abort();
	return palloc(1);
}

void	   *pg_detoast_datum(void *datum);

void *
pg_detoast_datum(void *datum)
{
	return datum;
}
