/*
 * outbox.h
 *		The transactional outbox: destinations, and the messages for them.
 *
 * A message is a row of saga.outbox (the record: request, attempts, reply)
 * and a row of the destination's queue (when it may be sent).  A publisher
 * claims from the queue, commits, sends with no transaction open, and records
 * replies in batches.  A reply that an execution waits for becomes an event
 * in its workflow's queue.
 */
#ifndef SAGA_OUTBOX_H
#define SAGA_OUTBOX_H

#include "asl/asl.h"
#include "common/common.h"
#include "queue/queue.h"

extern void saga_outbox_init(void); /* from _PG_init */

/* From _PG_init of the postmaster: notes when its files were put back in place (takeover.c). */
extern void saga_takeover_look_at_files(void);

/* From the coordinator, in a transaction: notes whether what is on record goes on from another state. */
extern void saga_takeover_note(void);

typedef enum SagaOutboxOp
{
	SAGA_OUTBOX_PUBLISH = 'p',	/* nobody waits */
	SAGA_OUTBOX_HTTP = 'h',		/* a Task waits for the reply's body */
	SAGA_OUTBOX_SNS = 's',		/* a Task waits for the MessageId */
	SAGA_OUTBOX_SQS = 'q'		/* a Task waits for the MessageId */
} SagaOutboxOp;

typedef struct SagaOutboxEntry
{
	pg_uuid_t	outbox_id;		/* set by the caller (saga_uuid_new) */
	const char *destination;	/* name; NULL: found from what the request names */
	SagaOutboxOp op;
	Jsonb	   *request;		/* payload, headers, attributes as the task gave them */
	const char *ordering_key;
	pg_uuid_t	idempotency_key;	/* the same for all attempts of one call of a step */
	/* who waits, or may have it undone; workflow_id 0: nobody */
	int32		workflow_id;
	pg_uuid_t	execution_id;
	int			task_id;
	bool		only_submit;	/* .waitForTaskToken: a success is no event, a failure is */
	Oid			role;			/* whose names count, and who must be allowed to use the destination */

	/*
	 * The id of what a name in the request meant when the definition was
	 * made; 0: nothing then, so it is looked up now.  NULL: no definition.
	 */
	int32		(*meant) (const char *name, void *arg);
	void	   *meant_arg;
} SagaOutboxEntry;

/*
 * The destination that a text in a request means for a role: "saga:NAME/path", a URL, the
 * ARN of a topic, the URL of a queue, a name to publish to.  *name is what of it names the
 * destination, as SagaOutboxEntry.meant is asked for it.  0: none.
 */
extern int32 saga_destination_meaning(SagaOutboxOp op, const char *text, Oid role, char **name);

/*
 * Writes the two rows in the current transaction.  Returns NULL, or an error
 * for the task ("States.Runtime", cause in *cause) when the request is wrong
 * or the destination does not exist or is not the role's to use.
 */
extern const char *saga_outbox_enqueue(const SagaOutboxEntry *entry, char **cause);

/*
 * A message for a queue of this database, as a task gives it.  NULL, or the
 * error of SQS, with *cause, of what SQS would not take either (topic.c).
 */
extern const char *saga_request_check_local(Jsonb *input, int *delay_s, char **cause);

/* An execution ended or its task timed out: what it still has waiting to be sent is withdrawn. */
extern void saga_outbox_withdraw(int32 workflow_id, const pg_uuid_t *execution_id, int task_id);	/* 0: all tasks */

/* The task's token has been answered, which is the outcome of its request: it is sent and asked for no more. */
extern void saga_outbox_answered(int32 workflow_id, const pg_uuid_t *execution_id, int task_id, bool done);

/*
 * What is known of the call of a task, whose record is locked then; takes it
 * back where it can be (doubt.c).  Fills the call in.
 */
extern void saga_outbox_fate(const pg_uuid_t *execution_id, SagaWish wish, SagaOutside *call);

/*
 * The message call->message_id, of an execution that has ended, is task
 * call->task_id of this one from now on, which undoes that.  Fate DONE: so it
 * is; else there is no such message.
 */
extern void saga_outbox_adopt(const pg_uuid_t *ended, const pg_uuid_t *execution_id, SagaOutside *call);

/* Goes on with a call that has failed in doubt; answered: its failure has been taken from the queue. */
extern void saga_outbox_resume(const pg_uuid_t *execution_id, int task_id, bool answered);

/* A person says how a call went.  Of an execution that has ended the caller keeps the list, and nobody is told. */
typedef enum SagaSaid
{
	SAGA_SAID_DONE,
	SAGA_SAID_NO_EFFECT,
	SAGA_SAID_UNKNOWN			/* nobody finds out any more */
} SagaSaid;

typedef enum SagaSettled
{
	SAGA_SETTLED,				/* it is written down, and the execution is told, if it is live */
	SAGA_NOT_WAITED_FOR,		/* what is in doubt is written down; nobody is told */
	SAGA_NOT_IN_DOUBT,			/* it has not been sent, or has had no effect: nothing was done */
	SAGA_IN_FLIGHT				/* its answer is still to come, and nobody knows better: nothing was done */
} SagaSettled;

/* Which process waits for the answer; 0: one is about to send it. */
typedef struct SagaFlight
{
	int			pid;
	TimestampTz until;			/* at the latest */
} SagaFlight;

extern SagaSettled saga_outbox_settle(const pg_uuid_t *message_id, int32 workflow_id, const pg_uuid_t *execution_id,
									  int task_id, SagaSaid said, Jsonb *output, bool live, SagaFlight *flight);

/* Of an execution that has ended: asks anew how its call went.  False: it cannot. */
extern bool saga_outbox_ask(const pg_uuid_t *message_id, const pg_uuid_t *execution_id, int task_id);

/*
 * Of an execution that has ended: how its call went is not asked for any more, and what was lost in flight is
 * in doubt.  SAGA_IN_FLIGHT: it may take effect yet, and nothing was done.
 */
extern SagaSettled saga_outbox_close(const pg_uuid_t *message_id, const pg_uuid_t *execution_id, int task_id,
									 SagaFlight *flight);

/* The heir is started for it, and may take up what nobody knows of (again.c).  Before its list is closed. */
extern void saga_outbox_hand_on(const pg_uuid_t *execution_id, const pg_uuid_t *heir);

/*
 * The publisher's work for this database, in a process of its own.  Called
 * outside a transaction; it opens and commits its own.  When a turn raises,
 * abort the transaction and call it again.  (CALL saga.publish() does the
 * same in the caller's session.)
 */
typedef struct SagaPublisher SagaPublisher;

extern SagaPublisher *saga_publisher_create(MemoryContext context);

/*
 * One turn of the event loop: never returns before something happened, the
 * latch was set (it is reset then) or timeout_ms passed.  Sets and clears
 * "sleeping" of saga_my_proc.
 */
extern void saga_publisher_turn(SagaPublisher *publisher, long timeout_ms);

/*
 * A turn when the process is not needed any more: it takes nothing, gives back
 * what has not left, and waits for what is in flight.  False: it has all answers.
 */
extern bool saga_publisher_leave(SagaPublisher *publisher, long timeout_ms);

/*
 * The last turn, when the process is to end: records the answers that have
 * arrived, until that time of saga_monotonic_now.  What raises is as in a turn.
 */
extern void saga_publisher_finish(SagaPublisher *publisher, TimestampTz until);

/* Another one ended: what it had in flight is looked for in the next turn. */
extern void saga_publisher_look_for_lost(SagaPublisher *publisher);

/* It has requests in flight. */
extern bool saga_publisher_has_requests(const SagaPublisher *publisher);

/* It has something to do at a time that nobody else knows of. */
extern bool saga_publisher_is_waiting(const SagaPublisher *publisher);

/* Called by the outbox when a reply is an event for an execution; set by the engine. */
typedef void (*saga_outbox_event_hook_type) (int32 workflow_id, const pg_uuid_t *execution_id, Jsonb *body);
extern saga_outbox_event_hook_type saga_outbox_event_hook;

/*
 * Called when a destination is dropped, set by the engine: nobody settles its
 * calls any more.  With force they are unknown to those who have made them;
 * without, and where somebody has their rows locked, it returns true: there are some.
 * *pid: a process that has; 0: none is known.
 */
typedef bool (*saga_outbox_drop_hook_type) (int32 destination_id, bool force, int *pid);
extern saga_outbox_drop_hook_type saga_outbox_drop_hook;

/* May a workflow ask for the body of an answer?  NULL: none does; set by the engine. */
typedef bool (*saga_outbox_body_hook_type) (int32 workflow_id);
extern saga_outbox_body_hook_type saga_outbox_body_hook;

#endif							/* SAGA_OUTBOX_H */
