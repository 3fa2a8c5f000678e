/*
 * run_error.c
 *		Errors: Retry, Catch, and on to the state around.
 *
 * Every function here may end the run or free the thread: its callers touch
 * neither afterwards.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "asl/run_private.h"

/* ---------- matching ---------- */

static bool
saga_error_is(const char *error, const char *name)
{
	return error != NULL && strcmp(error, name) == 0;
}

/*
 * Two errors are taken by their names alone.  Of States.DataLimitExceeded
 * AWS's manual says so; its service, as recorded, lets a catcher of all have
 * that of a task.
 */
static bool
saga_name_matches(const char *name, const SagaFailure *failure, bool catching)
{
	const char *error = failure->error;

	if (saga_error_is(failure->other, name))
		return true;
	if (saga_error_is(error, name))
		return true;
	if (strcmp(name, "States.ALL") == 0)
		return !saga_error_is(error, "States.Runtime") &&
			(!saga_error_is(error, "States.DataLimitExceeded") || (catching && failure->of_task));
	if (strcmp(name, "States.TaskFailed") == 0)
		return !saga_error_is(error, "States.Runtime") &&
			!saga_error_is(error, "States.DataLimitExceeded") &&
			!saga_error_is(error, "States.Timeout") &&
			!saga_error_is(error, "States.HeartbeatTimeout");
	if (strcmp(name, "States.BranchFailed") == 0)
		return failure->from_branch;
	if (strcmp(name, "States.HeartbeatTimeout") == 0)
		return failure->heartbeat;
	if (strcmp(name, "States.Timeout") == 0)
		return saga_error_is(error, "States.HeartbeatTimeout");
	return false;
}

static bool
saga_errors_match(char **errors, int nerrors, const SagaFailure *failure, bool catching)
{
	int			i;

	for (i = 0; i < nerrors; i++)
	{
		if (saga_name_matches(errors[i], failure, catching))
			return true;
	}
	return false;
}

/* ---------- Retry ---------- */

/* The delay before the attempt that follows "attempts" earlier retries. */
static int64
saga_retry_delay(SagaRun *run, const SagaRetrier *retrier, int attempts)
{
	double		limit = retrier->max_delay_ms > 0 ? retrier->max_delay_ms : SAGA_MAX_SECONDS * 1000.0;
	double		delay = retrier->interval_ms * pow(retrier->backoff_rate, attempts);

	if (!(delay < limit))
		delay = limit;
	if (retrier->full_jitter)
		delay *= (run->env.random(run->env.arg) >> 11) * (1.0 / (UINT64CONST(1) << 53));
	return (int64) delay;
}

static bool
saga_names_doubt(char **errors, int nerrors)
{
	int			i;

	for (i = 0; i < nerrors; i++)
	{
		if (strcmp(errors[i], "Saga.Uncertain") == 0)
			return true;
	}
	return false;
}

/* What is done is not done again: its answer would be the same, and nothing could be made of that. */
static bool
saga_thread_retry(SagaRun *run, SagaThread *thread, const SagaFailure *failure)
{
	const SagaState *state = thread->state;
	const SagaRetrier *retrier;
	int			i;

	if (failure->completed)
		return false;
	for (i = 0; i < state->nretriers; i++)
	{
		/*
		 * what nobody can find out is not made a second time, unless somebody
		 * says that he minds not
		 */
		if (failure->unknown && !saga_names_doubt(state->retriers[i].errors, state->retriers[i].nerrors))
			continue;
		if (saga_errors_match(state->retriers[i].errors, state->retriers[i].nerrors, failure, false))
			break;
	}
	if (i == state->nretriers)
		return false;
	retrier = &state->retriers[i];
	if (thread->attempts == NULL)
	{
		thread->attempts = palloc0(sizeof(int) * state->nretriers);
		thread->attempts_size = state->nretriers;
	}
	if (thread->attempts[i] >= retrier->max_attempts)
		return false;
	thread->wake_at = saga_time_add_ms(run->now, saga_retry_delay(run, retrier, thread->attempts[i]));
	thread->attempts[i]++;
	thread->retry_count++;
	thread->resume = failure->in_doubt;
	if (thread->wake_at <= run->now)
		saga_thread_ready(run, thread, SAGA_PHASE_ATTEMPT);
	else
	{
		thread->phase = SAGA_PHASE_RETRY;
		saga_run_set_timer(run, thread->wake_at);
	}
	return true;
}

/* ---------- Catch ---------- */

static Jsonb *
saga_error_object(const char *error, const char *cause)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_jsonb_push_key(&state, "Error");
	saga_jsonb_push_string(&state, WJB_VALUE, error);
	saga_jsonb_push_key(&state, "Cause");
	saga_jsonb_push_string(&state, WJB_VALUE, cause);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/*
 * Returns false with *fault set when the catcher itself fails: that error is
 * not for the same Catch again, or it would never end.
 */
static bool
saga_thread_catch(SagaRun *run, SagaThread *thread, const SagaCatcher *catcher,
				  const SagaFailure *failure, SagaFault *fault)
{
	Jsonb	   *error = saga_error_object(failure->error, failure->cause);
	Jsonb	   *output = saga_path_field_put(&catcher->result_path, thread->input, error, fault);
	Jsonb	   *assigned;

	if (output == NULL ||
		!saga_check_limit(run, thread->state->name, output, fault) ||
		!saga_thread_assign(run, thread, catcher->assign, error, &assigned, fault))
		return false;
	saga_thread_exit(run, thread, output, catcher->next, assigned);
	return true;
}

/* ---------- outwards ---------- */

/* Notes that a thread's state ends without having been left, its branches first. */
static void
saga_log_aborted(SagaRun *run, SagaThread *thread)
{
	int			i;

	check_stack_depth();
	for (i = 0; i < thread->nchildren; i++)
	{
		if (thread->children[i] != NULL)
			saga_log_aborted(run, thread->children[i]);
	}
	if (thread->phase == SAGA_PHASE_ENTER)
		return;					/* not entered yet */
	switch (thread->state->type)
	{
		case SAGA_STATE_TASK:
		case SAGA_STATE_WAIT:
		case SAGA_STATE_PARALLEL:
		case SAGA_STATE_MAP:
			saga_log(run, thread, SAGA_EVENT_STATE_ABORTED + thread->state->type)->strings[0] =
				thread->state->name;
			break;
		default:
			break;				/* AWS has no such event for the others */
	}
}

/* A branch has failed: its siblings are given up, and the state around fails. */
static void
saga_branch_failed(SagaRun *run, SagaThread *thread, const SagaFailure *failure)
{
	SagaThread *parent = thread->parent;
	SagaFailure outer = *failure;
	int			i;

	saga_log_aborted(run, thread);
	parent->last_event = thread->last_event;
	run->cut = failure;
	saga_thread_drop(run, thread);
	for (i = 0; i < parent->nchildren; i++)
	{
		if (parent->children[i] != NULL)
		{
			saga_log_aborted(run, parent->children[i]);
			saga_thread_drop(run, parent->children[i]);
		}
	}
	run->cut = NULL;
	parent->nchildren = 0;
	parent->nopen = 0;
	parent->phase = SAGA_PHASE_ATTEMPT;
	outer.from_branch = true;
	outer.in_doubt = outer.unknown = outer.of_task = outer.completed = false;
	saga_thread_fail(run, parent, &outer);
}

static void
saga_thread_give_up(SagaRun *run, SagaThread *thread, const SagaFailure *failure)
{
	if (thread == run->handler)
		saga_compensation_failed(run, failure);
	else if (thread->parent != NULL)
		saga_branch_failed(run, thread, failure);
	else
		saga_run_finish(run, thread, SAGA_FAILED, failure->error, failure->cause);
}

void
saga_thread_fail(SagaRun *run, SagaThread *thread, const SagaFailure *failure)
{
	const SagaState *state = thread->state;
	SagaFailure own = *failure;
	SagaFault	fault = {0};
	int			call_id = thread->call_id;
	bool		given_up = thread != run->handler && (failure->in_doubt || failure->completed);
	bool		kept;
	int			i;

	check_stack_depth();
	if (saga_thread_retry(run, thread, failure))
		return;
	if (state->type == SAGA_STATE_PARALLEL && failure->from_branch)
	{
		SagaEventRecord *record = saga_log(run, thread, SAGA_EVENT_PARALLEL_FAILED);

		record->strings[0] = failure->error;
		record->strings[1] = failure->cause;
	}
	for (i = 0; i < state->ncatchers; i++)
	{
		if (saga_errors_match(state->catchers[i].errors, state->catchers[i].nerrors, failure, true))
			break;
	}
	kept = i < state->ncatchers && saga_names_doubt(state->catchers[i].errors, state->catchers[i].nerrors);
	if (given_up && failure->completed)
		saga_give_up_done(run, thread, kept, failure);
	else if (given_up)
		saga_let_go(run, thread, kept, failure);
	if (i < state->ncatchers)
	{
		if (saga_thread_catch(run, thread, &state->catchers[i], failure, &fault))
		{
			if (given_up)
				saga_undo_next(run);
			return;
		}
		if (given_up && kept)
			saga_keep_no_more(run, call_id, failure);
		own.error = fault.error;
		own.cause = saga_state_cause(thread, fault.cause);

		/*
		 * there is no room for the error, but the dead letter has to tell
		 * what went wrong first
		 */
		if (saga_error_is(fault.error, "States.DataLimitExceeded"))
			own.cause = psprintf("%s It was to catch %s: %s", own.cause,
								 failure->error != NULL ? failure->error : "an error",
								 failure->cause != NULL ? failure->cause : "");
		own.in_doubt = own.of_task = false;
	}
	saga_thread_give_up(run, thread, &own);
	if (given_up)
		saga_undo_next(run);
}

/* The words of AWS around the cause of a fault inside a state. */
char *
saga_state_cause(const SagaThread *thread, const char *cause)
{
	return psprintf("An error occurred while executing the state '%s' (entered at the event id #" INT64_FORMAT "). %s",
					thread->state->name, thread->entered_event, cause != NULL ? cause : "");
}

static void
saga_fault_failure(const SagaThread *thread, const SagaFault *fault, SagaFailure *failure)
{
	failure->error = fault->error != NULL ? fault->error : "States.Runtime";
	if (strcmp(failure->error, "States.DataLimitExceeded") == 0)
		failure->cause = fault->cause;
	else
		failure->cause = saga_state_cause(thread, fault->cause);
}

void
saga_thread_fault(SagaRun *run, SagaThread *thread, const SagaFault *fault)
{
	SagaFailure failure = {0};

	saga_fault_failure(thread, fault, &failure);
	saga_thread_fail(run, thread, &failure);
}

/* The state has its result: a task's call is done, a Parallel's branches are. */
void
saga_completed_fault(SagaRun *run, SagaThread *thread, const SagaFault *fault)
{
	SagaFailure failure = {.completed = true};

	saga_fault_failure(thread, fault, &failure);
	saga_thread_fail(run, thread, &failure);
}
