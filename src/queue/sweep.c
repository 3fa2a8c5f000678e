/*
 * sweep.c
 *		The sweep: the safety net below the low-water marks.
 *
 * It goes through all queues, so many of them in one transaction.
 */
#include "postgres.h"

#include "common/guc.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "queue/queue_private.h"
#include "queue/twophase_private.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* Between the sweeps that follow a restore. */
#define RESWEEP_INTERVAL_MS 10000

/* Queues in one transaction. */
#define SWEEP_QUEUES	200

/* A row behind the mark is looked at again so often, after so long. */
#define LOST_LOOKS		5
#define LOST_LOOK_MS	10

static SagaStatement queues_stmt = {
	.sql = "SELECT queue_id FROM saga.queue WHERE queue_id > $after ORDER BY queue_id LIMIT $limit"
};

/* However many somebody has locked, so many are looked at. */
static SagaStatement behind_stmt = {
	.sql = "SELECT id FROM saga.message WHERE ctid = ANY (ARRAY("
	"SELECT ctid FROM saga.message WHERE queue_id = $queue_id AND id <= $mark ORDER BY id LIMIT 100))"
	" ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED",
	.limit = 1
};
static SagaStatement ahead_stmt = {
	.sql = "SELECT 1 FROM saga.message WHERE queue_id = $queue_id AND id > $mark ORDER BY id LIMIT 1",
	.limit = 1
};
static SagaStatement prepared_stmt = {
	.sql = "SELECT gid FROM pg_catalog.pg_prepared_xacts"
};

/* A row behind the mark of its queue. */
typedef struct Behind
{
	const SagaQueue *queue;
	SagaQueueSlot *slot;
	pg_uuid_t	id;
} Behind;

/* Process-local: how far this sweep has come. */
static bool under_way = false;
static int32 position;			/* all queues up to this one are done */
static int32 slice_end;			/* of the transaction that is under way */
static int32 careful_until;		/* one at a time up to here: one of them raised */


static pg_uuid_t
read_mark(SagaQueueSlot *slot)
{
	pg_uuid_t	mark;

	SpinLockAcquire(&slot->mutex);
	mark = slot->mark;
	SpinLockRelease(&slot->mutex);
	return mark;
}

static bool
is_lost(const Behind *behind)
{
	pg_uuid_t	mark = read_mark(behind->slot);

	/* the place may be another queue's by now */
	return saga_uuid_cmp(&behind->id, &mark) <= 0 &&
		saga_queue_slot_find(MyDatabaseId, behind->queue->queue_id) == behind->slot;
}

/*
 * A row that was committed this moment is visible before its push.  So those
 * found behind the mark are looked at again, all together, before they are
 * called lost.  Returns how many are, at the beginning of the array.
 */
static int
keep_lost(Behind *behind, int n)
{
	if (n == 0)
		return 0;
	for (int look = 0; look < LOST_LOOKS; look++)
	{
		int			lost = 0;

		for (int i = 0; i < n; i++)
			if (is_lost(&behind[i]))
				behind[lost++] = behind[i];
		n = lost;
		if (n == 0)
			break;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LOST_LOOK_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	/* it may have been somebody's call: let the caller see it */
	SetLatch(MyLatch);
	return n;
}

/* True: a row of it is behind the mark, and locked. */
static bool
find_behind(const SagaQueue *queue, SagaQueueSlot *slot, const pg_uuid_t *mark, pg_uuid_t *id)
{
	SagaClaim	locking;
	SagaRows   *rows;
	bool		found;

	saga_queue_locking_begin(&locking, queue);
	rows = saga_query(&behind_stmt, saga_param_int4("queue_id", queue->queue_id), saga_param_uuid("mark", mark));
	found = saga_rows_next(rows);
	if (found)
	{
		*id = saga_column_uuid(rows, "id");
		/* we hold its lock until we commit: a claim may skip it till then */
		saga_note_kept(queue, id);
	}
	saga_queue_locking_end(&locking);
	saga_rows_free(rows);
	return found;
}

/* Is there something that can be claimed?  Returns true if a row is behind the mark. */
static bool
look_at_queue(const SagaQueue *queue, Behind *behind)
{
	/* a plain queue gets one when it is read */
	bool		plain = SAGA_QUEUE_SERVED_AS(queue->kind) == SAGA_QUEUE_PLAIN;
	SagaQueueSlot *slot = plain ? saga_queue_slot_look(queue->queue_id) : saga_queue_slot(queue);
	pg_uuid_t	mark;
	bool		found = false;

	if (slot == NULL && plain)
		return false;			/* no mark, and nobody to tell */
	saga_queue_slot_correct(queue);
	mark = slot != NULL ? read_mark(slot) : saga_uuid_min;
	if (saga_uuid_cmp(&mark, &saga_uuid_min) > 0)
		found = find_behind(queue, slot, &mark, &behind->id);
	behind->queue = queue;
	behind->slot = slot;
	if (saga_run(&ahead_stmt, saga_param_int4("queue_id", queue->queue_id), saga_param_uuid("mark", &mark)) > 0)
		saga_wake_next(queue);
	return found;
}

static void
push_lost(const Behind *behind, bool first)
{
	saga_queue_push(behind->queue, &behind->id);
	if (first)
		return;
	ereport(WARNING,
			(errmsg("queue \"%s\" had a message that no commit announced", behind->queue->name),
			 errdetail("Message position %s.", saga_uuid_to_cstring(&behind->id)),
			 errhint("Expected after COPY, a restore or logical replication into saga.message.")));
}

/* Those of the queues that have a row behind their mark, which may have come this moment.  Returns their number. */
static int
look_at_queues(const int32 *ids, int n, Behind *behind)
{
	SagaRaised	save;
	int			nbehind = 0;

	saga_raise(&save);
	for (int i = 0; i < n; i++)
	{
		const SagaQueue *queue = saga_queue_by_id(ids[i], true);

		if (queue != NULL && look_at_queue(queue, &behind[nbehind]))
			nbehind++;
		CHECK_FOR_INTERRUPTS();
	}
	saga_lower(&save);
	return nbehind;
}

/* The next ones.  False: there are none any more. */
static bool
sweep_queues(bool first)
{
	int			limit = position < careful_until ? 1 : SWEEP_QUEUES;
	SagaRows   *rows = saga_query(&queues_stmt, saga_param_int4("after", position), saga_param_int4("limit", limit));
	int32	   *ids = palloc(sizeof(int32) * limit);
	Behind	   *behind = palloc(sizeof(Behind) * limit);
	int			nbehind;
	int			n = 0;

	while (saga_rows_next(rows))
		ids[n++] = saga_column_int4(rows, "queue_id");
	slice_end = n > 0 ? ids[n - 1] : position;
	nbehind = keep_lost(behind, look_at_queues(ids, n, behind));
	for (int i = 0; i < nbehind; i++)
		push_lost(&behind[i], first);
	position = slice_end;
	return n == limit;
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
		if (saga_queue_by_id(ids[i], true) == NULL)
			saga_queue_forget_if_gone(ids[i]);
	pfree(ids);
}

/* Are all prepared transactions of the cluster in our table (twophase.c)? */
static void
check_prepared(void)
{
	uint32		unknown = saga_prepared_unknown();
	bool		all = true;
	SagaRows   *rows;

	if (unknown == 0)
		return;
	rows = saga_query(&prepared_stmt);
	while (all && saga_rows_next(rows))
		all = saga_prepared_is_known(saga_column_text(rows, "gid"));
	if (all)
		saga_prepared_all_known(unknown);
}

static void
set_next_sweep(SagaDatabaseSlot *db)
{
	TimestampTz now = saga_monotonic_now();

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

/* The extension is another one: what was done does not count. */
void
saga_sweep_restart(void)
{
	under_way = false;
}

bool
saga_sweep_is_under_way(void)
{
	return under_way;
}

bool
saga_sweep_turn(bool first)
{
	SagaDatabaseSlot *db = saga_queue_my_database();

	if (saga_shared == NULL)
		return false;
	if (!under_way)
	{
		if (db != NULL)
			set_next_sweep(db);
		position = careful_until = PG_INT32_MIN;
		under_way = true;
	}
	if (sweep_queues(first))
		return true;
	free_slots();
	check_prepared();
	/* timers are looked through from the beginning, once */
	saga_timer_lower(db, DT_NOBEGIN);
	under_way = false;
	return false;
}

/* One of the queues raised: they are looked at one by one, and that one is left out. */
void
saga_sweep_failed(void)
{
	if (position < careful_until)
		position = slice_end;
	else
		careful_until = slice_end;
}
