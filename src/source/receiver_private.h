/*
 * receiver_private.h
 *		The event loop's own structures: sources as they are being served.
 */
#ifndef SAGA_RECEIVER_PRIVATE_H
#define SAGA_RECEIVER_PRIVATE_H

#include "source/source_private.h"

#define SAGA_RECEIVER_MAX_IN_FLIGHT	184
#define SAGA_RECEIVER_FOR_DELETES	16	/* of these, no receive takes them */
#define SAGA_RECEIVER_FETCH_MS		100 /* between two looks whether credentials have come */

/* A source as it is being served. */
typedef struct SagaIntake
{
	SagaSource *source;
	bool		stopped;		/* paused or gone: nothing is received any more */
	int			receiving;		/* receives in flight */
	SagaAccount *account;		/* of its owner */
	int			reserved;		/* messages that they may bring, and that wait for their commit */
	int			want;			/* receives in flight, while batches are full */
	int			failures;		/* of receives, in a row */
	int			most;			/* messages of one receive: more were too large an answer; 0: any number */
	TimestampTz receive_at;		/* not before */
	int			room;			/* how many more messages the target may be given */
	bool		looked;			/* room is known */
	bool		no_target;		/* there is a problem with it */
	TimestampTz look_at;		/* look at the target again */
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
	MemoryContext context;
	MemoryContext work;			/* reset each turn */
	SagaHttp   *http;
	bool		in_http;		/* while answers are told */
	bool		listed;			/* the sources have been read */
	uint32		generation;		/* when they were */
	List	   *intakes;		/* SagaIntake, by id */
	SagaBudget *budget;			/* memory for answers, and whose receives are in flight */
	int			receiving;		/* of all sources */
	int32		last_received;	/* source_id: those behind it receive first */
	SagaIntake *current;		/* the one that a transaction is about */
	dlist_head	pending;		/* deletes and extensions to be started */
	dlist_head	flying;
	dlist_head	finished;		/* to be freed */
};

/* receiver.c: a transaction of the process, its work in receiver->work */
extern void saga_receiver_begin(SagaReceiver *receiver);
extern void saga_receiver_commit(SagaReceiver *receiver);
extern SagaIntake *saga_receiver_find(SagaReceiver *receiver, int32 source_id);

/* intake.c: each a step that does not wait */
extern void saga_intake_set_error(SagaReceiver *receiver, SagaIntake *intake, const char *error);
extern bool saga_intake_has_news(const SagaIntake *intake, TimestampTz now);
extern void saga_intake_tell(SagaReceiver *receiver, SagaIntake *intake);
extern bool saga_intake_needs_look(const SagaIntake *intake, TimestampTz now);
extern void saga_intake_look(SagaReceiver *receiver, SagaIntake *intake);
extern bool saga_intake_may_receive(const SagaReceiver *receiver, const SagaIntake *intake, TimestampTz now);
extern void saga_intake_receive(SagaReceiver *receiver, SagaIntake *intake);
extern void saga_intake_commit(SagaReceiver *receiver, SagaIntake *intake);
extern void saga_intake_extend(SagaReceiver *receiver, SagaIntake *intake, TimestampTz now);
extern TimestampTz saga_intake_extend_at(SagaIntake *intake);

/* A delete has had its answer, or could not be started. */
extern void saga_receiver_deleted(SagaReceiver *receiver, SagaSourceRequest *request, const char *error);

#endif							/* SAGA_RECEIVER_PRIVATE_H */
