/*
 * sqs.c
 *		The protocol of Amazon SQS, JSON 1.0: bodies of requests, and answers.
 *
 * A batch's entries have their number as id, from 0; answers come in any
 * order and name it.  Answers are read by json-c (json_read.h), and what is
 * kept of them is copied: a document goes with the context that it was read
 * in.
 */
#include "postgres.h"

#include "aws/sqs.h"
#include "common/compat.h"
#include "common/md5.h"
#include "net/json_read.h"
#include "utils/json.h"

/* ---------- requests ---------- */

char *
saga_sqs_target(const char *action)
{
	return psprintf("X-Amz-Target: AmazonSQS.%s", action);
}

void
saga_sqs_add_string(StringInfo body, const char *name, const char *text)
{
	appendStringInfo(body, ",\"%s\":", name);
	escape_json(body, text);
}

void
saga_sqs_begin(StringInfo body, const char *queue_url)
{
	initStringInfo(body);
	appendStringInfoString(body, "{\"QueueUrl\":");
	escape_json(body, queue_url);
}

/* AttributeNames is what servers know that are older than the other name. */
char *
saga_sqs_receive(const char *queue_url, int max, int wait_s, int visibility_s)
{
	StringInfoData body;

	saga_sqs_begin(&body, queue_url);
	appendStringInfo(&body, ",\"MaxNumberOfMessages\":%d,\"WaitTimeSeconds\":%d,\"VisibilityTimeout\":%d"
					 ",\"MessageSystemAttributeNames\":[\"All\"],\"AttributeNames\":[\"All\"]"
					 ",\"MessageAttributeNames\":[\"All\"]}", max, wait_s, visibility_s);
	return body.data;
}

/* A request about so many messages, by their receipt handles; their ids are the positions. */
static char *
receipt_batch(const char *queue_url, char **receipts, int n, const char *more)
{
	StringInfoData body;
	int			i;

	saga_sqs_begin(&body, queue_url);
	appendStringInfoString(&body, ",\"Entries\":[");
	for (i = 0; i < n; i++)
	{
		appendStringInfo(&body, "%s{\"Id\":\"%d\"", i > 0 ? "," : "", i);
		saga_sqs_add_string(&body, "ReceiptHandle", receipts[i]);
		appendStringInfo(&body, "%s}", more);
	}
	appendStringInfoString(&body, "]}");
	return body.data;
}

char *
saga_sqs_delete_batch(const char *queue_url, char **receipts, int n)
{
	return receipt_batch(queue_url, receipts, n, "");
}

char *
saga_sqs_visibility_batch(const char *queue_url, char **receipts, int n, int visibility_s)
{
	return receipt_batch(queue_url, receipts, n, psprintf(",\"VisibilityTimeout\":%d", visibility_s));
}

/* ---------- messages ---------- */

/* NULL: there is no such member, or it is no string. */
static char *
copy_member(const SagaJson *object, const char *name)
{
	const char *text = saga_json_member_string(object, name);

	return text != NULL ? pstrdup(text) : NULL;
}

/* The body may have a NUL in it. */
static void
set_body(SagaSqsMessage *message, const SagaJson *value)
{
	const char *text = saga_json_string(value, &message->body_len);

	message->body = palloc(message->body_len + 1);
	memcpy(message->body, text, message->body_len);
	message->body[message->body_len] = '\0';
}

/* Without MD5 (FIPS) nothing can be said against it. */
bool
saga_sqs_is_intact(const SagaSqsMessage *message)
{
	char		hex[33];
	const char *why;

	if (message->md5 == NULL || !saga_md5_hash(message->body, message->body_len, hex, &why))
		return true;
	return pg_strcasecmp(hex, message->md5) == 0;
}

/* There is room for it: they were counted before. */
static SagaSqsAttribute *
add_attribute(SagaSqsMessage *message, const char *name, const char *value)
{
	SagaSqsAttribute *attribute = &message->attributes[message->nattributes++];

	attribute->name = pstrdup(name);
	attribute->value = pstrdup(value);
	return attribute;
}

/* For saga_json_each: one more. */
static void
count_attribute(const char *name, const SagaJson *value, void *arg)
{
	(*(int *) arg)++;
}

/* Room for the attributes of an object, and some more. */
static void
make_attributes(SagaSqsMessage *message, const SagaJson *object, int more)
{
	int			n = more;

	saga_json_each(object, count_attribute, &n);
	message->nattributes = 0;
	message->attributes = palloc(sizeof(SagaSqsAttribute) * (n + 1));
}

/* For saga_json_each: an attribute of a message of SQS. */
static void
read_attribute(const char *name, const SagaJson *value, void *arg)
{
	const char *text = saga_json_member_string(value, "StringValue");

	if (text == NULL)
		text = saga_json_member_string(value, "BinaryValue");
	if (text != NULL)
		(void) add_attribute(arg, name, text);
}

/* A number that SQS writes as a string, "most" if it is more; 0: there is none. */
static int64
number_of(const SagaJson *object, const char *name, int64 most)
{
	const char *text = saga_json_member_string(object, name);
	int64		n = 0;

	for (; text != NULL && *text != '\0'; text++)
	{
		int			digit = *text - '0';

		if (digit < 0 || digit > 9)
			return 0;
		n = n > (most - digit) / 10 ? most : n * 10 + digit;
	}
	return n;
}

/* False: it is no message of SQS. */
static bool
read_message(const SagaJson *json, SagaSqsMessage *message)
{
	const SagaJson *system = saga_json_member(json, "Attributes");
	const SagaJson *attributes = saga_json_member(json, "MessageAttributes");

	memset(message, 0, sizeof(*message));
	message->id = copy_member(json, "MessageId");
	message->receipt = copy_member(json, "ReceiptHandle");
	if (message->id == NULL || message->receipt == NULL || saga_json_member_string(json, "Body") == NULL)
		return false;
	set_body(message, saga_json_member(json, "Body"));
	message->md5 = copy_member(json, "MD5OfBody");
	message->receives = (int) number_of(system, "ApproximateReceiveCount", PG_INT32_MAX);
	message->sent_ms = number_of(system, "SentTimestamp", PG_INT64_MAX);
	message->group_id = copy_member(system, "MessageGroupId");
	message->dedup_id = copy_member(system, "MessageDeduplicationId");
	message->trace = copy_member(system, "AWSTraceHeader");
	make_attributes(message, attributes, 0);
	saga_json_each(attributes, read_attribute, message);
	return true;
}

bool
saga_sqs_parse_messages(const char *text, size_t len, SagaSqsMessage **messages, int *n)
{
	bool		ok;
	const SagaJson *root = saga_json_read(text, len, &ok);
	const SagaJson *list = saga_json_member(root, "Messages");
	int			i;

	*n = 0;
	if (!ok || !saga_json_is_object(root))
		return false;
	/* without "Messages" there are none, which is a good answer */
	*messages = palloc(sizeof(SagaSqsMessage) * (saga_json_length(list) + 1));
	for (i = 0; i < saga_json_length(list); i++)
	{
		if (!read_message(saga_json_element(list, i), &(*messages)[(*n)++]))
			return false;
	}
	return true;
}

/* For saga_json_each: an attribute within a notification of SNS. */
static void
read_sns_attribute(const char *name, const SagaJson *value, void *arg)
{
	const char *text = saga_json_member_string(value, "Value");

	if (text != NULL)
		(void) add_attribute(arg, name, text);
}

bool
saga_sqs_unwrap_sns(SagaSqsMessage *message)
{
	bool		ok;
	const SagaJson *root = saga_json_read(message->body, message->body_len, &ok);
	const char *type = saga_json_member_string(root, "Type");
	const SagaJson *attributes = saga_json_member(root, "MessageAttributes");
	const char *id = saga_json_member_string(root, "MessageId");
	const char *topic = saga_json_member_string(root, "TopicArn");

	if (type == NULL || strcmp(type, "Notification") != 0 || topic == NULL ||
		saga_json_member_string(root, "Message") == NULL)
		return false;
	set_body(message, saga_json_member(root, "Message"));
	/* attributes that SQS gave are replaced by those of the notification */
	make_attributes(message, attributes, 2);
	saga_json_each(attributes, read_sns_attribute, message);
	(void) add_attribute(message, "topic_arn", topic);
	if (id != NULL)
		(void) add_attribute(message, "sns_message_id", id);
	return true;
}

/* ---------- other answers ---------- */

/* A member that is a string, as much of it as fits. */
static void
copy_text(char *to, const SagaJson *object, const char *name, size_t size)
{
	const char *text = saga_json_member_string(object, name);

	strlcpy(to, text != NULL ? text : "", size);
}

/* One entry of an answer to a batch. */
static void
read_entry(const SagaJson *json, bool failed, SagaSnsEntry *entry)
{
	entry->failed = failed;
	entry->sender_fault = saga_json_is_true(saga_json_member(json, "SenderFault"));
	copy_text(entry->id, json, "Id", sizeof(entry->id));
	copy_text(entry->message_id, json, "MessageId", sizeof(entry->message_id));
	copy_text(entry->sequence_number, json, "SequenceNumber", sizeof(entry->sequence_number));
	copy_text(entry->md5, json, "MD5OfMessageBody", sizeof(entry->md5));
	copy_text(entry->code, json, "Code", sizeof(entry->code));
	copy_text(entry->message, json, "Message", sizeof(entry->message));
}

/* All that were successful, or all that failed. */
static void
read_entries(const SagaJson *list, bool failed, SagaSnsAnswer *answer)
{
	int			i;

	for (i = 0; i < saga_json_length(list) && answer->nentries < SAGA_SNS_MAX_ENTRIES; i++)
		read_entry(saga_json_element(list, i), failed, &answer->entries[answer->nentries++]);
}

/* {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message"} */
static void
read_error(const SagaJson *root, const char *type, SagaSnsAnswer *answer)
{
	const char *name = strrchr(type, '#');

	strlcpy(answer->code, name != NULL ? name + 1 : type, sizeof(answer->code));
	copy_text(answer->message, root, "message", sizeof(answer->message));
	if (answer->message[0] == '\0')
		copy_text(answer->message, root, "Message", sizeof(answer->message));
}

bool
saga_sqs_parse(const char *text, size_t len, SagaSnsAnswer *answer)
{
	bool		ok;
	const SagaJson *root = saga_json_read(text, len, &ok);
	const char *type = saga_json_member_string(root, "__type");

	memset(answer, 0, sizeof(*answer));
	if (!ok || !saga_json_is_object(root))
		return false;
	/* an error has a type, the answer to one message an id, a batch lists */
	if (type != NULL)
		read_error(root, type, answer);
	else if (saga_json_member(root, "MessageId") != NULL)
		read_entry(root, false, &answer->entries[answer->nentries++]);
	else
	{
		read_entries(saga_json_member(root, "Successful"), false, answer);
		read_entries(saga_json_member(root, "Failed"), true, answer);
	}
	return true;
}
