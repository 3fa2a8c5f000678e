/*
 * ending.c
 *		The last thing that a publisher does, a process or CALL saga.publish():
 *		what it knows of its requests is written down.
 *
 * One that is not needed any more has time, and first waits for its answers.
 * One that is told to end, or is cancelled, has none.  An answer that is in its memory, or in the socket's, and is on no record
 * would be lost with it, and the call in doubt although it was answered.
 * What was claimed and has not left goes back, its attempt undone.  Nothing
 * is waited for then but a record that somebody holds, and that for a short
 * time: a server that shuts down, or a person, waits for us.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "outbox/publisher_private.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

/* What never left goes back into its queue. */
static void
give_back_ready(SagaPublisher *publisher)
{
	bool		some = false;
	dlist_iter	iter;

	dlist_foreach(iter, &publisher->ready)
		some |= saga_publisher_has_not_left(dlist_container(SagaSending, node, iter.cur));
	if (!some)
		return;
	saga_publisher_begin(publisher);
	publisher->claim_open = true;	/* if it raises, those that went back are ready again */
	saga_publisher_return_ready(publisher);
	saga_publisher_commit(publisher);
	publisher->claim_open = false;
	saga_sendings_free(&publisher->returned);
}

/* Answers that cannot be recorded in time: how many calls are left to their leases. */
static void
report_left(const SagaPublisher *publisher)
{
	int			n = 0;
	dlist_iter	iter;

	dlist_foreach(iter, unconstify(dlist_head *, &publisher->done))
		n += dlist_container(SagaSending, node, iter.cur)->ndeliveries;
	if (n > 0)
		ereport(LOG,
				(errmsg_plural("a publisher ends and could not record in time how %d outbox message was sent",
							   "a publisher ends and could not record in time how %d outbox messages were sent",
							   n, n)));
}

void
saga_publisher_finish(SagaPublisher *publisher, TimestampTz until)
{
	publisher->ending = true;
	MemoryContextReset(publisher->loop.work);
	MemoryContextSwitchTo(publisher->loop.work);
	if (publisher->claim_open)
		saga_publisher_undo_claim(publisher);
	/* first, as it takes no time, and nobody can hold it up */
	saga_http_stop_waiting(publisher->loop.http);
	(void) saga_http_run(publisher->loop.http);
	give_back_ready(publisher);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(publisher->loop.work);
		saga_http_stop_waiting(publisher->loop.http);
		(void) saga_http_run(publisher->loop.http);
		if (dlist_is_empty(&publisher->done) || saga_monotonic_now() > until)
			break;
		if (saga_publisher_record(publisher) == 0)
			(void) WaitLatch(MyLatch, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, SAGA_RECORD_RETRY_MS, PG_WAIT_EXTENSION);
	}
	give_back_ready(publisher);
	report_left(publisher);
	if (saga_limiter_report_at(publisher->limiter) != DT_NOEND)
		(void) saga_publisher_report(publisher);
}

/* Nothing more comes of what it has taken. */
static bool
has_all_answers(const SagaPublisher *publisher)
{
	TimestampTz now = GetCurrentTimestamp();
	dlist_iter	iter;

	if (!dlist_is_empty(unconstify(dlist_head *, &publisher->flying)) ||
		!dlist_is_empty(unconstify(dlist_head *, &publisher->done)))
		return false;
	/* a part of it has been sent */
	dlist_foreach(iter, unconstify(dlist_head *, &publisher->ready))
	{
		if (saga_publisher_may_start(dlist_container(SagaSending, node, iter.cur), now))
			return false;
	}
	return true;
}

bool
saga_publisher_leave(SagaPublisher *publisher, long timeout_ms)
{
	MemoryContext old = MemoryContextSwitchTo(publisher->loop.work);

	publisher->leaving = true;
	if (publisher->claim_open)
		saga_publisher_undo_claim(publisher);
	saga_http_stop_waiting(publisher->loop.http);
	give_back_ready(publisher);
	MemoryContextSwitchTo(old);
	if (has_all_answers(publisher))
		return false;
	saga_publisher_turn(publisher, timeout_ms);
	return true;
}
