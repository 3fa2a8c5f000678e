/*
 * find.c
 *		Whether a message is in a queue, and what of it: nothing is locked here.
 *
 * A message is in one of three places: at the position that is its id, at a
 * fresh position after it came back from the timers, or in the timers.  One
 * statement looks into all of them, as it may be moved between two.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "miscadmin.h"
#include "queue/queue_private.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* ---------- a message ---------- */

bool
saga_queue_has(int32 queue_id, const pg_uuid_t *message_id, char kind)
{
	static SagaStatement stmt = {
		.sql = "SELECT FROM " SAGA_QUEUE_MESSAGES("$queue_id", "$message_id") " WHERE kind = $kind LIMIT 1",
		.limit = 1
	};

	return saga_run(&stmt, saga_param_int4("queue_id", queue_id), saga_param_uuid("message_id", message_id),
					saga_param_char("kind", kind)) > 0;
}

bool
saga_queue_has_at(int32 queue_id, const pg_uuid_t *position, char kind)
{
	static SagaStatement stmt = {
		.sql = "SELECT FROM saga.message WHERE queue_id = $queue_id AND id = $position AND kind = $kind",
		.limit = 1
	};

	return saga_run(&stmt, saga_param_int4("queue_id", queue_id), saga_param_uuid("position", position),
					saga_param_char("kind", kind)) > 0;
}

bool
saga_queue_taken_since(int32 queue_id, const pg_uuid_t *message_id, int receives)
{
	static SagaStatement stmt = {
		.sql = "SELECT FROM " SAGA_QUEUE_MESSAGES("$queue_id", "$message_id")
		" WHERE lease IS NOT NULL OR receives > $receives LIMIT 1",
		.limit = 1
	};

	return saga_run(&stmt, saga_param_int4("queue_id", queue_id), saga_param_uuid("message_id", message_id),
					saga_param_int4("receives", receives)) > 0;
}

/* ---------- many ---------- */

int
saga_queue_count(int32 queue_id, int most)
{
	static SagaStatement stmt = {
		.sql = "SELECT count(*) AS n FROM (SELECT FROM saga.message WHERE queue_id = $queue_id LIMIT $most) m",
		.read_only = true,
		.limit = 1
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_int4("queue_id", queue_id), saga_param_int4("most", most));
	int			n;

	saga_row(rows, 0);			/* an aggregate always has one */
	n = (int) saga_column_int8(rows, "n");
	saga_rows_free(rows);
	return n;
}

int
saga_queue_count_dead(const SagaQueue *queue, int most)
{
	/* what was redriven stays for a while: so much of it is passed over */
	static SagaStatement stmt = {
		.sql = "SELECT count(*) FILTER (WHERE redriven_at IS NULL) AS n FROM (SELECT redriven_at FROM saga.dead_letter"
		" WHERE queue_id = $queue_id ORDER BY dead_letter_id DESC LIMIT 2 * $most) d",
		.read_only = true,
		.limit = 1
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_int4("queue_id", queue->queue_id), saga_param_int4("most", most));
	int64		n;

	saga_row(rows, 0);			/* an aggregate always has one */
	n = saga_column_int8(rows, "n");
	saga_rows_free(rows);
	if (n < most && queue->dead_letter_queue != 0)
		n += saga_queue_count(queue->dead_letter_queue, most);
	return (int) Min(n, most);
}

bool
saga_queue_has_other_version(int32 queue_id, int version)
{
	static SagaStatement stmt = {
		.sql = "SELECT FROM saga.message WHERE queue_id = $queue_id AND kind = 's' AND version <> $version"
		" UNION ALL SELECT FROM saga.timer WHERE queue_id = $queue_id AND kind = 's' AND version <> $version LIMIT 1",
		.read_only = true,
		.limit = 1
	};

	return saga_run(&stmt, saga_param_int4("queue_id", queue_id), saga_param_int4("version", version)) > 0;
}

/* ---------- what is not committed yet ---------- */

/* The unfinished transaction of another that has put the start into a queue, or invalid. */
static TransactionId
find_starter(Relation message, Oid index, AttrNumber message_id_attno, const pg_uuid_t *execution_id, ItemPointer tid)
{
	TransactionId starter = InvalidTransactionId;
	SnapshotData dirty;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, message_id_attno, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(execution_id));
	InitDirtySnapshot(dirty);
	scan = systable_beginscan(message, index, true, &dirty, 1, &key);
	while (!TransactionIdIsValid(starter) && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		starter = dirty.xmin;
		*tid = tuple->t_self;
	}
	systable_endscan(scan);
	return starter;
}

void
saga_queue_wait_for_starters(const pg_uuid_t *execution_id)
{
	Oid			relid = saga_relation_oid("message");
	Oid			index = saga_relation_oid("message_start");
	AttrNumber	message_id_attno = get_attnum(relid, "message_id");
	Relation	message = table_open(relid, AccessShareLock);
	TransactionId starter;
	ItemPointerData tid;

	CHECK_FOR_INTERRUPTS();
	while (TransactionIdIsValid(starter = find_starter(message, index, message_id_attno, execution_id, &tid)))
		XactLockTableWait(starter, message, &tid, XLTW_InsertIndex);
	table_close(message, AccessShareLock);
}
