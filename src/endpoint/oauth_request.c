/*
 * oauth_request.c
 *		Requests to a token endpoint, and its answers (RFC 6749).
 *
 * saga_oauth_build_request() makes the form and its headers,
 * saga_oauth_read_answer() reads what comes back.  Both work in the token's
 * context, and everything secret in it is known to saga_oauth_wipe_request().
 * No text of an endpoint gets into a message unless it was made presentable:
 * it could hold our own secrets.
 */
#include "postgres.h"

#include "endpoint/auth_private.h"
#include "endpoint/oauth_private.h"
#include "net/json.h"
#include "net/secret.h"
#include "net/url.h"
#include "utils/timestamp.h"

#define SAGA_TOKEN_MAX_BYTES	65536	/* of an answer */
#define SAGA_TOKEN_TIMEOUT_MS	30000	/* at most; the destination may have less */
#define SAGA_TOKEN_LIFETIME_S	3600	/* when the answer does not say */
#define SAGA_TOKEN_MAX_LIFETIME_S (400 * 86400)
#define SAGA_MAX_DESCRIPTION	200

/* ---------- the request ---------- */

/* A value of NULL is left out. */
static void
add_parameter(StringInfo form, const char *name, const char *value)
{
	if (value == NULL)
		return;
	if (form->len > 0)
		appendStringInfoChar(form, '&');
	appendStringInfo(form, "%s=", name);
	saga_url_encode(form, value, strlen(value));
}

/* NULL and an error when a secret cannot be read. */
static char *
fill(SagaToken *token, const char *text, char **error)
{
	StringInfoData out;

	if (text == NULL)
		return NULL;
	initStringInfo(&out);
	*error = saga_secret_fill(&out, text, &token->secrets);
	if (*error == NULL)
		return out.data;
	explicit_bzero(out.data, out.len);
	return NULL;
}

/* Each of the two is encoded first, as a form's values are. */
static char *
basic_credentials(SagaToken *token, const char *id, const char *secret)
{
	StringInfoData user;
	StringInfoData password;
	char	   *header;

	initStringInfo(&user);
	initStringInfo(&password);
	saga_url_encode(&user, id, strlen(id));
	saga_url_encode(&password, secret, strlen(secret));
	header = saga_auth_basic(user.data, password.data, &token->secrets);
	explicit_bzero(password.data, password.len);
	return header;
}

/*
 * NULL, or why it is not there.  It was loaded with the lock on the token, so
 * no other process has used it since.
 */
static char *
read_refresh_token(SagaToken *token)
{
	const char *name = token->destination->auth.refresh_token;

	token->old_refresh_token = saga_secret_get(name);
	if (token->old_refresh_token == NULL)
		return psprintf("secret \"%s\" does not exist", saga_secret_key_name(name));
	token->secrets = lappend(token->secrets, token->old_refresh_token);
	return NULL;
}

/*
 * The token's request with the destination's guard and certificates, as the
 * endpoint is chosen by whoever wrote the settings.
 */
static void
set_request(SagaToken *token, StringInfo body, char *authorization)
{
	const SagaDestination *destination = token->destination;
	const SagaUrl *url = &destination->auth.token_url;
	SagaHttpRequest *request = &token->request;

	memset(request, 0, sizeof(*request));
	request->method = "POST";
	request->url = psprintf("%s://%s:%d%s%s%s", url->https ? "https" : "http", url->host, url->port,
							url->path[0] ? url->path : "/", url->query ? "?" : "",
							url->query ? url->query : "");
	request->headers = list_make2(pstrdup("Content-Type: application/x-www-form-urlencoded"),
								  pstrdup("Accept: application/json"));
	if (authorization != NULL)
		request->headers = lappend(request->headers, authorization);
	request->body = body->data;
	request->body_len = body->len;
	request->guard = &destination->guard;
	request->owner = destination->owner;
	request->ca_file = destination->ca_file;
	request->timeout_ms = Min(destination->timeout_ms, SAGA_TOKEN_TIMEOUT_MS);
	request->connect_timeout_ms = Min(destination->connect_timeout_ms, SAGA_TOKEN_TIMEOUT_MS);
	request->max_response_bytes = SAGA_TOKEN_MAX_BYTES;
	request->wipe_answer = true;
	/* after a failure not on a connection that may be the reason for it */
	request->fresh = token->error != NULL;
}

char *
saga_oauth_build_request(SagaToken *token)
{
	const SagaAuth *auth = &token->destination->auth;
	bool		refresh = auth->type == SAGA_AUTH_OAUTH_REFRESH;
	StringInfoData body;
	char	   *authorization = NULL;
	char	   *error = NULL;
	char	   *id = fill(token, auth->client_id, &error);
	char	   *secret = error == NULL ? fill(token, auth->client_secret, &error) : NULL;

	if (error == NULL && refresh)
		error = read_refresh_token(token);
	if (error != NULL)
		return error;
	initStringInfo(&body);
	add_parameter(&body, "grant_type", refresh ? "refresh_token" : "client_credentials");
	add_parameter(&body, "refresh_token", token->old_refresh_token);
	add_parameter(&body, "scope", auth->scope);
	add_parameter(&body, "audience", auth->audience);
	if (auth->basic && secret != NULL)
		authorization = basic_credentials(token, id, secret);
	else
	{
		add_parameter(&body, "client_id", id);
		add_parameter(&body, "client_secret", secret);
	}
	if (secret != NULL)
		explicit_bzero(secret, strlen(secret));
	set_request(token, &body, authorization);
	return NULL;
}

void
saga_oauth_wipe_request(SagaToken *token)
{
	ListCell   *lc;

	saga_secret_wipe(token->secrets);
	foreach(lc, token->request.headers)
		explicit_bzero(lfirst(lc), strlen(lfirst(lc)));
	if (token->request.body != NULL)
		explicit_bzero(unconstify(char *, token->request.body), token->request.body_len);
	if (token->new_access_token != NULL)
		explicit_bzero(token->new_access_token, strlen(token->new_access_token));
	if (token->new_refresh_token != NULL)
		explicit_bzero(token->new_refresh_token, strlen(token->new_refresh_token));
	memset(&token->request, 0, sizeof(token->request));
	token->secrets = NIL;
	token->old_refresh_token = token->new_access_token = token->new_refresh_token = NULL;
	token->new_error = NULL;
}

/* ---------- the answer ---------- */

/* Printable ASCII, as the RFC has it: fit for a header and for any encoding. */
static bool
is_token(const char *text)
{
	const char *p;

	for (p = text; *p; p++)
	{
		if (*p <= ' ' || *p > '~')
			return false;
	}
	return text[0] != '\0' && p - text <= 16384;
}

/* Foreign text in a message: short, printable, and without our secrets. */
static char *
presentable(SagaToken *token, const char *text)
{
	char	   *copy = pstrdup(text);
	char	   *p;

	saga_secret_redact(copy, strlen(copy), token->secrets);
	if (strlen(copy) > SAGA_MAX_DESCRIPTION)
		copy[SAGA_MAX_DESCRIPTION] = '\0';
	for (p = copy; *p; p++)
	{
		if (*p < ' ' || *p > '~')
			*p = '?';
	}
	return copy;
}

/* What is missing or no number counts as an hour; what is absurd is cut. */
static int64
lifetime_ms(const char *expires_in)
{
	double		seconds = expires_in != NULL ? strtod(expires_in, NULL) : 0;

	if (!(seconds > 0))
		return (int64) SAGA_TOKEN_LIFETIME_S * 1000;
	return (int64) (Min(seconds, SAGA_TOKEN_MAX_LIFETIME_S) * 1000);
}

/* The endpoint's own words for a failure, cut and cleaned. */
static char *
refusal(SagaToken *token, int status, const char *error, const char *description)
{
	StringInfoData message;

	initStringInfo(&message);
	appendStringInfo(&message, "the token endpoint answered %d", status);
	if (error != NULL)
		appendStringInfo(&message, ", %s", presentable(token, error));
	if (description != NULL)
		appendStringInfo(&message, ": %s", presentable(token, description));
	return message.data;
}

char *
saga_oauth_read_answer(SagaToken *token, const SagaHttpAnswer *answer)
{
	enum
	{
		ACCESS, TYPE, EXPIRES, REFRESH, ERROR_CODE, DESCRIPTION
	};
	SagaJsonMember members[] = {
		{"access_token"}, {"token_type"}, {"expires_in"}, {"refresh_token"}, {"error"},
		{"error_description"}
	};
	bool		json;

	if (answer->transport != SAGA_TRANSPORT_OK)
		return psprintf("no access token: %s", presentable(token, answer->message));
	json = !answer->truncated && answer->body != NULL &&
		saga_json_get_members(answer->body, answer->body_len, members, lengthof(members));
	if (answer->status < 200 || answer->status > 299)
		return refusal(token, answer->status, members[ERROR_CODE].text, members[DESCRIPTION].text);
	if (!json || members[ACCESS].text == NULL || !is_token(members[ACCESS].text))
		return pstrdup("the answer of the token endpoint has no usable access_token");
	if (members[TYPE].text != NULL && pg_strcasecmp(members[TYPE].text, "bearer") != 0)
		return pstrdup("the token endpoint gave a token that is no bearer token");
	token->new_access_token = members[ACCESS].text;
	token->lifetime_ms = lifetime_ms(members[EXPIRES].text);
	if (members[REFRESH].text != NULL && is_token(members[REFRESH].text))
		token->new_refresh_token = members[REFRESH].text;
	return NULL;
}
