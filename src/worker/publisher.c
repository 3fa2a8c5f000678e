/*
 * publisher.c
 *		The process around the outbox's event loop (outbox.h).
 *
 * Its session is the bootstrap superuser's and runs no user code: it claims,
 * sends and records.  Nothing is decided here but when to leave.  When there
 * are to be fewer it waits for what is in flight; otherwise it records what
 * has arrived by then.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/clock.h"
#include "common/guc.h"
#include "miscadmin.h"
#include "outbox/outbox.h"
#include "pgstat.h"
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


/* Has the publisher had nothing to send, and nothing to wait for, for as long as a process may idle? */
static bool
is_idle_for_long(const SagaPublisher *publisher)
{
	TimestampTz active = (TimestampTz) pg_atomic_read_u64(&saga_my_proc->last_active);
	int32		id;

	if (publisher != NULL && saga_publisher_is_waiting(publisher))
		return false;
	return saga_ready_queues(InvalidOid, SAGA_QUEUE_DESTINATION, &id, 1) == 0 &&
		TimestampDifferenceExceeds(active, GetCurrentTimestamp(), saga_worker_idle_timeout_ms);
}

/* Once it is, it stays so, also when a database that was closed is opened again. */
static bool
is_to_end(void)
{
	static bool ends = false;

	/* one too many may take its time, all others may not */
	ends |= saga_proc_told_to_end() || (!saga_proc_wanted() && !saga_proc_is_one_too_many());
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
finish(SagaPublisher *publisher)
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
		saga_proc_leaves_requests();
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
look_for_lost(SagaPublisher *publisher)
{
	static uint32 seen = 0;
	uint32		lost = pg_atomic_read_u32(&saga_procs->lost_publishers);

	if (lost != seen)
		saga_publisher_look_for_lost(publisher);
	seen = lost;
}

/* Publishes until there is nothing to do for long; what raises makes a new SagaPublisher. */
static void
loop(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "pg_saga publisher",
												  ALLOCSET_DEFAULT_SIZES);
	SagaPublisher *volatile publisher = NULL;
	volatile int failures = 0;
	volatile bool failed = false;

	for (;;)
	{
		volatile long pause = 0;

		PG_TRY();
		{
			(void) saga_proc_interrupts();
			if (failed && !saga_proc_has_extension())
				proc_exit(0);
			failed = false;
			if (is_to_end())
				finish(publisher);
			if (saga_proc_is_one_too_many())
			{
				/* what it waits for is in flight, and would be in doubt */
				if (publisher == NULL || !saga_publisher_leave(publisher, TURN_MS))
					finish(publisher);
			}
			else
			{
				if (is_idle_for_long(publisher))
					proc_exit(0);
				if (publisher == NULL)
					publisher = saga_publisher_create(context);
				look_for_lost(publisher);
				saga_publisher_turn(publisher, Min(TURN_MS, saga_worker_idle_timeout_ms));
			}
			failures = 0;
		}
		PG_CATCH();
		{
			FreeErrorData(saga_proc_recover(context));
			failed = true;
			pause = saga_backoff(TROUBLE_MIN_MS, failures, TROUBLE_MAX_MS);
			failures++;
			if (is_to_end())
				pause = failures > 1 ? FINISH_RETRY_MS : 0;
		}
		PG_END_TRY();
		if (pause > 0)
		{
			ResetLatch(MyLatch);
			if (pause <= FINISH_RETRY_MS || !is_to_end())
				saga_proc_wait(pause);
		}
	}
}

/*
 * SIGTERM is no end at once from saga_proc_finishes() on: what is known of
 * requests in flight is recorded first.
 */
void
saga_publisher_main(Datum arg)
{
	SagaProcArgs args;

	saga_proc_begin(SAGA_PROC_PUBLISHER, &args);
	BackgroundWorkerInitializeConnectionByOid(args.dboid, InvalidOid, 0);
	saga_proc_connected("pg_saga publisher", InvalidOid);
	if (!saga_proc_has_extension())
		proc_exit(0);
	saga_proc_finishes();
	loop();
}
