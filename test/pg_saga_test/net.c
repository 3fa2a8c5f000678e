/*
 * net.c
 *		What goes over the network and comes from there, without one: URLs,
 *		headers, addresses, secrets in foreign texts, and answers of AWS.
 */
#include "fake.h"

#include "aws/sqs.h"
#include "catalog/pg_type.h"
#include "endpoint/destination.h"
#include "endpoint/exchange_private.h"
#include "endpoint/regex_private.h"
#include "fmgr.h"
#include "net/guard.h"
#include "net/header.h"
#include "net/secret.h"
#include "net/url.h"
#include "utils/array.h"
#include "utils/builtins.h"

static char *
text_arg(FunctionCallInfo fcinfo, int i)
{
	return text_to_cstring(PG_GETARG_TEXT_PP(i));
}

static List *
texts_arg(FunctionCallInfo fcinfo, int i)
{
	Datum	   *values;
	List	   *result = NIL;
	int			n;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(i), TEXTOID, -1, false, TYPALIGN_INT, &values, NULL, &n);
	for (int k = 0; k < n; k++)
		result = lappend(result, TextDatumGetCString(values[k]));
	return result;
}

/* ---------- URLs ---------- */

/* All {name} are fine but this one. */
static const char *
check_template(const char *text)
{
	return strstr(text, "{wrong}") != NULL ? "has a reference that is wrong" : NULL;
}

PG_FUNCTION_INFO_V1(saga_test_url);

Datum
saga_test_url(PG_FUNCTION_ARGS)
{
	StringInfoData out;
	SagaUrl		url;
	const char *fault = saga_url_parse(text_arg(fcinfo, 0), PG_GETARG_BOOL(1) ? check_template : NULL, &url);

	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	if (fault != NULL)
		fake_put_text(&out, "fault", fault);
	else
	{
		fake_put_bool(&out, "https", url.https);
		fake_put_text(&out, "host", url.host);
		fake_put_int(&out, "port", url.port);
		fake_put_text(&out, "path", url.path);
		fake_put_text(&out, "query", url.query);
	}
	appendStringInfoChar(&out, '}');
	PG_RETURN_DATUM(fake_result(&out));
}

PG_FUNCTION_INFO_V1(saga_test_url_rest);

/* What follows behind the base; NULL: it is not below it. */
Datum
saga_test_url_rest(PG_FUNCTION_ARGS)
{
	SagaUrl		base;
	SagaUrl		full;
	char	   *rest;
	const char *fault = saga_url_parse(text_arg(fcinfo, 0), check_template, &base);

	if (fault == NULL)
		fault = saga_url_parse(text_arg(fcinfo, 1), NULL, &full);
	if (fault != NULL)
		elog(ERROR, "%s", fault);
	if (!saga_url_covers(&base, &full, &rest))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(rest));
}

PG_FUNCTION_INFO_V1(saga_test_url_encode);

Datum
saga_test_url_encode(PG_FUNCTION_ARGS)
{
	char	   *text = text_arg(fcinfo, 0);
	StringInfoData out;

	initStringInfo(&out);
	saga_url_encode(&out, text, strlen(text));
	PG_RETURN_TEXT_P(cstring_to_text(out.data));
}

/* ---------- headers ---------- */

PG_FUNCTION_INFO_V1(saga_test_header);

Datum
saga_test_header(PG_FUNCTION_ARGS)
{
	char	   *value = saga_header_get(text_arg(fcinfo, 0), text_arg(fcinfo, 1));

	if (value == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(value));
}

PG_FUNCTION_INFO_V1(saga_test_header_fault);

Datum
saga_test_header_fault(PG_FUNCTION_ARGS)
{
	const char *fault = saga_header_check_name(text_arg(fcinfo, 0));

	if (fault == NULL)
		fault = saga_header_check_value(text_arg(fcinfo, 1));
	if (fault == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(fault));
}

PG_FUNCTION_INFO_V1(saga_test_retry_after);

/* When an answer of this head and body says that the request may come again, in milliseconds; NULL: it does not. */
Datum
saga_test_retry_after(PG_FUNCTION_ARGS)
{
	JsonbContainer *settings = &PG_GETARG_JSONB_P(0)->root;
	SagaDestination destination = {0};
	SagaExchange exchange = {.destination = &destination};
	char	   *regex = fake_text(settings, "body_regex");
	const char *error;
	int			status = PG_GETARG_INT32(3);
	int64		ms;

	destination.retry_after.header = fake_text(settings, "header");
	if (regex != NULL)
		destination.retry_after.body_regex = saga_endpoint_regex_compile(regex, strlen(regex), &error);
	destination.retry_after.default_s = (int) fake_int(settings, "default_s", 0);
	exchange.head = text_arg(fcinfo, 1);
	exchange.text = text_arg(fcinfo, 2);
	ms = saga_exchange_retry_after_ms(&exchange, status < 300 ? SAGA_CLASS_SUCCESS : SAGA_CLASS_RETRY, status);
	if (ms < 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(ms);
}

PG_FUNCTION_INFO_V1(saga_test_says_json);

Datum
saga_test_says_json(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(saga_endpoint_head_says_json(text_arg(fcinfo, 0)));
}

/* ---------- addresses ---------- */

PG_FUNCTION_INFO_V1(saga_test_guard);

/* May this address be connected to?  NULL: one of those that are allowed is none. */
Datum
saga_test_guard(PG_FUNCTION_ARGS)
{
	List	   *allowed = texts_arg(fcinfo, 0);
	SagaGuard	guard = {.only = PG_GETARG_BOOL(1)};
	ListCell   *lc;

	guard.allowed = palloc(sizeof(SagaCidr) * Max(list_length(allowed), 1));
	foreach(lc, allowed)
	{
		if (!saga_cidr_parse(lfirst(lc), &guard.allowed[guard.nallowed++]))
			PG_RETURN_NULL();
	}
	PG_RETURN_BOOL(saga_guard_allows_text(&guard, text_arg(fcinfo, 2)));
}

/* ---------- secrets ---------- */

PG_FUNCTION_INFO_V1(saga_test_redact);

Datum
saga_test_redact(PG_FUNCTION_ARGS)
{
	char	   *data = text_arg(fcinfo, 0);

	saga_secret_redact(data, strlen(data), texts_arg(fcinfo, 1));
	PG_RETURN_TEXT_P(cstring_to_text(data));
}

PG_FUNCTION_INFO_V1(saga_test_references);

Datum
saga_test_references(PG_FUNCTION_ARGS)
{
	SagaSecretUse use = {0};
	StringInfoData out;
	StringInfoData names;
	const char *fault = saga_secret_check(text_arg(fcinfo, 0), &use);
	ListCell   *lc;

	initStringInfo(&out);
	initStringInfo(&names);
	foreach(lc, use.names)
		appendStringInfo(&names, "%s%s", names.len > 0 ? "," : "", (char *) lfirst(lc));
	appendStringInfoChar(&out, '{');
	if (fault != NULL)
		fake_put_text(&out, "fault", fault);
	else
	{
		fake_put_bool(&out, "any", use.any);
		fake_put_bool(&out, "file", use.file);
		fake_put_bool(&out, "environment", use.environment);
		fake_put_int(&out, "count", use.count);
		fake_put_text(&out, "names", names.data);
	}
	appendStringInfoChar(&out, '}');
	PG_RETURN_DATUM(fake_result(&out));
}

/* ---------- answers of AWS ---------- */

static void
put_message(StringInfo out, const SagaSqsMessage *message)
{
	StringInfoData attributes;

	initStringInfo(&attributes);
	for (int i = 0; i < message->nattributes; i++)
		appendStringInfo(&attributes, "%s%s=%s", i > 0 ? " " : "", message->attributes[i].name, message->attributes[i].value);
	fake_next(out);
	appendStringInfoChar(out, '{');
	fake_put_text(out, "id", message->id);
	fake_put_text(out, "receipt", message->receipt);
	fake_put_text(out, "body", message->body);
	fake_put_bool(out, "intact", saga_sqs_is_intact(message));
	fake_put_int(out, "receives", message->receives);
	fake_put_int(out, "sent_ms", message->sent_ms);
	fake_put_text(out, "group_id", message->group_id);
	fake_put_text(out, "dedup_id", message->dedup_id);
	fake_put_text(out, "attributes", attributes.data);
	appendStringInfoChar(out, '}');
}

PG_FUNCTION_INFO_V1(saga_test_sqs_messages);

/* NULL: this is no answer to ReceiveMessage.  unwrap: notifications of SNS are taken apart. */
Datum
saga_test_sqs_messages(PG_FUNCTION_ARGS)
{
	char	   *text = text_arg(fcinfo, 0);
	SagaSqsMessage *messages;
	StringInfoData out;
	int			n;

	if (!saga_sqs_parse_messages(text, strlen(text), &messages, &n))
		PG_RETURN_NULL();
	initStringInfo(&out);
	appendStringInfoChar(&out, '[');
	for (int i = 0; i < n; i++)
	{
		if (PG_GETARG_BOOL(1))
			(void) saga_sqs_unwrap_sns(&messages[i]);
		put_message(&out, &messages[i]);
	}
	appendStringInfoChar(&out, ']');
	PG_RETURN_DATUM(fake_result(&out));
}

PG_FUNCTION_INFO_V1(saga_test_aws_answer);

/* Of "sqs" or "sns"; NULL: this is none. */
Datum
saga_test_aws_answer(PG_FUNCTION_ARGS)
{
	char	   *text = text_arg(fcinfo, 1);
	SagaSnsAnswer answer;
	StringInfoData out;
	bool		is_one;

	if (strcmp(text_arg(fcinfo, 0), "sqs") == 0)
		is_one = saga_sqs_parse(text, strlen(text), &answer);
	else
		is_one = saga_net_sns_parse(text, strlen(text), &answer);
	if (!is_one)
		PG_RETURN_NULL();
	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	fake_put_text(&out, "code", answer.code);
	fake_put_text(&out, "message", answer.message);
	fake_member(&out, "entries");
	appendStringInfoChar(&out, '[');
	for (int i = 0; i < answer.nentries; i++)
	{
		const SagaSnsEntry *entry = &answer.entries[i];

		fake_next(&out);
		appendStringInfoChar(&out, '{');
		fake_put_text(&out, "id", entry->id);
		fake_put_bool(&out, "failed", entry->failed);
		fake_put_bool(&out, "sender_fault", entry->sender_fault);
		fake_put_text(&out, "message_id", entry->message_id);
		fake_put_text(&out, "sequence_number", entry->sequence_number);
		fake_put_text(&out, "md5", entry->md5);
		fake_put_text(&out, "code", entry->code);
		fake_put_text(&out, "message", entry->message);
		appendStringInfoChar(&out, '}');
	}
	appendStringInfoString(&out, "]}");
	PG_RETURN_DATUM(fake_result(&out));
}

PG_FUNCTION_INFO_V1(saga_test_sqs_request);

/* The body of a request: "receive", "delete" or "hide". */
Datum
saga_test_sqs_request(PG_FUNCTION_ARGS)
{
	char	   *action = text_arg(fcinfo, 0);
	char	   *url = text_arg(fcinfo, 1);
	List	   *receipts = texts_arg(fcinfo, 2);
	char	  **array = palloc(sizeof(char *) * Max(list_length(receipts), 1));
	char	   *body;
	int			n = 0;
	ListCell   *lc;

	foreach(lc, receipts)
		array[n++] = lfirst(lc);
	if (strcmp(action, "receive") == 0)
		body = saga_sqs_receive(url, 10, 20, 60);
	else if (strcmp(action, "delete") == 0)
		body = saga_sqs_delete_batch(url, array, n);
	else
		body = saga_sqs_visibility_batch(url, array, n, 60);
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(body)));
}
