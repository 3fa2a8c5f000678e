/*
 * test_state.c
 *		saga.test_state(): one state, run by itself, as AWS's API TestState.
 *
 * Nothing is called: what a Task's call answers, or all that is inside a Map
 * or Parallel, is a mock.  No time passes, and what comes after the state is
 * only named.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "asl/check_private.h"
#include "asl/random_private.h"
#include "asl/test_state_private.h"
#include "value/doc.h"

PG_FUNCTION_INFO_V1(saga_test_state);

/* What a state is called that is all there is; as at AWS. */
#define SAGA_ONLY_STATE		"StateName"

/* As at AWS. */
#define SAGA_TEST_DATA_LIMIT	262144

static uint64
test_random(void *arg)
{
	SagaTest   *test = arg;

	return saga_splitmix64(&test->random_state);
}

/* Nobody sees it: what an expression knows of a token is in the context. */
static char *
test_token(void *arg, int task_id, const SagaResource *resource)
{
	return psprintf("token-%d", task_id);
}

static void
test_environment(SagaTest *test)
{
	SagaRunEnv *env = &test->env;

	env->execution_id = "arn:aws:states:us-east-1:111111111111:express:test:test:1";
	env->execution_name = "test";
	env->role = GetUserNameFromId(GetUserId(), false);
	env->machine_id = "arn:aws:states:us-east-1:111111111111:stateMachine:test";
	env->machine_name = "test";
	env->started_at = test->now;
	env->data_limit = SAGA_TEST_DATA_LIMIT;
	env->express = true;
	env->random = test_random;
	env->make_token = test_token;
	env->arg = test;
}

/* A machine of the one state that is given. */
static Jsonb *
machine_around(Jsonb *definition)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(&state, "StartAt", SAGA_ONLY_STATE);
	saga_jsonb_push_key(&state, "States");
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_jsonb(&state, SAGA_ONLY_STATE, definition);
	pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* Finds the state: the definition is one, without a name, or a machine that has one of this name. */
static void
test_compile(SagaTest *test, Jsonb *definition, const char *name)
{
	List	   *diagnostics = NIL;
	JsonbValue	value;

	if (name == NULL && JB_ROOT_IS_OBJECT(definition) &&
		saga_jsonb_get(definition, "States", &value) && !saga_jsonb_get(definition, "Type", &value))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the definition is a whole machine, and no state of it is named"),
				 errhint("Name the state to be tested: state => 'Name'.")));
	if (name == NULL)
		test->machine = saga_machine_compile_test(machine_around(definition), true, &diagnostics);
	else
		test->machine = saga_machine_compile_test(definition, false, &diagnostics);
	if (test->machine == NULL)
		saga_check_raise(diagnostics, name == NULL ?
						 "A definition without the name of a state is that state alone, here called StateName." :
						 "saga.validate() lists the faults of a whole machine.");
	test->state = saga_machine_find(test->machine, name != NULL ? name : SAGA_ONLY_STATE);
	if (test->state == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("state \"%s\" does not exist in the definition", name)));
}

static Jsonb *
jsonb_argument(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : PG_GETARG_JSONB_P(n);
}

/*
 * test_state(definition jsonb, input jsonb, state text, mock jsonb,
 *			  context jsonb, variables jsonb, options jsonb)
 */
Datum
saga_test_state(PG_FUNCTION_ARGS)
{
	SagaTest	test = {0};
	char	   *name = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the definition cannot be null")));
	test.found.max_concurrency = test.found.tolerated_count = test.found.backoff_seconds = -1;
	test.found.retry_index = test.found.catch_index = -1;
	test.found.tolerated_percentage = -1;
	saga_test_read_options(&test, jsonb_argument(fcinfo, 6));
	test_environment(&test);
	test_compile(&test, PG_GETARG_JSONB_P(0), name);
	saga_test_check_options(&test);
	saga_test_read_mock(&test, jsonb_argument(fcinfo, 3));
	test.input = PG_ARGISNULL(1) ? saga_jsonb_empty_object() : PG_GETARG_JSONB_P(1);
	test.variables = saga_test_object(jsonb_argument(fcinfo, 5), "variables");
	test.context = saga_test_object(jsonb_argument(fcinfo, 4), "context");
	if (test.context == NULL)
		test.context = saga_test_context(&test);
	saga_test_one(&test);
	PG_RETURN_JSONB_P(saga_test_result(&test));
}
