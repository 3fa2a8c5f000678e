/*
 * settings.c
 *		Settings of sources: one jsonb object, checked member by member as
 *		those of destinations are.
 */
#include "postgres.h"

#include "endpoint/settings.h"
#include "source/source_private.h"
#include "utils/memutils.h"
#include "value/doc.h"

/* A batch of ten messages of 1 MiB.  Of messages that are all escapes fewer are asked for at a time. */
#define MAX_RESPONSE_BYTES	(16 * 1024 * 1024)
#define RECEIVE_MARGIN_MS	10000	/* beyond the time that the service waits */

/* The field is a bool: the body is a text. */
static void
parse_content(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	char	   *text = value->type == jbvString ? saga_doc_text(value) : NULL;

	if (text != NULL && strcmp(text, "text") == 0)
		*(bool *) field = true;
	else if (text == NULL || strcmp(text, "json") != 0)
		saga_settings_fault(state, path, "must be \"json\" or \"text\"");
}

#define FIELD(f)	offsetof(SagaSource, f)

static const SagaSetting source_settings[] = {
	{"queue_url", 0, SAGA_SETTING_STRING, FIELD(endpoint.queue_url)},
	{"region", 0, SAGA_SETTING_STRING, FIELD(endpoint.region)},
	{"endpoint_url", 0, SAGA_SETTING_STRING, FIELD(endpoint.endpoint_url)},
	{"credentials", 0, SAGA_SETTING_OTHER, 0, 0, 0, 0, saga_settings_credentials},
	{"allow_private", 0, SAGA_SETTING_OTHER, 0, 0, 0, 0, saga_settings_allow_private},
	{"ca_file", 0, SAGA_SETTING_STRING, FIELD(endpoint.ca_file)},
	{"connect_timeout_ms", 0, SAGA_SETTING_INTEGER, FIELD(endpoint.connect_timeout_ms), 1, 300000, 5000},
	{"max_queued", 0, SAGA_SETTING_INTEGER, FIELD(max_queued), 1, 10000000, 10000},
	{"max_dead_letters", 0, SAGA_SETTING_INTEGER, FIELD(max_dead_letters), 1, 10000000, 100000},
	{"wait_s", 0, SAGA_SETTING_INTEGER, FIELD(wait_s), 0, 20, 20},
	{"batch", 0, SAGA_SETTING_INTEGER, FIELD(batch), 1, 10, 10},
	{"receives", 0, SAGA_SETTING_INTEGER, FIELD(receives), 1, 20, 4},
	{"visibility_timeout_s", 0, SAGA_SETTING_INTEGER, FIELD(visibility_s), 5, 43200, 60},
	{"unwrap_sns", 0, SAGA_SETTING_BOOLEAN, FIELD(unwrap_sns)},
	{"content", 0, SAGA_SETTING_OTHER, FIELD(text), 0, 0, 0, parse_content},
};

/* An empty source with one reference, which is the caller's. */
SagaSource *
saga_source_new(MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "saga source", ALLOCSET_SMALL_SIZES);
	SagaSource *source = MemoryContextAllocZero(context, sizeof(SagaSource));

	source->context = context;
	source->endpoint.kind = SAGA_DESTINATION_SQS;
	source->refs = 1;
	return source;
}

const char *
saga_source_parse(SagaSource *source, Jsonb *settings, char **path)
{
	SagaSettingsState state = {&source->endpoint};

	*path = NULL;
	if (!JB_ROOT_IS_OBJECT(settings))
	{
		*path = pstrdup("$");
		return "must be an object";
	}
	saga_settings_defaults(source_settings, lengthof(source_settings), source);
	saga_settings_members(&state, "$", &settings->root, source_settings, lengthof(source_settings), source,
						  "is not a setting of sqs sources");
	if (state.message == NULL)
		saga_settings_finish_sqs(&state);
	saga_settings_finish_ca_file(&state);
	/* a receive may take as long as the service waits for a message */
	source->endpoint.timeout_ms = source->wait_s * 1000 + RECEIVE_MARGIN_MS;
	source->endpoint.max_response_bytes = MAX_RESPONSE_BYTES;
	*path = state.path;
	return state.message;
}
