/*
 * cache.c
 *		Caches of rows (src/common/table_cache.c), over the table saga_test.thing:
 *		what is loaded when, and when it is freed.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/common.h"
#include "common/table_cache.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

static SagaTableCache caches[3];

/* What is kept of a row. */
typedef struct Thing
{
	SagaCached	cached;
	int			nth;			/* load of this session */
	MemoryContextCallback freed;
} Thing;

static int	loads = 0;
static int	alive = 0;
static Thing *pinned[8];
static int	npinned = 0;

Oid
saga_relation_oid(const char *name)
{
	return get_relname_relid(name, get_namespace_oid("saga_test", false));
}

static void
change(void)
{
	CacheInvalidateRelcacheByRelid(saga_relation_oid("thing"));
	CommandCounterIncrement();
}

static void
thing_freed(void *arg)
{
	alive--;
}

/* Somebody changes the table, and all look, while a thing of more than 1000 is read, and one of more than 2000 cannot be read. */
static void *
load(const void *key, MemoryContext own)
{
	int32		id = *(const int32 *) key;
	Oid			type = INT4OID;
	Datum		value = Int32GetDatum(id);
	Thing	   *thing;

	loads++;
	SPI_connect();
	SPI_execute_with_args("SELECT FROM saga_test.thing WHERE id = $1", 1, &type, &value, NULL, true, 1);
	value = SPI_processed;
	SPI_finish();
	if (id > 1000)
	{
		change();
		for (int i = 0; i < lengthof(caches); i++)
			(void) saga_cache_look(&caches[i], &id);
	}
	if (value == 0)
		return NULL;
	thing = MemoryContextAllocZero(own, sizeof(Thing));
	if (id > 2000)
		ereport(ERROR, (errmsg("thing %d cannot be read", id)));
	thing->nth = loads;
	thing->freed.func = thing_freed;
	MemoryContextRegisterResetCallback(own, &thing->freed);
	alive++;
	return thing;
}

static Thing no_thing;			/* of the small one */


/* A thing is found by its negative number as well. */
static void *
load_or_not(const void *key, MemoryContext own)
{
	void	   *thing = load(key, own);
	int32		also;

	if (thing == NULL)
		return &no_thing;
	also = -*(const int32 *) key;
	saga_cache_also(&caches[1], &also, thing);
	return thing;
}

static SagaTableWatch watch = {.table = "thing"};
static SagaTableCache caches[3] = {
	{.name = "pinnable", .watch = &watch, .keysize = sizeof(int32), .load = load},
	{.name = "small", .watch = &watch, .keysize = sizeof(int32), .load = load_or_not, .small = true,
	.missing = &no_thing, .max_missing = 2},
	{.name = "outliving", .watch = &watch, .keysize = sizeof(int32), .load = load, .outlives = true}
};

static SagaTableCache *
cache_of(const text * name)
{
	char	   *wanted = text_to_cstring(name);

	for (int i = 0; i < lengthof(caches); i++)
	{
		if (strcmp(caches[i].name, wanted) == 0)
			return &caches[i];
	}
	elog(ERROR, "there is no cache \"%s\"", wanted);
}

/* cache_get(cache text, id integer) returns integer: which load it is from; null: there is no such row */
PG_FUNCTION_INFO_V1(saga_test_cache_get);

Datum
saga_test_cache_get(PG_FUNCTION_ARGS)
{
	int32		id = PG_GETARG_INT32(1);
	Thing	   *thing = saga_cache_get(cache_of(PG_GETARG_TEXT_PP(0)), &id);

	if (thing == NULL || thing == &no_thing)
		PG_RETURN_NULL();
	PG_RETURN_INT32(thing->nth);
}

/* cache_knows(cache text, id integer) returns boolean: without loading it */
PG_FUNCTION_INFO_V1(saga_test_cache_knows);

Datum
saga_test_cache_knows(PG_FUNCTION_ARGS)
{
	int32		id = PG_GETARG_INT32(1);

	PG_RETURN_BOOL(saga_cache_look(cache_of(PG_GETARG_TEXT_PP(0)), &id) != NULL);
}

/* cache_load(id integer) returns integer: by the small one, whether it knows it or not */
PG_FUNCTION_INFO_V1(saga_test_cache_load);

Datum
saga_test_cache_load(PG_FUNCTION_ARGS)
{
	int32		id = PG_GETARG_INT32(0);
	Thing	   *thing = saga_cache_load(&caches[1], &id);

	if (thing == &no_thing)
		PG_RETURN_NULL();
	PG_RETURN_INT32(thing->nth);
}

/* cache_pin(id integer) returns integer, cache_unpin() returns integer: of the last one pinned */
PG_FUNCTION_INFO_V1(saga_test_cache_pin);
PG_FUNCTION_INFO_V1(saga_test_cache_unpin);

Datum
saga_test_cache_pin(PG_FUNCTION_ARGS)
{
	int32		id = PG_GETARG_INT32(0);
	Thing	   *thing = saga_cache_get(&caches[0], &id);

	saga_cache_pin(thing);
	pinned[npinned++] = thing;
	PG_RETURN_INT32(thing->nth);
}

Datum
saga_test_cache_unpin(PG_FUNCTION_ARGS)
{
	Thing	   *thing = pinned[--npinned];
	int			nth = thing->nth;

	saga_cache_unpin(thing);
	PG_RETURN_INT32(nth);
}

/* cache_change(): as a statement trigger of the table does */
PG_FUNCTION_INFO_V1(saga_test_cache_change);

Datum
saga_test_cache_change(PG_FUNCTION_ARGS)
{
	change();
	PG_RETURN_VOID();
}

/* cache_state() returns text */
PG_FUNCTION_INFO_V1(saga_test_cache_state);

Datum
saga_test_cache_state(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("%d loads, %d alive", loads, alive)));
}

static bool
is_of_first(const void *thing)
{
	return ((const Thing *) thing)->nth <= 2;
}

/* cache_free(of_first boolean): what was dropped, or what the first two loads brought */
PG_FUNCTION_INFO_V1(saga_test_cache_free);

Datum
saga_test_cache_free(PG_FUNCTION_ARGS)
{
	if (PG_GETARG_BOOL(0))
		saga_cache_free_if(&caches[2], is_of_first);
	else
		saga_cache_free_dropped(&caches[2]);
	PG_RETURN_VOID();
}
