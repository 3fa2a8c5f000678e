/*
 * pool_private.h
 *		What pool.c and pool_worker.c share.
 */
#ifndef SAGA_POOL_PRIVATE_H
#define SAGA_POOL_PRIVATE_H

#include "worker/procs_private.h"

/* Processes of a type, of workers those of one owner, that fail. */
typedef struct SagaTrouble
{
	SagaProcType type;
	Oid			owner;
	int			failures;
	TimestampTz retry_at;
} SagaTrouble;

/* One turn's view. */
typedef struct SagaPool
{
	TimestampTz now;			/* saga_monotonic_now, as all times of the pool */
	TimestampTz next;
	SagaProcCopy *procs;		/* workers, publishers, sources */
	int			nprocs;
} SagaPool;

/* ---------- pool.c ---------- */

extern SagaTrouble *saga_pool_find_trouble(SagaProcType type, Oid owner, bool create);
extern void saga_pool_note_failure(SagaPool *pool, SagaProcType type, Oid owner);
extern void saga_pool_look_again(SagaPool *pool, long ms);

/* Started, but not yet in shared memory; owner InvalidOid: all. */
extern int	saga_pool_count_pending(const SagaPool *pool, SagaProcType type, Oid owner);
extern int	saga_pool_count_all(const SagaPool *pool, SagaProcType type, bool also_leaving);

/* False: the server has no room for another process. */
extern bool saga_pool_start(SagaPool *pool, SagaProcType type, Oid owner);
extern void saga_pool_ask_leave(SagaPool *pool, SagaProcCopy *proc);

/* ---------- pool_worker.c ---------- */

extern void saga_pool_serve_workers(SagaPool *pool);

#endif							/* SAGA_POOL_PRIVATE_H */
