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
#include "miscadmin.h"
#include "net/secret.h"
#include "outbox/publisher_private.h"
#include "utils/acl.h"
#include "utils/timestamp.h"

/*
 * One destination has at most so many times the requests that are still free:
 * two thirds of all when it is alone, and however many of them hang, there
 * are some left for one that comes new.
 */
#define SAGA_SHARE		2

/* A destination that is held is not looked at more often, whatever is sent to it. */
#define SAGA_HELD_MS	100

/* Its settings are not what the cache says. */
#define SAGA_SETTINGS_MS 10

/* A probe has its request's time, and this, before another one is made. */
#define SAGA_PROBE_MS	10000

/* The coordinator is asked for another publisher this often. */
#define SAGA_HELP_MS	1000

/* Now and then all queues are looked at, and the leases of dead publishers. */
#define SAGA_LOOK_INTERVAL_MS 60000

#define SAGA_FIRE_LIMIT		1000
#define SAGA_READY_MAX		256

static bool
is_mine(const SagaPublisher *publisher, const SagaDestination *destination)
{
	return !publisher->in_call || has_privs_of_role(GetUserId(), destination->owner);
}

/* Requests that have not ended, of one destination or (0) all. */
static int
count_requests(const SagaPublisher *publisher, int32 destination_id)
{
	const dlist_head *lists[] = {&publisher->claiming, &publisher->ready, &publisher->flying};
	int			n = 0;
	int			i;

	for (i = 0; i < lengthof(lists); i++)
	{
		dlist_iter	iter;

		dlist_foreach(iter, unconstify(dlist_head *, lists[i]))
		{
			if (destination_id == 0 ||
				dlist_container(SagaSending, node, iter.cur)->destination->destination_id == destination_id)
				n++;
		}
	}
	return n;
}

int
saga_publisher_count(const SagaPublisher *publisher)
{
	return count_requests(publisher, 0);
}

static bool
has_room(const SagaDestination *destination, int mine, int left)
{
	return mine < destination->limits.concurrency && mine < SAGA_SHARE * left;
}

/* A queue nothing is taken from is not ready; whatever ends that makes it ready again. */
static void
clear_ready(SagaDestination *destination)
{
	const SagaQueue *queue = saga_queue_by_id(destination->destination_id, true);
	SagaClaim	claim;

	if (queue == NULL)
		return;
	saga_claim_begin(&claim, queue);
	saga_claim_end(&claim, NULL);
}

static int
get_ready(int32 *ready)
{
	return saga_ready_queues(InvalidOid, SAGA_QUEUE_DESTINATION, ready, SAGA_READY_MAX);
}

static bool
is_ready(int32 destination_id, const int32 *ready, int nready)
{
	int			i;

	for (i = 0; i < nready; i++)
	{
		if (ready[i] == destination_id)
			return true;
	}
	return false;
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

/* A destination that messages are taken from in this transaction. */
typedef struct Candidate
{
	SagaDestination *destination;
	SagaLimitGroup *group;
	int			mine;			/* requests before */
	List	   *places;			/* for so many more */
	bool		satisfied;		/* gets no more of them */
	bool		no_place;		/* ... as the group has none */
} Candidate;

static Candidate *
find_candidate(List *candidates, const SagaLimitGroup *group)
{
	ListCell   *lc;

	foreach(lc, candidates)
	{
		if (((Candidate *) lfirst(lc))->group == group)
			return lfirst(lc);
	}
	return NULL;
}

/* One of each group: what it is granted is written once.  The others come next. */
static List *
add_candidate(SagaPublisher *publisher, List *candidates, SagaDestination *destination, TimestampTz now)
{
	SagaLimitGroup *group = saga_limiter_group(publisher->limiter, destination);
	Candidate  *candidate = find_candidate(candidates, group);
	SagaDestination *other = destination;

	if (candidate == NULL)
	{
		candidate = palloc0(sizeof(Candidate));
		candidate->group = group;
		candidate->destination = destination;
		return lappend(candidates, candidate);
	}
	if (candidate->destination->destination_id <= group->last_served &&
		destination->destination_id > group->last_served)
	{
		other = candidate->destination;
		candidate->destination = destination;
	}
	saga_limiter_wait(publisher->limiter, other, group, now, now);
	return candidates;
}

static List *
choose_candidates(SagaPublisher *publisher, bool everywhere, const int32 *ready, int nready)
{
	TimestampTz now = GetCurrentTimestamp();
	List	   *due = saga_limiter_take_due(publisher->limiter, now);
	List	   *candidates = NIL;
	ListCell   *lc;

	foreach(lc, saga_destination_list())
	{
		SagaDestination *destination = lfirst(lc);
		int32		id = destination->destination_id;

		if (!is_mine(publisher, destination))
			continue;
		if (list_member_int(due, id) ||
			((everywhere || is_ready(id, ready, nready)) && !is_quiet(publisher, id, now)))
			candidates = add_candidate(publisher, candidates, destination, now);
	}
	return candidates;
}

/* One after the other, beginning behind the one that was served last. */
static void
share_places(SagaPublisher *publisher, List *candidates)
{
	TimestampTz now = GetCurrentTimestamp();
	int			left = saga_http_max(publisher->http) - count_requests(publisher, 0);
	int			n = list_length(candidates);
	int			first = 0;
	bool		any = true;
	ListCell   *lc;
	int			i;

	foreach(lc, candidates)
	{
		Candidate  *candidate = lfirst(lc);

		candidate->mine = count_requests(publisher, candidate->destination->destination_id);
		if (candidate->destination->destination_id <= publisher->last_served)
			first++;
	}
	while (any && left > 0)
	{
		any = false;
		for (i = 0; i < n && left > 0; i++)
		{
			Candidate  *candidate = list_nth(candidates, (first + i) % n);
			int			place;

			if (candidate->satisfied ||
				!has_room(candidate->destination, candidate->mine + list_length(candidate->places), left))
				continue;
			place = saga_place_take(candidate->group, now);
			if (place == 0)
			{
				candidate->satisfied = candidate->no_place = true;
				continue;
			}
			candidate->places = lappend_int(candidate->places, place);
			publisher->last_served = candidate->destination->destination_id;
			left--;
			any = true;
		}
	}
}

/* All of them, or those above what a slow start allows. */
static void
give_places(Candidate *candidate, int above)
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

/* Whoever changed the settings woke us before the cache knows of it. */
static void
wait_for_settings(SagaPublisher *publisher, Candidate *candidate)
{
	TimestampTz at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SAGA_SETTINGS_MS);

	saga_limiter_wait(publisher->limiter, candidate->destination, candidate->group, at, at)->brief = true;
}

static void
wait_for_place(SagaPublisher *publisher, Candidate *candidate)
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
	wait->for_place = true;
	wait->brief = !others;
}

static void
wait_for_grant(SagaPublisher *publisher, Candidate *candidate, TimestampTz until, bool brief)
{
	TimestampTz quiet = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SAGA_HELD_MS);

	saga_limiter_wait(publisher->limiter, candidate->destination, candidate->group, until,
					  quiet)->brief = brief;
}

/* The sendings that were claimed last get their places and their times. */
static int
equip_sendings(SagaPublisher *publisher, Candidate *candidate, const SagaGrant *grant)
{
	dlist_iter	iter;
	int			n = 0;

	dlist_foreach(iter, &publisher->claiming)
	{
		SagaSending *sending = dlist_container(SagaSending, node, iter.cur);

		if (sending->limit != NULL)
			continue;
		sending->limit = candidate->group;
		sending->place = linitial_int(candidate->places);
		candidate->places = list_delete_first(candidate->places);
		sending->probe = grant->probe;
		if (grant->first != 0)
		{
			sending->start_at = grant->first + n * grant->step_us;
			sending->start_by = sending->start_at + grant->late_us;
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

static int
claim_granted(SagaPublisher *publisher, Candidate *candidate, SagaGrant *grant)
{
	SagaDestination *destination = candidate->destination;
	TimestampTz next;
	int			rows;
	int			n;

	if (publisher->in_call)
		fire_timers(destination);
	rows = saga_claim_sendings(destination, grant->n, publisher->lease, publisher->context,
							   &publisher->claiming);
	if (rows > 0)
		saga_secret_load(destination->secrets);
	n = equip_sendings(publisher, candidate, grant);
	next = saga_limit_use(candidate->group, grant, n, publisher->lease,
						  (int64) destination->timeout_ms + SAGA_PROBE_MS);
	if (n > 0 && (next != 0 || grant->probe))
		wait_for_grant(publisher, candidate, Max(next, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), 1)),
					   true);
	return rows;
}

/* Another publisher that sleeps, or one that is not there yet. */
static void
ask_for_help(SagaPublisher *publisher, const SagaDestination *destination)
{
	TimestampTz now = GetCurrentTimestamp();
	const SagaQueue *queue = saga_queue_by_id(destination->destination_id, true);

	if (queue != NULL)
		saga_wake_next(queue);
	if (saga_shared == NULL || publisher->help_at > now)
		return;
	publisher->help_at = TimestampTzPlusMilliseconds(now, SAGA_HELP_MS);
	saga_wake_type(SAGA_PROC_COORDINATOR, MyDatabaseId);
}

/* False: nothing may be claimed. */
static bool
ask_row(SagaPublisher *publisher, Candidate *candidate, SagaGrant *grant)
{
	SagaDestination *destination = candidate->destination;
	SagaLimitGroup *group = candidate->group;

	clear_ready(destination);
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
claim_candidate(SagaPublisher *publisher, Candidate *candidate)
{
	SagaDestination *destination = candidate->destination;
	SagaLimitGroup *group = candidate->group;
	SagaGrant	grant = {.n = list_length(candidate->places)};
	bool		resumed = false;
	int			rows = 0;

	group->last_served = destination->destination_id;
	/* cleared first: who resumes it after we looked makes it ready again */
	if (destination->paused)
	{
		clear_ready(destination);
		if (saga_destination_is_paused(destination->destination_id))
			return 0;
		resumed = true;
	}
	if (grant.n > 0 && (resumed || saga_limit_must_ask(group)) && !ask_row(publisher, candidate, &grant))
		return 0;
	if (grant.n > 0)
		rows = claim_granted(publisher, candidate, &grant);
	if (candidate->no_place && saga_limiter_waiting(publisher->limiter, destination->destination_id) == NULL)
		wait_for_place(publisher, candidate);
	/* there may be more, and it is only here that there is no room */
	if (candidate->places == NIL && !candidate->no_place && !saga_limit_must_ask(group) &&
		candidate->mine + grant.n < destination->limits.concurrency)
		ask_for_help(publisher, destination);
	return rows;
}

/* ---------- the claiming transaction ---------- */

/* Has this destination, of which there are requests in the list, as many as it may have? */
static bool
is_full(SagaPublisher *publisher, dlist_head *list, int32 destination_id, int left)
{
	dlist_iter	iter;

	dlist_foreach(iter, list)
	{
		SagaDestination *destination = dlist_container(SagaSending, node, iter.cur)->destination;

		if (destination->destination_id == destination_id)
			return !has_room(destination, count_requests(publisher, destination_id), left);
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
	int			left = saga_http_max(publisher->http) - count_requests(publisher, 0);
	int32		ready[SAGA_READY_MAX];
	int			nready;
	ListCell   *lc;
	int			i;

	if (left <= 0)
		return false;
	foreach(lc, publisher->limiter->waits)
	{
		if (((SagaWait *) lfirst(lc))->look_at <= now)
			return true;
	}
	if (saga_unlisted(SAGA_QUEUE_DESTINATION) != publisher->unlisted)
		return true;
	nready = saga_shared != NULL ? get_ready(ready) : 0;
	for (i = 0; i < nready; i++)
	{
		/* those that wait for a token or for their time take up room too */
		if (!is_quiet(publisher, ready[i], now) && !is_full(publisher, &publisher->flying, ready[i], left) &&
			!is_full(publisher, &publisher->ready, ready[i], left))
			return true;
	}
	return false;
}

static int
claim_all(SagaPublisher *publisher, bool everywhere)
{
	int32		ready[SAGA_READY_MAX];
	int			nready = saga_shared != NULL ? get_ready(ready) : 0;
	List	   *candidates;
	ListCell   *lc;
	int			taken = 0;

	candidates = choose_candidates(publisher, everywhere || nready == SAGA_READY_MAX, ready, nready);
	share_places(publisher, candidates);
	/* by id, as ordering locks are taken */
	foreach(lc, candidates)
	{
		Candidate  *candidate = lfirst(lc);

		taken += claim_candidate(publisher, candidate);
		give_places(candidate, 0);
	}
	return taken;
}

int
saga_publisher_claim(SagaPublisher *publisher)
{
	uint32		unlisted = saga_unlisted(SAGA_QUEUE_DESTINATION);
	bool		everywhere = publisher->look_everywhere || unlisted != publisher->unlisted;
	int			taken;

	if (!everywhere && !saga_publisher_has_new_work(publisher) && !saga_publisher_has_unsettled(publisher))
		return 0;
	saga_publisher_begin(publisher);
	publisher->claim_open = true;
	if (!publisher->lease_held)
	{
		saga_takeover_look();	/* first: if it raises, it is called again */
		publisher->lease = saga_lease_take();
		publisher->lease_held = true;
	}
	if (everywhere)
		(void) saga_lease_release_dead(publisher->lease);
	saga_publisher_settle(publisher);
	taken = claim_all(publisher, everywhere);
	/* durable before the first byte leaves, whatever synchronous_commit says */
	if (taken > 0)
		ForceSyncCommit();
	saga_publisher_commit(publisher);
	publisher->claim_open = false;
	move_all(&publisher->claiming, &publisher->ready);
	saga_sendings_free(&publisher->returned);
	/* a session that nobody wakes looks until it finds nothing */
	publisher->look_everywhere = publisher->in_call && taken > 0;
	if (everywhere)
		publisher->unlisted = unlisted;
	/* nothing tells when there is room again for what has no slot in shared memory */
	if (everywhere || unlisted == 0)
		publisher->look_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), unlisted != 0 ?
														 SAGA_UNLISTED_LOOK_MS : SAGA_LOOK_INTERVAL_MS);
	return taken;
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

			if (sending->limit == group && sending->place == place)
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
	/* what it took note of is lost */
	publisher->look_everywhere = true;
	publisher->claim_open = false;
}

TimestampTz
saga_publisher_next_work(SagaPublisher *publisher)
{
	TimestampTz next = Min(saga_limiter_report_at(publisher->limiter), saga_publisher_next_start(publisher));
	int32		ready[SAGA_READY_MAX];
	int			nready = saga_shared != NULL ? get_ready(ready) : 0;
	ListCell   *lc;

	if (saga_http_max(publisher->http) <= count_requests(publisher, 0))
		return next;
	if (saga_unlisted(SAGA_QUEUE_DESTINATION) != 0 && !publisher->in_call)
		next = Min(next, publisher->look_at);
	foreach(lc, publisher->limiter->waits)
	{
		const SagaWait *wait = lfirst(lc);

		next = Min(next, is_ready(wait->destination_id, ready, nready) ? wait->quiet_until : wait->look_at);
	}
	return next;
}
