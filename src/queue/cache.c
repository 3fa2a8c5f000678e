/*
 * cache.c
 *		Rows of saga.queue, by owner and name and by id, one cache per process.
 *
 * A statement trigger on saga.queue sends a relcache invalidation, the
 * callback here forgets everything.  Entries are handed out as pointers that
 * are good until the end of the transaction: what was forgotten is freed
 * only then.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "commands/trigger.h"
#include "common/clock.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "queue/queue_private.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

typedef struct QueueCache
{
	MemoryContext context;
	Oid			relid;			/* saga.queue */
	bool		valid;
	HTAB	   *by_id;
	HTAB	   *by_name;
	int			missing;		/* names in it that nothing has */
	struct QueueCache *next;	/* in the list of retired ones */
} QueueCache;

typedef struct IdEntry
{
	int32		queue_id;
	SagaQueue  *queue;
} IdEntry;

typedef struct NameKey
{
	Oid			owner;
	const char *name;
} NameKey;

typedef struct NameEntry
{
	NameKey		key;
	SagaQueue  *queue;			/* NULL: there is none of that name */
} NameEntry;

/* A bare name that owner_path leads to is asked for at each call; made-up ones must not fill the memory. */
#define MAX_MISSING 1000

/* Caches. */
static QueueCache *cache = NULL;
static QueueCache *retired = NULL;
static bool callback_registered = false;

static bool foreign = false;	/* rows came from elsewhere, in this transaction */

#define QUEUE_COLUMNS \
	"SELECT queue_id, name, kind, owner::oid, visibility_timeout, max_receives, dead_letter_queue_id FROM saga.queue"

static SagaStatement by_name_stmt = {
	.sql = QUEUE_COLUMNS " WHERE owner = $owner AND name = $name",
	.read_only = true,
	.limit = 1
};
static SagaStatement by_id_stmt = {
	.sql = QUEUE_COLUMNS " WHERE queue_id = $queue_id",
	.read_only = true,
	.limit = 1
};


static void
forget_queues(Datum arg, Oid relid)
{
	if (cache != NULL && (relid == InvalidOid || relid == cache->relid))
		cache->valid = false;
}

static uint32
name_hash(const void *key, Size keysize)
{
	const NameKey *name_key = key;

	return hash_combine(murmurhash32(name_key->owner), string_hash(name_key->name, strlen(name_key->name) + 1));
}

static int
name_match(const void *a, const void *b, Size keysize)
{
	const NameKey *one = a;
	const NameKey *other = b;

	return one->owner == other->owner ? strcmp(one->name, other->name) : 1;
}

static void
make_cache(void)
{
	MemoryContext context;
	QueueCache *new;
	HASHCTL		ctl;

	if (!callback_registered)
	{
		CacheRegisterRelcacheCallback(forget_queues, (Datum) 0);
		callback_registered = true;
	}
	context = AllocSetContextCreate(TopMemoryContext, "pg_saga queues", ALLOCSET_SMALL_SIZES);
	new = MemoryContextAllocZero(context, sizeof(QueueCache));
	new->context = context;

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(int32);
	ctl.entrysize = sizeof(IdEntry);
	ctl.hcxt = context;
	new->by_id = hash_create("pg_saga queues by id", 32, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(NameKey);
	ctl.entrysize = sizeof(NameEntry);
	ctl.hash = name_hash;
	ctl.match = name_match;
	ctl.hcxt = context;
	new->by_name = hash_create("pg_saga queues by name", 32, &ctl,
							   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);

	/*
	 * without the relation each look-up fails, and nothing would tell us when
	 * it is there
	 */
	new->relid = saga_relation_oid("queue");
	new->valid = OidIsValid(new->relid);
	cache = new;
}

static void
check_cache(void)
{
	if (cache != NULL && !cache->valid)
	{
		cache->next = retired;
		retired = cache;
		cache = NULL;
	}
	if (cache == NULL)
		make_cache();
}

void
saga_note_foreign(void)
{
	if (saga_my_database() != NULL)
		foreign = true;
}

bool
saga_queues_are_foreign(void)
{
	return foreign;
}

void
saga_cache_end_transaction(void)
{
	foreign = false;
	while (retired != NULL)
	{
		QueueCache *old = retired;

		retired = old->next;
		MemoryContextDelete(old->context);
	}
}

/* The name is in the cache's memory. */
static void
add_name(QueueCache *into, Oid owner, const char *name, SagaQueue *queue)
{
	NameKey		key;
	NameEntry  *entry;
	bool		found;

	memset(&key, 0, sizeof(key));
	key.owner = owner;
	key.name = name;
	entry = hash_search(into->by_name, &key, HASH_ENTER, &found);
	entry->key = key;
	entry->queue = queue;
}

/* The row that is looked at, in the memory of a cache. */
static SagaQueue *
read_queue(SagaRows *rows, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	SagaQueue  *queue = palloc0(sizeof(SagaQueue));
	bool		isnull;

	queue->queue_id = saga_column_int4(rows, "queue_id");
	queue->name = saga_column_text(rows, "name");
	queue->kind = saga_column_char(rows, "kind");
	queue->owner = saga_column_oid(rows, "owner");
	queue->visibility_timeout_ms =
		saga_interval_ms(DatumGetIntervalP(saga_column(rows, "visibility_timeout", INTERVALOID, &isnull)));
	queue->max_receives = saga_column_int4(rows, "max_receives");
	queue->dead_letter_queue = saga_column_int4(rows, "dead_letter_queue_id");
	MemoryContextSwitchTo(old);
	return queue;
}

/*
 * Reads the row under the newest snapshot, also in REPEATABLE READ: what is
 * cached stays for later transactions.  An invalidation that comes meanwhile
 * makes the cache invalid, and the entry goes with it.
 */
static SagaQueue *
load(SagaStatement *stmt, const SagaParam *key)
{
	QueueCache *into = cache;
	SagaQueue  *queue = NULL;
	SagaRows   *rows;

	PushActiveSnapshot(GetLatestSnapshot());
	rows = saga_query_params(stmt, key);
	PopActiveSnapshot();
	if (saga_next(rows))
	{
		IdEntry    *id_entry;
		bool		found;

		queue = read_queue(rows, into->context);
		id_entry = hash_search(into->by_id, &queue->queue_id, HASH_ENTER, &found);
		id_entry->queue = queue;
		add_name(into, queue->owner, queue->name, queue);
	}
	saga_rows_free(rows);
	return queue;
}

static SagaQueue *
load_by_name(Oid owner, const char *name)
{
	const SagaParam key[] = {saga_param_oid("owner", owner), saga_param_text("name", name), {.name = NULL}};

	return load(&by_name_stmt, key);
}

static SagaQueue *
load_by_id(int32 queue_id)
{
	const SagaParam key[] = {saga_param_int4("queue_id", queue_id), {.name = NULL}};

	return load(&by_id_stmt, key);
}

const SagaQueue *
saga_queue_by_owner(Oid owner, const char *name)
{
	NameKey		key;
	NameEntry  *entry;
	QueueCache *into;
	const SagaQueue *queue;

	memset(&key, 0, sizeof(key));
	key.owner = owner;
	key.name = name;
	check_cache();
	entry = hash_search(cache->by_name, &key, HASH_FIND, NULL);
	if (entry && entry->queue == NULL)
	{
		/*
		 * whoever waits for one to be made need not begin a transaction for
		 * that
		 */
		AcceptInvalidationMessages();
		check_cache();
		entry = hash_search(cache->by_name, &key, HASH_FIND, NULL);
	}
	if (entry && entry->queue == NULL)
		saga_name_missing_is_cached = true;
	if (entry && (entry->queue != NULL || !saga_name_ask_for_missing))
		return entry->queue;
	into = cache;
	queue = load_by_name(owner, name);
	if (queue == NULL && entry == NULL && into->missing < MAX_MISSING)
	{
		into->missing++;
		add_name(into, owner, MemoryContextStrdup(into->context, name), NULL);
	}
	return queue;
}

const SagaQueue *
saga_queue_by_id(int32 queue_id, bool missing_ok)
{
	IdEntry    *entry;
	const SagaQueue *queue;

	check_cache();
	entry = hash_search(cache->by_id, &queue_id, HASH_FIND, NULL);
	queue = entry ? entry->queue : load_by_id(queue_id);
	if (queue == NULL && !missing_ok)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("queue with id %d does not exist", queue_id)));
	return queue;
}

/* ---------- names and rights ---------- */

SagaObject
saga_queue_object(const SagaQueue *queue)
{
	SagaObject	object = {.id = queue->queue_id, .owner = queue->owner};

	switch (queue->kind)
	{
		case SAGA_QUEUE_WORKFLOW:
			object.kind = SAGA_OBJECT_WORKFLOW;
			break;
		case SAGA_QUEUE_DESTINATION:
			object.kind = SAGA_OBJECT_DESTINATION;
			break;
		case SAGA_QUEUE_ACTIVITY:
			object.kind = SAGA_OBJECT_ACTIVITY;
			break;
		default:
			object.kind = SAGA_OBJECT_QUEUE;
			break;
	}
	return object;
}

/* Of any kind: the rights that count are those on what the queue belongs to. */
static bool
look_up_queue(Oid owner, const char *name, SagaObject *object)
{
	const SagaQueue *queue = saga_queue_by_owner(owner, name);

	if (queue != NULL)
		*object = saga_queue_object(queue);
	return queue != NULL;
}

static bool
look_up_workflow(Oid owner, const char *name, SagaObject *object)
{
	return look_up_queue(owner, name, object) && object->kind == SAGA_OBJECT_WORKFLOW;
}

static bool
look_up_activity(Oid owner, const char *name, SagaObject *object)
{
	return look_up_queue(owner, psprintf(SAGA_ACTIVITY_PREFIX "%s", name), object) &&
		object->kind == SAGA_OBJECT_ACTIVITY;
}

void
saga_queue_init(void)
{
	saga_object_register(SAGA_OBJECT_QUEUE, look_up_queue);
	saga_object_register(SAGA_OBJECT_WORKFLOW, look_up_workflow);
	saga_object_register(SAGA_OBJECT_ACTIVITY, look_up_activity);
}

const SagaQueue *
saga_queue_find(const char *text, Oid user, int rights, bool missing_ok)
{
	SagaObject	object;
	const SagaQueue *queue = NULL;

	if (saga_object_find(SAGA_OBJECT_QUEUE, text, user, rights, &object))
		queue = saga_queue_by_id(object.id, true);
	if (queue == NULL && !missing_ok)
		saga_object_missing(SAGA_OBJECT_QUEUE, text, user, rights);
	return queue;
}

/* The lock is on the row's "object": no write to the row, shared by all senders. */
static void
lock_queue(int32 queue_id, LOCKMODE mode)
{
	Oid			relid = cache ? cache->relid : saga_relation_oid("queue");

	LockDatabaseObject(relid, (Oid) queue_id, 0, mode);
}

const SagaQueue *
saga_queue_lock(const SagaQueue *queue)
{
	const SagaQueue *now;

	lock_queue(queue->queue_id, AccessShareLock);
	now = saga_queue_by_id(queue->queue_id, true);
	if (now == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("queue \"%s\" does not exist", queue->name)));
	return now;
}

bool
saga_queue_try_lock(int32 queue_id)
{
	check_cache();
	return saga_object_try_lock(cache->relid, queue_id, AccessShareLock);
}

void
saga_queue_take_exclusive(void *queue_id)
{
	lock_queue(*(int32 *) queue_id, AccessExclusiveLock);
}

void
saga_queue_lock_exclusive(int32 queue_id, const char *what, const char *name)
{
	saga_take_locks(saga_queue_take_exclusive, &queue_id, what, name);
}

/* ---------- slots in shared memory ---------- */

/* Forgets the slot of a queue that is not there and that nobody is making: who inserted the row has its lock. */
void
saga_forget_if_gone(int32 queue_id)
{
	LOCKTAG		tag;
	Oid			relid;

	check_cache();
	relid = cache->relid;
	if (!saga_object_try_lock(relid, queue_id, AccessExclusiveLock))
		return;

	/*
	 * nobody else has the lock: before it goes, no slot is made for a new
	 * queue
	 */
	if (saga_queue_by_id(queue_id, true) == NULL)
		saga_forget_queue(queue_id);
	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, relid, (Oid) queue_id, 0);
	LockRelease(&tag, AccessExclusiveLock, false);
}

/*
 * The flag is cleared before the table is looked at once more: whoever commits
 * the queue after that sets it again, and one that was committed before it is
 * seen.  Without this one would look all the time for what is being made.
 */
const SagaQueue *
saga_queue_of_ready(int32 queue_id)
{
	const SagaQueue *queue = saga_queue_by_id(queue_id, true);
	SagaQueueKey key = {MyDatabaseId, queue_id};

	if (queue != NULL || saga_shared == NULL)
		return queue;
	if (saga_test_mutant & SAGA_MUTANT_FORGET)
	{
		pg_usleep(1000 * 1000);
		saga_forget_queue(queue_id);
		return NULL;
	}
	saga_queue_clear_ready(queue_id);
	queue = saga_queue_by_id(queue_id, true);
	if (queue == NULL)
	{
		saga_forget_if_gone(queue_id);
		return NULL;
	}
	/* the caller may not come to its claim */
	key.owner = queue->owner;
	key.kind = SAGA_QUEUE_SERVED_AS(queue->kind);
	saga_queue_set_ready(&key);
	return queue;
}

const SagaQueue *
saga_queue_lock_ready(int32 queue_id)
{
	lock_queue(queue_id, AccessShareLock);
	return saga_queue_of_ready(queue_id);
}

/*
 * Is the owner of the queue as it is cached that of the row, until we commit?
 * Who is changing it himself does not know how that ends.
 */
static const SagaQueue *
queue_with_owner(const SagaQueue *queue)
{
	LOCKTAG		tag;

	if (queue->kind != SAGA_QUEUE_WORKFLOW)
		return queue;			/* served by whoever comes */
	check_cache();
	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, cache->relid, (Oid) queue->queue_id, 0);
	if (saga_lock_held_by_me(&tag, AccessExclusiveLock))
		return NULL;
	if (!saga_lock_held_by_me(&tag, AccessShareLock) && !saga_queue_try_lock(queue->queue_id))
		return NULL;
	return saga_queue_by_id(queue->queue_id, true);
}

SagaQueueSlot *
saga_queue_slot(const SagaQueue *queue)
{
	SagaQueueSlot *slot = saga_queue_slot_look(queue->queue_id);

	if (slot != NULL || saga_shared == NULL)
		return slot;
	queue = queue_with_owner(queue);
	return queue == NULL ? NULL : saga_queue_slot_make(queue->queue_id, queue->owner, SAGA_QUEUE_SERVED_AS(queue->kind));
}

void
saga_queue_slot_correct(const SagaQueue *queue)
{
	if (saga_shared == NULL || saga_queue_slot_is_of(queue->queue_id, queue->owner))
		return;
	queue = queue_with_owner(queue);
	if (queue != NULL)
		(void) saga_queue_slot_make(queue->queue_id, queue->owner, SAGA_QUEUE_SERVED_AS(queue->kind));
}

/*
 * invalidate_cache() returns trigger: all processes forget what they cached
 * of the table.  Rows of saga.queue that did not come through
 * saga_queue_create are a restore: the coordinator is to have a look.
 */
PG_FUNCTION_INFO_V1(saga_invalidate_cache);

Datum
saga_invalidate_cache(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("saga.invalidate_cache can only be called as a trigger")));
	CacheInvalidateRelcacheByRelid(RelationGetRelid(trigger->tg_relation));
	/* who may call this function may put it on a table of his own */
	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event) && !saga_creating_queue &&
		RelationGetRelid(trigger->tg_relation) == saga_relation_oid("queue"))
		saga_note_foreign();
	return PointerGetDatum(NULL);
}
