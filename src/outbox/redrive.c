/*
 * redrive.c
 *		A dead letter of the outbox is sent again: the same record, the same
 *		idempotency key, its attempts counted from the beginning.  Who does it may have
 *		seen to it that an answer can be read that could not.
 */
#include "postgres.h"

#include "common/statement.h"
#include "outbox/destination.h"
#include "outbox/outbox.h"
#include "utils/builtins.h"

static SagaStatement reset_stmt = {
	.sql = "UPDATE saga.outbox SET state = 'waiting', attempts = 0, sends = 0, phase_tries = 0, finished_at = NULL, accepted = false, "
	"pending_since = CASE WHEN phase = 'poll' THEN now() END "
	"WHERE destination_id = $destination_id AND outbox_id = $outbox_id AND state = 'failed'"
};

static bool
redrive(const SagaQueue *queue, const SagaDeadLetter *letter, SagaRedriveHow how, pg_uuid_t *as)
{
	SagaSend	send = {0};

	if (saga_run(&reset_stmt, saga_param_int4("destination_id", queue->queue_id),
				 saga_param_uuid("outbox_id", &letter->message_id)) == 0)
	{
		if (how != SAGA_REDRIVE_MANY)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("outbox message %s has not failed, or is not there any more",
							saga_uuid_to_cstring(&letter->message_id))));
		return false;
	}
	send.message_id = letter->message_id;
	send.kind = SAGA_MSG_OUTBOX;
	send.returned = true;
	saga_send_rows(queue, &send, 1);
	*as = letter->message_id;
	return true;
}

void
saga_outbox_init(void)
{
	saga_redrive_outbox_hook = redrive;
	saga_destination_init();
}
