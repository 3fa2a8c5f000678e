/*
 * aws_answer.c
 *		What SNS and SQS have in common as the outbox sends to them: the
 *		request around the message, and what an answer means.
 *
 * An answer speaks of the whole request, or of each entry of a batch; in both
 * cases each part gets an outcome of its own.  A part that the answer does
 * not mention may have been sent, so it is uncertain, not failed.
 */
#include "postgres.h"

#include "aws/sqs.h"
#include "endpoint/aws.h"
#include "endpoint/aws_private.h"
#include "endpoint/exchange.h"
#include "endpoint/exchange_private.h"

/* SNS is sent forms and answers XML; SQS has JSON both ways. */
static bool
is_sqs(const SagaExchange *exchange)
{
	return exchange->destination->kind == SAGA_DESTINATION_SQS;
}

SagaReadiness
saga_endpoint_prepare_aws(SagaExchange *exchange, SagaHttp *connections, char **error)
{
	SagaAwsSource source = saga_endpoint_aws_source(exchange->destination);
	SagaHttpRequest *http = &exchange->http;

	http->method = "POST";
	http->body = exchange->body;
	http->body_len = strlen(exchange->body);
	/* copies: saga_sending_free wipes the headers */
	if (is_sqs(exchange))
		http->headers = list_make2(pstrdup(SAGA_SQS_CONTENT_TYPE),
								   saga_sqs_target(exchange->nparts > 1 ? "SendMessageBatch" : "SendMessage"));
	else
		http->headers = list_make1(pstrdup("Content-Type: application/x-www-form-urlencoded; charset=utf-8"));
	return saga_endpoint_aws_sign(exchange, &source, exchange->destination->region, is_sqs(exchange) ? "sqs" : "sns",
								  connections, error);
}

/* ---------- the answer ---------- */

/* One outcome for all parts. */
static void
fail_all(SagaExchange *exchange, SagaClass class, int status, const char *error, const char *cause)
{
	int			i;

	for (i = 0; i < exchange->nparts; i++)
	{
		SagaPart   *part = exchange->parts[i];

		part->class = class;
		part->status = status;
		part->error = error;
		part->cause = cause;
	}
}

/* As Step Functions names them: SNS.InvalidParameterException ... */
static char *
error_name(const SagaExchange *exchange, const char *code)
{
	size_t		len = strlen(code);
	bool		suffixed = len > 9 && strcmp(code + len - 9, "Exception") == 0;

	return psprintf("%s.%s%s", is_sqs(exchange) ? "SQS" : "SNS", code[0] ? code : "Unknown", suffixed ? "" : "Exception");
}

/*
 * The outcome of one part from its entry; entry NULL: the answer has none for
 * it.
 */
static void
set_entry(const SagaExchange *exchange, SagaPart *part, const SagaSnsEntry *entry, int status)
{
	part->status = status;
	if (entry == NULL)
	{
		/* in neither list: nothing is known of it */
		part->class = SAGA_CLASS_UNCERTAIN;
		part->error = error_name(exchange, "SdkClient");
		part->cause = "the answer does not mention this message";
	}
	else if (!entry->failed && entry->message_id[0] != '\0')
	{
		part->class = SAGA_CLASS_SUCCESS;
		part->entry = entry;
	}
	else
	{
		part->class = saga_endpoint_aws_class(entry->code, 0);

		/*
		 * a code that we do not know, and the service says that it is not our
		 * fault
		 */
		if (part->class == SAGA_CLASS_FATAL && !entry->sender_fault)
			part->class = SAGA_CLASS_RETRY;
		part->error = error_name(exchange, entry->code);
		part->cause = entry->message;
	}
}

/*
 * Entries are found by the id that the request gave them, as they come in any
 * order.
 */
static const SagaSnsEntry *
find_entry(const SagaSnsAnswer *parsed, const SagaPart *part)
{
	char	   *id = saga_uuid_to_cstring(&part->outbox_id);
	int			i;

	for (i = 0; i < parsed->nentries; i++)
	{
		if (strcmp(parsed->entries[i].id, id) == 0)
			return &parsed->entries[i];
	}
	return NULL;
}

void
saga_classify_aws(SagaExchange *exchange)
{
	const SagaHttpAnswer *answer = &exchange->transport;
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
		fail_all(exchange, class, 0, error_name(exchange, "SdkClient"), pstrdup(answer->message));
		return;
	}
	readable = !answer->truncated &&
		(is_sqs(exchange) ? saga_sqs_parse(exchange->answer, exchange->answer_len, parsed)
		 : saga_net_sns_parse(exchange->answer, exchange->answer_len, parsed));
	if (!readable && answer->status < 300)
		fail_all(exchange, SAGA_CLASS_UNCERTAIN, answer->status, error_name(exchange, "SdkClient"),
				 "the answer is not one of the service");
	else if (!readable || parsed->code[0] != '\0' || answer->status >= 300)
	{
		class = saga_endpoint_aws_class(readable ? parsed->code : "", answer->status);
		if (class == SAGA_CLASS_UNCERTAIN && answer->status == 503 && saga_exchange_is_put_off(exchange))
			class = SAGA_CLASS_RETRY;
		/* one wrong message must not fail nine others */
		if (class == SAGA_CLASS_FATAL && exchange->nparts > 1)
			class = SAGA_CLASS_SPLIT;
		fail_all(exchange, class, answer->status, error_name(exchange, readable ? parsed->code : ""),
				 readable ? parsed->message : exchange->answer);
	}
	else if (exchange->nparts == 1)
		set_entry(exchange, exchange->parts[0], parsed->nentries > 0 ? &parsed->entries[0] : NULL,
				  answer->status);
	else
	{
		for (i = 0; i < exchange->nparts; i++)
			set_entry(exchange, exchange->parts[i], find_entry(parsed, exchange->parts[i]),
					  answer->status);
	}
}
