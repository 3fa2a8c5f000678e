/*
 * receiver.c
 *		The event loop of the sources: receives, commits, deletes (intake.c).
 *
 * Whatever raises leaves each request in one list, so the next turn goes on
 * from there.  No transaction is open while the network is waited for.
 *
 * A source that fails backs off by itself: it never waits for another one,
 * and nothing is tried again at once.
 */
#include "postgres.h"

#include "access/xact.h"
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

/* ---------- transactions ---------- */

/* What is deleted at the service must be here for good. */
void
saga_receiver_begin(SagaReceiver *receiver)
{
	Assert(!IsTransactionState());
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	/* whatever the role's and the database's defaults are */
	XactIsoLevel = XACT_READ_COMMITTED;
	XactReadOnly = false;
	XactDeferrable = false;
	if (synchronous_commit == SYNCHRONOUS_COMMIT_OFF)
		(void) set_config_option("synchronous_commit", "local", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, 0, false);
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, "receiving");
	saga_extension_lock();
	MemoryContextSwitchTo(receiver->work);
}

void
saga_receiver_commit(SagaReceiver *receiver)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	(void) pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
	MemoryContextSwitchTo(receiver->work);
}

/* ---------- the list of sources ---------- */

SagaIntake *
saga_receiver_find(SagaReceiver *receiver, int32 source_id)
{
	ListCell   *lc;

	foreach(lc, receiver->intakes)
	{
		SagaIntake *intake = lfirst(lc);

		if (intake->source->source_id == source_id)
			return intake;
	}
	return NULL;
}

/* What has changed may have been mended: it is tried at once. */
static void
serve(SagaReceiver *receiver, SagaSource *source)
{
	SagaIntake *intake = saga_receiver_find(receiver, source->source_id);

	MemoryContextSetParent(source->context, receiver->context);
	if (intake == NULL)
	{
		intake = MemoryContextAllocZero(receiver->context, sizeof(SagaIntake));
		dlist_init(&intake->received);
		receiver->intakes = lappend(receiver->intakes, intake);
	}
	else
		saga_source_release(intake->source);
	intake->source = source;
	intake->account = saga_budget_account(receiver->budget, source->owner);
	intake->stopped = false;
	intake->want = 1;
	intake->failures = 0;
	intake->receive_at = intake->look_at = intake->note_at = 0;
	intake->looked = false;
}

static void
reload(SagaReceiver *receiver)
{
	uint32		generation = saga_sources_generation();
	List	   *sources;
	ListCell   *lc;

	if (receiver->listed && generation == receiver->generation)
		return;
	saga_receiver_begin(receiver);
	sources = saga_source_list(receiver->work);
	saga_receiver_commit(receiver);

	MemoryContextSwitchTo(receiver->context);
	foreach(lc, receiver->intakes)
		((SagaIntake *) lfirst(lc))->stopped = true;
	foreach(lc, sources)
		serve(receiver, lfirst(lc));
	MemoryContextSwitchTo(receiver->work);
	receiver->generation = generation;
	receiver->listed = true;
}

/* Those that were stopped and have nothing left. */
static void
forget_stopped(SagaReceiver *receiver)
{
	ListCell   *lc;

	foreach(lc, receiver->intakes)
	{
		SagaIntake *intake = lfirst(lc);

		if (!intake->stopped || intake->receiving > 0 || !dlist_is_empty(&intake->received))
			continue;
		receiver->intakes = foreach_delete_current(receiver->intakes, lc);
		saga_source_release(intake->source);
		if (intake->error != NULL)
			pfree(intake->error);
		if (intake->noted_error != NULL)
			pfree(intake->noted_error);
		pfree(intake);
	}
}

/* ---------- starting requests ---------- */

/* One after the other, beginning behind the one that was last: no source waits for all before it. */
static int
start_receives(SagaReceiver *receiver)
{
	int			nintakes = list_length(receiver->intakes);
	int			first = 0;
	bool		any = true;
	int			n = 0;
	int			i;

	while (first < nintakes &&
		   ((SagaIntake *) list_nth(receiver->intakes, first))->source->source_id <= receiver->last_received)
		first++;
	while (any)
	{
		any = false;
		for (i = 0; i < nintakes; i++)
		{
			SagaIntake *intake = list_nth(receiver->intakes, (first + i) % nintakes);

			if (!saga_intake_may_receive(receiver, intake, saga_monotonic_now()))
				continue;
			receiver->last_received = intake->source->source_id;
			saga_intake_receive(receiver, intake);
			any = true;
			n++;
		}
	}
	return n;
}

static int
start_pending(SagaReceiver *receiver)
{
	TimestampTz now = saga_monotonic_now();
	dlist_mutable_iter iter;
	int			n = 0;

	dlist_foreach_modify(iter, &receiver->pending)
	{
		SagaSourceRequest *request = dlist_container(SagaSourceRequest, node, iter.cur);
		SagaReadiness readiness;
		char	   *error;

		if (request->start_at > now || saga_http_active(receiver->http) >= saga_http_max(receiver->http))
			continue;
		readiness = saga_source_request_start(request, receiver->http, &error);
		if (readiness == SAGA_READY_LATER)
		{
			request->start_at = TimestampTzPlusMilliseconds(now, SAGA_RECEIVER_FETCH_MS);
			continue;
		}
		n++;
		dlist_delete(&request->node);
		if (readiness == SAGA_READY_NOW)
			dlist_push_tail(&receiver->flying, &request->node);
		else if (request->action == SAGA_SOURCE_DELETE)
			saga_receiver_deleted(receiver, request, error);
		else
			dlist_push_tail(&receiver->finished, &request->node);
	}
	return n;
}

/* ---------- turns ---------- */

static void
free_finished(SagaReceiver *receiver)
{
	while (!dlist_is_empty(&receiver->finished))
		saga_source_request_free(dlist_container(SagaSourceRequest, node,
												 dlist_pop_head_node(&receiver->finished)));
}

static int
serve_intakes(SagaReceiver *receiver)
{
	TimestampTz now = saga_monotonic_now();
	ListCell   *lc;
	int			n = 0;

	foreach(lc, receiver->intakes)
	{
		SagaIntake *intake = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(receiver->work);
		saga_intake_extend(receiver, intake, now);	/* first: the others may raise */
		if (!dlist_is_empty(&intake->received) && intake->accept_at <= now)
		{
			saga_intake_commit(receiver, intake);
			n++;
		}
		if (saga_intake_needs_look(intake, now))
			saga_intake_look(receiver, intake);
		if (saga_intake_has_news(intake, now))
			saga_intake_tell(receiver, intake);
	}
	return n;
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
	receiver->budget->limit = (size_t) saga_answer_memory_kb * 1024;
	receiver->in_http = true;
	n = saga_http_run(receiver->http);
	receiver->in_http = false;
	n += serve_intakes(receiver);
	n += start_pending(receiver);
	n += start_receives(receiver);
	forget_stopped(receiver);
	return n;
}

static void
earlier(TimestampTz *wake_at, TimestampTz at)
{
	*wake_at = Min(*wake_at, at);
}

static TimestampTz
intake_wakes_at(const SagaReceiver *receiver, SagaIntake *intake)
{
	TimestampTz wake_at = DT_NOEND;

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

static long
wait_time(SagaReceiver *receiver, long timeout_ms)
{
	TimestampTz now = saga_monotonic_now();
	TimestampTz wake_at = DT_NOEND;
	long		http_ms = saga_http_timeout_ms(receiver->http);
	ListCell   *lc;
	dlist_iter	iter;

	foreach(lc, receiver->intakes)
		earlier(&wake_at, intake_wakes_at(receiver, lfirst(lc)));
	dlist_foreach(iter, &receiver->pending)
		earlier(&wake_at, dlist_container(SagaSourceRequest, node, iter.cur)->start_at);
	if (wake_at <= now)
		return 0;
	if (http_ms >= 0)
		timeout_ms = Min(timeout_ms, http_ms);
	if (wake_at < TimestampTzPlusMilliseconds(now, timeout_ms))
		timeout_ms = (long) ((wake_at - now) / 1000 + 1);
	return timeout_ms;
}

static void
wait_for_work(SagaReceiver *receiver, long timeout_ms)
{
	int			events;

	Assert(!IsTransactionState());
	timeout_ms = wait_time(receiver, timeout_ms);
	saga_proc_prepare_sleep();
	/* whoever changes a source from now on wakes us */
	if (saga_sources_generation() != receiver->generation)
		timeout_ms = 0;
	events = WaitLatchOrSocket(MyLatch,
							   WL_LATCH_SET | WL_SOCKET_READABLE | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							   saga_http_descriptor(receiver->http), timeout_ms, PG_WAIT_EXTENSION);
	saga_proc_end_sleep();
	if (events & WL_LATCH_SET)
		ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

SagaReceiver *
saga_receiver_create(MemoryContext context)
{
	SagaReceiver *receiver = MemoryContextAllocZero(context, sizeof(SagaReceiver));

	receiver->context = AllocSetContextCreate(context, "saga receiver", ALLOCSET_DEFAULT_SIZES);
	receiver->work = AllocSetContextCreate(receiver->context, "saga receiver turn", ALLOCSET_DEFAULT_SIZES);
	dlist_init(&receiver->pending);
	dlist_init(&receiver->flying);
	dlist_init(&receiver->finished);
	receiver->budget = saga_budget_create(receiver->context);
	receiver->http = saga_http_create(SAGA_RECEIVER_MAX_IN_FLIGHT);
	return receiver;
}

bool
saga_receiver_turn(SagaReceiver *receiver, long timeout_ms)
{
	MemoryContext old = CurrentMemoryContext;
	int			done = step(receiver);
	bool		busy = receiver->intakes != NIL || !dlist_is_empty(&receiver->pending) ||
		!dlist_is_empty(&receiver->flying);

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
saga_receiver_failed(SagaReceiver *receiver, const ErrorData *error)
{
	SagaIntake *intake = receiver->current;

	if (receiver->in_http)
		proc_exit(1);
	receiver->current = NULL;
	if (intake != NULL)
		saga_intake_set_error(receiver, intake, error->message);
	return intake != NULL;
}
