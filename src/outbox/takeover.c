/*
 * takeover.c
 *		When this server went on from an earlier state of another one: after
 *		the promotion of a standby, a restore to a point in time, from a dump.
 *
 * What was sent since that state is not on record.  So of what is older than
 * the takeover nobody knows whether it was sent; where the destination has a
 * look-up, that comes first.  The idempotency key does the rest: it is made of
 * the execution and the step, and so the same when a step runs once more.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "common/common.h"
#include "common/compat.h"
#include "outbox/sending.h"
#include "utils/timestamp.h"

/* The other server's clock may have been ahead by this. */
#define SAGA_TAKEOVER_MARGIN_MS	60000

/*
 * Rows are never in each other's way: those of a restore may come before or
 * after the first one of ours, and then must not fail.  What went on from here
 * has a row later than those of all others.  With no row at all nothing was sent
 * before, from anywhere.
 */
static SagaStmt later_stmt = {
	.sql = "UPDATE saga.takeover t SET at = now() WHERE (t.system_identifier, t.timeline) = ($1, $2) "
	"AND EXISTS (SELECT FROM saga.takeover o WHERE (o.system_identifier, o.timeline) <> ($1, $2) AND o.at >= t.at)",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID}
};

static SagaStmt first_stmt = {
	.sql = "INSERT INTO saga.takeover (system_identifier, timeline, at) "
	"SELECT $1, $2, CASE WHEN EXISTS (SELECT FROM saga.takeover) THEN now() ELSE '-infinity' END "
	"WHERE NOT EXISTS (SELECT FROM saga.takeover t WHERE (t.system_identifier, t.timeline) = ($1, $2))",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID}
};

/* And: is it noted that we are the last? */
static SagaStmt read_stmt = {
	.sql = "SELECT max(at), coalesce(max(at) FILTER (WHERE (system_identifier, timeline) = ($1, $2)) > "
	"max(at) FILTER (WHERE (system_identifier, timeline) <> ($1, $2)), "
	"count(*) FILTER (WHERE (system_identifier, timeline) = ($1, $2)) > 0) FROM saga.takeover",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID}
};

static TimestampTz takeover_at = DT_NOBEGIN;
static bool noted = false;


/* Returns whether it is noted. */
static bool
read_takeover(Datum *values)
{
	bool		isnull;
	Datum		at;
	bool		result;

	(void) saga_execute(&read_stmt, values, NULL, false, 1);
	at = saga_result(0, 1, &isnull);
	takeover_at = isnull ? DT_NOBEGIN : DatumGetTimestampTz(at);
	result = DatumGetBool(saga_result(0, 2, &isnull));
	SPI_freetuptable(SPI_tuptable);
	return result;
}

void
saga_takeover_look(void)
{
	Datum		values[2];

	/* a server that publishes stays on its timeline */
	if (noted)
		return;
	values[0] = Int64GetDatum((int64) GetSystemIdentifier());
	values[1] = Int64GetDatum((int64) saga_timeline());
	noted = read_takeover(values);
	if (noted)
		return;
	if (saga_object_try_lock(saga_relation_oid("takeover"), 0, ExclusiveLock))
	{
		/* the next look finds it, once this has committed */
		(void) saga_execute(&later_stmt, values, NULL, false, 0);
		(void) saga_execute(&first_stmt, values, NULL, false, 0);
		(void) read_takeover(values);
	}
	else
	{
		/* somebody else is noting it, perhaps in a CALL that stands still: all that is there is in doubt */
		takeover_at = GetCurrentTimestamp();
	}
}

/* Of an id that somebody chose: never. */
static TimestampTz
made_at(const pg_uuid_t *id)
{
	int64		ms = 0;
	int			i;

	if ((id->data[6] & 0xf0) != 0x70)
		return DT_NOEND;
	for (i = 0; i < 6; i++)
		ms = ms << 8 | id->data[i];
	return (ms - (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000) * 1000;
}

bool
saga_takeover_doubts(const SagaDelivery *delivery, TimestampTz last_sent_at)
{
	TimestampTz made = delivery->created_at;

	if (TIMESTAMP_NOT_FINITE(takeover_at))
		return false;
	/* it was in doubt once, and a look-up has answered: that is on record since */
	if (last_sent_at != 0)
		return last_sent_at < takeover_at;
	/* a step that the earlier state had not run yet runs again, and its message is new */
	if (delivery->workflow_id != 0)
		made = Min(made, made_at(&delivery->execution_id));
	return made < TimestampTzPlusMilliseconds(takeover_at, SAGA_TAKEOVER_MARGIN_MS);
}
