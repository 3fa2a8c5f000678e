/*
 * execution_id.c
 *		Ids of executions that a caller gives: each is used once.
 *
 * An id that was made a moment ago, within the same statement, nobody else
 * can know; it costs nothing.  For any other, three things together see to it
 * that no second execution has it, whatever the isolation level, and also
 * against transactions that are not finished:
 *
 *	1. Given ids are a unique key, saga.given_id.  Who gives the same one at
 *	   the same time waits for the other, a prepared transaction too.
 *	2. Ids that nobody gave are not in there.  One that its transaction has
 *	   told to others before its end is found in the index of the messages,
 *	   with a snapshot that sees what is not committed, and waited for.
 *	3. What is committed is looked for with the latest snapshot: that of a
 *	   REPEATABLE READ transaction may be older than the other execution.
 *
 * In that order: what is committed after the second has looked is seen by the
 * third.  A start stands in the queue of its workflow, so that both cost a
 * look into an index for each workflow there is.
 */
#include "postgres.h"

#include "common/common.h"
#include "common/statement.h"
#include "engine/engine_private.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/*
 * Clocks may differ by this.  What is of later still could not be removed after
 * its retention: there is no walk as far as that.
 */
#define FUTURE_MS	(24 * 60 * 60 * 1000)

static void
raise_exists(const pg_uuid_t *id)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("execution %s already exists", saga_uuid_to_cstring(id))));
}

/* Whether the statement finds the id among what is committed now, and what this transaction has done. */
static bool
is_committed(SagaStatement *stmt, const pg_uuid_t *id)
{
	bool		found;

	PushActiveSnapshot(GetLatestSnapshot());
	found = saga_run(stmt, saga_param_uuid("execution_id", id)) > 0;
	PopActiveSnapshot();
	return found;
}

/* The constraint's own error is left for those that come at the same time. */
static void
reserve(const pg_uuid_t *id)
{
	static SagaStatement look_stmt = {
		.sql = "SELECT FROM saga.given_id WHERE execution_id = $execution_id",
		.read_only = true,
		.limit = 1
	};
	static SagaStatement insert_stmt = {.sql = "INSERT INTO saga.given_id (execution_id) VALUES ($execution_id)"};

	if (is_committed(&look_stmt, id))
		raise_exists(id);
	saga_run(&insert_stmt, saga_param_uuid("execution_id", id));
}

static void
wait_for_inserters(const pg_uuid_t *id)
{
	static SagaStatement stmt = {.sql = "SELECT workflow_id FROM saga.workflow", .read_only = true};
	SagaRows   *workflows;
	int32	   *queue_ids;
	int			n = 0;

	PushActiveSnapshot(GetLatestSnapshot());
	workflows = saga_query(&stmt);
	PopActiveSnapshot();
	queue_ids = palloc(sizeof(int32) * Max(workflows->count, 1));
	while (saga_next(workflows))
		queue_ids[n++] = saga_column_int4(workflows, "workflow_id");
	saga_rows_free(workflows);
	saga_queue_wait_for_inserters(queue_ids, n, id);
	pfree(queue_ids);
}

/*
 * Raises unique_violation if there is an execution of this id, running or
 * ended, of whatever workflow, or one that is being started.
 */
void
saga_execution_id_reserve(const pg_uuid_t *id)
{
	static SagaStatement used_stmt = {
		.sql = "SELECT 1 FROM saga.execution WHERE execution_id = $execution_id"
		" UNION ALL SELECT 1 FROM saga.continuation WHERE execution_id = $execution_id"
		" UNION ALL SELECT 1 FROM "
		SAGA_QUEUE_MESSAGES("= ANY (ARRAY(SELECT workflow_id FROM saga.workflow))", "$execution_id"),
		.read_only = true,
		.limit = 1
	};
	SagaRaised	save;

	if (saga_uuid_take_offer(id))
		return;
	if ((id->data[6] & 0xf0) != 0x70)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is not an id for an execution", saga_uuid_to_cstring(id)),
				 errhint("Take one from saga.make_id().")));
	if (saga_uuid_time(id) > TimestampTzPlusMilliseconds(GetCurrentTimestamp(), FUTURE_MS))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("id %s is of a time in the future, %s", saga_uuid_to_cstring(id), timestamptz_to_str(saga_uuid_time(id))),
				 errhint("Take one from saga.make_id().")));
	saga_raise(&save);
	reserve(id);
	wait_for_inserters(id);
	if (is_committed(&used_stmt, id))
		raise_exists(id);
	saga_lower(&save);
}
