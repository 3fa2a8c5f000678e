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
	saga_loop_begin_transaction(&receiver->loop);
	if (synchronous_commit == SYNCHRONOUS_COMMIT_OFF)
		(void) set_config_option("synchronous_commit", "local", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, 0, false);
}

void
saga_receiver_commit(SagaReceiver *receiver)
{
	saga_loop_commit(&receiver->loop);
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
