/*
 * diagram.c
 *		saga.workflow_diagram: a workflow, or an execution of it, to be drawn.
 */
#include "postgres.h"

#include "common/statement.h"
#include "engine/engine_private.h"
#include "engine/workflow_private.h"
#include "miscadmin.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(saga_workflow_diagram);
PG_FUNCTION_INFO_V1(saga_definition_diagram);

static bool
is_dot(const char *format)
{
	if (strcmp(format, "mermaid") != 0 && strcmp(format, "dot") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized format of a diagram: \"%s\"", format),
				 errhint("It is \"mermaid\" or \"dot\".")));
	return strcmp(format, "dot") == 0;
}

/* Of which workflow, which version, and how it stands. */
typedef struct Drawn
{
	int32		workflow_id;
	int			version;
	SagaStatus	status;
} Drawn;

/* Whoever may not read it is told that there is none.  workflow_id: that it has to be of; 0: of any. */
static Drawn
find_execution(const pg_uuid_t *id, int32 workflow_id)
{
	static SagaStatement stmt = {
		.sql = "SELECT workflow_id, version, status FROM saga.all_executions WHERE execution_id = $execution_id",
		.read_only = true,
		.limit = 1
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_uuid("execution_id", id));
	const SagaWorkflow *workflow = NULL;
	Drawn		drawn = {0};

	if (saga_rows_next(rows))
	{
		char	   *status = saga_column_text(rows, "status");

		drawn.workflow_id = saga_column_int4(rows, "workflow_id");
		drawn.version = saga_column_int4(rows, "version");
		drawn.status = SAGA_RUNNING;
		while (drawn.status < SAGA_COMPENSATING && strcmp(saga_asl_status_name(drawn.status), status) != 0)
			drawn.status++;
		workflow = saga_workflow_by_id(drawn.workflow_id, true);
	}
	if (workflow == NULL || !saga_workflow_may(workflow, SAGA_RIGHT_READ) ||
		(workflow_id != 0 && workflow_id != drawn.workflow_id))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 workflow_id != 0 ? errmsg("execution %s of this workflow does not exist", saga_uuid_to_cstring(id)) :
				 errmsg("execution %s does not exist", saga_uuid_to_cstring(id))));
	return drawn;
}

static void
read_events(SagaDiagram *diagram, const pg_uuid_t *id)
{
	static SagaStatement stmt = {
		.sql = "SELECT event_id, previous_event_id, type, details ->> 'name' AS name, details ->> 'handler' AS handler"
		" FROM saga.execution_history WHERE execution_id = $execution_id ORDER BY event_id",
		.read_only = true
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_uuid("execution_id", id));

	while (saga_rows_next(rows))
	{
		CHECK_FOR_INTERRUPTS();
		saga_diagram_event(diagram, saga_column_int8(rows, "event_id"), saga_column_int8(rows, "previous_event_id"),
						   saga_column_text(rows, "type"), saga_column_text(rows, "name"),
						   saga_column_text(rows, "handler"));
	}
	saga_rows_free(rows);
}

/* drawn: how the execution stands; NULL: there is none. */
static text *
draw(const SagaMachine *machine, bool dot, const pg_uuid_t *id, const Drawn *drawn)
{
	SagaDiagram *diagram = saga_diagram_begin(machine, drawn != NULL);

	if (drawn != NULL)
	{
		read_events(diagram, id);
		saga_diagram_ended(diagram, drawn->status);
	}
	return cstring_to_text(saga_diagram_text(diagram, dot));
}

static SagaMachine *
compile(Jsonb *definition)
{
	List	   *diagnostics = NIL;
	SagaMachine *machine = saga_machine_compile(definition, &diagnostics);

	if (machine == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the definition is not valid"),
				 errhint("saga.validate(definition) says what is wrong with it.")));
	return machine;
}

/* workflow_diagram(workflow text, format text, execution uuid): of the newest version, or the execution's */
Datum
saga_workflow_diagram(PG_FUNCTION_ARGS)
{
	const SagaWorkflow *workflow;
	pg_uuid_t  *id = PG_ARGISNULL(2) ? NULL : PG_GETARG_UUID_P(2);
	int			version;
	bool		dot;
	Drawn		drawn;

	saga_engine_require_argument(fcinfo, 0, "workflow");
	saga_engine_require_argument(fcinfo, 1, "format");
	dot = is_dot(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	workflow = saga_workflow_find(text_to_cstring(PG_GETARG_TEXT_PP(0)), SAGA_RIGHT_READ, false);
	version = workflow->version;
	if (id != NULL)
	{
		drawn = find_execution(id, workflow->workflow_id);
		version = drawn.version;
	}
	PG_RETURN_TEXT_P(draw(compile(saga_workflow_definition(workflow->workflow_id, version)), dot, id,
						  id != NULL ? &drawn : NULL));
}

/* workflow_diagram(definition jsonb, format text, execution uuid): its states by name */
Datum
saga_definition_diagram(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *id = PG_ARGISNULL(2) ? NULL : PG_GETARG_UUID_P(2);
	bool		dot;
	Drawn		drawn;

	saga_engine_require_argument(fcinfo, 0, "definition");
	saga_engine_require_argument(fcinfo, 1, "format");
	dot = is_dot(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	if (id != NULL)
		drawn = find_execution(id, 0);
	PG_RETURN_TEXT_P(draw(compile(PG_GETARG_JSONB_P(0)), dot, id, id != NULL ? &drawn : NULL));
}
