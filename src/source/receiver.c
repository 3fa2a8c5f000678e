/*
 * receiver.c
 *		What the event loop does for sources.  For each owner it is in
 *		turn.c and share.c, for one source in intake.c and settle.c.
 *
 * Whatever raises leaves each request in one list, so the next turn goes on
 * from there.
 *
 * A source that fails backs off by itself: it never waits for another one,
 * and nothing is tried again at once.
 *
 * Begin reading with begin_turn() and work(), which the loop calls
 * (loop/loop.h).  The life of a request: made and "flying"; a receive then waits in its source's "answers"
 * and "received" until it was read and committed, a delete or an extension
 * waits in its owner's "pending" until there is a connection for it; in the
 * end it is in "finished" and freed in the next turn.
 *
 * All times are of the monotonic clock.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/clock.h"
#include "source/receiver_private.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

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

	MemoryContextSetParent(source->context, receiver->loop.context);
	if (intake == NULL)
	{
		intake = saga_intake_new(receiver->loop.context);
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
	uint32		generation = saga_queue_sources_generation();
	TimestampTz begun_at = saga_monotonic_now();
	TimestampTz ended_at;
	int			nold = list_length(receiver->intakes);
	List	   *sources;
	ListCell   *lc;

	if (receiver->listed && (generation == receiver->generation || begun_at < receiver->reload_at))
		return;
	saga_receiver_begin(receiver);
	sources = saga_source_list(receiver->loop.work);
	saga_receiver_commit(receiver);

	MemoryContextSwitchTo(receiver->loop.context);
	list_sort(receiver->intakes, compare_ids);
	foreach(lc, receiver->intakes)
		((SagaIntake *) lfirst(lc))->stopped = true;
	foreach(lc, sources)
		serve(receiver, nold, lfirst(lc));
	list_by_owner(receiver);
	MemoryContextSwitchTo(receiver->loop.work);
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

static void
begin_turn(SagaLoop *loop)
{
	SagaReceiver *receiver = (SagaReceiver *) loop;

	free_finished(receiver);
	reload(receiver);
	saga_source_hold_memory(receiver);
}

static int
work(SagaLoop *loop)
{
	SagaReceiver *receiver = (SagaReceiver *) loop;
	int			n = saga_source_serve_owners(receiver);

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

/* Until something is to be done for a source.  Whoever changes one wakes us. */
static long
shorten_wait(SagaLoop *loop, long timeout_ms)
{
	SagaReceiver *receiver = (SagaReceiver *) loop;
	TimestampTz wake_at = DT_NOEND;
	ListCell   *lc;

	Assert(!IsTransactionState());
	if (receiver->intakes == NIL)
		return 0;				/* there is no source to be served */
	foreach(lc, receiver->intakes)
		earlier(&wake_at, intake_wakes_at(receiver, lfirst(lc)));
	foreach(lc, receiver->owners)
		earlier(&wake_at, pending_wakes_at(receiver, lfirst(lc)));
	if (saga_queue_sources_generation() != receiver->generation)
		earlier(&wake_at, receiver->reload_at);
	return saga_loop_until(saga_monotonic_now(), wake_at, timeout_ms);
}

static const SagaLoopVerbs verbs = {"receiving", begin_turn, work, NULL, shorten_wait};

SagaReceiver *
saga_source_receiver_create(MemoryContext context)
{
	SagaReceiver *receiver = (SagaReceiver *) saga_loop_create(&verbs, sizeof(SagaReceiver), context,
															   SAGA_RECEIVER_MAX_RECEIVES + SAGA_RECEIVER_MAX_SETTLING);

	dlist_init(&receiver->flying);
	dlist_init(&receiver->finished);
	return receiver;
}

/* An intake stays while there are requests of its own. */
bool
saga_source_receiver_turn(SagaReceiver *receiver, long timeout_ms)
{
	saga_loop_turn(&receiver->loop, timeout_ms);
	return receiver->intakes != NIL;
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
	if (receiver->loop.telling)
		proc_exit(1);
	receiver->current = NULL;
	if (intake != NULL)
		saga_intake_set_error(receiver, intake, error->message);
	return intake != NULL;
}
