/*
 * sending.h
 *		The publisher's own structures: messages being sent.
 *
 * A delivery is one attempt of one outbox message; a sending is one HTTP
 * request, with one delivery, or up to ten of one SNS topic.  A sending has a
 * memory context of its own, which everything of it lives in.
 */
#ifndef SAGA_OUTBOX_SENDING_H
#define SAGA_OUTBOX_SENDING_H

#include "lib/ilist.h"
#include "mapping/mapping.h"
#include "outbox/destination.h"
#include "outbox/http.h"
#include "outbox/outbox.h"
#include "outbox/xml.h"

typedef enum SagaClass
{
	SAGA_CLASS_SUCCESS,
	SAGA_CLASS_RETRY,			/* it had no effect */
	SAGA_CLASS_UNCERTAIN,		/* it may have had an effect: sent again under the same key */
	SAGA_CLASS_AUTH,			/* the credentials: an operator may repair them */
	SAGA_CLASS_SPLIT,			/* one of a batch is wrong: each is sent alone next */
	SAGA_CLASS_FATAL
} SagaClass;

extern const char *saga_class_name(SagaClass class);

typedef struct SagaDelivery
{
	/* the message */
	pg_uuid_t	outbox_id;
	char		op;
	bool		only_submit;
	int32		workflow_id;	/* 0: nobody waits */
	pg_uuid_t	execution_id;
	int32		task_id;
	pg_uuid_t	idempotency_key;
	char	   *ordering_key;
	Jsonb	   *request;
	TimestampTz created_at;
	int			attempt;		/* this one, from 1 */
	bool		doubtful;		/* an earlier one may have had its effect */
	bool		alone;			/* not in a batch */

	/* what became of it */
	SagaClass	class;
	int			status;			/* of HTTP, 0: no answer */
	const char *error;			/* unless success: for the task */
	const char *cause;			/* foreign text: not yet in the server's encoding */
	int64		retry_after_ms; /* what the server asked for, -1: nothing */
	const SagaSnsEntry *entry;	/* of a success of SNS */
} SagaDelivery;

typedef struct SagaSending
{
	dlist_node	node;			/* in one of the publisher's lists */
	MemoryContext context;
	SagaDestination *destination;	/* pinned */
	int			ndeliveries;
	SagaDelivery *deliveries[SAGA_SNS_MAX_ENTRIES];

	/* made in the claiming transaction */
	char	   *url;
	char	   *body;			/* NULL: none; in UTF-8 */
	const char *content_type;

	/* made when it is sent */
	List	   *secrets;		/* char *: in the request, to be taken out of answers */
	SagaHttpRequest http;
	SagaTransfer *transfer;
	TimestampTz started_at;

	/* the answer */
	TimestampTz ended_at;
	char	   *head;			/* header lines; NULL: no answer */
	char	   *answer;			/* its body */
	size_t		answer_len;
	bool		answer_is_json;
	int			record_tries;	/* recording it raised so often */
	int			nunrecorded;	/* deliveries whose record was locked */
	SagaDelivery *unrecorded[SAGA_SNS_MAX_ENTRIES];
} SagaSending;

/* Bytes of a sending, in the claiming transaction (compose.c, sns.c). */
extern void saga_compose_http(SagaSending *sending);
extern void saga_compose_sns(SagaSending *sending);
extern size_t saga_sns_size(const SagaDelivery *delivery);

/* Headers and secrets, when it is sent; NULL or why it cannot be sent now. */
extern char *saga_prepare_http(SagaSending *sending);
extern char *saga_prepare_sns(SagaSending *sending);

/* Fill the deliveries' outcome from the answer; outside a transaction (classify.c, sns.c). */
extern void saga_sending_not_sent(SagaSending *sending, const char *cause);
extern void saga_sending_answered(SagaSending *sending, const SagaHttpAnswer *answer);
extern void saga_classify_sns(SagaSending *sending, const SagaHttpAnswer *answer);

extern bool saga_head_says_json(const char *head);

/* When to try again; only after a class that is tried again. */
extern int64 saga_retry_delay_ms(const SagaDestination *destination, const SagaDelivery *delivery);
extern bool saga_is_final(const SagaDestination *destination, const SagaDelivery *delivery);

/* For the record, inside a transaction (result.c). */
extern char *saga_foreign_text(const char *text, size_t len, size_t max_bytes);
extern Jsonb *saga_delivery_output(const SagaSending *sending, const SagaDelivery *delivery);

/* ---------- inside a transaction, with SPI connected ---------- */

/*
 * Claims up to max_sendings requests of a destination; they are pushed to
 * *claimed and must be thrown away if the transaction aborts (claim.c).
 * Returns the number of queue rows taken.
 */
extern int	saga_claim_sendings(SagaDestination *destination, int max_sendings, int64 lease,
								MemoryContext parent, dlist_head *claimed);

/*
 * Writes down how a sending went.  False: records of some deliveries are
 * locked by somebody; these are in "unrecorded", to be done later (record.c).
 */
extern bool saga_record_sending(SagaSending *sending, int64 lease);

extern void saga_sending_free(SagaSending *sending);

/*
 * Messages with an ordering key (ordering.c).  Only its first unfinished
 * message is in the queue or the timer table; the others have no row there.
 * The lock, held until the end of the transaction, makes publishers see each
 * other's decisions; take it before the two others.
 */
extern void saga_ordering_lock(int32 destination_id);
extern bool saga_ordering_is_first(int32 destination_id, const char *key, const pg_uuid_t *outbox_id);
extern void saga_ordering_release(int32 destination_id, const char *key);

/* Leases (lease.c): a number in saga.timer that a living process has a lock for. */
extern int64 saga_lease_take(void);
extern void saga_lease_drop(int64 lease);
extern int	saga_lease_release_dead(int64 own_lease);

#endif							/* SAGA_OUTBOX_SENDING_H */
