/*
 * alone.c
 *		Executions of this process that run by themselves next: those that had
 *		trouble in a batch with others, and those that go on after a commit in
 *		their middle.
 *
 * All of them are in the queue: whoever else comes first may take them, and
 * nothing is lost when this process ends.
 */
#include "postgres.h"

#include "common/guc.h"
#include "engine/batch_private.h"
#include "engine/engine_private.h"

#define MAX_ALONE 64

/* That an execution of many steps may have before others of its workflow. */
#define BATCHES_IN_A_ROW	20

/* State of this process, across batches. */
static SagaAlone alone[MAX_ALONE];
static int	nalone = 0;


static SagaAlone *
add(int32 queue_id, const pg_uuid_t *id, const pg_uuid_t *execution_id, bool failed)
{
	SagaAlone  *entry;

	if (nalone == MAX_ALONE)
		return NULL;			/* it stays in the queue and gets here again */
	entry = &alone[nalone++];
	memset(entry, 0, sizeof(*entry));
	entry->queue_id = queue_id;
	entry->id = *id;
	entry->execution_id = *execution_id;
	entry->failed = failed;
	return entry;
}

void
saga_alone_next(int32 queue_id, const pg_uuid_t *id, const pg_uuid_t *execution_id, bool failed)
{
	(void) add(queue_id, id, execution_id, failed);
}

void
saga_engine_in_turn_next(int32 queue_id, const pg_uuid_t *id, const pg_uuid_t *execution_id)
{
	SagaAlone  *entry = add(queue_id, id, execution_id, false);

	if (entry != NULL)
		entry->in_turn = true;
}

bool
saga_alone_take(int32 queue_id, SagaAlone *entry)
{
	int			i;

	for (i = 0; i < nalone; i++)
	{
		if (alone[i].queue_id != queue_id)
			continue;
		*entry = alone[i];
		memmove(&alone[i], &alone[i + 1], sizeof(SagaAlone) * (nalone - i - 1));
		nalone--;
		return true;
	}
	return false;
}

bool
saga_alone_any(int32 queue_id)
{
	int			i;

	for (i = 0; i < nalone; i++)
		if (alone[i].queue_id == queue_id)
			return true;
	return false;
}

/*
 * The next batch begins with it: one execution after the other comes to its
 * end.  But what is behind it in the queue has its turn now and then.
 */
void
saga_alone_go_on(const SagaJob *job, uint64 begun_at)
{
	static pg_uuid_t execution_id;
	static uint64 since;
	uint64		now = saga_monotonic_us();

	if (saga_uuid_cmp(&execution_id, &job->execution_id) != 0)
	{
		execution_id = job->execution_id;
		since = begun_at;
	}
	if (now - since < (uint64) saga_batch_time_ms * 1000 * BATCHES_IN_A_ROW)
		saga_engine_in_turn_next(job->queue->queue_id, &job->tick, &job->execution_id);
	else
		execution_id = saga_uuid_min;
}
