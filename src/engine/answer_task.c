/*
 * answer_task.c
 *		Steps that answer another execution's task: sendTaskSuccess, sendTaskFailure
 *		and sendTaskHeartbeat of AWS's SDK integrations.
 */
#include "postgres.h"

#include "engine/engine_private.h"
#include "engine/event_private.h"
#include "engine/task_private.h"

#define SDK "arn:aws:states:::aws-sdk:sfn:"

/* Which of them an ARN is; NULL: none. */
static const char *
answer_of(const char *arn)
{
	static const char *const known[] = {"sendTaskSuccess", "sendTaskFailure", "sendTaskHeartbeat"};

	if (strncmp(arn, SDK, strlen(SDK)) != 0)
		return NULL;
	for (int i = 0; i < lengthof(known); i++)
	{
		if (strcmp(arn + strlen(SDK), known[i]) == 0)
			return known[i];
	}
	return NULL;
}

/* For saga_engine_task_guarded(). */
static Jsonb *
send_answer(SagaJob *job, const SagaAction *action, void *arg, const char **error, char **cause)
{
	const char *what = arg;
	char	   *token = saga_jsonb_get_string(action->input, "TaskToken");

	if (token == NULL || !saga_token_is_ours(token))
	{
		*error = "Sfn.InvalidTokenException";
		*cause = "Invalid Token: 'Invalid token' (Service: Sfn, Status Code: 400, Request ID: none) (SDK Attempt Count: 1)";
		return NULL;
	}
	if (strcmp(what, "sendTaskSuccess") == 0)
		saga_engine_answer_token(token, "output", saga_engine_task_document(action->input, "Output", saga_jsonb_null()), NULL, NULL);
	else if (strcmp(what, "sendTaskFailure") == 0)
		saga_engine_answer_token(token, NULL, NULL, saga_jsonb_get_string(action->input, "Error"),
								 saga_jsonb_get_string(action->input, "Cause"));
	else
		saga_engine_answer_token(token, "heartbeat", NULL, NULL, NULL);
	return saga_jsonb_empty_object();
}

/* False: the resource is none of these. */
bool
saga_engine_answer_start(SagaBatch *batch, SagaJob *job, const SagaAction *action)
{
	const char *what = answer_of(action->resource->name);
	const char *error = NULL;
	char	   *cause = NULL;
	Jsonb	   *output;

	if (what == NULL)
		return false;
	output = saga_engine_task_guarded(batch, job, action, send_answer, unconstify(char *, what), &error, &cause);
	/* it does not wait any more */
	if (output == NULL && error != NULL && strcmp(error, "SQL.55000") == 0)
		error = "Sfn.TaskTimedOutException";
	saga_engine_task_answer(job, action, output, error, cause);
	return true;
}
