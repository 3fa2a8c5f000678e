/*
 * ended.c
 *		Executions that end: what they had as parked ones goes, a failure gets its
 *		dead letter, and the rows of all of a batch are written by one INSERT.
 */
#include "postgres.h"

#include "common/statement.h"
#include "engine/batch_private.h"
#include "engine/children_private.h"
#include "engine/engine_private.h"
#include "engine/entry_private.h"
#include "outbox/outbox.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "value/doc.h"

/* ---------- twins ---------- */

/*
 * Two executions of one id are never started (execution_id.c), but a restore may
 * bring some.  Where a row of one is in the way of the other's, the other is given
 * up with a dead letter, and nobody else's batch fails for it.  To look before
 * each write is a price that nobody pays who has never met one: so many batches of
 * this process look since then.
 */
#define LOOKING_BATCHES 1000
static int	looking = 0;

bool
saga_store_met_twin(const ErrorData *error)
{
	if (error->sqlerrcode != ERRCODE_UNIQUE_VIOLATION || error->schema_name == NULL ||
		strcmp(error->schema_name, "saga") != 0)
		return false;
	looking = LOOKING_BATCHES;
	return true;
}

void
saga_store_look_for_twins(void)
{
	looking = Max(looking, 1);
}

bool
saga_store_has_twin(SagaJob *job)
{
	static SagaStatement stmt = {
		.sql = "SELECT 1 FROM saga.continuation WHERE execution_id = $execution_id"
		" UNION ALL SELECT 1 FROM saga.execution WHERE execution_id = $execution_id"
		" UNION ALL SELECT 1 FROM saga.history WHERE execution_id = $execution_id",
		.limit = 1
	};

	return looking > 0 && saga_run(&stmt, saga_param_uuid("execution_id", &job->execution_id)) > 0;
}

/* ---------- end ---------- */

/* A member of the details, which is there, as null, if there is none. */
static void
push_document(JsonbParseState **state, const char *name, Jsonb *document)
{
	saga_doc_push_jsonb(state, name, document != NULL ? document : saga_jsonb_null());
}

static void
push_text(JsonbParseState **state, const char *name, const char *text)
{
	if (text != NULL)
		saga_doc_push_string(state, name, text);
	else
		push_document(state, name, NULL);
}

/* What a SQL error has said beside its message are members, where it has. */
static void
push_report(JsonbParseState **state, Jsonb *report)
{
	static const char *const names[] = {"detail", "hint", "context"};

	for (int i = 0; report != NULL && i < lengthof(names); i++)
	{
		char	   *text = saga_jsonb_get_string(report, names[i]);

		if (text != NULL)
			saga_doc_push_string(state, names[i], text);
	}
}

/* The letter of an execution: its input as the body, and in the details how it ended. */
static void
write_dead_letter(SagaJob *job, const char *reason, const char *cause)
{
	const SagaAction *end = &job->end;
	SagaDeadLetter letter = {0};
	JsonbParseState *state = NULL;

	letter.queue_id = job->queue->queue_id;
	letter.message_id = job->execution_id;
	letter.kind = SAGA_MSG_START;
	letter.reason = reason;
	letter.cause = cause;
	letter.state = end->failed_state;
	letter.receives = job->runs + 1;
	letter.sent_at = job->started_at;
	letter.body = job->input;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_text(&state, "error", end->error);
	push_text(&state, "cause", end->cause);
	push_text(&state, "status", saga_asl_status_name(end->status));
	push_text(&state, "failed_state", end->failed_state);
	saga_doc_push_int(&state, "version", job->version);
	push_document(&state, "compensated", end->compensated);
	push_document(&state, "not_compensated", end->not_compensated);
	push_report(&state, end->report);
	letter.details = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	(void) saga_dead_letter_insert(&letter);
}

/*
 * Is a person to see to it?  The failure of one that somebody waits for is
 * his, unless it has left something.
 */
static bool
is_failure(const SagaJob *job)
{
	if (saga_job_is_child(job))
		return job->end.not_compensated != NULL;
	return job->end.status == SAGA_FAILED || job->end.status == SAGA_TIMED_OUT || job->end.open;
}

/* What could not be undone comes first among the reasons. */
void
saga_store_dead_letter(SagaBatch *batch, SagaJob *job)
{
	const SagaAction *end = &job->end;

	write_dead_letter(job, end->open ? "Saga.CompensationFailed" :
					  end->error ? end->error :
					  end->status == SAGA_TIMED_OUT ? "States.Timeout" : "States.Runtime", end->cause);
}

/* What it had while it waited: its continuation and its timer. */
static void
forget_parked(SagaJob *job)
{
	static SagaStatement stmt = {
		.sql = "DELETE FROM saga.continuation WHERE execution_id = $execution_id AND workflow_id = $workflow_id"
	};
	SagaRaised	save;

	saga_raise(&save);
	saga_run(&stmt, saga_param_uuid("execution_id", &job->execution_id), saga_param_int4("workflow_id", job->queue->queue_id));
	saga_queue_drop_timer(job->queue, &job->execution_id, SAGA_MSG_TICK);
	saga_lower(&save);
}

/*
 * The execution has ended: its row is written with the batch's; what it
 * had as a parked one goes now, and a failure becomes a dead letter.  One
 * that was stopped on purpose does not, unless something could not be undone.
 */
void
saga_store_end(SagaBatch *batch, SagaJob *job)
{
	if (job->parked_before)
	{
		forget_parked(job);
		if (job->end.status != SAGA_SUCCEEDED)
			saga_outbox_withdraw(job->queue->queue_id, &job->execution_id, 0);
	}
	saga_engine_redrive_ended(job);
	if (saga_job_undoes(job) && !saga_job_is_child(job))
	{
		/* what it has left is the other one's, which has a dead letter */
		saga_entry_undone(job);
		job->end.not_compensated = job->end.left = NULL;
	}
	else if (is_failure(job))
		saga_store_dead_letter(batch, job);
	saga_engine_redrive_keep(job);
}

/* ---------- their rows ---------- */

/* As saga.execution.status has it. */
static char
status_char(SagaStatus status)
{
	return status == SAGA_SUCCEEDED ? 's' : status == SAGA_TIMED_OUT ? 't' :
		status == SAGA_ABORTED ? 'a' : 'f';
}

#define ENDED_COLUMNS \
	"execution_id, workflow_id, version, started_at, stopped_at, status, runs, name, parent_id," \
	" error, cause, input, output, compensated, history, not_compensated, effects, left_over, children_id, child_index, undo," \
	" failed_state"
#define ENDED_VALUES \
	"$execution_id, $workflow_id, $version, $started_at, $stopped_at, $status, $runs, $name, $parent_id," \
	" $error, $cause, $input, $output, $compensated, $history, $not_compensated, $effects, $left_over," \
	" $children_id, $child_index, $undo, $failed_state"
#define N_ENDED 22

/* With the end of the list. */
typedef SagaParam EndedRow[N_ENDED + 1];

/* The columns of an execution's row, in the order of ENDED_COLUMNS. */
static void
fill_ended(SagaJob *job, EndedRow row)
{
	const SagaAction *end = &job->end;
	bool		failed = end->status != SAGA_SUCCEEDED;
	const EndedRow ended = {
		saga_param_uuid("execution_id", &job->execution_id),
		saga_param_int4("workflow_id", job->queue->queue_id),
		saga_param_int4("version", job->version),
		saga_param_timestamptz("started_at", job->started_at),
		saga_param_timestamptz("stopped_at", GetCurrentTimestamp()),
		saga_param_char("status", status_char(end->status)),
		saga_param_int4("runs", job->runs + 1),
		saga_param_text("name", job->name),
		saga_param_if(saga_job_undoes(job), saga_param_uuid("parent_id", &job->parent_id)),
		saga_param_text("error", failed ? end->error : NULL),
		saga_param_text("cause", failed ? end->cause : NULL),
		saga_param_jsonb("input", job->input),
		saga_param_jsonb("output", end->output),
		saga_param_jsonb("compensated", end->compensated),
		saga_param_pointer("history", BYTEAOID, saga_run_history(job->run, job->input, end->output)),
		saga_param_jsonb("not_compensated", end->not_compensated),
		saga_param_jsonb("effects", end->effects),
		saga_param_jsonb("left_over", end->left),
		saga_param_if(saga_job_is_child(job), saga_param_uuid("children_id", &job->children_id)),
		saga_param_if(saga_job_is_child(job) && job->child_index >= 0, saga_param_int8("child_index", job->child_index)),
		saga_param_jsonb("undo", saga_job_is_child(job) && job->child_index >= 0 ? saga_run_done(job->run) : NULL),
		saga_param_text("failed_state", failed ? end->failed_state : NULL),
		{.name = NULL}
	};

	memcpy(row, ended, sizeof(EndedRow));
}

/* Documents as long as this are not copied into an array first, and out of it again. */
#define SAGA_LONG_ROW	(1024 * 1024)

/* Is the row better written by itself? */
static bool
is_long(const SagaJob *job)
{
	return VARSIZE(job->input) + (job->end.output != NULL ? VARSIZE(job->end.output) : 0) +
		(job->end.left != NULL ? VARSIZE(job->end.left) : 0) > SAGA_LONG_ROW;
}

/* One row, whose documents go into the table as they are. */
static void
insert_long(SagaJob *job)
{
	static SagaStatement stmt = {
		.sql = "INSERT INTO saga.execution (" ENDED_COLUMNS ") VALUES (" ENDED_VALUES ")"
	};
	EndedRow	row;

	fill_ended(job, row);
	saga_statement_run(&stmt, row);
}

/* One column of all rows, as an array under its name. */
static SagaParam
ended_array(EndedRow *rows, int nrows, int column)
{
	const SagaParam *first = &rows[0][column];
	Datum	   *values = palloc(sizeof(Datum) * nrows);
	bool	   *nulls = palloc(sizeof(bool) * nrows);
	int			lbound = 1;
	int16		typlen;
	bool		byval;
	char		align;

	for (int i = 0; i < nrows; i++)
	{
		values[i] = rows[i][column].value;
		nulls[i] = rows[i][column].isnull;
	}
	get_typlenbyvalalign(first->type, &typlen, &byval, &align);
	return saga_param_array(first->name, get_array_type(first->type),
							construct_md_array(values, nulls, 1, &nrows, &lbound, first->type, typlen, byval, align));
}

/* The ids of all that have ended in the batch, as an array. */
static ArrayType *
ended_ids(SagaBatch *batch)
{
	Datum	   *ids = palloc(sizeof(Datum) * batch->nended);

	for (int i = 0; i < batch->nended; i++)
		ids[i] = UUIDPGetDatum(&batch->ended[i]->execution_id);
	return construct_array(ids, batch->nended, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR);
}

/*
 * Its steps have done what they do, and it is not as if they had not: only its row
 * cannot be written.  One that has failed has a dead letter already.
 */
static void
give_up_twin(SagaJob *job, int32 other)
{
	char	   *id = saga_uuid_to_cstring(&job->execution_id);

	ereport(LOG,
			(errmsg("execution %s of workflow \"%s\" has ended without a record", id, job->queue->name),
			 errdetail("There is another one with this id, of the workflow %d.", other)));
	if (!is_failure(job) && !saga_job_undoes(job))
		write_dead_letter(job, "Saga.DuplicateExecution",
						  psprintf("it ended as %s; the record of execution %s is that of another one, of the workflow %d",
								   saga_asl_status_name(job->end.status), id, other));
}

/* Those that have ended and whose row another one has are NULL then. */
static void
leave_out_twins(SagaBatch *batch, SagaJob **ended)
{
	static SagaStatement stmt = {
		.sql = "SELECT execution_id, workflow_id FROM saga.execution WHERE execution_id = ANY ($execution_ids)"
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_array("execution_ids", UUIDARRAYOID, ended_ids(batch)));

	while (saga_rows_next(rows))
	{
		pg_uuid_t	id = saga_column_uuid(rows, "execution_id");

		for (int i = 0; i < batch->nended; i++)
		{
			if (ended[i] == NULL || saga_uuid_cmp(&ended[i]->execution_id, &id) != 0)
				continue;
			give_up_twin(ended[i], saga_column_int4(rows, "workflow_id"));
			ended[i] = NULL;
		}
	}
	saga_rows_free(rows);
}

/* The rows of all that have ended, by one statement but for the long ones. */
static void
insert_ended(SagaBatch *batch)
{
	static SagaStatement stmt = {
		.sql = "INSERT INTO saga.execution (" ENDED_COLUMNS ") SELECT * FROM unnest(" ENDED_VALUES ")"
	};
	EndedRow   *rows = palloc(sizeof(EndedRow) * batch->nended);
	EndedRow	arrays = {{.name = NULL}};
	SagaJob   **ended = palloc(sizeof(SagaJob *) * batch->nended);
	int			n = 0;

	memcpy(ended, batch->ended, sizeof(SagaJob *) * batch->nended);
	if (looking > 0)
		leave_out_twins(batch, ended);
	for (int i = 0; i < batch->nended; i++)
	{
		if (ended[i] == NULL)
			continue;
		if (is_long(ended[i]))
			insert_long(ended[i]);
		else
			fill_ended(ended[i], rows[n++]);
	}
	if (n == 0)
		return;
	for (int column = 0; column < N_ENDED; column++)
		arrays[column] = ended_array(rows, n, column);
	saga_statement_run(&stmt, arrays);
}

void
saga_store_write_ended(SagaBatch *batch)
{
	if (batch->nended > 0)
	{
		insert_ended(batch);
		for (int i = 0; i < batch->nended; i++)
			saga_waiter_note_ended(&batch->ended[i]->execution_id);
		saga_children_report(batch);
	}
	looking = Max(looking - 1, 0);
}
