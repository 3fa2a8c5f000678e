/*
 * exchange.c
 *		A request from its making to its end, by the kind of destination.
 */
#include "postgres.h"

#include "endpoint/exchange.h"
#include "endpoint/exchange_private.h"
#include "net/secret.h"
#include "utils/memutils.h"

static void
compose_by_kind(SagaExchange *exchange)
{
	switch (exchange->destination->kind)
	{
		case SAGA_DESTINATION_HTTP:
			saga_compose_http(exchange);
			break;
		case SAGA_DESTINATION_SNS:
			saga_compose_sns(exchange);
			break;
		case SAGA_DESTINATION_SQS:
			saga_compose_sqs(exchange);
			break;
	}
}

void
saga_compose(SagaExchange *exchange)
{
	MemoryContext scratch = AllocSetContextCreate(exchange->context, "saga composing", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);

	compose_by_kind(exchange);
	MemoryContextSwitchTo(old);
	if (saga_exchange_memory(exchange) > SAGA_SMALL_REQUEST)
		saga_exchange_reduce(exchange, scratch);
}

void
saga_exchange_wipe(SagaExchange *exchange)
{
	saga_secret_wipe(exchange->secrets);
	saga_secret_wipe(exchange->http.headers);
	exchange->secrets = exchange->http.headers = NIL;
}

MemoryContext
saga_exchange_begin_prepare(SagaExchange *exchange)
{
	bool		first = !exchange->prepared;

	saga_exchange_wipe(exchange);
	exchange->prepared = true;
	if (first)
		return exchange->context;
	if (exchange->again == NULL)
		exchange->again = AllocSetContextCreate(exchange->context, "saga exchange again", ALLOCSET_SMALL_SIZES);
	else
		MemoryContextReset(exchange->again);
	return exchange->again;
}

SagaReadiness
saga_exchange_prepare(SagaExchange *exchange, SagaHttp *http, char **error)
{
	return exchange->destination->kind == SAGA_DESTINATION_HTTP ?
		saga_endpoint_prepare_http(exchange, http, error) : saga_endpoint_prepare_aws(exchange, http, error);
}
