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
#include "common/clock.h"
#include "common/guc.h"
#include "engine/engine.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "outbox/outbox.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/pool_private.h"
#include "worker/procs_private.h"

#define TIMERS_MS			50	/* for timers, before everything else has its turn */
#define WAIT_MAX_MS			(60 * 1000) /* net */
#define SUSPECTS_RETRY_MS	1000	/* somebody held one */
#define TROUBLE_MIN_MS		500 /* after an error */
#define TROUBLE_MAX_MS		(30 * 1000)
#define LOCK_TROUBLE_MAX_MS	(5 * 1000)	/* ... if that was a lock, of a table for one */

/* Process-local. */
static bool first_sweep = true;
static uint32 suspects_seen;


/* The workers would find out too, later. */
static void
leave_without_extension(void)
{
	saga_worker_proc_ask_leave(SAGA_AT_DATABASE & ~SAGA_AT(SAGA_PROC_COORDINATOR), MyDatabaseId);
	proc_exit(0);
}

/* A transaction that has the extension; without it the process ends. */
static void
begin_work(void)
{
	saga_worker_proc_begin_transaction();
	if (!saga_worker_proc_try_lock_extension())
		leave_without_extension();
	PushActiveSnapshot(GetTransactionSnapshot());
}

/* Commits it. */
static void
end_work(void)
{
	PopActiveSnapshot();
	saga_worker_proc_commit();
}

/* Another coordinator of this database that was here before us, started by an earlier launcher. */
static bool
is_second(void)
{
	SagaProcCopy *copies;
	int			n = saga_worker_proc_list(SAGA_AT(SAGA_PROC_COORDINATOR), MyDatabaseId, &copies);
	int64		up_us = 0;
	bool		second = false;

	for (int i = 0; i < n; i++)
		if (copies[i].pid == MyProcPid)
			up_us = copies[i].up_us;
	for (int i = 0; i < n; i++)
	{
		if (copies[i].pid == MyProcPid)
			continue;
		second |= copies[i].up_us > up_us || (copies[i].up_us == up_us && copies[i].pid < MyProcPid);
	}
	pfree(copies);
	return second;
}

/* Answers the launcher's question whether this database has the extension. */
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
	if (!saga_worker_proc_has_extension())
		leave_without_extension();
	/* created again since: all that is known of its queues is gone */
	slot = saga_queue_my_database();
	if (slot != NULL)
	{
		SpinLockAcquire(&slot->mutex);
		slot->has_extension = true;
		SpinLockRelease(&slot->mutex);
	}
	first_sweep = true;
	saga_sweep_restart();
}

/* ---------- what a turn is made of: each returns when it is to be done again, of saga_monotonic_now ---------- */

/* What ran when the server crashed, or when a worker died, before anyone claims it again. */
static TimestampTz
collect_suspects(SagaDatabaseSlot *slot)
{
	uint32		generation = pg_atomic_read_u32(&saga_procs->deaths);
	bool		all;

	if (generation == suspects_seen)
		return DT_NOEND;
	begin_work();
	all = saga_suspect_collect();
	end_work();
	if (!all)
		return TimestampTzPlusMilliseconds(saga_monotonic_now(), SUSPECTS_RETRY_MS);
	suspects_seen = generation;
	return DT_NOEND;
}

/* A signal is sent to who is in a step; the pool's turn, after this, ends the worker of one that goes on. */
static TimestampTz
tell_stopped(SagaDatabaseSlot *slot)
{
	static uint32 seen = 0;
	uint32		generation = pg_atomic_read_u32(&saga_procs->prepared_stops);

	if (generation == seen)
		return DT_NOEND;
	begin_work();
	saga_stop_tell_prepared();
	end_work();
	seen = generation;
	return DT_NOEND;
}

/* A part of the queues.  saga_sweep_turn sets the time of the next sweep. */
static TimestampTz
sweep(SagaDatabaseSlot *slot)
{
	TimestampTz now = saga_monotonic_now();
	TimestampTz at;
	bool		more;

	SpinLockAcquire(&slot->mutex);
	at = slot->sweep_at;
	SpinLockRelease(&slot->mutex);
	if (!first_sweep && !saga_sweep_is_under_way() && at > now)
		return at;

	begin_work();
	more = saga_sweep_turn(first_sweep);
	end_work();
	if (more)
		return now;
	first_sweep = false;

	if (slot != saga_queue_my_database())
		slot->sweep_at = saga_sweep_interval_ms == 0 ? DT_NOEND :
			TimestampTzPlusMilliseconds(saga_monotonic_now(), saga_sweep_interval_ms);
	SpinLockAcquire(&slot->mutex);
	at = slot->sweep_at;
	SpinLockRelease(&slot->mutex);
	return at;
}

/* The sweep has raised: it has its pause. */
static bool
sweep_failed(void)
{
	saga_sweep_failed();
	return false;
}

/* When it will be that time of the clock, as far as we sleep before we look again. */
static TimestampTz
monotonic(TimestampTz at, TimestampTz now)
{
	return at == DT_NOEND ? DT_NOEND :
		saga_monotonic_now() + Max(0, Min(at - now, (int64) WAIT_MAX_MS * 1000));
}

/* Moves what is due, for so long that nothing else is late. */
static TimestampTz
fire_timers(SagaDatabaseSlot *slot)
{
	TimestampTz until = TimestampTzPlusMilliseconds(saga_monotonic_now(), TIMERS_MS);

	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		TimestampTz next;
		bool		more;

		SpinLockAcquire(&slot->mutex);
		next = slot->next_wake;
		SpinLockRelease(&slot->mutex);
		if (next > now)
			return monotonic(next, now);

		begin_work();
		more = saga_timers_turn(now, &next);
		end_work();
		if (!more)
			return monotonic(next, now);
		if (!saga_worker_proc_wanted() || saga_monotonic_now() > until)
			return saga_monotonic_now();
		CHECK_FOR_INTERRUPTS();
	}
}

/* A step of the turn, once: whoever decides on a call outside looks by himself, too. */
static TimestampTz
note_takeover(SagaDatabaseSlot *slot)
{
	static bool done = false;

	if (!done)
	{
		begin_work();
		saga_takeover_note();
		end_work();
	}
	done = true;
	return DT_NOEND;
}

/* A step of the turn: tables are cleaned when it is time. */
static TimestampTz
retention(SagaDatabaseSlot *slot)
{
	if (saga_retention_next() <= saga_monotonic_now())
	{
		begin_work();
		saga_retention_turn();
		end_work();
	}
	return saga_retention_next();
}

/* A step of the turn: workers, publishers and sources. */
static TimestampTz
serve_pool(SagaDatabaseSlot *slot)
{
	return saga_pool_turn();
}

/*
 * One that raises does not keep the others from what they do: it has a pause,
 * longer each time, unless it has put the culprit aside by itself.
 */
static struct
{
	TimestampTz (*run) (SagaDatabaseSlot *slot);
	bool		(*failed) (void);	/* true: it can go on at once */
	int			failures;		/* in a row */
	TimestampTz retry_at;
}			steps[] = {
	{.run = note_takeover},		/* before there is anything to decide */
	{.run = collect_suspects},
	{.run = tell_stopped},
	{.run = sweep, .failed = sweep_failed},	/* before the timers: it has them looked through */
	{.run = fire_timers, .failed = saga_timers_failed},
	{.run = retention},
	{.run = serve_pool},
};

/* A shorter pg_saga.sweep_interval holds at once. */
static void
settings_changed(void)
{
	SagaDatabaseSlot *slot = saga_database_slot(MyDatabaseId, false);

	if (slot != NULL && saga_sweep_interval_ms > 0)
		saga_sweep_soon(slot, TimestampTzPlusMilliseconds(saga_monotonic_now(), saga_sweep_interval_ms), 0);
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
		ereport(LOG,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("pg_saga has no place in shared memory for database %u", MyDatabaseId),
				 errdetail("Nobody can be told there of what is to be done: it is looked for each second."),
				 errhint("Raise pg_saga.max_databases.")));
		SpinLockInit(&slot.mutex);
		slot.dboid = MyDatabaseId;
	}
	slot.next_wake = DT_NOBEGIN;
	return &slot;
}

/* Runs one step of the turn: whatever raises in it delays this step alone. */
static TimestampTz
run_step(int i, SagaDatabaseSlot *slot, MemoryContext context)
{
	volatile TimestampTz next = steps[i].retry_at;

	if (next > saga_monotonic_now())
		return next;
	MemoryContextSwitchTo(context); /* the end of a transaction leaves another one */
	PG_TRY();
	{
		next = steps[i].run(slot);
		steps[i].failures = 0;
	}
	PG_CATCH();
	{
		ErrorData  *error = saga_worker_proc_recover(context);
		long		max_ms = error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ? LOCK_TROUBLE_MAX_MS : TROUBLE_MAX_MS;
		long		pause = saga_backoff(TROUBLE_MIN_MS, steps[i].failures, max_ms);

		next = saga_monotonic_now();
		if (steps[i].failed == NULL || !steps[i].failed())
		{
			steps[i].failures++;
			next = TimestampTzPlusMilliseconds(next, pause);
		}
		steps[i].retry_at = next;
	}
	PG_END_TRY();
	return next;
}

/* One turn. Returns how long to wait. */
static long
turn(MemoryContext context)
{
	SagaDatabaseSlot *slot;
	TimestampTz next = DT_NOEND;
	TimestampTz now;

	saga_clock_look();
	leave_if_extension_gone();
	slot = saga_queue_my_database();
	if (slot == NULL)
		slot = own_slot();
	for (int i = 0; i < lengthof(steps); i++)
	{
		TimestampTz at = run_step(i, slot, context);

		next = Min(next, at);
	}

	now = saga_monotonic_now();
	if (saga_queue_my_database() == NULL)
		next = Min(next, TimestampTzPlusMilliseconds(now, SAGA_UNLISTED_LOOK_MS));
	pg_atomic_write_u64(&saga_my_proc->last_active, (uint64) GetCurrentTimestamp());
	pg_atomic_fetch_add_u64(&saga_my_proc->batches, 1);
	if (next <= now)
		return 1;
	return (long) Min((next - now) / 1000 + 1, WAIT_MAX_MS);
}

/* The turns, until nobody needs a coordinator here. */
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
			if (saga_worker_proc_interrupts())
				settings_changed();
			if (!saga_worker_proc_wanted())
				proc_exit(0);
			MemoryContextReset(context);
			MemoryContextSwitchTo(context);
			saga_proc_busy_begin();
			timeout = turn(context);
			saga_proc_busy_end();
			failures = 0;
		}
		PG_CATCH();
		{
			(void) saga_worker_proc_recover(context);
			timeout = saga_backoff(TROUBLE_MIN_MS, failures, TROUBLE_MAX_MS);
			failures++;
			/* undoing what it did has woken us */
			ResetLatch(MyLatch);
		}
		PG_END_TRY();
		pgstat_report_stat(true);
		saga_worker_proc_wait(timeout);
	}
}

/* What waits for a worker is for the next one to say, where there is one. */
static void
forget_notes(int code, Datum arg)
{
	saga_worker_note_keep(MyDatabaseId, NIL);
}

/*
 * Leaves at once when another one serves the database or when it has no
 * extension; the launcher is told what was found, and starts none again
 * before there is a reason.
 */
void
saga_coordinator_main(Datum arg)
{
	SagaProcArgs args;

	saga_worker_proc_begin(SAGA_PROC_COORDINATOR, &args);
	BackgroundWorkerInitializeConnectionByOid(args.dboid, InvalidOid, 0);
	saga_worker_proc_connected("pg_saga coordinator", InvalidOid);

	if (is_second())
		proc_exit(0);
	if (!saga_worker_proc_has_extension())
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
			if (saga_worker_proc_has_extension())
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
	before_shmem_exit(forget_notes, (Datum) 0);
	loop();
}
