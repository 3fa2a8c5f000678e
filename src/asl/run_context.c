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

/* The item that a thread is for, of the nearest Map around it; false: there is no Map. */
static bool
saga_item_around(const SagaRun *run, const SagaThread *thread, SagaMapItem *item)
{
	*item = run->item;
	if (run->selecting == thread)
		return true;
	for (; thread->parent != NULL; thread = thread->parent)
	{
		if (thread->parent->fork->map == NULL)
			continue;
		*item = saga_map_item(thread->parent->fork->map, thread->branch);
		return true;
	}
	return false;
}

/* {"Map": {"Item": {"Index", "Key", "Source", "Value"}}}, the part about a Map; only an object's items have a key. */
void
saga_push_map_item(JsonbParseState **state, const SagaMapItem *item)
{
	Jsonb	   *value = item->value;
	JsonbValue	member;

	saga_jsonb_push_key(state, "Map");
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	saga_jsonb_push_key(state, "Item");
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	saga_jsonb_push_key(state, "Index");
	saga_jsonb_push_int64(state, WJB_VALUE, item->index);
	if (item->keyed && saga_jsonb_get(value, "Key", &member))
		saga_doc_push_jsonb(state, "Key", saga_jsonb_from_value(&member));
	if (item->source != NULL)
		saga_doc_push_string(state, "Source", item->source);
	if (item->keyed && saga_jsonb_get(value, "Value", &member))
		value = saga_jsonb_from_value(&member);
	saga_doc_push_jsonb(state, "Value", value);
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

static void
saga_push_item(const SagaRun *run, const SagaThread *thread, JsonbParseState **state)
{
	SagaMapItem item;

	if (saga_item_around(run, thread, &item))
		saga_push_map_item(state, &item);
}

/* The context object as the thread's state sees it now. */
Jsonb *
saga_thread_context(SagaRun *run, SagaThread *thread)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_push_execution(run, &state);
	saga_push_item(run, thread, &state);
	saga_push_state(thread, &state);
	saga_jsonb_push_key(&state, "StateMachine");
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(&state, "Id", run->env.machine_id);
	saga_doc_push_string(&state, "Name", run->env.machine_name);
	pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	/* an activity's comes to its worker with the task, and to nobody else */
	if (thread->token != NULL && thread->state->resource.kind != SAGA_RES_ACTIVITY)
	{
		saga_jsonb_push_key(&state, "Task");
		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		saga_doc_push_string(&state, "Token", thread->token);
		pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* The same, with nothing but what there is of a Map: thousands of items ask for no more, each of them. */
static Jsonb *
saga_thread_map_context(const SagaRun *run, const SagaThread *thread)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_push_item(run, thread, &state);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* For SagaScope: made when first asked for, in one attempt of one state or for one item. */
static Jsonb *
saga_scope_context(void *arg, const JsonbValue *member)
{
	SagaRun    *run = arg;

	if (member != NULL && member->val.string.len == 3 && memcmp(member->val.string.val, "Map", 3) == 0)
	{
		if (run->map_object == NULL)
			run->map_object = saga_thread_map_context(run, run->current);
		return run->map_object;
	}
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
		run->context_object = run->map_object = NULL;
	}
	scope->data = data;
	scope->context = saga_scope_context;
	scope->context_arg = run;
	scope->variables = thread->variables;
	scope->random = run->env.random;
	scope->random_arg = run->env.arg;
}
