/*
 * secret_store.c
 *		What this process knows of saga.secret.
 *
 * Values are read in a transaction and used outside of one, so they are kept
 * here: only those that were asked for, in memory that is overwritten when a
 * value changes.  A statement trigger sends a relcache invalidation with each
 * change of the table, which does not say of which row; a load reads anew what
 * it was asked for, and nothing else: whoever changes his secret again and
 * again has others read theirs, and not his.  What was loaded for a request
 * that still waits stays readable until the same is loaded again.
 *
 * An owner may have thousands of secrets, and others the next minute.  So no
 * more of his are kept than his requests in flight refer to, and none that
 * nobody has asked for in a long time.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "common/clock.h"
#include "common/common.h"
#include "common/statement.h"
#include "common/table_cache.h"
#include "fmgr.h"
#include "lib/ilist.h"
#include "mb/pg_wchar.h"
#include "net/secret.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(saga_secret_changed);

/*
 * More than the requests that a publisher has in flight for one owner, each of
 * which refers to some sixteen: what one of these is about to use is not the one
 * that was used longest ago.
 */
#define SAGA_SECRETS_OF_OWNER	4096

/* Longer than any request takes.  It is looked for so often. */
#define SAGA_SECRET_FORGET_MS	(30 * 60 * 1000)
#define SAGA_SECRET_SWEEP_MS	(60 * 1000)

/* An OID, a slash and a name, of 100 bytes at most. */
#define SAGA_SECRET_KEY_SIZE	128

typedef struct SecretOwner
{
	Oid			owner;			/* the key */
	int			n;
	dlist_head	entries;		/* the first one is that which was used longest ago */
} SecretOwner;

typedef struct Entry
{
	char		name[SAGA_SECRET_KEY_SIZE]; /* a key: saga_secret_key */
	SecretOwner *of;
	dlist_node	node;
	char	   *value;			/* in TopMemoryContext; NULL: there is no such row */
	uint64		read_at;		/* of the watch, when it was read; 0: never */
	TimestampTz used_at;		/* saga_monotonic_now */
} Entry;

/* The cache of this process. */
static HTAB *cache = NULL;		/* of Entry */
static HTAB *owners = NULL;		/* of SecretOwner, who have any in it */
static SagaTableWatch watch = {.table = "secret"};
static TimestampTz sweep_at = 0;	/* saga_monotonic_now */

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

/* ---------- what is kept ---------- */

/* Each is made by itself: an error may have come between the two. */
static void
make_tables(void)
{
	HASHCTL		ctl = {.keysize = SAGA_SECRET_KEY_SIZE, .entrysize = sizeof(Entry)};
	HASHCTL		owner_ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(SecretOwner)};

	if (owners == NULL)
		owners = hash_create("pg_saga owners of secrets", 16, &owner_ctl, HASH_ELEM | HASH_BLOBS);
	if (cache == NULL)
		cache = hash_create("pg_saga secrets", 64, &ctl, HASH_ELEM | HASH_STRINGS);
}

/* NULL: nobody has asked for this secret lately. */
static Entry *
find(const char *name)
{
	Entry	   *entry = cache != NULL ? hash_search(cache, name, HASH_FIND, NULL) : NULL;

	if (entry == NULL)
		return NULL;
	entry->used_at = saga_monotonic_now();
	dlist_delete(&entry->node);
	dlist_push_tail(&entry->of->entries, &entry->node);
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

static void
forget_oldest(SecretOwner *of)
{
	Entry	   *entry = dlist_head_element(Entry, node, &of->entries);

	set_value(entry, NULL);
	dlist_delete(&entry->node);
	of->n--;
	(void) hash_search(cache, entry->name, HASH_REMOVE, NULL);
}

/* Whose owner has none left is forgotten, too. */
static void
sweep(void)
{
	TimestampTz now = saga_monotonic_now();
	HASH_SEQ_STATUS seq;
	SecretOwner *of;

	if (sweep_at > now)
		return;
	sweep_at = TimestampTzPlusMilliseconds(now, SAGA_SECRET_SWEEP_MS);
	hash_seq_init(&seq, owners);
	while ((of = hash_seq_search(&seq)) != NULL)
	{
		while (of->n > 0 && TimestampTzPlusMilliseconds(dlist_head_element(Entry, node, &of->entries)->used_at,
														SAGA_SECRET_FORGET_MS) < now)
			forget_oldest(of);
		if (of->n == 0)
			(void) hash_search(owners, &of->owner, HASH_REMOVE, NULL);
	}
}

/* The secret is kept in memory from now on; its value is read next. */
static Entry *
add(const char *name, Oid owner)
{
	bool		found;
	SecretOwner *of = hash_search(owners, &owner, HASH_ENTER, &found);
	Entry	   *entry;

	if (!found)
	{
		of->n = 0;
		dlist_init(&of->entries);
	}
	while (of->n >= SAGA_SECRETS_OF_OWNER)
		forget_oldest(of);
	entry = hash_search(cache, name, HASH_ENTER, &found);
	entry->value = NULL;
	entry->read_at = 0;
	entry->used_at = saga_monotonic_now();
	entry->of = of;
	of->n++;
	dlist_push_tail(&of->entries, &entry->node);
	return entry;
}

/* ---------- reading ---------- */

/* InvalidOid: it is no key, or of a right that was revoked. */
static Oid
owner_of_key(const char *key)
{
	Oid			owner;

	if (strlen(key) >= SAGA_SECRET_KEY_SIZE || sscanf(key, "%u/", &owner) != 1 || strchr(key, '/') == NULL)
		return InvalidOid;
	return owner;
}

/* The row of a key, which is looked at; NULL: there is none. */
static SagaRows *
find_row(const char *key)
{
	SagaRows   *rows;
	Oid			owner = owner_of_key(key);

	if (!OidIsValid(owner))
		return NULL;
	rows = saga_query(&value_stmt, saga_param_oid("owner", owner), saga_param_text("name", saga_secret_key_name(key)));
	return saga_rows_next(rows) ? rows : NULL;
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

/* Is it known as it is now? */
static bool
is_current(const char *name)
{
	const Entry *entry = find(name);

	return entry != NULL && saga_table_unchanged(&watch, entry->read_at);
}

/*
 * Reads those that are missing, or may have been changed.  What raises leaves
 * one that is read the next time.
 */
static void
load_all(List *names)
{
	ListCell   *lc;

	make_tables();
	/* not from the old snapshot of a REPEATABLE READ transaction */
	PushActiveSnapshot(GetLatestSnapshot());
	foreach(lc, names)
	{
		const char *name = lfirst(lc);
		Oid			owner = owner_of_key(name);
		Entry	   *entry;
		uint64		read_at;

		if (!OidIsValid(owner) || is_current(name))
			continue;
		/* a change that comes meanwhile makes it outdated again */
		read_at = saga_table_watch(&watch);
		entry = find(name);
		if (entry == NULL)
			entry = add(name, owner);
		read_value(entry);
		entry->read_at = read_at;
	}
	PopActiveSnapshot();
}

void
saga_secret_load(List *names)
{
	ListCell   *lc;
	bool		complete = true;

	if (names == NIL)
		return;
	/* what was committed before a lock that the caller has now */
	AcceptInvalidationMessages();
	if (owners != NULL)
		sweep();

	/*
	 * nothing was changed and nothing is missing: the usual case, without a
	 * statement
	 */
	foreach(lc, names)
		complete &= !OidIsValid(owner_of_key(lfirst(lc))) || is_current(lfirst(lc));
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
