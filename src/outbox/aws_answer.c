/*
 * aws_answer.c
 *		What SNS and SQS have in common as the outbox sends to them: the
 *		request around the message, and what an answer means.
 */
#include "postgres.h"

#include "aws/sqs.h"
#include "outbox/aws.h"
#include "outbox/sending.h"

static bool
is_sqs(const SagaSending *sending)
{
	return sending->destination->kind == SAGA_DESTINATION_SQS;
}

SagaReadiness
saga_prepare_aws(SagaSending *sending, SagaHttp *connections, char **error)
{
	SagaAwsSource source = saga_aws_source(sending->destination);
	SagaHttpRequest *http = &sending->http;

	http->method = "POST";
	http->body = sending->body;
	http->body_len = strlen(sending->body);
	/* copies: saga_sending_free wipes the headers */
	if (is_sqs(sending))
		http->headers = list_make2(pstrdup(SAGA_SQS_CONTENT_TYPE),
								   saga_sqs_target(sending->ndeliveries > 1 ? "SendMessageBatch" : "SendMessage"));
	else
		http->headers = list_make1(pstrdup("Content-Type: application/x-www-form-urlencoded; charset=utf-8"));
	return saga_aws_sign(sending, &source, sending->destination->region, is_sqs(sending) ? "sqs" : "sns",
						 connections, error);
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
error_name(const SagaSending *sending, const char *code)
{
	size_t		len = strlen(code);
	bool		suffixed = len > 9 && strcmp(code + len - 9, "Exception") == 0;

	return psprintf("%s.%s%s", is_sqs(sending) ? "SQS" : "SNS", code[0] ? code : "Unknown", suffixed ? "" : "Exception");
}

static void
set_entry(const SagaSending *sending, SagaDelivery *delivery, const SagaSnsEntry *entry, int status)
{
	delivery->status = status;
	if (entry == NULL)
	{
		/* in neither list: nothing is known of it */
		delivery->class = SAGA_CLASS_UNCERTAIN;
		delivery->error = error_name(sending, "SdkClient");
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
		delivery->error = error_name(sending, entry->code);
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
saga_classify_aws(SagaSending *sending)
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
		fail_all(sending, class, 0, error_name(sending, "SdkClient"), pstrdup(answer->message));
		return;
	}
	readable = !answer->truncated &&
		(is_sqs(sending) ? saga_sqs_parse(sending->answer, sending->answer_len, parsed)
		 : saga_sns_parse(sending->answer, sending->answer_len, parsed));
	if (!readable && answer->status < 300)
		fail_all(sending, SAGA_CLASS_UNCERTAIN, answer->status, error_name(sending, "SdkClient"),
				 "the answer is not one of the service");
	else if (!readable || parsed->code[0] != '\0' || answer->status >= 300)
	{
		class = saga_aws_class(readable ? parsed->code : "", answer->status);
		if (class == SAGA_CLASS_UNCERTAIN && answer->status == 503 && saga_sending_is_put_off(sending))
			class = SAGA_CLASS_RETRY;
		/* one wrong message must not fail nine others */
		if (class == SAGA_CLASS_FATAL && sending->ndeliveries > 1)
			class = SAGA_CLASS_SPLIT;
		fail_all(sending, class, answer->status, error_name(sending, readable ? parsed->code : ""),
				 readable ? parsed->message : sending->answer);
	}
	else if (sending->ndeliveries == 1)
		set_entry(sending, sending->deliveries[0], parsed->nentries > 0 ? &parsed->entries[0] : NULL,
				  answer->status);
	else
	{
		for (i = 0; i < sending->ndeliveries; i++)
			set_entry(sending, sending->deliveries[i], find_entry(parsed, sending->deliveries[i]),
					  answer->status);
	}
}
