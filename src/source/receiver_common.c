/*
 * receiver_common.c
 *		What all steps of the receiver stand on: its transactions, its pauses.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/clock.h"
#include "common/guc.h"
#include "pgstat.h"
#include "source/receiver_private.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* What is deleted at the service must be here for good. */
void
saga_receiver_begin(SagaReceiver *receiver)
{
	Assert(!IsTransactionState());
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	/* whatever the role's and the database's defaults are */
	XactIsoLevel = XACT_READ_COMMITTED;
	XactReadOnly = false;
	XactDeferrable = false;
	if (synchronous_commit == SYNCHRONOUS_COMMIT_OFF)
		(void) set_config_option("synchronous_commit", "local", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, 0, false);
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, "receiving");
	saga_extension_lock();
	MemoryContextSwitchTo(receiver->work);
}

void
saga_receiver_commit(SagaReceiver *receiver)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	(void) pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
	MemoryContextSwitchTo(receiver->work);
}

void
saga_source_count_error(void)
{
	if (saga_my_proc != NULL)
		pg_atomic_fetch_add_u64(&saga_my_proc->errors, 1);
}

TimestampTz
saga_source_after_ms(int64 ms)
{
	return TimestampTzPlusMilliseconds(saga_monotonic_now(), ms);
}

/* Doubled each time, and anything from half of it to the whole. */
int64
saga_source_backoff_ms(int failures, int64 min_ms, int64 max_ms)
{
	int64		delay = Min(max_ms, min_ms << Min(failures, 16));
	uint32		random = 0;

	if (!pg_strong_random(&random, sizeof(random)))
		return delay;
	return delay / 2 + (int64) (delay / 2 * (random / (double) PG_UINT32_MAX));
}
