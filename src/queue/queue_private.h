/*
 * queue_private.h
 *		What the files of src/queue share among themselves.
 */
#ifndef SAGA_QUEUE_PRIVATE_H
#define SAGA_QUEUE_PRIVATE_H

#include "common/statement.h"
#include "fmgr.h"
#include "funcapi.h"
#include "queue/queue.h"
#include "queue/shmem_private.h"
#include "utils/array.h"
#include "utils/tuplestore.h"

/* ---------- the low-water mark (claims.c, notes.c, timer_mark.c) ---------- */

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
extern void saga_queue_locking_begin(SagaClaim *claim, const SagaQueue *queue);
extern void saga_queue_locking_end(SagaClaim *claim);

/* locked, but left in place: pushed at commit too */
extern void saga_note_kept(const SagaQueue *queue, const pg_uuid_t *id);

/* a row of saga.timer was made or made earlier: the coordinator is told after commit */
extern void saga_note_timer(TimestampTz wake_at);

/* push right now (sweep) */
extern void saga_queue_push(const SagaQueue *queue, const pg_uuid_t *id);

extern bool saga_timer_scan_begin(bool all_queues, TimestampTz *mark);
extern TimestampTz saga_timer_scan_end(TimestampTz empty_to, TimestampTz next_wake);
extern void saga_note_timers_moved(void);
extern void saga_note_dropped(int32 queue_id);
extern void saga_note_given(const SagaQueue *queue, Oid owner);

/* GUC pg_saga.test_mutant (mark.c): a part of a protocol to leave out, see mark_private.h */
#define SAGA_MUTANT_FORGET		32
extern int	saga_test_mutant;

/* take.c: for the test of the mark */
extern int	saga_test_claim_pause_us;

/* notes.c: how shared memory names a queue */
extern SagaQueueKey saga_queue_key_of_queue(const SagaQueue *queue);

/* cache.c */
extern void saga_note_foreign(void);	/* rows of saga.queue came from elsewhere: a sweep after commit */
extern bool saga_queue_take_foreign(void);	/* this transaction, which ends, has noted that */
extern void saga_queue_forget_if_gone(int32 queue_id);

/* args.c: arguments of SQL functions */
extern const SagaQueue *saga_queue_arg_queue(FunctionCallInfo fcinfo, int arg, int rights);
extern void saga_queue_check_plain(const SagaQueue *queue);
extern pg_uuid_t *saga_queue_arg_uuids(FunctionCallInfo fcinfo, int arg, const char *name, int *n);
extern int	saga_queue_compare_uuids(const void *a, const void *b); /* for qsort */

/* arrays of a statement's parameters */
extern ArrayType *saga_queue_tid_array(ItemPointerData *tids, int n);
extern ArrayType *saga_queue_uuid_array(pg_uuid_t *ids, int n);

/* the column ctid of the row that is looked at */
extern ItemPointerData saga_queue_row_ctid(SagaRows *rows);

/* dead.c: how a row leaves for the dead letters */
typedef enum SagaDeadFrom
{
	SAGA_DEAD_FROM_MESSAGE,
	SAGA_DEAD_FROM_TIMER
} SagaDeadFrom;

extern bool saga_dead_letter_move(const SagaQueue *queue, SagaDeadFrom from,
								  ItemPointerData *tids, int n, const char *reason);

/* timer.c: rows of saga.timer that are due, and locked by this transaction */
typedef struct SagaDueTimer
{
	ItemPointerData tid;
	int32		queue_id;
	bool		dead;			/* received too often */
} SagaDueTimer;

/* The rows, which are freed, have ctid, queue_id, receives, lease. */
extern SagaDueTimer *saga_timers_read(SagaRows *rows, int *n);
extern void saga_timers_move(SagaDueTimer *due, int n);

/*
 * Ends a look at saga.timer that began at mark.  Returns when to look again;
 * again: there is more that is due, and not locked.
 */
extern TimestampTz saga_timers_end_scan(TimestampTz mark, TimestampTz now, bool again);

/* manage.c: this process is inserting into saga.queue by itself */
extern bool saga_creating_queue;

#endif							/* SAGA_QUEUE_PRIVATE_H */
