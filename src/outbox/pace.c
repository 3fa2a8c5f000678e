/*
 * pace.c
 *		What a publisher has claimed and not started: requests wait for their
 *		time, get another one when it has passed, and go back when a hold came
 *		in between.
 */
#include "postgres.h"

#include "outbox/publisher_private.h"
#include "utils/timestamp.h"

/* A request that was claimed and cannot be started for longer is given back. */
#define SAGA_KEEP_MS	5000

/* So is one that could not be composed for this time: its lease must outlast the request. */
#define SAGA_KEEP_PLAIN_MS	20000

/* What was put back is claimed again after this. */
#define SAGA_PUT_BACK_MS	1000

static bool
is_held(const SagaSending *sending, TimestampTz now)
{
	return sending->plan.limit->hold_until > now && !sending->plan.probe && sending->exchange.started_at == 0;
}

/* Its owner's requests take so long to compose that it did not get its turn, or composing it raised. */
static bool
cannot_be_composed(const SagaSending *sending, TimestampTz now)
{
	return !sending->plan.composed &&
		(sending->plan.compose_begun || TimestampDifferenceExceeds(sending->plan.claimed_at, now, SAGA_KEEP_PLAIN_MS));
}

static bool
needs_time(const SagaSending *sending, TimestampTz now)
{
	if (!sending->plan.composed || sending->plan.later || !saga_limit_has_rate(sending->plan.limit))
		return false;
	return sending->plan.start_at == 0 || (sending->plan.start_by != 0 && sending->plan.start_by < now);
}

static bool
is_unsettled(const SagaSending *sending, TimestampTz now)
{
	return sending->plan.put_back || is_held(sending, now) || cannot_be_composed(sending, now) ||
		(needs_time(sending, now) && sending->plan.ask_at <= now);
}

bool
saga_publisher_has_unsettled(SagaPublisher *publisher)
{
	TimestampTz now = GetCurrentTimestamp();
	dlist_iter	iter;

	dlist_foreach(iter, &publisher->ready)
	{
		if (is_unsettled(dlist_container(SagaSending, node, iter.cur), now))
			return true;
	}
	return false;
}

/* Back into its queue, the attempt undone.  What this process lacks need not be there at once. */
static void
give_back(SagaPublisher *publisher, SagaSending *sending)
{
	saga_outbox_unclaim_sending(sending, publisher->lease, sending->plan.put_back ? SAGA_PUT_BACK_MS : 0);
	dlist_delete(&sending->node);
	dlist_push_tail(&publisher->returned, &sending->node);
}

bool
saga_publisher_has_not_left(const SagaSending *sending)
{
	return sending->exchange.started_at == 0;
}

void
saga_publisher_return_ready(SagaPublisher *publisher)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &publisher->ready)
	{
		SagaSending *sending = dlist_container(SagaSending, node, iter.cur);

		if (saga_publisher_has_not_left(sending))
			give_back(publisher, sending);
	}
}

/* Another time, as this one has passed; else back into its queue, unless a part of it was sent. */
static void
settle_sending_time(SagaPublisher *publisher, SagaSending *sending)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		back = sending->plan.put_back || is_held(sending, now) || cannot_be_composed(sending, now);

	if (!back)
	{
		SagaGrant	grant;

		saga_limit_ask(sending->plan.limit, 1, sending->plan.probe || sending->exchange.started_at != 0, &grant);
		if (grant.n > 0)
		{
			sending->plan.start_at = grant.first;
			sending->plan.start_by = grant.first == 0 ? 0 : grant.first + grant.late_us;
			(void) saga_limit_use(sending->plan.limit, &grant, 1, publisher->lease, 0);
			return;
		}
		sending->plan.ask_at = grant.until;
		back = sending->exchange.started_at == 0 && grant.until > TimestampTzPlusMilliseconds(now, SAGA_KEEP_MS);
	}
	if (back)
		give_back(publisher, sending);
}

void
saga_publisher_settle(SagaPublisher *publisher)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &publisher->ready)
	{
		SagaSending *sending = dlist_container(SagaSending, node, iter.cur);

		if (is_unsettled(sending, GetCurrentTimestamp()))
			settle_sending_time(publisher, sending);
	}
}

bool
saga_publisher_may_start(const SagaSending *sending, TimestampTz now)
{
	return sending->plan.composed && !sending->plan.put_back && !is_held(sending, now) && !needs_time(sending, now) && sending->plan.start_at <= now;
}

TimestampTz
saga_publisher_next_start(SagaPublisher *publisher)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = DT_NOEND;
	dlist_iter	iter;

	dlist_foreach(iter, &publisher->ready)
	{
		const SagaSending *sending = dlist_container(SagaSending, node, iter.cur);

		if (!sending->plan.composed || sending->plan.put_back || is_held(sending, now))
			return now;
		if (needs_time(sending, now))
			next = Min(next, sending->plan.ask_at);
		else if (!sending->plan.later)
			next = Min(next, sending->plan.start_at);
	}
	return next;
}
