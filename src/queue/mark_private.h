/*
 * mark_private.h
 *		What the files of the low-water mark share: mark.c, and below it
 *		claims.c, notes.c and timer_mark.c.
 *
 * Nothing here raises or allocates but saga_queue_grow and saga_note_claimed.
 */
#ifndef SAGA_MARK_PRIVATE_H
#define SAGA_MARK_PRIVATE_H

#include "queue/queue_private.h"
#include "queue/twophase_private.h"

/* GUC pg_saga.test_mutant: parts of the protocol to leave out, so that the test can show that they are needed. */
#define SAGA_MUTANT_NO_CAPS			1
#define SAGA_MUTANT_NO_ABORT		2
#define SAGA_MUTANT_NO_KEPT			4
#define SAGA_MUTANT_NO_PREPARED		8
#define SAGA_MUTANT_NO_GIVE			16

/* ---------- notes.c ---------- */

/* Room for one more in an array that outlives transactions. */
extern void *saga_queue_grow(void *array, int n, int *max, Size size);

/* Rows above this mark are locked, by a claim. */
extern void saga_note_claimed(const SagaQueueKey *key, const pg_uuid_t *mark);

/* The transaction ends: what was noted is pushed, and forgotten. */
extern void saga_notes_push(bool commit);
extern void saga_notes_forget(void);

/* It commits, and still has its locks: slots get their new owners, those of dropped queues go. */
extern void saga_notes_change_slots(void);

/* It is prepared: what either end has to push goes into the entry; has it given a queue away? */
extern void saga_notes_prepare(SagaPrepared *entry);
extern bool saga_notes_give(void);

/* A savepoint of this level ends: what it noted is the level's above. */
extern void saga_notes_commit_level(int level);
extern void saga_notes_abort_level(int level);

/* ---------- claims.c ---------- */

/* Claims of this level or deeper did not come to their end. */
extern void saga_claims_abort(int level);
extern void saga_claims_commit_level(int level);

/* ---------- timer_mark.c ---------- */

/* A (sub)transaction that moved timers, or has the scan, failed: they are due again. */
extern void saga_timer_mark_abort(void);
extern void saga_timer_mark_end(bool commit);
extern TimestampTz saga_timer_mark_prepare(void);	/* SagaPrepared.next_wake */

#endif							/* SAGA_MARK_PRIVATE_H */
