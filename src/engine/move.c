/*
 * move.c
 *		saga.move_executions: those that wait go over to another version of
 *		their workflow.
 *
 * The frozen run is left as it is: it names states, and the row says of which
 * version.  So whoever thaws it next has the other machine.  One that somebody
 * runs has its row locked, and is passed over, as nobody knows where it will
 * stand.  The items of a distributed Map that have not begun begin in the
 * version that their row of saga.children says, which goes along.
 */
#include "postgres.h"

#include "common/compat.h"
#include "common/statement.h"
#include "engine/engine_private.h"
#include "engine/workflow_private.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(saga_move_executions);

#define MAX_LIMIT	10000

/* What the caller wants: the workflow, and the two versions of it. */
typedef struct Move
{
	int32		workflow_id;
	int			from;
	int			to;
} Move;

/* The next page of those that wait, whatever becomes of them. */
static SagaRows *
list_page(const Move *move, const pg_uuid_t *after, int limit)
{
	static SagaStatement stmt = {
		.sql = "SELECT execution_id FROM saga.continuation WHERE workflow_id = $workflow_id AND version = $version"
		" AND execution_id > $after ORDER BY execution_id NULLS FIRST LIMIT $limit",
		.read_only = true
	};

	return saga_query(&stmt, saga_param_int4("workflow_id", move->workflow_id), saga_param_int4("version", move->from),
					  saga_param_uuid("after", after), saga_param_int8("limit", limit));
}

/* The frozen run, locked; NULL: somebody runs it, or it does not wait any more. */
static Jsonb *
lock_run(const Move *move, const pg_uuid_t *execution_id)
{
	static SagaStatement stmt = {
		.sql = "SELECT run FROM saga.continuation WHERE execution_id = $execution_id AND workflow_id = $workflow_id"
		" AND version = $version FOR UPDATE SKIP LOCKED",
		.limit = 1
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_uuid("execution_id", execution_id),
								  saga_param_int4("workflow_id", move->workflow_id),
								  saga_param_int4("version", move->from));
	Jsonb	   *run = saga_rows_next(rows) ? saga_column_jsonb(rows, "run") : NULL;

	saga_rows_free(rows);
	return run;
}

/* The Maps whose items are being started.  False: a worker is about to start some. */
static bool
lock_maps(const Move *move, const pg_uuid_t *execution_id)
{
	static SagaStatement lock_stmt = {
		.sql = "SELECT FROM saga.children WHERE parent_id = $execution_id AND map_state IS NOT NULL AND phase = 'r'"
		" AND version = $version FOR UPDATE SKIP LOCKED"
	};
	static SagaStatement count_stmt = {
		.sql = "SELECT FROM saga.children WHERE parent_id = $execution_id AND map_state IS NOT NULL AND phase = 'r'"
		" AND version = $version"
	};
	const SagaParam params[] = {
		saga_param_uuid("execution_id", execution_id), saga_param_int4("version", move->from), {.name = NULL}
	};

	/*
	 * A row that another transaction has locked is passed over by the first
	 * statement alone, so that the numbers differ.
	 */
	return saga_statement_run(&lock_stmt, params) == saga_statement_run(&count_stmt, params);
}

/* The version that whoever thaws it next takes, and that the items which have not begun begin in. */
static void
write_version(const Move *move, const pg_uuid_t *execution_id)
{
	static SagaStatement run_stmt = {
		.sql = "UPDATE saga.continuation SET version = $to WHERE execution_id = $execution_id"
	};
	static SagaStatement maps_stmt = {
		.sql = "UPDATE saga.children SET version = $to WHERE parent_id = $execution_id AND map_state IS NOT NULL"
		" AND phase = 'r' AND version = $from"
	};
	const SagaParam params[] = {
		saga_param_uuid("execution_id", execution_id), saga_param_int4("from", move->from),
		saga_param_int4("to", move->to), {.name = NULL}
	};

	saga_statement_run(&run_stmt, params);
	saga_statement_run(&maps_stmt, params);
}

/* NULL: it has been moved; else why not. */
static char *
move_one(const Move *move, const pg_uuid_t *execution_id)
{
	Jsonb	   *run = lock_run(move, execution_id);
	char	   *reason;

	/*
	 * The locks are held until the end of the transaction, so that nobody can
	 * run it between this look and the change.
	 */
	if (run == NULL || !lock_maps(move, execution_id))
		return "it is being run";
	reason = saga_run_misfit(saga_workflow_machine(move->workflow_id, move->from),
							 saga_workflow_machine(move->workflow_id, move->to), run);
	if (reason == NULL)
		write_version(move, execution_id);
	return reason;
}

/* A row of the result; reason: NULL when it has been moved. */
static void
put_row(ReturnSetInfo *rsinfo, const pg_uuid_t *execution_id, const char *reason)
{
	Datum		values[3] = {0};
	bool		nulls[3] = {0};

	values[0] = UUIDPGetDatum(execution_id);
	values[1] = BoolGetDatum(reason == NULL);
	nulls[2] = reason == NULL;
	if (reason != NULL)
		values[2] = CStringGetTextDatum(reason);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* Each in its own memory: a run may be large, and they may be many. */
static void
move_page(ReturnSetInfo *rsinfo, const Move *move, SagaRows *page)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_saga moved execution", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	while (saga_rows_next(page))
	{
		pg_uuid_t	execution_id = saga_column_uuid(page, "execution_id");

		CHECK_FOR_INTERRUPTS();

		/*
		 * The row that is put is a copy: nothing in it needs this memory
		 * afterwards.
		 */
		put_row(rsinfo, &execution_id, move_one(move, &execution_id));
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/*
 * The version to go to is one that the owner has seen.  The other one may have
 * been made for a former owner: the sooner nothing of it runs any more.
 */
static void
check_versions(const SagaWorkflow *workflow, const Move *move)
{
	/*
	 * This only tells that there is no such version: the function raises for
	 * it.
	 */
	if (move->from < 1 || move->from > workflow->version)
		saga_workflow_check_version(workflow, move->from);
	saga_workflow_check_version(workflow, move->to);
	if (move->from == move->to)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("version %d is the one to move executions from", move->to)));
}

/*
 * In a step the row of the execution that runs is locked by this transaction:
 * it would look as if it waited.
 */
static void
check_caller(int limit)
{
	if (saga_in_step)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a step cannot move executions to another version")));
	if (limit < 1 || limit > MAX_LIMIT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("limit must be between 1 and %d", MAX_LIMIT),
				 errhint("The next page is behind the last execution_id of this one: after => id.")));
}

/* move_executions(workflow text, from_version integer, to_version integer, limit integer, after uuid) */
Datum
saga_move_executions(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"workflow", "from_version", "to_version"};
	pg_uuid_t	after = PG_ARGISNULL(4) ? saga_uuid_min : *PG_GETARG_UUID_P(4);
	int			limit = PG_ARGISNULL(3) ? 1000 : PG_GETARG_INT32(3);
	const SagaWorkflow *workflow;
	char	   *name;
	Move		move;

	for (int i = 0; i < lengthof(names); i++)
		saga_engine_require_argument(fcinfo, i, names[i]);

	/*
	 * What is wrong with the call itself is told before the workflow is
	 * looked for.
	 */
	check_caller(limit);
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	workflow = saga_workflow_lock(saga_workflow_find(name, SAGA_RIGHT_OWN, false)->workflow_id, name, false);
	move.workflow_id = workflow->workflow_id;
	move.from = PG_GETARG_INT32(1);
	move.to = PG_GETARG_INT32(2);
	check_versions(workflow, &move);
	saga_init_srf(fcinfo);
	/* a session may call it often, of definitions that change */
	saga_workflow_begin_batch();
	move_page((ReturnSetInfo *) fcinfo->resultinfo, &move, list_page(&move, &after, limit));
	return (Datum) 0;
}
