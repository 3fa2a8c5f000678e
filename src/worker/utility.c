/*
 * utility.c
 *		Commands of others that matter to our processes.
 *
 * DROP DATABASE, ALTER DATABASE RENAME and SET TABLESPACE and CREATE DATABASE
 * need a database that nobody is connected to: it is closed, our processes
 * there are asked to leave, and it is opened again afterwards.  Any role that
 * may run the command may have it done, so its rights are looked at first.
 *
 * CREATE and DROP EXTENSION (object access hook: also through CASCADE and
 * DROP OWNED) and changes of roles are told to the launcher and the
 * coordinators at commit.  Dropping waits for the batches that run; see
 * refuse.c for that, and for commands that would hold up everybody; owned.c for owners that go.  PREPARE TRANSACTION and its ends concern the
 * low-water marks (queue/twophase.c), SET CONSTRAINTS the engine's batches.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "engine/engine.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
#include "worker/procs_private.h"

#define LEAVE_POLL_MS		10
#define LEAVE_ASKED_MS		500 /* then a process that is still there is terminated */
#define LEAVE_LIMIT_MS		3000	/* then the command has to see for itself */

static ProcessUtility_hook_type previous_utility = NULL;
static object_access_hook_type previous_object_access = NULL;

/* What this transaction did, for its commit. Reset at its end. */
static bool extension_created = false;
static bool extension_dropped = false;
static bool roles_changed = false;
static bool databases_changed = false;

/* The database that this session has closed. */
static Oid	closed_database = InvalidOid;


/* ---------- at commit ---------- */

/* The launcher learns from the slot that this database is to be served. */
static void
set_has_extension(void)
{
	SagaDatabaseSlot *slot = saga_queue_my_database();

	if (slot == NULL)
		return;
	SpinLockAcquire(&slot->mutex);
	slot->has_extension = true;
	SpinLockRelease(&slot->mutex);
}

/*
 * Nothing from here on may raise: the transaction is committed.  The lock on
 * the extension is still held, so that nobody makes it anew before this.
 */
static void
at_commit(int news)
{
	if (news & SAGA_NEWS_NO_EXTENSION)
	{
		/* also the marks: the queues of another time would have the same ids */
		saga_queue_forget_database(MyDatabaseId);
		if (saga_procs != NULL)
			saga_worker_note_keep(MyDatabaseId, NIL);
	}
	if (news & SAGA_NEWS_EXTENSION)
		set_has_extension();
}

/* And here the caches of those who are woken are no older than what they are woken for. */
static void
tell(int news)
{
	if (news & (SAGA_NEWS_NO_EXTENSION | SAGA_NEWS_EXTENSION))
		saga_wake_type(SAGA_PROC_COORDINATOR, MyDatabaseId);
	if ((news & SAGA_NEWS_ROLES) && saga_procs != NULL)
	{
		pg_atomic_fetch_add_u32(&saga_procs->roles, 1);
		saga_wake_type(SAGA_PROC_COORDINATOR, InvalidOid);
	}
	if ((news & SAGA_NEWS_STOPS) && saga_procs != NULL)
	{
		pg_atomic_fetch_add_u32(&saga_procs->prepared_stops, 1);
		saga_wake_type(SAGA_PROC_COORDINATOR, MyDatabaseId);
	}
	if (news & (SAGA_NEWS_EXTENSION | SAGA_NEWS_DATABASES))
		saga_worker_proc_tell_launcher();
}

/* What this transaction has to tell others, in bits. */
static int
get_news(void)
{
	return (extension_dropped ? SAGA_NEWS_NO_EXTENSION : 0) | (extension_created ? SAGA_NEWS_EXTENSION : 0) |
		(roles_changed ? SAGA_NEWS_ROLES : 0) | (databases_changed ? SAGA_NEWS_DATABASES : 0);
}

/* It has been told, or is void. */
static void
forget_news(void)
{
	extension_created = extension_dropped = roles_changed = databases_changed = false;
}

/* After the commit: others can see what they are told. */
static void
tell_commit(void)
{
	int			news = get_news();

	forget_news();
	if (news != 0)
		tell(news);
}

/* What is told, and when: at the commit, or with the prepared transaction, or not at all. */
static void
xact_callback(XactEvent event, void *arg)
{
	int			news = get_news();

	if (news == 0)
		return;
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			at_commit(news);
			break;
		case XACT_EVENT_PRE_PREPARE:
			saga_prepared_note_news(news);
			break;
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
			forget_news();
			break;
		default:
			break;
	}
}

/*
 * A prepared transaction has ended, and its locks went with it: the extension
 * may be there again, so what is known of it is looked up.
 */
static void
tell_prepared(int news, bool committed)
{
	if (news & SAGA_NEWS_SOURCES)
		saga_queue_sources_changed();
	if (committed && (news & (SAGA_NEWS_NO_EXTENSION | SAGA_NEWS_EXTENSION)))
	{
		at_commit(news);
		saga_database_rewind(MyDatabaseId);
	}
	tell(news);
}

/*
 * The name of a new extension cannot be read yet, and that of another one
 * costs no more than a look of the coordinator.
 *
 * A command that drops the extension without naming it or its owner (DROP
 * LANGUAGE plpgsql CASCADE) comes to the lock only here, after it has locked
 * all tables.  If a batch needs one of them the deadlock detector ends one of
 * the two, and either can be tried again.
 */
static void
object_access(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	if (previous_object_access)
		previous_object_access(access, classId, objectId, subId, arg);
	if (access == OAT_DROP && classId == AuthIdRelationId)
		saga_owned_refuse_drop_role(objectId);
	if (classId != ExtensionRelationId || subId != 0)
		return;
	/* an update may be what its processes waited for */
	if (access == OAT_POST_CREATE || access == OAT_POST_ALTER)
		extension_created = true;
	else if (access == OAT_DROP && objectId == saga_extension_oid(true))
	{
		saga_extension_lock_as(objectId, AccessExclusiveLock);
		extension_dropped = true;
	}
}

/* ---------- closing a database ---------- */

/* No process of ours comes into the database from now on. */
static void
close_database(Oid dboid)
{
	SagaDatabaseSlot *slot = saga_database_slot(dboid, true);

	closed_database = dboid;
	if (slot == NULL)
		return;					/* its processes leave, and come back before they can connect */
	SpinLockAcquire(&slot->mutex);
	slot->closed++;
	SpinLockRelease(&slot->mutex);
}

/*
 * After the command, perhaps after an error, or at the end of the process: no
 * catalog.  A process that starts now waits for the lock that the command
 * holds until its commit.
 */
static void
open_database(bool dropped)
{
	Oid			dboid = closed_database;
	SagaDatabaseSlot *slot = saga_database_slot(dboid, false);
	bool		forget = dropped;
	int			left;

	closed_database = InvalidOid;
	if (slot != NULL)
	{
		SpinLockAcquire(&slot->mutex);
		if (slot->closed > 0)
			slot->closed--;
		/* the slots are few: none for a template that was only copied */
		forget |= slot->closed == 0 && !slot->has_extension;
		SpinLockRelease(&slot->mutex);
	}
	if (forget)
		saga_queue_forget_database(dboid);
	if (forget && saga_procs != NULL)
		saga_worker_note_keep(dboid, NIL);
	if (dropped)
		(void) saga_recorder_collect(dboid, NULL, &left);
	saga_worker_proc_tell_launcher();
}

/* A session that is terminated in the middle of the command. */
static void
open_at_exit(int code, Datum arg)
{
	if (OidIsValid(closed_database))
		open_database(false);
}

/* Waits until our processes have left it; those in a long step are terminated after a while. */
static void
wait_until_left(Oid dboid)
{
	TimestampTz begun = saga_monotonic_now();
	bool		terminated = false;

	saga_worker_proc_ask_leave(SAGA_AT_DATABASE, dboid);
	while (saga_worker_proc_count(SAGA_AT_DATABASE, dboid) > 0)
	{
		TimestampTz now = saga_monotonic_now();

		if (TimestampDifferenceExceeds(begun, now, LEAVE_LIMIT_MS))
			break;
		if (!terminated && TimestampDifferenceExceeds(begun, now, LEAVE_ASKED_MS))
		{
			/*
			 * in a long step, or waiting for a lock: what it claimed goes
			 * back
			 */
			saga_worker_proc_terminate(SAGA_AT_DATABASE, dboid);
			terminated = true;
		}
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LEAVE_POLL_MS,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Is it marked as one that anybody may copy? */
static bool
is_template(Oid dboid)
{
	HeapTuple	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(dboid));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
	ReleaseSysCache(tuple);
	return result;
}

/* Has the user CREATEDB? */
static bool
may_create_databases(void)
{
	HeapTuple	tuple;
	bool		result;

	if (superuser())
		return true;
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;
	ReleaseSysCache(tuple);
	return result;
}

/* The database of CREATE DATABASE ... TEMPLATE. */
static const char *
template_name(const CreatedbStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->options)
	{
		DefElem    *option = lfirst(lc);

		if (strcmp(option->defname, "template") == 0 && option->arg != NULL)
			return defGetString(option);
	}
	return "template1";
}

/* Is the option given at all? */
static bool
has_option(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
		if (strcmp(((DefElem *) lfirst(lc))->defname, name) == 0)
		return true;
	return false;
}

/* The database that this command needs for itself, if the role may run it; else InvalidOid. */
static Oid
database_to_close(Node *stmt)
{
	const char *name = NULL;
	Oid			dboid;
	bool		allowed;

	switch (nodeTag(stmt))
	{
		case T_DropdbStmt:
			name = ((DropdbStmt *) stmt)->dbname;
			break;
		case T_RenameStmt:
			if (((RenameStmt *) stmt)->renameType == OBJECT_DATABASE)
				name = ((RenameStmt *) stmt)->subname;
			break;
		case T_AlterDatabaseStmt:
			if (has_option(((AlterDatabaseStmt *) stmt)->options, "tablespace"))
				name = ((AlterDatabaseStmt *) stmt)->dbname;
			break;
		case T_CreatedbStmt:
			name = template_name((CreatedbStmt *) stmt);
			break;
		default:
			break;
	}
	if (name == NULL || saga_shared == NULL || !IsTransactionState())
		return InvalidOid;
	dboid = get_database_oid(name, true);
	if (!OidIsValid(dboid) || dboid == MyDatabaseId)
		return InvalidOid;
	allowed = saga_database_ownercheck(dboid, GetUserId());
	if (IsA(stmt, CreatedbStmt))
		allowed = may_create_databases() && (allowed || is_template(dboid));
	return allowed ? dboid : InvalidOid;
}

/* ---------- the hook ---------- */

/* The command itself, by whoever had the hook before us or by the server. */
static void
call_previous(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
			  ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *queryEnv,
			  DestReceiver *dest, QueryCompletion *qc)
{
	if (previous_utility)
		previous_utility(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc);
	else
		standard_ProcessUtility(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc);
}

/* What is noted before a command runs. */
static void
note_command(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_ConstraintsSetStmt:
			saga_set_constraints_seen = true;
			break;
		case T_TransactionStmt:
			if (((TransactionStmt *) stmt)->kind == TRANS_STMT_PREPARE)
				saga_prepared_note_gid(((TransactionStmt *) stmt)->gid);
			break;
		case T_AlterRoleStmt:
		case T_AlterRoleSetStmt:
		case T_GrantStmt:
		case T_GrantRoleStmt:
			roles_changed = true;
			break;
		case T_CreatedbStmt:
		case T_AlterDatabaseStmt:
		case T_RenameStmt:
			databases_changed = true;
			break;
		default:
			break;
	}
}

/* The prepared transaction that the command finishes; NULL: it finishes none. */
static const char *
finished_gid(Node *stmt)
{
	TransactionStmt *transaction = (TransactionStmt *) stmt;

	if (IsA(stmt, TransactionStmt) &&
		(transaction->kind == TRANS_STMT_COMMIT_PREPARED || transaction->kind == TRANS_STMT_ROLLBACK_PREPARED))
		return transaction->gid;
	return NULL;
}

/* A session that is terminated in the middle opens the database again. */
static void
register_exit(void)
{
	static bool registered = false;

	if (!registered)
		before_shmem_exit(open_at_exit, (Datum) 0);
	registered = true;
}

/* ProcessUtility_hook: what a command has to wait for, or is refused for, comes before it runs. */
static void
utility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
		ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *queryEnv,
		DestReceiver *dest, QueryCompletion *qc)
{
	Node	   *stmt = pstmt->utilityStmt;
	const char *volatile gid = finished_gid(stmt);
	volatile bool finished = false;
	volatile Oid dboid = database_to_close(stmt);
	volatile bool dropped = false;

	if (OidIsValid(closed_database))
		dboid = InvalidOid;		/* nested: the outer command has seen to it */
	if (saga_session_command(stmt))
		return;
	saga_worker_refuse_command(stmt);
	if (IsA(stmt, DropOwnedStmt))
		saga_owned_refuse_drop((DropOwnedStmt *) stmt);
	saga_owned_lock_for_command(stmt);
	note_command(stmt);
	if (!OidIsValid(dboid) && gid == NULL)
	{
		call_previous(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc);
		if (IsA(stmt, ReassignOwnedStmt))
			saga_owned_reassign((ReassignOwnedStmt *) stmt);
		return;
	}
	register_exit();
	PG_TRY();
	{
		if (OidIsValid(dboid))
		{
			close_database(dboid);
			wait_until_left(dboid);
		}
		call_previous(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc);
		dropped = IsA(stmt, DropdbStmt);
		finished = true;
	}
	PG_FINALLY();
	{
		if (gid != NULL)
			tell_prepared(saga_prepared_finish(gid),
						  finished && ((TransactionStmt *) stmt)->kind == TRANS_STMT_COMMIT_PREPARED);
		if (OidIsValid(dboid))
			open_database(dropped);
	}
	PG_END_TRY();
}

/* From _PG_init.  Hooks that were there before are called by ours. */
void
saga_utility_init(void)
{
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = utility;
	previous_object_access = object_access_hook;
	object_access_hook = object_access;
	RegisterXactCallback(xact_callback, NULL);
	saga_after_commit(tell_commit);
}
