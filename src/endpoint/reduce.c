/*
 * reduce.c
 *		What is left of a long request once its bytes are there.
 *
 * A request of 16 MB is in memory as it is stored, as templates see it, and as
 * its bytes; and some of them may be in flight for as long as a server does
 * not answer.  So the documents go when they have been used, but for what it
 * takes to send it, perhaps more than once: whose request it is, its own
 * headers, and what the message makes of those of the destination.
 */
#include "postgres.h"

#include "endpoint/exchange_private.h"
#include "utils/memutils.h"
#include "value/doc.h"

size_t
saga_exchange_memory(const SagaExchange *exchange)
{
	return MemoryContextMemAllocated(exchange->context, true);
}

/* Of a path it is only asked whether there is one. */
static Jsonb *
reduce_request(Jsonb *request)
{
	JsonbValue *method = saga_doc_get(&request->root, "Method");
	JsonbValue *headers = saga_doc_get(&request->root, "Headers");
	JsonbParseState *parse = NULL;

	pushJsonbValue(&parse, WJB_BEGIN_OBJECT, NULL);
	if (method != NULL)
		saga_doc_push_value(&parse, "Method", method);
	if (saga_doc_get(&request->root, "Path") != NULL)
		saga_doc_push_string(&parse, "Path", "/");
	if (headers != NULL)
		saga_doc_push_value(&parse, "Headers", headers);
	return JsonbValueToJsonb(pushJsonbValue(&parse, WJB_END_OBJECT, NULL));
}

static void
reduce_part(SagaPart *part)
{
	Jsonb	   *whole = part->request;

	part->request = reduce_request(whole);
	pfree(whole);
	if (part->key != NULL)
		part->key = pstrdup(part->key);
	if (part->cause != NULL)
		part->cause = pstrdup(part->cause);
	part->had_message = part->message != NULL;
	part->message = NULL;
	part->composed_with = part->captured;
	part->reduced = true;
}

/* All but the body is in the context that goes, and the body may be. */
void
saga_exchange_reduce(SagaExchange *exchange, MemoryContext scratch)
{
	MemoryContext old = MemoryContextSwitchTo(exchange->context);
	int			i;

	saga_endpoint_keep_header_texts(exchange);
	for (i = 0; i < exchange->nparts; i++)
		reduce_part(exchange->parts[i]);
	if (exchange->url != NULL)
		exchange->url = pstrdup(exchange->url);
	if (exchange->body != NULL && GetMemoryChunkContext(exchange->body) == scratch)
		exchange->body = pstrdup(exchange->body);
	else if (exchange->body != NULL)
		exchange->body = repalloc(exchange->body, strlen(exchange->body) + 1);
	MemoryContextDelete(scratch);
	MemoryContextSwitchTo(old);
}
