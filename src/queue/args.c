/*
 * args.c
 *		Arguments and results of the SQL functions of queues.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/clock.h"
#include "miscadmin.h"
#include "queue/queue_private.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

void
saga_queue_arg_required(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
}

int64
saga_queue_arg_interval_ms(FunctionCallInfo fcinfo, int arg, const char *name, int64 if_null)
{
	int64		ms;

	if (PG_ARGISNULL(arg))
		return if_null;
	ms = saga_interval_ms(PG_GETARG_INTERVAL_P(arg));
	if (ms < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be negative", name)));
	/* a thousand years keep the sum with a timestamp in its range */
	if (ms > INT64CONST(1000) * 365 * 86400 * 1000)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is too long", name)));
	return ms;
}

/* Messages of workflows, destinations and activities belong to the engine. */
void
saga_queue_check_plain(const SagaQueue *queue)
{
	if (queue->kind == SAGA_QUEUE_PLAIN)
		return;
	if (queue->kind == SAGA_QUEUE_ACTIVITY)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("queue \"%s\" belongs to an activity", queue->name),
				 errhint("Its tasks come from workflows, and saga.get_activity_task takes them.")));
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 queue->kind == SAGA_QUEUE_WORKFLOW
			 ? errmsg("queue \"%s\" belongs to a workflow", queue->name)
			 : errmsg("queue \"%s\" belongs to a destination", queue->name),
			 queue->kind == SAGA_QUEUE_WORKFLOW
			 ? errhint("Use saga.start_execution and saga.stop_execution.")
			 : errhint("Its messages come from steps and go out through the publisher.")));
}

/* A plain queue on which the current user has one of the rights, locked against being dropped. */
const SagaQueue *
saga_queue_arg_queue(FunctionCallInfo fcinfo, int arg, int rights)
{
	const SagaQueue *queue;

	saga_queue_arg_required(fcinfo, arg, "queue");
	queue = saga_queue_find(text_to_cstring(PG_GETARG_TEXT_PP(arg)), GetUserId(), rights, false);
	saga_queue_check_plain(queue);
	return saga_queue_lock(queue);
}

int
saga_queue_compare_uuids(const void *a, const void *b)
{
	return saga_uuid_cmp(a, b);
}

/* Sorted and without duplicates, so that rows are locked in one order and counted once. */
pg_uuid_t *
saga_queue_arg_uuids(FunctionCallInfo fcinfo, int arg, const char *name, int *n)
{
	Datum	   *datums;
	bool	   *nulls;
	pg_uuid_t  *ids;
	int			count;
	int			i;

	saga_queue_arg_required(fcinfo, arg, name);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(arg), UUIDOID, UUID_LEN, false, TYPALIGN_CHAR,
					  &datums, &nulls, &count);
	ids = palloc(sizeof(pg_uuid_t) * Max(count, 1));
	for (i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not contain nulls", name)));
		ids[i] = *DatumGetUUIDP(datums[i]);
	}
	qsort(ids, count, sizeof(pg_uuid_t), saga_queue_compare_uuids);
	*n = 0;
	for (i = 0; i < count; i++)
		if (i == 0 || saga_uuid_cmp(&ids[i], &ids[*n - 1]) != 0)
			ids[(*n)++] = ids[i];
	return ids;
}

/* What InitMaterializedSRF does from 15 on. */
Tuplestorestate *
saga_queue_srf_begin(FunctionCallInfo fcinfo, TupleDesc *desc)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext old;
	Oid			type;

	if (info == NULL || !IsA(info, ReturnSetInfo))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot accept a set")));
	if (!(info->allowedModes & SFRM_Materialize))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("materialize mode required, but it is not allowed in this context")));
	old = MemoryContextSwitchTo(info->econtext->ecxt_per_query_memory);
	if (get_call_result_type(fcinfo, &type, desc) == TYPEFUNC_COMPOSITE)
		*desc = CreateTupleDescCopy(*desc);
	else
	{
		*desc = CreateTemplateTupleDesc(1);
		TupleDescInitEntry(*desc, 1, "result", type, -1, 0);
#if PG_VERSION_NUM >= 190000
		TupleDescFinalize(*desc);
#endif
	}
	info->returnMode = SFRM_Materialize;
	info->setResult = tuplestore_begin_heap((info->allowedModes & SFRM_Materialize_Random) != 0,
											false, work_mem);
	info->setDesc = *desc;
	MemoryContextSwitchTo(old);
	return info->setResult;
}

ArrayType *
saga_queue_tid_array(ItemPointerData *tids, int n)
{
	Datum	   *datums = palloc(sizeof(Datum) * Max(n, 1));
	int			i;

	for (i = 0; i < n; i++)
		datums[i] = PointerGetDatum(&tids[i]);
	return construct_array(datums, n, TIDOID, sizeof(ItemPointerData), false, TYPALIGN_SHORT);
}

ArrayType *
saga_queue_uuid_array(pg_uuid_t *ids, int n)
{
	Datum	   *datums = palloc(sizeof(Datum) * Max(n, 1));
	int			i;

	for (i = 0; i < n; i++)
		datums[i] = UUIDPGetDatum(&ids[i]);
	return construct_array(datums, n, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR);
}

ItemPointerData
saga_queue_row_ctid(SagaRows *rows)
{
	bool		isnull;

	return *(ItemPointer) DatumGetPointer(saga_column(rows, "ctid", TIDOID, &isnull));
}
