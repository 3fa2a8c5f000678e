/*
 * rate_private.h
 *		Requests per time, as they are kept in saga.destination_state.
 */
#ifndef SAGA_LIMIT_RATE_PRIVATE_H
#define SAGA_LIMIT_RATE_PRIVATE_H

#include "limit/limit.h"

#define SAGA_RATE_WINDOWS	3	/* minute, hour, day */
#define SAGA_RATE_BUCKETS	32

typedef struct SagaRateWindow
{
	int32		bucket;			/* number of the newest; 0: nothing is counted */
	int32		counts[SAGA_RATE_BUCKETS];	/* from the newest on */
} SagaRateWindow;

typedef struct SagaRate
{
	TimestampTz next_start_at;	/* of per_second; 0: at once */
	SagaRateWindow windows[SAGA_RATE_WINDOWS];
} SagaRate;

/* Reduces grant->n to what may start, and says when: first, step, late; until, if it is none. */
extern void saga_rate_grant(const SagaLimits *limits, SagaRate *rate, TimestampTz now, SagaGrant *grant);

/* n of them start.  shared: other destinations may limit what this one does not. */
extern void saga_rate_use(const SagaLimits *limits, bool shared, SagaRate *rate, const SagaGrant *grant, int n);

#endif							/* SAGA_LIMIT_RATE_PRIVATE_H */
