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

#include "common/statement.h"
#include "miscadmin.h"
#include "outbox/sending_private.h"
#include "storage/lock.h"
#include "utils/builtins.h"

#define SAGA_ORDERING_LOCK 0x5348

static SagaStatement first_stmt = {
	.sql = "SELECT outbox_id FROM saga.outbox "
	"WHERE destination_id = $destination_id AND ordering_key = $ordering_key AND state = 'waiting' "
	"AND ordering_key IS NOT NULL ORDER BY position LIMIT 1",
	.limit = 1
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
	SagaRows   *rows = saga_query(&first_stmt, saga_param_int4("destination_id", destination_id),
								  saga_param_text("ordering_key", key));
	bool		found = saga_rows_next(rows);

	if (found)
		*outbox_id = saga_column_uuid(rows, "outbox_id");
	saga_rows_free(rows);
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

	if (!get_first(destination_id, key, &send.message_id))
		return;
	/* its queue has the destination's id */
	if (saga_queue_has(destination_id, &send.message_id, SAGA_MSG_OUTBOX))
		return;
	send.kind = SAGA_MSG_OUTBOX;
	send.returned = true;
	saga_queue_send_rows(saga_queue_by_id(destination_id, false), &send, 1);
}
