/*
 * credentials_fetch.c
 *		Requests for AWS credentials: one after the other, over the SagaHttp of
 *		whoever asked first.
 *
 * Whatever raises in the middle leaves the provider without a fetch, so that
 * the next one who asks begins another.
 */
#include "postgres.h"

#include "aws/credentials_private.h"
#include "net/json.h"
#include "net/secret.h"
#include "utils/datetime.h"
#include "utils/memutils.h"

/* ---------- begin and end ---------- */

/* The fetch goes, and its secrets are overwritten. */
static void
end_fetch(SagaAwsFetch *fetch)
{
	ListCell   *lc;

	if (fetch->provider != NULL && fetch->provider->fetch == fetch)
		fetch->provider->fetch = NULL;
	foreach(lc, fetch->secrets)
		explicit_bzero(lfirst(lc), strlen(lfirst(lc)));
	if (fetch->request.body != NULL)
		explicit_bzero(unconstify(char *, fetch->request.body), fetch->request.body_len);
	MemoryContextDelete(fetch->context);
}

bool
saga_aws_fetch_runs_over(const SagaAwsFetch *fetch, const SagaHttp *http)
{
	return fetch->http == http;
}

/* SagaHttpUser.aborted */
static void
fetch_aborted(SagaHttpUser *user)
{
	end_fetch((SagaAwsFetch *) user);
}

/* NULL, or an error. */
static char *
send_request(SagaAwsFetch *fetch)
{
	char	   *error;

	fetch->request.headers = NIL;
	fetch->request.body = NULL;
	fetch->request.body_len = 0;
	error = fetch->kind->prepare(fetch);
	if (error == NULL && !saga_http_start(fetch->http, &fetch->request, &fetch->user))
		error = "the request could not be started";
	return error;
}

/* ---------- answers ---------- */

/* May the same request have a better answer soon? */
static bool
is_worth_another_try(const SagaHttpAnswer *answer)
{
	return answer->transport == SAGA_TRANSPORT_NOT_SENT || answer->transport == SAGA_TRANSPORT_LOST ||
		answer->transport == SAGA_TRANSPORT_BUSY ||
		(answer->transport == SAGA_TRANSPORT_OK && (answer->status >= 500 || answer->status == 429));
}

/* What follows from an answer; one with a status is for the kind of the fetch to read. */
static SagaAwsStep
judge(SagaAwsFetch *fetch, const SagaHttpAnswer *answer, SagaCredentials *credentials,
	  TimestampTz *expires_at, char **error)
{
	if (answer->transport == SAGA_TRANSPORT_REFUSED)
	{
		*error = "its address is none that credentials are asked from";
		return SAGA_AWS_STEP_FAILED;
	}
	if (answer->transport != SAGA_TRANSPORT_OK)
		*error = pstrdup(answer->message);
	else if (answer->truncated)
		*error = "its answer is too long";
	else if (!is_worth_another_try(answer))
		return fetch->kind->answered(fetch, answer, credentials, expires_at, error);
	else
		*error = psprintf("its answer has status %d", answer->status);
	return is_worth_another_try(answer) ? SAGA_AWS_STEP_AGAIN : SAGA_AWS_STEP_FAILED;
}

/* For the log and for people: some of it is what a server said. */
static char *
describe(const SagaAwsFetch *fetch, const char *error)
{
	bool		last_resort = fetch->kind->link == SAGA_AWS_IMDS &&
	fetch->provider->setting == SAGA_AWS_AUTO && fetch->provider->link == SAGA_AWS_AUTO;
	char	   *text = psprintf("%s%s: %s", last_resort ? "nothing else is set up; " : "",
								fetch->kind->name, error);
	char	   *p;

	saga_secret_redact(text, strlen(text), fetch->secrets);
	for (p = text; *p; p++)
	{
		if ((unsigned char) *p < ' ' || (unsigned char) *p >= 0x7f)
			*p = '?';
	}
	return text;
}

/* SagaHttpUser.finished */
static void
fetch_finished(SagaHttpUser *user, const SagaHttpAnswer *answer)
{
	SagaAwsFetch *fetch = (SagaAwsFetch *) user;
	SagaAwsProvider *provider = fetch->provider;
	MemoryContext old = MemoryContextSwitchTo(fetch->context);
	SagaCredentials credentials = {NULL, NULL, NULL};
	TimestampTz expires_at = 0;
	char	   *error = NULL;
	SagaAwsStep step = SAGA_AWS_STEP_FAILED;

	if (provider != NULL)
	{
		provider->fetch = NULL;
		step = judge(fetch, answer, &credentials, &expires_at, &error);
		if (step == SAGA_AWS_STEP_AGAIN && ++fetch->tries >= fetch->kind->tries)
			step = SAGA_AWS_STEP_FAILED;
		if (step == SAGA_AWS_STEP_NEXT)
			fetch->step++;
		if (step == SAGA_AWS_STEP_NEXT || step == SAGA_AWS_STEP_AGAIN)
		{
			error = send_request(fetch);
			if (error == NULL)
			{
				provider->fetch = fetch;
				MemoryContextSwitchTo(old);
				return;
			}
			step = SAGA_AWS_STEP_FAILED;
		}
		if (step == SAGA_AWS_STEP_DONE)
			saga_aws_provider_take(provider, fetch->kind->link, &credentials, expires_at);
		else
			saga_aws_provider_fail(provider, describe(fetch, error), answer->transport == SAGA_TRANSPORT_BUSY);
	}
	saga_aws_wipe(&credentials);
	MemoryContextSwitchTo(old);
	end_fetch(fetch);
}

SagaAwsOutcome
saga_aws_fetch_begin(const SagaAwsFetchKind *kind, SagaAwsProvider *provider, SagaHttp *http,
					 char **error)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "saga AWS credentials",
												  ALLOCSET_SMALL_SIZES);
	SagaAwsFetch *fetch = MemoryContextAllocZero(context, sizeof(SagaAwsFetch));
	MemoryContext old;

	fetch->user.finished = fetch_finished;
	fetch->user.aborted = fetch_aborted;
	fetch->kind = kind;
	fetch->provider = provider;
	fetch->http = http;
	fetch->context = context;
	fetch->request.guard = &fetch->guard;
	fetch->request.timeout_ms = fetch->request.connect_timeout_ms = kind->timeout_ms;
	fetch->request.max_response_bytes = SAGA_AWS_MAX_BYTES;
	fetch->request.wipe_answer = true;
	old = MemoryContextSwitchTo(context);
	*error = send_request(fetch);
	MemoryContextSwitchTo(old);
	if (*error == NULL)
	{
		provider->fetch = fetch;
		return SAGA_AWS_FETCHING;
	}
	*error = psprintf("%s: %s", kind->name, *error);
	end_fetch(fetch);
	return SAGA_AWS_FAILED;
}

/* ---------- for the kinds ---------- */

void
saga_aws_fetch_add_header(SagaAwsFetch *fetch, const char *name, const char *value)
{
	char	   *line = psprintf("%s: %s", name, value);

	fetch->secrets = lappend(fetch->secrets, line);
	fetch->request.headers = lappend(fetch->request.headers, line);
}

void
saga_aws_fetch_allow(SagaAwsFetch *fetch, const char *const *addresses)
{
	int			n = 0;

	while (addresses[n] != NULL)
		n++;
	fetch->guard.allow_all = false;
	fetch->guard.only = true;
	fetch->guard.allowed = palloc0(n * sizeof(SagaCidr));
	for (fetch->guard.nallowed = 0; fetch->guard.nallowed < n; fetch->guard.nallowed++)
	{
		if (!saga_cidr_parse(addresses[fetch->guard.nallowed],
							 &fetch->guard.allowed[fetch->guard.nallowed]))
			elog(ERROR, "wrong address \"%s\"", addresses[fetch->guard.nallowed]);
	}
}

TimestampTz
saga_aws_parse_time(const char *text)
{
	int			year,
				month,
				day,
				hour,
				minute,
				second;
	int			length = 0;

	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute, &second,
			   &length) != 6 ||
		year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 ||
		minute < 0 || minute > 59 || second < 0 || second > 60)
		return 0;
	text += length;
	if (*text == '.')
		text += 1 + strspn(text + 1, "0123456789");
	if (strcmp(text, "Z") != 0 && strcmp(text, "+00:00") != 0)
		return 0;
	return (TimestampTz) (date2j(year, month, day) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY +
		(((int64) hour * 60 + minute) * 60 + second) * USECS_PER_SEC;
}

SagaAwsStep
saga_aws_read_json(SagaAwsFetch *fetch, const SagaHttpAnswer *answer, SagaCredentials *credentials,
				   TimestampTz *expires_at, char **error)
{
	SagaJsonMember members[] = {
		{"AccessKeyId"}, {"SecretAccessKey"}, {"Token"}, {"Expiration"}
	};
	int			i;

	if (!saga_json_get_members(answer->body ? answer->body : "", answer->body_len, members, lengthof(members)))
	{
		*error = "its answer is no JSON object";
		return SAGA_AWS_STEP_FAILED;
	}
	credentials->access_key = members[0].text;
	credentials->secret_key = members[1].text;
	credentials->session_token = members[2].text;
	for (i = 0; i < lengthof(members); i++)
	{
		if (members[i].text != NULL && members[i].text[0] != '\0')
			continue;
		*error = psprintf("its answer has no %s", members[i].name);
		return SAGA_AWS_STEP_FAILED;
	}
	*expires_at = saga_aws_parse_time(members[3].text);
	if (*expires_at == 0)
	{
		*error = "its answer has an Expiration that is no time";
		return SAGA_AWS_STEP_FAILED;
	}
	return SAGA_AWS_STEP_DONE;
}

char *
saga_aws_read_token_file(const char *path, char **error)
{
	char	   *token = saga_secret_read_file(path, SAGA_AWS_MAX_BYTES, error);
	size_t		len;

	if (token == NULL)
		return NULL;
	len = strlen(token);
	while (len > 0 && isspace((unsigned char) token[len - 1]))
		token[--len] = '\0';
	if (len == 0)
	{
		*error = psprintf("file \"%s\" is empty", path);
		return NULL;
	}
	return token;
}
