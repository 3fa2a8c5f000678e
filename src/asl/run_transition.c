/*
 * run_transition.c
 *		Transitions: what is to happen to a thread next, said as data.
 *
 * Failures are kept in the run's context, which is the current one wherever a
 * run is changed: a transition may outlive the function that made it.
 */
#include "postgres.h"

#include "asl/run_private.h"

/* The thread waits, or is in the ready queue, or is gone. */
SagaTransition
saga_next_nothing(void)
{
	SagaTransition next = {.kind = SAGA_NEXT_NOTHING};

	return next;
}

/* Nothing follows for a thread; but the list of what is to be undone has changed, or may now be gone through. */
SagaTransition
saga_next_undo(void)
{
	SagaTransition next = {.kind = SAGA_NEXT_NOTHING, .undo = true};

	return next;
}

/* The action has been filled in, and the caller gets control. */
SagaTransition
saga_next_call(SagaThread *thread)
{
	SagaTransition next = {.kind = SAGA_NEXT_CALL, .thread = thread};

	return next;
}

/* The state has its result. */
SagaTransition
saga_next_complete(SagaThread *thread, Jsonb *result)
{
	SagaTransition next = {.kind = SAGA_NEXT_COMPLETE, .thread = thread, .value = result};

	return next;
}

/* The state is left for "target"; NULL: for the end.  The expressions of "exit" see "exit_data". */
SagaTransition
saga_next_leave(SagaThread *thread, Jsonb *value, const SagaState *target, const SagaExit *exit, Jsonb *exit_data,
				SagaSees sees)
{
	SagaTransition next = {.kind = SAGA_NEXT_LEAVE, .thread = thread, .value = value, .target = target,
	.exit = exit, .exit_data = exit_data, .sees = sees};

	return next;
}

/* The thread's last state has been left. */
SagaTransition
saga_next_end(SagaThread *thread, Jsonb *output)
{
	SagaTransition next = {.kind = SAGA_NEXT_END, .thread = thread, .value = output};

	return next;
}

static SagaTransition
next_failure(SagaTransitionKind kind, SagaThread *thread, const SagaFailure *failure)
{
	SagaFailure *copy = palloc(sizeof(SagaFailure));
	SagaTransition next = {.kind = kind, .thread = thread, .failure = copy};

	*copy = *failure;
	/* of a branch or item that has failed it is the state in there */
	if (copy->state == NULL)
		copy->state = thread->state->name;
	return next;
}

/* For Retry and Catch of the thread's state. */
SagaTransition
saga_next_fail(SagaThread *thread, const SagaFailure *failure)
{
	return next_failure(SAGA_NEXT_FAIL, thread, failure);
}

/* Neither Retry nor Catch has taken it. */
SagaTransition
saga_next_give_up(SagaThread *thread, const SagaFailure *failure)
{
	return next_failure(SAGA_NEXT_GIVE_UP, thread, failure);
}

/* The words of AWS around the cause of a fault inside a state. */
char *
saga_state_cause(const SagaThread *thread, const char *cause)
{
	return psprintf("An error occurred while executing the state '%s' (entered at the event id #" INT64_FORMAT "). %s",
					thread->state->name, thread->entered_event, cause != NULL ? cause : "");
}

/* What the state fails with: an expression tells what is wrong, not where. */
static SagaFailure
failure_of_fault(const SagaThread *thread, const SagaFault *fault)
{
	SagaFailure failure = {0};

	failure.error = fault->error != NULL ? fault->error : "States.Runtime";
	failure.location = fault->location;
	if (strcmp(failure.error, "States.DataLimitExceeded") == 0)
		failure.cause = fault->cause;
	else
		failure.cause = saga_state_cause(thread, fault->cause);
	return failure;
}

/* An expression of the state's could not be evaluated, before there was a result. */
SagaTransition
saga_next_fault(SagaThread *thread, const SagaFault *fault)
{
	SagaFailure failure = failure_of_fault(thread, fault);

	return saga_next_fail(thread, &failure);
}

/* The same when the state has its result: a task's call is done, a Parallel's branches are. */
SagaTransition
saga_next_completed_fault(SagaThread *thread, const SagaFault *fault)
{
	SagaFailure failure = failure_of_fault(thread, fault);

	failure.completed = true;
	return saga_next_fail(thread, &failure);
}
