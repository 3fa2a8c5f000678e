/*
 * oauth.c
 *		Access tokens of OAuth 2: which one a request carries, and when another
 *		is fetched.
 *
 * Publishers share tokens through saga.token.  One of them at a time asks the
 * token endpoint, the others wait, or go on with the token they have.  The
 * table is read when a token is not there, is about to expire or was not
 * accepted.
 *
 * Begin reading with saga_oauth_prepare, which a request asks for its token,
 * and with the states in oauth_private.h.  Outside a transaction the token is
 * used and its request flies; saga_auth_work() does what needs a transaction,
 * for a bounded time in each turn, and saga_auth_worked() what follows on its
 * commit.
 *
 * Times that count a token's life are those of the wall clock, as the table
 * has them; so are pauses, which is why a time too far ahead is not believed.
 */
#include "postgres.h"

#include "common/clock.h"
#include "endpoint/auth_private.h"
#include "endpoint/oauth_private.h"
#include "miscadmin.h"
#include "net/secret.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Another process is asking: look so often whether it has got one. */
#define SAGA_TOKEN_LOOK_MS		50

/* The same for one that waits for its turn. */
#define SAGA_TOKEN_QUEUED_MS	1000

/* One that raised: the others, and everything else, go on meanwhile. */
#define SAGA_TOKEN_TROUBLE_MS	1000

/*
 * A exchange waits no longer for a token, and one that was refused waits only
 * if it had its answer soon.  Together they stay below what a lease has on
 * top of the request's own time limit (SAGA_LEASE_MARGIN_MS).
 */
#define SAGA_TOKEN_WAIT_MS		40000
#define SAGA_TOKEN_REFUSED_MS	10000

/* One that is refused so soon after it was fetched would not get better by fetching another. */
#define SAGA_TOKEN_MIN_AGE_MS	250

/* A token is not used in the last moments of its life: this, or a tenth of it. */
#define SAGA_TOKEN_MARGIN_MS	5000

/*
 * So many of an owner's tokens are asked for at once; the others of his have
 * their turn when one of these has ended.  One that is asked for early outlives
 * the exchange that it was noticed with, and waits for no turn: the next exchange
 * notices it again.  Endpoints that do not answer these leave room for others.
 */
#define SAGA_TOKENS_AT_ONCE		32
#define SAGA_TOKENS_EARLY		4

/* In one transaction, for one owner and for all: then there is something else to be done. */
#define SAGA_TOKENS_OWNER_MS	20
#define SAGA_TOKENS_TURN_MS		100

/* ---------- times ---------- */

/* Negative when the second one is the earlier. */
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

/*
 * Not one that the server has refused, nor one that might expire on its way.
 */
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

/* ---------- states ---------- */

/*
 * From idle to wanted, with the destination pinned for its settings.  If it
 * is wanted already, it is no longer early unless both are.
 */
static void
want(SagaToken *token, SagaDestination *destination, bool early)
{
	if (token->state != SAGA_TOKEN_IDLE)
	{
		token->early &= early;
		return;
	}
	saga_endpoint_token_set_busy(token);
	token->destination = destination;
	saga_cache_pin(destination);
	token->early = early;
	token->queued = false;
	token->look_at = 0;
	token->state = SAGA_TOKEN_WANTED;
}

/* The one that is there serves for a while: whoever has enough to wait for asks later. */
static void
want_early(SagaToken *token, SagaDestination *destination)
{
	if (token->state == SAGA_TOKEN_IDLE && saga_endpoint_tokens_busy_of(token->owner) < SAGA_TOKENS_EARLY)
		want(token, destination, true);
}

/* What was secret in it is overwritten first. */
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
	saga_endpoint_token_unlock(token);
	forget_request(token);
	token->put_off = false;
	if (token->destination != NULL)
		saga_cache_unpin(token->destination);
	token->destination = NULL;
	token->state = SAGA_TOKEN_IDLE;
	saga_endpoint_token_set_idle(token);
}

/* ---------- prepare, refused: outside a transaction ---------- */

/* The header and, for the case of a refusal, the version that it carries. */
static void
add_token(SagaExchange *exchange, const SagaToken *token)
{
	exchange->secrets = lappend(exchange->secrets, pstrdup(token->access_token));
	saga_auth_set_header(exchange, "Authorization", psprintf("Bearer %s", token->access_token));
	exchange->token_version = token->version;
	exchange->token_wait_until = 0;
}

/*
 * Now with a token; later while one is fetched; busy when the request for it
 * could not be sent for want of something of ours; never after a failure
 * whose pause has not passed, or when the wait took too long.
 */
SagaReadiness
saga_oauth_prepare(SagaExchange *exchange, char **error)
{
	SagaDestination *destination = exchange->destination;
	SagaToken  *token = saga_endpoint_token_find(&destination->auth, destination->owner);
	TimestampTz now = GetCurrentTimestamp();
	bool		failed = is_pausing(token, now);

	if (is_usable(token, now))
	{
		if (is_due(token, &destination->auth, now) && !failed)
			want_early(token, destination);
		add_token(exchange, token);
		return SAGA_READY_NOW;
	}
	if (failed && token->state == SAGA_TOKEN_IDLE)
	{
		*error = pstrdup(token->error);
		return SAGA_READY_NEVER;
	}
	if (exchange->token_wait_until == 0)
		exchange->token_wait_until = TimestampTzPlusMilliseconds(now, SAGA_TOKEN_WAIT_MS);
	else if (exchange->token_wait_until < now)
	{
		*error = pstrdup("there was no access token in time");
		return SAGA_READY_NEVER;
	}
	want(token, destination, false);
	return token->put_off ? SAGA_READY_BUSY : SAGA_READY_LATER;
}

/*
 * True when the request should be prepared and sent again: with a token that
 * is there since, or with one that will be fetched.
 */
bool
saga_oauth_refused(const SagaExchange *exchange)
{
	SagaDestination *destination = exchange->destination;
	SagaToken  *token = saga_endpoint_token_find(&destination->auth, destination->owner);

	if (ms_between(exchange->started_at, exchange->ended_at) > SAGA_TOKEN_REFUSED_MS)
		return false;
	/* unless there is another one since */
	if (exchange->token_version >= token->version)
	{
		if (ms_between(token->fetched_at, exchange->started_at) < SAGA_TOKEN_MIN_AGE_MS)
			return false;
		token->refused = Max(token->refused, exchange->token_version);
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

	token->put_off = answer->transport == SAGA_TRANSPORT_BUSY;
	if (token->put_off)
	{
		/*
		 * no failure of the token endpoint: asked again, with the lock that
		 * we have
		 */
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

/*
 * Sends the request for a token.  A failure to do so is an answer, too: it is
 * stored as one, with a pause.
 */
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

/* A request for an early one takes nothing that another owner's could have. */
static bool
has_turn(const SagaAuthRoom *room, const SagaToken *token)
{
	if (token->locked)
		return true;
	if (token->early)
		return token->of->asking < SAGA_TOKENS_EARLY && room->has_room(room->arg, token->owner);
	return token->of->asking < SAGA_TOKENS_AT_ONCE;
}

/*
 * Is there something to be done in a transaction now?  Nothing is while the
 * request flies.
 */
static bool
has_work(const SagaAuthRoom *room, const SagaToken *token, TimestampTz now)
{
	if (token->state == SAGA_TOKEN_FLYING)
		return false;
	return token->look_at <= now || (token->queued && has_turn(room, token));
}

/*
 * Asked before each turn, so it must be cheap: most publishers have no busy
 * token.
 */
bool
saga_auth_has_work(const SagaAuthRoom *room)
{
	TimestampTz now;
	dlist_iter	iter;

	if (dlist_is_empty(&saga_tokens_busy))
		return false;
	now = GetCurrentTimestamp();
	dlist_foreach(iter, &saga_tokens_busy)
	{
		if (has_work(room, dlist_container(SagaToken, node, iter.cur), now))
			return true;
	}
	return false;
}

bool
saga_auth_is_busy(void)
{
	return saga_oauth_asking(InvalidOid, NULL) > 0;
}

/* One that is queued goes on when another one of its owner's ends, which is work to be done then. */
long
saga_auth_timeout_ms(void)
{
	long		timeout_ms = -1;
	dlist_iter	iter;

	dlist_foreach(iter, &saga_tokens_busy)
	{
		const SagaToken *token = dlist_container(SagaToken, node, iter.cur);
		long		ms;

		if (token->state == SAGA_TOKEN_FLYING)
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

/* What is there to be read needs no turn. */
static void
look(const SagaAuthRoom *room, SagaToken *token)
{
	token->queued = false;
	token->look_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SAGA_TOKEN_TROUBLE_MS);
	if (is_settled(token))
	{
		rest(token);
		return;
	}
	token->early |= is_usable(token, GetCurrentTimestamp());
	if (!has_turn(room, token) && token->early)
		rest(token);
	else if (!has_turn(room, token))
	{
		token->queued = true;
		token->look_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SAGA_TOKEN_QUEUED_MS);
	}
	else if (!saga_endpoint_token_lock(token))
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

/*
 * Answered to stored.  The time to look again is set first, so that an error
 * leaves a pause behind.
 */
static void
store(SagaToken *token)
{
	token->look_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SAGA_TOKEN_TROUBLE_MS);
	if (saga_oauth_store(token))
	{
		token->state = SAGA_TOKEN_STORED;
		token->look_at = 0;
	}
	else
		token->look_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SAGA_TOKEN_LOOK_MS);
}

/* What was done in a transaction that aborted is done again. */
static void
undo_aborted(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &saga_tokens_busy)
	{
		SagaToken  *token = dlist_container(SagaToken, node, iter.cur);

		if (token->state == SAGA_TOKEN_ASKED)
			token->state = SAGA_TOKEN_WANTED;
		else if (token->state == SAGA_TOKEN_STORED)
			token->state = SAGA_TOKEN_ANSWERED;
	}
}

/*
 * The list may change while it is worked on, so the number of turns is taken
 * before.
 */
static int
count_busy(void)
{
	int			n = 0;
	dlist_iter	iter;

	dlist_foreach(iter, &saga_tokens_busy)
		n++;
	return n;
}

/* Each goes to the end of the list, whether it had its turn or not: the next turn begins where this one ends. */
void
saga_auth_work(const SagaAuthRoom *room)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz begun_at = saga_monotonic_now();
	TimestampTz at = begun_at;

	undo_aborted();
	saga_endpoint_tokens_begin_turn();
	for (int n = count_busy(); n > 0 && ms_between(begun_at, at) < SAGA_TOKENS_TURN_MS; n--)
	{
		SagaToken  *token = dlist_container(SagaToken, node, dlist_pop_head_node(&saga_tokens_busy));
		Oid			owner = token->owner;
		TimestampTz before = at;

		dlist_push_tail(&saga_tokens_busy, &token->node);
		if (!has_work(room, token, now) || token->of->spent_us >= SAGA_TOKENS_OWNER_MS * 1000)
			continue;
		CHECK_FOR_INTERRUPTS();
		if (token->state == SAGA_TOKEN_WANTED)
			look(room, token);
		else if (token->state == SAGA_TOKEN_ANSWERED)
			store(token);
		at = saga_monotonic_now();
		saga_endpoint_token_charge(owner, at - before);
	}
}

/*
 * Outside a transaction.  An access token is used only from here on, when no
 * abort can take back the refresh token that came with it.
 */
void
saga_auth_worked(SagaHttp *http)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &saga_tokens_busy)
	{
		SagaToken  *token = dlist_container(SagaToken, node, iter.cur);

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
			token->used_at = saga_monotonic_now();
			rest(token);
		}
	}
}

/* The publisher ends.  Others may ask for tokens again. */
void
saga_auth_end(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &saga_tokens_busy)
		rest(dlist_container(SagaToken, node, iter.cur));
}
