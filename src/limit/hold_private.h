/*
 * hold_private.h
 *		What holds a group of destinations back besides its rate: pauses that
 *		the server asked for, and the breaker.  No tables here.
 */
#ifndef SAGA_LIMIT_HOLD_PRIVATE_H
#define SAGA_LIMIT_HOLD_PRIVATE_H

#include "limit/limit.h"
#include "limit/rate_private.h"

typedef enum SagaBreaker
{
	SAGA_BREAKER_CLOSED,
	SAGA_BREAKER_OPEN,
	SAGA_BREAKER_HALF_OPEN
} SagaBreaker;

/* saga.destination_state */
struct SagaLimitRow
{
	SagaRate	rate;
	TimestampTz pause_until;	/* 0: none */
	SagaBreaker breaker;
	TimestampTz breaker_until;
	char	   *breaker_reason; /* NULL: none */
	int			opened;			/* so often in a row, for this reason */
	int64		probe_lease;
	TimestampTz slow_from;
	TimestampTz counted_from;
	int			requests;
	int			failures;
};

/* Closes the breaker; a slow start begins. */
extern void saga_hold_end(SagaLimitRow *row, TimestampTz now);

/* True: the clock was set back since the row was written, which is to be written anew. */
extern bool saga_hold_heed_clock(SagaLimitRow *row, TimestampTz now);

/* 0: nothing holds it, or it may have one request, as a probe. */
extern TimestampTz saga_hold_until(const SagaLimitRow *row, TimestampTz now, saga_lease_is_dead_fn lease_is_dead,
								   bool *probe);

/* The next state of the row.  Its reason is allocated in CurrentMemoryContext. */
extern void saga_hold_apply(SagaLimitRow *row, const SagaLimits *limits, const SagaLimitNews *news,
							TimestampTz now);

#endif							/* SAGA_LIMIT_HOLD_PRIVATE_H */
