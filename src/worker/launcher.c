/*
 * launcher.c
 *		The one static process: keeps a coordinator running in each database
 *		that has the extension.
 *
 * It connects to no database, so that it hinders no DROP DATABASE; it can
 * read pg_database, but not whether a database has the extension.  That is
 * for the coordinator to find out: it is started in each database once, says
 * what it found in a probe's slot, and leaves when there is nothing to do.
 * CREATE EXTENSION sets has_extension of the database's slot and wakes us at
 * its commit (utility.c).
 *
 * Begin reading with saga_launcher_main and serve_database().  An entry goes
 * from unknown to starting, and from there to served or absent; a coordinator
 * that ends makes it unknown again, with a pause that grows while starts
 * fail.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "common/clock.h"
#include "common/guc.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"
#include "worker/procs_private.h"

#define SCAN_INTERVAL_MS	(60 * 1000) /* net for what no hook sees: ALTER DATABASE ... ALLOW_CONNECTIONS */
#define PENDING_POLL_MS		1000	/* a start that was not heard of is looked at again */
#define BACKOFF_MIN_MS		500
#define BACKOFF_MAX_MS		(30 * 1000)
#define STABLE_MS			(10 * 1000) /* what ran this long did not fail at its start */

typedef enum
{
	DB_UNKNOWN,					/* to be probed */
	DB_STARTING,				/* a coordinator was started; its probe's slot will say */
	DB_SERVED,
	DB_ABSENT					/* without the extension, until has_extension is set */
} DatabaseState;

typedef struct DatabaseEntry
{
	Oid			dboid;			/* key */
	bool		listed;			/* seen in the last scan of pg_database */
	DatabaseState state;
	BackgroundWorkerHandle *handle; /* while starting */
	int			probe;
	uint32		start;			/* of the last coordinator that we started; 0: none */
	int			failures;		/* in a row */
	bool		no_place;		/* the server had no room for its coordinator */
	TimestampTz started_at;
	TimestampTz retry_at;		/* both of saga_monotonic_now, as all times here */
} DatabaseEntry;

/* Process-local: what is known of each database. */
static HTAB *databases;
static bool slots_were_full;
static uint32 news_seen;


void
saga_launcher_register(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	/* seconds; the launcher is the one process that nobody of ours starts */
	worker.bgw_restart_time = 5;
	strlcpy(worker.bgw_library_name, "pg_saga", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "saga_launcher_main", sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "pg_saga launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "pg_saga launcher", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

/* Is it a database to be served, as pg_saga.databases says and as far as one can connect to it? */
static bool
is_wanted(Form_pg_database form, List *names)
{
	ListCell   *lc;

	if (!form->datallowconn || form->datconnlimit == -2)	/* -2: a DROP that was interrupted */
		return false;
	if (names == NIL)
		return true;
	foreach(lc, names)
		if (strcmp((char *) lfirst(lc), NameStr(form->datname)) == 0)
		return true;
	return false;
}

/* Brings the entries in line with pg_database and pg_saga.databases. */
static void
scan_databases(void)
{
	char	   *copy = pstrdup(saga_databases ? saga_databases : "");
	List	   *names = NIL;
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;
	HASH_SEQ_STATUS seq;
	DatabaseEntry *entry;

	if (!SplitGUCList(copy, ',', &names))
		elog(ERROR, "invalid list syntax in \"pg_saga.databases\"");

	hash_seq_init(&seq, databases);
	while ((entry = hash_seq_search(&seq)) != NULL)
		entry->listed = false;

	saga_worker_proc_begin_transaction();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);
		bool		found;

		if (!is_wanted(form, names))
			continue;
		entry = hash_search(databases, &form->oid, HASH_ENTER, &found);
		if (!found)
		{
			memset((char *) entry + sizeof(Oid), 0, sizeof(DatabaseEntry) - sizeof(Oid));
			entry->probe = -1;
		}
		entry->listed = true;
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	saga_worker_proc_commit();
}

/* The coordinator could not begin, or ended soon: the next one comes after a pause. */
static void
start_failed(DatabaseEntry *entry, TimestampTz now)
{
	long		delay;

	if (saga_worker_proc_was_told(entry->start))
	{
		/* by somebody who ended it: the next one need not fail */
		entry->state = DB_UNKNOWN;
		entry->retry_at = now;
		return;
	}
	if (TimestampDifferenceExceeds(entry->started_at, now, STABLE_MS))
		entry->failures = 0;
	delay = saga_backoff(BACKOFF_MIN_MS, entry->failures, BACKOFF_MAX_MS);
	entry->state = DB_UNKNOWN;
	entry->failures++;
	entry->retry_at = TimestampTzPlusMilliseconds(now, delay);
}

/* Nothing is known of a start any more, and its probe is free. */
static void
forget_start(DatabaseEntry *entry)
{
	if (entry->handle != NULL)
		pfree(entry->handle);
	entry->handle = NULL;
	if (entry->probe >= 0)
		saga_procs->probes[entry->probe].dboid = InvalidOid;
	entry->probe = -1;
}

/* Starts one, if a probe is free for its answer. */
static void
start_coordinator(DatabaseEntry *entry, TimestampTz now)
{
	SagaProcArgs args = {.dboid = entry->dboid, .owner = InvalidOid, .probe = -1};

	for (int i = 0; i < SAGA_MAX_PROBES; i++)
		if (!OidIsValid(saga_procs->probes[i].dboid))
			args.probe = i;
	if (args.probe < 0)
		return;					/* others are being probed; their end wakes us */

	saga_procs->probes[args.probe].dboid = entry->dboid;
	pg_atomic_write_u32(&saga_procs->probes[args.probe].result, SAGA_PROBE_UNKNOWN);
	/* the coordinator writes its answer there */
	entry->probe = args.probe;
	entry->started_at = now;
	entry->no_place = !saga_worker_proc_start(SAGA_PROC_COORDINATOR, &args, &entry->handle);
	if (!entry->no_place)
	{
		entry->state = DB_STARTING;
		entry->start = args.start;
		slots_were_full = false;
		return;
	}
	entry->handle = NULL;
	entry->start = 0;
	forget_start(entry);
	start_failed(entry, now);
	if (!slots_were_full)
		ereport(LOG,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("pg_saga cannot start a coordinator: no free background worker slot"),
				 errhint("Raise max_worker_processes.")));
	slots_were_full = true;
}

/* A coordinator was started: what became of it? */
static void
check_start(DatabaseEntry *entry, TimestampTz now)
{
	uint32		result = pg_atomic_read_u32(&saga_procs->probes[entry->probe].result);
	pid_t		pid;

	if (result == SAGA_PROBE_FOUND)
	{
		entry->state = DB_SERVED;
		forget_start(entry);
	}
	else if (result == SAGA_PROBE_ABSENT)
	{
		entry->state = DB_ABSENT;
		entry->failures = 0;
		forget_start(entry);
	}
	else if (GetBackgroundWorkerPid(entry->handle, &pid) == BGWH_STOPPED)
	{
		forget_start(entry);
		start_failed(entry, now);
	}
}

/* Where a database has no slot, an extension was created somewhere: look. */
static bool
extension_was_created(Oid dboid, bool is_news)
{
	SagaDatabaseSlot *slot = saga_database_slot(dboid, false);
	bool		result;

	if (slot == NULL)
		return is_news;
	SpinLockAcquire(&slot->mutex);
	result = slot->has_extension;
	SpinLockRelease(&slot->mutex);
	return result;
}

/* One database. Returns when to look again. */
static TimestampTz
serve_database(DatabaseEntry *entry, TimestampTz now, bool is_news)
{
	bool		running = saga_worker_proc_count(SAGA_AT(SAGA_PROC_COORDINATOR), entry->dboid) > 0;

	if (entry->state == DB_STARTING)
		check_start(entry, now);
	if (entry->state == DB_STARTING)
		return TimestampTzPlusMilliseconds(now, PENDING_POLL_MS);

	if (!entry->listed)
	{
		/* dropped, or taken off pg_saga.databases */
		saga_worker_proc_ask_leave(SAGA_AT_DATABASE, entry->dboid);
		if (!running)
			hash_search(databases, &entry->dboid, HASH_REMOVE, NULL);
		return DT_NOEND;
	}
	if (running)
	{
		/* also one that an earlier launcher started */
		if (entry->state == DB_UNKNOWN)
			entry->state = DB_SERVED;
		return DT_NOEND;
	}
	if (entry->state == DB_SERVED)
	{
		/* it was there and is gone */
		start_failed(entry, now);
	}
	if (entry->state == DB_ABSENT && extension_was_created(entry->dboid, is_news))
	{
		entry->state = DB_UNKNOWN;
		entry->retry_at = now;
	}
	if (entry->state != DB_UNKNOWN)
		return DT_NOEND;
	if (saga_worker_proc_database_is_closed(entry->dboid))
		return DT_NOEND;		/* we are woken when it opens */
	if (entry->retry_at > now)
		return entry->retry_at;
	start_coordinator(entry, now);
	return TimestampTzPlusMilliseconds(now, PENDING_POLL_MS);
}

/* A coordinator that left because its database was closed did not fail. */
static void
forget_failures(DatabaseEntry *entry, TimestampTz now)
{
	entry->failures = 0;
	entry->retry_at = now;
	if (entry->state == DB_SERVED && saga_worker_proc_count(SAGA_AT(SAGA_PROC_COORDINATOR), entry->dboid) == 0)
		entry->state = DB_UNKNOWN;
}

/* All databases. Returns how long to wait. */
static long
serve_databases(void)
{
	TimestampTz now = saga_monotonic_now();
	TimestampTz next = TimestampTzPlusMilliseconds(now, SCAN_INTERVAL_MS);
	uint32		news = pg_atomic_read_u32(&saga_procs->news);
	bool		is_news = news != news_seen;
	uint32		missing = 0;
	HASH_SEQ_STATUS seq;
	DatabaseEntry *entry;

	/* before the look: what comes now is told by another wake-up */
	news_seen = news;
	hash_seq_init(&seq, databases);
	while ((entry = hash_seq_search(&seq)) != NULL)
	{
		TimestampTz at;

		if (is_news)
			forget_failures(entry, now);
		at = serve_database(entry, now, is_news);
		next = Min(next, at);
	}
	hash_seq_init(&seq, databases);
	while ((entry = hash_seq_search(&seq)) != NULL)
		if (entry->listed && entry->no_place)
			missing = SAGA_MISSING(SAGA_PROC_COORDINATOR, SAGA_MISSING_PLACE);
	saga_proc_set_missing(missing);
	return Max(1, (long) ((next - now) / 1000));
}

/*
 * Runs until the postmaster ends it.  The list of databases is read each
 * turn, since no event tells of all its changes.
 */
void
saga_launcher_main(Datum arg)
{
	SagaProcArgs args;
	MemoryContext loop;
	HASHCTL		ctl;

	saga_worker_proc_begin(SAGA_PROC_LAUNCHER, &args);
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	saga_worker_proc_connected("pg_saga launcher", InvalidOid);

	loop = AllocSetContextCreate(TopMemoryContext, "pg_saga launcher", ALLOCSET_DEFAULT_SIZES);
	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(DatabaseEntry);
	ctl.hcxt = TopMemoryContext;
	databases = hash_create("pg_saga databases", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	for (int i = 0; i < SAGA_MAX_PROBES; i++)
		saga_procs->probes[i].dboid = InvalidOid;	/* an earlier launcher's */

	for (;;)
	{
		long		timeout;

		ResetLatch(MyLatch);
		(void) saga_worker_proc_interrupts();
		saga_proc_busy_begin();
		MemoryContextReset(loop);
		MemoryContextSwitchTo(loop);
		scan_databases();
		MemoryContextSwitchTo(TopMemoryContext);	/* handles stay */
		timeout = serve_databases();
		saga_proc_busy_end();
		saga_worker_proc_wait(timeout);
	}
}
