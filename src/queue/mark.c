/*
 * mark.c
 *		The low-water mark: claims, what a transaction notes, and what its end
 *		pushes.  The protocol and its proof are in README.md.
 *
 * The notes of a transaction are one entry per queue and level of savepoints,
 * with the smallest id of each sort.  Everything that the callbacks need is
 * allocated when it is noted: at the end of a transaction nothing may raise
 * (after a commit that is a PANIC) and nothing may be allocated.  The queue's
 * slot is looked up then: it may have got one since, or lost it.  What a
 * commit pushes it pushes after its invalidation messages (common/commit.c).
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "queue/queue_private.h"
#include "queue/queue.h"
#include "queue/twophase_private.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* GUC: a part of the protocol to leave out, so that the test can show that it is needed. */
#define MUTANT_NO_CAPS		1
#define MUTANT_NO_ABORT		2
#define MUTANT_NO_KEPT		4
#define MUTANT_NO_PREPARED	8
#define MUTANT_NO_GIVE		16
int			saga_test_mutant = 0;
#define test_mutant saga_test_mutant

typedef struct Pending
{
	SagaQueueKey key;
	int			level;			/* of savepoints, 1 = the transaction itself */
	bool		has_inserted;
	bool		has_locked;
	bool		has_kept;
	pg_uuid_t	inserted;		/* marks to lower to: the smallest id - 1 */
	pg_uuid_t	locked;
	pg_uuid_t	kept;
} Pending;

typedef struct OpenClaim
{
	SagaClaim	claim;
	int			level;
} OpenClaim;

/* Of the current transaction; the arrays live as long as the process. */
static Pending *pending = NULL;
static int	npending = 0;
static int	max_pending = 0;
static OpenClaim *open_claims = NULL;
static int	nopen = 0;
static int	max_open = 0;
static TimestampTz pending_timer = DT_NOEND;	/* lowered to at commit */
static bool timers_moved = false;	/* off saga.timer: an abort brings them back */
static bool timer_scan = false; /* this process has the database's timer scan */
static bool pending_foreign = false;	/* rows of saga.queue came from elsewhere */
static int	prepared_news = 0;	/* of other modules, for the end of what is being prepared */
static struct
{
	int32		queue_id;
	int			level;
}			dropped[8];
static int	ndropped = 0;
static struct
{
	SagaQueueKey key;			/* with the new owner */
	int			level;
}			given[8];
static int	ngiven = 0;


/* ---------- notes ---------- */

static void
lower_to(bool *has, pg_uuid_t *mark, const pg_uuid_t *value)
{
	if (!*has || saga_uuid_cmp(value, mark) < 0)
		*mark = *value;
	*has = true;
}

/* Room for one more in an array that outlives transactions. */
static void *
grow(void *array, int n, int *max, Size size)
{
	int			more;

	if (n < *max)
		return array;
	more = Max(*max * 2, 16);
	if (array == NULL)
		array = MemoryContextAlloc(TopMemoryContext, more * size);
	else
		array = repalloc(array, more * size);
	*max = more;
	return array;
}

static SagaQueueKey
key_of(const SagaQueue *queue)
{
	SagaQueueKey key;

	/* no padding with random bytes in shared memory */
	memset(&key, 0, sizeof(key));
	key.dboid = MyDatabaseId;
	key.queue_id = queue->queue_id;
	key.owner = queue->owner;
	key.kind = queue->kind;
	return key;
}

static Pending *
pending_for(const SagaQueueKey *key)
{
	int			level = GetCurrentTransactionNestLevel();
	Pending    *p;
	int			i;

	for (i = npending - 1; i >= 0 && pending[i].level == level; i--)
		if (pending[i].key.queue_id == key->queue_id)
			return &pending[i];
	pending = grow(pending, npending, &max_pending, sizeof(Pending));
	p = &pending[npending++];
	memset(p, 0, sizeof(*p));
	p->key = *key;
	p->level = level;
	return p;
}

/*
 * So that nobody has to look into the table for it.  A plain queue gets its
 * slot when it is read: it is for the mark alone.
 */
static Pending *
note(const SagaQueue *queue)
{
	SagaQueueKey key;

	if (saga_shared == NULL)
		return NULL;
	if (queue->kind != SAGA_QUEUE_PLAIN)
		(void) saga_queue_slot(queue);
	key = key_of(queue);
	return pending_for(&key);
}

void
saga_note_inserted(const SagaQueue *queue, const pg_uuid_t *id)
{
	pg_uuid_t	mark = saga_uuid_previous(id);
	Pending    *p = note(queue);

	if (p != NULL)
		lower_to(&p->has_inserted, &p->inserted, &mark);
}

void
saga_queue_wake_after_commit(const SagaQueue *queue)
{
	saga_note_inserted(queue, &saga_uuid_max);
}

void
saga_note_locked(const SagaQueue *queue, const pg_uuid_t *id)
{
	pg_uuid_t	mark = saga_uuid_previous(id);
	Pending    *p = note(queue);

	if (p != NULL)
		lower_to(&p->has_locked, &p->locked, &mark);
}

void
saga_note_kept(const SagaQueue *queue, const pg_uuid_t *id)
{
	pg_uuid_t	mark = saga_uuid_previous(id);
	Pending    *p = note(queue);

	if (p != NULL)
		lower_to(&p->has_kept, &p->kept, &mark);
}

void
saga_note_timer(TimestampTz wake_at)
{
	if (saga_my_database() != NULL)
		pending_timer = Min(pending_timer, wake_at);
}

void
saga_note_timers_moved(void)
{
	timers_moved = true;
}

void
saga_note_foreign(void)
{
	if (saga_my_database() != NULL)
		pending_foreign = true;
}

void
saga_prepared_note_news(int news)
{
	prepared_news |= news;
}

void
saga_note_dropped(int32 queue_id)
{
	/* more than fit: the sweep frees the others */
	if (saga_shared == NULL || ndropped == lengthof(dropped))
		return;
	dropped[ndropped].queue_id = queue_id;
	dropped[ndropped].level = GetCurrentTransactionNestLevel();
	ndropped++;
}

/* It has another owner from our commit on.  We have its lock for ourselves. */
void
saga_note_given(const SagaQueue *queue, Oid owner)
{
	if (saga_shared == NULL)
		return;
	if (ngiven == lengthof(given))
	{
		saga_note_foreign();	/* more than fit: the sweep puts the others right */
		return;
	}
	given[ngiven].key = key_of(queue);
	given[ngiven].key.owner = owner;
	given[ngiven].level = GetCurrentTransactionNestLevel();
	ngiven++;
}

void
saga_queue_push(const SagaQueue *queue, const pg_uuid_t *id)
{
	SagaQueueKey key = key_of(queue);
	pg_uuid_t	mark = saga_uuid_previous(id);

	if (saga_shared != NULL)
		saga_queue_push_key(&key, &mark);
}

void
saga_wake_next(const SagaQueue *queue)
{
	SagaQueueKey key = key_of(queue);

	if (saga_shared != NULL)
		saga_queue_push_key(&key, NULL);
}

void
saga_wake_server(const SagaQueue *queue)
{
	SagaQueueKey key = key_of(queue);

	if (saga_shared != NULL)
		saga_queue_wake_key(&key);
}

/* ---------- claims ---------- */

static void
note_open(const SagaClaim *claim)
{
	open_claims[nopen].claim = *claim;
	open_claims[nopen].level = GetCurrentTransactionNestLevel();
	nopen++;
}

void
saga_claim_begin(SagaClaim *claim, const SagaQueue *queue)
{
	SagaQueueSlot *slot;
	int			i;

	claim->key = key_of(queue);
	claim->slot = NULL;
	claim->life = 0;
	claim->entry = -1;
	claim->mark = saga_uuid_min;
	if (saga_shared == NULL)
		return;

	open_claims = grow(open_claims, nopen, &max_open, sizeof(OpenClaim));
	(void) saga_queue_slot(queue);
	LWLockAcquire(saga_shared->lock, LW_SHARED);
	slot = claim->slot = saga_queue_slot_find(MyDatabaseId, queue->queue_id);
	if (slot == NULL)
	{
		LWLockRelease(saga_shared->lock);
		note_open(claim);
		return;
	}

	/*
	 * An old snapshot may not see what the flag stands for.  Otherwise: a
	 * commit after this sets it again, one before it is in our snapshot.  The
	 * entry is taken first: while it is used, the slot is this queue's, and
	 * with the flag clear and no entry it might be given away.
	 */
	SpinLockAcquire(&slot->mutex);
	for (i = 0; i < SAGA_CLAIM_ENTRIES && claim->entry < 0; i++)
	{
		if (slot->claims[i].used)
			continue;
		slot->claims[i].used = true;
		slot->claims[i].cap = saga_uuid_max;
		claim->entry = i;
	}
	claim->mark = slot->mark;
	claim->life = slot->life;
	SpinLockRelease(&slot->mutex);
	if (!IsolationUsesXactSnapshot())
		(void) pg_atomic_exchange_u32(&slot->ready, 0);
	LWLockRelease(saga_shared->lock);
	note_open(claim);
}

static void
release_entry(const SagaClaim *claim, const pg_uuid_t *last)
{
	SagaQueueSlot *slot = claim->slot;

	if (slot == NULL)
		return;
	SpinLockAcquire(&slot->mutex);
	if (claim->entry >= 0 && slot->life == claim->life)
	{
		SagaClaimEntry *entry = &slot->claims[claim->entry];

		if (last != NULL)
		{
			const pg_uuid_t *to = last;

			if (saga_uuid_cmp(&entry->cap, last) < 0 && !(test_mutant & MUTANT_NO_CAPS))
				to = &entry->cap;
			if (saga_uuid_cmp(to, &slot->mark) > 0)
				slot->mark = *to;
		}
		entry->used = false;
	}
	SpinLockRelease(&slot->mutex);
}

static void
forget_open(const SagaClaim *claim)
{
	int			i;

	for (i = nopen - 1; i >= 0; i--)
	{
		if (open_claims[i].claim.key.queue_id != claim->key.queue_id || open_claims[i].claim.entry != claim->entry)
			continue;
		memmove(&open_claims[i], &open_claims[i + 1], (nopen - i - 1) * sizeof(OpenClaim));
		nopen--;
		break;
	}
}

void
saga_claim_end(SagaClaim *claim, const pg_uuid_t *last)
{
	Pending    *p;

	if (saga_shared == NULL)
		return;
	if (last != NULL)
	{
		/* before the entry goes: this may run out of memory */
		p = pending_for(&claim->key);
		lower_to(&p->has_locked, &p->locked, &claim->mark);
		/* and while it is there the slot is this queue's */
		if (claim->entry >= 0)
			(void) pg_atomic_exchange_u32(&claim->slot->ready, 1);
	}
	release_entry(claim, IsolationUsesXactSnapshot() ? NULL : last);
	forget_open(claim);
	if (last != NULL && claim->entry < 0)
		saga_queue_set_ready(&claim->key);
	claim->slot = NULL;
}

/* A claim without an entry, from the beginning. */
void
saga_locking_begin(SagaClaim *claim, const SagaQueue *queue)
{
	claim->key = key_of(queue);
	claim->slot = NULL;
	claim->life = 0;
	claim->entry = -1;
	claim->mark = saga_uuid_min;
	if (saga_shared == NULL)
		return;
	open_claims = grow(open_claims, nopen, &max_open, sizeof(OpenClaim));
	note_open(claim);
}

void
saga_locking_end(SagaClaim *claim)
{
	if (saga_shared != NULL)
		forget_open(claim);
}

/* Claims of this level or deeper did not come to their end. */
static void
abort_claims(int level)
{
	while (nopen > 0 && open_claims[nopen - 1].level >= level)
	{
		OpenClaim  *open = &open_claims[--nopen];

		release_entry(&open->claim, NULL);
		saga_queue_push_key(&open->claim.key, (test_mutant & MUTANT_NO_ABORT) ? NULL : &open->claim.mark);
	}
}

/* ---------- the timers' mark ---------- */

/*
 * Begins a look at saga.timer.  Returns true when this process has the scan
 * and may advance the mark with saga_timer_scan_end; *mark is where to start.
 */
bool
saga_timer_scan_begin(bool all_queues, TimestampTz *mark)
{
	SagaDatabaseSlot *db = saga_my_database();

	*mark = DT_NOBEGIN;
	if (db == NULL)
		return false;
	SpinLockAcquire(&db->mutex);
	*mark = db->timer_mark;
	if (all_queues && !db->timer_scan && !IsolationUsesXactSnapshot())
	{
		db->timer_scan = timer_scan = true;
		db->timer_cap = DT_NOEND;
		/* who makes a timer from now on lowers this again */
		db->next_wake = DT_NOEND;
	}
	SpinLockRelease(&db->mutex);
	return timer_scan;
}

/*
 * No timer is left at or before "empty_to"; the next one is due at next_wake.
 * Returns that, or an earlier one that came meanwhile.
 */
TimestampTz
saga_timer_scan_end(TimestampTz empty_to, TimestampTz next_wake)
{
	SagaDatabaseSlot *db;

	if (!timer_scan)
		return next_wake;
	timer_scan = false;
	db = saga_my_database();
	if (db == NULL)
		return next_wake;
	SpinLockAcquire(&db->mutex);
	empty_to = Min(empty_to, db->timer_cap);
	if (db->timer_mark < empty_to)
		db->timer_mark = empty_to;
	db->timer_scan = false;
	next_wake = db->next_wake = Min(db->next_wake, next_wake);
	SpinLockRelease(&db->mutex);
	return next_wake;
}

/* A (sub)transaction that moved timers, or has the scan, failed: they are due again. */
static void
abort_timers(void)
{
	SagaDatabaseSlot *db;

	if (!timer_scan && !timers_moved)
		return;
	db = saga_my_database();
	if (timer_scan && db != NULL)
	{
		SpinLockAcquire(&db->mutex);
		db->timer_scan = false;
		SpinLockRelease(&db->mutex);
	}
	timer_scan = false;
	saga_timer_lower(db, DT_NOBEGIN);
}

static void
end_timers(bool commit)
{
	if (timer_scan || !commit)
		abort_timers();
	if (commit && pending_timer != DT_NOEND)
		saga_timer_lower(saga_my_database(), pending_timer);
	pending_timer = DT_NOEND;
	timers_moved = false;
}

/* ---------- the end of transactions ---------- */

static void
end_transaction(bool commit)
{
	int			i;

	abort_claims(0);
	for (i = 0; i < npending; i++)
	{
		Pending    *p = &pending[i];
		bool		has = false;
		pg_uuid_t	mark;

		if (commit && p->has_inserted)
			lower_to(&has, &mark, &p->inserted);
		if (!commit && p->has_locked && !(test_mutant & MUTANT_NO_ABORT))
			lower_to(&has, &mark, &p->locked);
		if (p->has_kept && !(test_mutant & MUTANT_NO_KEPT))
			lower_to(&has, &mark, &p->kept);
		if (has)
			saga_queue_push_key(&p->key, &mark);
	}
	npending = 0;
	for (i = 0; commit && i < ngiven; i++)
		saga_queue_push_key(&given[i].key, NULL);
	ngiven = ndropped = 0;
	end_timers(commit);
	if (commit && pending_foreign)
		saga_sweep_soon(saga_my_database(), saga_monotonic_now(), 3);
	pending_foreign = false;
	prepared_news = 0;
	saga_prepared_reset();
	saga_cache_end_transaction();
}

/*
 * The locks on the queues are still held: who comes to them next finds the
 * slots as we leave them.  Nobody is woken yet.
 */
static void
change_slots(void)
{
	int			i;

	for (i = 0; i < ngiven && !(test_mutant & MUTANT_NO_GIVE); i++)
		saga_queue_slot_give(&given[i].key);
	for (i = 0; i < ndropped; i++)
		saga_forget_queue(dropped[i].queue_id);
}

static void
tell_commit(void)
{
	end_transaction(true);
}

/* Whichever way it ends: everything noted is pushed then. */
static void
prepare_transaction(void)
{
	SagaPrepared entry;
	int			i;

	abort_claims(0);
	memset(&entry, 0, sizeof(entry));
	entry.next_wake = timers_moved ? DT_NOBEGIN : pending_timer;
	entry.news = prepared_news;

	/*
	 * slots are put right by a sweep: when it is committed, its locks go
	 * before anything of ours runs
	 */
	if (pending_foreign || ngiven > 0)
		entry.news |= SAGA_NEWS_SWEEP;
	for (i = 0; i < npending && !(test_mutant & MUTANT_NO_PREPARED); i++)
	{
		Pending    *p = &pending[i];
		bool		has = false;
		pg_uuid_t	mark;

		if (p->has_inserted)
			lower_to(&has, &mark, &p->inserted);
		if (p->has_locked)
			lower_to(&has, &mark, &p->locked);
		if (p->has_kept)
			lower_to(&has, &mark, &p->kept);
		if (!has)
			continue;
		if (entry.nqueues == SAGA_PREPARED_QUEUES)
		{
			entry.everything = true;
			break;
		}
		entry.queues[entry.nqueues].key = p->key;
		entry.queues[entry.nqueues].mark = mark;
		entry.nqueues++;
	}
	saga_prepared_store(&entry);
	npending = 0;
	ngiven = ndropped = 0;
	prepared_news = 0;
	if (timer_scan)
		abort_timers();
	pending_timer = DT_NOEND;
	timers_moved = false;
	pending_foreign = false;
	saga_prepared_reset();
	saga_cache_end_transaction();
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			change_slots();
			break;
		case XACT_EVENT_ABORT:
			end_transaction(false);
			break;
		case XACT_EVENT_PREPARE:
			prepare_transaction();
			break;
		default:
			break;
	}
}

/*
 * Merges the notes of this level into those of the one above.  Entries are
 * in the order of their levels.
 */
static void
commit_level(int level)
{
	int			n = npending;
	int			i;
	int			j;

	for (i = 0; i < nopen; i++)
		open_claims[i].level = Min(open_claims[i].level, level - 1);
	for (i = 0; i < ndropped; i++)
		dropped[i].level = Min(dropped[i].level, level - 1);
	for (i = 0; i < ngiven; i++)
		given[i].level = Min(given[i].level, level - 1);

	while (n > 0 && pending[n - 1].level >= level)
		n--;
	for (i = n; i < npending; i++)
	{
		Pending		child = pending[i];
		Pending    *parent = NULL;

		for (j = n - 1; j >= 0 && pending[j].level == level - 1 && parent == NULL; j--)
			if (pending[j].key.queue_id == child.key.queue_id)
				parent = &pending[j];
		if (parent == NULL)
		{
			child.level = level - 1;
			pending[n++] = child;
			continue;
		}
		if (child.has_inserted)
			lower_to(&parent->has_inserted, &parent->inserted, &child.inserted);
		if (child.has_locked)
			lower_to(&parent->has_locked, &parent->locked, &child.locked);
		if (child.has_kept)
			lower_to(&parent->has_kept, &parent->kept, &child.kept);
	}
	npending = n;
}

/*
 * What this level inserted never was.  What it locked is pushed now; but a
 * level above may have locked the same row before, and then it becomes
 * claimable only when the transaction ends: so it is noted above as kept.
 */
static void
abort_level(int level)
{
	int			i;

	abort_claims(level);
	for (i = 0; i < npending; i++)
	{
		Pending    *p = &pending[i];

		if (p->level < level)
			continue;
		p->has_inserted = false;
		if (p->has_locked)
		{
			if (!(test_mutant & MUTANT_NO_ABORT))
			{
				saga_queue_push_key(&p->key, &p->locked);
				lower_to(&p->has_kept, &p->kept, &p->locked);
			}
			p->has_locked = false;
		}
	}
	while (ndropped > 0 && dropped[ndropped - 1].level >= level)
		ndropped--;
	while (ngiven > 0 && given[ngiven - 1].level >= level)
		ngiven--;
	commit_level(level);
	abort_timers();
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mySubid, SubTransactionId parentSubid, void *arg)
{
	if (event == SUBXACT_EVENT_COMMIT_SUB)
		commit_level(GetCurrentTransactionNestLevel());
	else if (event == SUBXACT_EVENT_ABORT_SUB)
		abort_level(GetCurrentTransactionNestLevel());
}

void
saga_mark_init(void)
{
	DefineCustomIntVariable("pg_saga.test_mutant",
							"Leaves out parts of the protocol of the low-water mark.",
							"For the test that shows that they are needed: it loses messages until the next sweep.",
							&test_mutant, 0, 0, 63, PGC_SUSET,
							GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
	saga_after_commit(tell_commit);
}
