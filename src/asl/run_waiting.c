/*
 * run_waiting.c
 *		Where a run stands, and what it waits for, for people who look at it.
 *
 * A run may wait for several things at once, one for each branch of an open
 * Parallel or item of an open Map.  What is told of them is made into one: each
 * kind once, since the first began, until the first is over by itself.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/timestamp.h"

#include "asl/run_private.h"

/* Bytes of an error that are kept: everybody reads the list of executions whole, and the history has all of it. */
#define SAGA_MAX_LAST_ERROR 1024

char *
saga_asl_error_text(const char *error, const char *cause)
{
	char	   *text;

	if (error == NULL && cause == NULL)
		return NULL;
	text = error == NULL || cause == NULL || *cause == '\0' ?
		pstrdup(error != NULL ? error : cause) : psprintf("%s: %s", error, cause);
	if (strlen(text) > SAGA_MAX_LAST_ERROR)
		text[pg_mbcliplen(text, strlen(text), SAGA_MAX_LAST_ERROR)] = '\0';
	return text;
}

/* What an open task waits for; the outbox alone knows whether its message was delivered, and to whom. */
static SagaWaitsFor
open_task_waits_for(const SagaThread *thread)
{
	const SagaResource *resource = &thread->state->resource;

	if (SAGA_HAS_CHILDREN(thread->state))
		return SAGA_WAITS_CHILD;
	switch (resource->kind)
	{
		case SAGA_RES_ACTIVITY:
			return SAGA_WAITS_ACTIVITY;
		case SAGA_RES_UNDO_CHILDREN:
			return SAGA_WAITS_CHILD;
		case SAGA_RES_SQL:
		case SAGA_RES_START_EXECUTION:
			return SAGA_WAITS_TOKEN;
		default:
			return thread->token != NULL ? SAGA_WAITS_CALLBACK : SAGA_WAITS_CALL;
	}
}

/* What this thread waits for; those of a state with branches or items wait for others of the run. */
static SagaWaitsFor
thread_waits_for(const SagaThread *thread)
{
	switch (thread->phase)
	{
		case SAGA_PHASE_OPEN:
			return open_task_waits_for(thread);
		case SAGA_PHASE_WAIT:
			return SAGA_WAITS_TIMER;
		case SAGA_PHASE_RETRY:
			return SAGA_WAITS_RETRY;
		case SAGA_PHASE_HELD:
		case SAGA_PHASE_CHILDREN:
			return SAGA_WAITS_NOTHING;
		case SAGA_PHASE_ENTER:
		case SAGA_PHASE_ATTEMPT:
			break;
	}
	return SAGA_WAITS_WORKER;
}

/* When the thread goes on by itself, or fails if nothing comes. */
static TimestampTz
thread_until(const SagaThread *thread)
{
	if (thread->phase == SAGA_PHASE_WAIT || thread->phase == SAGA_PHASE_RETRY)
		return thread->wake_at;
	return thread->phase == SAGA_PHASE_OPEN ? Min(thread->deadline, thread->heartbeat_at) : DT_NOEND;
}

static const char *
last_error(const SagaRun *run, const SagaThread *thread)
{
	if (thread->last_error != NULL)
		return thread->last_error;
	return run->status == SAGA_COMPENSATING ? saga_asl_error_text(run->error, run->cause) : NULL;
}

void
saga_run_waiting(const SagaRun *run, SagaWaiting *waiting)
{
	dlist_iter	iter;

	memset(waiting, 0, sizeof(*waiting));
	waiting->since = waiting->until = DT_NOEND;
	waiting->failed_state = run->failed_state;
	dlist_foreach(iter, &unconstify(SagaRun *, run)->threads)
	{
		const SagaThread *thread = dlist_container(SagaThread, node, iter.cur);
		SagaWaitsFor what = thread_waits_for(thread);

		/*
		 * the newest failure of several: that of the state that was tried
		 * most often
		 */
		if (waiting->last_error == NULL || thread->retry_count >= waiting->attempt)
		{
			const char *error = last_error(run, thread);

			waiting->last_error = error != NULL ? error : waiting->last_error;
		}
		if (what == SAGA_WAITS_NOTHING)
			continue;
		waiting->what |= 1 << what;
		waiting->since = Min(waiting->since, thread->since);
		waiting->until = Min(waiting->until, thread_until(thread));
		waiting->attempt = Max(waiting->attempt, thread->retry_count + 1);
	}
	if (run->status == SAGA_RUNNING && !run->decided)
		waiting->until = Min(waiting->until, run->deadline);
}

/* In compensation without a handler it is the state that is waited for. */
const char *
saga_run_current_state(const SagaRun *run)
{
	const SagaThread *thread = run->root != NULL ? run->root : run->handler;

	if (thread == NULL)
		return run->ndone > 0 ? run->done[run->ndone - 1].state->name : NULL;
	return thread->state->name;
}
