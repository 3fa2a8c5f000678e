/*
 * said.c
 *		A person says how the call of a task went, has it asked for once more,
 *		or closes it: what becomes of its record.
 *
 * As in doubt.c the record is locked first, and what is in flight is nobody's
 * to say.
 */
#include "postgres.h"

#include "common/statement.h"
#include "outbox/doubt_private.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "value/doc.h"

static SagaStatement settled_stmt = {
	.sql = "UPDATE saga.outbox SET state = $state, finished_at = coalesce(finished_at, now()), "
	"response = coalesce($response, response), outcome = $outcome, outcome_by = 'person', outcome_at = now(), "
	"uncertain = uncertain OR $outcome = 'in_doubt' WHERE destination_id = $destination_id AND outbox_id = $outbox_id"
};

/*
 * Nobody knows how a call went whose answer is still to come, and when it
 * comes it would find that it has been settled: so nothing is said of it
 * before.  What is between two attempts is taken out of the queue, so that no
 * publisher that has not seen the record begins with another one.
 */
static bool
is_in_flight(const SagaDoubt *record, SagaFlight *flight)
{
	int64		lease;

	flight->pid = 0;
	flight->until = 0;
	if (saga_queue_find_lease(record->destination_id, &record->outbox_id, &lease, &flight->until))
	{
		flight->pid = saga_lease_owner(lease);
		/* lost with its publisher: it is in doubt */
		return flight->pid != 0;
	}
	/* of one that has ended a row lets the next one of its ordering key go */
	return strcmp(record->state, "waiting") == 0 && !saga_doubt_take_rows(record, PG_INT32_MAX) && saga_doubt_has_row(record);
}

static const char *const said_outcome[] = {
	[SAGA_SAID_DONE] = "done",
	[SAGA_SAID_NO_EFFECT] = "no_effect",
	[SAGA_SAID_UNKNOWN] = "in_doubt"
};

/* How it ended, as the one who called says; in flight it is not asked for any more. */
static void
write_settled(const SagaDoubt *record, const char *state, SagaSaid said, const Jsonb *output)
{
	saga_run(&settled_stmt, saga_param_text("state", state), saga_param_jsonb("response", output),
			 saga_param_text("outcome", said_outcome[said]), SAGA_DOUBT_WHICH(record));
}

static void
tell(int32 workflow_id, const pg_uuid_t *execution_id, int task_id, SagaSaid said, Jsonb *output)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_int(&state, "task", task_id);
	if (said == SAGA_SAID_DONE && output != NULL)
		saga_doc_push_jsonb(&state, "output", output);
	else if (said == SAGA_SAID_DONE)
		saga_doc_push_string(&state, "output", NULL);
	else
	{
		bool		unknown = said == SAGA_SAID_UNKNOWN;

		saga_doc_push_string(&state, "error", unknown ? "Saga.Uncertain" : "Saga.NoEffect");
		saga_doc_push_string(&state, "cause", unknown ? "a person has given up finding out whether it was done" :
							 "a person has found out that it had no effect");
		if (unknown)
			saga_doc_push_bool(&state, "in_doubt", true);
	}
	saga_outbox_event_hook(workflow_id, execution_id, JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}

SagaSettled
saga_outbox_settle(const pg_uuid_t *message_id, int32 workflow_id, const pg_uuid_t *execution_id, int task_id,
				   SagaSaid said, Jsonb *output, bool live, SagaFlight *flight)
{
	static const char *const states[] = {
		[SAGA_SAID_DONE] = "delivered",
		[SAGA_SAID_NO_EFFECT] = "failed",
		/* what is in flight is told of still */
		[SAGA_SAID_UNKNOWN] = "withdrawn"
	};
	SagaDoubt	record;

	if (!saga_doubt_lock(execution_id, task_id, &record) || saga_uuid_cmp(&record.outbox_id, message_id) != 0)
		return SAGA_NOT_WAITED_FOR;
	/* what is on record as an answer is not for anybody to say */
	if (strcmp(record.state, "delivered") == 0 || (strcmp(record.state, "waiting") != 0 && !record.in_doubt))
		return SAGA_NOT_WAITED_FOR;
	/* one that was lost with its publisher may be due again */
	if (strcmp(record.state, "waiting") == 0 && !record.in_doubt &&
		!saga_queue_taken_since(record.destination_id, &record.outbox_id, record.attempts))
		return SAGA_NOT_IN_DOUBT;
	/* given up as unknown, it is written down still how it went */
	if (said == SAGA_SAID_UNKNOWN)
		(void) saga_doubt_take_rows(&record, record.attempts);
	else if (is_in_flight(&record, flight))
		return SAGA_IN_FLIGHT;
	if (strcmp(record.state, "waiting") != 0)
	{
		write_settled(&record, record.state, said, output);
		return SAGA_NOT_WAITED_FOR;
	}
	write_settled(&record, states[said], said, output);
	saga_doubt_release_order(&record);

	/*
	 * its state has completed, and the execution has ended since, or does not
	 * ask
	 */
	if (record.published && record.delivery.unwanted_since == 0)
		return SAGA_NOT_WAITED_FOR;
	if (live)
		tell(workflow_id, execution_id, task_id, said, output);
	return SAGA_SETTLED;
}

/* Nobody could find out, and its execution has ended: it is asked for once more, where it can be. */
bool
saga_outbox_ask(const pg_uuid_t *message_id, const pg_uuid_t *execution_id, int task_id)
{
	const SagaDestination *destination;
	SagaSettleStep step;
	SagaDoubt	record;

	if (!saga_doubt_lock(execution_id, task_id, &record) || saga_uuid_cmp(&record.outbox_id, message_id) != 0 ||
		!record.in_doubt || (strcmp(record.state, "failed") != 0 && strcmp(record.state, "withdrawn") != 0))
		return false;
	destination = saga_destination_by_id(record.destination_id);
	if (destination == NULL)
		return false;
	step = saga_settle_step(destination, &record.delivery, record.polls, GetCurrentTimestamp());
	if (step != SAGA_SETTLE_ASK_POLL && step != SAGA_SETTLE_ASK_LOOKUP && step != SAGA_SETTLE_ASK_AGAIN)
		return false;
	/* it is in flight still */
	if (saga_doubt_has_row(&record))
		return false;
	saga_doubt_reopen(&record, destination, false);
	return true;
}

/* ---------- it is closed ---------- */

/* Somebody is about to send it, though it has ended meanwhile. */
static bool
is_claimed(const SagaDoubt *record)
{
	SagaMessage message;

	return saga_doubt_has_row(record) &&
		saga_queue_lock_message(saga_queue_by_id(record->destination_id, false), &record->outbox_id, SAGA_MSG_OUTBOX,
								&message) == SAGA_NOWHERE;
}

SagaSettled
saga_outbox_close(const pg_uuid_t *message_id, const pg_uuid_t *execution_id, int task_id, SagaFlight *flight)
{
	SagaDoubt	record;
	bool		waiting;

	if (!saga_doubt_lock(execution_id, task_id, &record) || saga_uuid_cmp(&record.outbox_id, message_id) != 0 ||
		strcmp(record.state, "delivered") == 0)
		return SAGA_NOT_WAITED_FOR;
	/* its state has completed: it is sent, whatever comes */
	if (record.published && record.delivery.unwanted_since == 0)
		return SAGA_NOT_WAITED_FOR;
	waiting = strcmp(record.state, "waiting") == 0;
	if (is_in_flight(&record, flight) || (!waiting && is_claimed(&record)))
		return SAGA_IN_FLIGHT;
	if (waiting)
	{
		write_settled(&record, "withdrawn", SAGA_SAID_UNKNOWN, NULL);
		saga_doubt_release_order(&record);
		return SAGA_SETTLED;
	}
	/* an attempt that was lost with its publisher */
	if (!record.in_doubt && saga_queue_taken_since(record.destination_id, &record.outbox_id, record.attempts))
		write_settled(&record, record.state, SAGA_SAID_UNKNOWN, NULL);
	return SAGA_NOT_WAITED_FOR;
}
