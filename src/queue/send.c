/*
 * send.c
 *		Putting messages into queues.
 *
 * The row goes in through one kept statement; its id is noted, and the commit
 * of the sender pushes it and wakes a consumer (notes.c).
 */
#include "postgres.h"

#include "miscadmin.h"
#include "queue/queue_private.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

/* Rows for one statement. */
#define SEND_CHUNK 1000

static SagaStatement insert_one_stmt = {
	.sql = "INSERT INTO saga.message (queue_id, id, message_id, target, sent_at, version, kind, body, headers)"
	" VALUES ($queue_id, $id, $message_id, $target, $sent_at, $version, $kind, $body, $headers)"
};
static SagaStatement insert_timer_stmt = {
	.sql = "INSERT INTO saga.timer (queue_id, message_id, wake_at, target, sent_at, version, kind, body, headers)"
	" VALUES ($queue_id, $message_id, $wake_at, $target, $sent_at, $version, $kind, $body, $headers)"
};
static SagaStatement insert_many_stmt = {
	.sql = "INSERT INTO saga.message (queue_id, sent_at, id, message_id, target, version, kind, body, headers)"
	" SELECT $queue_id, $sent_at, *"
	" FROM unnest($ids, $message_ids, $targets, $versions, $kinds, $bodies, $headers)"
};

/* A column of insert_many_stmt. */
typedef struct Column
{
	Datum	   *values;
	bool	   *nulls;
	int			n;
} Column;


static bool
has_target(const SagaSend *row)
{
	return saga_uuid_cmp(&row->target, &saga_uuid_min) != 0;
}

/* Into saga.message, at this position, or into saga.timer, until that time. */
static void
insert_row(SagaStatement *stmt, const SagaQueue *queue, const SagaSend *row, const pg_uuid_t *id,
		   TimestampTz wake_at, TimestampTz now)
{
	saga_run(stmt, saga_param_int4("queue_id", queue->queue_id), saga_param_uuid("id", id),
			 saga_param_uuid("message_id", &row->message_id), saga_param_timestamptz("wake_at", wake_at),
			 saga_param_if(has_target(row), saga_param_uuid("target", &row->target)),
			 saga_param_timestamptz("sent_at", now),
			 saga_param_if(row->version != 0, saga_param_int4("version", row->version)),
			 saga_param_char("kind", row->kind), saga_param_jsonb("body", row->body),
			 saga_param_jsonb("headers", row->headers));
}

static void
send_one(const SagaQueue *queue, const SagaSend *row, const pg_uuid_t *id, TimestampTz now)
{
	insert_row(&insert_one_stmt, queue, row, id, 0, now);
	saga_note_inserted(queue, id);
}

static void
send_delayed(const SagaQueue *queue, const SagaSend *row, TimestampTz now)
{
	TimestampTz wake_at = now + row->delay_ms * 1000;

	insert_row(&insert_timer_stmt, queue, row, NULL, wake_at, now);
	saga_note_timer(wake_at);
}

static Column
new_column(int room)
{
	Column		column = {palloc(sizeof(Datum) * room), palloc(sizeof(bool) * room), 0};

	return column;
}

static void
add_value(Column *column, Datum value, bool isnull)
{
	column->values[column->n] = value;
	column->nulls[column->n++] = isnull;
}

static SagaParam
column_param(const char *name, Oid array_type, Column *column)
{
	Oid			type = get_element_type(array_type);
	int			lbound = 1;
	int16		typlen;
	bool		byval;
	char		align;

	get_typlenbyvalalign(type, &typlen, &byval, &align);
	return saga_param_array(name, array_type, construct_md_array(column->values, column->nulls, 1, &column->n,
																 &lbound, type, typlen, byval, align));
}

/* ids has a position for each row; rows that wait are left out. */
static void
send_many(const SagaQueue *queue, const SagaSend *rows, pg_uuid_t *ids, int nrows, TimestampTz now)
{
	Column		positions = new_column(nrows);
	Column		message_ids = new_column(nrows);
	Column		targets = new_column(nrows);
	Column		versions = new_column(nrows);
	Column		kinds = new_column(nrows);
	Column		bodies = new_column(nrows);
	Column		headers = new_column(nrows);

	for (int i = 0; i < nrows; i++)
	{
		const SagaSend *row = &rows[i];

		if (row->delay_ms > 0)
			continue;
		add_value(&positions, UUIDPGetDatum(&ids[i]), false);
		add_value(&message_ids, UUIDPGetDatum(&row->message_id), false);
		add_value(&targets, UUIDPGetDatum(&row->target), !has_target(row));
		add_value(&versions, Int32GetDatum(row->version), row->version == 0);
		add_value(&kinds, CharGetDatum(row->kind), false);
		add_value(&bodies, PointerGetDatum(row->body), row->body == NULL);
		add_value(&headers, PointerGetDatum(row->headers), row->headers == NULL);
	}
	saga_run(&insert_many_stmt, saga_param_int4("queue_id", queue->queue_id), saga_param_timestamptz("sent_at", now),
			 column_param("ids", UUIDARRAYOID, &positions), column_param("message_ids", UUIDARRAYOID, &message_ids),
			 column_param("targets", UUIDARRAYOID, &targets), column_param("versions", INT4ARRAYOID, &versions),
			 column_param("kinds", CHARARRAYOID, &kinds), column_param("bodies", JSONBARRAYOID, &bodies),
			 column_param("headers", JSONBARRAYOID, &headers));
	for (int i = 0; i < nrows; i++)
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
saga_queue_send_rows(const SagaQueue *queue, const SagaSend *rows, int nrows)
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

void
saga_queue_put_at(const SagaQueue *queue, const pg_uuid_t *position, char kind, const pg_uuid_t *target,
				  Jsonb *body, bool replace)
{
	static SagaStatement stmt = {
		.sql = "INSERT INTO saga.message (queue_id, id, message_id, target, sent_at, kind, body)"
		" VALUES ($queue_id, $id, $id, $target, $sent_at, $kind, $body) ON CONFLICT (queue_id, id) DO UPDATE SET body ="
		" CASE WHEN $replace THEN excluded.body ELSE message.body END"
	};

	saga_run(&stmt, saga_param_int4("queue_id", queue->queue_id), saga_param_uuid("id", position),
			 saga_param_uuid("target", target), saga_param_timestamptz("sent_at", GetCurrentTimestamp()),
			 saga_param_char("kind", kind), saga_param_jsonb("body", body), saga_param_bool("replace", replace));
	saga_note_inserted(queue, position);
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
	queue = saga_queue_arg_queue(fcinfo, 0, SAGA_RIGHT_USE);
	saga_queue_arg_required(fcinfo, 1, "body");
	row.body = PG_GETARG_JSONB_P(1);
	row.delay_ms = saga_queue_arg_interval_ms(fcinfo, 2, "delay", 0);
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
	saga_queue_send_rows(queue, &row, 1);
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
	SagaRaised	save;
	SagaSend   *rows;
	int			n;
	int			i;

	queue = saga_queue_arg_queue(fcinfo, 0, SAGA_RIGHT_USE);
	saga_queue_arg_required(fcinfo, 1, "bodies");
	delay_ms = saga_queue_arg_interval_ms(fcinfo, 2, "delay", 0);
	headers = arg_headers(fcinfo, 3);
	store = saga_queue_srf_begin(fcinfo, &desc);
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
	/* each that is delayed has a statement of its own */
	saga_raise(&save);
	saga_queue_send_rows(queue, rows, n);
	saga_lower(&save);
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

	*id = saga_uuid_new_to_give();
	PG_RETURN_UUID_P(id);
}
