/*
 * children_close.c
 *		Children that nobody waits for any more: those that run are stopped, and
 *		those that have succeeded are undone, the last one first.
 *
 * A child that runs in another worker is not seen here before it parks or
 * ends: so the turn comes back until all have ended.  What undoes a child is an
 * execution of its own, as its steps were; or what lists it, where nothing is
 * to be undone.
 */
#include "postgres.h"

#include "common/clock.h"
#include "common/statement.h"
#include "engine/batch_private.h"
#include "engine/children_private.h"
#include "engine/engine_private.h"
#include "engine/event_private.h"
#include "engine/stop_private.h"
#include "engine/task_private.h"
#include "value/doc.h"

#define STOPPED_AT_ONCE	500

/* Looks again after so many milliseconds: first, and at most. */
#define LOOK_AGAIN_MS	100
#define LOOK_AGAIN_MAX_MS 5000

/* ---------- those that run ---------- */

static Jsonb *
stop_event(const SagaChildren *children)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_jsonb_push_key(&state, "stop");
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(&state, "error", "Saga.ParentEnded");
	saga_doc_push_string(&state, "cause", children->cause);
	saga_doc_push_bool(&state, "compensate", children->undo || children->phase == 's');
	pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* Those that wait, and are not stopped yet.  True: there may be more of them. */
static bool
stop_parked(const SagaChildren *children)
{
	static SagaStatement stmt = {
		.sql = "SELECT execution_id FROM saga.continuation WHERE children_id = $children_id AND child_index IS NOT NULL"
		" AND status = 'r' LIMIT $n"
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_uuid("children_id", &children->children_id),
								  saga_param_int8("n", STOPPED_AT_ONCE));
	const SagaQueue *queue = saga_queue_by_id(children->workflow_id, false);
	Jsonb	   *event = stop_event(children);

	while (saga_rows_next(rows))
	{
		pg_uuid_t	id = saga_column_uuid(rows, "execution_id");

		saga_stop_later(queue, &id, event);
	}
	return rows->count == STOPPED_AT_ONCE;
}

static void
look_again(const SagaChildren *children, int again)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_int(&state, "again", again + 1);
	saga_children_send(children, JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)),
					   saga_backoff(LOOK_AGAIN_MS, again, LOOK_AGAIN_MAX_MS));
}

/* ---------- those that have succeeded ---------- */

/* The last one that has something to undo; false: there is none. */
static bool
take_next(const SagaChildren *children, SagaJob *job, Jsonb **undo)
{
	static SagaStatement stmt = {
		.sql = "WITH last AS (SELECT execution_id, undo FROM saga.execution WHERE children_id = $children_id"
		" AND undo IS NOT NULL ORDER BY stopped_at DESC, execution_id DESC LIMIT 1)"
		" UPDATE saga.execution e SET undo = NULL FROM last WHERE e.execution_id = last.execution_id"
		" RETURNING e.execution_id, e.version, e.input, last.undo"
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_uuid("children_id", &children->children_id));

	if (!saga_rows_next(rows))
		return false;
	job->parent_id = saga_column_uuid(rows, "execution_id");
	job->version = saga_column_int4(rows, "version");
	job->input = saga_column_jsonb(rows, "input");
	*undo = saga_column_jsonb(rows, "undo");
	return true;
}

/*
 * An execution that undoes the next child: parked, with a tick that brings it
 * to a worker.  Where nothing is to be undone it is stopped before that: so
 * what the child has done is listed, and a person can settle it.
 */
static bool
undo_next(SagaBatch *batch, SagaChildren *children)
{
	SagaJob		job = {0};
	Jsonb	   *undo;

	if (!take_next(children, &job, &undo))
		return false;
	job.queue = saga_queue_lock(saga_queue_by_id(children->workflow_id, false));
	job.execution_id = saga_uuid_new();
	job.children_id = children->children_id;
	job.child_index = -1;
	job.started_at = GetCurrentTimestamp();
	job.timed_out_task = -1;
	job.early = true;
	saga_job_environment(&job);
	job.run = saga_run_undo_all(job.machine, &job.env, undo, children->error, children->cause, children->undo, job.started_at);
	saga_store_park(NULL, &job, DT_NOEND);
	if (!children->undo)
		saga_stop_later(job.queue, &job.execution_id, stop_event(children));
	children->undoing = job.execution_id;
	return true;
}

/* ---------- closed ---------- */

/* What the handler hears: whether there was something to undo; of nothing it is known that it stands. */
static Jsonb *
undone_result(const SagaChildren *children)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (children->undone > 0)
		saga_doc_push_int(&state, "undone", children->undone);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* Whoever waits for it hears what could not be undone. */
static void
tell_closed(SagaChildren *children)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_int(&state, "task", children->close_task);
	if (children->not_undone == 0)
		saga_doc_push_jsonb(&state, "output", undone_result(children));
	else
	{
		saga_doc_push_string(&state, "error", "Saga.CompensationFailed");
		saga_doc_push_string(&state, "cause",
							 psprintf(INT64_FORMAT " of the executions that it had started could not be undone: see their dead letters",
									  children->not_undone));
	}
	saga_engine_send_event(children->parent_workflow_id, &children->close_id,
						   JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}

/*
 * Of children that are being closed, or of which too many have failed.  A turn
 * that has come because some have ended, again < 0, looks, but does not come
 * back for that: one that does is under way since they are being closed, and
 * one more for each report would be thousands.
 */
void
saga_children_close_turn(SagaBatch *batch, SagaChildren *children, int again)
{
	if (children->ended < children->children)
	{
		bool		more = stop_parked(children);

		if (again >= 0)
			look_again(children, more ? 0 : again);
		return;
	}
	if (children->phase != 'c' || saga_uuid_cmp(&children->undoing, &saga_uuid_min) != 0)
		return;
	if (undo_next(batch, children))
		return;
	children->phase = 'x';
	if (children->close_task != 0)
		tell_closed(children);
}

/* ---------- the handler ---------- */

/* What no definition names: undoes the children of the state's visit, and answers when that is done. */
void
saga_children_undo(SagaJob *job, const SagaAction *action)
{
	const pg_uuid_t *parent_id = saga_job_undoes(job) ? &job->parent_id : &job->execution_id;
	SagaChildren children;
	char	   *error = saga_jsonb_get_string(action->input, "error");

	/* those that were given up are closed by themselves */
	if (!saga_children_lookup(parent_id, action->undoes, &children) || children.phase == 'x' || children.close_task != 0)
	{
		saga_engine_task_answer(job, action, saga_jsonb_empty_object(), NULL, NULL);
		return;
	}
	saga_children_ask_close(&children, true, &job->execution_id, action->task_id, "Saga.ParentEnded", error);
	saga_run_task_parked(job->run, action->task_id, NULL, GetCurrentTimestamp());
}
