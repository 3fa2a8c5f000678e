/*
 * run_compensate.c
 *		Undoes completed steps, the last one first.
 *
 * The list of what is to be undone grows while the run lives, whatever
 * becomes of the steps around: a caught error leaves it as it is, for a later
 * failure.  When the run has failed, one thread at a time runs the handler of
 * the last item; the item goes when its handler has ended, well or not.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "asl/run.h"

/*
 * The answer of an open call is not waited for any more, or is a failure.
 * Called before the thread has another phase.
 */
void
saga_let_go(SagaRun *run, const SagaThread *thread)
{
	SagaLetGo  *item;

	if (thread->phase != SAGA_PHASE_OPEN || thread == run->handler || thread->state->compensate == NULL ||
		thread->state->resource.kind == SAGA_RES_SQL)
		return;
	item = MemoryContextAlloc(run->context, sizeof(SagaLetGo));
	item->state = thread->state->name;
	item->task_id = thread->task_id;
	item->call_id = thread->call_id;
	run->let_go = lappend(run->let_go, item);
}

/* All attempts of a visit have one key: what succeeded is what they would have done. */
static void
saga_take_back(SagaRun *run, int call_id)
{
	ListCell   *lc;

	foreach(lc, run->let_go)
	{
		if (((SagaLetGo *) lfirst(lc))->call_id == call_id)
			run->let_go = foreach_delete_current(run->let_go, lc);
	}
}

/* Called when a visit has its result.  Attempts of one visit are one item. */
void
saga_done_add(SagaRun *run, SagaThread *thread, Jsonb *result)
{
	SagaDone   *done;
	int			i;

	saga_take_back(run, thread->call_id);
	for (i = run->ndone - 1; thread->retry_count > 0 && i >= 0; i--)
	{
		if (run->done[i].call_id == thread->call_id)
		{
			run->done[i].input = thread->data;
			run->done[i].output = result;
			return;
		}
	}
	if (run->ndone == run->done_size)
	{
		int			size = Max(8, run->done_size * 2);

		if (run->done == NULL)
			run->done = palloc(sizeof(SagaDone) * size);
		else
			run->done = repalloc(run->done, sizeof(SagaDone) * size);
		run->done_size = size;
	}
	done = &run->done[run->ndone++];
	done->state = thread->state;
	done->call_id = thread->call_id;
	done->input = thread->data;
	done->output = result;
	done->variables = thread->variables;
}

static Jsonb *
saga_handler_input(SagaRun *run, const SagaDone *done)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_jsonb_push_key(&state, "input");
	saga_jsonb_push(&state, WJB_VALUE, done->input);
	saga_jsonb_push_key(&state, "output");
	saga_jsonb_push(&state, WJB_VALUE, done->output);
	saga_jsonb_push_key(&state, "error");
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_jsonb_push_key(&state, "Error");
	saga_jsonb_push_string(&state, WJB_VALUE, run->error);
	saga_jsonb_push_key(&state, "Cause");
	saga_jsonb_push_string(&state, WJB_VALUE, run->cause);
	pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static SagaEventRecord *
saga_log_compensation(SagaRun *run, SagaThread *thread, SagaEventType type)
{
	SagaEventRecord *record = saga_log(run, thread, type);

	record->strings[0] = run->done[run->ndone - 1].state->name;
	record->strings[1] = thread->state->name;
	return record;
}

/* The next handler, or the end. */
static void
saga_compensation_next(SagaRun *run, int64 last_event)
{
	SagaThread *thread;
	SagaDone   *done;

	if (run->handler != NULL)
		saga_thread_drop(run, run->handler);
	if (run->ndone == 0)
	{
		saga_run_end(run, last_event, run->final_status, run->error, run->cause);
		return;
	}
	done = &run->done[run->ndone - 1];
	thread = saga_thread_new(run, NULL, 0);
	run->handler = thread;
	thread->state = done->state->compensate;
	thread->input = saga_handler_input(run, done);
	thread->variables = done->variables;
	thread->last_event = last_event;
	saga_log_compensation(run, thread, SAGA_EVENT_COMPENSATION_STARTED);
	thread->entered_at = run->now;
	thread->entered_event = thread->last_event;
	thread->call_id = run->next_call++;
	saga_thread_ready(run, thread, SAGA_PHASE_ATTEMPT);
}

void
saga_compensation_start(SagaRun *run, SagaStatus final, const char *error, const char *cause,
						int64 last_event)
{
	run->status = SAGA_COMPENSATING;
	run->final_status = final;
	run->error = error;
	run->cause = cause;
	saga_compensation_next(run, last_event);
}

void
saga_compensation_succeeded(SagaRun *run)
{
	SagaThread *thread = run->handler;

	saga_log_compensation(run, thread, SAGA_EVENT_COMPENSATION_SUCCEEDED);
	run->compensated = lappend(run->compensated, run->done[--run->ndone].state->name);
	saga_compensation_next(run, thread->last_event);
}

static void
saga_note_undone(SagaRun *run, const char *error, const char *cause)
{
	SagaUndone *undone = palloc(sizeof(SagaUndone));

	undone->state = run->done[--run->ndone].state->name;
	undone->error = error;
	undone->cause = cause;
	run->not_compensated = lappend(run->not_compensated, undone);
}

void
saga_compensation_failed(SagaRun *run, const char *error, const char *cause)
{
	SagaThread *thread = run->handler;
	SagaEventRecord *record = saga_log_compensation(run, thread, SAGA_EVENT_COMPENSATION_FAILED);

	record->strings[2] = error;
	record->strings[3] = cause;
	saga_note_undone(run, error, cause);
	saga_compensation_next(run, thread->last_event);
}

/* No more handlers: what is left is listed as not undone. */
void
saga_compensation_give_up(SagaRun *run, const char *error, const char *cause)
{
	while (run->ndone > 0)
		saga_note_undone(run, error, cause);
}
