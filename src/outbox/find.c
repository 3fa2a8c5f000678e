/*
 * find.c
 *		Destinations by their names, and by what there is to claim from them.
 */
#include "postgres.h"

#include "common/statement.h"
#include "outbox/publisher_private.h"
#include "queue/queue.h"
#include "utils/acl.h"
#include "utils/snapmgr.h"

/* Has it something to claim; or, of those that have nobody to bring it back, something that is due? */
static SagaStatement look_stmt = {
	.sql = "SELECT d.destination_id, d.owner::oid, "
	SAGA_QUEUE_HAS_CLAIMABLE("d.destination_id") " OR $due AND " SAGA_QUEUE_HAS_DUE("d.destination_id") " AS has_work "
	"FROM saga.destination d WHERE d.destination_id > $after ORDER BY d.destination_id LIMIT $limit",
	.read_only = true
};

void
saga_outbox_destination_look(SagaDestinationLook *look)
{
	const SagaParam params[] = {
		saga_param_bool("due", look->due),
		saga_param_int4("after", look->after),
		saga_param_int4("limit", look->limit),
		{.name = NULL}
	};
	SagaRows   *rows;

	/* as they are now, and not as an old snapshot of the transaction has them */
	PushActiveSnapshot(GetLatestSnapshot());
	rows = saga_statement_query(&look_stmt, params);
	PopActiveSnapshot();
	look->n = 0;
	look->ids = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int32) * Max(rows->count, 1));
	look->owners = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Oid) * Max(rows->count, 1));
	look->more = rows->count > 0 && rows->count == (uint64) look->limit;
	while (saga_rows_next(rows))
	{
		Oid			owner;

		look->last = saga_column_int4(rows, "destination_id");
		owner = saga_column_oid(rows, "owner");
		if (!saga_column_bool(rows, "has_work") ||
			(OidIsValid(look->user) && !has_privs_of_role(look->user, owner)))
			continue;
		look->ids[look->n] = look->last;
		look->owners[look->n++] = owner;
	}
	saga_rows_free(rows);
}

/* As many as there are slots: nobody's are left out for those of another one. */
const SagaQueueKey *
saga_publisher_ready(SagaPublisher *publisher, int *n)
{
	*n = 0;
	if (saga_shared == NULL)
		return NULL;
	if (publisher->queues_ready == NULL)
		publisher->queues_ready = MemoryContextAllocHuge(publisher->loop.context,
														 sizeof(SagaQueueKey) * saga_shared->max_queues);
	*n = saga_queue_ready_keys(SAGA_QUEUE_DESTINATION, publisher->queues_ready);
	return publisher->queues_ready;
}

/* ---------- names ---------- */

/* Its queue has the same owner and id, and is cached. */
static bool
look_up_destination(Oid owner, const char *name, SagaObject *object)
{
	const SagaQueue *queue = saga_queue_by_owner(owner, psprintf("destination/%s", name));

	if (queue == NULL || queue->kind != SAGA_QUEUE_DESTINATION)
		return false;
	*object = saga_queue_object(queue);
	return true;
}

void
saga_outbox_destination_init(void)
{
	saga_name_object_register(SAGA_OBJECT_DESTINATION, look_up_destination);
	saga_name_object_register(SAGA_OBJECT_SECRET, saga_endpoint_secret_look_up);
	saga_name_object_on_revoke(saga_endpoint_secret_right_revoked);
}
