/*
 * settings_limits.c
 *		Settings that say how much a destination may be asked for.
 */
#include "postgres.h"

#include "common/guc.h"
#include "endpoint/settings_private.h"

#define LIMIT(f)	offsetof(SagaLimits, f)

/* A breaker that is asked for, and does not say. */
#define SAGA_BREAKER_WINDOW_S 60

static const SagaSetting breaker_settings[] = {
	{"window_s", 0, SAGA_SETTING_INTEGER, LIMIT(breaker_window_s), 0, 86400, 0},
	{"min_requests", 0, SAGA_SETTING_INTEGER, LIMIT(breaker_min_requests), 1, 100000, 20},
	{"failure_share", 0, SAGA_SETTING_NUMBER, LIMIT(breaker_share), 0.01, 1, 0.5},
	{"open_s", 0, SAGA_SETTING_INTEGER, LIMIT(breaker_open_s), 1, 86400, 30},
};

/* true, false or an object; its mere presence turns the breaker on. */
static void
parse_breaker(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	SagaLimits *limits = field;

	limits->breaker_window_s = SAGA_BREAKER_WINDOW_S;
	if (value->type == jbvBool)
		limits->breaker_window_s = value->val.boolean ? SAGA_BREAKER_WINDOW_S : 0;
	else
		saga_settings_object(state, path, value, breaker_settings, lengthof(breaker_settings), limits,
							 "is not a setting of breakers");
}

static const SagaSetting limit_settings[] = {
	{"group", 0, SAGA_SETTING_STRING, LIMIT(group)},
	{"concurrency", 0, SAGA_SETTING_INTEGER, LIMIT(concurrency), 1, 1000, 10},
	{"per_second", 0, SAGA_SETTING_INTEGER, LIMIT(per_second), 0, 1000000, 0},
	{"per_minute", 0, SAGA_SETTING_INTEGER, LIMIT(per_minute), 0, 10000000, 0},
	{"per_hour", 0, SAGA_SETTING_INTEGER, LIMIT(per_hour), 0, 100000000, 0},
	{"per_day", 0, SAGA_SETTING_INTEGER, LIMIT(per_day), 0, 1000000000, 0},
	{"slow_start_s", 0, SAGA_SETTING_INTEGER, LIMIT(slow_start_s), 0, 3600, 0},
	{"breaker", 0, SAGA_SETTING_OTHER, 0, 0, 0, 0, parse_breaker},
};

void
saga_settings_limits_defaults(SagaLimits *limits)
{
	saga_settings_defaults(limit_settings, lengthof(limit_settings), limits);
	saga_settings_defaults(breaker_settings, lengthof(breaker_settings), limits);
}

void
saga_settings_limits(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	SagaLimits *limits = field;

	saga_settings_object(state, path, value, limit_settings, lengthof(limit_settings), limits,
						 "is not a setting of limits");
	if (limits->group != NULL && (limits->group[0] == '\0' || strlen(limits->group) > 100))
		saga_settings_fault(state, saga_settings_path(path, "group"), "must have 1 to 100 bytes");
}

/* ---------- answers ---------- */

/*
 * The smaller of the setting and pg_saga.answer_limit, which may be lower
 * than it was when the settings were made.
 */
size_t
saga_answer_limit(const SagaDestination *destination, const SagaRequestSpec *spec)
{
	size_t		bytes = spec != NULL ? spec->max_response_bytes : destination->max_response_bytes;

	return Min(bytes, (size_t) saga_answer_limit_kb * 1024);
}

/* More than the server allows now. */
static bool
is_too_large(const SagaDestination *destination, const SagaRequestSpec *spec)
{
	size_t		bytes = spec != NULL ? spec->max_response_bytes : destination->max_response_bytes;

	return bytes > saga_answer_limit(destination, spec);
}

const char *
saga_settings_too_large(const SagaDestination *destination)
{
	const SagaCompensation *compensation = destination->compensation;

	if (is_too_large(destination, NULL))
		return "$.max_response_bytes";
	if (destination->kind != SAGA_DESTINATION_HTTP)
		return NULL;
	if (is_too_large(destination, &destination->request))
		return "$.request.max_response_bytes";
	if (destination->lookup != NULL && is_too_large(destination, &destination->lookup->request))
		return "$.lookup.max_response_bytes";
	if (destination->poll != NULL && is_too_large(destination, &destination->poll->request))
		return "$.poll.max_response_bytes";
	if (compensation != NULL && is_too_large(destination, &compensation->request))
		return "$.compensate.max_response_bytes";
	if (compensation != NULL && compensation->other != NULL && is_too_large(destination, compensation->other))
		return "$.compensate.else.max_response_bytes";
	return NULL;
}
