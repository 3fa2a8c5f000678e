/*
 * network.c
 *		The processes around the event loops that ask the network: a publisher's
 *		(outbox/outbox.h) and that of the sources (source/source.h).
 *
 * Their sessions are the bootstrap superuser's and run no user code.  Nothing
 * is decided here but when to leave, and how long to pause after an error.  A
 * publisher that is not needed any more waits for what is in flight; otherwise
 * it records what has arrived by then.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/clock.h"
#include "common/guc.h"
#include "miscadmin.h"
#include "outbox/outbox.h"
#include "pgstat.h"
#include "source/source.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "worker/procs_private.h"

#define TURN_MS			10000
#define TROUBLE_MIN_MS	200
#define TROUBLE_MAX_MS	30000
#define FINISH_MS		3000	/* to write down what is known, when it is to end */
#define FINISH_GRACE_MS	1000	/* for what is being done then */
#define FINISH_RETRY_MS	100


/* What one kind of them does. */
typedef struct Server
{
	/* It is to leave: no pause is made for an error then. */
	bool		(*is_to_end) (void);

	/* One turn, in which the process may end. */
	void		(*turn) (MemoryContext context);

	/*
	 * A turn has raised.  True: what it was about pauses by itself, and must
	 * not delay what else there is.
	 */
	bool		(*pauses) (const ErrorData *error);
} Server;

/* Of this process, whichever it is; NULL: not made yet. */
static SagaPublisher *publisher = NULL;
static SagaReceiver *receiver = NULL;


/* ---------- a publisher ---------- */

/* Has it had nothing to send, and nothing to wait for, for as long as a process may idle? */
static bool
is_idle_for_long(void)
{
	TimestampTz active = (TimestampTz) pg_atomic_read_u64(&saga_my_proc->last_active);
	int32		id;

	if (publisher != NULL && saga_publisher_is_waiting(publisher))
		return false;
	return saga_queue_ready_queues(InvalidOid, SAGA_QUEUE_DESTINATION, &id, 1) == 0 &&
		TimestampDifferenceExceeds(active, GetCurrentTimestamp(), saga_worker_idle_timeout_ms);
}

/* Once it is, it stays so, also when a database that was closed is opened again. */
static bool
publisher_is_to_end(void)
{
	static bool ends = false;

	/* one too many may take its time, all others may not */
	ends |= saga_worker_proc_told_to_end() || (!saga_worker_proc_wanted() && !saga_worker_proc_is_one_too_many());
	return ends;
}

/* SIGALRM: what it does is taking too long, also where it does not look at the time. */
static void
end_at_once(void)
{
	ProcDiePending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
}

/*
 * Does not return, unless it raises: then it is called again, and its time is
 * that of the first call.  Not after a SIGQUIT, which has a handler of its own.
 */
static void
finish(void)
{
	static TimestampTz until = 0;

	if (publisher == NULL)
		proc_exit(0);
	if (until == 0)
	{
		until = TimestampTzPlusMilliseconds(saga_monotonic_now(), FINISH_MS);
		enable_timeout_after(RegisterTimeout(USER_TIMEOUT, end_at_once), FINISH_MS + FINISH_GRACE_MS);
	}
	if (saga_publisher_has_requests(publisher))
		saga_worker_proc_leaves_requests();
	if (saga_monotonic_now() <= until)
		saga_publisher_finish(publisher, until);
	proc_exit(0);
}

/*
 * Another publisher ended that may have had requests in flight.  The one that
 * is started for them looks when it begins; where there are enough of them
 * none is started, and one that began before the other was gone did not find
 * them.
 */
static void
look_for_lost(void)
{
	static uint32 seen = 0;
	uint32		lost = pg_atomic_read_u32(&saga_procs->lost_publishers);

	if (lost != seen)
		saga_publisher_look_for_lost(publisher);
	seen = lost;
}

static void
publisher_turn(MemoryContext context)
{
	if (publisher_is_to_end())
		finish();
	if (saga_worker_proc_is_one_too_many())
	{
		/* what it waits for is in flight, and would be in doubt */
		if (publisher == NULL || !saga_publisher_leave(publisher, TURN_MS))
			finish();
		return;
	}
	if (is_idle_for_long())
		proc_exit(0);
	if (publisher == NULL)
		publisher = saga_publisher_create(context);
	look_for_lost();
	saga_publisher_turn(publisher, Min(TURN_MS, saga_worker_idle_timeout_ms));
}

static const Server publisher_server = {publisher_is_to_end, publisher_turn, NULL};

/* ---------- the sources ---------- */

static bool
source_is_to_end(void)
{
	return !saga_worker_proc_wanted() || !saga_sources;
}

/* The coordinator starts another one when there are sources again. */
static void
source_turn(MemoryContext context)
{
	if (source_is_to_end())
		proc_exit(0);
	if (receiver == NULL)
		receiver = saga_source_receiver_create(context);
	if (!saga_source_receiver_turn(receiver, TURN_MS))
		proc_exit(0);
}

static bool
source_pauses(const ErrorData *error)
{
	return receiver != NULL && saga_source_receiver_failed(receiver, error);
}

static const Server source_server = {source_is_to_end, source_turn, source_pauses};

/* ---------- both ---------- */

/* After an error, of which there were so many in a row.  Who is to end tries that again at once, and then soon. */
static void
pause_after(const Server *server, int failures)
{
	long		pause = saga_backoff(TROUBLE_MIN_MS, failures - 1, TROUBLE_MAX_MS);

	if (server->is_to_end())
		pause = failures > 1 ? FINISH_RETRY_MS : 0;
	if (pause == 0)
		return;
	ResetLatch(MyLatch);
	/* it may have been told since, with the latch that was reset */
	if (pause <= FINISH_RETRY_MS || !server->is_to_end())
		saga_worker_proc_wait(pause);
}

/* Turn after turn, until one of them ends the process. */
static void
serve(const Server *server)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "pg_saga network",
												  ALLOCSET_DEFAULT_SIZES);
	volatile int failures = 0;
	volatile bool failed = false;

	for (;;)
	{
		PG_TRY();
		{
			(void) saga_worker_proc_interrupts();
			/* it may have raised because that is gone */
			if (failed && !saga_worker_proc_has_extension())
				proc_exit(0);
			failed = false;
			server->turn(context);
			failures = 0;
		}
		PG_CATCH();
		{
			ErrorData  *error = saga_worker_proc_recover(context);

			failed = true;
			failures = server->pauses != NULL && server->pauses(error) ? 0 : failures + 1;
			FreeErrorData(error);
		}
		PG_END_TRY();
		if (failed && failures > 0)
			pause_after(server, failures);
	}
}

/* Without the extension it leaves. */
static void
begin(SagaProcType type, const char *name)
{
	SagaProcArgs args;

	saga_worker_proc_begin(type, &args);
	BackgroundWorkerInitializeConnectionByOid(args.dboid, InvalidOid, 0);
	saga_worker_proc_connected(name, InvalidOid);
	if (!saga_worker_proc_has_extension())
		proc_exit(0);
}

/*
 * SIGTERM is no end at once from saga_worker_proc_finishes() on: what is known of
 * requests in flight is recorded first.
 */
void
saga_worker_publisher_main(Datum arg)
{
	begin(SAGA_PROC_PUBLISHER, "pg_saga publisher");
	saga_worker_proc_finishes();
	serve(&publisher_server);
}

void
saga_worker_source_main(Datum arg)
{
	begin(SAGA_PROC_SOURCE, "pg_saga source");
	serve(&source_server);
}
