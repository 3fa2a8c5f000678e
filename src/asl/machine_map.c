/*
 * machine_map.c
 *		Compiles a Map: what is said of its items, and how they are processed.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "asl/check_private.h"

/* As at AWS. */
#define SAGA_MAX_LABEL_CHARS	40

/* What a label must not have beside white space and control characters. */
#define SAGA_LABEL_REFUSED		"?*<>{}[]:;,/\\|^~$#%&`\""

/* A label becomes part of the names of the executions that process items. */
static void
compile_label(SagaCheck *check, SagaState *state, const JsonbValue *object, const SagaLocation *at)
{
	char	   *label = saga_check_string(check, object, at, "Label", false);
	const char *p;

	if (label == NULL)
		return;
	if (*label == '\0')
		saga_check_member_error(check, at, "Label", SAGA_SCHEMA_FAULT, "Label cannot be empty");
	else if (pg_mbstrlen(label) > SAGA_MAX_LABEL_CHARS)
		saga_check_member_error(check, at, "Label", SAGA_SCHEMA_FAULT,
								"Label cannot exceed %d characters", SAGA_MAX_LABEL_CHARS);
	for (p = label; *p; p++)
	{
		unsigned char c = (unsigned char) *p;

		/* U+0080 to U+009F are control characters as well; an "è" is none */
		if (c <= ' ' || c == 0x7f || strchr(SAGA_LABEL_REFUSED, c) != NULL ||
			(GetDatabaseEncoding() == PG_UTF8 && c == 0xc2 && (unsigned char) p[1] < 0xa0))
		{
			saga_check_member_error(check, at, "Label", SAGA_SCHEMA_FAULT,
									"Label contains invalid characters");
			break;
		}
	}
	state->map->label = label;
}

/* ToleratedFailureCount and ToleratedFailurePercentage, fixed or at a path. */
static void
compile_tolerance(SagaCheck *check, SagaMapFields *map, const JsonbValue *object, const SagaLocation *at)
{
	double		percentage;

	saga_check_pair(check, object, at, "ToleratedFailureCount", "ToleratedFailureCountPath");
	saga_check_pair(check, object, at, "ToleratedFailurePercentage", "ToleratedFailurePercentagePath");
	if (saga_check_count(check, object, at, "ToleratedFailureCount", 0, PG_INT32_MAX, &map->tolerated_count,
						 &map->tolerated_count_path))
		map->tolerant = true;
	if (saga_check_share(check, object, at, "ToleratedFailurePercentage", 0, &percentage,
						 &map->tolerated_percentage_path))
	{
		if (percentage > 100)
			saga_check_member_error(check, at, "ToleratedFailurePercentage", SAGA_SCHEMA_FAULT,
									"The value must be less than or equal to 100");
		map->tolerated_percentage = percentage;
		map->tolerant = true;
	}
	saga_check_path(check, object, at, "ToleratedFailureCountPath", false, false, &map->tolerated_count_path);
	saga_check_path(check, object, at, "ToleratedFailurePercentagePath", false, false,
					&map->tolerated_percentage_path);
	if (SAGA_FIELD_IS_DYNAMIC(&map->tolerated_count_path) || SAGA_FIELD_IS_DYNAMIC(&map->tolerated_percentage_path))
		map->tolerant = true;
}

/* Items of a JSONata state: an array, or an expression that gives one. */
static void
compile_item_list(SagaCheck *check, SagaMapFields *map, const JsonbValue *object, const SagaLocation *at)
{
	JsonbValue	value;

	map->items_path.query = saga_check_query(check, object, at, "Items", SAGA_SEES_INPUT);
	if (map->items_path.query != NULL && map->items_path.query->kind != SAGA_QUERY_EXPRESSION &&
		saga_asl_member(object, "Items", &value) && !saga_asl_is_array(&value) && !saga_asl_is_object(&value))
		saga_check_member_error(check, at, "Items", SAGA_SCHEMA_FAULT,
								"Expected a JSONata expression, or value of type Array");
}

/* The fields of a Map, but for its processor. */
void
saga_compile_map(SagaCheck *check, SagaState *state, const JsonbValue *object, const SagaLocation *at)
{
	SagaMapFields *map = palloc0(sizeof(SagaMapFields));
	JsonbValue	value;

	state->map = map;
	map->tolerated_count = -1;
	map->tolerated_percentage = -1;
	saga_check_pair(check, object, at, "ItemProcessor", "Iterator");
	saga_check_pair(check, object, at, "ItemSelector", "Parameters");
	saga_check_pair(check, object, at, "MaxConcurrency", "MaxConcurrencyPath");
	saga_check_path(check, object, at, "ItemsPath", false, false, &map->items_path);
	map->item_selector = saga_check_payload(check, object, at,
											saga_asl_member(object, "ItemSelector", &value) ? "ItemSelector" : "Parameters",
											SAGA_SEES_INPUT);
	compile_item_list(check, map, object, at);
	(void) saga_check_count(check, object, at, "MaxConcurrency", 0, PG_INT32_MAX, &map->max_concurrency,
							&map->max_concurrency_path);
	saga_check_path(check, object, at, "MaxConcurrencyPath", false, false, &map->max_concurrency_path);
	compile_tolerance(check, map, object, at);
	compile_label(check, state, object, at);
}

/* The name of the field that has the States object for each item, and its value; NULL: there is none. */
const char *
saga_asl_map_processor(const JsonbValue *object, JsonbValue *processor)
{
	if (saga_asl_member(object, "ItemProcessor", processor))
		return "ItemProcessor";
	return saga_asl_member(object, "Iterator", processor) ? "Iterator" : NULL;
}

/* ProcessorConfig of the processor at "at": how the items are run. */
void
saga_compile_processor(SagaCheck *check, SagaState *state, const JsonbValue *processor, const SagaLocation *at)
{
	static const char *const known[] = {"Mode", "ExecutionType"};
	SagaLocation here = {.up = at, .name = "ProcessorConfig"};
	JsonbValue	config;
	JsonbValue	value;
	char	   *text;

	if (!saga_asl_member(processor, "ProcessorConfig", &config))
		return;
	if (!saga_asl_is_object(&config))
	{
		saga_check_error(check, &here, SAGA_SCHEMA_FAULT, "Expected value of type Object");
		return;
	}
	saga_check_known(check, &config, &here, known, lengthof(known));
	text = saga_check_string(check, &config, &here, "Mode", false);
	state->map->distributed = text != NULL && strcmp(text, "DISTRIBUTED") == 0;
	if (text != NULL && !state->map->distributed && strcmp(text, "INLINE") != 0)
		saga_check_member_error(check, &here, "Mode", SAGA_SCHEMA_FAULT,
								"The field 'Mode' should have one of these values: [INLINE, DISTRIBUTED]");
	text = saga_check_string(check, &config, &here, "ExecutionType", false);
	if (text != NULL && strcmp(text, "STANDARD") != 0 && strcmp(text, "EXPRESS") != 0)
		saga_check_member_error(check, &here, "ExecutionType", SAGA_SCHEMA_FAULT,
								"The field 'ExecutionType' should have one of these values: [STANDARD, EXPRESS]");
	else if (!state->map->distributed && saga_asl_member(&config, "ExecutionType", &value))
		saga_check_member_error(check, &here, "ExecutionType", SAGA_SCHEMA_FAULT,
								"Field 'ExecutionType' is only supported when 'Mode' is DISTRIBUTED");
	else if (state->map->distributed && text == NULL)
		saga_check_error(check, &here, SAGA_SCHEMA_FAULT,
						 "The field 'ExecutionType' is required when 'Mode' is DISTRIBUTED");
}
