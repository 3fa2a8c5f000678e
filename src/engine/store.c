/*
 * store.c
 *		What the engine reads and writes for a batch.
 *
 * Executions that park are written at once, in their own savepoint, because the
 * next event may be in this batch; those that end, with all others of the batch
 * (ended.c).
 */
#include "postgres.h"

#include "common/statement.h"
#include "engine/batch_private.h"
#include "engine/children_private.h"
#include "engine/engine_private.h"
#include "engine/entry_private.h"
#include "engine/event_private.h"
#include "engine/execution_private.h"
#include "engine/stop_private.h"

/* ---------- claim ---------- */

void
saga_engine_item_of_message(const SagaMessage *message, SagaItem *item)
{
	memset(item, 0, sizeof(*item));
	item->id = message->id;
	item->ctid = message->ctid;
	item->message_id = message->message_id;
	item->kind = message->kind;
	item->version = message->version;
	item->execution_id = saga_uuid_cmp(&message->target, &saga_uuid_min) == 0 ? message->message_id : message->target;
	item->sent_at = message->sent_at;
	item->receives = message->receives;
	item->body = message->body;
	item->headers = message->headers;
}

/* The message at this position, and an event that stops its execution, if there is one. */
static SagaMessage *
claim_one(SagaBatch *batch, const pg_uuid_t *id, const pg_uuid_t *execution_id, int *n)
{
	pg_uuid_t	positions[2] = {*id, saga_stop_position(execution_id)};

	return saga_queue_claim_at(batch->queue, positions, lengthof(positions), n);
}

/*
 * Up to so many messages of the queue.  With "only", that row, wherever the mark
 * is, and no other, unless its execution was stopped: then that event, which comes
 * first.
 */
void
saga_store_claim(SagaBatch *batch, int limit, const pg_uuid_t *only, const pg_uuid_t *only_of)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	SagaMessage *messages;

	if (only)
		messages = claim_one(batch, only, only_of, &batch->nitems);
	else
		messages = saga_queue_claim_within(batch->queue, limit, SAGA_MAX_CLAIM_BYTES, &batch->nitems, &batch->nleft);
	/* there is room for the starts that events of stopping are about */
	batch->items = palloc0(sizeof(SagaItem) * Max(2 * batch->nitems, 1));
	for (int i = 0; i < batch->nitems; i++)
		saga_engine_item_of_message(&messages[i], &batch->items[i]);
	pfree(messages);
	MemoryContextSwitchTo(old);
}

/* ---------- load ---------- */

/* What the row says of a parked execution. */
static void
read_continuation(SagaRows *rows, SagaJob *job)
{
	job->version = saga_column_int4(rows, "version");
	job->name = saga_column_text(rows, "name");
	job->started_at = saga_column_timestamptz(rows, "started_at");
	job->runs = saga_column_int4(rows, "runs");
	job->parent_id = saga_column_uuid(rows, "parent_id");
	job->children_id = saga_column_uuid(rows, "children_id");
	job->child_index = saga_column_is_null(rows, "child_index") ? -1 : saga_column_int8(rows, "child_index");
	job->child_items = saga_column_int4(rows, "child_items");
	job->input = saga_column_jsonb(rows, "input");
	if (job->input == NULL)
		job->input = saga_jsonb_null();
	job->frozen = saga_column_jsonb(rows, "run");
	job->parked_before = true;
}

/*
 * Locks and reads the continuation.  False when there is none that could be
 * locked; *locked_elsewhere says whether there is one.  One of another
 * workflow does not count: an event of this queue is no reason to run it here,
 * in a session of another owner.
 */
bool
saga_store_load(SagaBatch *batch, SagaJob *job, bool *locked_elsewhere)
{
	static SagaStatement load_stmt = {
		.sql = "SELECT version, name, started_at, runs, parent_id, children_id, child_index, child_items, input, run FROM saga.continuation"
		" WHERE execution_id = $execution_id AND workflow_id = $workflow_id FOR UPDATE SKIP LOCKED",
		.limit = 1
	};
	static SagaStatement exists_stmt = {
		.sql = "SELECT FROM saga.continuation WHERE execution_id = $execution_id AND workflow_id = $workflow_id",
		.limit = 1
	};
	const SagaParam params[] = {
		saga_param_uuid("execution_id", &job->execution_id),
		saga_param_int4("workflow_id", job->queue->queue_id),
		{.name = NULL}
	};
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	SagaRows   *rows = saga_statement_query(&load_stmt, params);
	bool		loaded = saga_rows_next(rows);

	if (loaded)
		read_continuation(rows, job);
	saga_rows_free(rows);
	*locked_elsewhere = !loaded && saga_statement_run(&exists_stmt, params) > 0;
	MemoryContextSwitchTo(old);
	return loaded;
}

/*
 * One statement, and so one snapshot: an execution that ends or is redriven
 * between two of them would be found by neither.
 */
void
saga_store_find_workflow(const pg_uuid_t *execution_id, int32 *live, int32 *ended)
{
	static SagaStatement stmt = {
		.sql = "SELECT coalesce((SELECT workflow_id FROM saga.continuation WHERE execution_id = $execution_id LIMIT 1),"
		" (SELECT queue_id FROM " SAGA_QUEUE_STARTS("$execution_id") " LIMIT 1), 0) AS live,"
		" coalesce((SELECT workflow_id FROM saga.execution WHERE execution_id = $execution_id LIMIT 1), 0) AS ended",
		.limit = 1
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_uuid("execution_id", execution_id));

	(void) saga_rows_next(rows);
	*live = saga_column_int4(rows, "live");
	*ended = saga_column_int4(rows, "ended");
	saga_rows_free(rows);
}

int32
saga_store_live_workflow(const pg_uuid_t *execution_id)
{
	int32		live;
	int32		ended;

	saga_store_find_workflow(execution_id, &live, &ended);
	return live;
}

int32
saga_store_ended_workflow(const pg_uuid_t *execution_id)
{
	static SagaStatement stmt = {
		.sql = "SELECT workflow_id FROM saga.execution WHERE execution_id = $execution_id",
		.limit = 1
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_uuid("execution_id", execution_id));
	int32		workflow_id = saga_rows_next(rows) ? saga_column_int4(rows, "workflow_id") : 0;

	saga_rows_free(rows);
	return workflow_id;
}

char *
saga_store_ended_name(const pg_uuid_t *execution_id)
{
	static SagaStatement stmt = {
		.sql = "SELECT name FROM saga.execution WHERE execution_id = $execution_id",
		.limit = 1
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_uuid("execution_id", execution_id));
	char	   *name = saga_rows_next(rows) ? saga_column_text(rows, "name") : NULL;

	saga_rows_free(rows);
	return name;
}

/* ---------- park ---------- */

/* The one timer of the execution: at this time, or none. */
static void
set_timer(SagaJob *job, TimestampTz wake_at)
{
	if (!TIMESTAMP_IS_NOEND(wake_at))
		saga_queue_set_tick(job->queue, &job->execution_id, wake_at);
	else if (job->parked_before)
		saga_queue_drop_timer(job->queue, &job->execution_id, SAGA_MSG_TICK);
}

/* The events of this run, as one value. */
static void
insert_history(SagaJob *job, int run)
{
	static SagaStatement stmt = {
		.sql = "INSERT INTO saga.history (execution_id, run, events) VALUES ($execution_id, $run, $events)"
	};

	saga_run(&stmt, saga_param_uuid("execution_id", &job->execution_id), saga_param_int4("run", run),
			 saga_param_pointer("events", BYTEAOID, saga_run_history(job->run, job->input, NULL)));
}

/* A message that brings the execution back at once. */
static void
send_tick(SagaJob *job)
{
	SagaSend	row = {.kind = SAGA_MSG_TICK};

	row.message_id = saga_uuid_new();
	row.target = job->execution_id;
	saga_queue_send_rows(job->queue, &row, 1);
	job->tick = row.message_id;
}

/* What it waits for in words, as the views of executions take them apart; NULL: for an outcome alone. */
static char *
waits_text(uint32 what)
{
	static const char *const words[] = {
		[SAGA_WAITS_WORKER] = "worker",[SAGA_WAITS_RETRY] = "retry",[SAGA_WAITS_TIMER] = "timer",
		[SAGA_WAITS_CALL] = "call",[SAGA_WAITS_CALLBACK] = "callback",[SAGA_WAITS_TOKEN] = "token",
		[SAGA_WAITS_ACTIVITY] = "activity",[SAGA_WAITS_CHILD] = "child"
	};
	StringInfoData text;

	if (what == 0)
		return NULL;
	initStringInfo(&text);
	for (int i = SAGA_WAITS_WORKER; i < lengthof(words); i++)
		if (what & (1 << i))
			appendStringInfo(&text, "%s%s", text.len > 0 ? "," : "", words[i]);
	return text.data;
}

/* The frozen run, in a new row or in that which it was thawed from. */
static void
write_continuation(SagaJob *job, TimestampTz now, const SagaWaiting *waiting)
{
	static SagaStatement insert_stmt = {
		.sql = "INSERT INTO saga.continuation (execution_id, workflow_id, version, name, status, current_state,"
		" started_at, parked_at, runs, parent_id, children_id, child_index, child_items, input, run, waiting_for,"
		" waits, waiting_since, waiting_until, attempt, last_error, failed_state)"
		" VALUES ($execution_id, $workflow_id, $version, $name, $status, $current_state,"
		" $started_at, $parked_at, $runs, $parent_id, $children_id, $child_index, $child_items, $input, $run, $waiting_for,"
		" $waits, $waiting_since, $waiting_until, $attempt, $last_error, $failed_state)"
	};
	static SagaStatement update_stmt = {
		.sql = "UPDATE saga.continuation SET status = $status, current_state = $current_state, parked_at = $parked_at,"
		" runs = $runs, run = $run, waiting_for = $waiting_for, waits = $waits, waiting_since = $waiting_since,"
		" waiting_until = $waiting_until, attempt = $attempt, last_error = $last_error, failed_state = $failed_state"
		" WHERE execution_id = $execution_id AND workflow_id = $workflow_id"
	};
	const SagaParam params[] = {
		saga_param_uuid("execution_id", &job->execution_id),
		saga_param_int4("workflow_id", job->queue->queue_id),
		saga_param_int4("version", job->version),
		saga_param_text("name", job->name),
		saga_param_char("status", saga_run_status(job->run) == SAGA_COMPENSATING ? 'c' : 'r'),
		saga_param_text("current_state", saga_run_current_state(job->run)),
		saga_param_timestamptz("started_at", job->started_at),
		saga_param_timestamptz("parked_at", now),
		saga_param_int4("runs", job->runs + 1),
		saga_param_if(saga_job_undoes(job), saga_param_uuid("parent_id", &job->parent_id)),
		saga_param_if(saga_job_is_child(job), saga_param_uuid("children_id", &job->children_id)),
		saga_param_if(saga_job_is_child(job) && job->child_index >= 0, saga_param_int8("child_index", job->child_index)),
		saga_param_if(saga_job_is_child(job), saga_param_int4("child_items", job->child_items)),
		saga_param_jsonb("input", job->input),
		saga_param_jsonb("run", saga_run_freeze(job->run)),
		saga_param_text("waiting_for", saga_run_waiting_for(job->run)),
		saga_param_text("waits", waits_text(waiting->what)),
		saga_param_timestamptz("waiting_since", TIMESTAMP_IS_NOEND(waiting->since) ? now : waiting->since),
		saga_param_if(!TIMESTAMP_IS_NOEND(waiting->until), saga_param_timestamptz("waiting_until", waiting->until)),
		saga_param_if(waiting->attempt > 0, saga_param_int4("attempt", waiting->attempt)),
		saga_param_text("last_error", waiting->last_error),
		saga_param_text("failed_state", waiting->failed_state),
		{.name = NULL}
	};

	saga_statement_run(job->parked_before ? &update_stmt : &insert_stmt, params);
}

/* What is left to do, or due already, is no timer's: a message brings it back at once. */
void
saga_store_park(SagaBatch *batch, SagaJob *job, TimestampTz wake_at)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		at_once = job->early || wake_at <= now;
	SagaWaiting waiting;
	SagaRaised	save;

	saga_raise(&save);
	if (!job->parked_before && job->runs == 0 && saga_store_has_twin(job))
	{
		job->has_twin = true;
		ereport(ERROR,
				(errcode(ERRCODE_UNIQUE_VIOLATION),
				 errmsg("there is another execution with the id %s", saga_uuid_to_cstring(&job->execution_id))));
	}
	saga_run_waiting(job->run, &waiting);
	write_continuation(job, now, &waiting);
	insert_history(job, job->runs + 1);
	saga_engine_redrive_keep(job);
	set_timer(job, at_once ? DT_NOEND : wake_at);
	saga_lower(&save);
	if (at_once)
		send_tick(job);
}

/* ---------- flush ---------- */

/* What is not done stays where it is. */
static void
finish_claimed(SagaBatch *batch)
{
	ItemPointerData *done = palloc(sizeof(ItemPointerData) * batch->nitems);
	int			ndone = 0;

	for (int i = 0; i < batch->nitems; i++)
	{
		if (batch->items[i].done)
			done[ndone++] = batch->items[i].ctid;
		else
			saga_queue_keep(batch->queue, &batch->items[i].id);
	}
	saga_queue_finish(done, ndone);
}

/* The end of a batch: the rows of all that ended, and the claimed rows go. */
void
saga_store_flush(SagaBatch *batch)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	SagaRaised	save;

	saga_raise(&save);
	saga_store_write_ended(batch);
	if (batch->nitems > 0)
	{
		finish_claimed(batch);
		saga_engine_answer_release(batch);
	}
	saga_lower(&save);
	MemoryContextSwitchTo(old);
}

/*
 * Out of the queue for good: an execution that could not even be given up, or
 * cannot begin.  What it had as a parked one stays as it is.
 */
void
saga_store_bury(SagaBatch *batch, SagaItem *item, const char *reason, const char *cause)
{
	SagaDeadLetter letter = {0};

	letter.queue_id = batch->queue->queue_id;
	letter.message_id = item->message_id;
	letter.kind = item->kind;
	letter.reason = reason;
	letter.cause = cause;
	letter.receives = item->receives;
	letter.sent_at = item->sent_at;
	letter.body = item->body;
	letter.headers = item->headers;
	(void) saga_dead_letter_insert(&letter);
	saga_waiter_note_ended(&item->execution_id);
	saga_children_report_lost(item);
	item->done = true;
}

/*
 * Out of the queue until a later time, one trouble more.  A tick or an event
 * keeps its own id; it comes back under a fresh position.
 */
void
saga_store_postpone(SagaBatch *batch, SagaItem *item, int64 delay_ms)
{
	saga_queue_postpone(&item->ctid, GetCurrentTimestamp() + delay_ms * 1000);
	item->done = true;
}
