/*
 * database.c
 *		The slots of databases in shared memory: timers, sweeps, sources, and
 *		what wakes a coordinator.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "queue/shmem_private.h"
#include "utils/timestamp.h"

/* ---------- the slots ---------- */

SagaDatabaseSlot *
saga_database_slot(Oid dboid, bool create)
{
	SagaDatabaseSlot *unused = NULL;
	SagaDatabaseSlot *result = NULL;
	int			i;

	if (saga_shared == NULL || !OidIsValid(dboid))
		return NULL;
	LWLockAcquire(saga_shared->lock, create ? LW_EXCLUSIVE : LW_SHARED);
	for (i = 0; i < saga_shared->max_databases && result == NULL; i++)
	{
		SagaDatabaseSlot *db = &saga_shared->databases[i];

		if (db->dboid == dboid)
			result = db;
		else if (unused == NULL && !OidIsValid(db->dboid))
			unused = db;
	}
	if (result == NULL && create && unused != NULL)
	{
		result = unused;
		SpinLockAcquire(&result->mutex);
		result->closed = 0;
		result->has_extension = false;
		result->next_wake = DT_NOBEGIN;
		result->timer_mark = DT_NOBEGIN;
		result->timer_scan = false;
		result->timer_cap = DT_NOEND;
		result->sweep_at = DT_NOBEGIN;
		result->resweeps = 0;
		result->sources = 0;
		pg_atomic_write_u32(&result->unlisted[0], 0);
		pg_atomic_write_u32(&result->unlisted[1], 0);
		SpinLockRelease(&result->mutex);
		result->dboid = dboid;
	}
	LWLockRelease(saga_shared->lock);
	return result;
}

SagaDatabaseSlot *
saga_queue_my_database(void)
{
	if (saga_my_database_slot == NULL || saga_my_database_slot->dboid != MyDatabaseId)
		saga_my_database_slot = saga_database_slot(MyDatabaseId, true);
	return saga_my_database_slot;
}

void
saga_queue_forget_database(Oid dboid)
{
	int			i;

	if (saga_shared == NULL)
		return;
	LWLockAcquire(saga_shared->lock, LW_EXCLUSIVE);
	for (i = 0; i < saga_shared->max_databases; i++)
		if (saga_shared->databases[i].dboid == dboid)
			saga_shared->databases[i].dboid = InvalidOid;
	saga_queue_forget_queues_of(dboid);
	LWLockRelease(saga_shared->lock);
}

uint32
saga_queue_unlisted(char kind)
{
	SagaDatabaseSlot *db = saga_shared != NULL ? saga_queue_my_database() : NULL;

	if (saga_shared == NULL)
		return 0;
	if (db == NULL)
		return (uint32) (saga_monotonic_us() / (SAGA_UNLISTED_LOOK_MS * 1000)) | 1;
	return pg_atomic_read_u32(&db->unlisted[kind == SAGA_QUEUE_DESTINATION]);
}

/* ---------- news, and who is woken by them ---------- */

void
saga_database_rewind(Oid dboid)
{
	SagaDatabaseSlot *db = saga_database_slot(dboid, false);
	int			i;

	if (saga_shared == NULL)
		return;
	LWLockAcquire(saga_shared->lock, LW_SHARED);
	for (i = 0; i < saga_shared->max_queues; i++)
	{
		SagaQueueSlot *slot = &saga_shared->queues[i];

		if (slot->dboid != dboid)
			continue;
		saga_slot_lower(slot, &saga_uuid_min);
		pg_atomic_exchange_u32(&slot->ready, 1);
	}
	LWLockRelease(saga_shared->lock);
	if (db != NULL)
	{
		pg_atomic_fetch_add_u32(&db->unlisted[0], 1);
		pg_atomic_fetch_add_u32(&db->unlisted[1], 1);
		saga_timer_lower(db, DT_NOBEGIN);
	}
	saga_wake_type(SAGA_PROC_WORKER, dboid);
	saga_wake_type(SAGA_PROC_PUBLISHER, dboid);
	saga_wake_type(SAGA_PROC_RECEIVER, dboid);
	saga_wake_type(SAGA_PROC_WAITER, dboid);
	saga_wake_type(SAGA_PROC_COORDINATOR, dboid);
}

void
saga_timer_lower(SagaDatabaseSlot *db, TimestampTz wake_at)
{
	TimestampTz below = (wake_at == DT_NOBEGIN) ? DT_NOBEGIN : wake_at - 1;
	bool		earlier;

	if (db == NULL)
		return;
	SpinLockAcquire(&db->mutex);
	earlier = db->next_wake > wake_at;
	if (earlier)
		db->next_wake = wake_at;
	if (db->timer_mark > below)
		db->timer_mark = below;
	if (db->timer_scan && db->timer_cap > below)
		db->timer_cap = below;
	SpinLockRelease(&db->mutex);
	if (earlier)
		saga_wake_type(SAGA_PROC_COORDINATOR, db->dboid);
}

void
saga_sweep_soon(SagaDatabaseSlot *db, TimestampTz at, int resweeps)
{
	if (db == NULL)
		return;
	SpinLockAcquire(&db->mutex);
	if (db->sweep_at > at)
		db->sweep_at = at;
	if (db->resweeps < resweeps)
		db->resweeps = resweeps;
	SpinLockRelease(&db->mutex);
	saga_wake_type(SAGA_PROC_COORDINATOR, db->dboid);
}

void
saga_queue_sources_changed(void)
{
	SagaDatabaseSlot *db = saga_shared != NULL ? saga_queue_my_database() : NULL;

	if (db == NULL)
		return;
	SpinLockAcquire(&db->mutex);
	db->sources++;
	SpinLockRelease(&db->mutex);
	saga_wake_type(SAGA_PROC_SOURCE, db->dboid);
	saga_wake_type(SAGA_PROC_COORDINATOR, db->dboid);
}

uint32
saga_queue_sources_generation(void)
{
	SagaDatabaseSlot *db = saga_shared != NULL ? saga_queue_my_database() : NULL;
	uint32		result = 0;

	if (db == NULL)
		return 0;
	SpinLockAcquire(&db->mutex);
	result = db->sources;
	SpinLockRelease(&db->mutex);
	return result;
}
