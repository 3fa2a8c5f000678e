/*
 * members.c
 *		Members of a request, by name and type.
 *
 * What is of another type than it has to be is never left out without a word:
 * a message whose ordering key is an object would be sent out of order.
 */
#include "postgres.h"

#include "outbox/request_private.h"
#include "utils/numeric.h"
#include "value/doc.h"

typedef struct MembersState
{
	SagaResolved *resolved;
	const char *error;
	const SagaMember *members;
	const char *what;
	bool		ok;
} MembersState;

static int
type_of(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			return SAGA_MEMBER_ANY; /* as if it was not there */
		case jbvString:
			return SAGA_MEMBER_STRING;
		case jbvNumeric:
			return SAGA_MEMBER_NUMBER;
		default:
			return saga_doc_is_object(value) ? SAGA_MEMBER_OBJECT : SAGA_MEMBER_OTHER;
	}
}

static const char *
expected(int types)
{
	if (types == (SAGA_MEMBER_STRING | SAGA_MEMBER_NUMBER))
		return "a string or a number";
	return types == SAGA_MEMBER_OBJECT ? "an object" : "a string";
}

static void
check_member(const char *name, JsonbValue *value, void *arg)
{
	MembersState *state = arg;
	const SagaMember *member;

	for (member = state->members; member->name != NULL; member++)
	{
		if (strcmp(member->name, name) != 0)
			continue;
		if ((type_of(value) & member->types) == 0)
			state->ok = saga_outbox_reject(state->resolved, state->error, "%s must be %s", name, expected(member->types));
		return;
	}
	state->ok = saga_outbox_reject(state->resolved, state->error, "\"%s\" is not %s", name, state->what);
}

bool
saga_request_check_members(SagaResolved *resolved, const char *error, JsonbContainer *object, const SagaMember *members,
						   const char *what)
{
	MembersState state = {resolved, error, members, what, true};

	saga_doc_each(object, check_member, &state);
	return state.ok;
}

bool
saga_request_check_publish(SagaResolved *resolved, const char *error, JsonbContainer *input)
{
	static const SagaMember members[] = {
		{"Destination", SAGA_MEMBER_STRING},
		{"Payload", SAGA_MEMBER_ANY},
		{"OrderingKey", SAGA_MEMBER_STRING | SAGA_MEMBER_NUMBER},
		{"Headers", SAGA_MEMBER_OBJECT},
		{NULL, 0}
	};

	return saga_request_check_members(resolved, error, input, members, "a member of a saga:publish request");
}

char *
saga_request_ordering_key(JsonbContainer *input)
{
	JsonbValue *key = saga_doc_get(input, "OrderingKey");

	if (key == NULL || key->type != jbvNumeric)
		return saga_doc_get_string(input, "OrderingKey");
	/* 5000 and 5000.0 are one customer */
	return saga_doc_can_be_written(key) ? numeric_normalize(key->val.numeric) : saga_doc_text(key);
}

/*
 * What services say to a request that they do not take: as Step Functions names it,
 * so that a workflow can catch it.  The data decides what a request holds; an error
 * that no Catch takes would end the workflow for a subject of 101 characters.
 */
const char *
saga_request_error(SagaOutboxOp op, const SagaDestination *destination)
{
	if (destination == NULL ? op == SAGA_OUTBOX_SNS : destination->kind == SAGA_DESTINATION_SNS)
		return "SNS.InvalidParameterException";
	if (destination == NULL ? op == SAGA_OUTBOX_SQS : destination->kind == SAGA_DESTINATION_SQS)
		return "SQS.AmazonSQSException";
	return "Saga.InvalidRequest";
}

bool
saga_outbox_reject(SagaResolved *resolved, const char *error, const char *fmt, ...)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, fmt);
		needed = appendStringInfoVA(&buf, fmt, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&buf, needed);
	}
	resolved->error = error;
	resolved->cause = buf.data;
	return false;
}
