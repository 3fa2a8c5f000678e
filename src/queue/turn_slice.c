/*
 * turn_slice.c
 *		What the coordinator moves of the timers in one transaction.
 *
 * A timer that is larger than what its owner has in a round is left where it
 * is: to compress it alone can take seconds.  Whoever serves the queue moves
 * it, a worker of the owner's or a session that receives; he is told once a
 * second while there is one.
 *
 * Nothing is waited for, and what somebody has locked is not walked over
 * either: a number of rows is looked at, and those of them that are free are
 * moved.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "queue/turns_private.h"
#include "utils/timestamp.h"

#define MAX_CURSORS			64

/*
 * What is due, without a lock: so many rows are looked at, whoever has them
 * locked.  Sizes are those on disk; nothing is read for them.
 */
#define DUE_COLUMNS \
	"SELECT ctid, queue_id, wake_at," \
	" coalesce(pg_column_size(body), 0)::bigint + coalesce(pg_column_size(headers), 0) AS size FROM saga.timer"

static SagaStatement due_stmt = {
	.sql = DUE_COLUMNS " WHERE wake_at > $mark AND wake_at <= $now ORDER BY wake_at LIMIT $limit"
};

/* Rows are compared, as only the index over both columns knows how: the one over wake_at would walk over all owners'. */
static SagaStatement due_of_queue_stmt = {
	.sql = DUE_COLUMNS " WHERE (queue_id, wake_at) > ($queue_id, $mark) AND (queue_id, wake_at) <= ($queue_id, $now)"
	" ORDER BY queue_id, wake_at LIMIT $limit"
};

/* IS TRUE: by ctid, never by an index.  Asked again of the row as it is when it is locked. */
static SagaStatement lock_stmt = {
	.sql = "SELECT ctid, queue_id, receives, lease FROM saga.timer"
	" WHERE ctid = ANY ($ctids) AND (wake_at > $mark AND wake_at <= $now) IS TRUE FOR UPDATE SKIP LOCKED"
};

/* A queue of whose first due timers some were locked: it goes on behind them. */
typedef struct Cursor
{
	int32		queue_id;
	TimestampTz after;
} Cursor;

/* Process-local. */
static Cursor cursors[MAX_CURSORS];
static int	ncursors = 0;


/* ---------- queues whose first timers are locked ---------- */

static Cursor *
find_cursor(int32 queue_id)
{
	for (int i = 0; i < ncursors; i++)
		if (cursors[i].queue_id == queue_id)
			return &cursors[i];
	return NULL;
}

/* The last of the queue that was looked at; some of those up to it stayed. */
static void
set_cursor(int32 queue_id, TimestampTz after)
{
	Cursor	   *cursor = find_cursor(queue_id);

	if (cursor == NULL && ncursors < MAX_CURSORS)
	{
		cursor = &cursors[ncursors++];
		cursor->queue_id = queue_id;
	}
	if (cursor != NULL)
		cursor->after = after;
}

TimestampTz
saga_queue_cursor_of(int32 queue_id, TimestampTz mark)
{
	Cursor	   *cursor = find_cursor(queue_id);

	return cursor != NULL ? Max(cursor->after, mark) : mark;
}

void
saga_queue_cursor_drop(int32 queue_id)
{
	Cursor	   *cursor = find_cursor(queue_id);

	if (cursor != NULL)
		*cursor = cursors[--ncursors];
}

bool
saga_queue_cursors_exist(void)
{
	return ncursors > 0;
}

/* ---------- a transaction ---------- */

void
saga_slice_init(SagaSlice *slice)
{
	memset(slice, 0, sizeof(*slice));
	slice->tids = palloc(sizeof(ItemPointerData) * SAGA_SLICE_ROWS);
	slice->queue_ids = palloc(sizeof(int32) * SAGA_SLICE_ROWS);
	slice->wake_ats = palloc(sizeof(TimestampTz) * SAGA_SLICE_ROWS);
}

/* Does somebody else move the large ones of this queue?  Those of a queue without a slot are moved here. */
static bool
hand_over(SagaSlice *slice, int32 queue_id)
{
	const SagaQueue *queue;
	SagaQueueKey key;

	if (list_member_int(slice->handed, queue_id))
		return true;
	queue = saga_queue_by_id(queue_id, true);
	if (queue == NULL || queue->kind == SAGA_QUEUE_DESTINATION || queue->kind == SAGA_QUEUE_ACTIVITY)
		return false;
	key.dboid = MyDatabaseId;
	key.queue_id = queue_id;
	key.owner = queue->owner;
	key.kind = queue->kind;
	(void) saga_queue_slot(queue);
	if (!saga_queue_hand_over(&key))
		return false;
	slice->handed = lappend_int(slice->handed, queue_id);
	return true;
}

int
saga_slice_add(SagaSlice *slice, int32 queue_id, TimestampTz mark, TimestampTz now, int limit, int64 max_bytes)
{
	SagaRows   *rows = saga_query(queue_id != 0 ? &due_of_queue_stmt : &due_stmt,
								  saga_param_int4("queue_id", queue_id), saga_param_timestamptz("mark", mark),
								  saga_param_timestamptz("now", now), saga_param_int4("limit", limit));
	int			n = (int) rows->count;
	int			before = slice->n;
	int64		bytes = 0;

	while (saga_rows_next(rows))
	{
		int32		of = saga_column_int4(rows, "queue_id");
		int64		size = saga_column_int8(rows, "size");

		if (size > SAGA_OWNER_BYTES && hand_over(slice, of))
		{
			slice->left++;
			continue;
		}
		if (slice->n > before && bytes + size > max_bytes)
			break;
		bytes += size;
		slice->tids[slice->n] = saga_queue_row_ctid(rows);
		slice->queue_ids[slice->n] = of;
		slice->wake_ats[slice->n] = saga_column_timestamptz(rows, "wake_at");
		slice->n++;
	}
	slice->bytes += bytes;
	saga_rows_free(rows);
	return n;
}

/* Queues of which not all could be locked go on behind those. */
static void
note_locked(const SagaSlice *slice, const SagaDueTimer *due, int n)
{
	for (int i = 0; i < slice->n;)
	{
		int32		queue_id = slice->queue_ids[i];
		int			asked = 0;
		int			got = 0;

		for (; i < slice->n && slice->queue_ids[i] == queue_id; i++)
			asked++;
		for (int j = 0; j < n; j++)
			if (due[j].queue_id == queue_id)
				got++;
		if (got < asked || find_cursor(queue_id) != NULL)
			set_cursor(queue_id, slice->wake_ats[i - 1]);
	}
}

int
saga_slice_move(const SagaSlice *slice, TimestampTz mark, TimestampTz now, bool by_queue)
{
	SagaRows   *rows;
	SagaDueTimer *due;
	int			n;

	if (slice->n == 0)
		return 0;
	rows = saga_query(&lock_stmt, saga_param_timestamptz("mark", mark), saga_param_timestamptz("now", now),
					  saga_param_array("ctids", TIDARRAYOID, saga_queue_tid_array(slice->tids, slice->n)));
	due = saga_timers_read(rows, &n);
	if (by_queue)
		note_locked(slice, due, n);
	saga_timers_move(due, n);
	return n;
}
