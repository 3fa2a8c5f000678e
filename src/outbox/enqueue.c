/*
 * enqueue.c
 *		Messages into the outbox, in the caller's transaction; and out of it
 *		again when nobody waits for them any more.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "outbox/doc.h"
#include "outbox/outbox.h"
#include "outbox/request.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(saga_publish_to);

saga_outbox_event_hook_type saga_outbox_event_hook = NULL;
saga_outbox_body_hook_type saga_outbox_body_hook = NULL;

#define SAGA_ORDERING_KEY_MAX	256

static SagaStmt insert_stmt = {
	.sql = "INSERT INTO saga.outbox (destination_id, outbox_id, op, only_submit, workflow_id, "
	"execution_id, task_id, idempotency_key, ordering_key, position, created_at, request, compensate) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, "
	"CASE WHEN $9 IS NOT NULL THEN nextval('saga.outbox_position') END, $10, $11, $12)",
	.nargs = 12,
	.argtypes = {INT4OID, UUIDOID, CHAROID, BOOLOID, INT4OID, UUIDOID, INT4OID, UUIDOID, TEXTOID,
	TIMESTAMPTZOID, JSONBOID, BOOLOID}
};

/* The rest of the two statements' work is the publisher's: it drops what is withdrawn. */
static SagaStmt withdraw_stmt = {
	.sql = "UPDATE saga.outbox SET state = 'withdrawn', finished_at = $3 "
	"WHERE execution_id = $1 AND state = 'waiting' AND ($2 = 0 OR task_id = $2) AND (op <> 'p' OR unwanted_since IS NOT NULL) "
	"RETURNING destination_id, outbox_id",
	.nargs = 3,
	.argtypes = {UUIDOID, INT4OID, TIMESTAMPTZOID}
};

static SagaStmt answered_stmt = {
	.sql = "UPDATE saga.outbox SET state = 'withdrawn', finished_at = $3, outcome = $4, outcome_by = 'token', outcome_at = $3 "
	"WHERE execution_id = $1 AND state = 'waiting' AND task_id = $2 RETURNING destination_id, outbox_id",
	.nargs = 4,
	.argtypes = {UUIDOID, INT4OID, TIMESTAMPTZOID, TEXTOID}
};

static void
insert_row(const SagaOutboxEntry *entry, const SagaResolved *resolved)
{
	Datum		values[12];
	char		nulls[13] = "            ";

	values[0] = Int32GetDatum(resolved->destination->destination_id);
	values[1] = UUIDPGetDatum(&entry->outbox_id);
	values[2] = CharGetDatum((char) entry->op);
	values[3] = BoolGetDatum(entry->only_submit);
	values[4] = Int32GetDatum(entry->workflow_id);
	values[5] = UUIDPGetDatum(&entry->execution_id);
	values[6] = Int32GetDatum(entry->task_id);
	values[7] = UUIDPGetDatum(&entry->idempotency_key);
	values[9] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[10] = JsonbPGetDatum(resolved->request);
	values[11] = BoolGetDatum(resolved->compensate);
	if (entry->workflow_id == 0)
		nulls[4] = nulls[5] = nulls[6] = 'n';
	if (resolved->ordering_key != NULL)
		values[8] = CStringGetTextDatum(resolved->ordering_key);
	else
		nulls[8] = 'n';
	(void) saga_execute(&insert_stmt, values, nulls, false, 0);
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
		resolved.ordering_key = saga_doc_get_string(&entry->request->root, "OrderingKey");
	if (resolved.ordering_key != NULL && strlen(resolved.ordering_key) > SAGA_ORDERING_KEY_MAX)
	{
		*cause = psprintf("the ordering key has more than %d bytes", SAGA_ORDERING_KEY_MAX);
		return "States.Runtime";
	}
	insert_row(entry, &resolved);
	send.message_id = entry->outbox_id;
	send.kind = SAGA_MSG_OUTBOX;
	saga_send_rows(saga_queue_by_id(resolved.destination->destination_id, false), &send, 1);
	return NULL;
}

/*
 * Only the record is changed: the row in the queue may be locked by a
 * publisher, which looks at the record before it sends and never waits for
 * us.  A message that is being retried is made due, so that the ones behind
 * it with the same ordering key need not wait out its delay.
 */
static SagaStmt due_stmt = {
	.sql = "UPDATE saga.timer SET wake_at = $3 "
	"WHERE queue_id = $1 AND message_id = $2 AND lease IS NULL",
	.nargs = 3,
	.argtypes = {INT4OID, UUIDOID, TIMESTAMPTZOID}
};

static void
withdraw(SagaStmt *stmt, Datum *values, TimestampTz now)
{
	SPITupleTable *rows;
	uint64		nrows;
	uint64		row;

	(void) saga_execute(stmt, values, NULL, false, 0);
	rows = SPI_tuptable;
	nrows = SPI_processed;
	for (row = 0; row < nrows; row++)
	{
		bool		isnull;

		values[0] = SPI_getbinval(rows->vals[row], rows->tupdesc, 1, &isnull);
		values[1] = SPI_getbinval(rows->vals[row], rows->tupdesc, 2, &isnull);
		(void) saga_execute(&due_stmt, values, NULL, false, 0);
		if (SPI_processed > 0)
			saga_note_timer(now);
	}
	SPI_freetuptable(rows);
}

void
saga_outbox_withdraw(const pg_uuid_t *execution_id, int task_id)
{
	TimestampTz now = GetCurrentTimestamp();
	Datum		values[3] = {UUIDPGetDatum(execution_id), Int32GetDatum(task_id), TimestampTzGetDatum(now)};

	withdraw(&withdraw_stmt, values, now);
}

void
saga_outbox_answered(const pg_uuid_t *execution_id, int task_id, bool done)
{
	TimestampTz now = GetCurrentTimestamp();
	Datum		values[4] = {UUIDPGetDatum(execution_id), Int32GetDatum(task_id), TimestampTzGetDatum(now),
	CStringGetTextDatum(done ? "done" : "no_effect")};

	withdraw(&answered_stmt, values, now);
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

	SPI_connect();
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
	SPI_finish();
	saga_accepted();
	result = palloc(sizeof(*result));
	*result = entry.outbox_id;
	PG_RETURN_UUID_P(result);
}
