/*
 * timer.c
 *		What waited for a time goes back into its queue.
 *
 * A timer that is due is moved under a fresh position.  A lease that ran out
 * for the last time (max_receives) goes to the dead letters.
 *
 * A session moves those of one queue, the coordinator those of all (turns.c).
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "queue/internal.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* How long a due timer that somebody holds locked is left alone, in microseconds. */
#define LOCKED_TIMER_RETRY	USECS_PER_SEC

/* A session's own queue: it goes on behind what others have locked. */
static SagaStmt lock_of_queue_stmt = {
	.sql = "SELECT ctid, queue_id, receives, lease FROM saga.timer"
	" WHERE (queue_id, wake_at) > ($4, $1) AND (queue_id, wake_at) <= ($4, $2)"
	" ORDER BY queue_id, wake_at LIMIT $3 FOR UPDATE SKIP LOCKED",
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

/* ---------- moving ---------- */

/* Of the rows that a statement has locked. */
SagaDueTimer *
saga_timers_read(int *n)
{
	SPITupleTable *table = SPI_tuptable;
	SagaDueTimer   *due;
	int			i;

	*n = (int) SPI_processed;
	due = palloc(sizeof(SagaDueTimer) * Max(*n, 1));
	for (i = 0; i < *n; i++)
	{
		bool		isnull;
		bool		no_lease;
		int			receives;
		const SagaQueue *of;

		due[i].tid = *(ItemPointer) DatumGetPointer(SPI_getbinval(table->vals[i], table->tupdesc, 1, &isnull));
		due[i].queue_id = DatumGetInt32(SPI_getbinval(table->vals[i], table->tupdesc, 2, &isnull));
		receives = DatumGetInt32(SPI_getbinval(table->vals[i], table->tupdesc, 3, &isnull));
		(void) SPI_getbinval(table->vals[i], table->tupdesc, 4, &no_lease);
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
move_due(const SagaDueTimer *due, int n)
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

/*
 * If the dead-letter queue is being dropped, they stay where they are, and are
 * looked at again as those that somebody has locked.
 */
static void
bury_of_queue(int32 queue_id, ItemPointerData *tids, int n)
{
	const SagaQueue *queue = saga_queue_by_id(queue_id, true);

	if (queue != NULL)
		(void) saga_dead_letter_move(queue, SAGA_DEAD_FROM_TIMER, tids, n, "Saga.MaxReceives");
}

/* One queue at a time; there are few. */
static void
bury_dead(SagaDueTimer *due, int n)
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
			bury_of_queue(queue_id, tids, count);
	}
}

void
saga_timers_move(SagaDueTimer *due, int n)
{
	if (n == 0)
		return;
	saga_note_timers_moved();
	move_due(due, n);
	bury_dead(due, n);
}

/* When the first timer after that time is due. */
static TimestampTz
next_timer(TimestampTz after)
{
	Datum		value = TimestampTzGetDatum(after);
	TimestampTz next = DT_NOEND;
	bool		isnull;

	saga_execute(&next_stmt, &value, NULL, false, 1);
	if (SPI_processed > 0)
		next = DatumGetTimestampTz(saga_result(0, 1, &isnull));
	SPI_freetuptable(SPI_tuptable);
	return next;
}

/*
 * A due one that is still there is locked by somebody: its wake_at is where
 * the mark has to stay, and it is looked at again after a while.  But not
 * before that are the others late.
 */
TimestampTz
saga_timers_end_scan(TimestampTz mark, TimestampTz now, bool again)
{
	TimestampTz next = next_timer(mark);
	TimestampTz empty_to = Min(now, next == DT_NOEND ? now : next - 1);

	if (next <= now)
		next = again ? now : Min(now + LOCKED_TIMER_RETRY, next_timer(now));
	return saga_timer_scan_end(empty_to, next);
}

int
saga_timers_fire(const SagaQueue *queue, TimestampTz now, int limit, TimestampTz *next_wake)
{
	TimestampTz mark;
	Datum		values[4];
	SagaDueTimer   *due;
	int			n;

	(void) saga_timer_scan_begin(false, &mark);
	values[0] = TimestampTzGetDatum(mark);
	values[1] = TimestampTzGetDatum(now);
	values[2] = Int32GetDatum(limit);
	values[3] = Int32GetDatum(queue->queue_id);
	saga_execute(&lock_of_queue_stmt, values, NULL, false, 0);
	due = saga_timers_read(&n);
	saga_timers_move(due, n);
	pfree(due);
	*next_wake = saga_timers_end_scan(mark, now, n == limit);
	return n;
}
