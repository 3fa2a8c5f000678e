/*
 * init.c
 *		The library's entry: settings, hooks, shared memory and the launcher.
 */
#include "postgres.h"

#include "common/guc.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "queue/queue.h"
#include "storage/ipc.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

#ifdef SAGA_HAVE_SHMEM_REQUEST_HOOK
static shmem_request_hook_type previous_shmem_request = NULL;
#endif
static shmem_startup_hook_type previous_shmem_startup = NULL;

PGDLLEXPORT void _PG_init(void);


#ifdef SAGA_HAVE_SHMEM_REQUEST_HOOK
static void
shmem_request(void)
{
	if (previous_shmem_request)
		previous_shmem_request();
	saga_shmem_request();
}
#endif

static void
shmem_startup(void)
{
	if (previous_shmem_startup)
		previous_shmem_startup();
	saga_shmem_startup();
}

static void
preload(void)
{
	DefineCustomIntVariable("pg_saga.max_queues",
							"Number of queues of all databases that have a place in shared memory.",
							NULL,
							&saga_max_queues, 1024, 16, 1000000, PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pg_saga.max_processes",
							"Number of background processes and waiting receivers of all databases.",
							NULL,
							&saga_max_processes, 64, 4, 10000, PGC_POSTMASTER, 0, NULL, NULL, NULL);
#ifdef SAGA_HAVE_SHMEM_REQUEST_HOOK
	previous_shmem_request = shmem_request_hook;
	shmem_request_hook = shmem_request;
#else
	saga_shmem_request();
#endif
	previous_shmem_startup = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;
}

void
_PG_init(void)
{
	saga_guc_define();
	if (process_shared_preload_libraries_in_progress)
		preload();
	saga_mark_init();
#if PG_VERSION_NUM >= 150000
	MarkGUCPrefixReserved("pg_saga");
#endif
}
