/*
 * told.c
 *		What this process runs, for people: in saga.workers, in pg_stat_activity,
 *		and as the context of every error.
 *
 * The text in pg_stat_activity is read by saga.executions, which so knows what
 * is in a step at this moment: its first words and the id keep their places.
 * A session in saga.drain() keeps the text of its own statement there.
 */
#include "postgres.h"

#include "engine/batch_private.h"
#include "engine/engine_private.h"
#include "mb/pg_wchar.h"
#include "pgstat.h"

/* What runs now; process-local. */
static bool active = false;
static bool reported = false;	/* pg_stat_activity has it */
static char workflow[256];		/* a long name is cut after a whole character */
static pg_uuid_t execution_id;
static const char *state = NULL;	/* NULL: in none, or it is not known yet */

void
saga_execution_tell_begin(const SagaBatch *batch, const SagaJob *job)
{
	active = true;
	/* the queue's description may go while the batch is given up */
	strlcpy(workflow, batch->queue->name, pg_mbcliplen(batch->queue->name, strlen(batch->queue->name), sizeof(workflow) - 1) + 1);
	execution_id = job->execution_id;
	state = NULL;
	saga_proc_show(workflow, "");
}

/* A step begins that may take long; name: its state, NULL where the results of a Map are written. */
void
saga_execution_tell_step(const SagaBatch *batch, const char *name)
{
	char		text[sizeof(workflow) + 512];

	if (!active)
		return;
	state = name;
	saga_proc_show(workflow, name != NULL ? name : "");
	if (batch->in_drain)
		return;
	snprintf(text, sizeof(text), "execution %s of workflow \"%s\"%s%s", saga_uuid_to_cstring(&execution_id), workflow,
			 name != NULL ? ", state " : "", name != NULL ? name : "");
	pgstat_report_activity(STATE_RUNNING, text);
	reported = true;
}

/* The run is over, or given up.  What it did is not committed yet. */
void
saga_execution_tell_end(void)
{
	if (reported)
	{
		char		text[sizeof(workflow) + 16];

		snprintf(text, sizeof(text), "workflow \"%s\"", workflow);
		pgstat_report_activity(STATE_RUNNING, text);
	}
	active = reported = false;
	state = NULL;
}

void
saga_execution_error_context(void *arg)
{
	if (!active)
		return;
	if (state != NULL)
		errcontext(SAGA_CONTEXT_BEGINS "%s of workflow \"%s\", state \"%s\"", saga_uuid_to_cstring(&execution_id),
				   workflow, state);
	else
		errcontext(SAGA_CONTEXT_BEGINS "%s of workflow \"%s\"", saga_uuid_to_cstring(&execution_id), workflow);
}
