/*
 * redrive.c
 *		saga.redrive_execution(): an execution that has failed goes on in its
 *		place, under its id, its version and its history.
 *
 * What that needs was kept as it failed (redrive_point.c).  To redrive one is
 * to make a continuation of it again, with a tick that brings it to a worker:
 * no code of a user's runs before.
 *
 * Lock order, as in entry.c: the dead letter, the execution.  Of two who
 * redrive one the second finds no execution that has ended.
 */
#include "postgres.h"

#include "common/statement.h"
#include "engine/batch_private.h"
#include "engine/children_private.h"
#include "engine/engine_private.h"
#include "engine/entry_private.h"
#include "engine/execution_private.h"
#include "engine/workflow_private.h"
#include "miscadmin.h"
#include "outbox/outbox.h"
#include "value/doc.h"

PG_FUNCTION_INFO_V1(saga_redrive_execution);

/* ---------- the execution ---------- */

/* One that has ended, and what was kept of it. */
typedef struct Ended
{
	int			version;
	TimestampTz started_at;
	char		status;
	int			runs;
	char	   *name;
	pg_uuid_t	parent_id;
	pg_uuid_t	started_by;		/* whose child it is */
	bool		is_child;
	pg_uuid_t	redriven_as;	/* another one that was started in its place; zero: none */
	bool		works_on;		/* what it has started has not ended */
	Jsonb	   *input;
	Jsonb	   *record;			/* {"compensated", "not_compensated", "effects"} */
	bool		left;			/* an entry of not_compensated is open */
	bool		unknown;		/* of one nobody knows */
	Jsonb	   *point;
	Jsonb	   *ended;
	int			redrives;
} Ended;

/* As it is locked.  False: it goes on already. */
static bool
read_ended(const pg_uuid_t *id, int32 workflow_id, Ended *ended)
{
	static SagaStatement stmt = {
		.sql = "SELECT e.version, e.started_at, e.status, e.runs, e.name, e.parent_id,"
		" e.children_id IS NOT NULL AS is_child, (SELECT c.parent_id FROM saga.children c WHERE c.children_id = e.children_id) AS started_by,"
		" (SELECT d.redriven_as FROM saga.dead_letter d WHERE d.message_id = e.execution_id AND d.queue_id = e.workflow_id"
		" AND d.kind = 's' AND d.redriven_as <> e.execution_id LIMIT 1) AS redriven_as, e.input,"
		" " SAGA_OPEN_CHILDREN("e.execution_id") " AS works_on,"
		" jsonb_build_object('compensated', e.compensated, 'not_compensated', e.not_compensated, 'effects', e.effects) AS record,"
		" " SAGA_OPEN_ENTRY("e.not_compensated", "") " AS has_left, "
		SAGA_OPEN_ENTRY("e.not_compensated", " && @.outcome != \"done\"") " AS unknown,"
		" p.point, p.ended, coalesce(p.redrives, 0) AS redrives"
		" FROM saga.execution e LEFT JOIN saga.redrive_point p USING (execution_id, workflow_id)"
		" WHERE e.execution_id = $execution_id AND e.workflow_id = $workflow_id",
		.limit = 1
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_uuid("execution_id", id), saga_param_int4("workflow_id", workflow_id));

	if (!saga_rows_next(rows))
		return false;
	ended->version = saga_column_int4(rows, "version");
	ended->started_at = saga_column_timestamptz(rows, "started_at");
	ended->status = saga_column_char(rows, "status");
	ended->runs = saga_column_int4(rows, "runs");
	ended->name = saga_column_text(rows, "name");
	ended->parent_id = saga_column_uuid(rows, "parent_id");
	ended->is_child = saga_column_bool(rows, "is_child");
	ended->started_by = saga_column_uuid(rows, "started_by");
	ended->redriven_as = saga_column_uuid(rows, "redriven_as");
	ended->works_on = saga_column_bool(rows, "works_on");
	ended->input = saga_column_jsonb(rows, "input");
	ended->record = saga_column_jsonb(rows, "record");
	ended->left = saga_column_bool(rows, "has_left");
	ended->unknown = saga_column_bool(rows, "unknown");
	ended->point = saga_column_jsonb(rows, "point");
	ended->ended = saga_column_jsonb(rows, "ended");
	ended->redrives = saga_column_int4(rows, "redrives");
	return true;
}

/* ---------- what is refused ---------- */

/* 0 is no workflow. */
static bool
may_operate(int32 workflow_id)
{
	const SagaWorkflow *workflow = workflow_id != 0 ? saga_workflow_by_id(workflow_id, true) : NULL;

	return workflow != NULL && saga_workflow_may(workflow, SAGA_RIGHT_OPERATE);
}

/* Also of one that somebody else has redriven just now. */
static void
is_running(const pg_uuid_t *id)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("execution %s has not ended and cannot be redriven", saga_uuid_to_cstring(id)),
			 errhint("saga.stop_execution ends it.")));
}

/* The workflow of one that has ended, if the caller may operate it; whether it has is for nobody else to know. */
static int32
find_ended(const pg_uuid_t *id)
{
	int32		live;
	int32		ended;

	saga_store_find_workflow(id, &live, &ended);
	if (may_operate(ended))
		return ended;
	if (may_operate(live))
		is_running(id);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("execution %s does not exist", saga_uuid_to_cstring(id)),
			 errhint("What ended long ago was removed (pg_saga.execution_retention); what could not begin is in saga.dead_letters.")));
	return 0;					/* not reached */
}

/* Raises. */
static void
refuse(const pg_uuid_t *id, const char *why, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("execution %s %s", saga_uuid_to_cstring(id), why),
			 errhint("%s", hint)));
}

/* What it is that stands in the way, whatever is forced; NULL: nothing does.  *hint: what to do instead. */
static const char *
obstacle(const Ended *ended, const char **hint)
{
	if (ended->status == 's')
	{
		*hint = "Start another one.";
		return "has succeeded and cannot be redriven";
	}
	if (ended->is_child)
	{
		*hint = psprintf("Redrive execution %s.", saga_uuid_to_cstring(&ended->started_by));
		return "was started by another one, with which it is redriven";
	}
	if (saga_uuid_cmp(&ended->parent_id, &saga_uuid_min) != 0)
	{
		*hint = psprintf("saga.settle says of execution %s what is to be done with it.", saga_uuid_to_cstring(&ended->parent_id));
		return "undoes another one and cannot be redriven";
	}
	if (saga_uuid_cmp(&ended->redriven_as, &saga_uuid_min) != 0)
	{
		*hint = psprintf("That is execution %s.", saga_uuid_to_cstring(&ended->redriven_as));
		return "has another one in its place and cannot be redriven";
	}
	/* else what is begun anew would run beside what is undone */
	if (ended->works_on)
	{
		*hint = SAGA_OPEN_CHILDREN_HINT;
		return "has started others that have not ended, and cannot be redriven yet";
	}
	return NULL;
}

static bool
has_point(const Ended *ended)
{
	return ended->point != NULL && ended->ended != NULL;
}

/* Raises: what no force helps against. */
static void
check_redrivable(const pg_uuid_t *id, const Ended *ended)
{
	const char *hint;
	const char *why = obstacle(ended, &hint);

	if (why != NULL)
		refuse(id, why, hint);
	if (!has_point(ended))
		refuse(id, "cannot be redriven, as nothing was kept of its run",
			   "It ended before an update of pg_saga, its run was too large, or another one was started in its place. saga.redrive_anew starts another one for its dead letter.");
}

/* ---------- what is left ---------- */

/* Raises: it, or a child that would be begun anew, has left something. */
static void
refuse_left(const pg_uuid_t *id, const pg_uuid_t *child, bool unknown)
{
	const char *who = child != NULL ?
	psprintf("execution %s, which execution %s has started,", saga_uuid_to_cstring(child), saga_uuid_to_cstring(id)) :
	psprintf("execution %s", saga_uuid_to_cstring(id));

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 unknown ? errmsg("%s has left something that nobody knows of", who) :
			 errmsg("%s has left something that was not undone", who),
			 errdetail("saga.executions says in not_compensated what it is."),
			 errhint("Find out, undo it, and say so with saga.settle; or redrive it with force, after which nobody undoes what it does once more.")));
}

/* One of those that would be begun anew, and what it has left; false: none has anything. */
static bool
child_has_left(const SagaJob *job, const Ended *ended, pg_uuid_t *child, bool *unknown)
{
	SagaRows   *rows;
	bool		found;

	if (!saga_machine_has_children(job->machine))
		return false;
	rows = saga_children_left(&job->execution_id, saga_run_point_calls(job->machine, &job->env, ended->point), 1);
	found = saga_rows_next(rows);
	if (found)
	{
		*child = saga_column_uuid(rows, "execution_id");
		*unknown = saga_column_bool(rows, "unknown");
	}
	saga_rows_free(rows);
	return found;
}

/* So many at a time: a Map may have a million. */
#define CHILDREN_AT_ONCE	1000

/* What they have left is closed, for him who could close it with saga.settle as well. */
static void
close_children(const SagaJob *job, const Ended *ended)
{
	const List *calls = saga_run_point_calls(job->machine, &job->env, ended->point);
	uint64		n;

	do
	{
		SagaRows   *rows = saga_children_left(&job->execution_id, calls, CHILDREN_AT_ONCE);

		n = rows->count;
		while (saga_rows_next(rows))
		{
			pg_uuid_t	child = saga_column_uuid(rows, "execution_id");
			int32		workflow_id = saga_column_int4(rows, "workflow_id");

			CHECK_FOR_INTERRUPTS();
			if (!may_operate(workflow_id))
				ereport(ERROR,
						(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						 errmsg("execution %s, which execution %s has started, has left something that you may not settle",
								saga_uuid_to_cstring(&child), saga_uuid_to_cstring(&job->execution_id)),
						 errhint("The right operate on its workflow is needed.")));
			saga_entry_close(&child, workflow_id, NULL);
		}
		saga_rows_free(rows);
	} while (n == CHILDREN_AT_ONCE);
}

/*
 * What it and its children have left, unless it is nothing; or is closed, by
 * force.  A call that nobody knew of may be repeated under its key then, by
 * itself; children are other executions, with other keys.
 */
static void
settle_entries(const SagaJob *job, const Ended *ended, bool force)
{
	const pg_uuid_t *id = &job->execution_id;
	pg_uuid_t	child;
	bool		unknown;

	if (ended->left && !force)
		refuse_left(id, NULL, ended->unknown);
	if (child_has_left(job, ended, &child, &unknown))
	{
		if (!force)
			refuse_left(id, &child, unknown);
		close_children(job, ended);
	}
	if (ended->left)
		saga_entry_close(id, job->queue->queue_id, id);
	else
		saga_outbox_hand_on(id, id);
}

/* ---------- it goes on ---------- */

/* Its row goes, and the events in it are those of an earlier run. */
static void
forget_end(const pg_uuid_t *id, int32 workflow_id)
{
	static SagaStatement history_stmt = {
		.sql = "INSERT INTO saga.history (execution_id, run, events) SELECT execution_id, runs, history FROM saga.execution"
		" WHERE execution_id = $execution_id AND workflow_id = $workflow_id AND history IS NOT NULL"
	};
	static SagaStatement execution_stmt = {
		.sql = "DELETE FROM saga.execution WHERE execution_id = $execution_id AND workflow_id = $workflow_id"
	};
	static SagaStatement letter_stmt = {
		.sql = "UPDATE saga.dead_letter SET redriven_at = now(), redriven_as = $execution_id WHERE message_id = $execution_id"
		" AND queue_id = $workflow_id AND kind = 's' AND redriven_at IS NULL"
	};
	static SagaStatement point_stmt = {
		.sql = "UPDATE saga.redrive_point SET point = NULL, ended = NULL, redrives = redrives + 1, redriven_at = now()"
		" WHERE execution_id = $execution_id AND workflow_id = $workflow_id"
	};
	const SagaParam params[] = {
		saga_param_uuid("execution_id", id),
		saga_param_int4("workflow_id", workflow_id),
		{.name = NULL}
	};

	saga_statement_run(&history_stmt, params);
	saga_statement_run(&execution_stmt, params);
	saga_statement_run(&letter_stmt, params);
	saga_statement_run(&point_stmt, params);
}

/* What it becomes, without its run. */
static void
make_job(SagaJob *job, const SagaQueue *queue, const pg_uuid_t *id, const Ended *ended)
{
	memset(job, 0, sizeof(SagaJob));
	job->queue = queue;
	job->version = ended->version;
	job->execution_id = *id;
	job->name = ended->name;
	job->input = ended->input;
	job->started_at = ended->started_at;
	job->runs = ended->runs;
	job->timed_out_task = -1;
	job->child_index = -1;
	job->early = true;
	saga_job_environment(job);
}

/* Its run from where it failed; parked, with a tick that brings it to a worker. */
static void
go_on(SagaJob *job, const Ended *ended, Jsonb *input)
{
	const pg_uuid_t *id = &job->execution_id;
	int			entered;

	job->run = saga_run_redrive(job->machine, &job->env, ended->point, ended->ended, ended->record, input,
								ended->redrives + 1, GetCurrentTimestamp(), &entered);
	if (input != NULL && entered != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("execution %s goes on in %d states, which cannot all have the same input",
						saga_uuid_to_cstring(id), entered),
				 errhint("Redrive it without an input.")));
	forget_end(id, job->queue->queue_id);
	saga_store_park(NULL, job, DT_NOEND);
}

/*
 * A child, say, does not go on by itself, and does not begin anew either,
 * unless it is asked for.  Who has to do without a point is told why.
 */
SagaInPlace
saga_engine_redrive_in_place(const SagaQueue *queue, const pg_uuid_t *id, const SagaRedriveHow *how, char **why)
{
	Ended		ended;
	SagaJob		job;
	const char *hint;

	saga_entry_lock_ended(id, queue->queue_id);
	if (!read_ended(id, queue->queue_id, &ended))
		*why = "Its record is gone (pg_saga.execution_retention).";
	else if (obstacle(&ended, &hint) != NULL)
	{
		if (!how->many)
			refuse(id, obstacle(&ended, &hint), psprintf("%s Or saga.redrive_anew starts another one in its place.", hint));
		return SAGA_IN_PLACE_STAYS;
	}
	else if (!has_point(&ended))
		*why = "It ended before an update of pg_saga, or its run was too large to be kept.";
	else if (!saga_workflow_has_version(saga_workflow_by_id(queue->queue_id, false), ended.version))
		*why = psprintf("Its version %d was made for another owner.", ended.version);
	else
	{
		pg_uuid_t	child;
		bool		unknown;

		make_job(&job, queue, id, &ended);
		if (how->many && !how->force && (ended.left || child_has_left(&job, &ended, &child, &unknown)))
			return SAGA_IN_PLACE_STAYS;
		settle_entries(&job, &ended, how->force);
		go_on(&job, &ended, NULL);
		return SAGA_IN_PLACE_GOES_ON;
	}
	return SAGA_IN_PLACE_HAS_NO_POINT;
}

/* redrive_execution(id uuid, input jsonb, force boolean) */
Datum
saga_redrive_execution(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *id;
	Jsonb	   *input = PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1);
	bool		force = !PG_ARGISNULL(2) && PG_GETARG_BOOL(2);
	const SagaQueue *queue;
	int32		workflow_id;
	Ended		ended;
	SagaJob		job;

	saga_engine_require_argument(fcinfo, 0, "id");
	id = PG_GETARG_UUID_P(0);
	workflow_id = find_ended(id);
	queue = saga_queue_lock(saga_queue_by_id(workflow_id, false));
	if (saga_entry_lock(id, workflow_id) || !read_ended(id, workflow_id, &ended))
		is_running(id);
	check_redrivable(id, &ended);
	saga_workflow_check_version(saga_workflow_by_id(workflow_id, false), ended.version);
	make_job(&job, queue, id, &ended);
	settle_entries(&job, &ended, force);
	go_on(&job, &ended, input);
	saga_accepted();
	PG_RETURN_VOID();
}
