/*
 * pool.h
 *		The workers, publishers and sources of one database, for its coordinator.
 */
#ifndef SAGA_POOL_H
#define SAGA_POOL_H

#include "datatype/timestamp.h"

/*
 * Starts what is missing, asks to leave what is too many.  Called outside a
 * transaction.  Returns when to look again at the latest.
 */
extern TimestampTz saga_pool_turn(void);

#endif							/* SAGA_POOL_H */
