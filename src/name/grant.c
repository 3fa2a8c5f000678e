/*
 * grant.c
 *		saga.grant and saga.revoke: the owner of an object gives a right on it to
 *		another role, or takes it back.
 */
#include "postgres.h"

#include "common/statement.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "name/name_private.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(saga_grant);
PG_FUNCTION_INFO_V1(saga_revoke);

static SagaStatement grant_stmt = {
	.sql = "INSERT INTO saga.object_grant (kind, object_id, role, \"right\", granted_by)"
	" VALUES ($kind, $id, $role::regrole, $right, $granted_by::regrole) ON CONFLICT DO NOTHING"
};
static SagaStatement revoke_stmt = {
	.sql = "DELETE FROM saga.object_grant WHERE kind = $kind AND object_id = $id AND role = $role AND \"right\" = $right"
};

/* Whoever drops it, or gives it another owner, waits for the grant and ends it. */
#define OWNER(table, id) {.sql = "SELECT owner::oid FROM saga." table " WHERE " id " = $id FOR KEY SHARE"}

static SagaStatement owner_stmts[SAGA_OBJECT_KINDS] = {
	[SAGA_OBJECT_QUEUE] = OWNER("queue", "queue_id"),
	[SAGA_OBJECT_WORKFLOW] = OWNER("workflow", "workflow_id"),
	[SAGA_OBJECT_DESTINATION] = OWNER("destination", "destination_id"),
	[SAGA_OBJECT_SOURCE] = OWNER("source", "source_id"),
	[SAGA_OBJECT_SECRET] = OWNER("secret", "secret_id"),
	[SAGA_OBJECT_ACTIVITY] = OWNER("queue", "queue_id")
};

/* Who is told of what was taken back.  Set from _PG_init. */
static SagaObjectRevoked listeners[4];
static int	nlisteners = 0;

void
saga_name_object_on_revoke(SagaObjectRevoked revoked)
{
	Assert(nlisteners < lengthof(listeners));
	listeners[nlisteners++] = revoked;
}

/* A binding is only a name for a resource, and nobody has rights on it. */
static SagaObjectKind
kind_argument(const char *name)
{
	int			kind;

	for (kind = 0; kind < SAGA_OBJECT_KINDS; kind++)
		if (saga_name_rights_on(kind) != 0 && strcmp(saga_name_object_kind_name(kind), name) == 0)
			return kind;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized kind of object: \"%s\"", name),
			 errhint("Kinds are \"workflow\", \"queue\", \"destination\", \"activity\", \"source\" and \"secret\".")));
}

/* Raises for a right that means nothing on this kind of object, and says which do. */
static void
check_right(SagaObjectKind kind, const char *name)
{
	int			possible = saga_name_rights_on(kind);

	if ((saga_name_right(name) & possible) != 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" is no right on %s %s", name, kind == SAGA_OBJECT_ACTIVITY ? "an" : "a",
					saga_name_object_kind_name(kind)),
			 errhint("Rights on it: %s.", saga_name_list_rights(possible))));
}

/* The arguments of both.  The object stays as it is until the end of the transaction. */
typedef struct Grant
{
	SagaObjectKind kind;
	int32		id;
	Oid			role;
	char	   *right;
} Grant;

/* Reads the arguments, and locks the row of the object against being dropped or given away. */
static Grant
grant_arguments(FunctionCallInfo fcinfo)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Grant		grant;
	SagaObject	object;
	SagaRows   *rows;

	grant.kind = kind_argument(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	grant.role = PG_GETARG_OID(2);
	grant.right = text_to_cstring(PG_GETARG_TEXT_PP(3));
	check_right(grant.kind, grant.right);
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(grant.role)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role with OID %u does not exist", grant.role)));
	/* the queue of a workflow is no queue here */
	if (!saga_name_object_find(grant.kind, name, GetUserId(), SAGA_RIGHT_OWN, &object) || object.kind != grant.kind)
		saga_name_object_missing(grant.kind, name, GetUserId(), SAGA_RIGHT_OWN);
	grant.id = object.id;
	rows = saga_query(&owner_stmts[grant.kind], saga_param_int4("id", object.id));
	/* it may have been given away meanwhile */
	if (!saga_rows_next(rows) || saga_column_oid(rows, "owner") != object.owner)
		saga_name_object_missing(grant.kind, name, GetUserId(), SAGA_RIGHT_OWN);
	return grant;
}

/* grant(kind text, name text, role regrole, "right" text) returns void */
Datum
saga_grant(PG_FUNCTION_ARGS)
{
	Grant		grant = grant_arguments(fcinfo);

	saga_run(&grant_stmt, saga_param_text("kind", saga_name_object_kind_name(grant.kind)), saga_param_int4("id", grant.id),
			 saga_param_oid("role", grant.role), saga_param_text("right", grant.right),
			 saga_param_oid("granted_by", GetUserId()));
	PG_RETURN_VOID();
}

/* revoke(kind text, name text, role regrole, "right" text) returns void */
Datum
saga_revoke(PG_FUNCTION_ARGS)
{
	Grant		grant = grant_arguments(fcinfo);

	/* whoever is told reads much anew, of all owners: not for nothing */
	if (saga_run(&revoke_stmt, saga_param_text("kind", saga_name_object_kind_name(grant.kind)), saga_param_int4("id", grant.id),
				 saga_param_oid("role", grant.role), saga_param_text("right", grant.right)) == 0)
		PG_RETURN_VOID();
	for (int i = 0; i < nlisteners; i++)
		listeners[i] (grant.kind);
	PG_RETURN_VOID();
}
