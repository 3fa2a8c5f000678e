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
		.sql = "SELECT FROM " SAGA_QUEUE_MESSAGES("= $queue_id", "$message_id") " WHERE kind = $kind LIMIT 1",
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
		.sql = "SELECT FROM " SAGA_QUEUE_MESSAGES("= $queue_id", "$message_id")
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

bool
saga_queue_has_other_version(int32 queue_id, int version)
{
	static SagaStatement stmt = {
		.sql = "SELECT FROM saga.message WHERE queue_id = $queue_id AND kind = 's' AND version <> $version"
		" UNION ALL SELECT FROM saga.timer WHERE queue_id = $queue_id AND kind = 's' AND version <> $version LIMIT 1",
		.limit = 1
	};

	return saga_run(&stmt, saga_param_int4("queue_id", queue_id), saga_param_int4("version", version)) > 0;
}

pg_uuid_t *
saga_queue_targets_at(pg_uuid_t *positions, int npositions, char kind, int *n)
{
	static SagaStatement stmt = {
		.sql = "SELECT target FROM saga.message WHERE queue_id = ANY (ARRAY(SELECT queue_id FROM saga.queue WHERE kind = 'w'))"
		" AND id = ANY ($positions) AND kind = $kind"
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_array("positions", UUIDARRAYOID, saga_uuid_array(positions, npositions)),
								  saga_param_char("kind", kind));
	pg_uuid_t  *targets = palloc(sizeof(pg_uuid_t) * Max(rows->count, 1));

	*n = 0;
	while (saga_next(rows))
		targets[(*n)++] = saga_column_uuid(rows, "target");
	saga_rows_free(rows);
	return targets;
}

/* ---------- what is not committed yet ---------- */

/* The unfinished transaction of another that has put a message at this position, or invalid. */
static TransactionId
find_inserter(Relation message, Oid index, AttrNumber queue_attno, AttrNumber id_attno,
			  int32 queue_id, const pg_uuid_t *id, ItemPointer tid)
{
	TransactionId inserter = InvalidTransactionId;
	SnapshotData dirty;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], queue_attno, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(queue_id));
	ScanKeyInit(&keys[1], id_attno, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(id));
	InitDirtySnapshot(dirty);
	scan = systable_beginscan(message, index, true, &dirty, 2, keys);
	while (!TransactionIdIsValid(inserter) && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		inserter = dirty.xmin;
		*tid = tuple->t_self;
	}
	systable_endscan(scan);
	return inserter;
}

void
saga_queue_wait_for_inserters(const int32 *queue_ids, int n, const pg_uuid_t *id)
{
	Oid			relid = saga_relation_oid("message");
	Oid			index = saga_relation_oid("message_pkey");
	AttrNumber	queue_attno = get_attnum(relid, "queue_id");
	AttrNumber	id_attno = get_attnum(relid, "id");
	Relation	message = table_open(relid, AccessShareLock);

	for (int i = 0; i < n; i++)
	{
		TransactionId inserter;
		ItemPointerData tid;

		CHECK_FOR_INTERRUPTS();
		while (TransactionIdIsValid(inserter = find_inserter(message, index, queue_attno, id_attno,
															 queue_ids[i], id, &tid)))
			XactLockTableWait(inserter, message, &tid, XLTW_InsertIndex);
	}
	table_close(message, AccessShareLock);
}
