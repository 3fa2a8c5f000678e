/*
 * init.c
 *		The library's entry: settings, hooks, shared memory and the launcher.
 *
 * Without shared_preload_libraries there is no shared memory and no process:
 * functions work, saga.drain() and saga.publish() do all the work.
 *
 * Order matters: settings first, as everything reads them; then names, marks
 * and queues, which others build on; the outbox, sources and the engine
 * register themselves with these.  Shared memory and the launcher come last,
 * and only while the server preloads.
 */
#include "postgres.h"

#include "common/common.h"
#include "common/guc.h"
#include "engine/engine.h"
#include "fmgr.h"
#include "invoice/submit.h"
#include "miscadmin.h"
#include "outbox/outbox.h"
#include "queue/queue.h"
#include "source/source.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/guc.h"
#include "worker/procs_private.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

#ifdef SAGA_HAVE_SHMEM_REQUEST_HOOK
static shmem_request_hook_type previous_request = NULL;
#endif
static shmem_startup_hook_type previous_startup = NULL;


/* Sizes of shared memory: only where they have an effect. */
static void
define_sizes(void)
{
	DefineCustomIntVariable("pg_saga.max_queues",
							"Number of queues, of all databases, that are kept in shared memory.",
							"More of them work too, slower.",
							&saga_max_queues, 1024, 16, 1000000, PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pg_saga.max_databases",
							"Number of databases that are kept in shared memory.",
							"More of them work too: they are looked at once a second.",
							&saga_max_databases, 64, 1, 100000, PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pg_saga.max_processes",
							"Number of background processes, of all databases, that shared memory has room for.",
							"There is room for max_worker_processes of them at least.",
							&saga_max_processes, 64, 8, 10000, PGC_POSTMASTER, 0, NULL, NULL, NULL);
}

/* shmem_request_hook: so much shared memory is asked for. */
static void
request(void)
{
#ifdef SAGA_HAVE_SHMEM_REQUEST_HOOK
	if (previous_request)
		previous_request();
#endif
	saga_shmem_request();
	RequestAddinShmemSpace(saga_procs_shmem_size());
}

/* shmem_startup_hook: the shared memory is there. */
static void
startup(void)
{
	if (previous_startup)
		previous_startup();
	saga_shmem_startup();
	saga_procs_shmem_startup();
	saga_recorder_startup();
}

void
_PG_init(void)
{
	saga_guc_define();
	saga_invoice_guc_define();
	if (process_shared_preload_libraries_in_progress)
	{
		saga_in_every_session = true;
		define_sizes();
	}
	saga_after_commit_log_init();
	saga_name_init();
	saga_mark_init();
	saga_queue_init();
#if PG_VERSION_NUM >= 150000
	/* a misspelt setting is told at once */
	MarkGUCPrefixReserved("pg_saga");
	MarkGUCPrefixReserved("pg_invoice");
#endif
	saga_outbox_init();
	saga_source_init();
	saga_engine_init();
	saga_utility_init();
	if (!process_shared_preload_libraries_in_progress)
		return;

#ifdef SAGA_HAVE_SHMEM_REQUEST_HOOK
	previous_request = shmem_request_hook;
	shmem_request_hook = request;
#else
	request();
#endif
	previous_startup = shmem_startup_hook;
	shmem_startup_hook = startup;
	/* pg_upgrade starts the old and the new server: nothing may run there */
	if (IsBinaryUpgrade)
		return;
	saga_takeover_look_at_files();
	saga_launcher_register();
}
