/*
 * manage.c
 *		The functions that make, change, pause and drop destinations.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "common/guc.h"
#include "common/statement.h"
#include "endpoint/destination.h"
#include "fmgr.h"
#include "limit/limit.h"
#include "miscadmin.h"
#include "outbox/outbox.h"
#include "outbox/sending_private.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "value/doc.h"

PG_FUNCTION_INFO_V1(saga_create_destination);
PG_FUNCTION_INFO_V1(saga_alter_destination);
PG_FUNCTION_INFO_V1(saga_set_destination_owner);
PG_FUNCTION_INFO_V1(saga_pause_destination);
PG_FUNCTION_INFO_V1(saga_resume_destination);
PG_FUNCTION_INFO_V1(saga_drop_destination);
PG_FUNCTION_INFO_V1(saga_drop_destination_force);

saga_outbox_drop_hook_type saga_outbox_drop_hook = NULL;

static void
check_name(const char *name)
{
	size_t		len = strlen(name);

	/* a name is part of "saga:NAME/path" */
	if (len == 0 || len > 100 ||
		strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") != len)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid name of a destination: \"%s\"", name),
				 errdetail("A name has 1 to 100 letters, digits, \"_\", \"-\" and \".\".")));
}

/*
 * Files and variables belong to the server, and so does its place in a
 * private network: who may use them through the network must already be
 * allowed to read the server's files.
 */
static void
check_server_rights(const SagaDestination *destination)
{
	const char *what = saga_settings_need_rights(destination);

	if (what == NULL || has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for settings of destination \"%s\"", destination->name),
			 errdetail("Only roles with privileges of the \"%s\" role may %s.",
					   "pg_read_server_files", what),
			 errhint("Let such a role make the destination, and give it away with saga.set_destination_owner.")));
}

/* As they are in the caller's memory, references to secrets by their names. */
static SagaDestination *
check_settings(const char *name, const char *kind, Jsonb *settings)
{
	SagaDestination *destination;
	MemoryContext old;
	const char *error;
	char	   *path;

	saga_settings_check_size("destination", name, settings);
	old = MemoryContextSwitchTo(AllocSetContextCreate(CurrentMemoryContext, "pg_saga settings", ALLOCSET_SMALL_SIZES));
	destination = saga_destination_new(CurrentMemoryContext, name, kind);
	error = saga_settings_parse(destination, settings, &path);
	MemoryContextSwitchTo(old);
	if (error != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid settings of destination \"%s\"", name),
				 errdetail("%s %s.", path, error)));
	path = unconstify(char *, saga_settings_too_large(destination));
	if (path != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("invalid settings of destination \"%s\"", name),
				 errdetail("%s must not be larger than %d kB.", path, saga_answer_limit_kb),
				 errhint("An administrator can raise pg_saga.answer_limit.")));
	if (destination->refused != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid settings of destination \"%s\"", name),
				 errdetail("%s.", destination->refused)));
	check_server_rights(destination);
	return destination;
}

/* What a name means for the caller, who has one of the rights on it. */
static SagaDestination *
get(const char *name, int rights)
{
	SagaObject	object;
	SagaDestination *destination = NULL;

	if (saga_name_object_find(SAGA_OBJECT_DESTINATION, name, GetUserId(), rights, &object))
		destination = saga_destination_by_id(object.id);
	if (destination == NULL)
		saga_name_object_missing(SAGA_OBJECT_DESTINATION, name, GetUserId(), rights);
	return destination;
}

static SagaStatement row_stmt = {
	.sql = "SELECT FROM saga.destination WHERE destination_id = $destination_id FOR NO KEY UPDATE",
	.limit = 1
};

typedef struct DestinationLocks
{
	int32		id;
	LOCKMODE	mode;
} DestinationLocks;

/* The row first: who may pause and resume it changes the row, and need not be its owner. */
static void
take_locks(void *arg)
{
	DestinationLocks *locks = arg;

	(void) saga_run(&row_stmt, saga_param_int4("destination_id", locks->id));
	saga_destination_lock(locks->id, locks->mode);
	if (locks->mode == AccessExclusiveLock)
		saga_queue_take_exclusive(&locks->id);
}

/*
 * One whose owner the caller has the privileges of, kept from changing until the end
 * of the transaction.  ShareUpdateExclusiveLock lets others go on sending to it;
 * AccessExclusiveLock is on its queue as well.
 */
static SagaDestination *
lock_own(const char *name, LOCKMODE mode)
{
	for (;;)
	{
		int32		id = get(name, SAGA_RIGHT_OWN)->destination_id;
		DestinationLocks locks = {id, mode};
		SagaDestination *destination;

		saga_take_locks(take_locks, &locks, "destination", name);
		/* while we waited it may have been dropped, and another one made */
		destination = get(name, SAGA_RIGHT_OWN);
		if (destination->destination_id == id)
			return destination;
		CHECK_FOR_INTERRUPTS();
	}
}

static SagaStatement insert_stmt = {
	.sql = "INSERT INTO saga.destination (destination_id, name, kind, owner, settings) "
	"VALUES ($destination_id, $name, $kind, $owner::oid::regrole, $settings)"
};

static SagaStatement settings_stmt = {
	.sql = "SELECT settings FROM saga.destination WHERE destination_id = $destination_id",
	.limit = 1
};

static SagaStatement hash_stmt = {
	.sql = "SELECT encode(sha256(convert_to(settings::text, 'UTF8')), 'hex') AS hash FROM saga.destination "
	"WHERE destination_id = $destination_id",
	.limit = 1
};

static SagaStatement alter_stmt = {
	.sql = "UPDATE saga.destination SET settings = $settings, changed_at = now() WHERE destination_id = $destination_id"
};

static SagaStatement owner_stmt = {
	.sql = "UPDATE saga.destination SET owner = $owner::oid::regrole, changed_at = now() "
	"WHERE destination_id = $destination_id"
};

static SagaStatement pause_stmt = {
	.sql = "UPDATE saga.destination SET paused = $paused WHERE destination_id = $destination_id"
};

/* How often a message is sent is for the destination's settings to say. */
static Jsonb *
queue_settings(void)
{
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{\"max_receives\": 0}")));
}

/*
 * Members of the second over those of the first, objects member by member; a
 * null takes away.
 */
static Jsonb *
merge_settings(Jsonb *base, Jsonb *over)
{
	JsonbParseState *state = NULL;
	JsonbIterator *it;
	JsonbValue	key;
	JsonbValue	value;
	JsonbIteratorToken token;

	check_stack_depth();
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	it = JsonbIteratorInit(&base->root);
	(void) JsonbIteratorNext(&it, &key, true);
	while ((token = JsonbIteratorNext(&it, &key, true)) == WJB_KEY)
	{
		char	   *name = pnstrdup(key.val.string.val, key.val.string.len);
		JsonbValue *other = saga_doc_get(&over->root, name);

		(void) JsonbIteratorNext(&it, &value, true);
		if (other == NULL)
			saga_doc_push_value(&state, name, &value);
		else if (saga_doc_is_object(other) && saga_doc_is_object(&value))
			saga_doc_push_jsonb(&state, name,
								merge_settings(JsonbValueToJsonb(&value), JsonbValueToJsonb(other)));
		else if (other->type != jbvNull)
			saga_doc_push_value(&state, name, other);
	}
	it = JsonbIteratorInit(&over->root);
	(void) JsonbIteratorNext(&it, &key, true);
	while ((token = JsonbIteratorNext(&it, &key, true)) == WJB_KEY)
	{
		char	   *name = pnstrdup(key.val.string.val, key.val.string.len);

		(void) JsonbIteratorNext(&it, &value, true);
		if (saga_doc_get(&base->root, name) == NULL && strcmp(name, "like") != 0)
			saga_doc_push_value(&state, name, &value);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/*
 * {"like": "other"} takes over the settings of another destination as they
 * are now.  They hold no secret, but say how one is used: so only its owner may.
 */
static Jsonb *
resolve_like(const char *name, Jsonb *settings)
{
	JsonbValue *like = JB_ROOT_IS_OBJECT(settings) ? saga_doc_get(&settings->root, "like") : NULL;
	SagaRows   *rows;
	char	   *other;

	if (like == NULL)
		return settings;
	saga_settings_check_size("destination", name, settings);
	other = like->type == jbvString ? saga_doc_text(like) : NULL;
	if (other == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid settings of destination \"%s\"", name),
				 errdetail("$.like must be the name of a destination.")));
	rows = saga_query(&settings_stmt, saga_param_int4("destination_id", get(other, SAGA_RIGHT_OWN)->destination_id));
	if (!saga_rows_next(rows))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("destination \"%s\" does not exist", other)));
	return merge_settings(saga_column_jsonb(rows, "settings"), settings);
}

/* The destination that "compensate.else" means for this owner; one that is not there yet is looked up when it is needed. */
static void
store_other(int32 id, const SagaDestination *destination, Oid owner)
{
	char	   *other = destination->compensation ? destination->compensation->other_destination : NULL;
	SagaObject	object;

	saga_destination_store_other(id, other != NULL &&
								 saga_name_object_find(SAGA_OBJECT_DESTINATION, other, owner, SAGA_RIGHT_USE, &object) ?
								 object.id : 0, other);
}

/*
 * What the settings name: secrets, as the caller means them, and another destination,
 * as the owner does, who will send there.
 */
static void
store_references(int32 id, SagaDestination *destination, Oid owner)
{
	saga_endpoint_secret_store_references("destination", id, destination->name, destination->secrets);
	store_other(id, destination, owner);
	MemoryContextDelete(GetMemoryChunkContext(destination));
}

Datum
saga_create_destination(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *kind = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Jsonb	   *settings = PG_GETARG_JSONB_P(2);
	SagaDestinationKind ignored;
	SagaDestination *destination;
	SagaObject	object;
	int32		id;

	check_name(name);
	if (!saga_destination_kind_parse(kind, &ignored))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized kind of destination: \"%s\"", kind),
				 errhint("Kinds are \"http\", \"sns\" and \"sqs\".")));

	settings = resolve_like(name, settings);
	destination = check_settings(name, kind, settings);
	if (saga_name_object_find_to_replace(SAGA_OBJECT_DESTINATION, name, GetUserId(), &object))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("destination \"%s\" already exists", name)));
	id = saga_queue_create(psprintf("destination/%s", name), SAGA_QUEUE_DESTINATION, GetUserId(),
						   queue_settings());
	(void) saga_run(&insert_stmt, saga_param_int4("destination_id", id), saga_param_text("name", name),
					saga_param_text("kind", kind), saga_param_oid("owner", GetUserId()),
					saga_param_jsonb("settings", settings));
	store_references(id, destination, GetUserId());
	saga_takeover_begin();
	PG_RETURN_INT32(id);
}

Datum
saga_alter_destination(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Jsonb	   *settings = PG_GETARG_JSONB_P(1);
	SagaDestination *destination;
	const char *kind;
	char	   *limit_key;
	Oid			owner;
	int32		id;

	destination = lock_own(name, ShareUpdateExclusiveLock);
	/* what follows may empty the cache */
	id = destination->destination_id;
	kind = saga_destination_kind_name(destination->kind);
	limit_key = pstrdup(destination->limit_key);
	owner = destination->owner;
	settings = resolve_like(name, settings);
	destination = check_settings(name, kind, settings);
	(void) saga_run(&alter_stmt, saga_param_int4("destination_id", id), saga_param_jsonb("settings", settings));
	store_references(id, destination, owner);

	/*
	 * it may be another server, other credentials, other limits: what held it
	 * is over
	 */
	saga_limit_resume(limit_key);
	PG_RETURN_VOID();
}

/* The hash of its settings, as saga.destinations shows it. */
static char *
definition_hash(int32 destination_id)
{
	SagaRows   *rows = saga_query(&hash_stmt, saga_param_int4("destination_id", destination_id));

	return saga_rows_next(rows) ? saga_column_text(rows, "hash") : "";
}

/* set_destination_owner(name text, role regrole, definition_hash text) returns void */
Datum
saga_set_destination_owner(PG_FUNCTION_ARGS)
{
	char	   *name;
	Oid			role;
	SagaDestination *destination;
	int32		id;

	/* the function of 0.1 was STRICT and had two arguments */
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_VOID();
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	role = PG_GETARG_OID(1);
	saga_name_object_check_new_owner(role);
	destination = lock_own(name, ShareUpdateExclusiveLock);
	id = destination->destination_id;
	saga_name_object_check_hash(SAGA_OBJECT_DESTINATION, name, destination->owner, definition_hash(id),
								PG_NARGS() < 3 || PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2)));

	/*
	 * the secrets stay those of whoever made the settings; where else it
	 * sends is the new owner's to say
	 */
	store_other(id, destination, role);
	saga_queue_set_owner(id, role);
	(void) saga_run(&owner_stmt, saga_param_int4("destination_id", id), saga_param_oid("owner", role));
	saga_name_object_forget_grants(SAGA_OBJECT_DESTINATION, id);
	PG_RETURN_VOID();
}

static void
set_paused(const char *name, bool paused)
{
	SagaDestination *destination;

	destination = get(name, SAGA_RIGHT_OPERATE);
	(void) saga_run(&pause_stmt, saga_param_int4("destination_id", destination->destination_id),
					saga_param_bool("paused", paused));

	/* what waits becomes claimable with this transaction's commit */
	if (!paused)
		saga_limit_resume(destination->limit_key);
}

Datum
saga_pause_destination(PG_FUNCTION_ARGS)
{
	set_paused(text_to_cstring(PG_GETARG_TEXT_PP(0)), true);
	PG_RETURN_VOID();
}

Datum
saga_resume_destination(PG_FUNCTION_ARGS)
{
	set_paused(text_to_cstring(PG_GETARG_TEXT_PP(0)), false);
	PG_RETURN_VOID();
}

static SagaStatement waiting_stmt = {
	.sql = "SELECT FROM saga.outbox WHERE destination_id = $destination_id AND state = 'waiting' LIMIT 1",
	.limit = 1
};

static SagaStatement drop_attempts_stmt = {
	.sql = "DELETE FROM saga.outbox_attempt WHERE destination_id = $destination_id"
};

static SagaStatement drop_messages_stmt = {
	.sql = "DELETE FROM saga.outbox WHERE destination_id = $destination_id"
};

static SagaStatement drop_stmt = {
	.sql = "DELETE FROM saga.destination WHERE destination_id = $destination_id"
};

/* Of a group, too, when this was the last of it; but never a row of somebody else's. */
static SagaStatement drop_state_stmt = {
	.sql = "DELETE FROM saga.destination_state s WHERE s.limit_key = $limit_key "
	"AND NOT EXISTS (SELECT FROM saga.destination d WHERE d.limit_key = s.limit_key)"
};

/* It is dropped neither while somebody waits to hear of its calls, nor while somebody works at them. */
static void
leave_calls(const char *name, int32 id, bool force)
{
	int			pid = 0;

	if (saga_outbox_drop_hook == NULL || !saga_outbox_drop_hook(id, force, &pid))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("destination \"%s\" has calls that have not been undone, or that nobody knows of", name),
			 pid == 0 ? errdetail("Executions wait for how they went, or have them in not_compensated.") :
			 errdetail("Executions wait for how they went, or have them in not_compensated. Process %d works at one of them.", pid),
			 !force ? errhint("Settle them first (saga.settle), or drop it with force, after which nobody knows of them.") :
			 pid == 0 ? errhint("Somebody is working at one of them: try again.") :
			 errhint("Let that process end its transaction (see pg_stat_activity), and try again.")));
}

static void
drop(const char *name, bool force)
{
	const SagaDestination *destination;
	const SagaQueue *queue;
	SagaParam	destination_id;
	SagaParam	limit_key;
	int32		id;
	int			pid;


	/*
	 * There may be many, so it is done before anybody has to wait for us:
	 * with the lock there is little left.  Somebody who works at one now may
	 * have ended by then.
	 */
	if (!force)
		leave_calls(name, get(name, SAGA_RIGHT_OWN)->destination_id, false);
	else if (saga_outbox_drop_hook != NULL)
		(void) saga_outbox_drop_hook(get(name, SAGA_RIGHT_OWN)->destination_id, true, &pid);
	destination = lock_own(name, AccessExclusiveLock);
	id = destination->destination_id;
	destination_id = saga_param_int4("destination_id", id);
	limit_key = saga_param_text("limit_key", destination->limit_key);
	leave_calls(name, id, force);
	if (saga_run(&waiting_stmt, destination_id) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("destination \"%s\" has messages that wait to be sent", name),
				 errhint("Let them be sent, or stop the executions they belong to.")));
	(void) saga_run(&drop_attempts_stmt, destination_id);
	(void) saga_run(&drop_messages_stmt, destination_id);
	(void) saga_run(&drop_stmt, destination_id);
	saga_endpoint_secret_forget_references("destination", id);
	saga_destination_store_other(id, 0, NULL);
	(void) saga_run(&drop_state_stmt, limit_key);
	/* what may be left in the queue is of withdrawn messages */
	queue = saga_queue_by_id(id, true);
	if (queue != NULL)
		saga_queue_drop(queue);
}

/* drop_destination(name text) returns void */
Datum
saga_drop_destination(PG_FUNCTION_ARGS)
{
	drop(text_to_cstring(PG_GETARG_TEXT_PP(0)), false);
	PG_RETURN_VOID();
}

/* drop_destination(name text, force boolean) returns void */
Datum
saga_drop_destination_force(PG_FUNCTION_ARGS)
{
	drop(text_to_cstring(PG_GETARG_TEXT_PP(0)), PG_GETARG_BOOL(1));
	PG_RETURN_VOID();
}
