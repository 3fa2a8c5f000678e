/*
 * loop.c
 *		The event loop of those who ask the network.
 *
 * It knows nothing of messages, sources or owners.  No snapshot is held while
 * it waits, and in a process of ours no transaction is open.
 */
#include "postgres.h"

#include "common/common.h"
#include "common/guc.h"
#include "loop/loop.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "queue/shmem.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

SagaLoop *
saga_loop_create(const SagaLoopVerbs *verbs, Size size, MemoryContext context, int max_requests)
{
	/*
	 * first, as it may raise, again and again: nothing is there then that
	 * somebody would have to free
	 */
	SagaHttp   *http = saga_http_create(max_requests);
	SagaLoop   *loop = MemoryContextAllocZero(context, size);

	loop->verbs = verbs;
	loop->http = http;
	loop->context = AllocSetContextCreate(context, "pg_saga loop", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSetIdentifier(loop->context, verbs->activity);
	loop->work = AllocSetContextCreate(loop->context, "pg_saga loop turn", ALLOCSET_DEFAULT_SIZES);
	loop->budget = saga_budget_create(loop->context);
	return loop;
}

bool
saga_loop_step(SagaLoop *loop)
{
	int			done;

	CHECK_FOR_INTERRUPTS();
	MemoryContextReset(loop->work);
	MemoryContextSwitchTo(loop->work);
	/* the setting may have been reloaded */
	loop->budget->limit = (size_t) saga_answer_memory_kb * 1024;
	loop->verbs->begin(loop);
	loop->telling = true;
	done = saga_http_run(loop->http);
	loop->telling = false;
	done += loop->verbs->work(loop);
	return done > 0;
}

/*
 * It says that it sleeps before it looks once more for something to do: whoever
 * makes some from then on wakes it.  One without room says nothing, and another
 * one is woken.
 */
void
saga_loop_wait(SagaLoop *loop, long timeout_ms)
{
	long		http_ms = saga_http_timeout_ms(loop->http);
	int			events;

	Assert(!ActiveSnapshotSet());
	if (http_ms >= 0)
		timeout_ms = Min(timeout_ms, http_ms);
	if (loop->verbs->has_room == NULL || loop->verbs->has_room(loop))
		saga_proc_prepare_sleep();
	timeout_ms = loop->verbs->shorten(loop, timeout_ms);
	events = WaitLatchOrSocket(MyLatch,
							   WL_LATCH_SET | WL_SOCKET_READABLE | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							   saga_http_descriptor(loop->http), timeout_ms, PG_WAIT_EXTENSION);
	saga_proc_end_sleep();
	if (events & WL_LATCH_SET)
		ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

void
saga_loop_turn(SagaLoop *loop, long timeout_ms)
{
	MemoryContext old = CurrentMemoryContext;
	bool		done;

	/* one that is in a long turn is not there for others to wake */
	saga_proc_busy_begin();
	done = saga_loop_step(loop);
	saga_proc_busy_end();
	if (!done)
		saga_loop_wait(loop, timeout_ms);
	MemoryContextSwitchTo(old);
}

/* A part of a millisecond is a whole one: who wakes up too early finds nothing to do. */
long
saga_loop_until(TimestampTz now, TimestampTz at, long timeout_ms)
{
	if (at <= now)
		return 0;
	if (at >= TimestampTzPlusMilliseconds(now, timeout_ms))
		return timeout_ms;
	return (long) ((at - now + 999) / 1000);
}

/* ---------- transactions ---------- */

void
saga_loop_begin_transaction(SagaLoop *loop)
{
	saga_background_begin_work(loop->verbs->activity);
	MemoryContextSwitchTo(loop->work);
}

void
saga_loop_commit(SagaLoop *loop)
{
	saga_background_commit_work();
	MemoryContextSwitchTo(loop->work);
}
