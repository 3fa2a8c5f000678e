/*
 * proc.c
 *		The processes that can be woken, and waking them.
 *
 * Everything here is called from commit callbacks too: nothing raises and
 * nothing allocates.
 */
#include "postgres.h"

#include <signal.h>

#include "common/guc.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "queue/shmem_private.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"

static bool exit_registered = false;
static uint32 stop_seen = 0;	/* of saga_my_proc, by the signal's handler */


static void
detach_at_exit(int code, Datum arg)
{
	saga_proc_detach();
}

static bool
is_session(SagaProcType type)
{
	return type == SAGA_PROC_RECEIVER || type == SAGA_PROC_DRAIN || type == SAGA_PROC_WAITER;
}

/* Caller holds the lock for himself. */
static void
took_session_slot(int i)
{
	saga_shared->first_free = i + 1;
	saga_shared->end_procs = Max(saga_shared->end_procs, i + 1);
}

/* Caller holds the lock for himself; the slot is free by now. */
static void
left_session_slot(int i)
{
	saga_shared->first_free = Min(saga_shared->first_free, i);
	while (saga_shared->end_procs > saga_shared->max_background &&
		   saga_shared->procs[saga_shared->end_procs - 1].type == SAGA_PROC_FREE)
		saga_shared->end_procs--;
}

SagaProcSlot *
saga_proc_attach(SagaProcType type, Oid dboid, Oid owner, int32 queue_id)
{
	bool		session = is_session(type);
	int			end;
	int			i;

	Assert(saga_my_proc == NULL);
	if (saga_shared == NULL)
		return NULL;
	end = session ? saga_shared->max_procs : saga_shared->max_background;
	if (!exit_registered)
	{
		before_shmem_exit(detach_at_exit, (Datum) 0);
		exit_registered = true;
	}
	LWLockAcquire(saga_shared->lock, LW_EXCLUSIVE);
	for (i = session ? saga_shared->first_free : 0; i < end; i++)
	{
		SagaProcSlot *proc = &saga_shared->procs[i];

		if (proc->type != SAGA_PROC_FREE)
			continue;
		if (session)
			took_session_slot(i);
		proc->type = type;
		proc->dboid = dboid;
		proc->owner = owner;
		proc->queue_id = queue_id;
		proc->pid = MyProcPid;
		proc->proc = MyProc;
		proc->started_at = GetCurrentTimestamp();
		proc->begun = saga_monotonic_us();
		pg_atomic_write_u32(&proc->sleeping, 0);
		pg_atomic_write_u32(&proc->leave, 0);
		pg_atomic_write_u64(&proc->busy_since, 0);
		pg_atomic_write_u64(&proc->step_since, 0);
		pg_atomic_write_u64(&proc->cancel, 0);
		pg_atomic_write_u64(&proc->execution[0], 0);
		pg_atomic_write_u64(&proc->execution[1], 0);
		pg_atomic_write_u32(&proc->stop, 0);
		stop_seen = 0;
		pg_atomic_write_u32(&proc->watching, 0);
		pg_atomic_write_u32(&proc->missing, 0);
		pg_atomic_write_u64(&proc->batches, 0);
		pg_atomic_write_u64(&proc->done, 0);
		pg_atomic_write_u64(&proc->errors, 0);
		pg_atomic_write_u64(&proc->last_active, (uint64) proc->started_at);
		if (type == SAGA_PROC_WAITER)
			pg_atomic_fetch_add_u32(&saga_shared->waiters, 1);
		saga_my_proc = proc;
		break;
	}
	LWLockRelease(saga_shared->lock);
	return saga_my_proc;
}

static bool
serves(const SagaProcSlot *proc, const SagaQueueKey *key)
{
	if (proc->dboid != key->dboid)
		return false;
	switch (key->kind)
	{
		case SAGA_QUEUE_WORKFLOW:
			return proc->type == SAGA_PROC_WORKER && proc->owner == key->owner;
		case SAGA_QUEUE_DESTINATION:
			return proc->type == SAGA_PROC_PUBLISHER;
		case SAGA_QUEUE_PLAIN:
			return proc->type == SAGA_PROC_RECEIVER && proc->queue_id == key->queue_id;
	}
	return false;
}

/* Queues without a slot are looked for again by whoever starts this kind of process. */
static void
hand_on(const SagaProcSlot *left)
{
	int			i;

	if (left->type == SAGA_PROC_RECEIVER)
	{
		SagaQueueKey key = {left->dboid, left->queue_id, left->owner, SAGA_QUEUE_PLAIN};

		saga_queue_push_key(&key, NULL);
		return;
	}
	for (i = 0; i < saga_shared->max_queues; i++)
	{
		SagaQueueSlot *slot = &saga_shared->queues[i];
		SagaQueueKey key = {slot->dboid, slot->queue_id, slot->owner, slot->kind};

		if (serves(left, &key) && pg_atomic_read_u32(&slot->ready) != 0)
			saga_queue_push_key(&key, NULL);
	}
}

/*
 * What this process was woken for, or left ready because it meant to go on,
 * passes to the next one.
 */
void
saga_proc_detach(void)
{
	SagaProcSlot *proc = saga_my_proc;
	SagaProcSlot left;

	if (proc == NULL)
		return;
	saga_my_proc = NULL;
	LWLockAcquire(saga_shared->lock, LW_EXCLUSIVE);
	left = *proc;
	proc->type = SAGA_PROC_FREE;
	proc->dboid = InvalidOid;
	proc->pid = 0;
	proc->proc = NULL;
	pg_atomic_write_u32(&proc->sleeping, 0);
	if (is_session(left.type))
		left_session_slot((int) (proc - saga_shared->procs));
	if (left.type == SAGA_PROC_WAITER)
		pg_atomic_fetch_sub_u32(&saga_shared->waiters, 1);
	LWLockRelease(saga_shared->lock);

	if (left.type >= SAGA_PROC_WORKER && left.type != SAGA_PROC_WAITER)
		hand_on(&left);
}

/* ---------- what a process is busy with ---------- */

/* A batch takes pg_saga.batch_time, and as long as its last execution and its commit take. */
#define OVERSTAY_BATCHES	2
#define OVERSTAY_MIN_MS		100

void
saga_proc_busy_begin(void)
{
	if (saga_my_proc != NULL)
		pg_atomic_write_u64(&saga_my_proc->busy_since, saga_monotonic_us());
}

void
saga_proc_busy_end(void)
{
	saga_proc_step_end();
	if (saga_my_proc != NULL)
		pg_atomic_write_u64(&saga_my_proc->busy_since, 0);
}

/* The number is out before the time: whoever sees the time does not take it for the step before. */
void
saga_proc_step_begin(void)
{
	if (saga_my_proc == NULL)
		return;
	pg_atomic_fetch_add_u32(&saga_my_proc->step, 1);
	pg_atomic_write_u64(&saga_my_proc->step_since, saga_monotonic_us());
}

void
saga_proc_step_end(void)
{
	if (saga_my_proc != NULL)
		pg_atomic_write_u64(&saga_my_proc->step_since, 0);
}

/* The time is out before what it is of. */
void
saga_proc_set_missing(uint32 missing)
{
	if (saga_my_proc == NULL || pg_atomic_read_u32(&saga_my_proc->missing) == missing)
		return;
	pg_atomic_write_u64(&saga_my_proc->missing_since, (uint64) GetCurrentTimestamp());
	pg_write_barrier();
	pg_atomic_write_u32(&saga_my_proc->missing, missing);
}

/* ---------- the execution that a process runs ---------- */

static void
publish_run(const uint64 *halves)
{
	(void) pg_atomic_fetch_add_u32(&saga_my_proc->run, 1);
	pg_atomic_write_u64(&saga_my_proc->execution[0], halves[0]);
	pg_atomic_write_u64(&saga_my_proc->execution[1], halves[1]);
	(void) pg_atomic_fetch_add_u32(&saga_my_proc->run, 1);
}

void
saga_proc_run_begin(const pg_uuid_t *execution_id)
{
	uint64		halves[2];

	memcpy(halves, execution_id->data, sizeof(halves));
	if (saga_my_proc != NULL)
		publish_run(halves);
}

void
saga_proc_run_end(void)
{
	static const uint64 none[2] = {0, 0};

	if (saga_my_proc != NULL)
		publish_run(none);
}

/* The number of the run if it is of this execution, else 0. */
static uint32
run_of(SagaProcSlot *proc, const uint64 *halves)
{
	uint32		run = pg_atomic_read_u32(&proc->run);
	bool		same;

	pg_read_barrier();
	same = pg_atomic_read_u64(&proc->execution[0]) == halves[0] &&
		pg_atomic_read_u64(&proc->execution[1]) == halves[1];
	pg_read_barrier();
	return same && run % 2 == 0 && run == pg_atomic_read_u32(&proc->run) ? run : 0;
}

/* Who claimed it and begins the run after we looked sees that "stops" has changed since: a full barrier. */
bool
saga_proc_stop_execution(const pg_uuid_t *execution_id)
{
	uint64		halves[2];
	bool		found = false;
	int			i;

	if (saga_shared == NULL)
		return false;
	memcpy(halves, execution_id->data, sizeof(halves));
	(void) pg_atomic_fetch_add_u32(&saga_shared->stops, 1);
	LWLockAcquire(saga_shared->lock, LW_SHARED);
	for (i = 0; i < saga_shared->end_procs; i++)
	{
		SagaProcSlot *proc = &saga_shared->procs[i];
		uint32		run;

		if (proc->dboid != MyDatabaseId || (proc->type != SAGA_PROC_WORKER && proc->type != SAGA_PROC_DRAIN))
			continue;
		run = run_of(proc, halves);
		if (run == 0)
			continue;
		found = true;
		if (pg_atomic_read_u32(&proc->stop) == run)
			continue;
		pg_atomic_write_u64(&proc->stopped_at, saga_monotonic_us());
		pg_atomic_write_u32(&proc->stop, run);
		(void) kill(proc->pid, SIGINT);
	}
	LWLockRelease(saga_shared->lock);
	return found;
}

int
saga_proc_list_runs(pg_uuid_t **execution_ids)
{
	int			n = 0;
	int			i;

	if (saga_shared == NULL)
		return 0;
	*execution_ids = palloc(mul_size(saga_shared->max_procs, sizeof(pg_uuid_t)));
	LWLockAcquire(saga_shared->lock, LW_SHARED);
	for (i = 0; i < saga_shared->end_procs; i++)
	{
		SagaProcSlot *proc = &saga_shared->procs[i];
		uint64		halves[2] = {pg_atomic_read_u64(&proc->execution[0]), pg_atomic_read_u64(&proc->execution[1])};

		if (proc->dboid != MyDatabaseId || (proc->type != SAGA_PROC_WORKER && proc->type != SAGA_PROC_DRAIN) ||
			(halves[0] == 0 && halves[1] == 0) || run_of(proc, halves) == 0)
			continue;
		memcpy((*execution_ids)[n++].data, halves, sizeof(halves));
	}
	LWLockRelease(saga_shared->lock);
	return n;
}

bool
saga_proc_is_stopped(bool *ours)
{
	uint32		stop;

	*ours = false;
	if (saga_my_proc == NULL)
		return false;
	stop = pg_atomic_read_u32(&saga_my_proc->stop);
	*ours = stop != stop_seen && stop != 0;
	stop_seen = stop;
	return *ours && stop == pg_atomic_read_u32(&saga_my_proc->run);
}

long
saga_queue_overstay_ms(void)
{
	return Max(OVERSTAY_MIN_MS, OVERSTAY_BATCHES * saga_batch_time_ms);
}

bool
saga_queue_busy_overstays(uint64 busy_us)
{
	return busy_us > (uint64) saga_queue_overstay_ms() * 1000;
}

static bool
overstays(SagaProcSlot *proc)
{
	uint64		since = pg_atomic_read_u64(&proc->busy_since);
	uint64		now;

	if (since == 0)
		return false;
	now = saga_monotonic_us();
	return now > since && saga_queue_busy_overstays(now - since);
}

void
saga_proc_prepare_sleep(void)
{
	if (saga_my_proc != NULL)
		(void) pg_atomic_exchange_u32(&saga_my_proc->sleeping, 1);
}

void
saga_proc_end_sleep(void)
{
	if (saga_my_proc != NULL)
		(void) pg_atomic_exchange_u32(&saga_my_proc->sleeping, 0);
}

/* Caller holds the lock, so that proc->proc stays. */
static void
wake(SagaProcSlot *proc)
{
	(void) pg_atomic_exchange_u32(&proc->sleeping, 0);
	SetLatch(&proc->proc->procLatch);
}

/*
 * Those who serve a workflow are busy, and may still be in an hour.  The
 * coordinator sees to it, and is told so once until it has looked.
 */
static void
watch(SagaProcSlot *coordinator)
{
	if (pg_atomic_read_u32(&coordinator->watching) == 0 &&
		pg_atomic_exchange_u32(&coordinator->watching, 1) == 0)
		wake(coordinator);
}

/* Caller holds the lock. */
static void
count_unlisted(const SagaQueueKey *key)
{
	int			i;

	for (i = 0; i < saga_shared->max_databases && key->kind != SAGA_QUEUE_PLAIN; i++)
	{
		SagaDatabaseSlot *db = &saga_shared->databases[i];

		if (db->dboid == key->dboid)
			pg_atomic_fetch_add_u32(&db->unlisted[key->kind == SAGA_QUEUE_DESTINATION], 1);
	}
}

void
saga_queue_set_ready(const SagaQueueKey *key)
{
	SagaQueueSlot *slot;

	LWLockAcquire(saga_shared->lock, LW_SHARED);
	slot = saga_queue_slot_find(key->dboid, key->queue_id);
	if (slot != NULL)
		(void) pg_atomic_exchange_u32(&slot->ready, 1);
	else
		count_unlisted(key);
	LWLockRelease(saga_shared->lock);
}

/*
 * Messages of a plain queue wait for a session to come; of those in
 * saga.receive() one is woken.  Caller holds the lock.
 */
static void
wake_receiver(const SagaQueueKey *key)
{
	for (int i = saga_shared->max_background; i < saga_shared->end_procs; i++)
	{
		SagaProcSlot *proc = &saga_shared->procs[i];

		if (!serves(proc, key) || pg_atomic_exchange_u32(&proc->sleeping, 0) == 0)
			continue;
		SetLatch(&proc->proc->procLatch);
		return;
	}
}

/* For a workflow or destination.  Caller holds the lock. */
static void
wake_background(const SagaQueueKey *key)
{
	SagaProcSlot *coordinator = NULL;
	SagaProcSlot *launcher = NULL;
	bool		served = false;
	bool		woken = false;
	int			busy = 0;

	for (int i = 0; i < saga_shared->max_background; i++)
	{
		SagaProcSlot *proc = &saga_shared->procs[i];

		if (proc->type == SAGA_PROC_LAUNCHER)
			launcher = proc;
		else if (proc->type == SAGA_PROC_COORDINATOR && proc->dboid == key->dboid)
			coordinator = proc;
		else if (serves(proc, key))
		{
			if (pg_atomic_exchange_u32(&proc->sleeping, 0) == 0)
			{
				served = served || !overstays(proc);
				busy++;
				continue;
			}
			SetLatch(&proc->proc->procLatch);
			woken = true;
			break;
		}
	}

	/*
	 * there are to be no more publishers: the coordinator has nothing to do
	 * for it
	 */
	if (key->kind == SAGA_QUEUE_DESTINATION && busy > 0 && busy >= saga_publishers)
		served = true;
	if (!woken && !served)
	{
		if (coordinator != NULL)
			wake(coordinator);
		else if (launcher != NULL)
			wake(launcher);
	}
	else if (!woken && key->kind == SAGA_QUEUE_WORKFLOW && coordinator != NULL)
		watch(coordinator);
}

/* Caller holds the lock. */
static void
wake_server(const SagaQueueKey *key)
{
	if (key->kind == SAGA_QUEUE_PLAIN)
		wake_receiver(key);
	else
		wake_background(key);
}

void
saga_queue_push_key(const SagaQueueKey *noted, const pg_uuid_t *mark)
{
	SagaQueueKey key = *noted;
	SagaQueueSlot *slot;

	LWLockAcquire(saga_shared->lock, LW_SHARED);
	slot = saga_queue_slot_find(key.dboid, key.queue_id);
	if (slot != NULL && mark != NULL)
		saga_slot_lower(slot, mark);
	/* it may have been given away since it was noted */
	if (slot != NULL)
		key.owner = slot->owner;

	/* a full barrier: the news is out before any sleeping flag is read */
	if (slot != NULL)
		(void) pg_atomic_exchange_u32(&slot->ready, 1);
	else
		count_unlisted(&key);
	wake_server(&key);
	LWLockRelease(saga_shared->lock);
}

bool
saga_queue_hand_over(const SagaQueueKey *key)
{
	SagaQueueSlot *slot;

	LWLockAcquire(saga_shared->lock, LW_SHARED);
	slot = saga_queue_slot_find(key->dboid, key->queue_id);
	if (slot != NULL)
		pg_atomic_write_u32(&slot->large_due, 1);
	LWLockRelease(saga_shared->lock);
	if (slot != NULL)
		saga_queue_push_key(key, NULL);
	return slot != NULL;
}

bool
saga_queue_take_over(int32 queue_id)
{
	SagaQueueSlot *slot;
	bool		taken = false;

	if (saga_shared == NULL)
		return false;
	LWLockAcquire(saga_shared->lock, LW_SHARED);
	slot = saga_queue_slot_find(MyDatabaseId, queue_id);
	if (slot != NULL && pg_atomic_read_u32(&slot->large_due) != 0)
		taken = pg_atomic_exchange_u32(&slot->large_due, 0) != 0;
	LWLockRelease(saga_shared->lock);
	return taken;
}

void
saga_queue_wake_key(const SagaQueueKey *key)
{
	LWLockAcquire(saga_shared->lock, LW_SHARED);
	wake_server(key);
	LWLockRelease(saga_shared->lock);
}

void
saga_wake_type(SagaProcType type, Oid dboid)
{
	int			end;

	if (saga_shared == NULL)
		return;
	LWLockAcquire(saga_shared->lock, LW_SHARED);
	end = is_session(type) ? saga_shared->end_procs : saga_shared->max_background;
	for (int i = 0; i < end; i++)
	{
		SagaProcSlot *proc = &saga_shared->procs[i];

		if (proc->type == type && (!OidIsValid(dboid) || proc->dboid == dboid))
			wake(proc);
	}
	LWLockRelease(saga_shared->lock);
}
