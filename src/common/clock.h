/*
 * clock.h
 *		A clock that nobody sets, the same for all processes of a server.
 */
#ifndef SAGA_CLOCK_H
#define SAGA_CLOCK_H

#include "datatype/timestamp.h"

extern uint64 saga_monotonic_us(void);

/* The same, for pauses: it is no date. */
extern TimestampTz saga_monotonic_now(void);

#endif							/* SAGA_CLOCK_H */
