/*
 * batch.c
 *		A batch: claim, run each execution until it ends or parks, write.
 *
 * How one of them is run, and what becomes of its errors, is in attempt.c.
 */
#include "postgres.h"

#include "common/clock.h"
#include "common/guc.h"
#include "engine/batch_private.h"
#include "engine/engine_private.h"
#include "engine/step_private.h"
#include "engine/stop_private.h"
#include "engine/workflow_private.h"
#include "utils/memutils.h"

/*
 * Memory of the batch. Kept, with a first block that is large enough for most:
 * giving it back to the kernel and faulting it in again showed in profiles.
 */
#define BATCH_CONTEXT_SIZE (1024 * 1024)
static MemoryContext batch_context = NULL;
static int	one_by_one = 0;		/* so many batches of one execution: a batch failed and nobody knows why */

bool		saga_set_constraints_seen = false;

/* Continuations, and what steps return, are not known before they are there. */
static bool
memory_is_used(const SagaBatch *batch)
{
	return MemoryContextMemAllocated(batch->context, true) > batch->claimed_bytes + SAGA_MAX_RUN_BYTES;
}

static void
release_batch_memory(void)
{
	if (batch_context)
		MemoryContextReset(batch_context);
}

/* Runs what was claimed; what is left over stays in the queue. */
static void
run_items(SagaBatch *batch, bool postpone_only)
{
	/*
	 * a procedure cannot roll back its whole transaction after an error, so
	 * in drain all have one
	 */
	bool		first = !batch->in_drain;
	int			i;

	for (i = 0; i < batch->nitems; i++)
	{
		SagaItem   *item = &batch->items[i];
		SagaJob    *job;

		if (item->skip)
			continue;
		if (i > 0 && (saga_attempt_time_is_up(batch) || memory_is_used(batch) || batch->subxacts + 2 > SAGA_MAX_SUBXACTS))
			break;
		if (!batch->alone && saga_suspect_hook && saga_suspect_hook(&item->execution_id) > 0)
		{
			saga_alone_next(batch->queue->queue_id, &item->id, &item->execution_id, false);
			continue;
		}
		job = saga_job_make(batch, item);
		if (job == NULL)
			continue;
		if (batch->slow && batch->nheld > 0)
		{
			/*
			 * what is held would be locked as long, and is wanted by whoever
			 * runs that
			 */
			saga_engine_in_turn_next(batch->queue->queue_id, &item->id, &item->execution_id);
			continue;
		}
		if (postpone_only && !saga_stop_is_event(item) &&
			(item->receives <= SAGA_MAX_TROUBLE || item->kind == SAGA_MSG_CHILDREN))
			saga_attempt_postpone(batch, job);
		else if (postpone_only && !saga_stop_is_event(item))
			saga_attempt_bury(batch, job);
		else
			saga_attempt_run(batch, job, first);
		first = false;
		if (saga_set_constraints_seen)
			break;

		/*
		 * its like may follow: what is known of this one is not to wait for
		 * them
		 */
		if (job->ran_out)
			break;
	}
}

void
saga_engine_batch(const SagaQueue *queue, const SagaBatchOptions *options, SagaBatchResult *result)
{
	SagaBatch  *batch;
	MemoryContext context;
	MemoryContext old;
	SagaAlone	entry;
	ErrorContextCallback told = {.previous = error_context_stack, .callback = saga_execution_error_context};
	bool		only_one;
	int			limit = options->max_executions > 0 ? options->max_executions : saga_batch_size;
	int			i;

	memset(result, 0, sizeof(*result));
	if (batch_context == NULL)
		batch_context = AllocSetContextCreate(TopMemoryContext, "pg_saga batch",
											  BATCH_CONTEXT_SIZE, BATCH_CONTEXT_SIZE, 8 * BATCH_CONTEXT_SIZE);
	context = batch_context;
	old = MemoryContextSwitchTo(context);
	batch = palloc0(sizeof(SagaBatch));
	batch->queue = queue;
	batch->slot = saga_queue_slot(queue);
	batch->in_drain = options->in_drain;
	batch->context = context;
	batch->started_us = saga_monotonic_us();
	saga_set_constraints_seen = false;
	saga_step_begin_batch(context);
	saga_workflow_begin_batch();

	if (one_by_one > 0)
	{
		limit = 1;
		one_by_one--;
	}
	limit = saga_pace_limit(batch, limit);
	only_one = saga_alone_take(queue->queue_id, &entry);
	batch->alone = only_one && !entry.in_turn;
	batch->slow = saga_pace_is_slow(batch, limit);
	batch->stops = saga_stop_count();
	saga_store_claim(batch, limit, only_one ? &entry.id : NULL, only_one ? &entry.execution_id : NULL);
	batch->ended = palloc(sizeof(SagaJob *) * Max(batch->nitems, 1));
	result->claimed = batch->nitems;
	batch->claimed_bytes = MemoryContextMemAllocated(context, true);
	result->more = !only_one && batch->nitems + batch->nleft >= limit;
	/* who can help shall not wait for the end of this batch */
	if (result->more && batch->slow && !batch->in_drain)
		saga_wake_next(queue);

	/*
	 * in drain the errors are a person's, who sees which statement he has
	 * called
	 */
	if (!batch->in_drain)
		error_context_stack = &told;
	run_items(batch, batch->alone && entry.failed);
	error_context_stack = told.previous;
	saga_store_flush(batch);
	saga_pace_held(queue->queue_id, batch->nheld);

	result->claimed = batch->nitems;	/* with the starts that came with an event */
	result->finished = batch->nended;
	for (i = 0; i < batch->nitems; i++)
		if (!batch->items[i].done)
			result->kept++;
	result->early = batch->nearly;
	result->parked = result->claimed - result->finished - result->early - result->kept;
	result->run_alone = saga_alone_any(queue->queue_id);
	if (only_one)
		result->more = true;	/* others may have waited behind it */
	MemoryContextSwitchTo(old);
	release_batch_memory();
}

void
saga_engine_batch_committed(void)
{
	saga_attempt_forget();
}

/* What ran is as it was before: nothing speaks against running it with others. */
void
saga_engine_batch_cancelled(void)
{
	saga_step_interrupted();
	release_batch_memory();
	saga_attempt_cancelled();
}

/*
 * The transaction is gone, and with it the claim.  Where nothing was running,
 * the batch failed as it was written or committed: one is run at a time until
 * the culprit shows.
 */
void
saga_engine_batch_aborted(const ErrorData *error)
{
	bool		twin = saga_store_met_twin(error);

	saga_step_interrupted();
	release_batch_memory();
	/* a twin is found the next time */
	if (!saga_attempt_lost() && !twin)
		one_by_one = 2 * saga_batch_size;
}
