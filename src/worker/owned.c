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
#include "common/guc.h"
#include "common/statement.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "name/name.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "worker/procs_private.h"

#define LISTED_MAX 20

#define OWNED \
	"SELECT 'workflow ' || name AS what FROM saga.workflow WHERE owner = $owner" \
	" UNION ALL SELECT 'queue ' || name FROM saga.queue WHERE owner = $owner AND kind = 'q'" \
	" UNION ALL SELECT 'activity ' || substr(name, 10) FROM saga.queue WHERE owner = $owner AND kind = 'a'" \
	" UNION ALL SELECT 'destination ' || name FROM saga.destination WHERE owner = $owner" \
	" UNION ALL SELECT 'source ' || name FROM saga.source WHERE owner = $owner" \
	" UNION ALL SELECT 'secret ' || name FROM saga.secret WHERE owner = $owner" \
	" UNION ALL SELECT 'resource ' || arn FROM saga.resource WHERE created_by = $owner"

/* How many there are, and the first of them in lines. */
#define LIST_OF(rows) \
	"SELECT count(*) AS found, string_agg(what, E'\\n' ORDER BY what) FILTER (WHERE n <= " CppAsString2(LISTED_MAX) ") AS list" \
	" FROM (SELECT what, row_number() OVER (ORDER BY what) AS n FROM (" rows ") o) o"

static SagaStatement owned_stmt = {.sql = LIST_OF(OWNED)};

static SagaStatement workflows_stmt = {
	.sql = LIST_OF("SELECT 'workflow ' || name AS what FROM saga.workflow WHERE owner = $owner")
};

static SagaStatement queues_stmt = {
	.sql = "SELECT queue_id FROM saga.queue WHERE owner = $owner AND kind IN ('q', 'a') ORDER BY queue_id"
};

static SagaStatement secrets_stmt = {
	.sql = "UPDATE saga.secret SET owner = $heir::regrole WHERE owner = $owner RETURNING secret_id"
};
static SagaStatement references_stmt = {
	.sql = "UPDATE saga.reference SET object_owner = $heir::regrole WHERE kind = 'secret' AND object_owner = $owner"
};
static SagaStatement resources_stmt = {
	.sql = "UPDATE saga.resource SET created_by = $heir::regrole WHERE created_by = $owner"
};

/* The functions' own way: with the hash of what is there, written as another's. */
#define GIVE_ALL(view, function) \
	{ .sql = "SELECT count(*) FROM (SELECT owner::oid || '.\"' || replace(name, '\"', '\"\"') || '\"' AS name, definition_hash" \
	  " FROM saga." view " WHERE owner = $owner ORDER BY name OFFSET 0) o," \
	  " LATERAL (SELECT saga." function "(o.name, $heir::regrole, o.definition_hash) AS done) d WHERE d.done IS NOT NULL" }

static SagaStatement give_stmts[] = {
	GIVE_ALL("destinations", "set_destination_owner"),
	GIVE_ALL("sources", "set_source_owner"),
	GIVE_ALL("workflows", "set_workflow_owner")
};


/* Has this database the extension, in this version? */
static bool
is_concerned(void)
{
	return IsTransactionState() && OidIsValid(saga_extension_oid(true)) && saga_extension_is_current();
}

/* What the row of a LIST_OF says; NULL: there are none. */
static char *
list_found(SagaRows *rows)
{
	int64		found;
	char	   *list;

	saga_row(rows, 0);			/* an aggregate always has one */
	found = saga_column_int8(rows, "found");
	list = saga_column_text(rows, "list");
	return found > LISTED_MAX ? psprintf("%s\nand %d more", list, (int) (found - LISTED_MAX)) : list;
}

/* Raises when the role owns something of ours. */
static void
refuse(Oid role, const char *what)
{
	char	   *list = list_found(saga_query(&owned_stmt, saga_param_oid("owner", role)));
	char	   *name;

	if (list == NULL)
		return;
	name = GetUserNameFromId(role, false);
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("%s role \"%s\", which owns objects of pg_saga in this database", what, name),
			 errdetail("%s", list),
			 errhint("REASSIGN OWNED BY %s TO another role gives them to that one. saga.drop_queue, saga.drop_activity, saga.drop_destination, saga.drop_source and saga.drop_secret end what is of these kinds; workflows and resources can only be given away.",
					 quote_identifier(name))));
}

/*
 * Raises while the role owns something of ours in this database;
 * pg_saga.keep_owners turns that off.
 */
void
saga_owned_refuse_drop_role(Oid role)
{
	if (saga_keep_owners && is_concerned())
		refuse(role, "cannot drop");
}

/* Whoever may not is left to the server; the owner of the extension drops all of it. */
void
saga_owned_refuse_drop(DropOwnedStmt *stmt)
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
	char	   *list;

	if (!superuser_arg(heir) || superuser_arg(role))
		return;
	list = list_found(saga_query(&workflows_stmt, saga_param_oid("owner", role)));
	if (list == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot give the workflows of role \"%s\" to superuser \"%s\"",
					GetUserNameFromId(role, false), GetUserNameFromId(heir, false)),
			 errdetail("What they do would be done with all rights.\n%s", list),
			 errhint("Name a role that is no superuser, or look at each and give it away with saga.set_workflow_owner.")));
}

/* Plain queues and activities get another owner. */
static void
give_queues(Oid owner, Oid heir)
{
	SagaRows   *rows = saga_query(&queues_stmt, saga_param_oid("owner", owner));

	while (saga_rows_next(rows))
	{
		int32		id = saga_column_int4(rows, "queue_id");
		const SagaQueue *queue = saga_queue_by_id(id, true);
		SagaObject	object;

		if (queue == NULL)
			continue;
		object = saga_queue_object(queue);
		saga_queue_lock_exclusive(id, "queue", queue->name);
		if (saga_queue_by_id(id, true) == NULL)
			continue;			/* dropped while we waited */
		saga_queue_set_owner(id, heir);
		saga_name_object_forget_grants(object.kind, id);
	}
}

/* So do secrets, and what refers to them by their owner's name. */
static void
give_secrets(const SagaParam *params)
{
	SagaRows   *rows = saga_statement_query(&secrets_stmt, params);

	saga_statement_run(&references_stmt, params);
	while (saga_rows_next(rows))
		saga_name_object_forget_grants(SAGA_OBJECT_SECRET, saga_column_int4(rows, "secret_id"));
}

/*
 * What both have, by name.  Workflows and queues have their names in common.  Two
 * REASSIGN OWNED at once meet the unique keys.
 */
#define NAMED(role) \
	"SELECT CASE kind WHEN 'w' THEN 'workflow ' || name WHEN 'a' THEN 'activity ' || substr(name, 10) ELSE 'queue ' || name END AS what," \
	" 'queue ' || name AS key FROM saga.queue WHERE owner = " role " AND kind IN ('q', 'w', 'a')" \
	" UNION ALL SELECT 'destination ' || name, 'destination ' || name FROM saga.destination WHERE owner = " role \
	" UNION ALL SELECT 'source ' || name, 'source ' || name FROM saga.source WHERE owner = " role \
	" UNION ALL SELECT 'secret ' || name, 'secret ' || name FROM saga.secret WHERE owner = " role \
	" UNION ALL SELECT 'resource ' || arn, 'resource ' || arn FROM saga.resource WHERE created_by = " role

static SagaStatement clashes_stmt = {
	.sql = LIST_OF("SELECT h.what FROM (" NAMED("$owner") ") r JOIN (" NAMED("$heir") ") h USING (key)")
};

/* Raises when both have an object of one name, as names are unique per owner. */
static void
refuse_clashes(Oid role, Oid heir)
{
	char	   *list = list_found(saga_query(&clashes_stmt, saga_param_oid("owner", role), saga_param_oid("heir", heir)));

	if (list == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("role \"%s\" has objects of the same names as role \"%s\" already",
					GetUserNameFromId(heir, false), GetUserNameFromId(role, false)),
			 errdetail("%s", list),
			 errhint("Name a role that has none of them, or first end one of each two with saga.drop_queue, saga.drop_activity, saga.drop_destination, saga.drop_source or saga.drop_secret, or give it to a third role.")));
}

/* What the others' names mean comes first. */
static void
give_all(Oid owner, Oid heir)
{
	const SagaParam params[] = {
		saga_param_oid("owner", owner),
		saga_param_oid("heir", heir),
		{.name = NULL}
	};

	give_queues(owner, heir);
	give_secrets(params);
	saga_statement_run(&resources_stmt, params);
	for (int i = 0; i < lengthof(give_stmts); i++)
		/* as the owner of the extension, who may do so for all */
		saga_statement_run(&give_stmts[i], params);
}

/* After the server's own part, which has looked at the rights. */
void
saga_owned_reassign(ReassignOwnedStmt *stmt)
{
	Oid			heir;
	ListCell   *lc;

	if (!is_concerned())
		return;
	CommandCounterIncrement();
	heir = get_rolespec_oid(stmt->newrole, false);
	foreach(lc, stmt->roles)
		refuse_superuser(get_rolespec_oid(lfirst(lc), false), heir);
	foreach(lc, stmt->roles)
	{
		Oid			role = get_rolespec_oid(lfirst(lc), false);

		if (role == heir)
			continue;
		refuse_clashes(role, heir);
		give_all(role, heir);
	}
}
