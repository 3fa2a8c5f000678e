/*
 * receive.c
 *		saga.receive and what follows it: delete, change_visibility.
 *
 * A message in flight is a row of saga.timer with a lease.  It is deleted
 * there, or comes back when its time is up.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "queue/queue_private.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define MAX_RECEIVE		10000
#define MAX_WAIT_MS		20000

/* Without a place in shared memory nobody can wake us. */
#define POLL_MS			100

static SagaStatement take_stmt = {
	.sql = "WITH taken AS (DELETE FROM saga.message WHERE ctid = ANY ($ctids) RETURNING *)"
	" INSERT INTO saga.timer (queue_id, message_id, wake_at, target, sent_at, receives, version, kind, lease,"
	" body, headers)"
	" SELECT queue_id, message_id, $wake_at, target, sent_at, receives + 1, version, kind, receives + 1, body, headers"
	" FROM (SELECT * FROM taken ORDER BY id) t"
	" RETURNING message_id, receives, sent_at, wake_at, body, headers"
};

/* One look at the index per id; in the order of the ids, so that two of these do not deadlock. */
static SagaStatement lock_leases_stmt = {
	.sql = "SELECT t.ctid FROM unnest($message_ids) AS a (id) CROSS JOIN LATERAL"
	" (SELECT ctid FROM saga.timer WHERE queue_id = $queue_id AND message_id = a.id AND lease IS NOT NULL FOR UPDATE) t"
};
static SagaStatement lock_returned_stmt = {
	.sql = "SELECT m.ctid, m.id FROM unnest($message_ids) AS a (id) CROSS JOIN LATERAL"
	" (SELECT ctid, id FROM saga.message WHERE queue_id = $queue_id AND message_id = a.id AND id <> message_id"
	" AND receives > 0 FOR UPDATE) m"
};
static SagaStatement delete_lease_stmt = {
	.sql = "DELETE FROM saga.timer WHERE ctid = ANY ($ctids)"
};
static SagaStatement change_stmt = {
	.sql = "UPDATE saga.timer SET wake_at = $wake_at WHERE ctid = ANY ($ctids)"
};

typedef struct Receive
{
	const SagaQueue *queue;
	int			max;
	int64		visibility_ms;
	Tuplestorestate *store;
	TupleDesc	desc;
} Receive;


/* ---------- receive ---------- */

/*
 * Timers that are due are the coordinator's; but it may not be there, and it
 * leaves large ones to us.  Returns when the next one is due.
 */
static TimestampTz
fire_due(const Receive *r)
{
	SagaDatabaseSlot *db = saga_queue_my_database();
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = DT_NOBEGIN;
	bool		large = saga_queue_take_over(r->queue->queue_id);
	int			limit = large ? r->max : Max(r->max, 100);

	if (db != NULL)
	{
		SpinLockAcquire(&db->mutex);
		next = db->next_wake;
		SpinLockRelease(&db->mutex);
	}
	if (next <= now || large)
		(void) saga_timers_fire(r->queue, now, limit, &next);
	return next;
}

/* What is locked is in flight from now on.  The rows are those that saga.receive returns. */
static SagaRows *
take(const Receive *r, ItemPointerData *tids, int n)
{
	TimestampTz wake_at = GetCurrentTimestamp() + r->visibility_ms * 1000;
	SagaRows   *rows = saga_query(&take_stmt, saga_param_array("ctids", TIDARRAYOID, saga_queue_tid_array(tids, n)),
								  saga_param_timestamptz("wake_at", wake_at));

	saga_note_timer(wake_at);
	return rows;
}

/*
 * One claim.  Returns how many rows it found, *taken are those of them that are
 * received, NULL if none: the others were received too often before.
 */
static int
claim(const Receive *r, int max, SagaRows **taken)
{
	ItemPointerData *live = palloc(sizeof(ItemPointerData) * max);
	ItemPointerData *dead = palloc(sizeof(ItemPointerData) * max);
	int			n;
	SagaMessage *messages = saga_queue_claim(r->queue, max, false, &n);
	int			nlive = 0;
	int			ndead = 0;

	for (int i = 0; i < n; i++)
	{
		/* the limit may have been lowered since it came back */
		if (r->queue->max_receives > 0 && messages[i].receives >= r->queue->max_receives)
			dead[ndead++] = messages[i].ctid;
		else
			live[nlive++] = messages[i].ctid;
	}
	if (ndead > 0)
		(void) saga_dead_letter_move(r->queue, SAGA_DEAD_FROM_MESSAGE, dead, ndead, "Saga.MaxReceives");
	*taken = nlive > 0 ? take(r, live, nlive) : NULL;
	return n;
}

/*
 * The same; *received becomes how many were.  The tuplestore is filled as the
 * user: it may make files, and where depends on his rights.
 */
static int
claim_into_store(const Receive *r, int max, int *received)
{
	SagaRaised	save;
	SagaRows   *taken;
	int			found;

	saga_raise(&save);
	found = claim(r, max, &taken);
	saga_lower(&save);
	*received = taken != NULL ? (int) taken->count : 0;
	while (taken != NULL && saga_rows_next(taken))
		tuplestore_puttuple(r->store, saga_row_tuple(taken));
	return found;
}

/* SagaQueueTry: was anything received?  Who waits tries many times, so each has its memory. */
static bool
try_receive(void *arg, TimestampTz *next)
{
	const Receive *r = arg;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_saga receive", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	int			total = 0;
	int			found;
	int			asked;

	*next = fire_due(r);
	do
	{
		int			received;

		asked = r->max - total;
		found = claim_into_store(r, asked, &received);
		total += received;
		/* less than asked for only because some were dead: go on */
	} while (found == asked && total < r->max);
	if (found == asked)
		saga_wake_next(r->queue);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return total > 0;
}

/*
 * A session learns that its client has gone only when it sends something: who
 * was killed while he waited must not take what he would never get.
 */
static void
check_client(void)
{
	if (MyProcPort == NULL || whereToSendOutput != DestRemote || pq_check_connection())
		return;
	ClientConnectionLost = true;
	InterruptPending = true;
	CHECK_FOR_INTERRUPTS();
}

/* Sleeps until something may have come.  until: saga_monotonic_now; next: of the clock. */
static void
wait_for_message(bool attached, TimestampTz until, TimestampTz next)
{
	long		ms = TimestampDifferenceMilliseconds(saga_monotonic_now(), until) + 1;

	if (next != DT_NOEND)
		ms = Min(ms, TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next) + 1);
	/* a due timer that another session is moving comes with its commit */
	ms = Max(ms, 10);
	if (!attached)
		ms = Min(ms, POLL_MS);
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	check_client();
}

/* "sleeping" is set before the last look (shmem.h), so that a commit in between wakes us. */
static void
try_and_wait(const SagaQueue *queue, int64 wait_ms, SagaQueueTry try, void *arg)
{
	TimestampTz until = TimestampTzPlusMilliseconds(saga_monotonic_now(), wait_ms);
	volatile bool attached = false;

	if (saga_my_proc == NULL)
		attached = saga_proc_attach(SAGA_PROC_RECEIVER, MyDatabaseId, GetUserId(), queue->queue_id) != NULL;
	PG_TRY();
	{
		for (;;)
		{
			TimestampTz next;

			if (attached)
				saga_proc_prepare_sleep();
			if (try(arg, &next) || saga_monotonic_now() >= until)
				break;
			wait_for_message(attached, until, next);
		}
	}
	PG_FINALLY();
	{
		if (attached)
			saga_proc_detach();
	}
	PG_END_TRY();
}

void
saga_queue_wait(const SagaQueue *queue, int64 wait_ms, SagaQueueTry try, void *arg)
{
	TimestampTz next;

	if (wait_ms > 0 && IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot wait for messages in a transaction with isolation level %s",
						XactIsoLevel == XACT_SERIALIZABLE ? "SERIALIZABLE" : "REPEATABLE READ"),
				 errdetail("Its snapshot does not see what comes later."),
				 errhint("Use READ COMMITTED, or do not wait.")));
	if (wait_ms > 0)
		try_and_wait(queue, wait_ms, try, arg);
	else
		(void) try(arg, &next);
}

/*
 * receive(queue text, max integer, visibility_timeout interval, wait interval)
 *		returns table (message_id, receives, sent_at, visible_at, body, headers)
 */
PG_FUNCTION_INFO_V1(saga_receive);

Datum
saga_receive(PG_FUNCTION_ARGS)
{
	Receive		r;
	int64		wait_ms;

	r.queue = saga_queue_arg_queue(fcinfo, 0, SAGA_RIGHT_OPERATE);
	saga_queue_arg_required(fcinfo, 1, "max");
	r.max = PG_GETARG_INT32(1);
	if (r.max < 1 || r.max > MAX_RECEIVE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max must be between 1 and %d", MAX_RECEIVE)));
	r.visibility_ms = saga_queue_arg_interval_ms(fcinfo, 2, "visibility_timeout", r.queue->visibility_timeout_ms);
	wait_ms = saga_queue_arg_interval_ms(fcinfo, 3, "wait", 0);
	if (wait_ms > MAX_WAIT_MS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("wait must not be longer than %d seconds", MAX_WAIT_MS / 1000)));
	r.store = saga_queue_srf_begin(fcinfo, &r.desc);
	saga_queue_wait(r.queue, wait_ms, try_receive, &r);
	PG_RETURN_NULL();
}

/* ---------- leases ---------- */

/* Locks the messages in flight among ids. Returns their number. */
static int
lock_leases(const SagaQueue *queue, pg_uuid_t *ids, int n, ItemPointerData *tids)
{
	SagaRows   *rows = saga_query(&lock_leases_stmt, saga_param_int4("queue_id", queue->queue_id),
								  saga_param_array("message_ids", UUIDARRAYOID, saga_queue_uuid_array(ids, n)));
	int			found = 0;

	while (saga_rows_next(rows))
		tids[found++] = saga_queue_row_ctid(rows);
	saga_rows_free(rows);
	return found;
}

static int
delete_leases(const SagaQueue *queue, pg_uuid_t *ids, int n)
{
	ItemPointerData *tids = palloc(sizeof(ItemPointerData) * n);
	int			found = lock_leases(queue, ids, n, tids);

	if (found > 0)
		saga_run(&delete_lease_stmt, saga_param_array("ctids", TIDARRAYOID, saga_queue_tid_array(tids, found)));
	return found;
}

/*
 * Messages whose lease ran out, and that nobody has received again: the first
 * receiver was only slow.
 */
static int
delete_returned(const SagaQueue *queue, pg_uuid_t *ids, int n)
{
	ItemPointerData *tids = palloc(sizeof(ItemPointerData) * n);
	ArrayType  *message_ids = saga_queue_uuid_array(ids, n);
	SagaClaim	locking;
	SagaRows   *rows;
	int			found = 0;

	saga_queue_locking_begin(&locking, queue);
	rows = saga_query(&lock_returned_stmt, saga_param_int4("queue_id", queue->queue_id),
					  saga_param_array("message_ids", UUIDARRAYOID, message_ids));
	while (saga_rows_next(rows))
	{
		pg_uuid_t	id = saga_column_uuid(rows, "id");

		tids[found++] = saga_queue_row_ctid(rows);
		saga_note_locked(queue, &id);
	}
	saga_queue_locking_end(&locking);
	saga_rows_free(rows);
	saga_queue_finish(tids, found);
	return found;
}

/* delete(queue text, ids uuid[]) returns integer */
PG_FUNCTION_INFO_V1(saga_delete);

Datum
saga_delete(PG_FUNCTION_ARGS)
{
	const SagaQueue *queue = saga_queue_arg_queue(fcinfo, 0, SAGA_RIGHT_OPERATE);
	SagaRaised	save;
	pg_uuid_t  *ids;
	int			found;
	int			n;

	ids = saga_queue_arg_uuids(fcinfo, 1, "ids", &n);
	if (n == 0)
		PG_RETURN_INT32(0);
	saga_raise(&save);
	found = delete_leases(queue, ids, n);
	if (found < n)
		found += delete_returned(queue, ids, n);
	/* one may have been on its way from there to here */
	if (found < n)
		found += delete_leases(queue, ids, n);
	saga_lower(&save);
	PG_RETURN_INT32(found);
}

/* change_visibility(queue text, ids uuid[], visibility_timeout interval) returns integer */
PG_FUNCTION_INFO_V1(saga_change_visibility);

Datum
saga_change_visibility(PG_FUNCTION_ARGS)
{
	const SagaQueue *queue = saga_queue_arg_queue(fcinfo, 0, SAGA_RIGHT_OPERATE);
	TimestampTz wake_at;
	ItemPointerData *tids;
	SagaRaised	save;
	pg_uuid_t  *ids;
	int64		ms;
	int			found;
	int			n;

	ids = saga_queue_arg_uuids(fcinfo, 1, "ids", &n);
	saga_queue_arg_required(fcinfo, 2, "visibility_timeout");
	ms = saga_queue_arg_interval_ms(fcinfo, 2, "visibility_timeout", 0);
	if (n == 0)
		PG_RETURN_INT32(0);
	tids = palloc(sizeof(ItemPointerData) * n);
	saga_raise(&save);
	found = lock_leases(queue, ids, n, tids);
	if (found > 0)
	{
		wake_at = GetCurrentTimestamp() + ms * 1000;
		saga_run(&change_stmt, saga_param_array("ctids", TIDARRAYOID, saga_queue_tid_array(tids, found)),
				 saga_param_timestamptz("wake_at", wake_at));
		saga_note_timer(wake_at);
	}
	saga_lower(&save);
	PG_RETURN_INT32(found);
}
