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

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "engine/engine_private.h"
#include "utils/array.h"
#include "utils/builtins.h"
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
saga_answer_claim(const char *token, bool only_look)
{
	static SagaStmt look_stmt = {
		"SELECT 1 FROM saga.given_id WHERE execution_id = $1",
		1, {UUIDOID}
	};
	static SagaStmt insert_stmt = {
		"INSERT INTO saga.given_id (execution_id) VALUES ($1) ON CONFLICT DO NOTHING",
		1, {UUIDOID}
	};
	pg_uuid_t	id = answer_id(token);
	Datum		value = UUIDPGetDatum(&id);
	bool		found;

	PushActiveSnapshot(GetLatestSnapshot());
	saga_execute(&look_stmt, &value, NULL, true, 1);
	found = SPI_processed > 0;
	SPI_freetuptable(SPI_tuptable);
	PopActiveSnapshot();
	if (found || only_look)
		return !found;
	saga_execute(&insert_stmt, &value, NULL, false, 0);
	return SPI_processed == 1;
}

void
saga_answer_release(SagaBatch *batch)
{
	static SagaStmt stmt = {
		"DELETE FROM saga.given_id WHERE execution_id = ANY ($1)",
		1, {UUIDARRAYOID}
	};
	Datum	   *ids = palloc(sizeof(Datum) * batch->nitems);
	int			n = 0;
	Datum		value;

	for (int i = 0; i < batch->nitems; i++)
	{
		const SagaItem *item = &batch->items[i];
		JsonbValue	v;
		pg_uuid_t  *id;

		if (!item->taken || item->kind != SAGA_MSG_EVENT || item->body == NULL || !JB_ROOT_IS_OBJECT(item->body) ||
			!saga_jsonb_get(item->body, "token", &v) || saga_jsonb_get(item->body, "heartbeat", &v))
			continue;
		id = palloc(sizeof(pg_uuid_t));
		*id = answer_id(saga_jsonb_get_string(item->body, "token"));
		ids[n++] = UUIDPGetDatum(id);
	}
	if (n == 0)
		return;
	value = PointerGetDatum(construct_array(ids, n, UUIDOID, UUID_LEN, false, 'c'));
	saga_execute(&stmt, &value, NULL, false, 0);
}
