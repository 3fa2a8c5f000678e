/*
 * destination.c
 *		Destinations: the cache of saga.destination.
 *
 * It holds those that this process uses, each loaded and parsed when it is first
 * asked for: what others have costs nothing.  An entry that a publisher has
 * pinned lives until it is unpinned (common/table_cache.h).
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "common/statement.h"
#include "endpoint/destination.h"
#include "fmgr.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(saga_destination_changed);

/* ---------- the cache ---------- */

static SagaStatement load_stmt = {
	.sql = "SELECT name, kind, owner::oid, settings, paused, limit_key, changed_at "
	"FROM saga.destination WHERE destination_id = $destination_id",
	.read_only = true, .limit = 1
};

static SagaStatement owners_stmt = {
	.sql = "SELECT destination_id, owner::oid FROM saga.destination ORDER BY destination_id",
	.read_only = true
};

static SagaStatement ids_of_stmt = {
	.sql = "SELECT destination_id FROM saga.destination WHERE owner = $owner ORDER BY destination_id",
	.read_only = true
};

SagaDestination *
saga_destination_new(MemoryContext context, const char *name, const char *kind)
{
	SagaDestination *destination = MemoryContextAllocZero(context, sizeof(SagaDestination));

	destination->name = MemoryContextStrdup(context, name);
	(void) saga_destination_kind_parse(kind, &destination->kind);
	return destination;
}

/* NULL also: what its settings say is not understood, and a warning has said so. */
static void *
load(const void *key, MemoryContext own)
{
	int32		destination_id = *(const int32 *) key;
	SagaRows   *row = saga_query(&load_stmt, saga_param_int4("destination_id", destination_id));
	SagaDestination *destination;
	MemoryContext old;
	Jsonb	   *settings;
	char	   *path;
	const char *error;

	if (!saga_rows_next(row))
		return NULL;
	destination = saga_destination_new(own, saga_column_text(row, "name"), saga_column_text(row, "kind"));
	destination->destination_id = destination_id;
	destination->owner = saga_column_oid(row, "owner");
	settings = saga_endpoint_secret_qualify("destination", destination_id, saga_column_jsonb(row, "settings"));
	destination->paused = saga_column_bool(row, "paused");
	old = MemoryContextSwitchTo(own);
	destination->limit_key = saga_column_text(row, "limit_key");
	destination->changed_at = saga_column_timestamptz(row, "changed_at");
	error = saga_settings_parse(destination, settings, &path);
	MemoryContextSwitchTo(old);
	if (error != NULL)
	{
		ereport(WARNING,
				(errmsg("invalid settings of destination \"%s\"", destination->name),
				 errdetail("%s %s.", path, error)));
		return NULL;
	}
	if (destination->refused != NULL)
		ereport(LOG,
				(errmsg("destination \"%s\" has settings that are not accepted any more", destination->name),
				 errdetail("%s.", destination->refused),
				 errhint("A regular expression that is not accepted never matches.  Change it with saga.alter_destination().")));
	return destination;
}

static SagaTableWatch watch = {.table = "destination"};
static SagaTableCache cache = {
	.name = "destinations", .watch = &watch, .keysize = sizeof(int32), .load = load
};

/*
 * A change is noticed when a transaction begins or takes a lock.  After an
 * abort the relation's own changes are undone, and invalidated, too.
 */
SagaDestination *
saga_destination_by_id(int32 destination_id)
{
	return saga_cache_get(&cache, &destination_id);
}

/* As they are now, and not as an old snapshot of the transaction has them. */
static SagaRows *
query_latest(SagaStatement *stmt, const SagaParam *params)
{
	SagaRows   *rows;

	PushActiveSnapshot(GetLatestSnapshot());
	rows = saga_statement_query(stmt, params);
	PopActiveSnapshot();
	return rows;
}

List *
saga_destination_ids_of(Oid owner)
{
	const SagaParam params[] = {saga_param_oid("owner", owner), {.name = NULL}};
	SagaRows   *rows = query_latest(&ids_of_stmt, params);
	List	   *ids = NIL;

	while (saga_rows_next(rows))
		ids = lappend_int(ids, saga_column_int4(rows, "destination_id"));
	saga_rows_free(rows);
	return ids;
}

List *
saga_destination_ids_for(Oid user)
{
	const SagaParam none[] = {{.name = NULL}};
	SagaRows   *rows = query_latest(&owners_stmt, none);
	List	   *ids = NIL;

	while (saga_rows_next(rows))
	{
		int32		destination_id = saga_column_int4(rows, "destination_id");

		if (has_privs_of_role(user, saga_column_oid(rows, "owner")))
			ids = lappend_int(ids, destination_id);
	}
	saga_rows_free(rows);
	return ids;
}

/* As saga_name_object_may, for the row that is cached. */
bool
saga_destination_may(const SagaDestination *destination, Oid user, int rights)
{
	SagaObject	object = {SAGA_OBJECT_DESTINATION, destination->destination_id, destination->owner};

	return saga_name_object_may(&object, user, rights);
}

/* Taking a lock also reads invalidations: what the cache says afterwards is true. */
void
saga_destination_lock(int32 destination_id, LOCKMODE mode)
{
	LockDatabaseObject(saga_relation_oid("destination"), (Oid) destination_id, 0, mode);
}

bool
saga_destination_try_lock(int32 destination_id)
{
	return saga_common_object_try_lock(saga_relation_oid("destination"), destination_id, AccessShareLock);
}

static SagaStatement paused_stmt = {
	.sql = "SELECT paused FROM saga.destination WHERE destination_id = $destination_id",
	.limit = 1
};

/*
 * Asked of the row itself: the flag may have been set by somebody else, in the
 * moment between the commit that resumes it and the invalidation of the cache.
 */
bool
saga_destination_is_paused(int32 destination_id)
{
	SagaRows   *rows = saga_query(&paused_stmt, saga_param_int4("destination_id", destination_id));
	bool		paused = !saga_rows_next(rows) || saga_column_bool(rows, "paused");

	saga_rows_free(rows);
	return paused;
}

static SagaStatement changed_stmt = {
	.sql = "SELECT FROM saga.destination WHERE destination_id = $destination_id AND changed_at <> $changed_at",
	.limit = 1
};

/* For the same reason. */
bool
saga_destination_is_outdated(const SagaDestination *destination)
{
	return saga_run(&changed_stmt, saga_param_int4("destination_id", destination->destination_id),
					saga_param_timestamptz("changed_at", destination->changed_at)) > 0;
}

/* Also of saga.reference and saga.object_grant: what its secrets are is cached with it, and a restore brings them later. */
Datum
saga_destination_changed(PG_FUNCTION_ARGS)
{
	Oid			relid;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("saga.destination_changed can only be called as a trigger")));
	relid = saga_relation_oid("destination");
	if (OidIsValid(relid))
		CacheInvalidateRelcacheByRelid(relid);
	return PointerGetDatum(NULL);
}
