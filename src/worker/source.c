/*
 * source.c
 *		The process around the sources' event loop (source/source.h).
 *
 * Its session is the bootstrap superuser's and runs no user code: it takes
 * messages from elsewhere and puts them into queues.  Nothing is decided here
 * but when to leave.
 */
#include "postgres.h"

#include "common/clock.h"
#include "common/guc.h"
#include "miscadmin.h"
#include "source/source.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "worker/procs_private.h"

#define TURN_MS			10000
#define TROUBLE_MS		200
#define TROUBLE_MAX_MS	30000


/* Serves the sources until there are none; what raises and is of no source makes a new SagaReceiver. */
static void
loop(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "pg_saga source",
												  ALLOCSET_DEFAULT_SIZES);
	SagaReceiver *volatile receiver = NULL;
	volatile int failures = 0;

	for (;;)
	{
		volatile long pause = 0;

		PG_TRY();
		{
			(void) saga_proc_interrupts();
			if (!saga_proc_wanted() || !saga_sources)
				proc_exit(0);
			if (receiver == NULL)
				receiver = saga_source_receiver_create(context);
			if (!saga_source_receiver_turn(receiver, TURN_MS))
				proc_exit(0);	/* there is no source to serve */
			failures = 0;
		}
		PG_CATCH();
		{
			ErrorData  *error = saga_proc_recover(context);

			/*
			 * a source that fails backs off by itself, and must not delay the
			 * others
			 */
			if (receiver != NULL && saga_source_receiver_failed(receiver, error))
				failures = 0;
			else
			{
				pause = saga_backoff(TROUBLE_MS, failures, TROUBLE_MAX_MS);
				failures++;
			}
			FreeErrorData(error);
			if (!saga_proc_has_extension())
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

/*
 * Without the extension it leaves; the coordinator starts another one when
 * there are sources.
 */
void
saga_source_main(Datum arg)
{
	SagaProcArgs args;

	saga_proc_begin(SAGA_PROC_SOURCE, &args);
	BackgroundWorkerInitializeConnectionByOid(args.dboid, InvalidOid, 0);
	saga_proc_connected("pg_saga source", InvalidOid);
	if (!saga_proc_has_extension())
		proc_exit(0);
	loop();
}
