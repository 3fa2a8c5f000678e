/*
 * dead.c
 *		Dead letters: what failed for good, and its way back.
 *
 * A letter stays when it is redriven, marked with when and as what, so that
 * what happened can be read later.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "queue/queue_private.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Letters redriven with one look at the table. */
#define REDRIVE_CHUNK 100

saga_redrive_hook_type saga_redrive_execution_hook = NULL;
saga_redrive_hook_type saga_redrive_outbox_hook = NULL;

static SagaStatement insert_stmt = {
	.sql = "INSERT INTO saga.dead_letter (dead_letter_id, queue_id, message_id, kind, reason, cause, receives,"
	" sent_at, failed_at, body, headers, details) VALUES ($dead_letter_id, $queue_id, $message_id, $kind, $reason,"
	" $cause, $receives, $sent_at, $failed_at, $body, $headers, $details)"
};

/* Rows that a queue gives up, by where they are: to the dead letters ... */
#define BURY(from) \
	"WITH gone AS (DELETE FROM " from " WHERE ctid = ANY ($ctids) RETURNING *)" \
	" INSERT INTO saga.dead_letter (dead_letter_id, queue_id, message_id, kind, reason, cause, receives," \
	" sent_at, failed_at, body, headers)" \
	" SELECT saga.make_id(), queue_id, message_id, kind, $reason," \
	" format('received %s times and not deleted', receives), receives, sent_at, $failed_at, body, headers FROM gone"

/* ... or into the queue that was named for that. */
#define PASS_ON(from) \
	"WITH gone AS (DELETE FROM " from " WHERE ctid = ANY ($ctids) RETURNING *)" \
	" INSERT INTO saga.message (queue_id, id, message_id, sent_at, kind, body, headers)" \
	" SELECT $queue_id, saga.make_id(), message_id, sent_at, kind, body," \
	" coalesce(headers, '{}') || jsonb_build_object('Saga.SourceQueue', $source_queue, 'Saga.Reason', $reason)" \
	" FROM gone RETURNING id"

static SagaStatement bury_stmts[] = {
	[SAGA_DEAD_FROM_MESSAGE] = {.sql = BURY("saga.message")},
	[SAGA_DEAD_FROM_TIMER] = {.sql = BURY("saga.timer")}
};
static SagaStatement pass_on_stmts[] = {
	[SAGA_DEAD_FROM_MESSAGE] = {.sql = PASS_ON("saga.message")},
	[SAGA_DEAD_FROM_TIMER] = {.sql = PASS_ON("saga.timer")}
};

#define LETTER_COLUMNS \
	"SELECT dead_letter_id, queue_id, message_id, kind, reason, cause, receives, sent_at, body, headers," \
	" details, redriven_at FROM saga.dead_letter"

static SagaStatement letter_stmt = {
	.sql = LETTER_COLUMNS " WHERE dead_letter_id = $dead_letter_id FOR UPDATE",
	.limit = 1
};
static SagaStatement queue_of_letter_stmt = {
	.sql = "SELECT queue_id FROM saga.dead_letter WHERE dead_letter_id = $dead_letter_id",
	.limit = 1
};
static SagaStatement letters_stmt = {
	.sql = LETTER_COLUMNS " WHERE queue_id = $queue_id AND dead_letter_id > $after AND redriven_at IS NULL"
	" AND details ->> 'status' IS DISTINCT FROM 'SUCCEEDED'"
	" AND ($reason IS NULL OR reason = $reason) ORDER BY dead_letter_id LIMIT $limit FOR UPDATE SKIP LOCKED"
};
static SagaStatement redriven_stmt = {
	.sql = "UPDATE saga.dead_letter SET redriven_at = $redriven_at, redriven_as = $redriven_as"
	" WHERE dead_letter_id = $dead_letter_id"
};


/* ---------- into the dead letters ---------- */

/* Bytes of a reason in the log, which may be a name that a step has made up. */
#define MAX_LOGGED_REASON	80

/* A line for the log: what failed and why, without what it is about. */
static void
log_letter(const SagaDeadLetter *letter)
{
	const SagaQueue *queue = saga_queue_by_id(letter->queue_id, true);
	const char *name = queue != NULL ? queue->name : "?";
	char	   *id = saga_uuid_to_cstring(&letter->message_id);
	char	   *reason = pstrdup(letter->reason);

	if (strlen(reason) > MAX_LOGGED_REASON)
		reason[pg_mbcliplen(reason, strlen(reason), MAX_LOGGED_REASON)] = '\0';
	for (char *c = reason; *c != '\0'; c++)
		if ((unsigned char) *c < ' ')
			*c = ' ';
	if (letter->kind == SAGA_MSG_MESSAGE)
		saga_after_commit_log("dead letter: message %s of queue \"%s\": %s", id, name, reason);
	else if (letter->kind == SAGA_MSG_OUTBOX)
		saga_after_commit_log("dead letter: message %s of destination \"%s\": %s", id, name, reason);
	else if (letter->state != NULL)
		saga_after_commit_log("dead letter: execution %s of workflow \"%s\", state \"%s\": %s", id, name, letter->state, reason);
	else
		saga_after_commit_log("dead letter: execution %s of workflow \"%s\": %s", id, name, reason);
}

pg_uuid_t
saga_dead_letter_insert(const SagaDeadLetter *letter)
{
	pg_uuid_t	id = saga_uuid_new();

	log_letter(letter);

	saga_run(&insert_stmt, saga_param_uuid("dead_letter_id", &id), saga_param_int4("queue_id", letter->queue_id),
			 saga_param_uuid("message_id", &letter->message_id), saga_param_char("kind", letter->kind),
			 saga_param_text("reason", letter->reason), saga_param_text("cause", letter->cause),
			 saga_param_int4("receives", letter->receives),
			 saga_param_if(letter->sent_at != 0, saga_param_timestamptz("sent_at", letter->sent_at)),
			 saga_param_timestamptz("failed_at", GetCurrentTimestamp()), saga_param_jsonb("body", letter->body),
			 saga_param_jsonb("headers", letter->headers), saga_param_jsonb("details", letter->details));
	return id;
}

/*
 * Where what is received too often goes; NULL: to the dead letters.  The right
 * to send there may have been taken back.
 */
static const SagaQueue *
dead_letter_queue(const SagaQueue *queue)
{
	const SagaQueue *target = NULL;
	SagaObject	object;

	if (queue->dead_letter_queue != 0)
		target = saga_queue_by_id(queue->dead_letter_queue, true);
	if (target == NULL)
		return NULL;
	object = saga_queue_object(target);
	return saga_name_object_may(&object, queue->owner, SAGA_RIGHT_USE) ? target : NULL;
}

/*
 * Rows of a plain queue, locked by this transaction, that were received too
 * often.  With a dead-letter queue they start anew there, with the same
 * message_id and two headers more that say where they come from.
 *
 * False: nothing was done, as somebody is dropping that queue, or waits to do
 * so, and this process waits for nobody.
 */
bool
saga_dead_letter_move(const SagaQueue *queue, SagaDeadFrom from, ItemPointerData *tids, int n,
					  const char *reason)
{
	const SagaQueue *target = dead_letter_queue(queue);
	SagaRows   *rows;

	if (target == NULL)
	{
		saga_after_commit_log("dead letters: %d messages of queue \"%s\": %s", n, queue->name, reason);
		saga_run(&bury_stmts[from], saga_param_array("ctids", TIDARRAYOID, saga_queue_tid_array(tids, n)),
				 saga_param_text("reason", reason), saga_param_timestamptz("failed_at", GetCurrentTimestamp()));
		return true;
	}
	if (saga_serves_all && !saga_queue_try_lock(target->queue_id))
		return false;
	target = saga_queue_lock(target);
	rows = saga_query(&pass_on_stmts[from], saga_param_array("ctids", TIDARRAYOID, saga_queue_tid_array(tids, n)),
					  saga_param_int4("queue_id", target->queue_id), saga_param_text("source_queue", queue->name),
					  saga_param_text("reason", reason));
	while (saga_rows_next(rows))
	{
		pg_uuid_t	id = saga_column_uuid(rows, "id");

		saga_note_inserted(target, &id);
	}
	saga_rows_free(rows);
	return true;
}

/* ---------- and back ---------- */

typedef struct FoundLetter
{
	pg_uuid_t	dead_letter_id;
	bool		redriven;
	SagaDeadLetter letter;
} FoundLetter;

static void
read_letter(SagaRows *rows, FoundLetter *found)
{
	SagaDeadLetter *letter = &found->letter;

	found->dead_letter_id = saga_column_uuid(rows, "dead_letter_id");
	letter->queue_id = saga_column_int4(rows, "queue_id");
	letter->message_id = saga_column_uuid(rows, "message_id");
	letter->kind = saga_column_char(rows, "kind");
	letter->reason = saga_column_text(rows, "reason");
	letter->cause = saga_column_text(rows, "cause");
	letter->receives = saga_column_int4(rows, "receives");
	letter->sent_at = saga_column_timestamptz(rows, "sent_at");
	letter->body = saga_column_jsonb(rows, "body");
	letter->headers = saga_column_jsonb(rows, "headers");
	letter->details = saga_column_jsonb(rows, "details");
	found->redriven = !saga_column_is_null(rows, "redriven_at");
}

/* A message of a plain queue is sent again under its id; *as is that. */
static void
send_again(const SagaQueue *queue, const SagaDeadLetter *letter, pg_uuid_t *as)
{
	SagaSend	row = {
		.message_id = letter->message_id,
		.kind = letter->kind,
		.body = letter->body,
		.headers = letter->headers,
		.returned = true
	};

	saga_queue_send_rows(queue, &row, 1);
	*as = letter->message_id;
}

/* What the engine or the outbox gave up is theirs to begin anew. */
static bool
call_hook(saga_redrive_hook_type hook, const SagaQueue *queue, const SagaDeadLetter *letter,
		  const SagaRedriveHow *how, pg_uuid_t *as)
{
	*as = letter->message_id;
	return hook(queue, letter, how, as);
}

/*
 * The letter is locked, the rights are checked.  *as: what it was redriven as.
 * False: it has no way back, and is one of many; else this is an error.
 */
static bool
redrive_letter(const SagaQueue *queue, const FoundLetter *found, const SagaRedriveHow *how, pg_uuid_t *as)
{
	const SagaDeadLetter *letter = &found->letter;
	saga_redrive_hook_type hook = NULL;

	if (letter->kind == SAGA_MSG_OUTBOX)
		hook = saga_redrive_outbox_hook;
	else if (letter->kind != SAGA_MSG_MESSAGE)
		hook = saga_redrive_execution_hook;

	if (how->input != NULL && hook != saga_redrive_execution_hook)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dead letter %s is of a message, which takes no input", saga_uuid_to_cstring(&found->dead_letter_id)),
				 errhint("Send another one.")));
	if (hook == NULL)
		send_again(queue, letter, as);
	else if (!call_hook(hook, queue, letter, how, as))
		return false;
	saga_run(&redriven_stmt, saga_param_uuid("dead_letter_id", &found->dead_letter_id),
			 saga_param_timestamptz("redriven_at", GetCurrentTimestamp()), saga_param_uuid("redriven_as", as));
	return true;
}

static bool
may_operate(const SagaQueue *queue)
{
	SagaObject	object = saga_queue_object(queue);

	return saga_name_object_may(&object, GetUserId(), SAGA_RIGHT_OPERATE);
}

static void
no_such_letter(const pg_uuid_t *id)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("dead letter %s does not exist", saga_uuid_to_cstring(id))));
}

/*
 * One letter; checks everything.  Returns what it was redriven as.  Rights come
 * first: nobody else may hold the letter locked.
 */
static pg_uuid_t
redrive_one(const pg_uuid_t *id, const SagaRedriveHow *how)
{
	const SagaQueue *queue;
	FoundLetter found;
	SagaRows   *rows;
	pg_uuid_t	result;

	rows = saga_query(&queue_of_letter_stmt, saga_param_uuid("dead_letter_id", id));
	if (!saga_rows_next(rows))
		no_such_letter(id);
	queue = saga_queue_by_id(saga_column_int4(rows, "queue_id"), false);
	if (!may_operate(queue))
		no_such_letter(id);
	queue = saga_queue_lock(queue);

	rows = saga_query(&letter_stmt, saga_param_uuid("dead_letter_id", id));
	if (!saga_rows_next(rows))
		no_such_letter(id);
	read_letter(rows, &found);
	if (found.redriven)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("dead letter %s was already redriven", saga_uuid_to_cstring(id)),
				 errhint("See redriven_at and redriven_as in saga.dead_letters.")));
	(void) redrive_letter(queue, &found, how, &result);
	saga_accepted();
	return result;
}

/* redrive(dead_letter_id uuid) returns uuid */
PG_FUNCTION_INFO_V1(saga_redrive);

Datum
saga_redrive(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *result = palloc(sizeof(pg_uuid_t));
	const SagaRedriveHow how = {0};

	saga_queue_arg_required(fcinfo, 0, "dead_letter_id");
	*result = redrive_one(PG_GETARG_UUID_P(0), &how);
	PG_RETURN_UUID_P(result);
}

/* redrive(dead_letter_id uuid, force boolean) returns uuid */
PG_FUNCTION_INFO_V1(saga_redrive_force);

Datum
saga_redrive_force(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *result = palloc(sizeof(pg_uuid_t));
	const SagaRedriveHow how = {.force = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1)};

	saga_queue_arg_required(fcinfo, 0, "dead_letter_id");
	*result = redrive_one(PG_GETARG_UUID_P(0), &how);
	PG_RETURN_UUID_P(result);
}

/* redrive_anew(dead_letter_id uuid, input jsonb, force boolean) returns uuid */
PG_FUNCTION_INFO_V1(saga_redrive_anew);

Datum
saga_redrive_anew(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *result = palloc(sizeof(pg_uuid_t));
	const SagaRedriveHow how = {
		.anew = true,
		.input = PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1),
		.force = !PG_ARGISNULL(2) && PG_GETARG_BOOL(2)
	};

	saga_queue_arg_required(fcinfo, 0, "dead_letter_id");
	*result = redrive_one(PG_GETARG_UUID_P(0), &how);
	PG_RETURN_UUID_P(result);
}

/* Of the letters of a queue; what has been done is counted. */
typedef struct RedriveMany
{
	const SagaQueue *queue;
	text	   *reason;			/* NULL: whatever it is */
	int64		left;			/* at most so many more */
	pg_uuid_t	after;			/* those up to this one were looked at */
	int64		done;
	int64		skipped;		/* no way back */
	int64		anew;			/* executions that could not go on where they failed */
} RedriveMany;

/* One of many: it goes back, or stays.  What has no way back does not keep the others from theirs. */
static void
redrive_next(RedriveMany *many, const FoundLetter *found)
{
	const SagaRedriveHow how = {.many = true};
	pg_uuid_t	as;

	if (!redrive_letter(many->queue, found, &how, &as))
	{
		many->skipped++;
		return;
	}
	many->done++;
	many->left--;
	/* an execution that had begun, and did not go on in its place */
	if (found->letter.details != NULL && saga_uuid_cmp(&as, &found->letter.message_id) != 0)
		many->anew++;
}

/*
 * With one look at the table.  False: there are no more.  A run that goes on is
 * thawed for it and may be large, so that each has its memory for itself.
 */
static bool
redrive_chunk(RedriveMany *many, MemoryContext one)
{
	int			chunk = (int) Min(many->left, REDRIVE_CHUNK);
	SagaRows   *rows = saga_query(&letters_stmt, saga_param_int4("queue_id", many->queue->queue_id),
								  saga_param_uuid("after", &many->after),
								  saga_param_pointer("reason", TEXTOID, many->reason), saga_param_int4("limit", chunk));

	while (saga_rows_next(rows))
	{
		FoundLetter found;
		MemoryContext old = MemoryContextSwitchTo(one);

		CHECK_FOR_INTERRUPTS();
		read_letter(rows, &found);
		redrive_next(many, &found);
		many->after = found.dead_letter_id;
		MemoryContextSwitchTo(old);
		MemoryContextReset(one);
	}
	return rows->count == (uint64) chunk && many->left > 0;
}

static void
redrive_many(RedriveMany *many)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_saga redrive", ALLOCSET_DEFAULT_SIZES);
	MemoryContext one = AllocSetContextCreate(context, "pg_saga redrive, one letter", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	while (redrive_chunk(many, one))
	{
		MemoryContextResetOnly(context);
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	if (many->done > 0)
		saga_accepted();
	if (many->anew > 0)
		ereport(NOTICE,
				(errmsg_plural("%lld execution of \"%s\" could not go on where it failed, and another one was started in its place",
							   "%lld executions of \"%s\" could not go on where they failed, and others were started in their place",
							   (unsigned long) many->anew, (long long) many->anew, many->queue->name),
				 errhint("See redriven_as in saga.dead_letters.")));
	if (many->skipped > 0)
		ereport(NOTICE,
				(errmsg_plural("%lld dead letter of queue \"%s\" cannot be redriven",
							   "%lld dead letters of queue \"%s\" cannot be redriven",
							   (unsigned long) many->skipped, (long long) many->skipped, many->queue->name),
				 errhint("saga.redrive() of a single one says why.")));
}

/* redrive(queue text, reason text, max integer) returns bigint */
PG_FUNCTION_INFO_V1(saga_redrive_queue);

Datum
saga_redrive_queue(PG_FUNCTION_ARGS)
{
	RedriveMany many = {.left = PG_INT64_MAX, .after = saga_uuid_min};
	const SagaQueue *queue;
	char	   *name;
	pg_uuid_t	id;

	saga_queue_arg_required(fcinfo, 0, "queue");
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	queue = saga_queue_find(name, GetUserId(), SAGA_RIGHT_OPERATE, true);
	if (queue == NULL && saga_uuid_parse(name, &id))
	{
		/*
		 * a literal without a cast is text: the id of a letter, one is
		 * redriven
		 */
		const SagaRedriveHow how = {0};

		(void) redrive_one(&id, &how);
		PG_RETURN_INT64(1);
	}
	if (queue == NULL)
		saga_name_object_missing(SAGA_OBJECT_QUEUE, name, GetUserId(), SAGA_RIGHT_OPERATE);
	many.queue = saga_queue_lock(queue);
	if (!PG_ARGISNULL(1))
		many.reason = PG_GETARG_TEXT_PP(1);
	if (!PG_ARGISNULL(2))
	{
		many.left = PG_GETARG_INT32(2);
		if (many.left < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("max must not be negative")));
	}
	redrive_many(&many);
	PG_RETURN_INT64(many.done);
}
