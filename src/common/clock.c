/*
 * clock.c
 *		A clock that nobody sets, the same for all processes of a server.
 */
#include "postgres.h"

#include "common/clock.h"
#include "portability/instr_time.h"

uint64
saga_monotonic_us(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return (uint64) INSTR_TIME_GET_MICROSEC(now);
}

/*
 * Pauses are kept in this: a clock that is set back would make each of them
 * longer by as much.
 */
TimestampTz
saga_monotonic_now(void)
{
	return (TimestampTz) saga_monotonic_us();
}
