/*
 * children_private.h
 *		Executions that another one waits for: rows of saga.children, and their turns.
 */
#ifndef SAGA_ENGINE_CHILDREN_PRIVATE_H
#define SAGA_ENGINE_CHILDREN_PRIVATE_H

#include "common/statement.h"
#include "engine/engine_private.h"
#include "engine/workflow_private.h"

/* A row of saga.children. */
typedef struct SagaChildren
{
	pg_uuid_t	children_id;
	pg_uuid_t	parent_id;
	int			task_id;
	int			call_id;
	int32		parent_workflow_id;
	int32		workflow_id;
	int			version;
	char	   *map_state;
	char	   *name;
	char		answer;
	char		phase;
	bool		undo;
	pg_uuid_t	close_id;
	int			close_task;
	int			concurrency;	/* 0: no limit */
	int64		tolerated;
	int64		children;
	int64		started;
	int64		ended;
	int64		items;
	int64		succeeded;
	int64		failed;
	int64		aborted;
	pg_uuid_t	undoing;
	int64		undone;
	int64		not_undone;
	char	   *error;
	char	   *cause;
	Jsonb	   *writer;
} SagaChildren;

extern void saga_children_insert(const SagaChildren *children);
extern bool saga_children_lock(const pg_uuid_t *children_id, SagaChildren *children, bool *locked_elsewhere);
extern void saga_children_update(const SagaChildren *children);
extern bool saga_children_lookup(const pg_uuid_t *parent_id, int task_id, SagaChildren *children);

/* Brings the children to a worker of their parent's; delay_ms: not before. */
extern void saga_children_send(const SagaChildren *children, Jsonb *body, int64 delay_ms);

/* Asks that they be stopped and, "undo", undone; the task of that execution waits for it; NULL: nobody does. */
extern void saga_children_ask_close(const SagaChildren *children, bool undo, const pg_uuid_t *execution_id, int task_id,
									const char *error, const char *cause);

/* Headers of a start: whose child it is. */
extern Jsonb *saga_child_headers(const SagaChildren *children, const char *name, int64 index, int items);
extern void saga_child_of_headers(SagaJob *job, Jsonb *headers);

/* What a task that has children is known to be; false: it has none. */
extern bool saga_children_fate(SagaJob *job, SagaWish wish, SagaOutside *call);

/* Are children of this id not to go on?  *undo: then what they did is undone. */
extern bool saga_children_stopping(SagaBatch *batch, const SagaJob *job, bool *undo);

/* In the end of a batch: the parents of those that have ended hear of it. */
extern void saga_children_report(SagaBatch *batch);
extern void saga_children_report_lost(const SagaItem *item);

/* trouble: the error of a turn that did not succeed, again and again; NULL: none so far. */
extern void saga_children_turn(SagaBatch *batch, SagaJob *job, const char *trouble);

/* Without a message, at the end of a batch of their own queue.  False: nothing was done, and a message has to be sent. */
extern bool saga_children_turn_at_once(const SagaBatch *batch, const pg_uuid_t *children_id, Jsonb *report);

/* again: how often it has come back to look; -1: it has come for something else */
extern void saga_children_close_turn(SagaBatch *batch, SagaChildren *children, int again);

/* Tasks: startExecution, a distributed Map, and what undoes either. */
extern void saga_child_start(SagaBatch *batch, SagaJob *job, const SagaAction *action);
extern void saga_engine_map_run_start(SagaBatch *batch, SagaJob *job, const SagaAction *action);
extern void saga_children_undo(SagaJob *job, const SagaAction *action);

/* ResultWriter (children_write.c). */
extern Jsonb *saga_children_write(SagaBatch *batch, SagaJob *job, SagaChildren *children, char **cause);

/*
 * In a statement: does anything go on that this execution has started?  An
 * execution that was stopped or has failed may end before it has.
 */
#define SAGA_OPEN_CHILDREN(execution_id) \
	"EXISTS (SELECT FROM saga.children c WHERE c.parent_id = " execution_id " AND c.phase NOT IN ('d', 'x'))"

#define SAGA_OPEN_CHILDREN_HINT \
	"Wait until they have ended: SELECT * FROM saga.list_executions(started_by => its id), or saga.map_runs of a Map."

/*
 * Of a parent that is to be redriven (children_again.c): the executions that
 * its visits "calls" have started, and those beneath them, that have failed and
 * have an open entry: rows of execution_id, workflow_id, and "unknown", whether
 * nobody knows of one; "max" of them at most.
 */
extern SagaRows *saga_children_left(const pg_uuid_t *parent_id, const List *calls, int max);

/* Of a Map that was redriven: what of the run before, which was this task, need not be done anew (children_again.c). */
extern void saga_children_take_over(SagaChildren *children, int task_id);

/* The answer of one execution that has ended. */
extern void saga_child_answer(const SagaChildren *children);

/* ---------- one is started (start.c) ---------- */

/* Starts an execution: saga.start_execution, and those that executions start (start.c). */
extern pg_uuid_t saga_engine_start_child(const SagaWorkflow *workflow, int version, Jsonb *input, const char *name,
										 const pg_uuid_t *id, const SagaChildren *children);

#endif							/* SAGA_ENGINE_CHILDREN_PRIVATE_H */
