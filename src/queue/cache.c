/*
 * cache.c
 *		Rows of saga.queue as this process keeps them, by id and by owner and
 *		name (common/table_cache.h).
 *
 * Entries are handed out as pointers that are good until the end of the
 * transaction.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "common/table_cache.h"
#include "miscadmin.h"
#include "queue/queue_private.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* By id, or by owner and name, and the other is 0 then. */
typedef struct QueueKey
{
	int32		queue_id;
	Oid			owner;
	const char *name;
} QueueKey;

/* A bare name that owner_path leads to is asked for at each call; made-up ones must not fill the memory. */
#define MAX_MISSING 1000

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

/* ---------- the cache ---------- */

static uint32
key_hash(const void *key, Size keysize)
{
	const QueueKey *queue = key;

	if (queue->name == NULL)
		return murmurhash32((uint32) queue->queue_id);
	return hash_combine(murmurhash32(queue->owner), string_hash(queue->name, strlen(queue->name) + 1));
}

static int
key_match(const void *a, const void *b, Size keysize)
{
	const QueueKey *one = a;
	const QueueKey *other = b;

	if (one->queue_id != other->queue_id || one->owner != other->owner)
		return 1;
	return one->name == NULL ? 0 : strcmp(one->name, other->name);
}

static const void *
key_copy(const void *key)
{
	QueueKey   *copy = palloc(sizeof(QueueKey));

	*copy = *(const QueueKey *) key;
	if (copy->name != NULL)
		copy->name = pstrdup(copy->name);
	return copy;
}

static SagaQueue *
read_queue(SagaRows *rows)
{
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
	return queue;
}

static void *load(const void *key, MemoryContext own);

static SagaQueue no_queue;
static SagaTableWatch watch = {.table = "queue"};
static SagaTableCache queues = {
	.name = "queues", .watch = &watch, .keysize = sizeof(QueueKey), .load = load, .small = true,
	.missing = &no_queue, .max_missing = MAX_MISSING, .hash = key_hash, .match = key_match, .copy = key_copy
};

/* A row that is read by one key is from then on found by the other one too, and as new. */
static void *
load(const void *key, MemoryContext own)
{
	const QueueKey *wanted = key;
	bool		by_name = wanted->name != NULL;
	SagaRows   *rows;
	MemoryContext old;
	SagaQueue  *queue;
	QueueKey	other = {0};

	if (by_name)
		rows = saga_query(&by_name_stmt, saga_param_oid("owner", wanted->owner), saga_param_text("name", wanted->name));
	else
		rows = saga_query(&by_id_stmt, saga_param_int4("queue_id", wanted->queue_id));
	if (!saga_rows_next(rows))
		return by_name ? &no_queue : NULL;
	old = MemoryContextSwitchTo(own);
	queue = read_queue(rows);
	MemoryContextSwitchTo(old);
	if (by_name)
		other.queue_id = queue->queue_id;
	else
	{
		other.owner = queue->owner;
		other.name = queue->name;
	}
	saga_cache_also(&queues, &other, queue);
	return queue;
}

const SagaQueue *
saga_queue_by_owner(Oid owner, const char *name)
{
	QueueKey	key = {.owner = owner, .name = name};
	const SagaQueue *queue = saga_cache_look(&queues, &key);

	if (queue == &no_queue)
	{
		/*
		 * whoever waits for one to be made need not begin a transaction for
		 * that
		 */
		AcceptInvalidationMessages();
		queue = saga_cache_look(&queues, &key);
	}
	if (queue == &no_queue)
		saga_name_missing_is_cached = true;
	if (queue == NULL || (queue == &no_queue && saga_name_ask_for_missing))
		queue = saga_cache_load(&queues, &key);
	return queue != &no_queue ? queue : NULL;
}

const SagaQueue *
saga_queue_by_id(int32 queue_id, bool missing_ok)
{
	QueueKey	key = {.queue_id = queue_id};
	const SagaQueue *queue = saga_cache_get(&queues, &key);

	if (queue == NULL && !missing_ok)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("queue with id %d does not exist", queue_id)));
	return queue;
}

void
saga_note_foreign(void)
{
	if (saga_queue_my_database() != NULL)
		foreign = true;
}

bool
saga_queue_take_foreign(void)
{
	bool		was = foreign;

	foreign = false;
	return was;
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
	saga_name_object_register(SAGA_OBJECT_QUEUE, look_up_queue);
	saga_name_object_register(SAGA_OBJECT_WORKFLOW, look_up_workflow);
	saga_name_object_register(SAGA_OBJECT_ACTIVITY, look_up_activity);
}

const SagaQueue *
saga_queue_find(const char *text, Oid user, int rights, bool missing_ok)
{
	SagaObject	object;
	const SagaQueue *queue = NULL;

	if (saga_name_object_find(SAGA_OBJECT_QUEUE, text, user, rights, &object))
		queue = saga_queue_by_id(object.id, true);
	if (queue == NULL && !missing_ok)
		saga_name_object_missing(SAGA_OBJECT_QUEUE, text, user, rights);
	return queue;
}

/* The lock is on the row's "object": no write to the row, shared by all senders. */
static void
lock_queue(int32 queue_id, LOCKMODE mode)
{
	LockDatabaseObject(saga_cache_relid(&queues), (Oid) queue_id, 0, mode);
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
	return saga_common_object_try_lock(saga_cache_relid(&queues), queue_id, AccessShareLock);
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
saga_queue_forget_if_gone(int32 queue_id)
{
	LOCKTAG		tag;
	Oid			relid = saga_cache_relid(&queues);

	if (!saga_common_object_try_lock(relid, queue_id, AccessExclusiveLock))
		return;

	/*
	 * nobody else has the lock: before it goes, no slot is made for a new
	 * queue
	 */
	if (saga_queue_by_id(queue_id, true) == NULL)
		saga_queue_forget_queue(queue_id);
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
		saga_queue_forget_queue(queue_id);
		return NULL;
	}
	saga_queue_clear_ready(queue_id);
	queue = saga_queue_by_id(queue_id, true);
	if (queue == NULL)
	{
		saga_queue_forget_if_gone(queue_id);
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
	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, saga_cache_relid(&queues), (Oid) queue->queue_id, 0);
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
