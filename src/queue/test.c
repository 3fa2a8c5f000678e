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
#include "queue/queue_private.h"
#include "utils/builtins.h"


static SagaMessage *
claim_slowly(const SagaQueue *queue, int max, int pause_us, int *n)
{
	SagaMessage *volatile messages = NULL;

	saga_test_claim_pause_us = pause_us;
	PG_TRY();
	{
		messages = saga_queue_claim(queue, max, false, n);
	}
	PG_FINALLY();
	{
		saga_test_claim_pause_us = 0;
	}
	PG_END_TRY();
	return messages;
}

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
	SagaMessage *messages;
	int			claimed;
	int			n = 0;

	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to test the low-water mark")));
	queue = saga_queue_find(text_to_cstring(PG_GETARG_TEXT_PP(0)), GetUserId(), SAGA_RIGHT_OWN, false);
	messages = claim_slowly(queue, max, PG_GETARG_INT32(2), &claimed);
	for (int i = 0; i < claimed; i++)
	{
		if (random() < keep * 2147483648.0)
		{
			saga_queue_keep(queue, &messages[i].id);
			continue;
		}
		tids[n] = messages[i].ctid;
		taken[n++] = messages[i].message_id;
	}
	saga_queue_finish(tids, n);
	PG_RETURN_ARRAYTYPE_P(saga_queue_uuid_array(taken, n));
}
