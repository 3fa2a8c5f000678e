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

#include "catalog/pg_type.h"
#include "engine/engine_private.h"
#include "miscadmin.h"
#include "outbox/outbox.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* ---------- the rows ---------- */

static SagaStmt lock_letter_stmt = {
	"SELECT 1 FROM saga.dead_letter WHERE message_id = $1 AND queue_id = $2 FOR UPDATE",
	2, {UUIDOID, INT4OID}
};

static SagaStmt lock_execution_stmt = {
	"SELECT 1 FROM saga.execution WHERE execution_id = $1 FOR UPDATE",
	1, {UUIDOID}
};

static SagaStmt try_lock_stmt = {
	"WITH l AS MATERIALIZED (SELECT FROM saga.dead_letter WHERE message_id = $1 AND queue_id = $2 FOR UPDATE SKIP LOCKED),"
	" e AS MATERIALIZED (SELECT FROM saga.execution WHERE execution_id = $1 FOR UPDATE SKIP LOCKED)"
	" SELECT 1 WHERE (SELECT count(*) FROM e) = 1 AND (SELECT count(*) FROM l) ="
	" (SELECT count(*) FROM saga.dead_letter WHERE message_id = $1 AND queue_id = $2)",
	2, {UUIDOID, INT4OID}
};

static void
lock_rows(const pg_uuid_t *execution_id, int32 workflow_id)
{
	Datum		values[2] = {UUIDPGetDatum(execution_id), Int32GetDatum(workflow_id)};

	saga_execute(&lock_letter_stmt, values, NULL, false, 0);
	saga_execute(&lock_execution_stmt, values, NULL, false, 0);
}

/*
 * The continuation first, as whoever runs the execution does: he finds it
 * locked, and leaves it for as long as this transaction is open.
 */
static SagaStmt lock_live_stmt = {
	"SELECT 1 FROM saga.continuation WHERE execution_id = $1 FOR UPDATE",
	1, {UUIDOID}
};

bool
saga_entry_lock(const pg_uuid_t *execution_id, int32 workflow_id)
{
	Datum		value = UUIDPGetDatum(execution_id);

	saga_execute(&lock_live_stmt, &value, NULL, false, 0);
	if (SPI_processed > 0)
		return true;
	lock_rows(execution_id, workflow_id);
	return false;
}

static bool
try_lock_rows(const pg_uuid_t *execution_id, int32 workflow_id)
{
	Datum		values[2] = {UUIDPGetDatum(execution_id), Int32GetDatum(workflow_id)};

	saga_execute(&try_lock_stmt, values, NULL, false, 0);
	return SPI_processed > 0;
}

static SagaStmt try_lock_live_stmt = {
	"SELECT 1 FROM saga.continuation WHERE execution_id = $1 FOR UPDATE SKIP LOCKED",
	1, {UUIDOID}
};

/* False: somebody has it. */
bool
saga_entry_try_lock(const pg_uuid_t *execution_id, int32 workflow_id, bool *live)
{
	Datum		value = UUIDPGetDatum(execution_id);

	saga_execute(&try_lock_live_stmt, &value, NULL, false, 0);
	*live = SPI_processed > 0;
	/* one that is live and locked has no such rows yet */
	return *live || try_lock_rows(execution_id, workflow_id);
}

/*
 * The entries whose member $2 is a key of $3 become what $4 says, or go; "" is
 * a member that is not there.  A list may be long, so it is gone through once
 * for all that are meant.
 */
#define IS_IT "$3 ? coalesce(x ->> $2, '')"
#define CHANGED(list) \
	"(SELECT jsonb_agg(CASE WHEN " IS_IT " THEN (x - 'undoing' - 'asked') || $4 ELSE x END ORDER BY n) AS list" \
	" FROM jsonb_array_elements(" list ") WITH ORDINALITY l(x, n) WHERE NOT " IS_IT " OR $4 IS NOT NULL) c"

static SagaStmt change_execution_stmt = {
	"UPDATE saga.execution e SET (not_compensated, left_over) ="
	" (SELECT c.list, CASE WHEN c.list IS NOT NULL THEN e.left_over END FROM " CHANGED("e.not_compensated") ")"
	" WHERE execution_id = $1 AND EXISTS (SELECT FROM jsonb_array_elements(e.not_compensated) x WHERE " IS_IT ")",
	4, {UUIDOID, TEXTOID, JSONBOID, JSONBOID}
};

static SagaStmt change_letter_stmt = {
	"UPDATE saga.dead_letter d SET (details, reason) ="
	" (SELECT jsonb_set(d.details, '{not_compensated}', coalesce(c.list, 'null')),"
	" CASE WHEN c.list IS NULL THEN coalesce(d.details ->> 'error', d.reason) ELSE d.reason END"
	" FROM " CHANGED("d.details -> 'not_compensated'") ")"
	" WHERE queue_id = $5 AND message_id = $1 AND jsonb_typeof(details -> 'not_compensated') = 'array'",
	5, {UUIDOID, TEXTOID, JSONBOID, JSONBOID, INT4OID}
};

/* Of an execution that has succeeded nothing else was to be told. */
static SagaStmt forget_stmt = {
	"DELETE FROM saga.dead_letter WHERE queue_id = $2 AND message_id = $1 AND details ->> 'status' = 'SUCCEEDED'"
	" AND jsonb_typeof(details -> 'not_compensated') = 'null'",
	2, {UUIDOID, INT4OID}
};

/* Those whose member is a key of "which".  NULL: they go.  False: there are none. */
static bool
change_all(const pg_uuid_t *execution_id, int32 workflow_id, const char *member, Jsonb *which, Jsonb *to)
{
	Datum		values[5] = {UUIDPGetDatum(execution_id), CStringGetTextDatum(member), JsonbPGetDatum(which),
		(Datum) 0, Int32GetDatum(workflow_id)};
	char		nulls[6] = "     ";

	if (to != NULL)
		values[3] = JsonbPGetDatum(to);
	else
		nulls[3] = 'n';
	saga_execute(&change_execution_stmt, values, nulls, false, 0);
	if (SPI_processed == 0)
		return false;
	saga_execute(&change_letter_stmt, values, nulls, false, 0);
	values[1] = Int32GetDatum(workflow_id);
	saga_execute(&forget_stmt, values, NULL, false, 0);
	return true;
}

static void
push_text(JsonbParseState **state, const char *key, const char *text)
{
	JsonbValue	v = {.type = jbvString};

	v.val.string.val = unconstify(char *, key);
	v.val.string.len = strlen(key);
	pushJsonbValue(state, WJB_KEY, &v);
	v.val.string.val = unconstify(char *, text);
	v.val.string.len = strlen(text);
	pushJsonbValue(state, WJB_VALUE, &v);
}

static Jsonb *
object_of(const char *key, const char *text)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_text(&state, key, text);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static bool
change(const pg_uuid_t *execution_id, int32 workflow_id, const char *member, const char *value, Jsonb *to)
{
	return change_all(execution_id, workflow_id, member, object_of(value, ""), to);
}

#define CLOSED(list) \
	"(SELECT jsonb_agg((x - 'undoing' - 'asked') || '{\"outcome\": \"unknown\", \"closed\": true}' ORDER BY n)" \
	" FROM jsonb_array_elements(" list ") WITH ORDINALITY l(x, n))"

static SagaStmt close_execution_stmt = {
	"UPDATE saga.execution e SET not_compensated = " CLOSED("e.not_compensated") ", left_over = NULL"
	" WHERE execution_id = $1 AND not_compensated IS NOT NULL",
	1, {UUIDOID}
};

static SagaStmt close_letter_stmt = {
	"UPDATE saga.dead_letter d SET details = jsonb_set(details, '{not_compensated}', " CLOSED("d.details -> 'not_compensated'") ")"
	" WHERE queue_id = $2 AND message_id = $1 AND jsonb_typeof(details -> 'not_compensated') = 'array'",
	2, {UUIDOID, INT4OID}
};

static SagaStmt undoing_stmt = {
	"SELECT x ->> 'undoing' FROM saga.execution e, jsonb_array_elements(e.not_compensated) x"
	" WHERE execution_id = $1 AND x ? 'undoing' LIMIT 1",
	1, {UUIDOID}
};

void
saga_entry_close(const pg_uuid_t *execution_id, int32 workflow_id)
{
	Datum		values[2] = {UUIDPGetDatum(execution_id), Int32GetDatum(workflow_id)};
	bool		isnull;

	lock_rows(execution_id, workflow_id);
	saga_execute(&undoing_stmt, values, NULL, false, 1);
	if (SPI_processed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("what execution %s has left is being undone", saga_uuid_to_cstring(execution_id)),
				 errdetail("Execution %s does it.", TextDatumGetCString(saga_result(0, 1, &isnull))),
				 errhint("Wait for that one, or stop it.")));
	saga_execute(&close_execution_stmt, values, NULL, false, 0);
	saga_execute(&close_letter_stmt, values, NULL, false, 0);
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

static bool
find_entry(const pg_uuid_t *execution_id, const char *message_id, Entry *entry)
{
	static SagaStmt stmt = {
		"SELECT x ->> 'outcome', x ->> 'undoing', x ? 'asked', x ? 'closed', e.version, e.left_over"
		" FROM saga.execution e, jsonb_array_elements(e.not_compensated) x"
		" WHERE e.execution_id = $1 AND coalesce(x ->> 'message_id', '') = $2 LIMIT 1",
		2, {UUIDOID, TEXTOID}
	};
	Datum		values[2] = {UUIDPGetDatum(execution_id), CStringGetTextDatum(message_id)};
	Datum		value;
	bool		isnull;

	saga_execute(&stmt, values, NULL, false, 1);
	if (SPI_processed == 0)
		return false;
	value = saga_result(0, 1, &isnull);
	entry->outcome = isnull ? "unknown" : TextDatumGetCString(value);
	value = saga_result(0, 2, &isnull);
	entry->undoing = isnull ? NULL : TextDatumGetCString(value);
	entry->asked = DatumGetBool(saga_result(0, 3, &isnull));
	entry->closed = DatumGetBool(saga_result(0, 4, &isnull));
	entry->version = DatumGetInt32(saga_result(0, 5, &isnull));
	value = saga_result(0, 6, &isnull);
	entry->left = isnull ? NULL : DatumGetJsonbPCopy(value);
	SPI_freetuptable(SPI_tuptable);
	return true;
}

/* ---------- its handler ---------- */

/*
 * An execution that runs the handler: parked, with a tick that brings it to a
 * worker.  NULL: what the handler needs was not kept.
 */
static char *
start_undoing(int32 workflow_id, const pg_uuid_t *execution_id, const char *message_id, const Entry *entry, Jsonb *output)
{
	SagaJob		job = {0};

	if (entry->left == NULL)
		return NULL;
	job.queue = saga_queue_by_id(workflow_id, false);
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
	push_text(&state, "outcome", "done");
	if (undoing != NULL)
		push_text(&state, "undoing", undoing);
	(void) change(execution_id, workflow_id, "message_id", message_id,
				  JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}

/* ---------- a person ---------- */

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
			push_text(&state, saga_uuid_to_cstring(&calls[i].message_id), psprintf("%d", i));
	}
	result = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	return JB_ROOT_COUNT(result) > 0 ? result : NULL;
}

void
saga_entry_look(SagaLeftCall *calls, int n)
{
	static SagaStmt stmt = {
		"SELECT ($2 ->> (x ->> 'message_id'))::int, coalesce(x ->> 'outcome', 'unknown') = 'unknown', x ? 'undoing', x ? 'asked'"
		" FROM saga.execution e, jsonb_array_elements(e.not_compensated) x"
		" WHERE e.execution_id = $1 AND $2 ? coalesce(x ->> 'message_id', '') AND NOT x ? 'closed'",
		2, {UUIDOID, JSONBOID}
	};
	Datum		values[2] = {UUIDPGetDatum(&calls->execution_id), JsonbPGetDatum(places(calls, n, true))};
	bool		isnull;

	for (int i = 0; i < n; i++)
	{
		calls[i].entry = 0;
		calls[i].chosen = false;
	}
	saga_execute(&stmt, values, NULL, false, 0);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		SagaLeftCall *call = &calls[DatumGetInt32(saga_result(row, 1, &isnull))];

		call->entry = SAGA_ENTRY_OPEN;
		if (DatumGetBool(saga_result(row, 2, &isnull)))
			call->entry |= SAGA_ENTRY_UNKNOWN;
		if (DatumGetBool(saga_result(row, 3, &isnull)))
			call->entry |= SAGA_ENTRY_UNDOING;
		if (DatumGetBool(saga_result(row, 4, &isnull)))
			call->entry |= SAGA_ENTRY_ASKED;
	}
	SPI_freetuptable(SPI_tuptable);
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

/* The handler's execution has ended: whoever has left the call is told. */
void
saga_entry_undone(const SagaJob *job)
{
	JsonbParseState *state = NULL;
	Jsonb	   *left = job->end.not_compensated;
	JsonbValue	v = {.type = jbvString};

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_text(&state, "undone", saga_uuid_to_cstring(&job->execution_id));
	if (left != NULL && JsonContainerSize(&left->root) > 0)
	{
		v.val.string.val = "entry";
		v.val.string.len = strlen("entry");
		pushJsonbValue(&state, WJB_KEY, &v);
		pushJsonbValue(&state, WJB_VALUE, getIthJsonbValueFromContainer(&left->root, 0));
	}
	saga_engine_send_event(job->queue->queue_id, &job->parent_id,
						   JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}

/* The message of a task; NULL: there is none. */
static char *
message_of_task(const pg_uuid_t *execution_id, Jsonb *body)
{
	static SagaStmt stmt = {
		"SELECT outbox_id::text FROM saga.outbox WHERE execution_id = $1 AND to_jsonb(task_id) = $2 -> 'task'"
		" ORDER BY created_at DESC LIMIT 1",
		2, {UUIDOID, JSONBOID}
	};
	Datum		values[2] = {UUIDPGetDatum(execution_id), JsonbPGetDatum(body)};
	bool		isnull;

	saga_execute(&stmt, values, NULL, false, 1);
	return SPI_processed > 0 ? TextDatumGetCString(saga_result(0, 1, &isnull)) : NULL;
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
