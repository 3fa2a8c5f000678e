/*
 * workflow.c
 *		Workflows and their versions: making them, finding them, and the
 *		compiled machines.
 *
 * Two caches of the process: workflows by id (dropped whenever saga.workflow
 * or saga.resource changes, through their triggers) and machines by (workflow, version),
 * which never change and go only with the extension.  A machine that was
 * forgotten lives on until the next batch: runs of this one point into it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "engine/engine_private.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(saga_create_workflow);
PG_FUNCTION_INFO_V1(saga_workflow_version);
PG_FUNCTION_INFO_V1(saga_set_workflow_owner);
PG_FUNCTION_INFO_V1(saga_bind_resource);

typedef struct MachineKey
{
	int32		workflow_id;
	int32		version;
} MachineKey;

typedef struct MachineEntry
{
	MachineKey	key;
	SagaMachine *machine;
	MemoryContext context;
} MachineEntry;

typedef struct ResourceEntry
{
	char	   *arn;
	Oid			created_by;
	SagaResource resource;
} ResourceEntry;

/* Caches of this process. */
static MemoryContext workflow_context = NULL;
static List *workflows = NIL;	/* of SagaWorkflow */
static List *resources = NIL;	/* of ResourceEntry */
static bool workflows_valid = false;
static HTAB *machines = NULL;
static bool machines_valid = false;
static MemoryContext old_machines = NULL;	/* parent of those that were forgotten */
static Oid	workflow_relid = InvalidOid;
static Oid	version_relid = InvalidOid;
static Oid	resource_relid = InvalidOid;

static SagaStmt load_stmt = {
	"SELECT workflow_id, name, owner::oid, version FROM saga.workflow",
	0, {0}
};

static SagaStmt resources_stmt = {
	"SELECT arn, resource, created_by::oid FROM saga.resource ORDER BY arn",
	0, {0}
};

static SagaStmt definition_stmt = {
	"SELECT definition FROM saga.workflow_version WHERE workflow_id = $1 AND version = $2",
	2, {INT4OID, INT4OID}
};

static void
forget(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == workflow_relid || relid == resource_relid)
		workflows_valid = false;
	if (relid == InvalidOid || relid == version_relid)
		machines_valid = false;
}

/* Reads saga.workflow and saga.resource, both small, into the cache. */
static void
load_workflows(void)
{
	static bool registered = false;
	MemoryContext old;
	uint64		i;
	bool		isnull;

	if (workflows_valid)
		return;
	if (!registered)
	{
		CacheRegisterRelcacheCallback(forget, (Datum) 0);
		registered = true;
	}
	if (workflow_context == NULL)
		workflow_context = AllocSetContextCreate(TopMemoryContext, "pg_saga workflows",
												 ALLOCSET_SMALL_SIZES);
	MemoryContextReset(workflow_context);
	workflows = resources = NIL;
	workflow_relid = saga_relation_oid("workflow");
	resource_relid = saga_relation_oid("resource");

	/* before the query: what changes meanwhile must invalidate */
	workflows_valid = true;
	PG_TRY();
	{
		SPI_connect();

		/*
		 * What is cached decides about rights in later transactions too, so it
		 * may not come from the old snapshot of a REPEATABLE READ transaction.
		 */
		PushActiveSnapshot(GetLatestSnapshot());
		saga_execute(&load_stmt, NULL, NULL, true, 0);
		old = MemoryContextSwitchTo(workflow_context);
		for (i = 0; i < SPI_processed; i++)
		{
			SagaWorkflow *w = palloc(sizeof(SagaWorkflow));

			w->workflow_id = DatumGetInt32(saga_result(i, 1, &isnull));
			w->name = TextDatumGetCString(saga_result(i, 2, &isnull));
			w->owner = DatumGetObjectId(saga_result(i, 3, &isnull));
			w->version = DatumGetInt32(saga_result(i, 4, &isnull));
			workflows = lappend(workflows, w);
		}
		MemoryContextSwitchTo(old);
		saga_execute(&resources_stmt, NULL, NULL, true, 0);
		old = MemoryContextSwitchTo(workflow_context);
		for (i = 0; i < SPI_processed; i++)
		{
			ResourceEntry *r = palloc(sizeof(ResourceEntry));

			r->arn = TextDatumGetCString(saga_result(i, 1, &isnull));
			r->created_by = DatumGetObjectId(saga_result(i, 3, &isnull));
			if (saga_resource_parse(TextDatumGetCString(saga_result(i, 2, &isnull)), &r->resource))
				resources = lappend(resources, r);
		}
		MemoryContextSwitchTo(old);
		PopActiveSnapshot();
		SPI_finish();
	}
	PG_CATCH();
	{
		workflows_valid = false;
		PG_RE_THROW();
	}
	PG_END_TRY();
}

const SagaWorkflow *
saga_workflow_by_name(const char *name, bool missing_ok)
{
	ListCell   *lc;

	load_workflows();
	foreach(lc, workflows)
	{
		SagaWorkflow *w = lfirst(lc);

		if (strcmp(w->name, name) == 0)
			return w;
	}
	if (!missing_ok)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("workflow \"%s\" does not exist", name),
				 errhint("Make it with saga.create_workflow(name, definition).")));
	return NULL;
}

const SagaWorkflow *
saga_workflow_by_id(int32 workflow_id, bool missing_ok)
{
	ListCell   *lc;

	load_workflows();
	foreach(lc, workflows)
	{
		SagaWorkflow *w = lfirst(lc);

		if (w->workflow_id == workflow_id)
			return w;
	}
	if (!missing_ok)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("workflow %d does not exist", workflow_id)));
	return NULL;
}

int
saga_engine_version(int32 workflow_id)
{
	return saga_workflow_by_id(workflow_id, false)->version;
}

void
saga_workflow_check_owner(const SagaWorkflow *workflow)
{
	if (!has_privs_of_role(GetUserId(), workflow->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for workflow \"%s\"", workflow->name),
				 errhint("Its owner is role \"%s\"; become a member of it.",
						 GetUserNameFromId(workflow->owner, true) ?
						 GetUserNameFromId(workflow->owner, true) : "(dropped)")));
}

/*
 * The workflow, its owner checked and kept from changing until the end of the
 * transaction.  exclusive: to change it, when nobody else is using it.
 */
static const SagaWorkflow *
lock_own_workflow(const char *name, bool exclusive)
{
	const SagaWorkflow *workflow = saga_workflow_by_name(name, false);
	int32		workflow_id = workflow->workflow_id;

	saga_workflow_check_owner(workflow);
	if (exclusive)
		saga_queue_lock_exclusive(workflow_id);
	else
		(void) saga_queue_lock(saga_queue_by_id(workflow_id, false));

	/* the lock read the invalidations of whoever had it */
	workflow = saga_workflow_by_name(name, false);
	saga_workflow_check_owner(workflow);
	return workflow;
}

static const SagaResource *
find_binding(const char *arn, bool by_function_name, Oid creator)
{
	ListCell   *lc;

	foreach(lc, resources)
	{
		ResourceEntry *r = lfirst(lc);
		const char *tail;

		if (OidIsValid(creator) ? r->created_by != creator : !superuser_arg(r->created_by))
			continue;
		if (strcmp(r->arn, arn) == 0)
			return &r->resource;
		tail = by_function_name ? strstr(r->arn, ":function:") : NULL;
		if (tail && strcmp(tail + strlen(":function:"), arn) == 0)
			return &r->resource;
	}
	return NULL;
}

/*
 * A binding decides which function runs as the workflow's owner, so only the
 * owner's own count, and a superuser's.  A function name, or an ARN that ends
 * in ":function:NAME", finds the binding of any ARN of that function:
 * definitions name it either way.
 */
const SagaResource *
saga_resource_lookup(const char *arn, bool by_function_name, Oid owner)
{
	const SagaResource *resource;

	load_workflows();
	resource = find_binding(arn, by_function_name, owner);
	return resource ? resource : find_binding(arn, by_function_name, InvalidOid);
}

/* ---------- machines ---------- */

/* A vacuum of the table, or a full invalidation queue, gets us here too. */
static void
forget_machines(void)
{
	HASH_SEQ_STATUS seq;
	MachineEntry *entry;

	if (old_machines == NULL)
		old_machines = AllocSetContextCreate(TopMemoryContext, "pg_saga old machines",
											 ALLOCSET_SMALL_SIZES);
	hash_seq_init(&seq, machines);
	while ((entry = hash_seq_search(&seq)) != NULL)
		MemoryContextSetParent(entry->context, old_machines);
	hash_destroy(machines);
	machines = NULL;
}

void
saga_workflow_begin_batch(void)
{
	if (old_machines)
		MemoryContextDeleteChildren(old_machines);
}

static SagaMachine *
load_machine(int32 workflow_id, int version)
{
	Datum		values[2] = {Int32GetDatum(workflow_id), Int32GetDatum(version)};
	List	   *diagnostics = NIL;
	SagaMachine *machine;
	Datum		definition;
	bool		isnull;
	MemoryContext context = CurrentMemoryContext;
	MemoryContext spi;

	SPI_connect();
	PushActiveSnapshot(GetLatestSnapshot());
	saga_execute(&definition_stmt, values, NULL, true, 1);
	PopActiveSnapshot();
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("version %d of workflow %d is not stored", version, workflow_id)));
	definition = saga_result(0, 1, &isnull);
	spi = MemoryContextSwitchTo(context);
	machine = saga_machine_compile(DatumGetJsonbPCopy(definition), &diagnostics);
	MemoryContextSwitchTo(spi);
	SPI_finish();
	if (machine == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("stored version %d of workflow %d is not valid", version, workflow_id)));
	return machine;
}

const SagaMachine *
saga_workflow_machine(int32 workflow_id, int version)
{
	MachineKey	key = {workflow_id, version};
	MachineEntry *entry;
	MemoryContext context;
	MemoryContext old;
	SagaMachine *machine;
	bool		found;

	load_workflows();
	if (machines && !machines_valid)
		forget_machines();
	if (machines == NULL)
	{
		HASHCTL		ctl = {.keysize = sizeof(MachineKey), .entrysize = sizeof(MachineEntry),
		.hcxt = TopMemoryContext};

		machines = hash_create("pg_saga machines", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		version_relid = saga_relation_oid("workflow_version");
		machines_valid = true;
	}
	entry = hash_search(machines, &key, HASH_FIND, NULL);
	if (entry)
		return entry->machine;

	/* complete before it goes into the table, so that an error leaves nothing half-made */
	context = AllocSetContextCreate(CurrentMemoryContext, "pg_saga machine", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	machine = load_machine(workflow_id, version);
	MemoryContextSwitchTo(old);
	entry = hash_search(machines, &key, HASH_ENTER, &found);
	MemoryContextSetParent(context, TopMemoryContext);
	entry->machine = machine;
	entry->context = context;
	return machine;
}

/* ---------- SQL ---------- */

/* Every fault, one a line, so that a person can mend all of them at once. */
static void
report_diagnostics(const char *name, List *diagnostics)
{
	StringInfoData detail;
	ListCell   *lc;
	int			nerrors = 0;

	initStringInfo(&detail);
	foreach(lc, diagnostics)
	{
		SagaDiagnostic *d = lfirst(lc);

		if (!d->is_error)
			continue;
		if (nerrors++ > 0)
			appendStringInfoChar(&detail, '\n');
		appendStringInfo(&detail, "%s: %s", d->location[0] ? d->location : "/", d->message);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid definition of workflow \"%s\"", name),
			 errdetail_internal("%s", detail.data),
			 errhint("saga.validate(definition) lists warnings too.")));
}

/* A function has to be named with its schema: the owner's search_path must not decide. */
static void
check_resources(const char *name, SagaMachine *machine)
{
	ListCell   *lc;

	foreach(lc, saga_machine_resources(machine))
	{
		SagaResource *r = lfirst(lc);

		if (r->kind == SAGA_RES_SQL && strchr(r->name, '.') == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid definition of workflow \"%s\"", name),
					 errdetail("Resource \"%s\" names a function without its schema.", r->text),
					 errhint("Write sql:schema.function.")));
	}
}

Datum
saga_create_workflow(PG_FUNCTION_ARGS)
{
	static SagaStmt insert_stmt = {
		"INSERT INTO saga.workflow (workflow_id, name, owner, version) VALUES ($1, $2, $3::regrole, 1)",
		3, {INT4OID, TEXTOID, OIDOID}
	};
	static SagaStmt update_stmt = {
		"UPDATE saga.workflow SET version = version + 1 WHERE workflow_id = $1 RETURNING version",
		1, {INT4OID}
	};
	static SagaStmt version_stmt = {
		"INSERT INTO saga.workflow_version (workflow_id, version, definition, created_by) VALUES ($1, $2, $3, $4)",
		4, {INT4OID, INT4OID, JSONBOID, TEXTOID}
	};
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Jsonb	   *definition = PG_GETARG_JSONB_P(1);
	const SagaWorkflow *old;
	List	   *diagnostics = NIL;
	SagaMachine *machine;
	int32		workflow_id;
	int			version = 1;
	Datum		values[4];
	bool		isnull;

	if (name[0] == '\0' || strlen(name) > 80)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("workflow name must have 1 to 80 characters")));
	machine = saga_machine_compile(definition, &diagnostics);
	if (machine == NULL)
		report_diagnostics(name, diagnostics);
	check_resources(name, machine);

	old = saga_workflow_by_name(name, true);
	if (old)
		old = lock_own_workflow(name, false);
	SPI_connect();
	if (old)
	{
		workflow_id = old->workflow_id;
		values[0] = Int32GetDatum(workflow_id);
		saga_execute(&update_stmt, values, NULL, false, 0);
		if (SPI_processed != 1)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("workflow \"%s\" does not exist any more", name)));
		version = DatumGetInt32(saga_result(0, 1, &isnull));
	}
	else
	{
		workflow_id = saga_queue_create(name, SAGA_QUEUE_WORKFLOW, GetUserId(), NULL);
		values[0] = Int32GetDatum(workflow_id);
		values[1] = CStringGetTextDatum(name);
		values[2] = ObjectIdGetDatum(GetUserId());
		saga_execute(&insert_stmt, values, NULL, false, 0);
	}
	values[0] = Int32GetDatum(workflow_id);
	values[1] = Int32GetDatum(version);
	values[2] = JsonbPGetDatum(definition);
	values[3] = CStringGetTextDatum(GetUserNameFromId(GetUserId(), false));
	saga_execute(&version_stmt, values, NULL, false, 0);
	SPI_finish();
	PG_RETURN_INT32(version);
}

Datum
saga_workflow_version(PG_FUNCTION_ARGS)
{
	const SagaWorkflow *workflow = saga_workflow_by_name(text_to_cstring(PG_GETARG_TEXT_PP(0)), true);

	if (workflow == NULL)
		PG_RETURN_NULL();
	PG_RETURN_INT32(workflow->version);
}

/*
 * As ALTER ... OWNER TO: the caller owns it and could become the new owner,
 * so that nobody can make another role run a definition of theirs.  Waits for
 * batches that run in a session of the owner before.
 */
Datum
saga_set_workflow_owner(PG_FUNCTION_ARGS)
{
	static SagaStmt workflow_stmt = {
		"UPDATE saga.workflow SET owner = $2::regrole WHERE workflow_id = $1",
		2, {INT4OID, OIDOID}
	};
	static SagaStmt queue_stmt = {
		"UPDATE saga.queue SET owner = $2::regrole WHERE queue_id = $1",
		2, {INT4OID, OIDOID}
	};
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Oid			role = PG_GETARG_OID(1);
	const SagaWorkflow *workflow = lock_own_workflow(name, true);
	Datum		values[2];

	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role with OID %u does not exist", role)));
	saga_check_can_set_role(GetUserId(), role);

	values[0] = Int32GetDatum(workflow->workflow_id);
	values[1] = ObjectIdGetDatum(role);
	SPI_connect();
	saga_execute(&workflow_stmt, values, NULL, false, 0);
	saga_execute(&queue_stmt, values, NULL, false, 0);
	SPI_finish();
	PG_RETURN_VOID();
}

Datum
saga_bind_resource(PG_FUNCTION_ARGS)
{
	static SagaStmt upsert_stmt = {
		"INSERT INTO saga.resource (arn, resource, created_by) VALUES ($1, $2, $3::regrole)"
		" ON CONFLICT (created_by, arn) DO UPDATE SET resource = excluded.resource",
		3, {TEXTOID, TEXTOID, OIDOID}
	};
	char	   *arn = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *target = text_to_cstring(PG_GETARG_TEXT_PP(1));
	SagaResource resource;
	Datum		values[3];

	if (!saga_resource_parse(target, &resource) || resource.kind == SAGA_RES_OTHER ||
		(resource.kind == SAGA_RES_SQL && strchr(resource.name, '.') == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not a resource that can be called here", target),
				 errhint("Use sql:schema.function, or one of the service integrations.")));
	values[0] = CStringGetTextDatum(arn);
	values[1] = CStringGetTextDatum(target);
	values[2] = ObjectIdGetDatum(GetUserId());
	SPI_connect();
	saga_execute(&upsert_stmt, values, NULL, false, 0);
	SPI_finish();
	PG_RETURN_VOID();
}
