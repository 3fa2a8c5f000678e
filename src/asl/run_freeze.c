/*
 * run_freeze.c
 *		A parked run as one jsonb.
 *
 * {"version": 1, "status", "ids": [next thread, task, call, event],
 *	"input", "deadline", "threads": [...], "ready": [thread ids],
 *	"done": [...], "effects": [...], "decided", "output", "last_event", "undoing", "final", "error", "cause", "failed_state", "report", "compensated",
 *	"not_compensated": [{..., "done": an item of "done"}], "untouched", "redrives", "earlier", "values": [...]}
 *
 * What is absent or at its default is left out.  Values of users stand in
 * "values", once each, and are named by their index: a step's output is the
 * next one's input.  States go by name, times are microseconds as in a
 * timestamptz.  A later version must read all earlier ones.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "asl/check_private.h"
#include "asl/run_private.h"
#include "value/doc.h"

#define SAGA_FREEZE_VERSION 1

/* How far back a value is looked for: neighbours share them. */
#define SAGA_RECENT_VALUES 64

/* ---------- writing ---------- */

typedef struct SagaFreezer
{
	JsonbParseState *state;
	List	   *values;			/* of Jsonb */
} SagaFreezer;

/* A member, unless it has the value that it would be read with when it is absent. */
static void
put_int(SagaFreezer *f, const char *name, int64 value, int64 absent)
{
	if (value == absent)
		return;
	saga_jsonb_push_key(&f->state, name);
	saga_jsonb_push_int64(&f->state, WJB_VALUE, value);
}

static void
put_string(SagaFreezer *f, const char *name, const char *value)
{
	if (value == NULL)
		return;
	saga_jsonb_push_key(&f->state, name);
	saga_jsonb_push_string(&f->state, WJB_VALUE, value);
}

/* The place of a value in "values"; it is put there unless one of the last ones is the same. */
static int
value_index(SagaFreezer *f, Jsonb *value)
{
	int			i;

	for (i = list_length(f->values) - 1;
		 i >= 0 && i >= list_length(f->values) - SAGA_RECENT_VALUES; i--)
	{
		if (list_nth(f->values, i) == value)
			return i;
	}
	f->values = lappend(f->values, value);
	return list_length(f->values) - 1;
}

static void
put_value(SagaFreezer *f, const char *name, Jsonb *value)
{
	if (value != NULL)
		put_int(f, name, value_index(f, value), -1);
}

static void
begin_list(SagaFreezer *f, const char *name)
{
	saga_jsonb_push_key(&f->state, name);
	pushJsonbValue(&f->state, WJB_BEGIN_ARRAY, NULL);
}

static void
end_list(SagaFreezer *f)
{
	pushJsonbValue(&f->state, WJB_END_ARRAY, NULL);
}

/* A call that is open, or is to be gone on with. */
static void
freeze_task(SagaFreezer *f, const SagaThread *thread)
{
	put_int(f, "task", thread->task_id, 0);
	put_string(f, "token", thread->token);
	put_int(f, "submitted", thread->submitted, 0);
	put_int(f, "heartbeat_ms", thread->heartbeat_ms, 0);
	put_int(f, "deadline", thread->deadline, DT_NOEND);
	put_int(f, "heartbeat_at", thread->heartbeat_at, DT_NOEND);
	put_int(f, "timeout_ms", thread->timeout_ms, 0);
	put_int(f, "resume", thread->resume, 0);
	put_int(f, "answered", thread->answered, 0);
	put_value(f, "answer", thread->answer);
}

/* The fork: of each thread that has been started its result, or -1 while it has none. */
static void
freeze_fork(SagaFreezer *f, const SagaThread *thread)
{
	const SagaFork *fork = thread->fork;
	const SagaMapping *map = fork->map;
	int			count = map != NULL ? map->next : fork->size;
	int			i;

	begin_list(f, "results");
	for (i = 0; i < count; i++)
		saga_jsonb_push_int64(&f->state, WJB_ELEM,
							  fork->results[i] == NULL ? -1 : value_index(f, fork->results[i]));
	end_list(f);
	if (map == NULL)
		return;
	put_value(f, "items", map->items);
	put_int(f, "keyed", map->keyed, 0);
	put_int(f, "concurrency", map->concurrency, 0);
	put_int(f, "tolerated", map->tolerated, 0);
	put_int(f, "failed", map->nfailed, 0);
	put_int(f, "again", map->again, 0);
	if (map->failed == NULL)
		return;
	begin_list(f, "failed_items");
	for (i = 0; i < count; i++)
	{
		if (map->failed[i])
			saga_jsonb_push_int64(&f->state, WJB_ELEM, i);
	}
	end_list(f);
}

/* What a phase does not need is left out. */
static void
freeze_thread(SagaFreezer *f, SagaRun *run, const SagaThread *thread)
{
	int			i;

	pushJsonbValue(&f->state, WJB_BEGIN_OBJECT, NULL);
	put_int(f, "id", thread->id, 0);
	put_int(f, "parent", thread->parent != NULL ? thread->parent->id : 0, 0);
	put_int(f, "branch", thread->branch, 0);
	put_int(f, "handler", thread == run->handler, 0);
	put_string(f, "state", thread->state->name);
	put_string(f, "phase", saga_thread_phase_name(thread->phase));
	put_value(f, "input", thread->input);

	/*
	 * what comes later than the call needs it only to undo the step, to wait,
	 * or to select items
	 */
	if (thread->state->compensate != NULL || thread->phase == SAGA_PHASE_WAIT || thread->resume ||
		(thread->phase == SAGA_PHASE_CHILDREN && thread->fork->map != NULL))
		put_value(f, "data", thread->data);
	put_value(f, "variables", thread->variables);
	put_int(f, "entered_at", thread->entered_at, 0);
	put_int(f, "since", thread->since, thread->entered_at);
	put_int(f, "entered_event", thread->entered_event, 0);
	put_int(f, "last_event", thread->last_event, 0);
	put_int(f, "call", thread->call_id, 0);
	put_int(f, "retry_count", thread->retry_count, 0);
	put_string(f, "last_error", thread->last_error);
	if (thread->attempts != NULL)
	{
		begin_list(f, "attempts");
		for (i = 0; i < thread->attempts_size; i++)
			saga_jsonb_push_int64(&f->state, WJB_ELEM, thread->attempts[i]);
		end_list(f);
	}
	if (thread->phase == SAGA_PHASE_WAIT || thread->phase == SAGA_PHASE_RETRY)
		put_int(f, "wake_at", thread->wake_at, DT_NOEND);
	put_int(f, "redriven_task", thread->redriven_task, 0);
	if (thread->phase == SAGA_PHASE_OPEN || thread->resume)
		freeze_task(f, thread);
	else if (thread->state->resource.kind == SAGA_RES_ACTIVITY && thread->retry_count > 0)
		put_value(f, "answer", thread->answer);
	else if (thread->phase == SAGA_PHASE_CHILDREN)
		freeze_fork(f, thread);
	pushJsonbValue(&f->state, WJB_END_OBJECT, NULL);
}

static void
freeze_threads(SagaFreezer *f, SagaRun *run)
{
	dlist_iter	iter;

	/* A parent is made before its children, so it stands before them. */
	begin_list(f, "threads");
	dlist_foreach(iter, &run->threads)
		freeze_thread(f, run, dlist_container(SagaThread, node, iter.cur));
	end_list(f);
	begin_list(f, "ready");
	dlist_foreach(iter, &run->ready)
		saga_jsonb_push_int64(&f->state, WJB_ELEM,
							  dlist_container(SagaThread, ready_node, iter.cur)->id);
	end_list(f);
}

static void
freeze_done(SagaFreezer *f, const SagaDone *done)
{
	put_string(f, "state", done->state->name);
	put_int(f, "call", done->call_id, 0);
	put_int(f, "item", done->item, 0);
	put_value(f, "input", done->input);
	put_value(f, "output", done->output);
	put_value(f, "variables", done->variables);
	put_int(f, "task", done->task_id, 0);
	put_int(f, "kind", done->kind, SAGA_DONE_COMPLETED);
	put_int(f, "kept", done->kept, 0);
	put_int(f, "suspected", done->suspected, 0);
	put_string(f, "error", done->error);
	put_string(f, "cause", done->cause);
	put_string(f, "token", done->token);
	put_string(f, "destination", done->destination);
	put_int(f, "since", done->since, 0);
	put_string(f, "message", done->message_id);
	put_string(f, "key", done->key);
	put_int(f, "owner", done->owner, 0);
	put_int(f, "branch", done->branch, 0);
	if (done->begin != done->state && done->begin != NULL)
		put_string(f, "begin", done->begin->name);
	put_value(f, "entered", done->entered);
	if (done->begin_variables != done->variables)
		put_value(f, "begin_variables", done->begin_variables != NULL ? done->begin_variables : saga_jsonb_null());
}

/* What is known already of the end; few that run have any of it. */
static void
freeze_undone(SagaFreezer *f, SagaRun *run)
{
	ListCell   *lc;

	if (run->compensated != NIL)
	{
		begin_list(f, "compensated");
		foreach(lc, run->compensated)
			saga_jsonb_push_string(&f->state, WJB_ELEM, lfirst(lc));
		end_list(f);
	}
	if (run->not_compensated != NIL)
	{
		begin_list(f, "not_compensated");
		foreach(lc, run->not_compensated)
		{
			SagaUndone *undone = lfirst(lc);

			pushJsonbValue(&f->state, WJB_BEGIN_OBJECT, NULL);
			put_string(f, "state", undone->state);
			put_string(f, "error", undone->reason);
			put_string(f, "cause", undone->cause);
			put_int(f, "unknown", undone->unknown, 0);
			put_string(f, "message", undone->message_id);
			put_string(f, "key", undone->key);
			put_string(f, "handler", undone->handler);
			put_int(f, "call", undone->call_id, 0);
			if (undone->done != NULL)
			{
				saga_jsonb_push_key(&f->state, "done");
				pushJsonbValue(&f->state, WJB_BEGIN_OBJECT, NULL);
				freeze_done(f, undone->done);
				pushJsonbValue(&f->state, WJB_END_OBJECT, NULL);
			}
			pushJsonbValue(&f->state, WJB_END_OBJECT, NULL);
		}
		end_list(f);
	}
	if (run->untouched != NIL)
	{
		begin_list(f, "untouched");
		foreach(lc, run->untouched)
			saga_jsonb_push_int64(&f->state, WJB_ELEM, lfirst_int(lc));
		end_list(f);
	}
	if (run->effects != NIL)
	{
		begin_list(f, "effects");
		foreach(lc, run->effects)
		{
			SagaEffect *effect = lfirst(lc);

			pushJsonbValue(&f->state, WJB_BEGIN_OBJECT, NULL);
			put_string(f, "state", effect->state);
			put_string(f, "message", effect->message_id);
			pushJsonbValue(&f->state, WJB_END_OBJECT, NULL);
		}
		end_list(f);
	}
}

static void
freeze_compensation(SagaFreezer *f, SagaRun *run)
{
	int			i;

	begin_list(f, "done");
	for (i = 0; i < run->ndone; i++)
	{
		pushJsonbValue(&f->state, WJB_BEGIN_OBJECT, NULL);
		freeze_done(f, &run->done[i]);
		pushJsonbValue(&f->state, WJB_END_OBJECT, NULL);
	}
	end_list(f);
	freeze_undone(f, run);
	put_int(f, "last_event", run->last_event, 0);
	put_int(f, "undoing", run->handler != NULL ? run->undoing : 0, 0);
	if (run->decided)
	{
		put_int(f, "decided", run->decided, 0);
		put_value(f, "output", run->output);
	}
	if (run->status != SAGA_COMPENSATING)
		return;
	put_string(f, "final", saga_asl_status_name(run->final_status));
	put_string(f, "error", run->error);
	put_string(f, "cause", run->cause);
	put_string(f, "failed_state", run->failed_state);
	put_value(f, "report", run->report);
}

Jsonb *
saga_run_freeze(SagaRun *run)
{
	SagaFreezer f = {0};
	JsonbValue	values;
	Jsonb	  **docs;
	int			ndocs = 0;
	ListCell   *lc;

	pushJsonbValue(&f.state, WJB_BEGIN_OBJECT, NULL);
	put_int(&f, "version", SAGA_FREEZE_VERSION, 0);
	put_string(&f, "status", saga_asl_status_name(run->status));
	begin_list(&f, "ids");
	saga_jsonb_push_int64(&f.state, WJB_ELEM, run->next_thread);
	saga_jsonb_push_int64(&f.state, WJB_ELEM, run->next_task);
	saga_jsonb_push_int64(&f.state, WJB_ELEM, run->next_call);
	saga_jsonb_push_int64(&f.state, WJB_ELEM, run->history.next_id);
	end_list(&f);
	put_value(&f, "input", run->input);
	put_int(&f, "deadline", run->deadline, DT_NOEND);
	put_int(&f, "redrives", run->redrives, 0);
	put_value(&f, "earlier", run->earlier);
	freeze_threads(&f, run);
	freeze_compensation(&f, run);
	docs = palloc(sizeof(Jsonb *) * Max(list_length(f.values), 1));
	foreach(lc, f.values)
		docs[ndocs++] = lfirst(lc);
	saga_doc_array(&values, docs, ndocs);
	return saga_doc_with_member(pushJsonbValue(&f.state, WJB_END_OBJECT, NULL), "values", &values);
}
