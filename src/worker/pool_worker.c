/*
 * pool_worker.c
 *		Which workers run in a database: each serves one owner.
 *
 * An owner with a ready queue and no worker gets one; more than one while all
 * of its workers are busy and there is room in pg_saga.workers.  When there is
 * no room for an owner who has none, or none that is not in a long step, an
 * idle worker of somebody else leaves; for one who has none also one of the owner who has most, else the one that has run longest, at
 * the end of its batch: so every owner has a turn.  Owners without a worker
 * come before the others, and among them the one that was given one least
 * lately.
 *
 * A worker that is in a long step does not leave, however long it is asked
 * to.  It overstays, and counts as absent: beside it an owner who has none
 * gets a worker, until there are twice as many as pg_saga.workers.  Then owners
 * take turns in what is left; if nothing is, they wait for a step to end, or
 * for pg_saga.step_timeout, which ends it.
 */
#include "postgres.h"

#include "common/guc.h"
#include "common/statement.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "storage/lwlock.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/pool_private.h"

#define TURN_MS			1000	/* what a worker has, when owners have to take turns */
#define CANCEL_GRACE_MS	2000	/* for a step that was cancelled to end */

/* When an owner was last given a worker. */
typedef struct OwnerTurn
{
	Oid			owner;
	uint64		turn;
} OwnerTurn;

/* Process-local, in TopMemoryContext. */
static List *turns = NIL;
static uint64 last_turn = 0;
static List *unlisted = NIL;	/* owners with something in queues without a slot */
static uint32 unlisted_seen = 0;	/* saga_queue_unlisted() when the table was looked at */
static TimestampTz unlisted_at = 0; /* not before, it is looked at again */

static SagaStatement unlisted_stmt = {
	.sql = "SELECT q.queue_id, q.owner::oid FROM saga.queue q WHERE q.kind = 'w'"
	" AND " SAGA_QUEUE_HAS_CLAIMABLE("q.queue_id") " ORDER BY q.queue_id",
	.read_only = true
};

typedef struct OwnerCount
{
	int			workers;		/* that stay or overstay, and starts that are pending */
	int			idle;
	int			overstaying;
	int			pending;
} OwnerCount;


/* ---------- who was served when ---------- */

/* NULL: the owner was never given a worker. */
static OwnerTurn *
find_turn(Oid owner)
{
	ListCell   *lc;

	foreach(lc, turns)
	{
		if (((OwnerTurn *) lfirst(lc))->owner == owner)
			return lfirst(lc);
	}
	return NULL;
}

/* The owner is given a worker now, so others come before him the next time. */
static void
note_turn(Oid owner)
{
	OwnerTurn  *turn = find_turn(owner);

	if (turn == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		turn = palloc0(sizeof(OwnerTurn));
		turn->owner = owner;
		turns = lappend(turns, turn);
		MemoryContextSwitchTo(old);
	}
	turn->turn = ++last_turn;
}

/* Who was given a worker least lately comes first. */
static int
compare_turns(const ListCell *a, const ListCell *b)
{
	OwnerTurn  *x = find_turn(lfirst_oid(a));
	OwnerTurn  *y = find_turn(lfirst_oid(b));
	uint64		xturn = x ? x->turn : 0;
	uint64		yturn = y ? y->turn : 0;

	return (xturn > yturn) - (xturn < yturn);
}

/* Owners of workflows with messages that have no slot in shared memory. */
static List *
read_unlisted(List *owners)
{
	saga_worker_proc_begin_transaction();
	if (saga_worker_proc_try_lock_extension())
	{
		SagaRows   *rows;
		MemoryContext old;

		PushActiveSnapshot(GetTransactionSnapshot());
		rows = saga_query(&unlisted_stmt);
		old = MemoryContextSwitchTo(TopMemoryContext);
		while (saga_rows_next(rows))
		{
			if (!saga_queue_is_listed(saga_column_int4(rows, "queue_id")))
				owners = list_append_unique_oid(owners, saga_column_oid(rows, "owner"));
		}
		MemoryContextSwitchTo(old);
		PopActiveSnapshot();
	}
	saga_worker_proc_commit();
	return owners;
}

/*
 * Who has some is asked for again, as nothing tells when they were served.
 * A statement per second at most, also when somebody makes more all the time.
 */
static List *
unlisted_owners(SagaPool *pool)
{
	uint32		now = saga_queue_unlisted(SAGA_QUEUE_WORKFLOW);
	bool		changed = now != unlisted_seen;

	if (!changed && unlisted == NIL)
		return NIL;
	if (pool->now >= unlisted_at || (changed && unlisted == NIL))
	{
		unlisted_seen = now;
		list_free(unlisted);
		unlisted = NIL;
		unlisted = read_unlisted(unlisted);
		unlisted_at = TimestampTzPlusMilliseconds(pool->now, SAGA_UNLISTED_LOOK_MS);
	}
	saga_pool_look_again(pool, SAGA_UNLISTED_LOOK_MS);
	return unlisted;
}

/* Owners with a ready workflow queue, each once, who was served least lately first. */
static List *
ready_owners(SagaPool *pool)
{
	List	   *owners = list_copy(unlisted_owners(pool));
	Oid		   *found = palloc(sizeof(Oid) * saga_shared->max_queues);
	int			n = 0;

	/* what can raise is done when the lock is free again */
	LWLockAcquire(saga_shared->lock, LW_SHARED);
	for (int i = 0; i < saga_shared->max_queues; i++)
	{
		SagaQueueSlot *slot = &saga_shared->queues[i];

		if (slot->dboid == MyDatabaseId && slot->kind == SAGA_QUEUE_WORKFLOW &&
			pg_atomic_read_u32(&slot->ready) != 0)
			found[n++] = slot->owner;
	}
	LWLockRelease(saga_shared->lock);
	for (int i = 0; i < n; i++)
		owners = list_append_unique_oid(owners, found[i]);
	pfree(found);
	list_sort(owners, compare_turns);
	return owners;
}

/* ---------- counting ---------- */

/* What workers an owner has. */
static OwnerCount
count_owner(const SagaPool *pool, Oid owner)
{
	OwnerCount	count = {0};

	count.pending = saga_pool_count_pending(pool, SAGA_PROC_WORKER, owner);
	count.workers = count.pending;
	for (int i = 0; i < pool->nprocs; i++)
	{
		const SagaProcCopy *proc = &pool->procs[i];

		if (proc->type != SAGA_PROC_WORKER || proc->owner != owner || (proc->leaving && !proc->overstays))
			continue;
		count.workers++;
		if (proc->overstays)
			count.overstaying++;
		if (proc->idle && !proc->leaving)
			count.idle++;
	}
	return count;
}

/* Workers that are in a long step, of all owners. */
static int
count_overstaying(const SagaPool *pool, bool also_leaving)
{
	int			n = 0;

	for (int i = 0; i < pool->nprocs; i++)
		if (pool->procs[i].overstays && (also_leaving || !pool->procs[i].leaving))
			n++;
	return n;
}

/* Asked, and gone as soon as its batch ends: that wakes us. */
static bool
somebody_leaves(const SagaPool *pool)
{
	for (int i = 0; i < pool->nprocs; i++)
		if (pool->procs[i].type == SAGA_PROC_WORKER && pool->procs[i].leaving && !pool->procs[i].overstays)
			return true;
	return false;
}

/* ---------- who leaves ---------- */

/* The higher rank leaves; of the same rank, the one that has run longer. */
static bool
is_better_leaver(const SagaProcCopy *proc, int rank, const SagaProcCopy *best, int best_rank)
{
	return best == NULL || rank > best_rank || (rank == best_rank && proc->up_us > best->up_us);
}

/*
 * Room for one more: who leaves?  owner InvalidOid: there are too many, any
 * may go.  Otherwise only what the rules at the top of the file allow.
 */
static SagaProcCopy *
choose_leaver(SagaPool *pool, Oid for_owner, bool only_idle)
{
	SagaProcCopy *best = NULL;
	int			best_rank = 0;

	for (int i = 0; i < pool->nprocs; i++)
	{
		SagaProcCopy *proc = &pool->procs[i];
		int			rank;

		if (proc->type != SAGA_PROC_WORKER || proc->leaving || proc->overstays || proc->owner == for_owner)
			continue;
		if (proc->idle)
			rank = 4;
		else if (only_idle)
			continue;
		else if (count_owner(pool, proc->owner).workers > 1)
			rank = 3;
		else if (proc->up_us > (int64) TURN_MS * 1000)
			rank = 2;
		else
			rank = OidIsValid(for_owner) ? 0 : 1;
		if (rank == 0)
			saga_pool_look_again(pool, TURN_MS / 4);
		else if (is_better_leaver(proc, rank, best, best_rank))
		{
			best = proc;
			best_rank = rank;
		}
	}
	return best;
}

/* The worker that has overstayed longest, of the owner who has most: it goes when its step has ended. */
static SagaProcCopy *
choose_overstaying(SagaPool *pool)
{
	SagaProcCopy *best = NULL;
	int			best_rank = 0;

	for (int i = 0; i < pool->nprocs; i++)
	{
		SagaProcCopy *proc = &pool->procs[i];
		int			rank;

		if (!proc->overstays || proc->leaving)
			continue;
		rank = count_owner(pool, proc->owner).workers;
		if (best == NULL || rank > best_rank || (rank == best_rank && proc->busy_us > best->busy_us))
		{
			best = proc;
			best_rank = rank;
		}
	}
	return best;
}

/* A smaller pg_saga.workers, or workers that were absent and are back. */
static void
send_away(SagaPool *pool)
{
	for (;;)
	{
		int			staying = saga_pool_count_all(pool, SAGA_PROC_WORKER, false);
		SagaProcCopy *leaver;

		if (staying <= saga_workers)
			break;
		if (staying - count_overstaying(pool, false) > saga_workers)
			leaver = choose_leaver(pool, InvalidOid, false);
		else
			leaver = choose_overstaying(pool);
		if (leaver == NULL)
			break;				/* the rest is starting */
		saga_pool_ask_leave(pool, leaver);
	}
}

/* ---------- who gets one ---------- */

/* True when a worker of this owner may be started now. */
static bool
owner_may_run(SagaPool *pool, Oid owner)
{
	SagaTrouble *trouble = saga_pool_find_trouble(SAGA_PROC_WORKER, owner, false);
	MemoryContext old = CurrentMemoryContext;
	const char *problem;
	SagaNoted	noted;

	if (trouble != NULL && trouble->retry_at > pool->now)
	{
		pool->next = Min(pool->next, trouble->retry_at);
		return false;
	}
	saga_worker_proc_begin_transaction();
	problem = saga_worker_owner_problem(owner);
	if (problem != NULL)
		problem = MemoryContextStrdup(old, problem);
	saga_worker_proc_commit();
	MemoryContextSwitchTo(old);

	noted = saga_worker_note_set(MyDatabaseId, owner, problem);
	/* one that is not kept is new when there was no trouble before */
	if (noted == SAGA_NOTE_NEW || (noted == SAGA_NOTE_FULL && trouble == NULL))
		ereport(LOG,
				(errmsg("executions wait: %s", problem)));
	if (problem == NULL)
		return true;
	saga_pool_note_failure(pool, SAGA_PROC_WORKER, owner);
	pool->next = Min(pool->next, saga_pool_find_trouble(SAGA_PROC_WORKER, owner, false)->retry_at);
	return false;
}

/* False: the server has no room for another process. */
static bool
start_worker(SagaPool *pool, Oid owner)
{
	if (!saga_pool_start(pool, SAGA_PROC_WORKER, owner))
		return false;
	note_turn(owner);
	return true;
}

/* Asks a worker of somebody else to leave, unless one is leaving already. */
static void
make_room(SagaPool *pool, Oid owner, bool only_idle)
{
	SagaProcCopy *leaver;

	if (somebody_leaves(pool))
		return;
	leaver = choose_leaver(pool, owner, only_idle);
	if (leaver != NULL)
		saga_pool_ask_leave(pool, leaver);
}

/* The first worker of an owner.  False: there is no room for it. */
static bool
serve_without(SagaPool *pool, Oid owner)
{
	OwnerCount	count = count_owner(pool, owner);
	int			all = saga_pool_count_all(pool, SAGA_PROC_WORKER, true);
	int			absent = count_overstaying(pool, true);

	if (count.workers == 0 && saga_workers == 0)
		pool->missing |= SAGA_MISSING(SAGA_PROC_WORKER, SAGA_MISSING_SETTING);
	if (count.workers > 0 || saga_workers == 0 || !owner_may_run(pool, owner))
		return true;
	if ((all < saga_workers || (all - absent < saga_workers && all < 2 * saga_workers)) &&
		start_worker(pool, owner))
		return true;
	make_room(pool, owner, false);
	return false;
}

/* One more for an owner who has some.  False: all of these overstay, and there is no room. */
static bool
serve_with(SagaPool *pool, Oid owner)
{
	OwnerCount	count = count_owner(pool, owner);

	if (count.workers == 0 || count.workers >= saga_workers)
		return true;
	if (count.idle > 0 || count.pending > 0)
		return true;			/* it was woken, or will look when it is there */
	if (saga_pool_count_all(pool, SAGA_PROC_WORKER, true) < saga_workers)
	{
		if (owner_may_run(pool, owner))
			(void) start_worker(pool, owner);
		return true;
	}
	if (count.overstaying < count.workers || !owner_may_run(pool, owner))
		return true;
	make_room(pool, owner, true);
	return false;
}

/* ---------- steps that overstay ---------- */

/* Do all workers, and those that are starting, belong to this owner? */
static bool
is_alone(const SagaPool *pool, Oid owner)
{
	if (saga_pool_count_pending(pool, SAGA_PROC_WORKER, InvalidOid) >
		saga_pool_count_pending(pool, SAGA_PROC_WORKER, owner))
		return false;
	for (int i = 0; i < pool->nprocs; i++)
		if (pool->procs[i].type == SAGA_PROC_WORKER && pool->procs[i].owner != owner)
			return false;
	return true;
}

/*
 * Others wait for a worker, or have one beside those that pg_saga.workers
 * allows.  A step that catches its cancellation is ended with its worker.
 */
static void
cancel_steps(SagaPool *pool, bool crowded)
{
	int64		limit = (int64) saga_step_timeout_ms * 1000;
	int64		grace = (int64) CANCEL_GRACE_MS * 1000;

	if (limit == 0 || (!crowded && saga_pool_count_all(pool, SAGA_PROC_WORKER, true) <= saga_workers))
		return;
	for (int i = 0; i < pool->nprocs; i++)
	{
		SagaProcCopy *proc = &pool->procs[i];
		bool		cancelled = proc->cancel != 0 && (uint32) (proc->cancel >> 1) == proc->step;
		int64		left = cancelled ? grace - proc->cancelled_us : limit - proc->step_us;

		if (proc->type != SAGA_PROC_WORKER || proc->step_us < 0 || (!crowded && is_alone(pool, proc->owner)))
			continue;
		if (left > 0)
		{
			saga_pool_look_again(pool, (long) (left / 1000) + 1);
			continue;
		}
		saga_worker_proc_cancel_step(proc, cancelled);
		saga_pool_look_again(pool, CANCEL_GRACE_MS);
	}
}

/* The execution was stopped, and its step goes on though it was cancelled: it is ended with its worker. */
static void
end_stopped(SagaPool *pool)
{
	int64		grace = (int64) CANCEL_GRACE_MS * 1000;

	for (int i = 0; i < pool->nprocs; i++)
	{
		SagaProcCopy *proc = &pool->procs[i];

		if (proc->type != SAGA_PROC_WORKER || proc->step_us < 0 || proc->stopped_us < 0)
			continue;
		if (proc->stopped_us > grace)
			saga_worker_proc_cancel_step(proc, true);
		saga_pool_look_again(pool, CANCEL_GRACE_MS / 2);
	}
}

/*
 * Workers that are busy will be back in a moment, or overstay.  Until we look
 * whether they do, nobody has to wake us for their owners (saga_queue_push_key).
 * Nor does one that is starting, when it is there and perhaps may go at once.
 */
static void
watch_busy(SagaPool *pool, const List *owners, bool all)
{
	if (owners != NIL && saga_pool_count_pending(pool, SAGA_PROC_WORKER, InvalidOid) > 0)
		saga_pool_look_again(pool, saga_queue_overstay_ms());
	for (int i = 0; i < pool->nprocs; i++)
	{
		const SagaProcCopy *proc = &pool->procs[i];

		if (proc->type != SAGA_PROC_WORKER || proc->idle || proc->overstays ||
			!(all || list_member_oid(owners, proc->owner)))
			continue;
		pg_atomic_write_u32(&saga_my_proc->watching, 1);
		saga_pool_look_again(pool, Max(1, saga_queue_overstay_ms() - (long) (Max(proc->busy_us, 0) / 1000) + 1));
	}
}

void
saga_pool_serve_workers(SagaPool *pool)
{
	List	   *owners;
	bool		crowded = false;
	bool		waits = false;
	ListCell   *lc;

	/* before the look: whoever makes a queue ready after it tells us */
	(void) pg_atomic_exchange_u32(&saga_my_proc->watching, 0);
	owners = ready_owners(pool);
	saga_worker_note_keep(MyDatabaseId, owners);
	send_away(pool);
	foreach(lc, owners)
		crowded |= !serve_without(pool, lfirst_oid(lc));
	foreach(lc, owners)
		waits |= !serve_with(pool, lfirst_oid(lc));
	cancel_steps(pool, crowded);
	end_stopped(pool);
	watch_busy(pool, owners, crowded || waits);
}
