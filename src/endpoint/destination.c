/*
 * destination.c
 *		Destinations: the cache of saga.destination.
 *
 * It holds those that this process uses, each loaded and parsed when it is first
 * asked for: what others have costs nothing.  It is emptied by a relcache
 * invalidation of saga.destination, which a statement trigger sends with each
 * change, a restore included.  What was in it lives on until the transaction
 * ends, as somebody may be looking at it, and an entry that a publisher has
 * pinned until it is unpinned.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "common/statement.h"
#include "endpoint/destination.h"
#include "fmgr.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(saga_destination_changed);

/* ---------- the cache ---------- */

typedef struct Entry
{
	int32		destination_id;
	SagaDestination *destination;
} Entry;

static HTAB *cache = NULL;		/* of Entry, by id */
static dlist_head retired = DLIST_STATIC_INIT(retired); /* out of the cache in this transaction */
static bool cache_valid = false;
static Oid	cache_relid = InvalidOid;	/* of saga.destination when it was read */
static bool callback_registered = false;

static SagaStatement load_stmt = {
	.sql = "SELECT destination_id, name, kind, owner::oid, settings, paused, limit_key, changed_at "
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

/*
 * Called at any point where invalidations are read: it only marks the cache,
 * as somebody may be using an entry.
 */
static void
relation_changed(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == cache_relid)
		cache_valid = false;
}

/* Entries go to the list of those that live to the end of the transaction. */
static void
empty_cache(void)
{
	HASH_SEQ_STATUS seq;
	Entry	   *entry;

	if (cache == NULL)
		return;
	hash_seq_init(&seq, cache);
	while ((entry = hash_seq_search(&seq)) != NULL)
	{
		entry->destination->stale = entry->destination->retired = true;
		dlist_push_tail(&retired, &entry->destination->node);
	}
	hash_destroy(cache);
	cache = NULL;
}

/* At the end of a transaction; pinned ones stay until they are unpinned. */
static void
free_retired(XactEvent event, void *arg)
{
	dlist_mutable_iter iter;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	dlist_foreach_modify(iter, &retired)
	{
		SagaDestination *destination = dlist_container(SagaDestination, node, iter.cur);

		dlist_delete(&destination->node);
		destination->retired = false;
		if (destination->refs == 0)
			MemoryContextDelete(destination->context);
	}
}

SagaDestination *
saga_destination_new(const char *name, const char *kind)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "saga destination",
												  ALLOCSET_SMALL_SIZES);
	SagaDestination *destination = MemoryContextAllocZero(context, sizeof(SagaDestination));

	destination->context = context;
	destination->name = MemoryContextStrdup(context, name);
	(void) saga_destination_kind_parse(kind, &destination->kind);
	return destination;
}

/* One row of load_stmt.  NULL: what its settings say is not understood, and a warning has said so. */
static SagaDestination *
read_destination(SagaRows *row)
{
	SagaDestination *destination;
	MemoryContext old;
	int32		destination_id = saga_column_int4(row, "destination_id");
	char	   *name = saga_column_text(row, "name");
	Jsonb	   *settings;
	char	   *path;
	const char *error;

	destination = saga_destination_new(name, saga_column_text(row, "kind"));
	destination->destination_id = destination_id;
	destination->owner = saga_column_oid(row, "owner");
	settings = saga_secret_qualify("destination", destination_id, saga_column_jsonb(row, "settings"));
	destination->paused = saga_column_bool(row, "paused");
	old = MemoryContextSwitchTo(destination->context);
	destination->limit_key = saga_column_text(row, "limit_key");
	destination->changed_at = saga_column_timestamptz(row, "changed_at");
	error = saga_settings_parse(destination, settings, &path);
	MemoryContextSwitchTo(old);
	if (error != NULL)
	{
		ereport(WARNING,
				(errmsg("invalid settings of destination \"%s\"", name),
				 errdetail("%s %s.", path, error)));
		MemoryContextDelete(destination->context);
		return NULL;
	}
	if (destination->refused != NULL)
		ereport(LOG,
				(errmsg("destination \"%s\" has settings that are not accepted any more", name),
				 errdetail("%s.", destination->refused),
				 errhint("A regular expression that is not accepted never matches.  Change it with saga.alter_destination().")));
	return destination;
}

/* An empty cache, when there may have been a change since it was filled. */
static void
check_cache(void)
{
	HASHCTL		ctl = {.keysize = sizeof(int32), .entrysize = sizeof(Entry)};

	if (!callback_registered)
	{
		CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
		RegisterXactCallback(free_retired, NULL);
		callback_registered = true;
	}
	if (cache != NULL && cache_valid)
		return;
	empty_cache();
	cache = hash_create("pg_saga destinations", 32, &ctl, HASH_ELEM | HASH_BLOBS);
	cache_relid = saga_relation_oid("destination");
	cache_valid = OidIsValid(cache_relid);
}

/*
 * What is cached decides about rights in later transactions too, so it may not
 * come from the old snapshot of a REPEATABLE READ transaction.  A change that
 * comes meanwhile makes the cache invalid, and what is added here with it.
 *
 * Many may be loaded in one transaction: what only the loading needs goes at once.
 */
static SagaDestination *
load(int32 destination_id)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "saga destination load",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	SagaDestination *destination = NULL;
	SagaRows   *rows;
	Entry	   *entry;
	bool		found;

	PushActiveSnapshot(GetLatestSnapshot());
	rows = saga_query(&load_stmt, saga_param_int4("destination_id", destination_id));
	if (saga_next(rows))
		destination = read_destination(rows);
	PopActiveSnapshot();
	if (destination != NULL)
	{
		/*
		 * complete: now nothing can fail but an allocation, which loses
		 * nothing
		 */
		entry = hash_search(cache, &destination_id, HASH_ENTER, &found);
		entry->destination = destination;
		MemoryContextSetParent(destination->context, TopMemoryContext);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return destination;
}

/*
 * Invalidation is noticed when a transaction begins or takes a lock.  After
 * an abort the relation's own changes are undone, and invalidated, too.
 */
SagaDestination *
saga_destination_by_id(int32 destination_id)
{
	Entry	   *entry;

	check_cache();
	entry = hash_search(cache, &destination_id, HASH_FIND, NULL);
	return entry != NULL ? entry->destination : load(destination_id);
}

/* As they are now, and not as an old snapshot of the transaction has them. */
static SagaRows *
query_latest(SagaStatement *stmt, const SagaParam *params)
{
	SagaRows   *rows;

	PushActiveSnapshot(GetLatestSnapshot());
	rows = saga_query_params(stmt, params);
	PopActiveSnapshot();
	return rows;
}

List *
saga_destination_ids_of(Oid owner)
{
	const SagaParam params[] = {saga_param_oid("owner", owner), {.name = NULL}};
	SagaRows   *rows = query_latest(&ids_of_stmt, params);
	List	   *ids = NIL;

	while (saga_next(rows))
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

	while (saga_next(rows))
	{
		int32		destination_id = saga_column_int4(rows, "destination_id");

		if (has_privs_of_role(user, saga_column_oid(rows, "owner")))
			ids = lappend_int(ids, destination_id);
	}
	saga_rows_free(rows);
	return ids;
}

/* As saga_object_may, for the row that is cached. */
bool
saga_destination_may(const SagaDestination *destination, Oid user, int rights)
{
	SagaObject	object = {SAGA_OBJECT_DESTINATION, destination->destination_id, destination->owner};

	return saga_object_may(&object, user, rights);
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
	return saga_object_try_lock(saga_relation_oid("destination"), destination_id, AccessShareLock);
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
	bool		paused = !saga_next(rows) || saga_column_bool(rows, "paused");

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

/* Pins count; each is given back by an unpin. */
void
saga_destination_pin(SagaDestination *destination)
{
	destination->refs++;
}

/*
 * The last one frees an entry that the cache has dropped; one that was
 * dropped in this transaction is freed at its end.
 */
void
saga_destination_unpin(SagaDestination *destination)
{
	Assert(destination->refs > 0);
	if (--destination->refs == 0 && destination->stale && !destination->retired)
		MemoryContextDelete(destination->context);
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
