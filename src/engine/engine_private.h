/*
 * engine_private.h
 *		What all files of the engine share: an execution as it is run, and its batch.
 *
 * What belongs to one subject is in a header of its own: workflow_private.h,
 * event_private.h, execution_private.h, batch_private.h, step_private.h,
 * stop_private.h, task_private.h, children_private.h, entry_private.h.
 */
#ifndef SAGA_ENGINE_PRIVATE_H
#define SAGA_ENGINE_PRIVATE_H

#include "engine/engine.h"
#include "fmgr.h"

/* Of a workflow and of an execution, in characters, as at AWS. */
#define SAGA_MAX_NAME_LENGTH 80

/* ---------- one execution in a batch ---------- */

/* A message of the batch. */
typedef struct SagaItem
{
	pg_uuid_t	id;				/* position */
	ItemPointerData ctid;		/* SagaMessage.ctid */
	pg_uuid_t	message_id;
	pg_uuid_t	execution_id;
	char		kind;			/* SAGA_MSG_* */
	int			version;
	int			receives;		/* engine's trouble in a row */
	TimestampTz sent_at;
	Jsonb	   *body;
	Jsonb	   *headers;

	bool		done;			/* the row goes at the end of the batch */
	bool		taken;			/* the run has seen it: an event that is put off was not taken */
	bool		skip;			/* taken care of along with another item, or not to be run now */
} SagaItem;

/* An execution as it is being run. */
typedef struct SagaJob
{
	const SagaQueue *queue;
	int			version;
	pg_uuid_t	execution_id;
	char	   *name;
	pg_uuid_t	parent_id;		/* what it undoes of this one (entry.c, children_close.c); zero: it is no such one */
	pg_uuid_t	children_id;	/* of saga.children, which it is one of; zero: it is none */
	int64		child_index;	/* -1: it undoes one of them */
	int			child_items;
	char	   *map_state;		/* whose processor it begins with; NULL: with the machine */
	struct SagaChildren *turn;	/* it is no execution, but what happened to these children */
	Jsonb	   *input;
	TimestampTz started_at;
	bool		parked_before;	/* a row of saga.continuation is there and locked */
	int			runs;			/* runs before this one */
	Jsonb	   *frozen;			/* as stored; NULL: begins now */
	uint64		thaw_us;		/* what it took to make the run of that */

	SagaItem  **events;			/* what to feed it */
	int			nevents;

	SagaRun    *run;
	SagaRunEnv	env;
	const SagaMachine *machine;

	bool		careful;		/* savepoint per step */
	int			current_task;
	int			timed_out_task; /* a careful run does not call this one again */
	bool		overstayed;		/* that was pg_saga.step_timeout */
	bool		cancelled;		/* that was pg_cancel_backend() */
	bool		ran_out;		/* there was such a step, in this run or the one before */

	/* result */
	bool		stopped;		/* one of the events says so: it is stored before anything else */
	bool		has_twin;		/* there is another of its id: it cannot begin */
	bool		finished;
	bool		early;			/* parked with work left: come back at once */
	pg_uuid_t	tick;			/* ... as this message */
	SagaAction	end;			/* when finished */
} SagaJob;

typedef struct SagaBatch
{
	const SagaQueue *queue;
	SagaQueueSlot *slot;		/* of the queue; NULL: no shared memory */
	bool		in_drain;
	bool		alone;			/* one execution, the user's own lock_timeout */
	uint32		stops;			/* saga_stop_count() before the claim */
	bool		slow;			/* of a workflow whose runs take long: one at a time */
	int			nheld;			/* items of executions that somebody else is running */
	int			subxacts;		/* used so far in this transaction */
	MemoryContext context;
	SagaItem   *items;
	int			nitems;
	int			nleft;			/* rows that are locked, and were not read for want of memory */
	Size		claimed_bytes;	/* of the context, after the claim */
	uint64		started_us;		/* saga_monotonic_us() */
	pg_uuid_t	stopping_id;	/* children that were asked about last ... */
	bool		stopping;		/* ... and what the answer was */
	bool		stopping_undo;	/* ... and whether what they did is undone */
	SagaJob   **ended;			/* executions to write at the end */
	int			nended;
	int			nearly;			/* executions that go on in another batch */
} SagaBatch;

/* Nothing but that: a handler that somebody has asked for after the end of its execution. */
static inline bool
saga_job_undoes(const SagaJob *job)
{
	return saga_uuid_cmp(&job->parent_id, &saga_uuid_min) != 0;
}

/* One that somebody waits for, or that undoes one. */
static inline bool
saga_job_is_child(const SagaJob *job)
{
	return saga_uuid_cmp(&job->children_id, &saga_uuid_min) != 0;
}

/* ---------- arguments and parameters (event.c, children.c) ---------- */

/* Raises when the argument of a function that is not STRICT is null (event.c). */
extern void saga_engine_require_argument(FunctionCallInfo fcinfo, int arg, const char *name);

/* A number in a message of ours; 0: it has none of this name. */
extern int64 saga_engine_message_number(Jsonb *body, const char *name);

/* "schema.name" of a definition, quoted as a statement needs it; raises when it has no schema. */
extern char *saga_engine_quoted_name(const char *text);

#endif							/* SAGA_ENGINE_PRIVATE_H */
