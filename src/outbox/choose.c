/*
 * choose.c
 *		From which destinations a publisher takes messages in a round.
 *
 * An owner may have any number of them, all said to be ready, with settings
 * that take their time to be read; and each change of one empties the cache
 * of all.  So an owner has a number of destinations and a short time in each
 * round, and owners begin one after the other.  Nothing is lost of what is
 * left: a queue that is ready stays so, one that waited goes on waiting, and
 * one that was found in the table waits from then on.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "outbox/publisher_private.h"
#include "utils/acl.h"
#include "utils/inval.h"
#include "utils/timestamp.h"

/* An owner's destinations in one round, and the time to load them; then the time to claim from them. */
#define SAGA_OWNER_DESTINATIONS	64
#define SAGA_OWNER_LOAD_MS		10
#define SAGA_OWNER_CLAIM_MS		20

/* Of those that have no room, so many are asked each time whether they are still his. */
#define SAGA_OWNER_CHECKS		16

/* No other owner has his turn in the same round after so much loading. */
#define SAGA_LOAD_MS			100

/* Of a look into the table; the next one goes on from there. */
#define SAGA_LOOK_ROWS			2000

/* Its settings cannot be read. */
#define SAGA_UNREADABLE_MS		10000

/* Where there may be something to claim. */
typedef struct Prospect
{
	int32		destination_id;
	Oid			owner;
	bool		ready;			/* its queue is said to be */
	bool		kept;			/* ready, or it waits: it is found again */
} Prospect;

typedef struct Choice
{
	SagaPublisher *publisher;
	TimestampTz now;
	Prospect   *prospects;		/* by owner and id */
	int			n;
	int			max;
	List	   *candidates;
} Choice;

/* What an owner has had. */
struct SagaOwnerTurn
{
	Oid			owner;			/* the key */
	int32		after;			/* the destinations behind this one are next; 0: the first */
	bool		left;			/* some had no turn in this round */
	bool		served;			/* one was claimed from in this round */
	int64		claim_us;		/* left of his time for that */
};

static SagaOwnerTurn *
turn_of(SagaPublisher *publisher, Oid owner)
{
	HASHCTL		ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(SagaOwnerTurn), .hcxt = publisher->loop.context};
	SagaOwnerTurn *turn;
	bool		found;

	if (publisher->owner_turns == NULL)
		publisher->owner_turns = hash_create("pg_saga owners", 32, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	turn = hash_search(publisher->owner_turns, &owner, HASH_ENTER, &found);
	if (!found)
		turn->after = 0;
	return turn;
}

/* ---------- what there is ---------- */

static void
add_prospect(Choice *choice, int32 destination_id, Oid owner, bool ready, bool kept)
{
	Prospect   *prospect;

	if (choice->n == choice->max)
	{
		choice->max = Max(choice->max * 2, 64);
		choice->prospects = choice->prospects == NULL ? palloc(choice->max * sizeof(Prospect)) :
			repalloc_huge(choice->prospects, choice->max * sizeof(Prospect));
	}
	prospect = &choice->prospects[choice->n++];
	prospect->destination_id = destination_id;
	prospect->owner = owner;
	prospect->ready = ready;
	prospect->kept = kept;
}

static void
add_ready(Choice *choice)
{
	int			n;
	const SagaQueueKey *ready = saga_publisher_ready(choice->publisher, &n);
	int			i;

	for (i = 0; i < n; i++)
	{
		const SagaWait *wait = saga_limiter_waiting(choice->publisher->limiter, ready[i].queue_id);

		if (wait == NULL || wait->quiet_until <= choice->now)
			add_prospect(choice, ready[i].queue_id, ready[i].owner, true, true);
	}
}

static void
add_waiting(Choice *choice)
{
	dlist_iter	iter;

	dlist_foreach(iter, &choice->publisher->limiter->waits)
	{
		const SagaWait *wait = dlist_container(SagaWait, node, iter.cur);

		if (wait->look_at <= choice->now)
			add_prospect(choice, wait->destination_id, wait->owner, false, true);
	}
}

/* In a session all that are the user's. */
static void
add_from_table(Choice *choice)
{
	SagaPublisher *publisher = choice->publisher;
	SagaDestinationLook look = {.after = publisher->looked_to, .limit = SAGA_LOOK_ROWS};
	int			i;

	if (publisher->in_call)
	{
		look.user = GetUserId();
		look.due = true;
		look.limit = PG_INT32_MAX;
	}
	saga_outbox_destination_look(&look);
	for (i = 0; i < look.n; i++)
	{
		const SagaWait *wait = saga_limiter_waiting(publisher->limiter, look.ids[i]);

		if (!publisher->found_unlisted && !publisher->in_call)
			publisher->found_unlisted = !saga_queue_is_listed(look.ids[i]);
		/* what waits is looked at in its time */
		if (wait == NULL || wait->quiet_until <= choice->now)
			add_prospect(choice, look.ids[i], look.owners[i], false, wait != NULL);
	}
	publisher->looking_to = look.more ? look.last : PG_INT32_MIN;
}

static int
compare_prospects(const void *a, const void *b)
{
	const Prospect *x = a;
	const Prospect *y = b;

	if (x->owner != y->owner)
		return x->owner < y->owner ? -1 : 1;
	return (x->destination_id > y->destination_id) - (x->destination_id < y->destination_id);
}

/* By owner and id, each once. */
static void
sort_prospects(Choice *choice)
{
	int			n = 0;
	int			i;

	if (choice->n > 1)
		qsort(choice->prospects, choice->n, sizeof(Prospect), compare_prospects);
	for (i = 0; i < choice->n; i++)
	{
		Prospect   *prospect = &choice->prospects[i];

		if (n == 0 || compare_prospects(&choice->prospects[n - 1], prospect) != 0)
		{
			choice->prospects[n++] = *prospect;
			continue;
		}
		choice->prospects[n - 1].ready |= prospect->ready;
		choice->prospects[n - 1].kept |= prospect->kept;
	}
	choice->n = n;
}

/* ---------- candidates ---------- */

static SagaCandidate *
find_candidate(List *candidates, const SagaLimitGroup *group)
{
	ListCell   *lc;

	foreach(lc, candidates)
	{
		if (((SagaCandidate *) lfirst(lc))->group == group)
			return lfirst(lc);
	}
	return NULL;
}

/* One of each group: what it is granted is written once.  The others come next. */
static void
add_candidate(Choice *choice, SagaDestination *destination, bool ready, bool cleared)
{
	SagaLimiter *limiter = choice->publisher->limiter;
	SagaLimitGroup *group = saga_limiter_group(limiter, destination);
	SagaCandidate *candidate = find_candidate(choice->candidates, group);
	SagaDestination *other = destination;
	bool		other_cleared = cleared;

	if (candidate == NULL)
	{
		candidate = palloc0(sizeof(SagaCandidate));
		candidate->group = group;
		candidate->destination = destination;
		candidate->ready = ready;
		candidate->cleared = cleared;
		choice->candidates = lappend(choice->candidates, candidate);
		return;
	}
	if (candidate->destination->destination_id <= group->last_served &&
		destination->destination_id > group->last_served)
	{
		other = candidate->destination;
		other_cleared = candidate->cleared;
		candidate->destination = destination;
		candidate->ready = ready;
		candidate->cleared = cleared;
	}
	saga_limiter_wait(limiter, other, group, choice->now, choice->now)->cleared = other_cleared;
}

static void
look_later(Choice *choice, const Prospect *prospect, int ms)
{
	TimestampTz at = TimestampTzPlusMilliseconds(choice->now, ms);

	(void) saga_limiter_put_off(choice->publisher->limiter, prospect->destination_id, prospect->owner, at, at);
}

/* Loads it. */
static void
choose(Choice *choice, const Prospect *prospect)
{
	SagaPublisher *publisher = choice->publisher;
	const SagaQueue *queue = saga_queue_of_ready(prospect->destination_id);
	const SagaWait *wait = saga_limiter_waiting(publisher->limiter, prospect->destination_id);
	bool		cleared = wait != NULL && wait->cleared && !prospect->ready;
	SagaDestination *destination;

	if (wait != NULL && wait->look_at <= choice->now)
		saga_limiter_forget(publisher->limiter, prospect->destination_id);
	if (queue == NULL || queue->kind != SAGA_QUEUE_DESTINATION)
		return;
	if (publisher->in_call && !has_privs_of_role(GetUserId(), queue->owner))
		return;
	destination = saga_destination_by_id(prospect->destination_id);
	if (destination == NULL)
	{
		/* a restore has not come to it: as with a queue that is not seen yet */
		saga_queue_clear_ready(prospect->destination_id);
		destination = saga_destination_by_id(prospect->destination_id);
	}
	if (destination != NULL)
		add_candidate(choice, destination, prospect->ready, cleared);
	else
		look_later(choice, prospect, SAGA_UNREADABLE_MS);
}

/* It has no turn in this round. */
static void
leave(Choice *choice, const Prospect *prospect)
{
	if (!prospect->kept)
		(void) saga_limiter_put_off(choice->publisher->limiter, prospect->destination_id, prospect->owner,
									choice->now, choice->now);
}

/* The slot was made by who did not know yet that it had been given away: it would wait with those of its former owner. */
static bool
is_anothers(Choice *choice, const Prospect *prospect)
{
	const SagaQueue *queue = saga_queue_by_id(prospect->destination_id, true);

	if (queue == NULL || queue->owner == prospect->owner)
		return false;
	/* whoever gives it away has the lock until the caches know */
	if (!saga_queue_try_lock(prospect->destination_id))
		return false;
	queue = saga_queue_by_id(prospect->destination_id, true);
	if (queue == NULL || queue->owner == prospect->owner)
		return false;
	saga_queue_slot_correct(queue);
	saga_limiter_forget(choice->publisher->limiter, prospect->destination_id);
	saga_wake_next(queue);
	return true;
}

/*
 * Their owner has no room here: they are not even loaded, as he may have any
 * number of them, and they are looked at again and again while his requests
 * hang.  Those that only this publisher knows of are told to the others once.
 */
static void
leave_crowded(Choice *choice, const Prospect *prospects, uint32 n)
{
	TimestampTz at = TimestampTzPlusMilliseconds(choice->now, SAGA_CROWDED_MS);
	SagaPublisher *publisher = choice->publisher;
	uint32		i;

	for (i = 0; i < n; i++)
	{
		const Prospect *prospect = &prospects[i];
		SagaWait   *wait = saga_limiter_waiting(publisher->limiter, prospect->destination_id);
		bool		cleared = wait != NULL && wait->cleared && !prospect->ready;

		if ((i + n - publisher->checked % n) % n < SAGA_OWNER_CHECKS && is_anothers(choice, prospect))
			continue;
		if (i == 0 || cleared)
			saga_publisher_ask_for_help(publisher, prospect->destination_id, cleared);
		saga_limiter_put_off(publisher->limiter, prospect->destination_id, prospect->owner, at, at)->for_owner = true;
	}
	publisher->checked += SAGA_OWNER_CHECKS;
}

/* Of one owner, whose prospects these are. */
static void
choose_of_owner(Choice *choice, const Prospect *prospects, int n, bool has_turn)
{
	SagaOwnerTurn *turn = turn_of(choice->publisher, prospects[0].owner);
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SAGA_OWNER_LOAD_MS);
	int			first = 0;
	int			chosen = 0;
	int			i;

	while (first < n && prospects[first].destination_id <= turn->after)
		first++;
	if (first == n)
		first = 0;
	for (i = 0; i < n; i++)
	{
		bool		may = choice->publisher->in_call ||
		(has_turn && i >= first && chosen < SAGA_OWNER_DESTINATIONS &&
		 (chosen == 0 || GetCurrentTimestamp() < until));

		if (!may)
		{
			leave(choice, &prospects[i]);
			continue;
		}
		choose(choice, &prospects[i]);
		if (has_turn)
			turn->after = prospects[i].destination_id;
		chosen++;
		CHECK_FOR_INTERRUPTS();
	}
	turn->left = chosen < n;
	turn->served = false;
	turn->claim_us = SAGA_OWNER_CLAIM_MS * INT64CONST(1000);
	if (!turn->left)
		turn->after = 0;
}

static int
end_of_owner(const Choice *choice, int begin)
{
	int			end = begin;

	while (end < choice->n && choice->prospects[end].owner == choice->prospects[begin].owner)
		end++;
	return end;
}

/* Those of the owners behind the one who was last, or those of the others. */
static void
choose_of_owners(Choice *choice, Oid last, bool behind)
{
	TimestampTz until = TimestampTzPlusMilliseconds(choice->now, SAGA_LOAD_MS);
	int			begin;
	int			end;

	for (begin = 0; begin < choice->n; begin = end)
	{
		Oid			owner = choice->prospects[begin].owner;
		bool		has_turn = choice->candidates == NIL || GetCurrentTimestamp() < until;

		end = end_of_owner(choice, begin);
		if ((owner > last) != behind)
			continue;
		if (!choice->publisher->in_call && !saga_outbox_owner_has_room(choice->publisher, owner))
		{
			leave_crowded(choice, &choice->prospects[begin], end - begin);
			continue;
		}
		choose_of_owner(choice, &choice->prospects[begin], end - begin, has_turn);
		if (has_turn)
			choice->publisher->last_chosen = owner;
	}
}

static int
compare_candidates(const ListCell *a, const ListCell *b)
{
	const SagaCandidate *x = lfirst(a);
	const SagaCandidate *y = lfirst(b);

	return (x->destination->destination_id > y->destination->destination_id) -
		(x->destination->destination_id < y->destination->destination_id);
}

List *
saga_publisher_choose(SagaPublisher *publisher, bool everywhere)
{
	Choice		choice = {.publisher = publisher, .now = GetCurrentTimestamp()};
	Oid			last = publisher->last_chosen;

	if (everywhere)
		add_from_table(&choice);
	add_ready(&choice);
	/* what made them ready was sent to the caches before */
	AcceptInvalidationMessages();
	add_waiting(&choice);
	sort_prospects(&choice);
	choose_of_owners(&choice, last, true);
	choose_of_owners(&choice, last, false);
	/* as ordering locks are taken */
	list_sort(choice.candidates, compare_candidates);
	return choice.candidates;
}

/* ---------- claiming ---------- */

bool
saga_publisher_may_claim(SagaPublisher *publisher, const SagaCandidate *candidate)
{
	const SagaOwnerTurn *turn = turn_of(publisher, candidate->destination->owner);

	return publisher->in_call || !turn->served || turn->claim_us > 0;
}

void
saga_publisher_claimed(SagaPublisher *publisher, const SagaCandidate *candidate, TimestampTz begun_at)
{
	SagaOwnerTurn *turn = turn_of(publisher, candidate->destination->owner);

	turn->served = true;
	turn->claim_us -= GetCurrentTimestamp() - begun_at;
}

/* Those behind it are next, and it is the first of them. */
void
saga_publisher_put_off(SagaPublisher *publisher, const SagaCandidate *candidate)
{
	SagaOwnerTurn *turn = turn_of(publisher, candidate->destination->owner);
	TimestampTz now = GetCurrentTimestamp();

	saga_limiter_wait(publisher->limiter, candidate->destination, candidate->group, now, now)->cleared =
		candidate->cleared;
	if (!turn->left || candidate->destination->destination_id <= turn->after)
		turn->after = candidate->destination->destination_id - 1;
	turn->left = true;
}
