/*
 * transaction.c
 *		Transactions of a publisher: of its own, or in those of CALL saga.publish().
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "outbox/publisher_private.h"
#include "pgstat.h"
#include "tcop/pquery.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

void
saga_publisher_begin(SagaPublisher *publisher)
{
	if (publisher->in_call)
	{
		/*
		 * A level of its own: what SPI keeps goes with it, and not at the end
		 * of the CALL.  What raises is undone with the subtransaction, and
		 * there is a transaction still to write down what has arrived
		 * (call.c).
		 */
		EnsurePortalSnapshotExists();
		saga_extension_lock();
		publisher->outer_owner = CurrentResourceOwner;
		BeginInternalSubTransaction(NULL);
		publisher->in_subtransaction = true;
		MemoryContextSwitchTo(publisher->loop.work);
		return;
	}
	saga_loop_begin_transaction(&publisher->loop);
}

void
saga_publisher_commit(SagaPublisher *publisher)
{
	if (!publisher->in_call)
	{
		saga_loop_commit(&publisher->loop);
		return;
	}
	ReleaseCurrentSubTransaction();
	publisher->in_subtransaction = false;
	CurrentResourceOwner = publisher->outer_owner;
	SPI_commit();
	MemoryContextSwitchTo(publisher->loop.work);
}

void
saga_sendings_free(dlist_head *list)
{
	while (!dlist_is_empty(list))
		saga_sending_free(dlist_container(SagaSending, node, dlist_pop_head_node(list)));
}
