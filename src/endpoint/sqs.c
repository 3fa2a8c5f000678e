/*
 * sqs.c
 *		SendMessage and SendMessageBatch of Amazon SQS: the body.
 *
 * JSON that is written as text, member by member, since its shape is known;
 * only values need escapes.  In a batch the entries stand in "Entries".
 */
#include "postgres.h"

#include "aws/sqs.h"
#include "endpoint/aws.h"
#include "endpoint/aws_private.h"
#include "endpoint/exchange.h"
#include "endpoint/exchange_private.h"
#include "endpoint/request.h"
#include "mb/pg_wchar.h"
#include "utils/json.h"
#include "value/doc.h"

/* A string member, with a comma before it. */
static void
add_text(StringInfo body, const char *name, const char *text)
{
	saga_sqs_add_string(body, name, pg_server_to_any(text, strlen(text), PG_UTF8));
}

/* One that the message brings, with a comma before it: ours stand in front. */
static void
add_attribute(const char *name, JsonbValue *value, void *arg)
{
	JsonbContainer *attribute = value->val.binary.data;
	char	   *text = saga_doc_get_string(attribute, "StringValue");
	bool		binary = text == NULL;

	if (binary)
		text = saga_doc_get_string(attribute, "BinaryValue");
	/* the name is of letters, digits and _-. */
	appendStringInfo(arg, ",\"%s\":{\"DataType\":", name);
	escape_json(arg, saga_doc_get_string(attribute, "DataType"));
	add_text(arg, binary ? "BinaryValue" : "StringValue", text);
	appendStringInfoChar(arg, '}');
}

/* Members of an object that has one already. */
static void
add_message(StringInfo body, const SagaDestination *destination, const SagaPart *part)
{
	JsonbContainer *request = &part->request->root;
	JsonbValue *attributes = saga_doc_get(request, "MessageAttributes");
	JsonbValue *delay = saga_doc_get(request, "DelaySeconds");
	char	   *group = saga_doc_get_string(request, "MessageGroupId");
	char	   *dedup = saga_doc_get_string(request, "MessageDeduplicationId");
	char	   *key = saga_uuid_to_cstring(&part->idempotency_key);

	add_text(body, "MessageBody", saga_doc_get_string(request, "Message"));
	if (delay != NULL)
		appendStringInfo(body, ",\"DelaySeconds\":%s", saga_doc_text(delay));
	if (group != NULL)
		add_text(body, "MessageGroupId", group);
	if (dedup != NULL || destination->fifo)
		add_text(body, "MessageDeduplicationId", dedup != NULL ? dedup : key);
	appendStringInfo(body, ",\"MessageAttributes\":{\"%s\":{\"DataType\":\"String\",\"StringValue\":\"%s\"}",
					 SAGA_SNS_ID_ATTRIBUTE, key);
	if (saga_endpoint_sns_needs_trace(part))
		appendStringInfo(body, ",\"%s\":{\"DataType\":\"String\",\"StringValue\":\"%s\"}", SAGA_TRACEPARENT,
						 saga_endpoint_aws_traceparent(part->trace, &part->idempotency_key));
	if (attributes != NULL && saga_doc_is_object(attributes))
		saga_doc_each(attributes->val.binary.data, add_attribute, body);
	appendStringInfoChar(body, '}');
}

void
saga_compose_sqs(SagaExchange *exchange)
{
	const SagaDestination *destination = exchange->destination;
	StringInfoData body;
	int			i;

	saga_sqs_begin(&body, destination->queue_url);
	if (exchange->nparts == 1)
		add_message(&body, destination, exchange->parts[0]);
	else
	{
		appendStringInfoString(&body, ",\"Entries\":[");
		for (i = 0; i < exchange->nparts; i++)
		{
			appendStringInfo(&body, "%s{\"Id\":\"%s\"", i > 0 ? "," : "",
							 saga_uuid_to_cstring(&exchange->parts[i]->outbox_id));
			add_message(&body, destination, exchange->parts[i]);
			appendStringInfoChar(&body, '}');
		}
		appendStringInfoChar(&body, ']');
	}
	appendStringInfoChar(&body, '}');
	exchange->body = body.data;
	exchange->url = destination->endpoint_url;
}
