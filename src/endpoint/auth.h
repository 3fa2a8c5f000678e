/*
 * auth.h
 *		Who we are to a server: credentials that can be had anew, and tokens,
 *		which are fetched.
 */
#ifndef SAGA_ENDPOINT_AUTH_H
#define SAGA_ENDPOINT_AUTH_H

#include "endpoint/exchange.h"

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
	/*
	 * Is there a request to spare for an owner, for a token that nobody waits
	 * for yet?
	 */
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

/* A clock that was set (clock.c). */
extern void saga_oauth_move_times(int64 by);

/* Requests for tokens that have not ended: of all owners, and of one. */
extern int	saga_oauth_asking(Oid owner, int *of_owner);

/*
 * In a transaction of a process that serves all owners: removes some rows that
 * nobody reads any more.  False: it has come to the end, and begins anew.
 */
extern bool saga_oauth_purge(void);

#endif							/* SAGA_ENDPOINT_AUTH_H */
