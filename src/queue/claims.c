/*
 * claims.c
 *		Claims: where they start, and how far they move the mark.
 *
 * The claims of this process that have begun and not ended are kept, so that
 * an abort ends them.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "queue/mark_private.h"

typedef struct OpenClaim
{
	SagaClaim	claim;
	int			level;
} OpenClaim;

/* Of the current transaction; the array lives as long as the process. */
static OpenClaim *open_claims = NULL;
static int	nopen = 0;
static int	max_open = 0;


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

	claim->key = saga_queue_key_of_queue(queue);
	claim->slot = NULL;
	claim->life = 0;
	claim->entry = -1;
	claim->mark = saga_uuid_min;
	if (saga_shared == NULL)
		return;

	open_claims = saga_queue_grow(open_claims, nopen, &max_open, sizeof(OpenClaim));
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

			if (saga_uuid_cmp(&entry->cap, last) < 0 && !(saga_test_mutant & SAGA_MUTANT_NO_CAPS))
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
	if (saga_shared == NULL)
		return;
	if (last != NULL)
	{
		/* before the entry goes: this may run out of memory */
		saga_note_claimed(&claim->key, &claim->mark);
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
saga_queue_locking_begin(SagaClaim *claim, const SagaQueue *queue)
{
	claim->key = saga_queue_key_of_queue(queue);
	claim->slot = NULL;
	claim->life = 0;
	claim->entry = -1;
	claim->mark = saga_uuid_min;
	if (saga_shared == NULL)
		return;
	open_claims = saga_queue_grow(open_claims, nopen, &max_open, sizeof(OpenClaim));
	note_open(claim);
}

void
saga_queue_locking_end(SagaClaim *claim)
{
	if (saga_shared != NULL)
		forget_open(claim);
}

void
saga_claims_abort(int level)
{
	while (nopen > 0 && open_claims[nopen - 1].level >= level)
	{
		OpenClaim  *open = &open_claims[--nopen];

		release_entry(&open->claim, NULL);
		saga_queue_push_key(&open->claim.key, (saga_test_mutant & SAGA_MUTANT_NO_ABORT) ? NULL : &open->claim.mark);
	}
}

void
saga_claims_commit_level(int level)
{
	for (int i = 0; i < nopen; i++)
		open_claims[i].level = Min(open_claims[i].level, level - 1);
}
