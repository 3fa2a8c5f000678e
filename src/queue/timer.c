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

#include "miscadmin.h"
#include "queue/queue_private.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* How long a due timer that somebody holds locked is left alone, in microseconds. */
#define LOCKED_TIMER_RETRY	USECS_PER_SEC

/* A session's own queue: it goes on behind what others have locked. */
static SagaStatement lock_of_queue_stmt = {
	.sql = "SELECT ctid, queue_id, receives, lease FROM saga.timer"
	" WHERE (queue_id, wake_at) > ($queue_id, $mark) AND (queue_id, wake_at) <= ($queue_id, $now)"
	" ORDER BY queue_id, wake_at LIMIT $limit FOR UPDATE SKIP LOCKED"
};
static SagaStatement move_stmt = {
	.sql = "WITH moved AS (DELETE FROM saga.timer WHERE ctid = ANY ($ctids) RETURNING *)"
	" INSERT INTO saga.message (queue_id, id, message_id, target, sent_at, receives, version, kind, body, headers)"
	" SELECT queue_id, saga.make_id(), message_id, target, sent_at, receives, version, kind, body, headers"
	" FROM (SELECT * FROM moved ORDER BY wake_at, message_id) m RETURNING queue_id, id"
};
static SagaStatement next_stmt = {
	.sql = "SELECT wake_at FROM saga.timer WHERE wake_at > $after ORDER BY wake_at LIMIT 1",
	.limit = 1
};

/* ---------- moving ---------- */

/* A lease that ran out counts as received; without one nobody had it. */
static bool
is_dead(SagaRows *rows)
{
	const SagaQueue *queue;

	if (saga_column_is_null(rows, "lease"))
		return false;
	queue = saga_queue_by_id(saga_column_int4(rows, "queue_id"), true);
	return queue != NULL && queue->max_receives > 0 && saga_column_int4(rows, "receives") >= queue->max_receives;
}

/* Of the rows that a statement has locked. */
SagaDueTimer *
saga_timers_read(SagaRows *rows, int *n)
{
	SagaDueTimer *due = palloc(sizeof(SagaDueTimer) * Max(rows->count, 1));

	*n = 0;
	while (saga_rows_next(rows))
	{
		SagaDueTimer *timer = &due[(*n)++];

		timer->tid = saga_queue_row_ctid(rows);
		timer->queue_id = saga_column_int4(rows, "queue_id");
		timer->dead = is_dead(rows);
	}
	saga_rows_free(rows);
	return due;
}

static void
move_due(const SagaDueTimer *due, int n)
{
	ItemPointerData *tids = palloc(sizeof(ItemPointerData) * Max(n, 1));
	SagaRows   *rows;
	int			count = 0;

	for (int i = 0; i < n; i++)
		if (!due[i].dead)
			tids[count++] = due[i].tid;
	if (count == 0)
		return;
	rows = saga_query(&move_stmt, saga_param_array("ctids", TIDARRAYOID, saga_queue_tid_array(tids, count)));
	while (saga_rows_next(rows))
	{
		const SagaQueue *queue = saga_queue_by_id(saga_column_int4(rows, "queue_id"), true);
		pg_uuid_t	id = saga_column_uuid(rows, "id");

		if (queue != NULL)
			saga_note_inserted(queue, &id);
	}
	saga_rows_free(rows);
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
	SagaRows   *rows = saga_query(&next_stmt, saga_param_timestamptz("after", after));
	TimestampTz next = saga_rows_next(rows) ? saga_column_timestamptz(rows, "wake_at") : DT_NOEND;

	saga_rows_free(rows);
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
	SagaRows   *rows;
	SagaDueTimer *due;
	int			n;

	(void) saga_timer_scan_begin(false, &mark);
	rows = saga_query(&lock_of_queue_stmt, saga_param_int4("queue_id", queue->queue_id),
					  saga_param_timestamptz("mark", mark), saga_param_timestamptz("now", now),
					  saga_param_int4("limit", limit));
	due = saga_timers_read(rows, &n);
	saga_timers_move(due, n);
	pfree(due);
	*next_wake = saga_timers_end_scan(mark, now, n == limit);
	return n;
}
