/*
 * flow_private.h
 *		What follows on an answer: what flow.c and settle.c share.
 */
#ifndef SAGA_OUTBOX_FLOW_PRIVATE_H
#define SAGA_OUTBOX_FLOW_PRIVATE_H

#include "outbox/sending.h"

extern int64 saga_backoff_ms(const SagaDestination *destination, const SagaDelivery *delivery, int tries);
extern void saga_again(SagaDelivery *delivery, SagaPhase phase, int64 delay_ms);
extern void saga_fail_uncertain(SagaDelivery *delivery, const char *why);
extern void saga_fail_as_before(SagaDelivery *delivery);

/* Does it say that the request had no effect, when the look-up finds nothing? */
extern bool saga_proves_absence(const SagaDestination *destination, const SagaDelivery *delivery);

#define SAGA_NOT_OURS "it may have been done, and the look-up cannot tell it from another one"
#define SAGA_ALTERED_SINCE \
	"it may have been done: the look-up found nothing, but the destination was altered since the request"

/* Of a message that is not wanted any more (settle.c). */
extern void saga_decide_unwanted(const SagaSending *sending, SagaDelivery *delivery, TimestampTz now);

#endif							/* SAGA_OUTBOX_FLOW_PRIVATE_H */
