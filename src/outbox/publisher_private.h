/*
 * publisher_private.h
 *		The publisher between its own files: publisher.c turns, sends and
 *		records, pick.c decides what is taken and when it may start.
 */
#ifndef SAGA_OUTBOX_PUBLISHER_PRIVATE_H
#define SAGA_OUTBOX_PUBLISHER_PRIVATE_H

#include "outbox/limit.h"
#include "outbox/outbox.h"
#include "outbox/sending.h"

struct SagaPublisher
{
	MemoryContext context;
	MemoryContext work;			/* reset each turn */
	SagaHttp   *http;
	int64		lease;
	bool		lease_held;
	bool		in_call;		/* CALL saga.publish(): destinations of the caller only */
	bool		look_everywhere;	/* not only at queues that are said to be ready */
	TimestampTz look_at;		/* then look everywhere again */
	uint32		unlisted;		/* saga_unlisted() at the last such look */
	TimestampTz record_at;		/* no recording before: a record was locked */
	bool		recording;		/* a recording transaction has not committed */
	bool		claim_open;		/* a claiming transaction has not committed */
	SagaLimiter *limiter;
	int32		last_served;	/* the destinations after it have their turn */
	TimestampTz help_at;		/* not before, another publisher is asked for */
	dlist_head	returned;		/* given back, which has not committed */
	dlist_head	claiming;
	dlist_head	ready;
	dlist_head	flying;
	dlist_head	done;
};

/* Transactions: of its own, or in those of CALL saga.publish() (publisher.c). */
extern void saga_publisher_begin(SagaPublisher *publisher);
extern void saga_publisher_commit(SagaPublisher *publisher);

extern void saga_sendings_free(dlist_head *list);

/* For call.c, which ends by itself. */
extern SagaPublisher *saga_publisher_make(MemoryContext context, int max_in_flight);
extern bool saga_publisher_step(SagaPublisher *publisher);	/* false: there was nothing to do */
extern void saga_publisher_wait(SagaPublisher *publisher, long timeout_ms);
extern int	saga_publisher_report(SagaPublisher *publisher);	/* what answers say to limits */

/* ---------- pick.c ---------- */

/* Takes what there is room for.  Returns the number of queue rows taken. */
extern int	saga_publisher_claim(SagaPublisher *publisher);

/* After a claiming transaction that aborted. */
extern void saga_publisher_undo_claim(SagaPublisher *publisher);

/* Is there something that we have room for? */
extern bool saga_publisher_has_new_work(SagaPublisher *publisher);

/* All requests that have not ended. */
extern int	saga_publisher_count(const SagaPublisher *publisher);

/* When there is something to do although nobody wakes us. */
extern TimestampTz saga_publisher_next_work(SagaPublisher *publisher);

/* ---------- pace.c: of the list "ready" ---------- */

extern bool saga_publisher_may_start(const SagaSending *sending, TimestampTz now);

/* Has one to get another time, or to go back?  Settle does it, in the claiming transaction. */
extern bool saga_publisher_has_unsettled(SagaPublisher *publisher);
extern void saga_publisher_settle(SagaPublisher *publisher);

/* When one that waits for its time can go on. */
extern TimestampTz saga_publisher_next_start(SagaPublisher *publisher);

#endif							/* SAGA_OUTBOX_PUBLISHER_PRIVATE_H */
