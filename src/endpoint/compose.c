/*
 * compose.c
 *		An HTTP message as the bytes that are sent: which request, its URL, its
 *		body, the key.
 *
 * saga_compose_http() makes what needs the database, in the claiming
 * transaction: spec, message, key, URL, body.  saga_endpoint_prepare_http() adds
 * headers, secrets and auth each time it is sent, outside of one.  What
 * cannot be composed has its outcome at once and is not sent; the settings
 * may have changed since the message was accepted.
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "endpoint/auth_private.h"
#include "endpoint/aws.h"
#include "endpoint/exchange.h"
#include "endpoint/exchange_private.h"
#include "endpoint/request.h"
#include "endpoint/template.h"
#include "mb/pg_wchar.h"
#include "net/header.h"
#include "net/secret.h"
#include "net/url.h"
#include "utils/timestamp.h"
#include "value/doc.h"

/* ---------- the key ---------- */

/* UUID version 5: a name within a namespace, which is another uuid. */
static pg_uuid_t
named_uuid(const pg_uuid_t *space, const char *name)
{
	pg_cryptohash_ctx *sha1 = pg_cryptohash_create(PG_SHA1);
	uint8		digest[20];
	pg_uuid_t	uuid;

	if (sha1 == NULL || pg_cryptohash_init(sha1) < 0 ||
		pg_cryptohash_update(sha1, space->data, UUID_LEN) < 0 ||
		pg_cryptohash_update(sha1, (const uint8 *) name, strlen(name)) < 0 ||
		pg_cryptohash_final(sha1, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not compute a SHA1 hash");
	pg_cryptohash_free(sha1);
	memcpy(uuid.data, digest, UUID_LEN);
	uuid.data[6] = 0x50 | (uuid.data[6] & 0x0f);
	uuid.data[8] = 0x80 | (uuid.data[8] & 0x3f);
	return uuid;
}

/*
 * The same for all attempts of one purpose.  NULL: none is sent; a look-up
 * and a poll have no effect that could be repeated.
 */
static char *
make_key(const SagaDestination *destination, const SagaPart *part)
{
	const SagaIdempotency *settings = &destination->idempotency;
	pg_uuid_t	uuid = part->idempotency_key;
	StringInfoData key;
	int			i;

	if (settings->place == SAGA_KEY_NONE || part->phase == SAGA_PHASE_LOOKUP ||
		part->phase == SAGA_PHASE_POLL)
		return NULL;
	if (part->phase == SAGA_PHASE_OTHER)
		uuid = named_uuid(&uuid, "else");
	if (part->key_epoch > 0)
		uuid = named_uuid(&uuid, psprintf("epoch %d", part->key_epoch));
	initStringInfo(&key);
	if (settings->prefix != NULL)
		appendStringInfoString(&key, settings->prefix);
	if (!settings->hex)
		appendStringInfoString(&key, saga_uuid_to_cstring(&uuid));
	for (i = 0; settings->hex && i < UUID_LEN; i++)
		appendStringInfo(&key, "%02x", uuid.data[i]);
	if (settings->max_len > 0 && key.len > settings->max_len)
		key.data[settings->max_len] = '\0';
	return key.data;
}

/* ---------- in the claiming transaction ---------- */

/* No further attempt would make it better, so it is fatal. */
static void
cannot_compose(SagaPart *part, const char *cause)
{
	part->class = SAGA_CLASS_FATAL;
	part->error = "States.Runtime";
	part->cause = cause;
}

/* The key as a parameter of the URL, behind those that are there. */
static void
add_key_to_query(SagaExchange *exchange, const SagaPart *part)
{
	StringInfoData url;

	initStringInfo(&url);
	appendStringInfo(&url, "%s%c", exchange->url, strchr(exchange->url, '?') != NULL ? '&' : '?');
	saga_url_encode(&url, exchange->destination->idempotency.name, strlen(exchange->destination->idempotency.name));
	appendStringInfoChar(&url, '=');
	saga_url_encode(&url, part->key, strlen(part->key));
	exchange->url = url.data;
}

/* It may be long, and stays where it is. */
static void
body_to_utf8(SagaExchange *exchange)
{
	MemoryContext old = MemoryContextSwitchTo(exchange->context);
	char	   *utf8 = pg_server_to_any(exchange->body, strlen(exchange->body), PG_UTF8);

	if (utf8 != exchange->body)
		pfree(exchange->body);
	exchange->body = utf8;
	MemoryContextSwitchTo(old);
}

void
saga_compose_http(SagaExchange *exchange)
{
	const SagaDestination *destination = exchange->destination;
	SagaPart   *part = exchange->parts[0];
	SagaKeyPlace place = destination->idempotency.place;
	char	   *error = NULL;

	exchange->spec = saga_endpoint_phase_spec(destination, part);
	if (exchange->spec == NULL)
	{
		cannot_compose(part, "the destination has no such request any more");
		exchange->spec = &destination->request;
		return;
	}
	if (part->error != NULL)
		return;					/* it is not sent */
	part->message = saga_endpoint_request_message(part->request, part->captured);
	part->key = make_key(destination, part);
	exchange->url = saga_endpoint_request_url(exchange->spec, part->phase == SAGA_PHASE_SEND && !part->compensate ?
											  part->request : NULL, part->message, &error);
	if (exchange->url != NULL)
		exchange->body = saga_endpoint_request_body(exchange->spec, part->request, part->message,
													place == SAGA_KEY_BODY ? destination->idempotency.name : NULL,
													part->key, exchange->context, &exchange->content_type, &error);
	if (error == NULL && part->key != NULL && place == SAGA_KEY_QUERY)
		add_key_to_query(exchange, part);
	if (error == NULL && destination->auth.type == SAGA_AUTH_SIGV4)
		exchange->url = saga_endpoint_aws_normalize_url(exchange->url, &error);
	if (error == NULL)
		error = saga_endpoint_request_headers_fault(exchange->spec, part->message);
	if (error == NULL)
		error = saga_endpoint_request_headers_fault(&destination->request, part->message);
	if (error != NULL)
	{
		/* the settings were changed since the message was accepted */
		cannot_compose(part, error);
		return;
	}
	if (place == SAGA_KEY_BODY && exchange->body == NULL)
		part->key = NULL;		/* there is no place for it */
	if (exchange->body != NULL)
		body_to_utf8(exchange);
}

/* ---------- when it is sent ---------- */

/* A line of its own memory: headers are wiped line by line. */
static void
add_header(SagaExchange *exchange, const char *name, const char *value)
{
	exchange->http.headers = lappend(exchange->http.headers, psprintf("%s: %s", name, value));
}

/* Names of headers know no case. */
static bool
has_header(SagaExchange *exchange, const char *name)
{
	ListCell   *lc;
	size_t		len = strlen(name);

	foreach(lc, exchange->http.headers)
	{
		const char *line = lfirst(lc);

		if (pg_strncasecmp(line, name, len) == 0 && line[len] == ':')
			return true;
	}
	return false;
}

/* The message's own headers; one that the destination now sets itself gives way. */
static void
add_message_header(const char *name, JsonbValue *value, void *arg)
{
	char	   *text = saga_doc_text(value);

	if (text != NULL && !has_header(arg, name))
		add_header(arg, name, text);
}

/*
 * The next reference to a secret in a header's text, and where it ends; *end is NULL:
 * there is none.  Never one in what the message gave, or it could ask for a secret.
 */
static const char *
find_secret(const char *text, const char **end)
{
	const char *secret = strstr(text, "{secret:");

	*end = secret != NULL ? strchr(secret, '}') : NULL;
	return secret;
}

/* What the message makes of the text of a header up to the next secret. */
typedef struct HeaderText
{
	const char *from;			/* where that begins in the destination's settings */
	const char *text;
} HeaderText;

static char *
fill_from_message(const SagaExchange *exchange, StringInfo out, const char *text, const char *secret)
{
	const SagaPart *part = exchange->parts[0];
	char	   *missing;
	ListCell   *lc;

	if (!part->reduced)
		return saga_endpoint_template_fill(out, secret != NULL ? pnstrdup(text, secret - text) : text, part->message,
										   false, SAGA_MAX_HEADER_TEXT, &missing) ? NULL :
			psprintf("needs {%s}, and the message has no usable value for it", missing);
	foreach(lc, exchange->header_texts)
	{
		const HeaderText *kept = lfirst(lc);

		if (kept->from == text)
		{
			appendStringInfoString(out, kept->text);
			return NULL;
		}
	}
	return pstrdup("needs a value of the message");
}

static void
keep_texts_of(SagaExchange *exchange, const SagaRequestSpec *spec)
{
	int			i;

	for (i = 0; i < spec->nheaders; i++)
	{
		const char *text = spec->headers[i].value;
		const char *end = text;

		for (; end != NULL && *text; text = end + 1)
		{
			const char *secret = find_secret(text, &end);
			HeaderText *kept = palloc(sizeof(HeaderText));
			StringInfoData out;

			initStringInfo(&out);
			if (fill_from_message(exchange, &out, text, secret) != NULL)
				return;			/* it is not sent */
			kept->from = text;
			kept->text = out.data;
			exchange->header_texts = lappend(exchange->header_texts, kept);
			if (end == NULL)
				break;
		}
	}
}

/* Before its message goes. */
void
saga_endpoint_keep_header_texts(SagaExchange *exchange)
{
	if (exchange->destination->kind != SAGA_DESTINATION_HTTP || exchange->parts[0]->error != NULL)
		return;
	keep_texts_of(exchange, exchange->spec);
	if (exchange->spec != &exchange->destination->request)
		keep_texts_of(exchange, &exchange->destination->request);
}

/* {name} is filled from the message, {secret:...} with a secret. */
static char *
fill_header(SagaExchange *exchange, StringInfo out, const char *text)
{
	while (*text)
	{
		const char *end;
		const char *secret = find_secret(text, &end);
		char	   *error = fill_from_message(exchange, out, text, secret);

		if (error != NULL)
			return error;
		if (end == NULL)
			break;
		error = saga_secret_fill(out, pnstrdup(secret, end + 1 - secret), &exchange->secrets);
		if (error != NULL)
			return error;
		text = end + 1;
	}
	return NULL;
}

/* NULL, or why not: without the value, which may hold a secret. */
static char *
add_destination_header(SagaExchange *exchange, const SagaHeader *header)
{
	StringInfoData value;
	const char *wrong;
	char	   *error;

	initStringInfo(&value);
	error = fill_header(exchange, &value, header->value);
	wrong = error == NULL ? saga_header_check_value(value.data) : NULL;
	if (wrong != NULL)
		error = pstrdup(wrong);
	if (error == NULL)
		add_header(exchange, header->name, value.data);
	explicit_bzero(value.data, value.len);
	return error == NULL ? NULL : psprintf("header \"%s\": %s", header->name, error);
}

/*
 * The headers of one of the destination's requests, but for those that are
 * there already.
 */
static char *
add_headers(SagaExchange *exchange, const SagaRequestSpec *spec)
{
	char	   *error = NULL;
	int			i;

	for (i = 0; i < spec->nheaders && error == NULL; i++)
	{
		if (!has_header(exchange, spec->headers[i].name))
			error = add_destination_header(exchange, &spec->headers[i]);
	}
	return error;
}

SagaReadiness
saga_endpoint_prepare_http(SagaExchange *exchange, SagaHttp *connections, char **error)
{
	const SagaDestination *destination = exchange->destination;
	SagaPart   *part = exchange->parts[0];
	SagaHttpRequest *http = &exchange->http;
	JsonbValue *headers = saga_doc_get(&part->request->root, "Headers");
	bool		first = part->phase == SAGA_PHASE_SEND && !part->compensate;

	/* a look-up, a poll, a compensation have the destination's headers too */
	*error = add_headers(exchange, exchange->spec);
	if (*error == NULL)
		*error = add_headers(exchange, &destination->request);
	if (*error != NULL)
		return SAGA_READY_NEVER;
	if (first && headers != NULL && saga_doc_is_object(headers))
		saga_doc_each(headers->val.binary.data, add_message_header, exchange);
	if (part->key != NULL && destination->idempotency.place == SAGA_KEY_HEADER)
		add_header(exchange, destination->idempotency.name, part->key);
	if (exchange->body != NULL && !has_header(exchange, "Content-Type"))
		add_header(exchange, "Content-Type", exchange->content_type);

	http->method = saga_exchange_method(exchange);
	http->body = exchange->body;
	http->body_len = exchange->body ? strlen(exchange->body) : 0;
	return saga_auth_prepare(exchange, connections, error);
}
