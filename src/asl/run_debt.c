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

#include "mb/pg_wchar.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "asl/run_private.h"

/* Bytes of a cause in not_compensated. */
#define SAGA_MAX_LISTED_CAUSE	1024

static char *
saga_copy(const char *text)
{
	return text != NULL ? pstrdup(text) : NULL;
}

static bool
saga_is_outside(const SagaThread *thread)
{
	const SagaResource *resource = &thread->state->resource;

	/* these complete with the commit, unless a callback is waited for */
	return thread->state->type == SAGA_STATE_TASK &&
		((resource->kind != SAGA_RES_PUBLISH && resource->kind != SAGA_RES_SQL) || thread->token != NULL);
}

/* What is known of the thread's call; a step that handed a token out is done with its commit. */
SagaFate
saga_call_fate(SagaRun *run, const SagaThread *thread, SagaWish wish, SagaOutside *call)
{
	memset(call, 0, sizeof(SagaOutside));
	call->task_id = thread->task_id;
	call->answered = thread->answered;
	if (!saga_is_outside(thread) || run->env.call_fate == NULL)
		return SAGA_FATE_NONE;
	run->env.call_fate(run->env.arg, wish, call);
	if ((call->fate == SAGA_FATE_NONE || call->fate == SAGA_FATE_DONE) && thread->token != NULL && thread->answer != NULL)
	{
		call->fate = SAGA_FATE_DONE;
		call->output = thread->answer;
	}
	return call->fate;
}

/* ---------- lists ---------- */

void
saga_list_undone(SagaRun *run, const SagaDone *done, const char *reason, const char *cause, bool unknown,
				 const char *handler)
{
	SagaUndone *undone = palloc0(sizeof(SagaUndone));
	SagaOutside call = {.task_id = done->task_id};

	if (done->task_id != 0 && run->env.call_fate != NULL)
		run->env.call_fate(run->env.arg, SAGA_WISH_IDENTIFY, &call);
	undone->state = done->state->name;
	undone->reason = reason;
	undone->cause = cause;
	/* a message that was published and is not delivered may not be there */
	undone->unknown = unknown || call.fate == SAGA_FATE_IN_DOUBT;
	/* its record may be gone, with its destination */
	undone->message_id = call.message_id != NULL ? saga_copy(call.message_id) : done->message_id;
	undone->key = call.key != NULL ? saga_copy(call.key) : done->key;
	undone->handler = handler;
	if (undone->message_id != NULL)
	{
		undone->done = palloc(sizeof(SagaDone));
		*undone->done = *done;
	}
	run->not_compensated = lappend(run->not_compensated, undone);
}

/* Everybody reads the list whole; the history has all of it. */
static const char *
saga_clip_cause(const char *cause)
{
	Size		len = cause != NULL ? strlen(cause) : 0;

	if (len <= SAGA_MAX_LISTED_CAUSE)
		return cause;
	return psprintf("%s...", pnstrdup(cause, pg_mbcliplen(cause, len, SAGA_MAX_LISTED_CAUSE - 3)));
}

static void
saga_push_member(JsonbParseState **state, const char *name, const char *text)
{
	if (text == NULL)
		return;
	saga_jsonb_push_key(state, name);
	saga_jsonb_push_string(state, WJB_VALUE, text);
}

Jsonb *
saga_undone_to_jsonb(List *undone)
{
	JsonbParseState *state = NULL;
	ListCell   *lc;

	if (undone == NIL)
		return NULL;
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	foreach(lc, undone)
	{
		SagaUndone *item = lfirst(lc);

		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		saga_push_member(&state, "state", item->state);
		saga_push_member(&state, "reason", item->reason);
		saga_push_member(&state, "cause", saga_clip_cause(item->cause));
		saga_push_member(&state, "outcome", item->unknown ? "unknown" : "done");
		saga_push_member(&state, "message_id", item->message_id);
		saga_push_member(&state, "key", item->key);
		saga_push_member(&state, "handler", item->handler);
		pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

Jsonb *
saga_effects_to_jsonb(List *effects)
{
	JsonbParseState *state = NULL;
	ListCell   *lc;

	if (effects == NIL)
		return NULL;
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	foreach(lc, effects)
	{
		SagaEffect *item = lfirst(lc);

		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		saga_push_member(&state, "state", item->state);
		saga_push_member(&state, "message_id", item->message_id);
		pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

/* ---------- giving up ---------- */

static void
saga_note_effect(SagaRun *run, const SagaThread *thread, const SagaOutside *call)
{
	SagaEffect *effect = palloc(sizeof(SagaEffect));

	effect->state = thread->state->name;
	effect->message_id = saga_copy(call->message_id);
	run->effects = lappend(run->effects, effect);
}

/* What is known of an item that is owed; false: it is not in the list any more. */
static bool
saga_apply_fate(SagaRun *run, SagaDone *done, const SagaOutside *call)
{
	switch (call->fate)
	{
		case SAGA_FATE_ANSWERED:
		case SAGA_FATE_IN_DOUBT:
			done->kind = SAGA_DONE_OWED;
			return true;
		case SAGA_FATE_DONE:
		case SAGA_FATE_SUSPECTED:
			done->kind = done->kept ? SAGA_DONE_COMPLETED : SAGA_DONE_UNWANTED;

			/*
			 * of a published message it is known from the commit on, and
			 * names it whatever became of it
			 */
			if (done->output == NULL)
				done->output = call->fate == SAGA_FATE_DONE ? call->output : saga_jsonb_null();
			return true;
		case SAGA_FATE_UNKNOWN:
			saga_list_undone(run, done, "Saga.Uncertain", NULL, true, NULL);
			break;
		case SAGA_FATE_NONE:
		case SAGA_FATE_NO_EFFECT:
			break;
	}
	saga_done_remove(run, done - run->done);
	return false;
}

/* The state is left, or goes, and how its call went is not known, or was not when it failed. */
void
saga_let_go(SagaRun *run, const SagaThread *thread, bool kept, const SagaFailure *failure)
{
	MemoryContext old = MemoryContextSwitchTo(run->context);
	bool		undo = thread->state->compensate != NULL;
	SagaOutside call;
	SagaFate	fate = saga_call_fate(run, thread, undo ? SAGA_WISH_SETTLE : SAGA_WISH_DROP, &call);

	if (!undo && fate >= SAGA_FATE_ANSWERED)
		saga_note_effect(run, thread, &call);
	if (undo && fate >= SAGA_FATE_ANSWERED)
	{
		SagaDone   *done = saga_done_push(run, unconstify(SagaThread *, thread),
										  thread->token != NULL ? thread->answer : NULL);

		done->kind = SAGA_DONE_OWED;
		done->kept = kept;
		done->error = failure != NULL ? failure->error : NULL;
		done->cause = failure != NULL ? failure->cause : NULL;
		done->token = thread->token;
		done->destination = saga_copy(call.destination);
		done->message_id = saga_copy(call.message_id);
		done->key = saga_copy(call.key);
		done->since = run->now;
		(void) saga_apply_fate(run, done, &call);
		saga_undo_next(run);
	}
	MemoryContextSwitchTo(old);
}

/*
 * A state that publishes has completed with its commit, whatever became of the
 * message.  When that is to be undone, one that never left is taken back, and
 * the item may go; how one went that is under way is found out.
 */
static void
saga_take_back(SagaRun *run, SagaDone *done)
{
	SagaOutside call = {.task_id = done->task_id, .answered = true};

	if (run->env.call_fate == NULL || done->task_id == 0 || done->state->type != SAGA_STATE_TASK ||
		done->state->resource.wait_for_token ||
		(done->state->resource.kind != SAGA_RES_PUBLISH && done->state->resource.kind != SAGA_RES_OTHER))
		return;
	run->env.call_fate(run->env.arg, SAGA_WISH_TAKE_BACK, &call);
	if (call.fate == SAGA_FATE_NONE)
		return;
	done->destination = saga_copy(call.destination);
	done->since = run->now;
	(void) saga_apply_fate(run, done, &call);
}

/* The run has failed. */
void
saga_take_back_published(SagaRun *run)
{
	int			i;

	for (i = run->ndone - 1; i >= 0; i--)
	{
		if (run->done[i].kind == SAGA_DONE_COMPLETED)
			saga_take_back(run, &run->done[i]);
	}
}

/* ---------- done, and of no use ---------- */

static SagaDone *
saga_find_done(SagaRun *run, int call_id)
{
	int			i;

	for (i = run->ndone - 1; i >= 0; i--)
	{
		if (run->done[i].call_id == call_id)
			return &run->done[i];
	}
	return NULL;
}

static void
saga_done_unwanted(SagaRun *run, SagaDone *done, const SagaFailure *failure)
{
	done->kind = SAGA_DONE_UNWANTED;
	done->kept = false;
	done->error = failure->error;
	done->cause = failure->cause;
	saga_take_back(run, done);
}

/* The state's call is done, and the state fails all the same.  The caller lets saga_undo_next() undo it. */
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
	done = saga_find_done(run, thread->call_id);
	if (done != NULL && !kept)
		saga_done_unwanted(run, done, failure);
}

/* The catcher that was to keep a visit's call has failed: the state has not been left by it. */
void
saga_keep_no_more(SagaRun *run, int call_id, const SagaFailure *failure)
{
	SagaDone   *done = saga_find_done(run, call_id);

	if (done == NULL)
		return;
	if (done->kind == SAGA_DONE_COMPLETED)
		saga_done_unwanted(run, done, failure);
	else
		done->kept = false;
}

/* The thread is being dropped: so is its call, if one is out. */
void
saga_cut(SagaRun *run, const SagaThread *thread)
{
	SagaOutside call;

	if (thread->phase != SAGA_PHASE_OPEN && !thread->resume)
		return;
	if (thread != run->handler)
		saga_let_go(run, thread, false, run->cut);
	else
		/* whether it was undone is listed with what it undoes */
		(void) saga_call_fate(run, thread, SAGA_WISH_DROP, &call);
}

/* ---------- finding out ---------- */

static SagaDone *
saga_find_debt(SagaRun *run, int task_id)
{
	int			i;

	for (i = run->ndone - 1; i >= 0; i--)
	{
		if (run->done[i].kind == SAGA_DONE_OWED && run->done[i].task_id == task_id)
			return &run->done[i];
	}
	return NULL;
}

/* The answer of a call that was given up: output, or an error.  False: there is no such call. */
bool
saga_debt_answered(SagaRun *run, int task_id, Jsonb *output, const SagaTaskError *error)
{
	SagaDone   *done = saga_find_debt(run, task_id);
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
	(void) saga_apply_fate(run, done, &call);
	saga_release_held(run);
	saga_undo_next(run);
	return true;
}

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

/* Nobody waits any more for those that are not known. */
void
saga_forget_debts(SagaRun *run)
{
	int			i;

	for (i = run->ndone - 1; i >= 0; i--)
	{
		if (run->done[i].kind != SAGA_DONE_OWED)
			continue;
		saga_list_undone(run, &run->done[i], "Saga.Uncertain", NULL, true, NULL);
		saga_done_remove(run, i);
	}
	saga_release_held(run);
}

/* A call that was kept holds nothing up while the path goes on, until that comes to the same call again. */
static bool
saga_waits_for_kept(const SagaRun *run)
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

char *
saga_run_waiting_for(const SagaRun *run)
{
	bool		kept_too = saga_waits_for_kept(run);
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

/* ---------- the same call again ---------- */

/*
 * A state is entered with the request of a call that was given up: nobody
 * could tell the two apart.  It waits until that one is known and undone; one
 * that was kept, and is found done, is the answer.
 */
bool
saga_held_by_debt(SagaRun *run, SagaThread *thread)
{
	int			i;

	if (thread == run->handler || thread->state->compensate == NULL)
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
			Jsonb	   *output = done->output;

			/* as the visit that begins now */
			thread->task_id = done->task_id;
			saga_done_remove(run, i);
			thread->phase = SAGA_PHASE_ATTEMPT;
			saga_thread_complete(run, thread, output);
		}
		else
			thread->phase = SAGA_PHASE_HELD;
		return true;
	}
	return false;
}

void
saga_release_held(SagaRun *run)
{
	dlist_iter	iter;

	dlist_foreach(iter, &run->threads)
	{
		SagaThread *thread = dlist_container(SagaThread, node, iter.cur);

		if (thread->phase == SAGA_PHASE_HELD)
			saga_thread_ready(run, thread, SAGA_PHASE_ATTEMPT);
	}
}
