/*
 * binding.c
 *		What an ARN in a definition stands for here.
 *
 * A binding decides which function runs as the workflow's owner, so only the
 * owner's own count, and those of the owners in his pg_saga.owner_path.  A
 * function name, or an ARN that ends in ":function:NAME", finds the binding of
 * any ARN of that function: definitions name it either way, or by the end of
 * its ARN, "account:function:NAME".  A version or an
 * alias of a function (":function:NAME:3", "NAME:live") that is not bound is
 * the function.
 */
#include "postgres.h"

#include "common/statement.h"
#include "engine/workflow_private.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(saga_bind_resource);

#define MAX_ARN_BYTES 2048

static SagaStatement by_arn_stmt = {
	.sql = "SELECT resource_id, resource FROM saga.resource WHERE created_by = $created_by AND arn = $arn",
	.read_only = true,
	.limit = 1
};
static SagaStatement by_function_stmt = {
	.sql = "SELECT resource_id, resource FROM saga.resource"
	" WHERE created_by = $created_by AND function_name = $function_name AND right(arn, length($ending)) = $ending"
	" ORDER BY arn LIMIT 1",
	.read_only = true,
	.limit = 1
};
static SagaStatement by_id_stmt = {
	.sql = "SELECT resource_id, resource FROM saga.resource WHERE resource_id = $resource_id",
	.read_only = true,
	.limit = 1
};
static SagaStatement update_stmt = {
	.sql = "UPDATE saga.resource SET resource = $resource WHERE arn = $arn AND created_by = $created_by"
};
static SagaStatement upsert_stmt = {
	.sql = "INSERT INTO saga.resource (arn, resource, created_by) VALUES ($arn, $resource, $created_by::regrole)"
	" ON CONFLICT (created_by, arn) DO UPDATE SET resource = excluded.resource"
};

/*
 * The first row of a statement, as a resource in the caller's memory.  What was bound
 * anew counts at once, for a transaction with an old snapshot too.
 */
static const SagaResource *
read_resource(SagaStatement *stmt, const SagaParam *params, int32 *resource_id)
{
	SagaResource *resource = NULL;
	SagaRows   *rows;

	PushActiveSnapshot(GetLatestSnapshot());
	rows = saga_statement_query(stmt, params);
	PopActiveSnapshot();
	if (saga_rows_next(rows))
	{
		resource = palloc(sizeof(SagaResource));
		*resource_id = saga_column_int4(rows, "resource_id");
		if (!saga_resource_parse(saga_column_text(rows, "resource"), resource))
			resource = NULL;
	}
	saga_rows_free(rows);
	return resource;
}

const SagaResource *
saga_binding_by_id(int32 resource_id)
{
	const SagaParam params[] = {saga_param_int4("resource_id", resource_id), {.name = NULL}};

	return read_resource(&by_id_stmt, params, &resource_id);
}

/* The same without the version or alias; NULL: it has none. */
static char *
unqualified(const char *arn, bool by_function_name)
{
	static const char function[] = ":function:";
	const char *name = strstr(arn, function);
	const char *qualifier;

	if (name != NULL)
		name += strlen(function);
	else if (by_function_name && strncmp(arn, "arn:", 4) != 0)
		name = arn;
	else
		return NULL;
	qualifier = strchr(name, ':');
	return qualifier == NULL || qualifier == name ? NULL : pnstrdup(arn, qualifier - arn);
}

/* The NAME of "account:function:NAME"; of anything else the whole. */
static const char *
function_of(const char *arn)
{
	const char *name = strstr(arn, ":function:");

	return name != NULL && strspn(arn, "0123456789") == name - arn ? name + strlen(":function:") : arn;
}

static const SagaResource *
find_exactly(const char *arn, bool by_function_name, Oid owner, int32 *resource_id)
{
	const SagaParam params[] = {
		saga_param_oid("created_by", owner),
		saga_param_text("arn", arn),
		saga_param_text("function_name", function_of(arn)),
		saga_param_text("ending", function_of(arn) == arn ? "" : psprintf(":%s", arn)),
		{.name = NULL}
	};
	const SagaResource *resource = read_resource(&by_arn_stmt, params, resource_id);

	if (resource == NULL && by_function_name)
		resource = read_resource(&by_function_stmt, params, resource_id);
	return resource;
}

static const SagaResource *
find_of_owner(const char *arn, bool by_function_name, Oid owner, int32 *resource_id)
{
	const SagaResource *resource = find_exactly(arn, by_function_name, owner, resource_id);
	char	   *function;

	if (resource != NULL)
		return resource;
	function = unqualified(arn, by_function_name);
	return function != NULL ? find_exactly(function, by_function_name, owner, resource_id) : NULL;
}

const SagaResource *
saga_binding_of(const char *arn, bool by_function_name, Oid owner, int32 *resource_id)
{
	const SagaResource *resource = find_of_owner(arn, by_function_name, owner, resource_id);
	ListCell   *lc;

	if (resource != NULL)
		return resource;
	foreach(lc, saga_name_owner_path(owner))
	{
		resource = find_of_owner(arn, by_function_name, lfirst_oid(lc), resource_id);
		if (resource != NULL)
			return resource;
	}
	return NULL;
}

const SagaResource *
saga_binding_find(const char *arn, bool by_function_name, Oid owner, int32 *resource_id)
{
	const SagaResource *resource = saga_binding_of(arn, by_function_name, owner, resource_id);

	if (resource == NULL && by_function_name)
		resource = saga_binding_of(SAGA_LAMBDA_INVOKE, false, owner, resource_id);
	return resource;
}

/* What counts is how many bindings there are: one that changes is not counted again. */
static void
bind(const char *arn, const char *resource, Oid owner)
{
	const SagaParam params[] = {
		saga_param_text("resource", resource),
		saga_param_text("arn", arn),
		saga_param_oid("created_by", owner),
		{.name = NULL}
	};

	if (saga_statement_run(&update_stmt, params) > 0)
		return;
	saga_name_object_check_count(SAGA_OBJECT_BINDING, owner);
	saga_statement_run(&upsert_stmt, params);
}

/* bind_resource(arn text, resource text) returns void */
Datum
saga_bind_resource(PG_FUNCTION_ARGS)
{
	char	   *arn = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *target = text_to_cstring(PG_GETARG_TEXT_PP(1));
	SagaResource resource;

	if (!saga_resource_parse(target, &resource) || resource.kind == SAGA_RES_OTHER ||
		resource.kind == SAGA_RES_ACTIVITY ||
		(resource.kind == SAGA_RES_SQL && strchr(resource.name, '.') == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not a resource that can be called here", target),
				 errhint("Use sql:schema.function, or one of the service integrations.")));
	if (strlen(arn) > MAX_ARN_BYTES || strlen(target) > MAX_ARN_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("an ARN and a resource have at most %d bytes", MAX_ARN_BYTES)));
	bind(arn, target, GetUserId());
	PG_RETURN_VOID();
}
