/*
 * shmem_private.h
 *		Shared memory, as far as it is the queue's own affair.
 */
#ifndef SAGA_SHMEM_PRIVATE_H
#define SAGA_SHMEM_PRIVATE_H

#include "queue/shmem.h"

extern Size saga_shmem_size(void);

/* ---------- slots of queues (slot.c) ---------- */

/*
 * Slots; NULL when there is no shared memory or no free slot.  Found or made.
 * The slot of a queue may be given to another one at any time, unless one of
 * its claim entries is used: what is done to it is checked under the lock.
 */
extern SagaQueueSlot *saga_queue_slot_make(int32 queue_id, Oid owner, char kind);

/* The same, but none is made.  The lock is held, or what comes of it is only a hint. */
extern SagaQueueSlot *saga_queue_slot_find(Oid dboid, int32 queue_id);

/* The same, under the lock. */
extern SagaQueueSlot *saga_queue_slot_look(int32 queue_id);

/*
 * Whose a workflow is decides which workers look for its executions.  So the
 * owner in a slot is written by who knows it alone: by the commit that gives
 * the queue away, while it has the queue's lock, and by who has read the row
 * under that lock (saga_queue_slot_make).
 */
extern void saga_queue_slot_give(const SagaQueueKey *key);
extern bool saga_queue_slot_is_of(int32 queue_id, Oid owner);	/* true also when there is none */
extern void saga_queue_forget_queue(int32 queue_id);

/* Those of all queues of a database are free again.  The lock is held exclusively. */
extern void saga_queue_forget_queues_of(Oid dboid);

/* Lowers the mark and all caps to at most "mark": everything above may be claimable. */
extern void saga_slot_lower(SagaQueueSlot *slot, const pg_uuid_t *mark);

/* ---------- who is told (proc.c) ---------- */

/* Wakes as saga_queue_push_key does, and tells nothing. */
extern void saga_queue_wake_key(const SagaQueueKey *key);

/*
 * Has large timers moved by who serves the queue, who is woken.  False: it has no slot.
 * Whoever takes them over (saga_queue_take_over) calls saga_timers_fire.
 */
extern bool saga_queue_hand_over(const SagaQueueKey *key);

/* As saga_queue_push_key, without waking anybody: the caller goes on by itself. */
extern void saga_queue_set_ready(const SagaQueueKey *key);

/* ---------- who waits for executions (waiter.c) ---------- */

/* prepare: true when the transaction has ended some. */
extern void saga_waiter_end_transaction(bool commit);
extern bool saga_waiter_prepare_transaction(void);

/* ---------- slots of databases (database.c) ---------- */

/* A cache: the slot of MyDatabaseId, as saga_queue_my_database found it. */
extern SagaDatabaseSlot *saga_my_database_slot;

/* A timer at wake_at may exist: lowers next_wake, timer_mark, timer_cap; wakes the coordinator; db NULL: nothing. */
extern void saga_timer_lower(SagaDatabaseSlot *db, TimestampTz wake_at);

#endif							/* SAGA_SHMEM_PRIVATE_H */
