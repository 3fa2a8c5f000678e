/*
 * pool.c
 *		Which workers, publishers and sources run in a database: the turn of its
 *		coordinator, and what it says of publishers and sources.  Which workers
 *		there should be is pool_worker.c's.
 *
 * Begin reading with saga_pool_turn.  A turn takes one picture of the
 * processes from shared memory and decides by it; what it starts or asks to
 * leave is noted in the picture, so that nothing is decided twice.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/guc.h"
#include "miscadmin.h"
#include "source/source.h"
#include "storage/lwlock.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/pool_private.h"

#define SOURCES_LOOK_MS		(60 * 1000) /* net: what saga.source holds */

/* Process-local. */
static uint32 roles_seen;
static uint32 lost_seen = 0;	/* unlike the counter's first value: one publisher looks at each start */
static uint32 unlisted_seen = 0;	/* saga_queue_unlisted() when a publisher was started */
static bool sources_known = false;	/* the three below hold */
static bool sources_enabled;	/* saga.source has one that is not paused */
static uint32 sources_seen;
static TimestampTz sources_seen_at;

/* ---------- publishers ---------- */

/* Does this database have a destination at all? */
static bool
has_destinations(void)
{
	bool		result = saga_queue_unlisted(SAGA_QUEUE_DESTINATION) != 0;

	LWLockAcquire(saga_shared->lock, LW_SHARED);
	for (int i = 0; i < saga_shared->max_queues && !result; i++)
		result = saga_shared->queues[i].dboid == MyDatabaseId &&
			saga_shared->queues[i].kind == SAGA_QUEUE_DESTINATION;
	LWLockRelease(saga_shared->lock);
	return result;
}

/* Is there a destination that something may wait for? */
static bool
has_ready_destinations(void)
{
	int32		queue_id;

	return saga_queue_ready_queues(InvalidOid, SAGA_QUEUE_DESTINATION, &queue_id, 1) > 0 ||
		saga_queue_unlisted(SAGA_QUEUE_DESTINATION) != unlisted_seen;
}

/*
 * A queue is ready, or a publisher ended that may have had requests in
 * flight: the next one sends them again at once, not when their lease is over.
 */
static bool
publisher_is_wanted(void)
{
	return has_ready_destinations() ||
		(pg_atomic_read_u32(&saga_procs->lost_publishers) != lost_seen && has_destinations());
}

/* Starts a publisher when there is work and none is idle, and sends away what is too many. */
static void
serve_publishers(SagaPool *pool)
{
	uint32		lost = pg_atomic_read_u32(&saga_procs->lost_publishers);
	uint32		unlisted = saga_queue_unlisted(SAGA_QUEUE_DESTINATION);
	SagaTrouble *trouble = saga_pool_find_trouble(SAGA_PROC_PUBLISHER, InvalidOid, false);
	int			running = saga_pool_count_all(pool, SAGA_PROC_PUBLISHER, false);

	for (int i = 0; i < pool->nprocs && running > saga_publishers; i++)
	{
		if (pool->procs[i].type != SAGA_PROC_PUBLISHER || pool->procs[i].leaving)
			continue;
		saga_pool_ask_leave(pool, &pool->procs[i]);
		running--;
	}
	if (saga_publishers == 0 && has_ready_destinations())
		pool->missing |= SAGA_MISSING(SAGA_PROC_PUBLISHER, SAGA_MISSING_SETTING);
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
	uint32		generation = saga_queue_sources_generation();

	if (sources_known && generation == sources_seen &&
		!TimestampDifferenceExceeds(sources_seen_at, pool->now, SOURCES_LOOK_MS))
		return sources_enabled;
	sources_known = false;
	saga_worker_proc_begin_transaction();
	if (saga_worker_proc_try_lock_extension())
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		sources_enabled = saga_source_any_enabled();
		PopActiveSnapshot();
		sources_known = true;
	}
	saga_worker_proc_commit();
	sources_seen = generation;
	sources_seen_at = pool->now;
	return sources_known && sources_enabled;
}

/* One process serves all of them, and leaves when there are none. */
static void
serve_sources(SagaPool *pool)
{
	SagaTrouble *trouble = saga_pool_find_trouble(SAGA_PROC_SOURCE, InvalidOid, false);
	bool		wanted = has_enabled_sources(pool);

	for (int i = 0; i < pool->nprocs; i++)
		if (pool->procs[i].type == SAGA_PROC_SOURCE)
			return;				/* it leaves by itself, and wakes us then */
	if (wanted && !saga_sources)
		pool->missing |= SAGA_MISSING(SAGA_PROC_SOURCE, SAGA_MISSING_SETTING);
	if (!wanted || !saga_sources || saga_pool_count_pending(pool, SAGA_PROC_SOURCE, InvalidOid) > 0)
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

	if (roles != roles_seen)
	{
		/* who could not run a moment ago perhaps can now */
		roles_seen = roles;
		saga_pool_retry_all(&pool);
	}
	pool.nprocs = saga_worker_proc_list(SAGA_AT_DATABASE & ~SAGA_AT(SAGA_PROC_COORDINATOR), MyDatabaseId,
										&pool.procs);
	saga_pool_reap(&pool);
	saga_pool_serve_workers(&pool);
	serve_publishers(&pool);
	serve_sources(&pool);
	saga_proc_set_missing(pool.missing);
	return pool.next;
}
