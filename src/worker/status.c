/*
 * status.c
 *		saga.workers: the processes of pg_saga, from shared memory.
 *
 * Members of pg_read_all_stats see everything; anyone else the processes of
 * the current database that serve no owner, and those of owners whose
 * privileges they have.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "worker/procs_private.h"

#define COLUMNS 17

PG_FUNCTION_INFO_V1(saga_worker_status);

static const char *const types[] = {
	[SAGA_PROC_LAUNCHER] = "launcher",[SAGA_PROC_COORDINATOR] = "coordinator",
	[SAGA_PROC_WORKER] = "worker",[SAGA_PROC_PUBLISHER] = "publisher",
	[SAGA_PROC_SOURCE] = "source"
};

typedef struct Reader
{
	ReturnSetInfo *rsinfo;
	bool		sees_all;
} Reader;

/* May the caller see a process of this database and owner? */
static bool
may_see(const Reader *reader, Oid dboid, Oid owner)
{
	if (reader->sees_all)
		return true;
	if (OidIsValid(dboid) && dboid != MyDatabaseId)
		return false;
	return !OidIsValid(owner) || has_privs_of_role(GetUserId(), owner);
}

/* A column of type name, or NULL. */
static void
put_name(Datum *values, bool *nulls, int column, const char *name)
{
	if (name == NULL)
		nulls[column] = true;
	else
		values[column] = DirectFunctionCall1(namein, CStringGetDatum(name));
}

/* What is missing in shared memory, of a database and of the server.  It makes things late, nothing else. */
static const char *
missing_place(const SagaProcCopy *copy)
{
	if (copy->type == SAGA_PROC_COORDINATOR && saga_database_slot(copy->dboid, false) == NULL)
		return "no place in shared memory is left (pg_saga.max_databases): what is to be done is looked for each second";
	if (copy->type == SAGA_PROC_LAUNCHER && saga_queue_places_are_taken())
		return "all places for queues in shared memory are taken (pg_saga.max_queues): what is ready in others is looked for each second";
	return NULL;
}

/*
 * A process that cannot be started: of an owner, whose executions wait, or for
 * all that there is in a database.
 */
static void
put_reason(Reader *reader, SagaProcType type, Oid dboid, Oid owner, const char *reason, const TimestampTz *since)
{
	Datum		values[COLUMNS] = {0};
	bool		nulls[COLUMNS] = {false};

	nulls[0] = true;
	values[1] = CStringGetTextDatum(types[type]);
	put_name(values, nulls, 2, OidIsValid(dboid) ? get_database_name(dboid) : NULL);
	put_name(values, nulls, 3, OidIsValid(owner) ? GetUserNameFromId(owner, true) : NULL);
	/* no process: the row stands for the one that cannot be started */
	values[4] = CStringGetTextDatum("waiting");
	nulls[5] = true;
	nulls[6] = since == NULL;
	if (since != NULL)
		values[6] = TimestampTzGetDatum(*since);
	values[7] = values[8] = values[9] = Int64GetDatum(0);
	values[10] = CStringGetTextDatum(reason);
	for (int i = 11; i < COLUMNS; i++)
		nulls[i] = true;
	tuplestore_putvalues(reader->rsinfo->setResult, reader->rsinfo->setDesc, values, nulls);
}

/* What this process would start, and cannot. */
static void
put_missing(Reader *reader, const SagaProcCopy *copy)
{
	static const char *const settings[] = {
		[SAGA_PROC_WORKER] = "pg_saga.workers is 0",[SAGA_PROC_PUBLISHER] = "pg_saga.publishers is 0",
		[SAGA_PROC_SOURCE] = "pg_saga.sources is off"
	};

	for (int type = SAGA_PROC_COORDINATOR; type < lengthof(types); type++)
		switch (SAGA_MISSING_OF(copy->missing, type))
		{
			case SAGA_MISSING_NONE:
				break;
			case SAGA_MISSING_PLACE:
				put_reason(reader, type, copy->dboid, InvalidOid, "no free background worker slot (max_worker_processes)",
						   &copy->missing_since);
				break;
			case SAGA_MISSING_SETTING:
				put_reason(reader, type, copy->dboid, InvalidOid, settings[type], &copy->missing_since);
				break;
		}
}

/*
 * What a worker runs, in which state, and since when it is in that step.  Names
 * of another database may be in another encoding.
 */
static void
put_run(const SagaProcCopy *copy, TimestampTz now, Datum *values, bool *nulls)
{
	SagaProcShown *shown = palloc(sizeof(SagaProcShown));

	nulls[13] = nulls[14] = nulls[15] = nulls[16] = true;
	if (copy->type != SAGA_PROC_WORKER || copy->dboid != MyDatabaseId || copy->busy_us < 0 ||
		!saga_proc_shown(copy->slot, copy->pid, shown))
		return;
	values[13] = CStringGetTextDatum(shown->workflow);
	values[14] = UUIDPGetDatum(&shown->execution_id);
	nulls[13] = nulls[14] = false;
	if (shown->state[0] == '\0' || copy->step_us < 0)
		return;
	values[15] = CStringGetTextDatum(shown->state);
	values[16] = TimestampTzGetDatum(now - copy->step_us);
	nulls[15] = nulls[16] = false;
}

/* A row for each process. */
static void
put_processes(Reader *reader)
{
	TimestampTz now = GetCurrentTimestamp();
	SagaProcCopy *copies;
	int			n = saga_worker_proc_list(SAGA_AT(SAGA_PROC_LAUNCHER) | SAGA_AT_DATABASE, InvalidOid, &copies);

	for (int i = 0; i < n; i++)
	{
		SagaProcCopy *copy = &copies[i];
		Datum		values[COLUMNS] = {0};
		bool		nulls[COLUMNS] = {false};
		const char *reason;

		if (!may_see(reader, copy->dboid, copy->owner))
			continue;
		values[0] = Int32GetDatum(copy->pid);
		values[1] = CStringGetTextDatum(types[copy->type]);
		put_name(values, nulls, 2, OidIsValid(copy->dboid) ? get_database_name(copy->dboid) : NULL);
		put_name(values, nulls, 3, OidIsValid(copy->owner) ? GetUserNameFromId(copy->owner, true) : NULL);
		if (copy->type == SAGA_PROC_LAUNCHER || copy->type == SAGA_PROC_COORDINATOR)
			values[4] = CStringGetTextDatum(copy->leaving ? "leaving" : "running");
		else
			values[4] = CStringGetTextDatum(copy->leaving ? "leaving" : copy->idle ? "idle" : "busy");
		values[5] = TimestampTzGetDatum(copy->started_at);
		values[6] = TimestampTzGetDatum(copy->last_active);
		values[7] = Int64GetDatum(copy->batches);
		values[8] = Int64GetDatum(copy->done);
		values[9] = Int64GetDatum(copy->errors);
		reason = missing_place(copy);
		/* a lack of places is told once, at the process that is there for it */
		nulls[10] = reason == NULL;
		if (reason != NULL)
			values[10] = CStringGetTextDatum(reason);
		values[11] = TimestampTzGetDatum(now - copy->busy_us);
		nulls[11] = copy->busy_us < 0;
		values[12] = BoolGetDatum(copy->overstays);
		nulls[12] = copy->type != SAGA_PROC_WORKER;
		put_run(copy, now, values, nulls);
		tuplestore_putvalues(reader->rsinfo->setResult, reader->rsinfo->setDesc, values, nulls);
		put_missing(reader, copy);
	}
}

/* Owners of this database whose workflows are ready, with repetitions. */
static int
read_waiting(Oid **owners)
{
	int			n = 0;

	*owners = palloc(mul_size(saga_shared->max_queues, sizeof(Oid)));
	LWLockAcquire(saga_shared->lock, LW_SHARED);
	for (int i = 0; i < saga_shared->max_queues; i++)
	{
		SagaQueueSlot *slot = &saga_shared->queues[i];

		if (slot->dboid == MyDatabaseId && slot->kind == SAGA_QUEUE_WORKFLOW &&
			pg_atomic_read_u32(&slot->ready) != 0)
			(*owners)[n++] = slot->owner;
	}
	LWLockRelease(saga_shared->lock);
	return n;
}

/* For qsort. */
static int
compare_oids(const void *a, const void *b)
{
	Oid			x = *(const Oid *) a;
	Oid			y = *(const Oid *) b;

	return (x > y) - (x < y);
}

/* Those of whom there was no place to note why: the coordinator found out what we find out here. */
static void
put_unnoted(Reader *reader, const SagaNote *notes)
{
	Oid		   *owners;
	int			n = read_waiting(&owners);

	qsort(owners, n, sizeof(Oid), compare_oids);
	for (int i = 0; i < n; i++)
	{
		bool		noted = i > 0 && owners[i] == owners[i - 1];
		const char *problem;

		CHECK_FOR_INTERRUPTS();
		for (int j = 0; j < SAGA_MAX_NOTES && !noted; j++)
			noted = notes[j].dboid == MyDatabaseId && notes[j].owner == owners[i];
		if (noted || !may_see(reader, MyDatabaseId, owners[i]))
			continue;
		problem = saga_worker_owner_problem(owners[i]);
		if (problem != NULL)
			put_reason(reader, SAGA_PROC_WORKER, MyDatabaseId, owners[i], problem, NULL);
	}
	pfree(owners);
}

/* The places for them are few: they are looked for again only when all are taken. */
static void
put_notes(Reader *reader)
{
	SagaNote   *notes = palloc(sizeof(saga_procs->notes));
	bool		full = true;

	LWLockAcquire(saga_shared->lock, LW_SHARED);
	memcpy(notes, saga_procs->notes, sizeof(saga_procs->notes));
	LWLockRelease(saga_shared->lock);
	for (int i = 0; i < SAGA_MAX_NOTES; i++)
	{
		full &= OidIsValid(notes[i].dboid);
		if (OidIsValid(notes[i].dboid) && may_see(reader, notes[i].dboid, notes[i].owner))
			put_reason(reader, SAGA_PROC_WORKER, notes[i].dboid, notes[i].owner, notes[i].reason, &notes[i].since);
	}
	if (full)
		put_unnoted(reader, notes);
	pfree(notes);
}

/* What saga.workers shows; without shared memory no row. */
Datum
saga_worker_status(PG_FUNCTION_ARGS)
{
	Reader		reader;

	saga_init_srf(fcinfo);
	reader.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	reader.sees_all = has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
	if (saga_shared != NULL && saga_procs != NULL)
	{
		put_processes(&reader);
		put_notes(&reader);
	}
	return (Datum) 0;
}
