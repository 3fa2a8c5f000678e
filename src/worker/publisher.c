/*
 * publisher.c
 *		The process around the outbox's event loop (outbox.h).
 *
 * Its session is the bootstrap superuser's and runs no user code: it claims,
 * sends and records.  Nothing is decided here but when to leave.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/guc.h"
#include "miscadmin.h"
#include "outbox/outbox.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/procs.h"

#define TURN_MS			10000
#define TROUBLE_MIN_MS	200
#define TROUBLE_MAX_MS	30000


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

static void
loop(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "pg_saga publisher",
												  ALLOCSET_DEFAULT_SIZES);
	SagaPublisher *volatile publisher = NULL;
	volatile int failures = 0;

	for (;;)
	{
		volatile long pause = 0;

		PG_TRY();
		{
			(void) saga_proc_interrupts();
			if (!saga_proc_wanted() || is_idle_for_long(publisher))
				proc_exit(0);
			if (publisher == NULL)
				publisher = saga_publisher_create(context);
			saga_publisher_turn(publisher, Min(TURN_MS, saga_worker_idle_timeout_ms));
			failures = 0;
		}
		PG_CATCH();
		{
			FreeErrorData(saga_recover(context));
			pause = Min(TROUBLE_MAX_MS, TROUBLE_MIN_MS << Min(failures, 10));
			failures++;
			if (!saga_extension_is_there())
				proc_exit(0);
		}
		PG_END_TRY();
		if (pause > 0)
		{
			ResetLatch(MyLatch);
			saga_proc_wait(pause);
		}
	}
}

void
saga_publisher_main(Datum arg)
{
	SagaProcArgs args;

	saga_proc_begin(SAGA_PROC_PUBLISHER, &args);
	BackgroundWorkerInitializeConnectionByOid(args.dboid, InvalidOid, 0);
	saga_proc_connected("pg_saga publisher", InvalidOid);
	if (!saga_extension_is_there())
		proc_exit(0);
	loop();
}
