/*
 * execution_id.c
 *		Ids of executions that a caller gives: each is used once.
 *
 * No second execution has it, whatever the isolation level, and also against
 * transactions that are not finished:
 *
 *	1. Given ids are a unique key, saga.given_id.  Who gives the same one at
 *	   the same time waits for the other, a prepared transaction too.
 *	2. An id that was made here is not in there.  One that its transaction has
 *	   told to others before its end is found where executions are, with a
 *	   snapshot that sees what is not committed, and waited for.
 *	3. What is committed is looked for with the latest snapshot: that of a
 *	   REPEATABLE READ transaction may be older than the other execution.
 *
 * In that order: what is committed after the second has looked is seen by the
 * third.  Ids of saga.make_id() are told from those that are made here by a bit
 * (uuid.c).  So the second is for ids that come from elsewhere.
 *
 * An id that SQL of ours was offered (pg_invoice) does without the first: its
 * start is written, and then saga.given_id is looked into, with a snapshot that
 * sees what is not committed.  Whoever gives the same id does it the other way
 * round, so that one of the two sees the other, or each does, and the deadlock is
 * found.  That he cannot know the id is not true of any value that was in SQL.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "common/common.h"
#include "common/statement.h"
#include "engine/execution_private.h"
#include "miscadmin.h"
#include "queue/queue.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/*
 * Clocks may differ by this.  What is of later still could not be removed after
 * its retention: there is no walk as far as that.
 */
#define FUTURE_MS	(24 * 60 * 60 * 1000)

static void
raise_exists(const pg_uuid_t *id)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("execution %s already exists", saga_uuid_to_cstring(id))));
}

/* Whether the statement finds the id among what is committed now, and what this transaction has done. */
static bool
is_committed(SagaStatement *stmt, const pg_uuid_t *id, int32 workflow_id)
{
	bool		found;

	PushActiveSnapshot(GetLatestSnapshot());
	found = saga_run(stmt, saga_param_uuid("execution_id", id), saga_param_int4("workflow_id", workflow_id)) > 0;
	PopActiveSnapshot();
	return found;
}

/* The constraint's own error is left for those that come at the same time. */
static void
reserve(int32 workflow_id, const pg_uuid_t *id)
{
	static SagaStatement look_stmt = {
		.sql = "SELECT FROM saga.given_id WHERE execution_id = $execution_id",
		.read_only = true,
		.limit = 1
	};
	static SagaStatement insert_stmt = {.sql = "INSERT INTO saga.given_id (execution_id) VALUES ($execution_id)"};

	if (is_committed(&look_stmt, id, workflow_id))
		raise_exists(id);
	saga_run(&insert_stmt, saga_param_uuid("execution_id", id));
}

/* ---------- what is not committed ---------- */

/* A row that is there, or may be once a transaction has ended. */
typedef struct DirtyRow
{
	bool		found;
	TransactionId inserter;		/* another's, unfinished; invalid: it is there */
	ItemPointerData tid;
} DirtyRow;

/* The row with these keys, if possible one that is not committed. */
static DirtyRow
look_dirty(Relation rel, const char *index, int nkeys, ScanKey keys)
{
	DirtyRow	seen = {.inserter = InvalidTransactionId};
	SnapshotData dirty;
	SysScanDesc scan;
	HeapTuple	tuple;

	InitDirtySnapshot(dirty);
	scan = systable_beginscan(rel, saga_relation_oid(index), true, &dirty, nkeys, keys);
	while (!TransactionIdIsValid(seen.inserter) && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		seen.found = true;
		seen.inserter = dirty.xmin;
		seen.tid = tuple->t_self;
	}
	systable_endscan(scan);
	return seen;
}

/* Waits until no unfinished transaction has inserted such a row; whether there is one then. */
static bool
wait_for_row(Relation rel, const char *index, int nkeys, ScanKey keys)
{
	DirtyRow	seen;

	CHECK_FOR_INTERRUPTS();
	while (TransactionIdIsValid((seen = look_dirty(rel, index, nkeys, keys)).inserter))
		XactLockTableWait(seen.inserter, rel, &seen.tid, XLTW_InsertIndex);
	return seen.found;
}

static bool
wait_for_id(const char *table, const char *index, const pg_uuid_t *id)
{
	Oid			relid = saga_relation_oid(table);
	Relation	rel = table_open(relid, AccessShareLock);
	ScanKeyData key;
	bool		found;

	ScanKeyInit(&key, get_attnum(relid, "execution_id"), BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(id));
	found = wait_for_row(rel, index, 1, &key);
	table_close(rel, AccessShareLock);
	return found;
}

/* ---------- reserving ---------- */

static void
check_id(const pg_uuid_t *id)
{
	if ((id->data[6] & 0xf0) != 0x70)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is not an id for an execution", saga_uuid_to_cstring(id)),
				 errhint("Take one from saga.make_id().")));
	if (saga_uuid_time(id) > TimestampTzPlusMilliseconds(GetCurrentTimestamp(), FUTURE_MS))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("id %s is of a time in the future, %s", saga_uuid_to_cstring(id), timestamptz_to_str(saga_uuid_time(id))),
				 errhint("Take one from saga.make_id().")));
}

#define IN_TABLES \
	"SELECT 1 FROM saga.execution WHERE execution_id = $execution_id" \
	" UNION ALL SELECT 1 FROM saga.continuation WHERE execution_id = $execution_id"

/*
 * Raises unique_violation if there is an execution of this id, running or
 * ended, of whatever workflow, or one that is being started.
 */
void
saga_execution_id_reserve(int32 workflow_id, const pg_uuid_t *id)
{
	static SagaStatement given_stmt = {
		.sql = IN_TABLES,
		.read_only = true,
		.limit = 1
	};
	static SagaStatement any_stmt = {
		.sql = IN_TABLES
		" UNION ALL SELECT 1 FROM " SAGA_QUEUE_STARTS("$execution_id")
		/* it must not be the id of an event or a tick in its own queue either */
		" UNION ALL SELECT 1 FROM " SAGA_QUEUE_MESSAGES("$workflow_id", "$execution_id"),
		.read_only = true,
		.limit = 1
	};
	bool		own = saga_uuid_is_own(id);
	SagaRaised	save;

	check_id(id);
	saga_raise(&save);
	reserve(workflow_id, id);
	if (own)
	{
		saga_queue_wait_for_starters(id);
		(void) wait_for_id("continuation", "continuation_pkey", id);
		(void) wait_for_id("execution", "execution_pkey", id);
	}
	if (is_committed(own ? &any_stmt : &given_stmt, id, workflow_id))
		raise_exists(id);
	saga_lower(&save);
}

/* Of an id that was offered, when its start is written: the same. */
void
saga_execution_id_confirm(const pg_uuid_t *id)
{
	if (wait_for_id("given_id", "given_id_pkey", id))
		raise_exists(id);
}
