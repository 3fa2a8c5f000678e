/*
 * lock.c
 *		Locks that drop, change or give away what others use.
 *
 * Whoever uses a queue or a destination shares the lock on it until the end of
 * his transaction, and he need not be its owner: a right that was granted is
 * enough.  He may leave the transaction open, or prepare it.  If the owner
 * waited for him in the lock's queue, everybody else would wait behind the
 * owner.  So the owner stands in the queue for a moment at a time, with pauses
 * in which the others pass, and gives up in the end.  A moment is enough for
 * the locks to be had where they are used all the time, by short transactions.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/clock.h"
#include "common/common.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/resowner.h"
#include "utils/wait_event.h"

#define LOCK_MOMENT_MS	100
#define LOCK_PAUSE_MS	400
#define LOCK_LIMIT_MS	5000	/* a user's own lock_timeout is used in its place */

/* What a subtransaction has locked is kept when it commits, and free again when it does not. */
static bool
take_within(SagaTakeLocks take, void *arg, int ms)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool taken = true;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		int			level = NewGUCNestLevel();
		char		value[16];

		snprintf(value, sizeof(value), "%d", ms);
		(void) set_config_option("lock_timeout", value, PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
		take(arg);
		AtEOXact_GUC(true, level);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			ReThrowError(error);
		FreeErrorData(error);
		taken = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return taken;
}

/*
 * Also ends when the latch is set, which a second look at the lock does not
 * harm.
 */
static void
pause_for(int ms)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/*
 * Time is that of the monotonic clock, and the last attempt is not cut below
 * a millisecond, since a lock_timeout of 0 would be none.
 */
void
saga_take_locks(SagaTakeLocks take, void *arg, const char *what, const char *name)
{
	int			limit = LockTimeout > 0 ? LockTimeout : LOCK_LIMIT_MS;
	uint64		end = saga_monotonic_us() + (uint64) limit * 1000;

	for (;;)
	{
		uint64		now = saga_monotonic_us();
		int			left = now < end ? (int) ((end - now + 999) / 1000) : 1;

		if (take_within(take, arg, Min(left, LOCK_MOMENT_MS)))
			return;
		now = saga_monotonic_us();
		if (now >= end)
			break;
		pause_for((int) Min((end - now) / 1000 + 1, LOCK_PAUSE_MS));
	}
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("%s \"%s\" is in use by transactions that have not ended", what, name),
			 errdetail("They have used it, perhaps by a right that was granted. Nobody waited behind this."),
			 errhint("End them (see pg_locks, pg_stat_activity and pg_prepared_xacts) and try again; to wait longer than %d ms, set lock_timeout.", limit)));
}
