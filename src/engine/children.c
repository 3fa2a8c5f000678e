/*
 * children.c
 *		Rows of saga.children: executions that another one has started and waits
 *		for, and what is said of them.
 *
 * Nobody but the turn of the children (children_turn.c) writes their row, in a
 * session of their parent's owner; whoever has something to say sends it a
 * message, which is in the queue of the parent's workflow.  So a thousand
 * children that end do not wait for each other.
 */
#include "postgres.h"

#include "common/statement.h"
#include "engine/children_private.h"
#include "engine/engine_private.h"
#include "value/doc.h"

/* ---------- the row ---------- */

#define COLUMNS \
	"children_id, parent_id, task_id, call_id, parent_workflow_id, workflow_id, version, map_state, name, answer, phase," \
	" undo, close_id, close_task, concurrency, tolerated, children, started, ended, items, succeeded, failed, aborted, undoing," \
	" undone, not_undone, error, cause, writer"

/* The columns, as COLUMNS has them. */
static void
read_row(SagaRows *rows, SagaChildren *children)
{
	children->children_id = saga_column_uuid(rows, "children_id");
	children->parent_id = saga_column_uuid(rows, "parent_id");
	children->task_id = saga_column_int4(rows, "task_id");
	children->call_id = saga_column_int4(rows, "call_id");
	children->parent_workflow_id = saga_column_int4(rows, "parent_workflow_id");
	children->workflow_id = saga_column_int4(rows, "workflow_id");
	children->version = saga_column_int4(rows, "version");
	children->map_state = saga_column_text(rows, "map_state");
	children->name = saga_column_text(rows, "name");
	children->answer = saga_column_char(rows, "answer");
	children->phase = saga_column_char(rows, "phase");
	children->undo = saga_column_bool(rows, "undo");
	children->close_id = saga_column_uuid(rows, "close_id");
	children->close_task = saga_column_int4(rows, "close_task");
	children->concurrency = saga_column_int4(rows, "concurrency");
	children->tolerated = saga_column_int8(rows, "tolerated");
	children->children = saga_column_int8(rows, "children");
	children->started = saga_column_int8(rows, "started");
	children->ended = saga_column_int8(rows, "ended");
	children->items = saga_column_int8(rows, "items");
	children->succeeded = saga_column_int8(rows, "succeeded");
	children->failed = saga_column_int8(rows, "failed");
	children->aborted = saga_column_int8(rows, "aborted");
	children->undoing = saga_column_uuid(rows, "undoing");
	children->undone = saga_column_int8(rows, "undone");
	children->not_undone = saga_column_int8(rows, "not_undone");
	children->error = saga_column_text(rows, "error");
	children->cause = saga_column_text(rows, "cause");
	children->writer = saga_column_jsonb(rows, "writer");
}

/* What is known when they are made. */
void
saga_children_insert(const SagaChildren *children)
{
	static SagaStatement stmt = {
		.sql = "INSERT INTO saga.children (children_id, parent_id, task_id, call_id, parent_workflow_id, workflow_id,"
		" version, map_state, name, answer, concurrency, tolerated, children, started, ended, succeeded, items, writer)"
		" VALUES ($children_id, $parent_id, $task_id, $call_id, $parent_workflow_id, $workflow_id,"
		" $version, $map_state, $name, $answer, $concurrency, $tolerated, $children, $started, $ended, $succeeded, $items, $writer)"
	};

	saga_run(&stmt, saga_param_uuid("children_id", &children->children_id),
			 saga_param_uuid("parent_id", &children->parent_id),
			 saga_param_int4("task_id", children->task_id),
			 saga_param_int4("call_id", children->call_id),
			 saga_param_int4("parent_workflow_id", children->parent_workflow_id),
			 saga_param_int4("workflow_id", children->workflow_id),
			 saga_param_int4("version", children->version),
			 saga_param_text("map_state", children->map_state),
			 saga_param_text("name", children->name),
			 saga_param_if(children->answer != '\0', saga_param_char("answer", children->answer)),
			 saga_param_if(children->concurrency > 0, saga_param_int4("concurrency", children->concurrency)),
			 saga_param_int8("tolerated", children->tolerated),
			 saga_param_int8("children", children->children),
			 saga_param_int8("started", children->started),
			 saga_param_int8("ended", children->ended),
			 saga_param_int8("succeeded", children->succeeded),
			 saga_param_int8("items", children->items),
			 saga_param_jsonb("writer", children->writer));
}

/* False: they are gone, or (*locked_elsewhere) another worker has them. */
bool
saga_children_lock(const pg_uuid_t *children_id, SagaChildren *children, bool *locked_elsewhere)
{
	static SagaStatement lock_stmt = {
		.sql = "SELECT " COLUMNS " FROM saga.children WHERE children_id = $children_id FOR UPDATE SKIP LOCKED",
		.limit = 1
	};
	static SagaStatement exists_stmt = {
		.sql = "SELECT FROM saga.children WHERE children_id = $children_id",
		.limit = 1
	};
	SagaRows   *rows = saga_query(&lock_stmt, saga_param_uuid("children_id", children_id));
	bool		found = saga_rows_next(rows);

	if (found)
		read_row(rows, children);
	saga_rows_free(rows);
	*locked_elsewhere = !found && saga_run(&exists_stmt, saga_param_uuid("children_id", children_id)) > 0;
	return found;
}

/* What a turn changes. */
void
saga_children_update(const SagaChildren *children)
{
	static SagaStatement stmt = {
		.sql = "UPDATE saga.children SET phase = $phase, undo = $undo, close_id = $close_id, close_task = $close_task, started = $started,"
		" ended = $ended, succeeded = $succeeded, failed = $failed, aborted = $aborted, undoing = $undoing,"
		" undone = $undone, not_undone = $not_undone, error = $error, cause = $cause,"
		" stopped_at = CASE WHEN $phase IN ('d', 'x') THEN coalesce(stopped_at, now()) END"
		" WHERE children_id = $children_id"
	};

	saga_run(&stmt, saga_param_uuid("children_id", &children->children_id),
			 saga_param_char("phase", children->phase),
			 saga_param_bool("undo", children->undo),
			 saga_param_if(children->close_task != 0, saga_param_uuid("close_id", &children->close_id)),
			 saga_param_if(children->close_task != 0, saga_param_int4("close_task", children->close_task)),
			 saga_param_int8("started", children->started),
			 saga_param_int8("ended", children->ended),
			 saga_param_int8("succeeded", children->succeeded),
			 saga_param_int8("failed", children->failed),
			 saga_param_int8("aborted", children->aborted),
			 saga_param_if(saga_uuid_cmp(&children->undoing, &saga_uuid_min) != 0,
						   saga_param_uuid("undoing", &children->undoing)),
			 saga_param_int8("undone", children->undone),
			 saga_param_int8("not_undone", children->not_undone),
			 saga_param_text("error", children->error),
			 saga_param_text("cause", children->cause));
}

/* Those that a task waits for, or has waited for; not locked. */
bool
saga_children_lookup(const pg_uuid_t *parent_id, int task_id, SagaChildren *children)
{
	static SagaStatement stmt = {
		.sql = "SELECT " COLUMNS " FROM saga.children WHERE parent_id = $parent_id AND task_id = $task_id",
		.limit = 1
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_uuid("parent_id", parent_id), saga_param_int4("task_id", task_id));
	bool		found = saga_rows_next(rows);

	if (found)
		read_row(rows, children);
	saga_rows_free(rows);
	return found;
}

/* ---------- messages ---------- */

void
saga_children_send(const SagaChildren *children, Jsonb *body, int64 delay_ms)
{
	SagaSend	row = {.kind = SAGA_MSG_CHILDREN};

	row.message_id = saga_uuid_new();
	row.target = children->children_id;
	row.body = body;
	row.delay_ms = delay_ms;
	saga_queue_send_rows(saga_queue_by_id(children->parent_workflow_id, false), &row, 1);
}

void
saga_children_ask_close(const SagaChildren *children, bool undo, const pg_uuid_t *execution_id, int task_id,
						const char *error, const char *cause)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_bool(&state, "close", true);
	saga_doc_push_bool(&state, "undo", undo);
	if (execution_id != NULL)
	{
		saga_doc_push_string(&state, "for", saga_uuid_to_cstring(execution_id));
		saga_doc_push_int(&state, "task", task_id);
	}
	saga_doc_push_string(&state, "error", error);
	saga_doc_push_string(&state, "cause", cause);
	saga_children_send(children, JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)), 0);
}

/* ---------- a child ---------- */

/* What its start says, beside its input. */
Jsonb *
saga_child_headers(const SagaChildren *children, const char *name, int64 index, int items)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (name != NULL)
		saga_doc_push_string(&state, "name", name);
	saga_doc_push_string(&state, "children", saga_uuid_to_cstring(&children->children_id));
	saga_doc_push_int(&state, "index", index);
	saga_doc_push_int(&state, "items", items);
	if (children->map_state != NULL)
		saga_doc_push_string(&state, "map", children->map_state);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* A number among the headers; 0 when it is absent. */
int64
saga_engine_message_number(Jsonb *headers, const char *name)
{
	JsonbValue	v;

	if (!saga_jsonb_get(headers, name, &v) || v.type != jbvNumeric)
		return 0;
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(v.val.numeric)));
}

void
saga_child_of_headers(SagaJob *job, Jsonb *headers)
{
	char	   *id = headers != NULL ? saga_jsonb_get_string(headers, "children") : NULL;

	if (id == NULL || !saga_uuid_parse(id, &job->children_id))
		return;
	job->child_index = saga_engine_message_number(headers, "index");
	job->child_items = (int) saga_engine_message_number(headers, "items");
	job->map_state = saga_jsonb_get_string(headers, "map");
}

/*
 * Whether a child that begins, or is to be parked, is to be stopped instead.
 * The answer may be a moment old: whoever closes the children looks for those
 * that are parked until all have ended.
 */
bool
saga_children_stopping(SagaBatch *batch, const SagaJob *job, bool *undo)
{
	static SagaStatement stmt = {
		.sql = "SELECT undo OR phase = 's' AS undo FROM saga.children WHERE children_id = $children_id AND phase IN ('s', 'c', 'x')",
		.limit = 1
	};
	SagaRows   *rows;

	if (saga_uuid_cmp(&job->children_id, &saga_uuid_min) == 0 || job->child_index < 0)
		return false;
	if (saga_uuid_cmp(&batch->stopping_id, &job->children_id) != 0)
	{
		rows = saga_query(&stmt, saga_param_uuid("children_id", &job->children_id));
		batch->stopping = saga_rows_next(rows);
		batch->stopping_undo = batch->stopping && saga_column_bool(rows, "undo");
		batch->stopping_id = job->children_id;
		saga_rows_free(rows);
	}
	*undo = batch->stopping_undo;
	return batch->stopping;
}

/* ---------- their end ---------- */

/* What the children of one row have come to in a batch. */
typedef struct Report
{
	pg_uuid_t	children_id;
	int64		ended;
	int64		succeeded;
	int64		failed;
	int64		aborted;
	int64		undone;
	int64		not_undone;
	const char *error;			/* of the last one that failed */
	const char *cause;
} Report;

/* To whom it is told; they may be gone with their parent. */
static void
send_report(const Report *report)
{
	static SagaStatement stmt = {
		.sql = "SELECT parent_workflow_id FROM saga.children WHERE children_id = $children_id",
		.limit = 1
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_uuid("children_id", &report->children_id));
	SagaChildren children = {.children_id = report->children_id};
	JsonbParseState *state = NULL;

	if (!saga_rows_next(rows))
		return;
	children.parent_workflow_id = saga_column_int4(rows, "parent_workflow_id");
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_int(&state, "ended", report->ended);
	saga_doc_push_int(&state, "succeeded", report->succeeded);
	saga_doc_push_int(&state, "failed", report->failed);
	saga_doc_push_int(&state, "aborted", report->aborted);
	saga_doc_push_int(&state, "undone", report->undone);
	saga_doc_push_int(&state, "not_undone", report->not_undone);
	if (report->failed > 0)
	{
		saga_doc_push_string(&state, "error", report->error);
		saga_doc_push_string(&state, "cause", report->cause);
	}
	saga_children_send(&children, JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)), 0);
}

static void
count_job(Report *report, const SagaJob *job)
{
	int			items = Max(job->child_items, 1);

	if (job->child_index < 0)
	{
		report->undone += job->end.status == SAGA_SUCCEEDED ? 1 : 0;
		report->not_undone += job->end.status == SAGA_SUCCEEDED ? 0 : 1;
		return;
	}
	report->ended++;
	if (job->end.status == SAGA_SUCCEEDED)
		report->succeeded += items;
	else if (job->end.status == SAGA_ABORTED)
		report->aborted += items;
	else
	{
		report->failed += items;
		report->error = job->end.error;
		report->cause = job->end.cause;
	}
}

/* One message for all children of one row, whose jobs mostly follow each other. */
void
saga_children_report(SagaBatch *batch)
{
	Report	   *reports = NULL;
	int			nreports = 0;

	for (int i = 0; i < batch->nended; i++)
	{
		const SagaJob *job = batch->ended[i];
		int			r;

		if (saga_uuid_cmp(&job->children_id, &saga_uuid_min) == 0)
			continue;
		if (reports == NULL)
			reports = palloc0(sizeof(Report) * batch->nended);
		for (r = nreports - 1; r >= 0; r--)
		{
			if (saga_uuid_cmp(&reports[r].children_id, &job->children_id) == 0)
				break;
		}
		if (r < 0)
		{
			r = nreports++;
			reports[r].children_id = job->children_id;
		}
		count_job(&reports[r], job);
	}
	for (int r = 0; r < nreports; r++)
		send_report(&reports[r]);
}

/* A start that is given up before it was an execution has failed for whoever waits for it. */
void
saga_children_report_lost(const SagaItem *item)
{
	SagaJob		job = {0};
	Report		report = {0};

	if (item->kind != SAGA_MSG_START)
		return;
	saga_child_of_headers(&job, item->headers);
	if (saga_uuid_cmp(&job.children_id, &saga_uuid_min) == 0)
		return;
	report.children_id = job.children_id;
	report.ended = 1;
	report.failed = Max(job.child_items, 1);
	report.error = "Saga.EngineTrouble";
	report.cause = "the execution could not be begun: see its dead letter";
	send_report(&report);
}

/* ---------- a task that has them is given up ---------- */

/*
 * Whoever gives them up, or calls again, wants them stopped and undone; that
 * is theirs to do, and nothing of it is the parent's any more.  If the parent
 * is not to undo anything, they are stopped only.
 */
bool
saga_children_fate(SagaJob *job, SagaWish wish, SagaOutside *call)
{
	SagaChildren children;
	SagaStatus	status;

	/* the run of one that undoes may not have begun */
	if (saga_job_undoes(job) || !saga_children_lookup(&job->execution_id, call->task_id, &children))
		return false;
	status = saga_run_status(job->run);
	call->fate = SAGA_FATE_NO_EFFECT;
	if (wish == SAGA_WISH_IDENTIFY)
		call->fate = SAGA_FATE_NONE;
	else if (wish == SAGA_WISH_RETRY && children.phase == 'd')
		call->fate = SAGA_FATE_ANSWERED;
	else if (children.phase != 'x' && children.phase != 'c')
		saga_children_ask_close(&children, status == SAGA_RUNNING || status == SAGA_COMPENSATING, NULL, 0,
								"Saga.ParentEnded", "whoever started it does not wait for it any more");
	return true;
}
