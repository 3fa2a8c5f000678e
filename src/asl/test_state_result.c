/*
 * test_state_result.c
 *		What saga.test_state() answers, under the names of the API of AWS.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/numeric.h"

#include "asl/test_state_private.h"
#include "value/doc.h"

/* What is absent is not told. */
static void
push_found(JsonbParseState **state, const char *name, Jsonb *value)
{
	if (value != NULL)
		saga_doc_push_jsonb(state, name, value);
}

static void
push_text(JsonbParseState **state, const char *name, const char *text)
{
	if (text != NULL)
		saga_doc_push_string(state, name, text);
}

static void
push_count(JsonbParseState **state, const char *name, int64 count)
{
	if (count >= 0)
		saga_doc_push_int(state, name, count);
}

static void
push_percentage(JsonbParseState **state, const char *name, double percentage)
{
	JsonbValue	value;

	if (percentage < 0)
		return;
	value.type = jbvNumeric;
	value.val.numeric = DatumGetNumeric(DirectFunctionCall1(float8_numeric, Float8GetDatum(percentage)));
	saga_doc_push_value(state, name, &value);
}

/* Which Retry and which Catch the error was for. */
static void
push_error_details(JsonbParseState **state, const SagaInspection *found)
{
	if (found->retry_index < 0 && found->catch_index < 0)
		return;
	saga_jsonb_push_key(state, "errorDetails");
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	push_count(state, "catchIndex", found->catch_index);
	push_count(state, "retryIndex", found->retry_index);
	push_count(state, "retryBackoffIntervalSeconds", found->backoff_seconds);
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

static void
push_inspection(const SagaTest *test, JsonbParseState **state)
{
	const SagaInspection *found = &test->found;

	saga_jsonb_push_key(state, "inspectionData");
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_jsonb(state, "input", test->input);
	push_found(state, "afterInputPath", found->after_input_path);
	push_found(state, test->state->jsonata ? "afterArguments" : "afterParameters", found->after_parameters);
	push_found(state, "afterItemsPath", found->after_items_path);
	push_found(state, "afterItemsPointer", found->after_items_pointer);
	push_found(state, "afterItemSelector", found->after_item_selector);
	push_found(state, "afterItemBatcher", found->after_item_batcher);
	push_found(state, "result", found->result);
	push_found(state, "afterResultSelector", found->after_result_selector);
	push_found(state, "afterResultPath", found->after_result_path);
	push_found(state, "variables", test->variables);
	push_count(state, "maxConcurrency", found->max_concurrency);
	push_count(state, "toleratedFailureCount", found->tolerated_count);
	push_percentage(state, "toleratedFailurePercentage", found->tolerated_percentage);
	push_error_details(state, found);
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* Of a test whose state has run. */
Jsonb *
saga_test_result(const SagaTest *test)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(&state, "status", test->status);
	push_found(&state, "output", test->output);
	push_text(&state, "error", test->error);
	push_text(&state, "cause", test->cause);
	push_text(&state, "nextState", test->next_state);
	if (test->inspect)
		push_inspection(test, &state);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}
