/*
 * compose.c
 *		An HTTP message as the bytes that are sent.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "net/secret.h"
#include "outbox/auth.h"
#include "outbox/doc.h"
#include "outbox/request.h"
#include "outbox/sending.h"

/* The claiming transaction: a conversion looks into the catalog. */
void
saga_compose_http(SagaSending *sending)
{
	SagaDelivery *delivery = sending->deliveries[0];
	char	   *missing;

	sending->url = saga_request_url(&sending->destination->request, delivery->request, &missing);
	sending->body = saga_request_body(delivery->request, &sending->content_type);
	if (sending->body != NULL)
		sending->body = pg_server_to_any(sending->body, strlen(sending->body), PG_UTF8);

	/* the url was changed since the message was accepted */
	if (sending->url == NULL)
	{
		delivery->class = SAGA_CLASS_FATAL;
		delivery->error = "States.Runtime";
		delivery->cause = psprintf("the url of the destination needs {%s}, and the message has no usable value for it",
								   missing);
	}
}

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

static char *
add_destination_header(SagaSending *sending, const SagaHeader *header)
{
	StringInfoData value;
	char	   *error;

	initStringInfo(&value);
	error = saga_secret_fill(&value, header->value, &sending->secrets);
	if (error == NULL)
		add_header(sending, header->name, value.data);
	explicit_bzero(value.data, value.len);
	return error;
}

SagaReadiness
saga_prepare_http(SagaSending *sending, SagaHttp *connections, char **error)
{
	const SagaDestination *destination = sending->destination;
	SagaDelivery *delivery = sending->deliveries[0];
	SagaHttpRequest *http = &sending->http;
	JsonbValue *headers = saga_doc_get(&delivery->request->root, "Headers");
	int			i;

	*error = NULL;
	for (i = 0; i < destination->request.nheaders && *error == NULL; i++)
		*error = add_destination_header(sending, &destination->request.headers[i]);
	if (*error != NULL)
		return SAGA_READY_NEVER;
	if (headers != NULL && saga_doc_is_object(headers))
		saga_doc_each(headers->val.binary.data, add_message_header, sending);
	if (destination->idempotency.place == SAGA_KEY_HEADER)
		add_header(sending, destination->idempotency.name,
				   saga_uuid_to_cstring(&delivery->idempotency_key));
	if (sending->body != NULL && !has_header(sending, "Content-Type"))
		add_header(sending, "Content-Type", sending->content_type);

	http->method = saga_doc_get_string(&delivery->request->root, "Method");
	if (http->method == NULL)
		http->method = destination->request.method;
	http->body = sending->body;
	http->body_len = sending->body ? strlen(sending->body) : 0;
	return saga_auth_prepare(sending, connections, error);
}
