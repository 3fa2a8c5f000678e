/*
 * job.c
 *		From a claimed message to the execution that it is about.
 */
#include "postgres.h"

#include "common/clock.h"
#include "engine/batch_private.h"
#include "engine/children_private.h"
#include "engine/engine_private.h"
#include "engine/entry_private.h"
#include "engine/execution_private.h"
#include "engine/stop_private.h"

/*
 * An event whose execution is not there: it began in another transaction that
 * this one does not see yet, or a restore has not come to it.  Wait, but not
 * for ever.
 */
static void
handle_orphan(SagaBatch *batch, SagaItem *item)
{
	SagaDeadLetter letter = {0};

	if (item->kind == SAGA_MSG_TICK || saga_store_ended_workflow(&item->execution_id) != 0)
	{
		if (item->kind == SAGA_MSG_EVENT && !saga_entry_event(item, batch->queue->queue_id))
		{
			saga_store_postpone(batch, item, saga_backoff(10, item->receives, 60000));
			return;
		}
		item->done = item->taken = true;
		return;
	}
	if (item->receives < SAGA_MAX_TROUBLE)
	{
		saga_store_postpone(batch, item, saga_backoff(100, item->receives, 60000));
		return;
	}
	letter.queue_id = batch->queue->queue_id;
	letter.message_id = item->message_id;
	letter.kind = item->kind;
	letter.reason = "Saga.OrphanEvent";
	letter.cause = psprintf("execution %s does not exist", saga_uuid_to_cstring(&item->execution_id));
	letter.receives = item->receives;
	letter.sent_at = item->sent_at;
	letter.body = item->body;
	letter.headers = item->headers;
	(void) saga_dead_letter_insert(&letter);
	item->done = true;
}

/* All messages of the batch for this execution go into one run, in order. */
static void
collect_events(SagaBatch *batch, SagaJob *job, SagaItem *item)
{
	int			i;

	job->events = palloc(sizeof(SagaItem *) * batch->nitems);
	job->events[job->nevents++] = item;
	for (i = item - batch->items + 1; i < batch->nitems; i++)
	{
		SagaItem   *other = &batch->items[i];

		if (!other->skip && saga_uuid_cmp(&other->execution_id, &item->execution_id) == 0)
		{
			job->events[job->nevents++] = other;
			other->skip = true;
		}
	}
}

/* Reads what the events are about. False: it is not there, or somebody has locked it. */
static bool
load_job(SagaBatch *batch, SagaJob *job, SagaItem *item, bool *locked_elsewhere)
{
	SagaItem   *start;

	*locked_elsewhere = false;
	if (item->kind == SAGA_MSG_CHILDREN)
	{
		job->turn = palloc0(sizeof(SagaChildren));
		return saga_children_lock(&item->execution_id, job->turn, locked_elsewhere);
	}
	if (item->kind == SAGA_MSG_START)
	{
		saga_job_of_start(job, item);
		return true;
	}
	if (saga_store_load(batch, job, locked_elsewhere))
		return true;
	if (!saga_stop_is_event(item))
		return false;
	start = *locked_elsewhere ? NULL : saga_stop_claim_start(batch, &item->execution_id, locked_elsewhere);
	if (start != NULL)
		saga_job_of_start(job, start);
	else if (*locked_elsewhere)
		(void) saga_proc_stop_execution(&item->execution_id);
	return start != NULL;
}

/* NULL: there is nothing to run for this message. */
SagaJob *
saga_job_make(SagaBatch *batch, SagaItem *item)
{
	SagaJob    *job = palloc0(sizeof(SagaJob));
	bool		locked_elsewhere;

	job->queue = batch->queue;
	job->execution_id = item->execution_id;
	job->timed_out_task = -1;
	if (!load_job(batch, job, item, &locked_elsewhere))
	{
		if (locked_elsewhere)
			batch->nheld++;		/* it stays, and is pushed at commit */
		else if (item->kind == SAGA_MSG_CHILDREN)
			item->done = true;	/* they are gone, with their parent */
		else
			handle_orphan(batch, item);
		return NULL;
	}
	collect_events(batch, job, item);
	return job;
}
