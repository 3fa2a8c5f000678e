/*
 * resource.c
 *		The URI of a Task's Resource.
 */
#include "postgres.h"

#include "asl/asl.h"

#define SAGA_SERVICE_PREFIX "arn:aws:states:::"

/* Actions of the services whose list is short and known; others are taken as written. */
static const char *const saga_known_actions[] = {
	"apigateway:invoke",
	"batch:submitJob",
	"dynamodb:deleteItem",
	"dynamodb:getItem",
	"dynamodb:putItem",
	"dynamodb:updateItem",
	"ecs:runTask",
	"events:putEvents",
	"glue:startJobRun",
	"http:invoke",
	"lambda:invoke",
	"sns:publish",
	"sqs:sendMessage",
	"states:startExecution",
};

static bool
cut_suffix(char *text, const char *suffix)
{
	size_t		length = strlen(text);
	size_t		cut = strlen(suffix);

	if (length <= cut || strcmp(text + length - cut, suffix) != 0)
		return false;
	text[length - cut] = '\0';
	return true;
}

/* Does the list know the service of "service:action", and if so, the action? */
static bool
action_is_known(const char *name)
{
	const char *colon = strchr(name, ':');
	bool		service_known = false;
	size_t		service_length;
	int			i;

	if (colon == NULL || colon == name || colon[1] == '\0')
		return false;
	service_length = colon - name + 1;
	for (i = 0; i < lengthof(saga_known_actions); i++)
	{
		if (strcmp(name, saga_known_actions[i]) == 0)
			return true;
		if (strncmp(name, saga_known_actions[i], service_length) == 0)
			service_known = true;
	}
	return !service_known;
}

static bool
parse_service(SagaResource *resource, const char *name)
{
	if (!action_is_known(name))
		return false;
	if (strcmp(name, "http:invoke") == 0)
		resource->kind = SAGA_RES_HTTP;
	else if (strcmp(name, "sns:publish") == 0)
		resource->kind = SAGA_RES_SNS;
	else if (strcmp(name, "sqs:sendMessage") == 0)
		resource->kind = SAGA_RES_SQS;
	else if (strcmp(name, "states:startExecution") == 0)
		resource->kind = SAGA_RES_START_EXECUTION;
	else
		resource->kind = SAGA_RES_OTHER;
	return true;
}

/* "schema.function": both parts there; the engine looks the function up. */
static bool
is_function_name(const char *name)
{
	const char *dot = strchr(name, '.');

	return dot != NULL && dot != name && dot[1] != '\0';
}

/* The part after so many colons, to the end; NULL: it has fewer. */
static const char *
arn_part(const char *arn, int n)
{
	const char *p = arn;

	while (p != NULL && n-- > 0)
	{
		p = strchr(p, ':');
		if (p != NULL)
			p++;
	}
	return p;
}

/* arn:partition:states:region:account:activity:name; a function may be called "activity", too. */
static const char *
activity_name(const char *arn)
{
	const char *service = arn_part(arn, 2);
	const char *activity = arn_part(arn, 5);

	if (activity == NULL || strncmp(service, "states:", strlen("states:")) != 0 ||
		strncmp(activity, "activity:", strlen("activity:")) != 0)
		return NULL;
	return activity + strlen("activity:");
}

static bool
parse_arn(SagaResource *resource)
{
	const char *activity = activity_name(resource->name);

	if (arn_part(resource->name, 5) == NULL)
		return false;
	if (activity != NULL)
	{
		resource->kind = SAGA_RES_ACTIVITY;
		resource->name = pstrdup(activity);
		return resource->name[0] != '\0';
	}
	resource->kind = SAGA_RES_OTHER;
	return true;
}

bool
saga_resource_parse(const char *text, SagaResource *resource)
{
	memset(resource, 0, sizeof(SagaResource));
	resource->text = pstrdup(text);
	resource->name = pstrdup(text);
	if (cut_suffix(resource->name, ".waitForTaskToken"))
		resource->wait_for_token = true;
	else if (cut_suffix(resource->name, ".sync:2"))
		resource->sync = 2;
	else if (cut_suffix(resource->name, ".sync"))
		resource->sync = 1;

	if (strncmp(resource->name, "sql:", 4) == 0)
	{
		resource->kind = SAGA_RES_SQL;
		resource->name += 4;
		return resource->sync == 0 && is_function_name(resource->name);
	}
	if (strcmp(resource->name, "saga:publish") == 0)
	{
		resource->kind = SAGA_RES_PUBLISH;
		return resource->sync == 0;
	}
	if (strcmp(resource->name, "arn:aws:states:::aws-sdk:sfn:startExecution") == 0)
	{
		resource->kind = SAGA_RES_START_EXECUTION;
		return resource->sync == 0;
	}
	if (strncmp(resource->name, SAGA_SERVICE_PREFIX, strlen(SAGA_SERVICE_PREFIX)) == 0 &&
		activity_name(resource->name) == NULL)
		return parse_service(resource, resource->name + strlen(SAGA_SERVICE_PREFIX));
	if (strncmp(resource->name, "arn:", 4) == 0)
		return parse_arn(resource);
	return false;
}

const char *
saga_resource_workflow(const char *text)
{
	static const char machine[] = ":stateMachine:";
	const char *name = strncmp(text, "arn:", 4) == 0 ? strstr(text, machine) : NULL;

	if (name != NULL)
		return name + strlen(machine);
	return strncmp(text, "saga:", 5) == 0 ? text + 5 : text;
}
