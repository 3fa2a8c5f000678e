/*
 * pool_child.c
 *		The processes that a coordinator has started, and those that run.
 *
 * What runs is read from shared memory, as workers outlive their coordinator;
 * the handles here only tell of starts that are not there yet or failed.
 * Which processes there should be is for pool.c and pool_worker.c to say.
 *
 * A child is remembered from its start to its end; a trouble, from the first
 * failure until a process of its kind has lasted for a while.
 */
#include "postgres.h"

#include "common/guc.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/pool_private.h"

#define START_POLL_MS		1000
#define BACKOFF_MIN_MS		200
#define BACKOFF_MAX_MS		(30 * 1000)
#define NO_SLOT_MS			1000

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
static bool slots_were_full = false;

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

/* A process of this kind does well again. */
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
saga_pool_retry_all(const SagaPool *pool)
{
	ListCell   *lc;

	foreach(lc, troubles)
		((SagaTrouble *) lfirst(lc))->retry_at = pool->now;
}

void
saga_pool_note_failure(SagaPool *pool, SagaProcType type, Oid owner)
{
	SagaTrouble *trouble = saga_pool_find_trouble(type, owner, true);
	long		delay = Min(BACKOFF_MAX_MS, (long) BACKOFF_MIN_MS << Min(trouble->failures, 10));

	trouble->failures++;
	trouble->retry_at = TimestampTzPlusMilliseconds(pool->now, delay);
}

/* The process with this pid, as this turn sees it; NULL: it is not in shared memory yet. */
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
void
saga_pool_reap(SagaPool *pool)
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
		if (!child->asked && !lasted && !saga_worker_proc_was_told(child->start))
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
	/* nobody asks a child whether the extension is there */
	SagaProcArgs args = {.dboid = MyDatabaseId, .owner = owner, .probe = -1};
	BackgroundWorkerHandle *handle;
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	bool		started = saga_worker_proc_start(type, &args, &handle);

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
		pool->missing |= SAGA_MISSING(type, SAGA_MISSING_PLACE);
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
	saga_worker_proc_ask_leave_pid(proc->pid);
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
