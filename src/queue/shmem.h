/*
 * shmem.h
 *		Shared memory of pg_saga: databases, queues with their low-water marks,
 *		and the processes that can be woken.
 *
 * There is none when the library is not in shared_preload_libraries
 * (saga_shared is NULL): then claims start at zero, nothing is woken, and
 * saga.drain() still does all the work.
 *
 * All of it is a cache.  Queues without a slot have no mark, so claims start
 * at zero there; that one of them may be ready is counted (unlisted), and
 * whoever serves its kind looks into the table.  Databases without a slot are
 * looked at again and again.
 *
 * Locks: one LWLock (SagaShared.lock) protects which slots are in use and
 * their identity; each slot's spinlock protects its own changing fields, and
 * may be taken under the LWLock.  Never take another lock under either, never
 * call anything that can raise under a spinlock.
 */
#ifndef SAGA_SHMEM_H
#define SAGA_SHMEM_H

#include "common/clock.h"
#include "common/common.h"
#include "port/atomics.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/spin.h"

#define SAGA_CLAIM_ENTRIES	16
#define SAGA_CAREFUL_ENTRIES	32

/* saga.queue.kind */
#define SAGA_QUEUE_PLAIN		'q' /* messages, read with saga.receive */
#define SAGA_QUEUE_WORKFLOW		'w' /* executions, run by workers */
#define SAGA_QUEUE_DESTINATION	'd' /* outbox messages, sent by publishers */
#define SAGA_QUEUE_ACTIVITY		'a' /* tasks, taken with saga.get_activity_task */

/* In shared memory: sessions wait for the tasks of an activity as for messages of a plain queue. */
#define SAGA_QUEUE_SERVED_AS(kind) \
	((kind) == SAGA_QUEUE_ACTIVITY ? SAGA_QUEUE_PLAIN : (kind))

typedef struct SagaClaimEntry
{
	bool		used;
	pg_uuid_t	cap;			/* the claim may not advance the mark beyond this */
} SagaClaimEntry;

/*
 * A queue as what a transaction notes of it says: its slot may be another
 * one's, or be there, when the transaction ends.
 */
typedef struct SagaQueueKey
{
	Oid			dboid;
	int32		queue_id;
	Oid			owner;
	char		kind;
} SagaQueueKey;

/* A message whose first run took its batch down. */
typedef struct SagaCareful
{
	pg_uuid_t	id;				/* its position */
	int			timed_out_task; /* the step that ran out of time is not called again; -1: none */
	bool		overstayed;		/* ... of pg_saga.step_timeout */
	bool		cancelled;		/* ... or somebody cancelled it */
} SagaCareful;

typedef struct SagaQueueSlot
{
	/* identity: changed under SagaShared.lock exclusive, dboid = 0 is free */
	Oid			dboid;
	int32		queue_id;

	/* the same, and under the spinlock: read under either */
	slock_t		mutex;			/* protects what follows */
	Oid			owner;
	char		kind;
	uint32		life;			/* counts the queues that the slot was made for */
	pg_uuid_t	mark;			/* nothing claimable at or below */
	SagaClaimEntry claims[SAGA_CLAIM_ENTRIES];

	/*
	 * messages that must not run without a savepoint: the last ones, in a
	 * ring
	 */
	SagaCareful careful[SAGA_CAREFUL_ENTRIES];
	uint32		next_careful;

	/*
	 * 1: something became claimable since a consumer last found nothing.  Set
	 * by whoever makes rows claimable and by a claim that found some, cleared
	 * before a look into the table: by saga_claim_begin, and by who sees no
	 * such queue (cache.c), with full barriers.
	 */
	pg_atomic_uint32 ready;

	/*
	 * 1: timers are due that are too large for the coordinator.  Set by it,
	 * cleared by who moves them, who is of the queue's owner.
	 */
	pg_atomic_uint32 large_due;

	pg_atomic_uint32 run_us;	/* of a workflow: what a run takes, see engine/pace.c; 0: not known */
} SagaQueueSlot;

typedef enum SagaProcType
{
	SAGA_PROC_FREE = 0,
	SAGA_PROC_LAUNCHER,
	SAGA_PROC_COORDINATOR,
	SAGA_PROC_WORKER,			/* runs executions of one owner */
	SAGA_PROC_PUBLISHER,
	SAGA_PROC_RECEIVER,			/* a session that waits in saga.receive */
	SAGA_PROC_SOURCE,			/* takes messages from elsewhere */
	SAGA_PROC_DRAIN,			/* a session in saga.drain() */
	SAGA_PROC_WAITER			/* a session that waits for the end of an execution */
} SagaProcType;

/* Why a process is missing that there is something to do for; several types of them in one number. */
typedef enum SagaMissing
{
	SAGA_MISSING_NONE = 0,
	SAGA_MISSING_PLACE,			/* the server has no room for another one */
	SAGA_MISSING_SETTING		/* there are to be none */
} SagaMissing;

#define SAGA_MISSING(type, why)		((uint32) (why) << (4 * (type)))
#define SAGA_MISSING_OF(all, type)	((SagaMissing) ((all) >> (4 * (type)) & 0xF))

#define SAGA_SHOWN_BYTES	128 /* of a name that is shown, with its end */

typedef struct SagaProcSlot
{
	/* under SagaShared.lock exclusive */
	SagaProcType type;
	Oid			dboid;
	Oid			owner;			/* of a worker */
	int32		queue_id;		/* of a receiver */
	int			pid;
	PGPROC	   *proc;			/* its procLatch is what is set */
	TimestampTz started_at;
	uint64		begun;			/* the same, of saga_monotonic_us */

	pg_atomic_uint32 sleeping;	/* 1: wants to be woken; the waker swaps it to 0 */
	pg_atomic_uint32 leave;		/* 1: asked to exit (DROP DATABASE ...); 2: there are to be fewer, which has time */

	/*
	 * What it does since when without having looked for anything else: a
	 * worker its batch, any other its turn; and a worker's step.  Written by
	 * the process alone.  Times are those of saga_monotonic_us; 0: it waits.
	 */
	pg_atomic_uint64 busy_since;
	pg_atomic_uint64 step_since;
	pg_atomic_uint32 step;		/* counts the steps, so that each has a number */

	/*
	 * A worker's step that has to end, twice its number, plus 1: with the
	 * worker.  Written by the coordinator, which then sends SIGINT.
	 */
	pg_atomic_uint64 cancel;
	pg_atomic_uint64 cancelled_at;	/* saga_monotonic_us */

	/*
	 * The execution that it runs, written by the process alone; zero: none.
	 * run counts the changes, and is odd while it is being changed.  Of a
	 * waiter the one that it waits for.
	 */
	pg_atomic_uint32 run;
	pg_atomic_uint64 execution[2];

	/*
	 * The workflow of that run and the state it is in, "": none yet; shown is
	 * as run is.
	 */
	pg_atomic_uint32 shown;
	char		workflow[SAGA_SHOWN_BYTES];
	char		state[SAGA_SHOWN_BYTES];

	/*
	 * The run that has to end, as its execution was stopped; whoever writes
	 * it then sends SIGINT.
	 */
	pg_atomic_uint32 stop;
	pg_atomic_uint64 stopped_at;	/* saga_monotonic_us */

	/*
	 * A coordinator's.  1: some workflow was ready while its owner's workers
	 * were busy, and the coordinator will look whether they still are.
	 */
	pg_atomic_uint32 watching;

	/*
	 * Of a coordinator and the launcher: which of the processes that it
	 * starts are missing, each type with a SagaMissing, and since when
	 * (TimestampTz) it is so.
	 */
	pg_atomic_uint32 missing;
	pg_atomic_uint64 missing_since;

	/* statistics, written by the process alone */
	pg_atomic_uint64 batches;
	pg_atomic_uint64 done;		/* executions run, messages sent ... */
	pg_atomic_uint64 errors;
	pg_atomic_uint64 last_active;	/* TimestampTz */
} SagaProcSlot;

typedef struct SagaDatabaseSlot
{
	Oid			dboid;			/* under SagaShared.lock exclusive, 0 is free */

	slock_t		mutex;			/* protects what follows */
	int			closed;			/* commands that need it for themselves: no process of ours may start */
	bool		has_extension;	/* CREATE EXTENSION was seen */

	/*
	 * Timers: the earliest wake_at not yet moved (DT_NOEND: none, DT_NOBEGIN:
	 * not known, look), and a low-water mark as the queues have: no timer at
	 * or before timer_mark.  One scan at a time may advance it, as far as
	 * timer_cap.
	 */
	TimestampTz next_wake;
	TimestampTz timer_mark;
	bool		timer_scan;
	TimestampTz timer_cap;

	/*
	 * When the coordinator is to call saga_sweep next.  Earlier than usual
	 * after rows of saga.queue came from elsewhere (a restore), and then
	 * resweeps more times in short order, as the other tables may follow.
	 */
	TimestampTz sweep_at;		/* saga_monotonic_now */
	int			resweeps;

	/* Raised when saga.source changed: what is known of it is old. */
	uint32		sources;

	/*
	 * Counts what made a queue ready that has no slot; of workflows, and of
	 * destinations.  0: there was none yet.
	 */
	pg_atomic_uint32 unlisted[2];
} SagaDatabaseSlot;

struct SagaPrepared;			/* twophase.c */

typedef struct SagaShared
{
	LWLock	   *lock;
	TimestampTz started_at;		/* of the server, or the end of its last crash; never changes */
	int			max_queues;
	int			max_procs;
	int			max_background; /* the first of procs: no session takes one of these */

	/*
	 * Under lock.  Behind those are the sessions': there is none in use from
	 * end_procs on, so that nobody has to look at places that are free, and
	 * none is free before first_free.
	 */
	int			end_procs;
	int			first_free;
	int			max_databases;
	/* arrays behind the struct, sizes from POSTMASTER settings */
	SagaDatabaseSlot *databases;
	SagaQueueSlot *queues;
	int32	   *queue_index;	/* open hash over queues: slot number or -1; under lock */
	uint32		queue_index_mask;
	int			next_victim;	/* where to look next for a slot to take away; under lock */
	SagaProcSlot *procs;
	struct SagaPrepared *prepared;	/* under lock */
	int			max_prepared;

	/*
	 * Under lock.  Not 0: a prepared transaction may exist that is not in the
	 * table above, as it survived a restart or came from logical replication.
	 */
	uint32		prepared_unknown;

	SagaSetClock clock;

	pg_atomic_uint32 waiters;	/* how many processes of the type WAITER there are: whoever ends executions looks here */
	pg_atomic_uint32 stops;		/* raised when the event that stops an execution is there, and somebody has that */
} SagaShared;

extern SagaShared *saga_shared; /* pointer into shared memory; NULL: not preloaded */

extern int	saga_max_queues;	/* GUC pg_saga.max_queues */
extern int	saga_max_databases; /* GUC pg_saga.max_databases */
extern int	saga_max_processes; /* GUC pg_saga.max_processes */

extern void saga_shmem_request(void);	/* from the request hook (15+) or _PG_init (14) */
extern void saga_shmem_startup(void);	/* from shmem_startup_hook */

/* Nothing can be claimed that is seen by a snapshot taken from now on. */
extern void saga_queue_clear_ready(int32 queue_id);
extern bool saga_queue_is_listed(int32 queue_id);

/*
 * unlisted of this database for a kind; changes by itself, now and then, where
 * the database has no slot.
 */
extern uint32 saga_queue_unlisted(char kind);
#define SAGA_UNLISTED_LOOK_MS	1000	/* how often who has seen one looks again, to be sure */

/* NULL: there is no shared memory, or no free slot. */
extern SagaDatabaseSlot *saga_database_slot(Oid dboid, bool create);
extern void saga_queue_forget_database(Oid dboid);	/* dropped: frees its queue and database slots */

/*
 * A message whose first run, without a savepoint, took its whole batch down.
 * Whichever worker claims it next must know, or several of them would fail
 * with it in turn.
 */
extern void saga_queue_careful_note(SagaQueueSlot *slot, const SagaCareful *careful);
extern bool saga_queue_careful_test(SagaQueueSlot *slot, SagaCareful *careful); /* finds careful->id, fills in the rest */
extern SagaDatabaseSlot *saga_queue_my_database(void);	/* slot of MyDatabaseId, made if need be */

/*
 * Something of the queue became claimable (mark: as saga_slot_lower; NULL:
 * the mark is low enough): the slot that it has now is told, or the count of
 * unlisted ones, and one sleeping process that serves it is woken.  None
 * asleep but one awake: nothing, it looks again before it sleeps.  None at
 * all: the database's coordinator, or else the launcher.  Never raises.
 */
extern void saga_queue_push_key(const SagaQueueKey *key, const pg_uuid_t *mark);

/* Takes over the large timers of a queue, if it has been handed any; then saga_timers_fire is to be called. */
extern bool saga_queue_take_over(int32 queue_id);

/* All marks of a database go to zero; sets the ready flags and wakes everyone. */
extern void saga_database_rewind(Oid dboid);

/* saga.source changed; the process for sources and the coordinator are woken. Never raises. */
extern void saga_queue_sources_changed(void);
extern uint32 saga_queue_sources_generation(void);

/* Ask the coordinator for a sweep at this time or earlier; db NULL: its slot went, and nothing is done. */
extern void saga_sweep_soon(SagaDatabaseSlot *db, TimestampTz at, int resweeps);

/*
 * This process's own slot; released in before_shmem_exit.  Background
 * processes have slots of their own, as many as there can be of them; sessions
 * in saga.receive and saga.drain have others, as many as there can be sessions.
 * NULL: there is no shared memory.
 *
 * A process that wants to sleep:
 *		saga_proc_prepare_sleep();
 *		look again: saga_queue_ready_queues, next_wake, sweep_at, leave ...
 *		nothing: WaitLatch, ResetLatch
 *		saga_proc_end_sleep();
 * The waker stores its news (the ready flag) and then swaps "sleeping" to 0;
 * the sleeper stores "sleeping" and then reads the news.  Both have a full
 * barrier between the two, so at least one of them sees the other.
 */

/* Around a worker's batch or another one's turn, and around each step of a worker.  Never raise; the end may come twice. */
extern void saga_proc_busy_begin(void);
extern void saga_proc_busy_end(void);
extern void saga_proc_step_begin(void);
extern void saga_proc_step_end(void);

/* What this process, who starts others, lacks: SAGA_MISSING of each type. */
extern void saga_proc_set_missing(uint32 missing);

/* Around a run: whose it is.  Whoever runs this one now is to end it; false: nobody does. */
extern void saga_proc_run_begin(const pg_uuid_t *execution_id);
extern void saga_proc_run_end(void);
extern bool saga_proc_stop_execution(const pg_uuid_t *execution_id);

/*
 * This session waits for the end of an execution (waiter.c), and its latch is set
 * by the commit that ends it: look with a new snapshot after this, and each time
 * the latch was set.  saga_proc_detach ends it.  False: nobody will tell.
 */
extern bool saga_waiter_attach(const pg_uuid_t *execution_id);

/* This transaction ends an execution, or it is given up without one. */
extern void saga_waiter_note_ended(const pg_uuid_t *execution_id);

/* shown.c: the workflow and state of the run, and all of that of another process; false: it runs nothing, or goes on right now. */
typedef struct SagaProcShown
{
	pg_uuid_t	execution_id;
	char		workflow[SAGA_SHOWN_BYTES];
	char		state[SAGA_SHOWN_BYTES];
} SagaProcShown;

extern void saga_proc_show(const char *workflow, const char *state);
extern bool saga_proc_shown(int slot, int pid, SagaProcShown *shown);

/* What is being run in this database right now, in the caller's memory. */
extern int	saga_proc_list_runs(pg_uuid_t **execution_ids);

/*
 * Of a signal's handler: is it for the run that is under way?  *ours: somebody
 * sent it to stop a run, this one or an earlier one.
 */
extern bool saga_proc_is_stopped(bool *ours);

/*
 * A worker that has been in one batch for longer than a batch takes is in a
 * long step: who waits for it cannot know for how long, so it counts as absent.
 * So does a publisher in a turn of that length, when somebody is to be woken.
 */
extern bool saga_queue_busy_overstays(uint64 busy_us);
extern long saga_queue_overstay_ms(void);

extern void saga_proc_prepare_sleep(void);
extern void saga_proc_end_sleep(void);
extern SagaProcSlot *saga_my_proc;
extern SagaProcSlot *saga_proc_attach(SagaProcType type, Oid dboid, Oid owner, int32 queue_id);
extern void saga_proc_detach(void);

extern void saga_wake_type(SagaProcType type, Oid dboid);	/* all of a type */

/* Queues of one owner (or InvalidOid: any) and kind in this database whose ready flag is set. */
extern int	saga_queue_ready_queues(Oid owner, char kind, int32 *queue_ids, int max);

/* At this moment a queue without a slot would get none. */
extern bool saga_queue_places_are_taken(void);

/* The same of all owners: who has room for max_queues keys gets them all. */
extern int	saga_queue_ready_keys(char kind, SagaQueueKey *keys);

#endif							/* SAGA_SHMEM_H */
