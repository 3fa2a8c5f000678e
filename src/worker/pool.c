/*
 * pool.c
 *		Which workers, publishers and sources run in a database.
 *
 * A worker serves one owner.  An owner with a ready queue and no worker gets
 * one; more than one while all of its workers are busy and there is room in
 * pg_saga.workers.  When there is no room for an owner who has none, an idle
 * worker of somebody else leaves, else one of the owner who has most, else
 * the one that has run longest, at the end of its batch: so every owner has a
 * turn.
 *
 * What runs is read from shared memory, as workers outlive their coordinator;
 * the handles here only tell of starts that are not there yet or failed.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/guc.h"
#include "executor/spi.h"
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
#include "worker/procs.h"

#define START_POLL_MS		1000
#define BACKOFF_MIN_MS		200
#define BACKOFF_MAX_MS		(30 * 1000)
#define TURN_MS				1000	/* what a worker has, when owners have to take turns */
#define NO_SLOT_MS			1000
#define SOURCES_LOOK_MS		(60 * 1000) /* net: what saga.source holds */

/* A process that we started. */
typedef struct Child
{
	SagaProcType type;
	Oid			owner;
	BackgroundWorkerHandle *handle;
	TimestampTz started_at;
	bool		asked;			/* to leave */
} Child;

/* Processes of a type, of workers those of one owner, that fail. */
typedef struct Trouble
{
	SagaProcType type;
	Oid			owner;
	int			failures;
	TimestampTz retry_at;
} Trouble;

/* Process-local, in TopMemoryContext. */
static List *children = NIL;
static List *troubles = NIL;
static uint32 roles_seen;
static uint32 lost_seen = 0;	/* unlike the counter's first value: one publisher looks at each start */
static bool slots_were_full = false;
static bool sources_known = false;	/* the three below hold */
static bool sources_enabled;	/* saga.source has one that is not paused */
static uint32 sources_seen;
static TimestampTz sources_seen_at;

/* One turn's view. */
typedef struct Pool
{
	TimestampTz now;
	TimestampTz next;
	SagaProcCopy *procs;		/* workers, publishers, sources */
	int			nprocs;
} Pool;


static Trouble *
find_trouble(SagaProcType type, Oid owner, bool create)
{
	ListCell   *lc;
	Trouble    *trouble;
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
	trouble = palloc0(sizeof(Trouble));
	trouble->type = type;
	trouble->owner = owner;
	troubles = lappend(troubles, trouble);
	MemoryContextSwitchTo(old);
	return trouble;
}

static void
forget_trouble(SagaProcType type, Oid owner)
{
	Trouble    *trouble = find_trouble(type, owner, false);

	if (trouble == NULL)
		return;
	troubles = list_delete_ptr(troubles, trouble);
	pfree(trouble);
}

static void
note_failure(Pool *pool, SagaProcType type, Oid owner)
{
	Trouble    *trouble = find_trouble(type, owner, true);
	long		delay = Min(BACKOFF_MAX_MS, (long) BACKOFF_MIN_MS << Min(trouble->failures, 10));

	trouble->failures++;
	trouble->retry_at = TimestampTzPlusMilliseconds(pool->now, delay);
}

static const SagaProcCopy *
find_proc(const Pool *pool, int pid)
{
	for (int i = 0; i < pool->nprocs; i++)
		if (pool->procs[i].pid == pid)
			return &pool->procs[i];
	return NULL;
}

/*
 * Forgets the children that have ended.  One that ended soon, and was not
 * asked to, has failed: what it does next would fail too.
 */
static void
reap(Pool *pool)
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
		if (!child->asked && !lasted)
			note_failure(pool, child->type, child->owner);
		children = foreach_delete_current(children, lc);
		pfree(child->handle);
		pfree(child);
	}
}

/* Started, but not yet in shared memory. */
static int
count_pending(const Pool *pool, SagaProcType type, Oid owner)
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

static void
look_again(Pool *pool, long ms)
{
	pool->next = Min(pool->next, TimestampTzPlusMilliseconds(pool->now, ms));
}

static bool
start(Pool *pool, SagaProcType type, Oid owner)
{
	SagaProcArgs args = {.dboid = MyDatabaseId,.owner = owner,.probe = -1};
	BackgroundWorkerHandle *handle;
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	bool		started = saga_proc_start(type, &args, &handle);

	if (started)
	{
		Child	   *child = palloc0(sizeof(Child));

		child->type = type;
		child->owner = owner;
		child->handle = handle;
		child->started_at = pool->now;
		children = lappend(children, child);
		look_again(pool, START_POLL_MS);
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
		look_again(pool, NO_SLOT_MS);
	}
	MemoryContextSwitchTo(old);
	return started;
}

static void
ask_leave(Pool *pool, SagaProcCopy *proc)
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

/* ---------- workers ---------- */

typedef struct OwnerCount
{
	Oid			owner;
	int			workers;		/* that stay, and starts that are pending */
	int			idle;
	int			pending;
} OwnerCount;

static OwnerCount
count_owner(const Pool *pool, Oid owner)
{
	OwnerCount	count = {.owner = owner};

	count.pending = count_pending(pool, SAGA_PROC_WORKER, owner);
	count.workers = count.pending;
	for (int i = 0; i < pool->nprocs; i++)
	{
		const SagaProcCopy *proc = &pool->procs[i];

		if (proc->type != SAGA_PROC_WORKER || proc->owner != owner || proc->leaving)
			continue;
		count.workers++;
		if (proc->idle)
			count.idle++;
	}
	return count;
}

static int
count_all(const Pool *pool, SagaProcType type, bool also_leaving)
{
	int			n = count_pending(pool, type, InvalidOid);

	for (int i = 0; i < pool->nprocs; i++)
		if (pool->procs[i].type == type && (also_leaving || !pool->procs[i].leaving))
			n++;
	return n;
}

/*
 * Room for one more: who leaves?  owner InvalidOid: there are too many, any
 * may go.  Otherwise only what the rules at the top of the file allow.
 */
static SagaProcCopy *
choose_leaver(Pool *pool, Oid for_owner)
{
	SagaProcCopy *best = NULL;
	int			best_rank = 0;

	for (int i = 0; i < pool->nprocs; i++)
	{
		SagaProcCopy *proc = &pool->procs[i];
		int			rank;

		if (proc->type != SAGA_PROC_WORKER || proc->leaving || proc->owner == for_owner)
			continue;
		if (proc->idle)
			rank = 4;
		else if (count_owner(pool, proc->owner).workers > 1)
			rank = 3;
		else if (TimestampDifferenceExceeds(proc->started_at, pool->now, TURN_MS))
			rank = 2;
		else
			rank = OidIsValid(for_owner) ? 0 : 1;
		if (rank == 0)
			look_again(pool, TURN_MS / 4);
		else if (best == NULL || rank > best_rank ||
				 (rank == best_rank && proc->started_at < best->started_at))
		{
			best = proc;
			best_rank = rank;
		}
	}
	return best;
}

/* Owners with a ready workflow queue, each once. */
static List *
ready_owners(void)
{
	List	   *owners = NIL;

	LWLockAcquire(saga_shared->lock, LW_SHARED);
	for (int i = 0; i < saga_shared->max_queues; i++)
	{
		SagaQueueSlot *slot = &saga_shared->queues[i];

		if (slot->dboid == MyDatabaseId && slot->kind == SAGA_QUEUE_WORKFLOW &&
			pg_atomic_read_u32(&slot->ready) != 0)
			owners = list_append_unique_oid(owners, slot->owner);
	}
	LWLockRelease(saga_shared->lock);
	return owners;
}

/* True when a worker of this owner may be started now. */
static bool
owner_may_run(Pool *pool, Oid owner)
{
	Trouble    *trouble = find_trouble(SAGA_PROC_WORKER, owner, false);
	MemoryContext old = CurrentMemoryContext;
	const char *problem;

	if (trouble != NULL && trouble->retry_at > pool->now)
	{
		pool->next = Min(pool->next, trouble->retry_at);
		return false;
	}
	saga_begin();
	problem = saga_owner_problem(owner);
	if (problem != NULL)
		problem = MemoryContextStrdup(old, problem);
	saga_commit();
	MemoryContextSwitchTo(old);

	if (saga_note_set(MyDatabaseId, owner, problem))
		ereport(LOG,
				(errmsg("executions wait: %s", problem)));
	if (problem == NULL)
		return true;
	note_failure(pool, SAGA_PROC_WORKER, owner);
	pool->next = Min(pool->next, find_trouble(SAGA_PROC_WORKER, owner, false)->retry_at);
	return false;
}

static void
serve_owner(Pool *pool, Oid owner)
{
	OwnerCount	count = count_owner(pool, owner);
	SagaProcCopy *leaver;

	if (count.idle > 0 || count.pending > 0)
		return;					/* it was woken, or will look when it is there */
	if (count.workers >= saga_workers || !owner_may_run(pool, owner))
		return;
	if (count_all(pool, SAGA_PROC_WORKER, true) < saga_workers)
	{
		(void) start(pool, SAGA_PROC_WORKER, owner);
		return;
	}
	if (count.workers > 0 || count_all(pool, SAGA_PROC_WORKER, false) < saga_workers)
		return;					/* has its part; or somebody leaves already, which wakes us */
	leaver = choose_leaver(pool, owner);
	if (leaver != NULL)
		ask_leave(pool, leaver);
}

static void
serve_workers(Pool *pool)
{
	static int	turn = 0;
	List	   *owners = ready_owners();
	int			n = list_length(owners);

	while (count_all(pool, SAGA_PROC_WORKER, false) > saga_workers)
	{
		SagaProcCopy *leaver = choose_leaver(pool, InvalidOid);

		if (leaver == NULL)
			break;				/* the rest is starting */
		ask_leave(pool, leaver);
	}
	turn++;
	for (int i = 0; i < n; i++)
		serve_owner(pool, list_nth_oid(owners, (turn + i) % n));
}

/* ---------- publishers ---------- */

static bool
has_destinations(void)
{
	bool		result = false;

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
		(pg_atomic_read_u32(&saga_procs->lost_publishers) != lost_seen && has_destinations());
}

static void
serve_publishers(Pool *pool)
{
	uint32		lost = pg_atomic_read_u32(&saga_procs->lost_publishers);
	Trouble    *trouble = find_trouble(SAGA_PROC_PUBLISHER, InvalidOid, false);
	int			running = count_all(pool, SAGA_PROC_PUBLISHER, false);

	for (int i = 0; i < pool->nprocs && running > saga_publishers; i++)
	{
		if (pool->procs[i].type != SAGA_PROC_PUBLISHER || pool->procs[i].leaving)
			continue;
		ask_leave(pool, &pool->procs[i]);
		running--;
	}
	if (running >= saga_publishers || !publisher_is_wanted())
		return;
	for (int i = 0; i < pool->nprocs; i++)
		if (pool->procs[i].type == SAGA_PROC_PUBLISHER && !pool->procs[i].leaving && pool->procs[i].idle)
			return;
	if (count_pending(pool, SAGA_PROC_PUBLISHER, InvalidOid) > 0)
		return;
	if (trouble != NULL && trouble->retry_at > pool->now)
		pool->next = Min(pool->next, trouble->retry_at);
	else if (start(pool, SAGA_PROC_PUBLISHER, InvalidOid))
		lost_seen = lost;
}

/* ---------- sources ---------- */

/* The table is looked at when somebody said that it changed, and now and then. */
static bool
has_enabled_sources(Pool *pool)
{
	uint32		generation = saga_sources_generation();

	if (sources_known && generation == sources_seen &&
		!TimestampDifferenceExceeds(sources_seen_at, pool->now, SOURCES_LOOK_MS))
		return sources_enabled;
	sources_known = false;
	saga_begin();
	if (saga_extension_try_lock())
	{
		SPI_connect();
		PushActiveSnapshot(GetTransactionSnapshot());
		sources_enabled = saga_source_any_enabled();
		PopActiveSnapshot();
		SPI_finish();
		sources_known = true;
	}
	saga_commit();
	sources_seen = generation;
	sources_seen_at = pool->now;
	return sources_known && sources_enabled;
}

/* One process serves all of them, and leaves when there are none. */
static void
serve_sources(Pool *pool)
{
	Trouble    *trouble = find_trouble(SAGA_PROC_SOURCE, InvalidOid, false);
	bool		wanted = saga_sources && has_enabled_sources(pool);

	for (int i = 0; i < pool->nprocs; i++)
		if (pool->procs[i].type == SAGA_PROC_SOURCE)
			return;				/* it leaves by itself, and wakes us then */
	if (!wanted || count_pending(pool, SAGA_PROC_SOURCE, InvalidOid) > 0)
		return;
	if (trouble != NULL && trouble->retry_at > pool->now)
		pool->next = Min(pool->next, trouble->retry_at);
	else
		(void) start(pool, SAGA_PROC_SOURCE, InvalidOid);
}

TimestampTz
saga_pool_turn(void)
{
	Pool		pool = {.now = GetCurrentTimestamp(),.next = DT_NOEND};
	uint32		roles = pg_atomic_read_u32(&saga_procs->roles);
	ListCell   *lc;

	if (roles != roles_seen)
	{
		/* who could not run a moment ago perhaps can now */
		roles_seen = roles;
		foreach(lc, troubles)
			((Trouble *) lfirst(lc))->retry_at = pool.now;
	}
	pool.nprocs = saga_proc_list(SAGA_AT_DATABASE & ~SAGA_AT(SAGA_PROC_COORDINATOR), MyDatabaseId,
								 &pool.procs);
	reap(&pool);
	serve_workers(&pool);
	serve_publishers(&pool);
	serve_sources(&pool);
	return pool.next;
}
