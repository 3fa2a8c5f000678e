/*
 * ordering.c
 *		Messages with an ordering key: one in flight, in the order they were
 *		accepted.
 *
 * Each is put into the queue when it is accepted.  A publisher that claims
 * one which is not the first unfinished of its key takes it out of the queue
 * and leaves it at that; whoever finishes the first one puts the next one
 * back.  Both happen under one lock per destination, so neither can miss the
 * other's decision.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "outbox/sending.h"
#include "storage/lock.h"
#include "utils/builtins.h"

#define SAGA_ORDERING_LOCK 0x5348

static SagaStmt first_stmt = {
	.sql = "SELECT outbox_id FROM saga.outbox "
	"WHERE destination_id = $1 AND ordering_key = $2 AND state = 'waiting' "
	"AND ordering_key IS NOT NULL ORDER BY position LIMIT 1",
	.nargs = 2,
	.argtypes = {INT4OID, TEXTOID}
};

static SagaStmt queued_stmt = {
	.sql = "SELECT EXISTS (SELECT FROM saga.message WHERE queue_id = $1 AND id = $2) "
	"OR EXISTS (SELECT FROM saga.message WHERE queue_id = $1 AND message_id = $2 AND id <> message_id) "
	"OR EXISTS (SELECT FROM saga.timer WHERE queue_id = $1 AND message_id = $2)",
	.nargs = 2,
	.argtypes = {INT4OID, UUIDOID}
};

bool
saga_ordering_lock(int32 destination_id, bool wait)
{
	LOCKTAG		tag;

	/* the next one is put into this queue, which somebody may be dropping */
	if (!wait && !saga_queue_try_lock(destination_id))
		return false;
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) destination_id, 0, SAGA_ORDERING_LOCK);
	return LockAcquire(&tag, ExclusiveLock, false, !wait) != LOCKACQUIRE_NOT_AVAIL;
}

static bool
get_first(int32 destination_id, const char *key, pg_uuid_t *outbox_id)
{
	Datum		values[2];
	bool		isnull;
	bool		found;

	values[0] = Int32GetDatum(destination_id);
	values[1] = CStringGetTextDatum(key);
	(void) saga_execute(&first_stmt, values, NULL, false, 1);
	found = SPI_processed > 0;
	if (found)
		*outbox_id = *DatumGetUUIDP(saga_result(0, 1, &isnull));
	SPI_freetuptable(SPI_tuptable);
	return found;
}

bool
saga_ordering_is_first(int32 destination_id, const char *key, const pg_uuid_t *outbox_id)
{
	pg_uuid_t	first;

	return get_first(destination_id, key, &first) && saga_uuid_cmp(&first, outbox_id) == 0;
}

void
saga_ordering_release(int32 destination_id, const char *key)
{
	SagaSend	send = {0};
	Datum		values[2];
	bool		isnull;
	bool		queued;

	if (!get_first(destination_id, key, &send.message_id))
		return;
	values[0] = Int32GetDatum(destination_id);
	values[1] = UUIDPGetDatum(&send.message_id);
	(void) saga_execute(&queued_stmt, values, NULL, false, 1);
	queued = DatumGetBool(saga_result(0, 1, &isnull));
	SPI_freetuptable(SPI_tuptable);
	if (queued)
		return;
	send.kind = SAGA_MSG_OUTBOX;
	send.returned = true;
	saga_send_rows(saga_queue_by_id(destination_id, false), &send, 1);
}
