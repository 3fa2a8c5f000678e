/*
 * owned.c
 *		What roles own of ours, and commands that make owners go.
 *
 * The server knows nothing of owners in tables of an extension: it would drop
 * the owner of a workflow, whose executions nobody can run then.  So in the
 * database concerned DROP ROLE and DROP OWNED are refused while there is
 * something left, and REASSIGN OWNED takes it along.  From another database
 * nobody sees it: then saga.workers and saga.doctor() say what waits.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/guc.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "name/name.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "worker/procs.h"

#define LISTED_MAX 20

#define OWNED \
	"SELECT 'workflow ' || name AS what FROM saga.workflow WHERE owner = $1" \
	" UNION ALL SELECT 'queue ' || name FROM saga.queue WHERE owner = $1 AND kind = 'q'" \
	" UNION ALL SELECT 'destination ' || name FROM saga.destination WHERE owner = $1" \
	" UNION ALL SELECT 'source ' || name FROM saga.source WHERE owner = $1" \
	" UNION ALL SELECT 'secret ' || name FROM saga.secret WHERE owner = $1" \
	" UNION ALL SELECT 'resource ' || arn FROM saga.resource WHERE created_by = $1"

/* How many there are, and the first of them in lines. */
#define LIST_OF(rows) \
	"SELECT count(*), string_agg(what, E'\\n' ORDER BY what) FILTER (WHERE n <= " CppAsString2(LISTED_MAX) ")" \
	" FROM (SELECT what, row_number() OVER (ORDER BY what) AS n FROM (" rows ") o) o"

static SagaStmt owned_stmt = {.sql = LIST_OF(OWNED),.nargs = 1,.argtypes = {OIDOID}};

static SagaStmt workflows_stmt = {
	.sql = LIST_OF("SELECT 'workflow ' || name AS what FROM saga.workflow WHERE owner = $1"),
	.nargs = 1,.argtypes = {OIDOID}
};

static SagaStmt queues_stmt = {
	.sql = "SELECT queue_id FROM saga.queue WHERE owner = $1 AND kind = 'q' ORDER BY queue_id",
	.nargs = 1,.argtypes = {OIDOID}
};

static SagaStmt secrets_stmt = {
	.sql = "UPDATE saga.secret SET owner = $2::regrole WHERE owner = $1 RETURNING secret_id",
	.nargs = 2,.argtypes = {OIDOID, OIDOID}
};
static SagaStmt references_stmt = {
	.sql = "UPDATE saga.reference SET object_owner = $2::regrole WHERE kind = 'secret' AND object_owner = $1",
	.nargs = 2,.argtypes = {OIDOID, OIDOID}
};
static SagaStmt resources_stmt = {
	.sql = "UPDATE saga.resource SET created_by = $2::regrole WHERE created_by = $1",
	.nargs = 2,.argtypes = {OIDOID, OIDOID}
};

/* The functions' own way: with the hash of what is there, written as another's. */
#define GIVE_ALL(view, function) \
	{ .sql = "SELECT count(*) FROM (SELECT owner::oid || '.\"' || replace(name, '\"', '\"\"') || '\"' AS name, definition_hash" \
	  " FROM saga." view " WHERE owner = $1 ORDER BY name OFFSET 0) o," \
	  " LATERAL (SELECT saga." function "(o.name, $2::regrole, o.definition_hash) AS done) d WHERE d.done IS NOT NULL", \
	  .nargs = 2,.argtypes = {OIDOID, OIDOID} }

static SagaStmt give_stmts[] = {
	GIVE_ALL("destinations", "set_destination_owner"),
	GIVE_ALL("sources", "set_source_owner"),
	GIVE_ALL("workflows", "set_workflow_owner")
};


static bool
is_concerned(void)
{
	return IsTransactionState() && OidIsValid(saga_extension_oid(true)) && saga_extension_is_current();
}

/* Of a LIST_OF, in the caller's memory; NULL: there are none. */
static char *
list_found(SagaStmt *stmt, Datum *values)
{
	MemoryContext context = CurrentMemoryContext;
	int64		n;
	bool		isnull;
	char	   *list = NULL;

	SPI_connect();
	(void) saga_execute(stmt, values, NULL, false, 0);
	n = DatumGetInt64(saga_result(0, 1, &isnull));
	if (n > 0)
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		list = TextDatumGetCString(saga_result(0, 2, &isnull));
		if (n > LISTED_MAX)
			list = psprintf("%s\nand %d more", list, (int) (n - LISTED_MAX));
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return list;
}

static char *
list_owned(Oid role, SagaStmt *stmt)
{
	Datum		value = ObjectIdGetDatum(role);

	return list_found(stmt, &value);
}

static void
refuse(Oid role, const char *what)
{
	char	   *list = list_owned(role, &owned_stmt);
	char	   *name;

	if (list == NULL)
		return;
	name = GetUserNameFromId(role, false);
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("%s role \"%s\", which owns objects of pg_saga in this database", what, name),
			 errdetail("%s", list),
			 errhint("REASSIGN OWNED BY %s TO another role gives them to that one. saga.drop_queue, saga.drop_destination, saga.drop_source and saga.drop_secret end what is of these kinds; workflows and resources can only be given away.",
					 quote_identifier(name))));
}

void
saga_refuse_drop_role(Oid role)
{
	if (saga_keep_owners && is_concerned())
		refuse(role, "cannot drop");
}

/* Whoever may not is left to the server; the owner of the extension drops all of it. */
void
saga_refuse_drop_owned(DropOwnedStmt *stmt)
{
	ListCell   *lc;

	if (!saga_keep_owners || !is_concerned())
		return;
	foreach(lc, stmt->roles)
	{
		Oid			role = get_rolespec_oid(lfirst(lc), true);

		if (OidIsValid(role) && role != saga_extension_owner() && has_privs_of_role(GetUserId(), role))
			refuse(role, "cannot drop what is owned by");
	}
}

/* ---------- REASSIGN OWNED ---------- */

/*
 * What waits would be run at once, as a superuser, and nobody has looked at it:
 * whoever is to be dropped may have left it there.
 */
static void
refuse_superuser(Oid role, Oid heir)
{
	char	   *list = superuser_arg(heir) && !superuser_arg(role) ? list_owned(role, &workflows_stmt) : NULL;

	if (list == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot give the workflows of role \"%s\" to superuser \"%s\"",
					GetUserNameFromId(role, false), GetUserNameFromId(heir, false)),
			 errdetail("What they do would be done with all rights.\n%s", list),
			 errhint("Name a role that is no superuser, or look at each and give it away with saga.set_workflow_owner.")));
}

/* Ids in the caller's memory: what follows empties the result. */
static List *
read_ids(SagaStmt *stmt, Datum *values)
{
	List	   *ids = NIL;
	bool		isnull;

	(void) saga_execute(stmt, values, NULL, false, 0);
	for (uint64 i = 0; i < SPI_processed; i++)
		ids = lappend_int(ids, DatumGetInt32(saga_result(i, 1, &isnull)));
	SPI_freetuptable(SPI_tuptable);
	return ids;
}

static void
give_queues(Datum *values, Oid heir)
{
	List	   *ids = read_ids(&queues_stmt, values);
	ListCell   *lc;

	foreach(lc, ids)
	{
		int32		id = lfirst_int(lc);
		const SagaQueue *queue = saga_queue_by_id(id, true);

		if (queue == NULL)
			continue;
		saga_queue_lock_exclusive(id, "queue", queue->name);
		if (saga_queue_by_id(id, true) == NULL)
			continue;			/* dropped while we waited */
		saga_queue_set_owner(id, heir);
		saga_object_forget_grants(SAGA_OBJECT_QUEUE, id);
	}
}

static void
give_secrets(Datum *values)
{
	List	   *ids = read_ids(&secrets_stmt, values);
	ListCell   *lc;

	(void) saga_execute(&references_stmt, values, NULL, false, 0);
	foreach(lc, ids)
		saga_object_forget_grants(SAGA_OBJECT_SECRET, lfirst_int(lc));
}

/*
 * What both have, by name.  Workflows and queues have their names in common.  Two
 * REASSIGN OWNED at once meet the unique keys.
 */
#define NAMED(role) \
	"SELECT CASE kind WHEN 'w' THEN 'workflow ' ELSE 'queue ' END || name AS what, 'queue ' || name AS key" \
	" FROM saga.queue WHERE owner = " role " AND kind IN ('q', 'w')" \
	" UNION ALL SELECT 'destination ' || name, 'destination ' || name FROM saga.destination WHERE owner = " role \
	" UNION ALL SELECT 'source ' || name, 'source ' || name FROM saga.source WHERE owner = " role \
	" UNION ALL SELECT 'secret ' || name, 'secret ' || name FROM saga.secret WHERE owner = " role \
	" UNION ALL SELECT 'resource ' || arn, 'resource ' || arn FROM saga.resource WHERE created_by = " role

static SagaStmt clashes_stmt = {
	.sql = LIST_OF("SELECT h.what FROM (" NAMED("$1") ") r JOIN (" NAMED("$2") ") h USING (key)"),
	.nargs = 2,.argtypes = {OIDOID, OIDOID}
};

static void
refuse_clashes(Oid role, Oid heir)
{
	Datum		values[2] = {ObjectIdGetDatum(role), ObjectIdGetDatum(heir)};
	char	   *list = list_found(&clashes_stmt, values);

	if (list == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("role \"%s\" has objects of the same names as role \"%s\" already",
					GetUserNameFromId(heir, false), GetUserNameFromId(role, false)),
			 errdetail("%s", list),
			 errhint("Name a role that has none of them, or first end one of each two with saga.drop_queue, saga.drop_destination, saga.drop_source or saga.drop_secret, or give it to a third role.")));
}

/* What the others' names mean comes first. */
static void
give_all(Oid owner, Oid heir)
{
	Datum		values[2] = {ObjectIdGetDatum(owner), ObjectIdGetDatum(heir)};

	give_queues(values, heir);
	give_secrets(values);
	(void) saga_execute(&resources_stmt, values, NULL, false, 0);
	for (int i = 0; i < lengthof(give_stmts); i++)
		/* as the owner of the extension, who may do so for all */
		(void) saga_execute(&give_stmts[i], values, NULL, false, 0);
}

/* After the server's own part, which has looked at the rights. */
void
saga_reassign_owned(ReassignOwnedStmt *stmt)
{
	Oid			heir;
	ListCell   *lc;

	if (!is_concerned())
		return;
	CommandCounterIncrement();
	heir = get_rolespec_oid(stmt->newrole, false);
	foreach(lc, stmt->roles)
		refuse_superuser(get_rolespec_oid(lfirst(lc), false), heir);
	SPI_connect();
	foreach(lc, stmt->roles)
	{
		Oid			role = get_rolespec_oid(lfirst(lc), false);

		if (role == heir)
			continue;
		refuse_clashes(role, heir);
		give_all(role, heir);
	}
	SPI_finish();
}
