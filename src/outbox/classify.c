/*
 * classify.c
 *		What an answer means: done, try again, given up.
 *
 * Everything here runs outside a transaction.
 */
#include "postgres.h"

#include <curl/curl.h>
#include <time.h>

#include "outbox/json.h"
#include "outbox/secret.h"
#include "outbox/sending.h"
#include "utils/timestamp.h"

const char *
saga_class_name(SagaClass class)
{
	static const char *const names[] = {"success", "retry", "uncertain", "auth", "split", "fatal"};

	return names[class];
}

/* ---------- headers ---------- */

/* Seconds, or a date; -1: neither. */
static int64
retry_after_ms(const char *head)
{
	char	   *text = saga_head_get(head, "Retry-After");
	time_t		when;

	if (text == NULL || text[0] == '\0')
		return -1;
	if (strspn(text, "0123456789") == strlen(text))
		return strlen(text) > 9 ? (int64) 1000000000 * 1000 : (int64) atoi(text) * 1000;
	when = curl_getdate(text, NULL);
	if (when == (time_t) -1)
		return -1;
	return Max((int64) when - (int64) time(NULL), 0) * 1000;
}

bool
saga_head_says_json(const char *head)
{
	char	   *type = saga_head_get(head, "Content-Type");
	char	   *end;

	if (type == NULL)
		return false;
	end = type + strcspn(type, "; ");
	*end = '\0';
	return pg_strcasecmp(type, "application/json") == 0 ||
		(end - type > 5 && pg_strcasecmp(end - 5, "+json") == 0);
}

/* ---------- outcomes ---------- */

static void
set_outcome(SagaDelivery *delivery, SagaClass class, int status, const char *error, const char *cause)
{
	delivery->class = class;
	delivery->status = status;
	delivery->error = error;
	delivery->cause = cause;
}

/* The request could not even be made: a secret or credentials could not be read. */
void
saga_sending_not_sent(SagaSending *sending, const char *cause)
{
	bool		sns = sending->destination->kind == SAGA_DESTINATION_SNS;
	int			i;

	sending->ended_at = GetCurrentTimestamp();
	for (i = 0; i < sending->ndeliveries; i++)
		set_outcome(sending->deliveries[i], SAGA_CLASS_AUTH, 0,
					sns ? "SNS.SdkClientException" : "States.Http.Socket", cause);
}

static SagaClass
class_of_status(int status)
{
	if (status >= 200 && status < 300)
		return SAGA_CLASS_SUCCESS;
	if (status == 408 || status == 425 || status == 429 || status == 503)
		return SAGA_CLASS_RETRY;
	if (status >= 500)
		return SAGA_CLASS_UNCERTAIN;
	return SAGA_CLASS_FATAL;
}

static void
classify_http(SagaSending *sending, const SagaHttpAnswer *answer)
{
	SagaDelivery *delivery = sending->deliveries[0];
	SagaClass	class;

	if (answer->transport != SAGA_TRANSPORT_OK)
	{
		if (answer->transport == SAGA_TRANSPORT_NOT_SENT)
			class = SAGA_CLASS_RETRY;
		else if (answer->transport == SAGA_TRANSPORT_LOST)
			class = SAGA_CLASS_UNCERTAIN;
		else
			class = SAGA_CLASS_FATAL;
		set_outcome(delivery, class, 0, "States.Http.Socket", pstrdup(answer->message));
		return;
	}
	class = class_of_status(answer->status);

	/*
	 * A conflict with what may be an earlier attempt of this very message,
	 * which the server is still working on, or has done: asked again, under
	 * the same key, it will tell.
	 */
	if (answer->status == 409 && delivery->doubtful)
		class = SAGA_CLASS_UNCERTAIN;
	if (class != SAGA_CLASS_SUCCESS)
		set_outcome(delivery, class, answer->status,
					psprintf("States.Http.StatusCode.%d", answer->status), sending->answer);
	else if (answer->truncated)
		set_outcome(delivery, SAGA_CLASS_FATAL, answer->status, "Saga.AnswerTooLarge",
					psprintf("the answer has more than %d bytes", sending->destination->max_response_bytes));
	else if (saga_head_says_json(sending->head) && sending->answer_len > 0 && !sending->answer_is_json)
		set_outcome(delivery, SAGA_CLASS_UNCERTAIN, answer->status, "Saga.UnreadableAnswer",
					"the answer says that it is JSON, and is not");
	else
		set_outcome(delivery, SAGA_CLASS_SUCCESS, answer->status, NULL, NULL);
}

/*
 * Copies what is needed of an answer, so that the transfer can be released.
 * A server that sends our own secrets back must not get them into a table.
 */
void
saga_sending_answered(SagaSending *sending, const SagaHttpAnswer *answer)
{
	MemoryContext old = MemoryContextSwitchTo(sending->context);
	int			i;

	sending->ended_at = GetCurrentTimestamp();
	if (answer->transport == SAGA_TRANSPORT_OK)
	{
		sending->head = pnstrdup(answer->head ? answer->head : "", answer->head_len);
		sending->answer = palloc(answer->body_len + 1);
		memcpy(sending->answer, answer->body ? answer->body : "", answer->body_len);
		sending->answer[answer->body_len] = '\0';
		sending->answer_len = answer->body_len;
		saga_secret_redact(sending->head, strlen(sending->head), sending->secrets);
		saga_secret_redact(sending->answer, sending->answer_len, sending->secrets);
		sending->answer_is_json = !answer->truncated && sending->answer_len > 0 &&
			saga_json_check(sending->answer, sending->answer_len);
	}
	if (sending->destination->kind == SAGA_DESTINATION_SNS)
		saga_classify_sns(sending, answer);
	else
		classify_http(sending, answer);
	for (i = 0; i < sending->ndeliveries; i++)
		sending->deliveries[i]->retry_after_ms = sending->head ? retry_after_ms(sending->head) : -1;
	MemoryContextSwitchTo(old);
}

/* ---------- trying again ---------- */

bool
saga_is_final(const SagaDestination *destination, const SagaDelivery *delivery)
{
	if (delivery->class == SAGA_CLASS_SUCCESS || delivery->class == SAGA_CLASS_FATAL)
		return true;
	return delivery->class != SAGA_CLASS_SPLIT && delivery->attempt >= destination->max_attempts;
}

/* Exponential, with full jitter: uniformly between nothing and the whole. */
int64
saga_retry_delay_ms(const SagaDestination *destination, const SagaDelivery *delivery)
{
	double		delay = destination->base_ms;
	int			i;

	if (delivery->class == SAGA_CLASS_SPLIT)
		return 0;
	for (i = 1; i < delivery->attempt && delay < destination->cap_ms; i++)
		delay *= destination->factor;
	delay = Min(delay, destination->cap_ms);
	if (destination->jitter)
	{
		uint32		random = 0;

		if (pg_strong_random(&random, sizeof(random)))
			delay *= random / (double) PG_UINT32_MAX;
	}
	if (delivery->retry_after_ms >= 0)
		delay = Max(delay, Min(delivery->retry_after_ms, destination->retry_after_cap_ms));
	return (int64) delay;
}
