/*
 * enqueue.c
 *		Messages into the outbox, in the caller's transaction; and out of it
 *		again when nobody waits for them any more.
 */
#include "postgres.h"

#include "common/statement.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "outbox/outbox.h"
#include "outbox/request_private.h"
#include "outbox/sending_private.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "value/doc.h"

PG_FUNCTION_INFO_V1(saga_publish_to);

saga_outbox_event_hook_type saga_outbox_event_hook = NULL;
saga_outbox_body_hook_type saga_outbox_body_hook = NULL;

#define SAGA_ORDERING_KEY_MAX	256

static SagaStatement insert_stmt = {
	.sql = "INSERT INTO saga.outbox (destination_id, outbox_id, op, only_submit, workflow_id, "
	"execution_id, task_id, idempotency_key, ordering_key, position, created_at, request, compensate, "
	"key_epoch, first_sent_at, uncertain, doubted, outcome) "
	"VALUES ($destination_id, $outbox_id, $op, $only_submit, $workflow_id, "
	"$execution_id, $task_id, $idempotency_key, $ordering_key, "
	"CASE WHEN $ordering_key IS NOT NULL THEN nextval('saga.outbox_position') END, $created_at, $request, $compensate, "
	"$key_epoch, $first_sent_at, $first_sent_at IS NOT NULL, $first_sent_at IS NOT NULL, "
	"CASE WHEN $first_sent_at IS NULL THEN 'never_left' ELSE 'in_doubt' END)"
};

/*
 * The rest of the two statements' work is the publisher's: it drops what is
 * withdrawn, and says of what was not in flight that there is no doubt.
 */
static SagaStatement withdraw_stmt = {
	.sql = "UPDATE saga.outbox SET state = 'withdrawn', finished_at = $now, outcome = 'in_doubt', "
	"outcome_by = 'withdrawal', outcome_at = $now WHERE execution_id = $execution_id AND workflow_id = $workflow_id "
	"AND state = 'waiting' AND ($task_id = 0 OR task_id = $task_id) AND (op <> 'p' OR unwanted_since IS NOT NULL) "
	"RETURNING destination_id, outbox_id, ordering_key"
};

static SagaStatement answered_stmt = {
	.sql = "UPDATE saga.outbox SET state = 'withdrawn', finished_at = $now, outcome = $outcome, outcome_by = 'token', "
	"outcome_at = $now WHERE execution_id = $execution_id AND workflow_id = $workflow_id "
	"AND state = 'waiting' AND task_id = $task_id "
	"RETURNING destination_id, outbox_id, ordering_key"
};

static void
insert_row(const SagaOutboxEntry *entry, const SagaResolved *resolved)
{
	bool		for_task = entry->workflow_id != 0;
	SagaTakenUp taken;

	saga_outbox_take_up(entry, resolved, &taken);
	saga_run(&insert_stmt,
			 saga_param_int4("destination_id", resolved->destination->destination_id),
			 saga_param_uuid("outbox_id", &entry->outbox_id),
			 saga_param_char("op", (char) entry->op),
			 saga_param_bool("only_submit", entry->only_submit),
			 saga_param_if(for_task, saga_param_int4("workflow_id", entry->workflow_id)),
			 saga_param_if(for_task, saga_param_uuid("execution_id", &entry->execution_id)),
			 saga_param_if(for_task, saga_param_int4("task_id", entry->task_id)),
			 saga_param_uuid("idempotency_key", &taken.key),
			 saga_param_text("ordering_key", resolved->ordering_key),
			 saga_param_timestamptz("created_at", GetCurrentTimestamp()),
			 saga_param_jsonb("request", resolved->request),
			 saga_param_bool("compensate", resolved->compensate),
			 saga_param_int4("key_epoch", taken.key_epoch),
			 saga_param_if(taken.first_sent_at != 0, saga_param_timestamptz("first_sent_at", taken.first_sent_at)));
}

const char *
saga_outbox_enqueue(const SagaOutboxEntry *entry, char **cause)
{
	SagaResolved resolved;
	SagaSend	send = {0};

	if (!saga_request_resolve(entry, &resolved))
	{
		*cause = resolved.cause;
		return resolved.error;
	}
	if (resolved.ordering_key == NULL)
		resolved.ordering_key = entry->ordering_key;
	if (resolved.ordering_key == NULL && entry->op == SAGA_OUTBOX_PUBLISH)
		resolved.ordering_key = saga_request_ordering_key(&entry->request->root);
	if (resolved.ordering_key != NULL && strlen(resolved.ordering_key) > SAGA_ORDERING_KEY_MAX)
	{
		*cause = psprintf("the ordering key has more than %d bytes", SAGA_ORDERING_KEY_MAX);
		return saga_request_error(entry->op, resolved.destination);
	}
	insert_row(entry, &resolved);
	send.message_id = entry->outbox_id;
	send.kind = SAGA_MSG_OUTBOX;
	saga_queue_send_rows(saga_queue_by_id(resolved.destination->destination_id, false), &send, 1);
	return NULL;
}

/*
 * Only the record is changed: the row in the queue may be locked by a
 * publisher, which looks at the record before it sends and never waits for
 * us.  A message that is being retried is made due, so that the ones behind
 * it with the same ordering key need not wait out its delay.
 */
static void
make_due(SagaRows *withdrawn, TimestampTz now)
{
	while (saga_rows_next(withdrawn))
	{
		int32		queue_id = saga_column_int4(withdrawn, "destination_id");
		pg_uuid_t	message_id = saga_column_uuid(withdrawn, "outbox_id");

		(void) saga_queue_hasten(queue_id, &message_id, now);
		saga_outbox_show_withdrawn(queue_id, &message_id, saga_column_text(withdrawn, "ordering_key"));
	}
	saga_rows_free(withdrawn);
}

void
saga_outbox_withdraw(int32 workflow_id, const pg_uuid_t *execution_id, int task_id)
{
	TimestampTz now = GetCurrentTimestamp();

	make_due(saga_query(&withdraw_stmt, saga_param_timestamptz("now", now),
						saga_param_int4("workflow_id", workflow_id), saga_param_uuid("execution_id", execution_id),
						saga_param_int4("task_id", task_id)), now);
}

void
saga_outbox_answered(int32 workflow_id, const pg_uuid_t *execution_id, int task_id, bool done)
{
	TimestampTz now = GetCurrentTimestamp();

	make_due(saga_query(&answered_stmt, saga_param_timestamptz("now", now),
						saga_param_text("outcome", done ? "done" : "no_effect"),
						saga_param_int4("workflow_id", workflow_id), saga_param_uuid("execution_id", execution_id),
						saga_param_int4("task_id", task_id)), now);
}

/*
 * publish_to(destination text, payload jsonb, ordering_key text, headers jsonb)
 */
static Jsonb *
publish_request(FunctionCallInfo fcinfo)
{
	JsonbParseState *parse = NULL;

	pushJsonbValue(&parse, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_jsonb(&parse, "Payload", PG_GETARG_JSONB_P(1));
	if (!PG_ARGISNULL(2))
		saga_doc_push_string(&parse, "OrderingKey", text_to_cstring(PG_GETARG_TEXT_PP(2)));
	if (!PG_ARGISNULL(3))
		saga_doc_push_jsonb(&parse, "Headers", PG_GETARG_JSONB_P(3));
	return JsonbValueToJsonb(pushJsonbValue(&parse, WJB_END_OBJECT, NULL));
}

Datum
saga_publish_to(PG_FUNCTION_ARGS)
{
	SagaOutboxEntry entry = {0};
	const char *error;
	char	   *cause;
	pg_uuid_t  *result;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("destination and payload must not be null")));
	entry.outbox_id = saga_uuid_new();
	entry.idempotency_key = entry.outbox_id;
	entry.destination = text_to_cstring(PG_GETARG_TEXT_PP(0));
	entry.op = SAGA_OUTBOX_PUBLISH;
	entry.request = publish_request(fcinfo);
	entry.role = GetUserId();

	error = saga_outbox_enqueue(&entry, &cause);
	if (error != NULL)
	{
		cause[0] = pg_toupper((unsigned char) cause[0]);
		ereport(ERROR,
				(errcode(strcmp(error, "States.DataLimitExceeded") == 0 ?
						 ERRCODE_PROGRAM_LIMIT_EXCEEDED : ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid message for destination \"%s\"", entry.destination),
				 errdetail_internal("%s.", cause)));
	}
	saga_accepted();
	result = palloc(sizeof(*result));
	*result = entry.outbox_id;
	PG_RETURN_UUID_P(result);
}
