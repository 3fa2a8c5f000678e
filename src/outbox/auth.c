/*
 * auth.c
 *		Who we are to a server.
 */
#include "postgres.h"

#include "outbox/auth.h"
#include "outbox/aws.h"

SagaReadiness
saga_auth_prepare(SagaSending *sending, SagaHttp *http, char **error)
{
	const SagaDestination *destination = sending->destination;

	if (destination->auth.type == SAGA_AUTH_NONE)
		return SAGA_READY_NOW;
	if (destination->auth.type == SAGA_AUTH_SIGV4)
	{
		SagaAwsSource source = saga_aws_source(destination);

		return saga_aws_sign(sending, &source, destination->region, destination->auth.service, http, error);
	}
	*error = pstrdup("this kind of auth is not supported");
	return SAGA_READY_NEVER;
}

bool
saga_auth_refused(SagaSending *sending)
{
	/* signed: sns, sqs, or aws_sigv4 */
	if (sending->http.sigv4 != NULL)
		return saga_aws_refused(sending);
	return false;
}

bool
saga_auth_has_work(void)
{
	return false;
}

void
saga_auth_work(void)
{
}
