/*
 * message.c
 *		The life of an outbox message: from what its answers are follows what is
 *		asked next, and when, and how it ends.
 *
 * Settings are read, answers classified and decided on as a publisher does it;
 * only nothing is sent, and time passes as the answers say.
 */
#include "fake.h"

#include "endpoint/exchange_private.h"
#include "fmgr.h"
#include "outbox/flow_private.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"
#include "value/doc.h"

#define START	(INT64CONST(820540800) * USECS_PER_SEC) /* 2026-01-01 */

static const char *const verdict_names[] = {
	[SAGA_VERDICT_DELIVERED] = "delivered",
	[SAGA_VERDICT_FAILED] = "failed",
	[SAGA_VERDICT_AGAIN] = "again"
};

static Jsonb *
jsonb_of(JsonbContainer *object, const char *name)
{
	JsonbValue *value = object == NULL ? NULL : saga_doc_get(object, name);

	if (value != NULL)
		return JsonbValueToJsonb(value);
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")));
}

static SagaDestination *
read_destination(Jsonb *settings, JsonbContainer *message)
{
	SagaDestination *destination = palloc0(sizeof(SagaDestination));
	char	   *path;
	const char *fault;

	destination->kind = SAGA_DESTINATION_HTTP;
	destination->name = "test";
	fault = saga_settings_parse(destination, settings, &path);
	if (fault != NULL)
		elog(ERROR, "%s %s", path, fault);
	destination->changed_at = START + fake_int(message, "altered_ms", -1000) * 1000;
	return destination;
}

static SagaDelivery *
make_delivery(const SagaDestination *destination, JsonbContainer *message)
{
	SagaDelivery *delivery = palloc0(sizeof(SagaDelivery));

	delivery->op = SAGA_OUTBOX_HTTP;
	delivery->part.request = jsonb_of(message, "request");
	delivery->part.message = jsonb_of(message, "message");
	delivery->created_at = START;
	delivery->part.compensate = fake_bool(message, "compensate");
	delivery->ordered = fake_bool(message, "ordered");
	delivery->sent_class = -1;
	if (destination->idempotency.place != SAGA_KEY_NONE)
		delivery->part.key = "key";
	return delivery;
}

/* An object is sent as JSON, a text as it is. */
static char *
body_of(JsonbContainer *answer)
{
	JsonbValue *body = saga_doc_get(answer, "body");

	if (body == NULL)
		return "";
	if (body->type == jbvString)
		return pnstrdup(body->val.string.val, body->val.string.len);
	return saga_doc_json(body);
}

static void
take_answer(SagaSending *sending, JsonbContainer *answer)
{
	const char *transport = fake_text(answer, "transport");
	char	   *type = fake_text(answer, "type");
	char	   *header = fake_text(answer, "header");
	JsonbValue *body = saga_doc_get(answer, "body");

	if (type == NULL)
		type = body == NULL || body->type == jbvString ? "text/plain" : "application/json";
	sending->exchange.answered = true;
	sending->exchange.transport.message = "no answer";
	sending->exchange.transport.status = (int) fake_int(answer, "status", 200);
	sending->exchange.transport.truncated = fake_bool(answer, "truncated");
	sending->exchange.transport.unreadable = fake_text(answer, "unreadable");
	sending->exchange.transport.transport = transport == NULL ? SAGA_TRANSPORT_OK :
		strcmp(transport, "lost") == 0 ? SAGA_TRANSPORT_LOST :
		strcmp(transport, "not sent") == 0 ? SAGA_TRANSPORT_NOT_SENT : SAGA_TRANSPORT_REFUSED;
	if (transport != NULL)
		return;
	sending->exchange.head = psprintf("HTTP/1.1 %d\r\nContent-Type: %s\r\n%s%s\r\n", sending->exchange.transport.status, type,
									  header != NULL ? header : "", header != NULL ? "\r\n" : "");
	sending->exchange.answer = body_of(answer);
	sending->exchange.answer_len = strlen(sending->exchange.answer);
}

/* What the record keeps of it, for the next attempt. */
static void
keep(SagaDelivery *delivery, TimestampTz started_at)
{
	bool		asked_only = delivery->asked == SAGA_PHASE_LOOKUP || delivery->asked == SAGA_PHASE_POLL;

	if (delivery->first_sent_at == 0 && !asked_only)
		delivery->first_sent_at = started_at;
	if (!asked_only)
		delivery->sent_error = delivery->part.cause != NULL ? psprintf("%s: %s", delivery->part.error, delivery->part.cause) : NULL;
	delivery->part.error = delivery->part.cause = delivery->other_error = NULL;
	delivery->part.absent = delivery->foreign = delivery->part.conflict = delivery->part.no_resend = false;
	delivery->part.found = NULL;
}

static void
put_row(StringInfo out, const SagaDelivery *delivery, TimestampTz started_at)
{
	bool		again = delivery->verdict == SAGA_VERDICT_AGAIN;

	fake_next(out);
	appendStringInfoChar(out, '{');
	fake_put_int(out, "at", (started_at - START) / 1000);
	fake_put_text(out, "asked", saga_endpoint_phase_name(delivery->asked));
	fake_put_text(out, "class", saga_class_name(delivery->part.class));
	fake_put_text(out, "verdict", verdict_names[delivery->verdict]);
	fake_put_text(out, "next", again ? saga_endpoint_phase_name(delivery->part.phase) : NULL);
	fake_member(out, "delay");
	if (again)
		appendStringInfo(out, INT64_FORMAT, delivery->delay_ms);
	else
		appendStringInfoString(out, "null");
	fake_put_bool(out, "uncertain", delivery->uncertain);
	fake_put_int(out, "epoch", delivery->part.key_epoch);
	fake_put_text(out, "error", delivery->part.error);
	fake_put_text(out, "cause", delivery->part.cause == NULL ? NULL : pnstrdup(delivery->part.cause, strnlen(delivery->part.cause, 200)));
	appendStringInfoChar(out, '}');
}

/*
 * message(settings jsonb, message jsonb, answers jsonb): a row for each answer, until it is delivered or has failed.  An
 * answer comes "takes" ms after its request.  "unwanted": from this answer on nobody waits for it.  Of a look-up that found
 * one, "foreign" says that it is another message's, as nothing here knows the others.
 */
PG_FUNCTION_INFO_V1(saga_test_message);

Datum
saga_test_message(PG_FUNCTION_ARGS)
{
	JsonbContainer *message = &PG_GETARG_JSONB_P(1)->root;
	Jsonb	   *answers = PG_GETARG_JSONB_P(2);
	SagaDestination *destination = read_destination(PG_GETARG_JSONB_P(0), message);
	SagaDelivery *delivery = make_delivery(destination, message);
	TimestampTz now = START;
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoChar(&out, '[');
	for (int i = 0; i < JB_ROOT_COUNT(answers); i++)
	{
		JsonbContainer *answer = fake_object_at(&answers->root, i);
		SagaSending *sending = palloc0(sizeof(SagaSending));

		sending->exchange.context = CurrentMemoryContext;
		sending->exchange.destination = destination;
		sending->exchange.nparts = 1;
		sending->exchange.parts[0] = &delivery->part;
		sending->ndeliveries = 1;
		sending->deliveries[0] = delivery;
		sending->exchange.started_at = now;
		delivery->attempt++;
		if (delivery->unwanted_since == 0)
			delivery->part.phase = saga_outbox_phase_of(destination, delivery, saga_endpoint_phase_name(delivery->part.phase));
		sending->exchange.spec = saga_endpoint_phase_spec(destination, &delivery->part);
		take_answer(sending, answer);
		saga_exchange_classify(&sending->exchange);
		if (delivery->part.found != NULL)
			delivery->foreign = fake_bool(answer, "foreign");
		if (delivery->foreign)
			saga_endpoint_part_set_outcome(&delivery->part, SAGA_CLASS_FATAL, delivery->part.status, "Saga.Conflict", "another message's");
		now += fake_int(answer, "takes", 100) * 1000;
		if (fake_bool(answer, "unwanted") && delivery->unwanted_since == 0)
			delivery->unwanted_since = now;
		saga_decide(sending, delivery, now);
		put_row(&out, delivery, sending->exchange.started_at);
		if (delivery->verdict != SAGA_VERDICT_AGAIN)
			break;
		now = TimestampTzPlusMilliseconds(now, delivery->delay_ms);
		keep(delivery, sending->exchange.started_at);
	}
	appendStringInfoChar(&out, ']');
	PG_RETURN_DATUM(fake_result(&out));
}
