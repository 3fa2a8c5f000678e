/*
 * send.c
 *		Putting messages into queues.
 *
 * The row goes in through one kept statement; its id is noted, and the commit
 * of the sender pushes it and wakes a consumer (mark.c).
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "queue/internal.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

/* Rows for one statement. */
#define SEND_CHUNK 1000

static SagaStmt insert_one = {
	.sql = "INSERT INTO saga.message (queue_id, id, message_id, target, sent_at, version, kind, body, headers)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
	.nargs = 9,
	.argtypes = {INT4OID, UUIDOID, UUIDOID, UUIDOID, TIMESTAMPTZOID, INT4OID, CHAROID, JSONBOID, JSONBOID}
};
static SagaStmt insert_many = {
	.sql = "INSERT INTO saga.message (queue_id, sent_at, id, message_id, target, version, kind, body, headers)"
	" SELECT $1, $2, * FROM unnest($3, $4, $5, $6, $7, $8, $9)",
	.nargs = 9,
	.argtypes = {INT4OID, TIMESTAMPTZOID, UUIDARRAYOID, UUIDARRAYOID, UUIDARRAYOID, INT4ARRAYOID,
	CHARARRAYOID, JSONBARRAYOID, JSONBARRAYOID}
};
static SagaStmt insert_timer = {
	.sql = "INSERT INTO saga.timer (queue_id, message_id, wake_at, target, sent_at, version, kind, body, headers)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
	.nargs = 9,
	.argtypes = {INT4OID, UUIDOID, TIMESTAMPTZOID, UUIDOID, TIMESTAMPTZOID, INT4OID, CHAROID, JSONBOID, JSONBOID}
};

/* Columns of insert_many. */
enum
{
	COL_ID,
	COL_MESSAGE_ID,
	COL_TARGET,
	COL_VERSION,
	COL_KIND,
	COL_BODY,
	COL_HEADERS,
	NCOLS
};


static bool
has_target(const SagaSend *row)
{
	return saga_uuid_cmp(&row->target, &saga_uuid_min) != 0;
}

static char
null_flag(bool isnull)
{
	return isnull ? 'n' : ' ';
}

static void
send_one(const SagaQueue *queue, const SagaSend *row, const pg_uuid_t *id, TimestampTz now)
{
	Datum		values[9];
	char		nulls[10] = "         ";

	values[0] = Int32GetDatum(queue->queue_id);
	values[1] = UUIDPGetDatum(id);
	values[2] = UUIDPGetDatum(&row->message_id);
	values[3] = UUIDPGetDatum(&row->target);
	nulls[3] = null_flag(!has_target(row));
	values[4] = TimestampTzGetDatum(now);
	values[5] = Int32GetDatum(row->version);
	nulls[5] = null_flag(row->version == 0);
	values[6] = CharGetDatum(row->kind);
	values[7] = PointerGetDatum(row->body);
	nulls[7] = null_flag(row->body == NULL);
	values[8] = PointerGetDatum(row->headers);
	nulls[8] = null_flag(row->headers == NULL);
	saga_execute(&insert_one, values, nulls, false, 0);
	saga_note_inserted(queue, id);
}

static void
send_delayed(const SagaQueue *queue, const SagaSend *row, TimestampTz now)
{
	TimestampTz wake_at = now + row->delay_ms * 1000;
	Datum		values[9];
	char		nulls[10] = "         ";

	values[0] = Int32GetDatum(queue->queue_id);
	values[1] = UUIDPGetDatum(&row->message_id);
	values[2] = TimestampTzGetDatum(wake_at);
	values[3] = UUIDPGetDatum(&row->target);
	nulls[3] = null_flag(!has_target(row));
	values[4] = TimestampTzGetDatum(now);
	values[5] = Int32GetDatum(row->version);
	nulls[5] = null_flag(row->version == 0);
	values[6] = CharGetDatum(row->kind);
	values[7] = PointerGetDatum(row->body);
	nulls[7] = null_flag(row->body == NULL);
	values[8] = PointerGetDatum(row->headers);
	nulls[8] = null_flag(row->headers == NULL);
	saga_execute(&insert_timer, values, nulls, false, 0);
	saga_note_timer(wake_at);
}

static Datum
column_array(Datum *datums, bool *nulls, int n, Oid type)
{
	int			lbound = 1;
	int16		typlen;
	bool		byval;
	char		align;

	get_typlenbyvalalign(type, &typlen, &byval, &align);
	return PointerGetDatum(construct_md_array(datums, nulls, 1, &n, &lbound, type, typlen, byval, align));
}

/* ids has a position for each row; rows that wait are left out. */
static void
send_many(const SagaQueue *queue, const SagaSend *rows, pg_uuid_t *ids, int nrows, TimestampTz now)
{
	static const Oid types[NCOLS] = {UUIDOID, UUIDOID, UUIDOID, INT4OID, CHAROID, JSONBOID, JSONBOID};
	Datum	   *datums[NCOLS];
	bool	   *nulls[NCOLS];
	Datum		values[2 + NCOLS];
	int			n = 0;
	int			i;
	int			c;

	for (c = 0; c < NCOLS; c++)
	{
		datums[c] = palloc(sizeof(Datum) * nrows);
		nulls[c] = palloc0(sizeof(bool) * nrows);
	}
	for (i = 0; i < nrows; i++)
	{
		const SagaSend *row = &rows[i];

		if (row->delay_ms > 0)
			continue;
		datums[COL_ID][n] = UUIDPGetDatum(&ids[i]);
		datums[COL_MESSAGE_ID][n] = UUIDPGetDatum(&row->message_id);
		datums[COL_TARGET][n] = UUIDPGetDatum(&row->target);
		nulls[COL_TARGET][n] = !has_target(row);
		datums[COL_VERSION][n] = Int32GetDatum(row->version);
		nulls[COL_VERSION][n] = row->version == 0;
		datums[COL_KIND][n] = CharGetDatum(row->kind);
		datums[COL_BODY][n] = PointerGetDatum(row->body);
		nulls[COL_BODY][n] = row->body == NULL;
		datums[COL_HEADERS][n] = PointerGetDatum(row->headers);
		nulls[COL_HEADERS][n] = row->headers == NULL;
		n++;
	}
	values[0] = Int32GetDatum(queue->queue_id);
	values[1] = TimestampTzGetDatum(now);
	for (c = 0; c < NCOLS; c++)
		values[2 + c] = column_array(datums[c], nulls[c], n, types[c]);
	saga_execute(&insert_many, values, NULL, false, 0);
	for (i = 0; i < nrows; i++)
		if (rows[i].delay_ms <= 0)
			saga_note_inserted(queue, &ids[i]);
}

static void
send_chunk(const SagaQueue *queue, const SagaSend *rows, int nrows, TimestampTz now)
{
	pg_uuid_t  *ids = palloc(sizeof(pg_uuid_t) * nrows);
	int			immediate = 0;
	int			one = 0;
	int			i;

	for (i = 0; i < nrows; i++)
	{
		if (rows[i].delay_ms > 0)
		{
			send_delayed(queue, &rows[i], now);
			continue;
		}
		ids[i] = rows[i].returned ? saga_uuid_new() : rows[i].message_id;
		one = i;
		immediate++;
	}
	if (immediate == 1)
		send_one(queue, &rows[one], &ids[one], now);
	else if (immediate > 1)
		send_many(queue, rows, ids, nrows, now);
}

void
saga_send_rows(const SagaQueue *queue, const SagaSend *rows, int nrows)
{
	TimestampTz now = GetCurrentTimestamp();
	MemoryContext context;
	MemoryContext old;
	int			i;

	queue = saga_queue_lock(queue);
	if (nrows == 1)
	{
		/* the ordinary case, without arrays */
		send_chunk(queue, rows, 1, now);
		return;
	}
	context = AllocSetContextCreate(CurrentMemoryContext, "pg_saga send", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	for (i = 0; i < nrows; i += SEND_CHUNK)
	{
		send_chunk(queue, rows + i, Min(SEND_CHUNK, nrows - i), now);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* ---------- SQL ---------- */

static Jsonb *
arg_headers(FunctionCallInfo fcinfo, int arg)
{
	Jsonb	   *headers;

	if (PG_ARGISNULL(arg))
		return NULL;
	headers = PG_GETARG_JSONB_P(arg);
	if (!JB_ROOT_IS_OBJECT(headers))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("headers must be a JSON object")));
	return headers;
}

/*
 * send(queue text, body jsonb, delay interval, group_id text, dedup_id text, headers jsonb) returns uuid
 */
PG_FUNCTION_INFO_V1(saga_send);

Datum
saga_send(PG_FUNCTION_ARGS)
{
	const SagaQueue *queue;
	SagaSend	row;
	pg_uuid_t  *result;

	memset(&row, 0, sizeof(row));
	queue = saga_arg_queue(fcinfo, 0, SAGA_RIGHT_USE);
	saga_arg_required(fcinfo, 1, "body");
	row.body = PG_GETARG_JSONB_P(1);
	row.delay_ms = saga_arg_interval_ms(fcinfo, 2, "delay", 0);
	if (!PG_ARGISNULL(3) || !PG_ARGISNULL(4))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("message groups and deduplication are not supported yet"),
				 errhint("Leave group_id and dedup_id null.")));
	row.headers = arg_headers(fcinfo, 5);
	row.kind = SAGA_MSG_MESSAGE;
	row.message_id = saga_uuid_new();

	result = palloc(sizeof(pg_uuid_t));
	*result = row.message_id;
	SPI_connect();
	saga_send_rows(queue, &row, 1);
	SPI_finish();
	saga_accepted();
	PG_RETURN_UUID_P(result);
}

/*
 * send_batch(queue text, bodies jsonb[], delay interval, headers jsonb) returns setof uuid
 */
PG_FUNCTION_INFO_V1(saga_send_batch);

Datum
saga_send_batch(PG_FUNCTION_ARGS)
{
	const SagaQueue *queue;
	Tuplestorestate *store;
	TupleDesc	desc;
	Datum	   *bodies;
	bool	   *nulls;
	Jsonb	   *headers;
	int64		delay_ms;
	SagaSend   *rows;
	int			n;
	int			i;

	queue = saga_arg_queue(fcinfo, 0, SAGA_RIGHT_USE);
	saga_arg_required(fcinfo, 1, "bodies");
	delay_ms = saga_arg_interval_ms(fcinfo, 2, "delay", 0);
	headers = arg_headers(fcinfo, 3);
	store = saga_srf_begin(fcinfo, &desc);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), JSONBOID, -1, false, TYPALIGN_INT, &bodies, &nulls, &n);

	rows = palloc0(sizeof(SagaSend) * Max(n, 1));
	for (i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("bodies must not contain nulls"),
					 errdetail("Body %d is null.", i + 1)));
		rows[i].body = DatumGetJsonbP(bodies[i]);
		rows[i].headers = headers;
		rows[i].delay_ms = delay_ms;
		rows[i].kind = SAGA_MSG_MESSAGE;
		rows[i].message_id = saga_uuid_new();
	}
	SPI_connect();
	saga_send_rows(queue, rows, n);
	SPI_finish();
	saga_accepted();
	for (i = 0; i < n; i++)
	{
		Datum		value = UUIDPGetDatum(&rows[i].message_id);
		bool		isnull = false;

		tuplestore_putvalues(store, desc, &value, &isnull);
	}
	PG_RETURN_NULL();
}

/* make_id() returns uuid */
PG_FUNCTION_INFO_V1(saga_make_id);

Datum
saga_make_id(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));

	*id = saga_uuid_offer();
	PG_RETURN_UUID_P(id);
}
