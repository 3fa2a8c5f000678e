/*
 * function_number.c
 *		Functions on numbers and amounts.
 *
 * The arithmetic itself is in number.c and arithmetic.c. $minor and $decimal
 * are ours, not JSONata's: they are for amounts of money, where a result that
 * was rounded unasked would be a wrong sum.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "mapping/mapping_private.h"

#define MAX_AMOUNT_DIGITS	20

/* False: there is nothing to compute with. */
static bool
has_number(SagaMapCall *call)
{
	return call->args[0].type == SAGA_MAP_NUMBER;
}

/*
 * Pays for an argument and looks whether it is within JSONata's range, before
 * anything is computed with it.
 */
static bool
in_range(SagaMapCall *call, Numeric number)
{
	/* what is done with it next is a few operations at most */
	if (!saga_map_charge(call->ev, 10) || !saga_map_charge_number(call->ev, number))
		return false;
	return saga_map_in_range(number) || saga_map_call_error(call, "gets a number that is out of range");
}

/* A function of one number: nothing stays nothing. */
static bool
apply(SagaMapCall *call, PGFunction function)
{
	Numeric		number = call->args[0].u.number;

	if (!has_number(call))
		return true;
	return in_range(call, number) &&
		saga_map_set_result(call->ev, call->result,
							DatumGetNumeric(DirectFunctionCall1(function, NumericGetDatum(number))));
}

/* $abs; $floor and $ceil below go by value, so that $floor(-1.5) is -2. */
bool
saga_map_abs(SagaMapCall *call)
{
	return apply(call, numeric_abs);
}

bool
saga_map_floor_of(SagaMapCall *call)
{
	return apply(call, numeric_floor);
}

bool
saga_map_ceil(SagaMapCall *call)
{
	return apply(call, numeric_ceil);
}

/*
 * $round(number, digits): half goes to the even neighbour, as in JSONata;
 * negative digits round before the point.  Beyond a thousand digits either
 * way nothing changes any more, so that larger counts are cut to that.
 */
bool
saga_map_round(SagaMapCall *call)
{
	const SagaMapValue *precision = &call->args[1];
	int64		digits = 0;

	if (!has_number(call))
		return true;
	if (precision->type == SAGA_MAP_NUMBER)
	{
		digits = saga_map_floor(precision->u.number);
		if (saga_numeric_compare(precision->u.number, int64_to_numeric(digits)) != 0)
			return saga_map_call_error(call, "needs a whole number of digits");
	}
	return in_range(call, call->args[0].u.number) &&
		saga_map_set_result(call->ev, call->result,
							saga_map_round_even(call->args[0].u.number, (int) Max(Min(digits, 1000), -1000)));
}

/*
 * $sum: check_array() has seen to it that all elements are numbers.  The
 * total is looked at once, at the end, as it can grow by a few digits only.
 */
bool
saga_map_sum(SagaMapCall *call)
{
	SagaMapValue *elems;
	Numeric		total = int64_to_numeric(0);

	if (call->args[0].type == SAGA_MAP_NOTHING)
		return true;
	elems = saga_map_elems(call->ev, &call->args[0]);
	for (int i = 0; i < call->args[0].count; i++)
	{
		if (!saga_map_tick(call->ev) || !in_range(call, elems[i].u.number))
			return false;
		total = saga_map_add(total, elems[i].u.number);
	}
	return saga_map_set_result(call->ev, call->result, total);
}

/* ---------- $number ---------- */

/* 0x1F, 0o17, 0b11 */
static bool
parse_radix(const char *s, int len, Numeric *result)
{
	int			radix;
	int64		n = 0;

	if (len < 3 || s[0] != '0')
		return false;
	radix = s[1] == 'x' || s[1] == 'X' ? 16 : s[1] == 'o' || s[1] == 'O' ? 8 : s[1] == 'b' || s[1] == 'B' ? 2 : 0;
	for (int i = 2; i < len; i++)
	{
		int			digit = s[i] >= '0' && s[i] <= '9' ? s[i] - '0' :
		s[i] >= 'a' && s[i] <= 'f' ? s[i] - 'a' + 10 :
		s[i] >= 'A' && s[i] <= 'F' ? s[i] - 'A' + 10 : 16;

		if (digit >= radix || n > PG_INT64_MAX / 32)
			return false;
		n = n * radix + digit;
	}
	*result = int64_to_numeric(n);
	return true;
}

/*
 * $number: of a boolean 0 or 1, of a text its number in decimal, hexadecimal,
 * octal or binary.  A text that is none is an error, and not nothing.
 */
bool
saga_map_number(SagaMapCall *call)
{
	const SagaMapValue *v = &call->args[0];
	Numeric		number;

	switch (v->type)
	{
		case SAGA_MAP_NOTHING:
			return true;
		case SAGA_MAP_NUMBER:
			*call->result = *v;
			return true;
		case SAGA_MAP_BOOL:
			saga_map_set_number(call->result, int64_to_numeric(v->boolean ? 1 : 0));
			return true;
		default:
			if (!saga_map_charge_bytes(call->ev, (int64) v->count * 4))
				return false;
			if ((!saga_map_parse_number(v->u.string, v->count, &number) &&
				 !parse_radix(v->u.string, v->count, &number)) || !saga_map_in_range(number))
				return saga_map_call_error(call, "cannot make a number of this text");
			return saga_map_set_result(call->ev, call->result, number);
	}
}

/* ---------- amounts ---------- */

/* The amount and how many digits it is to have; *nothing when there is none. */
static bool
get_amount(SagaMapCall *call, Numeric *amount, int *digits, bool *nothing)
{
	const SagaMapValue *v = &call->args[0];
	int64		n = 2;

	*nothing = v->type == SAGA_MAP_NOTHING;
	if (*nothing)
		return true;
	if (v->type == SAGA_MAP_NUMBER)
		*amount = v->u.number;
	else if (!saga_map_charge_bytes(call->ev, (int64) v->count * 4))
		return false;
	else if (memchr(v->u.string, 'e', v->count) != NULL || memchr(v->u.string, 'E', v->count) != NULL ||
			 !saga_map_parse_number(v->u.string, v->count, amount))
		return saga_map_call_error(call, "needs a decimal number");
	if (call->args[1].type == SAGA_MAP_NUMBER)
	{
		n = saga_map_floor(call->args[1].u.number);
		if (n < 0 || n > MAX_AMOUNT_DIGITS || saga_numeric_compare(call->args[1].u.number, int64_to_numeric(n)) != 0)
			return saga_map_call_error(call, "takes a whole number of digits from 0 to %d", MAX_AMOUNT_DIGITS);
	}
	*digits = (int) n;
	return in_range(call, *amount);
}

/*
 * $minor(amount, digits): 12.34 becomes 1234, the minor units that payment
 * APIs take.  An amount with more digits is refused, since no rounding of
 * money is right for everybody.
 */
bool
saga_map_minor(SagaMapCall *call)
{
	Numeric		amount;
	Numeric		factor;
	Numeric		scaled;
	int			digits;
	bool		nothing;

	if (!get_amount(call, &amount, &digits, &nothing) || nothing)
		return nothing && call->ev->error == NULL;
	factor = DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(psprintf("1e%d", digits)),
												 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	scaled = DatumGetNumeric(DirectFunctionCall2(numeric_mul, NumericGetDatum(amount), NumericGetDatum(factor)));
	if (saga_numeric_compare(scaled, DatumGetNumeric(DirectFunctionCall1(numeric_floor, NumericGetDatum(scaled)))) != 0)
		return saga_map_call_error(call, "gets an amount with more than %d digits after the point", digits);
	return saga_map_set_result(call->ev, call->result, scaled);
}

/* numeric_round goes away from zero at one half, as one does with money. */
bool
saga_map_decimal(SagaMapCall *call)
{
	Numeric		amount;
	Datum		rounded;
	char	   *text;
	int			digits = 0;
	bool		nothing;

	if (!get_amount(call, &amount, &digits, &nothing) || nothing)
		return nothing && call->ev->error == NULL;
	rounded = DirectFunctionCall2(numeric_round, NumericGetDatum(amount), Int32GetDatum(digits));
	text = DatumGetCString(DirectFunctionCall1(numeric_out, rounded));
	saga_map_set_string(call->result, text, strlen(text));
	return true;
}
