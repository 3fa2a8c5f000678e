/*
 * auth_private.h
 *		Who we are to a server: what a request must carry to be let in.
 *
 * Secrets are read, and tokens fetched, when a request is sent; they are kept
 * in memory, and tokens in saga.token, and overwritten when they have served.
 */
#ifndef SAGA_OUTBOX_AUTH_PRIVATE_H
#define SAGA_OUTBOX_AUTH_PRIVATE_H

#include "outbox/outbox.h"
#include "outbox/exchange.h"

/*
 * Adds the headers or the signature's parts to exchange->http, outside a
 * transaction.  LATER: a token is being fetched, over the same SagaHttp; ask
 * again after its next answer.  NEVER: *error says why, without a secret.
 */
extern SagaReadiness saga_auth_prepare(SagaExchange *exchange, SagaHttp *http, char **error);

/*
 * The server did not let it in.  True: other credentials can be had, so
 * prepare and send it once more; that is no attempt of the message's.
 */
extern bool saga_auth_refused(SagaExchange *exchange);

/*
 * What tokens need of the database.  A publisher asks between its turns,
 * works in a transaction of its own, and says when that has committed: then
 * requests for tokens begin, and new tokens are used.
 */
typedef struct SagaAuthRoom
{
	/* Is there a request to spare for an owner, for a token that nobody waits for yet? */
	bool		(*has_room) (const void *arg, Oid owner);
	const void *arg;
} SagaAuthRoom;

extern bool saga_auth_has_work(const SagaAuthRoom *room);
extern void saga_auth_work(const SagaAuthRoom *room);
extern void saga_auth_worked(SagaHttp *http);

/* When there will be work without an answer: -1 never. */
extern long saga_auth_timeout_ms(void);

/* A token is being fetched: the publisher should not leave now. */
extern bool saga_auth_is_busy(void);

/* The publisher is destroyed, its SagaHttp was; raises nothing. */
extern void saga_auth_end(void);

/* ---------- for the kinds of auth ---------- */

/* In place of one of that name; the value is the request's, and wiped with it. */
extern void saga_auth_set_header(SagaExchange *exchange, const char *name, char *value);

/* "Authorization: Basic ..."; what is in it is added to *secrets. */
extern char *saga_auth_basic(const char *user, const char *password, List **secrets);

#endif							/* SAGA_OUTBOX_AUTH_PRIVATE_H */
