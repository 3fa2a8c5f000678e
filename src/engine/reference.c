/*
 * reference.c
 *		What the names in a definition mean.
 *
 * They are looked up when a version is made, as the workflow's owner means
 * them then, and kept as ids: what somebody makes, renames or grants later does
 * not change what a definition says.  A name that means nothing yet, and one
 * that an expression makes, is looked up when it is used.
 */
#include "postgres.h"

#include "common/statement.h"
#include "engine/workflow_private.h"
#include "miscadmin.h"
#include "outbox/outbox.h"
#include "utils/snapmgr.h"

#define MAX_NAME_BYTES 2000

typedef struct Collect
{
	int32		workflow_id;
	int			version;
	Oid			owner;
} Collect;

static SagaStatement insert_stmt = {
	.sql = "INSERT INTO saga.reference (referrer, referrer_id, version, kind, name, object_id)"
	" VALUES ('workflow', $workflow_id, $version, $kind, $name, $object_id) ON CONFLICT DO NOTHING"
};
static SagaStatement forget_stmt = {
	.sql = "DELETE FROM saga.reference WHERE referrer = 'workflow' AND referrer_id = $workflow_id"
};
static SagaStatement load_stmt = {
	.sql = "SELECT kind, name, object_id FROM saga.reference"
	" WHERE referrer = 'workflow' AND referrer_id = $workflow_id AND version = $version",
	.read_only = true
};


/* Keeps what a name meant; 0: it meant nothing, and is looked up when it is used. */
static void
store(Collect *collect, SagaObjectKind kind, const char *name, int32 id)
{
	/*
	 * longer ones, URLs, do not fit into the index and are looked up when
	 * they are used
	 */
	if (id == 0 || strlen(name) > MAX_NAME_BYTES)
		return;
	saga_run(&insert_stmt, saga_param_int4("workflow_id", collect->workflow_id),
			 saga_param_int4("version", collect->version), saga_param_text("kind", saga_name_object_kind_name(kind)),
			 saga_param_text("name", name), saga_param_int4("object_id", id));
}

/* A member of an object that is a text and no expression; NULL otherwise. */
static char *
static_text(JsonbContainer *object, const char *member)
{
	JsonbValue *value = getKeyJsonValueFromContainer(object, member, strlen(member), NULL);
	char	   *text;

	if (value == NULL || value->type != jbvString)
		return NULL;
	text = pnstrdup(value->val.string.val, value->val.string.len);
	return strncmp(text, "{%", 2) == 0 ? NULL : text;
}

/* A destination that a task names; NULL: an expression will. */
static void
collect_destination(Collect *collect, SagaOutboxOp op, const char *text)
{
	char	   *name;
	int32		id;

	if (text == NULL)
		return;
	id = saga_outbox_destination_meaning(op, text, collect->owner, &name);
	store(collect, SAGA_OBJECT_DESTINATION, name, id);
}

/* "saga:NAME" in a QueueUrl is first of all a queue of this database. */
static void
collect_queue(Collect *collect, const char *text)
{
	const SagaQueue *queue;

	if (text == NULL)
		return;
	queue = strncmp(text, "saga:", 5) != 0 ? NULL :
		saga_queue_find(text + 5, collect->owner, SAGA_RIGHT_USE, true);
	if (queue != NULL && queue->kind == SAGA_QUEUE_PLAIN)
		store(collect, SAGA_OBJECT_QUEUE, text + 5, queue->queue_id);
	else
		collect_destination(collect, SAGA_OUTBOX_SQS, text);
}

/* The activity of a task. */
static void
collect_activity(Collect *collect, const char *name)
{
	SagaObject	object;

	if (saga_name_object_find(SAGA_OBJECT_ACTIVITY, name, collect->owner, SAGA_RIGHT_USE, &object))
		store(collect, SAGA_OBJECT_ACTIVITY, name, object.id);
}

/* The workflow that a task starts; behind a colon is a version or an alias, which is looked up when it is started. */
static void
collect_workflow(Collect *collect, const char *text)
{
	const char *name = text != NULL ? saga_resource_workflow(text) : NULL;
	const char *colon = name != NULL ? strrchr(name, ':') : NULL;
	SagaObject	object;

	if (name == NULL)
		return;
	if (saga_name_object_find(SAGA_OBJECT_WORKFLOW, name, collect->owner, SAGA_RIGHT_START, &object))
		store(collect, SAGA_OBJECT_WORKFLOW, name, object.id);
	else if (colon != NULL)
	{
		name = pnstrdup(name, colon - name);
		if (saga_name_object_find(SAGA_OBJECT_WORKFLOW, name, collect->owner, SAGA_RIGHT_START, &object))
			store(collect, SAGA_OBJECT_WORKFLOW, name, object.id);
	}
}

/* What an ARN, or the name of a function, stands for. */
static void
collect_binding(Collect *collect, const char *arn, bool by_function_name)
{
	int32		id = 0;

	/*
	 * that of every function is for those that are not bound when they are
	 * called
	 */
	if (arn != NULL && saga_binding_of(arn, by_function_name, collect->owner, &id) != NULL)
		store(collect, SAGA_OBJECT_BINDING, arn, id);
}

/* The names that a task has in its resource and its arguments. */
static void
collect_task(Collect *collect, const char *resource_text, JsonbContainer *arguments)
{
	SagaResource resource;

	if (!saga_resource_parse(resource_text, &resource))
		return;
	if (resource.kind == SAGA_RES_OTHER && strcmp(resource.name, SAGA_LAMBDA_INVOKE) != 0)
		collect_binding(collect, resource.name, false);
	if (resource.kind == SAGA_RES_ACTIVITY)
		collect_activity(collect, resource.name);
	if (arguments == NULL)
		return;
	switch (resource.kind)
	{
		case SAGA_RES_PUBLISH:
			collect_destination(collect, SAGA_OUTBOX_PUBLISH, static_text(arguments, "Destination"));
			break;
		case SAGA_RES_HTTP:
			collect_destination(collect, SAGA_OUTBOX_HTTP, static_text(arguments, "ApiEndpoint"));
			break;
		case SAGA_RES_SNS:
			collect_destination(collect, SAGA_OUTBOX_SNS, static_text(arguments, "TopicArn"));
			break;
		case SAGA_RES_SQS:
			collect_queue(collect, static_text(arguments, "QueueUrl"));
			break;
		case SAGA_RES_START_EXECUTION:
			collect_workflow(collect, static_text(arguments, "StateMachineArn"));
			break;
		case SAGA_RES_OTHER:
			collect_binding(collect, static_text(arguments, "FunctionName"), true);
			break;
		default:
			break;
	}
}

/*
 * Every object of the definition that looks like a Task.  One in a Pass state's
 * result, say, is looked up too, which does no harm.
 */
static void
collect_names(Collect *collect, JsonbContainer *container)
{
	JsonbIterator *it = JsonbIteratorInit(container);
	JsonbIteratorToken token;
	JsonbValue	value;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (JsonContainerIsObject(container))
	{
		char	   *resource = static_text(container, "Resource");
		JsonbValue *arguments = getKeyJsonValueFromContainer(container, "Parameters", strlen("Parameters"), NULL);

		if (arguments == NULL)
			arguments = getKeyJsonValueFromContainer(container, "Arguments", strlen("Arguments"), NULL);
		if (resource != NULL)
			collect_task(collect, resource,
						 arguments != NULL && arguments->type == jbvBinary &&
						 JsonContainerIsObject(arguments->val.binary.data) ? arguments->val.binary.data : NULL);
	}
	(void) JsonbIteratorNext(&it, &value, true);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if ((token == WJB_VALUE || token == WJB_ELEM) && value.type == jbvBinary)
			collect_names(collect, value.val.binary.data);
	}
}

void
saga_reference_forget(int32 workflow_id)
{
	saga_run(&forget_stmt, saga_param_int4("workflow_id", workflow_id));
}

void
saga_reference_store(int32 workflow_id, int version, Jsonb *definition, Oid owner)
{
	Collect		collect = {workflow_id, version, owner};

	collect_names(&collect, &definition->root);
}

/* False: it is no kind of object. */
static bool
kind_by_name(const char *name, SagaObjectKind *kind)
{
	int			i;

	for (i = 0; i < SAGA_OBJECT_KINDS; i++)
	{
		if (strcmp(saga_name_object_kind_name(i), name) == 0)
		{
			*kind = i;
			return true;
		}
	}
	return false;
}

/* The caller keeps them in a cache, so nothing else is left in his memory. */
List *
saga_reference_load(int32 workflow_id, int version)
{
	List	   *references = NIL;
	SagaRows   *rows;

	PushActiveSnapshot(GetLatestSnapshot());
	rows = saga_query(&load_stmt, saga_param_int4("workflow_id", workflow_id), saga_param_int4("version", version));
	PopActiveSnapshot();
	while (saga_rows_next(rows))
	{
		char	   *kind_name = saga_column_text(rows, "kind");
		SagaReference *reference;
		SagaObjectKind kind;

		if (kind_by_name(kind_name, &kind))
		{
			reference = palloc(sizeof(SagaReference));
			reference->kind = kind;
			reference->name = saga_column_text(rows, "name");
			reference->id = saga_column_int4(rows, "object_id");
			references = lappend(references, reference);
		}
		pfree(kind_name);
	}
	saga_rows_free(rows);
	return references;
}
