/*
 * secret_store.c
 *		What this process knows of saga.secret.
 *
 * Values are read in a transaction and used outside of one, so they are kept
 * here: only those that were asked for, in memory that is overwritten when a
 * value changes.  A statement trigger sends a relcache invalidation with each
 * change of the table; the next load reads everything anew.  What was loaded
 * for a request that still waits stays readable until then.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "common/common.h"
#include "common/statement.h"
#include "common/table_cache.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "net/secret.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(saga_secret_changed);

typedef struct Entry
{
	char	   *name;			/* a key: saga_secret_key */
	char	   *value;			/* NULL: there is no such row */
} Entry;

/* The cache: Entry, in TopMemoryContext. */
static List *cache = NIL;
static SagaTableWatch watch = {.table = "secret"};
static uint64 seen = 0;			/* of the table, when the values were read */

static SagaStatement value_stmt = {
	.sql = "SELECT secret_id, value FROM saga.secret WHERE owner = $owner AND name = $name",
	.read_only = true
};

char *
saga_secret_key(Oid owner, const char *name)
{
	return psprintf("%u/%s", owner, name);
}

const char *
saga_secret_key_name(const char *key)
{
	const char *slash = strchr(key, '/');

	return slash != NULL ? slash + 1 : key;
}

/* NULL: nobody has asked for this secret yet. */
static Entry *
find(const char *name)
{
	ListCell   *lc;

	foreach(lc, cache)
	{
		Entry	   *entry = lfirst(lc);

		if (strcmp(entry->name, name) == 0)
			return entry;
	}
	return NULL;
}

/* The secret is kept in memory from now on; its value is read next. */
static Entry *
add(const char *name)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	Entry	   *entry = palloc0(sizeof(Entry));

	entry->name = pstrdup(name);
	cache = lappend(cache, entry);
	MemoryContextSwitchTo(old);
	return entry;
}

/* The old value is overwritten. */
static void
set_value(Entry *entry, const char *value)
{
	char	   *copy = value != NULL ? MemoryContextStrdup(TopMemoryContext, value) : NULL;

	if (entry->value != NULL)
	{
		explicit_bzero(entry->value, strlen(entry->value));
		pfree(entry->value);
	}
	entry->value = copy;
}

/* The row of a key, which is looked at; NULL: there is none. */
static SagaRows *
find_row(const char *key)
{
	SagaRows   *rows;
	Oid			owner;

	if (sscanf(key, "%u/", &owner) != 1 || strchr(key, '/') == NULL)
		return NULL;
	rows = saga_query(&value_stmt, saga_param_oid("owner", owner), saga_param_text("name", saga_secret_key_name(key)));
	return saga_next(rows) ? rows : NULL;
}

int32
saga_secret_row(const char *key)
{
	SagaRows   *rows;

	PushActiveSnapshot(GetLatestSnapshot());
	rows = find_row(key);
	PopActiveSnapshot();
	return rows != NULL ? saga_column_int4(rows, "secret_id") : 0;
}

/* Copies on the way are overwritten too, as far as they are ours. */
static void
read_value(Entry *entry)
{
	SagaRows   *rows = find_row(entry->name);
	char	   *value;
	char	   *utf8;

	if (rows == NULL)
	{
		set_value(entry, NULL);
		return;
	}
	value = saga_column_text(rows, "value");
	utf8 = pg_server_to_any(value, strlen(value), PG_UTF8);
	set_value(entry, utf8);
	explicit_bzero(utf8, strlen(utf8));
	if (utf8 != value)
		explicit_bzero(value, strlen(value));
	saga_rows_wipe(rows);
}

/*
 * Reads the secrets that are missing, and all that are kept if one was changed.
 * An error on the way leaves all of them to be read again.
 */
static void
load_all(List *missing)
{
	ListCell   *lc;
	bool		unchanged = saga_table_unchanged(&watch, seen);
	uint64		now = unchanged ? seen : saga_table_watch(&watch);

	seen = 0;
	/* not from the old snapshot of a REPEATABLE READ transaction */
	PushActiveSnapshot(GetLatestSnapshot());
	if (!unchanged)
	{
		foreach(lc, cache)
			read_value(lfirst(lc));
	}
	foreach(lc, missing)
	{
		if (find(lfirst(lc)) == NULL)
			read_value(add(lfirst(lc)));
	}
	PopActiveSnapshot();
	seen = now;
}

void
saga_secret_load(List *names)
{
	ListCell   *lc;
	bool		complete;

	if (names == NIL)
		return;
	/* what was committed before a lock that the caller has now */
	AcceptInvalidationMessages();
	complete = saga_table_unchanged(&watch, seen);
	foreach(lc, names)
		complete &= find(lfirst(lc)) != NULL;

	/*
	 * nothing was changed and nothing is missing: the usual case, without a
	 * statement
	 */
	if (!complete)
		load_all(names);
}

char *
saga_secret_get(const char *name)
{
	Entry	   *entry = find(name);

	return entry != NULL && entry->value != NULL ? pstrdup(entry->value) : NULL;
}

/*
 * A statement trigger of saga.secret: all processes of this database read
 * their secrets anew.
 */
Datum
saga_secret_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("saga.secret_changed can only be called as a trigger")));
	CacheInvalidateRelcache(((TriggerData *) fcinfo->context)->tg_relation);
	return PointerGetDatum(NULL);
}
