/*
 * lease.c
 *		Leases: which publisher has a message in flight.
 *
 * A lease is a random number that a message in flight is under (queue.h).  Its owner holds a session
 * lock named after it for as long as it lives, however it ends, with shared
 * memory of ours or without: who can take the lock knows that the owner is
 * gone, and makes its messages due at once.
 */
#include "postgres.h"

#include "common/statement.h"
#include "miscadmin.h"
#include "outbox/sending_private.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* Users' advisory locks have 1 or 2 in this field. */
#define SAGA_LEASE_LOCK 0x5347

static void
set_tag(LOCKTAG *tag, int64 lease)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) (lease >> 32), (uint32) lease, SAGA_LEASE_LOCK);
}

int64
saga_lease_take(void)
{
	LOCKTAG		tag;
	int64		lease;

	if (!pg_strong_random(&lease, sizeof(lease)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	lease &= PG_INT64_MAX;
	set_tag(&tag, lease);
	(void) LockAcquire(&tag, ExclusiveLock, true, false);
	return lease;
}

void
saga_lease_drop(int64 lease)
{
	LOCKTAG		tag;

	set_tag(&tag, lease);
	(void) LockRelease(&tag, ExclusiveLock, true);
}

bool
saga_lease_is_dead(int64 lease)
{
	LOCKTAG		tag;

	set_tag(&tag, lease);
	return LockAcquire(&tag, ExclusiveLock, false, true) == LOCKACQUIRE_OK;
}

/* Without a try to take the lock: whoever asks may leave his transaction open. */
static SagaStatement owner_stmt = {
	.sql = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted "
	"AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
	"AND classid = $high AND objid = $low AND objsubid = $class",
	.limit = 1
};

int
saga_lease_owner(int64 lease)
{
	SagaRows   *rows = saga_query(&owner_stmt, saga_param_oid("high", (Oid) (lease >> 32)),
								  saga_param_oid("low", (Oid) lease), saga_param_int4("class", SAGA_LEASE_LOCK));

	return saga_rows_next(rows) ? saga_column_int4(rows, "pid") : 0;
}

/* Of CALL saga.publish(): who may leave his transaction open locks nobody else's messages. */
static ArrayType *
own_destinations(void)
{
	List	   *mine = saga_destination_ids_for(GetUserId());
	Datum	   *ids = palloc(sizeof(Datum) * Max(list_length(mine), 1));
	ListCell   *lc;
	int			n = 0;

	foreach(lc, mine)
		ids[n++] = Int32GetDatum(lfirst_int(lc));
	return construct_array(ids, n, INT4OID, sizeof(int32), true, TYPALIGN_INT);
}

int
saga_lease_release_dead(int64 own_lease)
{
	TimestampTz now = GetCurrentTimestamp();
	ArrayType  *destinations = saga_serves_all ? NULL : own_destinations();
	int			released = 0;
	int			n;
	int64	   *leases = saga_queue_leases(SAGA_MSG_OUTBOX, &n);

	/* the attempt has ended, nobody knows how */
	for (int i = 0; i < n; i++)
		if (leases[i] != own_lease && saga_lease_is_dead(leases[i]))
			released += saga_queue_release_all(SAGA_MSG_OUTBOX, leases[i], destinations, now);
	pfree(leases);
	if (released > 0)
		ereport(LOG,
				(errmsg_plural("released %d outbox message of a publisher that is gone",
							   "released %d outbox messages of publishers that are gone",
							   released, released)));
	return released;
}
