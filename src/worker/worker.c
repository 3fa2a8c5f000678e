/*
 * worker.c
 *		A worker runs the executions of one owner, in a session of that owner.
 *
 * Each turn is one batch of one ready queue, in one transaction.  Between
 * batches no transaction is open; a worker without work sleeps on its latch,
 * runs no SQL at all, and leaves after pg_saga.worker_idle_timeout.
 *
 * SIGTERM notes who sent it: a step that ends its own
 * worker is suspect (recorder.c), one that was running when an administrator
 * or the postmaster did is not.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "common/guc.h"
#include "common/statement.h"
#include "engine/engine.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/procs_private.h"

#define QUEUES_AT_ONCE	64
#define LARGE_TIMERS_AT_ONCE 10
#define UNLISTED_AT_ONCE 1000
#define KEPT_MIN_MS		5		/* when only rows came back that could not be run */
#define KEPT_MAX_MS		200
#define TROUBLE_MIN_MS	50		/* after a batch that raised */
#define TROUBLE_MAX_MS	5000

/* Process-local. */
static Oid	my_owner;
static MemoryContext batch_context;
static int	failures = 0;		/* batches in a row that raised, or ran nothing */
static TimestampTz not_before = 0;	/* saga_monotonic_now: no batch before this */
static uint32 unlisted_seen = 0;	/* saga_queue_unlisted() when the table was looked at */

/* In the order of the ids, so that a queue that keeps its messages does not hide those behind it. */
static SagaStatement unlisted_stmt = {
	.sql = "SELECT q.queue_id FROM saga.queue q WHERE q.owner = $owner AND q.kind = 'w' AND q.queue_id > $after"
	" AND " SAGA_QUEUE_HAS_CLAIMABLE("q.queue_id") " ORDER BY q.queue_id LIMIT $most",
	.read_only = true
};


/* No batch before a pause, which grows with each failure. */
static void
back_off(long min_ms, long max_ms)
{
	long		delay = Min(max_ms, min_ms << Min(failures, 10));

	failures++;
	not_before = TimestampTzPlusMilliseconds(saga_monotonic_now(), delay);
}

/* In a transaction. May the role still run, is the extension still there, and to stay for this transaction? */
static void
check_still_wanted(void)
{
	const char *problem = saga_worker_owner_problem(my_owner);

	if (problem != NULL)
	{
		if (saga_worker_note_set(MyDatabaseId, my_owner, problem) != SAGA_NOTED)
			ereport(LOG,
					(errmsg("executions wait: %s", problem)));
		proc_exit(0);
	}
	if (!saga_worker_proc_try_lock_extension())
		proc_exit(0);
}

/*
 * The queue, whose owner stays until we commit; NULL when it is not ours, and
 * then its slot is put right.  Nothing is decided before its lock is held: the
 * cache may be older than what woke us.
 */
static const SagaQueue *
my_queue(int32 queue_id)
{
	const SagaQueue *queue = saga_queue_lock_ready(queue_id);

	if (queue == NULL || (queue->owner == my_owner && queue->kind == SAGA_QUEUE_WORKFLOW))
		return queue;
	saga_queue_slot_correct(queue);
	saga_wake_next(queue);
	return NULL;
}

/* One batch in one transaction. False: the queue is not ours. */
static bool
run_transaction(int32 queue_id, SagaBatchResult *result)
{
	SagaBatchOptions options = {.max_executions = 0, .in_drain = false};
	const SagaQueue *queue;

	saga_worker_proc_begin_transaction();
	check_still_wanted();
	PushActiveSnapshot(GetTransactionSnapshot());
	queue = my_queue(queue_id);
	if (queue != NULL)
	{
		pgstat_report_activity(STATE_RUNNING, psprintf("workflow \"%s\"", queue->name));
		saga_suspect_batch_begin();
		saga_engine_batch(queue, &options, result);
		saga_suspect_survived();
	}
	PopActiveSnapshot();
	saga_worker_proc_commit();
	if (queue == NULL)
		return false;
	saga_engine_batch_committed();
	return true;
}

/*
 * What the coordinator leaves to us, as it takes long.  In transactions of
 * their own: a batch that fails does not have them moved again.
 */
static void
fire_large_timers(int32 queue_id)
{
	int			moved = LARGE_TIMERS_AT_ONCE;

	if (!saga_queue_take_over(queue_id))
		return;
	while (moved == LARGE_TIMERS_AT_ONCE && saga_worker_proc_wanted())
	{
		const SagaQueue *queue;
		TimestampTz next;

		MemoryContextReset(batch_context);
		saga_worker_proc_begin_transaction();
		check_still_wanted();
		PushActiveSnapshot(GetTransactionSnapshot());
		queue = my_queue(queue_id);
		moved = queue == NULL ? 0 : saga_timers_fire(queue, GetCurrentTimestamp(), LARGE_TIMERS_AT_ONCE, &next);
		PopActiveSnapshot();
		saga_worker_proc_commit();
		CHECK_FOR_INTERRUPTS();
	}
}

/* Our queue has more than one batch: is there somebody to help, now or soon? */
static void
call_for_help(int32 queue_id)
{
	SagaQueueKey key = {MyDatabaseId, queue_id, my_owner, SAGA_QUEUE_WORKFLOW};

	if (saga_workers > 1)
	{
		saga_queue_push_key(&key, NULL);
		if (saga_worker_proc_count(SAGA_AT(SAGA_PROC_WORKER), MyDatabaseId) < saga_workers)
			saga_wake_type(SAGA_PROC_COORDINATOR, MyDatabaseId);
	}
}

/* Counts a batch, for saga.workers. */
static void
count_batch(const SagaBatchResult *result)
{
	pg_atomic_fetch_add_u64(&saga_my_proc->batches, 1);
	pg_atomic_fetch_add_u64(&saga_my_proc->done, result->finished + result->parked + result->early);
	pg_atomic_write_u64(&saga_my_proc->last_active, (uint64) GetCurrentTimestamp());
}

/*
 * A batch, and more of them while the engine runs executions alone.  False:
 * all that is there came back, since somebody else has it, who may be a
 * session that has stopped an execution and goes on.
 */
static bool
serve_queue(int32 queue_id)
{
	SagaBatchResult result;
	bool		wanted;
	bool		ran;

	do
	{
		memset(&result, 0, sizeof(result));
		MemoryContextReset(batch_context);
		MemoryContextSwitchTo(batch_context);
		saga_proc_busy_begin();
		fire_large_timers(queue_id);
		wanted = run_transaction(queue_id, &result);
		saga_proc_busy_end();
		if (!wanted)
			return true;
		pgstat_report_stat(false);
		count_batch(&result);
		if (result.more)
			call_for_help(queue_id);
		ran = result.claimed == 0 || result.claimed > result.kept || result.run_alone;
		if (ran)
			failures = 0;
		CHECK_FOR_INTERRUPTS();
	} while (result.run_alone && saga_worker_proc_wanted());
	return ran;
}

/* Our queues with messages that have no slot in shared memory. Returns their number. */
static int
read_unlisted(int32 *ids, int max)
{
	static int32 after = 0;		/* goes round */
	SagaRows   *rows;
	int			n = 0;

	/* first: what comes now is another one */
	unlisted_seen = saga_queue_unlisted(SAGA_QUEUE_WORKFLOW);
	saga_worker_proc_begin_transaction();
	check_still_wanted();
	PushActiveSnapshot(GetTransactionSnapshot());
	rows = saga_query(&unlisted_stmt, saga_param_oid("owner", my_owner), saga_param_int4("after", after),
					  saga_param_int4("most", UNLISTED_AT_ONCE));
	after = 0;
	while (n < max && saga_rows_next(rows))
	{
		after = saga_column_int4(rows, "queue_id");
		if (!saga_queue_is_listed(after))
			ids[n++] = after;
	}
	if (n < max && rows->count < UNLISTED_AT_ONCE)
		after = 0;
	else
		unlisted_seen--;		/* there may be more */
	PopActiveSnapshot();
	saga_worker_proc_commit();
	return n;
}

/* Returns false when nothing was ready. */
static bool
turn(void)
{
	int32		ids[QUEUES_AT_ONCE];
	int			n = saga_queue_ready_queues(my_owner, SAGA_QUEUE_WORKFLOW, ids, QUEUES_AT_ONCE / 2);
	bool		ran = false;

	if (saga_queue_unlisted(SAGA_QUEUE_WORKFLOW) != unlisted_seen)
		n += read_unlisted(ids + n, QUEUES_AT_ONCE - n);
	for (int i = 0; i < n; i++)
	{
		ran |= serve_queue(ids[i]);
		(void) saga_worker_proc_interrupts();
		if (!saga_worker_proc_wanted())
			break;
	}
	/* nobody waits behind a queue whose messages cannot be run now */
	if (n > 0 && !ran)
		back_off(KEPT_MIN_MS, KEPT_MAX_MS);
	return n > 0;
}

/* Waits for work. False: there was none for pg_saga.worker_idle_timeout. */
static bool
sleep_until_needed(TimestampTz idle_since)
{
	TimestampTz now = saga_monotonic_now();
	long		left = saga_worker_idle_timeout_ms - (long) ((now - idle_since) / 1000);
	int32		id;

	if (left <= 0)
		return false;
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
	saga_proc_prepare_sleep();
	if (saga_queue_ready_queues(my_owner, SAGA_QUEUE_WORKFLOW, &id, 1) == 0 && saga_worker_proc_wanted() &&
		saga_queue_unlisted(SAGA_QUEUE_WORKFLOW) == unlisted_seen)
		saga_worker_proc_wait(saga_queue_my_database() != NULL ? left : Min(left, SAGA_UNLISTED_LOOK_MS));
	saga_proc_end_sleep();
	return true;
}

/* One turn, or a wait. False: leave. */
static bool
work_or_wait(volatile TimestampTz *idle_since)
{
	TimestampTz now;

	ResetLatch(MyLatch);
	(void) saga_worker_proc_interrupts();
	if (!saga_worker_proc_wanted())
		return false;
	now = saga_monotonic_now();
	if (not_before > now)
	{
		pgstat_report_stat(true);
		saga_worker_proc_wait((not_before - now) / 1000 + 1);
		return true;
	}
	if (turn())
	{
		*idle_since = saga_monotonic_now();
		return true;
	}
	return sleep_until_needed(*idle_since);
}

/* Batches, until nobody needs this worker; what raises is the trouble of one batch. */
static void
loop(void)
{
	volatile TimestampTz idle_since = saga_monotonic_now();
	volatile bool go_on = true;

	while (go_on)
	{
		PG_TRY();
		{
			go_on = work_or_wait(&idle_since);
		}
		PG_CATCH();
		{
			ErrorData  *error = saga_worker_proc_recover(batch_context);

			saga_engine_batch_aborted(error);
			back_off(TROUBLE_MIN_MS, TROUBLE_MAX_MS);
		}
		PG_END_TRY();
	}
}

/* The handler of SIGTERM: who ends a worker decides whether what it runs is suspect. */
static void
note_sender(int signo, siginfo_t *info, void *context)
{
	saga_recorder_terminated_by(info->si_pid);
	if (info->si_pid == MyProcPid)
		saga_worker_proc_told_by_itself();
	saga_worker_proc_sigterm(signo);
}

/*
 * SIGINT comes from the coordinator when others wait for this worker (pool
 * and step are told apart by the step's number: it may have ended meanwhile),
 * from who stops the execution that it runs, or from anybody's
 * pg_cancel_backend(), which cancels the step that runs, and nothing of ours.
 * A step that goes on after it was cancelled for others ends with its worker,
 * as if it had ended it itself.
 */
static void
on_sigint(SIGNAL_ARGS)
{
	static uint64 seen = 0;
	int			save_errno = errno;
	SagaProcSlot *proc = saga_my_proc;	/* NULL: it ends, and this was sent just before */
	uint64		cancel = proc != NULL ? pg_atomic_read_u64(&proc->cancel) : seen;
	bool		stopped = saga_stop_signalled();

	if (saga_worker_proc_timeout_is_over())
		StatementCancelHandler(postgres_signal_arg);
	else if (cancel == seen)
	{
		if (!stopped)
			saga_step_cancel_by_user();
	}
	else if ((uint32) (cancel >> 1) == pg_atomic_read_u32(&proc->step) && saga_in_step)
	{
		saga_step_cancel();
		if (cancel & 1)
			ProcDiePending = true;
		/* it is not run again: there is nobody to be suspected */
		if ((cancel & 1) && pg_atomic_read_u32(&proc->stop) == pg_atomic_read_u32(&proc->run))
			saga_recorder_terminated_by(0);
	}
	seen = cancel;
	errno = save_errno;
}

/* pqsignal would not tell the handler who sent it. */
static void
install_sigterm(void)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_sigaction = note_sender;
	sigemptyset(&action.sa_mask);
	action.sa_flags = SA_SIGINFO | SA_RESTART;
	sigaction(SIGTERM, &action, NULL);
}

/*
 * The signal handlers come before the connection, as a signal may come while
 * it is made; the recorder has its slot before anything can run.  The session
 * is the owner's, so that all that a step does is done with his rights.
 */
void
saga_worker_main(Datum arg)
{
	SagaProcArgs args;
	uint32		flags = 0;

#ifdef BGWORKER_BYPASS_ROLELOGINCHECK
	flags |= BGWORKER_BYPASS_ROLELOGINCHECK;
#endif
	saga_worker_proc_begin(SAGA_PROC_WORKER, &args);
	install_sigterm();
	pqsignal(SIGINT, on_sigint);
	my_owner = args.owner;
	saga_recorder_attach(args.dboid, true, saga_suspect_starts);
	BackgroundWorkerInitializeConnectionByOid(args.dboid, args.owner, flags);
	saga_worker_proc_connected("pg_saga worker", args.owner);
	saga_suspect_init();
	batch_context = AllocSetContextCreate(TopMemoryContext, "pg_saga batch", ALLOCSET_DEFAULT_SIZES);
	loop();
	proc_exit(0);
}
