/*
 * secret.c
 *		Secrets: the functions that make, change and drop them.
 *
 * Who may refer to one, and what a reference means: secret_reference.c.
 */
#include "postgres.h"

#include "common/statement.h"
#include "endpoint/destination.h"
#include "endpoint/secret_private.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "net/secret.h"
#include "nodes/params.h"
#include "pgstat.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(saga_set_secret);
PG_FUNCTION_INFO_V1(saga_drop_secret);

#define SAGA_SECRET_MAX_BYTES 16384

static SagaStatement find_stmt = {
	.sql = "SELECT secret_id FROM saga.secret WHERE owner = $owner AND name = $name",
	.read_only = true,
	.limit = 1
};

static SagaStatement lock_stmt = {
	.sql = "SELECT FROM saga.secret WHERE secret_id = $secret_id FOR UPDATE",
	.limit = 1
};

static SagaStatement insert_stmt = {
	.sql = "INSERT INTO saga.secret (name, owner, value) VALUES ($name, $owner::oid::regrole, $value) "
	"ON CONFLICT (owner, name) DO NOTHING"
};

static SagaStatement update_stmt = {
	.sql = "UPDATE saga.secret SET value = $value, changed_at = now() WHERE secret_id = $secret_id"
};

static SagaStatement delete_stmt = {
	.sql = "DELETE FROM saga.secret WHERE secret_id = $secret_id"
};

/* Who refers to it, and whether the caller may know. */
static SagaStatement used_stmt = {
	.sql = "SELECT r.used_by::oid AS used_by, r.referrer, coalesce(d.owner, s.owner)::oid AS owner, "
	"coalesce(d.name, s.name) AS name FROM saga.reference r "
	"LEFT JOIN saga.destination d ON r.referrer = 'destination' AND d.destination_id = r.referrer_id "
	"LEFT JOIN saga.source s ON r.referrer = 'source' AND s.source_id = r.referrer_id "
	"WHERE r.kind = 'secret' AND r.object_id = $secret_id"
};

bool
saga_endpoint_secret_look_up(Oid owner, const char *name, SagaObject *object)
{
	SagaRows   *rows;
	bool		found;

	PushActiveSnapshot(GetLatestSnapshot());
	rows = saga_query(&find_stmt, saga_param_oid("owner", owner), saga_param_text("name", name));
	PopActiveSnapshot();
	found = saga_rows_next(rows);
	if (found)
	{
		object->kind = SAGA_OBJECT_SECRET;
		object->id = saga_column_int4(rows, "secret_id");
		object->owner = owner;
	}
	saga_rows_free(rows);
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

/* Allocates nothing, so that it cannot fail before the value is hidden. */
static void
hide_statement(void)
{
	/* in pg_stat_activity, the report of a deadlock and that of a crash */
	pgstat_report_activity(STATE_RUNNING, SHOWN_STATEMENT);

	/*
	 * as STATEMENT in the log; the server sets it anew with each message of
	 * the client's
	 */
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

/* Raises, with the rule that the name breaks. */
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

/*
 * Raises without showing the value.  It must fit a header, so it is one line.
 */
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
	saga_name_object_check_count(SAGA_OBJECT_SECRET, GetUserId());
	if (saga_run(&insert_stmt, saga_param_text("name", name), saga_param_oid("owner", GetUserId()),
				 saga_param_text("value", value)) == 0)
		return false;
	saga_endpoint_secret_found_again(GetUserId(), name);
	return true;
}

/* False: it has gone meanwhile. */
static bool
update_secret(int32 secret_id, const char *value)
{
	return saga_run(&update_stmt, saga_param_int4("secret_id", secret_id), saga_param_text("value", value)) > 0;
}

/* One's own, or another's by its full name; false: it changed under us. */
static bool
set_secret(const char *name, const char *value)
{
	SagaObject	object;

	if (saga_name_object_find_to_replace(SAGA_OBJECT_SECRET, name, GetUserId(), &object))
		return update_secret(object.id, value);
	check_name(name);
	return insert_secret(name, value);
}

/*
 * saga.set_secret(name, value).  The loop ends when the row was written: each
 * turn that fails has seen another session's change.
 */
Datum
saga_set_secret(PG_FUNCTION_ARGS)
{
	ErrorContextCallback *context = error_context_stack;
	char	   *name;
	char	   *value;

	hide_statement();

	/*
	 * a function around this one would show its statement; an error puts it
	 * back
	 */
	error_context_stack = NULL;
	PreventCommandIfReadOnly("saga.set_secret()");
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("name and value of a secret must not be null")));
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	value = text_to_cstring(PG_GETARG_TEXT_PP(1));
	check_value(name, value);

	while (!set_secret(name, value))
		CHECK_FOR_INTERRUPTS();
	explicit_bzero(value, strlen(value));
	error_context_stack = context;
	PG_RETURN_VOID();
}

/* A SagaTakeLocks function: the argument is a list of parameters. */
static void
take_lock(void *secret_id)
{
	(void) saga_statement_run(&lock_stmt, secret_id);
}

/* Raises when settings refer to it.  The lock keeps new ones from doing so. */
static void
check_unused(const char *name, const SagaObject *secret)
{
	SagaParam	secret_id[] = {saga_param_int4("secret_id", secret->id), {.name = NULL}};
	SagaRows   *rows;

	saga_take_locks(take_lock, secret_id, "secret", name);
	rows = saga_statement_query(&used_stmt, secret_id);
	while (saga_rows_next(rows))
	{
		char	   *referrer;
		Oid			owner;

		/* of a right that was taken back: it means nothing any more */
		if (!saga_column_is_null(rows, "used_by") &&
			!saga_name_object_may(secret, saga_column_oid(rows, "used_by"), SAGA_RIGHT_USE))
			continue;
		referrer = saga_column_text(rows, "referrer");
		owner = saga_column_oid(rows, "owner");
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot drop secret \"%s\" because a %s refers to it", name, referrer),
				 OidIsValid(owner) && has_privs_of_role(GetUserId(), owner) ?
				 errdetail("It is %s \"%s\".", referrer, saga_column_text(rows, "name")) :
				 errhint("Take back who may use it with saga.revoke; saga.grants shows them.")));
	}
}

/* saga.drop_secret(name): raises while settings refer to it. */
Datum
saga_drop_secret(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	SagaObject	object;

	if (!saga_name_object_find(SAGA_OBJECT_SECRET, name, GetUserId(), SAGA_RIGHT_OWN, &object))
		saga_name_object_missing(SAGA_OBJECT_SECRET, name, GetUserId(), SAGA_RIGHT_OWN);
	check_unused(name, &object);
	(void) saga_run(&delete_stmt, saga_param_int4("secret_id", object.id));
	saga_name_object_forget_grants(SAGA_OBJECT_SECRET, object.id);
	PG_RETURN_VOID();
}
