/*
 * statement.c
 *		The engine's own statements: kept generic plans, run as the owner of
 *		the extension with pinned settings.
 *
 * The session is a user's.  A kept plan is analysed anew after each
 * invalidation, under the search_path of that moment, so without the pin an
 * operator of the user's would run as the extension's owner.  The planner
 * settings are pinned at each execution for the same reason: a plan made anew
 * after a vacuum must not become another plan.  And the extension is locked
 * against being dropped: by a lock of our own, see saga_extension_lock_as.
 *
 * SPI runs them, but lends its memory to none: rows are formed by a receiver of
 * ours, in the context of the caller, and SPI is left before the caller goes on.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "common/common.h"
#include "common/extension_private.h"
#include "common/statement.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "nodes/params.h"
#include "tcop/dest.h"
#include "utils/guc.h"
#include "utils/memutils.h"

/* More than any statement has. */
#define MAX_PARAMS 40

/* What a statement has become; in TopMemoryContext, as long as the process. */
typedef struct SagaPrepared
{
	SPIPlanPtr	plan;
	int			nparams;
	const char *names[MAX_PARAMS];	/* those of the first use */
	Oid			types[MAX_PARAMS];
} SagaPrepared;

/* ---------- raising ---------- */

/* The (sub)transaction in which a section has begun and has not ended. */
static SubTransactionId section = InvalidSubTransactionId;

/*
 * An error within a section has restored the user by then, as the server does
 * at an abort; so only the mark is left.
 */
static void
at_transaction_end(XactEvent event, void *arg)
{
	section = InvalidSubTransactionId;
}

/* A section belongs to the subtransaction that it was begun in. */
static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB && section == mine)
		section = InvalidSubTransactionId;
}

/* A setting until the GUC nest level ends. */
static void
pin(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/*
 * With the lock, what is named saga.* is the extension's.  Otherwise it might be
 * dropped at this moment, and a table of a user's, with a trigger, take the
 * name before a kept plan is analysed anew.
 */
static void
raise_user(SagaRaised *save)
{
	Oid			owner;

	saga_extension_lock_once();
	owner = saga_extension_owner();
	GetUserIdAndSecContext(&save->userid, &save->sec_context);
	save->guc_level = NewGUCNestLevel();
	pin("search_path", "pg_catalog, pg_temp");
	pin("plan_cache_mode", "force_generic_plan");
	pin("enable_seqscan", "off");
	pin("enable_bitmapscan", "off");
	pin("enable_sort", "off");
	pin("jit", "off");
	pin("row_security", "on");
	SetUserIdAndSecContext(owner, save->sec_context | SECURITY_LOCAL_USERID_CHANGE);
}

/* First the user, then the level: restoring "role" would set the user. */
static void
lower_user(const SagaRaised *save)
{
	SetUserIdAndSecContext(save->userid, save->sec_context);
	AtEOXact_GUC(true, save->guc_level);
}

/* The callbacks are registered once in a process, for both ends. */
void
saga_raise(SagaRaised *save)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(at_transaction_end, NULL);
		RegisterSubXactCallback(at_subtransaction_end, NULL);
		registered = true;
	}
	Assert(section == InvalidSubTransactionId);
	raise_user(save);
	section = GetCurrentSubTransactionId();
}

/* In the same subtransaction as saga_raise. */
void
saga_lower(const SagaRaised *save)
{
	Assert(section == GetCurrentSubTransactionId());
	section = InvalidSubTransactionId;
	lower_user(save);
}

/* ---------- preparing ---------- */

/* What names of parameters are made of; "$1" is one, too. */
static bool
is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* NULL when the list has none of that name. */
static const SagaParam *
find_param(const SagaParam *params, const char *name, size_t len)
{
	for (; params->name != NULL; params++)
		if (strlen(params->name) == len && strncmp(params->name, name, len) == 0)
			return params;
	return NULL;
}

/* The number of a parameter, from 1; one that is met for the first time gets the next. */
static int
number_param(SagaPrepared *prepared, const SagaStatement *stmt, const SagaParam *params, const char *name, size_t len)
{
	const SagaParam *param = find_param(params, name, len);
	int			n;

	if (param == NULL)
		elog(ERROR, "no value for \"%.*s\" in \"%s\"", (int) len, name, stmt->sql);
	for (n = 0; n < prepared->nparams; n++)
		if (strcmp(prepared->names[n], param->name) == 0)
			return n + 1;
	if (n == MAX_PARAMS)
		elog(ERROR, "too many parameters in \"%s\"", stmt->sql);
	prepared->names[n] = param->name;
	prepared->types[n] = param->type;
	prepared->nparams++;
	return n + 1;
}

/* The statement as the server takes it: $1 in place of $name. */
static char *
number_params(SagaPrepared *prepared, const SagaStatement *stmt, const SagaParam *params)
{
	StringInfoData sql;
	const char *at = stmt->sql;

	initStringInfo(&sql);
	while (*at)
	{
		size_t		len = 0;

		if (*at == '$')
			while (is_name_char(at[len + 1]))
				len++;
		if (len == 0)
			appendStringInfoChar(&sql, *at++);
		else
		{
			appendStringInfo(&sql, "$%d", number_param(prepared, stmt, params, at + 1, len));
			at += len + 1;
		}
	}
	return sql.data;
}

/* Names of parameters are constants of the program, and are kept as they are. */
static void
prepare(SagaStatement *stmt, const SagaParam *params)
{
	SagaPrepared prepared = {0};
	char	   *sql = number_params(&prepared, stmt, params);
	SagaPrepared *kept;

	prepared.plan = SPI_prepare_cursor(sql, prepared.nparams, prepared.types, CURSOR_OPT_GENERIC_PLAN);
	if (prepared.plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", sql, SPI_result_code_string(SPI_result));
	kept = MemoryContextAlloc(TopMemoryContext, sizeof(SagaPrepared));
	*kept = prepared;
	if (SPI_keepplan(prepared.plan) != 0)
		elog(ERROR, "could not keep the plan of \"%s\"", sql);
	stmt->prepared = kept;
}

/* ---------- parameters ---------- */

/* They mostly come in the order in which the statement has them. */
static ParamListInfo
bind_params(const SagaStatement *stmt, const SagaParam *params)
{
	const SagaPrepared *prepared = stmt->prepared;
	ParamListInfo list;
	int			n;

	if (prepared->nparams == 0)
		return NULL;
	list = makeParamList(prepared->nparams);
	for (n = 0; n < prepared->nparams; n++)
	{
		const char *name = prepared->names[n];
		const SagaParam *param = params;

		while (param->name != name && param->name != NULL)
			param++;
		if (param->name == NULL)
			param = find_param(params, name, strlen(name));
		if (param == NULL || param->type != prepared->types[n])
			elog(ERROR, "no value of type %u for \"%s\" in \"%s\"", prepared->types[n], name, stmt->sql);
		list->params[n].value = param->value;
		list->params[n].isnull = param->isnull;
		list->params[n].pflags = PARAM_FLAG_CONST;
		list->params[n].ptype = param->type;
	}
	return list;
}

/* ---------- rows ---------- */

typedef struct Receiver
{
	DestReceiver pub;
	MemoryContext context;		/* the caller's */
	SagaRows   *rows;
} Receiver;

/* The descriptor is the executor's and goes with it, so it is copied. */
static void
receive_startup(DestReceiver *self, int operation, TupleDesc desc)
{
	Receiver   *receiver = (Receiver *) self;
	MemoryContext old = MemoryContextSwitchTo(receiver->context);

	receiver->rows->desc = CreateTupleDescCopy(desc);
	MemoryContextSwitchTo(old);
}

/*
 * Rows are copied into the caller's context; what is stored out of line stays
 * so until its column is read.
 */
static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	Receiver   *receiver = (Receiver *) self;
	SagaRows   *rows = receiver->rows;
	MemoryContext old = MemoryContextSwitchTo(receiver->context);

	if (rows->count == rows->room)
	{
		rows->room = Max(4, 2 * rows->room);
		rows->tuples = rows->tuples == NULL ? palloc(rows->room * sizeof(HeapTuple)) :
			repalloc_huge(rows->tuples, rows->room * sizeof(HeapTuple));
	}
	rows->tuples[rows->count++] = ExecCopySlotHeapTuple(slot);
	MemoryContextSwitchTo(old);
	return true;
}

/* Nothing is left to do at the end: the rows are the caller's. */
static void
receive_nothing(DestReceiver *self)
{
}

bool
saga_rows_next(SagaRows *rows)
{
	if (rows->next == rows->count)
		return false;
	rows->next++;
	return true;
}

void
saga_row(SagaRows *rows, uint64 row)
{
	Assert(row < rows->count);
	rows->next = row + 1;
}

HeapTuple
saga_row_tuple(const SagaRows *rows)
{
	Assert(rows->next > 0);
	return rows->tuples[rows->next - 1];
}

/* For loops; elsewhere the context will do. */
void
saga_rows_free(SagaRows *rows)
{
	for (uint64 row = 0; row < rows->count; row++)
		heap_freetuple(rows->tuples[row]);
	if (rows->tuples != NULL)
		pfree(rows->tuples);
	if (rows->desc != NULL)
		FreeTupleDesc(rows->desc);
	pfree(rows);
}

void
saga_rows_wipe(SagaRows *rows)
{
	for (uint64 row = 0; row < rows->count; row++)
		explicit_bzero(rows->tuples[row]->t_data, rows->tuples[row]->t_len);
	saga_rows_free(rows);
}

/* Columns are mostly read in the order in which the statement returns them. */
static int
find_column(SagaRows *rows, const char *name)
{
	int			natts = rows->desc->natts;

	for (int i = 0; i < natts; i++)
	{
		int			column = (rows->column + i) % natts;

		if (strcmp(NameStr(TupleDescAttr(rows->desc, column)->attname), name) == 0)
		{
			rows->column = column + 1;
			return column;
		}
	}
	elog(ERROR, "no column \"%s\" in \"%s\"", name, rows->sql);
}

/* Of the row that is looked at; columns are counted from 0. */
static Datum
get_column(SagaRows *rows, int column, bool *isnull)
{
	return heap_getattr(saga_row_tuple(rows), column + 1, rows->desc, isnull);
}

Datum
saga_column(SagaRows *rows, const char *name, Oid type, bool *isnull)
{
	int			column = find_column(rows, name);

	if (TupleDescAttr(rows->desc, column)->atttypid != type)
		elog(ERROR, "column \"%s\" has type %u in \"%s\"", name,
			 TupleDescAttr(rows->desc, column)->atttypid, rows->sql);
	return get_column(rows, column, isnull);
}

bool
saga_column_is_null(SagaRows *rows, const char *name)
{
	bool		isnull;

	(void) get_column(rows, find_column(rows, name), &isnull);
	return isnull;
}

bool
saga_column_bool(SagaRows *rows, const char *name)
{
	bool		isnull;
	Datum		value = saga_column(rows, name, BOOLOID, &isnull);

	return !isnull && DatumGetBool(value);
}

char
saga_column_char(SagaRows *rows, const char *name)
{
	bool		isnull;
	Datum		value = saga_column(rows, name, CHAROID, &isnull);

	return isnull ? '\0' : DatumGetChar(value);
}

int32
saga_column_int4(SagaRows *rows, const char *name)
{
	bool		isnull;
	Datum		value = saga_column(rows, name, INT4OID, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

int64
saga_column_int8(SagaRows *rows, const char *name)
{
	bool		isnull;
	Datum		value = saga_column(rows, name, INT8OID, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

Oid
saga_column_oid(SagaRows *rows, const char *name)
{
	bool		isnull;
	Datum		value = saga_column(rows, name, OIDOID, &isnull);

	return isnull ? InvalidOid : DatumGetObjectId(value);
}

TimestampTz
saga_column_timestamptz(SagaRows *rows, const char *name)
{
	bool		isnull;
	Datum		value = saga_column(rows, name, TIMESTAMPTZOID, &isnull);

	return isnull ? 0 : DatumGetTimestampTz(value);
}

pg_uuid_t
saga_column_uuid(SagaRows *rows, const char *name)
{
	bool		isnull;
	Datum		value = saga_column(rows, name, UUIDOID, &isnull);

	return isnull ? saga_uuid_min : *DatumGetUUIDP(value);
}

char *
saga_column_text(SagaRows *rows, const char *name)
{
	bool		isnull;
	Datum		value = saga_column(rows, name, TEXTOID, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

Jsonb *
saga_column_jsonb(SagaRows *rows, const char *name)
{
	bool		isnull;
	Datum		value = saga_column(rows, name, JSONBOID, &isnull);

	return isnull ? NULL : DatumGetJsonbPCopy(value);
}

/* ---------- running ---------- */

/*
 * Connects, runs and leaves SPI again, raised unless a section has raised
 * already.  On an error the abort restores user, settings and SPI.
 */
static uint64
execute(SagaStatement *stmt, const SagaParam *params, DestReceiver *dest)
{
	SPIExecuteOptions options = {0};
	SagaRaised	save;
	bool		raised = section != InvalidSubTransactionId;
	uint64		processed;
	int			ret;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (!raised)
		raise_user(&save);
	/* raised already, so that names mean what the owner of the extension sees */
	if (stmt->prepared == NULL)
		prepare(stmt, params);
	options.params = bind_params(stmt, params);
	options.read_only = stmt->read_only;
	options.tcount = stmt->limit;
	options.dest = dest;
	ret = SPI_execute_plan_extended(stmt->prepared->plan, &options);
	if (ret < 0)
		elog(ERROR, "could not execute \"%s\": %s", stmt->sql, SPI_result_code_string(ret));
	processed = SPI_processed;
	if (!raised)
		lower_user(&save);
	SPI_finish();
	return processed;
}

uint64
saga_statement_run(SagaStatement *stmt, const SagaParam *params)
{
	return execute(stmt, params, None_Receiver);
}

SagaRows *
saga_statement_query(SagaStatement *stmt, const SagaParam *params)
{
	Receiver	receiver = {
		.pub = {
			.receiveSlot = receive_row,
			.rStartup = receive_startup,
			.rShutdown = receive_nothing,
			.rDestroy = receive_nothing,
			.mydest = DestTuplestore
		},
		.context = CurrentMemoryContext
	};

	receiver.rows = palloc0(sizeof(SagaRows));
	receiver.rows->sql = stmt->sql;
	(void) execute(stmt, params, &receiver.pub);
	return receiver.rows;
}

/* ---------- a query of a user's ---------- */

/* A receiver of the server's executor that hands values on. */
typedef struct StreamReceiver
{
	DestReceiver pub;
	void		(*row) (Jsonb *value, int64 index, void *arg);
	void	   *arg;
	int64		index;
	int64		max;
} StreamReceiver;

static bool
stream_row(TupleTableSlot *slot, DestReceiver *self)
{
	StreamReceiver *receiver = (StreamReceiver *) self;
	bool		isnull;
	Datum		value = slot_getattr(slot, 1, &isnull);

	receiver->row(isnull ? NULL : DatumGetJsonbP(value), receiver->index, receiver->arg);
	receiver->index++;
	/* false: no more are wanted */
	return receiver->max == 0 || receiver->index < receiver->max;
}

static void
stream_startup(DestReceiver *self, int operation, TupleDesc desc)
{
	if (desc->natts != 1 || TupleDescAttr(desc, 0)->atttypid != JSONBOID)
		elog(ERROR, "query does not return one jsonb");
}

static void
stream_nothing(DestReceiver *self)
{
}

void
saga_stream(const char *sql, Jsonb *arg, int64 max, void (*row) (Jsonb *value, int64 index, void *arg), void *row_arg)
{
	StreamReceiver receiver = {
		.pub = {.receiveSlot = stream_row, .rStartup = stream_startup, .rShutdown = stream_nothing,
		.rDestroy = stream_nothing, .mydest = DestNone},
		.row = row, .arg = row_arg, .max = max
	};
	SPIExecuteOptions options = {.read_only = false, .dest = &receiver.pub};
	Oid			type = JSONBOID;
	int			nparams = arg != NULL ? 1 : 0;
	SPIPlanPtr	plan;

	SPI_connect();
	plan = SPI_prepare(sql, nparams, &type);
	if (plan == NULL)
		elog(ERROR, "could not plan \"%s\": %s", sql, SPI_result_code_string(SPI_result));
	options.params = makeParamList(nparams);
	if (arg != NULL)
	{
		options.params->params[0].value = JsonbPGetDatum(arg);
		options.params->params[0].isnull = false;
		options.params->params[0].pflags = PARAM_FLAG_CONST;
		options.params->params[0].ptype = type;
	}
	if (SPI_execute_plan_extended(plan, &options) < 0)
		elog(ERROR, "could not run \"%s\": %s", sql, SPI_result_code_string(SPI_result));
	SPI_finish();
}
