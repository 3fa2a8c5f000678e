/*
 * procs.c
 *		What all processes of pg_saga do alike: start, signals, transactions,
 *		waiting, and looking at each other through shared memory.
 *
 * A process takes its slot before it connects to its database: whoever
 * closes a database (utility.c) either sees the slot, or the process sees
 * "closed" and never connects.
 *
 * Slots are read under saga_shared->lock, taken shared; what changes within a
 * slot is atomic.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "catalog/pg_database.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "worker/procs_private.h"

/* SagaProcSlot.leave */
#define LEAVE_AT_ONCE		1
#define LEAVE_ONE_TOO_MANY	2

SagaProcsShared *saga_procs = NULL;

/* Set by the signal handler. */
static volatile sig_atomic_t told_to_end = 0;
static volatile sig_atomic_t told_by_itself = 0;
static bool leaves_requests = false;

/* Told to end, this process first writes something down (saga_worker_proc_finishes). */
static volatile sig_atomic_t finishes = 0;

static uint32 my_start = 0;

static const struct
{
	const char *name;
	const char *main;
}			kinds[] = {
	[SAGA_PROC_LAUNCHER] = {"pg_saga launcher", "saga_launcher_main"},
	[SAGA_PROC_COORDINATOR] = {"pg_saga coordinator", "saga_coordinator_main"},
	[SAGA_PROC_WORKER] = {"pg_saga worker", "saga_worker_main"},
	[SAGA_PROC_PUBLISHER] = {"pg_saga publisher", "saga_worker_publisher_main"},
	[SAGA_PROC_SOURCE] = {"pg_saga source", "saga_worker_source_main"},
};


Size
saga_procs_shmem_size(void)
{
	return MAXALIGN(sizeof(SagaProcsShared));
}

/* Counters of which a process remembers what it saw begin with 1: 0 is "never". */
static void
init_shared(SagaProcsShared *shared)
{
	memset(shared, 0, sizeof(SagaProcsShared));
	shared->epoch = (uint64) GetCurrentTimestamp();
	pg_atomic_init_u32(&shared->suspects, 1);
	pg_atomic_init_u32(&shared->deaths, 1);
	pg_atomic_init_u32(&shared->prepared_stops, 0);
	pg_atomic_init_u32(&shared->lost_publishers, 1);
	pg_atomic_init_u32(&shared->roles, 0);
	pg_atomic_init_u32(&shared->news, 0);
	pg_atomic_init_u32(&shared->starts, 1);
	pg_atomic_init_u32(&shared->next_told, 0);
	for (int i = 0; i < SAGA_MAX_TOLD; i++)
		pg_atomic_init_u32(&shared->told[i], 0);
	for (int i = 0; i < SAGA_MAX_PROBES; i++)
		pg_atomic_init_u32(&shared->probes[i].result, SAGA_PROBE_UNKNOWN);
}

/* The first time after a start or a crash restart all of it is new. */
void
saga_procs_shmem_startup(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	saga_procs = ShmemInitStruct("pg_saga processes", saga_procs_shmem_size(), &found);
	if (!found)
		init_shared(saga_procs);
	LWLockRelease(AddinShmemInitLock);
}

/* ---------- starting and ending ---------- */

/*
 * Registers a dynamic process.  False when max_worker_processes are in use:
 * the caller tries again later.
 */
bool
saga_worker_proc_start(SagaProcType type, SagaProcArgs *args, BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker;

	do
		/* 0 stands for "none", also after the counter has gone round */
		args->start = pg_atomic_fetch_add_u32(&saga_procs->starts, 1);
	while (args->start == 0);
	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	strlcpy(worker.bgw_library_name, "pg_saga", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, kinds[type].main, sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_type, kinds[type].name, BGW_MAXLEN);
	snprintf(worker.bgw_name, BGW_MAXLEN, "%s for database %u", kinds[type].name, args->dboid);
	StaticAssertStmt(sizeof(SagaProcArgs) <= BGW_EXTRALEN, "arguments do not fit into bgw_extra");
	memcpy(worker.bgw_extra, args, sizeof(SagaProcArgs));
	return RegisterDynamicBackgroundWorker(&worker, handle);
}

bool
saga_worker_proc_was_told(uint32 start)
{
	for (int i = 0; i < SAGA_MAX_TOLD && start != 0; i++)
		if (pg_atomic_read_u32(&saga_procs->told[i]) == start)
			return true;
	return false;
}

/* Runs after the transaction was aborted: who starts processes looks again. */
static void
on_exit_wake(int code, Datum arg)
{
	SagaProcType type = (SagaProcType) DatumGetInt32(arg);
	Oid			dboid = saga_my_proc ? saga_my_proc->dboid : InvalidOid;
	bool		lost = type == SAGA_PROC_PUBLISHER && (code != 0 || told_to_end || leaves_requests);

	/* its lease is not locked any more: that went with its session's locks */
	if (lost)
		pg_atomic_fetch_add_u32(&saga_procs->lost_publishers, 1);
	if (told_to_end && !told_by_itself)
		pg_atomic_write_u32(&saga_procs->told[pg_atomic_fetch_add_u32(&saga_procs->next_told, 1) % SAGA_MAX_TOLD],
							my_start);
	saga_proc_detach();

	/*
	 * one that was started before is not followed by another, and looked too
	 * early
	 */
	if (lost)
		saga_wake_type(SAGA_PROC_PUBLISHER, dboid);
	if (type == SAGA_PROC_COORDINATOR)
		saga_wake_type(SAGA_PROC_LAUNCHER, InvalidOid);
	else
		saga_wake_type(SAGA_PROC_COORDINATOR, dboid);
}

/* 1 has the postmaster restart the launcher, unless it is shutting down. */
static void
leave_quietly(void)
{
	proc_exit(saga_my_proc != NULL && saga_my_proc->type == SAGA_PROC_LAUNCHER ? 1 : 0);
}

/*
 * In a transaction die() ends it with a FATAL error.  Between transactions
 * there is nothing to complain about: the process leaves by itself
 * (saga_worker_proc_interrupts), or when it begins the next one (saga_worker_proc_begin_transaction).
 *
 * What a process does that finishes is cancelled, once; then it looks at
 * saga_worker_proc_told_to_end.
 */
void
saga_worker_proc_sigterm(SIGNAL_ARGS)
{
	int			save_errno = errno;
	bool		first = !told_to_end;

	told_to_end = 1;
	if (finishes)
	{
		if (first)
			QueryCancelPending = InterruptPending = true;
		SetLatch(MyLatch);
	}
	else if (IsTransactionState())
		die(postgres_signal_arg);
	else
		SetLatch(MyLatch);
	errno = save_errno;
}

void
saga_worker_proc_finishes(void)
{
	finishes = 1;
}

bool
saga_worker_proc_told_to_end(void)
{
	return told_to_end != 0;
}

void
saga_worker_proc_leaves_requests(void)
{
	leaves_requests = true;
}

void
saga_worker_proc_told_by_itself(void)
{
	told_by_itself = 1;
}

/*
 * The server sends a process SIGINT when its lock_timeout or statement_timeout
 * is over, after it has noted which: a process that ignored that would wait
 * for ever.
 */
bool
saga_worker_proc_timeout_is_over(void)
{
	return get_timeout_indicator(LOCK_TIMEOUT, false) || get_timeout_indicator(STATEMENT_TIMEOUT, false);
}

/*
 * Another one is somebody's pg_cancel_backend(), or Ctrl-C at a server that
 * runs in a terminal.  These processes run no statement of a user's: there is
 * nothing to cancel, and no reason to end or to pause.
 */
void
saga_worker_proc_sigint(SIGNAL_ARGS)
{
	if (saga_worker_proc_timeout_is_over())
		StatementCancelHandler(postgres_signal_arg);
}

void
saga_worker_proc_begin(SagaProcType type, SagaProcArgs *args)
{
	memcpy(args, MyBgworkerEntry->bgw_extra, sizeof(SagaProcArgs));
	my_start = args->start;
	pqsignal(SIGHUP, SignalHandlerForConfigReload);

	/*
	 * the server ignores it in a background worker until here: one may have
	 * been missed
	 */
	ConfigReloadPending = true;
	pqsignal(SIGTERM, saga_worker_proc_sigterm);
	pqsignal(SIGINT, saga_worker_proc_sigint);
	BackgroundWorkerUnblockSignals();

	if (saga_shared == NULL || saga_procs == NULL)
		proc_exit(0);
	if (saga_proc_attach(type, args->dboid, args->owner, 0) == NULL)
	{
		ereport(LOG,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("%s cannot run: all process slots of pg_saga are in use", MyBgworkerEntry->bgw_type),
				 errhint("Raise pg_saga.max_processes.")));
		proc_exit(0);
	}
	before_shmem_exit(on_exit_wake, Int32GetDatum(type));
	if (type != SAGA_PROC_LAUNCHER && !saga_worker_proc_wanted())
		proc_exit(0);
}

/* Settings of a session that a role or database may have set to what harms a worker. */
void
saga_worker_proc_connected(const char *what, Oid owner)
{
	char	   *name;

	if (OidIsValid(owner))
	{
		StartTransactionCommand();
		name = psprintf("%s %s", what, GetUserNameFromId(owner, false));
		SetConfigOption("application_name", name, PGC_USERSET, PGC_S_SESSION);
		CommitTransactionCommand();
	}
	else
	{
		SetConfigOption("application_name", what, PGC_USERSET, PGC_S_SESSION);
		/* it comes as a SIGINT: see saga_worker_proc_sigint */
		SetConfigOption("lock_timeout", SAGA_SERVER_LOCK_TIMEOUT, PGC_SUSET, PGC_S_OVERRIDE);
		saga_serves_all = true;
	}
	SetConfigOption("statement_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("idle_in_transaction_session_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
#if PG_VERSION_NUM >= 170000
	SetConfigOption("transaction_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
#endif
	pgstat_report_activity(STATE_IDLE, NULL);
}

bool
saga_worker_proc_wanted(void)
{
	if (saga_my_proc != NULL && pg_atomic_read_u32(&saga_my_proc->leave) != 0)
		return false;
	return saga_my_proc == NULL || !OidIsValid(saga_my_proc->dboid) ||
		!saga_worker_proc_database_is_closed(saga_my_proc->dboid);
}

bool
saga_worker_proc_is_one_too_many(void)
{
	return saga_my_proc != NULL && pg_atomic_read_u32(&saga_my_proc->leave) == LEAVE_ONE_TOO_MANY &&
		!saga_worker_proc_database_is_closed(saga_my_proc->dboid);
}

bool
saga_worker_proc_interrupts(void)
{
	if (told_to_end && !finishes && !IsTransactionState())
		leave_quietly();
	CHECK_FOR_INTERRUPTS();
	if (!ConfigReloadPending)
		return false;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	return true;
}

void
saga_worker_proc_wait(long timeout_ms)
{
	int			events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;

	Assert(!IsTransactionState());
	if (timeout_ms >= 0)
		events |= WL_TIMEOUT;
	(void) WaitLatch(MyLatch, events, timeout_ms, PG_WAIT_EXTENSION);
}

/* Current before the transaction.  Until version 18 its end leaves TopMemoryContext, where nothing is ever freed. */
static MemoryContext outside_context = NULL;

void
saga_worker_proc_begin_transaction(void)
{
	outside_context = CurrentMemoryContext;
	saga_background_begin();
	if (told_to_end && !finishes)
		leave_quietly();		/* from here on the signal's handler calls die() */
}

void
saga_worker_proc_commit(void)
{
	CommitTransactionCommand();
	MemoryContextSwitchTo(outside_context);
}

/*
 * Whoever drops the extension wakes us before its invalidation messages are
 * sent, but holds the lock on the extension until after them.
 */
bool
saga_worker_proc_try_lock_extension(void)
{
	Oid			extension = saga_extension_oid(true);

	if (!OidIsValid(extension))
		return false;
	saga_extension_lock_as(extension, AccessShareLock);
	return saga_extension_oid(true) == extension && saga_extension_is_current();
}

bool
saga_worker_proc_has_extension(void)
{
	bool		result;

	saga_worker_proc_begin_transaction();

	/*
	 * one that was dropped and created again in one transaction is another
	 * one
	 */
	result = saga_worker_proc_try_lock_extension() || saga_worker_proc_try_lock_extension();
	saga_worker_proc_commit();
	return result;
}

ErrorData *
saga_worker_proc_recover(MemoryContext context)
{
	ErrorData  *error;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	/* the end of what was cancelled as the process is to end is no trouble */
	if (!(finishes && told_to_end && error->sqlerrcode == ERRCODE_QUERY_CANCELED))
		EmitErrorReport();
	AbortOutOfAnyTransaction(); /* user id, GUCs, pins, relation locks; in a subtransaction, too */
	LWLockReleaseAll();			/* Abort does nothing when no transaction was open */
	ConditionVariableCancelSleep();
	MemoryContextSwitchTo(context);
	FlushErrorState();
	QueryCancelPending = false;
	RESUME_INTERRUPTS();
	saga_proc_busy_end();
	if (saga_my_proc != NULL)
		pg_atomic_fetch_add_u64(&saga_my_proc->errors, 1);
	pgstat_report_activity(STATE_IDLE, NULL);
	return error;
}

/* ---------- other processes ---------- */

/* Is it taken by a process of one of these types, for this database or for any? */
static bool
slot_matches(const SagaProcSlot *slot, int types, Oid dboid)
{
	return slot->type != SAGA_PROC_FREE && (types & SAGA_AT(slot->type)) != 0 &&
		(!OidIsValid(dboid) || slot->dboid == dboid);
}

/* Microseconds since then, on a clock that another process may have read after us. */
static int64
elapsed(uint64 now, uint64 since)
{
	return since == 0 ? -1 : now > since ? (int64) (now - since) : 0;
}

/* What a worker runs: its slot is read without a lock, so a step that changed meanwhile is left out. */
static void
copy_batch(SagaProcCopy *copy, SagaProcSlot *slot, uint64 now)
{
	copy->busy_us = elapsed(now, pg_atomic_read_u64(&slot->busy_since));
	copy->overstays = copy->type == SAGA_PROC_WORKER && copy->busy_us > 0 && saga_queue_busy_overstays(copy->busy_us);
	copy->step = pg_atomic_read_u32(&slot->step);
	pg_read_barrier();
	copy->step_us = elapsed(now, pg_atomic_read_u64(&slot->step_since));
	pg_read_barrier();
	if (copy->step != pg_atomic_read_u32(&slot->step))
		copy->step_us = -1;		/* another one began */
	copy->cancel = pg_atomic_read_u64(&slot->cancel);
	copy->cancelled_us = elapsed(now, pg_atomic_read_u64(&slot->cancelled_at));
	copy->stopped_us = -1;
	if (pg_atomic_read_u32(&slot->stop) == pg_atomic_read_u32(&slot->run))
		copy->stopped_us = elapsed(now, pg_atomic_read_u64(&slot->stopped_at));
}

int
saga_worker_proc_list(int types, Oid dboid, SagaProcCopy **copies)
{
	uint64		now = saga_monotonic_us();
	int			n = 0;

	*copies = NULL;
	if (saga_shared == NULL)
		return 0;
	*copies = palloc(mul_size(saga_shared->max_background, sizeof(SagaProcCopy)));
	LWLockAcquire(saga_shared->lock, LW_SHARED);
	for (int i = 0; i < saga_shared->max_background; i++)
	{
		SagaProcSlot *slot = &saga_shared->procs[i];
		SagaProcCopy *copy = &(*copies)[n];

		if (!slot_matches(slot, types, dboid))
			continue;
		copy->slot = i;
		copy->type = slot->type;
		copy->dboid = slot->dboid;
		copy->owner = slot->owner;
		copy->pid = slot->pid;
		copy->started_at = slot->started_at;
		copy->up_us = elapsed(now, slot->begun);
		copy->idle = pg_atomic_read_u32(&slot->sleeping) != 0;
		copy->leaving = pg_atomic_read_u32(&slot->leave) != 0;
		copy_batch(copy, slot, now);
		copy->last_active = (TimestampTz) pg_atomic_read_u64(&slot->last_active);
		copy->batches = (int64) pg_atomic_read_u64(&slot->batches);
		copy->done = (int64) pg_atomic_read_u64(&slot->done);
		copy->errors = (int64) pg_atomic_read_u64(&slot->errors);
		copy->missing = pg_atomic_read_u32(&slot->missing);
		pg_read_barrier();
		copy->missing_since = (TimestampTz) pg_atomic_read_u64(&slot->missing_since);
		n++;
	}
	LWLockRelease(saga_shared->lock);
	return n;
}

int
saga_worker_proc_count(int types, Oid dboid)
{
	int			n = 0;

	if (saga_shared == NULL)
		return 0;
	LWLockAcquire(saga_shared->lock, LW_SHARED);
	for (int i = 0; i < saga_shared->max_background; i++)
		if (slot_matches(&saga_shared->procs[i], types, dboid))
			n++;
	LWLockRelease(saga_shared->lock);
	return n;
}

void
saga_worker_proc_ask_leave(int types, Oid dboid)
{
	if (saga_shared == NULL)
		return;
	LWLockAcquire(saga_shared->lock, LW_SHARED);
	for (int i = 0; i < saga_shared->max_background; i++)
	{
		SagaProcSlot *slot = &saga_shared->procs[i];

		if (!slot_matches(slot, types, dboid))
			continue;
		pg_atomic_write_u32(&slot->leave, LEAVE_AT_ONCE);
		SetLatch(&slot->proc->procLatch);
	}
	LWLockRelease(saga_shared->lock);
}

void
saga_worker_proc_ask_leave_pid(int pid)
{
	LWLockAcquire(saga_shared->lock, LW_SHARED);
	for (int i = 0; i < saga_shared->max_background; i++)
	{
		SagaProcSlot *slot = &saga_shared->procs[i];
		uint32		stays = 0;

		if (slot->type == SAGA_PROC_FREE || slot->pid != pid)
			continue;
		(void) pg_atomic_compare_exchange_u32(&slot->leave, &stays, LEAVE_ONE_TOO_MANY);
		SetLatch(&slot->proc->procLatch);
	}
	LWLockRelease(saga_shared->lock);
}

void
saga_worker_proc_cancel_step(const SagaProcCopy *proc, bool hard)
{
	SagaProcSlot *slot = &saga_shared->procs[proc->slot];

	LWLockAcquire(saga_shared->lock, LW_SHARED);
	if (slot->type == SAGA_PROC_WORKER && slot->pid == proc->pid)
	{
		pg_atomic_write_u64(&slot->cancelled_at, saga_monotonic_us());
		pg_atomic_write_u64(&slot->cancel, (uint64) proc->step << 1 | (hard ? 1 : 0));
		(void) kill(slot->pid, SIGINT);
	}
	LWLockRelease(saga_shared->lock);
}

/* A pid in a slot is alive: the slot is given back before the process ends. */
void
saga_worker_proc_terminate(int types, Oid dboid)
{
	LWLockAcquire(saga_shared->lock, LW_SHARED);
	for (int i = 0; i < saga_shared->max_background; i++)
		if (slot_matches(&saga_shared->procs[i], types, dboid))
			(void) kill(saga_shared->procs[i].pid, SIGTERM);
	LWLockRelease(saga_shared->lock);
}

bool
saga_worker_proc_database_is_closed(Oid dboid)
{
	SagaDatabaseSlot *slot = saga_database_slot(dboid, false);
	bool		closed;

	if (slot == NULL)
		return false;
	SpinLockAcquire(&slot->mutex);
	closed = slot->closed > 0;
	SpinLockRelease(&slot->mutex);
	return closed;
}

void
saga_worker_proc_tell_launcher(void)
{
	if (saga_procs == NULL)
		return;
	pg_atomic_fetch_add_u32(&saga_procs->news, 1);
	saga_wake_type(SAGA_PROC_LAUNCHER, InvalidOid);
}
