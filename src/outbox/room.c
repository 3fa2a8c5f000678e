/*
 * room.c
 *		Memory for requests: pg_saga.request_memory, shared by the owners that
 *		a publisher serves.
 *
 * A message may have 16 MB, what a template makes of it 64 MB, and a server
 * may accept requests and never read them.  So what is long is counted from
 * when it is claimed, by the size of what is stored; once it is composed, by
 * what it really takes; until it is recorded.  A message that there is no room
 * for stays in its queue (claim.c), and others behind it.  Those of other owners
 * do not, as with answers (net/budget.h), and neither do those of the owner's
 * other destinations: one has at most twice as much as he may still have.  And
 * whatever is used, one request of each of two destinations of an owner goes on,
 * so that one that hangs holds up no other, however long requests are.  Short
 * ones are not counted: there are a few hundred at most.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "common/statement.h"
#include "endpoint/request.h"
#include "limit/limit.h"
#include "outbox/sending_private.h"

/* ---------- before it is read ---------- */

size_t
saga_room_stored(SagaRows *record)
{
	bool		isnull;
	Datum		request = saga_column(record, "request", JSONBOID, &isnull);

	return isnull ? 0 : toast_raw_datum_size(request);
}

size_t
saga_room_needed(const SagaRoom *room, const SagaDestination *destination, SagaRows *record)
{
	size_t		small = SAGA_SMALL_REQUEST / (destination->kind == SAGA_DESTINATION_HTTP ? 1 : destination->batch);
	size_t		n = saga_room_stored(record) + room->growth;

	return n > small ? n : 0;
}

int
saga_room_fitting(SagaRoom *room, const SagaDestination *destination, SagaRows *records, int n)
{
	size_t		taken = 0;
	uint64		i;

	for (i = 0; i < records->count; i++)
	{
		size_t		needed;

		saga_row(records, i);
		needed = saga_room_needed(room, destination, records);
		if (!saga_room_has(room, taken, needed))
		{
			room->needs = needed;
			return saga_column_int4(records, "ord") - 1;
		}
		taken += needed;
	}
	return n;
}

/* ---------- what it takes ---------- */

void
saga_room_take(SagaPlan *plan, SagaAccount *account, size_t n)
{
	if (n == 0)
		return;
	plan->account = account;
	plan->bytes += n;
	saga_account_take(account, n);
}

static void
give(SagaPlan *plan, size_t n)
{
	if (n == 0)
		return;
	saga_account_give(plan->account, n);
	plan->bytes -= n;
}

void
saga_room_give(SagaPlan *plan)
{
	give(plan, plan->bytes);
}

/* What there is no room for is composed again when there is: its size is known then (saga_room_learn). */
bool
saga_room_settle(SagaSending *sending, const SagaRoom *room)
{
	SagaExchange *exchange = &sending->exchange;
	SagaPlan   *plan = &sending->plan;
	size_t		size = saga_exchange_memory(exchange);
	size_t		n = size > SAGA_SMALL_REQUEST ? size : 0;
	size_t		more = n > plan->bytes ? n - plan->bytes : 0;

	plan->grew_known = true;
	plan->grew = n > plan->stored + SAGA_SMALL_REQUEST ? (n - plan->stored) / sending->ndeliveries : 0;
	saga_room_learn(plan);
	if (more > SAGA_SMALL_REQUEST && !saga_room_may_take(room, room->of_destination - plan->bytes, more, room->of_destination + more))
	{
		if (exchange->body != NULL)
			pfree(exchange->body);
		exchange->body = NULL;
		saga_room_give(plan);
		return false;
	}
	if (more > 0)
		saga_room_take(plan, room->account, more);
	else
		give(plan, plan->bytes - n);
	return true;
}

/* Slowly less: messages of a destination may be of different kinds. */
void
saga_room_learn(SagaPlan *plan)
{
	if (plan->limit == NULL || !plan->grew_known)
		return;
	plan->limit->growth = Max(plan->grew, plan->limit->growth - plan->limit->growth / 4);
	plan->grew_known = false;
}

/* ---------- what was reduced, again ---------- */

static SagaStatement request_stmt = {
	.sql = "SELECT request FROM saga.outbox WHERE destination_id = $destination_id AND outbox_id = $outbox_id"
};

static Jsonb *
load_request(int32 destination_id, const pg_uuid_t *outbox_id)
{
	SagaRows   *rows = saga_query(&request_stmt, saga_param_int4("destination_id", destination_id),
								  saga_param_uuid("outbox_id", outbox_id));
	Jsonb	   *request = saga_rows_next(rows) ? saga_column_jsonb(rows, "request") : NULL;

	saga_rows_free(rows);
	return request;
}

Jsonb *
saga_delivery_request(const SagaDestination *destination, const SagaDelivery *delivery)
{
	const SagaPart *part = &delivery->part;

	return part->reduced ? load_request(destination->destination_id, &part->outbox_id) : part->request;
}

Jsonb *
saga_outbox_load_message(const SagaExchange *exchange, const SagaPart *part)
{
	Jsonb	   *request = load_request(exchange->destination->destination_id, &part->outbox_id);
	Jsonb	   *message = request != NULL ? saga_endpoint_request_message(request, part->composed_with) : NULL;

	if (request != NULL)
		pfree(request);
	return message;
}

Jsonb *
saga_delivery_message(const SagaExchange *exchange, const SagaDelivery *delivery)
{
	const SagaPart *part = &delivery->part;

	return part->reduced && part->had_message ? saga_outbox_load_message(exchange, part) : part->message;
}
