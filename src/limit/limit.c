/*
 * limit.c
 *		Limits of destinations as one publisher sees them: the places its
 *		requests have, what it waits for, what it has to tell.
 *
 * A place is a session lock, one of as many as the group's concurrency: it
 * is given back by whatever ends its owner, and costs no write.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "limit/limit.h"
#include "miscadmin.h"
#include "queue/queue.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define SAGA_PLACE_LOCK 0x5349

/* Places of groups have their number here: 0x6001 and on. */
#define SAGA_GROUP_LOCK 0x6000

/* All places are somebody else's: look again after this. */
#define SAGA_PLACE_RETRY_MS 100

/* Successes alone are written so much later. */
#define SAGA_REPORT_MS	2000

#define SAGA_MAX_CAUSE	300

/* The limiters of this process, for its end. */
static List *limiters = NIL;
static bool exit_registered = false;

/* ---------- making and destroying ---------- */

/* Groups by their keys, which are texts of any length. */
typedef struct GroupEntry
{
	uint64		hash;
	SagaLimitGroup *first;
} GroupEntry;

/* Who waits for a time has taken the ready flag: it is given back for others. */
static void
hand_over(SagaLimiter *limiter)
{
	dlist_iter	iter;

	dlist_foreach(iter, &limiter->waits)
	{
		SagaWait   *wait = dlist_container(SagaWait, node, iter.cur);
		SagaQueueKey key = {MyDatabaseId, wait->destination_id, wait->owner, SAGA_QUEUE_DESTINATION};

		if (saga_shared != NULL)
			saga_queue_push_key(&key, NULL);
	}
}

/* A process that ends by itself leaves through here, whatever it was doing: others take over what it waited for. */
static void
hand_over_at_exit(int code, Datum arg)
{
	ListCell   *lc;

	foreach(lc, limiters)
		hand_over(lfirst(lc));
}

/* A publisher's own knowledge of limits.  It is destroyed with saga_limiter_destroy, and at the exit of the process handed over in any case. */
SagaLimiter *
saga_limiter_create(MemoryContext parent, saga_lease_is_dead_fn lease_is_dead)
{
	MemoryContext context = AllocSetContextCreate(parent, "saga limiter", ALLOCSET_SMALL_SIZES);
	SagaLimiter *limiter = MemoryContextAllocZero(context, sizeof(SagaLimiter));
	HASHCTL		groups = {.keysize = sizeof(uint64), .entrysize = sizeof(GroupEntry), .hcxt = context};
	HASHCTL		waits = {.keysize = sizeof(int32), .entrysize = sizeof(SagaWait), .hcxt = context};
	MemoryContext old;

	limiter->context = context;
	limiter->lease_is_dead = lease_is_dead;
	limiter->groups_by_key = hash_create("pg_saga limits", 64, &groups, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	limiter->waits_by_id = hash_create("pg_saga waiting destinations", 64, &waits, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	dlist_init(&limiter->waits);
	if (!exit_registered)
	{
		/*
		 * called before the process gives its slot back, which was registered
		 * earlier
		 */
		before_shmem_exit(hand_over_at_exit, (Datum) 0);
		exit_registered = true;
	}
	old = MemoryContextSwitchTo(TopMemoryContext);
	limiters = lappend(limiters, limiter);
	MemoryContextSwitchTo(old);
	return limiter;
}

/* A group that nothing is known of yet: it counts as held until its row was asked. */
static SagaLimitGroup *
make_group(SagaLimiter *limiter, const char *key)
{
	MemoryContext old = MemoryContextSwitchTo(limiter->context);
	SagaLimitGroup *group = palloc0(sizeof(SagaLimitGroup));

	group->limiter = limiter;
	group->key = pstrdup(key);
	group->held = true;			/* not known yet */
	limiter->groups = lappend(limiter->groups, group);
	MemoryContextSwitchTo(old);
	return group;
}

/* Groups are found by the hash of their key; those with the same hash are chained. */
static uint64
hash_of_key(const char *key)
{
	return DatumGetUInt64(hash_any_extended((const unsigned char *) key, strlen(key), 0));
}

/* The group of a destination, made when it is seen for the first time.  Owner and limits are those of the destination that was used last: members of a group are told to have the same. */
SagaLimitGroup *
saga_limiter_group(SagaLimiter *limiter, const SagaDestination *destination)
{
	const char *key = destination->limit_key;
	uint64		hash = hash_of_key(key);
	GroupEntry *entry = hash_search(limiter->groups_by_key, &hash, HASH_FIND, NULL);
	SagaLimitGroup *first = entry != NULL ? entry->first : NULL;
	SagaLimitGroup *group = first;

	while (group != NULL && strcmp(group->key, key) != 0)
		group = group->next;
	if (group == NULL)
	{
		bool		found;

		if (entry == NULL)
		{
			entry = hash_search(limiter->groups_by_key, &hash, HASH_ENTER, &found);
			entry->first = NULL;
		}
		group = make_group(limiter, key);
		group->destination_id = destination->limits.group == NULL ? destination->destination_id : 0;
		group->next = first;
		entry->first = group;
	}
	group->used = true;
	group->owner = destination->owner;
	group->limits = destination->limits;
	group->shared = group->limits.group != NULL;
	group->limits.group = NULL;
	return group;
}

/* What it knows can be read from its row again.  The caller makes sure that nothing points to it. */
static void
forget_group(SagaLimiter *limiter, SagaLimitGroup *group)
{
	uint64		hash = hash_of_key(group->key);
	GroupEntry *entry = hash_search(limiter->groups_by_key, &hash, HASH_FIND, NULL);
	SagaLimitGroup **link = &entry->first;

	while (*link != group)
		link = &(*link)->next;
	*link = group->next;
	if (entry->first == NULL)
		(void) hash_search(limiter->groups_by_key, &hash, HASH_REMOVE, NULL);
	pfree(group->key);
	pfree(group);
}

/* Whoever makes and drops destinations in a loop would have a publisher remember all of them. */
void
saga_limiter_forget_groups(SagaLimiter *limiter)
{
	dlist_iter	iter;
	ListCell   *lc;

	dlist_foreach(iter, &limiter->waits)
	{
		const SagaWait *wait = dlist_container(SagaWait, node, iter.cur);

		if (wait->group != NULL)
			wait->group->used = true;
	}
	foreach(lc, limiter->groups)
	{
		SagaLimitGroup *group = lfirst(lc);
		bool		keep = group->used || group->writing || group->news.since != 0 ||
		memchr(group->mine, true, sizeof(group->mine)) != NULL;

		group->used = false;
		if (keep)
			continue;
		limiter->groups = foreach_delete_current(limiter->groups, lc);
		forget_group(limiter, group);
	}
}

/* ---------- places ---------- */

/*
 * A destination's places have its id, a group's its owner: whatever name he
 * gives it, its places are no one else's.  Two of his own groups may have the
 * same hash; what they share then is his.
 */
static void
set_tag(LOCKTAG *tag, const SagaLimitGroup *group, int place)
{
	uint32		hash;

	if (group->destination_id != 0)
	{
		SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) group->destination_id, (uint32) place, SAGA_PLACE_LOCK);
		return;
	}
	hash = DatumGetUInt32(hash_any((const unsigned char *) group->key, strlen(group->key)));
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) group->owner, hash, SAGA_GROUP_LOCK + place);
}

/* When a slow start began; 0: there is none. */
static TimestampTz
slow_from(const SagaLimitGroup *group, TimestampTz now)
{
	TimestampTz from = group->slow_from;

	if (group->limits.slow_start_s == 0)
		return 0;
	/* it may be ahead, when the clock was set back */
	if (saga_shared != NULL && saga_shared->started_at <= now)
		from = Max(from, saga_shared->started_at);
	return from + group->limits.slow_start_s * USECS_PER_SEC > now ? from : 0;
}

/* From one up to all, evenly over the time of the slow start. */
int
saga_place_count(const SagaLimitGroup *group, TimestampTz now)
{
	int			all = Min(group->limits.concurrency, SAGA_MAX_PLACES);
	TimestampTz from = slow_from(group, now);

	if (from == 0)
		return all;
	return 1 + (int) ((all - 1) * Max(now - from, 0) / (group->limits.slow_start_s * USECS_PER_SEC));
}

int
saga_place_take(SagaLimitGroup *group, TimestampTz now)
{
	int			n = saga_place_count(group, now);
	int			place;

	for (place = 1; place <= n; place++)
	{
		LOCKTAG		tag;

		if (group->mine[place])
			continue;
		set_tag(&tag, group, place);
		if (LockAcquire(&tag, ExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
			continue;
		group->mine[place] = true;
		return place;
	}
	return 0;
}

void
saga_place_give(SagaLimitGroup *group, int place)
{
	dlist_iter	iter;
	LOCKTAG		tag;

	if (!group->mine[place])
		return;
	set_tag(&tag, group, place);
	(void) LockRelease(&tag, ExclusiveLock, true);
	group->mine[place] = false;
	dlist_foreach(iter, &group->limiter->waits)
	{
		SagaWait   *wait = dlist_container(SagaWait, node, iter.cur);

		if ((wait->group == group && wait->for_place) || (wait->owner == group->owner && wait->for_owner))
			wait->look_at = wait->quiet_until = 0;
	}
}

TimestampTz
saga_place_look_at(const SagaLimitGroup *group, TimestampTz now, bool *others)
{
	TimestampTz retry = TimestampTzPlusMilliseconds(now, SAGA_PLACE_RETRY_MS);
	TimestampTz from = slow_from(group, now);
	int			n = saga_place_count(group, now);
	int64		step;
	int			i;

	for (i = 1; i <= n && group->mine[i]; i++)
		;
	*others = i <= n;
	if (*others)
		return retry;
	if (from == 0 || group->limits.concurrency == 1)
		return DT_NOEND;		/* all are ours */
	step = group->limits.slow_start_s * USECS_PER_SEC / (Min(group->limits.concurrency, SAGA_MAX_PLACES) - 1);
	return from + step * n + 1000;
}

/* Gives back all places, and tells other publishers of what this one was waiting for. */
void
saga_limiter_destroy(SagaLimiter *limiter)
{
	ListCell   *lc;
	int			place;

	foreach(lc, limiter->groups)
	{
		for (place = 1; place <= SAGA_MAX_PLACES; place++)
			saga_place_give(lfirst(lc), place);
	}
	hand_over(limiter);
	limiters = list_delete_ptr(limiters, limiter);
	MemoryContextDelete(limiter->context);
}

/* ---------- waiting ---------- */

SagaWait *
saga_limiter_waiting(const SagaLimiter *limiter, int32 destination_id)
{
	return hash_search(limiter->waits_by_id, &destination_id, HASH_FIND, NULL);
}

SagaWait *
saga_limiter_put_off(SagaLimiter *limiter, int32 destination_id, Oid owner, TimestampTz look_at,
					 TimestampTz quiet_until)
{
	bool		found;
	SagaWait   *wait = hash_search(limiter->waits_by_id, &destination_id, HASH_ENTER, &found);

	if (!found)
		dlist_push_tail(&limiter->waits, &wait->node);
	wait->owner = owner;
	wait->group = NULL;
	wait->look_at = look_at;
	wait->quiet_until = Min(quiet_until, look_at);
	wait->for_place = wait->for_owner = wait->cleared = false;
	wait->brief = false;
	return wait;
}

/* Nothing is taken from the destination before look_at, and it is not even looked at before quiet_until. */
SagaWait *
saga_limiter_wait(SagaLimiter *limiter, const SagaDestination *destination, SagaLimitGroup *group,
				  TimestampTz look_at, TimestampTz quiet_until)
{
	SagaWait   *wait = saga_limiter_put_off(limiter, destination->destination_id, destination->owner,
											look_at, quiet_until);

	wait->group = group;
	return wait;
}

void
saga_limiter_forget(SagaLimiter *limiter, int32 destination_id)
{
	SagaWait   *wait = saga_limiter_waiting(limiter, destination_id);

	if (wait == NULL)
		return;
	dlist_delete(&wait->node);
	(void) hash_search(limiter->waits_by_id, &destination_id, HASH_REMOVE, NULL);
}

/* ---------- outcomes ---------- */

/* In the limiter's memory, in place of the old one, and not longer than what is kept of a cause. */
static char *
copy_text(SagaLimiter *limiter, char *old, const char *text)
{
	if (old != NULL)
		pfree(old);
	return text == NULL ? NULL :
		MemoryContextStrdup(limiter->context, pnstrdup(text, strnlen(text, SAGA_MAX_CAUSE)));
}

/* Adds what became of a request to the news of its group, which saga_limit_report writes.  A pause holds the group in this process at once. */
void
saga_limit_tell(SagaLimitGroup *group, bool probe, const SagaLimitOutcome *outcome)
{
	SagaLimitNews *news = &group->news;

	if (news->since == 0)
		news->since = outcome->at;
	if (outcome->failed)
		news->failures++;
	else if (!outcome->auth)
		news->successes++;
	news->auth |= outcome->auth;
	if (probe)
		news->probe = outcome->failed || outcome->auth ? SAGA_PROBE_FAILED : SAGA_PROBE_PASSED;
	if (outcome->pause_ms > 0)
	{
		news->pause_until = Max(news->pause_until, TimestampTzPlusMilliseconds(outcome->at, outcome->pause_ms));
		group->hold_until = Max(group->hold_until, news->pause_until);
		group->held = true;
	}
	if (outcome->error == NULL)
	{
		news->last_success_at = outcome->at;
		return;
	}
	news->last_error_at = outcome->at;
	news->error = copy_text(group->limiter, news->error, outcome->error);
	news->cause = copy_text(group->limiter, news->cause, outcome->cause);
}

void
saga_limit_probe_void(SagaLimitGroup *group, TimestampTz at)
{
	group->news.probe = SAGA_PROBE_VOID;
	if (group->news.since == 0)
		group->news.since = at;
}

TimestampTz
saga_limiter_report_at(const SagaLimiter *limiter)
{
	TimestampTz at = DT_NOEND;
	ListCell   *lc;

	foreach(lc, limiter->groups)
	{
		const SagaLimitGroup *group = lfirst(lc);
		const SagaLimitNews *news = &group->news;

		if (news->failures > 0 || news->auth || news->probe != SAGA_PROBE_NONE || news->pause_until != 0)
			at = Min(at, group->report_at);
		else if (news->since != 0)
			at = Min(at, Max(group->report_at, TimestampTzPlusMilliseconds(news->since, SAGA_REPORT_MS)));
	}
	return at;
}
