/*
 * call.c
 *		CALL saga.publish(): the publisher in the caller's session.
 */
#include "postgres.h"

#include "access/xact.h"
#include "endpoint/auth.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "nodes/parsenodes.h"
#include "outbox/publisher_private.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(saga_publish);

/* Requests in flight. */
#define SAGA_MAX_IN_FLIGHT_CALL	32

/* CALL saga.publish() waits so long for a rate. */
#define SAGA_BRIEF_MS	2000

/* So long what has arrived is written down, when the CALL is cancelled. */
#define SAGA_LAST_MS	1000

/* A row of limits is locked by somebody. */
#define SAGA_LOCKED_RETRY_MS 50

/* A rate lets something through soon. */
static bool
waits_briefly(const SagaPublisher *publisher)
{
	TimestampTz soon = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SAGA_BRIEF_MS);
	dlist_iter	iter;

	dlist_foreach(iter, &publisher->limiter->waits)
	{
		const SagaWait *wait = dlist_container(SagaWait, node, iter.cur);

		if (wait->brief && wait->look_at <= soon)
			return true;
	}
	return false;
}

/* Nobody will know what is not written now; but a person who has the row is not waited for. */
static void
report_last(SagaPublisher *publisher)
{
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SAGA_BRIEF_MS);

	while (saga_limiter_report_at(publisher->limiter) != DT_NOEND)
	{
		(void) saga_publisher_report(publisher);
		if (saga_limiter_report_at(publisher->limiter) == DT_NOEND || GetCurrentTimestamp() > until)
			break;
		saga_loop_wait(&publisher->loop, SAGA_LOCKED_RETRY_MS);
	}
}

/* CALL saga.publish() */
static void
publish_all(SagaPublisher *publisher)
{
	for (;;)
	{
		if (saga_loop_step(&publisher->loop))
			continue;
		if (dlist_is_empty(&publisher->ready) && dlist_is_empty(&publisher->flying) &&
			dlist_is_empty(&publisher->done) && !waits_briefly(publisher) && !saga_auth_is_busy())
			break;
		saga_loop_wait(&publisher->loop, 1000);
	}
	report_last(publisher);
}

/*
 * The CALL is cancelled, or something has raised.  That is told, whatever comes
 * of this; but what has arrived would be lost with us, and what was taken and
 * has not left would be in doubt.
 */
static void
end_early(SagaPublisher *publisher, MemoryContext context)
{
	PG_TRY();
	{
		if (publisher->in_subtransaction)
		{
			RollbackAndReleaseCurrentSubTransaction();
			CurrentResourceOwner = publisher->outer_owner;
			publisher->in_subtransaction = false;
		}
		saga_publisher_finish(publisher, TimestampTzPlusMilliseconds(saga_monotonic_now(), SAGA_LAST_MS));
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		ereport(LOG,
				(errmsg("CALL saga.publish() could not write down how its messages were sent: %s", error->message)));
	}
	PG_END_TRY();
}

Datum
saga_publish(PG_FUNCTION_ARGS)
{
	MemoryContext old = CurrentMemoryContext;
	SagaPublisher *volatile publisher = NULL;

	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		((CallContext *) fcinfo->context)->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("saga.publish() commits, so it cannot run inside a transaction block, a function or an atomic procedure"),
				 errhint("Use CALL saga.publish() on its own.")));
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect_ext failed");
	PG_TRY();
	{
		publisher = saga_publisher_make(TopMemoryContext, SAGA_MAX_IN_FLIGHT_CALL);
		publisher->in_call = true;
		/* the CALL itself came with a snapshot */
		SPI_commit();
		publish_all(publisher);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(old); /* not the one that goes now */
		error = CopyErrorData();
		FlushErrorState();
		if (publisher != NULL)
		{
			end_early(publisher, old);
			MemoryContextSwitchTo(old);
			saga_publisher_destroy(publisher);
		}
		ReThrowError(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	saga_publisher_destroy(publisher);
	SPI_finish();
	MemoryContextSwitchTo(old);
	PG_RETURN_VOID();
}
