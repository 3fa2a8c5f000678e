/*
 * source.h
 *		Sources: messages from elsewhere, put into queues of this database.
 *
 * The work for all sources of a database, in a process of its own.  Called
 * outside a transaction; it opens and commits its own.  README.md says what
 * happens to a message.
 */
#ifndef SAGA_SOURCE_H
#define SAGA_SOURCE_H

#include "common/common.h"

typedef struct SagaReceiver SagaReceiver;

extern SagaReceiver *saga_source_receiver_create(MemoryContext context);

/*
 * One turn of the event loop: never returns before something happened, the
 * latch was set (it is reset then) or timeout_ms passed.  Sets and clears
 * "sleeping" of saga_my_proc.  False: there is no source to be served.
 * When a turn raises, abort the transaction, tell saga_source_receiver_failed, and
 * call it again.  It returns true when one source was concerned, which is not
 * tried again at once.
 */
extern bool saga_source_receiver_turn(SagaReceiver *receiver, long timeout_ms);
extern bool saga_source_receiver_failed(SagaReceiver *receiver, const ErrorData *error);

extern void saga_source_init(void); /* from _PG_init: registers the look-up of names */

/* Is there a source that is not paused?  In a transaction. */
extern bool saga_source_any_enabled(void);

#endif							/* SAGA_SOURCE_H */
