/*
 * sending.h
 *		The publisher's own structures: messages being sent.
 *
 * A delivery is one attempt of one outbox message; a sending is one HTTP
 * request, with one delivery, or up to ten of one topic or queue.  A sending has a
 * memory context of its own, which everything of it lives in.
 */
#ifndef SAGA_OUTBOX_SENDING_H
#define SAGA_OUTBOX_SENDING_H

#include "lib/ilist.h"
#include "net/http.h"
#include "net/xml.h"
#include "outbox/destination.h"
#include "outbox/outbox.h"

/* Which of its requests an attempt makes. */
typedef enum SagaPhase
{
	SAGA_PHASE_SEND,
	SAGA_PHASE_LOOKUP,			/* uncertain, and the destination has a look-up */
	SAGA_PHASE_POLL,
	SAGA_PHASE_OTHER			/* the compensation's "else" */
} SagaPhase;

extern const char *saga_phase_name(SagaPhase phase);

/* What is to be done with a message after an answer (flow.c). */
typedef enum SagaVerdict
{
	SAGA_VERDICT_DELIVERED,
	SAGA_VERDICT_FAILED,
	SAGA_VERDICT_AGAIN
} SagaVerdict;

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
	int			attempt;		/* this one, from 1, of any phase */
	bool		alone;			/* not in a batch */
	bool		compensate;
	TimestampTz unwanted_since; /* what it does is to be undone; 0: it is wanted */
	bool		ordered;		/* it has, or had, an ordering key */

	/* where it stands; the verdict changes it */
	SagaPhase	phase;
	int			sends;
	int			phase_tries;
	bool		uncertain;		/* an earlier request may have had its effect */
	bool		unproved;		/* so it is, and the look-up has told nothing */
	bool		lost;			/* the one before this was lost with its publisher */
	int			same_failures;
	bool		doubted;		/* it was uncertain once, though a look-up found nothing */
	int			sent_status;	/* of the last request with an effect; 0: none */
	char	   *sent_error;		/* "Name: cause" of it, NULL */
	int			sent_class;		/* SagaClass of it; -1: none */
	SagaPhase	asked;			/* the phase of this attempt, whatever comes next */
	bool		accepted;		/* the server says that it is done, and what else it says cannot be read */
	int			key_epoch;
	TimestampTz first_sent_at;	/* 0: never */
	TimestampTz pending_since;	/* 0: not */
	Jsonb	   *captured;		/* NULL: nothing */
	Jsonb	   *message;		/* what templates and expressions see */
	char	   *key;			/* as it is sent; NULL: none */

	/* what became of it */
	SagaClass	class;
	int			status;			/* of HTTP, 0: no answer */
	const char *error;			/* unless success: for the task */
	const char *cause;			/* foreign text: not yet in the server's encoding */
	const char *other_error;	/* of Saga.Uncertain: what it would be called without the doubt; NULL: nothing */
	int64		retry_after_ms; /* what the server asked for, -1: nothing */
	const SagaSnsEntry *entry;	/* of a success of SNS or SQS */
	bool		no_resend;		/* the server says that repeating it is of no use */
	bool		absent;			/* of a look-up: it found nothing */
	bool		foreign;		/* of a look-up: what it found is another message's */
	bool		conflict;		/* of a look-up or poll: it is another one, or it failed there */
	JsonbValue *found;			/* of a look-up: what it found */
	bool		decided;		/* once, also when recording has to be tried again */
	struct SagaDelivery *before;	/* as it was then */
	SagaVerdict verdict;
	int64		delay_ms;		/* again after it */
} SagaDelivery;

typedef struct SagaSending
{
	SagaHttpUser user;
	dlist_head *done;			/* where it goes when its answer has come */
	dlist_head *ready;			/* and if it could not be sent for want of something of ours */
	dlist_node	node;			/* in one of the publisher's lists */
	MemoryContext context;
	SagaDestination *destination;	/* pinned */
	bool		settles;		/* it only finds out how an unwanted call went */
	int			ndeliveries;
	SagaDelivery *deliveries[SAGA_SNS_MAX_ENTRIES];

	/* what it may do (limit_private.h) */
	struct SagaLimitGroup *limit;
	int			place;			/* it has one of the group's; 0: none */
	bool		probe;			/* the breaker waits for how it goes */
	TimestampTz start_at;		/* not before; 0: no time was given to it yet */
	TimestampTz start_by;		/* later it needs another time; 0: any time will do */
	TimestampTz ask_at;			/* there was none: ask again then */
	bool		later;			/* it waited for a token since */
	bool		put_back;		/* it could not be sent for want of something of ours: back into its queue */
	bool		told;			/* how it went is counted */

	/* made in the claiming transaction, or in one soon after */
	TimestampTz claimed_at;
	bool		composed;
	bool		compose_begun;	/* not composed: it raised */
	const SagaRequestSpec *spec;	/* http: of the phase */
	char	   *url;
	char	   *body;			/* NULL: none; in UTF-8 */
	const char *content_type;

	/*
	 * made when it is sent, perhaps more than once: a token is waited for, or
	 * was refused
	 */
	bool		prepared;
	MemoryContext again;		/* of all preparations but the first; NULL: none yet */
	List	   *secrets;		/* char *: in the request, to be taken out of answers */
	SagaHttpRequest http;
	TimestampTz started_at;
	int64		token_version;	/* of OAuth: which one it carries */
	TimestampTz token_wait_until;	/* and how long it waits for one; 0: it does not */

	/* the answer */
	TimestampTz ended_at;
	char	   *head;			/* header lines; NULL: no answer */
	char	   *answer;			/* its body */
	size_t		answer_len;
	size_t		held;			/* bytes that are counted for http.account */
	char	   *text;			/* the same in the server's encoding, what is invalid replaced */
	Jsonb	   *doc;			/* the same as JSON; NULL: it is none */
	SagaHttpAnswer transport;	/* without head and body */
	bool		answered;
	bool		classified;
	bool		refused_before; /* credentials were, and are new now */
	bool		recorded;		/* in the transaction that is being done */
	int			record_tries;	/* recording it raised so often */
	TimestampTz record_at;		/* not before: its record was locked, or recording it raised */
	int			nunrecorded;	/* deliveries whose record was locked */
	SagaDelivery *unrecorded[SAGA_SNS_MAX_ENTRIES];
} SagaSending;

/* Bytes of a sending, in a transaction (compose.c, sns.c, sqs.c; composing.c decides when). */
extern void saga_compose_http(SagaSending *sending);
extern void saga_compose_sns(SagaSending *sending);
extern void saga_compose_sqs(SagaSending *sending);
extern size_t saga_sns_size(const SagaDelivery *delivery);	/* also of SQS */
extern bool saga_sns_needs_trace(const SagaDelivery *delivery);

/* Headers and secrets, when it is sent; NEVER: *error says why. */
extern SagaReadiness saga_prepare_http(SagaSending *sending, SagaHttp *http, char **error);
extern SagaReadiness saga_prepare_aws(SagaSending *sending, SagaHttp *http, char **error);

/* Keeps an answer, its secrets taken out; outside a transaction (classify.c). */
extern void saga_sending_not_sent(SagaSending *sending, const char *cause);
extern void saga_sending_answered(SagaSending *sending, const SagaHttpAnswer *answer);

/* Fills the deliveries' outcome from the answer, in a transaction (classify.c, aws_answer.c). */
extern void saga_sending_classify(SagaSending *sending);
extern void saga_classify_aws(SagaSending *sending);

/* When it may come again, as the answer says; -1: it does not say it (retry_after.c). */
extern int64 saga_sending_retry_after_ms(const SagaSending *sending, SagaClass class, int status);
extern bool saga_sending_is_put_off(const SagaSending *sending);

/* It had an answer that cannot be looked at or kept, for this reason: nothing of it but the status counts. */
extern void saga_sending_unreadable(SagaSending *sending, const char *why);
extern void saga_set_outcome(SagaDelivery *delivery, SagaClass class, int status, const char *error,
							 const char *cause);

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

/* Ends a message that is not wanted any more and of which nothing can be asked; false: not now (doubt.c). */
extern bool saga_outbox_end_unwanted(const SagaDestination *destination, const SagaDelivery *delivery,
									 SagaSettleStep step);


#define SAGA_CANNOT_RESEND \
	"it may have been done, and cannot be asked again: there is neither a key that the server still knows nor a look-up"

/* A key that is about to expire does not protect the next request. */
#define SAGA_KEY_MARGIN_S 60

/* Does the server still know a key that was first sent then (again.c)? */
extern bool saga_key_is_known(const SagaDestination *destination, TimestampTz first_sent_at);

/* May an uncertain request be made again at that time, without looking? */
extern bool saga_may_resend(const SagaSending *sending, const SagaDelivery *delivery, TimestampTz at);

/* The request that an attempt makes (flow.c). */
extern bool saga_has_lookup(const SagaDestination *destination, const SagaDelivery *delivery);
extern SagaPhase saga_phase_of(const SagaDestination *destination, const SagaDelivery *delivery,
							   const char *stored);
extern const SagaRequestSpec *saga_phase_spec(const SagaDestination *destination, const SagaDelivery *delivery);
extern const char *saga_sending_method(const SagaSending *sending);

extern bool saga_head_says_json(const char *head);

/*
 * Calls fn in a subtransaction, which is undone if it raises.  Returns its
 * error, in the caller's context; NULL: none.  What is not fn's fault is
 * raised again: a cancellation, trouble of the server (result.c).
 */
typedef void (*saga_attempt_fn) (void *arg);
extern ErrorData *saga_attempt(saga_attempt_fn fn, void *arg);

/* For the record, inside a transaction (result.c). */
extern char *saga_foreign_text(const char *text, size_t len, size_t max_bytes);
extern char *saga_foreign_text_of(char *text, size_t len);	/* all of it, itself if it can be */
extern Jsonb *saga_foreign_json(const char *text, size_t len, bool lenient);	/* NULL: it is none; see saga_jsonb_read */
extern Jsonb *saga_answer_headers(const SagaSending *sending);	/* NULL: none, or too long to be kept */

/* What a task gets of a success, and what the record keeps of that. */
extern JsonbValue *saga_push_output(JsonbParseState **parse, const SagaSending *sending,
									const SagaDelivery *delivery);
extern Jsonb *saga_kept_output(const SagaSending *sending, const SagaDelivery *delivery);

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

extern int	saga_claim_sendings(SagaDestination *destination, int max_sendings, SagaSettling *settling, int64 lease,
								MemoryContext parent, dlist_head *claimed);

/*
 * Writes down how a sending went.  False: records of some deliveries are
 * locked by somebody; these are in "unrecorded", to be done later (record.c).
 */
extern bool saga_record_sending(SagaSending *sending, int64 lease);

/*
 * What tells things apart that answers and look-ups speak of; false: nothing
 * does (captured.c).  And of an answer of success: is what the look-up found
 * another message's?  False: somebody is writing that down, to be done later.
 */
extern bool saga_captured_hash(const SagaDestination *destination, const SagaDelivery *delivery, int64 *hash);
extern bool saga_captured_check(const SagaDestination *destination, SagaDelivery *delivery);

/* Overwrites headers and secrets: of an attempt to prepare it, or when it is freed. */
extern void saga_sending_wipe(SagaSending *sending);
extern void saga_sending_free(SagaSending *sending);

/* Where headers and secrets go; those of an earlier preparation are overwritten, and do not pile up. */
extern MemoryContext saga_sending_begin_prepare(SagaSending *sending);

/*
 * Nothing of it left: the messages are not in flight any more, and due after
 * the delay; the attempt does not count (claim.c).
 */
extern void saga_unclaim_sending(const SagaSending *sending, int64 lease, int64 delay_ms);

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

/* Leases (lease.c): a number in saga.timer that a living process has a lock for. */
extern int64 saga_lease_take(void);
extern void saga_lease_drop(int64 lease);
extern bool saga_lease_is_dead(int64 lease);
extern int	saga_lease_owner(int64 lease);	/* its process id; 0: it is gone */
extern int	saga_lease_release_dead(int64 own_lease);

/*
 * Each time before a process claims, in a transaction.  Then: may the message have
 * been sent by a server whose later state is lost?  last_sent_at 0: never.
 */
extern void saga_takeover_look(void);
extern void saga_takeover_begin(void);	/* before there is anything to send */
extern bool saga_takeover_doubts(const SagaDelivery *delivery, TimestampTz last_sent_at);

#endif							/* SAGA_OUTBOX_SENDING_H */
