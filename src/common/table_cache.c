/*
 * table_cache.c
 *		Rows of our tables that a process keeps, and how it hears that a table
 *		has changed.
 *
 * One relcache callback counts, for each table that is watched, how often it
 * has changed.  It runs at any point where invalidations are read and does
 * nothing else, as somebody may be using what is cached.
 *
 * What a cache holds was read since one such number, and is a "fill".  The next
 * look-up after a change drops the whole fill and begins another.  A dropped
 * one is freed at the end of the transaction, since those who were given its
 * values may look at them until then; a value that is pinned stays until it is
 * unpinned.  What is being loaded while the table changes goes into the fill
 * that it was begun for, so that it never counts as newer than it is.
 *
 * A look-up does not read invalidations by itself: a transaction that begins
 * and a lock that is taken do (queue/README.md, "No cache is older than the
 * news").
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/common.h"
#include "common/table_cache.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

typedef struct SagaCacheFill
{
	MemoryContext context;		/* of this, of the table, and parent of the values' own */
	uint64		seen;			/* of the watch */
	HTAB	   *entries;		/* a key, and behind it a pointer to its value */
	int			missing;		/* entries of keys that no row has */
	struct SagaCacheFill *next; /* in the list of those that were dropped */
} SagaCacheFill;

/* Registered, as long as the process lives. */
static SagaTableWatch *watches = NULL;
static SagaTableCache *caches = NULL;


/* ---------- watches ---------- */

/* InvalidOid: of any table, as a process that fell behind is told. */
static void
relation_changed(Datum arg, Oid relid)
{
	SagaTableWatch *watch;

	for (watch = watches; watch != NULL; watch = watch->next)
	{
		if (relid == InvalidOid || relid == watch->relid)
			watch->changes++;
	}
}

/*
 * The table is looked up each time, as it has another OID after the extension
 * was created again.  Without it nothing would tell us when it is there.
 */
uint64
saga_table_watch(SagaTableWatch *watch)
{
	if (watches == NULL)
		CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	if (watch->changes == 0)
	{
		watch->changes = 1;
		watch->next = watches;
		watches = watch;
	}
	watch->relid = saga_relation_oid(watch->table);
	return OidIsValid(watch->relid) ? watch->changes : 0;
}

/* ---------- fills ---------- */

/* Where an entry has its value. */
static void **
value_of(const SagaTableCache *cache, void *entry)
{
	return (void **) ((char *) entry + MAXALIGN(cache->keysize));
}

/* Its values go too, but for those that are pinned. */
static void
free_fill(SagaTableCache *cache, SagaCacheFill *fill)
{
	HASH_SEQ_STATUS seq;
	void	   *entry;

	if (!cache->small)
	{
		hash_seq_init(&seq, fill->entries);
		while ((entry = hash_seq_search(&seq)) != NULL)
		{
			SagaCached *value = *value_of(cache, entry);

			if (value->pins == 0)
				continue;
			value->dropped = true;
			MemoryContextSetParent(GetMemoryChunkContext(value), TopMemoryContext);
		}
	}
	MemoryContextDelete(fill->context);
}

void
saga_cache_free_dropped(SagaTableCache *cache)
{
	while (cache->dropped != NULL)
	{
		SagaCacheFill *fill = cache->dropped;

		cache->dropped = fill->next;
		free_fill(cache, fill);
	}
}

/* Nobody looks any more at what was handed out before. */
static void
transaction_ended(XactEvent event, void *arg)
{
	SagaTableCache *cache;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	for (cache = caches; cache != NULL; cache = cache->next)
	{
		if (!cache->outlives)
			saga_cache_free_dropped(cache);
	}
}

static void
begin_fill(SagaTableCache *cache)
{
	HASHCTL		ctl = {.keysize = cache->keysize,
	.entrysize = MAXALIGN(cache->keysize) + sizeof(void *), .hash = cache->hash, .match = cache->match};
	uint64		seen = saga_table_watch(cache->watch);
	SagaCacheFill *fill;

	ctl.hcxt = AllocSetContextCreate(CurrentMemoryContext, "pg_saga cache", ALLOCSET_SMALL_SIZES);
	MemoryContextSetIdentifier(ctl.hcxt, cache->name);
	fill = MemoryContextAllocZero(ctl.hcxt, sizeof(SagaCacheFill));
	fill->context = ctl.hcxt;
	fill->seen = seen;
	fill->entries = hash_create(cache->name, 32, &ctl, HASH_ELEM | HASH_CONTEXT |
								(cache->hash != NULL ? HASH_FUNCTION | HASH_COMPARE : HASH_BLOBS));
	MemoryContextSetParent(fill->context, TopMemoryContext);
	cache->fill = fill;
}

/* Afterwards there is a fill, and the table has not changed, as far as we were told, since it was begun. */
static void
check_fill(SagaTableCache *cache)
{
	if (cache->fill != NULL && saga_table_unchanged(cache->watch, cache->fill->seen))
		return;
	if (!cache->registered)
	{
		if (caches == NULL)
			RegisterXactCallback(transaction_ended, NULL);
		cache->next = caches;
		caches = cache;
		cache->registered = true;
	}
	if (cache->fill != NULL)
	{
		cache->fill->next = cache->dropped;
		cache->dropped = cache->fill;
		cache->fill = NULL;
	}
	begin_fill(cache);
}

/* ---------- look-ups ---------- */

void *
saga_cache_look(SagaTableCache *cache, const void *key)
{
	void	   *entry;

	check_fill(cache);
	entry = hash_search(cache->fill->entries, key, HASH_FIND, NULL);
	return entry != NULL ? *value_of(cache, entry) : NULL;
}

/* A new entry; NULL: it is one of a missing row too many. */
static void *
add_entry(SagaTableCache *cache, SagaCacheFill *fill, const void *key, void *value)
{
	MemoryContext old;

	if (value == cache->missing && fill->missing >= cache->max_missing)
		return NULL;
	if (cache->copy != NULL)
	{
		old = MemoryContextSwitchTo(fill->context);
		key = cache->copy(key);
		MemoryContextSwitchTo(old);
	}
	return hash_search(fill->entries, key, HASH_ENTER, NULL);
}

/*
 * The value is complete, and nothing can fail any more but an allocation, which
 * loses nothing.  The key may be there: its value was asked for again, or was
 * loaded meanwhile for somebody who may have pinned it.
 */
static void *
put(SagaTableCache *cache, SagaCacheFill *fill, const void *key, void *value)
{
	void	   *entry = hash_search(fill->entries, key, HASH_FIND, NULL);

	if (entry != NULL && !cache->small)
		return *value_of(cache, entry);
	if (entry != NULL && *value_of(cache, entry) == cache->missing)
		fill->missing--;
	if (entry == NULL)
		entry = add_entry(cache, fill, key, value);
	if (entry == NULL)
		return value;
	*value_of(cache, entry) = value;
	if (!cache->small)
		MemoryContextSetParent(GetMemoryChunkContext(value), fill->context);
	else if (value == cache->missing)
		fill->missing++;
	return value;
}

void
saga_cache_also(SagaTableCache *cache, const void *key, void *value)
{
	Assert(cache->small);
	(void) put(cache, cache->loading, key, value);
}

/*
 * What is cached decides in later transactions too, about rights among others,
 * so it may not come from the old snapshot of a REPEATABLE READ transaction.
 *
 * Many may be loaded in one transaction: what only the loading needs goes at once.
 */
void *
saga_cache_load(SagaTableCache *cache, const void *key)
{
	MemoryContext scratch;
	MemoryContext own;
	MemoryContext old;
	SagaCacheFill *outer = cache->loading;
	SagaCacheFill *fill;
	void	   *value;

	check_fill(cache);
	fill = cache->fill;
	scratch = AllocSetContextCreate(CurrentMemoryContext, "pg_saga cache load", ALLOCSET_SMALL_SIZES);
	own = fill->context;
	if (!cache->small)
	{
		own = AllocSetContextCreate(scratch, "pg_saga cached", ALLOCSET_SMALL_SIZES);
		MemoryContextSetIdentifier(own, cache->name);
	}
	old = MemoryContextSwitchTo(scratch);
	PushActiveSnapshot(GetLatestSnapshot());
	cache->loading = fill;
	value = cache->load(key, own);
	cache->loading = outer;
	PopActiveSnapshot();
	if (value != NULL)
		value = put(cache, fill, key, value);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return value;
}

void *
saga_cache_get(SagaTableCache *cache, const void *key)
{
	void	   *value = saga_cache_look(cache, key);

	return value != NULL ? value : saga_cache_load(cache, key);
}

Oid
saga_cache_relid(SagaTableCache *cache)
{
	check_fill(cache);
	return cache->watch->relid;
}

/* ---------- pins, and values that go alone ---------- */

void
saga_cache_pin(void *value)
{
	((SagaCached *) value)->pins++;
}

void
saga_cache_unpin(void *value)
{
	SagaCached *cached = value;

	Assert(cached->pins > 0);
	if (--cached->pins == 0 && cached->dropped)
		MemoryContextDelete(GetMemoryChunkContext(value));
}

void
saga_cache_free_if(SagaTableCache *cache, bool (*is_over) (const void *value))
{
	HASH_SEQ_STATUS seq;
	void	   *entry;

	Assert(!cache->small);
	if (cache->fill == NULL)
		return;
	hash_seq_init(&seq, cache->fill->entries);
	while ((entry = hash_seq_search(&seq)) != NULL)
	{
		SagaCached *value = *value_of(cache, entry);

		if (value->pins > 0 || !is_over(value))
			continue;
		(void) hash_search(cache->fill->entries, entry, HASH_REMOVE, NULL);
		MemoryContextDelete(GetMemoryChunkContext(value));
	}
}
