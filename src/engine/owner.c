/*
 * owner.c
 *		Giving a workflow to another role.
 *
 * Its steps have the rights of the new owner from then on, so nothing of it may
 * be what he, or who gives it, has not seen: not the newest definition, not an
 * older one that still runs or has something to undo, not what its names meant for the former owner, and
 * not whom that one granted rights.
 */
#include "postgres.h"

#include "common/statement.h"
#include "engine/workflow_private.h"
#include "miscadmin.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(saga_set_workflow_owner);

/*
 * The hash of the newest definition, as saga.workflows shows it.  Whoever was waited for has changed what
 * there is: it is looked at as it is now, whatever the isolation level.
 */
static char *
definition_hash(int32 workflow_id)
{
	static SagaStatement stmt = {
		.sql = "SELECT encode(sha256(convert_to(v.definition::text, 'UTF8')), 'hex') AS hash"
		" FROM saga.workflow w JOIN saga.workflow_version v USING (workflow_id, version)"
		" WHERE w.workflow_id = $workflow_id",
		.read_only = true,
		.limit = 1
	};
	SagaRows   *rows;

	PushActiveSnapshot(GetLatestSnapshot());
	rows = saga_query(&stmt, saga_param_int4("workflow_id", workflow_id));
	PopActiveSnapshot();
	return saga_rows_next(rows) ? saga_column_text(rows, "hash") : "";
}

/*
 * The hash is of the newest definition: nothing that runs, or can be brought to run, may have another one,
 * whose steps would be the new owner's too.  What has ended is brought to run by whoever settles what it has
 * left: its handlers are those of its own version.  Nobody starts or settles anything, as the queue is locked.
 */
static void
check_versions(const char *name, int32 workflow_id, int version)
{
	static SagaStatement stmt = {
		.sql = "SELECT FROM saga.continuation WHERE workflow_id = $workflow_id AND version <> $version LIMIT 1",
		.read_only = true,
		.limit = 1
	};
	static SagaStatement left_stmt = {
		.sql = "SELECT execution_id FROM saga.execution WHERE workflow_id = $workflow_id AND version <> $version"
		" AND left_over IS NOT NULL ORDER BY execution_id LIMIT 1",
		.read_only = true,
		.limit = 1
	};

	/* up to whoever runs, and would undo all below him if he failed */
	static SagaStatement child_stmt = {
		.sql = "WITH RECURSIVE needed AS (SELECT e.execution_id, c.children_id, c.parent_id FROM saga.execution e JOIN saga.children c USING (children_id)"
		" WHERE e.workflow_id = $workflow_id AND e.version <> $version AND e.undo IS NOT NULL"
		" UNION SELECT n.execution_id, c.children_id, c.parent_id FROM needed n JOIN saga.execution p ON p.execution_id = n.parent_id"
		" JOIN saga.children c ON c.children_id = p.children_id)"
		" SELECT n.execution_id FROM needed n WHERE EXISTS (SELECT FROM saga.continuation k WHERE k.execution_id = n.parent_id)"
		" OR EXISTS (SELECT FROM saga.children c WHERE c.children_id = n.children_id AND c.phase = 'c') LIMIT 1",
		.read_only = true,
		.limit = 1
	};
	SagaParam	params[] = {saga_param_int4("workflow_id", workflow_id), saga_param_int4("version", version), {.name = NULL}};
	SagaRows   *left;
	SagaRows   *child;
	bool		runs;

	PushActiveSnapshot(GetLatestSnapshot());
	runs = saga_queue_has_other_version(workflow_id, version) || saga_statement_run(&stmt, params) > 0;
	left = saga_statement_query(&left_stmt, params);
	child = saga_statement_query(&child_stmt, params);
	PopActiveSnapshot();
	if (runs)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("workflow \"%s\" has executions of an older version than that of the hash", name),
				 errdetail("They would go on with the rights of the new owner."),
				 errhint("Let them end, or stop them with saga.stop_execution.")));
	if (saga_rows_next(left))
	{
		pg_uuid_t	id = saga_column_uuid(left, "execution_id");

		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("workflow \"%s\" has executions of an older version than that of the hash, which have left something to be undone",
						name),
				 errdetail("Their handlers would run with the rights of the new owner. One of them is %s.",
						   saga_uuid_to_cstring(&id)),
				 errhint("Settle what not_compensated of saga.executions shows of each, or close all of one with saga.settle(execution_id, 'unknown').")));
	}
	if (saga_rows_next(child))
	{
		pg_uuid_t	id = saga_column_uuid(child, "execution_id");

		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("workflow \"%s\" has executions of an older version than that of the hash, which are undone if their parents fail",
						name),
				 errdetail("Their handlers would run with the rights of the new owner. One of them is %s.",
						   saga_uuid_to_cstring(&id)),
				 errhint("Let those that have started them end: saga.executions shows them in started_by.")));
	}
}

/* What the names in each definition mean for the new owner, who is not to run what the former one meant. */
static void
resolve_again(int32 workflow_id, Oid owner)
{
	static SagaStatement stmt = {
		.sql = "SELECT version, definition FROM saga.workflow_version WHERE workflow_id = $workflow_id ORDER BY version"
	};
	SagaRows   *rows;
	MemoryContext context;
	MemoryContext old;

	saga_reference_forget(workflow_id);
	rows = saga_query(&stmt, saga_param_int4("workflow_id", workflow_id));
	context = AllocSetContextCreate(CurrentMemoryContext, "pg_saga references", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	while (saga_rows_next(rows))
	{
		CHECK_FOR_INTERRUPTS();
		saga_reference_store(workflow_id, saga_column_int4(rows, "version"), saga_column_jsonb(rows, "definition"), owner);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	saga_rows_free(rows);
	/* machines are kept with what their names mean */
	CacheInvalidateRelcacheByRelid(saga_relation_oid("workflow_version"));
}

/*
 * set_workflow_owner(name text, role regrole, definition_hash text) returns void
 *
 * As ALTER ... OWNER TO: the caller owns it and could become the new owner,
 * so that nobody can make another role run a definition of theirs.  Who is not
 * himself the owner says which definition he means: it may be the work of somebody
 * whom the new owner should not trust.  Waits for batches that run in a session of
 * the owner before.
 */
Datum
saga_set_workflow_owner(PG_FUNCTION_ARGS)
{
	static SagaStatement workflow_stmt = {
		.sql = "UPDATE saga.workflow SET owner = $owner::regrole, oldest = version WHERE workflow_id = $workflow_id"
	};
	char	   *name;
	char	   *given;
	Oid			role;
	Oid			owner;
	const SagaWorkflow *workflow;
	int32		workflow_id;
	int			version;

	/* the function of 0.1 was STRICT and had two arguments */
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_VOID();
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	role = PG_GETARG_OID(1);
	saga_name_object_check_new_owner(role);
	given = PG_NARGS() < 3 || PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	workflow = saga_workflow_lock(saga_workflow_find(name, SAGA_RIGHT_OWN, false)->workflow_id, name, true);
	workflow_id = workflow->workflow_id;
	owner = workflow->owner;
	version = workflow->version;
	saga_name_object_check_hash(SAGA_OBJECT_WORKFLOW, name, owner, definition_hash(workflow_id), given);
	if (given != NULL)
		check_versions(name, workflow_id, version);
	if (owner != role)
	{
		saga_queue_set_owner(workflow_id, role);
		saga_run(&workflow_stmt, saga_param_int4("workflow_id", workflow_id), saga_param_oid("owner", role));
		resolve_again(workflow_id, role);
		saga_name_object_forget_grants(SAGA_OBJECT_WORKFLOW, workflow_id);
		saga_alias_forget(workflow_id);
	}
	PG_RETURN_VOID();
}
