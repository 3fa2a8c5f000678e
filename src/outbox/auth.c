/*
 * auth.c
 *		Who we are to a server.
 */
#include "postgres.h"

#include "outbox/auth.h"

SagaReadiness
saga_auth_prepare(SagaSending *sending, SagaHttp *http, char **error)
{
	if (sending->destination->auth.type == SAGA_AUTH_NONE)
		return SAGA_READY_NOW;
	*error = pstrdup("this kind of auth is not supported");
	return SAGA_READY_NEVER;
}

bool
saga_auth_refused(SagaSending *sending)
{
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
