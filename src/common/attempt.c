/*
 * attempt.c
 *		What may raise, done in a subtransaction.
 *
 * Used wherever a user's code or data may fail and the work around it goes
 * on.  A subtransaction costs an XID only if it writes.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/common.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

/*
 * Somebody wants this process to stop, or the database is in trouble: no
 * matter of what is being done.
 */
static bool
is_trouble(int sqlerrcode)
{
	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_SYSTEM_ERROR:
			return true;
		default:
			return sqlerrcode == ERRCODE_DATA_CORRUPTED || sqlerrcode == ERRCODE_INDEX_CORRUPTED ||
				sqlerrcode == ERRCODE_DISK_FULL;
	}
}

/*
 * The caller's memory context and resource owner are the current ones again,
 * whichever way it ends.  Needs an open transaction.
 */
ErrorData *
saga_common_attempt(saga_attempt_fn fn, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		fn(arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();

		/*
		 * also when it is raised again: who catches it then finds the
		 * transaction as he began it
		 */
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error != NULL && is_trouble(error->sqlerrcode))
		ReThrowError(error);
	return error;
}
