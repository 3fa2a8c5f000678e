/*
 * twophase_private.h
 *		Prepared transactions whose end has to push ids (twophase.c).
 */
#ifndef SAGA_TWOPHASE_PRIVATE_H
#define SAGA_TWOPHASE_PRIVATE_H

#include "access/twophase.h"
#include "access/xact.h"
#include "queue/shmem.h"

#define SAGA_PREPARED_QUEUES 16

typedef struct SagaPrepared
{
	bool		used;
	bool		everything;		/* more queues than fit: rewind the database */
	Oid			dboid;
	TransactionId xid;			/* invalid: it wrote nothing */
	TimestampTz next_wake;		/* DT_NOEND: no timer */
	int			news;			/* SAGA_NEWS_* */
	int			nqueues;
	struct
	{
		SagaQueueKey key;
		pg_uuid_t	mark;		/* lower to this */
	}			queues[SAGA_PREPARED_QUEUES];
	char		gid[GIDSIZE];
} SagaPrepared;

/*
 * Size of the table: twice as many as can be prepared, as an entry is freed a
 * moment after its transaction has left the server's own table.
 */
static inline int
saga_prepared_slots(void)
{
	return max_prepared_xacts * 2;
}

/* From the callback of PREPARE: gid, dboid and xid are filled in here. Never raises. */
extern void saga_prepared_store(SagaPrepared *entry);

/*
 * The sweep looks whether all prepared transactions are in the table, and
 * gives back the number it read before it looked.
 */
extern uint32 saga_prepared_unknown(void);
extern bool saga_prepared_is_known(const char *gid);
extern void saga_prepared_all_known(uint32 unknown);

/* The end of any transaction: the gid of the hook is forgotten. */
extern void saga_prepared_reset(void);

#endif							/* SAGA_TWOPHASE_PRIVATE_H */
