/*
 * manage.c
 *		Making, emptying and dropping queues.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "queue/queue_private.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "value/doc.h"

#define MAX_NAME_LENGTH 200

/* Set while saga_queue_create inserts (cache.c: a row from elsewhere is a restore). */
bool		saga_creating_queue = false;

static SagaStatement create_stmt = {
	.sql = "INSERT INTO saga.queue (name, kind, owner, visibility_timeout, max_receives, dead_letter_queue_id, retention)"
	" VALUES ($name, $kind, $owner::regrole,"
	" coalesce(($settings ->> 'visibility_timeout')::interval, '30 seconds'),"
	" coalesce(($settings ->> 'max_receives')::integer, 5), ($settings ->> 'dead_letter_queue_id')::integer,"
	" ($settings ->> 'retention')::interval)"
	" ON CONFLICT (owner, name) DO NOTHING RETURNING queue_id"
};
static SagaStatement used_stmt = {
	.sql = "SELECT name, owner::oid FROM saga.queue WHERE dead_letter_queue_id = $dead_letter_queue_id ORDER BY name"
};
static SagaStatement owner_stmt = {
	.sql = "UPDATE saga.queue SET owner = $owner::regrole WHERE queue_id = $queue_id"
};
static SagaStatement purge_message_stmt = {
	.sql = "DELETE FROM saga.message WHERE queue_id = $queue_id"
};
static SagaStatement purge_timer_stmt = {
	.sql = "DELETE FROM saga.timer WHERE queue_id = $queue_id"
};
static SagaStatement purge_dead_stmt = {
	.sql = "DELETE FROM saga.dead_letter WHERE queue_id = $queue_id"
};
static SagaStatement drop_stmt = {
	.sql = "DELETE FROM saga.queue WHERE queue_id = $queue_id"
};


/* Of a workflow or an activity, too, whose own names have been looked at for their length. */
static void
check_name(const char *name, char kind)
{
	const char *p;

	if (name[0] == '\0' || pg_mbstrlen(name) > MAX_NAME_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid queue name \"%s\"", name),
				 errdetail("A name has 1 to %d characters.", MAX_NAME_LENGTH)));
	for (p = name; *p; p++)
		if ((unsigned char) *p < ' ' || *p == 0x7f)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid %s name", kind == SAGA_QUEUE_WORKFLOW ? "workflow" : kind == SAGA_QUEUE_ACTIVITY ? "activity" : "queue"),
					 errdetail("A name has no control characters.")));
}

/* The row of the new queue; none: the owner has one of this name.  The trigger fires inside the statement. */
static SagaRows *
insert_queue(const char *name, char kind, Oid owner, Jsonb *settings)
{
	SagaRows   *volatile rows = NULL;

	saga_creating_queue = true;
	PG_TRY();
	{
		rows = saga_query(&create_stmt, saga_param_text("name", name), saga_param_char("kind", kind),
						  saga_param_oid("owner", owner), saga_param_jsonb("settings", settings));
	}
	PG_FINALLY();
	{
		saga_creating_queue = false;
	}
	PG_END_TRY();
	return rows;
}

int32
saga_queue_create(const char *name, char kind, Oid owner, Jsonb *settings)
{
	SagaRows   *rows;
	int32		queue_id;

	check_name(name, kind);
	saga_name_object_check_count(SAGA_OBJECT_QUEUE, owner);
	rows = insert_queue(name, kind, owner, settings);
	if (!saga_rows_next(rows))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("queue \"%s\" already exists", name)));
	queue_id = saga_column_int4(rows, "queue_id");

	/* until we commit it must not be taken for one that is gone */
	(void) saga_queue_lock(saga_queue_by_id(queue_id, false));
	return queue_id;
}

/* A workflow is a queue too, and a destination has one, whose name begins with what it is. */
static void
refuse_second(Oid owner, const SagaQueue *other)
{
	static const char *const prefix = "destination/";
	bool		destination = other->kind == SAGA_QUEUE_DESTINATION;

	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("role \"%s\" has a %s \"%s\" already", GetUserNameFromId(owner, true),
					destination ? "destination" : other->kind == SAGA_QUEUE_WORKFLOW ? "workflow" : "queue",
					destination ? other->name + strlen(prefix) : other->name),
			 errhint("Name a role that has none of this name.")));
}

void
saga_queue_set_owner(int32 queue_id, Oid owner)
{
	const SagaQueue *queue = saga_queue_by_id(queue_id, false);
	const SagaQueue *other;

	if (queue->owner == owner)
		return;
	other = saga_queue_by_owner(owner, queue->name);
	if (other != NULL)
		refuse_second(owner, other);
	saga_name_object_check_count(SAGA_OBJECT_QUEUE, owner);
	saga_run(&owner_stmt, saga_param_int4("queue_id", queue_id), saga_param_oid("owner", owner));

	/*
	 * what waits in it is the new owner's: its slot is put right, and he is
	 * told, at our commit
	 */
	saga_note_given(queue, owner);
}

static char *
interval_text(FunctionCallInfo fcinfo, int arg)
{
	return DatumGetCString(DirectFunctionCall1(interval_out, PG_GETARG_DATUM(arg)));
}

/* Its id, as text; it stays until the end of the transaction. */
static char *
dead_letter_queue_id(const char *name)
{
	const SagaQueue *target = saga_queue_find(name, GetUserId(), SAGA_RIGHT_USE, false);

	saga_queue_check_plain(target);
	return psprintf("%d", saga_queue_lock(target)->queue_id);
}

/*
 * create_queue(name text, visibility_timeout interval, max_receives integer, dead_letter_queue text,
 *				fifo boolean, retention interval) returns integer
 */
PG_FUNCTION_INFO_V1(saga_create_queue);

Datum
saga_create_queue(PG_FUNCTION_ARGS)
{
	JsonbParseState *state = NULL;
	JsonbValue *settings;
	char	   *name;

	saga_queue_arg_required(fcinfo, 0, "name");
	saga_queue_arg_required(fcinfo, 1, "visibility_timeout");
	saga_queue_arg_required(fcinfo, 2, "max_receives");
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (!PG_ARGISNULL(4) && PG_GETARG_BOOL(4))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("FIFO queues are not supported yet"),
				 errhint("Leave fifo false.")));
	(void) saga_queue_arg_interval_ms(fcinfo, 1, "visibility_timeout", 0);
	if (!PG_ARGISNULL(5))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a retention of messages is not supported yet"),
				 errhint("Leave retention null: messages are kept until they are deleted or received too often.")));
	if (PG_GETARG_INT32(2) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_receives must not be negative"),
				 errhint("0 is no limit.")));

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(&state, "visibility_timeout", interval_text(fcinfo, 1));
	saga_doc_push_string(&state, "max_receives", psprintf("%d", PG_GETARG_INT32(2)));
	if (!PG_ARGISNULL(3))
	{
		char	   *target = text_to_cstring(PG_GETARG_TEXT_PP(3));

		if (strcmp(name, target) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("queue \"%s\" cannot be its own dead-letter queue", name)));
		saga_doc_push_string(&state, "dead_letter_queue_id", dead_letter_queue_id(target));
	}
	settings = pushJsonbValue(&state, WJB_END_OBJECT, NULL);

	saga_name_object_check_new_name(SAGA_OBJECT_QUEUE, name);
	PG_RETURN_INT32(saga_queue_create(name, SAGA_QUEUE_PLAIN, GetUserId(), JsonbValueToJsonb(settings)));
}

/*
 * If this is undone, everything may be claimable again.  The messages twice:
 * a timer that the coordinator is moving, without a lock on the queue, is a
 * message when we have waited for it.
 */
static uint64
purge(const SagaQueue *queue)
{
	const SagaParam params[] = {saga_param_int4("queue_id", queue->queue_id), {.name = NULL}};
	uint64		n;

	saga_note_locked(queue, &saga_uuid_min);
	n = saga_statement_run(&purge_message_stmt, params);
	n += saga_statement_run(&purge_timer_stmt, params);
	n += saga_statement_run(&purge_message_stmt, params);
	return n;
}

/* purge(queue text) returns bigint */
PG_FUNCTION_INFO_V1(saga_purge);

Datum
saga_purge(PG_FUNCTION_ARGS)
{
	const SagaQueue *queue = saga_queue_arg_queue(fcinfo, 0, SAGA_RIGHT_OPERATE);
	SagaRaised	save;
	uint64		n;

	saga_raise(&save);
	n = purge(queue);
	saga_lower(&save);
	PG_RETURN_INT64((int64) n);
}

/* Everything of a queue that saga_queue_lock_exclusive has locked. */
void
saga_queue_drop(const SagaQueue *queue)
{
	int32		queue_id = queue->queue_id;
	SagaObject	object = saga_queue_object(queue);

	(void) purge(queue);
	saga_run(&purge_dead_stmt, saga_param_int4("queue_id", queue_id));
	saga_run(&drop_stmt, saga_param_int4("queue_id", queue_id));
	saga_name_object_forget_grants(object.kind, object.id);
	saga_note_dropped(queue_id);
}

/* Raises when a queue has this one as its dead-letter queue, and its owner may still use it. */
static void
check_no_dead_letter_queue(const SagaQueue *queue, const char *name)
{
	SagaObject	object = saga_queue_object(queue);
	SagaRows   *rows = saga_query(&used_stmt, saga_param_int4("dead_letter_queue_id", queue->queue_id));

	while (saga_rows_next(rows))
	{
		Oid			owner = saga_column_oid(rows, "owner");

		if (!saga_name_object_may(&object, owner, SAGA_RIGHT_USE))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 has_privs_of_role(GetUserId(), owner) ?
				 errmsg("queue \"%s\" is the dead-letter queue of \"%s\"", name, saga_column_text(rows, "name")) :
				 errmsg("queue \"%s\" is the dead-letter queue of another role's queue", name),
				 errhint("Drop that queue first.")));
	}
}

/* drop_queue(queue text) returns boolean */
PG_FUNCTION_INFO_V1(saga_drop_queue);

Datum
saga_drop_queue(PG_FUNCTION_ARGS)
{
	const SagaQueue *queue;
	char	   *name;
	int32		queue_id;

	saga_queue_arg_required(fcinfo, 0, "queue");
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	queue = saga_queue_find(name, GetUserId(), SAGA_RIGHT_OWN, true);
	if (queue == NULL)
		PG_RETURN_BOOL(false);
	saga_queue_check_plain(queue);
	queue_id = queue->queue_id;

	/* from everybody who has sent, received ... and not committed */
	saga_queue_lock_exclusive(queue_id, "queue", name);
	queue = saga_queue_by_id(queue_id, true);
	if (queue == NULL)
		PG_RETURN_BOOL(false);

	check_no_dead_letter_queue(queue, name);
	saga_queue_drop(queue);
	PG_RETURN_BOOL(true);
}
