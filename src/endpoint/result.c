/*
 * result.c
 *		Answers as the task and the record see them.
 *
 * Foreign bytes become text and jsonb here, in the recording transaction:
 * the server's own parsers decide in a subtransaction, so that what they
 * refuse fails that one answer, not the whole batch.  So does an answer that
 * they cannot hold, whatever the error is called.
 */
#include "postgres.h"

#include "endpoint/exchange.h"
#include "endpoint/exchange_private.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "net/foreign.h"
#include "net/header.h"
#include "net/http.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "value/doc.h"

#define SAGA_MAX_RESPONSE	65536	/* of a stored answer; the task gets all of it */

/* In its place. */
#define SAGA_NOT_KEPT "(too long to be kept)"

/* What a look-up found stands for the answer that was lost. */
static void
push_body(JsonbParseState **state, const SagaExchange *exchange, const SagaPart *part)
{
	char	   *type = saga_header_get(exchange->head, "Content-Type");

	/* a look-up has found what the lost answer would have told */
	if (part->found != NULL)
		saga_doc_push_value(state, "ResponseBody", part->found);
	else if (exchange->transport.truncated)
		saga_doc_push_string(state, "ResponseBody", SAGA_NOT_KEPT);
	else if (exchange->doc != NULL && (type == NULL || saga_endpoint_head_says_json(exchange->head)))
		saga_doc_push_jsonb(state, "ResponseBody", exchange->doc);
	else
		saga_doc_push_string(state, "ResponseBody", exchange->text);
}

/* The rest of a line from text, without its end. */
static char *
rest_of_line(const char *text, const char *skip)
{
	size_t		len;

	text += strspn(text, skip);
	len = strcspn(text, "\r\n");
	while (len > 0 && text[len - 1] == ' ')
		len--;
	return saga_foreign_text(text, len, 8192);
}

/* More names than any server has reason for: each costs a look at all of them. */
#define SAGA_MAX_HEADERS	200

/* Bytes of them in the record of an attempt. */
#define SAGA_MAX_KEPT_HEADERS 8192

/* Names in lower case, each with an array of its values, as AWS has it. */
static JsonbValue *
push_headers(JsonbParseState **state, const char *head)
{
	List	   *names = NIL;
	ListCell   *lc;
	const char *line;

	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	for (line = strchr(head, '\n'); line != NULL && list_length(names) < SAGA_MAX_HEADERS; line = strchr(line, '\n'))
	{
		size_t		len = strcspn(++line, ":\r\n");
		char	   *name;
		char	   *p;
		bool		known = false;

		if (line[len] != ':' || len == 0)
			continue;
		name = saga_foreign_text(line, len, 256);
		for (p = name; *p; p++)
			*p = pg_ascii_tolower((unsigned char) *p);
		foreach(lc, names)
			known |= strcmp(lfirst(lc), name) == 0;
		/* sessions of the server are secrets too */
		if (!known && strcmp(name, "set-cookie") != 0)
			names = lappend(names, name);
	}
	foreach(lc, names)
	{
		char	   *name = lfirst(lc);
		size_t		len = strlen(name);

		saga_jsonb_push_key(state, name);
		pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
		for (line = strchr(head, '\n'); line != NULL; line = strchr(line, '\n'))
		{
			JsonbValue	value;

			line++;
			if (pg_strncasecmp(line, name, len) != 0 || line[len] != ':')
				continue;
			value.type = jbvString;
			value.val.string.val = rest_of_line(line + len + 1, " \t");
			value.val.string.len = strlen(value.val.string.val);
			pushJsonbValue(state, WJB_ELEM, &value);
		}
		pushJsonbValue(state, WJB_END_ARRAY, NULL);
	}
	return pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

Jsonb *
saga_answer_headers(const SagaExchange *exchange)
{
	JsonbParseState *state = NULL;
	Jsonb	   *headers;

	if (exchange->head == NULL || exchange->head[0] == '\0')
		return NULL;
	headers = JsonbValueToJsonb(push_headers(&state, exchange->head));
	return VARSIZE(headers) <= SAGA_MAX_KEPT_HEADERS ? headers : NULL;
}

/* "HTTP/1.1 201 Created" */
static char *
status_text(const char *head)
{
	const char *p = head + strcspn(head, " \r\n");

	p += strspn(p, " ");
	p += strspn(p, "0123456789");
	return rest_of_line(p, " ");
}

/* As a member of a larger document, or as one of its own. */
JsonbValue *
saga_endpoint_push_output(JsonbParseState **parse, const SagaExchange *exchange, const SagaPart *part)
{
	JsonbParseState *state = *parse;
	JsonbValue *output;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (part->entry != NULL)
	{
		const SagaSnsEntry *entry = part->entry;

		saga_doc_push_string(&state, "MessageId",
							 saga_foreign_text(entry->message_id, strlen(entry->message_id), 100));
		if (entry->sequence_number[0] != '\0')
			saga_doc_push_string(&state, "SequenceNumber",
								 saga_foreign_text(entry->sequence_number,
												   strlen(entry->sequence_number), 100));
		if (entry->md5[0] != '\0')
			saga_doc_push_string(&state, "MD5OfMessageBody",
								 saga_foreign_text(entry->md5, strlen(entry->md5), 32));
	}
	else
	{
		saga_doc_push_int(&state, "StatusCode", part->status);
		saga_doc_push_string(&state, "StatusText", status_text(exchange->head));
		saga_jsonb_push_key(&state, "Headers");
		(void) push_headers(&state, exchange->head);
		push_body(&state, exchange, part);
		if (part->captured != NULL)
			saga_doc_push_jsonb(&state, "Captured", part->captured);
	}
	output = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	*parse = state;
	return output;
}

/* Of what is too long nothing is made that would be thrown away. */
static bool
is_kept(const SagaExchange *exchange, const SagaPart *part)
{
	if (part->entry != NULL || part->found != NULL)
		return true;
	return (exchange->doc == NULL || VARSIZE(exchange->doc) <= SAGA_MAX_RESPONSE) &&
		(exchange->doc != NULL || strlen(exchange->text) <= SAGA_MAX_RESPONSE);
}

Jsonb *
saga_endpoint_kept_output(const SagaExchange *exchange, const SagaPart *part)
{
	JsonbParseState *state = NULL;
	Jsonb	   *output;

	/*
	 * the size is only known when it was made: what is surely too large is
	 * not made at all
	 */
	if (is_kept(exchange, part))
	{
		output = JsonbValueToJsonb(saga_endpoint_push_output(&state, exchange, part));
		if (VARSIZE(output) <= SAGA_MAX_RESPONSE)
			return output;
		state = NULL;
	}
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_int(&state, "StatusCode", part->status);
	saga_doc_push_string(&state, "ResponseBody", SAGA_NOT_KEPT);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}
