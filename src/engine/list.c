/*
 * list.c
 *		saga.list_executions(): executions in pages, the newest first.
 *
 * The order is that of the ids, which are made of time; so the time to look at
 * is a range of ids, and a page begins where the one before has ended.  A page
 * is read workflow by workflow and, of those that have ended, status by
 * status, each from its index and no further than the page reaches: what was
 * found so far says how far that is.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/statement.h"
#include "engine/workflow_private.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(saga_list_executions);

#define MAX_LIMIT	1000		/* as AWS */

/* What is asked for. */
typedef struct Listing
{
	ArrayType  *ended;			/* statuses in saga.execution; NULL: none */
	bool		running;		/* those that wait, or have not begun */
	bool		compensating;
	const char *contains;		/* in the text of the input; NULL: anything */
	pg_uuid_t	above;			/* ids between these two, neither is in it */
	pg_uuid_t	below;
	int			limit;
} Listing;

typedef struct Entry
{
	pg_uuid_t	id;
	HeapTuple	tuple;			/* a row of the result */
} Entry;

/* At most twice the limit and some, as each look brings at most the limit. */
typedef struct Listed
{
	Entry	   *entries;
	int			n;
} Listed;


/* ---------- statements ---------- */

/* The row of the result; what it is one of is looked up for those rows alone that the limit leaves. */
#define ROW_SQL \
	"SELECT x.execution_id, w.name AS workflow, w.owner, x.version, x.name, x.status_name AS status, x.started_at, x.stopped_at," \
	" x.current_state, x.error," \
	" (SELECT c.parent_id FROM saga.children c WHERE c.children_id = x.children_id) AS started_by," \
	" (SELECT c.children_id FROM saga.children c WHERE c.children_id = x.children_id AND c.map_state IS NOT NULL) AS map_run_id" \
	" FROM saga.workflow w CROSS JOIN LATERAL "

#define PAGE_SQL(id, input, nulls) \
	" AND " id " > $above AND " id " < $below" \
	" AND ($contains IS NULL OR pg_catalog.strpos(" input "::text, $contains) > 0)" \
	" ORDER BY " id " DESC" nulls " LIMIT $limit"

/*
 * An index of the ids alone has their order, too, and the planner, which does
 * not know the range, takes it for as good: to walk over all that others have.
 * So the indexes that are meant have another order of nulls, and it is asked for.
 */
#define OF_INDEX	" NULLS LAST"

static SagaStatement ended_stmt = {
	.sql = ROW_SQL "(SELECT e.* FROM pg_catalog.unnest($ended) s (status) CROSS JOIN LATERAL"
	" (SELECT execution_id, version, name, CASE status WHEN 's' THEN 'SUCCEEDED' WHEN 'f' THEN 'FAILED'"
	" WHEN 't' THEN 'TIMED_OUT' ELSE 'ABORTED' END AS status_name, started_at, stopped_at, NULL::text AS current_state,"
	" error, children_id FROM saga.execution WHERE workflow_id = $workflow_id AND status = s.status"
	PAGE_SQL("execution_id", "input", OF_INDEX) ") e) x WHERE w.workflow_id = $workflow_id",
	.read_only = true
};

/* kind in another way than the indexes of all starts have it, whose order is that of their ids: as above. */
#define PENDING_SQL(table, id, condition) \
	" UNION ALL (SELECT " id ", version, headers ->> 'name', 'RUNNING', sent_at, NULL, NULL, NULL, (headers ->> 'children')::uuid" \
	" FROM saga." table " WHERE $running AND queue_id = $workflow_id AND kind::text = 's'" condition \
	PAGE_SQL(id, "body", "") ")"

/* status in another way than the index of those that compensate has it would not find that. */
#define WAITING_SQL(name, condition) \
	"(SELECT execution_id, version, name, " name " AS status_name, started_at, NULL::timestamptz AS stopped_at, current_state," \
	" NULL::text AS error, children_id FROM saga.continuation" \
	" WHERE workflow_id = $workflow_id AND " condition PAGE_SQL("execution_id", "input", OF_INDEX) ")"

static SagaStatement live_stmt = {
	.sql = ROW_SQL "(" WAITING_SQL("'COMPENSATING'", "$compensating AND status = 'c'")
	" UNION ALL " WAITING_SQL("'RUNNING'", "$running AND status <> 'c'")
	PENDING_SQL("message", "id", " AND id = message_id")
	PENDING_SQL("message", "message_id", " AND id <> message_id")
	PENDING_SQL("timer", "message_id", "") ") x WHERE w.workflow_id = $workflow_id",
	.read_only = true
};

/* Those that another execution has started: one, or those of a Map, by the index of that. */
static SagaStatement children_stmt = {
	.sql = ROW_SQL "((SELECT execution_id, version, name, CASE status WHEN 's' THEN 'SUCCEEDED' WHEN 'f' THEN 'FAILED'"
	" WHEN 't' THEN 'TIMED_OUT' ELSE 'ABORTED' END AS status_name, started_at, stopped_at, NULL::text AS current_state,"
	" error, children_id FROM saga.execution WHERE children_id = $children_id AND workflow_id = $workflow_id AND status = ANY ($ended)"
	PAGE_SQL("execution_id", "input", OF_INDEX) ") UNION ALL"
	" (SELECT execution_id, version, name, CASE status WHEN 'c' THEN 'COMPENSATING' ELSE 'RUNNING' END, started_at, NULL, current_state,"
	" NULL, children_id FROM saga.continuation WHERE children_id = $children_id AND workflow_id = $workflow_id"
	" AND CASE status WHEN 'c' THEN $compensating ELSE $running END"
	PAGE_SQL("execution_id", "input", OF_INDEX) ")"
	PENDING_SQL("message", "message_id", " AND headers ->> 'children' = $children_id::text")
	PENDING_SQL("timer", "message_id", " AND headers ->> 'children' = $children_id::text") ") x WHERE w.workflow_id = $workflow_id",
	.read_only = true
};

static SagaStatement started_stmt = {
	.sql = "SELECT children_id, workflow_id FROM saga.children WHERE parent_id = $parent_id ORDER BY children_id DESC",
	.read_only = true
};

/* Those whose executions the caller sees in saga.executions. */
static SagaStatement workflows_stmt = {
	.sql = "SELECT workflow_id FROM saga.workflow w WHERE pg_has_role($caller, w.owner, 'USAGE')"
	" OR EXISTS (SELECT FROM saga.object_grant g WHERE g.kind = 'workflow' AND g.object_id = w.workflow_id"
	" AND g.\"right\" = 'read' AND pg_has_role($caller, g.role, 'USAGE')) ORDER BY workflow_id DESC",
	.read_only = true
};

/* ---------- a page ---------- */

static int
newest_first(const void *a, const void *b)
{
	return saga_uuid_cmp(&((const Entry *) b)->id, &((const Entry *) a)->id);
}

/* More rows for the page; when it is full, nothing older than its last one is looked for any more. */
static void
add_rows(Listing *list, Listed *page, SagaRows *rows)
{
	page->entries = repalloc(page->entries, (page->n + rows->count + 1) * sizeof(Entry));
	while (saga_rows_next(rows))
	{
		page->entries[page->n].id = saga_column_uuid(rows, "execution_id");
		page->entries[page->n++].tuple = saga_row_tuple(rows);
	}
	qsort(page->entries, page->n, sizeof(Entry), newest_first);
	page->n = Min(page->n, list->limit);
	if (page->n == list->limit)
		list->above = page->entries[page->n - 1].id;
}

static SagaRows *
look(SagaStatement *stmt, const Listing *list, int32 workflow_id, const pg_uuid_t *children_id)
{
	CHECK_FOR_INTERRUPTS();
	return saga_query(stmt, saga_param_int4("workflow_id", workflow_id), saga_param_uuid("children_id", children_id),
					  saga_param_array("ended", CHARARRAYOID, list->ended),
					  saga_param_bool("running", list->running), saga_param_bool("compensating", list->compensating),
					  saga_param_text("contains", list->contains),
					  saga_param_uuid("above", &list->above), saga_param_uuid("below", &list->below),
					  saga_param_int8("limit", list->limit));
}

static void
add_workflow(Listing *list, Listed *page, int32 workflow_id)
{
	if (list->running || list->compensating)
		add_rows(list, page, look(&live_stmt, list, workflow_id, &saga_uuid_min));
	if (list->ended != NULL)
		add_rows(list, page, look(&ended_stmt, list, workflow_id, &saga_uuid_min));
}

/* Of one workflow (0: of any) that the caller may read. */
static void
add_started_by(Listing *list, Listed *page, const pg_uuid_t *parent_id, int32 workflow_id)
{
	SagaRows   *rows = saga_query(&started_stmt, saga_param_uuid("parent_id", parent_id));

	while (saga_rows_next(rows))
	{
		const SagaWorkflow *workflow = saga_workflow_by_id(saga_column_int4(rows, "workflow_id"), true);
		pg_uuid_t	children_id = saga_column_uuid(rows, "children_id");

		if (workflow != NULL && (workflow_id == 0 || workflow->workflow_id == workflow_id) &&
			saga_workflow_may(workflow, SAGA_RIGHT_READ))
			add_rows(list, page, look(&children_stmt, list, workflow->workflow_id, &children_id));
	}
	saga_rows_free(rows);
}

/* ---------- arguments ---------- */

static ArrayType *
statuses(const char *list)
{
	Datum	   *values = palloc(sizeof(Datum) * strlen(list));
	int			n = 0;

	for (; *list != '\0'; list++)
		values[n++] = CharGetDatum(*list);
	return construct_array(values, n, CHAROID, 1, true, TYPALIGN_CHAR);
}

/* NULL: all. */
static void
set_status(Listing *list, const char *status)
{
	static const struct
	{
		const char *name;
		const char *ended;
	}			known[] = {
		{"RUNNING", NULL}, {"COMPENSATING", NULL}, {"SUCCEEDED", "s"}, {"FAILED", "f"}, {"TIMED_OUT", "t"},
		{"ABORTED", "a"}, {NULL, "sfta"}
	};
	int			i = 0;

	while (known[i].name != NULL && (status == NULL || strcmp(status, known[i].name) != 0))
		i++;
	if (known[i].name == NULL && status != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid status: \"%s\"", status),
				 errhint("It is RUNNING, COMPENSATING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED.")));
	list->ended = known[i].ended != NULL ? statuses(known[i].ended) : NULL;
	list->running = status == NULL || strcmp(status, "RUNNING") == 0;
	list->compensating = status == NULL || strcmp(status, "COMPENSATING") == 0;
}

/* The ids from a time on, before a time, and behind the last one of the page before. */
static void
set_range(Listing *list, FunctionCallInfo fcinfo)
{
	pg_uuid_t	bound;

	list->above = saga_uuid_min;
	list->below = saga_uuid_max;
	if (!PG_ARGISNULL(2))
	{
		bound = saga_uuid_of_time(PG_GETARG_TIMESTAMPTZ(2));
		list->above = saga_uuid_previous(&bound);
	}
	if (!PG_ARGISNULL(3))
		list->below = saga_uuid_of_time(PG_GETARG_TIMESTAMPTZ(3));
	if (!PG_ARGISNULL(4) && saga_uuid_cmp(PG_GETARG_UUID_P(4), &list->below) < 0)
		list->below = *PG_GETARG_UUID_P(4);
}

static void
set_limit(Listing *list, FunctionCallInfo fcinfo)
{
	list->limit = PG_ARGISNULL(5) ? 100 : PG_GETARG_INT32(5);
	if (list->limit < 1 || list->limit > MAX_LIMIT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("limit must be between 1 and %d", MAX_LIMIT),
				 errhint("The next page is behind the last execution_id of this one: after => id.")));
}

/* Every input there ever was is not read for a text. */
static void
set_contains(Listing *list, FunctionCallInfo fcinfo)
{
	list->contains = PG_ARGISNULL(6) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(6));
	if (list->contains != NULL && PG_ARGISNULL(1) && PG_ARGISNULL(2) && PG_ARGISNULL(7))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot look for a text in the inputs of all executions"),
				 errhint("Say since when (since => ...), of which status, or started by which execution.")));
}

/* list_executions(workflow, status, since, until, after, limit, input_contains, started_by) returns setof saga.execution_summary */
Datum
saga_list_executions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	Listing		list = {0};
	Listed		page = {.entries = palloc(sizeof(Entry)), .n = 0};
	int32		only = 0;

	set_status(&list, PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1)));
	set_range(&list, fcinfo);
	set_limit(&list, fcinfo);
	set_contains(&list, fcinfo);
	saga_init_srf(fcinfo);
	if (!PG_ARGISNULL(0))
		only = saga_workflow_find(text_to_cstring(PG_GETARG_TEXT_PP(0)), SAGA_RIGHT_READ, false)->workflow_id;
	if (!PG_ARGISNULL(7))
		add_started_by(&list, &page, PG_GETARG_UUID_P(7), only);
	else if (only != 0)
		add_workflow(&list, &page, only);
	else
	{
		SagaRows   *workflows = saga_query(&workflows_stmt, saga_param_oid("caller", GetUserId()));

		while (saga_rows_next(workflows))
			add_workflow(&list, &page, saga_column_int4(workflows, "workflow_id"));
	}
	for (int i = 0; i < page.n; i++)
		tuplestore_puttuple(info->setResult, page.entries[i].tuple);
	PG_RETURN_NULL();
}
