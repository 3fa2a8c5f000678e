/*
 * dead.c
 *		Dead letters: what failed for good, and its way back.
 *
 * A letter stays when it is redriven, marked with when and as what, so that
 * what happened can be read later.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "queue/internal.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* Letters redriven with one look at the table. */
#define REDRIVE_CHUNK 100

saga_redrive_hook_type saga_redrive_execution_hook = NULL;
saga_redrive_hook_type saga_redrive_outbox_hook = NULL;

static SagaStmt insert_stmt = {
	.sql = "INSERT INTO saga.dead_letter (dead_letter_id, queue_id, message_id, kind, reason, cause, receives,"
	" sent_at, failed_at, body, headers, details) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
	.nargs = 12,
	.argtypes = {UUIDOID, INT4OID, UUIDOID, CHAROID, TEXTOID, TEXTOID, INT4OID, TIMESTAMPTZOID,
	TIMESTAMPTZOID, JSONBOID, JSONBOID, JSONBOID}
};

/* Rows that a queue gives up, by where they are: to the dead letters ... */
#define BURY(from) \
	"WITH gone AS (DELETE FROM " from " WHERE ctid = ANY ($1) RETURNING *)" \
	" INSERT INTO saga.dead_letter (dead_letter_id, queue_id, message_id, kind, reason, cause, receives," \
	" sent_at, failed_at, body, headers)" \
	" SELECT saga.make_id(), queue_id, message_id, kind, $2," \
	" format('received %s times and not deleted', receives), receives, sent_at, $3, body, headers FROM gone"

/* ... or into the queue that was named for that. */
#define PASS_ON(from) \
	"WITH gone AS (DELETE FROM " from " WHERE ctid = ANY ($1) RETURNING *)" \
	" INSERT INTO saga.message (queue_id, id, message_id, sent_at, kind, body, headers)" \
	" SELECT $2, saga.make_id(), message_id, sent_at, kind, body," \
	" coalesce(headers, '{}') || jsonb_build_object('Saga.SourceQueue', $3::text, 'Saga.Reason', $4::text)" \
	" FROM gone RETURNING id"

static SagaStmt bury_stmt[] = {
	{.sql = BURY("saga.message"),.nargs = 3,.argtypes = {TIDARRAYOID, TEXTOID, TIMESTAMPTZOID}},
	{.sql = BURY("saga.timer"),.nargs = 3,.argtypes = {TIDARRAYOID, TEXTOID, TIMESTAMPTZOID}}
};
static SagaStmt pass_on_stmt[] = {
	{.sql = PASS_ON("saga.message"),.nargs = 4,.argtypes = {TIDARRAYOID, INT4OID, TEXTOID, TEXTOID}},
	{.sql = PASS_ON("saga.timer"),.nargs = 4,.argtypes = {TIDARRAYOID, INT4OID, TEXTOID, TEXTOID}}
};

#define LETTER_COLUMNS \
	"SELECT dead_letter_id, queue_id, message_id, kind, reason, cause, receives, sent_at, body, headers," \
	" details, redriven_at FROM saga.dead_letter"

static SagaStmt letter_stmt = {
	.sql = LETTER_COLUMNS " WHERE dead_letter_id = $1 FOR UPDATE",
	.nargs = 1,.argtypes = {UUIDOID}
};
static SagaStmt queue_of_letter_stmt = {
	.sql = "SELECT queue_id FROM saga.dead_letter WHERE dead_letter_id = $1",
	.nargs = 1,.argtypes = {UUIDOID}
};
static SagaStmt letters_stmt = {
	.sql = LETTER_COLUMNS " WHERE queue_id = $1 AND dead_letter_id > $2 AND redriven_at IS NULL "
	"AND details ->> 'status' IS DISTINCT FROM 'SUCCEEDED' "
	" AND ($3 IS NULL OR reason = $3) ORDER BY dead_letter_id LIMIT $4 FOR UPDATE SKIP LOCKED",
	.nargs = 4,.argtypes = {INT4OID, UUIDOID, TEXTOID, INT4OID}
};
static SagaStmt redriven_stmt = {
	.sql = "UPDATE saga.dead_letter SET redriven_at = $2, redriven_as = $3 WHERE dead_letter_id = $1",
	.nargs = 3,.argtypes = {UUIDOID, TIMESTAMPTZOID, UUIDOID}
};


/* ---------- into the dead letters ---------- */

pg_uuid_t
saga_dead_letter_insert(const SagaDeadLetter *letter)
{
	pg_uuid_t	id = saga_uuid_new();
	Datum		values[12];
	char		nulls[13] = "            ";

	values[0] = UUIDPGetDatum(&id);
	values[1] = Int32GetDatum(letter->queue_id);
	values[2] = UUIDPGetDatum(&letter->message_id);
	values[3] = CharGetDatum(letter->kind);
	values[4] = CStringGetTextDatum(letter->reason);
	if (letter->cause)
		values[5] = CStringGetTextDatum(letter->cause);
	else
		nulls[5] = 'n';
	values[6] = Int32GetDatum(letter->receives);
	values[7] = TimestampTzGetDatum(letter->sent_at);
	if (letter->sent_at == 0)
		nulls[7] = 'n';
	values[8] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[9] = PointerGetDatum(letter->body);
	values[10] = PointerGetDatum(letter->headers);
	values[11] = PointerGetDatum(letter->details);
	if (letter->body == NULL)
		nulls[9] = 'n';
	if (letter->headers == NULL)
		nulls[10] = 'n';
	if (letter->details == NULL)
		nulls[11] = 'n';
	saga_execute(&insert_stmt, values, nulls, false, 0);
	return id;
}

/*
 * Rows of a plain queue, locked by this transaction, that were received too
 * often.  With a dead-letter queue they start anew there, with the same
 * message_id and two headers more that say where they come from.
 *
 * False: nothing was done, as somebody is dropping that queue, or waits to do
 * so, and this process waits for nobody.
 */
bool
saga_dead_letter_move(const SagaQueue *queue, SagaDeadFrom from, ItemPointerData *tids, int n,
					  const char *reason)
{
	const SagaQueue *target = NULL;
	Datum		values[4];
	uint64		i;
	bool		isnull;

	if (queue->dead_letter_queue != 0)
		target = saga_queue_by_id(queue->dead_letter_queue, true);
	/* the right to send there may have been taken back */
	if (target != NULL)
	{
		SagaObject	object = saga_queue_object(target);

		if (!saga_object_may(&object, queue->owner, SAGA_RIGHT_USE))
			target = NULL;
	}
	values[0] = saga_tid_array(tids, n);
	if (target == NULL)
	{
		values[1] = CStringGetTextDatum(reason);
		values[2] = TimestampTzGetDatum(GetCurrentTimestamp());
		saga_execute(&bury_stmt[from], values, NULL, false, 0);
		return true;
	}
	if (saga_serves_all && !saga_queue_try_lock(target->queue_id))
		return false;
	target = saga_queue_lock(target);
	values[1] = Int32GetDatum(target->queue_id);
	values[2] = CStringGetTextDatum(queue->name);
	values[3] = CStringGetTextDatum(reason);
	saga_execute(&pass_on_stmt[from], values, NULL, false, 0);
	for (i = 0; i < SPI_processed; i++)
		saga_note_inserted(target, DatumGetUUIDP(saga_result(i, 1, &isnull)));
	SPI_freetuptable(SPI_tuptable);
	return true;
}

/* ---------- and back ---------- */

typedef struct FoundLetter
{
	pg_uuid_t	dead_letter_id;
	bool		redriven;
	SagaDeadLetter letter;
} FoundLetter;

static char *
result_text(uint64 row, int column)
{
	bool		isnull;
	Datum		value = saga_result(row, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static Jsonb *
result_jsonb(uint64 row, int column)
{
	bool		isnull;
	Datum		value = saga_result(row, column, &isnull);

	return isnull ? NULL : DatumGetJsonbPCopy(value);
}

static void
read_letter(uint64 row, FoundLetter *found)
{
	SagaDeadLetter *letter = &found->letter;
	Datum		value;
	bool		isnull;

	found->dead_letter_id = *DatumGetUUIDP(saga_result(row, 1, &isnull));
	letter->queue_id = DatumGetInt32(saga_result(row, 2, &isnull));
	letter->message_id = *DatumGetUUIDP(saga_result(row, 3, &isnull));
	letter->kind = DatumGetChar(saga_result(row, 4, &isnull));
	letter->reason = result_text(row, 5);
	letter->cause = result_text(row, 6);
	letter->receives = DatumGetInt32(saga_result(row, 7, &isnull));
	value = saga_result(row, 8, &isnull);
	letter->sent_at = isnull ? 0 : DatumGetTimestampTz(value);
	letter->body = result_jsonb(row, 9);
	letter->headers = result_jsonb(row, 10);
	letter->details = result_jsonb(row, 11);
	(void) saga_result(row, 12, &isnull);
	found->redriven = !isnull;
}

/*
 * The letter is locked, the rights are checked.  *as: what it was redriven as.
 * False: it has no way back, and is one of many; else this is an error.
 */
static bool
redrive_letter(const SagaQueue *queue, const FoundLetter *found, SagaRedriveHow how, pg_uuid_t *as)
{
	const SagaDeadLetter *letter = &found->letter;
	saga_redrive_hook_type hook = NULL;
	Datum		values[3];

	if (letter->kind == SAGA_MSG_OUTBOX)
		hook = saga_redrive_outbox_hook;
	else if (letter->kind != SAGA_MSG_MESSAGE)
		hook = saga_redrive_execution_hook;

	*as = letter->message_id;
	if (hook != NULL)
	{
		if (!hook(queue, letter, how, as))
			return false;
	}
	else
	{
		SagaSend	row;

		memset(&row, 0, sizeof(row));
		row.message_id = letter->message_id;
		row.kind = letter->kind;
		row.body = letter->body;
		row.headers = letter->headers;
		row.returned = true;
		saga_send_rows(queue, &row, 1);
	}

	values[0] = UUIDPGetDatum(&found->dead_letter_id);
	values[1] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[2] = UUIDPGetDatum(as);
	saga_execute(&redriven_stmt, values, NULL, false, 0);
	return true;
}

static bool
may_operate(const SagaQueue *queue)
{
	SagaObject	object = saga_queue_object(queue);

	return saga_object_may(&object, GetUserId(), SAGA_RIGHT_OPERATE);
}

static void
no_such_letter(const pg_uuid_t *id)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("dead letter %s does not exist", saga_uuid_to_cstring(id))));
}

/* One letter; checks everything. Returns what it was redriven as. */
static pg_uuid_t
redrive_one(const pg_uuid_t *id, SagaRedriveHow how)
{
	const SagaQueue *queue;
	FoundLetter found;
	Datum		value = UUIDPGetDatum(id);
	pg_uuid_t	result;
	bool		isnull;

	SPI_connect();
	/* rights first: nobody else may hold the letter locked */
	saga_execute(&queue_of_letter_stmt, &value, NULL, false, 1);
	if (SPI_processed == 0)
		no_such_letter(id);
	queue = saga_queue_by_id(DatumGetInt32(saga_result(0, 1, &isnull)), false);
	if (!may_operate(queue))
		no_such_letter(id);
	queue = saga_queue_lock(queue);

	saga_execute(&letter_stmt, &value, NULL, false, 1);
	if (SPI_processed == 0)
		no_such_letter(id);
	read_letter(0, &found);
	if (found.redriven)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("dead letter %s was already redriven", saga_uuid_to_cstring(id)),
				 errhint("See redriven_at and redriven_as in saga.dead_letters.")));
	(void) redrive_letter(queue, &found, how, &result);
	SPI_finish();
	saga_accepted();
	return result;
}

/* redrive(dead_letter_id uuid) returns uuid */
PG_FUNCTION_INFO_V1(saga_redrive);

Datum
saga_redrive(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *result = palloc(sizeof(pg_uuid_t));

	saga_arg_required(fcinfo, 0, "dead_letter_id");
	*result = redrive_one(PG_GETARG_UUID_P(0), SAGA_REDRIVE_ONE);
	PG_RETURN_UUID_P(result);
}

/* redrive(dead_letter_id uuid, force boolean) returns uuid */
PG_FUNCTION_INFO_V1(saga_redrive_force);

Datum
saga_redrive_force(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *result = palloc(sizeof(pg_uuid_t));
	bool		force = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);

	saga_arg_required(fcinfo, 0, "dead_letter_id");
	*result = redrive_one(PG_GETARG_UUID_P(0), force ? SAGA_REDRIVE_FORCE : SAGA_REDRIVE_ONE);
	PG_RETURN_UUID_P(result);
}

/* redrive(queue text, reason text, max integer) returns bigint */
PG_FUNCTION_INFO_V1(saga_redrive_queue);

Datum
saga_redrive_queue(PG_FUNCTION_ARGS)
{
	const SagaQueue *queue;
	char	   *name;
	pg_uuid_t	after = saga_uuid_min;
	int64		left = PG_INT64_MAX;
	int64		done = 0;
	int64		skipped = 0;
	Datum		values[4];
	char		nulls[5] = "    ";
	MemoryContext context;
	bool		more;

	saga_arg_required(fcinfo, 0, "queue");
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	queue = saga_queue_find(name, GetUserId(), SAGA_RIGHT_OPERATE, true);
	if (queue == NULL && saga_uuid_parse(name, &after))
	{
		/* a literal without a cast is text: the id of a letter, one is redriven */
		(void) redrive_one(&after, SAGA_REDRIVE_ONE);
		PG_RETURN_INT64(1);
	}
	if (queue == NULL)
		saga_object_missing(SAGA_OBJECT_QUEUE, name, GetUserId(), SAGA_RIGHT_OPERATE);
	queue = saga_queue_lock(queue);
	if (!PG_ARGISNULL(2))
	{
		left = PG_GETARG_INT32(2);
		if (left < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("max must not be negative")));
	}
	values[0] = Int32GetDatum(queue->queue_id);
	values[1] = UUIDPGetDatum(&after);
	values[2] = PG_ARGISNULL(1) ? (Datum) 0 : PG_GETARG_DATUM(1);
	nulls[2] = PG_ARGISNULL(1) ? 'n' : ' ';

	SPI_connect();
	context = AllocSetContextCreate(CurrentMemoryContext, "pg_saga redrive", ALLOCSET_DEFAULT_SIZES);
	do
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		int			chunk = (int) Min(left, REDRIVE_CHUNK);
		FoundLetter *found = palloc(sizeof(FoundLetter) * Max(chunk, 1));
		int			n;
		int			i;

		values[3] = Int32GetDatum(chunk);
		saga_execute(&letters_stmt, values, nulls, false, 0);
		n = (int) SPI_processed;
		for (i = 0; i < n; i++)
			read_letter(i, &found[i]);
		SPI_freetuptable(SPI_tuptable);
		for (i = 0; i < n; i++)
		{
			pg_uuid_t	as;

			/* one that has no way back does not keep the others from theirs */
			if (redrive_letter(queue, &found[i], SAGA_REDRIVE_MANY, &as))
			{
				done++;
				left--;
			}
			else
				skipped++;
			after = found[i].dead_letter_id;
		}
		more = n == chunk && left > 0;
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
		CHECK_FOR_INTERRUPTS();
	} while (more);
	SPI_finish();
	if (done > 0)
		saga_accepted();
	if (skipped > 0)
		ereport(NOTICE,
				(errmsg_plural("%lld dead letter of queue \"%s\" cannot be redriven",
							   "%lld dead letters of queue \"%s\" cannot be redriven",
							   (unsigned long) skipped, (long long) skipped, queue->name),
				 errhint("saga.redrive() of a single one says why.")));
	PG_RETURN_INT64(done);
}
