/*
 * activity.c
 *		Activities: what workers outside take tasks from, over SQL.
 *
 * An activity is a queue of its own kind ("activity/NAME"), whose messages are
 * the tasks that no worker has.  To take one is to claim it, finish it, and
 * tell its execution, in the caller's transaction: who rolls back gives the
 * task back, and who has committed has it for good.  Only the run of the
 * execution says what becomes of it then (activity_task.c).
 */
#include "postgres.h"

#include "engine/engine_private.h"
#include "engine/event_private.h"
#include "engine/task_private.h"
#include "engine/workflow_private.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "value/doc.h"

#define MAX_WAIT_MS		60000	/* as at AWS */
#define MAX_WORKER_NAME	80		/* characters, as at AWS */

/* ---------- which one ---------- */

const SagaQueue *
saga_activity_meant(const SagaJob *job, const char *name)
{
	int32		id = saga_workflow_meant(job->queue->queue_id, job->version, SAGA_OBJECT_ACTIVITY, name);
	const SagaQueue *activity = id != 0 ? saga_queue_by_id(id, true) : NULL;
	SagaObject	object;

	if (activity == NULL)
		return saga_name_object_find(SAGA_OBJECT_ACTIVITY, name, GetUserId(), SAGA_RIGHT_USE, &object) ?
			saga_queue_by_id(object.id, true) : NULL;
	object = saga_queue_object(activity);
	return saga_name_object_may(&object, GetUserId(), SAGA_RIGHT_USE) ? activity : NULL;
}

bool
saga_activity_may_work(int32 activity_id)
{
	const SagaQueue *activity = activity_id != 0 ? saga_queue_by_id(activity_id, true) : NULL;
	SagaObject	object;

	if (activity == NULL || activity->kind != SAGA_QUEUE_ACTIVITY)
		return false;
	object = saga_queue_object(activity);
	return saga_name_object_may(&object, GetUserId(), SAGA_RIGHT_OPERATE);
}

/* The activity of this name that the caller has one of the rights on; NULL: there is none. */
static const SagaQueue *
find_activity(const char *name, int rights)
{
	SagaObject	object;

	return saga_name_object_find(SAGA_OBJECT_ACTIVITY, name, GetUserId(), rights, &object) ?
		saga_queue_by_id(object.id, true) : NULL;
}

/* ---------- making and dropping ---------- */

/* create_activity(name text) returns integer */
PG_FUNCTION_INFO_V1(saga_create_activity);

Datum
saga_create_activity(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	SagaObject	object;

	if (name[0] == '\0' || pg_mbstrlen(name) > SAGA_MAX_NAME_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid activity name \"%s\"", name),
				 errdetail("A name has 1 to %d characters.", SAGA_MAX_NAME_LENGTH)));
	/* it has no settings in which a second one could differ */
	if (saga_name_object_find_to_replace(SAGA_OBJECT_ACTIVITY, name, GetUserId(), &object))
		PG_RETURN_INT32(object.id);
	PG_RETURN_INT32(saga_queue_create(psprintf(SAGA_ACTIVITY_PREFIX "%s", name), SAGA_QUEUE_ACTIVITY, GetUserId(), NULL));
}

/* drop_activity(name text) returns boolean */
PG_FUNCTION_INFO_V1(saga_drop_activity);

Datum
saga_drop_activity(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const SagaQueue *activity = find_activity(name, SAGA_RIGHT_OWN);
	int32		id;

	if (activity == NULL)
		PG_RETURN_BOOL(false);
	id = activity->queue_id;
	/* from every run that has opened a task, and not committed */
	saga_queue_lock_exclusive(id, "activity", name);
	activity = saga_queue_by_id(id, true);
	if (activity == NULL)
		PG_RETURN_BOOL(false);
	if (saga_activity_has_tasks(id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("activity \"%s\" has tasks that executions wait for", name),
				 errhint("Let workers do them, or stop those executions, and try again.")));
	saga_queue_drop(activity);
	PG_RETURN_BOOL(true);
}

/* ---------- taking a task ---------- */

typedef struct Take
{
	const SagaQueue *activity;
	const char *worker;			/* NULL: without a name */
	SagaMessage task;			/* in the caller's memory */
	bool		found;
	MemoryContext context;
} Take;

static void
tell_execution(const SagaMessage *task, const char *token_text, const char *worker)
{
	JsonbParseState *state = NULL;
	SagaTaskToken token;

	if (!saga_token_parse(token_text, &token))
		elog(ERROR, "a task of an activity has no token");
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(&state, "token", token_text);
	saga_doc_push_bool(&state, "started", true);
	saga_doc_push_string(&state, "worker", worker);
	saga_engine_send_event(token.workflow_id, &task->target,
						   JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}

/* The oldest task that is wanted still; false: there is none now. */
static bool
take_task(Take *take)
{
	for (;;)
	{
		int			n;
		SagaMessage *messages = saga_queue_claim(take->activity, 1, true, &n);

		CHECK_FOR_INTERRUPTS();
		if (n == 0)
			return false;
		saga_queue_finish(&messages[0].ctid, 1);

		/*
		 * who had it when it was to be withdrawn has rolled back since, and
		 * nobody waits for it
		 */
		if (!saga_activity_task_wanted(&messages[0]))
			continue;
		take->task = messages[0];
		saga_wake_next(take->activity);
		return true;
	}
}

/* SagaQueueTry.  Who waits tries many times, so what was not found leaves no memory. */
static bool
try_take(void *arg, TimestampTz *next)
{
	Take	   *take = arg;
	MemoryContext old = MemoryContextSwitchTo(take->context);

	*next = DT_NOEND;
	take->found = take_task(take);
	MemoryContextSwitchTo(old);
	if (!take->found)
		MemoryContextReset(take->context);
	return take->found;
}

static void
return_task(const Take *take, Tuplestorestate *store, TupleDesc desc)
{
	char	   *token = saga_jsonb_get_string(take->task.headers, "token");
	bool		nulls[2] = {false, take->task.body == NULL};
	Datum		values[2] = {CStringGetTextDatum(token), nulls[1] ? (Datum) 0 : JsonbPGetDatum(take->task.body)};

	tell_execution(&take->task, token, take->worker);
	tuplestore_putvalues(store, desc, values, nulls);
}

static const char *
worker_argument(FunctionCallInfo fcinfo, int arg)
{
	char	   *worker;

	if (PG_ARGISNULL(arg))
		return NULL;
	worker = text_to_cstring(PG_GETARG_TEXT_PP(arg));
	if (pg_mbstrlen(worker) > MAX_WORKER_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("worker must not be longer than %d characters", MAX_WORKER_NAME)));
	return worker;
}

/*
 * get_activity_task(activity text, worker text, wait interval)
 *		returns table (task_token text, input jsonb)
 */
PG_FUNCTION_INFO_V1(saga_get_activity_task);

Datum
saga_get_activity_task(PG_FUNCTION_ARGS)
{
	Take		take = {.found = false};
	Tuplestorestate *store;
	TupleDesc	desc;
	char	   *name;
	int64		wait_ms;

	saga_queue_arg_required(fcinfo, 0, "activity");
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	take.activity = find_activity(name, SAGA_RIGHT_OPERATE);
	if (take.activity == NULL)
		saga_name_object_missing(SAGA_OBJECT_ACTIVITY, name, GetUserId(), SAGA_RIGHT_OPERATE);
	take.worker = worker_argument(fcinfo, 1);
	wait_ms = saga_queue_arg_interval_ms(fcinfo, 2, "wait", 0);
	if (wait_ms > MAX_WAIT_MS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("wait must not be longer than %d seconds", MAX_WAIT_MS / 1000)));
	take.activity = saga_queue_lock(take.activity);
	store = saga_queue_srf_begin(fcinfo, &desc);
	take.context = AllocSetContextCreate(CurrentMemoryContext, "pg_saga activity task", ALLOCSET_DEFAULT_SIZES);
	saga_queue_wait(take.activity, wait_ms, try_take, &take);
	if (take.found)
		return_task(&take, store, desc);
	PG_RETURN_NULL();
}
