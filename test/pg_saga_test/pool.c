/*
 * pool.c
 *		One turn of a coordinator's pool: who runs, who is ready, and so who is
 *		started and who is asked to leave.
 */
#include "fake.h"

#include "access/xact.h"
#include "common/guc.h"
#include "common/statement.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "queue/shmem_private.h"
#include "source/source.h"
#include "utils/memutils.h"
#include "value/doc.h"
#include "worker/pool_private.h"

static SagaProcsShared shared_procs;
SagaProcsShared *saga_procs = &shared_procs;

/* Of a start that was granted; what became of it is seen from the processes that there are. */
typedef struct FakeHandle
{
	SagaProcType type;
	Oid			owner;
} FakeHandle;

/* Of the turn that is being done. */
static JsonbContainer *world;
static StringInfoData started;
static StringInfoData asked;
static StringInfoData cancelled;
static StringInfoData noted;

static SagaProcType
type_of(const char *name)
{
	if (name == NULL || strcmp(name, "worker") == 0)
		return SAGA_PROC_WORKER;
	return strcmp(name, "publisher") == 0 ? SAGA_PROC_PUBLISHER : SAGA_PROC_SOURCE;
}

static const char *
name_of(SagaProcType type)
{
	return type == SAGA_PROC_WORKER ? "worker" : type == SAGA_PROC_PUBLISHER ? "publisher" : "source";
}

/* ---------- what the pool asks ---------- */

int
saga_worker_proc_list(int types, Oid dboid, SagaProcCopy **copies)
{
	int			n;
	JsonbContainer *procs = fake_array(world, "procs", &n);

	*copies = palloc0(sizeof(SagaProcCopy) * (n + 1));
	for (int i = 0; i < n; i++)
	{
		JsonbContainer *from = fake_object_at(procs, i);
		SagaProcCopy *proc = &(*copies)[i];
		int64		busy = fake_int(from, "busy", -1);
		int64		step = fake_int(from, "step", -1);
		int64		stopped = fake_int(from, "stopped", -1);
		int64		cancel = fake_int(from, "cancelled", -1);

		proc->type = type_of(fake_text(from, "type"));
		proc->owner = (Oid) fake_int(from, "owner", 0);
		proc->pid = (int) fake_int(from, "pid", 0);
		proc->up_us = fake_int(from, "up", 10000) * 1000;
		proc->idle = busy < 0;
		proc->leaving = fake_bool(from, "leaving");
		proc->busy_us = busy < 0 ? -1 : busy * 1000;
		proc->overstays = busy >= 0 && saga_queue_busy_overstays(busy * 1000);
		proc->step = 1;
		proc->step_us = step < 0 ? -1 : step * 1000;
		proc->stopped_us = stopped < 0 ? -1 : stopped * 1000;
		proc->cancel = cancel < 0 ? 0 : 2;
		proc->cancelled_us = Max(cancel, 0) * 1000;
	}
	return n;
}

bool
saga_worker_proc_start(SagaProcType type, SagaProcArgs *args, BackgroundWorkerHandle **handle)
{
	FakeHandle *fake;

	if (fake_bool(world, "full"))
		return false;
	fake = palloc0(sizeof(FakeHandle));
	fake->type = type;
	fake->owner = args->owner;
	*handle = (BackgroundWorkerHandle *) fake;
	fake_next(&started);
	appendStringInfo(&started, "\"%s %u\"", name_of(type), args->owner);
	return true;
}

/* It is there when the world has such a process, on its way when it is "pending", else it has ended. */
BgwHandleStatus
GetBackgroundWorkerPid(BackgroundWorkerHandle *handle, pid_t *pid)
{
	FakeHandle *fake = (FakeHandle *) handle;
	int			n;
	JsonbContainer *array = fake_array(world, "procs", &n);

	for (int i = 0; i < n; i++)
	{
		JsonbContainer *proc = fake_object_at(array, i);

		if (type_of(fake_text(proc, "type")) != fake->type || (Oid) fake_int(proc, "owner", 0) != fake->owner)
			continue;
		*pid = (pid_t) fake_int(proc, "pid", 0);
		return BGWH_STARTED;
	}
	array = fake_array(world, "pending", &n);
	for (int i = 0; i < n; i++)
		if ((Oid) fake_int_at(array, i) == fake->owner)
			return BGWH_NOT_YET_STARTED;
	/* those that this turn has started */
	return started.len > 1 ? BGWH_NOT_YET_STARTED : BGWH_STOPPED;
}

bool
saga_worker_proc_was_told(uint32 start)
{
	return fake_bool(world, "told");
}

void
saga_worker_proc_ask_leave_pid(int pid)
{
	fake_next(&asked);
	appendStringInfo(&asked, "%d", pid);
}

void
saga_worker_proc_cancel_step(const SagaProcCopy *proc, bool hard)
{
	fake_next(&cancelled);
	appendStringInfo(&cancelled, "\"%d%s\"", proc->pid, hard ? " with its process" : "");
}

/* "problems": {"OWNER": "why he can have no session"} */
const char *
saga_worker_owner_problem(Oid owner)
{
	JsonbValue *problems = saga_doc_get(world, "problems");

	return problems == NULL ? NULL : fake_text(problems->val.binary.data, psprintf("%u", owner));
}

SagaNoted
saga_worker_note_set(Oid dboid, Oid owner, const char *reason)
{
	if (reason == NULL)
		return SAGA_NOTED;
	fake_next(&noted);
	appendStringInfo(&noted, "\"%u: %s\"", owner, reason);
	return SAGA_NOTED;
}

void
saga_worker_note_keep(Oid dboid, const List *owners)
{
}

void
saga_worker_proc_begin_transaction(void)
{
}

void
saga_worker_proc_commit(void)
{
}

bool
saga_worker_proc_try_lock_extension(void)
{
	return true;
}

bool
saga_source_any_enabled(void)
{
	return fake_bool(world, "sources");
}

/* Only with queues that have no place in shared memory, which there are not here. */
SagaRows *
saga_statement_query(SagaStatement *statement, const SagaParam *params)
{
	elog(ERROR, "no statement is run here");
}

bool
saga_rows_next(SagaRows *rows)
{
	return false;
}

int32
saga_column_int4(SagaRows *rows, const char *name)
{
	return 0;
}

Oid
saga_column_oid(SagaRows *rows, const char *name)
{
	return InvalidOid;
}

/* ---------- the turn ---------- */

static void
make_queues(const char *member, char kind)
{
	int			n;
	JsonbContainer *owners = fake_array(world, member, &n);

	for (int i = 0; i < n; i++)
		(void) saga_queue_slot_make(1000 * (kind == SAGA_QUEUE_WORKFLOW) + i, (Oid) fake_int_at(owners, i), kind);
}

static void
begin_list(StringInfo list)
{
	initStringInfo(list);
	appendStringInfoChar(list, '[');
}

static void
put_list(StringInfo out, const char *name, StringInfo list)
{
	if (list->len == 1)
		return;
	fake_member(out, name);
	appendStringInfo(out, "%s]", list->data);
}

/* What the coordinator says that it lacks. */
static void
put_missing(StringInfo out, uint32 missing)
{
	for (SagaProcType type = SAGA_PROC_WORKER; type <= SAGA_PROC_SOURCE; type++)
	{
		SagaMissing why = SAGA_MISSING_OF(missing, type);

		if (why != SAGA_MISSING_NONE)
			fake_put_text(out, psprintf("no %s", name_of(type)), why == SAGA_MISSING_PLACE ? "place" : "setting");
	}
}

/*
 * pool_turn(world jsonb): owners with "ready" workflows and "destinations"; "procs"; "now".  Starts that an earlier turn of
 * this session asked for are remembered.
 */
PG_FUNCTION_INFO_V1(saga_test_pool_turn);

Datum
saga_test_pool_turn(PG_FUNCTION_ARGS)
{
	static SagaProcSlot slot;
	StringInfoData out;
	TimestampTz next;

	world = &PG_GETARG_JSONB_P(0)->root;
	saga_max_queues = 64;
	saga_shmem_startup();
	saga_my_proc = &slot;
	saga_workers = (int) fake_int(world, "workers", 2);
	saga_publishers = (int) fake_int(world, "publishers", 1);
	saga_sources = !fake_bool(world, "sources_off");
	saga_batch_time_ms = 100;
	saga_step_timeout_ms = (int) fake_int(world, "step_timeout", 0);
	saga_worker_idle_timeout_ms = 60000;
	fake_now = 1000000000 + fake_int(world, "now", 0) * 1000;
	pg_atomic_write_u32(&slot.watching, 0);
	pg_atomic_write_u32(&shared_procs.roles, (uint32) fake_int(world, "roles", 0));
	pg_atomic_write_u32(&shared_procs.lost_publishers, (uint32) fake_int(world, "lost", 0));
	make_queues("ready", SAGA_QUEUE_WORKFLOW);
	make_queues("destinations", SAGA_QUEUE_DESTINATION);
	begin_list(&started);
	begin_list(&asked);
	begin_list(&cancelled);
	begin_list(&noted);
	next = saga_pool_turn();
	saga_my_proc = NULL;

	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	put_list(&out, "started", &started);
	put_list(&out, "asked", &asked);
	put_list(&out, "cancelled", &cancelled);
	put_list(&out, "noted", &noted);
	if (next != DT_NOEND)
		fake_put_int(&out, "again", (next - fake_now) / 1000);
	if (pg_atomic_read_u32(&slot.watching) != 0)
		fake_put_bool(&out, "watching", true);
	put_missing(&out, pg_atomic_read_u32(&slot.missing));
	appendStringInfoChar(&out, '}');
	PG_RETURN_DATUM(fake_result(&out));
}
