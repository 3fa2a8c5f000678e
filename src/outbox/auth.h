/*
 * auth.h
 *		Who we are to a server: what a request must carry to be let in.
 *
 * Secrets are read, and tokens fetched, when a request is sent; they are kept
 * in memory only and overwritten when they have served.
 */
#ifndef SAGA_OUTBOX_AUTH_H
#define SAGA_OUTBOX_AUTH_H

#include "outbox/sending.h"

/*
 * Adds the headers or the signature's parts to sending->http, outside a
 * transaction.  LATER: a token is being fetched, over the same SagaHttp; ask
 * again after its next answer.  NEVER: *error says why, without a secret.
 */
extern SagaReadiness saga_auth_prepare(SagaSending *sending, SagaHttp *http, char **error);

/*
 * The server did not let it in.  True: other credentials can be had, so
 * prepare and send it once more; that is no attempt of the message's.
 */
extern bool saga_auth_refused(SagaSending *sending);

/*
 * What tokens need of the database (saga.secret).  A publisher asks between
 * its turns, and works in a transaction that it commits at once.
 */
extern bool saga_auth_has_work(void);
extern void saga_auth_work(void);

#endif							/* SAGA_OUTBOX_AUTH_H */
