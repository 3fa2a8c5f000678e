/*
 * children_again.c
 *		A distributed Map that goes on after its parent was redriven.
 *
 * It reads its items again, as a Map does that begins.  Executions of the run
 * before that have succeeded, at the same place and with the same input, are
 * taken over as they are: their results count, and they can still be undone.
 * All others begin anew.  Nothing is taken over where something was undone, or
 * where that run is still being ended.
 */
#include "postgres.h"

#include "common/statement.h"
#include "engine/children_private.h"

/* Those at the same place with the same input: their items are not to be begun. */
static SagaStatement take_over_stmt = {
	.sql = "WITH same AS MATERIALIZED (SELECT e.execution_id, m.child_index, m.items FROM saga.map_item m JOIN saga.execution e"
	" ON e.children_id = $from AND e.child_index = m.child_index AND e.status = 's' AND e.input = m.input"
	" WHERE m.children_id = $children_id),"
	" gone AS (DELETE FROM saga.map_item m USING same WHERE m.children_id = $children_id AND m.child_index = same.child_index),"
	" taken AS (UPDATE saga.execution e SET children_id = $children_id FROM same WHERE e.execution_id = same.execution_id)"
	" SELECT count(*) AS children, coalesce(sum(items), 0)::bigint AS items FROM same"
};

/* task_id: of the run before; the items of "children" are stored, and none has begun. */
void
saga_children_take_over(SagaChildren *children, int task_id)
{
	SagaChildren before;
	SagaRows   *rows;

	if (task_id == 0 || !saga_children_lookup(&children->parent_id, task_id, &before) ||
		before.map_state == NULL || strcmp(before.map_state, children->map_state) != 0 ||
		(before.phase != 'd' && before.phase != 'x') || before.undone + before.not_undone > 0)
		return;
	rows = saga_query(&take_over_stmt, saga_param_uuid("children_id", &children->children_id),
					  saga_param_uuid("from", &before.children_id));
	if (saga_rows_next(rows))
	{
		children->started = children->ended = saga_column_int8(rows, "children");
		children->succeeded = saga_column_int8(rows, "items");
	}
	saga_rows_free(rows);
}
