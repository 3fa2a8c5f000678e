/*
 * manage.c
 *		Sources: making, changing and dropping them, and which there are.
 *
 * A change of saga.source comes through the trigger saga_source_changed; after
 * the commit the process that serves the sources reads them anew.  The row is
 * locked first, and then the "object" of its id (take_locks).
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "common/statement.h"
#include "engine/engine.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "source/source_private.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "value/doc.h"

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

/* Whoever serves sources learns that one was changed, when it can see that. */
static void
tell_commit(void)
{
	if (changed)
		saga_queue_sources_changed();
	changed = false;
}

/* A prepared transaction tells of the change when it commits; one that aborts has changed nothing. */
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

static SagaStatement list_stmt = {
	.sql = "SELECT source_id, name, owner::oid, changed_at, queue_id, inbox, settings FROM saga.source WHERE NOT paused ORDER BY source_id",
	.read_only = true
};

static SagaStatement any_stmt = {
	.sql = "SELECT 1 FROM saga.source WHERE NOT paused LIMIT 1",
	.read_only = true,
	.limit = 1
};

static SagaStatement by_id_stmt = {
	.sql = "SELECT 1 FROM saga.source WHERE source_id = $source_id",
	.limit = 1
};

bool
saga_source_any_enabled(void)
{
	return saga_run(&any_stmt) > 0;
}

bool
saga_source_exists(int32 source_id)
{
	return saga_run(&by_id_stmt, saga_param_int4("source_id", source_id)) > 0;
}

/* Stored settings that cannot be read any longer: the source is left out. */
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
	SagaRows   *rows = saga_query(&list_stmt);

	while (saga_rows_next(rows))
	{
		SagaSource *source = saga_source_new(parent);
		MemoryContext old = MemoryContextSwitchTo(source->context);
		Jsonb	   *settings;
		const char *error;
		char	   *path;

		source->source_id = saga_column_int4(rows, "source_id");
		source->name = saga_column_text(rows, "name");
		source->owner = saga_column_oid(rows, "owner");
		source->changed_at = saga_column_timestamptz(rows, "changed_at");
		source->queue_id = saga_column_int4(rows, "queue_id");
		source->inbox = saga_column_bool(rows, "inbox");
		settings = saga_endpoint_secret_qualify("source", source->source_id, saga_column_jsonb(rows, "settings"));
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
	return saga_common_object_try_lock(saga_relation_oid("source"), source_id, AccessShareLock);
}

/* ---------- SQL ---------- */

/* Raises for a name that a new source cannot have. */
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

static SagaStatement set_inbox_stmt = {
	.sql = "INSERT INTO saga.inbox AS i (queue, handler, from_extension) VALUES ($queue, $handler, $from_extension) "
	"ON CONFLICT (queue) DO UPDATE SET handler = excluded.handler, from_extension = excluded.from_extension"
};

static SagaStatement inbox_stmt = {
	.sql = "SELECT handler FROM saga.inbox WHERE queue = $queue",
	.limit = 1
};

/*
 * The handler decides what the owner of a source runs, so only who has the
 * privileges of the extension's owner says so; the scripts of extensions do.
 */
Datum
saga_set_inbox(PG_FUNCTION_ARGS)
{
	char	   *handler = text_to_cstring(PG_GETARG_TEXT_PP(1));

	if (!has_privs_of_role(GetUserId(), saga_extension_owner()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must have privileges of the owner of extension \"%s\"", "pg_saga")));
	if (strchr(handler, '.') == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("handler \"%s\" is named without its schema", handler),
				 errhint("Write schema.function.")));
	saga_run(&set_inbox_stmt, saga_param_text("queue", text_to_cstring(PG_GETARG_TEXT_PP(0))),
			 saga_param_text("handler", handler), saga_param_bool("from_extension", creating_extension));
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
	SagaRows   *rows = saga_query(&inbox_stmt, saga_param_text("queue", name));
	const SagaQueue *queue;

	*inbox = saga_rows_next(rows);
	queue = *inbox ? inbox_workflow(name, saga_column_text(rows, "handler"), owner) :
		saga_queue_find(name, owner, SAGA_RIGHT_USE | SAGA_RIGHT_START, true);
	if (queue == NULL || queue->kind == SAGA_QUEUE_DESTINATION || queue->kind == SAGA_QUEUE_ACTIVITY)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("queue \"%s\" does not exist", name),
				 errhint("Name a queue, a workflow, or an application's inbox (saga.inbox). Another's is written owner.name, and needs a right that its owner grants.")));
	return saga_queue_lock(queue)->queue_id;
}

/* ---------- functions ---------- */

static SagaStatement find_stmt = {
	.sql = "SELECT source_id FROM saga.source WHERE owner = $owner AND name = $name",
	.read_only = true,
	.limit = 1
};

static SagaStatement hash_stmt = {
	.sql = "SELECT owner::oid, encode(sha256(convert_to(settings::text, 'UTF8')), 'hex') AS hash, name "
	"FROM saga.source WHERE source_id = $source_id",
	.limit = 1
};

static SagaStatement insert_stmt = {
	.sql = "INSERT INTO saga.source (name, kind, owner, queue_id, inbox, settings) "
	"VALUES ($name, $kind, $owner::regrole, $queue_id, $inbox, $settings) "
	"ON CONFLICT (owner, name) DO NOTHING RETURNING source_id"
};

static SagaStatement status_stmt = {
	.sql = "INSERT INTO saga.source_status (source_id) VALUES ($source_id) ON CONFLICT DO NOTHING"
};

static SagaStatement alter_stmt = {
	.sql = "UPDATE saga.source SET settings = $settings, changed_at = now() WHERE source_id = $source_id"
};

static SagaStatement owner_stmt = {
	.sql = "UPDATE saga.source SET owner = $owner::regrole, changed_at = now() WHERE source_id = $source_id"
};

static SagaStatement pause_stmt = {
	.sql = "UPDATE saga.source SET paused = $paused, changed_at = now() WHERE source_id = $source_id"
};

static SagaStatement drop_stmts[] = {
	{.sql = "DELETE FROM saga.source_seen WHERE source_id = $source_id"},
	{.sql = "DELETE FROM saga.source_status WHERE source_id = $source_id"},
	{.sql = "DELETE FROM saga.source WHERE source_id = $source_id"}
};

/* SagaObjectLookup, for names of sources. */
static bool
look_up_source(Oid owner, const char *name, SagaObject *object)
{
	SagaRows   *rows;

	PushActiveSnapshot(GetLatestSnapshot());
	rows = saga_query(&find_stmt, saga_param_oid("owner", owner), saga_param_text("name", name));
	PopActiveSnapshot();
	if (!saga_rows_next(rows))
		return false;
	object->kind = SAGA_OBJECT_SOURCE;
	object->id = saga_column_int4(rows, "source_id");
	object->owner = owner;
	return true;
}

static SagaStatement touch_stmt = {
	.sql = "UPDATE saga.source SET paused = paused WHERE false"
};

/* No row changes: the trigger tells the process that serves the sources to read them anew. */
static void
right_revoked(SagaObjectKind kind)
{
	if (kind == SAGA_OBJECT_SECRET)
		saga_run(&touch_stmt);
}

void
saga_source_init(void)
{
	saga_name_object_register(SAGA_OBJECT_SOURCE, look_up_source);
	saga_name_object_on_revoke(right_revoked);
	RegisterXactCallback(xact_callback, NULL);
	saga_after_commit(tell_commit);
}

/* The id of the source that the caller means by a name; raises if there is none that he has a right on. */
static int32
get(const char *name, int rights)
{
	SagaObject	object;

	if (!saga_name_object_find(SAGA_OBJECT_SOURCE, name, GetUserId(), rights, &object))
		saga_name_object_missing(SAGA_OBJECT_SOURCE, name, GetUserId(), rights);
	return object.id;
}

static SagaStatement row_stmt = {
	.sql = "SELECT 1 FROM saga.source WHERE source_id = $source_id FOR NO KEY UPDATE",
	.limit = 1
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

	saga_run(&row_stmt, saga_param_int4("source_id", locks->id));
	saga_source_lock(locks->id, locks->mode);
}

/* One whose owner the caller has the privileges of, kept from changing until the end of the transaction. */
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

/* Raises: a name is taken. */
static void
complain_exists(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("source \"%s\" already exists", name)));
}

/* The row of a new one, and that of its counters. */
static int32
insert_source(const char *name, const char *kind, Oid owner, int32 queue_id, bool inbox, const Jsonb *settings)
{
	SagaRows   *rows = saga_query(&insert_stmt,
								  saga_param_text("name", name),
								  saga_param_text("kind", kind),
								  saga_param_oid("owner", owner),
								  saga_param_int4("queue_id", queue_id),
								  saga_param_bool("inbox", inbox),
								  saga_param_jsonb("settings", settings));
	int32		id;

	if (!saga_rows_next(rows))
		complain_exists(name);
	id = saga_column_int4(rows, "source_id");
	saga_run(&status_stmt, saga_param_int4("source_id", id));
	return id;
}

/* Makes a source from the arguments of saga.create_source, and returns its id. */
static int32
create_source(FunctionCallInfo fcinfo, Oid owner)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *kind = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Jsonb	   *settings = PG_GETARG_JSONB_P(2);
	List	   *secrets;
	SagaObject	object;
	bool		inbox;
	int32		queue_id;
	int32		id;

	check_name(name);
	if (strcmp(kind, "sqs") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized kind of source: \"%s\"", kind),
				 errhint("There is the kind \"sqs\".")));
	secrets = check_settings(name, settings);
	saga_name_object_check_count(SAGA_OBJECT_SOURCE, owner);
	queue_id = resolve_target(text_to_cstring(PG_GETARG_TEXT_PP(3)), owner, &inbox);
	if (saga_name_object_find_own(SAGA_OBJECT_SOURCE, name, owner, &object))
		complain_exists(name);
	saga_name_object_check_new_name(SAGA_OBJECT_SOURCE, name);
	id = insert_source(name, kind, owner, queue_id, inbox, settings);
	saga_endpoint_secret_store_references("source", id, name, secrets);
	return id;
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
	saga_name_object_check_new_owner(PG_GETARG_OID(4));
	PG_RETURN_INT32(create_source(fcinfo, PG_GETARG_OID(4)));
}

/* alter_source(name text, settings jsonb) returns void */
Datum
saga_alter_source(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Jsonb	   *settings = PG_GETARG_JSONB_P(1);
	List	   *secrets;
	int32		id;

	id = lock_own(name, ShareUpdateExclusiveLock);
	secrets = check_settings(name, settings);
	saga_run(&alter_stmt, saga_param_int4("source_id", id), saga_param_jsonb("settings", settings));
	saga_endpoint_secret_store_references("source", id, name, secrets);
	PG_RETURN_VOID();
}

/* set_source_owner(name text, role regrole, definition_hash text) returns void */
Datum
saga_set_source_owner(PG_FUNCTION_ARGS)
{
	char	   *name;
	char	   *own_name;
	Oid			role;
	Oid			owner;
	int32		id;
	SagaObject	object;
	SagaRows   *rows;

	/* the function of 0.1 was STRICT and had two arguments */
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_VOID();
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	role = PG_GETARG_OID(1);
	saga_name_object_check_new_owner(role);
	id = lock_own(name, ShareUpdateExclusiveLock);
	rows = saga_query(&hash_stmt, saga_param_int4("source_id", id));
	/* made after the snapshot of a REPEATABLE READ transaction */
	if (!saga_rows_next(rows))
		saga_name_object_missing(SAGA_OBJECT_SOURCE, name, GetUserId(), SAGA_RIGHT_OWN);
	owner = saga_column_oid(rows, "owner");
	own_name = saga_column_text(rows, "name");
	saga_name_object_check_hash(SAGA_OBJECT_SOURCE, name, owner, saga_column_text(rows, "hash"),
								PG_NARGS() < 3 || PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2)));
	if (owner != role)
	{
		if (look_up_source(role, own_name, &object))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("role \"%s\" has a source \"%s\" already", GetUserNameFromId(role, true), own_name)));
		saga_name_object_check_count(SAGA_OBJECT_SOURCE, role);
	}
	saga_run(&owner_stmt, saga_param_int4("source_id", id), saga_param_oid("owner", role));
	saga_name_object_forget_grants(SAGA_OBJECT_SOURCE, id);
	PG_RETURN_VOID();
}

/* Of both saga.pause_source and saga.resume_source. */
static void
set_paused(const char *name, bool paused)
{
	saga_run(&pause_stmt, saga_param_int4("source_id", get(name, SAGA_RIGHT_OPERATE)), saga_param_bool("paused", paused));
}

/* pause_source(name text) returns void; what came before is still committed */
Datum
saga_pause_source(PG_FUNCTION_ARGS)
{
	set_paused(text_to_cstring(PG_GETARG_TEXT_PP(0)), true);
	PG_RETURN_VOID();
}

/* resume_source(name text) returns void */
Datum
saga_resume_source(PG_FUNCTION_ARGS)
{
	set_paused(text_to_cstring(PG_GETARG_TEXT_PP(0)), false);
	PG_RETURN_VOID();
}

/* drop_source(name text) returns void; what is at the service stays there */
Datum
saga_drop_source(PG_FUNCTION_ARGS)
{
	int32		id;

	id = lock_own(text_to_cstring(PG_GETARG_TEXT_PP(0)), AccessExclusiveLock);
	for (int i = 0; i < lengthof(drop_stmts); i++)
		saga_run(&drop_stmts[i], saga_param_int4("source_id", id));
	saga_endpoint_secret_forget_references("source", id);
	saga_name_object_forget_grants(SAGA_OBJECT_SOURCE, id);
	PG_RETURN_VOID();
}
