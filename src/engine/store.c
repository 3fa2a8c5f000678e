/*
 * store.c
 *		What the engine reads and writes for a batch.
 *
 * Executions that end in the run that began them cost one row, written with
 * all others of the batch by one INSERT; those that park are written at once,
 * in their own savepoint, because the next event may be in this batch.
 * Claimed rows are deleted by ctid: they are locked by this transaction, so
 * nobody moves them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "engine/engine_private.h"
#include "outbox/outbox.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* ---------- claim ---------- */

static SagaStmt claim_stmt = {
	"SELECT id, ctid, message_id, kind, version, target, sent_at, receives, body, headers"
	" FROM saga.message WHERE queue_id = $1 AND id > $2 ORDER BY id LIMIT $3"
	" FOR UPDATE SKIP LOCKED",
	3, {INT4OID, UUIDOID, INT8OID}
};

static SagaStmt claim_one_stmt = {
	"SELECT id, ctid, message_id, kind, version, target, sent_at, receives, body, headers"
	" FROM saga.message WHERE queue_id = $1 AND id IN ($2, $3) ORDER BY id FOR UPDATE SKIP LOCKED",
	3, {INT4OID, UUIDOID, UUIDOID}
};

void
saga_store_read_item(uint64 row, SagaItem *item)
{
	bool		isnull;
	Datum		d;

	memset(item, 0, sizeof(*item));
	item->id = *DatumGetUUIDP(saga_result(row, 1, &isnull));
	item->ctid = *(ItemPointer) DatumGetPointer(saga_result(row, 2, &isnull));
	item->message_id = *DatumGetUUIDP(saga_result(row, 3, &isnull));
	item->kind = DatumGetChar(saga_result(row, 4, &isnull));
	d = saga_result(row, 5, &isnull);
	item->version = isnull ? 0 : DatumGetInt32(d);
	d = saga_result(row, 6, &isnull);
	item->execution_id = isnull ? item->message_id : *DatumGetUUIDP(d);
	item->sent_at = DatumGetTimestampTz(saga_result(row, 7, &isnull));
	item->receives = DatumGetInt32(saga_result(row, 8, &isnull));
	d = saga_result(row, 9, &isnull);
	item->body = isnull ? NULL : DatumGetJsonbPCopy(d);
	d = saga_result(row, 10, &isnull);
	item->headers = isnull ? NULL : DatumGetJsonbPCopy(d);
}

/*
 * Fills batch->items.  With "only", that row, wherever the mark is, and no
 * other, unless its execution was stopped: then that event, which comes first.
 * There is room for the starts that events of this kind are about.
 */
void
saga_store_claim(SagaBatch *batch, int limit, const pg_uuid_t *only, const pg_uuid_t *only_of)
{
	pg_uuid_t	stop;
	SagaClaim	claim;
	Datum		values[3];
	MemoryContext old;
	uint64		i;

	values[0] = Int32GetDatum(batch->queue->queue_id);
	if (only)
	{
		/* before the statement: it may be cancelled after it has the lock */
		stop = saga_stop_position(only_of);
		saga_note_locked(batch->queue, only);
		saga_note_locked(batch->queue, &stop);
		values[1] = UUIDPGetDatum(only);
		values[2] = UUIDPGetDatum(&stop);
		saga_execute(&claim_one_stmt, values, NULL, false, 0);
	}
	else
	{
		saga_claim_begin(&claim, batch->queue);
		values[1] = UUIDPGetDatum(&claim.mark);
		values[2] = Int64GetDatum(limit);
		saga_execute(&claim_stmt, values, NULL, false, 0);
	}
	old = MemoryContextSwitchTo(batch->context);
	batch->nitems = (int) SPI_processed;
	batch->items = palloc0(sizeof(SagaItem) * Max(2 * batch->nitems, 1));
	for (i = 0; i < SPI_processed; i++)
		saga_store_read_item(i, &batch->items[i]);
	MemoryContextSwitchTo(old);
	SPI_freetuptable(SPI_tuptable);

	/* before anything else runs: the mark's protocol */
	if (!only)
		saga_claim_end(&claim, batch->nitems ? &batch->items[batch->nitems - 1].id : NULL);
}

/* ---------- load ---------- */

/*
 * Locks and reads the continuation.  False when there is none that could be
 * locked; *locked_elsewhere says whether there is one.  One of another
 * workflow does not count: an event of this queue is no reason to run it here,
 * in a session of another owner.
 */
bool
saga_store_load(SagaBatch *batch, SagaJob *job, bool *locked_elsewhere)
{
	static SagaStmt load_stmt = {
		"SELECT version, name, started_at, runs, parent_id, input, run FROM saga.continuation"
		" WHERE execution_id = $1 AND workflow_id = $2 FOR UPDATE SKIP LOCKED",
		2, {UUIDOID, INT4OID}
	};
	static SagaStmt exists_stmt = {
		"SELECT 1 FROM saga.continuation WHERE execution_id = $1 AND workflow_id = $2",
		2, {UUIDOID, INT4OID}
	};
	Datum		values[2] = {UUIDPGetDatum(&job->execution_id), Int32GetDatum(job->queue->queue_id)};
	bool		isnull;
	Datum		d;
	MemoryContext old;

	*locked_elsewhere = false;
	saga_execute(&load_stmt, values, NULL, false, 1);
	if (SPI_processed == 0)
	{
		SPI_freetuptable(SPI_tuptable);
		saga_execute(&exists_stmt, values, NULL, false, 1);
		*locked_elsewhere = SPI_processed > 0;
		SPI_freetuptable(SPI_tuptable);
		return false;
	}
	old = MemoryContextSwitchTo(batch->context);
	job->version = DatumGetInt32(saga_result(0, 1, &isnull));
	d = saga_result(0, 2, &isnull);
	job->name = isnull ? NULL : TextDatumGetCString(d);
	job->started_at = DatumGetTimestampTz(saga_result(0, 3, &isnull));
	job->runs = DatumGetInt32(saga_result(0, 4, &isnull));
	d = saga_result(0, 5, &isnull);
	job->parent_id = isnull ? saga_uuid_min : *DatumGetUUIDP(d);
	d = saga_result(0, 6, &isnull);
	job->input = isnull ? saga_jsonb_null() : DatumGetJsonbPCopy(d);
	job->frozen = DatumGetJsonbPCopy(saga_result(0, 7, &isnull));
	job->parked_before = true;
	MemoryContextSwitchTo(old);
	SPI_freetuptable(SPI_tuptable);
	return true;
}

int32
saga_store_ended_workflow(const pg_uuid_t *execution_id)
{
	static SagaStmt stmt = {
		"SELECT workflow_id FROM saga.execution WHERE execution_id = $1",
		1, {UUIDOID}
	};
	Datum		values[1] = {UUIDPGetDatum(execution_id)};
	int32		workflow_id;
	bool		isnull;

	saga_execute(&stmt, values, NULL, false, 1);
	workflow_id = SPI_processed > 0 ? DatumGetInt32(saga_result(0, 1, &isnull)) : 0;
	SPI_freetuptable(SPI_tuptable);
	return workflow_id;
}

char *
saga_store_ended_name(const pg_uuid_t *execution_id)
{
	static SagaStmt stmt = {
		"SELECT name FROM saga.execution WHERE execution_id = $1 AND name IS NOT NULL",
		1, {UUIDOID}
	};
	Datum		values[1] = {UUIDPGetDatum(execution_id)};
	bool		isnull;
	char	   *name;

	saga_execute(&stmt, values, NULL, false, 1);
	name = SPI_processed > 0 ? TextDatumGetCString(saga_result(0, 1, &isnull)) : NULL;
	SPI_freetuptable(SPI_tuptable);
	return name;
}

/* ---------- park ---------- */

static void
set_timer(SagaJob *job, TimestampTz wake_at)
{
	static SagaStmt set_stmt = {
		"INSERT INTO saga.timer (queue_id, message_id, wake_at, target, sent_at, kind)"
		" VALUES ($1, $2, $3, $2, $4, 't')"
		" ON CONFLICT (queue_id, message_id) DO UPDATE SET wake_at = excluded.wake_at",
		4, {INT4OID, UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID}
	};
	static SagaStmt clear_stmt = {
		"DELETE FROM saga.timer WHERE queue_id = $1 AND message_id = $2 AND kind = 't'",
		2, {INT4OID, UUIDOID}
	};
	Datum		values[4];

	values[0] = Int32GetDatum(job->queue->queue_id);
	values[1] = UUIDPGetDatum(&job->execution_id);
	if (TIMESTAMP_IS_NOEND(wake_at))
	{
		if (job->parked_before)
			saga_execute(&clear_stmt, values, NULL, false, 0);
		return;
	}
	values[2] = TimestampTzGetDatum(wake_at);
	values[3] = TimestampTzGetDatum(GetCurrentTimestamp());
	saga_execute(&set_stmt, values, NULL, false, 0);
	saga_note_timer(wake_at);
}

static void
insert_history(SagaJob *job, int run)
{
	static SagaStmt stmt = {
		"INSERT INTO saga.history (execution_id, run, events) VALUES ($1, $2, $3)",
		3, {UUIDOID, INT4OID, BYTEAOID}
	};
	Datum		values[3];

	values[0] = UUIDPGetDatum(&job->execution_id);
	values[1] = Int32GetDatum(run);
	values[2] = PointerGetDatum(saga_run_history(job->run, job->input, NULL));
	saga_execute(&stmt, values, NULL, false, 0);
}

/* A message that brings the execution back at once. */
static void
send_tick(SagaJob *job)
{
	SagaSend	row = {.kind = SAGA_MSG_TICK};

	row.message_id = saga_uuid_new();
	row.target = job->execution_id;
	saga_send_rows(job->queue, &row, 1);
	job->tick = row.message_id;
}

void
saga_store_park(SagaBatch *batch, SagaJob *job, TimestampTz wake_at)
{
	static SagaStmt insert_stmt = {
		"INSERT INTO saga.continuation (execution_id, workflow_id, version, name, status, current_state,"
		" started_at, parked_at, parent_id, input, run, waiting_for)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
		12, {UUIDOID, INT4OID, INT4OID, TEXTOID, CHAROID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
		UUIDOID, JSONBOID, JSONBOID, TEXTOID}
	};
	static SagaStmt update_stmt = {
		"UPDATE saga.continuation SET status = $2, current_state = $3, parked_at = $4,"
		" runs = runs + 1, run = $5, waiting_for = $6 WHERE execution_id = $1",
		6, {UUIDOID, CHAROID, TEXTOID, TIMESTAMPTZOID, JSONBOID, TEXTOID}
	};
	TimestampTz now = GetCurrentTimestamp();
	Datum		status = CharGetDatum(saga_run_status(job->run) == SAGA_COMPENSATING ? 'c' : 'r');
	const char *state = saga_run_current_state(job->run);
	Datum		frozen = JsonbPGetDatum(saga_run_freeze(job->run));
	char	   *waiting = saga_run_waiting_for(job->run);
	Datum		waiting_for = waiting != NULL ? CStringGetTextDatum(waiting) : (Datum) 0;

	if (job->parked_before)
	{
		Datum		values[6] = {UUIDPGetDatum(&job->execution_id), status,
			state ? CStringGetTextDatum(state) : (Datum) 0,
		TimestampTzGetDatum(now), frozen, waiting_for};
		char		nulls[7] = "      ";

		nulls[2] = state ? ' ' : 'n';
		nulls[5] = waiting ? ' ' : 'n';
		saga_execute(&update_stmt, values, nulls, false, 0);
	}
	else
	{
		Datum		values[12];
		char		nulls[13] = "            ";

		values[0] = UUIDPGetDatum(&job->execution_id);
		values[1] = Int32GetDatum(job->queue->queue_id);
		values[2] = Int32GetDatum(job->version);
		values[3] = job->name ? CStringGetTextDatum(job->name) : (Datum) 0;
		nulls[3] = job->name ? ' ' : 'n';
		values[4] = status;
		values[5] = state ? CStringGetTextDatum(state) : (Datum) 0;
		nulls[5] = state ? ' ' : 'n';
		values[6] = TimestampTzGetDatum(job->started_at);
		values[7] = TimestampTzGetDatum(now);
		values[8] = UUIDPGetDatum(&job->parent_id);
		nulls[8] = saga_uuid_cmp(&job->parent_id, &saga_uuid_min) == 0 ? 'n' : ' ';
		values[9] = JsonbPGetDatum(job->input);
		values[10] = frozen;
		values[11] = waiting_for;
		nulls[11] = waiting ? ' ' : 'n';
		saga_execute(&insert_stmt, values, nulls, false, 0);
	}
	insert_history(job, job->runs + 1);
	if (job->early || wake_at <= now)
	{
		send_tick(job);
		wake_at = DT_NOEND;
	}
	set_timer(job, wake_at);
}

/* ---------- end ---------- */

void
saga_store_dead_letter(SagaBatch *batch, SagaJob *job)
{
	const SagaAction *end = &job->end;
	SagaDeadLetter letter = {0};
	JsonbParseState *state = NULL;
	JsonbValue	v;
	int			i;
	const char *keys[6] = {"cause", "compensated", "error", "not_compensated", "status", "version"};

	letter.queue_id = job->queue->queue_id;
	letter.message_id = job->execution_id;
	letter.kind = SAGA_MSG_START;
	letter.reason = end->not_compensated ? "Saga.CompensationFailed" :
		end->error ? end->error :
		end->status == SAGA_TIMED_OUT ? "States.Timeout" : "States.Runtime";
	letter.cause = end->cause;
	letter.receives = job->runs + 1;
	letter.sent_at = job->started_at;
	letter.body = job->input;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (i = 0; i < 6; i++)
	{
		Jsonb	   *part = i == 1 ? end->compensated : i == 3 ? end->not_compensated : NULL;
		const char *text = i == 0 ? end->cause : i == 2 ? end->error :
			i == 4 ? saga_status_name(end->status) : NULL;

		v.type = jbvString;
		v.val.string.val = unconstify(char *, keys[i]);
		v.val.string.len = strlen(keys[i]);
		pushJsonbValue(&state, WJB_KEY, &v);
		v.type = jbvNull;
		if (part)
		{
			v.type = jbvBinary;
			v.val.binary.data = &part->root;
			v.val.binary.len = VARSIZE(part) - VARHDRSZ;
		}
		else if (text)
		{
			v.type = jbvString;
			v.val.string.val = unconstify(char *, text);
			v.val.string.len = strlen(text);
		}
		else if (i == 5)
		{
			v.type = jbvNumeric;
			v.val.numeric = int64_to_numeric(job->version);
		}
		pushJsonbValue(&state, WJB_VALUE, &v);
	}
	letter.details = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	(void) saga_dead_letter_insert(&letter);
}

/*
 * The execution has ended: its row is written by saga_store_flush; what it
 * had as a parked one goes now, and a failure becomes a dead letter.  One
 * that was stopped on purpose does not, unless something could not be undone.
 */
void
saga_store_end(SagaBatch *batch, SagaJob *job)
{
	static SagaStmt delete_stmt = {
		"DELETE FROM saga.continuation WHERE execution_id = $1",
		1, {UUIDOID}
	};
	Datum		values[1] = {UUIDPGetDatum(&job->execution_id)};

	if (job->parked_before)
	{
		saga_execute(&delete_stmt, values, NULL, false, 0);
		set_timer(job, DT_NOEND);
		if (job->end.status != SAGA_SUCCEEDED)
			saga_outbox_withdraw(&job->execution_id, 0);
	}
	if (saga_job_undoes(job))
	{
		/* what it has left is the other one's, which has a dead letter */
		saga_entry_undone(job);
		job->end.not_compensated = job->end.left = NULL;
	}
	else if (job->end.status == SAGA_FAILED || job->end.status == SAGA_TIMED_OUT || job->end.not_compensated)
		saga_store_dead_letter(batch, job);
}

/* ---------- flush ---------- */

static char
status_char(SagaStatus status)
{
	return status == SAGA_SUCCEEDED ? 's' : status == SAGA_TIMED_OUT ? 't' :
		status == SAGA_ABORTED ? 'a' : 'f';
}

#define ENDED_COLUMNS 18

static void
fill_ended(SagaJob *job, Datum *v, bool *n)
{
	const SagaAction *end = &job->end;
	bool		failed = end->status != SAGA_SUCCEEDED;
	bytea	   *history = saga_run_history(job->run, job->input, end->output);

	memset(n, 0, sizeof(bool) * ENDED_COLUMNS);
	v[0] = UUIDPGetDatum(&job->execution_id);
	v[1] = Int32GetDatum(job->queue->queue_id);
	v[2] = Int32GetDatum(job->version);
	v[3] = TimestampTzGetDatum(job->started_at);
	v[4] = TimestampTzGetDatum(GetCurrentTimestamp());
	v[5] = CharGetDatum(status_char(end->status));
	v[6] = Int32GetDatum(job->runs + 1);
	n[7] = job->name == NULL;
	v[7] = n[7] ? (Datum) 0 : CStringGetTextDatum(job->name);
	n[8] = saga_uuid_cmp(&job->parent_id, &saga_uuid_min) == 0;
	v[8] = UUIDPGetDatum(&job->parent_id);
	n[9] = !failed || end->error == NULL;
	v[9] = n[9] ? (Datum) 0 : CStringGetTextDatum(end->error);
	n[10] = !failed || end->cause == NULL;
	v[10] = n[10] ? (Datum) 0 : CStringGetTextDatum(end->cause);
	v[11] = JsonbPGetDatum(job->input);
	n[12] = end->output == NULL;
	v[12] = n[12] ? (Datum) 0 : JsonbPGetDatum(end->output);
	n[13] = end->compensated == NULL;
	v[13] = n[13] ? (Datum) 0 : JsonbPGetDatum(end->compensated);
	n[14] = history == NULL;
	v[14] = PointerGetDatum(history);
	n[15] = end->not_compensated == NULL;
	v[15] = n[15] ? (Datum) 0 : JsonbPGetDatum(end->not_compensated);
	n[16] = end->effects == NULL;
	v[16] = n[16] ? (Datum) 0 : JsonbPGetDatum(end->effects);
	n[17] = end->left == NULL;
	v[17] = n[17] ? (Datum) 0 : JsonbPGetDatum(end->left);
}

/* Documents as long as this are not copied into an array first, and out of it again. */
#define SAGA_LONG_ROW	(1024 * 1024)

static bool
is_long(const SagaJob *job)
{
	return VARSIZE(job->input) + (job->end.output != NULL ? VARSIZE(job->end.output) : 0) +
		(job->end.left != NULL ? VARSIZE(job->end.left) : 0) > SAGA_LONG_ROW;
}

static void
insert_long(SagaJob *job)
{
	static SagaStmt stmt = {
		"INSERT INTO saga.execution (execution_id, workflow_id, version, started_at, stopped_at, status, runs,"
		" name, parent_id, error, cause, input, output, compensated, history, not_compensated, effects, left_over)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
		ENDED_COLUMNS, {UUIDOID, INT4OID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, CHAROID, INT4OID, TEXTOID,
		UUIDOID, TEXTOID, TEXTOID, JSONBOID, JSONBOID, JSONBOID, BYTEAOID, JSONBOID, JSONBOID, JSONBOID}
	};
	Datum		values[ENDED_COLUMNS];
	bool		isnull[ENDED_COLUMNS];
	char		nulls[ENDED_COLUMNS + 1];

	fill_ended(job, values, isnull);
	for (int i = 0; i < ENDED_COLUMNS; i++)
		nulls[i] = isnull[i] ? 'n' : ' ';
	nulls[ENDED_COLUMNS] = '\0';
	saga_execute(&stmt, values, nulls, false, 0);
}

static void
insert_ended(SagaBatch *batch)
{
	static SagaStmt stmt = {
		"INSERT INTO saga.execution (execution_id, workflow_id, version, started_at, stopped_at, status, runs,"
		" name, parent_id, error, cause, input, output, compensated, history, not_compensated, effects, left_over)"
		" SELECT * FROM unnest($1::uuid[], $2::int4[], $3::int4[], $4::timestamptz[], $5::timestamptz[],"
		" $6::\"char\"[], $7::int4[], $8::text[], $9::uuid[], $10::text[], $11::text[], $12::jsonb[],"
		" $13::jsonb[], $14::jsonb[], $15::bytea[], $16::jsonb[], $17::jsonb[], $18::jsonb[])",
		ENDED_COLUMNS, {UUIDARRAYOID, INT4ARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID,
			TIMESTAMPTZARRAYOID, CHARARRAYOID, INT4ARRAYOID, TEXTARRAYOID, UUIDARRAYOID, TEXTARRAYOID,
		TEXTARRAYOID, JSONBARRAYOID, JSONBARRAYOID, JSONBARRAYOID, BYTEAARRAYOID, JSONBARRAYOID, JSONBARRAYOID,
		JSONBARRAYOID}
	};
	static const struct
	{
		Oid			type;
		int16		len;
		bool		byval;
		char		align;
	}			columns[ENDED_COLUMNS] =
	{
		{UUIDOID, 16, false, 'c'}, {INT4OID, 4, true, 'i'}, {INT4OID, 4, true, 'i'},
		{TIMESTAMPTZOID, 8, FLOAT8PASSBYVAL, 'd'}, {TIMESTAMPTZOID, 8, FLOAT8PASSBYVAL, 'd'},
		{CHAROID, 1, true, 'c'}, {INT4OID, 4, true, 'i'}, {TEXTOID, -1, false, 'i'},
		{UUIDOID, 16, false, 'c'}, {TEXTOID, -1, false, 'i'}, {TEXTOID, -1, false, 'i'},
		{JSONBOID, -1, false, 'i'}, {JSONBOID, -1, false, 'i'}, {JSONBOID, -1, false, 'i'},
		{BYTEAOID, -1, false, 'i'}, {JSONBOID, -1, false, 'i'}, {JSONBOID, -1, false, 'i'}, {JSONBOID, -1, false, 'i'}
	};
	Datum	   *values = palloc(sizeof(Datum) * batch->nended * ENDED_COLUMNS);
	bool	   *nulls = palloc(sizeof(bool) * batch->nended * ENDED_COLUMNS);
	Datum	   *column = palloc(sizeof(Datum) * batch->nended);
	bool	   *isnull = palloc(sizeof(bool) * batch->nended);
	Datum		arrays[ENDED_COLUMNS];
	int			dims[1] = {0};
	int			lbs[1] = {1};
	int			n = 0;
	int			i;
	int			c;

	for (i = 0; i < batch->nended; i++)
	{
		if (is_long(batch->ended[i]))
			insert_long(batch->ended[i]);
		else
		{
			fill_ended(batch->ended[i], values + n * ENDED_COLUMNS, nulls + n * ENDED_COLUMNS);
			n++;
		}
	}
	if (n == 0)
		return;
	dims[0] = n;
	for (c = 0; c < ENDED_COLUMNS; c++)
	{
		for (i = 0; i < n; i++)
		{
			column[i] = values[i * ENDED_COLUMNS + c];
			isnull[i] = nulls[i * ENDED_COLUMNS + c];
		}
		arrays[c] = PointerGetDatum(construct_md_array(column, isnull, 1, dims, lbs, columns[c].type,
													   columns[c].len, columns[c].byval, columns[c].align));
	}
	saga_execute(&stmt, arrays, NULL, false, 0);
}

static void
delete_claimed(SagaBatch *batch)
{
	static SagaStmt stmt = {
		"DELETE FROM saga.message WHERE ctid = ANY($1::tid[])",
		1, {TIDARRAYOID}
	};
	Datum	   *tids = palloc(sizeof(Datum) * batch->nitems);
	Datum		values[1];
	int			ntids = 0;
	int			i;

	for (i = 0; i < batch->nitems; i++)
	{
		if (batch->items[i].done)
			tids[ntids++] = PointerGetDatum(&batch->items[i].ctid);
		else
			saga_note_kept(batch->queue, &batch->items[i].id);
	}
	if (ntids == 0)
		return;
	values[0] = PointerGetDatum(construct_array(tids, ntids, TIDOID, sizeof(ItemPointerData), false, 's'));
	saga_execute(&stmt, values, NULL, false, 0);
	if (SPI_processed != ntids)
		elog(ERROR, "deleted " UINT64_FORMAT " of %d claimed messages", SPI_processed, ntids);
}

/* The end of a batch: the rows of all that ended, and the claimed rows go. */
void
saga_store_flush(SagaBatch *batch)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	if (batch->nended > 0)
		insert_ended(batch);
	if (batch->nitems > 0)
	{
		delete_claimed(batch);
		saga_answer_release(batch);
	}
	MemoryContextSwitchTo(old);
}

/*
 * Out of the queue for good: an execution that could not even be given up.
 * What it had as a parked one stays as it is.
 */
void
saga_store_bury(SagaBatch *batch, SagaItem *item)
{
	SagaDeadLetter letter = {0};

	letter.queue_id = batch->queue->queue_id;
	letter.message_id = item->message_id;
	letter.kind = item->kind;
	letter.reason = "Saga.EngineTrouble";
	letter.cause = psprintf("execution %s could not be stored: see the server's log",
							saga_uuid_to_cstring(&item->execution_id));
	letter.receives = item->receives;
	letter.sent_at = item->sent_at;
	letter.body = item->body;
	letter.headers = item->headers;
	(void) saga_dead_letter_insert(&letter);
	item->done = true;
}

/*
 * Out of the queue and into saga.timer, one trouble more.  A tick or an event
 * keeps its own id; it comes back under a fresh position.
 */
void
saga_store_postpone(SagaBatch *batch, SagaItem *item, int64 delay_ms)
{
	static SagaStmt stmt = {
		"INSERT INTO saga.timer (queue_id, message_id, wake_at, target, sent_at, receives, version, kind, body, headers)"
		" SELECT queue_id, message_id, $2, target, sent_at, receives + 1, version, kind, body, headers"
		" FROM saga.message WHERE ctid = $1"
		" ON CONFLICT (queue_id, message_id) DO NOTHING",
		2, {TIDOID, TIMESTAMPTZOID}
	};
	TimestampTz wake_at = GetCurrentTimestamp() + delay_ms * 1000;
	Datum		values[2] = {PointerGetDatum(&item->ctid), TimestampTzGetDatum(wake_at)};

	saga_execute(&stmt, values, NULL, false, 0);
	saga_note_timer(wake_at);
	item->done = true;
}
