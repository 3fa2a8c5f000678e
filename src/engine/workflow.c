/*
 * workflow.c
 *		Workflows and their versions: making them, finding them, and the
 *		compiled machines.
 *
 * Two caches of the process (common/table_cache.h): workflows by id, and machines
 * by (workflow, version), which never change and go with the extension, or when
 * no run has asked for them for some minutes.  A machine that was dropped lives
 * on until the next batch: runs of this one point into it.  A name is found
 * through the workflow's queue, which has the same owner, name and id.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "common/clock.h"
#include "common/statement.h"
#include "common/table_cache.h"
#include "engine/engine.h"
#include "engine/workflow_private.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(saga_workflow_version);

typedef struct MachineKey
{
	int32		workflow_id;
	int32		version;
} MachineKey;

typedef struct Machine
{
	SagaCached	cached;
	SagaMachine *machine;
	List	   *references;		/* of SagaReference: what its names meant when it was made */
	TimestampTz used_at;		/* of the monotonic clock */
} Machine;

/* A machine that no run has asked for is kept so long: versions come and go. */
#define MACHINE_KEPT_US	(5 * 60 * USECS_PER_SEC)
#define MACHINE_LOOK_US	(60 * USECS_PER_SEC)

static SagaStatement load_stmt = {
	.sql = "SELECT name, owner::oid, version FROM saga.workflow WHERE workflow_id = $workflow_id",
	.read_only = true,
	.limit = 1
};

static SagaStatement definition_stmt = {
	.sql = "SELECT definition FROM saga.workflow_version WHERE workflow_id = $workflow_id AND version = $version",
	.read_only = true,
	.limit = 1
};

static void *
load_workflow(const void *key, MemoryContext own)
{
	int32		workflow_id = *(const int32 *) key;
	SagaRows   *rows = saga_query(&load_stmt, saga_param_int4("workflow_id", workflow_id));
	SagaWorkflow *workflow;

	if (!saga_rows_next(rows))
		return NULL;
	workflow = MemoryContextAlloc(own, sizeof(SagaWorkflow));
	workflow->workflow_id = workflow_id;
	workflow->name = MemoryContextStrdup(own, saga_column_text(rows, "name"));
	workflow->owner = saga_column_oid(rows, "owner");
	workflow->version = saga_column_int4(rows, "version");
	return workflow;
}

static SagaTableWatch workflow_watch = {.table = "workflow"};
static SagaTableCache workflows = {
	.name = "workflows", .watch = &workflow_watch, .keysize = sizeof(int32), .load = load_workflow, .small = true
};

const SagaWorkflow *
saga_workflow_by_id(int32 workflow_id, bool missing_ok)
{
	const SagaWorkflow *workflow = saga_cache_get(&workflows, &workflow_id);

	if (workflow == NULL && !missing_ok)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("workflow %d does not exist", workflow_id)));
	return workflow;
}

const SagaWorkflow *
saga_workflow_find(const char *text, int rights, bool missing_ok)
{
	SagaObject	object;
	const SagaWorkflow *workflow = NULL;

	if (saga_name_object_find(SAGA_OBJECT_WORKFLOW, text, GetUserId(), rights, &object))
		workflow = saga_workflow_by_id(object.id, true);
	if (workflow == NULL && !missing_ok)
		saga_name_object_missing(SAGA_OBJECT_WORKFLOW, text, GetUserId(), rights);
	return workflow;
}

bool
saga_workflow_may(const SagaWorkflow *workflow, int rights)
{
	SagaObject	object = {SAGA_OBJECT_WORKFLOW, workflow->workflow_id, workflow->owner};

	return saga_name_object_may(&object, GetUserId(), rights);
}

int
saga_engine_version(int32 workflow_id)
{
	return saga_workflow_by_id(workflow_id, false)->version;
}

const SagaWorkflow *
saga_workflow_lock(int32 workflow_id, const char *text, bool exclusive)
{
	const SagaWorkflow *workflow;

	if (exclusive)
		saga_queue_lock_exclusive(workflow_id, "workflow", text);
	else
		(void) saga_queue_lock(saga_queue_by_id(workflow_id, false));

	/* the lock read the invalidations of whoever had it */
	workflow = saga_workflow_by_id(workflow_id, true);
	if (workflow == NULL || !has_privs_of_role(GetUserId(), workflow->owner))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("workflow \"%s\" does not exist any more", text)));
	return workflow;
}

/* ---------- machines ---------- */

Jsonb *
saga_workflow_definition(int32 workflow_id, int version)
{
	SagaRows   *rows = saga_query(&definition_stmt, saga_param_int4("workflow_id", workflow_id),
								  saga_param_int4("version", version));

	if (!saga_rows_next(rows))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("version %d of workflow %d is not stored", version, workflow_id)));
	return saga_column_jsonb(rows, "definition");
}

static void *
load_machine(const void *key, MemoryContext own)
{
	const MachineKey *wanted = key;
	List	   *diagnostics = NIL;
	Jsonb	   *definition = saga_workflow_definition(wanted->workflow_id, wanted->version);
	MemoryContext old = MemoryContextSwitchTo(own);
	Machine    *machine = palloc0(sizeof(Machine));

	machine->machine = saga_machine_compile(definition, &diagnostics);
	if (machine->machine == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("stored version %d of workflow %d is not valid", wanted->version, wanted->workflow_id)));
	machine->references = saga_reference_load(wanted->workflow_id, wanted->version);
	MemoryContextSwitchTo(old);
	return machine;
}

/* A vacuum of the table, or a full invalidation queue, drops them too. */
static SagaTableWatch version_watch = {.table = "workflow_version"};
static SagaTableCache machines = {
	.name = "machines", .watch = &version_watch, .keysize = sizeof(MachineKey), .load = load_machine, .outlives = true
};

static bool
is_unused(const void *machine)
{
	return saga_monotonic_now() - ((const Machine *) machine)->used_at > MACHINE_KEPT_US;
}

void
saga_workflow_begin_batch(void)
{
	static TimestampTz look_at = 0;
	TimestampTz now = saga_monotonic_now();

	saga_cache_free_dropped(&machines);
	if (now < look_at)
		return;
	look_at = now + MACHINE_LOOK_US;
	saga_cache_free_if(&machines, is_unused);
}

static Machine *
find_machine(int32 workflow_id, int version)
{
	MachineKey	key = {workflow_id, version};
	Machine    *machine = saga_cache_get(&machines, &key);

	machine->used_at = saga_monotonic_now();
	return machine;
}

const SagaMachine *
saga_workflow_machine(int32 workflow_id, int version)
{
	return find_machine(workflow_id, version)->machine;
}

int32
saga_workflow_meant(int32 workflow_id, int version, SagaObjectKind kind, const char *name)
{
	ListCell   *lc;

	foreach(lc, find_machine(workflow_id, version)->references)
	{
		const SagaReference *reference = lfirst(lc);

		if (reference->kind == kind && strcmp(reference->name, name) == 0)
			return reference->id;
	}
	return 0;
}

/* ---------- versions ---------- */

bool
saga_workflow_has_version(const SagaWorkflow *workflow, int version)
{
	static SagaStatement stmt = {
		.sql = "SELECT FROM saga.workflow_version v JOIN saga.workflow w USING (workflow_id)"
		" WHERE workflow_id = $workflow_id AND v.version = $version AND v.version >= w.oldest"
	};

	return saga_run(&stmt, saga_param_int4("workflow_id", workflow->workflow_id),
					saga_param_int4("version", version)) > 0;
}

void
saga_workflow_check_version(const SagaWorkflow *workflow, int version)
{
	if (!saga_workflow_has_version(workflow, version))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("workflow \"%s\" has no version %d", workflow->name, version),
				 version < 1 || version > workflow->version ? 0 :
				 errdetail("It was made for another owner, before the workflow was given to this one.")));
}

Datum
saga_workflow_version(PG_FUNCTION_ARGS)
{
	const SagaWorkflow *workflow = saga_workflow_find(text_to_cstring(PG_GETARG_TEXT_PP(0)),
													  SAGA_RIGHT_START | SAGA_RIGHT_OPERATE | SAGA_RIGHT_READ, true);

	if (workflow == NULL)
		PG_RETURN_NULL();
	PG_RETURN_INT32(workflow->version);
}
