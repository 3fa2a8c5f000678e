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

/* The first one finds no row: nothing was sent before, from anywhere.  Under a lock: it would wait for another one. */
static SagaStmt note_stmt = {
	.sql = "INSERT INTO saga.takeover AS t (system_identifier, timeline, at) VALUES ($1, $2, '-infinity') "
	"ON CONFLICT (only_row) DO UPDATE SET system_identifier = $1, timeline = $2, at = now() "
	"WHERE (t.system_identifier, t.timeline) <> ($1, $2)",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID}
};

static SagaStmt read_stmt = {
	.sql = "SELECT at FROM saga.takeover WHERE (system_identifier, timeline) = ($1, $2)",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID}
};

static TimestampTz takeover_at = DT_NOBEGIN;
static bool known = false;


static void
read_takeover(Datum *values)
{
	bool		isnull;

	(void) saga_execute(&read_stmt, values, NULL, false, 1);
	known = SPI_processed > 0;
	if (known)
		takeover_at = DatumGetTimestampTz(saga_result(0, 1, &isnull));
	SPI_freetuptable(SPI_tuptable);
}

void
saga_takeover_look(void)
{
	Datum		values[2];

	/* a server that publishes stays on its timeline */
	if (known)
		return;
	values[0] = Int64GetDatum((int64) GetSystemIdentifier());
	values[1] = Int64GetDatum((int64) saga_timeline());
	read_takeover(values);
	if (known)
		return;
	if (saga_object_try_lock(saga_relation_oid("takeover"), 0, ExclusiveLock))
	{
		(void) saga_execute(&note_stmt, values, NULL, false, 0);
		read_takeover(values);
		/* until this commits it is asked again */
		known = false;
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
