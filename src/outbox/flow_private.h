/*
 * flow_private.h
 *		What follows on an answer: what flow.c, settle.c and verdict.c share.
 */
#ifndef SAGA_OUTBOX_FLOW_PRIVATE_H
#define SAGA_OUTBOX_FLOW_PRIVATE_H

#include "outbox/sending_private.h"

/* ---------- verdict.c ---------- */

/* What the server asked for, as far as the settings let it; -1: nothing. */
extern int64 saga_outbox_asked_for_ms(const SagaDestination *destination, const SagaDelivery *delivery);
extern int64 saga_outbox_backoff_ms(const SagaDestination *destination, const SagaDelivery *delivery, int tries);
extern void saga_outbox_again(SagaDelivery *delivery, SagaPhase phase, int64 delay_ms);
extern void saga_outbox_fail_now(SagaDelivery *delivery);
extern void saga_outbox_fail_uncertain(SagaDelivery *delivery, const char *why);
extern void saga_outbox_fail_as_before(SagaDelivery *delivery);

/* Does it say that the request had no effect, when the look-up finds nothing? */
extern bool saga_outbox_proves_absence(const SagaDestination *destination, const SagaDelivery *delivery);

#define SAGA_NOT_OURS "it may have been done, and the look-up cannot tell it from another one"
#define SAGA_ALTERED_SINCE \
	"it may have been done: the look-up found nothing, but the destination was altered since the request"

/* ---------- settle.c: of a message that is not wanted any more ---------- */

extern void saga_decide_unwanted(const SagaSending *sending, SagaDelivery *delivery, TimestampTz now);

#endif							/* SAGA_OUTBOX_FLOW_PRIVATE_H */
