/*
 * attempt.c
 *		One execution of a batch is run, with others, carefully or alone; and
 *		what becomes of the errors that it meets.
 *
 * Optimistic first: each execution has one savepoint (the first of a batch
 * none, so that SQL functions keep their plans before version 18).  When a
 * step raises, that execution alone is rolled back and runs again carefully,
 * with a savepoint per step, so that Retry and Catch see the error.  Trouble
 * of the engine (a lock that was not to be had within milliseconds, a
 * deadlock ...) is no step's failure: the execution stays in the queue and
 * runs alone in the next batch.  engine/README.md tells the whole protocol.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "common/clock.h"
#include "common/guc.h"
#include "engine/batch_private.h"
#include "engine/children_private.h"
#include "engine/engine_private.h"
#include "engine/step_private.h"
#include "engine/stop_private.h"
#include "engine/task_private.h"
#include "miscadmin.h"
#include "outbox/outbox.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

/* State of this process, across batches. */
static SagaAlone running;		/* what runs now; queue_id 0: nothing */
static uint64 running_since = 0;	/* saga_monotonic_us */
static uint64 tried_since = 0;	/* the same, of its careful run if there is one */
static bool running_alone = false;
static SagaQueueSlot *running_slot = NULL;
static SagaCareful running_careful; /* what is noted of it if its batch is lost */

volatile sig_atomic_t saga_session_cancelled = 0;

saga_flight_hook_type saga_flight_hook = NULL;
saga_suspect_hook_type saga_suspect_hook = NULL;
saga_suspect_forget_hook_type saga_suspect_forget_hook = NULL;

/* ---------- a run ---------- */

/*
 * Poison.  Over the limit the execution fails, and what it had done is undone
 * by its handlers; if it is one of those that crashes the server, there is
 * nothing left but to end it.
 */
static void
give_up_suspect(SagaJob *job, int crashes, TimestampTz now)
{
	char	   *cause = psprintf("the server crashed %d times while this execution ran", crashes);

	if (crashes > saga_crash_limit + 1 || saga_run_status(job->run) == SAGA_COMPENSATING)
		saga_run_kill(job->run, "Saga.WorkerCrashed", cause, now);
	else
		saga_run_give_up(job->run, "Saga.WorkerCrashed", cause, now);
	if (saga_suspect_forget_hook && saga_run_status(job->run) != SAGA_RUNNING)
		saga_suspect_forget_hook(&job->execution_id);
}

bool
saga_attempt_time_is_up(SagaBatch *batch)
{
	return saga_monotonic_us() - batch->started_us > (uint64) saga_batch_time_ms * 1000;
}

/*
 * A chain of steps is committed between two of them: what they did is kept,
 * and seen, and nobody else waits for the end of a long transaction.
 */
static bool
has_run_long(void)
{
	return saga_monotonic_us() - tried_since > (uint64) saga_batch_time_ms * 1000;
}

/*
 * A commit costs what it takes to freeze the whole run and to thaw it again.
 * That of a run with much in it, as the list of thousands of steps that are to
 * be undone, is made where it is a small part of the time: else a loop that
 * makes the list longer would take time with the square of its length.
 */
#define SAGA_THAWS_A_RUN	10

static bool
is_worth_a_commit(const SagaJob *job)
{
	return saga_monotonic_us() - tried_since > SAGA_THAWS_A_RUN * job->thaw_us;
}

static bool
has_company(const SagaBatch *batch, const SagaJob *job)
{
	return batch->nitems + batch->nleft > job->nevents;
}

/* Somebody waits for this worker, and has done so for long enough: what is left has its turn later. */
static bool
is_to_make_way(SagaBatch *batch)
{
	return saga_my_proc != NULL && pg_atomic_read_u32(&saga_my_proc->leave) != 0 && saga_attempt_time_is_up(batch);
}

/* Has what there is of the run to be committed, after so many tasks and with so much memory at most? */
static bool
is_to_commit(SagaBatch *batch, const SagaJob *job, int ntasks, Size memory)
{
	if (batch->subxacts >= SAGA_MAX_SUBXACTS || MemoryContextMemAllocated(batch->context, true) > memory)
		return true;
	return is_worth_a_commit(job) &&
		(ntasks >= SAGA_MAX_TASKS || (has_run_long() && job->timed_out_task < 0) || is_to_make_way(batch));
}

/* Until it ends, parks, or has to come back because this batch cannot hold more of it. */
static void
advance(SagaBatch *batch, SagaJob *job, TimestampTz *wake_at)
{
	SagaAction	action;
	int			ntasks = 0;
	bool		begun = false;
	bool		commit = false;
	Size		memory = MemoryContextMemAllocated(batch->context, true) +
	Max(SAGA_MAX_CHAIN_BYTES, job->frozen != NULL ? VARSIZE(job->frozen) : 0);

	for (;; begun = true)
	{
		TimestampTz now;

		CHECK_FOR_INTERRUPTS();
		saga_stop_check();

		/*
		 * one that has ended with its last answer has no state to come back
		 * to
		 */
		if (begun && (commit || is_to_commit(batch, job, ntasks, memory)) &&
			(saga_run_status(job->run) == SAGA_RUNNING || saga_run_status(job->run) == SAGA_COMPENSATING))
		{
			job->early = true;
			return;
		}
		now = GetCurrentTimestamp();
		saga_run_next(job->run, now, &action);
		if (action.kind == SAGA_ACTION_FINISHED)
		{
			job->finished = true;
			job->end = action;
			return;
		}
		if (action.kind == SAGA_ACTION_PARK && action.wake_at > now)
		{
			*wake_at = action.wake_at;
			return;
		}
		if (action.kind == SAGA_ACTION_PARK)
			continue;			/* only so that we look whether it has run for long */
		saga_engine_task_start(batch, job, &action);
		commit = action.commit;
		ntasks++;
	}
}

/* A child whom nobody waits for any more goes no further. */
static bool
stop_with_parent(SagaBatch *batch, SagaJob *job, TimestampTz now)
{
	bool		undo;

	if (saga_run_status(job->run) != SAGA_RUNNING || !saga_children_stopping(batch, job, &undo))
		return false;
	job->stopped = true;
	saga_run_stop(job->run, "Saga.ParentEnded", "whoever started it does not wait for it any more", undo, now);
	return true;
}

/* Children's turn: it has nothing to compensate, so that it is given up by an answer to their parent. */
static void
run_turn(SagaBatch *batch, SagaJob *job, int trouble)
{
	int			crashes = saga_suspect_hook ? saga_suspect_hook(&job->execution_id) : 0;

	saga_children_turn(batch, job, crashes > saga_crash_limit ? "Saga.WorkerCrashed" :
					   trouble > SAGA_MAX_TROUBLE ? "Saga.EngineTrouble" : NULL);
	if (crashes > saga_crash_limit && saga_suspect_forget_hook)
		saga_suspect_forget_hook(&job->execution_id);
}

/* In a transaction or savepoint of its own; raises what the steps raise. */
static void
run_once(SagaBatch *batch, SagaJob *job, int trouble)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz wake_at = DT_NOEND;
	int			crashes;

	job->finished = job->early = false;
	if (job->turn != NULL)
	{
		run_turn(batch, job, trouble);
		return;
	}
	saga_job_begin(job, now);
	stop_with_parent(batch, job, now);
	crashes = saga_suspect_hook ? saga_suspect_hook(&job->execution_id) : 0;
	if (crashes > saga_crash_limit && !job->stopped)
		give_up_suspect(job, crashes, now);
	if (trouble > SAGA_MAX_TROUBLE)
		saga_run_give_up(job->run, "Saga.EngineTrouble",
						 "the engine could not run this execution: see the server's log", now);

	/*
	 * whatever becomes of the handlers, it stays stopped: so it is committed
	 * before they run
	 */
	if (job->stopped && saga_run_status(job->run) == SAGA_COMPENSATING)
		job->early = true;
	else
		advance(batch, job, &wake_at);
	if (!job->finished && stop_with_parent(batch, job, now))
		job->early = true;
	if (job->finished)
		saga_store_end(batch, job);
	else
		saga_store_park(batch, job, wake_at);
}

/* ---------- its errors ---------- */

/*
 * Settings of a step's session: what a step changes is undone with the level.
 * In a batch with others nobody waits long for a lock: two workers on hot
 * rows would deadlock.
 */
static int
open_settings(const SagaBatch *batch, const SagaJob *job)
{
	int			level = NewGUCNestLevel();

	if (has_company(batch, job) && saga_step_lock_timeout_ms > 0 &&
		(LockTimeout == 0 || LockTimeout > saga_step_lock_timeout_ms))
	{
		char		value[16];

		snprintf(value, sizeof(value), "%d", saga_step_lock_timeout_ms);
		(void) set_config_option("lock_timeout", value, PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	}
	return level;
}

static void
mark_done(SagaJob *job)
{
	int			i;

	for (i = 0; i < job->nevents; i++)
		job->events[i]->done = job->events[i]->taken = true;
}

/* Back-off: 10 ms, 20, 40 ... up to a minute. */
void
saga_attempt_postpone(SagaBatch *batch, SagaJob *job)
{
	int			i;

	for (i = 0; i < job->nevents; i++)
		saga_store_postpone(batch, job->events[i],
							saga_backoff(10, job->events[i]->receives, 60000));
}

/* It was to be given up, and even that could not be written. */
void
saga_attempt_bury(SagaBatch *batch, SagaJob *job)
{
	int			i;

	for (i = 0; i < job->nevents; i++)
		saga_store_bury(batch, job->events[i], "Saga.EngineTrouble",
						psprintf("execution %s could not be stored: see the server's log",
								 saga_uuid_to_cstring(&job->execution_id)));
}

/* Nothing of it is left, so that it can be redriven. */
static void
bury_twin(SagaBatch *batch, SagaJob *job)
{
	int			i;

	for (i = 0; i < job->nevents; i++)
		if (job->events[i]->kind == SAGA_MSG_START)
			saga_store_bury(batch, job->events[i], "Saga.DuplicateExecution",
							psprintf("another execution has the id %s; this one was not begun",
									 saga_uuid_to_cstring(&job->execution_id)));
	mark_done(job);
}

typedef enum RunOutcome
{
	RUN_OK,
	RUN_CAREFULLY,				/* a step raised: again, with a savepoint per step */
	RUN_ALONE,					/* trouble: in a batch of its own */
	RUN_POSTPONE,				/* trouble, and it was alone */
	RUN_TWIN,					/* another execution has its id */
	RUN_STOPPED					/* its execution was stopped: the event comes next */
} RunOutcome;

/*
 * It was cancelled so that others need not wait, or was stopped.  That is no
 * error of anybody's: the log does not hear of it.
 */
static void
hush_error(MemoryContext context)
{
	ErrorData  *edata;

	if (!saga_step_crowded && !saga_run_stopped)
		return;
	MemoryContextSwitchTo(context);
	edata = CopyErrorData();
	if (edata->sqlerrcode != ERRCODE_QUERY_CANCELED)
		return;
	FlushErrorState();
	edata->output_to_server = false;
	ReThrowError(edata);
}

static RunOutcome
classify_error(SagaBatch *batch, SagaJob *job, const ErrorData *edata)
{
	bool		infrastructure = saga_errcode_is_infrastructure(edata->sqlerrcode) &&
	!saga_step_timed_out;

	if (saga_run_stopped)
		return RUN_STOPPED;
	if (job->has_twin)
		return RUN_TWIN;
	(void) saga_store_met_twin(edata);
	if (!infrastructure && !job->careful)
		return batch->subxacts + 2 < SAGA_MAX_SUBXACTS ? RUN_CAREFULLY : RUN_ALONE;
	return batch->alone ? RUN_POSTPONE : RUN_ALONE;
}

/*
 * Whoever called saga.drain() has had enough of it.  A step that ran out of its
 * own time at that moment has failed, and the call ends after its batch.
 */
static bool
is_cancel_of_session(const ErrorData *edata)
{
	return saga_session_cancelled && edata->sqlerrcode == ERRCODE_QUERY_CANCELED &&
		!saga_step_timed_out && !saga_run_stopped && !saga_step_crowded;
}

/* Tries once; with a savepoint unless it is the first of its batch. */
static RunOutcome
try_run(SagaBatch *batch, SagaJob *job, bool savepoint, int trouble)
{
	MemoryContext context = batch->context;
	ResourceOwner owner = CurrentResourceOwner;
	volatile RunOutcome outcome = RUN_OK;
	int			level;

	if (savepoint)
	{
		BeginInternalSubTransaction(NULL);
		batch->subxacts++;
		MemoryContextSwitchTo(context);
	}
	level = open_settings(batch, job);
	/* of another execution's step */
	(void) saga_step_take_report();
	saga_step_timed_out = saga_step_overstayed = saga_step_cancelled = saga_step_crowded = false;
	tried_since = saga_monotonic_us();
	if (!batch->in_drain && has_company(batch, job))
		saga_pace_crowd_begin();
	PG_TRY();
	{
		run_once(batch, job, trouble);
		saga_pace_crowd_end();
		saga_step_hygiene(batch->in_drain);
		AtEOXact_GUC(false, level);
		if (savepoint)
		{
			ReleaseCurrentSubTransaction();
			CurrentResourceOwner = owner;
		}
		MemoryContextSwitchTo(context);
	}
	PG_CATCH();
	{
		ErrorData  *edata;
		const char *error;
		char	   *cause;

		MemoryContextSwitchTo(context);
		saga_pace_crowd_end();
		if (!savepoint)
		{
			saga_step_interrupted();

			/*
			 * with one event only: another run may get others, and count its
			 * tasks otherwise
			 */
			if (saga_step_timed_out && job->nevents == 1)
			{
				running_careful.timed_out_task = job->current_task;
				running_careful.overstayed = saga_step_overstayed;
				running_careful.cancelled = saga_step_cancelled;
			}
			hush_error(context);
			PG_RE_THROW();		/* the batch is lost; it runs alone next */
		}
		edata = CopyErrorData();
		FlushErrorState();
		saga_step_error(edata, &error, &cause);
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		saga_step_reset(context);
		saga_step_hygiene(batch->in_drain);
		if (is_cancel_of_session(edata))
			ReThrowError(edata);
		outcome = classify_error(batch, job, edata);
		if (saga_step_timed_out && !job->careful)
		{
			job->timed_out_task = job->current_task;
			job->overstayed = saga_step_overstayed;
			job->cancelled = saga_step_cancelled;
			job->ran_out = true;
		}
		if (outcome == RUN_POSTPONE)
			ereport(LOG,
					(errmsg("execution %s of workflow \"%s\" could not run: %s",
							job->env.execution_id ? job->env.execution_id : saga_uuid_to_cstring(&job->execution_id),
							job->queue->name, edata->message),
					 errdetail("It will be tried again.")));
		FreeErrorData(edata);
	}
	PG_END_TRY();
	return outcome;
}

void
saga_attempt_run(SagaBatch *batch, SagaJob *job, bool first)
{
	SagaItem   *item = job->events[0];
	RunOutcome	outcome;

	running.queue_id = batch->queue->queue_id;
	running.id = item->id;
	running.execution_id = item->execution_id;
	running_since = saga_monotonic_us();
	saga_step_crowded = false;
	saga_proc_run_begin(&job->execution_id);
	saga_execution_tell_begin(batch, job);
	saga_running_id = job->execution_id;
	saga_run_stopped = 0;
	running_alone = batch->alone;
	running_slot = batch->slot;
	running_careful.id = item->id;
	running_careful.timed_out_task = -1;
	job->careful = batch->alone;
	if ((first || batch->alone) && saga_queue_careful_test(batch->slot, &running_careful))
	{
		job->careful = true;
		if (job->nevents == 1)
		{
			job->timed_out_task = running_careful.timed_out_task;
			job->ran_out = job->timed_out_task >= 0;
			job->overstayed = running_careful.overstayed;
			job->cancelled = running_careful.cancelled;
		}
	}
	if (saga_flight_hook)
		saga_flight_hook(&job->execution_id);

	/*
	 * who stopped it before it was known that we run it has told nobody, and
	 * a step before it in this batch will tell when all this is committed
	 */
	if ((batch->stops != saga_stop_count() || saga_stop_is_ours(&job->execution_id)) && !saga_stop_is_event(item) &&
		saga_stop_is_pending(batch->queue, &job->execution_id))
		outcome = RUN_STOPPED;
	else
		outcome = try_run(batch, job, !first || job->careful, item->receives);
	if (outcome == RUN_CAREFULLY)
	{
		job->careful = true;
		outcome = try_run(batch, job, true, item->receives);
	}
	saga_execution_tell_end();
	saga_proc_run_end();
	if (saga_flight_hook)
		saga_flight_hook(NULL);

	/*
	 * a turn begins hundreds of children: how long that takes says nothing of
	 * how long they take
	 */
	if (outcome != RUN_STOPPED && job->turn == NULL)
		saga_pace_ran(batch->queue->queue_id, batch->slot, saga_monotonic_us() - running_since);

	/*
	 * if the only one of a batch cannot be written or committed, it is known
	 * which it was
	 */
	if (batch->nitems > 1)
		running.queue_id = 0;

	switch (outcome)
	{
		case RUN_OK:
			mark_done(job);
			if (job->finished)
				batch->ended[batch->nended++] = job;
			else if (job->early)
			{
				batch->nearly++;
				/* of many that are quick those that go on are a batch, too */
				if (!has_company(batch, job) || has_run_long())
					saga_alone_go_on(job, running_since);
			}
			break;
		case RUN_POSTPONE:
			saga_attempt_postpone(batch, job);
			break;
		case RUN_TWIN:
			bury_twin(batch, job);
			break;
		case RUN_STOPPED:
			break;				/* it stays where it is */
		default:
			saga_alone_next(batch->queue->queue_id, &item->id, &item->execution_id, false);
			break;
	}
}

/* ---------- when the batch is over ---------- */

void
saga_attempt_forget(void)
{
	running.queue_id = 0;
}

/* The session was cancelled in the middle of a run, which is no trouble of that one. */
void
saga_attempt_cancelled(void)
{
	saga_proc_run_end();
	if (saga_flight_hook)
		saga_flight_hook(NULL);
	saga_run_stopped = 0;
	running.queue_id = 0;
}

/* If an execution was running it goes alone next; if it was alone already, it is put off. */
bool
saga_attempt_lost(void)
{
	bool		known = running.queue_id != 0;

	saga_execution_tell_end();
	saga_proc_run_end();
	if (saga_flight_hook)
		saga_flight_hook(NULL);
	if (known && saga_run_stopped)
		saga_run_stopped = 0;	/* the event comes first in the queue */
	else if (known)
	{
		saga_pace_ran(running.queue_id, running_slot, saga_monotonic_us() - running_since);
		saga_queue_careful_note(running_slot, &running_careful);
		saga_alone_next(running.queue_id, &running.id, &running.execution_id, running_alone);
	}
	running.queue_id = 0;
	return known;
}
