/*
 * limit_row.c
 *		Limits of destinations as all publishers share them: a row of
 *		saga.destination_state per group.
 *
 * Who claims locks the row, without waiting for it, for groups with a rate
 * and for those that are, or may be, held; others are claimed from without
 * looking.  Whoever changes what holds a group invalidates the relcache of
 * the table, and all publishers ask the row again.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "outbox/hold.h"
#include "outbox/outbox.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/timestamp.h"

/* Somebody has the row. */
#define SAGA_LOCKED_MS	10
#define SAGA_LOCKED_TRIES 6

/* Beside those of lease.c, ordering.c, limit.c and oauth_store.c. */
#define SAGA_STATE_LOCK 0x534b

#define SAGA_REPORT_TRIES 3

static const char *const breaker_names[] = {"closed", "open", "half-open"};

#define ROW_COLUMNS \
	"SELECT next_start_at, minute_bucket, minute_starts, hour_bucket, hour_starts, day_bucket, day_starts, " \
	"pause_until, breaker, breaker_until, breaker_reason, opened, probe_lease, slow_from, " \
	"counted_from, requests, failures FROM saga.destination_state WHERE limit_key = $1 FOR UPDATE"

static SagaStmt lock_stmt = {
	.sql = ROW_COLUMNS,
	.nargs = 1,
	.argtypes = {TEXTOID}
};

static SagaStmt try_lock_stmt = {
	.sql = ROW_COLUMNS " SKIP LOCKED",
	.nargs = 1,
	.argtypes = {TEXTOID}
};

static SagaStmt exists_stmt = {
	.sql = "SELECT 1 FROM saga.destination_state WHERE limit_key = $1",
	.nargs = 1,
	.argtypes = {TEXTOID}
};

static SagaStmt insert_stmt = {
	.sql = "INSERT INTO saga.destination_state (limit_key) VALUES ($1) ON CONFLICT DO NOTHING",
	.nargs = 1,
	.argtypes = {TEXTOID}
};

static SagaStmt rate_stmt = {
	.sql = "UPDATE saga.destination_state SET next_start_at = $2, minute_bucket = $3, minute_starts = $4, "
	"hour_bucket = $5, hour_starts = $6, day_bucket = $7, day_starts = $8 WHERE limit_key = $1",
	.nargs = 8,
	.argtypes = {TEXTOID, TIMESTAMPTZOID, INT4OID, INT4ARRAYOID, INT4OID, INT4ARRAYOID, INT4OID, INT4ARRAYOID}
};

static SagaStmt hold_stmt = {
	.sql = "UPDATE saga.destination_state SET pause_until = $2, breaker = $3, breaker_until = $4, "
	"breaker_reason = $5, opened = $6, probe_lease = $7, slow_from = $8, counted_from = $9, "
	"requests = $10, failures = $11 WHERE limit_key = $1",
	.nargs = 11,
	.argtypes = {TEXTOID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, INT4OID, INT8OID,
	TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID, INT4OID}
};

static SagaStmt last_stmt = {
	.sql = "UPDATE saga.destination_state SET last_success_at = greatest(last_success_at, $2), "
	"last_error = CASE WHEN $4 >= coalesce(last_error_at, $4) THEN $3 ELSE last_error END, "
	"last_error_at = greatest(last_error_at, $4) WHERE limit_key = $1",
	.nargs = 4,
	.argtypes = {TEXTOID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID}
};

static SagaStmt members_stmt = {
	.sql = "SELECT destination_id FROM saga.destination WHERE limit_key = $1 ORDER BY destination_id",
	.nargs = 1,
	.argtypes = {TEXTOID}
};

/* ---------- what others change ---------- */

static uint32 changes = 1;
static Oid	watched_relid = InvalidOid;

static void
relation_changed(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == watched_relid)
		changes++;
}

static void
watch_changes(void)
{
	static bool registered = false;

	if (!registered)
		CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	registered = true;
	watched_relid = saga_relation_oid("destination_state");
}

/* What holds the group is not what it was: every publisher asks again after this commits. */
static void
tell_change(void)
{
	CacheInvalidateRelcacheByRelid(saga_relation_oid("destination_state"));
}

bool
saga_limit_must_ask(const SagaLimitGroup *group)
{
	return group->held || group->seen != changes || saga_limit_has_rate(group);
}

/* ---------- reading and writing ---------- */

static Datum
column(int number, bool *isnull)
{
	return saga_result(0, number, isnull);
}

static TimestampTz
get_time(int number)
{
	bool		isnull;
	Datum		value = column(number, &isnull);

	return isnull ? 0 : DatumGetTimestampTz(value);
}

static int32
get_int(int number)
{
	bool		isnull;
	Datum		value = column(number, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

static void
get_window(int number, SagaRateWindow *window)
{
	bool		isnull;
	Datum		value = column(number + 1, &isnull);
	ArrayType  *array;
	int			n;

	window->bucket = get_int(number);
	if (isnull)
		return;
	array = DatumGetArrayTypeP(value);
	if (ARR_NDIM(array) != 1 || ARR_HASNULL(array))
		return;
	n = Min(ARR_DIMS(array)[0], SAGA_RATE_BUCKETS);
	memcpy(window->counts, ARR_DATA_PTR(array), sizeof(int32) * n);
}

static SagaBreaker
get_breaker(int number)
{
	bool		isnull;
	char	   *name = TextDatumGetCString(column(number, &isnull));
	int			i;

	for (i = 0; i < lengthof(breaker_names); i++)
	{
		if (strcmp(name, breaker_names[i]) == 0)
			return i;
	}
	return SAGA_BREAKER_CLOSED;
}

/* NULL: there is none, or it is locked. */
static SagaLimitRow *
read_row(SagaStmt *stmt, Datum key)
{
	SagaLimitRow *row;
	bool		isnull;
	Datum		value;
	int			i;

	(void) saga_execute(stmt, &key, NULL, false, 0);
	if (SPI_processed == 0)
	{
		SPI_freetuptable(SPI_tuptable);
		return NULL;
	}
	row = palloc0(sizeof(SagaLimitRow));
	row->rate.next_start_at = get_time(1);
	for (i = 0; i < SAGA_RATE_WINDOWS; i++)
		get_window(2 + 2 * i, &row->rate.windows[i]);
	row->pause_until = get_time(8);
	row->breaker = get_breaker(9);
	row->breaker_until = get_time(10);
	value = column(11, &isnull);
	row->breaker_reason = isnull ? NULL : TextDatumGetCString(value);
	row->opened = get_int(12);
	value = column(13, &isnull);
	row->probe_lease = isnull ? 0 : DatumGetInt64(value);
	row->slow_from = get_time(14);
	row->counted_from = get_time(15);
	row->requests = get_int(16);
	row->failures = get_int(17);
	SPI_freetuptable(SPI_tuptable);
	return row;
}

/* Who makes a row.  False: somebody else does, in a transaction that has not ended. */
static bool
lock_key(const char *key, bool wait)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) key, strlen(key), 0);
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (hash >> 32), (uint32) hash, SAGA_STATE_LOCK);
	return LockAcquire(&tag, ExclusiveLock, false, !wait) != LOCKACQUIRE_NOT_AVAIL;
}

/*
 * NULL: somebody has it, perhaps a person who resumes the destination and
 * takes his time to commit.  An INSERT would wait for him, as for whoever
 * makes the row: no publisher may stand still for that.
 */
static SagaLimitRow *
try_lock_row(const char *key)
{
	Datum		value = CStringGetTextDatum(key);
	SagaLimitRow *row = read_row(&try_lock_stmt, value);
	bool		there;

	if (row != NULL || !lock_key(key, false))
		return row;
	(void) saga_execute(&exists_stmt, &value, NULL, false, 1);
	there = SPI_processed > 0;
	SPI_freetuptable(SPI_tuptable);
	if (!there)
		(void) saga_execute(&insert_stmt, &value, NULL, false, 0);
	return there ? NULL : read_row(&try_lock_stmt, value);
}

static SagaLimitRow *
lock_row(const char *key)
{
	Datum		value = CStringGetTextDatum(key);
	SagaLimitRow *row = read_row(&lock_stmt, value);

	if (row != NULL)
		return row;
	(void) lock_key(key, true);
	(void) saga_execute(&insert_stmt, &value, NULL, false, 0);
	return read_row(&lock_stmt, value);
}

/* Somebody has the row: it is asked for again after this, twice as long each time. */
static TimestampTz
locked_until(SagaLimitGroup *group, TimestampTz now)
{
	int64		ms = SAGA_LOCKED_MS << group->locked_tries;

	group->held = true;
	if (group->locked_tries < SAGA_LOCKED_TRIES)
		group->locked_tries++;
	return TimestampTzPlusMilliseconds(now, ms);
}

static void
put_time(Datum *values, char *nulls, int i, TimestampTz at)
{
	values[i] = TimestampTzGetDatum(at);
	nulls[i] = at == 0 ? 'n' : ' ';
}

static void
write_hold(const char *key, const SagaLimitRow *row)
{
	Datum		values[11];
	char		nulls[12] = "           ";

	values[0] = CStringGetTextDatum(key);
	put_time(values, nulls, 1, row->pause_until);
	values[2] = CStringGetTextDatum(breaker_names[row->breaker]);
	put_time(values, nulls, 3, row->breaker_until);
	if (row->breaker_reason != NULL)
		values[4] = CStringGetTextDatum(row->breaker_reason);
	else
		nulls[4] = 'n';
	values[5] = Int32GetDatum(row->opened);
	values[6] = Int64GetDatum(row->probe_lease);
	if (row->probe_lease == 0)
		nulls[6] = 'n';
	put_time(values, nulls, 7, row->slow_from);
	put_time(values, nulls, 8, row->counted_from);
	values[9] = Int32GetDatum(row->requests);
	values[10] = Int32GetDatum(row->failures);
	(void) saga_execute(&hold_stmt, values, nulls, false, 0);
}

static void
write_rate(const SagaLimitGroup *group, const SagaLimitRow *row)
{
	Datum		values[8];
	char		nulls[9] = "        ";
	int			i;

	values[0] = CStringGetTextDatum(group->key);
	put_time(values, nulls, 1, row->rate.next_start_at);
	for (i = 0; i < SAGA_RATE_WINDOWS; i++)
	{
		const SagaRateWindow *window = &row->rate.windows[i];
		Datum		counts[SAGA_RATE_BUCKETS];
		int			j;

		if (window->bucket == 0)
		{
			nulls[2 + 2 * i] = nulls[3 + 2 * i] = 'n';
			continue;
		}
		for (j = 0; j < SAGA_RATE_BUCKETS; j++)
			counts[j] = Int32GetDatum(window->counts[j]);
		values[2 + 2 * i] = Int32GetDatum(window->bucket);
		values[3 + 2 * i] = PointerGetDatum(construct_array(counts, SAGA_RATE_BUCKETS, INT4OID, sizeof(int32),
															true, TYPALIGN_INT));
	}
	(void) saga_execute(&rate_stmt, values, nulls, false, 0);
}

/* ---------- what was granted ---------- */

TimestampTz
saga_limit_use(SagaLimitGroup *group, SagaGrant *grant, int n, int64 lease, int64 probe_ms)
{
	SagaLimitRow *row = grant->row;
	SagaGrant	next = {.n = 1};

	if (row == NULL || n == 0)
		return 0;
	if (grant->probe)
	{
		row->breaker = SAGA_BREAKER_HALF_OPEN;
		row->breaker_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), probe_ms);
		row->probe_lease = lease;
		write_hold(group->key, row);
	}
	if (grant->first == 0)
		return 0;
	saga_rate_use(&group->limits, group->shared, &row->rate, grant, n);
	write_rate(group, row);
	saga_rate_grant(&group->limits, &row->rate, GetCurrentTimestamp(), &next);
	return next.until;
}

/* ---------- holding back ---------- */

void
saga_limit_ask(SagaLimitGroup *group, int want, bool is_probe, SagaGrant *grant)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz until;
	SagaLimitRow *row;

	memset(grant, 0, sizeof(SagaGrant));
	watch_changes();
	group->seen = changes;		/* before the row is read */
	row = try_lock_row(group->key);
	if (row == NULL)
	{
		grant->brief = group->locked_tries < SAGA_LOCKED_TRIES;
		grant->until = locked_until(group, now);
		return;
	}
	group->locked_tries = 0;
	if (saga_hold_heed_clock(row, now))
		write_hold(group->key, row);
	group->slow_from = row->slow_from;
	until = Max(saga_hold_until(row, now, &grant->probe), group->news.pause_until);
	if (is_probe && row->pause_until <= now)
		until = 0;
	group->hold_until = until > now ? until : 0;
	group->held = until > now || grant->probe;
	if (until > now)
	{
		grant->until = until;
		return;
	}
	grant->n = grant->probe ? Min(want, 1) : want;
	saga_rate_grant(&group->limits, &row->rate, now, grant);
	grant->brief = grant->n == 0;
	grant->row = row;
	if (is_probe)
		grant->probe = false;	/* it is one already */
}

/* ---------- reports ---------- */

static void
write_last(const char *key, const SagaLimitNews *news)
{
	Datum		values[4];
	char		nulls[5] = "    ";

	values[0] = CStringGetTextDatum(key);
	put_time(values, nulls, 1, news->last_success_at);
	put_time(values, nulls, 3, news->last_error_at);
	if (news->error == NULL)
		nulls[2] = 'n';
	else if (news->cause == NULL)
		values[2] = CStringGetTextDatum(news->error);
	else
		values[2] = CStringGetTextDatum(psprintf("%s: %s", news->error,
												 saga_foreign_text(news->cause, strlen(news->cause),
																   strlen(news->cause))));
	(void) saga_execute(&last_stmt, values, nulls, false, 0);
}

/* Their publishers may wait for a time that does not hold any more. */
static void
wake_members(const char *key)
{
	Datum		value = CStringGetTextDatum(key);
	SPITupleTable *table;
	uint64		n;
	uint64		i;
	bool		isnull;

	(void) saga_execute(&members_stmt, &value, NULL, false, 0);
	table = SPI_tuptable;
	n = SPI_processed;
	for (i = 0; i < n; i++)
	{
		int32		id = DatumGetInt32(SPI_getbinval(table->vals[i], table->tupdesc, 1, &isnull));
		const SagaQueue *queue = saga_queue_by_id(id, true);

		if (queue != NULL)
			saga_note_inserted(queue, &saga_uuid_max);
	}
	SPI_freetuptable(table);
}

/* False: somebody has the row.  Until it is written the row is asked before anything is claimed. */
static bool
report_group(SagaLimitGroup *group)
{
	TimestampTz now = GetCurrentTimestamp();
	SagaLimitRow *row = try_lock_row(group->key);
	SagaBreaker breaker;
	TimestampTz pause_until;

	if (row == NULL)
	{
		group->report_at = locked_until(group, now);
		return false;
	}
	group->locked_tries = 0;
	(void) saga_hold_heed_clock(row, now);	/* it is written below */
	breaker = row->breaker;
	pause_until = row->pause_until;
	saga_hold_apply(row, &group->limits, &group->news, now);
	write_hold(group->key, row);
	write_last(group->key, &group->news);
	if (row->pause_until != pause_until || row->breaker != breaker)
	{
		tell_change();
		group->held = true;
		group->hold_until = Max(row->pause_until > now ? row->pause_until : 0, row->breaker_until);
	}
	if (breaker != SAGA_BREAKER_CLOSED && row->breaker == SAGA_BREAKER_CLOSED)
		wake_members(group->key);
	return true;
}

static int
compare_keys(const ListCell *a, const ListCell *b)
{
	return strcmp(((SagaLimitGroup *) lfirst(a))->key, ((SagaLimitGroup *) lfirst(b))->key);
}

/* In the order of the keys: two publishers must not wait for each other. */
void
saga_limit_report(SagaLimiter *limiter)
{
	TimestampTz now = GetCurrentTimestamp();
	ListCell   *lc;

	list_sort(limiter->groups, compare_keys);
	foreach(lc, limiter->groups)
	{
		SagaLimitGroup *group = lfirst(lc);

		group->writing = false;
		if (group->news.since == 0 || group->report_at > now)
			continue;
		group->writing = true;
		/* it raised again and again: what it was about is lost, not the publisher */
		if (++group->tries <= SAGA_REPORT_TRIES && !report_group(group))
		{
			group->writing = false;
			group->tries--;
		}
	}
}

void
saga_limit_reported(SagaLimiter *limiter)
{
	ListCell   *lc;

	foreach(lc, limiter->groups)
	{
		SagaLimitGroup *group = lfirst(lc);

		if (!group->writing)
			continue;
		if (group->news.error != NULL)
			pfree(group->news.error);
		if (group->news.cause != NULL)
			pfree(group->news.cause);
		memset(&group->news, 0, sizeof(group->news));
		group->writing = false;
		group->tries = 0;
	}
}

void
saga_limit_resume(const char *key)
{
	SagaLimitRow *row = lock_row(key);

	if (row != NULL)
	{
		saga_hold_end(row, GetCurrentTimestamp());
		row->pause_until = 0;
		write_hold(key, row);
		tell_change();
	}
	wake_members(key);
}
