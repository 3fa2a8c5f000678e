/*
 * unbound.c
 *		What a definition asks for that is not there: an ARN that stands for
 *		nothing, a function that its owner cannot call, a destination, queue
 *		or workflow that he does not have.
 *
 * None of it is an error: it may be made later, and is looked up when it is
 * used.  What an expression names is not known before.
 */
#include "postgres.h"

#include "common/compat.h"
#include "engine/step_private.h"
#include "engine/workflow_private.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "outbox/outbox.h"
#include "utils/builtins.h"
#include "utils/varlena.h"
#include "value/doc.h"

PG_FUNCTION_INFO_V1(saga_check_workflow);
PG_FUNCTION_INFO_V1(saga_check_definition);

typedef struct Unbound
{
	Oid			owner;
	List	   *found;			/* of SagaUnbound */
} Unbound;

static void
add_unbound(Unbound *unbound, char *location, char *message, char *hint)
{
	SagaUnbound *one = palloc(sizeof(SagaUnbound));

	one->location = location;
	one->message = message;
	one->hint = hint;
	unbound->found = lappend(unbound->found, one);
}

/* A member that is a text, and no expression; NULL: it is none. */
static char *
static_text(JsonbContainer *object, const char *member)
{
	char	   *text = object != NULL ? saga_doc_get_string(object, member) : NULL;

	return text != NULL && strncmp(text, "{%", 2) == 0 ? NULL : text;
}

/* What a definition says is not ours: names in a statement for somebody to copy are quoted. */
static void
check_function(Unbound *unbound, char *location, const char *text)
{
	List	   *names;
	const char *error;
	char	   *cause;
	char	   *hint;
	const char *function;

	/* softly: what is no name at all is found out by who calls it */
	if (!SplitIdentifierString(pstrdup(text), '.', &names) || list_length(names) != 2)
	{
		add_unbound(unbound, location, psprintf("\"%s\" does not name a function with its schema", text),
					"Write sql:schema.function.");
		return;
	}
	if (saga_step_may_call(text, unbound->owner, &error, &cause))
		return;
	function = quote_qualified_identifier(linitial(names), lsecond(names));
	if (strcmp(error, "SQL.42501") == 0)
	{
		const char *role = quote_identifier(GetUserNameFromId(unbound->owner, false));

		hint = psprintf("GRANT EXECUTE ON FUNCTION %s TO %s; GRANT USAGE ON SCHEMA %s TO %s;",
						function, role, quote_identifier(linitial(names)), role);
	}
	else if (strcmp(error, "SQL.42725") == 0)
		hint = psprintf("DROP FUNCTION %s(jsonb, jsonb);", function);
	else
		hint = psprintf("CREATE FUNCTION %s(input jsonb) RETURNS jsonb ...;", function);
	add_unbound(unbound, location, cause, hint);
}

/* text: an ARN, or what a FunctionName says. */
static void
check_binding(Unbound *unbound, char *location, const char *text, bool by_function_name)
{
	int32		id;
	const SagaResource *bound;

	if (text == NULL)
		return;
	bound = saga_binding_find(text, by_function_name, unbound->owner, &id);
	if (bound == NULL)
		add_unbound(unbound, location, psprintf("\"%s\" stands for nothing here", text),
					psprintf("SELECT saga.bind_resource(%s, 'sql:schema.function');", quote_literal_cstr(text)));
	else if (bound->kind == SAGA_RES_SQL)
		check_function(unbound, location, bound->name);
}

/* As a service knows it: the text of the payload's member. */
static void
check_destination(Unbound *unbound, char *location, SagaOutboxOp op, const char *text)
{
	const char *kind = op == SAGA_OUTBOX_SNS ? "sns" : op == SAGA_OUTBOX_SQS ? "sqs" : "http";
	char	   *name;

	if (text == NULL || saga_outbox_destination_meaning(op, text, unbound->owner, &name) != 0)
		return;
	if (strncmp(text, "saga:", 5) != 0 && op != SAGA_OUTBOX_PUBLISH)
		name = "name";
	add_unbound(unbound, location, psprintf("there is no destination for \"%s\"", text),
				psprintf("SELECT saga.create_destination(%s, '%s', '{...}');", quote_literal_cstr(name), kind));
}

static void
check_queue(Unbound *unbound, char *location, const char *text)
{
	const SagaQueue *queue;

	if (text == NULL)
		return;
	queue = strncmp(text, "saga:", 5) != 0 ? NULL : saga_queue_find(text + 5, unbound->owner, SAGA_RIGHT_USE, true);
	if (queue == NULL || queue->kind != SAGA_QUEUE_PLAIN)
		check_destination(unbound, location, SAGA_OUTBOX_SQS, text);
}

static void
check_state_machine(Unbound *unbound, char *location, const char *text)
{
	const char *name;
	const char *colon;
	SagaObject	object;

	if (text == NULL)
		return;
	name = saga_resource_workflow(text);
	if (saga_name_object_find(SAGA_OBJECT_WORKFLOW, name, unbound->owner, SAGA_RIGHT_START, &object))
		return;
	/* a version, or an alias, which may be published later */
	colon = strrchr(name, ':');
	if (colon != NULL)
		name = pnstrdup(name, colon - name);
	if (colon == NULL || !saga_name_object_find(SAGA_OBJECT_WORKFLOW, name, unbound->owner, SAGA_RIGHT_START, &object))
		add_unbound(unbound, location, psprintf("there is no workflow \"%s\"", name),
					psprintf("SELECT saga.create_workflow(%s, ...);", quote_literal_cstr(name)));
}

static void
check_activity(Unbound *unbound, char *location, const char *name)
{
	SagaObject	object;

	if (!saga_name_object_find(SAGA_OBJECT_ACTIVITY, name, unbound->owner, SAGA_RIGHT_USE, &object))
		add_unbound(unbound, location, psprintf("there is no activity \"%s\"", name),
					psprintf("SELECT saga.create_activity(%s);", quote_literal_cstr(name)));
}

static void
check_task(Unbound *unbound, const char *location, const SagaResource *resource, JsonbContainer *arguments,
		   const char *arguments_name)
{
	char	   *here = psprintf("%s/Resource", location);

	switch (resource->kind)
	{
		case SAGA_RES_SQL:
			check_function(unbound, here, resource->name);
			break;
		case SAGA_RES_PUBLISH:
			check_destination(unbound, psprintf("%s/%s/Destination", location, arguments_name), SAGA_OUTBOX_PUBLISH,
							  static_text(arguments, "Destination"));
			break;
		case SAGA_RES_HTTP:
			check_destination(unbound, psprintf("%s/%s/ApiEndpoint", location, arguments_name), SAGA_OUTBOX_HTTP,
							  static_text(arguments, "ApiEndpoint"));
			break;
		case SAGA_RES_SNS:
			check_destination(unbound, psprintf("%s/%s/TopicArn", location, arguments_name), SAGA_OUTBOX_SNS,
							  static_text(arguments, "TopicArn"));
			break;
		case SAGA_RES_SQS:
			check_queue(unbound, psprintf("%s/%s/QueueUrl", location, arguments_name), static_text(arguments, "QueueUrl"));
			break;
		case SAGA_RES_START_EXECUTION:
			check_state_machine(unbound, psprintf("%s/%s/StateMachineArn", location, arguments_name),
								static_text(arguments, "StateMachineArn"));
			break;
		case SAGA_RES_OTHER:
			if (strcmp(resource->name, SAGA_LAMBDA_INVOKE) == 0)
				check_binding(unbound, psprintf("%s/%s/FunctionName", location, arguments_name),
							  static_text(arguments, "FunctionName"), true);
			else
				check_binding(unbound, here, resource->name, false);
			break;
		case SAGA_RES_ACTIVITY:
			check_activity(unbound, here, resource->name);
			break;
		default:
			break;
	}
}

/* ItemReader or ResultWriter of a distributed Map. */
static void
check_items(Unbound *unbound, const char *location, JsonbContainer *state, const char *member, bool writes)
{
	JsonbValue *field = saga_doc_get(state, member);
	JsonbContainer *object = field != NULL && saga_doc_is_object(field) ? field->val.binary.data : NULL;
	char	   *text = static_text(object, "Resource");
	const char *arguments_name;
	JsonbValue *parameters;
	SagaResource resource;
	char	   *message;
	char	   *hint;

	if (text == NULL)
		return;
	arguments_name = saga_doc_get(object, "Arguments") != NULL ? "Arguments" : "Parameters";
	parameters = saga_doc_get(object, arguments_name);
	if (strcmp(text, "saga:table") == 0)
	{
		char	   *table = parameters != NULL && saga_doc_is_object(parameters) ?
		static_text(parameters->val.binary.data, "Table") : NULL;

		if (table != NULL && saga_unbound_table(table, unbound->owner, writes, &message, &hint))
			add_unbound(unbound, psprintf("%s/%s/%s/Table", location, member, arguments_name), message, hint);
	}
	else if (!writes && saga_resource_parse(text, &resource) && resource.kind == SAGA_RES_SQL &&
			 saga_unbound_reader(resource.name, unbound->owner, &message, &hint))
		add_unbound(unbound, psprintf("%s/%s/Resource", location, member), message, hint);
}

static void
check_state(const char *name, const char *location, const JsonbValue *value, void *arg)
{
	JsonbContainer *state = value->val.binary.data;
	char	   *type = saga_doc_get_string(state, "Type");
	char	   *text = saga_doc_get_string(state, "Resource");
	const char *arguments_name = saga_doc_get(state, "Arguments") != NULL ? "Arguments" : "Parameters";
	JsonbValue *arguments = saga_doc_get(state, arguments_name);
	SagaResource resource;

	if (type != NULL && strcmp(type, "Map") == 0)
	{
		check_items(arg, location, state, "ItemReader", false);
		check_items(arg, location, state, "ResultWriter", true);
	}
	if (type == NULL || strcmp(type, "Task") != 0 || text == NULL || !saga_resource_parse(text, &resource))
		return;
	check_task(arg, location, &resource, arguments != NULL && saga_doc_is_object(arguments) ?
			   arguments->val.binary.data : NULL, arguments_name);
}

List *
saga_unbound_find(Jsonb *definition, Oid owner)
{
	Unbound		unbound = {.owner = owner};

	saga_definition_each_state(definition, check_state, &unbound);
	return unbound.found;
}

/* All in one, so that a script shows one message for each workflow. */
void
saga_unbound_report(int elevel, const char *name, List *unbound)
{
	StringInfoData detail;
	StringInfoData hint;
	ListCell   *lc;

	if (unbound == NIL)
		return;
	initStringInfo(&detail);
	initStringInfo(&hint);
	foreach(lc, unbound)
	{
		SagaUnbound *one = lfirst(lc);

		appendStringInfo(&detail, "%s%s: %s", detail.len > 0 ? "\n" : "", one->location, one->message);
		/* one that several states ask for is bound once */
		if (strstr(hint.data, one->hint) == NULL)
			appendStringInfo(&hint, "%s%s", hint.len > 0 ? "\n" : "", one->hint);
	}
	ereport(elevel,
			(errcode(elevel < ERROR ? ERRCODE_SUCCESSFUL_COMPLETION : ERRCODE_UNDEFINED_OBJECT),
			 errmsg("workflow \"%s\" asks for what is not there", name),
			 errdetail_internal("%s", detail.data),
			 errhint("%s", hint.data)));
}

/* ---------- SQL ---------- */

static void
put_row(ReturnSetInfo *rsinfo, const char *severity, const char *code, const char *location, const char *message,
		const char *hint)
{
	Datum		values[5] = {0};
	bool		nulls[5] = {0};

	values[0] = CStringGetTextDatum(severity);
	values[1] = CStringGetTextDatum(code);
	values[2] = CStringGetTextDatum(location);
	values[3] = CStringGetTextDatum(message);
	nulls[4] = hint == NULL;
	if (hint != NULL)
		values[4] = CStringGetTextDatum(hint);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static void
check_definition(FunctionCallInfo fcinfo, Jsonb *definition, Oid owner)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	List	   *diagnostics = NIL;
	ListCell   *lc;

	saga_init_srf(fcinfo);
	(void) saga_machine_compile(definition, &diagnostics);
	foreach(lc, diagnostics)
	{
		SagaDiagnostic *d = lfirst(lc);

		put_row(rsinfo, d->is_error ? "ERROR" : "WARNING", d->code, d->location, d->message, NULL);
	}
	foreach(lc, saga_unbound_find(definition, owner))
	{
		SagaUnbound *one = lfirst(lc);

		put_row(rsinfo, "WARNING", SAGA_UNBOUND, one->location, one->message, one->hint);
	}
}

/* check_workflow(name text): its newest version, and what its owner has now */
Datum
saga_check_workflow(PG_FUNCTION_ARGS)
{
	const SagaWorkflow *workflow = saga_workflow_find(text_to_cstring(PG_GETARG_TEXT_PP(0)), SAGA_RIGHT_OWN, false);

	check_definition(fcinfo, saga_workflow_definition(workflow->workflow_id, workflow->version), workflow->owner);
	return (Datum) 0;
}

/* check_workflow(definition jsonb): as if the caller were its owner */
Datum
saga_check_definition(PG_FUNCTION_ARGS)
{
	check_definition(fcinfo, PG_GETARG_JSONB_P(0), GetUserId());
	return (Datum) 0;
}
