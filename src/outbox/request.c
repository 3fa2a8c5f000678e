/*
 * request.c
 *		HTTP requests as a task gives them, as they are stored, and their body
 *		as bytes.
 */
#include "postgres.h"

#include "mapping/mapping.h"
#include "miscadmin.h"
#include "outbox/doc.h"
#include "outbox/request.h"
#include "utils/builtins.h"

/* How a list is written in a form; names as in AWS's RequestEncodingOptions. */
static const char *const array_formats[] = {"INDICES", "REPEAT", "COMMAS", "BRACKETS", "NONE"};

/* ---------- checks ---------- */

typedef struct MemberState
{
	SagaResolved *resolved;
	const SagaDestination *destination;
	StringInfo	query;
	bool		ok;
} MemberState;

static void
check_member(const char *name, JsonbValue *value, void *arg)
{
	static const char *const members[] = {
		"ApiEndpoint", "Method", "Headers", "QueryParameters", "RequestBody", "Authentication",
		"InvocationConfig", "Transform"
	};
	MemberState *state = arg;
	int			i;

	for (i = 0; i < lengthof(members); i++)
	{
		if (strcmp(members[i], name) == 0)
			return;
	}
	state->ok = saga_reject(state->resolved, "States.Runtime",
							"\"%s\" is not a member of an http:invoke request", name);
}

static void
check_publish_member(const char *name, JsonbValue *value, void *arg)
{
	MemberState *state = arg;

	if (strcmp(name, "Destination") != 0 && strcmp(name, "Payload") != 0 &&
		strcmp(name, "OrderingKey") != 0 && strcmp(name, "Headers") != 0)
		state->ok = saga_reject(state->resolved, "States.Runtime",
								"\"%s\" is not a member of a saga:publish request", name);
}

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
	/* what a task says is stored, and seen by all who may see the execution */
	if (error == NULL && saga_header_is_secret(name))
		error = "belongs into the settings of the destination, as a {secret:...} reference";
	if (error == NULL && pg_strcasecmp(name, state->destination->idempotency_header) == 0)
		error = "is set by the outbox";
	for (i = 0; error == NULL && i < state->destination->nheaders; i++)
	{
		if (pg_strcasecmp(name, state->destination->headers[i].name) == 0)
			error = "is set by the destination";
	}
	if (error != NULL)
		state->ok = saga_reject(state->resolved, "States.Runtime", "header \"%s\" %s", name, error);
}

static void
append_query(StringInfo query, const char *name, const char *value)
{
	if (query->len > 0)
		appendStringInfoChar(query, '&');
	saga_url_encode(query, name, strlen(name));
	appendStringInfoChar(query, '=');
	saga_url_encode(query, value, strlen(value));
}

static void
add_query_parameter(const char *name, JsonbValue *value, void *arg)
{
	MemberState *state = arg;
	char	   *text = saga_doc_text(value);

	if (text != NULL)
		append_query(state->query, name, text);
	else if (saga_doc_is_array(value))
	{
		JsonbContainer *array = value->val.binary.data;
		uint32		i;

		for (i = 0; i < JsonContainerSize(array); i++)
		{
			text = saga_doc_text(getIthJsonbValueFromContainer(array, i));
			if (text == NULL)
				break;
			append_query(state->query, name, text);
		}
		if (i == JsonContainerSize(array))
			return;
	}
	if (text == NULL)
		state->ok = saga_reject(state->resolved, "States.Runtime",
								"query parameter \"%s\" must be a string or an array of strings", name);
}

/* The path below the destination's URL, with the query parameters added. */
static bool
build_path(SagaResolved *resolved, MemberState *state, JsonbContainer *input, const char *rest,
		   char **path)
{
	JsonbValue *parameters = saga_doc_get(input, "QueryParameters");
	const char *error = saga_url_check_path(rest, false);
	StringInfoData query;

	if (error != NULL)
		return saga_reject(resolved, "States.Runtime", "ApiEndpoint %s", error);
	if (rest[0] != '\0' && resolved->destination->url.query != NULL)
		return saga_reject(resolved, "States.Runtime",
						   "the url of destination \"%s\" has a query, so nothing can be below it",
						   resolved->destination->name);
	*path = pstrdup(rest);
	if (parameters == NULL || parameters->type == jbvNull)
		return true;
	if (!saga_doc_is_object(parameters))
		return saga_reject(resolved, "States.Runtime", "QueryParameters must be an object");
	initStringInfo(&query);
	state->query = &query;
	saga_doc_each(parameters->val.binary.data, add_query_parameter, state);
	if (state->ok && query.len > 0)
	{
		bool		more = strchr(rest, '?') != NULL || resolved->destination->url.query != NULL;

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
	int			i;

	*form = NULL;
	if (transform == NULL || transform->type == jbvNull)
		return true;
	if (!saga_doc_is_object(transform))
		return saga_reject(resolved, "States.Runtime", "Transform must be an object");
	encoding = saga_doc_get_string(transform->val.binary.data, "RequestBodyEncoding");
	if (encoding == NULL || strcmp(encoding, "NONE") == 0)
		return true;
	if (strcmp(encoding, "URL_ENCODED") != 0)
		return saga_reject(resolved, "States.Runtime",
						   "RequestBodyEncoding must be NONE or URL_ENCODED");
	*form = array_formats[0];
	options = saga_doc_get(transform->val.binary.data, "RequestEncodingOptions");
	if (options == NULL || !saga_doc_is_object(options))
		return true;
	format = saga_doc_get_string(options->val.binary.data, "ArrayFormat");
	if (format == NULL)
		return true;
	for (i = 0; i < lengthof(array_formats); i++)
	{
		if (strcmp(format, array_formats[i]) == 0)
		{
			*form = array_formats[i];
			return true;
		}
	}
	return saga_reject(resolved, "States.Runtime",
					   "ArrayFormat must be INDICES, REPEAT, COMMAS, BRACKETS or NONE");
}

static bool
check_headers(MemberState *state, JsonbValue *headers)
{
	if (headers == NULL || headers->type == jbvNull)
		return true;
	if (!saga_doc_is_object(headers))
		return saga_reject(state->resolved, "States.Runtime", "Headers must be an object");
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
	return saga_reject(resolved, "States.Runtime",
					   "Method must be GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS");
}

/* Everything that could fail when it is sent fails now, while the task can be told. */
static bool
check_built(SagaResolved *resolved)
{
	char	   *missing;
	const char *content_type;
	char	   *body;

	if (saga_request_url(resolved->destination, resolved->request, &missing) == NULL)
		return saga_reject(resolved, "States.Runtime",
						   "the url of destination \"%s\" needs {%s}, and the message has no usable value for it",
						   resolved->destination->name, missing);
	body = saga_request_body(resolved->request, &content_type);
	if (body != NULL && strlen(body) > SAGA_HTTP_MAX_BYTES)
		return saga_reject(resolved, "States.DataLimitExceeded",
						   "the request's body has more than %d bytes", SAGA_HTTP_MAX_BYTES);
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

	saga_doc_each(input, publish ? check_publish_member : check_member, &state);
	if (!state.ok || !check_headers(&state, headers))
		return false;
	if (!publish)
	{
		method = saga_doc_get_string(input, "Method");
		if (method == NULL)
			method = resolved->destination->method;
		if (!check_method(resolved, method))
			return false;
		if (!build_path(resolved, &state, input, rest, &path) ||
			!read_transform(resolved, input, &form))
			return false;
	}
	else if (body == NULL)
		return saga_reject(resolved, "States.Runtime", "Payload is missing");

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
	resolved->request = JsonbValueToJsonb(pushJsonbValue(&parse, WJB_END_OBJECT, NULL));
	return check_built(resolved);
}

/* ---------- as bytes ---------- */

char *
saga_request_url(const SagaDestination *destination, Jsonb *request, char **missing)
{
	JsonbValue *body = saga_doc_get(&request->root, "Body");
	char	   *path = saga_doc_get_string(&request->root, "Path");
	const SagaUrl *url = &destination->url;
	Jsonb	   *message = url->templates && body != NULL ? JsonbValueToJsonb(body) : NULL;
	StringInfoData out;

	*missing = NULL;
	initStringInfo(&out);
	appendStringInfo(&out, "%s://%s:%d", url->https ? "https" : "http", url->host, url->port);
	if (!saga_template_fill(&out, url->path, message, true, missing))
		return NULL;
	/* "/base/" and "/x" meet in one slash */
	if (path != NULL && path[0] == '/' && out.len > 0 && out.data[out.len - 1] == '/')
		path++;
	else if (url->path[0] == '\0' && (path == NULL || path[0] != '/'))
		appendStringInfoChar(&out, '/');
	if (url->query != NULL)
	{
		appendStringInfoChar(&out, '?');
		if (!saga_template_fill(&out, url->query, message, true, missing))
			return NULL;
	}
	if (path != NULL)
		appendStringInfoString(&out, path);
	return out.data;
}

typedef struct FormState
{
	StringInfo	out;
	const char *prefix;			/* NULL at the top */
	const char *array_format;
} FormState;

static void append_form_value(FormState *form, const char *name, JsonbValue *value);

static void
append_form_member(const char *name, JsonbValue *value, void *arg)
{
	FormState  *form = arg;

	append_form_value(form, form->prefix ? psprintf("%s[%s]", form->prefix, name) : name, value);
}

static void
append_form_array(FormState *form, const char *name, JsonbContainer *array)
{
	uint32		i;
	StringInfoData joined;

	initStringInfo(&joined);
	for (i = 0; i < JsonContainerSize(array); i++)
	{
		JsonbValue *item = getIthJsonbValueFromContainer(array, i);
		char	   *text = saga_doc_text(item);

		if (strcmp(form->array_format, "COMMAS") == 0)
			appendStringInfo(&joined, "%s%s", i > 0 ? "," : "", text ? text : saga_doc_json(item));
		else if (strcmp(form->array_format, "REPEAT") == 0)
			append_form_value(form, name, item);
		else if (strcmp(form->array_format, "BRACKETS") == 0)
			append_form_value(form, psprintf("%s[]", name), item);
		else
			append_form_value(form, psprintf("%s[%u]", name, i), item);
	}
	if (joined.len > 0)
		append_query(form->out, name, joined.data);
}

static void
append_form_value(FormState *form, const char *name, JsonbValue *value)
{
	FormState	inner = *form;
	char	   *text = saga_doc_text(value);

	check_stack_depth();
	if (text != NULL)
		append_query(form->out, name, text);
	else if (saga_doc_is_object(value))
	{
		inner.prefix = name;
		saga_doc_each(value->val.binary.data, append_form_member, &inner);
	}
	else if (saga_doc_is_array(value))
	{
		if (strcmp(form->array_format, "NONE") == 0)
			append_query(form->out, name, saga_doc_json(value));
		else
			append_form_array(form, name, value->val.binary.data);
	}
	else
		append_query(form->out, name, "");	/* null */
}

/* Does the request name a type of its own that is no JSON? */
static bool
wants_raw_text(Jsonb *request, bool *named)
{
	JsonbValue *headers = saga_doc_get(&request->root, "Headers");
	JsonbIterator *it;
	JsonbValue	item;
	JsonbIteratorToken token;
	bool		raw = false;

	*named = false;
	if (headers == NULL || !saga_doc_is_object(headers))
		return false;
	it = JsonbIteratorInit(headers->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		if (token != WJB_KEY || item.val.string.len != 12 ||
			pg_strncasecmp(item.val.string.val, "Content-Type", 12) != 0)
			continue;
		(void) JsonbIteratorNext(&it, &item, true);
		*named = true;
		raw = strstr(saga_doc_text(&item), "json") == NULL;
	}
	return raw;
}

/*
 * A string is sent as it is when the request says that it is no JSON, or says
 * nothing in an http:invoke (only that has a Method); everything else as JSON.
 */
char *
saga_request_body(Jsonb *request, const char **content_type)
{
	JsonbValue *body = saga_doc_get(&request->root, "Body");
	char	   *array_format = saga_doc_get_string(&request->root, "Form");
	bool		named;
	bool		raw = wants_raw_text(request, &named);

	*content_type = "application/json";
	if (body == NULL)
		return NULL;
	if (array_format != NULL && saga_doc_is_object(body))
	{
		StringInfoData out;
		FormState	form = {&out, NULL, array_format};

		initStringInfo(&out);
		saga_doc_each(body->val.binary.data, append_form_member, &form);
		*content_type = "application/x-www-form-urlencoded";
		return out.data;
	}
	if (body->type == jbvString &&
		(raw || (!named && saga_doc_get(&request->root, "Method") != NULL)))
	{
		*content_type = "text/plain; charset=utf-8";
		return saga_doc_text(body);
	}
	return saga_doc_json(body);
}
