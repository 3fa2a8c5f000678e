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
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "outbox/destination.h"
#include "queue/queue.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(saga_destination_changed);

/* ---------- kinds ---------- */

static const char *const kind_names[] = {
	[SAGA_DESTINATION_HTTP] = "http",
	[SAGA_DESTINATION_SNS] = "sns",
	[SAGA_DESTINATION_SQS] = "sqs"
};

const char *
saga_destination_kind_name(SagaDestinationKind kind)
{
	return kind_names[kind];
}

bool
saga_destination_kind_parse(const char *name, SagaDestinationKind *kind)
{
	int			i;

	for (i = 0; i < lengthof(kind_names); i++)
	{
		if (strcmp(kind_names[i], name) == 0)
		{
			*kind = (SagaDestinationKind) i;
			return true;
		}
	}
	return false;
}

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

static SagaStmt load_stmt = {
	.sql = "SELECT destination_id, name, kind, owner::oid, settings, paused, limit_key, changed_at "
	"FROM saga.destination WHERE destination_id = $1",
	.nargs = 1,
	.argtypes = {INT4OID}
};

/* Has it something to claim; or, of those that have nobody to bring it back, something that is due? */
static SagaStmt look_stmt = {
	.sql = "SELECT d.destination_id, d.owner::oid, "
	"EXISTS (SELECT FROM saga.message m WHERE m.queue_id = d.destination_id) "
	"OR $1 AND EXISTS (SELECT FROM saga.timer t WHERE t.queue_id = d.destination_id AND t.wake_at <= now()) "
	"FROM saga.destination d WHERE d.destination_id > $2 ORDER BY d.destination_id LIMIT $3",
	.nargs = 3,
	.argtypes = {BOOLOID, INT4OID, INT4OID}
};

static SagaStmt owners_stmt = {
	.sql = "SELECT destination_id, owner::oid FROM saga.destination ORDER BY destination_id"
};

static SagaStmt ids_of_stmt = {
	.sql = "SELECT destination_id, owner::oid FROM saga.destination WHERE owner = $1 ORDER BY destination_id",
	.nargs = 1,
	.argtypes = {OIDOID}
};

static void
relation_changed(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == cache_relid)
		cache_valid = false;
}

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

static SagaDestination *
read_row(uint64 row)
{
	SagaDestination *destination;
	MemoryContext old;
	bool		isnull;
	char	   *name = TextDatumGetCString(saga_result(row, 2, &isnull));
	Jsonb	   *settings = DatumGetJsonbPCopy(saga_result(row, 5, &isnull));
	char	   *path;
	const char *error;

	destination = saga_destination_new(name, TextDatumGetCString(saga_result(row, 3, &isnull)));
	destination->destination_id = DatumGetInt32(saga_result(row, 1, &isnull));
	destination->owner = DatumGetObjectId(saga_result(row, 4, &isnull));
	destination->paused = DatumGetBool(saga_result(row, 6, &isnull));
	destination->limit_key = MemoryContextStrdup(destination->context,
												 TextDatumGetCString(saga_result(row, 7, &isnull)));
	destination->changed_at = DatumGetTimestampTz(saga_result(row, 8, &isnull));
	settings = saga_secret_qualify("destination", destination->destination_id, settings);
	old = MemoryContextSwitchTo(destination->context);
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
	HASHCTL		ctl = {.keysize = sizeof(int32),.entrysize = sizeof(Entry)};

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
 */
static SagaDestination *
load(int32 destination_id)
{
	Datum		value = Int32GetDatum(destination_id);
	SagaDestination *destination = NULL;
	Entry	   *entry;
	bool		found;

	SPI_connect();
	PushActiveSnapshot(GetLatestSnapshot());
	(void) saga_execute(&load_stmt, &value, NULL, true, 1);
	if (SPI_processed > 0)
		destination = read_row(0);
	PopActiveSnapshot();
	if (destination != NULL)
	{
		/* complete: now nothing can fail but an allocation, which loses nothing */
		entry = hash_search(cache, &destination_id, HASH_ENTER, &found);
		entry->destination = destination;
		MemoryContextSetParent(destination->context, TopMemoryContext);
	}
	SPI_finish();
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

/* A statement's rows of id and owner: the ids whose owner the user has the privileges of, in the caller's memory. */
static List *
read_ids(SagaStmt *stmt, Datum *values, Oid user)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *ids = NIL;
	uint64		row;
	bool		isnull;

	SPI_connect();
	PushActiveSnapshot(GetLatestSnapshot());
	(void) saga_execute(stmt, values, NULL, true, 0);
	PopActiveSnapshot();
	for (row = 0; row < SPI_processed; row++)
	{
		MemoryContext old;

		if (OidIsValid(user) && !has_privs_of_role(user, DatumGetObjectId(saga_result(row, 2, &isnull))))
			continue;
		old = MemoryContextSwitchTo(context);
		ids = lappend_int(ids, DatumGetInt32(saga_result(row, 1, &isnull)));
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return ids;
}

List *
saga_destination_ids_of(Oid owner)
{
	Datum		value = ObjectIdGetDatum(owner);

	return read_ids(&ids_of_stmt, &value, InvalidOid);
}

List *
saga_destination_ids_for(Oid user)
{
	return read_ids(&owners_stmt, NULL, user);
}

void
saga_destination_look(SagaDestinationLook *look)
{
	MemoryContext context = CurrentMemoryContext;
	Datum		values[3] = {BoolGetDatum(look->due), Int32GetDatum(look->after), Int32GetDatum(look->limit)};
	uint64		row;
	bool		isnull;

	SPI_connect();
	PushActiveSnapshot(GetLatestSnapshot());
	(void) saga_execute(&look_stmt, values, NULL, true, 0);
	PopActiveSnapshot();
	look->n = 0;
	look->ids = MemoryContextAllocHuge(context, sizeof(int32) * Max(SPI_processed, 1));
	look->owners = MemoryContextAllocHuge(context, sizeof(Oid) * Max(SPI_processed, 1));
	look->more = SPI_processed > 0 && SPI_processed == (uint64) look->limit;
	for (row = 0; row < SPI_processed; row++)
	{
		Oid			owner = DatumGetObjectId(saga_result(row, 2, &isnull));

		look->last = DatumGetInt32(saga_result(row, 1, &isnull));
		if (!DatumGetBool(saga_result(row, 3, &isnull)) ||
			(OidIsValid(look->user) && !has_privs_of_role(look->user, owner)))
			continue;
		look->ids[look->n] = look->last;
		look->owners[look->n++] = owner;
	}
	SPI_finish();
}

bool
saga_destination_may(const SagaDestination *destination, Oid user, int rights)
{
	SagaObject	object = {SAGA_OBJECT_DESTINATION, destination->destination_id, destination->owner};

	return saga_object_may(&object, user, rights);
}

/* Its queue has the same owner and id, and is cached. */
static bool
look_up_destination(Oid owner, const char *name, SagaObject *object)
{
	const SagaQueue *queue = saga_queue_by_owner(owner, psprintf("destination/%s", name));

	if (queue == NULL || queue->kind != SAGA_QUEUE_DESTINATION)
		return false;
	*object = saga_queue_object(queue);
	return true;
}

void
saga_destination_init(void)
{
	saga_object_register(SAGA_OBJECT_DESTINATION, look_up_destination);
	saga_object_register(SAGA_OBJECT_SECRET, saga_secret_look_up);
	saga_object_on_revoke(saga_secret_right_revoked);
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

static SagaStmt paused_stmt = {
	.sql = "SELECT paused FROM saga.destination WHERE destination_id = $1",
	.nargs = 1,
	.argtypes = {INT4OID}
};

/*
 * Asked of the row itself: the flag may have been set by somebody else, in the
 * moment between the commit that resumes it and the invalidation of the cache.
 */
bool
saga_destination_is_paused(int32 destination_id)
{
	Datum		value = Int32GetDatum(destination_id);
	bool		isnull;
	bool		paused;

	(void) saga_execute(&paused_stmt, &value, NULL, false, 1);
	paused = SPI_processed == 0 || DatumGetBool(saga_result(0, 1, &isnull));
	SPI_freetuptable(SPI_tuptable);
	return paused;
}

static SagaStmt changed_stmt = {
	.sql = "SELECT 1 FROM saga.destination WHERE destination_id = $1 AND changed_at <> $2",
	.nargs = 2,
	.argtypes = {INT4OID, TIMESTAMPTZOID}
};

/* For the same reason. */
bool
saga_destination_is_outdated(const SagaDestination *destination)
{
	Datum		values[2];
	bool		outdated;

	values[0] = Int32GetDatum(destination->destination_id);
	values[1] = TimestampTzGetDatum(destination->changed_at);
	(void) saga_execute(&changed_stmt, values, NULL, false, 1);
	outdated = SPI_processed > 0;
	SPI_freetuptable(SPI_tuptable);
	return outdated;
}

void
saga_destination_pin(SagaDestination *destination)
{
	destination->refs++;
}

void
saga_destination_unpin(SagaDestination *destination)
{
	Assert(destination->refs > 0);
	if (--destination->refs == 0 && destination->stale && !destination->retired)
		MemoryContextDelete(destination->context);
}

Datum
saga_destination_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("saga.destination_changed can only be called as a trigger")));
	CacheInvalidateRelcache(((TriggerData *) fcinfo->context)->tg_relation);
	return PointerGetDatum(NULL);
}
