/*
 * clock.h
 *		Time: a clock that nobody sets, the same for all processes of a server,
 *		and lengths of time.
 */
#ifndef SAGA_CLOCK_H
#define SAGA_CLOCK_H

#include "datatype/timestamp.h"
#include "storage/spin.h"

/* Microseconds of a clock that nobody sets, the same for all processes of a server. */
extern uint64 saga_monotonic_us(void);

/* The same, for pauses: it is no date. */
extern TimestampTz saga_monotonic_now(void);

/*
 * How the server's clock was set while it ran, found by comparing it with the
 * monotonic one.  Dates on record are of that clock, so how long ago one was
 * can be told only by when it was set since.  What is set while the server is
 * down goes unseen.
 */
#define SAGA_CLOCK_SPANS 16

/* Between two settings; the dates of two spans may be the same. */
typedef struct SagaClockSpan
{
	TimestampTz from;
	TimestampTz until;			/* of the last: not known yet */
	int64		offset;			/* to the monotonic clock */
} SagaClockSpan;

typedef struct SagaSetClock
{
	slock_t		mutex;
	TimestampTz looked_at;		/* of the monotonic clock: the last look at both */
	TimestampTz ahead_at;		/* what it was set to when it was last set ahead; 0: never */
	int			nspans;
	SagaClockSpan spans[SAGA_CLOCK_SPANS];
} SagaSetClock;

/* In the postmaster: what all processes share from now on. */
extern void saga_clock_share(SagaSetClock *shared);

/* Now and then: what nobody has looked at between two settings goes unseen. */
extern void saga_clock_look(void);

/* Since when it has not been set ahead: what is older may be younger than it looks.  0: it never was. */
extern TimestampTz saga_clock_ahead_at(void);

/* At that time, of the clock as it goes now, is a date surely no longer ago than so many milliseconds? */
extern bool saga_clock_is_within(TimestampTz date, int64 ms, TimestampTz at);

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
