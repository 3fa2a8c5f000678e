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

#include "common/clock.h"
#include "common/statement.h"
#include "miscadmin.h"
#include "outbox/doubt_private.h"
#include "outbox/sending_private.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "value/doc.h"

/* What is on record says so. */
#define IN_DOUBT "(uncertain OR phase = 'poll' OR coalesce(last_class, '') IN ('uncertain', 'pending'))"

/* The last one: a compensation that was handed on has two.  A person may have said that there is no doubt. */
static SagaStatement lock_stmt = {
	.sql = "SELECT destination_id, outbox_id, state, outcome_by IS DISTINCT FROM 'person' OR outcome = 'in_doubt' AS open, "
	IN_DOUBT " OR outcome = 'in_doubt' AS in_doubt, workflow_id, execution_id, created_at, "
	"attempts, ordering_key, only_submit, response, unwanted_since, idempotency_key, first_sent_at, compensate, "
	"phase = 'poll' AS polls, last_sent_at, finished_at, position IS NOT NULL AS ordered, "
	"request - '{Body,Headers,Captured}'::text[] AS request, accepted, op "
	"FROM saga.outbox WHERE execution_id = $execution_id AND task_id = $task_id "
	"ORDER BY created_at DESC, state = 'waiting' DESC LIMIT 1 FOR UPDATE"
};

/* Nothing that is on record says what another server has sent since. */
static bool
takeover_doubts(const SagaDoubt *record)
{
	const SagaDestination *destination = saga_destination_by_id(record->destination_id);

	return saga_takeover_doubts(&record->delivery,
								destination != NULL && saga_endpoint_has_lookup(destination, &record->delivery.part),
								record->last_sent_at);
}

bool
saga_doubt_lock(const pg_uuid_t *execution_id, int task_id, SagaDoubt *record)
{
	SagaRows   *row;
	bool		open;

	saga_takeover_look();
	row = saga_query(&lock_stmt, saga_param_uuid("execution_id", execution_id), saga_param_int4("task_id", task_id));
	memset(record, 0, sizeof(SagaDoubt));
	if (!saga_rows_next(row))
		return false;
	record->destination_id = saga_column_int4(row, "destination_id");
	record->outbox_id = saga_column_uuid(row, "outbox_id");
	record->state = saga_column_text(row, "state");
	open = saga_column_bool(row, "open");
	record->in_doubt = saga_column_bool(row, "in_doubt");
	record->delivery.workflow_id = saga_column_int4(row, "workflow_id");
	record->delivery.execution_id = saga_column_uuid(row, "execution_id");
	record->delivery.created_at = saga_column_timestamptz(row, "created_at");
	record->attempts = saga_column_int4(row, "attempts");
	record->ordering_key = saga_column_text(row, "ordering_key");
	record->only_submit = saga_column_bool(row, "only_submit");
	record->response = saga_column_jsonb(row, "response");
	record->delivery.unwanted_since = saga_column_timestamptz(row, "unwanted_since");
	record->key = saga_column_uuid(row, "idempotency_key");
	record->delivery.first_sent_at = saga_column_timestamptz(row, "first_sent_at");
	record->delivery.part.compensate = saga_column_bool(row, "compensate");
	record->polls = saga_column_bool(row, "polls");
	record->last_sent_at = saga_column_timestamptz(row, "last_sent_at");
	record->finished_at = saga_column_timestamptz(row, "finished_at");
	record->delivery.ordered = saga_column_bool(row, "ordered");
	record->delivery.part.request = saga_column_jsonb(row, "request");
	record->delivery.part.accepted = saga_column_bool(row, "accepted");
	record->published = saga_column_char(row, "op") == SAGA_OUTBOX_PUBLISH;
	saga_rows_free(row);
	record->in_doubt = record->delivery.uncertain = open && (record->in_doubt || takeover_doubts(record));
	return true;
}

/* ---------- out of the queue ---------- */

/* One that is not the first of its ordering key has no row; who makes one has the ordering lock. */
bool
saga_doubt_has_row(const SagaDoubt *record)
{
	return saga_queue_has(record->destination_id, &record->outbox_id, SAGA_MSG_OUTBOX);
}

/*
 * Of an ordering key the next message is put into the queue under the lock on
 * the order.  Whoever runs this may leave his transaction open, and others'
 * messages would wait behind that lock: so it is a publisher that does it, for
 * the row that it finds of a message that has ended.
 */
void
saga_doubt_release_order(const SagaDoubt *record)
{
	SagaSend	send = {0};

	if (record->ordering_key == NULL)
		return;
	send.message_id = record->outbox_id;
	send.kind = SAGA_MSG_OUTBOX;
	send.returned = true;
	saga_queue_send_rows(saga_queue_by_id(record->destination_id, false), &send, 1);
}

/* One that waits for others of its key has no row, and a publisher would not come to say that it has never left. */
static void
show_withdrawn(const SagaDoubt *record)
{
	if (record->ordering_key != NULL && saga_queue_try_lock(record->destination_id) && !saga_doubt_has_row(record))
		saga_doubt_release_order(record);
}

void
saga_outbox_show_withdrawn(int32 destination_id, const pg_uuid_t *outbox_id, char *ordering_key)
{
	const SagaDoubt record = {.destination_id = destination_id, .outbox_id = *outbox_id, .ordering_key = ordering_key};

	show_withdrawn(&record);
}

/*
 * A message without row waits for others of its ordering key, and who has the
 * lock on the order may be making one.  A worker tries to have that lock: it
 * ends its transaction soon.
 */
static bool
waits_for_order(const SagaDoubt *record)
{
	return record->ordering_key != NULL && MyBackendType == B_BG_WORKER &&
		saga_ordering_lock(record->destination_id, false) && !saga_doubt_has_row(record);
}

/* Those that know of so many attempts at most. */
bool
saga_doubt_take_rows(const SagaDoubt *record, int attempts)
{
	const SagaQueue *queue = saga_queue_by_id(record->destination_id, true);

	/*
	 * a row may have to be put into this queue, which somebody may be
	 * dropping
	 */
	if (record->ordering_key != NULL && !saga_queue_try_lock(record->destination_id))
		return false;
	return queue != NULL && saga_queue_take_back(queue, &record->outbox_id, attempts);
}

static bool
take_rows(const SagaDoubt *record)
{
	return saga_doubt_take_rows(record, record->attempts);
}

static SagaStatement end_stmt = {
	.sql = "UPDATE saga.outbox SET state = $state, finished_at = now(), outcome = $outcome, outcome_by = 'withdrawal', "
	"outcome_at = now() WHERE destination_id = $destination_id AND outbox_id = $outbox_id"
};

/* Its rows have been taken. */
static void
end_record(const SagaDoubt *record, const char *state, const char *outcome)
{
	saga_run(&end_stmt, saga_param_text("state", state), saga_param_text("outcome", outcome), SAGA_DOUBT_WHICH(record));
	saga_doubt_release_order(record);
}

/* ---------- given up, and not to be had ---------- */

static SagaStatement unwanted_stmt = {
	.sql = "UPDATE saga.outbox SET unwanted_since = now() WHERE destination_id = $destination_id AND outbox_id = $outbox_id"
};

/* Until there is an answer, or a publisher finds its row and knows better. */
static SagaStatement withdraw_stmt = {
	.sql = "UPDATE saga.outbox SET state = 'withdrawn', finished_at = now(), outcome = 'in_doubt', outcome_by = 'withdrawal', "
	"outcome_at = now() WHERE destination_id = $destination_id AND outbox_id = $outbox_id"
};

/* It has failed, without effect. */
static SagaStatement undone_stmt = {
	.sql = "UPDATE saga.outbox SET state = 'withdrawn', finished_at = now() "
	"WHERE destination_id = $destination_id AND outbox_id = $outbox_id"
};

static SagaStatement free_key_stmt = {
	.sql = "UPDATE saga.outbox SET ordering_key = NULL WHERE destination_id = $destination_id AND outbox_id = $outbox_id"
};

/* Those behind it with the same ordering key do not wait until it is known how it went. */
void
saga_ordering_free(int32 destination_id, const pg_uuid_t *outbox_id, const char *ordering_key)
{
	saga_run(&free_key_stmt, saga_param_int4("destination_id", destination_id), saga_param_uuid("outbox_id", outbox_id));
	saga_ordering_release(destination_id, ordering_key);
}

static void
mark_unwanted(const SagaDoubt *record, const SagaDestination *destination)
{
	int64		delay = saga_settle_delay_ms(destination, &record->delivery);

	saga_run(&unwanted_stmt, SAGA_DOUBT_WHICH(record));
	/* the server may still be at it: what is asked for comes later */
	if (record->in_doubt && record->last_sent_at != 0)
		saga_queue_delay(record->destination_id, &record->outbox_id,
						 TimestampTzPlusMilliseconds(record->last_sent_at, delay));
}

/* ---------- failed in doubt, and asked once more ---------- */

static SagaStatement reopen_stmt = {
	.sql = "UPDATE saga.outbox SET state = 'waiting', sends = 0, phase_tries = 0, finished_at = NULL, "
	"uncertain = phase <> 'poll', doubted = true, outcome_by = NULL, pending_since = CASE WHEN phase = 'poll' THEN now() END, "
	"unwanted_since = $unwanted_since, ordering_key = CASE WHEN $unwanted_since IS NULL THEN ordering_key END "
	"WHERE destination_id = $destination_id AND outbox_id = $outbox_id"
};

void
saga_doubt_reopen(const SagaDoubt *record, const SagaDestination *destination, bool wanted)
{
	SagaSend	send = {0};
	bool		looks = saga_endpoint_has_lookup(destination, &record->delivery.part);
	int64		delay = looks && wanted ? destination->lookup->delay_ms : saga_settle_delay_ms(destination, &record->delivery);

	saga_run(&reopen_stmt, SAGA_DOUBT_WHICH(record),
			 saga_param_if(!wanted, saga_param_timestamptz("unwanted_since", GetCurrentTimestamp())));
	send.message_id = record->outbox_id;
	send.kind = SAGA_MSG_OUTBOX;
	send.returned = true;

	/* from when the last attempt ended */
	send.delay_ms = Max(delay - (GetCurrentTimestamp() - Max(record->last_sent_at, record->finished_at)) / 1000, 0);
	saga_queue_send_rows(saga_queue_by_id(record->destination_id, false), &send, 1);
}

/* Can whoever wants it done go on with it? */
static bool
can_go_on(const SagaDoubt *record, const SagaDestination *destination)
{
	const SagaIdempotency *key = &destination->idempotency;
	char	   *method = saga_doc_get_string(&record->delivery.part.request->root, "Method");

	if (destination->kind != SAGA_DESTINATION_HTTP || record->polls || destination->resend_uncertain ||
		saga_endpoint_has_lookup(destination, &record->delivery.part) ||
		saga_http_is_safe(method != NULL ? method : destination->request.method))
		return true;
	if (record->delivery.part.compensate)
		return destination->compensation != NULL &&
			(destination->compensation->resend_uncertain || destination->compensation->already_done != NULL ||
			 (key->place != SAGA_KEY_NONE && !record->delivery.part.accepted));
	return key->place != SAGA_KEY_NONE && !record->delivery.part.accepted &&
		(key->ttl_s == 0 || record->delivery.first_sent_at == 0 ||
		 saga_clock_is_within(record->delivery.first_sent_at, (int64) key->ttl_s * 1000, GetCurrentTimestamp()));
}

/* What would send it once more.  Who has it locked sends it now, and finds the record as it is then. */
static SagaStatement forget_letter_stmt = {
	.sql = "DELETE FROM saga.dead_letter WHERE ctid = ANY (ARRAY(SELECT ctid FROM saga.dead_letter "
	"WHERE queue_id = $destination_id AND message_id = $outbox_id AND redriven_at IS NULL FOR UPDATE SKIP LOCKED))"
};

/* A published message has failed, which is told by a dead letter of its own; now its state is undone. */
static void
take_letter(const SagaDoubt *record, bool no_effect)
{
	saga_run(&forget_letter_stmt, SAGA_DOUBT_WHICH(record));
	if (no_effect)
		saga_run(&undone_stmt, SAGA_DOUBT_WHICH(record));
}

static SagaFate
fate_of_failed(const SagaDoubt *record, const SagaDestination *destination, SagaWish wish)
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
	saga_doubt_reopen(record, destination, false);
	return SAGA_FATE_IN_DOUBT;
}

/* ---------- waiting, or in flight ---------- */

static SagaFate
fate_of_waiting(const SagaDoubt *record, const SagaDestination *destination, SagaWish wish)
{
	SagaSettleStep step;

	if (!record->in_doubt && (take_rows(record) || waits_for_order(record)))
	{
		end_record(record, "withdrawn", record->attempts == 0 ? "never_left" : "no_effect");
		return SAGA_FATE_NO_EFFECT;
	}
	if (wish == SAGA_WISH_RETRY)
		return SAGA_FATE_IN_DOUBT;
	if (wish == SAGA_WISH_DROP)
	{
		saga_run(&withdraw_stmt, SAGA_DOUBT_WHICH(record));
		show_withdrawn(record);
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
	SagaDoubt	record;

	call->fate = SAGA_FATE_NONE;
	if (!saga_doubt_lock(execution_id, call->task_id, &record))
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
saga_outbox_adopt(const pg_uuid_t *ended, const pg_uuid_t *execution_id, SagaOutside *call)
{
	static SagaStatement stmt = {
		.sql = "UPDATE saga.outbox SET execution_id = $execution_id, task_id = $task_id"
		" WHERE execution_id = $ended AND outbox_id = $message_id"
	};
	pg_uuid_t	message_id;

	if (saga_uuid_parse(call->message_id, &message_id) &&
		saga_run(&stmt, saga_param_uuid("ended", ended), saga_param_uuid("execution_id", execution_id),
				 saga_param_int4("task_id", call->task_id), saga_param_uuid("message_id", &message_id)) > 0)
		call->fate = SAGA_FATE_DONE;
}

void
saga_outbox_resume(const pg_uuid_t *execution_id, int task_id, bool answered)
{
	const SagaDestination *destination;
	SagaDoubt	record;

	if (!saga_doubt_lock(execution_id, task_id, &record) || strcmp(record.state, "failed") != 0 || !answered)
		return;
	destination = saga_destination_by_id(record.destination_id);
	if (destination != NULL)
		saga_doubt_reopen(&record, destination, true);
}

/* ---------- the publisher finds it ---------- */

static SagaStatement drop_stmt = {
	.sql = "UPDATE saga.outbox SET state = $state, finished_at = now(), last_class = coalesce($last_class, last_class), "
	"last_error = coalesce($last_error, last_error), outcome = $outcome, outcome_by = coalesce(outcome_by, 'withdrawal'), "
	"outcome_at = now() WHERE ctid = (SELECT ctid FROM saga.outbox WHERE destination_id = $destination_id "
	"AND outbox_id = $outbox_id AND state = 'waiting' FOR UPDATE SKIP LOCKED)"
};

/* False: somebody has it, or it has ended. */
static bool
drop_record(const SagaDestination *destination, const SagaDelivery *delivery, const char *state, const char *outcome,
			const char *class, const char *error)
{
	return saga_run(&drop_stmt, saga_param_text("state", state), saga_param_text("last_class", class),
					saga_param_text("last_error", error), saga_param_text("outcome", outcome),
					saga_param_int4("destination_id", destination->destination_id),
					saga_param_uuid("outbox_id", &delivery->part.outbox_id)) > 0;
}

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
	bool		dropped;

	if (!saga_queue_try_lock(delivery->workflow_id))
		return false;
	if (not_done)
		dropped = drop_record(destination, delivery, "withdrawn", delivery->first_sent_at == 0 ? "never_left" : "no_effect",
							  NULL, NULL);
	else
		dropped = drop_record(destination, delivery, "failed", "in_doubt",
							  "uncertain", psprintf("Saga.Uncertain: %s", cause));
	if (!dropped)
		return false;
	if (saga_outbox_event_hook == NULL)
		return true;
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_int(&state, "task", delivery->task_id);
	saga_doc_push_string(&state, "error", not_done ? "Saga.Withdrawn" : "Saga.Uncertain");
	saga_doc_push_string(&state, "cause", not_done ? "it was taken back before it was sent" : cause);
	if (!not_done)
		saga_doc_push_bool(&state, "in_doubt", true);
	saga_outbox_event_hook(delivery->workflow_id, &delivery->execution_id,
						   JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
	return true;
}

/*
 * It was withdrawn when its row could not be had.  What this row knows counts,
 * unless an answer, a token or a person has said how it went, or it is in
 * flight: then there is another row.
 */
#define IS_WITHDRAWN \
	"destination_id = $destination_id AND outbox_id = $outbox_id AND state = 'withdrawn' " \
	"AND coalesce(outcome_by, 'withdrawal') = 'withdrawal' AND (attempts < $attempts OR outcome IS DISTINCT FROM " KNOWN ")"
#define KNOWN \
	"(CASE WHEN $in_doubt OR " IN_DOUBT " THEN 'in_doubt' WHEN $attempts = 0 THEN 'never_left' ELSE 'no_effect' END)"

static SagaStatement withdrawn_stmt = {
	.sql = "SELECT FROM saga.outbox WHERE " IS_WITHDRAWN
};

static SagaStatement drop_withdrawn_stmt = {
	.sql = "UPDATE saga.outbox SET outcome = " KNOWN ", outcome_by = 'withdrawal', outcome_at = now(), attempts = $attempts, "
	"sends = $sends, uncertain = uncertain OR $in_doubt, "
	"first_sent_at = CASE WHEN attempts < $attempts THEN coalesce(first_sent_at, created_at) ELSE first_sent_at END "
	"WHERE ctid = (SELECT ctid FROM saga.outbox WHERE " IS_WITHDRAWN " FOR UPDATE SKIP LOCKED)"
};

/* False: somebody has it. */
bool
saga_outbox_drop_withdrawn(const SagaDestination *destination, const SagaDelivery *delivery)
{
	const SagaParam params[] = {
		saga_param_int4("destination_id", destination->destination_id),
		saga_param_uuid("outbox_id", &delivery->part.outbox_id),
		saga_param_int4("attempts", delivery->attempt - 1),
		saga_param_int4("sends", delivery->sends),
		saga_param_bool("in_doubt", delivery->uncertain || delivery->taken_over),
		{.name = NULL}
	};
	int64		lease;
	TimestampTz until;

	if (saga_queue_find_lease(destination->destination_id, &delivery->part.outbox_id, &lease, &until))
		return true;
	return saga_statement_run(&drop_withdrawn_stmt, params) > 0 || saga_statement_run(&withdrawn_stmt, params) == 0;
}
