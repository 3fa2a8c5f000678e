/*
 * queue.h
 *		Queues: the low-water mark, what the engine and the outbox call, and
 *		the cache of saga.queue.
 *
 * A row of saga.message is claimable; whatever waits for a time (delayed,
 * being retried, in flight at a receiver, an execution's timer) is a row of
 * saga.timer and comes back as a message under a fresh id.
 * The protocol is in queue/README.md.
 */
#ifndef SAGA_QUEUE_H
#define SAGA_QUEUE_H

#include "common/common.h"
#include "name/name.h"
#include "nodes/pg_list.h"
#include "queue/shmem.h"
#include "utils/jsonb.h"

/* saga.message.kind, saga.timer.kind */
#define SAGA_MSG_MESSAGE	'm' /* a message of a plain queue */
#define SAGA_MSG_START		's' /* an execution that has not begun; message_id is its id, body its input */
#define SAGA_MSG_EVENT		'e' /* something that happened to execution "target"; body says what */
#define SAGA_MSG_TICK		't' /* timer only in saga.timer; as a message: execution "target" has something due */
#define SAGA_MSG_OUTBOX		'o' /* message_id is the row of saga.outbox to send */

typedef struct SagaQueue
{
	int32		queue_id;
	char	   *name;
	char		kind;
	Oid			owner;
	int64		visibility_timeout_ms;
	int			max_receives;	/* 0: no limit */
	int32		dead_letter_queue;	/* 0: the dead-letter table only */
} SagaQueue;

/*
 * From a per-process cache that a trigger on saga.queue invalidates; valid
 * until the next transaction. missing_ok false raises UNDEFINED_OBJECT.
 * by_owner: NULL when there is none of exactly this owner and name.
 */
extern const SagaQueue *saga_queue_by_owner(Oid owner, const char *name);
extern const SagaQueue *saga_queue_by_id(int32 queue_id, bool missing_ok);

/*
 * What a name means for a user who needs one of these rights (SagaRight) on it: see
 * name/name.h.  The queue of a workflow or a destination needs it on those.
 */
extern const SagaQueue *saga_queue_find(const char *text, Oid user, int rights, bool missing_ok);

/* What a queue belongs to, as rights are granted on it. */
extern SagaObject saga_queue_object(const SagaQueue *queue);

extern void saga_queue_init(void);	/* from _PG_init: registers the look-ups of names */

/*
 * The queue stays until the end of the transaction: saga.drop_queue waits.
 * Returns the queue as it is now; raises UNDEFINED_OBJECT if it went.
 * saga_send_rows and the SQL functions do this by themselves.
 */
extern const SagaQueue *saga_queue_lock(const SagaQueue *queue);

/*
 * For who found the ready flag of a workflow set: the queue, locked as above
 * and read under the lock, so that its owner is what it is said to be.  NULL:
 * it is being made, or is gone; then nothing is to be done now, and whoever
 * commits it says so again.
 */
extern const SagaQueue *saga_queue_lock_ready(int32 queue_id);

/* The same of a destination, by who serves all owners: nothing is locked, the owner may change. */
extern const SagaQueue *saga_queue_of_ready(int32 queue_id);

/*
 * For processes that serve many owners: false when somebody is dropping or
 * changing it, who may take his time to commit.  After true saga_queue_lock
 * does not wait.
 */
extern bool saga_queue_try_lock(int32 queue_id);

/* ---------- the low-water mark (mark.c) ---------- */

/*
 * A claim: begin, run the claiming statement with id > claim.mark ORDER BY id
 * FOR UPDATE SKIP LOCKED, then at once saga_claim_end with the last id it
 * returned (NULL: none).  If the statement raises, the abort callback ends
 * the claim and pushes the mark it had read.  Never advances in REPEATABLE
 * READ or SERIALIZABLE.
 *
 * begin clears the queue's ready flag, end sets it again when there was
 * something: claim until a claim finds nothing, then nobody has to be told
 * about what was left.  end also notes the rows as locked.
 */
typedef struct SagaClaim
{
	SagaQueueKey key;
	SagaQueueSlot *slot;		/* NULL: it has none; entry not -1: stays the queue's */
	uint32		life;			/* the slot's, as the claim began */
	int			entry;			/* -1: no free entry, does not advance */
	pg_uuid_t	mark;			/* where to start */
} SagaClaim;

extern void saga_claim_begin(SagaClaim *claim, const SagaQueue *queue);
extern void saga_claim_end(SagaClaim *claim, const pg_uuid_t *last);

/* ids this (sub)transaction inserted: pushed, and a consumer woken, after commit */
extern void saga_note_inserted(const SagaQueue *queue, const pg_uuid_t *id);

/*
 * ids this (sub)transaction locked or deleted: pushed if it aborts.  Noted
 * before the statement that locks them, as that may lock some and then raise.
 */
extern void saga_note_locked(const SagaQueue *queue, const pg_uuid_t *id);

/*
 * Around a statement that locks rows of saga.message other than by a claim,
 * when their ids are not known before: if it raises, some may be locked, so
 * the mark goes to zero.  After end, note what it locked.
 */
extern void saga_locking_begin(SagaClaim *claim, const SagaQueue *queue);
extern void saga_locking_end(SagaClaim *claim);

/* locked, but left in place: pushed at commit too */
extern void saga_note_kept(const SagaQueue *queue, const pg_uuid_t *id);

/* a row of saga.timer was made or made earlier: the coordinator is told after commit */
extern void saga_note_timer(TimestampTz wake_at);

/* after a claim that got as many as it asked for: another consumer may help with the rest */
extern void saga_wake_next(const SagaQueue *queue);

/* the same where the queue is said to be ready already, or another one has begun to look since */
extern void saga_wake_server(const SagaQueue *queue);

/* push right now (sweep) */
extern void saga_queue_push(const SagaQueue *queue, const pg_uuid_t *id);

extern void saga_mark_init(void);	/* from _PG_init: registers the transaction callbacks */

/* COMMIT/ROLLBACK PREPARED: called by the ProcessUtility hook around the statement (twophase.c) */
extern void saga_prepared_note_gid(const char *gid);	/* before PREPARE TRANSACTION */

/*
 * What else the end of a prepared transaction has to tell.  Noted by other
 * modules in their callbacks of XACT_EVENT_PRE_PREPARE; SWEEP is seen to here.
 */
#define SAGA_NEWS_SWEEP			1
#define SAGA_NEWS_SOURCES		2
#define SAGA_NEWS_ROLES			4
#define SAGA_NEWS_DATABASES		8
#define SAGA_NEWS_EXTENSION		16	/* created or updated */
#define SAGA_NEWS_NO_EXTENSION	32	/* dropped */
#define SAGA_NEWS_STOPS			64	/* executions that somebody runs were stopped */
extern void saga_prepared_note_news(int news);

/* After COMMIT or ROLLBACK PREPARED, in PG_FINALLY.  Returns the news; all that are harmless when they are not known. */
extern int	saga_prepared_finish(const char *gid);

/* ---------- sending (send.c) ---------- */

/*
 * Puts rows into saga.message (delay_ms 0) or saga.timer.  body and headers
 * may be NULL; target only for events.  Returns nothing: the ids are the caller's.
 */
typedef struct SagaSend
{
	pg_uuid_t	message_id;
	char		kind;
	int			version;		/* of a start, else 0 */
	pg_uuid_t	target;			/* of an event, else zero */
	Jsonb	   *body;
	Jsonb	   *headers;
	int64		delay_ms;

	/*
	 * message_id is not new: the row gets a fresh position, so that it does
	 * not throw the queue's mark back to its age.
	 */
	bool		returned;
} SagaSend;

extern void saga_send_rows(const SagaQueue *queue, const SagaSend *rows, int nrows);

/*
 * Moves timers of a queue that are due (at most limit) back into
 * saga.message, pushes and wakes.  Messages that were received too often
 * become dead letters instead.  *next_wake is when to call again: the earliest
 * wake_at left, of any queue, DT_NOEND if none, a second from now while
 * somebody holds a due one locked.  Needs a transaction; returns the number of
 * timers that went.
 */
extern int	saga_timers_fire(const SagaQueue *queue, TimestampTz now, int limit, TimestampTz *next_wake);

/*
 * The same for all queues, for the coordinator: one transaction's part of it,
 * taking turns by owner (turns.c).  True: there is more to do at once.
 * *next_wake is also kept in the database's slot.  After one that raised call
 * failed, outside of a transaction, which puts the culprit aside; false: there
 * is none, try again later.
 */
extern bool saga_timers_turn(TimestampTz now, TimestampTz *next_wake);
extern bool saga_timers_failed(void);

/*
 * The safety net: pushes claimable rows behind the marks and logs a WARNING
 * for each queue that had any.  first (when a coordinator starts): no
 * warning, and the queues that have rows are made ready.  Sets the time of
 * the next one (SagaDatabaseSlot.sweep_at).  Needs a transaction of its own,
 * which goes through a part of the queues: call it until it returns false.  After one that raised call failed.
 */
extern bool saga_sweep_turn(bool first);
extern bool saga_sweep_is_under_way(void);
extern void saga_sweep_failed(void);
extern void saga_sweep_restart(void);	/* what was done does not count */

/*
 * Makes a queue of a kind; raises DUPLICATE_OBJECT if the owner has one of the name.
 * settings may be NULL; members visibility_timeout, max_receives,
 * dead_letter_queue_id, retention.  Returns its id.
 */
extern int32 saga_queue_create(const char *name, char kind, Oid owner, Jsonb *settings);

/* Of a workflow or destination that gets another owner; raises DUPLICATE_OBJECT. */
extern void saga_queue_set_owner(int32 queue_id, Oid owner);

/* Against everybody who has sent, received ... and not committed.  The first is a SagaTakeLocks, its argument an int32 *. */
extern void saga_queue_take_exclusive(void *queue_id);
extern void saga_queue_lock_exclusive(int32 queue_id, const char *what, const char *name);

/*
 * The queue's slot in shared memory (shmem.h), made if there is none; NULL: no
 * shared memory, no free slot, or somebody is changing the queue.  Only who
 * has the queue's lock makes one of a workflow: its owner is in it.
 */
extern SagaQueueSlot *saga_queue_slot(const SagaQueue *queue);

/* For the sweep: the owner in a slot that is there may be wrong, after a restore for one. */
extern void saga_queue_slot_correct(const SagaQueue *queue);

/*
 * Drops a queue of any kind with all its messages and dead letters: lock it
 * first, and look it up again.
 */
extern void saga_queue_drop(const SagaQueue *queue);

/* ---------- dead letters (dead.c) ---------- */
typedef struct SagaDeadLetter
{
	int32		queue_id;
	pg_uuid_t	message_id;
	char		kind;			/* SAGA_MSG_* */
	const char *reason;
	const char *cause;
	int			receives;
	TimestampTz sent_at;
	Jsonb	   *body;
	Jsonb	   *headers;
	Jsonb	   *details;
} SagaDeadLetter;

extern pg_uuid_t saga_dead_letter_insert(const SagaDeadLetter *letter);

/*
 * Redrive of letters that are not messages of a plain queue: kinds s, e, t
 * by the engine, o by the outbox.  The letter is locked and the caller's
 * rights to its queue are checked; failed_at and redrive's own columns are
 * redrive's.  *as becomes what it was redriven as (the execution's id ...).
 * False: there is no way back for this one, and nothing was done; with
 * or_raise this is an error.
 */
typedef enum SagaRedriveHow
{
	SAGA_REDRIVE_MANY,			/* what has no way back is passed over */
	SAGA_REDRIVE_ONE,			/* ... is an error */
	SAGA_REDRIVE_FORCE			/* even though something is left of it, which nobody settles any more */
} SagaRedriveHow;

typedef bool (*saga_redrive_hook_type) (const SagaQueue *queue, const SagaDeadLetter *letter, SagaRedriveHow how,
										pg_uuid_t *as);
extern saga_redrive_hook_type saga_redrive_execution_hook;
extern saga_redrive_hook_type saga_redrive_outbox_hook;

#endif							/* SAGA_QUEUE_H */
