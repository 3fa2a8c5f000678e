/*
 * engine.h
 *		Workflows and executions: what workers, saga.drain() and the outbox call.
 */
#ifndef SAGA_ENGINE_H
#define SAGA_ENGINE_H

#include "asl/asl.h"
#include "common/common.h"
#include "queue/queue.h"

typedef struct SagaBatchOptions
{
	int			max_executions; /* 0: the setting pg_saga.batch_size (50) */
	bool		in_drain;		/* a user's session: leave its portals, locks, temp tables alone */
} SagaBatchOptions;

typedef struct SagaBatchResult
{
	int			claimed;		/* messages taken off the queue */
	int			finished;
	int			parked;
	int			kept;			/* left in the queue, to be tried again */
	bool		more;			/* the queue had at least as many as were asked for */
	bool		run_alone;		/* the next batch runs one execution: call again at once */
} SagaBatchResult;

/*
 * Runs one batch of a workflow queue: claims messages, runs each execution
 * until it ends or parks, writes all of it.  Needs a transaction (READ
 * COMMITTED), an active snapshot and SPI_connect; the caller commits, and
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
 * An event for an execution: a row in its workflow's queue.  body is one of
 *   {"task": id, "output": ...}
 *   {"task": id, "error": ..., "cause": ...}
 *   {"task": id, "heartbeat": true}
 *   {"stop": {"error", "cause", "compensate"}}
 */
extern void saga_engine_send_event(int32 workflow_id, const pg_uuid_t *execution_id, Jsonb *body);

#endif							/* SAGA_ENGINE_H */
