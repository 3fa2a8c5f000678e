/*
 * right.c
 *		What a role may do with an object: kinds of objects, rights on them, and
 *		whether somebody has one.
 *
 * Rights that an owner gives to other roles (grant.c) are rows of
 * saga.object_grant, looked up when somebody uses what is not his own.  They
 * end with the object, and when it gets another owner, who has not seen what
 * the former one granted.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/statement.h"
#include "miscadmin.h"
#include "name/name_private.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

static const char *const kind_names[SAGA_OBJECT_KINDS] = {
	[SAGA_OBJECT_QUEUE] = "queue",
	[SAGA_OBJECT_WORKFLOW] = "workflow",
	[SAGA_OBJECT_DESTINATION] = "destination",
	[SAGA_OBJECT_SOURCE] = "source",
	[SAGA_OBJECT_SECRET] = "secret",
	[SAGA_OBJECT_ACTIVITY] = "activity",
	[SAGA_OBJECT_BINDING] = "binding"
};

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
	[SAGA_OBJECT_ACTIVITY] = SAGA_RIGHT_USE | SAGA_RIGHT_OPERATE | SAGA_RIGHT_READ,
	[SAGA_OBJECT_SECRET] = SAGA_RIGHT_USE
};

static SagaStatement granted_stmt = {
	.sql = "SELECT role::oid, \"right\" FROM saga.object_grant WHERE kind = $kind AND object_id = $id",
	.read_only = true
};
static SagaStatement forget_stmt = {
	.sql = "DELETE FROM saga.object_grant WHERE kind = $kind AND object_id = $id"
};

const char *
saga_name_object_kind_name(SagaObjectKind kind)
{
	return kind_names[kind];
}

int
saga_name_right(const char *name)
{
	int			i;

	for (i = 0; i < lengthof(right_names); i++)
		if (strcmp(right_names[i].name, name) == 0)
			return right_names[i].right;
	return 0;
}

int
saga_name_rights_on(SagaObjectKind kind)
{
	return rights_of_kind[kind];
}

char *
saga_name_list_rights(int rights)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < lengthof(right_names); i++)
		if ((right_names[i].right & rights) != 0)
			appendStringInfo(&list, "%s\"%s\"", list.len > 0 ? ", " : "", right_names[i].name);
	return list.data;
}

/* What was taken back is gone for old snapshots too. */
static SagaRows *
read_grants(SagaObjectKind kind, int32 id)
{
	SagaRows   *rows;

	PushActiveSnapshot(GetLatestSnapshot());
	rows = saga_query(&granted_stmt, saga_param_text("kind", saga_name_object_kind_name(kind)), saga_param_int4("id", id));
	PopActiveSnapshot();
	return rows;
}

bool
saga_name_object_may(const SagaObject *object, Oid user, int rights)
{
	SagaRows   *rows;
	bool		may = false;

	if (has_privs_of_role(user, object->owner))
		return true;
	if ((rights & rights_of_kind[object->kind]) == 0)
		return false;
	rows = read_grants(object->kind, object->id);
	while (!may && saga_rows_next(rows))
	{
		Oid			role = saga_column_oid(rows, "role");

		may = (saga_name_right(saga_column_text(rows, "right")) & rights) != 0 &&
			SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role)) && has_privs_of_role(user, role);
	}
	saga_rows_free(rows);
	return may;
}

void
saga_name_object_forget_grants(SagaObjectKind kind, int32 id)
{
	saga_run(&forget_stmt, saga_param_text("kind", saga_name_object_kind_name(kind)), saga_param_int4("id", id));
	/* one that was committed since our snapshot was taken */
	if (IsolationUsesXactSnapshot() && read_grants(kind, id)->count > 0)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update"),
				 errhint("The transaction might succeed if retried.")));
}

/* ---------- giving away ---------- */

void
saga_name_object_check_new_owner(Oid role)
{
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role with OID %u does not exist", role)));
	saga_check_can_set_role(GetUserId(), role);
}

void
saga_name_object_check_hash(SagaObjectKind kind, const char *name, Oid owner, const char *hash,
							const char *given)
{
	if (given == NULL ? owner == GetUserId() : strcmp(given, hash) == 0)
		return;
	ereport(ERROR,
			(errcode(given == NULL ? ERRCODE_INVALID_PARAMETER_VALUE : ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 given == NULL ?
			 errmsg("%s \"%s\" belongs to role \"%s\", and is given away only with the hash of its definition",
					saga_name_object_kind_name(kind), name, GetUserNameFromId(owner, true)) :
			 errmsg("%s \"%s\" has another definition than that of the hash", saga_name_object_kind_name(kind), name),
			 errhint("Look at what it does before somebody else's rights do it, then pass the definition_hash that saga.%ss shows.",
					 saga_name_object_kind_name(kind))));
}
