/*
 * clock.c
 *		A clock that is set, while a publisher waits for times of it.
 *
 * Rows that publishers share have dates, so what one of them waits for is a
 * date too.  When the clock is set back by an hour, a request that was to
 * start in 20 ms would start in an hour.  So each turn compares the clock
 * with one that nobody sets, and moves along what is kept in memory when the
 * one has gone another way than the other.  What rows say is put right where
 * they are read: rate.c, hold.c, oauth.c.
 */
#include "postgres.h"

#include "common/clock.h"
#include "endpoint/auth.h"
#include "outbox/publisher_private.h"
#include "utils/timestamp.h"

/* The clocks of a server that keeps time go apart by less, between two turns. */
#define SAGA_CLOCK_SET_US	(100 * 1000)

static void
move_limiter(SagaLimiter *limiter, int64 by)
{
	dlist_iter	iter;
	ListCell   *lc;

	dlist_foreach(iter, &limiter->waits)
	{
		SagaWait   *wait = dlist_container(SagaWait, node, iter.cur);

		saga_clock_move(&wait->look_at, by);
		saga_clock_move(&wait->quiet_until, by);
	}
	foreach(lc, limiter->groups)
	{
		SagaLimitGroup *group = lfirst(lc);

		saga_clock_move(&group->hold_until, by);
		saga_clock_move(&group->slow_from, by);
		saga_clock_move(&group->report_at, by);
		saga_clock_move(&group->news.since, by);
		saga_clock_move(&group->news.pause_until, by);
	}
}

static void
move_sendings(dlist_head *list, int64 by)
{
	dlist_iter	iter;

	dlist_foreach(iter, list)
	{
		SagaSending *sending = dlist_container(SagaSending, node, iter.cur);

		saga_clock_move(&sending->plan.start_at, by);
		saga_clock_move(&sending->plan.start_by, by);
		saga_clock_move(&sending->plan.ask_at, by);
		saga_clock_move(&sending->plan.claimed_at, by);
		saga_clock_move(&sending->exchange.token_wait_until, by);
		saga_clock_move(&sending->record_at, by);
	}
}

void
saga_publisher_heed_clock(SagaPublisher *publisher)
{
	TimestampTz clock = GetCurrentTimestamp();
	TimestampTz steady = saga_monotonic_now();
	int64		by = (clock - publisher->clock_seen) - (steady - publisher->steady_seen);
	bool		was_set = publisher->steady_seen != 0 && (by > SAGA_CLOCK_SET_US || by < -SAGA_CLOCK_SET_US);

	publisher->clock_seen = clock;
	publisher->steady_seen = steady;
	if (!was_set)
		return;
	move_limiter(publisher->limiter, by);
	move_sendings(&publisher->ready, by);
	move_sendings(&publisher->done, by);
	saga_oauth_move_times(by);
	saga_clock_move(&publisher->look_at, by);
	saga_clock_move(&publisher->guard_until, by);
	saga_clock_move(&publisher->help_at, by);
}
