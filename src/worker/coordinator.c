/*
 * coordinator.c
 *		One process per database that has the extension: timers, sweeps,
 *		retention, and starting the processes that do the work (pool.c).
 *
 * Its session is the bootstrap superuser's, so it runs no user code: no step,
 * no expression of a definition, no trigger of a user's.  It sleeps on its
 * latch; whoever makes a timer earlier, finds no worker for a queue, creates
 * or drops the extension, or ends as one of our processes, sets it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/guc.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/pool.h"
#include "worker/procs.h"

#define TIMERS_AT_ONCE		1000
#define WAIT_MAX_MS			(60 * 1000) /* net */
#define TROUBLE_MIN_MS		500 /* after an error */
#define TROUBLE_MAX_MS		(30 * 1000)

/* Process-local. */
static bool first_sweep = true;
static uint32 suspects_seen;


/* The workers would find out too, later. */
static void
leave_without_extension(void)
{
	saga_proc_ask_leave(SAGA_AT_DATABASE & ~SAGA_AT(SAGA_PROC_COORDINATOR), MyDatabaseId);
	proc_exit(0);
}

static void
begin_work(void)
{
	saga_begin();
	if (!saga_extension_try_lock())
		leave_without_extension();
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
}

static void
end_work(void)
{
	PopActiveSnapshot();
	SPI_finish();
	saga_commit();
}

/* Another coordinator of this database that was here before us, started by an earlier launcher. */
static bool
is_second(void)
{
	SagaProcCopy *copies;
	int			n = saga_proc_list(SAGA_AT(SAGA_PROC_COORDINATOR), MyDatabaseId, &copies);
	bool		second = false;

	for (int i = 0; i < n; i++)
	{
		if (copies[i].pid == MyProcPid)
			continue;
		second |= copies[i].started_at < saga_my_proc->started_at ||
			(copies[i].started_at == saga_my_proc->started_at && copies[i].pid < MyProcPid);
	}
	pfree(copies);
	return second;
}

static void
tell_launcher(const SagaProcArgs *args, SagaProbeResult result)
{
	if (args->probe >= 0 && args->probe < SAGA_MAX_PROBES &&
		saga_procs->probes[args->probe].dboid == args->dboid)
		pg_atomic_write_u32(&saga_procs->probes[args->probe].result, result);
	saga_wake_type(SAGA_PROC_LAUNCHER, InvalidOid);
}

/* DROP EXTENSION clears has_extension, or the whole slot, at its commit. */
static void
leave_if_extension_gone(void)
{
	SagaDatabaseSlot *slot = saga_database_slot(MyDatabaseId, false);
	bool		noted = false;

	if (slot != NULL)
	{
		SpinLockAcquire(&slot->mutex);
		noted = slot->has_extension;
		SpinLockRelease(&slot->mutex);
	}
	if (noted)
		return;
	if (!saga_extension_is_there())
		leave_without_extension();
	/* created again since: all that is known of its queues is gone */
	slot = saga_my_database();
	if (slot != NULL)
	{
		SpinLockAcquire(&slot->mutex);
		slot->has_extension = true;
		SpinLockRelease(&slot->mutex);
	}
	first_sweep = true;
}

/* Moves what is due. Returns the time of the next timer. */
static TimestampTz
fire_timers(SagaDatabaseSlot *slot)
{
	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		TimestampTz next;
		int			moved;

		SpinLockAcquire(&slot->mutex);
		next = slot->next_wake;
		SpinLockRelease(&slot->mutex);
		if (next > now)
			return next;

		begin_work();
		moved = saga_timers_fire(NULL, now, TIMERS_AT_ONCE, &next);
		end_work();
		if (moved < TIMERS_AT_ONCE)
			return next;
		if (!saga_proc_wanted())
			return now;
		CHECK_FOR_INTERRUPTS();
	}
}

/* saga_sweep sets the time of the next one. */
static TimestampTz
sweep(SagaDatabaseSlot *slot)
{
	TimestampTz at;

	SpinLockAcquire(&slot->mutex);
	at = slot->sweep_at;
	SpinLockRelease(&slot->mutex);
	if (!first_sweep && at > GetCurrentTimestamp())
		return at;

	begin_work();
	(void) saga_sweep(first_sweep);
	end_work();
	first_sweep = false;

	if (slot != saga_my_database())
		slot->sweep_at = saga_sweep_interval_ms == 0 ? DT_NOEND :
			TimestampTzPlusMilliseconds(GetCurrentTimestamp(), saga_sweep_interval_ms);
	SpinLockAcquire(&slot->mutex);
	at = slot->sweep_at;
	SpinLockRelease(&slot->mutex);
	return at;
}

static TimestampTz
retention(void)
{
	if (saga_retention_next() <= GetCurrentTimestamp())
	{
		begin_work();
		saga_retention_turn();
		end_work();
	}
	return saga_retention_next();
}

/* What ran when the server crashed, or when a worker died, before anyone claims it again. */
static void
collect_suspects(void)
{
	uint32		generation = pg_atomic_read_u32(&saga_procs->deaths);

	if (generation == suspects_seen)
		return;
	begin_work();
	(void) saga_suspect_collect();
	end_work();
	suspects_seen = generation;
}

/* A shorter pg_saga.sweep_interval holds at once. */
static void
settings_changed(void)
{
	SagaDatabaseSlot *slot = saga_database_slot(MyDatabaseId, false);

	if (slot != NULL && saga_sweep_interval_ms > 0)
		saga_sweep_soon(slot, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), saga_sweep_interval_ms), 0);
}

/*
 * Stands for the slot that there is not: nobody tells us of timers, nor that
 * a sweep is wanted, so we look each time.
 */
static SagaDatabaseSlot *
own_slot(void)
{
	static SagaDatabaseSlot slot;

	if (slot.dboid == InvalidOid)
	{
		SpinLockInit(&slot.mutex);
		slot.dboid = MyDatabaseId;
	}
	slot.next_wake = DT_NOBEGIN;
	return &slot;
}

/* One turn. Returns how long to wait. */
static long
turn(void)
{
	SagaDatabaseSlot *slot;
	TimestampTz next;
	TimestampTz now;

	leave_if_extension_gone();
	slot = saga_my_database();
	if (slot == NULL)
		slot = own_slot();
	collect_suspects();
	next = sweep(slot);			/* before the timers: it has them looked through */
	next = Min(next, fire_timers(slot));
	next = Min(next, retention());
	next = Min(next, saga_pool_turn());

	now = GetCurrentTimestamp();
	if (saga_my_database() == NULL)
		next = Min(next, TimestampTzPlusMilliseconds(now, SAGA_UNLISTED_LOOK_MS));
	pg_atomic_write_u64(&saga_my_proc->last_active, (uint64) now);
	pg_atomic_fetch_add_u64(&saga_my_proc->batches, 1);
	if (next <= now)
		return 1;
	return (long) Min((next - now) / 1000 + 1, WAIT_MAX_MS);
}

static void
loop(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "pg_saga coordinator",
												  ALLOCSET_DEFAULT_SIZES);
	volatile int failures = 0;

	for (;;)
	{
		volatile long timeout = 0;

		ResetLatch(MyLatch);
		PG_TRY();
		{
			if (saga_proc_interrupts())
				settings_changed();
			if (!saga_proc_wanted())
				proc_exit(0);
			MemoryContextReset(context);
			MemoryContextSwitchTo(context);
			timeout = turn();
			failures = 0;
		}
		PG_CATCH();
		{
			(void) saga_recover(context);
			timeout = Min(TROUBLE_MAX_MS, TROUBLE_MIN_MS << Min(failures, 10));
			failures++;
		}
		PG_END_TRY();
		pgstat_report_stat(true);
		saga_proc_wait(timeout);
	}
}

void
saga_coordinator_main(Datum arg)
{
	SagaProcArgs args;

	saga_proc_begin(SAGA_PROC_COORDINATOR, &args);
	BackgroundWorkerInitializeConnectionByOid(args.dboid, InvalidOid, 0);
	saga_proc_connected("pg_saga coordinator", InvalidOid);

	if (is_second())
		proc_exit(0);
	if (!saga_extension_is_there())
	{
		SagaDatabaseSlot *slot = saga_database_slot(args.dboid, false);

		if (slot != NULL)
		{
			SpinLockAcquire(&slot->mutex);
			slot->has_extension = false;
			SpinLockRelease(&slot->mutex);

			/*
			 * A CREATE EXTENSION that committed since sets the flag and wakes
			 * the launcher again, before or after this.
			 */
			if (saga_extension_is_there())
			{
				SpinLockAcquire(&slot->mutex);
				slot->has_extension = true;
				SpinLockRelease(&slot->mutex);
			}
		}
		tell_launcher(&args, SAGA_PROBE_ABSENT);
		proc_exit(0);
	}
	tell_launcher(&args, SAGA_PROBE_FOUND);
	loop();
}
