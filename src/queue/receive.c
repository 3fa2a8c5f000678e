/*
 * receive.c
 *		saga.receive and what follows it: delete, change_visibility.
 *
 * A message in flight is a row of saga.timer with a lease.  It is deleted
 * there, or comes back when its time is up.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "queue/internal.h"
#include "utils/timestamp.h"

#define MAX_RECEIVE		10000
#define MAX_WAIT_MS		20000

/* Without a place in shared memory nobody can wake us. */
#define POLL_MS			100

static SagaStmt claim_stmt = {
	.sql = "SELECT ctid, id, receives FROM saga.message WHERE queue_id = $1 AND id > $2"
	" ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED",
	.nargs = 3,.argtypes = {INT4OID, UUIDOID, INT4OID}
};
static SagaStmt take_stmt = {
	.sql = "WITH taken AS (DELETE FROM saga.message WHERE ctid = ANY ($1) RETURNING *)"
	" INSERT INTO saga.timer (queue_id, message_id, wake_at, target, sent_at, receives, version, kind, lease,"
	" body, headers)"
	" SELECT queue_id, message_id, $2, target, sent_at, receives + 1, version, kind, receives + 1, body, headers"
	" FROM (SELECT * FROM taken ORDER BY id) t"
	" RETURNING message_id, receives, sent_at, wake_at, body, headers",
	.nargs = 2,.argtypes = {TIDARRAYOID, TIMESTAMPTZOID}
};

/* One look at the index per id; in the order of the ids, so that two of these do not deadlock. */
static SagaStmt lock_leases_stmt = {
	.sql = "SELECT t.ctid FROM unnest($2) AS a (id) CROSS JOIN LATERAL"
	" (SELECT ctid FROM saga.timer WHERE queue_id = $1 AND message_id = a.id AND lease IS NOT NULL FOR UPDATE) t",
	.nargs = 2,.argtypes = {INT4OID, UUIDARRAYOID}
};
static SagaStmt lock_returned_stmt = {
	.sql = "SELECT m.ctid, m.id FROM unnest($2) AS a (id) CROSS JOIN LATERAL"
	" (SELECT ctid, id FROM saga.message WHERE queue_id = $1 AND message_id = a.id AND id <> message_id"
	" AND receives > 0 FOR UPDATE) m",
	.nargs = 2,.argtypes = {INT4OID, UUIDARRAYOID}
};
static SagaStmt delete_lease_stmt = {
	.sql = "DELETE FROM saga.timer WHERE ctid = ANY ($1)",
	.nargs = 1,.argtypes = {TIDARRAYOID}
};
static SagaStmt delete_returned_stmt = {
	.sql = "DELETE FROM saga.message WHERE ctid = ANY ($1)",
	.nargs = 1,.argtypes = {TIDARRAYOID}
};
static SagaStmt change_stmt = {
	.sql = "UPDATE saga.timer SET wake_at = $2 WHERE ctid = ANY ($1)",
	.nargs = 2,.argtypes = {TIDARRAYOID, TIMESTAMPTZOID}
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
	SagaDatabaseSlot *db = saga_my_database();
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

/*
 * One claim.  Returns how many rows it found, *taken how many of these are
 * received: the others were received too often before.
 */
static int
claim(const Receive *r, int max, int *taken)
{
	ItemPointerData *tids = palloc(sizeof(ItemPointerData) * max);
	ItemPointerData *dead = palloc(sizeof(ItemPointerData) * max);
	TimestampTz wake_at;
	SagaClaim	claim;
	pg_uuid_t	last;
	Datum		values[3];
	int			ndead = 0;
	int			n;
	uint64		i;
	bool		isnull;

	saga_claim_begin(&claim, r->queue);
	values[0] = Int32GetDatum(r->queue->queue_id);
	values[1] = UUIDPGetDatum(&claim.mark);
	values[2] = Int32GetDatum(max);
	saga_execute(&claim_stmt, values, NULL, false, 0);
	n = (int) SPI_processed;
	if (n > 0)
		last = *DatumGetUUIDP(saga_result(n - 1, 2, &isnull));
	saga_claim_end(&claim, n > 0 ? &last : NULL);

	*taken = 0;
	for (i = 0; i < n; i++)
	{
		ItemPointer tid = (ItemPointer) DatumGetPointer(saga_result(i, 1, &isnull));
		int			receives = DatumGetInt32(saga_result(i, 3, &isnull));

		/* the limit may have been lowered since it came back */
		if (r->queue->max_receives > 0 && receives >= r->queue->max_receives)
			dead[ndead++] = *tid;
		else
			tids[(*taken)++] = *tid;
	}
	SPI_freetuptable(SPI_tuptable);
	if (ndead > 0)
		(void) saga_dead_letter_move(r->queue, SAGA_DEAD_FROM_MESSAGE, dead, ndead, "Saga.MaxReceives");
	if (*taken == 0)
		return n;

	wake_at = GetCurrentTimestamp() + r->visibility_ms * 1000;
	values[0] = saga_tid_array(tids, *taken);
	values[1] = TimestampTzGetDatum(wake_at);
	saga_execute(&take_stmt, values, NULL, false, 0);
	for (i = 0; i < SPI_processed; i++)
		tuplestore_puttuple(r->store, SPI_tuptable->vals[i]);
	SPI_freetuptable(SPI_tuptable);
	saga_note_timer(wake_at);
	return n;
}

/* Returns the number received; *next is when a timer is due. */
static int
try_receive(const Receive *r, TimestampTz *next)
{
	int			total = 0;
	int			found;
	int			asked;

	SPI_connect();
	*next = fire_due(r);
	do
	{
		int			taken;

		asked = r->max - total;
		found = claim(r, asked, &taken);
		total += taken;
		/* less than asked for only because some were dead: go on */
	} while (found == asked && total < r->max);
	if (found == asked)
		saga_wake_next(r->queue);
	SPI_finish();
	return total;
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
}

/*
 * Each try has a snapshot of its own.  "sleeping" is set before the last look
 * (shmem.h), so that a commit in between wakes us.
 */
static void
receive_wait(const Receive *r, int64 wait_ms)
{
	TimestampTz until = TimestampTzPlusMilliseconds(saga_monotonic_now(), wait_ms);
	volatile bool attached = false;

	if (saga_my_proc == NULL)
		attached = saga_proc_attach(SAGA_PROC_RECEIVER, MyDatabaseId, GetUserId(),
									r->queue->queue_id) != NULL;
	PG_TRY();
	{
		for (;;)
		{
			TimestampTz next;

			if (attached)
				saga_proc_prepare_sleep();
			if (try_receive(r, &next) > 0 || saga_monotonic_now() >= until)
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

/*
 * receive(queue text, max integer, visibility_timeout interval, wait interval)
 *		returns table (message_id, receives, sent_at, visible_at, body, headers)
 */
PG_FUNCTION_INFO_V1(saga_receive);

Datum
saga_receive(PG_FUNCTION_ARGS)
{
	Receive		r;
	TimestampTz next;
	int64		wait_ms;

	r.queue = saga_arg_queue(fcinfo, 0, SAGA_RIGHT_OPERATE);
	saga_arg_required(fcinfo, 1, "max");
	r.max = PG_GETARG_INT32(1);
	if (r.max < 1 || r.max > MAX_RECEIVE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max must be between 1 and %d", MAX_RECEIVE)));
	r.visibility_ms = saga_arg_interval_ms(fcinfo, 2, "visibility_timeout", r.queue->visibility_timeout_ms);
	wait_ms = saga_arg_interval_ms(fcinfo, 3, "wait", 0);
	if (wait_ms > MAX_WAIT_MS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("wait must not be longer than %d seconds", MAX_WAIT_MS / 1000)));
	if (wait_ms > 0 && IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot wait for messages in a transaction with isolation level %s",
						XactIsoLevel == XACT_SERIALIZABLE ? "SERIALIZABLE" : "REPEATABLE READ"),
				 errdetail("Its snapshot does not see what comes later."),
				 errhint("Use READ COMMITTED, or do not wait.")));
	r.store = saga_srf_begin(fcinfo, &r.desc);
	if (wait_ms > 0)
		receive_wait(&r, wait_ms);
	else
		(void) try_receive(&r, &next);
	PG_RETURN_NULL();
}

/* ---------- leases ---------- */

/* Locks the messages in flight among ids. Returns their number. */
static int
lock_leases(const SagaQueue *queue, pg_uuid_t *ids, int n, ItemPointerData *tids)
{
	Datum		values[2];
	int			found;
	int			i;
	bool		isnull;

	values[0] = Int32GetDatum(queue->queue_id);
	values[1] = saga_uuid_array(ids, n);
	saga_execute(&lock_leases_stmt, values, NULL, false, 0);
	found = (int) SPI_processed;
	for (i = 0; i < found; i++)
		tids[i] = *(ItemPointer) DatumGetPointer(saga_result(i, 1, &isnull));
	SPI_freetuptable(SPI_tuptable);
	return found;
}

static int
delete_leases(const SagaQueue *queue, pg_uuid_t *ids, int n)
{
	ItemPointerData *tids = palloc(sizeof(ItemPointerData) * n);
	int			found = lock_leases(queue, ids, n, tids);
	Datum		value;

	if (found > 0)
	{
		value = saga_tid_array(tids, found);
		saga_execute(&delete_lease_stmt, &value, NULL, false, 0);
	}
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
	SagaClaim	locking;
	Datum		values[2];
	int			found;
	int			i;
	bool		isnull;

	values[0] = Int32GetDatum(queue->queue_id);
	values[1] = saga_uuid_array(ids, n);
	saga_locking_begin(&locking, queue);
	saga_execute(&lock_returned_stmt, values, NULL, false, 0);
	found = (int) SPI_processed;
	for (i = 0; i < found; i++)
	{
		tids[i] = *(ItemPointer) DatumGetPointer(saga_result(i, 1, &isnull));
		saga_note_locked(queue, DatumGetUUIDP(saga_result(i, 2, &isnull)));
	}
	saga_locking_end(&locking);
	SPI_freetuptable(SPI_tuptable);
	if (found > 0)
	{
		values[0] = saga_tid_array(tids, found);
		saga_execute(&delete_returned_stmt, values, NULL, false, 0);
	}
	return found;
}

/* delete(queue text, ids uuid[]) returns integer */
PG_FUNCTION_INFO_V1(saga_delete);

Datum
saga_delete(PG_FUNCTION_ARGS)
{
	const SagaQueue *queue = saga_arg_queue(fcinfo, 0, SAGA_RIGHT_OPERATE);
	pg_uuid_t  *ids;
	int			found;
	int			n;

	ids = saga_arg_uuids(fcinfo, 1, "ids", &n);
	if (n == 0)
		PG_RETURN_INT32(0);
	SPI_connect();
	found = delete_leases(queue, ids, n);
	if (found < n)
		found += delete_returned(queue, ids, n);
	/* one may have been on its way from there to here */
	if (found < n)
		found += delete_leases(queue, ids, n);
	SPI_finish();
	PG_RETURN_INT32(found);
}

/* change_visibility(queue text, ids uuid[], visibility_timeout interval) returns integer */
PG_FUNCTION_INFO_V1(saga_change_visibility);

Datum
saga_change_visibility(PG_FUNCTION_ARGS)
{
	const SagaQueue *queue = saga_arg_queue(fcinfo, 0, SAGA_RIGHT_OPERATE);
	TimestampTz wake_at;
	ItemPointerData *tids;
	pg_uuid_t  *ids;
	Datum		values[2];
	int64		ms;
	int			found;
	int			n;

	ids = saga_arg_uuids(fcinfo, 1, "ids", &n);
	saga_arg_required(fcinfo, 2, "visibility_timeout");
	ms = saga_arg_interval_ms(fcinfo, 2, "visibility_timeout", 0);
	if (n == 0)
		PG_RETURN_INT32(0);
	SPI_connect();
	tids = palloc(sizeof(ItemPointerData) * n);
	found = lock_leases(queue, ids, n, tids);
	if (found > 0)
	{
		wake_at = GetCurrentTimestamp() + ms * 1000;
		values[0] = saga_tid_array(tids, found);
		values[1] = TimestampTzGetDatum(wake_at);
		saga_execute(&change_stmt, values, NULL, false, 0);
		saga_note_timer(wake_at);
	}
	SPI_finish();
	PG_RETURN_INT32(found);
}
