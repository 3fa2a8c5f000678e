/*
 * right.c
 *		saga.grant and saga.revoke: rights on an object that its owner gives to
 *		other roles.
 *
 * They are rows of saga.object_grant, looked up when somebody uses what is not
 * his own.  They end with the object, and when it gets another owner, who has
 * not seen what the former one granted.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/statement.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "name/name.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(saga_grant);
PG_FUNCTION_INFO_V1(saga_revoke);

static const struct
{
	const char *name;
	SagaRight	right;
}			right_names[] = {
	{"start", SAGA_RIGHT_START},
	{"operate", SAGA_RIGHT_OPERATE},
	{"read", SAGA_RIGHT_READ},
	{"use", SAGA_RIGHT_USE}
};

/* Which of them mean something; a binding is only a name for a resource. */
static const int rights_of_kind[SAGA_OBJECT_KINDS] = {
	[SAGA_OBJECT_QUEUE] = SAGA_RIGHT_USE | SAGA_RIGHT_OPERATE | SAGA_RIGHT_READ,
	[SAGA_OBJECT_WORKFLOW] = SAGA_RIGHT_START | SAGA_RIGHT_OPERATE | SAGA_RIGHT_READ,
	[SAGA_OBJECT_DESTINATION] = SAGA_RIGHT_USE | SAGA_RIGHT_OPERATE | SAGA_RIGHT_READ,
	[SAGA_OBJECT_SOURCE] = SAGA_RIGHT_OPERATE | SAGA_RIGHT_READ,
	[SAGA_OBJECT_SECRET] = SAGA_RIGHT_USE
};

static SagaStatement granted_stmt = {
	.sql = "SELECT role::oid, \"right\" FROM saga.object_grant WHERE kind = $kind AND object_id = $id",
	.read_only = true
};
static SagaStatement grant_stmt = {
	.sql = "INSERT INTO saga.object_grant (kind, object_id, role, \"right\", granted_by)"
	" VALUES ($kind, $id, $role::regrole, $right, $granted_by::regrole) ON CONFLICT DO NOTHING"
};
static SagaStatement revoke_stmt = {
	.sql = "DELETE FROM saga.object_grant WHERE kind = $kind AND object_id = $id AND role = $role AND \"right\" = $right"
};
static SagaStatement forget_stmt = {
	.sql = "DELETE FROM saga.object_grant WHERE kind = $kind AND object_id = $id"
};

/* Whoever drops it, or gives it another owner, waits for the grant and ends it. */
#define OWNER(table, id) {.sql = "SELECT owner::oid FROM saga." table " WHERE " id " = $id FOR KEY SHARE"}

static SagaStatement owner_stmts[SAGA_OBJECT_KINDS] = {
	[SAGA_OBJECT_QUEUE] = OWNER("queue", "queue_id"),
	[SAGA_OBJECT_WORKFLOW] = OWNER("workflow", "workflow_id"),
	[SAGA_OBJECT_DESTINATION] = OWNER("destination", "destination_id"),
	[SAGA_OBJECT_SOURCE] = OWNER("source", "source_id"),
	[SAGA_OBJECT_SECRET] = OWNER("secret", "secret_id")
};


/* Who is told of what was taken back. Set from _PG_init. */
static SagaObjectRevoked listeners[4];
static int	nlisteners = 0;


void
saga_object_on_revoke(SagaObjectRevoked revoked)
{
	Assert(nlisteners < lengthof(listeners));
	listeners[nlisteners++] = revoked;
}

static int
right_by_name(const char *name)
{
	int			i;

	for (i = 0; i < lengthof(right_names); i++)
		if (strcmp(right_names[i].name, name) == 0)
			return right_names[i].right;
	return 0;
}

/* What was taken back is gone for old snapshots too. */
static SagaRows *
read_grants(SagaObjectKind kind, int32 id)
{
	SagaRows   *rows;

	PushActiveSnapshot(GetLatestSnapshot());
	rows = saga_query(&granted_stmt, saga_param_text("kind", saga_object_kind_name(kind)), saga_param_int4("id", id));
	PopActiveSnapshot();
	return rows;
}

bool
saga_object_may(const SagaObject *object, Oid user, int rights)
{
	SagaRows   *rows;
	bool		may = false;

	if (has_privs_of_role(user, object->owner))
		return true;
	if ((rights & rights_of_kind[object->kind]) == 0)
		return false;
	rows = read_grants(object->kind, object->id);
	while (!may && saga_next(rows))
	{
		Oid			role = saga_column_oid(rows, "role");

		may = (right_by_name(saga_column_text(rows, "right")) & rights) != 0 &&
			SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role)) && has_privs_of_role(user, role);
	}
	saga_rows_free(rows);
	return may;
}

void
saga_object_forget_grants(SagaObjectKind kind, int32 id)
{
	saga_run(&forget_stmt, saga_param_text("kind", saga_object_kind_name(kind)), saga_param_int4("id", id));
	/* one that was committed since our snapshot was taken */
	if (IsolationUsesXactSnapshot() && read_grants(kind, id)->count > 0)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update"),
				 errhint("The transaction might succeed if retried.")));
}

/* ---------- giving away ---------- */

void
saga_object_check_new_owner(Oid role)
{
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role with OID %u does not exist", role)));
	saga_check_can_set_role(GetUserId(), role);
}

void
saga_object_check_hash(SagaObjectKind kind, const char *name, Oid owner, const char *hash,
					   const char *given)
{
	if (given == NULL ? owner == GetUserId() : strcmp(given, hash) == 0)
		return;
	ereport(ERROR,
			(errcode(given == NULL ? ERRCODE_INVALID_PARAMETER_VALUE : ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 given == NULL ?
			 errmsg("%s \"%s\" belongs to role \"%s\", and is given away only with the hash of its definition",
					saga_object_kind_name(kind), name, GetUserNameFromId(owner, true)) :
			 errmsg("%s \"%s\" has another definition than that of the hash", saga_object_kind_name(kind), name),
			 errhint("Look at what it does before somebody else's rights do it, then pass the definition_hash that saga.%ss shows.",
					 saga_object_kind_name(kind))));
}

/* ---------- SQL ---------- */

static SagaObjectKind
kind_argument(const char *name)
{
	int			kind;

	for (kind = 0; kind < SAGA_OBJECT_KINDS; kind++)
		if (rights_of_kind[kind] != 0 && strcmp(saga_object_kind_name(kind), name) == 0)
			return kind;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized kind of object: \"%s\"", name),
			 errhint("Kinds are \"workflow\", \"queue\", \"destination\", \"source\" and \"secret\".")));
}

static void
check_right(SagaObjectKind kind, const char *name)
{
	StringInfoData hint;
	int			i;

	if ((right_by_name(name) & rights_of_kind[kind]) != 0)
		return;
	initStringInfo(&hint);
	for (i = 0; i < lengthof(right_names); i++)
		if ((right_names[i].right & rights_of_kind[kind]) != 0)
			appendStringInfo(&hint, "%s\"%s\"", hint.len > 0 ? ", " : "", right_names[i].name);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" is no right on a %s", name, saga_object_kind_name(kind)),
			 errhint("Rights on it: %s.", hint.data)));
}

/* The arguments of both.  The object stays as it is until the end of the transaction. */
typedef struct Grant
{
	SagaObjectKind kind;
	int32		id;
	Oid			role;
	char	   *right;
} Grant;

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
	if (!saga_object_find(grant.kind, name, GetUserId(), SAGA_RIGHT_OWN, &object) || object.kind != grant.kind)
		saga_object_missing(grant.kind, name, GetUserId(), SAGA_RIGHT_OWN);
	grant.id = object.id;
	rows = saga_query(&owner_stmts[grant.kind], saga_param_int4("id", object.id));
	/* it may have been given away meanwhile */
	if (!saga_next(rows) || saga_column_oid(rows, "owner") != object.owner)
		saga_object_missing(grant.kind, name, GetUserId(), SAGA_RIGHT_OWN);
	return grant;
}

/* grant(kind text, name text, role regrole, "right" text) returns void */
Datum
saga_grant(PG_FUNCTION_ARGS)
{
	Grant		grant = grant_arguments(fcinfo);

	saga_run(&grant_stmt, saga_param_text("kind", saga_object_kind_name(grant.kind)), saga_param_int4("id", grant.id),
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
	if (saga_run(&revoke_stmt, saga_param_text("kind", saga_object_kind_name(grant.kind)), saga_param_int4("id", grant.id),
				 saga_param_oid("role", grant.role), saga_param_text("right", grant.right)) == 0)
		PG_RETURN_VOID();
	for (int i = 0; i < nlisteners; i++)
		listeners[i] (grant.kind);
	PG_RETURN_VOID();
}
