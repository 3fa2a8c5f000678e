/*
 * event_private.h
 *		Events for executions, and the tokens that some of them bring.
 */
#ifndef SAGA_ENGINE_EVENT_PRIVATE_H
#define SAGA_ENGINE_EVENT_PRIVATE_H

#include "engine/engine_private.h"

/*
 * An event for an execution: a row in its workflow's queue.  body is one of
 *   {"task": id, "output": ...}
 *   {"task": id, "error": ..., "cause": ...}
 *   {"token": text, "output": ...}, {"token": text, "error": ..., "cause": ...},
 *   {"token": text, "heartbeat": true}
 *   {"token": text, "started": true, "worker": name}, of an activity
 *   {"stop": {"error", "cause", "compensate"}}
 */
extern void saga_engine_send_event(int32 workflow_id, const pg_uuid_t *execution_id, Jsonb *body);

/* ---------- tokens (event.c) ---------- */

#define SAGA_TOKEN_DIGITS	32	/* of the secret at the end of a token */

/* What a token says of itself: "workflow.execution.task.secret", of an activity "workflow.execution.task.secret.activity". */
typedef struct SagaTaskToken
{
	int32		workflow_id;
	pg_uuid_t	execution_id;
	int			task_id;
	int32		activity_id;	/* 0: of none */
} SagaTaskToken;

extern char *saga_token_make(const SagaTaskToken *token);
extern bool saga_token_parse(const char *text, SagaTaskToken *token);

/*
 * start.c: what saga.send_task_success, _failure and _heartbeat do: key1 is "output" with a value, "heartbeat" without one, or
 * NULL for an error.  Raises INVALID_PARAMETER_VALUE and OBJECT_NOT_IN_PREREQUISITE_STATE.
 */
extern bool saga_token_is_ours(const char *token);
extern void saga_engine_answer_token(char *token, const char *key1, Jsonb *value1, const char *error, const char *cause);

/* ---------- answers to tokens (answer.c) ---------- */

/*
 * That a token was answered is kept from the answer until the run has taken it: a second
 * answer is refused.  claim: false when there is one, of another transaction or of
 * this one.  release: of the answers that were taken, at the end of a batch.
 */
extern bool saga_engine_answer_claim(const char *token, bool only_look);
extern void saga_engine_answer_release(SagaBatch *batch);

/* Of an event with a token: a heartbeat does not answer it, nor does who has taken the task. */
extern bool saga_engine_event_is_answer(Jsonb *body);

#endif							/* SAGA_ENGINE_EVENT_PRIVATE_H */
