/*
 * secret.c
 *		Secrets: the functions that make, change and drop them.
 *
 * Who may refer to one, and what a reference means: secret_reference.c.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "net/secret.h"
#include "nodes/params.h"
#include "outbox/destination.h"
#include "pgstat.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(saga_set_secret);
PG_FUNCTION_INFO_V1(saga_drop_secret);

#define SAGA_SECRET_MAX_BYTES 16384

static SagaStmt find_stmt = {
	.sql = "SELECT secret_id FROM saga.secret WHERE owner = $1 AND name = $2",
	.nargs = 2,
	.argtypes = {OIDOID, TEXTOID}
};

static SagaStmt lock_stmt = {
	.sql = "SELECT 1 FROM saga.secret WHERE secret_id = $1 FOR UPDATE",
	.nargs = 1,
	.argtypes = {INT4OID}
};

static SagaStmt insert_stmt = {
	.sql = "INSERT INTO saga.secret (name, owner, value) VALUES ($1, $2::oid::regrole, $3) "
	"ON CONFLICT (owner, name) DO NOTHING",
	.nargs = 3,
	.argtypes = {TEXTOID, OIDOID, TEXTOID}
};

static SagaStmt update_stmt = {
	.sql = "UPDATE saga.secret SET value = $2, changed_at = now() WHERE secret_id = $1",
	.nargs = 2,
	.argtypes = {INT4OID, TEXTOID}
};

static SagaStmt delete_stmt = {
	.sql = "DELETE FROM saga.secret WHERE secret_id = $1",
	.nargs = 1,
	.argtypes = {INT4OID}
};

/* Who refers to it, and whether the caller may know. */
static SagaStmt used_stmt = {
	.sql = "SELECT r.referrer, coalesce(d.name, s.name), coalesce(d.owner, s.owner)::oid, r.used_by::oid FROM saga.reference r "
	"LEFT JOIN saga.destination d ON r.referrer = 'destination' AND d.destination_id = r.referrer_id "
	"LEFT JOIN saga.source s ON r.referrer = 'source' AND s.source_id = r.referrer_id "
	"WHERE r.kind = 'secret' AND r.object_id = $1",
	.nargs = 1,
	.argtypes = {INT4OID}
};

bool
saga_secret_look_up(Oid owner, const char *name, SagaObject *object)
{
	Datum		values[2] = {ObjectIdGetDatum(owner), CStringGetTextDatum(name)};
	bool		found;
	bool		isnull;

	SPI_connect();
	PushActiveSnapshot(GetLatestSnapshot());
	(void) saga_execute(&find_stmt, values, NULL, true, 1);
	PopActiveSnapshot();
	found = SPI_processed > 0;
	if (found)
	{
		object->kind = SAGA_OBJECT_SECRET;
		object->id = DatumGetInt32(saga_result(0, 1, &isnull));
		object->owner = owner;
	}
	SPI_finish();
	return found;
}

/*
 * The statement and its parameters hold the value.  What is logged from here
 * on shows another one: errors of ours and of the server's (a time-out, a
 * deadlock, of which both statements are shown), a lock that is waited for,
 * and what comes after this function, to the commit.  What has been logged
 * already, and what is logged after the statement by its own text, is not in
 * our hands; the COMMENT of the function says so.
 */
#define SHOWN_STATEMENT "SELECT saga.set_secret(...)"

static void
hide_statement(void)
{
	/* in pg_stat_activity, the report of a deadlock and that of a crash */
	pgstat_report_activity(STATE_RUNNING, SHOWN_STATEMENT);
	/* as STATEMENT in the log; the server sets it anew with each message of the client's */
	debug_query_string = SHOWN_STATEMENT;
	/* log_parameter_max_length_on_error: text that is shown as context */
	for (ErrorContextCallback *context = error_context_stack; context != NULL; context = context->previous)
	{
		if (context->callback == ParamsErrorCallback)
		{
			ParamsErrorCbData *data = context->arg;

			if (data->params != NULL)
				data->params->paramValuesStr = NULL;
		}
	}
}

static void
check_name(const char *name)
{
	const char *error = saga_secret_check_name(name);

	if (error != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid name of a secret: \"%s\"", name),
				 errdetail("A name %s.", error)));
}

static void
check_value(const char *name, const char *value)
{
	if (value[0] == '\0' || strpbrk(value, "\r\n") != NULL || strlen(value) > SAGA_SECRET_MAX_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value of secret \"%s\"", name),
				 errdetail("A value is one line, not empty and of at most %d bytes.",
						   SAGA_SECRET_MAX_BYTES)));
}

/* False: it was made meanwhile. */
static bool
insert_secret(const char *name, const char *value)
{
	Datum		values[3];

	saga_object_check_count(SAGA_OBJECT_SECRET, GetUserId());
	values[0] = CStringGetTextDatum(name);
	values[1] = ObjectIdGetDatum(GetUserId());
	values[2] = CStringGetTextDatum(value);
	(void) saga_execute(&insert_stmt, values, NULL, false, 0);
	if (SPI_processed == 0)
		return false;
	saga_secret_found_again(GetUserId(), name);
	return true;
}

/* False: it has gone meanwhile. */
static bool
update_secret(int32 secret_id, const char *value)
{
	Datum		values[2];

	values[0] = Int32GetDatum(secret_id);
	values[1] = CStringGetTextDatum(value);
	(void) saga_execute(&update_stmt, values, NULL, false, 0);
	return SPI_processed > 0;
}

/* One's own, or another's by its full name; false: it changed under us. */
static bool
set_secret(const char *name, const char *value)
{
	SagaObject	object;

	if (saga_object_find_to_replace(SAGA_OBJECT_SECRET, name, GetUserId(), &object))
		return update_secret(object.id, value);
	check_name(name);
	return insert_secret(name, value);
}

Datum
saga_set_secret(PG_FUNCTION_ARGS)
{
	ErrorContextCallback *context = error_context_stack;
	char	   *name;
	char	   *value;

	hide_statement();
	/* a function around this one would show its statement; an error puts it back */
	error_context_stack = NULL;
	PreventCommandIfReadOnly("saga.set_secret()");
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("name and value of a secret must not be null")));
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	value = text_to_cstring(PG_GETARG_TEXT_PP(1));
	check_value(name, value);

	SPI_connect();
	while (!set_secret(name, value))
		CHECK_FOR_INTERRUPTS();
	SPI_finish();
	explicit_bzero(value, strlen(value));
	error_context_stack = context;
	PG_RETURN_VOID();
}

static void
take_lock(void *secret_id)
{
	(void) saga_execute(&lock_stmt, secret_id, NULL, false, 1);
}

/* Raises when settings refer to it.  The lock keeps new ones from doing so. */
static void
check_unused(const char *name, const SagaObject *secret)
{
	Datum		secret_id = Int32GetDatum(secret->id);
	SPITupleTable *rows;
	uint64		nrows;
	uint64		i;

	saga_take_locks(take_lock, &secret_id, "secret", name);
	(void) saga_execute(&used_stmt, &secret_id, NULL, false, 0);
	rows = SPI_tuptable;
	nrows = SPI_processed;
	for (i = 0; i < nrows; i++)
	{
		HeapTuple	row = rows->vals[i];
		bool		isnull;
		Oid			used_by = DatumGetObjectId(SPI_getbinval(row, rows->tupdesc, 4, &isnull));
		char	   *referrer;
		Oid			owner;

		/* of a right that was taken back: it means nothing any more */
		if (!isnull && !saga_object_may(secret, used_by, SAGA_RIGHT_USE))
			continue;
		referrer = TextDatumGetCString(SPI_getbinval(row, rows->tupdesc, 1, &isnull));
		owner = DatumGetObjectId(SPI_getbinval(row, rows->tupdesc, 3, &isnull));
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot drop secret \"%s\" because a %s refers to it", name, referrer),
				 !isnull && has_privs_of_role(GetUserId(), owner) ?
				 errdetail("It is %s \"%s\".", referrer,
						   TextDatumGetCString(SPI_getbinval(row, rows->tupdesc, 2, &isnull))) :
				 errhint("Take back who may use it with saga.revoke; saga.grants shows them.")));
	}
}

Datum
saga_drop_secret(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	SagaObject	object;
	Datum		value;

	SPI_connect();
	if (!saga_object_find(SAGA_OBJECT_SECRET, name, GetUserId(), SAGA_RIGHT_OWN, &object))
		saga_object_missing(SAGA_OBJECT_SECRET, name, GetUserId(), SAGA_RIGHT_OWN);
	value = Int32GetDatum(object.id);
	check_unused(name, &object);
	(void) saga_execute(&delete_stmt, &value, NULL, false, 0);
	saga_object_forget_grants(SAGA_OBJECT_SECRET, object.id);
	SPI_finish();
	PG_RETURN_VOID();
}
