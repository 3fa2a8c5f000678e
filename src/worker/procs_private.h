/*
 * procs_private.h
 *		What the processes of pg_saga share among themselves.  See README.md.
 */
#ifndef SAGA_PROCS_PRIVATE_H
#define SAGA_PROCS_PRIVATE_H

#include "postmaster/bgworker.h"
#include "queue/queue.h"
#include "queue/shmem.h"

#define SAGA_MAX_PROBES		4
#define SAGA_MAX_NOTES		64
#define SAGA_MAX_TOLD		128

/* What a coordinator found out about its database, for the launcher. */
typedef enum SagaProbeResult
{
	SAGA_PROBE_UNKNOWN = 0,
	SAGA_PROBE_FOUND,			/* it serves the database now */
	SAGA_PROBE_ABSENT			/* no extension there */
} SagaProbeResult;

typedef struct SagaProbe
{
	Oid			dboid;			/* written by the launcher before it starts the process */
	pg_atomic_uint32 result;
} SagaProbe;

/* Why an owner's executions wait. */
typedef struct SagaNote
{
	Oid			dboid;			/* 0: free */
	Oid			owner;
	TimestampTz since;
	char		reason[192];
} SagaNote;

typedef struct SagaProcsShared
{
	uint64		epoch;			/* of this start or crash restart; never changes */
	pg_atomic_uint32 suspects;	/* raised when saga.suspect changed, in any database */
	pg_atomic_uint32 prepared_stops;	/* raised when a prepared transaction ended that stopped executions */
	pg_atomic_uint32 deaths;	/* raised when a process ended in the middle of an execution */
	pg_atomic_uint32 lost_publishers;	/* raised when one ended that may have had requests in flight */
	pg_atomic_uint32 roles;		/* raised when a role or a right was changed */
	pg_atomic_uint32 news;		/* raised when a database was opened, or the extension created */

	/*
	 * The starts of dynamic processes, and those of the last ones that ended
	 * because somebody told them to.
	 */
	pg_atomic_uint32 starts;
	pg_atomic_uint32 next_told;
	pg_atomic_uint32 told[SAGA_MAX_TOLD];
	SagaProbe	probes[SAGA_MAX_PROBES];
	SagaNote	notes[SAGA_MAX_NOTES];	/* under SagaShared.lock */
} SagaProcsShared;

extern SagaProcsShared *saga_procs; /* pointer into shared memory; NULL: not preloaded */

extern Size saga_procs_shmem_size(void);
extern void saga_procs_shmem_startup(void);

/* ---------- starting and ending (procs.c) ---------- */

/* What a dynamic process is told, in bgw_extra. */
typedef struct SagaProcArgs
{
	Oid			dboid;
	Oid			owner;
	int			probe;			/* -1: none */
	uint32		start;			/* its number, filled in by saga_worker_proc_start */
} SagaProcArgs;

extern bool saga_worker_proc_start(SagaProcType type, SagaProcArgs *args, BackgroundWorkerHandle **handle);

/*
 * Did the process of that start end because somebody told it to?  Then the
 * next one need not fail.  0: a start that is not known.
 */
extern bool saga_worker_proc_was_told(uint32 start);

/*
 * The first thing in each process: signals, its slot, closed databases, exit
 * callbacks.  Then it connects.  Does not return when the process is not wanted.
 */
extern void saga_worker_proc_begin(SagaProcType type, SagaProcArgs *args);
extern void saga_worker_proc_connected(const char *what, Oid owner);

extern void saga_worker_proc_sigterm(SIGNAL_ARGS);

/*
 * This process has something to write down when it is told to end: what it does
 * then is cancelled, and it looks at saga_worker_proc_told_to_end by itself.
 */
extern void saga_worker_proc_finishes(void);
extern bool saga_worker_proc_told_to_end(void);

/* A publisher ends with requests in flight: others look for them when it is gone. */
extern void saga_worker_proc_leaves_requests(void);

/* For the handler: it was told so by itself, which another one in its place would be too. */
extern void saga_worker_proc_told_by_itself(void);

/* The handler of SIGINT, and whether one is the server's own: a time-out of this process is over. */
extern void saga_worker_proc_sigint(SIGNAL_ARGS);
extern bool saga_worker_proc_timeout_is_over(void);

/* Top of each loop: interrupts, reload, leave. True when settings were read anew. */
extern bool saga_worker_proc_interrupts(void);
extern bool saga_worker_proc_wanted(void);	/* false: asked to leave, or the database is closed */
extern bool saga_worker_proc_is_one_too_many(void); /* asked to leave for no other reason: it may first end what it does */

/* Waits on the latch outside any transaction; -1: no timeout. */
extern void saga_worker_proc_wait(long timeout_ms);

/* A transaction of the process: READ COMMITTED, read write. */
extern void saga_worker_proc_begin_transaction(void);
extern void saga_worker_proc_commit(void);

/* saga_extension_lock without an error: false, the extension is gone. In a transaction. */
extern bool saga_worker_proc_try_lock_extension(void);

/* In a transaction of its own. Waits for a DROP EXTENSION that is being done. */
extern bool saga_worker_proc_has_extension(void);

/* In a PG_CATCH: logs the error, back to zero. The copy is in the context given. */
extern ErrorData *saga_worker_proc_recover(MemoryContext context);

/* ---------- other processes ---------- */

/* OR of SAGA_AT(type) */
#define SAGA_AT(type)	(1 << (type))
#define SAGA_AT_DATABASE \
	(SAGA_AT(SAGA_PROC_COORDINATOR) | SAGA_AT(SAGA_PROC_WORKER) | SAGA_AT(SAGA_PROC_PUBLISHER) | \
	 SAGA_AT(SAGA_PROC_SOURCE))

typedef struct SagaProcCopy
{
	int			slot;
	SagaProcType type;
	Oid			dboid;
	Oid			owner;
	int			pid;
	TimestampTz started_at;
	int64		up_us;			/* since then */
	TimestampTz last_active;
	bool		idle;
	bool		leaving;
	int64		busy_us;		/* in its batch or turn; -1: in none */
	bool		overstays;		/* a worker's, longer than a batch takes */
	uint32		step;
	int64		step_us;		/* in this step; -1: in none */
	uint64		cancel;			/* SagaProcSlot's */
	int64		stopped_us;		/* since what it runs was stopped; -1: it was not */
	int64		cancelled_us;	/* so long ago */
	int64		batches;
	int64		done;
	int64		errors;
	uint32		missing;		/* SagaProcSlot's */
	TimestampTz missing_since;
} SagaProcCopy;

/* Copies of the slots of these types of background processes; dboid InvalidOid: any. Returns their number. */
extern int	saga_worker_proc_list(int types, Oid dboid, SagaProcCopy **copies);
extern int	saga_worker_proc_count(int types, Oid dboid);
extern void saga_worker_proc_ask_leave(int types, Oid dboid);	/* sets leave and the latch */
extern void saga_worker_proc_ask_leave_pid(int pid);	/* as one too many */

/* The step ends, as by its TimeoutSeconds; hard: with its worker.  One that has ended since is not meant. */
extern void saga_worker_proc_cancel_step(const SagaProcCopy *proc, bool hard);
extern void saga_worker_proc_terminate(int types, Oid dboid);	/* SIGTERM */
extern bool saga_worker_proc_database_is_closed(Oid dboid);
extern void saga_worker_proc_tell_launcher(void);	/* something changed: it tries again at once */

/* ---------- why executions wait (note.c) ---------- */

/* Why no session of this role can be started, or NULL. Needs a transaction. */
extern const char *saga_worker_owner_problem(Oid owner);

/*
 * A reason for saga.workers; NULL removes it.  Full: it is not kept.  The view finds it
 * in the database itself then, but nobody knows since when.
 */
typedef enum SagaNoted
{
	SAGA_NOTED,					/* nothing is new */
	SAGA_NOTE_NEW,
	SAGA_NOTE_FULL
} SagaNoted;

extern SagaNoted saga_worker_note_set(Oid dboid, Oid owner, const char *reason);

/* Forgets the reasons of all others in that database: nothing of theirs waits. */
extern void saga_worker_note_keep(Oid dboid, const List *owners);

/* ---------- main functions ---------- */
extern PGDLLEXPORT void saga_launcher_main(Datum arg);
extern PGDLLEXPORT void saga_coordinator_main(Datum arg);
extern PGDLLEXPORT void saga_worker_main(Datum arg);
extern PGDLLEXPORT void saga_worker_publisher_main(Datum arg);
extern PGDLLEXPORT void saga_worker_source_main(Datum arg);

extern void saga_launcher_register(void);	/* from _PG_init */

/* ---------- utility.c ---------- */
extern void saga_utility_init(void);

/* ---------- refuse.c: before a command runs ---------- */
extern void saga_worker_refuse_command(Node *stmt);

/* ---------- owners that go (owned.c) ---------- */
extern void saga_owned_refuse_drop_role(Oid role);
extern void saga_owned_refuse_drop(DropOwnedStmt *stmt);
extern void saga_owned_reassign(ReassignOwnedStmt *stmt);
extern void saga_owned_lock_for_command(Node *stmt);

/* ---------- the flight recorder (recorder.c) ---------- */
extern void saga_recorder_startup(void);	/* from the shared memory startup hook */

/* This process runs executions from now on; "starts" is called as each of them begins. */
typedef void (*SagaRecorderStart) (const pg_uuid_t *execution_id);
extern void saga_recorder_attach(Oid dboid, bool in_worker, SagaRecorderStart starts);
extern void saga_recorder_detach(void); /* a session that stays: gives its slot back */
extern void saga_recorder_terminated_by(int pid);	/* in a signal handler: SIGTERM came from there */

/*
 * What a crash left running in this database: calls back for each (NULL:
 * nobody wants to know) and frees the slots.  Returns their number; *left is
 * that of those for which the callback said false, whose slots stay.
 */
typedef bool (*SagaRecorderFound) (const pg_uuid_t *execution_id);
extern int	saga_recorder_collect(Oid dboid, SagaRecorderFound callback, int *left);

/* ---------- suspects (suspect.c) ---------- */
extern void saga_suspect_init(void);	/* sets the engine's hooks */

/*
 * Turns what a crash left running into rows of saga.suspect.  In a
 * transaction.  False: somebody holds a row; call it again.
 */
extern bool saga_suspect_collect(void);

extern void saga_suspect_batch_begin(void); /* in the batch's transaction */
extern void saga_suspect_starts(const pg_uuid_t *execution_id); /* from the flight hook */
extern void saga_suspect_survived(void);	/* before the commit: suspects that ran are cleared */

/* ---------- retention.c ---------- */
extern TimestampTz saga_retention_next(void);
extern void saga_retention_turn(void);	/* a small batch of one table; in a transaction */

#endif							/* SAGA_PROCS_PRIVATE_H */
