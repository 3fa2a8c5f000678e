/*
 * background.c
 *		Transactions of background processes that serve all owners.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/common.h"
#include "pgstat.h"
#include "utils/snapmgr.h"

void
saga_background_begin(void)
{
	Assert(!IsTransactionState());
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	/* before the first snapshot */
	XactIsoLevel = XACT_READ_COMMITTED;
	XactReadOnly = false;
	XactDeferrable = false;
}

void
saga_background_begin_work(const char *activity)
{
	saga_background_begin();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, activity);
	saga_extension_lock();
}

void
saga_background_commit_work(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	(void) pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
}
