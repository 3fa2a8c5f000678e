/*
 * pace.c
 *		How many executions a batch claims, and what a step may take in it.
 *
 * What is claimed is locked, and what has run is not committed, until the
 * batch ends: all of it waits for the slowest step.  So a batch claims what
 * fits into pg_saga.batch_time, as the runs of the workflow go; of one that
 * nobody has measured yet a single execution.
 *
 * A step that is slow against all expectation is cancelled while others are
 * in its batch: its execution is rolled back, the others are committed or
 * given back, and it runs by itself.
 */
#include "postgres.h"

#include "common/guc.h"
#include "engine/batch_private.h"
#include "engine/engine_private.h"
#include "engine/step_private.h"
#include "miscadmin.h"
#include "utils/timeout.h"

/* A run counts for one part in so many, and for a second at most. */
#define SAMPLES			8
#define LONGEST_US		1000000

/* Of this process: queues without a slot, and what was held by others. */
#define REMEMBERED		64

typedef struct Remembered
{
	int32		queue_id;
	uint32		run_us;
	int			held;
} Remembered;

static Remembered remembered[REMEMBERED];

bool		saga_step_crowded = false;

static TimeoutId crowd_timeout;
static bool crowd_registered = false;
static bool crowd_armed = false;


static Remembered *
remember(int32 queue_id)
{
	Remembered *r = &remembered[(uint32) queue_id % REMEMBERED];

	if (r->queue_id != queue_id)
	{
		memset(r, 0, sizeof(*r));
		r->queue_id = queue_id;
	}
	return r;
}

/* Microseconds that a run takes; 0: not known.  The slot may be another queue's by now: then it is a bad guess. */
static uint32
expected_us(const SagaBatch *batch)
{
	if (batch->slot != NULL)
		return pg_atomic_read_u32(&batch->slot->run_us);
	return remember(batch->queue->queue_id)->run_us;
}

/*
 * Events of executions that others are running come first in the queue and
 * stay there: what is behind them has its turn too.
 */
int
saga_pace_limit(const SagaBatch *batch, int most)
{
	uint32		us = expected_us(batch);
	int64		limit = us == 0 ? 1 : (int64) saga_batch_time_ms * 1000 / us;

	return (int) Min(Max(limit, 1) + remember(batch->queue->queue_id)->held, most);
}

/* Would so many executions fill a batch?  Then others had better help. */
bool
saga_pace_is_slow(const SagaBatch *batch, int limit)
{
	uint32		us = expected_us(batch);

	return us == 0 || (int64) us * limit >= (int64) saga_batch_time_ms * 1000 / 2;
}

void
saga_pace_ran(int32 queue_id, SagaQueueSlot *slot, uint64 us)
{
	/* of a step that was cancelled it is only known that it takes longer */
	uint32		now = saga_step_crowded ? LONGEST_US : (uint32) Min(Max(us, 1), LONGEST_US);
	uint32		before = slot != NULL ? pg_atomic_read_u32(&slot->run_us) : remember(queue_id)->run_us;
	uint32		after = before == 0 ? now : ((SAMPLES - 1) * before + now) / SAMPLES;

	if (slot != NULL)
		pg_atomic_write_u32(&slot->run_us, Max(after, 1));
	else
		remember(queue_id)->run_us = Max(after, 1);
}

void
saga_pace_held(int32 queue_id, int held)
{
	remember(queue_id)->held = held;
}

/* ---------- a step that others wait for ---------- */

/* Signal handler. */
static void
crowd_handler(void)
{
	if (!saga_in_step || saga_step_timed_out)
		return;
	saga_step_crowded = true;
	saga_step_interrupt();
}

/* Before a run that has company in its batch. */
void
saga_pace_crowd_begin(void)
{
	if (!crowd_registered)
	{
		crowd_timeout = RegisterTimeout(USER_TIMEOUT, crowd_handler);
		crowd_registered = true;
	}
	enable_timeout_after(crowd_timeout, (int) saga_queue_overstay_ms());
	crowd_armed = true;
}

/* However the run ended. */
void
saga_pace_crowd_end(void)
{
	if (crowd_armed)
		disable_timeout(crowd_timeout, false);
	crowd_armed = false;
}
