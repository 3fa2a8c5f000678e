/*
 * children_again.c
 *		Children of a parent that is redriven.
 *
 * Those that have failed are begun anew, which is for their parent to refuse
 * while they have left something.  A distributed Map goes on with the others:
 * it reads its items again, as a Map does that begins.  Executions of the run
 * before that have succeeded, at the same place and with the same input, are
 * taken over as they are: their results count, and they can still be undone.
 * All others begin anew.  Nothing is taken over where something was undone, or
 * where that run is still being ended.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/statement.h"
#include "engine/children_private.h"
#include "engine/entry_private.h"
#include "utils/array.h"

/*
 * Those at the same place with the same input: their items are not to be begun.
 * Of a Map that was redriven each input has a row of its own (children_map.c).
 */
static SagaStatement take_over_stmt = {
	.sql = "WITH same AS MATERIALIZED (SELECT e.execution_id, m.child_index, m.items[1] AS items FROM saga.map_item m JOIN saga.execution e"
	" ON e.children_id = $from AND e.child_index = m.child_index AND e.status = 's' AND e.input = m.inputs[1]"
	" WHERE m.children_id = $children_id),"
	" gone AS (DELETE FROM saga.map_item m USING same WHERE m.children_id = $children_id AND m.child_index = same.child_index),"
	" taken AS (UPDATE saga.execution e SET children_id = $children_id FROM same WHERE e.execution_id = same.execution_id)"
	" SELECT count(*) AS children, coalesce(sum(items), 0)::bigint AS items FROM same"
};

/*
 * What has failed beneath them is begun anew with them.  Who has succeeded is
 * undone by whoever started it, who lists it if that cannot be done.
 */
SagaRows *
saga_children_left(const pg_uuid_t *parent_id, const List *calls, int max)
{
#define LEFT(c) "SELECT e.execution_id, e.workflow_id, " SAGA_OPEN_ENTRY("e.not_compensated", "") " AS has_left, " \
	SAGA_OPEN_ENTRY("e.not_compensated", " && @.outcome != \"done\"") " AS unknown" \
	" FROM " c " JOIN saga.execution e ON e.children_id = c.children_id AND e.child_index IS NOT NULL AND e.status <> 's'"

	static SagaStatement stmt = {
		.sql = "WITH RECURSIVE tree AS (" LEFT("saga.children c")
		" WHERE c.parent_id = $parent_id AND c.call_id = ANY ($calls::integer[])"
		" UNION ALL " LEFT("tree t JOIN saga.children c ON c.parent_id = t.execution_id") ")"
		" SELECT execution_id, workflow_id, unknown FROM tree WHERE has_left LIMIT $max"
	};
	Datum	   *elems = palloc(sizeof(Datum) * Max(list_length(calls), 1));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, calls)
		elems[n++] = Int32GetDatum(lfirst_int(lc));
	return saga_query(&stmt, saga_param_uuid("parent_id", parent_id),
					  saga_param_array("calls", INT4ARRAYOID,
									   construct_array(elems, n, INT4OID, sizeof(int32), true, TYPALIGN_INT)),
					  saga_param_int8("max", max));
}

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
