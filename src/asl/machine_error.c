/*
 * machine_error.c
 *		Compiles what a state says about errors: Retry, Catch, Compensate.
 */
#include "postgres.h"

#include "asl/check_private.h"

#define SAGA_DEFAULT_INTERVAL_MS	1000
#define SAGA_DEFAULT_ATTEMPTS		3
#define SAGA_DEFAULT_BACKOFF		2.0

/* ErrorEquals of a retrier or catcher; "last" says that no other follows. */
static char **
compile_errors(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
			   bool last, int *nerrors)
{
	SagaLocation list_at = {.up = at, .name = "ErrorEquals"};
	JsonbValue	list;
	JsonbValue	present;
	char	  **errors;
	int			count;
	int			i;

	*nerrors = 0;
	if (!saga_asl_member(object, "ErrorEquals", &present))
	{
		saga_check_error(check, at, SAGA_SCHEMA_FAULT,
						 "The field 'ErrorEquals' is required but was missing");
		return NULL;
	}
	if (!saga_check_array(check, object, at, "ErrorEquals", &list))
		return NULL;
	count = JsonContainerSize(list.val.binary.data);
	if (count == 0)
		saga_check_error(check, &list_at, SAGA_SCHEMA_FAULT, "Value cannot be empty");
	errors = palloc(sizeof(char *) * Max(count, 1));
	for (i = 0; i < count; i++)
	{
		SagaLocation here = {.up = &list_at, .index = i};
		JsonbValue *element = getIthJsonbValueFromContainer(list.val.binary.data, i);

		if (element->type != jbvString)
		{
			saga_check_error(check, &here, SAGA_SCHEMA_FAULT, "Expected value of type String");
			continue;
		}
		errors[*nerrors] = saga_asl_string_of(element);
		if (strcmp(errors[*nerrors], "States.ALL") == 0)
		{
			if (count > 1)
				saga_check_error(check, &list_at, SAGA_SCHEMA_FAULT,
								 "States.ALL must appear alone in 'ErrorEquals'");
			else if (!last)
				saga_check_error(check, &list_at, SAGA_SCHEMA_FAULT,
								 "States.ALL must appear in the last element");
		}
		(*nerrors)++;
	}
	return errors;
}

/* One element of Retry; "last": no other one follows. */
static void
compile_retrier(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
				bool last, SagaRetrier *retrier)
{
	static const char *const known[] = {
		"ErrorEquals", "IntervalSeconds", "MaxAttempts", "BackoffRate", "MaxDelaySeconds",
		"JitterStrategy", "Comment"
	};
	int64		seconds;
	char	   *jitter;

	saga_check_known(check, object, at, known, lengthof(known));
	retrier->errors = compile_errors(check, object, at, last, &retrier->nerrors);
	retrier->interval_ms = SAGA_DEFAULT_INTERVAL_MS;
	if (saga_check_integer(check, object, at, "IntervalSeconds", 1, SAGA_MAX_SECONDS, &seconds))
		retrier->interval_ms = seconds * 1000;
	retrier->max_attempts = SAGA_DEFAULT_ATTEMPTS;
	(void) saga_check_integer(check, object, at, "MaxAttempts", 0, SAGA_MAX_SECONDS,
							  &retrier->max_attempts);
	retrier->backoff_rate = SAGA_DEFAULT_BACKOFF;
	(void) saga_check_double(check, object, at, "BackoffRate", 1.0, &retrier->backoff_rate);
	if (saga_check_integer(check, object, at, "MaxDelaySeconds", 1, SAGA_MAX_DELAY_SECONDS, &seconds))
	{
		retrier->max_delay_ms = seconds * 1000;
		if (retrier->max_delay_ms <= retrier->interval_ms)
			saga_check_member_error(check, at, "MaxDelaySeconds", SAGA_SCHEMA_FAULT,
									"MaxDelaySeconds must be greater than IntervalSeconds");
	}
	jitter = saga_check_string(check, object, at, "JitterStrategy", false);
	if (jitter != NULL && strcmp(jitter, "FULL") == 0)
		retrier->full_jitter = true;
	else if (jitter != NULL && strcmp(jitter, "NONE") != 0)
		saga_check_member_error(check, at, "JitterStrategy", SAGA_SCHEMA_FAULT,
								"The field 'JitterStrategy' should have one of these values: [FULL, NONE]");
}

void
saga_compile_retriers(SagaCheck *check, SagaState *state, const JsonbValue *object,
					  const SagaLocation *at)
{
	SagaLocation list_at = {.up = at, .name = "Retry"};
	JsonbValue	list;
	int			count;
	int			i;

	if (!saga_check_array(check, object, at, "Retry", &list))
		return;
	count = JsonContainerSize(list.val.binary.data);
	if (count == 0)
		return;
	state->retriers = palloc0(sizeof(SagaRetrier) * count);
	for (i = 0; i < count; i++)
	{
		SagaLocation here = {.up = &list_at, .index = i};
		JsonbValue *element = getIthJsonbValueFromContainer(list.val.binary.data, i);

		if (!saga_asl_is_object(element))
			saga_check_error(check, &here, SAGA_SCHEMA_FAULT, "Expected value of type Object");
		else
			compile_retrier(check, element, &here, i == count - 1,
							&state->retriers[state->nretriers++]);
	}
}

void
saga_compile_catchers(SagaCheck *check, SagaState *state, const JsonbValue *object,
					  const SagaLocation *at)
{
	const char *known[] = {
		"ErrorEquals", "Next", "Assign", "Comment", check->jsonata ? "Output" : "ResultPath"
	};
	SagaLocation list_at = {.up = at, .name = "Catch"};
	JsonbValue	list;
	int			count;
	int			i;

	if (!saga_check_array(check, object, at, "Catch", &list))
		return;
	count = JsonContainerSize(list.val.binary.data);
	if (count == 0)
		return;
	state->catchers = palloc0(sizeof(SagaCatcher) * count);
	for (i = 0; i < count; i++)
	{
		SagaLocation here = {.up = &list_at, .index = i};
		JsonbValue *element = getIthJsonbValueFromContainer(list.val.binary.data, i);
		SagaCatcher *catcher = &state->catchers[state->ncatchers];
		JsonbValue	next;

		if (!saga_asl_is_object(element))
		{
			saga_check_error(check, &here, SAGA_SCHEMA_FAULT, "Expected value of type Object");
			continue;
		}
		state->ncatchers++;
		saga_check_known(check, element, &here, known, lengthof(known));
		catcher->errors = compile_errors(check, element, &here, i == count - 1,
										 &catcher->nerrors);
		if (!saga_asl_member(element, "Next", &next))
			saga_check_error(check, &here, SAGA_SCHEMA_FAULT,
							 "The field 'Next' is required but was missing");
		else
			catcher->next = saga_check_target(check, element, &here, "Next", state->scope);
		if (check->jsonata)
			catcher->exit.output = saga_check_payload(check, element, &here, "Output", SAGA_SEES_ERROR);
		else
			saga_check_path(check, element, &here, "ResultPath", true, true, &catcher->result_path);
		catcher->exit.assign = saga_check_assign(check, element, &here, SAGA_SEES_ERROR);
	}
}

/*
 * Links a state to its handler.  Done for all states of a States object before
 * they are compiled, since a handler is compiled by rules of its own.
 */
void
saga_compile_compensate(SagaCheck *check, SagaState *state, const JsonbValue *object,
						const SagaLocation *at)
{
	char	   *name = saga_check_string(check, object, at, "Compensate", false);
	SagaState  *handler;

	if (name == NULL)
		return;
	handler = saga_check_find(check, state->scope, name);
	if (handler == NULL)
	{
		saga_check_member_error(check, at, "Compensate", SAGA_TARGET_FAULT,
								"Missing 'Compensate' target: %s", name);
		return;
	}
	state->compensate = handler;
	handler->is_handler = true;
}
