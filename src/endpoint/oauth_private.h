/*
 * oauth_private.h
 *		Access tokens of OAuth 2: this process's copies, and how others are had.
 *
 * States of a token that is fetched:
 *
 *	idle -> wanted -> asked -> flying -> answered -> stored -> idle
 *
 * Wanted to asked happens in a transaction, with the lock on the token, which
 * only one process has; flying is without a transaction; answered to stored
 * is one again.  Only after its commit the token is used and the lock given
 * back.  A transaction that aborts leaves the state to be gone through again.
 *
 * Each state but idle is "busy".  An owner asks for some at once, the others
 * of his are wanted until they have their turn: a request for a token may
 * outlive the exchange that it was made for, and takes a connection as well.
 */
#ifndef SAGA_ENDPOINT_OAUTH_PRIVATE_H
#define SAGA_ENDPOINT_OAUTH_PRIVATE_H

#include "endpoint/auth.h"
#include "lib/ilist.h"
#include "net/http.h"

typedef enum SagaTokenState
{
	SAGA_TOKEN_IDLE,
	SAGA_TOKEN_WANTED,
	SAGA_TOKEN_ASKED,			/* we have the lock: the request may begin, perhaps again */
	SAGA_TOKEN_FLYING,
	SAGA_TOKEN_ANSWERED,		/* to be written down */
	SAGA_TOKEN_STORED			/* written down, in a transaction that has not ended */
} SagaTokenState;

/* An owner's tokens that are busy. */
typedef struct SagaTokenOwner
{
	Oid			owner;			/* the key */
	int			busy;
	int			asking;			/* of those, we have the lock on so many */
	int64		spent_us;		/* on him, in this transaction */
} SagaTokenOwner;

typedef struct SagaToken
{
	SagaHttpUser user;			/* first: finished and aborted get it */
	char	   *key;			/* of saga.token */
	char	   *made_for;		/* the key here: nothing else tells tokens apart */
	Oid			owner;
	TimestampTz used_at;		/* saga_monotonic_now */
	SagaTokenState state;
	dlist_node	node;			/* while it is busy */
	SagaTokenOwner *of;			/* ... else NULL */
	bool		early;			/* wanted although the one that is there can be used */
	bool		queued;			/* wanted, and has to wait for its turn */
	bool		locked;			/* this process has the lock on it */
	TimestampTz look_at;		/* wanted: not before */
	bool		put_off;		/* its request could not be sent for want of something of ours */

	/* the one that is used */
	char	   *access_token;	/* NULL: none */
	int64		version;		/* greater with each that is stored */
	int64		refused;		/* the server did not accept this version, and those before */
	TimestampTz fetched_at;
	TimestampTz expires_at;

	/* the last failure */
	char	   *error;			/* NULL: none */
	int			failures;		/* in a row */
	TimestampTz retry_at;		/* no other is asked for before */

	/* while it is wanted and fetched */
	SagaDestination *destination;	/* pinned: its settings and its guard */
	MemoryContext context;		/* of the request and the answer; NULL: none */
	SagaHttpRequest request;
	List	   *secrets;
	char	   *old_refresh_token;
	TimestampTz asked_at;

	/* the answer: a token or an error */
	char	   *new_access_token;
	char	   *new_refresh_token;
	int64		lifetime_ms;
	const char *new_error;
	int64		new_version;
} SagaToken;

/* ---------- oauth.c (and saga_auth_work ..., auth.h) ---------- */

extern SagaReadiness saga_oauth_prepare(SagaExchange *exchange, char **error);
extern bool saga_oauth_refused(const SagaExchange *exchange);

/* ---------- oauth_cache.c: what this process knows of tokens ---------- */

extern dlist_head saga_tokens_busy; /* those that have waited longest for something to be done first */

/* It is forgotten some time after nobody has asked for it any more, or when there are too many. */
extern SagaToken *saga_endpoint_token_find(const SagaAuth *auth, Oid owner);

extern int	saga_endpoint_tokens_busy_of(Oid owner);
extern void saga_endpoint_token_set_busy(SagaToken *token);
extern void saga_endpoint_token_set_idle(SagaToken *token); /* without the lock; raises nothing */
extern bool saga_endpoint_token_lock(SagaToken *token);
extern void saga_endpoint_token_unlock(SagaToken *token);
extern void saga_endpoint_token_charge(Oid owner, int64 us);
extern void saga_endpoint_tokens_begin_turn(void);	/* nothing was spent yet */

/* A pause after failures is no longer. */
#define SAGA_TOKEN_MAX_PAUSE_MS	30000

/* ---------- oauth_request.c: outside a transaction, in token->context ---------- */

/* Fills token->request; NULL or an error, without a secret. */
extern char *saga_oauth_build_request(SagaToken *token);

/* Fills new_access_token ...; or an error. */
extern char *saga_oauth_read_answer(SagaToken *token, const SagaHttpAnswer *answer);

/* Overwrites what is secret in the context. */
extern void saga_oauth_wipe_request(SagaToken *token);

/* ---------- oauth_store.c ---------- */

/* One process at a time; held across transactions, and lost with the process. */
extern bool saga_oauth_lock(SagaToken *token);
extern void saga_oauth_unlock(SagaToken *token);

/* In a transaction: takes over what another process has stored. */
extern void saga_oauth_read(SagaToken *token);

/* Fills token_key and token_made_for; in a transaction (oauth_store.c). */
extern void saga_oauth_identify(SagaAuth *auth, Oid owner);

/* Stores the answer, and the new refresh token.  False: try again, its row is locked. */
extern bool saga_oauth_store(SagaToken *token);

/* Makes a token that was stored the one that is used. */
extern void saga_oauth_adopt(SagaToken *token, const char *access_token, int64 version,
							 TimestampTz fetched_at, TimestampTz expires_at);
extern void saga_oauth_set_error(SagaToken *token, const char *error, int failures, TimestampTz retry_at);

#endif							/* SAGA_ENDPOINT_OAUTH_PRIVATE_H */
