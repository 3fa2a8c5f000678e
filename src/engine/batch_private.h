/*
 * batch_private.h
 *		The batch: from a message to an execution, its run, what is written of it.
 */
#ifndef SAGA_ENGINE_BATCH_PRIVATE_H
#define SAGA_ENGINE_BATCH_PRIVATE_H

#include "engine/engine_private.h"

/* ---------- what a message is about (job.c) ---------- */

/* NULL: there is nothing to run for it now. */
extern SagaJob *saga_job_make(SagaBatch *batch, SagaItem *item);

/* What a message of kind SAGA_MSG_START says. */
extern void saga_job_of_start(SagaJob *job, SagaItem *item);

/* ---------- who runs alone (alone.c) ---------- */

typedef struct SagaAlone
{
	int32		queue_id;
	pg_uuid_t	id;				/* position of their message */
	pg_uuid_t	execution_id;
	bool		failed;			/* its whole transaction was lost: do not run it now, postpone it */
	bool		in_turn;		/* nothing is wrong with it: it only runs by itself */
} SagaAlone;

extern void saga_alone_next(int32 queue_id, const pg_uuid_t *id, const pg_uuid_t *execution_id, bool failed);
extern void saga_engine_in_turn_next(int32 queue_id, const pg_uuid_t *id, const pg_uuid_t *execution_id);
extern void saga_alone_go_on(const SagaJob *job, uint64 begun_at);
extern bool saga_alone_take(int32 queue_id, SagaAlone *entry);	/* the next one of the queue */
extern bool saga_alone_any(int32 queue_id);

/* ---------- a run (environment.c, attempt.c) ---------- */

/* Makes env and machine. */
extern void saga_job_environment(SagaJob *job);

/* Sets the run up, or thaws it, and feeds it the events. */
extern void saga_job_begin(SagaJob *job, TimestampTz now);

/* 64 is where a snapshot overflows and everybody pays: commit before. */
#define SAGA_MAX_SUBXACTS	56

/* Trouble in a row before an execution is given up. */
#define SAGA_MAX_TROUBLE	20

/*
 * A run that calls this many tasks, or takes this much memory, parks and goes
 * on in another batch: so much is a chunk of its history at most, too.
 */
#define SAGA_MAX_TASKS		1000
#define SAGA_MAX_CHAIN_BYTES	((Size) 16 * 1024 * 1024)
#define SAGA_MAX_RUN_BYTES	((Size) 64 * 1024 * 1024)

/*
 * What is claimed takes so much at most, unpacked, or is a single message; and
 * when the runs of a batch have taken SAGA_MAX_RUN_BYTES, none is begun any more.
 */
#define SAGA_MAX_CLAIM_BYTES	((Size) 16 * 1024 * 1024)

/* ---------- one of a batch is run (attempt.c) ---------- */

/* first: of its batch, and then it has no savepoint.  Raises what loses the batch. */
extern void saga_attempt_run(SagaBatch *batch, SagaJob *job, bool first);
extern void saga_attempt_postpone(SagaBatch *batch, SagaJob *job);
extern void saga_attempt_bury(SagaBatch *batch, SagaJob *job);
extern bool saga_attempt_time_is_up(SagaBatch *batch);	/* of the batch */

/* The batch has been committed; or was lost, and then whether it is known which execution was running. */
extern void saga_attempt_forget(void);
extern bool saga_attempt_lost(void);
extern void saga_attempt_cancelled(void);

/* ---------- how many at once (pace.c) ---------- */

/* Executions that a batch claims, at most so many; and what is learned from it. */
extern int	saga_pace_limit(const SagaBatch *batch, int most);
extern bool saga_pace_is_slow(const SagaBatch *batch, int limit);
extern void saga_pace_ran(int32 queue_id, SagaQueueSlot *slot, uint64 us);
extern void saga_pace_held(int32 queue_id, int held);

/*
 * Around a run that has company in its batch: a step in it that takes too long
 * is cancelled, as if the engine had trouble, so that it runs alone next.
 */
extern void saga_pace_crowd_begin(void);
extern void saga_pace_crowd_end(void);
extern bool saga_step_crowded;	/* this happened to the last step */

/* ---------- reading and writing (store.c, ended.c) ---------- */

extern void saga_store_claim(SagaBatch *batch, int limit, const pg_uuid_t *only, const pg_uuid_t *only_of);

extern void saga_engine_item_of_message(const SagaMessage *message, SagaItem *item);	/* shares what that points to */

extern bool saga_store_load(SagaBatch *batch, SagaJob *job, bool *locked_elsewhere);

extern void saga_store_park(SagaBatch *batch, SagaJob *job, TimestampTz wake_at);
extern void saga_store_end(SagaBatch *batch, SagaJob *job);
extern void saga_store_flush(SagaBatch *batch); /* the end of a batch: all that ended, and the claimed rows */
extern void saga_store_postpone(SagaBatch *batch, SagaItem *item, int64 delay_ms);
extern void saga_store_bury(SagaBatch *batch, SagaItem *item, const char *reason, const char *cause);
extern void saga_store_dead_letter(SagaBatch *batch, SagaJob *job);
extern void saga_store_write_ended(SagaBatch *batch);	/* their rows, for saga_store_flush */

/*
 * Executions whose id another one has.  met: the error of a batch or a run was that;
 * look: the flush that comes next is not to find out by an error.
 */
extern bool saga_store_met_twin(const ErrorData *error);

/* Of one that begins: whether there is something that it cannot have written.  Looks only when some have been met. */
extern bool saga_store_has_twin(SagaJob *job);
extern void saga_store_look_for_twins(void);

/* ---------- what runs now, for people (told.c) ---------- */

extern void saga_execution_tell_begin(const SagaBatch *batch, const SagaJob *job);
extern void saga_execution_tell_step(const SagaBatch *batch, const char *name);
extern void saga_execution_tell_end(void);

/* The line of an error's context that an error context callback adds begins so. */
#define SAGA_CONTEXT_BEGINS	"pg_saga execution "
extern void saga_execution_error_context(void *arg);

#endif							/* SAGA_ENGINE_BATCH_PRIVATE_H */
