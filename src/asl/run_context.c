/*
 * run_context.c
 *		What an expression of a state may look at: data, variables, and the
 *		context object ("$$").
 */
#include "postgres.h"

#include "asl/run_private.h"
#include "value/doc.h"

static void
saga_push_execution(SagaRun *run, JsonbParseState **state)
{
	saga_jsonb_push_key(state, "Execution");
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(state, "Id", run->env.execution_id);
	saga_jsonb_push_key(state, "Input");
	saga_jsonb_push(state, WJB_VALUE, run->input);
	saga_doc_push_string(state, "Name", run->env.execution_name);
	saga_doc_push_string(state, "RoleArn", run->env.role);
	saga_doc_push_string(state, "StartTime", saga_format_rfc3339(run->env.started_at));
	if (!run->env.express)
	{
		saga_jsonb_push_key(state, "RedriveCount");
		saga_jsonb_push_int64(state, WJB_VALUE, run->env.redrive_count);
	}
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

static void
saga_push_state(SagaThread *thread, JsonbParseState **state)
{
	SagaStateType type = thread->state->type;

	saga_jsonb_push_key(state, "State");
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(state, "EnteredTime", saga_format_rfc3339(thread->entered_at));
	saga_doc_push_string(state, "Name", thread->state->name);
	if (type == SAGA_STATE_TASK || type == SAGA_STATE_PARALLEL || type == SAGA_STATE_MAP)
	{
		saga_jsonb_push_key(state, "RetryCount");
		saga_jsonb_push_int64(state, WJB_VALUE, thread->retry_count);
	}
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* The context object as the thread's state sees it now. */
Jsonb *
saga_thread_context(SagaRun *run, SagaThread *thread)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_push_execution(run, &state);
	saga_push_state(thread, &state);
	saga_jsonb_push_key(&state, "StateMachine");
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(&state, "Id", run->env.machine_id);
	saga_doc_push_string(&state, "Name", run->env.machine_name);
	pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	if (thread->token != NULL)
	{
		saga_jsonb_push_key(&state, "Task");
		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		saga_doc_push_string(&state, "Token", thread->token);
		pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* For SagaScope: made when first asked for, in one attempt of one state. */
static Jsonb *
saga_scope_context(void *arg)
{
	SagaRun    *run = arg;

	if (run->context_object == NULL)
		run->context_object = saga_thread_context(run, run->current);
	return run->context_object;
}

/* What the thread's state sees when "$" is "data". */
void
saga_scope_init(SagaRun *run, SagaThread *thread, Jsonb *data, SagaScope *scope)
{
	if (run->current != thread)
	{
		run->current = thread;
		run->context_object = NULL;
	}
	scope->data = data;
	scope->context = saga_scope_context;
	scope->context_arg = run;
	scope->variables = thread->variables;
	scope->random = run->env.random;
	scope->random_arg = run->env.arg;
}
