/*
 * topic.c
 *		SNS messages as a task gives them: checked against the service's
 *		limits while the task can still be told.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "outbox/aws.h"
#include "outbox/doc.h"
#include "outbox/request.h"
#include "utils/builtins.h"

#define SAGA_SNS_MAX_SUBJECT	100
#define SAGA_SNS_MAX_GROUP		128

typedef struct TopicState
{
	SagaResolved *resolved;
	JsonbParseState *parse;
	size_t		bytes;			/* of the message and its attributes */
	bool		publish;
	bool		ok;
} TopicState;

/* XML 1.0's characters, which is what SNS takes. */
static bool
has_allowed_characters(const char *text)
{
	const unsigned char *p;

	for (p = (const unsigned char *) text; *p; p++)
	{
		if (*p < ' ' && *p != '\t' && *p != '\n' && *p != '\r')
			return false;
		/* U+FFFE and U+FFFF */
		if (GetDatabaseEncoding() == PG_UTF8 && p[0] == 0xef && p[1] == 0xbf &&
			(p[2] == 0xbe || p[2] == 0xbf))
			return false;
	}
	return true;
}

static bool
add_text(TopicState *state, const char *name, const char *text)
{
	if (!has_allowed_characters(text))
		return saga_reject(state->resolved, "States.Runtime",
						   "%s holds a character that SNS does not take", name);
	saga_doc_push_string(&state->parse, name, text);
	return true;
}

static void
check_member(const char *name, JsonbValue *value, void *arg)
{
	static const char *const members[] = {
		"TopicArn", "Message", "Subject", "MessageAttributes", "MessageStructure",
		"MessageGroupId", "MessageDeduplicationId"
	};
	TopicState *state = arg;
	int			i;

	for (i = 0; i < lengthof(members); i++)
	{
		if (strcmp(members[i], name) == 0)
			return;
	}
	state->ok = saga_reject(state->resolved, "States.Runtime",
							"\"%s\" is not a supported member of an sns:publish request", name);
}

static const char *
check_attribute_name(const char *name)
{
	size_t		len = strlen(name);

	if (len == 0 || len > 256 ||
		strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") != len)
		return "is not the name of a message attribute";
	if (pg_strcasecmp(name, SAGA_SNS_ID_ATTRIBUTE) == 0)
		return "is set by the outbox";
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
		type = saga_doc_get_string(value->val.binary.data, "DataType");
		text = saga_doc_get_string(value->val.binary.data, "StringValue");
		if (text == NULL)
		{
			text = saga_doc_get_string(value->val.binary.data, "BinaryValue");
			binary = true;
		}
	}
	if (error == NULL && (type == NULL || text == NULL || text[0] == '\0'))
		error = state->publish ? "must be a string"
			: "must have a DataType and a StringValue or BinaryValue";
	if (error == NULL && (binary ? strncmp(type, "Binary", 6) != 0
						  : strncmp(type, "String", 6) != 0 && strncmp(type, "Number", 6) != 0))
		error = "has a DataType that does not fit its value";
	if (error == NULL && !has_allowed_characters(text))
		error = "holds a character that SNS does not take";
	if (error != NULL)
	{
		state->ok = saga_reject(state->resolved, "States.Runtime", "message attribute \"%s\" %s",
								name, error);
		return;
	}
	state->bytes += strlen(name) + strlen(type) + strlen(text);
	saga_doc_push_key(&state->parse, name);
	pushJsonbValue(&state->parse, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(&state->parse, "DataType", type);
	saga_doc_push_string(&state->parse, binary ? "BinaryValue" : "StringValue", text);
	pushJsonbValue(&state->parse, WJB_END_OBJECT, NULL);
}

static bool
add_attributes(TopicState *state, JsonbValue *attributes)
{
	if (attributes == NULL || attributes->type == jbvNull)
		return true;
	if (!saga_doc_is_object(attributes))
		return saga_reject(state->resolved, "States.Runtime", "%s must be an object",
						   state->publish ? "Headers" : "MessageAttributes");
	saga_doc_push_key(&state->parse, "MessageAttributes");
	pushJsonbValue(&state->parse, WJB_BEGIN_OBJECT, NULL);
	saga_doc_each(attributes->val.binary.data, add_attribute, state);
	pushJsonbValue(&state->parse, WJB_END_OBJECT, NULL);
	return state->ok;
}

static bool
add_message(TopicState *state, JsonbValue *message)
{
	char	   *text;

	if (message == NULL || message->type == jbvNull)
		return saga_reject(state->resolved, "States.Runtime", "%s is missing",
						   state->publish ? "Payload" : "Message");
	text = message->type == jbvString ? saga_doc_text(message) : saga_doc_json(message);
	if (text[0] == '\0')
		return saga_reject(state->resolved, "States.Runtime", "the message is empty");
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
		return saga_reject(state->resolved, "States.Runtime",
						   "Subject must have 1 to %d printable ASCII characters", SAGA_SNS_MAX_SUBJECT);
	return add_text(state, "Subject", subject);
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
	char	   *group = saga_doc_get_string(input, state->publish ? "OrderingKey" : "MessageGroupId");
	char	   *dedup = saga_doc_get_string(input, "MessageDeduplicationId");

	if (entry->ordering_key != NULL)
		group = pstrdup(entry->ordering_key);
	if (group == NULL && resolved->destination->fifo)
		return saga_reject(resolved, "States.Runtime", "%s is missing, and the topic is a FIFO topic",
						   state->publish ? "OrderingKey" : "MessageGroupId");
	if (group != NULL && !is_group_id(group))
		return saga_reject(resolved, "States.Runtime",
						   "%s must have 1 to %d printable ASCII characters without spaces",
						   state->publish ? "OrderingKey" : "MessageGroupId", SAGA_SNS_MAX_GROUP);
	if (dedup != NULL && (!is_group_id(dedup) || !resolved->destination->fifo))
		return saga_reject(resolved, "States.Runtime",
						   "MessageDeduplicationId is for FIFO topics, and has 1 to %d printable ASCII characters",
						   SAGA_SNS_MAX_GROUP);
	if (group != NULL && (resolved->destination->fifo || !state->publish))
		saga_doc_push_string(&state->parse, "MessageGroupId", group);
	if (dedup != NULL)
		saga_doc_push_string(&state->parse, "MessageDeduplicationId", dedup);
	resolved->ordering_key = group;
	return true;
}

bool
saga_request_check_sns(const SagaOutboxEntry *entry, SagaResolved *resolved)
{
	JsonbContainer *input = &entry->request->root;
	TopicState	state = {resolved};
	char	   *structure = saga_doc_get_string(input, "MessageStructure");

	state.ok = true;
	state.publish = entry->op == SAGA_OUTBOX_PUBLISH;
	if (!state.publish)
		saga_doc_each(input, check_member, &state);
	if (!state.ok)
		return false;
	/* the attributes with the id, 36 characters of type String, and with the trace */
	state.bytes = strlen(SAGA_SNS_ID_ATTRIBUTE) + strlen("String") + 36;
	if (entry->workflow_id != 0)
		state.bytes += SAGA_TRACEPARENT_SIZE;
	pushJsonbValue(&state.parse, WJB_BEGIN_OBJECT, NULL);
	if (!add_message(&state, saga_doc_get(input, state.publish ? "Payload" : "Message")) ||
		!add_attributes(&state, saga_doc_get(input, state.publish ? "Headers" : "MessageAttributes")) ||
		!add_subject(&state, input) ||
		!add_group(&state, entry, input))
		return false;
	if (structure != NULL && strcmp(structure, "json") != 0)
		return saga_reject(resolved, "States.Runtime", "MessageStructure must be \"json\"");
	if (structure != NULL)
		saga_doc_push_string(&state.parse, "MessageStructure", structure);
	if (state.bytes > SAGA_SNS_MAX_BYTES)
		return saga_reject(resolved, "States.DataLimitExceeded",
						   "the message and its attributes have %zu bytes, SNS takes %d; store the payload and send its id",
						   state.bytes, SAGA_SNS_MAX_BYTES);
	resolved->request = JsonbValueToJsonb(pushJsonbValue(&state.parse, WJB_END_OBJECT, NULL));
	return true;
}
