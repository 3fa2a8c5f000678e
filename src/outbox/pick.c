/*
 * pick.c
 *		What a publisher takes next: from which destinations, how much of each.
 *
 * A destination that is limited or held is not ready: its flag is cleared
 * before the row is asked, so that whoever ends the hold after that sets it
 * again, and the publisher remembers when to look (SagaWait).
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/clock.h"
#include "miscadmin.h"
#include "net/secret.h"
#include "outbox/publisher_private.h"
#include "utils/timestamp.h"

/* A destination that is held is not looked at more often, whatever is sent to it. */
#define SAGA_HELD_MS	100

/* Its settings are not what the cache says. */
#define SAGA_SETTINGS_MS 10

/* A probe has its request's time, and this, before another one is made. */
#define SAGA_PROBE_MS	10000

/* Now and then all queues are looked at, and the leases of dead publishers. */
#define SAGA_LOOK_INTERVAL_MS 60000

/* A destination that cannot be claimed from, for whatever reason, is put aside, twice as long each time. */
#define SAGA_ASIDE_MS		1000
#define SAGA_ASIDE_MAX_MS	60000

#define SAGA_FIRE_LIMIT		1000

/* A queue nothing is taken from is not ready; whatever ends that makes it ready again. */
static void
clear_ready(SagaDestination *destination)
{
	const SagaQueue *queue = saga_queue_by_id(destination->destination_id, true);

	if (queue != NULL)
		saga_queue_claim_nothing(queue);
}

static bool
is_quiet(SagaPublisher *publisher, int32 destination_id, TimestampTz now)
{
	const SagaWait *wait = saga_limiter_waiting(publisher->limiter, destination_id);

	return wait != NULL && wait->quiet_until > now;
}

static void
move_all(dlist_head *from, dlist_head *to)
{
	while (!dlist_is_empty(from))
		dlist_push_tail(to, dlist_pop_head_node(from));
}

/* All of them, or those above what a slow start allows. */
static void
give_places(SagaCandidate *candidate, int above)
{
	ListCell   *lc;

	foreach(lc, candidate->places)
	{
		if (lfirst_int(lc) <= above)
			continue;
		saga_place_give(candidate->group, lfirst_int(lc));
		candidate->places = foreach_delete_current(candidate->places, lc);
		candidate->no_place = true;
	}
}

/* The change is there already, and the cache will know of it in a moment. */
static void
wait_for_settings(SagaPublisher *publisher, SagaCandidate *candidate)
{
	TimestampTz at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SAGA_SETTINGS_MS);
	SagaWait   *wait;

	wait = saga_limiter_wait(publisher->limiter, candidate->destination, candidate->group, at, at);
	wait->cleared = candidate->cleared;
	wait->brief = true;
}

static void
wait_for_place(SagaPublisher *publisher, SagaCandidate *candidate)
{
	bool		others;
	TimestampTz at = saga_place_look_at(candidate->group, GetCurrentTimestamp(), &others);
	SagaWait   *wait;

	if (saga_destination_is_outdated(candidate->destination))
	{
		wait_for_settings(publisher, candidate);
		return;
	}
	wait = saga_limiter_wait(publisher->limiter, candidate->destination, candidate->group, at, at);
	wait->cleared = candidate->cleared;
	wait->for_place = true;
	wait->brief = !others;
}

/* Until one of the owner's requests ends, or there is more to be shared. */
static void
wait_for_owner(SagaPublisher *publisher, SagaCandidate *candidate)
{
	TimestampTz at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SAGA_CROWDED_MS);
	SagaWait   *wait = saga_limiter_wait(publisher->limiter, candidate->destination, candidate->group, at, at);

	wait->cleared = candidate->cleared;
	wait->for_owner = true;
}

static void
wait_for_grant(SagaPublisher *publisher, SagaCandidate *candidate, TimestampTz until, bool brief)
{
	TimestampTz quiet = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SAGA_HELD_MS);
	SagaWait   *wait = saga_limiter_wait(publisher->limiter, candidate->destination, candidate->group, until, quiet);

	wait->cleared = candidate->cleared;
	wait->brief = brief;
}

/* The sendings that were claimed last get their places and their times. */
static int
equip_sendings(SagaPublisher *publisher, SagaCandidate *candidate, const SagaGrant *grant)
{
	dlist_iter	iter;
	int			n = 0;

	dlist_foreach(iter, &publisher->claiming)
	{
		SagaSending *sending = dlist_container(SagaSending, node, iter.cur);

		if (sending->plan.limit != NULL)
			continue;
		sending->plan.limit = candidate->group;
		saga_room_learn(&sending->plan);
		sending->plan.place = linitial_int(candidate->places);
		candidate->places = list_delete_first(candidate->places);
		sending->plan.probe = grant->probe;
		if (grant->first != 0)
		{
			sending->plan.start_at = grant->first + n * grant->step_us;
			sending->plan.start_by = sending->plan.start_at + grant->late_us;
		}
		n++;
	}
	return n;
}

/* No coordinator moves what has become due for CALL saga.publish(). */
static void
fire_timers(const SagaDestination *destination)
{
	const SagaQueue *queue = saga_queue_by_id(destination->destination_id, true);
	TimestampTz next;

	if (queue != NULL)
		(void) saga_timers_fire(queue, GetCurrentTimestamp(), SAGA_FIRE_LIMIT, &next);
}

/* Its next message is looked at so often, while it has no room: another one may be the next by now. */
#define SAGA_SHORT_MS	1000

static void
note_memory(SagaCandidate *candidate, const SagaRoom *room)
{
	SagaLimitGroup *group = candidate->group;

	candidate->no_memory = room->needs > 0;
	if (!candidate->no_memory && group->short_of != candidate->destination->destination_id)
		return;
	group->short_of = candidate->destination->destination_id;
	group->short_bytes = room->needs;
	group->short_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SAGA_SHORT_MS);
}

static int
claim_granted(SagaPublisher *publisher, SagaCandidate *candidate, SagaGrant *grant)
{
	SagaDestination *destination = candidate->destination;
	SagaRoom	room;
	SagaSettling settling;
	TimestampTz next;
	int			may_settle;
	int			rows;
	int			n;

	if (publisher->in_call)
		fire_timers(destination);
	saga_room_look(publisher, destination, &room);
	room.growth = candidate->group->growth;
	saga_settling_share(publisher, destination, candidate->group, &settling);
	may_settle = settling.n;
	rows = saga_outbox_claim_sendings(destination, grant->n, &settling, &room, publisher->lease, publisher->loop.context,
									  &publisher->claiming);
	note_memory(candidate, &room);
	if (settling.n < may_settle)
		saga_settling_used(candidate->group, settling.every_ms);
	/* ready again if something was found; else there is nothing */
	candidate->cleared = false;
	if (rows > 0)
		saga_secret_load(destination->secrets);
	saga_publisher_compose_claimed(publisher, destination->owner);
	n = equip_sendings(publisher, candidate, grant);
	next = saga_limit_use(candidate->group, grant, n, publisher->lease,
						  (int64) destination->timeout_ms + SAGA_PROBE_MS);
	if (n > 0 && (next != 0 || grant->probe))
		wait_for_grant(publisher, candidate, Max(next, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), 1)),
					   true);
	return rows;
}

/* False: nothing may be claimed. */
static bool
ask_row(SagaPublisher *publisher, SagaCandidate *candidate, SagaGrant *grant)
{
	SagaDestination *destination = candidate->destination;
	SagaLimitGroup *group = candidate->group;

	clear_ready(destination);
	candidate->cleared = true;
	saga_limit_ask(group, list_length(candidate->places), false, grant);
	if (grant->n == 0)
	{
		if (saga_destination_is_outdated(destination))
			wait_for_settings(publisher, candidate);
		else
			wait_for_grant(publisher, candidate, grant->until, grant->brief);
		return false;
	}
	/* only now it is known whether there is a slow start */
	give_places(candidate, saga_place_count(group, GetCurrentTimestamp()));
	grant->n = Min(grant->n, list_length(candidate->places));
	return true;
}

static int
claim_candidate(SagaPublisher *publisher, SagaCandidate *candidate)
{
	SagaDestination *destination = candidate->destination;
	SagaLimitGroup *group = candidate->group;
	SagaGrant	grant = {.n = list_length(candidate->places)};
	bool		resumed = false;
	bool		looked = false;
	int			rows = 0;

	group->last_served = destination->destination_id;
	/* cleared first: who resumes it after we looked makes it ready again */
	if (destination->paused)
	{
		clear_ready(destination);
		candidate->cleared = true;
		if (saga_destination_is_paused(destination->destination_id))
			return 0;
		resumed = true;
	}
	if (grant.n > 0 && (resumed || saga_limit_must_ask(group)) && !ask_row(publisher, candidate, &grant))
		return 0;
	looked = grant.n > 0;
	if (looked)
		rows = claim_granted(publisher, candidate, &grant);

	/*
	 * it is empty: whoever puts something in makes it ready, so it does not
	 * wait for more places
	 */
	if (looked && rows == 0 && !candidate->no_memory)
		return 0;
	if (candidate->no_place && saga_limiter_waiting(publisher->limiter, destination->destination_id) == NULL)
		wait_for_place(publisher, candidate);
	/* there may be more, and it is only here that there is no room */
	if ((candidate->places == NIL || candidate->no_memory) && !candidate->no_place && !saga_limit_must_ask(group) &&
		candidate->load.of_destination < destination->limits.concurrency)
	{
		saga_publisher_ask_for_help(publisher, destination->destination_id, candidate->cleared);
		candidate->cleared = false;
	}

	/*
	 * before it waits: a place that is given back wakes those that wait for
	 * their owner
	 */
	if (candidate->no_memory)
		give_places(candidate, 0);
	if (((candidate->crowded && rows == 0) || candidate->no_memory) &&
		saga_limiter_waiting(publisher->limiter, destination->destination_id) == NULL)
		wait_for_owner(publisher, candidate);
	return rows;
}

/* ---------- the claiming transaction ---------- */

/* Has this destination, of which there are requests in the list, as many as it may have? */
static bool
is_full(SagaPublisher *publisher, dlist_head *list, int32 destination_id)
{
	dlist_iter	iter;

	dlist_foreach(iter, list)
	{
		SagaDestination *destination = dlist_container(SagaSending, node, iter.cur)->exchange.destination;

		if (destination->destination_id == destination_id)
		{
			SagaLoad	load = saga_outbox_count_requests(publisher, destination);

			return !saga_outbox_has_room(publisher, destination, &load);
		}
	}
	return false;
}

/*
 * Is there something that we have room for?  A destination that has all its
 * requests in flight goes on when an answer comes.
 */
bool
saga_publisher_has_new_work(SagaPublisher *publisher)
{
	TimestampTz now = GetCurrentTimestamp();
	const SagaQueueKey *ready;
	int			nready;
	dlist_iter	iter;
	int			i;

	if (saga_publisher_count(publisher) >= saga_http_max(publisher->loop.http))
		return false;
	dlist_foreach(iter, &publisher->limiter->waits)
	{
		if (dlist_container(SagaWait, node, iter.cur)->look_at <= now)
			return true;
	}
	if (saga_queue_unlisted(SAGA_QUEUE_DESTINATION) != publisher->unlisted || publisher->looked_to != PG_INT32_MIN)
		return true;
	ready = saga_publisher_ready(publisher, &nready);
	for (i = 0; i < nready; i++)
	{
		int32		id = ready[i].queue_id;

		/* those that wait for a token or for their time take up room too */
		if (!is_quiet(publisher, id, now) && !is_full(publisher, &publisher->flying, id) &&
			!is_full(publisher, &publisher->ready, id))
			return true;
	}
	return false;
}

/* If it raises, the others are claimed from without it. */
static int
claim_from(SagaPublisher *publisher, SagaCandidate *candidate)
{
	int			rows;

	saga_cache_pin(candidate->destination);
	publisher->claiming_from = candidate->destination;
	rows = claim_candidate(publisher, candidate);
	candidate->group->claim_failures = 0;
	publisher->claiming_from = NULL;
	saga_cache_unpin(candidate->destination);
	return rows;
}

static void
put_culprit_aside(SagaPublisher *publisher)
{
	SagaDestination *destination = publisher->claiming_from;
	SagaLimitGroup *group = saga_limiter_group(publisher->limiter, destination);
	int64		ms = saga_backoff(SAGA_ASIDE_MS, group->claim_failures, SAGA_ASIDE_MAX_MS);
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);

	group->claim_failures++;
	(void) saga_limiter_wait(publisher->limiter, destination, group, until, until);
	ereport(LOG,
			(errmsg("destination %d is put aside for %d s", destination->destination_id, (int) (ms / 1000))));
	publisher->claiming_from = NULL;
	saga_cache_unpin(destination);
}

static int
claim_all(SagaPublisher *publisher, bool everywhere)
{
	List	   *candidates = saga_publisher_choose(publisher, everywhere);
	ListCell   *lc;
	int			taken = 0;

	saga_share_places(publisher, candidates);
	/* by id, as ordering locks are taken */
	foreach(lc, candidates)
	{
		SagaCandidate *candidate = lfirst(lc);
		bool		had_place = candidate->places != NIL;
		TimestampTz begun_at = GetCurrentTimestamp();
		int			rows;

		if (!saga_publisher_may_claim(publisher, candidate))
		{
			saga_publisher_put_off(publisher, candidate);
			give_places(candidate, 0);
			continue;
		}
		rows = claim_from(publisher, candidate);
		saga_publisher_claimed(publisher, candidate, begun_at);
		taken += rows;

		/*
		 * said to be ready, and found empty: then those behind it have their
		 * turn
		 */
		if (had_place && rows == 0 && candidate->ready && !candidate->no_memory)
			publisher->look_again = true;
		give_places(candidate, 0);
	}
	return taken;
}

/* After a look at all there is. */
static void
forget_groups(SagaPublisher *publisher)
{
	dlist_head *lists[] = {&publisher->ready, &publisher->flying, &publisher->done};
	int			i;

	for (i = 0; i < lengthof(lists); i++)
	{
		dlist_iter	iter;

		dlist_foreach(iter, lists[i])
		{
			SagaSending *sending = dlist_container(SagaSending, node, iter.cur);

			if (sending->plan.limit != NULL)
				sending->plan.limit->used = true;
		}
	}
	saga_limiter_forget_groups(publisher->limiter);
}

bool
saga_publisher_claim(SagaPublisher *publisher)
{
	uint32		unlisted = saga_queue_unlisted(SAGA_QUEUE_DESTINATION);
	bool		begun = publisher->looked_to != PG_INT32_MIN;
	bool		everywhere = begun || publisher->look_everywhere || unlisted != publisher->unlisted;
	int			taken;

	if (!everywhere && !saga_publisher_has_new_work(publisher) && !saga_publisher_has_unsettled(publisher))
		return false;
	saga_publisher_begin(publisher);
	publisher->claim_open = true;
	saga_takeover_look();
	if (!publisher->lease_held)
	{
		publisher->lease = saga_lease_take();
		publisher->lease_held = true;
	}
	publisher->look_again = false;
	publisher->compose_budgets = NIL;
	if (everywhere && !begun)
	{
		publisher->unlisted_before = unlisted;
		publisher->found_unlisted = false;
		(void) saga_lease_release_dead(publisher->lease);
	}
	saga_publisher_settle(publisher);
	taken = claim_all(publisher, everywhere);
	/* durable before the first byte leaves, whatever synchronous_commit says */
	if (taken > 0)
		ForceSyncCommit();
	saga_publisher_commit(publisher);
	publisher->claim_open = false;
	move_all(&publisher->claiming, &publisher->ready);
	saga_sendings_free(&publisher->returned);
	if (everywhere)
		publisher->looked_to = publisher->looking_to;
	/* the rest of the table comes in the next round */
	if (publisher->looked_to != PG_INT32_MIN)
		return true;
	/* a session that nobody wakes looks until it finds nothing */
	publisher->look_everywhere = publisher->in_call && (taken > 0 || publisher->look_again);
	/* what came since it began is looked for again */
	if (everywhere)
	{
		publisher->unlisted = publisher->unlisted_before;
		forget_groups(publisher);
	}

	/*
	 * nothing tells when there is room again for what has no slot in shared
	 * memory; when there is such, "unlisted" does
	 */
	if (everywhere || unlisted == 0)
		publisher->look_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), publisher->found_unlisted ?
														 SAGA_UNLISTED_LOOK_MS : SAGA_LOOK_INTERVAL_MS);
	return taken > 0 || publisher->look_again;
}

static bool
place_is_used(SagaPublisher *publisher, const SagaLimitGroup *group, int place)
{
	dlist_head *lists[] = {&publisher->ready, &publisher->flying};
	int			i;

	for (i = 0; i < lengthof(lists); i++)
	{
		dlist_iter	iter;

		dlist_foreach(iter, lists[i])
		{
			SagaSending *sending = dlist_container(SagaSending, node, iter.cur);

			if (sending->plan.limit == group && sending->plan.place == place)
				return true;
		}
	}
	return false;
}

void
saga_publisher_undo_claim(SagaPublisher *publisher)
{
	ListCell   *lc;
	int			place;

	saga_sendings_free(&publisher->claiming);
	move_all(&publisher->returned, &publisher->ready);
	foreach(lc, publisher->limiter->groups)
	{
		SagaLimitGroup *group = lfirst(lc);

		for (place = 1; place <= SAGA_MAX_PLACES; place++)
		{
			if (group->mine[place] && !place_is_used(publisher, group, place))
				saga_place_give(group, place);
		}
	}
	if (publisher->claiming_from != NULL)
		put_culprit_aside(publisher);
	/* what it took note of is lost */
	publisher->look_everywhere = true;
	publisher->looked_to = PG_INT32_MIN;
	publisher->claim_open = false;
}

TimestampTz
saga_publisher_next_work(SagaPublisher *publisher)
{
	TimestampTz next = Min(saga_limiter_report_at(publisher->limiter), saga_publisher_next_start(publisher));
	int			nready;
	const SagaQueueKey *ready = saga_publisher_ready(publisher, &nready);
	dlist_iter	iter;
	int			i;

	if (publisher->leaving)
		return saga_limiter_report_at(publisher->limiter);
	if (saga_http_max(publisher->loop.http) <= saga_publisher_count(publisher))
		return next;
	if (saga_queue_unlisted(SAGA_QUEUE_DESTINATION) != 0 && !publisher->in_call)
		next = Min(next, publisher->look_at);
	dlist_foreach(iter, &publisher->limiter->waits)
		next = Min(next, dlist_container(SagaWait, node, iter.cur)->look_at);
	for (i = 0; i < nready; i++)
	{
		const SagaWait *wait = saga_limiter_waiting(publisher->limiter, ready[i].queue_id);

		if (wait != NULL)
			next = Min(next, wait->quiet_until);
	}
	return next;
}
