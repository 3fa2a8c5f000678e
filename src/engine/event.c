/*
 * event.c
 *		What executions are told: events, the tokens that answers come with, and the
 *		arguments of the functions that bring them.
 */
#include "postgres.h"

#include "access/xact.h"
#include "engine/engine_private.h"
#include "engine/entry_private.h"
#include "engine/event_private.h"
#include "utils/builtins.h"
#include "value/doc.h"

void
saga_engine_require_argument(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name)));
}

/*
 * A token names its execution, and its activity if it has one, and holds 128
 * random bits, so that nobody can make one up.  The run keeps the text and
 * compares all of it.
 */
char *
saga_token_make(const SagaTaskToken *token)
{
	unsigned char secret[SAGA_TOKEN_DIGITS / 2];
	char		hex[SAGA_TOKEN_DIGITS + 1];
	char	   *text;

	if (!pg_strong_random(secret, sizeof(secret)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	hex_encode((char *) secret, sizeof(secret), hex);
	hex[SAGA_TOKEN_DIGITS] = '\0';
	text = psprintf("%d.%s.%d.%s", token->workflow_id, saga_uuid_to_cstring(&token->execution_id), token->task_id, hex);
	return token->activity_id != 0 ? psprintf("%s.%d", text, token->activity_id) : text;
}

/* The ".activity" at the end of a token. */
static bool
parse_activity(const char *text, SagaTaskToken *token)
{
	int			end = 0;

	return sscanf(text, ".%9d%n", &token->activity_id, &end) == 1 && text[end] == '\0' && token->activity_id > 0;
}

bool
saga_token_parse(const char *text, SagaTaskToken *token)
{
	char		uuid[37];
	char		secret[SAGA_TOKEN_DIGITS + 1];
	int			end = 0;

	token->activity_id = 0;
	if (strlen(text) > 128 ||
		sscanf(text, "%9d.%36[0-9a-f-].%9d.%32[0-9a-f]%n", &token->workflow_id, uuid, &token->task_id, secret, &end) != 4 ||
		strlen(secret) != SAGA_TOKEN_DIGITS || (text[end] != '\0' && !parse_activity(text + end, token)))
		return false;
	return saga_uuid_parse(uuid, &token->execution_id);
}

void
saga_engine_send_event(int32 workflow_id, const pg_uuid_t *execution_id, Jsonb *body)
{
	const SagaQueue *queue = saga_queue_by_id(workflow_id, false);
	SagaSend	row = {.kind = SAGA_MSG_EVENT};

	row.message_id = saga_uuid_new();
	row.target = *execution_id;
	row.body = body;
	saga_queue_send_rows(queue, &row, 1);
}

/* The handler's execution has ended: whoever has left the call is told. */
void
saga_entry_undone(const SagaJob *job)
{
	JsonbParseState *state = NULL;
	Jsonb	   *left = job->end.not_compensated;
	JsonbValue	v = {.type = jbvString};

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(&state, "undone", saga_uuid_to_cstring(&job->execution_id));
	if (left != NULL && JsonContainerSize(&left->root) > 0)
	{
		v.val.string.val = "entry";
		v.val.string.len = strlen("entry");
		pushJsonbValue(&state, WJB_KEY, &v);
		pushJsonbValue(&state, WJB_VALUE, getIthJsonbValueFromContainer(&left->root, 0));
	}
	saga_engine_send_event(job->queue->queue_id, &job->parent_id,
						   JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}
