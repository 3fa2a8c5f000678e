/*
 * oauth.c
 *		Access tokens of OAuth 2: which one a request carries, and when another
 *		is fetched.
 *
 * Publishers share tokens through saga.token.  One of them at a time asks the
 * token endpoint, the others wait, or go on with the token they have.  What
 * this process knows of tokens is kept for its life; the table is read when a
 * token is not there, is about to expire or was not accepted.
 */
#include "postgres.h"

#include "net/secret.h"
#include "outbox/auth.h"
#include "outbox/oauth.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Another process is asking: look so often whether it has got one. */
#define SAGA_TOKEN_LOOK_MS		50

/* One that raised: the others, and everything else, go on meanwhile. */
#define SAGA_TOKEN_TROUBLE_MS	1000

/*
 * A sending waits no longer for a token, and one that was refused waits only
 * if it had its answer soon.  Together they stay below what a lease has on
 * top of the request's own time limit (SAGA_LEASE_MARGIN_MS).
 */
#define SAGA_TOKEN_WAIT_MS		40000
#define SAGA_TOKEN_REFUSED_MS	10000

/* One that is refused so soon after it was fetched would not get better by fetching another. */
#define SAGA_TOKEN_MIN_AGE_MS	250

/* A token is not used in the last moments of its life: this, or a tenth of it. */
#define SAGA_TOKEN_MARGIN_MS	5000

static List *tokens = NIL;		/* cache: SagaToken, in TopMemoryContext */

/* ---------- times ---------- */

static int64
ms_between(TimestampTz from, TimestampTz to)
{
	return (to - from) / 1000;
}

/* A time further ahead than any pause comes from a clock that was set back. */
static bool
is_pausing(const SagaToken *token, TimestampTz now)
{
	return token->error != NULL && token->retry_at > now &&
		token->retry_at <= TimestampTzPlusMilliseconds(now, SAGA_TOKEN_MAX_PAUSE_MS);
}

void
saga_oauth_move_times(int64 by)
{
	ListCell   *lc;

	foreach(lc, tokens)
	{
		SagaToken  *token = lfirst(lc);

		saga_clock_move(&token->look_at, by);
		saga_clock_move(&token->retry_at, by);
	}
}

static bool
is_usable(const SagaToken *token, TimestampTz now)
{
	int64		margin = Min(SAGA_TOKEN_MARGIN_MS, ms_between(token->fetched_at, token->expires_at) / 10);

	return token->access_token != NULL && token->version > token->refused &&
		ms_between(now, token->expires_at) > margin;
}

/* early_refresh_s before it expires, but not in the first half of its life. */
static bool
is_due(const SagaToken *token, const SagaAuth *auth, TimestampTz now)
{
	int64		early = Min((int64) auth->early_refresh_s * 1000,
							ms_between(token->fetched_at, token->expires_at) / 2);

	return ms_between(now, token->expires_at) < early;
}

/* ---------- which ---------- */

static SagaToken *
find_token(const SagaAuth *auth)
{
	SagaToken  *token;
	MemoryContext old;
	ListCell   *lc;

	foreach(lc, tokens)
	{
		token = lfirst(lc);
		if (strcmp(token->key, auth->token_key) == 0 &&
			strcmp(token->made_for, auth->token_made_for) == 0)
			return token;
	}
	old = MemoryContextSwitchTo(TopMemoryContext);
	token = palloc0(sizeof(SagaToken));
	token->key = pstrdup(auth->token_key);
	token->made_for = pstrdup(auth->token_made_for);
	tokens = lappend(tokens, token);
	MemoryContextSwitchTo(old);
	return token;
}

/* ---------- states ---------- */

static void
want(SagaToken *token, SagaDestination *destination)
{
	if (token->state != SAGA_TOKEN_IDLE)
		return;
	token->destination = destination;
	saga_destination_pin(destination);
	token->look_at = 0;
	token->state = SAGA_TOKEN_WANTED;
}

static void
forget_request(SagaToken *token)
{
	if (token->context == NULL)
		return;
	saga_oauth_wipe_request(token);
	MemoryContextDelete(token->context);
	token->context = NULL;
}

/* Raises nothing. */
static void
rest(SagaToken *token)
{
	saga_oauth_unlock(token);
	forget_request(token);
	token->busy = false;
	if (token->destination != NULL)
		saga_destination_unpin(token->destination);
	token->destination = NULL;
	token->state = SAGA_TOKEN_IDLE;
}

/* ---------- prepare, refused: outside a transaction ---------- */

static void
add_token(SagaSending *sending, const SagaToken *token)
{
	sending->secrets = lappend(sending->secrets, pstrdup(token->access_token));
	saga_auth_set_header(sending, "Authorization", psprintf("Bearer %s", token->access_token));
	sending->token_version = token->version;
	sending->token_wait_until = 0;
}

SagaReadiness
saga_oauth_prepare(SagaSending *sending, char **error)
{
	SagaDestination *destination = sending->destination;
	SagaToken  *token = find_token(&destination->auth);
	TimestampTz now = GetCurrentTimestamp();
	bool		failed = is_pausing(token, now);

	if (is_usable(token, now))
	{
		if (is_due(token, &destination->auth, now) && !failed)
			want(token, destination);
		add_token(sending, token);
		return SAGA_READY_NOW;
	}
	if (failed && token->state == SAGA_TOKEN_IDLE)
	{
		*error = pstrdup(token->error);
		return SAGA_READY_NEVER;
	}
	if (sending->token_wait_until == 0)
		sending->token_wait_until = TimestampTzPlusMilliseconds(now, SAGA_TOKEN_WAIT_MS);
	else if (sending->token_wait_until < now)
	{
		*error = pstrdup("there was no access token in time");
		return SAGA_READY_NEVER;
	}
	want(token, destination);
	return token->busy ? SAGA_READY_BUSY : SAGA_READY_LATER;
}

bool
saga_oauth_refused(const SagaSending *sending)
{
	SagaToken  *token = find_token(&sending->destination->auth);

	if (ms_between(sending->started_at, sending->ended_at) > SAGA_TOKEN_REFUSED_MS)
		return false;
	/* unless there is another one since */
	if (sending->token_version >= token->version)
	{
		if (ms_between(token->fetched_at, sending->started_at) < SAGA_TOKEN_MIN_AGE_MS)
			return false;
		token->refused = Max(token->refused, sending->token_version);
	}
	return true;
}

/* ---------- the request ---------- */

/* SagaHttpUser.finished; must leave the state right whatever is raised */
static void
token_finished(SagaHttpUser *user, const SagaHttpAnswer *answer)
{
	SagaToken  *token = (SagaToken *) user;
	MemoryContext old = MemoryContextSwitchTo(token->context);

	token->busy = answer->transport == SAGA_TRANSPORT_BUSY;
	if (token->busy)
	{
		/* no failure of the token endpoint: asked again, with the lock that we have */
		token->state = SAGA_TOKEN_ASKED;
		token->look_at = 0;
		MemoryContextSwitchTo(old);
		return;
	}
	token->new_error = "out of memory";
	token->state = SAGA_TOKEN_ANSWERED;
	token->new_error = saga_oauth_read_answer(token, answer);
	MemoryContextSwitchTo(old);
}

/* SagaHttpUser.aborted: nobody will know what the answer was */
static void
token_aborted(SagaHttpUser *user)
{
	SagaToken  *token = (SagaToken *) user;

	if (token->state == SAGA_TOKEN_FLYING)
		rest(token);
}

static void
start(SagaToken *token, SagaHttp *http)
{
	MemoryContext old;
	const char *error;

	forget_request(token);
	token->context = AllocSetContextCreate(TopMemoryContext, "saga token", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(token->context);
	token->user.finished = token_finished;
	token->user.aborted = token_aborted;
	token->asked_at = GetCurrentTimestamp();
	error = saga_oauth_build_request(token);
	if (error == NULL && !saga_http_start(http, &token->request, &token->user))
		error = "the request for an access token could not be started";
	token->new_error = error;
	token->state = error == NULL ? SAGA_TOKEN_FLYING : SAGA_TOKEN_ANSWERED;
	MemoryContextSwitchTo(old);
}

/* ---------- between the publisher's turns ---------- */

bool
saga_auth_has_work(void)
{
	TimestampTz now = tokens != NIL ? GetCurrentTimestamp() : 0;
	ListCell   *lc;

	foreach(lc, tokens)
	{
		const SagaToken *token = lfirst(lc);

		if (token->state != SAGA_TOKEN_IDLE && token->state != SAGA_TOKEN_FLYING && token->look_at <= now)
			return true;
	}
	return false;
}

bool
saga_auth_is_busy(void)
{
	ListCell   *lc;

	foreach(lc, tokens)
	{
		if (((SagaToken *) lfirst(lc))->locked)
			return true;
	}
	return false;
}

long
saga_auth_timeout_ms(void)
{
	long		timeout_ms = -1;
	ListCell   *lc;

	foreach(lc, tokens)
	{
		const SagaToken *token = lfirst(lc);
		long		ms;

		if (token->state == SAGA_TOKEN_IDLE || token->state == SAGA_TOKEN_FLYING)
			continue;
		ms = (long) Max(ms_between(GetCurrentTimestamp(), token->look_at) + 1, 0);
		timeout_ms = timeout_ms < 0 ? ms : Min(timeout_ms, ms);
	}
	return timeout_ms;
}

/* Has another process fetched one, or failed to? */
static bool
is_settled(SagaToken *token)
{
	TimestampTz now = GetCurrentTimestamp();

	saga_oauth_read(token);
	if (is_usable(token, now) && !is_due(token, &token->destination->auth, now))
		return true;
	return is_pausing(token, now);
}

static void
look(SagaToken *token)
{
	token->state = SAGA_TOKEN_WANTED;
	token->look_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SAGA_TOKEN_TROUBLE_MS);
	if (is_settled(token))
		rest(token);
	else if (!saga_oauth_lock(token))
		token->look_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SAGA_TOKEN_LOOK_MS);
	else if (is_settled(token))
		rest(token);			/* just before we got the lock */
	else
	{
		/* the refresh token as it is now, with the lock */
		saga_secret_load(token->destination->secrets);
		token->state = SAGA_TOKEN_ASKED;
		token->look_at = 0;
	}
}

static void
store(SagaToken *token)
{
	/* again, if the transaction that stored it aborted */
	token->state = SAGA_TOKEN_ANSWERED;
	token->look_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SAGA_TOKEN_TROUBLE_MS);
	if (saga_oauth_store(token))
	{
		token->state = SAGA_TOKEN_STORED;
		token->look_at = 0;
	}
	else
		token->look_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SAGA_TOKEN_LOOK_MS);
}

void
saga_auth_work(void)
{
	TimestampTz now = GetCurrentTimestamp();
	ListCell   *lc;

	foreach(lc, tokens)
	{
		SagaToken  *token = lfirst(lc);

		if (token->look_at > now)
			continue;
		if (token->state == SAGA_TOKEN_WANTED || token->state == SAGA_TOKEN_ASKED)
			look(token);
		else if (token->state == SAGA_TOKEN_ANSWERED || token->state == SAGA_TOKEN_STORED)
			store(token);
	}
}

void
saga_auth_worked(SagaHttp *http)
{
	ListCell   *lc;

	foreach(lc, tokens)
	{
		SagaToken  *token = lfirst(lc);

		if (token->state == SAGA_TOKEN_ASKED)
			start(token, http);
		else if (token->state == SAGA_TOKEN_STORED)
		{
			if (token->new_access_token != NULL)
			{
				saga_oauth_adopt(token, token->new_access_token, token->new_version, token->asked_at,
								 TimestampTzPlusMilliseconds(token->asked_at, token->lifetime_ms));
				saga_oauth_set_error(token, NULL, 0, 0);
			}
			rest(token);
		}
	}
}

/* The publisher ends.  Others may ask for tokens again. */
void
saga_auth_end(void)
{
	ListCell   *lc;

	foreach(lc, tokens)
		rest(lfirst(lc));
}
