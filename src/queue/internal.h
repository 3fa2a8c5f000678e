/*
 * internal.h
 *		What the files of src/queue share among themselves.
 */
#ifndef SAGA_QUEUE_INTERNAL_H
#define SAGA_QUEUE_INTERNAL_H

#include "common/statement.h"
#include "fmgr.h"
#include "funcapi.h"
#include "queue/queue.h"
#include "utils/array.h"
#include "utils/tuplestore.h"

/* mark.c */
extern bool saga_timer_scan_begin(bool all_queues, TimestampTz *mark);
extern TimestampTz saga_timer_scan_end(TimestampTz empty_to, TimestampTz next_wake);
extern void saga_note_timers_moved(void);
extern void saga_note_dropped(int32 queue_id);
extern void saga_note_foreign(void);	/* rows came from elsewhere: a sweep after commit */
extern void saga_note_given(const SagaQueue *queue, Oid owner);

/* GUC pg_saga.test_mutant: for what is not in mark.c */
#define SAGA_MUTANT_FORGET		32
extern int	saga_test_mutant;

/* cache.c */
extern void saga_cache_end_transaction(void);
extern void saga_forget_if_gone(int32 queue_id);

/* args.c: arguments of SQL functions */
extern const SagaQueue *saga_arg_queue(FunctionCallInfo fcinfo, int arg, int rights);
extern void saga_check_plain(const SagaQueue *queue);
extern void saga_arg_required(FunctionCallInfo fcinfo, int arg, const char *name);
extern int64 saga_arg_interval_ms(FunctionCallInfo fcinfo, int arg, const char *name, int64 if_null);
extern pg_uuid_t *saga_arg_uuids(FunctionCallInfo fcinfo, int arg, const char *name, int *n);
extern Tuplestorestate *saga_srf_begin(FunctionCallInfo fcinfo, TupleDesc *desc);

/* arrays of a statement's parameters */
extern ArrayType *saga_tid_array(ItemPointerData *tids, int n);
extern ArrayType *saga_uuid_array(pg_uuid_t *ids, int n);

/* the column ctid of the row that is looked at */
extern ItemPointerData saga_row_ctid(SagaRows *rows);

/* dead.c: how a row leaves for the dead letters */
typedef enum SagaDeadFrom
{
	SAGA_DEAD_FROM_MESSAGE,
	SAGA_DEAD_FROM_TIMER
} SagaDeadFrom;

extern bool saga_dead_letter_move(const SagaQueue *queue, SagaDeadFrom from,
								  ItemPointerData *tids, int n, const char *reason);

/* timer.c: rows of saga.timer that are due, and locked by this transaction */
typedef struct SagaDueTimer
{
	ItemPointerData tid;
	int32		queue_id;
	bool		dead;			/* received too often */
} SagaDueTimer;

/* The rows, which are freed, have ctid, queue_id, receives, lease. */
extern SagaDueTimer *saga_timers_read(SagaRows *rows, int *n);
extern void saga_timers_move(SagaDueTimer *due, int n);

/*
 * Ends a look at saga.timer that began at mark.  Returns when to look again;
 * again: there is more that is due, and not locked.
 */
extern TimestampTz saga_timers_end_scan(TimestampTz mark, TimestampTz now, bool again);

/* manage.c: this process is inserting into saga.queue by itself */
extern bool saga_creating_queue;

#endif							/* SAGA_QUEUE_INTERNAL_H */
