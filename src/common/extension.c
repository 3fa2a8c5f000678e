/*
 * extension.c
 *		The extension as an object of the database: whose it is, which version
 *		its catalog has, and the lock that keeps it there.
 *
 * The cache below is emptied by invalidations, and whoever relies on it holds
 * the lock, under which the extension can neither go nor change.  Begin
 * reading with saga_extension_lock; saga_extension_lock_as says which lock it
 * is.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "common/common.h"
#include "common/extension_private.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(saga_owner_only);

/* Set once, as the process begins. */
bool		saga_serves_all = false;

/* Cache: the extension's oid and owner; zero when not known. */
static Oid	extension_oid = InvalidOid;
static Oid	extension_owner = InvalidOid;
static char *extension_version = NULL;	/* of the catalog; in TopMemoryContext */
static bool callback_registered = false;

/* Of the lock on the extension: objects have part 0, and extensions have no other. */
#define EXTENSION_LOCK_SUBID	1

/* Set in _PG_init, before any session begins. */
bool		saga_in_every_session = false;

/* The transaction that holds the lock on the extension. */
static LocalTransactionId locked_by = InvalidLocalTransactionId;


/*
 * May run at any point where locks are taken.  The version stays allocated
 * until it is read again.
 */
static void
forget_extension(Datum arg, int cacheid, uint32 hashvalue)
{
	extension_oid = InvalidOid;
	extension_owner = InvalidOid;
}

/*
 * pg_extension has no syscache.  The entry is dropped with any change of a
 * schema, which DROP and CREATE EXTENSION both make.
 */
static void
look_up_extension(void)
{
	Relation	rel;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;

	if (!callback_registered)
	{
		CacheRegisterSyscacheCallback(NAMESPACEOID, forget_extension, (Datum) 0);
		CacheRegisterSyscacheCallback(NAMESPACENAME, forget_extension, (Datum) 0);
		callback_registered = true;
	}
	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("pg_saga"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_extension form = (Form_pg_extension) GETSTRUCT(tuple);
		bool		isnull;
		Datum		version = heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(rel), &isnull);
		char	   *copy = MemoryContextStrdup(TopMemoryContext, isnull ? "" : TextDatumGetCString(version));

		if (extension_version != NULL)
			pfree(extension_version);
		extension_version = copy;
		extension_oid = form->oid;
		extension_owner = form->extowner;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

/* InvalidOid only with missing_ok.  Reading it needs a transaction. */
Oid
saga_extension_oid(bool missing_ok)
{
	if (!OidIsValid(extension_oid))
		look_up_extension();
	if (!OidIsValid(extension_oid) && !missing_ok)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"pg_saga\" does not exist in this database"),
				 errhint("Run CREATE EXTENSION pg_saga.")));
	return extension_oid;
}

/* The library may be newer than the catalog, or older: its statements fit their own version alone. */
bool
saga_extension_is_current(void)
{
	static bool said = false;

	if (!OidIsValid(saga_extension_oid(true)))
		return false;
	if (strcmp(extension_version, SAGA_VERSION) == 0)
		return true;
	if (!said)
		ereport(LOG,
				(errmsg("extension \"pg_saga\" in database \"%s\" has version %s, and its library is %s",
						get_database_name(MyDatabaseId), extension_version, SAGA_VERSION),
				 errhint("Nothing is done there before ALTER EXTENSION pg_saga UPDATE.")));
	said = true;
	return false;
}

/* Scripts of extensions run while versions change: what they call is in all of them. */
static void
require_current(void)
{
	if (creating_extension || strcmp(extension_version, SAGA_VERSION) == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("extension \"pg_saga\" has version %s in this database, and its library is %s",
					extension_version, SAGA_VERSION),
			 errhint("Run ALTER EXTENSION pg_saga UPDATE, and the same for pg_invoice; if the library is the older one, restart the server.")));
}

Oid
saga_extension_owner(void)
{
	(void) saga_extension_oid(false);
	return extension_owner;
}

/*
 * What stands in these tables is done with the rights of the owner that it
 * names.  So a right to write them, which pg_write_all_data has, does not do.
 */
Datum
saga_owner_only(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Oid			owner;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("saga.owner_only can only be called as a trigger")));
	owner = saga_extension_owner();
	if (GetUserId() != owner && !has_privs_of_role(GetUserId(), owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for table %s", RelationGetRelationName(trigger->tg_relation)),
				 errdetail("What is written here is done with the rights of others, so only the owner of extension \"%s\" may.", "pg_saga"),
				 errhint("Use the functions of schema saga.")));
	return PointerGetDatum(NULL);
}

/*
 * A lock on a part of the extension's object, which nothing in the server
 * ever locks.
 */
static void
set_extension_tag(LOCKTAG *tag, Oid oid)
{
	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, ExtensionRelationId, oid, EXTENSION_LOCK_SUBID);
}

/*
 * Work shares this lock, and whoever drops or updates the extension has it
 * for himself.  It is not the server's lock on the extension's object, which
 * anybody can take exclusively: ALTER FUNCTION ... DEPENDS ON EXTENSION asks
 * for no right on the extension, DROP EXTENSION asks after it has locked.  No
 * statement locks a part of an extension, so this one is out of reach of SQL.
 *
 * Ours is taken by hooks.  If the library is not preloaded by the server, a
 * session that drops the extension need not have them: then the server's lock
 * has to do as well, whoever can hold it.
 */
void
saga_extension_lock_as(Oid oid, LOCKMODE mode)
{
	LOCKTAG		tag;

	set_extension_tag(&tag, oid);
	(void) LockAcquire(&tag, mode, false, false);
	if (!saga_in_every_session)
		LockDatabaseObject(ExtensionRelationId, oid, 0, mode);

	/* it may have gone, and come anew, while we waited */
	AcceptInvalidationMessages();
}

/* Gives back what saga_extension_lock_as took in shared mode. */
static void
unlock_extension(Oid oid)
{
	LOCKTAG		tag;

	set_extension_tag(&tag, oid);
	(void) LockRelease(&tag, AccessShareLock, false);
	if (!saga_in_every_session)
		UnlockDatabaseObject(ExtensionRelationId, oid, 0, AccessShareLock);
}

/*
 * The oid is looked up, locked and looked up again: between the two somebody
 * could have dropped the extension and created another.
 */
void
saga_extension_lock(void)
{
	for (;;)
	{
		Oid			oid = saga_extension_oid(false);

		saga_extension_lock_as(oid, AccessShareLock);
		if (saga_extension_oid(false) == oid)
			break;
		unlock_extension(oid);
	}
	require_current();
	/* what a savepoint has locked goes with it */
	if (GetCurrentTransactionNestLevel() == 1)
		locked_by = saga_my_lxid();
}

/*
 * InvalidOid when the schema or the relation is not there.  No lock is taken.
 */
Oid
saga_relation_oid(const char *name)
{
	Oid			nsp = get_namespace_oid("saga", true);

	return OidIsValid(nsp) ? get_relname_relid(name, nsp) : InvalidOid;
}

/*
 * The invalidations are taken in, because the object may have changed until
 * the moment of the lock.
 */
bool
saga_common_object_try_lock(Oid relid, int32 id, LOCKMODE mode)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, relid, (Oid) id, 0);
	if (LockAcquire(&tag, mode, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	AcceptInvalidationMessages();
	return true;
}

/* What is locked within a savepoint is locked again after it. */
void
saga_extension_lock_once(void)
{
	if (locked_by != saga_my_lxid())
		saga_extension_lock();
}

void
saga_accepted(void)
{
	ForceSyncCommit();
}

/*
 * What may work when it is tried again, without anybody changing anything of
 * his own.
 */
bool
saga_errcode_is_infrastructure(int sqlerrcode)
{
	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case ERRCODE_INSUFFICIENT_RESOURCES:	/* 53 */
		case ERRCODE_OPERATOR_INTERVENTION: /* 57 */
		case ERRCODE_CONNECTION_EXCEPTION:	/* 08 */
		case ERRCODE_SYSTEM_ERROR:	/* 58 */
			return true;
	}
	return sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE ||
		sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED ||
		sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
}
