/*
 * run_private.h
 *		The inside of a run.
 *
 * A run is a tree of threads: the machine itself, and one for each branch of
 * an open Parallel, or item of an open Map.  A thread stands in one state.  Threads that can go on
 * are in the ready queue; the others wait for a task, a time, or their
 * branches.  Compensation has one thread of its own, when all others are gone.
 *
 * The life of a thread in one state: ENTER, then by type OPEN (a task is
 * out), WAIT, CHILDREN; RETRY between two attempts; then ENTER of the next.
 *
 * A function that does something for a state does not call what comes after
 * it: it returns a SagaTransition, which says what that is.  The loop in
 * run_loop.c carries it out, and takes the transition that this gives, until
 * nothing follows.  So no function frees the thread under its caller, and the
 * files stand on floors, in the order in which they are declared below: each
 * calls only those above it in this header.
 *
 * All that a run allocates is in its context, and freed with it.
 */
#ifndef SAGA_RUN_PRIVATE_H
#define SAGA_RUN_PRIVATE_H

#include "lib/ilist.h"

#include "asl/history_private.h"
#include "asl/query_private.h"

typedef enum SagaPhase
{
	SAGA_PHASE_ENTER,			/* the state is to be entered */
	SAGA_PHASE_ATTEMPT,			/* it is to be tried again */
	SAGA_PHASE_OPEN,			/* Task: called, no answer yet */
	SAGA_PHASE_WAIT,			/* Wait, until wake_at */
	SAGA_PHASE_RETRY,			/* the next attempt is at wake_at */
	SAGA_PHASE_HELD,			/* Task: the same call was given up, and how it went is being found out */
	SAGA_PHASE_CHILDREN			/* Parallel, Map: branches or items run */
} SagaPhase;

typedef struct SagaThread
{
	dlist_node	node;			/* in run->threads */
	dlist_node	ready_node;
	bool		is_ready;		/* in run->ready */

	int			id;
	struct SagaThread *parent;	/* NULL: the machine, or compensation */
	int			branch;			/* which of the parent's */

	const SagaState *state;
	SagaPhase	phase;
	Jsonb	   *input;			/* of the state, as it came */
	Jsonb	   *data;			/* after InputPath and Parameters */
	Jsonb	   *variables;		/* an object, or NULL */

	TimestampTz entered_at;
	int64		entered_event;
	int64		last_event;
	int			call_id;
	int			retry_count;
	int			attempts_size;	/* of attempts, which is NULL until the first retry */
	int		   *attempts;		/* by retrier */
	bool		resume;			/* between two attempts: task_id is a call in doubt, and the next one is the same */
	bool		answered;		/* its failure in doubt has come */

	TimestampTz wake_at;		/* WAIT, RETRY */
	TimestampTz since;			/* it was tried, or has failed */
	const char *last_error;		/* what the attempt before has failed with, for people; NULL: there was none */

	/* OPEN */
	int			task_id;
	char	   *token;
	bool		submitted;		/* the call was made, its answer will come later; of an activity: a worker has it */
	Jsonb	   *answer;			/* what the step said that took the token; of an activity: the worker of an earlier attempt was lost; NULL:
								 * nothing */
	int64		timeout_ms;
	int64		heartbeat_ms;
	TimestampTz deadline;		/* DT_NOEND: none */
	TimestampTz heartbeat_at;	/* when the next heartbeat is overdue */

	/* CHILDREN */
	struct SagaFork *fork;		/* NULL: it has no threads of its own */
	struct SagaFork *fallen;	/* as it was when the state failed, until something else is done (run_point.c); NULL: none */
	bool		begun_again;	/* by a redrive, from an earlier state */
	int			redriven_task;	/* of a distributed Map that goes on: the task of its run before; 0: it begins */
} SagaThread;

/* The items of a Map that is open. */
typedef struct SagaMapping
{
	Jsonb	   *items;			/* an array */
	bool		keyed;			/* of an object: each is {"Key", "Value"} */
	int			concurrency;	/* so many run at once */
	int			nrunning;
	int			next;			/* the first one that has not been taken up */
	int			tolerated;		/* so many may fail */
	int			nfailed;
	bool	   *failed;			/* which of them have; NULL: none so far */
	int			again;			/* so many before "next" are to be taken up again: they have neither thread nor result */
} SagaMapping;

/*
 * The threads that a state has started, each in a States object of its own: a
 * Parallel's branches, or one for each item of a Map.  A thread of it knows
 * its parent, whose fork this is, and its place here ("branch").
 */
typedef struct SagaFork
{
	int			size;
	int			nopen;			/* of those, how many have no result yet */
	SagaThread **threads;		/* NULL where one has ended, or has not begun */
	Jsonb	  **results;		/* NULL where one has not ended */
	SagaMapping *map;			/* NULL: of a Parallel */
} SagaFork;

typedef enum SagaDoneKind
{
	SAGA_DONE_COMPLETED,
	SAGA_DONE_OWED,				/* given up; whether it was done is being found out */
	SAGA_DONE_UNWANTED			/* given up, and done: to be undone whatever becomes of the run */
} SagaDoneKind;

/*
 * A visit of a state that has a Compensate, completed or given up, and not
 * undone yet; in the order in which that happened.
 */
typedef struct SagaDone
{
	const SagaState *state;
	int			call_id;
	int			task_id;		/* 0: not known */
	SagaDoneKind kind;
	bool		kept;			/* found done, it is as if it had been completed */
	bool		suspected;		/* of an activity: its worker may have done it, or not */
	int			item;			/* the thread of the item it belongs to, of the nearest Map that tolerates failures; 0: none */
	Jsonb	   *input;
	Jsonb	   *output;			/* NULL: not known yet */
	Jsonb	   *variables;

	/*
	 * where the run would begin again to do it anew: of a Parallel or Map
	 * that has ended since, there (run_point.c). entered: NULL in a run that
	 * an earlier version has frozen
	 */
	int			owner;			/* the thread that its own one is a branch or item of; 0: the machine's */
	int			branch;
	const SagaState *begin;
	Jsonb	   *entered;		/* that state's input */
	Jsonb	   *begin_variables;

	/* of one that was given up */
	const char *error;			/* what it failed with */
	const char *cause;
	const char *token;			/* its callback is taken still; NULL: none */
	const char *destination;
	TimestampTz since;
	const char *message_id;		/* also in what is left after the end (run_left.c) */
	const char *key;
} SagaDone;

typedef struct SagaUndone
{
	const char *state;
	const char *reason;
	const char *cause;			/* NULL: none */
	bool		unknown;		/* whether it is there: it may not have been done, or may have been undone */
	const char *message_id;		/* of a call outside; NULL: none */
	const char *key;
	const char *handler;		/* that failed; NULL: none was run */
	int			call_id;		/* the visit; 0: not known */
	SagaDone   *done;			/* of one with a message, what its handler needs; NULL: not kept */
} SagaUndone;

/* A call without Compensate that was given up: what became of it is in its record. */
typedef struct SagaEffect
{
	const char *state;
	const char *message_id;
} SagaEffect;

struct SagaRun
{
	MemoryContext context;
	const SagaMachine *machine;
	SagaRunEnv	env;
	TimestampTz now;			/* of the call being served */

	Jsonb	   *input;
	TimestampTz deadline;		/* the machine's TimeoutSeconds */
	SagaStatus	status;
	Jsonb	   *output;
	const char *error;
	const char *cause;
	const char *failed_state;	/* what it has failed in; NULL: it has not */
	Jsonb	   *report;			/* of that failure; NULL: there is none */

	dlist_head	threads;
	dlist_head	ready;
	SagaThread *root;			/* NULL once ended or compensating */
	SagaThread *current;		/* whose context object is asked for */
	Jsonb	   *context_object; /* its context object, when made */
	Jsonb	   *map_object;		/* the part of it that tells of a Map's item, when made */
	const SagaThread *selecting;	/* whose ItemSelector is evaluated, for this item; NULL: none */
	SagaMapItem item;
	SagaThread *last_task;		/* that of the last TASK action: mostly the one that is answered */
	TimestampTz next_timer;		/* no timer is due before */

	int			next_thread;
	int			next_task;
	int			next_call;

	SagaHistory history;

	SagaDone   *done;
	int			ndone;
	int			done_size;
	bool		gave_up;		/* some of "done" were given up, and may not be known yet; false: all have completed */

	/* compensation, and its results */
	SagaStatus	final_status;	/* when status is COMPENSATING */
	SagaThread *handler;		/* undoes the item whose call_id is "undoing" */
	int			undoing;
	List	   *compensated;	/* of char * */
	List	   *not_compensated;	/* of SagaUndone */
	List	   *effects;		/* of SagaEffect */
	List	   *untouched;		/* of int, visits whose handler found nothing to undo */
	bool		decided;		/* its path has succeeded, and only what was given up is waited for */
	int64		last_event;		/* when there is no thread that would know it */

	/* redriving (run_point.c, run_redrive.c) */
	Jsonb	   *point;			/* where it failed, as a frozen run; NULL: it has not, or is not to be redriven */
	int			redrives;		/* how often it was */
	Jsonb	   *earlier;		/* what it came to before: {"compensated", "not_compensated", "effects"}; NULL: it was not */
};

/* An error on its way through Retry and Catch. */
typedef struct SagaFailure
{
	const char *error;			/* may be NULL */
	const char *cause;			/* may be NULL */
	const char *other;			/* matched too; may be NULL */
	bool		in_doubt;		/* of a call outside: it may have had its effect */
	bool		unknown;		/* and nobody can find out */
	bool		from_branch;	/* States.BranchFailed names it too */
	bool		of_item;		/* of a Map, for one of its items */
	bool		heartbeat;		/* States.HeartbeatTimeout names it too */
	bool		of_task;		/* said of a task, not of what the state does around it */
	bool		completed;		/* the call is done, and what was to be made of its answer has failed */
	const char *state;			/* the innermost one that has failed, once it is known */
	Jsonb	   *report;			/* as SagaTaskError's */
	const char *location;		/* of an expression of a JSONata state that has failed: its field; else NULL */
} SagaFailure;

typedef enum SagaTransitionKind
{
	SAGA_NEXT_NOTHING,			/* the thread waits, or is in the ready queue, or is gone */
	SAGA_NEXT_CALL,				/* the action says what the caller is to do */
	SAGA_NEXT_COMPLETE,			/* the state has the result "value": ResultSelector and ResultPath are next */
	SAGA_NEXT_LEAVE,			/* it is left for "target" with "value": OutputPath and Assign are next */
	SAGA_NEXT_END,				/* the thread has come to its end, with the output "value" */
	SAGA_NEXT_FAIL,				/* the state fails with "failure": Retry and Catch are next */
	SAGA_NEXT_GIVE_UP			/* neither has taken "failure": it is for what is around the state */
} SagaTransitionKind;

/* What happens to a thread next. */
typedef struct SagaTransition
{
	SagaTransitionKind kind;
	SagaThread *thread;
	Jsonb	   *value;
	const SagaState *target;	/* NULL: the end of the States object */
	const SagaExit *exit;		/* of LEAVE; NULL: nothing is assigned or made */
	Jsonb	   *exit_data;		/* what its expressions see: as "$", or as that member of $states */
	SagaSees	sees;
	const SagaFailure *failure;
	bool		undo;			/* there may be something to undo, or to end, when all that follows has happened */
} SagaTransition;

/* Tells the caller, if he wants to know, what the run has come to. */
static inline void
saga_run_took(const SagaRun *run, const SagaState *state, SagaCovered way, int index)
{
	if (run->env.took != NULL)
		run->env.took(run->env.arg, state, way, index);
}

/* ---------- first floor: what a run consists of ---------- */

/* run_thread.c */
extern const char *saga_thread_phase_name(SagaPhase phase);
extern SagaThread *saga_thread_new(SagaRun *run, SagaThread *parent, int branch);
extern SagaFork *saga_thread_fork(SagaThread *thread, int size);
extern SagaMapping *saga_thread_map(SagaThread *thread, int size);
extern SagaMapItem saga_asl_map_item(const SagaMapping *map, int index);
extern void saga_thread_drop(SagaRun *run, SagaThread *thread);
extern void saga_thread_ready(SagaRun *run, SagaThread *thread, SagaPhase phase);
extern void saga_thread_unready(SagaThread *thread);
extern void saga_threads_release(SagaRun *run);
extern bool saga_thread_is_out(const SagaThread *thread);
extern SagaThread *saga_thread_of_task(SagaRun *run, int task_id);
extern SagaThread *saga_thread_of_token(SagaRun *run, const char *token);
extern TimestampTz saga_asl_time_add_ms(TimestampTz at, int64 ms);
extern void saga_run_set_timer(SagaRun *run, TimestampTz at);
extern SagaThread *saga_run_earliest(SagaRun *run);
extern SagaEventRecord *saga_asl_log(SagaRun *run, SagaThread *thread, SagaEventType type);
extern bool saga_run_is_over(const SagaRun *run);
extern void saga_run_end(SagaRun *run, int64 last_event, SagaStatus status,
						 const char *error, const char *cause);
extern char *saga_asl_copy_text(const char *text);
extern Jsonb *saga_asl_copy_value(const Jsonb *value);

/* run_transition.c */
extern SagaTransition saga_next_nothing(void);
extern SagaTransition saga_next_undo(void);
extern SagaTransition saga_next_call(SagaThread *thread);
extern SagaTransition saga_next_complete(SagaThread *thread, Jsonb *result);
extern SagaTransition saga_next_leave(SagaThread *thread, Jsonb *value, const SagaState *target, const SagaExit *exit,
									  Jsonb *exit_data, SagaSees sees);
extern SagaTransition saga_next_end(SagaThread *thread, Jsonb *output);
extern SagaTransition saga_next_fail(SagaThread *thread, const SagaFailure *failure);
extern SagaTransition saga_next_fault(SagaThread *thread, const SagaFault *fault);
extern SagaTransition saga_next_completed_fault(SagaThread *thread, const SagaFault *fault);
extern SagaTransition saga_next_give_up(SagaThread *thread, const SagaFailure *failure);
extern char *saga_state_cause(const SagaThread *thread, const char *cause);

/* run_waiting.c: for people; clipped */
extern char *saga_asl_error_text(const char *error, const char *cause);

/* run_done.c */
extern SagaDone *saga_done_push(SagaRun *run, const SagaThread *thread, Jsonb *result);
extern void saga_done_remove(SagaRun *run, SagaDone *done);
extern SagaDone *saga_done_of_call(SagaRun *run, int call_id);
extern SagaDone *saga_asl_undoing(SagaRun *run);
extern SagaDone *saga_debt_of_task(SagaRun *run, int task_id);
extern int	saga_debt_of_token(const SagaRun *run, const char *token);
extern bool saga_asl_has_debts(const SagaRun *run);
extern void saga_done_hand_up(SagaRun *run, const SagaThread *thread);
extern SagaFate saga_asl_call_fate(SagaRun *run, const SagaThread *thread, SagaWish wish, SagaOutside *call);
extern void saga_done_apply_fate(SagaRun *run, SagaDone *done, const SagaOutside *call);
extern void saga_done_take_back(SagaRun *run, SagaDone *done);
extern void saga_done_take_back_all(SagaRun *run);
extern void saga_asl_list_undone(SagaRun *run, const SagaDone *done, const char *reason, const char *cause, bool unknown,
								 const char *handler);
extern void saga_asl_note_effect(SagaRun *run, const SagaThread *thread, const SagaOutside *call);

/* run_context.c */
extern void saga_asl_push_map_item(JsonbParseState **state, const SagaMapItem *item);
extern Jsonb *saga_thread_context(SagaRun *run, SagaThread *thread);
extern void saga_scope_init(SagaRun *run, SagaThread *thread, Jsonb *data, SagaScope *scope);

/* ---------- second floor: what is done with it ---------- */

/* run_data.c */
extern bool saga_thread_input(SagaRun *run, SagaThread *thread, Jsonb **selected, SagaFault *fault);
extern Jsonb *saga_asl_path_field_get(SagaRun *run, SagaThread *thread, const SagaPathField *field, Jsonb *data,
									  SagaFault *fault);
extern Jsonb *saga_asl_path_field_put(const SagaPathField *field, Jsonb *target, Jsonb *value,
									  SagaFault *fault);
extern Jsonb *saga_asl_payload_eval(SagaRun *run, SagaThread *thread, const SagaPayload *payload, const SagaScope *scope,
									SagaSees sees, SagaFault *fault);
extern Jsonb *saga_asl_payload_apply(SagaRun *run, SagaThread *thread, const SagaPayload *payload, Jsonb *data,
									 SagaSees sees, SagaFault *fault);
extern Jsonb *saga_asl_query_apply(SagaRun *run, SagaThread *thread, const SagaQuery *query, SagaFault *fault);
extern bool saga_thread_output(SagaRun *run, SagaThread *thread, const SagaExit *exit, Jsonb *data, SagaSees sees,
							   Jsonb **output, SagaFault *fault);
extern bool saga_thread_assign(SagaRun *run, SagaThread *thread, const SagaExit *exit, Jsonb *data, SagaSees sees,
							   Jsonb **assigned, SagaFault *fault);
extern bool saga_check_limit(SagaRun *run, const char *name, Jsonb *value, SagaFault *fault);
extern bool saga_asl_seconds_at(SagaRun *run, SagaThread *thread, const SagaPathField *field,
								const char *name, int64 min, Jsonb *data, int64 *seconds,
								SagaFault *fault);
extern bool saga_asl_timestamp_at(SagaRun *run, SagaThread *thread, const SagaPathField *field, const char *name,
								  Jsonb *data, TimestampTz *result, SagaFault *fault);
extern bool saga_asl_map_count(SagaRun *run, SagaThread *thread, const SagaPathField *field, const char *name, int64 *count,
							   SagaFault *fault);
extern void saga_asl_map_value_fault(SagaFault *fault, const char *name, const SagaPathField *field, Jsonb *value,
									 const char *what);
extern Jsonb *saga_asl_field_value(SagaRun *run, SagaThread *thread, const SagaPathField *field, const char *name,
								   SagaFault *fault);
extern Jsonb *saga_asl_item_input(SagaRun *run, SagaThread *thread, const SagaMapItem *item, SagaFault *fault);
extern bool saga_asl_string_at(SagaRun *run, SagaThread *thread, const SagaExpr *expr, const SagaPathField *field,
							   const char *name, Jsonb *data, const char **result, SagaFault *fault);

/* run_compensate.c */
extern bool saga_asl_undo_unwanted(SagaRun *run);
extern void saga_asl_undo_next(SagaRun *run);
extern SagaTransition saga_compensation_succeeded(SagaRun *run, Jsonb *output);
extern SagaTransition saga_compensation_failed(SagaRun *run, const SagaFailure *failure);
extern void saga_compensation_give_up(SagaRun *run, const char *reason, const char *cause);

/* run_point.c */
extern void saga_fork_remember(SagaRun *run, SagaThread *parent);
extern void saga_fork_forget(SagaRun *run, SagaThread *thread);
extern void saga_done_begin(SagaDone *done, const SagaThread *thread);
extern void saga_done_begin_with(SagaRun *run, const SagaThread *parent);
extern void saga_asl_point_take(SagaRun *run);
extern Jsonb *saga_asl_point_end(SagaRun *run);

/* run_debt.c */
extern void saga_asl_let_go(SagaRun *run, const SagaThread *thread, bool kept, const SagaFailure *failure);
extern void saga_asl_give_up_done(SagaRun *run, const SagaThread *thread, bool kept, const SagaFailure *failure);
extern void saga_asl_item_unwanted(SagaRun *run, int item, const SagaFailure *failure);
extern void saga_asl_keep_no_more(SagaRun *run, int call_id, const SagaFailure *failure);
extern void saga_thread_cut(SagaRun *run, SagaThread *thread, const SagaFailure *failure);
extern bool saga_debt_answered(SagaRun *run, int task_id, Jsonb *output, const SagaTaskError *error);
extern void saga_asl_forget_debts(SagaRun *run);
extern bool saga_asl_held_by_debt(SagaRun *run, SagaThread *thread, SagaTransition *next);

/* run_freeze.c and run_thaw.c, declared in asl.h; run_left.c, where saga_run_undo() is too */
extern Jsonb *saga_run_left(SagaRun *run);
extern Jsonb *saga_asl_array_append(Jsonb *first, Jsonb *second);

/* ---------- third floor: steps ---------- */

/* run_distributed.c */
extern SagaTransition saga_distributed_step(SagaRun *run, SagaThread *thread, SagaMapCall *call, SagaAction *action);
extern SagaTransition saga_distributed_succeeded(SagaRun *run, SagaThread *thread, Jsonb *output);
extern SagaTransition saga_distributed_failed(SagaRun *run, SagaThread *thread, const SagaTaskError *error);

/* run_exit.c */
extern SagaTransition saga_state_complete(SagaRun *run, SagaThread *thread, Jsonb *result);
extern SagaTransition saga_state_leave(SagaRun *run, const SagaTransition *leave);
extern SagaTransition saga_state_exit(SagaRun *run, SagaThread *thread, Jsonb *output,
									  const SagaState *target, Jsonb *assigned);

/* run_error.c */
extern int	saga_asl_find_retrier(const SagaState *state, const SagaFailure *failure);
extern const SagaCatcher *saga_asl_find_catcher(const SagaState *state, const SagaFailure *failure);
extern SagaTransition saga_state_fail(SagaRun *run, SagaThread *thread, const SagaFailure *failure);

/* run_fork.c */
extern SagaThread *saga_fork_start(SagaRun *run, SagaThread *parent, int branch, const SagaStates *scope, Jsonb *input);
extern void saga_fork_ended(SagaRun *run, SagaThread *thread, Jsonb *output);
extern void saga_fork_failed(SagaRun *run, SagaThread *thread, const SagaFailure *failure);
extern void saga_fork_cut(SagaRun *run, SagaThread *parent, const SagaFailure *failure);
extern Jsonb *saga_fork_results(SagaThread *parent);

/* run_state.c */
extern SagaTransition saga_asl_pass_step(SagaRun *run, SagaThread *thread);
extern SagaTransition saga_asl_choice_step(SagaRun *run, SagaThread *thread);
extern SagaTransition saga_asl_wait_step(SagaRun *run, SagaThread *thread);
extern SagaTransition saga_asl_wait_is_over(SagaThread *thread);
extern SagaTransition saga_asl_succeed_step(SagaRun *run, SagaThread *thread);
extern SagaTransition saga_asl_fail_step(SagaRun *run, SagaThread *thread);

/* run_parallel.c */
extern SagaTransition saga_asl_parallel_step(SagaRun *run, SagaThread *thread);
extern SagaTransition saga_asl_parallel_branch_ended(SagaRun *run, SagaThread *thread, Jsonb *output);
extern SagaTransition saga_asl_parallel_branch_failed(SagaRun *run, SagaThread *thread, const SagaFailure *failure);

/* run_map.c */
extern bool saga_asl_map_percentage(SagaRun *run, SagaThread *thread, double *percentage, SagaFault *fault);
extern Jsonb *saga_asl_map_items(SagaRun *run, SagaThread *thread, bool *keyed, SagaFault *fault);
extern SagaTransition saga_asl_map_step(SagaRun *run, SagaThread *thread, SagaAction *action);
extern SagaTransition saga_asl_map_go_on(SagaRun *run, SagaThread *thread);
extern SagaTransition saga_asl_map_item_ended(SagaRun *run, SagaThread *thread, Jsonb *output);
extern SagaTransition saga_asl_map_item_failed(SagaRun *run, SagaThread *thread, const SagaFailure *failure);

/* run_task.c */
extern SagaTransition saga_task_step(SagaRun *run, SagaThread *thread, SagaAction *action);
extern SagaTransition saga_task_time_out(SagaRun *run, SagaThread *thread);
extern void saga_task_parked(SagaRun *run, SagaThread *thread, Jsonb *output);
extern SagaTransition saga_task_succeeded(SagaRun *run, SagaThread *thread, Jsonb *output);
extern SagaTransition saga_task_failed(SagaRun *run, SagaThread *thread, const SagaTaskError *error);
extern void saga_task_heartbeat(SagaRun *run, SagaThread *thread);
extern void saga_task_started(SagaRun *run, SagaThread *thread, const char *worker);

/* run_end.c */
extern SagaTransition saga_run_succeed(SagaRun *run, Jsonb *output);
extern SagaTransition saga_run_fail(SagaRun *run, SagaStatus status, const char *error, const char *cause,
									const char *state); /* NULL: where it stands */
extern void saga_run_end_now(SagaRun *run, SagaStatus status, const char *error, const char *cause,
							 const char *reason, const char *why);
extern void saga_run_report(SagaRun *run, SagaAction *action);

/* ---------- roof ---------- */

/* run_loop.c */
extern void saga_run_follow(SagaRun *run, SagaTransition next);
extern bool saga_run_step(SagaRun *run, SagaThread *thread, SagaAction *action);
extern void saga_run_fire_timers(SagaRun *run);

/* run.c: all events so far, those of earlier transactions included, for a limit on them */
extern int64 saga_run_event_count(const SagaRun *run);

#endif							/* SAGA_RUN_PRIVATE_H */
