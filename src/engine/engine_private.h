/*
 * engine_private.h
 *		What the files of the engine share.
 */
#ifndef SAGA_ENGINE_PRIVATE_H
#define SAGA_ENGINE_PRIVATE_H

#include <signal.h>

#include "engine/engine.h"
#include "fmgr.h"

/* Of a workflow and of an execution, in characters, as at AWS. */
#define SAGA_MAX_NAME_LENGTH 80
#define SAGA_MAX_DEFINITION	(2 * 1024 * 1024)	/* bytes of a definition, as jsonb; AWS: 1 MB of text */

/* ---------- workflows (workflow.c) ---------- */

typedef struct SagaWorkflow
{
	int32		workflow_id;
	char	   *name;
	Oid			owner;
	int			version;
} SagaWorkflow;

/*
 * From a per-process cache; valid until the next transaction.  find: what a name
 * means for the current user, who needs one of these rights (SagaRight) on it.
 */
extern const SagaWorkflow *saga_workflow_by_id(int32 workflow_id, bool missing_ok);
extern const SagaWorkflow *saga_workflow_find(const char *text, int rights, bool missing_ok);
extern bool saga_workflow_may(const SagaWorkflow *workflow, int rights);

/*
 * The workflow, kept from changing until the end of the transaction, if it is still
 * there and the caller still has the privileges of its owner; else raises
 * UNDEFINED_OBJECT.  exclusive: to change it, when nobody else is using it.
 */
extern const SagaWorkflow *saga_workflow_lock(int32 workflow_id, const char *text, bool exclusive);

/* That of a version, which is there. */
extern Jsonb *saga_workflow_definition(int32 workflow_id, int version);

/* The next version of one that is there; the definition is a valid one. */
extern int	saga_workflow_add_version(int32 workflow_id, const char *name, Jsonb *definition);

/* Is there this version, made for the owner that it has now?  check raises UNDEFINED_OBJECT for any other. */
extern bool saga_workflow_has_version(const SagaWorkflow *workflow, int version);
extern void saga_workflow_check_version(const SagaWorkflow *workflow, int version);

/* A valid definition: the warnings about it, of SagaDiagnostic.  Raises for any other. */
extern List *saga_workflow_check(const char *name, Jsonb *definition);

/* saga.create_workflow for InvalidOid as owner; returns the version.  quiet: without a warning. */
extern int	saga_workflow_create(const char *name, Jsonb *definition, Oid owner, bool quiet);

/* No run of an earlier batch is left: machines that were forgotten may go. */
extern void saga_workflow_begin_batch(void);

/* The compiled machine of a version, cached; valid until the next batch. */
extern const SagaMachine *saga_workflow_machine(int32 workflow_id, int version);

/* The id of what a name in this version meant when it was made; 0: nothing then. */
extern int32 saga_workflow_meant(int32 workflow_id, int version, SagaObjectKind kind, const char *name);

/* ---------- aliases (alias.c) ---------- */

/* The version of a definition that has a name in it. */
typedef struct SagaMeaning
{
	int32		workflow_id;
	int			version;
} SagaMeaning;

/*
 * What "NAME", "NAME:3" or "NAME:alias" says is to be started, and which version
 * of it; the current user needs the right to start it.  Of an alias with several
 * versions each comes as often as its weight says.  meaning: what NAME meant
 * there is what it means, as long as that is there; NULL: it is nobody's.
 */
extern const SagaWorkflow *saga_workflow_find_version(const char *text, const SagaMeaning *meaning, bool missing_ok,
													  int *version);

/* It has another owner: what the former one published is gone. */
extern void saga_alias_forget(int32 workflow_id);

/* The name in a StateMachineArn, with what follows it: "arn:aws:states:REGION:ACCOUNT:stateMachine:NAME", "saga:NAME", "NAME". */
extern const char *saga_child_workflow_name(const char *text);

/* ---------- what names in a definition mean (reference.c) ---------- */

typedef struct SagaReference
{
	SagaObjectKind kind;
	char	   *name;			/* as written, without what follows it */
	int32		id;
} SagaReference;

/* Looks the names in a new version up, as its owner means them. */
extern void saga_reference_store(int32 workflow_id, int version, Jsonb *definition, Oid owner);

extern void saga_reference_forget(int32 workflow_id);	/* of all its versions */

/* What was stored, in the caller's memory: of SagaReference. */
extern List *saga_reference_load(int32 workflow_id, int version);

/* ---------- bindings (binding.c) ---------- */

/* An ARN, or the name of a function that an ARN may end with; palloc'd, NULL: it stands for nothing here. */
extern const SagaResource *saga_binding_by_id(int32 resource_id);
extern const SagaResource *saga_binding_of(const char *arn, bool by_function_name, Oid owner, int32 *resource_id);

/* The same; a function that is bound by no name is what lambda:invoke itself is bound to. */
extern const SagaResource *saga_binding_find(const char *arn, bool by_function_name, Oid owner, int32 *resource_id);

#define SAGA_LAMBDA_INVOKE	"arn:aws:states:::lambda:invoke"
#define SAGA_UNBOUND		"UNBOUND_RESOURCE"	/* code of diagnostics that others do not have */

/* ---------- what is bound to nothing (unbound.c) ---------- */

typedef struct SagaUnbound
{
	char	   *location;		/* JSON pointer */
	char	   *message;
	char	   *hint;			/* the statement that would mend it */
} SagaUnbound;

/* What the definition asks for, and this role would not find now: of SagaUnbound. */
extern List *saga_unbound_find(Jsonb *definition, Oid owner);

/* Says so in one message of this level; nothing for an empty list. */
extern void saga_unbound_report(int elevel, const char *name, List *unbound);

/*
 * unbound_map.c: has a distributed Map of this owner nothing to read its items
 * with, or no table to read from or write to?  Then what is wrong, and what would mend it.
 */
extern bool saga_unbound_reader(const char *text, Oid owner, char **message, char **hint);
extern bool saga_unbound_table(const char *text, Oid owner, bool writes, char **message, char **hint);

/* Raises when the argument of a function that is not STRICT is null (event.c). */
extern void saga_engine_require_argument(FunctionCallInfo fcinfo, int arg, const char *name);

/* ---------- tokens (event.c) ---------- */

#define SAGA_TOKEN_DIGITS	32	/* of the secret at the end of a token */

/* What a token says of itself: "workflow.execution.task.secret", of an activity "workflow.execution.task.secret.activity". */
typedef struct SagaTaskToken
{
	int32		workflow_id;
	pg_uuid_t	execution_id;
	int			task_id;
	int32		activity_id;	/* 0: of none */
} SagaTaskToken;

extern char *saga_token_make(const SagaTaskToken *token);
extern bool saga_token_parse(const char *text, SagaTaskToken *token);

/*
 * start.c: what saga.send_task_success, _failure and _heartbeat do: key1 is "output" with a value, "heartbeat" without one, or
 * NULL for an error.  Raises INVALID_PARAMETER_VALUE and OBJECT_NOT_IN_PREREQUISITE_STATE.
 */
extern bool saga_token_is_ours(const char *token);
extern void saga_engine_answer_token(char *token, const char *key1, Jsonb *value1, const char *error, const char *cause);

/* ---------- ids that callers give (execution_id.c) ---------- */

/* Before the start is written; confirm: after it, of an id that was offered (saga_uuid_take_offer). */
extern void saga_execution_id_reserve(int32 workflow_id, const pg_uuid_t *id);
extern void saga_execution_id_confirm(const pg_uuid_t *id);

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

/* ---------- what a message is about (job.c) ---------- */

/* NULL: there is nothing to run for it now. */
extern SagaJob *saga_job_make(SagaBatch *batch, SagaItem *item);

/* What a message of kind SAGA_MSG_START says. */
extern void saga_job_of_start(SagaJob *job, SagaItem *item);

/* ---------- who runs alone (alone.c) ---------- */

typedef struct SagaAlone
{
	int32		queue_id;
	pg_uuid_t	id;				/* position of their message */
	pg_uuid_t	execution_id;
	bool		failed;			/* its whole transaction was lost: do not run it now, postpone it */
	bool		in_turn;		/* nothing is wrong with it: it only runs by itself */
} SagaAlone;

extern void saga_alone_next(int32 queue_id, const pg_uuid_t *id, const pg_uuid_t *execution_id, bool failed);
extern void saga_engine_in_turn_next(int32 queue_id, const pg_uuid_t *id, const pg_uuid_t *execution_id);
extern void saga_alone_go_on(const SagaJob *job, uint64 begun_at);
extern bool saga_alone_take(int32 queue_id, SagaAlone *entry);	/* the next one of the queue */
extern bool saga_alone_any(int32 queue_id);

/* ---------- a run (environment.c, attempt.c) ---------- */

/* Makes env and machine. */
extern void saga_job_environment(SagaJob *job);

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

/* Sets the run up, or thaws it, and feeds it the events. */
extern void saga_job_begin(SagaJob *job, TimestampTz now);

/* 64 is where a snapshot overflows and everybody pays: commit before. */
#define SAGA_MAX_SUBXACTS	56

/* Trouble in a row before an execution is given up. */
#define SAGA_MAX_TROUBLE	20

/*
 * A run that calls this many tasks, or takes this much memory, parks and goes
 * on in another batch: so much is a chunk of its history at most, too.
 */
#define SAGA_MAX_TASKS		1000
#define SAGA_MAX_CHAIN_BYTES	((Size) 16 * 1024 * 1024)
#define SAGA_MAX_RUN_BYTES	((Size) 64 * 1024 * 1024)

/*
 * What is claimed takes so much at most, unpacked, or is a single message; and
 * when the runs of a batch have taken SAGA_MAX_RUN_BYTES, none is begun any more.
 */
#define SAGA_MAX_CLAIM_BYTES	((Size) 16 * 1024 * 1024)

/* ---------- steps (step.c) ---------- */

/*
 * Calls a SQL function as the current user.  Returns its result, or NULL and
 * *error (with *cause) when it cannot be called or answered saga.failure();
 * raises what it raises.
 */
extern Jsonb *saga_step_call(const char *function, Jsonb *input, Jsonb *(*context) (void *arg), void *arg,
							 int64 timeout_ms, const char **error, char **cause);

/* Could a step of this user's call it now?  If not, why. */
extern bool saga_step_may_call(const char *function, Oid user, const char **error, char **cause);

/*
 * Runs a query of one column of jsonb as the current user, and hands each value
 * on as it comes; row is called within the query.  with_arg: it has a parameter;
 * max: not more rows than that, 0: all.  Raises what the query raises.
 */
extern void saga_step_query(const char *sql, Jsonb *arg, bool with_arg, int64 max,
							void (*row) (Jsonb *value, int64 index, void *arg), void *row_arg);

extern void saga_step_begin_batch(MemoryContext batch_context);

/* After any error: cached FmgrInfos are stale. */
extern void saga_step_reset(MemoryContext batch_context);

/* For every catch block around a step: its timer must not fire into something else. */
extern void saga_step_interrupted(void);

/* The error that was raised by a step, as Retry and Catch see it; saves no memory of edata. */
extern void saga_step_error(const ErrorData *edata, const char **error, char **cause);
extern Jsonb *saga_step_take_report(void);	/* what else it has said, once; NULL: nothing */

/*
 * The last error was a step's own TimeoutSeconds, or (overstayed)
 * pg_saga.step_timeout, or (cancelled) pg_cancel_backend().
 */
extern bool saga_step_timed_out;
extern bool saga_step_overstayed;
extern bool saga_step_cancelled;
extern void saga_step_timeout_error(bool overstayed, bool cancelled, const char **error, char **cause);

/* Drop what the execution left in the session. */
extern void saga_step_hygiene(bool in_drain);

/* The same where the session is another role's (session.c). */
extern bool saga_session_is_foreign(void);
extern void saga_session_clean(void);

/* In a signal handler, when a step runs: cancels it. */
extern void saga_step_interrupt(void);

/* ---------- stopping (stopping.c, stop.c) ---------- */

/* What saga.stop_execution does; body is the event. */
extern void saga_stop_later(const SagaQueue *queue, const pg_uuid_t *execution_id, Jsonb *body);
extern void saga_stop(int32 workflow_id, const pg_uuid_t *execution_id, Jsonb *body);

/* Where the event is that stops an execution. */
extern pg_uuid_t saga_stop_position(const pg_uuid_t *execution_id);

extern bool saga_stop_is_ours(const pg_uuid_t *execution_id);	/* stopped by this transaction, with an event */
extern pg_uuid_t saga_running_id;	/* within a step, whose it is */
extern bool saga_stop_is_event(const SagaItem *item);
extern SagaItem *saga_stop_claim_start(SagaBatch *batch, const pg_uuid_t *execution_id, bool *locked_elsewhere);

/*
 * Changes when somebody stops an execution that is being run, after which its
 * event is pending.
 */
extern uint32 saga_stop_count(void);
extern bool saga_stop_is_pending(const SagaQueue *queue, const pg_uuid_t *execution_id);

/* The run was told to end, as its execution was stopped; check raises then. */
extern volatile sig_atomic_t saga_run_stopped;
extern void saga_stop_check(void);

/* ---------- how many at once (pace.c) ---------- */

/* Executions that a batch claims, at most so many; and what is learned from it. */
extern int	saga_pace_limit(const SagaBatch *batch, int most);
extern bool saga_pace_is_slow(const SagaBatch *batch, int limit);
extern void saga_pace_ran(int32 queue_id, SagaQueueSlot *slot, uint64 us);
extern void saga_pace_held(int32 queue_id, int held);

/*
 * Around a run that has company in its batch: a step in it that takes too long
 * is cancelled, as if the engine had trouble, so that it runs alone next.
 */
extern void saga_pace_crowd_begin(void);
extern void saga_pace_crowd_end(void);
extern bool saga_step_crowded;	/* this happened to the last step */

/* Starts an execution: saga.start_execution, and those that executions start (start.c). */
struct SagaChildren;
extern pg_uuid_t saga_engine_start_child(const SagaWorkflow *workflow, int version, Jsonb *input, const char *name,
										 const pg_uuid_t *id, const struct SagaChildren *children);

/* ---------- tasks (task.c) ---------- */

/* Starts the task of an action and answers the run. */
extern void saga_engine_task_start(SagaBatch *batch, SagaJob *job, const SagaAction *action);

/* ---------- activities (activity.c, activity_task.c) ---------- */

/* The queue of the activity that a definition names; NULL: there is none that the workflow's owner may use. */
extern const SagaQueue *saga_activity_meant(const SagaJob *job, const char *name);

/* May the caller take its tasks, and answer them? */
extern bool saga_activity_may_work(int32 activity_id);

/*
 * A task of an activity, in the transaction of its run, which alone writes of
 * it: it waits for a worker (open), has one (started), and is done (closed).
 * wanted: as it is now; a worker that finds that it is not passes it over.
 * fate: it is let go, and withdrawn unless a worker has it.
 */
extern void saga_activity_task_open(const SagaQueue *activity, const SagaJob *job, const SagaAction *action);
extern void saga_activity_task_started(const pg_uuid_t *execution_id, int task_id, const char *worker);
extern void saga_activity_task_closed(const pg_uuid_t *execution_id, int task_id);
extern bool saga_activity_task_wanted(const SagaMessage *message);
extern bool saga_activity_has_tasks(int32 activity_id);
extern void saga_activity_fate(const pg_uuid_t *execution_id, SagaWish wish, SagaOutside *call);

/* ---------- user code that is no step's function (guarded.c) ---------- */

/*
 * Calls "function" for a task.  In a careful run with a savepoint: what it
 * raises is its failure, as a step's is.  It returns NULL, and sets *error, when it fails.
 */
typedef Jsonb *(*SagaTaskFunction) (SagaJob *job, const SagaAction *action, void *arg, const char **error, char **cause);
extern Jsonb *saga_engine_task_guarded(SagaBatch *batch, SagaJob *job, const SagaAction *action, SagaTaskFunction function,
									   void *arg, const char **error, char **cause);

/* What an ARN meant when the execution's version was made, or means now; NULL: nothing. */
extern const SagaResource *saga_engine_task_binding(const SagaJob *job, const char *arn, bool by_function_name);
extern void saga_engine_task_answer(SagaJob *job, const SagaAction *action, Jsonb *output, const char *error,
									const char *cause);

/* A parameter that is a document; "absent" where it is none, or null. */
extern Jsonb *saga_engine_task_document(Jsonb *parameters, const char *name, Jsonb *absent);

/* ---------- children (children.c, children_start.c, children_map.c, children_turn.c, children_close.c) ---------- */

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

/* A number in a message of ours; 0: it has none of this name. */
extern int64 saga_engine_message_number(Jsonb *body, const char *name);

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

/* again: how often it has come back to look; -1: it has come for something else */
extern void saga_children_close_turn(SagaBatch *batch, SagaChildren *children, int again);

/* Tasks: startExecution, a distributed Map, and what undoes either. */
extern void saga_child_start(SagaBatch *batch, SagaJob *job, const SagaAction *action);
extern void saga_engine_map_run_start(SagaBatch *batch, SagaJob *job, const SagaAction *action);
extern void saga_children_undo(SagaJob *job, const SagaAction *action);

/* MD5OfMessageAttributes, as SQS has it (sqs_digest.c); false: there are none, or no MD5. */
extern bool saga_engine_sqs_attributes_md5(Jsonb *attributes, char *hex);

/* A step that answers another execution's task (answer_task.c); false: the resource is no such one. */
extern bool saga_engine_answer_start(SagaBatch *batch, SagaJob *job, const SagaAction *action);

/* "schema.name" of a definition, quoted as a statement needs it; raises when it has no schema. */
extern char *saga_engine_quoted_name(const char *text);

/* ResultWriter (children_write.c). */
extern Jsonb *saga_children_write(SagaBatch *batch, SagaJob *job, SagaChildren *children, char **cause);

/* Of a Map that was redriven: what of the run before, which was this task, need not be done anew (children_again.c). */
extern void saga_children_take_over(SagaChildren *children, int task_id);

/* The answer of one execution that has ended. */
extern void saga_child_answer(const SagaChildren *children);

/* ---------- answers to tokens (answer.c) ---------- */

/*
 * That a token was answered is kept from the answer until the run has taken it: a second
 * answer is refused.  claim: false when there is one, of another transaction or of
 * this one.  release: of the answers that were taken, at the end of a batch.
 */
extern bool saga_engine_answer_claim(const char *token, bool only_look);
extern void saga_engine_answer_release(SagaBatch *batch);

/* Of an event with a token: a heartbeat does not answer it, nor does who has taken the task. */
extern bool saga_engine_event_is_answer(Jsonb *body);

/* ---------- how calls went (settle.c) ---------- */

/* saga_outbox_drop_hook */
extern bool saga_engine_settle_dropped(int32 destination_id, bool force, int *pid);

/* ---------- what an execution has left (entry.c) ---------- */

/*
 * The entries of not_compensated, in the execution and in its dead letter.
 *
 * lock: what a person speaks of; true: the execution has not ended.  settle: a person says it.  undone: the execution that undoes one has ended.
 * event: what comes for an execution that has ended; false: somebody has
 * locked its rows.  close: nobody settles or undoes them any more; heir: the
 * execution that is started for this one, or NULL.
 */
extern bool saga_entry_lock(const pg_uuid_t *execution_id, int32 workflow_id);

/* Of one that is known to have ended. */
extern void saga_entry_lock_ended(const pg_uuid_t *execution_id, int32 workflow_id);
extern void saga_entry_settle(const pg_uuid_t *message_id, const SagaWorkflow *workflow,
							  const pg_uuid_t *execution_id, bool done, Jsonb *output);

/* The same for one of many: false where somebody else has it. */
extern bool saga_entry_try_lock(const pg_uuid_t *execution_id, int32 workflow_id, bool *live);

/* What an open entry is. */
#define SAGA_ENTRY_OPEN		0x01
#define SAGA_ENTRY_UNKNOWN	0x02
#define SAGA_ENTRY_UNDOING	0x04
#define SAGA_ENTRY_ASKED	0x08

/* One of many calls, with its entry. */
typedef struct SagaLeftCall
{
	pg_uuid_t	message_id;
	pg_uuid_t	execution_id;
	int32		workflow_id;
	int			task_id;
	int			entry;			/* SAGA_ENTRY_*; 0: none is open */
	bool		chosen;			/* the entry is to be changed */
} SagaLeftCall;

typedef enum SagaEntryChange
{
	SAGA_ENTRY_GOES,
	SAGA_ENTRY_IS_ASKED,
	SAGA_ENTRY_IS_UNKNOWN
} SagaEntryChange;

/*
 * Of many calls of one execution.  Its list may name thousands of them, so it
 * is read once and written once.  look: fills in the entries, of which none is
 * chosen then.  change: of those that are chosen, when the rows are locked.
 */
extern void saga_entry_look(SagaLeftCall *calls, int n);
extern void saga_entry_change(const SagaLeftCall *calls, int n, SagaEntryChange how);

extern void saga_entry_undone(const SagaJob *job);
extern bool saga_entry_event(const SagaItem *item, int32 workflow_id);
extern void saga_entry_close(const pg_uuid_t *execution_id, int32 workflow_id, const pg_uuid_t *heir);

/* ---------- executions that go on after their end (redrive.c) ---------- */

/* In the transaction in which the run fails, or ends: what is needed to redrive it. */
extern void saga_engine_redrive_keep(const SagaJob *job);

/* One that was redriven has ended: its record is made that of all its runs. */
extern void saga_engine_redrive_ended(SagaJob *job);

typedef enum SagaInPlace
{
	SAGA_IN_PLACE_GOES_ON,
	SAGA_IN_PLACE_STAYS,		/* it must not; not raised of one of many */
	SAGA_IN_PLACE_HAS_NO_POINT	/* nothing tells where it could */
} SagaInPlace;

/*
 * One whose dead letter the caller has locked, and may redrive, goes on where it failed.
 * *why: it has no point.
 */
extern SagaInPlace saga_engine_redrive_in_place(const SagaQueue *queue, const pg_uuid_t *id, const SagaRedriveHow *how, char **why);

/* The hook of saga.redrive (redrive_letter.c). */
extern bool saga_engine_redrive_letter(const SagaQueue *queue, const SagaDeadLetter *letter, const SagaRedriveHow *how,
									   pg_uuid_t *as);

/* ---------- what is told of an execution (describe.c) ---------- */

/* The workflow of an execution that the caller may see; raises UNDEFINED_OBJECT when there is none.  *ended: it has ended. */
extern int32 saga_describe_find(const pg_uuid_t *id, bool *ended);

/* The execution's row of saga.executions as a document; NULL: it is gone. */
extern Jsonb *saga_describe(const pg_uuid_t *id, int32 workflow_id);

/* ---------- what runs now, for people (told.c) ---------- */
extern void saga_execution_tell_begin(const SagaBatch *batch, const SagaJob *job);
extern void saga_execution_tell_step(const SagaBatch *batch, const char *name);
extern void saga_execution_tell_end(void);
extern const char *saga_execution_told_state(void); /* NULL: it runs none */
#define SAGA_CONTEXT_BEGINS	"pg_saga execution "
extern void saga_execution_error_context(void *arg);	/* an error context callback */

/* ---------- one of a batch is run (attempt.c) ---------- */

/* first: of its batch, and then it has no savepoint.  Raises what loses the batch. */
extern void saga_attempt_run(SagaBatch *batch, SagaJob *job, bool first);
extern void saga_attempt_postpone(SagaBatch *batch, SagaJob *job);
extern void saga_attempt_bury(SagaBatch *batch, SagaJob *job);
extern bool saga_attempt_time_is_up(SagaBatch *batch);	/* of the batch */

/* The batch has been committed; or was lost, and then whether it is known which execution was running. */
extern void saga_attempt_forget(void);
extern bool saga_attempt_lost(void);

/* ---------- reading and writing (store.c, ended.c) ---------- */

extern void saga_store_claim(SagaBatch *batch, int limit, const pg_uuid_t *only, const pg_uuid_t *only_of);

extern void saga_engine_item_of_message(const SagaMessage *message, SagaItem *item);	/* shares what that points to */

extern bool saga_store_load(SagaBatch *batch, SagaJob *job, bool *locked_elsewhere);
extern void saga_store_find_workflow(const pg_uuid_t *execution_id, int32 *live, int32 *ended); /* 0: there is none */
extern int32 saga_store_live_workflow(const pg_uuid_t *execution_id);	/* 0: there is none, or it has ended */
extern int32 saga_store_ended_workflow(const pg_uuid_t *execution_id);	/* 0: it has not ended */
extern char *saga_store_ended_name(const pg_uuid_t *execution_id);	/* NULL: it has none */
extern void saga_store_park(SagaBatch *batch, SagaJob *job, TimestampTz wake_at);
extern void saga_store_end(SagaBatch *batch, SagaJob *job);
extern void saga_store_flush(SagaBatch *batch); /* the end of a batch: all that ended, and the claimed rows */
extern void saga_store_postpone(SagaBatch *batch, SagaItem *item, int64 delay_ms);
extern void saga_store_bury(SagaBatch *batch, SagaItem *item, const char *reason, const char *cause);
extern void saga_store_dead_letter(SagaBatch *batch, SagaJob *job);
extern void saga_store_write_ended(SagaBatch *batch);	/* their rows, for saga_store_flush */

/*
 * Executions whose id another one has.  met: the error of a batch or a run was that;
 * look: the flush that comes next is not to find out by an error.
 */
extern bool saga_store_met_twin(const ErrorData *error);

/* Of one that begins: whether there is something that it cannot have written.  Looks only when some have been met. */
extern bool saga_store_has_twin(SagaJob *job);
extern void saga_store_look_for_twins(void);

#endif							/* SAGA_ENGINE_PRIVATE_H */
