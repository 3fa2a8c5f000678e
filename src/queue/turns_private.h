/*
 * turns_private.h
 *		What the coordinator's turns (turns.c) know of one transaction's part
 *		of them (turn_slice.c).
 */
#ifndef SAGA_TURNS_PRIVATE_H
#define SAGA_TURNS_PRIVATE_H

#include "queue/queue_private.h"

/* For one transaction, which goes a little beyond when one timer alone does. */
#define SAGA_SLICE_ROWS		1000
#define SAGA_SLICE_BYTES		(8 * 1024 * 1024)

/* What one owner has in a round.  A timer that is larger is left to whoever serves its queue. */
#define SAGA_OWNER_BYTES			(4 * 1024 * 1024)

/* What a transaction is to move. */
typedef struct SagaSlice
{
	ItemPointerData *tids;
	int32	   *queue_ids;
	TimestampTz *wake_ats;
	int			n;
	int64		bytes;
	int			left;			/* too large for us */
	List	   *handed;			/* queues that were told of theirs */
} SagaSlice;

extern void saga_slice_init(SagaSlice *slice);

/*
 * Adds what is due, of one queue or (0) all: up to limit rows, and max_bytes
 * beyond the first row.  Returns how many rows there were.
 */
extern int	saga_slice_add(SagaSlice *slice, int32 queue_id, TimestampTz mark, TimestampTz now, int limit, int64 max_bytes);

/*
 * Moves those that nobody has locked.  Returns how many.  by_queue: they were
 * added queue by queue, and one of which some stay goes on behind them.
 */
extern int	saga_slice_move(const SagaSlice *slice, TimestampTz mark, TimestampTz now, bool by_queue);

/* Where a queue goes on whose first due timers somebody has locked, or else the mark. */
extern TimestampTz saga_queue_cursor_of(int32 queue_id, TimestampTz mark);
extern void saga_queue_cursor_drop(int32 queue_id);
extern bool saga_queue_cursors_exist(void);

#endif							/* SAGA_TURNS_PRIVATE_H */
