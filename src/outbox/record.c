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

#include "common/statement.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "net/foreign.h"
#include "net/header.h"
#include "outbox/sending_private.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "value/doc.h"

#define SAGA_MAX_CAUSE		32768	/* as States.* causes of AWS */
#define SAGA_MAX_NOTE		1000	/* of an answer, in the attempt's record */

#define THE_RECORD "destination_id = $destination_id AND outbox_id = $outbox_id"

static SagaStatement lock_stmt = {
	.sql = "SELECT state, unwanted_since, execution_id, task_id FROM saga.outbox WHERE " THE_RECORD " FOR UPDATE SKIP LOCKED"
};

static SagaStatement exists_stmt = {
	.sql = "SELECT FROM saga.outbox WHERE " THE_RECORD
};

/* Who only asks about a message has sent it before; if that is not on record, it was when it was accepted at the earliest. */
static SagaStatement update_stmt = {
	.sql = "UPDATE saga.outbox SET state = $state, attempts = $attempts, last_status = $last_status, "
	"last_class = $last_class, last_error = $last_error, response = $response, "
	"first_sent_at = coalesce(first_sent_at, CASE WHEN $asked_only THEN created_at ELSE $last_sent_at END), "
	"last_sent_at = $last_sent_at, finished_at = $finished_at, sends = $sends, phase = $phase, "
	"phase_tries = $phase_tries, uncertain = $uncertain, same_failures = $same_failures, key_epoch = $key_epoch, "
	"pending_since = $pending_since, captured = $captured, captured_hash = $captured_hash, doubted = $doubted, "
	"sent_status = $sent_status, sent_error = $sent_error, sent_class = $sent_class, outcome = $outcome, "
	"outcome_by = $outcome_by, outcome_at = now(), accepted = $accepted WHERE " THE_RECORD
};

static SagaStatement attempt_stmt = {
	.sql = "INSERT INTO saga.outbox_attempt (destination_id, outbox_id, attempt, started_at, ended_at, "
	"class, status, error, answer, phase, key, retry_after_ms, publisher, headers) "
	"VALUES ($destination_id, $outbox_id, $attempt, $started_at, $ended_at, "
	"$class, $status, $error, $answer, $phase, $key, $retry_after_ms, $publisher, $headers) ON CONFLICT DO NOTHING"
};

typedef struct Recording
{
	SagaSending *sending;
	SagaDelivery *delivery;
	int64		lease;
	TimestampTz now;
	const char *cause;			/* in the server's encoding; NULL: success */
	bool		finished;
	int32		destination_id;
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
	const SagaParam record[] = {
		saga_param_int4("destination_id", recording->destination_id),
		saga_param_uuid("outbox_id", &recording->delivery->part.outbox_id),
		{.name = NULL}
	};
	SagaRows   *rows = saga_query_params(&lock_stmt, record);

	if (!saga_next(rows))
		return saga_run_params(&exists_stmt, record) == 0 ? "gone" : NULL;
	/* it may have been given up while it was in flight */
	recording->delivery->unwanted_since = saga_column_timestamptz(rows, "unwanted_since");

	/*
	 * ... and be another execution's since, which undoes it
	 * (saga_outbox_adopt)
	 */
	if (recording->delivery->workflow_id != 0)
	{
		recording->delivery->execution_id = saga_column_uuid(rows, "execution_id");
		recording->delivery->task_id = saga_column_int4(rows, "task_id");
	}
	return saga_column_text(rows, "state");
}

static void
write_attempt(const Recording *recording)
{
	const SagaSending *sending = recording->sending;
	const SagaDelivery *delivery = recording->delivery;
	const char *cause = recording->cause;

	(void) saga_run(&attempt_stmt,
					saga_param_int4("destination_id", recording->destination_id),
					saga_param_uuid("outbox_id", &delivery->part.outbox_id),
					saga_param_int4("attempt", delivery->attempt),
					saga_param_timestamptz("started_at", sending->exchange.started_at),
					saga_param_timestamptz("ended_at", sending->exchange.ended_at),
					saga_param_text("class", saga_class_name(delivery->part.class)),
					saga_param_if(delivery->part.status != 0, saga_param_int4("status", delivery->part.status)),
					saga_param_text("error", cause != NULL ? delivery->part.error : NULL),
					saga_param_text("answer", cause != NULL ? clip(cause, SAGA_MAX_NOTE) : NULL),
					saga_param_text("phase", saga_phase_name(delivery->asked)),
					saga_param_text("key", delivery->part.key),
					saga_param_if(delivery->part.retry_after_ms >= 0,
								  saga_param_int8("retry_after_ms", delivery->part.retry_after_ms)),
					saga_param_int4("publisher", MyProcPid),
					saga_param_jsonb("headers", saga_answer_headers(&sending->exchange)));
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
	if (delivery->uncertain || delivery->taken_over || delivery->part.class == SAGA_CLASS_UNCERTAIN || delivery->part.class == SAGA_CLASS_PENDING ||
		delivery->part.phase == SAGA_PHASE_POLL)
		return "in_doubt";
	if (delivery->sends <= 1 && delivery->first_sent_at == 0 && recording->sending->exchange.transport.transport == SAGA_TRANSPORT_NOT_SENT)
		return "never_left";
	return "no_effect";
}

/* The server says that it did it at an earlier request under the same key, and repeats what it said then. */
static bool
is_replay(const Recording *recording)
{
	const SagaSending *sending = recording->sending;
	const char *name = sending->exchange.destination->idempotency.replay_header;
	char	   *value = NULL;

	if (recording->delivery->part.key != NULL && sending->exchange.head != NULL && name != NULL)
		value = saga_header_get(sending->exchange.head, name);
	return value != NULL && pg_strcasecmp(value, "true") == 0;
}

/*
 * The record tells of this answer, and apart from that (sent_...) of the last
 * one to a request that was meant to have an effect, not to ask.
 */
static void
write_record(const Recording *recording, const char *state, bool success)
{
	const SagaSending *sending = recording->sending;
	const SagaDelivery *delivery = recording->delivery;
	bool		asked_only = delivery->asked == SAGA_PHASE_LOOKUP || delivery->asked == SAGA_PHASE_POLL;
	const char *outcome_by = asked_only ? saga_phase_name(delivery->asked) :
	success && is_replay(recording) ? "replay" : "answer";
	const char *last_error = recording->cause == NULL ? NULL :
	psprintf("%s: %s", delivery->part.error, clip(recording->cause, SAGA_MAX_NOTE));
	int64		hash = 0;
	bool		has_hash = saga_captured_hash(sending->exchange.destination, delivery, &hash);

	(void) saga_run(&update_stmt,
					saga_param_text("state", state),
					saga_param_int4("attempts", delivery->attempt),
					saga_param_if(delivery->part.status != 0, saga_param_int4("last_status", delivery->part.status)),
					saga_param_text("last_class", saga_class_name(delivery->part.class)),
					saga_param_text("last_error", last_error),
					saga_param_jsonb("response", success ? saga_kept_output(&sending->exchange, &delivery->part) : NULL),
					saga_param_bool("asked_only", asked_only),
					saga_param_timestamptz("last_sent_at", sending->exchange.started_at),
					saga_param_if(recording->finished, saga_param_timestamptz("finished_at", recording->now)),
					saga_param_int4("sends", delivery->sends),
					saga_param_text("phase", delivery->part.phase == SAGA_PHASE_LOOKUP ? "send" : saga_phase_name(delivery->part.phase)),
					saga_param_int4("phase_tries", delivery->phase_tries),
					saga_param_bool("uncertain", delivery->uncertain),
					saga_param_int4("same_failures", delivery->same_failures),
					saga_param_int4("key_epoch", delivery->part.key_epoch),
					saga_param_if(delivery->pending_since != 0,
								  saga_param_timestamptz("pending_since", delivery->pending_since)),
					saga_param_jsonb("captured", delivery->part.captured),
					saga_param_if(has_hash, saga_param_int8("captured_hash", hash)),
					saga_param_bool("doubted", delivery->doubted),
					saga_param_if(delivery->sent_status != 0, saga_param_int4("sent_status", delivery->sent_status)),
					saga_param_text("sent_error", asked_only ? delivery->sent_error : last_error),
					saga_param_text("sent_class",
									delivery->sent_class >= 0 ? saga_class_name(delivery->sent_class) : NULL),
					saga_param_text("outcome", outcome_of(recording, success)),
					saga_param_text("outcome_by", outcome_by),
					saga_param_bool("accepted", delivery->part.accepted),
					saga_param_int4("destination_id", recording->destination_id),
					saga_param_uuid("outbox_id", &delivery->part.outbox_id));
}

/* The message in flight, if it is still ours: done, or due later. */
static void
end_flight(const Recording *recording)
{
	const SagaDelivery *delivery = recording->delivery;

	if (recording->finished)
		(void) saga_queue_end_lease(recording->destination_id, &delivery->part.outbox_id, recording->lease);
	else
		(void) saga_queue_release(recording->destination_id, &delivery->part.outbox_id, recording->lease,
								  TimestampTzPlusMilliseconds(recording->now, delivery->delay_ms), false);
}

/*
 * The answer, in the record and of the lease.  State NULL: the record has
 * ended, and stays as it is.  What follows from the answer for others is not
 * done in here: the user is raised once for these few statements of ours.
 */
static void
write_answer(const Recording *recording, bool is_there, const char *state, bool success)
{
	SagaRaised	save;

	saga_raise(&save);
	if (is_there && !success)
		write_attempt(recording);
	if (state != NULL)
		write_record(recording, state, success);
	end_flight(recording);
	saga_lower(&save);
}

static void
send_event(const Recording *recording, bool success)
{
	const SagaDelivery *delivery = recording->delivery;
	JsonbParseState *state = NULL;

	if (saga_outbox_event_hook == NULL)
		return;

	/*
	 * the callback is the answer; but of one that is given up it is told that
	 * it was done
	 */
	if (success && delivery->only_submit && delivery->unwanted_since == 0)
		return;
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_int(&state, "task", delivery->task_id);
	if (success)
	{
		saga_jsonb_push_key(&state, "output");
		(void) saga_push_output(&state, &recording->sending->exchange, &delivery->part);
	}
	else
	{
		saga_doc_push_string(&state, "error", delivery->part.error);
		saga_doc_push_string(&state, "cause", recording->cause);
		if (delivery->part.class == SAGA_CLASS_UNCERTAIN)
			saga_doc_push_bool(&state, "in_doubt", true);
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
	saga_doc_push_string(&state, "destination", recording->sending->exchange.destination->name);
	saga_doc_push_int(&state, "attempts", delivery->attempt);
	if (delivery->part.status != 0)
		saga_doc_push_int(&state, "status", delivery->part.status);
	saga_doc_push_string(&state, "class", saga_class_name(delivery->part.class));
	letter.details = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	letter.queue_id = recording->destination_id;
	letter.message_id = delivery->part.outbox_id;
	letter.kind = SAGA_MSG_OUTBOX;
	letter.reason = delivery->part.error;
	letter.cause = recording->cause;
	letter.receives = delivery->attempt;
	letter.sent_at = delivery->created_at;
	letter.body = saga_delivery_request(recording->sending->exchange.destination, delivery);
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
	const SagaDestination *destination = recording->sending->exchange.destination;
	SagaDelivery *delivery = recording->delivery;
	SagaOutboxEntry entry = {0};
	JsonbParseState *state = NULL;
	Jsonb	   *message;
	const char *error;
	char	   *cause;

	if (!delivery->part.compensate || delivery->part.class != SAGA_CLASS_FATAL || destination->compensation == NULL ||
		destination->compensation->other_destination == NULL)
		return false;
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	message = saga_delivery_message(&recording->sending->exchange, delivery);
	if (message != NULL)
		saga_doc_push_jsonb(&state, "RequestBody", message);
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

/* What the answer means for others: who waits for it, and the messages behind it. */
static void
tell_others(Recording *recording, bool success)
{
	SagaDelivery *delivery = recording->delivery;
	bool		waited_for = delivery->workflow_id != 0 &&
	(delivery->op != SAGA_OUTBOX_PUBLISH || delivery->unwanted_since != 0);

	if (!recording->finished)
	{
		if (delivery->unwanted_since != 0 && delivery->ordering_key != NULL)
			saga_ordering_free(recording->destination_id, &delivery->part.outbox_id, delivery->ordering_key);
		return;
	}
	if (!success && hand_on(recording))
		return;
	if (waited_for)
		send_event(recording, success);
	else if (!success)
		bury(recording);
	if (delivery->ordering_key != NULL)
		saga_ordering_release(recording->destination_id, delivery->ordering_key);
}

/*
 * Takes, without waiting, what recording it may have to lock: the workflow
 * that an event goes to, the order of the messages behind it, the destination
 * that takes over from it.
 */
static bool
try_lock_others(const SagaSending *sending, const SagaDelivery *delivery)
{
	const SagaDestination *destination = sending->exchange.destination;
	SagaObject	other;

	if (delivery->workflow_id != 0 && !saga_queue_try_lock(delivery->workflow_id))
		return false;
	if (delivery->ordering_key != NULL && !saga_ordering_lock(destination->destination_id, false))
		return false;
	if (!delivery->part.compensate || destination->compensation == NULL ||
		destination->compensation->other_destination == NULL)
		return true;
	other.id = saga_destination_other(destination->destination_id);
	if (other.id == 0 &&
		!saga_object_find(SAGA_OBJECT_DESTINATION, destination->compensation->other_destination,
						  destination->owner, SAGA_RIGHT_USE, &other))
		return true;
	return saga_destination_try_lock(other.id) && saga_queue_try_lock(other.id);
}

/*
 * What to do next, once only: what the answer is made into lasts as long as
 * the sending.  False: what decides it is locked.
 */
static bool
decide(const Recording *recording)
{
	SagaSending *sending = recording->sending;
	SagaDelivery *delivery = recording->delivery;
	MemoryContext old;

	if (delivery->decided)
		return true;
	old = MemoryContextSwitchTo(sending->exchange.context);
	delivery->before = palloc(sizeof(SagaDelivery));
	*delivery->before = *delivery;
	if (saga_captured_check(sending->exchange.destination, delivery))
	{
		saga_decide(sending, delivery, recording->now);
		delivery->decided = true;
	}
	MemoryContextSwitchTo(old);
	return delivery->decided;
}

static bool
record_delivery(SagaSending *sending, SagaDelivery *delivery, int64 lease)
{
	Recording	recording = {
		.sending = sending,
		.delivery = delivery,
		.lease = lease,
		.now = GetCurrentTimestamp(),
		.destination_id = sending->exchange.destination->destination_id
	};
	const char *state;
	bool		waits;
	bool		success;

	if (!try_lock_others(sending, delivery))
		return false;
	state = lock_record(&recording);
	if (state == NULL || !decide(&recording))
		return false;
	if (delivery->part.cause != NULL)
		recording.cause = saga_foreign_text(delivery->part.cause, strlen(delivery->part.cause), SAGA_MAX_CAUSE);
	success = delivery->verdict == SAGA_VERDICT_DELIVERED;
	waits = strcmp(state, "waiting") == 0;
	recording.finished = !waits || delivery->verdict != SAGA_VERDICT_AGAIN;
	if (waits)
	{
		write_answer(&recording, true, success ? "delivered" : recording.finished ? "failed" : "waiting", success);
		tell_others(&recording, success);
	}
	else if (strcmp(state, "withdrawn") == 0)
	{
		/* nobody waits, but what happened is told; a delivery is one */
		write_answer(&recording, true, success ? "delivered" : "withdrawn", success);
		if (delivery->ordering_key != NULL)
			saga_ordering_release(recording.destination_id, delivery->ordering_key);
	}
	else
		write_answer(&recording, strcmp(state, "gone") != 0, NULL, success);
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
