/*
 * credentials_provider.c
 *		Providers: the credentials of one source as they are now, and what is
 *		known of getting others.
 *
 * Providers are not freed, but for those of secrets: owners may name any
 * number of these, and what is known of one is soon known again.  Their
 * credentials are overwritten when others come and when the process ends.  This file asks nobody for any: it stands
 * below the links of the chain, which tell it what they got.
 *
 * A provider is found by its source (secret, file, profile), so that all
 * destinations with the same settings share one.  renew_at comes before
 * valid_until: in between old credentials are used while others are asked
 * for.
 */
#include "postgres.h"

#include "aws/credentials_private.h"
#include "common/clock.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* New ones are asked for so long before the end, or in the last quarter of a shorter life. */
#define SAGA_RENEW_EARLY_MS		(5 * 60 * 1000)

/* A request signed shortly before the end may arrive behind it. */
#define SAGA_VALID_MARGIN_MS	5000

/* Credentials that are past their end when they come: a clock may be wrong. */
#define SAGA_EXPIRED_USE_MS		60000

/* After a failure to get any. */
#define SAGA_RETRY_MIN_MS		1000
#define SAGA_RETRY_MAX_MS		60000

/* Of secrets.  More than the requests that a process has in flight. */
#define SAGA_MAX_OF_SECRETS		1024

/* of this process; those of secrets in the order of their use */
static dlist_head providers = DLIST_STATIC_INIT(providers);
static int	of_secrets = 0;
static bool exit_registered = false;

/* Overwrites a text that is a secret, and frees it. */
static void
wipe_text(char **text)
{
	if (*text == NULL)
		return;
	explicit_bzero(*text, strlen(*text));
	pfree(*text);
	*text = NULL;
}

void
saga_aws_wipe(SagaCredentials *credentials)
{
	wipe_text(&credentials->access_key);
	wipe_text(&credentials->secret_key);
	wipe_text(&credentials->session_token);
}

const char *
saga_aws_variable(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0' ? value : NULL;
}

const char *
saga_aws_region(void)
{
	const char *region = saga_aws_variable("AWS_REGION");

	return region != NULL ? region : saga_aws_variable("AWS_DEFAULT_REGION");
}

/* NULL is the same as NULL alone. */
static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/*
 * The session token counts as well: keys of a role stay while its token
 * changes.
 */
bool
saga_aws_same_credentials(const SagaCredentials *a, const SagaCredentials *b)
{
	return same_text(a->access_key, b->access_key) && same_text(a->secret_key, b->secret_key) &&
		same_text(a->session_token, b->session_token);
}

/* ---------- one for each source ---------- */

/* The process ends: no credentials stay in its memory. */
static void
wipe_all(int code, Datum arg)
{
	dlist_iter	iter;

	dlist_foreach(iter, &providers)
		saga_aws_wipe(&dlist_container(SagaAwsProvider, node, iter.cur)->credentials);
}

/* A copy for the life of the process. */
static char *
keep(const char *text)
{
	return text != NULL ? MemoryContextStrdup(TopMemoryContext, text) : NULL;
}

SagaAwsProvider *
saga_aws_provider_find(const SagaAwsSource *source)
{
	dlist_iter	iter;

	dlist_foreach(iter, &providers)
	{
		SagaAwsProvider *provider = dlist_container(SagaAwsProvider, node, iter.cur);

		if (!same_text(provider->secret, source->secret) || !same_text(provider->file, source->file) ||
			!same_text(provider->profile, source->profile))
			continue;
		if (provider->secret != NULL)
		{
			dlist_delete(&provider->node);
			dlist_push_tail(&providers, &provider->node);
		}
		return provider;
	}
	return NULL;
}

/* That of a secret which was used longest ago.  Nothing is fetched for it: a secret is at hand. */
static void
forget_one(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &providers)
	{
		SagaAwsProvider *provider = dlist_container(SagaAwsProvider, node, iter.cur);

		if (provider->secret == NULL)
			continue;
		Assert(provider->fetch == NULL);
		dlist_delete(&provider->node);
		of_secrets--;
		saga_aws_wipe(&provider->credentials);
		pfree(provider->secret);
		if (provider->region != NULL)
			pfree(provider->region);
		if (provider->error != NULL)
			pfree(provider->error);
		pfree(provider);
		return;
	}
}

/* A new source has a provider from now on. */
static SagaAwsProvider *
make_provider(const SagaAwsSource *source)
{
	SagaAwsProvider *provider;

	if (source->secret != NULL && of_secrets >= SAGA_MAX_OF_SECRETS)
		forget_one();
	provider = MemoryContextAllocZero(TopMemoryContext, sizeof(SagaAwsProvider));
	provider->secret = keep(source->secret);
	provider->file = keep(source->file);
	provider->profile = keep(source->profile);
	provider->setting = saga_aws_link;
	if (!exit_registered)
		on_proc_exit(wipe_all, 0);
	exit_registered = true;
	dlist_push_tail(&providers, &provider->node);
	of_secrets += provider->secret != NULL;
	return provider;
}

void
saga_aws_provider_forget_fetch(SagaAwsProvider *provider)
{
	if (provider->fetch != NULL)
		provider->fetch->provider = NULL;
	provider->fetch = NULL;
}

/* The operator has named another link: what the old one gave is not used any longer. */
static void
start_anew(SagaAwsProvider *provider)
{
	saga_aws_provider_forget_fetch(provider);
	saga_aws_wipe(&provider->credentials);
	provider->link = SAGA_AWS_AUTO;
	provider->setting = saga_aws_link;
	provider->retry_at = 0;
	provider->failures = 0;
}

SagaAwsProvider *
saga_aws_provider_get(const SagaAwsSource *source)
{
	SagaAwsProvider *provider = saga_aws_provider_find(source);

	if (provider == NULL)
		provider = make_provider(source);
	else if (provider->setting != saga_aws_link)
		start_anew(provider);
	if (!same_text(provider->region, source->region))
	{
		char	   *old = provider->region;

		provider->region = keep(source->region);
		if (old != NULL)
			pfree(old);
	}
	return provider;
}

/* ---------- what links tell ---------- */

/* Anything from 0 to 1. */
static double
random_share(void)
{
	uint32		random = 0;

	(void) pg_strong_random(&random, sizeof(random));
	return random / (double) PG_UINT32_MAX;
}

/* Not all servers that got theirs together shall ask for others together. */
static void
set_times(SagaAwsProvider *provider, TimestampTz expires_at)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		left_ms = (expires_at - now) / 1000;
	int64		early_ms;

	if (expires_at == 0)
	{
		provider->valid_until = provider->renew_at = DT_NOEND;
		return;
	}
	/* better to try them: it may be our own clock that is wrong */
	if (left_ms <= 0)
	{
		ereport(LOG,
				(errmsg("AWS credentials were past their expiration when they came, and are used all the same"),
				 errhint("Compare the server's clock.")));
		left_ms = SAGA_EXPIRED_USE_MS;
		expires_at = TimestampTzPlusMilliseconds(now, left_ms);
	}
	early_ms = Min(SAGA_RENEW_EARLY_MS, left_ms / 4);
	early_ms += (int64) (random_share() * early_ms / 4);
	provider->renew_at = TimestampTzPlusMilliseconds(expires_at, -early_ms);
	provider->valid_until = TimestampTzPlusMilliseconds(expires_at, -Min(SAGA_VALID_MARGIN_MS, left_ms / 10));
}

void
saga_aws_provider_take(SagaAwsProvider *provider, int link, const SagaCredentials *credentials,
					   TimestampTz expires_at)
{
	SagaCredentials taken = {NULL, NULL, NULL};

	/* complete before it replaces the old ones */
	taken.access_key = keep(credentials->access_key);
	taken.secret_key = keep(credentials->secret_key);
	taken.session_token = keep(credentials->session_token);
	saga_aws_wipe(&provider->credentials);
	provider->credentials = taken;
	provider->link = link;
	set_times(provider, expires_at);
	provider->retry_at = 0;
	if (provider->failures > 0 && provider->secret == NULL)
		ereport(LOG, (errmsg("AWS credentials are there again")));
	provider->failures = 0;
	provider->busy = false;
}

/*
 * Told once, until the error is another one; what is at hand is used until it
 * expires.  A secret is its owner's matter, who finds the error at the
 * destination: in a log that all read he could write as much as he likes.
 */
void
saga_aws_provider_note_failure(SagaAwsProvider *provider, const char *error)
{
	char	   *old = provider->error;

	provider->error = keep(error);
	provider->busy = false;
	if (provider->secret == NULL && (provider->failures == 0 || !same_text(old, error)))
		ereport(LOG, (errmsg("could not get AWS credentials: %s", error)));
	if (old != NULL)
		pfree(old);
	provider->failures++;
}

/* Asking again costs the network something, unlike a look at a file. */
void
saga_aws_provider_fail(SagaAwsProvider *provider, const char *error, bool busy)
{
	int64		ms;

	saga_aws_provider_note_failure(provider, error);
	provider->busy = busy;
	ms = saga_backoff_jittered(SAGA_RETRY_MIN_MS, provider->failures - 1, SAGA_RETRY_MAX_MS);
	provider->retry_at = TimestampTzPlusMilliseconds(saga_monotonic_now(), ms);
}
