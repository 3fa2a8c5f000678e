/*
 * take.c
 *		Messages out of a queue: the one place where the protocol of the mark
 *		meets its statements.
 *
 * Workers, publishers and saga.receive claim here.  What is claimed stays
 * locked until the end of the transaction, and by then it is finished, has
 * become a timer (wait.c), or is kept; a claim whose transaction aborts is
 * pushed by that (mark.c).
 */
#include "postgres.h"

#include "access/detoast.h"
#include "miscadmin.h"
#include "queue/queue_private.h"

/* Of saga_test_claim: waits between the claiming statement and the advance of the mark. */
int			saga_test_claim_pause_us = 0;

#define HEAD_COLUMNS	"ctid, id, message_id, kind, receives, sent_at"
#define WHOLE_COLUMNS	HEAD_COLUMNS ", version, target, body, headers"
#define TIMER_COLUMNS	"ctid, message_id AS id, message_id, kind, receives, sent_at, version, target, body, headers"

#define CLAIM(columns) \
	"SELECT " columns " FROM saga.message" \
	" WHERE queue_id = $queue_id AND id > $mark ORDER BY id LIMIT $limit FOR UPDATE SKIP LOCKED"

static SagaStatement claim_heads_stmt = {.sql = CLAIM(HEAD_COLUMNS)};
static SagaStatement claim_whole_stmt = {.sql = CLAIM(WHOLE_COLUMNS)};

/* One look at the index per position: those that are behind the mark have many dead entries between them. */
static SagaStatement claim_at_stmt = {
	.sql = "SELECT m.* FROM unnest($positions) AS a (at) CROSS JOIN LATERAL (SELECT " WHOLE_COLUMNS " FROM saga.message"
	" WHERE queue_id = $queue_id AND id = a.at FOR UPDATE SKIP LOCKED) m"
};

static SagaStatement finish_stmt = {
	.sql = "DELETE FROM saga.message WHERE ctid = ANY ($ctids)"
};

/* ---------- rows ---------- */

static void
read_message(SagaRows *rows, bool whole, SagaMessage *message)
{
	memset(message, 0, sizeof(*message));
	message->ctid = saga_queue_row_ctid(rows);
	message->id = saga_column_uuid(rows, "id");
	message->message_id = saga_column_uuid(rows, "message_id");
	message->kind = saga_column_char(rows, "kind");
	message->receives = saga_column_int4(rows, "receives");
	message->sent_at = saga_column_timestamptz(rows, "sent_at");
	if (!whole)
		return;
	message->version = saga_column_int4(rows, "version");
	message->target = saga_column_uuid(rows, "target");
	message->body = saga_column_jsonb(rows, "body");
	message->headers = saga_column_jsonb(rows, "headers");
}

/* What the body and the headers take when they are read: what is stored may be packed a hundred times smaller. */
static Size
unpacked_size(SagaRows *rows)
{
	bool		isnull;
	Datum		body = saga_column(rows, "body", JSONBOID, &isnull);
	Size		size = isnull ? 0 : toast_raw_datum_size(body);
	Datum		headers = saga_column(rows, "headers", JSONBOID, &isnull);

	return size + (isnull ? 0 : toast_raw_datum_size(headers));
}

/* So many rows of a statement, all of which are freed. */
static SagaMessage *
read_messages(SagaRows *rows, uint64 count, bool whole, int *n)
{
	SagaMessage *messages = palloc(sizeof(SagaMessage) * Max(count, 1));

	for (*n = 0; (uint64) *n < count; (*n)++)
	{
		saga_row(rows, *n);
		read_message(rows, whole, &messages[*n]);
	}
	saga_rows_free(rows);
	return messages;
}

/* ---------- a claim ---------- */

static void
test_pause(void)
{
	pg_usleep(saga_test_claim_pause_us);
	CHECK_FOR_INTERRUPTS();
}

/* Nothing else runs between begin and end. */
static SagaRows *
lock_claimable(SagaStatement *stmt, const SagaQueue *queue, int limit)
{
	SagaRows   *rows;
	SagaClaim	claim;
	pg_uuid_t	last;

	saga_claim_begin(&claim, queue);
	rows = saga_query(stmt, saga_param_int4("queue_id", queue->queue_id), saga_param_uuid("mark", &claim.mark),
					  saga_param_int8("limit", limit));
	if (saga_test_claim_pause_us != 0)
		test_pause();
	if (rows->count == 0)
	{
		saga_claim_end(&claim, NULL);
		return rows;
	}
	saga_row(rows, rows->count - 1);
	last = saga_column_uuid(rows, "id");
	saga_claim_end(&claim, &last);
	return rows;
}

SagaMessage *
saga_queue_claim(const SagaQueue *queue, int limit, bool whole, int *n)
{
	SagaRows   *rows = lock_claimable(whole ? &claim_whole_stmt : &claim_heads_stmt, queue, limit);

	return read_messages(rows, rows->count, whole, n);
}

SagaMessage *
saga_queue_claim_within(const SagaQueue *queue, int limit, Size most, int *n, int *nleft)
{
	SagaRows   *rows = lock_claimable(&claim_whole_stmt, queue, limit);
	uint64		fits;
	Size		size = 0;

	for (fits = 0; fits < rows->count; fits++)
	{
		saga_row(rows, fits);
		size += unpacked_size(rows);
		if (fits > 0 && size > most)
			break;
	}
	*nleft = (int) (rows->count - fits);
	if (*nleft > 0)
	{
		pg_uuid_t	id = saga_column_uuid(rows, "id");

		saga_note_kept(queue, &id);
	}
	return read_messages(rows, fits, true, n);
}

/* Whoever may be cancelled after he has a lock has noted it before. */
SagaMessage *
saga_queue_claim_at(const SagaQueue *queue, pg_uuid_t *positions, int npositions, int *n)
{
	SagaRows   *rows;

	qsort(positions, npositions, sizeof(pg_uuid_t), saga_queue_compare_uuids);
	for (int i = 0; i < npositions; i++)
		saga_note_locked(queue, &positions[i]);
	rows = saga_query(&claim_at_stmt, saga_param_int4("queue_id", queue->queue_id),
					  saga_param_array("positions", UUIDARRAYOID, saga_queue_uuid_array(positions, npositions)));
	return read_messages(rows, rows->count, true, n);
}

void
saga_queue_claim_nothing(const SagaQueue *queue)
{
	SagaClaim	claim;

	saga_claim_begin(&claim, queue);
	saga_claim_end(&claim, NULL);
}

/* ---------- what becomes of it ---------- */

void
saga_queue_finish(ItemPointerData *ctids, int n)
{
	uint64		deleted;

	if (n == 0)
		return;
	deleted = saga_run(&finish_stmt, saga_param_array("ctids", TIDARRAYOID, saga_queue_tid_array(ctids, n)));
	if (deleted != (uint64) n)
		elog(ERROR, "deleted " UINT64_FORMAT " of %d claimed messages", deleted, n);
}

void
saga_queue_keep(const SagaQueue *queue, const pg_uuid_t *id)
{
	saga_note_kept(queue, id);
}

/* ---------- one message, wherever it is ---------- */

static SagaStatement lock_first_stmt = {
	.sql = "SELECT " WHOLE_COLUMNS " FROM saga.message"
	" WHERE queue_id = $queue_id AND id = $message_id AND kind = $kind FOR UPDATE SKIP LOCKED",
	.limit = 1
};

/* It came back from the timers. */
static SagaStatement lock_returned_stmt = {
	.sql = "SELECT " WHOLE_COLUMNS " FROM saga.message"
	" WHERE queue_id = $queue_id AND message_id = $message_id AND id <> message_id AND kind = $kind"
	" FOR UPDATE SKIP LOCKED",
	.limit = 1
};

static SagaStatement lock_timer_stmt = {
	.sql = "SELECT " TIMER_COLUMNS " FROM saga.timer"
	" WHERE queue_id = $queue_id AND message_id = $message_id AND kind = $kind FOR UPDATE SKIP LOCKED",
	.limit = 1
};

static bool
lock_in(SagaStatement *stmt, const SagaParam *which, SagaMessage *message)
{
	SagaRows   *rows = saga_statement_query(stmt, which);
	bool		found = saga_rows_next(rows);

	if (found)
		read_message(rows, true, message);
	saga_rows_free(rows);
	return found;
}

SagaPlaceOfMessage
saga_queue_lock_message(const SagaQueue *queue, const pg_uuid_t *message_id, char kind, SagaMessage *message)
{
	const SagaParam which[] = {
		saga_param_int4("queue_id", queue->queue_id),
		saga_param_uuid("message_id", message_id),
		saga_param_char("kind", kind),
		{.name = NULL}
	};
	SagaClaim	locking;
	bool		found;

	saga_note_locked(queue, message_id);
	if (lock_in(&lock_first_stmt, which, message))
		return SAGA_IN_QUEUE;
	saga_queue_locking_begin(&locking, queue);
	found = lock_in(&lock_returned_stmt, which, message);
	if (found)
		saga_note_locked(queue, &message->id);
	saga_queue_locking_end(&locking);
	if (found)
		return SAGA_IN_QUEUE;
	return lock_in(&lock_timer_stmt, which, message) ? SAGA_IN_TIMERS : SAGA_NOWHERE;
}

/* Who has such a row locked is about to take it. */
static SagaStatement take_message_stmt = {
	.sql = "DELETE FROM saga.message WHERE ctid = ANY (ARRAY(SELECT ctid FROM saga.message"
	" WHERE queue_id = $queue_id AND id = $message_id AND message_id = $message_id AND receives <= $receives"
	" FOR UPDATE SKIP LOCKED) || ARRAY(SELECT ctid FROM saga.message"
	" WHERE queue_id = $queue_id AND message_id = $message_id AND id <> message_id AND receives <= $receives"
	" FOR UPDATE SKIP LOCKED)) RETURNING id"
};

static SagaStatement take_timer_stmt = {
	.sql = "DELETE FROM saga.timer WHERE ctid = ANY (ARRAY(SELECT ctid FROM saga.timer"
	" WHERE queue_id = $queue_id AND message_id = $message_id AND lease IS NULL AND receives <= $receives"
	" FOR UPDATE SKIP LOCKED))"
};

/* If this transaction aborts, the row is there again, behind a mark that may have passed it meanwhile. */
static bool
take_message(const SagaQueue *queue, const SagaParam *which)
{
	SagaClaim	locking;
	SagaRows   *rows;
	bool		taken;

	saga_queue_locking_begin(&locking, queue);
	rows = saga_statement_query(&take_message_stmt, which);
	taken = rows->count > 0;
	while (saga_rows_next(rows))
	{
		pg_uuid_t	id = saga_column_uuid(rows, "id");

		saga_note_locked(queue, &id);
	}
	saga_queue_locking_end(&locking);
	saga_rows_free(rows);
	return taken;
}

bool
saga_queue_take_back(const SagaQueue *queue, const pg_uuid_t *message_id, int receives)
{
	const SagaParam which[] = {
		saga_param_int4("queue_id", queue->queue_id),
		saga_param_uuid("message_id", message_id),
		saga_param_int4("receives", receives),
		{.name = NULL}
	};

	return take_message(queue, which) || saga_statement_run(&take_timer_stmt, which) > 0;
}
