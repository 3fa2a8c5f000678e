/*
 * wake.c
 *		Places of processes in shared memory, and who of them is woken when
 *		something becomes claimable (src/queue/proc.c).
 */
#include "fake.h"

#include "common/guc.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "queue/shmem_private.h"
#include "storage/latch.h"
#include "value/doc.h"

#define DATABASE	((Oid) 7)

static const char *const types[] = {
	[SAGA_PROC_LAUNCHER] = "launcher",[SAGA_PROC_COORDINATOR] = "coordinator",
	[SAGA_PROC_WORKER] = "worker",[SAGA_PROC_PUBLISHER] = "publisher",
	[SAGA_PROC_RECEIVER] = "receiver",[SAGA_PROC_SOURCE] = "source",
	[SAGA_PROC_DRAIN] = "drain"
};

static SagaProcType
type_of(const char *name)
{
	for (int i = SAGA_PROC_LAUNCHER; i < lengthof(types); i++)
		if (name != NULL && strcmp(types[i], name) == 0)
			return (SagaProcType) i;
	elog(ERROR, "no such type of a process");
}

/* As the process itself would; NULL: there is no place. */
static SagaProcSlot *
attach(JsonbContainer *proc, PGPROC *pgproc)
{
	SagaProcType type = type_of(fake_text(proc, "type"));
	int64		busy = fake_int(proc, "busy", -1);
	SagaProcSlot *slot = saga_proc_attach(type, type == SAGA_PROC_LAUNCHER ? InvalidOid : DATABASE,
										  (Oid) fake_int(proc, "owner", 0), (int32) fake_int(proc, "queue", 0));

	saga_my_proc = NULL;
	if (slot == NULL)
		return NULL;
	slot->proc = pgproc;
	pg_atomic_write_u32(&slot->sleeping, busy < 0 && !fake_bool(proc, "awake"));
	if (busy >= 0)
		pg_atomic_write_u64(&slot->busy_since, saga_monotonic_us() - (uint64) busy * 1000);
	return slot;
}

/* Its place: of a session counted from the first that a session may have. */
static void
put_place(StringInfo out, const SagaProcSlot *slot)
{
	int			place = slot == NULL ? -1 : (int) (slot - saga_shared->procs);

	fake_next(out);
	if (place < saga_shared->max_background)
		appendStringInfo(out, "%d", place);
	else
		appendStringInfo(out, "\"session %d\"", place - saga_shared->max_background);
}

/*
 * wake(world jsonb): "procs" attach one after the other, some of them are
 * "gone" then, and "come" comes; at last a message comes for "kind" (w, d, q)
 * and its "owner" or "queue".  An "awake" process does not sleep; it is "busy"
 * for so many ms.
 */
PG_FUNCTION_INFO_V1(saga_test_wake);

Datum
saga_test_wake(PG_FUNCTION_ARGS)
{
	JsonbContainer *world = &PG_GETARG_JSONB_P(0)->root;
	char	   *kind = fake_text(world, "kind");
	SagaQueueKey key = {DATABASE, (int32) fake_int(world, "queue", 1), (Oid) fake_int(world, "owner", 0), 'q'};
	StringInfoData out;
	JsonbContainer *procs;
	JsonbContainer *gone;
	SagaProcSlot **slots;
	PGPROC	   *pgprocs;
	int			nprocs;
	int			ngone;

	saga_max_queues = 64;
	saga_batch_time_ms = 100;
	saga_publishers = (int) fake_int(world, "publishers", 2);
	saga_my_proc = NULL;
	saga_shmem_startup();
	procs = fake_array(world, "procs", &nprocs);
	gone = fake_array(world, "gone", &ngone);
	slots = palloc0(sizeof(SagaProcSlot *) * (nprocs + 1));
	pgprocs = palloc0(sizeof(PGPROC) * (nprocs + 1));
	initStringInfo(&out);
	appendStringInfoString(&out, "{\"places\":[");
	for (int i = 0; i < nprocs; i++)
	{
		slots[i] = attach(fake_object_at(procs, i), &pgprocs[i]);
		put_place(&out, slots[i]);
	}
	for (int i = 0; i < ngone; i++)
	{
		saga_my_proc = slots[fake_int_at(gone, i)];
		saga_proc_detach();
	}
	if (fake_has(world, "come"))
		put_place(&out, attach(saga_doc_get(world, "come")->val.binary.data, &pgprocs[nprocs]));
	appendStringInfoChar(&out, ']');
	fake_put_int(&out, "in_use_to", saga_shared->end_procs - saga_shared->max_background);
	if (kind != NULL)
	{
		for (int i = 0; i < nprocs; i++)
			ResetLatch(&pgprocs[i].procLatch);
		key.kind = kind[0];
		saga_queue_push_key(&key, NULL);
		fake_member(&out, "woken");
		appendStringInfoChar(&out, '[');
		for (int i = 0; i < nprocs; i++)
		{
			if (!pgprocs[i].procLatch.is_set)
				continue;
			fake_next(&out);
			appendStringInfo(&out, "%d", i);
		}
		appendStringInfoChar(&out, ']');
	}
	appendStringInfoChar(&out, '}');
	PG_RETURN_DATUM(fake_result(&out));
}
