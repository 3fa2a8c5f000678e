/*
 * settle.c
 *		saga.settle(): a person says how a call in doubt went.
 *
 * While the execution waits for it that is the answer of the call.  After the
 * end it is for the list of what was not undone (entry.c).
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

/* Its record may be gone, with its destination. */
static SagaStmt find_entry_stmt = {
	"SELECT workflow_id, execution_id FROM saga.execution WHERE execution_id = $1 AND not_compensated IS NOT NULL"
	" UNION ALL (SELECT queue_id, message_id FROM saga.dead_letter"
	" WHERE details -> 'not_compensated' @> jsonb_build_array(jsonb_build_object('message_id', $1)))"
	" LIMIT 1",
	1, {UUIDOID}
};

/* settle(message_id uuid, outcome text, output jsonb) */
Datum
saga_settle(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *message_id;
	pg_uuid_t	execution_id;
	const SagaWorkflow *workflow;
	char	   *outcome;
	int			task_id = 0;
	bool		done;
	bool		live;
	bool		recorded;
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
	recorded = SPI_processed > 0;
	if (!recorded)
		saga_execute(&find_entry_stmt, &value, NULL, false, 1);
	workflow = SPI_processed > 0 ? saga_workflow_by_id(DatumGetInt32(saga_result(0, 1, &isnull)), true) : NULL;
	if (workflow == NULL || !saga_workflow_may(workflow, SAGA_RIGHT_OPERATE))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("call %s of an execution does not exist", saga_uuid_to_cstring(message_id))));
	execution_id = *DatumGetUUIDP(saga_result(0, 2, &isnull));
	if (recorded)
		task_id = DatumGetInt32(saga_result(0, 3, &isnull));
	live = saga_entry_lock(&execution_id, workflow->workflow_id);
	if (recorded && saga_outbox_settle(message_id, workflow->workflow_id, &execution_id, task_id, done,
										PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2)) && live)
	{
		/* it is the answer that the execution waits for */
	}
	else
		saga_entry_settle(message_id, workflow, &execution_id, done,
						  PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2));
	SPI_finish();
	saga_accepted();
	PG_RETURN_VOID();
}
