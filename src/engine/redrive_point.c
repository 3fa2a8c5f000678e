/*
 * redrive_point.c
 *		What is kept of an execution that fails, so that it can be redriven.
 *
 * A row of saga.redrive_point has the run as it was when it failed
 * (src/asl/run_point.c), written in that transaction, and what the end of its
 * compensation has said.  An execution that succeeds writes nothing there.
 * Who parks or ends an execution calls this; what reads it is redrive.c.
 */
#include "postgres.h"

#include "common/statement.h"
#include "engine/engine_private.h"
#include "engine/entry_private.h"

/* One of another workflow with the same id, which a restore has brought, keeps its own. */
static SagaStatement keep_stmt = {
	.sql = "INSERT INTO saga.redrive_point AS p (execution_id, workflow_id, point, ended)"
	" VALUES ($execution_id, $workflow_id, $point, $ended)"
	" ON CONFLICT (execution_id) DO UPDATE SET point = excluded.point, ended = excluded.ended"
	" WHERE p.workflow_id = excluded.workflow_id"
};

static SagaStatement ended_stmt = {
	.sql = "UPDATE saga.redrive_point SET ended = $ended WHERE execution_id = $execution_id AND workflow_id = $workflow_id"
};

void
saga_engine_redrive_keep(const SagaJob *job)
{
	Jsonb	   *point = job->env.redrivable ? saga_run_point(job->run) : NULL;
	Jsonb	   *ended = job->env.redrivable && job->finished ? job->end.standing : NULL;

	if (point != NULL)
		saga_run(&keep_stmt, saga_param_uuid("execution_id", &job->execution_id),
				 saga_param_int4("workflow_id", job->queue->queue_id), saga_param_jsonb("point", point),
				 saga_param_jsonb("ended", ended));
	else if (ended != NULL)
		saga_run(&ended_stmt, saga_param_uuid("execution_id", &job->execution_id),
				 saga_param_int4("workflow_id", job->queue->queue_id), saga_param_jsonb("ended", ended));
}

/*
 * A call that nobody knew of, and that the run has made again under its old
 * key, is that one now: what became of it the record says once.
 */
static Jsonb *
without_taken_up(const pg_uuid_t *id, Jsonb *entries)
{
	static SagaStatement stmt = {
		.sql = "SELECT jsonb_agg(x ORDER BY n) AS list FROM jsonb_array_elements($entries) WITH ORDINALITY l (x, n)"
		" WHERE NOT EXISTS (SELECT FROM saga.outbox o WHERE o.execution_id = $execution_id"
		" AND o.outbox_id::text = x ->> 'message_id' AND o.taken_up_as IS NOT NULL)"
	};
	SagaRows   *rows;

	if (entries == NULL)
		return NULL;
	rows = saga_query(&stmt, saga_param_jsonb("entries", entries), saga_param_uuid("execution_id", id));
	return saga_rows_next(rows) ? saga_column_jsonb(rows, "list") : entries;
}

void
saga_engine_redrive_ended(SagaJob *job)
{
	SagaRaised	save;

	if (job->end.redriven == 0)
		return;
	saga_raise(&save);
	job->end.not_compensated = without_taken_up(&job->execution_id, job->end.not_compensated);
	job->end.effects = without_taken_up(&job->execution_id, job->end.effects);
	saga_lower(&save);
}
