/*
 * run_done.c
 *		The list of what is to be undone, and what is known of each call in it.
 *
 * A visit of a state with Compensate that completes is an item, and so is one
 * that is given up while it is not known how its call outside went ("owed").
 * The list is in the order in which that happened.  Here are its items, the
 * question to the caller how a call went, and the two lists that are left when
 * a run ends: what was not undone, and what had its effect without Compensate.
 * Who undoes an item, and when, is said in run_compensate.c.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "asl/run_private.h"

/* ---------- items ---------- */

/* The thread of the item around this one, of the nearest Map that tolerates failures; 0: there is none. */
static int
saga_tolerated_item(const SagaThread *thread)
{
	for (; thread->parent != NULL; thread = thread->parent)
	{
		const SagaMapping *map = thread->parent->fork->map;

		if (map != NULL && map->tolerated > 0)
			return thread->id;
	}
	return 0;
}

/*
 * Called when a visit has its result, or is given up: once, as what is done is
 * not called again.  result: NULL when it is not known.
 */
SagaDone *
saga_done_push(SagaRun *run, const SagaThread *thread, Jsonb *result)
{
	SagaDone   *done;

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
	memset(done, 0, sizeof(SagaDone));
	done->state = thread->state;
	done->call_id = thread->call_id;
	done->item = saga_tolerated_item(thread);
	/* of another state the thread may have an older one */
	done->task_id = thread->state->type == SAGA_STATE_TASK || SAGA_HAS_CHILDREN(thread->state) ? thread->task_id : 0;
	done->input = thread->data;
	done->output = result;
	done->variables = thread->variables;
	saga_done_begin(done, thread);
	return done;
}

/* Takes an item out.  Those behind it move: pointers to them are not valid any more. */
void
saga_done_remove(SagaRun *run, SagaDone *done)
{
	int			i = done - run->done;

	run->ndone--;
	memmove(&run->done[i], &run->done[i + 1], sizeof(SagaDone) * (run->ndone - i));
}

/* An item of a Map has ended: what it did belongs to the item around that Map, if there is one. */
void
saga_done_hand_up(SagaRun *run, const SagaThread *thread)
{
	int			around = saga_tolerated_item(thread->parent);
	int			i;

	for (i = 0; around != 0 && i < run->ndone; i++)
	{
		if (run->done[i].item == thread->id)
			run->done[i].item = around;
	}
}

/* The item of the visit with this call_id; NULL: there is none, or none any more. */
SagaDone *
saga_done_of_call(SagaRun *run, int call_id)
{
	int			i;

	for (i = run->ndone - 1; i >= 0; i--)
	{
		if (run->done[i].call_id == call_id)
			return &run->done[i];
	}
	return NULL;
}

/* What the handler that runs undoes. */
SagaDone *
saga_undoing(SagaRun *run)
{
	SagaDone   *done = saga_done_of_call(run, run->undoing);

	return done != NULL ? done : &run->done[0];
}

/* The item that is owed the answer of this task; NULL: there is none. */
SagaDone *
saga_debt_of_task(SagaRun *run, int task_id)
{
	int			i;

	for (i = run->ndone - 1; i >= 0; i--)
	{
		if (run->done[i].kind == SAGA_DONE_OWED && run->done[i].task_id == task_id)
			return &run->done[i];
	}
	return NULL;
}

/* The task of the item that is owed a callback with this token; 0: there is none. */
int
saga_debt_of_token(const SagaRun *run, const char *token)
{
	int			i;

	for (i = 0; i < run->ndone; i++)
	{
		if (run->done[i].kind == SAGA_DONE_OWED && run->done[i].token != NULL &&
			strcmp(run->done[i].token, token) == 0)
			return run->done[i].task_id;
	}
	return 0;
}

/* Is there an item that has to be found out, or undone, even if the run succeeds? */
bool
saga_has_debts(const SagaRun *run)
{
	int			i;

	for (i = 0; i < run->ndone; i++)
	{
		if (run->done[i].kind != SAGA_DONE_COMPLETED)
			return true;
	}
	return false;
}

/* A call that was kept holds nothing up while the path goes on, until that comes to the same call again. */
static bool
waits_for_kept(const SagaRun *run)
{
	dlist_iter	iter;

	if (run->decided || run->root == NULL)
		return true;
	dlist_foreach(iter, &unconstify(SagaRun *, run)->threads)
	{
		if (dlist_container(SagaThread, node, iter.cur)->phase == SAGA_PHASE_HELD)
			return true;
	}
	return false;
}

/* NULL: no call that was given up holds it up. */
char *
saga_run_waiting_for(const SagaRun *run)
{
	bool		kept_too = waits_for_kept(run);
	int			i;

	for (i = 0; i < run->ndone; i++)
	{
		const SagaDone *done = &run->done[i];

		if (done->kind == SAGA_DONE_OWED && (kept_too || !done->kept))
			return psprintf("outcome of %s%s%s since %s", done->state->name, done->destination ? " at " : "",
							done->destination ? done->destination : "", timestamptz_to_str(done->since));
	}
	return NULL;
}

/* ---------- what is left at the end ---------- */

/* Lists an item as not undone.  It stays in the list of what is to be undone: the caller removes it. */
void
saga_list_undone(SagaRun *run, const SagaDone *done, const char *reason, const char *cause, bool unknown,
				 const char *handler)
{
	SagaUndone *undone = palloc0(sizeof(SagaUndone));
	SagaOutside call = {.task_id = done->task_id};

	if (done->task_id != 0 && !SAGA_HAS_CHILDREN(done->state) && run->env.call_fate != NULL)
		run->env.call_fate(run->env.arg, SAGA_WISH_IDENTIFY, &call);
	undone->state = done->state->name;
	undone->reason = reason;
	undone->cause = cause;
	/* a message that was published and is not delivered may not be there */
	undone->unknown = unknown || done->suspected || call.fate == SAGA_FATE_IN_DOUBT;
	/* its record may be gone, with its destination */
	undone->message_id = call.message_id != NULL ? saga_copy_text(call.message_id) : done->message_id;
	undone->key = call.key != NULL ? saga_copy_text(call.key) : done->key;
	undone->handler = handler;
	undone->call_id = done->call_id;
	if (undone->message_id != NULL)
	{
		undone->done = palloc(sizeof(SagaDone));
		*undone->done = *done;
	}
	run->not_compensated = lappend(run->not_compensated, undone);
}

/* Lists a call as given up without anything that could undo it. */
void
saga_note_effect(SagaRun *run, const SagaThread *thread, const SagaOutside *call)
{
	SagaEffect *effect = palloc(sizeof(SagaEffect));

	effect->state = thread->state->name;
	effect->message_id = saga_copy_text(call->message_id);
	run->effects = lappend(run->effects, effect);
}

/* ---------- how a call went ---------- */

/* May the call of this thread have an effect that its transaction does not undo? */
static bool
saga_is_outside(const SagaThread *thread)
{
	const SagaResource *resource = &thread->state->resource;

	/* the items of a distributed Map */
	if (thread->state->type == SAGA_STATE_MAP)
		return true;
	/* these complete with the commit, unless a callback is waited for */
	return thread->state->type == SAGA_STATE_TASK &&
		((resource->kind != SAGA_RES_PUBLISH && resource->kind != SAGA_RES_SQL) || thread->token != NULL);
}

/*
 * A worker that has the task may have done all of it, and so may one that had
 * an earlier attempt of this visit.  Nobody else can find out, and a handler of
 * an activity bears that there was nothing to undo.  Without one nobody asks.
 */
static SagaFate
saga_fate_of_activity(const SagaThread *thread, SagaFate fate)
{
	if (thread->state->compensate == NULL)
		return Min(fate, SAGA_FATE_NO_EFFECT);
	return thread->answer != NULL ? SAGA_FATE_SUSPECTED : fate;
}

/* What is known of the thread's call; a step that handed a token out is done with its commit. */
SagaFate
saga_call_fate(SagaRun *run, const SagaThread *thread, SagaWish wish, SagaOutside *call)
{
	memset(call, 0, sizeof(SagaOutside));
	call->task_id = thread->task_id;
	call->activity = thread->state->resource.kind == SAGA_RES_ACTIVITY;
	call->answered = thread->answered;
	if (!saga_is_outside(thread) || run->env.call_fate == NULL)
		return SAGA_FATE_NONE;
	run->env.call_fate(run->env.arg, wish, call);
	if (call->activity)
		call->fate = saga_fate_of_activity(thread, call->fate);
	else if ((call->fate == SAGA_FATE_NONE || call->fate == SAGA_FATE_DONE) && thread->token != NULL && thread->answer != NULL)
	{
		call->fate = SAGA_FATE_DONE;
		call->output = thread->answer;
	}
	return call->fate;
}

/*
 * Makes of an item what is known of its call now: it stays owed, or is to be
 * undone, or goes.  When it goes, "done" is not valid any more.
 */
void
saga_done_apply_fate(SagaRun *run, SagaDone *done, const SagaOutside *call)
{
	switch (call->fate)
	{
		case SAGA_FATE_ANSWERED:
		case SAGA_FATE_IN_DOUBT:
			done->kind = SAGA_DONE_OWED;
			return;
		case SAGA_FATE_DONE:
		case SAGA_FATE_SUSPECTED:
			done->kind = done->kept ? SAGA_DONE_COMPLETED : SAGA_DONE_UNWANTED;
			/* nobody waits for a callback any more, and none is taken */
			done->token = NULL;
			done->suspected = done->state->resource.kind == SAGA_RES_ACTIVITY && call->fate == SAGA_FATE_SUSPECTED;

			/*
			 * of a published message it is known from the commit on, and
			 * names it whatever became of it
			 */
			if (done->output == NULL)
				done->output = call->fate == SAGA_FATE_DONE ? call->output : saga_jsonb_null();
			return;
		case SAGA_FATE_UNKNOWN:
			saga_list_undone(run, done, "Saga.Uncertain", NULL, true, NULL);
			break;
		case SAGA_FATE_NONE:
		case SAGA_FATE_NO_EFFECT:
			break;
	}
	saga_done_remove(run, done);
}

/*
 * A state that publishes has completed with its commit, whatever became of the
 * message.  When that is to be undone, one that never left is taken back, and
 * the item may go; how one went that is under way is found out.
 */
void
saga_done_take_back(SagaRun *run, SagaDone *done)
{
	SagaOutside call = {.task_id = done->task_id, .answered = true};

	if (run->env.call_fate == NULL || done->task_id == 0 || done->state->type != SAGA_STATE_TASK ||
		done->state->resource.wait_for_token ||
		(done->state->resource.kind != SAGA_RES_PUBLISH && done->state->resource.kind != SAGA_RES_OTHER))
		return;
	run->env.call_fate(run->env.arg, SAGA_WISH_TAKE_BACK, &call);
	if (call.fate == SAGA_FATE_NONE)
		return;
	done->destination = saga_copy_text(call.destination);
	done->since = run->now;
	saga_done_apply_fate(run, done, &call);
}

/* The run has failed: every message that was published is taken back, if it still can be. */
void
saga_done_take_back_all(SagaRun *run)
{
	int			i;

	for (i = run->ndone - 1; i >= 0; i--)
	{
		if (run->done[i].kind == SAGA_DONE_COMPLETED)
			saga_done_take_back(run, &run->done[i]);
	}
}
