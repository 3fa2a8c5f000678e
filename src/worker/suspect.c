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
 *
 * Begin reading with saga_suspect_batch_begin, saga_suspect_starts and
 * saga_suspect_survived, which frame a batch, and with saga_suspect_collect,
 * which counts after a crash.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "common/statement.h"
#include "engine/engine.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "worker/procs_private.h"

typedef struct Suspect
{
	pg_uuid_t	id;
	int			crashes;
	bool		started;		/* in this batch */
} Suspect;

static SagaStatement lock_stmt = {
	.sql = "SELECT 1 FROM saga.suspect WHERE execution_id = $execution_id FOR UPDATE SKIP LOCKED",
	.limit = 1
};

static SagaStatement exists_stmt = {
	.sql = "SELECT 1 FROM saga.suspect WHERE execution_id = $execution_id",
	.limit = 1
};

static SagaStatement count_stmt = {
	.sql = "INSERT INTO saga.suspect AS s (execution_id, crashes, last_at) VALUES ($execution_id, 1, pg_catalog.clock_timestamp()) "
	"ON CONFLICT (execution_id) DO UPDATE SET crashes = s.crashes + 1, last_at = pg_catalog.clock_timestamp()"
};

static SagaStatement list_stmt = {
	.sql = "SELECT execution_id, crashes FROM saga.suspect",
	.read_only = true
};

static SagaStatement clear_stmt = {
	.sql = "DELETE FROM saga.suspect WHERE execution_id = $execution_id"
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

/* This transaction changes saga.suspect: the copy is read again, here and, after the commit, elsewhere. */
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

/*
 * False: somebody has the row, a batch that clears it, or is making it, and
 * the coordinator waits for neither.
 */
static bool
count_crash(const pg_uuid_t *execution_id)
{
	SagaParam	id = saga_param_uuid("execution_id", execution_id);
	int32		hash = (int32) hash_bytes(execution_id->data, UUID_LEN);

	if (!saga_common_object_try_lock(saga_relation_oid("suspect"), hash, ExclusiveLock))
		return false;
	if (saga_run(&lock_stmt, id) == 0 && saga_run(&exists_stmt, id) > 0)
		return false;
	saga_run(&count_stmt, id);
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

/* Reads the table into this process's copy, if somebody changed it. */
static void
load(void)
{
	uint32		generation = saga_procs != NULL ? pg_atomic_read_u32(&saga_procs->suspects) : 0;
	SagaRows   *rows;

	if (generation != 0 && generation == cached_generation)
		return;
	if (cache_context == NULL)
		cache_context = AllocSetContextCreate(TopMemoryContext, "pg_saga suspects", ALLOCSET_SMALL_SIZES);
	cached_generation = 0;
	nsuspects = 0;
	MemoryContextReset(cache_context);

	rows = saga_query(&list_stmt);
	suspects = MemoryContextAllocZero(cache_context, Max(1, rows->count) * sizeof(Suspect));
	while (saga_rows_next(rows))
	{
		Suspect    *suspect = &suspects[nsuspects++];

		suspect->id = saga_column_uuid(rows, "execution_id");
		suspect->crashes = saga_column_int4(rows, "crashes");
	}
	saga_rows_free(rows);
	cached_generation = generation;
}

/* NULL: the execution is no suspect. */
static Suspect *
find(const pg_uuid_t *id)
{
	for (int i = 0; i < nsuspects; i++)
		if (saga_uuid_cmp(&suspects[i].id, id) == 0)
			return &suspects[i];
	return NULL;
}

/* The execution is no suspect any longer. */
static void
clear(const pg_uuid_t *id)
{
	saga_run(&clear_stmt, saga_param_uuid("execution_id", id));
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

/* saga_suspect_forget_hook: the execution has ended, in whatever way. */
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
