/*
 * function_number.c
 *		Functions that give a number.
 *
 * With decimals they are exact, but for $sqrt and $power, which are computed
 * with doubles.
 */
#include "postgres.h"

#include <math.h>

#include "utils/builtins.h"

#include "jsonata/function_private.h"

/*
 * Gives a double that a function has computed.  With decimals, one that is not
 * whole, or too large to be exact, becomes a decimal; an infinity is a fault.
 */
bool
saga_jsonata_set_double(SagaJsonataCall *call, double number)
{
	if (call->ev->options->decimal && (number != floor(number) || fabs(number) > 9007199254740992.0) && !isnan(number))
	{
		if (isinf(number))
			return saga_jsonata_fail(call->ev, "D1001", "a number is out of range");
		return saga_jsonata_set_decimal(call->ev, call->result, saga_jsonata_double_numeric(number));
	}
	saga_jsonata_set_number(call->result, number);
	return true;
}

/* ---------- of arrays ---------- */

/* All elements are numbers, as the signature says. */
static bool
sum(SagaJsonataCall *call, SagaJsonataValue *total)
{
	SagaJsonataValue *elems = saga_jsonata_elems(call->ev, &call->args[0]);
	int			n = call->args[0].count;
	double		d = 0;

	saga_jsonata_set_number(total, 0);
	if (call->ev->options->decimal)
	{
		for (int i = 0; i < n; i++)
		{
			SagaJsonataValue before = *total;

			if (!saga_jsonata_tick(call->ev) ||
				!saga_jsonata_arithmetic(call->ev, '+', &before, &elems[i], total))
				return false;
		}
		return true;
	}
	if (!saga_jsonata_spend(call->ev, n))
		return false;
	for (int i = 0; i < n; i++)
		d += saga_jsonata_double(&elems[i]);
	saga_jsonata_set_number(total, d);
	return true;
}

bool
saga_jsonata_fn_sum(SagaJsonataCall *call)
{
	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	return sum(call, call->result);
}

bool
saga_jsonata_fn_count(SagaJsonataCall *call)
{
	saga_jsonata_set_number(call->result, saga_jsonata_is_nothing(&call->args[0]) ? 0 : saga_jsonata_count(&call->args[0]));
	return true;
}

/* The largest (1) or smallest (-1) element as it is, with all its digits. */
static bool
extreme(SagaJsonataCall *call, int wanted)
{
	SagaJsonataValue *elems;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	elems = saga_jsonata_elems(call->ev, &call->args[0]);
	for (int i = 0; i < call->args[0].count; i++)
	{
		if (!saga_jsonata_tick(call->ev))
			return false;
		if (i == 0 || saga_jsonata_number_compare(call->ev, &elems[i], call->result) == wanted)
			*call->result = elems[i];
	}
	return true;
}

bool
saga_jsonata_fn_max(SagaJsonataCall *call)
{
	return extreme(call, 1);
}

bool
saga_jsonata_fn_min(SagaJsonataCall *call)
{
	return extreme(call, -1);
}

bool
saga_jsonata_fn_average(SagaJsonataCall *call)
{
	SagaJsonataValue total,
				count;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	saga_jsonata_set_number(&count, saga_jsonata_count(&call->args[0]));
	/* an empty array has no average */
	if (count.u.number == 0)
		return true;
	return sum(call, &total) && saga_jsonata_arithmetic(call->ev, '/', &total, &count, call->result);
}

/* ---------- of one number ---------- */

/* Is it computed as a decimal? */
static bool
is_decimal(SagaJsonataCall *call, const SagaJsonataValue *v)
{
	return call->ev->options->decimal && v->flags != 0;
}

/*
 * Applies a function of the server to the first argument if that is a decimal.
 * Otherwise the result is d, which the caller has computed from the double.
 */
static bool
apply_numeric(SagaJsonataCall *call, PGFunction function, double d)
{
	Numeric		number;

	if (!is_decimal(call, &call->args[0]))
	{
		saga_jsonata_set_number(call->result, d);
		return true;
	}
	number = saga_jsonata_numeric(&call->args[0]);
	if (number == NULL)
		return saga_jsonata_fail(call->ev, "D1001", "a number is out of range");
	number = DatumGetNumeric(DirectFunctionCall1(function, NumericGetDatum(number)));
	return saga_jsonata_set_decimal(call->ev, call->result, number);
}

bool
saga_jsonata_fn_floor(SagaJsonataCall *call)
{
	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	return apply_numeric(call, numeric_floor, floor(saga_jsonata_double(&call->args[0])));
}

bool
saga_jsonata_fn_ceil(SagaJsonataCall *call)
{
	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	return apply_numeric(call, numeric_ceil, ceil(saga_jsonata_double(&call->args[0])));
}

bool
saga_jsonata_fn_abs(SagaJsonataCall *call)
{
	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	return apply_numeric(call, numeric_abs, fabs(saga_jsonata_double(&call->args[0])));
}

/* Half goes to the even neighbour. */
bool
saga_jsonata_fn_round(SagaJsonataCall *call)
{
	int			digits = saga_jsonata_is_nothing(&call->args[1]) ? 0 : (int) saga_jsonata_floor(&call->args[1]);

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	/* beyond these nothing is left to round, or nothing is left */
	digits = Max(Min(digits, 1000), -1000);
	if (is_decimal(call, &call->args[0]))
	{
		Numeric		number = saga_jsonata_numeric(&call->args[0]);

		if (number == NULL)
			return saga_jsonata_fail(call->ev, "D1001", "a number is out of range");
		return saga_jsonata_spend(call->ev, 32) &&
			saga_jsonata_set_decimal(call->ev, call->result, saga_jsonata_round_numeric(number, digits));
	}
	saga_jsonata_set_number(call->result, saga_jsonata_round(saga_jsonata_double(&call->args[0]), digits));
	return saga_jsonata_spend(call->ev, 8);
}

bool
saga_jsonata_fn_sqrt(SagaJsonataCall *call)
{
	double		d = saga_jsonata_double(&call->args[0]);

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	if (d < 0)
		return saga_jsonata_fail(call->ev, "D3060", "$sqrt cannot be applied to a negative number");
	return saga_jsonata_set_double(call, sqrt(d));
}

bool
saga_jsonata_fn_power(SagaJsonataCall *call)
{
	double		result;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	/* JavaScript's pow() of nothing is not finite either */
	result = saga_jsonata_is_nothing(&call->args[1]) ? NAN :
		pow(saga_jsonata_double(&call->args[0]), saga_jsonata_double(&call->args[1]));
	if (isnan(result) || isinf(result))
		return saga_jsonata_fail(call->ev, "D3061", "the result of $power is no number that JSON can have");
	return saga_jsonata_set_double(call, result);
}

bool
saga_jsonata_fn_number(SagaJsonataCall *call)
{
	SagaJsonataValue *v = &call->args[0];
	double		d;
	Numeric		number;

	switch (v->type)
	{
		case SAGA_JV_NUMBER:
			*call->result = *v;
			return true;
		case SAGA_JV_BOOL:
			saga_jsonata_set_number(call->result, v->boolean);
			return true;
		case SAGA_JV_STRING:
			if (!saga_jsonata_spend_read(call->ev, v->count))
				return false;
			if (call->ev->options->decimal ? saga_jsonata_parse_numeric(v->u.string, v->count, &number) :
				saga_jsonata_parse_number(v->u.string, v->count, &d))
			{
				if (call->ev->options->decimal)
					return saga_jsonata_set_decimal(call->ev, call->result, number);
				saga_jsonata_set_number(call->result, d);
				return true;
			}
			return saga_jsonata_fail(call->ev, "D3030", "the text is no number");
		default:
			return true;
	}
}

/* ---------- chance ---------- */

/*
 * The next number, from 0 to below 1, of a series that begins with the seed in
 * the options: the same seed gives the same numbers.
 */
double
saga_jsonata_random_number(SagaJsonataEval *ev)
{
	return saga_jsonata_random(&ev->random);
}

bool
saga_jsonata_fn_random(SagaJsonataCall *call)
{
	return saga_jsonata_set_double(call, saga_jsonata_random_number(call->ev));
}
