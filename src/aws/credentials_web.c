/*
 * credentials_web.c
 *		AWS credentials for a web identity: a token in a file, changed for those
 *		of a role at STS.
 *
 * Kubernetes puts the token into a file and changes it from time to time, so
 * that it is read for each request.  The request to STS is not signed: the
 * token says who asks.
 */
#include "postgres.h"

#include "aws/credentials_private.h"
#include "net/url.h"
#include "net/xml.h"

#define SAGA_STS_TIMEOUT_MS	5000
#define SAGA_STS_TRIES		2

/* The region's own STS: the global one is far away, and down with its region. */
static char *
endpoint(const SagaAwsProvider *provider)
{
	const char *url = saga_aws_variable("AWS_ENDPOINT_URL_STS");
	const char *region = saga_aws_region();

	if (url == NULL)
		url = saga_aws_variable("AWS_ENDPOINT_URL");
	if (url != NULL)
		return pstrdup(url);
	if (region == NULL)
		region = provider->region;
	if (region == NULL)
		return pstrdup("https://sts.amazonaws.com/");
	return psprintf("https://sts.%s.amazonaws.com%s/", region,
					strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
}

/* One more field of the form that is sent. */
static void
add_field(StringInfo form, const char *name, const char *value)
{
	appendStringInfo(form, "&%s=", name);
	saga_url_encode(form, value, strlen(value));
}

/* SagaAwsFetchKind.prepare: the token of the web identity, exchanged for credentials of the role. */
static char *
prepare_web_identity(SagaAwsFetch *fetch)
{
	const char *session = saga_aws_variable("AWS_ROLE_SESSION_NAME");
	char	   *error;
	const char *wrong;
	char	   *token = saga_aws_read_token_file(saga_aws_variable("AWS_WEB_IDENTITY_TOKEN_FILE"), &error);
	SagaUrl		url;
	StringInfoData form;

	if (token == NULL)
		return error;
	fetch->secrets = lappend(fetch->secrets, token);
	/* large enough: growing would leave copies of the token behind */
	initStringInfo(&form);
	enlargeStringInfo(&form, 3 * strlen(token) + 8192);
	appendStringInfoString(&form, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15");
	add_field(&form, "RoleArn", saga_aws_variable("AWS_ROLE_ARN"));
	add_field(&form, "RoleSessionName", session ? session : "pg_saga");
	add_field(&form, "WebIdentityToken", token);
	fetch->request.body = form.data;
	fetch->request.body_len = form.len;
	fetch->request.method = "POST";
	fetch->request.url = endpoint(fetch->provider);
	fetch->request.headers = lappend(fetch->request.headers,
									 "Content-Type: application/x-www-form-urlencoded; charset=utf-8");
	fetch->request.ca_file = saga_aws_variable("AWS_CA_BUNDLE");

	/*
	 * the name is fixed; an endpoint in one's own network has a private
	 * address
	 */
	fetch->guard.allow_all = true;
	wrong = saga_url_parse(fetch->request.url, false, &url);
	return wrong != NULL ? psprintf("the endpoint's URL %s", wrong) : NULL;
}

/* What an answer of STS says: credentials, or an error with its code. */
static SagaAwsStep
read_answer(const SagaHttpAnswer *http, const SagaStsAnswer *answer, SagaCredentials *credentials,
			TimestampTz *expires_at, char **error)
{
	if (answer->code[0] != '\0' || http->status != 200)
	{
		*error = psprintf("%s: %s", answer->code[0] ? answer->code : "its answer has no code",
						  answer->message[0] ? answer->message : psprintf("status %d", http->status));
		return strcmp(answer->code, "IDPCommunicationError") == 0 ?
			SAGA_AWS_STEP_AGAIN : SAGA_AWS_STEP_FAILED;
	}
	*expires_at = saga_aws_parse_time(answer->expiration);
	if (*expires_at == 0 || answer->access_key[0] == '\0' || answer->secret_key[0] == '\0' ||
		answer->session_token[0] == '\0')
	{
		*error = "its answer has no complete credentials";
		return SAGA_AWS_STEP_FAILED;
	}
	credentials->access_key = pstrdup(answer->access_key);
	credentials->secret_key = pstrdup(answer->secret_key);
	credentials->session_token = pstrdup(answer->session_token);
	return SAGA_AWS_STEP_DONE;
}

/* SagaAwsFetchKind.answered: the answer is in memory that is overwritten. */
static SagaAwsStep
web_identity_answered(SagaAwsFetch *fetch, const SagaHttpAnswer *http, SagaCredentials *credentials,
					  TimestampTz *expires_at, char **error)
{
	SagaStsAnswer *answer = palloc(sizeof(SagaStsAnswer));
	SagaAwsStep step = SAGA_AWS_STEP_FAILED;

	if (saga_sts_parse(http->body ? http->body : "", http->body_len, answer))
		step = read_answer(http, answer, credentials, expires_at, error);
	else
		*error = psprintf("its answer, with status %d, is not one of STS", http->status);
	explicit_bzero(answer, sizeof(SagaStsAnswer));
	pfree(answer);
	return step;
}

static const SagaAwsFetchKind web_identity = {
	SAGA_AWS_WEB_IDENTITY, "STS", SAGA_STS_TIMEOUT_MS, SAGA_STS_TRIES,
	prepare_web_identity, web_identity_answered
};

SagaAwsOutcome
saga_aws_fetch_web_identity(SagaAwsProvider *provider, SagaHttp *http, char **error)
{
	const char *role = saga_aws_variable("AWS_ROLE_ARN");
	const char *file = saga_aws_variable("AWS_WEB_IDENTITY_TOKEN_FILE");

	if (role == NULL || file == NULL)
		return SAGA_AWS_ABSENT;
	return saga_aws_fetch_begin(&web_identity, provider, http, error);
}
