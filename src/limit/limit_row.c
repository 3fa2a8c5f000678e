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

#include "common/hashfn.h"
#include "common/statement.h"
#include "common/table_cache.h"
#include "limit/hold_private.h"
#include "miscadmin.h"
#include "net/foreign.h"
#include "queue/queue.h"
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

/* Of the windows of SagaRate, in their order: the number of the newest bucket, and what was counted. */
static const struct
{
	const char *bucket;
	const char *starts;
}			window_columns[SAGA_RATE_WINDOWS] = {
	{"minute_bucket", "minute_starts"},
	{"hour_bucket", "hour_starts"},
	{"day_bucket", "day_starts"}
};

#define ROW_COLUMNS \
	"SELECT next_start_at, minute_bucket, minute_starts, hour_bucket, hour_starts, day_bucket, day_starts, " \
	"pause_until, breaker, breaker_until, breaker_reason, opened, probe_lease, slow_from, " \
	"counted_from, requests, failures FROM saga.destination_state WHERE limit_key = $limit_key FOR UPDATE"

static SagaStatement lock_stmt = {
	.sql = ROW_COLUMNS
};

static SagaStatement try_lock_stmt = {
	.sql = ROW_COLUMNS " SKIP LOCKED"
};

static SagaStatement exists_stmt = {
	.sql = "SELECT FROM saga.destination_state WHERE limit_key = $limit_key",
	.limit = 1
};

static SagaStatement insert_stmt = {
	.sql = "INSERT INTO saga.destination_state (limit_key) VALUES ($limit_key) ON CONFLICT DO NOTHING"
};

static SagaStatement rate_stmt = {
	.sql = "UPDATE saga.destination_state SET next_start_at = $next_start_at, minute_bucket = $minute_bucket, "
	"minute_starts = $minute_starts, hour_bucket = $hour_bucket, hour_starts = $hour_starts, "
	"day_bucket = $day_bucket, day_starts = $day_starts WHERE limit_key = $limit_key"
};

static SagaStatement hold_stmt = {
	.sql = "UPDATE saga.destination_state SET pause_until = $pause_until, breaker = $breaker, "
	"breaker_until = $breaker_until, breaker_reason = $breaker_reason, opened = $opened, probe_lease = $probe_lease, "
	"slow_from = $slow_from, counted_from = $counted_from, requests = $requests, failures = $failures "
	"WHERE limit_key = $limit_key"
};

static SagaStatement last_stmt = {
	.sql = "UPDATE saga.destination_state SET last_success_at = greatest(last_success_at, $last_success_at), "
	"last_error = CASE WHEN $last_error_at >= coalesce(last_error_at, $last_error_at) THEN $last_error ELSE last_error END, "
	"last_error_at = greatest(last_error_at, $last_error_at) WHERE limit_key = $limit_key"
};

static SagaStatement members_stmt = {
	.sql = "SELECT destination_id FROM saga.destination WHERE limit_key = $limit_key ORDER BY destination_id"
};

/* A group may have many. */
static SagaStatement names_stmt = {
	.sql = "SELECT string_agg(pg_catalog.format('\"%s\"', d.name), ', ') AS names FROM (SELECT name FROM saga.destination"
	" WHERE limit_key = $limit_key ORDER BY destination_id LIMIT 3) d"
};

/* ---------- what others change ---------- */

/* Which group it was is not said, so the rows of all are asked before the next claim. */
static SagaTableWatch watch = {.table = "destination_state"};

/* What holds the group is not what it was: every publisher asks again after this commits. */
static void
tell_change(void)
{
	CacheInvalidateRelcacheByRelid(saga_relation_oid("destination_state"));
}

bool
saga_limit_must_ask(const SagaLimitGroup *group)
{
	return group->held || !saga_table_unchanged(&watch, group->seen) || saga_limit_has_rate(group);
}

/* ---------- reading and writing ---------- */

/* A window as it is stored: the number of its newest bucket, and the counts from there on.  What does not look like one counts as empty. */
static void
read_window(SagaRows *rows, int i, SagaRateWindow *window)
{
	Datum		starts;
	bool		isnull;
	ArrayType  *array;
	int			n;

	window->bucket = saga_column_int4(rows, window_columns[i].bucket);
	starts = saga_column(rows, window_columns[i].starts, INT4ARRAYOID, &isnull);
	if (isnull)
		return;
	array = DatumGetArrayTypeP(starts);
	if (ARR_NDIM(array) != 1 || ARR_HASNULL(array))
		return;
	n = Min(ARR_DIMS(array)[0], SAGA_RATE_BUCKETS);
	memcpy(window->counts, ARR_DATA_PTR(array), sizeof(int32) * n);
}

/* A name that is unknown, of a later version, counts as closed. */
static SagaBreaker
breaker_by_name(const char *name)
{
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
read_row(SagaStatement *stmt, const char *key)
{
	SagaRows   *rows = saga_query(stmt, saga_param_text("limit_key", key));
	SagaLimitRow *row = NULL;
	int			i;

	if (saga_rows_next(rows))
	{
		row = palloc0(sizeof(SagaLimitRow));
		row->rate.next_start_at = saga_column_timestamptz(rows, "next_start_at");
		for (i = 0; i < SAGA_RATE_WINDOWS; i++)
			read_window(rows, i, &row->rate.windows[i]);
		row->pause_until = saga_column_timestamptz(rows, "pause_until");
		row->breaker = breaker_by_name(saga_column_text(rows, "breaker"));
		row->breaker_until = saga_column_timestamptz(rows, "breaker_until");
		row->breaker_reason = saga_column_text(rows, "breaker_reason");
		row->opened = saga_column_int4(rows, "opened");
		row->probe_lease = saga_column_int8(rows, "probe_lease");
		row->slow_from = saga_column_timestamptz(rows, "slow_from");
		row->counted_from = saga_column_timestamptz(rows, "counted_from");
		row->requests = saga_column_int4(rows, "requests");
		row->failures = saga_column_int4(rows, "failures");
	}
	saga_rows_free(rows);
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
	SagaLimitRow *row = read_row(&try_lock_stmt, key);

	if (row != NULL || !lock_key(key, false))
		return row;
	if (saga_run(&exists_stmt, saga_param_text("limit_key", key)) > 0)
		return NULL;
	saga_run(&insert_stmt, saga_param_text("limit_key", key));
	return read_row(&try_lock_stmt, key);
}

/* Waits for the row; makes it under a lock on its key if there is none, so that two do not make it at once. */
static SagaLimitRow *
lock_row(const char *key)
{
	SagaLimitRow *row = read_row(&lock_stmt, key);

	if (row != NULL)
		return row;
	(void) lock_key(key, true);
	saga_run(&insert_stmt, saga_param_text("limit_key", key));
	return read_row(&lock_stmt, key);
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

/* No time is 0 here, and NULL in the row. */
static SagaParam
time_param(const char *name, TimestampTz at)
{
	return saga_param_if(at != 0, saga_param_timestamptz(name, at));
}

/* The part of the row that holds its group back: pause, breaker, slow start and the counts of failures. */
static void
write_hold(const char *key, const SagaLimitRow *row)
{
	saga_run(&hold_stmt,
			 time_param("pause_until", row->pause_until),
			 saga_param_text("breaker", breaker_names[row->breaker]),
			 time_param("breaker_until", row->breaker_until),
			 saga_param_text("breaker_reason", row->breaker_reason),
			 saga_param_int4("opened", row->opened),
			 saga_param_if(row->probe_lease != 0, saga_param_int8("probe_lease", row->probe_lease)),
			 time_param("slow_from", row->slow_from),
			 time_param("counted_from", row->counted_from),
			 saga_param_int4("requests", row->requests),
			 saga_param_int4("failures", row->failures),
			 saga_param_text("limit_key", key));
}

/* The counts of a window as an array of SQL, from the newest bucket on. */
static ArrayType *
counts_of(const SagaRateWindow *window)
{
	Datum		counts[SAGA_RATE_BUCKETS];
	int			i;

	for (i = 0; i < SAGA_RATE_BUCKETS; i++)
		counts[i] = Int32GetDatum(window->counts[i]);
	return construct_array(counts, SAGA_RATE_BUCKETS, INT4OID, sizeof(int32), true, TYPALIGN_INT);
}

/* Of a window that nothing was counted in there is nothing. */
static void
write_rate(const SagaLimitGroup *group, const SagaLimitRow *row)
{
	SagaParam	params[2 * SAGA_RATE_WINDOWS + 3] = {
		time_param("next_start_at", row->rate.next_start_at),
		saga_param_text("limit_key", group->key)
	};
	SagaParam  *next = params + 2;
	int			i;

	for (i = 0; i < SAGA_RATE_WINDOWS; i++)
	{
		const SagaRateWindow *window = &row->rate.windows[i];
		bool		used = window->bucket != 0;

		*next++ = saga_param_if(used, saga_param_int4(window_columns[i].bucket, window->bucket));
		*next++ = saga_param_array(window_columns[i].starts, INT4ARRAYOID, used ? counts_of(window) : NULL);
	}
	saga_statement_run(&rate_stmt, params); /* the last one has no name */
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
	group->seen = saga_table_watch(&watch); /* before the row is read */
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
	until = Max(saga_hold_until(row, now, group->limiter->lease_is_dead, &grant->probe), group->news.pause_until);
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

/* The part of the row that is for people: when it last went well, and what the last error was. */
static void
write_last(const char *key, const SagaLimitNews *news)
{
	const char *error = news->error;

	if (error != NULL && news->cause != NULL)
		error = psprintf("%s: %s", error,
						 saga_foreign_text(news->cause, strlen(news->cause), strlen(news->cause)));
	saga_run(&last_stmt, time_param("last_success_at", news->last_success_at),
			 time_param("last_error_at", news->last_error_at), saga_param_text("last_error", error),
			 saga_param_text("limit_key", key));
}

/* Their publishers may wait for a time that does not hold any more. */
static void
wake_members(const char *key)
{
	SagaRows   *members = saga_query(&members_stmt, saga_param_text("limit_key", key));

	while (saga_rows_next(members))
	{
		const SagaQueue *queue = saga_queue_by_id(saga_column_int4(members, "destination_id"), true);

		if (queue != NULL)
			saga_queue_wake_after_commit(queue);
	}
	saga_rows_free(members);
}

/* For the log: what the group's requests go to, and why nothing is sent to it from now on. */
static void
log_hold(const char *key, const char *why)
{
	SagaRows   *rows = saga_query(&names_stmt, saga_param_text("limit_key", key));
	char	   *names = saga_rows_next(rows) ? saga_column_text(rows, "names") : NULL;

	if (names != NULL)
		saga_after_commit_log("destination %s is held: %s", names, why);
	saga_rows_free(rows);
}

/* One line as it begins: a breaker that opens again after a probe, and a pause that is made longer, are no news. */
static void
log_news(const char *key, const SagaLimitRow *row, SagaBreaker breaker, TimestampTz pause_until, TimestampTz now)
{
	if (breaker == SAGA_BREAKER_CLOSED && row->breaker == SAGA_BREAKER_OPEN)
		log_hold(key, strcmp(row->breaker_reason, "auth") == 0 ? "credentials were refused" :
				 "its breaker has opened, as too many requests failed");
	if (row->pause_until > now && pause_until <= now)
		log_hold(key, psprintf("the server asked for a pause until %s", timestamptz_to_str(row->pause_until)));
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
	log_news(group->key, row, breaker, pause_until, now);
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

/* Rows are locked in the order of their keys, so that two publishers cannot wait for each other. */
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

		/*
		 * it raised again and again: what it was about is lost, not the
		 * publisher
		 */
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
