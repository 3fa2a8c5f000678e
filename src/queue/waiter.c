/*
 * waiter.c
 *		Sessions that wait for the end of an execution, and who tells them.
 *
 * A transaction notes the executions that it ends.  Its commit looks at one
 * number in shared memory, how many sessions wait; mostly that is none, and
 * nothing else is done.  No end is missed:
 *
 *	who waits	counts himself, says for what, barrier, looks with a new snapshot
 *	who ends	is visible as committed, barrier, reads the count and for what
 *
 * One of the two sees the other.  Everything here but the first note may be
 * called from callbacks at the end of a transaction: nothing raises, nothing
 * allocates.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "queue/shmem_private.h"

/* More in one transaction (somebody stops thousands): all who wait in this database look again. */
#define MAX_NOTED	64

/* Of the current transaction.  What a savepoint takes back stays noted: who is woken looks. */
static pg_uuid_t noted[MAX_NOTED];
static int	nnoted = 0;
static bool noted_more = false;


/* ---------- who waits ---------- */

bool
saga_waiter_attach(const pg_uuid_t *execution_id)
{
	uint64		halves[2];

	if (saga_my_proc != NULL || saga_proc_attach(SAGA_PROC_WAITER, MyDatabaseId, GetUserId(), 0) == NULL)
		return false;
	memcpy(halves, execution_id->data, sizeof(halves));
	pg_atomic_write_u64(&saga_my_proc->execution[0], halves[0]);
	pg_atomic_write_u64(&saga_my_proc->execution[1], halves[1]);
	pg_memory_barrier();
	return true;
}

/* ---------- who ends executions ---------- */

void
saga_waiter_note_ended(const pg_uuid_t *execution_id)
{
	if (nnoted < MAX_NOTED)
		noted[nnoted++] = *execution_id;
	else
		noted_more = true;
}

static int
compare(const void *a, const void *b)
{
	return saga_uuid_cmp(a, b);
}

/* Caller holds the lock. */
static bool
is_noted(SagaProcSlot *proc)
{
	uint64		halves[2] = {pg_atomic_read_u64(&proc->execution[0]), pg_atomic_read_u64(&proc->execution[1])};
	pg_uuid_t	id;

	memcpy(id.data, halves, sizeof(halves));
	return noted_more || bsearch(&id, noted, nnoted, sizeof(pg_uuid_t), compare) != NULL;
}

static void
wake_waiters(void)
{
	qsort(noted, nnoted, sizeof(pg_uuid_t), compare);
	LWLockAcquire(saga_shared->lock, LW_SHARED);
	for (int i = saga_shared->max_background; i < saga_shared->end_procs; i++)
	{
		SagaProcSlot *proc = &saga_shared->procs[i];

		if (proc->type == SAGA_PROC_WAITER && proc->dboid == MyDatabaseId && is_noted(proc))
			SetLatch(&proc->proc->procLatch);
	}
	LWLockRelease(saga_shared->lock);
}

void
saga_waiter_end_transaction(bool commit)
{
	if (nnoted == 0)
		return;
	if (commit && saga_shared != NULL)
	{
		pg_memory_barrier();
		if (pg_atomic_read_u32(&saga_shared->waiters) != 0)
			wake_waiters();
	}
	nnoted = 0;
	noted_more = false;
}

bool
saga_waiter_prepare_transaction(void)
{
	bool		any = nnoted > 0;

	nnoted = 0;
	noted_more = false;
	return any;
}
