/*
 * redrive.c
 *		A dead letter of the outbox is sent again: the same record, the same
 *		idempotency key, its attempts counted from the beginning.  Who does it may have
 *		seen to it that an answer can be read that could not.
 *
 * With force it is sent for certain: the old key is used again only where
 * nobody knows whether it was done, and the server still knows the key.
 */
#include "postgres.h"

#include "common/statement.h"
#include "outbox/sending_private.h"
#include "utils/builtins.h"

/*
 * What was in doubt once is so again under its old key: what a look-up said of
 * it then is old now, so that it is asked before anything is sent.
 */
static SagaStatement reset_stmt = {
	.sql = "UPDATE saga.outbox SET state = 'waiting', attempts = 0, sends = 0, phase_tries = 0, finished_at = NULL, accepted = false, "
	"pending_since = CASE WHEN phase = 'poll' THEN now() END, key_epoch = key_epoch + $new_key::integer, "
	"uncertain = (uncertain OR doubted) AND NOT $new_key, doubted = doubted AND NOT $new_key, outcome_by = NULL, "
	"first_sent_at = CASE WHEN NOT $new_key THEN first_sent_at END "
	"WHERE destination_id = $destination_id AND outbox_id = $outbox_id AND state = 'failed'"
};

static SagaStatement standing_stmt = {
	.sql = "SELECT uncertain OR coalesce(last_class, '') IN ('uncertain', 'pending') AS in_doubt, phase = 'poll' AS polls, "
	"coalesce(first_sent_at, created_at) AS first_sent_at, compensate, request - '{Body,Headers,Captured}'::text[] AS request "
	"FROM saga.outbox WHERE destination_id = $destination_id AND outbox_id = $outbox_id"
};

/* A look-up, or a poll, is asked first, whatever the key. */
static bool
needs_new_key(const SagaQueue *queue, const SagaDeadLetter *letter)
{
	const SagaDestination *destination = saga_destination_by_id(queue->queue_id);
	SagaRows   *rows = saga_query(&standing_stmt, saga_param_int4("destination_id", queue->queue_id),
								  saga_param_uuid("outbox_id", &letter->message_id));
	SagaDelivery delivery = {0};

	if (!saga_rows_next(rows) || destination == NULL || destination->kind != SAGA_DESTINATION_HTTP ||
		saga_column_bool(rows, "polls"))
		return false;
	delivery.part.compensate = saga_column_bool(rows, "compensate");
	delivery.part.request = saga_column_jsonb(rows, "request");
	return !saga_column_bool(rows, "in_doubt") ||
		(!saga_endpoint_has_lookup(destination, &delivery.part) &&
		 !saga_outbox_key_is_known(destination, saga_column_timestamptz(rows, "first_sent_at")));
}

static bool
redrive(const SagaQueue *queue, const SagaDeadLetter *letter, const SagaRedriveHow *how, pg_uuid_t *as)
{
	bool		new_key = how->force && needs_new_key(queue, letter);
	SagaSend	send = {0};

	if (saga_run(&reset_stmt, saga_param_bool("new_key", new_key), saga_param_int4("destination_id", queue->queue_id),
				 saga_param_uuid("outbox_id", &letter->message_id)) == 0)
	{
		if (!how->many)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("outbox message %s has not failed, or is not there any more",
							saga_uuid_to_cstring(&letter->message_id))));
		return false;
	}
	send.message_id = letter->message_id;
	send.kind = SAGA_MSG_OUTBOX;
	send.returned = true;
	saga_queue_send_rows(queue, &send, 1);
	*as = letter->message_id;
	return true;
}

void
saga_outbox_init(void)
{
	saga_redrive_outbox_hook = redrive;
	saga_outbox_destination_init();
}
