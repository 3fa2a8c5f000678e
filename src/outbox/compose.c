/*
 * compose.c
 *		An HTTP message as the bytes that are sent: which request, its URL, its
 *		body, the key.
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "mb/pg_wchar.h"
#include "net/header.h"
#include "net/secret.h"
#include "net/url.h"
#include "outbox/auth_private.h"
#include "outbox/aws.h"
#include "outbox/doc.h"
#include "outbox/request_private.h"
#include "outbox/sending.h"
#include "utils/timestamp.h"

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
make_key(const SagaDestination *destination, const SagaDelivery *delivery)
{
	const SagaIdempotency *settings = &destination->idempotency;
	pg_uuid_t	uuid = delivery->idempotency_key;
	StringInfoData key;
	int			i;

	if (settings->place == SAGA_KEY_NONE || delivery->phase == SAGA_PHASE_LOOKUP ||
		delivery->phase == SAGA_PHASE_POLL)
		return NULL;
	if (delivery->phase == SAGA_PHASE_OTHER)
		uuid = named_uuid(&uuid, "else");
	if (delivery->key_epoch > 0)
		uuid = named_uuid(&uuid, psprintf("epoch %d", delivery->key_epoch));
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

static void
cannot_compose(SagaDelivery *delivery, const char *cause)
{
	delivery->class = SAGA_CLASS_FATAL;
	delivery->error = "States.Runtime";
	delivery->cause = cause;
}

static void
add_key_to_query(SagaSending *sending, const SagaDelivery *delivery)
{
	StringInfoData url;

	initStringInfo(&url);
	appendStringInfo(&url, "%s%c", sending->url, strchr(sending->url, '?') != NULL ? '&' : '?');
	saga_url_encode(&url, sending->destination->idempotency.name, strlen(sending->destination->idempotency.name));
	appendStringInfoChar(&url, '=');
	saga_url_encode(&url, delivery->key, strlen(delivery->key));
	sending->url = url.data;
}

void
saga_compose_http(SagaSending *sending)
{
	const SagaDestination *destination = sending->destination;
	SagaDelivery *delivery = sending->deliveries[0];
	SagaKeyPlace place = destination->idempotency.place;
	char	   *error = NULL;

	sending->spec = saga_phase_spec(destination, delivery);
	if (sending->spec == NULL)
	{
		cannot_compose(delivery, "the destination has no such request any more");
		sending->spec = &destination->request;
		return;
	}
	if (delivery->error != NULL)
		return;					/* it is not sent */
	delivery->message = saga_request_message(delivery->request, delivery->captured);
	delivery->key = make_key(destination, delivery);
	sending->url = saga_request_url(sending->spec, delivery->phase == SAGA_PHASE_SEND && !delivery->compensate ?
									delivery->request : NULL, delivery->message, &error);
	if (sending->url != NULL)
		sending->body = saga_request_body(sending->spec, delivery->request, delivery->message,
										  place == SAGA_KEY_BODY ? destination->idempotency.name : NULL,
										  delivery->key, &sending->content_type, &error);
	if (error == NULL && delivery->key != NULL && place == SAGA_KEY_QUERY)
		add_key_to_query(sending, delivery);
	if (error == NULL && destination->auth.type == SAGA_AUTH_SIGV4)
		sending->url = saga_aws_normalize_url(sending->url, &error);
	if (error == NULL)
		error = saga_request_headers_fault(sending->spec, delivery->message);
	if (error == NULL)
		error = saga_request_headers_fault(&destination->request, delivery->message);
	if (error != NULL)
	{
		/* the settings were changed since the message was accepted */
		cannot_compose(delivery, error);
		return;
	}
	if (place == SAGA_KEY_BODY && sending->body == NULL)
		delivery->key = NULL;	/* there is no place for it */
	if (delivery->uncertain && (delivery->phase == SAGA_PHASE_SEND || delivery->phase == SAGA_PHASE_OTHER) &&
		!saga_may_resend(sending, delivery, GetCurrentTimestamp()))
	{
		/* it waited for so long that the server has forgotten the key */
		cannot_compose(delivery, SAGA_CANNOT_RESEND);
		delivery->class = SAGA_CLASS_UNCERTAIN;
		delivery->error = "Saga.Uncertain";
		return;
	}
	if (sending->body != NULL)
		sending->body = pg_server_to_any(sending->body, strlen(sending->body), PG_UTF8);
}

/* ---------- when it is sent ---------- */

static void
add_header(SagaSending *sending, const char *name, const char *value)
{
	sending->http.headers = lappend(sending->http.headers, psprintf("%s: %s", name, value));
}

static bool
has_header(SagaSending *sending, const char *name)
{
	ListCell   *lc;
	size_t		len = strlen(name);

	foreach(lc, sending->http.headers)
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
 * {name} is filled from the message, {secret:...} with a secret; never one in
 * what the other gave, or a message could ask for a secret.
 */
static char *
fill_header(SagaSending *sending, StringInfo out, const char *text)
{
	SagaDelivery *delivery = sending->deliveries[0];

	while (*text)
	{
		const char *secret = strstr(text, "{secret:");
		const char *end = secret != NULL ? strchr(secret, '}') : NULL;
		char	   *missing;
		char	   *error;

		if (!saga_template_fill(out, secret != NULL ? pnstrdup(text, secret - text) : text, delivery->message,
								false, SAGA_MAX_HEADER_TEXT, &missing))
			return psprintf("needs {%s}, and the message has no usable value for it", missing);
		if (end == NULL)
			break;
		error = saga_secret_fill(out, pnstrdup(secret, end + 1 - secret), &sending->secrets);
		if (error != NULL)
			return error;
		text = end + 1;
	}
	return NULL;
}

static char *
add_destination_header(SagaSending *sending, const SagaHeader *header)
{
	StringInfoData value;
	const char *wrong;
	char	   *error;

	initStringInfo(&value);
	error = fill_header(sending, &value, header->value);
	wrong = error == NULL ? saga_header_check_value(value.data) : NULL;
	if (wrong != NULL)
		error = pstrdup(wrong);
	if (error == NULL)
		add_header(sending, header->name, value.data);
	explicit_bzero(value.data, value.len);
	return error == NULL ? NULL : psprintf("header \"%s\": %s", header->name, error);
}

static char *
add_headers(SagaSending *sending, const SagaRequestSpec *spec)
{
	char	   *error = NULL;
	int			i;

	for (i = 0; i < spec->nheaders && error == NULL; i++)
	{
		if (!has_header(sending, spec->headers[i].name))
			error = add_destination_header(sending, &spec->headers[i]);
	}
	return error;
}

SagaReadiness
saga_prepare_http(SagaSending *sending, SagaHttp *connections, char **error)
{
	const SagaDestination *destination = sending->destination;
	SagaDelivery *delivery = sending->deliveries[0];
	SagaHttpRequest *http = &sending->http;
	JsonbValue *headers = saga_doc_get(&delivery->request->root, "Headers");
	bool		first = delivery->phase == SAGA_PHASE_SEND && !delivery->compensate;

	/* a look-up, a poll, a compensation have the destination's headers too */
	*error = add_headers(sending, sending->spec);
	if (*error == NULL)
		*error = add_headers(sending, &destination->request);
	if (*error != NULL)
		return SAGA_READY_NEVER;
	if (first && headers != NULL && saga_doc_is_object(headers))
		saga_doc_each(headers->val.binary.data, add_message_header, sending);
	if (delivery->key != NULL && destination->idempotency.place == SAGA_KEY_HEADER)
		add_header(sending, destination->idempotency.name, delivery->key);
	if (sending->body != NULL && !has_header(sending, "Content-Type"))
		add_header(sending, "Content-Type", sending->content_type);

	http->method = saga_sending_method(sending);
	http->body = sending->body;
	http->body_len = sending->body ? strlen(sending->body) : 0;
	return saga_auth_prepare(sending, connections, error);
}
