/*
 * run_end.c
 *		How a run comes to its end, and what it says then.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "asl/run_private.h"
#include "value/doc.h"

/* Bytes of a cause in not_compensated. */
#define SAGA_MAX_LISTED_CAUSE	1024

/*
 * The machine's last state has been left.  What was given up on the way is
 * found out, and undone, before the end: the run is "decided" meanwhile.
 */
SagaTransition
saga_run_succeed(SagaRun *run, Jsonb *output)
{
	int64		last_event = run->root->last_event;

	run->output = output;
	if (!saga_asl_has_debts(run) && run->handler == NULL)
	{
		saga_run_end(run, last_event, SAGA_SUCCEEDED, NULL, NULL);
		return saga_next_nothing();
	}
	run->decided = true;
	run->last_event = last_event;
	saga_thread_drop(run, run->root);
	return saga_next_undo();
}

/*
 * The run has failed, or is stopped: all threads but a handler's go, what is
 * done, or may be, is undone, and then it ends with this status.
 */
SagaTransition
saga_run_fail(SagaRun *run, SagaStatus status, const char *error, const char *cause, const char *state)
{
	SagaFailure failure = {.error = error, .cause = cause};
	int64		last_event = run->root->last_event;

	saga_asl_point_take(run);
	run->status = SAGA_COMPENSATING;
	run->final_status = status;
	run->error = error;
	run->cause = cause;
	run->failed_state = state != NULL ? state : saga_run_current_state(run);
	/* a handler that undoes what was given up earlier goes on */
	saga_thread_cut(run, run->root, &failure);
	run->last_event = last_event;
	saga_done_take_back_all(run);
	return saga_next_undo();
}

/* The event that an end without waiting follows. */
static int64
run_last_event(const SagaRun *run)
{
	const SagaThread *thread = run->root != NULL ? run->root : run->handler;

	return thread != NULL ? thread->last_event : run->last_event;
}

/* Ends now.  What is done, or may be, and is not undone is listed with this reason. */
void
saga_run_end_now(SagaRun *run, SagaStatus status, const char *error, const char *cause, const char *reason,
				 const char *why)
{
	int64		last_event = run_last_event(run);

	saga_asl_point_take(run);
	/* one that is being undone has failed before */
	if (status != SAGA_SUCCEEDED && run->status != SAGA_COMPENSATING)
		run->failed_state = saga_run_current_state(run);
	run->status = status;
	if (run->root != NULL)
		saga_thread_cut(run, run->root, NULL);
	saga_compensation_give_up(run, reason, why);
	if (run->handler != NULL)
		saga_thread_cut(run, run->handler, NULL);
	saga_run_end(run, last_event, status, error, cause);
}

/* ---------- what it says ---------- */

static Jsonb *
names_to_jsonb(List *names)
{
	JsonbParseState *state = NULL;
	ListCell   *lc;

	if (names == NIL)
		return NULL;
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	foreach(lc, names)
		saga_jsonb_push_string(&state, WJB_ELEM, lfirst(lc));
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

/* Everybody reads the list whole; the history has all of it. */
static const char *
clip_cause(const char *cause)
{
	Size		len = cause != NULL ? strlen(cause) : 0;

	if (len <= SAGA_MAX_LISTED_CAUSE)
		return cause;
	return psprintf("%s...", pnstrdup(cause, pg_mbcliplen(cause, len, SAGA_MAX_LISTED_CAUSE - 3)));
}

static void
push_member(JsonbParseState **state, const char *name, const char *text)
{
	if (text == NULL)
		return;
	saga_jsonb_push_key(state, name);
	saga_jsonb_push_string(state, WJB_VALUE, text);
}

static Jsonb *
undone_to_jsonb(List *undone)
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
		push_member(&state, "state", item->state);
		push_member(&state, "reason", item->reason);
		push_member(&state, "cause", clip_cause(item->cause));
		push_member(&state, "outcome", item->unknown ? "unknown" : "done");
		push_member(&state, "message_id", item->message_id);
		push_member(&state, "key", item->key);
		push_member(&state, "handler", item->handler);
		pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

static Jsonb *
effects_to_jsonb(List *effects)
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
		push_member(&state, "state", item->state);
		push_member(&state, "message_id", item->message_id);
		pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

/* A list of the end, behind what was in it when the run was redriven. */
static Jsonb *
with_earlier(const SagaRun *run, const char *name, Jsonb *list)
{
	JsonbValue	earlier;

	if (run->earlier == NULL || !saga_jsonb_get(run->earlier, name, &earlier) || earlier.type != jbvBinary)
		return list;
	return saga_asl_array_append(saga_jsonb_from_value(&earlier), list);
}

/* Fills in what the caller is told at the end. */
void
saga_run_report(SagaRun *run, SagaAction *action)
{
	action->kind = SAGA_ACTION_FINISHED;
	action->status = run->status;
	action->output = run->output;
	action->error = run->error;
	action->cause = run->cause;
	action->failed_state = run->failed_state;
	action->report = run->report;
	action->compensated = with_earlier(run, "compensated", names_to_jsonb(run->compensated));
	action->not_compensated = with_earlier(run, "not_compensated", undone_to_jsonb(run->not_compensated));
	action->open = run->not_compensated != NIL;
	action->left = saga_run_left(run);
	action->effects = with_earlier(run, "effects", effects_to_jsonb(run->effects));
	action->standing = saga_asl_point_end(run);
	action->redriven = run->redrives;
}
