/*
 * test.c
 *		A consumer for the stress test of the mark (t/020_mark_stress.pl).
 *
 * The extension does not declare it: the test does, as a superuser.  It is
 * in the ordinary library because the test has to run what users run.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "queue/internal.h"
#include "utils/builtins.h"

static SagaStmt claim_stmt = {
	.sql = "SELECT ctid, id, message_id FROM saga.message WHERE queue_id = $1 AND id > $2"
	" ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED",
	.nargs = 3,.argtypes = {INT4OID, UUIDOID, INT4OID}
};
static SagaStmt delete_stmt = {
	.sql = "DELETE FROM saga.message WHERE ctid = ANY ($1)",
	.nargs = 1,.argtypes = {TIDARRAYOID}
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
	pg_uuid_t	last;
	Datum		values[3];
	bool		isnull;
	int			n = 0;
	uint64		i;

	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to test the low-water mark")));
	queue = saga_queue_find(text_to_cstring(PG_GETARG_TEXT_PP(0)), GetUserId(), SAGA_RIGHT_OWN, false);
	SPI_connect();
	saga_claim_begin(&claim, queue);
	values[0] = Int32GetDatum(queue->queue_id);
	values[1] = UUIDPGetDatum(&claim.mark);
	values[2] = Int32GetDatum(max);
	saga_execute(&claim_stmt, values, NULL, false, 0);
	pg_usleep(PG_GETARG_INT32(2));
	CHECK_FOR_INTERRUPTS();
	if (SPI_processed > 0)
		last = *DatumGetUUIDP(saga_result(SPI_processed - 1, 2, &isnull));
	saga_claim_end(&claim, SPI_processed > 0 ? &last : NULL);

	for (i = 0; i < SPI_processed; i++)
	{
		if (random() < keep * 2147483648.0)
		{
			saga_note_kept(queue, DatumGetUUIDP(saga_result(i, 2, &isnull)));
			continue;
		}
		tids[n] = *(ItemPointer) DatumGetPointer(saga_result(i, 1, &isnull));
		taken[n++] = *DatumGetUUIDP(saga_result(i, 3, &isnull));
	}
	if (n > 0)
	{
		values[0] = saga_tid_array(tids, n);
		saga_execute(&delete_stmt, values, NULL, false, 0);
	}
	SPI_finish();
	PG_RETURN_DATUM(saga_uuid_array(taken, n));
}
