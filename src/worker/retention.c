/*
 * retention.c
 *		Removes what has been kept for long enough, in small batches.
 *
 * Ids are made of the time, so the oldest rows lie at the left edge of the
 * primary key; each statement begins where the last one stopped.  What is
 * still running, waiting or unsent is in other tables or excluded.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/guc.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "worker/procs.h"

#define ROWS_AT_ONCE	"500"
#define BATCH_MS		20		/* between two batches */
#define PASS_MS			(10 * 60 * 1000)	/* between two walks from the left edge */

/* SQS keeps a message for 14 days at most, and so long it may come again. */
static int	source_seen_retention_min = 15 * 24 * 60;

/*
 * A table to be cleaned: its statement takes $1, the id to begin after, $2,
 * the time, and $3, the first id that can be made at that time, so that it
 * does not walk over all that is younger; and returns the ids, in order.
 */
typedef struct Cleaner
{
	SagaStmt	stmt;
	int		   *retention_min;
	pg_uuid_t	position;
	TimestampTz next_at;
} Cleaner;

#define CLEAN(statement) \
	.stmt = {.sql = statement, .nargs = 3, .argtypes = {UUIDOID, TIMESTAMPTZOID, UUIDOID}}

static Cleaner cleaners[] = {
	{
		CLEAN("WITH old AS MATERIALIZED (SELECT execution_id FROM saga.execution"
			  " WHERE execution_id > $1 AND execution_id < $3 AND stopped_at < $2"
			  " ORDER BY execution_id LIMIT " ROWS_AT_ONCE "),"
			  " gone AS (DELETE FROM saga.execution WHERE execution_id = ANY (ARRAY(SELECT execution_id FROM old))"
			  " RETURNING execution_id, workflow_id, name),"
			  " history AS (DELETE FROM saga.history WHERE execution_id = ANY (ARRAY(SELECT execution_id FROM old))),"
			  " given AS (DELETE FROM saga.given_id WHERE execution_id = ANY (ARRAY(SELECT execution_id FROM old))),"
			  " names AS (DELETE FROM saga.execution_name n USING gone"
			  " WHERE gone.name IS NOT NULL AND n.workflow_id = gone.workflow_id AND n.name = gone.name"
			  " AND n.execution_id = gone.execution_id)"
			  " SELECT execution_id FROM gone ORDER BY execution_id"),
		.retention_min = &saga_execution_retention_min
	},
	{
		CLEAN("WITH gone AS (DELETE FROM saga.dead_letter WHERE dead_letter_id = ANY (ARRAY("
			  "SELECT dead_letter_id FROM saga.dead_letter"
			  " WHERE dead_letter_id > $1 AND dead_letter_id < $3 AND failed_at < $2"
			  " ORDER BY dead_letter_id LIMIT " ROWS_AT_ONCE ")) RETURNING dead_letter_id)"
			  " SELECT dead_letter_id FROM gone ORDER BY dead_letter_id"),
		.retention_min = &saga_dead_letter_retention_min
	},
	{
		CLEAN("WITH old AS MATERIALIZED (SELECT o.destination_id, o.outbox_id"
			  " FROM saga.destination d CROSS JOIN LATERAL ("
			  "SELECT destination_id, outbox_id FROM saga.outbox"
			  " WHERE destination_id = d.destination_id AND outbox_id > $1 AND outbox_id < $3"
			  " AND state <> 'waiting' AND finished_at < $2"
			  " ORDER BY outbox_id LIMIT " ROWS_AT_ONCE ") o"
			  " ORDER BY o.outbox_id LIMIT " ROWS_AT_ONCE "),"
			  " attempts AS (DELETE FROM saga.outbox_attempt a USING old"
			  " WHERE a.destination_id = old.destination_id AND a.outbox_id = old.outbox_id),"
			  " gone AS (DELETE FROM saga.outbox o USING old"
			  " WHERE o.destination_id = old.destination_id AND o.outbox_id = old.outbox_id"
			  " RETURNING o.outbox_id)"
			  " SELECT outbox_id FROM gone ORDER BY outbox_id"),
		.retention_min = &saga_outbox_retention_min
	},
	{
		CLEAN("WITH old AS MATERIALIZED (SELECT message_id FROM saga.source_seen"
			  " WHERE message_id > $1 AND message_id < $3 AND seen_at < $2"
			  " ORDER BY message_id LIMIT " ROWS_AT_ONCE "),"
			  " gone AS (DELETE FROM saga.source_seen"
			  " WHERE message_id = ANY (ARRAY(SELECT message_id FROM old)) RETURNING message_id)"
			  " SELECT message_id FROM gone ORDER BY message_id"),
		.retention_min = &source_seen_retention_min
	},
};


/* The smallest UUIDv7 of a time. */
static pg_uuid_t
first_id(TimestampTz at)
{
	int64		ms = at / 1000 + ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)) * SECS_PER_DAY * 1000;
	pg_uuid_t	id;

	memset(&id, 0, sizeof(id));
	for (int i = 5; i >= 0 && ms > 0; i--)
	{
		id.data[i] = (unsigned char) (ms & 0xff);
		ms >>= 8;
	}
	return id;
}

/* One statement. */
static void
clean(Cleaner *cleaner, TimestampTz now)
{
	TimestampTz before = now - (int64) *cleaner->retention_min * USECS_PER_MINUTE;
	pg_uuid_t	end = first_id(before);
	Datum		values[3];
	bool		isnull;

	values[0] = UUIDPGetDatum(&cleaner->position);
	values[1] = TimestampTzGetDatum(before);
	values[2] = UUIDPGetDatum(&end);
	saga_execute(&cleaner->stmt, values, NULL, false, 0);
	if (SPI_processed > 0)
	{
		cleaner->position = *DatumGetUUIDP(saga_result(SPI_processed - 1, 1, &isnull));
		cleaner->next_at = TimestampTzPlusMilliseconds(now, BATCH_MS);
	}
	else
	{
		cleaner->position = saga_uuid_min;
		cleaner->next_at = TimestampTzPlusMilliseconds(now, PASS_MS);
	}
}

/* When there is something to do; DT_NOEND: everything is kept. */
TimestampTz
saga_retention_next(void)
{
	TimestampTz next = DT_NOEND;

	for (int i = 0; i < lengthof(cleaners); i++)
		if (*cleaners[i].retention_min > 0)
			next = Min(next, cleaners[i].next_at);
	return next;
}

void
saga_retention_turn(void)
{
	TimestampTz now = GetCurrentTimestamp();

	for (int i = 0; i < lengthof(cleaners); i++)
		if (*cleaners[i].retention_min > 0 && cleaners[i].next_at <= now)
			clean(&cleaners[i], now);
}
