/*
 * test_state_run.c
 *		One state on its way: what a run does of it, step by step, with a look
 *		at the data between.
 *
 * It is a run like any other, whose transitions are carried out here and not
 * by its loop: what would come after the state is only told.
 */
#include "postgres.h"

#include "asl/test_state_private.h"

/* ---------- in ---------- */

/* A run whose only thread stands in the state. */
static void
test_start(SagaTest *test)
{
	SagaThread *thread;

	test->run = saga_run_start(test->machine, &test->env, test->input, test->now);
	thread = test->thread = test->run->root;
	saga_thread_unready(thread);
	thread->state = test->state;
	thread->variables = test->variables;
	thread->phase = SAGA_PHASE_ATTEMPT;
	thread->entered_at = test->now;
	thread->call_id = test->run->next_call++;
	saga_test_use_context(test);
}

/* A Task takes its InputPath and Parameters itself; then the mock is the answer of its call. */
static SagaTransition
test_task(SagaTest *test)
{
	SagaAction	action = {0};
	SagaFault	ignored = {0};
	SagaTaskError error = {.error = test->mock.error, .cause = test->mock.cause};
	SagaTransition next;

	if (!test->state->jsonata)
		test->found.after_input_path = saga_asl_path_field_get(test->run, test->thread, &test->state->input_path,
															   test->input, &ignored);
	next = saga_task_step(test->run, test->thread, &action);
	test->found.after_parameters = test->thread->data;
	if (next.kind != SAGA_NEXT_CALL)
		return next;
	if (test->mock.result == NULL)
		return saga_task_failed(test->run, test->thread, &error);
	test->found.result = test->mock.result;
	return saga_task_succeeded(test->run, test->thread, test->mock.result);
}

/* What is inside a Parallel has come to what the mock says. */
static SagaTransition
test_parallel(SagaTest *test)
{
	SagaFailure failure = {.error = test->mock.error, .cause = test->mock.cause, .from_branch = true};

	if (test->mock.result != NULL)
		return saga_next_complete(test->thread, test->mock.result);
	return saga_next_fail(test->thread, &failure);
}

/* A Result takes the place of the input, and AWS shows nothing of that then. */
static SagaTransition
test_pass(SagaTest *test)
{
	if (test->state->result != NULL)
	{
		test->found.after_input_path = NULL;
		test->found.result = test->state->result;
	}
	else if (!test->state->jsonata)
		test->found.after_parameters = test->thread->data;
	return saga_asl_pass_step(test->run, test->thread);
}

/* No time passes here. */
static SagaTransition
test_wait(SagaTest *test)
{
	SagaTransition next = saga_asl_wait_step(test->run, test->thread);

	return next.kind == SAGA_NEXT_NOTHING ? saga_asl_wait_is_over(test->thread) : next;
}

/* What the state does. */
static SagaTransition
test_step(SagaTest *test)
{
	SagaRun    *run = test->run;
	SagaThread *thread = test->thread;
	SagaFault	fault = {0};
	Jsonb	   *selected;
	bool		has_input;

	if (test->state->type == SAGA_STATE_TASK)
		return test_task(test);
	has_input = saga_thread_input(run, thread, &selected, &fault);
	/* as recorded at AWS, there is nothing of a Parallel's */
	if (test->state->type != SAGA_STATE_PARALLEL && !test->state->jsonata)
		test->found.after_input_path = selected;
	if (!has_input)
		return saga_next_fault(thread, &fault);
	switch (test->state->type)
	{
		case SAGA_STATE_PASS:
			return test_pass(test);
		case SAGA_STATE_CHOICE:
			return saga_asl_choice_step(run, thread);
		case SAGA_STATE_WAIT:
			return test_wait(test);
		case SAGA_STATE_SUCCEED:
			return saga_asl_succeed_step(run, thread);
		case SAGA_STATE_FAIL:
			return saga_asl_fail_step(run, thread);
		case SAGA_STATE_PARALLEL:
			return test_parallel(test);
		case SAGA_STATE_MAP:
			return saga_test_map(test);
		case SAGA_STATE_TASK:
			break;
	}
	elog(ERROR, "unexpected state type %d", test->state->type);
}

/* ---------- out ---------- */

/* The result goes through ResultSelector and ResultPath; what of it was done is noted if that fails, too. */
static SagaTransition
test_complete(SagaTest *test, Jsonb *result)
{
	SagaTransition next = saga_state_complete(test->run, test->thread, result);
	SagaFault	ignored = {0};

	if (test->state->jsonata)
		return next;
	if (next.kind == SAGA_NEXT_LEAVE)
	{
		test->found.after_result_selector = next.exit_data;
		test->found.after_result_path = next.value;
	}
	else
		test->found.after_result_selector = saga_asl_payload_apply(test->run, test->thread, test->state->result_selector,
																   result, SAGA_SEES_RESULT, &ignored);
	return next;
}

/* As many attempts as are said have been made of the retrier that the failure is for; else none. */
static void
test_count_attempts(SagaTest *test, int retrier)
{
	const SagaState *state = test->state;
	int64		attempts = test->retries >= 0 ? test->retries : saga_test_context_retries(test->context);

	test->thread->attempts = palloc0(sizeof(int) * state->nretriers);
	test->thread->attempts_size = state->nretriers;
	test->thread->attempts[retrier] = (int) Min(attempts, PG_INT32_MAX - 1);
}

/* Retry and Catch.  What is left of the failure is for what is around the state. */
static SagaTransition
test_fail(SagaTest *test, const SagaFailure *failure)
{
	const SagaState *state = test->state;
	SagaInspection *found = &test->found;
	int			retrier = failure->completed ? -1 : saga_asl_find_retrier(state, failure);
	const SagaCatcher *catcher = saga_asl_find_catcher(state, failure);
	SagaTransition next;

	found->retry_index = retrier;
	test->error = failure->error;
	test->cause = failure->cause;
	if (retrier >= 0)
		test_count_attempts(test, retrier);
	next = saga_state_fail(test->run, test->thread, failure);
	if (next.kind == SAGA_NEXT_NOTHING && test->thread->phase != SAGA_PHASE_ENTER)
	{
		test->status = "RETRIABLE";
		found->backoff_seconds = (test->thread->wake_at - test->now) / USECS_PER_SEC;
		return next;
	}
	if (catcher != NULL)
		found->catch_index = catcher - state->catchers;
	if (next.kind == SAGA_NEXT_NOTHING)
	{
		test->status = "CAUGHT_ERROR";
		test->output = test->thread->input;
		test->next_state = test->thread->state->name;
	}
	return next;
}

/* The state has failed for good: with what it was given up for. */
static SagaTransition
test_give_up(SagaTest *test, const SagaFailure *failure)
{
	test->status = "FAILED";
	test->error = failure->error;
	test->cause = failure->cause;
	return saga_next_nothing();
}

/* OutputPath and Assign; then the thread stands in the next state, or at its end. */
static SagaTransition
test_leave(SagaTest *test, const SagaTransition *leave)
{
	SagaTransition next = saga_state_leave(test->run, leave);

	if (next.kind != SAGA_NEXT_NOTHING && next.kind != SAGA_NEXT_END)
		return next;
	test->status = "SUCCEEDED";
	test->output = next.kind == SAGA_NEXT_END ? next.value : test->thread->input;
	if (leave->target != NULL)
		test->next_state = leave->target->name;
	return saga_next_nothing();
}

/* Lets the state do all it does, and tells in the test what has become of it. */
void
saga_test_one(SagaTest *test)
{
	SagaTransition next;

	test_start(test);
	next = test_step(test);
	while (next.kind != SAGA_NEXT_NOTHING)
	{
		switch (next.kind)
		{
			case SAGA_NEXT_COMPLETE:
				next = test_complete(test, next.value);
				break;
			case SAGA_NEXT_LEAVE:
				next = test_leave(test, &next);
				break;
			case SAGA_NEXT_FAIL:
				next = test_fail(test, next.failure);
				break;
			case SAGA_NEXT_GIVE_UP:
				next = test_give_up(test, next.failure);
				break;
			case SAGA_NEXT_NOTHING:
			case SAGA_NEXT_CALL:
			case SAGA_NEXT_END:
				elog(ERROR, "unexpected transition %d of a state that is tested", next.kind);
		}
	}
	test->variables = test->thread->variables;
}
