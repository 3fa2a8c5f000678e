/*
 * children_turn.c
 *		The turn of children: what has happened to them is put together, the
 *		next items begin, and their parent hears of the end.
 *
 * A turn is a message like others, run in a batch.  No code of a user's runs
 * in it, but for the triggers of a table that results go to.  Turns that come
 * for nothing are harmless.
 */
#include "postgres.h"

#include "common/guc.h"
#include "common/statement.h"
#include "engine/children_private.h"
#include "engine/engine_private.h"
#include "engine/event_private.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "value/doc.h"

/* Items that begin in one turn. */
#define ITEMS_AT_ONCE	500

static bool
is_set(Jsonb *body, const char *name)
{
	JsonbValue	v;

	return saga_jsonb_get(body, name, &v) && v.type == jbvBool && v.val.boolean;
}

/* ---------- what has happened ---------- */

/* Somebody does not want them any more, or wants to know when they are undone. */
static void
take_close(SagaChildren *children, Jsonb *body)
{
	char	   *asker = saga_jsonb_get_string(body, "for");

	if (children->phase != 'c' && children->phase != 'x')
	{
		children->phase = 'c';
		children->undo = is_set(body, "undo");
		children->error = saga_jsonb_get_string(body, "error");
		children->cause = saga_jsonb_get_string(body, "cause");
	}
	else if (is_set(body, "undo") && !children->undo)
	{
		/* they were only stopped so far */
		children->phase = 'c';
		children->undo = true;
	}
	if (asker != NULL && saga_uuid_parse(asker, &children->close_id))
	{
		children->close_task = (int) saga_engine_message_number(body, "task");
		/* whoever waits is to be told, also of what is over */
		children->phase = 'c';
	}
}

static void
take_report(SagaChildren *children, Jsonb *body)
{
	char	   *error = saga_jsonb_get_string(body, "error");

	children->ended += saga_engine_message_number(body, "ended");
	children->succeeded += saga_engine_message_number(body, "succeeded");
	children->failed += saga_engine_message_number(body, "failed");
	/* one that somebody has stopped by hand has not done what it was for */
	*(children->phase == 'r' ? &children->failed : &children->aborted) += saga_engine_message_number(body, "aborted");
	if (error != NULL && children->phase == 'r')
	{
		children->error = error;
		children->cause = saga_jsonb_get_string(body, "cause");
	}
	if (saga_engine_message_number(body, "undone") + saga_engine_message_number(body, "not_undone") > 0)
	{
		children->undone += saga_engine_message_number(body, "undone");
		children->not_undone += saga_engine_message_number(body, "not_undone");
		children->undoing = saga_uuid_min;
	}
}

/* Returns how often the turn has come back to look again; -1: it has not come for that. */
static int
take_events(SagaJob *job, SagaChildren *children)
{
	int			again = -1;

	for (int i = 0; i < job->nevents; i++)
	{
		Jsonb	   *body = job->events[i]->body;

		if (body == NULL || !JB_ROOT_IS_OBJECT(body))
			continue;
		if (saga_engine_message_number(body, "again") > 0)
			again = Max(again, (int) saga_engine_message_number(body, "again"));
		if (is_set(body, "close"))
		{
			take_close(children, body);
			again = Max(again, 0);
		}
		else
			take_report(children, body);
	}
	return again;
}

/* ---------- items ---------- */

/* Takes so many of the items that have not begun, and starts them. */
static int
start_items(const SagaChildren *children, int n)
{
	static SagaStatement stmt = {
		.sql = "WITH next AS (DELETE FROM saga.map_item WHERE children_id = $children_id"
		" AND child_index >= $from AND child_index < $to RETURNING child_index, items, input)"
		" SELECT child_index, items, input FROM next ORDER BY child_index"
	};
	static SagaStatement some_stmt = {
		.sql = "WITH next AS (DELETE FROM saga.map_item WHERE children_id = $children_id AND child_index = ANY (ARRAY("
		"SELECT child_index FROM saga.map_item WHERE children_id = $children_id ORDER BY child_index LIMIT $n))"
		" RETURNING child_index, items, input) SELECT child_index, items, input FROM next ORDER BY child_index"
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_uuid("children_id", &children->children_id),
								  saga_param_int8("from", children->started), saga_param_int8("to", children->started + n));
	SagaSend   *starts;
	int			count = 0;

	/*
	 * where some were taken over from a run before they do not follow each
	 * other
	 */
	if (rows->count == 0)
		rows = saga_query(&some_stmt, saga_param_uuid("children_id", &children->children_id), saga_param_int8("n", n));
	starts = palloc0(sizeof(SagaSend) * Max(rows->count, 1));

	while (saga_rows_next(rows))
	{
		SagaSend   *start = &starts[count++];

		start->kind = SAGA_MSG_START;
		start->version = children->version;
		start->message_id = saga_uuid_new();
		start->headers = saga_child_headers(children, NULL, saga_column_int8(rows, "child_index"),
											saga_column_int4(rows, "items"));
		start->body = saga_column_jsonb(rows, "input");
	}
	if (count > 0)
		saga_queue_send_rows(saga_queue_by_id(children->workflow_id, false), starts, count);
	return count;
}

/* True: some more could begin at once. */
static bool
start_more(SagaChildren *children)
{
	int64		running = children->started - children->ended;
	int64		room = children->children - children->started;
	int			n;

	if (children->concurrency > 0)
		room = Min(room, children->concurrency - running);
	if (room <= 0)
		return false;
	n = start_items(children, (int) Min(room, ITEMS_AT_ONCE));
	children->started += n;
	return n > 0 && room > n;
}

/* Those that have not begun never will. */
static void
drop_items(SagaChildren *children)
{
	static SagaStatement stmt = {
		.sql = "WITH gone AS (DELETE FROM saga.map_item WHERE children_id = $children_id RETURNING items)"
		" SELECT coalesce(sum(items), 0)::bigint AS items FROM gone"
	};
	SagaRows   *rows;

	if (children->started == children->children)
		return;
	rows = saga_query(&stmt, saga_param_uuid("children_id", &children->children_id));
	if (saga_rows_next(rows))
		children->aborted += saga_column_int8(rows, "items");
	children->ended += children->children - children->started;
	children->started = children->children;
}

/* ---------- the end of a Map ---------- */

static void
tell_parent(const SagaChildren *children, Jsonb *output, const char *error, const char *cause)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_int(&state, "task", children->task_id);
	if (output != NULL)
		saga_doc_push_jsonb(&state, "output", output);
	else
	{
		saga_doc_push_string(&state, "error", error);
		saga_doc_push_string(&state, "cause", cause);
	}
	saga_engine_send_event(children->parent_workflow_id, &children->parent_id,
						   JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}

/* More than this is no document of PostgreSQL's any more, whatever the limit of a state is. */
#define RESULTS_AT_MOST	(128 * 1024 * 1024)

/* The results as they are put together. */
typedef struct Results
{
	MemoryContext context;
	JsonbParseState *state;
	int64		bytes;
} Results;

/* The next one; what is too much is counted and no more. */
static void
add_result(Jsonb *value, int64 index, void *arg)
{
	Results    *results = arg;
	MemoryContext old;

	CHECK_FOR_INTERRUPTS();
	if (value == NULL)
		value = saga_jsonb_null();
	results->bytes += VARSIZE(value);
	if (results->bytes > RESULTS_AT_MOST)
		return;
	old = MemoryContextSwitchTo(results->context);
	saga_jsonb_push(&results->state, WJB_ELEM, memcpy(palloc(VARSIZE(value)), value, VARSIZE(value)));
	MemoryContextSwitchTo(old);
}

/*
 * What is stored is compressed, and a scalar alone takes some bytes more than
 * its text: true says only that it is worth while to look.
 */
static bool
may_fit(const SagaChildren *children)
{
	static SagaStatement stmt = {
		.sql = "SELECT coalesce(sum(pg_catalog.pg_column_size(output) - 20), 0)::bigint AS bytes FROM saga.execution"
		" WHERE children_id = $children_id AND child_index IS NOT NULL"
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_uuid("children_id", &children->children_id));

	return saga_rows_next(rows) &&
		(saga_payload_limit_kb == 0 || saga_column_int8(rows, "bytes") <= (int64) saga_payload_limit_kb * 1024);
}

/*
 * The results in the order of the items; NULL: they are more than a state may
 * have; the run looks again.  They are read one by one: what is too large must
 * not be an error, which would come again in every turn.
 */
static Jsonb *
collect_results(const SagaChildren *children)
{
	static const char sql[] = "SELECT CASE WHEN status = 's' THEN output ELSE"
	" pg_catalog.jsonb_build_object('Status', CASE status WHEN 't' THEN 'TIMED_OUT' WHEN 'a' THEN 'ABORTED' ELSE 'FAILED' END,"
	" 'Error', error, 'Cause', cause) END FROM saga.execution"
	" WHERE children_id = ($1 #>> '{}')::pg_catalog.uuid AND child_index IS NOT NULL ORDER BY child_index";
	Results		results = {.context = CurrentMemoryContext};
	JsonbValue	id;
	SagaRaised	save;

	if (!may_fit(children))
		return NULL;
	saga_value_set_string(&id, saga_uuid_to_cstring(&children->children_id), 36);
	pushJsonbValue(&results.state, WJB_BEGIN_ARRAY, NULL);
	saga_raise(&save);
	saga_stream(sql, saga_jsonb_from_value(&id), 0, add_result, &results);
	saga_lower(&save);
	if (results.bytes > RESULTS_AT_MOST)
		return NULL;
	return JsonbValueToJsonb(pushJsonbValue(&results.state, WJB_END_ARRAY, NULL));
}

static void
finish_map(SagaBatch *batch, SagaJob *job, SagaChildren *children)
{
	Jsonb	   *results = NULL;
	char	   *cause = NULL;

	/* those that failed are there, too */
	if (children->writer != NULL && (results = saga_children_write(batch, job, children, &cause)) == NULL)
	{
		tell_parent(children, NULL, "States.ResultWriterFailed", cause);
		return;
	}
	if (children->failed > children->tolerated)
	{
		tell_parent(children, NULL, "States.ExceedToleratedFailureThreshold",
					psprintf("The specified tolerated failure threshold was exceeded: " INT64_FORMAT " of " INT64_FORMAT
							 " items failed, the last one with %s%s%s", children->failed, children->items,
							 children->error != NULL ? children->error : "an error",
							 children->cause != NULL ? ": " : "", children->cause != NULL ? children->cause : ""));
		return;
	}
	if (results == NULL)
		results = collect_results(children);
	if (results != NULL)
		tell_parent(children, results, NULL, NULL);
	else
		tell_parent(children, NULL, "States.DataLimitExceeded",
					psprintf("The results of the %s are larger than a state may have; a ResultWriter takes them to a table.",
							 children->name));
}

/* ---------- the turn ---------- */

/*
 * All have ended, and the parent hears of it.  trouble: that has failed again
 * and again, or crashed the server; NULL: not so far.
 */
static void
finish(SagaBatch *batch, SagaJob *job, SagaChildren *children, const char *trouble)
{
	children->phase = 'd';
	if (trouble != NULL)
		tell_parent(children, NULL, trouble, "what the executions came to could not be told: see the server's log");
	else if (children->map_state == NULL)
		saga_child_answer(children);
	else
		finish_map(batch, job, children);
}

/* True: there is more to do at once. */
static bool
go_on(SagaBatch *batch, SagaJob *job, SagaChildren *children, const char *trouble)
{
	bool		more = false;

	if (children->phase == 'r' && children->failed > children->tolerated && children->map_state != NULL)
		children->phase = 's';
	if (children->phase == 's')
		drop_items(children);
	else
		more = start_more(children);
	if (children->ended < children->children)
		return more;
	finish(batch, job, children, trouble);
	return false;
}

void
saga_children_turn(SagaBatch *batch, SagaJob *job, const char *trouble)
{
	SagaChildren children = *job->turn; /* it may run a second time */
	int			again;

	again = take_events(job, &children);
	if (children.phase == 'c')
	{
		drop_items(&children);
		saga_children_close_turn(batch, &children, again);
	}
	else if (children.phase == 's' || children.phase == 'r')
	{
		if (go_on(batch, job, &children, trouble))
			saga_children_send(&children, saga_jsonb_empty_object(), 0);
		if (children.phase == 's')
			saga_children_close_turn(batch, &children, job->turn->phase == 's' ? again : Max(again, 0));
	}
	saga_children_update(&children);
}
