/*
 * slot.c
 *		The slots of queues in shared memory.
 *
 * A slot is found and made under SagaShared.lock; what lies in it is under
 * its own spinlock.  When all are taken, a queue of a workflow or destination
 * is given that of one with nothing ready and nobody claiming, and one that is
 * read with saga.receive that of another such.  So what is to be done to a
 * queue's slot at the end of a transaction is done to the one that it has
 * then, under the lock (saga_queue_push_key): README.md has the proof.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "queue/shmem_private.h"

/* ---------- the index ---------- */

static uint32
index_start(Oid dboid, int32 queue_id)
{
	return hash_combine(murmurhash32(dboid), murmurhash32((uint32) queue_id)) &
		saga_shared->queue_index_mask;
}

SagaQueueSlot *
saga_queue_slot_find(Oid dboid, int32 queue_id)
{
	uint32		at;

	for (at = index_start(dboid, queue_id); saga_shared->queue_index[at] >= 0;
		 at = (at + 1) & saga_shared->queue_index_mask)
	{
		SagaQueueSlot *slot = &saga_shared->queues[saga_shared->queue_index[at]];

		if (slot->dboid == dboid && slot->queue_id == queue_id)
			return slot;
	}
	return NULL;
}

static void
queue_index_insert(int number)
{
	SagaQueueSlot *slot = &saga_shared->queues[number];
	uint32		at = index_start(slot->dboid, slot->queue_id);

	while (saga_shared->queue_index[at] >= 0)
		at = (at + 1) & saga_shared->queue_index_mask;
	saga_shared->queue_index[at] = number;
}

/* Queues are dropped rarely: no deletion from the hash, it is made anew. */
static void
index_rebuild(void)
{
	int			i;

	for (i = 0; i <= (int) saga_shared->queue_index_mask; i++)
		saga_shared->queue_index[i] = -1;
	for (i = 0; i < saga_shared->max_queues; i++)
		if (OidIsValid(saga_shared->queues[i].dboid))
			queue_index_insert(i);
}

/* ---------- making and forgetting ---------- */

/*
 * May the slot be another queue's?  Nobody is told by the flag of a plain
 * queue.  The others' must be clear, and it is set under the lock or while a
 * claim entry is used.
 */
static bool
is_idle(SagaQueueSlot *slot)
{
	bool		idle = slot->kind == SAGA_QUEUE_PLAIN || pg_atomic_read_u32(&slot->ready) == 0;
	int			i;

	SpinLockAcquire(&slot->mutex);
	for (i = 0; i < SAGA_CLAIM_ENTRIES && idle; i++)
		idle = !slot->claims[i].used;
	SpinLockRelease(&slot->mutex);
	/* who had an entry may have set the flag before it went */
	return idle && (slot->kind == SAGA_QUEUE_PLAIN || pg_atomic_read_u32(&slot->ready) == 0);
}

/* -1: none.  Caller holds the lock exclusively, as for all that follows. */
static int
find_free(void)
{
	int			i;

	for (i = 0; i < saga_shared->max_queues; i++)
		if (!OidIsValid(saga_shared->queues[i].dboid))
			return i;
	return -1;
}

static int
find_victim(char kind)
{
	int			i;

	for (i = 0; i < saga_shared->max_queues; i++)
	{
		int			number = (saga_shared->next_victim + i) % saga_shared->max_queues;
		SagaQueueSlot *slot = &saga_shared->queues[number];

		if ((kind == SAGA_QUEUE_PLAIN && slot->kind != SAGA_QUEUE_PLAIN) || !is_idle(slot))
			continue;
		saga_shared->next_victim = number + 1;
		return number;
	}
	return -1;
}

bool
saga_queue_places_are_taken(void)
{
	bool		taken;

	LWLockAcquire(saga_shared->lock, LW_SHARED);
	taken = find_free() < 0;
	for (int i = 0; i < saga_shared->max_queues && taken; i++)
		taken = !is_idle(&saga_shared->queues[i]);
	LWLockRelease(saga_shared->lock);
	return taken;
}

/*
 * A claim may still run in the slot.  When it ends it compares "life" under
 * the spinlock (claims.c), so that it does not free the entry of another
 * queue's claim, or of the same one's if the slot is made for it again.
 */
static void
free_queue(SagaQueueSlot *slot)
{
	SpinLockAcquire(&slot->mutex);
	slot->dboid = InvalidOid;
	slot->queue_id = 0;
	slot->kind = 0;
	slot->owner = InvalidOid;
	SpinLockRelease(&slot->mutex);
	pg_atomic_write_u32(&slot->ready, 0);
}

/* A new slot is ready: what was in the table before is not known. */
static SagaQueueSlot *
make_queue(int32 queue_id, Oid owner, char kind)
{
	SagaQueueSlot *slot;
	int			number = find_free();

	if (number < 0)
	{
		number = find_victim(kind);
		if (number < 0)
			return NULL;
		free_queue(&saga_shared->queues[number]);
		index_rebuild();
	}
	slot = &saga_shared->queues[number];
	SpinLockAcquire(&slot->mutex);
	slot->dboid = MyDatabaseId;
	slot->queue_id = queue_id;
	slot->owner = owner;
	slot->kind = kind;
	slot->life++;
	slot->mark = saga_uuid_min;
	memset(slot->claims, 0, sizeof(slot->claims));
	SpinLockRelease(&slot->mutex);
	pg_atomic_write_u32(&slot->large_due, 0);
	pg_atomic_write_u32(&slot->run_us, 0);
	pg_atomic_write_u32(&slot->ready, 1);
	queue_index_insert(number);
	return slot;
}

SagaQueueSlot *
saga_queue_slot_look(int32 queue_id)
{
	SagaQueueSlot *slot;

	if (saga_shared == NULL)
		return NULL;

	/*
	 * shared: a slot is freed, and taken for another queue, under the
	 * exclusive lock alone
	 */
	LWLockAcquire(saga_shared->lock, LW_SHARED);
	slot = saga_queue_slot_find(MyDatabaseId, queue_id);
	LWLockRelease(saga_shared->lock);
	return slot;
}

static void
set_owner(SagaQueueSlot *slot, Oid owner, char kind)
{
	SpinLockAcquire(&slot->mutex);
	slot->owner = owner;
	slot->kind = kind;
	SpinLockRelease(&slot->mutex);
}

SagaQueueSlot *
saga_queue_slot_make(int32 queue_id, Oid owner, char kind)
{
	SagaQueueSlot *slot;

	if (saga_shared == NULL)
		return NULL;
	LWLockAcquire(saga_shared->lock, LW_EXCLUSIVE);
	slot = saga_queue_slot_find(MyDatabaseId, queue_id);
	if (slot == NULL)
		slot = make_queue(queue_id, owner, kind);
	else
		set_owner(slot, owner, kind);
	LWLockRelease(saga_shared->lock);
	return slot;
}

void
saga_queue_slot_give(const SagaQueueKey *key)
{
	SagaQueueSlot *slot;

	LWLockAcquire(saga_shared->lock, LW_EXCLUSIVE);
	slot = saga_queue_slot_find(key->dboid, key->queue_id);
	if (slot != NULL)
		set_owner(slot, key->owner, key->kind);
	LWLockRelease(saga_shared->lock);
}

bool
saga_queue_slot_is_of(int32 queue_id, Oid owner)
{
	SagaQueueSlot *slot;
	bool		result;

	LWLockAcquire(saga_shared->lock, LW_SHARED);
	slot = saga_queue_slot_find(MyDatabaseId, queue_id);
	result = slot == NULL || slot->owner == owner;
	LWLockRelease(saga_shared->lock);
	return result;
}

void
saga_queue_clear_ready(int32 queue_id)
{
	SagaQueueSlot *slot;

	if (saga_shared == NULL)
		return;
	LWLockAcquire(saga_shared->lock, LW_SHARED);
	slot = saga_queue_slot_find(MyDatabaseId, queue_id);
	if (slot != NULL)
		(void) pg_atomic_exchange_u32(&slot->ready, 0);
	LWLockRelease(saga_shared->lock);
}

void
saga_queue_forget_queue(int32 queue_id)
{
	SagaQueueSlot *slot;

	if (saga_shared == NULL)
		return;
	LWLockAcquire(saga_shared->lock, LW_EXCLUSIVE);
	slot = saga_queue_slot_find(MyDatabaseId, queue_id);
	if (slot != NULL)
	{
		free_queue(slot);
		index_rebuild();
	}
	LWLockRelease(saga_shared->lock);
}

void
saga_queue_forget_queues_of(Oid dboid)
{
	for (int i = 0; i < saga_shared->max_queues; i++)
		if (saga_shared->queues[i].dboid == dboid)
			free_queue(&saga_shared->queues[i]);
	index_rebuild();
}

/* ---------- what is ready ---------- */

bool
saga_queue_is_listed(int32 queue_id)
{
	bool		listed;

	if (saga_shared == NULL)
		return false;
	LWLockAcquire(saga_shared->lock, LW_SHARED);
	listed = saga_queue_slot_find(MyDatabaseId, queue_id) != NULL;
	LWLockRelease(saga_shared->lock);
	return listed;
}

int
saga_queue_ready_queues(Oid owner, char kind, int32 *queue_ids, int max)
{
	static int	start = 0;		/* goes round, so that no queue starves behind others */
	int			found = 0;
	int			i;

	if (saga_shared == NULL)
		return 0;
	LWLockAcquire(saga_shared->lock, LW_SHARED);
	for (i = 0; i < saga_shared->max_queues && found < max; i++)
	{
		SagaQueueSlot *slot = &saga_shared->queues[(start + i) % saga_shared->max_queues];

		if (slot->dboid == MyDatabaseId && slot->kind == kind &&
			(!OidIsValid(owner) || slot->owner == owner) &&
			pg_atomic_read_u32(&slot->ready) != 0)
			queue_ids[found++] = slot->queue_id;
	}
	start = (start + i) % saga_shared->max_queues;
	LWLockRelease(saga_shared->lock);
	return found;
}

int
saga_queue_ready_keys(char kind, SagaQueueKey *keys)
{
	int			found = 0;
	int			i;

	if (saga_shared == NULL)
		return 0;
	LWLockAcquire(saga_shared->lock, LW_SHARED);
	for (i = 0; i < saga_shared->max_queues; i++)
	{
		SagaQueueSlot *slot = &saga_shared->queues[i];

		if (slot->dboid != MyDatabaseId || slot->kind != kind || pg_atomic_read_u32(&slot->ready) == 0)
			continue;
		keys[found].dboid = slot->dboid;
		keys[found].queue_id = slot->queue_id;
		keys[found].owner = slot->owner;
		keys[found++].kind = slot->kind;
	}
	LWLockRelease(saga_shared->lock);
	return found;
}

void
saga_slot_lower(SagaQueueSlot *slot, const pg_uuid_t *mark)
{
	int			i;

	SpinLockAcquire(&slot->mutex);
	if (saga_uuid_cmp(&slot->mark, mark) > 0)
		slot->mark = *mark;
	for (i = 0; i < SAGA_CLAIM_ENTRIES; i++)
		if (slot->claims[i].used && saga_uuid_cmp(&slot->claims[i].cap, mark) > 0)
			slot->claims[i].cap = *mark;
	SpinLockRelease(&slot->mutex);
}

/* ---------- messages to be run carefully ---------- */

void
saga_queue_careful_note(SagaQueueSlot *slot, const SagaCareful *careful)
{
	if (slot == NULL)
		return;
	SpinLockAcquire(&slot->mutex);
	slot->careful[slot->next_careful++ % SAGA_CAREFUL_ENTRIES] = *careful;
	SpinLockRelease(&slot->mutex);
}

bool
saga_queue_careful_test(SagaQueueSlot *slot, SagaCareful *careful)
{
	bool		found = false;
	int			i;

	if (slot == NULL)
		return false;
	SpinLockAcquire(&slot->mutex);
	for (i = 0; i < SAGA_CAREFUL_ENTRIES && !found; i++)
	{
		/* the last one noted first */
		SagaCareful *entry = &slot->careful[(slot->next_careful - 1 - i) % SAGA_CAREFUL_ENTRIES];

		found = saga_uuid_cmp(&entry->id, &careful->id) == 0;
		if (found)
			*careful = *entry;
	}
	SpinLockRelease(&slot->mutex);
	return found;
}
