/*
 * topic.c
 *		Messages for SNS and SQS as a task gives them: checked against the
 *		service's limits while the task can still be told.
 */
#include "postgres.h"

#include <math.h>

#include "endpoint/aws.h"
#include "mb/pg_wchar.h"
#include "outbox/request_private.h"
#include "utils/builtins.h"
#include "value/doc.h"

#define SAGA_SNS_MAX_SUBJECT	100
#define SAGA_SNS_MAX_GROUP		128
#define SAGA_SQS_MAX_DELAY		900
#define SAGA_SQS_MAX_ATTRIBUTES	10
#define SAGA_AWS_MAX_TYPE		256
#define SAGA_AWS_MAX_DIGITS		38
#define SAGA_AWS_MAX_NUMBER		1e126

typedef struct TopicState
{
	SagaResolved *resolved;
	JsonbParseState *parse;
	const char *service;		/* SNS or SQS */
	const char *error;			/* of a request that it would not take */
	bool		sqs;
	size_t		bytes;			/* of the message and its attributes */
	int			nattributes;
	bool		publish;
	bool		ok;
} TopicState;

/* U+FFFE or U+FFFF */
static bool
is_noncharacter(const unsigned char *p)
{
	return GetDatabaseEncoding() == PG_UTF8 && p[0] == 0xef && p[1] == 0xbf && (p[2] == 0xbe || p[2] == 0xbf);
}

/* XML 1.0's characters, which is what SNS takes. */
static bool
has_allowed_characters(const char *text)
{
	const unsigned char *p;

	for (p = (const unsigned char *) text; *p; p++)
		if ((*p < ' ' && *p != '\t' && *p != '\n' && *p != '\r') || is_noncharacter(p))
			return false;
	return true;
}

/* JSON says the same with ASCII alone: what is not taken is written as an escape. */
static char *
escape_noncharacters(const char *json)
{
	const unsigned char *p;
	StringInfoData buf;

	for (p = (const unsigned char *) json; *p && !is_noncharacter(p);)
		p++;
	if (*p == '\0')
		return unconstify(char *, json);
	initStringInfo(&buf);
	for (p = (const unsigned char *) json; *p; p++)
	{
		if (is_noncharacter(p))
		{
			appendStringInfoString(&buf, p[2] == 0xbe ? "\\ufffe" : "\\uffff");
			p += 2;
		}
		else
			appendStringInfoChar(&buf, *p);
	}
	return buf.data;
}

static bool
add_text(TopicState *state, const char *name, const char *text)
{
	if (!has_allowed_characters(text))
		return saga_outbox_reject(state->resolved, state->error,
								  "%s holds a character that %s does not take", name, state->service);
	saga_doc_push_string(&state->parse, name, text);
	return true;
}

static const SagaMember sns_members[] = {
	{"TopicArn", SAGA_MEMBER_STRING},
	{"Message", SAGA_MEMBER_ANY},
	{"Subject", SAGA_MEMBER_STRING},
	{"MessageAttributes", SAGA_MEMBER_OBJECT},
	{"MessageStructure", SAGA_MEMBER_STRING},
	{"MessageGroupId", SAGA_MEMBER_STRING},
	{"MessageDeduplicationId", SAGA_MEMBER_STRING},
	{NULL, 0}
};

static const SagaMember sqs_members[] = {
	{"QueueUrl", SAGA_MEMBER_STRING},
	{"MessageBody", SAGA_MEMBER_ANY},
	{"DelaySeconds", SAGA_MEMBER_ANY},
	{"MessageAttributes", SAGA_MEMBER_OBJECT},
	{"MessageGroupId", SAGA_MEMBER_STRING},
	{"MessageDeduplicationId", SAGA_MEMBER_STRING},
	{NULL, 0}
};

static const SagaMember attribute_members[] = {
	{"DataType", SAGA_MEMBER_STRING},
	{"StringValue", SAGA_MEMBER_STRING},
	{"BinaryValue", SAGA_MEMBER_STRING},
	{NULL, 0}
};

static bool
check_members(SagaResolved *resolved, const char *error, JsonbContainer *input, bool sqs)
{
	return saga_request_check_members(resolved, error, input, sqs ? sqs_members : sns_members,
									  sqs ? "a supported member of an sqs:sendMessage request" :
									  "a supported member of an sns:publish request");
}

/* The rules of AWS for names. */
static const char *
check_attribute_name(const char *name)
{
	size_t		len = strlen(name);

	if (len == 0 || len > 256 ||
		strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") != len ||
		name[0] == '.' || name[len - 1] == '.' || strstr(name, "..") != NULL)
		return "is not the name of a message attribute";
	if (pg_strncasecmp(name, "AWS.", 4) == 0 || pg_strncasecmp(name, "Amazon.", 7) == 0)
		return "has a name that AWS keeps for itself";
	if (pg_strcasecmp(name, SAGA_SNS_ID_ATTRIBUTE) == 0)
		return "is set by the outbox";
	return NULL;
}

/* "String", or "String.label" */
static bool
is_type(const char *type, const char *base)
{
	size_t		len = strlen(base);

	return strncmp(type, base, len) == 0 && strlen(type) <= SAGA_AWS_MAX_TYPE &&
		(type[len] == '\0' || (type[len] == '.' && type[len + 1] != '\0'));
}

static bool
is_number(const char *text)
{
	static const char digits[] = "0123456789";
	const char *p = text + (*text == '-' || *text == '+');
	size_t		whole = strspn(p, digits);
	size_t		fraction = 0;

	p += whole;
	if (*p == '.')
	{
		fraction = strspn(++p, digits);
		p += fraction;
	}
	if (whole + fraction == 0 || whole + fraction > SAGA_AWS_MAX_DIGITS)
		return false;
	if (*p == 'e' || *p == 'E')
	{
		p++;
		p += *p == '-' || *p == '+';
		if (strspn(p, digits) == 0 || strspn(p, digits) > 3)
			return false;
		p += strspn(p, digits);
	}
	return *p == '\0' && fabs(strtod(text, NULL)) <= SAGA_AWS_MAX_NUMBER;
}

static bool
is_base64(const char *text)
{
	size_t		len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
	size_t		padding = strspn(text + len, "=");

	return text[len + padding] == '\0' && padding <= 2 && (len + padding) % 4 == 0;
}

/* NULL, or what is wrong with an attribute of a task. */
static const char *
check_attribute_value(const char *type, const char *text, bool binary)
{
	if (binary ? !is_type(type, "Binary") : !is_type(type, "String") && !is_type(type, "Number"))
		return "has a DataType that does not fit its value";
	if (binary && !is_base64(text))
		return "has a BinaryValue that is not base64";
	if (is_type(type, "Number") && !is_number(text))
		return "has a StringValue that is not a number of AWS";
	return NULL;
}

static void
add_attribute(const char *name, JsonbValue *value, void *arg)
{
	TopicState *state = arg;
	const char *error = check_attribute_name(name);
	char	   *type = NULL;
	char	   *text = NULL;
	bool		binary = false;

	if (state->publish)
	{
		/* a header of saga:publish */
		type = "String";
		text = saga_doc_text(value);
	}
	else if (saga_doc_is_object(value))
	{
		SagaResolved wrong;

		if (error == NULL &&
			!saga_request_check_members(&wrong, state->error, value->val.binary.data, attribute_members, "a member of one"))
			error = psprintf("is wrong: %s", wrong.cause);
		type = saga_doc_get_string(value->val.binary.data, "DataType");
		text = saga_doc_get_string(value->val.binary.data, "StringValue");
		if (text == NULL)
		{
			text = saga_doc_get_string(value->val.binary.data, "BinaryValue");
			binary = true;
		}
		else if (error == NULL && saga_doc_get_string(value->val.binary.data, "BinaryValue") != NULL)
			error = "has a StringValue and a BinaryValue";
	}
	if (error == NULL && (type == NULL || text == NULL || text[0] == '\0'))
		error = state->publish ? "must be a string"
			: "must have a DataType and a StringValue or BinaryValue";
	if (error == NULL)
		error = check_attribute_value(type, text, binary);
	if (error == NULL && !has_allowed_characters(text))
		error = psprintf("holds a character that %s does not take", state->service);
	if (error != NULL)
	{
		state->ok = saga_outbox_reject(state->resolved, state->error, "message attribute \"%s\" %s",
									   name, error);
		return;
	}
	state->bytes += strlen(name) + strlen(type) + strlen(text);
	state->nattributes++;
	saga_jsonb_push_key(&state->parse, name);
	pushJsonbValue(&state->parse, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(&state->parse, "DataType", type);
	saga_doc_push_string(&state->parse, binary ? "BinaryValue" : "StringValue", text);
	pushJsonbValue(&state->parse, WJB_END_OBJECT, NULL);
}

/* What is published brings its own, or none. */
static bool
has_trace(const SagaOutboxEntry *entry)
{
	return entry->workflow_id != 0 && entry->op != SAGA_OUTBOX_PUBLISH;
}

static bool
add_attributes(TopicState *state, const SagaOutboxEntry *entry, JsonbValue *attributes)
{
	int			own = 1 + (has_trace(entry) ? 1 : 0);	/* the id and the trace */

	if (attributes == NULL || attributes->type == jbvNull)
		return true;
	saga_jsonb_push_key(&state->parse, "MessageAttributes");
	pushJsonbValue(&state->parse, WJB_BEGIN_OBJECT, NULL);
	saga_doc_each(attributes->val.binary.data, add_attribute, state);
	pushJsonbValue(&state->parse, WJB_END_OBJECT, NULL);
	if (saga_doc_get(attributes->val.binary.data, SAGA_TRACEPARENT) != NULL)
		own = 1;
	if (state->ok && state->sqs && state->nattributes + own > SAGA_SQS_MAX_ATTRIBUTES)
		return saga_outbox_reject(state->resolved, state->error,
								  "there are %d message attributes, and the outbox adds %d; SQS takes %d",
								  state->nattributes, own, SAGA_SQS_MAX_ATTRIBUTES);
	return state->ok;
}

static const char *
message_member(const TopicState *state)
{
	if (state->publish)
		return "Payload";
	return state->sqs ? "MessageBody" : "Message";
}

static bool
add_message(TopicState *state, JsonbValue *message)
{
	char	   *text;

	if (message == NULL || message->type == jbvNull)
		return saga_outbox_reject(state->resolved, state->error, "%s is missing", message_member(state));
	text = message->type == jbvString ? saga_doc_text(message) : escape_noncharacters(saga_doc_json(message));
	if (text[0] == '\0')
		return saga_outbox_reject(state->resolved, state->error, "the message is empty");
	state->bytes += strlen(text);
	return add_text(state, "Message", text);
}

static bool
add_subject(TopicState *state, JsonbContainer *input)
{
	char	   *subject = saga_doc_get_string(input, "Subject");
	const char *p;

	if (subject == NULL)
		return true;
	for (p = subject; *p; p++)
	{
		if ((unsigned char) *p < ' ' || (unsigned char) *p >= 0x7f)
			break;
	}
	if (*p || subject[0] == '\0' || strlen(subject) > SAGA_SNS_MAX_SUBJECT)
		return saga_outbox_reject(state->resolved, state->error,
								  "Subject must have 1 to %d printable ASCII characters", SAGA_SNS_MAX_SUBJECT);
	return add_text(state, "Subject", subject);
}

/* Of SNS alone. */
static bool
add_structure(TopicState *state, JsonbContainer *input)
{
	char	   *structure = saga_doc_get_string(input, "MessageStructure");

	if (structure != NULL && strcmp(structure, "json") != 0)
		return saga_outbox_reject(state->resolved, state->error, "MessageStructure must be \"json\"");
	if (structure != NULL)
		saga_doc_push_string(&state->parse, "MessageStructure", structure);
	return true;
}

/* Of SQS alone; -1: it has none. */
static bool
read_delay(SagaResolved *resolved, const char *error, JsonbContainer *input, int *seconds)
{
	JsonbValue *delay = saga_doc_get(input, "DelaySeconds");
	char	   *text;

	*seconds = -1;
	if (delay == NULL || delay->type == jbvNull)
		return true;
	text = delay->type == jbvNumeric ? saga_doc_text(delay) : "";
	if (strspn(text, "0123456789") != strlen(text) || text[0] == '\0' || strlen(text) > 4 ||
		atoi(text) > SAGA_SQS_MAX_DELAY)
		return saga_outbox_reject(resolved, error, "DelaySeconds must be an integer from 0 to %d", SAGA_SQS_MAX_DELAY);
	*seconds = atoi(text);
	return true;
}

static bool
add_delay(TopicState *state, JsonbContainer *input)
{
	int			seconds;

	if (!read_delay(state->resolved, state->error, input, &seconds))
		return false;
	if (seconds < 0)
		return true;
	if (state->resolved->destination->fifo)
		return saga_outbox_reject(state->resolved, state->error,
								  "DelaySeconds is not for the messages of a FIFO queue");
	saga_doc_push_int(&state->parse, "DelaySeconds", seconds);
	return true;
}

const char *
saga_request_check_local(Jsonb *input, int *delay_s, char **cause)
{
	const char *error = saga_request_error(SAGA_OUTBOX_SQS, NULL);
	SagaResolved resolved = {0};

	*delay_s = 0;
	if (check_members(&resolved, error, &input->root, true) && read_delay(&resolved, error, &input->root, delay_s))
	{
		*delay_s = Max(*delay_s, 0);
		return NULL;
	}
	*cause = resolved.cause;
	return error;
}

static bool
is_group_id(const char *text)
{
	const char *p;

	for (p = text; *p; p++)
	{
		if ((unsigned char) *p <= ' ' || (unsigned char) *p >= 0x7f)
			return false;
	}
	return p != text && p - text <= SAGA_SNS_MAX_GROUP;
}

static bool
add_group(TopicState *state, const SagaOutboxEntry *entry, JsonbContainer *input)
{
	SagaResolved *resolved = state->resolved;
	char	   *group = state->publish ? saga_request_ordering_key(input) : saga_doc_get_string(input, "MessageGroupId");
	char	   *dedup = saga_doc_get_string(input, "MessageDeduplicationId");

	if (entry->ordering_key != NULL)
		group = pstrdup(entry->ordering_key);
	if (group == NULL && resolved->destination->fifo)
		return saga_outbox_reject(resolved, state->error, "%s is missing, and the %s is FIFO",
								  state->publish ? "OrderingKey" : "MessageGroupId",
								  state->sqs ? "queue" : "topic");
	if (group != NULL && !is_group_id(group))
		return saga_outbox_reject(resolved, state->error,
								  "%s must have 1 to %d printable ASCII characters without spaces",
								  state->publish ? "OrderingKey" : "MessageGroupId", SAGA_SNS_MAX_GROUP);
	if (dedup != NULL && (!is_group_id(dedup) || !resolved->destination->fifo))
		return saga_outbox_reject(resolved, state->error,
								  "MessageDeduplicationId is for FIFO %s, and has 1 to %d printable ASCII characters",
								  state->sqs ? "queues" : "topics", SAGA_SNS_MAX_GROUP);
	if (group != NULL && (resolved->destination->fifo || !state->publish))
		saga_doc_push_string(&state->parse, "MessageGroupId", group);
	if (dedup != NULL)
		saga_doc_push_string(&state->parse, "MessageDeduplicationId", dedup);
	resolved->ordering_key = group;
	return true;
}

bool
saga_request_check_aws(const SagaOutboxEntry *entry, SagaResolved *resolved)
{
	JsonbContainer *input = &entry->request->root;
	TopicState	state = {resolved};
	int			max_bytes = resolved->destination->max_bytes;
	bool		ok;

	state.ok = true;
	state.publish = entry->op == SAGA_OUTBOX_PUBLISH;
	state.sqs = resolved->destination->kind == SAGA_DESTINATION_SQS;
	state.service = state.sqs ? "SQS" : "SNS";
	state.error = saga_request_error(entry->op, resolved->destination);
	if (state.publish ? !saga_request_check_publish(resolved, state.error, input) :
		!check_members(resolved, state.error, input, state.sqs))
		return false;

	/*
	 * the attributes with the id, 36 characters of type String, and with the
	 * trace
	 */
	state.bytes = strlen(SAGA_SNS_ID_ATTRIBUTE) + strlen("String") + 36;
	if (has_trace(entry))
		state.bytes += SAGA_TRACEPARENT_SIZE;
	pushJsonbValue(&state.parse, WJB_BEGIN_OBJECT, NULL);
	ok = add_message(&state, saga_doc_get(input, message_member(&state))) &&
		add_attributes(&state, entry, saga_doc_get(input, state.publish ? "Headers" : "MessageAttributes")) &&
		add_group(&state, entry, input);
	if (ok && state.sqs)
		ok = add_delay(&state, input);
	else if (ok)
		ok = add_subject(&state, input) && add_structure(&state, input);
	if (!ok)
		return false;
	if (state.bytes > max_bytes)
		return saga_outbox_reject(resolved, "States.DataLimitExceeded",
								  "the message and its attributes have %zu bytes, %s takes %d; store the payload and send its id",
								  state.bytes, state.service, max_bytes);
	resolved->request = JsonbValueToJsonb(pushJsonbValue(&state.parse, WJB_END_OBJECT, NULL));
	return true;
}
