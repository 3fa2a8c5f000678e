/*
 * publisher_private.h
 *		The publisher between its own files: publisher.c turns, sends and
 *		records, pick.c decides what is taken and when it may start.
 */
#ifndef SAGA_OUTBOX_PUBLISHER_PRIVATE_H
#define SAGA_OUTBOX_PUBLISHER_PRIVATE_H

#include "limit/limit.h"
#include "loop/loop.h"
#include "outbox/outbox.h"
#include "outbox/sending_private.h"
#include "utils/resowner.h"

typedef struct SagaOwnerTurn SagaOwnerTurn;

struct SagaPublisher
{
	SagaLoop	loop;
	SagaBudget *request_budget; /* memory for requests (room.c) */
	int64		lease;
	bool		lease_held;
	bool		in_call;		/* CALL saga.publish(): destinations of the caller only */
	bool		in_subtransaction;	/* in it, between begin and commit */
	ResourceOwner outer_owner;	/* then: of the CALL's transaction */
	bool		look_everywhere;	/* not only at queues that are said to be ready */
	bool		look_again;		/* some of what was said to be ready was not */
	TimestampTz look_at;		/* then look everywhere again */
	int32		looked_to;		/* of such a look: destinations up to this one; PG_INT32_MIN: none is under way */
	int32		looking_to;		/* in the claiming transaction: so it is when that has committed */
	uint32		unlisted_before;	/* saga_queue_unlisted() when it began */
	bool		found_unlisted; /* it found something to claim that has no slot in shared memory */
	uint32		unlisted;		/* and when the last one did that came to its end */
	SagaQueueKey *queues_ready; /* room for as many as can be */
	HTAB	   *owner_turns;	/* of SagaOwnerTurn; NULL: none yet (choose.c) */
	uint32		checked;		/* destinations whose owner had no room: the next ones are checked (choose.c) */
	Oid			last_chosen;	/* the owners after it have their turn */
	int			record_raised;	/* so many recording transactions in a row have not committed */
	TimestampTz guard_until;	/* till then each is recorded in a subtransaction */
	Oid			last_recorded;	/* the owners after it have their turn */
	struct Turn *turns;			/* of the recording that is being done */
	bool		claim_open;		/* a claiming transaction has not committed */
	bool		ending;			/* nothing is sent any more (ending.c) */
	bool		leaving;		/* it waits for what is in flight, and takes nothing more (ending.c) */
	SagaDestination *claiming_from; /* in it, pinned; NULL: none */
	List	   *compose_budgets;	/* in it: what owners have left of their time */
	Oid			last_composed;	/* the owners after it have their turn */
	SagaLimiter *limiter;
	int32		last_served;	/* the destinations after it have their turn */
	TimestampTz help_at;		/* not before, another publisher is asked for */
	TimestampTz clock_seen;		/* in the last turn: the clock, and at the same time */
	TimestampTz steady_seen;	/* saga_monotonic_now; 0: in none */
	dlist_head	returned;		/* given back, which has not committed */
	dlist_head	claiming;
	dlist_head	ready;
	dlist_head	flying;
	dlist_head	done;
};

/* Transactions: of its own, or in those of CALL saga.publish() (publisher.c). */
extern void saga_publisher_begin(SagaPublisher *publisher);
extern void saga_publisher_commit(SagaPublisher *publisher);

/* All of a list, with their places and their memory. */
extern void saga_sendings_free(dlist_head *list);

/* What is in flight stays under a lease that nobody holds. */
extern void saga_publisher_destroy(SagaPublisher *publisher);

/* For call.c, which ends by itself. */
extern SagaPublisher *saga_publisher_make(MemoryContext context, int max_in_flight);
extern int	saga_publisher_report(SagaPublisher *publisher);	/* what answers say to limits */

/* Times to wait for are moved along with a clock that was set (clock.c). */
extern void saga_publisher_heed_clock(SagaPublisher *publisher);

/* A record that is locked by somebody, or that cannot be written, is tried again after this. */
#define SAGA_RECORD_RETRY_MS 50

/* Writes down some of what is done.  Returns of how many it was tried (recording.c). */
extern int	saga_publisher_record(SagaPublisher *publisher);

/* ---------- pick.c ---------- */

/* Takes what there is room for.  False: there was nothing. */
extern bool saga_publisher_claim(SagaPublisher *publisher);

/* After a claiming transaction that aborted. */
extern void saga_publisher_undo_claim(SagaPublisher *publisher);

/* Is there something that we have room for? */
extern bool saga_publisher_has_new_work(SagaPublisher *publisher);

/* All requests that have not ended. */
extern int	saga_publisher_count(const SagaPublisher *publisher);

/* Queues that are said to be ready; valid until the next call. */
extern const SagaQueueKey *saga_publisher_ready(SagaPublisher *publisher, int *n);

/* There is something to claim, and no room for it here ("cleared" as in SagaWait). */
extern void saga_publisher_ask_for_help(SagaPublisher *publisher, int32 destination_id, bool cleared);

/* When there is something to do although nobody wakes us. */
extern TimestampTz saga_publisher_next_work(SagaPublisher *publisher);

/* ---------- share.c ---------- */

/*
 * Requests that have not ended, or are not recorded; those for tokens count for
 * their owner.  One that waits for a token counts too, so with tokens there may
 * be more than there is room for, and never more connections than that.
 */
typedef struct SagaLoad
{
	int			all;
	int			of_owner;
	int			of_destination;
} SagaLoad;

/* What long requests of the destination and of its owner take of request_budget; growth and needs are 0. */
extern void saga_room_look(const SagaPublisher *publisher, const SagaDestination *destination, SagaRoom *room);

/* A destination that messages are taken from in this transaction. */
typedef struct SagaCandidate
{
	SagaDestination *destination;
	SagaLimitGroup *group;
	SagaLoad	load;			/* with those that it gets */
	List	   *places;			/* for so many more */
	bool		ready;			/* its queue was said to be */
	bool		cleared;		/* the flag that says so is, and nothing was looked for since */
	bool		satisfied;		/* gets no more of them */
	bool		no_place;		/* ... as the group has none */
	bool		crowded;		/* ... as its owner has enough */
	bool		no_memory;		/* some were left in its queue, as he has no room for their bytes */
} SagaCandidate;

/* An owner who has all that he may have is looked at again after this. */
#define SAGA_CROWDED_MS	100

/* With those of this destination and of its owner; NULL: all only. */
extern void saga_settling_share(const SagaPublisher *publisher, const SagaDestination *destination,
								const SagaLimitGroup *group, SagaSettling *settling);
extern void saga_settling_used(SagaLimitGroup *group, int64 every_ms);
extern SagaLoad saga_outbox_count_requests(const SagaPublisher *publisher, const SagaDestination *destination);
extern bool saga_outbox_has_room(const SagaPublisher *publisher, const SagaDestination *destination, const SagaLoad *load);

/* False: he has his share, so none of his destinations gets a place of those that are left. */
extern bool saga_outbox_owner_has_room(const SagaPublisher *publisher, Oid owner);

/* Is there a place that he may have, and one at all?  For what nobody waits for yet. */
extern bool saga_outbox_owner_has_spare_room(const SagaPublisher *publisher, Oid owner);

/* Gives places to those that have room, one after the other. */
extern void saga_share_places(SagaPublisher *publisher, List *candidates);

/* ---------- choose.c ---------- */

/* By id, loaded: SagaCandidates of owners that have their turn.  Some are looked for in the table, too, with "everywhere". */
extern List *saga_publisher_choose(SagaPublisher *publisher, bool everywhere);

/* Has its owner some of his time left?  Else it is put off, and the first of his in the next round. */
extern bool saga_publisher_may_claim(SagaPublisher *publisher, const SagaCandidate *candidate);
extern void saga_publisher_claimed(SagaPublisher *publisher, const SagaCandidate *candidate, TimestampTz begun_at);
extern void saga_publisher_put_off(SagaPublisher *publisher, const SagaCandidate *candidate);

/* ---------- find.c ---------- */

/* Which ones have something to claim: of so many that are looked at, in the order of their ids. */
typedef struct SagaDestinationLook
{
	int32		after;			/* of those behind this one */
	int32		limit;
	Oid			user;			/* of owners whose privileges he has; InvalidOid: of all */
	bool		due;			/* or something that waits no longer */
	int			n;				/* what was found, in the caller's memory */
	int32	   *ids;
	Oid		   *owners;
	bool		more;			/* there may be others, behind "last" */
	int32		last;
} SagaDestinationLook;

extern void saga_outbox_destination_look(SagaDestinationLook *look);

/* ---------- composing.c ---------- */

/* What was claimed last from a destination, as far as its owner's time goes. */
extern void saga_publisher_compose_claimed(SagaPublisher *publisher, Oid owner);

/* Some of what is ready otherwise, in a transaction of its own.  Returns of how many it was tried. */
extern int	saga_publisher_compose(SagaPublisher *publisher);

/* ---------- pace.c: of the list "ready" ---------- */

extern bool saga_publisher_may_start(const SagaSending *sending, TimestampTz now);

/* Has one to get another time, or to go back?  Settle does it, in the claiming transaction. */
extern bool saga_publisher_has_unsettled(SagaPublisher *publisher);
extern void saga_publisher_settle(SagaPublisher *publisher);

/* No byte of it has left, so that its attempt can be undone. */
extern bool saga_publisher_has_not_left(const SagaSending *sending);

/* Gives those back, in a transaction; they are "returned" then. */
extern void saga_publisher_return_ready(SagaPublisher *publisher);

/* When one that waits for its time can go on. */
extern TimestampTz saga_publisher_next_start(SagaPublisher *publisher);

#endif							/* SAGA_OUTBOX_PUBLISHER_PRIVATE_H */
