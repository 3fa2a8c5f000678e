/*
 * auth_private.h
 *		Who we are to a server: what a request must carry to be let in.
 *
 * Secrets are read, and tokens fetched, when a request is sent; they are kept
 * in memory, and tokens in saga.token, and overwritten when they have served.
 */
#ifndef SAGA_ENDPOINT_AUTH_PRIVATE_H
#define SAGA_ENDPOINT_AUTH_PRIVATE_H

#include "endpoint/auth.h"

/*
 * Adds the headers or the signature's parts to exchange->http, outside a
 * transaction.  LATER: a token is being fetched, over the same SagaHttp; ask
 * again after its next answer.  NEVER: *error says why, without a secret.
 */
extern SagaReadiness saga_auth_prepare(SagaExchange *exchange, SagaHttp *http, char **error);

/* ---------- for the kinds of auth ---------- */

/* In place of one of that name; the value is the request's, and wiped with it. */
extern void saga_auth_set_header(SagaExchange *exchange, const char *name, char *value);

/* "Authorization: Basic ..."; what is in it is added to *secrets. */
extern char *saga_auth_basic(const char *user, const char *password, List **secrets);

#endif							/* SAGA_ENDPOINT_AUTH_PRIVATE_H */
