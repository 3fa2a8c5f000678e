/*
 * pool.c
 *		Which workers, publishers and sources run in a database.
 *
 * What runs is read from shared memory, as workers outlive their coordinator;
 * the handles here only tell of starts that are not there yet or failed.
 * Which workers there should be is pool_worker.c's.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/guc.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "source/source.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/pool.h"
#include "worker/pool_private.h"

#define START_POLL_MS		1000
#define BACKOFF_MIN_MS		200
#define BACKOFF_MAX_MS		(30 * 1000)
#define NO_SLOT_MS			1000
#define SOURCES_LOOK_MS		(60 * 1000) /* net: what saga.source holds */

/* A process that we started. */
typedef struct Child
{
	SagaProcType type;
	Oid			owner;
	BackgroundWorkerHandle *handle;
	uint32		start;
	TimestampTz started_at;
	bool		asked;			/* to leave */
} Child;

/* Process-local, in TopMemoryContext. */
static List *children = NIL;
static List *troubles = NIL;
static uint32 roles_seen;
static uint32 lost_seen = 0;	/* unlike the counter's first value: one publisher looks at each start */
static uint32 unlisted_seen = 0;	/* saga_unlisted() when a publisher was started */
static bool slots_were_full = false;
static bool sources_known = false;	/* the three below hold */
static bool sources_enabled;	/* saga.source has one that is not paused */
static uint32 sources_seen;
static TimestampTz sources_seen_at;

SagaTrouble *
saga_pool_find_trouble(SagaProcType type, Oid owner, bool create)
{
	ListCell   *lc;
	SagaTrouble *trouble;
	MemoryContext old;

	foreach(lc, troubles)
	{
		trouble = lfirst(lc);
		if (trouble->type == type && trouble->owner == owner)
			return trouble;
	}
	if (!create)
		return NULL;
	old = MemoryContextSwitchTo(TopMemoryContext);
	trouble = palloc0(sizeof(SagaTrouble));
	trouble->type = type;
	trouble->owner = owner;
	troubles = lappend(troubles, trouble);
	MemoryContextSwitchTo(old);
	return trouble;
}

static void
forget_trouble(SagaProcType type, Oid owner)
{
	SagaTrouble *trouble = saga_pool_find_trouble(type, owner, false);

	if (trouble == NULL)
		return;
	troubles = list_delete_ptr(troubles, trouble);
	pfree(trouble);
}

void
saga_pool_note_failure(SagaPool *pool, SagaProcType type, Oid owner)
{
	SagaTrouble *trouble = saga_pool_find_trouble(type, owner, true);
	long		delay = Min(BACKOFF_MAX_MS, (long) BACKOFF_MIN_MS << Min(trouble->failures, 10));

	trouble->failures++;
	trouble->retry_at = TimestampTzPlusMilliseconds(pool->now, delay);
}

static const SagaProcCopy *
find_proc(const SagaPool *pool, int pid)
{
	for (int i = 0; i < pool->nprocs; i++)
		if (pool->procs[i].pid == pid)
			return &pool->procs[i];
	return NULL;
}

/*
 * Forgets the children that have ended.  One that ended soon, and was not
 * asked to, nor told by somebody, has failed: what it does next would fail too.
 */
static void
reap(SagaPool *pool)
{
	ListCell   *lc;

	foreach(lc, children)
	{
		Child	   *child = lfirst(lc);
		pid_t		pid;
		bool		lasted = TimestampDifferenceExceeds(child->started_at, pool->now,
														Min(saga_worker_idle_timeout_ms, 5000));

		if (GetBackgroundWorkerPid(child->handle, &pid) != BGWH_STOPPED)
		{
			if (lasted)
				forget_trouble(child->type, child->owner);
			continue;
		}
		if (!child->asked && !lasted && !saga_proc_was_told(child->start))
			saga_pool_note_failure(pool, child->type, child->owner);
		children = foreach_delete_current(children, lc);
		pfree(child->handle);
		pfree(child);
	}
}

int
saga_pool_count_pending(const SagaPool *pool, SagaProcType type, Oid owner)
{
	ListCell   *lc;
	int			n = 0;

	foreach(lc, children)
	{
		Child	   *child = lfirst(lc);
		pid_t		pid = 0;
		BgwHandleStatus status;

		if (child->type != type || (OidIsValid(owner) && child->owner != owner))
			continue;
		status = GetBackgroundWorkerPid(child->handle, &pid);
		if (status == BGWH_NOT_YET_STARTED || (status == BGWH_STARTED && find_proc(pool, pid) == NULL))
			n++;
	}
	return n;
}

void
saga_pool_look_again(SagaPool *pool, long ms)
{
	pool->next = Min(pool->next, TimestampTzPlusMilliseconds(pool->now, ms));
}

bool
saga_pool_start(SagaPool *pool, SagaProcType type, Oid owner)
{
	SagaProcArgs args = {.dboid = MyDatabaseId, .owner = owner, .probe = -1};
	BackgroundWorkerHandle *handle;
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	bool		started = saga_proc_start(type, &args, &handle);

	if (started)
	{
		Child	   *child = palloc0(sizeof(Child));

		child->type = type;
		child->owner = owner;
		child->handle = handle;
		child->start = args.start;
		child->started_at = pool->now;
		children = lappend(children, child);
		saga_pool_look_again(pool, START_POLL_MS);
		slots_were_full = false;
	}
	else
	{
		if (!slots_were_full)
			ereport(LOG,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("pg_saga cannot start a %s: no free background worker slot",
							type == SAGA_PROC_WORKER ? "worker" :
							type == SAGA_PROC_PUBLISHER ? "publisher" : "process for sources"),
					 errhint("Raise max_worker_processes.")));
		slots_were_full = true;
		saga_pool_look_again(pool, NO_SLOT_MS);
	}
	MemoryContextSwitchTo(old);
	return started;
}

void
saga_pool_ask_leave(SagaPool *pool, SagaProcCopy *proc)
{
	ListCell   *lc;

	foreach(lc, children)
	{
		Child	   *child = lfirst(lc);
		pid_t		pid;

		if (GetBackgroundWorkerPid(child->handle, &pid) == BGWH_STARTED && pid == proc->pid)
			child->asked = true;
	}
	proc->leaving = true;
	saga_proc_ask_leave_pid(proc->pid);
}

int
saga_pool_count_all(const SagaPool *pool, SagaProcType type, bool also_leaving)
{
	int			n = saga_pool_count_pending(pool, type, InvalidOid);

	for (int i = 0; i < pool->nprocs; i++)
		if (pool->procs[i].type == type && (also_leaving || !pool->procs[i].leaving))
			n++;
	return n;
}

/* ---------- publishers ---------- */

static bool
has_destinations(void)
{
	bool		result = saga_unlisted(SAGA_QUEUE_DESTINATION) != 0;

	LWLockAcquire(saga_shared->lock, LW_SHARED);
	for (int i = 0; i < saga_shared->max_queues && !result; i++)
		result = saga_shared->queues[i].dboid == MyDatabaseId &&
			saga_shared->queues[i].kind == SAGA_QUEUE_DESTINATION;
	LWLockRelease(saga_shared->lock);
	return result;
}

/*
 * A queue is ready, or a publisher ended that may have had requests in
 * flight: the next one sends them again at once, not when their lease is over.
 */
static bool
publisher_is_wanted(void)
{
	int32		queue_id;

	return saga_ready_queues(InvalidOid, SAGA_QUEUE_DESTINATION, &queue_id, 1) > 0 ||
		saga_unlisted(SAGA_QUEUE_DESTINATION) != unlisted_seen ||
		(pg_atomic_read_u32(&saga_procs->lost_publishers) != lost_seen && has_destinations());
}

static void
serve_publishers(SagaPool *pool)
{
	uint32		lost = pg_atomic_read_u32(&saga_procs->lost_publishers);
	uint32		unlisted = saga_unlisted(SAGA_QUEUE_DESTINATION);
	SagaTrouble *trouble = saga_pool_find_trouble(SAGA_PROC_PUBLISHER, InvalidOid, false);
	int			running = saga_pool_count_all(pool, SAGA_PROC_PUBLISHER, false);

	for (int i = 0; i < pool->nprocs && running > saga_publishers; i++)
	{
		if (pool->procs[i].type != SAGA_PROC_PUBLISHER || pool->procs[i].leaving)
			continue;
		saga_pool_ask_leave(pool, &pool->procs[i]);
		running--;
	}
	if (running >= saga_publishers || !publisher_is_wanted())
		return;
	for (int i = 0; i < pool->nprocs; i++)
		if (pool->procs[i].type == SAGA_PROC_PUBLISHER && !pool->procs[i].leaving && pool->procs[i].idle)
			return;
	if (saga_pool_count_pending(pool, SAGA_PROC_PUBLISHER, InvalidOid) > 0)
		return;
	if (trouble != NULL && trouble->retry_at > pool->now)
		pool->next = Min(pool->next, trouble->retry_at);
	else if (saga_pool_start(pool, SAGA_PROC_PUBLISHER, InvalidOid))
	{
		lost_seen = lost;
		unlisted_seen = unlisted;
	}
}

/* ---------- sources ---------- */

/* The table is looked at when somebody said that it changed, and now and then. */
static bool
has_enabled_sources(SagaPool *pool)
{
	uint32		generation = saga_sources_generation();

	if (sources_known && generation == sources_seen &&
		!TimestampDifferenceExceeds(sources_seen_at, pool->now, SOURCES_LOOK_MS))
		return sources_enabled;
	sources_known = false;
	saga_begin();
	if (saga_extension_try_lock())
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		sources_enabled = saga_source_any_enabled();
		PopActiveSnapshot();
		sources_known = true;
	}
	saga_commit();
	sources_seen = generation;
	sources_seen_at = pool->now;
	return sources_known && sources_enabled;
}

/* One process serves all of them, and leaves when there are none. */
static void
serve_sources(SagaPool *pool)
{
	SagaTrouble *trouble = saga_pool_find_trouble(SAGA_PROC_SOURCE, InvalidOid, false);
	bool		wanted = saga_sources && has_enabled_sources(pool);

	for (int i = 0; i < pool->nprocs; i++)
		if (pool->procs[i].type == SAGA_PROC_SOURCE)
			return;				/* it leaves by itself, and wakes us then */
	if (!wanted || saga_pool_count_pending(pool, SAGA_PROC_SOURCE, InvalidOid) > 0)
		return;
	if (trouble != NULL && trouble->retry_at > pool->now)
		pool->next = Min(pool->next, trouble->retry_at);
	else
		(void) saga_pool_start(pool, SAGA_PROC_SOURCE, InvalidOid);
}

TimestampTz
saga_pool_turn(void)
{
	SagaPool	pool = {.now = saga_monotonic_now(), .next = DT_NOEND};
	uint32		roles = pg_atomic_read_u32(&saga_procs->roles);
	ListCell   *lc;

	if (roles != roles_seen)
	{
		/* who could not run a moment ago perhaps can now */
		roles_seen = roles;
		foreach(lc, troubles)
			((SagaTrouble *) lfirst(lc))->retry_at = pool.now;
	}
	pool.nprocs = saga_proc_list(SAGA_AT_DATABASE & ~SAGA_AT(SAGA_PROC_COORDINATOR), MyDatabaseId,
								 &pool.procs);
	reap(&pool);
	saga_pool_serve_workers(&pool);
	serve_publishers(&pool);
	serve_sources(&pool);
	return pool.next;
}
