/*
 * mark.c
 *		The low-water mark of src/queue/mark.c in shared memory of this session
 *		alone: the ends of its own transactions and savepoints drive it.
 *
 * An id is a number.  What others do at the same time is told by "push": that
 * is all that a commit of theirs does here.
 */
#include "fake.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "queue/queue_private.h"

static SagaClaim claims[8];

static pg_uuid_t
id_of(int64 number)
{
	pg_uuid_t	id = saga_uuid_min;

	for (int i = 0; i < 8; i++)
		id.data[UUID_LEN - 1 - i] = (unsigned char) (number >> (8 * i));
	return id;
}

static int64
number_of(const pg_uuid_t *id)
{
	int64		number = 0;

	for (int i = 8; i < UUID_LEN; i++)
		number = number << 8 | id->data[i];
	return number;
}

/* Those from 100 on are read with saga.receive. */
static SagaQueue *
queue_of(int32 id)
{
	SagaQueue  *queue = palloc0(sizeof(SagaQueue));

	queue->queue_id = id;
	queue->name = "queue";
	queue->kind = id < 100 ? SAGA_QUEUE_WORKFLOW : SAGA_QUEUE_PLAIN;
	queue->owner = GetUserId();
	return queue;
}

static SagaClaim *
claim_of(int32 number)
{
	if (number < 0 || number >= lengthof(claims))
		elog(ERROR, "there are claims 0 to %d", (int) lengthof(claims) - 1);
	return &claims[number];
}

/* mark_world(slots integer, mutant integer): all is forgotten. */
PG_FUNCTION_INFO_V1(saga_test_mark_world);

Datum
saga_test_mark_world(PG_FUNCTION_ARGS)
{
	static bool begun = false;

	saga_max_queues = PG_GETARG_INT32(0);
	saga_test_mutant = PG_GETARG_INT32(1);
	saga_shmem_startup();
	if (!begun)
		saga_mark_init();
	begun = true;
	PG_RETURN_VOID();
}

/* note(what text, queue integer, id bigint) */
PG_FUNCTION_INFO_V1(saga_test_note);

Datum
saga_test_note(PG_FUNCTION_ARGS)
{
	char	   *what = text_to_cstring(PG_GETARG_TEXT_PP(0));
	SagaQueue  *queue = queue_of(PG_GETARG_INT32(1));
	pg_uuid_t	id = id_of(PG_GETARG_INT64(2));

	if (strcmp(what, "inserted") == 0)
		saga_note_inserted(queue, &id);
	else if (strcmp(what, "locked") == 0)
		saga_note_locked(queue, &id);
	else if (strcmp(what, "kept") == 0)
		saga_note_kept(queue, &id);
	else if (strcmp(what, "dropped") == 0)
		saga_note_dropped(queue->queue_id);
	else if (strcmp(what, "push") == 0)
		saga_queue_push(queue, &id);
	else
		elog(ERROR, "there is no note \"%s\"", what);
	PG_RETURN_VOID();
}

/* claim_begin(claim integer, queue integer) returns bigint: the mark that it starts at */
PG_FUNCTION_INFO_V1(saga_test_claim_begin);

Datum
saga_test_claim_begin(PG_FUNCTION_ARGS)
{
	SagaClaim  *claim = claim_of(PG_GETARG_INT32(0));

	saga_claim_begin(claim, queue_of(PG_GETARG_INT32(1)));
	PG_RETURN_INT64(number_of(&claim->mark));
}

/* claim_end(claim integer, last bigint) */
PG_FUNCTION_INFO_V1(saga_test_claim_end);

Datum
saga_test_claim_end(PG_FUNCTION_ARGS)
{
	SagaClaim  *claim = claim_of(PG_GETARG_INT32(0));
	pg_uuid_t	last = PG_ARGISNULL(1) ? saga_uuid_min : id_of(PG_GETARG_INT64(1));

	saga_claim_end(claim, PG_ARGISNULL(1) ? NULL : &last);
	PG_RETURN_VOID();
}

/* slot(queue integer) returns jsonb; NULL: it has none */
PG_FUNCTION_INFO_V1(saga_test_slot);

Datum
saga_test_slot(PG_FUNCTION_ARGS)
{
	SagaQueueSlot *slot = saga_queue_slot_look(PG_GETARG_INT32(0));
	StringInfoData out;
	int			used = 0;

	if (slot == NULL)
		PG_RETURN_NULL();
	for (int i = 0; i < SAGA_CLAIM_ENTRIES; i++)
		used += slot->claims[i].used;
	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	fake_put_int(&out, "mark", number_of(&slot->mark));
	fake_put_bool(&out, "ready", pg_atomic_read_u32(&slot->ready) != 0);
	fake_put_int(&out, "claims", used);
	appendStringInfoChar(&out, '}');
	PG_RETURN_DATUM(fake_result(&out));
}

/* make(queue integer): its slot, as who reads the queue makes it */
PG_FUNCTION_INFO_V1(saga_test_make);

Datum
saga_test_make(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(saga_queue_slot(queue_of(PG_GETARG_INT32(0))) != NULL);
}

/* forget(queue integer): somebody else has dropped it */
PG_FUNCTION_INFO_V1(saga_test_forget);

Datum
saga_test_forget(PG_FUNCTION_ARGS)
{
	saga_queue_forget_queue(PG_GETARG_INT32(0));
	PG_RETURN_VOID();
}

/* clear_ready(queue integer): somebody looked, and found nothing */
PG_FUNCTION_INFO_V1(saga_test_clear_ready);

Datum
saga_test_clear_ready(PG_FUNCTION_ARGS)
{
	saga_queue_clear_ready(PG_GETARG_INT32(0));
	PG_RETURN_VOID();
}
