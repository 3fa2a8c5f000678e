/*
 * start.c
 *		What people and programs say to the engine: start, stop, and the
 *		answers to task tokens.  Each is a row in the workflow's queue, made in
 *		the caller's transaction; a worker does the rest.
 */
#include "postgres.h"

#include "common/statement.h"
#include "engine/children_private.h"
#include "engine/engine_private.h"
#include "engine/entry_private.h"
#include "engine/event_private.h"
#include "engine/execution_private.h"
#include "engine/stop_private.h"
#include "engine/task_private.h"
#include "engine/workflow_private.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "outbox/outbox.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "value/doc.h"

PG_FUNCTION_INFO_V1(saga_start_execution);
PG_FUNCTION_INFO_V1(saga_start_execution_by_id);
PG_FUNCTION_INFO_V1(saga_stop_execution);
PG_FUNCTION_INFO_V1(saga_replace_execution);
PG_FUNCTION_INFO_V1(saga_send_task_success);
PG_FUNCTION_INFO_V1(saga_send_task_failure);
PG_FUNCTION_INFO_V1(saga_send_task_heartbeat);

/* An argument of type text; NULL stays NULL. */
static char *
text_or_null(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

/* ---------- start ---------- */

/*
 * The name was given before: the same execution if it has the same input, as
 * in the AWS API; else an error that names it.
 */
static pg_uuid_t
find_named(const SagaWorkflow *workflow, const char *name, Jsonb *input)
{
	static SagaStatement stmt = {
		.sql = "SELECT n.execution_id, coalesce("
		" (SELECT c.input FROM saga.continuation c WHERE c.execution_id = n.execution_id),"
		" (SELECT e.input FROM saga.execution e WHERE e.execution_id = n.execution_id),"
		" (SELECT body FROM " SAGA_QUEUE_MESSAGES("$workflow_id", "n.execution_id") " WHERE kind = 's' LIMIT 1)"
		") = $input AS has_same_input"
		" FROM saga.execution_name n WHERE n.workflow_id = $workflow_id AND n.name = $name",
		.limit = 1
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_int4("workflow_id", workflow->workflow_id),
								  saga_param_text("name", name), saga_param_jsonb("input", input));
	pg_uuid_t	id;

	if (!saga_rows_next(rows))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not find the execution named \"%s\"", name),
				 errhint("Try again.")));
	id = saga_column_uuid(rows, "execution_id");
	if (!saga_column_bool(rows, "has_same_input"))
		ereport(ERROR,
				(errcode(ERRCODE_UNIQUE_VIOLATION),
				 errmsg("execution \"%s\" of workflow \"%s\" already exists with another input",
						name, workflow->name),
				 errdetail("Its id is %s.", saga_uuid_to_cstring(&id)),
				 errhint("Use another name.")));
	return id;
}

/* Reserves the name; false if it is taken. */
static bool
reserve_name(const SagaWorkflow *workflow, const char *name, const pg_uuid_t *id)
{
	static SagaStatement stmt = {
		.sql = "INSERT INTO saga.execution_name (workflow_id, name, execution_id)"
		" VALUES ($workflow_id, $name, $execution_id) ON CONFLICT DO NOTHING"
	};

	if (name[0] == '\0' || pg_mbstrlen(name) > SAGA_MAX_NAME_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("execution name must have 1 to %d characters", SAGA_MAX_NAME_LENGTH)));
	return saga_run(&stmt, saga_param_int4("workflow_id", workflow->workflow_id), saga_param_text("name", name),
					saga_param_uuid("execution_id", id)) == 1;
}

/* children: what it is one of; NULL: nobody waits for it. */
pg_uuid_t
saga_engine_start_child(const SagaWorkflow *workflow, int version, Jsonb *input, const char *name, const pg_uuid_t *id,
						const SagaChildren *children)
{
	const SagaQueue *queue = saga_queue_by_id(workflow->workflow_id, false);
	SagaSend	row = {.kind = SAGA_MSG_START};
	pg_uuid_t	result;
	bool		offered = id != NULL && saga_uuid_take_offer(id);

	row.version = version;
	row.body = input;
	row.message_id = id ? *id : saga_uuid_new();
	result = row.message_id;
	if (name && !reserve_name(workflow, name, &row.message_id))
		result = find_named(workflow, name, row.body);
	else
	{
		if (id && !offered && children == NULL)
			saga_execution_id_reserve(workflow->workflow_id, &row.message_id);
		if (children != NULL)
			row.headers = saga_child_headers(children, name, 0, 1);
		else if (name)
		{
			JsonbParseState *state = NULL;

			pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
			saga_doc_push_string(&state, "name", name);
			row.headers = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
		}
		saga_queue_send_rows(queue, &row, 1);
		if (offered)
			saga_execution_id_confirm(&row.message_id);
	}
	saga_accepted();
	return result;
}

/* start_execution(workflow text, input jsonb, name text, id uuid) returns uuid */
Datum
saga_start_execution(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *result = palloc(sizeof(pg_uuid_t));
	const SagaWorkflow *workflow;
	int			version;

	saga_engine_require_argument(fcinfo, 0, "workflow");
	saga_engine_require_argument(fcinfo, 1, "input");
	workflow = saga_workflow_find_version(text_to_cstring(PG_GETARG_TEXT_PP(0)), NULL, false, &version);
	*result = saga_engine_start_child(workflow, version, PG_GETARG_JSONB_P(1), text_or_null(fcinfo, 2), PG_ARGISNULL(3) ? NULL : PG_GETARG_UUID_P(3), NULL);
	PG_RETURN_UUID_P(result);
}

/* start_execution(workflow_id integer, input jsonb, name text, id uuid) returns uuid */
Datum
saga_start_execution_by_id(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *result = palloc(sizeof(pg_uuid_t));
	const SagaWorkflow *workflow;

	saga_engine_require_argument(fcinfo, 0, "workflow_id");
	saga_engine_require_argument(fcinfo, 1, "input");
	workflow = saga_workflow_by_id(PG_GETARG_INT32(0), true);
	if (workflow == NULL || !saga_workflow_may(workflow, SAGA_RIGHT_START))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("workflow %d does not exist", PG_GETARG_INT32(0))));
	*result = saga_engine_start_child(workflow, workflow->version, PG_GETARG_JSONB_P(1), text_or_null(fcinfo, 2),
									  PG_ARGISNULL(3) ? NULL : PG_GETARG_UUID_P(3), NULL);
	PG_RETURN_UUID_P(result);
}

/*
 * A task whose answer can be read as text only would fail where its state, a
 * compensation or a state behind it looks into the document.  So any mention
 * counts, in any version.
 */
static SagaStatement reads_stmt = {
	.sql = "SELECT FROM saga.workflow_version WHERE workflow_id = $workflow_id AND reads_bodies",
	.limit = 1
};

/* Does any version of the workflow mention a body of an answer? */
static bool
reads_bodies(int32 workflow_id)
{
	return saga_run(&reads_stmt, saga_param_int4("workflow_id", workflow_id)) > 0;
}

/* From _PG_init. */
void
saga_engine_init(void)
{
	saga_redrive_execution_hook = saga_engine_redrive_letter;
	saga_outbox_event_hook = saga_engine_send_event;
	saga_outbox_body_hook = reads_bodies;
	saga_outbox_drop_hook = saga_engine_settle_dropped;
}

/* ---------- stop ---------- */

/* The id, if the caller may operate the workflow; else 0. */
static int32
of_workflow(int32 workflow_id)
{
	const SagaWorkflow *workflow = saga_workflow_by_id(workflow_id, true);

	return workflow != NULL && saga_workflow_may(workflow, SAGA_RIGHT_OPERATE) ? workflow_id : 0;
}

/* The workflow of an execution that has not ended.  Whether it has is for who may stop it to know. */
static int32
find_live(const pg_uuid_t *id)
{
	int32		live;
	int32		ended;

	saga_store_find_workflow(id, &live, &ended);
	if (live != 0 && of_workflow(live) != 0)
		return live;
	if (ended != 0 && of_workflow(ended) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("execution %s has already ended", saga_uuid_to_cstring(id))));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("execution %s does not exist", saga_uuid_to_cstring(id))));
	return 0;					/* not reached */
}

/* stop_execution(id uuid, error text, cause text, compensate boolean) */
Datum
saga_stop_execution(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *id;
	JsonbParseState *state = NULL;
	int32		workflow_id;

	saga_engine_require_argument(fcinfo, 0, "id");
	id = PG_GETARG_UUID_P(0);
	workflow_id = find_live(id);

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_jsonb_push_key(&state, "stop");
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(&state, "error", text_or_null(fcinfo, 1));
	saga_doc_push_string(&state, "cause", text_or_null(fcinfo, 2));
	saga_doc_push_bool(&state, "compensate", PG_ARGISNULL(3) ? true : PG_GETARG_BOOL(3));
	pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	saga_stop(workflow_id, id, JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
	saga_accepted();
	PG_RETURN_VOID();
}

/* ---------- in place of another one ---------- */

static SagaStatement replaced_stmt = {
	.sql = "UPDATE saga.dead_letter SET redriven_at = now(), redriven_as = $heir WHERE message_id = $execution_id"
	" AND queue_id = $workflow_id AND kind = 's' AND details ? 'not_compensated' AND redriven_at IS NULL"
};

/* One that was stopped has no letter that says so. */
static SagaStatement forget_point_stmt = {
	.sql = "UPDATE saga.redrive_point SET point = NULL, ended = NULL WHERE execution_id = $execution_id AND workflow_id = $workflow_id"
};

/*
 * replace_execution(ended uuid, by uuid): what saga.redrive does with force, for
 * one that is started otherwise.  Of what is gone with its time nothing is left.
 */
Datum
saga_replace_execution(PG_FUNCTION_ARGS)
{
	static SagaStatement ended_stmt = {
		.sql = "SELECT workflow_id FROM saga.execution WHERE execution_id = $execution_id"
		" UNION ALL SELECT queue_id FROM saga.dead_letter WHERE message_id = $execution_id AND kind = 's'"
		" UNION ALL SELECT workflow_id FROM saga.outbox WHERE heir = $execution_id LIMIT 1",
		.limit = 1
	};
	pg_uuid_t  *ended;
	pg_uuid_t  *by;
	SagaRows   *rows;
	int32		workflow_id;
	int32		live;
	int32		found;

	saga_engine_require_argument(fcinfo, 0, "ended");
	saga_engine_require_argument(fcinfo, 1, "by");
	ended = PG_GETARG_UUID_P(0);
	by = PG_GETARG_UUID_P(1);
	(void) find_live(by);
	rows = saga_query(&ended_stmt, saga_param_uuid("execution_id", ended));
	workflow_id = saga_rows_next(rows) ? of_workflow(saga_column_int4(rows, "workflow_id")) : 0;

	/* locked before it is looked at: nobody redrives it meanwhile */
	if (workflow_id != 0)
		saga_entry_lock_ended(ended, workflow_id);
	saga_store_find_workflow(ended, &live, &found);
	if (live != 0 && of_workflow(live) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("execution %s has not ended", saga_uuid_to_cstring(ended))));
	if (workflow_id == 0)
		PG_RETURN_VOID();
	saga_entry_close(ended, workflow_id, by);
	saga_run(&replaced_stmt, saga_param_uuid("execution_id", ended), saga_param_int4("workflow_id", workflow_id),
			 saga_param_uuid("heir", by));
	saga_run(&forget_point_stmt, saga_param_uuid("execution_id", ended), saga_param_int4("workflow_id", workflow_id));
	saga_accepted();
	PG_RETURN_VOID();
}

/* ---------- task tokens ---------- */

/* Does the run wait for the token's answer, as far as is committed? */
static bool
is_waiting(const SagaTaskToken *about, const char *token)
{
	static SagaStatement stmt = {
		.sql = "SELECT FROM saga.continuation WHERE execution_id = $execution_id AND workflow_id = $workflow_id"
		/* the whole of a string: a part of a token is none */
		" AND pg_catalog.strpos(run::text, '\"' || $token || '\"') > 0",
		.read_only = true,
		.limit = 1
	};
	bool		waiting;

	PushActiveSnapshot(GetLatestSnapshot());
	waiting = saga_run(&stmt, saga_param_uuid("execution_id", &about->execution_id), saga_param_text("token", token),
					   saga_param_int4("workflow_id", about->workflow_id)) > 0;
	PopActiveSnapshot();
	return waiting;
}

/* The run waits for it, and nobody else has answered, nor does while we look. */
static bool
may_answer(const SagaTaskToken *about, const char *token, bool heartbeat)
{
	SagaRaised	save;
	bool		may;

	saga_raise(&save);
	may = is_waiting(about, token) && saga_engine_answer_claim(token, heartbeat) && is_waiting(about, token);
	saga_lower(&save);
	return may;
}

/* May the current user answer it: does he operate its execution, or work for its activity? */
bool
saga_token_is_ours(const char *token)
{
	SagaTaskToken about;

	return saga_token_parse(token, &about) &&
		(of_workflow(about.workflow_id) != 0 || saga_activity_may_work(about.activity_id));
}

/*
 * Checks the token against the waiting execution, so that the caller learns
 * at once that it is too late, or that there is another answer (answer.c).
 * The answer itself is an event; the worker that takes it has the last word.
 */
void
saga_engine_answer_token(char *token, const char *key1, Jsonb *value1, const char *error, const char *cause)
{
	JsonbParseState *state = NULL;
	SagaTaskToken about;
	bool		heartbeat = key1 != NULL && value1 == NULL;

	if (!saga_token_is_ours(token) || !saga_token_parse(token, &about))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid task token"),
				 errhint("Pass the token on as it came in $$.Task.Token, or from saga.get_activity_task.")));

	if (!may_answer(&about, token, heartbeat))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the task of this token does not wait any more"),
				 errdetail("It was answered, timed out, or its execution has ended: execution %s.",
						   saga_uuid_to_cstring(&about.execution_id))));

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(&state, "token", token);
	if (value1)
		saga_doc_push_jsonb(&state, key1, value1);
	else if (key1)
		saga_doc_push_bool(&state, key1, true);
	else
	{
		saga_doc_push_string(&state, "error", error);
		saga_doc_push_string(&state, "cause", cause);
	}
	saga_engine_send_event(about.workflow_id, &about.execution_id,
						   JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
	saga_accepted();
}

/* send_task_success(token text, output jsonb) */
Datum
saga_send_task_success(PG_FUNCTION_ARGS)
{
	saga_engine_require_argument(fcinfo, 0, "token");
	saga_engine_require_argument(fcinfo, 1, "output");
	saga_engine_answer_token(text_to_cstring(PG_GETARG_TEXT_PP(0)), "output", PG_GETARG_JSONB_P(1), NULL, NULL);
	PG_RETURN_VOID();
}

/* send_task_failure(token text, error text, cause text) */
Datum
saga_send_task_failure(PG_FUNCTION_ARGS)
{
	saga_engine_require_argument(fcinfo, 0, "token");
	saga_engine_answer_token(text_to_cstring(PG_GETARG_TEXT_PP(0)), NULL, NULL,
							 text_or_null(fcinfo, 1), text_or_null(fcinfo, 2));
	PG_RETURN_VOID();
}

/* send_task_heartbeat(token text) */
Datum
saga_send_task_heartbeat(PG_FUNCTION_ARGS)
{
	saga_engine_require_argument(fcinfo, 0, "token");
	saga_engine_answer_token(text_to_cstring(PG_GETARG_TEXT_PP(0)), "heartbeat", NULL, NULL, NULL);
	PG_RETURN_VOID();
}
