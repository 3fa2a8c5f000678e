/*
 * sending_private.h
 *		The publisher's own structures: messages being sent.
 *
 * A delivery is one attempt of one outbox message; a sending is one exchange
 * with a destination (exchange.h), with one delivery, or up to ten of one topic
 * or queue.  It lives in the exchange's memory context.
 */
#ifndef SAGA_OUTBOX_SENDING_PRIVATE_H
#define SAGA_OUTBOX_SENDING_PRIVATE_H

#include "common/statement.h"
#include "endpoint/exchange.h"
#include "lib/ilist.h"
#include "outbox/outbox.h"

/* What is to be done with a message after an answer (flow.c). */
typedef enum SagaVerdict
{
	SAGA_VERDICT_DELIVERED,
	SAGA_VERDICT_FAILED,
	SAGA_VERDICT_AGAIN
} SagaVerdict;

typedef struct SagaDelivery
{
	SagaPart	part;			/* first: what its request is made of, and what the answer says */

	/* the message */
	char		op;
	bool		only_submit;
	int32		workflow_id;	/* 0: nobody waits */
	pg_uuid_t	execution_id;
	int32		task_id;
	char	   *ordering_key;
	TimestampTz created_at;
	int			attempt;		/* this one, from 1, of any phase */
	bool		alone;			/* not in a batch */
	TimestampTz unwanted_since; /* what it does is to be undone; 0: it is wanted */
	bool		ordered;		/* it has, or had, an ordering key */

	/* where it stands, as do the part's phase and key; the verdict changes it */
	int			sends;
	int			phase_tries;
	bool		uncertain;		/* an earlier request may have had its effect */
	bool		unproved;		/* so it is, and the look-up has told nothing */
	bool		lost;			/* the one before this was lost with its publisher */
	bool		taken_over;		/* another server may have sent it, and no look-up tells */
	int			same_failures;
	bool		doubted;		/* it was uncertain once, though a look-up found nothing */
	int			sent_status;	/* of the last request with an effect; 0: none */
	char	   *sent_error;		/* "Name: cause" of it, NULL */
	int			sent_class;		/* SagaClass of it; -1: none */
	TimestampTz first_sent_at;	/* 0: never */
	TimestampTz pending_since;	/* 0: not */

	/* what follows on the answer */
	SagaPhase	asked;			/* the phase of this attempt, whatever comes next */
	bool		foreign;		/* of a look-up: what it found is another message's */
	const char *other_error;	/* of Saga.Uncertain: what it would be called without the doubt; NULL: nothing */
	bool		decided;		/* once, also when recording has to be tried again */
	struct SagaDelivery *before;	/* as it was then */
	SagaVerdict verdict;
	int64		delay_ms;		/* again after it */
} SagaDelivery;

/* When a request may start, and what it takes of its group's limits meanwhile. */
typedef struct SagaPlan
{
	struct SagaLimitGroup *limit;
	int			place;			/* it has one of the group's; 0: none */
	bool		probe;			/* the breaker waits for how it goes */
	SagaAccount *account;		/* whose memory it takes; NULL: none that is counted */
	size_t		bytes;			/* of it, as far as is known */
	size_t		stored;			/* so long are its requests as they are stored */
	size_t		grew;			/* and each got so much longer; "known" until the group has learnt of it */
	bool		grew_known;
	TimestampTz claimed_at;
	bool		compose_begun;
	bool		composed;		/* begun and not composed: it raised, or is larger than there is memory for */
	TimestampTz start_at;		/* not before; 0: no time was given to it yet */
	TimestampTz start_by;		/* later it needs another time; 0: any time will do */
	TimestampTz ask_at;			/* there was none: ask again then */
	bool		later;			/* it waited for a token since */
	bool		put_back;		/* it could not be sent for want of something of ours: back into its queue */
	bool		told;			/* how it went is counted */
} SagaPlan;

typedef struct SagaSending
{
	SagaHttpUser user;
	dlist_head *done;			/* where it goes when its answer has come */
	dlist_head *ready;			/* and if it could not be sent for want of something of ours */
	dlist_node	node;			/* in one of the publisher's lists */
	SagaExchange exchange;
	SagaPlan	plan;
	bool		settles;		/* it only finds out how an unwanted call went */
	bool		refused_before; /* credentials were, and are new now */

	/* what is recorded: the exchange's parts are the first of each of these */
	int			ndeliveries;
	SagaDelivery *deliveries[SAGA_SNS_MAX_ENTRIES];
	bool		recorded;		/* in the transaction that is being done */
	int			record_tries;	/* recording it raised so often */
	TimestampTz record_at;		/* not before: its record was locked, or recording it raised */
	int			nunrecorded;	/* deliveries whose record was locked */
	SagaDelivery *unrecorded[SAGA_SNS_MAX_ENTRIES];
} SagaSending;

/* What follows on it: the verdict, and where the message stands then (flow.c). */
extern void saga_decide(const SagaSending *sending, SagaDelivery *delivery, TimestampTz now);

/* What is done next to find out whether a message that is not wanted any more was done (settle.c). */
typedef enum SagaSettleStep
{
	SAGA_SETTLE_ASK_LOOKUP,
	SAGA_SETTLE_ASK_POLL,
	SAGA_SETTLE_ASK_AGAIN,		/* the same request under the same key */
	SAGA_SETTLED_NOT_DONE,		/* and it will not be: it is not sent */
	SAGA_SETTLED_SUSPECTED,		/* nobody can find out, and undoing it does no harm */
	SAGA_SETTLED_UNKNOWN		/* nobody can find out */
} SagaSettleStep;

extern SagaSettleStep saga_settle_step(const SagaDestination *destination, const SagaDelivery *delivery,
									   bool polls, TimestampTz at);
extern int64 saga_settle_delay_ms(const SagaDestination *destination, const SagaDelivery *delivery);

/* The message is withdrawn, and this row of it is dropped: says what is known of it.  False: somebody has it. */
extern bool saga_outbox_drop_withdrawn(const SagaDestination *destination, const SagaDelivery *delivery);

/* One that has just been withdrawn: a publisher finds it, also if it has waited for others of its ordering key. */
extern void saga_outbox_show_withdrawn(int32 destination_id, const pg_uuid_t *outbox_id, char *ordering_key);

/* Ends a message that is not wanted any more and of which nothing can be asked; false: not now (doubt.c). */
extern bool saga_outbox_end_unwanted(const SagaDestination *destination, const SagaDelivery *delivery,
									 SagaSettleStep step);

#define SAGA_CANNOT_RESEND \
	"it may have been done, and cannot be asked again: there is neither a key that the server still knows nor a look-up"

/* A key that is about to expire does not protect the next request. */
#define SAGA_KEY_MARGIN_S 60

/* Does the server still know a key that was first sent then (again.c)? */
extern bool saga_outbox_key_is_known(const SagaDestination *destination, TimestampTz first_sent_at);

/* May an uncertain request be made again at that time, without looking? */
extern bool saga_outbox_may_resend(const SagaSending *sending, const SagaDelivery *delivery, TimestampTz at);

/* The request that an attempt makes (flow.c). */
extern SagaPhase saga_outbox_phase_of(const SagaDestination *destination, const SagaDelivery *delivery,
									  const char *stored);

/* ---------- inside a transaction ---------- */

/*
 * Claims up to max_sendings requests of a destination; they are pushed to
 * *claimed and must be thrown away if the transaction aborts (claim.c).
 * Returns the number of queue rows taken.  Of calls that are not wanted any more
 * settling->n are claimed at most, which becomes what is left of that; the
 * others come again later, about one in settling->every_ms.
 */
typedef struct SagaSettling
{
	int			n;
	int64		every_ms;
} SagaSettling;

/*
 * Memory for requests (room.c): what is long is claimed only when there is room
 * for it.  The first one that has none, and what is behind it, stays in the queue.
 */
typedef struct SagaRoom
{
	SagaAccount *account;		/* the owner's */
	size_t		of_destination; /* of it, what requests of this destination take already */
	int			others;			/* other destinations of the owner that have some; 2: or more */
	size_t		growth;			/* a request of this destination gets so much larger when it is composed */
	size_t		needs;			/* set: what there was no room for; 0: nothing was left for that */
} SagaRoom;

extern int	saga_outbox_claim_sendings(SagaDestination *destination, int max_sendings, SagaSettling *settling, SagaRoom *room,
									   int64 lease, MemoryContext parent, dlist_head *claimed);

/* Of the request in a row of claim.c as it is stored, not compressed; it need not be read for that. */
extern size_t saga_room_stored(SagaRows *record);

/* So much is counted for the message when it is taken; 0: it is short. */
extern size_t saga_room_needed(const SagaRoom *room, const SagaDestination *destination, SagaRows *record);

/* How many of n rows can be taken, the first ones: by their records, with "ord" from 1. */
extern int	saga_room_fitting(SagaRoom *room, const SagaDestination *destination, SagaRows *records, int n);

/* Is there room for one more of this size, when others of the destination with "taken" bytes are taken with it? */
extern bool saga_room_has(const SagaRoom *room, size_t taken, size_t n);

/*
 * May a request of the destination take "more" than is counted, which has "total"
 * then, and has "besides" for other requests (share.c)?
 */
extern bool saga_room_may_take(const SagaRoom *room, size_t besides, size_t more, size_t total);

/* It takes so much more.  Given back when it is freed. */
extern void saga_room_take(SagaPlan *plan, SagaAccount *account, size_t n);
extern void saga_room_give(SagaPlan *plan);

/* Once it is composed: what it really takes.  False: there is no room for that, its bytes are gone, it goes back. */
extern bool saga_room_settle(SagaSending *sending, const SagaRoom *room);

/* Its group takes note of how much larger it got, as soon as it has one. */
extern void saga_room_learn(SagaPlan *plan);

/* The request as it is stored, and what templates saw, also of a reduced one; in a transaction.  NULL: it is gone. */
extern Jsonb *saga_delivery_request(const SagaDestination *destination, const SagaDelivery *delivery);
extern Jsonb *saga_delivery_message(const SagaExchange *exchange, const SagaDelivery *delivery);
extern Jsonb *saga_outbox_load_message(const SagaExchange *exchange, const SagaPart *part);

/*
 * Writes down how a sending went.  False: records of some deliveries are
 * locked by somebody; these are in "unrecorded", to be done later (record.c).
 */
extern bool saga_outbox_record_sending(SagaSending *sending, int64 lease);

/*
 * What tells things apart that answers and look-ups speak of; false: nothing
 * does (captured.c).  And of an answer of success: is what the look-up found
 * another message's?  False: somebody is writing that down, to be done later.
 */
extern bool saga_outbox_captured_hash(const SagaDestination *destination, const SagaDelivery *delivery, int64 *hash);
extern bool saga_outbox_captured_check(const SagaDestination *destination, SagaDelivery *delivery);

extern void saga_sending_free(SagaSending *sending);

/* It has ended, or will not start: its place is somebody else's. */
extern void saga_sending_leave(SagaSending *sending);

/*
 * Nothing of it left: the messages are not in flight any more, and due after
 * the delay; the attempt does not count (claim.c).
 */
extern void saga_outbox_unclaim_sending(const SagaSending *sending, int64 lease, int64 delay_ms);

/*
 * Messages with an ordering key (ordering.c).  Only its first unfinished
 * message is in the queue or the timer table; the others have no row there.
 * The lock, held until the end of the transaction, makes publishers see each
 * other's decisions; take it before the two others.  False: somebody has it,
 * perhaps a CALL saga.publish() that stands still, and wait is false.
 */
extern bool saga_ordering_lock(int32 destination_id, bool wait);
extern bool saga_ordering_is_first(int32 destination_id, const char *key, const pg_uuid_t *outbox_id);
extern void saga_ordering_release(int32 destination_id, const char *key);
extern void saga_ordering_free(int32 destination_id, const pg_uuid_t *outbox_id, const char *ordering_key);

/* Leases (lease.c): a number of messages in flight that a living process has a lock for. */
extern int64 saga_lease_take(void);
extern void saga_lease_drop(int64 lease);
extern bool saga_lease_is_dead(int64 lease);
extern int	saga_lease_owner(int64 lease);	/* its process id; 0: it is gone */
extern int	saga_lease_release_dead(int64 own_lease);

/*
 * Each time before a process claims, or decides on what was claimed or not, in
 * that transaction.  Then: may the message have been sent by a server whose
 * later state is lost?  looked_up: what was sent since has begun with a look-up.
 * last_sent_at 0: never.
 */
extern void saga_takeover_look(void);
extern void saga_takeover_begin(void);	/* before there is anything to send */
extern bool saga_takeover_doubts(const SagaDelivery *delivery, bool looked_up, TimestampTz last_sent_at);

/* Registers the look-up of names of destinations and secrets (find.c). */
/* from _PG_init */
extern void saga_outbox_destination_init(void);

#endif							/* SAGA_OUTBOX_SENDING_PRIVATE_H */
