/*
 * body.c
 *		HTTP requests as bytes: the URL and the body of a message.
 *
 * The parts of a request that need only settings and message: URL, headers'
 * fitness, body.  They are made when a message is accepted, to see whether
 * they can be, and by compose.c when it is sent.  Each function returns NULL
 * or false and a message in *error when the message lacks what the settings
 * ask for.  Texts are in the database's encoding here; compose.c converts the
 * body.
 */
#include "postgres.h"

#include "endpoint/condition_private.h"
#include "endpoint/expression_private.h"
#include "endpoint/request.h"
#include "miscadmin.h"
#include "net/header.h"
#include "net/url.h"
#include "utils/builtins.h"
#include "value/doc.h"

/* How a list is written in a form; names as in AWS's RequestEncodingOptions. */
static const char *const array_formats[] = {"INDICES", "REPEAT", "COMMAS", "BRACKETS", "NONE"};

const char *
saga_form_format(const char *name)
{
	int			i;

	for (i = 0; i < lengthof(array_formats); i++)
	{
		if (strcmp(name, array_formats[i]) == 0)
			return array_formats[i];
	}
	return NULL;
}

void
saga_endpoint_append_query(StringInfo query, const char *name, const char *value)
{
	if (query->len > 0)
		appendStringInfoChar(query, '&');
	saga_url_encode(query, name, strlen(name));
	appendStringInfoChar(query, '=');
	saga_url_encode(query, value, strlen(value));
}

/*
 * What templates and expressions see: the message, and what was captured.  A
 * message that is no object has no names, but is "$" itself.
 */
Jsonb *
saga_endpoint_request_message(Jsonb *request, Jsonb *captured)
{
	JsonbValue *body = saga_doc_get(&request->root, "Body");
	JsonbValue *given = saga_doc_get(&request->root, "Captured");
	Jsonb	   *values = captured;

	if (given != NULL && saga_doc_is_object(given))
		values = saga_doc_merge(JsonbValueToJsonb(given), captured);
	if (body != NULL && !saga_doc_is_object(body) && values == NULL)
		return JsonbValueToJsonb(body);
	return saga_doc_merge(body != NULL && saga_doc_is_object(body) ? JsonbValueToJsonb(body) : NULL, values);
}

/*
 * The message of a reference in the URL that leads nowhere, or to what cannot
 * be a part of a URL.
 */
static char *
missing_value(const char *name)
{
	return psprintf("the url needs {%s}, and the message has no usable value for it", name);
}

char *
saga_endpoint_request_url(const SagaRequestSpec *spec, Jsonb *request, Jsonb *message, char **error)
{
	char	   *path = request != NULL ? saga_doc_get_string(&request->root, "Path") : NULL;
	const SagaUrl *url = &spec->url;
	StringInfoData out;
	char	   *missing;

	initStringInfo(&out);
	appendStringInfo(&out, "%s://%s:%d", url->https ? "https" : "http", url->host, url->port);
	if (!saga_endpoint_template_fill(&out, url->path, message, true, SAGA_MAX_URL_TEXT, &missing))
	{
		*error = missing_value(missing);
		return NULL;
	}
	/* "/base/" and "/x" meet in one slash */
	if (path != NULL && path[0] == '/' && out.len > 0 && out.data[out.len - 1] == '/')
		path++;
	else if (url->path[0] == '\0' && (path == NULL || path[0] != '/'))
		appendStringInfoChar(&out, '/');
	if (url->query != NULL)
	{
		appendStringInfoChar(&out, '?');
		if (!saga_endpoint_template_fill(&out, url->query, message, true, SAGA_MAX_URL_TEXT, &missing))
		{
			*error = missing_value(missing);
			return NULL;
		}
	}
	if (path != NULL)
		appendStringInfoString(&out, path);
	return out.data;
}

char *
saga_endpoint_request_headers_fault(const SagaRequestSpec *spec, Jsonb *message)
{
	int			i;

	for (i = 0; i < spec->nheaders; i++)
	{
		StringInfoData value;
		const char *wrong;
		char	   *missing;

		initStringInfo(&value);
		if (!saga_endpoint_template_fill(&value, spec->headers[i].value, message, false, SAGA_MAX_HEADER_TEXT, &missing))
			return psprintf("header \"%s\" needs {%s}, and the message has no usable value for it",
							spec->headers[i].name, missing);
		wrong = saga_header_check_value(value.data);
		if (wrong != NULL)
			return psprintf("header \"%s\" %s", spec->headers[i].name, wrong);
	}
	return NULL;
}

/* What is appended to it later stays in that context, too. */
static void
init_string_in(StringInfo out, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);

	initStringInfo(out);
	MemoryContextSwitchTo(old);
}

/* ---------- forms ---------- */

typedef struct FormState
{
	StringInfo	out;
	const char *prefix;			/* NULL at the top */
	const char *array_format;
	bool	   *too_large;		/* then the rest is left out */
} FormState;

/* Names are as long as the message is deep. */
#define SAGA_MAX_FORM_NAME	8192
#define SAGA_MAX_FORM		(64 * 1024 * 1024)

static void append_form_value(FormState *form, const char *name, JsonbValue *value);

/* Members of an inner object are written as outer[inner]. */
static void
append_form_member(const char *name, JsonbValue *value, void *arg)
{
	FormState  *form = arg;

	append_form_value(form, form->prefix ? psprintf("%s[%s]", form->prefix, name) : name, value);
}

/*
 * A list as the format says: name[0]=, name=, a,b or name[]=. With COMMAS
 * inner objects and lists are written as JSON.
 */
static void
append_form_array(FormState *form, const char *name, JsonbContainer *array)
{
	uint32		i;
	StringInfoData joined;

	initStringInfo(&joined);
	for (i = 0; i < JsonContainerSize(array) && !*form->too_large; i++)
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
		saga_endpoint_append_query(form->out, name, joined.data);
}

/*
 * One value under its full name; of an object or a list, each of its members.
 * The size is looked at before each, since names grow with the depth of the
 * message.
 */
static void
append_form_value(FormState *form, const char *name, JsonbValue *value)
{
	FormState	inner = *form;
	char	   *text;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (form->out->len > SAGA_MAX_FORM || strlen(name) > SAGA_MAX_FORM_NAME)
		*form->too_large = true;
	if (*form->too_large)
		return;
	text = saga_doc_text(value);
	if (text != NULL)
		saga_endpoint_append_query(form->out, name, text);
	else if (saga_doc_is_object(value))
	{
		inner.prefix = name;
		saga_doc_each(value->val.binary.data, append_form_member, &inner);
	}
	else if (saga_doc_is_array(value))
	{
		if (strcmp(form->array_format, "NONE") == 0)
			saga_endpoint_append_query(form->out, name, saga_doc_json(value));
		else
			append_form_array(form, name, value->val.binary.data);
	}
	else
		saga_endpoint_append_query(form->out, name, "");	/* null */
}

/*
 * The members of an object as a form; NULL and *error when it gets too large.
 */
static char *
encode_form(const JsonbValue *body, const char *array_format, MemoryContext context, char **error)
{
	bool		too_large = false;
	StringInfoData out;
	FormState	form = {&out, NULL, array_format, &too_large};

	init_string_in(&out, context);
	saga_doc_each(body->val.binary.data, append_form_member, &form);
	if (!too_large)
		return out.data;
	*error = pstrdup("the form gets too large");
	pfree(out.data);
	return NULL;
}

/* ---------- bodies ---------- */

/* The object with one member set; "a.b" is a member of the object that is there at a. */
static Jsonb *
put_member(Jsonb *object, const char *name, const char *text, char **error)
{
	const char *dot = strchr(name, '.');
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (dot == NULL)
		saga_doc_push_string(&state, name, text);
	else
	{
		char	   *part = pnstrdup(name, dot - name);
		JsonbValue *inner = saga_doc_get(&object->root, part);
		Jsonb	   *object_at;

		if (inner == NULL || !saga_doc_is_object(inner))
		{
			*error = psprintf("the body has no object \"%s\" that the key belongs into", part);
			return NULL;
		}
		object_at = put_member(JsonbValueToJsonb(inner), dot + 1, text, error);
		if (object_at != NULL)
			saga_doc_push_jsonb(&state, part, object_at);
	}
	if (*error != NULL)
		return NULL;
	return saga_doc_merge(object, JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
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

/* What the request's settings make of the message; NULL: it is sent as it is, or there is none. */
static Jsonb *
map_message(const SagaRequestSpec *spec, Jsonb *message, char **error)
{
	Jsonb	   *result = NULL;
	char	   *fault = NULL;

	if (spec->source == SAGA_BODY_EXPRESSION)
	{
		if (!saga_endpoint_expression_eval(spec->expression, message, &result, &fault))
			*error = psprintf("the expression of the body: %s", fault);
		else if (result == NULL)
			*error = pstrdup("the expression of the body gives nothing");
	}
	else if (spec->source == SAGA_BODY_TEMPLATE && !saga_endpoint_json_template_fill(spec->template, message, &result, &fault))
		*error = fault == NULL ? pstrdup("the body gets too large") :
			psprintf("the body needs {%s}, and the message has no usable value for it", fault);
	return result;
}

/* The document as a value; a scalar one as that scalar. */
static JsonbValue *
value_of(Jsonb *doc)
{
	JsonbValue *value = palloc(sizeof(JsonbValue));

	if (!JsonbExtractScalar(&doc->root, value))
	{
		value->type = jbvBinary;
		value->val.binary.data = &doc->root;
		value->val.binary.len = VARSIZE(doc) - VARHDRSZ;
	}
	return value;
}

/*
 * A string is sent as it is when the request says that it is no JSON, or says
 * nothing in an http:invoke (only that has a Method); everything else as JSON.
 */
char *
saga_endpoint_request_body(const SagaRequestSpec *spec, Jsonb *request, Jsonb *message, const char *key_member,
						   const char *key, MemoryContext context, const char **content_type, char **error)
{
	JsonbValue *body = saga_doc_get(&request->root, "Body");
	char	   *array_format = saga_doc_get_string(&request->root, "Form");
	bool		as_it_is = spec->source == SAGA_BODY_MESSAGE;
	bool		named;
	bool		raw = wants_raw_text(request, &named);
	StringInfoData out;

	*content_type = "application/json";
	if (spec->source == SAGA_BODY_NONE)
		return NULL;
	if (!as_it_is)
	{
		Jsonb	   *mapped = map_message(spec, message, error);

		if (mapped == NULL)
			return NULL;
		body = value_of(mapped);
	}
	if (body == NULL)
		return NULL;
	if (key != NULL && key_member != NULL)
	{
		Jsonb	   *keyed = NULL;

		if (!saga_doc_is_object(body))
			*error = pstrdup("the body is no object that the key could be put into");
		else
		{
			Jsonb	   *object = JsonbValueToJsonb(body);

			keyed = put_member(object, key_member, key, error);
			pfree(object);		/* it may be long */
		}
		if (keyed == NULL)
			return NULL;
		body = value_of(keyed);
	}
	if (!saga_doc_can_be_written(body))
	{
		*error = pstrdup("the numbers of the body have too many digits, as in 1e100000");
		return NULL;
	}
	if (array_format == NULL)
		array_format = unconstify(char *, spec->form);
	if (array_format != NULL && saga_doc_is_object(body))
	{
		*content_type = "application/x-www-form-urlencoded";
		return encode_form(body, array_format, context, error);
	}
	init_string_in(&out, context);
	/* a string is the body itself here, and not a JSON text in quotes */
	if (as_it_is && body->type == jbvString &&
		(raw || (!named && saga_doc_get(&request->root, "Method") != NULL)))
	{
		*content_type = "text/plain; charset=utf-8";
		appendBinaryStringInfo(&out, body->val.string.val, body->val.string.len);
	}
	else
		saga_doc_append_json(&out, body);
	return out.data;
}
