/*
 * run_state.c
 *		What Pass, Choice, Wait, Succeed and Fail do: what needs nobody else.
 *
 * Task is in run_task.c, Parallel in run_parallel.c.  Each function here does
 * what one attempt of its type does, after InputPath and Parameters, and says
 * what is next.
 */
#include "postgres.h"

#include "asl/run_private.h"

SagaTransition
saga_asl_pass_step(SagaRun *run, SagaThread *thread)
{
	return saga_next_complete(thread, thread->state->result != NULL ? thread->state->result : thread->data);
}

/* Is this the rule that says where to go?  False too, and *fault is set: nobody can tell. */
static bool
choice_matches(SagaRun *run, SagaThread *thread, const SagaChoice *choice, const SagaScope *scope, SagaFault *fault)
{
	Jsonb	   *value;
	JsonbValue	scalar;

	if (choice->condition == NULL)
		return saga_jsonpath_rule_eval(choice->rule, scope, fault);
	value = saga_asl_query_apply(run, thread, choice->condition, fault);
	if (value == NULL)
		return false;
	if (saga_asl_jsonb_scalar(value, &scalar) && scalar.type == jbvBool)
		return scalar.val.boolean;
	return saga_asl_query_type_fault(choice->condition, "boolean", value, fault);
}

/* The first rule that matches says where to go, else Default. */
SagaTransition
saga_asl_choice_step(SagaRun *run, SagaThread *thread)
{
	const SagaState *state = thread->state;
	SagaFault	fault = {0};
	SagaScope	scope;
	int			i;

	saga_scope_init(run, thread, thread->data, &scope);
	for (i = 0; i < state->nchoices; i++)
	{
		const SagaChoice *choice = &state->choices[i];
		bool		matches = choice_matches(run, thread, choice, &scope, &fault);

		if (fault.error != NULL)
			return saga_next_fault(thread, &fault);
		if (!matches)
			continue;
		saga_run_took(run, state, SAGA_COVERED_CHOICE, i);
		return saga_next_leave(thread, thread->data, choice->next, &choice->exit, thread->data, SAGA_SEES_INPUT);
	}
	if (state->next != NULL)
	{
		saga_run_took(run, state, SAGA_COVERED_LEFT, 0);
		return saga_next_leave(thread, thread->data, state->next, &state->exit, thread->data, SAGA_SEES_INPUT);
	}
	fault.error = "States.NoChoiceMatched";
	fault.cause = "Failed to transition out of the state. The state does not point to a next state.";
	return saga_next_fault(thread, &fault);
}

/* When a Wait that begins now is over. */
static bool
wait_until(SagaRun *run, SagaThread *thread, TimestampTz *at, SagaFault *fault)
{
	const SagaState *state = thread->state;
	int64		seconds;

	if (state->has_wait_until)
		*at = state->wait_until;
	else if (state->wait_ms >= 0)
		*at = saga_asl_time_add_ms(run->now, state->wait_ms);
	else if (SAGA_FIELD_IS_DYNAMIC(&state->seconds_path))
	{
		if (!saga_asl_seconds_at(run, thread, &state->seconds_path, "SecondsPath", 0, thread->data, &seconds, fault))
			return false;
		*at = saga_asl_time_add_ms(run->now, seconds * 1000);
	}
	else
		return saga_asl_timestamp_at(run, thread, &state->timestamp_path, "TimestampPath", thread->data, at, fault);
	return true;
}

SagaTransition
saga_asl_wait_step(SagaRun *run, SagaThread *thread)
{
	SagaFault	fault = {0};

	if (!wait_until(run, thread, &thread->wake_at, &fault))
		return saga_next_fault(thread, &fault);
	if (thread->wake_at <= run->now)
		return saga_asl_wait_is_over(thread);
	thread->phase = SAGA_PHASE_WAIT;
	saga_run_set_timer(run, thread->wake_at);
	return saga_next_nothing();
}

SagaTransition
saga_asl_wait_is_over(SagaThread *thread)
{
	return saga_next_leave(thread, thread->data, thread->state->next, &thread->state->exit, thread->data, SAGA_SEES_INPUT);
}

SagaTransition
saga_asl_succeed_step(SagaRun *run, SagaThread *thread)
{
	return saga_next_leave(thread, thread->data, NULL, &thread->state->exit, thread->data, SAGA_SEES_INPUT);
}

/* Error and Cause as written, by their paths, or by their expressions. */
SagaTransition
saga_asl_fail_step(SagaRun *run, SagaThread *thread)
{
	const SagaState *state = thread->state;
	SagaFailure failure = {.error = state->error, .cause = state->cause};
	SagaFault	fault = {0};

	if (!saga_asl_string_at(run, thread, state->error_path, &state->error_query, "ErrorPath", thread->input,
							&failure.error, &fault) ||
		!saga_asl_string_at(run, thread, state->cause_path, &state->cause_query, "CausePath", thread->input,
							&failure.cause, &fault))
		return saga_next_fault(thread, &fault);
	return saga_next_fail(thread, &failure);
}
