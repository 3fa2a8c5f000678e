/*
 * stop_private.h
 *		Executions that are stopped, also while somebody runs them.
 */
#ifndef SAGA_ENGINE_STOP_PRIVATE_H
#define SAGA_ENGINE_STOP_PRIVATE_H

#include <signal.h>
#include "engine/engine_private.h"

/* What saga.stop_execution does; body is the event. */
extern void saga_stop_later(const SagaQueue *queue, const pg_uuid_t *execution_id, Jsonb *body);
extern void saga_stop(int32 workflow_id, const pg_uuid_t *execution_id, Jsonb *body);

/* Where the event is that stops an execution. */
extern pg_uuid_t saga_stop_position(const pg_uuid_t *execution_id);

extern bool saga_stop_is_ours(const pg_uuid_t *execution_id);	/* stopped by this transaction, with an event */
extern pg_uuid_t saga_running_id;	/* within a step, whose it is */
extern bool saga_stop_is_event(const SagaItem *item);
extern SagaItem *saga_stop_claim_start(SagaBatch *batch, const pg_uuid_t *execution_id, bool *locked_elsewhere);

/*
 * Changes when somebody stops an execution that is being run, after which its
 * event is pending.
 */
extern uint32 saga_stop_count(void);
extern bool saga_stop_is_pending(const SagaQueue *queue, const pg_uuid_t *execution_id);

/* The run was told to end, as its execution was stopped; check raises then. */
extern volatile sig_atomic_t saga_run_stopped;
extern void saga_stop_check(void);

#endif							/* SAGA_ENGINE_STOP_PRIVATE_H */
