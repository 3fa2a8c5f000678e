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
#include "worker/procs.h"

#define COLUMNS 13

PG_FUNCTION_INFO_V1(saga_worker_status);

typedef struct Reader
{
	ReturnSetInfo *rsinfo;
	bool		sees_all;
} Reader;

static bool
may_see(const Reader *reader, Oid dboid, Oid owner)
{
	if (reader->sees_all)
		return true;
	if (OidIsValid(dboid) && dboid != MyDatabaseId)
		return false;
	return !OidIsValid(owner) || has_privs_of_role(GetUserId(), owner);
}

static void
put_name(Datum *values, bool *nulls, int column, const char *name)
{
	if (name == NULL)
		nulls[column] = true;
	else
		values[column] = DirectFunctionCall1(namein, CStringGetDatum(name));
}

static void
put_processes(Reader *reader)
{
	static const char *const types[] = {
		[SAGA_PROC_LAUNCHER] = "launcher",[SAGA_PROC_COORDINATOR] = "coordinator",
		[SAGA_PROC_WORKER] = "worker",[SAGA_PROC_PUBLISHER] = "publisher",
		[SAGA_PROC_SOURCE] = "source"
	};
	TimestampTz now = GetCurrentTimestamp();
	SagaProcCopy *copies;
	int			n = saga_proc_list(SAGA_AT(SAGA_PROC_LAUNCHER) | SAGA_AT_DATABASE, InvalidOid, &copies);

	for (int i = 0; i < n; i++)
	{
		SagaProcCopy *copy = &copies[i];
		Datum		values[COLUMNS] = {0};
		bool		nulls[COLUMNS] = {false};

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
		nulls[10] = copy->type != SAGA_PROC_COORDINATOR || saga_database_slot(copy->dboid, false) != NULL;
		if (!nulls[10])
			values[10] = CStringGetTextDatum("no place in shared memory is left (pg_saga.max_databases): what is to be done is looked for each second");
		values[11] = TimestampTzGetDatum(now - copy->busy_us);
		nulls[11] = copy->type != SAGA_PROC_WORKER || copy->busy_us < 0;
		values[12] = BoolGetDatum(copy->overstays);
		nulls[12] = copy->type != SAGA_PROC_WORKER;
		tuplestore_putvalues(reader->rsinfo->setResult, reader->rsinfo->setDesc, values, nulls);
	}
}

/* Owners whose executions wait because no worker can be started for them. */
static void
put_notes(Reader *reader)
{
	SagaNote   *notes = palloc(sizeof(saga_procs->notes));

	LWLockAcquire(saga_shared->lock, LW_SHARED);
	memcpy(notes, saga_procs->notes, sizeof(saga_procs->notes));
	LWLockRelease(saga_shared->lock);
	for (int i = 0; i < SAGA_MAX_NOTES; i++)
	{
		Datum		values[COLUMNS] = {0};
		bool		nulls[COLUMNS] = {false};

		if (!OidIsValid(notes[i].dboid) || !may_see(reader, notes[i].dboid, notes[i].owner))
			continue;
		nulls[0] = true;
		values[1] = CStringGetTextDatum("worker");
		put_name(values, nulls, 2, get_database_name(notes[i].dboid));
		put_name(values, nulls, 3, GetUserNameFromId(notes[i].owner, true));
		values[4] = CStringGetTextDatum("waiting");
		nulls[5] = true;
		values[6] = TimestampTzGetDatum(notes[i].since);
		values[7] = values[8] = values[9] = Int64GetDatum(0);
		values[10] = CStringGetTextDatum(notes[i].reason);
		nulls[11] = nulls[12] = true;
		tuplestore_putvalues(reader->rsinfo->setResult, reader->rsinfo->setDesc, values, nulls);
	}
}

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
