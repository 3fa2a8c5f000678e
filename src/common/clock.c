/*
 * clock.c
 *		Time: a clock that nobody sets, the same for all processes of a server,
 *		and lengths of time.
 */
#include "postgres.h"

#include "common/clock.h"
#include "portability/instr_time.h"

/*
 * The clock of the system since it was started, so that values of two
 * processes of one server can be compared.
 */
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

/*
 * A month counts as 30 days, as PostgreSQL has it where it compares
 * intervals.
 */
int64
saga_interval_ms(const Interval *interval)
{
	int64		days = (int64) interval->month * 30 + interval->day;

	return days * (USECS_PER_DAY / 1000) + interval->time / 1000;
}

/*
 * For times that are kept while the wall clock was set: zero and the
 * infinities stay.
 */
void
saga_clock_move(TimestampTz *at, int64 by)
{
	if (*at != 0 && !TIMESTAMP_NOT_FINITE(*at))
		*at += by;
}

/* The shift is bounded, so that a long row of failures does not run over. */
int64
saga_backoff(int64 first, int failures, int64 most)
{
	int64		delay = Min(first, most);

	for (; failures > 0 && delay > 0 && delay < most; failures--)
		delay = delay > most / 2 ? most : delay * 2;
	return delay;
}

/* Without random numbers it is the whole: nobody is worse off than alone. */
int64
saga_backoff_jittered(int64 first, int failures, int64 most)
{
	int64		delay = saga_backoff(first, failures, most);
	uint32		random = 0;

	if (!pg_strong_random(&random, sizeof(random)))
		return delay;
	return delay / 2 + (int64) (delay / 2 * (random / (double) PG_UINT32_MAX));
}
