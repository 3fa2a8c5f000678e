/*
 * timer.c
 *		What waited for a time goes back into its queue; and the sweep.
 *
 * A timer that is due is moved under a fresh position.  A lease that ran out
 * for the last time (max_receives) goes to the dead letters.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/guc.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "queue/internal.h"
#include "queue/twophase.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* How long a due timer that somebody holds locked is left alone, in microseconds. */
#define LOCKED_TIMER_RETRY	USECS_PER_SEC

/* Between the sweeps that follow a restore. */
#define RESWEEP_INTERVAL_MS 10000

static SagaStmt due_stmt = {
	.sql = "SELECT ctid, queue_id, receives, lease FROM saga.timer"
	" WHERE wake_at > $1 AND wake_at <= $2 ORDER BY wake_at LIMIT $3 FOR UPDATE SKIP LOCKED",
	.nargs = 3,.argtypes = {TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID}
};
static SagaStmt due_of_queue_stmt = {
	.sql = "SELECT ctid, queue_id, receives, lease FROM saga.timer"
	" WHERE wake_at > $1 AND wake_at <= $2 AND queue_id = $4 ORDER BY wake_at LIMIT $3 FOR UPDATE SKIP LOCKED",
	.nargs = 4,.argtypes = {TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID, INT4OID}
};
static SagaStmt move_stmt = {
	.sql = "WITH moved AS (DELETE FROM saga.timer WHERE ctid = ANY ($1) RETURNING *)"
	" INSERT INTO saga.message (queue_id, id, message_id, target, sent_at, receives, version, kind, body, headers)"
	" SELECT queue_id, saga.make_id(), message_id, target, sent_at, receives, version, kind, body, headers"
	" FROM (SELECT * FROM moved ORDER BY wake_at, message_id) m RETURNING queue_id, id",
	.nargs = 1,.argtypes = {TIDARRAYOID}
};
static SagaStmt next_stmt = {
	.sql = "SELECT wake_at FROM saga.timer WHERE wake_at > $1 ORDER BY wake_at LIMIT 1",
	.nargs = 1,.argtypes = {TIMESTAMPTZOID}
};
static SagaStmt queues_stmt = {
	.sql = "SELECT queue_id FROM saga.queue ORDER BY queue_id"
};
static SagaStmt behind_stmt = {
	.sql = "SELECT id FROM saga.message WHERE queue_id = $1 AND id <= $2"
	" ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED",
	.nargs = 2,.argtypes = {INT4OID, UUIDOID}
};
static SagaStmt ahead_stmt = {
	.sql = "SELECT 1 FROM saga.message WHERE queue_id = $1 AND id > $2 ORDER BY id LIMIT 1",
	.nargs = 2,.argtypes = {INT4OID, UUIDOID}
};
static SagaStmt prepared_stmt = {
	.sql = "SELECT gid FROM pg_catalog.pg_prepared_xacts"
};

typedef struct DueTimer
{
	ItemPointerData tid;
	int32		queue_id;
	bool		dead;
} DueTimer;


/* ---------- timers ---------- */

static DueTimer *
lock_due(const SagaQueue *queue, TimestampTz mark, TimestampTz now, int limit, int *n)
{
	Datum		values[4];
	SPITupleTable *table;
	DueTimer   *due;
	int			i;

	values[0] = TimestampTzGetDatum(mark);
	values[1] = TimestampTzGetDatum(now);
	values[2] = Int32GetDatum(limit);
	values[3] = Int32GetDatum(queue ? queue->queue_id : 0);
	saga_execute(queue ? &due_of_queue_stmt : &due_stmt, values, NULL, false, 0);
	table = SPI_tuptable;
	*n = (int) SPI_processed;
	due = palloc(sizeof(DueTimer) * Max(*n, 1));
	for (i = 0; i < *n; i++)
	{
		bool		isnull;
		bool		no_lease;
		int			receives;
		const SagaQueue *of;

		due[i].tid = *(ItemPointer) DatumGetPointer(saga_result(i, 1, &isnull));
		due[i].queue_id = DatumGetInt32(saga_result(i, 2, &isnull));
		receives = DatumGetInt32(saga_result(i, 3, &isnull));
		(void) saga_result(i, 4, &no_lease);
		due[i].dead = false;
		if (no_lease)
			continue;
		of = saga_queue_by_id(due[i].queue_id, true);
		due[i].dead = of != NULL && of->max_receives > 0 && receives >= of->max_receives;
	}
	SPI_freetuptable(table);
	return due;
}

static void
move_due(const DueTimer *due, int n)
{
	ItemPointerData *tids = palloc(sizeof(ItemPointerData) * Max(n, 1));
	SPITupleTable *table;
	Datum		value;
	int			count = 0;
	uint64		i;

	for (i = 0; i < n; i++)
		if (!due[i].dead)
			tids[count++] = due[i].tid;
	if (count == 0)
		return;
	value = saga_tid_array(tids, count);
	saga_execute(&move_stmt, &value, NULL, false, 0);
	table = SPI_tuptable;
	for (i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		int32		queue_id = DatumGetInt32(saga_result(i, 1, &isnull));
		const SagaQueue *queue = saga_queue_by_id(queue_id, true);

		if (queue != NULL)
			saga_note_inserted(queue, DatumGetUUIDP(saga_result(i, 2, &isnull)));
	}
	SPI_freetuptable(table);
}

/* One queue at a time; there are few. */
static void
bury_dead(DueTimer *due, int n)
{
	ItemPointerData *tids = palloc(sizeof(ItemPointerData) * Max(n, 1));
	int			i;
	int			j;

	for (i = 0; i < n; i++)
	{
		int32		queue_id = due[i].queue_id;
		int			count = 0;

		if (!due[i].dead)
			continue;
		for (j = i; j < n; j++)
		{
			if (!due[j].dead || due[j].queue_id != queue_id)
				continue;
			tids[count++] = due[j].tid;
			if (j > i)
				due[j].queue_id = 0;
		}
		if (queue_id != 0)
			saga_dead_letter_move(saga_queue_by_id(queue_id, false), SAGA_DEAD_FROM_TIMER,
								  tids, count, "Saga.MaxReceives");
	}
}

/*
 * When the next timer is due.  A due one that is still there is locked by
 * somebody (or beyond the limit): its wake_at is where the mark has to stay.
 */
static TimestampTz
next_timer(TimestampTz mark)
{
	Datum		value = TimestampTzGetDatum(mark);
	TimestampTz next = DT_NOEND;
	bool		isnull;

	saga_execute(&next_stmt, &value, NULL, false, 1);
	if (SPI_processed > 0)
		next = DatumGetTimestampTz(saga_result(0, 1, &isnull));
	return next;
}

int
saga_timers_fire(const SagaQueue *queue, TimestampTz now, int limit, TimestampTz *next_wake)
{
	TimestampTz mark;
	TimestampTz next;
	TimestampTz empty_to;
	DueTimer   *due;
	int			n;

	(void) saga_timer_scan_begin(queue == NULL, &mark);
	due = lock_due(queue, mark, now, limit, &n);
	if (n > 0)
	{
		saga_note_timers_moved();
		move_due(due, n);
		bury_dead(due, n);
	}
	pfree(due);

	next = next_timer(mark);
	empty_to = Min(now, next == DT_NOEND ? now : next - 1);
	if (next <= now)
		next = (n == limit) ? now : now + LOCKED_TIMER_RETRY;
	next = saga_timer_scan_end(empty_to, next);
	if (next_wake != NULL)
		*next_wake = next;
	return n;
}

/* ---------- the sweep ---------- */

static pg_uuid_t
read_mark(SagaQueueSlot *slot)
{
	pg_uuid_t	mark;

	SpinLockAcquire(&slot->mutex);
	mark = slot->mark;
	SpinLockRelease(&slot->mutex);
	return mark;
}

/*
 * A row that was committed this moment is visible before its push.  So one
 * found behind the mark is looked at again before it is called lost.
 */
static bool
is_lost(SagaQueueSlot *slot, const pg_uuid_t *id)
{
	bool		lost = true;
	int			i;

	for (i = 0; i < 5 && lost; i++)
	{
		pg_uuid_t	mark = read_mark(slot);

		lost = saga_uuid_cmp(id, &mark) <= 0;
		if (!lost)
			break;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 10, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	/* it may have been somebody's call: let the caller see it */
	SetLatch(MyLatch);
	return lost;
}

/* Returns true if a row was found behind the mark. */
static bool
sweep_queue(const SagaQueue *queue, bool first)
{
	/* a plain queue gets one when it is read */
	SagaQueueSlot *slot = queue->kind == SAGA_QUEUE_PLAIN ? saga_queue_find(MyDatabaseId, queue->queue_id) :
		saga_queue_slot(queue->queue_id, queue->owner, queue->kind);
	bool		found = false;
	SagaClaim	locking;
	pg_uuid_t	mark;
	pg_uuid_t	id;
	Datum		values[2];
	bool		isnull;

	if (slot == NULL && queue->kind == SAGA_QUEUE_PLAIN)
		return false;			/* no mark, and nobody to tell */
	mark = slot != NULL ? read_mark(slot) : saga_uuid_min;
	values[0] = Int32GetDatum(queue->queue_id);
	values[1] = UUIDPGetDatum(&mark);
	if (saga_uuid_cmp(&mark, &saga_uuid_min) > 0)
	{
		saga_locking_begin(&locking, queue);
		saga_execute(&behind_stmt, values, NULL, false, 1);
		if (SPI_processed > 0)
		{
			id = *DatumGetUUIDP(saga_result(0, 1, &isnull));
			/* we hold its lock until we commit: a claim may skip it till then */
			saga_note_kept(queue, &id);
		}
		saga_locking_end(&locking);
		if (SPI_processed > 0)
		{
			found = is_lost(slot, &id) && saga_queue_find(MyDatabaseId, queue->queue_id) == slot;
			if (found)
				saga_queue_push(queue, &id);
			if (found && !first)
				ereport(WARNING,
						(errmsg("queue \"%s\" had a message that no commit announced", queue->name),
						 errdetail("Message position %s.", saga_uuid_to_cstring(&id)),
						 errhint("Expected after COPY, a restore or logical replication into saga.message.")));
		}
		SPI_freetuptable(SPI_tuptable);
	}
	saga_execute(&ahead_stmt, values, NULL, false, 1);
	if (SPI_processed > 0)
		saga_wake_next(queue);
	SPI_freetuptable(SPI_tuptable);
	return found;
}

/* Slots of queues that are gone: a drop that no callback saw, or that was prepared. */
static void
free_slots(void)
{
	int32	   *ids = palloc(sizeof(int32) * saga_shared->max_queues);
	int			n = 0;
	int			i;

	LWLockAcquire(saga_shared->lock, LW_SHARED);
	for (i = 0; i < saga_shared->max_queues; i++)
		if (saga_shared->queues[i].dboid == MyDatabaseId)
			ids[n++] = saga_shared->queues[i].queue_id;
	LWLockRelease(saga_shared->lock);
	for (i = 0; i < n; i++)
		if (saga_queue_by_id(ids[i], true) == NULL && saga_queue_is_gone(ids[i]))
			saga_forget_queue(ids[i]);
	pfree(ids);
}

/* Are all prepared transactions of the cluster in our table (twophase.c)? */
static void
check_prepared(void)
{
	uint32		unknown = saga_prepared_unknown();
	bool		all = true;
	uint64		i;
	bool		isnull;

	if (unknown == 0)
		return;
	saga_execute(&prepared_stmt, NULL, NULL, false, 0);
	for (i = 0; i < SPI_processed && all; i++)
		all = saga_prepared_is_known(TextDatumGetCString(saga_result(i, 1, &isnull)));
	SPI_freetuptable(SPI_tuptable);
	if (all)
		saga_prepared_all_known(unknown);
}

static void
set_next_sweep(SagaDatabaseSlot *db)
{
	TimestampTz now = GetCurrentTimestamp();

	SpinLockAcquire(&db->mutex);
	if (db->resweeps > 0)
	{
		db->resweeps--;
		db->sweep_at = TimestampTzPlusMilliseconds(now, RESWEEP_INTERVAL_MS);
	}
	else if (saga_sweep_interval_ms > 0)
		db->sweep_at = TimestampTzPlusMilliseconds(now, saga_sweep_interval_ms);
	else
		db->sweep_at = DT_NOEND;
	SpinLockRelease(&db->mutex);
}

int
saga_sweep(bool first)
{
	SagaDatabaseSlot *db = saga_my_database();
	int32	   *ids;
	int			found = 0;
	int			n;
	int			i;
	bool		isnull;

	if (saga_shared == NULL)
		return 0;
	if (db != NULL)
		set_next_sweep(db);
	saga_execute(&queues_stmt, NULL, NULL, false, 0);
	n = (int) SPI_processed;
	ids = palloc(sizeof(int32) * Max(n, 1));
	for (i = 0; i < n; i++)
		ids[i] = DatumGetInt32(saga_result(i, 1, &isnull));
	SPI_freetuptable(SPI_tuptable);
	for (i = 0; i < n; i++)
	{
		const SagaQueue *queue = saga_queue_by_id(ids[i], true);

		if (queue != NULL && sweep_queue(queue, first))
			found++;
		CHECK_FOR_INTERRUPTS();
	}
	pfree(ids);
	free_slots();
	check_prepared();
	/* timers are looked through from the beginning, once */
	saga_timer_lower(db, DT_NOBEGIN);
	return found;
}
