/*
 * pool_private.h
 *		The workers, publishers and sources of one database, for its coordinator.
 */
#ifndef SAGA_POOL_PRIVATE_H
#define SAGA_POOL_PRIVATE_H

#include "datatype/timestamp.h"
#include "worker/procs_private.h"

/* Processes of a type, of workers those of one owner, that fail. */
typedef struct SagaTrouble
{
	SagaProcType type;
	Oid			owner;
	int			failures;
	TimestampTz retry_at;		/* no other is started before; monotonic */
} SagaTrouble;

/* One turn's view. */
typedef struct SagaPool
{
	TimestampTz now;			/* saga_monotonic_now, as all times of the pool */
	TimestampTz next;			/* when the coordinator is to look again */
	SagaProcCopy *procs;		/* workers, publishers, sources */
	int			nprocs;
	uint32		missing;		/* SAGA_MISSING: what could not be started and should be */
} SagaPool;

/* ---------- pool_child.c ---------- */

/* What is known of failures; NULL: nothing, and it was not to be made. */
extern SagaTrouble *saga_pool_find_trouble(SagaProcType type, Oid owner, bool create);
extern void saga_pool_note_failure(SagaPool *pool, SagaProcType type, Oid owner);

/* Those that failed may be started again at once. */
extern void saga_pool_retry_all(const SagaPool *pool);

/* Takes note of the processes that have ended: those that failed have a pause. */
extern void saga_pool_reap(SagaPool *pool);

/* The next turn comes after so long at the latest. */
extern void saga_pool_look_again(SagaPool *pool, long ms);

/* Started, but not yet in shared memory; owner InvalidOid: all. */
extern int	saga_pool_count_pending(const SagaPool *pool, SagaProcType type, Oid owner);

/* Those that run and those that are pending. */
extern int	saga_pool_count_all(const SagaPool *pool, SagaProcType type, bool also_leaving);

/* False: the server has no room for another process. */
extern bool saga_pool_start(SagaPool *pool, SagaProcType type, Oid owner);

/* It ends as soon as what it does is done. */
extern void saga_pool_ask_leave(SagaPool *pool, SagaProcCopy *proc);

/* ---------- pool_worker.c ---------- */

/* Starts and ends workers, so that each owner with something to do has his turn. */
extern void saga_pool_serve_workers(SagaPool *pool);

/* ---------- pool.c ---------- */

/*
 * Starts what is missing, asks to leave what is too many.  Called outside a
 * transaction.  Returns when to look again at the latest.
 */
extern TimestampTz saga_pool_turn(void);

#endif							/* SAGA_POOL_PRIVATE_H */
