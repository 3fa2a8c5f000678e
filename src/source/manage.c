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
PG_FUNCTION_INFO_V1(saga_create_source_for);
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
tell_commit(void)
{
	if (changed)
		saga_sources_changed();
	changed = false;
}

static void
xact_callback(XactEvent event, void *arg)
{
	if (changed && event == XACT_EVENT_PRE_PREPARE)
		saga_prepared_note_news(SAGA_NEWS_SOURCES);
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		changed = false;
}

/* source_changed() returns trigger; also the rows of a restore come through it */
Datum
saga_source_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("saga.source_changed can only be called as a trigger")));
	changed = true;
	return PointerGetDatum(NULL);
}

/* ---------- which there are ---------- */

static SagaStmt list_stmt = {
	.sql = "SELECT source_id, name, owner::oid, queue_id, inbox, settings FROM saga.source WHERE NOT paused ORDER BY source_id"
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
	SPITupleTable *rows;
	uint64		nrows;
	uint64		row;
	bool		isnull;

	(void) saga_execute(&list_stmt, NULL, NULL, true, 0);
	rows = SPI_tuptable;
	nrows = SPI_processed;
	for (row = 0; row < nrows; row++)
	{
		SagaSource *source = saga_source_new(parent);
		MemoryContext old = MemoryContextSwitchTo(source->context);
		Jsonb	   *settings;
		const char *error;
		char	   *path;

		source->source_id = DatumGetInt32(SPI_getbinval(rows->vals[row], rows->tupdesc, 1, &isnull));
		source->name = TextDatumGetCString(SPI_getbinval(rows->vals[row], rows->tupdesc, 2, &isnull));
		source->owner = DatumGetObjectId(SPI_getbinval(rows->vals[row], rows->tupdesc, 3, &isnull));
		source->queue_id = DatumGetInt32(SPI_getbinval(rows->vals[row], rows->tupdesc, 4, &isnull));
		source->inbox = DatumGetBool(SPI_getbinval(rows->vals[row], rows->tupdesc, 5, &isnull));
		settings = saga_secret_qualify("source", source->source_id,
									   DatumGetJsonbP(SPI_getbinval(rows->vals[row], rows->tupdesc, 6, &isnull)));
		error = saga_source_parse(source, settings, &path);
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

/* The secrets that they refer to, by name. */
static List *
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
	/* the caller's memory has the source until the end of the function */
	return source->endpoint.secrets;
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

/*
 * The workflow "NAME-inbox" of the source's owner, made when he has none.  Somebody
 * else's is never taken: it decides what is done with all that arrives.
 */
static const SagaQueue *
inbox_workflow(const char *name, const char *handler, Oid owner)
{
	char	   *workflow = psprintf("%s-inbox", name);
	const SagaQueue *queue = saga_queue_by_owner(owner, workflow);

	if (queue == NULL)
	{
		(void) DirectFunctionCall3(saga_create_workflow_for, CStringGetTextDatum(workflow),
								   JsonbPGetDatum(inbox_definition(handler)), ObjectIdGetDatum(owner));
		queue = saga_queue_by_owner(owner, workflow);
	}
	if (queue == NULL || queue->kind != SAGA_QUEUE_WORKFLOW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("queue \"%s\" is not the queue of a workflow", workflow),
				 errhint("The inbox \"%s\" needs a workflow of that name.", name)));
	return queue;
}

/* Where messages for "name" go: its inbox if it has one, else a queue or workflow that the owner may use. */
static int32
resolve_target(const char *name, Oid owner, bool *inbox)
{
	Datum		value = CStringGetTextDatum(name);
	const SagaQueue *queue;
	bool		isnull;

	(void) saga_execute(&inbox_stmt, &value, NULL, false, 1);
	*inbox = SPI_processed > 0;
	queue = *inbox ? inbox_workflow(name, TextDatumGetCString(saga_result(0, 1, &isnull)), owner) :
		saga_queue_find(name, owner, SAGA_RIGHT_USE | SAGA_RIGHT_START, true);
	if (queue == NULL || queue->kind == SAGA_QUEUE_DESTINATION)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("queue \"%s\" does not exist", name),
				 errhint("Name a queue, a workflow, or an application's inbox (saga.inbox). Another's is written owner.name, and needs a right that its owner grants.")));
	return saga_queue_lock(queue)->queue_id;
}

/* ---------- functions ---------- */

static SagaStmt find_stmt = {
	.sql = "SELECT source_id FROM saga.source WHERE owner = $1 AND name = $2",
	.nargs = 2,
	.argtypes = {OIDOID, TEXTOID}
};

static SagaStmt hash_stmt = {
	.sql = "SELECT owner::oid, encode(sha256(convert_to(settings::text, 'UTF8')), 'hex'), name FROM saga.source WHERE source_id = $1",
	.nargs = 1,
	.argtypes = {INT4OID}
};

static SagaStmt insert_stmt = {
	.sql = "INSERT INTO saga.source (name, kind, owner, queue_id, inbox, settings) "
	"VALUES ($1, $2, $3::oid::regrole, $4, $5, $6) ON CONFLICT (owner, name) DO NOTHING RETURNING source_id",
	.nargs = 6,
	.argtypes = {TEXTOID, TEXTOID, OIDOID, INT4OID, BOOLOID, JSONBOID}
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

static bool
look_up_source(Oid owner, const char *name, SagaObject *object)
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
		object->kind = SAGA_OBJECT_SOURCE;
		object->id = DatumGetInt32(saga_result(0, 1, &isnull));
		object->owner = owner;
	}
	SPI_finish();
	return found;
}

static SagaStmt touch_stmt = {
	.sql = "UPDATE saga.source SET paused = paused WHERE false"
};

/* No row changes: the trigger tells the process that serves the sources to read them anew. */
static void
right_revoked(SagaObjectKind kind)
{
	if (kind == SAGA_OBJECT_SECRET)
		(void) saga_execute(&touch_stmt, NULL, NULL, false, 0);
}

void
saga_source_init(void)
{
	saga_object_register(SAGA_OBJECT_SOURCE, look_up_source);
	saga_object_on_revoke(right_revoked);
	RegisterXactCallback(xact_callback, NULL);
	saga_after_commit(tell_commit);
}

static int32
get(const char *name, int rights)
{
	SagaObject	object;

	if (!saga_object_find(SAGA_OBJECT_SOURCE, name, GetUserId(), rights, &object))
		saga_object_missing(SAGA_OBJECT_SOURCE, name, GetUserId(), rights);
	return object.id;
}

static SagaStmt row_stmt = {
	.sql = "SELECT 1 FROM saga.source WHERE source_id = $1 FOR NO KEY UPDATE",
	.nargs = 1,
	.argtypes = {INT4OID}
};

typedef struct SourceLocks
{
	int32		id;
	LOCKMODE	mode;
} SourceLocks;

/* The row first: who may pause and resume it changes the row, and need not be its owner. */
static void
take_locks(void *arg)
{
	SourceLocks *locks = arg;
	Datum		id = Int32GetDatum(locks->id);

	(void) saga_execute(&row_stmt, &id, NULL, false, 1);
	saga_source_lock(locks->id, locks->mode);
}

/* One whose owner the caller has the privileges of, kept from changing until the end of the transaction.  Needs SPI_connect. */
static int32
lock_own(const char *name, LOCKMODE mode)
{
	for (;;)
	{
		int32		id = get(name, SAGA_RIGHT_OWN);

		SourceLocks locks = {id, mode};

		saga_take_locks(take_locks, &locks, "source", name);
		/* while we waited it may have been dropped, and another one made */
		if (get(name, SAGA_RIGHT_OWN) == id)
			return id;
		CHECK_FOR_INTERRUPTS();
	}
}

static int32
create_source(FunctionCallInfo fcinfo, Oid owner)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *kind = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Jsonb	   *settings = PG_GETARG_JSONB_P(2);
	List	   *secrets;
	Datum		values[6];
	SagaObject	object;
	bool		inbox;
	bool		exists;
	bool		isnull;
	Datum		id;

	check_name(name);
	if (strcmp(kind, "sqs") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized kind of source: \"%s\"", kind),
				 errhint("There is the kind \"sqs\".")));
	secrets = check_settings(name, settings);
	SPI_connect();
	saga_object_check_count(SAGA_OBJECT_SOURCE, owner);
	values[3] = Int32GetDatum(resolve_target(text_to_cstring(PG_GETARG_TEXT_PP(3)), owner, &inbox));
	values[0] = CStringGetTextDatum(name);
	values[1] = CStringGetTextDatum(kind);
	values[2] = ObjectIdGetDatum(owner);
	values[4] = BoolGetDatum(inbox);
	values[5] = JsonbPGetDatum(settings);
	exists = saga_object_find_own(SAGA_OBJECT_SOURCE, name, owner, &object);
	if (!exists)
	{
		saga_object_check_new_name(SAGA_OBJECT_SOURCE, name);
		(void) saga_execute(&insert_stmt, values, NULL, false, 0);
		exists = SPI_processed == 0;
	}
	if (exists)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("source \"%s\" already exists", name)));
	id = saga_result(0, 1, &isnull);
	(void) saga_execute(&status_stmt, &id, NULL, false, 0);
	saga_secret_store_references("source", DatumGetInt32(id), name, secrets);
	SPI_finish();
	return DatumGetInt32(id);
}

/* create_source(name text, kind text, settings jsonb, queue text) returns integer */
Datum
saga_create_source(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(create_source(fcinfo, GetUserId()));
}

/* create_source(name text, kind text, settings jsonb, queue text, owner regrole) returns integer */
Datum
saga_create_source_for(PG_FUNCTION_ARGS)
{
	saga_object_check_new_owner(PG_GETARG_OID(4));
	PG_RETURN_INT32(create_source(fcinfo, PG_GETARG_OID(4)));
}

/* alter_source(name text, settings jsonb) returns void */
Datum
saga_alter_source(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	List	   *secrets;
	Datum		values[2];

	SPI_connect();
	values[0] = Int32GetDatum(lock_own(name, ShareUpdateExclusiveLock));
	values[1] = PG_GETARG_DATUM(1);
	secrets = check_settings(name, PG_GETARG_JSONB_P(1));
	(void) saga_execute(&alter_stmt, values, NULL, false, 0);
	saga_secret_store_references("source", DatumGetInt32(values[0]), name, secrets);
	SPI_finish();
	PG_RETURN_VOID();
}

/* set_source_owner(name text, role regrole, definition_hash text) returns void */
Datum
saga_set_source_owner(PG_FUNCTION_ARGS)
{
	char	   *name;
	char	   *own_name;
	char	   *hash;
	Oid			role;
	Oid			owner;
	SagaObject	object;
	Datum		values[2];
	bool		isnull;

	/* the function of 0.1 was STRICT and had two arguments */
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_VOID();
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	role = PG_GETARG_OID(1);
	SPI_connect();
	saga_object_check_new_owner(role);
	values[0] = Int32GetDatum(lock_own(name, ShareUpdateExclusiveLock));
	values[1] = ObjectIdGetDatum(role);
	(void) saga_execute(&hash_stmt, values, NULL, false, 1);
	/* made after the snapshot of a REPEATABLE READ transaction */
	if (SPI_processed == 0)
		saga_object_missing(SAGA_OBJECT_SOURCE, name, GetUserId(), SAGA_RIGHT_OWN);
	owner = DatumGetObjectId(saga_result(0, 1, &isnull));
	hash = TextDatumGetCString(saga_result(0, 2, &isnull));
	own_name = TextDatumGetCString(saga_result(0, 3, &isnull));
	saga_object_check_hash(SAGA_OBJECT_SOURCE, name, owner, hash,
						   PG_NARGS() < 3 || PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2)));
	if (owner != role)
	{
		if (look_up_source(role, own_name, &object))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("role \"%s\" has a source \"%s\" already", GetUserNameFromId(role, true), own_name)));
		saga_object_check_count(SAGA_OBJECT_SOURCE, role);
	}
	(void) saga_execute(&owner_stmt, values, NULL, false, 0);
	saga_object_forget_grants(SAGA_OBJECT_SOURCE, DatumGetInt32(values[0]));
	SPI_finish();
	PG_RETURN_VOID();
}

static void
set_paused(const char *name, bool paused)
{
	Datum		values[2];

	SPI_connect();
	values[0] = Int32GetDatum(get(name, SAGA_RIGHT_OPERATE));
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
	saga_secret_forget_references("source", DatumGetInt32(id));
	saga_object_forget_grants(SAGA_OBJECT_SOURCE, DatumGetInt32(id));
	SPI_finish();
	PG_RETURN_VOID();
}
