/*
 * execution_private.h
 *		Executions that are looked for by their ids, and ids that callers give.
 */
#ifndef SAGA_ENGINE_EXECUTION_PRIVATE_H
#define SAGA_ENGINE_EXECUTION_PRIVATE_H

#include "common/common.h"
#include "utils/jsonb.h"

/* ---------- where one is (store.c) ---------- */

extern void saga_store_find_workflow(const pg_uuid_t *execution_id, int32 *live, int32 *ended); /* 0: there is none */
extern int32 saga_store_live_workflow(const pg_uuid_t *execution_id);	/* 0: there is none, or it has ended */
extern int32 saga_store_ended_workflow(const pg_uuid_t *execution_id);	/* 0: it has not ended */
extern char *saga_store_ended_name(const pg_uuid_t *execution_id);	/* NULL: it has none */

/* ---------- ids that callers give (execution_id.c) ---------- */

/* Before the start is written; confirm: after it, of an id that was offered (saga_uuid_take_offer). */
extern void saga_execution_id_reserve(int32 workflow_id, const pg_uuid_t *id);
extern void saga_execution_id_confirm(const pg_uuid_t *id);

/* ---------- what is told of an execution (describe.c) ---------- */

/* The workflow of an execution that the caller may see; raises UNDEFINED_OBJECT when there is none.  *ended: it has ended. */
extern int32 saga_describe_find(const pg_uuid_t *id, bool *ended);

/* The execution's row of saga.executions as a document; NULL: it is gone. */
extern Jsonb *saga_describe(const pg_uuid_t *id, int32 workflow_id);

#endif							/* SAGA_ENGINE_EXECUTION_PRIVATE_H */
