/*
 * run_point.c
 *		Where a run has failed: what is kept so that it can go on there later.
 *
 * Kept is a frozen run, made at the moment when the run fails, before anything
 * is given up or undone: its threads stand where they stood, each at the entry
 * of its state, and its list has what was done.  A Parallel or Map is given up
 * before it is known whether a Retry or Catch of it, or of what is around it,
 * takes the failure.  So each remembers the fork that it had ("fallen") until
 * something else is done in its thread; nothing is copied for that but the
 * threads themselves.
 *
 * An item of the list of what is to be undone says where the run would begin
 * again if it is undone: the state that was visited, or the Parallel or Map
 * around it once that has ended.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "asl/run_private.h"
#include "value/doc.h"

/* A point that is larger is not kept: the execution can be started anew only. */
#define SAGA_MAX_POINT_BYTES	(16 * 1024 * 1024)

/* ---------- where an item would begin again ---------- */

/* It is done anew by entering the state in which the thread is. */
void
saga_done_begin(SagaDone *done, const SagaThread *thread)
{
	/*
	 * The documents are shared with the thread and not copied, as nobody
	 * changes them.
	 */
	done->owner = thread->parent != NULL ? thread->parent->id : 0;
	done->branch = thread->branch;
	done->begin = thread->state;
	done->entered = thread->input;
	done->begin_variables = thread->variables;
}

/*
 * The fork of this thread has ended, or is given up for good: what its threads
 * did is done anew only by entering the thread's state.
 */
void
saga_done_begin_with(SagaRun *run, const SagaThread *parent)
{
	int			i;

	for (i = 0; i < run->ndone; i++)
	{
		/* what an earlier version has frozen is not known */
		if (run->done[i].owner == parent->id && run->done[i].entered != NULL)
			saga_done_begin(&run->done[i], parent);
	}
}

/* ---------- threads as they stand ---------- */

static SagaFork *fork_copy(const SagaFork *fork, SagaThread *parent);

/* As it will be taken up: at the entry of its state, or in the midst of its branches or items. */
static SagaThread *
thread_copy(const SagaThread *thread, SagaThread *parent)
{
	SagaThread *copy = palloc(sizeof(SagaThread));
	const SagaFork *fork = thread->phase == SAGA_PHASE_CHILDREN ? thread->fork : thread->fallen;

	check_stack_depth();
	*copy = *thread;

	/*
	 * It begins as a thread that has just come to its state: retries count
	 * anew, and a call that was out is not waited for any more.
	 */
	copy->is_ready = copy->resume = copy->answered = copy->submitted = false;
	copy->parent = parent;
	copy->phase = SAGA_PHASE_ENTER;
	copy->retry_count = copy->attempts_size = 0;
	copy->attempts = NULL;
	copy->token = NULL;
	copy->answer = NULL;
	copy->fork = copy->fallen = NULL;

	/*
	 * Entering the state makes its data anew; a fork that goes on needs them
	 * as they were.
	 */
	if (fork == NULL)
		copy->data = NULL;

	/*
	 * A distributed Map goes on with the items of the run before: its own,
	 * or, if it has not begun, the one that it was to go on with.
	 */
	copy->redriven_task = 0;
	if (thread->state->type == SAGA_STATE_MAP && fork == NULL)
		copy->redriven_task = thread->phase == SAGA_PHASE_ENTER ? thread->redriven_task : thread->task_id;
	if (fork != NULL)
	{
		copy->phase = SAGA_PHASE_CHILDREN;
		copy->fork = fork_copy(fork, copy);
	}
	return copy;
}

/* Results and items are shared: nobody changes them. */
static SagaFork *
fork_copy(const SagaFork *fork, SagaThread *parent)
{
	SagaFork   *copy = palloc(sizeof(SagaFork));
	int			i;

	*copy = *fork;
	copy->threads = palloc0(sizeof(SagaThread *) * Max(fork->size, 1));
	copy->results = palloc(sizeof(Jsonb *) * Max(fork->size, 1));
	memcpy(copy->results, fork->results, sizeof(Jsonb *) * fork->size);
	for (i = 0; i < fork->size; i++)
	{
		if (fork->threads[i] != NULL)
			copy->threads[i] = thread_copy(fork->threads[i], parent);
	}
	if (fork->map != NULL)
	{
		copy->map = palloc(sizeof(SagaMapping));
		*copy->map = *fork->map;
	}
	return copy;
}

/* The thread's branches or items are about to be given up, as one of them has failed. */
void
saga_fork_remember(SagaRun *run, SagaThread *parent)
{
	if (run->env.redrivable && parent->fork != NULL)
		parent->fallen = fork_copy(parent->fork, parent);
}

/* The failure of a Parallel or Map was taken, by Retry or Catch: its branches will not go on. */
void
saga_fork_forget(SagaRun *run, SagaThread *thread)
{
	if (SAGA_STATE_PARALLEL != thread->state->type && SAGA_STATE_MAP != thread->state->type)
		return;
	thread->fallen = NULL;
	saga_done_begin_with(run, thread);
}

/* ---------- the point ---------- */

/* Adds the thread, and those below it, behind it: a parent is read before its children. */
static void
point_add(SagaRun *point, SagaThread *thread)
{
	int			i;

	check_stack_depth();
	dlist_push_tail(&point->threads, &thread->node);
	for (i = 0; thread->fork != NULL && i < thread->fork->size; i++)
	{
		if (thread->fork->threads[i] != NULL)
			point_add(point, thread->fork->threads[i]);
	}
}

/* What was completed and may be undone.  False: of one of them it is not known where it was entered. */
static bool
point_done(const SagaRun *run, SagaRun *point)
{
	int			i;

	point->done = palloc(sizeof(SagaDone) * Max(run->ndone, 1));
	point->ndone = 0;
	for (i = 0; i < run->ndone; i++)
	{
		if (run->done[i].kind != SAGA_DONE_COMPLETED)
			continue;
		if (run->done[i].entered == NULL)
			return false;
		point->done[point->ndone++] = run->done[i];
	}
	return true;
}

/*
 * The run is about to fail, or to be ended: everything is still as it was.
 * What was given up earlier is none of the point's; the compensation that
 * comes settles it.
 */
void
saga_asl_point_take(SagaRun *run)
{
	SagaRun		point = *run;

	/*
	 * The first failure counts: what fails on the way to the end comes of it.
	 */
	if (!run->env.redrivable || run->status != SAGA_RUNNING || run->decided || run->root == NULL || run->point != NULL ||
		!point_done(run, &point))
		return;

	/*
	 * The copy has nothing of the end, and no time limit, as that begins anew
	 * when the run goes on. Its lists of threads are emptied, for their links
	 * still lead into the run.
	 */
	point.deadline = DT_NOEND;
	point.handler = NULL;
	point.compensated = point.not_compensated = point.effects = point.untouched = NIL;
	point.earlier = NULL;
	point.last_event = 0;
	dlist_init(&point.threads);
	dlist_init(&point.ready);
	point.root = thread_copy(run->root, NULL);
	point_add(&point, point.root);
	run->point = saga_run_freeze(&point);
	/* The run ends as it would with a point, but it cannot be redriven. */
	if (VARSIZE(run->point) > SAGA_MAX_POINT_BYTES)
		run->point = NULL;
}

Jsonb *
saga_run_point(const SagaRun *run)
{
	return run->point;
}

/* ---------- the end ---------- */

/* One of the visits that were not undone. */
static void
push_call(JsonbParseState **state, int call_id, const char *message_id, bool entry)
{
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_int(state, "call", call_id);
	if (message_id != NULL)
		saga_doc_push_string(state, "message", message_id);
	if (entry)
		saga_doc_push_bool(state, "entry", true);
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/*
 * {"ids": [the counters], "calls": [visits that were not undone]}; "entry": as
 * long as the record has it in not_compensated.  NULL: it has not failed.
 */
Jsonb *
saga_asl_point_end(SagaRun *run)
{
	JsonbParseState *state = NULL;
	ListCell   *lc;

	if (!run->env.redrivable || run->status == SAGA_SUCCEEDED)
		return NULL;
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_jsonb_push_key(&state, "ids");
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	/* read_ids() in run_redrive.c takes them in this order. */
	saga_jsonb_push_int64(&state, WJB_ELEM, run->next_thread);
	saga_jsonb_push_int64(&state, WJB_ELEM, run->next_task);
	saga_jsonb_push_int64(&state, WJB_ELEM, run->next_call);
	saga_jsonb_push_int64(&state, WJB_ELEM, run->history.next_id);
	pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	saga_jsonb_push_key(&state, "calls");
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	foreach(lc, run->not_compensated)
	{
		const SagaUndone *undone = lfirst(lc);

		push_call(&state, undone->call_id, undone->message_id, true);
	}
	foreach(lc, run->untouched)
		push_call(&state, lfirst_int(lc), NULL, false);
	pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* One array of two; NULL is an empty one. */
Jsonb *
saga_asl_array_append(Jsonb *first, Jsonb *second)
{
	JsonbParseState *state = NULL;
	Jsonb	   *parts[2] = {first, second};
	int			i;

	/* The result may be one of the two themselves, and no copy. */
	if (first == NULL || second == NULL)
		return first != NULL ? first : second;
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (i = 0; i < 2; i++)
	{
		JsonbIterator *it = JsonbIteratorInit(&parts[i]->root);
		JsonbIteratorToken token;
		JsonbValue	value;

		while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
		{
			if (token == WJB_ELEM)
				pushJsonbValue(&state, WJB_ELEM, &value);
		}
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}
