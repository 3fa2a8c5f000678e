/*
 * credentials_local.c
 *		AWS credentials from the machine that we run on: the endpoint of a
 *		container, or the metadata of an instance.
 *
 * These requests go to fixed addresses and nowhere else, whatever a name
 * resolves to; no rule of a destination applies to them.
 */
#include "postgres.h"

#include "aws/credentials_private.h"
#include "net/url.h"

#define SAGA_LOCAL_TIMEOUT_MS	1000
#define SAGA_LOCAL_TRIES		3

/* How long a token of the metadata service may live: longer than it is needed. */
#define SAGA_IMDS_TOKEN_TTL		"21600"

static const char *const container_addresses[] = {
	"127.0.0.0/8", "::1", "169.254.170.2", "169.254.170.23", "fd00:ec2::23", NULL
};
static const char *const imds_addresses[] = {
	"127.0.0.0/8", "::1", "169.254.169.254", "fd00:ec2::254", NULL
};

/* Could go into a header or a URL as it is. */
static bool
is_one_word(const char *text)
{
	const char *p;

	for (p = text; *p; p++)
	{
		if ((unsigned char) *p <= ' ' || (unsigned char) *p >= 0x7f)
			return false;
	}
	return p != text;
}

/* ---------- containers ---------- */

/* The token that a container's endpoint asks for, if there is one.  NULL, or an error. */
static char *
add_authorization(SagaAwsFetch *fetch)
{
	const char *path = saga_aws_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *token = saga_aws_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	char	   *error = NULL;
	char	   *from_file = NULL;

	if (path != NULL)
	{
		token = from_file = saga_aws_read_token_file(path, &error);
		if (token == NULL)
			return error;
		fetch->secrets = lappend(fetch->secrets, from_file);
	}
	if (token == NULL)
		return NULL;
	if (strpbrk(token, "\r\n") != NULL)
		return "the authorization token has more than one line";
	saga_aws_fetch_add_header(fetch, "Authorization", token);
	return NULL;
}

/* SagaAwsFetchKind.prepare: the one request to a container's endpoint. */
static char *
prepare_container(SagaAwsFetch *fetch)
{
	const char *relative = saga_aws_variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = saga_aws_variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	const char *error;
	SagaUrl		url;

	saga_aws_fetch_allow(fetch, container_addresses);
	if (relative != NULL)
	{
		if (relative[0] != '/')
			return "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with \"/\"";
		full = psprintf("http://169.254.170.2%s", relative);
	}
	error = saga_url_parse(full, NULL, &url);
	if (error != NULL)
		return psprintf("its URI %s", error);
	/* a certificate says who answers */
	if (url.https)
	{
		fetch->guard.only = false;
		fetch->guard.allow_all = true;
		fetch->request.ca_file = saga_aws_variable("AWS_CA_BUNDLE");
	}
	fetch->request.direct = true;
	fetch->request.method = "GET";
	fetch->request.url = full;
	return add_authorization(fetch);
}

/* SagaAwsFetchKind.answered of the same. */
static SagaAwsStep
container_answered(SagaAwsFetch *fetch, const SagaHttpAnswer *answer, SagaCredentials *credentials,
				   TimestampTz *expires_at, char **error)
{
	if (answer->status == 200)
		return saga_aws_read_json(fetch, answer, credentials, expires_at, error);
	*error = psprintf("its answer has status %d", answer->status);
	return SAGA_AWS_STEP_FAILED;
}

static const SagaAwsFetchKind container = {
	SAGA_AWS_CONTAINER, "the container's credentials endpoint", SAGA_LOCAL_TIMEOUT_MS, SAGA_LOCAL_TRIES,
	prepare_container, container_answered
};

SagaAwsOutcome
saga_aws_fetch_container(SagaAwsProvider *provider, SagaHttp *http, char **error)
{
	if (saga_aws_variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") == NULL &&
		saga_aws_variable("AWS_CONTAINER_CREDENTIALS_FULL_URI") == NULL)
		return SAGA_AWS_ABSENT;
	return saga_aws_fetch_begin(&container, provider, http, error);
}

/* ---------- instances: version 2 of the service only ---------- */

/* Where the metadata service is.  NULL, or an error. */
static char *
set_imds_base(SagaAwsFetch *fetch)
{
	const char *endpoint = saga_aws_variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	const char *mode = saga_aws_variable("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
	const char *error;
	SagaUrl		url;

	if (endpoint == NULL)
		endpoint = mode != NULL && pg_strcasecmp(mode, "IPv6") == 0 ?
			"http://[fd00:ec2::254]" : "http://169.254.169.254";
	error = saga_url_parse(endpoint, NULL, &url);
	if (error == NULL && url.query != NULL)
		error = "must not have a query";
	if (error != NULL)
		return psprintf("AWS_EC2_METADATA_SERVICE_ENDPOINT %s", error);
	fetch->base = pstrdup(endpoint);
	while (fetch->base[0] != '\0' && fetch->base[strlen(fetch->base) - 1] == '/')
		fetch->base[strlen(fetch->base) - 1] = '\0';
	return NULL;
}

/* SagaAwsFetchKind.prepare: for a session token, then for the name of the role, then for its credentials. */
static char *
prepare_imds(SagaAwsFetch *fetch)
{
	static const char path[] = "latest/meta-data/iam/security-credentials";
	char	   *error = NULL;

	if (fetch->base == NULL)
	{
		saga_aws_fetch_allow(fetch, imds_addresses);
		error = set_imds_base(fetch);
		if (error != NULL)
			return error;
	}
	if (fetch->step == 0)
	{
		fetch->request.direct = true;
		fetch->request.method = "PUT";
		fetch->request.url = psprintf("%s/latest/api/token", fetch->base);
		saga_aws_fetch_add_header(fetch, "X-aws-ec2-metadata-token-ttl-seconds", SAGA_IMDS_TOKEN_TTL);
		return NULL;
	}
	fetch->request.direct = true;
	fetch->request.method = "GET";
	fetch->request.url = psprintf("%s/%s/%s", fetch->base, path, fetch->step == 2 ? fetch->role : "");
	saga_aws_fetch_add_header(fetch, "X-aws-ec2-metadata-token", fetch->token);
	return NULL;
}

/* The first line; NULL: it is none that could be sent on. */
static char *
copy_word(SagaAwsFetch *fetch, const SagaHttpAnswer *answer)
{
	char	   *text = pnstrdup(answer->body ? answer->body : "", answer->body_len);

	fetch->secrets = lappend(fetch->secrets, text);
	text[strcspn(text, "\r\n")] = '\0';
	return is_one_word(text) ? text : NULL;
}

/* SagaAwsFetchKind.answered of the same three. */
static SagaAwsStep
imds_answered(SagaAwsFetch *fetch, const SagaHttpAnswer *answer, SagaCredentials *credentials,
			  TimestampTz *expires_at, char **error)
{
	static const char *const what[] = {"session token", "role", "credentials of its role"};

	if (answer->status != 200)
	{
		*error = psprintf("it has no %s for us: its answer has status %d", what[fetch->step], answer->status);
		return SAGA_AWS_STEP_FAILED;
	}
	if (fetch->step == 2)
		return saga_aws_read_json(fetch, answer, credentials, expires_at, error);
	if (fetch->step == 0)
		fetch->token = copy_word(fetch, answer);
	else
		fetch->role = copy_word(fetch, answer);
	if ((fetch->step == 0 ? fetch->token : fetch->role) != NULL)
		return SAGA_AWS_STEP_NEXT;
	*error = psprintf("its answer is no %s", what[fetch->step]);
	return SAGA_AWS_STEP_FAILED;
}

static const SagaAwsFetchKind imds = {
	SAGA_AWS_IMDS, "the instance's metadata service", SAGA_LOCAL_TIMEOUT_MS, SAGA_LOCAL_TRIES,
	prepare_imds, imds_answered
};

SagaAwsOutcome
saga_aws_fetch_imds(SagaAwsProvider *provider, SagaHttp *http, char **error)
{
	const char *disabled = saga_aws_variable("AWS_EC2_METADATA_DISABLED");

	if (disabled != NULL && pg_strcasecmp(disabled, "true") == 0)
		return SAGA_AWS_ABSENT;
	return saga_aws_fetch_begin(&imds, provider, http, error);
}
