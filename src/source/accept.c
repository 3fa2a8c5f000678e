/*
 * accept.c
 *		Messages that were received, put into the queue: all of a batch in one
 *		transaction with the ids that they are known by, so that one which
 *		comes again is recognised.
 *
 * What cannot be a message of the queue becomes a dead letter with its
 * reason.  Only the database's own trouble leaves a message at the service.
 *
 * Begin reading with saga_source_accept.  Order: ids that were seen before
 * are looked up and left out; the others are converted, as many as there is
 * time for; their ids are stored, which tells twins within one batch apart;
 * then messages and dead letters are written.  All of it commits together, so
 * that a message has been taken if and only if its id was seen.
 *
 * What is foreign text becomes ours in saga_foreign_text and
 * saga_foreign_json, which do not raise for it.
 */
#include "postgres.h"

#include "common/clock.h"
#include "common/statement.h"
#include "engine/engine.h"
#include "miscadmin.h"
#include "net/foreign.h"
#include "source/source_private.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/timestamp.h"
#include "value/doc.h"

#define MAX_ID_BYTES	128
#define ACCEPT_SLICE_MS	20		/* then the transaction makes nothing more of what came: the others wait */
#define DAMAGED_RECEIVES 5		/* a message that is damaged so often is a dead letter */
#define MAX_SENT_MS		INT64CONST(253402300799000) /* the end of the year 9999 */

/* ---------- the target ---------- */

/* What the source's owner may send to: a queue, or the start of a workflow. */
const SagaQueue *
saga_source_target(const SagaSource *source, char **problem)
{
	const SagaQueue *queue = saga_queue_by_id(source->queue_id, true);
	SagaObject	object;
	char	   *owner;

	if (queue == NULL || queue->kind == SAGA_QUEUE_DESTINATION || queue->kind == SAGA_QUEUE_ACTIVITY)
	{
		*problem = pstrdup("the queue of the source does not exist any more");
		return NULL;
	}
	object = saga_queue_object(queue);
	if (!saga_name_object_may(&object, source->owner, SAGA_RIGHT_USE | SAGA_RIGHT_START))
	{
		owner = GetUserNameFromId(source->owner, true);
		*problem = psprintf("role \"%s\", which owns the source, may not use queue \"%s\"",
							owner != NULL ? owner : "(dropped)", queue->name);
		return NULL;
	}
	return queue;
}

int
saga_source_room(const SagaSource *source, const SagaQueue *queue)
{
	int			room = source->max_queued - saga_queue_count(queue->queue_id, source->max_queued);

	/*
	 * where all that comes fails it is better kept where it is, than made a
	 * dead letter of
	 */
	return Min(room, source->max_dead_letters - saga_queue_count_dead(queue, source->max_dead_letters));
}

/* ---------- what a message becomes ---------- */

typedef struct Incoming
{
	SagaSqsMessage *message;
	pg_uuid_t	id;				/* ours */
	TimestampTz sent_at;		/* 0: not said */
	bool		is_new;
	Jsonb	   *body;
	Jsonb	   *headers;
	const char *reason;			/* of a dead letter; NULL: it is none */
	const char *cause;
} Incoming;

/* A text as a JSON string. */
static Jsonb *
text_document(char *text)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = text;
	value.val.string.len = strlen(text);
	return JsonbValueToJsonb(&value);
}

/* A text that came from elsewhere, as the database can hold it. */
static char *
foreign(const char *text)
{
	return saga_foreign_text(text, strlen(text), SIZE_MAX);
}

/* The attributes of a message become headers. */
static void
push_attributes(JsonbParseState **state, const SagaSqsMessage *message)
{
	int			i;

	for (i = 0; i < message->nattributes; i++)
		saga_doc_push_string(state, foreign(message->attributes[i].name), foreign(message->attributes[i].value));
}

/* The last of two members of one name stays: what we say, not an attribute. */
static void
push_origin(JsonbParseState **state, const SagaSource *source, const Incoming *in)
{
	const SagaSqsMessage *message = in->message;
	char		sent[MAXDATELEN + 1];
	int			utc = 0;

	saga_doc_push_string(state, "source", source->name);
	saga_doc_push_string(state, "source_message_id", foreign(message->id));
	if (in->sent_at != 0)
	{
		JsonEncodeDateTime(sent, TimestampTzGetDatum(in->sent_at), TIMESTAMPTZOID, &utc);
		saga_doc_push_string(state, "sent_at", pstrdup(sent));	/* read when the document is made */
	}
	if (message->trace != NULL)
		saga_doc_push_string(state, "trace", foreign(message->trace));
	if (message->group_id != NULL)
		saga_doc_push_string(state, "group_id", foreign(message->group_id));
}

/* For an inbox: everything is in the document, the body a text as it came. */
static Jsonb *
envelope(const SagaSource *source, const Incoming *in, const char *text)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(&state, "body", text);
	push_origin(&state, source, in);
	saga_jsonb_push_key(&state, "attributes");
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_attributes(&state, in->message);
	pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* The headers of a message of a plain queue. */
static Jsonb *
make_headers(const SagaSource *source, const Incoming *in)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_attributes(&state, in->message);
	push_origin(&state, source, in);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* When the message was sent, as SQS says; 0: not known. */
static TimestampTz
sent_at(const SagaSqsMessage *message)
{
	int64		epoch_ms = (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000;

	if (message->sent_ms <= 0 || message->sent_ms > MAX_SENT_MS)
		return 0;
	return (message->sent_ms - epoch_ms) * 1000;
}

/*
 * Would it be JSON without the escapes that no text of PostgreSQL can hold:
 * U+0000, and halves of surrogate pairs?  Then this is to be told.
 */
static const char *
not_json_cause(const char *body, size_t len)
{
	char	   *copy = pnstrdup(body, len);
	bool		changed = false;

	for (size_t i = 0; i + 5 < len; i++)
	{
		if (copy[i] != '\\')
			continue;
		if (copy[++i] == 'u' && (strncmp(copy + i + 1, "0000", 4) == 0 ||
								 (pg_strncasecmp(copy + i + 1, "d", 1) == 0 && strchr("89abcdefABCDEF", copy[i + 2]) != NULL)))
		{
			memcpy(copy + i + 1, "fffd", 4);
			changed = true;
		}
	}
	return changed && saga_foreign_json(copy, len, false) != NULL ?
		"the body of the message holds a character that PostgreSQL cannot keep: an escape of U+0000, or of half a surrogate pair" :
		"the body of the message is not JSON";
}

/* False: it is damaged, and may be whole when it comes again. */
static bool
convert(const SagaSource *source, const SagaSqsMessage *received, Incoming *in)
{
	bool		intact = saga_sqs_is_intact(received);
	SagaSqsMessage *message;
	char	   *text;

	if (!intact && received->receives < DAMAGED_RECEIVES)
		return false;
	/* a copy: if this transaction aborts, it begins anew with what came */
	message = palloc(sizeof(SagaSqsMessage));
	*message = *received;
	if (source->unwrap_sns && intact)
		(void) saga_sqs_unwrap_sns(message);
	text = saga_foreign_text(message->body, message->body_len, SIZE_MAX);
	memset(in, 0, sizeof(*in));
	in->message = message;
	in->id = saga_uuid_new();
	in->sent_at = sent_at(message);
	if (source->inbox)
		in->body = envelope(source, in, text);
	else
	{
		in->headers = make_headers(source, in);
		in->body = source->text ? text_document(text) : saga_foreign_json(message->body, message->body_len, false);
	}
	if (in->body == NULL)
	{
		in->body = text_document(text);
		in->reason = "Saga.NotJson";
		in->cause = not_json_cause(message->body, message->body_len);
	}
	if (!intact)
	{
		in->reason = "Saga.ChecksumMismatch";
		in->cause = "the body of the message does not have the checksum that came with it";
	}
	return true;
}

/* ---------- seen before? ---------- */

static SagaStatement known_stmt = {
	.sql = "SELECT dedup_id FROM saga.source_seen WHERE source_id = $source_id AND dedup_id = ANY ($dedup_ids)",
	.read_only = true
};

static SagaStatement seen_stmt = {
	.sql = "INSERT INTO saga.source_seen (source_id, dedup_id, message_id, seen_at) "
	"SELECT $source_id, u.dedup_id, u.message_id, $seen_at FROM unnest($dedup_ids, $message_ids) u(dedup_id, message_id) "
	"ON CONFLICT DO NOTHING RETURNING message_id"
};

/* The service itself forgets these after five minutes. */
static SagaStatement seen_fifo_stmt = {
	.sql = "INSERT INTO saga.source_seen AS s (source_id, dedup_id, message_id, seen_at) "
	"VALUES ($source_id, $dedup_id, $message_id, $seen_at) "
	"ON CONFLICT (source_id, dedup_id) DO UPDATE SET message_id = excluded.message_id, seen_at = excluded.seen_at "
	"WHERE s.seen_at NOT BETWEEN excluded.seen_at - interval '5 minutes' AND excluded.seen_at + interval '5 minutes'"
};

/* The id by which a message is recognised when it comes again. */
static char *
dedup_id(const SagaSqsMessage *message)
{
	return saga_foreign_text(message->id, strlen(message->id), MAX_ID_BYTES);
}

/*
 * Which of them are there, looked up before anything is made of them: whoever
 * sends the same ones again and again takes no more time than that.
 */
static bool *
look_up_known(const SagaSource *source, SagaSqsMessage **messages, int n)
{
	bool	   *known = palloc0(sizeof(bool) * n);
	char	  **texts = palloc(sizeof(char *) * n);
	Datum	   *ids = palloc(sizeof(Datum) * n);
	SagaRaised	save;
	SagaRows   *rows;

	for (int i = 0; i < n; i++)
	{
		texts[i] = dedup_id(messages[i]);
		ids[i] = CStringGetTextDatum(texts[i]);
	}
	saga_raise(&save);
	rows = saga_query(&known_stmt, saga_param_int4("source_id", source->source_id),
					  saga_param_array("dedup_ids", TEXTARRAYOID, construct_array(ids, n, TEXTOID, -1, false, TYPALIGN_INT)));
	saga_lower(&save);
	while (saga_rows_next(rows))
	{
		const char *id = saga_column_text(rows, "dedup_id");

		for (int i = 0; i < n; i++)
			known[i] |= strcmp(texts[i], id) == 0;
	}
	return known;
}

/* By the ids of the service: the same message, perhaps twice in this batch. */
static void
mark_new(const SagaSource *source, Incoming *in, int n, TimestampTz now)
{
	Datum	   *ids = palloc(sizeof(Datum) * n);
	Datum	   *ours = palloc(sizeof(Datum) * n);
	SagaRows   *rows;

	for (int i = 0; i < n; i++)
	{
		ids[i] = CStringGetTextDatum(dedup_id(in[i].message));
		ours[i] = UUIDPGetDatum(&in[i].id);
	}
	rows = saga_query(&seen_stmt, saga_param_int4("source_id", source->source_id),
					  saga_param_timestamptz("seen_at", now),
					  saga_param_array("dedup_ids", TEXTARRAYOID, construct_array(ids, n, TEXTOID, -1, false, TYPALIGN_INT)),
					  saga_param_array("message_ids", UUIDARRAYOID, construct_array(ours, n, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR)));
	while (saga_rows_next(rows))
	{
		pg_uuid_t	id = saga_column_uuid(rows, "message_id");

		for (int i = 0; i < n; i++)
			in[i].is_new |= saga_uuid_cmp(&in[i].id, &id) == 0;
	}
}

/*
 * FIFO: the sender's deduplication id, within its group and five minutes of
 * sending.  No id has a blank in it.
 */
static void
mark_fifo(const SagaSource *source, Incoming *in, TimestampTz now)
{
	char	   *key;

	if (!in->is_new || in->message->dedup_id == NULL)
		return;
	key = psprintf("fifo %s %s", in->message->group_id != NULL ? in->message->group_id : "", in->message->dedup_id);
	in->is_new = saga_run(&seen_fifo_stmt, saga_param_int4("source_id", source->source_id),
						  saga_param_text("dedup_id", saga_foreign_text(key, strlen(key), 3 * MAX_ID_BYTES)),
						  saga_param_uuid("message_id", &in->id),
						  saga_param_timestamptz("seen_at", in->sent_at != 0 ? Min(in->sent_at, now) : now)) > 0;
}

/* Raised once for all of them: a FIFO queue has a statement for each message. */
static void
mark_seen(const SagaSource *source, Incoming *in, int n, TimestampTz now)
{
	SagaRaised	save;

	saga_raise(&save);
	mark_new(source, in, n, now);
	for (int i = 0; i < n && source->endpoint.fifo; i++)
		mark_fifo(source, &in[i], now);
	saga_lower(&save);
}

/* ---------- in ---------- */

/* What cannot be a message of the queue becomes a dead letter. */
static void
bury(const SagaQueue *queue, const Incoming *in)
{
	SagaDeadLetter letter = {0};

	letter.queue_id = queue->queue_id;
	letter.message_id = in->id;
	letter.kind = queue->kind == SAGA_QUEUE_PLAIN ? SAGA_MSG_MESSAGE : SAGA_MSG_START;
	letter.reason = in->reason;
	letter.cause = in->cause;
	letter.receives = in->message->receives;
	letter.sent_at = in->sent_at;
	letter.body = in->body;
	letter.headers = in->headers;
	(void) saga_dead_letter_insert(&letter);
}

/* Headers of an execution's start are the engine's own. */
static SagaSend
make_row(const SagaQueue *queue, const Incoming *in)
{
	bool		plain = queue->kind == SAGA_QUEUE_PLAIN;
	SagaSend	row = {0};

	/*
	 * the id is made here, so that it can be stored with the service's own
	 * before the row is
	 */
	row.message_id = in->id;
	row.kind = plain ? SAGA_MSG_MESSAGE : SAGA_MSG_START;
	row.version = plain ? 0 : saga_engine_version(queue->queue_id);
	row.body = in->body;
	row.headers = plain ? in->headers : NULL;
	return row;
}

static SagaStatement count_up_stmt = {
	.sql = "INSERT INTO saga.source_status AS s (source_id, received, inserted, duplicates, dead, last_received_at) "
	"VALUES ($source_id, $received, $inserted, $duplicates, $dead, $last_received_at) "
	"ON CONFLICT (source_id) DO UPDATE SET received = s.received + excluded.received, "
	"inserted = s.inserted + excluded.inserted, duplicates = s.duplicates + excluded.duplicates, "
	"dead = s.dead + excluded.dead, last_received_at = excluded.last_received_at"
};

/* Counts what came, for saga.sources. */
static void
count_up(const SagaSource *source, int n, const SagaAccepted *accepted, TimestampTz now)
{
	saga_run(&count_up_stmt,
			 saga_param_int4("source_id", source->source_id),
			 saga_param_int8("received", n),
			 saga_param_int8("inserted", accepted->inserted),
			 saga_param_int8("duplicates", accepted->duplicates),
			 saga_param_int8("dead", accepted->dead),
			 saga_param_timestamptz("last_received_at", now));
}

static bool
are_one_group(const SagaSqsMessage *a, const SagaSqsMessage *b)
{
	if (a->group_id == NULL || b->group_id == NULL)
		return a->group_id == b->group_id;
	return strcmp(a->group_id, b->group_id) == 0;
}

/*
 * FIFO: those behind it in its group wait with it.  The service gives none of
 * the group out meanwhile, but what has come in the same answer is here.
 */
void
saga_source_hold_back(const SagaSource *source, const SagaSqsMessage *left, SagaSqsMessage *message)
{
	if (source->endpoint.fifo && are_one_group(left, message))
		message->behind = true;
}

/* What is new, as far as there is time.  Returns how many are whole. */
static int
convert_new(const SagaSource *source, SagaSqsMessage **messages, int n, Incoming *in, SagaAccepted *accepted)
{
	const bool *known = look_up_known(source, messages, n);
	TimestampTz begun_at = saga_monotonic_now();
	int			whole = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		if (whole > 0 && TimestampDifferenceExceeds(begun_at, saga_monotonic_now(), ACCEPT_SLICE_MS))
			break;
		messages[i]->settled = known[i] || (!messages[i]->behind && convert(source, messages[i], &in[whole]));
		if (known[i])
			accepted->duplicates++;
		else if (messages[i]->settled)
			whole++;
		else if (!messages[i]->behind)
		{
			accepted->damaged++;
			for (int j = i + 1; j < n; j++)
				saga_source_hold_back(source, messages[i], messages[j]);
		}
	}
	accepted->seen = i;
	return whole;
}

void
saga_source_accept(const SagaSource *source, const SagaQueue *queue, SagaSqsMessage **messages, int n,
				   SagaAccepted *accepted)
{
	TimestampTz now = GetCurrentTimestamp();
	Incoming   *in = palloc(sizeof(Incoming) * n);
	SagaSend   *rows = palloc(sizeof(SagaSend) * n);
	int			whole;
	int			i;

	memset(accepted, 0, sizeof(*accepted));
	queue = saga_queue_lock(queue);
	whole = convert_new(source, messages, n, in, accepted);
	if (whole > 0)
		mark_seen(source, in, whole, now);
	for (i = 0; i < whole; i++)
	{
		if (!in[i].is_new)
			accepted->duplicates++;
		else if (in[i].reason != NULL)
		{
			bury(queue, &in[i]);
			accepted->dead++;
		}
		else
			rows[accepted->inserted++] = make_row(queue, &in[i]);
	}
	if (accepted->inserted > 0)
		saga_queue_send_rows(queue, rows, accepted->inserted);
	count_up(source, accepted->seen, accepted, now);
}

static SagaStatement note_stmt = {
	.sql = "INSERT INTO saga.source_status AS s (source_id, state, last_error, last_error_at) "
	"VALUES ($source_id, $state, $last_error, CASE WHEN $last_error IS NOT NULL THEN $last_error_at END) "
	"ON CONFLICT (source_id) DO UPDATE SET "
	"state = excluded.state, last_error = coalesce(excluded.last_error, s.last_error), "
	"last_error_at = coalesce(excluded.last_error_at, s.last_error_at)"
};

void
saga_source_note(int32 source_id, const char *state, const char *error)
{
	saga_run(&note_stmt,
			 saga_param_int4("source_id", source_id),
			 saga_param_text("state", state),
			 saga_param_text("last_error", error != NULL ? saga_foreign_text(error, strlen(error), 1000) : NULL),
			 saga_param_timestamptz("last_error_at", GetCurrentTimestamp()));
}
