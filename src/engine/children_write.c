/*
 * children_write.c
 *		ResultWriter: the results of a distributed Map go to a table.
 *
 * It is the owner's table, written with his rights, and what its triggers do
 * is a step's.  A chunk at a time: the results are never in memory whole.
 */
#include "postgres.h"

#include "common/statement.h"
#include "engine/children_private.h"
#include "engine/engine_private.h"
#include "engine/step_private.h"
#include "engine/task_private.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "value/doc.h"

/* The next results as one array, and the last of their places; NULL: there are no more. */
static Jsonb *
next_chunk(const SagaChildren *children, int64 *after)
{
	static SagaStatement stmt = {
		.sql = "SELECT jsonb_agg(jsonb_build_object('map_run_id', $children_id, 'index', child_index, 'execution_id', execution_id,"
		" 'status', CASE status WHEN 's' THEN 'SUCCEEDED' WHEN 't' THEN 'TIMED_OUT' WHEN 'a' THEN 'ABORTED' ELSE 'FAILED' END,"
		" 'output', output, 'error', error, 'cause', cause) ORDER BY child_index) AS rows, max(child_index) AS last"
		" FROM (SELECT *, sum(size) OVER (ORDER BY child_index) - size AS before"
		" FROM (SELECT child_index, execution_id, status, output, error, cause, coalesce(pg_catalog.pg_column_size(output), 0) AS size"
		" FROM saga.execution WHERE children_id = $children_id AND child_index > $after ORDER BY child_index LIMIT 500) e) c"
		" WHERE before < 4 * 1024 * 1024"
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_uuid("children_id", &children->children_id),
								  saga_param_int8("after", *after));
	Jsonb	   *chunk = NULL;

	if (saga_rows_next(rows) && !saga_column_is_null(rows, "rows"))
	{
		chunk = saga_column_jsonb(rows, "rows");
		*after = saga_column_int8(rows, "last");
	}
	saga_rows_free(rows);
	return chunk;
}

/* Of INSERT ... RETURNING nothing is wanted but that it is a query. */
static void
count_row(Jsonb *value, int64 index, void *arg)
{
	(*(int64 *) arg)++;
}

/* For saga_engine_task_guarded(): how many rows were written. */
static Jsonb *
write_results(SagaJob *job, const SagaAction *action, void *arg, const char **error, char **cause)
{
	const SagaChildren *children = arg;
	char	   *table = saga_jsonb_get_string(children->writer, "Table");
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_saga results", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	JsonbParseState *state = NULL;
	char	   *sql;
	Jsonb	   *chunk;
	int64		after = -1;
	int64		count = 0;

	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ResultWriter names no Table in its Parameters or Arguments")));
	sql = psprintf("INSERT INTO %s (map_run_id, index, execution_id, status, output, error, cause)"
				   " SELECT map_run_id, index, execution_id, status, output, error, cause FROM pg_catalog.jsonb_to_recordset($1)"
				   " AS r(map_run_id uuid, index bigint, execution_id uuid, status text, output jsonb, error text, cause text)"
				   " RETURNING 'null'::jsonb", saga_engine_quoted_name(table));
	old = MemoryContextSwitchTo(context);
	while ((chunk = next_chunk(children, &after)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		saga_step_query(sql, chunk, true, 0, count_row, &count);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(&state, "MapRunArn", children->name);
	saga_jsonb_push_key(&state, "ResultWriterDetails");
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(&state, "Table", table);
	saga_doc_push_int(&state, "Rows", count);
	pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* What the Map has as its result then; NULL, and *cause: the table could not be written. */
Jsonb *
saga_children_write(SagaBatch *batch, SagaJob *job, SagaChildren *children, char **cause)
{
	SagaAction	action = {.task_id = 0};
	const char *error = NULL;
	Jsonb	   *result = saga_engine_task_guarded(batch, job, &action, write_results, children, &error, cause);

	if (result == NULL)
		*cause = psprintf("%s (%s)", *cause != NULL ? *cause : "", error != NULL ? error : "");
	return result;
}
