/*
 * children_start.c
 *		startExecution: an execution that another one starts, and what it is
 *		told of its end, in the shape that AWS gives it.
 */
#include "postgres.h"

#include "common/statement.h"
#include "engine/children_private.h"
#include "engine/engine_private.h"
#include "engine/event_private.h"
#include "engine/task_private.h"
#include "engine/workflow_private.h"
#include "value/doc.h"

/* ---------- what is started ---------- */

/* Milliseconds since 1970, as AWS writes times into the results of tasks. */
static int64
epoch_ms(TimestampTz at)
{
	return (at - (UNIX_EPOCH_JDATE - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY) / 1000;
}

static Jsonb *
started_result(const pg_uuid_t *id)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(&state, "ExecutionArn", saga_uuid_to_cstring(id));
	saga_doc_push_int(&state, "StartDate", epoch_ms(GetCurrentTimestamp()));
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* The task, or NULL and what is wrong. */
typedef struct ChildStart
{
	const SagaWorkflow *workflow;
	int			version;
	char	   *name;
	Jsonb	   *input;
	pg_uuid_t	id;
} ChildStart;

static const char *
read_arguments(const SagaJob *job, const SagaAction *action, ChildStart *start, char **cause)
{
	const SagaMeaning meaning = {job->queue->queue_id, job->version};
	char	   *text = saga_jsonb_get_string(action->input, "StateMachineArn");

	if (text == NULL)
	{
		*cause = "StateMachineArn is missing";
		return "StepFunctions.ValidationException";
	}
	start->workflow = saga_workflow_find_version(saga_resource_workflow(text), &meaning, true, &start->version);
	if (start->workflow == NULL)
	{
		*cause = psprintf("State Machine Does Not Exist: '%s' (Service: AWSStepFunctions; Status Code: 400; Error Code: StateMachineDoesNotExist; Request ID: none; Proxy: null)",
						  text);
		return "StepFunctions.StateMachineDoesNotExistException";
	}

	/*
	 * whoever waits sees its result, and stops it when he does not want it
	 * any more
	 */
	if (action->resource->sync != 0 &&
		!(saga_workflow_may(start->workflow, SAGA_RIGHT_READ) && saga_workflow_may(start->workflow, SAGA_RIGHT_OPERATE)))
	{
		*cause = psprintf("the rights read and operate on the workflow \"%s\" are needed to wait for its execution, besides start",
						  start->workflow->name);
		return "States.Permissions";
	}
	start->name = saga_jsonb_get_string(action->input, "Name");
	start->input = saga_engine_task_document(action->input, "Input", saga_jsonb_empty_object());
	return NULL;
}

/*
 * The parent was redriven, and starts once more what had failed before that:
 * the name is that of the next one then.  A Retry has no claim to it, as at
 * AWS.
 */
static void
free_name(const SagaJob *job, const ChildStart *start)
{
	static SagaStatement stmt = {
		.sql = "DELETE FROM saga.execution_name n USING saga.execution e, saga.children c, saga.redrive_point p"
		" WHERE n.workflow_id = $workflow_id AND n.name = $name"
		" AND e.execution_id = n.execution_id AND e.workflow_id = n.workflow_id AND e.status <> 's'"
		" AND c.children_id = e.children_id AND c.parent_id = $parent_id AND p.execution_id = c.parent_id"
		" AND p.workflow_id = $parent_workflow_id AND e.stopped_at <= p.redriven_at"
	};

	saga_run(&stmt, saga_param_int4("workflow_id", start->workflow->workflow_id), saga_param_text("name", start->name),
			 saga_param_uuid("parent_id", &job->execution_id), saga_param_int4("parent_workflow_id", job->queue->queue_id));
}

/*
 * One that is waited for has a row of its own.  A name that was given before
 * is another one's execution: nobody can wait for that.
 */
static Jsonb *
start_child(SagaJob *job, const SagaAction *action, void *arg, const char **error, char **cause)
{
	ChildStart *start = arg;
	bool		waits = action->resource->sync != 0;
	SagaChildren children = {0};
	pg_uuid_t	id = saga_uuid_new();

	if (waits)
	{
		children.children_id = saga_uuid_new();
		children.parent_id = job->execution_id;
		children.task_id = action->task_id;
		children.call_id = action->call_id;
		children.parent_workflow_id = job->queue->queue_id;
		children.workflow_id = start->workflow->workflow_id;
		children.version = start->version;
		children.answer = '0' + action->resource->sync;
		children.children = children.started = children.items = 1;
		if (start->name != NULL)
			free_name(job, start);
	}
	start->id = saga_engine_start_child(start->workflow, start->version, start->input, start->name, waits ? &id : NULL, waits ? &children : NULL);
	if (waits && saga_uuid_cmp(&start->id, &id) != 0)
	{
		*error = "StepFunctions.ExecutionAlreadyExistsException";
		*cause = psprintf("Execution Already Exists: '%s' (Service: AWSStepFunctions; Status Code: 400; Error Code: ExecutionAlreadyExists; Request ID: none; Proxy: null)",
						  start->name);
		return NULL;
	}
	if (waits)
		saga_children_insert(&children);
	return started_result(&start->id);
}

void
saga_child_start(SagaBatch *batch, SagaJob *job, const SagaAction *action)
{
	ChildStart	start = {0};
	char	   *cause = NULL;
	const char *error = read_arguments(job, action, &start, &cause);
	Jsonb	   *output = NULL;

	if (error == NULL)
		output = saga_engine_task_guarded(batch, job, action, start_child, &start, &error, &cause);
	if (output == NULL && error != NULL && strcmp(error, "SQL.23505") == 0)
		error = "StepFunctions.ExecutionAlreadyExistsException";
	else if (output == NULL && error != NULL && strcmp(error, "SQL.22023") == 0)
		error = "StepFunctions.InvalidNameException";
	if (output == NULL || action->resource->sync == 0)
		saga_engine_task_answer(job, action, output, error, cause);
	else
		saga_run_task_parked(job->run, action->task_id, NULL, GetCurrentTimestamp());
}

/* ---------- its end ---------- */

/* What is known of an execution that has ended. */
typedef struct Ended
{
	pg_uuid_t	id;
	char	   *name;
	char	   *workflow;
	char		status;
	Jsonb	   *input;
	Jsonb	   *output;
	char	   *error;
	char	   *cause;
	TimestampTz started_at;
	TimestampTz stopped_at;
} Ended;

static bool
find_ended(const SagaChildren *children, Ended *ended)
{
	static SagaStatement stmt = {
		.sql = "SELECT e.execution_id, e.name, w.name AS workflow, e.status, e.input, e.output, e.error, e.cause, e.started_at, e.stopped_at"
		" FROM saga.execution e JOIN saga.workflow w USING (workflow_id)"
		" WHERE e.children_id = $children_id AND e.child_index IS NOT NULL",
		.limit = 1
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_uuid("children_id", &children->children_id));

	if (!saga_rows_next(rows))
		return false;
	ended->id = saga_column_uuid(rows, "execution_id");
	ended->name = saga_column_text(rows, "name");
	ended->workflow = saga_column_text(rows, "workflow");
	ended->status = saga_column_char(rows, "status");
	ended->input = saga_column_jsonb(rows, "input");
	ended->output = saga_column_jsonb(rows, "output");
	ended->error = saga_column_text(rows, "error");
	ended->cause = saga_column_text(rows, "cause");
	ended->started_at = saga_column_timestamptz(rows, "started_at");
	ended->stopped_at = saga_column_timestamptz(rows, "stopped_at");
	return true;
}

static const char *
ended_status(const Ended *ended)
{
	switch (ended->status)
	{
		case 's':
			return "SUCCEEDED";
		case 't':
			return "TIMED_OUT";
		case 'a':
			return "ABORTED";
		default:
			return "FAILED";
	}
}

/* A document of the child's: as it is for .sync:2, as a text for .sync. */
static void
push_document(JsonbParseState **state, const char *name, Jsonb *doc, char answer)
{
	if (answer == '2')
		saga_doc_push_jsonb(state, name, doc);
	else
		saga_doc_push_string(state, name, saga_jsonb_to_cstring(doc));
}

static void
push_included(JsonbParseState **state, const char *name)
{
	saga_jsonb_push_key(state, name);
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_bool(state, "Included", true);
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* As DescribeExecution says it. */
static Jsonb *
describe(const Ended *ended, char answer)
{
	JsonbParseState *state = NULL;
	bool		succeeded = ended->status == 's';
	char	   *id = saga_uuid_to_cstring(&ended->id);

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(&state, "ExecutionArn", id);
	push_document(&state, "Input", ended->input, answer);
	push_included(&state, "InputDetails");
	saga_doc_push_string(&state, "Name", ended->name != NULL ? ended->name : id);
	if (succeeded)
	{
		push_document(&state, "Output", ended->output, answer);
		push_included(&state, "OutputDetails");
		saga_doc_push_int(&state, "RedriveCount", 0);
		saga_doc_push_string(&state, "RedriveStatus", "NOT_REDRIVABLE");
		saga_doc_push_string(&state, "RedriveStatusReason", "Execution is SUCCEEDED and cannot be redriven");
	}
	else
	{
		if (ended->error != NULL)
			saga_doc_push_string(&state, "Error", ended->error);
		/* as at AWS, a time limit says enough by itself */
		if (ended->cause != NULL && (ended->error == NULL || strcmp(ended->error, "States.Timeout") != 0))
			saga_doc_push_string(&state, "Cause", ended->cause);
	}
	saga_doc_push_int(&state, "StartDate", epoch_ms(ended->started_at));
	saga_doc_push_string(&state, "StateMachineArn", ended->workflow);
	saga_doc_push_string(&state, "Status", ended_status(ended));
	saga_doc_push_int(&state, "StopDate", epoch_ms(ended->stopped_at));
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* The parent's task hears of the end of its one child. */
void
saga_child_answer(const SagaChildren *children)
{
	JsonbParseState *state = NULL;
	Ended		ended;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_int(&state, "task", children->task_id);
	if (!find_ended(children, &ended))
	{
		saga_doc_push_string(&state, "error", "States.TaskFailed");
		saga_doc_push_string(&state, "cause", children->cause != NULL ? children->cause : "the execution has no record");
	}
	else if (ended.status == 's')
		saga_doc_push_jsonb(&state, "output", describe(&ended, children->answer));
	else
	{
		saga_doc_push_string(&state, "error", "States.TaskFailed");
		saga_doc_push_string(&state, "cause", saga_jsonb_to_cstring(describe(&ended, '1')));
	}
	saga_engine_send_event(children->parent_workflow_id, &children->parent_id,
						   JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}
