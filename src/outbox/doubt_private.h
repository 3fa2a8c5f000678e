/*
 * doubt_private.h
 *		The record of a call that may be in doubt, between doubt.c and said.c.
 */
#ifndef SAGA_OUTBOX_DOUBT_PRIVATE_H
#define SAGA_OUTBOX_DOUBT_PRIVATE_H

#include "outbox/sending_private.h"

/* Of it what is asked for; locked. */
typedef struct SagaDoubt
{
	int32		destination_id;
	pg_uuid_t	outbox_id;
	char	   *state;
	bool		in_doubt;
	int			attempts;
	char	   *ordering_key;
	bool		only_submit;
	Jsonb	   *response;
	pg_uuid_t	key;
	bool		polls;
	bool		published;		/* its state has completed with the commit */
	TimestampTz last_sent_at;
	TimestampTz finished_at;	/* 0: it waits */
	SagaDelivery delivery;		/* as much of it as settle.c asks for */
} SagaDoubt;

/* The parameters that say which one; its queue has the destination's id, its message the record's. */
#define SAGA_DOUBT_WHICH(record) \
	saga_param_int4("destination_id", (record)->destination_id), saga_param_uuid("outbox_id", &(record)->outbox_id)

/* The last record of the task, locked until the end of the transaction; false: there is none. */
extern bool saga_doubt_lock(const pg_uuid_t *execution_id, int task_id, SagaDoubt *record);

/* One that is not the first of its ordering key has no row; who makes one has the ordering lock. */
extern bool saga_doubt_has_row(const SagaDoubt *record);

/* Takes its rows out of the queue, if they know of so many attempts at most; false: they cannot be had. */
extern bool saga_doubt_take_rows(const SagaDoubt *record, int attempts);

/* Lets a publisher put the next message of its ordering key into the queue. */
extern void saga_doubt_release_order(const SagaDoubt *record);

/* It is asked for once more, by the publisher; wanted: for a task that waits for it. */
extern void saga_doubt_reopen(const SagaDoubt *record, const SagaDestination *destination, bool wanted);

#endif							/* SAGA_OUTBOX_DOUBT_PRIVATE_H */
