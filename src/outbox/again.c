/*
 * again.c
 *		A call of an execution that was redriven, although nobody knew of the
 *		same call of the one before it whether it was done.
 *
 * If the server still knows the key, the same request under it does no harm
 * then, and tells; under another one it would be done twice.  So the new
 * message goes on where the old one stood: in doubt, under its key, since when
 * that was sent.  Of what was done, or had no effect, and of another request
 * the key is never used again: it would bring back the answer of what was
 * undone, or refused.
 */
#include "postgres.h"

#include "common/statement.h"
#include "outbox/request_private.h"
#include "outbox/sending_private.h"
#include "utils/timestamp.h"

/* What was not undone, of the execution that this one was redriven for; each is taken up once. */
static SagaStatement before_stmt = {
	.sql = "SELECT o.idempotency_key, o.key_epoch, coalesce(o.first_sent_at, o.created_at) AS first_sent_at "
	"FROM saga.dead_letter d JOIN saga.outbox o ON o.execution_id = d.message_id "
	"WHERE d.redriven_as = $execution_id AND d.redriven_as IS NOT NULL AND d.kind = 's' "
	"AND o.destination_id = $destination_id AND o.op = $op AND o.request = $request AND NOT o.compensate "
	"AND o.outcome = 'in_doubt' AND o.state IN ('failed', 'withdrawn') "
	"AND coalesce(o.first_sent_at, o.created_at) > $known_since "
	"AND d.details -> 'not_compensated' @> jsonb_build_array(jsonb_build_object('message_id', o.outbox_id)) "
	"AND NOT EXISTS (SELECT FROM saga.outbox n WHERE n.execution_id = $execution_id "
	"AND n.idempotency_key = o.idempotency_key) ORDER BY o.created_at LIMIT 1"
};

/* Since when a key has to have been sent for the server to know it still. */
static TimestampTz
known_since(const SagaIdempotency *key)
{
	if (key->ttl_s == 0)
		return DT_NOBEGIN;
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), -((int64) key->ttl_s - SAGA_KEY_MARGIN_S) * 1000);
}

bool
saga_key_is_known(const SagaDestination *destination, TimestampTz first_sent_at)
{
	return destination->kind == SAGA_DESTINATION_HTTP && destination->idempotency.place != SAGA_KEY_NONE &&
		first_sent_at > known_since(&destination->idempotency);
}

void
saga_outbox_take_up(const SagaOutboxEntry *entry, const SagaResolved *resolved, SagaTakenUp *taken)
{
	const SagaDestination *destination = resolved->destination;
	SagaRows   *rows;

	taken->key = entry->idempotency_key;
	taken->key_epoch = 0;
	taken->first_sent_at = 0;

	/*
	 * what undoes something is a request of its own, and what was undone on
	 * suspicion is not done again
	 */
	if (entry->workflow_id == 0 || resolved->compensate || destination->kind != SAGA_DESTINATION_HTTP ||
		destination->idempotency.place == SAGA_KEY_NONE || destination->settle.by == SAGA_SETTLE_UNDO)
		return;
	rows = saga_query(&before_stmt, saga_param_uuid("execution_id", &entry->execution_id),
					  saga_param_int4("destination_id", destination->destination_id),
					  saga_param_char("op", (char) entry->op), saga_param_jsonb("request", resolved->request),
					  saga_param_timestamptz("known_since", known_since(&destination->idempotency)));
	if (saga_next(rows))
	{
		taken->key = saga_column_uuid(rows, "idempotency_key");
		taken->key_epoch = saga_column_int4(rows, "key_epoch");
		taken->first_sent_at = saga_column_timestamptz(rows, "first_sent_at");
	}
	saga_rows_free(rows);
}
