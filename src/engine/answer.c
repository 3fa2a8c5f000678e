/*
 * answer.c
 *		One answer to a task token.
 *
 * An answer is an event, and waits in the queue until a worker takes it: until
 * then the execution looks as if it waited still.  So that a second answer is
 * refused at once, and not dropped without a word, the first one leaves a row
 * in saga.given_id, under an id made from the token.  It is a unique key: of
 * two at the same time one waits for the other.  The row goes with the event,
 * in the transaction that writes the run which does not have the token any
 * more.  So whoever could leave the row, and finds the token in the run after
 * that, is the only one.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "common/statement.h"
#include "engine/engine_private.h"
#include "engine/event_private.h"
#include "utils/array.h"
#include "utils/snapmgr.h"

static pg_uuid_t
answer_id(const char *token)
{
	pg_uuid_t	id;
	uint64		half[2];

	for (int i = 0; i < 2; i++)
		half[i] = hash_bytes_extended((const unsigned char *) token, strlen(token), 0x5a6b + i);
	memcpy(id.data, half, UUID_LEN);
	id.data[6] = 0x80 | (id.data[6] & 0x0f);	/* version 8: custom; no id of an execution has it */
	id.data[8] = 0x80 | (id.data[8] & 0x3f);
	return id;
}

/*
 * First a look at what is committed, which waits for nobody: a worker that is
 * taking the first answer has the row, perhaps for as long as a step runs.
 */
bool
saga_engine_answer_claim(const char *token, bool only_look)
{
	static SagaStatement look_stmt = {
		.sql = "SELECT FROM saga.given_id WHERE execution_id = $execution_id",
		.read_only = true,
		.limit = 1
	};
	static SagaStatement insert_stmt = {
		.sql = "INSERT INTO saga.given_id (execution_id) VALUES ($execution_id) ON CONFLICT DO NOTHING"
	};
	pg_uuid_t	id = answer_id(token);
	bool		found;

	PushActiveSnapshot(GetLatestSnapshot());
	found = saga_run(&look_stmt, saga_param_uuid("execution_id", &id)) > 0;
	PopActiveSnapshot();
	if (found || only_look)
		return !found;
	return saga_run(&insert_stmt, saga_param_uuid("execution_id", &id)) == 1;
}

bool
saga_engine_event_is_answer(Jsonb *body)
{
	JsonbValue	v;

	return saga_jsonb_get(body, "token", &v) && !saga_jsonb_get(body, "heartbeat", &v) &&
		!saga_jsonb_get(body, "started", &v);
}

/* Whether a run has seen it, and it is what answers the token. */
static bool
is_taken_answer(const SagaItem *item)
{
	return item->taken && item->kind == SAGA_MSG_EVENT && item->body != NULL && JB_ROOT_IS_OBJECT(item->body) &&
		saga_engine_event_is_answer(item->body);
}

void
saga_engine_answer_release(SagaBatch *batch)
{
	static SagaStatement stmt = {.sql = "DELETE FROM saga.given_id WHERE execution_id = ANY ($execution_ids)"};
	Datum	   *ids = palloc(sizeof(Datum) * batch->nitems);
	int			n = 0;

	for (int i = 0; i < batch->nitems; i++)
	{
		const SagaItem *item = &batch->items[i];
		pg_uuid_t  *id;

		if (!is_taken_answer(item))
			continue;
		id = palloc(sizeof(pg_uuid_t));
		*id = answer_id(saga_jsonb_get_string(item->body, "token"));
		ids[n++] = UUIDPGetDatum(id);
	}
	if (n > 0)
		saga_run(&stmt, saga_param_array("execution_ids", UUIDARRAYOID,
										 construct_array(ids, n, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR)));
}
