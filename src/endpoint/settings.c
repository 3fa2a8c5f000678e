/*
 * settings.c
 *		Settings of destinations: one jsonb object, checked member by member.
 *
 * Every fault is reported with its JSON path.  Nothing here raises for what
 * settings can hold: create and alter raise with the fault, the cache only
 * warns, so that one wrong row does not stop the others.
 *
 * Sections ("request", "retry", ...) are the endpoint contract of README.md;
 * the members of some of them may also stand at the top.
 *
 * Begin reading with settings_table and saga_settings_parse: the table names
 * every member with its type, bounds and field; settings_object.c walks an
 * object by it; a finish_ function then looks at what several members mean
 * together.  Sections have their own files (settings_request.c,
 * settings_answer.c, ...).  A parse function gets the member's value and the
 * field that it belongs into.
 */
#include "postgres.h"

#include <math.h>

#include "endpoint/settings_private.h"
#include "net/header.h"
#include "net/secret.h"
#include "utils/builtins.h"
#include "value/doc.h"

/* ---------- small sections ---------- */

/*
 * true, or the ranges that are allowed.  Either needs a right that the caller
 * looks at (uses_private).
 */
void
saga_settings_allow_private(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
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
		saga_settings_fault(state, path, "must be true, false or an array of address ranges");
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
			saga_settings_fault(state, psprintf("%s[%d]", path, i),
								"must be an address range such as \"10.0.0.0/8\"");
			return;
		}
		guard->nallowed++;
		state->destination->uses_private = true;
	}
}

/* The field is a bool: full jitter. */
static void
parse_jitter(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	char	   *text = value->type == jbvString ? saga_doc_text(value) : NULL;

	if (text != NULL && strcmp(text, "full") == 0)
		*(bool *) field = true;
	else if (text != NULL && strcmp(text, "none") == 0)
		*(bool *) field = false;
	else
		saga_settings_fault(state, path, "must be \"full\" or \"none\"");
}

static const SagaSetting credential_settings[] = {
	{"secret", 0, SAGA_SETTING_STRING, offsetof(SagaDestination, credentials_secret)},
	{"file", 0, SAGA_SETTING_STRING, offsetof(SagaDestination, credentials_file)},
	{"profile", 0, SAGA_SETTING_STRING, offsetof(SagaDestination, profile)},
};

/* A secret, or a file and a profile; none of them means the server's own. */
void
saga_settings_credentials(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	SagaDestination *destination = state->destination;

	saga_settings_object(state, path, value, credential_settings, lengthof(credential_settings),
						 destination, "is not a setting of credentials");
	if (destination->credentials_file != NULL && destination->credentials_file[0] != '/')
		saga_settings_fault(state, saga_settings_path(path, "file"), "must be an absolute path");
	if (destination->profile != NULL && destination->profile[0] == '\0')
		saga_settings_fault(state, saga_settings_path(path, "profile"), "must not be empty");
	if (destination->credentials_secret != NULL)
		saga_settings_credentials_secret(state, saga_settings_path(path, "secret"));
}

static const SagaSetting retry_settings[] = {
	{"max_attempts", 0, SAGA_SETTING_INTEGER, offsetof(SagaDestination, max_attempts), 1, 10000, 10},
	{"base_ms", 0, SAGA_SETTING_INTEGER, offsetof(SagaDestination, base_ms), 1, 86400000, 500},
	{"factor", 0, SAGA_SETTING_NUMBER, offsetof(SagaDestination, factor), 1, 100, 2},
	{"cap_ms", 0, SAGA_SETTING_INTEGER, offsetof(SagaDestination, cap_ms), 1, 86400000, 60000},
	{"jitter", 0, SAGA_SETTING_OTHER, offsetof(SagaDestination, jitter), 0, 0, 0, parse_jitter},
	{"deadline_s", 0, SAGA_SETTING_INTEGER, offsetof(SagaDestination, deadline_s), 0, 31622400, 0},
};

/* The section has the same members as the top, where they stood first. */
static void
parse_retry(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	saga_settings_object(state, path, value, retry_settings, lengthof(retry_settings),
						 state->destination, "is not a setting of retries");
}

/* In the order of SagaSettleBy, whose default has no name. */
static void
parse_settle_by(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	static const char *const names[] = {"", "lookup", "resend", "undo", "person"};
	char	   *text = value->type == jbvString ? saga_doc_text(value) : "";
	int			i;

	for (i = SAGA_SETTLE_LOOKUP; i <= SAGA_SETTLE_PERSON; i++)
	{
		if (strcmp(text, names[i]) == 0)
		{
			*(SagaSettleBy *) field = (SagaSettleBy) i;
			return;
		}
	}
	saga_settings_fault(state, path, "must be lookup, resend, undo or person");
}

#define SETTLE(f)	offsetof(SagaDestination, settle.f)

static const SagaSetting settle_settings[] = {
	{"by", 0, SAGA_SETTING_OTHER, SETTLE(by), 0, 0, 0, parse_settle_by},
	{"deadline_s", 0, SAGA_SETTING_INTEGER, SETTLE(deadline_s), 0, 31622400, 86400},
};

/*
 * The section "settle": how a doubt about a request that is not wanted any
 * more is cleared.
 */
static void
parse_settle(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	saga_settings_object(state, path, value, settle_settings, lengthof(settle_settings),
						 state->destination, "is not a setting of settling");
}

/* "retry_after_cap_ms", older than the section "retry_after" */
static void
parse_retry_after_cap(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	static const SagaSetting setting = {"", 0, SAGA_SETTING_INTEGER, 0, 0, 604800000, 0};
	int			ms = 0;

	saga_settings_number(state, path, &setting, value, &ms);
	state->destination->retry_after.max_s = (ms + 999) / 1000;
}

/*
 * "idempotency_header", older than the section "idempotency"; the empty name
 * means that no key is sent.
 */
static void
parse_idempotency_header(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	SagaIdempotency *key = field;
	const char *error;

	if (value->type != jbvString)
	{
		saga_settings_fault(state, path, "must be a string");
		return;
	}
	key->name = saga_doc_text(value);
	key->place = key->name[0] != '\0' ? SAGA_KEY_HEADER : SAGA_KEY_NONE;
	error = key->place == SAGA_KEY_HEADER ? saga_header_check_name(key->name) : NULL;
	if (error != NULL)
		saga_settings_fault(state, path, error);
}

/* The built-in table is the only one there is; the contract names it. */
static void
parse_default_class(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	if (value->type != jbvString || strcmp(saga_doc_text(value), "builtin") != 0)
		saga_settings_fault(state, path, "must be \"builtin\"");
}

/*
 * The name of the header is checked, as it will be looked for in each answer.
 */
static void
parse_retry_hint(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	char	   *text = value->type == jbvString ? saga_doc_text(value) : NULL;
	const char *error = text != NULL ? saga_header_check_name(text) : "must be a string";

	if (error != NULL)
		saga_settings_fault(state, path, error);
	*(char **) field = text;
}

/* What is said of a thing, not to it; and what create_destination has done already. */
static void
ignore(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	if (value->type != jbvString)
		saga_settings_fault(state, path, "must be a string");
}

#define FIELD(f)	offsetof(SagaDestination, f)

static const SagaSetting settings_table[] = {
	{"name", 0, SAGA_SETTING_OTHER, 0, 0, 0, 0, ignore},
	{"comment", 0, SAGA_SETTING_OTHER, 0, 0, 0, 0, ignore},
	{"timeout_ms", 0, SAGA_SETTING_INTEGER, FIELD(timeout_ms), 1, 900000, 30000},
	{"connect_timeout_ms", 0, SAGA_SETTING_INTEGER, FIELD(connect_timeout_ms), 1, 300000, 5000},
	{"max_attempts", 0, SAGA_SETTING_INTEGER, FIELD(max_attempts), 1, 10000, 10},
	{"base_ms", 0, SAGA_SETTING_INTEGER, FIELD(base_ms), 1, 86400000, 500},
	{"factor", 0, SAGA_SETTING_NUMBER, FIELD(factor), 1, 100, 2},
	{"cap_ms", 0, SAGA_SETTING_INTEGER, FIELD(cap_ms), 1, 86400000, 60000},
	{"jitter", 0, SAGA_SETTING_OTHER, FIELD(jitter), 0, 0, 0, parse_jitter},
	{"retry", 0, SAGA_SETTING_OTHER, 0, 0, 0, 0, parse_retry},
	{"retry_after", 0, SAGA_SETTING_OTHER, FIELD(retry_after), 0, 0, 0, saga_settings_retry_after},
	{"retry_after_cap_ms", 0, SAGA_SETTING_OTHER, 0, 0, 0, 0, parse_retry_after_cap},
	{"max_response_bytes", 0, SAGA_SETTING_INTEGER, FIELD(max_response_bytes), 1, 67108864, 1048576},
	{"concurrency", 0, SAGA_SETTING_INTEGER, FIELD(limits.concurrency), 1, 1000, 10},
	{"settle", 0, SAGA_SETTING_OTHER, 0, 0, 0, 0, parse_settle},
	{"limits", 0, SAGA_SETTING_OTHER, FIELD(limits), 0, 0, 0, saga_settings_limits},
	{"allow_private", 0, SAGA_SETTING_OTHER, 0, 0, 0, 0, saga_settings_allow_private},
	{"allow_http", SAGA_FOR_HTTP, SAGA_SETTING_BOOLEAN, FIELD(allow_http)},
	{"ca_file", 0, SAGA_SETTING_STRING, FIELD(ca_file)},
	{"url", SAGA_FOR_HTTP, SAGA_SETTING_STRING, FIELD(request.url_text)},
	{"method", SAGA_FOR_HTTP, SAGA_SETTING_STRING, FIELD(request.method)},
	{"headers", SAGA_FOR_HTTP, SAGA_SETTING_OTHER, FIELD(request), 0, 0, 0, saga_settings_headers},
	{"request", SAGA_FOR_HTTP, SAGA_SETTING_OTHER, FIELD(request), 0, 0, 0, saga_settings_request},
	{"auth", SAGA_FOR_HTTP, SAGA_SETTING_OTHER, FIELD(auth), 0, 0, 0, saga_settings_auth},
	{"idempotency", SAGA_FOR_HTTP, SAGA_SETTING_OTHER, FIELD(idempotency), 0, 0, 0, saga_settings_idempotency},
	{"idempotency_header", SAGA_FOR_HTTP, SAGA_SETTING_OTHER, FIELD(idempotency), 0, 0, 0, parse_idempotency_header},
	{"classify", SAGA_FOR_HTTP, SAGA_SETTING_OTHER, FIELD(rules), 0, 0, 0, saga_settings_rules},
	{"default_class", SAGA_FOR_HTTP, SAGA_SETTING_OTHER, 0, 0, 0, 0, parse_default_class},
	{"uncertain_as", SAGA_FOR_HTTP, SAGA_SETTING_OTHER, FIELD(resend_uncertain), 0, 0, 0, saga_settings_uncertain_as},
	{"retry_hint_header", SAGA_FOR_HTTP, SAGA_SETTING_OTHER, FIELD(retry_hint_header), 0, 0, 0, parse_retry_hint},
	{"capture", SAGA_FOR_HTTP, SAGA_SETTING_OTHER, FIELD(capture), 0, 0, 0, saga_settings_capture},
	{"lookup", SAGA_FOR_HTTP, SAGA_SETTING_OTHER, FIELD(lookup), 0, 0, 0, saga_settings_lookup},
	{"poll", SAGA_FOR_HTTP, SAGA_SETTING_OTHER, FIELD(poll), 0, 0, 0, saga_settings_poll},
	{"compensate", SAGA_FOR_HTTP, SAGA_SETTING_OTHER, FIELD(compensation), 0, 0, 0, saga_settings_compensate},
	{"topic_arn", SAGA_FOR_SNS, SAGA_SETTING_STRING, FIELD(topic_arn)},
	{"queue_url", SAGA_FOR_SQS, SAGA_SETTING_STRING, FIELD(queue_url)},
	{"endpoint_url", SAGA_FOR_AWS, SAGA_SETTING_STRING, FIELD(endpoint_url)},
	{"region", SAGA_FOR_ALL, SAGA_SETTING_STRING, FIELD(region)},
	{"credentials", SAGA_FOR_ALL, SAGA_SETTING_OTHER, 0, 0, 0, 0, saga_settings_credentials},
	{"batch", SAGA_FOR_AWS, SAGA_SETTING_INTEGER, FIELD(batch), 1, 10, 10},
	{"max_bytes", SAGA_FOR_AWS, SAGA_SETTING_INTEGER, FIELD(max_bytes), 1024, 1048576, 262144},
};

/* ---------- what hangs together ---------- */

/*
 * All members are known: defaults that depend on others, and what must not
 * meet.
 */
static void
finish_http(SagaSettingsState *state)
{
	SagaDestination *destination = state->destination;
	SagaIdempotency *key = &destination->idempotency;

	saga_settings_finish_request(state, "$.request", &destination->request, "POST");
	if (key->place == SAGA_KEY_HEADER && key->name == NULL)
		key->name = pstrdup("Idempotency-Key");
	if (key->replay_header == NULL)
		key->replay_header = pstrdup("Idempotent-Replayed");
	saga_settings_finish_answers(state);
	if (destination->auth.type == SAGA_AUTH_SIGV4)
		saga_settings_finish_sigv4(state);
	saga_settings_finish_auth(state);
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

/* AWS tells FIFO topics and queues by this end of their name alone. */
static bool
is_fifo(const char *name)
{
	size_t		len = strlen(name);

	return len > 5 && strcmp(name + len - 5, ".fifo") == 0;
}

/*
 * What sns and sqs have in common.  A signature is made for the path "/" and
 * no query alone, so an endpoint has neither.
 */
static void
finish_aws(SagaSettingsState *state, const char *default_endpoint)
{
	SagaDestination *destination = state->destination;
	const char *error;

	saga_settings_check_region(state);
	if (destination->endpoint_url == NULL)
		destination->endpoint_url = unconstify(char *, default_endpoint);
	else
	{
		error = saga_url_parse(destination->endpoint_url, NULL, &destination->endpoint);
		if (error == NULL && (destination->endpoint.query != NULL || strlen(destination->endpoint.path) > 1))
			error = "must not have a path or a query";
		if (error != NULL)
			saga_settings_fault(state, "$.endpoint_url", error);
	}
	saga_settings_note_credentials(state);
}

/* The region is that of the topic, unless one is given. */
static void
finish_sns(SagaSettingsState *state)
{
	SagaDestination *destination = state->destination;
	char	   *region;

	if (destination->topic_arn == NULL)
	{
		saga_settings_fault(state, "$.topic_arn", "is missing");
		return;
	}
	region = topic_region(destination->topic_arn);
	if (region == NULL)
	{
		saga_settings_fault(state, "$.topic_arn", "must be the ARN of a topic, arn:aws:sns:REGION:ACCOUNT:NAME");
		return;
	}
	destination->fifo = is_fifo(destination->topic_arn);
	if (destination->region == NULL)
		destination->region = region;
	finish_aws(state, psprintf("https://sns.%s.amazonaws.com%s/", destination->region,
							   strncmp(destination->topic_arn, "arn:aws-cn:", 11) == 0 ? ".cn" : ""));
}

/* sqs.REGION.amazonaws.com, or another host of some service's own: NULL */
static char *
queue_region(const char *host)
{
	const char *end;

	if (strncmp(host, "sqs.", 4) != 0)
		return NULL;
	end = strchr(host + 4, '.');
	if (end == NULL || (strcmp(end, ".amazonaws.com") != 0 && strcmp(end, ".amazonaws.com.cn") != 0))
		return NULL;
	return pnstrdup(host + 4, end - host - 4);
}

/*
 * A queue's URL is its name in requests, nothing more.  Without an
 * endpoint_url its host is connected to.
 */
void
saga_settings_finish_sqs(SagaSettingsState *state)
{
	SagaDestination *destination = state->destination;
	const char *error;
	SagaUrl		url;

	if (destination->queue_url == NULL)
	{
		saga_settings_fault(state, "$.queue_url", "is missing");
		return;
	}
	error = saga_url_parse(destination->queue_url, NULL, &url);
	if (error == NULL && (url.query != NULL || strlen(url.path) < 2))
		error = "must be the URL of a queue, https://sqs.REGION.amazonaws.com/ACCOUNT/NAME";
	if (error != NULL)
	{
		saga_settings_fault(state, "$.queue_url", error);
		return;
	}
	destination->fifo = is_fifo(destination->queue_url);
	if (destination->region == NULL)
		destination->region = queue_region(url.host);
	if (destination->region == NULL)
	{
		saga_settings_fault(state, "$.region", "is missing, and cannot be seen from queue_url");
		return;
	}
	finish_aws(state, psprintf("%s://%s:%d/", url.https ? "https" : "http", url.host, url.port));
}

void
saga_settings_finish_ca_file(SagaSettingsState *state)
{
	SagaDestination *destination = state->destination;

	if (destination->ca_file == NULL)
		return;
	destination->uses_files = true;
	if (destination->ca_file[0] != '/')
		saga_settings_fault(state, "$.ca_file", "must be an absolute path");
}

/* What every process reads when it is changed; what is stored already is read as before. */
#define SAGA_MAX_SETTINGS	(64 * 1024)

void
saga_settings_check_size(const char *kind, const char *name, Jsonb *settings)
{
	if (VARSIZE(settings) > SAGA_MAX_SETTINGS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("settings of %s \"%s\" are too large", kind, name),
				 errdetail("They take %zu bytes, more than %d.", (Size) VARSIZE(settings), SAGA_MAX_SETTINGS),
				 errhint("Put what is long into the messages, and let templates or expressions take it from there.")));
}

/* The first of the things that ask for a right. */
const char *
saga_settings_need_rights(const SagaDestination *destination)
{
	if (destination->uses_files)
		return "refer to a file of the server";
	if (destination->uses_environment)
		return "use the environment of the server";
	if (destination->uses_private)
		return "allow private addresses";
	return NULL;
}

const char *
saga_settings_parse(SagaDestination *destination, Jsonb *settings, char **path)
{
	SagaSettingsState state = {destination, &settings->root};
	bool		http = destination->kind == SAGA_DESTINATION_HTTP;
	const char *what = psprintf("is not a setting of %s destinations",
								saga_destination_kind_name(destination->kind));

	if (!JB_ROOT_IS_OBJECT(settings))
	{
		*path = pstrdup("$");
		return "must be an object";
	}

	/*
	 * defaults of numbers first: a member that is missing leaves its field
	 * alone
	 */
	saga_settings_limits_defaults(&destination->limits);
	saga_settings_defaults(settings_table, lengthof(settings_table), destination);
	saga_settings_defaults(retry_settings, lengthof(retry_settings), destination);
	saga_settings_defaults(settle_settings, lengthof(settle_settings), destination);
	destination->jitter = true;
	destination->retry_after.max_s = 86400;
	destination->idempotency.place = http ? SAGA_KEY_HEADER : SAGA_KEY_NONE;
	saga_settings_members(&state, "$", &settings->root, settings_table, lengthof(settings_table), destination,
						  what);
	if (state.message == NULL && http)
		finish_http(&state);
	else if (state.message == NULL && destination->kind == SAGA_DESTINATION_SNS)
		finish_sns(&state);
	else if (state.message == NULL)
		saga_settings_finish_sqs(&state);
	saga_settings_finish_ca_file(&state);
	*path = state.path;
	return state.message;
}
