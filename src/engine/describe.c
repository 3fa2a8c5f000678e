/*
 * describe.c
 *		saga.describe_execution(): all that is known of one execution, as a
 *		document.
 *
 * It has the columns of saga.executions as its members, for who may see that
 * row; so do the results of those who wait for an end (wait.c).
 */
#include "postgres.h"

#include "common/statement.h"
#include "engine/engine_private.h"
#include "engine/execution_private.h"
#include "engine/workflow_private.h"

PG_FUNCTION_INFO_V1(saga_describe_execution);

/* One snapshot for all places, so that it is not missed on its way from one to the next. */
#define FIND_SQL \
	"SELECT workflow_id, true AS ended FROM saga.execution WHERE execution_id = $execution_id" \
	" UNION ALL SELECT workflow_id, false FROM saga.continuation WHERE execution_id = $execution_id" \
	" UNION ALL SELECT queue_id, false FROM " \
	SAGA_QUEUE_STARTS("$execution_id")

/* As the owner of the extension, a superuser, for whom the view filters nothing. */
#define DOCUMENT_SQL \
	"SELECT pg_catalog.to_jsonb(e) AS document FROM saga.executions e WHERE e.execution_id = $execution_id" \
	" AND e.workflow_id = $workflow_id"

static void
does_not_exist(const pg_uuid_t *id)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("execution %s does not exist", saga_uuid_to_cstring(id)),
			 errhint("What ended long ago was removed (pg_saga.execution_retention); what could not begin is in saga.dead_letters.")));
}

/* Of several with one id, the first that the caller may see; else it is an error. */
static int32
find(SagaStatement *stmt, const pg_uuid_t *id, bool *ended)
{
	SagaRows   *rows = saga_query(stmt, saga_param_uuid("execution_id", id));

	while (saga_rows_next(rows))
	{
		const SagaWorkflow *workflow = saga_workflow_by_id(saga_column_int4(rows, "workflow_id"), true);

		if (workflow == NULL || !saga_workflow_may(workflow, SAGA_RIGHT_READ))
			continue;
		*ended = saga_column_bool(rows, "ended");
		saga_rows_free(rows);
		return workflow->workflow_id;
	}
	does_not_exist(id);
	return 0;					/* not reached */
}

static Jsonb *
document(SagaStatement *stmt, const pg_uuid_t *id, int32 workflow_id)
{
	SagaRows   *rows = saga_query(stmt, saga_param_uuid("execution_id", id), saga_param_int4("workflow_id", workflow_id));

	return saga_rows_next(rows) ? saga_column_jsonb(rows, "document") : NULL;
}

int32
saga_describe_find(const pg_uuid_t *id, bool *ended)
{
	static SagaStatement stmt = {.sql = FIND_SQL};

	return find(&stmt, id, ended);
}

Jsonb *
saga_describe(const pg_uuid_t *id, int32 workflow_id)
{
	static SagaStatement stmt = {.sql = DOCUMENT_SQL};

	return document(&stmt, id, workflow_id);
}

/* describe_execution(id uuid) returns jsonb: as the statement sees it that calls this */
Datum
saga_describe_execution(PG_FUNCTION_ARGS)
{
	static SagaStatement find_stmt = {.sql = FIND_SQL, .read_only = true};
	static SagaStatement document_stmt = {.sql = DOCUMENT_SQL, .read_only = true};
	pg_uuid_t  *id;
	Jsonb	   *result;
	bool		ended;

	saga_engine_require_argument(fcinfo, 0, "id");
	id = PG_GETARG_UUID_P(0);
	result = document(&document_stmt, id, find(&find_stmt, id, &ended));
	if (result == NULL)
		does_not_exist(id);
	PG_RETURN_JSONB_P(result);
}
