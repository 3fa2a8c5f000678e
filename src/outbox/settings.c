/*
 * settings.c
 *		Settings of destinations: one jsonb object, checked member by member.
 *
 * Every fault is reported with its JSON path.  Nothing here raises for what
 * settings can hold: create and alter raise with the fault, the cache only
 * warns, so that one wrong row does not stop the others.
 */
#include "postgres.h"

#include <math.h>

#include "outbox/destination.h"
#include "outbox/doc.h"
#include "outbox/secret.h"
#include "utils/builtins.h"

#define FOR_HTTP	1
#define FOR_SNS		2
#define FOR_ALL		(FOR_HTTP | FOR_SNS)

typedef struct SettingsState
{
	SagaDestination *destination;
	char	   *path;			/* of the fault */
	const char *message;		/* NULL: no fault yet */
} SettingsState;

typedef void (*parse_fn) (SettingsState *state, const char *path, JsonbValue *value);

static void parse_headers(SettingsState *state, const char *path, JsonbValue *value);
static void parse_allow_private(SettingsState *state, const char *path, JsonbValue *value);
static void parse_credentials(SettingsState *state, const char *path, JsonbValue *value);
static void parse_jitter(SettingsState *state, const char *path, JsonbValue *value);

typedef enum SettingType
{
	SETTING_STRING,
	SETTING_INTEGER,
	SETTING_NUMBER,
	SETTING_OTHER
} SettingType;

typedef struct Setting
{
	const char *name;
	int			kinds;
	SettingType type;
	size_t		offset;
	double		min;
	double		max;
	double		initial;
	parse_fn	parse;
} Setting;

#define FIELD(f)	offsetof(SagaDestination, f)

static const Setting settings_table[] = {
	{"timeout_ms", FOR_ALL, SETTING_INTEGER, FIELD(timeout_ms), 1, 900000, 30000},
	{"connect_timeout_ms", FOR_ALL, SETTING_INTEGER, FIELD(connect_timeout_ms), 1, 300000, 5000},
	{"max_attempts", FOR_ALL, SETTING_INTEGER, FIELD(max_attempts), 1, 10000, 10},
	{"base_ms", FOR_ALL, SETTING_INTEGER, FIELD(base_ms), 1, 86400000, 500},
	{"factor", FOR_ALL, SETTING_NUMBER, FIELD(factor), 1, 100, 2},
	{"cap_ms", FOR_ALL, SETTING_INTEGER, FIELD(cap_ms), 1, 86400000, 60000},
	{"jitter", FOR_ALL, SETTING_OTHER, 0, 0, 0, 0, parse_jitter},
	{"retry_after_cap_ms", FOR_ALL, SETTING_INTEGER, FIELD(retry_after_cap_ms), 0, 604800000, 86400000},
	{"max_response_bytes", FOR_ALL, SETTING_INTEGER, FIELD(max_response_bytes), 1, 67108864, 1048576},
	{"concurrency", FOR_ALL, SETTING_INTEGER, FIELD(concurrency), 1, 128, 10},
	{"allow_private", FOR_ALL, SETTING_OTHER, 0, 0, 0, 0, parse_allow_private},
	{"ca_file", FOR_ALL, SETTING_STRING, FIELD(ca_file)},
	{"url", FOR_HTTP, SETTING_STRING, FIELD(url_text)},
	{"method", FOR_HTTP, SETTING_STRING, FIELD(method)},
	{"headers", FOR_HTTP, SETTING_OTHER, 0, 0, 0, 0, parse_headers},
	{"idempotency_header", FOR_HTTP, SETTING_STRING, FIELD(idempotency_header)},
	{"topic_arn", FOR_SNS, SETTING_STRING, FIELD(topic_arn)},
	{"endpoint_url", FOR_SNS, SETTING_STRING, FIELD(endpoint_url)},
	{"region", FOR_SNS, SETTING_STRING, FIELD(region)},
	{"credentials", FOR_SNS, SETTING_OTHER, 0, 0, 0, 0, parse_credentials},
	{"batch", FOR_SNS, SETTING_INTEGER, FIELD(batch), 1, 10, 10},
};

static void
fault(SettingsState *state, const char *path, const char *message)
{
	if (state->message == NULL)
	{
		state->path = pstrdup(path);
		state->message = message;
	}
}

/* Names that are no plain words are shown as $.headers["a b"]. */
static char *
member_path(const char *parent, const char *name)
{
	const char *p;

	for (p = name; *p; p++)
	{
		if (!isalnum((unsigned char) *p) && *p != '_')
			return psprintf("%s[\"%s\"]", parent, name);
	}
	return psprintf("%s.%s", parent, name);
}

/* ---------- headers ---------- */

bool
saga_header_is_secret(const char *name)
{
	static const char *const secret[] = {
		"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "apikey",
		"x-auth-token", "x-access-token", "x-amz-security-token", "x-functions-key",
		"ocp-apim-subscription-key", "private-token", "x-csrf-token"
	};
	int			i;

	for (i = 0; i < lengthof(secret); i++)
	{
		if (pg_strcasecmp(name, secret[i]) == 0)
			return true;
	}
	return false;
}

const char *
saga_header_check_name(const char *name)
{
	/* what the publisher sets itself, or what would change the framing */
	static const char *const own[] = {
		"host", "content-length", "transfer-encoding", "connection", "expect", "upgrade", "te",
		"trailer", "keep-alive", "proxy-connection"
	};
	const char *p;
	int			i;

	if (name[0] == '\0' || strlen(name) > 128)
		return "is not the name of a header";
	for (p = name; *p; p++)
	{
		if (!isalnum((unsigned char) *p) && strchr("!#$%&'*+-.^_`|~", *p) == NULL)
			return "is not the name of a header";
	}
	for (i = 0; i < lengthof(own); i++)
	{
		if (pg_strcasecmp(name, own[i]) == 0)
			return "is a header that cannot be set";
	}
	return NULL;
}

/* libcurl would pass a CR LF on: a header of somebody else's choice. */
const char *
saga_header_check_value(const char *value)
{
	const char *p;

	if (value[0] == '\0' || strspn(value, " \t") == strlen(value))
		return "must not be empty";
	for (p = value; *p; p++)
	{
		if (((unsigned char) *p < ' ' && *p != '\t') || *p == 0x7f)
			return "must not hold a control character";
	}
	return strlen(value) > 8192 ? "is longer than 8192 bytes" : NULL;
}

static void
parse_header(const char *name, JsonbValue *value, void *arg)
{
	SettingsState *state = arg;
	SagaDestination *destination = state->destination;
	char	   *path = member_path("$.headers", name);
	SagaSecretUse use = {0};
	const char *error;
	char	   *text;
	int			i;

	if (value->type != jbvString)
	{
		fault(state, path, "must be a string");
		return;
	}
	text = saga_doc_text(value);
	error = saga_header_check_name(name);
	if (error == NULL)
		error = saga_header_check_value(text);
	if (error == NULL)
		error = saga_secret_check(text, &use);
	if (error == NULL && saga_header_is_secret(name) && !use.any)
		error = "must not be a literal secret; write {secret:file:/path} or {secret:env:NAME} in place of it";
	for (i = 0; i < destination->nheaders; i++)
	{
		if (pg_strcasecmp(destination->headers[i].name, name) == 0)
			error = "is there twice";
	}
	if (error != NULL)
	{
		fault(state, path, error);
		return;
	}
	destination->uses_files |= use.file;
	destination->uses_environment |= use.environment;
	destination->headers[destination->nheaders].name = pstrdup(name);
	destination->headers[destination->nheaders].value = text;
	destination->nheaders++;
}

static void
parse_headers(SettingsState *state, const char *path, JsonbValue *value)
{
	if (!saga_doc_is_object(value))
	{
		fault(state, path, "must be an object");
		return;
	}
	state->destination->headers =
		palloc0(mul_size(JsonContainerSize(value->val.binary.data) + 1, sizeof(SagaHeader)));
	saga_doc_each(value->val.binary.data, parse_header, state);
}

/* ---------- the others ---------- */

static void
parse_allow_private(SettingsState *state, const char *path, JsonbValue *value)
{
	SagaGuard  *guard = &state->destination->guard;
	JsonbContainer *array;
	int			i;

	if (value->type == jbvBool)
	{
		guard->allow_all = value->val.boolean;
		state->destination->uses_private |= value->val.boolean;
		return;
	}
	if (!saga_doc_is_array(value))
	{
		fault(state, path, "must be true, false or an array of address ranges");
		return;
	}
	array = value->val.binary.data;
	guard->allowed = palloc0(mul_size(JsonContainerSize(array) + 1, sizeof(SagaCidr)));
	for (i = 0; i < (int) JsonContainerSize(array); i++)
	{
		JsonbValue *item = getIthJsonbValueFromContainer(array, i);

		if (item->type != jbvString ||
			!saga_cidr_parse(saga_doc_text(item), &guard->allowed[guard->nallowed]))
		{
			fault(state, psprintf("%s[%d]", path, i),
				  "must be an address range such as \"10.0.0.0/8\"");
			return;
		}
		guard->nallowed++;
		state->destination->uses_private = true;
	}
}

static void
parse_jitter(SettingsState *state, const char *path, JsonbValue *value)
{
	char	   *text = value->type == jbvString ? saga_doc_text(value) : NULL;

	if (text != NULL && strcmp(text, "full") == 0)
		state->destination->jitter = true;
	else if (text != NULL && strcmp(text, "none") == 0)
		state->destination->jitter = false;
	else
		fault(state, path, "must be \"full\" or \"none\"");
}

static void
parse_credential(const char *name, JsonbValue *value, void *arg)
{
	SettingsState *state = arg;
	char	   *path = member_path("$.credentials", name);
	char	   *text = value->type == jbvString ? saga_doc_text(value) : NULL;

	if (strcmp(name, "file") != 0 && strcmp(name, "profile") != 0)
		fault(state, path, "is not a setting of credentials");
	else if (text == NULL || text[0] == '\0')
		fault(state, path, "must be a string");
	else if (strcmp(name, "profile") == 0)
		state->destination->profile = text;
	else if (text[0] != '/')
		fault(state, path, "must be an absolute path");
	else
		state->destination->credentials_file = text;
}

static void
parse_credentials(SettingsState *state, const char *path, JsonbValue *value)
{
	if (!saga_doc_is_object(value))
		fault(state, path, "must be an object");
	else
		saga_doc_each(value->val.binary.data, parse_credential, state);
}

static void
parse_number(SettingsState *state, const char *path, const Setting *setting, JsonbValue *value)
{
	char	   *field = (char *) state->destination + setting->offset;
	double		number;

	if (value->type != jbvNumeric)
	{
		fault(state, path, "must be a number");
		return;
	}
	number = strtod(saga_doc_text(value), NULL);
	if (setting->type == SETTING_INTEGER && number != rint(number))
		fault(state, path, "must be an integer");
	else if (!(number >= setting->min && number <= setting->max))
		fault(state, path, psprintf("must be between %.0f and %.0f", setting->min, setting->max));
	else if (setting->type == SETTING_INTEGER)
		*(int *) field = (int) number;
	else
		*(double *) field = number;
}

static void
parse_member(const char *name, JsonbValue *value, void *arg)
{
	SettingsState *state = arg;
	bool		http = state->destination->kind == SAGA_DESTINATION_HTTP;
	char	   *path = member_path("$", name);
	const Setting *setting = NULL;
	int			i;

	for (i = 0; i < lengthof(settings_table); i++)
	{
		if (strcmp(settings_table[i].name, name) == 0)
			setting = &settings_table[i];
	}
	if (setting == NULL || (setting->kinds & (http ? FOR_HTTP : FOR_SNS)) == 0)
		fault(state, path, http ? "is not a setting of http destinations"
			  : "is not a setting of sns destinations");
	else if (setting->type == SETTING_OTHER)
		setting->parse(state, path, value);
	else if (setting->type != SETTING_STRING)
		parse_number(state, path, setting, value);
	else if (value->type != jbvString)
		fault(state, path, "must be a string");
	else
		*(char **) ((char *) state->destination + setting->offset) = saga_doc_text(value);
}

/* ---------- what hangs together ---------- */

static void
finish_http(SettingsState *state)
{
	static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
	SagaDestination *destination = state->destination;
	const char *error;
	int			i;

	if (destination->url_text == NULL)
	{
		fault(state, "$.url", "is missing");
		return;
	}
	error = saga_url_parse(destination->url_text, true, &destination->url);
	if (error != NULL)
		fault(state, "$.url", error);
	if (destination->method == NULL)
		destination->method = pstrdup("POST");
	for (i = 0; i < lengthof(methods); i++)
	{
		if (strcmp(destination->method, methods[i]) == 0)
			break;
	}
	if (i == lengthof(methods))
		fault(state, "$.method", "must be GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS");
	if (destination->idempotency_header == NULL)
		destination->idempotency_header = pstrdup("Idempotency-Key");
	else if (destination->idempotency_header[0] != '\0')
	{
		error = saga_header_check_name(destination->idempotency_header);
		if (error != NULL)
			fault(state, "$.idempotency_header", error);
	}
}

/* arn:PARTITION:sns:REGION:ACCOUNT:NAME; returns the region. */
static char *
topic_region(const char *arn)
{
	const char *part[6];
	int			n = 0;
	const char *p = arn;

	for (part[n++] = p; *p && n < 6; p++)
	{
		if (*p == ':')
			part[n++] = p + 1;
	}
	if (n < 6 || strncmp(part[0], "arn:", 4) != 0 || strncmp(part[2], "sns:", 4) != 0 ||
		part[4] - part[3] < 2 || part[5][0] == '\0' || strchr(part[5], ':') != NULL ||
		strspn(part[1], "abcdefghijklmnopqrstuvwxyz-") != (size_t) (part[2] - part[1] - 1))
		return NULL;
	return pnstrdup(part[3], part[4] - part[3] - 1);
}

static void
finish_sns(SettingsState *state)
{
	SagaDestination *destination = state->destination;
	size_t		len;
	char	   *region;

	if (destination->topic_arn == NULL)
	{
		fault(state, "$.topic_arn", "is missing");
		return;
	}
	region = topic_region(destination->topic_arn);
	if (region == NULL)
	{
		fault(state, "$.topic_arn", "must be the ARN of a topic, arn:aws:sns:REGION:ACCOUNT:NAME");
		return;
	}
	len = strlen(destination->topic_arn);
	destination->fifo = len > 5 && strcmp(destination->topic_arn + len - 5, ".fifo") == 0;
	if (destination->region == NULL)
		destination->region = region;
	if (destination->region[0] == '\0' ||
		strspn(destination->region, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(destination->region))
		fault(state, "$.region", "must be the name of a region");
	if (destination->endpoint_url == NULL)
		destination->endpoint_url =
			psprintf("https://sns.%s.amazonaws.com%s/", destination->region,
					 strncmp(destination->topic_arn, "arn:aws-cn:", 11) == 0 ? ".cn" : "");
	else
	{
		const char *error = saga_url_parse(destination->endpoint_url, false, &destination->url);

		if (error == NULL && (destination->url.query != NULL || strlen(destination->url.path) > 1))
			error = "must not have a path or a query";
		if (error != NULL)
			fault(state, "$.endpoint_url", error);
	}
	if (destination->credentials_file != NULL || destination->profile != NULL)
		destination->uses_files = true;
	else
		destination->uses_environment = true;
}

const char *
saga_settings_parse(SagaDestination *destination, Jsonb *settings, char **path)
{
	SettingsState	state = {destination};
	int			i;

	if (!JB_ROOT_IS_OBJECT(settings))
	{
		*path = pstrdup("$");
		return "must be an object";
	}
	for (i = 0; i < lengthof(settings_table); i++)
	{
		const Setting *setting = &settings_table[i];

		if (setting->type == SETTING_INTEGER)
			*(int *) ((char *) destination + setting->offset) = (int) setting->initial;
		else if (setting->type == SETTING_NUMBER)
			*(double *) ((char *) destination + setting->offset) = setting->initial;
	}
	destination->jitter = true;
	saga_doc_each(&settings->root, parse_member, &state);
	if (state.message == NULL && destination->kind == SAGA_DESTINATION_HTTP)
		finish_http(&state);
	else if (state.message == NULL)
		finish_sns(&state);
	if (destination->ca_file != NULL)
	{
		destination->uses_files = true;
		if (destination->ca_file[0] != '/')
			fault(&state, "$.ca_file", "must be an absolute path");
	}
	*path = state.path;
	return state.message;
}
