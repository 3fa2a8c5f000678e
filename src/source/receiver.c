/*
 * receiver.c
 *		The event loop of the sources: receives, commits, deletes.
 *
 * A receive that has brought messages waits in its source's list until they
 * are committed; then its receipts go into requests that delete them.
 * Whatever raises leaves each request in one list, so the next turn goes on
 * from there.  No transaction is open while the network is waited for.
 *
 * A source that fails backs off by itself: it never waits for another one,
 * and nothing is tried again at once.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "source/source_private.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lockdefs.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#define MAX_IN_FLIGHT		128
#define KEPT_FOR_DELETES	16	/* of these, no receive takes them */
#define ACCEPT_RECEIVES		10	/* answers for one commit */
#define ACCEPT_TRIES		20	/* then they are left to come again */
#define DELETE_TRIES		3
#define IDLE_RECEIVE_MS		1000	/* between two receives that bring nothing */
#define LOOK_MS				1000	/* between two looks at the target */
#define PROBLEM_LOOK_MS		5000
#define BACKOFF_MIN_MS		1000
#define BACKOFF_MAX_MS		60000
#define ACCEPT_BACKOFF_MS	200
#define ACCEPT_BACKOFF_MAX_MS 30000

/* A source as it is being served. */
typedef struct Intake
{
	SagaSource *source;
	bool		stopped;		/* paused or gone: nothing is received any more */
	int			receiving;		/* receives in flight */
	int			reserved;		/* messages that they may bring, and that wait for their commit */
	int			want;			/* receives in flight, while batches are full */
	int			failures;		/* of receives, in a row */
	TimestampTz receive_at;		/* not before */
	int			room;			/* how many more messages the target may be given */
	bool		looked;			/* room is known */
	bool		no_target;		/* there is a problem with it */
	TimestampTz look_at;		/* look at the target again */
	dlist_head	received;		/* receives whose messages are to be committed */
	int			accept_tries;	/* committing them raised so often */
	TimestampTz accept_at;		/* not before */
	char	   *error;			/* why it does not go on; NULL: it does */
	const char *noted_state;	/* as saga.sources shows it */
	char	   *noted_error;
	TimestampTz note_at;		/* not before */
} Intake;

struct SagaReceiver
{
	MemoryContext context;
	MemoryContext work;			/* reset each turn */
	SagaHttp   *http;
	bool		in_http;		/* while answers are told */
	bool		listed;			/* the sources have been read */
	uint32		generation;		/* when they were */
	List	   *intakes;		/* Intake, by id */
	Intake	   *current;		/* the one that a transaction is about */
	dlist_head	pending;		/* deletes and extensions to be started */
	dlist_head	flying;
	dlist_head	finished;		/* to be freed */
};

/* ---------- transactions ---------- */

/* What is deleted at the service must be here for good. */
static void
begin_work(SagaReceiver *receiver)
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
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, "receiving");
	saga_extension_lock();
	MemoryContextSwitchTo(receiver->work);
}

static void
commit_work(SagaReceiver *receiver)
{
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	(void) pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
	MemoryContextSwitchTo(receiver->work);
}

static void
count_error(void)
{
	if (saga_my_proc != NULL)
		pg_atomic_fetch_add_u64(&saga_my_proc->errors, 1);
}

static TimestampTz
after_ms(int64 ms)
{
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);
}

/* Doubled each time, and anything from half of it to the whole. */
static int64
backoff_ms(int failures, int64 min_ms, int64 max_ms)
{
	int64		delay = Min(max_ms, min_ms << Min(failures, 16));
	uint32		random = 0;

	if (!pg_strong_random(&random, sizeof(random)))
		return delay;
	return delay / 2 + (int64) (delay / 2 * (random / (double) PG_UINT32_MAX));
}

/* ---------- the list of sources ---------- */

static Intake *
find_intake(SagaReceiver *receiver, int32 source_id)
{
	ListCell   *lc;

	foreach(lc, receiver->intakes)
	{
		Intake	   *intake = lfirst(lc);

		if (intake->source->source_id == source_id)
			return intake;
	}
	return NULL;
}

/* What has changed may have been mended: it is tried at once. */
static void
serve(SagaReceiver *receiver, SagaSource *source)
{
	Intake	   *intake = find_intake(receiver, source->source_id);

	MemoryContextSetParent(source->context, receiver->context);
	if (intake == NULL)
	{
		intake = MemoryContextAllocZero(receiver->context, sizeof(Intake));
		dlist_init(&intake->received);
		receiver->intakes = lappend(receiver->intakes, intake);
	}
	else
		saga_source_release(intake->source);
	intake->source = source;
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
	begin_work(receiver);
	sources = saga_source_list(receiver->work);
	commit_work(receiver);

	MemoryContextSwitchTo(receiver->context);
	foreach(lc, receiver->intakes)
		((Intake *) lfirst(lc))->stopped = true;
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
		Intake	   *intake = lfirst(lc);

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

/* ---------- what saga.sources shows ---------- */

/* Logged once, until it is another one. */
static void
set_error(SagaReceiver *receiver, Intake *intake, const char *error)
{
	if (intake->error != NULL && error != NULL && strcmp(intake->error, error) == 0)
		return;
	if (intake->error != NULL)
		pfree(intake->error);
	intake->error = error != NULL ? MemoryContextStrdup(receiver->context, error) : NULL;
	if (error != NULL)
		ereport(LOG,
				(errmsg("source \"%s\" cannot go on: %s", intake->source->name, error)));
}

static const char *
state_of(const Intake *intake)
{
	if (intake->error != NULL)
		return "failing";
	return intake->looked && intake->room <= 0 ? "full" : "receiving";
}

/* In a transaction. */
static void
note(SagaReceiver *receiver, Intake *intake)
{
	const char *state = state_of(intake);

	if (intake->noted_state == state &&
		(intake->error == NULL || (intake->noted_error != NULL && strcmp(intake->noted_error, intake->error) == 0)))
		return;
	saga_source_note(intake->source->source_id, state, intake->error);
	intake->noted_state = state;
	if (intake->noted_error != NULL)
		pfree(intake->noted_error);
	intake->noted_error = intake->error != NULL ? MemoryContextStrdup(receiver->context, intake->error) : NULL;
}

static bool
has_news(const Intake *intake, TimestampTz now)
{
	return !intake->stopped && intake->note_at <= now &&
		(intake->noted_state != state_of(intake) ||
		 (intake->error != NULL && (intake->noted_error == NULL || strcmp(intake->noted_error, intake->error) != 0)));
}

/* ---------- the target ---------- */

/* NULL: there is a problem, which is noted.  In a transaction. */
static const SagaQueue *
find_target(SagaReceiver *receiver, Intake *intake)
{
	char	   *problem;
	const SagaQueue *queue = saga_source_target(intake->source, &problem);

	if (queue == NULL)
		set_error(receiver, intake, problem);
	else if (intake->no_target)
		set_error(receiver, intake, NULL);
	intake->no_target = queue == NULL;
	return queue;
}

static bool
needs_look(const Intake *intake, TimestampTz now)
{
	if (intake->stopped || intake->look_at > now)
		return false;
	return !intake->looked || intake->no_target || intake->room <= intake->source->max_queued / 2;
}

static void
look(SagaReceiver *receiver, Intake *intake)
{
	const SagaQueue *queue;

	receiver->current = intake;
	intake->look_at = after_ms(LOOK_MS);
	begin_work(receiver);
	queue = find_target(receiver, intake);
	if (queue != NULL)
		intake->room = saga_source_room(intake->source, queue);
	else
		intake->look_at = after_ms(PROBLEM_LOOK_MS);
	intake->looked = queue != NULL;
	note(receiver, intake);
	commit_work(receiver);
	receiver->current = NULL;
}

static void
tell(SagaReceiver *receiver, Intake *intake)
{
	receiver->current = intake;
	intake->note_at = after_ms(PROBLEM_LOOK_MS);
	begin_work(receiver);
	if (saga_source_exists(intake->source->source_id))
		note(receiver, intake);
	commit_work(receiver);
	intake->note_at = 0;
	receiver->current = NULL;
}

/* ---------- deleting ---------- */

static void answered(SagaSourceRequest *request, const char *error, void *arg);

static SagaSourceRequest *
new_request(SagaReceiver *receiver, SagaSource *source, SagaSourceAction action)
{
	SagaSourceRequest *request = saga_source_request_new(receiver->context, source, action);

	request->answered = answered;
	request->arg = receiver;
	return request;
}

/* Deletes, or hides for longer, the messages of a receive. */
static void
request_for(SagaReceiver *receiver, const SagaSourceRequest *receive, SagaSourceAction action)
{
	SagaSourceRequest *request = NULL;
	int			i;

	for (i = 0; i < receive->nmessages; i++)
	{
		if (action == SAGA_SOURCE_DELETE && !receive->messages[i].settled)
			continue;
		if (request == NULL || request->nreceipts == SAGA_SNS_MAX_ENTRIES)
		{
			request = new_request(receiver, receive->source, action);
			dlist_push_tail(&receiver->pending, &request->node);
		}
		request->receipts[request->nreceipts++] = MemoryContextStrdup(request->context, receive->messages[i].receipt);
	}
}

/* Twice more; then they come again, and are recognised. */
static void
deleted(SagaReceiver *receiver, SagaSourceRequest *request, const char *error)
{
	int			left = error != NULL ? request->nreceipts : request->nfailed;

	if (left > 0 && ++request->tries < DELETE_TRIES)
	{
		request->nreceipts = left;
		request->start_at = after_ms(backoff_ms(request->tries - 1, BACKOFF_MIN_MS, BACKOFF_MAX_MS));
		dlist_push_tail(&receiver->pending, &request->node);
		return;
	}
	if (left > 0)
		count_error();
	dlist_push_tail(&receiver->finished, &request->node);
}

/* ---------- receiving ---------- */

static void
receive_failed(SagaReceiver *receiver, Intake *intake, const char *error)
{
	intake->want = 1;
	intake->receive_at = after_ms(backoff_ms(intake->failures++, BACKOFF_MIN_MS, BACKOFF_MAX_MS));
	set_error(receiver, intake, error);
	count_error();
}

static void
received(SagaReceiver *receiver, SagaSourceRequest *request, const char *error)
{
	Intake	   *intake = find_intake(receiver, request->source_id);
	MemoryContext old = MemoryContextSwitchTo(request->context);

	intake->receiving--;
	if (error != NULL)
		receive_failed(receiver, intake, error);
	else
	{
		intake->failures = 0;
		if (!intake->no_target && intake->accept_tries == 0)
			set_error(receiver, intake, NULL);
		if (request->nmessages == 0)
			intake->receive_at = TimestampTzPlusMilliseconds(request->started_at, IDLE_RECEIVE_MS);
		if (request->nmessages < request->asked)
			intake->want = 1;
		else if (intake->want < request->source->receives)
			intake->want++;
	}
	intake->reserved -= request->asked - request->nmessages;
	request->hidden_until = after_ms((int64) request->source->visibility_s * 1000);
	dlist_push_tail(request->nmessages > 0 ? &intake->received : &receiver->finished, &request->node);
	MemoryContextSwitchTo(old);
}

/* saga_source_answer_fn */
static void
answered(SagaSourceRequest *request, const char *error, void *arg)
{
	SagaReceiver *receiver = arg;

	dlist_delete(&request->node);
	if (request->action == SAGA_SOURCE_RECEIVE)
		received(receiver, request, error);
	else if (request->action == SAGA_SOURCE_DELETE)
		deleted(receiver, request, error);
	else
		dlist_push_tail(&receiver->finished, &request->node);
}

static bool
may_receive(const SagaReceiver *receiver, const Intake *intake, TimestampTz now)
{
	int			want = intake->source->endpoint.fifo ? 1 : intake->want;

	return !intake->stopped && intake->looked && intake->room > intake->reserved && intake->receiving < want &&
		intake->receive_at <= now && intake->accept_tries == 0 &&
		saga_http_active(receiver->http) < saga_http_max(receiver->http) - KEPT_FOR_DELETES;
}

static void
receive(SagaReceiver *receiver, Intake *intake)
{
	SagaSourceRequest *request = new_request(receiver, intake->source, SAGA_SOURCE_RECEIVE);
	const char *error;

	request->asked = Min(intake->source->batch, intake->room - intake->reserved);
	error = saga_source_request_start(request, receiver->http);
	if (error == NULL)
	{
		intake->receiving++;
		intake->reserved += request->asked;
		dlist_push_tail(&receiver->flying, &request->node);
		return;
	}
	receive_failed(receiver, intake, error);
	dlist_push_tail(&receiver->finished, &request->node);
}

static int
start_receives(SagaReceiver *receiver)
{
	ListCell   *lc;
	int			n = 0;

	foreach(lc, receiver->intakes)
	{
		Intake	   *intake = lfirst(lc);

		while (may_receive(receiver, intake, GetCurrentTimestamp()))
		{
			receive(receiver, intake);
			n++;
		}
	}
	return n;
}

static int
start_pending(SagaReceiver *receiver)
{
	TimestampTz now = GetCurrentTimestamp();
	dlist_mutable_iter iter;
	int			n = 0;

	dlist_foreach_modify(iter, &receiver->pending)
	{
		SagaSourceRequest *request = dlist_container(SagaSourceRequest, node, iter.cur);
		const char *error;

		if (request->start_at > now || saga_http_active(receiver->http) >= saga_http_max(receiver->http))
			continue;
		n++;
		error = saga_source_request_start(request, receiver->http);
		dlist_delete(&request->node);
		if (error == NULL)
			dlist_push_tail(&receiver->flying, &request->node);
		else if (request->action == SAGA_SOURCE_DELETE)
			deleted(receiver, request, error);
		else
			dlist_push_tail(&receiver->finished, &request->node);
	}
	return n;
}

/* ---------- committing ---------- */

/* Up to limit receives; returns their messages. */
static SagaSqsMessage **
gather(const Intake *intake, int limit, int *n)
{
	SagaSqsMessage **messages = NULL;
	dlist_iter	iter;
	int			seen = 0;
	int			i;

	*n = 0;
	dlist_foreach(iter, unconstify(dlist_head *, &intake->received))
	{
		SagaSourceRequest *request = dlist_container(SagaSourceRequest, node, iter.cur);

		if (seen++ >= limit)
			break;
		/* as many as came, whatever was asked for */
		if (messages == NULL)
			messages = palloc(mul_size(request->nmessages, sizeof(SagaSqsMessage *)));
		else
			messages = repalloc(messages, mul_size(*n + request->nmessages, sizeof(SagaSqsMessage *)));
		for (i = 0; i < request->nmessages; i++)
			messages[(*n)++] = &request->messages[i];
	}
	return messages;
}

/* The first ones are settled: committed and to be deleted, or given up. */
static void
settle(SagaReceiver *receiver, Intake *intake, int limit, bool committed)
{
	while (limit-- > 0 && !dlist_is_empty(&intake->received))
	{
		SagaSourceRequest *request = dlist_container(SagaSourceRequest, node,
													 dlist_pop_head_node(&intake->received));

		intake->reserved -= request->nmessages;
		dlist_push_tail(&receiver->finished, &request->node);
		if (committed)
			request_for(receiver, request, SAGA_SOURCE_DELETE);
	}
}

static void
count_done(int n)
{
	if (saga_my_proc == NULL)
		return;
	pg_atomic_fetch_add_u64(&saga_my_proc->batches, 1);
	pg_atomic_fetch_add_u64(&saga_my_proc->done, n);
	pg_atomic_write_u64(&saga_my_proc->last_active, (uint64) GetCurrentTimestamp());
}

/* True: the messages are in the queue, or the source is gone and they stay where they are. */
static bool
accept_messages(SagaReceiver *receiver, Intake *intake, int limit, SagaAccepted *accepted, bool *gone)
{
	const SagaQueue *queue;
	SagaSqsMessage **messages;
	int			n;

	saga_source_lock(intake->source->source_id, AccessShareLock);
	*gone = !saga_source_exists(intake->source->source_id);
	if (*gone)
		return true;
	queue = find_target(receiver, intake);
	if (queue == NULL)
	{
		note(receiver, intake);
		return false;
	}
	messages = gather(intake, limit, &n);
	saga_source_accept(intake->source, queue, messages, n, accepted);
	return true;
}

/*
 * The time of the next try is set before: whatever raises has its pause.
 * After some failures one answer at a time finds the culprit.
 */
static void
commit_received(SagaReceiver *receiver, Intake *intake)
{
	int			limit = intake->accept_tries < 3 ? ACCEPT_RECEIVES : 1;
	SagaAccepted accepted = {0};
	bool		gone;
	bool		done;

	if (intake->accept_tries >= ACCEPT_TRIES)
	{
		settle(receiver, intake, 1, false);
		intake->accept_tries = 3;
		return;
	}
	receiver->current = intake;
	intake->accept_at = after_ms(backoff_ms(intake->accept_tries++, ACCEPT_BACKOFF_MS, ACCEPT_BACKOFF_MAX_MS));
	begin_work(receiver);
	done = accept_messages(receiver, intake, limit, &accepted, &gone);
	commit_work(receiver);
	receiver->current = NULL;
	if (!done)
		return;
	settle(receiver, intake, limit, !gone);
	if (!gone && intake->accept_tries > 1)
		set_error(receiver, intake, NULL);
	intake->accept_tries = 0;
	intake->accept_at = 0;
	intake->room -= accepted.inserted;
	count_done(accepted.inserted + accepted.dead);
	if (accepted.damaged > 0)
		count_error();
}

/* While they wait for their commit, half of the time that they are hidden for has passed. */
static void
extend(SagaReceiver *receiver, Intake *intake, TimestampTz now)
{
	dlist_iter	iter;

	dlist_foreach(iter, &intake->received)
	{
		SagaSourceRequest *request = dlist_container(SagaSourceRequest, node, iter.cur);
		int64		visibility_ms = (int64) request->source->visibility_s * 1000;

		if (TimestampTzPlusMilliseconds(now, visibility_ms / 2) < request->hidden_until)
			continue;
		request_for(receiver, request, SAGA_SOURCE_EXTEND);
		request->hidden_until = TimestampTzPlusMilliseconds(now, visibility_ms);
	}
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
	TimestampTz now = GetCurrentTimestamp();
	ListCell   *lc;
	int			n = 0;

	foreach(lc, receiver->intakes)
	{
		Intake	   *intake = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(receiver->work);
		if (!dlist_is_empty(&intake->received) && intake->accept_at <= now)
		{
			commit_received(receiver, intake);
			n++;
		}
		if (needs_look(intake, now))
			look(receiver, intake);
		if (has_news(intake, now))
			tell(receiver, intake);
		extend(receiver, intake, now);
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
intake_wakes_at(const SagaReceiver *receiver, Intake *intake)
{
	TimestampTz wake_at = DT_NOEND;

	if (!dlist_is_empty(&intake->received))
		earlier(&wake_at, intake->accept_at);
	if (intake->stopped)
		return wake_at;
	if (!intake->looked || intake->no_target || intake->room <= intake->reserved)
		earlier(&wake_at, intake->look_at);
	if (may_receive(receiver, intake, DT_NOEND))
		earlier(&wake_at, intake->receive_at);
	if (has_news(intake, DT_NOEND))
		earlier(&wake_at, intake->note_at);
	return wake_at;
}

static long
wait_time(SagaReceiver *receiver, long timeout_ms)
{
	TimestampTz now = GetCurrentTimestamp();
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
	receiver->http = saga_http_create(MAX_IN_FLIGHT);
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
void
saga_receiver_failed(SagaReceiver *receiver, const ErrorData *error)
{
	if (receiver->in_http)
		proc_exit(1);
	if (receiver->current != NULL)
		set_error(receiver, receiver->current, error->message);
	receiver->current = NULL;
}
