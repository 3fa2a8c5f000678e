/*
 * settle.c
 *		A request that is not wanted any more, and may have been done: what is
 *		asked next to find out, and what follows on the answer.
 *
 * Pure, as flow.c is.  Such a message is never sent for the first time.  It is
 * sent again only where the same request under the same key does no harm for
 * a time that the settings name; then a success tells, and nothing else does.
 */
#include "postgres.h"

#include "common/clock.h"
#include "outbox/flow_private.h"
#include "utils/timestamp.h"

/* How long a server may work on a request that nobody waits for, unless the settings say it. */
#define SAGA_SETTLE_DELAY_MS	300000

int64
saga_settle_delay_ms(const SagaDestination *destination, const SagaDelivery *delivery)
{
	if (!saga_endpoint_has_lookup(destination, &delivery->part))
		return 0;
	return destination->lookup->delay_given ? destination->lookup->delay_ms : SAGA_SETTLE_DELAY_MS;
}

/* Not after a takeover, either: this may be a copy, and the other one goes on. */
static bool
may_resend_unwanted(const SagaDestination *destination, const SagaDelivery *delivery, TimestampTz at)
{
	const SagaIdempotency *key = &destination->idempotency;

	if (destination->kind != SAGA_DESTINATION_HTTP || key->place == SAGA_KEY_NONE || key->ttl_s == 0 ||
		delivery->part.no_resend || delivery->part.accepted || delivery->ordered || delivery->part.compensate || delivery->first_sent_at == 0 ||
		saga_takeover_doubts(delivery, false, delivery->first_sent_at))
		return false;
	return saga_clock_is_within(delivery->first_sent_at, (int64) key->ttl_s * 1000,
								TimestampTzPlusMilliseconds(at, destination->timeout_ms));
}

SagaSettleStep
saga_settle_step(const SagaDestination *destination, const SagaDelivery *delivery, bool polls, TimestampTz at)
{
	SagaSettleBy by = destination->settle.by;

	if (!polls && !delivery->uncertain)
		return SAGA_SETTLED_NOT_DONE;
	if (by == SAGA_SETTLE_PERSON)
		return SAGA_SETTLED_UNKNOWN;
	if (polls && destination->poll != NULL)
		return SAGA_SETTLE_ASK_POLL;
	if (by == SAGA_SETTLE_DEFAULT && saga_endpoint_has_lookup(destination, &delivery->part))
		by = SAGA_SETTLE_LOOKUP;
	else if (by == SAGA_SETTLE_DEFAULT)
		by = destination->kind == SAGA_DESTINATION_HTTP ? SAGA_SETTLE_RESEND : SAGA_SETTLE_UNDO;
	if (by == SAGA_SETTLE_UNDO)
		return SAGA_SETTLED_SUSPECTED;
	if (by == SAGA_SETTLE_LOOKUP && saga_endpoint_has_lookup(destination, &delivery->part))
		return SAGA_SETTLE_ASK_LOOKUP;
	if (by == SAGA_SETTLE_RESEND && may_resend_unwanted(destination, delivery, at))
		return SAGA_SETTLE_ASK_AGAIN;
	return SAGA_SETTLED_UNKNOWN;
}

/* Asks next what can be asked; the last question is one that was begun after the time was over. */
static void
settle(const SagaSending *sending, SagaDelivery *delivery, TimestampTz now)
{
	const SagaDestination *destination = sending->exchange.destination;
	TimestampTz deadline = TimestampTzPlusMilliseconds(delivery->unwanted_since,
													   (int64) destination->settle.deadline_s * 1000);
	bool		polls = delivery->part.phase == SAGA_PHASE_POLL;
	int64		delay = saga_outbox_backoff_ms(destination, delivery, delivery->phase_tries);

	if (sending->exchange.started_at >= deadline)
	{
		saga_outbox_fail_uncertain(delivery, "it may have been done, and nobody could find out in time");
		return;
	}
	if (delivery->first_sent_at == 0)
		delivery->first_sent_at = sending->exchange.started_at;
	switch (saga_settle_step(destination, delivery, polls, TimestampTzPlusMilliseconds(now, delay)))
	{
		case SAGA_SETTLE_ASK_POLL:
			saga_outbox_again(delivery, SAGA_PHASE_POLL, Max(delay, destination->poll->every_ms));
			break;
		case SAGA_SETTLE_ASK_LOOKUP:
			if (delivery->part.phase != SAGA_PHASE_LOOKUP)
				delay = Max(delay, saga_settle_delay_ms(destination, delivery));
			saga_outbox_again(delivery, SAGA_PHASE_LOOKUP, delay);
			break;
		case SAGA_SETTLE_ASK_AGAIN:
			saga_outbox_again(delivery, SAGA_PHASE_SEND, delay);
			break;
		default:
			saga_outbox_fail_uncertain(delivery, "it may have been done, and nobody can find out");
	}
}

static void
decide_sent(const SagaSending *sending, SagaDelivery *delivery, TimestampTz now)
{
	SagaClass	class = delivery->part.class;

	if (class != SAGA_CLASS_SPLIT)
	{
		delivery->sends++;
		delivery->sent_status = delivery->part.status;
		delivery->sent_class = class;
	}
	if (class == SAGA_CLASS_PENDING && sending->exchange.destination->poll != NULL && !delivery->part.compensate)
	{
		delivery->uncertain = false;
		delivery->pending_since = now;
		saga_outbox_again(delivery, SAGA_PHASE_POLL, sending->exchange.destination->poll->every_ms);
		return;
	}
	if (class == SAGA_CLASS_SUCCESS || class == SAGA_CLASS_PENDING)
	{
		delivery->verdict = SAGA_VERDICT_DELIVERED;
		return;
	}
	if (class == SAGA_CLASS_UNCERTAIN || (class == SAGA_CLASS_DUPLICATE && delivery->doubted))
	{
		delivery->part.class = SAGA_CLASS_UNCERTAIN;
		delivery->uncertain = delivery->doubted = true;
	}
	if (!delivery->uncertain)
	{
		/* what this answer speaks of had no effect, and nothing else was sent */
		delivery->verdict = SAGA_VERDICT_FAILED;
		return;
	}
	delivery->phase_tries++;
	if (delivery->part.class != SAGA_CLASS_UNCERTAIN && delivery->part.class != SAGA_CLASS_RETRY &&
		!saga_endpoint_has_lookup(sending->exchange.destination, &delivery->part))
		/* a refusal of the same request says nothing of the one before */
		saga_outbox_fail_uncertain(delivery, "an earlier request may have been done");
	else
		settle(sending, delivery, now);
}

static void
decide_asked(const SagaSending *sending, SagaDelivery *delivery, TimestampTz now)
{
	if (delivery->part.class == SAGA_CLASS_SUCCESS)
		delivery->verdict = SAGA_VERDICT_DELIVERED;
	else if (delivery->part.conflict)
		delivery->verdict = SAGA_VERDICT_FAILED;
	else if (delivery->foreign)
		saga_outbox_fail_uncertain(delivery, SAGA_NOT_OURS);
	else if (delivery->part.absent && !saga_outbox_proves_absence(sending->exchange.destination, delivery))
		saga_outbox_fail_uncertain(delivery, SAGA_ALTERED_SINCE);
	else if (delivery->part.absent)
	{
		delivery->uncertain = delivery->part.accepted = false;
		saga_outbox_fail_as_before(delivery);
	}
	else
	{
		delivery->phase_tries++;
		settle(sending, delivery, now);
	}
}

void
saga_decide_unwanted(const SagaSending *sending, SagaDelivery *delivery, TimestampTz now)
{
	if (delivery->part.class == SAGA_CLASS_AUTH && !delivery->uncertain && delivery->part.phase != SAGA_PHASE_POLL)
		delivery->verdict = SAGA_VERDICT_FAILED;
	else if (delivery->part.class == SAGA_CLASS_AUTH)
	{
		delivery->phase_tries++;
		saga_outbox_again(delivery, delivery->part.phase,
						  Max(1000, saga_outbox_backoff_ms(sending->exchange.destination, delivery, delivery->phase_tries)));
	}
	else if (delivery->part.phase == SAGA_PHASE_LOOKUP || delivery->part.phase == SAGA_PHASE_POLL)
		decide_asked(sending, delivery, now);
	else
		decide_sent(sending, delivery, now);
}
