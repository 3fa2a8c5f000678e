/*
 * queue.h
 *		Queues: what can be done with the messages in them, and the cache of
 *		saga.queue.
 *
 * A row of saga.message is claimable; whatever waits for a time (delayed,
 * being retried, in flight at a receiver, an execution's timer) is a row of
 * saga.timer and comes back as a message under a fresh id.
 * The protocol is in queue/README.md.
 */
#ifndef SAGA_QUEUE_H
#define SAGA_QUEUE_H

#include "common/common.h"
#include "fmgr.h"
#include "name/name.h"
#include "nodes/pg_list.h"
#include "queue/shmem.h"
#include "storage/itemptr.h"
#include "utils/array.h"
#include "utils/jsonb.h"
#include "utils/tuplestore.h"

/* saga.message.kind, saga.timer.kind */
#define SAGA_MSG_MESSAGE	'm' /* a message of a plain queue */
#define SAGA_MSG_START		's' /* an execution that has not begun; message_id is its id, body its input */
#define SAGA_MSG_EVENT		'e' /* something that happened to execution "target"; body says what */
#define SAGA_MSG_TICK		't' /* timer only in saga.timer; as a message: execution "target" has something due */
#define SAGA_MSG_CHILDREN	'c' /* something happened to the children "target"; body says what */
#define SAGA_MSG_OUTBOX		'o' /* message_id is the row of saga.outbox to send */
#define SAGA_MSG_TASK		'a' /* of an activity, for execution "target"; body is its input */

/* The name of an activity's queue, which is in the way of no other queue's: "activity/NAME". */
#define SAGA_ACTIVITY_PREFIX	"activity/"

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
 * saga_queue_send_rows and the SQL functions do this by themselves.
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

/* ---------- messages (take.c, wait.c, find.c) ---------- */

/*
 * No other module names the tables that messages are in, and none has to know
 * what the mark needs: these verbs are the only way to them, and the notes of
 * what this transaction has locked, inserted or left in place are theirs.
 *
 * Each is a part of the caller's transaction, raises the user by itself unless
 * the caller has, and gives what it returns in the current memory context.
 * What is claimed, locked or taken is again what it was if the (sub)transaction
 * aborts.  Where a verb says "who has it locked is passed over" it waits for
 * nobody's row.  Ids are those of messages; the caller holds the queue's lock
 * (saga_queue_lock), or bears that the queue is dropped meanwhile.
 */
typedef struct SagaMessage
{
	pg_uuid_t	id;				/* position in the queue; of a timer that of the message */
	ItemPointerData ctid;		/* where the row is, while this transaction has it locked */
	pg_uuid_t	message_id;		/* what the sender was given */
	char		kind;			/* SAGA_MSG_* */
	int			receives;		/* how often it was taken before, or had trouble */
	TimestampTz sent_at;

	/* only of whole messages: */
	int			version;		/* of a start, else 0 */
	pg_uuid_t	target;			/* zero: none */
	Jsonb	   *body;			/* NULL: none */
	Jsonb	   *headers;
} SagaMessage;

/*
 * Claims messages, in the order of the queue, up to limit; who has one locked
 * is passed over.  Not whole: without version, target, body and headers.  Each
 * is finished, put among the timers and finished, or kept, before the
 * transaction ends.  *n is how many there are.
 *
 * A claim that finds something leaves the queue's ready flag set, one that
 * finds nothing leaves it clear: claim until a claim finds nothing, then nobody
 * has to be told about what was left.
 */
extern SagaMessage *saga_queue_claim(const SagaQueue *queue, int limit, bool whole, int *n);

/*
 * The same, whole, of no more than together take so much memory, one message at
 * least.  The rows behind them, *nleft, are locked as well, and kept.
 */
extern SagaMessage *saga_queue_claim_within(const SagaQueue *queue, int limit, Size most, int *n, int *nleft);

/* The same of what is at these positions, which are sorted, wherever the mark is, and whole; the ready flag stays as it is. */
extern SagaMessage *saga_queue_claim_at(const SagaQueue *queue, pg_uuid_t *positions, int npositions, int *n);

/* The ready flag is cleared, as by a claim that finds nothing: what becomes claimable from now on sets it again. */
extern void saga_queue_claim_nothing(const SagaQueue *queue);

/* Gone for good: messages that this transaction has claimed or locked, by their ctid, n may be 0. */
extern void saga_queue_finish(ItemPointerData *ctids, int n);

/* One that was claimed stays in its place, and is claimed again after this transaction; id is its position. */
extern void saga_queue_keep(const SagaQueue *queue, const pg_uuid_t *id);

/* Locks one message of a kind, wherever it is, and reads it whole; who has it locked is passed over. */
typedef enum SagaPlaceOfMessage
{
	SAGA_NOWHERE,				/* or somebody has it locked */
	SAGA_IN_QUEUE,				/* saga_queue_finish by its ctid ends it */
	SAGA_IN_TIMERS				/* saga_queue_drop_timer does */
} SagaPlaceOfMessage;

extern SagaPlaceOfMessage saga_queue_lock_message(const SagaQueue *queue, const pg_uuid_t *message_id, char kind,
												  SagaMessage *message);

/*
 * Takes a message out of the queue, for good, if nobody has it in flight or
 * locked and it was not taken more often than "receives".  False: there is no
 * such row.
 */
extern bool saga_queue_take_back(const SagaQueue *queue, const pg_uuid_t *message_id, int receives);

/*
 * Into the timers, of messages without a body that are finished in this
 * transaction.  lease: under a number that only its owner knows (outbox/lease.c),
 * with this count of receives; it ends by itself at "until".  False: the message
 * is in flight already.  put_back: it comes back at wake_at as it was.
 */
extern bool saga_queue_lease(int32 queue_id, const SagaMessage *message, int receives, int64 lease, TimestampTz until);
extern void saga_queue_put_back(int32 queue_id, const SagaMessage *message, TimestampTz wake_at);

/* The same of any message that is locked and not finished yet: a copy of it, received once more. */
extern void saga_queue_postpone(const ItemPointerData *ctid, TimestampTz wake_at);

/*
 * The end of a lease, if the row is under it still; who has it locked is passed
 * over.  end_lease: the message is done.  release: it comes back at wake_at, and
 * undone says that this attempt does not count.  False: it is somebody else's
 * by now.
 */
extern bool saga_queue_end_lease(int32 queue_id, const pg_uuid_t *message_id, int64 lease);
extern bool saga_queue_release(int32 queue_id, const pg_uuid_t *message_id, int64 lease, TimestampTz wake_at,
							   bool undone);

/*
 * Of all queues, messages of this kind.  leases: the numbers there are.
 * release_all: what is under this one comes back at wake_at, its attempts
 * counted; queue_ids, an array of int4, NULL: of all queues.  Returns how many.
 */
extern int64 *saga_queue_leases(char kind, int *n);
extern int	saga_queue_release_all(char kind, int64 lease, const ArrayType *queue_ids, TimestampTz wake_at);

/* The lease that a message is in flight under, and until when; false: it is not in flight. */
extern bool saga_queue_find_lease(int32 queue_id, const pg_uuid_t *message_id, int64 *lease, TimestampTz *until);

/*
 * Another time for a message that waits and is not in flight.  hasten: this
 * one; waits for who has the row locked; false: there is none.  delay: not
 * before this one; who has it locked is passed over.
 */
extern bool saga_queue_hasten(int32 queue_id, const pg_uuid_t *message_id, TimestampTz wake_at);
extern void saga_queue_delay(int32 queue_id, const pg_uuid_t *message_id, TimestampTz wake_at);

/*
 * The tick of an execution: one at most, set or moved to wake_at, its message id
 * is the execution's.  drop_timer: the message of this kind does not wait any more.
 */
extern void saga_queue_set_tick(const SagaQueue *queue, const pg_uuid_t *target, TimestampTz wake_at);
extern void saga_queue_drop_timer(const SagaQueue *queue, const pg_uuid_t *message_id, char kind);

/* ---------- looking, without a lock (find.c) ---------- */

extern bool saga_queue_has(int32 queue_id, const pg_uuid_t *message_id, char kind); /* wherever it is */
extern bool saga_queue_has_at(int32 queue_id, const pg_uuid_t *position, char kind);

/* It is in flight, or was taken more often than "receives". */
extern bool saga_queue_taken_since(int32 queue_id, const pg_uuid_t *message_id, int receives);

/* Messages that can be claimed, counted up to "most"; active snapshot. */
extern int	saga_queue_count(int32 queue_id, int most);

/*
 * What has failed in it and waits for a person, counted up to "most": dead letters
 * that were not redriven, and what is in the queue that it gives its own to.
 * Of letters the newest are looked at; active snapshot.
 */
extern int	saga_queue_count_dead(const SagaQueue *queue, int most);

/* Has it the start of an execution of another version?  Active snapshot. */
extern bool saga_queue_has_other_version(int32 queue_id, int version);

/* Waits until no unfinished transaction of anybody else, prepared ones too, has put the start of this execution into a queue. */
extern void saga_queue_wait_for_starters(const pg_uuid_t *execution_id);

/*
 * Fragments of SQL, for who has to look at messages and at tables of his own in
 * one snapshot.  queue_id, message_id and execution_id are SQL.
 */
#define SAGA_QUEUE_HAS_CLAIMABLE(queue_id) \
	"EXISTS (SELECT FROM saga.message claimable WHERE claimable.queue_id = " queue_id ")"
#define SAGA_QUEUE_HAS_DUE(queue_id) \
	"EXISTS (SELECT FROM saga.timer due WHERE due.queue_id = " queue_id " AND due.wake_at <= now())"

/* FROM this: the row of a message, wherever in its queue it is. */
#define SAGA_QUEUE_MESSAGES(queue_id, message_id) \
	"(SELECT q.kind, q.receives, NULL::bigint AS lease, q.body FROM saga.message q" \
	" WHERE q.queue_id = " queue_id " AND q.id = " message_id \
	" UNION ALL SELECT q.kind, q.receives, NULL::bigint, q.body FROM saga.message q" \
	" WHERE q.queue_id = " queue_id " AND q.message_id = " message_id " AND q.id <> q.message_id" \
	" UNION ALL SELECT q.kind, q.receives, q.lease, q.body FROM saga.timer q" \
	" WHERE q.queue_id = " queue_id " AND q.message_id = " message_id ") queue_message"

/*
 * FROM this: the queues that have the start of an execution.  A look into two
 * indexes, however many queues there are: those of all others could be anybody's.
 */
#define SAGA_QUEUE_STARTS(execution_id) \
	"(SELECT q.queue_id FROM saga.message q WHERE q.kind = 's' AND q.message_id = " execution_id \
	" UNION ALL SELECT q.queue_id FROM saga.timer q WHERE q.kind = 's' AND q.message_id = " execution_id ") queue_start"

/* ---------- waiting for messages (receive.c) ---------- */

/*
 * Calls "try", which claims, until it says that it has got something, or the
 * time is over; each has a snapshot of its own.  Sleeps in between until there
 * may be something in this queue, or *next, of the clock, has come (DT_NOEND: by
 * itself nothing comes).  Without a wait it is called once.  The transaction
 * stays open, and must be READ COMMITTED to wait.
 */
typedef bool (*SagaQueueTry) (void *arg, TimestampTz *next);

extern void saga_queue_wait(const SagaQueue *queue, int64 wait_ms, SagaQueueTry try, void *arg);

/* ---------- arguments and results of SQL functions (args.c) ---------- */

extern void saga_queue_arg_required(FunctionCallInfo fcinfo, int arg, const char *name);
extern int64 saga_queue_arg_interval_ms(FunctionCallInfo fcinfo, int arg, const char *name, int64 if_null);
extern Tuplestorestate *saga_queue_srf_begin(FunctionCallInfo fcinfo, TupleDesc *desc);

/* ---------- who is told, and when (notes.c) ---------- */

/* Nothing was put into it, and whoever serves it is to look again after our commit. */
extern void saga_queue_wake_after_commit(const SagaQueue *queue);

/* after a claim that got as many as it asked for: another consumer may help with the rest */
extern void saga_wake_next(const SagaQueue *queue);

/* the same where the queue is said to be ready already, or another one has begun to look since */
extern void saga_wake_server(const SagaQueue *queue);

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
#define SAGA_NEWS_ENDED			128 /* executions have ended that somebody may wait for; seen to here */
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

extern void saga_queue_send_rows(const SagaQueue *queue, const SagaSend *rows, int nrows);

/*
 * A message at this position, which is its id, of the caller's making: for what
 * has to come before others.  If there is one already, it stays, with the new
 * body if "replace".  Waits for who has that one locked.
 */
extern void saga_queue_put_at(const SagaQueue *queue, const pg_uuid_t *position, char kind, const pg_uuid_t *target,
							  Jsonb *body, bool replace);

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
	const char *state;			/* that has failed, for the log; NULL: none */
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
 * False: there is no way back for this one, and nothing was done; unless it is
 * one of many this is an error.
 */
typedef struct SagaRedriveHow
{
	bool		many;			/* what has no way back is passed over */
	bool		force;			/* even though something is left of it, which nobody settles any more */
	bool		anew;			/* another execution from the beginning, even though it could go on where it failed */
	Jsonb	   *input;			/* of one that begins anew; NULL: the one that it had */
} SagaRedriveHow;

typedef bool (*saga_redrive_hook_type) (const SagaQueue *queue, const SagaDeadLetter *letter, const SagaRedriveHow *how,
										pg_uuid_t *as);
extern saga_redrive_hook_type saga_redrive_execution_hook;
extern saga_redrive_hook_type saga_redrive_outbox_hook;

#endif							/* SAGA_QUEUE_H */
