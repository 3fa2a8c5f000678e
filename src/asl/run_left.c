/*
 * run_left.c
 *		What an execution has not undone, kept after its end, and undone later.
 *
 * Kept is a frozen run that compensates: its list has the calls that a person
 * can speak of.  One of them, with what he says, is a run of its own, which
 * starts with the handler and ends with it.
 */
#include "postgres.h"

#include "asl/run_private.h"

/* Values of all calls together; what is more is not kept. */
#define SAGA_MAX_LEFT_BYTES	((Size) 64 * 1024 * 1024)

/* The values of an item: what it costs to keep it. */
static Size
saga_done_bytes(const SagaDone *done)
{
	return VARSIZE(done->input) + (done->output != NULL ? VARSIZE(done->output) : 0) +
		(done->variables != NULL ? VARSIZE(done->variables) : 0);
}

/* The rest of a run that does nothing but undo what stands in its list. */
static Jsonb *
saga_freeze_left(SagaRun *left)
{
	left->status = SAGA_COMPENSATING;
	left->final_status = SAGA_SUCCEEDED;
	left->error = left->cause = NULL;
	left->deadline = DT_NOEND;
	left->decided = false;
	left->compensated = left->not_compensated = left->effects = NIL;
	left->handler = NULL;
	left->next_thread = left->next_task = 1;
	left->history.next_id = 1;
	left->last_event = 0;
	dlist_init(&left->threads);
	dlist_init(&left->ready);
	return saga_run_freeze(left);
}

/* What is kept of the run when it has ended.  NULL: nothing that somebody could settle. */
Jsonb *
saga_run_left(SagaRun *run)
{
	SagaRun		left = *run;
	Size		bytes = 0;
	ListCell   *lc;

	if (run->not_compensated == NIL)
		return NULL;
	left.done = palloc(sizeof(SagaDone) * list_length(run->not_compensated));
	left.ndone = 0;
	foreach(lc, run->not_compensated)
	{
		const SagaUndone *undone = lfirst(lc);
		SagaDone   *done = &left.done[left.ndone];

		if (undone->done == NULL || bytes + saga_done_bytes(undone->done) > SAGA_MAX_LEFT_BYTES)
			continue;
		bytes += saga_done_bytes(undone->done);
		*done = *undone->done;
		done->message_id = undone->message_id;
		/* what the handler is told, as if it had run before the end */
		if (done->error == NULL)
		{
			done->error = run->error;
			done->cause = run->cause;
		}
		left.ndone++;
	}
	if (left.ndone == 0)
		return NULL;
	return saga_freeze_left(&left);
}

/*
 * What a run has done that has succeeded, to be undone by saga_run_undo_all()
 * when whoever started it fails.  NULL: nothing that has a handler.
 */
Jsonb *
saga_run_done(SagaRun *run)
{
	SagaRun		left = *run;
	int			i;

	if (run->status != SAGA_SUCCEEDED || run->ndone == 0)
		return NULL;

	/*
	 * tasks are known to this execution alone: what they sent is named for
	 * the other one
	 */
	for (i = 0; i < run->ndone; i++)
	{
		SagaDone   *done = &run->done[i];
		SagaOutside call = {.task_id = done->task_id};

		/* children are found by the task that has waited for them */
		if (done->task_id == 0 || SAGA_HAS_CHILDREN(done->state) || run->env.call_fate == NULL)
			continue;
		run->env.call_fate(run->env.arg, SAGA_WISH_IDENTIFY, &call);
		done->message_id = saga_copy_text(call.message_id);
		done->key = saga_copy_text(call.key);
		done->task_id = 0;
	}
	return saga_freeze_left(&left);
}

/* Starts the first handler, if something is undone, after the event that begins a history. */
static void
saga_begin_undoing(SagaRun *run, bool undo, TimestampTz now)
{
	SagaEventRecord *record;

	run->now = now;
	record = saga_history_add(&run->history, SAGA_EVENT_EXECUTION_STARTED);
	record->timestamp = now;
	record->strings[0] = run->env.role;
	run->last_event = run->history.next_id - 1;
	/* a run with nothing to undo ends when it is run */
	if (undo && run->ndone > 0)
		saga_undo_next(run);
	record->values[0] = run->handler != NULL ? run->handler->input : saga_jsonb_null();
}

/*
 * A message that the other execution has sent is this one's from now on:
 * answers come here, and a person who speaks of it finds what this one lists.
 * One that was published may be under way still: it is taken back, or it is
 * found out how it went.  "done" may not be valid after that.
 */
static void
saga_adopt(SagaRun *run, SagaDone *done, bool take_back)
{
	SagaOutside call = {.task_id = run->next_task, .message_id = done->message_id};

	if (done->message_id == NULL || run->env.call_fate == NULL)
		return;
	run->env.call_fate(run->env.arg, SAGA_WISH_ADOPT, &call);
	if (call.fate != SAGA_FATE_DONE)
		return;
	done->task_id = run->next_task++;
	if (take_back)
		saga_done_take_back(run, done);
}

/* The kept run with the one item, changed by what is said of it, and with its handler started. */
SagaRun *
saga_run_undo(const SagaMachine *machine, const SagaRunEnv *env, Jsonb *left, const char *message_id, Jsonb *output,
			  TimestampTz now, Jsonb **input)
{
	SagaRun    *run = saga_run_thaw(machine, env, left);
	SagaDone   *done;
	int			i;

	for (i = 0; i < run->ndone; i++)
	{
		if (run->done[i].message_id != NULL && strcmp(run->done[i].message_id, message_id) == 0)
			break;
	}
	if (i == run->ndone)
		return NULL;
	run->done[0] = run->done[i];
	run->ndone = 1;
	done = &run->done[0];
	if (output != NULL || done->output == NULL)
		done->output = output != NULL ? output : saga_jsonb_null();
	done->kind = SAGA_DONE_COMPLETED;
	done->message_id = done->key = NULL;
	/* that is a task of the other one */
	done->task_id = 0;
	saga_begin_undoing(run, true, now);
	*input = run->handler->input;
	return run;
}

SagaRun *
saga_run_undo_all(const SagaMachine *machine, const SagaRunEnv *env, Jsonb *done, const char *error, const char *cause,
				  bool undo, TimestampTz now)
{
	SagaRun    *run = saga_run_thaw(machine, env, done);
	int			i;

	run->now = now;
	for (i = run->ndone - 1; i >= 0; i--)
	{
		run->done[i].error = saga_copy_text(error);
		run->done[i].cause = saga_copy_text(cause);
		saga_adopt(run, &run->done[i], undo);
	}
	saga_begin_undoing(run, undo, now);
	return run;
}
