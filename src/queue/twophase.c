/*
 * twophase.c
 *		PREPARE TRANSACTION: what the end of a prepared transaction has to push.
 *
 * COMMIT PREPARED runs in any session, with no callback that knows what the
 * transaction did.  So the callback of PREPARE leaves it in shared memory
 * under the gid, and the ProcessUtility hook pushes it after COMMIT or
 * ROLLBACK PREPARED.  The callback runs before another session can lay hands
 * on the transaction.
 *
 * Every prepared transaction gets an entry, also one that has nothing to push:
 * a gid that is not found then means that the transaction was prepared before
 * the server was restarted, and all marks of the database go to zero.
 */
#include "postgres.h"

#include "access/twophase.h"
#include "miscadmin.h"
#include "queue/queue.h"
#include "queue/shmem_private.h"
#include "queue/twophase_private.h"
#include "storage/procarray.h"

/* From the hook, for the callback: the gid of the PREPARE that is under way. */
static char preparing_gid[GIDSIZE];


void
saga_prepared_note_gid(const char *gid)
{
	strlcpy(preparing_gid, gid, sizeof(preparing_gid));
}

void
saga_prepared_reset(void)
{
	preparing_gid[0] = '\0';
}

/* Caller holds the lock. */
static SagaPrepared *
find_prepared(const char *gid)
{
	int			i;

	for (i = 0; i < saga_shared->max_prepared; i++)
	{
		SagaPrepared *entry = &saga_shared->prepared[i];

		if (entry->used && strcmp(entry->gid, gid) == 0)
			return entry;
	}
	return NULL;
}

void
saga_prepared_store(SagaPrepared *entry)
{
	SagaPrepared *place = NULL;
	int			i;

	if (saga_shared == NULL)
		return;
	LWLockAcquire(saga_shared->lock, LW_EXCLUSIVE);
	if (preparing_gid[0] != '\0')
	{
		/* one of the same gid is a left-over: gids are unique while they live */
		place = find_prepared(preparing_gid);
		for (i = 0; i < saga_shared->max_prepared && place == NULL; i++)
			if (!saga_shared->prepared[i].used)
				place = &saga_shared->prepared[i];
	}
	if (place == NULL)
		saga_shared->prepared_unknown++;
	else
	{
		*place = *entry;
		place->used = true;
		place->dboid = MyDatabaseId;
		place->xid = GetTopTransactionIdIfAny();
		strlcpy(place->gid, preparing_gid, sizeof(place->gid));
	}
	LWLockRelease(saga_shared->lock);
}

/*
 * The statement may have failed (no rights, another database, busy): then the
 * transaction is still there, and its entry stays.  Pushing early is harmless.
 */
int
saga_prepared_finish(const char *gid)
{
	SagaPrepared found;
	SagaPrepared *entry;
	bool		unknown;
	int			i;

	if (saga_shared == NULL)
		return 0;
	LWLockAcquire(saga_shared->lock, LW_SHARED);
	entry = find_prepared(gid);
	unknown = saga_shared->prepared_unknown != 0;
	if (entry != NULL)
		found = *entry;
	LWLockRelease(saga_shared->lock);

	if (entry == NULL)
	{
		if (!unknown)
			return 0;
		saga_database_rewind(MyDatabaseId);
		saga_sweep_soon(saga_queue_my_database(), saga_monotonic_now(), 0);
		return SAGA_NEWS_SOURCES | SAGA_NEWS_ROLES | SAGA_NEWS_DATABASES | SAGA_NEWS_EXTENSION | SAGA_NEWS_STOPS;
	}
	if (TransactionIdIsValid(found.xid) && TransactionIdIsInProgress(found.xid))
		return 0;

	if (found.everything)
		saga_database_rewind(found.dboid);
	for (i = 0; i < found.nqueues; i++)
		saga_queue_push_key(&found.queues[i].key, &found.queues[i].mark);
	if (found.next_wake != DT_NOEND)
	{
		SagaDatabaseSlot *db = saga_database_slot(found.dboid, false);

		if (db != NULL)
			saga_timer_lower(db, found.next_wake);
	}
	if (found.news & SAGA_NEWS_SWEEP)
		saga_sweep_soon(saga_database_slot(found.dboid, false), saga_monotonic_now(), 3);
	if (found.news & SAGA_NEWS_ENDED)
		saga_wake_type(SAGA_PROC_WAITER, found.dboid);

	LWLockAcquire(saga_shared->lock, LW_EXCLUSIVE);
	entry = find_prepared(gid);
	/* the gid may be in use again already */
	if (entry != NULL && entry->xid == found.xid)
		entry->used = false;
	LWLockRelease(saga_shared->lock);
	return found.news;
}

/* ---------- for the sweep ---------- */

uint32
saga_prepared_unknown(void)
{
	uint32		result;

	LWLockAcquire(saga_shared->lock, LW_SHARED);
	result = saga_shared->prepared_unknown;
	LWLockRelease(saga_shared->lock);
	return result;
}

bool
saga_prepared_is_known(const char *gid)
{
	bool		known;

	LWLockAcquire(saga_shared->lock, LW_SHARED);
	known = find_prepared(gid) != NULL;
	LWLockRelease(saga_shared->lock);
	return known;
}

void
saga_prepared_all_known(uint32 unknown)
{
	LWLockAcquire(saga_shared->lock, LW_EXCLUSIVE);
	if (saga_shared->prepared_unknown == unknown)
		saga_shared->prepared_unknown = 0;
	LWLockRelease(saga_shared->lock);
}
