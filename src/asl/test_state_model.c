/*
 * test_state_model.c
 *		What the APIs behind a Task answer, as far as it is written down here:
 *		a mocked result has to be like that.
 *
 * A shape is a short text:
 *
 *		s	a string			i	an integer			n	a number
 *		b	true or false		t	a time, as text or a number
 *		a	an attribute of DynamoDB
 *		*	anything			[x]	an array of x		<x>	an object, each member an x
 *		{name:x name!:x}		an object with these members; "!": it is always there
 *
 * As at AWS a member that the model does not have is left alone, and so is
 * one that is null, unless it has to be there.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "asl/check_private.h"
#include "asl/test_state_private.h"

#define SAGA_SERVICE_ARN	"arn:aws:states:::"

#define SAGA_ATTRIBUTE	"{S:s N:s B:s SS:[s] NS:[s] BS:[s] M:<a> L:[a] NULL:b BOOL:b}"
#define SAGA_CAPACITY	"{TableName:s CapacityUnits:n ReadCapacityUnits:n WriteCapacityUnits:n Table:* " \
						"LocalSecondaryIndexes:<*> GlobalSecondaryIndexes:<*>}"
#define SAGA_COLLECTION	"{ItemCollectionKey:<a> SizeEstimateRangeGB:[n]}"
#define SAGA_WRITTEN	"{Attributes:<a> ConsumedCapacity:" SAGA_CAPACITY " ItemCollectionMetrics:" SAGA_COLLECTION "}"
#define SAGA_FOUND		"{Items:[<a>] Count:i ScannedCount:i LastEvaluatedKey:<a> ConsumedCapacity:" SAGA_CAPACITY "}"
#define SAGA_CHILD		"ExecutionArn!:s StateMachineArn!:s Name:s Status!:s StartDate!:t StopDate:t TraceHeader:s " \
						"MapRunArn:s Error:s Cause:s StateMachineVersionArn:s StateMachineAliasArn:s RedriveCount:i " \
						"RedriveDate:t RedriveStatus:s RedriveStatusReason:s InputDetails:{Included:b} OutputDetails:{Included:b}"

typedef struct SagaModel
{
	const char *action;			/* "service:action" and the suffix */
	const char *shape;
} SagaModel;

static const SagaModel saga_models[] = {
	{"lambda:invoke", "{StatusCode:i FunctionError:s LogResult:s Payload:* ExecutedVersion:s}"},
	{"states:startExecution", "{ExecutionArn!:s StartDate!:t}"},
	{"states:startExecution.sync", "{" SAGA_CHILD " Input:s Output:s}"},
	{"states:startExecution.sync:2", "{" SAGA_CHILD " Input:* Output:*}"},
	{"states:describeExecution", "{" SAGA_CHILD " Input:s Output:s}"},
	{"states:startSyncExecution", "{ExecutionArn!:s StateMachineArn:s Name:s StartDate!:t StopDate!:t Status!:s Error:s Cause:s "
		"Input:s InputDetails:{Included:b} Output:s OutputDetails:{Included:b} TraceHeader:s "
	"BillingDetails:{BilledMemoryUsedInMB:i BilledDurationInMilliseconds:i}}"},
	{"states:stopExecution", "{StopDate!:t}"},
	{"states:redriveExecution", "{RedriveDate!:t}"},
	{"states:sendTaskSuccess", "{}"},
	{"states:sendTaskFailure", "{}"},
	{"states:sendTaskHeartbeat", "{}"},
	{"sqs:sendMessage", "{MD5OfMessageBody:s MD5OfMessageAttributes:s MD5OfMessageSystemAttributes:s MessageId:s SequenceNumber:s}"},
	{"sns:publish", "{MessageId:s SequenceNumber:s}"},
	{"events:putEvents", "{FailedEntryCount:i Entries:[{EventId:s ErrorCode:s ErrorMessage:s}]}"},
	{"dynamodb:getItem", "{Item:<a> ConsumedCapacity:" SAGA_CAPACITY "}"},
	{"dynamodb:putItem", SAGA_WRITTEN},
	{"dynamodb:updateItem", SAGA_WRITTEN},
	{"dynamodb:deleteItem", SAGA_WRITTEN},
	{"dynamodb:query", SAGA_FOUND},
	{"dynamodb:scan", SAGA_FOUND},
	{"s3:getObject", "{Body:* AcceptRanges:s ContentLength:i ContentType:s ContentEncoding:s ETag:s LastModified:t Metadata:<s> "
	"VersionId:s StorageClass:s DeleteMarker:b Expiration:s MissingMeta:i PartsCount:i TagCount:i}"},
	{"s3:putObject", "{ETag:s Expiration:s VersionId:s ServerSideEncryption:s SSEKMSKeyId:s BucketKeyEnabled:b Size:i}"},
	{"s3:deleteObject", "{DeleteMarker:b VersionId:s RequestCharged:s}"},
	{"s3:listObjects", "{IsTruncated:b Marker:s NextMarker:s Name:s Prefix:s Delimiter:s MaxKeys:i EncodingType:s "
	"Contents:[{Key:s LastModified:t ETag:s Size:i StorageClass:s}] CommonPrefixes:[{Prefix:s}]}"},
	{"s3:listObjectsV2", "{IsTruncated:b Name:s Prefix:s Delimiter:s MaxKeys:i KeyCount:i ContinuationToken:s NextContinuationToken:s "
	"StartAfter:s Contents:[{Key:s LastModified:t ETag:s Size:i StorageClass:s}] CommonPrefixes:[{Prefix:s}]}"},
	{"s3:listBuckets", "{Buckets:[{Name:s CreationDate:t BucketRegion:s}] Owner:{DisplayName:s ID:s} ContinuationToken:s Prefix:s}"},
	{"secretsmanager:getSecretValue", "{ARN:s Name:s VersionId:s SecretBinary:* SecretString:s VersionStages:[s] CreatedDate:t}"},
	{"secretsmanager:createSecret", "{ARN:s Name:s VersionId:s ReplicationStatus:[*]}"},
};

static void check_shape(SagaCheck *check, const SagaLocation *at, const char *shape, const JsonbValue *value,
						bool strict);

/* Behind the shape that begins here. */
static const char *
shape_end(const char *shape)
{
	int			depth = 0;

	for (;; shape++)
	{
		if (*shape == '\0')
			elog(ERROR, "unterminated shape of a model");
		if (strchr("{[<", *shape) != NULL)
			depth++;
		else if (strchr("}]>", *shape) != NULL)
			depth--;
		if (depth == 0)
			return shape + 1;
	}
}

/* A time as JSON has it: a number of seconds, or a date, mostly with a time zone. */
static bool
is_time(const JsonbValue *value)
{
	TimestampTz at;
	char	   *text;

	if (value->type == jbvNumeric)
		return true;
	if (value->type != jbvString)
		return false;
	text = saga_asl_string_of(value);
	return saga_timestamp_parse(text, strlen(text), &at, NULL) ||
		saga_timestamp_parse(psprintf("%sZ", text), strlen(text) + 1, &at, NULL);
}

static void
check_scalar(SagaCheck *check, const SagaLocation *at, char shape, const JsonbValue *value)
{
	int64		number;
	const char *wanted = NULL;

	if (shape == 's' && value->type != jbvString)
		wanted = "a string";
	else if (shape == 'n' && value->type != jbvNumeric)
		wanted = "a number";
	else if (shape == 'b' && value->type != jbvBool)
		wanted = "true or false";
	else if (shape == 't' && !is_time(value))
		wanted = "a time";
	else if (shape == 'i' && saga_asl_number_to_int64(value, PG_INT64_MIN, PG_INT64_MAX, &number) != SAGA_NUMBER_OK)
		wanted = "an integer";
	if (wanted != NULL)
		saga_check_error(check, at, SAGA_SCHEMA_FAULT, "has to be %s", wanted);
}

/* Every element of an array or member of an object has this shape. */
static void
check_each(SagaCheck *check, const SagaLocation *at, const char *shape, const JsonbValue *value, bool strict)
{
	SagaLocation here = {.up = at};
	SagaValueChildren children;

	saga_value_children_start(&children, value);
	while (!check->failed && saga_value_children_next(&children))
	{
		char	   *name = children.is_object ? saga_asl_string_of(&children.key) : NULL;

		CHECK_FOR_INTERRUPTS();
		here.name = name;
		check_shape(check, &here, shape, &children.value, strict);
		here.index++;
		if (name != NULL)
			pfree(name);
	}
}

/* The members of an object; shape: behind its brace. */
static void
check_members(SagaCheck *check, const SagaLocation *at, const char *shape, const JsonbValue *value, bool strict)
{
	while (!check->failed && *shape != '}')
	{
		int			len = strcspn(shape, "!:");
		bool		required = shape[len] == '!';
		char	   *name = pnstrdup(shape, len);
		SagaLocation here = {.up = at, .name = name};
		JsonbValue	member;

		shape += len + (required ? 2 : 1);
		if (saga_value_member(value, name, len, &member) && member.type != jbvNull)
			check_shape(check, &here, shape, &member, strict);
		else if (required && strict)
			saga_check_error(check, &here, SAGA_SCHEMA_FAULT, "is missing, and always there in an answer");
		pfree(name);
		shape = shape_end(shape);
		if (*shape == ' ')
			shape++;
	}
}

/* The value has the shape that begins there, or a diagnostic says why not. */
static void
check_shape(SagaCheck *check, const SagaLocation *at, const char *shape, const JsonbValue *value, bool strict)
{
	check_stack_depth();
	if (*shape == '*')
		return;
	if (*shape == 'a')
		shape = SAGA_ATTRIBUTE;
	if (*shape == '[' && !saga_value_is_array(value))
		saga_check_error(check, at, SAGA_SCHEMA_FAULT, "has to be an array");
	else if ((*shape == '<' || *shape == '{') && !saga_value_is_object(value))
		saga_check_error(check, at, SAGA_SCHEMA_FAULT, "has to be an object");
	else if (*shape == '{')
		check_members(check, at, shape + 1, value, strict);
	else if (*shape == '[' || *shape == '<')
		check_each(check, at, shape + 1, value, strict);
	else
		check_scalar(check, at, *shape, value);
}

/* The shape of what the resource answers; NULL: it is not written down here. */
static const char *
model_of(const SagaResource *resource)
{
	const char *name = resource->name;
	const char *suffix = resource->sync == 1 ? ".sync" : resource->sync == 2 ? ".sync:2" : "";
	char	   *action;
	int			i;

	/* the answer of a callback is what whoever has the token says */
	if (resource->wait_for_token || strncmp(name, SAGA_SERVICE_ARN, strlen(SAGA_SERVICE_ARN)) != 0)
		return NULL;
	name += strlen(SAGA_SERVICE_ARN);
	if (strncmp(name, "aws-sdk:", strlen("aws-sdk:")) == 0)
		name += strlen("aws-sdk:");
	if (strncmp(name, "sfn:", strlen("sfn:")) == 0)
		action = psprintf("states:%s%s", name + strlen("sfn:"), suffix);
	else
		action = psprintf("%s%s", name, suffix);
	for (i = 0; i < lengthof(saga_models); i++)
	{
		if (strcmp(saga_models[i].action, action) == 0)
			return saga_models[i].shape;
	}
	return NULL;
}

char *
saga_model_fault(const SagaResource *resource, Jsonb *result, bool strict)
{
	const char *shape = model_of(resource);
	SagaCheck	check = {.diagnostics_context = CurrentMemoryContext};
	SagaLocation at = {0};
	const SagaDiagnostic *diagnostic;
	JsonbValue	value;

	if (shape == NULL)
		return NULL;
	saga_jsonb_value(result, &value);
	check_shape(&check, &at, shape, &value, strict);
	if (!check.failed)
		return NULL;
	diagnostic = linitial(check.diagnostics);
	return psprintf("\"%s\" %s.", diagnostic->location, diagnostic->message);
}
