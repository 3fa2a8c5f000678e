/*
 * run_debt.c
 *		Calls outside that are given up before it is known how they went.
 *
 * A state fails in doubt, runs out of time, or goes with what is around it.
 * Without Compensate that is noted as an effect, and no more.  With it the
 * call is an item of the list of what is to be undone, as a completed one is,
 * but "owed": the caller finds out how it went, and answers the task as if it
 * was open still.  Then the item is undone, goes, or is listed as not undone.
 * A call that is done is given up too, when nothing can be made of its answer:
 * its state fails, and is not called again.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "asl/run_private.h"

/* ---------- giving up ---------- */

/*
 * The state is left, or goes, and how its call went is not known, or was not
 * when it failed.  What is known to be done is undone at once, if the path
 * lives: the history tells of that before it tells how the state was left.
 */
void
saga_let_go(SagaRun *run, const SagaThread *thread, bool kept, const SagaFailure *failure)
{
	bool		undo = thread->state->compensate != NULL;
	SagaOutside call;
	SagaFate	fate = saga_call_fate(run, thread, undo ? SAGA_WISH_SETTLE : SAGA_WISH_DROP, &call);
	SagaDone   *done;

	if (fate < SAGA_FATE_ANSWERED)
		return;
	if (!undo)
	{
		saga_note_effect(run, thread, &call);
		return;
	}
	done = saga_done_push(run, thread, thread->token != NULL ? thread->answer : NULL);
	run->gave_up = true;
	done->kind = SAGA_DONE_OWED;
	done->kept = kept;
	done->error = failure != NULL ? failure->error : NULL;
	done->cause = failure != NULL ? failure->cause : NULL;
	done->token = thread->token;
	done->destination = saga_copy_text(call.destination);
	done->message_id = saga_copy_text(call.message_id);
	done->key = saga_copy_text(call.key);
	done->since = run->now;
	saga_done_apply_fate(run, done, &call);
	if (run->status == SAGA_RUNNING)
		(void) saga_undo_unwanted(run);
}

/* The item is to be undone whatever becomes of the run; its message is taken back, if it still can be. */
static void
saga_done_unwanted(SagaRun *run, SagaDone *done, const SagaFailure *failure)
{
	run->gave_up = true;
	done->kind = SAGA_DONE_UNWANTED;
	done->kept = false;
	done->error = failure->error;
	done->cause = failure->cause;
	saga_done_take_back(run, done);
}

/* The state's call is done, and the state fails all the same.  The caller's transition lets it be undone. */
void
saga_give_up_done(SagaRun *run, const SagaThread *thread, bool kept, const SagaFailure *failure)
{
	SagaOutside call;
	SagaDone   *done;

	if (thread->state->compensate == NULL)
	{
		(void) saga_call_fate(run, thread, SAGA_WISH_IDENTIFY, &call);
		if (call.message_id != NULL)
			saga_note_effect(run, thread, &call);
		return;
	}
	done = saga_done_of_call(run, thread->call_id);
	if (done != NULL && !kept)
		saga_done_unwanted(run, done, failure);
}

/* An item of a Map has failed and is tolerated: what it did is undone, whatever becomes of the others. */
void
saga_item_unwanted(SagaRun *run, int item, const SagaFailure *failure)
{
	int			i;

	for (i = run->ndone - 1; i >= 0; i--)
	{
		SagaDone   *done = &run->done[i];

		if (done->item != item)
			continue;
		if (done->kind == SAGA_DONE_COMPLETED)
			saga_done_unwanted(run, done, failure);
		else
			done->kept = false;
	}
}

/* The catcher that was to keep a visit's call has failed: the state has not been left by it. */
void
saga_keep_no_more(SagaRun *run, int call_id, const SagaFailure *failure)
{
	SagaDone   *done = saga_done_of_call(run, call_id);

	if (done == NULL)
		return;
	if (done->kind == SAGA_DONE_COMPLETED)
		saga_done_unwanted(run, done, failure);
	else
		done->kept = false;
}

/* Gives up the calls of a thread and of those below it, the lowest first. */
static void
saga_let_go_all(SagaRun *run, const SagaThread *thread, const SagaFailure *failure)
{
	const SagaFork *fork = thread->fork;
	SagaOutside call;
	int			i;

	check_stack_depth();
	for (i = 0; fork != NULL && i < fork->size; i++)
	{
		if (fork->threads[i] != NULL)
			saga_let_go_all(run, fork->threads[i], failure);
	}
	if (!saga_thread_is_out(thread))
		return;
	if (thread != run->handler)
		saga_let_go(run, thread, false, failure);
	else
		/* whether it was undone is listed with what it undoes */
		(void) saga_call_fate(run, thread, SAGA_WISH_DROP, &call);
}

/*
 * Drops a thread in the midst of its work, with those below it and the calls
 * that they have open.  failure: why; NULL: not for an error.
 */
void
saga_thread_cut(SagaRun *run, SagaThread *thread, const SagaFailure *failure)
{
	saga_let_go_all(run, thread, failure);
	saga_thread_drop(run, thread);
}

/* ---------- finding out ---------- */

/*
 * The answer of a call that was given up: output, or an error.  False: there
 * is no such call.  The caller lets it be undone.
 */
bool
saga_debt_answered(SagaRun *run, int task_id, Jsonb *output, const SagaTaskError *error)
{
	SagaDone   *done = saga_debt_of_task(run, task_id);
	SagaOutside call = {.task_id = task_id, .answered = true};

	if (done == NULL)
		return false;
	if (output != NULL)
	{
		call.fate = SAGA_FATE_DONE;
		call.output = output;
	}
	else if (!error->in_doubt)
		call.fate = SAGA_FATE_NO_EFFECT;
	else
	{
		if (run->env.call_fate != NULL)
			run->env.call_fate(run->env.arg, SAGA_WISH_SETTLE, &call);
		/* nothing that could say more is there any more */
		if (call.fate == SAGA_FATE_NONE)
			call.fate = SAGA_FATE_UNKNOWN;
	}
	saga_done_apply_fate(run, done, &call);
	saga_threads_release(run);
	return true;
}

/* Nobody waits any more for those that are not known.  The caller lets the run end. */
void
saga_forget_debts(SagaRun *run)
{
	int			i;

	for (i = run->ndone - 1; i >= 0; i--)
	{
		if (run->done[i].kind != SAGA_DONE_OWED)
			continue;
		saga_list_undone(run, &run->done[i], "Saga.Uncertain", NULL, true, NULL);
		saga_done_remove(run, &run->done[i]);
	}
	saga_threads_release(run);
}

/* ---------- the same call again ---------- */

/*
 * A state is entered with the request of a call that was given up: nobody
 * could tell the two apart.  It waits until that one is known and undone; one
 * that was kept, and is found done, is the answer.  False: there is no such
 * call, and the state makes its own.
 */
bool
saga_held_by_debt(SagaRun *run, SagaThread *thread, SagaTransition *next)
{
	int			i;

	/* a loop does not look through all that it has done */
	if (thread == run->handler || thread->state->compensate == NULL || !run->gave_up)
		return false;
	for (i = 0; i < run->ndone; i++)
	{
		SagaDone   *done = &run->done[i];

		if (done->state != thread->state ||
			(done->kind == SAGA_DONE_COMPLETED && !done->kept) ||
			compareJsonbContainers(&done->input->root, &thread->data->root) != 0)
			continue;
		if (done->kind == SAGA_DONE_COMPLETED)
		{
			*next = saga_next_complete(thread, done->output);
			/* as the visit that begins now */
			thread->task_id = done->task_id;
			saga_done_remove(run, done);
			thread->phase = SAGA_PHASE_ATTEMPT;
		}
		else
		{
			thread->phase = SAGA_PHASE_HELD;
			*next = saga_next_nothing();
		}
		return true;
	}
	return false;
}
