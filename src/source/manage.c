/*
 * manage.c
 *		Sources: making, changing and dropping them, and which there are.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "engine/engine.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "outbox/doc.h"
#include "source/source_private.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(saga_source_changed);
PG_FUNCTION_INFO_V1(saga_set_inbox);
PG_FUNCTION_INFO_V1(saga_create_source);
PG_FUNCTION_INFO_V1(saga_alter_source);
PG_FUNCTION_INFO_V1(saga_set_source_owner);
PG_FUNCTION_INFO_V1(saga_pause_source);
PG_FUNCTION_INFO_V1(saga_resume_source);
PG_FUNCTION_INFO_V1(saga_drop_source);

#define MAX_NAME_LENGTH	100

/* ---------- who is told of changes ---------- */

/* This transaction changed saga.source. Reset at its end. */
static bool changed = false;

static void
at_end_of_transaction(XactEvent event, void *arg)
{
	if (changed && event == XACT_EVENT_COMMIT)
		saga_sources_changed();
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		changed = false;
}

/* source_changed() returns trigger; also the rows of a restore come through it */
Datum
saga_source_changed(PG_FUNCTION_ARGS)
{
	static bool registered = false;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("saga.source_changed can only be called as a trigger")));
	if (!registered)
	{
		RegisterXactCallback(at_end_of_transaction, NULL);
		registered = true;
	}
	changed = true;
	return PointerGetDatum(NULL);
}

/* ---------- which there are ---------- */

static SagaStmt list_stmt = {
	.sql = "SELECT source_id, name, owner::oid, queue, inbox, settings FROM saga.source WHERE NOT paused ORDER BY source_id"
};

static SagaStmt any_stmt = {
	.sql = "SELECT 1 FROM saga.source WHERE NOT paused LIMIT 1"
};

static SagaStmt by_id_stmt = {
	.sql = "SELECT 1 FROM saga.source WHERE source_id = $1",
	.nargs = 1,
	.argtypes = {INT4OID}
};

bool
saga_source_any_enabled(void)
{
	(void) saga_execute(&any_stmt, NULL, NULL, true, 1);
	return SPI_processed > 0;
}

bool
saga_source_exists(int32 source_id)
{
	Datum		id = Int32GetDatum(source_id);

	(void) saga_execute(&by_id_stmt, &id, NULL, false, 1);
	return SPI_processed > 0;
}

static void
warn(const SagaSource *source, const char *path, const char *error)
{
	ereport(WARNING,
			(errmsg("invalid settings of source \"%s\"", source->name),
			 errdetail("%s %s.", path, error)));
}

List *
saga_source_list(MemoryContext parent)
{
	List	   *list = NIL;
	uint64		row;
	bool		isnull;

	(void) saga_execute(&list_stmt, NULL, NULL, true, 0);
	for (row = 0; row < SPI_processed; row++)
	{
		SagaSource *source = saga_source_new(parent);
		MemoryContext old = MemoryContextSwitchTo(source->context);
		const char *error;
		char	   *path;

		source->source_id = DatumGetInt32(saga_result(row, 1, &isnull));
		source->name = TextDatumGetCString(saga_result(row, 2, &isnull));
		source->owner = DatumGetObjectId(saga_result(row, 3, &isnull));
		source->queue = TextDatumGetCString(saga_result(row, 4, &isnull));
		source->inbox = DatumGetBool(saga_result(row, 5, &isnull));
		error = saga_source_parse(source, DatumGetJsonbP(saga_result(row, 6, &isnull)), &path);
		MemoryContextSwitchTo(old);
		if (error == NULL)
			list = lappend(list, source);
		else
		{
			warn(source, path, error);
			MemoryContextDelete(source->context);
		}
	}
	return list;
}

/* On the "object" of the row: whoever drops it waits for who is using it. */
void
saga_source_lock(int32 source_id, LOCKMODE mode)
{
	LockDatabaseObject(saga_relation_oid("source"), (Oid) source_id, 0, mode);
}

bool
saga_source_try_lock(int32 source_id)
{
	return saga_object_try_lock(saga_relation_oid("source"), source_id, AccessShareLock);
}

/* ---------- SQL ---------- */

static void
check_name(const char *name)
{
	size_t		len = strlen(name);

	if (len == 0 || len > MAX_NAME_LENGTH ||
		strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") != len)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid name of a source: \"%s\"", name),
				 errdetail("A name has 1 to %d letters, digits, \"_\", \"-\" and \".\".", MAX_NAME_LENGTH)));
}

static void
check_settings(const char *name, Jsonb *settings)
{
	SagaSource *source = saga_source_new(CurrentMemoryContext);
	MemoryContext old;
	const char *what;
	const char *error;
	char	   *path;

	saga_settings_check_size("source", name, settings);
	old = MemoryContextSwitchTo(source->context);
	error = saga_source_parse(source, settings, &path);
	MemoryContextSwitchTo(old);
	if (error != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid settings of source \"%s\"", name),
				 errdetail("%s %s.", path, error)));
	what = saga_settings_need_rights(&source->endpoint);
	if (what == NULL && source->endpoint.secrets != NIL)
		what = "refer to a secret";
	if (what != NULL && !has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for settings of source \"%s\"", name),
				 errdetail("Only roles with privileges of the \"%s\" role may %s.",
						   "pg_read_server_files", what),
				 errhint("Let such a role make the source, and give it away with saga.set_source_owner.")));
	MemoryContextDelete(source->context);
}

/* ---------- inboxes ---------- */

static SagaStmt set_inbox_stmt = {
	.sql = "INSERT INTO saga.inbox AS i (queue, handler, from_extension) VALUES ($1, $2, $3) "
	"ON CONFLICT (queue) DO UPDATE SET handler = excluded.handler, from_extension = excluded.from_extension",
	.nargs = 3,
	.argtypes = {TEXTOID, TEXTOID, BOOLOID}
};

static SagaStmt inbox_stmt = {
	.sql = "SELECT handler FROM saga.inbox WHERE queue = $1",
	.nargs = 1,
	.argtypes = {TEXTOID}
};

/*
 * The handler decides what the owner of a source runs, so only who has the
 * privileges of the extension's owner says so; the scripts of extensions do.
 */
Datum
saga_set_inbox(PG_FUNCTION_ARGS)
{
	char	   *handler = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Datum		values[3];

	if (!has_privs_of_role(GetUserId(), saga_extension_owner()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must have privileges of the owner of extension \"%s\"", "pg_saga")));
	if (strchr(handler, '.') == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("handler \"%s\" is named without its schema", handler),
				 errhint("Write schema.function.")));
	SPI_connect();
	values[0] = PG_GETARG_DATUM(0);
	values[1] = PG_GETARG_DATUM(1);
	values[2] = BoolGetDatum(creating_extension);
	(void) saga_execute(&set_inbox_stmt, values, NULL, false, 0);
	SPI_finish();
	PG_RETURN_VOID();
}

/* {"StartAt": "Take", "States": {"Take": {"Type": "Task", "Resource": "sql:...", "End": true}}} */
static Jsonb *
inbox_definition(const char *handler)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoString(&text, "{\"Comment\": \"One message that a source took.\", \"StartAt\": \"Take\", "
						   "\"States\": {\"Take\": {\"Type\": \"Task\", \"End\": true, \"Resource\": ");
	escape_json(&text, psprintf("sql:%s", handler));
	appendStringInfoString(&text, "}}}");
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text.data)));
}

/* The workflow "NAME-inbox", made for the caller when there is none. */
static char *
inbox_workflow(const char *name, const char *handler)
{
	char	   *workflow = psprintf("%s-inbox", name);

	if (saga_queue_by_name(workflow, true) == NULL)
		(void) DirectFunctionCall2(saga_create_workflow, CStringGetTextDatum(workflow),
								   JsonbPGetDatum(inbox_definition(handler)));
	return workflow;
}

/* Where messages for "name" go: its inbox if it has one, else a queue or workflow of that name. */
static char *
resolve_target(const char *name, bool *inbox)
{
	Datum		value = CStringGetTextDatum(name);
	const SagaQueue *queue;
	char	   *target;
	bool		isnull;

	(void) saga_execute(&inbox_stmt, &value, NULL, false, 1);
	*inbox = SPI_processed > 0;
	target = *inbox ? inbox_workflow(name, TextDatumGetCString(saga_result(0, 1, &isnull))) : pstrdup(name);
	queue = saga_queue_by_name(target, true);
	if (queue == NULL || queue->kind == SAGA_QUEUE_DESTINATION)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("queue \"%s\" does not exist", target),
				 errhint("Name a queue, a workflow, or an application's inbox (saga.inbox).")));
	saga_queue_check_owner(queue);
	(void) saga_queue_lock(queue);
	return target;
}

/* ---------- functions ---------- */

static SagaStmt own_stmt = {
	.sql = "SELECT source_id, owner::oid FROM saga.source WHERE name = $1",
	.nargs = 1,
	.argtypes = {TEXTOID}
};

static SagaStmt insert_stmt = {
	.sql = "INSERT INTO saga.source (name, kind, owner, queue, inbox, settings) "
	"VALUES ($1, $2, $3::oid::regrole, $4, $5, $6) ON CONFLICT (name) DO NOTHING RETURNING source_id",
	.nargs = 6,
	.argtypes = {TEXTOID, TEXTOID, OIDOID, TEXTOID, BOOLOID, JSONBOID}
};

static SagaStmt status_stmt = {
	.sql = "INSERT INTO saga.source_status (source_id) VALUES ($1) ON CONFLICT DO NOTHING",
	.nargs = 1,
	.argtypes = {INT4OID}
};

static SagaStmt alter_stmt = {
	.sql = "UPDATE saga.source SET settings = $2, changed_at = now() WHERE source_id = $1",
	.nargs = 2,
	.argtypes = {INT4OID, JSONBOID}
};

static SagaStmt owner_stmt = {
	.sql = "UPDATE saga.source SET owner = $2::oid::regrole, changed_at = now() WHERE source_id = $1",
	.nargs = 2,
	.argtypes = {INT4OID, OIDOID}
};

static SagaStmt pause_stmt = {
	.sql = "UPDATE saga.source SET paused = $2, changed_at = now() WHERE source_id = $1",
	.nargs = 2,
	.argtypes = {INT4OID, BOOLOID}
};

static SagaStmt drop_stmt[] = {
	{.sql = "DELETE FROM saga.source_seen WHERE source_id = $1",.nargs = 1,.argtypes = {INT4OID}},
	{.sql = "DELETE FROM saga.source_status WHERE source_id = $1",.nargs = 1,.argtypes = {INT4OID}},
	{.sql = "DELETE FROM saga.source WHERE source_id = $1",.nargs = 1,.argtypes = {INT4OID}}
};

static int32
get_own(const char *name)
{
	Datum		value = CStringGetTextDatum(name);
	bool		isnull;

	(void) saga_execute(&own_stmt, &value, NULL, false, 1);
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("source \"%s\" does not exist", name)));
	if (!has_privs_of_role(GetUserId(), DatumGetObjectId(saga_result(0, 2, &isnull))))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of source \"%s\"", name)));
	return DatumGetInt32(saga_result(0, 1, &isnull));
}

/* Its owner checked and kept from changing until the end of the transaction. */
static int32
lock_own(const char *name, LOCKMODE mode)
{
	saga_source_lock(get_own(name), mode);
	return get_own(name);
}

/* create_source(name text, kind text, settings jsonb, queue text) returns integer */
Datum
saga_create_source(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *kind = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Jsonb	   *settings = PG_GETARG_JSONB_P(2);
	Datum		values[6];
	bool		inbox;
	bool		isnull;
	Datum		id;

	check_name(name);
	if (strcmp(kind, "sqs") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized kind of source: \"%s\"", kind),
				 errhint("There is the kind \"sqs\".")));
	check_settings(name, settings);
	SPI_connect();
	values[3] = CStringGetTextDatum(resolve_target(text_to_cstring(PG_GETARG_TEXT_PP(3)), &inbox));
	values[0] = CStringGetTextDatum(name);
	values[1] = CStringGetTextDatum(kind);
	values[2] = ObjectIdGetDatum(GetUserId());
	values[4] = BoolGetDatum(inbox);
	values[5] = JsonbPGetDatum(settings);
	(void) saga_execute(&insert_stmt, values, NULL, false, 0);
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("source \"%s\" already exists", name)));
	id = saga_result(0, 1, &isnull);
	(void) saga_execute(&status_stmt, &id, NULL, false, 0);
	SPI_finish();
	PG_RETURN_DATUM(id);
}

/* alter_source(name text, settings jsonb) returns void */
Datum
saga_alter_source(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Datum		values[2];

	SPI_connect();
	values[0] = Int32GetDatum(lock_own(name, ShareUpdateExclusiveLock));
	values[1] = PG_GETARG_DATUM(1);
	check_settings(name, PG_GETARG_JSONB_P(1));
	(void) saga_execute(&alter_stmt, values, NULL, false, 0);
	SPI_finish();
	PG_RETURN_VOID();
}

/* set_source_owner(name text, role regrole) returns void */
Datum
saga_set_source_owner(PG_FUNCTION_ARGS)
{
	Oid			role = PG_GETARG_OID(1);
	Datum		values[2];

	SPI_connect();
	values[0] = Int32GetDatum(lock_own(text_to_cstring(PG_GETARG_TEXT_PP(0)), ShareUpdateExclusiveLock));
	values[1] = ObjectIdGetDatum(role);
	saga_check_can_set_role(GetUserId(), role);
	(void) saga_execute(&owner_stmt, values, NULL, false, 0);
	SPI_finish();
	PG_RETURN_VOID();
}

static void
set_paused(const char *name, bool paused)
{
	Datum		values[2];

	SPI_connect();
	values[0] = Int32GetDatum(get_own(name));
	values[1] = BoolGetDatum(paused);
	(void) saga_execute(&pause_stmt, values, NULL, false, 0);
	SPI_finish();
}

Datum
saga_pause_source(PG_FUNCTION_ARGS)
{
	set_paused(text_to_cstring(PG_GETARG_TEXT_PP(0)), true);
	PG_RETURN_VOID();
}

Datum
saga_resume_source(PG_FUNCTION_ARGS)
{
	set_paused(text_to_cstring(PG_GETARG_TEXT_PP(0)), false);
	PG_RETURN_VOID();
}

Datum
saga_drop_source(PG_FUNCTION_ARGS)
{
	Datum		id;
	int			i;

	SPI_connect();
	id = Int32GetDatum(lock_own(text_to_cstring(PG_GETARG_TEXT_PP(0)), AccessExclusiveLock));
	for (i = 0; i < lengthof(drop_stmt); i++)
		(void) saga_execute(&drop_stmt[i], &id, NULL, false, 0);
	SPI_finish();
	PG_RETURN_VOID();
}
