/*
 * receiver.c
 *		The event loop of the sources.  What it does for each owner is in
 *		turn.c and share.c, for one source in intake.c and settle.c.
 *
 * Whatever raises leaves each request in one list, so the next turn goes on
 * from there.  No transaction is open while the network is waited for.
 *
 * A source that fails backs off by itself: it never waits for another one,
 * and nothing is tried again at once.
 *
 * Begin reading with saga_source_receiver_turn and step().  The life of a
 * request: made and "flying"; a receive then waits in its source's "answers"
 * and "received" until it was read and committed, a delete or an extension
 * waits in its owner's "pending" until there is a connection for it; in the
 * end it is in "finished" and freed in the next turn.
 *
 * All times are of the monotonic clock.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/clock.h"
#include "common/guc.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "source/receiver_private.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#define RELOAD_MS		200		/* between two readings of all sources */
#define RELOAD_PAUSE	10		/* and so many times as long as one takes */

/* ---------- the list of sources ---------- */

/* Among the first n, which are in the order of their ids. */
static SagaIntake *
find(SagaReceiver *receiver, int n, int32 source_id)
{
	int			low = 0;
	int			high = n;

	while (low < high)
	{
		int			middle = (low + high) / 2;
		SagaIntake *intake = list_nth(receiver->intakes, middle);

		if (intake->source->source_id == source_id)
			return intake;
		if (intake->source->source_id < source_id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* A source as it was just read from the table: it is served from now on, or goes on with other settings. */
static void
serve(SagaReceiver *receiver, int nold, SagaSource *source)
{
	SagaIntake *intake = find(receiver, nold, source->source_id);
	SagaSourceOwner *owner = saga_source_owner(receiver, source->owner);

	MemoryContextSetParent(source->context, receiver->context);
	if (intake == NULL)
	{
		intake = saga_intake_new(receiver->context);
		receiver->intakes = lappend(receiver->intakes, intake);
	}
	saga_intake_serve_as(intake, source, owner);
}

/* The order of the list of intakes. */
static int
compare_ids(const ListCell *a, const ListCell *b)
{
	int32		x = ((SagaIntake *) lfirst(a))->source->source_id;
	int32		y = ((SagaIntake *) lfirst(b))->source->source_id;

	return x < y ? -1 : x > y;
}

/* Those of each owner. */
static void
list_by_owner(SagaReceiver *receiver)
{
	ListCell   *lc;

	list_sort(receiver->intakes, compare_ids);
	foreach(lc, receiver->owners)
	{
		list_free(((SagaSourceOwner *) lfirst(lc))->intakes);
		((SagaSourceOwner *) lfirst(lc))->intakes = NIL;
	}
	foreach(lc, receiver->intakes)
	{
		SagaIntake *intake = lfirst(lc);

		intake->owner->intakes = lappend(intake->owner->intakes, intake);
	}
}

/*
 * The first change is seen at once; of many in a row, which one owner can
 * make, the others have their pause.
 */
static void
reload(SagaReceiver *receiver)
{
	uint32		generation = saga_sources_generation();
	TimestampTz begun_at = saga_monotonic_now();
	TimestampTz ended_at;
	int			nold = list_length(receiver->intakes);
	List	   *sources;
	ListCell   *lc;

	if (receiver->listed && (generation == receiver->generation || begun_at < receiver->reload_at))
		return;
	saga_receiver_begin(receiver);
	sources = saga_source_list(receiver->work);
	saga_receiver_commit(receiver);

	MemoryContextSwitchTo(receiver->context);
	list_sort(receiver->intakes, compare_ids);
	foreach(lc, receiver->intakes)
		((SagaIntake *) lfirst(lc))->stopped = true;
	foreach(lc, sources)
		serve(receiver, nold, lfirst(lc));
	list_by_owner(receiver);
	MemoryContextSwitchTo(receiver->work);
	receiver->generation = generation;
	receiver->listed = true;
	ended_at = saga_monotonic_now();
	receiver->reload_at = TimestampTzPlusMilliseconds(ended_at + RELOAD_PAUSE * (ended_at - begun_at), RELOAD_MS);
}

/* Those that were stopped and have nothing left. */
static void
forget_stopped(SagaReceiver *receiver)
{
	ListCell   *lc;

	foreach(lc, receiver->intakes)
	{
		SagaIntake *intake = lfirst(lc);

		if (!intake->stopped || intake->receiving > 0 || intake->outstanding > 0 ||
			!dlist_is_empty(&intake->received))
			continue;
		intake->owner->intakes = list_delete_ptr(intake->owner->intakes, intake);
		receiver->intakes = foreach_delete_current(receiver->intakes, lc);
		saga_source_release(intake->source);
		if (intake->error != NULL)
			pfree(intake->error);
		if (intake->noted_error != NULL)
			pfree(intake->noted_error);
		pfree(intake);
	}
}

/* ---------- turns ---------- */

/* Frees the requests that the last turn was done with. */
static void
free_finished(SagaReceiver *receiver)
{
	while (!dlist_is_empty(&receiver->finished))
		saga_source_request_free(dlist_container(SagaSourceRequest, node,
												 dlist_pop_head_node(&receiver->finished)));
}

/* Everything that can be done without waiting. */
static int
step(SagaReceiver *receiver)
{
	int			n;

	CHECK_FOR_INTERRUPTS();
	MemoryContextReset(receiver->work);
	MemoryContextSwitchTo(receiver->work);
	free_finished(receiver);
	reload(receiver);
	/* the setting may have been reloaded */
	receiver->budget->limit = (size_t) saga_answer_memory_kb * 1024;
	saga_source_hold_memory(receiver);
	receiver->in_http = true;
	n = saga_http_run(receiver->http);
	receiver->in_http = false;
	n += saga_source_serve_owners(receiver);
	n += saga_source_start_pending(receiver);
	n += saga_source_start_receives(receiver);
	forget_stopped(receiver);
	return n;
}

/* Moves a time to an earlier one. */
static void
earlier(TimestampTz *wake_at, TimestampTz at)
{
	*wake_at = Min(*wake_at, at);
}

/* When something is to be done for this source, whatever the network brings. */
static TimestampTz
intake_wakes_at(const SagaReceiver *receiver, SagaIntake *intake)
{
	TimestampTz wake_at = DT_NOEND;

	if (!dlist_is_empty(&intake->answers))
		earlier(&wake_at, 0);
	if (!dlist_is_empty(&intake->received))
	{
		earlier(&wake_at, intake->accept_at);
		earlier(&wake_at, saga_intake_extend_at(intake));
	}
	if (intake->stopped)
		return wake_at;
	if (!intake->looked || intake->no_target || intake->room <= intake->reserved)
		earlier(&wake_at, intake->look_at);
	if (saga_intake_may_receive(receiver, intake, DT_NOEND))
		earlier(&wake_at, intake->receive_at);
	if (saga_intake_has_news(intake, DT_NOEND))
		earlier(&wake_at, intake->note_at);
	return wake_at;
}

/* What might have been started and was not has to wait for an answer. */
static TimestampTz
pending_wakes_at(const SagaReceiver *receiver, const SagaSourceOwner *owner)
{
	TimestampTz wake_at = DT_NOEND;
	dlist_iter	iter;

	dlist_foreach(iter, unconstify(dlist_head *, &owner->pending))
	{
		const SagaSourceRequest *request = dlist_container(SagaSourceRequest, node, iter.cur);

		if (request->start_at > receiver->pending_at)
			earlier(&wake_at, request->start_at);
	}
	return wake_at;
}

/* How long to wait at most: until something is to be done, or libcurl has to be called. */
static long
wait_time(SagaReceiver *receiver, long timeout_ms)
{
	TimestampTz now = saga_monotonic_now();
	TimestampTz wake_at = DT_NOEND;
	long		http_ms = saga_http_timeout_ms(receiver->http);
	ListCell   *lc;

	foreach(lc, receiver->intakes)
		earlier(&wake_at, intake_wakes_at(receiver, lfirst(lc)));
	foreach(lc, receiver->owners)
		earlier(&wake_at, pending_wakes_at(receiver, lfirst(lc)));
	if (saga_sources_generation() != receiver->generation)
		earlier(&wake_at, receiver->reload_at);
	if (wake_at <= now)
		return 0;
	if (http_ms >= 0)
		timeout_ms = Min(timeout_ms, http_ms);
	if (wake_at < TimestampTzPlusMilliseconds(now, timeout_ms))
		timeout_ms = (long) ((wake_at - now) / 1000 + 1);
	return timeout_ms;
}

/* Waits for the network, for whoever wakes this process, or for the time to do something. */
static void
wait_for_work(SagaReceiver *receiver, long timeout_ms)
{
	int			events;

	Assert(!IsTransactionState());
	saga_proc_prepare_sleep();
	/* whoever changes a source from now on wakes us */
	timeout_ms = wait_time(receiver, timeout_ms);
	events = WaitLatchOrSocket(MyLatch,
							   WL_LATCH_SET | WL_SOCKET_READABLE | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							   saga_http_descriptor(receiver->http), timeout_ms, PG_WAIT_EXTENSION);
	saga_proc_end_sleep();
	if (events & WL_LATCH_SET)
		ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* Raises when there are no descriptors for its connections. */
SagaReceiver *
saga_source_receiver_create(MemoryContext context)
{
	/*
	 * first, as it may raise, again and again: nothing is there then that
	 * somebody would have to free
	 */
	SagaHttp   *http = saga_http_create(SAGA_RECEIVER_MAX_RECEIVES + SAGA_RECEIVER_MAX_SETTLING);
	SagaReceiver *receiver = MemoryContextAllocZero(context, sizeof(SagaReceiver));

	receiver->http = http;
	receiver->context = AllocSetContextCreate(context, "saga receiver", ALLOCSET_DEFAULT_SIZES);
	receiver->work = AllocSetContextCreate(receiver->context, "saga receiver turn", ALLOCSET_DEFAULT_SIZES);
	dlist_init(&receiver->flying);
	dlist_init(&receiver->finished);
	receiver->budget = saga_budget_create(receiver->context);
	return receiver;
}

bool
saga_source_receiver_turn(SagaReceiver *receiver, long timeout_ms)
{
	MemoryContext old = CurrentMemoryContext;
	int			done;
	bool		busy;

	saga_proc_busy_begin();
	done = step(receiver);
	saga_proc_busy_end();
	busy = receiver->intakes != NIL;	/* they stay while there are requests of theirs */
	if (done == 0 && busy)
		wait_for_work(receiver, timeout_ms);
	MemoryContextSwitchTo(old);
	return busy;
}

/*
 * An answer that was being told is lost, and its request would be waited for
 * for ever: then the process begins anew, and messages come again.
 */
bool
saga_source_receiver_failed(SagaReceiver *receiver, const ErrorData *error)
{
	SagaIntake *intake = receiver->current;

	/*
	 * no list has that request any more: libcurl has told its answer to
	 * nobody
	 */
	if (receiver->in_http)
		proc_exit(1);
	receiver->current = NULL;
	if (intake != NULL)
		saga_intake_set_error(receiver, intake, error->message);
	return intake != NULL;
}
