/*
 * settle.c
 *		saga.settle(): a person says how a call in doubt went.
 *
 * While the execution waits for it that is the answer of the call.  After the
 * end it is what the list of what was not undone says of it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "engine/engine_private.h"
#include "miscadmin.h"
#include "outbox/outbox.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(saga_settle);

static SagaStmt find_stmt = {
	"SELECT workflow_id, execution_id, task_id FROM saga.outbox"
	" WHERE destination_id = ANY (ARRAY(SELECT destination_id FROM saga.destination)) AND outbox_id = $1"
	" AND workflow_id IS NOT NULL",
	1, {UUIDOID}
};

/*
 * Before the record, as whoever runs the execution does: he finds it locked,
 * and leaves it for as long as this transaction is open.
 */
static SagaStmt lock_stmt = {
	"SELECT 1 FROM saga.continuation WHERE execution_id = $1 FOR UPDATE",
	1, {UUIDOID}
};

/* The entries of this message say $3, or go. */
#define ENTRIES(list) \
	"(SELECT jsonb_agg(CASE WHEN x ->> 'message_id' = $2::text THEN x || jsonb_build_object('outcome', $3) ELSE x END ORDER BY n)" \
	" FROM jsonb_array_elements(" list ") WITH ORDINALITY l(x, n) WHERE x ->> 'message_id' IS DISTINCT FROM $2::text OR $3 IS NOT NULL)"

#define LISTS(list) "EXISTS (SELECT FROM jsonb_array_elements(" list ") x WHERE x ->> 'message_id' = $2::text)"

static SagaStmt execution_stmt = {
	"UPDATE saga.execution e SET not_compensated = " ENTRIES("e.not_compensated")
	" WHERE execution_id = $1 AND not_compensated IS NOT NULL AND " LISTS("e.not_compensated"),
	3, {UUIDOID, UUIDOID, TEXTOID}
};

static SagaStmt letter_stmt = {
	"UPDATE saga.dead_letter d SET details = jsonb_set(details, '{not_compensated}', coalesce(" ENTRIES("d.details -> 'not_compensated'") ", 'null')),"
	" reason = CASE WHEN " ENTRIES("d.details -> 'not_compensated'") " IS NULL THEN coalesce(details ->> 'error', reason) ELSE reason END"
	" WHERE queue_id = $4 AND message_id = $1 AND jsonb_typeof(details -> 'not_compensated') = 'array'",
	4, {UUIDOID, UUIDOID, TEXTOID, INT4OID}
};

/* Of an execution that has succeeded nothing else was to be told. */
static SagaStmt forget_stmt = {
	"DELETE FROM saga.dead_letter WHERE queue_id = $2 AND message_id = $1 AND details ->> 'status' = 'SUCCEEDED'"
	" AND jsonb_typeof(details -> 'not_compensated') = 'null'",
	2, {UUIDOID, INT4OID}
};

static void
settle_entry(const pg_uuid_t *message_id, int32 workflow_id, const pg_uuid_t *execution_id, bool done)
{
	Datum		values[4] = {UUIDPGetDatum(execution_id), UUIDPGetDatum(message_id), CStringGetTextDatum("done"),
	Int32GetDatum(workflow_id)};
	char		nulls[5] = "    ";

	nulls[2] = done ? ' ' : 'n';
	saga_execute(&execution_stmt, values, nulls, false, 0);
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("how message %s went is known already, or nobody waits for it", saga_uuid_to_cstring(message_id)),
				 errhint("saga.executions shows in not_compensated what an execution could not undo, once it has ended.")));
	saga_execute(&letter_stmt, values, nulls, false, 0);
	values[1] = Int32GetDatum(workflow_id);
	saga_execute(&forget_stmt, values, NULL, false, 0);
}

/* settle(message_id uuid, outcome text, output jsonb) */
Datum
saga_settle(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *message_id;
	pg_uuid_t	execution_id;
	const SagaWorkflow *workflow;
	char	   *outcome;
	int32		workflow_id;
	int			task_id;
	bool		done;
	bool		isnull;
	Datum		value;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("message_id and outcome must not be null")));
	message_id = PG_GETARG_UUID_P(0);
	outcome = text_to_cstring(PG_GETARG_TEXT_PP(1));
	done = strcmp(outcome, "done") == 0;
	if (!done && strcmp(outcome, "no_effect") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid outcome: \"%s\"", outcome),
				 errhint("It is \"done\" or \"no_effect\".")));
	SPI_connect();
	value = UUIDPGetDatum(message_id);
	saga_execute(&find_stmt, &value, NULL, false, 1);
	workflow = SPI_processed > 0 ? saga_workflow_by_id(DatumGetInt32(saga_result(0, 1, &isnull)), true) : NULL;
	if (workflow == NULL || !saga_workflow_may(workflow, SAGA_RIGHT_OPERATE))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("call %s of an execution does not exist", saga_uuid_to_cstring(message_id))));
	workflow_id = workflow->workflow_id;
	execution_id = *DatumGetUUIDP(saga_result(0, 2, &isnull));
	task_id = DatumGetInt32(saga_result(0, 3, &isnull));
	value = UUIDPGetDatum(&execution_id);
	saga_execute(&lock_stmt, &value, NULL, false, 0);
	if (!saga_outbox_settle(message_id, workflow_id, &execution_id, task_id, done,
							PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2)))
		settle_entry(message_id, workflow_id, &execution_id, done);
	SPI_finish();
	PG_RETURN_VOID();
}
