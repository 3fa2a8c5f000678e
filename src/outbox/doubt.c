/*
 * doubt.c
 *		What is known of the call of a task that has failed in doubt, has run
 *		out of time, or is given up; and what is done about it.
 *
 * The record is locked, after which its state is how it is: an answer that is
 * there counts, though its event is still on its way.  That nothing has left
 * is proved: the message's row is taken out of the queue, or out of the timer
 * table without lease, and neither that row's count nor the record knows of an
 * attempt that may have arrived.  What cannot be had is in flight.  A worker
 * may wait for a publisher, which never waits for a worker.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "net/http.h"
#include "outbox/doc.h"
#include "outbox/sending.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* The last one: a compensation that was handed on has two. */
static SagaStmt lock_stmt = {
	.sql = "SELECT destination_id, outbox_id, state, "
	"(outcome_by IS DISTINCT FROM 'person' OR outcome = 'in_doubt') AND (uncertain OR phase = 'poll' OR coalesce(last_class, '') IN ('uncertain', 'pending') OR coalesce(last_sent_at, created_at) < "
	"(SELECT max(at) FROM saga.takeover WHERE at > '-infinity')), "
	"attempts, ordering_key, only_submit, response, unwanted_since, idempotency_key, first_sent_at, compensate, "
	"phase = 'poll', last_sent_at, position IS NOT NULL, request - '{Body,Headers,Captured}'::text[], accepted, op "
	"FROM saga.outbox WHERE execution_id = $1 AND task_id = $2 "
	"ORDER BY created_at DESC, state = 'waiting' DESC LIMIT 1 FOR UPDATE",
	.nargs = 2,
	.argtypes = {UUIDOID, INT4OID}
};

typedef struct Record
{
	int32		destination_id;
	pg_uuid_t	outbox_id;
	char	   *state;
	bool		in_doubt;
	int			attempts;
	char	   *ordering_key;
	bool		only_submit;
	Jsonb	   *response;
	pg_uuid_t	key;
	bool		polls;
	bool		published;		/* its state has completed with the commit */
	TimestampTz last_sent_at;
	SagaDelivery delivery;		/* as much of it as settle.c asks for */
} Record;

static bool
lock_record(const pg_uuid_t *execution_id, int task_id, Record *record)
{
	Datum		values[2] = {UUIDPGetDatum(execution_id), Int32GetDatum(task_id)};
	bool		isnull;
	Datum		value;

	memset(record, 0, sizeof(Record));
	(void) saga_execute(&lock_stmt, values, NULL, false, 0);
	if (SPI_processed == 0)
		return false;
	record->destination_id = DatumGetInt32(saga_result(0, 1, &isnull));
	record->outbox_id = *DatumGetUUIDP(saga_result(0, 2, &isnull));
	record->state = TextDatumGetCString(saga_result(0, 3, &isnull));
	value = saga_result(0, 4, &isnull);
	record->in_doubt = !isnull && DatumGetBool(value);
	record->attempts = DatumGetInt32(saga_result(0, 5, &isnull));
	value = saga_result(0, 6, &isnull);
	record->ordering_key = isnull ? NULL : TextDatumGetCString(value);
	record->only_submit = DatumGetBool(saga_result(0, 7, &isnull));
	value = saga_result(0, 8, &isnull);
	record->response = isnull ? NULL : DatumGetJsonbPCopy(value);
	value = saga_result(0, 9, &isnull);
	record->delivery.unwanted_since = isnull ? 0 : DatumGetTimestampTz(value);
	record->key = *DatumGetUUIDP(saga_result(0, 10, &isnull));
	value = saga_result(0, 11, &isnull);
	record->delivery.first_sent_at = isnull ? 0 : DatumGetTimestampTz(value);
	record->delivery.compensate = DatumGetBool(saga_result(0, 12, &isnull));
	record->polls = DatumGetBool(saga_result(0, 13, &isnull));
	value = saga_result(0, 14, &isnull);
	record->last_sent_at = isnull ? 0 : DatumGetTimestampTz(value);
	record->delivery.ordered = DatumGetBool(saga_result(0, 15, &isnull));
	value = saga_result(0, 16, &isnull);
	record->delivery.request = DatumGetJsonbPCopy(value);
	record->delivery.accepted = DatumGetBool(saga_result(0, 17, &isnull));
	record->published = DatumGetChar(saga_result(0, 18, &isnull)) == SAGA_OUTBOX_PUBLISH;
	record->delivery.uncertain = record->in_doubt;
	SPI_freetuptable(SPI_tuptable);
	return true;
}

/* ---------- out of the queue ---------- */

/* Who has such a row locked is about to send it. */
static SagaStmt take_message_stmt = {
	.sql = "DELETE FROM saga.message WHERE ctid = ANY (ARRAY("
	"SELECT ctid FROM saga.message WHERE queue_id = $1 AND id = $2 AND message_id = $2 AND receives <= $3 "
	"FOR UPDATE SKIP LOCKED) || ARRAY("
	"SELECT ctid FROM saga.message WHERE queue_id = $1 AND message_id = $2 AND id <> message_id AND receives <= $3 "
	"FOR UPDATE SKIP LOCKED))",
	.nargs = 3,
	.argtypes = {INT4OID, UUIDOID, INT4OID}
};

static SagaStmt take_timer_stmt = {
	.sql = "DELETE FROM saga.timer WHERE ctid = ANY (ARRAY("
	"SELECT ctid FROM saga.timer WHERE queue_id = $1 AND message_id = $2 AND lease IS NULL AND receives <= $3 "
	"FOR UPDATE SKIP LOCKED))",
	.nargs = 3,
	.argtypes = {INT4OID, UUIDOID, INT4OID}
};

/* One that is not the first of its ordering key has no row; who makes one has the ordering lock. */
static SagaStmt has_row_stmt = {
	.sql = "SELECT 1 FROM saga.message WHERE queue_id = $1 AND id = $2 "
	"UNION ALL SELECT 1 FROM saga.message WHERE queue_id = $1 AND message_id = $2 AND id <> message_id "
	"UNION ALL SELECT 1 FROM saga.timer WHERE queue_id = $1 AND message_id = $2",
	.nargs = 2,
	.argtypes = {INT4OID, UUIDOID}
};

/*
 * Of an ordering key the next message is put into the queue under the lock on
 * the order.  Whoever runs this may leave his transaction open, and others'
 * messages would wait behind that lock: so it is a publisher that does it, for
 * the row that it finds of a message that has ended.
 */
static void
release_order(const Record *record)
{
	SagaSend	send = {0};

	if (record->ordering_key == NULL)
		return;
	send.message_id = record->outbox_id;
	send.kind = SAGA_MSG_OUTBOX;
	send.returned = true;
	saga_send_rows(saga_queue_by_id(record->destination_id, false), &send, 1);
}

/*
 * A message without row waits for others of its ordering key, and who has the
 * lock on the order may be making one.  A worker tries to have that lock: it
 * ends its transaction soon.
 */
static bool
waits_for_order(const Record *record)
{
	Datum		values[2] = {Int32GetDatum(record->destination_id), UUIDPGetDatum(&record->outbox_id)};

	if (record->ordering_key == NULL || MyBackendType != B_BG_WORKER ||
		!saga_ordering_lock(record->destination_id, false))
		return false;
	(void) saga_execute(&has_row_stmt, values, NULL, false, 1);
	return SPI_processed == 0;
}

static bool
take_rows(const Record *record)
{
	Datum		values[3] = {Int32GetDatum(record->destination_id), UUIDPGetDatum(&record->outbox_id),
	Int32GetDatum(record->attempts)};

	/* a row may have to be put into this queue, which somebody may be dropping */
	if (record->ordering_key != NULL && !saga_queue_try_lock(record->destination_id))
		return false;
	(void) saga_execute(&take_message_stmt, values, NULL, false, 0);
	if (SPI_processed > 0)
		return true;
	(void) saga_execute(&take_timer_stmt, values, NULL, false, 0);
	return SPI_processed > 0;
}

static SagaStmt end_stmt = {
	.sql = "UPDATE saga.outbox SET state = $3, finished_at = now(), outcome = $4, outcome_by = $5, outcome_at = now() "
	"WHERE destination_id = $1 AND outbox_id = $2",
	.nargs = 5,
	.argtypes = {INT4OID, UUIDOID, TEXTOID, TEXTOID, TEXTOID}
};

/* Its rows have been taken. */
static void
end_record(const Record *record, const char *state, const char *outcome)
{
	Datum		values[5] = {Int32GetDatum(record->destination_id), UUIDPGetDatum(&record->outbox_id),
		CStringGetTextDatum(state), CStringGetTextDatum(outcome), CStringGetTextDatum("withdrawal")};

	(void) saga_execute(&end_stmt, values, NULL, false, 0);
	release_order(record);
}

/* ---------- given up, and not to be had ---------- */

static SagaStmt unwanted_stmt = {
	.sql = "UPDATE saga.outbox SET unwanted_since = now() WHERE destination_id = $1 AND outbox_id = $2",
	.nargs = 2,
	.argtypes = {INT4OID, UUIDOID}
};

static SagaStmt withdraw_stmt = {
	.sql = "UPDATE saga.outbox SET state = 'withdrawn', finished_at = now() WHERE destination_id = $1 AND outbox_id = $2",
	.nargs = 2,
	.argtypes = {INT4OID, UUIDOID}
};

/* The server may still be at it: what is asked for comes later. */
static SagaStmt later_stmt = {
	.sql = "UPDATE saga.timer SET wake_at = greatest(wake_at, $3) WHERE ctid = (SELECT ctid FROM saga.timer "
	"WHERE queue_id = $1 AND message_id = $2 AND lease IS NULL FOR UPDATE SKIP LOCKED)",
	.nargs = 3,
	.argtypes = {INT4OID, UUIDOID, TIMESTAMPTZOID}
};

static SagaStmt free_key_stmt = {
	.sql = "UPDATE saga.outbox SET ordering_key = NULL WHERE destination_id = $1 AND outbox_id = $2",
	.nargs = 2,
	.argtypes = {INT4OID, UUIDOID}
};

/* Those behind it with the same ordering key do not wait until it is known how it went. */
void
saga_ordering_free(int32 destination_id, const pg_uuid_t *outbox_id, const char *ordering_key)
{
	Datum		values[2] = {Int32GetDatum(destination_id), UUIDPGetDatum(outbox_id)};

	(void) saga_execute(&free_key_stmt, values, NULL, false, 0);
	saga_ordering_release(destination_id, ordering_key);
}

static void
mark_unwanted(const Record *record, const SagaDestination *destination)
{
	Datum		values[3] = {Int32GetDatum(record->destination_id), UUIDPGetDatum(&record->outbox_id)};

	(void) saga_execute(&unwanted_stmt, values, NULL, false, 0);
	if (!record->in_doubt || record->last_sent_at == 0)
		return;
	values[2] = TimestampTzGetDatum(TimestampTzPlusMilliseconds(record->last_sent_at,
																saga_settle_delay_ms(destination, &record->delivery)));
	(void) saga_execute(&later_stmt, values, NULL, false, 0);
}

/* ---------- failed in doubt, and asked once more ---------- */

static SagaStmt reopen_stmt = {
	.sql = "UPDATE saga.outbox SET state = 'waiting', sends = 0, phase_tries = 0, finished_at = NULL, "
	"uncertain = phase <> 'poll', doubted = true, pending_since = CASE WHEN phase = 'poll' THEN now() END, "
	"unwanted_since = $3, ordering_key = CASE WHEN $3 IS NULL THEN ordering_key END "
	"WHERE destination_id = $1 AND outbox_id = $2",
	.nargs = 3,
	.argtypes = {INT4OID, UUIDOID, TIMESTAMPTZOID}
};

static void
reopen(const Record *record, const SagaDestination *destination, bool wanted)
{
	Datum		values[3] = {Int32GetDatum(record->destination_id), UUIDPGetDatum(&record->outbox_id)};
	char		nulls[4] = "   ";
	SagaSend	send = {0};
	bool		looks = saga_has_lookup(destination, &record->delivery);
	int64		delay = looks && wanted ? destination->lookup->delay_ms : saga_settle_delay_ms(destination, &record->delivery);

	values[2] = TimestampTzGetDatum(GetCurrentTimestamp());
	nulls[2] = wanted ? 'n' : ' ';
	(void) saga_execute(&reopen_stmt, values, nulls, false, 0);
	send.message_id = record->outbox_id;
	send.kind = SAGA_MSG_OUTBOX;
	send.returned = true;
	/* from when the last attempt ended, which was before its answer was written */
	send.delay_ms = Max(delay - (GetCurrentTimestamp() - record->last_sent_at) / 1000, 0);
	saga_send_rows(saga_queue_by_id(record->destination_id, false), &send, 1);
}

/* Can whoever wants it done go on with it? */
static bool
can_go_on(const Record *record, const SagaDestination *destination)
{
	const SagaIdempotency *key = &destination->idempotency;
	char	   *method = saga_doc_get_string(&record->delivery.request->root, "Method");

	if (destination->kind != SAGA_DESTINATION_HTTP || record->polls || destination->resend_uncertain ||
		saga_has_lookup(destination, &record->delivery) ||
		saga_http_is_safe(method != NULL ? method : destination->request.method))
		return true;
	if (record->delivery.compensate)
		return destination->compensation != NULL &&
			(destination->compensation->resend_uncertain || destination->compensation->already_done != NULL ||
			 (key->place != SAGA_KEY_NONE && !record->delivery.accepted));
	return key->place != SAGA_KEY_NONE && !record->delivery.accepted &&
		(key->ttl_s == 0 || record->delivery.first_sent_at == 0 ||
		 GetCurrentTimestamp() < TimestampTzPlusMilliseconds(record->delivery.first_sent_at, (int64) key->ttl_s * 1000));
}

/* What would send it once more.  Who has it locked sends it now, and finds the record as it is then. */
static SagaStmt forget_letter_stmt = {
	.sql = "DELETE FROM saga.dead_letter WHERE ctid = ANY (ARRAY(SELECT ctid FROM saga.dead_letter "
	"WHERE queue_id = $1 AND message_id = $2 AND redriven_at IS NULL FOR UPDATE SKIP LOCKED))",
	.nargs = 2,
	.argtypes = {INT4OID, UUIDOID}
};

/* A published message has failed, which is told by a dead letter of its own; now its state is undone. */
static void
take_letter(const Record *record, bool no_effect)
{
	Datum		values[2] = {Int32GetDatum(record->destination_id), UUIDPGetDatum(&record->outbox_id)};

	(void) saga_execute(&forget_letter_stmt, values, NULL, false, 0);
	if (no_effect)
		(void) saga_execute(&withdraw_stmt, values, NULL, false, 0);
}

static SagaFate
fate_of_failed(const Record *record, const SagaDestination *destination, SagaWish wish)
{
	SagaSettleStep step;

	if (record->published)
		take_letter(record, !record->in_doubt);
	if (!record->in_doubt)
		return SAGA_FATE_NO_EFFECT;
	if (wish == SAGA_WISH_RETRY)
		return can_go_on(record, destination) ? SAGA_FATE_IN_DOUBT : SAGA_FATE_UNKNOWN;
	if (wish == SAGA_WISH_DROP)
		return SAGA_FATE_UNKNOWN;
	step = saga_settle_step(destination, &record->delivery, record->polls, GetCurrentTimestamp());
	if (step == SAGA_SETTLED_SUSPECTED)
		return SAGA_FATE_SUSPECTED;
	/* all that could be asked has been */
	if (step == SAGA_SETTLED_UNKNOWN || record->delivery.unwanted_since != 0)
		return SAGA_FATE_UNKNOWN;
	reopen(record, destination, false);
	return SAGA_FATE_IN_DOUBT;
}

/* ---------- waiting, or in flight ---------- */

static SagaFate
fate_of_waiting(const Record *record, const SagaDestination *destination, SagaWish wish)
{
	SagaSettleStep step;
	Datum		values[2] = {Int32GetDatum(record->destination_id), UUIDPGetDatum(&record->outbox_id)};

	if (!record->in_doubt && (take_rows(record) || waits_for_order(record)))
	{
		end_record(record, "withdrawn", record->attempts == 0 ? "never_left" : "no_effect");
		return SAGA_FATE_NO_EFFECT;
	}
	if (wish == SAGA_WISH_RETRY)
		return SAGA_FATE_IN_DOUBT;
	if (wish == SAGA_WISH_DROP)
	{
		(void) saga_execute(&withdraw_stmt, values, NULL, false, 0);
		return SAGA_FATE_IN_DOUBT;
	}
	step = saga_settle_step(destination, &record->delivery, record->polls, GetCurrentTimestamp());
	if (record->in_doubt && (step == SAGA_SETTLED_UNKNOWN || step == SAGA_SETTLED_SUSPECTED) && take_rows(record))
	{
		/* it is between two attempts, and there will be no other one */
		end_record(record, "failed", "in_doubt");
		return step == SAGA_SETTLED_UNKNOWN ? SAGA_FATE_UNKNOWN : SAGA_FATE_SUSPECTED;
	}
	mark_unwanted(record, destination);
	return SAGA_FATE_IN_DOUBT;
}

void
saga_outbox_fate(const pg_uuid_t *execution_id, SagaWish wish, SagaOutside *call)
{
	const SagaDestination *destination;
	Record		record;

	call->fate = SAGA_FATE_NONE;
	if (!lock_record(execution_id, call->task_id, &record))
		return;
	destination = saga_destination_by_id(record.destination_id);
	call->message_id = saga_uuid_to_cstring(&record.outbox_id);
	call->key = saga_uuid_to_cstring(&record.key);
	call->destination = destination != NULL ? pstrdup(destination->name) : NULL;
	if (wish == SAGA_WISH_IDENTIFY && record.published)
		call->fate = strcmp(record.state, "delivered") == 0 ? SAGA_FATE_DONE : SAGA_FATE_IN_DOUBT;
	if (wish == SAGA_WISH_IDENTIFY || destination == NULL || (wish == SAGA_WISH_TAKE_BACK && !record.published))
		return;
	if (strcmp(record.state, "delivered") == 0)
	{
		call->fate = record.only_submit || record.published ? SAGA_FATE_DONE : SAGA_FATE_ANSWERED;
		call->output = record.response;
	}
	else if (strcmp(record.state, "waiting") == 0)
		call->fate = fate_of_waiting(&record, destination, wish);
	else if (!call->answered && !record.published)
		call->fate = SAGA_FATE_ANSWERED;
	else
		call->fate = fate_of_failed(&record, destination, wish);
}

void
saga_outbox_resume(const pg_uuid_t *execution_id, int task_id, bool answered)
{
	const SagaDestination *destination;
	Record		record;

	if (!lock_record(execution_id, task_id, &record) || strcmp(record.state, "failed") != 0 || !answered)
		return;
	destination = saga_destination_by_id(record.destination_id);
	if (destination != NULL)
		reopen(&record, destination, true);
}

/* ---------- the publisher finds it ---------- */

static SagaStmt drop_stmt = {
	.sql = "UPDATE saga.outbox SET state = $3, finished_at = now(), last_class = coalesce($4, last_class), "
	"last_error = coalesce($5, last_error), outcome = $6, outcome_by = coalesce(outcome_by, 'withdrawal'), outcome_at = now() "
	"WHERE ctid = (SELECT ctid FROM saga.outbox WHERE destination_id = $1 AND outbox_id = $2 AND state = 'waiting' "
	"FOR UPDATE SKIP LOCKED)",
	.nargs = 6,
	.argtypes = {INT4OID, UUIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID}
};

/*
 * It was claimed, is not wanted any more, and nothing can be asked: it ends.
 * False: somebody has what that needs.
 */
bool
saga_outbox_end_unwanted(const SagaDestination *destination, const SagaDelivery *delivery, SagaSettleStep step)
{
	static const char *const cause = "it may have been done, and nobody can find out";
	bool		not_done = step == SAGA_SETTLED_NOT_DONE;
	JsonbParseState *state = NULL;
	Datum		values[6] = {Int32GetDatum(destination->destination_id), UUIDPGetDatum(&delivery->outbox_id)};
	char		nulls[7] = "      ";

	if (!saga_queue_try_lock(delivery->workflow_id))
		return false;
	values[2] = CStringGetTextDatum(not_done ? "withdrawn" : "failed");
	values[3] = CStringGetTextDatum("uncertain");
	values[4] = CStringGetTextDatum(psprintf("Saga.Uncertain: %s", cause));
	nulls[3] = nulls[4] = not_done ? 'n' : ' ';
	values[5] = CStringGetTextDatum(!not_done ? "in_doubt" : delivery->first_sent_at == 0 ? "never_left" : "no_effect");
	(void) saga_execute(&drop_stmt, values, nulls, false, 0);
	if (SPI_processed == 0)
		return false;
	if (saga_outbox_event_hook == NULL)
		return true;
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_int(&state, "task", delivery->task_id);
	saga_doc_push_string(&state, "error", not_done ? "Saga.Withdrawn" : "Saga.Uncertain");
	saga_doc_push_string(&state, "cause", not_done ? "it was taken back before it was sent" : cause);
	if (!not_done)
		saga_doc_push_value(&state, "in_doubt", &(JsonbValue) {.type = jbvBool,.val.boolean = true});
	saga_outbox_event_hook(delivery->workflow_id, &delivery->execution_id,
						   JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
	return true;
}

/* ---------- a person says it ---------- */

static SagaStmt settled_stmt = {
	.sql = "UPDATE saga.outbox SET state = $3, finished_at = coalesce(finished_at, now()), response = coalesce($4, response), "
	"outcome = $5, outcome_by = 'person', outcome_at = now(), uncertain = uncertain OR $5 = 'in_doubt' WHERE destination_id = $1 AND outbox_id = $2",
	.nargs = 5,
	.argtypes = {INT4OID, UUIDOID, TEXTOID, JSONBOID, TEXTOID}
};

static SagaStmt in_flight_stmt = {
	.sql = "SELECT 1 FROM saga.timer WHERE queue_id = $1 AND message_id = $2 AND (lease IS NOT NULL OR receives > $3)",
	.nargs = 3,
	.argtypes = {INT4OID, UUIDOID, INT4OID}
};

static const char *const said_outcome[] = {
	[SAGA_SAID_DONE] = "done",
	[SAGA_SAID_NO_EFFECT] = "no_effect",
	[SAGA_SAID_UNKNOWN] = "in_doubt"
};

/* How it ended, as the one who called says; in flight it is not asked for any more. */
static void
write_settled(const Record *record, const char *state, SagaSaid said, Jsonb *output)
{
	Datum		values[5] = {Int32GetDatum(record->destination_id), UUIDPGetDatum(&record->outbox_id),
		CStringGetTextDatum(state), (Datum) 0, CStringGetTextDatum(said_outcome[said])};
	char		nulls[6] = "     ";

	if (output != NULL)
		values[3] = JsonbPGetDatum(output);
	else
		nulls[3] = 'n';
	(void) saga_execute(&settled_stmt, values, nulls, false, 0);
}

static void
tell(int32 workflow_id, const pg_uuid_t *execution_id, int task_id, SagaSaid said, Jsonb *output)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_int(&state, "task", task_id);
	if (said == SAGA_SAID_DONE && output != NULL)
		saga_doc_push_jsonb(&state, "output", output);
	else if (said == SAGA_SAID_DONE)
		saga_doc_push_value(&state, "output", &(JsonbValue) {.type = jbvNull});
	else
	{
		bool		unknown = said == SAGA_SAID_UNKNOWN;

		saga_doc_push_string(&state, "error", unknown ? "Saga.Uncertain" : "Saga.NoEffect");
		saga_doc_push_string(&state, "cause", unknown ? "a person has given up finding out whether it was done" :
							 "a person has found out that it had no effect");
		if (unknown)
			saga_doc_push_value(&state, "in_doubt", &(JsonbValue) {.type = jbvBool,.val.boolean = true});
	}
	saga_outbox_event_hook(workflow_id, execution_id, JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}

SagaSettled
saga_outbox_settle(const pg_uuid_t *message_id, int32 workflow_id, const pg_uuid_t *execution_id, int task_id,
				   SagaSaid said, Jsonb *output, bool live)
{
	static const char *const states[] = {
		[SAGA_SAID_DONE] = "delivered",
		[SAGA_SAID_NO_EFFECT] = "failed",
		/* what is in flight is told of still */
		[SAGA_SAID_UNKNOWN] = "withdrawn"
	};
	Record		record;
	Datum		values[3];

	if (!lock_record(execution_id, task_id, &record) || saga_uuid_cmp(&record.outbox_id, message_id) != 0)
		return SAGA_NOT_WAITED_FOR;
	if (strcmp(record.state, "waiting") != 0)
	{
		/* what is on record as an answer is not for anybody to say */
		if (record.in_doubt && strcmp(record.state, "delivered") != 0)
			write_settled(&record, record.state, said, output);
		return SAGA_NOT_WAITED_FOR;
	}
	values[0] = Int32GetDatum(record.destination_id);
	values[1] = UUIDPGetDatum(&record.outbox_id);
	values[2] = Int32GetDatum(record.attempts);
	(void) saga_execute(&in_flight_stmt, values, NULL, false, 1);
	if (!record.in_doubt && SPI_processed == 0)
		return SAGA_NOT_IN_DOUBT;
	(void) take_rows(&record);
	write_settled(&record, states[said], said, output);
	release_order(&record);
	/* its state has completed, and the execution has ended since, or does not ask */
	if (record.published && record.delivery.unwanted_since == 0)
		return SAGA_NOT_WAITED_FOR;
	if (live)
		tell(workflow_id, execution_id, task_id, said, output);
	return SAGA_SETTLED;
}

/* Nobody could find out, and its execution has ended: it is asked for once more, where it can be. */
bool
saga_outbox_ask(const pg_uuid_t *message_id, const pg_uuid_t *execution_id, int task_id)
{
	const SagaDestination *destination;
	SagaSettleStep step;
	Record		record;
	Datum		values[2];

	if (!lock_record(execution_id, task_id, &record) || saga_uuid_cmp(&record.outbox_id, message_id) != 0 ||
		!record.in_doubt || (strcmp(record.state, "failed") != 0 && strcmp(record.state, "withdrawn") != 0))
		return false;
	destination = saga_destination_by_id(record.destination_id);
	if (destination == NULL)
		return false;
	step = saga_settle_step(destination, &record.delivery, record.polls, GetCurrentTimestamp());
	if (step != SAGA_SETTLE_ASK_POLL && step != SAGA_SETTLE_ASK_LOOKUP && step != SAGA_SETTLE_ASK_AGAIN)
		return false;
	values[0] = Int32GetDatum(record.destination_id);
	values[1] = UUIDPGetDatum(&record.outbox_id);
	/* it is in flight still */
	(void) saga_execute(&has_row_stmt, values, NULL, false, 1);
	if (SPI_processed > 0)
		return false;
	reopen(&record, destination, false);
	return true;
}
