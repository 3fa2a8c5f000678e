/*
 * classify.c
 *		What an answer means.
 *
 * An answer is kept outside a transaction, as soon as it is there; it is
 * looked at in the one that records it, with the server's own JSON and
 * numbers: its class (answer_class.c), and what a good one says.
 */
#include "postgres.h"

#include "endpoint/aws_private.h"
#include "endpoint/condition_private.h"
#include "endpoint/exchange_private.h"
#include "net/foreign.h"
#include "net/header.h"
#include "net/secret.h"
#include "utils/timestamp.h"
#include "value/doc.h"

void
saga_endpoint_part_set_outcome(SagaPart *part, SagaClass class, int status, const char *error, const char *cause)
{
	part->class = class;
	part->status = status;
	part->error = error;
	part->cause = cause;
}

/* ---------- outside a transaction ---------- */

/* The request could not even be made: a secret or credentials could not be read. */
void
saga_exchange_not_sent(SagaExchange *exchange, const char *cause)
{
	static const char *const errors[] = {
		[SAGA_DESTINATION_HTTP] = "States.Http.Socket",
		[SAGA_DESTINATION_SNS] = "SNS.SdkClientException",
		[SAGA_DESTINATION_SQS] = "SQS.SdkClientException"
	};
	int			i;

	exchange->ended_at = GetCurrentTimestamp();
	for (i = 0; i < exchange->nparts; i++)
		saga_endpoint_part_set_outcome(exchange->parts[i], SAGA_CLASS_AUTH, 0,
									   errors[exchange->destination->kind], cause);
}

/*
 * Copies what is needed of an answer, so that the transfer can be released.
 * A server that sends our own secrets back must not get them into a table.
 */
void
saga_exchange_answered(SagaExchange *exchange, const SagaHttpAnswer *answer)
{
	MemoryContext old = MemoryContextSwitchTo(exchange->context);

	exchange->ended_at = GetCurrentTimestamp();
	/* until it is complete; what follows may raise */
	memset(&exchange->transport, 0, sizeof(exchange->transport));
	exchange->transport.transport = SAGA_TRANSPORT_LOST;
	exchange->transport.message = "out of memory for the answer";
	exchange->answered = true;
	exchange->head = exchange->answer = exchange->text = NULL;
	exchange->answer_len = 0;
	exchange->doc = NULL;
	if (answer->transport == SAGA_TRANSPORT_OK)
	{
		char	   *head = pnstrdup(answer->head ? answer->head : "", answer->head_len);
		char	   *body = palloc(answer->body_len + 1);

		/* until it is freed: also what is sent again may have had an answer */
		saga_account_take(exchange->http.account, answer->body_len);
		exchange->held += answer->body_len;
		memcpy(body, answer->body ? answer->body : "", answer->body_len);
		body[answer->body_len] = '\0';
		saga_secret_redact(head, strlen(head), exchange->secrets);
		saga_secret_redact(body, answer->body_len, exchange->secrets);
		exchange->head = head;
		exchange->answer = body;
		exchange->answer_len = answer->body_len;
	}
	exchange->transport.message = pstrdup(answer->message ? answer->message : "");
	exchange->transport.status = answer->status;
	exchange->transport.truncated = answer->truncated;
	exchange->transport.unreadable = answer->unreadable;
	exchange->transport.passing = answer->passing;
	exchange->transport.transport = answer->transport;
	MemoryContextSwitchTo(old);
}

/* ---------- what a good answer says ---------- */

/* The server says that it was done: for what else there is to know the request is not sent again. */
static void
note_accepted(SagaPart *part)
{
	if (part->phase == SAGA_PHASE_SEND || part->phase == SAGA_PHASE_OTHER)
		part->accepted = true;
}

/* False: a value that should be in it is not there; *missing is its name. */
static bool
capture(SagaPart *part, const SagaCapture *capture, Jsonb *doc, char **missing)
{
	JsonbParseState *state = NULL;
	int			i;

	if (capture->n == 0)
		return true;
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (i = 0; i < capture->n; i++)
	{
		JsonbValue	value;

		if (!saga_answer_path_get(capture->paths[i], doc, &value) || value.type == jbvNull)
		{
			*missing = capture->names[i];
			return false;
		}
		saga_doc_push_value(&state, capture->names[i], &value);
	}
	part->captured = saga_doc_merge(part->captured,
									JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
	return true;
}

/*
 * A success whose values cannot be captured is uncertain: it was done, and
 * the saga would go on without what it needs.
 */
static void
succeed(const SagaExchange *exchange, SagaPart *part, const SagaCapture *values, SagaClass class)
{
	char	   *missing;

	if (values == NULL || capture(part, values, exchange->doc, &missing))
	{
		saga_endpoint_part_set_outcome(part, class, exchange->transport.status, NULL, NULL);
		return;
	}
	note_accepted(part);
	saga_endpoint_part_set_outcome(part, SAGA_CLASS_UNCERTAIN, exchange->transport.status, "Saga.UnreadableAnswer",
								   psprintf("the answer has nothing that \"%s\" could be taken from", missing));
}

/* Nothing, an empty array or an empty text is nothing found. */
static bool
is_something(const JsonbValue *value)
{
	if (value->type == jbvNull || (value->type == jbvString && value->val.string.len == 0) ||
		(value->type == jbvBool && !value->val.boolean))
		return false;
	return value->type != jbvBinary || JsonContainerSize(value->val.binary.data) > 0;
}

/* It says what it is, and is not; or there is more of it than may be read. */
static bool
is_unreadable(const SagaExchange *exchange)
{
	return exchange->transport.unreadable != NULL || exchange->transport.truncated ||
		(saga_endpoint_head_says_json(exchange->head) && exchange->answer_len > 0 && exchange->doc == NULL);
}

/* Retry, as the request itself may be sent again then. */
static void
set_absent(SagaPart *part, int status)
{
	part->absent = true;
	saga_endpoint_part_set_outcome(part, SAGA_CLASS_RETRY, status, "Saga.NotFound", "the look-up found nothing");
}

/*
 * Not there is what an answer says, never what it fails to say: else a payment
 * would be made again because a gateway is busy.  A condition of the settings
 * is all that counts where there is one.  It is no use to either that something
 * is missing in an answer which cannot be read, or is not what it says to be.
 */
static bool
says_absent(const SagaExchange *exchange, const SagaLookup *lookup)
{
	int			status = exchange->transport.status;
	bool		good = status >= 200 && status < 300;
	char	   *type;
	SagaClass	class;

	if (lookup->absent != NULL)
		return (lookup->absent_of_any || status == 200) && saga_exchange_holds(exchange, lookup->absent) &&
			(!saga_condition_needs_body(lookup->absent, status) ||
			 (!is_unreadable(exchange) && (!good || exchange->doc != NULL)));
	if (is_unreadable(exchange))
		return false;
	if (saga_exchange_rule_class(exchange, &lookup->rules, &class))
		return class == SAGA_CLASS_SUCCESS && saga_answer_path_denied(lookup->found, exchange->doc);
	if (status == 200)
		return saga_answer_path_denied(lookup->found, exchange->doc);
	if (status != 404)
		return false;
	/* a page of HTML is a gateway's, or says that the address is wrong */
	type = saga_header_get(exchange->head, "Content-Type");
	return exchange->answer_len == 0 ||
		(exchange->doc != NULL && (type == NULL || pg_strncasecmp(type, "text/html", 9) != 0));
}

/*
 * The answer to a look-up that had a good class and does not say that nothing
 * is there: what was found is ours, is another's, or cannot be told.
 */
static void
look_at_lookup(const SagaExchange *exchange, SagaPart *part)
{
	const SagaDestination *destination = exchange->destination;
	const SagaLookup *lookup = destination->lookup;
	JsonbValue *found = palloc(sizeof(JsonbValue));

	if (exchange->doc == NULL)
		saga_endpoint_part_set_outcome(part, SAGA_CLASS_RETRY, exchange->transport.status, "Saga.UnreadableAnswer",
									   "the answer to the look-up is no JSON");
	else if (!saga_answer_path_get(lookup->found, exchange->doc, found) || !is_something(found))
		saga_endpoint_part_set_outcome(part, SAGA_CLASS_RETRY, exchange->transport.status, "Saga.UnreadableAnswer",
									   psprintf("the answer to the look-up does not say whether it is there: %s", exchange->answer));
	else if (lookup->same != NULL && !saga_exchange_holds(exchange, lookup->same))
	{
		part->conflict = true;
		saga_endpoint_part_set_outcome(part, SAGA_CLASS_FATAL, exchange->transport.status, "Saga.Conflict",
									   "the look-up found another one");
	}
	else
	{
		part->found = found;
		if (lookup->has_capture)
			succeed(exchange, part, &lookup->capture, SAGA_CLASS_SUCCESS);
		else
			succeed(exchange, part, &destination->capture, SAGA_CLASS_SUCCESS);
	}
}

/*
 * Any value that is neither a success nor fatal means that it is not done
 * yet.
 */
static void
look_at_poll(const SagaExchange *exchange, SagaPart *part)
{
	const SagaPoll *poll = exchange->destination->poll;
	JsonbValue	value;
	bool		there = saga_answer_path_get(poll->status, exchange->doc, &value);

	if (exchange->doc == NULL && exchange->answer_len > 0)
		saga_endpoint_part_set_outcome(part, SAGA_CLASS_RETRY, exchange->transport.status, "Saga.UnreadableAnswer",
									   "the answer to the poll is no JSON");
	else if (there && saga_doc_contains(poll->success, &value))
		succeed(exchange, part, poll->has_capture ? &poll->capture : NULL, SAGA_CLASS_SUCCESS);
	else if (there && poll->fatal != NULL && saga_doc_contains(poll->fatal, &value))
	{
		part->conflict = true;
		saga_endpoint_part_set_outcome(part, SAGA_CLASS_FATAL, exchange->transport.status, "Saga.RemoteFailed", exchange->answer);
	}
	else
		saga_endpoint_part_set_outcome(part, SAGA_CLASS_PENDING, exchange->transport.status, NULL, NULL);
}

/* Does anybody ask for more of it than its status? */
static bool
is_read(const SagaExchange *exchange, const SagaPart *part)
{
	const SagaRules *rules = saga_exchange_rules(exchange->destination, part);
	int			i;

	if (part->phase == SAGA_PHASE_LOOKUP || part->phase == SAGA_PHASE_POLL)
		return true;
	for (i = 0; rules != NULL && i < rules->n; i++)
	{
		if (saga_condition_needs_body(rules->rules[i].condition, exchange->transport.status))
			return true;
	}
	if (part->compensate)
		return false;
	return exchange->destination->capture.n > 0 ||
		(exchange->body_is_read != NULL && exchange->body_is_read(part));
}

/* What it says would be the same again, unless it was spoilt on its way. */
static void
set_unreadable(const SagaExchange *exchange, SagaPart *part)
{
	const char *why = exchange->transport.unreadable;

	if (!exchange->transport.passing)
		note_accepted(part);
	if (exchange->transport.truncated)
	{
		saga_endpoint_part_set_outcome(part, SAGA_CLASS_UNCERTAIN, exchange->transport.status, "Saga.AnswerTooLarge",
									   psprintf("the answer has more than %zu bytes", exchange->http.max_response_bytes));
		return;
	}
	saga_endpoint_part_set_outcome(part, SAGA_CLASS_UNCERTAIN, exchange->transport.status, "Saga.UnreadableAnswer",
								   why != NULL ? psprintf("the answer cannot be read: %s", why) :
								   "the answer says that it is JSON, and is not");
}

/* An answer of a good class. */
static void
look_at_success(const SagaExchange *exchange, SagaPart *part, SagaClass class)
{
	if (is_unreadable(exchange) && is_read(exchange, part))
	{
		set_unreadable(exchange, part);
		/* asked again it would say the same, at the same length */
		if (exchange->transport.truncated &&
			(part->phase == SAGA_PHASE_LOOKUP || part->phase == SAGA_PHASE_POLL))
			part->class = SAGA_CLASS_FATAL;
	}
	else if (part->phase == SAGA_PHASE_LOOKUP)
		look_at_lookup(exchange, part);
	else if (part->phase == SAGA_PHASE_POLL)
		look_at_poll(exchange, part);
	else
		succeed(exchange, part, part->compensate ? NULL : &exchange->destination->capture, class);
}

/*
 * There was no answer.  What surely was not sent may come again; what was
 * lost on the way is uncertain; anything else would fail again.
 */
static void
classify_lost(const SagaExchange *exchange, SagaPart *part)
{
	SagaClass	class = SAGA_CLASS_FATAL;

	if (exchange->transport.transport == SAGA_TRANSPORT_NOT_SENT)
		class = SAGA_CLASS_RETRY;
	else if (exchange->transport.transport == SAGA_TRANSPORT_LOST)
		class = SAGA_CLASS_UNCERTAIN;
	saga_endpoint_part_set_outcome(part, class, 0, "States.Http.Socket", exchange->transport.message);
}

/*
 * Redirects are not followed: who reads of one has to know where to.  Otherwise the
 * answer itself.
 */
static const char *
cause_of(SagaExchange *exchange)
{
	int			status = exchange->transport.status;
	char	   *location = status >= 300 && status < 400 ? saga_header_get(exchange->head, "Location") : NULL;

	if (location == NULL || location[0] == '\0')
		return exchange->answer;
	return psprintf("redirects are not followed, Location: %s%s%s", location,
					exchange->answer[0] ? "\n" : "", exchange->answer);
}

/*
 * Rules, then what the answer says beyond its status.  An HTTP exchange has
 * one part.
 */
static void
classify_http(SagaExchange *exchange)
{
	const SagaDestination *destination = exchange->destination;
	SagaPart   *part = exchange->parts[0];
	const SagaCompensation *compensation = destination->compensation;
	int			status = exchange->transport.status;
	SagaClass	class;
	SagaClass	ruled;

	if (exchange->transport.transport != SAGA_TRANSPORT_OK)
	{
		classify_lost(exchange, part);
		return;
	}
	if (part->compensate && saga_exchange_holds(exchange, compensation->already_done))
		class = SAGA_CLASS_SUCCESS;
	else
		class = saga_exchange_class(exchange, saga_exchange_rules(destination, part));
	if (part->phase == SAGA_PHASE_LOOKUP && says_absent(exchange, destination->lookup))
		set_absent(part, status);
	else if (class == SAGA_CLASS_SUCCESS || class == SAGA_CLASS_PENDING)
		look_at_success(exchange, part, class);
	else
	{
		/*
		 * a gateway that does not know the way for a moment is not the end of
		 * asking
		 */
		if (part->phase == SAGA_PHASE_LOOKUP && status == 404 && class == SAGA_CLASS_FATAL &&
			!saga_exchange_rule_class(exchange, &destination->lookup->rules, &ruled))
			class = SAGA_CLASS_RETRY;
		saga_endpoint_part_set_outcome(part, class, status, psprintf("States.Http.StatusCode.%d", status), cause_of(exchange));
	}
}

static void
forget_message(SagaPart *part)
{
	/* with no body of its own it is what was captured */
	if (part->loaded_message != NULL && part->loaded_message != part->composed_with)
		pfree(part->loaded_message);
	part->loaded_message = NULL;
}

void
saga_exchange_classify(SagaExchange *exchange)
{
	MemoryContext old;
	int			i;

	/* it was not sent, or it was looked at by a transaction that aborted */
	if (!exchange->answered || exchange->classified)
		return;
	old = MemoryContextSwitchTo(exchange->context);
	exchange->parts[0]->loaded_message = NULL;
	if (exchange->head != NULL)
	{
		exchange->text = saga_foreign_text_of(exchange->answer, exchange->answer_len);
		if (!exchange->transport.truncated && exchange->answer_len > 0)
			exchange->doc = saga_foreign_json(exchange->answer, exchange->answer_len, true);
	}
	if (exchange->destination->kind != SAGA_DESTINATION_HTTP)
		saga_classify_aws(exchange);
	else
		classify_http(exchange);
	for (i = 0; i < exchange->nparts; i++)
		exchange->parts[i]->retry_after_ms =
			saga_exchange_retry_after_ms(exchange, exchange->parts[i]->class, exchange->parts[i]->status);
	exchange->classified = true;
	forget_message(exchange->parts[0]);
	MemoryContextSwitchTo(old);
}

void
saga_exchange_unreadable(SagaExchange *exchange, const char *why)
{
	MemoryContext old = MemoryContextSwitchTo(exchange->context);
	char	   *cause = psprintf("the answer cannot be kept: %s", why);
	int			i;

	for (i = 0; i < exchange->nparts; i++)
	{
		SagaPart   *part = exchange->parts[i];

		part->entry = NULL;
		part->found = NULL;
		part->absent = part->conflict = part->no_resend = false;
		part->retry_after_ms = -1;
		if (exchange->transport.status >= 200 && exchange->transport.status < 300)
			note_accepted(part);

		/*
		 * it may have been done; of a look-up and a poll, it has to be asked
		 * again
		 */
		saga_endpoint_part_set_outcome(part, SAGA_CLASS_UNCERTAIN, exchange->transport.status, "Saga.UnreadableAnswer", cause);
	}
	exchange->head = NULL;
	exchange->doc = NULL;
	exchange->text = exchange->answer = pstrdup("");
	exchange->answer_len = 0;
	exchange->classified = true;
	MemoryContextSwitchTo(old);
}
