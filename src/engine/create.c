/*
 * create.c
 *		Making workflows and their versions: a definition is checked, stored, and
 *		what its names mean with it.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "common/clock.h"
#include "common/statement.h"
#include "common/table_cache.h"
#include "engine/engine_private.h"
#include "engine/workflow_private.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(saga_create_workflow);
PG_FUNCTION_INFO_V1(saga_create_workflow_for);

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

/* Inserts the workflow, version 1, with its queue; returns its id. */
static int32
insert_workflow(const char *name, Oid owner)
{
	static SagaStatement stmt = {
		.sql = "INSERT INTO saga.workflow (workflow_id, name, owner, version)"
		" VALUES ($workflow_id, $name, $owner::regrole, 1)"
	};
	int32		workflow_id = saga_queue_create(name, SAGA_QUEUE_WORKFLOW, owner, NULL);

	saga_run(&stmt, saga_param_int4("workflow_id", workflow_id), saga_param_text("name", name),
			 saga_param_oid("owner", owner));
	return workflow_id;
}

/* The next version of a workflow that is there. */
static int
next_version(int32 workflow_id, const char *name)
{
	static SagaStatement stmt = {
		.sql = "UPDATE saga.workflow SET version = version + 1 WHERE workflow_id = $workflow_id RETURNING version"
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_int4("workflow_id", workflow_id));

	/*
	 * workflows are not dropped: it was made after the snapshot of a
	 * REPEATABLE READ transaction
	 */
	if (!saga_rows_next(rows))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent creation of workflow \"%s\"", name),
				 errhint("The transaction might succeed if retried.")));
	return saga_column_int4(rows, "version");
}

static void
insert_version(int32 workflow_id, int version, Jsonb *definition, Oid owner)
{
	static SagaStatement stmt = {
		.sql = "INSERT INTO saga.workflow_version (workflow_id, version, definition, created_by)"
		" VALUES ($workflow_id, $version, $definition, $created_by)"
	};

	saga_run(&stmt, saga_param_int4("workflow_id", workflow_id), saga_param_int4("version", version),
			 saga_param_jsonb("definition", definition),
			 saga_param_text("created_by", GetUserNameFromId(GetUserId(), false)));
	saga_reference_store(workflow_id, version, definition, owner);
}

int
saga_workflow_add_version(int32 workflow_id, const char *name, Jsonb *definition)
{
	const SagaWorkflow *workflow = saga_workflow_lock(workflow_id, name, false);
	Oid			owner = workflow->owner;
	int			version = next_version(workflow_id, name);

	insert_version(workflow_id, version, definition, owner);
	return version;
}

/* Whoever runs it compiles it, and processes of all owners read of it. */
static void
check_size(const char *name, Jsonb *definition)
{
	if (VARSIZE(definition) > SAGA_MAX_DEFINITION)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the definition of workflow \"%s\" is too large", name),
				 errdetail("It takes %zu bytes, more than %d.", (Size) VARSIZE(definition), SAGA_MAX_DEFINITION),
				 errhint("Put data into the input or into tables, and parts of the work into workflows of their own.")));
}

List *
saga_workflow_check(const char *name, Jsonb *definition)
{
	List	   *diagnostics = NIL;
	SagaMachine *machine;

	if (name[0] == '\0' || pg_mbstrlen(name) > SAGA_MAX_NAME_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("workflow name must have 1 to %d characters", SAGA_MAX_NAME_LENGTH)));
	check_size(name, definition);
	machine = saga_machine_compile(definition, &diagnostics);
	if (machine == NULL)
		report_diagnostics(name, diagnostics);
	check_resources(name, machine);
	return diagnostics;
}

/*
 * A workflow of "owner", for whom the caller may do that; for InvalidOid it is the
 * caller's, or one that he names with its owner.
 */
int
saga_workflow_create(const char *name, Jsonb *definition, Oid owner, bool quiet)
{
	SagaObject	object;
	int			version = 1;
	bool		exists;

	(void) saga_workflow_check(name, definition);

	exists = OidIsValid(owner) ? saga_name_object_find_own(SAGA_OBJECT_WORKFLOW, name, owner, &object) :
		saga_name_object_find_to_replace(SAGA_OBJECT_WORKFLOW, name, GetUserId(), &object);
	if (!exists)
		saga_name_object_check_new_name(SAGA_OBJECT_WORKFLOW, name);
	if (!OidIsValid(owner))
		owner = exists ? object.owner : GetUserId();
	if (exists)
		version = saga_workflow_add_version(object.id, name, definition);
	else
		insert_version(insert_workflow(name, owner), version, definition, owner);
	if (!quiet)
		saga_unbound_report(NOTICE, name, saga_unbound_find(definition, owner));
	return version;
}

/* create_workflow(name text, definition jsonb) returns integer */
Datum
saga_create_workflow(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(saga_workflow_create(text_to_cstring(PG_GETARG_TEXT_PP(0)), PG_GETARG_JSONB_P(1), InvalidOid, false));
}

/* create_workflow(name text, definition jsonb, owner regrole) returns integer */
Datum
saga_create_workflow_for(PG_FUNCTION_ARGS)
{
	Oid			owner = PG_GETARG_OID(2);

	saga_name_object_check_new_owner(owner);
	PG_RETURN_INT32(saga_workflow_create(text_to_cstring(PG_GETARG_TEXT_PP(0)), PG_GETARG_JSONB_P(1), owner, false));
}
