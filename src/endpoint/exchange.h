/*
 * exchange.h
 *		One request to a destination and its answer: what it is made of, how
 *		it is sent, and what the answer means.
 *
 * An exchange carries one message, or up to ten of one topic or queue; what
 * it has of each is a part.  Who sends the messages makes the exchange, in a
 * memory context that everything of it lives in, and decides what follows on
 * the answer: nothing here knows of queues, records or other attempts.
 */
#ifndef SAGA_ENDPOINT_EXCHANGE_H
#define SAGA_ENDPOINT_EXCHANGE_H

#include "endpoint/destination.h"
#include "net/http.h"
#include "net/xml.h"

/* Which of a message's requests is made. */
typedef enum SagaPhase
{
	SAGA_PHASE_SEND,
	SAGA_PHASE_LOOKUP,			/* uncertain, and the destination has a look-up */
	SAGA_PHASE_POLL,
	SAGA_PHASE_OTHER			/* the compensation's "else" */
} SagaPhase;

extern const char *saga_endpoint_phase_name(SagaPhase phase);

/* A message in a request. */
typedef struct SagaPart
{
	/* what the request is made of; set by who sends it */
	pg_uuid_t	outbox_id;
	pg_uuid_t	idempotency_key;
	int			key_epoch;		/* the key is another one in each */
	SagaPhase	phase;
	bool		compensate;		/* it undoes what an earlier message did */
	Jsonb	   *request;		/* as it is stored: see request.h */
	const pg_uuid_t *trace;		/* the execution whose trace it carries; NULL: none but its own */

	/* made of that when it is composed */
	Jsonb	   *message;		/* what templates and expressions see */
	char	   *key;			/* as it is sent; NULL: none */

	/* a long one, once it is composed: see saga_exchange_reduce */
	bool		reduced;		/* of the request only what is needed when it is sent is left */
	bool		had_message;	/* and of the message nothing, which there was */
	Jsonb	   *composed_with;	/* what was captured when it was composed */
	Jsonb	   *loaded_message; /* the message again, while the answer is classified; NULL: nobody has asked */

	/* what earlier answers have told, and this one adds */
	Jsonb	   *captured;		/* NULL: nothing */
	bool		accepted;		/* the server says that it is done, and what else it says cannot be read */

	/* what became of it */
	SagaClass	class;
	int			status;			/* of HTTP, 0: no answer */
	const char *error;			/* unless success: for the task */
	const char *cause;			/* foreign text: not yet in the server's encoding */
	int64		retry_after_ms; /* what the server asked for, -1: nothing */
	const SagaSnsEntry *entry;	/* of a success of SNS or SQS */
	bool		no_resend;		/* the server says that repeating it is of no use */
	bool		absent;			/* of a look-up: it found nothing */
	bool		conflict;		/* of a look-up or poll: it is another one, or it failed there */
	JsonbValue *found;			/* of a look-up: what it found */
} SagaPart;

typedef struct SagaExchange
{
	MemoryContext context;
	SagaDestination *destination;	/* pinned */
	int			nparts;
	SagaPart   *parts[SAGA_SNS_MAX_ENTRIES];

	/*
	 * Does anybody read the body of a good answer, whose status says enough
	 * otherwise?
	 */
	bool		(*body_is_read) (const SagaPart *part);

	/*
	 * The message of a part that had one and was reduced, again; in a
	 * transaction.
	 */
	Jsonb	   *(*load_message) (const struct SagaExchange *exchange, const SagaPart *part);

	/* made in a transaction (saga_compose_...) */
	const SagaRequestSpec *spec;	/* http: of the phase */
	char	   *url;
	char	   *body;			/* NULL: none; in UTF-8 */
	const char *content_type;
	List	   *header_texts;	/* reduced: what its message made of headers (compose.c) */

	/*
	 * made when it is sent, perhaps more than once: a token is waited for, or
	 * was refused
	 */
	bool		prepared;
	MemoryContext again;		/* of all preparations but the first; NULL: none yet */
	List	   *secrets;		/* char *: in the request, to be taken out of answers */
	SagaHttpRequest http;
	TimestampTz started_at;		/* 0: it has not been */
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
} SagaExchange;

/* ---------- the request (exchange.c, compose.c, sns.c, sqs.c) ---------- */

/* Has the destination a look-up that speaks of this request? */
extern bool saga_endpoint_has_lookup(const SagaDestination *destination, const SagaPart *part);

/* Of what is not longer, nothing is counted or loaded a second time to save memory. */
#define SAGA_SMALL_REQUEST	65536

/*
 * The bytes, in a transaction.  What cannot be sent has an error then.  A
 * long request is reduced: its documents go, as their bytes are there, and
 * what is left of them is what it takes to send them.  Who needs more after
 * the answer reads it again.
 */
extern void saga_compose(SagaExchange *exchange);

/* Bytes that it holds in memory, to be counted for its owner. */
extern size_t saga_exchange_memory(const SagaExchange *exchange);

/* A task may choose the method of its own request; the others are the destination's. */
extern const char *saga_exchange_method(const SagaExchange *exchange);

/* Bytes of a message in a batch of SNS or SQS, attributes included. */
extern size_t saga_endpoint_sns_size(const SagaPart *part);

/*
 * Headers and secrets, when it is sent, outside a transaction.  Where they go:
 * those of an earlier preparation are overwritten, and do not pile up.
 * NEVER: *error says why.
 */
extern MemoryContext saga_exchange_begin_prepare(SagaExchange *exchange);
extern SagaReadiness saga_exchange_prepare(SagaExchange *exchange, SagaHttp *http, char **error);

/* Overwrites headers and secrets: of an attempt to prepare it, or when it is freed. */
extern void saga_exchange_wipe(SagaExchange *exchange);

/* ---------- the answer (classify.c, aws_answer.c) ---------- */

/* Keeps an answer, its secrets taken out; outside a transaction. */
extern void saga_exchange_not_sent(SagaExchange *exchange, const char *cause);
extern void saga_exchange_answered(SagaExchange *exchange, const SagaHttpAnswer *answer);

/* Fills the parts' outcome from the answer, in a transaction. */
extern void saga_exchange_classify(SagaExchange *exchange);

/* It had an answer that cannot be looked at or kept, for this reason: nothing of it but the status counts. */
extern void saga_exchange_unreadable(SagaExchange *exchange, const char *why);
extern void saga_endpoint_part_set_outcome(SagaPart *part, SagaClass class, int status, const char *error, const char *cause);

/* ---------- for the record and the task, in a transaction (result.c) ---------- */

extern Jsonb *saga_answer_headers(const SagaExchange *exchange);	/* NULL: none, or too long to be kept */

/* What a task gets of a success, and what the record keeps of that. */
extern JsonbValue *saga_endpoint_push_output(JsonbParseState **parse, const SagaExchange *exchange, const SagaPart *part);
extern Jsonb *saga_endpoint_kept_output(const SagaExchange *exchange, const SagaPart *part);

#endif							/* SAGA_ENDPOINT_EXCHANGE_H */
