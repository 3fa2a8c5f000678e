/*
 * verdict.c
 *		What is decided on a message, once it is known: again, failed, nobody knows; and
 *		when it comes again.  Pure.
 */
#include "postgres.h"

#include "outbox/flow_private.h"
#include "utils/timestamp.h"

/*
 * Other settings may have asked somewhere else, or for something else, than
 * where the request went.
 */
bool
saga_outbox_proves_absence(const SagaDestination *destination, const SagaDelivery *delivery)
{
	/* one that was lost with its publisher has no time on record */
	return destination->changed_at <= (delivery->first_sent_at != 0 ? delivery->first_sent_at : delivery->created_at);
}

/* What the server asked for, as far as the settings let it. */
int64
saga_outbox_asked_for_ms(const SagaDestination *destination, const SagaDelivery *delivery)
{
	return Min(delivery->part.retry_after_ms, (int64) destination->retry_after.max_s * 1000);
}

/* Exponential, with full jitter: uniformly between nothing and the whole. */
int64
saga_outbox_backoff_ms(const SagaDestination *destination, const SagaDelivery *delivery, int tries)
{
	double		delay = destination->base_ms;
	int			i;

	for (i = 1; i < tries && delay < destination->cap_ms; i++)
		delay *= destination->factor;
	delay = Min(delay, destination->cap_ms);
	if (destination->jitter)
	{
		uint32		random = 0;

		if (pg_strong_random(&random, sizeof(random)))
			delay *= random / (double) PG_UINT32_MAX;
	}
	return Max((int64) delay, saga_outbox_asked_for_ms(destination, delivery));
}

void
saga_outbox_again(SagaDelivery *delivery, SagaPhase phase, int64 delay_ms)
{
	if (phase != delivery->part.phase)
		delivery->phase_tries = 0;
	delivery->part.phase = phase;
	delivery->verdict = SAGA_VERDICT_AGAIN;
	delivery->delay_ms = delay_ms;
}

void
saga_outbox_fail_now(SagaDelivery *delivery)
{
	delivery->verdict = SAGA_VERDICT_FAILED;
}

/* The name in "Name: cause"; NULL: there is none. */
static char *
error_of(const char *sent_error)
{
	const char *colon = strstr(sent_error, ": ");

	return colon != NULL ? pnstrdup(sent_error, colon - sent_error) : NULL;
}

/* Nobody can tell whether it was done: a person has to find out. */
void
saga_outbox_fail_uncertain(SagaDelivery *delivery, const char *why)
{
	if (delivery->part.error == NULL)	/* pending */
		delivery->part.cause = why;
	else if (strcmp(delivery->part.error, "Saga.Uncertain") != 0)
	{
		delivery->part.cause = psprintf("%s: %s: %s", why, delivery->part.error, delivery->part.cause);
		/* what was asked since has errors of its own */
		if (delivery->asked == SAGA_PHASE_SEND || delivery->asked == SAGA_PHASE_OTHER)
			delivery->other_error = delivery->part.error;
	}
	if (delivery->other_error == NULL && delivery->sent_error != NULL)
		delivery->other_error = error_of(delivery->sent_error);
	delivery->part.error = "Saga.Uncertain";
	delivery->part.class = SAGA_CLASS_UNCERTAIN;
	saga_outbox_fail_now(delivery);
}

/* It was not done, as the look-up says: what failed is the request before. */
void
saga_outbox_fail_as_before(SagaDelivery *delivery)
{
	char	   *error = delivery->sent_error ? error_of(delivery->sent_error) : NULL;

	if (error != NULL)
	{
		delivery->part.error = error;
		delivery->part.cause = pstrdup(delivery->sent_error + strlen(error) + 2);
	}
	delivery->part.class = delivery->sent_class == SAGA_CLASS_FATAL ? SAGA_CLASS_FATAL : SAGA_CLASS_RETRY;
	saga_outbox_fail_now(delivery);
}
