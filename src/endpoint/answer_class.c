/*
 * answer_class.c
 *		Which class an answer is of: the rules of the destination come first, in
 *		order, then the built-in table, and what the server says of repeating it.
 */
#include "postgres.h"

#include "endpoint/aws.h"
#include "endpoint/aws_private.h"
#include "endpoint/condition_private.h"
#include "endpoint/exchange.h"
#include "endpoint/exchange_private.h"
#include "net/header.h"

/* application/json or anything+json, with parameters or without. */
bool
saga_endpoint_head_says_json(const char *head)
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
class_of_status(const SagaExchange *exchange, int status)
{
	if (status < 200)
		return SAGA_CLASS_UNCERTAIN;	/* another protocol, or nonsense */
	if (status < 300)
		return SAGA_CLASS_SUCCESS;
	if (status == 401)
		return SAGA_CLASS_AUTH;
	if (status == 425 || status == 429 || (status == 503 && saga_exchange_is_put_off(exchange)))
		return SAGA_CLASS_RETRY;
	if (status == 409)
		return SAGA_CLASS_DUPLICATE;
	if (status == 408 || status >= 500)
		return SAGA_CLASS_UNCERTAIN;
	return SAGA_CLASS_FATAL;
}

/* What conditions see of an answer; it points into the exchange. */
static SagaAnswerView
view_of(const SagaExchange *exchange)
{
	SagaAnswerView view = {exchange->transport.status, exchange->head, exchange->text,
	strlen(exchange->text), exchange->doc};

	return view;
}

/* A long one was let go when it had been composed. */
static Jsonb *
message_of(const SagaExchange *exchange)
{
	SagaPart   *part = exchange->parts[0];

	if (!part->reduced || !part->had_message)
		return part->message;
	if (part->loaded_message == NULL)
		part->loaded_message = exchange->load_message(exchange, part);
	return part->loaded_message;
}

/* False for a condition that the settings do not have. */
bool
saga_exchange_holds(const SagaExchange *exchange, const SagaCondition *condition)
{
	SagaAnswerView view = view_of(exchange);

	return condition != NULL && saga_condition_holds(condition, &view, message_of(exchange));
}

/*
 * What the server says of repeating it goes over its status:
 * Stripe-Should-Retry.  What may have had its effect remains uncertain, but
 * "false" tells that the same key would only get the same answer again.
 */
static SagaClass
hinted(const SagaExchange *exchange, SagaClass class)
{
	const char *name = exchange->destination->retry_hint_header;
	char	   *hint = name != NULL ? saga_header_get(exchange->head, name) : NULL;

	if (hint == NULL || class == SAGA_CLASS_SUCCESS || class == SAGA_CLASS_PENDING)
		return class;
	if (pg_strcasecmp(hint, "false") == 0)
	{
		exchange->parts[0]->no_resend = true;
		return class == SAGA_CLASS_UNCERTAIN ? class : SAGA_CLASS_FATAL;
	}
	if (pg_strcasecmp(hint, "true") == 0 && class != SAGA_CLASS_UNCERTAIN)
		return SAGA_CLASS_RETRY;
	return class;
}

bool
saga_exchange_rule_class(const SagaExchange *exchange, const SagaRules *rules, SagaClass *class)
{
	int			i;

	for (i = 0; rules != NULL && i < rules->n; i++)
	{
		if (saga_exchange_holds(exchange, rules->rules[i].condition))
		{
			*class = rules->rules[i].as;
			return true;
		}
	}
	return false;
}

/* The rules of the request that was made, then the built-in table. */
SagaClass
saga_exchange_class(const SagaExchange *exchange, const SagaRules *rules)
{
	SagaClass	class;

	if (saga_exchange_rule_class(exchange, rules, &class))
		return class;
	class = class_of_status(exchange, exchange->transport.status);
	if (exchange->http.sigv4 != NULL)
		class = saga_endpoint_aws_class_of_answer(exchange, class);
	return hinted(exchange, class);
}

/*
 * The rules that speak of this request; NULL: those of a poll and of the
 * "else" are built in.
 */
const SagaRules *
saga_exchange_rules(const SagaDestination *destination, const SagaPart *part)
{
	switch (part->phase)
	{
		case SAGA_PHASE_LOOKUP:
			return &destination->lookup->rules;
		case SAGA_PHASE_SEND:
			return part->compensate ? &destination->compensation->rules : &destination->rules;
		default:
			return NULL;
	}
}
