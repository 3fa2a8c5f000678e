/*
 * test_state_args.c
 *		What saga.test_state() is asked for: its options and its mock.
 *
 * They have the names that they have in the API of AWS.  What is a text that
 * holds JSON there may be that, or the JSON itself.
 */
#include "postgres.h"

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "utils/timestamp.h"

#include "asl/check_private.h"
#include "asl/test_state_private.h"

/* As in the API. */
#define SAGA_MAX_ERROR_CHARS	256

/* ---------- reading ---------- */

static void
saga_wrong_member(const char *name, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for \"%s\"", name),
			 errdetail("It has to be %s.", what)));
}

/* The members must all be of these; what: what has them. */
static void
saga_only_known(const JsonbValue *object, const char *what, const char *const *known, int nknown)
{
	SagaCheck	check = {.diagnostics_context = CurrentMemoryContext};
	SagaLocation at = {0};
	StringInfoData list;
	int			i;

	if (!saga_is_object(object))
		saga_wrong_member(what, "an object");
	saga_check_known(&check, object, &at, known, nknown);
	if (!check.failed)
		return;
	initStringInfo(&list);
	for (i = 0; i < nknown; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", known[i]);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized member of \"%s\": \"%s\"", what,
					((SagaDiagnostic *) linitial(check.diagnostics))->location + 1),
			 errhint("Its members are: %s.", list.data)));
}

/* NULL: it is not there. */
static char *
saga_string_member(const JsonbValue *object, const char *name)
{
	JsonbValue	value;

	if (!saga_member(object, name, &value) || value.type == jbvNull)
		return NULL;
	if (value.type != jbvString)
		saga_wrong_member(name, "a string");
	return saga_string_of(&value);
}

/* -1: it is not there. */
static int64
saga_count_member(const JsonbValue *object, const char *name)
{
	JsonbValue	value;
	int64		result;

	if (!saga_member(object, name, &value) || value.type == jbvNull)
		return -1;
	if (saga_number_to_int64(&value, 0, PG_INT32_MAX, &result) != SAGA_NUMBER_OK)
		saga_wrong_member(name, "an integer, and not negative");
	return result;
}

/* The place of the member's text among "words"; "absent" when it is not there. */
static int
saga_word_member(const JsonbValue *object, const char *name, const char *const *words, int nwords, int absent)
{
	char	   *text = saga_string_member(object, name);
	StringInfoData list;
	int			i;

	if (text == NULL)
		return absent;
	initStringInfo(&list);
	for (i = 0; i < nwords; i++)
	{
		if (strcmp(text, words[i]) == 0)
			return i;
		appendStringInfo(&list, "%s\"%s\"", i == 0 ? "one of " : ", ", words[i]);
	}
	saga_wrong_member(name, list.data);
	return absent;
}

/* A value, or the one that a text holds. */
static Jsonb *
saga_json_of(const JsonbValue *value, const char *name)
{
	Jsonb	   *result;

	if (value->type != jbvString)
		return saga_jsonb_from_value(value);
	result = saga_jsonb_parse(value->val.string.val, value->val.string.len);
	if (result == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_JSON_TEXT),
				 errmsg("the text in \"%s\" is not JSON", name),
				 errhint("A text is read as JSON, as in the API of AWS. A string in it has quotes of its own: \"\\\"abc\\\"\".")));
	return result;
}

/* An argument that is an object, or a text that holds one; NULL stays NULL. */
Jsonb *
saga_test_object(Jsonb *value, const char *name)
{
	JsonbValue	root;
	Jsonb	   *result;

	if (value == NULL)
		return NULL;
	saga_jsonb_value(value, &root);
	result = saga_json_of(&root, name);
	if (!JB_ROOT_IS_OBJECT(result))
		saga_wrong_member(name, "an object");
	return result;
}

/* ---------- options ---------- */

static void
saga_read_configuration(SagaTest *test, const JsonbValue *options)
{
	static const char *const known[] = {
		"retrierRetryCount", "mapIterationFailureCount", "errorCausedByState", "mapItemReaderData"
	};
	JsonbValue	configuration;
	JsonbValue	value;

	if (!saga_member(options, "stateConfiguration", &configuration) || configuration.type == jbvNull)
		return;
	saga_only_known(&configuration, "stateConfiguration", known, lengthof(known));
	test->retries = saga_count_member(&configuration, "retrierRetryCount");
	test->failed_items = saga_count_member(&configuration, "mapIterationFailureCount");
	test->culprit = saga_string_member(&configuration, "errorCausedByState");
	/* which of both it is depends on the reader: test_state_map.c */
	if (saga_member(&configuration, "mapItemReaderData", &value) && value.type != jbvNull)
		test->reader_data = saga_jsonb_from_value(&value);
}

/* options may be NULL */
void
saga_test_read_options(SagaTest *test, Jsonb *options)
{
	static const char *const known[] = {"inspectionLevel", "stateConfiguration", "start_time", "seed"};
	static const char *const levels[] = {"INFO", "DEBUG", "TRACE"};
	JsonbValue	object;
	char	   *text;

	test->retries = test->failed_items = -1;
	test->now = GetCurrentTransactionStartTimestamp();
	if (options == NULL)
		return;
	saga_jsonb_value(options, &object);
	saga_only_known(&object, "options", known, lengthof(known));
	test->inspect = saga_word_member(&object, "inspectionLevel", levels, lengthof(levels), 0) > 0;
	text = saga_string_member(&object, "start_time");
	if (text != NULL && !saga_timestamp_parse(text, strlen(text), &test->now, NULL))
		saga_wrong_member("start_time", "a time as in RFC 3339");
	test->random_state = Max(saga_count_member(&object, "seed"), 0);
	saga_read_configuration(test, &object);
}

static void
saga_refuse_option(const SagaTest *test, const char *name, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" does not fit state \"%s\"", name, test->state->name),
			 errdetail("%s", why)));
}

/* Is the state of this name somewhere below "owner"? */
static bool
saga_is_below(const SagaTest *test, const char *name, const SagaState *owner)
{
	const SagaState *state = saga_machine_find(test->machine, name);

	while (state != NULL && state->scope->owner != NULL)
	{
		state = state->scope->owner;
		if (state == owner)
			return true;
	}
	return false;
}

/* What is said of the state must be something that it can have. */
void
saga_test_check_options(SagaTest *test)
{
	const SagaState *state = test->state;
	bool		is_map = state->type == SAGA_STATE_MAP;
	bool		is_fork = is_map || state->type == SAGA_STATE_PARALLEL;

	if (test->retries >= 0 && !is_fork && state->type != SAGA_STATE_TASK)
		saga_refuse_option(test, "retrierRetryCount", "Only a Task, Map or Parallel is tried again.");
	if (test->failed_items >= 0 && !is_map)
		saga_refuse_option(test, "mapIterationFailureCount", "Only a Map has items.");
	if (test->reader_data != NULL && (!is_map || state->map->reader == NULL))
		saga_refuse_option(test, "mapItemReaderData", "Only a Map with an ItemReader reads data.");
	if (test->culprit != NULL && !is_fork)
		saga_refuse_option(test, "errorCausedByState", "Only a Map or Parallel has states in it.");
	if (test->culprit != NULL && !saga_is_below(test, test->culprit, state))
		saga_refuse_option(test, "errorCausedByState",
						   psprintf("There is no state \"%s\" in it.", test->culprit));
}

/* ---------- the mock ---------- */

/* Is it a mock's business what the state comes to? */
static bool
saga_has_mock(const SagaState *state)
{
	return state->type == SAGA_STATE_TASK || state->type == SAGA_STATE_PARALLEL || state->type == SAGA_STATE_MAP;
}

static void
saga_check_has_mock(const SagaTest *test)
{
	const SagaState *state = test->state;

	if (test->mock.given && !saga_has_mock(state))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("state \"%s\" of type %s cannot have a mock", state->name, saga_state_type_name(state->type)),
				 errhint("Only what a Task, Map or Parallel comes to is mocked.")));
	if (!test->mock.given && saga_has_mock(state))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("state \"%s\" of type %s needs a mock", state->name, saga_state_type_name(state->type)),
				 errdetail("Nothing is called, and nothing inside it is run."),
				 errhint("Give mock => '{\"result\": ...}' or mock => '{\"errorOutput\": {\"error\": ..., \"cause\": ...}}'.")));
}

/* {"errorOutput": {"error", "cause"}} */
static void
saga_read_error_output(SagaMock *mock, const JsonbValue *output)
{
	static const char *const known[] = {"error", "cause"};

	saga_only_known(output, "errorOutput", known, lengthof(known));
	mock->error = saga_string_member(output, "error");
	mock->cause = saga_string_member(output, "cause");
	if (mock->error != NULL && pg_mbstrlen(mock->error) > SAGA_MAX_ERROR_CHARS)
		saga_wrong_member("error", psprintf("at most %d characters long", SAGA_MAX_ERROR_CHARS));
	if (mock->cause != NULL && pg_mbstrlen(mock->cause) > SAGA_MAX_CAUSE)
		saga_wrong_member("cause", psprintf("at most %d characters long", SAGA_MAX_CAUSE));
}

/* A mocked result must be one that the state can have. */
static void
saga_check_result(const SagaTest *test)
{
	const SagaState *state = test->state;
	Jsonb	   *result = test->mock.result;
	bool		is_array = JB_ROOT_IS_ARRAY(result) && !JB_ROOT_IS_SCALAR(result);
	char	   *fault = NULL;

	if (state->type == SAGA_STATE_PARALLEL && (!is_array || JB_ROOT_COUNT(result) != state->nbranches))
		fault = psprintf("The result of a Parallel is an array with one element for each branch, here %d.",
						 state->nbranches);
	else if (state->type == SAGA_STATE_MAP && state->map->writer != NULL && !JB_ROOT_IS_OBJECT(result))
		fault = pstrdup("The result of a Map with a ResultWriter is an object.");
	else if (state->type == SAGA_STATE_MAP && state->map->writer == NULL && !is_array)
		fault = pstrdup("The result of a Map is an array.");
	else if (state->type == SAGA_STATE_TASK && test->mock.mode != SAGA_MOCK_NONE)
		fault = saga_model_fault(&state->resource, result, test->mock.mode == SAGA_MOCK_STRICT);
	if (fault == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the mocked result of state \"%s\" is none that it can have", state->name),
			 errdetail("%s", fault),
			 state->type != SAGA_STATE_TASK ? 0 :
			 errhint("With \"fieldValidationMode\": \"PRESENT\" only what is there is checked, with \"NONE\" nothing.")));
}

/* mock may be NULL; the state is known already */
void
saga_test_read_mock(SagaTest *test, Jsonb *mock)
{
	static const char *const known[] = {"result", "errorOutput", "fieldValidationMode"};
	static const char *const modes[] = {"STRICT", "PRESENT", "NONE"};
	JsonbValue	object;
	JsonbValue	result;
	JsonbValue	error;
	bool		has_result;
	bool		has_error;

	test->mock.given = mock != NULL;
	saga_check_has_mock(test);
	if (mock == NULL)
		return;
	saga_jsonb_value(mock, &object);
	saga_only_known(&object, "mock", known, lengthof(known));
	test->mock.mode = saga_word_member(&object, "fieldValidationMode", modes, lengthof(modes), SAGA_MOCK_STRICT);
	has_result = saga_member(&object, "result", &result);
	has_error = saga_member(&object, "errorOutput", &error);
	if (has_result == has_error)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a mock has either \"result\" or \"errorOutput\""),
				 errdetail("%s", has_result ? "It has both." : "It has neither.")));
	if (has_error)
	{
		saga_read_error_output(&test->mock, &error);
		return;
	}
	test->mock.result = saga_json_of(&result, "result");
	saga_check_result(test);
}
