/*
 * phase.c
 *		Which of a destination's requests is made.
 */
#include "postgres.h"

#include "endpoint/exchange.h"
#include "endpoint/exchange_private.h"
#include "value/doc.h"

/* In the order of SagaPhase. */
const char *
saga_endpoint_phase_name(SagaPhase phase)
{
	static const char *const names[] = {"send", "lookup", "poll", "else"};

	return names[phase];
}

/* A task may choose another method, and a path below the destination's; or it undoes something. */
static bool
is_own_request(const SagaDestination *destination, const SagaPart *part)
{
	char	   *method;

	if (part->compensate || saga_doc_get(&part->request->root, "Path") != NULL)
		return false;
	method = saga_doc_get_string(&part->request->root, "Method");
	return method == NULL || strcmp(method, destination->request.method) == 0;
}

/*
 * The look-up asks for what the destination's own request does.  Of any other
 * one it says nothing: that the payment is there is not that it was refunded.
 */
bool
saga_endpoint_has_lookup(const SagaDestination *destination, const SagaPart *part)
{
	return destination->lookup != NULL && is_own_request(destination, part);
}

/* NULL: the settings were changed, and there is none any more. */
const SagaRequestSpec *
saga_endpoint_phase_spec(const SagaDestination *destination, const SagaPart *part)
{
	switch (part->phase)
	{
		case SAGA_PHASE_LOOKUP:
			return &destination->lookup->request;
		case SAGA_PHASE_POLL:
			return &destination->poll->request;
		case SAGA_PHASE_OTHER:
			return destination->compensation ? destination->compensation->other : NULL;
		default:
			if (part->compensate)
				return destination->compensation ? &destination->compensation->request : NULL;
			return &destination->request;
	}
}

/* A task may choose the method of its own request; the others are the destination's. */
const char *
saga_exchange_method(const SagaExchange *exchange)
{
	const SagaPart *part = exchange->parts[0];
	char	   *method = NULL;

	if (part->phase == SAGA_PHASE_SEND && !part->compensate)
		method = saga_doc_get_string(&part->request->root, "Method");
	return method != NULL ? method : exchange->spec->method;
}
