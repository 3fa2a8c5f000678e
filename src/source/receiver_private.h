/*
 * receiver_private.h
 *		The event loop's own structures: sources as they are being served.
 */
#ifndef SAGA_RECEIVER_PRIVATE_H
#define SAGA_RECEIVER_PRIVATE_H

#include "loop/loop.h"
#include "source/source_private.h"

#define SAGA_RECEIVER_MAX_RECEIVES	136 /* in flight at once, of all owners */
#define SAGA_RECEIVER_MAX_SETTLING	48	/* deletes and extensions */
#define SAGA_RECEIVER_FETCH_MS		100 /* between two looks whether credentials have come */

/*
 * One owner of sources: what he takes of the process that serves all.  Lives
 * as long as the receiver.
 */
struct SagaSourceOwner
{
	SagaAccount *account;		/* memory for answers; its requests are his receives in flight */
	List	   *intakes;		/* SagaIntake, by id */
	dlist_head	pending;		/* deletes and extensions to be started */
	int			npending;
	int			settling;		/* those in flight */
	size_t		held;			/* bytes of answers that were not committed yet */
	int64		used_us;		/* of the process's time, in this turn */
	int32		last_received;	/* source_id: those behind it receive first */
	int32		last_served;	/* and are served first */
	TimestampTz log_from;		/* the minute that is counted */
	int			logged;			/* lines of his sources in it */
};

/* A source as it is being served. */
typedef struct SagaIntake
{
	SagaSource *source;
	bool		stopped;		/* paused or gone: nothing is received any more */
	int			receiving;		/* receives in flight, and answers that were not read yet */
	int			outstanding;	/* deletes and extensions, pending and in flight */
	int			settling;		/* those in flight */
	SagaSourceOwner *owner;
	int			reserved;		/* messages that they may bring, and that wait for their commit */
	int			want;			/* receives in flight, while batches are full */
	int			failures;		/* of receives, in a row */
	int			stale;			/* pauses in a row because nothing new came */
	int			most;			/* messages of one receive: more were too large an answer; 0: any number */
	TimestampTz receive_at;		/* not before */
	int			room;			/* how many more messages the target may be given */
	bool		looked;			/* room is known */
	bool		no_target;		/* there is a problem with it */
	TimestampTz look_at;		/* look at the target again */
	dlist_head	answers;		/* of receives, to be read */
	dlist_head	received;		/* receives whose messages are to be committed */
	int			accept_tries;	/* committing them raised so often */
	TimestampTz accept_at;		/* not before */
	char	   *error;			/* why it does not go on; NULL: it does */
	const char *noted_state;	/* as saga.sources shows it */
	char	   *noted_error;
	TimestampTz note_at;		/* not before */
} SagaIntake;

struct SagaReceiver
{
	SagaLoop	loop;			/* its memory is also for messages until they are committed */
	bool		listed;			/* the sources have been read */
	uint32		generation;		/* when they were */
	TimestampTz reload_at;		/* not before */
	List	   *intakes;		/* SagaIntake, by id */
	List	   *owners;			/* SagaSourceOwner */
	int			receiving;		/* of all sources */
	int			settling;
	int			last_received;	/* positions of owners: those behind have their turn first */
	int			last_settled;
	int			last_served;
	TimestampTz pending_at;		/* what is pending was looked at then */
	SagaIntake *current;		/* the one that a transaction is about */
	dlist_head	flying;
	dlist_head	finished;		/* to be freed */
};

/* receiver_common.c: a transaction of the loop */
extern void saga_receiver_begin(SagaReceiver *receiver);
extern void saga_receiver_commit(SagaReceiver *receiver);

/* Anything from half of the delay to the whole, which is doubled with each failure. */
extern TimestampTz saga_source_after_ms(int64 ms);	/* of the monotonic clock */
extern void saga_source_count_error(void);	/* that saga.workers shows for this process */

/* share.c: how much of the process an owner has */
extern SagaSourceOwner *saga_source_owner(SagaReceiver *receiver, Oid role);
extern bool saga_source_owner_may_receive(const SagaReceiver *receiver, const SagaSourceOwner *owner);
extern bool saga_source_owner_may_settle(const SagaReceiver *receiver, const SagaSourceOwner *owner);
extern void saga_source_hold_memory(SagaReceiver *receiver);
extern bool saga_source_owner_has_time(const SagaSourceOwner *owner);
extern bool saga_source_owner_may_log(SagaSourceOwner *owner);

/* intake.c: each a step that does not wait */
extern SagaIntake *saga_intake_new(MemoryContext context);
extern void saga_intake_serve_as(SagaIntake *intake, SagaSource *source, SagaSourceOwner *owner);
extern void saga_intake_read(SagaReceiver *receiver, SagaIntake *intake);
extern void saga_intake_set_error(SagaReceiver *receiver, SagaIntake *intake, const char *error);
extern bool saga_intake_has_news(const SagaIntake *intake, TimestampTz now);
extern void saga_intake_tell(SagaReceiver *receiver, SagaIntake *intake);
extern bool saga_intake_needs_look(const SagaIntake *intake, TimestampTz now);
extern void saga_intake_look(SagaReceiver *receiver, SagaIntake *intake);
extern bool saga_intake_may_receive(const SagaReceiver *receiver, const SagaIntake *intake, TimestampTz now);
extern void saga_intake_receive(SagaReceiver *receiver, SagaIntake *intake);

/* In a transaction: the queue that the source's messages go to; NULL: there is a problem, which is noted. */
extern const SagaQueue *saga_intake_find_target(SagaReceiver *receiver, SagaIntake *intake);
extern void saga_intake_note(SagaReceiver *receiver, SagaIntake *intake);

/* No receive before that, doubled each time that nothing new came. */
extern void saga_intake_came(SagaIntake *intake, bool anything_new);

/* A request of a source, which is not started yet; whoever asks is told of its answer. */
extern SagaSourceRequest *saga_intake_request(SagaReceiver *receiver, SagaIntake *intake, SagaSource *source,
											  SagaSourceAction action, SagaSourceAnswered answered);

/* settle.c: what was received is committed, and deleted or hidden for longer */
extern void saga_intake_commit(SagaReceiver *receiver, SagaIntake *intake);
extern void saga_intake_extend(SagaReceiver *receiver, SagaIntake *intake, TimestampTz now);
extern TimestampTz saga_intake_extend_at(SagaIntake *intake);

/* A delete or an extension has had its answer, or could not be started. */
extern void saga_receiver_settled(SagaReceiver *receiver, SagaSourceRequest *request, const char *error);

/* turn.c: each returns how much was done */
extern int	saga_source_start_receives(SagaReceiver *receiver);
extern int	saga_source_start_pending(SagaReceiver *receiver);
extern int	saga_source_serve_owners(SagaReceiver *receiver);


#endif							/* SAGA_RECEIVER_PRIVATE_H */
