/*
 * credentials.c
 *		AWS credentials: the chain that they come from, and how long they are
 *		used.
 *
 * A link that is set up is the one: when it does not work, that is an error,
 * and the next one is not asked.  The server would else act as somebody else
 * than its operator said.
 */
#include "postgres.h"

#include "aws/credentials_private.h"
#include "common/clock.h"
#include "net/json.h"
#include "net/secret.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* A file is read again after this, and what it said is not believed longer than that. */
#define SAGA_FILE_RENEW_MS		60000
#define SAGA_FILE_VALID_MS		(5 * 60 * 1000)

/* Others are not asked for again so soon after the last ones were refused. */
#define SAGA_REFUSED_MS			1000

/* Requests that were signed before others were read are answered within this. */
#define SAGA_REPLACED_MS		30000

bool
saga_aws_is_credentials_error(const char *code)
{
	static const char *const codes[] = {
		"ExpiredToken", "InvalidClientTokenId", "UnrecognizedClient", "InvalidToken", "SignatureDoesNotMatch",
		"InvalidSignature"
	};
	int			i;

	for (i = 0; i < lengthof(codes); i++)
	{
		size_t		len = strlen(codes[i]);

		/* some services write Exception behind it */
		if (strncmp(code, codes[i], len) == 0 && (code[len] == '\0' || strcmp(code + len, "Exception") == 0))
			return true;
	}
	return false;
}

/* ---------- links that need no request ---------- */

/* The link "environment": keys that the server was started with. */
static SagaAwsOutcome
read_environment(SagaCredentials *credentials, char **error)
{
	const char *access_key = saga_aws_variable("AWS_ACCESS_KEY_ID");
	const char *secret_key = saga_aws_variable("AWS_SECRET_ACCESS_KEY");
	const char *token = saga_aws_variable("AWS_SESSION_TOKEN");

	if (access_key == NULL && secret_key == NULL)
		return SAGA_AWS_ABSENT;
	if (access_key == NULL || secret_key == NULL)
	{
		*error = psprintf("the environment has %s and no %s",
						  access_key ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
						  access_key ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
		return SAGA_AWS_FAILED;
	}
	credentials->access_key = pstrdup(access_key);
	credentials->secret_key = pstrdup(secret_key);
	credentials->session_token = token ? pstrdup(token) : NULL;
	return SAGA_AWS_GOT;
}

/* A row of saga.secret: {"access_key_id", "secret_access_key", "session_token"}. */
static SagaAwsOutcome
read_secret(const SagaAwsProvider *provider, SagaCredentials *credentials, char **error)
{
	SagaJsonMember members[] = {{"access_key_id"}, {"secret_access_key"}, {"session_token"}};
	char	   *value = saga_secret_get(provider->secret);
	bool		ok;

	if (value == NULL)
	{
		*error = psprintf("secret \"%s\" does not exist", provider->secret);
		return SAGA_AWS_FAILED;
	}
	ok = saga_json_get_members(value, strlen(value), members, lengthof(members));
	explicit_bzero(value, strlen(value));
	if (!ok || members[0].text == NULL || members[1].text == NULL)
	{
		*error = psprintf("secret \"%s\" is no JSON object with access_key_id and secret_access_key",
						  provider->secret);
		return SAGA_AWS_FAILED;
	}
	credentials->access_key = members[0].text;
	credentials->secret_key = members[1].text;
	credentials->session_token = members[2].text;
	return SAGA_AWS_GOT;
}

/* ---------- the chain ---------- */

/* Is this link to be asked at all? */
static bool
asks(const SagaAwsProvider *provider, int link)
{
	if (provider->secret != NULL)
		return link == SAGA_AWS_SECRET;
	if (provider->file != NULL || provider->profile != NULL)
		return link == SAGA_AWS_FILE;
	if (provider->link != SAGA_AWS_AUTO)
		return link == provider->link;
	if (provider->setting != SAGA_AWS_AUTO)
		return link == provider->setting && link != SAGA_AWS_SECRET;
	return link != SAGA_AWS_SECRET;
}

/* Asks one link of the chain. */
static SagaAwsOutcome
ask(SagaAwsProvider *provider, int link, SagaHttp *http, SagaCredentials *credentials, char **error)
{
	switch (link)
	{
		case SAGA_AWS_ENVIRONMENT:
			return read_environment(credentials, error);
		case SAGA_AWS_WEB_IDENTITY:
			return saga_aws_fetch_web_identity(provider, http, error);
		case SAGA_AWS_FILE:
			return saga_aws_read_files(provider, credentials, error);
		case SAGA_AWS_CONTAINER:
			return saga_aws_fetch_container(provider, http, error);
		case SAGA_AWS_IMDS:
			return saga_aws_fetch_imds(provider, http, error);
		default:
			return read_secret(provider, credentials, error);
	}
}

/* What to say when no link that was asked is set up. */
static char *
nothing_there(const SagaAwsProvider *provider)
{
	if (provider->setting == SAGA_AWS_AUTO || provider->link != SAGA_AWS_AUTO)
		return pstrdup("there are no AWS credentials: neither the environment nor a web identity, a credentials file, a container endpoint or the instance metadata has any");
	return psprintf("there are no AWS credentials where pg_saga.aws_credentials (\"%s\") says",
					GetConfigOption("pg_saga.aws_credentials", false, false));
}

/* What a file or a secret says now. */
static void
take_static(SagaAwsProvider *provider, int link, const SagaCredentials *credentials)
{
	TimestampTz now = GetCurrentTimestamp();

	saga_aws_provider_take(provider, link, credentials, 0);
	if (link == SAGA_AWS_ENVIRONMENT)
		return;					/* it does not change while a process lives */
	provider->renew_at = link == SAGA_AWS_FILE ? TimestampTzPlusMilliseconds(now, SAGA_FILE_RENEW_MS) : now;
	provider->valid_until = TimestampTzPlusMilliseconds(now, SAGA_FILE_VALID_MS);
}

/* Asks the links in their order until one is set up, and keeps what it gives, or why it does not. */
static SagaAwsOutcome
renew(SagaAwsProvider *provider, SagaHttp *http)
{
	SagaAwsOutcome outcome = SAGA_AWS_ABSENT;
	SagaCredentials credentials = {NULL, NULL, NULL};
	char	   *error = NULL;
	int			link;

	for (link = SAGA_AWS_ENVIRONMENT; link <= SAGA_AWS_SECRET; link++)
	{
		if (asks(provider, link))
			outcome = ask(provider, link, http, &credentials, &error);
		if (outcome != SAGA_AWS_ABSENT)
			break;
	}
	if (outcome == SAGA_AWS_GOT)
		take_static(provider, link, &credentials);
	else if (outcome == SAGA_AWS_ABSENT)
		saga_aws_provider_note_failure(provider, nothing_there(provider));
	else if (outcome == SAGA_AWS_FAILED)
		saga_aws_provider_note_failure(provider, error);

	/*
	 * a secret is at hand: one that is gone, or was made anew by somebody
	 * else, is not used any longer
	 */
	if (outcome == SAGA_AWS_FAILED && link == SAGA_AWS_SECRET)
		saga_aws_wipe(&provider->credentials);
	saga_aws_wipe(&credentials);
	return outcome;
}

/* NULL is copied as such. */
static char *
copy_text(const char *text)
{
	return text != NULL ? pstrdup(text) : NULL;
}

SagaReadiness
saga_aws_credentials(const SagaAwsSource *source, SagaHttp *http, SagaCredentials *credentials,
					 char **error)
{
	SagaAwsProvider *provider = saga_aws_provider_get(source);
	TimestampTz now = GetCurrentTimestamp();
	bool		waiting;

	memset(credentials, 0, sizeof(*credentials));
	*error = NULL;
	if (provider->fetch != NULL && !saga_aws_fetch_runs_over(provider->fetch, http))
		saga_aws_provider_forget_fetch(provider);
	waiting = provider->fetch != NULL;
	if (!waiting && provider->retry_at <= saga_monotonic_now() &&
		(provider->credentials.access_key == NULL || provider->renew_at <= now))
		waiting = renew(provider, http) == SAGA_AWS_FETCHING;
	if (provider->credentials.access_key != NULL && provider->valid_until > now)
	{
		credentials->access_key = pstrdup(provider->credentials.access_key);
		credentials->secret_key = pstrdup(provider->credentials.secret_key);
		credentials->session_token = copy_text(provider->credentials.session_token);
		return SAGA_READY_NOW;
	}
	if (waiting)
		return SAGA_READY_LATER;
	*error = pstrdup(provider->error ? provider->error : "the AWS credentials have expired");
	return provider->error != NULL && provider->busy ? SAGA_READY_BUSY : SAGA_READY_NEVER;
}

/* ---------- refused ones ---------- */

/* Does the file, or the secret, say something else by now? */
static bool
read_again(SagaAwsProvider *provider)
{
	SagaCredentials credentials = {NULL, NULL, NULL};
	char	   *error = NULL;
	SagaAwsOutcome outcome = ask(provider, provider->link, NULL, &credentials, &error);
	bool		others = outcome == SAGA_AWS_GOT && !saga_aws_same_credentials(&credentials, &provider->credentials);

	if (others)
	{
		take_static(provider, provider->link, &credentials);
		provider->replaced_at = saga_monotonic_now();
	}
	saga_aws_wipe(&credentials);
	return others;
}

bool
saga_aws_credentials_refused(const SagaAwsSource *source, const char *access_key)
{
	SagaAwsProvider *provider = saga_aws_provider_find(source);
	TimestampTz now = saga_monotonic_now();

	if (provider == NULL)
		return false;
	/* another request was first to say so */
	if (provider->credentials.access_key == NULL)
		return provider->fetch != NULL || provider->retry_at <= saga_monotonic_now();
	if (strcmp(provider->credentials.access_key, access_key) != 0)
		return true;
	if (provider->link == SAGA_AWS_ENVIRONMENT)
		return false;
	if (provider->link == SAGA_AWS_FILE || provider->link == SAGA_AWS_SECRET)
		/* others of the same refused ones may ask after they were replaced */
		return read_again(provider) ||
			(provider->replaced_at != 0 && provider->replaced_at > TimestampTzPlusMilliseconds(now, -SAGA_REPLACED_MS));
	if (provider->refused_at != 0 && provider->refused_at > TimestampTzPlusMilliseconds(now, -SAGA_REFUSED_MS))
		return false;
	provider->refused_at = now;
	saga_aws_wipe(&provider->credentials);
	return true;
}
