/*
 * test.c
 *		A consumer for the stress test of the mark (t/020_mark_stress.pl).
 *
 * The extension does not declare it: the test does, as a superuser.  It is
 * in the ordinary library, as pg_saga.test_mutant is, because the test has
 * to run what users run: many sessions and the server's own processes on one
 * shared memory, which a module of tests could only have a copy of.  What one
 * session can tell of the mark is in test/pg_saga_test.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "queue/internal.h"
#include "utils/builtins.h"

static SagaStatement claim_stmt = {
	.sql = "SELECT ctid, id, message_id FROM saga.message WHERE queue_id = $queue_id AND id > $mark"
	" ORDER BY id LIMIT $limit FOR UPDATE SKIP LOCKED"
};
static SagaStatement delete_stmt = {
	.sql = "DELETE FROM saga.message WHERE ctid = ANY ($ctids)"
};


/*
 * saga_test_claim(queue text, max integer, pause_us integer, keep float8) returns uuid[]: claims messages as a worker
 * does, with a pause between the claiming statement and the advance of the mark.  Each row is left in its place with
 * the probability "keep", the others are deleted and returned.
 */
PG_FUNCTION_INFO_V1(saga_test_claim);

Datum
saga_test_claim(PG_FUNCTION_ARGS)
{
	const SagaQueue *queue;
	int			max = PG_GETARG_INT32(1);
	double		keep = PG_GETARG_FLOAT8(3);
	ItemPointerData *tids = palloc(sizeof(ItemPointerData) * max);
	pg_uuid_t  *taken = palloc(sizeof(pg_uuid_t) * max);
	SagaClaim	claim;
	SagaRows   *rows;
	pg_uuid_t	last;
	int			n = 0;

	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to test the low-water mark")));
	queue = saga_queue_find(text_to_cstring(PG_GETARG_TEXT_PP(0)), GetUserId(), SAGA_RIGHT_OWN, false);
	saga_claim_begin(&claim, queue);
	rows = saga_query(&claim_stmt, saga_param_int4("queue_id", queue->queue_id), saga_param_uuid("mark", &claim.mark),
					  saga_param_int4("limit", max));
	pg_usleep(PG_GETARG_INT32(2));
	CHECK_FOR_INTERRUPTS();
	if (rows->count > 0)
	{
		saga_row(rows, rows->count - 1);
		last = saga_column_uuid(rows, "id");
	}
	saga_claim_end(&claim, rows->count > 0 ? &last : NULL);

	for (uint64 row = 0; row < rows->count; row++)
	{
		pg_uuid_t	id;

		saga_row(rows, row);
		id = saga_column_uuid(rows, "id");
		if (random() < keep * 2147483648.0)
		{
			saga_note_kept(queue, &id);
			continue;
		}
		tids[n] = saga_row_ctid(rows);
		taken[n++] = saga_column_uuid(rows, "message_id");
	}
	if (n > 0)
		saga_run(&delete_stmt, saga_param_array("ctids", TIDARRAYOID, saga_tid_array(tids, n)));
	PG_RETURN_ARRAYTYPE_P(saga_uuid_array(taken, n));
}
