/*
 * wait.c
 *		Messages that wait for a time: in flight under a lease, put off, or the
 *		tick of an execution.
 *
 * A row of saga.timer comes back into its queue when its time has come
 * (timer.c).  With a lease somebody has it in flight, and only he ends it or
 * gives it another time before that.  Nobody waits for a row that somebody
 * else has locked: he is about to move or to drop it, or is dropping the
 * queue, and may take his time; what is not done then is done when its time
 * has come.
 */
#include "postgres.h"

#include "queue/queue_private.h"
#include "utils/timestamp.h"

/* ---------- into the timers ---------- */

static SagaStatement insert_stmt = {
	.sql = "INSERT INTO saga.timer (queue_id, message_id, wake_at, sent_at, receives, kind, lease)"
	" VALUES ($queue_id, $message_id, $wake_at, $sent_at, $receives, $kind, $lease) ON CONFLICT DO NOTHING"
};

/* It has neither body nor headers: those are where the message says. */
static bool
insert_timer(int32 queue_id, const SagaMessage *message, int receives, SagaParam lease, TimestampTz wake_at)
{
	Assert(message->body == NULL && message->headers == NULL);
	saga_note_timer(wake_at);
	return saga_run(&insert_stmt, saga_param_int4("queue_id", queue_id),
					saga_param_uuid("message_id", &message->message_id), saga_param_timestamptz("wake_at", wake_at),
					saga_param_timestamptz("sent_at", message->sent_at), saga_param_int4("receives", receives),
					saga_param_char("kind", message->kind), lease) > 0;
}

bool
saga_queue_lease(int32 queue_id, const SagaMessage *message, int receives, int64 lease, TimestampTz until)
{
	return insert_timer(queue_id, message, receives, saga_param_int8("lease", lease), until);
}

void
saga_queue_put_back(int32 queue_id, const SagaMessage *message, TimestampTz wake_at)
{
	(void) insert_timer(queue_id, message, message->receives, saga_param_if(false, saga_param_int8("lease", 0)),
						wake_at);
}

void
saga_queue_postpone(const ItemPointerData *ctid, TimestampTz wake_at)
{
	static SagaStatement stmt = {
		.sql = "INSERT INTO saga.timer (queue_id, message_id, wake_at, target, sent_at, receives, version, kind, body, headers)"
		" SELECT queue_id, message_id, $wake_at, target, sent_at, receives + 1, version, kind, body, headers"
		" FROM saga.message WHERE ctid = $ctid"
		" ON CONFLICT (queue_id, message_id) DO NOTHING"
	};

	saga_run(&stmt, saga_param_pointer("ctid", TIDOID, ctid), saga_param_timestamptz("wake_at", wake_at));
	saga_note_timer(wake_at);
}

/* ---------- ticks ---------- */

void
saga_queue_set_tick(const SagaQueue *queue, const pg_uuid_t *target, TimestampTz wake_at)
{
	static SagaStatement stmt = {
		.sql = "INSERT INTO saga.timer (queue_id, message_id, wake_at, target, sent_at, kind)"
		" VALUES ($queue_id, $message_id, $wake_at, $message_id, $sent_at, 't')"
		" ON CONFLICT (queue_id, message_id) DO UPDATE SET wake_at = excluded.wake_at"
	};

	saga_run(&stmt, saga_param_int4("queue_id", queue->queue_id), saga_param_uuid("message_id", target),
			 saga_param_timestamptz("wake_at", wake_at), saga_param_timestamptz("sent_at", GetCurrentTimestamp()));
	saga_note_timer(wake_at);
}

void
saga_queue_drop_timer(const SagaQueue *queue, const pg_uuid_t *message_id, char kind)
{
	static SagaStatement stmt = {
		.sql = "DELETE FROM saga.timer WHERE queue_id = $queue_id AND message_id = $message_id AND kind = $kind"
	};

	saga_run(&stmt, saga_param_int4("queue_id", queue->queue_id), saga_param_uuid("message_id", message_id),
			 saga_param_char("kind", kind));
}

/* ---------- the end of a lease ---------- */

#define OUR_LEASE \
	"ctid = (SELECT ctid FROM saga.timer WHERE queue_id = $queue_id AND message_id = $message_id AND lease = $lease" \
	" FOR UPDATE SKIP LOCKED)"

bool
saga_queue_end_lease(int32 queue_id, const pg_uuid_t *message_id, int64 lease)
{
	static SagaStatement stmt = {
		.sql = "DELETE FROM saga.timer WHERE " OUR_LEASE
	};

	return saga_run(&stmt, saga_param_int4("queue_id", queue_id), saga_param_uuid("message_id", message_id),
					saga_param_int8("lease", lease)) > 0;
}

bool
saga_queue_release(int32 queue_id, const pg_uuid_t *message_id, int64 lease, TimestampTz wake_at, bool undone)
{
	static SagaStatement stmt = {
		.sql = "UPDATE saga.timer SET wake_at = $wake_at, lease = NULL, receives = receives - $undone WHERE " OUR_LEASE
	};
	bool		released = saga_run(&stmt, saga_param_int4("queue_id", queue_id), saga_param_uuid("message_id", message_id),
									saga_param_int8("lease", lease), saga_param_timestamptz("wake_at", wake_at),
									saga_param_int4("undone", undone ? 1 : 0)) > 0;

	if (released)
		saga_note_timer(wake_at);
	return released;
}

int64 *
saga_queue_leases(char kind, int *n)
{
	static SagaStatement stmt = {
		.sql = "SELECT DISTINCT lease FROM saga.timer WHERE kind = $kind AND lease IS NOT NULL"
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_char("kind", kind));
	int64	   *leases = palloc(sizeof(int64) * Max(rows->count, 1));

	*n = 0;
	while (saga_rows_next(rows))
		leases[(*n)++] = saga_column_int8(rows, "lease");
	saga_rows_free(rows);
	return leases;
}

int
saga_queue_release_all(char kind, int64 lease, const ArrayType *queue_ids, TimestampTz wake_at)
{
	static SagaStatement stmt = {
		.sql = "UPDATE saga.timer SET wake_at = $wake_at, lease = NULL WHERE ctid = ANY (ARRAY("
		"SELECT ctid FROM saga.timer WHERE kind = $kind AND lease = $lease "
		"AND ($queue_ids IS NULL OR queue_id = ANY ($queue_ids)) FOR UPDATE SKIP LOCKED))"
	};
	int			released = (int) saga_run(&stmt, saga_param_timestamptz("wake_at", wake_at),
										  saga_param_char("kind", kind), saga_param_int8("lease", lease),
										  saga_param_array("queue_ids", INT4ARRAYOID, queue_ids));

	if (released > 0)
		saga_note_timer(wake_at);
	return released;
}

bool
saga_queue_find_lease(int32 queue_id, const pg_uuid_t *message_id, int64 *lease, TimestampTz *until)
{
	static SagaStatement stmt = {
		.sql = "SELECT lease, wake_at FROM saga.timer WHERE queue_id = $queue_id AND message_id = $message_id"
		" AND lease IS NOT NULL",
		.limit = 1
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_int4("queue_id", queue_id), saga_param_uuid("message_id", message_id));
	bool		found = saga_rows_next(rows);

	if (found)
	{
		*lease = saga_column_int8(rows, "lease");
		*until = saga_column_timestamptz(rows, "wake_at");
	}
	saga_rows_free(rows);
	return found;
}

/* ---------- another time ---------- */

bool
saga_queue_hasten(int32 queue_id, const pg_uuid_t *message_id, TimestampTz wake_at)
{
	static SagaStatement stmt = {
		.sql = "UPDATE saga.timer SET wake_at = $wake_at"
		" WHERE queue_id = $queue_id AND message_id = $message_id AND lease IS NULL"
	};
	bool		found = saga_run(&stmt, saga_param_timestamptz("wake_at", wake_at), saga_param_int4("queue_id", queue_id),
								 saga_param_uuid("message_id", message_id)) > 0;

	if (found)
		saga_note_timer(wake_at);
	return found;
}

void
saga_queue_delay(int32 queue_id, const pg_uuid_t *message_id, TimestampTz wake_at)
{
	static SagaStatement stmt = {
		.sql = "UPDATE saga.timer SET wake_at = greatest(wake_at, $wake_at) WHERE ctid = (SELECT ctid FROM saga.timer"
		" WHERE queue_id = $queue_id AND message_id = $message_id AND lease IS NULL FOR UPDATE SKIP LOCKED)"
	};

	saga_run(&stmt, saga_param_timestamptz("wake_at", wake_at), saga_param_int4("queue_id", queue_id),
			 saga_param_uuid("message_id", message_id));
}
