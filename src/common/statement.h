/*
 * statement.h
 *		Statements of the engine's own: what goes in and what comes out has a
 *		name, and rows belong to whoever asked for them.
 *
 *	static SagaStatement find_stmt = {
 *		.sql = "SELECT queue_id, paused FROM saga.queue WHERE name = $name AND owner = $owner"
 *	};
 *
 *	rows = saga_query(&find_stmt, saga_param_text("name", name), saga_param_oid("owner", owner));
 *	while (saga_rows_next(rows))
 *		use(saga_column_int4(rows, "queue_id"), saga_column_bool(rows, "paused"));
 */
#ifndef SAGA_STATEMENT_H
#define SAGA_STATEMENT_H

#include "common/compat.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "datatype/timestamp.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* ---------- a statement ---------- */

/*
 * Define it static.  Every table and function outside pg_catalog in it is
 * qualified.  A parameter is written $name; its type is that of the value that
 * is passed under this name, always the same one.  The plan is made at the
 * first use in a process and kept.
 *
 * read_only means what it does for SPI: without it the statement takes a new
 * snapshot and sees what this transaction has written before; with it the
 * active snapshot is used.  limit: it stops after so many rows; 0: all.
 */
typedef struct SagaStatement
{
	const char *sql;
	bool		read_only;
	long		limit;
	struct SagaPrepared *prepared;	/* NULL before the first use */
} SagaStatement;

/* ---------- what goes in ---------- */

typedef struct SagaParam
{
	const char *name;			/* without the "$"; NULL ends a list */
	Oid			type;
	Datum		value;
	bool		isnull;
} SagaParam;

static inline SagaParam
saga_param_datum(const char *name, Oid type, Datum value)
{
	SagaParam	param = {name, type, value, false};

	return param;
}

/* The value, or NULL of its type where the condition does not hold. */
static inline SagaParam
saga_param_if(bool condition, SagaParam param)
{
	param.isnull |= !condition;
	return param;
}

static inline SagaParam
saga_param_bool(const char *name, bool value)
{
	return saga_param_datum(name, BOOLOID, BoolGetDatum(value));
}

static inline SagaParam
saga_param_char(const char *name, char value)
{
	return saga_param_datum(name, CHAROID, CharGetDatum(value));
}

static inline SagaParam
saga_param_int4(const char *name, int32 value)
{
	return saga_param_datum(name, INT4OID, Int32GetDatum(value));
}

static inline SagaParam
saga_param_int8(const char *name, int64 value)
{
	return saga_param_datum(name, INT8OID, Int64GetDatum(value));
}

static inline SagaParam
saga_param_oid(const char *name, Oid value)
{
	return saga_param_datum(name, OIDOID, ObjectIdGetDatum(value));
}

static inline SagaParam
saga_param_timestamptz(const char *name, TimestampTz value)
{
	return saga_param_datum(name, TIMESTAMPTZOID, TimestampTzGetDatum(value));
}

/* Those that are pointers: a null pointer is NULL, and what they point to is used as it is. */
static inline SagaParam
saga_param_pointer(const char *name, Oid type, const void *value)
{
	return saga_param_if(value != NULL, saga_param_datum(name, type, PointerGetDatum(value)));
}

static inline SagaParam
saga_param_uuid(const char *name, const pg_uuid_t *value)
{
	return saga_param_pointer(name, UUIDOID, value);
}

static inline SagaParam
saga_param_jsonb(const char *name, const Jsonb *value)
{
	return saga_param_pointer(name, JSONBOID, value);
}

static inline SagaParam
saga_param_array(const char *name, Oid array_type, const ArrayType *value)
{
	return saga_param_pointer(name, array_type, value);
}

/* A text of C, which is copied. */
static inline SagaParam
saga_param_text(const char *name, const char *value)
{
	return saga_param_pointer(name, TEXTOID, value != NULL ? cstring_to_text(value) : NULL);
}

/* ---------- what comes out ---------- */

/*
 * The rows of a statement, in the memory context that was the current one when
 * they were asked for; they are there until it ends, or saga_rows_free.  One
 * row at a time is looked at; saga_rows_next goes to the first one, and on.
 */
typedef struct SagaRows
{
	uint64		count;
	const char *sql;			/* for messages */
	TupleDesc	desc;
	HeapTuple  *tuples;
	uint64		room;			/* of tuples */
	uint64		next;			/* the row after the one looked at */
	int			column;			/* where the next column is expected */
} SagaRows;

/* False: there are no more. */
extern bool saga_rows_next(SagaRows *rows);

/* Looks at row 0..count - 1; saga_rows_next goes on behind it. */
extern void saga_row(SagaRows *rows, uint64 row);

extern void saga_rows_free(SagaRows *rows);

/* The same, and what they held is overwritten. */
extern void saga_rows_wipe(SagaRows *rows);

/* The row that is looked at, as it was formed; for a tuplestore. */
extern HeapTuple saga_row_tuple(const SagaRows *rows);

/*
 * A column of the row that is looked at, by its name.  One that the statement
 * does not return, or of another type, is an error of ours (XX000).  What is
 * passed by reference points into the row, unless it says "copy".
 */
extern Datum saga_column(SagaRows *rows, const char *name, Oid type, bool *isnull);
extern bool saga_column_is_null(SagaRows *rows, const char *name);

/* NULL is 0, false, InvalidOid. */
extern bool saga_column_bool(SagaRows *rows, const char *name);
extern char saga_column_char(SagaRows *rows, const char *name);
extern int32 saga_column_int4(SagaRows *rows, const char *name);
extern int64 saga_column_int8(SagaRows *rows, const char *name);
extern Oid	saga_column_oid(SagaRows *rows, const char *name);
extern TimestampTz saga_column_timestamptz(SagaRows *rows, const char *name);

/* NULL is all zero (saga_uuid_min). */
extern pg_uuid_t saga_column_uuid(SagaRows *rows, const char *name);

/* NULL is a null pointer; copied into the current context, and not compressed any more. */
extern char *saga_column_text(SagaRows *rows, const char *name);
extern Jsonb *saga_column_jsonb(SagaRows *rows, const char *name);

/* ---------- running it ---------- */

/*
 * Runs a statement raised and pinned: as the owner of the extension, with a
 * safe search_path, and planner settings that keep the hot statements on their
 * index; the extension is locked against being dropped until the transaction
 * ends.  Needs an open transaction, and no SPI_connect.  The memory of the
 * statement is given back, and the caller's memory context stays the current
 * one.
 *
 * saga_run says how many rows were found or changed.  saga_query gives them
 * back.  Parameters that the statement does not name are passed over, so that
 * one list can serve several statements.
 */
#define saga_run(stmt, ...) \
	saga_statement_run((stmt), (const SagaParam[]) {__VA_ARGS__ __VA_OPT__(,) {.name = NULL}})
#define saga_query(stmt, ...) \
	saga_statement_query((stmt), (const SagaParam[]) {__VA_ARGS__ __VA_OPT__(,) {.name = NULL}})

/* The same with a list of the caller's; {.name = NULL} ends it. */
extern uint64 saga_statement_run(SagaStatement *stmt, const SagaParam *params);
extern SagaRows *saga_statement_query(SagaStatement *stmt, const SagaParam *params);

/*
 * Several statements in a row raise once.  Nothing of a user's may run in
 * between: no step, no deferred trigger, no cast or operator of theirs.  An
 * error ends the section by itself, through the abort of the (sub)transaction.
 * Sections do not nest.
 */
typedef struct SagaRaised
{
	Oid			userid;
	int			sec_context;
	int			guc_level;
} SagaRaised;

extern void saga_raise(SagaRaised *save);
extern void saga_lower(const SagaRaised *save);

/* ---------- a query of a user's ---------- */

/*
 * Runs a query of one column of jsonb as the current user, and hands each value
 * on as the executor has it (NULL for a null), within the query: nothing is
 * collected.  arg: the value of $1; NULL: it has no parameter.  max: no more
 * rows than that; 0: all.
 */
extern void saga_stream(const char *sql, Jsonb *arg, int64 max, void (*row) (Jsonb *value, int64 index, void *arg),
						void *row_arg);

#endif							/* SAGA_STATEMENT_H */
