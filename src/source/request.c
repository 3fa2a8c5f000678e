/*
 * request.c
 *		Requests of a source: made, signed, and what their answers say.
 *
 * Everything here runs outside a transaction.
 *
 * A request lives in a context of its own, with its body, its headers, its
 * answer and the messages of that.  It begins in saga_source_request_new and
 * ends in saga_source_request_free, whatever became of it; started again (a
 * delete that failed) it is signed anew.  Whatever holds secrets is
 * overwritten as soon as the answer was read.
 */
#include "postgres.h"

#include "endpoint/aws.h"
#include "net/secret.h"
#include "source/receiver_private.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Ten are asked for.  Some more may come; far more would be too many for one transaction. */
#define MAX_MESSAGES	100

/* SQS itself has at most 1024; they are kept until they are deleted. */
#define MAX_RECEIPT_BYTES	4096

/* SQS has 1 MiB, and ten.  One message is what the process cannot interrupt, so it must not be much more. */
#define MAX_BODY_BYTES	(2 * 1024 * 1024)
#define MAX_ATTRIBUTES	1000

/* Of a delete or an extension, whose answer says ten ids: a server that says nothing is not waited for as a receive is. */
#define SETTLE_TIMEOUT_MS	10000
#define SETTLE_RESPONSE_BYTES (64 * 1024)

static const char *const actions[] = {
	[SAGA_SOURCE_RECEIVE] = "ReceiveMessage",
	[SAGA_SOURCE_DELETE] = "DeleteMessageBatch",
	[SAGA_SOURCE_EXTEND] = "ChangeMessageVisibilityBatch"
};

/*
 * Counts itself in source->refs, so that the source stays as long as the
 * request.
 */
SagaSourceRequest *
saga_source_request_new(MemoryContext parent, SagaSource *source, SagaSourceAction action)
{
	MemoryContext context = AllocSetContextCreate(parent, "saga source request", ALLOCSET_SMALL_SIZES);
	SagaSourceRequest *request = MemoryContextAllocZero(context, sizeof(SagaSourceRequest));

	request->context = context;
	request->source = source;
	request->source_id = source->source_id;
	request->action = action;
	source->refs++;
	return request;
}

/* Gives one reference back; the last one frees the source. */
void
saga_source_release(SagaSource *source)
{
	if (--source->refs == 0)
		MemoryContextDelete(source->context);
}

/* What was sent is overwritten, as far as it holds secrets. */
static void
forget_secrets(SagaSourceRequest *request)
{
	ListCell   *lc;

	saga_secret_wipe(request->secrets);
	foreach(lc, request->http.headers)
		explicit_bzero(lfirst(lc), strlen(lfirst(lc)));
	request->secrets = NIL;
	request->http.headers = NIL;
}

/* So much memory is counted for the owner. */
static void
hold(SagaSourceRequest *request, size_t bytes)
{
	if (request->account == NULL)
		return;
	saga_account_give(request->account, request->held);
	saga_account_take(request->account, bytes);
	request->owner->held += bytes - request->held;
	request->held = bytes;
}

/* In no list any more; what was counted for its owner is given back. */
void
saga_source_request_free(SagaSourceRequest *request)
{
	forget_secrets(request);
	hold(request, 0);
	saga_source_release(request->source);
	MemoryContextDelete(request->context);
}

/* ---------- starting ---------- */

/* What SQS is asked, as JSON. */
static char *
make_body(const SagaSourceRequest *request)
{
	const SagaSource *source = request->source;
	const char *queue_url = source->endpoint.queue_url;

	switch (request->action)
	{
		case SAGA_SOURCE_RECEIVE:
			return saga_sqs_receive(queue_url, request->asked, source->wait_s, source->visibility_s);
		case SAGA_SOURCE_DELETE:
			return saga_sqs_delete_batch(queue_url, (char **) request->receipts, request->nreceipts);
		default:
			return saga_sqs_visibility_batch(queue_url, (char **) request->receipts, request->nreceipts,
											 source->visibility_s);
	}
}

static void finished(SagaHttpUser *user, const SagaHttpAnswer *answer);

/* All that the request needs but its signature. */
static void
set_parts(SagaSourceRequest *request)
{
	const SagaDestination *endpoint = &request->source->endpoint;
	SagaHttpRequest *http = &request->http;

	http->method = "POST";
	http->url = endpoint->endpoint_url;
	http->body = make_body(request);
	http->body_len = strlen(http->body);
	/* copies, which are wiped */
	http->headers = list_make2(pstrdup(SAGA_SQS_CONTENT_TYPE), saga_sqs_target(actions[request->action]));
	http->guard = &endpoint->guard;
	http->timeout_ms = request->action == SAGA_SOURCE_RECEIVE ? endpoint->timeout_ms : SETTLE_TIMEOUT_MS;
	http->connect_timeout_ms = endpoint->connect_timeout_ms;
	http->max_response_bytes = request->action == SAGA_SOURCE_RECEIVE ? endpoint->max_response_bytes : SETTLE_RESPONSE_BYTES;
	http->account = request->account;
	http->owner = request->source->owner;
	http->ca_file = endpoint->ca_file;
}

SagaReadiness
saga_source_request_start(SagaSourceRequest *request, SagaHttp *connections, char **error)
{
	SagaAwsSource credentials = saga_endpoint_aws_source(&request->source->endpoint);
	MemoryContext old = MemoryContextSwitchTo(request->context);
	SagaReadiness readiness;

	set_parts(request);
	readiness = saga_endpoint_aws_sign_request(&request->http, &request->secrets, &credentials,
											   request->source->endpoint.region, "sqs", connections, error);
	if (readiness == SAGA_READY_NOW)
	{
		request->started_at = saga_monotonic_now();
		request->user.finished = finished;
		if (!saga_http_start(connections, &request->http, &request->user))
		{
			*error = "the request could not be started";
			readiness = SAGA_READY_NEVER;
		}
	}
	if (readiness != SAGA_READY_NOW)
		forget_secrets(request);
	MemoryContextSwitchTo(old);
	return readiness;
}

/* ---------- the answer ---------- */

/* Receipts in "Failed", or in neither list, go to the front. */
static void
keep_failed(SagaSourceRequest *request, const SagaSnsAnswer *answer)
{
	int			failed = 0;
	int			i;

	for (i = 0; i < request->nreceipts; i++)
	{
		char	   *id = psprintf("%d", i);
		bool		done = false;
		int			e;

		for (e = 0; e < answer->nentries; e++)
			done |= !answer->entries[e].failed && strcmp(answer->entries[e].id, id) == 0;
		if (!done)
			request->receipts[failed++] = request->receipts[i];
	}
	request->nfailed = failed;
}

/* Any answer but messages. */
static const char *
read_other(SagaSourceRequest *request)
{
	SagaSnsAnswer *answer = palloc(sizeof(SagaSnsAnswer));
	SagaAwsSource credentials = saga_endpoint_aws_source(&request->source->endpoint);

	/* what comes back may be shown */
	saga_secret_redact(request->body, request->body_len, request->secrets);
	if (!saga_sqs_parse(request->body, request->body_len, answer))
		return psprintf("%s: status %d, and an answer that is not one of SQS", actions[request->action], request->status);
	if (request->status != 200 || answer->code[0] != '\0' || request->action == SAGA_SOURCE_RECEIVE)
	{
		/* when others can be had, the next request takes them at once */
		request->renewed = saga_aws_is_credentials_error(answer->code) &&
			saga_aws_credentials_refused(&credentials, request->http.access_key);
		return psprintf("%s: %s: %s", actions[request->action], answer->code, answer->message);
	}
	keep_failed(request, answer);
	return NULL;
}

/* NULL, or why these are no messages of SQS. */
static const char *
check_messages(const SagaSourceRequest *request)
{
	int			i;

	if (request->nmessages > MAX_MESSAGES)
		return psprintf("the answer has more than %d messages", MAX_MESSAGES);
	for (i = 0; i < request->nmessages; i++)
	{
		const SagaSqsMessage *message = &request->messages[i];

		if (strlen(message->receipt) > MAX_RECEIPT_BYTES)
			return psprintf("a receipt handle is longer than %d bytes", MAX_RECEIPT_BYTES);
		if (message->body_len > MAX_BODY_BYTES)
			return psprintf("a message is longer than %d bytes", MAX_BODY_BYTES);
		if (message->nattributes > MAX_ATTRIBUTES)
			return psprintf("a message has more than %d attributes", MAX_ATTRIBUTES);
	}
	return NULL;
}

/* The messages of an answer; NULL, or an error. */
static const char *
read_messages(SagaSourceRequest *request)
{
	const char *error;

	if (request->no_answer != NULL)
		return request->no_answer;
	if (request->status != 200 ||
		!saga_sqs_parse_messages(request->body, request->body_len, &request->messages, &request->nmessages))
	{
		request->nmessages = 0;
		return read_other(request);
	}
	error = check_messages(request);
	if (error == NULL)
		return NULL;
	request->nmessages = 0;
	return psprintf("%s: %s", actions[request->action], error);
}

const char *
saga_source_request_read(SagaSourceRequest *request)
{
	MemoryContext old = MemoryContextSwitchTo(request->context);
	const char *error = read_messages(request);

	if (request->body != NULL)
		pfree(request->body);
	request->body = NULL;
	forget_secrets(request);
	MemoryContextSwitchTo(old);
	hold(request, MemoryContextMemAllocated(request->context, true));
	return error;
}

/* Keeps what the transfer is about to release. */
static void
copy_answer(SagaSourceRequest *request, const SagaHttpAnswer *http)
{
	request->status = http->status;
	request->too_large = http->truncated;
	if (http->transport != SAGA_TRANSPORT_OK)
		request->no_answer = psprintf("%s: %s", actions[request->action], http->message);
	else if (http->truncated)
		request->no_answer = psprintf("%s: the answer is too large", actions[request->action]);
	if (request->no_answer != NULL)
		return;
	request->body = palloc(http->body_len + 1);
	request->body_len = http->body_len;
	memcpy(request->body, http->body != NULL ? http->body : "", http->body_len);
	request->body[http->body_len] = '\0';
}

/* SagaHttpUser.finished: a receive is read later, the others at once. */
static void
finished(SagaHttpUser *user, const SagaHttpAnswer *answer)
{
	SagaSourceRequest *request = (SagaSourceRequest *) user;
	MemoryContext old = MemoryContextSwitchTo(request->context);
	const char *error = NULL;

	copy_answer(request, answer);
	hold(request, request->body_len);
	if (request->action != SAGA_SOURCE_RECEIVE)
	{
		error = request->no_answer != NULL ? request->no_answer : read_other(request);
		request->body = NULL;
		request->no_answer = NULL;
		forget_secrets(request);
	}
	MemoryContextSwitchTo(old);
	request->answered(request, error, request->arg);
}
