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
#include "catalog/pg_type.h"
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

static SagaStmt granted_stmt = {
	.sql = "SELECT role::oid, \"right\" FROM saga.object_grant WHERE kind = $1 AND object_id = $2",
	.nargs = 2,.argtypes = {TEXTOID, INT4OID}
};
static SagaStmt grant_stmt = {
	.sql = "INSERT INTO saga.object_grant (kind, object_id, role, \"right\", granted_by)"
	" VALUES ($1, $2, $3::regrole, $4, $5::regrole) ON CONFLICT DO NOTHING",
	.nargs = 5,.argtypes = {TEXTOID, INT4OID, OIDOID, TEXTOID, OIDOID}
};
static SagaStmt revoke_stmt = {
	.sql = "DELETE FROM saga.object_grant WHERE kind = $1 AND object_id = $2 AND role = $3 AND \"right\" = $4",
	.nargs = 4,.argtypes = {TEXTOID, INT4OID, OIDOID, TEXTOID}
};
static SagaStmt forget_stmt = {
	.sql = "DELETE FROM saga.object_grant WHERE kind = $1 AND object_id = $2",
	.nargs = 2,.argtypes = {TEXTOID, INT4OID}
};

/* Whoever drops it, or gives it another owner, waits for the grant and ends it. */
#define OWNER(table, id) \
	{.sql = "SELECT owner::oid FROM saga." table " WHERE " id " = $1 FOR KEY SHARE", .nargs = 1,.argtypes = {INT4OID}}

static SagaStmt owner_stmts[SAGA_OBJECT_KINDS] = {
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

bool
saga_object_may(const SagaObject *object, Oid user, int rights)
{
	Datum		values[2];
	bool		may = false;
	uint64		row;

	if (has_privs_of_role(user, object->owner))
		return true;
	if ((rights & rights_of_kind[object->kind]) == 0)
		return false;
	SPI_connect();
	values[0] = CStringGetTextDatum(saga_object_kind_name(object->kind));
	values[1] = Int32GetDatum(object->id);
	/* a right that was taken back is gone for old snapshots too */
	PushActiveSnapshot(GetLatestSnapshot());
	(void) saga_execute(&granted_stmt, values, NULL, true, 0);
	PopActiveSnapshot();
	for (row = 0; row < SPI_processed && !may; row++)
	{
		bool		isnull;
		Oid			role = DatumGetObjectId(saga_result(row, 1, &isnull));
		char	   *name = TextDatumGetCString(saga_result(row, 2, &isnull));

		may = (right_by_name(name) & rights) != 0 &&
			SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role)) && has_privs_of_role(user, role);
	}
	SPI_finish();
	return may;
}

void
saga_object_forget_grants(SagaObjectKind kind, int32 id)
{
	Datum		values[2];

	values[0] = CStringGetTextDatum(saga_object_kind_name(kind));
	values[1] = Int32GetDatum(id);
	(void) saga_execute(&forget_stmt, values, NULL, false, 0);
	if (!IsolationUsesXactSnapshot())
		return;
	/* one that was committed since our snapshot was taken */
	PushActiveSnapshot(GetLatestSnapshot());
	(void) saga_execute(&granted_stmt, values, NULL, true, 1);
	PopActiveSnapshot();
	if (SPI_processed > 0)
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

/*
 * The arguments of both: kind, name, role, right.  The object stays as it is until the
 * end of the transaction.  Needs SPI_connect.
 */
static SagaObjectKind
grant_arguments(FunctionCallInfo fcinfo, Datum *values)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	SagaObjectKind kind = kind_argument(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	SagaObject	object;
	bool		isnull;

	check_right(kind, text_to_cstring(PG_GETARG_TEXT_PP(3)));
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(PG_GETARG_OID(2))))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role with OID %u does not exist", PG_GETARG_OID(2))));
	/* the queue of a workflow is no queue here */
	if (!saga_object_find(kind, name, GetUserId(), SAGA_RIGHT_OWN, &object) || object.kind != kind)
		saga_object_missing(kind, name, GetUserId(), SAGA_RIGHT_OWN);
	values[0] = PG_GETARG_DATUM(0);
	values[1] = Int32GetDatum(object.id);
	values[2] = PG_GETARG_DATUM(2);
	values[3] = PG_GETARG_DATUM(3);
	(void) saga_execute(&owner_stmts[kind], &values[1], NULL, false, 1);
	/* it may have been given away meanwhile */
	if (SPI_processed == 0 || DatumGetObjectId(saga_result(0, 1, &isnull)) != object.owner)
		saga_object_missing(kind, name, GetUserId(), SAGA_RIGHT_OWN);
	return kind;
}

/* grant(kind text, name text, role regrole, "right" text) returns void */
Datum
saga_grant(PG_FUNCTION_ARGS)
{
	Datum		values[5];

	SPI_connect();
	(void) grant_arguments(fcinfo, values);
	values[4] = ObjectIdGetDatum(GetUserId());
	(void) saga_execute(&grant_stmt, values, NULL, false, 0);
	SPI_finish();
	PG_RETURN_VOID();
}

/* revoke(kind text, name text, role regrole, "right" text) returns void */
Datum
saga_revoke(PG_FUNCTION_ARGS)
{
	Datum		values[4];
	SagaObjectKind kind;
	int			i;

	SPI_connect();
	kind = grant_arguments(fcinfo, values);
	(void) saga_execute(&revoke_stmt, values, NULL, false, 0);
	for (i = 0; i < nlisteners; i++)
		listeners[i] (kind);
	SPI_finish();
	PG_RETURN_VOID();
}
