/*
 * machine_state.c
 *		Compiles one state: the fields of its type.
 */
#include "postgres.h"

#include "asl/check_private.h"

#define T(type) (1 << SAGA_STATE_##type)

#define SAGA_ALL_TYPES	((1 << SAGA_STATE_TYPES) - 1)
#define SAGA_CALLING	(T(TASK) | T(PARALLEL) | T(MAP))
#define SAGA_FLOWING	(SAGA_CALLING | T(PASS) | T(WAIT))

static const struct
{
	const char *name;
	int			types;
}			saga_fields[] = {
	{"Type", SAGA_ALL_TYPES},
	{"Comment", SAGA_ALL_TYPES},
	{"QueryLanguage", SAGA_ALL_TYPES},
	{"InputPath", SAGA_ALL_TYPES & ~T(FAIL)},
	{"OutputPath", SAGA_ALL_TYPES & ~T(FAIL)},
	{"Next", SAGA_FLOWING},
	{"End", SAGA_FLOWING},
	{"Assign", SAGA_FLOWING | T(CHOICE)},
	{"ResultPath", SAGA_CALLING | T(PASS)},
	{"Parameters", SAGA_CALLING | T(PASS)},
	{"ResultSelector", SAGA_CALLING},
	{"Retry", SAGA_CALLING},
	{"Catch", SAGA_CALLING},
	{"Compensate", SAGA_CALLING},
	{"Commit", T(TASK)},
	{"Result", T(PASS)},
	{"Resource", T(TASK)},
	{"Credentials", T(TASK)},
	{"TimeoutSeconds", T(TASK)},
	{"TimeoutSecondsPath", T(TASK)},
	{"HeartbeatSeconds", T(TASK)},
	{"HeartbeatSecondsPath", T(TASK)},
	{"Choices", T(CHOICE)},
	{"Default", T(CHOICE)},
	{"Seconds", T(WAIT)},
	{"SecondsPath", T(WAIT)},
	{"Timestamp", T(WAIT)},
	{"TimestampPath", T(WAIT)},
	{"Error", T(FAIL)},
	{"ErrorPath", T(FAIL)},
	{"Cause", T(FAIL)},
	{"CausePath", T(FAIL)},
	{"Branches", T(PARALLEL)},
	{"ItemProcessor", T(MAP)},
	{"Iterator", T(MAP)},
	{"ItemsPath", T(MAP)},
	{"ItemSelector", T(MAP)},
	{"MaxConcurrency", T(MAP)},
	{"MaxConcurrencyPath", T(MAP)},
	{"ToleratedFailureCount", T(MAP)},
	{"ToleratedFailureCountPath", T(MAP)},
	{"ToleratedFailurePercentage", T(MAP)},
	{"ToleratedFailurePercentagePath", T(MAP)},
	{"Label", T(MAP)},
	{"ItemReader", T(MAP)},
	{"ItemBatcher", T(MAP)},
	{"ResultWriter", T(MAP)},
};

/* Reports every member that a state of this type cannot have. */
static void
saga_check_fields(SagaCheck *check, SagaState *state, const JsonbValue *object,
				  const SagaLocation *at)
{
	JsonbIterator *it = JsonbIteratorInit(object->val.binary.data);
	JsonbIteratorToken token;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		char	   *name;
		int			i;

		if (token != WJB_KEY)
			continue;
		name = saga_string_of(&value);
		for (i = 0; i < lengthof(saga_fields); i++)
		{
			if ((saga_fields[i].types & (1 << state->type)) != 0 &&
				strcmp(name, saga_fields[i].name) == 0)
				break;
		}
		if (i == lengthof(saga_fields))
			saga_check_member_error(check, at, name, SAGA_SCHEMA_FAULT, "Field is not supported");
	}
}

/* ---------- transitions ---------- */

/* Next or End, one of them; a handler, which is named by Compensate, has neither. */
static void
saga_compile_next(SagaCheck *check, SagaState *state, const JsonbValue *object,
				  const SagaLocation *at)
{
	JsonbValue	value;
	bool		has_next = saga_member(object, "Next", &value);
	bool		end = saga_check_bool(check, object, at, "End");

	if (state->is_handler)
	{
		if (state->type != SAGA_STATE_TASK)
			saga_check_member_error(check, at, "Type", SAGA_SCHEMA_FAULT,
									"State \"%s\" is named by Compensate and must be a Task", state->name);
		if (has_next)
			saga_check_member_error(check, at, "Next", SAGA_SCHEMA_FAULT,
									"State \"%s\" is named by Compensate and cannot have 'Next'", state->name);
		if (saga_member(object, "End", &value))
			saga_check_member_error(check, at, "End", SAGA_SCHEMA_FAULT,
									"State \"%s\" is named by Compensate and cannot have 'End'", state->name);
		if (saga_member(object, "Catch", &value))
			saga_check_member_error(check, at, "Catch", SAGA_SCHEMA_FAULT,
									"State \"%s\" is named by Compensate and cannot have 'Catch'", state->name);
		if (state->compensate != NULL)
			saga_check_member_error(check, at, "Compensate", SAGA_SCHEMA_FAULT,
									"State \"%s\" is named by Compensate and cannot have 'Compensate'", state->name);
		return;
	}
	if (!((1 << state->type) & SAGA_FLOWING))
		return;
	if (has_next && end)
		saga_check_error(check, at, SAGA_SCHEMA_FAULT,
						 "Only one of these fields is allowed: [Next, End]");
	else if (!has_next && !end)
		saga_check_error(check, at, SAGA_SCHEMA_FAULT,
						 "One of these fields is required: [Next, End]");
	if (has_next)
		state->next = saga_check_target(check, object, at, "Next", state->scope);
}

/* ---------- Task ---------- */

/* resourceType and resource of the events: "sqs", "sendMessage.waitForTaskToken" */
static void
saga_name_resource(SagaState *state)
{
	const char *service = "arn:aws:states:::";
	const char *text = state->resource.text;
	const char *colon;

	if (strncmp(text, service, strlen(service)) == 0)
		text += strlen(service);
	else if (strncmp(text, "arn:", 4) == 0)
	{
		state->resource_type = strstr(text, ":lambda:") ? "lambda" : "activity";
		state->resource_action = state->resource.text;
		if (state->resource.kind == SAGA_RES_ACTIVITY)
			state->family = SAGA_FAMILY_ACTIVITY;
		else if (strstr(text, ":lambda:") != NULL && strstr(text, ":function:") != NULL)
			state->family = SAGA_FAMILY_LAMBDA;
		else
			state->resource_type = "arn";
		return;
	}
	colon = strrchr(text, ':');
	/* ".sync:2" has a colon of its own */
	if (state->resource.sync == 2)
	{
		const char *p = text;

		colon = NULL;
		for (; p < text + strlen(text) - strlen(".sync:2"); p++)
		{
			if (*p == ':')
				colon = p;
		}
	}
	if (colon == NULL)
		colon = text;
	state->resource_type = pnstrdup(text, colon - text);
	state->resource_action = pstrdup(*colon == ':' ? colon + 1 : colon);
}

/* Resource, and whether an EXPRESS machine may have it. */
static void
saga_compile_resource(SagaCheck *check, SagaState *state, const JsonbValue *object,
					  const SagaLocation *at)
{
	char	   *text = saga_check_string(check, object, at, "Resource", true);
	SagaResource *resource = &state->resource;

	if (text == NULL)
		return;
	if (!saga_resource_parse(text, resource))
	{
		saga_check_member_error(check, at, "Resource", SAGA_SCHEMA_FAULT,
								"The resource provided %s is not recognized. The value is not a valid "
								"resource ARN, or the resource is not available.", text);
		resource->text = NULL;
		return;
	}
	if (check->express && (resource->wait_for_token || resource->sync != 0))
		saga_check_member_error(check, at, "Resource", SAGA_SCHEMA_FAULT,
								"Express state machine does not support '%s' service integration",
								resource->wait_for_token ? ".waitForTaskToken" : ".sync");
	else if (check->express && resource->kind == SAGA_RES_ACTIVITY)
		saga_check_member_error(check, at, "Resource", SAGA_SCHEMA_FAULT,
								"Express state machine does not support activities: '%s'", text);
	else if (resource->kind == SAGA_RES_ACTIVITY && (resource->wait_for_token || resource->sync != 0))
		saga_check_member_error(check, at, "Resource", SAGA_SCHEMA_FAULT,
								"The resource provided %s is not recognized. The answer of an activity is "
								"waited for without '%s'.", text, resource->wait_for_token ? ".waitForTaskToken" : ".sync");
	saga_name_resource(state);
}

static void
saga_compile_task(SagaCheck *check, SagaState *state, const JsonbValue *object,
				  const SagaLocation *at)
{
	SagaLocation credentials_at = {.up = at, .name = "Credentials"};
	JsonbValue	value;
	int64		seconds;

	saga_compile_resource(check, state, object, at);
	saga_check_pair(check, object, at, "TimeoutSeconds", "TimeoutSecondsPath");
	saga_check_pair(check, object, at, "HeartbeatSeconds", "HeartbeatSecondsPath");
	if (saga_check_integer(check, object, at, "TimeoutSeconds", 1, SAGA_MAX_SECONDS, &seconds))
		state->timeout_ms = seconds * 1000;
	if (saga_check_integer(check, object, at, "HeartbeatSeconds", 1, SAGA_MAX_SECONDS, &seconds))
		state->heartbeat_ms = seconds * 1000;
	if (state->timeout_ms > 0 && state->heartbeat_ms >= state->timeout_ms)
		saga_check_member_error(check, at, "HeartbeatSeconds", SAGA_SCHEMA_FAULT,
								"HeartbeatSeconds must be smaller than TimeoutSeconds");
	saga_check_path(check, object, at, "TimeoutSecondsPath", false, false, &state->timeout_path);
	saga_check_path(check, object, at, "HeartbeatSecondsPath", false, false, &state->heartbeat_path);

	state->commit = saga_check_bool(check, object, at, "Commit");
	state->credentials = saga_check_template(check, object, at, "Credentials");
	if (state->credentials != NULL && saga_member(object, "Credentials", &value) &&
		!saga_member(&value, "RoleArn", &value) && !saga_member(&value, "RoleArn.$", &value))
		saga_check_error(check, &credentials_at, SAGA_SCHEMA_FAULT,
						 "The field 'RoleArn' is required but was missing");
}

/* ---------- Choice ---------- */

static void
saga_compile_choice(SagaCheck *check, SagaState *state, const JsonbValue *object,
					const SagaLocation *at)
{
	SagaLocation list_at = {.up = at, .name = "Choices"};
	JsonbValue	list;
	int			count;
	int			i;

	state->next = saga_check_target(check, object, at, "Default", state->scope);
	if (!saga_member(object, "Choices", &list))
	{
		saga_check_error(check, at, SAGA_SCHEMA_FAULT, "The field 'Choices' is required but was missing");
		return;
	}
	if (!saga_check_array(check, object, at, "Choices", &list))
		return;
	count = JsonContainerSize(list.val.binary.data);
	if (count == 0)
	{
		saga_check_error(check, &list_at, SAGA_SCHEMA_FAULT, "Value cannot be empty");
		return;
	}
	state->choices = palloc0(sizeof(SagaChoice) * count);
	for (i = 0; i < count; i++)
	{
		SagaLocation here = {.up = &list_at, .index = i};
		JsonbValue *element = getIthJsonbValueFromContainer(list.val.binary.data, i);
		SagaChoice *choice = &state->choices[state->nchoices];
		JsonbValue	next;
		char	   *error = NULL;
		char	   *location = NULL;

		if (!saga_is_object(element))
		{
			saga_check_error(check, &here, SAGA_SCHEMA_FAULT, "Expected value of type Object");
			continue;
		}
		state->nchoices++;
		if (!saga_member(element, "Next", &next))
			saga_check_error(check, &here, SAGA_SCHEMA_FAULT,
							 "The field 'Next' is required but was missing");
		else
			choice->next = saga_check_target(check, element, &here, "Next", state->scope);
		choice->assign = saga_check_template(check, element, &here, "Assign");
		choice->rule = saga_rule_parse(element, &error, &location);
		if (choice->rule == NULL)
			saga_check_error_below(check, &here, location, SAGA_SCHEMA_FAULT,
								   error ? error : "invalid rule");
	}
}

/* ---------- Wait, Pass, Fail ---------- */

static void
saga_compile_wait(SagaCheck *check, SagaState *state, const JsonbValue *object,
				  const SagaLocation *at)
{
	static const char *const names[] = {"Seconds", "SecondsPath", "Timestamp", "TimestampPath"};
	int64		seconds;
	char	   *text;

	if (saga_check_exclusive(check, object, at, names, lengthof(names)) == 0)
		saga_check_error(check, at, SAGA_SCHEMA_FAULT,
						 "One of these fields is required: [Seconds, SecondsPath, Timestamp, TimestampPath]");
	if (saga_check_integer(check, object, at, "Seconds", 0, SAGA_MAX_SECONDS, &seconds))
		state->wait_ms = seconds * 1000;
	text = saga_check_string(check, object, at, "Timestamp", false);
	if (text != NULL)
	{
		state->has_wait_until = true;
		if (!saga_timestamp_parse(text, strlen(text), &state->wait_until, NULL))
			saga_check_member_error(check, at, "Timestamp", SAGA_SCHEMA_FAULT,
									"String does not match RFC3339 timestamp");
	}
	saga_check_path(check, object, at, "SecondsPath", false, false, &state->seconds_path);
	saga_check_path(check, object, at, "TimestampPath", false, false, &state->timestamp_path);
}

static void
saga_compile_pass(SagaCheck *check, SagaState *state, const JsonbValue *object,
				  const SagaLocation *at)
{
	JsonbValue	value;

	if (saga_member(object, "Result", &value))
		state->result = saga_jsonb_from_value(&value);
}

static void
saga_compile_fail(SagaCheck *check, SagaState *state, const JsonbValue *object,
				  const SagaLocation *at)
{
	saga_check_pair(check, object, at, "Error", "ErrorPath");
	saga_check_pair(check, object, at, "Cause", "CausePath");
	state->error = saga_check_string(check, object, at, "Error", false);
	state->cause = saga_check_string(check, object, at, "Cause", false);
	state->error_path = saga_check_expr(check, object, at, "ErrorPath");
	state->cause_path = saga_check_expr(check, object, at, "CausePath");
}

/* ---------- any state ---------- */

/* False: the state is in a language that is not known here. */
static bool
saga_check_language(SagaCheck *check, const JsonbValue *object, const SagaLocation *at)
{
	char	   *text = saga_check_string(check, object, at, "QueryLanguage", false);

	if (text == NULL || strcmp(text, "JSONPath") == 0)
		return true;
	if (strcmp(text, "JSONata") == 0)
		saga_check_member_error(check, at, "QueryLanguage", SAGA_LANGUAGE_FAULT,
								"QueryLanguage \"JSONata\" is not supported yet; use \"JSONPath\"");
	else
		saga_check_member_error(check, at, "QueryLanguage", SAGA_SCHEMA_FAULT,
								"The field 'QueryLanguage' should have one of these values: [JSONPath, JSONata]");
	return false;
}

/*
 * Fills in a state whose type is known, but for the States objects inside it.
 * False: it cannot be read, and what is inside it is not looked at either.
 */
bool
saga_state_compile(SagaCheck *check, SagaState *state, const JsonbValue *object,
				   const SagaLocation *at)
{
	if (!saga_check_language(check, object, at))
		return false;
	saga_check_fields(check, state, object, at);
	(void) saga_check_string(check, object, at, "Comment", false);
	saga_compile_next(check, state, object, at);

	saga_check_path(check, object, at, "InputPath", true, false, &state->input_path);
	saga_check_path(check, object, at, "OutputPath", true, false, &state->output_path);
	if ((1 << state->type) & (SAGA_CALLING | T(PASS)))
	{
		saga_check_path(check, object, at, "ResultPath", true, true, &state->result_path);
		/* those of a Map are its ItemSelector */
		if (state->type != SAGA_STATE_MAP)
			state->parameters = saga_check_template(check, object, at, "Parameters");
	}
	if ((1 << state->type) & SAGA_CALLING)
	{
		state->result_selector = saga_check_template(check, object, at, "ResultSelector");
		saga_compile_retriers(check, state, object, at);
		saga_compile_catchers(check, state, object, at);
	}
	if ((1 << state->type) & (SAGA_FLOWING | T(CHOICE)))
		state->assign = saga_check_template(check, object, at, "Assign");

	switch (state->type)
	{
		case SAGA_STATE_TASK:
			saga_compile_task(check, state, object, at);
			break;
		case SAGA_STATE_PASS:
			saga_compile_pass(check, state, object, at);
			break;
		case SAGA_STATE_CHOICE:
			saga_compile_choice(check, state, object, at);
			break;
		case SAGA_STATE_WAIT:
			saga_compile_wait(check, state, object, at);
			break;
		case SAGA_STATE_FAIL:
			saga_compile_fail(check, state, object, at);
			break;
		case SAGA_STATE_MAP:
			saga_compile_map(check, state, object, at);
			break;
		case SAGA_STATE_SUCCEED:
		case SAGA_STATE_PARALLEL:
			break;
	}
	return true;
}
