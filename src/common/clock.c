/*
 * clock.c
 *		Time: a clock that nobody sets, the same for all processes of a server,
 *		and lengths of time.
 */
#include "postgres.h"

#include "common/clock.h"
#include "portability/instr_time.h"
#include "utils/timestamp.h"

/* Less than that is no setting of the clock, as far as anything here waits for. */
#define SET_CLOCK_MIN_US	100000

/* Of this process, where there is no shared memory. */
static SagaSetClock own_clock;
static SagaSetClock *set_clock = NULL;

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

/* ---------- a clock that was set ---------- */

static void
begin_clock(SagaSetClock *clock)
{
	memset(clock, 0, sizeof(*clock));
	SpinLockInit(&clock->mutex);
	clock->nspans = 1;
	clock->spans[0].from = DT_NOBEGIN;
	clock->looked_at = saga_monotonic_now();
	clock->spans[0].offset = GetCurrentTimestamp() - clock->looked_at;
}

/*
 * Shared memory is made anew after a crash: what the postmaster has seen when
 * it began shows whether the clock was set since.
 */
void
saga_clock_share(SagaSetClock *shared)
{
	if (set_clock == NULL)
		begin_clock(&own_clock);
	set_clock = shared;
	*shared = own_clock;
	SpinLockInit(&shared->mutex);
}

/*
 * The clock was set at some time between the last look and this one.  Where
 * there is no room for more the two oldest spans become one, in which a date
 * is as old as in either.
 */
static void
begin_span(SagaSetClock *clock, TimestampTz now, int64 offset)
{
	SagaClockSpan *spans = clock->spans;
	SagaClockSpan *last = &spans[clock->nspans - 1];

	last->until = now + last->offset;
	if (clock->nspans == SAGA_CLOCK_SPANS)
	{
		spans[1].from = spans[0].from;
		spans[1].until = Max(spans[0].until, spans[1].until);
		spans[1].offset = Max(spans[0].offset, spans[1].offset);
		memmove(&spans[0], &spans[1], sizeof(SagaClockSpan) * --clock->nspans);
	}
	last = &spans[clock->nspans++];
	last->from = clock->looked_at + offset;
	last->until = 0;
	last->offset = offset;
}

/*
 * Whoever decides by a date looks first.  The process may stand still between
 * the two clocks, so the monotonic one is read on both sides of the other: it
 * can only be missed that the clock was set by less than that took.  All under
 * the lock, or somebody who stands still before it would undo what others see.
 */
static SagaSetClock
look_at_clock(void)
{
	SagaSetClock seen;
	TimestampTz before;
	TimestampTz now;
	TimestampTz after;
	int64		offset;

	if (set_clock == NULL)
	{
		begin_clock(&own_clock);
		set_clock = &own_clock;
	}
	SpinLockAcquire(&set_clock->mutex);
	before = saga_monotonic_now();
	now = GetCurrentTimestamp();
	after = saga_monotonic_now();
	offset = set_clock->spans[set_clock->nspans - 1].offset;
	if (now - after > offset + SET_CLOCK_MIN_US)
	{
		set_clock->ahead_at = now;
		begin_span(set_clock, after, now - after);
	}
	else if (now - before < offset - SET_CLOCK_MIN_US)
		begin_span(set_clock, after, now - before);
	set_clock->looked_at = before;
	seen = *set_clock;
	SpinLockRelease(&set_clock->mutex);
	return seen;
}

void
saga_clock_look(void)
{
	(void) look_at_clock();
}

TimestampTz
saga_clock_ahead_at(void)
{
	return look_at_clock().ahead_at;
}

/*
 * It may be of each span that has such dates.  One that no span has was
 * written when the clock was another, before the server began.
 */
bool
saga_clock_is_within(TimestampTz date, int64 ms, TimestampTz at)
{
	SagaSetClock clock = look_at_clock();
	const SagaClockSpan *now = &clock.spans[clock.nspans - 1];
	bool		found = false;

	for (int i = 0; i < clock.nspans; i++)
	{
		const SagaClockSpan *span = &clock.spans[i];

		if (date < span->from || date > (span == now ? at : span->until))
			continue;
		found = true;
		if (at + span->offset - now->offset - date >= ms * 1000)
			return false;
	}
	return found;
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
