/*
 * clock.h
 *		Time: a clock that nobody sets, the same for all processes of a server,
 *		and lengths of time.
 */
#ifndef SAGA_CLOCK_H
#define SAGA_CLOCK_H

#include "datatype/timestamp.h"

/* Microseconds of a clock that nobody sets, the same for all processes of a server. */
extern uint64 saga_monotonic_us(void);

/* The same, for pauses: it is no date. */
extern TimestampTz saga_monotonic_now(void);

/* Milliseconds.  A month counts 30 days, as in SQL's own comparison of intervals. */
extern int64 saga_interval_ms(const Interval *interval);

/* A time that was taken from a clock which has been set since; what is 0 or infinite stays. */
extern void saga_clock_move(TimestampTz *at, int64 by);

/*
 * How long to wait after so many failures in a row, in the unit of "first":
 * that, doubled each time, and no more than "most".  The second is anything
 * from half of it to the whole, where many would come back at once.
 */
extern int64 saga_backoff(int64 first, int failures, int64 most);
extern int64 saga_backoff_jittered(int64 first, int failures, int64 most);

#endif							/* SAGA_CLOCK_H */
