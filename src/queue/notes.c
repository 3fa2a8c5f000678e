/*
 * notes.c
 *		What a transaction notes of queues, and what its end does with it.
 *
 * One entry per queue and level of savepoints, with the smallest id of each
 * sort.  Everything that the callbacks need is allocated when it is noted: at
 * the end of a transaction nothing may raise (after a commit that is a PANIC)
 * and nothing may be allocated.  The queue's slot is looked up then: it may
 * have got one since, or lost it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "queue/mark_private.h"
#include "utils/memutils.h"

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

/* Of the current transaction; the array lives as long as the process. */
static Pending *pending = NULL;
static int	npending = 0;
static int	max_pending = 0;
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

void *
saga_queue_grow(void *array, int n, int *max, Size size)
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

SagaQueueKey
saga_queue_key_of_queue(const SagaQueue *queue)
{
	SagaQueueKey key;

	/* no padding with random bytes in shared memory */
	memset(&key, 0, sizeof(key));
	key.dboid = MyDatabaseId;
	key.queue_id = queue->queue_id;
	key.owner = queue->owner;
	key.kind = SAGA_QUEUE_SERVED_AS(queue->kind);
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
	pending = saga_queue_grow(pending, npending, &max_pending, sizeof(Pending));
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
	if (SAGA_QUEUE_SERVED_AS(queue->kind) != SAGA_QUEUE_PLAIN)
		(void) saga_queue_slot(queue);
	key = saga_queue_key_of_queue(queue);
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
saga_note_claimed(const SagaQueueKey *key, const pg_uuid_t *mark)
{
	Pending    *p = pending_for(key);

	lower_to(&p->has_locked, &p->locked, mark);
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
	given[ngiven].key = saga_queue_key_of_queue(queue);
	given[ngiven].key.owner = owner;
	given[ngiven].level = GetCurrentTransactionNestLevel();
	ngiven++;
}

/* ---------- right now ---------- */

void
saga_queue_push(const SagaQueue *queue, const pg_uuid_t *id)
{
	SagaQueueKey key = saga_queue_key_of_queue(queue);
	pg_uuid_t	mark = saga_uuid_previous(id);

	if (saga_shared != NULL)
		saga_queue_push_key(&key, &mark);
}

void
saga_wake_next(const SagaQueue *queue)
{
	SagaQueueKey key = saga_queue_key_of_queue(queue);

	if (saga_shared != NULL)
		saga_queue_push_key(&key, NULL);
}

void
saga_wake_server(const SagaQueue *queue)
{
	SagaQueueKey key = saga_queue_key_of_queue(queue);

	if (saga_shared != NULL)
		saga_queue_wake_key(&key);
}

/* ---------- the end of a transaction ---------- */

/* Lowers *mark to what an entry says at this end; false: nothing. */
static bool
mark_at_end(const Pending *p, bool inserted, bool locked, bool kept, pg_uuid_t *mark)
{
	bool		has = false;

	if (inserted && p->has_inserted)
		lower_to(&has, mark, &p->inserted);
	if (locked && p->has_locked)
		lower_to(&has, mark, &p->locked);
	if (kept && p->has_kept)
		lower_to(&has, mark, &p->kept);
	return has;
}

void
saga_notes_push(bool commit)
{
	for (int i = 0; i < npending; i++)
	{
		pg_uuid_t	mark;

		if (mark_at_end(&pending[i], commit, !commit && !(saga_test_mutant & SAGA_MUTANT_NO_ABORT),
						!(saga_test_mutant & SAGA_MUTANT_NO_KEPT), &mark))
			saga_queue_push_key(&pending[i].key, &mark);
	}
	for (int i = 0; commit && i < ngiven; i++)
		saga_queue_push_key(&given[i].key, NULL);
	saga_notes_forget();
}

void
saga_notes_forget(void)
{
	npending = ngiven = ndropped = 0;
}

void
saga_notes_change_slots(void)
{
	for (int i = 0; i < ngiven && !(saga_test_mutant & SAGA_MUTANT_NO_GIVE); i++)
		saga_queue_slot_give(&given[i].key);
	for (int i = 0; i < ndropped; i++)
		saga_queue_forget_queue(dropped[i].queue_id);
}

bool
saga_notes_give(void)
{
	return ngiven > 0;
}

void
saga_notes_prepare(SagaPrepared *entry)
{
	for (int i = 0; i < npending && !(saga_test_mutant & SAGA_MUTANT_NO_PREPARED); i++)
	{
		pg_uuid_t	mark;

		if (!mark_at_end(&pending[i], true, true, true, &mark))
			continue;
		if (entry->nqueues == SAGA_PREPARED_QUEUES)
		{
			entry->everything = true;
			break;
		}
		entry->queues[entry->nqueues].key = pending[i].key;
		entry->queues[entry->nqueues].mark = mark;
		entry->nqueues++;
	}
}

/* ---------- the end of a savepoint ---------- */

/* The entry of the level above, among the first n. */
static Pending *
find_parent(const Pending *child, int n, int level)
{
	for (int i = n - 1; i >= 0 && pending[i].level == level - 1; i--)
		if (pending[i].key.queue_id == child->key.queue_id)
			return &pending[i];
	return NULL;
}

/* Entries are in the order of their levels. */
void
saga_notes_commit_level(int level)
{
	int			n = npending;

	for (int i = 0; i < ndropped; i++)
		dropped[i].level = Min(dropped[i].level, level - 1);
	for (int i = 0; i < ngiven; i++)
		given[i].level = Min(given[i].level, level - 1);

	while (n > 0 && pending[n - 1].level >= level)
		n--;
	for (int i = n; i < npending; i++)
	{
		Pending		child = pending[i];
		Pending    *parent = find_parent(&child, n, level);

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
void
saga_notes_abort_level(int level)
{
	for (int i = 0; i < npending; i++)
	{
		Pending    *p = &pending[i];

		if (p->level < level)
			continue;
		p->has_inserted = false;
		if (p->has_locked && !(saga_test_mutant & SAGA_MUTANT_NO_ABORT))
		{
			saga_queue_push_key(&p->key, &p->locked);
			lower_to(&p->has_kept, &p->kept, &p->locked);
		}
		p->has_locked = false;
	}
	while (ndropped > 0 && dropped[ndropped - 1].level >= level)
		ndropped--;
	while (ngiven > 0 && given[ngiven - 1].level >= level)
		ngiven--;
	saga_notes_commit_level(level);
}
