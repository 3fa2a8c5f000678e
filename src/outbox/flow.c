/*
 * flow.c
 *		What follows on an answer: delivered, failed, or which request is made
 *		next and when.
 *
 * Pure: nothing is read or written here but the delivery.  The rule behind it
 * is that a request which may have had its effect is never repeated blindly:
 * the same key makes the repetition harmless for as long as the server knows
 * it, a look-up finds out, and where there is neither a person has to.
 */
#include "postgres.h"

#include "common/clock.h"
#include "outbox/flow_private.h"
#include "utils/timestamp.h"
#include "value/doc.h"

/*
 * A server that keeps a failure under the key gives the same one for ever.
 * After so many equal ones, and a look-up that found nothing, the key changes.
 */
#define SAGA_STORED_FAILURES 3

/* Who repairs credentials is a person: there is no hurry. */
#define SAGA_AUTH_MIN_DELAY_MS 1000

SagaPhase
saga_outbox_phase_of(const SagaDestination *destination, const SagaDelivery *delivery, const char *stored)
{
	if (delivery->unwanted_since != 0)
	{
		switch (saga_settle_step(destination, delivery, strcmp(stored, "poll") == 0, GetCurrentTimestamp()))
		{
			case SAGA_SETTLE_ASK_POLL:
				return SAGA_PHASE_POLL;
			case SAGA_SETTLE_ASK_LOOKUP:
				return SAGA_PHASE_LOOKUP;
			default:
				return SAGA_PHASE_SEND;
		}
	}
	if (strcmp(stored, "poll") == 0 && destination->poll != NULL)
		return SAGA_PHASE_POLL;
	if (strcmp(stored, "else") == 0 && delivery->part.compensate)
		return SAGA_PHASE_OTHER;
	return delivery->uncertain && !delivery->unproved && saga_endpoint_has_lookup(destination, &delivery->part) ?
		SAGA_PHASE_LOOKUP : SAGA_PHASE_SEND;
}

/* ---------- when ---------- */

/* Not beyond its deadline: then it is told that nothing came. */
static int64
poll_delay_ms(const SagaDestination *destination, const SagaDelivery *delivery, TimestampTz now)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(delivery->pending_since,
													   (int64) destination->poll->deadline_s * 1000);
	int64		delay = Max(destination->poll->every_ms, saga_outbox_asked_for_ms(destination, delivery));

	return Max(Min(delay, (deadline - now) / 1000), 0);
}

/* ---------- a request that has an effect ---------- */

/* The settings say that doing it twice is as doing it once. */
static bool
is_harmless(const SagaDestination *destination, const SagaDelivery *delivery)
{
	const SagaCompensation *compensation = destination->compensation;

	if (delivery->part.phase != SAGA_PHASE_SEND)
		return false;
	if (!delivery->part.compensate)
		return destination->resend_uncertain;
	/* it tells when there is nothing left to undo */
	return compensation != NULL && (compensation->resend_uncertain || compensation->already_done != NULL);
}

/* Does the server still know the key at that time, so that a repetition is none? */
static bool
key_protects(const SagaSending *sending, const SagaDelivery *delivery, TimestampTz at)
{
	const SagaIdempotency *key = &sending->exchange.destination->idempotency;

	/* under the same key the same answer would come, which cannot be read */
	if (delivery->part.no_resend || delivery->part.accepted)
		return false;
	return key->ttl_s == 0 ||
		saga_clock_is_within(delivery->first_sent_at != 0 ? delivery->first_sent_at : sending->exchange.started_at,
							 ((int64) key->ttl_s - SAGA_KEY_MARGIN_S) * 1000, at);
}

bool
saga_outbox_may_resend(const SagaSending *sending, const SagaDelivery *delivery, TimestampTz at)
{
	const SagaDestination *destination = sending->exchange.destination;

	if (destination->kind != SAGA_DESTINATION_HTTP || saga_http_is_safe(saga_exchange_method(&sending->exchange)) ||
		is_harmless(destination, delivery))
		return true;
	return delivery->part.key != NULL && key_protects(sending, delivery, at);
}

static bool
attempts_are_used_up(const SagaDestination *destination, const SagaDelivery *delivery)
{
	return delivery->sends >= destination->max_attempts;
}

/*
 * A refusal, or an overload to the end, speaks of the request that it answers.
 * One before it may have had its effect: the look-up has the last word, after
 * which nothing is sent any more, and where there is none a person has to.
 */
static void
fail_after_doubt(const SagaSending *sending, SagaDelivery *delivery)
{
	const SagaDestination *destination = sending->exchange.destination;

	if (delivery->doubted && saga_endpoint_has_lookup(destination, &delivery->part))
	{
		int64		delay = saga_outbox_backoff_ms(destination, delivery, delivery->sends);

		delivery->uncertain = true;
		delivery->sends = Max(delivery->sends, destination->max_attempts);
		saga_outbox_again(delivery, SAGA_PHASE_LOOKUP, Max(delay, destination->lookup->delay_ms));
	}
	else if (delivery->uncertain)
		saga_outbox_fail_uncertain(delivery, "an earlier request may have been done");
	else
		saga_outbox_fail_now(delivery);
}

static void
decide_uncertain(const SagaSending *sending, SagaDelivery *delivery, TimestampTz now)
{
	const SagaDestination *destination = sending->exchange.destination;
	int64		delay = saga_outbox_backoff_ms(destination, delivery, delivery->sends);

	delivery->uncertain = delivery->doubted = true;
	if (saga_endpoint_has_lookup(destination, &delivery->part))
		saga_outbox_again(delivery, SAGA_PHASE_LOOKUP, Max(delay, destination->lookup->delay_ms));
	else if (!saga_outbox_may_resend(sending, delivery, TimestampTzPlusMilliseconds(now, delay)))
		saga_outbox_fail_uncertain(delivery, SAGA_CANNOT_RESEND);
	else if (attempts_are_used_up(destination, delivery))
		saga_outbox_fail_now(delivery);
	else
		saga_outbox_again(delivery, delivery->part.phase, delay);
}

static bool
tells_what_is_undone(const SagaSending *sending, const SagaDelivery *delivery)
{
	const SagaCompensation *compensation = sending->exchange.destination->compensation;

	return delivery->part.compensate && delivery->part.phase == SAGA_PHASE_SEND && delivery->part.status != 0 &&
		compensation != NULL && compensation->already_done != NULL;
}

/*
 * Undoing it in another way is right only when it was not undone in the first.
 * After an attempt in doubt a refusal does not say so, unless the server tells
 * apart what is undone already.
 */
static void
decide_fatal(const SagaSending *sending, SagaDelivery *delivery)
{
	const SagaCompensation *compensation = sending->exchange.destination->compensation;

	if (tells_what_is_undone(sending, delivery))
		delivery->uncertain = delivery->doubted = delivery->taken_over = false;
	if (!delivery->part.compensate || delivery->part.phase == SAGA_PHASE_OTHER || compensation == NULL ||
		compensation->other == NULL || delivery->uncertain || delivery->taken_over)
	{
		fail_after_doubt(sending, delivery);
		return;
	}
	/* another request, with a key and attempts of its own */
	saga_outbox_again(delivery, SAGA_PHASE_OTHER, 0);
	delivery->sends = delivery->same_failures = 0;
	delivery->uncertain = delivery->doubted = delivery->part.accepted = false;
}

/*
 * "I have this already": our own earlier request, if there was one that may
 * have had its effect, even one that came through only after a look-up found
 * nothing; else somebody else's.  What cannot be undone is refused so, too.
 */
static void
decide_duplicate(const SagaSending *sending, SagaDelivery *delivery, TimestampTz now)
{
	if (delivery->part.compensate && delivery->part.phase == SAGA_PHASE_SEND &&
		(!delivery->doubted || tells_what_is_undone(sending, delivery)))
	{
		delivery->part.class = SAGA_CLASS_FATAL;
		decide_fatal(sending, delivery);
		return;
	}
	if (!delivery->doubted)
	{
		saga_outbox_fail_now(delivery);
		return;
	}
	delivery->part.class = SAGA_CLASS_UNCERTAIN;
	decide_uncertain(sending, delivery, now);
}

/* This one had no effect; one before it may have had. */
static void
decide_retry(const SagaSending *sending, SagaDelivery *delivery, TimestampTz now)
{
	const SagaDestination *destination = sending->exchange.destination;
	int64		delay = saga_outbox_backoff_ms(destination, delivery, delivery->sends);
	bool		used_up = attempts_are_used_up(destination, delivery);

	if (delivery->uncertain && saga_endpoint_has_lookup(destination, &delivery->part))
		saga_outbox_again(delivery, SAGA_PHASE_LOOKUP, used_up ? destination->lookup->delay_ms : delay);
	else if (used_up)
		fail_after_doubt(sending, delivery);
	else if (delivery->uncertain && !saga_outbox_may_resend(sending, delivery, TimestampTzPlusMilliseconds(now, delay)))
		saga_outbox_fail_uncertain(delivery, SAGA_CANNOT_RESEND);
	else
		saga_outbox_again(delivery, delivery->part.phase, delay);
}

static void
decide_send(const SagaSending *sending, SagaDelivery *delivery, TimestampTz now)
{
	const SagaDestination *destination = sending->exchange.destination;
	bool		same = delivery->part.class == SAGA_CLASS_UNCERTAIN && delivery->part.status > 0 &&
	delivery->part.status == delivery->sent_status && !delivery->part.accepted;

	delivery->same_failures = same ? delivery->same_failures + 1 : 1;
	if (delivery->part.no_resend)
		delivery->same_failures = SAGA_STORED_FAILURES;
	delivery->sent_status = delivery->part.status;
	delivery->sent_class = delivery->part.class;
	if (delivery->part.class != SAGA_CLASS_AUTH && delivery->part.class != SAGA_CLASS_SPLIT)
		delivery->sends++;
	switch (delivery->part.class)
	{
		case SAGA_CLASS_SUCCESS:
			delivery->verdict = SAGA_VERDICT_DELIVERED;
			break;
		case SAGA_CLASS_PENDING:
			/* a compensation is not asked for again */
			if (destination->poll == NULL || delivery->part.compensate)
			{
				delivery->verdict = SAGA_VERDICT_DELIVERED;
				break;
			}
			delivery->uncertain = false;
			delivery->pending_since = now;
			saga_outbox_again(delivery, SAGA_PHASE_POLL, poll_delay_ms(destination, delivery, now));
			break;
		case SAGA_CLASS_UNCERTAIN:
			decide_uncertain(sending, delivery, now);
			break;
		case SAGA_CLASS_DUPLICATE:
			decide_duplicate(sending, delivery, now);
			break;
		case SAGA_CLASS_SPLIT:
			saga_outbox_again(delivery, delivery->part.phase, 0);
			break;
		case SAGA_CLASS_FATAL:
			decide_fatal(sending, delivery);
			break;
		default:
			decide_retry(sending, delivery, now);
	}
}

/* ---------- look-up and poll ---------- */

static void
try_asking_again(const SagaSending *sending, SagaDelivery *delivery, const char *what)
{
	const SagaDestination *destination = sending->exchange.destination;

	delivery->phase_tries++;
	if (delivery->part.class == SAGA_CLASS_FATAL || delivery->phase_tries >= destination->max_attempts)
		saga_outbox_fail_uncertain(delivery, psprintf("it may have been done, and the %s failed", what));
	else
		saga_outbox_again(delivery, delivery->part.phase, saga_outbox_backoff_ms(destination, delivery, delivery->phase_tries));
}

/*
 * The look-up has told nothing: what comes is as if there was none.  But when
 * the server has said that it has this already, asking once more tells no more.
 */
static void
decide_unproved(const SagaSending *sending, SagaDelivery *delivery, TimestampTz now, const char *why)
{
	const SagaDestination *destination = sending->exchange.destination;
	int64		delay = saga_outbox_backoff_ms(destination, delivery, delivery->sends);
	bool		harmless = destination->resend_uncertain || saga_http_is_safe(destination->request.method) ||
	(destination->idempotency.place != SAGA_KEY_NONE &&
	 key_protects(sending, delivery, TimestampTzPlusMilliseconds(now, delay)));

	if (harmless && delivery->sent_class != SAGA_CLASS_DUPLICATE && !attempts_are_used_up(destination, delivery))
		saga_outbox_again(delivery, SAGA_PHASE_SEND, delay);
	else
		saga_outbox_fail_uncertain(delivery, why);
}

static void
decide_lookup(const SagaSending *sending, SagaDelivery *delivery, TimestampTz now)
{
	if (delivery->part.class == SAGA_CLASS_SUCCESS)
		delivery->verdict = SAGA_VERDICT_DELIVERED;
	else if (delivery->part.conflict)
		saga_outbox_fail_now(delivery);
	else if (delivery->foreign)
		decide_unproved(sending, delivery, now, SAGA_NOT_OURS);
	else if (!delivery->part.absent)
		try_asking_again(sending, delivery, "look-up");
	else if (!saga_outbox_proves_absence(sending->exchange.destination, delivery))
		decide_unproved(sending, delivery, now, SAGA_ALTERED_SINCE);
	else
	{
		delivery->uncertain = delivery->part.accepted = false;
		if (delivery->same_failures >= SAGA_STORED_FAILURES)
		{
			delivery->part.key_epoch++;
			delivery->same_failures = 0;
		}
		if (attempts_are_used_up(sending->exchange.destination, delivery))
			saga_outbox_fail_as_before(delivery);
		else
			saga_outbox_again(delivery, SAGA_PHASE_SEND, 0);
	}
}

static void
decide_poll(const SagaSending *sending, SagaDelivery *delivery, TimestampTz now)
{
	const SagaPoll *poll = sending->exchange.destination->poll;
	TimestampTz deadline = TimestampTzPlusMilliseconds(delivery->pending_since,
													   (int64) poll->deadline_s * 1000);

	if (delivery->part.class == SAGA_CLASS_SUCCESS)
		delivery->verdict = SAGA_VERDICT_DELIVERED;
	else if (delivery->part.conflict)
	{
		/*
		 * who sends it again wants it done anew, not to hear the same once
		 * more
		 */
		delivery->part.phase = SAGA_PHASE_SEND;
		delivery->part.accepted = false;
		delivery->part.key_epoch++;
		saga_outbox_fail_now(delivery);
	}
	else if (now >= deadline)
		saga_outbox_fail_uncertain(delivery, psprintf("the server has not said how it ended within %d seconds", poll->deadline_s));
	else if (delivery->part.class == SAGA_CLASS_PENDING)
	{
		delivery->phase_tries = 0;
		saga_outbox_again(delivery, SAGA_PHASE_POLL, poll_delay_ms(sending->exchange.destination, delivery, now));
	}
	else
		try_asking_again(sending, delivery, "poll");
}

/* ---------- all ---------- */

/* Credentials that are refused are no failure of the message: it waits for them. */
static void
decide_auth(const SagaSending *sending, SagaDelivery *delivery)
{
	delivery->phase_tries++;
	saga_outbox_again(delivery, delivery->part.phase,
					  Max(SAGA_AUTH_MIN_DELAY_MS, saga_outbox_backoff_ms(sending->exchange.destination, delivery, delivery->phase_tries)));
}

static void
decide_wanted(const SagaSending *sending, SagaDelivery *delivery, TimestampTz now)
{
	const SagaDestination *destination = sending->exchange.destination;

	if (delivery->part.class == SAGA_CLASS_AUTH)
		decide_auth(sending, delivery);
	else if (delivery->part.phase == SAGA_PHASE_LOOKUP)
		decide_lookup(sending, delivery, now);
	else if (delivery->part.phase == SAGA_PHASE_POLL)
		decide_poll(sending, delivery, now);
	else
		decide_send(sending, delivery, now);

	if (delivery->verdict != SAGA_VERDICT_AGAIN || destination->deadline_s == 0 ||
		TimestampTzPlusMilliseconds(now, delivery->delay_ms) <
		TimestampTzPlusMilliseconds(delivery->created_at, (int64) destination->deadline_s * 1000))
		return;
	if (delivery->uncertain || delivery->part.phase == SAGA_PHASE_POLL)
		saga_outbox_fail_uncertain(delivery, "it may have been done, and its time is over");
	else
		saga_outbox_fail_now(delivery);
}

void
saga_decide(const SagaSending *sending, SagaDelivery *delivery, TimestampTz now)
{
	delivery->asked = delivery->part.phase;
	if (delivery->unwanted_since != 0)
		saga_decide_unwanted(sending, delivery, now);
	else
		decide_wanted(sending, delivery, now);

	/* a refusal says nothing of what the other server has sent */
	if (delivery->verdict == SAGA_VERDICT_FAILED && delivery->taken_over && !delivery->uncertain)
	{
		delivery->uncertain = true;
		saga_outbox_fail_uncertain(delivery, "it may have been done before this server took over");
	}
}
