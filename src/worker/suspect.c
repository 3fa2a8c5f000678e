/*
 * suspect.c
 *		Executions that were running when the server crashed: saga.suspect.
 *
 * The engine asks for each execution it claims how often that was so; a
 * suspect runs alone, and one that reached pg_saga.crash_limit is a dead
 * letter.  An execution that ran to the commit of its batch is none any more.
 *
 * The table is nearly always empty.  Each process keeps a copy, read again
 * when the counter in shared memory says that some process changed it;
 * without shared memory once a batch.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "engine/engine.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/memutils.h"
#include "worker/procs.h"

typedef struct Suspect
{
	pg_uuid_t	id;
	int			crashes;
	bool		started;		/* in this batch */
} Suspect;

static SagaStmt lock_stmt = {
	.sql = "SELECT 1 FROM saga.suspect WHERE execution_id = $1 FOR UPDATE SKIP LOCKED",
	.nargs = 1,
	.argtypes = {UUIDOID}
};

static SagaStmt exists_stmt = {
	.sql = "SELECT 1 FROM saga.suspect WHERE execution_id = $1",
	.nargs = 1,
	.argtypes = {UUIDOID}
};

static SagaStmt count_stmt = {
	.sql = "INSERT INTO saga.suspect AS s (execution_id, crashes, last_at) VALUES ($1, 1, pg_catalog.clock_timestamp()) "
	"ON CONFLICT (execution_id) DO UPDATE SET crashes = s.crashes + 1, last_at = pg_catalog.clock_timestamp()",
	.nargs = 1,
	.argtypes = {UUIDOID}
};

static SagaStmt list_stmt = {
	.sql = "SELECT execution_id, crashes FROM saga.suspect"
};

static SagaStmt clear_stmt = {
	.sql = "DELETE FROM saga.suspect WHERE execution_id = $1",
	.nargs = 1,
	.argtypes = {UUIDOID}
};

/* Cache: the table's rows, in a context of their own. */
static MemoryContext cache_context = NULL;
static Suspect *suspects = NULL;
static int	nsuspects = 0;
static uint32 cached_generation = 0;	/* 0: nothing is cached */

/* By the current transaction. */
static bool changed_here = false;


/*
 * The others are told when they can see it: who loaded its copy before the
 * commit would keep the old rows under the new number.
 */
static void
transaction_ended(XactEvent event, void *arg)
{
	if (!changed_here || (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT))
		return;
	changed_here = false;
	cached_generation = 0;
	if (event == XACT_EVENT_COMMIT && saga_procs != NULL &&
		pg_atomic_add_fetch_u32(&saga_procs->suspects, 1) == 0)
		pg_atomic_fetch_add_u32(&saga_procs->suspects, 1);
}

static void
changed(void)
{
	static bool registered = false;

	if (!registered)
		RegisterXactCallback(transaction_ended, NULL);
	registered = true;
	changed_here = true;
	cached_generation = 0;
}

static bool
finds(SagaStmt *stmt, Datum value)
{
	bool		found;

	saga_execute(stmt, &value, NULL, false, 1);
	found = SPI_processed > 0;
	SPI_freetuptable(SPI_tuptable);
	return found;
}

/*
 * False: somebody has the row, a batch that clears it, or is making it, and
 * the coordinator waits for neither.
 */
static bool
count_crash(const pg_uuid_t *execution_id)
{
	Datum		value = UUIDPGetDatum(execution_id);
	int32		hash = (int32) hash_bytes(execution_id->data, UUID_LEN);

	if (!saga_object_try_lock(saga_relation_oid("suspect"), hash, ExclusiveLock))
		return false;
	if (!finds(&lock_stmt, value) && finds(&exists_stmt, value))
		return false;
	saga_execute(&count_stmt, &value, NULL, false, 0);
	ereport(LOG,
			(errmsg("execution %s was running when its process died", saga_uuid_to_cstring(execution_id)),
			 errdetail("It runs alone from now on.")));
	return true;
}

/*
 * The slots of the recorder are freed before the commit: if it fails, this
 * crash is not counted, which is better than counting it twice.
 */
bool
saga_suspect_collect(void)
{
	int			left;

	if (saga_recorder_collect(MyDatabaseId, count_crash, &left) > 0)
		changed();
	return left == 0;
}

static void
load(void)
{
	uint32		generation = saga_procs != NULL ? pg_atomic_read_u32(&saga_procs->suspects) : 0;

	if (generation != 0 && generation == cached_generation)
		return;
	if (cache_context == NULL)
		cache_context = AllocSetContextCreate(TopMemoryContext, "pg_saga suspects", ALLOCSET_SMALL_SIZES);
	cached_generation = 0;
	nsuspects = 0;
	MemoryContextReset(cache_context);

	saga_execute(&list_stmt, NULL, NULL, true, 0);
	suspects = MemoryContextAlloc(cache_context, Max(1, SPI_processed) * sizeof(Suspect));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;

		suspects[i].id = *DatumGetUUIDP(saga_result(i, 1, &isnull));
		suspects[i].crashes = DatumGetInt32(saga_result(i, 2, &isnull));
		suspects[i].started = false;
	}
	nsuspects = (int) SPI_processed;
	SPI_freetuptable(SPI_tuptable);
	cached_generation = generation;
}

static Suspect *
find(const pg_uuid_t *id)
{
	for (int i = 0; i < nsuspects; i++)
		if (saga_uuid_cmp(&suspects[i].id, id) == 0)
			return &suspects[i];
	return NULL;
}

static void
clear(const pg_uuid_t *id)
{
	Datum		value = UUIDPGetDatum(id);

	saga_execute(&clear_stmt, &value, NULL, false, 0);
	changed();
}

void
saga_suspect_batch_begin(void)
{
	load();
	for (int i = 0; i < nsuspects; i++)
		suspects[i].started = false;
}

void
saga_suspect_starts(const pg_uuid_t *execution_id)
{
	Suspect    *suspect = nsuspects > 0 ? find(execution_id) : NULL;

	if (suspect != NULL)
		suspect->started = true;
}

void
saga_suspect_survived(void)
{
	for (int i = 0; i < nsuspects; i++)
		if (suspects[i].started)
			clear(&suspects[i].id);
}

/* Hooks of the engine. */
static int
crashes_of(const pg_uuid_t *execution_id)
{
	Suspect    *suspect = nsuspects > 0 ? find(execution_id) : NULL;

	return suspect != NULL ? suspect->crashes : 0;
}

static void
forget(const pg_uuid_t *execution_id)
{
	if (find(execution_id) != NULL)
		clear(execution_id);
}

void
saga_suspect_init(void)
{
	saga_suspect_hook = crashes_of;
	saga_suspect_forget_hook = forget;
}
