/*
 * test_state_context.c
 *		The context object of a state that is tested: the one that is given,
 *		or one made up as AWS makes it.
 */
#include "postgres.h"

#include "asl/test_state_private.h"
#include "value/doc.h"

/* Is the state inside the processor of a Map, at any depth? */
static bool
saga_is_in_map(const SagaState *state)
{
	const SagaState *owner;

	for (owner = state->scope->owner; owner != NULL; owner = owner->scope->owner)
	{
		if (owner->type == SAGA_STATE_MAP)
			return true;
	}
	return false;
}

static void
saga_push_test_execution(const SagaTest *test, JsonbParseState **state)
{
	saga_jsonb_push_key(state, "Execution");
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(state, "Id", test->env.execution_id);
	saga_doc_push_jsonb(state, "Input", test->input);
	saga_doc_push_string(state, "Name", test->env.execution_name);
	saga_doc_push_string(state, "RoleArn", test->env.role);
	saga_doc_push_string(state, "StartTime", saga_format_rfc3339(test->now));
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* The state has AWS's name for it, whatever it is called. */
static void
saga_push_test_state(const SagaTest *test, JsonbParseState **state)
{
	SagaStateType type = test->state->type;

	saga_jsonb_push_key(state, "State");
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(state, "EnteredTime", saga_format_rfc3339(test->now));
	saga_doc_push_string(state, "Name", "StateName");
	if (type == SAGA_STATE_TASK || type == SAGA_STATE_PARALLEL || type == SAGA_STATE_MAP)
		saga_doc_push_int(state, "RetryCount", 0);
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* One that is made up: of the first item, of an execution with the state's input. */
Jsonb *
saga_test_context(const SagaTest *test)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_push_test_execution(test, &state);
	saga_push_test_state(test, &state);
	saga_jsonb_push_key(&state, "StateMachine");
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(&state, "Id", test->env.machine_id);
	saga_doc_push_string(&state, "Name", test->env.machine_name);
	pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	if (saga_is_in_map(test->state))
	{
		SagaMapItem item = {.value = test->input, .source = SAGA_STATE_DATA};

		saga_push_map_item(&state, &item);
	}
	if (test->state->type == SAGA_STATE_TASK && test->state->resource.wait_for_token)
	{
		saga_jsonb_push_key(&state, "Task");
		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		saga_doc_push_string(&state, "Token", "token-1");
		pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* What a context object has of one item of the Map that is tested. */
Jsonb *
saga_test_item(const SagaMapItem *item)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_push_map_item(&state, item);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* State.RetryCount of a context; 0: it is not there. */
int64
saga_test_context_retries(Jsonb *context)
{
	JsonbValue	state;
	JsonbValue *count;
	int64		result;

	if (!saga_jsonb_get(context, "State", &state) || !saga_doc_is_object(&state))
		return 0;
	count = saga_doc_get(state.val.binary.data, "RetryCount");
	if (count == NULL || saga_number_to_int64(count, 0, PG_INT32_MAX, &result) != SAGA_NUMBER_OK)
		return 0;
	return result;
}

/*
 * Lets all expressions see the context of the test.  It takes the place of
 * what the run would make when it is first asked for, which is kept as long as
 * the run looks at the same thread.
 */
void
saga_test_use_context(SagaTest *test)
{
	test->run->current = test->thread;
	test->run->context_object = test->run->map_object = test->context;
}
