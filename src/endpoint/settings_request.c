/*
 * settings_request.c
 *		Settings of one request of an http destination: where, what, and the
 *		key that makes its repetition harmless.
 *
 * The tables here are used for the main request and for those of look-up,
 * poll and compensation.  What depends on other settings (the origin of a URL
 * that begins with "/", defaults of times) comes in
 * saga_settings_finish_request.
 */
#include "postgres.h"

#include "endpoint/condition_private.h"
#include "endpoint/expression_private.h"
#include "endpoint/regex_private.h"
#include "endpoint/request.h"
#include "endpoint/settings_private.h"
#include "net/header.h"
#include "net/secret.h"
#include "value/doc.h"

/* ---------- urls ---------- */

void
saga_settings_url(SagaSettingsState *state, const char *path, const char *text, bool templates,
				  SagaUrl *url)
{
	const SagaUrl *base = &state->destination->request.url;
	const char *error;

	/* a look-up's "/v1/invoices?number={number}" is at the same server */
	if (text[0] == '/' && base->host != NULL)
		text = psprintf("%s://%s:%d%s", base->https ? "https" : "http", base->host, base->port, text);
	error = saga_url_parse(text, templates ? saga_endpoint_template_check : NULL, url);
	if (error != NULL)
		saga_settings_fault(state, path, error);
}

/* ---------- headers ---------- */

typedef struct HeadersState
{
	SagaSettingsState *state;
	SagaRequestSpec *spec;
	const char *path;
} HeadersState;

/*
 * A value is checked as it is written; once filled in it is checked again for
 * each message.  Headers that carry credentials by their name must hold a
 * reference to a secret.
 */
static void
parse_header(const char *name, JsonbValue *value, void *arg)
{
	HeadersState *headers = arg;
	SagaRequestSpec *spec = headers->spec;
	char	   *path = saga_settings_path(headers->path, name);
	bool		secret = false;
	const char *error;
	char	   *text;

	if (value->type != jbvString)
	{
		saga_settings_fault(headers->state, path, "must be a string");
		return;
	}
	text = saga_doc_text(value);
	error = saga_header_check_name(name);
	if (error == NULL)
		error = saga_header_check_value(text);
	if (error == NULL)
		saga_settings_secrets(headers->state, path, text, &secret);
	if (error == NULL)
		error = saga_endpoint_template_check(text);
	if (error == NULL && saga_header_is_secret(name) && !secret)
		error = "must not be a literal secret; write {secret:NAME}, {secret:file:/path} or {secret:env:NAME} in place of it";
	if (error != NULL)
	{
		saga_settings_fault(headers->state, path, error);
		return;
	}
	spec->headers[spec->nheaders].name = pstrdup(name);
	spec->headers[spec->nheaders].value = text;
	spec->nheaders++;
}

/* By name, without regard to case; the elements are pointers to headers. */
static int
compare_headers(const void *a, const void *b)
{
	return pg_strcasecmp((*(const SagaHeader *const *) a)->name, (*(const SagaHeader *const *) b)->name);
}

/* Names that differ in case only: a jsonb has both. */
static void
find_twins(HeadersState *headers)
{
	SagaRequestSpec *spec = headers->spec;
	const SagaHeader **sorted = palloc((spec->nheaders + 1) * sizeof(SagaHeader *));

	for (int i = 0; i < spec->nheaders; i++)
		sorted[i] = &spec->headers[i];
	qsort(sorted, spec->nheaders, sizeof(SagaHeader *), compare_headers);
	for (int i = 1; i < spec->nheaders; i++)
		if (compare_headers(&sorted[i - 1], &sorted[i]) == 0)
			saga_settings_fault(headers->state, saga_settings_path(headers->path, Max(sorted[i - 1], sorted[i])->name),
								"is there twice");
	pfree(sorted);
}

void
saga_settings_headers(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	HeadersState headers = {state, field, path};
	SagaRequestSpec *spec = field;
	Size		size;

	if (!saga_doc_is_object(value))
	{
		saga_settings_fault(state, path, "must be an object");
		return;
	}
	size = mul_size(spec->nheaders + JsonContainerSize(value->val.binary.data) + 1, sizeof(SagaHeader));
	/* headers may come at the top and in the section */
	spec->headers = spec->headers == NULL ? palloc0(size) : repalloc(spec->headers, size);
	saga_doc_each(value->val.binary.data, parse_header, &headers);
	find_twins(&headers);
	if (spec->nheaders > SAGA_MAX_SENT_HEADERS)
		saga_settings_refuse(state, path, psprintf("has more than %d headers", SAGA_MAX_SENT_HEADERS));
}

/* ---------- the body ---------- */

/* {"expr": "..."} */
static void
parse_expression(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	SagaRequestSpec *spec = field;
	char	   *error;

	if (value->type != jbvString)
	{
		saga_settings_fault(state, path, "must be a string");
		return;
	}
	spec->expression = saga_endpoint_expression_compile(saga_doc_text(value), &error);
	spec->source = SAGA_BODY_EXPRESSION;
	if (spec->expression == NULL)
		saga_settings_fault(state, path, psprintf("is no expression: %s", error));
}

/*
 * {"template": ...}, any JSON; the fault's path is that of the string inside.
 */
static void
parse_template(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	SagaRequestSpec *spec = field;
	char	   *fault_path;
	const char *error;

	spec->template = JsonbValueToJsonb(value);
	spec->source = SAGA_BODY_TEMPLATE;
	error = saga_endpoint_json_template_check(spec->template, path, &fault_path);
	if (error != NULL)
		saga_settings_fault(state, fault_path, error);
}

static const SagaSetting body_settings[] = {
	{"expr", 0, SAGA_SETTING_OTHER, 0, 0, 0, 0, parse_expression},
	{"template", 0, SAGA_SETTING_OTHER, 0, 0, 0, 0, parse_template},
};

/* "message", "none", or an object with one member that names the kind. */
static void
parse_body(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	SagaRequestSpec *spec = field;
	char	   *text = value->type == jbvString ? saga_doc_text(value) : NULL;

	if (text != NULL && strcmp(text, "none") == 0)
		spec->source = SAGA_BODY_NONE;
	else if (text != NULL && strcmp(text, "message") == 0)
		spec->source = SAGA_BODY_MESSAGE;
	else if (!saga_doc_is_object(value) || JsonContainerSize(value->val.binary.data) != 1)
		saga_settings_fault(state, path,
							"must be \"message\", \"none\", {\"expr\": ...} or {\"template\": ...}");
	else
		saga_settings_object(state, path, value, body_settings, lengthof(body_settings), spec,
							 "is not a kind of body; write \"expr\" or \"template\"");
}

/*
 * What Content-Type says of the body is not set here but by body.c; this
 * chooses its form.
 */
static void
parse_content_type(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	SagaRequestSpec *spec = field;
	char	   *text = value->type == jbvString ? saga_doc_text(value) : NULL;

	/* "form_arrays" comes first in a jsonb */
	if (text != NULL && strcmp(text, "form") == 0)
		spec->form = spec->form != NULL ? spec->form : saga_form_format("INDICES");
	else if (text == NULL || strcmp(text, "json") != 0)
		saga_settings_fault(state, path, "must be \"json\" or \"form\"");
	else if (spec->form != NULL)
		saga_settings_fault(state, path, "must be \"form\" for \"form_arrays\"");
}

/* Asks for a form by itself. */
static void
parse_form_arrays(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	SagaRequestSpec *spec = field;

	spec->form = value->type == jbvString ? saga_form_format(saga_doc_text(value)) : NULL;
	if (spec->form == NULL)
		saga_settings_fault(state, path, "must be INDICES, REPEAT, COMMAS, BRACKETS or NONE");
}

#define SPEC(f)	offsetof(SagaRequestSpec, f)

static const SagaSetting request_settings[] = {
	{"method", 0, SAGA_SETTING_STRING, SPEC(method)},
	{"url", 0, SAGA_SETTING_STRING, SPEC(url_text)},
	{"headers", 0, SAGA_SETTING_OTHER, 0, 0, 0, 0, saga_settings_headers},
	{"content_type", 0, SAGA_SETTING_OTHER, 0, 0, 0, 0, parse_content_type},
	{"form_arrays", 0, SAGA_SETTING_OTHER, 0, 0, 0, 0, parse_form_arrays},
	{"body", 0, SAGA_SETTING_OTHER, 0, 0, 0, 0, parse_body},
	{"timeout_ms", 0, SAGA_SETTING_INTEGER, SPEC(timeout_ms), 1, 900000},
	{"connect_timeout_ms", 0, SAGA_SETTING_INTEGER, SPEC(connect_timeout_ms), 1, 300000},
	{"max_response_bytes", 0, SAGA_SETTING_INTEGER, SPEC(max_response_bytes), 1, 67108864},
};


void
saga_settings_request(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	saga_settings_object(state, path, value, request_settings, lengthof(request_settings), field,
						 "is not a setting of requests");
}

/* The same members, beside those of a section of its own (a look-up, a poll ...). */
const SagaSetting *
saga_settings_request_table(int *n)
{
	*n = lengthof(request_settings);
	return request_settings;
}

/* The main request's url and method may stand at the top or in the section. */
static char *
main_path(SagaSettingsState *state, const char *member)
{
	JsonbValue *section = saga_doc_get(state->settings, "request");
	bool		inside = section != NULL && saga_doc_is_object(section) &&
	saga_doc_get(section->val.binary.data, member) != NULL;

	return saga_settings_path(inside ? "$.request" : "$", member);
}

void
saga_settings_finish_request(SagaSettingsState *state, const char *path, SagaRequestSpec *spec,
							 const char *default_method)
{
	static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
	const SagaDestination *destination = state->destination;
	bool		main = spec == &destination->request;
	char	   *url_path = main ? main_path(state, "url") : saga_settings_path(path, "url");
	int			i;

	if (spec->url_text == NULL)
	{
		saga_settings_fault(state, url_path, "is missing");
		return;
	}
	saga_settings_url(state, url_path, spec->url_text, true, &spec->url);
	if (spec->method == NULL)
		spec->method = pstrdup(default_method);
	for (i = 0; i < lengthof(methods); i++)
	{
		if (strcmp(spec->method, methods[i]) == 0)
			break;
	}
	if (i == lengthof(methods))
		saga_settings_fault(state, main ? main_path(state, "method") : saga_settings_path(path, "method"),
							"must be GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS");
	if (spec->timeout_ms == 0)
		spec->timeout_ms = destination->timeout_ms;
	if (spec->connect_timeout_ms == 0)
		spec->connect_timeout_ms = destination->connect_timeout_ms;
	if (spec->max_response_bytes == 0)
		spec->max_response_bytes = destination->max_response_bytes;
}

/* ---------- the key ---------- */

#define KEY(f)	offsetof(SagaIdempotency, f)

/* The field is a SagaKeyPlace. */
static void
parse_place(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	static const char *const places[] = {"none", "header", "query", "body"};
	char	   *text = value->type == jbvString ? saga_doc_text(value) : NULL;
	int			i;

	for (i = 0; i < lengthof(places); i++)
	{
		if (text != NULL && strcmp(text, places[i]) == 0)
		{
			*(SagaKeyPlace *) field = (SagaKeyPlace) i;
			return;
		}
	}
	saga_settings_fault(state, path, "must be \"header\", \"query\", \"body\" or \"none\"");
}

/* The field is a bool: 32 hexadecimal digits. */
static void
parse_format(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	char	   *text = value->type == jbvString ? saga_doc_text(value) : NULL;

	if (text != NULL && (strcmp(text, "hex32") == 0 || strcmp(text, "hex") == 0))
		*(bool *) field = true;
	else if (text == NULL || strcmp(text, "uuid") != 0)
		saga_settings_fault(state, path, "must be \"uuid\" or \"hex32\"");
}

static const SagaSetting idempotency_settings[] = {
	{"in", 0, SAGA_SETTING_OTHER, KEY(place), 0, 0, 0, parse_place},
	{"name", 0, SAGA_SETTING_STRING, KEY(name)},
	{"format", 0, SAGA_SETTING_OTHER, KEY(hex), 0, 0, 0, parse_format},
	{"prefix", 0, SAGA_SETTING_STRING, KEY(prefix)},
	{"max_len", 0, SAGA_SETTING_INTEGER, KEY(max_len), 16, 1024, 255},
	{"ttl_s", 0, SAGA_SETTING_INTEGER, KEY(ttl_s), 0, 315360000, 0},
	{"replay_header", 0, SAGA_SETTING_STRING, KEY(replay_header)},
};

/* Shorter ones would not be told apart. */
#define SAGA_KEY_MIN_RANDOM 16

void
saga_settings_idempotency(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	SagaIdempotency *key = field;
	const char *error = NULL;
	int			prefix;

	saga_settings_defaults(idempotency_settings, lengthof(idempotency_settings), key);
	saga_settings_object(state, path, value, idempotency_settings, lengthof(idempotency_settings), key,
						 "is not a setting of idempotency");
	prefix = key->prefix ? strlen(key->prefix) : 0;
	if (key->prefix != NULL &&
		strspn(key->prefix, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") != (size_t) prefix)
		saga_settings_fault(state, saga_settings_path(path, "prefix"),
							"must have letters, digits, \"_\", \"-\" and \".\" only");
	/* cut shorter, two keys could be the same */
	if (key->max_len - prefix < SAGA_KEY_MIN_RANDOM)
		saga_settings_fault(state, saga_settings_path(path, "max_len"), "leaves no room for a key behind the prefix");
	/* a shorter limit than a uuid takes the digits alone, as many as fit */
	if (key->max_len - prefix < 36)
		key->hex = true;
	if (key->replay_header != NULL && key->replay_header[0] != '\0')
	{
		const char *wrong = saga_header_check_name(key->replay_header);

		if (wrong != NULL)
			saga_settings_fault(state, saga_settings_path(path, "replay_header"), wrong);
	}
	if (key->place == SAGA_KEY_NONE)
		return;
	if (key->name == NULL && key->place != SAGA_KEY_HEADER)
		error = "is missing";
	else if (key->name != NULL && key->place == SAGA_KEY_HEADER)
		error = saga_header_check_name(key->name);
	else if (key->name != NULL && key->name[0] == '\0')
		error = "must not be empty";
	if (error != NULL)
		saga_settings_fault(state, saga_settings_path(path, "name"), error);
}

/* ---------- Retry-After ---------- */

/*
 * The expression whose first group has the seconds.  One that only an earlier
 * version took is refused when it is made, and left out where it is stored
 * already.
 */
static void
parse_regex(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	SagaJsonataRegex *regex;
	const char *error;

	if (value->type != jbvString)
	{
		saga_settings_fault(state, path, "must be a string");
		return;
	}
	regex = saga_endpoint_regex_compile(value->val.string.val, value->val.string.len, &error);
	if (regex == NULL)
		saga_settings_refuse(state, path, error);
	else if (saga_jsonata_regex_ngroups(regex) < 1)
		saga_settings_fault(state, path, "must have a group for the seconds, as in \"in ([0-9]+) seconds\"");
	else
		*(SagaJsonataRegex **) field = regex;
}

/* The header that says when to come again. */
static void
parse_header_name(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	char	   *text = value->type == jbvString ? saga_doc_text(value) : NULL;
	const char *error = text != NULL ? saga_header_check_name(text) : "must be a string";

	if (error != NULL)
		saga_settings_fault(state, path, error);
	*(char **) field = text;
}

static const SagaSetting retry_after_settings[] = {
	{"header", 0, SAGA_SETTING_OTHER, offsetof(SagaRetryAfter, header), 0, 0, 0, parse_header_name},
	{"body_regex", 0, SAGA_SETTING_OTHER, offsetof(SagaRetryAfter, body_regex), 0, 0, 0, parse_regex},
	{"default_s", 0, SAGA_SETTING_INTEGER, offsetof(SagaRetryAfter, default_s), 0, 604800, 0},
	{"max_s", 0, SAGA_SETTING_INTEGER, offsetof(SagaRetryAfter, max_s), 0, 604800, 86400},
};

void
saga_settings_retry_after(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	saga_settings_object(state, path, value, retry_after_settings, lengthof(retry_after_settings), field,
						 "is not a setting of retry_after");
}
