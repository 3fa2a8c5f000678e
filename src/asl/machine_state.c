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

/* The languages that a field is for. */
#define P			1
#define Q			2
#define PQ			(P | Q)

static const struct
{
	const char *name;
	int			types;
	int			languages;
}			saga_fields[] = {
	{"Type", SAGA_ALL_TYPES, PQ},
	{"Comment", SAGA_ALL_TYPES, PQ},
	{"QueryLanguage", SAGA_ALL_TYPES, PQ},
	{"InputPath", SAGA_ALL_TYPES & ~T(FAIL), P},
	{"OutputPath", SAGA_ALL_TYPES & ~T(FAIL), P},
	{"Output", SAGA_ALL_TYPES & ~T(FAIL), Q},
	{"Next", SAGA_FLOWING, PQ},
	{"End", SAGA_FLOWING, PQ},
	{"Assign", SAGA_FLOWING | T(CHOICE), PQ},
	{"ResultPath", SAGA_CALLING | T(PASS), P},
	{"Parameters", SAGA_CALLING | T(PASS), P},
	{"Arguments", T(TASK) | T(PARALLEL), Q},
	{"ResultSelector", SAGA_CALLING, P},
	{"Retry", SAGA_CALLING, PQ},
	{"Catch", SAGA_CALLING, PQ},
	{"Compensate", SAGA_CALLING, PQ},
	{"Commit", T(TASK), PQ},
	{"Result", T(PASS), P},
	{"Resource", T(TASK), PQ},
	{"Credentials", T(TASK), PQ},
	{"TimeoutSeconds", T(TASK), PQ},
	{"TimeoutSecondsPath", T(TASK), P},
	{"HeartbeatSeconds", T(TASK), PQ},
	{"HeartbeatSecondsPath", T(TASK), P},
	{"Choices", T(CHOICE), PQ},
	{"Default", T(CHOICE), PQ},
	{"Seconds", T(WAIT), PQ},
	{"SecondsPath", T(WAIT), P},
	{"Timestamp", T(WAIT), PQ},
	{"TimestampPath", T(WAIT), P},
	{"Error", T(FAIL), PQ},
	{"ErrorPath", T(FAIL), P},
	{"Cause", T(FAIL), PQ},
	{"CausePath", T(FAIL), P},
	{"Branches", T(PARALLEL), PQ},
	{"ItemProcessor", T(MAP), PQ},
	{"Iterator", T(MAP), PQ},
	{"ItemsPath", T(MAP), P},
	{"Items", T(MAP), Q},
	{"ItemSelector", T(MAP), PQ},
	{"MaxConcurrency", T(MAP), PQ},
	{"MaxConcurrencyPath", T(MAP), P},
	{"ToleratedFailureCount", T(MAP), PQ},
	{"ToleratedFailureCountPath", T(MAP), P},
	{"ToleratedFailurePercentage", T(MAP), PQ},
	{"ToleratedFailurePercentagePath", T(MAP), P},
	{"Label", T(MAP), PQ},
	{"ItemReader", T(MAP), PQ},
	{"ItemBatcher", T(MAP), PQ},
	{"ResultWriter", T(MAP), PQ},
};

/* Reports every member that a state of this type and language cannot have. */
static void
check_fields(SagaCheck *check, SagaState *state, const JsonbValue *object,
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
		name = saga_asl_string_of(&value);
		for (i = 0; i < lengthof(saga_fields); i++)
		{
			if ((saga_fields[i].types & (1 << state->type)) != 0 &&
				strcmp(name, saga_fields[i].name) == 0)
				break;
		}
		if (i == lengthof(saga_fields))
			saga_check_member_error(check, at, name, SAGA_SCHEMA_FAULT, "Field is not supported");
		else if ((saga_fields[i].languages & (check->jsonata ? Q : P)) == 0)
			saga_check_member_error(check, at, name, SAGA_SCHEMA_FAULT,
									"Field is not supported when 'QueryLanguage' is %s",
									check->jsonata ? "JSONata" : "JSONPath");
	}
}

/* ---------- transitions ---------- */

/* Next or End, one of them; a handler, which is named by Compensate, has neither. */
static void
compile_next(SagaCheck *check, SagaState *state, const JsonbValue *object,
			 const SagaLocation *at)
{
	JsonbValue	value;
	bool		has_next = saga_asl_member(object, "Next", &value);
	bool		end = saga_check_bool(check, object, at, "End");

	if (state->is_handler)
	{
		if (state->type != SAGA_STATE_TASK)
			saga_check_member_error(check, at, "Type", SAGA_SCHEMA_FAULT,
									"State \"%s\" is named by Compensate and must be a Task", state->name);
		if (has_next)
			saga_check_member_error(check, at, "Next", SAGA_SCHEMA_FAULT,
									"State \"%s\" is named by Compensate and cannot have 'Next'", state->name);
		if (saga_asl_member(object, "End", &value))
			saga_check_member_error(check, at, "End", SAGA_SCHEMA_FAULT,
									"State \"%s\" is named by Compensate and cannot have 'End'", state->name);
		if (saga_asl_member(object, "Catch", &value))
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
name_resource(SagaState *state)
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
compile_resource(SagaCheck *check, SagaState *state, const JsonbValue *object,
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
	name_resource(state);
}

static void
compile_task(SagaCheck *check, SagaState *state, const JsonbValue *object,
			 const SagaLocation *at)
{
	SagaLocation credentials_at = {.up = at, .name = "Credentials"};
	JsonbValue	value;
	int64		seconds;

	compile_resource(check, state, object, at);
	saga_check_pair(check, object, at, "TimeoutSeconds", "TimeoutSecondsPath");
	saga_check_pair(check, object, at, "HeartbeatSeconds", "HeartbeatSecondsPath");
	if (saga_check_count(check, object, at, "TimeoutSeconds", 1, SAGA_MAX_SECONDS, &seconds, &state->timeout_path))
		state->timeout_ms = seconds * 1000;
	if (saga_check_count(check, object, at, "HeartbeatSeconds", 1, SAGA_MAX_SECONDS, &seconds, &state->heartbeat_path))
		state->heartbeat_ms = seconds * 1000;
	if (state->timeout_ms > 0 && state->heartbeat_ms >= state->timeout_ms)
		saga_check_member_error(check, at, "HeartbeatSeconds", SAGA_SCHEMA_FAULT,
								"HeartbeatSeconds must be smaller than TimeoutSeconds");
	saga_check_path(check, object, at, "TimeoutSecondsPath", false, false, &state->timeout_path);
	saga_check_path(check, object, at, "HeartbeatSecondsPath", false, false, &state->heartbeat_path);

	state->commit = saga_check_bool(check, object, at, "Commit");
	state->credentials = saga_check_payload(check, object, at, "Credentials", SAGA_SEES_INPUT);
	if (state->credentials != NULL && saga_asl_member(object, "Credentials", &value) && saga_asl_is_object(&value) &&
		!saga_asl_member(&value, "RoleArn", &value) && !saga_asl_member(&value, "RoleArn.$", &value))
		saga_check_error(check, &credentials_at, SAGA_SCHEMA_FAULT,
						 "The field 'RoleArn' is required but was missing");
}

/* ---------- Choice ---------- */

/* What a rule of a JSONata state says of its data: true, false or an expression that gives one of both. */
static void
compile_condition(SagaCheck *check, SagaChoice *choice, const JsonbValue *rule, const SagaLocation *at)
{
	static const char *const known[] = {"Condition", "Next", "Assign", "Output", "Comment"};
	JsonbValue	value;

	saga_check_known(check, rule, at, known, lengthof(known));
	if (!saga_asl_member(rule, "Condition", &value))
	{
		saga_check_error(check, at, SAGA_SCHEMA_FAULT, "The field 'Condition' is required but was missing");
		return;
	}
	choice->condition = saga_check_query(check, rule, at, "Condition", SAGA_SEES_INPUT);
	if (choice->condition->kind != SAGA_QUERY_EXPRESSION && value.type != jbvBool)
		saga_check_member_error(check, at, "Condition", SAGA_SCHEMA_FAULT,
								"Expected a JSONata expression, or value of type Boolean");
}

/* What a rule says of its data, in the language of the state. */
static void
compile_rule(SagaCheck *check, SagaChoice *choice, const JsonbValue *rule, const SagaLocation *at)
{
	char	   *error = NULL;
	char	   *location = NULL;

	if (check->jsonata)
	{
		compile_condition(check, choice, rule, at);
		return;
	}
	choice->rule = saga_jsonpath_rule_parse(rule, &error, &location);
	if (choice->rule == NULL)
		saga_check_error_below(check, at, location, SAGA_SCHEMA_FAULT, error ? error : "invalid rule");
}

static void
compile_choice(SagaCheck *check, SagaState *state, const JsonbValue *object,
			   const SagaLocation *at)
{
	SagaLocation list_at = {.up = at, .name = "Choices"};
	JsonbValue	list;
	int			count;
	int			i;

	state->next = saga_check_target(check, object, at, "Default", state->scope);
	if (!saga_asl_member(object, "Choices", &list))
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

		if (!saga_asl_is_object(element))
		{
			saga_check_error(check, &here, SAGA_SCHEMA_FAULT, "Expected value of type Object");
			continue;
		}
		state->nchoices++;
		if (!saga_asl_member(element, "Next", &next))
			saga_check_error(check, &here, SAGA_SCHEMA_FAULT,
							 "The field 'Next' is required but was missing");
		else
			choice->next = saga_check_target(check, element, &here, "Next", state->scope);
		choice->exit.assign = saga_check_assign(check, element, &here, SAGA_SEES_INPUT);
		if (check->jsonata)
			choice->exit.output = saga_check_payload(check, element, &here, "Output", SAGA_SEES_INPUT);
		compile_rule(check, choice, element, &here);
	}
}

/* ---------- Wait, Pass, Fail ---------- */

static void
compile_wait(SagaCheck *check, SagaState *state, const JsonbValue *object,
			 const SagaLocation *at)
{
	static const char *const names[] = {"Seconds", "SecondsPath", "Timestamp", "TimestampPath"};
	int64		seconds;
	char	   *text;

	if (saga_check_exclusive(check, object, at, names, lengthof(names)) == 0)
		saga_check_error(check, at, SAGA_SCHEMA_FAULT,
						 "One of these fields is required: [Seconds, SecondsPath, Timestamp, TimestampPath]");
	if (saga_check_count(check, object, at, "Seconds", 0, SAGA_MAX_SECONDS, &seconds, &state->seconds_path))
		state->wait_ms = seconds * 1000;
	text = saga_check_text(check, object, at, "Timestamp", &state->timestamp_path);
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
compile_pass(SagaCheck *check, SagaState *state, const JsonbValue *object,
			 const SagaLocation *at)
{
	JsonbValue	value;

	if (saga_asl_member(object, "Result", &value))
		state->result = saga_jsonb_from_value(&value);
}

static void
compile_fail(SagaCheck *check, SagaState *state, const JsonbValue *object,
			 const SagaLocation *at)
{
	saga_check_pair(check, object, at, "Error", "ErrorPath");
	saga_check_pair(check, object, at, "Cause", "CausePath");
	state->error = saga_check_text(check, object, at, "Error", &state->error_query);
	state->cause = saga_check_text(check, object, at, "Cause", &state->cause_query);
	state->error_path = saga_check_expr(check, object, at, "ErrorPath");
	state->cause_path = saga_check_expr(check, object, at, "CausePath");
}

/* ---------- any state ---------- */

/* How the data flows through it, and what is done about errors. */
static void
compile_data(SagaCheck *check, SagaState *state, const JsonbValue *object, const SagaLocation *at)
{
	bool		calling = ((1 << state->type) & SAGA_CALLING) != 0;
	SagaSees	sees = calling ? SAGA_SEES_RESULT : SAGA_SEES_INPUT;

	if (check->jsonata)
	{
		state->parameters = saga_check_payload(check, object, at, "Arguments", SAGA_SEES_INPUT);
		state->exit.output = saga_check_payload(check, object, at, "Output", sees);
	}
	else
	{
		saga_check_path(check, object, at, "InputPath", true, false, &state->input_path);
		saga_check_path(check, object, at, "OutputPath", true, false, &state->output_path);
		if (calling || state->type == SAGA_STATE_PASS)
		{
			saga_check_path(check, object, at, "ResultPath", true, true, &state->result_path);
			/* those of a Map are its ItemSelector */
			if (state->type != SAGA_STATE_MAP)
				state->parameters = saga_check_payload(check, object, at, "Parameters", SAGA_SEES_INPUT);
		}
		if (calling)
			state->result_selector = saga_check_payload(check, object, at, "ResultSelector", SAGA_SEES_INPUT);
	}
	if (calling)
	{
		saga_compile_retriers(check, state, object, at);
		saga_compile_catchers(check, state, object, at);
	}
	if ((1 << state->type) & (SAGA_FLOWING | T(CHOICE)))
		state->exit.assign = saga_check_assign(check, object, at, sees);
}

/*
 * Fills in a state whose type is known, but for the States objects inside it.
 * False: it cannot be read, and what is inside it is not looked at either.
 */
bool
saga_state_compile(SagaCheck *check, SagaState *state, const JsonbValue *object,
				   const SagaLocation *at)
{
	check->jsonata = check->inner_jsonata;
	check->state_at = at;
	if (!saga_check_language(check, object, at, &check->jsonata))
		return false;
	state->jsonata = check->jsonata;
	check_fields(check, state, object, at);
	(void) saga_check_string(check, object, at, "Comment", false);
	compile_next(check, state, object, at);
	compile_data(check, state, object, at);

	switch (state->type)
	{
		case SAGA_STATE_TASK:
			compile_task(check, state, object, at);
			break;
		case SAGA_STATE_PASS:
			compile_pass(check, state, object, at);
			break;
		case SAGA_STATE_CHOICE:
			compile_choice(check, state, object, at);
			break;
		case SAGA_STATE_WAIT:
			compile_wait(check, state, object, at);
			break;
		case SAGA_STATE_FAIL:
			compile_fail(check, state, object, at);
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
