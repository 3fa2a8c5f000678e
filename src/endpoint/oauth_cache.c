/*
 * oauth_cache.c
 *		What this process knows of tokens: which ones there are, which of them
 *		are busy, and whose those are.
 *
 * A token is found by the digest of the settings that it is fetched with.  It
 * is a copy of a row of saga.token, so one that is idle can be forgotten at any
 * time; settings that are altered again and again leave one behind each time.
 */
#include "postgres.h"

#include "common/clock.h"
#include "endpoint/oauth_private.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/*
 * More than the requests that one owner, and that all of them, can have in
 * flight: what one of those is about to use is not the one that was used
 * longest ago.
 */
#define SAGA_TOKENS_OF_OWNER	256
#define SAGA_TOKENS_OF_ALL		2048

/* Nobody has asked for it for so long; looked for so often. */
#define SAGA_TOKEN_FORGET_MS	(10 * 60 * 1000)
#define SAGA_TOKEN_SWEEP_MS		(60 * 1000)

/* Of a digest in hexadecimal digits, without a NUL. */
#define SAGA_MADE_FOR_LEN		64

typedef struct Entry
{
	char		made_for[SAGA_MADE_FOR_LEN];
	SagaToken  *token;			/* in TopMemoryContext */
} Entry;

static HTAB *tokens = NULL;		/* of Entry; NULL: none yet */
static HTAB *owners = NULL;		/* of SagaTokenOwner, those that have busy ones */
static int	asking = 0;			/* of all owners */
static TimestampTz sweep_at = 0;	/* saga_monotonic_now */

dlist_head	saga_tokens_busy = DLIST_STATIC_INIT(saga_tokens_busy);

/* Each is made by itself: an error may have come between the two. */
static void
make_tables(void)
{
	HASHCTL		ctl = {.keysize = SAGA_MADE_FOR_LEN, .entrysize = sizeof(Entry)};
	HASHCTL		owner_ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(SagaTokenOwner)};

	if (owners == NULL)
		owners = hash_create("pg_saga owners of tokens", 16, &owner_ctl, HASH_ELEM | HASH_BLOBS);
	if (tokens == NULL)
		tokens = hash_create("pg_saga tokens", 64, &ctl, HASH_ELEM | HASH_BLOBS);
}

/* ---------- forgetting ---------- */

/* What it held is overwritten. */
static void
forget(SagaToken *token)
{
	Assert(token->state == SAGA_TOKEN_IDLE);
	(void) hash_search(tokens, token->made_for, HASH_REMOVE, NULL);
	saga_oauth_adopt(token, NULL, 0, 0, 0);
	saga_oauth_set_error(token, NULL, 0, 0);
	pfree(token->key);
	pfree(token->made_for);
	pfree(token);
}

/* other NULL: nothing is older yet. */
static bool
is_older(const SagaToken *token, const SagaToken *other)
{
	return other == NULL || token->used_at < other->used_at;
}

/* Forgets those that nobody uses, and makes room for one more of this owner; InvalidOid: of nobody. */
static void
sweep(Oid owner, TimestampTz now)
{
	SagaToken  *oldest = NULL;
	SagaToken  *his_oldest = NULL;
	int			all = 0;
	int			his = 0;
	HASH_SEQ_STATUS seq;
	Entry	   *entry;

	hash_seq_init(&seq, tokens);
	while ((entry = hash_seq_search(&seq)) != NULL)
	{
		SagaToken  *token = entry->token;
		bool		idle = token->state == SAGA_TOKEN_IDLE;

		if (idle && TimestampTzPlusMilliseconds(token->used_at, SAGA_TOKEN_FORGET_MS) < now)
		{
			forget(token);
			continue;
		}
		all++;
		his += token->owner == owner;
		if (idle && is_older(token, oldest))
			oldest = token;
		if (idle && token->owner == owner && is_older(token, his_oldest))
			his_oldest = token;
	}
	sweep_at = TimestampTzPlusMilliseconds(now, SAGA_TOKEN_SWEEP_MS);
	if (his >= SAGA_TOKENS_OF_OWNER && his_oldest != NULL)
		forget(his_oldest);
	else if (all >= SAGA_TOKENS_OF_ALL && oldest != NULL)
		forget(oldest);
}

/* ---------- which ---------- */

/*
 * In memory of the process.  The entry is made last, so that an error leaves
 * none without a token.
 */
static SagaToken *
make_token(const SagaAuth *auth, Oid owner)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	SagaToken  *token = palloc0(sizeof(SagaToken));
	Entry	   *entry;

	token->key = pstrdup(auth->token_key);
	token->made_for = pstrdup(auth->token_made_for);
	token->owner = owner;
	MemoryContextSwitchTo(old);
	entry = hash_search(tokens, token->made_for, HASH_ENTER, NULL);
	entry->token = token;
	return token;
}

SagaToken *
saga_endpoint_token_find(const SagaAuth *auth, Oid owner)
{
	TimestampTz now = saga_monotonic_now();
	SagaToken  *token;
	Entry	   *entry;

	Assert(strlen(auth->token_made_for) == SAGA_MADE_FOR_LEN);
	make_tables();
	if (sweep_at <= now)
		sweep(InvalidOid, now);
	entry = hash_search(tokens, auth->token_made_for, HASH_FIND, NULL);
	if (entry == NULL)
		sweep(owner, now);
	token = entry != NULL ? entry->token : make_token(auth, owner);
	token->used_at = now;
	return token;
}

void
saga_oauth_move_times(int64 by)
{
	HASH_SEQ_STATUS seq;
	Entry	   *entry;

	if (tokens == NULL)
		return;
	hash_seq_init(&seq, tokens);
	while ((entry = hash_seq_search(&seq)) != NULL)
	{
		saga_clock_move(&entry->token->look_at, by);
		saga_clock_move(&entry->token->retry_at, by);
	}
}

/* ---------- busy ones, by owner ---------- */

/* NULL: none of his tokens is busy. */
static SagaTokenOwner *
find_owner(Oid owner)
{
	return owners != NULL ? hash_search(owners, &owner, HASH_FIND, NULL) : NULL;
}

/* Wanted ones count as well as those whose request flies. */
int
saga_endpoint_tokens_busy_of(Oid owner)
{
	const SagaTokenOwner *of = find_owner(owner);

	return of != NULL ? of->busy : 0;
}

int
saga_oauth_asking(Oid owner, int *of_owner)
{
	const SagaTokenOwner *of = asking > 0 && of_owner != NULL ? find_owner(owner) : NULL;

	if (of_owner != NULL)
		*of_owner = of != NULL ? of->asking : 0;
	return asking;
}

/* Counts it and puts it at the end of the list. */
void
saga_endpoint_token_set_busy(SagaToken *token)
{
	bool		found;
	SagaTokenOwner *of = hash_search(owners, &token->owner, HASH_ENTER, &found);

	if (!found)
	{
		of->busy = of->asking = 0;
		of->spent_us = 0;
	}
	of->busy++;
	token->of = of;
	dlist_push_tail(&saga_tokens_busy, &token->node);
}

void
saga_endpoint_token_set_idle(SagaToken *token)
{
	SagaTokenOwner *of = token->of;

	Assert(!token->locked);
	if (of == NULL)
		return;
	dlist_delete(&token->node);
	token->of = NULL;
	if (--of->busy == 0)
		(void) hash_search(owners, &of->owner, HASH_REMOVE, NULL);
}

/*
 * True when this process has the lock, since before or from now on; it does
 * not wait for it.
 */
bool
saga_endpoint_token_lock(SagaToken *token)
{
	if (token->locked)
		return true;
	if (!saga_oauth_lock(token))
		return false;
	token->of->asking++;
	asking++;
	return true;
}

/* Does nothing without the lock. */
void
saga_endpoint_token_unlock(SagaToken *token)
{
	if (!token->locked)
		return;
	saga_oauth_unlock(token);
	token->of->asking--;
	asking--;
}

/* Of an owner who has none any more nothing needs to be known. */
void
saga_endpoint_token_charge(Oid owner, int64 us)
{
	SagaTokenOwner *of = find_owner(owner);

	if (of != NULL)
		of->spent_us += us;
}

void
saga_endpoint_tokens_begin_turn(void)
{
	HASH_SEQ_STATUS seq;
	SagaTokenOwner *of;

	if (owners == NULL)
		return;
	hash_seq_init(&seq, owners);
	while ((of = hash_seq_search(&seq)) != NULL)
		of->spent_us = 0;
}
