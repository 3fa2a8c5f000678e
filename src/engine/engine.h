/*
 * engine.h
 *		Workflows and executions: what workers, saga.drain() and the outbox call.
 */
#ifndef SAGA_ENGINE_H
#define SAGA_ENGINE_H

#include "asl/asl.h"
#include "common/common.h"
#include "fmgr.h"
#include "queue/queue.h"

extern void saga_engine_init(void); /* from _PG_init: sets the hooks of the modules below */

typedef struct SagaBatchOptions
{
	int			max_executions; /* 0: the setting pg_saga.batch_size (50) */
	bool		in_drain;		/* a user's session: leave its portals, locks, temp tables alone, if it is the owner's */
} SagaBatchOptions;

typedef struct SagaBatchResult
{
	int			claimed;		/* messages taken off the queue */
	int			finished;
	int			parked;
	int			early;			/* committed in the middle, to go on at once */
	int			kept;			/* left in the queue, to be tried again */
	bool		more;			/* the queue had at least as many as were asked for */
	bool		run_alone;		/* the next batch runs one execution: call again at once */
} SagaBatchResult;

/*
 * Runs one batch of a workflow queue: claims messages, runs each execution
 * until it ends or parks, writes all of it.  Needs a transaction (READ
 * COMMITTED) and an active snapshot; the caller commits, and
 * only that makes anything of it true.  When it raises, the caller aborts,
 * calls saga_engine_batch_aborted with the error and goes on: the engine
 * remembers which execution was running and runs it alone next.
 */
extern void saga_engine_batch(const SagaQueue *queue, const SagaBatchOptions *options,
							  SagaBatchResult *result);
extern void saga_engine_batch_committed(void);	/* after a successful commit */
extern void saga_engine_batch_aborted(const ErrorData *error);	/* after the abort, outside a transaction */

/*
 * The flight recorder: called by the engine as each execution begins and
 * ends.  The worker module sets it; NULL: none.
 */
typedef void (*saga_flight_hook_type) (const pg_uuid_t *execution_id);
extern saga_flight_hook_type saga_flight_hook;	/* NULL id: nothing is running */

/*
 * Poison: how often the server crashed while this execution ran.  The worker
 * module sets it; NULL or a result of 0: no suspect.  A suspect runs alone;
 * past pg_saga.crash_limit it becomes a dead letter (Saga.WorkerCrashed) and
 * saga_suspect_forget_hook is called in the same transaction.
 */
typedef int (*saga_suspect_hook_type) (const pg_uuid_t *execution_id);
typedef void (*saga_suspect_forget_hook_type) (const pg_uuid_t *execution_id);
extern saga_suspect_hook_type saga_suspect_hook;
extern saga_suspect_forget_hook_type saga_suspect_forget_hook;

/* Set by the ProcessUtility hook when a step ran SET CONSTRAINTS: its batch ends after it. */
extern bool saga_set_constraints_seen;

/* This process is inside a step right now (for hooks). */
extern bool saga_in_step;

/*
 * A session that is another role's than that of the steps (session.c): nothing
 * of theirs stays in it.  begin raises when the session has something that
 * would be within their reach; in a new transaction.  forget is for
 * after a rollback, command for the ProcessUtility hook (true: it is done).
 */
extern void saga_session_begin_foreign(void);
extern void saga_session_end_foreign(void);
extern void saga_session_forget(void);
extern bool saga_session_command(Node *stmt);

/*
 * In a signal handler: the step that runs now, if one does, is cancelled as by
 * its TimeoutSeconds, as others wait for its worker (pg_saga.step_timeout).
 */
extern void saga_step_cancel(void);

/* The same by pg_cancel_backend(): the step fails with what any statement fails with. */
extern void saga_step_cancel_by_user(void);

/*
 * In the handler of SIGINT: true when somebody sent it to stop an execution,
 * whose run is then given up if it is still this process's.
 */
extern bool saga_stop_signalled(void);

/*
 * Executions were stopped in a transaction that was prepared: tells whoever runs
 * them.
 */
extern void saga_stop_tell_prepared(void);

/* saga.create_workflow(name, definition, owner). */
extern Datum saga_create_workflow_for(PG_FUNCTION_ARGS);

/* The version that a workflow has now: that of a start put into its queue. */
extern int	saga_engine_version(int32 workflow_id);

#endif							/* SAGA_ENGINE_H */
