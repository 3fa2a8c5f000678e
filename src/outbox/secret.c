/*
 * secret.c
 *		Secrets: the functions that make, change and drop them, and who may
 *		refer to them.
 *
 * A destination may refer to a secret when whoever makes or alters it is a
 * member of the secret's owner; whoever it is given away to uses the secret
 * without being able to read it.  So a name that a destination refers to must
 * never come to mean somebody else's secret.
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

PG_FUNCTION_INFO_V1(saga_set_secret);
PG_FUNCTION_INFO_V1(saga_drop_secret);

#define SAGA_SECRET_MAX_BYTES 16384

static SagaStmt owner_stmt = {
	.sql = "SELECT owner::oid FROM saga.secret WHERE name = $1 FOR UPDATE",
	.nargs = 1,
	.argtypes = {TEXTOID}
};

static SagaStmt share_stmt = {
	.sql = "SELECT owner::oid FROM saga.secret WHERE name = $1 FOR KEY SHARE",
	.nargs = 1,
	.argtypes = {TEXTOID}
};

static SagaStmt insert_stmt = {
	.sql = "INSERT INTO saga.secret (name, owner, value) VALUES ($1, $2::oid::regrole, $3) "
	"ON CONFLICT DO NOTHING",
	.nargs = 3,
	.argtypes = {TEXTOID, OIDOID, TEXTOID}
};

static SagaStmt update_stmt = {
	.sql = "UPDATE saga.secret SET value = $2, changed_at = now() WHERE name = $1",
	.nargs = 2,
	.argtypes = {TEXTOID, TEXTOID}
};

static SagaStmt delete_stmt = {
	.sql = "DELETE FROM saga.secret WHERE name = $1",
	.nargs = 1,
	.argtypes = {TEXTOID}
};

/* Sources refer to one as a whole, in their credentials. */
static SagaStmt source_stmt = {
	.sql = "SELECT owner::oid FROM saga.source WHERE settings #>> '{credentials,secret}' = $1",
	.nargs = 1,
	.argtypes = {TEXTOID}
};

/* InvalidOid: there is no such row. */
static Oid
get_owner(SagaStmt *stmt, const char *name)
{
	Datum		value = CStringGetTextDatum(name);
	bool		isnull;
	Oid			owner = InvalidOid;

	(void) saga_execute(stmt, &value, NULL, false, 1);
	if (SPI_processed > 0)
		owner = DatumGetObjectId(saga_result(0, 1, &isnull));
	SPI_freetuptable(SPI_tuptable);
	return owner;
}

/* The row stays until the end of the transaction. */
void
saga_secret_check_rights(const SagaDestination *destination)
{
	ListCell   *lc;

	foreach(lc, destination->secrets)
	{
		const char *name = lfirst(lc);
		Oid			owner = get_owner(&share_stmt, name);

		if (!OidIsValid(owner))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("secret \"%s\" does not exist", name),
					 errdetail("Destination \"%s\" refers to it.", destination->name),
					 errhint("Make it first, with saga.set_secret.")));
		if (!has_privs_of_role(GetUserId(), owner))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied for secret \"%s\"", name),
					 errdetail("Destination \"%s\" refers to it.", destination->name),
					 errhint("Let its owner make the destination, and give it away with saga.set_destination_owner.")));
	}
}

static const SagaDestination *
find_user(const char *name)
{
	ListCell   *lc;
	ListCell   *lc2;

	/* we may have waited for one that was being made */
	AcceptInvalidationMessages();
	foreach(lc, saga_destination_list())
	{
		const SagaDestination *destination = lfirst(lc);

		foreach(lc2, destination->secrets)
		{
			if (strcmp(lfirst(lc2), name) == 0)
				return destination;
		}
	}
	return NULL;
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
check_value(const char *name, const char *value)
{
	const char *error = saga_secret_check_name(name);

	if (error != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid name of a secret: \"%s\"", name),
				 errdetail("A name %s.", error)));
	if (value[0] == '\0' || strpbrk(value, "\r\n") != NULL || strlen(value) > SAGA_SECRET_MAX_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value of secret \"%s\"", name),
				 errdetail("A value is one line, not empty and of at most %d bytes.",
						   SAGA_SECRET_MAX_BYTES)));
}

/*
 * False: somebody else made it meanwhile.  A destination that came from a
 * dump without its secrets refers to a name that is free: only who may use
 * the destination may fill it.
 */
static bool
insert_secret(const char *name, const char *value)
{
	const SagaDestination *user = find_user(name);
	Oid			source_owner = get_owner(&source_stmt, name);
	Datum		values[3];

	if ((user != NULL && !has_privs_of_role(GetUserId(), user->owner)) ||
		(OidIsValid(source_owner) && !has_privs_of_role(GetUserId(), source_owner)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for secret \"%s\"", name),
				 errdetail("A destination or a source of another role refers to a secret of this name.")));
	values[0] = CStringGetTextDatum(name);
	values[1] = ObjectIdGetDatum(GetUserId());
	values[2] = CStringGetTextDatum(value);
	(void) saga_execute(&insert_stmt, values, NULL, false, 0);
	return SPI_processed > 0;
}

/* False: it is not there. */
static bool
update_secret(const char *name, const char *value)
{
	Oid			owner = get_owner(&owner_stmt, name);
	Datum		values[2];

	if (!OidIsValid(owner))
		return false;
	if (!has_privs_of_role(GetUserId(), owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of secret \"%s\"", name)));
	values[0] = CStringGetTextDatum(name);
	values[1] = CStringGetTextDatum(value);
	(void) saga_execute(&update_stmt, values, NULL, false, 0);
	return true;
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
	while (!update_secret(name, value) && !insert_secret(name, value))
		CHECK_FOR_INTERRUPTS();
	SPI_finish();
	explicit_bzero(value, strlen(value));
	error_context_stack = context;
	PG_RETURN_VOID();
}

Datum
saga_drop_secret(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Datum		value = CStringGetTextDatum(name);
	const SagaDestination *user;
	Oid			owner;

	SPI_connect();
	owner = get_owner(&owner_stmt, name);
	if (!OidIsValid(owner))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("secret \"%s\" does not exist", name)));
	if (!has_privs_of_role(GetUserId(), owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of secret \"%s\"", name)));
	user = find_user(name);
	if (user != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot drop secret \"%s\" because a destination refers to it", name),
				 has_privs_of_role(GetUserId(), user->owner) ?
				 errdetail("It is destination \"%s\".", user->name) : 0));
	if (OidIsValid(get_owner(&source_stmt, name)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot drop secret \"%s\" because a source refers to it", name)));
	(void) saga_execute(&delete_stmt, &value, NULL, false, 0);
	SPI_finish();
	PG_RETURN_VOID();
}
