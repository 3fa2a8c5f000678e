/*
 * stop.c
 *		Stopping an execution: saga.stop_execution, and what workers do with it.
 *
 * One that is not being run is stopped here and now, in the caller's
 * transaction, whoever its owner is and whether that may have a worker or
 * not: the interpreter ends it, or makes it one that compensates.  No code of
 * a user's runs for that; handlers are a worker's.
 *
 * One that a worker has locked is stopped by an event.  Its position in the
 * queue is before that of the execution's start, and before all that came
 * since: so the next claim comes to it first, whatever becomes of the run.  At the commit whoever runs the execution is told to give it up: the
 * run is rolled back to the last commit, and what is there is stopped.  Who
 * has claimed it, and not begun, sees in shared memory that somebody was
 * stopped, and looks.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/statement.h"
#include "engine/batch_private.h"
#include "engine/engine_private.h"
#include "engine/execution_private.h"
#include "engine/step_private.h"
#include "engine/stop_private.h"
#include "engine/workflow_private.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/memutils.h"
#include "utils/timeout.h"

/* Executions that this transaction stops while somebody runs them. */
typedef struct Stopped
{
	SagaQueueKey queue;
	pg_uuid_t	execution_id;
	int			level;			/* of savepoints */
} Stopped;

static Stopped *stopped = NULL; /* in TopMemoryContext */
static int	nstopped = 0;
static int	max_stopped = 0;


/* ---------- the event ---------- */

/* Does the event say that no handler is to run? */
static bool
says_undo_nothing(const Jsonb *body)
{
	JsonbValue	v;

	return saga_jsonb_get(body, "stop", &v) && saga_jsonb_get(saga_jsonb_from_value(&v), "compensate", &v) &&
		v.type == jbvBool && !v.val.boolean;
}

/* Of two for one execution the first counts, but for one that says that nothing is to be undone. */
static void
insert_event(const SagaQueue *queue, const pg_uuid_t *execution_id, Jsonb *body)
{
	pg_uuid_t	position = saga_stop_position(execution_id);

	saga_queue_put_at(queue, &position, SAGA_MSG_EVENT, execution_id, body, says_undo_nothing(body));
}

/* ---------- telling whoever runs it ---------- */

/*
 * Nothing here may raise: the transaction is committed.  The queue's mark is
 * lowered first, whichever callback of ours comes first: who gives the run up
 * claims at once, and is to find the event.
 */
static void
at_commit(void)
{
	bool		found = false;
	int			i;

	if (saga_shared == NULL)
		return;
	for (i = 0; i < nstopped; i++)
	{
		pg_uuid_t	position = saga_stop_position(&stopped[i].execution_id);
		pg_uuid_t	mark = saga_uuid_previous(&position);

		saga_queue_push_key(&stopped[i].queue, &mark);
		found |= saga_proc_stop_execution(&stopped[i].execution_id);
	}
	/* it ends the worker of a step that goes on */
	if (found)
		saga_wake_type(SAGA_PROC_COORDINATOR, MyDatabaseId);
}

/* At the commit whoever runs a stopped execution is told; a rollback forgets them. */
static void
xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT && nstopped > 0)
		at_commit();

	/*
	 * COMMIT PREPARED knows no more than that there are some: they are looked
	 * for
	 */
	if (event == XACT_EVENT_PRE_PREPARE && nstopped > 0)
		saga_prepared_note_news(SAGA_NEWS_STOPS);
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		nstopped = 0;
}

/*
 * What runs now and was begun before the event could be seen; what is begun
 * from now on finds it.
 */
void
saga_stop_tell_prepared(void)
{
	pg_uuid_t  *runs;
	int			n = saga_proc_list_runs(&runs);

	for (int i = 0; i < n; i++)
	{
		pg_uuid_t	position = saga_stop_position(&runs[i]);
		int32		workflow_id = saga_store_live_workflow(&runs[i]);

		if (workflow_id != 0 && saga_queue_has_at(workflow_id, &position, SAGA_MSG_EVENT))
			(void) saga_proc_stop_execution(&runs[i]);
	}
}

/* A savepoint that is rolled back takes its stops along, one that is released hands them up. */
static void
subxact_callback(SubXactEvent event, SubTransactionId mySubid, SubTransactionId parentSubid, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();
	int			i;

	if (event == SUBXACT_EVENT_ABORT_SUB)
		while (nstopped > 0 && stopped[nstopped - 1].level >= level)
			nstopped--;
	if (event == SUBXACT_EVENT_COMMIT_SUB)
		for (i = 0; i < nstopped; i++)
			stopped[i].level = Min(stopped[i].level, level - 1);
}

/* Its event is not committed yet, so that nobody has been told of it. */
bool
saga_stop_is_ours(const pg_uuid_t *execution_id)
{
	for (int i = 0; i < nstopped; i++)
		if (saga_uuid_cmp(&stopped[i].execution_id, execution_id) == 0)
			return true;
	return false;
}

/* Keeps for the commit that this execution was stopped while somebody runs it. */
static void
note_stopped(const SagaQueue *queue, const pg_uuid_t *execution_id)
{
	Stopped    *s;

	if (stopped == NULL)
	{
		stopped = MemoryContextAlloc(TopMemoryContext, sizeof(Stopped) * 8);
		max_stopped = 8;
		RegisterXactCallback(xact_callback, NULL);
		RegisterSubXactCallback(subxact_callback, NULL);
	}
	if (nstopped == max_stopped)
	{
		stopped = repalloc(stopped, sizeof(Stopped) * max_stopped * 2);
		max_stopped *= 2;
	}
	s = &stopped[nstopped++];
	memset(s, 0, sizeof(*s));
	s->queue.dboid = MyDatabaseId;
	s->queue.queue_id = queue->queue_id;
	s->queue.owner = queue->owner;
	s->queue.kind = queue->kind;
	s->execution_id = *execution_id;
	s->level = GetCurrentTransactionNestLevel();
}

/* By an event, whoever runs it: within a batch nothing else can be. */
void
saga_stop_later(const SagaQueue *queue, const pg_uuid_t *execution_id, Jsonb *body)
{
	insert_event(queue, execution_id, body);
	note_stopped(queue, execution_id);
}

/* ---------- an execution that has not begun ---------- */

/*
 * Locks the row that the execution is to begin with, in the memory of the
 * caller.  False: there is none that is free.
 */
static bool
lock_start(const SagaQueue *queue, const pg_uuid_t *execution_id, SagaItem *item, bool *in_timer)
{
	SagaMessage message;
	SagaPlaceOfMessage place = saga_queue_lock_message(queue, execution_id, SAGA_MSG_START, &message);

	*in_timer = place == SAGA_IN_TIMERS;
	if (place == SAGA_NOWHERE)
		return false;
	saga_engine_item_of_message(&message, item);
	return true;
}

/*
 * For the event: the start that it is about.  It becomes an item of the
 * batch, if it is not one already.  A start that waits for its time after
 * trouble is waited for: *locked_elsewhere, as if somebody had it.
 */
SagaItem *
saga_stop_claim_start(SagaBatch *batch, const pg_uuid_t *execution_id, bool *locked_elsewhere)
{
	SagaItem   *item;
	bool		in_timer;
	int			i;

	for (i = 0; i < batch->nitems; i++)
	{
		item = &batch->items[i];
		if (item->kind == SAGA_MSG_START && saga_uuid_cmp(&item->message_id, execution_id) == 0)
			return item->skip || item->done ? NULL : item;
	}
	item = &batch->items[batch->nitems];
	if (!lock_start(batch->queue, execution_id, item, &in_timer) || in_timer)
	{
		*locked_elsewhere = saga_queue_has(batch->queue->queue_id, execution_id, SAGA_MSG_START);
		return NULL;
	}
	batch->nitems++;
	return item;
}

/* ---------- at once ---------- */

/* False: there is none, or somebody has locked it. */
static bool
load(SagaBatch *batch, SagaJob *job, SagaItem *event, bool *in_timer)
{
	SagaItem   *start = &batch->items[0];
	bool		locked_elsewhere;

	*in_timer = false;
	if (saga_store_load(batch, job, &locked_elsewhere))
		return true;
	if (locked_elsewhere || !lock_start(batch->queue, &job->execution_id, start, in_timer))
		return false;
	saga_job_of_start(job, start);
	if (!*in_timer)
		batch->nitems = 1;
	start->done = true;
	return true;
}

/* Stops one that nobody runs, in this transaction; false: somebody has it locked. */
static bool
stop_now(const SagaQueue *queue, const pg_uuid_t *execution_id, Jsonb *body)
{
	SagaItem	event = {.kind = SAGA_MSG_EVENT, .body = body};
	SagaItem   *events[1] = {&event};
	SagaBatch	batch = {.queue = queue, .context = CurrentMemoryContext};
	SagaJob    *job = palloc0(sizeof(SagaJob));
	SagaAction	action;
	bool		in_timer;

	/* a session may stop many, of definitions that change */
	saga_workflow_begin_batch();
	batch.items = palloc0(sizeof(SagaItem));
	batch.ended = &job;
	job->queue = queue;
	job->execution_id = *execution_id;
	job->events = events;
	job->nevents = 1;
	if (!load(&batch, job, &event, &in_timer))
		return false;
	saga_job_begin(job, GetCurrentTimestamp());
	if (saga_run_status(job->run) == SAGA_RUNNING || saga_run_status(job->run) == SAGA_COMPENSATING)
	{
		job->early = true;
		saga_store_park(&batch, job, DT_NOEND);
	}
	else
	{
		saga_run_next(job->run, GetCurrentTimestamp(), &action);
		job->finished = true;
		job->end = action;
		saga_store_end(&batch, job);
		batch.nended = 1;
	}
	if (in_timer)
		saga_queue_drop_timer(queue, execution_id, SAGA_MSG_START);
	saga_store_look_for_twins();
	saga_store_flush(&batch);
	return true;
}

/*
 * In a step it is the event: the engine is in the middle of a batch.  With an
 * old snapshot too: the rows may have changed since.  The event of a step's
 * own execution would come to nothing: what the step returns may end it, in
 * the transaction that brings the event.
 */
void
saga_stop(int32 workflow_id, const pg_uuid_t *execution_id, Jsonb *body)
{
	const SagaQueue *queue = saga_queue_lock(saga_queue_by_id(workflow_id, false));

	if (saga_in_step && saga_uuid_cmp(&saga_running_id, execution_id) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("execution %s cannot be stopped by a step of its own", saga_uuid_to_cstring(execution_id)),
				 errhint("A step ends its execution by failing: saga.fail(error, cause).")));
	if (saga_in_step || IsolationUsesXactSnapshot() || !stop_now(queue, execution_id, body))
		saga_stop_later(queue, execution_id, body);
}

/* ---------- in the run ---------- */

/*
 * In a signal's handler.  The server's lock_timeout sends the same signal: of
 * two that came as one that one is not to be lost.
 */
bool
saga_stop_signalled(void)
{
	bool		ours;

	if (saga_proc_is_stopped(&ours))
	{
		saga_run_stopped = 1;
		if (saga_in_step)
			saga_step_interrupt();
	}
	return ours && !get_timeout_indicator(LOCK_TIMEOUT, false);
}
