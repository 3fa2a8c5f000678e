/*
 * run_thread.c
 *		What a run consists of: its threads, their timers, its history, its end.
 *
 * Nothing here knows what a state does, and nothing calls what is outside:
 * who drops a thread with an open call has seen to that call (run_debt.c).
 */
#include "postgres.h"

#include "miscadmin.h"

#include "asl/run_private.h"

const char *
saga_status_name(SagaStatus status)
{
	switch (status)
	{
		case SAGA_RUNNING:
			return "RUNNING";
		case SAGA_SUCCEEDED:
			return "SUCCEEDED";
		case SAGA_FAILED:
			return "FAILED";
		case SAGA_TIMED_OUT:
			return "TIMED_OUT";
		case SAGA_ABORTED:
			return "ABORTED";
		case SAGA_COMPENSATING:
			return "COMPENSATING";
	}
	return NULL;				/* keep compilers quiet */
}

/* As it is written into a frozen run: a name that was written once is read for ever. */
const char *
saga_thread_phase_name(SagaPhase phase)
{
	switch (phase)
	{
		case SAGA_PHASE_ENTER:
			return "enter";
		case SAGA_PHASE_ATTEMPT:
			return "attempt";
		case SAGA_PHASE_OPEN:
			return "open";
		case SAGA_PHASE_WAIT:
			return "wait";
		case SAGA_PHASE_RETRY:
			return "retry";
		case SAGA_PHASE_HELD:
			return "held";
		case SAGA_PHASE_CHILDREN:
			return "children";
	}
	return NULL;				/* keep compilers quiet */
}

/* ---------- threads ---------- */

/* A thread without a state; with a parent, its place in the parent's fork is for the caller to fill. */
SagaThread *
saga_thread_new(SagaRun *run, SagaThread *parent, int branch)
{
	SagaThread *thread = palloc0(sizeof(SagaThread));

	thread->id = run->next_thread++;
	thread->parent = parent;
	thread->branch = branch;
	thread->wake_at = DT_NOEND;
	thread->deadline = DT_NOEND;
	thread->heartbeat_at = DT_NOEND;
	dlist_push_tail(&run->threads, &thread->node);
	return thread;
}

/* Gives the thread room for so many threads below it, none of which is there yet. */
SagaFork *
saga_thread_fork(SagaThread *thread, int size)
{
	SagaFork   *fork = palloc0(sizeof(SagaFork));

	fork->size = fork->nopen = size;
	fork->threads = palloc0(sizeof(SagaThread *) * size);
	fork->results = palloc0(sizeof(Jsonb *) * size);
	thread->fork = fork;
	return fork;
}

/* The same for a Map, whose items the caller fills in. */
SagaMapping *
saga_thread_map(SagaThread *thread, int size)
{
	SagaMapping *map = palloc0(sizeof(SagaMapping));

	saga_thread_fork(thread, size)->map = map;
	return map;
}

/* One item; its value is a copy. */
SagaMapItem
saga_map_item(const SagaMapping *map, int index)
{
	SagaMapItem item = {.index = index, .keyed = map->keyed, .source = SAGA_STATE_DATA};

	item.value = saga_jsonb_from_value(getIthJsonbValueFromContainer(&map->items->root, index));
	return item;
}

/* Takes a thread out of the run and frees it, with those of its fork. */
void
saga_thread_drop(SagaRun *run, SagaThread *thread)
{
	SagaFork   *fork = thread->fork;
	int			i;

	check_stack_depth();
	for (i = 0; fork != NULL && i < fork->size; i++)
	{
		if (fork->threads[i] != NULL)
			saga_thread_drop(run, fork->threads[i]);
	}
	saga_thread_unready(thread);
	dlist_delete(&thread->node);
	if (thread->parent != NULL)
		thread->parent->fork->threads[thread->branch] = NULL;
	if (run->last_task == thread)
		run->last_task = NULL;
	if (run->current == thread)
		run->current = NULL;
	if (run->root == thread)
		run->root = NULL;
	if (run->handler == thread)
		run->handler = NULL;
	pfree(thread);
}

/* Puts a thread, in this phase, at the end of the ready queue. */
void
saga_thread_ready(SagaRun *run, SagaThread *thread, SagaPhase phase)
{
	thread->phase = phase;
	if (!thread->is_ready)
		dlist_push_tail(&run->ready, &thread->ready_node);
	thread->is_ready = true;
}

void
saga_thread_unready(SagaThread *thread)
{
	if (thread->is_ready)
		dlist_delete(&thread->ready_node);
	thread->is_ready = false;
}

/* Lets every thread try again that was held by a call that is the same as its own. */
void
saga_threads_release(SagaRun *run)
{
	dlist_iter	iter;

	dlist_foreach(iter, &run->threads)
	{
		SagaThread *thread = dlist_container(SagaThread, node, iter.cur);

		if (thread->phase == SAGA_PHASE_HELD)
			saga_thread_ready(run, thread, SAGA_PHASE_ATTEMPT);
	}
}

/* Is a call of the thread's open, or is it between two attempts of the same call? */
bool
saga_thread_is_out(const SagaThread *thread)
{
	return thread->phase == SAGA_PHASE_OPEN || thread->resume;
}

/* The thread that waits for the answer of this task; NULL: none does. */
SagaThread *
saga_thread_of_task(SagaRun *run, int task_id)
{
	dlist_iter	iter;

	if (run->last_task != NULL && run->last_task->task_id == task_id && saga_thread_is_out(run->last_task))
		return run->last_task;
	dlist_foreach(iter, &run->threads)
	{
		SagaThread *thread = dlist_container(SagaThread, node, iter.cur);

		if (saga_thread_is_out(thread) && thread->task_id == task_id)
			return thread;
	}
	return NULL;
}

/* The thread that waits for the callback with this token; NULL: none does. */
SagaThread *
saga_thread_of_token(SagaRun *run, const char *token)
{
	dlist_iter	iter;

	dlist_foreach(iter, &run->threads)
	{
		SagaThread *thread = dlist_container(SagaThread, node, iter.cur);

		if (saga_thread_is_out(thread) && thread->token != NULL && strcmp(thread->token, token) == 0)
			return thread;
	}
	return NULL;
}

/* ---------- time ---------- */

/* Never past what a timestamp can be: DT_NOEND then. */
TimestampTz
saga_time_add_ms(TimestampTz at, int64 ms)
{
	if (TIMESTAMP_NOT_FINITE(at) || ms >= (END_TIMESTAMP - at) / 1000)
		return DT_NOEND;
	return at + ms * 1000;
}

/* A thread has a timer that is due at this time.  Nobody takes one back: an early look is harmless. */
void
saga_run_set_timer(SagaRun *run, TimestampTz at)
{
	if (at < run->next_timer)
		run->next_timer = at;
}

/* When a thread wants to be woken; DT_NOEND: not by time. */
static TimestampTz
saga_thread_timer(const SagaThread *thread)
{
	switch (thread->phase)
	{
		case SAGA_PHASE_WAIT:
		case SAGA_PHASE_RETRY:
			return thread->wake_at;
		case SAGA_PHASE_OPEN:
			return Min(thread->deadline, thread->heartbeat_at);
		case SAGA_PHASE_ENTER:
		case SAGA_PHASE_ATTEMPT:
		case SAGA_PHASE_HELD:
		case SAGA_PHASE_CHILDREN:
			break;
	}
	return DT_NOEND;
}

/*
 * Makes next_timer exact, and returns the thread whose timer that is; NULL
 * when it is the machine's own time limit, or there is none.
 */
SagaThread *
saga_run_earliest(SagaRun *run)
{
	SagaThread *earliest = NULL;
	dlist_iter	iter;

	run->next_timer = run->status == SAGA_RUNNING && !run->decided ? run->deadline : DT_NOEND;
	dlist_foreach(iter, &run->threads)
	{
		SagaThread *thread = dlist_container(SagaThread, node, iter.cur);
		TimestampTz at = saga_thread_timer(thread);

		if (at < run->next_timer)
		{
			run->next_timer = at;
			earliest = thread;
		}
	}
	return earliest;
}

/* ---------- history, and the end ---------- */

/* Notes an event that follows the thread's last one.  The caller fills in what belongs to its type. */
SagaEventRecord *
saga_log(SagaRun *run, SagaThread *thread, SagaEventType type)
{
	SagaEventRecord *record = saga_history_add(&run->history, type);

	record->timestamp = run->now;
	record->previous_id = thread->last_event;
	thread->last_event = run->history.next_id - 1;
	return record;
}

bool
saga_run_is_over(const SagaRun *run)
{
	return run->status != SAGA_RUNNING && run->status != SAGA_COMPENSATING;
}

/* The last event, after "last_event", and the status that stays; no thread is left. */
void
saga_run_end(SagaRun *run, int64 last_event, SagaStatus status, const char *error, const char *cause)
{
	SagaEventType type = SAGA_EVENT_EXECUTION_FAILED;
	SagaEventRecord *record;

	if (run->root != NULL)
		saga_thread_drop(run, run->root);
	if (run->handler != NULL)
		saga_thread_drop(run, run->handler);
	run->status = status;
	run->error = error;
	run->cause = cause;
	run->next_timer = DT_NOEND;
	if (status == SAGA_SUCCEEDED)
		type = SAGA_EVENT_EXECUTION_SUCCEEDED;
	else if (status == SAGA_TIMED_OUT)
		type = SAGA_EVENT_EXECUTION_TIMED_OUT;
	else if (status == SAGA_ABORTED)
		type = SAGA_EVENT_EXECUTION_ABORTED;
	record = saga_history_add(&run->history, type);
	record->timestamp = run->now;
	record->previous_id = last_event;
	if (status == SAGA_SUCCEEDED)
		record->values[0] = run->output;
	else
	{
		record->strings[0] = error;
		record->strings[1] = cause;
	}
}

/* ---------- copies ---------- */

/* A text that the caller may free; NULL stays NULL. */
char *
saga_copy_text(const char *text)
{
	return text != NULL ? pstrdup(text) : NULL;
}

/* The same for a value. */
Jsonb *
saga_copy_value(const Jsonb *value)
{
	return memcpy(palloc(VARSIZE(value)), value, VARSIZE(value));
}
