/*
 * run_error.c
 *		Errors in a state: Retry, Catch, or up to what is around it.
 */
#include "postgres.h"

#include <math.h>

#include "asl/run_private.h"
#include "value/doc.h"

/* ---------- matching ---------- */

static bool
error_is(const char *error, const char *name)
{
	return error != NULL && strcmp(error, name) == 0;
}

/*
 * Two errors are taken by their names alone.  Of States.DataLimitExceeded
 * AWS's manual says so; its service, as recorded, lets a catcher of all have
 * that of a task.
 */
static bool
name_matches(const char *name, const SagaFailure *failure, bool catching)
{
	const char *error = failure->error;

	if (error_is(failure->other, name))
		return true;
	if (error_is(error, name))
		return true;
	if (strcmp(name, "States.ALL") == 0)
		return !error_is(error, "States.Runtime") &&
			(!error_is(error, "States.DataLimitExceeded") || (catching && failure->of_task));
	if (strcmp(name, "States.TaskFailed") == 0)
		return !error_is(error, "States.Runtime") &&
			!error_is(error, "States.DataLimitExceeded") &&
			!error_is(error, "States.Timeout") &&
			!error_is(error, "States.HeartbeatTimeout");
	if (strcmp(name, "States.BranchFailed") == 0)
		return failure->from_branch;
	if (strcmp(name, "States.HeartbeatTimeout") == 0)
		return failure->heartbeat;
	if (strcmp(name, "States.Timeout") == 0)
		return error_is(error, "States.HeartbeatTimeout");
	return false;
}

/* Does one of the names of a retrier or, "catching", of a catcher stand for the failure? */
static bool
errors_match(char **errors, int nerrors, const SagaFailure *failure, bool catching)
{
	int			i;

	for (i = 0; i < nerrors; i++)
	{
		if (name_matches(errors[i], failure, catching))
			return true;
	}
	return false;
}

/* ---------- Retry ---------- */

/* The delay before the attempt that follows "attempts" earlier retries. */
static int64
retry_delay(SagaRun *run, const SagaRetrier *retrier, int attempts)
{
	double		limit = retrier->max_delay_ms > 0 ? retrier->max_delay_ms : SAGA_MAX_SECONDS * 1000.0;
	double		delay = retrier->interval_ms * pow(retrier->backoff_rate, attempts);

	if (!(delay < limit))
		delay = limit;
	if (retrier->full_jitter)
		delay *= (run->env.random(run->env.arg) >> 11) * (1.0 / (UINT64CONST(1) << 53));
	return (int64) delay;
}

/* Does somebody say that he takes what nobody can find out? */
static bool
names_doubt(char **errors, int nerrors)
{
	int			i;

	for (i = 0; i < nerrors; i++)
	{
		if (strcmp(errors[i], "Saga.Uncertain") == 0)
			return true;
	}
	return false;
}

/* The retrier of this failure: its place in the state's list; -1: none. */
int
saga_asl_find_retrier(const SagaState *state, const SagaFailure *failure)
{
	int			i;

	for (i = 0; i < state->nretriers; i++)
	{
		/*
		 * what nobody can find out is not made a second time, unless somebody
		 * says that he minds not
		 */
		if (failure->unknown && !names_doubt(state->retriers[i].errors, state->retriers[i].nerrors))
			continue;
		if (errors_match(state->retriers[i].errors, state->retriers[i].nerrors, failure, false))
			return i;
	}
	return -1;
}

/*
 * Tries the state again, now or later.  False: no retrier wants to.  What is
 * done is not done again: its answer would be the same, and nothing could be
 * made of that.
 */
static bool
thread_retry(SagaRun *run, SagaThread *thread, const SagaFailure *failure)
{
	const SagaState *state = thread->state;
	int			i = failure->completed ? -1 : saga_asl_find_retrier(state, failure);

	if (i < 0)
		return false;
	if (thread->attempts == NULL)
	{
		thread->attempts = palloc0(sizeof(int) * state->nretriers);
		thread->attempts_size = state->nretriers;
	}
	if (thread->attempts[i] >= state->retriers[i].max_attempts)
		return false;
	thread->wake_at = saga_asl_time_add_ms(run->now, retry_delay(run, &state->retriers[i], thread->attempts[i]));
	thread->attempts[i]++;
	thread->retry_count++;
	thread->since = run->now;
	thread->last_error = saga_asl_error_text(failure->error, failure->cause);
	saga_run_took(run, state, SAGA_COVERED_RETRY, i);
	/* nobody answers for a worker that is lost: the task is handed out anew */
	thread->resume = failure->in_doubt && thread->state->resource.kind != SAGA_RES_ACTIVITY;
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

/* What a catcher is given. */
static Jsonb *
error_object(const char *error, const char *cause)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_jsonb_push_key(&state, "Error");
	saga_jsonb_push_string(&state, WJB_VALUE, error);
	saga_jsonb_push_key(&state, "Cause");
	saga_jsonb_push_string(&state, WJB_VALUE, cause);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* NULL: none of the state's catchers takes the failure. */
const SagaCatcher *
saga_asl_find_catcher(const SagaState *state, const SagaFailure *failure)
{
	int			i;

	for (i = 0; i < state->ncatchers; i++)
	{
		if (errors_match(state->catchers[i].errors, state->catchers[i].nerrors, failure, true))
			return &state->catchers[i];
	}
	return NULL;
}

/*
 * Leaves the state by its catcher.  False, and *fault is set, when the catcher
 * itself fails: that error is not for the same Catch again, or it would never
 * end.
 */
static bool
thread_catch(SagaRun *run, SagaThread *thread, const SagaCatcher *catcher,
			 const SagaFailure *failure, SagaTransition *next, SagaFault *fault)
{
	SagaThread	before = *thread;
	Jsonb	   *error = error_object(failure->error, failure->cause);
	Jsonb	   *output = saga_asl_path_field_put(&catcher->result_path, thread->input, error, fault);
	Jsonb	   *assigned;

	if (output == NULL ||
		!saga_thread_output(run, thread, &catcher->exit, error, SAGA_SEES_ERROR, &output, fault) ||
		!saga_check_limit(run, thread->state->name, output, fault) ||
		!saga_thread_assign(run, thread, &catcher->exit, error, SAGA_SEES_ERROR, &assigned, fault))
		return false;

	/*
	 * what its branches did would be done anew by entering it as it was
	 * entered
	 */
	saga_fork_forget(run, &before);
	thread->fallen = NULL;
	saga_run_took(run, thread->state, SAGA_COVERED_CATCH, catcher - thread->state->catchers);
	*next = saga_state_exit(run, thread, output, catcher->next, assigned);
	return true;
}

/* What the state fails with when its catcher has failed with "fault". */
static SagaFailure
catcher_failure(const SagaThread *thread, const SagaFailure *failure, const SagaFault *fault)
{
	SagaFailure own = *failure;

	own.error = fault->error;
	own.cause = saga_state_cause(thread, fault->cause);

	/*
	 * there is no room for the error, but the dead letter has to tell what
	 * went wrong first
	 */
	if (error_is(fault->error, "States.DataLimitExceeded"))
		own.cause = psprintf("%s It was to catch %s: %s", own.cause,
							 failure->error != NULL ? failure->error : "an error",
							 failure->cause != NULL ? failure->cause : "");
	own.in_doubt = own.of_task = false;
	own.location = fault->location;
	return own;
}

/* ---------- a state fails ---------- */

/* The event of a Parallel or Map whose branch or item has failed; an attempt that is tried again has none. */
static void
log_fork_failure(SagaRun *run, SagaThread *thread, const SagaFailure *failure)
{
	SagaEventRecord *record = saga_asl_log(run, thread, thread->state->type == SAGA_STATE_MAP ?
										   SAGA_EVENT_MAP_FAILED : SAGA_EVENT_PARALLEL_FAILED);

	record->strings[0] = failure->error;
	record->strings[1] = failure->cause;
}

/* The event of an expression that has failed. */
static void
log_evaluation(SagaRun *run, SagaThread *thread, const SagaFailure *failure)
{
	SagaEventRecord *record = saga_asl_log(run, thread, SAGA_EVENT_EVALUATION_FAILED);

	record->strings[0] = failure->error;
	record->strings[1] = failure->cause;
	record->strings[2] = failure->location;
	record->strings[3] = thread->state->name;
}

/* Has the failure of a Parallel or Map an event of its own, beside those of what has failed in it? */
static bool
fork_has_failed(const SagaState *state, const SagaFailure *failure)
{
	if (state->type == SAGA_STATE_PARALLEL)
		return failure->from_branch || failure->location != NULL;
	return state->type == SAGA_STATE_MAP && (failure->of_item || failure->location != NULL);
}

/*
 * A failure in the thread's state: another attempt, or out by a catcher, or up
 * to what is around it.  In the last two cases a call whose outcome is not
 * known, or of whose answer nothing can be made, is given up; "kept": the
 * catcher takes it as done if it is found done.
 */
SagaTransition
saga_state_fail(SagaRun *run, SagaThread *thread, const SagaFailure *failure)
{
	bool		given_up = thread != run->handler && (failure->in_doubt || failure->completed);
	const SagaCatcher *catcher;
	bool		kept;
	SagaFault	fault = {0};
	SagaTransition next;

	if (failure->location != NULL)
		log_evaluation(run, thread, failure);
	if (thread_retry(run, thread, failure))
	{
		saga_fork_forget(run, thread);
		return saga_next_nothing();
	}
	catcher = saga_asl_find_catcher(thread->state, failure);

	/*
	 * as recorded at AWS, that of a Parallel in JSONata goes without saying
	 * when it is caught
	 */
	if (fork_has_failed(thread->state, failure) &&
		!(catcher != NULL && thread->state->jsonata && thread->state->type == SAGA_STATE_PARALLEL))
		log_fork_failure(run, thread, failure);
	kept = catcher != NULL && names_doubt(catcher->errors, catcher->nerrors);
	if (given_up && failure->completed)
		saga_asl_give_up_done(run, thread, kept, failure);
	else if (given_up)
		saga_asl_let_go(run, thread, kept, failure);
	if (catcher == NULL)
		next = saga_next_give_up(thread, failure);
	else if (!thread_catch(run, thread, catcher, failure, &next, &fault))
	{
		SagaFailure own = catcher_failure(thread, failure, &fault);

		if (own.location != NULL)
			log_evaluation(run, thread, &own);
		if (given_up && kept)
			saga_asl_keep_no_more(run, thread->call_id, failure);
		next = saga_next_give_up(thread, &own);
	}
	next.undo = given_up;
	return next;
}
