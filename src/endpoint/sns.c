/*
 * sns.c
 *		Publish and PublishBatch of Amazon SNS: the form.
 *
 * A form of names and values; in a batch each name has the prefix of its
 * entry.  Texts are converted to UTF-8 one by one, as the request is made in
 * the database's encoding.  What the message asked for was checked when it
 * was accepted, so that members are there with their types.
 */
#include "postgres.h"

#include "endpoint/aws.h"
#include "endpoint/aws_private.h"
#include "endpoint/exchange.h"
#include "endpoint/exchange_private.h"
#include "endpoint/request.h"
#include "mb/pg_wchar.h"
#include "net/url.h"
#include "value/doc.h"

/* ---------- the form ---------- */

/* "&name=value", encoded; the name is one of ours. */
static void
add_field(StringInfo form, const char *name, const char *text)
{
	char	   *utf8 = pg_server_to_any(text, strlen(text), PG_UTF8);

	appendStringInfo(form, "&%s=", name);
	saga_url_encode(form, utf8, strlen(utf8));
}

typedef struct AttributeState
{
	StringInfo	form;
	const char *prefix;
	int			n;
} AttributeState;

/* Attributes are counted from 1 within their message. */
static void
add_attribute(AttributeState *state, const char *name, const char *type, const char *member,
			  const char *value)
{
	char	   *prefix = psprintf("%sMessageAttributes.entry.%d", state->prefix, ++state->n);

	add_field(state->form, psprintf("%s.Name", prefix), name);
	add_field(state->form, psprintf("%s.Value.DataType", prefix), type);
	add_field(state->form, psprintf("%s.Value.%s", prefix, member), value);
}

/* One that the message brings: a string, or bytes in Base64. */
static void
add_stored_attribute(const char *name, JsonbValue *value, void *arg)
{
	JsonbContainer *attribute = value->val.binary.data;
	char	   *type = saga_doc_get_string(attribute, "DataType");
	char	   *text = saga_doc_get_string(attribute, "StringValue");

	if (text != NULL)
		add_attribute(arg, name, type, "StringValue", text);
	else
		add_attribute(arg, name, type, "BinaryValue", saga_doc_get_string(attribute, "BinaryValue"));
}

/* An execution's message that brings no trace of its own. */
bool
saga_endpoint_sns_needs_trace(const SagaPart *part)
{
	JsonbValue *attributes = saga_doc_get(&part->request->root, "MessageAttributes");

	return part->trace != NULL &&
		(attributes == NULL || !saga_doc_is_object(attributes) ||
		 saga_doc_get(attributes->val.binary.data, SAGA_TRACEPARENT) == NULL);
}

/*
 * The members of one message.  On a FIFO topic without a deduplication id the
 * idempotency key serves as one, so that attempts of one message are the same
 * to AWS.
 */
static void
add_message(StringInfo form, const SagaDestination *destination, const SagaPart *part,
			const char *prefix)
{
	static const char *const members[] = {
		"Message", "Subject", "MessageStructure", "MessageGroupId", "MessageDeduplicationId"
	};
	JsonbContainer *request = &part->request->root;
	JsonbValue *attributes = saga_doc_get(request, "MessageAttributes");
	AttributeState state = {form, prefix, 0};
	char	   *key = saga_uuid_to_cstring(&part->idempotency_key);
	int			i;

	for (i = 0; i < lengthof(members); i++)
	{
		char	   *text = saga_doc_get_string(request, members[i]);

		if (text == NULL && i == lengthof(members) - 1 && destination->fifo)
			text = key;
		if (text != NULL)
			add_field(form, psprintf("%s%s", prefix, members[i]), text);
	}
	add_attribute(&state, SAGA_SNS_ID_ATTRIBUTE, "String", "StringValue", key);
	if (saga_endpoint_sns_needs_trace(part))
		add_attribute(&state, SAGA_TRACEPARENT, "String", "StringValue",
					  saga_endpoint_aws_traceparent(part->trace, &part->idempotency_key));
	if (attributes != NULL && saga_doc_is_object(attributes))
		saga_doc_each(attributes->val.binary.data, add_stored_attribute, &state);
}

void
saga_compose_sns(SagaExchange *exchange)
{
	StringInfoData form;
	int			i;

	initStringInfo(&form);
	appendStringInfo(&form, "Action=%s&Version=2010-03-31",
					 exchange->nparts > 1 ? "PublishBatch" : "Publish");
	add_field(&form, "TopicArn", exchange->destination->topic_arn);
	if (exchange->nparts == 1)
		add_message(&form, exchange->destination, exchange->parts[0], "");
	for (i = 0; i < exchange->nparts && exchange->nparts > 1; i++)
	{
		char	   *prefix = psprintf("PublishBatchRequestEntries.member.%d.", i + 1);

		add_field(&form, psprintf("%sId", prefix),
				  saga_uuid_to_cstring(&exchange->parts[i]->outbox_id));
		add_message(&form, exchange->destination, exchange->parts[i], prefix);
	}
	exchange->body = form.data;
	exchange->url = exchange->destination->endpoint_url;
}

/* Name, type and value all count, as AWS says. */
static void
add_attribute_size(const char *name, JsonbValue *value, void *arg)
{
	JsonbContainer *attribute = value->val.binary.data;
	char	   *text = saga_doc_get_string(attribute, "StringValue");

	if (text == NULL)
		text = saga_doc_get_string(attribute, "BinaryValue");
	*(size_t *) arg += strlen(name) + strlen(saga_doc_get_string(attribute, "DataType")) + strlen(text);
}

/* As the limit counts: message and attributes. */
size_t
saga_endpoint_sns_size(const SagaPart *part)
{
	JsonbContainer *request = &part->request->root;
	JsonbValue *attributes = saga_doc_get(request, "MessageAttributes");
	size_t		size = strlen(SAGA_SNS_ID_ATTRIBUTE) + strlen("String") + 36;

	size += strlen(saga_doc_get_string(request, "Message"));
	if (saga_endpoint_sns_needs_trace(part))
		size += SAGA_TRACEPARENT_SIZE;
	if (attributes != NULL && saga_doc_is_object(attributes))
		saga_doc_each(attributes->val.binary.data, add_attribute_size, &size);
	return size;
}
