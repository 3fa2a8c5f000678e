/*
 * share.c
 *		How a publisher's requests are shared out: first over owners, then over
 *		the destinations of each.
 */
#include "postgres.h"

#include "common/guc.h"
#include "endpoint/auth.h"
#include "miscadmin.h"
#include "outbox/publisher_private.h"
#include "utils/timestamp.h"

/* The coordinator is asked for another publisher this often. */
#define SAGA_HELP_MS	1000

/*
 * One owner has at most so many times the requests that are still free: two
 * thirds of all when he is alone, and however many of them hang, there are
 * some left for one who comes new.  So it is with his destinations and what
 * he may have.
 */
#define SAGA_SHARE		2

SagaLoad
saga_outbox_count_requests(const SagaPublisher *publisher, const SagaDestination *destination)
{
	/* what has its answer takes memory until that is recorded */
	const dlist_head *lists[] = {&publisher->claiming, &publisher->ready, &publisher->flying, &publisher->done};
	SagaLoad	load = {0};
	int			tokens;
	int			i;

	for (i = 0; i < lengthof(lists); i++)
	{
		dlist_iter	iter;

		dlist_foreach(iter, unconstify(dlist_head *, lists[i]))
		{
			const SagaDestination *other = dlist_container(SagaSending, node, iter.cur)->exchange.destination;

			load.all++;
			if (destination == NULL)
				continue;
			load.of_owner += other->owner == destination->owner;
			load.of_destination += other->destination_id == destination->destination_id;
		}
	}
	load.all += saga_oauth_asking(destination != NULL ? destination->owner : InvalidOid, &tokens);
	load.of_owner += tokens;
	return load;
}

/* ---------- memory for long requests ---------- */

void
saga_room_look(const SagaPublisher *publisher, const SagaDestination *destination, SagaRoom *room)
{
	const dlist_head *lists[] = {&publisher->returned, &publisher->claiming, &publisher->ready, &publisher->flying, &publisher->done};
	int32		other_id = 0;

	*room = (SagaRoom)
	{
		.account = saga_budget_account(publisher->request_budget, destination->owner)
	};
	for (int i = 0; i < lengthof(lists); i++)
	{
		dlist_iter	iter;

		dlist_foreach(iter, unconstify(dlist_head *, lists[i]))
		{
			const SagaSending *sending = dlist_container(SagaSending, node, iter.cur);
			int32		id = sending->exchange.destination->destination_id;

			if (sending->plan.bytes == 0 || sending->plan.account != room->account)
				continue;
			if (id == destination->destination_id)
				room->of_destination += sending->plan.bytes;
			else if (room->others == 0 || id != other_id)
			{
				room->others = Min(room->others + 1, 2);
				other_id = id;
			}
		}
	}
}

/* So many destinations of an owner have room for one request in any case. */
#define SAGA_ROOM_IN_ANY_CASE	2

bool
saga_room_may_take(const SagaRoom *room, size_t besides, size_t more, size_t total)
{
	if (besides == 0 && room->others < SAGA_ROOM_IN_ANY_CASE)
		return true;
	return saga_account_has_room(room->account, more) &&
		(besides == 0 || total <= 2 * saga_account_left(room->account, more));
}

bool
saga_room_has(const SagaRoom *room, size_t taken, size_t n)
{
	size_t		besides = room->of_destination + taken;

	return n == 0 || saga_room_may_take(room, besides, taken + n, besides + n);
}

/* ---------- what settling may have ---------- */

/*
 * Calls that are not wanted any more wait for their answers for a day without
 * harm, and there are many of them when a server comes back: half of the
 * requests at once, and of each rate, is left to new work.  This publisher has
 * its part of the other half, one request at least.
 */
void
saga_settling_share(const SagaPublisher *publisher, const SagaDestination *destination, const SagaLimitGroup *group,
					SagaSettling *settling)
{
	const dlist_head *lists[] = {&publisher->claiming, &publisher->ready, &publisher->flying, &publisher->done};
	const SagaLimits *limits = &destination->limits;
	int			parts = Max(saga_publishers, 1);
	int64		ms = 0;

	if (limits->per_second > 0)
		ms = Max(ms, INT64CONST(1000) / limits->per_second);
	if (limits->per_minute > 0)
		ms = Max(ms, INT64CONST(60000) / limits->per_minute);
	if (limits->per_hour > 0)
		ms = Max(ms, INT64CONST(3600000) / limits->per_hour);
	if (limits->per_day > 0)
		ms = Max(ms, INT64CONST(86400000) / limits->per_day);
	settling->every_ms = ms * 2 * parts;
	settling->n = Max(limits->concurrency / 2 / parts, 1);
	for (int i = 0; i < lengthof(lists); i++)
	{
		dlist_iter	iter;

		dlist_foreach(iter, unconstify(dlist_head *, lists[i]))
		{
			const SagaSending *sending = dlist_container(SagaSending, node, iter.cur);

			settling->n -= sending->settles &&
				(sending->plan.limit == group || sending->exchange.destination->destination_id == destination->destination_id);
		}
	}
	if (settling->every_ms > 0)
		settling->n = group->settle_at > saga_monotonic_now() ? 0 : Min(settling->n, 1);
	settling->n = Max(settling->n, 0);
}

/* One more has been claimed. */
void
saga_settling_used(SagaLimitGroup *group, int64 every_ms)
{
	if (every_ms > 0)
		group->settle_at = TimestampTzPlusMilliseconds(saga_monotonic_now(), every_ms);
}

int
saga_publisher_count(const SagaPublisher *publisher)
{
	return saga_outbox_count_requests(publisher, NULL).all;
}

/* So many more may the owner have, one after the other.  In a session all are the caller's. */
static int
left_for_owner(const SagaPublisher *publisher, int of_owner, int left)
{
	if (publisher->in_call)
		return left;
	return Max((SAGA_SHARE * left - of_owner + SAGA_SHARE) / (SAGA_SHARE + 1), 0);
}

bool
saga_outbox_has_room(const SagaPublisher *publisher, const SagaDestination *destination, const SagaLoad *load)
{
	int			left = saga_http_max(publisher->loop.http) - load->all;

	return load->of_destination < destination->limits.concurrency &&
		load->of_destination < SAGA_SHARE * left_for_owner(publisher, load->of_owner, left);
}

bool
saga_outbox_owner_has_room(const SagaPublisher *publisher, Oid owner)
{
	SagaDestination his = {.owner = owner};
	SagaLoad	load = saga_outbox_count_requests(publisher, &his);
	int			left = saga_http_max(publisher->loop.http) - load.all;

	return left <= 0 || left_for_owner(publisher, load.of_owner, left) > 0;
}

bool
saga_outbox_owner_has_spare_room(const SagaPublisher *publisher, Oid owner)
{
	SagaDestination his = {.owner = owner};
	SagaLoad	load = saga_outbox_count_requests(publisher, &his);
	int			left = saga_http_max(publisher->loop.http) - load.all;

	return left > 0 && left_for_owner(publisher, load.of_owner, left) > 0;
}

/* One of them has one more. */
static void
count_place(List *candidates, const SagaCandidate *candidate)
{
	ListCell   *lc;

	foreach(lc, candidates)
	{
		SagaCandidate *other = lfirst(lc);

		other->load.all++;
		other->load.of_owner += other->destination->owner == candidate->destination->owner;
		other->load.of_destination += other == candidate;
	}
}

/* Its next message was looked at a moment ago, and there is no room for it yet. */
static bool
is_short_of_memory(const SagaPublisher *publisher, const SagaCandidate *candidate)
{
	const SagaLimitGroup *group = candidate->group;
	SagaRoom	room;

	if (group->short_bytes == 0 || group->short_of != candidate->destination->destination_id ||
		group->short_until <= GetCurrentTimestamp())
		return false;
	saga_room_look(publisher, candidate->destination, &room);
	return !saga_room_has(&room, 0, group->short_bytes);
}

static bool
wants_place(const SagaPublisher *publisher, SagaCandidate *candidate)
{
	int			left = saga_http_max(publisher->loop.http) - candidate->load.all;

	if (candidate->satisfied)
		return false;
	candidate->crowded = left > 0 && (left_for_owner(publisher, candidate->load.of_owner, left) == 0 ||
									  is_short_of_memory(publisher, candidate));
	if (candidate->crowded)
		return false;
	return saga_outbox_has_room(publisher, candidate->destination, &candidate->load);
}

/* One after the other, beginning behind the one that was served last. */
void
saga_share_places(SagaPublisher *publisher, List *candidates)
{
	TimestampTz now = GetCurrentTimestamp();
	int			n = list_length(candidates);
	int			first = 0;
	bool		any = true;
	ListCell   *lc;
	int			i;

	foreach(lc, candidates)
	{
		SagaCandidate *candidate = lfirst(lc);

		candidate->load = saga_outbox_count_requests(publisher, candidate->destination);
		if (candidate->destination->destination_id <= publisher->last_served)
			first++;
	}
	while (any)
	{
		any = false;
		for (i = 0; i < n; i++)
		{
			SagaCandidate *candidate = list_nth(candidates, (first + i) % n);
			int			place;

			if (!wants_place(publisher, candidate))
				continue;
			place = saga_place_take(candidate->group, now);
			if (place == 0)
			{
				candidate->satisfied = candidate->no_place = true;
				continue;
			}
			candidate->places = lappend_int(candidate->places, place);
			publisher->last_served = candidate->destination->destination_id;
			count_place(candidates, candidate);
			any = true;
		}
	}
}

/*
 * Another publisher that sleeps, or one that is not there yet.  The queue is
 * said to be ready only where the flag was cleared here and nothing was looked
 * for: else another one has cleared it by now and is at it, and publishers
 * without room would wake each other for as long as they have none.
 */
void
saga_publisher_ask_for_help(SagaPublisher *publisher, int32 destination_id, bool cleared)
{
	TimestampTz now = GetCurrentTimestamp();
	const SagaQueue *queue = saga_queue_by_id(destination_id, true);

	if (queue != NULL && cleared && saga_queue_is_listed(queue->queue_id))
		saga_wake_next(queue);
	else if (queue != NULL)
		saga_wake_server(queue);
	if (saga_shared == NULL || publisher->help_at > now)
		return;
	publisher->help_at = TimestampTzPlusMilliseconds(now, SAGA_HELP_MS);
	saga_wake_type(SAGA_PROC_COORDINATOR, MyDatabaseId);
}
