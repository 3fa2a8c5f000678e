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
saga_pass_step(SagaRun *run, SagaThread *thread)
{
	return saga_next_complete(thread, thread->state->result != NULL ? thread->state->result : thread->data);
}

/* The first rule that matches says where to go, else Default. */
SagaTransition
saga_choice_step(SagaRun *run, SagaThread *thread)
{
	const SagaState *state = thread->state;
	SagaFault	fault = {0};
	SagaScope	scope;
	int			i;

	saga_scope_init(run, thread, thread->data, &scope);
	for (i = 0; i < state->nchoices; i++)
	{
		const SagaChoice *choice = &state->choices[i];
		bool		matches = saga_rule_eval(choice->rule, &scope, &fault);

		if (fault.error != NULL)
			return saga_next_fault(thread, &fault);
		if (!matches)
			continue;
		saga_run_took(run, state, SAGA_COVERED_CHOICE, i);
		return saga_next_leave(thread, thread->data, choice->next, choice->assign, thread->data);
	}
	if (state->next != NULL)
	{
		saga_run_took(run, state, SAGA_COVERED_LEFT, 0);
		return saga_next_leave(thread, thread->data, state->next, state->assign, thread->data);
	}
	fault.error = "States.NoChoiceMatched";
	fault.cause = "Failed to transition out of the state. The state does not point to a next state.";
	return saga_next_fault(thread, &fault);
}

/* When a Wait that begins now is over. */
static bool
saga_wait_until(SagaRun *run, SagaThread *thread, TimestampTz *at, SagaFault *fault)
{
	const SagaState *state = thread->state;
	int64		seconds;

	if (state->has_wait_until)
		*at = state->wait_until;
	else if (state->wait_ms >= 0)
		*at = saga_time_add_ms(run->now, state->wait_ms);
	else if (state->seconds_path.path != NULL)
	{
		if (!saga_seconds_at(run, thread, &state->seconds_path, "SecondsPath", 0, thread->data, &seconds, fault))
			return false;
		*at = saga_time_add_ms(run->now, seconds * 1000);
	}
	else
		return saga_timestamp_at(run, thread, &state->timestamp_path, "TimestampPath", thread->data, at, fault);
	return true;
}

SagaTransition
saga_wait_step(SagaRun *run, SagaThread *thread)
{
	SagaFault	fault = {0};

	if (!saga_wait_until(run, thread, &thread->wake_at, &fault))
		return saga_next_fault(thread, &fault);
	if (thread->wake_at <= run->now)
		return saga_wait_is_over(thread);
	thread->phase = SAGA_PHASE_WAIT;
	saga_run_set_timer(run, thread->wake_at);
	return saga_next_nothing();
}

SagaTransition
saga_wait_is_over(SagaThread *thread)
{
	return saga_next_leave(thread, thread->data, thread->state->next, thread->state->assign, thread->data);
}

SagaTransition
saga_succeed_step(SagaRun *run, SagaThread *thread)
{
	return saga_next_leave(thread, thread->data, NULL, NULL, NULL);
}

/* Error and Cause as written, or by their paths. */
SagaTransition
saga_fail_step(SagaRun *run, SagaThread *thread)
{
	const SagaState *state = thread->state;
	SagaFailure failure = {.error = state->error, .cause = state->cause};
	SagaFault	fault = {0};

	if (state->error_path != NULL &&
		!saga_string_at(run, thread, state->error_path, "ErrorPath", thread->input, &failure.error, &fault))
		return saga_next_fault(thread, &fault);
	if (state->cause_path != NULL &&
		!saga_string_at(run, thread, state->cause_path, "CausePath", thread->input, &failure.cause, &fault))
		return saga_next_fault(thread, &fault);
	return saga_next_fail(thread, &failure);
}
