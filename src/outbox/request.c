/*
 * request.c
 *		HTTP requests as a task gives them, checked while the task can be told,
 *		and as they are stored.
 */
#include "postgres.h"

#include "endpoint/aws.h"
#include "miscadmin.h"
#include "net/header.h"
#include "outbox/request_private.h"
#include "utils/builtins.h"
#include "value/doc.h"

/* What is refused here is a request for a server of HTTP. */
#define INVALID	"Saga.InvalidRequest"

/* ---------- checks ---------- */

typedef struct MemberState
{
	SagaResolved *resolved;
	const SagaDestination *destination;
	StringInfo	query;
	bool		ok;
} MemberState;

static const SagaMember http_members[] = {
	{"ApiEndpoint", SAGA_MEMBER_STRING},
	{"Method", SAGA_MEMBER_STRING},
	{"Headers", SAGA_MEMBER_OBJECT},
	{"QueryParameters", SAGA_MEMBER_OBJECT},
	{"RequestBody", SAGA_MEMBER_ANY},
	{"Authentication", SAGA_MEMBER_OBJECT},
	{"InvocationConfig", SAGA_MEMBER_OBJECT},
	{"Transform", SAGA_MEMBER_OBJECT},
	{"Operation", SAGA_MEMBER_ANY},
	{"Captured", SAGA_MEMBER_ANY},
	{NULL, 0}
};

static const SagaMember transform_members[] = {
	{"RequestBodyEncoding", SAGA_MEMBER_STRING},
	{"RequestEncodingOptions", SAGA_MEMBER_OBJECT},
	{NULL, 0}
};

static const SagaMember encoding_members[] = {
	{"ArrayFormat", SAGA_MEMBER_STRING},
	{NULL, 0}
};

static void
check_header(const char *name, JsonbValue *value, void *arg)
{
	MemberState *state = arg;
	char	   *text = saga_doc_text(value);
	const char *error = saga_header_check_name(name);
	int			i;

	if (error == NULL && text == NULL)
		error = "must be a string";
	if (error == NULL)
		error = saga_header_check_value(text);
	if (error == NULL && state->destination->auth.type == SAGA_AUTH_SIGV4)
		error = saga_endpoint_aws_check_header(name, text);
	/* what a task says is stored, and seen by all who may see the execution */
	if (error == NULL && saga_header_is_secret(name))
		error = "belongs into the settings of the destination, as a {secret:...} reference";
	if (error == NULL && state->destination->idempotency.place == SAGA_KEY_HEADER &&
		pg_strcasecmp(name, state->destination->idempotency.name) == 0)
		error = "is set by the outbox";
	for (i = 0; error == NULL && i < state->destination->request.nheaders; i++)
	{
		if (pg_strcasecmp(name, state->destination->request.headers[i].name) == 0)
			error = "is set by the destination";
	}
	if (error != NULL)
		state->ok = saga_outbox_reject(state->resolved, INVALID, "header \"%s\" %s", name, error);
}

static void
add_query_parameter(const char *name, JsonbValue *value, void *arg)
{
	MemberState *state = arg;
	char	   *text = saga_doc_text(value);

	if (text != NULL)
		saga_endpoint_append_query(state->query, name, text);
	else if (saga_doc_is_array(value))
	{
		JsonbContainer *array = value->val.binary.data;
		uint32		i;

		for (i = 0; i < JsonContainerSize(array); i++)
		{
			text = saga_doc_text(getIthJsonbValueFromContainer(array, i));
			if (text == NULL)
				break;
			saga_endpoint_append_query(state->query, name, text);
		}
		if (i == JsonContainerSize(array))
			return;
	}
	if (text == NULL)
		state->ok = saga_outbox_reject(state->resolved, INVALID,
									   "query parameter \"%s\" must be a string or an array of strings", name);
}

/* The path below the destination's URL, with the query parameters added. */
static bool
build_path(SagaResolved *resolved, MemberState *state, JsonbContainer *input, const char *rest,
		   char **path)
{
	JsonbValue *parameters = saga_doc_get(input, "QueryParameters");
	const char *error = saga_url_check_path(rest, NULL);
	StringInfoData query;

	if (error != NULL)
		return saga_outbox_reject(resolved, INVALID, "ApiEndpoint %s", error);
	if (rest[0] != '\0' && resolved->destination->request.url.query != NULL)
		return saga_outbox_reject(resolved, INVALID,
								  "the url of destination \"%s\" has a query, so nothing can be below it",
								  resolved->destination->name);
	*path = pstrdup(rest);
	if (parameters == NULL || parameters->type == jbvNull)
		return true;
	initStringInfo(&query);
	state->query = &query;
	saga_doc_each(parameters->val.binary.data, add_query_parameter, state);
	if (state->ok && query.len > 0)
	{
		bool		more = strchr(rest, '?') != NULL || resolved->destination->request.url.query != NULL;

		*path = psprintf("%s%c%s", rest, more ? '&' : '?', query.data);
	}
	return state->ok;
}

/* Transform: NULL, or how arrays are written in a form. */
static bool
read_transform(SagaResolved *resolved, JsonbContainer *input, const char **form)
{
	JsonbValue *transform = saga_doc_get(input, "Transform");
	JsonbValue *options;
	char	   *encoding;
	char	   *format;

	*form = NULL;
	if (transform == NULL || transform->type == jbvNull)
		return true;
	if (!saga_request_check_members(resolved, INVALID, transform->val.binary.data, transform_members,
									"a member of Transform"))
		return false;
	encoding = saga_doc_get_string(transform->val.binary.data, "RequestBodyEncoding");
	if (encoding == NULL || strcmp(encoding, "NONE") == 0)
		return true;
	if (strcmp(encoding, "URL_ENCODED") != 0)
		return saga_outbox_reject(resolved, INVALID,
								  "RequestBodyEncoding must be NONE or URL_ENCODED");
	*form = saga_form_format("INDICES");
	options = saga_doc_get(transform->val.binary.data, "RequestEncodingOptions");
	if (options == NULL || options->type == jbvNull)
		return true;
	if (!saga_request_check_members(resolved, INVALID, options->val.binary.data, encoding_members,
									"a member of RequestEncodingOptions"))
		return false;
	format = saga_doc_get_string(options->val.binary.data, "ArrayFormat");
	if (format == NULL)
		return true;
	*form = saga_form_format(format);
	return *form != NULL ||
		saga_outbox_reject(resolved, INVALID,
						   "ArrayFormat must be INDICES, REPEAT, COMMAS, BRACKETS or NONE");
}

static bool
check_headers(MemberState *state, JsonbValue *headers)
{
	if (headers == NULL || headers->type == jbvNull)
		return true;
	if (JsonContainerSize(headers->val.binary.data) > SAGA_MAX_SENT_HEADERS)
		return saga_outbox_reject(state->resolved, INVALID, "Headers has more than %d members", SAGA_MAX_SENT_HEADERS);
	saga_doc_each(headers->val.binary.data, check_header, state);
	return state->ok;
}

static bool
check_method(SagaResolved *resolved, const char *method)
{
	static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
	int			i;

	for (i = 0; i < lengthof(methods); i++)
	{
		if (strcmp(method, methods[i]) == 0)
			return true;
	}
	return saga_outbox_reject(resolved, INVALID,
							  "Method must be GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS");
}

/* Everything that could fail when it is sent fails now, while the task can be told. */
static bool
check_built(SagaResolved *resolved)
{
	const SagaDestination *destination = resolved->destination;
	bool		compensate = saga_doc_get(&resolved->request->root, "Compensate") != NULL;
	const SagaRequestSpec *spec = compensate ? &destination->compensation->request : &destination->request;
	Jsonb	   *message = saga_endpoint_request_message(resolved->request, NULL);
	const char *content_type;
	char	   *body = NULL;
	char	   *error = NULL;
	const SagaIdempotency *key = &destination->idempotency;
	char	   *url = saga_endpoint_request_url(spec, compensate ? NULL : resolved->request, message, &error);

	if (url != NULL && destination->auth.type == SAGA_AUTH_SIGV4)
		url = saga_endpoint_aws_normalize_url(url, &error);
	if (url != NULL)
		body = saga_endpoint_request_body(spec, resolved->request, message,
										  key->place == SAGA_KEY_BODY ? key->name : NULL, "key", CurrentMemoryContext,
										  &content_type, &error);
	if (error == NULL)
		error = saga_endpoint_request_headers_fault(spec, message);
	if (error == NULL)
		error = saga_endpoint_request_headers_fault(&destination->request, message);
	if (error != NULL)
		return saga_outbox_reject(resolved, INVALID, "destination \"%s\": %s", destination->name, error);
	if (body != NULL && strlen(body) > SAGA_HTTP_MAX_BYTES)
		return saga_outbox_reject(resolved, "States.DataLimitExceeded",
								  "the request's body has more than %d bytes", SAGA_HTTP_MAX_BYTES);
	return true;
}

/*
 * {"Operation": "compensate"}: the destination's own request that undoes what
 * an earlier message did; Captured is that of its output.
 */
static bool
check_operation(SagaResolved *resolved, JsonbContainer *input, const char *rest, bool *compensate)
{
	JsonbValue *operation = saga_doc_get(input, "Operation");
	JsonbValue *captured = saga_doc_get(input, "Captured");
	char	   *name = saga_doc_get_string(input, "Operation");

	*compensate = name != NULL && strcmp(name, "compensate") == 0;
	if (operation != NULL && !*compensate)
		return saga_outbox_reject(resolved, INVALID, "Operation must be \"compensate\"");
	if (captured != NULL && captured->type != jbvNull && (!*compensate || !saga_doc_is_object(captured)))
		return saga_outbox_reject(resolved, INVALID,
								  "Captured must be an object, and belongs to the operation \"compensate\"");
	if (*compensate && resolved->destination->compensation == NULL)
		return saga_outbox_reject(resolved, INVALID, "destination \"%s\" has no setting \"compensate\"",
								  resolved->destination->name);
	if (*compensate && rest[0] != '\0')
		return saga_outbox_reject(resolved, INVALID,
								  "ApiEndpoint must be the destination alone for the operation \"compensate\"");
	return true;
}

bool
saga_request_check_http(const SagaOutboxEntry *entry, SagaResolved *resolved, const char *rest)
{
	JsonbContainer *input = &entry->request->root;
	bool		publish = entry->op == SAGA_OUTBOX_PUBLISH;
	MemberState state = {resolved, resolved->destination, NULL, true};
	JsonbParseState *parse = NULL;
	JsonbValue *headers = saga_doc_get(input, "Headers");
	JsonbValue *body = saga_doc_get(input, publish ? "Payload" : "RequestBody");
	char	   *method = NULL;
	char	   *path = "";
	const char *form = NULL;
	bool		compensate = false;

	if (publish ? !saga_request_check_publish(resolved, INVALID, input) :
		!saga_request_check_members(resolved, INVALID, input, http_members, "a member of an http:invoke request"))
		return false;
	if (!check_headers(&state, headers))
		return false;
	if (!publish && !check_operation(resolved, input, rest, &compensate))
		return false;
	if (!publish && !compensate)
	{
		method = saga_doc_get_string(input, "Method");
		if (method == NULL)
			method = resolved->destination->request.method;
		if (!check_method(resolved, method))
			return false;
		if (!build_path(resolved, &state, input, rest, &path) ||
			!read_transform(resolved, input, &form))
			return false;
	}
	else if (publish && body == NULL)
		return saga_outbox_reject(resolved, INVALID, "Payload is missing");

	pushJsonbValue(&parse, WJB_BEGIN_OBJECT, NULL);
	if (method != NULL)
		saga_doc_push_string(&parse, "Method", method);
	if (path[0] != '\0')
		saga_doc_push_string(&parse, "Path", path);
	if (headers != NULL && headers->type != jbvNull)
		saga_doc_push_value(&parse, "Headers", headers);
	if (body != NULL)
		saga_doc_push_value(&parse, "Body", body);
	if (form != NULL)
		saga_doc_push_string(&parse, "Form", form);
	if (compensate)
		saga_doc_push_int(&parse, "Compensate", 1);
	if (compensate && saga_doc_get(input, "Captured") != NULL)
		saga_doc_push_value(&parse, "Captured", saga_doc_get(input, "Captured"));
	resolved->compensate = compensate;
	resolved->request = JsonbValueToJsonb(pushJsonbValue(&parse, WJB_END_OBJECT, NULL));
	return check_built(resolved);
}
