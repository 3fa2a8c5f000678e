/*
 * claim.c
 *		Takes messages of a destination out of its queue and puts them into the
 *		timer table under this publisher's lease, the attempt counted: durable
 *		before the first byte leaves.
 */
#include "postgres.h"

#include "common/clock.h"
#include "common/statement.h"
#include "limit/limit.h"
#include "net/secret.h"
#include "outbox/request_private.h"
#include "outbox/sending_private.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* A lease outlives the request by this; then the message is sent again. */
#define SAGA_LEASE_MARGIN_MS 60000

/* Another one has the ordering lock: a publisher, for a moment, or somebody who takes his time. */
#define SAGA_ORDERING_RETRY_MS 20

/* A call that is not wanted any more has its turn later. */
#define SAGA_SETTLE_LATER_MS 500

/* OFFSET 0 keeps it a nested loop over the primary key. */
static SagaStatement read_stmt = {
	.sql = "SELECT u.ord::integer, o.* FROM unnest($outbox_ids) WITH ORDINALITY u(id, ord) CROSS JOIN LATERAL "
	"(SELECT state, op, only_submit, workflow_id, execution_id, task_id, idempotency_key, ordering_key, request, "
	"created_at, attempts, last_class, compensate, sends, phase, phase_tries, uncertain, same_failures, key_epoch, "
	"sent_status, first_sent_at, pending_since, captured, sent_error, sent_class, unwanted_since, "
	"position IS NOT NULL AS ordered, accepted, uncertain AND outcome_by = 'lookup' AND "
	"coalesce(last_error ~ '^Saga.(NotFound|NotOurs):', false) AS unproved, doubted, last_sent_at "
	"FROM saga.outbox WHERE destination_id = $destination_id AND outbox_id = u.id OFFSET 0) o"
};

/* They are put among the timers, or end, one by one. */
static void
finish_claimed(const SagaMessage *messages, int n)
{
	ItemPointerData *ctids = palloc(sizeof(ItemPointerData) * n);

	for (int i = 0; i < n; i++)
		ctids[i] = messages[i].ctid;
	saga_queue_finish(ctids, n);
	pfree(ctids);
}

/* So many attempts in a row were lost with their publishers: it may be the message that ends them. */
static void
lose(SagaDelivery *delivery)
{
	delivery->part.class = SAGA_CLASS_FATAL;
	if (delivery->part.phase == SAGA_PHASE_SEND || delivery->part.phase == SAGA_PHASE_OTHER)
		delivery->part.class = SAGA_CLASS_UNCERTAIN;
	delivery->part.error = "Saga.Uncertain";
	delivery->part.cause = "each publisher that sent it ended before it could record the answer";
	delivery->alone = true;
}

/*
 * Where the message stands.  An attempt that was counted and is not on record
 * was lost with its publisher: if it was a request with an effect, that is
 * uncertain now.  So it is when all that is on record is older than a takeover,
 * where that can be looked up, or is not wanted any more; otherwise it is
 * noted, so that no refusal is taken for proof.  Lost attempts are attempts:
 * there are no more of them than of others.
 */
static void
read_standing(SagaDelivery *delivery, SagaRows *record, const SagaDestination *destination, int lost)
{
	char	   *phase;
	char	   *sent_class;
	bool		looks;

	delivery->part.compensate = saga_column_bool(record, "compensate");
	delivery->sends = saga_column_int4(record, "sends");
	phase = saga_column_text(record, "phase");
	delivery->phase_tries = saga_column_int4(record, "phase_tries");
	delivery->uncertain = saga_column_bool(record, "uncertain");
	delivery->same_failures = saga_column_int4(record, "same_failures");
	delivery->part.key_epoch = saga_column_int4(record, "key_epoch");
	delivery->sent_status = saga_column_int4(record, "sent_status");
	delivery->first_sent_at = saga_column_timestamptz(record, "first_sent_at");
	delivery->pending_since = saga_column_timestamptz(record, "pending_since");
	delivery->part.captured = saga_column_jsonb(record, "captured");
	delivery->sent_error = saga_column_text(record, "sent_error");
	sent_class = saga_column_text(record, "sent_class");
	delivery->sent_class = sent_class == NULL ? -1 : saga_class_of_name(sent_class);
	delivery->unwanted_since = saga_column_timestamptz(record, "unwanted_since");
	delivery->ordered = saga_column_bool(record, "ordered");
	delivery->part.accepted = saga_column_bool(record, "accepted");
	delivery->unproved = saga_column_bool(record, "unproved") && lost == 0;
	delivery->doubted = delivery->uncertain || saga_column_bool(record, "doubted");
	delivery->part.phase = saga_outbox_phase_of(destination, delivery, phase);
	if (delivery->part.phase != SAGA_PHASE_SEND && delivery->part.phase != SAGA_PHASE_OTHER)
	{
		if (lost >= destination->max_attempts)
			lose(delivery);
		return;
	}
	looks = saga_endpoint_has_lookup(destination, &delivery->part);
	if (saga_takeover_doubts(delivery, looks, saga_column_timestamptz(record, "last_sent_at")))
	{
		delivery->taken_over = !looks;
		delivery->doubted = true;
	}
	else if (lost == 0)
		return;
	/* what a look-up told was told of the requests before it */
	delivery->unproved = false;
	delivery->sends += lost;

	/* what is wanted, and cannot be looked up, is sent as it would be */
	if (lost == 0 && !looks && delivery->unwanted_since == 0)
		return;
	delivery->uncertain = delivery->doubted = delivery->lost = true;
	delivery->part.phase = saga_outbox_phase_of(destination, delivery, phase);

	/*
	 * a look-up that goes with its publisher again and again was not recorded
	 * as one, either
	 */
	if (delivery->part.phase == SAGA_PHASE_LOOKUP ? lost > destination->max_attempts :
		lost > 0 && delivery->sends >= destination->max_attempts)
		lose(delivery);
}

/* One row of read_stmt, in CurrentMemoryContext.  Who sends for nobody has no workflow, execution and task. */
static SagaDelivery *
read_delivery(SagaRows *record, const SagaMessage *message, const SagaDestination *destination)
{
	SagaDelivery *delivery = palloc0(sizeof(SagaDelivery));
	char	   *last_class;
	int			attempts;

	delivery->part.outbox_id = message->message_id;
	delivery->op = saga_column_char(record, "op");
	delivery->only_submit = saga_column_bool(record, "only_submit");
	delivery->workflow_id = saga_column_int4(record, "workflow_id");
	delivery->execution_id = saga_column_uuid(record, "execution_id");
	delivery->task_id = saga_column_int4(record, "task_id");
	delivery->part.idempotency_key = saga_column_uuid(record, "idempotency_key");
	delivery->ordering_key = saga_column_text(record, "ordering_key");
	delivery->part.request = saga_column_jsonb(record, "request");
	delivery->created_at = saga_column_timestamptz(record, "created_at");
	attempts = saga_column_int4(record, "attempts");
	delivery->attempt = Max(message->receives, attempts) + 1;
	last_class = saga_column_text(record, "last_class");
	delivery->alone = last_class != NULL && strcmp(last_class, saga_class_name(SAGA_CLASS_SPLIT)) == 0;
	read_standing(delivery, record, destination, Max(message->receives - attempts, 0));
	delivery->part.retry_after_ms = -1;
	if (delivery->workflow_id != 0 && delivery->op != SAGA_OUTBOX_PUBLISH)
		delivery->part.trace = &delivery->execution_id;
	return delivery;
}

/*
 * A publisher was lost in the middle of a request that the server may still be
 * working on: the look-up waits as it does after any uncertain answer.  What
 * an earlier look-up found says nothing of this request.
 */
static SagaStatement lost_stmt = {
	.sql = "UPDATE saga.outbox SET attempts = $attempts, sends = $sends, uncertain = true, "
	"doubted = true, outcome = 'in_doubt', outcome_by = NULL, outcome_at = now(), "
	"first_sent_at = coalesce(first_sent_at, created_at) WHERE ctid = (SELECT ctid FROM saga.outbox "
	"WHERE destination_id = $destination_id AND outbox_id = $outbox_id FOR UPDATE SKIP LOCKED)"
};

/* It is not taken now, and no attempt has been made. */
static void
put_off(const SagaDestination *destination, const SagaMessage *message, int64 delay_ms)
{
	TimestampTz wake_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay_ms);

	saga_queue_put_back(destination->destination_id, message, wake_at);
}

static bool
must_wait_to_look(const SagaDestination *destination, const SagaDelivery *delivery, const SagaMessage *message)
{
	if (!delivery->lost || delivery->part.error != NULL || delivery->part.phase != SAGA_PHASE_LOOKUP || destination->lookup->delay_ms == 0)
		return false;
	saga_run(&lost_stmt, saga_param_int4("attempts", message->receives), saga_param_int4("sends", delivery->sends),
			 saga_param_int4("destination_id", destination->destination_id),
			 saga_param_uuid("outbox_id", &delivery->part.outbox_id));
	put_off(destination, message, destination->lookup->delay_ms);
	return true;
}

/*
 * The time for the look-up came with the clock that was set ahead, and not by
 * waiting: the server may still be at the request.  So it begins anew.
 */
static bool
clock_was_set_ahead(const SagaDestination *destination, const SagaDelivery *delivery, TimestampTz last_sent_at,
					const SagaMessage *message)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz ahead_at;
	int64		delay;

	if (delivery->part.phase != SAGA_PHASE_LOOKUP || delivery->part.error != NULL)
		return false;
	ahead_at = saga_clock_ahead_at();
	delay = delivery->unwanted_since != 0 ? saga_settle_delay_ms(destination, delivery) : destination->lookup->delay_ms;
	if (ahead_at == 0 || (last_sent_at >= ahead_at && last_sent_at <= now) ||
		now >= TimestampTzPlusMilliseconds(ahead_at, delay))
		return false;
	put_off(destination, message, (TimestampTzPlusMilliseconds(ahead_at, delay) - now) / 1000 + 1);
	return true;
}

/* Nobody wants it done any more: it is neither sent for the first time, nor when that tells nothing. */
static bool
end_unwanted(const SagaDestination *destination, const SagaDelivery *delivery, const SagaMessage *message)
{
	SagaSettleStep step = saga_settle_step(destination, delivery, delivery->part.phase == SAGA_PHASE_POLL,
										   GetCurrentTimestamp());

	if (step <= SAGA_SETTLE_ASK_AGAIN)
		return false;
	if (!saga_outbox_end_unwanted(destination, delivery, step))
		put_off(destination, message, SAGA_ORDERING_RETRY_MS);
	else if (delivery->ordering_key != NULL)
		saga_ordering_release(destination->destination_id, delivery->ordering_key);
	return true;
}

/* ---------- sendings ---------- */

typedef struct Packing
{
	SagaDestination *destination;
	MemoryContext parent;
	dlist_head *claimed;
	SagaSending *open;			/* a batch with room in it */
	size_t		open_bytes;
	int64		lease;
	TimestampTz now;
	TimestampTz wake_at;
	SagaSettling *settling;
	SagaRoom   *room;
	MemoryContext row_context;	/* of one row, to look at it */
	int64		settle_spread_ms;	/* of those that are put off; -1: not asked for */
	SagaRaised	raised;
} Packing;

static SagaStatement unwanted_stmt = {
	.sql = "SELECT count(*) FROM (SELECT FROM saga.outbox WHERE destination_id = $destination_id "
	"AND unwanted_since IS NOT NULL AND state = 'waiting' LIMIT 10000) o"
};

/* As many as there are, and no more often than they have their turn: they would be moved in vain. */
static int64
settle_later_ms(Packing *packing)
{
	int64		unit_ms = Max(packing->settling->every_ms, 20);
	uint32		random = 0;

	if (packing->settle_spread_ms < 0)
	{
		SagaRows   *rows = saga_query(&unwanted_stmt,
									  saga_param_int4("destination_id", packing->destination->destination_id));

		(void) saga_rows_next(rows);
		packing->settle_spread_ms = saga_column_int8(rows, "count") * unit_ms;
	}
	if (!pg_strong_random(&random, sizeof(random)))
		random = PG_UINT32_MAX;
	return Max(unit_ms, SAGA_SETTLE_LATER_MS) + (int64) (packing->settle_spread_ms * (random / (double) PG_UINT32_MAX));
}

/* A task waits for it whose workflow asks for the body of an answer. */
static bool
body_is_read(const SagaPart *part)
{
	const SagaDelivery *delivery = (const SagaDelivery *) ((const char *) part - offsetof(SagaDelivery, part));

	return delivery->workflow_id != 0 && delivery->op == SAGA_OUTBOX_HTTP && !delivery->only_submit &&
		saga_outbox_body_hook != NULL && saga_outbox_body_hook(delivery->workflow_id);
}

static SagaSending *
new_sending(Packing *packing)
{
	MemoryContext context = AllocSetContextCreate(packing->parent, "saga sending",
												  ALLOCSET_SMALL_SIZES);
	SagaSending *sending = MemoryContextAllocZero(context, sizeof(SagaSending));

	sending->exchange.context = context;
	sending->exchange.destination = packing->destination;
	sending->exchange.body_is_read = body_is_read;
	sending->exchange.load_message = saga_outbox_load_message;
	saga_cache_pin(packing->destination);
	sending->plan.claimed_at = packing->now;
	dlist_push_tail(packing->claimed, &sending->node);
	return sending;
}

void
saga_sending_leave(SagaSending *sending)
{
	if (sending->plan.place == 0)
		return;
	saga_place_give(sending->plan.limit, sending->plan.place);
	sending->plan.place = 0;
}

void
saga_sending_free(SagaSending *sending)
{
	saga_sending_leave(sending);
	if (sending->exchange.held > 0)
		saga_account_give(sending->exchange.http.account, sending->exchange.held);
	saga_room_give(&sending->plan);
	saga_exchange_wipe(&sending->exchange);
	saga_cache_unpin(sending->exchange.destination);
	MemoryContextDelete(sending->exchange.context);
}

/* Which request carries this message: its own, or the open batch. */
static SagaSending *
choose_sending(Packing *packing, SagaDelivery *delivery)
{
	SagaDestination *destination = packing->destination;
	SagaSending *open = packing->open;
	size_t		bytes;

	if (destination->kind == SAGA_DESTINATION_HTTP || destination->batch == 1 || delivery->alone)
		return new_sending(packing);
	bytes = saga_endpoint_sns_size(&delivery->part);
	if (open == NULL || open->ndeliveries >= destination->batch ||
		packing->open_bytes + bytes > destination->max_bytes)
	{
		open = packing->open = new_sending(packing);
		packing->open_bytes = 0;
	}
	packing->open_bytes += bytes;
	return open;
}

/*
 * Is it this message's turn?  If not it is left out, as it is not the first of
 * its ordering key, or dropped: withdrawn, or already done by another publisher
 * whose lease had run out, or not wanted any more.
 */
static bool
has_turn(const SagaDestination *destination, const SagaDelivery *delivery, bool waiting, const SagaMessage *message)
{
	int32		destination_id = destination->destination_id;

	if (delivery->ordering_key != NULL && !saga_ordering_lock(destination_id, !saga_serves_all))
	{
		put_off(destination, message, SAGA_ORDERING_RETRY_MS);
		return false;
	}
	if (!waiting)
	{
		if (delivery->ordering_key != NULL)
			saga_ordering_release(destination_id, delivery->ordering_key);
		return false;
	}
	if (delivery->ordering_key != NULL &&
		!saga_ordering_is_first(destination_id, delivery->ordering_key, &delivery->part.outbox_id))
		return false;
	return delivery->unwanted_since == 0 || !end_unwanted(destination, delivery, message);
}

/* Who looks after an order, or ends what is not wanted, writes to other queues and to workflows: not raised. */
static bool
has_turn_lowered(Packing *packing, const SagaDelivery *delivery, bool waiting, const SagaMessage *message)
{
	bool		turn;

	if (delivery->ordering_key == NULL && delivery->unwanted_since == 0)
		return waiting;
	saga_lower(&packing->raised);
	turn = has_turn(packing->destination, delivery, waiting, message);
	saga_raise(&packing->raised);
	return turn;
}

static void
pack_row(Packing *packing, SagaRows *record, const SagaMessage *message)
{
	const char *state = saga_column_text(record, "state");
	bool		waiting = strcmp(state, "waiting") == 0;
	SagaDelivery *delivery;
	SagaSending *sending;
	MemoryContext old = MemoryContextSwitchTo(packing->row_context);

	delivery = read_delivery(record, message, packing->destination);
	MemoryContextSwitchTo(old);
	if (strcmp(state, "withdrawn") == 0 && !saga_outbox_drop_withdrawn(packing->destination, delivery))
	{
		put_off(packing->destination, message, SAGA_ORDERING_RETRY_MS);
		return;
	}
	if (!has_turn_lowered(packing, delivery, waiting, message) ||
		must_wait_to_look(packing->destination, delivery, message) ||
		clock_was_set_ahead(packing->destination, delivery, saga_column_timestamptz(record, "last_sent_at"), message))
		return;
	if (delivery->unwanted_since != 0 && packing->settling->n <= 0)
	{
		put_off(packing->destination, message, settle_later_ms(packing));
		return;
	}
	if (!saga_queue_lease(packing->destination->destination_id, message, delivery->attempt, packing->lease,
						  packing->wake_at))
		return;					/* it is in flight already */
	sending = choose_sending(packing, delivery);
	if (delivery->unwanted_since != 0)
	{
		packing->settling->n--;
		sending->settles = true;
	}
	saga_room_take(&sending->plan, packing->room->account, saga_room_needed(packing->room, packing->destination, record));
	sending->plan.stored += saga_room_stored(record);
	MemoryContextReset(packing->row_context);	/* it may be long, and is read once more */
	old = MemoryContextSwitchTo(sending->exchange.context);
	delivery = read_delivery(record, message, packing->destination);
	MemoryContextSwitchTo(old);
	sending->deliveries[sending->ndeliveries++] = delivery;
	sending->exchange.parts[sending->exchange.nparts++] = &delivery->part;
}

void
saga_outbox_unclaim_sending(const SagaSending *sending, int64 lease, int64 delay_ms)
{
	TimestampTz wake_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay_ms);
	int			i;

	for (i = 0; i < sending->ndeliveries; i++)
		(void) saga_queue_release(sending->exchange.destination->destination_id,
								  &sending->deliveries[i]->part.outbox_id, lease, wake_at, true);
}

/* Long requests are not in it: they are where they are stored until they are read. */
static SagaRows *
read_records(const SagaDestination *destination, const SagaMessage *messages, int n)
{
	Datum	   *ids = palloc(sizeof(Datum) * n);
	SagaRows   *records;
	int			i;

	for (i = 0; i < n; i++)
		ids[i] = UUIDPGetDatum(&messages[i].message_id);
	records = saga_query(&read_stmt, saga_param_int4("destination_id", destination->destination_id),
						 saga_param_array("outbox_ids", UUIDARRAYOID,
										  construct_array(ids, n, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR)));
	if (records->count < (uint64) n)
		ereport(WARNING,
				(errmsg("queue of destination \"%s\" had messages that are not in the outbox", destination->name)));
	return records;
}

/* The first n of these. */
static void
pack_rows(Packing *packing, SagaRows *records, const SagaMessage *messages, int n)
{
	uint64		i;

	packing->row_context = AllocSetContextCreate(CurrentMemoryContext, "saga claimed row", ALLOCSET_DEFAULT_SIZES);
	for (i = 0; i < records->count; i++)
	{
		int			ord;

		saga_row(records, i);
		ord = saga_column_int4(records, "ord");
		if (ord > n)
			break;
		pack_row(packing, records, &messages[ord - 1]);
		MemoryContextReset(packing->row_context);
	}
	MemoryContextDelete(packing->row_context);
}

/* The longest that a request of this destination may take. */
static int
longest_timeout_ms(const SagaDestination *destination)
{
	const SagaCompensation *compensation = destination->compensation;
	int			ms = Max(destination->timeout_ms, destination->request.timeout_ms);

	if (destination->lookup != NULL)
		ms = Max(ms, destination->lookup->request.timeout_ms);
	if (destination->poll != NULL)
		ms = Max(ms, destination->poll->request.timeout_ms);
	if (compensation != NULL)
		ms = Max(ms, compensation->request.timeout_ms);
	if (compensation != NULL && compensation->other != NULL)
		ms = Max(ms, compensation->other->timeout_ms);
	return ms;
}

int
saga_outbox_claim_sendings(SagaDestination *destination, int max_sendings, SagaSettling *settling, SagaRoom *room,
						   int64 lease, MemoryContext parent, dlist_head *claimed)
{
	const SagaQueue *queue = saga_queue_by_id(destination->destination_id, true);
	bool		batched = destination->kind != SAGA_DESTINATION_HTTP;
	Packing		packing = {destination, parent, claimed, NULL, 0, lease, .settling = settling, .room = room, .settle_spread_ms = -1};
	SagaMessage *messages;
	SagaRows   *records = NULL;
	int			nclaimed;
	int			n;

	if (queue == NULL)
		return 0;
	saga_raise(&packing.raised);
	messages = saga_queue_claim(queue, max_sendings * (batched ? destination->batch : 1), false, &n);
	nclaimed = n;
	if (n > 0)
	{
		records = read_records(destination, messages, n);
		n = saga_room_fitting(room, destination, records, n);
		for (int i = n; i < nclaimed; i++)
			saga_queue_keep(queue, &messages[i].id);
	}
	if (n > 0)
	{
		finish_claimed(messages, n);
		packing.now = GetCurrentTimestamp();
		packing.wake_at = TimestampTzPlusMilliseconds(packing.now, longest_timeout_ms(destination) + SAGA_LEASE_MARGIN_MS);
		pack_rows(&packing, records, messages, n);
	}
	if (records != NULL)
		saga_rows_free(records);
	saga_lower(&packing.raised);
	return n;
}
