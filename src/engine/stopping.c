/*
 * stopping.c
 *		What a stop looks like to who runs executions: where its event is, how many
 *		there were, and the step that is interrupted for it.
 */
#include "postgres.h"

#include "engine/engine_private.h"
#include "engine/step_private.h"
#include "engine/stop_private.h"
#include "miscadmin.h"
#include "storage/latch.h"

/* Written by a signal's handler, too. */
volatile sig_atomic_t saga_run_stopped = 0;

/* Whose run was begun last in this process: within a step it is that one's. */
pg_uuid_t	saga_running_id;

/*
 * The execution's id with version 6 in place of 7: before all ids of its
 * millisecond, and none that somebody can give an execution.
 */
pg_uuid_t
saga_stop_position(const pg_uuid_t *execution_id)
{
	pg_uuid_t	position = *execution_id;

	position.data[6] = 0x60 | (position.data[6] & 0x0f);
	return position;
}

bool
saga_stop_is_event(const SagaItem *item)
{
	JsonbValue	v;

	return item->kind == SAGA_MSG_EVENT && item->body != NULL && JB_ROOT_IS_OBJECT(item->body) &&
		saga_jsonb_get(item->body, "stop", &v);
}

bool
saga_stop_is_pending(const SagaQueue *queue, const pg_uuid_t *execution_id)
{
	pg_uuid_t	position = saga_stop_position(execution_id);

	return saga_queue_has_at(queue->queue_id, &position, SAGA_MSG_EVENT);
}

uint32
saga_stop_count(void)
{
	return saga_shared != NULL ? pg_atomic_read_u32(&saga_shared->stops) : 0;
}

void
saga_stop_check(void)
{
	if (saga_run_stopped)
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("the execution was stopped")));
}

/* Signal handler: cancels the query as pg_cancel_backend would. */
void
saga_step_interrupt(void)
{
	InterruptPending = true;
	QueryCancelPending = true;
	SetLatch(MyLatch);
}
