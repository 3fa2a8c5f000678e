/*
 * record.c
 *		Writes down how messages went, and tells who waits for them.
 *
 * The record in saga.outbox is never waited for: a worker that withdraws
 * messages locks several of them in an order of its own.  Neither is anything
 * else that somebody may hold in a transaction which he leaves open: then the
 * delivery is recorded later.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "net/header.h"
#include "outbox/doc.h"
#include "outbox/sending.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define SAGA_MAX_CAUSE		32768	/* as States.* causes of AWS */
#define SAGA_MAX_NOTE		1000	/* of an answer, in the attempt's record */

static SagaStmt lock_stmt = {
	.sql = "SELECT state, unwanted_since FROM saga.outbox WHERE destination_id = $1 AND outbox_id = $2 "
	"FOR UPDATE SKIP LOCKED",
	.nargs = 2,
	.argtypes = {INT4OID, UUIDOID}
};

static SagaStmt exists_stmt = {
	.sql = "SELECT 1 FROM saga.outbox WHERE destination_id = $1 AND outbox_id = $2",
	.nargs = 2,
	.argtypes = {INT4OID, UUIDOID}
};

static SagaStmt update_stmt = {
	.sql = "UPDATE saga.outbox SET state = $3, attempts = $4, last_status = $5, last_class = $6, "
	"last_error = $7, response = $8, first_sent_at = coalesce(first_sent_at, CASE WHEN $26 THEN created_at ELSE $9 END), last_sent_at = $9, "
	"finished_at = $10, sends = $11, phase = $12, phase_tries = $13, uncertain = $14, same_failures = $15, "
	"key_epoch = $16, pending_since = $17, captured = $18, doubted = $19, sent_status = $20, sent_error = $21, "
	"sent_class = $22, outcome = $23, outcome_by = $24, outcome_at = now(), accepted = $25, captured_hash = $27 "
	"WHERE destination_id = $1 AND outbox_id = $2",
	.nargs = 27,
	.argtypes = {INT4OID, UUIDOID, TEXTOID, INT4OID, INT4OID, TEXTOID, TEXTOID, JSONBOID,
	TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID, TEXTOID, INT4OID, BOOLOID, INT4OID, INT4OID, TIMESTAMPTZOID, JSONBOID,
	BOOLOID, INT4OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, BOOLOID, BOOLOID, INT8OID}
};

static SagaStmt attempt_stmt = {
	.sql = "INSERT INTO saga.outbox_attempt (destination_id, outbox_id, attempt, started_at, ended_at, "
	"class, status, error, answer, phase, key, retry_after_ms, publisher, headers) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING",
	.nargs = 14,
	.argtypes = {INT4OID, UUIDOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, INT4OID,
	TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID, INT4OID, JSONBOID}
};

/* Who has the row locked is about to move or to drop it: then there is nothing to settle. */
#define OUR_LEASE \
	"ctid = (SELECT ctid FROM saga.timer WHERE queue_id = $1 AND message_id = $2 AND lease = $3 FOR UPDATE SKIP LOCKED)"

static SagaStmt end_lease_stmt = {
	.sql = "DELETE FROM saga.timer WHERE " OUR_LEASE,
	.nargs = 3,
	.argtypes = {INT4OID, UUIDOID, INT8OID}
};

static SagaStmt delay_stmt = {
	.sql = "UPDATE saga.timer SET wake_at = $4, lease = NULL WHERE " OUR_LEASE,
	.nargs = 4,
	.argtypes = {INT4OID, UUIDOID, INT8OID, TIMESTAMPTZOID}
};

typedef struct Recording
{
	SagaSending *sending;
	SagaDelivery *delivery;
	int64		lease;
	TimestampTz now;
	const char *cause;			/* in the server's encoding; NULL: success */
	bool		finished;
	Datum		destination_id;
	Datum		outbox_id;
} Recording;

static char *
clip(const char *text, int max_bytes)
{
	int			len = strlen(text);

	return pnstrdup(text, pg_mbcliplen(text, len, Min(len, max_bytes)));
}

/* NULL: somebody has it locked.  "gone": it is not there. */
static char *
lock_record(const Recording *recording)
{
	Datum		values[2];
	bool		isnull;
	char	   *state = NULL;

	values[0] = recording->destination_id;
	values[1] = recording->outbox_id;
	(void) saga_execute(&lock_stmt, values, NULL, false, 0);
	if (SPI_processed > 0)
	{
		Datum		value = saga_result(0, 2, &isnull);

		/* it may have been given up while it was in flight */
		recording->delivery->unwanted_since = isnull ? 0 : DatumGetTimestampTz(value);
		state = TextDatumGetCString(saga_result(0, 1, &isnull));
	}
	SPI_freetuptable(SPI_tuptable);
	if (state != NULL)
		return state;
	(void) saga_execute(&exists_stmt, values, NULL, false, 0);
	if (SPI_processed == 0)
		state = "gone";
	SPI_freetuptable(SPI_tuptable);
	return state;
}

static void
write_attempt(const Recording *recording)
{
	const SagaSending *sending = recording->sending;
	const SagaDelivery *delivery = recording->delivery;
	Datum		values[14];
	char		nulls[15] = "              ";
	Jsonb	   *headers;

	values[0] = recording->destination_id;
	values[1] = recording->outbox_id;
	values[2] = Int32GetDatum(delivery->attempt);
	values[3] = TimestampTzGetDatum(sending->started_at);
	values[4] = TimestampTzGetDatum(sending->ended_at);
	values[5] = CStringGetTextDatum(saga_class_name(delivery->class));
	values[6] = Int32GetDatum(delivery->status);
	if (delivery->status == 0)
		nulls[6] = 'n';
	if (recording->cause != NULL)
	{
		values[7] = CStringGetTextDatum(delivery->error);
		values[8] = CStringGetTextDatum(clip(recording->cause, SAGA_MAX_NOTE));
	}
	else
		nulls[7] = nulls[8] = 'n';
	values[9] = CStringGetTextDatum(saga_phase_name(delivery->asked));
	if (delivery->key != NULL)
		values[10] = CStringGetTextDatum(delivery->key);
	else
		nulls[10] = 'n';
	values[11] = Int64GetDatum(delivery->retry_after_ms);
	if (delivery->retry_after_ms < 0)
		nulls[11] = 'n';
	values[12] = Int32GetDatum(MyProcPid);
	headers = saga_answer_headers(sending);
	if (headers != NULL)
		values[13] = JsonbPGetDatum(headers);
	else
		nulls[13] = 'n';
	(void) saga_execute(&attempt_stmt, values, nulls, false, 0);
}

/*
 * What is known of the message with this answer: as of its worst attempt, so
 * that an answer to the last one says nothing of one that is in doubt.
 */
static const char *
outcome_of(const Recording *recording, bool success)
{
	const SagaDelivery *delivery = recording->delivery;

	if (success)
		return "done";
	if (delivery->uncertain || delivery->class == SAGA_CLASS_UNCERTAIN || delivery->class == SAGA_CLASS_PENDING ||
		delivery->phase == SAGA_PHASE_POLL)
		return "in_doubt";
	if (delivery->sends <= 1 && delivery->first_sent_at == 0 && recording->sending->transport.transport == SAGA_TRANSPORT_NOT_SENT)
		return "never_left";
	return "no_effect";
}

/* The server says that it did it at an earlier request under the same key, and repeats what it said then. */
static bool
is_replay(const Recording *recording)
{
	const SagaSending *sending = recording->sending;
	const char *name = sending->destination->idempotency.replay_header;
	char	   *value = NULL;

	if (recording->delivery->key != NULL && sending->head != NULL && name != NULL)
		value = saga_header_get(sending->head, name);
	return value != NULL && pg_strcasecmp(value, "true") == 0;
}

static void
write_record(const Recording *recording, const char *state, bool success)
{
	const SagaSending *sending = recording->sending;
	const SagaDelivery *delivery = recording->delivery;
	Datum		values[27];
	char		nulls[28] = "                           ";
	int64		hash;
	bool		asked_only = delivery->asked == SAGA_PHASE_LOOKUP || delivery->asked == SAGA_PHASE_POLL;

	values[0] = recording->destination_id;
	values[1] = recording->outbox_id;
	values[2] = CStringGetTextDatum(state);
	values[3] = Int32GetDatum(delivery->attempt);
	values[4] = Int32GetDatum(delivery->status);
	values[5] = CStringGetTextDatum(saga_class_name(delivery->class));
	values[8] = TimestampTzGetDatum(sending->started_at);
	values[9] = TimestampTzGetDatum(recording->now);
	if (delivery->status == 0)
		nulls[4] = 'n';
	if (recording->cause != NULL)
		values[6] = CStringGetTextDatum(psprintf("%s: %s", delivery->error,
												 clip(recording->cause, SAGA_MAX_NOTE)));
	else
		nulls[6] = 'n';
	if (success)
		values[7] = JsonbPGetDatum(saga_kept_output(sending, delivery));
	else
		nulls[7] = 'n';
	if (!recording->finished)
		nulls[9] = 'n';
	values[10] = Int32GetDatum(delivery->sends);
	values[11] = CStringGetTextDatum(delivery->phase == SAGA_PHASE_LOOKUP ? "send" :
									 saga_phase_name(delivery->phase));
	values[12] = Int32GetDatum(delivery->phase_tries);
	values[13] = BoolGetDatum(delivery->uncertain);
	values[14] = Int32GetDatum(delivery->same_failures);
	values[15] = Int32GetDatum(delivery->key_epoch);
	values[16] = TimestampTzGetDatum(delivery->pending_since);
	if (delivery->pending_since == 0)
		nulls[16] = 'n';
	if (delivery->captured != NULL)
		values[17] = JsonbPGetDatum(delivery->captured);
	else
		nulls[17] = 'n';
	values[18] = BoolGetDatum(delivery->doubted);
	values[19] = Int32GetDatum(delivery->sent_status);
	if (delivery->sent_status == 0)
		nulls[19] = 'n';
	values[20] = values[6];
	nulls[20] = nulls[6];
	if (asked_only && delivery->sent_error != NULL)
	{
		values[20] = CStringGetTextDatum(delivery->sent_error);
		nulls[20] = ' ';
	}
	else if (asked_only)
		nulls[20] = 'n';
	if (delivery->sent_class >= 0)
		values[21] = CStringGetTextDatum(saga_class_name(delivery->sent_class));
	else
		nulls[21] = 'n';
	values[22] = CStringGetTextDatum(outcome_of(recording, success));
	values[23] = CStringGetTextDatum(asked_only ? saga_phase_name(delivery->asked) :
									 success && is_replay(recording) ? "replay" : "answer");
	values[24] = BoolGetDatum(delivery->accepted);
	values[25] = BoolGetDatum(asked_only);	/* then one was sent before that is not on record */
	if (saga_captured_hash(sending->destination, delivery, &hash))
		values[26] = Int64GetDatum(hash);
	else
		nulls[26] = 'n';
	(void) saga_execute(&update_stmt, values, nulls, false, 0);
}

/* The row in the timer table, if it is still ours: gone, or due later. */
static void
settle_timer(const Recording *recording)
{
	Datum		values[4];
	TimestampTz wake_at;

	values[0] = recording->destination_id;
	values[1] = recording->outbox_id;
	values[2] = Int64GetDatum(recording->lease);
	if (recording->finished)
	{
		(void) saga_execute(&end_lease_stmt, values, NULL, false, 0);
		return;
	}
	wake_at = TimestampTzPlusMilliseconds(recording->now, recording->delivery->delay_ms);
	values[3] = TimestampTzGetDatum(wake_at);
	(void) saga_execute(&delay_stmt, values, NULL, false, 0);
	if (SPI_processed > 0)
		saga_note_timer(wake_at);
}

static void
send_event(const Recording *recording, bool success)
{
	const SagaDelivery *delivery = recording->delivery;
	JsonbParseState *state = NULL;

	if (saga_outbox_event_hook == NULL)
		return;
	/* the callback is the answer; but of one that is given up it is told that it was done */
	if (success && delivery->only_submit && delivery->unwanted_since == 0)
		return;
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_int(&state, "task", delivery->task_id);
	if (success)
	{
		saga_doc_push_key(&state, "output");
		(void) saga_push_output(&state, recording->sending, delivery);
	}
	else
	{
		saga_doc_push_string(&state, "error", delivery->error);
		saga_doc_push_string(&state, "cause", recording->cause);
		if (delivery->class == SAGA_CLASS_UNCERTAIN)
			saga_doc_push_value(&state, "in_doubt", &(JsonbValue) {.type = jbvBool,.val.boolean = true});
		if (delivery->other_error != NULL)
			saga_doc_push_string(&state, "other", delivery->other_error);
	}
	saga_outbox_event_hook(delivery->workflow_id, &delivery->execution_id,
						   JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}

static void
bury(const Recording *recording)
{
	const SagaDelivery *delivery = recording->delivery;
	SagaDeadLetter letter = {0};
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(&state, "destination", recording->sending->destination->name);
	saga_doc_push_int(&state, "attempts", delivery->attempt);
	if (delivery->status != 0)
		saga_doc_push_int(&state, "status", delivery->status);
	saga_doc_push_string(&state, "class", saga_class_name(delivery->class));
	letter.details = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	letter.queue_id = recording->sending->destination->destination_id;
	letter.message_id = delivery->outbox_id;
	letter.kind = SAGA_MSG_OUTBOX;
	letter.reason = delivery->error;
	letter.cause = recording->cause;
	letter.receives = delivery->attempt;
	letter.sent_at = delivery->created_at;
	letter.body = delivery->request;
	(void) saga_dead_letter_insert(&letter);
}

/* What the destination that is named in settings meant. */
static int32
other_meant(const char *name, void *arg)
{
	return saga_destination_other(((const SagaDestination *) arg)->destination_id);
}

/*
 * A compensation that cannot be done goes to the destination that its "else"
 * names, as a message of its own that the same task waits for.
 */
static bool
hand_on(Recording *recording)
{
	const SagaDestination *destination = recording->sending->destination;
	SagaDelivery *delivery = recording->delivery;
	SagaOutboxEntry entry = {0};
	JsonbParseState *state = NULL;
	const char *error;
	char	   *cause;

	if (!delivery->compensate || delivery->class != SAGA_CLASS_FATAL || destination->compensation == NULL ||
		destination->compensation->other_destination == NULL)
		return false;
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (delivery->message != NULL)
		saga_doc_push_jsonb(&state, "RequestBody", delivery->message);
	entry.request = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	entry.outbox_id = saga_uuid_new();
	entry.idempotency_key = entry.outbox_id;
	entry.destination = destination->compensation->other_destination;
	entry.op = SAGA_OUTBOX_HTTP;
	entry.workflow_id = delivery->workflow_id;
	entry.execution_id = delivery->execution_id;
	entry.task_id = delivery->task_id;
	entry.only_submit = delivery->only_submit;
	entry.role = destination->owner;
	entry.meant = other_meant;
	entry.meant_arg = unconstify(SagaDestination *, destination);
	error = saga_outbox_enqueue(&entry, &cause);
	if (error == NULL)
		return true;
	recording->cause = psprintf("%s; destination \"%s\" cannot take it over: %s", recording->cause,
								entry.destination, cause);
	return false;
}

/* The record is locked and still waits. */
static void
record_waiting(Recording *recording)
{
	SagaDelivery *delivery = recording->delivery;
	bool		success = delivery->verdict == SAGA_VERDICT_DELIVERED;
	bool		waited_for = delivery->workflow_id != 0 &&
		(delivery->op != SAGA_OUTBOX_PUBLISH || delivery->unwanted_since != 0);

	recording->finished = delivery->verdict != SAGA_VERDICT_AGAIN;
	write_record(recording, success ? "delivered" : recording->finished ? "failed" : "waiting", success);
	if (!recording->finished)
	{
		if (delivery->unwanted_since != 0 && delivery->ordering_key != NULL)
			saga_ordering_free(recording->sending->destination->destination_id, &delivery->outbox_id,
							   delivery->ordering_key);
		return;
	}
	if (!success && hand_on(recording))
		return;
	if (waited_for)
		send_event(recording, success);
	else if (!success)
		bury(recording);
	if (delivery->ordering_key != NULL)
		saga_ordering_release(recording->sending->destination->destination_id, delivery->ordering_key);
}

/*
 * Takes, without waiting, what recording it may have to lock: the workflow
 * that an event goes to, the order of the messages behind it, the destination
 * that takes over from it.
 */
static bool
try_lock_others(const SagaSending *sending, const SagaDelivery *delivery)
{
	const SagaDestination *destination = sending->destination;
	SagaObject	other;

	if (delivery->workflow_id != 0 && !saga_queue_try_lock(delivery->workflow_id))
		return false;
	if (delivery->ordering_key != NULL && !saga_ordering_lock(destination->destination_id, false))
		return false;
	if (!delivery->compensate || destination->compensation == NULL ||
		destination->compensation->other_destination == NULL)
		return true;
	other.id = saga_destination_other(destination->destination_id);
	if (other.id == 0 &&
		!saga_object_find(SAGA_OBJECT_DESTINATION, destination->compensation->other_destination,
						  destination->owner, SAGA_RIGHT_USE, &other))
		return true;
	return saga_destination_try_lock(other.id) && saga_queue_try_lock(other.id);
}

static bool
record_delivery(SagaSending *sending, SagaDelivery *delivery, int64 lease)
{
	Recording	recording = {sending, delivery, lease, GetCurrentTimestamp()};
	char	   *state;

	recording.destination_id = Int32GetDatum(sending->destination->destination_id);
	recording.outbox_id = UUIDPGetDatum(&delivery->outbox_id);
	if (!try_lock_others(sending, delivery))
		return false;
	state = lock_record(&recording);
	if (state == NULL)
		return false;
	if (!delivery->decided)
	{
		MemoryContext old = MemoryContextSwitchTo(sending->context);

		delivery->before = palloc(sizeof(SagaDelivery));
		*delivery->before = *delivery;
		if (!saga_captured_check(sending->destination, delivery))
		{
			MemoryContextSwitchTo(old);
			return false;
		}
		saga_decide(sending, delivery, recording.now);
		delivery->decided = true;
		MemoryContextSwitchTo(old);
	}
	if (delivery->cause != NULL)
		recording.cause = saga_foreign_text(delivery->cause, strlen(delivery->cause), SAGA_MAX_CAUSE);
	if (strcmp(state, "gone") != 0 && delivery->verdict != SAGA_VERDICT_DELIVERED)
		write_attempt(&recording);
	recording.finished = true;
	if (strcmp(state, "waiting") == 0)
		record_waiting(&recording);
	else if (strcmp(state, "withdrawn") == 0)
	{
		/* nobody waits, but what happened is told; a delivery is one */
		bool		success = delivery->verdict == SAGA_VERDICT_DELIVERED;

		write_record(&recording, success ? "delivered" : "withdrawn", success);
		if (delivery->ordering_key != NULL)
			saga_ordering_release(sending->destination->destination_id, delivery->ordering_key);
	}
	settle_timer(&recording);
	return true;
}

/* The caller makes "unrecorded" the deliveries once the transaction has committed. */
bool
saga_record_sending(SagaSending *sending, int64 lease)
{
	int			left = 0;
	int			i;

	for (i = 0; i < sending->ndeliveries; i++)
	{
		if (!record_delivery(sending, sending->deliveries[i], lease))
			sending->unrecorded[left++] = sending->deliveries[i];
	}
	sending->nunrecorded = left;
	return left == 0;
}
