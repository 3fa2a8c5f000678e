/*
 * intrinsic_math.c
 *		Intrinsic functions on numbers, and States.UUID.
 *
 * Whole numbers only: arguments are rounded to int64 and a result beyond it
 * is a fault.  Random bits come from the scope, since nothing here has a
 * source of its own.
 */
#include "postgres.h"

#include "common/int.h"

#include "jsonpath/jsonpath_private.h"

/* States.MathAdd; a difference is the sum with a negative number. */
bool
saga_intrinsic_math_add(SagaCall *call)
{
	int64		a,
				b,
				sum;

	if (!saga_jsonpath_call_int(call, 0, &a) || !saga_jsonpath_call_int(call, 1, &b))
		return false;
	if (pg_add_s64_overflow(a, b, &sum))
		return saga_jsonpath_call_fault(call, "The sum is out of range");
	saga_value_set_int(call->result, sum);
	return true;
}

/* splitmix64 of the seed: the same seed gives the same number everywhere. */
static uint64
seeded(uint64 seed)
{
	uint64		z = seed + UINT64CONST(0x9E3779B97F4A7C15);

	z = (z ^ (z >> 30)) * UINT64CONST(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64CONST(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

/* From the first number up to, but not including, the second. */
bool
saga_intrinsic_math_random(SagaCall *call)
{
	int64		from,
				to,
				seed;
	uint64		bits;
	uint64		range;

	if (!saga_jsonpath_call_int(call, 0, &from) || !saga_jsonpath_call_int(call, 1, &to))
		return false;
	if (from >= to)
		return saga_jsonpath_call_fault(call, "The start number must be less than the end number");
	if (call->nargs == 3)
	{
		if (!saga_jsonpath_call_int(call, 2, &seed))
			return false;
		bits = seeded((uint64) seed);
	}
	else

		/*
		 * the bias of the remainder below is far below what anybody could see
		 * in a draw
		 */
		bits = call->scope->random(call->scope->random_arg);
	range = (uint64) to - (uint64) from;
	saga_value_set_int(call->result, (int64) ((uint64) from + bits % range));
	return true;
}

/* Version 4: random but for the six bits that say so. */
bool
saga_intrinsic_uuid(SagaCall *call)
{
	uint64		hi = call->scope->random(call->scope->random_arg);
	uint64		lo = call->scope->random(call->scope->random_arg);
	char	   *text;

	hi = (hi & ~UINT64CONST(0xF000)) | UINT64CONST(0x4000);
	lo = (lo & ~(UINT64CONST(3) << 62)) | (UINT64CONST(2) << 62);
	text = psprintf("%08x-%04x-%04x-%04x-%04x%08x",
					(uint32) (hi >> 32), (uint32) (hi >> 16) & 0xFFFF, (uint32) hi & 0xFFFF,
					(uint32) (lo >> 48), (uint32) (lo >> 32) & 0xFFFF, (uint32) lo);
	saga_value_set_string(call->result, text, strlen(text));
	return true;
}
