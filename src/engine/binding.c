/*
 * binding.c
 *		What an ARN in a definition stands for here.
 *
 * A binding decides which function runs as the workflow's owner, so only the
 * owner's own count, and those of the owners in his pg_saga.owner_path.  A
 * function name, or an ARN that ends in ":function:NAME", finds the binding of
 * any ARN of that function: definitions name it either way.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "engine/engine_private.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(saga_bind_resource);

#define MAX_ARN_BYTES 2048

static SagaStmt by_arn_stmt = {
	"SELECT resource_id, resource FROM saga.resource WHERE created_by = $1 AND arn = $2",
	2, {OIDOID, TEXTOID}
};
static SagaStmt by_function_stmt = {
	"SELECT resource_id, resource FROM saga.resource WHERE created_by = $1 AND function_name = $2"
	" ORDER BY arn LIMIT 1",
	2, {OIDOID, TEXTOID}
};
static SagaStmt by_id_stmt = {
	"SELECT resource_id, resource FROM saga.resource WHERE resource_id = $1",
	1, {INT4OID}
};
static SagaStmt update_stmt = {
	"UPDATE saga.resource SET resource = $2 WHERE arn = $1 AND created_by = $3",
	3, {TEXTOID, TEXTOID, OIDOID}
};
static SagaStmt upsert_stmt = {
	"INSERT INTO saga.resource (arn, resource, created_by) VALUES ($1, $2, $3::regrole)"
	" ON CONFLICT (created_by, arn) DO UPDATE SET resource = excluded.resource",
	3, {TEXTOID, TEXTOID, OIDOID}
};


/* The first row of a statement, as a resource in the caller's memory. */
static const SagaResource *
read_resource(SagaStmt *stmt, Datum *values, int32 *resource_id)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext spi;
	SagaResource *resource = NULL;
	bool		isnull;

	SPI_connect();
	PushActiveSnapshot(GetLatestSnapshot());
	saga_execute(stmt, values, NULL, true, 1);
	PopActiveSnapshot();
	if (SPI_processed > 0)
	{
		spi = MemoryContextSwitchTo(context);
		resource = palloc(sizeof(SagaResource));
		*resource_id = DatumGetInt32(saga_result(0, 1, &isnull));
		if (!saga_resource_parse(TextDatumGetCString(saga_result(0, 2, &isnull)), resource))
			resource = NULL;
		MemoryContextSwitchTo(spi);
	}
	SPI_finish();
	return resource;
}

const SagaResource *
saga_binding_by_id(int32 resource_id)
{
	Datum		value = Int32GetDatum(resource_id);

	return read_resource(&by_id_stmt, &value, &resource_id);
}

static const SagaResource *
find_of_owner(const char *arn, bool by_function_name, Oid owner, int32 *resource_id)
{
	Datum		values[2];
	const SagaResource *resource;

	values[0] = ObjectIdGetDatum(owner);
	values[1] = CStringGetTextDatum(arn);
	resource = read_resource(&by_arn_stmt, values, resource_id);
	if (resource == NULL && by_function_name)
		resource = read_resource(&by_function_stmt, values, resource_id);
	return resource;
}

const SagaResource *
saga_binding_find(const char *arn, bool by_function_name, Oid owner, int32 *resource_id)
{
	const SagaResource *resource = find_of_owner(arn, by_function_name, owner, resource_id);
	ListCell   *lc;

	if (resource != NULL)
		return resource;
	foreach(lc, saga_owner_path(owner))
	{
		resource = find_of_owner(arn, by_function_name, lfirst_oid(lc), resource_id);
		if (resource != NULL)
			return resource;
	}
	return NULL;
}

/* bind_resource(arn text, resource text) returns void */
Datum
saga_bind_resource(PG_FUNCTION_ARGS)
{
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
	if (strlen(arn) > MAX_ARN_BYTES || strlen(target) > MAX_ARN_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("an ARN and a resource have at most %d bytes", MAX_ARN_BYTES)));
	SPI_connect();
	values[0] = CStringGetTextDatum(arn);
	values[1] = CStringGetTextDatum(target);
	values[2] = ObjectIdGetDatum(GetUserId());
	saga_execute(&update_stmt, values, NULL, false, 0);
	if (SPI_processed == 0)
	{
		saga_object_check_count(SAGA_OBJECT_BINDING, GetUserId());
		saga_execute(&upsert_stmt, values, NULL, false, 0);
	}
	SPI_finish();
	PG_RETURN_VOID();
}
