/*
 * classify.c
 *		What an answer means.
 *
 * An answer is kept outside a transaction, as soon as it is there; it is
 * looked at in the one that records it, with the server's own JSON and
 * numbers.  The rules of the destination come first, in order, then the
 * built-in table.
 */
#include "postgres.h"

#include "net/header.h"
#include "net/secret.h"
#include "outbox/aws.h"
#include "outbox/doc.h"
#include "outbox/sending.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

static const char *const class_names[] = {
	"success", "pending", "retry", "uncertain", "duplicate", "auth", "split", "fatal"
};

const char *
saga_class_name(SagaClass class)
{
	return class_names[class];
}

int
saga_class_of_name(const char *name)
{
	int			class;

	for (class = lengthof(class_names) - 1; class >= 0; class--)
	{
		if (strcmp(class_names[class], name) == 0)
			break;
	}
	return class;
}

void
saga_set_outcome(SagaDelivery *delivery, SagaClass class, int status, const char *error, const char *cause)
{
	delivery->class = class;
	delivery->status = status;
	delivery->error = error;
	delivery->cause = cause;
}

/* ---------- outside a transaction ---------- */

/* The request could not even be made: a secret or credentials could not be read. */
void
saga_sending_not_sent(SagaSending *sending, const char *cause)
{
	static const char *const errors[] = {
		[SAGA_DESTINATION_HTTP] = "States.Http.Socket",
		[SAGA_DESTINATION_SNS] = "SNS.SdkClientException",
		[SAGA_DESTINATION_SQS] = "SQS.SdkClientException"
	};
	int			i;

	sending->ended_at = GetCurrentTimestamp();
	for (i = 0; i < sending->ndeliveries; i++)
		saga_set_outcome(sending->deliveries[i], SAGA_CLASS_AUTH, 0,
						 errors[sending->destination->kind], cause);
}

/*
 * Copies what is needed of an answer, so that the transfer can be released.
 * A server that sends our own secrets back must not get them into a table.
 */
void
saga_sending_answered(SagaSending *sending, const SagaHttpAnswer *answer)
{
	MemoryContext old = MemoryContextSwitchTo(sending->context);

	sending->ended_at = GetCurrentTimestamp();
	/* until it is complete; what follows may raise */
	memset(&sending->transport, 0, sizeof(sending->transport));
	sending->transport.transport = SAGA_TRANSPORT_LOST;
	sending->transport.message = "out of memory for the answer";
	sending->answered = true;
	sending->head = sending->answer = sending->text = NULL;
	sending->answer_len = 0;
	sending->doc = NULL;
	if (answer->transport == SAGA_TRANSPORT_OK)
	{
		char	   *head = pnstrdup(answer->head ? answer->head : "", answer->head_len);
		char	   *body = palloc(answer->body_len + 1);

		/* until it is freed: also what is sent again may have had an answer */
		saga_account_take(sending->http.account, answer->body_len);
		sending->held += answer->body_len;
		memcpy(body, answer->body ? answer->body : "", answer->body_len);
		body[answer->body_len] = '\0';
		saga_secret_redact(head, strlen(head), sending->secrets);
		saga_secret_redact(body, answer->body_len, sending->secrets);
		sending->head = head;
		sending->answer = body;
		sending->answer_len = answer->body_len;
	}
	sending->transport.message = pstrdup(answer->message ? answer->message : "");
	sending->transport.status = answer->status;
	sending->transport.truncated = answer->truncated;
	sending->transport.unreadable = answer->unreadable;
	sending->transport.passing = answer->passing;
	sending->transport.transport = answer->transport;
	MemoryContextSwitchTo(old);
}

/* ---------- classes ---------- */

bool
saga_head_says_json(const char *head)
{
	char	   *type = saga_header_get(head, "Content-Type");
	char	   *end;

	if (type == NULL)
		return false;
	end = type + strcspn(type, "; ");
	*end = '\0';
	return pg_strcasecmp(type, "application/json") == 0 ||
		(end - type > 5 && pg_strcasecmp(end - 5, "+json") == 0);
}

/*
 * A server that says when to come again turns requests away before it looks at
 * them.  One that gives up on a request (408), or is not available and says no
 * more, may have begun with it, or somebody behind it has.
 */
static SagaClass
class_of_status(const SagaSending *sending, int status)
{
	if (status < 200)
		return SAGA_CLASS_UNCERTAIN;	/* another protocol, or nonsense */
	if (status < 300)
		return SAGA_CLASS_SUCCESS;
	if (status == 401)
		return SAGA_CLASS_AUTH;
	if (status == 425 || status == 429 || (status == 503 && saga_sending_is_put_off(sending)))
		return SAGA_CLASS_RETRY;
	if (status == 409)
		return SAGA_CLASS_DUPLICATE;
	if (status == 408 || status >= 500)
		return SAGA_CLASS_UNCERTAIN;
	return SAGA_CLASS_FATAL;
}

static SagaAnswerView
view_of(const SagaSending *sending)
{
	SagaAnswerView view = {sending->transport.status, sending->head, sending->text,
	strlen(sending->text), sending->doc};

	return view;
}

static bool
holds(const SagaSending *sending, const SagaCondition *condition)
{
	SagaAnswerView view = view_of(sending);

	return condition != NULL && saga_condition_holds(condition, &view, sending->deliveries[0]->message);
}

/*
 * What the server says of repeating it goes over its status:
 * Stripe-Should-Retry.  What may have had its effect remains uncertain, but
 * "false" tells that the same key would only get the same answer again.
 */
static SagaClass
hinted(const SagaSending *sending, SagaClass class)
{
	const char *name = sending->destination->retry_hint_header;
	char	   *hint = name != NULL ? saga_header_get(sending->head, name) : NULL;

	if (hint == NULL || class == SAGA_CLASS_SUCCESS || class == SAGA_CLASS_PENDING)
		return class;
	if (pg_strcasecmp(hint, "false") == 0)
	{
		sending->deliveries[0]->no_resend = true;
		return class == SAGA_CLASS_UNCERTAIN ? class : SAGA_CLASS_FATAL;
	}
	if (pg_strcasecmp(hint, "true") == 0 && class != SAGA_CLASS_UNCERTAIN)
		return SAGA_CLASS_RETRY;
	return class;
}

/* False: none of the rules speaks of the answer. */
static bool
class_by_rule(const SagaSending *sending, const SagaRules *rules, SagaClass *class)
{
	int			i;

	for (i = 0; rules != NULL && i < rules->n; i++)
	{
		if (holds(sending, rules->rules[i].condition))
		{
			*class = rules->rules[i].as;
			return true;
		}
	}
	return false;
}

/* The rules of the request that was made, then the built-in table. */
static SagaClass
class_of_answer(const SagaSending *sending, const SagaRules *rules)
{
	SagaClass	class;

	if (class_by_rule(sending, rules, &class))
		return class;
	class = class_of_status(sending, sending->transport.status);
	if (sending->http.sigv4 != NULL)
		class = saga_aws_class_of_answer(sending, class);
	return hinted(sending, class);
}

static const SagaRules *
rules_of(const SagaDestination *destination, const SagaDelivery *delivery)
{
	switch (delivery->phase)
	{
		case SAGA_PHASE_LOOKUP:
			return &destination->lookup->rules;
		case SAGA_PHASE_SEND:
			return delivery->compensate ? &destination->compensation->rules : &destination->rules;
		default:
			return NULL;
	}
}

/* ---------- what a good answer says ---------- */

/* The server says that it was done: for what else there is to know the request is not sent again. */
static void
note_accepted(SagaDelivery *delivery)
{
	if (delivery->phase == SAGA_PHASE_SEND || delivery->phase == SAGA_PHASE_OTHER)
		delivery->accepted = true;
}

/* False: a value that should be in it is not there; *missing is its name. */
static bool
capture(SagaDelivery *delivery, const SagaCapture *capture, Jsonb *doc, char **missing)
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
	delivery->captured = saga_doc_merge(delivery->captured,
										JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
	return true;
}

static void
succeed(const SagaSending *sending, SagaDelivery *delivery, const SagaCapture *values, SagaClass class)
{
	char	   *missing;

	if (values == NULL || capture(delivery, values, sending->doc, &missing))
	{
		saga_set_outcome(delivery, class, sending->transport.status, NULL, NULL);
		return;
	}
	note_accepted(delivery);
	saga_set_outcome(delivery, SAGA_CLASS_UNCERTAIN, sending->transport.status, "Saga.UnreadableAnswer",
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
is_unreadable(const SagaSending *sending)
{
	return sending->transport.unreadable != NULL || sending->transport.truncated ||
		(saga_head_says_json(sending->head) && sending->answer_len > 0 && sending->doc == NULL);
}

static void
set_absent(SagaDelivery *delivery, int status)
{
	delivery->absent = true;
	saga_set_outcome(delivery, SAGA_CLASS_RETRY, status, "Saga.NotFound", "the look-up found nothing");
}

/*
 * Not there is what an answer says, never what it fails to say: else a payment
 * would be made again because a gateway is busy.  A condition of the settings
 * is all that counts where there is one.  It is no use to either that something
 * is missing in an answer which cannot be read, or is not what it says to be.
 */
static bool
says_absent(const SagaSending *sending, const SagaLookup *lookup)
{
	int			status = sending->transport.status;
	bool		good = status >= 200 && status < 300;
	char	   *type;
	SagaClass	class;

	if (lookup->absent != NULL)
		return (lookup->absent_of_any || status == 200) && holds(sending, lookup->absent) &&
			(!saga_condition_needs_body(lookup->absent, status) ||
			 (!is_unreadable(sending) && (!good || sending->doc != NULL)));
	if (is_unreadable(sending))
		return false;
	if (class_by_rule(sending, &lookup->rules, &class))
		return class == SAGA_CLASS_SUCCESS && saga_answer_path_denied(lookup->found, sending->doc);
	if (status == 200)
		return saga_answer_path_denied(lookup->found, sending->doc);
	if (status != 404)
		return false;
	/* a page of HTML is a gateway's, or says that the address is wrong */
	type = saga_header_get(sending->head, "Content-Type");
	return sending->answer_len == 0 ||
		(sending->doc != NULL && (type == NULL || pg_strncasecmp(type, "text/html", 9) != 0));
}

static void
look_at_lookup(const SagaSending *sending, SagaDelivery *delivery)
{
	const SagaDestination *destination = sending->destination;
	const SagaLookup *lookup = destination->lookup;
	JsonbValue *found = palloc(sizeof(JsonbValue));

	if (sending->doc == NULL)
		saga_set_outcome(delivery, SAGA_CLASS_RETRY, sending->transport.status, "Saga.UnreadableAnswer",
						 "the answer to the look-up is no JSON");
	else if (!saga_answer_path_get(lookup->found, sending->doc, found) || !is_something(found))
		saga_set_outcome(delivery, SAGA_CLASS_RETRY, sending->transport.status, "Saga.UnreadableAnswer",
						 psprintf("the answer to the look-up does not say whether it is there: %s", sending->answer));
	else if (lookup->same != NULL && !holds(sending, lookup->same))
	{
		delivery->conflict = true;
		saga_set_outcome(delivery, SAGA_CLASS_FATAL, sending->transport.status, "Saga.Conflict",
						 "the look-up found another one");
	}
	else
	{
		delivery->found = found;
		if (lookup->has_capture)
			succeed(sending, delivery, &lookup->capture, SAGA_CLASS_SUCCESS);
		else
			succeed(sending, delivery, &destination->capture, SAGA_CLASS_SUCCESS);
	}
}

static void
look_at_poll(const SagaSending *sending, SagaDelivery *delivery)
{
	const SagaPoll *poll = sending->destination->poll;
	JsonbValue	value;
	bool		there = saga_answer_path_get(poll->status, sending->doc, &value);

	if (sending->doc == NULL && sending->answer_len > 0)
		saga_set_outcome(delivery, SAGA_CLASS_RETRY, sending->transport.status, "Saga.UnreadableAnswer",
						 "the answer to the poll is no JSON");
	else if (there && saga_doc_contains(poll->success, &value))
		succeed(sending, delivery, poll->has_capture ? &poll->capture : NULL, SAGA_CLASS_SUCCESS);
	else if (there && poll->fatal != NULL && saga_doc_contains(poll->fatal, &value))
	{
		delivery->conflict = true;
		saga_set_outcome(delivery, SAGA_CLASS_FATAL, sending->transport.status, "Saga.RemoteFailed", sending->answer);
	}
	else
		saga_set_outcome(delivery, SAGA_CLASS_PENDING, sending->transport.status, NULL, NULL);
}

/* Does anybody ask for more of it than its status? */
static bool
is_read(const SagaSending *sending, const SagaDelivery *delivery)
{
	const SagaRules *rules = rules_of(sending->destination, delivery);
	int			i;

	if (delivery->phase == SAGA_PHASE_LOOKUP || delivery->phase == SAGA_PHASE_POLL)
		return true;
	for (i = 0; rules != NULL && i < rules->n; i++)
	{
		if (saga_condition_needs_body(rules->rules[i].condition, sending->transport.status))
			return true;
	}
	if (delivery->compensate)
		return false;
	return sending->destination->capture.n > 0 ||
		(delivery->workflow_id != 0 && delivery->op == SAGA_OUTBOX_HTTP && !delivery->only_submit &&
		 saga_outbox_body_hook != NULL && saga_outbox_body_hook(delivery->workflow_id));
}

/* What it says would be the same again, unless it was spoilt on its way. */
static void
set_unreadable(const SagaSending *sending, SagaDelivery *delivery)
{
	const char *why = sending->transport.unreadable;

	if (!sending->transport.passing)
		note_accepted(delivery);
	if (sending->transport.truncated)
	{
		saga_set_outcome(delivery, SAGA_CLASS_UNCERTAIN, sending->transport.status, "Saga.AnswerTooLarge",
						 psprintf("the answer has more than %zu bytes", sending->http.max_response_bytes));
		return;
	}
	saga_set_outcome(delivery, SAGA_CLASS_UNCERTAIN, sending->transport.status, "Saga.UnreadableAnswer",
					 why != NULL ? psprintf("the answer cannot be read: %s", why) :
					 "the answer says that it is JSON, and is not");
}

/* An answer of a good class. */
static void
look_at_success(const SagaSending *sending, SagaDelivery *delivery, SagaClass class)
{
	if (is_unreadable(sending) && is_read(sending, delivery))
	{
		set_unreadable(sending, delivery);
		/* asked again it would say the same, at the same length */
		if (sending->transport.truncated &&
			(delivery->phase == SAGA_PHASE_LOOKUP || delivery->phase == SAGA_PHASE_POLL))
			delivery->class = SAGA_CLASS_FATAL;
	}
	else if (delivery->phase == SAGA_PHASE_LOOKUP)
		look_at_lookup(sending, delivery);
	else if (delivery->phase == SAGA_PHASE_POLL)
		look_at_poll(sending, delivery);
	else
		succeed(sending, delivery, delivery->compensate ? NULL : &sending->destination->capture, class);
}

static void
classify_lost(const SagaSending *sending, SagaDelivery *delivery)
{
	SagaClass	class = SAGA_CLASS_FATAL;

	if (sending->transport.transport == SAGA_TRANSPORT_NOT_SENT)
		class = SAGA_CLASS_RETRY;
	else if (sending->transport.transport == SAGA_TRANSPORT_LOST)
		class = SAGA_CLASS_UNCERTAIN;
	saga_set_outcome(delivery, class, 0, "States.Http.Socket", sending->transport.message);
}

/*
 * Redirects are not followed: who reads of one has to know where to.  Otherwise the
 * answer itself.
 */
static const char *
cause_of(SagaSending *sending)
{
	int			status = sending->transport.status;
	char	   *location = status >= 300 && status < 400 ? saga_header_get(sending->head, "Location") : NULL;

	if (location == NULL || location[0] == '\0')
		return sending->answer;
	return psprintf("redirects are not followed, Location: %s%s%s", location,
					sending->answer[0] ? "\n" : "", sending->answer);
}

static void
classify_http(SagaSending *sending)
{
	const SagaDestination *destination = sending->destination;
	SagaDelivery *delivery = sending->deliveries[0];
	const SagaCompensation *compensation = destination->compensation;
	int			status = sending->transport.status;
	SagaClass	class;
	SagaClass	ruled;

	if (sending->transport.transport != SAGA_TRANSPORT_OK)
	{
		classify_lost(sending, delivery);
		return;
	}
	if (delivery->compensate && holds(sending, compensation->already_done))
		class = SAGA_CLASS_SUCCESS;
	else
		class = class_of_answer(sending, rules_of(destination, delivery));
	if (delivery->phase == SAGA_PHASE_LOOKUP && says_absent(sending, destination->lookup))
		set_absent(delivery, status);
	else if (class == SAGA_CLASS_SUCCESS || class == SAGA_CLASS_PENDING)
		look_at_success(sending, delivery, class);
	else
	{
		/*
		 * a gateway that does not know the way for a moment is not the end of
		 * asking
		 */
		if (delivery->phase == SAGA_PHASE_LOOKUP && status == 404 && class == SAGA_CLASS_FATAL &&
			!class_by_rule(sending, &destination->lookup->rules, &ruled))
			class = SAGA_CLASS_RETRY;
		saga_set_outcome(delivery, class, status, psprintf("States.Http.StatusCode.%d", status), cause_of(sending));
	}
}

void
saga_sending_classify(SagaSending *sending)
{
	MemoryContext old;
	int			i;

	/* it was not sent, or it was looked at by a transaction that aborted */
	if (!sending->answered || sending->classified)
		return;
	old = MemoryContextSwitchTo(sending->context);
	if (sending->head != NULL)
	{
		sending->text = saga_foreign_text_of(sending->answer, sending->answer_len);
		if (!sending->transport.truncated && sending->answer_len > 0)
			sending->doc = saga_foreign_json(sending->answer, sending->answer_len, true);
	}
	if (sending->destination->kind != SAGA_DESTINATION_HTTP)
		saga_classify_aws(sending);
	else
		classify_http(sending);
	for (i = 0; i < sending->ndeliveries; i++)
		sending->deliveries[i]->retry_after_ms =
			saga_sending_retry_after_ms(sending, sending->deliveries[i]->class, sending->deliveries[i]->status);
	sending->classified = true;
	MemoryContextSwitchTo(old);
}

void
saga_sending_unreadable(SagaSending *sending, const char *why)
{
	MemoryContext old = MemoryContextSwitchTo(sending->context);
	char	   *cause = psprintf("the answer cannot be kept: %s", why);
	int			i;

	for (i = 0; i < sending->ndeliveries; i++)
	{
		SagaDelivery *delivery = sending->deliveries[i];

		if (delivery->decided)
			*delivery = *delivery->before;
		delivery->entry = NULL;
		delivery->found = NULL;
		delivery->absent = delivery->conflict = delivery->no_resend = false;
		delivery->retry_after_ms = -1;
		if (sending->transport.status >= 200 && sending->transport.status < 300)
			note_accepted(delivery);

		/*
		 * it may have been done; of a look-up and a poll, it has to be asked
		 * again
		 */
		saga_set_outcome(delivery, SAGA_CLASS_UNCERTAIN, sending->transport.status, "Saga.UnreadableAnswer", cause);
	}
	sending->head = NULL;
	sending->doc = NULL;
	sending->text = sending->answer = pstrdup("");
	sending->answer_len = 0;
	sending->classified = true;
	MemoryContextSwitchTo(old);
}
