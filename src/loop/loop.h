/*
 * loop.h
 *		The event loop of those who ask the network: a publisher, the receiver
 *		of sources.  README.md says what a turn is.
 */
#ifndef SAGA_LOOP_H
#define SAGA_LOOP_H

#include "net/budget.h"
#include "net/http.h"

typedef struct SagaLoop SagaLoop;

/*
 * What one of them does in its turn.  Whatever raises must leave each request
 * where the next turn finds it.
 */
typedef struct SagaLoopVerbs
{
	const char *activity;		/* as pg_stat_activity shows its transactions */

	/*
	 * Before the network is looked at: undoes what the last turn left half
	 * done, and frees what it was done with.
	 */
	void		(*begin) (SagaLoop *loop);

	/*
	 * After the answers that have come were told: all that can be done
	 * without waiting.  Returns how much it was.
	 */
	int			(*work) (SagaLoop *loop);

	/* Has it room for what others wake it for?  NULL: always. */
	bool		(*has_room) (SagaLoop *loop);

	/*
	 * Makes the time that it may wait shorter: something is to be done then,
	 * whatever the network brings.  Others know already that it waits.
	 */
	long		(*shorten) (SagaLoop *loop, long timeout_ms);
} SagaLoopVerbs;

/* What a publisher or a receiver begins with. */
struct SagaLoop
{
	const SagaLoopVerbs *verbs;
	MemoryContext context;		/* lives as long as this */
	MemoryContext work;			/* its child, reset each turn */
	SagaHttp   *http;
	bool		telling;		/* answers are being told: one that raises is told to nobody again */
	SagaBudget *budget;			/* memory for answers */
};

/* "size" bytes that begin with a SagaLoop, zeroed behind it.  Raises when there are no descriptors for the connections. */
extern SagaLoop *saga_loop_create(const SagaLoopVerbs *verbs, Size size, MemoryContext context, int max_requests);

/* Everything that can be done without waiting, in loop->work, which is current afterwards; false: there was nothing. */
extern bool saga_loop_step(SagaLoop *loop);

/* Until the network brings something, somebody wakes us (the latch is reset then), or so much time has passed. */
extern void saga_loop_wait(SagaLoop *loop, long timeout_ms);

/* A step, and a wait if there was nothing to do.  The memory context is the caller's afterwards. */
extern void saga_loop_turn(SagaLoop *loop, long timeout_ms);

/* For "shorten": so long from "now" to "at", if that is shorter; 0: that time has come. */
extern long saga_loop_until(TimestampTz now, TimestampTz at, long timeout_ms);

/* A transaction of a process that serves all owners; its work is in loop->work. */
extern void saga_loop_begin_transaction(SagaLoop *loop);
extern void saga_loop_commit(SagaLoop *loop);

#endif							/* SAGA_LOOP_H */
