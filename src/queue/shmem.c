/*
 * shmem.c
 *		Shared memory: how large it is, and how it begins.
 *
 * What lies in it is the work of slot.c (queues), database.c, proc.c and
 * twophase.c.
 */
#include "postgres.h"

#include "access/twophase.h"
#include "miscadmin.h"
#include "queue/shmem_private.h"
#include "queue/twophase_private.h"
#include "replication/walsender.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

/* Pointers of this process into it. */
SagaShared *saga_shared = NULL;
SagaProcSlot *saga_my_proc = NULL;
SagaDatabaseSlot *saga_my_database_slot = NULL;

/* GUCs */
int			saga_max_queues = 1024;
int			saga_max_databases = 64;
int			saga_max_processes = 64;


/* A power of two with at least half of it free. */
static uint32
index_size(void)
{
	uint32		size = 64;

	while (size < (uint32) saga_max_queues * 2)
		size *= 2;
	return size;
}

/* However many sessions wait, a process that the server has room for gets a slot. */
static int
background_slots(void)
{
	return Max(saga_max_processes, max_worker_processes);
}

/*
 * As many as there can be sessions that run a statement, so that none lacks one:
 * those of clients, of other extensions' processes and of WAL senders.
 * MaxBackends is not known yet when version 14 asks for it.
 */
static int
session_slots(void)
{
	return MaxConnections + max_worker_processes + max_wal_senders;
}

static int
proc_slots(void)
{
	return background_slots() + session_slots();
}

Size
saga_shmem_size(void)
{
	Size		size = MAXALIGN(sizeof(SagaShared));

	size = add_size(size, MAXALIGN(mul_size(saga_max_databases, sizeof(SagaDatabaseSlot))));
	size = add_size(size, MAXALIGN(mul_size(saga_max_queues, sizeof(SagaQueueSlot))));
	size = add_size(size, MAXALIGN(mul_size(index_size(), sizeof(int32))));
	size = add_size(size, MAXALIGN(mul_size(proc_slots(), sizeof(SagaProcSlot))));
	size = add_size(size, MAXALIGN(mul_size(saga_prepared_slots(), sizeof(SagaPrepared))));
	return size;
}

void
saga_shmem_request(void)
{
	RequestAddinShmemSpace(saga_shmem_size());
	RequestNamedLWLockTranche("pg_saga", 1);
}

static void
init_shared(SagaShared *shared)
{
	char	   *next = (char *) shared + MAXALIGN(sizeof(SagaShared));
	int			i;

	memset(shared, 0, saga_shmem_size());
	shared->lock = &(GetNamedLWLockTranche("pg_saga"))->lock;
	shared->started_at = GetCurrentTimestamp();
	shared->max_databases = saga_max_databases;
	shared->max_queues = saga_max_queues;
	shared->max_background = background_slots();
	shared->max_procs = proc_slots();
	shared->first_free = shared->end_procs = shared->max_background;
	shared->max_prepared = saga_prepared_slots();
	shared->prepared_unknown = max_prepared_xacts > 0 ? 1 : 0;
	pg_atomic_init_u32(&shared->waiters, 0);
	saga_clock_share(&shared->clock);
	pg_atomic_init_u32(&shared->stops, 0);

	shared->databases = (SagaDatabaseSlot *) next;
	next += MAXALIGN(shared->max_databases * sizeof(SagaDatabaseSlot));
	shared->queues = (SagaQueueSlot *) next;
	next += MAXALIGN(shared->max_queues * sizeof(SagaQueueSlot));
	shared->queue_index = (int32 *) next;
	shared->queue_index_mask = index_size() - 1;
	next += MAXALIGN(index_size() * sizeof(int32));
	shared->procs = (SagaProcSlot *) next;
	next += MAXALIGN(shared->max_procs * sizeof(SagaProcSlot));
	shared->prepared = (SagaPrepared *) next;

	for (i = 0; i < shared->max_databases; i++)
	{
		SpinLockInit(&shared->databases[i].mutex);
		pg_atomic_init_u32(&shared->databases[i].unlisted[0], 0);
		pg_atomic_init_u32(&shared->databases[i].unlisted[1], 0);
	}
	for (i = 0; i < shared->max_queues; i++)
	{
		SpinLockInit(&shared->queues[i].mutex);
		pg_atomic_init_u32(&shared->queues[i].ready, 0);
		pg_atomic_init_u32(&shared->queues[i].large_due, 0);
		pg_atomic_init_u32(&shared->queues[i].run_us, 0);
	}
	for (i = 0; i <= (int) shared->queue_index_mask; i++)
		shared->queue_index[i] = -1;
	for (i = 0; i < shared->max_procs; i++)
	{
		SagaProcSlot *proc = &shared->procs[i];

		pg_atomic_init_u32(&proc->sleeping, 0);
		pg_atomic_init_u32(&proc->leave, 0);
		pg_atomic_init_u64(&proc->busy_since, 0);
		pg_atomic_init_u64(&proc->step_since, 0);
		pg_atomic_init_u32(&proc->step, 0);
		pg_atomic_init_u64(&proc->cancel, 0);
		pg_atomic_init_u64(&proc->cancelled_at, 0);
		pg_atomic_init_u32(&proc->run, 0);
		pg_atomic_init_u64(&proc->execution[0], 0);
		pg_atomic_init_u64(&proc->execution[1], 0);
		pg_atomic_init_u32(&proc->shown, 0);
		pg_atomic_init_u32(&proc->stop, 0);
		pg_atomic_init_u64(&proc->stopped_at, 0);
		pg_atomic_init_u32(&proc->watching, 0);
		pg_atomic_init_u32(&proc->missing, 0);
		pg_atomic_init_u64(&proc->missing_since, 0);
		pg_atomic_init_u64(&proc->batches, 0);
		pg_atomic_init_u64(&proc->done, 0);
		pg_atomic_init_u64(&proc->errors, 0);
		pg_atomic_init_u64(&proc->last_active, 0);
	}
}

void
saga_shmem_startup(void)
{
	bool		found;

	saga_my_database_slot = NULL;
	saga_my_proc = NULL;
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	saga_shared = ShmemInitStruct("pg_saga", saga_shmem_size(), &found);
	if (!found)
		init_shared(saga_shared);
	LWLockRelease(AddinShmemInitLock);
}
