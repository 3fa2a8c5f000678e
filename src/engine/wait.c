/*
 * wait.c
 *		Waiting for the end of an execution: saga.wait_execution() and
 *		saga.start_sync_execution().
 *
 * Who waits sleeps on his latch, which the commit that ends the execution sets
 * (queue/waiter.c).  The procedures commit before they sleep, and look in a
 * transaction of their own each time: they hold no snapshot and no lock.  The
 * function cannot: the statement that calls it has its snapshot until it ends,
 * which keeps vacuum from what has died since.  So it waits for a short time
 * only, and not in a transaction that has locked something.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "common/clock.h"
#include "common/statement.h"
#include "engine/children_private.h"
#include "engine/engine_private.h"
#include "engine/execution_private.h"
#include "engine/workflow_private.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "queue/shmem.h"
#include "storage/latch.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(saga_wait_execution);
PG_FUNCTION_INFO_V1(saga_wait_execution_committing);
PG_FUNCTION_INFO_V1(saga_start_sync_execution);

#define DEFAULT_WAIT_MS		20000
#define MAX_WAIT_MS			(5 * 60 * 1000)

/* A net below the news, for what no callback sees: a restore, a logical replica, what was deleted by hand. */
#define LOOK_ANYWAY_MS		60000

/* Without shared memory nobody can wake us. */
#define POLL_MS				100

typedef struct Wait
{
	pg_uuid_t	id;
	int32		workflow_id;	/* its workflow, when it was last looked at */
	TimestampTz until;			/* saga_monotonic_now; DT_NOEND: as long as it takes */
	bool		commits;		/* a procedure's */
} Wait;


/* ---------- waiting ---------- */

/* With a snapshot of its own. */
static bool
has_ended(Wait *wait)
{
	bool		ended;

	if (wait->commits)
		PushActiveSnapshot(GetTransactionSnapshot());
	wait->workflow_id = saga_describe_find(&wait->id, &ended);
	if (wait->commits)
	{
		PopActiveSnapshot();
		SPI_commit();
	}
	return ended;
}

static void
sleep_until_told(const Wait *wait, bool told)
{
	long		ms = told ? LOOK_ANYWAY_MS : POLL_MS;

	if (wait->until != DT_NOEND)
		ms = Min(ms, TimestampDifferenceMilliseconds(saga_monotonic_now(), wait->until) + 1);
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* Who is cancelled learns of what: the execution goes on without him. */
static void
waiting_context(void *arg)
{
	errcontext("waiting for the end of execution %s", saga_uuid_to_cstring(&((Wait *) arg)->id));
}

/* False: the time is over. */
static pg_noinline bool
look_and_sleep(Wait *wait, bool told)
{
	bool		ended;

	while (!(ended = has_ended(wait)) && saga_monotonic_now() < wait->until)
		sleep_until_told(wait, told);
	return ended;
}

/* The same, with what it needs around it. */
static bool
wait_for_end(Wait *wait)
{
	ErrorContextCallback context = {.previous = error_context_stack, .callback = waiting_context, .arg = wait};
	bool		told = saga_waiter_attach(&wait->id);
	volatile bool ended = false;

	error_context_stack = &context;
	PG_TRY();
	{
		ended = look_and_sleep(wait, told);
	}
	PG_FINALLY();
	{
		if (told)
			saga_proc_detach();
	}
	PG_END_TRY();
	error_context_stack = context.previous;
	return ended;
}

/* ---------- arguments ---------- */

static int64
timeout_arg(FunctionCallInfo fcinfo, int arg, int64 if_null)
{
	int64		ms;

	if (PG_ARGISNULL(arg))
		return if_null;
	ms = saga_interval_ms(PG_GETARG_INTERVAL_P(arg));
	if (ms < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("timeout must not be negative")));
	return ms;
}

/* -1, or longer than anybody lives: as long as it takes. */
static void
set_until(Wait *wait, int64 ms)
{
	const int64 longest = INT64CONST(1000) * 365 * 86400 * 1000;

	wait->until = ms < 0 || ms > longest ? DT_NOEND : TimestampTzPlusMilliseconds(saga_monotonic_now(), ms);
}

/* A worker does nothing else until its step ends; a standby runs nothing, and is told nothing. */
static void
check_place(const char *what)
{
	PreventCommandDuringRecovery(what);
	if (saga_in_step)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s cannot be used within a step", what),
				 errdetail("The worker that runs the step would wait, perhaps for itself."),
				 errhint("A Task with the resource arn:aws:states:::states:startExecution.sync waits without a worker.")));
}

/* ---------- the function ---------- */

static void
check_transaction(void)
{
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot wait for an execution in a transaction with isolation level %s",
						XactIsoLevel == XACT_SERIALIZABLE ? "SERIALIZABLE" : "REPEATABLE READ"),
				 errdetail("Its snapshot does not see an end that comes later."),
				 errhint("Use READ COMMITTED, or CALL saga.wait_execution(id, timeout, NULL) outside a transaction block.")));
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot wait for an execution in a transaction that has written something"),
				 errdetail("An execution that it has started begins after its commit, and another one may need what it has locked."),
				 errhint("Commit first, or start and wait with CALL saga.start_sync_execution(workflow, input).")));
}

/* wait_execution(id uuid, timeout interval) returns jsonb: as describe_execution, null when the time is over */
Datum
saga_wait_execution(PG_FUNCTION_ARGS)
{
	Wait		wait = {.commits = false};
	Jsonb	   *result;
	int64		ms;
	bool		ended;

	saga_engine_require_argument(fcinfo, 0, "id");
	wait.id = *PG_GETARG_UUID_P(0);
	ms = timeout_arg(fcinfo, 1, DEFAULT_WAIT_MS);
	if (ms > MAX_WAIT_MS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("timeout must not be longer than %d minutes", MAX_WAIT_MS / 60000),
				 errdetail("The snapshot of the statement would keep vacuum from its work as long."),
				 errhint("Wait again; or CALL saga.wait_execution(id, timeout, NULL), which holds no snapshot.")));
	check_place("saga.wait_execution()");
	wait.workflow_id = saga_describe_find(&wait.id, &ended);
	if (!ended && ms > 0)
	{
		check_transaction();
		set_until(&wait, ms);
		ended = wait_for_end(&wait);
	}
	result = ended ? saga_describe(&wait.id, wait.workflow_id) : NULL;
	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(result);
}

/* ---------- the procedures ---------- */

static void
check_call(FunctionCallInfo fcinfo, const char *what)
{
	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("%s cannot run inside a transaction block or a function", what),
				 errdetail("It commits before it waits."),
				 errhint("CALL it on its own.")));
	check_place(what);
}

/* What the INOUT argument becomes, in the caller's memory. */
static Datum
result_row(FunctionCallInfo fcinfo, Jsonb *result)
{
	Datum		value = result != NULL ? JsonbPGetDatum(result) : (Datum) 0;
	bool		isnull = result == NULL;
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), &value, &isnull));
}

/*
 * The rest of a procedure, whose SPI is connected: commits what was done, and
 * waits.  After that the document, also of one that goes on if even_if_not.
 */
static Datum
wait_and_return(FunctionCallInfo fcinfo, Wait *wait, bool even_if_not, MemoryContext caller)
{
	Jsonb	   *result = NULL;
	Datum		row;

	wait->commits = true;
	SPI_commit();
	if (wait_for_end(wait) || even_if_not)
	{
		MemoryContextSwitchTo(caller);
		PushActiveSnapshot(GetTransactionSnapshot());
		result = saga_describe(&wait->id, wait->workflow_id);
		PopActiveSnapshot();
	}
	SPI_finish();
	MemoryContextSwitchTo(caller);
	row = result_row(fcinfo, result);
	return row;
}

/* wait_execution(id uuid, timeout interval, INOUT result jsonb) */
Datum
saga_wait_execution_committing(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	Wait		wait;
	bool		ended;

	check_call(fcinfo, "CALL saga.wait_execution()");
	saga_engine_require_argument(fcinfo, 0, "id");
	wait.id = *PG_GETARG_UUID_P(0);
	set_until(&wait, timeout_arg(fcinfo, 1, -1));
	wait.workflow_id = saga_describe_find(&wait.id, &ended);
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	return wait_and_return(fcinfo, &wait, false, caller);
}

/* start_sync_execution(workflow text, input jsonb, INOUT result jsonb, name text, timeout interval, id uuid) */
Datum
saga_start_sync_execution(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	char	   *name;
	const SagaWorkflow *workflow;
	int			version;
	int64		ms;
	Wait		wait;

	check_call(fcinfo, "CALL saga.start_sync_execution()");
	saga_engine_require_argument(fcinfo, 0, "workflow");
	saga_engine_require_argument(fcinfo, 1, "input");
	ms = timeout_arg(fcinfo, 4, -1);
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	workflow = saga_workflow_find_version(name, NULL, false, &version);
	if (!saga_workflow_may(workflow, SAGA_RIGHT_READ))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to read executions of workflow \"%s\"", name),
				 errhint("Who waits for an execution needs the right \"read\" on its workflow, too; saga.start_execution starts one without.")));
	wait.id = saga_engine_start_child(workflow, version, PG_GETARG_JSONB_P(1),
									  PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3)),
									  PG_ARGISNULL(5) ? NULL : PG_GETARG_UUID_P(5), NULL);
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	set_until(&wait, ms);
	return wait_and_return(fcinfo, &wait, true, caller);
}
