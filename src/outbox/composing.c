/*
 * composing.c
 *		When a publisher makes the bytes of what it has claimed.
 *
 * How long that takes is up to the owner: an expression of his is bounded, but
 * he may have two hundred of them.  So an owner has a short time in a claiming
 * transaction.  What is left then is composed between other things, owner by
 * owner, and those of others go out meanwhile.
 */
#include "postgres.h"

#include "outbox/publisher_private.h"
#include "utils/timestamp.h"

/* No other one is begun after this time: of an owner in a claiming transaction, of all in one that only composes. */
#define SAGA_COMPOSE_SLICE_MS 20

/* What an owner has left in a claiming transaction. */
typedef struct ComposeBudget
{
	Oid			owner;
	int64		left_us;
} ComposeBudget;

static bool
is_plain(const SagaSending *sending)
{
	return !sending->plan.composed && !sending->plan.compose_begun;
}

/* What waited for so long that the server has forgotten its key, in doubt, is not sent again. */
static void
check_resend(SagaSending *sending)
{
	SagaDelivery *delivery = sending->deliveries[0];
	bool		sends = delivery->part.phase == SAGA_PHASE_SEND || delivery->part.phase == SAGA_PHASE_OTHER;

	if (sending->exchange.destination->kind != SAGA_DESTINATION_HTTP || delivery->part.error != NULL ||
		!sends || !delivery->uncertain || saga_outbox_may_resend(sending, delivery, GetCurrentTimestamp()))
		return;
	saga_endpoint_part_set_outcome(&delivery->part, SAGA_CLASS_UNCERTAIN, 0, "Saga.Uncertain", SAGA_CANNOT_RESEND);
}

/* If it raises, or there is no room for it, it is given back (pace.c). */
static void
compose(SagaPublisher *publisher, SagaSending *sending)
{
	MemoryContext old = MemoryContextSwitchTo(sending->exchange.context);
	SagaRoom	room;

	sending->plan.compose_begun = true;
	saga_compose(&sending->exchange);
	check_resend(sending);
	saga_room_look(publisher, sending->exchange.destination, &room);
	sending->plan.composed = saga_room_settle(sending, &room);
	MemoryContextSwitchTo(old);
}

/* ---------- in the claiming transaction ---------- */

/* Whose requests wait to be composed has their time elsewhere. */
static bool
has_plain(const SagaPublisher *publisher, Oid owner)
{
	dlist_iter	iter;

	dlist_foreach(iter, unconstify(dlist_head *, &publisher->ready))
	{
		const SagaSending *sending = dlist_container(SagaSending, node, iter.cur);

		if (is_plain(sending) && sending->exchange.destination->owner == owner)
			return true;
	}
	return false;
}

static ComposeBudget *
budget_of(SagaPublisher *publisher, Oid owner)
{
	ComposeBudget *budget;
	ListCell   *lc;

	foreach(lc, publisher->compose_budgets)
	{
		budget = lfirst(lc);
		if (budget->owner == owner)
			return budget;
	}
	budget = palloc(sizeof(ComposeBudget));
	budget->owner = owner;
	budget->left_us = has_plain(publisher, owner) ? 0 : SAGA_COMPOSE_SLICE_MS * INT64CONST(1000);
	publisher->compose_budgets = lappend(publisher->compose_budgets, budget);
	return budget;
}

void
saga_publisher_compose_claimed(SagaPublisher *publisher, Oid owner)
{
	ComposeBudget *budget = budget_of(publisher, owner);
	TimestampTz begun_at = saga_monotonic_now();
	TimestampTz until = begun_at + budget->left_us;
	TimestampTz now = begun_at;
	dlist_iter	iter;

	dlist_foreach(iter, &publisher->claiming)
	{
		SagaSending *sending = dlist_container(SagaSending, node, iter.cur);

		if (now >= until)
			break;
		/* those of other destinations have had their time */
		if (!is_plain(sending) || sending->exchange.destination != publisher->claiming_from)
			continue;
		compose(publisher, sending);
		now = saga_monotonic_now();
	}
	budget->left_us -= now - begun_at;
}

/* ---------- in one of its own ---------- */

/* The first one of the owner whose turn it is. */
static SagaSending *
next_plain(const SagaPublisher *publisher)
{
	SagaSending *next = NULL;
	bool		next_later = false;
	dlist_iter	iter;

	dlist_foreach(iter, unconstify(dlist_head *, &publisher->ready))
	{
		SagaSending *sending = dlist_container(SagaSending, node, iter.cur);
		Oid			owner = sending->exchange.destination->owner;
		bool		later = owner <= publisher->last_composed;

		if (!is_plain(sending))
			continue;
		if (next == NULL || later < next_later || (later == next_later && owner < next->exchange.destination->owner))
		{
			next = sending;
			next_later = later;
		}
	}
	return next;
}

typedef struct Composing
{
	SagaPublisher *publisher;
	SagaSending *sending;
} Composing;

static void
compose_attempt(void *arg)
{
	const Composing *composing = arg;

	compose(composing->publisher, composing->sending);
}

static void
compose_guarded(SagaPublisher *publisher, SagaSending *sending)
{
	Composing	composing = {publisher, sending};
	ErrorData  *error = saga_common_attempt(compose_attempt, &composing);

	if (error != NULL)
		ereport(LOG,
				(errmsg("could not compose the request of outbox message %s: %s",
						saga_uuid_to_cstring(&sending->deliveries[0]->part.outbox_id), error->message)));
}

int
saga_publisher_compose(SagaPublisher *publisher)
{
	SagaSending *sending = next_plain(publisher);
	TimestampTz begun_at = saga_monotonic_now();
	int			n = 0;

	if (sending == NULL)
		return 0;
	saga_publisher_begin(publisher);
	for (; sending != NULL; sending = next_plain(publisher))
	{
		if (n > 0 && TimestampDifferenceExceeds(begun_at, saga_monotonic_now(), SAGA_COMPOSE_SLICE_MS))
			break;
		publisher->last_composed = sending->exchange.destination->owner;
		compose_guarded(publisher, sending);
		n++;
	}
	saga_publisher_commit(publisher);
	return n;
}
