/*
 * again.c
 *		A call of an execution that was started for one before it, although
 *		nobody knew of the same call of that one whether it was done.
 *
 * If the server still knows the key, the same request under it does no harm
 * then, and tells; under another one it would be done twice.  So the new
 * message goes on where the old one stood: in doubt, under its key, since when
 * that was sent.  Of what was done, or had no effect, and of another request
 * the key is never used again: it would bring back the answer of what was
 * undone, or refused.
 *
 * The old record names its heir, the execution that may take it up.  When that
 * one ends without having come so far, the next one that is started for it
 * inherits, and so on; taken_up_as is the message that has, and each is taken
 * up once.
 */
#include "postgres.h"

#include "common/clock.h"
#include "common/statement.h"
#include "outbox/request_private.h"
#include "outbox/sending_private.h"
#include "utils/timestamp.h"

/* What this one has inherited.  An answer that has come since is given again; what had no effect is not taken up. */
static SagaStatement inherited_stmt = {
	.sql = "SELECT destination_id, outbox_id, idempotency_key, key_epoch, coalesce(first_sent_at, created_at) AS first_sent_at "
	"FROM saga.outbox WHERE heir = $execution_id AND taken_up_as IS NULL "
	"AND destination_id = $destination_id AND op = $op AND request = $request "
	"AND (outcome IN ('in_doubt', 'done') OR state = 'waiting') "
	"AND coalesce(first_sent_at, created_at) > $known_since "
	"ORDER BY created_at, outbox_id LIMIT 1 FOR UPDATE"
};

static SagaStatement taken_stmt = {
	.sql = "UPDATE saga.outbox SET taken_up_as = $as WHERE destination_id = $destination_id AND outbox_id = $outbox_id"
};

/* What is older than that, by its date, is forgotten; what is younger may be, when the clock was set. */
static TimestampTz
known_since(const SagaIdempotency *key)
{
	if (key->ttl_s == 0)
		return DT_NOBEGIN;
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), -((int64) key->ttl_s - SAGA_KEY_MARGIN_S) * 1000);
}

static bool
is_known_still(const SagaIdempotency *key, TimestampTz first_sent_at)
{
	return key->ttl_s == 0 ||
		saga_clock_is_within(first_sent_at, ((int64) key->ttl_s - SAGA_KEY_MARGIN_S) * 1000, GetCurrentTimestamp());
}

bool
saga_outbox_key_is_known(const SagaDestination *destination, TimestampTz first_sent_at)
{
	return destination->kind == SAGA_DESTINATION_HTTP && destination->idempotency.place != SAGA_KEY_NONE &&
		is_known_still(&destination->idempotency, first_sent_at);
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
	rows = saga_query(&inherited_stmt, saga_param_uuid("execution_id", &entry->execution_id),
					  saga_param_int4("destination_id", destination->destination_id),
					  saga_param_char("op", (char) entry->op), saga_param_jsonb("request", resolved->request),
					  saga_param_timestamptz("known_since", known_since(&destination->idempotency)));
	if (saga_rows_next(rows) &&
		is_known_still(&destination->idempotency, saga_column_timestamptz(rows, "first_sent_at")))
	{
		pg_uuid_t	old = saga_column_uuid(rows, "outbox_id");

		saga_run(&taken_stmt, saga_param_int4("destination_id", saga_column_int4(rows, "destination_id")),
				 saga_param_uuid("outbox_id", &old), saga_param_uuid("as", &entry->outbox_id));
		taken->key = saga_column_uuid(rows, "idempotency_key");
		taken->key_epoch = saga_column_int4(rows, "key_epoch");
		taken->first_sent_at = saga_column_timestamptz(rows, "first_sent_at");
	}
	saga_rows_free(rows);
}

/* ---------- who inherits ---------- */

static SagaStatement inherit_stmt = {
	.sql = "UPDATE saga.outbox SET heir = $heir WHERE heir = $execution_id AND taken_up_as IS NULL"
};

/*
 * What nobody knew of, also where it would not have been undone: a state
 * without Compensate is not to do it twice, either.  What a handler has
 * undone, or may have, is none of it; nor what is closed and was known: the
 * list does not say so any more.  What was published and waits is sent for
 * certain.
 */
static SagaStatement leave_stmt = {
	.sql = "UPDATE saga.outbox o SET heir = $heir FROM ("
	"SELECT x FROM (SELECT not_compensated AS list FROM saga.execution WHERE execution_id = $execution_id "
	"UNION ALL SELECT effects FROM saga.execution WHERE execution_id = $execution_id "
	"UNION ALL SELECT details -> 'not_compensated' FROM saga.dead_letter WHERE message_id = $execution_id AND kind = 's') l, "
	"jsonb_array_elements(CASE jsonb_typeof(list) WHEN 'array' THEN list ELSE '[]' END) x) l "
	"WHERE o.execution_id = $execution_id AND o.taken_up_as IS NULL AND NOT o.compensate "
	"AND o.outbox_id::text = x ->> 'message_id' AND coalesce(x ->> 'outcome', 'unknown') = 'unknown' AND NOT x ? 'handler' "
	"AND CASE WHEN x ? 'closed' AND o.heir IS NULL THEN o.outcome = 'in_doubt' "
	"ELSE o.outcome IN ('in_doubt', 'done') OR o.state = 'waiting' END"
};

void
saga_outbox_hand_on(const pg_uuid_t *execution_id, const pg_uuid_t *heir)
{
	saga_run(&inherit_stmt, saga_param_uuid("execution_id", execution_id), saga_param_uuid("heir", heir));
	saga_run(&leave_stmt, saga_param_uuid("execution_id", execution_id), saga_param_uuid("heir", heir));
}
