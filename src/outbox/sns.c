/*
 * sns.c
 *		Publish and PublishBatch of Amazon SNS: the form, the signature's
 *		parts, the answer.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "outbox/aws.h"
#include "outbox/doc.h"
#include "outbox/request.h"
#include "outbox/sending.h"

/* ---------- the form ---------- */

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

static void
add_attribute(AttributeState *state, const char *name, const char *type, const char *member,
			  const char *value)
{
	char	   *prefix = psprintf("%sMessageAttributes.entry.%d", state->prefix, ++state->n);

	add_field(state->form, psprintf("%s.Name", prefix), name);
	add_field(state->form, psprintf("%s.Value.DataType", prefix), type);
	add_field(state->form, psprintf("%s.Value.%s", prefix, member), value);
}

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
static bool
needs_trace(const SagaDelivery *delivery)
{
	JsonbValue *attributes = saga_doc_get(&delivery->request->root, "MessageAttributes");

	return delivery->workflow_id != 0 &&
		(attributes == NULL || !saga_doc_is_object(attributes) ||
		 saga_doc_get(attributes->val.binary.data, SAGA_TRACEPARENT) == NULL);
}

static void
add_message(StringInfo form, const SagaDestination *destination, const SagaDelivery *delivery,
			const char *prefix)
{
	static const char *const members[] = {
		"Message", "Subject", "MessageStructure", "MessageGroupId", "MessageDeduplicationId"
	};
	JsonbContainer *request = &delivery->request->root;
	JsonbValue *attributes = saga_doc_get(request, "MessageAttributes");
	AttributeState state = {form, prefix, 0};
	char	   *key = saga_uuid_to_cstring(&delivery->idempotency_key);
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
	if (needs_trace(delivery))
		add_attribute(&state, SAGA_TRACEPARENT, "String", "StringValue",
					  saga_aws_traceparent(&delivery->execution_id, &delivery->idempotency_key));
	if (attributes != NULL && saga_doc_is_object(attributes))
		saga_doc_each(attributes->val.binary.data, add_stored_attribute, &state);
}

void
saga_compose_sns(SagaSending *sending)
{
	StringInfoData form;
	int			i;

	initStringInfo(&form);
	appendStringInfo(&form, "Action=%s&Version=2010-03-31",
					 sending->ndeliveries > 1 ? "PublishBatch" : "Publish");
	add_field(&form, "TopicArn", sending->destination->topic_arn);
	if (sending->ndeliveries == 1)
		add_message(&form, sending->destination, sending->deliveries[0], "");
	for (i = 0; i < sending->ndeliveries && sending->ndeliveries > 1; i++)
	{
		char	   *prefix = psprintf("PublishBatchRequestEntries.member.%d.", i + 1);

		add_field(&form, psprintf("%sId", prefix),
				  saga_uuid_to_cstring(&sending->deliveries[i]->outbox_id));
		add_message(&form, sending->destination, sending->deliveries[i], prefix);
	}
	sending->body = form.data;
	sending->url = sending->destination->endpoint_url;
}

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
saga_sns_size(const SagaDelivery *delivery)
{
	JsonbContainer *request = &delivery->request->root;
	JsonbValue *attributes = saga_doc_get(request, "MessageAttributes");
	size_t		size = strlen(SAGA_SNS_ID_ATTRIBUTE) + strlen("String") + 36;

	size += strlen(saga_doc_get_string(request, "Message"));
	if (needs_trace(delivery))
		size += SAGA_TRACEPARENT_SIZE;
	if (attributes != NULL && saga_doc_is_object(attributes))
		saga_doc_each(attributes->val.binary.data, add_attribute_size, &size);
	return size;
}

SagaReadiness
saga_prepare_sns(SagaSending *sending, SagaHttp *connections, char **error)
{
	SagaAwsSource source = saga_aws_source(sending->destination);
	SagaHttpRequest *http = &sending->http;

	http->method = "POST";
	http->body = sending->body;
	http->body_len = strlen(sending->body);
	/* a copy: saga_sending_free wipes the headers */
	http->headers = list_make1(pstrdup("Content-Type: application/x-www-form-urlencoded; charset=utf-8"));
	return saga_aws_sign(sending, &source, sending->destination->region, "sns", connections, error);
}

/* ---------- the answer ---------- */

static void
fail_all(SagaSending *sending, SagaClass class, int status, const char *error, const char *cause)
{
	int			i;

	for (i = 0; i < sending->ndeliveries; i++)
	{
		SagaDelivery *delivery = sending->deliveries[i];

		delivery->class = class;
		delivery->status = status;
		delivery->error = error;
		delivery->cause = cause;
	}
}

/* As Step Functions names them: SNS.InvalidParameterException ... */
static char *
error_name(const char *code)
{
	size_t		len = strlen(code);
	bool		suffixed = len > 9 && strcmp(code + len - 9, "Exception") == 0;

	return psprintf("SNS.%s%s", code[0] ? code : "Unknown", suffixed ? "" : "Exception");
}

static void
set_entry(SagaDelivery *delivery, const SagaSnsEntry *entry, int status)
{
	delivery->status = status;
	if (entry == NULL)
	{
		/* in neither list: nothing is known of it */
		delivery->class = SAGA_CLASS_UNCERTAIN;
		delivery->error = "SNS.SdkClientException";
		delivery->cause = "the answer does not mention this message";
	}
	else if (!entry->failed && entry->message_id[0] != '\0')
	{
		delivery->class = SAGA_CLASS_SUCCESS;
		delivery->entry = entry;
	}
	else
	{
		delivery->class = saga_aws_class(entry->code, 0);
		if (delivery->class == SAGA_CLASS_FATAL && !entry->sender_fault)
			delivery->class = SAGA_CLASS_RETRY;
		delivery->error = error_name(entry->code);
		delivery->cause = entry->message;
	}
}

static const SagaSnsEntry *
find_entry(const SagaSnsAnswer *parsed, const SagaDelivery *delivery)
{
	char	   *id = saga_uuid_to_cstring(&delivery->outbox_id);
	int			i;

	for (i = 0; i < parsed->nentries; i++)
	{
		if (strcmp(parsed->entries[i].id, id) == 0)
			return &parsed->entries[i];
	}
	return NULL;
}

void
saga_classify_sns(SagaSending *sending)
{
	const SagaHttpAnswer *answer = &sending->transport;
	SagaSnsAnswer *parsed = palloc(sizeof(SagaSnsAnswer));
	bool		readable;
	SagaClass	class;
	int			i;

	if (answer->transport != SAGA_TRANSPORT_OK)
	{
		if (answer->transport == SAGA_TRANSPORT_NOT_SENT)
			class = SAGA_CLASS_RETRY;
		else
			class = answer->transport == SAGA_TRANSPORT_LOST ? SAGA_CLASS_UNCERTAIN : SAGA_CLASS_FATAL;
		fail_all(sending, class, 0, "SNS.SdkClientException", pstrdup(answer->message));
		return;
	}
	readable = !answer->truncated && saga_sns_parse(sending->answer, sending->answer_len, parsed);
	if (!readable && answer->status < 300)
		fail_all(sending, SAGA_CLASS_UNCERTAIN, answer->status, "SNS.SdkClientException",
				 "the answer is not one of SNS");
	else if (!readable || parsed->code[0] != '\0' || answer->status >= 300)
	{
		class = saga_aws_class(readable ? parsed->code : "", answer->status);
		/* one wrong message must not fail nine others */
		if (class == SAGA_CLASS_FATAL && sending->ndeliveries > 1)
			class = SAGA_CLASS_SPLIT;
		fail_all(sending, class, answer->status, error_name(readable ? parsed->code : ""),
				 readable ? parsed->message : sending->answer);
	}
	else if (sending->ndeliveries == 1)
		set_entry(sending->deliveries[0], parsed->nentries > 0 ? &parsed->entries[0] : NULL,
				  answer->status);
	else
	{
		for (i = 0; i < sending->ndeliveries; i++)
			set_entry(sending->deliveries[i], find_entry(parsed, sending->deliveries[i]),
					  answer->status);
	}
}
