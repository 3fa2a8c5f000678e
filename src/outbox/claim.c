/*
 * claim.c
 *		Takes messages of a destination out of its queue and puts them into the
 *		timer table under this publisher's lease, the attempt counted: durable
 *		before the first byte leaves.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "net/secret.h"
#include "outbox/limit.h"
#include "outbox/request.h"
#include "outbox/sending.h"
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

/* Who has it locked is dropping the destination; if he does not, the lease ends in its time. */
static SagaStmt unclaim_stmt = {
	.sql = "UPDATE saga.timer SET wake_at = $4, lease = NULL, receives = receives - 1 WHERE ctid = (SELECT ctid "
	"FROM saga.timer WHERE queue_id = $1 AND message_id = $2 AND lease = $3 FOR UPDATE SKIP LOCKED)",
	.nargs = 4,
	.argtypes = {INT4OID, UUIDOID, INT8OID, TIMESTAMPTZOID}
};

typedef struct ClaimedRow
{
	ItemPointerData tid;
	pg_uuid_t	message_id;
	int			receives;
	TimestampTz sent_at;
} ClaimedRow;

static SagaStmt claim_stmt = {
	.sql = "SELECT ctid, id, message_id, receives, sent_at FROM saga.message "
	"WHERE queue_id = $1 AND id > $2 ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED",
	.nargs = 3,
	.argtypes = {INT4OID, UUIDOID, INT4OID}
};

static SagaStmt delete_stmt = {
	.sql = "DELETE FROM saga.message WHERE ctid = ANY ($1)",
	.nargs = 1,
	.argtypes = {TIDARRAYOID}
};

/* OFFSET 0 keeps it a nested loop over the primary key. */
static SagaStmt read_stmt = {
	.sql = "SELECT u.ord::integer, o.* FROM unnest($2) WITH ORDINALITY u(id, ord) CROSS JOIN LATERAL "
	"(SELECT state, op, only_submit, workflow_id, execution_id, task_id, idempotency_key, ordering_key, "
	"request, created_at, attempts, last_class, compensate, sends, phase, phase_tries, uncertain, "
	"same_failures, key_epoch, sent_status, first_sent_at, pending_since, captured, sent_error, doubted, last_sent_at, sent_class, unwanted_since, position IS NOT NULL, accepted, "
	"uncertain AND outcome_by = 'lookup' AND coalesce(last_error ~ '^Saga.(NotFound|NotOurs):', false) "
	"FROM saga.outbox WHERE destination_id = $1 AND outbox_id = u.id OFFSET 0) o",
	.nargs = 2,
	.argtypes = {INT4OID, UUIDARRAYOID}
};

static SagaStmt lease_stmt = {
	.sql = "INSERT INTO saga.timer (queue_id, message_id, wake_at, sent_at, receives, kind, lease) "
	"VALUES ($1, $2, $3, $4, $5, 'o', $6) ON CONFLICT DO NOTHING",
	.nargs = 6,
	.argtypes = {INT4OID, UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID, INT8OID}
};

static ClaimedRow *
claim_rows(const SagaQueue *queue, int limit, int *n)
{
	SagaClaim	claim;
	Datum		values[3];
	ClaimedRow *rows;
	pg_uuid_t	last;
	bool		isnull;
	int			i;

	saga_claim_begin(&claim, queue);
	values[0] = Int32GetDatum(queue->queue_id);
	values[1] = UUIDPGetDatum(&claim.mark);
	values[2] = Int32GetDatum(limit);
	(void) saga_execute(&claim_stmt, values, NULL, false, 0);
	*n = (int) SPI_processed;
	if (*n > 0)
		last = *DatumGetUUIDP(saga_result(*n - 1, 2, &isnull));
	saga_claim_end(&claim, *n > 0 ? &last : NULL);
	rows = palloc(sizeof(ClaimedRow) * Max(*n, 1));
	for (i = 0; i < *n; i++)
	{
		rows[i].tid = *(ItemPointer) DatumGetPointer(saga_result(i, 1, &isnull));
		rows[i].message_id = *DatumGetUUIDP(saga_result(i, 3, &isnull));
		rows[i].receives = DatumGetInt32(saga_result(i, 4, &isnull));
		rows[i].sent_at = DatumGetTimestampTz(saga_result(i, 5, &isnull));
	}
	SPI_freetuptable(SPI_tuptable);
	return rows;
}

static void
delete_rows(ClaimedRow *rows, int n)
{
	Datum	   *tids = palloc(sizeof(Datum) * n);
	Datum		value;
	int			i;

	for (i = 0; i < n; i++)
		tids[i] = PointerGetDatum(&rows[i].tid);
	value = PointerGetDatum(construct_array(tids, n, TIDOID, sizeof(ItemPointerData), false,
											TYPALIGN_SHORT));
	(void) saga_execute(&delete_stmt, &value, NULL, false, 0);
}

/* So many attempts in a row were lost with their publishers: it may be the message that ends them. */
static void
lose(SagaDelivery *delivery)
{
	delivery->class = SAGA_CLASS_FATAL;
	if (delivery->phase == SAGA_PHASE_SEND || delivery->phase == SAGA_PHASE_OTHER)
		delivery->class = SAGA_CLASS_UNCERTAIN;
	delivery->error = "Saga.Uncertain";
	delivery->cause = "each publisher that sent it ended before it could record the answer";
	delivery->alone = true;
}

/*
 * Where the message stands.  An attempt that was counted and is not on record
 * was lost with its publisher: if it was a request with an effect, that is
 * uncertain now.  So it is when all that is on record is older than a takeover.
 * Lost attempts are attempts: there are no more of them than of others.
 */
static void
read_standing(SagaDelivery *delivery, HeapTuple tuple, TupleDesc desc,
			  const SagaDestination *destination, int lost)
{
	bool		isnull;
	Datum		value;
	char	   *phase;

	delivery->compensate = DatumGetBool(SPI_getbinval(tuple, desc, 14, &isnull));
	delivery->sends = DatumGetInt32(SPI_getbinval(tuple, desc, 15, &isnull));
	phase = TextDatumGetCString(SPI_getbinval(tuple, desc, 16, &isnull));
	delivery->phase_tries = DatumGetInt32(SPI_getbinval(tuple, desc, 17, &isnull));
	delivery->uncertain = DatumGetBool(SPI_getbinval(tuple, desc, 18, &isnull));
	delivery->same_failures = DatumGetInt32(SPI_getbinval(tuple, desc, 19, &isnull));
	delivery->key_epoch = DatumGetInt32(SPI_getbinval(tuple, desc, 20, &isnull));
	value = SPI_getbinval(tuple, desc, 21, &isnull);
	delivery->sent_status = isnull ? 0 : DatumGetInt32(value);
	value = SPI_getbinval(tuple, desc, 22, &isnull);
	delivery->first_sent_at = isnull ? 0 : DatumGetTimestampTz(value);
	value = SPI_getbinval(tuple, desc, 23, &isnull);
	delivery->pending_since = isnull ? 0 : DatumGetTimestampTz(value);
	value = SPI_getbinval(tuple, desc, 24, &isnull);
	delivery->captured = isnull ? NULL : DatumGetJsonbPCopy(value);
	value = SPI_getbinval(tuple, desc, 25, &isnull);
	delivery->sent_error = isnull ? NULL : TextDatumGetCString(value);
	value = SPI_getbinval(tuple, desc, 28, &isnull);
	delivery->sent_class = isnull ? -1 : saga_class_of_name(TextDatumGetCString(value));
	value = SPI_getbinval(tuple, desc, 29, &isnull);
	delivery->unwanted_since = isnull ? 0 : DatumGetTimestampTz(value);
	delivery->ordered = DatumGetBool(SPI_getbinval(tuple, desc, 30, &isnull));
	delivery->accepted = DatumGetBool(SPI_getbinval(tuple, desc, 31, &isnull));
	value = SPI_getbinval(tuple, desc, 32, &isnull);
	delivery->unproved = !isnull && DatumGetBool(value) && lost == 0;
	delivery->doubted = delivery->uncertain || DatumGetBool(SPI_getbinval(tuple, desc, 26, &isnull));
	delivery->phase = saga_phase_of(destination, delivery, phase);
	if (delivery->phase != SAGA_PHASE_SEND && delivery->phase != SAGA_PHASE_OTHER)
	{
		if (lost >= destination->max_attempts)
			lose(delivery);
		return;
	}
	value = SPI_getbinval(tuple, desc, 27, &isnull);
	if (lost > 0)
		delivery->sends += lost;
	else if (!saga_has_lookup(destination, delivery) || !saga_takeover_doubts(delivery, isnull ? 0 : DatumGetTimestampTz(value)))
		return;
	delivery->uncertain = delivery->doubted = delivery->lost = true;
	delivery->phase = saga_phase_of(destination, delivery, phase);
	/* a look-up that goes with its publisher again and again was not recorded as one, either */
	if (delivery->phase == SAGA_PHASE_LOOKUP ? lost > destination->max_attempts :
		lost > 0 && delivery->sends >= destination->max_attempts)
		lose(delivery);
}

/* One row of read_stmt, in CurrentMemoryContext. */
static SagaDelivery *
read_delivery(HeapTuple tuple, TupleDesc desc, const ClaimedRow *row,
			  const SagaDestination *destination)
{
	int			attempts;
	SagaDelivery *delivery = palloc0(sizeof(SagaDelivery));
	bool		isnull;
	Datum		value;

	delivery->outbox_id = row->message_id;
	delivery->op = DatumGetChar(SPI_getbinval(tuple, desc, 3, &isnull));
	delivery->only_submit = DatumGetBool(SPI_getbinval(tuple, desc, 4, &isnull));
	value = SPI_getbinval(tuple, desc, 5, &isnull);
	if (!isnull)
	{
		delivery->workflow_id = DatumGetInt32(value);
		delivery->execution_id = *DatumGetUUIDP(SPI_getbinval(tuple, desc, 6, &isnull));
		delivery->task_id = DatumGetInt32(SPI_getbinval(tuple, desc, 7, &isnull));
	}
	delivery->idempotency_key = *DatumGetUUIDP(SPI_getbinval(tuple, desc, 8, &isnull));
	value = SPI_getbinval(tuple, desc, 9, &isnull);
	delivery->ordering_key = isnull ? NULL : TextDatumGetCString(value);
	delivery->request = DatumGetJsonbPCopy(SPI_getbinval(tuple, desc, 10, &isnull));
	delivery->created_at = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 11, &isnull));
	attempts = DatumGetInt32(SPI_getbinval(tuple, desc, 12, &isnull));
	delivery->attempt = Max(row->receives, attempts) + 1;
	value = SPI_getbinval(tuple, desc, 13, &isnull);
	delivery->alone = !isnull &&
		strcmp(TextDatumGetCString(value), saga_class_name(SAGA_CLASS_SPLIT)) == 0;
	read_standing(delivery, tuple, desc, destination, Max(row->receives - attempts, 0));
	delivery->retry_after_ms = -1;
	return delivery;
}

/*
 * A publisher was lost in the middle of a request that the server may still be
 * working on: the look-up waits as it does after any uncertain answer.
 */
static SagaStmt lost_stmt = {
	.sql = "UPDATE saga.outbox SET attempts = $3, sends = $4, uncertain = true, "
	"first_sent_at = coalesce(first_sent_at, created_at) WHERE ctid = (SELECT ctid FROM saga.outbox "
	"WHERE destination_id = $1 AND outbox_id = $2 FOR UPDATE SKIP LOCKED)",
	.nargs = 4,
	.argtypes = {INT4OID, UUIDOID, INT4OID, INT4OID}
};

static SagaStmt later_stmt = {
	.sql = "INSERT INTO saga.timer (queue_id, message_id, wake_at, sent_at, receives, kind) "
	"VALUES ($1, $2, $3, $4, $5, 'o') ON CONFLICT DO NOTHING",
	.nargs = 5,
	.argtypes = {INT4OID, UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID}
};

/* It is not taken now, and no attempt has been made. */
static void
put_off(const SagaDestination *destination, const ClaimedRow *row, int64 delay_ms)
{
	TimestampTz wake_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay_ms);
	Datum		values[5];

	values[0] = Int32GetDatum(destination->destination_id);
	values[1] = UUIDPGetDatum(&row->message_id);
	values[2] = TimestampTzGetDatum(wake_at);
	values[3] = TimestampTzGetDatum(row->sent_at);
	values[4] = Int32GetDatum(row->receives);
	(void) saga_execute(&later_stmt, values, NULL, false, 0);
	saga_note_timer(wake_at);
}

static bool
must_wait_to_look(const SagaDestination *destination, const SagaDelivery *delivery, const ClaimedRow *row)
{
	Datum		values[4];

	if (!delivery->lost || delivery->error != NULL || delivery->phase != SAGA_PHASE_LOOKUP || destination->lookup->delay_ms == 0)
		return false;
	values[0] = Int32GetDatum(destination->destination_id);
	values[1] = UUIDPGetDatum(&delivery->outbox_id);
	values[2] = Int32GetDatum(row->receives);
	values[3] = Int32GetDatum(delivery->sends);
	(void) saga_execute(&lost_stmt, values, NULL, false, 0);
	put_off(destination, row, destination->lookup->delay_ms);
	return true;
}

/* Nobody wants it done any more: it is neither sent for the first time, nor when that tells nothing. */
static bool
end_unwanted(const SagaDestination *destination, const SagaDelivery *delivery, const ClaimedRow *row)
{
	SagaSettleStep step = saga_settle_step(destination, delivery, delivery->phase == SAGA_PHASE_POLL,
										   GetCurrentTimestamp());

	if (step <= SAGA_SETTLE_ASK_AGAIN)
		return false;
	if (!saga_outbox_end_unwanted(destination, delivery, step))
		put_off(destination, row, SAGA_ORDERING_RETRY_MS);
	else if (delivery->ordering_key != NULL)
		saga_ordering_release(destination->destination_id, delivery->ordering_key);
	return true;
}

static bool
take_lease(const SagaDestination *destination, const SagaDelivery *delivery, const ClaimedRow *row,
		   TimestampTz wake_at, int64 lease)
{
	Datum		values[6];

	values[0] = Int32GetDatum(destination->destination_id);
	values[1] = UUIDPGetDatum(&delivery->outbox_id);
	values[2] = TimestampTzGetDatum(wake_at);
	values[3] = TimestampTzGetDatum(row->sent_at);
	values[4] = Int32GetDatum(delivery->attempt);
	values[5] = Int64GetDatum(lease);
	(void) saga_execute(&lease_stmt, values, NULL, false, 0);
	return SPI_processed > 0;	/* else it is in flight already */
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
	int64		settle_spread_ms;	/* of those that are put off; -1: not asked for */
} Packing;

static SagaStmt unwanted_stmt = {
	.sql = "SELECT count(*) FROM (SELECT FROM saga.outbox WHERE destination_id = $1 AND unwanted_since IS NOT NULL "
	"AND state = 'waiting' LIMIT 10000) o",
	.nargs = 1,
	.argtypes = {INT4OID}
};

/* As many as there are, and no more often than they have their turn: they would be moved in vain. */
static int64
settle_later_ms(Packing *packing)
{
	int64		unit_ms = Max(packing->settling->every_ms, 20);
	uint32		random = 0;

	if (packing->settle_spread_ms < 0)
	{
		Datum		value = Int32GetDatum(packing->destination->destination_id);
		bool		isnull;

		(void) saga_execute(&unwanted_stmt, &value, NULL, false, 1);
		packing->settle_spread_ms = DatumGetInt64(saga_result(0, 1, &isnull)) * unit_ms;
	}
	if (!pg_strong_random(&random, sizeof(random)))
		random = PG_UINT32_MAX;
	return Max(unit_ms, SAGA_SETTLE_LATER_MS) + (int64) (packing->settle_spread_ms * (random / (double) PG_UINT32_MAX));
}

static SagaSending *
new_sending(Packing *packing)
{
	MemoryContext context = AllocSetContextCreate(packing->parent, "saga sending",
												  ALLOCSET_SMALL_SIZES);
	SagaSending *sending = MemoryContextAllocZero(context, sizeof(SagaSending));

	sending->context = context;
	sending->destination = packing->destination;
	saga_destination_pin(packing->destination);
	sending->claimed_at = packing->now;
	dlist_push_tail(packing->claimed, &sending->node);
	return sending;
}

void
saga_sending_wipe(SagaSending *sending)
{
	saga_secret_wipe(sending->secrets);
	saga_secret_wipe(sending->http.headers);
	sending->secrets = sending->http.headers = NIL;
}

MemoryContext
saga_sending_begin_prepare(SagaSending *sending)
{
	bool		first = !sending->prepared;

	saga_sending_wipe(sending);
	sending->prepared = true;
	if (first)
		return sending->context;
	if (sending->again == NULL)
		sending->again = AllocSetContextCreate(sending->context, "saga sending again", ALLOCSET_SMALL_SIZES);
	else
		MemoryContextReset(sending->again);
	return sending->again;
}

void
saga_sending_free(SagaSending *sending)
{
	saga_limit_leave(sending);
	if (sending->held > 0)
		saga_account_give(sending->http.account, sending->held);
	saga_sending_wipe(sending);
	saga_destination_unpin(sending->destination);
	MemoryContextDelete(sending->context);
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
	bytes = saga_sns_size(delivery);
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
 * Dropped: withdrawn, or already done by another publisher whose lease had
 * run out.  Left out: not the first of its ordering key.
 */
static void
pack_row(Packing *packing, HeapTuple tuple, TupleDesc desc, const ClaimedRow *row)
{
	int32		destination_id = packing->destination->destination_id;
	bool		isnull;
	char	   *state = TextDatumGetCString(SPI_getbinval(tuple, desc, 2, &isnull));
	SagaDelivery *delivery = read_delivery(tuple, desc, row, packing->destination);
	SagaSending *sending;
	MemoryContext old;

	if (delivery->ordering_key != NULL && !saga_ordering_lock(destination_id, !saga_serves_all))
	{
		put_off(packing->destination, row, SAGA_ORDERING_RETRY_MS);
		return;
	}
	if (strcmp(state, "waiting") != 0)
	{
		if (delivery->ordering_key != NULL)
			saga_ordering_release(destination_id, delivery->ordering_key);
		return;
	}
	if (delivery->ordering_key != NULL &&
		!saga_ordering_is_first(destination_id, delivery->ordering_key, &delivery->outbox_id))
		return;
	if (delivery->unwanted_since != 0 && end_unwanted(packing->destination, delivery, row))
		return;
	if (must_wait_to_look(packing->destination, delivery, row))
		return;
	if (delivery->unwanted_since != 0 && packing->settling->n <= 0)
	{
		put_off(packing->destination, row, settle_later_ms(packing));
		return;
	}
	if (!take_lease(packing->destination, delivery, row, packing->wake_at, packing->lease))
		return;
	sending = choose_sending(packing, delivery);
	if (delivery->unwanted_since != 0)
	{
		packing->settling->n--;
		sending->settles = true;
	}
	old = MemoryContextSwitchTo(sending->context);
	sending->deliveries[sending->ndeliveries++] = read_delivery(tuple, desc, row, packing->destination);
	MemoryContextSwitchTo(old);
}

void
saga_unclaim_sending(const SagaSending *sending, int64 lease)
{
	TimestampTz now = GetCurrentTimestamp();
	Datum		values[4];
	int			i;

	values[0] = Int32GetDatum(sending->destination->destination_id);
	values[2] = Int64GetDatum(lease);
	values[3] = TimestampTzGetDatum(now);
	for (i = 0; i < sending->ndeliveries; i++)
	{
		values[1] = UUIDPGetDatum(&sending->deliveries[i]->outbox_id);
		(void) saga_execute(&unclaim_stmt, values, NULL, false, 0);
	}
	saga_note_timer(now);
}

static void
pack_rows(Packing *packing, ClaimedRow *rows, int n)
{
	Datum	   *ids = palloc(sizeof(Datum) * n);
	Datum		values[2];
	SPITupleTable *table;
	uint64		nread;
	uint64		i;

	for (i = 0; i < n; i++)
		ids[i] = UUIDPGetDatum(&rows[i].message_id);
	values[0] = Int32GetDatum(packing->destination->destination_id);
	values[1] = PointerGetDatum(construct_array(ids, n, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
	(void) saga_execute(&read_stmt, values, NULL, false, 0);
	table = SPI_tuptable;
	nread = SPI_processed;
	if (nread < n)
		ereport(WARNING,
				(errmsg("queue of destination \"%s\" had messages that are not in the outbox",
						packing->destination->name)));
	for (i = 0; i < nread; i++)
	{
		bool		isnull;
		int			ord = DatumGetInt32(SPI_getbinval(table->vals[i], table->tupdesc, 1, &isnull));

		pack_row(packing, table->vals[i], table->tupdesc, &rows[ord - 1]);
	}
	SPI_freetuptable(table);
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
saga_claim_sendings(SagaDestination *destination, int max_sendings, SagaSettling *settling, int64 lease,
					MemoryContext parent, dlist_head *claimed)
{
	const SagaQueue *queue = saga_queue_by_id(destination->destination_id, true);
	bool		batched = destination->kind != SAGA_DESTINATION_HTTP;
	Packing		packing = {destination, parent, claimed, NULL, 0, lease,.settling = settling,.settle_spread_ms = -1};
	ClaimedRow *rows;
	int			n;

	if (queue == NULL)
		return 0;
	rows = claim_rows(queue, max_sendings * (batched ? destination->batch : 1), &n);
	if (n == 0)
		return 0;
	delete_rows(rows, n);
	packing.now = GetCurrentTimestamp();
	packing.wake_at = TimestampTzPlusMilliseconds(packing.now, longest_timeout_ms(destination) + SAGA_LEASE_MARGIN_MS);
	pack_rows(&packing, rows, n);
	saga_note_timer(packing.wake_at);
	return n;
}
