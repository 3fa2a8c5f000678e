/*
 * takeover.c
 *		When what is on record here goes on from an earlier state: after the
 *		promotion of a standby, a restore to a point in time, from a dump, of a
 *		base backup, in a copy of the database.
 *
 * What was sent since that state is not on record.  So of what is older than
 * the takeover nobody knows whether it was sent; where the destination has a
 * look-up, that comes first.  The idempotency key does the rest: it is made of
 * the execution and the step, and so the same when a step runs once more.
 *
 * A state goes on from another one when it is on another server, timeline or
 * database, in tables that a restore has made anew, or in files that are not
 * those it was written in, or were written over by something else.  A snapshot
 * of the storage that is taken back differs in nothing: there a person has to
 * say so, saga.doubt_outbox().
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "catalog/pg_control.h"
#include "common/common.h"
#include "common/compat.h"
#include "common/controldata_utils.h"
#include "common/hashfn.h"
#include "common/statement.h"
#include "common/table_cache.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "outbox/sending_private.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/inval.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(saga_doubt_outbox);

/* The other server's clock may have been ahead by this. */
#define SAGA_TAKEOVER_MARGIN_MS	60000

/* The server takes the time, and then writes it into the control file. */
#define CONTROL_FILE_MARGIN_S	5

#define VERSION_FILE	"PG_VERSION"

#define IDS		"system_identifier, timeline, database_id, table_id, files_id"
#define HERE	"$system_identifier, $timeline, $database_id, $table_id, $files_id"
#define IS_HERE "(" IDS ") = (" HERE ")"
#define IS_ELSEWHERE "(" IDS ") <> (" HERE ")"

/* Where we are. */
typedef struct Here
{
	SagaParam	params[6];		/* those of HERE, and the end */
} Here;

/*
 * Rows are never in each other's way: those of a restore may come before or
 * after the first one of ours, and then must not fail.  What went on from here
 * has a row later than those of all others.  With no row at all nothing was sent
 * before, from anywhere.
 */
static SagaStatement later_stmt = {
	.sql = "UPDATE saga.takeover t SET at = now() WHERE " IS_HERE " "
	"AND EXISTS (SELECT FROM saga.takeover o WHERE " IS_ELSEWHERE " AND o.at >= t.at)"
};

static SagaStatement first_stmt = {
	.sql = "INSERT INTO saga.takeover (" IDS ", at) "
	"SELECT " HERE ", CASE WHEN EXISTS (SELECT FROM saga.takeover) THEN now() ELSE '-infinity' END "
	"WHERE NOT EXISTS (SELECT FROM saga.takeover WHERE " IS_HERE ")"
};

/* And: is it noted that we are the last? */
static SagaStatement read_stmt = {
	.sql = "SELECT max(at) AS at, coalesce(max(at) FILTER (WHERE " IS_HERE ") > max(at) FILTER (WHERE " IS_ELSEWHERE "), "
	"count(*) FILTER (WHERE " IS_HERE ") > 0) AS is_last FROM saga.takeover",
	.limit = 1
};

/* Whatever is noted. */
static SagaStatement doubt_stmt = {
	.sql = "WITH gone AS (DELETE FROM saga.takeover WHERE " IS_HERE ") "
	"INSERT INTO saga.takeover (" IDS ", at) VALUES (" HERE ", clock_timestamp())"
};

static SagaStatement count_stmt = {
	.sql = "SELECT count(*) AS waiting FROM saga.outbox o JOIN saga.destination d USING (destination_id) "
	"WHERE o.state = 'waiting' AND d.settings ? 'lookup' AND NOT o.compensate AND NOT o.request ? 'Path' "
	"AND coalesce(o.request ->> 'Method' = coalesce(d.settings #>> '{request,method}', d.settings ->> 'method', 'POST'), true)",
	.limit = 1
};

static TimestampTz takeover_at = DT_NOBEGIN;
static SagaTableWatch watch = {.table = "takeover"};
static uint64 noted = 0;		/* of the watch, when the table said that we are the last */
static FullTransactionId noting;	/* the last transaction of this process that has written there */

/* ---------- where we are ---------- */

static uint64
hash_more(uint64 hash, const void *data, size_t len)
{
	return DatumGetUInt64(hash_any_extended(data, (int) len, hash));
}

/* Nanoseconds since 1970; 0: not known. */
typedef struct FileTimes
{
	uint64		inode;
	int64		born;
	int64		written;
	int64		changed;		/* it, or what the directory says of it */
	mode_t		mode;
} FileTimes;

static bool
get_file_times(const char *path, FileTimes *times)
{
#ifdef STATX_BTIME
	struct statx st;

	memset(&st, 0, sizeof(st));
	if (statx(AT_FDCWD, path, 0, STATX_BASIC_STATS | STATX_BTIME, &st) != 0)
		return false;
#define NANOSECONDS(t) ((t).tv_sec * INT64CONST(1000000000) + (t).tv_nsec)
	times->inode = st.stx_ino;
	times->born = st.stx_mask & STATX_BTIME ? NANOSECONDS(st.stx_btime) : 0;
	times->written = NANOSECONDS(st.stx_mtime);
	times->changed = NANOSECONDS(st.stx_ctime);
	times->mode = st.stx_mode;
#else
	struct stat st;

	if (stat(path, &st) != 0)
		return false;
	times->inode = st.st_ino;
	times->born = 0;
	times->written = st.st_mtime * INT64CONST(1000000000);
	times->changed = st.st_ctime * INT64CONST(1000000000);
	times->mode = st.st_mode;
#endif
	return true;
}

/*
 * The inode of the control file, which is written in place, and when that was
 * made: a copy of the data directory has another one.  A number alone may
 * come again on another file system.  What is copied over the files that are
 * there keeps both; of PG_VERSION, which no server writes, it changes the time
 * of the last change, or else saga_takeover_look_at_files does.
 */
static uint64
hash_files(uint64 hash)
{
	FileTimes	times;

	if (get_file_times(XLOG_CONTROL_FILE, &times))
	{
		hash = hash_more(hash, &times.inode, sizeof(times.inode));
		hash = hash_more(hash, &times.born, sizeof(times.born));
	}
	if (get_file_times(VERSION_FILE, &times))
		hash = hash_more(hash, &times.changed, sizeof(times.changed));
	return hash;
}

/*
 * From _PG_init of the postmaster, when nothing has been written yet.  Tools
 * that copy only what differs leave PG_VERSION as it is.  But they write the
 * control file: the server notes the time in it, and writes it at once.  So
 * its times are that one, and the same, unless something else has written it.
 * Then PG_VERSION is marked, as if it had been copied as well.
 */
void
saga_takeover_look_at_files(void)
{
	FileTimes	times;
	FileTimes	version;
	bool		is_valid;
	ControlFileData *control = get_controlfile(DataDir, &is_valid);
	int64		noted_at = (int64) control->time;
	int64		changed_at;

	pfree(control);
	if (!is_valid || !get_file_times(XLOG_CONTROL_FILE, &times) || !get_file_times(VERSION_FILE, &version))
		return;
	changed_at = times.changed / INT64CONST(1000000000);
	if (times.written == times.changed && changed_at <= noted_at + CONTROL_FILE_MARGIN_S && changed_at >= noted_at - CONTROL_FILE_MARGIN_S)
		return;
	if (chmod(VERSION_FILE, version.mode & 07777) != 0)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not set permissions of file \"%s\": %m", VERSION_FILE)));
	ereport(LOG,
			(errmsg("the data directory was copied, or restored in place: what waits in outboxes may have been sent")));
}

/* What a server that was started from a base backup has left of its label: where and when that begins. */
static uint64
hash_backup_label(uint64 hash)
{
	char		label[1024];
	int			fd = OpenTransientFile(BACKUP_LABEL_OLD, O_RDONLY | PG_BINARY);
	ssize_t		n;

	if (fd < 0)
		return hash;
	n = read(fd, label, sizeof(label));
	CloseTransientFile(fd);
	return n > 0 ? hash_more(hash, label, n) : hash;
}

static Here
get_here(void)
{
	return (Here)
	{
		.params =
		{
			saga_param_int8("system_identifier", (int64) GetSystemIdentifier()),
				saga_param_int8("timeline", (int64) saga_timeline()),
				saga_param_oid("database_id", MyDatabaseId),
				saga_param_oid("table_id", saga_relation_oid("takeover")),
				saga_param_int8("files_id", (int64) hash_backup_label(hash_files(0))),
			{
				.name = NULL
			}
		}
	};
}

/* ---------- what is noted ---------- */

/* Returns whether it is noted. */
static bool
read_takeover(const Here *here)
{
	SagaRows   *rows = saga_statement_query(&read_stmt, here->params);
	bool		is_last;

	(void) saga_rows_next(rows);
	takeover_at = saga_column_is_null(rows, "at") ? DT_NOBEGIN : saga_column_timestamptz(rows, "at");
	is_last = saga_column_bool(rows, "is_last");
	saga_rows_free(rows);
	return is_last;
}

/* What this transaction has written may be rolled back, and what it sees may be older than what others have. */
static bool
may_be_noted(void)
{
	return !IsolationUsesXactSnapshot() &&
		!(FullTransactionIdIsValid(noting) && FullTransactionIdEquals(noting, GetTopFullTransactionIdIfAny()));
}

void
saga_takeover_look(void)
{
	Here		here;
	uint64		seen;
	bool		is_last;

	/* a server that publishes stays where it is; but somebody may doubt that */
	AcceptInvalidationMessages();
	if (saga_table_unchanged(&watch, noted))
		return;
	seen = saga_table_watch(&watch);
	here = get_here();
	is_last = read_takeover(&here);
	noted = is_last && may_be_noted() ? seen : 0;
	if (is_last)
		return;
	if (!IsolationUsesXactSnapshot() && saga_common_object_try_lock(saga_relation_oid("takeover"), 0, ExclusiveLock))
	{
		/* a later look finds it, once this has committed */
		noting = GetTopFullTransactionId();
		(void) saga_statement_run(&later_stmt, here.params);
		(void) saga_statement_run(&first_stmt, here.params);
		(void) read_takeover(&here);
	}
	else
	{
		/*
		 * somebody else is noting it, perhaps in a CALL that stands still, or
		 * did so after our snapshot: all that is there is in doubt
		 */
		takeover_at = GetCurrentTimestamp();
	}
}

/* As the coordinator begins: what is noted early casts doubt on little.  There is nothing before the first destination. */
void
saga_takeover_note(void)
{
	static SagaStatement any_stmt = {.sql = "SELECT FROM saga.takeover", .limit = 1};

	if (saga_run(&any_stmt) > 0)
		saga_takeover_look();
}

/*
 * With each new destination.  A copy that is made before a publisher has looked
 * for the first time would not say where it is from.
 */
void
saga_takeover_begin(void)
{
	static SagaStatement here_stmt = {.sql = "SELECT FROM saga.takeover WHERE " IS_HERE, .limit = 1};
	Here		here = get_here();

	if (saga_statement_run(&here_stmt, here.params) == 0 &&
		saga_common_object_try_lock(saga_relation_oid("takeover"), 0, ExclusiveLock))
		(void) saga_statement_run(&first_stmt, here.params);
}

/*
 * saga.doubt_outbox(since): what waits may have been sent since then, without
 * being on record.  That is so of all that waits, however old it is.
 */
Datum
saga_doubt_outbox(PG_FUNCTION_ARGS)
{
	TimestampTz since = PG_GETARG_TIMESTAMPTZ(0);
	Here		here;
	Oid			relid;
	SagaRows   *rows;

	if (!has_privs_of_role(GetUserId(), saga_extension_owner()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must have privileges of the owner of extension \"%s\"", "pg_saga")));
	if (since > GetCurrentTimestamp())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("nothing has been sent yet since %s", timestamptz_to_str(since)),
				 errhint("Give the time of the state that was taken back.")));
	relid = saga_relation_oid("takeover");
	if (!saga_common_object_try_lock(relid, 0, ExclusiveLock))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("the outbox is being put in doubt by another session"),
				 errhint("Try again.")));
	here = get_here();
	(void) saga_statement_run(&doubt_stmt, here.params);
	rows = saga_query(&count_stmt);
	(void) saga_rows_next(rows);
	/* every publisher looks again after this commits */
	CacheInvalidateRelcacheByRelid(relid);
	ereport(LOG,
			(errmsg("outbox put in doubt: what was sent since %s may not be on record", timestamptz_to_str(since))));
	PG_RETURN_INT64(saga_column_int8(rows, "waiting"));
}

bool
saga_takeover_doubts(const SagaDelivery *delivery, bool looked_up, TimestampTz last_sent_at)
{
	TimestampTz made = delivery->created_at;

	if (TIMESTAMP_NOT_FINITE(takeover_at))
		return false;

	/*
	 * it was in doubt once, and a look-up has answered: that is on record
	 * since.  No other answer says anything of what the other server sent.
	 */
	if (looked_up && last_sent_at != 0)
		return last_sent_at < takeover_at;

	/*
	 * a step that the earlier state had not run yet runs again, and its
	 * message is new
	 */
	if (delivery->workflow_id != 0)
		made = Min(made, saga_uuid_time(&delivery->execution_id));
	return made < TimestampTzPlusMilliseconds(takeover_at, SAGA_TAKEOVER_MARGIN_MS);
}
