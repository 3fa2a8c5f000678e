/*
 * publisher.c
 *		The publisher: claims, sends, records.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "outbox/outbox.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/wait_event.h"

struct SagaPublisher
{
	MemoryContext context;
};

SagaPublisher *
saga_publisher_create(MemoryContext context)
{
	SagaPublisher *publisher = MemoryContextAllocZero(context, sizeof(SagaPublisher));

	publisher->context = context;
	return publisher;
}

void
saga_publisher_destroy(SagaPublisher *publisher)
{
	pfree(publisher);
}

void
saga_publisher_turn(SagaPublisher *publisher, long timeout_ms)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, timeout_ms,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
}
