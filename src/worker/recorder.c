/*
 * recorder.c
 *		The flight recorder: what each process was running, in a file that
 *		outlives a crash of the server.
 *
 * The file is mapped into memory and lies in pg_stat_tmp, which neither a
 * base backup nor pg_rewind copies.  Each process that runs executions has a
 * slot.  As an execution begins, its id and "running" are stored, as it ends,
 * "idle": a few nanoseconds.  When the server crashes, the postmaster sends
 * SIGQUIT to everybody else, and a worker's handler marks its slot
 * "innocent"; only the culprit (and sessions in saga.drain(), which have no
 * handler) keep "running".  A process that ends in the middle of an execution
 * without being told to, for instance because a step terminated it, leaves
 * its slot "running" too.
 *
 * A slot belongs to whoever wrote its epoch, that of the shared memory, and
 * pid.  One of another epoch is stale: it is freed by saga_recorder_collect,
 * for its own database, before anybody claims there.
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "access/xlog.h"
#include "engine/engine.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "worker/procs_private.h"

#define RECORDER_FILE	PG_STAT_TMP_DIR "/pg_saga.recorder"
#define RECORDER_MAGIC	0x5341474130303031	/* "SAGA0001", with the format's version */
#define RECORDER_SLOTS	512

typedef enum
{
	SLOT_FREE = 0,
	SLOT_TAKEN,					/* being filled in */
	SLOT_IDLE,
	SLOT_RUNNING,
	SLOT_INNOCENT				/* was running, stopped by the postmaster */
} SlotState;

typedef struct RecorderSlot
{
	pg_atomic_uint32 state;		/* taken by compare-and-swap FREE -> TAKEN */
	int32		pid;
	uint64		epoch;
	Oid			dboid;
	pg_uuid_t	execution_id;
} RecorderSlot;

typedef struct RecorderFile
{
	uint64		magic;
	uint64		system_identifier;
	RecorderSlot slots[RECORDER_SLOTS];
} RecorderFile;

/* Pointers into the mapped file; NULL: no recorder, which costs only the protection. */
static RecorderFile *file = NULL;
static RecorderSlot *my_slot = NULL;

/* Written by the signal handler: SIGTERM came from somebody else. */
static volatile sig_atomic_t told_to_end = 0;
static bool is_worker = false;

/* Who is told of each execution that begins in this process. */
static SagaRecorderStart on_start = NULL;


/* Was the file written in this format, by this server? */
static bool
is_ours(const RecorderFile *f)
{
	return f->magic == RECORDER_MAGIC && f->system_identifier == GetSystemIdentifier();
}

/*
 * Maps the file, makes it if need be.  Two processes may make it at once: both
 * write the same header.  It is never made shorter, and its blocks are
 * allocated: touching a page that the file does not have would be a SIGBUS,
 * and a crash of the server.
 */
static void
map_file(void)
{
	void	   *map;
	int			fd;
	int			error;

	if (file != NULL)
		return;
	fd = OpenTransientFile(RECORDER_FILE, O_RDWR | O_CREAT | PG_BINARY);
	if (fd < 0)
	{
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", RECORDER_FILE)));
		return;
	}
	do
		error = posix_fallocate(fd, 0, sizeof(RecorderFile));
	while (error == EINTR);
	if (error != 0)
	{
		errno = error;
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not prepare file \"%s\": %m", RECORDER_FILE)));
		CloseTransientFile(fd);
		return;
	}
	map = mmap(NULL, sizeof(RecorderFile), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CloseTransientFile(fd);
	if (map == MAP_FAILED)
	{
		ereport(LOG,
				(errmsg("could not map file \"%s\": %m", RECORDER_FILE)));
		return;
	}
	file = map;
	if (!is_ours(file))
	{
		memset(file, 0, sizeof(RecorderFile));
		file->system_identifier = GetSystemIdentifier();
		file->magic = RECORDER_MAGIC;
	}
}

/* The life of the shared memory; 0: there is none of ours. */
static uint64
my_epoch(void)
{
	return saga_procs != NULL ? saga_procs->epoch : 0;
}

/*
 * From the startup hook: in the postmaster, before any process runs.  What
 * was not running when it was left is of no interest.
 */
void
saga_recorder_startup(void)
{
	if (IsUnderPostmaster)
		return;
	map_file();
	if (file == NULL)
		return;
	for (int i = 0; i < RECORDER_SLOTS; i++)
		if (pg_atomic_read_u32(&file->slots[i].state) != SLOT_RUNNING)
			pg_atomic_write_u32(&file->slots[i].state, SLOT_FREE);
}

/* The engine's hook: an execution begins (id) or ends (NULL). */
static void
record(const pg_uuid_t *execution_id)
{
	if (execution_id != NULL && on_start != NULL)
		on_start(execution_id);
	if (my_slot == NULL)
		return;
	if (execution_id == NULL)
	{
		pg_atomic_write_u32(&my_slot->state, SLOT_IDLE);
		return;
	}
	/* the id is complete before the state says that it counts */
	my_slot->execution_id = *execution_id;
	pg_write_barrier();
	pg_atomic_write_u32(&my_slot->state, SLOT_RUNNING);
}

/* The postmaster stops us, because another process crashed or because it is told to stop at once. */
static void
on_sigquit(int signo)
{
	if (my_slot != NULL && pg_atomic_read_u32(&my_slot->state) == SLOT_RUNNING)
		pg_atomic_write_u32(&my_slot->state, SLOT_INNOCENT);
	_exit(2);
}

void
saga_recorder_terminated_by(int pid)
{
	if (pid != MyProcPid)
		told_to_end = 1;
}

/*
 * At the end of a process the transaction was aborted, but the slot tells
 * what it was in.  A session ends for many innocent reasons, a worker only if
 * it is told to, which note_sender (worker.c) sees.
 */
static void
on_exit_detach(int code, Datum arg)
{
	if (my_slot == NULL)
		return;
	if (pg_atomic_read_u32(&my_slot->state) == SLOT_RUNNING && is_worker && !told_to_end)
	{
		my_slot->epoch = 0;		/* stale: the coordinator counts it */
		my_slot->pid = 0;
		my_slot = NULL;
		if (saga_procs != NULL)
			pg_atomic_fetch_add_u32(&saga_procs->deaths, 1);
		return;
	}
	saga_recorder_detach();
}

void
saga_recorder_attach(Oid dboid, bool in_worker, SagaRecorderStart starts)
{
	static bool exit_registered = false;

	on_start = starts;
	saga_flight_hook = record;
	if (my_slot != NULL)
		return;
	map_file();
	if (file == NULL)
		return;
	if (!exit_registered)
		before_shmem_exit(on_exit_detach, (Datum) 0);
	exit_registered = true;
	for (int i = 0; i < RECORDER_SLOTS; i++)
	{
		RecorderSlot *slot = &file->slots[i];
		uint32		expected = SLOT_FREE;

		if (!pg_atomic_compare_exchange_u32(&slot->state, &expected, SLOT_TAKEN))
			continue;
		slot->pid = MyProcPid;
		slot->dboid = dboid;
		slot->epoch = my_epoch();
		pg_write_barrier();
		pg_atomic_write_u32(&slot->state, SLOT_IDLE);
		my_slot = slot;
		break;
	}
	is_worker = in_worker;
	if (in_worker)
		pqsignal(SIGQUIT, on_sigquit);
}

/*
 * The slot is "taken" by whoever calls this, so that nobody else gives it back
 * as well: it may be another process's by then.
 */
static void
give_slot_back(RecorderSlot *slot)
{
	pg_write_barrier();
	slot->epoch = 0;
	slot->pid = 0;
	pg_write_barrier();
	pg_atomic_write_u32(&slot->state, SLOT_FREE);
}

void
saga_recorder_detach(void)
{
	RecorderSlot *slot = my_slot;

	if (slot == NULL)
		return;
	my_slot = NULL;
	pg_atomic_write_u32(&slot->state, SLOT_TAKEN);
	give_slot_back(slot);
}

/*
 * Without shared memory (not preloaded) the epoch is always 0 and a slot of a
 * live session cannot be told from one that was left by a crash, except by
 * asking whether its process lives.
 */
static bool
is_stale(const RecorderSlot *slot)
{
	if (slot == my_slot)
		return false;
	if (slot->epoch != 0)
		return slot->epoch != my_epoch() && my_epoch() != 0;
	return slot->pid == 0 || kill(slot->pid, 0) != 0 || slot->pid == MyProcPid;
}

int
saga_recorder_collect(Oid dboid, SagaRecorderFound callback, int *left)
{
	int			found = 0;

	*left = 0;
	map_file();
	if (file == NULL)
		return 0;
	for (int i = 0; i < RECORDER_SLOTS; i++)
	{
		RecorderSlot *slot = &file->slots[i];
		uint32		state = pg_atomic_read_u32(&slot->state);

		if (state == SLOT_FREE || state == SLOT_TAKEN || slot->dboid != dboid || !is_stale(slot))
			continue;
		if (state == SLOT_RUNNING && callback != NULL)
		{
			if (!callback(&slot->execution_id))
			{
				(*left)++;
				continue;
			}
			found++;
		}
		if (pg_atomic_compare_exchange_u32(&slot->state, &state, SLOT_TAKEN))
			give_slot_back(slot);
	}
	return found;
}
