/*
 * settle.c
 *		saga.settle(): a person says how a call in doubt went, or how all of a
 *		destination did.
 *
 * While the execution waits for it that is the answer of the call.  After the
 * end it is for the list of what was not undone (entry.c).  Whose answer may
 * come yet is not settled.  Of many, that is passed over, and what somebody
 * else has locked: nobody waits for anybody.
 */
#include "postgres.h"

#include "common/guc.h"
#include "common/statement.h"
#include "engine/engine_private.h"
#include "engine/entry_private.h"
#include "engine/workflow_private.h"
#include "miscadmin.h"
#include "outbox/outbox.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(saga_settle);
PG_FUNCTION_INFO_V1(saga_settle_destination);
PG_FUNCTION_INFO_V1(saga_settle_text);

/* Calls that are looked at together: as many as one execution may have, since its list is written once for all of them. */
#define SETTLE_CHUNK 10000

/* ---------- one ---------- */

static SagaStatement find_stmt = {
	.sql = "SELECT workflow_id, execution_id, task_id FROM saga.outbox"
	" WHERE destination_id = ANY (ARRAY(SELECT destination_id FROM saga.destination)) AND outbox_id = $message_id"
	" AND workflow_id IS NOT NULL"
};

/*
 * Its record may be gone, with its destination.  Letters have no index of their
 * entries: only those are looked through whose workflows the caller may operate.
 */
static SagaStatement find_entry_stmt = {
	.sql = "SELECT workflow_id, execution_id FROM saga.execution WHERE execution_id = $message_id AND not_compensated IS NOT NULL"
	" UNION ALL (SELECT queue_id, message_id FROM saga.dead_letter"
	" WHERE queue_id = ANY (ARRAY(SELECT w.workflow_id FROM saga.workflow w WHERE pg_has_role($caller, w.owner, 'USAGE')"
	" OR EXISTS (SELECT FROM saga.object_grant g WHERE g.kind = 'workflow' AND g.object_id = w.workflow_id"
	" AND g.\"right\" = 'operate' AND pg_has_role($caller, g.role, 'USAGE'))))"
	" AND details -> 'not_compensated' @> jsonb_build_array(jsonb_build_object('message_id', $message_id)))"
	" LIMIT 1"
};

/* Raises: the word is none that can be said of this. */
static void
invalid_outcome(const char *outcome, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid outcome: \"%s\"", outcome),
			 errhint("%s", hint)));
}

/* Raises: somebody is making the call, and will know how it went. */
static void
in_flight(const pg_uuid_t *message_id, const SagaFlight *flight)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("message %s is in flight", saga_uuid_to_cstring(message_id)),
			 flight->pid != 0 ?
			 errdetail("Process %d waits for its answer, until %s at the latest.", flight->pid, timestamptz_to_str(flight->until)) :
			 errdetail("A publisher is about to send it."),
			 errhint("Say how it went when its answer has come, or has not; saga.pause_destination keeps it from being sent again in the meantime.")));
}

/*
 * Nobody gives it away until the end of the transaction; whose it is was another's
 * to say, perhaps, before the lock was had.  NULL: the caller may not operate it.
 */
static const SagaWorkflow *
lock_workflow(int32 workflow_id)
{
	const SagaWorkflow *workflow = saga_workflow_by_id(workflow_id, true);

	if (workflow == NULL || !saga_workflow_may(workflow, SAGA_RIGHT_OPERATE))
		return NULL;
	(void) saga_queue_lock(saga_queue_by_id(workflow_id, false));
	workflow = saga_workflow_by_id(workflow_id, true);
	return workflow != NULL && saga_workflow_may(workflow, SAGA_RIGHT_OPERATE) ? workflow : NULL;
}

/* A person says how one call went: while its execution waits for it, or after that has ended. */
static void
settle_one(const pg_uuid_t *message_id, const char *outcome, Jsonb *output)
{
	bool		done = strcmp(outcome, "done") == 0;
	bool		unknown = strcmp(outcome, "unknown") == 0;
	const SagaWorkflow *workflow;
	pg_uuid_t	execution_id;
	SagaSettled settled = SAGA_NOT_WAITED_FOR;
	SagaFlight	flight;
	int			task_id = 0;
	SagaRows   *rows;
	bool		recorded;
	bool		live;

	if (!done && !unknown && strcmp(outcome, "no_effect") != 0)
		invalid_outcome(outcome, "It is \"done\" or \"no_effect\"; of an execution that has ended, \"unknown\" too.");
	if (output != NULL && saga_payload_limit_kb > 0 && VARSIZE(output) > (Size) saga_payload_limit_kb * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the output is too large"),
				 errdetail("An output has %d kB of JSON at most (pg_saga.payload_limit).", saga_payload_limit_kb)));
	rows = saga_query(&find_stmt, saga_param_uuid("message_id", message_id));
	recorded = rows->count > 0;
	if (!recorded)
		rows = saga_query(&find_entry_stmt, saga_param_uuid("message_id", message_id), saga_param_oid("caller", GetUserId()));
	workflow = saga_rows_next(rows) ? lock_workflow(saga_column_int4(rows, "workflow_id")) : NULL;
	if (workflow == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("call %s of an execution does not exist", saga_uuid_to_cstring(message_id))));
	execution_id = saga_column_uuid(rows, "execution_id");
	if (recorded)
		task_id = saga_column_int4(rows, "task_id");
	live = saga_entry_lock(&execution_id, workflow->workflow_id);
	if (unknown && (recorded || live || saga_uuid_cmp(message_id, &execution_id) != 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is not an execution that has ended, of which alone \"unknown\" can be said",
						saga_uuid_to_cstring(message_id)),
				 errhint("saga.stop_execution(.., compensate => false) ends one that waits for an outcome.")));
	if (unknown)
		saga_entry_close(&execution_id, workflow->workflow_id, NULL);
	else if (recorded)
		settled = saga_outbox_settle(message_id, workflow->workflow_id, &execution_id, task_id,
									 done ? SAGA_SAID_DONE : SAGA_SAID_NO_EFFECT, output, live, &flight);
	if (settled == SAGA_IN_FLIGHT)
		in_flight(message_id, &flight);
	if (settled == SAGA_NOT_IN_DOUBT)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("message %s is not in doubt", saga_uuid_to_cstring(message_id)),
				 errdetail("It has not been sent, or has had no effect so far.")));
	/* of one that is live it is the answer */
	if (!unknown && (settled != SAGA_SETTLED || !live))
		saga_entry_settle(message_id, workflow, &execution_id, done, output);
	saga_accepted();
}

/* settle(message_id uuid, outcome text, output jsonb) */
Datum
saga_settle(PG_FUNCTION_ARGS)
{
	saga_engine_require_argument(fcinfo, 0, "message_id");
	saga_engine_require_argument(fcinfo, 1, "outcome");
	settle_one(PG_GETARG_UUID_P(0), text_to_cstring(PG_GETARG_TEXT_PP(1)), PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2));
	PG_RETURN_VOID();
}

/* ---------- all of a destination ---------- */

typedef enum Mass
{
	MASS_ASK,
	MASS_NO_EFFECT,
	MASS_UNKNOWN,
	MASS_LOOK					/* is there any? */
} Mass;

/* Those that were passed over. */
typedef struct Left
{
	int64		calls;
	bool		looked;			/* who has the rows of one of them locked was looked for, once */
	int			pid;			/* who that is; 0: it was not found out */
} Left;

#define CALL_COLUMNS "SELECT outbox_id, execution_id, workflow_id, task_id FROM saga.outbox o" \
	" WHERE destination_id = $destination_id AND outbox_id > $after AND "
#define BEFORE "coalesce(unwanted_since, last_sent_at, created_at) < $before ORDER BY outbox_id LIMIT " CppAsString2(SETTLE_CHUNK)

/* Their executions wait for how they went. */
static SagaStatement asked_stmt = {
	.sql = CALL_COLUMNS "unwanted_since IS NOT NULL AND state = 'waiting' AND workflow_id IS NOT NULL AND " BEFORE
};

/* Nobody could find out. */
static SagaStatement unknown_stmt = {
	.sql = CALL_COLUMNS "outcome = 'in_doubt' AND workflow_id IS NOT NULL AND state IN ('failed', 'withdrawn') AND " BEFORE
};

/* Whatever is known of them: of executions that have left something, perhaps not this. */
static SagaStatement listed_stmt = {
	.sql = CALL_COLUMNS "execution_id IS NOT NULL AND workflow_id IS NOT NULL AND EXISTS (SELECT FROM saga.execution e"
	" WHERE e.execution_id = o.execution_id AND e.not_compensated IS NOT NULL) AND " BEFORE
};

/* ---------- of one execution ---------- */

/* Calls of one execution; returns how many were settled. */
typedef int (*CallsFunction) (SagaLeftCall *calls, int n, Mass mass, Left *left);

/* Of all that lock it: a process has the transaction that is in the row, unless that is prepared. */
static int
who_locks(const SagaLeftCall *call)
{
	static SagaStatement stmt = {
		.sql = "SELECT l.pid FROM pg_locks l WHERE l.locktype = 'transactionid' AND l.granted AND l.pid IS NOT NULL AND l.transactionid IN ("
		"SELECT xmax FROM saga.continuation WHERE execution_id = $execution_id UNION ALL "
		"SELECT xmax FROM saga.execution WHERE execution_id = $execution_id UNION ALL "
		"SELECT xmax FROM saga.dead_letter WHERE message_id = $execution_id AND queue_id = $workflow_id)"
		" AND l.pid <> pg_backend_pid() LIMIT 1"
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_uuid("execution_id", &call->execution_id),
								  saga_param_int4("workflow_id", call->workflow_id));

	return saga_rows_next(rows) ? saga_column_int4(rows, "pid") : 0;
}

/* False: somebody else has it. */
static bool
try_lock(const SagaLeftCall *calls, Left *left, bool *live)
{
	if (saga_entry_try_lock(&calls->execution_id, calls->workflow_id, live))
		return true;
	if (!left->looked)
		left->pid = who_locks(calls);
	left->looked = true;
	return false;
}

/* The same for one of many, in the outbox's record. */
static SagaSettled
settle_record(const SagaLeftCall *call, SagaSaid said, bool live)
{
	SagaFlight	flight;

	CHECK_FOR_INTERRUPTS();
	return saga_outbox_settle(&call->message_id, call->workflow_id, &call->execution_id, call->task_id, said, NULL, live,
							  &flight);
}

/* Has the destination asked once more how the call went; false: it cannot be asked. */
static bool
ask_record(const SagaLeftCall *call)
{
	CHECK_FOR_INTERRUPTS();
	return saga_outbox_ask(&call->message_id, &call->execution_id, call->task_id);
}

/* That they are asked for once more is over, too, where the execution has ended. */
static int
settle_asked(SagaLeftCall *calls, int n, Mass mass, Left *left)
{
	int			done = 0;
	bool		live = false;
	bool		locked = try_lock(calls, left, &live);

	if (locked && !live)
		saga_entry_look(calls, n);
	for (int i = 0; locked && i < n; i++)
	{
		if (settle_record(&calls[i], mass == MASS_NO_EFFECT ? SAGA_SAID_NO_EFFECT : SAGA_SAID_UNKNOWN, live) != SAGA_SETTLED)
			continue;
		done++;
		calls[i].chosen = !live && (calls[i].entry & SAGA_ENTRY_ASKED) && !(calls[i].entry & SAGA_ENTRY_UNDOING);
	}
	if (locked && !live)
		saga_entry_change(calls, n, mass == MASS_NO_EFFECT ? SAGA_ENTRY_GOES : SAGA_ENTRY_IS_UNKNOWN);
	left->calls += n - done;
	return done;
}

/* Of those that nobody is at. */
static int
settle_unknown(SagaLeftCall *calls, int n, Mass mass, Left *left)
{
	int			done = 0;
	bool		live;

	if (!try_lock(calls, left, &live) || live)
	{
		left->calls += n;
		return 0;
	}
	saga_entry_look(calls, n);
	for (int i = 0; i < n; i++)
	{
		if (!(calls[i].entry & SAGA_ENTRY_UNKNOWN) || (calls[i].entry & SAGA_ENTRY_UNDOING))
			continue;
		if (mass == MASS_NO_EFFECT ? settle_record(&calls[i], SAGA_SAID_NO_EFFECT, false) == SAGA_IN_FLIGHT :
			!ask_record(&calls[i]))
			continue;
		calls[i].chosen = true;
		done++;
	}
	saga_entry_change(calls, n, mass == MASS_NO_EFFECT ? SAGA_ENTRY_GOES : SAGA_ENTRY_IS_ASKED);
	left->calls += n - done;
	return done;
}

/* Nobody will find out, and what was known is not any more; but what is unknown already is not written once more. */
static int
forget_listed(SagaLeftCall *calls, int n, Mass mass, Left *left)
{
	int			done = 0;
	bool		live = false;
	bool		locked = mass == MASS_UNKNOWN && try_lock(calls, left, &live) && !live;

	saga_entry_look(calls, n);
	for (int i = 0; i < n; i++)
	{
		int			entry = calls[i].entry;

		if (!(entry & SAGA_ENTRY_OPEN))
			continue;
		if (!locked || (entry & SAGA_ENTRY_UNDOING))
		{
			left->calls++;
			continue;
		}
		done++;
		calls[i].chosen = !(entry & SAGA_ENTRY_UNKNOWN) || (entry & SAGA_ENTRY_ASKED);
	}
	saga_entry_change(calls, n, SAGA_ENTRY_IS_UNKNOWN);
	return done;
}

/* ---------- one execution after the other ---------- */

/* For qsort: the calls of one execution follow each other. */
static int
compare_calls(const void *a, const void *b)
{
	const SagaLeftCall *x = a;
	const SagaLeftCall *y = b;
	int			result = saga_uuid_cmp(&x->execution_id, &y->execution_id);

	return result != 0 ? result : saga_uuid_cmp(&x->message_id, &y->message_id);
}

/* The next ones, those of an execution together; *after: the last of them. */
static SagaLeftCall *
next_calls(SagaStatement *stmt, int32 destination_id, TimestampTz before, pg_uuid_t *after, int *n)
{
	SagaRows   *rows = saga_query(stmt, saga_param_int4("destination_id", destination_id), saga_param_uuid("after", after),
								  saga_param_timestamptz("before", before));
	SagaLeftCall *calls = palloc0(sizeof(SagaLeftCall) * Max(rows->count, 1));

	for (*n = 0; saga_rows_next(rows); (*n)++)
	{
		SagaLeftCall *call = &calls[*n];

		call->message_id = saga_column_uuid(rows, "outbox_id");
		call->execution_id = saga_column_uuid(rows, "execution_id");
		call->workflow_id = saga_column_int4(rows, "workflow_id");
		call->task_id = saga_column_int4(rows, "task_id");
		*after = call->message_id;
	}
	saga_rows_free(rows);
	qsort(calls, *n, sizeof(SagaLeftCall), compare_calls);
	return calls;
}

/* In pieces; returns how many. */
static int64
each_execution(SagaStatement *stmt, int32 destination_id, TimestampTz before, Mass mass, CallsFunction function, Left *left)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_saga settle", ALLOCSET_DEFAULT_SIZES);
	MemoryContext each = AllocSetContextCreate(context, "pg_saga settle one", ALLOCSET_DEFAULT_SIZES);
	pg_uuid_t	after = saga_uuid_min;
	int64		done = 0;
	int			n;

	do
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		SagaLeftCall *calls = next_calls(stmt, destination_id, before, &after, &n);
		int			end;

		for (int i = 0; i < n && !(mass == MASS_LOOK && left->calls > 0); i = end)
		{
			CHECK_FOR_INTERRUPTS();
			for (end = i + 1; end < n && saga_uuid_cmp(&calls[end].execution_id, &calls[i].execution_id) == 0;)
				end++;
			/* what is made of the list goes with each */
			MemoryContextSwitchTo(each);
			done += function(&calls[i], end - i, mass, left);
			MemoryContextReset(each);
		}
		MemoryContextSwitchTo(old);
		pfree(calls);
	} while (n == SETTLE_CHUNK && !(mass == MASS_LOOK && left->calls > 0));
	MemoryContextDelete(context);
	return done;
}

/* What is said of all calls of a destination before a time; returns of how many it could be said. */
static int64
settle_destination(const char *name, const char *outcome, TimestampTz before)
{
	SagaObject	object;
	Mass		mass = MASS_ASK;
	Left		left = {0};
	int64		done = 0;

	if (strcmp(outcome, "no_effect") == 0)
		mass = MASS_NO_EFFECT;
	else if (strcmp(outcome, "unknown") == 0)
		mass = MASS_UNKNOWN;
	else if (strcmp(outcome, "ask") != 0)
		invalid_outcome(outcome, "Of all calls of a destination it is \"ask\", \"no_effect\" or \"unknown\".");
	if (!saga_name_object_find(SAGA_OBJECT_DESTINATION, name, GetUserId(), SAGA_RIGHT_OWN, &object))
		saga_name_object_missing(SAGA_OBJECT_DESTINATION, name, GetUserId(), SAGA_RIGHT_OWN);
	if (mass != MASS_ASK)
		done += each_execution(&asked_stmt, object.id, before, mass, settle_asked, &left);
	if (mass != MASS_UNKNOWN)
		done += each_execution(&unknown_stmt, object.id, before, mass, settle_unknown, &left);
	if (done > 0)
		saga_accepted();
	return done;
}

/* settle(destination text, outcome text, before timestamptz) returns bigint */
Datum
saga_settle_destination(PG_FUNCTION_ARGS)
{
	saga_engine_require_argument(fcinfo, 0, "destination");
	saga_engine_require_argument(fcinfo, 1, "outcome");
	saga_engine_require_argument(fcinfo, 2, "before");
	PG_RETURN_INT64(settle_destination(text_to_cstring(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1)),
									   PG_GETARG_TIMESTAMPTZ(2)));
}

/*
 * settle(message text, outcome text, value text) returns bigint: what literals
 * without a cast are taken for.  Which of the two is meant the outcome tells,
 * but for no_effect, where it is the id.
 */
Datum
saga_settle_text(PG_FUNCTION_ARGS)
{
	char	   *message;
	char	   *outcome;
	char	   *value;
	pg_uuid_t	id;

	saga_engine_require_argument(fcinfo, 0, "message");
	saga_engine_require_argument(fcinfo, 1, "outcome");
	message = text_to_cstring(PG_GETARG_TEXT_PP(0));
	outcome = text_to_cstring(PG_GETARG_TEXT_PP(1));
	value = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	if (saga_uuid_parse(message, &id) && (strcmp(outcome, "done") == 0 || strcmp(outcome, "no_effect") == 0))
	{
		settle_one(&id, outcome, value == NULL ? NULL :
				   DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(value))));
		PG_RETURN_INT64(1);
	}
	saga_engine_require_argument(fcinfo, 2, "before");
	PG_RETURN_INT64(settle_destination(message, outcome,
									   DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(value),
																			   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)))));
}

/* ---------- a destination is dropped ---------- */

/* Is there any?  Looked at alone, and nothing is locked. */
static bool
any_asked(int32 destination_id)
{
	static SagaStatement any_asked_stmt = {
		.sql = "SELECT FROM saga.outbox WHERE destination_id = $destination_id"
		" AND unwanted_since IS NOT NULL AND state = 'waiting' AND workflow_id IS NOT NULL LIMIT 1"
	};

	return saga_run(&any_asked_stmt, saga_param_int4("destination_id", destination_id)) > 0;
}

bool
saga_engine_settle_dropped(int32 destination_id, bool force, int *pid)
{
	Left		left = {0};

	if (force)
	{
		(void) each_execution(&asked_stmt, destination_id, DT_NOEND, MASS_UNKNOWN, settle_asked, &left);
		(void) each_execution(&listed_stmt, destination_id, DT_NOEND, MASS_UNKNOWN, forget_listed, &left);
	}
	else if (any_asked(destination_id))
		return true;
	else
		(void) each_execution(&listed_stmt, destination_id, DT_NOEND, MASS_LOOK, forget_listed, &left);
	*pid = left.pid;
	return left.calls > 0;
}
