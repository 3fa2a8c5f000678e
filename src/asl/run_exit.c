/*
 * run_exit.c
 *		How a thread leaves a state.
 *
 * COMPLETE, with ResultSelector and ResultPath, is the way of the types that
 * have a result; LEAVE, with OutputPath (or Output of a JSONata state) and
 * Assign, is that of all.  At the exit nothing can go wrong any more.
 */
#include "postgres.h"

#include "asl/run_private.h"

/* A Task, Map, Parallel or Pass has its result, which in JSONata a Pass has none of. */
SagaTransition
saga_state_complete(SagaRun *run, SagaThread *thread, Jsonb *result)
{
	const SagaState *state = thread->state;
	SagaSees	sees = state->type == SAGA_STATE_PASS ? SAGA_SEES_INPUT : SAGA_SEES_RESULT;
	SagaFault	fault = {0};
	Jsonb	   *output = NULL;

	if (state->compensate != NULL)
		(void) saga_done_push(run, thread, result);
	result = saga_asl_payload_apply(run, thread, state->result_selector, result, sees, &fault);
	if (result != NULL)
		output = saga_asl_path_field_put(&state->result_path, thread->input, result, &fault);
	if (output == NULL)
		return saga_next_completed_fault(thread, &fault);
	return saga_next_leave(thread, output, state->next, &state->exit, result, sees);
}

/* OutputPath or Output, Assign and the limit on data, then out. */
SagaTransition
saga_state_leave(SagaRun *run, const SagaTransition *leave)
{
	SagaThread *thread = leave->thread;
	SagaFault	fault = {0};
	Jsonb	   *output;
	Jsonb	   *assigned;

	output = saga_asl_path_field_get(run, thread, &thread->state->output_path, leave->value, &fault);
	if (output == NULL ||
		!saga_thread_output(run, thread, leave->exit, leave->exit_data, leave->sees, &output, &fault) ||
		!saga_check_limit(run, thread->state->name, output, &fault) ||
		!saga_thread_assign(run, thread, leave->exit, leave->exit_data, leave->sees, &assigned, &fault))
		return saga_next_completed_fault(thread, &fault);
	/* a Choice has said already which way it goes */
	if (thread->state->type != SAGA_STATE_CHOICE)
		saga_run_took(run, thread->state, SAGA_COVERED_LEFT, 0);
	return saga_state_exit(run, thread, output, leave->target, assigned);
}

/* On to "target", or to the end of the thread's States object.  assigned: for the history; NULL: nothing. */
SagaTransition
saga_state_exit(SagaRun *run, SagaThread *thread, Jsonb *output, const SagaState *target, Jsonb *assigned)
{
	SagaEventRecord *record = saga_asl_log(run, thread, SAGA_EVENT_STATE_EXITED + thread->state->type);

	record->strings[0] = thread->state->name;
	record->values[0] = output;
	record->values[1] = assigned;
	if (target == NULL)
		return saga_next_end(thread, output);
	thread->input = output;
	thread->state = target;
	saga_thread_ready(run, thread, SAGA_PHASE_ENTER);
	return saga_next_nothing();
}
