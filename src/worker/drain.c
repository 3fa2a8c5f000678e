/*
 * drain.c
 *		CALL saga.drain(queue, max): the work of workers and coordinator in the
 *		caller's own session, with a commit per batch.
 *
 * It runs what the current user owns, and nothing else.  The session may be
 * somebody else's (SET ROLE, SET SESSION AUTHORIZATION): then steps are kept
 * from becoming that role by SECURITY_LOCAL_USERID_CHANGE, which makes the
 * server refuse SET and RESET of the role.  It stays on until the query of a
 * WITH HOLD cursor has run, in the commit; a transaction may not begin under it.
 * And nothing that a step leaves stays in such a session (engine/session.c).
 *
 * Each batch runs in a subtransaction, so that one that raises can be rolled
 * back with all that it opened, and the session goes on.  Only a cancel of the
 * session itself (Ctrl-C, pg_cancel_backend, its statement_timeout) ends the
 * call: no Catch, and no second try of the engine's, may take it for an error
 * of a step.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "common/guc.h"
#include "common/statement.h"
#include "engine/engine.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "worker/procs_private.h"

#define TIMERS_AT_ONCE	1000
#define IDLE_ROUNDS		20		/* batches in a row without any progress: give up */

PG_FUNCTION_INFO_V1(saga_drain);

static SagaStatement owned_stmt = {
	.sql = "SELECT queue_id FROM saga.queue WHERE owner = $owner AND kind = 'w' ORDER BY queue_id",
	.read_only = true
};

typedef struct Drain
{
	MemoryContext context;		/* lives as long as the call */
	int32	   *queue_ids;
	int			nqueues;
	int			left;			/* executions that may still run */
	int			idle_rounds;
} Drain;

/* For a session that is not the owner's: the context without the guard. */
static bool guard_wanted = false;
static Oid	guard_userid;
static int	guard_saved;

/* The session's handler of SIGINT, while the call has its own. */
static struct sigaction session_sigint;
static volatile sig_atomic_t cancelled_by_timeout = false;

/* ---------- the guard ---------- */

/*
 * No user code runs from here to the end of the transaction.  An abort takes
 * the guard off by itself, as each transaction began without it.
 */
static void
guard_callback(XactEvent event, void *arg)
{
	if (guard_wanted && event == XACT_EVENT_COMMIT)
		SetUserIdAndSecContext(guard_userid, guard_saved);
}

/* After the begin of each transaction. */
static void
guard_put_on(void)
{
	if (guard_wanted)
		SetUserIdAndSecContext(guard_userid, guard_saved | SECURITY_LOCAL_USERID_CHANGE);
}

/* Whoever calls as somebody else than who logged in stays that one for the time of the call. */
static void
guard_begin(void)
{
	static bool registered = false;

	guard_wanted = false;
	if (MyProc->roleId == GetUserId() && GetSessionUserId() == GetUserId())
		return;
	if (!registered)
		RegisterXactCallback(guard_callback, NULL);
	registered = true;
	GetUserIdAndSecContext(&guard_userid, &guard_saved);
	guard_wanted = true;
	guard_put_on();
}

/* ---------- signals ---------- */

/* Its statement_timeout is over, or somebody cancels it.  A lock_timeout, which sends the same signal, is an error of the step. */
static void
note_cancel(void)
{
	if (get_timeout_indicator(STATEMENT_TIMEOUT, false))
		cancelled_by_timeout = true;
	else if (get_timeout_indicator(LOCK_TIMEOUT, false))
		return;
	saga_session_cancelled = 1;
}

/*
 * A signal that stops an execution is ours; any other is the session's own.  A
 * statement_timeout that came together with one comes once and never again.
 */
static void
on_sigint(int signo)
{
	int			save_errno = errno;

	if (!saga_stop_signalled() || get_timeout_indicator(STATEMENT_TIMEOUT, false))
	{
		note_cancel();
		if (session_sigint.sa_handler != SIG_IGN && session_sigint.sa_handler != SIG_DFL)
			session_sigint.sa_handler(signo);
	}
	errno = save_errno;
}

/*
 * What runs here is told to whoever stops it, and to us that the session is
 * cancelled.  Without shared memory a stop takes effect when the step has
 * ended.  False: this process has a handler of its own.
 */
static bool
begin_signals(void)
{
	struct sigaction action;

	saga_session_cancelled = 0;
	cancelled_by_timeout = false;
	if (saga_my_proc != NULL)
		return false;
	(void) saga_proc_attach(SAGA_PROC_DRAIN, MyDatabaseId, GetUserId(), 0);
	memset(&action, 0, sizeof(action));
	action.sa_handler = on_sigint;
	sigemptyset(&action.sa_mask);
	action.sa_flags = SA_RESTART;
	sigaction(SIGINT, &action, &session_sigint);
	return true;
}

/* The session's own handler is back. */
static void
end_signals(void)
{
	sigset_t	none;

	if (saga_my_proc != NULL)
		saga_proc_detach();		/* nobody sends a signal after this */
	sigemptyset(&none);
	sigprocmask(SIG_BLOCK, &none, NULL);	/* what was sent is delivered before it returns */
	sigaction(SIGINT, &session_sigint, NULL);
	saga_session_cancelled = 0;
}

/*
 * After a batch: the session was cancelled.  error is what its step raised, or
 * NULL where that has kept it, or has ended at that moment.  Raises.
 */
static void
give_up(ErrorData *error)
{
	saga_session_cancelled = 0;
	if (error != NULL)
	{
		saga_engine_batch_cancelled();
		ReThrowError(error);
	}
	saga_engine_batch_committed();
	CHECK_FOR_INTERRUPTS();
	ereport(ERROR,
			(errcode(ERRCODE_QUERY_CANCELED),
			 cancelled_by_timeout ? errmsg("canceling statement due to statement timeout")
			 : errmsg("canceling statement due to user request")));
}

/* ---------- transactions ---------- */

/*
 * The work of one transaction has a level of SPI of its own: what SPI keeps
 * goes with it, and not at the end of the CALL.
 */
static void
begin_work(void)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	saga_extension_lock();
}

/* After each begin, before the first snapshot. */
static void
force_isolation(void)
{
	XactIsoLevel = XACT_READ_COMMITTED;
	XactReadOnly = false;
	XactDeferrable = false;
}

/* Commits, and begins another one under the same guard. */
static void
next_transaction(void)
{
	SPI_commit();
	guard_put_on();
	SetCurrentStatementStartTimestamp();
	force_isolation();
}

/* Commits what begin_work has begun. */
static void
end_work(void)
{
	SPI_finish();
	PopActiveSnapshot();
	next_transaction();
}

/* ---------- batches ---------- */

/* The queue is one of those to be drained. */
static void
add_queue(Drain *drain, int32 queue_id)
{
	drain->queue_ids = drain->queue_ids == NULL
		? MemoryContextAlloc(drain->context, sizeof(int32))
		: repalloc(drain->queue_ids, (drain->nqueues + 1) * sizeof(int32));
	drain->queue_ids[drain->nqueues++] = queue_id;
}

/* The workflow of this name, or all workflows of the caller. */
static void
find_queues(Drain *drain, const char *name)
{
	if (name != NULL)
	{
		const SagaQueue *queue = saga_queue_find(name, GetUserId(), SAGA_RIGHT_OWN, false);

		if (queue->kind != SAGA_QUEUE_WORKFLOW)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("queue \"%s\" is not the queue of a workflow", name)));
		if (queue->owner != GetUserId())
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("must be owner of workflow \"%s\"", name),
					 errdetail("saga.drain() runs the steps of its caller's own workflows only."),
					 errhint("Call it as \"%s\".", GetUserNameFromId(queue->owner, true))));
		add_queue(drain, queue->queue_id);
	}
	else
	{
		SagaRows   *rows = saga_query(&owned_stmt, saga_param_oid("owner", GetUserId()));

		while (saga_rows_next(rows))
			add_queue(drain, saga_column_int4(rows, "queue_id"));
		saga_rows_free(rows);
	}
}

/* One batch in a subtransaction. NULL, or the error that it raised. */
static ErrorData *
run_batch(Drain *drain, int32 queue_id, SagaBatchResult *result)
{
	MemoryContext old = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	SagaBatchOptions options = {.max_executions = 0, .in_drain = true};
	ErrorData  *volatile error = NULL;

	if (drain->left < saga_batch_size)
		options.max_executions = drain->left;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(old);
	PG_TRY();
	{
		const SagaQueue *queue = saga_queue_by_id(queue_id, true);

		/* its owner stays until the commit */
		if (queue != NULL && queue->owner == GetUserId())
			queue = saga_queue_lock(queue);
		if (queue != NULL && queue->owner == GetUserId())
		{
			saga_suspect_batch_begin();
			saga_engine_batch(queue, &options, result);
			saga_suspect_survived();
		}
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(drain->context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		saga_session_forget();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	CurrentResourceOwner = owner;
	return error;
}

/* One batch and its commit. Returns how many executions ran, or a part of them, 0 when nothing is there or none could run. */
static int
drain_batch(Drain *drain, int32 queue_id, bool *again)
{
	SagaBatchResult result;
	ErrorData  *error;
	int			ran;

	memset(&result, 0, sizeof(result));
	begin_work();
	error = run_batch(drain, queue_id, &result);
	end_work();
	if (saga_session_cancelled && (error == NULL || error->sqlerrcode == ERRCODE_QUERY_CANCELED))
		give_up(error);
	CHECK_FOR_INTERRUPTS();

	if (error != NULL)
	{
		/*
		 * the engine runs the culprit alone from now on, and gives it up in
		 * time
		 */
		saga_engine_batch_aborted(error);
		*again = true;
		if (++drain->idle_rounds > IDLE_ROUNDS)
			ReThrowError(error);
		FreeErrorData(error);
		return 0;
	}
	saga_engine_batch_committed();
	ran = result.finished + result.parked;
	drain->left -= Min(ran, drain->left);
	ran += result.early;
	*again = result.claimed > 0 || result.more || result.run_alone;
	/* a queue without work is none: an owner may have many */
	if (ran > 0)
		drain->idle_rounds = 0;
	else if (*again)
		drain->idle_rounds++;
	return ran;
}

/* What is due becomes a message, a few at a time. */
static void
fire_timers(Drain *drain)
{
	for (int i = 0; i < drain->nqueues; i++)
	{
		TimestampTz next;
		int			moved;

		do
		{
			const SagaQueue *queue;

			begin_work();
			queue = saga_queue_by_id(drain->queue_ids[i], true);
			moved = queue == NULL ? 0 : saga_timers_fire(queue, GetCurrentTimestamp(), TIMERS_AT_ONCE, &next);
			end_work();
		} while (moved == TIMERS_AT_ONCE);
	}
}

/* Round after round, until one finds nothing in any queue. */
static void
drain_queues(Drain *drain)
{
	bool		progress = true;

	while (progress && drain->left > 0 && drain->idle_rounds <= IDLE_ROUNDS)
	{
		progress = false;
		fire_timers(drain);
		for (int i = 0; i < drain->nqueues; i++)
		{
			bool		again = true;

			while (again && drain->left > 0 && drain->idle_rounds <= IDLE_ROUNDS)
				if (drain_batch(drain, drain->queue_ids[i], &again) > 0)
					progress = true;
		}
	}
}

/* Counts what a crash left running, as the coordinator does. */
static void
collect_suspects(void)
{
	begin_work();
	(void) saga_suspect_collect();
	end_work();
}

/* The whole call, but for what has to be undone after an error. */
static void
drain_all(Drain *drain, const char *name)
{
	/*
	 * a transaction of our own: the caller's may be SERIALIZABLE, or have a
	 * snapshot
	 */
	next_transaction();
	PushActiveSnapshot(GetTransactionSnapshot());
	saga_extension_lock();
	if (guard_wanted)
		saga_session_begin_foreign();
	find_queues(drain, name);
	PopActiveSnapshot();
	collect_suspects();
	drain_queues(drain);
}

/*
 * The procedure itself: what it sets up for the session (its slot, the
 * recorder, the guard) is undone in any case.  It may not be called within
 * itself, by a step for instance.
 */
Datum
saga_drain(PG_FUNCTION_ARGS)
{
	char	   *name = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	Drain		drain = {.left = PG_ARGISNULL(1) ? INT_MAX : PG_GETARG_INT32(1)};
	static bool running = false;
	volatile bool signals = false;

	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("saga.drain() cannot run inside a transaction block or a function"),
				 errdetail("It commits after each batch."),
				 errhint("CALL it on its own.")));
	PreventCommandDuringRecovery("CALL saga.drain()");
	if (drain.left < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"max\" must not be negative")));
	if (running || saga_in_step)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("saga.drain() is running in this session already")));

	SPI_connect_ext(SPI_OPT_NONATOMIC);
	drain.context = AllocSetContextCreate(PortalContext, "saga.drain", ALLOCSET_SMALL_SIZES);
	saga_suspect_init();
	saga_recorder_attach(MyDatabaseId, false, saga_suspect_starts);
	running = true;
	PG_TRY();
	{
		signals = begin_signals();
		guard_begin();
		drain_all(&drain, name);
		SPI_commit();			/* what follows has the caller's own isolation level */
	}
	PG_FINALLY();
	{
		running = guard_wanted = false;
		if (signals)
			end_signals();
		saga_session_end_foreign();
		saga_recorder_detach();
	}
	PG_END_TRY();
	MemoryContextDelete(drain.context);
	SPI_finish();
	PG_RETURN_VOID();
}
