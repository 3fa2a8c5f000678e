/*
 * run_compensate.c
 *		Undoes completed steps, the last one first.
 *
 * The list of what is to be undone grows while the run lives, whatever
 * becomes of the steps around: a caught error leaves it as it is, for a later
 * failure.  When the run has failed, one thread at a time runs the handler of
 * the last item; the item goes when its handler has ended, well or not.  Calls
 * that were given up are in the list too (run_debt.c): the last item is waited
 * for while it is not known whether it was done.  What is found done on a path
 * that lives is undone at once.
 */
#include "postgres.h"

#include "asl/run_private.h"
#include "value/doc.h"

/* {"input", "output"} of what is undone, and the "error" it is undone for: its own, or the run's. */
static Jsonb *
saga_handler_input(SagaRun *run, const SagaDone *done)
{
	JsonbParseState *state = NULL;
	bool		given_up = done->error != NULL || run->error == NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_jsonb_push_key(&state, "input");
	saga_jsonb_push(&state, WJB_VALUE, done->input);
	saga_jsonb_push_key(&state, "output");
	saga_jsonb_push(&state, WJB_VALUE, done->output);
	saga_jsonb_push_key(&state, "error");
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_jsonb_push_key(&state, "Error");
	saga_jsonb_push_string(&state, WJB_VALUE, given_up ? done->error : run->error);
	saga_jsonb_push_key(&state, "Cause");
	saga_jsonb_push_string(&state, WJB_VALUE, given_up ? done->cause : run->cause);
	pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* Notes an event of the handler, with the state that it undoes. */
static SagaEventRecord *
saga_log_compensation(SagaRun *run, SagaThread *thread, SagaEventType type)
{
	SagaEventRecord *record = saga_log(run, thread, type);

	record->strings[0] = saga_undoing(run)->state->name;
	record->strings[1] = thread->state->name;
	return record;
}

/* Starts a thread that undoes the item.  It stays in the list until the handler has ended. */
static void
saga_handler_start(SagaRun *run, const SagaDone *done)
{
	SagaThread *thread = saga_thread_new(run, NULL, 0);

	run->handler = thread;
	run->undoing = done->call_id;
	thread->state = done->state->compensate;
	thread->input = saga_handler_input(run, done);
	thread->variables = done->variables;
	thread->last_event = run->status == SAGA_RUNNING && run->root != NULL ? run->root->last_event : run->last_event;
	saga_log_compensation(run, thread, SAGA_EVENT_COMPENSATION_STARTED);
	saga_run_took(run, done->state, SAGA_COVERED_UNDONE, 0);
	saga_run_took(run, thread->state, SAGA_COVERED_ENTERED, 0);
	thread->entered_at = run->now;
	thread->entered_event = thread->last_event;
	thread->call_id = run->next_call++;
	saga_thread_ready(run, thread, SAGA_PHASE_ATTEMPT);
}

/*
 * On a path that lives, or has succeeded: starts to undo what was given up and
 * is known to be done.  False: nothing was started.
 */
bool
saga_undo_unwanted(SagaRun *run)
{
	int			i;

	if (run->handler != NULL)
		return false;
	for (i = run->ndone - 1; i >= 0; i--)
	{
		if (run->done[i].kind == SAGA_DONE_UNWANTED)
		{
			saga_handler_start(run, &run->done[i]);
			return true;
		}
	}
	return false;
}

/* The next handler, or the end; nothing while it has to be found out whether there is something to undo. */
static void
saga_compensation_next(SagaRun *run)
{
	if (run->ndone == 0)
	{
		if (run->final_status == SAGA_SUCCEEDED)
			run->output = saga_jsonb_null();
		saga_run_end(run, run->last_event, run->final_status, run->error, run->cause);
	}
	else if (run->done[run->ndone - 1].kind != SAGA_DONE_OWED)
		saga_handler_start(run, &run->done[run->ndone - 1]);
}

/*
 * Something has changed in the list of what is to be undone, or the run's
 * path has ended: starts the handler that is next, or ends the run.  Harmless
 * when nothing is next.
 */
void
saga_undo_next(SagaRun *run)
{
	if (run->handler != NULL)
		return;
	if (run->status == SAGA_COMPENSATING && run->root == NULL)
		saga_compensation_next(run);
	else if (run->status == SAGA_RUNNING && !saga_undo_unwanted(run) &&
			 run->decided && !saga_has_debts(run))
		saga_run_end(run, run->last_event, SAGA_SUCCEEDED, NULL, NULL);
}

/* A handler has ended, well or not, and what it was to undo leaves the list. */
static SagaTransition
saga_handler_ended(SagaRun *run, SagaThread *thread)
{
	run->last_event = thread->last_event;
	saga_done_remove(run, saga_undoing(run));
	saga_thread_drop(run, thread);
	saga_threads_release(run);
	return saga_next_undo();
}

/* The engine's own handler of children says how many it has undone. */
static bool
saga_found_nothing(const SagaDone *done, Jsonb *output)
{
	JsonbValue	undone;

	return done->state->compensate->resource.kind == SAGA_RES_UNDO_CHILDREN && output != NULL &&
		!(saga_jsonb_get(output, "undone", &undone) && undone.type == jbvNumeric);
}

SagaTransition
saga_compensation_succeeded(SagaRun *run, Jsonb *output)
{
	SagaThread *thread = run->handler;

	saga_log_compensation(run, thread, SAGA_EVENT_COMPENSATION_SUCCEEDED);
	if (saga_found_nothing(saga_undoing(run), output))
		run->untouched = lappend_int(run->untouched, run->undoing);
	run->compensated = lappend(run->compensated, saga_undoing(run)->state->name);
	return saga_handler_ended(run, thread);
}

/* What was not undone is listed, and the next item is tried: a failed handler keeps nothing from being undone. */
SagaTransition
saga_compensation_failed(SagaRun *run, const SagaFailure *failure)
{
	SagaThread *thread = run->handler;
	SagaEventRecord *record = saga_log_compensation(run, thread, SAGA_EVENT_COMPENSATION_FAILED);

	record->strings[2] = failure->error;
	record->strings[3] = failure->cause;
	saga_list_undone(run, saga_undoing(run), failure->error, failure->cause, failure->in_doubt, thread->state->name);
	if (run->status == SAGA_COMPENSATING && run->final_status == SAGA_SUCCEEDED)
	{
		/* a run that does nothing else (run_left.c) */
		run->final_status = SAGA_FAILED;
		run->error = failure->error;
		run->cause = failure->cause;
	}
	return saga_handler_ended(run, thread);
}

/* No more handlers: what is left is listed as not undone.  One that is running may have undone it. */
void
saga_compensation_give_up(SagaRun *run, const char *reason, const char *cause)
{
	int			undoing = run->handler != NULL ? run->undoing : 0;

	while (run->ndone > 0)
	{
		SagaDone   *done = &run->done[run->ndone - 1];
		bool		handled = undoing != 0 && done->call_id == undoing;

		saga_list_undone(run, done, reason, cause, done->kind == SAGA_DONE_OWED || handled,
						 handled ? done->state->compensate->name : NULL);
		run->ndone--;
	}
}
