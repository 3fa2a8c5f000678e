/*
 * refuse.c
 *		Commands that lock first and ask for rights afterwards.
 *
 * Some of the server's commands wait for a strong lock on what they name
 * before they find out that the user has no right to it.  Meanwhile everybody
 * else queues behind: with one open transaction in front, a role that may do
 * nothing here stops every queue of the database.  A weaker lock that only
 * vacuum minds still ends each vacuum of the table.  So for what belongs to
 * our extensions, and for the system's catalogs, which everybody needs, the
 * rights are looked at here, before anything is locked, and the refusal is
 * the server's own.  What is not refused here the server checks again.
 *
 * The commands are those of PostgreSQL 14 to 18; DROP, ALTER TABLE, TRUNCATE,
 * LOCK, VACUUM, REINDEX and the like look at the rights first themselves.
 * Those that drop, rename or move a database do not: while one waits for the
 * lock on it, which is shared by anybody who sets something for his own role
 * there, nobody connects to that database, no process of ours either.
 *
 * A trigger of a table of ours runs with the rights of who writes there, and
 * that is the owner of the extension.  So the right TRIGGER does not do.
 *
 * Here too: commands of the owner of the extension that drop or change it.
 * They take the lock that work shares before the server takes any other, so
 * that they never hold a table that a batch still needs while they wait for
 * that batch.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "common/common.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "worker/procs_private.h"

typedef enum Need
{
	NEED_OWNER,
	NEED_REFERENCES
} Need;

/* ---------- what is guarded ---------- */

/* Is the extension one of this library's? */
static bool
is_our_name(const char *extension)
{
	return strcmp(extension, "pg_saga") == 0 || strcmp(extension, "pg_invoice") == 0;
}

/* Is it a table that everybody's work needs: of the catalog, or of ours? */
static bool
is_guarded(Oid relid)
{
	Oid			extension;
	char	   *name;

	if (IsCatalogRelationOid(relid))
		return true;
	if (get_rel_relkind(relid) == RELKIND_INDEX)
		relid = IndexGetRelation(relid, true);
	extension = getExtensionOfObject(RelationRelationId, relid);
	name = OidIsValid(extension) ? get_extension_name(extension) : NULL;
	return name != NULL && is_our_name(name);
}

/* ---------- relations ---------- */

/* May the user do with this table what the command needs? */
static bool
has_right(Oid relid, Need need)
{
	Oid			user = GetUserId();

	if (saga_relation_ownercheck(relid, user))
		return true;
	return need == NEED_REFERENCES &&
		(pg_class_aclcheck(relid, user, ACL_REFERENCES) == ACLCHECK_OK ||
		 pg_attribute_aclcheck_all(relid, user, ACL_REFERENCES, ACLMASK_ANY) == ACLCHECK_OK);
}

/* A schema that the user may not use is refused by the look-up. */
static void
check_relation(const RangeVar *name, Need need)
{
	Oid			relid;

	if (name == NULL)
		return;
	relid = RangeVarGetRelid(name, NoLock, true);
	if (!OidIsValid(relid) || has_right(relid, need) || !is_guarded(relid))
		return;
	aclcheck_error(need == NEED_OWNER ? ACLCHECK_NOT_OWNER : ACLCHECK_NO_PRIV,
				   get_relkind_objtype(get_rel_relkind(relid)), name->relname);
}

/* The same of each of them. */
static void
check_relations(List *names, Need need)
{
	ListCell   *lc;

	foreach(lc, names)
		check_relation(lfirst(lc), need);
}

/* The object of COMMENT, SECURITY LABEL and ALTER EXTENSION ADD. */
static void
check_object(ObjectType type, Node *object)
{
	List	   *names;

	switch (type)
	{
		case OBJECT_COLUMN:
			names = castNode(List, object);
			if (list_length(names) < 2)
				return;
			names = list_truncate(list_copy(names), list_length(names) - 1);
			break;
		case OBJECT_FOREIGN_TABLE:
		case OBJECT_INDEX:
		case OBJECT_MATVIEW:
		case OBJECT_SEQUENCE:
		case OBJECT_TABLE:
		case OBJECT_VIEW:
			names = castNode(List, object);
			break;
		default:
			return;
	}
	check_relation(makeRangeVarFromNameList(names), NEED_OWNER);
}

/* ---------- tables that are to refer to ours ---------- */

/* A foreign key locks the table that it refers to. */
static void
check_constraint(Node *node)
{
	if (node != NULL && IsA(node, Constraint) && ((Constraint *) node)->contype == CONSTR_FOREIGN)
		check_relation(((Constraint *) node)->pktable, NEED_REFERENCES);
}

/* A column or a constraint of CREATE or ALTER TABLE. */
static void
check_element(Node *node)
{
	ListCell   *lc;

	if (node != NULL && IsA(node, ColumnDef))
	{
		foreach(lc, ((ColumnDef *) node)->constraints)
			check_constraint(lfirst(lc));
	}
	else
		check_constraint(node);
}

/* CREATE TABLE locks what it inherits from, and what it refers to. */
static void
check_create_table(CreateStmt *stmt)
{
	ListCell   *lc;

	check_relations(stmt->inhRelations, NEED_OWNER);
	foreach(lc, stmt->tableElts)
		check_element(lfirst(lc));
}

/* Of ALTER TABLE, what it does to other tables than its own. */
static void
check_alter_table(AlterTableStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst(lc);

		switch (cmd->subtype)
		{
			case AT_AddColumn:
			case AT_AddConstraint:
				check_element(cmd->def);
				break;
			case AT_AddInherit:
				check_relation(castNode(RangeVar, cmd->def), NEED_OWNER);
				break;
			case AT_AttachPartition:
			case AT_DetachPartition:
			case AT_DetachPartitionFinalize:
				check_relation(castNode(PartitionCmd, cmd->def)->name, NEED_OWNER);
				break;
			default:
				break;
		}
	}
}

/* The tables that a publication names. */
static void
check_publication(List *objects)
{
	ListCell   *lc;

	foreach(lc, objects)
		check_relation(saga_publication_relation(lfirst(lc)), NEED_OWNER);
}

/* ---------- databases ---------- */

/* Raises when it is another's. */
static void
check_database(const char *name)
{
	Oid			dboid = get_database_oid(name, true);

	if (OidIsValid(dboid) && !saga_database_ownercheck(dboid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_DATABASE, name);
}

/* ---------- extensions ---------- */

/* Raises when the extension is one of ours and another's. */
static void
check_extension(const char *name)
{
	Oid			oid;

	if (!is_our_name(name))
		return;
	oid = get_extension_oid(name, true);
	if (OidIsValid(oid) && !saga_extension_ownercheck(oid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_EXTENSION, name);
}

/*
 * The server lets anybody make a function of his own depend on an extension.
 * It would keep the owner of the extension from dropping it.
 */
static void
check_depends(AlterObjectDependsStmt *stmt)
{
	check_relation(stmt->relation, NEED_OWNER);
	check_extension(strVal(stmt->extname));
}

/* DROP EXTENSION. */
static void
check_drop(DropStmt *stmt)
{
	ListCell   *lc;

	if (stmt->removeType != OBJECT_EXTENSION)
		return;
	foreach(lc, stmt->objects)
		check_extension(strVal(lfirst(lc)));
}

/* Raises what the server would raise once it has waited. */
void
saga_worker_refuse_command(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_AlterObjectDependsStmt:
			check_depends((AlterObjectDependsStmt *) stmt);
			break;
		case T_DropStmt:
			check_drop((DropStmt *) stmt);
			break;
		case T_RuleStmt:
			check_relation(((RuleStmt *) stmt)->relation, NEED_OWNER);
			break;
		case T_CreateTrigStmt:
			check_relation(((CreateTrigStmt *) stmt)->relation, NEED_OWNER);
			break;
		case T_CommentStmt:
			check_object(((CommentStmt *) stmt)->objtype, ((CommentStmt *) stmt)->object);
			break;
		case T_SecLabelStmt:
			check_object(((SecLabelStmt *) stmt)->objtype, ((SecLabelStmt *) stmt)->object);
			break;
		case T_AlterExtensionContentsStmt:
			check_object(((AlterExtensionContentsStmt *) stmt)->objtype,
						 ((AlterExtensionContentsStmt *) stmt)->object);
			break;
		case T_CreateStatsStmt:
			check_relations(((CreateStatsStmt *) stmt)->relations, NEED_OWNER);
			break;
		case T_CreatePublicationStmt:
			check_publication(saga_publication_objects((CreatePublicationStmt *) stmt));
			break;
		case T_AlterPublicationStmt:
			check_publication(saga_publication_objects((AlterPublicationStmt *) stmt));
			break;
		case T_CreateStmt:
			check_create_table((CreateStmt *) stmt);
			break;
		case T_CreateForeignTableStmt:
			check_create_table(&((CreateForeignTableStmt *) stmt)->base);
			break;
		case T_AlterTableStmt:
			check_alter_table((AlterTableStmt *) stmt);
			break;
		case T_DropdbStmt:
			check_database(((DropdbStmt *) stmt)->dbname);
			break;
		case T_RenameStmt:
			if (((RenameStmt *) stmt)->renameType == OBJECT_DATABASE)
				check_database(((RenameStmt *) stmt)->subname);
			break;
		case T_AlterDatabaseStmt:
			check_database(((AlterDatabaseStmt *) stmt)->dbname);
			break;
		default:
			break;
	}
}

/* ---------- commands of the owner ---------- */

/* Is pg_saga among these? */
static bool
names_extension(List *objects)
{
	ListCell   *lc;

	foreach(lc, objects)
		if (strcmp(strVal(lfirst(lc)), "pg_saga") == 0)
		return true;
	return false;
}

/* Of DROP OWNED and REASSIGN OWNED, by somebody who may. */
static bool
names_owner(List *roles)
{
	ListCell   *lc;

	foreach(lc, roles)
		if (get_rolespec_oid(lfirst(lc), true) == saga_extension_owner())
		return has_privs_of_role(GetUserId(), saga_extension_owner());
	return false;
}

/* Does the command drop or change the extension, so that the lock on it has to come first? */
static bool
changes_extension(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_DropStmt:
			return ((DropStmt *) stmt)->removeType == OBJECT_EXTENSION &&
				names_extension(((DropStmt *) stmt)->objects);
		case T_AlterExtensionStmt:
			return strcmp(((AlterExtensionStmt *) stmt)->extname, "pg_saga") == 0;
		case T_DropOwnedStmt:
			return OidIsValid(saga_extension_oid(true)) && names_owner(((DropOwnedStmt *) stmt)->roles);
		case T_ReassignOwnedStmt:
			return OidIsValid(saga_extension_oid(true)) && names_owner(((ReassignOwnedStmt *) stmt)->roles);
		default:
			return false;
	}
}

/*
 * Waits for the batches that run.  After saga_worker_refuse_command; whoever has no
 * right is left to the server, which refuses these commands in time.
 */
void
saga_owned_lock_for_command(Node *stmt)
{
	Oid			extension;

	if (!changes_extension(stmt) || XactReadOnly || RecoveryInProgress())
		return;
	extension = saga_extension_oid(true);
	if (OidIsValid(extension) &&
		(IsA(stmt, DropOwnedStmt) || IsA(stmt, ReassignOwnedStmt) ||
		 saga_extension_ownercheck(extension, GetUserId())))
		saga_extension_lock_as(extension, AccessExclusiveLock);
}
