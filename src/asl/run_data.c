/*
 * run_data.c
 *		How data flows through a state: paths, templates, variables, limits.
 *
 * The default paths cost nothing: the same Jsonb is handed from state to
 * state.  What can go wrong sets *fault, and says so by its result; nothing
 * here changes where a thread stands.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "asl/run_private.h"

/* InputPath, OutputPath; NULL and a fault when there is nothing at the path. */
Jsonb *
saga_asl_path_field_get(SagaRun *run, SagaThread *thread, const SagaPathField *field, Jsonb *data,
						SagaFault *fault)
{
	SagaScope	scope;

	if (SAGA_PATH_IS_IDENTITY(field))
		return data;
	if (field->discard)
		return saga_jsonb_empty_object();
	saga_scope_init(run, thread, data, &scope);
	return saga_path_eval(field->path, &scope, fault);
}

/* ResultPath: "target" with "value" put in. */
Jsonb *
saga_asl_path_field_put(const SagaPathField *field, Jsonb *target, Jsonb *value, SagaFault *fault)
{
	if (SAGA_PATH_IS_IDENTITY(field))
		return value;
	if (field->discard)
		return target;
	return saga_path_put(field->path, target, value, fault);
}

/* What a payload makes of what it sees: scope->data is "$", or what "sees" says. */
Jsonb *
saga_asl_payload_eval(SagaRun *run, SagaThread *thread, const SagaPayload *payload, const SagaScope *scope, SagaSees sees,
					  SagaFault *fault)
{
	SagaQueryScope query = {.scope = scope, .input = thread->input, .sees = sees, .made = scope->data, .now = run->now};

	if (payload->query != NULL)
		return saga_asl_query_eval(payload->query, &query, fault);
	return saga_template_eval(payload->template, scope, fault);
}

/* A payload on "data"; without one the data as it is. */
Jsonb *
saga_asl_payload_apply(SagaRun *run, SagaThread *thread, const SagaPayload *payload, Jsonb *data, SagaSees sees,
					   SagaFault *fault)
{
	SagaScope	scope;

	if (payload == NULL)
		return data;
	saga_scope_init(run, thread, data, &scope);
	return saga_asl_payload_eval(run, thread, payload, &scope, sees, fault);
}

/* What an expression of a JSONata state gives. */
Jsonb *
saga_asl_query_apply(SagaRun *run, SagaThread *thread, const SagaQuery *query, SagaFault *fault)
{
	SagaPayload payload = {.query = unconstify(SagaQuery *, query)};

	return saga_asl_payload_apply(run, thread, &payload, thread->input, SAGA_SEES_INPUT, fault);
}

/* InputPath and Parameters, or Arguments, into thread->data; *selected is what InputPath gave. */
bool
saga_thread_input(SagaRun *run, SagaThread *thread, Jsonb **selected, SagaFault *fault)
{
	*selected = saga_asl_path_field_get(run, thread, &thread->state->input_path, thread->input, fault);
	if (*selected == NULL)
		return false;
	thread->data = saga_asl_payload_apply(run, thread, thread->state->parameters, *selected, SAGA_SEES_INPUT, fault);
	return thread->data != NULL;
}

/* A copy of "old" (an object or NULL) with the members of "new" put in. */
static Jsonb *
merge_objects(Jsonb *old, Jsonb *new)
{
	JsonbParseState *state = NULL;
	Jsonb	   *parts[2];
	int			i;

	if (old == NULL)
		return new;
	parts[0] = old;
	parts[1] = new;
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (i = 0; i < 2; i++)
	{
		JsonbIterator *it = JsonbIteratorInit(&parts[i]->root);
		JsonbIteratorToken token;
		JsonbValue	value;

		/* of equal keys the last one stays */
		while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
		{
			if (token == WJB_KEY || token == WJB_VALUE)
				pushJsonbValue(&state, token, &value);
		}
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* Output of a JSONata state; *output stays as it is when there is none. */
bool
saga_thread_output(SagaRun *run, SagaThread *thread, const SagaExit *exit, Jsonb *data, SagaSees sees, Jsonb **output,
				   SagaFault *fault)
{
	if (exit == NULL || exit->output == NULL)
		return true;
	*output = saga_asl_payload_apply(run, thread, exit->output, data, sees, fault);
	return *output != NULL;
}

/* Assign; all of its expressions see the variables as they were before. */
bool
saga_thread_assign(SagaRun *run, SagaThread *thread, const SagaExit *exit, Jsonb *data, SagaSees sees, Jsonb **assigned,
				   SagaFault *fault)
{
	*assigned = NULL;
	if (exit == NULL || exit->assign == NULL)
		return true;
	*assigned = saga_asl_payload_apply(run, thread, exit->assign, data, sees, fault);
	if (*assigned == NULL)
		return false;
	thread->variables = merge_objects(thread->variables, *assigned);
	return true;
}

/* Is this small enough to be handed on?  name: what made it. */
bool
saga_check_limit(SagaRun *run, const char *name, Jsonb *value, SagaFault *fault)
{
	if (!saga_asl_jsonb_exceeds(value, run->env.data_limit))
		return true;
	fault->error = "States.DataLimitExceeded";
	fault->cause = psprintf("The state/task '%s' returned a result with a size exceeding the maximum number of bytes service limit.",
							name);
	return false;
}

/* ---------- fields that are values at a path ---------- */

/* A message that shows the path and what was found there. */
static void
value_fault(SagaFault *fault, const char *what, const SagaPathField *field, Jsonb *value)
{
	JsonbValue	scalar;
	char	   *text;

	if (saga_asl_jsonb_scalar(value, &scalar) && scalar.type == jbvString)
		text = pnstrdup(scalar.val.string.val, scalar.val.string.len);
	else
		text = saga_jsonb_to_cstring(value);
	fault->error = "States.Runtime";
	fault->cause = psprintf("%s: %s == %s", what, field->text, text);
}

/* An integer that an expression gives. */
static bool
query_integer(SagaRun *run, SagaThread *thread, const SagaQuery *query, int64 min, int64 max, int64 *result,
			  SagaFault *fault)
{
	Jsonb	   *value = saga_asl_query_apply(run, thread, query, fault);
	JsonbValue	scalar;
	SagaNumberFault number = SAGA_NUMBER_NO_NUMBER;

	if (value == NULL)
		return false;
	if (saga_asl_jsonb_scalar(value, &scalar))
		number = saga_asl_number_to_int64(&scalar, min, max, result);
	if (number == SAGA_NUMBER_OK)
		return true;
	if (number == SAGA_NUMBER_TOO_SMALL || number == SAGA_NUMBER_TOO_LARGE)
		return saga_asl_query_value_fault(query, psprintf("is not between " INT64_FORMAT " and " INT64_FORMAT, min, max),
										  value, fault);
	return saga_asl_query_type_fault(query, "integer", value, fault);
}

/*
 * A number of seconds at a path, for SecondsPath, TimeoutSecondsPath and
 * HeartbeatSecondsPath, or by an expression.
 */
bool
saga_asl_seconds_at(SagaRun *run, SagaThread *thread, const SagaPathField *field, const char *name,
					int64 min, Jsonb *data, int64 *seconds, SagaFault *fault)
{
	SagaScope	scope;
	Jsonb	   *value;
	JsonbValue	scalar;
	SagaNumberFault number = SAGA_NUMBER_NO_NUMBER;

	if (field->query != NULL)
		return query_integer(run, thread, field->query, min, SAGA_MAX_SECONDS, seconds, fault);
	saga_scope_init(run, thread, data, &scope);
	value = saga_path_eval_field(field->path, name, &scope, fault);
	if (value == NULL)
		return false;
	if (saga_asl_jsonb_scalar(value, &scalar))
		number = saga_asl_number_to_int64(&scalar, min, SAGA_MAX_SECONDS, seconds);
	if (number == SAGA_NUMBER_OK)
		return true;
	if (number == SAGA_NUMBER_TOO_SMALL)
		value_fault(fault, psprintf("The %s parameter references a %s value", name,
									min > 0 ? "non-positive" : "negative"), field, value);
	else if (number == SAGA_NUMBER_TOO_LARGE)
		value_fault(fault, psprintf("The %s parameter references a value greater than " INT64_FORMAT,
									name, SAGA_MAX_SECONDS), field, value);
	else
		value_fault(fault, psprintf("The %s parameter does not reference an integer value", name),
					field, value);
	return false;
}

/* A time that an expression gives. */
static bool
query_timestamp(SagaRun *run, SagaThread *thread, const SagaQuery *query, TimestampTz *result, SagaFault *fault)
{
	Jsonb	   *value = saga_asl_query_apply(run, thread, query, fault);
	JsonbValue	scalar;

	if (value == NULL)
		return false;
	if (!saga_asl_jsonb_scalar(value, &scalar) || scalar.type != jbvString)
		return saga_asl_query_type_fault(query, "string", value, fault);
	if (saga_timestamp_parse(scalar.val.string.val, scalar.val.string.len, result, NULL))
		return true;
	return saga_asl_query_value_fault(query, "cannot be parsed as an ISO-8601 extended offset date-time format string",
									  value, fault);
}

/* A time at a path, for TimestampPath, or by an expression. */
bool
saga_asl_timestamp_at(SagaRun *run, SagaThread *thread, const SagaPathField *field, const char *name,
					  Jsonb *data, TimestampTz *result, SagaFault *fault)
{
	SagaScope	scope;
	Jsonb	   *value;
	JsonbValue	scalar;

	if (field->query != NULL)
		return query_timestamp(run, thread, field->query, result, fault);
	saga_scope_init(run, thread, data, &scope);
	value = saga_path_eval_field(field->path, name, &scope, fault);
	if (value == NULL)
		return false;
	if (saga_asl_jsonb_scalar(value, &scalar) && scalar.type == jbvString &&
		saga_timestamp_parse(scalar.val.string.val, scalar.val.string.len, result, NULL))
		return true;
	value_fault(fault, psprintf("The %s parameter does not reference a valid ISO-8601 "
								"extended offset date-time format string", name), field, value);
	return false;
}

/*
 * A text that an expression gives: for ErrorPath and CausePath, or in a JSONata
 * state for Error and Cause.  *result stays as it is when there is neither.
 */
bool
saga_asl_string_at(SagaRun *run, SagaThread *thread, const SagaExpr *expr, const SagaPathField *field, const char *name,
				   Jsonb *data, const char **result, SagaFault *fault)
{
	SagaScope	scope;
	Jsonb	   *value;
	JsonbValue	scalar;

	if (expr == NULL && field->query == NULL)
		return true;
	saga_scope_init(run, thread, data, &scope);
	value = expr != NULL ? saga_expr_eval(expr, &scope, fault) : saga_asl_query_apply(run, thread, field->query, fault);
	if (value == NULL)
		return false;
	if (saga_asl_jsonb_scalar(value, &scalar) && scalar.type == jbvString)
	{
		*result = pnstrdup(scalar.val.string.val, scalar.val.string.len);
		return true;
	}
	if (expr == NULL)
		return saga_asl_query_type_fault(field->query, "string", value, fault);
	return saga_fault(fault, "States.Runtime", "The %s field does not refer to a string: %s", name,
					  saga_jsonb_to_cstring(value));
}

/* ---------- fields of a Map ---------- */

/* AWS's words for a field with a path to a value of another type. */
void
saga_asl_map_value_fault(SagaFault *fault, const char *name, const SagaPathField *field, Jsonb *value, const char *what)
{
	JsonbValue	scalar;
	char	   *text;

	if (saga_asl_jsonb_scalar(value, &scalar) && scalar.type == jbvString)
		text = pnstrdup(scalar.val.string.val, scalar.val.string.len);
	else
		text = saga_jsonb_to_cstring(value);
	fault->error = "States.Runtime";
	fault->cause = psprintf("The %s field refers to value \"%s\" which is not a valid %s: %s",
							name, text, what, field->text);
}

/* The value at a field's path, or by its expression; NULL and a fault: there is none. */
Jsonb *
saga_asl_field_value(SagaRun *run, SagaThread *thread, const SagaPathField *field, const char *name, SagaFault *fault)
{
	SagaScope	scope;

	if (field->query != NULL)
		return saga_asl_query_apply(run, thread, field->query, fault);
	saga_scope_init(run, thread, thread->data, &scope);
	return saga_path_eval_field(field->path, name, &scope, fault);
}

/* A count that is fixed, at a path, or by an expression.  It is left alone when it is fixed. */
bool
saga_asl_map_count(SagaRun *run, SagaThread *thread, const SagaPathField *field, const char *name, int64 *count,
				   SagaFault *fault)
{
	Jsonb	   *value;
	JsonbValue	scalar;
	SagaNumberFault number = SAGA_NUMBER_NO_NUMBER;

	if (field->query != NULL)
		return query_integer(run, thread, field->query, 0, PG_INT32_MAX, count, fault);
	if (field->path == NULL)
		return true;
	value = saga_asl_field_value(run, thread, field, name, fault);
	if (value == NULL)
		return false;
	if (saga_asl_jsonb_scalar(value, &scalar))
		number = saga_asl_number_to_int64(&scalar, 0, PG_INT32_MAX, count);
	if (number == SAGA_NUMBER_OK)
		return true;
	saga_asl_map_value_fault(fault, name, field, value, "integer");
	return false;
}

/* What is run with an item: the item, or what ItemSelector makes of it.  NULL, and a fault: that fails. */
Jsonb *
saga_asl_item_input(SagaRun *run, SagaThread *thread, const SagaMapItem *item, SagaFault *fault)
{
	Jsonb	   *input;

	if (thread->state->map->item_selector == NULL)
		return item->value;
	run->selecting = thread;
	run->item = *item;
	/* another item, another context object */
	run->current = NULL;
	input = saga_asl_payload_apply(run, thread, thread->state->map->item_selector, thread->data, SAGA_SEES_INPUT, fault);
	run->current = NULL;
	run->selecting = NULL;
	return input;
}
