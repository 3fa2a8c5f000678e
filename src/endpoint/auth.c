/*
 * auth.c
 *		Who we are to a server: the headers of basic, bearer and header auth;
 *		tokens are in oauth.c, signatures in aws/.
 *
 * Begin reading with saga_auth_prepare, which is called each time a request
 * is sent, outside a transaction: secrets are read at that moment and never
 * stored with the message.  What a function takes out of them is overwritten
 * as soon as the header is made; the exchange wipes its headers and secrets
 * when it is freed.
 */
#include "postgres.h"

#include "common/base64.h"
#include "common/compat.h"
#include "endpoint/auth_private.h"
#include "endpoint/aws.h"
#include "endpoint/aws_private.h"
#include "endpoint/oauth_private.h"
#include "net/header.h"
#include "net/secret.h"

/* NULL and an error, which holds no secret. */
static char *
fill(SagaExchange *exchange, const char *text, char **error)
{
	StringInfoData out;

	initStringInfo(&out);
	*error = saga_secret_fill(&out, text, &exchange->secrets);
	if (*error == NULL)
		return out.data;
	explicit_bzero(out.data, out.len);
	return NULL;
}

/* NULL, or why the header could not be made. */
static char *
prepare_basic(SagaExchange *exchange, const SagaAuth *auth)
{
	char	   *error;
	char	   *user = fill(exchange, auth->user, &error);
	char	   *password = user != NULL ? fill(exchange, auth->password, &error) : NULL;

	if (password == NULL)
		return error;
	/* the server would take what follows the first colon for the password */
	if (strchr(user, ':') != NULL)
		error = pstrdup("the user of basic auth must not have a colon");
	else
		exchange->http.headers = lappend(exchange->http.headers,
										 saga_auth_basic(user, password, &exchange->secrets));
	explicit_bzero(password, strlen(password));
	return error;
}

/*
 * One header of a prefix and a text with references to secrets.  NULL, or why
 * it could not be made; the message names the header, never its value.
 */
static char *
prepare_header(SagaExchange *exchange, const char *name, const char *prefix, const char *text)
{
	char	   *error;
	char	   *value = fill(exchange, text, &error);
	const char *wrong = value != NULL ? saga_header_check_value(value) : NULL;

	if (value == NULL)
		return error;
	if (wrong == NULL)
		saga_auth_set_header(exchange, name, psprintf("%s%s", prefix, value));
	explicit_bzero(value, strlen(value));
	return wrong != NULL ? psprintf("the value of header \"%s\" %s", name, wrong) : NULL;
}

SagaReadiness
saga_auth_prepare(SagaExchange *exchange, SagaHttp *http, char **error)
{
	const SagaAuth *auth = &exchange->destination->auth;
	SagaAwsSource source;

	*error = NULL;
	switch (auth->type)
	{
		case SAGA_AUTH_NONE:
			break;
		case SAGA_AUTH_BASIC:
			*error = prepare_basic(exchange, auth);
			break;
		case SAGA_AUTH_BEARER:
			*error = prepare_header(exchange, "Authorization", "Bearer ", auth->token);
			break;
		case SAGA_AUTH_HEADER:
			*error = prepare_header(exchange, auth->name, "", auth->value);
			break;
		case SAGA_AUTH_OAUTH_CLIENT:
		case SAGA_AUTH_OAUTH_REFRESH:
			return saga_oauth_prepare(exchange, error);
		case SAGA_AUTH_SIGV4:
			source = saga_endpoint_aws_source(exchange->destination);
			return saga_endpoint_aws_sign(exchange, &source, exchange->destination->region, auth->service, http, error);
	}
	return *error == NULL ? SAGA_READY_NOW : SAGA_READY_NEVER;
}

/* Only tokens can be had anew: a secret that was read is the one there is. */
bool
saga_auth_refused(SagaExchange *exchange)
{
	/* signed: sns, sqs, or aws_sigv4 */
	if (exchange->http.sigv4 != NULL)
		return saga_endpoint_aws_refused(exchange);
	switch (exchange->destination->auth.type)
	{
		case SAGA_AUTH_OAUTH_CLIENT:
		case SAGA_AUTH_OAUTH_REFRESH:
			return saga_oauth_refused(exchange);
		default:
			return false;
	}
}
