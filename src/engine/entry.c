/*
 * entry.c
 *		What an execution has left when it ended: the entries of
 *		not_compensated, in its row and in its dead letter.
 *
 * An entry is open until somebody has said that nothing is there, or it has
 * been undone, or it was closed.  As long as one is open the execution is not
 * redriven, and retention passes over it.  When somebody says that the call
 * was done, its handler runs as an execution of its own, whose parent_id is
 * the one that has left it; "undoing" names it meanwhile.  "asked" says that
 * how the call went is being found out once more.
 *
 * Lock order: the continuation, the dead letter, the execution, the outbox's
 * record.  A person may leave his transaction open, so the engine waits for
 * none of them: what comes for an execution that has ended is put off.
 */
#include "postgres.h"

#include "common/statement.h"
#include "engine/batch_private.h"
#include "engine/engine_private.h"
#include "engine/entry_private.h"
#include "engine/workflow_private.h"
#include "miscadmin.h"
#include "outbox/outbox.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "value/doc.h"

/* ---------- the rows ---------- */

static SagaStatement lock_letter_stmt = {
	.sql = "SELECT 1 FROM saga.dead_letter WHERE message_id = $execution_id AND queue_id = $workflow_id FOR UPDATE"
};

static SagaStatement lock_execution_stmt = {
	.sql = "SELECT 1 FROM saga.execution WHERE execution_id = $execution_id FOR UPDATE"
};

static SagaStatement try_lock_stmt = {
	.sql = "WITH l AS MATERIALIZED (SELECT FROM saga.dead_letter WHERE message_id = $execution_id AND queue_id = $workflow_id"
	" FOR UPDATE SKIP LOCKED),"
	" e AS MATERIALIZED (SELECT FROM saga.execution WHERE execution_id = $execution_id FOR UPDATE SKIP LOCKED)"
	" SELECT 1 WHERE (SELECT count(*) FROM e) = 1 AND (SELECT count(*) FROM l) ="
	" (SELECT count(*) FROM saga.dead_letter WHERE message_id = $execution_id AND queue_id = $workflow_id)"
};

/* Locks the dead letter and the execution, in this order. */
void
saga_entry_lock_ended(const pg_uuid_t *execution_id, int32 workflow_id)
{
	saga_run(&lock_letter_stmt, saga_param_uuid("execution_id", execution_id), saga_param_int4("workflow_id", workflow_id));
	saga_run(&lock_execution_stmt, saga_param_uuid("execution_id", execution_id));
}

/*
 * The continuation first, as whoever runs the execution does: he finds it
 * locked, and leaves it for as long as this transaction is open.
 */
bool
saga_entry_lock(const pg_uuid_t *execution_id, int32 workflow_id)
{
	static SagaStatement lock_live_stmt = {
		.sql = "SELECT 1 FROM saga.continuation WHERE execution_id = $execution_id FOR UPDATE"
	};

	if (saga_run(&lock_live_stmt, saga_param_uuid("execution_id", execution_id)) > 0)
		return true;
	saga_entry_lock_ended(execution_id, workflow_id);
	return false;
}

/* The same without waiting; false: somebody has one of them. */
static bool
try_lock_rows(const pg_uuid_t *execution_id, int32 workflow_id)
{
	return saga_run(&try_lock_stmt, saga_param_uuid("execution_id", execution_id),
					saga_param_int4("workflow_id", workflow_id)) > 0;
}

static SagaStatement try_lock_live_stmt = {
	.sql = "SELECT 1 FROM saga.continuation WHERE execution_id = $execution_id FOR UPDATE SKIP LOCKED"
};

/* False: somebody has it. */
bool
saga_entry_try_lock(const pg_uuid_t *execution_id, int32 workflow_id, bool *live)
{
	*live = saga_run(&try_lock_live_stmt, saga_param_uuid("execution_id", execution_id)) > 0;
	/* one that is live and locked has no such rows yet */
	return *live || try_lock_rows(execution_id, workflow_id);
}

/*
 * The entries whose member $member is a key of $which become what $change says,
 * or go; "" is a member that is not there.  A list may be long, so it is gone
 * through once for all that are meant.
 */
#define IS_IT "$which ? coalesce(x ->> $member, '')"
#define CHANGED(list) \
	"(SELECT jsonb_agg(CASE WHEN " IS_IT " THEN (x - 'undoing' - 'asked') || $change ELSE x END ORDER BY n) AS list" \
	" FROM jsonb_array_elements(" list ") WITH ORDINALITY l(x, n) WHERE NOT " IS_IT " OR $change IS NOT NULL) c"

static SagaStatement change_execution_stmt = {
	.sql = "UPDATE saga.execution e SET (not_compensated, left_over) ="
	" (SELECT c.list, CASE WHEN c.list IS NOT NULL THEN e.left_over END FROM " CHANGED("e.not_compensated") ")"
	" WHERE execution_id = $execution_id AND EXISTS (SELECT FROM jsonb_array_elements(e.not_compensated) x WHERE " IS_IT ")"
};

static SagaStatement change_letter_stmt = {
	.sql = "UPDATE saga.dead_letter d SET (details, reason) ="
	" (SELECT jsonb_set(d.details, '{not_compensated}', coalesce(c.list, 'null')),"
	" CASE WHEN c.list IS NULL THEN coalesce(d.details ->> 'error', d.reason) ELSE d.reason END"
	" FROM " CHANGED("d.details -> 'not_compensated'") ")"
	" WHERE queue_id = $workflow_id AND message_id = $execution_id AND jsonb_typeof(details -> 'not_compensated') = 'array'"
};

/* Of an execution that has succeeded nothing else was to be told. */
static SagaStatement forget_stmt = {
	.sql = "DELETE FROM saga.dead_letter WHERE queue_id = $workflow_id AND message_id = $execution_id"
	" AND details ->> 'status' = 'SUCCEEDED' AND jsonb_typeof(details -> 'not_compensated') = 'null'"
};

/* Those whose member is a key of "which".  NULL: they go.  False: there are none. */
static bool
change_all(const pg_uuid_t *execution_id, int32 workflow_id, const char *member, Jsonb *which, Jsonb *change)
{
	const SagaParam params[] = {
		saga_param_uuid("execution_id", execution_id),
		saga_param_int4("workflow_id", workflow_id),
		saga_param_text("member", member),
		saga_param_jsonb("which", which),
		saga_param_jsonb("change", change),
		{.name = NULL}
	};

	if (saga_statement_run(&change_execution_stmt, params) == 0)
		return false;
	saga_statement_run(&change_letter_stmt, params);
	saga_statement_run(&forget_stmt, params);
	return true;
}

/* {key: text} */
static Jsonb *
object_of(const char *key, const char *text)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(&state, key, text);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* Merges "to" into the entries whose member has the value. */
static bool
change(const pg_uuid_t *execution_id, int32 workflow_id, const char *member, const char *value, Jsonb *to)
{
	return change_all(execution_id, workflow_id, member, object_of(value, ""), to);
}

#define CLOSED(list) \
	"(SELECT jsonb_agg((x - 'undoing' - 'asked') || '{\"outcome\": \"unknown\", \"closed\": true}'" \
	" || CASE WHEN $heir IS NULL OR $heir = $execution_id OR x ? 'closed' THEN '{}' ELSE jsonb_build_object('heir', $heir) END ORDER BY n)" \
	" FROM jsonb_array_elements(" list ") WITH ORDINALITY l(x, n))"

static SagaStatement close_execution_stmt = {
	.sql = "UPDATE saga.execution e SET not_compensated = " CLOSED("e.not_compensated") ", left_over = NULL"
	" WHERE execution_id = $execution_id AND not_compensated IS NOT NULL"
};

static SagaStatement close_letter_stmt = {
	.sql = "UPDATE saga.dead_letter d SET details = jsonb_set(details, '{not_compensated}', " CLOSED("d.details -> 'not_compensated'") ")"
	" WHERE queue_id = $workflow_id AND message_id = $execution_id AND jsonb_typeof(details -> 'not_compensated') = 'array'"
};

static SagaStatement undoing_stmt = {
	.sql = "SELECT x ->> 'undoing' AS undoing FROM saga.execution e, jsonb_array_elements(e.not_compensated) x"
	" WHERE execution_id = $execution_id AND x ? 'undoing' LIMIT 1"
};

/* Those that nobody knows of, and that have a record. */
static SagaStatement unknown_stmt = {
	.sql = "SELECT o.outbox_id, o.task_id FROM saga.execution e, jsonb_array_elements(e.not_compensated) x, saga.outbox o"
	" WHERE e.execution_id = $execution_id AND NOT x ? 'closed' AND coalesce(x ->> 'outcome', 'unknown') = 'unknown'"
	" AND o.execution_id = e.execution_id AND o.outbox_id::text = x ->> 'message_id' ORDER BY o.outbox_id"
};

/*
 * How they went is not asked for any more, so that nothing is done after the
 * list is closed.  What is in flight may take effect yet, and its answer tells.
 */
static void
end_calls(const pg_uuid_t *execution_id)
{
	SagaRows   *rows = saga_query(&unknown_stmt, saga_param_uuid("execution_id", execution_id));

	while (saga_rows_next(rows))
	{
		pg_uuid_t	id = saga_column_uuid(rows, "outbox_id");
		SagaFlight	flight = {0};

		CHECK_FOR_INTERRUPTS();
		if (saga_outbox_close(&id, execution_id, saga_column_int4(rows, "task_id"), &flight) == SAGA_IN_FLIGHT)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("message %s of execution %s is in flight", saga_uuid_to_cstring(&id), saga_uuid_to_cstring(execution_id)),
					 flight.pid != 0 ?
					 errdetail("Process %d waits for its answer, until %s at the latest.", flight.pid, timestamptz_to_str(flight.until)) :
					 errdetail("A publisher is about to send it."),
					 errhint("Try again when its answer has come, or has not; saga.pause_destination keeps it from being sent again in the meantime.")));
	}
	saga_rows_free(rows);
}

/* Raises where one of the entries is being undone. */
void
saga_entry_close(const pg_uuid_t *execution_id, int32 workflow_id, const pg_uuid_t *heir)
{
	SagaRows   *rows;

	saga_entry_lock_ended(execution_id, workflow_id);
	rows = saga_query(&undoing_stmt, saga_param_uuid("execution_id", execution_id));
	if (saga_rows_next(rows))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("what execution %s has left is being undone", saga_uuid_to_cstring(execution_id)),
				 errdetail("Execution %s does it.", saga_column_text(rows, "undoing")),
				 errhint("Wait for that one, or stop it.")));
	end_calls(execution_id);
	if (heir != NULL)
		saga_outbox_hand_on(execution_id, heir);
	saga_run(&close_execution_stmt, saga_param_uuid("execution_id", execution_id), saga_param_uuid("heir", heir));
	saga_run(&close_letter_stmt, saga_param_uuid("execution_id", execution_id), saga_param_int4("workflow_id", workflow_id),
			 saga_param_uuid("heir", heir));
}

/* ---------- one entry ---------- */

typedef struct Entry
{
	const char *outcome;
	const char *undoing;		/* NULL: nobody does */
	bool		asked;
	bool		closed;
	int			version;		/* of the execution */
	Jsonb	   *left;			/* NULL: nothing was kept */
} Entry;

/* The entry of a call, with what its execution has kept to undo it; false: there is none. */
static bool
find_entry(const pg_uuid_t *execution_id, const char *message_id, Entry *entry)
{
	static SagaStatement stmt = {
		.sql = "SELECT coalesce(x ->> 'outcome', 'unknown') AS outcome, x ->> 'undoing' AS undoing, x ? 'asked' AS asked,"
		" x ? 'closed' AS closed, e.version, e.left_over FROM saga.execution e, jsonb_array_elements(e.not_compensated) x"
		" WHERE e.execution_id = $execution_id AND coalesce(x ->> 'message_id', '') = $message_id LIMIT 1"
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_uuid("execution_id", execution_id), saga_param_text("message_id", message_id));
	bool		found = saga_rows_next(rows);

	if (found)
	{
		entry->outcome = saga_column_text(rows, "outcome");
		entry->undoing = saga_column_text(rows, "undoing");
		entry->asked = saga_column_bool(rows, "asked");
		entry->closed = saga_column_bool(rows, "closed");
		entry->version = saga_column_int4(rows, "version");
		entry->left = saga_column_jsonb(rows, "left_over");
	}
	saga_rows_free(rows);
	return found;
}

/* ---------- its handler ---------- */

/*
 * An execution that runs the handler: parked, with a tick that brings it to a
 * worker.  NULL: what the handler needs was not kept.  The lock on the queue
 * keeps the workflow from being given away as long as this is not committed:
 * the handler may be one that the new owner has not seen.
 */
static char *
start_undoing(int32 workflow_id, const pg_uuid_t *execution_id, const char *message_id, const Entry *entry, Jsonb *output)
{
	SagaJob		job = {0};

	if (entry->left == NULL)
		return NULL;
	job.queue = saga_queue_lock(saga_queue_by_id(workflow_id, false));
	job.version = entry->version;
	job.execution_id = saga_uuid_new();
	job.parent_id = *execution_id;
	job.started_at = GetCurrentTimestamp();
	job.timed_out_task = -1;
	job.early = true;
	saga_job_environment(&job);
	job.run = saga_run_undo(job.machine, &job.env, entry->left, message_id, output, job.started_at, &job.input);
	if (job.run == NULL)
		return NULL;
	saga_store_park(NULL, &job, DT_NOEND);
	return saga_uuid_to_cstring(&job.execution_id);
}

/* It was done: it is undone, or only said to be there. */
static void
found_done(int32 workflow_id, const pg_uuid_t *execution_id, const char *message_id, const Entry *entry, Jsonb *output)
{
	JsonbParseState *state = NULL;
	char	   *undoing = start_undoing(workflow_id, execution_id, message_id, entry, output);

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(&state, "outcome", "done");
	if (undoing != NULL)
		saga_doc_push_string(&state, "undoing", undoing);
	(void) change(execution_id, workflow_id, "message_id", message_id,
				  JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}

/* ---------- a person ---------- */

/* Raises: nothing can be said of the call any more. */
static void
known_already(const pg_uuid_t *message_id, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("how message %s went is known already, or nobody waits for it", saga_uuid_to_cstring(message_id)),
			 detail != NULL ? errdetail("%s", detail) : 0,
			 errhint("saga.executions shows in not_compensated what an execution could not undo, once it has ended.")));
}

void
saga_entry_settle(const pg_uuid_t *message_id, const SagaWorkflow *workflow, const pg_uuid_t *execution_id, bool done,
				  Jsonb *output)
{
	/* the execution's own id: what has no message */
	char	   *id = saga_uuid_cmp(message_id, execution_id) == 0 ? "" : saga_uuid_to_cstring(message_id);
	int32		workflow_id = workflow->workflow_id;
	Entry		entry;

	if (id[0] == '\0' && done)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is an execution, of which only \"no_effect\" can be said", saga_uuid_to_cstring(message_id)),
				 errhint("That takes from its list what has no message, when somebody has undone it.")));
	if (!find_entry(execution_id, id, &entry))
		known_already(message_id, NULL);
	if (entry.closed)
		known_already(message_id, "It was closed, when its execution was redriven or given up.");
	if (entry.undoing != NULL)
		known_already(message_id, psprintf("Execution %s is undoing it.", entry.undoing));
	if (!done)
		(void) change(execution_id, workflow_id, "message_id", id, NULL);
	else if (entry.left == NULL && strcmp(entry.outcome, "done") == 0)
		known_already(message_id, NULL);
	else
		found_done(workflow_id, execution_id, id, &entry, output);
}

/* ---------- of many ---------- */

/* {"the id of its message": "its place"}, of all or of those that are chosen; NULL: of none. */
static Jsonb *
places(const SagaLeftCall *calls, int n, bool all)
{
	JsonbParseState *state = NULL;
	Jsonb	   *result;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (all || calls[i].chosen)
			saga_doc_push_string(&state, saga_uuid_to_cstring(&calls[i].message_id), psprintf("%d", i));
	}
	result = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	return JB_ROOT_COUNT(result) > 0 ? result : NULL;
}

void
saga_entry_look(SagaLeftCall *calls, int n)
{
	static SagaStatement stmt = {
		.sql = "SELECT ($places ->> (x ->> 'message_id'))::int AS place, coalesce(x ->> 'outcome', 'unknown') = 'unknown' AS unknown,"
		" x ? 'undoing' AS undoing, x ? 'asked' AS asked"
		" FROM saga.execution e, jsonb_array_elements(e.not_compensated) x"
		" WHERE e.execution_id = $execution_id AND $places ? coalesce(x ->> 'message_id', '') AND NOT x ? 'closed'"
	};
	SagaRows   *rows;

	for (int i = 0; i < n; i++)
	{
		calls[i].entry = 0;
		calls[i].chosen = false;
	}
	rows = saga_query(&stmt, saga_param_jsonb("places", places(calls, n, true)),
					  saga_param_uuid("execution_id", &calls->execution_id));
	while (saga_rows_next(rows))
	{
		SagaLeftCall *call = &calls[saga_column_int4(rows, "place")];

		call->entry = SAGA_ENTRY_OPEN;
		if (saga_column_bool(rows, "unknown"))
			call->entry |= SAGA_ENTRY_UNKNOWN;
		if (saga_column_bool(rows, "undoing"))
			call->entry |= SAGA_ENTRY_UNDOING;
		if (saga_column_bool(rows, "asked"))
			call->entry |= SAGA_ENTRY_ASKED;
	}
	saga_rows_free(rows);
}

void
saga_entry_change(const SagaLeftCall *calls, int n, SagaEntryChange how)
{
	Jsonb	   *which = places(calls, n, false);
	Jsonb	   *to = NULL;

	if (which == NULL)
		return;
	if (how == SAGA_ENTRY_IS_ASKED)
		to = object_of("asked", timestamptz_to_str(GetCurrentTimestamp()));
	else if (how == SAGA_ENTRY_IS_UNKNOWN)
		to = object_of("outcome", "unknown");
	(void) change_all(&calls->execution_id, calls->workflow_id, "message_id", which, to);
}

/* ---------- what comes after the end ---------- */

/* The message of a task; NULL: there is none. */
static char *
message_of_task(const pg_uuid_t *execution_id, Jsonb *body)
{
	static SagaStatement stmt = {
		.sql = "SELECT outbox_id FROM saga.outbox WHERE execution_id = $execution_id AND to_jsonb(task_id) = $body -> 'task'"
		" ORDER BY created_at DESC LIMIT 1"
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_uuid("execution_id", execution_id), saga_param_jsonb("body", body));
	pg_uuid_t	id;

	if (!saga_rows_next(rows))
		return NULL;
	id = saga_column_uuid(rows, "outbox_id");
	return saga_uuid_to_cstring(&id);
}

/* How a call went that was asked for once more. */
static bool
asked_event(const pg_uuid_t *execution_id, int32 workflow_id, Jsonb *body)
{
	char	   *message_id = message_of_task(execution_id, body);
	JsonbValue	v;
	Entry		entry;

	if (message_id == NULL || !find_entry(execution_id, message_id, &entry) || !entry.asked)
		return true;
	if (!try_lock_rows(execution_id, workflow_id))
		return false;
	if (!find_entry(execution_id, message_id, &entry) || !entry.asked || entry.closed || entry.undoing != NULL)
		return true;
	if (saga_jsonb_get(body, "output", &v))
		found_done(workflow_id, execution_id, message_id, &entry, saga_jsonb_from_value(&v));
	else if (saga_jsonb_get(body, "in_doubt", &v))
		(void) change(execution_id, workflow_id, "message_id", message_id, saga_jsonb_empty_object());
	else
		(void) change(execution_id, workflow_id, "message_id", message_id, NULL);
	return true;
}

/*
 * An answer that comes after the end of the execution that had given the call
 * up, or the end of what undoes it.
 */
bool
saga_entry_event(const SagaItem *item, int32 workflow_id)
{
	Jsonb	   *body = item->body;
	char	   *undone;
	JsonbValue	v;

	if (body == NULL || !JB_ROOT_IS_OBJECT(body))
		return true;
	undone = saga_jsonb_get_string(body, "undone");
	if (undone == NULL)
		return !saga_jsonb_get(body, "task", &v) || asked_event(&item->execution_id, workflow_id, body);
	if (!try_lock_rows(&item->execution_id, workflow_id))
		return false;
	(void) change(&item->execution_id, workflow_id, "undoing", undone,
				  saga_jsonb_get(body, "entry", &v) ? saga_jsonb_from_value(&v) : NULL);
	return true;
}
