/*
 * table_cache.h
 *		Rows of our tables that a process keeps, and how it hears that a table
 *		has changed.
 *
 * A statement trigger of the table sends a relcache invalidation with each
 * change.  A watch counts those that have arrived; a cache is what was read
 * since the last one.
 */
#ifndef SAGA_TABLE_CACHE_H
#define SAGA_TABLE_CACHE_H

#include "utils/hsearch.h"

/* ---------- watches ---------- */

/* Static, with the name of a table of schema saga; the rest is table_cache.c's. */
typedef struct SagaTableWatch
{
	const char *table;
	Oid			relid;			/* when it was last asked for */
	uint64		changes;		/* 0: it is not registered yet */
	struct SagaTableWatch *next;
} SagaTableWatch;

/*
 * Called before the table is read: what is read then is true as long as
 * saga_table_unchanged says so of the number returned.  The number is 0, which
 * is never true, when there is no such table.
 */
extern uint64 saga_table_watch(SagaTableWatch *watch);

static inline bool
saga_table_unchanged(const SagaTableWatch *watch, uint64 seen)
{
	return seen != 0 && seen == watch->changes;
}

/* ---------- caches ---------- */

/* What a value begins with that may be pinned. */
typedef struct SagaCached
{
	int			pins;
	bool		dropped;		/* the last pin alone keeps it */
} SagaCached;

typedef struct SagaTableCache
{
	const char *name;			/* of its memory contexts */
	SagaTableWatch *watch;
	Size		keysize;

	/*
	 * Makes the value of a key in "own", from rows that it reads under the
	 * newest snapshot; CurrentMemoryContext goes afterwards.  NULL: no row
	 * has this key, which is not kept.
	 */
	void	   *(*load) (const void *key, MemoryContext own);

	/*
	 * Values are small and are all dropped together: they share a context,
	 * and none is pinned.
	 */
	bool		small;

	/*
	 * What was dropped is freed by saga_cache_free_dropped, not at the end of
	 * the transaction.
	 */
	bool		outlives;

	/*
	 * Where it is "small": the value of keys that no row has, of which so
	 * many are kept.
	 */
	void	   *missing;
	int			max_missing;

	/*
	 * For keys that are more than bytes; all of them NULL otherwise.  "copy"
	 * makes one in CurrentMemoryContext.
	 */
	HashValueFunc hash;
	HashCompareFunc match;
	const void *(*copy) (const void *key);

	/* table_cache.c's own */
	struct SagaCacheFill *fill; /* what look-ups find; NULL: nothing yet */
	struct SagaCacheFill *loading;	/* within "load" */
	struct SagaCacheFill *dropped;
	bool		registered;
	struct SagaTableCache *next;
} SagaTableCache;

/*
 * The value of a key, loaded if it is not there; NULL: no row has it.  It is good
 * until the end of the transaction, or as long as it is pinned.
 */
extern void *saga_cache_get(SagaTableCache *cache, const void *key);

/* The two halves of that.  look: NULL, nothing is known of the key.  load: reads also what is known, of a "small" one. */
extern void *saga_cache_look(SagaTableCache *cache, const void *key);
extern void *saga_cache_load(SagaTableCache *cache, const void *key);

/* From within "load", of a "small" one: what it is going to return is the value of this key as well. */
extern void saga_cache_also(SagaTableCache *cache, const void *key, void *value);

/* Of the table; InvalidOid: there is none. */
extern Oid	saga_cache_relid(SagaTableCache *cache);

/* Pins count.  The value begins with a SagaCached; in a cache that is "small" there are none. */
extern void saga_cache_pin(void *value);
extern void saga_cache_unpin(void *value);

/* Nobody looks at what was dropped before.  Only of caches that say "outlives". */
extern void saga_cache_free_dropped(SagaTableCache *cache);

/* Frees, at once, the values of which the function says so. */
extern void saga_cache_free_if(SagaTableCache *cache, bool (*is_over) (const void *value));

#endif							/* SAGA_TABLE_CACHE_H */
