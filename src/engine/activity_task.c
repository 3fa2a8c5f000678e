/*
 * activity_task.c
 *		The tasks of activities that executions wait for.
 *
 * Each is a row of saga.activity_task, from the transaction that opens it to
 * the one that answers it or lets it go; while no worker has it, it is a
 * message in the activity's queue, too.  Only the run of its execution writes
 * the row, so that no worker, who may leave his transaction open, is waited
 * for.  The row has the last word: a message without one is not wanted.
 */
#include "postgres.h"

#include "common/statement.h"
#include "engine/engine_private.h"
#include "engine/task_private.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "value/doc.h"

static SagaStatement open_stmt = {
	.sql = "INSERT INTO saga.activity_task (execution_id, task_id, activity_id, message_id, scheduled_at)"
	" VALUES ($execution_id, $task_id, $activity_id, $message_id, $now)"
};
static SagaStatement started_stmt = {
	.sql = "UPDATE saga.activity_task SET worker = coalesce(worker, $worker), started_at = coalesce(started_at, $now)"
	" WHERE execution_id = $execution_id AND task_id = $task_id AND (started_at IS NULL OR worker IS NULL AND $worker IS NOT NULL)"
};
static SagaStatement close_stmt = {
	.sql = "DELETE FROM saga.activity_task WHERE execution_id = $execution_id AND task_id = $task_id"
	" RETURNING activity_id, message_id"
};
static SagaStatement wanted_stmt = {
	.sql = "SELECT FROM saga.activity_task WHERE execution_id = $execution_id AND message_id = $message_id",
	.read_only = true,
	.limit = 1
};
static SagaStatement any_stmt = {
	.sql = "SELECT FROM saga.activity_task WHERE activity_id = $activity_id",
	.limit = 1
};

/* Only in the message, whose tables nobody may read, and in the run. */
static Jsonb *
token_header(const char *token)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(&state, "token", token);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

void
saga_activity_task_open(const SagaQueue *activity, const SagaJob *job, const SagaAction *action)
{
	SagaSend	row = {.kind = SAGA_MSG_TASK, .target = job->execution_id, .body = action->input};

	row.message_id = saga_uuid_new();
	row.headers = token_header(action->token);
	/* first the message: with it comes the lock on the activity */
	saga_queue_send_rows(activity, &row, 1);
	saga_run(&open_stmt, saga_param_uuid("execution_id", &job->execution_id), saga_param_int4("task_id", action->task_id),
			 saga_param_int4("activity_id", activity->queue_id), saga_param_uuid("message_id", &row.message_id),
			 saga_param_timestamptz("now", GetCurrentTimestamp()));
}

/* Heartbeats come here as well, and find nothing to change. */
void
saga_activity_task_started(const pg_uuid_t *execution_id, int task_id, const char *worker)
{
	saga_run(&started_stmt, saga_param_uuid("execution_id", execution_id), saga_param_int4("task_id", task_id),
			 saga_param_text("worker", worker), saga_param_timestamptz("now", GetCurrentTimestamp()));
}

/* The row goes.  Returns whether there was one; *message_id is its message's. */
static bool
close_task(const pg_uuid_t *execution_id, int task_id, int32 *activity_id, pg_uuid_t *message_id)
{
	SagaRows   *rows = saga_query(&close_stmt, saga_param_uuid("execution_id", execution_id),
								  saga_param_int4("task_id", task_id));
	bool		found = saga_rows_next(rows);

	if (found)
	{
		*activity_id = saga_column_int4(rows, "activity_id");
		*message_id = saga_column_uuid(rows, "message_id");
	}
	saga_rows_free(rows);
	return found;
}

void
saga_activity_task_closed(const pg_uuid_t *execution_id, int task_id)
{
	int32		activity_id;
	pg_uuid_t	message_id;

	(void) close_task(execution_id, task_id, &activity_id, &message_id);
}

bool
saga_activity_task_wanted(const SagaMessage *message)
{
	bool		wanted;

	PushActiveSnapshot(GetLatestSnapshot());
	wanted = saga_run(&wanted_stmt, saga_param_uuid("execution_id", &message->target),
					  saga_param_uuid("message_id", &message->message_id)) > 0;
	PopActiveSnapshot();
	return wanted;
}

bool
saga_activity_has_tasks(int32 activity_id)
{
	bool		found;

	PushActiveSnapshot(GetLatestSnapshot());
	found = saga_run(&any_stmt, saga_param_int4("activity_id", activity_id)) > 0;
	PopActiveSnapshot();
	return found;
}

/*
 * A message that can be had was never handed out, and never will be.  One that
 * somebody has locked may be: its worker finds out when he answers.  After this
 * the token is nobody's, whatever was wished: another attempt has its own task.
 */
void
saga_activity_fate(const pg_uuid_t *execution_id, SagaWish wish, SagaOutside *call)
{
	const SagaQueue *activity;
	int32		activity_id;
	pg_uuid_t	message_id;

	call->fate = SAGA_FATE_NONE;
	if (wish == SAGA_WISH_IDENTIFY || wish == SAGA_WISH_TAKE_BACK ||
		!close_task(execution_id, call->task_id, &activity_id, &message_id))
		return;
	activity = saga_queue_by_id(activity_id, true);
	if (activity != NULL && saga_queue_take_back(activity, &message_id, 0))
		call->fate = SAGA_FATE_NO_EFFECT;
	else
		call->fate = SAGA_FATE_SUSPECTED;
}
