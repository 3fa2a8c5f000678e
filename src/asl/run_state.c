/*
 * run_state.c
 *		What each type of state does.
 *
 * The default paths cost nothing: the same Jsonb is handed from state to
 * state.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "asl/run_private.h"

/* ---------- data flow ---------- */

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

/* InputPath, OutputPath; NULL and a fault when there is nothing at the path. */
static Jsonb *
saga_path_field_get(SagaRun *run, SagaThread *thread, const SagaPathField *field, Jsonb *data,
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

/* ResultPath */
Jsonb *
saga_path_field_put(const SagaPathField *field, Jsonb *target, Jsonb *value, SagaFault *fault)
{
	if (SAGA_PATH_IS_IDENTITY(field))
		return value;
	if (field->discard)
		return target;
	return saga_path_put(field->path, target, value, fault);
}

static Jsonb *
saga_template_apply(SagaRun *run, SagaThread *thread, const SagaTemplate *template, Jsonb *data,
					SagaFault *fault)
{
	SagaScope	scope;

	if (template == NULL)
		return data;
	saga_scope_init(run, thread, data, &scope);
	return saga_template_eval(template, &scope, fault);
}

/* InputPath and Parameters into thread->data; *selected is what InputPath gave. */
bool
saga_thread_input(SagaRun *run, SagaThread *thread, Jsonb **selected, SagaFault *fault)
{
	*selected = saga_path_field_get(run, thread, &thread->state->input_path, thread->input, fault);
	if (*selected == NULL)
		return false;
	thread->data = saga_template_apply(run, thread, thread->state->parameters, *selected, fault);
	return thread->data != NULL;
}

/* A copy of "old" (an object or NULL) with the members of "new" put in. */
static Jsonb *
saga_merge_objects(Jsonb *old, Jsonb *new)
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

/* Assign; all of its expressions see the variables as they were before. */
bool
saga_thread_assign(SagaRun *run, SagaThread *thread, const SagaTemplate *assign, Jsonb *data,
				   Jsonb **assigned, SagaFault *fault)
{
	*assigned = NULL;
	if (assign == NULL)
		return true;
	*assigned = saga_template_apply(run, thread, assign, data, fault);
	if (*assigned == NULL)
		return false;
	thread->variables = saga_merge_objects(thread->variables, *assigned);
	return true;
}

/* ---------- leaving a state ---------- */

bool
saga_check_limit(SagaRun *run, const char *name, Jsonb *value, SagaFault *fault)
{
	if (!saga_jsonb_exceeds(value, run->env.data_limit))
		return true;
	fault->error = "States.DataLimitExceeded";
	fault->cause = psprintf("The state/task '%s' returned a result with a size exceeding the maximum number of bytes service limit.",
							name);
	return false;
}

static void
saga_parallel_complete(SagaRun *run, SagaThread *thread)
{
	JsonbParseState *state = NULL;
	Jsonb	   *result;
	int			i;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (i = 0; i < thread->nchildren; i++)
		saga_jsonb_push(&state, WJB_ELEM, thread->results[i]);
	result = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
	thread->nchildren = 0;
	saga_thread_complete(run, thread, result);
}

/* The last state of a States object has been left. */
static void
saga_thread_end(SagaRun *run, SagaThread *thread, Jsonb *output)
{
	SagaThread *parent = thread->parent;

	if (parent == NULL)
	{
		saga_run_succeed(run, thread, output);
		return;
	}
	parent->results[thread->branch] = output;
	parent->last_event = thread->last_event;
	saga_thread_drop(run, thread);
	if (--parent->nopen == 0)
		saga_parallel_complete(run, parent);
}

/* No fault can come from here; the thread may be gone afterwards. */
void
saga_thread_exit(SagaRun *run, SagaThread *thread, Jsonb *output, const SagaState *next,
				 Jsonb *assigned)
{
	SagaEventRecord *record = saga_log(run, thread, SAGA_EVENT_STATE_EXITED + thread->state->type);

	record->strings[0] = thread->state->name;
	record->values[0] = output;
	record->values[1] = assigned;
	if (next == NULL)
	{
		saga_thread_end(run, thread, output);
		return;
	}
	thread->input = output;
	thread->state = next;
	saga_thread_ready(run, thread, SAGA_PHASE_ENTER);
}

/* OutputPath, Assign and the limit on data, then out. */
void
saga_thread_leave(SagaRun *run, SagaThread *thread, Jsonb *output, const SagaState *next,
				  const SagaTemplate *assign, Jsonb *assign_data)
{
	SagaFault	fault = {0};
	Jsonb	   *assigned;

	output = saga_path_field_get(run, thread, &thread->state->output_path, output, &fault);
	if (output == NULL ||
		!saga_check_limit(run, thread->state->name, output, &fault) ||
		!saga_thread_assign(run, thread, assign, assign_data, &assigned, &fault))
		saga_completed_fault(run, thread, &fault);
	else
		saga_thread_exit(run, thread, output, next, assigned);
}

/* A Task, Parallel or Pass has its result. */
void
saga_thread_complete(SagaRun *run, SagaThread *thread, Jsonb *result)
{
	const SagaState *state = thread->state;
	SagaFault	fault = {0};
	Jsonb	   *output = NULL;

	check_stack_depth();
	if (state->compensate != NULL)
		(void) saga_done_push(run, thread, result);
	result = saga_template_apply(run, thread, state->result_selector, result, &fault);
	if (result != NULL)
		output = saga_path_field_put(&state->result_path, thread->input, result, &fault);
	if (output == NULL)
		saga_completed_fault(run, thread, &fault);
	else
		saga_thread_leave(run, thread, output, state->next, state->assign, result);
}

/* ---------- the types ---------- */

static void
saga_do_pass(SagaRun *run, SagaThread *thread)
{
	saga_thread_complete(run, thread,
						 thread->state->result != NULL ? thread->state->result : thread->data);
}

static void
saga_do_choice(SagaRun *run, SagaThread *thread)
{
	const SagaState *state = thread->state;
	const SagaState *next = state->next;
	const SagaTemplate *assign = state->assign;
	SagaFault	fault = {0};
	SagaScope	scope;
	int			i;

	saga_scope_init(run, thread, thread->data, &scope);
	for (i = 0; i < state->nchoices; i++)
	{
		bool		matches = saga_rule_eval(state->choices[i].rule, &scope, &fault);

		if (fault.error != NULL)
		{
			saga_thread_fault(run, thread, &fault);
			return;
		}
		if (matches)
		{
			next = state->choices[i].next;
			assign = state->choices[i].assign;
			break;
		}
	}
	if (next == NULL)
	{
		fault.error = "States.NoChoiceMatched";
		fault.cause = "Failed to transition out of the state. The state does not point to a next state.";
		saga_thread_fault(run, thread, &fault);
		return;
	}
	saga_thread_leave(run, thread, thread->data, next, assign, thread->data);
}

static void
saga_wait_fault(SagaFault *fault, const char *what, const SagaPathField *field, Jsonb *value)
{
	JsonbValue	scalar;
	char	   *text;

	if (saga_jsonb_scalar(value, &scalar) && scalar.type == jbvString)
		text = pnstrdup(scalar.val.string.val, scalar.val.string.len);
	else
		text = saga_jsonb_to_cstring(value);
	fault->error = "States.Runtime";
	fault->cause = psprintf("%s: %s == %s", what, field->text, text);
}

/* A number of seconds at a path, for SecondsPath, TimeoutSecondsPath and HeartbeatSecondsPath. */
bool
saga_seconds_at(SagaRun *run, SagaThread *thread, const SagaPathField *field, const char *name,
				int64 min, Jsonb *data, int64 *seconds, SagaFault *fault)
{
	SagaScope	scope;
	Jsonb	   *value;
	JsonbValue	scalar;
	SagaNumberFault number = SAGA_NUMBER_NO_NUMBER;

	saga_scope_init(run, thread, data, &scope);
	value = saga_path_eval_field(field->path, name, &scope, fault);
	if (value == NULL)
		return false;
	if (saga_jsonb_scalar(value, &scalar))
		number = saga_number_to_int64(&scalar, min, SAGA_MAX_SECONDS, seconds);
	if (number == SAGA_NUMBER_OK)
		return true;
	if (number == SAGA_NUMBER_TOO_SMALL)
		saga_wait_fault(fault, psprintf("The %s parameter references a %s value", name,
										min > 0 ? "non-positive" : "negative"), field, value);
	else if (number == SAGA_NUMBER_TOO_LARGE)
		saga_wait_fault(fault, psprintf("The %s parameter references a value greater than " INT64_FORMAT,
										name, SAGA_MAX_SECONDS), field, value);
	else
		saga_wait_fault(fault, psprintf("The %s parameter does not reference an integer value", name),
						field, value);
	return false;
}

static bool
saga_timestamp_at(SagaRun *run, SagaThread *thread, TimestampTz *result, SagaFault *fault)
{
	const SagaPathField *field = &thread->state->timestamp_path;
	SagaScope	scope;
	Jsonb	   *value;
	JsonbValue	scalar;

	saga_scope_init(run, thread, thread->data, &scope);
	value = saga_path_eval_field(field->path, "TimestampPath", &scope, fault);
	if (value == NULL)
		return false;
	if (saga_jsonb_scalar(value, &scalar) && scalar.type == jbvString &&
		saga_timestamp_parse(scalar.val.string.val, scalar.val.string.len, result, NULL))
		return true;
	saga_wait_fault(fault, "The TimestampPath parameter does not reference a valid ISO-8601 "
					"extended offset date-time format string", field, value);
	return false;
}

static void
saga_do_wait(SagaRun *run, SagaThread *thread)
{
	const SagaState *state = thread->state;
	SagaFault	fault = {0};
	int64		seconds;

	if (state->has_wait_until)
		thread->wake_at = state->wait_until;
	else if (state->wait_ms >= 0)
		thread->wake_at = saga_time_add_ms(run->now, state->wait_ms);
	else if (state->seconds_path.path != NULL)
	{
		if (!saga_seconds_at(run, thread, &state->seconds_path, "SecondsPath", 0, thread->data,
							 &seconds, &fault))
		{
			saga_thread_fault(run, thread, &fault);
			return;
		}
		thread->wake_at = saga_time_add_ms(run->now, seconds * 1000);
	}
	else if (!saga_timestamp_at(run, thread, &thread->wake_at, &fault))
	{
		saga_thread_fault(run, thread, &fault);
		return;
	}

	if (thread->wake_at <= run->now)
		saga_thread_leave(run, thread, thread->data, state->next, state->assign, thread->data);
	else
	{
		thread->phase = SAGA_PHASE_WAIT;
		saga_run_set_timer(run, thread->wake_at);
	}
}

/* Error or Cause of a Fail: NULL when it has none. */
static bool
saga_fail_text(SagaRun *run, SagaThread *thread, const char *name, const char *constant,
			   const SagaExpr *expr, const char **result, SagaFault *fault)
{
	SagaScope	scope;
	Jsonb	   *value;
	JsonbValue	scalar;

	*result = constant;
	if (expr == NULL)
		return true;
	saga_scope_init(run, thread, thread->input, &scope);
	value = saga_expr_eval(expr, &scope, fault);
	if (value == NULL)
		return false;
	if (!saga_jsonb_scalar(value, &scalar) || scalar.type != jbvString)
	{
		fault->error = "States.Runtime";
		fault->cause = psprintf("The %s field does not refer to a string: %s", name,
								saga_jsonb_to_cstring(value));
		return false;
	}
	*result = pnstrdup(scalar.val.string.val, scalar.val.string.len);
	return true;
}

static void
saga_do_fail(SagaRun *run, SagaThread *thread)
{
	const SagaState *state = thread->state;
	SagaFailure failure = {0};
	SagaFault	fault = {0};

	if (!saga_fail_text(run, thread, "ErrorPath", state->error, state->error_path,
						&failure.error, &fault) ||
		!saga_fail_text(run, thread, "CausePath", state->cause, state->cause_path,
						&failure.cause, &fault))
		saga_thread_fault(run, thread, &fault);
	else
		saga_thread_fail(run, thread, &failure);
}

static void
saga_do_parallel(SagaRun *run, SagaThread *thread)
{
	const SagaState *state = thread->state;
	int			i;

	(void) saga_log(run, thread, SAGA_EVENT_PARALLEL_STARTED);
	thread->phase = SAGA_PHASE_CHILDREN;
	thread->nchildren = thread->nopen = state->nbranches;
	thread->children = palloc0(sizeof(SagaThread *) * state->nbranches);
	thread->results = palloc0(sizeof(Jsonb *) * state->nbranches);
	for (i = 0; i < state->nbranches; i++)
	{
		SagaThread *child = saga_thread_new(run, thread, i);

		thread->children[i] = child;
		child->state = state->branches[i]->start;
		child->input = thread->data;
		child->variables = thread->variables;
		child->last_event = thread->last_event;
		saga_thread_ready(run, child, SAGA_PHASE_ENTER);
	}
}

/* ---------- one step ---------- */

static void
saga_thread_enter(SagaRun *run, SagaThread *thread)
{
	SagaEventRecord *record = saga_log(run, thread, SAGA_EVENT_STATE_ENTERED + thread->state->type);

	record->strings[0] = thread->state->name;
	record->values[0] = thread->input;
	thread->entered_at = run->now;
	thread->entered_event = thread->last_event;
	thread->call_id = run->next_call++;
	thread->retry_count = 0;
	thread->attempts = NULL;
	thread->attempts_size = 0;
	thread->resume = thread->answered = false;
}

/* Lets a thread do what it can; true when *action asks the caller for something. */
bool
saga_thread_step(SagaRun *run, SagaThread *thread, SagaAction *action)
{
	SagaFault	fault = {0};
	Jsonb	   *selected;

	if (thread->phase == SAGA_PHASE_ENTER)
		saga_thread_enter(run, thread);
	thread->phase = SAGA_PHASE_ATTEMPT;
	if (!thread->resume)
		thread->token = NULL;
	if (run->current == thread)
		run->context_object = NULL;

	if (thread->state->type == SAGA_STATE_TASK)
		return saga_task_begin(run, thread, action);
	if (!saga_thread_input(run, thread, &selected, &fault))
	{
		saga_thread_fault(run, thread, &fault);
		return false;
	}
	switch (thread->state->type)
	{
		case SAGA_STATE_PASS:
			saga_do_pass(run, thread);
			break;
		case SAGA_STATE_CHOICE:
			saga_do_choice(run, thread);
			break;
		case SAGA_STATE_WAIT:
			saga_do_wait(run, thread);
			break;
		case SAGA_STATE_SUCCEED:
			saga_thread_leave(run, thread, thread->data, NULL, NULL, NULL);
			break;
		case SAGA_STATE_FAIL:
			saga_do_fail(run, thread);
			break;
		case SAGA_STATE_PARALLEL:
			saga_do_parallel(run, thread);
			break;
		case SAGA_STATE_TASK:
		case SAGA_STATE_MAP:
			elog(ERROR, "unexpected state type %d", thread->state->type);
	}
	return false;
}
